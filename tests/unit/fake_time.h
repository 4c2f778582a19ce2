/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A clock for the loop that stands still unless the test moves it: libuv's clock and timer, as far
 * as src/loop uses them. A program that links it never waits, and its timers fire to the
 * millisecond.
 */
#ifndef PARLANCE_TESTS_UNIT_FAKE_TIME_H
#define PARLANCE_TESTS_UNIT_FAKE_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"

/** Before a loop is made: forgets the timer of the one before, and time begins anew. */
void fake_time_reset(void);

/** Moves the clock to the time of the loop's next timer and fires it, if that is at or before
 * until_ms; else moves it to until_ms. Returns whether a timer fired; the caller then has the loop
 * turn, and goes on. */
bool fake_time_step(uint64_t until_ms);

#endif
