/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Draining: nobody comes in any more, those who are there are let go one after the other, answers
 * come to their end, and all that within its time.
 */
#include "core_answer_fixture.h"

#define SPREAD 500

static unsigned int n_drained;
static unsigned int n_stopped;
static const char *why_not;

static void on_drained(void *arg)
{
	assert_ptr_equal(arg, &n_drained);
	n_drained++;
}

static void on_stopped(void *arg)
{
	assert_ptr_equal(arg, &n_stopped);
	n_stopped++;
}

static void on_ready(void *arg, const char *text)
{
	assert_ptr_equal(arg, &why_not);
	why_not = text;
}

static const struct core_cluster_ops cluster_ops = { .ready = on_ready };

static void drain(void)
{
	n_drained = 0;
	n_stopped = 0;
	why_not = "";
	core_set_cluster(core, &cluster_ops, &why_not);
	assert_null(why_not);
	core_drain(core, on_drained, &n_drained);
	assert_string_equal(why_not, "draining");
	assert_int_equal(n_drained, 0); /* not from within */
	turn();
}

static void check_drained_once(void)
{
	assert_int_equal(n_drained, 1);
	advance(60000);
	assert_int_equal(n_drained, 1);
}

static void stop_now(void)
{
	core_stop(core, on_stopped, &n_stopped);
	turn();
	answer(PARLANCE_INSTANCE_RETIRE, "{'ok':true}");
	assert_int_equal(n_stopped, 1);
}

static void test_idle(void **state)
{
	(void)state;
	drain();
	check_drained_once();
	/* The lease is held until the end. */
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	advance(3000);
	answer(PARLANCE_INSTANCE_BEAT, NOTHING);
	stop_now();
	assert_int_equal(n_drained, 1);
}

/* Each at a time of its own, which it was told. */
static void test_sockets(void **state)
{
	struct session *c[8];
	int64_t due[ARRAY_LEN(c)];
	bool spread = false;

	(void)state;
	chat.drain_spread_ms = SPREAD;
	for (size_t i = 0; i < ARRAY_LEN(c); i++)
		c[i] = connect_user(i % 2 ? "alice" : "bob");
	drain();
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		check_event(c[i], "server:draining", "{'reason':'restart'}");
		due[i] = taken_number("reconnectInMs");
		assert_true(due[i] >= 0 && due[i] < SPREAD);
		spread = spread || due[i] != due[0];
	}
	assert_true(spread);
	for (int64_t now = 0; now <= SPREAD; now++) {
		bool all = true;

		for (size_t i = 0; i < ARRAY_LEN(c); i++) {
			if (now < due[i])
				assert_false(c[i]->closed);
			if (now > due[i])
				check_closed(c[i], SESSION_FORCED_CLOSE);
			all = all && c[i]->closed;
		}
		assert_int_equal(n_drained, all);
		advance(1);
	}
	check_drained_once();
}

/* They may leave before. */
static void test_sockets_leave(void **state)
{
	struct session *a = connect_user("alice");
	struct session *b = connect_user("alice");

	(void)state;
	chat.drain_spread_ms = 1000000;
	drain();
	check_event(a, "server:draining", "{}");
	check_event(b, "server:draining", "{}");
	session_close(a, SESSION_TRANSPORT_CLOSE);
	turn();
	assert_int_equal(n_drained, 0);
	session_close(b, SESSION_TRANSPORT_CLOSE);
	turn();
	check_drained_once();
}

/* Those that run and those that wait come to their end, without the tabs. */
static void test_answers(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);
	struct turn waits = queue_message(c, "queue");

	(void)state;
	drain();
	check_event(c, "server:draining", "{'reconnectInMs':0}");
	delta("Hel");
	advance(1);
	check_closed(c, SESSION_FORCED_CLOSE);
	delta("lo");
	advance(1000);
	check_state(&t, GENERATION_RUNNING);
	end_answer(PARLANCE_FINISH_STOP);
	check_finish(&t, "complete", "stop", "Hello");
	settle(&t, "complete", "stop");
	answer_begun();
	delta("Bye");
	end_answer(PARLANCE_FINISH_STOP);
	check_finish(&waits, "complete", "stop", "Bye");
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	assert_int_equal(n_drained, 0); /* the feed is to say so */
	tell_finished(&waits, "complete", "stop");
	check_drained_once();
	stop_now();
}

/* Until it is let go a tab may go on. */
static void test_message_meanwhile(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t;

	(void)state;
	chat.drain_spread_ms = 1000000;
	drain();
	check_event(c, "server:draining", "{}");
	t = start_answer(c);
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	assert_int_equal(n_drained, 0);
	end_answer(PARLANCE_FINISH_STOP);
	settle(&t, "complete", "stop");
	check_drained_once();
}

static void test_too_late(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	drain();
	delta("Hello");
	advance(9999);
	assert_int_equal(n_drained, 0);
	advance(1);
	check_drained_once();
	core_stop(core, on_stopped, &n_stopped);
	turn();
	check_finish(&t, "interrupted", "(null)", "Hello");
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	answer(PARLANCE_INSTANCE_RETIRE, "{'ok':true}");
	assert_int_equal(n_stopped, 1);
	assert_int_equal(n_drained, 1);
}

/* A socket that is not let go is not waited for either. */
static void test_sockets_too_late(void **state)
{
	struct session *c = connect_user("alice");

	(void)state;
	chat.drain_spread_ms = 1000000000;
	drain();
	check_event(c, "server:draining", "{}");
	advance(10000);
	check_drained_once();
	assert_false(c->closed);
}

/* It is stopped without waiting: who wanted to hear that it is drained hears that it stopped. */
static void test_stopped_meanwhile(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	drain();
	delta("Hello");
	core_stop(core, on_stopped, &n_stopped);
	turn();
	check_finish(&t, "interrupted", "(null)", "Hello");
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	answer(PARLANCE_INSTANCE_RETIRE, "{'ok':true}");
	assert_int_equal(n_stopped, 1);
	session_close(c, SESSION_TRANSPORT_CLOSE);
	advance(60000);
	assert_int_equal(n_drained, 0);
	assert_int_equal(n_stopped, 1);
}

static void stop_when_drained(void *arg)
{
	on_drained(arg);
	core_stop(core, on_stopped, &n_stopped);
}

static void test_stop_from_within(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	n_drained = 0;
	n_stopped = 0;
	core_drain(core, stop_when_drained, &n_drained);
	advance(1);
	check_closed(c, SESSION_FORCED_CLOSE);
	end_answer(PARLANCE_FINISH_STOP);
	settle(&t, "complete", "stop");
	assert_int_equal(n_drained, 1);
	answer(PARLANCE_INSTANCE_RETIRE, "{'ok':true}");
	assert_int_equal(n_stopped, 1);
}

/* ---- nobody comes in ---- */

static struct session *knock(void)
{
	struct session *c = open_session();

	fake_session_text(c, "0{\"token\":\"t\"}");
	turn();
	return c;
}

static void check_sent_away(struct session *c)
{
	check_closed(c, SESSION_FORCED_CLOSE);
	check_silent(c);
}

static void test_no_more(void **state)
{
	struct session *there = connect_user("alice");
	struct session *waits = knock();
	struct session *opens;
	struct session *knocks;
	struct session *late;

	(void)state;
	/* One waits for the feed, one for the storage, one for its token. */
	fake_verification_accept(fake_verification_find(plugins), "alice", 0);
	session_seq = 5;
	answer_session("alice");
	opens = knock();
	fake_verification_accept(fake_verification_find(plugins), "bob", 0);
	session_seq = 0;
	knocks = knock();
	chat.drain_spread_ms = 1000000;
	drain();
	check_event(there, "server:draining", "{}");
	late = knock();
	check_sent_away(late);
	fake_verification_accept(fake_verification_find(plugins), "carol", 0);
	turn();
	check_sent_away(knocks);
	answer_session("bob");
	check_sent_away(opens);
	feed(ALICE_ROOM, 5, "message.vanished", "{}");
	answer(PARLANCE_FEED_REPLAY,
	       "{'ok':true,'head':5,'pruned':false,'events':[{'s':1},{'s':2},{'s':3},{'s':4},"
	       "{'s':5}]}");
	check_sent_away(waits);
	session_close(there, SESSION_TRANSPORT_CLOSE);
	turn();
	check_drained_once();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_idle),
		core_test(test_sockets),
		core_test(test_sockets_leave),
		core_test(test_answers),
		core_test(test_message_meanwhile),
		core_test(test_too_late),
		core_test(test_sockets_too_late),
		core_test(test_stopped_meanwhile),
		core_test(test_stop_from_within),
		core_test(test_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
