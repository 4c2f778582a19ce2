/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The suite for auth plugins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "contract_auth.h"
#include "plugin/auth_rig.h"

#define MANY 300
#define CHAIN 100
#define HUGE_BYTES (1024 * 1024)

static const struct auth_contract *contract;
static struct mock_host *m;

static uint64_t deadline_ms(void)
{
	return contract->deadline_ms ? contract->deadline_ms : 10000;
}

static struct mock_host *new_host(const char *instance)
{
	const struct mock_config config = {
		.plugin = contract->plugin,
		.path = contract->path,
		.sink = &rig_sink,
		.instance = instance,
	};
	struct mock_host *host = mock_new(&config);

	if (contract->init)
		contract->init(host);
	return host;
}

static void create(struct mock_host *host)
{
	if (mock_create(host, contract->options, contract->n_options))
		fail_msg("create: %s", host->err);
}

static void shows_no_secret(const char *text, const char *where)
{
	for (size_t i = 0; i < contract->n_secrets; i++) {
		if (strstr(text, contract->secrets[i]))
			fail_msg("%s shows a secret", where);
	}
	if (strstr(text, contract->good) || strstr(text, contract->bad))
		fail_msg("%s shows a token", where);
}

static int setup(void **state)
{
	(void)state;
	m = new_host(NULL);
	create(m);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (m->self)
		mock_destroy(m);
	shows_no_secret(mock_log(m), "the log");
	mock_free(&m);
	return 0;
}

static int ask(const char *token)
{
	struct rig_op op;
	int verdict = rig_ask(m, &op, token, strlen(token));

	shows_no_secret(op.detail, "a detail");
	if (verdict == RIG_ACCEPTED)
		assert_string_equal(op.subject, contract->user);
	rig_fini(&op);
	return verdict;
}

/* The descriptor */

static void test_descriptor(void **state)
{
	const struct parlance_plugin *p = m->plugin;
	const struct parlance_auth_ops *ops = p->ops;

	(void)state;
	assert_int_equal(p->kind, PARLANCE_AUTH);
	assert_true(p->abi_minor <= PARLANCE_ABI_MINOR);
	assert_true(p->name[0] >= 'a' && p->name[0] <= 'z');
	assert_int_equal(strspn(p->name, "abcdefghijklmnopqrstuvwxyz0123456789_"), strlen(p->name));
	assert_true(p->version && *p->version && p->licence && *p->licence && p->doc && *p->doc);
	assert_non_null(p->create);
	assert_non_null(p->destroy);
	assert_true(ops->size >= sizeof(*ops) && ops->verify && ops->cancel);
	for (size_t i = 0; i < p->n_options; i++) {
		assert_true(p->options[i].offset < p->options_size);
		assert_true(p->options[i].doc && *p->options[i].doc);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(p->options[i].name, p->options[j].name);
	}
}

/* Answers */

static void test_verdicts(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(contract->good), RIG_ACCEPTED);
		assert_int_equal(ask(contract->bad), PARLANCE_AUTH_DENIED);
		if (contract->expired)
			assert_int_equal(ask(contract->expired), PARLANCE_AUTH_EXPIRED);
	}
}

static void test_odd_tokens(void **state)
{
	char *huge = malloc(HUGE_BYTES);
	char bytes[256];
	struct rig_op op;

	(void)state;
	assert_non_null(huge);
	assert_int_equal(rig_ask(m, &op, "", 0), PARLANCE_AUTH_DENIED);
	rig_fini(&op);
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = (char)i;
		assert_int_equal(rig_ask(m, &op, &bytes[i], 1), PARLANCE_AUTH_DENIED);
		rig_fini(&op);
	}
	assert_int_equal(rig_ask(m, &op, bytes, sizeof(bytes)), PARLANCE_AUTH_DENIED);
	rig_fini(&op);
	for (const char *fill = "x.\n\xff{\""; *fill; fill++) {
		memset(huge, *fill, HUGE_BYTES);
		assert_int_equal(rig_ask(m, &op, huge, HUGE_BYTES), PARLANCE_AUTH_DENIED);
		rig_fini(&op);
	}
	free(huge);
	assert_int_equal(ask(contract->good), RIG_ACCEPTED);
}

struct many {
	struct rig_op ops[MANY];
};

static bool all_answered(void *arg)
{
	struct many *many = arg;

	for (size_t i = 0; i < MANY; i++) {
		if (!rig_answered(&many->ops[i]))
			return false;
	}
	return true;
}

/* All at the same time; of those, each nth is cancelled (0: none). */
static void run_many(size_t nth)
{
	struct many *many = calloc(1, sizeof(*many));

	assert_non_null(many);
	for (size_t i = 0; i < MANY; i++) {
		const char *token = i % 2 ? contract->bad : contract->good;

		rig_verify(m, &many->ops[i], token, strlen(token));
		/* Half of them at once, the others after a turn. */
		if (nth && i % (2 * nth) == 0 && !rig_answered(&many->ops[i]))
			rig_cancel(&many->ops[i]);
	}
	mock_turn(m);
	for (size_t i = nth; nth && i < MANY; i += 2 * nth) {
		if (!rig_answered(&many->ops[i]))
			rig_cancel(&many->ops[i]);
	}
	assert_true(mock_run_until(m, all_answered, many, deadline_ms()));
	for (size_t i = 0; i < MANY; i++) {
		struct rig_op *op = &many->ops[i];
		int verdict = i % 2 ? PARLANCE_AUTH_DENIED : RIG_ACCEPTED;

		if (op->verdict != verdict &&
		    !(nth && i % nth == 0 && op->verdict == PARLANCE_AUTH_TEMPORARY))
			fail_msg("number %zu is answered with %d (%s)", i, op->verdict, op->detail);
	}
	/* Whoever answers twice does it soon; the ops must still be there for that. */
	assert_false(mock_run_until(m, NULL, NULL, 100));
	for (size_t i = 0; i < MANY; i++)
		rig_fini(&many->ops[i]);
	free(many);
}

static void test_many(void **state)
{
	(void)state;
	run_many(0);
}

static void test_cancel_some(void **state)
{
	(void)state;
	run_many(3);
	assert_int_equal(ask(contract->good), RIG_ACCEPTED);
}

static void test_cancel_all(void **state)
{
	(void)state;
	run_many(1);
	assert_int_equal(ask(contract->good), RIG_ACCEPTED);
}

/* One after the other, each begun when the one before is answered. */
struct chain {
	struct rig_op op;
	size_t n;
};

static bool chain_over(void *arg)
{
	struct chain *chain = arg;

	while (rig_answered(&chain->op)) {
		assert_int_equal(chain->op.verdict, RIG_ACCEPTED);
		rig_fini(&chain->op);
		if (++chain->n == CHAIN)
			return true;
		rig_verify(m, &chain->op, contract->good, strlen(contract->good));
	}
	return false;
}

static void test_chain(void **state)
{
	struct chain chain = { .n = 0 };

	(void)state;
	rig_verify(m, &chain.op, contract->good, strlen(contract->good));
	assert_true(mock_run_until(m, chain_over, &chain, deadline_ms()));
}

/* Bad days */

/* Each call of the host fails once, at each time that it is called while an instance is made. */
static void test_create_fails(void **state)
{
	(void)state;
	mock_destroy(m);
	for (int call = 1; call < MOCK_CALLS; call++) {
		bool reached = true;

		for (size_t nth = 1; reached; nth++) {
			size_t before = m->calls[call];

			mock_fail_at(m, (enum mock_call)call, nth);
			/* mock_create sees to it that nothing is left. */
			if (mock_create(m, contract->options, contract->n_options) == 0)
				mock_destroy(m);
			else
				shows_no_secret(m->err, "create's sentence");
			reached = m->calls[call] - before >= nth;
		}
		mock_fail_at(m, (enum mock_call)call, 0);
	}
	if (contract->refused) {
		assert_int_equal(mock_create(m, contract->refused, contract->n_refused), -1);
		shows_no_secret(m->err, "create's sentence");
	}
	create(m);
	assert_int_equal(ask(contract->good), RIG_ACCEPTED);
}

/* What fails on our side is not held against anybody. */
static void test_verify_fails(void **state)
{
	(void)state;
	for (int call = 1; call < MOCK_CALLS; call++) {
		bool reached = true;

		for (size_t nth = 1; reached; nth++) {
			size_t before = m->calls[call];
			int verdict;

			mock_fail_at(m, (enum mock_call)call, nth);
			verdict = ask(contract->good);
			if (verdict != RIG_ACCEPTED && verdict != PARLANCE_AUTH_TEMPORARY)
				fail_msg("a failure of the host is answered with %d", verdict);
			reached = m->calls[call] - before >= nth;
		}
		mock_fail_at(m, (enum mock_call)call, 0);
	}
	assert_int_equal(ask(contract->good), RIG_ACCEPTED);
}

/* Life */

static void test_again_and_again(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		assert_int_equal(ask(contract->good), RIG_ACCEPTED);
		mock_destroy(m);
		create(m);
		mock_destroy(m);
		create(m);
	}
}

static void test_two_instances(void **state)
{
	struct mock_host *other = new_host("other");
	struct rig_op op;

	(void)state;
	create(other);
	assert_int_equal(ask(contract->good), RIG_ACCEPTED);
	assert_int_equal(rig_ask(other, &op, contract->good, strlen(contract->good)), RIG_ACCEPTED);
	rig_fini(&op);
	mock_destroy(other);
	mock_free(&other);
	assert_int_equal(ask(contract->good), RIG_ACCEPTED);
}

static void test_drain(void **state)
{
	(void)state;
	if (!m->plugin->drain)
		skip();
	MOCK_CALL(m, m->plugin->drain(m->self));
	assert_int_equal(ask(contract->good), RIG_ACCEPTED);
}

static void test_reload(void **state)
{
	(void)state;
	if (!m->plugin->reload)
		skip();
	assert_int_equal(mock_reload(m, contract->options, contract->n_options), 0);
	assert_int_equal(ask(contract->good), RIG_ACCEPTED);
	if (contract->refused) {
		assert_int_equal(mock_reload(m, contract->refused, contract->n_refused), -1);
		shows_no_secret(m->err, "reload's sentence");
		assert_int_equal(ask(contract->good), RIG_ACCEPTED);
	}
	assert_int_equal(ask(contract->bad), PARLANCE_AUTH_DENIED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int auth_contract_run(const struct auth_contract *c)
{
	const struct CMUnitTest tests[] = {
		TEST(test_descriptor),
		TEST(test_verdicts),
		TEST(test_odd_tokens),
		TEST(test_many),
		TEST(test_cancel_some),
		TEST(test_cancel_all),
		TEST(test_chain),
		TEST(test_create_fails),
		TEST(test_verify_fails),
		TEST(test_again_and_again),
		TEST(test_two_instances),
		TEST(test_drain),
		TEST(test_reload),
	};

	contract = c;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
