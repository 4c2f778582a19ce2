/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* What a socket, a user and all users may ask for, and what happens beyond. */
#include "core_answer_fixture.h"

static uint64_t limited(enum core_limit limit)
{
	struct core_stats stats;

	core_stats(core, &stats);
	return stats.limited[limit];
}

/* How many of n pings are answered with their time. */
static unsigned pings(struct session *c, unsigned n, const char *arg)
{
	unsigned passed = 0;

	for (unsigned i = 0; i < n && !c->closed; i++) {
		struct fake_message *m;

		say_text(c, 7, "ping", arg);
		while ((m = fake_session_take(c))) {
			passed += strstr(m->text, "37[{\"ok\":true") != NULL;
			fake_message_free(&m);
		}
	}
	return passed;
}

static void test_events_of_socket(void **state)
{
	struct session *c = connect_user("alice");
	struct session *d = connect_user("alice");

	(void)state;
	chat.events_per_second = 10;
	assert_int_equal(pings(c, 60, ""), 50); /* five seconds' worth at once */
	assert_int_equal(limited(CORE_LIMIT_SOCKET_EVENTS), 10);
	say_text(c, 7, "ping", "");
	check_refused(c, 7, "RATE_LIMITED");
	say_text(c, -1, "ping", "");
	check_event(c, "error", "{'code':'RATE_LIMITED','event':'ping','retryable':true,'retryAfterMs':1000}");
	assert_int_equal(pings(d, 20, ""), 20); /* the other has its own */
	advance(1000);
	assert_int_equal(pings(c, 20, ""), 10);
	advance(3600000);
	assert_int_equal(pings(c, 60, ""), 50);
	chat.events_per_second = 0;
	assert_int_equal(pings(c, 300, ""), 300);
}

static void test_events_of_user(void **state)
{
	struct session *c = connect_user("alice");
	struct session *d = connect_user("alice");
	struct session *bob = connect_user("bob");

	(void)state;
	chat.user_events_per_second = 10;
	assert_int_equal(pings(c, 30, ""), 30);
	assert_int_equal(pings(d, 30, ""), 20);
	assert_int_equal(limited(CORE_LIMIT_USER_EVENTS), 10);
	assert_int_equal(pings(bob, 30, ""), 30);
}

static void test_bytes_of_user(void **state)
{
	struct session *c = connect_user("alice");
	char text[103];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[0] = text[sizeof(text) - 2] = '"';
	text[sizeof(text) - 1] = '\0';
	chat.user_bytes_per_second = 100;
	/* The last one takes more than there is. */
	assert_in_range(pings(c, 20, text), 4, 5);
	assert_in_range(limited(CORE_LIMIT_USER_BYTES), 15, 16);
	advance(1000);
	assert_int_equal(pings(c, 20, text), 1);
	assert_int_equal(pings(connect_user("bob"), 1, text), 1);
}

/* Who goes on though he is refused is not listened to for ever. */
static void test_end(void **state)
{
	struct session *c = connect_user("alice");
	struct session *d = connect_user("alice");

	(void)state;
	chat.events_per_second = 1;
	assert_int_equal(pings(c, 500, ""), 5);
	assert_false(c->closed);
	assert_int_equal(pings(c, 100, ""), 0);
	check_closed(c, SESSION_FORCED_CLOSE);
	assert_int_equal(limited(CORE_LIMIT_SOCKET_EVENTS), 501);
	/* Slower than that he may go on. */
	for (unsigned i = 0; i < 100; i++) {
		(void)pings(d, 50, "");
		advance(1000);
	}
	assert_false(d->closed);
}

static void test_requests_under_way(void **state)
{
	struct session *c = connect_user("alice");

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		ask(c, 1, "conversation:list", "{}");
	check_silent(c);
	ask(c, 1, "conversation:list", "{}");
	check_refused(c, 1, "RATE_LIMITED");
	assert_int_equal(limited(CORE_LIMIT_USER_REQUESTS), 1);
	for (unsigned i = 0; i < 256; i++)
		answer(PARLANCE_CONVERSATION_LIST, "{'ok':true,'conversations':[]}");
	forget(c);
}

static void test_sockets(void **state)
{
	struct session *c[3];
	struct session *more;

	(void)state;
	chat.max_sockets_per_user = 3;
	for (size_t i = 0; i < 3; i++)
		c[i] = connect_user("alice");
	more = open_session();
	fake_session_text(more, "0{\"token\":\"t\"}");
	fake_verification_accept(fake_verification_find(plugins), "alice", 0);
	answer_session("alice");
	check_sent_nothing(more);
	check_closed(more, SESSION_FORCED_CLOSE);
	assert_int_equal(limited(CORE_LIMIT_USER_SOCKETS), 1);
	(void)connect_user("bob");
	session_close(c[1], SESSION_TRANSPORT_CLOSE);
	turn();
	(void)connect_user("alice");
}

static void send(struct session *c)
{
	ask(c, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
}

static void test_answers(void **state)
{
	struct session *alice = connect_and_join("alice");
	struct session *bob = connect_and_join("bob");

	(void)state;
	chat.max_answers_per_user = 1;
	send(alice);
	send(alice);
	check_refused(alice, 1, "RATE_LIMITED");
	assert_int_equal(limited(CORE_LIMIT_USER_ANSWERS), 1);
	send(bob);
	check_silent(bob);
	chat.max_answers_per_user = 0;
	chat.max_answers = 2;
	send(alice);
	check_refused(alice, 1, "UNAVAILABLE");
	assert_int_equal(limited(CORE_LIMIT_ANSWERS), 1);
	/* What was not stored does not count any more. */
	answer(PARLANCE_MESSAGE_SEND, "{'ok':false,'code':'BUSY'}");
	check_refused(alice, 1, "BUSY");
	chat.max_answers = 0;
	chat.max_answers_per_user = 1;
	send(alice);
	check_silent(alice);
	chat.max_answers_per_user = 2;
	send(alice);
	check_silent(alice);
	for (unsigned i = 0; i < 3; i++) /* bob's is the first */
		answer(PARLANCE_MESSAGE_SEND, "{'ok':false,'code':'BUSY'}");
	forget(alice);
	forget(bob);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_events_of_socket), core_test(test_events_of_user),
		core_test(test_bytes_of_user),	  core_test(test_end),
		core_test(test_requests_under_way), core_test(test_sockets),
		core_test(test_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
