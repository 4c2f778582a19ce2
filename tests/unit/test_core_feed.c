/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The feed: whatever is lost, repeated, shuffled or malformed on its way, each event is delivered
 * once and in order; and who comes in meanwhile misses none and hears none twice.
 */
#include "core_fixture.h"

#define TYPE "message.updated"

static struct core_stats stats(void)
{
	struct core_stats s;

	core_stats(core, &s);
	return s;
}

/* Events of which the body says which one they are. */
static const char *nth(int64_t seq)
{
	return event_of(NULL, CONV, seq, TYPE, json("{'n':%" PRId64 "}", seq));
}

static void tell_nth(int64_t seq)
{
	tell(CONV, seq, TYPE, nth(seq));
}

static void check_nth(struct session *c, int64_t first, int64_t last)
{
	for (int64_t seq = first; seq <= last; seq++)
		check_event(c, "message:updated", "{'n':%" PRId64 "}", seq);
}

/* The oldest replay that was asked for begins after this event. */
static void check_replay(const char *room, int64_t after)
{
	check_param(PARLANCE_FEED_REPLAY, 0, room);
	check_param(PARLANCE_FEED_REPLAY, 1, json("%" PRId64, after));
}

/* Answers it with the events from first to last; none: last < first. */
static void answer_replay(int64_t first, int64_t last, int64_t head)
{
	struct strbuf sb;

	strbuf_init(&sb, SIZE_MAX / 2);
	strbuf_append_str(&sb, "{\"ok\":true,\"events\":[");
	for (int64_t seq = first; seq <= last; seq++) {
		strbuf_append_str(&sb, seq > first ? "," : "");
		strbuf_append_str(&sb, nth(seq));
	}
	strbuf_printf(&sb, "],\"head\":%" PRId64 ",\"pruned\":false}", head);
	answer_text(PARLANCE_FEED_REPLAY, strbuf_cstr(&sb));
	strbuf_fini(&sb);
}

/* ---- one by one ---- */

static void test_in_order(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_and_join("bob");

	(void)state;
	for (int64_t seq = 1; seq <= 3; seq++) {
		tell_nth(seq);
		check_nth(a, seq, seq);
		check_nth(b, seq, seq);
	}
	check_not_called(PARLANCE_FEED_REPLAY);
	assert_int_equal(stats().events, 3);
	assert_int_equal(stats().replays, 0);
}

static void test_duplicates(void **state)
{
	struct session *c = connect_and_join("alice");
	static const int64_t order[] = { 1, 1, 2, 1, 2, 2, 3, 1 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		tell_nth(order[i]);
	check_nth(c, 1, 3);
	check_silent(c);
	check_not_called(PARLANCE_FEED_REPLAY);
}

/* What is missing is asked for once; what comes meanwhile waits for it. */
static void test_shuffled(void **state)
{
	struct session *c = connect_and_join("alice");
	static const int64_t order[] = { 3, 1, 2, 4, 3 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(order); i++)
		tell_nth(order[i]);
	check_silent(c);
	check_replay(CONV, 0);
	assert_int_equal(stats().replays, 1);
	answer_replay(1, 4, 4);
	check_nth(c, 1, 4);
	check_not_called(PARLANCE_FEED_REPLAY);
	tell_nth(5);
	check_nth(c, 5, 5);
	check_silent(c);
	assert_int_equal(stats().events, 5);
}

/* Events that were committed after the log was read are read next, at once. */
static void test_event_behind_replay(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	tell_nth(2);
	tell_nth(4);
	answer_replay(1, 2, 2);
	check_nth(c, 1, 2);
	check_replay(CONV, 2);
	answer_replay(3, 4, 4);
	check_nth(c, 3, 4);
	check_not_called(PARLANCE_FEED_REPLAY);
}

static void test_without_body(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	tell_nth(1);
	check_nth(c, 1, 1);
	tell(CONV, 2, TYPE, NULL);
	check_silent(c);
	check_replay(CONV, 1);
	answer_replay(2, 2, 2);
	check_nth(c, 2, 2);
	tell(CONV, 2, TYPE, NULL);
	check_not_called(PARLANCE_FEED_REPLAY);
}

/* An event in alice's room about a conversation. */
static void tell_alice(int64_t seq, const char *about)
{
	tell(ALICE_ROOM, seq, "conversation.activity",
	     json("{'r':'%s','s':%" PRId64 ",'t':'conversation.activity','c':'%s','o':null,"
		  "'b':{'n':%" PRId64 "}}", ALICE_ROOM, seq, about, seq));
}

/* Rooms do not wait for each other. */
static void test_rooms_apart(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	tell_nth(3);
	check_replay(CONV, 0);
	tell_alice(1, CONV2);
	check_event(c, "conversation:activity", "{'n':1}");
	feed(BOB_ROOM, 1, "conversation.activity", "{'n':1}");
	feed(CONV2, 7, TYPE, "{'n':7}");
	check_silent(c);
	answer_replay(1, 3, 3);
	check_nth(c, 1, 3);
	assert_int_equal(stats().replays, 1);
}

/* But what a user is told of a conversation comes after what its room was told by then. */
static void test_users_behind(void **state)
{
	struct session *c = connect_and_join("alice");
	struct session *other = connect_user("alice");

	(void)state;
	tell_nth(2);
	check_replay(CONV, 0);
	tell_alice(1, CONV);
	tell_alice(2, CONV2); /* not before the one that waits */
	check_silent(c);
	check_silent(other);
	answer_replay(1, 2, 2);
	check_nth(c, 1, 2);
	check_replay(ALICE_ROOM, 0);
	/* What its room is told from now on is no reason to wait again. */
	tell_nth(4);
	check_silent(other);
	answer(PARLANCE_FEED_REPLAY,
	       "{'ok':true,'head':2,'pruned':false,'events':["
	       "{'s':1,'t':'conversation.activity','c':'%s','b':{'n':1}},"
	       "{'s':2,'t':'conversation.activity','c':'%s','b':{'n':2}}]}",
	       CONV, CONV2);
	check_event(other, "conversation:activity", "{'n':1}");
	check_event(other, "conversation:activity", "{'n':2}");
	check_event(c, "conversation:activity", "{'n':1}");
	check_event(c, "conversation:activity", "{'n':2}");
	/* The next one is. */
	tell_alice(3, CONV);
	check_silent(other);
	answer_replay(3, 4, 4);
	check_nth(c, 3, 4);
	check_replay(ALICE_ROOM, 2);
	answer(PARLANCE_FEED_REPLAY,
	       "{'ok':true,'head':3,'pruned':false,'events':["
	       "{'s':3,'t':'conversation.activity','c':'%s','b':{'n':3}}]}",
	       CONV);
	check_event(other, "conversation:activity", "{'n':3}");
	check_event(c, "conversation:activity", "{'n':3}");
}

/* ---- replays ---- */

static void check_retried_later(void)
{
	check_not_called(PARLANCE_FEED_REPLAY);
	advance(999);
	check_not_called(PARLANCE_FEED_REPLAY);
	advance(1);
	check_replay(CONV, 0);
}

static void test_replay_fails(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	tell_nth(2);
	answer_status(PARLANCE_FEED_REPLAY, PARLANCE_STORAGE_UNAVAILABLE);
	/* Not out of turn, though it would be the next one. */
	tell_nth(1);
	check_silent(c);
	check_retried_later();
	answer_status(PARLANCE_FEED_REPLAY, PARLANCE_STORAGE_FAILED);
	check_retried_later();
	answer_status(PARLANCE_FEED_REPLAY, PARLANCE_STORAGE_UNKNOWN);
	check_retried_later();
	fake_call_time_out(call_of(PARLANCE_FEED_REPLAY));
	check_retried_later();
	answer_replay(1, 2, 2);
	check_nth(c, 1, 2);
	advance(5000);
	check_not_called(PARLANCE_FEED_REPLAY);
}

static void test_replay_not_taken(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	plugins->refuse_call = -1;
	tell_nth(2);
	plugins->refuse_call = 0;
	check_retried_later();
	answer_replay(1, 2, 2);
	check_nth(c, 1, 2);
}

static void test_replay_stops_early(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	tell_nth(5);
	answer_replay(1, 2, 5);
	check_nth(c, 1, 2);
	check_replay(CONV, 2);
	/* The head is ahead of what was heard of. */
	answer_replay(3, 4, 6);
	check_nth(c, 3, 4);
	check_replay(CONV, 4);
	/* Nothing at all: not asked again at once, or it would be asked for ever. */
	answer_replay(1, 0, 6);
	check_not_called(PARLANCE_FEED_REPLAY);
	advance(1000);
	check_replay(CONV, 4);
	answer_replay(5, 5, 6);
	check_nth(c, 5, 5);
	answer_replay(6, 6, 6);
	check_nth(c, 6, 6);
	check_not_called(PARLANCE_FEED_REPLAY);
}

static void test_replay_with_hole(void **state)
{
	struct session *c = connect_and_join("alice");
	const char *log[3];

	(void)state;
	tell_nth(3);
	log[0] = nth(1);
	log[1] = nth(3);
	log[2] = nth(2);
	answer_text(PARLANCE_FEED_REPLAY,
		    json("{'ok':true,'events':[%s,%s],'head':3,'pruned':false}", log[0], log[1]));
	check_nth(c, 1, 1);
	check_silent(c);
	check_replay(CONV, 1);
	/* Repeated ones are passed over. */
	answer_text(PARLANCE_FEED_REPLAY,
		    json("{'ok':true,'events':[%s,%s,%s,%s],'head':3,'pruned':false}", log[0],
			 log[2], log[2], log[1]));
	check_nth(c, 2, 3);
	check_silent(c);
}

/* What the log has no more is missed for good, and the feed goes on behind it. */
static void test_pruned(void **state)
{
	struct session *c = connect_and_join("alice");
	struct session *late = connect_user("bob");

	(void)state;
	tell_nth(8);
	ask(late, 3, "join:conversation", "'%s'", CONV);
	answer_join("editor", 9);
	check_silent(late);
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'events':[%s],'head':9,'pruned':true}", nth(9));
	check_silent(c);
	check_event(late, "conversation:joined", "{}");
	check_ack(late, 3, "{'ok':true}");
	check_not_called(PARLANCE_FEED_REPLAY);
	tell_nth(10);
	check_nth(c, 10, 10);
	check_nth(late, 10, 10);
}

/* An answer that comes when its room is gone is for nobody, also when there is a room of the same
 * name again. */
static void test_replay_of_gone_room(void **state)
{
	struct session *c = connect_and_join("alice");
	struct fake_call *old;

	(void)state;
	tell_nth(2);
	old = call_of(PARLANCE_FEED_REPLAY);
	say(c, "leave:conversation", "'%s'", CONV);
	check_event(c, "conversation:left", "{}");
	conv_seq = 2;
	join(c);
	tell_nth(4);
	fake_call_answer(old, json("{'ok':true,'events':[%s,%s],'head':3,'pruned':false}", nth(1),
				   nth(3)));
	check_silent(c);
	check_replay(CONV, 2);
	answer_replay(3, 4, 4);
	check_nth(c, 3, 4);
}

/* ---- positions ---- */

/* The position that the database was asked to compare with, of this room. */
static int64_t asked_about(const char *room)
{
	const char *ids = param(PARLANCE_FEED_HEADS, 0);
	const char *seqs = param(PARLANCE_FEED_HEADS, 1);
	const char *at = strstr(ids, room);

	assert_non_null(at);
	for (at -= 1; at > ids; at -= ID_UUID_LEN + 1)
		seqs = strchr(seqs + 1, ',');
	return strtoll(seqs + 1, NULL, 10);
}

/* What nobody told of is found by the beat. */
static void test_lost_event(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	plugins->canned[PARLANCE_FEED_HEADS] = NULL;
	tell_nth(1);
	check_nth(c, 1, 1);
	advance(9998); /* the set-up took one */
	check_not_called(PARLANCE_FEED_HEADS);
	advance(1);
	assert_int_equal(asked_about(CONV), 1);
	assert_int_equal(asked_about(ALICE_ROOM), 0);
	answer(PARLANCE_FEED_HEADS,
	       "{'ok':true,'rooms':[{'r':'%s','s':9},{'r':'x'},{'r':'%s','s':3}]}", CONV2, CONV);
	check_replay(CONV, 1);
	answer_replay(2, 3, 3);
	check_nth(c, 2, 3);
	/* Positions that are not ahead, and answers that are none, change nothing. */
	advance(10000);
	answer(PARLANCE_FEED_HEADS, "{'ok':true,'rooms':[{'r':'%s','s':3},{'r':'%s','s':-1}]}",
	       CONV, ALICE_ROOM);
	advance(10000);
	answer_status(PARLANCE_FEED_HEADS, PARLANCE_STORAGE_UNAVAILABLE);
	advance(10000);
	answer(PARLANCE_FEED_HEADS, "{'ok':true,'rooms':'%s'}", CONV);
	check_not_called(PARLANCE_FEED_REPLAY);
	check_silent(c);
	/* While the feed is down there is no telling anyway; it asks when it comes up. */
	fake_storage_feed(plugins, false);
	advance(20000);
	check_not_called(PARLANCE_FEED_HEADS);
	fake_storage_feed(plugins, true);
	assert_int_equal(asked_about(CONV), 3);
	answer(PARLANCE_FEED_HEADS, "{'ok':true,'rooms':[]}");
}

/* All rooms but those whose position is being read; many of them in several requests. */
static void test_feed_up(void **state)
{
	struct session *c = connect_user("alice");
	const size_t n = 1000;
	struct fake_call *heads;

	(void)state;
	config.max_rooms = 2000;
	for (size_t i = 0; i < n; i++) {
		say(c, "join:conversation", "'%08zx-0000-7000-8000-000000000000'", i);
		answer_join("owner", 5);
		forget(c);
	}
	say(c, "join:conversation", "'%s'", CONV);
	plugins->canned[PARLANCE_FEED_HEADS] = NULL;
	fake_storage_feed(plugins, false);
	check_not_called(PARLANCE_FEED_HEADS);
	fake_storage_feed(plugins, true);
	heads = call_of(PARLANCE_FEED_HEADS);
	assert_int_equal(heads->params[0].len, 1 + n * (ID_UUID_LEN + 1));
	assert_null(strstr(heads->params[0].p, CONV));
	answer(PARLANCE_FEED_HEADS, "{'ok':true,'rooms':[]}");
	heads = call_of(PARLANCE_FEED_HEADS);
	assert_int_equal(heads->params[0].len, ID_UUID_LEN + 2);
	answer(PARLANCE_FEED_HEADS, "{'ok':true,'rooms':[]}");
	check_not_called(PARLANCE_FEED_HEADS);
	answer(PARLANCE_CONVERSATION_JOIN, "{'ok':false,'code':'NOT_FOUND'}");
	check_event(c, "error", "{'code':'NOT_FOUND','event':'join:conversation'}");
}

/* ---- who comes in ---- */

/* Events that come while the room's position is being read are either in what is read, or follow
 * it. */
static void test_events_before_position(void **state)
{
	struct session *c = connect_user("alice");

	(void)state;
	ask(c, 1, "join:conversation", "'%s'", CONV);
	tell_nth(1);
	tell_nth(2);
	tell_nth(3);
	check_not_called(PARLANCE_FEED_REPLAY);
	check_silent(c);
	answer_join("owner", 2);
	check_event(c, "conversation:joined", "{}");
	check_ack(c, 1, "{'ok':true}");
	check_replay(CONV, 2);
	answer_replay(3, 3, 3);
	check_nth(c, 3, 3);
	tell_nth(4);
	check_nth(c, 4, 4);
}

/* What was read is ahead of what the room has heard: it is let in when the room has come there, or
 * it would hear what it has read already. */
static void test_join_ahead(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_user("bob");
	struct session *gone = connect_user("bob");

	(void)state;
	tell_nth(1);
	check_nth(a, 1, 1);
	ask(b, 1, "join:conversation", "'%s'", CONV);
	ask(gone, 2, "join:conversation", "'%s'", CONV);
	answer_join("editor", 3);
	answer_join("editor", 2);
	check_replay(CONV, 1);
	session_close(gone, SESSION_TRANSPORT_CLOSE);
	check_silent(b);
	check_silent(a);
	answer_replay(2, 2, 4);
	check_nth(a, 2, 2);
	check_silent(b);
	check_replay(CONV, 2);
	answer_replay(3, 4, 4);
	check_nth(a, 3, 4);
	check_event(b, "conversation:joined", "{}");
	check_ack(b, 1, "{'ok':true}");
	check_nth(b, 4, 4);
	tell_nth(5);
	check_nth(a, 5, 5);
	check_nth(b, 5, 5);
}

/* What was read is behind: it is read again, a few times. */
static void test_join_behind(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_user("bob");

	(void)state;
	tell_nth(1);
	tell_nth(2);
	ask(b, 1, "join:conversation", "'%s'", CONV);
	answer_join("editor", 1);
	check_silent(b);
	answer_join("editor", 2);
	check_event(b, "conversation:joined", "{}");
	check_ack(b, 1, "{'ok':true}");
	say(b, "leave:conversation", "'%s'", CONV);
	forget(b);
	ask(b, 1, "join:conversation", "'%s'", CONV);
	for (unsigned int i = 0; i < 10; i++) {
		check_silent(b);
		answer_join("editor", 1);
	}
	/* Rather than to let him in with a hole behind him. */
	check_refused(b, 1, "UNAVAILABLE");
	check_not_called(PARLANCE_CONVERSATION_JOIN);
	check_nth(a, 1, 2);
}

/* A second tab, likewise with the user's room. */
static void test_session_ahead(void **state)
{
	struct session *a = connect_user("alice");
	struct session *b = open_session();

	(void)state;
	feed(ALICE_ROOM, 1, "conversation.activity", "{'n':1}");
	check_event(a, "conversation:activity", "{'n':1}");
	fake_session_text(b, "0{\"token\":\"t\"}");
	fake_verification_accept(fake_verification_find(plugins), "alice", 0);
	session_seq = 0;
	answer_session("alice"); /* behind */
	session_seq = 2;
	answer_session("alice"); /* ahead */
	check_silent(b);
	check_replay(ALICE_ROOM, 1);
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'events':[%s],'head':2,'pruned':false}",
	       event_of(NULL, ALICE_ROOM, 2, "conversation.activity", "{'n':2}"));
	check_event(a, "conversation:activity", "{'n':2}");
	check_ready(b, "alice");
	check_silent(b);
	feed(ALICE_ROOM, 3, "conversation.activity", "{'n':3}");
	check_event(a, "conversation:activity", "{'n':3}");
	check_event(b, "conversation:activity", "{'n':3}");
}

/* ---- what does not belong there ---- */

static void test_malformed(void **state)
{
	static const char *const texts[] = { "{\"s\":1", "{\"s\":1,}", "{'s':1}", "{}}",
					     "{\"t\":\"\x80\"}" };
	/* Well-formed, and nothing that tabs could be told. */
	static const char *const strange[] = {
		"{}",
		"{\"t\":7,\"b\":{}}",
		"{\"t\":\"message.updated\",\"b\":null}",
		"{\"t\":\"message.updated\",\"b\":[{}]}",
		"{\"t\":\"message.updated\"}",
		"{\"t\":\"message.vanished\",\"c\":[],\"b\":{}}",
		"{\"t\":\"message.finished\",\"b\":{}}",
		"{\"t\":\"message.finished\",\"b\":{\"assistantMessage\":1}}",
		"{\"t\":\"message.finished\",\"c\":[],\"b\":{}}",
		"[{\"t\":\"message.updated\",\"b\":{}}]",
	};
	struct session *c = connect_and_join("alice");
	struct strbuf deep;
	int64_t seq = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		tell(CONV, 1, TYPE, texts[i]);
	strbuf_init(&deep, SIZE_MAX / 2);
	for (size_t i = 0; i < 65; i++)
		strbuf_append_str(&deep, "{\"b\":");
	strbuf_append_str(&deep, "1");
	for (size_t i = 0; i < 65; i++)
		strbuf_append_char(&deep, '}');
	tell(CONV, 1, TYPE, strbuf_cstr(&deep));
	strbuf_fini(&deep);
	tell("not a room", 1, TYPE, nth(1));
	tell(CONV, 0, TYPE, nth(1));
	tell(CONV, -1, TYPE, nth(1));
	fake_storage_message(plugins, "");
	fake_storage_message(plugins, "{\"f\":[[");
	check_silent(c);
	check_not_called(PARLANCE_FEED_REPLAY);
	assert_int_equal(stats().events, 0);
	for (size_t i = 0; i < ARRAY_LEN(strange); i++)
		tell(CONV, ++seq, TYPE, strange[i]);
	assert_int_equal(stats().events, ARRAY_LEN(strange));
	check_silent(c);
	tell_nth(seq + 1);
	check_nth(c, seq + 1, seq + 1);
}

/* What happens between the reading of a user's first session and its answer is not found when
 * positions are compared, but at once. */
static void test_told_while_coming_in(void **state)
{
	struct session *c = open_session();

	(void)state;
	fake_session_text(c, "0{\"token\":\"t\"}");
	fake_verification_accept(fake_verification_find(plugins), "alice", 0);
	feed(ALICE_ROOM, 5, "published", "{'event':'app:x','data':{}}");
	session_seq = 4;
	answer_session("alice");
	check_ready(c, "alice");
	check_param(PARLANCE_FEED_REPLAY, 1, "4");
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'head':5,'pruned':false,'events':[%s]}",
	       event_of(NULL, ALICE_ROOM, 5, "published", "{'event':'app:x','data':{}}"));
	check_event(c, "app:x", "{}");
	/* What the session has already is not read again. */
	close_sessions();
	turn();
	session_seq = 5;
	(void)connect_user("alice");
	check_not_called(PARLANCE_FEED_REPLAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_in_order),
		core_test(test_duplicates),
		core_test(test_shuffled),
		core_test(test_event_behind_replay),
		core_test(test_without_body),
		core_test(test_rooms_apart),
		core_test(test_users_behind),
		core_test(test_replay_fails),
		core_test(test_replay_not_taken),
		core_test(test_replay_stops_early),
		core_test(test_replay_with_hole),
		core_test(test_pruned),
		core_test(test_replay_of_gone_room),
		core_test(test_lost_event),
		core_test(test_feed_up),
		core_test(test_events_before_position),
		core_test(test_join_ahead),
		core_test(test_join_behind),
		core_test(test_session_ahead),
		core_test(test_malformed),
		core_test(test_told_while_coming_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
