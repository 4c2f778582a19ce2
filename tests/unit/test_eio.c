/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Engine.IO codec: packets, payloads (the examples of the protocol's document), texts of answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/eio.h"

#include "base/err.h"

/* A payload in a heap block of its own size: it is written to, and a read past its end is seen. */
static struct slice payload_of(const void *p, size_t len, char **block)
{
	*block = malloc(len ? len : 1);
	assert_non_null(*block);
	memcpy(*block, p, len);
	return slice_of(*block, len);
}

static void test_decode_text(void **state)
{
	struct eio_packet packet;

	(void)state;
	for (char type = '0'; type <= '6'; type++) {
		char text[] = { type, 'x' };

		assert_int_equal(eio_decode_text(slice_of(text, 2), &packet), 0);
		assert_int_equal(packet.type, type);
		assert_false(packet.binary);
		assert_true(slice_is(packet.data, "x"));
		assert_int_equal(eio_decode_text(slice_of(text, 1), &packet), 0);
		assert_int_equal(packet.data.len, 0);
	}
	assert_int_equal(eio_decode_text(slice_of(NULL, 0), &packet), PARLANCE_EINVAL);
	assert_int_equal(eio_decode_text(slice_str("7"), &packet), PARLANCE_EINVAL);
	assert_int_equal(eio_decode_text(slice_str("/"), &packet), PARLANCE_EINVAL);
	assert_int_equal(eio_decode_text(slice_str("abc"), &packet), PARLANCE_EINVAL);
	assert_int_equal(eio_decode_text(slice_str("bAQIDBA=="), &packet), PARLANCE_EINVAL);
	assert_int_equal(eio_decode_text(slice_str("\xb4"), &packet), PARLANCE_EINVAL);
}

static void test_payload(void **state)
{
	static const char text[] = "4hello\x1e" "2\x1e" "4\xe2\x82\xac\x1e" "bAQIDBA==\x1e"
				   "b\x1e" "2probe";
	struct eio_packet packet;
	struct slice rest;
	char *block;

	(void)state;
	rest = payload_of(text, sizeof(text) - 1, &block);
	assert_int_equal(eio_payload_next(&rest, &packet), 0);
	assert_int_equal(packet.type, EIO_MESSAGE);
	assert_false(packet.binary);
	assert_true(slice_is(packet.data, "hello"));
	assert_int_equal(eio_payload_next(&rest, &packet), 0);
	assert_int_equal(packet.type, EIO_PING);
	assert_int_equal(packet.data.len, 0);
	assert_int_equal(eio_payload_next(&rest, &packet), 0);
	assert_true(slice_is(packet.data, "\xe2\x82\xac"));
	assert_int_equal(eio_payload_next(&rest, &packet), 0);
	assert_int_equal(packet.type, EIO_MESSAGE);
	assert_true(packet.binary);
	assert_true(slice_is(packet.data, "\x01\x02\x03\x04"));
	assert_int_equal(eio_payload_next(&rest, &packet), 0);
	assert_true(packet.binary);
	assert_int_equal(packet.data.len, 0);
	assert_int_equal(eio_payload_next(&rest, &packet), 0);
	assert_int_equal(packet.type, EIO_PING);
	assert_true(slice_is(packet.data, "probe"));
	assert_null(rest.p);
	assert_int_equal(eio_payload_next(&rest, &packet), PARLANCE_ENOENT);
	free(block);
}

/* The last packet of each payload is malformed, the `good` ones before it are not. */
static void test_payload_invalid(void **state)
{
	static const struct {
		const char *text;
		int good;
	} rows[] = {
		{ "", 0 }, { "abc", 0 }, { "7", 0 }, { "\x1e", 0 }, { "\x1e" "4a", 0 },
		{ "4a\x1e", 1 }, { "4a\x1e\x1e" "4b", 1 }, { "4a\x1e" "4b\x1ex", 2 },
		{ "bA", 0 }, { "b!!!!", 0 }, { "4\xff", 0 }, { "4\xc3", 0 }, { "4\xed\xa0\x80", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct eio_packet packet;
		struct slice rest;
		char *block;
		int good = 0;
		int rc;

		rest = payload_of(rows[i].text, strlen(rows[i].text), &block);
		while ((rc = eio_payload_next(&rest, &packet)) == 0)
			good++;
		assert_int_equal(rc, PARLANCE_EINVAL);
		assert_int_equal(good, rows[i].good);
		free(block);
	}
}

static void test_append(void **state)
{
	static const char bytes[] = "\x01\x02\x03\x04";
	struct eio_packet packet = { .type = EIO_MESSAGE, .data = slice_str("hello") };
	struct strbuf payload;
	size_t size = 0;

	(void)state;
	strbuf_init(&payload, 100);
	eio_payload_append(&payload, &packet);
	size += eio_payload_size(false, 5);
	assert_string_equal(strbuf_cstr(&payload), "4hello");
	packet.binary = true;
	for (size_t len = 0; len <= 4; len++) {
		packet.data = slice_of(bytes, len);
		eio_payload_append(&payload, &packet);
		size += eio_payload_size(true, len);
	}
	packet = (struct eio_packet){ .type = EIO_NOOP };
	eio_payload_append(&payload, &packet);
	size += eio_payload_size(false, 0);
	assert_true(strbuf_ok(&payload));
	assert_string_equal(strbuf_cstr(&payload), "4hello\x1e" "b\x1e" "bAQ==\x1e" "bAQI=\x1e"
						   "bAQID\x1e" "bAQIDBA==\x1e" "6");
	/* The first packet has no separator. */
	assert_int_equal(payload.len, size - 1);
	strbuf_fini(&payload);
}

static void test_append_over_the_bound(void **state)
{
	struct eio_packet packet = { .type = EIO_MESSAGE, .binary = true };
	struct strbuf payload;

	(void)state;
	packet.data = slice_str("0123456789");
	strbuf_init(&payload, 10);
	eio_payload_append(&payload, &packet);
	assert_int_equal(payload.err, PARLANCE_ETOOBIG);
	strbuf_fini(&payload);
}

static void test_open_json(void **state)
{
	struct eio_open open = { "lv_VI97HAXpY6yYWAAAC", true, 25000, 20000, 1000000 };
	struct strbuf out;

	(void)state;
	strbuf_init(&out, 1000);
	eio_open_json(&out, &open);
	assert_string_equal(strbuf_cstr(&out),
			    "{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[\"websocket\"],"
			    "\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}");
	strbuf_reset(&out);
	open.upgrade_websocket = false;
	eio_open_json(&out, &open);
	assert_string_equal(strbuf_cstr(&out),
			    "{\"sid\":\"lv_VI97HAXpY6yYWAAAC\",\"upgrades\":[],"
			    "\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}");
	strbuf_fini(&out);
}

static void test_error_json(void **state)
{
	(void)state;
	assert_string_equal(eio_error_json(EIO_ERR_TRANSPORT_UNKNOWN),
			    "{\"code\":0,\"message\":\"Transport unknown\"}");
	assert_string_equal(eio_error_json(EIO_ERR_SID_UNKNOWN),
			    "{\"code\":1,\"message\":\"Session ID unknown\"}");
	assert_string_equal(eio_error_json(EIO_ERR_BAD_METHOD),
			    "{\"code\":2,\"message\":\"Bad handshake method\"}");
	assert_string_equal(eio_error_json(EIO_ERR_BAD_REQUEST),
			    "{\"code\":3,\"message\":\"Bad request\"}");
	assert_string_equal(eio_error_json(EIO_ERR_FORBIDDEN),
			    "{\"code\":4,\"message\":\"Forbidden\"}");
	assert_string_equal(eio_error_json(EIO_ERR_PROTOCOL_UNSUPPORTED),
			    "{\"code\":5,\"message\":\"Unsupported protocol version\"}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decode_text),
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_payload_invalid),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_append_over_the_bound),
		cmocka_unit_test(test_open_json),
		cmocka_unit_test(test_error_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
