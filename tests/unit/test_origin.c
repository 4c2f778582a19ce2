/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Origins: which entries may be configured, and which values of browsers they allow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/origin.h"

#include "base/err.h"

static struct slice exact(const char *text, char **block)
{
	size_t len = strlen(text);

	*block = malloc(len ? len : 1);
	assert_non_null(*block);
	memcpy(*block, text, len);
	return slice_of(*block, len);
}

static int check(const char *text)
{
	char *block;
	int rc = origin_entry_check(exact(text, &block));

	free(block);
	return rc;
}

static bool allowed(const char *entry, const char *origin)
{
	char *block;
	bool ok = origin_allowed(&entry, 1, exact(origin, &block));

	free(block);
	return ok;
}

static void test_entry_valid(void **state)
{
	static const char *const entries[] = {
		"*", "null", "http://localhost", "http://localhost:3000", "https://example.com",
		"https://*.example.com", "https://*.example.com:8443", "http://127.0.0.1:80",
		"http://[::1]", "http://[::1]:3000", "capacitor://localhost", "https://a_b.c-d.e",
		"chrome-extension://abcdefghijklmnop", "http://a:1", "http://a:65535",
		"coap+tcp://x", "https://*.com",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		if (check(entries[i]))
			fail_msg("refused: %s", entries[i]);
	}
}

static void test_entry_invalid(void **state)
{
	static const char *const entries[] = {
		"", "**", "Null", "example.com", "//example.com", "://example.com", "http:",
		"http:/", "http://", "http:///", "http://a/", "http://a/b", "http://a?b",
		"http://a#b", "http://u@a", "http://a b", "http://a,http://b", "http://A",
		"HTTP://a", "1http://a", "ht_tp://a", "http://a:", "http://a:0", "http://a:65536",
		"http://a:080", "http://a:100000", "http://a:+80", "http://a:b", "http://a:1:2",
		"http://:80", "http://.a", "http://a.", "http://a..b", "http://*", "http://*.",
		"http://*a.b", "http://a.*.b", "http://*.*.b", "http://*.[::1]", "http://[::1",
		"http://::1", "http://[1.2.3.4]", "http://[::1]x", "http://[::g]", "http://[]",
		"http://\xc3\xa9.com", "http://a\x01", "http://[::1]:", " http://a", "http://a ",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
		if (check(entries[i]) != PARLANCE_EINVAL)
			fail_msg("accepted: %s", entries[i]);
	}
	assert_int_equal(origin_entry_check(slice_of("http://a\0", 9)), PARLANCE_EINVAL);
	assert_int_equal(origin_entry_check(slice_of(NULL, 0)), PARLANCE_EINVAL);
}

static void test_allowed(void **state)
{
	static const struct {
		const char *entry;
		const char *origin;
		bool allowed;
	} rows[] = {
		{ "https://example.com", "https://example.com", true },
		{ "https://example.com", "HTTPS://Example.COM", true },
		{ "https://example.com", "https://example.com:443", true },
		{ "https://example.com:443", "https://example.com", true },
		{ "http://example.com", "http://example.com:80", true },
		{ "http://example.com", "http://example.com:443", false },
		{ "https://example.com", "https://example.com:80", false },
		{ "https://example.com", "http://example.com", false },
		{ "https://example.com", "https://example.com:8443", false },
		{ "https://example.com:8443", "https://example.com:8443", true },
		{ "https://example.com:8443", "https://example.com", false },
		{ "https://example.com", "https://a.example.com", false },
		{ "https://example.com", "https://example.com.evil.com", false },
		{ "https://example.com", "https://example.comx", false },
		{ "https://example.com", "https://example.com/", false },
		{ "https://example.com", "https://evil.com/https://example.com", false },
		{ "https://example.com", "https://example.com@evil.com", false },
		{ "https://example.com", "https://example.com https://evil.com", false },
		{ "https://example.com", "null", false },
		{ "https://example.com", "", false },
		{ "https://example.com", "example.com", false },
		{ "https://*.example.com", "https://a.example.com", true },
		{ "https://*.example.com", "https://a.B.example.com", true },
		{ "https://*.example.com", "https://a.example.com:443", true },
		{ "https://*.example.com", "https://example.com", false },
		{ "https://*.example.com", "https://.example.com", false },
		{ "https://*.example.com", "https://*.example.com", false },
		{ "https://*.example.com", "https://aexample.com", false },
		{ "https://*.example.com", "https://a.bexample.com", false },
		{ "https://*.example.com", "https://*.a.example.com", false },
		{ "https://example.com", "https://*.example.com", false },
		{ "https://*.example.com", "https://a.example.com:8443", false },
		{ "https://*.example.com", "http://a.example.com", false },
		{ "https://*.example.com:1", "https://a.example.com:1", true },
		{ "http://[::1]:3000", "http://[::1]:3000", true },
		{ "http://[fe80::a]", "http://[FE80::A]:80", true },
		{ "http://[::1]:3000", "http://[::1]", false },
		{ "capacitor://localhost", "capacitor://localhost", true },
		{ "null", "null", true },
		{ "null", "NULL", false },
		{ "null", "https://example.com", false },
		{ "*", "null", true },
		{ "*", "https://example.com", true },
		{ "*", "file://", true },
		{ "*", "", false },
		{ "*", "https://a b", false },
		{ "*", "https://a\r\nX: y", false },
		{ "*", "https://\xc3\xa9", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (allowed(rows[i].entry, rows[i].origin) != rows[i].allowed)
			fail_msg("%s, origin %s", rows[i].entry, rows[i].origin);
	}
}

static void test_list(void **state)
{
	static const char *const entries[] = { "https://a.com", "null", "https://*.b.com" };

	(void)state;
	assert_true(origin_allowed(entries, 3, slice_str("https://a.com")));
	assert_true(origin_allowed(entries, 3, slice_str("https://x.b.com")));
	assert_true(origin_allowed(entries, 3, slice_str("null")));
	assert_false(origin_allowed(entries, 2, slice_str("https://x.b.com")));
	assert_false(origin_allowed(entries, 0, slice_str("https://a.com")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entry_valid),
		cmocka_unit_test(test_entry_invalid),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
