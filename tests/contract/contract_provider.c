/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The suite that every provider plugin must pass.
 */
#include "contract_provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <uv.h>

#include "base/utf8.h"
#include "plugin/mock_host_http.h"

#define TEXT_MAX (16u << 20)
#define AFTER_END_TURNS 5
#define QUIET_MS 30 /* in which nothing must happen */
#define MANY 50
#define CANCEL_TURNS 12

static const struct provider_contract *contract; /* the suite's */
static struct mock_host *host;

static const struct parlance_provider_ops *ops(void)
{
	return host->plugin->ops;
}

/* What happens at a turn's end comes after conditions were looked at and before the loop waits:
 * it is not to wait. */
static void wake(void)
{
	uv_stop(loop_native(host->loop));
}

static void resume_fn(void *arg)
{
	struct answer *answer = arg;

	if (answer->ends == 0)
		answer_resume(answer);
}

static void cancel_fn(void *arg)
{
	struct answer *answer = arg;

	if (answer->ends == 0)
		answer_cancel(answer);
}

static enum parlance_flow on_delta(struct parlance_generation *handle, enum parlance_delta kind,
				   struct parlance_str text)
{
	struct answer *answer = CONTAINER_OF(handle, struct answer, handle);

	if (answer->ends > 0)
		mock_abort("a delta after the end");
	if (answer->cancelled)
		mock_abort("a delta after cancel");
	if (answer->paused)
		mock_abort("a delta before resume");
	if (kind != PARLANCE_DELTA_TEXT && kind != PARLANCE_DELTA_REASONING)
		mock_abort("a delta of kind %d", (int)kind);
	if (text.len == 0 || !utf8_valid(text.p, text.len))
		mock_abort("a delta is empty or not valid UTF-8");
	strbuf_append(kind == PARLANCE_DELTA_TEXT ? &answer->text : &answer->reasoning, text.p,
		      text.len);
	answer->deltas++;
	wake();
	if (answer->hold_at == answer->deltas)
		answer->hold = true;
	if (answer->cancel_at == answer->deltas)
		mock_defer(host, cancel_fn, answer);
	if (!answer->again && !answer->hold)
		return PARLANCE_FLOW_OK;
	answer->paused = true;
	if (!answer->hold)
		mock_defer(host, resume_fn, answer);
	return PARLANCE_FLOW_AGAIN;
}

static void on_end(struct parlance_generation *handle, const struct parlance_end *end)
{
	struct answer *answer = CONTAINER_OF(handle, struct answer, handle);

	if (end->size < sizeof(*end))
		mock_abort("the end's struct is too small");
	if (end->finish < PARLANCE_FINISH_STOP || end->finish > PARLANCE_FINISH_INTERNAL)
		mock_abort("finish is %d", end->finish);
	if (!utf8_valid(end->model.p, end->model.len))
		mock_abort("the model is not valid UTF-8");
	if (end->detail && !utf8_valid(end->detail, strlen(end->detail)))
		mock_abort("the detail is not valid UTF-8");
	if (++answer->ends > 1)
		mock_abort("a second end");
	wake();
	answer->finish = end->finish;
	answer->retry_after_ms = end->retry_after_ms;
	snprintf(answer->detail, sizeof(answer->detail), "%s", end->detail ? end->detail : "");
	snprintf(answer->model, sizeof(answer->model), "%.*s", (int)end->model.len,
		 end->model.len ? end->model.p : "");
	if (end->usage) {
		if (end->usage->size < sizeof(*end->usage))
			mock_abort("the usage's struct is too small");
		answer->has_usage = true;
		answer->usage = *end->usage;
	}
}

static const struct parlance_provider_sink sink = {
	.size = sizeof(sink),
	.delta = on_delta,
	.end = on_end,
};

void rig_begin(const struct provider_contract *c)
{
	const struct mock_config config = { .plugin = c->plugin, .sink = &sink };

	host = mock_new(&config);
	if (c->http)
		mock_http_init(host, NULL);
	if (mock_create(host, c->options, c->n_options))
		mock_abort("create: %s", host->err);
}

void rig_end(void)
{
	if (host->live_timers + host->live_watches + host->live_works + host->live_https > 0)
		mock_abort("all answers have ended, but the plugin holds something");
	mock_destroy(host);
	mock_free(&host);
}

struct mock_host *rig_host(void)
{
	return host;
}

void answer_init(struct answer *answer, const char *say)
{
	*answer = (struct answer){
		.message = { PARLANCE_ROLE_USER, { say, strlen(say) } },
		.prompt = { .size = sizeof(answer->prompt), .n_messages = 1 },
	};
	answer->prompt.messages = &answer->message;
	strbuf_init(&answer->text, TEXT_MAX);
	strbuf_init(&answer->reasoning, TEXT_MAX);
}

void answer_fini(struct answer *answer)
{
	strbuf_fini(&answer->text);
	strbuf_fini(&answer->reasoning);
}

void answer_start(struct answer *answer)
{
	MOCK_CALL(host, ops()->start(host->self, &answer->handle, &answer->prompt));
}

void answer_resume(struct answer *answer)
{
	answer->paused = false;
	MOCK_CALL(host, ops()->resume(host->self, &answer->handle));
}

void answer_cancel(struct answer *answer)
{
	answer->cancelled = true;
	MOCK_CALL(host, ops()->cancel(host->self, &answer->handle));
}

static bool has_ended(void *arg)
{
	return ((struct answer *)arg)->ends > 0;
}

static bool holds_nothing(void *arg)
{
	const struct mock_host *m = arg;

	return m->live_timers + m->live_watches + m->live_works + m->live_https == 0;
}

void answer_wait(struct answer *answer)
{
	assert_true(mock_run_until(host, has_ended, answer, ANSWER_DEADLINE_MS));
	for (int i = 0; i < AFTER_END_TURNS; i++)
		mock_turn(host);
	assert_int_equal(answer->ends, 1);
}

/* For a paused answer: until the plugin waits for nothing but resume, or the time is over. */
static void linger(void)
{
	if (!mock_run_until(host, holds_nothing, host, QUIET_MS))
		mock_turn(host);
}

struct wanted {
	const struct answer *answer;
	size_t deltas;
};

static bool has_deltas(void *arg)
{
	const struct wanted *wanted = arg;

	return wanted->answer->deltas >= wanted->deltas;
}

void answer_wait_deltas(struct answer *answer, size_t n)
{
	struct wanted wanted = { answer, n };

	assert_true(mock_run_until(host, has_deltas, &wanted, ANSWER_DEADLINE_MS));
}

void answer_get(struct answer *answer, const char *say)
{
	answer_init(answer, say);
	answer_start(answer);
	answer_wait(answer);
}

static int setup(void **state)
{
	(void)state;
	rig_begin(contract);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_end();
	return 0;
}

/* The answer that all others are compared with. */
static void get_normal(struct answer *answer)
{
	answer_get(answer, contract->normal);
	assert_int_equal(answer->finish, PARLANCE_FINISH_STOP);
	assert_true(answer->deltas >= 8);
	assert_true(strbuf_ok(&answer->text) && answer->text.len > 0);
}

static void assert_same(const struct answer *a, const struct answer *b)
{
	assert_int_equal(a->finish, b->finish);
	assert_string_equal(strbuf_cstr(&a->text), strbuf_cstr(&b->text));
	assert_string_equal(strbuf_cstr(&a->reasoning), strbuf_cstr(&b->reasoning));
}

static void test_normal(void **state)
{
	struct answer first;
	struct answer second;

	(void)state;
	get_normal(&first);
	get_normal(&second);
	assert_same(&first, &second);
	answer_fini(&first);
	answer_fini(&second);
}

static void test_failing(void **state)
{
	struct answer answer;

	(void)state;
	for (int again = 0; again < 2; again++) {
		answer_init(&answer, contract->failing);
		answer.again = again;
		answer_start(&answer);
		answer_wait(&answer);
		assert_int_equal(answer.finish, contract->failing_finish);
		answer_fini(&answer);
	}
}

static void test_again(void **state)
{
	struct answer normal;
	struct answer paused;

	(void)state;
	get_normal(&normal);
	answer_init(&paused, contract->normal);
	paused.again = true;
	answer_start(&paused);
	answer_wait(&paused);
	assert_same(&paused, &normal);
	answer_fini(&paused);
	answer_fini(&normal);
}

/* Paused for so long that all of the answer has come. */
static void test_long_pause(void **state)
{
	struct answer normal;
	struct answer held;

	(void)state;
	get_normal(&normal);
	for (size_t at = 1; at <= 3; at++) {
		answer_init(&held, contract->normal);
		held.hold = at == 1;
		answer_start(&held);
		answer_wait_deltas(&held, at);
		held.hold = true;
		if (!held.paused)
			answer_wait_deltas(&held, held.deltas + 1);
		linger();
		assert_int_equal(held.ends, 0);
		held.hold = false;
		held.again = true;
		answer_resume(&held);
		answer_wait(&held);
		assert_same(&held, &normal);
		answer_fini(&held);
	}
	answer_fini(&normal);
}

static void assert_cancelled(struct answer *answer)
{
	answer_wait(answer);
	assert_int_equal(answer->finish, PARLANCE_FINISH_CANCELED);
	assert_true(holds_nothing(host));
}

static void test_cancel_early(void **state)
{
	struct answer answer;

	(void)state;
	for (int turns = 0; turns < CANCEL_TURNS; turns++) {
		answer_init(&answer, contract->endless);
		answer_start(&answer);
		for (int i = 0; i < turns; i++)
			mock_turn(host);
		answer_cancel(&answer);
		assert_cancelled(&answer);
		answer_fini(&answer);
	}
}

static void test_cancel_at_delta(void **state)
{
	struct answer answer;

	(void)state;
	for (int again = 0; again < 2; again++) {
		for (size_t at = 1; at <= 6; at++) {
			answer_init(&answer, contract->endless);
			answer.again = again;
			answer.cancel_at = at;
			answer_start(&answer);
			assert_cancelled(&answer);
			assert_true(answer.deltas >= at);
			answer_fini(&answer);
		}
	}
}

static void test_cancel_paused(void **state)
{
	const char *say[] = { contract->endless, contract->normal };
	struct answer answer;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		answer_init(&answer, say[i]);
		answer.hold = true;
		answer_start(&answer);
		answer_wait_deltas(&answer, 1);
		/* The normal answer is all there by then, but not delivered. */
		linger();
		assert_int_equal(answer.ends, 0);
		assert_int_equal(answer.deltas, 1);
		answer_cancel(&answer);
		assert_cancelled(&answer);
		answer_fini(&answer);
	}
}

/* The host forgets an answer at its end; a plugin that is told once more does no harm. */
static void test_after_end(void **state)
{
	struct answer answer;

	(void)state;
	get_normal(&answer);
	answer_cancel(&answer);
	answer_resume(&answer);
	for (int i = 0; i < AFTER_END_TURNS; i++)
		mock_turn(host);
	assert_int_equal(answer.ends, 1);
	answer_fini(&answer);

	answer_init(&answer, contract->endless);
	answer_start(&answer);
	answer_cancel(&answer);
	answer_cancel(&answer);
	assert_cancelled(&answer);
	answer_fini(&answer);
}

/* The host owns the deadlines: an answer that takes too long is cancelled, and ends soon. */
static void test_deadline(void **state)
{
	struct answer answer;

	(void)state;
	answer_init(&answer, contract->endless);
	answer_start(&answer);
	answer_wait_deltas(&answer, 3);
	assert_false(mock_run_until(host, has_ended, &answer, QUIET_MS));
	answer_cancel(&answer);
	assert_true(mock_run_until(host, has_ended, &answer, 1000));
	assert_cancelled(&answer);
	answer_fini(&answer);
}

static void test_many(void **state)
{
	static struct answer answers[MANY];
	struct answer normal;

	(void)state;
	get_normal(&normal);
	for (size_t i = 0; i < MANY; i++) {
		answer_init(&answers[i], contract->normal);
		answers[i].again = i % 2;
		answer_start(&answers[i]);
	}
	for (size_t i = 0; i < MANY; i++) {
		answer_wait(&answers[i]);
		assert_same(&answers[i], &normal);
		answer_fini(&answers[i]);
	}
	answer_fini(&normal);
}

static void test_cancel_many(void **state)
{
	static struct answer answers[MANY];

	(void)state;
	for (size_t i = 0; i < MANY; i++) {
		answer_init(&answers[i], contract->endless);
		answer_start(&answers[i]);
	}
	answer_wait_deltas(&answers[MANY / 2], 2);
	for (size_t i = 0; i < MANY; i++)
		answer_cancel(&answers[i]);
	for (size_t i = 0; i < MANY; i++) {
		answer_wait(&answers[i]);
		assert_int_equal(answers[i].finish, PARLANCE_FINISH_CANCELED);
		answer_fini(&answers[i]);
	}
}

static void test_reload(void **state)
{
	struct answer normal;
	struct answer answer;

	(void)state;
	get_normal(&normal);
	for (size_t at = 0; at < 3; at++) {
		answer_init(&answer, contract->normal);
		answer_start(&answer);
		if (at > 0)
			answer_wait_deltas(&answer, at);
		assert_int_equal(mock_reload(host, contract->options, contract->n_options), 0);
		answer_wait(&answer);
		assert_same(&answer, &normal);
		answer_fini(&answer);
	}
	answer_fini(&normal);
}

static void count_model(void *arg, const struct parlance_model *model)
{
	size_t *n = arg;

	assert_true(model->size >= sizeof(*model));
	assert_true(model->id && *model->id && model->title && *model->title);
	assert_true(utf8_valid(model->id, strlen(model->id)));
	(*n)++;
}

static void test_models(void **state)
{
	size_t n = 0;

	(void)state;
	MOCK_CALL(host, ops()->models(host->self, count_model, &n));
	assert_true(n >= 1);
}

/* Each call of the host's that a normal answer needs fails once. */
static void test_host_fails(void **state)
{
	size_t before[MOCK_CALLS];
	size_t calls[MOCK_CALLS];
	struct answer answer;

	(void)state;
	memcpy(before, host->calls, sizeof(before));
	get_normal(&answer);
	answer_fini(&answer);
	memcpy(calls, host->calls, sizeof(calls));
	for (int call = 1; call < MOCK_CALLS; call++) {
		for (size_t nth = 1; nth <= calls[call] - before[call]; nth++) {
			mock_fail_at(host, (enum mock_call)call, nth);
			answer_get(&answer, contract->normal);
			assert_true(answer.finish == PARLANCE_FINISH_STOP ||
				    answer.finish == PARLANCE_FINISH_INTERNAL);
			assert_true(holds_nothing(host));
			answer_fini(&answer);
			mock_fail_at(host, (enum mock_call)call, 0);
		}
	}
}

/* Prompts at the edges: whatever the finish is, there is one end. */
static void test_prompts(void **state)
{
	static const char *const options[] = { "", "{}", "{\"temperature\":1}",
					       "{\"temperature\":\"hot\"}", "{\"maxTokens\":-1}",
					       "[]", "{" };
	char *long_text = malloc(1u << 20);
	struct answer answer;

	(void)state;
	assert_non_null(long_text);
	memset(long_text, 'x', (1u << 20) - 1);
	long_text[(1u << 20) - 1] = '\0';
	answer_get(&answer, long_text);
	assert_int_equal(answer.finish, PARLANCE_FINISH_STOP);
	answer_fini(&answer);
	free(long_text);
	answer_get(&answer, "");
	answer_fini(&answer);
	answer_init(&answer, "");
	answer.prompt.n_messages = 0;
	answer_start(&answer);
	answer_wait(&answer);
	answer_fini(&answer);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		answer_init(&answer, contract->normal);
		answer.prompt.options = (struct parlance_str){ options[i], strlen(options[i]) };
		answer.prompt.model = (struct parlance_str){ "no such model", 13 };
		answer_start(&answer);
		answer_wait(&answer);
		answer_fini(&answer);
	}
}

int provider_contract_run(const struct provider_contract *c)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_normal),	 TEST(test_failing),	    TEST(test_again),
		TEST(test_long_pause),	 TEST(test_cancel_early),   TEST(test_cancel_at_delta),
		TEST(test_cancel_paused), TEST(test_after_end),	    TEST(test_deadline),
		TEST(test_many),	 TEST(test_cancel_many),    TEST(test_reload),
		TEST(test_models),	 TEST(test_host_fails),	    TEST(test_prompts),
	};

	contract = c;
	return cmocka_run_group_tests_name(c->plugin()->name, tests, NULL, NULL);
}
