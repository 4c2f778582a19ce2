/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Arena: alignment, growth, limits, and (under AddressSanitizer) that nothing else can be touched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <stdalign.h>
#include <string.h>
#include <cmocka.h>

#include "base/arena.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN 1
#endif
#ifdef TEST_ASAN
#include <sanitizer/asan_interface.h>
#endif

static void test_alloc(void **state)
{
	static const size_t sizes[] = { 0, 1, 7, 16, 17, 500, 1000, 5000, 70000, 3, 65536, 40000 };
	unsigned char *pieces[ARRAY_LEN(sizes) * 20];
	struct arena a;
	size_t i;
	size_t k;

	(void)state;
	arena_init(&a, 0);
	assert_null(a.head);
	for (i = 0; i < ARRAY_LEN(pieces); i++) {
		size_t size = sizes[i % ARRAY_LEN(sizes)];

		pieces[i] = arena_alloc(&a, size);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
		memset(pieces[i], (int)(i & 255), size);
	}
	/* No piece overlaps another. */
	for (i = 0; i < ARRAY_LEN(pieces); i++) {
		for (k = 0; k < sizes[i % ARRAY_LEN(sizes)]; k++)
			assert_int_equal(pieces[i][k], i & 255);
	}
	arena_fini(&a);
	assert_null(a.head);
	assert_int_equal(a.used_bytes, 0);
}

static void test_calloc_and_strndup(void **state)
{
	struct arena a;
	char *p;
	size_t i;

	(void)state;
	arena_init(&a, 0);
	p = arena_alloc(&a, 64);
	assert_non_null(p);
	memset(p, 'x', 64);
	arena_reset(&a);
	p = arena_calloc(&a, 8, 8); /* where the x were */
	assert_non_null(p);
	for (i = 0; i < 64; i++)
		assert_int_equal(p[i], 0);
	assert_null(arena_calloc(&a, SIZE_MAX / 2 + 1, 2));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_strndup(&a, "", SIZE_MAX));
	p = arena_strndup(&a, "hello", 4);
	assert_string_equal(p, "hell");
	p = arena_strndup(&a, NULL, 0);
	assert_string_equal(p, "");
	arena_fini(&a);
}

static void test_limit(void **state)
{
	struct arena a;

	(void)state;
	arena_init(&a, 100);
	assert_non_null(arena_alloc(&a, 60)); /* counts as 64 */
	assert_null(arena_alloc(&a, 60));
	assert_non_null(arena_alloc(&a, 32));
	assert_int_equal(a.used_bytes, 96);
	assert_null(arena_alloc(&a, 0));
	arena_reset(&a);
	assert_int_equal(a.used_bytes, 0);
	assert_non_null(arena_alloc(&a, 96));
	assert_null(arena_alloc(&a, SIZE_MAX));
	arena_fini(&a);
	assert_int_equal(a.limit_bytes, 100);
	assert_null(arena_alloc(&a, 200));
	arena_fini(&a);
}

/* What an idle connection keeps is small, whatever it once used, and is used again. */
static void test_reset_keeps_one_small_chunk(void **state)
{
	struct arena a;
	struct arena_chunk *kept;
	void *first;
	int i;

	(void)state;
	arena_init(&a, 0);
	for (i = 0; i < 1000; i++)
		assert_non_null(arena_alloc(&a, 1000));
	arena_reset(&a);
	kept = a.head;
	assert_non_null(kept);
	first = arena_alloc(&a, 100);
	assert_ptr_equal(a.head, kept);
	arena_reset(&a);
	assert_ptr_equal(arena_alloc(&a, 100), first);
	/* More than 4 KiB does not fit what was kept. */
	assert_non_null(arena_alloc(&a, 4096));
	assert_ptr_not_equal(a.head, kept);
	arena_fini(&a);

	assert_non_null(arena_alloc(&a, 5000));
	arena_reset(&a);
	assert_null(a.head);
	arena_reset(&a);
	arena_fini(&a);
}

#ifdef TEST_ASAN
static void test_poison(void **state)
{
	struct arena a;
	char *p;
	char *q;

	(void)state;
	arena_init(&a, 0);
	p = arena_alloc(&a, 13);
	q = arena_alloc(&a, 16);
	assert_non_null(p);
	assert_non_null(q);
	assert_int_equal(__asan_address_is_poisoned(p + 12), 0);
	assert_int_equal(__asan_address_is_poisoned(p + 13), 1);
	assert_int_equal(__asan_address_is_poisoned(q + 15), 0);
	assert_int_equal(__asan_address_is_poisoned(q + 16), 1);
	arena_reset(&a);
	assert_int_equal(__asan_address_is_poisoned(p), 1);
	assert_int_equal(__asan_address_is_poisoned(q), 1);
	arena_fini(&a);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc),  cmocka_unit_test(test_calloc_and_strndup),
		cmocka_unit_test(test_limit),  cmocka_unit_test(test_reset_keeps_one_small_chunk),
#ifdef TEST_ASAN
		cmocka_unit_test(test_poison),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
