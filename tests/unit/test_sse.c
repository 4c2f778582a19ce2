/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Server-sent events: every field, every line end, and every split of the same bytes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../plugins/provider_openai/sse.h"

#define MAX_BYTES 4096

static struct sse sse;
static char seen[4096]; /* "type|id|data" of each event, and a newline */
static size_t seen_len;

/* Feeds a heap copy of exactly these bytes. */
static enum sse_result feed(const char *p, size_t len)
{
	char *copy = malloc(len ? len : 1);
	struct parlance_str input = { copy, len };
	struct sse_event event;
	enum sse_result result;

	assert_non_null(copy);
	memcpy(copy, p, len);
	while ((result = sse_next(&sse, &input, &event)) == SSE_EVENT) {
		int n = snprintf(seen + seen_len, sizeof(seen) - seen_len, "%.*s|%.*s|%.*s\n",
				 (int)event.type.len, event.type.p, (int)event.id.len, event.id.p,
				 (int)event.data.len, event.data.p);

		assert_true(n > 0 && (size_t)n < sizeof(seen) - seen_len);
		seen_len += (size_t)n;
	}
	if (result == SSE_MORE)
		assert_int_equal(input.len, 0);
	free(copy);
	return result;
}

/* A literal, zero bytes and all. */
#define FEED(text) feed((text), sizeof(text) - 1)

static void begin(size_t max_bytes)
{
	sse_init(&sse, max_bytes);
	seen[0] = '\0';
	seen_len = 0;
}

static const struct {
	const char *stream;
	const char *events;
} rows[] = {
	{ "data: hello\n\n", "message||hello\n" },
	{ "data:hello\n\ndata:  two\n\n", "message||hello\nmessage|| two\n" },
	{ "data: one\ndata: two\ndata\ndata:\n\n", "message||one\ntwo\n\n\n" },
	{ "data\n\n", "message||\n" },
	{ "data:\n\n", "message||\n" },
	{ "event: x\ndata: y\n\ndata: z\n\n", "x||y\nmessage||z\n" },
	{ "event: x\n\ndata: z\n\n", "message||z\n" }, /* an event without data is none */
	{ "event: a\nevent: b\ndata: z\n\n", "b||z\n" },
	{ "event: a\nevent:\ndata: z\n\n", "message||z\n" },
	{ "id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
	  "message|7|a\nmessage|7|b\nmessage||c\n" },
	{ "id: 7\n\ndata: b\n\n", "message|7|b\n" },
	{ ": a comment\n:\n:: more\ndata: x\n\n", "message||x\n" },
	{ "DATA: no\n data: no\ndatas: no\ndata : no\ndata: yes\n\n", "message||yes\n" },
	{ "data: a:b: c\n\n", "message||a:b: c\n" },
	{ "\n\n\ndata: x\n\n\n\n", "message||x\n" },
	{ "\xef\xbb\xbf"
	  "data: x\n\n",
	  "message||x\n" },
	{ "data: \xef\xbb\xbfx\n\n", "message||\xef\xbb\xbfx\n" },
	{ "\xef\xbb\xbf\xef\xbb\xbf"
	  "data: x\n\ndata: y\n\n",
	  "message||y\n" }, /* one only: the second is a part of the field's name */
	{ "\xef\xbb"
	  "data: x\n\ndata: y\n\n",
	  "message||y\n" },
	{ "\xef"
	  "\n\ndata: y\n\n",
	  "message||y\n" },
	{ "data: caf\xc3\xa9 \xf0\x9f\x98\x80\n\n", "message||caf\xc3\xa9 \xf0\x9f\x98\x80\n" },
	{ "data: x\n", "" },
	{ "data: x", "" },
	{ "data: x\n\ndata: y\n", "message||x\n" },
	{ "", "" },
};

/* Only the line ends of the stream itself change: what is expected has LF in any case. */
static size_t with_ends(const char *text, const char *end, char *out)
{
	size_t n = 0;

	for (; *text; text++) {
		if (*text == '\n') {
			memcpy(out + n, end, strlen(end));
			n += strlen(end);
		} else {
			out[n++] = *text;
		}
	}
	return n;
}

static void test_every_split(void **state)
{
	static const char *const ends[] = { "\n", "\r\n", "\r" };
	char stream[512];

	(void)state;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		for (size_t e = 0; e < 3; e++) {
			size_t len = with_ends(rows[r].stream, ends[e], stream);

			for (size_t at = 0; at <= len; at++) {
				begin(MAX_BYTES);
				assert_int_equal(feed(stream, at), SSE_MORE);
				assert_int_equal(feed(stream + at, len - at), SSE_MORE);
				assert_string_equal(seen, rows[r].events);
				sse_fini(&sse);
			}
			begin(MAX_BYTES);
			for (size_t at = 0; at < len; at++)
				assert_int_equal(feed(stream + at, 1), SSE_MORE);
			assert_string_equal(seen, rows[r].events);
			sse_fini(&sse);
		}
	}
}

static void test_mixed_ends(void **state)
{
	(void)state;
	begin(MAX_BYTES);
	/* CR LF CR is two line ends, LF CR too. */
	assert_int_equal(FEED("data: a\r\n\rdata: b\n\rdata: c\r\n\n"), SSE_MORE);
	assert_string_equal(seen, "message||a\nmessage||b\nmessage||c\n");
	sse_fini(&sse);
}

/* An event is there as soon as its last line end is: a CR is not waited upon. */
static void test_no_delay(void **state)
{
	(void)state;
	begin(MAX_BYTES);
	assert_int_equal(FEED("data: a\r\n\r"), SSE_MORE);
	assert_string_equal(seen, "message||a\n");
	assert_int_equal(FEED("\ndata: b\n\n"), SSE_MORE);
	assert_string_equal(seen, "message||a\nmessage||b\n");
	sse_fini(&sse);
}

static void test_nul(void **state)
{
	(void)state;
	begin(MAX_BYTES);
	/* An id with a zero byte is ignored; data takes it. */
	assert_int_equal(FEED("id: 1\nid: 2\0\ndata: a\n\n"), SSE_MORE);
	assert_string_equal(seen, "message|1|a\n");
	sse_fini(&sse);
}

static void test_retry(void **state)
{
	(void)state;
	begin(MAX_BYTES);
	assert_int_equal(sse.retry_ms, 0);
	assert_int_equal(FEED("retry: 1500\n"), SSE_MORE);
	assert_int_equal(sse.retry_ms, 1500);
	assert_int_equal(FEED("retry: 1x\nretry: -1\nretry:\nretry: 99999999999999999999\n"),
			 SSE_MORE);
	assert_int_equal(sse.retry_ms, 1500);
	sse_fini(&sse);
}

static void test_bound(void **state)
{
	static const char comment[] = ": a comment may be as long as it likes";

	(void)state;
	begin(16);
	assert_int_equal(FEED("data: 0123456789\n\n"), SSE_MORE);
	assert_string_equal(seen, "message||0123456789\n");
	assert_int_equal(feed(comment, sizeof(comment) - 1), SSE_MORE);
	for (size_t i = 0; i < sizeof(comment) - 1; i++)
		assert_int_equal(feed(comment + i, 1), SSE_MORE);
	assert_int_equal(FEED("\n\ndata: 01234567890\n\n"), SSE_TOO_BIG);
	sse_fini(&sse);

	/* Short lines add up. */
	begin(16);
	assert_int_equal(FEED("data: 0123456\ndata: 0123456\n\n"), SSE_MORE);
	assert_int_equal(FEED("data: 0123456\ndata: 01234567\n\n"), SSE_TOO_BIG);
	sse_fini(&sse);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_split), cmocka_unit_test(test_mixed_ends),
		cmocka_unit_test(test_no_delay),    cmocka_unit_test(test_nul),
		cmocka_unit_test(test_retry),	    cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
