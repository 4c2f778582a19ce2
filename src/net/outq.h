/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The output queue of a session: Engine.IO packets that wait for the transport. Items point to
 * shared frames; a short tail of the session's own may follow a frame's data (the recovery offset
 * of Socket.IO). Bytes are counted as they will be on the wire, near enough.
 *
 * The queue itself has no limits; session.c applies them. Loop thread.
 */
#ifndef PARLANCE_NET_OUTQ_H
#define PARLANCE_NET_OUTQ_H

#include "base/frame.h"
#include "base/slice.h"
#include "base/strbuf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct outq_item {
	struct frame *frame; /* NULL: a packet without data */
	char *tail;          /* owned; NULL: none */
	uint16_t tail_len;
	char type;           /* enum eio_type */
};

struct outq {
	/* A ring of cap items; freed when the queue is empty. */
	struct outq_item *items;
	uint32_t cap;
	uint32_t head;
	uint32_t count;
	size_t bytes;
	size_t head_done; /* bytes of the first packet's WebSocket frame that have been taken */
	bool head_packed; /* compressed; settled when its first byte is taken */
};

/** The longest tail. */
#define OUTQ_TAIL_MAX UINT16_MAX

void outq_init(struct outq *q);

/** Drops everything. */
void outq_fini(struct outq *q);

/** Appends a packet; takes a reference of its own on the frame (may be NULL) and copies the tail.
 * 0, PARLANCE_ENOMEM (queue unchanged), PARLANCE_ETOOBIG (tail). */
MUST_USE int outq_push(struct outq *q, char type, struct frame *frame, struct slice tail);

/** The first packet, or NULL. Valid until the queue changes. */
const struct outq_item *outq_peek(const struct outq *q);

/** Drops the first packet. */
void outq_pop(struct outq *q);

/** Gives memory back when the queue is empty. */
void outq_trim(struct outq *q);

/** Takes up to cap bytes of the queue as WebSocket frames, dropping packets as they are taken
 * whole; returns their number. Messages of at least deflate_from bytes are compressed (SIZE_MAX:
 * none), once for all receivers of a frame; those with a tail are not. */
size_t outq_take_ws(struct outq *q, unsigned char *out, size_t cap, size_t deflate_from);

/** As outq_take_ws, but only what is left of a frame that was begun. */
size_t outq_take_begun(struct outq *q, unsigned char *out, size_t cap, size_t deflate_from);

/** Bytes that the item takes in a polling payload, separator included. */
size_t outq_polling_size(const struct outq_item *item);

/** Appends the item to a polling payload. */
void outq_polling_write(const struct outq_item *item, struct strbuf *payload);

#ifdef __cplusplus
}
#endif
#endif
