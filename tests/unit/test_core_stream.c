/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The pieces of an answer on their way to the tabs: when they leave, what they say, and what those
 * get who come late or cannot keep up.
 */
#include "core_answer_fixture.h"

static struct session *join_delta(const char *user)
{
	struct session *c = connect_with(user, "{'token':'t','stream':'delta'}");

	join(c);
	return c;
}

static void check_chunk(struct session *c, int64_t seq, int64_t offset, const char *chunk,
			const char *content)
{
	check_event(c, "message:chunk", "{'conversationId':'%s'}", CONV);
	assert_int_equal(taken_number("seq"), seq);
	assert_int_equal(taken_number("offset"), offset);
	assert_string_equal(taken_text("chunk"), chunk);
	if (content)
		assert_string_equal(taken_text("content"), content);
	else
		assert_false(taken_has("content"));
}

static void check_snapshot(struct session *c, const struct turn *t, int64_t seq,
			   const char *content)
{
	check_event(c, "message:snapshot",
		    "{'conversationId':'%s','assistantMessageId':'%s','streamId':'%s',"
		    "'status':'streaming'}",
		    CONV, t->message, t->stream);
	assert_int_equal(taken_number("seq"), seq);
	assert_string_equal(taken_text("content"), content);
}

static void end_turn(struct turn *t)
{
	end_answer(PARLANCE_FINISH_STOP);
	settle(t, "complete", "stop");
}

/* ---- pace ---- */

/* The first piece at once, then at most one in an interval; after a silence at once again. */
static void test_pace(void **state)
{
	struct session *full = connect_and_join("alice");
	struct session *delta_c = join_delta("bob");
	struct turn t = start_answer(full);

	(void)state;
	forget(delta_c);
	delta("a");
	check_chunk(full, 1, 0, "a", "a");
	check_chunk(delta_c, 1, 0, "a", NULL);
	delta("b");
	advance(39);
	delta("c");
	check_silent(full);
	check_silent(delta_c);
	advance(1);
	check_chunk(full, 2, 1, "bc", "abc");
	check_chunk(delta_c, 2, 1, "bc", NULL);
	advance(1000);
	check_silent(full);
	delta("d");
	check_chunk(full, 3, 3, "d", "abcd");
	check_chunk(delta_c, 3, 3, "d", NULL);
	end_turn(&t);
}

/* With the whole text in each frame the pace falls with its length; not so without. */
static void test_pace_of_length(void **state)
{
	struct session *full = connect_and_join("alice");
	struct session *delta_c = join_delta("bob");
	struct turn t = start_answer(full);
	char text[100];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	chat.full_bytes_per_s = 1; /* the first one leaves at once whatever its length */
	delta(text);
	chat.full_bytes_per_s = 1000; /* a byte each millisecond */
	check_event(full, "message:chunk", "{'seq':1}");
	forget(delta_c);
	delta("y"); /* 100 bytes now */
	advance(39);
	check_silent(delta_c);
	advance(1);
	check_chunk(delta_c, 2, 99, "y", NULL);
	delta("z");
	advance(40);
	check_chunk(delta_c, 3, 100, "z", NULL);
	advance(19);
	check_silent(full);
	advance(1);
	check_event(full, "message:chunk", "{'seq':2,'offset':99,'chunk':'yz'}");
	assert_int_equal(strlen(taken_text("content")), 101);
	/* Not below the interval of all. */
	chat.full_bytes_per_s = 1000000;
	delta("1");
	advance(39);
	check_silent(full);
	advance(1);
	check_event(full, "message:chunk", "{'seq':3,'offset':101,'chunk':'1'}");
	end_turn(&t);
}

static void test_no_pace(void **state)
{
	struct session *full = connect_and_join("alice");
	struct session *delta_c = join_delta("bob");
	struct turn t = start_answer(full);

	(void)state;
	forget(delta_c);
	chat.chunk_interval_ms = 0;
	delta("a");
	delta("b");
	delta("c");
	check_chunk(full, 1, 0, "a", "a");
	check_chunk(full, 2, 1, "b", "ab");
	check_chunk(full, 3, 2, "c", "abc");
	check_chunk(delta_c, 1, 0, "a", NULL);
	check_chunk(delta_c, 2, 1, "b", NULL);
	check_chunk(delta_c, 3, 2, "c", NULL);
	/* What comes in one turn leaves as one. */
	fake_answer_delta(provider(), PARLANCE_DELTA_TEXT, slice_str("d"));
	fake_answer_delta(provider(), PARLANCE_DELTA_TEXT, slice_str("e"));
	check_chunk(full, 4, 3, "de", "abcde");
	check_chunk(delta_c, 4, 3, "de", NULL);
	end_turn(&t);
}

/* All text is out before the room hears that there is no more. */
static void test_last_piece(void **state)
{
	struct session *full = connect_and_join("alice");
	struct session *delta_c = join_delta("bob");
	struct turn t = start_answer(full);

	(void)state;
	forget(delta_c);
	delta("a");
	delta("b");
	check_chunk(full, 1, 0, "a", "a");
	check_chunk(delta_c, 1, 0, "a", NULL);
	end_answer(PARLANCE_FINISH_STOP);
	check_chunk(full, 2, 1, "b", "ab");
	check_chunk(delta_c, 2, 1, "b", NULL);
	advance(1000);
	settle(&t, "complete", "stop");
	for (size_t i = 0; i < 2; i++) {
		struct session *c = i ? full : delta_c;

		check_event(c, "ai:typing:stop", "{'streamId':'%s'}", t.stream);
		check_event(c, "message:complete", "{}");
		check_silent(c);
	}
}

/* ---- text ---- */

/* Offsets are in UTF-16 code units, and all pieces together are the content. */
static void test_offsets(void **state)
{
	static const struct {
		const char *text;
		int64_t units;
	} pieces[] = {
		{ "a", 1 },
		{ "\xc3\xa9", 1 },                 /* é */
		{ "\xe2\x82\xac", 1 },             /* € */
		{ "\xf0\x9f\x98\x80", 2 },         /* an emoji: a surrogate pair */
		{ "e\xcc\x81", 2 },                /* e and a combining accent */
		{ "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb", 5 }, /* joined emoji */
		{ "\"\\/\n\t\x01\x7f", 7 },
		{ "\xe2\x80\xa8\xef\xbf\xbd\xef\xbb\xbf", 3 },
		{ "\xf4\x8f\xbf\xbf", 2 },
		{ "'", 1 },
	};
	struct session *full = connect_and_join("alice");
	struct session *delta_c = join_delta("bob");
	struct turn t = start_answer(full);
	char all[256] = "";
	int64_t offset = 0;

	(void)state;
	chat.chunk_interval_ms = 0;
	forget(delta_c);
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		size_t len = strlen(all);

		(void)snprintf(all + len, sizeof(all) - len, "%s", pieces[i].text);
		delta(pieces[i].text);
		check_chunk(full, (int64_t)i + 1, offset, pieces[i].text, all);
		check_chunk(delta_c, (int64_t)i + 1, offset, pieces[i].text, NULL);
		offset += pieces[i].units;
	}
	end_answer(PARLANCE_FINISH_STOP);
	check_finish(&t, "complete", "stop", all);
	settle(&t, "complete", "stop");
}

/* A frame is made once for all of a mode. */
static void test_shared(void **state)
{
	struct session *c[4] = { connect_and_join("alice"), connect_and_join("bob"),
				 join_delta("alice"), join_delta("bob") };
	struct turn t = start_answer(c[0]);
	struct fake_message *m[4];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		forget(c[i]);
	delta("a");
	for (size_t i = 0; i < 4; i++) {
		m[i] = fake_session_take(c[i]);
		assert_non_null(m[i]);
	}
	assert_ptr_equal(m[0]->frame, m[1]->frame);
	assert_ptr_equal(m[2]->frame, m[3]->frame);
	assert_ptr_not_equal(m[0]->frame, m[2]->frame);
	for (size_t i = 0; i < 4; i++)
		fake_message_free(&m[i]);
	end_turn(&t);
}

/* ---- late comers ---- */

static void test_joiner(void **state)
{
	struct session *a = connect_and_join("alice");
	struct turn t = start_answer(a);
	struct session *full = connect_user("bob");
	struct session *delta_c = connect_with("bob", "{'token':'t','stream':'delta'}");

	(void)state;
	delta("h\xc3\xa9");
	delta("llo");
	check_chunk(a, 1, 0, "h\xc3\xa9", "h\xc3\xa9");
	advance(10);
	join(full);
	/* The others are brought to where he is, so that the same frames follow for all. */
	check_chunk(a, 2, 2, "llo", "h\xc3\xa9llo");
	check_snapshot(full, &t, 2, "h\xc3\xa9llo");
	delta("!");
	join(delta_c); /* the frames of its mode were fewer */
	check_snapshot(delta_c, &t, 2, "h\xc3\xa9llo!");
	advance(39);
	check_silent(full);
	advance(1); /* since the last frame, which was made for the joiner */
	check_chunk(a, 3, 5, "!", "h\xc3\xa9llo!");
	check_chunk(full, 3, 5, "!", "h\xc3\xa9llo!");
	check_silent(delta_c);
	delta("?");
	advance(40);
	check_chunk(a, 4, 6, "?", "h\xc3\xa9llo!?");
	check_chunk(full, 4, 6, "?", "h\xc3\xa9llo!?");
	check_chunk(delta_c, 3, 6, "?", NULL);
	/* One who is in it already and asks again, likewise. */
	join(full);
	check_snapshot(full, &t, 4, "h\xc3\xa9llo!?");
	/* Until the room has heard that it is over. */
	end_answer(PARLANCE_FINISH_STOP);
	join(full);
	check_snapshot(full, &t, 4, "h\xc3\xa9llo!?");
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	tell_finished(&t, "complete", "stop");
	forget(full);
	join(full);
	check_silent(full);
}

/* Frames are counted by their mode. */
static void test_joiner_of_each_mode(void **state)
{
	struct session *a = connect_and_join("alice");
	struct turn t = start_answer(a);
	struct session *full = connect_user("bob");
	struct session *delta_c = connect_with("bob", "{'token':'t','stream':'delta'}");

	(void)state;
	chat.full_bytes_per_s = 10;
	for (size_t i = 0; i < 3; i++) {
		delta("a");
		advance(40);
	}
	join(delta_c);
	check_snapshot(delta_c, &t, 3, "aaa");
	join(full);
	check_snapshot(full, &t, 2, "aaa");
	end_turn(&t);
}

/* Before the room has heard of it there is nothing to catch up with; one that waits has no text. */
static void test_joiner_before(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_user("bob");
	struct turn t = send_message(a);

	(void)state;
	answer_sent(&t, "run", PROMPT);
	delta("Hello");
	join(b);
	check_silent(b);
	tell_started(&t);
	check_event(b, "ai:typing:start", "{}");
	check_chunk(b, 1, 0, "Hello", "Hello");
	end_turn(&t);
}

/* Who joins by sending gets it, too: chunks of the answer that runs follow. */
static void test_joiner_by_sending(void **state)
{
	struct session *a = connect_and_join("alice");
	struct turn t = start_answer(a);
	struct session *b = connect_with("bob", "{'token':'t','stream':'delta'}");
	struct turn waits;

	(void)state;
	delta("Hel");
	ask(b, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
	answer_join("editor", conv_seq);
	check_event(b, "conversation:joined", "{}");
	check_snapshot(b, &t, 1, "Hel");
	waits = submitted();
	answer_sent(&waits, "queued", NULL);
	check_ack(b, 1, "{'ok':true}");
	delta("lo");
	advance(40);
	check_chunk(b, 2, 3, "lo", NULL);
	ask_stop(a, 2);
	check_finish(&t, "stopped", "stopped", "Hello");
	settle(&t, "stopped", "stopped");
	check_stopped(&waits, "");
}

/* ---- slow ones ---- */

static void congest(struct session *c)
{
	c->congested = true;
}

static void drain(struct session *c)
{
	c->congested = false;
	c->ops->drain(c->ctx, c);
}

/* A tab that cannot keep up is left out, and hears the whole when it can; the others notice
 * nothing. */
static void test_congested(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *slow[2] = { connect_and_join("bob"), join_delta("bob") };
	struct turn t = start_answer(a);

	(void)state;
	chat.chunk_interval_ms = 10;
	delta("a");
	for (size_t i = 0; i < 2; i++) {
		forget(slow[i]);
		congest(slow[i]);
	}
	check_chunk(a, 1, 0, "a", "a");
	advance(10);
	delta("b");
	check_chunk(a, 2, 1, "b", "ab");
	/* Below its mark, but not drained: what was left out has not been made up for. */
	slow[0]->congested = slow[1]->congested = false;
	advance(10);
	delta("c");
	check_chunk(a, 3, 2, "c", "abc");
	delta("d"); /* not sent yet */
	for (size_t i = 0; i < 2; i++) {
		check_silent(slow[i]);
		drain(slow[i]);
		check_snapshot(slow[i], &t, 4, "abcd");
		check_silent(slow[i]);
		drain(slow[i]);
		check_silent(slow[i]);
	}
	check_chunk(a, 4, 3, "d", "abcd");
	advance(10);
	delta("e");
	check_chunk(a, 5, 4, "e", "abcde");
	check_chunk(slow[0], 5, 4, "e", "abcde");
	check_chunk(slow[1], 5, 4, "e", NULL);
	end_turn(&t);
}

/* It is over before the queue has drained: the end has the whole text, and there is no more to be
 * made up for; the next answer goes on as any. */
static void test_congested_to_the_end(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *slow = connect_and_join("bob");
	struct turn t = start_answer(a);

	(void)state;
	forget(slow);
	congest(slow);
	delta("a");
	end_turn(&t);
	check_event(slow, "ai:typing:stop", "{}");
	check_event(slow, "message:complete", "{}");
	drain(slow);
	check_silent(slow);
	t = start_answer(a);
	delta("b");
	check_event(slow, "ai:typing:start", "{}");
	check_chunk(slow, 1, 0, "b", "b");
	end_turn(&t);
}

/* Nobody is there: it costs nothing, and who comes finds all. */
static void test_nobody(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	say(c, "leave:conversation", "'%s'", CONV);
	forget(c);
	for (size_t i = 0; i < 3; i++) {
		delta("ab");
		advance(40);
	}
	check_silent(c);
	join(c);
	check_snapshot(c, &t, 3, "ababab");
	end_turn(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_pace),
		core_test(test_pace_of_length),
		core_test(test_no_pace),
		core_test(test_last_piece),
		core_test(test_offsets),
		core_test(test_shared),
		core_test(test_joiner),
		core_test(test_joiner_of_each_mode),
		core_test(test_joiner_before),
		core_test(test_joiner_by_sending),
		core_test(test_congested),
		core_test(test_congested_to_the_end),
		core_test(test_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
