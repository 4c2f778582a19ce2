/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Limits: where a verdict changes, what a token bucket gives and when, and that nothing is
 * remembered for longer than it matters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "net/limits.h"

#define MANY 1000

static struct limits limits;

static void begin(uint32_t max_connections, uint32_t max_per_address, uint32_t rate, uint32_t burst)
{
	assert_int_equal(limits_init(&limits, max_connections, max_per_address, rate, burst), 0);
}

static int teardown(void **state)
{
	(void)state;
	limits_fini(&limits);
	limits_fini(&limits);
	return limits.addresses != NULL;
}

static struct ip_addr ip(const char *text)
{
	struct ip_addr addr;

	assert_int_equal(ip_parse(slice_str(text), &addr), 0);
	return addr;
}

static struct address *connect_ok(const char *text)
{
	struct ip_addr addr = ip(text);
	struct address *a;

	assert_int_equal(limits_connect(&limits, &addr, &a), LIMIT_OK);
	assert_non_null(a);
	assert_memory_equal(&a->ip, &addr, sizeof(addr));
	return a;
}

static void disconnect(struct address *a, uint64_t now_ms)
{
	limits_disconnect(&limits, &a, now_ms);
	assert_null(a);
}

static void check_handshake(struct address *a, uint64_t now_ms, bool allowed)
{
	uint32_t retry_after_s = 99;

	assert_int_equal(limits_handshake(&limits, a, now_ms, &retry_after_s), allowed);
	assert_int_equal(retry_after_s, allowed ? 0 : 1);
}

/* The margin is an eighth and one more, at most 64. */
static void test_total(void **state)
{
	static const struct {
		uint32_t limit;
		uint32_t margin;
	} cases[] = { { 1, 1 }, { 7, 1 }, { 8, 2 }, { 100, 13 }, { 503, 63 }, { 504, 64 },
		      { 10000, 64 }, { 4000000000, 64 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		uint32_t limit = cases[i].limit;

		begin(limit, 0, 0, 0);
		assert_int_equal(limits_total(&limits, 0), LIMIT_OK);
		assert_int_equal(limits_total(&limits, limit - 1), LIMIT_OK);
		assert_int_equal(limits_total(&limits, limit), LIMIT_NO_HANDSHAKE);
		assert_int_equal(limits_total(&limits, limit + cases[i].margin - 1),
				 LIMIT_NO_HANDSHAKE);
		assert_int_equal(limits_total(&limits, limit + cases[i].margin), LIMIT_CLOSE);
		limits_fini(&limits);
	}
	begin(0, 0, 0, 0);
	assert_int_equal(limits_total(&limits, UINT32_MAX), LIMIT_OK);
}

static void test_per_address(void **state)
{
	struct address *held[11];
	struct address *refused;
	struct ip_addr addr = ip("192.0.2.1");

	(void)state;
	begin(0, 8, 0, 1); /* margin: 2 */
	for (size_t i = 0; i < 8; i++)
		held[i] = connect_ok("192.0.2.1");
	assert_int_equal(limits_connect(&limits, &addr, &held[8]), LIMIT_NO_HANDSHAKE);
	assert_int_equal(limits_connect(&limits, &addr, &held[9]), LIMIT_NO_HANDSHAKE);
	assert_ptr_equal(held[9], held[0]);
	refused = held[0];
	assert_int_equal(limits_connect(&limits, &addr, &refused), LIMIT_CLOSE);
	assert_null(refused);
	assert_int_equal(held[0]->connections, 10); /* the last was not counted */
	/* Others are not concerned, by their last bit. */
	held[10] = connect_ok("192.0.2.0");
	assert_int_equal(map_count(limits.addresses), 2);
	disconnect(held[9], 0);
	assert_int_equal(limits_connect(&limits, &addr, &held[9]), LIMIT_NO_HANDSHAKE);
	for (size_t i = 0; i < 3; i++)
		disconnect(held[7 + i], 0);
	held[7] = connect_ok("192.0.2.1");
	for (size_t i = 0; i < 8; i++)
		disconnect(held[i], 0);
	assert_int_equal(map_count(limits.addresses), 1);
	disconnect(held[10], 0);
	assert_int_equal(map_count(limits.addresses), 0);
	disconnect(NULL, 0);
}

/* Sessions are counted for themselves: polling ones have no connection most of the time. */
static void test_sessions(void **state)
{
	struct address *a;
	struct address *held[3];

	(void)state;
	begin(0, 2, 0, 1);
	a = connect_ok("192.0.2.1");
	for (size_t i = 0; i < 2; i++) {
		assert_true(limits_session_ok(&limits, a));
		limits_session_opened(a, &held[i]);
		assert_ptr_equal(held[i], a);
	}
	assert_false(limits_session_ok(&limits, a));
	/* The address is remembered for them. */
	disconnect(a, 0);
	limits_sweep(&limits, 0);
	assert_int_equal(map_count(limits.addresses), 1);
	a = connect_ok("192.0.2.1");
	assert_false(limits_session_ok(&limits, a));
	limits_session_closed(&limits, &held[0], 0);
	assert_null(held[0]);
	limits_session_closed(&limits, &held[0], 0);
	assert_true(limits_session_ok(&limits, a));
	disconnect(a, 0);
	limits_session_closed(&limits, &held[1], 0);
	assert_int_equal(map_count(limits.addresses), 0);
	/* Those that are exempt are not counted. */
	limits_session_opened(NULL, &held[2]);
	assert_null(held[2]);
}

static void test_no_limits(void **state)
{
	struct address *held[MANY];
	struct address *sessions_of[MANY];

	(void)state;
	begin(0, 0, 0, 0);
	for (size_t i = 0; i < MANY; i++) {
		held[i] = connect_ok("2001:db8::1");
		check_handshake(held[i], 0, true);
		assert_true(limits_session_ok(&limits, held[i]));
		limits_session_opened(held[i], &sessions_of[i]);
	}
	assert_int_equal(held[0]->connections, MANY);
	for (size_t i = 0; i < MANY; i++)
		limits_session_closed(&limits, &sessions_of[i], 0);
	for (size_t i = 0; i < MANY; i++)
		disconnect(held[i], 0);
	assert_int_equal(map_count(limits.addresses), 0);
}

/* Three at once, then one every half second. */
static void test_bucket(void **state)
{
	struct address *a;
	uint64_t now_ms = 1000000;

	(void)state;
	begin(0, 0, 2, 3);
	a = connect_ok("192.0.2.1");
	for (size_t i = 0; i < 3; i++)
		check_handshake(a, now_ms, true);
	check_handshake(a, now_ms, false);
	check_handshake(a, now_ms + 499, false);
	check_handshake(a, now_ms + 500, true);
	check_handshake(a, now_ms + 999, false); /* asking costs nothing */
	check_handshake(a, now_ms + 1000, true);
	check_handshake(a, now_ms + 1000, false);
	/* However long it rests, the bucket has no more than its burst. */
	now_ms += 3600000;
	for (size_t i = 0; i < 3; i++)
		check_handshake(a, now_ms, true);
	check_handshake(a, now_ms, false);
	/* Half a token is kept. */
	check_handshake(a, now_ms + 1250, true);
	check_handshake(a, now_ms + 1250, true);
	check_handshake(a, now_ms + 1499, false);
	check_handshake(a, now_ms + 1500, true);
	disconnect(a, now_ms + 1500);
}

/* A burst below the rate would make the rate a lie. */
static void test_burst_is_at_least_the_rate(void **state)
{
	struct address *a;

	(void)state;
	begin(0, 0, 10, 3);
	a = connect_ok("192.0.2.1");
	for (size_t i = 0; i < 10; i++)
		check_handshake(a, 5000, true);
	check_handshake(a, 5000, false);
	check_handshake(a, 5100, true);
	disconnect(a, 5100);
}

/* An address owes its handshakes after its last connection has gone: coming back does not fill the
 * bucket. */
static void test_debts_are_kept(void **state)
{
	struct address *a;
	struct address *other;

	(void)state;
	begin(0, 0, 1, 2);
	a = connect_ok("192.0.2.1");
	check_handshake(a, 1000, true);
	check_handshake(a, 1000, true);
	disconnect(a, 1000);
	assert_int_equal(map_count(limits.addresses), 1);
	a = connect_ok("192.0.2.1");
	check_handshake(a, 1999, false);
	/* Another address has a bucket of its own. */
	other = connect_ok("192.0.2.2");
	check_handshake(other, 1999, true);
	disconnect(other, 1999);
	check_handshake(a, 2000, true);
	/* With a full bucket there is nothing to remember. */
	disconnect(a, 4000);
	assert_int_equal(map_count(limits.addresses), 1);
	limits_sweep(&limits, 4000);
	assert_int_equal(map_count(limits.addresses), 0);
}

static void test_sweep(void **state)
{
	static struct address *held[MANY];
	struct address *here;

	(void)state;
	begin(0, 0, 1, 10);
	limits_sweep(&limits, 0);
	for (size_t i = 0; i < MANY; i++) {
		struct ip_addr addr = { .b = { 1, [14] = (uint8_t)(i >> 8), [15] = (uint8_t)i } };

		assert_int_equal(limits_connect(&limits, &addr, &held[i]), LIMIT_OK);
		/* Every second one owes two handshakes, the others one. */
		check_handshake(held[i], 1000, true);
		if (i % 2)
			check_handshake(held[i], 1000, true);
	}
	here = connect_ok("192.0.2.1"); /* it stays, and owes nothing */
	for (size_t i = 0; i < MANY; i++)
		disconnect(held[i], 1000);
	assert_int_equal(map_count(limits.addresses), MANY + 1);
	limits_sweep(&limits, 1999);
	assert_int_equal(map_count(limits.addresses), MANY + 1);
	limits_sweep(&limits, 2000);
	assert_int_equal(map_count(limits.addresses), MANY / 2 + 1);
	limits_sweep(&limits, 3000);
	assert_int_equal(map_count(limits.addresses), 1);
	assert_int_equal(here->connections, 1);
	disconnect(here, 3000);
	assert_int_equal(map_count(limits.addresses), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_total, teardown),
		cmocka_unit_test_teardown(test_per_address, teardown),
		cmocka_unit_test_teardown(test_sessions, teardown),
		cmocka_unit_test_teardown(test_no_limits, teardown),
		cmocka_unit_test_teardown(test_bucket, teardown),
		cmocka_unit_test_teardown(test_burst_is_at_least_the_rate, teardown),
		cmocka_unit_test_teardown(test_debts_are_kept, teardown),
		cmocka_unit_test_teardown(test_sweep, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
