/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Retry-After. Dates are read by hand: strptime goes by the locale.
 */
#include "retry.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* A decimal, possibly with a fraction (which some services send), times `unit`. False: not one. */
static bool number(struct parlance_str text, uint64_t unit, uint64_t *out)
{
	uint64_t whole = 0;
	uint64_t scale = unit;
	bool fraction = false;
	size_t i;

	if (text.len == 0 || text.p[0] == '.')
		return false;
	*out = 0;
	for (i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (c == '.' && !fraction) {
			fraction = true;
			continue;
		}
		if (c < '0' || c > '9')
			return false;
		if (fraction) {
			scale /= 10;
			*out += scale * (uint64_t)(c - '0');
		} else if (whole <= RETRY_MAX_MS) {
			whole = whole * 10 + (uint64_t)(c - '0');
		}
	}
	*out += whole * unit;
	if (*out > RETRY_MAX_MS)
		*out = RETRY_MAX_MS;
	return true;
}

static int month_of(const char *name)
{
	static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	const char *at = strlen(name) == 3 ? strstr(names, name) : NULL;

	return at && (at - names) % 3 == 0 ? (int)(at - names) / 3 : -1;
}

/* The three forms of RFC 9110, section 5.6.7. tm_year as it is written. */
static bool imf_fixdate(const char *text, struct tm *tm, char month[4])
{
	int end = 0;

	return sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &tm->tm_mday,
		      month, &tm->tm_year, &tm->tm_hour, &tm->tm_min, &tm->tm_sec, &end) == 6 &&
	       end > 0 && text[end] == '\0';
}

static bool rfc850_date(const char *text, struct tm *tm, char month[4])
{
	int end = 0;

	return sscanf(text, "%*9[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GMT%n", &tm->tm_mday,
		      month, &tm->tm_year, &tm->tm_hour, &tm->tm_min, &tm->tm_sec, &end) == 6 &&
	       end > 0 && text[end] == '\0';
}

static bool asctime_date(const char *text, struct tm *tm, char month[4])
{
	int end = 0;

	return sscanf(text, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%n", month, &tm->tm_mday,
		      &tm->tm_hour, &tm->tm_min, &tm->tm_sec, &tm->tm_year, &end) == 6 &&
	       end > 0 && text[end] == '\0';
}

/* Seconds since 1970; -1: not a date. */
static int64_t date(const char *text)
{
	struct tm tm = { 0 };
	char month[4] = "";

	if (imf_fixdate(text, &tm, month) || asctime_date(text, &tm, month))
		tm.tm_year -= 1900;
	else if (rfc850_date(text, &tm, month))
		tm.tm_year += 100; /* a time to wait until is of this century */
	else
		return -1;
	tm.tm_mon = month_of(month);
	if (tm.tm_mon < 0 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour < 0 ||
	    tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60)
		return -1;
	return (int64_t)timegm(&tm);
}

uint64_t retry_after_ms(struct parlance_str value, int64_t now_ms)
{
	char text[64];
	uint64_t ms = 0;
	int64_t then_s;

	if (number(value, 1000, &ms))
		return ms;
	if (value.len == 0 || value.len >= sizeof(text))
		return 0;
	memcpy(text, value.p, value.len);
	text[value.len] = '\0';
	then_s = date(text);
	if (then_s < 0 || then_s * 1000 <= now_ms)
		return 0;
	ms = (uint64_t)(then_s * 1000 - now_ms);
	return ms > RETRY_MAX_MS ? RETRY_MAX_MS : ms;
}

uint64_t retry_after_number_ms(struct parlance_str value)
{
	uint64_t ms = 0;

	return number(value, 1, &ms) ? ms : 0;
}
