/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The output queue: a ring that doubles. */
#include "net/outq.h"
#include "base/err.h"
#include "wire/eio.h"
#include "wire/ws.h"
#include "wire/ws_deflate.h"

#define RING_MIN 4

void outq_init(struct outq *q)
{
	memset(q, 0, sizeof(*q));
}

static size_t data_len(const struct outq_item *item)
{
	return (item->frame ? item->frame->len : 0) + (size_t)item->tail_len;
}

static bool is_binary(const struct outq_item *item)
{
	return item->frame && item->frame->kind == FRAME_BINARY;
}

/* What it counts for in q->bytes: its WebSocket frame, near enough for polling too. */
static size_t item_size(const struct outq_item *item)
{
	size_t len = data_len(item) + 1;

	return ws_head_len(len) + len;
}

static bool grow(struct outq *q)
{
	uint32_t cap = q->cap ? q->cap * 2 : RING_MIN;
	struct outq_item *items;
	size_t bytes;

	if (cap <= q->cap || !size_mul(cap, sizeof(*items), &bytes))
		return false;
	items = malloc(bytes);
	if (!items)
		return false;
	for (uint32_t i = 0; i < q->count; i++)
		items[i] = q->items[(q->head + i) & (q->cap - 1)];
	free(q->items);
	q->items = items;
	q->cap = cap;
	q->head = 0;
	return true;
}

int outq_push(struct outq *q, char type, struct frame *frame, struct slice tail)
{
	struct outq_item item = { .frame = frame, .tail_len = (uint16_t)tail.len, .type = type };

	if (tail.len > OUTQ_TAIL_MAX)
		return PARLANCE_ETOOBIG;
	if (q->count == q->cap && !grow(q))
		return PARLANCE_ENOMEM;
	if (tail.len) {
		item.tail = malloc(tail.len);
		if (!item.tail)
			return PARLANCE_ENOMEM;
		memcpy(item.tail, tail.p, tail.len);
	}
	if (frame)
		frame_ref(frame);
	q->items[(q->head + q->count) & (q->cap - 1)] = item;
	q->count++;
	q->bytes += item_size(&item);
	return 0;
}

const struct outq_item *outq_peek(const struct outq *q)
{
	return q->count ? &q->items[q->head] : NULL;
}

void outq_pop(struct outq *q)
{
	struct outq_item *item = &q->items[q->head];

	CHECK(q->count);
	q->bytes -= item_size(item);
	q->head_done = 0;
	frame_unref(&item->frame);
	free(item->tail);
	q->head = (q->head + 1) & (q->cap - 1);
	q->count--;
}

void outq_trim(struct outq *q)
{
	if (q->count)
		return;
	CHECK(q->bytes == 0);
	free(q->items);
	outq_init(q);
}

void outq_fini(struct outq *q)
{
	while (q->count)
		outq_pop(q);
	outq_trim(q);
}

/* What a packet is on the wire of a WebSocket: three pieces, one after the other. */
struct pieces {
	unsigned char head[WS_HEAD_MAX + 1]; /* of the frame, and the packet's type */
	size_t head_len;
	struct slice data;
	struct slice tail;
};

/*
 * The packet's payload compressed, made when the first receiver needs it; NULL when it cannot be.
 */
static const struct frame *deflated(const struct outq_item *item)
{
	struct frame *f = item->frame;
	struct strbuf plain;
	struct strbuf packed;

	if (f->deflated)
		return f->deflated;
	strbuf_init(&plain, (size_t)f->len + 1);
	strbuf_init(&packed, UINT32_MAX);
	if (!is_binary(item))
		strbuf_append_char(&plain, item->type);
	strbuf_append(&plain, f->data, f->len);
	if (strbuf_ok(&plain) && ws_deflate(slice_of(plain.data, plain.len), &packed) == 0)
		f->deflated = frame_copy(FRAME_BINARY, packed.data, packed.len);
	strbuf_fini(&plain);
	strbuf_fini(&packed);
	return f->deflated;
}

static void split(const struct outq_item *item, bool packed, struct pieces *p)
{
	enum ws_opcode opcode = is_binary(item) ? WS_BINARY : WS_TEXT;

	if (packed) {
		const struct frame *f = item->frame->deflated;

		p->head_len = ws_head(p->head, opcode, true, f->len);
		p->data = slice_of(f->data, f->len);
		p->tail = slice_of(NULL, 0);
		return;
	}
	p->head_len = ws_head(p->head, opcode, false, data_len(item) + (is_binary(item) ? 0 : 1));
	if (!is_binary(item))
		p->head[p->head_len++] = (unsigned char)item->type;
	p->data = item->frame ? slice_of(item->frame->data, item->frame->len) : slice_of(NULL, 0);
	p->tail = slice_of(item->tail, item->tail_len);
}

/* Copies what of the piece lies behind *skip, as far as there is room. */
static size_t copy_piece(unsigned char *out, size_t cap, const void *p, size_t len, size_t *skip)
{
	size_t n;

	if (*skip >= len) {
		*skip -= len;
		return 0;
	}
	n = len - *skip < cap ? len - *skip : cap;
	memcpy(out, (const char *)p + *skip, n);
	*skip = 0;
	return n;
}

/* Takes from the first packet; true when it was taken whole. */
static bool take_first(struct outq *q, unsigned char *out, size_t cap, size_t deflate_from,
		       size_t *taken)
{
	const struct outq_item *item = &q->items[q->head];
	struct pieces p;
	size_t skip = q->head_done;
	size_t n;

	if (!q->head_done)
		q->head_packed = data_len(item) >= deflate_from && item->frame && !item->tail_len &&
				 deflated(item);
	split(item, q->head_packed, &p);
	n = copy_piece(out, cap, p.head, p.head_len, &skip);
	n += copy_piece(out + n, cap - n, p.data.p, p.data.len, &skip);
	n += copy_piece(out + n, cap - n, p.tail.p, p.tail.len, &skip);
	*taken = n;
	q->head_done += n;
	if (q->head_done < p.head_len + p.data.len + p.tail.len)
		return false;
	outq_pop(q);
	return true;
}

size_t outq_take_begun(struct outq *q, unsigned char *out, size_t cap, size_t deflate_from)
{
	size_t n = 0;

	if (q->head_done)
		(void)take_first(q, out, cap, deflate_from, &n);
	return n;
}

size_t outq_take_ws(struct outq *q, unsigned char *out, size_t cap, size_t deflate_from)
{
	size_t total = 0;
	size_t n;

	while (q->count && total < cap) {
		bool whole = take_first(q, out + total, cap - total, deflate_from, &n);

		total += n;
		if (!whole)
			break;
	}
	return total;
}

size_t outq_polling_size(const struct outq_item *item)
{
	return eio_payload_size(is_binary(item), data_len(item));
}

void outq_polling_write(const struct outq_item *item, struct strbuf *payload)
{
	struct eio_packet packet = { .type = (enum eio_type)item->type, .binary = is_binary(item) };

	if (item->frame)
		packet.data = slice_of(item->frame->data, item->frame->len);
	eio_payload_append(payload, &packet);
	/* An attachment carries no offset, so what is base64 has no tail. */
	if (item->tail_len)
		strbuf_append(payload, item->tail, item->tail_len);
}
