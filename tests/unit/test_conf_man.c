/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Tables as mdoc(7): what is in a table must never be taken for roff.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "conf/conf_man.h"

static struct strbuf text;

static int setup(void **state)
{
	(void)state;
	strbuf_init(&text, 65536);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	strbuf_fini(&text);
	return 0;
}

static const char *man_of(struct conf_section section)
{
	const struct conf_section *sections[] = { &section };

	strbuf_reset(&text);
	conf_man(sections, 1, &text);
	assert_true(strbuf_ok(&text));
	return strbuf_cstr(&text);
}

static void test_option(void **state)
{
	const struct conf_option options[] = {
		{ .name = "wait_ms", .type = CONF_INT, .def = "10", .min = 1, .max = 20,
		  .unit = "ms", .flags = CONF_RELOADABLE, .doc = "How long. Not longer." },
		{ .name = "token", .type = CONF_STRING, .def = "", .max = 9, .flags = CONF_SECRET,
		  .env = "THE_TOKEN", .doc = "The token." },
	};

	(void)state;
	assert_string_equal(man_of((struct conf_section){ .name = "one", .options = options,
							  .n_options = 2, .doc = "First." }),
			    ".Ss [one]\n"
			    "First.\n"
			    ".Bl -tag -width Ds\n"
			    ".It Ic wait_ms No = Ar \"\\&10\"\n"
			    "How long.\n"
			    "Not longer.\n"
			    "Write a whole number of ms from 1 to 20.\n"
			    "Takes effect on reload.\n"
			    ".It Ic token\n"
			    "The token.\n"
			    "Write text of 0 to 9 bytes.\n"
			    "Secret: never shown.\n"
			    "The environment variable\n"
			    ".Ev THE_TOKEN\n"
			    "replaces the default.\n"
			    ".El\n");
}

static void test_sections(void **state)
{
	static const char *const instances[] = { "default", NULL };

	(void)state;
	assert_string_equal(man_of((struct conf_section){ .name = "one", .named = true,
							  .doc = "Many." }),
			    ".Ss [one NAME]\nMany.\n");
	assert_string_equal(man_of((struct conf_section){ .name = "one", .named = true,
							  .implicit = "main", .doc = "Many." }),
			    ".Ss [one NAME]\nMany.\n"
			    "Without a name the section is that of\n.Dq main .\n");
	assert_string_equal(man_of((struct conf_section){ .name = "one", .named = true,
							  .instances = instances, .doc = "Few." }),
			    ".Ss [one]\nFew.\n");
}

static void test_roff(void **state)
{
	const struct conf_option option = {
		.name = "x",
		.type = CONF_STRING,
		.def = ". a\\b \"-c",
		.doc = ".Sh 'x' C:\\new a-b",
	};

	(void)state;
	assert_string_equal(man_of((struct conf_section){ .name = "one", .options = &option,
							  .n_options = 1, .doc = "'tis so." }),
			    ".Ss [one]\n"
			    "\\&'tis so.\n"
			    ".Bl -tag -width Ds\n"
			    ".It Ic x No = Ar \"\\&. a\\eb \"\"\\-c\"\n"
			    "\\&.Sh 'x' C:\\enew a\\-b\n"
			    "Write text.\n"
			    ".El\n");
}

/* Lines are broken, and one that then begins with a dot is text still. */
static void test_long(void **state)
{
	static const char doc[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "
				  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb .c d e.g. f";

	(void)state;
	assert_string_equal(man_of((struct conf_section){ .name = "one", .doc = doc }),
			    ".Ss [one]\n"
			    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa "
			    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n"
			    "\\&.c d e.g.\n"
			    "f\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_option, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sections, setup, teardown),
		cmocka_unit_test_setup_teardown(test_roff, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long, setup, teardown),
	};

	return cmocka_run_group_tests_name("conf_man", tests, NULL, NULL);
}
