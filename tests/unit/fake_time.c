/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The clock that stands still. These take the place of libuv's functions of the same names, for a
 * program's own come before those of a shared library.
 */
#include <uv.h>

#include "fake_time.h"

#define START_MS 1000

static uint64_t now_ms = START_MS;

/* A loop has one timer: the one under its wheel. */
static uv_timer_t *armed;
static uv_timer_cb armed_fn;
static uint64_t armed_for_ms;

uint64_t uv_now(const uv_loop_t *loop)
{
	(void)loop;
	return now_ms;
}

int uv_timer_start(uv_timer_t *timer, uv_timer_cb fn, uint64_t timeout, uint64_t repeat)
{
	CHECK(!repeat && (!armed || armed == timer));
	armed = timer;
	armed_fn = fn;
	armed_for_ms = now_ms + timeout;
	return 0;
}

int uv_timer_stop(uv_timer_t *timer)
{
	if (armed == timer)
		armed = NULL;
	return 0;
}

void fake_time_reset(void)
{
	armed = NULL;
	now_ms = START_MS;
}

bool fake_time_step(uint64_t until_ms)
{
	uv_timer_t *timer = armed;

	if (!timer || armed_for_ms > until_ms) {
		if (until_ms > now_ms)
			now_ms = until_ms;
		return false;
	}
	armed = NULL;
	if (armed_for_ms > now_ms)
		now_ms = armed_for_ms;
	armed_fn(timer);
	return true;
}
