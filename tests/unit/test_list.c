/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Intrusive list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/list.h"

struct item {
	struct list node;
	int n;
};

static void fill(struct list *l, struct item *items, int n)
{
	int i;

	list_init(l);
	for (i = 0; i < n; i++) {
		items[i].n = i;
		list_push_back(l, &items[i].node);
	}
}

static int sum(struct list *l)
{
	struct list *it;
	struct list *tmp;
	int total = 0;

	LIST_FOREACH_SAFE(it, tmp, l)
	total = total * 10 + CONTAINER_OF(it, struct item, node)->n;
	return total;
}

static void test_order(void **state)
{
	struct item items[4];
	struct list l;

	(void)state;
	list_init(&l);
	assert_true(list_empty(&l));
	assert_null(list_pop_front(&l));
	fill(&l, items, 4);
	assert_int_equal(sum(&l), 123);
	assert_ptr_equal(list_pop_front(&l), &items[0].node);
	assert_false(list_linked(&items[0].node));
	assert_true(list_linked(&items[2].node));
	list_remove(&items[2].node);
	list_remove(&items[2].node);
	assert_int_equal(sum(&l), 13);
}

static void test_unlinked(void **state)
{
	struct item zeroed = { { NULL, NULL }, 0 };

	(void)state;
	assert_false(list_linked(&zeroed.node));
	list_remove(&zeroed.node);
	list_init(&zeroed.node);
	assert_false(list_linked(&zeroed.node));
	list_remove(&zeroed.node);
}

static void test_splice(void **state)
{
	struct item a[3];
	struct item b[3];
	struct list la;
	struct list lb;

	(void)state;
	fill(&la, a, 3);
	fill(&lb, b, 0);
	list_splice_back(&la, &lb);
	assert_int_equal(sum(&la), 12);
	fill(&lb, b, 3);
	list_splice_back(&la, &lb);
	assert_true(list_empty(&lb));
	assert_int_equal(sum(&la), 12012);
	list_splice_back(&lb, &la);
	assert_true(list_empty(&la));
	assert_int_equal(sum(&lb), 12012);
}

static void test_remove_while_walking(void **state)
{
	struct item items[5];
	struct list *it;
	struct list *tmp;
	struct list l;

	(void)state;
	fill(&l, items, 5);
	LIST_FOREACH_SAFE(it, tmp, &l)
	{
		if (CONTAINER_OF(it, struct item, node)->n % 2 == 0)
			list_remove(it);
	}
	assert_int_equal(sum(&l), 13);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_unlinked),
		cmocka_unit_test(test_splice),
		cmocka_unit_test(test_remove_while_walking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
