/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Frames: one block of the heap for counter and data, freed with the last reference. Loop thread.
 */
#include "base/frame.h"

struct frame *frame_new(enum frame_kind kind, size_t len)
{
	struct frame *f;
	size_t size;

	if (len > UINT32_MAX || !size_add(sizeof(*f), len, &size))
		return NULL;
	f = malloc(size);
	if (!f)
		return NULL;
	f->refs = 1;
	f->kind = (uint8_t)kind;
	f->len = (uint32_t)len;
	f->deflated = NULL;
	return f;
}

struct frame *frame_copy(enum frame_kind kind, const void *p, size_t len)
{
	struct frame *f = frame_new(kind, len);

	if (f && len)
		memcpy(f->data, p, len);
	return f;
}

void frame_unref(struct frame **f)
{
	struct frame *dropped = *f;

	*f = NULL;
	if (!dropped)
		return;
	CHECK(dropped->refs > 0);
	if (--dropped->refs == 0) {
		frame_unref(&dropped->deflated);
		free(dropped);
	}
}
