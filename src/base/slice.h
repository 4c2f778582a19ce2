/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A borrowed run of bytes: pointer and length, not terminated. Whoever made the bytes owns them.
 */
#ifndef PARLANCE_BASE_SLICE_H
#define PARLANCE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

struct slice {
	const char *p;
	size_t len;
};

static inline struct slice slice_of(const char *p, size_t len)
{
	struct slice s;

	s.p = p;
	s.len = len;
	return s;
}

/** The bytes of a C string without its terminator; an empty slice for NULL. */
static inline struct slice slice_str(const char *str)
{
	return slice_of(str, str ? strlen(str) : 0);
}

static inline bool slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

static inline bool slice_is(struct slice a, const char *str)
{
	return slice_eq(a, slice_str(str));
}

#ifdef __cplusplus
}
#endif
#endif
