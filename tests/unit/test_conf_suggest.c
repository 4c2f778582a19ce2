/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The suggestion for a name that is not known.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "conf/conf.h"

static void test_suggest(void **state)
{
	static const char *const names[] = { "ping_interval_ms", "ping_timeout_ms", "path", "cors",
					     "ab" };
	static const struct {
		const char *word;
		const char *expected;
	} cases[] = {
		{ "ping_intervall_ms", "ping_interval_ms" },
		{ "pingtimeoutms", "ping_timeout_ms" },
		{ "ptah", "path" },
		{ "pat", "path" },
		{ "cosr", "cors" },
		{ "crs", "cors" },
		{ "a", "ab" },
		{ "cr", NULL },
		{ "completely_else", NULL },
		{ "", NULL },
		{ "path", "path" },
	};
	char longest[100];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		const char *found = conf_suggest(cases[i].word, names, ARRAY_LEN(names));

		if (!cases[i].expected != !found ||
		    (found && strcmp(found, cases[i].expected) != 0))
			fail_msg("%s: %s", cases[i].word, found ? found : "nothing");
	}
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_null(conf_suggest(longest, names, ARRAY_LEN(names)));
	assert_null(conf_suggest("path", NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_suggest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
