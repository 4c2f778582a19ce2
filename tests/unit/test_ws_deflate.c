/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * permessage-deflate: negotiation, the examples of RFC 7692, round trips, bounds.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/ws_deflate.h"

#include "base/err.h"

#define ANSWER "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
#define ANSWER_15 ANSWER "; server_max_window_bits=15"

/* A string of its own length, without the terminator. */
#define RAW(literal) { literal, sizeof(literal) - 1 }

static void test_accept(void **state)
{
	static const struct {
		const char *offers;
		const char *answer;
	} rows[] = {
		{ "permessage-deflate", ANSWER },
		{ "permessage-deflate; client_max_window_bits", ANSWER },
		{ " \tpermessage-deflate ;\tclient_max_window_bits = 8 ", ANSWER },
		{ "permessage-deflate;client_max_window_bits=\"15\"", ANSWER },
		{ "permessage-deflate; client_no_context_takeover; server_no_context_takeover;"
		  " client_max_window_bits=9; server_max_window_bits=15", ANSWER_15 },
		{ "permessage-deflate; server_max_window_bits=\"15\"", ANSWER_15 },
		{ "permessage-deflate; server_max_window_bits=10, permessage-deflate", ANSWER },
		{ "permessage-deflate; server_max_window_bits=15, permessage-deflate", ANSWER_15 },
		{ "permessage-deflate, permessage-deflate; server_max_window_bits=15", ANSWER },
		{ "x-webkit-deflate-frame, permessage-deflate", ANSWER },
		{ "foo; bar=\"a,b;\\\",\", , permessage-deflate", ANSWER },
		{ "foo; bar=\"permessage-deflate, permessage-deflate", NULL },
		{ "foo; bar=\", permessage-deflate\"", NULL },
		{ "foo; bar=\"\\", NULL },
		{ "", NULL },
		{ ",", NULL },
		{ "permessage", NULL },
		{ "permessage-deflate2", NULL },
		{ "x-webkit-deflate-frame; no_context_takeover", NULL },
		{ "permessage-deflate;", NULL },
		{ "permessage-deflate; ; client_max_window_bits", NULL },
		{ "permessage-deflate; unknown", NULL },
		{ "permessage-deflate=1", NULL },
		{ "permessage-deflate; client_no_context_takeover=1", NULL },
		{ "permessage-deflate; client_no_context_takeover=", NULL },
		{ "permessage-deflate; server_no_context_takeover=\"\"", NULL },
		{ "permessage-deflate; server_max_window_bits", NULL },
		{ "permessage-deflate; server_max_window_bits=", NULL },
		{ "permessage-deflate; server_max_window_bits=14", NULL },
		{ "permessage-deflate; server_max_window_bits=16", NULL },
		{ "permessage-deflate; server_max_window_bits=015", NULL },
		{ "permessage-deflate; server_max_window_bits=15=15", NULL },
		{ "permessage-deflate; client_max_window_bits=", NULL },
		{ "permessage-deflate; client_max_window_bits=\"", NULL },
		{ "permessage-deflate; client_max_window_bits=7", NULL },
		{ "permessage-deflate; client_max_window_bits=08", NULL },
		{ "permessage-deflate; client_max_window_bits=16", NULL },
		{ "permessage-deflate; client_max_window_bits=1x", NULL },
		{ "permessage-deflate; client_max_window_bits=1/", NULL },
		{ "permessage-deflate; client_max_window_bits; client_max_window_bits=9", NULL },
		{ "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
		  NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = strlen(rows[i].offers);
		char *exact = malloc(len ? len : 1);
		const char *answer = NULL;

		assert_non_null(exact);
		memcpy(exact, rows[i].offers, len);
		assert_int_equal(ws_deflate_accept(slice_of(exact, len), &answer),
				 rows[i].answer != NULL);
		if (rows[i].answer)
			assert_string_equal(answer, rows[i].answer);
		free(exact);
	}
	assert_false(ws_deflate_accept(slice_of(NULL, 0), &(const char *){ NULL }));
}

/* RFC 7692 section 7.2.3, and streams that are none. */
static void test_inflate(void **state)
{
	static const struct {
		struct slice packed;
		const char *plain; /* NULL: refused */
	} rows[] = {
		{ RAW("\xf2\x48\xcd\xc9\xc9\x07\x00"), "Hello" },
		{ RAW("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), "Hello" },
		{ RAW("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), "Hello" },
		{ RAW("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), "Hello" },
		{ RAW("\x00"), "" },
		{ RAW("\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
		  "HelloHello" },
		{ RAW(""), NULL },
		{ RAW("\xf3\x48\xcd\xc9\xc9\x07\x00"), NULL },
		{ RAW("\xf2\x48\xcd\xc9\xc9\x07"), NULL },
		{ RAW("\xf2\x48\xcd\xc9"), NULL },
		{ RAW("\x00\x05\x00\xfa\xff\x48\x65"), NULL },
		{ RAW("\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00"), NULL },
		{ RAW("\xff"), NULL },
		/* Of a message before this one (section 7.2.3.2). */
		{ RAW("\xf2\x00\x11\x00\x00"), NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct strbuf out;
		int rc;

		strbuf_init(&out, 100);
		strbuf_append_str(&out, "> ");
		rc = ws_inflate(rows[i].packed, &out);
		if (rows[i].plain) {
			assert_int_equal(rc, 0);
			assert_string_equal(out.data + 2, rows[i].plain);
		} else {
			assert_int_equal(rc, PARLANCE_EINVAL);
		}
		strbuf_fini(&out);
	}
	ws_deflate_fini();
}

static void test_deflate(void **state)
{
	struct strbuf out;

	(void)state;
	strbuf_init(&out, 100);
	strbuf_append_char(&out, '>');
	/* The same for each message: none knows of another. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ws_deflate(slice_str("Hello"), &out), 0);
		assert_int_equal(out.len, 8);
		assert_memory_equal(out.data, ">\xf2\x48\xcd\xc9\xc9\x07\x00\x00", 9);
		out.len = 1;
		/* Section 7.2.3.6 */
		assert_int_equal(ws_deflate(slice_of(NULL, 0), &out), 0);
		assert_int_equal(out.len, 2);
		assert_memory_equal(out.data, ">\x00\x00", 3);
		out.len = 1;
	}
	strbuf_fini(&out);
	ws_deflate_fini();
}

/* Text that compresses well, and noise that does not, of sizes around those of the buffers. */
static void test_round_trip(void **state)
{
	static const size_t sizes[] = { 1, 2, 100, 8185, 8186, 8187, 8188, 8191, 8192, 8193,
					32768, 65535, 65536, 300000 };
	uint32_t noise = 1;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(sizes); i++) {
		size_t len = sizes[i / 2];
		char *plain = malloc(len);
		struct strbuf packed;
		struct strbuf again;

		assert_non_null(plain);
		for (size_t j = 0; j < len; j++) {
			noise = noise * 1664525 + 1013904223;
			plain[j] = (char)(i % 2 ? noise >> 24 : 'a' + j / 7 % 11);
		}
		strbuf_init(&packed, len * 2 + 100);
		assert_int_equal(ws_deflate(slice_of(plain, len), &packed), 0);
		assert_true(packed.len <= len + len / 100 + 16);
		strbuf_init(&again, len);
		assert_int_equal(ws_inflate(slice_of(packed.data, packed.len), &again), 0);
		assert_true(slice_eq(slice_of(again.data, again.len), slice_of(plain, len)));
		strbuf_fini(&packed);
		strbuf_fini(&again);
		free(plain);
	}
	ws_deflate_fini();
}

/* A megabyte in a kilobyte: no more memory than the bound is spent on it. */
static void test_bounds(void **state)
{
	size_t len = 1 << 20;
	char *zeros = calloc(1, len);
	struct strbuf packed;
	struct strbuf out;

	(void)state;
	assert_non_null(zeros);
	strbuf_init(&packed, 2000);
	assert_int_equal(ws_deflate(slice_of(zeros, len), &packed), 0);
	for (size_t max = len - 1; max > 0; max /= 8) {
		strbuf_init(&out, max);
		assert_int_equal(ws_inflate(slice_of(packed.data, packed.len), &out),
				 PARLANCE_ETOOBIG);
		assert_true(out.cap <= max + 1);
		strbuf_fini(&out);
	}
	strbuf_init(&out, len);
	assert_int_equal(ws_inflate(slice_of(packed.data, packed.len), &out), 0);
	assert_int_equal(out.len, len);
	strbuf_fini(&out);
	strbuf_init(&out, packed.len + 3);
	assert_int_equal(ws_deflate(slice_of(zeros, len), &out), PARLANCE_ETOOBIG);
	strbuf_fini(&out);
	strbuf_init(&out, packed.len + 4);
	assert_int_equal(ws_deflate(slice_of(zeros, len), &out), 0);
	strbuf_fini(&out);
#if SIZE_MAX > UINT_MAX
	/* More than zlib can take at once. */
	strbuf_init(&out, 100);
	assert_int_equal(ws_deflate(slice_of(zeros, (size_t)UINT_MAX + 1), &out), PARLANCE_ETOOBIG);
	assert_int_equal(ws_inflate(slice_of(zeros, (size_t)UINT_MAX + 1), &out), PARLANCE_ETOOBIG);
	assert_null(out.data);
#endif
	strbuf_fini(&packed);
	free(zeros);
	ws_deflate_fini();
}

/* The streams come back when they are needed again; giving nothing back is harmless. */
static void test_fini(void **state)
{
	struct strbuf out;

	(void)state;
	ws_deflate_fini();
	ws_deflate_fini();
	strbuf_init(&out, 100);
	assert_int_equal(ws_inflate((struct slice)RAW("\xf2\x48\xcd\xc9\xc9\x07\x00"), &out), 0);
	ws_deflate_fini();
	assert_int_equal(ws_inflate((struct slice)RAW("\xf2\x48\xcd\xc9\xc9\x07\x00"), &out), 0);
	assert_string_equal(out.data, "HelloHello");
	strbuf_fini(&out);
	ws_deflate_fini();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_inflate),
		cmocka_unit_test(test_deflate),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_fini),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
