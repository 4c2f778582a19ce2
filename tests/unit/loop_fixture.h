/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the tests that run a loop share: the loop itself, and a trace of what happened. Included by
 * one file of a program.
 */
#ifndef PARLANCE_TESTS_UNIT_LOOP_FIXTURE_H
#define PARLANCE_TESTS_UNIT_LOOP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "loop/loop.h"

static struct loop *loop;
static bool in_run;

/* What happened, a character each. */
static char events[64];
static size_t n_events;

static inline void note(char c)
{
	assert_true(n_events < sizeof(events) - 1);
	events[n_events++] = c;
	events[n_events] = '\0';
}

static inline void stop_task_fn(struct loop_task *task)
{
	(void)task;
	loop_stop(loop);
}

static struct loop_task stop_task;

/* Has loop_run return at the end of this turn, or of the next one when it does not run. */
static inline void end_run(void)
{
	loop_defer(loop, &stop_task);
}

/* Runs until somebody stops the loop. */
static inline void run(void)
{
	in_run = true;
	loop_run(loop);
	in_run = false;
}

/* One turn of the loop, which does not wait. */
static inline void turn(void)
{
	end_run();
	run();
}

static inline int loop_setup(void **state)
{
	(void)state;
	in_run = false;
	stop_task = (struct loop_task){ .fn = stop_task_fn };
	n_events = 0;
	events[0] = '\0';
	return loop_new(&loop);
}

static inline int loop_teardown(void **state)
{
	(void)state;
	/* An assertion that failed in a callback has jumped out of the loop, which cannot be ended
	 * then. */
	if (in_run)
		return -1;
	loop_free(&loop);
	return loop != NULL;
}

#endif
