/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * String builder: growth, the bound, the sticky failure, JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/strbuf.h"

#include "base/err.h"

static void test_append(void **state)
{
	struct strbuf sb;
	int i;

	(void)state;
	strbuf_init(&sb, SIZE_MAX);
	assert_string_equal(strbuf_cstr(&sb), "");
	assert_null(sb.data);
	strbuf_append(&sb, NULL, 0);
	assert_null(sb.data);
	strbuf_append_str(&sb, "one");
	strbuf_append_char(&sb, ' ');
	strbuf_append_slice(&sb, slice_of("two!!", 3));
	strbuf_append_char(&sb, ' ');
	strbuf_append_u64(&sb, 0);
	strbuf_append_char(&sb, ' ');
	strbuf_append_u64(&sb, UINT64_MAX);
	strbuf_printf(&sb, " %s=%d", "x", -7);
	assert_string_equal(strbuf_cstr(&sb), "one two 0 18446744073709551615 x=-7");
	assert_int_equal(sb.len, strlen(sb.data));
	strbuf_reset(&sb);
	assert_string_equal(strbuf_cstr(&sb), "");
	for (i = 0; i < 10000; i++)
		strbuf_printf(&sb, "%05d", i);
	assert_true(strbuf_ok(&sb));
	assert_int_equal(sb.len, 50000);
	assert_memory_equal(sb.data + 49995, "09999", 6);
	strbuf_fini(&sb);
	assert_null(sb.data);
	strbuf_append_str(&sb, "again");
	assert_string_equal(strbuf_cstr(&sb), "again");
	strbuf_fini(&sb);
}

/* The bound holds to the byte, and what does not fit leaves what was there. */
static void test_bound(void **state)
{
	struct strbuf sb;

	(void)state;
	strbuf_init(&sb, 100);
	strbuf_printf(&sb, "%099d", 1);
	strbuf_append_char(&sb, 'x');
	assert_true(strbuf_ok(&sb));
	assert_int_equal(sb.len, 100);
	assert_int_equal(sb.cap, 101);
	strbuf_append_char(&sb, 'y');
	assert_int_equal(sb.err, PARLANCE_ETOOBIG);
	assert_int_equal(sb.len, 100);
	strbuf_reset(&sb);
	assert_true(strbuf_ok(&sb));
	strbuf_printf(&sb, "%0101d", 1);
	assert_int_equal(sb.err, PARLANCE_ETOOBIG);
	/* Sticky: what would fit is refused, too, so that no text lacks its middle. */
	strbuf_append_str(&sb, "a");
	strbuf_printf(&sb, "%d", 1);
	strbuf_append_json(&sb, "a", 1);
	assert_null(strbuf_reserve(&sb, 1));
	assert_null(strbuf_steal(&sb, NULL));
	assert_string_equal(strbuf_cstr(&sb), "");
	assert_int_equal(sb.err, PARLANCE_ETOOBIG);
	strbuf_reset(&sb);
	strbuf_append(&sb, "a", SIZE_MAX);
	assert_int_equal(sb.err, PARLANCE_ETOOBIG);
	strbuf_fini(&sb);
}

static void check_json(const char *in, size_t len, const char *expected)
{
	struct strbuf sb;

	strbuf_init(&sb, 1000);
	strbuf_append_json(&sb, in, len);
	assert_string_equal(strbuf_cstr(&sb), expected);
	strbuf_fini(&sb);
}

static void test_json(void **state)
{
	(void)state;
	check_json("", 0, "\"\"");
	check_json(NULL, 0, "\"\"");
	check_json("plain", 5, "\"plain\"");
	check_json("a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"");
	check_json("\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"");
	check_json("\0\x01\x1f\x7f", 4, "\"\\u0000\\u0001\\u001f\x7f\"");
	check_json("h\xc3\xa9\xe2\x80\xa8", 6, "\"h\xc3\xa9\xe2\x80\xa8\"");
}

static void test_reserve_and_steal(void **state)
{
	struct strbuf sb;
	size_t len;
	char *p;

	(void)state;
	strbuf_init(&sb, 1000);
	strbuf_append_str(&sb, "ab");
	p = strbuf_reserve(&sb, 500);
	assert_non_null(p);
	memset(p, 'c', 500);
	strbuf_commit(&sb, 3);
	assert_string_equal(strbuf_cstr(&sb), "abccc");
	p = strbuf_steal(&sb, &len);
	assert_string_equal(p, "abccc");
	assert_int_equal(len, 5);
	free(p);
	assert_int_equal(sb.len, 0);
	assert_null(sb.data);
	/* Empty is a text as well. */
	p = strbuf_steal(&sb, &len);
	assert_string_equal(p, "");
	assert_int_equal(len, 0);
	free(p);
	assert_int_equal(sb.max, 1000);
	strbuf_fini(&sb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_reserve_and_steal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
