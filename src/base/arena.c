/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Arena: a list of chunks; the head is the one that is being handed out, the others are full. The
 * arena owns its chunks, the caller owns the arena. One thread at a time.
 *
 * Under AddressSanitizer everything that is not handed out is poisoned, and a gap stays between two
 * pieces, so that an overrun or a use after reset is seen as with malloc.
 */
#include <stdalign.h>

#include "base/arena.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#endif

#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define ARENA_GAP alignof(max_align_t)
#else
#define ASAN_POISON_MEMORY_REGION(p, len) ((void)(p), (void)(len))
#define ASAN_UNPOISON_MEMORY_REGION(p, len) ((void)(p), (void)(len))
#define ARENA_GAP 0
#endif

/* Sizes of whole chunks, header included. */
#define ARENA_CHUNK_FIRST 1024
#define ARENA_CHUNK_KEEP 4096
#define ARENA_CHUNK_MAX 65536

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* of data */
	size_t used;
	alignas(max_align_t) char data[];
};

void arena_init(struct arena *a, size_t limit_bytes)
{
	*a = (struct arena){ .limit_bytes = limit_bytes };
}

static struct arena_chunk *chunk_new(size_t size)
{
	struct arena_chunk *c = malloc(sizeof(*c) + size);

	if (!c)
		return NULL;
	c->size = size;
	c->used = 0;
	ASAN_POISON_MEMORY_REGION(c->data, size);
	return c;
}

static void chunk_free(struct arena_chunk *c)
{
	ASAN_UNPOISON_MEMORY_REGION(c->data, c->size);
	free(c);
}

/* The size of the regular chunk that follows the head and has room for `need` bytes. */
static size_t next_total(const struct arena_chunk *head, size_t need)
{
	size_t total = ARENA_CHUNK_FIRST;

	/* A head beyond the maximum holds one large piece and says nothing of how much will be
	 * needed. */
	if (head && sizeof(*head) + head->size <= ARENA_CHUNK_MAX)
		total = 2 * (sizeof(*head) + head->size);
	while (total < sizeof(*head) + need)
		total *= 2;
	return total < ARENA_CHUNK_MAX ? total : ARENA_CHUNK_MAX;
}

/* A chunk with room for `need` bytes. A piece larger than a regular chunk gets one of its own,
 * behind the head, whose room stays in use. */
static struct arena_chunk *chunk_with_room(struct arena *a, size_t need)
{
	struct arena_chunk *c = a->head;

	if (c && c->size - c->used >= need)
		return c;
	if (need > ARENA_CHUNK_MAX - sizeof(*c)) {
		c = chunk_new(need);
		if (!c)
			return NULL;
		if (a->head) {
			c->next = a->head->next;
			a->head->next = c;
		} else {
			c->next = NULL;
			a->head = c;
		}
		return c;
	}
	c = chunk_new(next_total(c, need) - sizeof(*c));
	if (!c)
		return NULL;
	c->next = a->head;
	a->head = c;
	return c;
}

void *arena_alloc(struct arena *a, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct arena_chunk *c;
	size_t step;
	char *p;

	if (size == 0)
		size = 1;
	/* Far beyond any machine, and it keeps the sums below from wrapping. */
	if (size > PTRDIFF_MAX / 2)
		return NULL;
	step = (size + align - 1) / align * align;
	if (a->limit_bytes &&
	    (a->used_bytes > a->limit_bytes || step > a->limit_bytes - a->used_bytes))
		return NULL;
	c = chunk_with_room(a, step + ARENA_GAP);
	if (!c)
		return NULL;
	p = c->data + c->used;
	c->used += step + ARENA_GAP;
	a->used_bytes += step;
	ASAN_UNPOISON_MEMORY_REGION(p, size);
	return p;
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
	size_t total;
	void *p;

	if (!size_mul(n, size, &total))
		return NULL;
	p = arena_alloc(a, total);
	if (p)
		memset(p, 0, total);
	return p;
}

char *arena_strndup(struct arena *a, const char *p, size_t len)
{
	size_t size;
	char *copy;

	if (!size_add(len, 1, &size))
		return NULL;
	copy = arena_alloc(a, size);
	if (!copy)
		return NULL;
	if (len)
		memcpy(copy, p, len);
	copy[len] = '\0';
	return copy;
}

void arena_reset(struct arena *a)
{
	struct arena_chunk *c = a->head;
	struct arena_chunk *keep = NULL;

	while (c) {
		struct arena_chunk *next = c->next;

		if (!keep && sizeof(*c) + c->size <= ARENA_CHUNK_KEEP)
			keep = c;
		else
			chunk_free(c);
		c = next;
	}
	if (keep) {
		keep->next = NULL;
		keep->used = 0;
		ASAN_POISON_MEMORY_REGION(keep->data, keep->size);
	}
	a->head = keep;
	a->used_bytes = 0;
}

void arena_fini(struct arena *a)
{
	struct arena_chunk *c = a->head;

	while (c) {
		struct arena_chunk *next = c->next;

		chunk_free(c);
		c = next;
	}
	arena_init(a, a->limit_bytes);
}
