/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The timer wheel, driven by hand: what fires, in which order, at which time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "loop/timer.h"

#define START UINT64_C(1000)
#define DAY_MS (UINT64_C(24) * 3600 * 1000)

#define N_PROBES 8

/* A timer that writes down when it fired. */
struct probe {
	struct timer timer;
	char name;
	uint64_t fired_ms;
	unsigned int times;
};

static struct timer_wheel wheel;
static struct probe probes[N_PROBES];
static char fired[64]; /* names in the order of firing */
static size_t n_fired;

static void note(struct timer *timer)
{
	struct probe *p = CONTAINER_OF(timer, struct probe, timer);

	assert_false(timer_active(timer));
	p->fired_ms = wheel.now_ms;
	p->times++;
	assert_true(n_fired < sizeof(fired) - 1);
	fired[n_fired++] = p->name;
	fired[n_fired] = '\0';
}

static int setup(void **state)
{
	(void)state;
	timer_wheel_init(&wheel, START);
	memset(probes, 0, sizeof(probes));
	for (size_t i = 0; i < N_PROBES; i++)
		probes[i].name = (char)('a' + i);
	n_fired = 0;
	fired[0] = '\0';
	return 0;
}

static void start(struct probe *p, uint64_t delay_ms)
{
	timer_start_at(&wheel, &p->timer, wheel.now_ms + delay_ms, note);
}

static void test_order(void **state)
{
	(void)state;
	assert_true(timer_wheel_next(&wheel) == UINT64_MAX);
	/* The wheel's levels are 64 and 4096 ms: these lie on three of them. */
	start(&probes[0], 5000);
	start(&probes[1], 10);
	start(&probes[2], 300);
	start(&probes[3], 11);
	start(&probes[4], 301);
	start(&probes[5], 4999);
	timer_wheel_advance(&wheel, START + 9);
	assert_string_equal(fired, "");
	timer_wheel_advance(&wheel, START + 10);
	assert_string_equal(fired, "b");
	timer_wheel_advance(&wheel, START + 4999);
	assert_string_equal(fired, "bdcef");
	assert_true(timer_active(&probes[0].timer));
	timer_wheel_advance(&wheel, START + 20000);
	assert_string_equal(fired, "bdcefa");
	/* Each saw the wheel at its own due time, however late the advance came. */
	assert_int_equal(probes[2].fired_ms, START + 300);
	assert_int_equal(probes[0].fired_ms, START + 5000);
	assert_int_equal(wheel.now_ms, START + 20000);
	assert_true(timer_wheel_next(&wheel) == UINT64_MAX);
}

/* First started, first fired, also when the earlier ones lay on a higher level meanwhile. */
static void test_same_due_time(void **state)
{
	(void)state;
	timer_start_at(&wheel, &probes[0].timer, START + 5000, note);
	timer_start_at(&wheel, &probes[1].timer, START + 5000, note);
	timer_wheel_advance(&wheel, START + 4900);
	timer_start_at(&wheel, &probes[2].timer, START + 5000, note);
	timer_wheel_advance(&wheel, START + 4999);
	timer_start_at(&wheel, &probes[3].timer, START + 5000, note);
	timer_wheel_advance(&wheel, START + 5000);
	assert_string_equal(fired, "abcd");
}

static void test_stop_and_restart(void **state)
{
	(void)state;
	timer_stop(&probes[0].timer); /* never started */
	start(&probes[0], 10);
	start(&probes[1], 10);
	start(&probes[2], 10);
	assert_true(timer_active(&probes[0].timer));
	timer_stop(&probes[0].timer);
	timer_stop(&probes[0].timer);
	assert_false(timer_active(&probes[0].timer));
	start(&probes[1], 20);
	timer_wheel_advance(&wheel, START + 15);
	assert_string_equal(fired, "c");
	start(&probes[1], 2); /* earlier than it was */
	timer_wheel_advance(&wheel, START + 17);
	assert_string_equal(fired, "cb");
	timer_wheel_advance(&wheel, START + 1000);
	assert_string_equal(fired, "cb");
	start(&probes[2], 1); /* one that has fired */
	timer_wheel_advance(&wheel, START + 1001);
	assert_string_equal(fired, "cbc");
	/* All were stopped: nothing to wake up for. */
	start(&probes[3], 100);
	timer_stop(&probes[3].timer);
	assert_true(timer_wheel_next(&wheel) == UINT64_MAX);
}

/* A due time that has passed: a millisecond from now. So does the clock going backwards. */
static void test_due_in_the_past(void **state)
{
	(void)state;
	timer_start_at(&wheel, &probes[0].timer, 0, note);
	timer_start_at(&wheel, &probes[1].timer, START, note);
	assert_int_equal(timer_wheel_next(&wheel), START + 1);
	timer_wheel_advance(&wheel, START);
	timer_wheel_advance(&wheel, START - 500);
	assert_string_equal(fired, "");
	assert_int_equal(wheel.now_ms, START);
	timer_wheel_advance(&wheel, START + 1);
	assert_string_equal(fired, "ab");
}

static void stop_others(struct timer *timer)
{
	note(timer);
	timer_stop(&probes[1].timer); /* of the same millisecond */
	timer_stop(&probes[2].timer); /* of a later one */
	start(&probes[4], 3);         /* of the same millisecond, put off */
}

static void test_stop_in_callback(void **state)
{
	(void)state;
	timer_start_at(&wheel, &probes[0].timer, START + 10, stop_others);
	start(&probes[1], 10);
	start(&probes[2], 100);
	start(&probes[3], 10);
	start(&probes[4], 10);
	timer_wheel_advance(&wheel, START + 500);
	assert_string_equal(fired, "ade");
	assert_int_equal(probes[4].fired_ms, START + 13);
}

static void again_at_once(struct timer *timer)
{
	note(timer);
	timer_start_at(&wheel, timer, wheel.now_ms, again_at_once);
	if (!timer_active(&probes[1].timer))
		timer_start_at(&wheel, &probes[1].timer, 0, note);
}

/* Without delay is a millisecond later: what was started in a callback does not hold up the advance
 * that called it. */
static void test_start_in_callback(void **state)
{
	(void)state;
	timer_start_at(&wheel, &probes[0].timer, START + 10, again_at_once);
	timer_wheel_advance(&wheel, START + 10);
	assert_string_equal(fired, "a");
	assert_int_equal(timer_wheel_next(&wheel), START + 11);
	timer_wheel_advance(&wheel, START + 11);
	assert_string_equal(fired, "aab");
	/* Late by three: each millisecond has its turn, and then it ends. */
	timer_wheel_advance(&wheel, START + 14);
	assert_string_equal(fired, "aabaaba");
	assert_int_equal(probes[0].fired_ms, START + 14);
}

static void chain(struct timer *timer)
{
	struct probe *p = CONTAINER_OF(timer, struct probe, timer);

	note(timer);
	if (p < &probes[3])
		timer_start_at(&wheel, &p[1].timer, wheel.now_ms + 70, chain);
}

/* What a callback starts within the time that is being caught up fires in the same advance. */
static void test_chain(void **state)
{
	(void)state;
	timer_start_at(&wheel, &probes[0].timer, START + 5, chain);
	timer_wheel_advance(&wheel, START + 150);
	assert_string_equal(fired, "abc");
	assert_int_equal(probes[2].fired_ms, START + 145);
	timer_wheel_advance(&wheel, START + 214);
	assert_string_equal(fired, "abc");
	timer_wheel_advance(&wheel, START + 215);
	assert_string_equal(fired, "abcd");
}

/* Far ones come down through the levels; the steps are the wheel's own. */
static void test_far(void **state)
{
	static const uint64_t delays[] = { DAY_MS, 30 * DAY_MS + 1, 3650 * DAY_MS + 12345,
					   (UINT64_C(1) << 42) + 1, UINT64_C(1) << 59 };
	unsigned int steps = 0;
	uint64_t next;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(delays); i++)
		timer_start_at(&wheel, &probes[i].timer, START + delays[i], note);
	while ((next = timer_wheel_next(&wheel)) != UINT64_MAX) {
		assert_true(next > wheel.now_ms);
		timer_wheel_advance(&wheel, next - 1);
		assert_int_equal(timer_wheel_next(&wheel), next);
		timer_wheel_advance(&wheel, next);
		assert_true(++steps <= ARRAY_LEN(delays) * TIMER_LEVELS);
	}
	assert_string_equal(fired, "abcde");
	for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
		assert_int_equal(probes[i].times, 1);
		assert_int_equal(probes[i].fired_ms, START + delays[i]);
	}
}

/* One big step over all of them. */
static void test_far_at_once(void **state)
{
	(void)state;
	start(&probes[0], 3 * DAY_MS);
	start(&probes[1], 1);
	start(&probes[2], 2 * DAY_MS);
	start(&probes[3], 64);
	timer_wheel_advance(&wheel, START + 3 * DAY_MS - 1);
	assert_string_equal(fired, "bdc");
	timer_wheel_advance(&wheel, START + 1000 * DAY_MS);
	assert_string_equal(fired, "bdca");
	assert_int_equal(probes[0].fired_ms, START + 3 * DAY_MS);
}

/* ---- against a model: the running timers by due time, equal ones as they were started ---- */

#define MODEL_TIMERS 200
#define MODEL_STEPS 100000

static struct timer model_timers[MODEL_TIMERS];
static unsigned int model[MODEL_TIMERS]; /* numbers of those that run, as they will fire */
static size_t n_model;
static unsigned int n_model_fired;
static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
	/* xorshift64 (Marsaglia, 2003) */
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % n;
}

static void model_stop(unsigned int nr)
{
	size_t to = 0;

	for (size_t i = 0; i < n_model; i++)
		if (model[i] != nr)
			model[to++] = model[i];
	n_model = to;
}

static void model_start(unsigned int nr, uint64_t due_ms)
{
	size_t at;

	model_stop(nr);
	for (at = n_model; at > 0 && model_timers[model[at - 1]].due_ms > due_ms; at--)
		model[at] = model[at - 1];
	model[at] = nr;
	n_model++;
}

static void random_action(void);

static void model_fired(struct timer *timer)
{
	assert_true(n_model > 0);
	assert_ptr_equal(timer, &model_timers[model[0]]);
	assert_int_equal(timer->due_ms, wheel.now_ms);
	model_stop(model[0]);
	n_model_fired++;
	if (random_below(4) == 0)
		random_action();
}

/* Delays of all sizes: near ones often, far ones too. */
static void random_action(void)
{
	unsigned int nr = (unsigned int)random_below(MODEL_TIMERS);
	uint64_t due_ms;

	if (random_below(3) == 0) {
		timer_stop(&model_timers[nr]);
		model_stop(nr);
		assert_false(timer_active(&model_timers[nr]));
		return;
	}
	due_ms = wheel.now_ms + random_below(UINT64_C(1) << random_below(24));
	model_stop(nr); /* before its due time changes, by which the model is sorted */
	timer_start_at(&wheel, &model_timers[nr], due_ms, model_fired);
	model_start(nr, due_ms > wheel.now_ms ? due_ms : wheel.now_ms + 1);
	assert_true(timer_active(&model_timers[nr]));
}

static void test_model(void **state)
{
	(void)state;
	random_state = 88172645463325252;
	n_model = 0;
	n_model_fired = 0;
	for (unsigned int step = 0; step < MODEL_STEPS; step++) {
		uint64_t earliest = n_model ? model_timers[model[0]].due_ms : UINT64_MAX;
		uint64_t to = wheel.now_ms + random_below(UINT64_C(1) << random_below(17));

		assert_true(timer_wheel_next(&wheel) <= earliest);
		assert_int_equal(timer_wheel_next(&wheel) == UINT64_MAX, n_model == 0);
		random_action();
		if (random_below(4) > 0)
			continue;
		timer_wheel_advance(&wheel, to);
		assert_int_equal(wheel.now_ms, to);
		assert_true(n_model == 0 || model_timers[model[0]].due_ms > to);
	}
	for (unsigned int i = 0; i < MODEL_TIMERS; i++)
		timer_stop(&model_timers[i]);
	assert_true(timer_wheel_next(&wheel) == UINT64_MAX);
	assert_true(n_model_fired > MODEL_STEPS / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_order, setup),
		cmocka_unit_test_setup(test_same_due_time, setup),
		cmocka_unit_test_setup(test_stop_and_restart, setup),
		cmocka_unit_test_setup(test_due_in_the_past, setup),
		cmocka_unit_test_setup(test_stop_in_callback, setup),
		cmocka_unit_test_setup(test_start_in_callback, setup),
		cmocka_unit_test_setup(test_chain, setup),
		cmocka_unit_test_setup(test_far, setup),
		cmocka_unit_test_setup(test_far_at_once, setup),
		cmocka_unit_test_setup(test_model, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
