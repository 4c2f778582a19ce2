/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Frames: what they hold and that the last reference frees them (which the sanitizers see).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/frame.h"

static void test_new(void **state)
{
	struct frame *f = frame_new(FRAME_BINARY, 5);

	(void)state;
	assert_non_null(f);
	assert_int_equal(f->refs, 1);
	assert_int_equal(f->kind, FRAME_BINARY);
	assert_int_equal(f->len, 5);
	memcpy(f->data, "12345", 5);
	frame_unref(&f);
	assert_null(f);
	frame_unref(&f);

	f = frame_new(FRAME_TEXT, 0);
	assert_non_null(f);
	assert_int_equal(f->len, 0);
	frame_unref(&f);
	assert_null(frame_new(FRAME_TEXT, (size_t)UINT32_MAX + 1));
	assert_null(frame_new(FRAME_TEXT, SIZE_MAX));
}

static void test_shared(void **state)
{
	struct frame *f = frame_copy(FRAME_TEXT, "hello", 5);
	struct frame *other;
	struct frame *third;

	(void)state;
	assert_non_null(f);
	assert_int_equal(f->kind, FRAME_TEXT);
	assert_int_equal(f->len, 5);
	assert_memory_equal(f->data, "hello", 5);
	other = frame_ref(f);
	third = frame_ref(other);
	assert_ptr_equal(other, f);
	assert_int_equal(f->refs, 3);
	frame_unref(&f);
	assert_null(f);
	frame_unref(&third);
	assert_memory_equal(other->data, "hello", 5);
	assert_int_equal(other->refs, 1);
	frame_unref(&other);
	f = frame_copy(FRAME_TEXT, NULL, 0);
	assert_non_null(f);
	frame_unref(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new),
		cmocka_unit_test(test_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
