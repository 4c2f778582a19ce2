/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Offsets: what follows each event of a client whose connection can be recovered, what such a
 * client may bring back, and what becomes of it when that is of no use.
 */
#include "core_recovery_fixture.h"

/* ---- behind events ---- */

static void test_offsets(void **state)
{
	struct session *c;

	(void)state;
	session_seq = 5;
	c = connect_user("alice");
	assert_string_equal(taken_offset, "e1.5");
	conv_seq = 41;
	ask(c, 1, "join:conversation", "'%s'", CONV);
	answer_join("owner", conv_seq);
	check_at(c, "e1.5." TAG "~41", "conversation:joined", "{}");
	check_ack(c, 1, "{'ok':true}");
	assert_string_equal(taken_offset, "");
	/* While an event is told, it says how much of it was. */
	next_event(TYPE, "{}");
	check_at(c, "e1.5." TAG "~41-1", "message:updated", "{}");
	say(c, "ping", "null");
	check_at(c, "e1.5." TAG "~42", "pong", "{}");
	next_event("conversation.updated", "{'update':{}}");
	check_at(c, "e1.5." TAG "~42-1", "conversation:update", "{}");
	check_at(c, "e1.5." TAG "~42-2", "conversation:updated", "{}");
	feed(ALICE_ROOM, 6, "conversation.created", "{'id':1}");
	check_at(c, "e1.5-1." TAG "~43", "conversation:create", "{}");
	check_at(c, "e1.5-2." TAG "~43", "conversation:created", "{}");
	/* An event that nobody is told of is one. */
	next_event("message.vanished", "{}");
	/* Rooms in the order in which it came into them. */
	ask(c, 2, "join:conversation", "'%s'", CONV2);
	answer_join("owner", 7);
	check_at(c, "e1.6." TAG "~44." TAG2 "~7", "conversation:joined", "{}");
	check_ack(c, 2, "{'ok':true}");
	ask(c, 3, "leave:conversation", "'%s'", CONV);
	check_at(c, "e1.6." TAG2 "~7", "conversation:left", "{}");
	check_ack(c, 3, "{'ok':true}");
}

/* An answer's end is several messages; those between events have the offset of the last one. */
static void test_offsets_of_answer(void **state)
{
	struct session *c = connect_user("alice");
	struct turn t;

	(void)state;
	join(c);
	t = start_answer(c);
	assert_string_equal(taken_offset, "e1.0." TAG "~0-1");
	delta("Hello");
	check_at(c, "e1.0." TAG "~1", "message:chunk", "{}");
	end_answer(PARLANCE_FINISH_STOP);
	settle(&t, "complete", "stop");
	check_at(c, "e1.0." TAG "~1-1", "ai:typing:stop", "{}");
	check_at(c, "e1.0." TAG "~1-2", "message:complete", "{}");
	t = start_answer(c);
	end_answer(PARLANCE_FINISH_CUT);
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	tell_finished(&t, "failed", "");
	check_at(c, "e1.0." TAG "~3-1", "ai:typing:stop", "{}");
	check_at(c, "e1.0." TAG "~3-2", "message:error", "{}");
	check_at(c, "e1.0." TAG "~3-2", "error", "{}");
}

/* Each socket has one of its own. */
static void test_offsets_apart(void **state)
{
	struct session *a = connect_user("alice");
	struct session *tab = connect_user("alice");
	struct session *b = connect_user("bob");

	(void)state;
	join(a);
	join(b);
	feed(ALICE_ROOM, 1, "conversation.activity", "{}");
	check_at(a, "e1.0-1." TAG "~0", "conversation:activity", "{}");
	check_at(tab, "e1.0-1", "conversation:activity", "{}");
	next_event(TYPE, "{}");
	check_at(a, "e1.1." TAG "~0-1", "message:updated", "{}");
	check_at(b, "e1.0." TAG "~0-1", "message:updated", "{}");
	check_silent(tab);
}

/* Too many rooms for one offset: what is said then is none. */
static void test_offset_too_long(void **state)
{
	struct session *c = connect_user("alice");
	char id[ID_UUID_LEN + 1];
	int n = 0;

	(void)state;
	do {
		id_uuid7(id);
		ask(c, 1, "join:conversation", "'%s'", id);
		answer(PARLANCE_CONVERSATION_JOIN,
		       "{'ok':true,'role':'owner','seq':%" PRId64 ",'ack':{'ok':true}}", INT64_MAX);
		check_event(c, "conversation:joined", "{}");
		check_ack(c, 1, "{'ok':true}");
		say(c, "ping", "null");
		check_event(c, "pong", "{}");
		n++;
	} while (strcmp(taken_offset, "-") != 0 && n < 200);
	/* 4 bytes for the user, 43 for each. */
	assert_int_equal(n, (SIO_OFFSET_MAX - 4) / 43 + 1);
	ask(c, 2, "leave:conversation", "'%s'", id);
	check_event(c, "conversation:left", "{}");
	assert_int_equal(strlen(taken_offset), 4 + 43 * (n - 1));
}

/* ---- what clients bring ---- */

static void test_bad_offsets(void **state)
{
	static const char *const offsets[] = {
		"-", "e1", "e1.", ".1", "e1.x", "e1.-1", "e1.+1", "e1. 1", "e1.1 ",
		"e1.1x", "e1.1.", "e1.1-", "e1.1-x", "e1.1-1-1", "e1.1-32768",
		"e1.9223372036854775808", "e1.99999999999999999999999999999999",
		"12345678901234567.1", "e1.1~1", "e1.1." TAG, "e1.1." TAG "~", "e1.1." TAG "~x",
		"e1.1." TAG "~-1", "e1.1." TAG "~1.", "e1.1." TAG "~1~1", "e1.1." TAG "=~1",
		"e1.1.ERERERERQRGBEREREREREQ==~1", "e1.1.ERERERERQRGBERERERERE~1",
		"e1.1.!!!!!!!!!!!!!!!!!!!!!!~1", "e1.1." TAG "~1-99999",
		"e1.1." TAG "~9223372036854775808", "e1.1." TAG "~1." TAG "~1",
		"e1.1." TAG "~1." TAG2 "~1." TAG "~2",
		/* a user's room is no conversation */
		"e1.1.qqqqqqqqiqqKqqqqqqqqYQ~1",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
		struct session *c = come_with("alice", PID, offsets[i]);

		check_anew(c);
		session_close(c, SESSION_TRANSPORT_CLOSE);
		turn();
	}
}

static void test_bad_pids(void **state)
{
	static const char *const pids[] = { "", "x", "pid-_AZaz09abcdefghij:e1.0",
					    "pid-_AZaz09abcdefghijkl:e1.0",
					    "pid-_AZaz09abcdefghij!:e1.0", PID_TOKEN,
					    "pid-_AZaz09abcdefghij\xc3\xa9:e1.0",
					    "pid-_AZaz09abcdefghij\\u0000:e1.0",
					    PID_TOKEN ":01234567890123456789012345678901234567890"
						      "1234567890123456789" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pids); i++)
		check_anew(come_with("alice", pids[i], "e1.0"));
}

/* Cut off before its first event, it has the pid alone. */
static void test_no_offset(void **state)
{
	struct session *c = open_session();

	(void)state;
	fake_session_text(c, json("0{'token':'t','pid':'%s'}", PID));
	fake_verification_accept(fake_verification_find(plugins), "alice", 0);
	check_param(PARLANCE_SESSION_OPEN, 1, PID_TOKEN);
	check_param(PARLANCE_SESSION_OPEN, 3, "e1");
	check_param(PARLANCE_SESSION_OPEN, 4, "{}");
	check_param(PARLANCE_SESSION_OPEN, 5, "{0}");
	answer_recovered(json("[%s]", room_json(ALICE_ROOM, "", 0, ",'events':[]")));
	check_recovered(c, "e1.0");
}

static void check_begins_anew(struct session *c)
{
	struct fake_message *m = fake_session_take(c);

	assert_non_null(m);
	assert_null(strstr(m->text, PID));
	fake_message_free(&m);
	check_at(c, "e1.0", "session:ready", "{'recovered':false}");
	check_silent(c);
}

/* As large as they may be: whether there is such a position the storage knows. */
static void test_large_offsets(void **state)
{
	struct session *c;
	struct strbuf offset;

	(void)state;
	c = come_back("1234567890123456.9223372036854775807-32767." TAG "~9223372036854775807");
	check_param(PARLANCE_SESSION_OPEN, 3, "1234567890123456");
	check_param(PARLANCE_SESSION_OPEN, 5, "{9223372036854775807,9223372036854775807}");
	answer_session("alice");
	check_begins_anew(c);
	/* The longest, and one that is longer. */
	strbuf_init(&offset, SIZE_MAX / 2);
	strbuf_append_str(&offset, "e1.1");
	for (unsigned int i = 0; offset.len + 26 <= SIO_OFFSET_MAX; i++)
		strbuf_printf(&offset, ".ERERERERQRGBERERERE%c%cQ~%u",
			      'A' + (int)(i / 26), 'A' + (int)(i % 26), i % 10);
	while (offset.len < SIO_OFFSET_MAX)
		strbuf_append_char(&offset, '1');
	c = come_back(strbuf_cstr(&offset));
	answer_session("alice");
	check_begins_anew(c);
	strbuf_append_char(&offset, '1');
	check_anew(come_with("alice", PID, strbuf_cstr(&offset)));
	strbuf_fini(&offset);
}

/* ---- not recovered ---- */

/* Too much was missed, the log is too short, or it is another database's. */
static void test_refused(void **state)
{
	struct session *c = come_back("e0.3." TAG "~5");

	(void)state;
	answer_session("alice");
	check_begins_anew(c);
	check_not_called(PARLANCE_SESSION_OPEN);
	feed(CONV, 6, TYPE, "{}");
	check_silent(c);
	feed(ALICE_ROOM, 1, "conversation.activity", "{}");
	check_at(c, "e1.0-1", "conversation:activity", "{}");
	/* The storage is away: it is to come again, as it came. */
	c = come_back("e1.3." TAG "~5");
	answer_status(PARLANCE_SESSION_OPEN, PARLANCE_STORAGE_UNAVAILABLE);
	check_closed(c, SESSION_FORCED_CLOSE);
	check_silent(c);
}

/* Somebody else's pid gives him neither the connection nor the rooms. */
static void test_foreign_pid(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *c = come_with("bob", PID, "e1.0." TAG "~0");

	(void)state;
	check_param(PARLANCE_SESSION_OPEN, 0, "bob");
	answer(PARLANCE_SESSION_OPEN,
	       "{'ok':true,'room':'%s','seq':0,'epoch':'e1','socket':'%s','recovered':true,"
	       "'rooms':[%s],'streams':[]}",
	       BOB_ROOM, SID, room_json(BOB_ROOM, "", 0, ""));
	check_recovered(c, "e1.0");
	assert_false(a->closed);
	next_event(TYPE, "{}");
	check_event(a, "message:updated", "{}");
	check_silent(c);
}

/* An answer of the storage that is none. */
static void test_malformed(void **state)
{
	static const char *const rooms[] = {
		"null",
		"7",
		"{}",
		"[]",
		"[7]",
		"[{'id':'x','role':'','seq':0}]",
		"[{'role':'','seq':0}]",
		"[{'id':'" ALICE_ROOM "','role':'','seq':-1}]",
		"[{'id':'" ALICE_ROOM "','role':''}]",
		"[{'id':'" ALICE_ROOM "','role':7,'seq':0}]",
		"[{'id':'" BOB_ROOM "','role':'','seq':0}]",
		"[{'id':'" CONV "','role':'owner','seq':0}]",
		"[{'id':'" ALICE_ROOM "','role':'','seq':0},"
		"{'id':'" CONV2 "','role':'owner','seq':0}]",
		"[{'id':'" ALICE_ROOM "','role':'','seq':0},"
		"{'id':'" CONV "','role':'owner','seq':0},{'id':'" CONV "','role':'','seq':0}]",
	};
	struct session *c = come_back("e1.0." TAG "~0");
	struct core_stats stats;

	(void)state;
	/* One that does not even tell of the session. */
	answer(PARLANCE_SESSION_OPEN, "{'ok':true,'recovered':true,'rooms':[]}");
	check_anew(c);
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	for (size_t i = 0; i < ARRAY_LEN(rooms); i++) {
		c = come_back("e1.0." TAG "~0");
		answer_recovered(json("%s", rooms[i]));
		check_anew(c);
		session_close(c, SESSION_TRANSPORT_CLOSE);
		turn();
		core_stats(core, &stats);
		assert_int_equal(stats.rooms, 0);
	}
}

/* Events that are not those that are missing are not told. */
static void test_odd_events(void **state)
{
	static const char *const lists[] = { "[{'s':3},{'s':4},7,null,'x',[],{}]", "7", "{}" };

	struct session *c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		c = come_back("e1.0." TAG "~1");
		answer_recovered(json("[%s,%s]", room_json(ALICE_ROOM, "", 0, ""),
				      room_json(CONV, "owner", 2, json(",'events':%s", lists[i]))));
		check_recovered(c, "e1.0." TAG "~1");
		check_silent(c);
		session_close(c, SESSION_TRANSPORT_CLOSE);
		turn();
	}
	/* Of one that it should not know yet the feed tells. */
	c = come_back("e1.0." TAG "~1");
	answer_recovered(json("[%s,%s]", room_json(ALICE_ROOM, "", 0, ""),
			      room_json(CONV, "owner", 2, json(",'events':[%s,%s]",
							       missed(CONV, 2), missed(CONV, 3)))));
	check_recovered(c, "e1.0." TAG "~1");
	check_event(c, "message:updated", "{'n':2}");
	check_silent(c);
	feed(CONV, 3, TYPE, "{'n':3}");
	check_at(c, "e1.0." TAG "~2-1", "message:updated", "{'n':3}");
}

/* ---- switched off ---- */

static void test_off(void **state)
{
	struct session *c;

	(void)state;
	chat.recovery_window_s = 0;
	c = come_with("alice", PID, "e1.0." TAG "~0");
	check_asked_anew();
	answer_session("alice");
	check_sent(c, json("0{'sid':'socket-%015u'}", sockets_named));
	check_at(c, "", "session:ready", "{'recovered':false}");
	join(c);
	next_event(TYPE, "{}");
	check_at(c, "", "message:updated", "{}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		recovery_test(test_offsets),
		recovery_test(test_offsets_of_answer),
		recovery_test(test_offsets_apart),
		recovery_test(test_offset_too_long),
		recovery_test(test_bad_offsets),
		recovery_test(test_bad_pids),
		recovery_test(test_no_offset),
		recovery_test(test_large_offsets),
		recovery_test(test_refused),
		recovery_test(test_foreign_pid),
		recovery_test(test_malformed),
		recovery_test(test_odd_events),
		recovery_test(test_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
