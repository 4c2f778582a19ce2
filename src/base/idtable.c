/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Id table: an array of slots that doubles, free slots linked by index. A number is generation <<
 * 32 | index; generations begin at 1, so 0 is none. The table owns the slots, not the objects. One
 * thread at a time.
 */
#include "base/idtable.h"

#define IDTABLE_FIRST 16

struct idtable_slot {
	void *object; /* NULL: free, or worn out */
	uint32_t
	    generation; /* of the object that is or will be here; 0: worn out, never used again */
	uint32_t next_free; /* index + 1, 0: the last */
};

void idtable_init(struct idtable *t)
{
	*t = (struct idtable){ .slots = NULL };
}

void idtable_fini(struct idtable *t)
{
	free(t->slots);
	idtable_init(t);
}

/* Doubles the table; the new slots are free, the lowest first. */
static bool grow(struct idtable *t)
{
	uint32_t cap = t->cap ? t->cap : IDTABLE_FIRST / 2;
	struct idtable_slot *slots;
	size_t size;
	uint32_t i;

	if (__builtin_mul_overflow(cap, 2, &cap) || !size_mul(cap, sizeof(*slots), &size))
		return false;
	slots = realloc(t->slots, size);
	if (!slots)
		return false;
	for (i = t->cap; i < cap; i++)
		slots[i] = (struct idtable_slot){ NULL, 1, i + 2 };
	slots[cap - 1].next_free = t->free_head;
	t->free_head = t->cap + 1;
	t->slots = slots;
	t->cap = cap;
	return true;
}

uint64_t idtable_add(struct idtable *t, void *object)
{
	struct idtable_slot *slot;
	uint32_t index;

	CHECK(object);
	if (!t->free_head && !grow(t))
		return 0;
	index = t->free_head - 1;
	slot = &t->slots[index];
	t->free_head = slot->next_free;
	slot->object = object;
	t->count++;
	return (uint64_t)slot->generation << 32 | index;
}

/* The slot of a live object, or NULL. */
static struct idtable_slot *find(const struct idtable *t, uint64_t id)
{
	uint32_t index = (uint32_t)id;
	struct idtable_slot *slot;

	if (index >= t->cap)
		return NULL;
	slot = &t->slots[index];
	return slot->object && slot->generation == id >> 32 ? slot : NULL;
}

void *idtable_get(const struct idtable *t, uint64_t id)
{
	const struct idtable_slot *slot = find(t, id);

	return slot ? slot->object : NULL;
}

void idtable_del(struct idtable *t, uint64_t id)
{
	struct idtable_slot *slot = find(t, id);

	CHECK(slot);
	slot->object = NULL;
	t->count--;
	/* A slot whose generations have run out is left behind: better 16 bytes than a number
	 * twice. */
	if (++slot->generation == 0)
		return;
	slot->next_free = t->free_head;
	t->free_head = (uint32_t)id + 1;
}

void *idtable_next(const struct idtable *t, uint32_t *pos)
{
	while (*pos < t->cap) {
		void *object = t->slots[(*pos)++].object;

		if (object)
			return object;
	}
	return NULL;
}
