/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Base64: the vectors of RFC 4648 section 10, and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/base64.h"

#include "base/err.h"

static void test_vectors(void **state)
{
	static const char *const vectors[][2] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(vectors); i++) {
		const char *plain = vectors[i][0];
		const char *coded = vectors[i][1];
		size_t unpadded = strcspn(coded, "=");
		char out[16];
		size_t len;

		assert_int_equal(base64_encoded_len(strlen(plain)), strlen(coded));
		assert_int_equal(base64_encode(plain, strlen(plain), out), strlen(coded));
		assert_memory_equal(out, coded, strlen(coded));
		assert_int_equal(base64url_encode(plain, strlen(plain), out), unpadded);
		assert_memory_equal(out, coded, unpadded);
		assert_int_equal(base64_decode(coded, strlen(coded), out, &len), 0);
		assert_int_equal(len, strlen(plain));
		assert_memory_equal(out, plain, len);
		assert_int_equal(base64_decode(coded, unpadded, out, &len), 0);
		assert_int_equal(len, strlen(plain));
		assert_memory_equal(out, plain, len);
	}
}

/* All byte values in all places, back and forth, the output in the input's place. */
static void test_round_trip(void **state)
{
	uint8_t in[256];
	size_t len;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 7);
	for (len = 0; len <= sizeof(in); len++) {
		size_t coded_len = base64_encoded_len(len);
		char *text = malloc(coded_len ? coded_len : 1);
		size_t out_len;

		assert_non_null(text);
		assert_int_equal(base64_encode(in, len, text), coded_len);
		assert_true(len <= base64_decoded_max(coded_len));
		assert_int_equal(base64_decode(text, coded_len, text, &out_len), 0);
		assert_int_equal(out_len, len);
		assert_memory_equal(text, in, len);
		free(text);
	}
}

static void test_alphabets(void **state)
{
	char out[8];

	(void)state;
	assert_int_equal(base64_encode("\xfb\xff\xbf", 3, out), 4);
	assert_memory_equal(out, "+/+/", 4);
	assert_int_equal(base64url_encode("\xfb\xff\xbf", 3, out), 4);
	assert_memory_equal(out, "-_-_", 4);
}

static void test_refused(void **state)
{
	static const char *const refused[] = {
		"Z",     "=",     "==",    "===",  "====",    "Zg=",    "Z===", "Zg==Zg==",
		"Zm9v=", "Zm8==", "Zm9vY", "Zm 8", "Zm8\n",   "-_-_",   "Zh==", "Zm9=",
		"Zm9",   "Zh",    "Zm=v",  "=m9v", "Z\x80==", "Zm9v\n", "Zo==", "Zm6=",
	};
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(refused); i++) {
		char out[16];
		size_t len;

		if (base64_decode(refused[i], strlen(refused[i]), out, &len) != PARLANCE_EINVAL)
			fail_msg("\"%s\" was taken", refused[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_alphabets),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
