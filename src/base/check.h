/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Assertions, checked arithmetic and compiler attributes.
 *
 * CHECK() stays on in release builds. It guards invariants of our own code, never input: what comes
 * from outside is answered with an error.
 */
#ifndef PARLANCE_BASE_CHECK_H
#define PARLANCE_BASE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/poison.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define NORETURN __attribute__((noreturn))
#define UNUSED __attribute__((unused))

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/** The object of type `type` whose member `member` is at `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/** Writes one line to standard error and aborts. Any thread. */
NORETURN void check_failed(const char *file, int line, const char *what);

/** Aborts with file, line and the condition's text when `cond` does not hold. */
#define CHECK(cond)                                              \
	do {                                                     \
		if (UNLIKELY(!(cond)))                           \
			check_failed(__FILE__, __LINE__, #cond); \
	} while (0)

/** *out = a + b; false (and *out undefined) when that does not fit. */
MUST_USE static inline bool size_add(size_t a, size_t b, size_t *out)
{
	return !__builtin_add_overflow(a, b, out);
}

/** *out = a * b; false (and *out undefined) when that does not fit. */
MUST_USE static inline bool size_mul(size_t a, size_t b, size_t *out)
{
	return !__builtin_mul_overflow(a, b, out);
}

#ifdef __cplusplus
}
#endif
#endif
