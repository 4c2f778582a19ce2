/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * WebSocket reader: the events of a connection's bytes do not depend on how the bytes come, and are
 * within bounds. The first byte of the input is no part of them: its top bit switches compression
 * on, the rest chooses the pieces. One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/utf8.h"
#include "wire/ws.h"

#define MAX 2000
#define PIECE_MAX 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_event(const struct ws_event *event)
{
	size_t max = WS_CONTROL_MAX;

	if (event->opcode == WS_TEXT || event->opcode == WS_BINARY)
		max = MAX;
	else
		CHECK(event->opcode >= WS_CLOSE && event->opcode <= WS_PONG);
	if (event->opcode == WS_CLOSE && event->status != WS_NONE) {
		CHECK(ws_status_ok(event->status));
		max -= 2;
	} else {
		CHECK(event->status == WS_NONE);
	}
	CHECK(event->payload.len <= max);
	if (event->opcode == WS_TEXT || event->opcode == WS_CLOSE)
		CHECK(utf8_valid(event->payload.p, event->payload.len));
	CHECK(!event->why);
}

/* A reader between messages has no memory of its own. */
static void check_memory(const struct ws_reader *r)
{
	CHECK(r->pending.len > 0 || !r->pending.data);
	CHECK(r->message.len > 0 || !r->message.data);
	CHECK(r->message.len <= MAX && r->left <= MAX);
}

/* Reads one piece, to the end of it or to an error, and writes down what comes of it. */
static int read_piece(struct ws_reader *r, const uint8_t *data, size_t len, struct strbuf *events)
{
	char *exact = malloc(len);
	struct ws_event event;
	struct slice in;
	int rc;

	CHECK(exact);
	memcpy(exact, data, len);
	in = slice_of(exact, len);
	while ((rc = ws_read(r, &in, &event)) == 0) {
		check_event(&event);
		strbuf_printf(events, "%d %d %zu ", event.opcode, event.status, event.payload.len);
		strbuf_append_slice(events, event.payload);
	}
	if (rc == PARLANCE_EAGAIN) {
		CHECK(in.len == 0);
		check_memory(r);
	} else {
		CHECK(rc == PARLANCE_EINVAL && event.why);
		CHECK(event.status == WS_PROTOCOL_ERROR || event.status == WS_INVALID_DATA ||
		      event.status == WS_TOO_BIG);
		strbuf_printf(events, "%s", event.why);
	}
	free(exact);
	return rc;
}

/* A piece_max of 0: all in one. */
static void read_all(const uint8_t *data, size_t size, unsigned int choice, size_t piece_max,
		     struct strbuf *events)
{
	uint32_t random = choice;
	struct ws_reader reader;
	int rc = PARLANCE_EAGAIN;

	ws_reader_init(&reader, MAX, choice & 0x80);
	strbuf_init(events, SIZE_MAX);
	while (size > 0 && rc == PARLANCE_EAGAIN) {
		size_t len = size;

		random = random * 1664525 + 1013904223; /* Numerical Recipes' generator */
		if (piece_max > 0 && (random >> 16) % piece_max < size)
			len = (random >> 16) % piece_max + 1;
		rc = read_piece(&reader, data, len, events);
		data += len;
		size -= len;
	}
	CHECK(strbuf_ok(events));
	ws_reader_fini(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf whole;
	struct strbuf pieces;

	if (size == 0)
		return 0;
	read_all(data + 1, size - 1, data[0], 0, &whole);
	for (size_t piece_max = 1; piece_max <= PIECE_MAX; piece_max += PIECE_MAX - 1) {
		read_all(data + 1, size - 1, data[0], piece_max, &pieces);
		CHECK(slice_eq(slice_of(whole.data, whole.len), slice_of(pieces.data, pieces.len)));
		strbuf_fini(&pieces);
	}
	strbuf_fini(&whole);
	return 0;
}
