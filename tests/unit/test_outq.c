/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The output queue: what goes in comes out of the bytes on the wire again, however they are taken,
 * over WebSocket and in polling payloads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "net/outq.h"

#include "base/err.h"
#include "wire/eio.h"
#include "wire/ws.h"
#include "wire/ws_deflate.h"

#define NO_DEFLATE SIZE_MAX
#define BIG_MAX 70000

/* Lengths at which a frame's head changes, with the type's digit and without. */
static const size_t borders[] = { 0, 1, 124, 125, 126, 127, 65534, 65535, 65536, 65537 };

static struct outq q;
static unsigned char wire[4 * BIG_MAX];
static size_t wire_len;
static size_t wire_at;

static int setup(void **state)
{
	(void)state;
	outq_init(&q);
	wire_len = wire_at = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	outq_fini(&q);
	ws_deflate_fini();
	return q.items != NULL;
}

/* Data that does not look the same at any two places. */
static struct frame *make(enum frame_kind kind, size_t len)
{
	struct frame *f = frame_new(kind, len);
	uint32_t x = (uint32_t)len + 1;

	assert_non_null(f);
	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		f->data[i] = (char)(kind == FRAME_TEXT ? 'a' + (x >> 24) % 26 : x >> 24);
	}
	return f;
}

static void push(char type, struct frame *f, const char *tail)
{
	size_t before = q.count;

	assert_int_equal(outq_push(&q, type, f, slice_str(tail)), 0);
	assert_int_equal(q.count, before + 1);
}

/* Pushes and gives up the maker's reference. */
static void push_own(char type, struct frame *f, const char *tail)
{
	push(type, f, tail);
	frame_unref(&f);
}

static void take_all(size_t piece, size_t deflate_from)
{
	size_t n;

	while ((n = outq_take_ws(&q, wire + wire_len, piece, deflate_from)) > 0) {
		assert_true(n == piece || q.count == 0);
		wire_len += n;
	}
	assert_int_equal(q.count, 0);
	assert_int_equal(q.bytes, 0);
}

struct ws_frame {
	enum ws_opcode opcode;
	bool compressed;
	struct slice payload;
};

/* RFC 6455 section 5.2, as a client reads it: whole, not masked, lengths in their shortest form. */
static struct ws_frame next_frame(void)
{
	const unsigned char *p = wire + wire_at;
	struct ws_frame f;
	size_t head = 2;
	uint64_t len;

	assert_true(wire_len - wire_at >= 2);
	assert_int_equal(p[0] & 0xb0, 0x80); /* FIN, and of the reserved bits at most the first */
	assert_int_equal(p[1] & 0x80, 0);
	f.opcode = (enum ws_opcode)(p[0] & 0x0f);
	f.compressed = p[0] & 0x40;
	len = p[1];
	if (len >= 126) {
		uint64_t least = len == 126 ? 126 : 65536;
		size_t n = len == 126 ? 2 : 8;

		assert_true(wire_len - wire_at >= head + n);
		for (len = 0; n > 0; n--)
			len = len << 8 | p[head++];
		assert_true(len >= least);
	}
	assert_true(wire_len - wire_at >= head + len);
	f.payload = slice_of((const char *)p + head, (size_t)len);
	wire_at += head + (size_t)len;
	return f;
}

static void check_bytes(struct slice s, const char *p, size_t len)
{
	assert_true(s.len >= len);
	assert_true(len == 0 || memcmp(s.p, p, len) == 0);
}

/* The next frame on the wire is this packet as text: type, data, tail. */
static void check_text(char type, const struct frame *data, const char *tail)
{
	struct ws_frame f = next_frame();
	size_t len = data ? data->len : 0;

	assert_int_equal(f.opcode, WS_TEXT);
	assert_false(f.compressed);
	assert_int_equal(f.payload.len, 1 + len + strlen(tail));
	assert_int_equal(f.payload.p[0], type);
	if (data)
		check_bytes(slice_of(f.payload.p + 1, len), data->data, len);
	check_bytes(slice_of(f.payload.p + 1 + len, strlen(tail)), tail, strlen(tail));
}

static void check_binary(const struct frame *data)
{
	struct ws_frame f = next_frame();

	assert_int_equal(f.opcode, WS_BINARY);
	assert_false(f.compressed);
	assert_int_equal(f.payload.len, data->len);
	check_bytes(f.payload, data->data, data->len);
}

static void check_wire_end(void)
{
	assert_int_equal(wire_at, wire_len);
}

static void test_borders(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(borders); i++) {
		struct frame *text = make(FRAME_TEXT, borders[i]);
		struct frame *binary = make(FRAME_BINARY, borders[i]);

		wire_len = wire_at = 0;
		push(EIO_MESSAGE, text, "");
		push(EIO_MESSAGE, binary, "");
		take_all(sizeof(wire), NO_DEFLATE);
		check_text(EIO_MESSAGE, text, "");
		check_binary(binary);
		check_wire_end();
		frame_unref(&text);
		frame_unref(&binary);
	}
}

/* Packets of all kinds, taken in pieces of every size. */
static void test_pieces(void **state)
{
	struct frame *text = make(FRAME_TEXT, 130);
	struct frame *binary = make(FRAME_BINARY, 33);
	struct frame *none = make(FRAME_TEXT, 0);
	size_t total = 1;

	(void)state;
	for (size_t piece = 1; piece <= total; piece++) {
		wire_len = wire_at = 0;
		push(EIO_MESSAGE, text, "");
		push(EIO_PING, NULL, "");
		push(EIO_MESSAGE, binary, "");
		push(EIO_MESSAGE, text, ",\"offset\"]");
		push(EIO_MESSAGE, none, "");
		push(EIO_MESSAGE, none, "x");
		take_all(piece, NO_DEFLATE);
		check_text(EIO_MESSAGE, text, "");
		check_text(EIO_PING, NULL, "");
		check_binary(binary);
		check_text(EIO_MESSAGE, text, ",\"offset\"]");
		check_text(EIO_MESSAGE, none, "");
		check_text(EIO_MESSAGE, none, "x");
		check_wire_end();
		total = wire_len + 1;
	}
	assert_true(total > 300);
	frame_unref(&text);
	frame_unref(&binary);
	frame_unref(&none);
}

static void test_take_nothing(void **state)
{
	(void)state;
	assert_null(outq_peek(&q));
	assert_int_equal(outq_take_ws(&q, wire, sizeof(wire), NO_DEFLATE), 0);
	assert_int_equal(outq_take_begun(&q, wire, sizeof(wire), NO_DEFLATE), 0);
	push(EIO_NOOP, NULL, "");
	assert_int_equal(outq_take_ws(&q, wire, 0, NO_DEFLATE), 0);
	assert_int_equal(q.count, 1);
}

/* Only what is left of a frame that was begun; the packet behind it stays. */
static void test_begun(void **state)
{
	struct frame *f = make(FRAME_TEXT, 10);

	(void)state;
	push(EIO_MESSAGE, f, "tail");
	push(EIO_PING, NULL, "");
	assert_int_equal(outq_take_begun(&q, wire, sizeof(wire), NO_DEFLATE), 0);
	wire_len = outq_take_ws(&q, wire, 7, NO_DEFLATE);
	assert_int_equal(wire_len, 7);
	assert_int_equal(q.head_done, 7);
	wire_len += outq_take_begun(&q, wire + wire_len, 3, NO_DEFLATE);
	assert_int_equal(wire_len, 10);
	wire_len += outq_take_begun(&q, wire + wire_len, sizeof(wire) - wire_len, NO_DEFLATE);
	check_text(EIO_MESSAGE, f, "tail");
	check_wire_end();
	assert_int_equal(q.head_done, 0);
	assert_int_equal(outq_take_begun(&q, wire, sizeof(wire), NO_DEFLATE), 0);
	assert_int_equal(q.count, 1);
	assert_int_equal(outq_peek(&q)->type, EIO_PING);
	/* Dropped in the middle: the next one begins at its beginning. */
	assert_int_equal(outq_take_ws(&q, wire, 1, NO_DEFLATE), 1);
	outq_pop(&q);
	push(EIO_PONG, NULL, "");
	wire_len = wire_at = 0;
	take_all(1, NO_DEFLATE);
	check_text(EIO_PONG, NULL, "");
	check_wire_end();
	frame_unref(&f);
}

/* The ring grows while it is in use, wherever its head is; order and references are kept. */
static void test_ring(void **state)
{
	struct frame *f = make(FRAME_TEXT, 1);
	unsigned int in = 0;
	unsigned int out = 0;

	(void)state;
	for (unsigned int round = 0; round < 50; round++) {
		for (unsigned int i = 0; i < 5; i++)
			push((char)('A' + in++ % 26), f, "");
		for (unsigned int i = 0; i < 3; i++) {
			assert_int_equal(outq_peek(&q)->type, 'A' + out++ % 26);
			outq_pop(&q);
		}
		assert_int_equal(f->refs, 1 + q.count);
	}
	assert_int_equal(q.count, 100);
	outq_trim(&q);
	assert_int_equal(q.count, 100); /* not empty: nothing happens */
	while (q.count) {
		assert_int_equal(outq_peek(&q)->type, 'A' + out++ % 26);
		outq_pop(&q);
	}
	assert_int_equal(f->refs, 1);
	assert_true(q.cap >= 100);
	outq_trim(&q);
	assert_int_equal(q.cap, 0);
	assert_null(q.items);
	push(EIO_MESSAGE, f, "tail");
	outq_fini(&q);
	assert_int_equal(f->refs, 1);
	assert_int_equal(q.bytes, 0);
	frame_unref(&f);
}

/* q.bytes is what the frames take on the wire; a binary one counts a byte more. */
static void test_bytes(void **state)
{
	size_t before;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(borders); i++) {
		before = q.bytes;
		push_own(EIO_MESSAGE, make(FRAME_TEXT, borders[i]), "");
		assert_int_equal(q.bytes - before, ws_head_len(borders[i] + 1) + borders[i] + 1);
		before = q.bytes;
		push_own(EIO_MESSAGE, make(FRAME_TEXT, borders[i]), "tail");
		assert_int_equal(q.bytes - before, ws_head_len(borders[i] + 5) + borders[i] + 5);
	}
	before = q.bytes;
	push(EIO_PING, NULL, "");
	assert_int_equal(q.bytes - before, 3);
	while (q.count) {
		before = q.bytes;
		wire_len = wire_at = 0;
		do
			wire_len += outq_take_ws(&q, wire + wire_len, 1, NO_DEFLATE);
		while (q.head_done);
		assert_int_equal(before - q.bytes, wire_len);
		(void)next_frame();
		check_wire_end();
	}
	assert_int_equal(q.bytes, 0);
}

static void test_tail_too_long(void **state)
{
	char *tail = calloc(1, OUTQ_TAIL_MAX + 1);

	(void)state;
	assert_non_null(tail);
	assert_int_equal(outq_push(&q, EIO_MESSAGE, NULL, slice_of(tail, OUTQ_TAIL_MAX + 1)),
			 PARLANCE_ETOOBIG);
	assert_int_equal(q.count, 0);
	assert_int_equal(outq_push(&q, EIO_MESSAGE, NULL, slice_of(tail, OUTQ_TAIL_MAX)), 0);
	take_all(sizeof(wire), NO_DEFLATE);
	assert_int_equal(next_frame().payload.len, 1 + OUTQ_TAIL_MAX);
	free(tail);
}

/* ---- compression ---- */

static struct frame *make_soft(enum frame_kind kind, size_t len)
{
	struct frame *f = frame_new(kind, len);

	assert_non_null(f);
	memset(f->data, 'z', len);
	return f;
}

/* The next frame is compressed and holds this packet. */
static void check_deflated(char type, const struct frame *data)
{
	struct ws_frame f = next_frame();
	bool text = data->kind == FRAME_TEXT;
	struct strbuf plain;

	assert_true(f.compressed);
	assert_int_equal(f.opcode, text ? WS_TEXT : WS_BINARY);
	assert_true(f.payload.len < data->len / 2);
	strbuf_init(&plain, BIG_MAX);
	assert_int_equal(ws_inflate(f.payload, &plain), 0);
	assert_int_equal(plain.len, data->len + (text ? 1 : 0));
	if (text)
		assert_int_equal(plain.data[0], type);
	check_bytes(slice_of(plain.data + (text ? 1 : 0), data->len), data->data, data->len);
	strbuf_fini(&plain);
}

static void test_deflate(void **state)
{
	struct frame *small = make_soft(FRAME_TEXT, 999);
	struct frame *text = make_soft(FRAME_TEXT, 1000);
	struct frame *binary = make_soft(FRAME_BINARY, 60000);

	(void)state;
	for (size_t piece = 1; piece < 300; piece++) {
		wire_len = wire_at = 0;
		push(EIO_MESSAGE, text, "");
		push(EIO_MESSAGE, small, "");
		push(EIO_MESSAGE, binary, "");
		push(EIO_MESSAGE, text, "tail");
		push(EIO_PING, NULL, "");
		take_all(piece, 1000);
		check_deflated(EIO_MESSAGE, text);
		check_text(EIO_MESSAGE, small, "");
		check_deflated(EIO_MESSAGE, binary);
		check_text(EIO_MESSAGE, text, "tail");
		check_text(EIO_PING, NULL, "");
		check_wire_end();
	}
	assert_null(small->deflated);
	frame_unref(&small);
	frame_unref(&text);
	frame_unref(&binary);
}

/* Compressed once for all: the second queue sends the same bytes without a compressor. Who did not
 * ask for it gets the plain ones. */
static void test_deflate_shared(void **state)
{
	struct frame *f = make_soft(FRAME_TEXT, 5000);
	struct frame *deflated;
	struct outq other;

	(void)state;
	outq_init(&other);
	push(EIO_MESSAGE, f, "");
	assert_int_equal(outq_push(&other, EIO_MESSAGE, f, slice_of(NULL, 0)), 0);
	assert_null(f->deflated); /* not before its first byte is taken */
	take_all(sizeof(wire), 100);
	deflated = f->deflated;
	assert_non_null(deflated);
	wire_len = outq_take_ws(&other, wire, sizeof(wire), 100);
	assert_ptr_equal(f->deflated, deflated);
	check_deflated(EIO_MESSAGE, f);
	check_wire_end();
	push(EIO_MESSAGE, f, "");
	wire_len = wire_at = 0;
	take_all(sizeof(wire), NO_DEFLATE);
	check_text(EIO_MESSAGE, f, "");
	/* What was begun in one form ends in it. */
	push(EIO_MESSAGE, f, "");
	wire_at = 0;
	wire_len = outq_take_ws(&q, wire, 3, NO_DEFLATE);
	take_all(sizeof(wire) - wire_len, 100);
	check_text(EIO_MESSAGE, f, "");
	outq_fini(&other);
	frame_unref(&f);
}

/* ---- polling ---- */

static void check_payload(const struct eio_packet *p, char type, const struct frame *data,
			  const char *tail)
{
	size_t len = data ? data->len : 0;

	assert_int_equal(p->type, type);
	assert_int_equal(p->binary, data && data->kind == FRAME_BINARY);
	assert_int_equal(p->data.len, len + strlen(tail));
	if (data)
		check_bytes(p->data, data->data, len);
	check_bytes(slice_of(p->data.p + len, p->data.len - len), tail, strlen(tail));
}

static void test_polling(void **state)
{
	struct frame *frames[2 * ARRAY_LEN(borders)];
	struct eio_packet p;
	struct strbuf payload;
	struct slice rest;
	size_t n = 0;

	(void)state;
	strbuf_init(&payload, 16 * BIG_MAX);
	for (size_t i = 0; i < ARRAY_LEN(borders); i++) {
		frames[n] = make(FRAME_TEXT, borders[i]);
		push(EIO_MESSAGE, frames[n++], "");
		frames[n] = make(FRAME_BINARY, borders[i]);
		push(EIO_MESSAGE, frames[n++], "");
	}
	push(EIO_MESSAGE, frames[2], ",\"offset\"]");
	push(EIO_NOOP, NULL, "");
	while (q.count) {
		size_t before = payload.len;

		outq_polling_write(outq_peek(&q), &payload);
		/* The first has no separator before it. */
		assert_int_equal(outq_polling_size(outq_peek(&q)),
				 payload.len - before + (before ? 0 : 1));
		outq_pop(&q);
	}
	assert_true(strbuf_ok(&payload));
	rest = slice_of(payload.data, payload.len);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(eio_payload_next(&rest, &p), 0);
		check_payload(&p, EIO_MESSAGE, frames[i], "");
	}
	assert_int_equal(eio_payload_next(&rest, &p), 0);
	check_payload(&p, EIO_MESSAGE, frames[2], ",\"offset\"]");
	assert_int_equal(eio_payload_next(&rest, &p), 0);
	check_payload(&p, EIO_NOOP, NULL, "");
	assert_int_equal(eio_payload_next(&rest, &p), PARLANCE_ENOENT);
	for (size_t i = 0; i < n; i++)
		frame_unref(&frames[i]);
	strbuf_fini(&payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_borders, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_take_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_begun, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tail_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deflate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deflate_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_polling, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
