/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Both clocks. The source is a pointer that is set before threads start and read without a lock.
 * Any thread.
 */
#include <time.h>

#include "base/clock.h"

#define NS_PER_S 1000000000ULL
#define NS_PER_MS 1000000ULL

static uint64_t system_mono_ns(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	CHECK(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static int64_t system_wall_ms(void *ctx)
{
	struct timespec ts;

	(void)ctx;
	CHECK(clock_gettime(CLOCK_REALTIME, &ts) == 0);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / (int64_t)NS_PER_MS;
}

static const struct clock_source system_source = { system_mono_ns, system_wall_ms, NULL };
static const struct clock_source *source = &system_source;

uint64_t clock_mono_ns(void)
{
	return source->mono_ns(source->ctx);
}

uint64_t clock_mono_ms(void)
{
	return clock_mono_ns() / NS_PER_MS;
}

int64_t clock_wall_ms(void)
{
	return source->wall_ms(source->ctx);
}

void clock_set_source(const struct clock_source *replacement)
{
	source = replacement ? replacement : &system_source;
}

/* Writes n with leading zeros over `digits` characters; returns what follows them. */
static char *put_number(char *to, int n, int digits)
{
	int i;

	for (i = digits - 1; i >= 0; i--) {
		to[i] = (char)('0' + n % 10);
		n /= 10;
	}
	return to + digits;
}

void clock_iso8601(int64_t wall_ms, char out[CLOCK_ISO8601_LEN + 1])
{
	const int64_t first = -62167219200000; /* 0000-01-01T00:00:00.000Z */
	const int64_t last = 253402300799999;  /* 9999-12-31T23:59:59.999Z */
	int64_t ms = wall_ms < first ? first : wall_ms > last ? last : wall_ms;
	int64_t past = (ms % 1000 + 1000) % 1000; /* before 1970, too, milliseconds count upwards */
	time_t s = (time_t)((ms - past) / 1000);
	struct tm tm;
	char *to = out;

	CHECK(gmtime_r(&s, &tm));
	to = put_number(to, tm.tm_year + 1900, 4);
	*to++ = '-';
	to = put_number(to, tm.tm_mon + 1, 2);
	*to++ = '-';
	to = put_number(to, tm.tm_mday, 2);
	*to++ = 'T';
	to = put_number(to, tm.tm_hour, 2);
	*to++ = ':';
	to = put_number(to, tm.tm_min, 2);
	*to++ = ':';
	to = put_number(to, tm.tm_sec, 2);
	*to++ = '.';
	to = put_number(to, (int)past, 3);
	*to++ = 'Z';
	*to = '\0';
}
