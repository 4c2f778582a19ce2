/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Sections whose instances are given (those of plugins), headers without a name, and reading some
 * of the sections only.
 */
#include <unistd.h>
#include "conf_fixture.h"

static struct conf *parse_plugins(const char *text)
{
	struct conf *c;
	int err;

	strbuf_reset(&errors);
	err = conf_parse(&c, plugin_sections, ARRAY_LEN(plugin_sections), "t.conf", text,
			 strlen(text), &errors);
	assert_string_equal(strbuf_cstr(&errors), "");
	assert_int_equal(err, 0);
	return c;
}

static void check_plugin_errors(const char *text, const char *expected)
{
	struct conf *c;

	strbuf_reset(&errors);
	assert_int_equal(conf_parse(&c, plugin_sections, ARRAY_LEN(plugin_sections), "t.conf", text,
				    strlen(text), &errors),
			 PARLANCE_EINVAL);
	assert_string_equal(strbuf_cstr(&errors), expected);
}

static int64_t port_of(const struct conf *c, const char *section, const char *name)
{
	const struct listener *l = conf_get(c, section, name);

	assert_non_null(l);
	return l->port;
}

/* They are all there, in their order, whatever the file says. */
static void test_given(void **state)
{
	struct conf *c = parse_plugins("");
	const char *name;

	(void)state;
	assert_int_equal(port_of(c, "plug", "default"), 8080);
	assert_int_equal(port_of(c, "plug", "local"), 8080);
	assert_int_equal(port_of(c, "other", "local"), 8080);
	assert_null(conf_get(c, "other", "default"));
	conf_free(&c);
	c = parse_plugins("[plug local]\nport = 2\n[plug]\nport = 1\n[other local]\nport = 3\n");
	assert_int_equal(port_of(c, "plug", "default"), 1);
	assert_int_equal(port_of(c, "plug", "local"), 2);
	assert_int_equal(port_of(c, "other", "local"), 3);
	assert_non_null(conf_get_nth(c, "plug", 0, &name));
	assert_string_equal(name, "default");
	assert_non_null(conf_get_nth(c, "plug", 1, &name));
	assert_string_equal(name, "local");
	assert_null(conf_get_nth(c, "plug", 2, NULL));
	conf_free(&c);
	/* With its name and without it is the same one. */
	c = parse_plugins("[plug]\nport = 1\n[plug default]\naddress = a\n");
	assert_int_equal(port_of(c, "plug", "default"), 1);
	conf_free(&c);
	check_plugin_errors("[plug]\nport = 1\n[plug default]\nport = 2\n",
			    "t.conf:4: port of [plug] was set in line 2 already; keep one of "
			    "them\n");
}

static void test_not_given(void **state)
{
	(void)state;
	check_plugin_errors("[plug lokal]\nport = 1\n",
			    "t.conf:1: no [plug lokal] is loaded; there is [plug], [plug local]\n");
	check_plugin_errors("[other default]\n",
			    "t.conf:1: no [other default] is loaded; there is [other local]\n");
	check_plugin_errors("[other]\n",
			    "t.conf:1: [other] needs a name of its own; write [other local]\n");
}

/* A header without a name means the implicit instance. */
static void test_bare(void **state)
{
	struct conf *c = parse_plugins("[peer]\nport = 5\n");

	(void)state;
	assert_int_equal(port_of(c, "peer", "self"), 5);
	assert_null(conf_get_nth(c, "peer", 1, NULL));
	conf_free(&c);
	c = parse_plugins("[peer other]\n[peer]\nport = 5\n");
	assert_int_equal(port_of(c, "peer", "self"), 5);
	assert_non_null(conf_get(c, "peer", "other"));
	conf_free(&c);
}

static void test_overrides(void **state)
{
	static const char *const good[] = { "plug.port=1", "plug.local.port=2", "other.local.port=3",
					    "peer.port=4" };
	static const char *const bad[] = { "other.port=1", "plug.x.port=2" };
	struct conf *c;

	(void)state;
	assert_int_equal(conf_load(&c, plugin_sections, ARRAY_LEN(plugin_sections), NULL, good,
				   ARRAY_LEN(good), &errors),
			 0);
	assert_int_equal(port_of(c, "plug", "default"), 1);
	assert_int_equal(port_of(c, "plug", "local"), 2);
	assert_int_equal(port_of(c, "other", "local"), 3);
	assert_int_equal(port_of(c, "peer", "self"), 4);
	conf_free(&c);
	assert_int_equal(conf_load(&c, plugin_sections, ARRAY_LEN(plugin_sections), NULL, bad,
				   ARRAY_LEN(bad), &errors),
			 PARLANCE_EINVAL);
	assert_string_equal(strbuf_cstr(&errors),
			    "override 1 (other.port): [other] needs a name of its own; write "
			    "[other "
			    "local]\n"
			    "override 2 (plug.x.port): no [plug x] is loaded; there is [plug], "
			    "[plug "
			    "local]\n");
}

static void test_dump_and_sample(void **state)
{
	struct strbuf out;
	struct strbuf again;
	struct conf *c = parse_plugins("[plug local]\nport = 2\n");

	(void)state;
	strbuf_init(&out, SIZE_MAX);
	strbuf_init(&again, SIZE_MAX);
	conf_dump(c, &out);
	conf_free(&c);
	assert_string_equal(strbuf_cstr(&out), "[plug]\nport = 8080\naddress = 127.0.0.1\n\n"
					       "[plug local]\nport = 2\naddress = 127.0.0.1\n\n"
					       "[other local]\nport = 8080\naddress = 127.0.0.1\n\n"
					       "[peer self]\nport = 8080\naddress = 127.0.0.1\n");
	c = parse_plugins(strbuf_cstr(&out));
	conf_dump(c, &again);
	conf_free(&c);
	assert_string_equal(strbuf_cstr(&out), strbuf_cstr(&again));
	strbuf_reset(&out);
	conf_sample(plugin_sections, ARRAY_LEN(plugin_sections), &out);
	assert_non_null(strstr(strbuf_cstr(&out), "# A plugin.\n#[plug]\n#[plug local]\n"));
	assert_non_null(strstr(strbuf_cstr(&out), "# Another plugin.\n#[other local]\n"));
	c = parse_plugins(strbuf_cstr(&out));
	conf_free(&c);
	strbuf_fini(&again);
	strbuf_fini(&out);
}

static char path[] = "/tmp/parlance-test-conf-XXXXXX";

static int load_some(struct conf **c, const char *text, const char *const *overrides, size_t n)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	strbuf_reset(&errors);
	return conf_load_some(c, sections, 1, path, overrides, n, &errors); /* [engine] alone */
}

static void test_some(void **state)
{
	static const char *const overrides[] = { "unknown.x.y=1", "unknown.z=1", "engine.offset=3" };
	static const char *const bad[] = { "unknown.x.y=1", "engine.ofset=3" };
	struct conf *c;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	/* Whatever the others are like, down to their syntax. */
	assert_int_equal(load_some(&c,
				   "[unknown]\nnonsense\noption = \x01\nvalue = a \\\n b\n"
				   "[engine]\ncors = yes\n[unknown two]\n= 1\ncors = no\n"
				   "x = 1\n[engine]\npath = /p\n[unknown]\ny = \\\n",
				   overrides, 3),
			 0);
	assert_string_equal(strbuf_cstr(&errors), "");
	assert_true(engine_of(c)->cors);
	assert_string_equal(engine_of(c)->path, "/p");
	assert_int_equal(engine_of(c)->offset, 3);
	conf_free(&c);
	assert_int_equal(load_some(&c, "[unknown]\nx\n[engine]\ncors = 5\nx\n[y]\nz\n", bad, 2),
			 PARLANCE_EINVAL);
	assert_null(c);
	{
		char expected[512];

		(void)snprintf(expected, sizeof(expected),
			       "%s:4: cors of [engine] cannot be \"5\"; write yes or no\n"
			       "%s:5: not understood; write \"name = value\" or \"[section]\"\n"
			       "override 2 (engine.ofset): unknown option \"ofset\" in "
			       "[engine]; did "
			       "you mean \"offset\"?\n",
			       path, path);
		assert_string_equal(strbuf_cstr(&errors), expected);
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(conf_load_some(&c, sections, 1, path, NULL, 0, &errors), PARLANCE_ENOENT);
}

static void check_name(const char *name, bool expected)
{
	assert_int_equal(conf_is_instance_name(slice_str(name)), expected);
}

static void test_names(void **state)
{
	(void)state;
	check_name("default", true);
	check_name("a.B-9_", true);
	check_name("", false);
	check_name("a b", false);
	check_name("a:b", false);
	check_name("a/b", false);
	check_name("1234567890123456789012345678901234567890123456789012345678901234", true);
	check_name("12345678901234567890123456789012345678901234567890123456789012345", false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_given, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_given, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bare, setup, teardown),
		cmocka_unit_test_setup_teardown(test_overrides, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dump_and_sample, setup, teardown),
		cmocka_unit_test_setup_teardown(test_some, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
