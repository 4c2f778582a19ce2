/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Server-sent events: the same bytes make the same events in whatever pieces they come; and so do
 * the data's texts, which are whole characters of UTF-8 then. The first byte is the size of the
 * pieces. One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "base/utf8.h"
#include "../../plugins/provider_openai/sse.h"
#include "../../plugins/provider_openai/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EVENT_MAX 256

/* All that a stream said: each event's parts, with their lengths. */
struct said {
	struct strbuf events;
	struct utf8_join join;
	struct buf text; /* of the data of all events */
	enum sse_result last;
	uint64_t retry_ms;
};

static void note(struct strbuf *out, struct parlance_str part)
{
	strbuf_append_u64(out, part.len);
	strbuf_append_char(out, ':');
	strbuf_append(out, part.p, part.len);
}

static void feed(struct said *said, const uint8_t *data, size_t size, size_t step)
{
	struct sse sse;
	struct sse_event event;

	memset(said, 0, sizeof(*said));
	strbuf_init(&said->events, SIZE_MAX / 4);
	buf_init(&said->text, size * 3 + 1);
	sse_init(&sse, EVENT_MAX);
	said->last = SSE_MORE;
	for (size_t at = 0; at < size && said->last == SSE_MORE; at += step) {
		size_t n = size - at < step ? size - at : step;
		char *piece = malloc(n);
		struct parlance_str input = { piece, n };

		CHECK(piece);
		memcpy(piece, data + at, n);
		while ((said->last = sse_next(&sse, &input, &event)) == SSE_EVENT) {
			CHECK(event.type.len > 0 && event.type.len <= EVENT_MAX);
			CHECK(event.data.len < EVENT_MAX && event.id.len <= EVENT_MAX);
			CHECK(event.id.len == 0 || !memchr(event.id.p, '\0', event.id.len));
			note(&said->events, event.type);
			note(&said->events, event.id);
			note(&said->events, event.data);
			CHECK(utf8_join(&said->join, event.data.p, event.data.len,
					&said->text) == 0);
		}
		CHECK(said->last == SSE_TOO_BIG || input.len == 0);
		free(piece);
	}
	said->retry_ms = sse.retry_ms;
	CHECK(utf8_valid(said->text.p, said->text.len));
	CHECK(utf8_join_end(&said->join, &said->text) == 0);
	CHECK(utf8_valid(said->text.p, said->text.len));
	CHECK(strbuf_ok(&said->events));
	sse_fini(&sse);
}

static void forget(struct said *said)
{
	strbuf_fini(&said->events);
	buf_fini(&said->text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct said whole;
	struct said pieces;

	if (size < 2)
		return 0;
	feed(&whole, data + 1, size - 1, size);
	feed(&pieces, data + 1, size - 1, 1 + data[0] % 16);
	CHECK(whole.last == pieces.last && whole.retry_ms == pieces.retry_ms);
	CHECK(whole.events.len == pieces.events.len);
	CHECK(memcmp(strbuf_cstr(&whole.events), strbuf_cstr(&pieces.events),
		     whole.events.len) == 0);
	CHECK(whole.text.len == pieces.text.len);
	CHECK(whole.text.len == 0 || memcmp(whole.text.p, pieces.text.p, whole.text.len) == 0);
	forget(&whole);
	forget(&pieces);
	return 0;
}
