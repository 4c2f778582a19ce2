/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Hash map, against a plain array that says which items are in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/map.h"

#include "base/err.h"

#define N_ITEMS 5000

struct item {
	char key[8];
	size_t len;
};

static struct slice key_of(const void *item)
{
	const struct item *it = item;

	return slice_of(it->key, it->len);
}

static void make(struct item *it, int n)
{
	it->len = (size_t)snprintf(it->key, sizeof(it->key), "k%d", n);
}

static void test_basics(void **state)
{
	struct map *m = map_new(key_of);
	struct item a;
	struct item same;
	struct item empty = { "", 0 };
	size_t pos = 0;

	(void)state;
	assert_non_null(m);
	make(&a, 1);
	make(&same, 1);
	assert_null(map_get(m, "k1", 2));
	assert_null(map_del(m, "k1", 2));
	assert_null(map_next(m, &pos));
	assert_int_equal(map_put(m, &a), 0);
	assert_int_equal(map_put(m, &same), PARLANCE_EEXIST);
	assert_int_equal(map_count(m), 1);
	assert_ptr_equal(map_get(m, "k1", 2), &a);
	assert_null(map_get(m, "k1x", 3));
	assert_null(map_get(m, "k", 1));
	assert_int_equal(map_put(m, &empty), 0);
	assert_ptr_equal(map_get(m, NULL, 0), &empty);
	assert_ptr_equal(map_del(m, "k1", 2), &a);
	assert_null(map_del(m, "k1", 2));
	assert_int_equal(map_count(m), 1);
	map_free(&m);
	assert_null(m);
	map_free(&m);
}

/* Fills, thins out in a mixed order and empties; looks for every item after each step of ten. */
static void test_many(void **state)
{
	static struct item items[N_ITEMS];
	static bool in[N_ITEMS];
	struct map *m = map_new(key_of);
	size_t count = 0;
	unsigned int seed = 1;
	int step;
	int i;

	(void)state;
	assert_non_null(m);
	for (i = 0; i < N_ITEMS; i++)
		make(&items[i], i);
	for (step = 0; step < 6 * N_ITEMS; step++) {
		/* Two in three steps add in the first half, remove in the second. */
		bool add = (step % 3 != 0) == (step < 3 * N_ITEMS);

		seed = seed * 1103515245u + 12345u;
		i = (int)(seed >> 8) % N_ITEMS;
		if (add) {
			assert_int_equal(map_put(m, &items[i]), in[i] ? PARLANCE_EEXIST : 0);
			count += !in[i];
			in[i] = true;
		} else {
			void *got = map_del(m, items[i].key, items[i].len);

			assert_ptr_equal(got, in[i] ? &items[i] : NULL);
			count -= in[i];
			in[i] = false;
		}
		assert_int_equal(map_count(m), count);
		if (step % 1000)
			continue;
		for (i = 0; i < N_ITEMS; i++)
			assert_ptr_equal(map_get(m, items[i].key, items[i].len),
					 in[i] ? &items[i] : NULL);
	}
	for (i = 0; i < N_ITEMS; i++)
		(void)map_del(m, items[i].key, items[i].len);
	assert_int_equal(map_count(m), 0);
	map_free(&m);
}

static void test_next(void **state)
{
	struct item items[100];
	bool seen[100] = { false };
	struct map *m = map_new(key_of);
	size_t pos = 0;
	size_t n = 0;
	struct item *it;
	int i;

	(void)state;
	assert_non_null(m);
	for (i = 0; i < 100; i++) {
		make(&items[i], i);
		assert_int_equal(map_put(m, &items[i]), 0);
	}
	while ((it = map_next(m, &pos))) {
		assert_false(seen[it - items]);
		seen[it - items] = true;
		n++;
	}
	assert_int_equal(n, 100);
	map_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basics),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
