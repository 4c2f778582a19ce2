/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The event loop of an instance: one libuv loop on one thread, with an end to each turn. What must
 * not happen inside a callback (writing what a turn has gathered, freeing what a callback may
 * still hold) is deferred to that end.
 *
 * Everything here belongs to the loop thread; other threads reach it through post.h.
 */
#ifndef PARLANCE_LOOP_LOOP_H
#define PARLANCE_LOOP_LOOP_H

#include "base/list.h"
#include "loop/timer.h"

#ifdef __cplusplus
extern "C" {
#endif

struct loop;

/* Work for the end of the current turn; lives in its owner, zeroed before first use. */
struct loop_task {
	struct list node;
	void (*fn)(struct loop_task *task);
};

/** Makes a loop. 0, PARLANCE_ENOMEM or PARLANCE_ESYS. */
MUST_USE int loop_new(struct loop **out);

/** Runs what is still to be closed, then frees the loop and clears the pointer. Every io, timer,
 * post and offload of it must have been ended. */
void loop_free(struct loop **loop);

/** Runs until loop_stop. */
void loop_run(struct loop *loop);

/** Runs until nothing is left that keeps the loop alive (handles that are being closed, mostly).
 * For teardown. */
void loop_run_empty(struct loop *loop);

/** Runs, without waiting, until no handle is being closed; others may live on. For the teardown of
 * one that shares the loop. */
void loop_run_closing(struct loop *loop);

/** Makes loop_run return at the end of the turn. */
void loop_stop(struct loop *loop);

/** Runs the task once at the end of this turn; if it is waiting already, nothing changes. A task
 * deferred by a task runs in the same end of turn. */
void loop_defer(struct loop *loop, struct loop_task *task);

/** Takes back a waiting task. Harmless when it is not waiting. */
void loop_undefer(struct loop_task *task);

/** Milliseconds of the monotonic clock, as of the start of this turn's callbacks. */
uint64_t loop_now_ms(const struct loop *loop);

/* Nobody waits longer than this: some 35,000 years. */
#define LOOP_DELAY_MAX_MS ((uint64_t)1 << 50)

/** (Re)starts a timer of the loop to call fn once, delay_ms (1 to LOOP_DELAY_MAX_MS, else the
 * nearest of them) from now. Stopped with timer_stop. */
void loop_timer_start(struct loop *loop, struct timer *timer, uint64_t delay_ms,
		      void (*fn)(struct timer *timer));

/** As loop_timer_start, at due_ms of loop_now_ms's clock. */
void loop_timer_start_at(struct loop *loop, struct timer *timer, uint64_t due_ms,
			 void (*fn)(struct timer *timer));

/** The uv_loop_t, for libraries that run on it. */
void *loop_native(struct loop *loop);

#ifdef __cplusplus
}
#endif
#endif
