/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Socket.IO codec: the examples of the protocol's document, what the reference parser accepts and
 * refuses, limits. Each text lies in a heap block of its own size.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/sio_packet.h"

#include "base/err.h"

static struct arena arena;
static char *block;

static int decode(const char *text, size_t len, struct sio_packet *out)
{
	const char *why = NULL;
	int rc;

	free(block);
	block = malloc(len ? len : 1);
	assert_non_null(block);
	memcpy(block, text, len);
	rc = sio_packet_decode(slice_of(block, len), &arena, out, &why);
	assert_int_equal(rc != 0, why != NULL);
	return rc;
}

static int decode_str(const char *text, struct sio_packet *out)
{
	return decode(text, strlen(text), out);
}

static int set_up(void **state)
{
	(void)state;
	arena_init(&arena, 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_fini(&arena);
	free(block);
	block = NULL;
	return 0;
}

struct row {
	const char *text;
	enum sio_type type;
	const char *nsp;
	int64_t ack_id;
	uint32_t attachments;
	const char *data;
	const char *name;
	size_t n_args;
	const char *args_json;
};

static const struct row rows[] = {
	{ "0", SIO_CONNECT, "/", -1, 0, "", "", 0, "" },
	{ "0{\"token\":\"123\"}", SIO_CONNECT, "/", -1, 0, "{\"token\":\"123\"}", "", 0, "" },
	{ "0/custom", SIO_CONNECT, "/custom", -1, 0, "", "", 0, "" },
	{ "0/custom,", SIO_CONNECT, "/custom", -1, 0, "", "", 0, "" },
	{ "0/custom,{ }", SIO_CONNECT, "/custom", -1, 0, "{ }", "", 0, "" },
	{ "0/custom?token=x,{}", SIO_CONNECT, "/custom", -1, 0, "{}", "", 0, "" },
	{ "0/?a=b", SIO_CONNECT, "/", -1, 0, "", "", 0, "" },
	{ "0/\xc3\xa9,", SIO_CONNECT, "/\xc3\xa9", -1, 0, "", "", 0, "" },
	{ "1", SIO_DISCONNECT, "/", -1, 0, "", "", 0, "" },
	{ "1/admin,", SIO_DISCONNECT, "/admin", -1, 0, "", "", 0, "" },
	{ "1/admin", SIO_DISCONNECT, "/admin", -1, 0, "", "", 0, "" },
	{ "2[\"foo\"]", SIO_EVENT, "/", -1, 0, "[\"foo\"]", "foo", 0, "" },
	{ "2/admin,[\"bar\"]", SIO_EVENT, "/admin", -1, 0, "[\"bar\"]", "bar", 0, "" },
	{ "212[\"foo\",1]", SIO_EVENT, "/", 12, 0, "[\"foo\",1]", "foo", 1, "1" },
	{ "2/admin,13[\"b\"]", SIO_EVENT, "/admin", 13, 0, "[\"b\"]", "b", 0, "" },
	{ "2[\"a\" , 1,\"2\" ,{\"3\":[true]} ] ", SIO_EVENT, "/", -1, 0,
	  "[\"a\" , 1,\"2\" ,{\"3\":[true]} ] ", "a", 3, "1,\"2\" ,{\"3\":[true]}" },
	{ "2[\"a\\u00e9\\n\",[]]", SIO_EVENT, "/", -1, 0, "[\"a\\u00e9\\n\",[]]", "a\xc3\xa9\n", 1,
	  "[]" },
	{ "2[\"\"]", SIO_EVENT, "/", -1, 0, "[\"\"]", "", 0, "" },
	{ "2[-1.5e3,2]", SIO_EVENT, "/", -1, 0, "[-1.5e3,2]", "-1.5e3", 1, "2" },
	{ "20[\"a\"]", SIO_EVENT, "/", 0, 0, "[\"a\"]", "a", 0, "" },
	{ "2007[\"a\"]", SIO_EVENT, "/", 7, 0, "[\"a\"]", "a", 0, "" },
	{ "29007199254740991[\"a\"]", SIO_EVENT, "/", 9007199254740991, 0, "[\"a\"]", "a", 0, "" },
	{ "312[]", SIO_ACK, "/", 12, 0, "[]", "", 0, "" },
	{ "3/admin,13[\"connect\",2]", SIO_ACK, "/admin", 13, 0, "[\"connect\",2]", "", 2,
	  "\"connect\",2" },
	{ "51-[\"baz\",{\"_placeholder\":true,\"num\":0}]", SIO_BINARY_EVENT, "/", -1, 1,
	  "[\"baz\",{\"_placeholder\":true,\"num\":0}]", "baz", 1,
	  "{\"_placeholder\":true,\"num\":0}" },
	{ "52-/admin,7[\"baz\",1]", SIO_BINARY_EVENT, "/admin", 7, 2, "[\"baz\",1]", "baz", 1,
	  "1" },
	{ "51024-[\"a\"]", SIO_BINARY_EVENT, "/", -1, 1024, "[\"a\"]", "a", 0, "" },
	{ "61-15[{\"_placeholder\":true,\"num\":0}]", SIO_BINARY_ACK, "/", 15, 1,
	  "[{\"_placeholder\":true,\"num\":0}]", "", 1, "{\"_placeholder\":true,\"num\":0}" },
};

static void test_valid(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *row = &rows[i];
		struct sio_packet packet;

		if (decode_str(row->text, &packet))
			fail_msg("refused: %s", row->text);
		assert_int_equal(packet.type, row->type);
		assert_true(slice_is(packet.nsp, row->nsp));
		assert_true(packet.ack_id == row->ack_id);
		assert_int_equal(packet.attachments, row->attachments);
		assert_true(slice_is(packet.data, row->data));
		assert_true(slice_is(packet.name, row->name));
		assert_int_equal(packet.n_args, row->n_args);
		assert_int_equal(packet.args != NULL, row->n_args > 0);
		assert_true(slice_is(packet.args_json, row->args_json));
	}
}

static void test_args(void **state)
{
	struct sio_packet packet;

	(void)state;
	assert_int_equal(decode_str("2[\"a\",1 ,{\"b\": [2]},\"c\"]", &packet), 0);
	assert_int_equal(packet.n_args, 3);
	assert_true(slice_is(packet.args[0], "1"));
	assert_true(slice_is(packet.args[1], "{\"b\": [2]}"));
	assert_true(slice_is(packet.args[2], "\"c\""));
}

static void test_invalid(void **state)
{
	static const char *const texts[] = {
		/* type */
		"", "7", "/", " 0", "abc", "-1", "\xff",
		/* attachments */
		"5", "5[\"a\"]", "5-[\"a\"]", "50-[\"a\"]", "51", "51[\"a\"]", "5 1-[\"a\"]",
		"51e0-[\"a\"]", "51.0-[\"a\"]", "5-1-[\"a\"]", "6[]", "60-[]", "5/a,1-[\"a\"]",
		"21-[\"a\"]",
		/* namespace */
		"0/\xff,", "0/a?\xff,", "0/\xed\xa0\x80",
		/* ack id */
		"2abc[\"a\"]", "2-1[\"a\"]", "21.5[\"a\"]", "2 [\"a\"]", "21 [\"a\"]",
		"29007199254740992[\"a\"]", "299999999999999999999999[\"a\"]",
		/* payload */
		"0[]", "0\"a\"", "0null", "0{", "0{}x", "0 {}", "0 ", "1{}", "1[]", "1/a,{}", "1 ",
		"2", "2/a,", "212", "2{}", "2\"a\"", "2[", "2[\"a\"", "2[\"a\",]", "2[\"a\"]x",
		"2[\"a\"][]", "2[]", "2[null]", "2[{}]", "2[[\"a\"]]", "2[true]", "2[\"\xff\"]",
		"2[\"a\",\"\xc3\"]", "3", "31", "31{}", "31null", "51-", "51-[]", "51-{}", "61-",
		"61-1{}",
		/* the server's */
		"4", "4{\"message\":\"a\"}", "4\"a\"", "4/a,{}",
		/* reserved names, also when hidden by an escape */
		"2[\"connect\"]", "2[\"connect_error\"]", "2[\"disconnect\"]",
		"2[\"disconnecting\"]", "2[\"newListener\"]", "2[\"removeListener\"]",
		"2[\"connec\\u0074\"]", "51-[\"connect\"]",
	};
	struct sio_packet packet;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (decode_str(texts[i], &packet) != PARLANCE_EINVAL)
			fail_msg("accepted: %s", texts[i]);
	}
	assert_int_equal(decode("2\0[\"a\"]", 7, &packet), PARLANCE_EINVAL);
	assert_int_equal(decode("0\0", 2, &packet), PARLANCE_EINVAL);
}

static void test_attachments_limit(void **state)
{
	struct sio_packet packet;

	(void)state;
	assert_int_equal(decode_str("51025-[\"a\"]", &packet), PARLANCE_ETOOBIG);
	assert_int_equal(decode_str("599999999999999999999999-[\"a\"]", &packet), PARLANCE_ETOOBIG);
}

static void test_nsp_limit(void **state)
{
	char text[1 + SIO_NSP_MAX + 3];
	struct sio_packet packet;

	(void)state;
	memset(text, 'n', sizeof(text));
	text[0] = '0';
	text[1] = '/';
	assert_int_equal(decode(text, 1 + SIO_NSP_MAX, &packet), 0);
	assert_int_equal(packet.nsp.len, SIO_NSP_MAX);
	assert_int_equal(decode(text, 2 + SIO_NSP_MAX, &packet), PARLANCE_ETOOBIG);
	/* The query does not count. */
	text[1 + SIO_NSP_MAX] = '?';
	assert_int_equal(decode(text, sizeof(text), &packet), 0);
	assert_int_equal(packet.nsp.len, SIO_NSP_MAX);
}

static void test_args_limit(void **state)
{
	char text[2 * (SIO_ARGS_MAX + 1) + 2] = "3[";
	struct sio_packet packet;

	(void)state;
	for (size_t i = 0; i <= SIO_ARGS_MAX; i++) {
		text[2 + 2 * i] = '1';
		text[3 + 2 * i] = i == SIO_ARGS_MAX ? ']' : ',';
	}
	assert_int_equal(decode(text, sizeof(text), &packet), PARLANCE_ETOOBIG);
	text[1 + 2 * SIO_ARGS_MAX] = ']';
	assert_int_equal(decode(text, 2 + 2 * SIO_ARGS_MAX, &packet), 0);
	assert_int_equal(packet.n_args, SIO_ARGS_MAX);
}

static void test_out_of_memory(void **state)
{
	struct sio_packet packet;

	(void)state;
	arena_fini(&arena);
	arena_init(&arena, 1);
	assert_int_equal(decode_str("2[\"a\"]", &packet), PARLANCE_ENOMEM);
	/* Enough for the array, not for the name. */
	arena_fini(&arena);
	arena_init(&arena, 8 * sizeof(struct slice));
	assert_int_equal(decode_str("2[\"a\"]", &packet), PARLANCE_ENOMEM);
}

static void test_head(void **state)
{
	struct strbuf out;

	(void)state;
	strbuf_init(&out, 100);
	sio_packet_head(&out, SIO_EVENT, 0, slice_str("/"), SIO_NO_ACK);
	assert_string_equal(strbuf_cstr(&out), "2");
	strbuf_reset(&out);
	sio_packet_head(&out, SIO_BINARY_EVENT, 2, slice_str("/admin"), 456);
	assert_string_equal(strbuf_cstr(&out), "52-/admin,456");
	strbuf_reset(&out);
	sio_packet_head(&out, SIO_BINARY_ACK, 1, slice_str("/"), 0);
	assert_string_equal(strbuf_cstr(&out), "61-0");
	strbuf_reset(&out);
	sio_packet_head(&out, SIO_CONNECT_ERROR, 0, slice_str("/random"), SIO_NO_ACK);
	assert_string_equal(strbuf_cstr(&out), "4/random,");
	strbuf_fini(&out);
}

/* Head and data give the packet again. */
static void test_round_trip(void **state)
{
	struct strbuf out;

	(void)state;
	strbuf_init(&out, 1000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct sio_packet packet;

		strbuf_reset(&out);
		sio_packet_head(&out, rows[i].type, rows[i].attachments, slice_str(rows[i].nsp),
				rows[i].ack_id);
		strbuf_append_str(&out, rows[i].data);
		assert_int_equal(decode(out.data, out.len, &packet), 0);
		assert_int_equal(packet.type, rows[i].type);
		assert_int_equal(packet.attachments, rows[i].attachments);
		assert_true(packet.ack_id == rows[i].ack_id);
		assert_true(slice_is(packet.nsp, rows[i].nsp));
		assert_true(slice_is(packet.data, rows[i].data));
	}
	strbuf_fini(&out);
}

static void test_reserved(void **state)
{
	(void)state;
	assert_true(sio_name_reserved(slice_str("connect")));
	assert_true(sio_name_reserved(slice_str("removeListener")));
	assert_false(sio_name_reserved(slice_str("connecting")));
	assert_false(sio_name_reserved(slice_str("Connect")));
	assert_false(sio_name_reserved(slice_of("connect\0", 8)));
	assert_false(sio_name_reserved(slice_str("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_valid, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_args, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_invalid, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_attachments_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nsp_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_args_limit, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_out_of_memory, set_up, tear_down),
		cmocka_unit_test(test_head),
		cmocka_unit_test_setup_teardown(test_round_trip, set_up, tear_down),
		cmocka_unit_test(test_reserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
