/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The loop. The end of a turn is where libuv's check phase (after I/O) or prepare phase (after
 * timers, before it sleeps) runs us; the latter also arms the one uv_timer behind the wheel.
 */
#include <uv.h>

#include "loop/loop.h"
#include "base/err.h"

struct loop {
	uv_loop_t uv;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_timer_t timer;
	uint64_t armed_for_ms;
	struct timer_wheel wheel;
	struct list tasks;
};

static void run_tasks(struct loop *loop)
{
	struct list *node;

	while ((node = list_pop_front(&loop->tasks))) {
		struct loop_task *task = CONTAINER_OF(node, struct loop_task, node);

		task->fn(task);
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct loop *loop = timer->data;

	loop->armed_for_ms = UINT64_MAX;
	timer_wheel_advance(&loop->wheel, uv_now(&loop->uv));
}

static void on_check(uv_check_t *check)
{
	run_tasks(check->data);
}

static void on_prepare(uv_prepare_t *prepare)
{
	struct loop *loop = prepare->data;
	uint64_t next;

	run_tasks(loop);
	next = timer_wheel_next(&loop->wheel);
	if (next == loop->armed_for_ms)
		return;
	loop->armed_for_ms = next;
	if (next == UINT64_MAX) {
		uv_timer_stop(&loop->timer);
	} else {
		uint64_t now = uv_now(&loop->uv);

		CHECK(uv_timer_start(&loop->timer, on_timer, next > now ? next - now : 0, 0) == 0);
	}
}

int loop_new(struct loop **out)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return PARLANCE_ENOMEM;
	if (uv_loop_init(&loop->uv)) {
		free(loop);
		return PARLANCE_ESYS;
	}
	list_init(&loop->tasks);
	timer_wheel_init(&loop->wheel, uv_now(&loop->uv));
	loop->armed_for_ms = UINT64_MAX;

	/* These three only fill in structs. Unreferenced, so that they alone do not keep the loop
	 * alive. */
	CHECK(uv_prepare_init(&loop->uv, &loop->prepare) == 0);
	CHECK(uv_check_init(&loop->uv, &loop->check) == 0);
	CHECK(uv_timer_init(&loop->uv, &loop->timer) == 0);
	loop->prepare.data = loop->check.data = loop->timer.data = loop;
	CHECK(uv_prepare_start(&loop->prepare, on_prepare) == 0);
	CHECK(uv_check_start(&loop->check, on_check) == 0);
	uv_unref((uv_handle_t *)&loop->prepare);
	uv_unref((uv_handle_t *)&loop->check);
	uv_unref((uv_handle_t *)&loop->timer);
	*out = loop;
	return 0;
}

/* Until no handle is left: uv_run ends earlier when somebody has called loop_stop. */
static void run_to_the_end(struct loop *loop)
{
	while (uv_run(&loop->uv, UV_RUN_DEFAULT))
		;
}

void loop_free(struct loop **loopp)
{
	struct loop *loop = *loopp;

	if (!loop)
		return;
	*loopp = NULL;
	loop_run_empty(loop);
	uv_close((uv_handle_t *)&loop->prepare, NULL);
	uv_close((uv_handle_t *)&loop->check, NULL);
	uv_close((uv_handle_t *)&loop->timer, NULL);
	run_to_the_end(loop);
	CHECK(list_empty(&loop->tasks));
	CHECK(uv_loop_close(&loop->uv) == 0);
	free(loop);
}

void loop_run(struct loop *loop)
{
	/* A handle of ours may be all there is (a timer is not counted): keep turning until
	 * loop_stop. */
	uv_ref((uv_handle_t *)&loop->prepare);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	uv_unref((uv_handle_t *)&loop->prepare);
}

void loop_run_empty(struct loop *loop)
{
	run_to_the_end(loop);
	run_tasks(loop);
}

static void find_closing(uv_handle_t *handle, void *arg)
{
	bool *found = arg;

	*found = *found || uv_is_closing(handle);
}

void loop_run_closing(struct loop *loop)
{
	for (;;) {
		bool closing = false;

		uv_walk(&loop->uv, find_closing, &closing);
		if (!closing)
			break;
		uv_run(&loop->uv, UV_RUN_NOWAIT);
	}
	run_tasks(loop);
}

void loop_stop(struct loop *loop)
{
	uv_stop(&loop->uv);
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
	if (!list_linked(&task->node))
		list_push_back(&loop->tasks, &task->node);
}

void loop_undefer(struct loop_task *task)
{
	list_remove(&task->node);
}

uint64_t loop_now_ms(const struct loop *loop)
{
	return uv_now(&loop->uv);
}

void loop_timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ms,
		      void (*fn)(struct timer *timer))
{
	/* Not now: the wheel of a late loop, which catches up, would fire it in this turn. */
	if (delay_ms == 0)
		delay_ms = 1;
	if (delay_ms > LOOP_DELAY_MAX_MS)
		delay_ms = LOOP_DELAY_MAX_MS;
	timer_start_at(&loop->wheel, timer, uv_now(&loop->uv) + delay_ms, fn);
}

void loop_timer_start_at(struct loop *loop, struct timer *timer, uint64_t due_ms,
			 void (*fn)(struct timer *timer))
{
	timer_start_at(&loop->wheel, timer, due_ms, fn);
}

void *loop_native(struct loop *loop)
{
	return &loop->uv;
}
