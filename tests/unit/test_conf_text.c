/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The syntax of a file, and what is said of each way to get it wrong.
 */
#include "conf_fixture.h"

static void test_unknown(void **state)
{
	(void)state;
	check_errors("[engine]\nping_intervall_ms = 1\n",
		     "t.conf:2: unknown option \"ping_intervall_ms\" in [engine]; did you mean "
		     "\"ping_interval_ms\"?\n");
	check_errors("[engine]\nxyzzy = 1\n",
		     "t.conf:2: unknown option \"xyzzy\" in [engine]; remove it\n");
	/* Where the name should end is the value, perhaps. */
	check_errors("[engine]\npath //secret:1\npath\t/secret = 1\n",
		     "t.conf:2: the name of the option has a blank in it\n"
		     "t.conf:3: the name of the option has a blank in it\n");
	check_errors("[enigne]\n",
		     "t.conf:1: unknown section \"enigne\"; did you mean \"engine\"?\n");
	/* An option of an unknown section is not a problem of its own. */
	check_errors("[chat]\nxyzzy = 1\n[lissener a]\nprt = 1\n[listener a]\nprt = 1\n",
		     "t.conf:1: unknown section \"chat\"; remove it\n"
		     "t.conf:3: unknown section \"lissener\"; did you mean \"listener\"?\n"
		     "t.conf:6: unknown option \"prt\" in [listener]; did you mean \"port\"?\n");
	check_errors("[]\n", "t.conf:1: unknown section \"\"; remove it\n");
}

static void test_sections(void **state)
{
	(void)state;
	check_errors("[listener]\nport = 1\n",
		     "t.conf:1: [listener] needs a name of its own; write [listener NAME]\n");
	check_errors("[engine public]\ncors = yes\n",
		     "t.conf:1: [engine] has no name of its own; write [engine] alone\n");
	check_errors("[listener a b]\n", "t.conf:1: the name of a [listener] is 1 to 64 letters, "
					 "digits, '-', '_' or '.'\n");
	check_errors(
	    "[listener 1234567890123456789012345678901234567890123456789012345678901234x]\n",
	    "t.conf:1: the name of a [listener] is 1 to 64 letters, digits, '-', '_' or "
	    "'.'\n");
	check_errors("[engine\ncors = yes\n",
		     "t.conf:1: the section's name does not end; write [NAME]\n");
	check_errors("[engine] cors = yes\n",
		     "t.conf:1: options stand on lines below their [section]\n");
	check_errors("cors = yes\n[engine]\n",
		     "t.conf:1: an option stands before the first [section]\n");
}

static void test_syntax(void **state)
{
	char text[2048];
	struct conf *c;

	(void)state;
	/* All of them, not the first alone. */
	check_errors("[engine]\ncors\n= yes\n\npath ; = x\ncors = maybe\n",
		     "t.conf:2: not understood; write \"name = value\" or \"[section]\"\n"
		     "t.conf:3: not understood; write \"name = value\" or \"[section]\"\n"
		     "t.conf:5: not understood; write \"name = value\" or \"[section]\"\n"
		     "t.conf:6: cors of [engine] cannot be \"maybe\"; write yes or no\n");
	check_errors("[engine]\ncors", "t.conf:2: not understood; write \"name = value\" or "
				       "\"[section]\"\n");
	check_errors("[engine]\ncors = yes\npath = a\n[listener a]\n[engine]\ncors = yes\n",
		     "t.conf:6: cors of [engine] was set in line 2 already; keep one of them\n");
	check_errors("[engine]\npath = a\rb\npath = \x7f\npath = \xff\n",
		     "t.conf:2: the line holds a control character, which must go\n"
		     "t.conf:3: the line holds a control character, which must go\n"
		     "t.conf:4: the line holds bytes that are not UTF-8; save the file as UTF-8\n");
	/* A comment may be as long as it likes, and hold what it likes. */
	memset(text, 'x', sizeof(text));
	memcpy(text, "#", 1);
	text[sizeof(text) - 1] = '\0';
	c = parse_ok(text);
	conf_free(&c);
}

static void test_nul(void **state)
{
	static const char text[] = "[engine]\npath = a\0b\n";
	struct conf *c;

	(void)state;
	assert_int_equal(conf_parse(&c, sections, ARRAY_LEN(sections), "t.conf", text,
				    sizeof(text) - 1, &errors),
			 PARLANCE_EINVAL);
	assert_string_equal(strbuf_cstr(&errors),
			    "t.conf:2: the line holds a control character, which must go\n");
}

/* No value is ever cut in silence: up to the limit it is whole, beyond it is an error. */
static void test_long_lines(void **state)
{
	size_t n_whole = 0;
	size_t n;

	(void)state;
	for (n = 1; n <= 300; n++) {
		char text[400];
		struct conf *c;
		int err;
		int len =
		    snprintf(text, sizeof(text), "[engine]\npath = %0*d\ncors = yes\n", (int)n, 0);

		assert_in_range(len, 1, sizeof(text) - 1);
		strbuf_reset(&errors);
		err = conf_parse(&c, sections, ARRAY_LEN(sections), "t.conf", text, (size_t)len,
				 &errors);
		if (err) {
			assert_non_null(strstr(strbuf_cstr(&errors), "t.conf:2: the line is longer "
								     "than "));
			assert_non_null(strstr(strbuf_cstr(&errors),
					       "; end it with \\ and go on in the next\n"));
			continue;
		}
		assert_int_equal(strlen(engine_of(c)->path), n);
		assert_true(engine_of(c)->cors);
		n_whole++;
		conf_free(&c);
	}
	assert_true(n_whole >= 180);
}

static void test_continued(void **state)
{
	struct conf *c = parse_ok("[engine]\n"
				  "path = /one \\\n"
				  "\t  two\\\n"
				  "# a comment between\n"
				  "  three = 3\\\n"
				  "[four]\\\n"
				  "\n"
				  "origins = a,\\\n"
				  "  b, \\\n"
				  "  c\n"
				  "token = last\\");
	const struct engine *e = engine_of(c);

	(void)state;
	assert_string_equal(e->path, "/one twothree = 3[four]");
	assert_int_equal(e->origins.n, 3);
	assert_string_equal(e->origins.items[2], "c");
	assert_string_equal(e->token, "last");
	conf_free(&c);
	/* A problem is told for the line where the option begins; a bad line ends the value. */
	check_errors("[engine]\ncors = ye\\\n  es\noffset = 1\\\n\x01\noffset\n",
		     "t.conf:2: cors of [engine] cannot be \"yees\"; write yes or no\n"
		     "t.conf:5: the line holds a control character, which must go\n"
		     "t.conf:6: not understood; write \"name = value\" or \"[section]\"\n");
	/* Without the backslash an indented line is a line of its own. */
	c = parse_ok("[engine]\n  path = /one\n    cors = yes\n");
	assert_string_equal(engine_of(c)->path, "/one");
	assert_true(engine_of(c)->cors);
	conf_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sections, setup, teardown),
		cmocka_unit_test_setup_teardown(test_syntax, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nul, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_continued, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
