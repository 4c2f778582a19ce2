/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Answers of ours for the tabs of other instances: what is sent to whom, when, and in which pieces;
 * and stopping, from everywhere.
 */
#include "core_cluster_fixture.h"

/* An answer of ours, which runs and is at "Hello". */
static struct turn start_hello(struct session *c)
{
	struct turn t = start_answer(c);

	hold_mail();
	delta("Hello");
	advance(1000);
	check_no_mail(); /* nobody asked for it */
	return t;
}

static void finish_answer(const struct turn *t)
{
	end_answer(PARLANCE_FINISH_STOP);
	settle(t, "complete", "stop");
}

static void test_want(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_hello(c);

	(void)state;
	/* After a pause at once, then tick by tick. */
	receive(8, "['w','%s',0]", t.message);
	advance(1);
	check_mail_to(8, "['c','%s',0,5,'Hello']", t.message);
	delta(", w");
	delta("orld");
	advance(48);
	check_no_mail();
	advance(2);
	check_mail_to(8, "['c','%s',5,12,', world']", t.message);
	/* Each gets what it has not. */
	receive(9, "['w','%s',7]", t.message);
	delta("!");
	advance(50);
	check_mail("[[8,{'f':7,'m':[['c','%s',12,13,'!']]}],"
		   "[9,{'f':7,'m':[['c','%s',7,13,'world!']]}]]", t.message, t.message);
	receive(8, "['u','%s']", t.message);
	receive(8, "['u','%s']", t.message);
	delta("?");
	advance(50);
	check_mail_to(9, "['c','%s',13,14,'?']", t.message);
	/* The outcome is on its way: what is asked for is sent. */
	end_answer(PARLANCE_FINISH_STOP);
	receive(8, "['w','%s',13]", t.message);
	advance(50);
	check_mail_to(8, "['c','%s',13,14,'?']", t.message);
	/* When it is stored, the feed tells. */
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	receive(9, "['w','%s',0]", t.message);
	advance(50);
	check_no_mail();
	tell_finished(&t, "complete", "stop");
	receive(9, "['w','%s',0]", t.message);
	receive(9, "['u','%s']", t.message);
	advance(50);
	check_no_mail();
}

/* Who does not renew it is gone; from which place on is said anew with each. */
static void test_want_expires(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_hello(c);

	(void)state;
	receive(8, "['w','%s',5]", t.message);
	/* It has all: it hears that, and from whom. */
	check_mail_to(8, "['c','%s',5,5,'']", t.message);
	advance(9000);
	receive(8, "['w','%s',3]", t.message);
	advance(50);
	check_mail_to(8, "['c','%s',3,5,'lo']", t.message);
	advance(15950);
	delta("1");
	advance(1);
	check_mail_to(8, "['c','%s',5,6,'1']", t.message);
	advance(50);
	delta("2");
	advance(100);
	check_no_mail();
	finish_answer(&t);
}

static void test_want_odd_offset(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	hold_mail();
	receive(8, "['w','%s',0]", t.message); /* before there is any */
	check_mail_to(8, "['c','%s',0,0,'']", t.message);
	advance(100);
	check_no_mail();
	delta("a\xe2\x82\xac" "b");
	advance(1);
	check_mail_to(8, "['c','%s',0,5,'a\xe2\x82\xac" "b']", t.message);
	/* Within a character: no place of ours. */
	for (int i = 2; i <= 3; i++) {
		receive(8, "['w','%s',%d]", t.message, i);
		advance(50);
		check_mail_to(8, "['c','%s',0,5,'a\xe2\x82\xac" "b']", t.message);
	}
	receive(8, "['w','%s',4]", t.message);
	advance(50);
	check_mail_to(8, "['c','%s',4,5,'b']", t.message);
	/* More than there is: of another answer, or forged. */
	receive(8, "['w','%s',2147483647]", t.message);
	check_mail_to(8, "['c','%s',5,5,'']", t.message);
	advance(50);
	check_no_mail();
	delta("c");
	advance(50);
	check_mail_to(8, "['c','%s',5,6,'c']", t.message);
	finish_answer(&t);
}

/* Takes pieces until all of the text was sent; how many. */
static size_t check_pieces(const struct turn *t, const char *text)
{
	size_t at = 0;
	size_t n = 0;

	while (at < strlen(text)) {
		struct json_object *all = take_mail();

		for (size_t i = 0; i < json_object_array_length(all); i++) {
			struct json_object *payload =
			    json_object_array_get_idx(json_object_array_get_idx(all, i), 1);
			struct json_object *list = json_object_object_get(payload, "m");

			for (size_t k = 0; k < json_object_array_length(list); k++, n++) {
				struct json_object *m = json_object_array_get_idx(list, k);
				const char *piece =
				    json_object_get_string(json_object_array_get_idx(m, 4));

				assert_string_equal(
				    json_object_get_string(json_object_array_get_idx(m, 1)),
				    t->message);
				assert_int_equal(
				    json_object_get_int64(json_object_array_get_idx(m, 2)), at);
				assert_in_range(
				    json_object_get_int64(json_object_array_get_idx(m, 3)),
				    at + strlen(piece), strlen(text));
				assert_int_equal(strncmp(text + at, piece, strlen(piece)), 0);
				assert_int_not_equal(text[at] & 0xc0, 0x80);
				at += strlen(piece);
			}
		}
		json_object_put(all);
	}
	check_no_mail();
	return n;
}

/* No message is longer than the database takes, and no character is cut. */
static void test_pieces(void **state)
{
	static const struct {
		const char *text; /* repeated */
		size_t before;    /* so many plain characters come first */
		size_t times;
		size_t pieces;
	} cases[] = {
		{ "x", 0, 6000, 1 },
		{ "x", 0, 6001, 2 },
		{ "x", 0, 12001, 3 },
		{ "\xe2\x82\xac", 5999, 2, 2 },
		{ "\xf0\x9f\x98\x80", 1, 6000, 5 },
		{ "\"", 0, 6000, 2 },
		{ "\x01", 0, 2000, 3 },
		{ "\x01", 0, 100000, 133 },
	};
	struct session *c = connect_and_join("alice");

	(void)state;
	hold_mail();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct turn t = start_answer(c);
		struct strbuf text;

		strbuf_init(&text, SIZE_MAX / 2);
		for (size_t k = 0; k < cases[i].before; k++)
			strbuf_append_char(&text, 'x');
		for (size_t k = 0; k < cases[i].times; k++)
			strbuf_append_str(&text, cases[i].text);
		delta(strbuf_cstr(&text));
		receive(8, "['w','%s',0]", t.message);
		advance(50);
		assert_int_equal(check_pieces(&t, strbuf_cstr(&text)), cases[i].pieces);
		strbuf_fini(&text);
		finish_answer(&t);
		forget(c);
	}
}

/* While one request is under way, what waits keeps its order, whatever fits where. */
static void test_order(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_hello(c);
	char text[5 + 3000 + 9000 + 1] = "Hello";
	char saved;

	(void)state;
	receive(8, "['w','%s',0]", t.message);
	advance(1);
	memset(text + 5, 'a', 3000);
	memset(text + 3005, 'b', 9000);
	text[12005] = '\0';
	saved = text[3005];
	text[3005] = '\0';
	delta(text + 5);
	text[3005] = saved;
	advance(50);
	delta(text + 3005);
	advance(50);
	assert_int_equal(fake_calls(plugins), 1);
	assert_int_equal(check_pieces(&t, text), 4);
	finish_answer(&t);
}

/* It is not ours any more: others tell of it. */
static void test_want_fenced(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_hello(c);

	(void)state;
	plugins->hold_canceled = true;
	receive(8, "['w','%s',0]", t.message);
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	receive(0, "['b']");
	plugins->canned[PARLANCE_INSTANCE_BEAT] = "{\"ok\":true}";
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':false}");
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':7}");
	receive(9, "['w','%s',0]", t.message);
	advance(100);
	check_no_mail();
	fake_answer_end(provider(), (struct parlance_end){ 0 });
	check_over(&t);
}

/* Chunks of our own answers come from here alone, and ends for answers that nobody relays. */
static void test_own(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_hello(c);

	(void)state;
	forget(c);
	receive(8, "['c','%s',5,6,'!']", t.message);
	check_silent(c);
	join_active(c, json("{'assistantMessageId':'%s','streamId':'%s'}", t.message, t.stream));
	check_event(c, "message:snapshot", "{'content':'Hello'}");
	check_no_mail();
	/* Nor does it ask for others' while nobody is in the room. */
	ask(c, 2, "leave:conversation", "'%s'", CONV);
	others_answer_begins();
	check_no_mail();
	finish_answer(&t);
}

/* ---- stopping ---- */

static void answer_stops(const char *streams)
{
	answer(PARLANCE_MESSAGE_STOP, "{'ok':true,'streams':%s}", streams);
}

/* The storage marks what runs elsewhere, and says what there is. */
static void test_stop_others(void **state)
{
	static const struct {
		const char *streams;
		bool stopped;
	} cases[] = {
		{ "[{'assistantMessageId':'" MESSAGE "','instance':8}]", true },
		{ "[{'assistantMessageId':'" MESSAGE "','instance':7}]", false }, /* it was ours */
		{ "[]", false },
		{ "null", false },
	};
	struct session *c = connect_and_join("alice");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		ask(c, 1, "message:stop", "{'conversationId':'%s','streamId':'%s'}", CONV, STREAM);
		check_param(PARLANCE_MESSAGE_STOP, 0, "alice");
		check_param(PARLANCE_MESSAGE_STOP, 1, CONV);
		check_param(PARLANCE_MESSAGE_STOP, 2, STREAM);
		check_param(PARLANCE_MESSAGE_STOP, 3, "7");
		answer_stops(cases[i].streams);
		if (cases[i].stopped)
			check_ack(c, 1, "{'ok':true,'stopped':true}");
		else
			check_ack(c, 1, "{'ok':true,'stopped':false,'alreadyDone':true}");
	}
}

/* Ours is stopped by a tab here that has not the conversation open. */
static void test_stop_from_outside(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_user("bob");
	struct turn t = start_answer(a);

	(void)state;
	delta("Hel");
	ask_stop(b, 1);
	answer_stops(json("[{'assistantMessageId':'%s','instance':7}]", t.message));
	check_ack(b, 1, "{'ok':true,'stopped':true}");
	check_finish(&t, "stopped", "stopped", "Hel");
	/* Once more, while that is being stored. */
	ask_stop(b, 2);
	answer_stops(json("[{'assistantMessageId':'%s','instance':7}]", t.message));
	check_ack(b, 2, "{'ok':true,'stopped':false,'alreadyDone':true}");
	settle(&t, "stopped", "stopped");
}

/* And by others: the next beat says so, which comes at once when there is something to hear. */
static void test_stop_by_others(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);
	struct turn waits = queue_message(c, "queue");

	(void)state;
	delta("Hel");
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	receive(0, "['b']");
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':true,'instances':[],'stops':['x',7,null,'%s','%s']}",
	       CONV2, t.message);
	check_finish(&t, "stopped", "stopped", "Hel");
	check_state(&waits, GENERATION_WAITING);
	settle(&t, "stopped", "stopped");
	check_state(&waits, GENERATION_BEGINNING);
	receive(8, "['b']");
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':true,'instances':[],'stops':['%s']}", waits.message);
	answer_begun();
	check_stopped(&waits, "");
	plugins->canned[PARLANCE_INSTANCE_BEAT] = "{\"ok\":true}";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_want),
		core_test(test_want_expires),
		core_test(test_want_odd_offset),
		core_test(test_pieces),
		core_test(test_order),
		core_test(test_want_fenced),
		core_test(test_own),
		core_test(test_stop_others),
		core_test(test_stop_from_outside),
		core_test(test_stop_by_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
