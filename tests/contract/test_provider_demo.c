/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * provider_demo: the contract, and what the bot says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "contract_provider.h"

static const struct mock_option options[] = {
	{ "token_interval_ms", "1" },
	{ "first_token_ms", "0" },
};

static const struct mock_option fast[] = {
	{ "token_interval_ms", "0" },
	{ "first_token_ms", "0" },
};

static const struct provider_contract contract = {
	.plugin = parlance_plugin_v1,
	.options = options,
	.n_options = ARRAY_LEN(options),
	.normal = "Hello!",
	.endless = "/endless",
	.failing = "/cut",
	.failing_finish = PARLANCE_FINISH_CUT,
};

static int setup(void **state)
{
	struct provider_contract c = contract;

	(void)state;
	c.options = fast;
	rig_begin(&c);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_end();
	return 0;
}

static void test_answers(void **state)
{
	static const struct {
		const char *say;
		const char *part; /* of the answer */
		int finish;
	} rows[] = {
		{ "Hello!", "demonstration bot", PARLANCE_FINISH_STOP },
		{ "  hey there  ", "demonstration bot", PARLANCE_FINISH_STOP },
		{ "HELP", "- **story**", PARLANCE_FINISH_STOP },
		{ "/help", "`/endless`", PARLANCE_FINISH_STOP },
		{ "Is it so?", "Good question.", PARLANCE_FINISH_STOP },
		{ "Make me a list, please", "\n1. ", PARLANCE_FINISH_STOP },
		{ "show a table", "|---|", PARLANCE_FINISH_STOP },
		{ "some code please", "```", PARLANCE_FINISH_STOP },
		{ "Tell me a story", "## Chapter 10", PARLANCE_FINISH_STOP },
		{ "thanks", "welcome", PARLANCE_FINISH_STOP },
		{ "Goodbye", "Goodbye", PARLANCE_FINISH_STOP },
		{ "Der Himmel ist blau", "That is 4 words; the longest is “Himmel”",
		  PARLANCE_FINISH_STOP },
		{ "naïve *`x`*", "“naïve   x  ”", PARLANCE_FINISH_STOP },
		{ "one", "1 word;", PARLANCE_FINISH_STOP },
		{ "!", "did not find a word", PARLANCE_FINISH_STOP },
		{ "", "did not find a word", PARLANCE_FINISH_STOP },
		{ "/empty", "", PARLANCE_FINISH_STOP },
		{ "/busy", "", PARLANCE_FINISH_RATE_LIMITED },
		{ "/error", "", PARLANCE_FINISH_UNAVAILABLE },
		{ "/cut", "## Chapter 1", PARLANCE_FINISH_CUT },
		{ "/length", "## Chapter 1", PARLANCE_FINISH_LENGTH },
		/* A command stands alone. */
		{ "what does /busy do?", "Good question.", PARLANCE_FINISH_STOP },
		{ "the history of tablets", "4 words", PARLANCE_FINISH_STOP },
	};
	struct answer answer;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		answer_get(&answer, rows[i].say);
		if (!strstr(strbuf_cstr(&answer.text), rows[i].part))
			fail_msg("\"%s\" got: %s", rows[i].say, strbuf_cstr(&answer.text));
		if (!*rows[i].part)
			assert_int_equal(answer.deltas, 0);
		assert_int_equal(answer.finish, rows[i].finish);
		assert_int_equal(answer.retry_after_ms > 0,
				 rows[i].finish == PARLANCE_FINISH_RATE_LIMITED);
		assert_string_equal(answer.model, "demo");
		answer_fini(&answer);
	}
}

static void test_usage(void **state)
{
	struct answer answer;

	(void)state;
	answer_get(&answer, "Thanks a lot");
	assert_true(answer.has_usage);
	assert_int_equal(answer.usage.prompt_tokens, 3);
	assert_int_equal(answer.usage.completion_tokens, answer.deltas);
	assert_int_equal(answer.usage.total_tokens, 3 + answer.deltas);
	answer_fini(&answer);
}

/* A quote is cut between characters; the sink looks whether it is UTF-8. */
static void test_cut_quote(void **state)
{
	char say[200];
	struct answer answer;

	(void)state;
	for (size_t n = 100; n < 130; n++) {
		memset(say, 'x', n);
		for (size_t i = n; i + 4 <= sizeof(say) - 1; i += 4)
			memcpy(say + i, "\xf0\x9f\x98\x80", 4);
		say[n + (sizeof(say) - 1 - n) / 4 * 4] = '\0';
		answer_get(&answer, say);
		assert_non_null(strstr(strbuf_cstr(&answer.text), "…”"));
		answer_fini(&answer);
	}
}

/* It answers what the user said last, whatever stands around it. */
static void test_conversation(void **state)
{
	const struct parlance_message messages[] = {
		{ PARLANCE_ROLE_SYSTEM, { "help", 4 } },
		{ PARLANCE_ROLE_USER, { "story", 5 } },
		{ PARLANCE_ROLE_ASSISTANT, { "table", 5 } },
		{ PARLANCE_ROLE_USER, { "thanks", 6 } },
	};
	struct answer answer;

	(void)state;
	answer_init(&answer, "");
	answer.prompt.messages = messages;
	answer.prompt.n_messages = ARRAY_LEN(messages);
	answer_start(&answer);
	answer_wait(&answer);
	assert_non_null(strstr(strbuf_cstr(&answer.text), "welcome"));
	assert_int_equal(answer.usage.prompt_tokens, 4);
	answer_fini(&answer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_answers),
		TEST(test_usage),
		TEST(test_cut_quote),
		TEST(test_conversation),
	};
	int failed = provider_contract_run(&contract);

	return failed + cmocka_run_group_tests_name("provider_demo's own", tests, NULL, NULL);
}
