/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The log: the three formats byte for byte, what is escaped, what is cut, who is let through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"

#include "base/clock.h"
#include "base/utf8.h"

#define STAMP "2026-01-31T23:59:59.123Z"

static int fds[2];
static uint64_t mono_ms;

static uint64_t test_mono_ns(void *ctx)
{
	(void)ctx;
	return mono_ms * 1000000;
}

static int64_t test_wall_ms(void *ctx)
{
	(void)ctx;
	return 1769903999123;
}

static const struct clock_source test_clock = { test_mono_ns, test_wall_ms, NULL };

static int setup(void **state)
{
	(void)state;
	clock_set_source(&test_clock);
	return pipe(fds);
}

static int teardown(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_KV, STDERR_FILENO);
	clock_set_source(NULL);
	return close(fds[0]) || close(fds[1]);
}

/* What the log wrote since the last call: one read, for a line is one write. A marker behind it
 * keeps the read from waiting when there was nothing. */
static const char *written(void)
{
	static char text[8192];
	ssize_t n;

	assert_int_equal(write(fds[1], "|", 1), 1);
	n = read(fds[0], text, sizeof(text) - 1);
	assert_true(n > 0);
	text[n - 1] = '\0';
	return text;
}

static void test_formats(void **state)
{
	const struct log_field *fields =
	    LOG_FIELDS(LOG_STR("addr", "192.0.2.1"), LOG_INT("n", INT64_MIN),
		       LOG_UINT("u", UINT64_MAX), LOG_SLICE("s", slice_of("abcdef", 3)));

	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_KV, fds[1]);
	log_warn("net", fields, "connection %s (%d)", "refused", 7);
	assert_string_equal(written(),
			    STAMP " warning net: connection refused (7) addr=192.0.2.1 "
				  "n=-9223372036854775808 u=18446744073709551615 s=abc\n");
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL, fds[1]);
	log_err("net", fields, "gone");
	assert_string_equal(written(), "<3>net: gone addr=192.0.2.1 n=-9223372036854775808 "
				       "u=18446744073709551615 s=abc\n");
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, fds[1]);
	log_notice("net", fields, "gone");
	assert_string_equal(written(),
			    "{\"time\":\"" STAMP "\",\"level\":\"notice\",\"subject\":\"net\","
			    "\"msg\":\"gone\",\"addr\":\"192.0.2.1\",\"n\":-9223372036854775808,"
			    "\"u\":18446744073709551615,\"s\":\"abc\"}\n");
	log_info("net", NULL, "bare");
	assert_string_equal(written(), "{\"time\":\"" STAMP "\",\"level\":\"info\","
				       "\"subject\":\"net\",\"msg\":\"bare\"}\n");
}

static void test_levels(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_WARN, LOG_FORMAT_JOURNAL, fds[1]);
	assert_true(log_enabled(LOG_LEVEL_ERR));
	assert_true(log_enabled(LOG_LEVEL_WARN));
	assert_false(log_enabled(LOG_LEVEL_NOTICE));
	log_notice("x", NULL, "no");
	log_debug("x", NULL, "no");
	assert_string_equal(written(), "");
	log_warn("x", NULL, "yes");
	assert_string_equal(written(), "<4>x: yes\n");
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_JOURNAL, fds[1]);
	log_debug("x", NULL, "yes");
	assert_string_equal(written(), "<7>x: yes\n");
}

/* A value as it stands in a journal line and in a JSON line. */
static void check_value(const char *p, size_t len, const char *kv, const char *json)
{
	const struct log_field *fields = LOG_FIELDS(LOG_SLICE("k", slice_of(p, len)));
	char expected[2048];

	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL, fds[1]);
	log_info("s", fields, "m");
	(void)snprintf(expected, sizeof(expected), "<6>s: m k=%s\n", kv);
	assert_string_equal(written(), expected);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, fds[1]);
	log_info("s", fields, "m");
	(void)snprintf(expected, sizeof(expected),
		       "{\"time\":\"" STAMP "\",\"level\":\"info\",\"subject\":\"s\","
		       "\"msg\":\"m\",\"k\":%s}\n",
		       json);
	assert_string_equal(written(), expected);
}

static void test_values(void **state)
{
	(void)state;
	check_value("", 0, "\"\"", "\"\"");
	check_value(NULL, 0, "\"\"", "\"\"");
	check_value("a b", 3, "\"a b\"", "\"a b\"");
	check_value("a=b", 3, "\"a=b\"", "\"a=b\"");
	check_value("a\"b", 3, "\"a\\\"b\"", "\"a\\\"b\"");
	check_value("a\\b", 3, "\"a\\\\b\"", "\"a\\\\b\"");
	check_value("a\nb", 3, "\"a\\nb\"", "\"a\\nb\"");
	check_value("a\0b", 3, "\"a\\x00b\"", "\"a\\u0000b\"");
	check_value("\x1b[2J", 4, "\"\\x1b[2J\"", "\"\\u001b[2J\"");
	check_value("\x7f", 1, "\"\\x7f\"", "\"\\u007f\"");
	check_value("a\xc2\x9b"
		    "2J",
		    5, "\"a\\x9b2J\"", "\"a\\u009b2J\"");
	check_value("a\xff", 2, "\"a\\xff\"", "\"a\\\\xff\"");
	check_value("\xe2\x82", 2, "\"\\xe2\\x82\"", "\"\\\\xe2\\\\x82\"");
	check_value("gr\xc3\xbc\xc3\x9f", 6, "gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\"");
}

static void test_forged_message(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL, fds[1]);
	log_info("s", NULL, "%s", "a\n<3>net: \"forged\" \\ \r\x1b");
	assert_string_equal(written(), "<6>s: a\\n<3>net: \"forged\" \\\\ \\x0d\\x1b\n");
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, fds[1]);
	log_info("s", NULL, "%s", "a\",\"level\":\"err\n");
	assert_string_equal(written(), "{\"time\":\"" STAMP "\",\"level\":\"info\","
				       "\"subject\":\"s\","
				       "\"msg\":\"a\\\",\\\"level\\\":\\\"err\\n\"}\n");
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text);

	return len >= strlen(end) && strcmp(text + len - strlen(end), end) == 0;
}

static void test_cuts(void **state)
{
	static const enum log_format formats[] = { LOG_FORMAT_JOURNAL, LOG_FORMAT_KV,
						   LOG_FORMAT_JSON };
	struct log_field many[41] = { 0 };
	char value[300];
	char message[5000];
	char expected[400];
	size_t i;
	const char *text;

	(void)state;
	/* 255 bytes and a character of three: it goes as a whole. */
	memset(value, 'v', sizeof(value));
	memcpy(value + 255, "\xe2\x82\xac", 3);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL, fds[1]);
	log_info("s", LOG_FIELDS(LOG_SLICE("k", slice_of(value, sizeof(value)))), "m");
	(void)snprintf(expected, sizeof(expected), "<6>s: m k=\"%.255s…\"\n", value);
	assert_string_equal(written(), expected);
	/* At the bound nothing is cut. */
	memset(value, 'v', sizeof(value));
	log_info("s", LOG_FIELDS(LOG_SLICE("k", slice_of(value, 256))), "m");
	(void)snprintf(expected, sizeof(expected), "<6>s: m k=%.256s\n", value);
	assert_string_equal(written(), expected);

	memset(message, 'm', sizeof(message) - 1);
	message[sizeof(message) - 1] = '\0';
	log_info("s", LOG_FIELDS(LOG_INT("n", 1)), "%s", message);
	text = written();
	assert_int_equal(strlen(text), strlen("<6>s: … n=1\n") + 1023);
	assert_true(ends_with(text, "m… n=1\n"));

	/* Escapes swell a message beyond a line, and so do many fields: it still ends as it should.
	 */
	memset(message, '\x01', 1023);
	message[1023] = '\0';
	for (i = 0; i < ARRAY_LEN(many) - 1; i++)
		many[i] = (struct log_field)LOG_SLICE("key", slice_of(value, 200));
	for (i = 0; i < ARRAY_LEN(formats); i++) {
		bool json = formats[i] == LOG_FORMAT_JSON;

		log_setup(LOG_LEVEL_INFO, formats[i], fds[1]);
		log_info("s", many, "short");
		text = written();
		assert_in_range(strlen(text), 3800, 4096);
		assert_true(ends_with(text, json ? "vv\",\"cut\":1}\n" : "vv cut=1\n"));
		log_info("s", many, "%s", message);
		text = written();
		assert_in_range(strlen(text), 3800, 4096);
		assert_true(ends_with(text, json ? "\\u0001\",\"cut\":1}\n" : "\\x01 cut=1\n"));
		assert_true(utf8_valid(text, strlen(text)));
	}
}

static void test_errno_and_closed_fd(void **state)
{
	(void)state;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_KV, -1);
	errno = ENOTDIR;
	log_err("s", NULL, "nowhere to go");
	log_info("s", NULL, "nor this");
	assert_int_equal(errno, ENOTDIR);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JOURNAL, fds[1]);
	errno = ENOTDIR;
	log_err("s", NULL, "%m");
	assert_int_equal(errno, ENOTDIR);
	assert_string_equal(written(), "<3>s: Not a directory\n"
				       "<3>log: lines were lost (they could not be written: is the "
				       "disk full?) lines=2\n");
	log_info("s", NULL, "once");
	assert_string_equal(written(), "<6>s: once\n");
}

static void test_auto(void **state)
{
	struct stat st;
	char stream[64];

	(void)state;
	assert_int_equal(fstat(fds[1], &st), 0);
	(void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
		       (uintmax_t)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO, fds[1]);
	log_info("s", NULL, "m");
	assert_string_equal(written(), "<6>s: m\n");
	/* Standard error was redirected after systemd set the variable. */
	(void)snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev,
		       (uintmax_t)st.st_ino + 1);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO, fds[1]);
	log_info("s", NULL, "m");
	assert_string_equal(written(), STAMP " info s: m\n");
	assert_int_equal(setenv("JOURNAL_STREAM", "nonsense", 1), 0);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO, fds[1]);
	log_info("s", NULL, "m");
	assert_string_equal(written(), STAMP " info s: m\n");
	assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_AUTO, fds[1]);
	log_info("s", NULL, "m");
	assert_string_equal(written(), STAMP " info s: m\n");
}

static void test_rate(void **state)
{
	struct log_rate rate = LOG_RATE(2, 1000);
	uint32_t suppressed = 99;
	int i;

	(void)state;
	mono_ms = 123456;
	assert_true(log_rate_allow(&rate, &suppressed));
	assert_int_equal(suppressed, 0);
	assert_true(log_rate_allow(&rate, &suppressed));
	for (i = 0; i < 7; i++)
		assert_false(log_rate_allow(&rate, &suppressed));
	mono_ms += 999;
	assert_false(log_rate_allow(&rate, &suppressed));
	mono_ms += 1;
	assert_true(log_rate_allow(&rate, &suppressed));
	assert_int_equal(suppressed, 8);
	assert_true(log_rate_allow(&rate, &suppressed));
	assert_int_equal(suppressed, 0);
	assert_false(log_rate_allow(&rate, &suppressed));
}

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(log_level_parse("err"), LOG_LEVEL_ERR);
	assert_int_equal(log_level_parse("debug"), LOG_LEVEL_DEBUG);
	assert_int_equal(log_level_parse("loud"), 0);
	assert_int_equal(log_format_parse("auto"), LOG_FORMAT_AUTO);
	assert_int_equal(log_format_parse("json"), LOG_FORMAT_JSON);
	assert_int_equal(log_format_parse(""), 0);
}

static void test_rate_of_all(void **state)
{
	uint64_t before = log_lost_lines();

	(void)state;
	mono_ms = 50000;
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_KV, fds[1]);
	log_set_rate(2);
	for (int i = 0; i < 5; i++)
		log_info("s", NULL, "%d", i);
	assert_string_equal(written(), STAMP " info s: 0\n" STAMP " info s: 1\n");
	mono_ms += 1000;
	log_info("s", NULL, "5");
	log_info("s", NULL, "6");
	assert_string_equal(written(),
			    STAMP " warning log: lines were left out (more than "
				  "log.lines_per_second) lines=3\n" STAMP " info s: 5\n");
	assert_int_equal(log_lost_lines() - before, 4);
	log_set_rate(0);
	for (int i = 0; i < 5; i++)
		log_debug("s", NULL, "not at this level");
	log_info("s", NULL, "7");
	assert_string_equal(written(), STAMP " warning log: lines were left out (more than "
					     "log.lines_per_second) lines=1\n" STAMP
					     " info s: 7\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_formats, setup, teardown),
		cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forged_message, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cuts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errno_and_closed_fd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_auto, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate_of_all, setup, teardown),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
