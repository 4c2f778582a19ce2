/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Verifications, with a plugin that answers how and when the test wants: exactly one answer for
 * each, never from within, and nothing that the contract does not allow gets through.
 */
#include "plugin_fixture.h"

#include "plugin/auth.h"

/* ---- the plugin ---- */

enum behaviour {
	KEEP = 1, /* answers when the test says so */
	AT_ONCE,  /* accepts from inside verify */
	TWICE,    /* and once more */
};

static enum behaviour behaviour;
static const struct parlance_host *host;
static const struct parlance_auth_sink *sink;
static struct parlance_auth_op *last;
static struct parlance_auth_op *last_cancelled;
static unsigned n_verify;
static unsigned n_cancel;
static bool complete_on_cancel;
static bool complete_in_destroy;
static char token[64];
static char seen_address[64];
static bool in_plugin;

static int plugin_create(void **self, const struct parlance_host *h, const void *options, char *err,
			 size_t err_size)
{
	(void)options;
	(void)err;
	(void)err_size;
	host = h;
	sink = h->sink;
	*self = token;
	return 0;
}

static void plugin_destroy(void *self)
{
	assert_ptr_equal(self, token);
	note('D');
	if (complete_in_destroy)
		sink->reject(last, PARLANCE_AUTH_TEMPORARY, "late");
}

static const char *given_token_id = "a token";

static void accept(struct parlance_auth_op *op, const char *subject, const char *claims)
{
	struct parlance_identity id = {
		.size = sizeof(id),
		.subject = str(subject),
		.expires_ms = 4102444800000,
		.claims = str(claims),
		.token_id = str(given_token_id),
		.session = str("a session"),
		.issued_ms = 1700000000000,
	};

	sink->accept(op, &id);
}

static void plugin_verify(void *self, struct parlance_auth_op *op,
			  const struct parlance_auth_request *request)
{
	assert_ptr_equal(self, token);
	assert_false(in_plugin);
	in_plugin = true;
	assert_int_equal(request->size, sizeof(*request));
	(void)snprintf(token, sizeof(token), "%s", request->token.p);
	(void)snprintf(seen_address, sizeof(seen_address), "%s", request->address.p);
	assert_int_equal(request->origin.len, 0);
	assert_string_equal(request->issuer.p, request->address.len ? "an issuer" : "");
	assert_string_equal(request->audience.p, request->address.len ? "an audience" : "");
	n_verify++;
	last = op;
	note('v');
	if (behaviour != KEEP)
		accept(op, "alice", "{}");
	if (behaviour == TWICE)
		accept(op, "mallory", "{}");
	note(';');
	in_plugin = false;
}

static void plugin_cancel(void *self, struct parlance_auth_op *op)
{
	assert_ptr_equal(self, token);
	assert_false(in_plugin);
	in_plugin = true;
	n_cancel++;
	last_cancelled = op;
	if (complete_on_cancel)
		sink->reject(op, PARLANCE_AUTH_TEMPORARY, "cancelled");
	in_plugin = false;
}

static const struct parlance_auth_ops ops = {
	.size = sizeof(ops),
	.verify = plugin_verify,
	.cancel = plugin_cancel,
};

static const struct parlance_plugin plugin = {
	TEST_PLUGIN(PARLANCE_AUTH, "auth_test", &ops),
	.create = plugin_create,
	.destroy = plugin_destroy,
};

/* ---- the asker ---- */

static unsigned n_answers;
static bool accepted;
static char user[300];
static char claims[64];
static char token_id[300];
static char session[300];
static int verdict;
static char detail[128];
static bool ask_again; /* from inside the answer */

static void on_answer(void *arg, const struct auth_answer *answer)
{
	assert_ptr_equal(arg, &n_answers);
	assert_false(in_plugin);
	n_answers++;
	note('a');
	accepted = answer->accepted;
	verdict = (int)answer->verdict;
	(void)snprintf(detail, sizeof(detail), "%s", answer->detail ? answer->detail : "");
	(void)snprintf(user, sizeof(user), "%.*s", (int)answer->user.len, answer->user.p);
	(void)snprintf(claims, sizeof(claims), "%.*s", (int)answer->claims.len, answer->claims.p);
	(void)snprintf(token_id, sizeof(token_id), "%.*s", (int)answer->token_id.len,
		       answer->token_id.p);
	(void)snprintf(session, sizeof(session), "%.*s", (int)answer->session.len,
		       answer->session.p);
	if (accepted) {
		assert_true(answer->expires_ms == 4102444800000);
		assert_true(answer->issued_ms == 1700000000000);
	} else {
		assert_int_equal(answer->user.len, 0);
	}
	if (ask_again) {
		ask_again = false;
		assert_int_equal(auth_verify(set, &(struct auth_question){ .token = slice_str("second") },
					     1000, on_answer, &n_answers),
				 0);
	}
}

static void ask(const char *text, uint32_t timeout_ms)
{
	char copy[64];

	/* It may go right after the call. */
	(void)snprintf(copy, sizeof(copy), "%s", text);
	assert_int_equal(auth_verify(set,
				     &(struct auth_question){ .token = slice_str(copy),
							      .address = slice_str("::1"),
							      .issuer = slice_str("an issuer"),
							      .audience = slice_str("an audience") },
				     timeout_ms, on_answer, &n_answers),
			 0);
	memset(copy, 'x', sizeof(copy) - 1);
}

static int begin(void **state)
{
	int rc = plugins_setup(state);

	behaviour = KEEP;
	complete_on_cancel = true;
	complete_in_destroy = ask_again = in_plugin = false;
	n_verify = n_cancel = n_answers = 0;
	last = last_cancelled = NULL;
	(void)add(&plugin, "default");
	assert_int_equal(create(""), 0);
	return rc;
}

/* ---- tests ---- */

static void test_accept(void **state)
{
	(void)state;
	ask("secret", 1000);
	/* R1: not from within. */
	assert_int_equal(n_verify, 0);
	turn();
	assert_int_equal(n_verify, 1);
	assert_string_equal(token, "secret");
	assert_string_equal(seen_address, "::1");
	assert_int_equal(n_answers, 0);
	accept(last, "b\xc3\xb6" "b", "{\"a\":1}");
	turn();
	assert_int_equal(n_answers, 1);
	assert_true(accepted);
	assert_string_equal(user, "b\xc3\xb6" "b");
	assert_string_equal(claims, "{\"a\":1}");
	assert_string_equal(token_id, "a token");
	assert_string_equal(session, "a session");
	assert_int_equal(n_cancel, 0);
	assert_not_logged("fault");
	assert_not_logged("secret");
}

static void test_reject(void **state)
{
	(void)state;
	ask("t", 1000);
	turn();
	sink->reject(last, PARLANCE_AUTH_EXPIRED, "since yesterday");
	run_until(n_answers);
	assert_false(accepted);
	assert_int_equal(verdict, PARLANCE_AUTH_EXPIRED);
	assert_string_equal(detail, "since yesterday");
	ask("t", 1000);
	turn();
	sink->reject(last, PARLANCE_AUTH_DENIED, NULL);
	run_until(n_answers == 2);
	assert_int_equal(verdict, PARLANCE_AUTH_DENIED);
	assert_not_logged("fault");
	/* No such verdict. */
	ask("t", 1000);
	turn();
	sink->reject(last, (enum parlance_auth_verdict)9, "");
	run_until(n_answers == 3);
	assert_int_equal(verdict, PARLANCE_AUTH_TEMPORARY);
	assert_logged("auth_test: a fault of the plugin: it rejects with the unknown verdict 9");
}

/* From inside verify: the answer waits until the plugin is out of it, and so does what the asker
 * asks in it. */
static void test_at_once(void **state)
{
	(void)state;
	behaviour = AT_ONCE;
	ask_again = true;
	ask("t", 1000);
	turn();
	assert_string_equal(events, "v;av;a");
	assert_int_equal(n_answers, 2);
	assert_true(accepted);
	assert_string_equal(token, "second");
}

static void test_twice(void **state)
{
	(void)state;
	behaviour = TWICE;
	ask("t", 1000);
	turn();
	assert_int_equal(n_answers, 1);
	assert_string_equal(user, "alice");
	assert_logged("it accepts a token for an operation that it has completed before");
	forget_log();
	/* And once more, when all is over. */
	sink->reject(last, PARLANCE_AUTH_DENIED, "");
	turn();
	assert_int_equal(n_answers, 1);
	assert_logged("it rejects a token for an operation that it has completed before");
}

static void test_deadline(void **state)
{
	(void)state;
	complete_on_cancel = false;
	ask("t", 5);
	run_until(n_answers);
	assert_false(accepted);
	assert_int_equal(verdict, PARLANCE_AUTH_TEMPORARY);
	run_until(n_cancel);
	assert_ptr_equal(last_cancelled, last);
	/* Late: swallowed, and no fault. */
	accept(last, "alice", "{}");
	turn();
	assert_int_equal(n_answers, 1);
	assert_int_equal(n_cancel, 1);
	assert_not_logged("fault");
}

static void check_bad(const char *subject, const char *json)
{
	unsigned before = n_answers;

	ask("t", 1000);
	turn();
	accept(last, subject, json);
	run_until(n_answers == before + 1);
	assert_false(accepted);
	assert_int_equal(verdict, PARLANCE_AUTH_TEMPORARY);
	assert_logged("a fault of the plugin: it accepts");
	assert_int_equal(n_cancel, 0);
	forget_log();
	/* The faults of a minute are not all written. */
	set->auth->fault_rate.used = 0;
}

static void test_identity(void **state)
{
	char longest[300];
	const char *const useless[] = { "a\nb", "\xff", longest };

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[255] = '\0';
	ask("t", 1000);
	turn();
	accept(last, longest, "");
	run_until(n_answers);
	assert_true(accepted);
	assert_string_equal(user, longest);
	longest[255] = 'x';
	longest[256] = '\0';
	check_bad(longest, "");
	check_bad("", "");
	check_bad(NULL, "");
	check_bad("a\nb", "");
	check_bad("a\x7f", "");
	check_bad("a\xc2\x85", "");
	check_bad("a\xff", "");
	check_bad("\xc3", "");
	for (size_t i = 0; i < ARRAY_LEN(useless); i++) {
		given_token_id = useless[i];
		check_bad("alice", "");
	}
	given_token_id = "a token";
	check_bad("alice", "[]");
	check_bad("alice", "{");
	check_bad("alice", "{\"a\":\"\xff\"}");
	ask("t", 1000);
	turn();
	accept(last, "a\xc2\xa0", ""); /* a blank that is no control */
	turn();
	assert_true(accepted);
	ask("t", 1000);
	turn();
	{
		struct parlance_identity id = { .size = 8, .subject = str("alice") };

		sink->accept(last, &id);
	}
	turn();
	assert_false(accepted);
}

static void test_end(void **state)
{
	(void)state;
	ask("running", 60000);
	turn();
	ask("queued", 60000);
	destroy();
	assert_int_equal(n_answers, 2);
	assert_int_equal(n_verify, 1);
	assert_int_equal(n_cancel, 1);
	assert_false(accepted);
	assert_string_equal(events, "v;aaD");
	assert_int_equal(auth_verify(set, &(struct auth_question){ .token = slice_str("t") }, 10,
				     on_answer, &n_answers),
			 PARLANCE_ECLOSED);
	assert_not_logged("fault");
}

/* A plugin that completes nothing holds nobody longer than its time. */
static void test_end_overdue(void **state)
{
	(void)state;
	complete_on_cancel = false;
	complete_in_destroy = true;
	ask("t", 60000);
	turn();
	plugins_destroy(set, on_destroyed, &destroyed);
	turn();
	assert_int_equal(n_cancel, 1);
	assert_int_equal(n_answers, 0);
	assert_false(destroyed);
	run_until(destroyed);
	assert_int_equal(n_answers, 1);
	assert_string_equal(detail, "shutting down");
	assert_logged("auth_test: does not complete what was cancelled");
	assert_string_equal(events, "v;aD");
}

static void test_no_plugin(void **state)
{
	(void)state;
	assert_int_equal(plugins_setup(state), 0);
	n_answers = 0;
	assert_int_equal(create(""), 0);
	assert_false(plugins_have(set, PARLANCE_AUTH));
	ask("t", 1000);
	assert_int_equal(n_answers, 0);
	turn();
	assert_int_equal(n_answers, 1);
	assert_int_equal(verdict, PARLANCE_AUTH_TEMPORARY);
	assert_string_equal(detail, "no auth plugin is loaded");
}

/* More operations than are remembered when they are over. */
static void test_many(void **state)
{
	(void)state;
	behaviour = AT_ONCE;
	for (unsigned i = 0; i < 2000; i++) {
		ask("t", 1000);
		n_events = 0;
		if (i % 10 == 0)
			turn();
		n_events = 0;
	}
	n_events = 0;
	run_until(n_answers == 2000);
	assert_int_equal(set->auth->n_graves, 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_accept, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_reject, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_at_once, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_twice, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_deadline, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_identity, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_end, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_end_overdue, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_no_plugin, NULL, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_many, begin, plugins_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
