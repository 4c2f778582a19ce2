/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Dump and sample: what they show, and that both read back to the same values.
 */
#include "conf_fixture.h"

static void check_same(const struct conf *a, const struct conf *b)
{
	const struct engine *ea = engine_of(a);
	const struct engine *eb = engine_of(b);
	size_t i;

	assert_int_equal(ea->cors, eb->cors);
	assert_true(ea->ping_interval_ms == eb->ping_interval_ms);
	assert_true(ea->offset == eb->offset);
	assert_string_equal(ea->path, eb->path);
	assert_int_equal(ea->transport, eb->transport);
	assert_int_equal(ea->origins.n, eb->origins.n);
	for (i = 0; i < ea->origins.n; i++)
		assert_string_equal(ea->origins.items[i], eb->origins.items[i]);
	for (i = 0;; i++) {
		const char *name_a;
		const char *name_b;
		const struct listener *la = conf_get_nth(a, "listener", i, &name_a);
		const struct listener *lb = conf_get_nth(b, "listener", i, &name_b);

		assert_int_equal(la == NULL, lb == NULL);
		if (!la)
			break;
		assert_string_equal(name_a, name_b);
		assert_int_equal(la->port, lb->port);
		assert_string_equal(la->address, lb->address);
	}
}

static void check_dump_reads_back(struct conf *c)
{
	struct strbuf out;
	struct conf *again;

	strbuf_init(&out, SIZE_MAX);
	conf_dump(c, &out);
	assert_true(strbuf_ok(&out));
	again = parse_ok(strbuf_cstr(&out));
	check_same(c, again);
	conf_free(&again);
	conf_free(&c);
	strbuf_fini(&out);
}

static void test_dump(void **state)
{
	struct strbuf out;
	struct conf *c;

	(void)state;
	c = parse_ok("[listener public]\nport = 443\n[engine]\ncors = true\norigins = a,b\n"
		     "ping_interval_ms = 0300\ntransport = polling\n");
	strbuf_init(&out, SIZE_MAX);
	conf_dump(c, &out);
	assert_string_equal(strbuf_cstr(&out), "[engine]\n"
					       "cors = yes\n"
					       "ping_interval_ms = 300\n"
					       "offset = 0\n"
					       "path = /socket.io/\n"
					       "# token = (not set)\n"
					       "transport = polling\n"
					       "origins = a, b\n"
					       "# keys = (not set)\n"
					       "\n"
					       "[listener public]\n"
					       "port = 443\n"
					       "address = 127.0.0.1\n"
					       "\n"
					       "[peer self]\n"
					       "port = 8080\n"
					       "address = 127.0.0.1\n");
	strbuf_fini(&out);
	check_dump_reads_back(c);
	check_dump_reads_back(parse_ok(""));
	check_dump_reads_back(parse_ok("[engine]\noffset = -9223372036854775808\n"
				       "path = [x] = # y;z: \\ \"q\" \n[listener a]\n[listener b]\n"
				       "address =\n"));
}

#define HASHES_10 "##########"
#define HASHES                                                                                    \
	HASHES_10 HASHES_10 HASHES_10 HASHES_10 HASHES_10 HASHES_10 HASHES_10 HASHES_10 HASHES_10 \
	    HASHES_10 HASHES_10 HASHES_10 HASHES_10 HASHES_10

/* Values that are longer than a line, with and without places to break them well. */
static void test_dump_long(void **state)
{
	static const char *const units[] = {
		"x",   "abc ", "x" HASHES,          "a;", "\xc3\xa4", "a  # ",
		"\\ ", "a\\",  "\xf0\x9f\x98\x80 ",
	};
	struct strbuf override;
	size_t i;
	size_t k;

	(void)state;
	strbuf_init(&override, SIZE_MAX);
	for (i = 0; i < ARRAY_LEN(units); i++) {
		for (k = 0; k < 4; k++) {
			const char *texts[1];
			struct conf *c;
			size_t len = strlen(units[i]);

			strbuf_reset(&override);
			strbuf_append_str(&override, k % 2 ? "engine.path=" : "engine.origins=o, ");
			strbuf_append(&override, "/ab", k);
			while (override.len + len < 290)
				strbuf_append_str(&override, units[i]);
			strbuf_append_str(&override, ".");
			texts[0] = strbuf_cstr(&override);
			assert_int_equal(load(&c, NULL, texts, 1), 0);
			check_dump_reads_back(c);
		}
	}
	strbuf_fini(&override);
}

static void test_sample(void **state)
{
	struct strbuf out;
	struct strbuf bare;
	struct conf *defaults = parse_ok("");
	struct conf *c;
	const char *p;

	(void)state;
	strbuf_init(&out, SIZE_MAX);
	strbuf_init(&bare, SIZE_MAX);
	conf_sample(sections, ARRAY_LEN(sections), &out);
	assert_true(strbuf_ok(&out));
	assert_non_null(strstr(strbuf_cstr(&out),
			       "\n"
			       "# Time between two pings.\n"
			       "# Write a whole number of ms from 100 to 600000. Takes effect on "
			       "restart.\n"
			       "#ping_interval_ms = 25000\n"));
	assert_non_null(strstr(strbuf_cstr(&out), "Takes effect on reload."));
	assert_non_null(strstr(strbuf_cstr(&out), "Secret: never shown."));
	assert_non_null(strstr(strbuf_cstr(&out), ENV_NAME));
	c = parse_ok(strbuf_cstr(&out));
	check_same(c, defaults);
	conf_free(&c);
	/* With every option's # removed it says the same. */
	for (p = strbuf_cstr(&out); *p; p++) {
		if (*p != '#' || p[1] == ' ' || (p != out.data && p[-1] != '\n'))
			strbuf_append_char(&bare, *p);
	}
	assert_non_null(strstr(strbuf_cstr(&bare), "\nping_interval_ms = 25000\n"));
	c = parse_ok(strbuf_cstr(&bare));
	assert_non_null(conf_get(c, "listener", "NAME"));
	assert_non_null(conf_get(c, "peer", "self"));
	assert_int_equal(engine_of(c)->ping_interval_ms, 25000);
	assert_string_equal(engine_of(c)->path, engine_of(defaults)->path);
	conf_free(&c);
	conf_free(&defaults);
	strbuf_fini(&out);
	strbuf_fini(&bare);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_dump, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dump_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sample, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
