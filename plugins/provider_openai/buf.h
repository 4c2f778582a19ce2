/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Bytes on the heap that grow up to a bound. The buffer owns them. One thread at a time.
 */
#ifndef PROVIDER_OPENAI_BUF_H
#define PROVIDER_OPENAI_BUF_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MUST_USE __attribute__((warn_unused_result))

struct buf {
	char *p; /* not terminated; NULL while nothing was appended */
	size_t len;
	size_t cap;
	size_t max; /* len never grows beyond it */
};

/** Prepares an empty buffer; allocates nothing. */
void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);

/** Empties it and keeps the memory. */
void buf_reset(struct buf *b);

/** 0, or -1 (over the bound, or out of memory) and nothing has changed. */
MUST_USE int buf_append(struct buf *b, const void *p, size_t len);

/** Takes the first n bytes (at most len) away. */
void buf_drop(struct buf *b, size_t n);

#ifdef __cplusplus
}
#endif
#endif
