/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The bodies of requests to an OpenAI-compatible service, and the URL they go to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <json-c/json.h>

#include "../../plugins/provider_openai/request.h"
#include "../../plugins/provider_openai/url.h"

static char *models[] = { (char[]){ "base" }, (char[]){ "other" } };

static struct settings settings_of(void)
{
	return (struct settings){
		.models = models,
		.n_models = 2,
		.max_tokens_name = NAME_MAX_TOKENS,
		.stream_usage = true,
	};
}

static struct parlance_str str(const char *text)
{
	return (struct parlance_str){ text, strlen(text) };
}

static const struct parlance_message hello = { PARLANCE_ROLE_USER, { "Hi", 2 } };

static struct parlance_prompt prompt_of(const char *model, const char *options)
{
	return (struct parlance_prompt){
		.size = sizeof(struct parlance_prompt),
		.model = str(model),
		.messages = &hello,
		.n_messages = 1,
		.options = str(options),
	};
}

static void check(const struct settings *settings, const struct parlance_prompt *prompt,
		  const char *expected)
{
	struct json_object *body = NULL;
	char err[200] = "";
	size_t len = 0;

	assert_int_equal(request_build(&body, settings, prompt, err, sizeof(err)), REQUEST_OK);
	assert_string_equal(request_text(body, &len), expected);
	assert_int_equal(len, strlen(expected));
	json_object_put(body);
}

#define HI "\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"stream\":true"
#define USAGE ",\"stream_options\":{\"include_usage\":true}"

static void test_body(void **state)
{
	const struct parlance_message messages[] = {
		{ PARLANCE_ROLE_SYSTEM, { "Be \"brief\"", 10 } },
		{ PARLANCE_ROLE_USER, { "a/b\n\0c\xc3\xa9", 8 } },
		{ PARLANCE_ROLE_ASSISTANT, { NULL, 0 } },
		{ PARLANCE_ROLE_USER, { "\xf0\x9f\x98\x80", 4 } },
	};
	struct settings settings = settings_of();
	struct parlance_prompt prompt = prompt_of("", "");

	(void)state;
	check(&settings, &prompt, "{\"model\":\"base\"," HI USAGE "}");
	prompt.messages = messages;
	prompt.n_messages = 4;
	prompt.user = str("u-1");
	settings.stream_usage = false;
	check(&settings, &prompt,
	      "{\"model\":\"base\",\"messages\":["
	      "{\"role\":\"system\",\"content\":\"Be \\\"brief\\\"\"},"
	      "{\"role\":\"user\",\"content\":\"a/b\\n\\u0000c\xc3\xa9\"},"
	      "{\"role\":\"assistant\",\"content\":\"\"},"
	      "{\"role\":\"user\",\"content\":\"\xf0\x9f\x98\x80\"}],"
	      "\"stream\":true,\"user\":\"u-1\"}");
}

static void test_model(void **state)
{
	struct settings settings = settings_of();
	struct parlance_prompt prompt = prompt_of("other", "");

	(void)state;
	check(&settings, &prompt, "{\"model\":\"other\"," HI USAGE "}");
	/* One that is not offered is not asked for: it may cost more. */
	prompt.model = str("expensive");
	check(&settings, &prompt, "{\"model\":\"base\"," HI USAGE "}");
	settings.any_model = true;
	check(&settings, &prompt, "{\"model\":\"expensive\"," HI USAGE "}");
}

static void test_wishes(void **state)
{
	static const struct {
		int64_t max_tokens;
		const char *temperature;
		const char *options;
		const char *tail;
	} rows[] = {
		{ 0, NULL, "{}", "" },
		{ 100, "0.7", "{}", ",\"temperature\":0.7,\"max_tokens\":100" },
		{ 100, "0.7", "{\"temperature\":1.30}", ",\"temperature\":1.30,\"max_tokens\":100" },
		{ 0, NULL, "{\"temperature\":0,\"top_p\":1}", ",\"temperature\":0,\"top_p\":1" },
		{ 0, NULL, "{\"temperature\":2,\"top_p\":0.25}",
		  ",\"temperature\":2,\"top_p\":0.25" },
		{ 0, NULL, "{\"temperature\":null,\"maxTokens\":null}", "" },
		{ 0, NULL, "{\"maxTokens\":5}", ",\"max_tokens\":5" },
		{ 0, NULL, "{\"max_tokens\":6}", ",\"max_tokens\":6" },
		/* The configured limit is one. */
		{ 100, NULL, "{\"max_tokens\":101}", ",\"max_tokens\":100" },
		{ 100, NULL, "{\"max_tokens\":99}", ",\"max_tokens\":99" },
		/* Others are not passed on. */
		{ 0, NULL, "{\"n\":50,\"stream\":false,\"model\":\"x\",\"messages\":[]}", "" },
	};
	char expected[400];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct settings settings = settings_of();
		struct parlance_prompt prompt = prompt_of("", rows[i].options);
		char temperature[] = "0.7";

		settings.max_tokens = rows[i].max_tokens;
		settings.temperature = rows[i].temperature ? temperature : NULL;
		snprintf(expected, sizeof(expected), "{\"model\":\"base\",%s%s%s}", HI, USAGE,
			 rows[i].tail);
		check(&settings, &prompt, expected);
	}
}

static void test_max_tokens_name(void **state)
{
	struct settings settings = settings_of();
	struct parlance_prompt prompt = prompt_of("", "{\"maxTokens\":5}");

	(void)state;
	settings.max_tokens_name = NAME_MAX_COMPLETION_TOKENS;
	check(&settings, &prompt, "{\"model\":\"base\"," HI USAGE ",\"max_completion_tokens\":5}");
}

static void test_refused(void **state)
{
	static const struct {
		const char *options;
		const char *word;
	} rows[] = {
		{ "{\"temperature\":2.1}", "temperature" },
		{ "{\"temperature\":-0.1}", "temperature" },
		{ "{\"temperature\":\"1\"}", "temperature" },
		{ "{\"temperature\":true}", "temperature" },
		{ "{\"temperature\":NaN}", "temperature" },
		{ "{\"temperature\":Infinity}", "temperature" },
		{ "{\"temperature\":[1]}", "temperature" },
		{ "{\"top_p\":1.01}", "top_p" },
		{ "{\"max_tokens\":0}", "max_tokens" },
		{ "{\"max_tokens\":-1}", "max_tokens" },
		{ "{\"max_tokens\":1.5}", "max_tokens" },
		{ "{\"maxTokens\":\"5\"}", "maxTokens" },
		{ "{\"maxTokens\":99999999999999999999}", "maxTokens" },
		{ "[]", "object" },
		{ "null", "object" },
		{ "{", "object" },
		{ "hello", "object" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct settings settings = settings_of();
		struct parlance_prompt prompt = prompt_of("", rows[i].options);
		struct json_object *body = NULL;
		char err[200] = "";

		assert_int_equal(request_build(&body, &settings, &prompt, err, sizeof(err)),
				 REQUEST_REFUSED);
		assert_null(body);
		assert_non_null(strstr(err, rows[i].word));
	}
}

static void test_url(void **state)
{
	static const struct {
		const char *base;
		const char *url;
	} rows[] = {
		{ "https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions" },
		{ "https://x/v1/", "https://x/v1/chat/completions" },
		{ "https://x/v1///", "https://x/v1/chat/completions" },
		{ "http://x", "http://x/chat/completions" },
		{ "http://x/", "http://x/chat/completions" },
		{ "http://x:1/v1/chat/completions", "http://x:1/v1/chat/completions" },
		{ "http://x:1/v1/chat/completions/", "http://x:1/v1/chat/completions" },
		{ "https://x/y?api-version=1", "https://x/y/chat/completions?api-version=1" },
		{ "https://x/y/?a=/", "https://x/y/chat/completions?a=/" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct url_facts facts;
		char err[200];
		char *url = url_complete(rows[i].base);

		assert_int_equal(url_check(rows[i].base, &facts, err, sizeof(err)), 0);
		assert_string_equal(url, rows[i].url);
		free(url);
	}
}

static void test_url_facts(void **state)
{
	static const struct {
		const char *base;
		bool tls, loopback, openai;
	} rows[] = {
		{ "https://api.openai.com/v1", true, false, true },
		{ "HTTPS://API.OpenAI.com:443", true, false, true },
		{ "https://api.openai.com.", true, false, true },
		{ "http://api.openai.com.example.org", false, false, false },
		{ "http://localhost", false, true, false },
		{ "http://localhost:8080/v1", false, true, false },
		{ "http://ai.localhost/", false, true, false },
		{ "http://notlocalhost", false, false, false },
		{ "http://127.0.0.1:1?x", false, true, false },
		{ "http://127.9.9.9", false, true, false },
		{ "http://127.0.0.1.example.org", false, false, false },
		{ "http://128.0.0.1", false, false, false },
		{ "http://[::1]:9/v1", false, true, false },
		{ "http://[::2]", false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct url_facts facts;
		char err[200];

		assert_int_equal(url_check(rows[i].base, &facts, err, sizeof(err)), 0);
		assert_int_equal(facts.tls, rows[i].tls);
		assert_int_equal(facts.loopback, rows[i].loopback);
		assert_int_equal(facts.openai, rows[i].openai);
	}
}

static void test_url_refused(void **state)
{
	static const char *const rows[] = {
		"", "api.openai.com/v1", "ftp://x/", "file:///etc/passwd", "http:/x", "https://",
		"https:///v1", "https://x y/", "https://x/\n", "https://x/#a", "https://u:p@x/",
		"https://u@x", "https://x:/", "https://x:port/", "https://:80/", "https://[::1",
		"https://[::1]x", "https://[]", "https://x\xc3\xa9/", "unix:///run/x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct url_facts facts;
		char err[200] = "";

		assert_int_equal(url_check(rows[i], &facts, err, sizeof(err)), -1);
		assert_memory_equal(err, "base_url: ", 10);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_body),	  cmocka_unit_test(test_model),
		cmocka_unit_test(test_wishes),	  cmocka_unit_test(test_max_tokens_name),
		cmocka_unit_test(test_refused),	  cmocka_unit_test(test_url),
		cmocka_unit_test(test_url_facts), cmocka_unit_test(test_url_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
