/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Hash map from byte keys to objects. The key lives in the object; a function given at creation
 * returns it. The map owns neither keys nor objects. Open addressing with linear probing and
 * backward-shift deletion; grows and shrinks by itself. One thread at a time.
 */
#ifndef PARLANCE_BASE_MAP_H
#define PARLANCE_BASE_MAP_H

#include "base/check.h"
#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct map;

typedef struct slice map_key_fn(const void *item);

/** A map whose items' keys are what `key` returns (constant while the item is in the map). NULL:
 * out of memory. */
MUST_USE struct map *map_new(map_key_fn *key);

/** Frees the map (not the items) and clears the pointer. Harmless on NULL content. */
void map_free(struct map **m);

size_t map_count(const struct map *m);

/** The item with this key, or NULL. */
void *map_get(const struct map *m, const void *key, size_t len);

/** Adds the item. 0, PARLANCE_EEXIST (map unchanged) or PARLANCE_ENOMEM (map unchanged). */
MUST_USE int map_put(struct map *m, void *item);

/** Takes out and returns the item with this key, NULL when there is none. */
void *map_del(struct map *m, const void *key, size_t len);

/** Iterates: start with *pos = 0; NULL at the end. The map must not change meanwhile. */
void *map_next(const struct map *m, size_t *pos);

#ifdef __cplusplus
}
#endif
#endif
