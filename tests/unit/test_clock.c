/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Clocks and the text of a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "base/clock.h"

struct fake {
	uint64_t mono_ns;
	int64_t wall_ms;
};

static uint64_t fake_mono_ns(void *ctx)
{
	return ((struct fake *)ctx)->mono_ns;
}

static int64_t fake_wall_ms(void *ctx)
{
	return ((struct fake *)ctx)->wall_ms;
}

static void test_source(void **state)
{
	struct fake fake = { 5999999, -42 };
	const struct clock_source source = { fake_mono_ns, fake_wall_ms, &fake };

	(void)state;
	clock_set_source(&source);
	assert_int_equal(clock_mono_ns(), 5999999);
	assert_int_equal(clock_mono_ms(), 5);
	assert_int_equal(clock_wall_ms(), -42);
	fake.mono_ns++;
	assert_int_equal(clock_mono_ms(), 6);
	clock_set_source(NULL);
	assert_true(clock_mono_ns() != 6000000);
}

static void test_system(void **state)
{
	time_t before = time(NULL);
	uint64_t start_ns = clock_mono_ns();
	struct timespec ts;
	int64_t ms;

	(void)state;
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	assert_true(clock_mono_ns() >= (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec);
	assert_true(start_ns <= (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec);
	ms = clock_wall_ms();
	/* time(2) may lag a clock tick behind. */
	assert_in_range(ms, (int64_t)before * 1000, ((int64_t)time(NULL) + 2) * 1000);
}

static void check_text(int64_t ms, const char *expected)
{
	char text[CLOCK_ISO8601_LEN + 1];

	clock_iso8601(ms, text);
	assert_string_equal(text, expected);
	assert_int_equal(strlen(text), CLOCK_ISO8601_LEN);
}

static void test_iso8601(void **state)
{
	(void)state;
	check_text(0, "1970-01-01T00:00:00.000Z");
	check_text(-1, "1969-12-31T23:59:59.999Z");
	check_text(-1000, "1969-12-31T23:59:59.000Z");
	check_text(951782399007, "2000-02-28T23:59:59.007Z");
	check_text(951782400000, "2000-02-29T00:00:00.000Z");
	check_text(1769903999123, "2026-01-31T23:59:59.123Z");
	check_text(253402300799999, "9999-12-31T23:59:59.999Z");
	check_text(253402300800000, "9999-12-31T23:59:59.999Z");
	check_text(INT64_MAX, "9999-12-31T23:59:59.999Z");
	check_text(-62167219200000, "0000-01-01T00:00:00.000Z");
	check_text(-62167219200001, "0000-01-01T00:00:00.000Z");
	check_text(INT64_MIN, "0000-01-01T00:00:00.000Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_system),
		cmocka_unit_test(test_iso8601),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
