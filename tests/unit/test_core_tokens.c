/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The life of a token: its end is told and then happens, another one takes its place, and one that is
 * revoked ends its sockets, also those that are just coming in.
 */
#include "core_fixture.h"
#include "base/clock.h"

#define SECOND 1000

static const struct auth_answer *of_alice(int64_t expires_in_s)
{
	static struct auth_answer a;

	a = (struct auth_answer){ .accepted = true,
				  .user = slice_str("alice"),
				  .token_id = slice_str("token-1"),
				  .session = slice_str("session-1"),
				  .issued_ms = 1700000000000,
				  .detail = "" };
	if (expires_in_s)
		a.expires_ms = clock_wall_ms() + expires_in_s * SECOND;
	return &a;
}

static struct session *come(const struct auth_answer *identity)
{
	struct session *c = open_session();

	fake_session_text(c, "0{\"token\":\"t\"}");
	fake_verification_accept_as(fake_verification_find(plugins), identity);
	return c;
}

static struct session *come_in(const struct auth_answer *identity)
{
	struct session *c = come(identity);

	answer_session("alice");
	check_ready(c, "alice");
	advance(1); /* its end is looked at */
	return c;
}

static int tokens_setup(void **state)
{
	int rc = setup(state);

	chat.token_notice_s = 60;
	chat.token_grace_s = 30;
	return rc;
}

#define token_test(test) cmocka_unit_test_setup_teardown(test, tokens_setup, teardown)

/* ---- its end ---- */

static void test_told_of_its_end(void **state)
{
	struct session *never = come_in(of_alice(0));
	struct session *later = come_in(of_alice(70));
	struct session *soon = come_in(of_alice(50));
	struct session *grace = come_in(of_alice(-20));

	(void)state;
	check_event(soon, "auth:expiring", "{'expiresAt':'*'}");
	assert_int_equal(strlen(taken_text("expiresAt")), 24);
	check_event(grace, "auth:expiring", "{'expiresAt':'*'}");
	advance(5 * 60 * SECOND); /* the wall clock stands still: told once */
	check_silent(never);
	check_silent(later);
	check_silent(soon);
	check_silent(grace);
	assert_false(grace->closed);
}

static void test_end(void **state)
{
	struct session *c = come_in(of_alice(-31));

	(void)state;
	check_event(c, "auth:expired", "{'expiresAt':'*'}");
	assert_true(c->closed);
}

/* ---- another one in its place ---- */

static void refresh(struct session *c, const struct auth_answer *identity)
{
	ask(c, 1, "auth:refresh", "{'token':'new'}");
	assert_string_equal(fake_verification_find(plugins)->token, "new");
	fake_verification_accept_as(fake_verification_find(plugins), identity);
	turn();
}

static void test_refresh(void **state)
{
	struct session *c = come_in(of_alice(50));
	struct auth_answer a = *of_alice(3600);

	(void)state;
	check_event(c, "auth:expiring", "{'expiresAt':'*'}");
	a.token_id = slice_str("token-2");
	refresh(c, &a);
	check_param(PARLANCE_TOKEN_CHECK, 0, "alice");
	check_param(PARLANCE_TOKEN_CHECK, 1, "token-2");
	check_param(PARLANCE_TOKEN_CHECK, 2, "session-1");
	check_param(PARLANCE_TOKEN_CHECK, 3, "1700000000000");
	answer(PARLANCE_TOKEN_CHECK, "{'ok':true}");
	check_ack(c, 1, "{'ok':true,'expiresAt':'*'}");
	check_silent(c);
	/* One that is near its end is told of again. */
	refresh(c, of_alice(10));
	answer(PARLANCE_TOKEN_CHECK, "{'ok':true}");
	check_ack(c, 1, "{'ok':true,'expiresAt':'*'}");
	advance(1);
	check_event(c, "auth:expiring", "{'expiresAt':'*'}");
	/* One without an end, of which nothing is known. */
	a = (struct auth_answer){ .accepted = true, .user = slice_str("alice"), .detail = "" };
	refresh(c, &a);
	for (size_t i = 1; i < 4; i++)
		check_param(PARLANCE_TOKEN_CHECK, i, "(null)");
	answer(PARLANCE_TOKEN_CHECK, "{'ok':true}");
	check_ack(c, 1, "{'ok':true,'expiresAt':null}");
	check_silent(c);
}

static void test_refresh_refused(void **state)
{
	static const struct {
		enum parlance_auth_verdict verdict;
		const char *code;
	} verdicts[] = {
		{ PARLANCE_AUTH_DENIED, "UNAUTHENTICATED" },
		{ PARLANCE_AUTH_EXPIRED, "TOKEN_EXPIRED" },
		{ PARLANCE_AUTH_TEMPORARY, "UNAVAILABLE" },
	};
	static const char *const malformed[] = { "{}", "{'token':''}", "{'token':7}", "'t'", "null" };
	struct session *c = come_in(of_alice(3600));
	struct auth_answer a = *of_alice(3600);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
		ask(c, 1, "auth:refresh", "%s", malformed[i]);
		assert_null(fake_verification_find(plugins));
		check_refused(c, 1, "BAD_REQUEST");
	}
	for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
		ask(c, 1, "auth:refresh", "{'token':'new'}");
		fake_verification_reject(fake_verification_find(plugins), verdicts[i].verdict);
		check_refused(c, 1, verdicts[i].code);
	}
	a.user = slice_str("bob");
	refresh(c, &a);
	check_not_called(PARLANCE_TOKEN_CHECK);
	check_refused(c, 1, "FORBIDDEN");
	refresh(c, of_alice(3600));
	answer(PARLANCE_TOKEN_CHECK, "{'ok':false,'code':'UNAUTHENTICATED'}");
	check_refused(c, 1, "UNAUTHENTICATED");
	refresh(c, of_alice(3600));
	answer_status(PARLANCE_TOKEN_CHECK, PARLANCE_STORAGE_UNAVAILABLE);
	check_refused(c, 1, "UNAVAILABLE");
	check_silent(c);
}

static void test_refresher_gone(void **state)
{
	struct session *c;

	(void)state;
	for (int checked = 0; checked < 2; checked++) {
		c = come_in(of_alice(3600));
		ask(c, 1, "auth:refresh", "{'token':'new'}");
		if (checked) {
			fake_verification_accept_as(fake_verification_find(plugins), of_alice(60));
			turn();
		}
		session_close(c, SESSION_TRANSPORT_CLOSE);
		turn();
		if (checked)
			answer(PARLANCE_TOKEN_CHECK, "{'ok':true}");
		else
			fake_verification_accept_as(fake_verification_find(plugins), of_alice(60));
		check_silent(c);
		close_sessions();
	}
}

/* ---- revoked ones ---- */

static void notified(void)
{
	plugins->canned[PARLANCE_REVOCATIONS] = NULL;
	fake_storage_message(plugins, "{\"f\":0,\"m\":[[\"r\"]]}");
	turn();
}

static void revoked(const char *list)
{
	answer(PARLANCE_REVOCATIONS, "{'ok':true,'after':'2','revoked':[%s]}", list);
}

static void check_ended(struct session *c)
{
	check_sent(c, "1");
	check_silent(c);
}

static void test_revoked(void **state)
{
	static const char *const hits[] = {
		"{'kind':'user','id':'alice','at':1700000000000}",
		"{'kind':'session','id':'session-1','at':1}",
		"{'kind':'token','id':'token-1','at':1}",
		"{'kind':'token','id':'x','at':1},{'kind':'token','id':'token-1','at':1}",
	};
	static const char *const misses[] = {
		"{'kind':'user','id':'alice','at':1699999999999}",
		"{'kind':'user','id':'alic','at':1800000000000}",
		"{'kind':'session','id':'token-1','at':1800000000000}",
		"{'kind':'token','id':'session-1','at':1800000000000}",
		"{'kind':'token','id':'','at':1800000000000}",
		"{'kind':'group','id':'alice','at':1800000000000}",
		"{'kind':'user','id':'alice'}",
		"7",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hits); i++) {
		struct session *c = come_in(of_alice(3600));
		struct session *d = come_in(of_alice(3600));
		struct session *bob = connect_user("bob");

		notified();
		check_param(PARLANCE_REVOCATIONS, 0, i ? "2" : "1");
		revoked(hits[i]);
		check_ended(c);
		check_ended(d);
		check_silent(bob);
		close_sessions();
	}
	for (size_t i = 0; i < ARRAY_LEN(misses); i++) {
		struct session *c = come_in(of_alice(3600));

		notified();
		revoked(misses[i]);
		check_silent(c);
		close_sessions();
	}
}

/* Of a token that does not say when it was issued, every revocation of the user is a later one; and no
 * id is nobody's. */
static void test_nothing_known(void **state)
{
	struct session *c = connect_user("alice");

	(void)state;
	notified();
	revoked("{'kind':'session','id':'session-1','at':9},{'kind':'token','id':'token-1','at':9}");
	check_silent(c);
	notified();
	revoked("{'kind':'user','id':'alice','at':1}");
	check_ended(c);
}

/* Looked at when the feed comes back, and with the heads; asked once more when it is told meanwhile. */
static void test_when_it_looks(void **state)
{
	struct session *c = come_in(of_alice(3600));

	(void)state;
	plugins->canned[PARLANCE_REVOCATIONS] = NULL;
	fake_storage_feed(plugins, false);
	fake_storage_feed(plugins, true);
	revoked("");
	advance(chat.heads_interval_ms);
	notified();
	notified();
	revoked("");
	check_param(PARLANCE_REVOCATIONS, 0, "2");
	answer_status(PARLANCE_REVOCATIONS, PARLANCE_STORAGE_UNAVAILABLE);
	check_not_called(PARLANCE_REVOCATIONS);
	check_silent(c);
	notified();
	revoked("{'kind':'token','id':'token-1','at':1}");
	check_ended(c);
}

/* It was checked before, and is in only after the revocation was acted upon. */
static void test_revoked_while_coming_in(void **state)
{
	struct session *c = come(of_alice(3600));
	struct session *d;

	(void)state;
	check_param(PARLANCE_SESSION_OPEN, 8, "token-1");
	check_param(PARLANCE_SESSION_OPEN, 9, "session-1");
	check_param(PARLANCE_SESSION_OPEN, 10, "1700000000000");
	notified();
	revoked("{'kind':'token','id':'token-1','at':1}");
	answer_session("alice"); /* the answer of before */
	check_silent(c);
	answer(PARLANCE_SESSION_OPEN, "{'ok':false,'code':'UNAUTHENTICATED'}");
	check_sent(c, json("4{'message':'Authentication error: token revoked',"
			   "'data':{'code':'UNAUTHENTICATED'}}"));
	/* Another one's does it no harm. */
	d = come(of_alice(3600));
	turn();
	notified();
	revoked("{'kind':'token','id':'x','at':1}");
	answer_session("alice");
	answer_session("alice");
	check_ready(d, "alice");
}

static void test_revoked_while_refreshed(void **state)
{
	struct session *c = connect_user("alice");

	(void)state;
	refresh(c, of_alice(3600));
	notified();
	revoked("{'kind':'token','id':'token-1','at':1}");
	answer(PARLANCE_TOKEN_CHECK, "{'ok':true}");
	check_silent(c);
	answer(PARLANCE_TOKEN_CHECK, "{'ok':false,'code':'UNAUTHENTICATED'}");
	check_refused(c, 1, "UNAUTHENTICATED");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		token_test(test_told_of_its_end),
		token_test(test_end),
		token_test(test_refresh),
		token_test(test_refresh_refused),
		token_test(test_refresher_gone),
		token_test(test_revoked),
		token_test(test_nothing_known),
		token_test(test_when_it_looks),
		token_test(test_revoked_while_coming_in),
		token_test(test_revoked_while_refreshed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
