/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What an OpenAI-compatible service says: chunks, errors, UTF-8 in pieces, Retry-After; and what of
 * it goes into a log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <json-c/json.h>

#include "../../plugins/provider_openai/reply.h"
#include "../../plugins/provider_openai/retry.h"
#include "../../plugins/provider_openai/settings.h"
#include "../../plugins/provider_openai/utf8.h"

static struct json_tokener *tokener;

static int setup(void **state)
{
	(void)state;
	tokener = json_tokener_new();
	return tokener == NULL;
}

static int teardown(void **state)
{
	(void)state;
	json_tokener_free(tokener);
	return 0;
}

static struct parlance_str str(const char *text)
{
	return (struct parlance_str){ text, strlen(text) };
}

static void assert_str(struct parlance_str text, const char *expected)
{
	assert_int_equal(text.len, strlen(expected));
	if (text.len > 0)
		assert_memory_equal(text.p, expected, text.len);
}

#define CHOICE(inner) "{\"choices\":[{" inner "}]}"

static void test_chunk(void **state)
{
	static const struct {
		const char *json;
		const char *text, *reasoning;
		int finish;
	} rows[] = {
		{ CHOICE("\"delta\":{\"content\":\"a\"}"), "a", "", 0 },
		{ CHOICE("\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null"), "a", "",
		  0 },
		{ CHOICE("\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}"), "",
		  "", 0 },
		{ CHOICE("\"delta\":{\"content\":null,\"refusal\":\"no\"}"), "no", "", 0 },
		{ CHOICE("\"delta\":{\"reasoning_content\":\"hm\",\"content\":null}"), "", "hm", 0 },
		{ CHOICE("\"delta\":{\"reasoning\":\"hm\",\"content\":\"so\"}"), "so", "hm", 0 },
		{ CHOICE("\"delta\":{},\"finish_reason\":\"stop\""), "", "", PARLANCE_FINISH_STOP },
		{ CHOICE("\"delta\":{\"content\":\"z\"},\"finish_reason\":\"length\""), "z", "",
		  PARLANCE_FINISH_LENGTH },
		{ CHOICE("\"finish_reason\":\"content_filter\""), "", "", PARLANCE_FINISH_FILTER },
		{ CHOICE("\"delta\":{},\"finish_reason\":\"tool_calls\""), "", "",
		  PARLANCE_FINISH_STOP },
		{ CHOICE("\"delta\":{},\"finish_reason\":\"eos\""), "", "", PARLANCE_FINISH_STOP },
		{ CHOICE("\"delta\":{},\"finish_reason\":\"\""), "", "", 0 },
		{ CHOICE("\"message\":{\"content\":\"whole\"},\"finish_reason\":\"stop\""), "whole",
		  "", PARLANCE_FINISH_STOP },
		{ "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"}},"
		  "{\"index\":0,\"delta\":{\"content\":\"a\"}}]}",
		  "a", "", 0 },
		{ "{\"choices\":[]}", "", "", 0 },
		{ "{\"choices\":[null]}", "", "", 0 },
		{ "{\"choices\":null}", "", "", 0 },
		{ " {\"object\":\"x\",\"error\":null} \r\n", "", "", 0 },
		{ "{}", "", "", 0 },
		/* Escapes: a pair of surrogates is one character, a lone one is none. */
		{ CHOICE("\"delta\":{\"content\":\"\\ud83d\\ude80\\u00e9\\n\""
			 "}"),
		  "\xf0\x9f\x9a\x80\xc3\xa9\n", "", 0 },
		{ CHOICE("\"delta\":{\"content\":\"a\\ud83db\"}"), "a\xef\xbf\xbd"
								    "b",
		  "", 0 },
		{ CHOICE("\"delta\":{\"content\":\"a\\ude80b\"}"), "a\xef\xbf\xbd"
								    "b",
		  "", 0 },
		{ CHOICE("\"delta\":{\"content\":\"a\\ud83d\"}"), "a\xef\xbf\xbd", "", 0 },
		{ CHOICE("\"delta\":{\"content\":\"\\ud83d\\ud83d\\ude80\"}"),
		  "\xef\xbf\xbd\xf0\x9f\x9a\x80", "", 0 },
		/* A character that the next string goes on with. */
		{ CHOICE("\"delta\":{\"content\":\"a\xe4\xbd\"}"), "a\xe4\xbd", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply reply;
		const char *what = "";

		assert_int_equal(reply_parse(&reply, tokener, str(rows[i].json), &what), 0);
		assert_int_equal(reply.error, 0);
		assert_str(reply.text, rows[i].text);
		assert_str(reply.reasoning, rows[i].reasoning);
		assert_int_equal(reply.finish, rows[i].finish);
		reply_fini(&reply);
	}
}

static void test_facts(void **state)
{
	static const char json[] = "{\"model\":\"m-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,"
				   "\"completion_tokens\":40,\"total_tokens\":43}}";
	static const char partial[] = "{\"usage\":{\"prompt_tokens\":\"3\",\"completion_tokens\":-1,"
				      "\"total_tokens\":5}}";
	struct reply reply;
	const char *what = "";

	(void)state;
	assert_int_equal(reply_parse(&reply, tokener, str(json), &what), 0);
	assert_str(reply.model, "m-1");
	assert_true(reply.has_usage);
	assert_int_equal(reply.usage.size, sizeof(struct parlance_usage));
	assert_int_equal(reply.usage.prompt_tokens, 3);
	assert_int_equal(reply.usage.completion_tokens, 40);
	assert_int_equal(reply.usage.total_tokens, 43);
	reply_fini(&reply);
	assert_int_equal(reply_parse(&reply, tokener, str(partial), &what), 0);
	assert_int_equal(reply.usage.prompt_tokens, -1);
	assert_int_equal(reply.usage.completion_tokens, -1);
	assert_int_equal(reply.usage.total_tokens, 5);
	reply_fini(&reply);
	assert_int_equal(reply_parse(&reply, tokener, str("{\"usage\":null}"), &what), 0);
	assert_false(reply.has_usage);
	reply_fini(&reply);
}

/* ERROR_NAME_MAX letters. */
#define LONG_NAME "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd"

static void test_error(void **state)
{
	static const struct {
		const char *json;
		int finish;
		const char *name;
	} rows[] = {
		{ "{\"error\":{\"message\":\"m\",\"type\":\"server_error\",\"code\":null}}",
		  PARLANCE_FINISH_UNAVAILABLE, "server_error" },
		{ "{\"error\":{\"message\":\"m\",\"type\":\"rate_limit_error\"}}",
		  PARLANCE_FINISH_RATE_LIMITED, "rate_limit_error" },
		{ "{\"error\":{\"type\":\"x\",\"code\":\"rate_limit_exceeded\"}}",
		  PARLANCE_FINISH_RATE_LIMITED, "rate_limit_exceeded" },
		{ "{\"error\":{\"type\":\"insufficient_quota\"}}", PARLANCE_FINISH_RATE_LIMITED,
		  "insufficient_quota" },
		{ "{\"error\":{\"message\":\"m\",\"code\":429}}", PARLANCE_FINISH_RATE_LIMITED, "" },
		{ "{\"error\":{\"code\":502}}", PARLANCE_FINISH_UNAVAILABLE, "" },
		{ "{\"error\":{\"code\":401}}", PARLANCE_FINISH_REFUSED, "" },
		{ "{\"error\":{\"code\":408}}", PARLANCE_FINISH_TIMEOUT, "" },
		{ "{\"error\":{\"code\":7,\"type\":\"a.b-c\"}}", PARLANCE_FINISH_UNAVAILABLE, "a.b-c" },
		{ "{\"error\":{\"type\":\"invalid_request_error\",\"code\":\"not a word\"}}",
		  PARLANCE_FINISH_REFUSED, "invalid_request_error" },
		{ "{\"error\":{\"type\":\"a\\u0000b\"}}", PARLANCE_FINISH_UNAVAILABLE, "" },
		{ "{\"error\":{\"type\":\"" LONG_NAME "x\"}}", PARLANCE_FINISH_UNAVAILABLE, "" },
		{ "{\"error\":{\"type\":\"" LONG_NAME "\"}}", PARLANCE_FINISH_UNAVAILABLE, LONG_NAME },
		{ "{\"error\":{\"type\":\"timeout\"}}", PARLANCE_FINISH_TIMEOUT, "timeout" },
		{ "{\"error\":\"word\"}", PARLANCE_FINISH_UNAVAILABLE, "" },
		{ "{\"error\":true,\"message\":\"m\"}", PARLANCE_FINISH_UNAVAILABLE, "" },
		{ "{\"object\":\"error\",\"message\":\"m\",\"type\":\"t\",\"code\":404}",
		  PARLANCE_FINISH_REFUSED, "t" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply reply;
		const char *what = "";

		assert_int_equal(reply_parse(&reply, tokener, str(rows[i].json), &what), 0);
		assert_int_equal(reply.error, rows[i].finish);
		assert_str(reply.error_name, rows[i].name);
		reply_fini(&reply);
	}
}

static void test_malformed(void **state)
{
	static const struct parlance_str rows[] = {
		{ "", 0 },
		{ "{\"id\":\"x\",\"choices\":[{\"index\":0,\"del", 37 },
		{ "hello", 5 },
		{ "[]", 2 },
		{ "null", 4 },
		{ "7", 1 },
		{ "{} {}", 5 },
		{ "{}\0", 3 },
		{ "{}x", 3 },
		{ "{\"choices\":{}}", 14 },
		{ "{\"choices\":[{\"delta\":{\"content\":7}}]}", 38 },
		{ "{\"choices\":[{\"delta\":{\"content\":[]}}]}", 39 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply reply;
		const char *what = NULL;

		assert_int_equal(reply_parse(&reply, tokener, rows[i], &what), -1);
		assert_non_null(what);
		reply_fini(&reply);
	}
}

static void test_status(void **state)
{
	static const int rows[][2] = {
		{ 301, PARLANCE_FINISH_REFUSED },      { 400, PARLANCE_FINISH_REFUSED },
		{ 401, PARLANCE_FINISH_REFUSED },      { 403, PARLANCE_FINISH_REFUSED },
		{ 404, PARLANCE_FINISH_REFUSED },      { 408, PARLANCE_FINISH_TIMEOUT },
		{ 413, PARLANCE_FINISH_REFUSED },      { 422, PARLANCE_FINISH_REFUSED },
		{ 429, PARLANCE_FINISH_RATE_LIMITED }, { 500, PARLANCE_FINISH_UNAVAILABLE },
		{ 503, PARLANCE_FINISH_UNAVAILABLE },  { 529, PARLANCE_FINISH_UNAVAILABLE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(reply_status_finish(rows[i][0]), rows[i][1]);
}

#define FFFD "\xef\xbf\xbd"

static void test_utf8(void **state)
{
	static const struct {
		struct parlance_str in;
		const char *out;
	} rows[] = {
		{ { "plain", 5 }, "plain" },
		{ { "h\xc3\xa9llo \xe4\xbd\xa0 \xf0\x9f\x98\x80!", 16 },
		  "h\xc3\xa9llo \xe4\xbd\xa0 \xf0\x9f\x98\x80!" },
		{ { "a\x80z", 3 }, "a" FFFD "z" },
		{ { "\xc3z", 2 }, FFFD "z" },
		{ { "\xc3\xc3\xa9", 3 }, FFFD "\xc3\xa9" },
		{ { "\xe4\xbdz", 3 }, FFFD "z" }, /* the maximal part is one */
		{ { "\xe4\xbd", 2 }, FFFD },
		{ { "\xf0\x9f\x98", 3 }, FFFD },
		{ { "\xc0\xaf", 2 }, FFFD FFFD }, /* overlong */
		{ { "\xe0\x80\x80", 3 }, FFFD FFFD FFFD },
		{ { "\xed\xa0\x80", 3 }, FFFD FFFD FFFD }, /* a surrogate */
		{ { "\xf4\x90\x80\x80", 4 }, FFFD FFFD FFFD FFFD }, /* over U+10FFFF */
		{ { "\xf4\x8f\xbf\xbf", 4 }, "\xf4\x8f\xbf\xbf" },
		{ { "\xf8\xff\xfe", 3 }, FFFD FFFD FFFD },
		{ { "a\0b", 3 }, "a" FFFD "b" },
		{ { "", 0 }, "" },
	};

	(void)state;
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		for (size_t at = 0; at <= rows[r].in.len; at++) {
			struct utf8_join join = { 0 };
			struct buf out;

			buf_init(&out, 100);
			assert_int_equal(utf8_join(&join, rows[r].in.p, at, &out), 0);
			assert_int_equal(utf8_join(&join, rows[r].in.p + at, rows[r].in.len - at,
						   &out),
					 0);
			assert_int_equal(utf8_join_end(&join, &out), 0);
			assert_str((struct parlance_str){ out.p, out.len }, rows[r].out);
			buf_fini(&out);
		}
	}
}

static void test_retry(void **state)
{
	const int64_t now_ms = 784111777000; /* Sun, 06 Nov 1994 08:49:37 GMT */
	static const struct {
		const char *text;
		uint64_t ms;
	} rows[] = {
		{ "1", 1000 },
		{ "0", 0 },
		{ "120", 120000 },
		{ "1.25", 1250 },
		{ "99999999999999999999", RETRY_MAX_MS },
		{ "Sun, 06 Nov 1994 08:49:47 GMT", 10000 },
		{ "Sun Nov  6 08:50:37 1994", 60000 },
		{ "Sun, 06 Nov 1994 08:49:37 GMT", 0 },
		{ "Sat, 05 Nov 1994 08:49:37 GMT", 0 },
		{ "Sun, 06 Nov 2094 08:49:47 GMT", RETRY_MAX_MS },
		{ "Saturday, 06-Nov-94 08:49:37 GMT", RETRY_MAX_MS }, /* 2094 */
		{ "Sun, 06 Nov 1994 08:49:47 GMTx", 0 },
		{ "Sun, 06 Foo 1994 08:49:47 GMT", 0 },
		{ "Sun, 06 anF 1994 08:49:47 GMT", 0 },
		{ "Sun, 46 Nov 1994 08:49:47 GMT", 0 },
		{ "Sun, 06 Nov 1994 28:49:47 GMT", 0 },
		{ "Sun, 06 Nov 1994", 0 },
		{ "", 0 },
		{ "-5", 0 },
		{ ".", 0 },
		{ "soon", 0 },
		{ "1 2", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(retry_after_ms(str(rows[i].text), now_ms), rows[i].ms);
	assert_int_equal(retry_after_number_ms(str("1500")), 1500);
	assert_int_equal(retry_after_number_ms(str("x")), 0);
}

static void test_clean(void **state)
{
	char *secrets[] = { (char[]){ "sk-abcdef" }, (char[]){ "sk-abcdef-longer" } };
	const struct settings settings = { .secrets = secrets, .n_secrets = 2 };
	char long_text[DETAIL_MAX * 2];
	char out[DETAIL_MAX + 1];

	(void)state;
	settings_clean(&settings, str("plain \xc3\xa9"), out);
	assert_string_equal(out, "plain \xc3\xa9");
	settings_clean(&settings, str("key sk-abcdef: sk-abcdef-longer!"), out);
	assert_string_equal(out, "key *: *!");
	settings_clean(&settings, str("a\nb\x1b[1m\x7f\xc2\x9b\xff"), out);
	assert_string_equal(out, "a b [1m  " FFFD);
	settings_clean(&settings, (struct parlance_str){ NULL, 0 }, out);
	assert_string_equal(out, "");

	/* Cut between characters, and never inside a key. */
	memset(long_text, 'x', sizeof(long_text));
	settings_clean(&settings, (struct parlance_str){ long_text, sizeof(long_text) }, out);
	assert_int_equal(strlen(out), DETAIL_MAX);
	memcpy(long_text + DETAIL_MAX - 2, "\xf0\x9f\x98\x80", 4);
	settings_clean(&settings, (struct parlance_str){ long_text, sizeof(long_text) }, out);
	assert_int_equal(strlen(out), DETAIL_MAX - 2);
	memcpy(long_text + DETAIL_MAX - 4, "sk-abcdef", 9);
	settings_clean(&settings, (struct parlance_str){ long_text, sizeof(long_text) }, out);
	assert_null(strstr(out, "sk-"));
	assert_int_equal(strlen(out), DETAIL_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunk),	  cmocka_unit_test(test_facts),
		cmocka_unit_test(test_error),	  cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_status),	  cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_retry),	  cmocka_unit_test(test_clean),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
