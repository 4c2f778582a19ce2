/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Frame: an encoded packet that many receivers share. Immutable once made, counted by references
 * (the only refcounted thing in the program); whoever holds a reference drops it with frame_unref.
 * Loop thread only.
 *
 * A frame holds the payload of one Engine.IO message. Transport framing (WebSocket header, base64)
 * is added while the bytes are gathered for the wire, because it differs by receiver.
 */
#ifndef PARLANCE_BASE_FRAME_H
#define PARLANCE_BASE_FRAME_H

#include "base/check.h"

#ifdef __cplusplus
extern "C" {
#endif

enum frame_kind {
	FRAME_TEXT = 1,
	FRAME_BINARY,
};

struct frame {
	uint32_t refs;
	uint8_t kind; /* enum frame_kind */
	uint32_t len;
	/* The same compressed, once somebody needed it; owned, goes with the frame. */
	struct frame *deflated;
	char data[];
};

/** A frame with room for len bytes of data (to be filled before it is shared) and one reference.
 * NULL: out of memory or len over UINT32_MAX. */
MUST_USE struct frame *frame_new(enum frame_kind kind, size_t len);

/** As frame_new with the bytes copied in. */
MUST_USE struct frame *frame_copy(enum frame_kind kind, const void *p, size_t len);

static inline struct frame *frame_ref(struct frame *f)
{
	CHECK(f->refs > 0 && f->refs < UINT32_MAX);
	f->refs++;
	return f;
}

/** Drops a reference and clears the pointer; the last one frees the frame. Harmless on NULL. */
void frame_unref(struct frame **f);

#ifdef __cplusplus
}
#endif
#endif
