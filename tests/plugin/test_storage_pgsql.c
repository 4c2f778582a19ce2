/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* storage_pgsql: requests, in groups and alone, and what becomes of those that fail. */
#include "storage_pgsql_fixture.h"

static bool same_tx(const struct call *a, const struct call *b)
{
	char tx[32];

	snprintf(tx, sizeof(tx), "%s", json_text(a->json, "tx"));
	assert_true(*tx);
	return strcmp(tx, json_text(b->json, "tx")) == 0;
}

static void wait_all(struct call *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		rig_wait(&rig, &calls[i]);
}

static void free_all(struct call *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		call_free(&calls[i]);
}

static void expect(const struct call *call, enum parlance_storage_status status, const char *detail)
{
	assert_int_equal(call->completed, 1);
	if (call->status != status)
		print_error("detail: %s\n", call->detail);
	assert_int_equal(call->status, status);
	assert_string_equal(call->detail, detail);
}

static void expect_ok(const struct call *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		expect(&calls[i], PARLANCE_STORAGE_OK, "");
}

static void test_parameters(void **state)
{
	struct call call;

	(void)state;
	RIG_ASK(&rig, &call, PARLANCE_MESSAGE_SEND, "a", NULL, "", "\"quoted\"\n",
		"\xc3\xa9\xf0\x9f\x98\x80", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15");
	assert_non_null(strstr(call.json,
			       "\"args\" : [\"a\",null,\"\",\"\\\"quoted\\\"\\n\","
			       "\"\xc3\xa9\xf0\x9f\x98\x80\",\"6\""));
	assert_non_null(strstr(call.json, "\"14\",\"15\"]"));
	call_free(&call);
	RIG_ASK(&rig, &call, PARLANCE_MAINTAIN);
	call_free(&call);
}

static void test_connections_by_class(void **state)
{
	struct call write, soft, reading;

	(void)state;
	submit_write(&write, "a");
	submit_soft(&soft, "a");
	submit_read(&reading, "a");
	rig_wait(&rig, &write);
	rig_wait(&rig, &soft);
	rig_wait(&rig, &reading);
	assert_string_equal(json_text(write.json, "sync"), "on");
	assert_string_equal(json_text(soft.json, "sync"), "off");
	assert_int_equal(atoi(json_text(write.json, "pid")), backend_of("write"));
	assert_int_equal(atoi(json_text(soft.json, "pid")), backend_of("soft"));
	assert_int_equal(atoi(json_text(reading.json, "pid")), backend_of("read"));
	call_free(&write);
	call_free(&soft);
	call_free(&reading);
}

static void test_turn_is_group(void **state)
{
	struct call calls[50];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		submit_write(&calls[i], "a");
	wait_all(calls, ARRAY_LEN(calls));
	expect_ok(calls, ARRAY_LEN(calls));
	for (size_t i = 1; i < ARRAY_LEN(calls); i++)
		assert_true(same_tx(&calls[0], &calls[i]));
	/* In the order in which they were asked for. */
	assert_string_equal(sql("SELECT count(*) FROM parlance.called"), "50");
	free_all(calls, ARRAY_LEN(calls));
}

/* What queues while a group is out is the next group, up to batch_max. */
static void test_adaptive(void **state)
{
	struct call first, calls[300];

	(void)state;
	submit_write(&first, "sleep 0.3");
	RIG_WAIT(&rig, sleeps("write"));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		submit_write(&calls[i], "a");
	rig_wait(&rig, &first);
	wait_all(calls, ARRAY_LEN(calls));
	assert_false(same_tx(&first, &calls[0]));
	assert_true(same_tx(&calls[0], &calls[255]));
	assert_false(same_tx(&calls[255], &calls[256]));
	assert_true(same_tx(&calls[256], &calls[299]));
	call_free(&first);
	free_all(calls, ARRAY_LEN(calls));
}

static void test_large_groups_are_split(void **state)
{
	static char text[600000];
	struct call calls[4];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		RIG_SUBMIT(&rig, &calls[i], WRITES, "a", text, "");
	wait_all(calls, ARRAY_LEN(calls));
	assert_true(same_tx(&calls[0], &calls[1]));
	assert_false(same_tx(&calls[1], &calls[2]));
	assert_true(same_tx(&calls[2], &calls[3]));
	free_all(calls, ARRAY_LEN(calls));
}

static void test_poison(void **state)
{
	struct call calls[20];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		submit_write(&calls[i], i == 7 ? "fail 23505 a user's text" :
				       i == 9  ? "fail 55000 broken" : "a");
	wait_all(calls, ARRAY_LEN(calls));
	expect_ok(calls, 7);
	/* The messages of class 23 quote values. */
	expect(&calls[7], PARLANCE_STORAGE_FAILED, "23505");
	expect(&calls[8], PARLANCE_STORAGE_OK, "");
	expect(&calls[9], PARLANCE_STORAGE_FAILED, "55000");
	expect_ok(calls + 10, 10);
	assert_false(same_tx(&calls[0], &calls[1]));
	assert_string_equal(sql("SELECT count(*) FROM parlance.called"), "18");
	assert_int_equal(mock_counter(rig.m, "rollbacks"), 1);
	assert_false(mock_log_has(rig.m, "user's text"));
	free_all(calls, ARRAY_LEN(calls));
	/* The next turn is a group again. */
	submit_write(&calls[0], "a");
	submit_write(&calls[1], "a");
	wait_all(calls, 2);
	assert_true(same_tx(&calls[0], &calls[1]));
	free_all(calls, 2);
}

static void test_failure_at_commit(void **state)
{
	struct call calls[5];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		submit_write(&calls[i], i == 2 ? "defer" : "a");
	wait_all(calls, ARRAY_LEN(calls));
	expect_ok(calls, 2);
	/* 54000 at commit is NOTIFY's full queue: it may be asked again. */
	expect(&calls[2], PARLANCE_STORAGE_UNAVAILABLE, "54000");
	expect_ok(calls + 3, 2);
	assert_string_equal(sql("SELECT count(*) FROM parlance.called"), "4");
	free_all(calls, ARRAY_LEN(calls));
}

static void test_conflicts_are_retried(void **state)
{
	struct call calls[3];

	(void)state;
	submit_write(&calls[0], "conflict 3");
	rig_wait(&rig, &calls[0]);
	expect(&calls[0], PARLANCE_STORAGE_OK, "");
	assert_string_equal(sql("SELECT last_value FROM parlance.conflicts"), "4");
	call_free(&calls[0]);

	(void)sql("ALTER SEQUENCE parlance.conflicts RESTART");
	submit_write(&calls[0], "conflict 1000");
	submit_write(&calls[1], "a");
	submit_soft(&calls[2], "conflict 1000");
	wait_all(calls, ARRAY_LEN(calls));
	expect(&calls[0], PARLANCE_STORAGE_UNAVAILABLE, "40001");
	expect(&calls[1], PARLANCE_STORAGE_OK, "");
	expect(&calls[2], PARLANCE_STORAGE_UNAVAILABLE, "40001");
	/* The write once in its group, and the soft one when a probe is in its; both once alone, and
	 * five times again. */
	assert_in_range(strtol(sql("SELECT last_value FROM parlance.conflicts"), NULL, 10), 13, 14);
	free_all(calls, ARRAY_LEN(calls));
}

static void test_reads_are_alone(void **state)
{
	struct call calls[100];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		submit_read(&calls[i], i % 10 == 3 ? "fail 22P02 a user's text" : "a");
	wait_all(calls, ARRAY_LEN(calls));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		if (i % 10 == 3)
			expect(&calls[i], PARLANCE_STORAGE_FAILED, "22P02");
		else
			expect(&calls[i], PARLANCE_STORAGE_OK, "");
	}
	assert_false(same_tx(&calls[0], &calls[1]));
	assert_int_equal(mock_counter(rig.m, "rollbacks"), 0);
	free_all(calls, ARRAY_LEN(calls));
}

static void test_statement_timeout(void **state)
{
	struct call calls[3];

	(void)state;
	open_up(unix_dsn("test"), OPTION("statement_timeout_ms", "200"));
	submit_write(&calls[0], "a");
	submit_write(&calls[1], "sleep 60");
	submit_read(&calls[2], "sleep 60");
	wait_all(calls, ARRAY_LEN(calls));
	expect(&calls[0], PARLANCE_STORAGE_OK, "");
	expect(&calls[1], PARLANCE_STORAGE_FAILED,
	       "57014: canceling statement due to statement timeout");
	expect(&calls[2], PARLANCE_STORAGE_FAILED,
	       "57014: canceling statement due to statement timeout");
	assert_true(rig.ready);
	assert_int_equal(rig.n_ready, 1);
	free_all(calls, ARRAY_LEN(calls));
}

static void test_no_object(void **state)
{
	struct call call;

	(void)state;
	submit_write(&call, "none");
	rig_wait(&rig, &call);
	expect(&call, PARLANCE_STORAGE_UNKNOWN, "the function returned no object");
	call_free(&call);
}

static void test_not_a_request(void **state)
{
	const char *const params[] = { "a", "b", "c" };
	struct call call;

	(void)state;
	rig_submit(&rig, &call, WRITES, 2, params);
	rig_wait(&rig, &call);
	expect(&call, PARLANCE_STORAGE_FAILED, "the number of parameters is not the function's");
	call_free(&call);
	rig_submit(&rig, &call, 1000, 0, NULL);
	rig_wait(&rig, &call);
	expect(&call, PARLANCE_STORAGE_FAILED, "this plugin has no such function");
	call_free(&call);
	rig_submit(&rig, &call, PARLANCE_STORAGE_NONE, 0, NULL);
	rig_wait(&rig, &call);
	expect(&call, PARLANCE_STORAGE_FAILED, "this plugin has no such function");
	call_free(&call);
}

static void test_nul_is_refused(void **state)
{
	struct parlance_str params[] = { { "a", 1 }, { "b\0c", 3 }, { "d", 1 } };
	struct call call = { .completed = 0 };

	(void)state;
	call.request = (struct parlance_storage_request){
		.size = sizeof(call.request), .function = WRITES, .params = params, .n_params = 3
	};
	rig.outstanding++;
	MOCK_CALL(rig.m, rig.ops->submit(rig.m->self, &call.op, &call.request));
	rig_wait(&rig, &call);
	expect(&call, PARLANCE_STORAGE_FAILED, "22021: a parameter has a NUL character");
	call_free(&call);
}

static void test_cancel(void **state)
{
	struct call first, calls[5];

	(void)state;
	submit_write(&first, "sleep 0.5");
	RIG_WAIT(&rig, sleeps("write"));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		submit_write(&calls[i], "a");
	/* Queued: it never gets to the server. */
	rig_cancel(&rig, &calls[2]);
	expect(&calls[2], PARLANCE_STORAGE_CANCELED, "");
	/* In flight: its answer is dropped when it comes. */
	rig_cancel(&rig, &first);
	expect(&first, PARLANCE_STORAGE_CANCELED, "");
	call_free(&first);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		rig_wait(&rig, &calls[i]);
		expect(&calls[i], i == 2 ? PARLANCE_STORAGE_CANCELED : PARLANCE_STORAGE_OK, "");
	}
	assert_string_equal(sql("SELECT count(*) FROM parlance.called"), "5");
	free_all(calls, ARRAY_LEN(calls));
}

/* What was cancelled in a group that fails does not go again. */
static void test_cancel_in_failing_group(void **state)
{
	struct call calls[3];

	(void)state;
	submit_write(&calls[0], "a");
	submit_write(&calls[1], "sleep 0.3");
	submit_write(&calls[2], "defer");
	RIG_WAIT(&rig, sleeps("write"));
	rig_cancel(&rig, &calls[1]);
	wait_all(calls, ARRAY_LEN(calls));
	expect(&calls[0], PARLANCE_STORAGE_OK, "");
	expect(&calls[1], PARLANCE_STORAGE_CANCELED, "");
	assert_string_equal(sql("SELECT count(*) FROM parlance.called"), "1");
	free_all(calls, ARRAY_LEN(calls));
}

static void test_cancel_while_delayed(void **state)
{
	struct call call;

	(void)state;
	submit_write(&call, "conflict 1000");
	/* After the third failure it waits for up to 16 ms; wherever it is, it ends now. */
	RIG_WAIT(&rig, atoi(sql("SELECT last_value FROM parlance.conflicts")) >= 3);
	if (!call.completed)
		rig_cancel(&rig, &call);
	assert_int_equal(call.completed, 1);
	call_free(&call);
}

static void test_many(void **state)
{
	enum { N = 10000 };
	struct call *calls = calloc(N, sizeof(*calls));

	(void)state;
	assert_non_null(calls);
	for (size_t i = 0; i < N; i++)
		submit_write(&calls[i], "a");
	wait_all(calls, N);
	expect_ok(calls, N);
	assert_string_equal(sql("SELECT count(*) FROM parlance.called"), "10000");
	/* 10,000 / 256, rounded up. */
	assert_string_equal(sql("SELECT count(DISTINCT tx) FROM parlance.called"), "40");
	free_all(calls, N);
	free(calls);
}

static void test_queue_is_bounded(void **state)
{
	struct call calls[6];

	(void)state;
	open_up(unix_dsn("test"), OPTION("queue_max", "5"));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		submit_write(&calls[i], "a");
	expect(&calls[5], PARLANCE_STORAGE_UNAVAILABLE, "too many requests wait (queue_max)");
	wait_all(calls, 5);
	expect_ok(calls, 5);
	free_all(calls, ARRAY_LEN(calls));
}

static void test_read_connections(void **state)
{
	struct call calls[8];

	(void)state;
	open_up(unix_dsn("test"), OPTION("read_connections", "4"));
	RIG_WAIT(&rig, atoi(sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = "
				"'parlanced read' AND state = 'idle'")) == 4 &&
			       mock_counter(rig.m, "connections") == 7);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		submit_read(&calls[i], "sleep 0.2");
	wait_all(calls, ARRAY_LEN(calls));
	expect_ok(calls, ARRAY_LEN(calls));
	assert_string_equal(sql("SELECT count(DISTINCT pid) || ' ' || max(n) FROM (SELECT pid, "
				"count(*) AS n FROM parlance.called WHERE first LIKE 'sleep%' "
				"GROUP BY 1) AS c"),
			    "4 2");
	free_all(calls, ARRAY_LEN(calls));
}

/* Writes about one conversation keep their order, others go beside them. */
static void test_write_connections(void **state)
{
	static const char *const keys[] = { "0190a6e2-7c1c-7d3e-8f00-000000000001",
					    "0190a6e2-7c1c-7d3e-8f00-000000000002",
					    "0190a6e2-7c1c-7d3e-8f00-000000000003",
					    "0190a6e2-7c1c-7d3e-8f00-000000000004" };
	struct call calls[ARRAY_LEN(keys)][6], none[2];
	char name[8];

	(void)state;
	open_up(unix_dsn("test"), OPTION("write_connections", "2"));
	assert_int_equal(mock_counter(rig.m, "connections"), 5);
	for (size_t turn = 0; turn < 3; turn++) {
		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			rig.key = keys[k];
			snprintf(name, sizeof(name), "%zu.%zu", k, 2 * turn);
			submit_write(&calls[k][2 * turn], name);
		}
		/* Backwards, so that the keys come in another order. */
		for (size_t k = ARRAY_LEN(keys); k-- > 0;) {
			rig.key = keys[k];
			snprintf(name, sizeof(name), "%zu.%zu", k, 2 * turn + 1);
			submit_write(&calls[k][2 * turn + 1], name);
		}
		rig.key = NULL;
		if (turn < 2)
			submit_write(&none[turn], "none");
		rig_wait(&rig, &calls[0][2 * turn]);
	}
	for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
		wait_all(calls[k], ARRAY_LEN(calls[k]));
		expect_ok(calls[k], ARRAY_LEN(calls[k]));
	}
	wait_all(none, ARRAY_LEN(none));
	/* A conversation has one connection, and both are used. */
	assert_string_equal(sql("SELECT max(n) || ' ' || (SELECT count(DISTINCT pid) FROM parlance.called) "
				"FROM (SELECT count(DISTINCT pid) AS n FROM parlance.called GROUP BY "
				"left(first, 1)) AS c"),
			    "1 2");
	assert_string_equal(sql("SELECT bool_and(given = done) FROM (SELECT first, row_number() OVER (PARTITION "
				"BY left(first, 1) ORDER BY first) AS given, row_number() OVER (PARTITION "
				"BY left(first, 1) ORDER BY at) AS done FROM parlance.called "
				"WHERE first <> 'none') AS c"),
			    "t");
	/* Within a group in the order of the keys, those without one first. */
	assert_string_equal(sql("SELECT bool_and(left(first, 1) >= before) FROM (SELECT first, lag(CASE "
				"first WHEN 'none' THEN '' ELSE left(first, 1) END) OVER (PARTITION BY tx "
				"ORDER BY at) AS before FROM parlance.called) AS c"),
			    "t");
	for (size_t k = 0; k < ARRAY_LEN(keys); k++)
		free_all(calls[k], ARRAY_LEN(calls[k]));
	free_all(none, ARRAY_LEN(none));
}

static int truncate_setup(void **state)
{
	(void)state;
	(void)sql("TRUNCATE parlance.called");
	return 0;
}

#define UP(test) cmocka_unit_test_setup_teardown(test, up_setup, plugin_teardown)
#define DOWN(test) cmocka_unit_test_setup_teardown(test, truncate_setup, plugin_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UP(test_parameters),
		UP(test_connections_by_class),
		UP(test_turn_is_group),
		UP(test_adaptive),
		UP(test_large_groups_are_split),
		UP(test_poison),
		UP(test_failure_at_commit),
		UP(test_conflicts_are_retried),
		UP(test_reads_are_alone),
		DOWN(test_statement_timeout),
		UP(test_no_object),
		UP(test_not_a_request),
		UP(test_nul_is_refused),
		UP(test_cancel),
		UP(test_cancel_in_failing_group),
		UP(test_cancel_while_delayed),
		UP(test_many),
		DOWN(test_queue_is_bounded),
		DOWN(test_read_connections),
		DOWN(test_write_connections),
	};

	if (!pg_server_installed()) {
		fputs("PostgreSQL's server is not installed\n", stderr);
		return 77;
	}
	return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
