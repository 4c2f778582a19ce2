/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Bytes on the heap that grow up to a bound.
 */
#include "buf.h"

#include <stdlib.h>
#include <string.h>

#define BUF_FIRST 256

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_fini(struct buf *b)
{
	free(b->p);
	buf_init(b, b->max);
}

void buf_reset(struct buf *b)
{
	b->len = 0;
}

int buf_append(struct buf *b, const void *p, size_t len)
{
	if (len == 0)
		return 0;
	if (len > b->max - b->len)
		return -1;
	if (len > b->cap - b->len) {
		size_t cap = b->cap < BUF_FIRST ? BUF_FIRST : b->cap;
		char *grown;

		while (cap - b->len < len)
			cap = cap > b->max / 2 ? b->max : cap * 2;
		grown = realloc(b->p, cap);
		if (!grown)
			return -1;
		b->p = grown;
		b->cap = cap;
	}
	memcpy(b->p + b->len, p, len);
	b->len += len;
	return 0;
}

void buf_drop(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	b->len -= n;
	memmove(b->p, b->p + n, b->len);
}
