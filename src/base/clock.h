/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The two clocks of the program behind one interface, which tests can set: monotonic time for
 * timers and deadlines, wall time for what people and other machines see. Any thread;
 * clock_set_source() before threads start.
 */
#ifndef PARLANCE_BASE_CLOCK_H
#define PARLANCE_BASE_CLOCK_H

#include "base/check.h"

#ifdef __cplusplus
extern "C" {
#endif

struct clock_source {
	uint64_t (*mono_ns)(void *ctx);
	int64_t (*wall_ms)(void *ctx);
	void *ctx;
};

/** Nanoseconds of CLOCK_MONOTONIC. */
uint64_t clock_mono_ns(void);

/** Milliseconds of the same clock, rounded down. */
uint64_t clock_mono_ms(void);

/** Milliseconds since 1970-01-01 UTC. */
int64_t clock_wall_ms(void);

#define CLOCK_ISO8601_LEN 24 /* 2026-01-31T23:59:59.123Z */

/** ISO-8601 in UTC with milliseconds, terminated. Years outside 0-9999 are clamped to them. */
void clock_iso8601(int64_t wall_ms, char out[CLOCK_ISO8601_LEN + 1]);

/** Replaces both clocks (NULL: back to the system's). The source is borrowed until replaced. */
void clock_set_source(const struct clock_source *source);

#ifdef __cplusplus
}
#endif
#endif
