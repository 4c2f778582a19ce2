/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Timers: a hierarchical wheel (Varghese and Lauck, 1987; slots found by the highest differing bit
 * of due time and now) with steps of 1 ms. Start and stop cost a few instructions whatever their
 * number; a connection can afford one that is restarted with every packet. A timer lives in its
 * owner, zeroed before first use, and fires once. Loop thread.
 *
 * The wheel itself knows no clock and no loop, so tests drive it by hand; loop.c gives it the
 * time.
 */
#ifndef PARLANCE_LOOP_TIMER_H
#define PARLANCE_LOOP_TIMER_H

#include "base/list.h"

#ifdef __cplusplus
extern "C" {
#endif

struct timer {
	struct list node;
	uint64_t due_ms;
	void (*fn)(struct timer *timer);
};

#define TIMER_LEVELS 10 /* 60 bits of milliseconds: no wrap to think of */
#define TIMER_SLOTS 64

struct timer_wheel {
	uint64_t now_ms;
	uint64_t occupied[TIMER_LEVELS];
	struct list slots[TIMER_LEVELS][TIMER_SLOTS];
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);

/** Fires, in the order of their due times, all timers due at or before now_ms. */
void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms);

/** The time at which the wheel next has something to do (at or before the earliest due time);
 * UINT64_MAX: no timers. */
uint64_t timer_wheel_next(struct timer_wheel *wheel);

/** (Re)starts the timer to call fn at due_ms of the wheel's clock, or a millisecond from now when
 * that is not ahead: a timer that restarts itself without delay must not hold the loop. due_ms is
 * below 2^60. */
void timer_start_at(struct timer_wheel *wheel, struct timer *timer, uint64_t due_ms,
		    void (*fn)(struct timer *timer));

/** Stops it; harmless when it does not run. */
void timer_stop(struct timer *timer);

static inline bool timer_active(const struct timer *timer)
{
	return list_linked(&timer->node);
}

#ifdef __cplusplus
}
#endif
#endif
