/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Table of live objects by 64-bit number. Asynchronous work names an object by its number and looks
 * it up again; the number of an object that is gone finds nothing, and is not given out again: 32
 * bits of place, 32 bits of how often the place was used. One thread at a time.
 */
#ifndef PARLANCE_BASE_IDTABLE_H
#define PARLANCE_BASE_IDTABLE_H

#include "base/check.h"

#ifdef __cplusplus
extern "C" {
#endif

struct idtable_slot;

struct idtable {
	struct idtable_slot *slots;
	uint32_t cap;
	uint32_t count;
	uint32_t free_head; /* index + 1 of the first free slot, 0: none */
};

/** Prepares an empty table; allocates nothing. */
void idtable_init(struct idtable *t);
void idtable_fini(struct idtable *t);

/** Enters the object (not NULL) and returns its number, never 0; 0: out of memory. */
MUST_USE uint64_t idtable_add(struct idtable *t, void *object);

/** The object with this number, or NULL. */
void *idtable_get(const struct idtable *t, uint64_t id);

/** Takes it out; CHECKs that it was in. */
void idtable_del(struct idtable *t, uint64_t id);

/** Iterates: start with *pos = 0; NULL at the end. Objects may be removed, not added, meanwhile. */
void *idtable_next(const struct idtable *t, uint32_t *pos);

#ifdef __cplusplus
}
#endif
#endif
