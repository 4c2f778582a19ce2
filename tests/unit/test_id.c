/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Identifiers: form, order under a clock that stands still and steps back, no repetition.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/id.h"

#include "base/clock.h"

static int64_t wall_ms;

static int64_t test_wall_ms(void *ctx)
{
	(void)ctx;
	return wall_ms;
}

static uint64_t test_mono_ns(void *ctx)
{
	(void)ctx;
	return 0;
}

static const struct clock_source test_clock = { test_mono_ns, test_wall_ms, NULL };

static void test_random(void **state)
{
	static const size_t lens[] = { 0, 1, 16, 100, 256, 257, 5000 };
	unsigned char a[5000];
	unsigned char b[5000];
	unsigned int ones = 0;
	size_t i;
	size_t k;

	(void)state;
	for (i = 0; i < ARRAY_LEN(lens); i++) {
		memset(a, 0, sizeof(a));
		memset(b, 0, sizeof(b));
		id_random(a, lens[i]);
		id_random(b, lens[i]);
		/* 16 equal or zero bytes: one chance in 2^128. */
		for (k = 0; k + 16 <= lens[i]; k += 16) {
			static const unsigned char zero[16];

			assert_memory_not_equal(a + k, b + k, 16);
			assert_memory_not_equal(a + k, zero, 16);
		}
		for (k = lens[i]; k < sizeof(a); k++)
			assert_int_equal(a[k], 0);
	}
	for (k = 0; k < sizeof(a); k++)
		ones += (unsigned int)__builtin_popcount(a[k]);
	/* Half of 40,000 bits; 1,000 is ten standard deviations. */
	assert_in_range(ones, 19000, 21000);
}

static void test_token(void **state)
{
	static char tokens[500][ID_TOKEN_LEN + 1];
	size_t i;
	size_t k;

	(void)state;
	for (i = 0; i < ARRAY_LEN(tokens); i++) {
		memset(tokens[i], '!', sizeof(tokens[i]));
		id_token(tokens[i]);
		assert_int_equal(strlen(tokens[i]), ID_TOKEN_LEN);
		assert_int_equal(strspn(tokens[i],
					"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					"0123456789-_"),
				 ID_TOKEN_LEN);
		for (k = 0; k < i; k++)
			assert_string_not_equal(tokens[i], tokens[k]);
	}
}

static void check_ascends(char last[ID_UUID_LEN + 1])
{
	char id[ID_UUID_LEN + 1];

	id_uuid7(id);
	assert_true(id_is_uuid(id, strlen(id)));
	assert_int_equal(id[14], '7');
	assert_non_null(strchr("89ab", id[19]));
	if (strcmp(id, last) <= 0)
		fail_msg("%s does not follow %s", id, last);
	memcpy(last, id, sizeof(id));
}

static void test_uuid7(void **state)
{
	char last[ID_UUID_LEN + 1] = "";
	int i;

	(void)state;
	clock_set_source(&test_clock);
	/* The time of RFC 9562 appendix A.6: 2022-02-22T19:22:22Z. */
	wall_ms = 0x017F22E279B0;
	check_ascends(last);
	assert_memory_equal(last, "017f22e2-79b0-7", 15);
	/* More than the counter can tell apart in one millisecond. */
	for (i = 0; i < 20000; i++)
		check_ascends(last);
	wall_ms -= 3600000;
	for (i = 0; i < 5000; i++)
		check_ascends(last);
	wall_ms += 7200000;
	check_ascends(last);
	wall_ms = -1;
	check_ascends(last);
	clock_set_source(NULL);
	for (i = 0; i < 5000; i++)
		check_ascends(last);
}

static void test_is_uuid(void **state)
{
	static const char good[] = "017F22E2-79B0-7CC3-98C4-DC0C0C07398f";
	char bad[ID_UUID_LEN + 1];
	size_t i;

	(void)state;
	assert_true(id_is_uuid(good, ID_UUID_LEN));
	assert_false(id_is_uuid(good, ID_UUID_LEN - 1));
	assert_false(id_is_uuid(good, ID_UUID_LEN + 1));
	assert_false(id_is_uuid(NULL, 0));
	for (i = 0; i < ID_UUID_LEN; i++) {
		memcpy(bad, good, sizeof(bad));
		bad[i] = good[i] == '-' ? '0' : '-';
		assert_false(id_is_uuid(bad, ID_UUID_LEN));
		bad[i] = 'g';
		assert_false(id_is_uuid(bad, ID_UUID_LEN));
		bad[i] = '\0';
		assert_false(id_is_uuid(bad, ID_UUID_LEN));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_uuid7),
		cmocka_unit_test(test_is_uuid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
