/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What tabs here are told of elsewhere: who is typing at another instance, what an application
 * publishes, and that all connections of a user are to end.
 */
#include "core_cluster_fixture.h"

/* ---- typing ---- */

static void check_typing(struct session *c, const char *user, bool on)
{
	check_packet(c, json("2['typing:%s',", on ? "start" : "stop"),
		     json("{'userId':'%s','conversationId':'%s'}", user, CONV));
	check_packet(c, json("2['user:typing:%s',", on ? "start" : "stop"),
		     json("{'userId':'%s','conversationId':'%s'}", user, CONV));
}

static void test_typing(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *tab = connect_and_join("bob");
	struct session *past = connect_with("bob", "{'token':'t','aliases':'past'}");
	struct session *outside = connect_user("bob");

	(void)state;
	join(past);
	/* To all who have the conversation open, his own tabs too. */
	receive(8, "['t','%s','bob','s1',1]", CONV);
	check_typing(a, "bob", true);
	check_typing(tab, "bob", true);
	check_event(past, "user:typing:start", "{'userId':'bob'}");
	check_silent(past);
	check_silent(outside);
	/* Said again, it is told again: his instance sees to the pace. */
	receive(8, "['t','%s','bob','s1',1]", CONV);
	check_typing(a, "bob", true);
	receive(8, "['t','%s','bob','s1',0]", CONV);
	check_typing(a, "bob", false);
	/* It ended once; and of another socket it never began. */
	receive(8, "['t','%s','bob','s1',0],['t','%s','bob','s2',0]", CONV, CONV);
	check_silent(a);
	advance(60000);
	check_silent(a);
}

/* Sockets are told apart, and end with their own silence. */
static void test_typing_silence(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	receive(8, "['t','%s','bob','s1',1]", CONV);
	check_typing(c, "bob", true);
	advance(5000);
	receive(9, "['t','%s','x\\u0022y','s2',1]", CONV);
	check_event(c, "typing:start", "{'conversationId':'%s'}", CONV);
	assert_string_equal(taken_text("userId"), "x\"y");
	check_event(c, "user:typing:start", "{}");
	advance(2999);
	check_silent(c);
	advance(1);
	check_typing(c, "bob", false);
	receive(9, "['t','%s','x\\u0022y','s2',1]", CONV);
	forget(c);
	advance(7999);
	check_silent(c);
	advance(1);
	check_event(c, "typing:stop", "{}");
	assert_string_equal(taken_text("userId"), "x\"y");
	check_event(c, "user:typing:stop", "{}");
	check_silent(c);
}

/* Nobody is left who could be told; who comes later hears nothing of it. */
static void test_typing_forgotten(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	receive(8, "['t','%s','bob','s1',1],['t','%s','carol','s2',1]", CONV, CONV);
	check_typing(c, "bob", true);
	check_typing(c, "carol", true);
	ask(c, 1, "leave:conversation", "'%s'", CONV);
	check_event(c, "conversation:left", "{}");
	check_ack(c, 1, "{'ok':true}");
	join(c);
	receive(8, "['t','%s','bob','s1',0]", CONV);
	advance(10000);
	check_silent(c);
	/* The room lives on, kept by an answer. */
	(void)start_answer(c);
	receive(8, "['t','%s','bob','s1',1]", CONV);
	check_typing(c, "bob", true);
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	receive(8, "['t','%s','bob','s1',1]", CONV);
	c = connect_and_join("alice");
	check_event(c, "message:snapshot", "{}");
	advance(10000);
	check_silent(c);
	end_answer(PARLANCE_FINISH_STOP);
	answer(PARLANCE_GENERATION_FINISH, "{'ok':false,'code':'FENCED'}");
}

static void test_typing_garbage(void **state)
{
	static const char *const texts[] = {
		"['t']",
		"['t','" CONV "','bob','s1']",
		"['t','" CONV "','bob','s1',1,1]",
		"['t','" CONV "','bob','s1',2]",
		"['t','" CONV "','bob','s1',-1]",
		"['t','" CONV "','bob','s1',true]",
		"['t','" CONV "','bob','s1','1']",
		"['t','" CONV "','bob','',1]",
		"['t','" CONV "','','s1',1]",
		"['t','" CONV "',7,'s1',1]",
		"['t','" CONV "','bob',7,1]",
		"['t','" CONV "',null,'s1',1]",
		"['t','" CONV "','b\\u0000b','s1',1]",
		"['t','" CONV "','bob','01234567890123456789012',1]",
		"['t','" CONV2 "','bob','s1',1]",
		"['t','" ALICE_ROOM "','bob','s1',1]",
		"['t','x','bob','s1',1]",
		"['t',7,'bob','s1',1]",
	};
	struct session *c = connect_and_join("alice");
	char user[257];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		receive(8, "%s", texts[i]);
		check_silent(c);
	}
	memset(user, 'u', 256);
	user[256] = '\0';
	receive(8, "['t','%s','%s','s1',1]", CONV, user);
	check_silent(c);
	user[255] = '\0';
	receive(8, "['t','%s','%s','0123456789012345678901',1]", CONV, user);
	check_typing(c, user, true);
}

/* ---- what is published ---- */

static void test_published(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *tab = connect_user("alice");
	struct session *b = connect_and_join("bob");

	(void)state;
	feed(ALICE_ROOM, 1, "published", "{'event':'hello','data':{'n':1}}");
	check_event(a, "hello", "{'n':1}");
	check_event(tab, "hello", "{'n':1}");
	check_silent(b);
	next_event("published", "{'event':'to \\u0022all\\u0022','data':{'n':2}}");
	check_packet(a, "2[\"to \\\"all\\\"\",", json("{'n':2}"));
	check_packet(b, "2[\"to \\\"all\\\"\",", json("{'n':2}"));
	check_silent(tab);
	/* Any value is one argument. */
	next_event("published", "{'event':'list','data':[1,[2]]}");
	check_sent(b, "2[\"list\",[1,[2]]]");
	next_event("published", "{'event':'none','data':null}");
	check_sent(b, "2[\"none\",null]");
	forget(a);
	/* No names for an event, whoever published them. */
	next_event("published", "{'event':'','data':{}}");
	next_event("published", "{'event':7,'data':{}}");
	next_event("published", "{'event':'a\\u0000b','data':{}}");
	next_event("published", "{'data':{}}");
	next_event("published", "{'event':'disconnect','data':{}}");
	next_event("published", "{'event':'x'}");
	check_silent(a);
	check_silent(b);
	next_event("published", "{'event':'last','data':{}}");
	check_event(a, "last", "{}");
}

/* ---- all connections of a user end ---- */

#define KICK "user.disconnected"

/* Anybody who may connect to the database can notify: it is read from the log. */
static void test_kick(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *tab = connect_user("alice");
	struct session *b = connect_and_join("bob");
	struct core_stats stats;

	(void)state;
	feed(ALICE_ROOM, 1, KICK, "{}");
	check_silent(a);
	check_param(PARLANCE_FEED_REPLAY, 0, ALICE_ROOM);
	check_param(PARLANCE_FEED_REPLAY, 1, "0");
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'head':1,'pruned':false,'events':[%s]}",
	       event_of(NULL, ALICE_ROOM, 1, KICK, "{}"));
	check_sent(a, "1"); /* do not come back */
	check_sent(tab, "1");
	check_silent(b);
	core_stats(core, &stats);
	assert_int_equal(stats.users, 1);
	assert_int_equal(stats.sockets, 1);
	/* By the log alone, as after a gap. */
	feed(BOB_ROOM, 2, "conversation.activity", "{}");
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'head':2,'pruned':false,'events':[%s,%s]}",
	       event_of(NULL, BOB_ROOM, 1, KICK, "{}"),
	       event_of(NULL, BOB_ROOM, 2, "conversation.activity", "{}"));
	check_sent(b, "1");
	check_silent(b);
}

static void test_kick_forged(void **state)
{
	struct session *a = connect_and_join("alice");

	(void)state;
	feed(ALICE_ROOM, 1, KICK, "{}");
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'head':0,'pruned':false,'events':[]}");
	advance(60000);
	check_silent(a);
	check_not_called(PARLANCE_FEED_REPLAY);
	feed(ALICE_ROOM, 1, "conversation.activity", "{'n':1}");
	check_event(a, "conversation:activity", "{'n':1}");
	/* In a room of a conversation it is about nobody. */
	next_event(KICK, "{}");
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'head':1,'pruned':false,'events':[%s]}",
	       event_of(NULL, CONV, 1, KICK, "{}"));
	check_silent(a);
	next_event("message.updated", "{'n':2}");
	check_event(a, "message:updated", "{'n':2}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_typing),
		core_test(test_typing_silence),
		core_test(test_typing_forgotten),
		core_test(test_typing_garbage),
		core_test(test_published),
		core_test(test_kick),
		core_test(test_kick_forged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
