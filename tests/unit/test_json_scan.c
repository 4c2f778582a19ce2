/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * JSON scanner: what RFC 8259 accepts and refuses, elements of arrays, strings, members. Each text
 * lies in a heap block of its own size, so that a read past its end is seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/json_scan.h"

#include "base/err.h"

static struct arena arena;
static char *block;

static struct slice exact(const void *p, size_t len)
{
	free(block);
	block = malloc(len ? len : 1);
	assert_non_null(block);
	memcpy(block, p, len);
	return slice_of(block, len);
}

static struct slice exact_str(const char *str)
{
	return exact(str, strlen(str));
}

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_fini(&arena);
	free(block);
	block = NULL;
	return 0;
}

static void test_valid(void **state)
{
	static const char *const texts[] = {
		"0", "-0", "10", "-1.5", "1e5", "1E+5", "0.0e-0", "123456789012345678901234567890",
		"\"\"", "\"a\"", "true", "false", "null", "{}", "[]", " [ ] ", "\t\r\n{ }\n",
		"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\uDE00\"",
		"\"\\ud800\"", /* a lone surrogate is grammatical (section 8.2) */
		"\"\xc3\xa9 \xf0\x9f\x98\x80 \x7f\"", "[1,2]", "[1 , [2 , {\"a\" : [ ] } ] , 3]",
		"{\"a\":1,\"a\":2}", "{\"\":{}}", "[[],{},[[]],{\"a\":{}}]", "[\"]\",\"}\"]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (json_scan_value(exact_str(texts[i])) != 0)
			fail_msg("refused: %s", texts[i]);
	}
}

static void test_invalid(void **state)
{
	static const char *const texts[] = {
		"", " ", "01", "-", "-a", "+1", ".5", "1.", "1.e5", "1e", "1e+", "0x1", "1a", "NaN",
		"Infinity", "-Infinity", "True", "tru", "truee", "nul", "fals", "\"", "\"a", "\"\\",
		"\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\u123", "\"\n\"", "\"\x1f\"",
		"'a'", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1}", "{", "}", "{]",
		"{\"a\"", "{\"a\":", "{\"a\":}", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{a:1}",
		"{1:1}", "{\"a\" 1}", "{,}", "{\"a\":1]", "[] []", "1 1", "[]]", "/**/1", "1//",
		"\xef\xbb\xbf[]", "\"\xff\"", "\"\xc3\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
		"[[1,2],{\"a\":[}]", "[\"a\":1]", "{\"a\",1}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (json_scan_value(exact_str(texts[i])) != PARLANCE_EINVAL)
			fail_msg("accepted: %s", texts[i]);
	}
	assert_int_equal(json_scan_value(exact("1\0", 2)), PARLANCE_EINVAL);
	assert_int_equal(json_scan_value(exact("\"\0\"", 3)), PARLANCE_EINVAL);
	assert_int_equal(json_scan_value(slice_of(NULL, 0)), PARLANCE_EINVAL);
}

/* Every prefix of a valid container is invalid, and none is read beyond its end. */
static void test_prefixes(void **state)
{
	static const char text[] = "[{\"a\\u00e9\":[1.5e+3,true,null,false,\"\\n\"]},-0]";

	(void)state;
	for (size_t len = 0; len < sizeof(text) - 1; len++)
		assert_int_equal(json_scan_value(exact(text, len)), PARLANCE_EINVAL);
	assert_int_equal(json_scan_value(exact_str(text)), 0);
}

static void test_depth(void **state)
{
	char text[6 * (JSON_DEPTH_MAX + 1) + 1];
	struct slice *elements;
	size_t n;

	(void)state;
	for (size_t depth = JSON_DEPTH_MAX - 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
		int expected = depth <= JSON_DEPTH_MAX ? 0 : PARLANCE_EINVAL;
		size_t len = 0;

		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		assert_int_equal(json_scan_value(exact(text, 2 * depth)), expected);
		assert_int_equal(json_scan_array(exact(text, 2 * depth), &arena, 9, &elements, &n),
				 expected);
		for (size_t i = 0; i < depth; i++) {
			memcpy(text + len, "{\"\":", 4);
			len += 4;
		}
		text[len++] = '1';
		memset(text + len, '}', depth);
		assert_int_equal(json_scan_value(exact(text, len + depth)), expected);
		/* The kinds of the outermost containers are still known at the end. */
		text[len + depth - 1] = ']';
		assert_int_equal(json_scan_value(exact(text, len + depth)), PARLANCE_EINVAL);
	}
}

static void test_array(void **state)
{
	struct slice *elements;
	size_t n;

	(void)state;
	assert_int_equal(json_scan_array(exact_str(" [ 1 ,\"a,]\" , {\"b\":[2,3]},[ ] ] "), &arena,
					 4, &elements, &n),
			 0);
	assert_int_equal(n, 4);
	assert_true(slice_is(elements[0], "1"));
	assert_true(slice_is(elements[1], "\"a,]\""));
	assert_true(slice_is(elements[2], "{\"b\":[2,3]}"));
	assert_true(slice_is(elements[3], "[ ]"));
	assert_int_equal(json_scan_array(exact_str(" [ ] "), &arena, 0, &elements, &n), 0);
	assert_int_equal(n, 0);
	assert_null(elements);
}

static void test_array_invalid(void **state)
{
	static const char *const texts[] = {
		"", " ", "[", "[1", "[1,", "[1,]", "[,]", "[1 2]", "[1]]", "[1]x", "{}", "1",
		"\"[]\"", "[\"\xff\"]", "[1}", "[ ", "[1 ", "[1, ",
	};
	struct slice *elements;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		int rc = json_scan_array(exact_str(texts[i]), &arena, 8, &elements, &n);

		if (rc != PARLANCE_EINVAL)
			fail_msg("accepted: %s", texts[i]);
	}
}

static void test_array_sizes(void **state)
{
	char text[2 * 100 + 2];
	struct slice *elements;
	size_t n;

	(void)state;
	for (size_t count = 1; count <= 100; count++) {
		text[0] = '[';
		for (size_t i = 0; i < count; i++) {
			text[1 + 2 * i] = (char)('0' + i % 10);
			text[2 + 2 * i] = i + 1 < count ? ',' : ']';
		}
		assert_int_equal(json_scan_array(exact(text, 1 + 2 * count), &arena, count,
						 &elements, &n),
				 0);
		assert_int_equal(n, count);
		for (size_t i = 0; i < count; i++) {
			assert_ptr_equal(elements[i].p, block + 1 + 2 * i);
			assert_int_equal(elements[i].len, 1);
		}
		assert_int_equal(json_scan_array(exact(text, 1 + 2 * count), &arena, count - 1,
						 &elements, &n),
				 PARLANCE_ETOOBIG);
	}
}

static void test_out_of_memory(void **state)
{
	struct arena small;
	struct slice *elements;
	struct slice out;
	size_t n;

	(void)state;
	arena_init(&small, 8);
	assert_int_equal(json_scan_array(exact_str("[1]"), &small, 8, &elements, &n),
			 PARLANCE_ENOMEM);
	assert_int_equal(json_string(exact_str("\"0123456789abcdef\""), &small, &out),
			 PARLANCE_ENOMEM);
	assert_int_equal(json_member(exact_str("{\"0123456789abcde\\n\":1}"), "a", &small, &out),
			 PARLANCE_ENOMEM);
	arena_fini(&small);
}

static void test_type(void **state)
{
	static const struct {
		const char *text;
		char type;
	} rows[] = {
		{ "\"a\"", '"' }, { "{}", '{' }, { "[]", '[' }, { "true", 't' }, { "false", 'f' },
		{ "null", 'n' }, { "0", '0' }, { "9", '0' }, { "-1", '0' },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(json_kind(exact_str(rows[i].text)), rows[i].type);
}

static void test_string(void **state)
{
	static const struct {
		const char *json;
		const char *text;
	} rows[] = {
		{ "\"\"", "" },
		{ "\"plain\"", "plain" },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
		{ "\"a\\u0041\\u00e9\\u20ac\\uffffz\"", "aA\xc3\xa9\xe2\x82\xac\xef\xbf\xbfz" },
		{ "\"\\u007f\\u0080\\u07ff\\u0800\"", "\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80" },
		{ "\"\\uD83D\\uDE00\"", "\xf0\x9f\x98\x80" },
		{ "\"\\ud800\\udc00\\udbff\\udfff\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
		{ "\"\\ud83d\"", "\xef\xbf\xbd" },
		{ "\"\\ude00x\"", "\xef\xbf\xbdx" },
		{ "\"\\ud83dx\"", "\xef\xbf\xbdx" },
		{ "\"\\ud83d\\n\"", "\xef\xbf\xbd\n" },
		{ "\"\\ude00\\ude00\"", "\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\"\\ud83d\\ue000\"", "\xef\xbf\xbd\xee\x80\x80" },
		{ "\"\\ud83d\\u0041\"", "\xef\xbf\xbd" "A" },
		{ "\"\\ud83d\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80" },
		{ "\"\xf0\x9f\x98\x80\"", "\xf0\x9f\x98\x80" },
	};
	struct slice out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(json_string(exact_str(rows[i].json), &arena, &out), 0);
		if (!slice_is(out, rows[i].text))
			fail_msg("%s gave %s", rows[i].json, out.p);
		assert_int_equal(out.p[out.len], '\0');
	}
	assert_int_equal(json_string(exact_str("\"a\\u0000b\""), &arena, &out), 0);
	assert_int_equal(out.len, 3);
	assert_memory_equal(out.p, "a\0b", 4);
}

static void test_string_invalid(void **state)
{
	static const char *const texts[] = { "", "1", "\"", "\"a", "\"a\"b", "\"\\\"", "[]" };
	struct slice out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_int_equal(json_string(exact_str(texts[i]), &arena, &out), PARLANCE_EINVAL);
}

static void test_member(void **state)
{
	static const char object[] =
		"{ \"a\" : 1 , \"b\":{\"a\":[2,\"}\"]} ,\"\\u0063\": \"x\" ,\"a\":  [3] , "
		"\"\":null}";
	struct slice value;

	(void)state;
	assert_int_equal(json_member(exact_str(object), "a", &arena, &value), 0);
	assert_true(slice_is(value, "[3]"));
	assert_int_equal(json_member(exact_str(object), "b", &arena, &value), 0);
	assert_true(slice_is(value, "{\"a\":[2,\"}\"]}"));
	assert_int_equal(json_member(exact_str(object), "c", &arena, &value), 0);
	assert_true(slice_is(value, "\"x\""));
	assert_int_equal(json_member(exact_str(object), "", &arena, &value), 0);
	assert_true(slice_is(value, "null"));
	assert_int_equal(json_member(exact_str(object), "d", &arena, &value), PARLANCE_ENOENT);
	assert_int_equal(json_member(exact_str("{ }"), "a", &arena, &value), PARLANCE_ENOENT);
	assert_int_equal(json_member(exact_str("[\"a\"]"), "a", &arena, &value), PARLANCE_ENOENT);
	assert_int_equal(json_member(exact_str(""), "a", &arena, &value), PARLANCE_ENOENT);
	/* A key that only begins with ours, and one with a zero byte behind it. */
	assert_int_equal(json_member(exact_str("{\"ab\":1,\"a\\u0000\":2}"), "a", &arena, &value),
			 PARLANCE_ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_valid, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_invalid, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_prefixes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_depth, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_array, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_array_invalid, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_array_sizes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_type, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_string, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_string_invalid, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_member, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
