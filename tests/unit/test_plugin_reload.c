/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* New options for plugins that run: all take them or none, and whose they are. */
#include "plugin_fixture.h"

#include "conf/conf.h"

struct options {
	const char *colour; /* reloadable */
};

/* A plugin that keeps what it was given, and may refuse a colour. */
struct painter {
	const struct parlance_host *host;
	const struct options *options;
	unsigned n_reloads;
	const char *refuses; /* NULL: nothing */
};

static struct painter painters[3];
static size_t n_painters;

static const struct parlance_option table[] = {
	{ .name = "colour", .type = PARLANCE_OPTION_STRING, .flags = PARLANCE_OPTION_RELOADABLE,
	  .offset = offsetof(struct options, colour), .def = "red", .doc = "Its colour." },
};

static int paint_create(void **self, const struct parlance_host *host, const void *options,
			char *err, size_t err_size)
{
	(void)err;
	(void)err_size;
	painters[n_painters] = (struct painter){ .host = host, .options = options };
	*self = &painters[n_painters++];
	return 0;
}

static int paint_reload(void *self, const void *options, char *err, size_t err_size)
{
	struct painter *p = self;
	const struct options *o = options;

	p->n_reloads++;
	if (p->refuses && strcmp(p->refuses, o->colour) == 0) {
		(void)snprintf(err, err_size, "%s is ugly", o->colour);
		return -1;
	}
	p->options = o;
	return 0;
}

static void paint_destroy(void *self)
{
	(void)self;
}

static void no_models(void *self, void (*each)(void *arg, const struct parlance_model *model),
		      void *arg)
{
	(void)self;
	(void)each;
	(void)arg;
	note('m');
}

static const struct parlance_provider_ops ops = { .size = sizeof(ops), .models = no_models };

#define PAINTER(name_)                                                                          \
	TEST_PLUGIN(PARLANCE_PROVIDER, name_, &ops), .options = table,                          \
		.n_options = ARRAY_LEN(table), .option_size = sizeof(table[0]),                 \
		.options_size = sizeof(struct options), .create = paint_create,                 \
		.destroy = paint_destroy

static const struct parlance_plugin painter = { PAINTER("painter"), .reload = paint_reload };
static const struct parlance_plugin stubborn = { PAINTER("stubborn") };

static int setup(void **state)
{
	n_painters = 0;
	return plugins_setup(state);
}

/* With the configuration before gone, as after a reload. */
static int reload(const char *text)
{
	const struct conf_section *const *sections;
	struct conf *next;
	size_t n;
	int rc;

	strbuf_reset(&errors);
	sections = plugins_sections(set, &n);
	assert_int_equal(conf_parse(&next, sections, n, "t", text, strlen(text), &errors), 0);
	rc = plugins_reload(set, next, &errors);
	conf_free(rc ? &next : &conf);
	if (!rc)
		conf = next;
	return rc;
}

static void start_three(void)
{
	(void)add(&painter, "a");
	(void)add(&painter, "b");
	(void)add(&painter, "c");
	assert_int_equal(create("[painter a]\ncolour = blue\n"), 0);
	assert_string_equal(painters[0].options->colour, "blue");
	assert_string_equal(painters[1].options->colour, "red");
}

static void test_all_take_them(void **state)
{
	(void)state;
	start_three();
	n_events = 0;
	assert_int_equal(reload("[painter a]\ncolour = green\n[painter c]\ncolour = grey\n"), 0);
	assert_string_equal(painters[0].options->colour, "green");
	assert_string_equal(painters[1].options->colour, "red");
	assert_string_equal(painters[2].options->colour, "grey");
	assert_string_equal(events, "mmm"); /* their models may be others now */
}

/* Options live until others are accepted, whatever becomes of the configuration. */
static void test_one_refuses(void **state)
{
	(void)state;
	start_three();
	painters[1].refuses = "pink";
	assert_int_equal(
		reload("[painter a]\ncolour = green\n[painter b]\ncolour = pink\n[painter c]\n"
		       "colour = grey\n"),
		PARLANCE_EINVAL);
	assert_string_equal(strbuf_cstr(&errors), "painter:b: pink is ugly\n");
	conf_free(&conf);
	assert_string_equal(painters[0].options->colour, "blue");
	assert_int_equal(painters[0].n_reloads, 2); /* and back */
	assert_string_equal(painters[1].options->colour, "red");
	assert_int_equal(painters[2].n_reloads, 0);
}

static void test_no_way_back(void **state)
{
	(void)state;
	start_three();
	painters[0].refuses = "blue"; /* it would not begin with that any more */
	painters[1].refuses = "pink";
	assert_int_equal(reload("[painter a]\ncolour = green\n[painter b]\ncolour = pink\n"),
			 PARLANCE_EINVAL);
	assert_string_equal(painters[0].options->colour, "green");
	assert_logged("painter:a: keeps its new options, for it does not take back the old ones "
		      "(blue is ugly)");
	painters[1].refuses = NULL;
	assert_int_equal(reload("[painter a]\ncolour = white\n"), 0);
	assert_string_equal(painters[0].options->colour, "white");
}

/* Without reload, no option is reloadable, and what it was given stays. */
static void test_cannot_reload(void **state)
{
	const struct conf_section *const *sections;
	size_t n;

	(void)state;
	(void)add(&stubborn, "default");
	assert_int_equal(create(""), 0);
	sections = plugins_sections(set, &n);
	assert_int_equal(sections[0]->options[0].flags, 0);
	assert_int_equal(reload(""), 0);
	assert_string_equal(painters[0].options->colour, "red");
}

/* A secret that is read once more is the same; another one is another. */
static void test_secrets(void **state)
{
	char path[] = "/tmp/parlance-test-secret-XXXXXX";
	struct parlance_str secrets[3];
	const struct parlance_host *host;
	char err[256];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	start_three();
	host = painters[0].host;
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
		assert_int_equal(pwrite(fd, i < 2 ? "one" : "two", 3, 0), 3);
		assert_int_equal(host->secret(host->ctx, path, &secrets[i], err, sizeof(err)), 0);
	}
	assert_ptr_equal(secrets[0].p, secrets[1].p);
	assert_string_equal(secrets[0].p, "one");
	assert_string_equal(secrets[2].p, "two");
	assert_int_equal(close(fd), 0);
	assert_int_equal(unlink(path), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, plugins_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_take_them), TEST(test_one_refuses), TEST(test_no_way_back),
		TEST(test_cannot_reload), TEST(test_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
