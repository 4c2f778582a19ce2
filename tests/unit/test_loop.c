/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The loop itself: the end of a turn, and timers. Nothing waits for a length of time: the loop runs
 * until what is expected has come.
 */
#include "loop_fixture.h"

#include "base/clock.h"

/* ---- the end of a turn ---- */

struct named_task {
	struct loop_task task;
	char name;
	struct named_task *next;
};

static void task_fn(struct loop_task *task)
{
	struct named_task *t = CONTAINER_OF(task, struct named_task, task);

	note(t->name);
	if (t->next)
		loop_defer(loop, &t->next->task);
}

static void test_defer(void **state)
{
	/* c defers d, d defers e, e defers f */
	struct named_task f = { { .fn = task_fn }, 'f', NULL };
	struct named_task e = { { .fn = task_fn }, 'e', &f };
	struct named_task d = { { .fn = task_fn }, 'd', &e };
	struct named_task c = { { .fn = task_fn }, 'c', &d };
	struct named_task b = { { .fn = task_fn }, 'b', NULL };
	struct named_task a = { { .fn = task_fn }, 'a', NULL };

	(void)state;
	loop_undefer(&a.task);
	loop_defer(loop, &c.task);
	loop_defer(loop, &a.task);
	loop_defer(loop, &b.task);
	loop_defer(loop, &c.task);
	loop_defer(loop, &a.task);
	assert_string_equal(events, "");
	turn();
	assert_string_equal(events, "cabdef");
	turn();
	assert_string_equal(events, "cabdef");
	/* Again, and one of them taken back. */
	loop_defer(loop, &b.task);
	loop_defer(loop, &a.task);
	loop_undefer(&b.task);
	loop_undefer(&b.task);
	turn();
	assert_string_equal(events, "cabdefa");
}

static void test_run_empty(void **state)
{
	struct named_task b = { { .fn = task_fn }, 'b', NULL };
	struct named_task a = { { .fn = task_fn }, 'a', &b };
	struct loop *none = NULL;

	(void)state;
	loop_defer(loop, &a.task);
	loop_run_empty(loop);
	assert_string_equal(events, "ab");
	loop_free(&none);
}

/* A stop that comes when the loop is at its end anyhow. */
static void test_free_after_stop(void **state)
{
	struct loop *same = loop; /* the task that stops it still needs the other */

	(void)state;
	end_run();
	loop_free(&same);
	assert_null(same);
	loop = NULL;
}

/* ---- timers ---- */

struct named_timer {
	struct timer timer;
	char name;
	bool last;
	uint64_t due_ms;
	unsigned int again; /* restarts itself so often, without delay */
};

static void timer_fn(struct timer *timer)
{
	struct named_timer *t = CONTAINER_OF(timer, struct named_timer, timer);

	note(t->name);
	assert_true(loop_now_ms(loop) >= t->due_ms);
	if (t->again) {
		t->again--;
		t->due_ms = loop_now_ms(loop) + 1;
		loop_timer_start(loop, timer, 0, timer_fn);
	} else if (t->last) {
		loop_stop(loop);
	}
}

static void start(struct named_timer *t, uint64_t delay_ms)
{
	t->due_ms = loop_now_ms(loop) + delay_ms;
	loop_timer_start(loop, &t->timer, delay_ms, timer_fn);
}

static void test_timers(void **state)
{
	struct named_timer far = { .name = 'f' };
	struct named_timer a = { .name = 'a' };
	struct named_timer b = { .name = 'b' };
	struct named_timer c = { .name = 'c', .last = true };
	struct named_timer d = { .name = 'd', .last = true };

	(void)state;
	start(&far, 3600000);
	turn(); /* the loop now sleeps for an hour if it is let */
	start(&c, 12);
	start(&b, 8);
	start(&a, 4);
	run();
	assert_string_equal(events, "abc");

	start(&a, 2);
	start(&b, 2);
	d.due_ms = loop_now_ms(loop) + 5;
	loop_timer_start_at(loop, &d.timer, d.due_ms, timer_fn);
	timer_stop(&a.timer);
	start(&b, 3600000);
	run();
	assert_string_equal(events, "abcd");
	assert_true(timer_active(&far.timer) && timer_active(&b.timer));
	/* For ever is a long time, and no overflow. */
	loop_timer_start(loop, &far.timer, UINT64_MAX, timer_fn);
	start(&c, 3);
	run();
	assert_string_equal(events, "abcdc");
	timer_stop(&far.timer);
	timer_stop(&b.timer);
}

/* A timer without delay comes back a millisecond later, also when the loop is late: it turns in
 * between. */
static void test_timer_without_delay(void **state)
{
	struct named_timer t = { .name = 't', .last = true, .again = 3 };
	uint64_t began_ms = clock_mono_ms();

	(void)state;
	start(&t, 1);
	while (clock_mono_ms() < began_ms + 5)
		;
	run();
	assert_string_equal(events, "tttt");
}

static void defer_from_timer(struct timer *timer)
{
	static struct named_task task = { { .fn = task_fn }, 'e', NULL };

	(void)timer;
	note('t');
	loop_defer(loop, &task.task);
}

/* All that a turn's timers defer runs behind the last of them. */
static void test_defer_from_timers(void **state)
{
	struct timer timers[3] = { { .fn = NULL } };
	struct named_timer last = { .name = 'l', .last = true };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(timers); i++)
		loop_timer_start(loop, &timers[i], 2, defer_from_timer);
	start(&last, 2);
	run();
	assert_string_equal(events, "tttle");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
		TEST(test_defer),
		TEST(test_run_empty),
		TEST(test_free_after_stop),
		TEST(test_timers),
		TEST(test_timer_without_delay),
		TEST(test_defer_from_timers),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
