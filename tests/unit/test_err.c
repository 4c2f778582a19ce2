/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Error codes: each has a name and a text of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"

static void test_names(void **state)
{
	static const int codes[] = {
#define X(name, value, text) name,
		PARLANCE_ERR_LIST(X)
#undef X
	};
	const size_t n = sizeof(codes) / sizeof(codes[0]);
	size_t i;

	(void)state;
	assert_string_equal(parlance_err_name(PARLANCE_ENOMEM), "PARLANCE_ENOMEM");
	assert_string_equal(parlance_err_name(PARLANCE_ENOTSUP), "PARLANCE_ENOTSUP");
	assert_string_equal(parlance_err_name(0), "PARLANCE_OK");
	assert_string_equal(parlance_err_name(1), "PARLANCE_E?");
	assert_string_equal(parlance_err_name(-(int)n - 1), "PARLANCE_E?");
	assert_string_equal(parlance_err_text(PARLANCE_ETIMEDOUT), "deadline passed");
	assert_string_equal(parlance_err_text(0), "success");
	assert_string_equal(parlance_err_text(1), "unknown error");
	/* They are part of the plugin ABI: without gaps, and an old one never changes. */
	for (i = 0; i < n; i++)
		assert_int_equal(codes[i], -(int)i - 1);
	assert_int_equal(PARLANCE_ENOTSUP, -13);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
