/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The query of an Engine.IO request: keys, repetition, percent-decoding.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/query.h"

#include "base/err.h"

/* Parses a heap copy of exactly the text's size, which *copy then owns (q borrows from it). */
static int parse(const char *text, struct query *q, char **copy)
{
	size_t len = strlen(text);

	*copy = malloc(len ? len : 1);
	assert_non_null(*copy);
	memcpy(*copy, text, len);
	query_init(q);
	return query_parse(q, *copy, len);
}

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		bool has_eio;
		int eio;
		enum query_transport transport;
		const char *sid;
	} rows[] = {
		{ "", false, -1, QUERY_TRANSPORT_NONE, "" },
		{ "EIO=4&transport=polling", true, 4, QUERY_TRANSPORT_POLLING, "" },
		{ "EIO=4&transport=websocket&sid=abc&t=x&b64=1", true, 4, QUERY_TRANSPORT_WEBSOCKET,
		  "abc" },
		{ "transport=polling&EIO=3", true, 3, QUERY_TRANSPORT_POLLING, "" },
		{ "EIO=abc&transport=abc", true, -1, QUERY_TRANSPORT_UNKNOWN, "" },
		{ "EIO=", true, -1, QUERY_TRANSPORT_NONE, "" },
		{ "EIO", true, -1, QUERY_TRANSPORT_NONE, "" },
		{ "EIO=04", true, 4, QUERY_TRANSPORT_NONE, "" },
		{ "EIO=999", true, 999, QUERY_TRANSPORT_NONE, "" },
		{ "EIO=0004", true, -1, QUERY_TRANSPORT_NONE, "" },
		{ "EIO=-4", true, -1, QUERY_TRANSPORT_NONE, "" },
		{ "EIO=4x", true, -1, QUERY_TRANSPORT_NONE, "" },
		{ "EIO=4&EIO=5", true, 4, QUERY_TRANSPORT_NONE, "" },
		{ "EIO=x&EIO=4", true, -1, QUERY_TRANSPORT_NONE, "" },
		{ "transport=polling&transport=websocket", false, -1, QUERY_TRANSPORT_POLLING, "" },
		{ "transport&transport=websocket", false, -1, QUERY_TRANSPORT_UNKNOWN, "" },
		{ "sid=a&sid=b", false, -1, QUERY_TRANSPORT_NONE, "a" },
		{ "sid=&sid=b", false, -1, QUERY_TRANSPORT_NONE, "" },
		{ "sid&sid=b", false, -1, QUERY_TRANSPORT_NONE, "" },
		{ "&&EIO=4&&sid=x&", true, 4, QUERY_TRANSPORT_NONE, "x" },
		{ "%45IO=%34&s%69d=a%2Bb+c%26d%3d", true, 4, QUERY_TRANSPORT_NONE, "a+b c&d=" },
		{ "eio=4&Transport=polling&SID=x", false, -1, QUERY_TRANSPORT_NONE, "" },
		{ "transport=pollin&x", false, -1, QUERY_TRANSPORT_UNKNOWN, "" },
		{ "=4&==&EIO==4", true, -1, QUERY_TRANSPORT_NONE, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct query q;
		char *copy;

		if (parse(rows[i].text, &q, &copy))
			fail_msg("refused: %s", rows[i].text);
		if (q.has_eio != rows[i].has_eio || q.eio != rows[i].eio ||
		    q.transport != rows[i].transport || !slice_is(q.sid, rows[i].sid))
			fail_msg("wrong: %s", rows[i].text);
		free(copy);
	}
}

static void test_parse_invalid(void **state)
{
	static const char *const texts[] = {
		"%", "%4", "EIO=%", "EIO=%3", "EIO=%3&x=4", "EIO=%g4", "EIO=%4g", "x=%00", "%%",
		"a=1&b=%zz",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct query q;
		char *copy;

		if (parse(texts[i], &q, &copy) != PARLANCE_EINVAL)
			fail_msg("accepted: %s", texts[i]);
		free(copy);
	}
}

static void test_unescape(void **state)
{
	char text[] = "%41%7a%FF%fe+%2B%25a%";

	(void)state;
	assert_int_equal(query_unescape(text, sizeof(text) - 2), 8);
	assert_memory_equal(text, "Az\xff\xfe +%a", 8);
	assert_int_equal(query_unescape(text, 0), 0);
}

static void test_pair(void **state)
{
	struct query q;

	(void)state;
	query_init(&q);
	query_pair(&q, slice_str("sid=a%41"));
	assert_true(slice_is(q.sid, "a%41"));
	query_pair(&q, slice_of("EIO=45", 5));
	assert_int_equal(q.eio, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_invalid),
		cmocka_unit_test(test_unescape),
		cmocka_unit_test(test_pair),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
