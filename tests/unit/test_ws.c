/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * WebSocket framing: what bytes give which events, however they come; refusals; memory; heads.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/ws.h"

#include "base/err.h"
#include "wire/ws_deflate.h"

#define FIN 0x80
#define RSV1 0x40
#define MAX 100000

static const unsigned char mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

/* A frame as a client sends it. */
static void add_frame(struct strbuf *to, int first, const void *payload, size_t len)
{
	unsigned char head[WS_HEAD_MAX];
	size_t head_len = ws_head(head, WS_CONTINUATION, false, len);

	head[0] = (unsigned char)first;
	head[1] |= 0x80;
	strbuf_append(to, head, head_len);
	strbuf_append(to, mask, sizeof(mask));
	for (size_t i = 0; i < len; i++)
		strbuf_append_char(to, (char)(((const unsigned char *)payload)[i] ^ mask[i % 4]));
	assert_true(strbuf_ok(to));
}

static void add_text_frame(struct strbuf *to, int first, const char *payload)
{
	add_frame(to, first, payload, strlen(payload));
}

/* Opcode and payload, "T(hello)", long ones by their length only; errors as "!1002". */
static void note(struct strbuf *to, int rc, const struct ws_event *event)
{
	static const char letters[] = "-TB-----CPO";

	if (rc) {
		assert_int_equal(rc, PARLANCE_EINVAL);
		assert_non_null(event->why);
		strbuf_printf(to, "!%d", event->status);
		return;
	}
	assert_null(event->why);
	strbuf_append_char(to, letters[event->opcode]);
	if (event->opcode == WS_CLOSE)
		strbuf_append_u64(to, event->status);
	else
		assert_int_equal(event->status, WS_NONE);
	if (event->payload.len > 32)
		strbuf_printf(to, "(#%zu)", event->payload.len);
	else
		strbuf_printf(to, "(%.*s)", (int)event->payload.len, event->payload.p);
}

/* The events of the bytes when they come in pieces of this size, each in a block of its own. */
static void read_pieces(struct slice bytes, size_t piece, uint64_t max, bool deflate,
			struct strbuf *events)
{
	struct ws_reader reader;
	int rc = PARLANCE_EAGAIN;

	ws_reader_init(&reader, max, deflate);
	for (size_t at = 0; at < bytes.len && rc == PARLANCE_EAGAIN; at += piece) {
		size_t len = bytes.len - at < piece ? bytes.len - at : piece;
		char *block = malloc(len);
		struct slice in = slice_of(block, len);
		struct ws_event event;

		assert_non_null(block);
		memcpy(block, bytes.p + at, len);
		while ((rc = ws_read(&reader, &in, &event)) == 0)
			note(events, rc, &event);
		if (rc == PARLANCE_EAGAIN)
			assert_int_equal(in.len, 0);
		else
			note(events, rc, &event);
		free(block);
	}
	ws_reader_fini(&reader);
}

/* Takes the bytes out of the builder. */
static void assert_events(struct strbuf *bytes, uint64_t max, bool deflate, const char *expected)
{
	static const size_t pieces[] = { SIZE_MAX / 2, 1, 2, 3, 5, 7, 64, 1000 };

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		struct strbuf events;

		strbuf_init(&events, 10000);
		read_pieces(slice_of(bytes->data, bytes->len), pieces[i], max, deflate, &events);
		assert_string_equal(strbuf_cstr(&events), expected);
		strbuf_fini(&events);
	}
	strbuf_fini(bytes);
}

/* A string of its own length, without the terminator. */
#define RAW(literal) { literal, sizeof(literal) - 1 }

static void assert_raw(struct slice raw, const char *expected)
{
	struct strbuf bytes;

	strbuf_init(&bytes, raw.len);
	strbuf_append_slice(&bytes, raw);
	assert_events(&bytes, MAX, false, expected);
}

static void test_messages(void **state)
{
	struct strbuf bytes;

	(void)state;
	strbuf_init(&bytes, 1000);
	add_text_frame(&bytes, FIN | WS_TEXT, "hello");
	add_text_frame(&bytes, FIN | WS_BINARY, "\xff\xc3");
	add_text_frame(&bytes, FIN | WS_TEXT, "");
	add_text_frame(&bytes, FIN | WS_PING, "are you there");
	add_text_frame(&bytes, FIN | WS_PONG, "");
	add_text_frame(&bytes, FIN | WS_TEXT, "\xe2\x82\xac");
	add_text_frame(&bytes, FIN | WS_BINARY, "");
	add_text_frame(&bytes, FIN | WS_CLOSE, "\x03\xe8" "bye");
	assert_events(&bytes, MAX, false,
		      "T(hello)B(\xff\xc3)T()P(are you there)O()T(\xe2\x82\xac)B()C1000(bye)");
	/* RFC 6455 section 5.7 */
	assert_raw((struct slice)RAW("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "T(Hello)");
}

static void test_lengths(void **state)
{
	static const size_t lengths[] = { 124, 125, 126, 127, 255, 256, 65535, 65536, MAX };
	char *payload = calloc(1, MAX);

	(void)state;
	assert_non_null(payload);
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		struct strbuf bytes;
		char expected[32];

		strbuf_init(&bytes, MAX + 100);
		add_frame(&bytes, FIN | WS_TEXT, payload, lengths[i]);
		add_text_frame(&bytes, FIN | WS_PING, "x");
		snprintf(expected, sizeof(expected), "T(#%zu)P(x)", lengths[i]);
		assert_events(&bytes, MAX, false, expected);
	}
	free(payload);
}

static void test_fragments(void **state)
{
	struct strbuf bytes;

	(void)state;
	strbuf_init(&bytes, 1000);
	add_text_frame(&bytes, WS_TEXT, "a\xe2");
	add_text_frame(&bytes, FIN | WS_PING, "1");
	add_text_frame(&bytes, WS_CONTINUATION, "\x82");
	add_text_frame(&bytes, WS_CONTINUATION, "");
	add_text_frame(&bytes, FIN | WS_PONG, "2");
	add_text_frame(&bytes, FIN | WS_CONTINUATION, "\xac" "b");
	add_text_frame(&bytes, FIN | WS_TEXT, "whole");
	add_text_frame(&bytes, WS_BINARY, "");
	add_text_frame(&bytes, FIN | WS_CONTINUATION, "");
	add_text_frame(&bytes, WS_BINARY, "");
	add_text_frame(&bytes, FIN | WS_CONTINUATION, "c");
	add_text_frame(&bytes, WS_BINARY, "d");
	add_text_frame(&bytes, FIN | WS_CLOSE, "");
	add_text_frame(&bytes, FIN | WS_CONTINUATION, "");
	assert_events(&bytes, MAX, false,
		      "P(1)O(2)T(a\xe2\x82\xac" "b)T(whole)B()B(c)C0()B(d)");
}

/* Refused as soon as these bytes are there, and not one before. */
static void test_refused(void **state)
{
	static const struct {
		struct slice bytes;
		const char *expected;
	} rows[] = {
		{ RAW("\x81\x05"), "!1002" },         /* not masked */
		{ RAW("\x89\x00"), "!1002" },
		{ RAW("\xc1\x80"), "!1002" },         /* reserved bits */
		{ RAW("\xa1\x80"), "!1002" },
		{ RAW("\x91\x80"), "!1002" },
		{ RAW("\xc9\x80"), "!1002" },
		{ RAW("\x83\x80"), "!1002" },         /* opcodes */
		{ RAW("\x87\x80"), "!1002" },
		{ RAW("\x8b\x80"), "!1002" },
		{ RAW("\x8f\x80"), "!1002" },
		{ RAW("\x01\x80zzzz\x83\x80"), "!1002" },
		{ RAW("\x08\x80"), "!1002" },         /* control frames in fragments */
		{ RAW("\x09\x80"), "!1002" },
		{ RAW("\x0a\x80"), "!1002" },
		{ RAW("\x88\xfe"), "!1002" },         /* and too long */
		{ RAW("\x89\xfe"), "!1002" },
		{ RAW("\x8a\xff"), "!1002" },
		{ RAW("\x80\x80"), "!1002" },         /* a continuation without a start */
		{ RAW("\x00\x80"), "!1002" },
		{ RAW("\x81\x80zzzz\x80\x80"), "T()!1002" },
		{ RAW("\x01\x80zzzz\x81\x80"), "!1002" }, /* a start inside a message */
		{ RAW("\x01\x80zzzz\x02\x80"), "!1002" },
		{ RAW("\x82\xfe\x00\x7dzzzz"), "!1002" }, /* lengths */
		{ RAW("\x82\xfe\x00\x00zzzz"), "!1002" },
		{ RAW("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xffzzzz"), "!1002" },
		{ RAW("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00zzzz"), "!1002" },
		{ RAW("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xffzzzz"), "!1009" },
		{ RAW("\x81\x81\x00\x00\x00\x00\xff"), "!1007" }, /* UTF-8 */
		{ RAW("\x81\x82\x00\x00\x00\x00\xe2\x82"), "!1007" },
		{ RAW("\x01\x81\x00\x00\x00\x00\xff\x80\x80\x00\x00\x00\x00"), "!1007" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct strbuf events;

		assert_raw(rows[i].bytes, rows[i].expected);
		strbuf_init(&events, 100);
		read_pieces(slice_of(rows[i].bytes.p, rows[i].bytes.len - 1), SIZE_MAX / 2, MAX,
			    false, &events);
		assert_null(strchr(strbuf_cstr(&events), '!'));
		strbuf_fini(&events);
	}
}

static void test_close(void **state)
{
	static const struct {
		struct slice body;
		const char *expected;
	} rows[] = {
		{ RAW(""), "C0()" },
		{ RAW("\x03"), "!1002" },
		{ RAW("\x03\xe8"), "C1000()" },
		{ RAW("\x03\xf3\xe2\x82\xac"), "C1011(\xe2\x82\xac)" },
		{ RAW("\x0f\xa0why"), "C4000(why)" },
		{ RAW("\x03\xe8\xff"), "!1007" },
		{ RAW("\x03\xe8\xe2\x82"), "!1007" },
		{ RAW("\x03\xed"), "!1002" },
		{ RAW("\x00\x00"), "!1002" },
		{ RAW("\xff\xff"), "!1002" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct strbuf bytes;

		strbuf_init(&bytes, 1000);
		add_frame(&bytes, FIN | WS_CLOSE, rows[i].body.p, rows[i].body.len);
		assert_events(&bytes, MAX, false, rows[i].expected);
	}
}

/* No payload is sent: the heads alone are refused. */
static void test_too_big(void **state)
{
	struct strbuf bytes;

	(void)state;
	assert_raw((struct slice)RAW("\x81\xff\x00\x00\x00\x00\x00\x01\x86\xa1zzzz"), "!1009");
	strbuf_init(&bytes, 1000);
	add_text_frame(&bytes, WS_TEXT, "12345");
	strbuf_append(&bytes, "\x00\x86zzzz", 6);
	assert_events(&bytes, 10, false, "!1009");
	strbuf_init(&bytes, 1000);
	add_text_frame(&bytes, WS_TEXT, "12345");
	add_text_frame(&bytes, WS_CONTINUATION, "67890");
	add_text_frame(&bytes, FIN | WS_PING, "no part of the message");
	add_text_frame(&bytes, FIN | WS_CONTINUATION, "");
	add_text_frame(&bytes, FIN | WS_TEXT, "1234567890");
	strbuf_append(&bytes, "\x81\x8bzzzz", 6);
	assert_events(&bytes, 10, false,
		      "P(no part of the message)T(1234567890)T(1234567890)!1009");
}

/* A message in one frame is unmasked where it is. */
static void test_not_copied(void **state)
{
	struct ws_reader reader;
	struct ws_event event;
	struct strbuf bytes;
	struct slice in;

	(void)state;
	ws_reader_init(&reader, MAX, false);
	strbuf_init(&bytes, 1000);
	add_text_frame(&bytes, FIN | WS_TEXT, "hello");
	add_text_frame(&bytes, FIN | WS_PING, "world");
	in = slice_of(bytes.data, bytes.len);
	assert_int_equal(ws_read(&reader, &in, &event), 0);
	assert_ptr_equal(event.payload.p, bytes.data + 6);
	assert_ptr_equal(in.p, bytes.data + 11);
	assert_int_equal(in.len, 11);
	assert_int_equal(ws_read(&reader, &in, &event), 0);
	assert_ptr_equal(event.payload.p, bytes.data + 17);
	assert_true(slice_is(event.payload, "world"));
	assert_int_equal(ws_read(&reader, &in, &event), PARLANCE_EAGAIN);
	assert_null(reader.pending.data);
	assert_null(reader.message.data);
	strbuf_fini(&bytes);
	ws_reader_fini(&reader);
}

/* Between messages a reader has no memory, whatever the pieces were. */
static void test_idle_memory(void **state)
{
	struct ws_reader reader;
	struct ws_event event;
	struct strbuf bytes;
	int events = 0;

	(void)state;
	ws_reader_init(&reader, MAX, false);
	strbuf_init(&bytes, 1000);
	add_text_frame(&bytes, WS_TEXT, "hello");
	add_text_frame(&bytes, FIN | WS_PING, "1");
	add_text_frame(&bytes, FIN | WS_CONTINUATION, "world");
	add_text_frame(&bytes, FIN | WS_CLOSE, "\x03\xe8");
	for (size_t i = 0; i < bytes.len; i++) {
		struct slice in = slice_of(bytes.data + i, 1);
		int rc;

		while ((rc = ws_read(&reader, &in, &event)) == 0)
			events++;
		assert_int_equal(rc, PARLANCE_EAGAIN);
	}
	assert_int_equal(events, 3);
	assert_null(reader.pending.data);
	assert_null(reader.message.data);
	strbuf_fini(&bytes);
	ws_reader_fini(&reader);
}

/* Memory follows the bytes that came, not those that were announced. */
static void test_announced_memory(void **state)
{
	char head[] = "\x82\xff\x00\x00\x00\x00\x40\x00\x00\x00zzzz" "0123456789";
	struct ws_reader reader;
	struct ws_event event;
	struct slice in = slice_of(head, 5);

	(void)state;
	ws_reader_init(&reader, UINT64_MAX, false);
	assert_int_equal(ws_read(&reader, &in, &event), PARLANCE_EAGAIN);
	assert_int_equal(reader.pending.len, 5);
	in = slice_of(head + 5, sizeof(head) - 6);
	assert_int_equal(ws_read(&reader, &in, &event), PARLANCE_EAGAIN);
	assert_int_equal(reader.message.len, 10);
	assert_in_range(reader.message.cap, 10, 4096);
	assert_null(reader.pending.data);
	ws_reader_fini(&reader);
}

/* Every length, alignment and place in the mask. */
static void test_unmask(void **state)
{
	(void)state;
	for (size_t len = 0; len <= 40; len++) {
		for (size_t cut = 0; cut <= len; cut++) {
			struct ws_reader reader;
			struct ws_event event;
			struct strbuf bytes;
			char payload[40];
			struct slice in;
			struct slice rest;

			for (size_t i = 0; i < len; i++)
				payload[i] = (char)(i * 31 + cut);
			ws_reader_init(&reader, MAX, false);
			strbuf_init(&bytes, 1000);
			add_frame(&bytes, FIN | WS_BINARY, payload, len);
			in = slice_of(bytes.data, 6 + cut);
			rest = slice_of(bytes.data + 6 + cut, len - cut);
			if (cut < len) {
				assert_int_equal(ws_read(&reader, &in, &event), PARLANCE_EAGAIN);
				in = rest;
			}
			assert_int_equal(ws_read(&reader, &in, &event), 0);
			assert_int_equal(event.opcode, WS_BINARY);
			assert_true(slice_eq(event.payload, slice_of(payload, len)));
			strbuf_fini(&bytes);
			ws_reader_fini(&reader);
		}
	}
}

static void deflated(const char *text, struct strbuf *out)
{
	strbuf_init(out, 100000);
	assert_int_equal(ws_deflate(slice_str(text), out), 0);
	assert_true(out->len >= 2);
}

static void test_compressed(void **state)
{
	struct strbuf packed;
	struct strbuf bytes;

	(void)state;
	strbuf_init(&bytes, 1000);
	deflated("hello hello hello", &packed);
	add_frame(&bytes, FIN | RSV1 | WS_TEXT, packed.data, packed.len);
	add_text_frame(&bytes, FIN | WS_TEXT, "plain");
	add_frame(&bytes, RSV1 | WS_BINARY, packed.data, 1);
	add_text_frame(&bytes, FIN | WS_PING, "1");
	add_frame(&bytes, WS_CONTINUATION, packed.data + 1, packed.len - 1);
	add_text_frame(&bytes, FIN | WS_CONTINUATION, "");
	add_frame(&bytes, FIN | RSV1 | WS_TEXT, "", 1);
	add_text_frame(&bytes, WS_TEXT, "pl");
	add_text_frame(&bytes, FIN | WS_CONTINUATION, "ain");
	strbuf_fini(&packed);
	assert_events(&bytes, MAX, true,
		      "T(hello hello hello)T(plain)P(1)B(hello hello hello)T()T(plain)");
	ws_deflate_fini();
}

static void test_compressed_refused(void **state)
{
	static const struct {
		struct slice bytes;
		const char *expected;
	} rows[] = {
		{ RAW("\xc9\x80"), "!1002" },
		{ RAW("\xa1\x80"), "!1002" },
		{ RAW("\xe1\x80"), "!1002" },
		{ RAW("\x41\x80zzzz\xc0\x80"), "!1002" },
		{ RAW("\x01\x80zzzz\xc0\x80"), "!1002" },
		{ RAW("\xc2\x81\x00\x00\x00\x00\xff"), "!1007" },
	};
	struct strbuf packed;
	struct strbuf bytes;
	char many[2001];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		strbuf_init(&bytes, 100);
		strbuf_append_slice(&bytes, rows[i].bytes);
		assert_events(&bytes, MAX, true, rows[i].expected);
	}
	strbuf_init(&bytes, 1000);
	deflated("\xff\xff", &packed);
	add_frame(&bytes, FIN | RSV1 | WS_BINARY, packed.data, packed.len);
	add_frame(&bytes, FIN | RSV1 | WS_TEXT, packed.data, packed.len);
	strbuf_fini(&packed);
	assert_events(&bytes, MAX, true, "B(\xff\xff)!1007");
	memset(many, 'x', 2000);
	many[2000] = '\0';
	for (int fin = 0; fin <= FIN; fin += FIN) {
		strbuf_init(&bytes, 1000);
		deflated(many, &packed);
		add_frame(&bytes, fin | RSV1 | WS_TEXT, packed.data, packed.len);
		if (!fin)
			add_text_frame(&bytes, FIN | WS_CONTINUATION, "");
		strbuf_fini(&packed);
		assert_events(&bytes, 1999, true, "!1009");
	}
	ws_deflate_fini();
}

static void test_head(void **state)
{
	static const struct {
		uint64_t len;
		size_t head_len;
		const char *head;
	} rows[] = {
		{ 0, 2, "\x81\x00" },
		{ 125, 2, "\x81\x7d" },
		{ 126, 4, "\x81\x7e\x00\x7e" },
		{ 65535, 4, "\x81\x7e\xff\xff" },
		{ 65536, 10, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00" },
		{ 0x0123456789abcdef, 10, "\x81\x7f\x01\x23\x45\x67\x89\xab\xcd\xef" },
	};
	unsigned char head[WS_HEAD_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(ws_head_len(rows[i].len), rows[i].head_len);
		assert_int_equal(ws_head(head, WS_TEXT, false, rows[i].len), rows[i].head_len);
		assert_memory_equal(head, rows[i].head, rows[i].head_len);
	}
	assert_int_equal(ws_head(head, WS_BINARY, true, 3), 2);
	assert_memory_equal(head, "\xc2\x03", 2);
	assert_int_equal(ws_head(head, WS_PONG, false, 125), 2);
	assert_memory_equal(head, "\x8a\x7d", 2);
}

static void test_status_ok(void **state)
{
	(void)state;
	for (unsigned int status = 0; status <= UINT16_MAX; status++) {
		bool ok = (status >= 1000 && status < 1004) || (status >= 1007 && status < 1015) ||
			  (status >= 3000 && status < 5000);

		assert_int_equal(ws_status_ok(status), ok);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_not_copied),
		cmocka_unit_test(test_idle_memory),
		cmocka_unit_test(test_announced_memory),
		cmocka_unit_test(test_unmask),
		cmocka_unit_test(test_compressed),
		cmocka_unit_test(test_compressed_refused),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_status_ok),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
