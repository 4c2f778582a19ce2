/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Id table: a number finds its object while it lives, and nothing ever after.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/idtable.h"

#define N_OBJECTS 1000

static void test_lifetimes(void **state)
{
	struct idtable t;
	int a;
	int b;
	uint64_t first;
	uint64_t second;
	int i;

	(void)state;
	idtable_init(&t);
	assert_null(idtable_get(&t, 0));
	assert_null(idtable_get(&t, 1));
	first = idtable_add(&t, &a);
	assert_true(first != 0);
	assert_ptr_equal(idtable_get(&t, first), &a);
	assert_null(idtable_get(&t, 0));
	idtable_del(&t, first);
	assert_null(idtable_get(&t, first));
	/* The place is used again, under another number. */
	for (i = 0; i < 1000; i++) {
		second = idtable_add(&t, &b);
		assert_true(second != 0 && second != first);
		assert_null(idtable_get(&t, first));
		assert_ptr_equal(idtable_get(&t, second), &b);
		idtable_del(&t, second);
	}
	assert_int_equal(t.count, 0);
	assert_true(t.cap <= 16);
	idtable_fini(&t);
	assert_int_equal(t.cap, 0);
}

static void test_many(void **state)
{
	static int objects[N_OBJECTS];
	static uint64_t ids[N_OBJECTS];
	bool seen[N_OBJECTS] = { false };
	struct idtable t;
	uint32_t pos = 0;
	int n = 0;
	int *o;
	int i;
	int k;

	(void)state;
	idtable_init(&t);
	for (i = 0; i < N_OBJECTS; i++) {
		ids[i] = idtable_add(&t, &objects[i]);
		assert_true(ids[i] != 0);
		/* It grows when it is full and not before. */
		assert_int_equal(t.cap > 16, i >= 16);
	}
	assert_int_equal(t.count, N_OBJECTS);
	for (i = 0; i < N_OBJECTS; i += 100) {
		for (k = i + 1; k < N_OBJECTS; k++)
			assert_true(ids[i] != ids[k]);
	}
	/* Those that were met may go while the walk goes on. */
	while ((o = idtable_next(&t, &pos))) {
		i = (int)(o - objects);
		assert_false(seen[i]);
		seen[i] = true;
		n++;
		if (i % 2)
			idtable_del(&t, ids[i]);
	}
	assert_int_equal(n, N_OBJECTS);
	assert_int_equal(t.count, N_OBJECTS / 2);
	for (i = 0; i < N_OBJECTS; i++)
		assert_ptr_equal(idtable_get(&t, ids[i]), i % 2 ? NULL : &objects[i]);
	idtable_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lifetimes),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
