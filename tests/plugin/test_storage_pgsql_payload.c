/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* storage_pgsql: what is taken for an event, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "storage_pgsql/payload.h"

#define ROOM "0190a6b2-0000-7000-8000-00000000aBcD"
#define MEMBERS(room, seq, type) "{\"r\":" room ",\"s\":" seq ",\"t\":" type
#define HEAD MEMBERS("\"" ROOM "\"", "12", "\"message.new\"")
#define WITH_ROOM(room) MEMBERS(room, "1", "\"a\"") "}"
#define WITH_SEQ(seq) MEMBERS("\"" ROOM "\"", seq, "\"a\"") "}"
#define WITH_TYPE(type) MEMBERS("\"" ROOM "\"", "1", type) "}"

static struct payload got;

/* On memory that ends with the text, so that the sanitizer sees a read beyond it. */
static bool parse_n(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);
	bool ok;

	assert_non_null(copy);
	memcpy(copy, text, len);
	ok = payload_parse((struct parlance_str){ copy, len }, &got);
	if (ok) {
		assert_int_equal(got.room.len, 36);
		assert_true(got.room.p >= copy && got.room.p + 36 < copy + len);
		assert_true(got.seq > 0);
	}
	free(copy);
	return ok;
}

static bool parse(const char *text)
{
	return parse_n(text, strlen(text));
}

static void test_ours(void **state)
{
	static const char text[] = "{\"r\" : \"" ROOM "\", \"k\" : \"c\", "
				   "\"s\" : 999999999999999999, \"t\" : \"message.new\", "
				   "\"o\":null, \"b\" : {\"r\":[1,-2.5e+3]}}";

	(void)state;
	assert_true(payload_parse((struct parlance_str){ text, sizeof(text) - 1 }, &got));
	assert_int_equal(got.room.len, 36);
	assert_memory_equal(got.room.p, ROOM, 36);
	assert_int_equal(got.type.len, 11);
	assert_memory_equal(got.type.p, "message.new", 11);
	assert_int_equal(got.seq, 999999999999999999);
	assert_true(got.body);
	assert_true(parse(HEAD "}"));
	assert_int_equal(got.seq, 12);
	assert_false(got.body);
	/* What the event was about is gone: it is whole all the same. */
	assert_true(parse(HEAD ",\"b\":null}"));
	assert_true(got.body);
	/* Names that only begin like ours, and strangers' ones. */
	assert_true(parse(HEAD ",\"ss\":\"x\",\"\":0,\"\\u0073\":0,\"\xc3\xa9\":true}"));
}

static void test_values(void **state)
{
	static const char *const good[] = {
		"0", "-0", "1.5", "1e9", "1E-9", "[]", "[ ]", "[[],{}]", "{}", "{ }", "\t1\r\n",
		"{\"a\":{\"b\":[null,true,false]}}", "\"\"",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u12aF\"",
	};
	static const char *const bad[] = {
		"", "01", "-", "1.", ".5", "1e", "1e+", "+1", "nul", "nullx", "True", "1 2",
		"'x'", "\"", "\"\\", "\"\\x\"", "\"\\u12g0\"", "\"\\u12", "\"\x01\"", "\"\n\"",
		"[", "[1", "[1,", "[1,]", "[,]", "]", "[}", "{", "{1:2}", "{\"a\"", "{\"a\":",
		"{\"a\":1,", "{\"a\":1,}", "{,}", "{]", "\x7f",
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text), HEAD ",\"x\":%s}", good[i]);
		if (!parse(text))
			fail_msg("refused: %s", good[i]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), HEAD ",\"x\":%s}", bad[i]);
		if (parse(text))
			fail_msg("taken: %s", bad[i]);
	}
}

static void test_not_ours(void **state)
{
	static const char *const bad[] = {
		"", " ", "{}", "null", "[" HEAD "}]", HEAD, HEAD "} ", " " HEAD "}", HEAD "}}",
		HEAD ",}", HEAD ",\"b\":1}", HEAD ",\"b\":[]}", HEAD ",\"b\":\"{}\"}",
		/* Twice the same name. */
		HEAD ",\"s\":12}", HEAD ",\"r\":\"" ROOM "\"}", HEAD ",\"t\":\"a\"}",
		HEAD ",\"b\":{},\"b\":{}}",
		/* Not of the right kind. */
		WITH_SEQ("\"12\""), WITH_SEQ("0"), WITH_SEQ("-1"), WITH_SEQ("1.0"),
		WITH_SEQ("1000000000000000000"), WITH_SEQ("null"), WITH_TYPE("\"\""),
		WITH_TYPE("\"A\""), WITH_TYPE("\"a b\""), WITH_TYPE("\"\\u0061\""),
		WITH_TYPE("7"), WITH_ROOM("\"x" ROOM "\""), WITH_ROOM("7"),
		WITH_ROOM("\"0190a6b2-0000-7000-8000-00000000aBcG\""),
		WITH_ROOM("\"0190a6b2-0000-7000-80000-0000000aBcD\""),
		/* Something is missing. */
		"{\"s\":1,\"t\":\"a\"}", "{\"r\":\"" ROOM "\",\"t\":\"a\"}",
		"{\"r\":\"" ROOM "\",\"s\":1}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (parse(bad[i]))
			fail_msg("taken: %s", bad[i]);
	}
	assert_true(parse(WITH_SEQ("1")));
}

static void test_depth(void **state)
{
	char text[1024];

	(void)state;
	for (int depth = 1; depth < 200; depth++) {
		int n = snprintf(text, sizeof(text), HEAD ",\"b\":{\"x\":");

		memset(text + n, '[', (size_t)depth);
		memset(text + n + depth, ']', (size_t)depth);
		snprintf(text + n + 2 * depth, sizeof(text) - (size_t)(n + 2 * depth), "}}");
		assert_int_equal(parse(text), depth <= 62);
	}
}

/* A text of ours, cut anywhere or with any byte changed, is read to its end and no further. */
static void test_damaged(void **state)
{
	char text[] = HEAD ",\"o\":null,\"b\":{\"a\":[1.5e+3,\"\\u00e9\\n\",true],\"c\":{}}}";
	size_t len = sizeof(text) - 1;

	(void)state;
	for (size_t i = 0; i < len; i++)
		assert_false(parse_n(text, i));
	for (size_t i = 0; i < len; i++) {
		char kept = text[i];

		for (int c = 0; c < 256; c++) {
			text[i] = (char)c;
			(void)parse_n(text, len);
		}
		text[i] = kept;
	}
	assert_true(parse_n(text, len));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ours),	 cmocka_unit_test(test_values),
		cmocka_unit_test(test_not_ours), cmocka_unit_test(test_depth),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
