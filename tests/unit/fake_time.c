/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The clock that stands still. These take the place of libuv's functions of the same names, for a
 * program's own come before those of a shared library.
 */
#include <string.h>
#include <uv.h>

#include "fake_time.h"

#define START_MS 1000

static uint64_t now_ms = START_MS;

/* A loop has one timer, the one under its wheel; a library on the loop may have one of its own. */
static struct armed {
	uv_timer_t *timer;
	uv_timer_cb fn;
	uint64_t due_ms;
} armed[2];

uint64_t uv_now(const uv_loop_t *loop)
{
	(void)loop;
	return now_ms;
}

/* The timer's place, or an empty one. */
static struct armed *place_of(const uv_timer_t *timer)
{
	struct armed *empty = NULL;

	for (size_t i = 0; i < ARRAY_LEN(armed); i++) {
		if (armed[i].timer == timer)
			return &armed[i];
		if (!armed[i].timer)
			empty = &armed[i];
	}
	return empty;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb fn, uint64_t timeout, uint64_t repeat)
{
	struct armed *at = place_of(timer);

	CHECK(!repeat && at);
	*at = (struct armed){ timer, fn, now_ms + timeout };
	return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
	struct armed *at = place_of(timer);

	if (at && at->timer)
		at->timer = NULL;
	return 0;
}

void fake_time_reset(void)
{
	memset(armed, 0, sizeof(armed));
	now_ms = START_MS;
}

bool fake_time_step(uint64_t until_ms)
{
	struct armed *first = NULL;
	uv_timer_t *timer;

	for (size_t i = 0; i < ARRAY_LEN(armed); i++)
		if (armed[i].timer && (!first || armed[i].due_ms < first->due_ms))
			first = &armed[i];
	if (!first || first->due_ms > until_ms) {
		if (until_ms > now_ms)
			now_ms = until_ms;
		return false;
	}
	timer = first->timer;
	first->timer = NULL;
	if (first->due_ms > now_ms)
		now_ms = first->due_ms;
	first->fn(timer);
	return true;
}
