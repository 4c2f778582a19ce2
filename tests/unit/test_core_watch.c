/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Answers of other instances for the tabs here: what is asked for, and what tabs get of what comes,
 * whatever of it is lost, doubled, cut, or forged.
 */
#include "core_cluster_fixture.h"

static void test_watch(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_and_join("bob");

	(void)state;
	hold_mail();
	others_answer_begins();
	check_event(a, "ai:typing:start", "{'streamId':'%s'}", STREAM);
	check_event(b, "ai:typing:start", "{'streamId':'%s'}", STREAM);
	check_mail_to(0, "['w','%s',0]", MESSAGE);
	receive(8, "['c','%s',0,5,'Hello']", MESSAGE);
	check_chunk(a, 1, 0, "Hello");
	check_chunk(b, 1, 0, "Hello");
	advance(40);
	/* Twice, and more of it; \u00e9 is one of UTF-16, and two of the owner's. */
	receive(8, "['c','%s',0,5,'Hello']", MESSAGE);
	receive(8, "['c','%s',2,5,'ll']", MESSAGE);
	check_silent(a);
	receive(8, "['c','%s',3,8,'lo\\u00e9!']", MESSAGE);
	check_chunk(a, 2, 5, "\xc3\xa9!");
	check_chunk(b, 2, 5, "\xc3\xa9!");
	advance(40);
	receive(8, "['c','%s',8,9,'?'],['c','%s',9,10,'.']", MESSAGE, MESSAGE);
	check_chunk(a, 3, 7, "?.");
	check_chunk(b, 3, 7, "?.");
	/* The want is renewed while it runs: five seconds after the first piece, not the last. */
	advance(4919);
	check_no_mail();
	advance(1);
	check_mail_to(8, "['w','%s',10]", MESSAGE);
	/* The end brings the rest. */
	others_answer_ends("Hello\xc3\xa9!?.Bye");
	check_chunk(a, 4, 9, "Bye");
	check_end(a);
	check_chunk(b, 4, 9, "Bye");
	check_end(b);
	receive(8, "['c','%s',10,11,'x']", MESSAGE);
	advance(20000);
	check_silent(a);
	check_no_mail();
}

/* What is missing is asked for, once. */
static void test_hole(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	hold_mail();
	others_answer_begins();
	check_event(c, "ai:typing:start", "{}");
	check_mail_to(0, "['w','%s',0]", MESSAGE);
	receive(8, "['c','%s',0,2,'ab']", MESSAGE);
	check_chunk(c, 1, 0, "ab");
	advance(40);
	receive(8, "['c','%s',4,5,'e']", MESSAGE);
	check_mail_to(8, "['w','%s',2]", MESSAGE);
	receive(8, "['c','%s',5,6,'f']", MESSAGE);
	receive(8, "['c','%s',6,7,'g']", MESSAGE);
	advance(199);
	check_no_mail();
	check_silent(c);
	advance(1);
	check_mail_to(8, "['w','%s',2]", MESSAGE);
	receive(8, "['c','%s',2,7,'cdefg']", MESSAGE);
	check_chunk(c, 2, 2, "cdefg");
	advance(40);
	receive(8, "['c','%s',9,10,'j']", MESSAGE);
	check_mail_to(8, "['w','%s',7]", MESSAGE);
	receive(8, "['c','%s',7,10,'hij']", MESSAGE);
	check_chunk(c, 3, 7, "hij");
	advance(4999);
	check_no_mail();
	others_answer_ends("abcdefghij");
	check_end(c);
}

/* Nothing comes: it is asked for less and less often, at last of everybody again. */
static void test_owner_changes(void **state)
{
	static const struct {
		uint64_t after;
		int to;
	} asked[] = { { 5000, 8 }, { 1000, 8 }, { 2000, 0 }, { 3000, 0 }, { 4000, 0 },
		      { 5000, 0 }, { 5000, 0 } };
	struct session *c = connect_and_join("alice");

	(void)state;
	hold_mail();
	others_answer_begins();
	check_event(c, "ai:typing:start", "{}");
	check_mail_to(0, "['w','%s',0]", MESSAGE);
	advance(1000);
	check_mail_to(0, "['w','%s',0]", MESSAGE);
	receive(8, "['c','%s',0,2,'ab']", MESSAGE);
	check_chunk(c, 1, 0, "ab");
	for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
		advance(asked[i].after - 1);
		check_no_mail();
		advance(1);
		check_mail_to(asked[i].to, "['w','%s',2]", MESSAGE);
	}
	receive(9, "['c','%s',2,4,'cd']", MESSAGE);
	check_chunk(c, 2, 2, "cd");
	advance(5000);
	check_mail_to(9, "['w','%s',4]", MESSAGE);
	others_answer_ends("abcd");
	check_end(c);
}

/* How often it is asked for within two minutes. */
static unsigned int count_asked(void)
{
	unsigned int n = 0;

	for (int i = 0; i < 120; i++) {
		turn();
		for (; fake_call_find(plugins, PARLANCE_INSTANCE_SEND); n++)
			check_mail_to(0, "['w','%s',0]", MESSAGE);
		advance(1000);
	}
	return n;
}

/* Nobody has it: it is over, and nobody said so. While the feed is down, the end would not be
 * heard, and it is asked for on and on. */
static void test_nobody_has_it(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	hold_mail();
	others_answer_begins();
	check_event(c, "ai:typing:start", "{}");
	assert_int_equal(count_asked(), 16);
	assert_int_equal(count_asked(), 0);
	others_answer_ends("");
	check_end(c);
	others_answer_begins();
	check_event(c, "ai:typing:start", "{}");
	fake_storage_feed(plugins, false);
	assert_true(count_asked() > 20);
	assert_true(count_asked() > 20);
	fake_storage_feed(plugins, true);
	assert_in_range(count_asked(), 10, 16);
	assert_int_equal(count_asked(), 0);
	others_answer_ends("");
	check_end(c);
}

/* Who comes in while it runs gets one snapshot, and what follows it. */
static void test_join(void **state)
{
	struct session *a = connect_user("alice");
	struct session *b = connect_user("bob");
	struct session *late = connect_user("carol");

	(void)state;
	hold_mail();
	join_active(a, STREAM_JSON);
	check_mail_to(0, "['w','%s',0]", MESSAGE);
	receive(8, "['c','%s',0,7,'Hel']", MESSAGE);
	join_active(b, STREAM_JSON);
	check_silent(a);
	check_silent(b);
	check_no_mail(); /* asked already */
	receive(8, "['c','%s',3,7,'lo!!']", MESSAGE);
	check_others_snapshot(a, 0, "Hello!!");
	check_others_snapshot(b, 0, "Hello!!");
	receive(8, "['c','%s',7,8,'?']", MESSAGE);
	check_chunk(a, 1, 7, "?");
	check_chunk(b, 1, 7, "?");
	receive(8, "['c','%s',8,9,'x']", MESSAGE);
	check_silent(a);
	/* All that there is now: what the others get as a chunk is in the snapshot. */
	join_active(late, STREAM_JSON);
	check_others_snapshot(late, 2, "Hello!!?x");
	check_chunk(a, 2, 8, "x");
	check_chunk(b, 2, 8, "x");
	check_silent(late);
	advance(40);
	receive(8, "['c','%s',9,10,'y']", MESSAGE);
	check_chunk(late, 3, 9, "y");
	forget(a);
	forget(b);
	others_answer_ends("Hello!!?xy");
	check_end(late);
	check_end(a);
	check_end(b);
}

/* It ends before the tabs have its text: they get that with the end, and no piece of it. */
static void test_ends_early(void **state)
{
	struct session *c = connect_user("alice");

	(void)state;
	hold_mail();
	join_active(c, STREAM_JSON);
	check_mail_to(0, "['w','%s',0]", MESSAGE);
	receive(8, "['c','%s',0,7,'Hel']", MESSAGE);
	others_answer_ends("Hello!!");
	check_end(c);
	/* Another text than what was sent, of whatever length. */
	for (int i = 0; i < 2; i++) {
		others_answer_begins();
		check_event(c, "ai:typing:start", "{}");
		check_mail_to(0, "['w','%s',0]", MESSAGE);
		receive(8, "['c','%s',0,3,'Hel']", MESSAGE);
		check_chunk(c, 1, 0, "Hel");
		others_answer_ends(i ? "Goodbye" : "He");
		check_end(c);
		check_silent(c);
		advance(1000);
	}
	advance(20000);
	check_no_mail();
}

/* Nobody here watches any more. */
static void test_leave(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_and_join("bob");

	(void)state;
	hold_mail();
	others_answer_begins();
	check_mail_to(0, "['w','%s',0]", MESSAGE);
	receive(8, "['c','%s',0,5,'Hello']", MESSAGE);
	session_close(b, SESSION_TRANSPORT_CLOSE);
	turn();
	check_no_mail();
	ask(a, 1, "leave:conversation", "'%s'", CONV);
	check_mail_to(8, "['u','%s']", MESSAGE);
	receive(8, "['c','%s',5,6,'!']", MESSAGE);
	advance(20000);
	check_no_mail();
	/* With the next one it begins anew. */
	forget(a);
	join_active(a, STREAM_JSON);
	check_mail_to(0, "['w','%s',0]", MESSAGE);
	receive(8, "['c','%s',0,6,'Hello!']", MESSAGE);
	check_others_snapshot(a, 0, "Hello!");
	others_answer_ends("Hello!");
	check_end(a);
	/* While nobody is in the room nobody asks. */
	session_close(a, SESSION_TRANSPORT_CLOSE);
	turn();
	others_answer_begins();
	check_no_mail();
}

/* Who comes in by sending a message sees what runs elsewhere too. */
static void test_join_by_sending(void **state)
{
	struct session *c = connect_user("alice");
	struct turn t;

	(void)state;
	hold_mail();
	ask(c, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
	answer(PARLANCE_CONVERSATION_JOIN,
	       "{'ok':true,'role':'owner','seq':0,'ack':{'ok':true,'activeStream':%s}}",
	       STREAM_JSON);
	check_event(c, "conversation:joined", "{}");
	check_mail_to(0, "['w','%s',0]", MESSAGE);
	t = submitted();
	receive(8, "['c','%s',0,5,'Hello']", MESSAGE);
	check_others_snapshot(c, 0, "Hello");
	answer_sent(&t, "queued", NULL);
	check_ack(c, 1, "{'ok':true}");
	ask_stop(c, 2);
	check_ack(c, 2, "{'ok':true,'stopped':true}");
	check_stopped(&t, "");
	forget(c);
	others_answer_ends("Hello");
	check_end(c);
}

/* ---- what nobody should say ---- */

static void test_garbage(void **state)
{
	static const char *const texts[] = {
		"['c']",
		"['c','" MESSAGE "',2,3]",
		"['c','" MESSAGE "',2,3,7]",
		"['c','" MESSAGE "',2,3,null]",
		"['c','" MESSAGE "',2,3,'c',1]",
		"['c','" MESSAGE "','2',3,'c']",
		"['c','" MESSAGE "',-1,3,'abc']",
		"['c','" MESSAGE "',2.0,3,'c']",
		"['c','" MESSAGE "',2,2147483648,'c']",
		"['c','" MESSAGE "',2147483648,3,'c']",
		"['c','x',2,3,'c']",
		"['c',7,2,3,'c']",
		"['c','" MESSAGE "',2,3,'\\u0000']",
		"['c','" MESSAGE "',2,3,'']",
		"['c','" CONV2 "',2,3,'c']",
		"['w']", "['w','" MESSAGE "']", "['w','" MESSAGE "','0']", "['w','x',0]",
		"['w','" MESSAGE "',-1]", "['w','" MESSAGE "',0,0]", "['w','" MESSAGE "',0]",
		"['u']", "['u','x']", "['u','" MESSAGE "',1]", "['u','" MESSAGE "']",
	};
	struct session *c = connect_and_join("alice");

	(void)state;
	hold_mail();
	others_answer_begins();
	check_event(c, "ai:typing:start", "{}");
	check_mail_to(0, "['w','%s',0]", MESSAGE);
	receive(8, "['c','%s',0,2,'ab']", MESSAGE);
	check_chunk(c, 1, 0, "ab");
	advance(40);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		receive(9, "%s", texts[i]);
		advance(10);
		check_silent(c);
		check_no_mail();
	}
	receive(8, "['c','%s',2,3,'c']", MESSAGE);
	check_chunk(c, 2, 2, "c");
	others_answer_ends("abc");
	check_end(c);
}

/* What cannot be followed is not; the end tells. */
static void test_not_followed(void **state)
{
	static const char *const texts[] = {
		"['c','" MESSAGE "',0,2,'\\u00e9']", /* the cut is within a character */
		"['c','" MESSAGE "',1,30,'0123456789012345678901234567890']", /* too long */
	};
	struct session *c = connect_and_join("alice");

	(void)state;
	chat.max_answer_bytes = 20;
	hold_mail();
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		others_answer_begins();
		check_event(c, "ai:typing:start", "{}");
		check_mail_to(0, "['w','%s',0]", MESSAGE);
		receive(8, "['c','%s',0,1,'a']", MESSAGE);
		check_chunk(c, 1, 0, "a");
		advance(40);
		receive(8, "%s", texts[i]);
		receive(8, "['c','%s',1,2,'b']", MESSAGE);
		advance(20000);
		check_silent(c);
		check_no_mail();
		others_answer_ends("abc");
		check_end(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_watch),
		core_test(test_hole),
		core_test(test_owner_changes),
		core_test(test_nobody_has_it),
		core_test(test_join),
		core_test(test_ends_early),
		core_test(test_leave),
		core_test(test_join_by_sending),
		core_test(test_garbage),
		core_test(test_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
