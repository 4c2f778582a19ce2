/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * SipHash-1-3 against values of another implementation: CPython's hash() of bytes, with the keys
 * that its PYTHONHASHSEED 0 and 7 stand for. The input is 00 01 02 …
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/hash.h"

struct vector {
	size_t len;
	uint64_t under_zero;
	uint64_t under_seven;
};

static void test_vectors(void **state)
{
	static const uint8_t zero[16];
	static const uint8_t seven[16] = { 0x3d, 0x0e, 0x6f, 0x80, 0xa1, 0x74, 0xc8, 0x12,
					   0x4f, 0x78, 0xd2, 0xf9, 0xd2, 0x89, 0x0a, 0x47 };
	static const struct vector vectors[] = {
		{ 1, 0x68a914128e01e473, 0x7e255bf0210f9775 },
		{ 3, 0x4d4c9a4a8ef6e0ad, 0x3e839792e48ebc29 },
		{ 7, 0x2f098ab0c751325a, 0x987cfd95990dd34b },
		{ 8, 0xead411e67ebe2eea, 0x8450991e34fe08de },
		{ 9, 0x75927f9d95124362, 0xa0a0a12bd6c44f35 },
		{ 15, 0xf30eb725bb91c9ea, 0x1517e7dc54a43f5b },
		{ 16, 0x8972188433a5c5b7, 0x642bba6a6c24ebf5 },
		{ 17, 0x4883c49a2c009c1d, 0xcc54010f13010f0d },
		{ 63, 0x385d3e39e5f37359, 0xb1eaa0579bb21aa3 },
	};
	uint8_t input[64];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(input); i++)
		input[i] = (uint8_t)i;
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		const struct vector *v = &vectors[i];

		assert_true(hash_siphash13(zero, input, v->len) == v->under_zero);
		assert_true(hash_siphash13(seven, input, v->len) == v->under_seven);
	}
}

static void test_process_key(void **state)
{
	static const uint8_t zero[16];
	uint64_t h = hash_bytes("key", 3);

	(void)state;
	assert_true(h == hash_bytes("key", 3));
	assert_true(h != hash_bytes("kex", 3));
	/* One chance in 2^64 that the random key gives the same. */
	assert_true(h != hash_siphash13(zero, "key", 3));
	(void)hash_bytes(NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_process_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
