/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Clients that lost their connection come back, and get what they missed: all of it, once, in
 * order, wherever the rooms here are when the storage answers.
 */
#include "core_recovery_fixture.h"

static struct core_stats stats(void)
{
	struct core_stats s;

	core_stats(core, &s);
	return s;
}

/* ---- what is missed ---- */

static void test_recovered(void **state)
{
	struct session *c = come_back("e1.3." TAG "~5." TAG2 "~0");

	(void)state;
	check_param(PARLANCE_SESSION_OPEN, 3, "e1");
	check_param(PARLANCE_SESSION_OPEN, 4, "{" CONV "," CONV2 "}");
	check_param(PARLANCE_SESSION_OPEN, 5, "{3,5,0}");
	check_param(PARLANCE_SESSION_OPEN, 6, "120");
	check_param(PARLANCE_SESSION_OPEN, 7, "100");
	answer_recovered(json("[%s,%s,%s]",
			      room_json(ALICE_ROOM, "", 4, json(",'events':[%s]",
								missed(ALICE_ROOM, 4))),
			      room_json(CONV2, "viewer", 0, ""),
			      room_json(CONV, "editor", 7,
					json(",'events':[%s,%s]", missed(CONV, 6),
					     missed(CONV, 7)))));
	check_recovered(c, "e1.3." TAG "~5." TAG2 "~0");
	/* Conversations first. */
	check_at(c, "e1.3." TAG "~5-1." TAG2 "~0", "message:updated", "{'n':6}");
	check_at(c, "e1.3." TAG "~6-1." TAG2 "~0", "message:updated", "{'n':7}");
	check_at(c, "e1.3-1." TAG "~7." TAG2 "~0", "conversation:activity", "{'n':4}");
	check_silent(c);
	/* And then it goes on, without a seam. */
	feed(CONV, 7, TYPE, "{'n':7}");
	feed(CONV, 8, TYPE, "{'n':8}");
	check_at(c, "e1.4." TAG "~7-1." TAG2 "~0", "message:updated", "{'n':8}");
	feed(CONV2, 1, TYPE, "{'n':1}");
	check_at(c, "e1.4." TAG "~8." TAG2 "~0-1", "message:updated", "{'n':1}");
	feed(ALICE_ROOM, 5, "conversation.activity", "{'n':5}");
	check_at(c, "e1.4-1." TAG "~8." TAG2 "~1", "conversation:activity", "{'n':5}");
	/* In the roles that the storage says. */
	ask(c, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV2);
	check_refused(c, 1, "FORBIDDEN");
	ask(c, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
	check_param(PARLANCE_MESSAGE_SEND, 14, SID);
	answer(PARLANCE_MESSAGE_SEND, "{'ok':false,'code':'BUSY'}");
}

/* An event makes several messages: those that it had already are left out. */
static void test_parts(void **state)
{
	static const char *const offsets[] = { "e1.0." TAG "~5", "e1.0." TAG "~5-1",
					       "e1.0." TAG "~5-2", "e1.0." TAG "~5-32767" };
	struct session *c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
		c = come_back(offsets[i]);
		check_param(PARLANCE_SESSION_OPEN, 5, "{0,5}");
		answer_recovered(
		    json("[%s,%s]", room_json(ALICE_ROOM, "", 0, ""),
			 room_json(CONV, "owner", 7,
				   json(",'events':[%s,%s]",
					event_of(NULL, CONV, 6, "conversation.updated",
						 json("{'update':{}}")),
					missed(CONV, 7)))));
		check_recovered(c, offsets[i]);
		if (i < 1)
			check_at(c, "e1.0." TAG "~5-1", "conversation:update", "{}");
		if (i < 2)
			check_at(c, "e1.0." TAG "~5-2", "conversation:updated", "{}");
		check_at(c, "e1.0." TAG "~6-1", "message:updated", "{'n':7}");
		check_silent(c);
		session_close(c, SESSION_TRANSPORT_CLOSE);
		turn();
	}
}

/* What it did itself it knows; what its conversations tell its user's room does not repeat. */
static void test_left_out(void **state)
{
	struct session *c = come_back("e1.0." TAG "~0");

	(void)state;
	answer_recovered(
	    json("[%s,%s]",
		 room_json(ALICE_ROOM, "", 2,
			   json(",'events':[%s,%s]",
				event_of(NULL, ALICE_ROOM, 1, "message.new", json("{'n':1}")),
				event_of(SID, ALICE_ROOM, 2, "message.new", json("{'n':2}")))),
		 room_json(CONV, "owner", 2,
			   json(",'events':[%s,%s]",
				event_of(NULL, CONV, 1, "message.new", json("{'n':1}")),
				event_of(SID, CONV, 2, "message.new", json("{'n':2}"))))));
	check_recovered(c, "e1.0." TAG "~0");
	check_at(c, "e1.0." TAG "~0-1", "message:new", "{'n':1}");
	check_silent(c);
	feed(CONV, 3, TYPE, "{'n':3}");
	check_at(c, "e1.2." TAG "~2-1", "message:updated", "{'n':3}");
}

/* He was taken out of it meanwhile. */
static void test_no_access(void **state)
{
	struct session *c = come_back("e1.0." TAG "~5." TAG2 "~1");

	(void)state;
	answer_recovered(json("[%s,%s]", room_json(ALICE_ROOM, "", 0, ""),
			      room_json(CONV2, "owner", 1, "")));
	check_recovered(c, "e1.0." TAG2 "~1");
	assert_int_equal(stats().rooms, 2);
	feed(CONV, 6, TYPE, "{'n':6}");
	check_silent(c);
}

/* That his connections were ended is what he missed. */
static void test_missed_kick(void **state)
{
	struct session *later;
	struct session *c;

	(void)state;
	session_seq = 1;
	later = connect_user("alice"); /* who came since then may stay */
	c = come_back("e1.0");
	answer_recovered(
	    json("[%s]", room_json(ALICE_ROOM, "", 1,
				   json(",'events':[%s]",
					event_of(NULL, ALICE_ROOM, 1, "user.disconnected",
						 json("{}"))))));
	check_recovered(c, "e1.0");
	check_sent(c, "1");
	check_silent(c);
	check_silent(later);
	assert_int_equal(stats().sockets, 1);
}

/* ---- where the rooms here are ---- */

/* A tab of bob's that has heard of so much in CONV. */
static struct session *bob_at(int64_t seq)
{
	struct session *b = connect_user("bob");

	conv_seq = seq;
	join(b);
	return b;
}

static const char *rooms_with(int64_t seq, const char *list)
{
	return json("[%s,%s]", room_json(ALICE_ROOM, "", 0, ""),
		    room_json(CONV, "owner", seq, json(",'events':[%s]", list)));
}

/* Events come between the storage's answer and now: they are kept. */
static void test_room_ahead(void **state)
{
	struct session *b = bob_at(4);
	struct session *c = come_back("e1.0." TAG "~3");

	(void)state;
	for (int i = 5; i <= 7; i++) {
		feed(CONV, i, TYPE, "{'n':%d}", i);
		check_event(b, "message:updated", "{'n':%d}", i);
	}
	/* Two of the three are in the answer too. */
	answer_recovered(rooms_with(6, json("%s,%s,%s", missed(CONV, 4), missed(CONV, 5),
					    missed(CONV, 6))));
	check_recovered(c, "e1.0." TAG "~3");
	check_at(c, "e1.0." TAG "~3-1", "message:updated", "{'n':4}");
	check_at(c, "e1.0." TAG "~4-1", "message:updated", "{'n':5}");
	check_at(c, "e1.0." TAG "~5-1", "message:updated", "{'n':6}");
	check_at(c, "e1.0." TAG "~6-1", "message:updated", "{'n':7}");
	feed(CONV, 8, TYPE, "{'n':8}");
	check_at(c, "e1.0." TAG "~7-1", "message:updated", "{'n':8}");
	check_silent(c);
	check_event(b, "message:updated", "{'n':8}");
	check_silent(b);
}

/* The storage's answer is of before what was kept: it is asked again, not for ever. */
static void test_room_too_far_ahead(void **state)
{
	struct session *b = bob_at(5);
	struct session *c = come_back("e1.0." TAG "~3");

	(void)state;
	answer_recovered(rooms_with(3, ""));
	check_silent(c);
	check_param(PARLANCE_SESSION_OPEN, 1, PID_TOKEN);
	feed(CONV, 6, TYPE, "{'n':6}");
	answer_recovered(rooms_with(5, json("%s,%s", missed(CONV, 4), missed(CONV, 5))));
	check_recovered(c, "e1.0." TAG "~3");
	for (int i = 4; i <= 6; i++)
		check_event(c, "message:updated", "{'n':%d}", i);
	check_silent(c);
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	c = come_back("e1.0." TAG "~3");
	for (int i = 0; i < 5; i++) {
		check_param(PARLANCE_SESSION_OPEN, 1, PID_TOKEN);
		answer_recovered(rooms_with(3, ""));
		check_silent(c);
	}
	check_anew(c);
	check_event(b, "message:updated", "{'n':6}");
}

/* He is taken out while the storage answers, which did not know of it yet. */
static void test_taken_out(void **state)
{
	static const struct {
		const char *type;
		const char *body;
		bool out;
	} cases[] = {
		{ "conversation.updated",
		  "{'update':{'participants':[{'userId':'bob','role':'owner'}]}}", true },
		{ "conversation.deleted", "{'id':'" CONV "'}", true },
		{ "conversation.updated",
		  "{'update':{'participants':[{'userId':'bob','role':'owner'},"
		  "{'userId':'alice','role':'viewer'}]}}", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct session *b = bob_at(1);
		struct session *c = come_back("e1.0." TAG "~1");
		const char *role = cases[i].out ? "" : room_json(CONV, "viewer", 2, ",'events':[]");

		feed(CONV, 2, cases[i].type, "%s", cases[i].body);
		answer_recovered(json("[%s,%s]", room_json(ALICE_ROOM, "", 0, ""),
				      room_json(CONV, "editor", 1, "")));
		check_silent(c);
		check_param(PARLANCE_SESSION_OPEN, 1, PID_TOKEN);
		answer_recovered(json("[%s%s%s]", room_json(ALICE_ROOM, "", 0, ""), *role ? "," : "",
				      role));
		check_recovered(c, cases[i].out ? "e1.0" : "e1.0." TAG "~1");
		ask(c, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
		if (cases[i].out) {
			answer(PARLANCE_CONVERSATION_JOIN, "{'ok':false,'code':'NOT_FOUND'}");
			check_refused(c, 1, "NOT_FOUND");
		} else {
			check_refused(c, 1, "FORBIDDEN");
		}
		session_close(c, SESSION_TRANSPORT_CLOSE);
		session_close(b, SESSION_TRANSPORT_CLOSE);
		turn();
	}
}

/* The rooms here have not heard of what the storage has: it is waited for. */
static void test_room_behind(void **state)
{
	struct session *b = bob_at(5);
	struct session *other = connect_user("alice");
	struct session *c = come_back("e1.0." TAG "~4");

	(void)state;
	answer_recovered(json("[%s,%s]",
			      room_json(ALICE_ROOM, "", 1, json(",'events':[%s]",
								missed(ALICE_ROOM, 1))),
			      room_json(CONV, "owner", 7,
					json(",'events':[%s,%s,%s]", missed(CONV, 5),
					     missed(CONV, 6), missed(CONV, 7)))));
	check_silent(c);
	check_param(PARLANCE_FEED_REPLAY, 0, ALICE_ROOM);
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'head':1,'pruned':false,'events':[%s]}",
	       missed(ALICE_ROOM, 1));
	check_event(other, "conversation:activity", "{'n':1}");
	check_silent(c);
	check_param(PARLANCE_FEED_REPLAY, 0, CONV);
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'head':8,'pruned':false,'events':[%s,%s,%s]}",
	       missed(CONV, 6), missed(CONV, 7), missed(CONV, 8));
	for (int i = 6; i <= 8; i++)
		check_event(b, "message:updated", "{'n':%d}", i);
	check_recovered(c, "e1.0." TAG "~4");
	for (int i = 5; i <= 7; i++)
		check_event(c, "message:updated", "{'n':%d}", i);
	check_event(c, "conversation:activity", "{'n':1}");
	check_event(c, "message:updated", "{'n':8}");
	check_silent(c);
}

/* It goes away while it waits, for the storage or for a room. */
static void test_gone_while_waiting(void **state)
{
	struct session *b = bob_at(5);
	struct session *c = come_back("e1.0." TAG "~4." TAG2 "~1");

	(void)state;
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	answer_recovered(rooms_with(7, ""));
	check_not_called(PARLANCE_FEED_REPLAY);
	c = come_back("e1.0." TAG "~4." TAG2 "~1");
	answer_recovered(rooms_with(7, ""));
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'head':7,'pruned':false,'events':[%s,%s]}",
	       missed(CONV, 6), missed(CONV, 7));
	check_event(b, "message:updated", "{'n':6}");
	check_event(b, "message:updated", "{'n':7}");
	assert_int_equal(stats().rooms, 2);
}

/* And it waits no longer than there is a chat. */
static void test_free_while_waiting(void **state)
{
	(void)bob_at(5);
	(void)state;
	(void)come_back("e1.0." TAG "~4");
	answer_recovered(rooms_with(7, ""));
	close_sessions();
	fake_plugins_close(plugins);
	core_free(&core);
}

/* ---- answers that run ---- */

/* Its connection still counts as alive, and its answer runs. */
static void test_take_over(void **state)
{
	struct session *b = bob_at(0);
	struct session *old = come_back("e1.0");
	struct session *c;
	struct turn t;

	(void)state;
	answer_recovered(json("[%s]", room_json(ALICE_ROOM, "", 0, "")));
	check_recovered(old, "e1.0");
	join(old);
	t = start_answer(old);
	delta("Hello");
	say(old, "typing:start", "'%s'", CONV);
	forget(old);
	forget(b);
	c = come_back("e1.0." TAG "~1");
	answer_recovered(json("[%s,%s]", room_json(ALICE_ROOM, "", 0, ""),
			      room_json(CONV, "owner", 1,
					json(",'events':[],'activeStream':{"
					     "'assistantMessageId':'%s','streamId':'%s'}",
					     t.message, t.stream))));
	check_closed(old, SESSION_FORCED_CLOSE);
	check_silent(old);
	check_event(b, "typing:stop", "{'userId':'alice'}");
	check_event(b, "user:typing:stop", "{'userId':'alice'}");
	check_silent(b);
	assert_int_equal(stats().sockets, 2);
	check_recovered(c, "e1.0." TAG "~1");
	check_at(c, "e1.0." TAG "~1", "message:snapshot", "{'content':'Hello'}");
	advance(40);
	delta("!");
	check_event(c, "message:chunk", "{'offset':5,'chunk':'!'}");
	end_answer(PARLANCE_FINISH_STOP);
	settle(&t, "complete", "stop");
	check_event(c, "ai:typing:stop", "{}");
	check_event(c, "message:complete", "{}");
	check_silent(c);
	check_silent(old);
}

/* What runs elsewhere is followed from here on. */
static void test_others_answer(void **state)
{
	struct session *c = come_back("e1.0." TAG "~1");

	(void)state;
	hold_mail();
	answer_recovered(json("[%s,%s]", room_json(ALICE_ROOM, "", 0, ""),
			      room_json(CONV, "owner", 1, ",'activeStream':" STREAM_JSON)));
	check_recovered(c, "e1.0." TAG "~1");
	check_mail_to(0, "['w','%s',0]", MESSAGE);
	receive(8, "['c','%s',0,5,'Hello']", MESSAGE);
	check_others_snapshot(c, 0, "Hello");
	conv_seq = 1;
	others_answer_ends("Hello");
	check_end(c);
}

/* It ended, or began, between the storage's answer and now. */
static void test_answer_in_tail(void **state)
{
	struct session *b = bob_at(1);
	struct session *c = come_back("e1.0." TAG "~1");

	(void)state;
	others_answer_ends("Hello");
	hold_mail();
	answer_recovered(json("[%s,%s]", room_json(ALICE_ROOM, "", 0, ""),
			      room_json(CONV, "owner", 1, ",'activeStream':" STREAM_JSON)));
	check_recovered(c, "e1.0." TAG "~1");
	check_end(c);
	advance(20000);
	check_no_mail(); /* it is over */
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	c = come_back("e1.0." TAG "~2");
	others_answer_begins();
	check_mail_to(0, "['w','%s',0]", MESSAGE);
	session_close(b, SESSION_TRANSPORT_CLOSE);
	turn();
	check_mail_to(0, "['u','%s']", MESSAGE);
	answer_recovered(json("[%s,%s]", room_json(ALICE_ROOM, "", 0, ""),
			      room_json(CONV, "owner", 2, "")));
	check_recovered(c, "e1.0." TAG "~2");
	check_event(c, "ai:typing:start", "{'streamId':'%s'}", STREAM);
	check_mail_to(0, "['w','%s',0]", MESSAGE);
	receive(8, "['c','%s',0,5,'Hello']", MESSAGE);
	check_others_snapshot(c, 0, "Hello");
	others_answer_ends("Hello");
	check_end(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recovery_test(test_recovered),
		recovery_test(test_parts),
		recovery_test(test_left_out),
		recovery_test(test_no_access),
		recovery_test(test_missed_kick),
		recovery_test(test_room_ahead),
		recovery_test(test_room_too_far_ahead),
		recovery_test(test_taken_out),
		recovery_test(test_room_behind),
		recovery_test(test_gone_while_waiting),
		recovery_test(test_free_while_waiting),
		recovery_test(test_take_over),
		recovery_test(test_others_answer),
		recovery_test(test_answer_in_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
