/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* auth_http with a service on a socket: what it is asked, what it may answer, and its bad days. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "plugin/auth_rig.h"
#include "plugin/http_service.h"
#include "plugin/mock_host_http.h"

#define WAIT_MS 10000
#define WAITERS 50
#define TOKEN "secret-token-of-a-client"
#define NOW_MS INT64_C(1700000000000)
#define OTHERS 5

#define WITH(...) (const struct mock_option[]){ { "url", s.url }, __VA_ARGS__ }, \
	sizeof((const struct mock_option[]){ { "url", s.url }, __VA_ARGS__ }) / \
		sizeof(struct mock_option)

static struct mock_host *m;
static struct service s;

static int setup(void **state)
{
	static const struct mock_config config = { .plugin = parlance_plugin_v1,
						   .sink = &rig_sink };

	(void)state;
	service_start(&s);
	m = mock_new(&config);
	m->wall_ms = NOW_MS;
	mock_http_init(m, NULL);
	return 0;
}

static int teardown(void **state)
{
	bool shown = mock_log_has(m, TOKEN);

	(void)state;
	rig_demand("", "");
	if (m->self)
		mock_destroy(m);
	mock_free(&m);
	service_stop(&s);
	return shown ? -1 : 0;
}

static void begin(const struct mock_option *options, size_t n)
{
	if (mock_create(m, options, n))
		fail_msg("create: %s", m->err);
}

static struct rig_op last;

static int ask_for(const char *token)
{
	int verdict = rig_ask(m, &last, token, strlen(token));

	rig_fini(&last);
	return verdict;
}

static int ask(void)
{
	return ask_for(TOKEN);
}

static bool at_least(void *arg)
{
	return service_requests(&s) >= *(const unsigned *)arg;
}

static void wait_requests(unsigned n)
{
	assert_true(mock_run_until(m, at_least, &n, WAIT_MS));
}

/* Requests */

static void test_header(void **state)
{
	(void)state;
	service_set(&s, SERVICE_ANSWER, 200, "", "{\"userId\":\"u\"}");
	begin(WITH({ "cache_s", "0" }));
	assert_int_equal(ask(), RIG_ACCEPTED);
	assert_int_equal(strncmp(service_request(&s), "POST / HTTP/1.1\r\n", 17), 0);
	assert_non_null(strstr(service_request(&s), "\r\nAuthorization: Bearer " TOKEN "\r\n"));
	assert_non_null(strstr(service_request(&s), "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(service_request(&s), "\r\n\r\n{\"address\":\"192.0.2.1\","
						    "\"origin\":\"https://example.org\"}"));
	assert_int_equal(mock_reload(m, WITH({ "method", "GET" }, { "cache_s", "0" })), 0);
	assert_int_equal(ask(), RIG_ACCEPTED);
	assert_int_equal(strncmp(service_request(&s), "GET / HTTP/1.1\r\n", 16), 0);
	assert_non_null(strstr(service_request(&s), "\r\nAuthorization: Bearer " TOKEN "\r\n"));
	assert_null(strstr(service_request(&s), "192.0.2.1"));
}

static void test_json(void **state)
{
	(void)state;
	service_set(&s, SERVICE_ANSWER, 200, "", "{\"userId\":\"u\"}");
	begin(WITH({ "token_in", "json" }));
	assert_int_equal(ask_for("a\"b\\c/{}"), RIG_ACCEPTED);
	assert_null(strcasestr(service_request(&s), "\r\nauthorization:"));
	assert_non_null(strstr(service_request(&s),
			       "\r\n\r\n{\"token\":\"a\\u0022b\\u005cc/{}\",\"address\":\"192.0.2.1\","
			       "\"origin\":\"https://example.org\"}"));
}

/* What can be no token is not sent anywhere. */
static void test_odd_tokens(void **state)
{
	static const char *const odd[] = { "a b", "a\r\nX-Evil: 1", "a\tb", "\x7f", "\xc3\xa9", " a", "a " };
	char long_one[8194];

	(void)state;
	service_set(&s, SERVICE_ANSWER, 200, "", "{\"userId\":\"u\"}");
	begin(WITH({ "cache_s", "0" }));
	for (size_t i = 0; i < ARRAY_LEN(odd); i++)
		assert_int_equal(ask_for(odd[i]), PARLANCE_AUTH_DENIED);
	memset(long_one, 'x', sizeof(long_one));
	long_one[8193] = '\0';
	assert_int_equal(ask_for(long_one), PARLANCE_AUTH_DENIED);
	assert_int_equal(service_requests(&s), 0);
	long_one[8192] = '\0';
	assert_int_equal(ask_for(long_one), RIG_ACCEPTED);
}

/* Answers */

static const struct {
	int status;
	const char *body;
	int verdict;
	const char *text; /* the user, or a part of the detail */
} answers[] = {
	{ 200, "{\"userId\":\"u1\"}", RIG_ACCEPTED, "u1" },
	{ 200, " {\"userId\" : \"\\u00e9\" , \"more\":[{}]}\r\n", RIG_ACCEPTED, "\xc3\xa9" },
	{ 200, "{\"userId\":42}", RIG_ACCEPTED, "42" },
	{ 200, "{\"userId\":-7}", RIG_ACCEPTED, "-7" },
	{ 200, "{\"userId\":\"u\",\"expiresAt\":null,\"claims\":null,\"tokenId\":null}", RIG_ACCEPTED, "u" },
	{ 200, "{\"userId\":\"u\",\"expiresAt\":1700000000001}", RIG_ACCEPTED, "u" },
	{ 200, "{\"userId\":\"u\",\"expired\":false}", RIG_ACCEPTED, "u" },
	{ 200, "{\"userId\":\"u\",\"expiresAt\":1700000000000}", PARLANCE_AUTH_EXPIRED, "expiresAt" },
	{ 200, "{\"expired\":true}", PARLANCE_AUTH_EXPIRED, "expired" },
	{ 200, "{\"userId\":\"u\",\"expired\":true}", PARLANCE_AUTH_EXPIRED, "expired" },
	{ 401, "{\"expired\":true}", PARLANCE_AUTH_EXPIRED, "expired" },
	{ 403, "{\"error\":\"x\",\"expired\":true}", PARLANCE_AUTH_EXPIRED, "expired" },
	{ 401, "", PARLANCE_AUTH_DENIED, "refused" },
	{ 403, "<html>", PARLANCE_AUTH_DENIED, "refused" },
	{ 401, "{\"userId\":\"u\"}", PARLANCE_AUTH_DENIED, "refused" },
	{ 401, "{\"expired\":\"true\"}", PARLANCE_AUTH_DENIED, "refused" },
	{ 401, "{\"expired\":true", PARLANCE_AUTH_DENIED, "refused" },
	/* All else is the service's fault. */
	{ 200, "", PARLANCE_AUTH_TEMPORARY, "not a JSON object" },
	{ 200, "null", PARLANCE_AUTH_TEMPORARY, "not a JSON object" },
	{ 200, "[]", PARLANCE_AUTH_TEMPORARY, "not a JSON object" },
	{ 200, "\"u\"", PARLANCE_AUTH_TEMPORARY, "not a JSON object" },
	{ 200, "{\"userId\":\"u\"", PARLANCE_AUTH_TEMPORARY, "not a JSON object" },
	{ 200, "{\"userId\":\"u\"}x", PARLANCE_AUTH_TEMPORARY, "not a JSON object" },
	{ 200, "{\"userId\":\"\xff\"}", PARLANCE_AUTH_TEMPORARY, "not a JSON object" },
	{ 200, "{\"userId\":\"u\",\"userId\":\"v\"}", PARLANCE_AUTH_TEMPORARY, "not a JSON object" },
	{ 200, "{}", PARLANCE_AUTH_TEMPORARY, "userId" },
	{ 200, "{\"userid\":\"u\"}", PARLANCE_AUTH_TEMPORARY, "userId" },
	{ 200, "{\"userId\":null}", PARLANCE_AUTH_TEMPORARY, "userId" },
	{ 200, "{\"userId\":\"\"}", PARLANCE_AUTH_TEMPORARY, "userId" },
	{ 200, "{\"userId\":true}", PARLANCE_AUTH_TEMPORARY, "userId" },
	{ 200, "{\"userId\":1.5}", PARLANCE_AUTH_TEMPORARY, "userId" },
	{ 200, "{\"userId\":[\"u\"]}", PARLANCE_AUTH_TEMPORARY, "userId" },
	{ 200, "{\"userId\":\"a\\nb\"}", PARLANCE_AUTH_TEMPORARY, "userId" },
	{ 200, "{\"userId\":\"a\\u0000b\"}", PARLANCE_AUTH_TEMPORARY, "userId" },
	{ 200, "{\"userId\":\"u\",\"expiresAt\":1700000100}", PARLANCE_AUTH_TEMPORARY, "milliseconds" },
	{ 200, "{\"userId\":\"u\",\"expiresAt\":0}", PARLANCE_AUTH_TEMPORARY, "milliseconds" },
	{ 200, "{\"userId\":\"u\",\"expiresAt\":-1700000100000}", PARLANCE_AUTH_TEMPORARY, "milliseconds" },
	{ 200, "{\"userId\":\"u\",\"expiresAt\":1.8e12}", PARLANCE_AUTH_TEMPORARY, "milliseconds" },
	{ 200, "{\"userId\":\"u\",\"expiresAt\":\"2030-01-01T00:00:00Z\"}", PARLANCE_AUTH_TEMPORARY, "milliseconds" },
	{ 200, "{\"userId\":\"u\",\"expiresAt\":9223372036854775808}", PARLANCE_AUTH_TEMPORARY, "milliseconds" },
	{ 200, "{\"userId\":\"u\",\"issuedAt\":7}", PARLANCE_AUTH_TEMPORARY, "milliseconds" },
	{ 200, "{\"userId\":\"u\",\"tokenId\":7}", PARLANCE_AUTH_TEMPORARY, "tokenId" },
	{ 200, "{\"userId\":\"u\",\"sessionId\":\"\"}", PARLANCE_AUTH_TEMPORARY, "sessionId" },
	{ 200, "{\"userId\":\"u\",\"claims\":\"x\"}", PARLANCE_AUTH_TEMPORARY, "claims" },
	{ 200, "{\"userId\":\"u\",\"claims\":[]}", PARLANCE_AUTH_TEMPORARY, "claims" },
	{ 201, "{\"userId\":\"u\"}", PARLANCE_AUTH_TEMPORARY, "another status" },
	{ 204, "", PARLANCE_AUTH_TEMPORARY, "another status" },
	{ 302, "{\"userId\":\"u\"}", PARLANCE_AUTH_TEMPORARY, "another status" },
	{ 400, "{\"expired\":true}", PARLANCE_AUTH_TEMPORARY, "another status" },
	{ 404, "", PARLANCE_AUTH_TEMPORARY, "another status" },
	{ 429, "", PARLANCE_AUTH_TEMPORARY, "another status" },
	{ 500, "{\"userId\":\"u\"}", PARLANCE_AUTH_TEMPORARY, "another status" },
	{ 503, "", PARLANCE_AUTH_TEMPORARY, "another status" },
};

static void test_answers(void **state)
{
	(void)state;
	begin(WITH({ "cache_s", "0" }, { "denied_cache_s", "0" }));
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		service_set(&s, SERVICE_ANSWER, answers[i].status, "", answers[i].body);
		if (ask() != answers[i].verdict ||
		    !(last.verdict == RIG_ACCEPTED
			      ? strcmp(last.subject, answers[i].text) == 0
			      : strstr(last.detail, answers[i].text) != NULL))
			fail_msg("%d %s: %d (%s)", answers[i].status, answers[i].body, last.verdict,
				 last.detail);
	}
}

static void test_identity(void **state)
{
	char body[2048];
	char id[257];

	(void)state;
	memset(id, 'i', sizeof(id));
	id[255] = '\0';
	(void)snprintf(body, sizeof(body),
		       "{\"userId\":\"%s\",\"expiresAt\":1800000000000,\"issuedAt\":1600000000000,"
		       "\"tokenId\":\"%s\",\"sessionId\":\"%s\",\"claims\":{\"role\":[\"a\"]}}",
		       id, id, id);
	service_set(&s, SERVICE_ANSWER, 200, "", body);
	begin(WITH({ "cache_s", "60" }));
	for (int cached = 0; cached < 2; cached++) {
		assert_int_equal(rig_ask(m, &last, TOKEN, strlen(TOKEN)), RIG_ACCEPTED);
		assert_string_equal(last.subject, id);
		assert_string_equal(last.token_id, id);
		assert_string_equal(last.session, id);
		assert_string_equal(last.claims, "{\"role\":[\"a\"]}");
		assert_true(last.expires_ms == INT64_C(1800000000000));
		assert_true(last.issued_ms == INT64_C(1600000000000));
		rig_fini(&last);
	}
	assert_int_equal(service_requests(&s), 1);
	id[255] = 'i';
	id[256] = '\0';
	(void)snprintf(body, sizeof(body), "{\"userId\":\"%s\"}", id);
	service_set(&s, SERVICE_ANSWER, 200, "", body);
	assert_int_equal(ask_for("other"), PARLANCE_AUTH_TEMPORARY);
}

/* Bad days: nobody gets in, nobody's token is called bad, and the log says so once. */
static void test_bad_days(void **state)
{
	static const enum service_mode modes[] = { SERVICE_CLOSE, SERVICE_CUT, SERVICE_GARBAGE,
						   SERVICE_HUGE, SERVICE_HANG, SERVICE_STALL };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		service_set(&s, modes[i], 200, "", "{\"userId\":\"u\"}");
		mock_log_clear(m);
		begin(WITH({ "timeout_ms", "300" }));
		assert_int_equal(ask(), PARLANCE_AUTH_TEMPORARY);
		assert_true(mock_log_has(m, "tokens cannot be verified ("));
		mock_log_clear(m);
		assert_int_equal(ask(), PARLANCE_AUTH_TEMPORARY);
		assert_string_equal(mock_log(m), "");
		/* And it is back: nothing of that was kept. */
		service_mode(&s, SERVICE_ANSWER);
		assert_int_equal(ask(), RIG_ACCEPTED);
		assert_true(mock_log_has(m, "can be verified again"));
		mock_destroy(m);
	}
	service_down(&s);
	begin(WITH({ "timeout_ms", "1000" }));
	assert_int_equal(ask(), PARLANCE_AUTH_TEMPORARY);
	service_up(&s);
	assert_int_equal(ask(), RIG_ACCEPTED);
}

/* The cache */

static void test_cache(void **state)
{
	(void)state;
	service_set(&s, SERVICE_ANSWER, 200, "", "{\"userId\":\"u\",\"expiresAt\":1700000005000}");
	begin(WITH({ "cache_s", "60" }, { "denied_cache_s", "1" }));
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(), RIG_ACCEPTED);
	assert_int_equal(service_requests(&s), 1);
	assert_int_equal(mock_counter(m, "cached"), 2);
	/* Another token is another, however little. */
	assert_int_equal(ask_for(TOKEN "x"), RIG_ACCEPTED);
	assert_int_equal(service_requests(&s), 2);
	/* Never beyond its end. */
	m->wall_ms = NOW_MS + 5000;
	assert_int_equal(ask(), PARLANCE_AUTH_EXPIRED);
	/* A denial is kept shortly. */
	service_set(&s, SERVICE_ANSWER, 401, "", "");
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask_for("denied"), PARLANCE_AUTH_DENIED);
	assert_int_equal(service_requests(&s), 3);
	service_set(&s, SERVICE_ANSWER, 200, "", "{\"userId\":\"u\"}");
	assert_int_equal(ask_for("denied"), PARLANCE_AUTH_DENIED);
	assert_false(mock_run_until(m, NULL, NULL, 1050)); /* denied_cache_s */
	assert_int_equal(ask_for("denied"), RIG_ACCEPTED);
	/* A reload forgets. */
	assert_int_equal(mock_reload(m, WITH({ "cache_s", "1" })), 0);
	assert_int_equal(ask_for("denied"), RIG_ACCEPTED);
	assert_int_equal(service_requests(&s), 5);
	assert_false(mock_run_until(m, NULL, NULL, 1050)); /* cache_s */
	assert_int_equal(ask_for("denied"), RIG_ACCEPTED);
	assert_int_equal(service_requests(&s), 6);
}

/* No more entries than it may have, and those go that were not used for longest. */
static void test_cache_entries(void **state)
{
	char token[16];
	unsigned before;

	(void)state;
	service_set(&s, SERVICE_ANSWER, 200, "", "{\"userId\":\"u\"}");
	begin(WITH({ "cache_entries", "3" }));
	for (int i = 0; i < OTHERS; i++) {
		(void)snprintf(token, sizeof(token), "t%d", i);
		assert_int_equal(ask_for(token), RIG_ACCEPTED);
		assert_int_equal(ask_for("t0"), RIG_ACCEPTED); /* used again and again */
	}
	assert_int_equal(service_requests(&s), OTHERS);
	before = service_requests(&s);
	assert_int_equal(ask_for("t0"), RIG_ACCEPTED);
	assert_int_equal(ask_for("t4"), RIG_ACCEPTED);
	assert_int_equal(ask_for("t3"), RIG_ACCEPTED);
	assert_int_equal(service_requests(&s), before);
	assert_int_equal(ask_for("t1"), RIG_ACCEPTED);
	assert_int_equal(service_requests(&s), before + 1);
}

/* Many at the same time */

struct waiters {
	struct rig_op ops[WAITERS];
};

static bool all_answered(void *arg)
{
	struct waiters *w = arg;

	for (size_t i = 0; i < WAITERS; i++) {
		if (!rig_answered(&w->ops[i]))
			return false;
	}
	return true;
}

static void test_one_request(void **state)
{
	struct waiters w;

	(void)state;
	service_set(&s, SERVICE_HANG, 200, "", "{\"userId\":\"u\"}");
	begin(WITH({ "cache_s", "0" }));
	for (size_t i = 0; i < WAITERS; i++)
		rig_verify(m, &w.ops[i], TOKEN, strlen(TOKEN));
	wait_requests(1);
	/* Those that give up do not end it for the others. */
	for (size_t i = 0; i < WAITERS; i += 3)
		rig_cancel(&w.ops[i]);
	/* Nor does a reload. */
	assert_int_equal(mock_reload(m, WITH({ "cache_s", "0" })), 0);
	service_mode(&s, SERVICE_ANSWER);
	assert_true(mock_run_until(m, all_answered, &w, WAIT_MS));
	for (size_t i = 0; i < WAITERS; i++) {
		assert_int_equal(w.ops[i].verdict, i % 3 ? RIG_ACCEPTED : PARLANCE_AUTH_TEMPORARY);
		rig_fini(&w.ops[i]);
	}
	assert_int_equal(service_requests(&s), 1);
}

/* When nobody waits any more the request ends; who comes then asks anew. */
static void test_all_give_up(void **state)
{
	struct rig_op op;

	(void)state;
	service_set(&s, SERVICE_HANG, 200, "", "{\"userId\":\"u\"}");
	begin(WITH({ "cache_s", "60" }));
	rig_verify(m, &op, TOKEN, strlen(TOKEN));
	wait_requests(1);
	rig_cancel(&op);
	assert_int_equal(op.verdict, PARLANCE_AUTH_TEMPORARY);
	rig_fini(&op);
	service_mode(&s, SERVICE_ANSWER);
	assert_int_equal(ask(), RIG_ACCEPTED);
	assert_int_equal(service_requests(&s), 2);
	/* The end comes in the middle of one that nobody waits for. */
	service_mode(&s, SERVICE_HANG);
	rig_verify(m, &op, "another", 7);
	wait_requests(3);
	rig_cancel(&op);
	rig_fini(&op);
}

/* Demands */

static void test_demands(void **state)
{
	(void)state;
	service_set(&s, SERVICE_ANSWER, 200, "",
		    "{\"userId\":\"u\",\"claims\":{\"iss\":\"i\",\"aud\":[\"a\",\"b\"]}}");
	begin(WITH({ "cache_s", "60" }));
	rig_demand("i", "b");
	assert_int_equal(ask(), RIG_ACCEPTED);
	rig_demand("i", "");
	assert_int_equal(ask(), RIG_ACCEPTED);
	/* Also from the cache. */
	rig_demand("j", "b");
	assert_int_equal(ask(), PARLANCE_AUTH_DENIED);
	assert_non_null(strstr(last.detail, "issuer"));
	rig_demand("i", "c");
	assert_int_equal(ask(), PARLANCE_AUTH_DENIED);
	assert_non_null(strstr(last.detail, "audience"));
	rig_demand("", "");
	assert_int_equal(ask(), RIG_ACCEPTED);
	assert_int_equal(service_requests(&s), 1);
	service_set(&s, SERVICE_ANSWER, 200, "", "{\"userId\":\"u\"}");
	rig_demand("i", "");
	assert_int_equal(ask_for("other"), PARLANCE_AUTH_DENIED);
	assert_non_null(strstr(last.detail, "no claims"));
}

static void test_refused(void **state)
{
	static const struct {
		struct mock_option options[3];
		const char *sentence;
	} table[] = {
		{ { { "url", "" } }, "url is empty" },
		{ { { "url", "example.org" } }, "https://" },
		{ { { "url", "http://example.org/" } }, "set http = yes" },
		{ { { "url", "https://u:p@example.org/" } }, "name and password" },
		{ { { "url", "https://example.org/" }, { "method", "GET" }, { "token_in", "json" } },
		  "no body" },
		{ { { "url", "https://example.org/" }, { "method", "PUT" } }, "method" },
		{ { { "url", "https://example.org/" }, { "cache_s", "-1" } }, "cache_s" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		size_t n = 1;

		while (n < 3 && table[i].options[n].name)
			n++;
		assert_int_equal(mock_create(m, table[i].options, n), -1);
		if (!strstr(m->err, table[i].sentence))
			fail_msg("%zu: %s", i, m->err);
	}
	begin(WITH({ "http", "yes" }));
	assert_int_equal(mock_reload(m, table[0].options, 1), -1);
	service_set(&s, SERVICE_ANSWER, 200, "", "{\"userId\":\"u\"}");
	assert_int_equal(ask(), RIG_ACCEPTED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_header),	 TEST(test_json),     TEST(test_odd_tokens),
		TEST(test_answers),	 TEST(test_identity), TEST(test_bad_days),
		TEST(test_cache),	 TEST(test_cache_entries), TEST(test_one_request),
		TEST(test_all_give_up), TEST(test_demands),  TEST(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
