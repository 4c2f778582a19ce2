/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What a reload keeps: a new configuration becomes the one in force again, but for the options that
 * may change; what else differs is named. And copies of a section's values.
 */
#include "conf_fixture.h"

#include "base/arena.h"

struct reloaded {
	bool set_once;
	const char *file;   /* reloadable, as long as there is one */
	const char *colour; /* reloadable */
	struct conf_list names;
	int64_t size;
};

#define FIELD(name_, type_) .name = #name_, .type = type_, .offset = offsetof(struct reloaded, name_)

static const struct conf_option options[] = {
	{ FIELD(set_once, CONF_BOOL), .def = "no", .doc = "A." },
	{ FIELD(file, CONF_STRING), .def = "", .flags = CONF_RELOADABLE | CONF_SWITCH, .doc = "B." },
	{ FIELD(colour, CONF_STRING), .def = "red", .flags = CONF_RELOADABLE, .doc = "C." },
	{ FIELD(names, CONF_LIST), .def = "", .doc = "D." },
	{ FIELD(size, CONF_INT), .def = "1", .doc = "E." },
};

static const struct conf_section one = { .name = "one",
					 .struct_size = sizeof(struct reloaded),
					 .options = options,
					 .n_options = ARRAY_LEN(options),
					 .doc = "One." };
static const struct conf_section many = { .name = "many",
					  .named = true,
					  .struct_size = sizeof(struct reloaded),
					  .options = options,
					  .n_options = ARRAY_LEN(options),
					  .doc = "Many." };
static const struct conf_section *const tables[] = { &one, &many };

static struct conf *config(const char *text)
{
	struct conf *c;

	assert_int_equal(conf_parse(&c, tables, ARRAY_LEN(tables), "t", text, strlen(text), &errors),
			 0);
	return c;
}

/* The new configuration after conf_keep, with the current one gone. */
static struct conf *keep(const char *current_text, const char *next_text, size_t n_live,
			 const char *expected)
{
	struct conf *current = config(current_text);
	struct conf *next = config(next_text);
	struct strbuf names;

	strbuf_init(&names, SIZE_MAX);
	assert_int_equal(conf_keep(next, current, n_live, &names), 0);
	assert_string_equal(strbuf_cstr(&names), expected);
	strbuf_fini(&names);
	conf_free(&current);
	return next;
}

static const struct reloaded *at(const struct conf *c, const char *name)
{
	return conf_get(c, name ? "many" : "one", name);
}

static void test_options(void **state)
{
	struct conf *c = keep("[one]\nnames = a, b\nsize = 2\ncolour = blue\n",
			      "[one]\nnames = a\nset_once = yes\nsize = 2\ncolour = green\n", 2,
			      "one.set_once, one.names");

	(void)state;
	assert_string_equal(at(c, NULL)->colour, "green");
	assert_false(at(c, NULL)->set_once);
	assert_int_equal(at(c, NULL)->size, 2);
	assert_int_equal(at(c, NULL)->names.n, 2);
	assert_string_equal(at(c, NULL)->names.items[1], "b");
	conf_free(&c);
	c = keep("", "[one]\n", 2, "");
	conf_free(&c);
}

static void test_switch(void **state)
{
	struct conf *c = keep("[one]\nfile = a\n", "[one]\nfile = b\n", 2, "");

	(void)state;
	assert_string_equal(at(c, NULL)->file, "b");
	conf_free(&c);
	c = keep("[one]\nfile = a\n", "", 2, "one.file");
	assert_string_equal(at(c, NULL)->file, "a");
	conf_free(&c);
	c = keep("", "[one]\nfile = b\n", 2, "one.file");
	assert_string_equal(at(c, NULL)->file, "");
	conf_free(&c);
}

static void test_sections(void **state)
{
	struct conf *c = keep("[many a]\nsize = 1\ncolour = blue\n[many b]\n",
			      "[many c]\n[many b]\nsize = 3\ncolour = green\n[many d]\n", 2,
			      "many.c, many.d, many.a, many.b.size");
	const char *name;

	(void)state;
	assert_string_equal(at(c, "a")->colour, "blue");
	assert_int_equal(at(c, "b")->size, 1);
	assert_string_equal(at(c, "b")->colour, "green");
	assert_null(at(c, "c"));
	assert_null(at(c, "d"));
	assert_non_null(conf_get_nth(c, "many", 0, &name));
	assert_string_equal(name, "b");
	assert_non_null(conf_get_nth(c, "many", 1, &name));
	assert_string_equal(name, "a");
	assert_null(conf_get_nth(c, "many", 2, &name));
	conf_free(&c);
}

/* Of the tables behind those that are live nothing changes, and nothing is said. */
static void test_not_live(void **state)
{
	struct conf *c = keep("[many a]\ncolour = blue\nsize = 2\n", "[many a]\n[one]\nsize = 2\n", 1,
			      "one.size");

	(void)state;
	assert_string_equal(at(c, "a")->colour, "blue");
	assert_int_equal(at(c, "a")->size, 2);
	conf_free(&c);
}

static void test_copy(void **state)
{
	struct conf *c = config("[many a]\nnames = x, y\nfile = f\nset_once = yes\nsize = 9\n");
	const struct reloaded *copy;
	struct arena arena;

	(void)state;
	arena_init(&arena, 0);
	assert_null(conf_copy(c, "many", "b", &arena));
	copy = conf_copy(c, "many", "a", &arena);
	conf_free(&c);
	assert_non_null(copy);
	assert_int_equal(copy->names.n, 2);
	assert_string_equal(copy->names.items[0], "x");
	assert_string_equal(copy->file, "f");
	assert_string_equal(copy->colour, "red");
	assert_true(copy->set_once);
	assert_int_equal(copy->size, 9);
	arena_fini(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_options),  TEST(test_switch), TEST(test_sections),
		TEST(test_not_live), TEST(test_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
