/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * UTF-8: every code point there is, every malformed kind, and both at all places of a block of
 * eight.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdbool.h>
#include <string.h>
#include <cmocka.h>

#include "base/utf8.h"

/* Encodes as RFC 3629 section 3 has it, surrogates and numbers above U+10FFFF as well. */
static size_t encode(uint32_t cp, char *out)
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	if (cp < 0x800) {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 63));
		return 2;
	}
	if (cp < 0x10000) {
		out[0] = (char)(0xe0 | cp >> 12);
		out[1] = (char)(0x80 | (cp >> 6 & 63));
		out[2] = (char)(0x80 | (cp & 63));
		return 3;
	}
	out[0] = (char)(0xf0 | cp >> 18);
	out[1] = (char)(0x80 | (cp >> 12 & 63));
	out[2] = (char)(0x80 | (cp >> 6 & 63));
	out[3] = (char)(0x80 | (cp & 63));
	return 4;
}

static void test_all_code_points(void **state)
{
	uint32_t cp;

	(void)state;
	for (cp = 0; cp < 0x1fffff; cp++) {
		bool expected = cp < 0xd800 || (cp > 0xdfff && cp <= 0x10ffff);
		char text[4];
		size_t len = encode(cp, text);
		size_t cut;

		if (utf8_valid(text, len) != expected)
			fail_msg("U+%04X", (unsigned int)cp);
		if (!expected)
			continue;
		if (utf8_utf16_len(text, len) != (cp >= 0x10000 ? 2 : 1))
			fail_msg("U+%04X", (unsigned int)cp);
		if (utf8_whole_len(text, len) != len)
			fail_msg("U+%04X", (unsigned int)cp);
		for (cut = 1; cut < len; cut++) {
			if (utf8_valid(text, cut) || utf8_whole_len(text, cut) != 0)
				fail_msg("U+%04X cut to %zu", (unsigned int)cp, cut);
		}
	}
}

static void test_malformed(void **state)
{
	static const char *const malformed[] = {
		"\x80",
		"\xbf",
		"\xc0\x80",
		"\xc1\xbf",
		"\xe0\x80\x80",
		"\xe0\x9f\xbf",
		"\xf0\x80\x80\x80",
		"\xf0\x8f\xbf\xbf",
		"\xed\xa0\x80",
		"\xed\xbf\xbf",
		"\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80",
		"\xfe",
		"\xff",
		"\xc3\xc3",
		"\xe2\x82\x41",
		"\xf0\x9f\x98\x41",
		"\xf0\x9f\x41\x80",
		"\xf8\x88\x80\x80\x80",
	};
	char text[40];
	size_t i;
	size_t at;

	(void)state;
	for (i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		size_t len = strlen(malformed[i]);

		for (at = 0; at + len <= 24; at++) {
			memset(text, 'a', 24);
			assert_true(utf8_valid(text, 24));
			memcpy(text + at, malformed[i], len);
			assert_false(utf8_valid(text, 24));
			assert_false(utf8_valid(text, at + len));
		}
	}
	/* Two-byte sequences for whatever fits into one byte. */
	for (i = 0; i < 0x80; i++) {
		text[0] = (char)(0xc0 | i >> 6);
		text[1] = (char)(0x80 | (i & 63));
		assert_false(utf8_valid(text, 2));
	}
}

static void test_blocks(void **state)
{
	char text[32];
	size_t at;

	(void)state;
	assert_true(utf8_valid(NULL, 0));
	assert_true(utf8_valid("\0\0\0\0\0\0\0\0\0", 9));
	for (at = 0; at + 4 <= sizeof(text); at++) {
		memset(text, 'a', sizeof(text));
		memcpy(text + at, "\xf0\x9f\x98\x80", 4);
		assert_true(utf8_valid(text, sizeof(text)));
		assert_false(utf8_valid(text, at + 3));
		assert_true(utf8_valid(text, at));
		assert_int_equal(utf8_utf16_len(text, sizeof(text)), sizeof(text) - 2);
	}
}

static void test_whole_len(void **state)
{
	(void)state;
	assert_int_equal(utf8_whole_len(NULL, 0), 0);
	assert_int_equal(utf8_whole_len("abc", 3), 3);
	assert_int_equal(utf8_whole_len("ab\xc3\xa9", 3), 2);
	assert_int_equal(utf8_whole_len("ab\xc3\xa9", 4), 4);
	assert_int_equal(utf8_whole_len("a\xf0\x9f\x98\x80", 4), 1);
	assert_int_equal(utf8_whole_len("a\xf0\x9f\x98\x80", 2), 1);
	/* Of what is malformed it takes nothing away. */
	assert_int_equal(utf8_whole_len("\x80\x80\x80\x80\x80", 5), 5);
	assert_int_equal(utf8_whole_len("\x80", 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_code_points),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_whole_len),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
