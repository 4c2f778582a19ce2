/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Hash map: a power of two of slots, linear probing. Deletion moves the following items back (no
 * tombstones), so a probe always ends at the first empty slot. The map owns its slots only. One
 * thread at a time.
 *
 * Invariant: at most 3/4 of the slots are taken, so there is always an empty one.
 */
#include "base/map.h"

#include "base/err.h"
#include "base/hash.h"

#define MAP_FIRST 8

struct map_slot {
	void *item; /* NULL: empty */
	uint64_t hash;
};

struct map {
	map_key_fn *key;
	struct map_slot *slots; /* NULL while nothing was ever put */
	size_t n_slots;
	size_t count;
};

struct map *map_new(map_key_fn *key)
{
	struct map *m = calloc(1, sizeof(*m));

	if (m)
		m->key = key;
	return m;
}

void map_free(struct map **m)
{
	if (!*m)
		return;
	free((*m)->slots);
	free(*m);
	*m = NULL;
}

size_t map_count(const struct map *m)
{
	return m->count;
}

/* The slot that holds the key, or the empty one where it would go. There must be slots. */
static size_t find_slot(const struct map *m, struct slice key, uint64_t hash)
{
	size_t mask = m->n_slots - 1;
	size_t i = (size_t)hash & mask;

	while (m->slots[i].item) {
		if (m->slots[i].hash == hash && slice_eq(m->key(m->slots[i].item), key))
			break;
		i = (i + 1) & mask;
	}
	return i;
}

static int resize(struct map *m, size_t n_slots)
{
	struct map_slot *slots = calloc(n_slots, sizeof(*slots));
	size_t mask = n_slots - 1;
	size_t i;

	if (!slots)
		return PARLANCE_ENOMEM;
	for (i = 0; i < m->n_slots; i++) {
		size_t to = (size_t)m->slots[i].hash & mask;

		if (!m->slots[i].item)
			continue;
		while (slots[to].item)
			to = (to + 1) & mask;
		slots[to] = m->slots[i];
	}
	free(m->slots);
	m->slots = slots;
	m->n_slots = n_slots;
	return 0;
}

void *map_get(const struct map *m, const void *key, size_t len)
{
	if (m->count == 0)
		return NULL;
	return m->slots[find_slot(m, slice_of(key, len), hash_bytes(key, len))].item;
}

int map_put(struct map *m, void *item)
{
	struct slice key = m->key(item);
	uint64_t hash = hash_bytes(key.p, key.len);
	size_t i;

	if (m->count && m->slots[find_slot(m, key, hash)].item)
		return PARLANCE_EEXIST;
	if (m->count + 1 > m->n_slots / 4 * 3) {
		int err = resize(m, m->n_slots ? m->n_slots * 2 : MAP_FIRST);

		if (err)
			return err;
	}
	i = find_slot(m, key, hash);
	m->slots[i].item = item;
	m->slots[i].hash = hash;
	m->count++;
	return 0;
}

void *map_del(struct map *m, const void *key, size_t len)
{
	size_t mask = m->n_slots - 1;
	size_t hole;
	size_t i;
	void *item;

	if (m->count == 0)
		return NULL;
	hole = find_slot(m, slice_of(key, len), hash_bytes(key, len));
	item = m->slots[hole].item;
	if (!item)
		return NULL;
	/* An item may move back into the hole unless its home lies behind the hole (cyclically). */
	for (i = (hole + 1) & mask; m->slots[i].item; i = (i + 1) & mask) {
		size_t home = (size_t)m->slots[i].hash & mask;

		if (((i - home) & mask) >= ((i - hole) & mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole].item = NULL;
	m->count--;
	/* Without memory for the smaller table the larger one serves as well. */
	if (m->n_slots > MAP_FIRST && m->count < m->n_slots / 8)
		(void)resize(m, m->n_slots / 2);
	return item;
}

void *map_next(const struct map *m, size_t *pos)
{
	while (*pos < m->n_slots) {
		void *item = m->slots[(*pos)++].item;

		if (item)
			return item;
	}
	return NULL;
}
