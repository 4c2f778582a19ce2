/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Arena: memory that is given back all at once. A handler allocates from the arena of its request
 * or connection and frees nothing itself. Chunks grow up to 64 KiB; larger pieces get a chunk of
 * their own. One thread at a time.
 */
#ifndef PARLANCE_BASE_ARENA_H
#define PARLANCE_BASE_ARENA_H

#include "base/check.h"
#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct arena_chunk;

struct arena {
	struct arena_chunk *head;
	size_t used_bytes;  /* handed out since the last reset, rounded up to alignment */
	size_t limit_bytes; /* 0: none */
};

/** Prepares an empty arena; allocates nothing. limit_bytes bounds what may be handed out between
 * two resets, 0 = no bound. */
void arena_init(struct arena *a, size_t limit_bytes);

/** size bytes aligned for any type, not cleared; size 0 gives a valid pointer. NULL: out of memory
 * or over the limit. */
MUST_USE void *arena_alloc(struct arena *a, size_t size);

/** As arena_alloc, cleared, for n objects of the size (overflow-checked). */
MUST_USE void *arena_calloc(struct arena *a, size_t n, size_t size);

/** A terminated copy of the bytes, or NULL. */
MUST_USE char *arena_strndup(struct arena *a, const char *p, size_t len);

/** Forgets all that was handed out; keeps at most one chunk of at most 4 KiB for reuse. */
void arena_reset(struct arena *a);

/** Gives everything back; the arena may be used again as after arena_init. */
void arena_fini(struct arena *a);

#ifdef __cplusplus
}
#endif
#endif
