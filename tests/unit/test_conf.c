/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Values: defaults, and every type right and wrong. The messages are checked word for word,
 * for they are what an administrator has.
 */
#include "conf_fixture.h"

static void test_defaults(void **state)
{
	struct conf *c = parse_ok("");
	const struct engine *e = engine_of(c);
	const struct listener *l;

	(void)state;
	assert_false(e->cors);
	assert_int_equal(e->ping_interval_ms, 25000);
	assert_string_equal(e->path, "/socket.io/");
	assert_string_equal(e->token, "");
	assert_int_equal(e->transport, 30);
	assert_int_equal(e->origins.n, 0);
	assert_null(conf_get(c, "listener", "public"));
	assert_null(conf_get_nth(c, "listener", 0, NULL));
	l = conf_get(c, "peer", "self");
	assert_non_null(l);
	assert_int_equal(l->port, 8080);
	assert_null(conf_get_nth(c, "peer", 1, NULL));
	conf_free(&c);
	/* One in the file takes its place. */
	c = parse_ok("[peer other]\n");
	assert_null(conf_get(c, "peer", "self"));
	assert_non_null(conf_get(c, "peer", "other"));
	conf_free(&c);
	assert_null(c);
	conf_free(&c);
}

static void test_values(void **state)
{
	struct conf *c = parse_ok("\xef\xbb\xbf# a comment\r\n"
				  "\r\n"
				  "  ; another \x01\xff\n"
				  " [ engine ] # here, too\n"
				  "cors=On\r\n"
				  "\tping_interval_ms : 600000 ; and here\n"
				  "  offset = -9223372036854775808\n"
				  "path = /p\xc3\xa4th # 1;2 = 3\n"
				  "token = s3cret\n"
				  "transport = websocket\n"
				  "origins = https://a.example , ,b,,\n"
				  "keys = k1\n"
				  "[listener\tpublic]\n"
				  "port = 0\n"
				  "[listener b.2-c_]\n"
				  "[engine]");
	const struct engine *e = engine_of(c);
	const struct listener *l = conf_get(c, "listener", "public");
	const char *name = NULL;

	(void)state;
	assert_true(e->cors);
	assert_int_equal(e->ping_interval_ms, 600000);
	assert_true(e->offset == INT64_MIN);
	assert_string_equal(e->path, "/p\xc3\xa4th # 1;2 = 3");
	assert_string_equal(e->token, "s3cret");
	assert_int_equal(e->transport, 20);
	assert_int_equal(e->origins.n, 2);
	assert_string_equal(e->origins.items[0], "https://a.example");
	assert_string_equal(e->origins.items[1], "b");
	assert_non_null(l);
	assert_int_equal(l->port, 0);
	assert_string_equal(l->address, "127.0.0.1");
	assert_ptr_equal(conf_get_nth(c, "listener", 0, &name), l);
	assert_string_equal(name, "public");
	l = conf_get_nth(c, "listener", 1, &name);
	assert_non_null(l);
	assert_int_equal(l->port, 8080);
	assert_string_equal(name, "b.2-c_");
	assert_null(conf_get_nth(c, "listener", 2, &name));
	conf_free(&c);
}

static void check_bool(const char *word, bool expected)
{
	struct conf *c;
	char text[64];

	(void)snprintf(text, sizeof(text), "[engine]\ncors = %s\n", word);
	c = parse_ok(text);
	assert_int_equal(engine_of(c)->cors, expected);
	conf_free(&c);
}

static void test_bool(void **state)
{
	(void)state;
	check_bool("yes", true);
	check_bool("TRUE", true);
	check_bool("on", true);
	check_bool("1", true);
	check_bool("no", false);
	check_bool("False", false);
	check_bool("off", false);
	check_bool("0", false);
	check_errors("[engine]\ncors = maybe\n",
		     "t.conf:2: cors of [engine] cannot be \"maybe\"; write yes or no\n");
	check_errors("[engine]\ncors =\n",
		     "t.conf:2: cors of [engine] cannot be \"\"; write yes or no\n");
}

static void check_int(const char *number, int64_t expected)
{
	struct conf *c;
	char text[64];

	(void)snprintf(text, sizeof(text), "[engine]\noffset = %s\n", number);
	c = parse_ok(text);
	assert_true(engine_of(c)->offset == expected);
	conf_free(&c);
}

static void check_no_int(const char *number)
{
	char text[128];
	char expected[256];

	(void)snprintf(text, sizeof(text), "[engine]\noffset = %s\n", number);
	(void)snprintf(expected, sizeof(expected),
		       "t.conf:2: offset of [engine] cannot be \"%s\"; write a whole number\n",
		       number);
	check_errors(text, expected);
}

static void test_int(void **state)
{
	(void)state;
	check_int("0", 0);
	check_int("-0", 0);
	check_int("007", 7);
	check_int("9223372036854775807", INT64_MAX);
	check_int("-9223372036854775808", INT64_MIN);
	check_no_int("9223372036854775808");
	check_no_int("-9223372036854775809");
	check_no_int("99999999999999999999999");
	check_no_int("");
	check_no_int("-");
	check_no_int("+1");
	check_no_int("--1");
	check_no_int("0x10");
	check_no_int("1 000");
	check_no_int("1e3");
	check_no_int("25s");
	check_errors(
	    "[engine]\nping_interval_ms = 99\n",
	    "t.conf:2: ping_interval_ms of [engine] cannot be \"99\"; write a whole number "
	    "of ms from 100 to 600000\n");
	check_errors("[engine]\nping_interval_ms = 600001\n",
		     "t.conf:2: ping_interval_ms of [engine] cannot be \"600001\"; write a whole "
		     "number of ms from 100 to 600000\n");
}

static void test_string_and_enum(void **state)
{
	(void)state;
	check_errors("[engine]\npath =\n",
		     "t.conf:2: path of [engine] cannot be \"\"; write text of 1 to 300 bytes\n");
	check_errors("[engine]\ntransport = Both\n",
		     "t.conf:2: transport of [engine] cannot be \"Both\"; write one of polling, "
		     "websocket, both\n");
	/* A long value is cut at a character's end. */
	check_errors(
	    "[engine]\n"
	    "cors = 123456789012345678901234567890123456789012345678901234567890123\xc3\xa4\n",
	    "t.conf:2: cors of [engine] cannot be "
	    "\"123456789012345678901234567890123456789012345678901234567890123\" …; write "
	    "yes or no\n");
}

static void test_secret_is_not_told(void **state)
{
	struct strbuf out;
	struct conf *c;

	(void)state;
	check_errors(
	    "[engine]\ntoken = 123456789012345678901\nkeys = a,;b\ntoken 12345\n",
	    "t.conf:2: token of [engine] does not fit (it is secret and not shown); write "
	    "text of 0 to 20 bytes\n"
	    "t.conf:3: keys of [engine] has a ';' where a comment would begin; put comments "
	    "on lines of their own\n"
	    "t.conf:4: not understood; write \"name = value\" or \"[section]\"\n");
	strbuf_init(&out, SIZE_MAX);
	c = parse_ok("[engine]\ntoken = hunter2\nkeys = hunter3\n");
	conf_dump(c, &out);
	assert_null(strstr(strbuf_cstr(&out), "hunter"));
	assert_non_null(strstr(strbuf_cstr(&out), "# token = (set)\n"));
	assert_non_null(strstr(strbuf_cstr(&out), "# keys = (set)\n"));
	conf_free(&c);
	strbuf_reset(&out);
	c = parse_ok("");
	conf_dump(c, &out);
	assert_non_null(strstr(strbuf_cstr(&out), "# token = (not set)\n"));
	assert_non_null(strstr(strbuf_cstr(&out), "# keys = (not set)\n"));
	conf_free(&c);
	strbuf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bool, setup, teardown),
		cmocka_unit_test_setup_teardown(test_int, setup, teardown),
		cmocka_unit_test_setup_teardown(test_string_and_enum, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secret_is_not_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
