/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Events of Socket.IO both ways: acknowledgements, each exactly once; attachments and their limits;
 * offsets; what is volatile.
 */
#include "sio_fixture.h"

#define PLACEHOLDER0 "{\"_placeholder\":true,\"num\":0}"
#define PLACEHOLDER1 "{\"_placeholder\":true,\"num\":1}"
#define HOUR_MS 3600000

static struct sio_message message(const char *name, const char *args)
{
	return (struct sio_message){ .name = slice_str(name), .args = slice_str(args) };
}

/* ---- from the client ---- */

static void test_events(void **state)
{
	struct session *c;

	(void)state;
	(void)connect_client(&c);
	(void)join_nsp(c, "0/other,");
	fake_session_text(c, "2[\"hello\"]");
	check_trace("event hello [] 0\n");
	fake_session_text(c, "2[\"h\\u00e9\",1, \"a,b\",{\"c\":[2]}]");
	check_trace("event h\xc3\xa9 [1, \"a,b\",{\"c\":[2]}] 3\n");
	fake_session_text(c, "2/other,12[\"hello\",null]");
	check_trace("event hello [null] 1 ack=12\n");
	fake_session_text(c, "20[\"hello\"]");
	check_trace("event hello [] 0 ack=0\n");
	check_sent_nothing(c);
	assert_false(c->closed);
}

static void answer_event(struct sio_socket *s, const struct sio_event *e)
{
	static const struct slice attachment = { "bytes", 5 };

	if (e->ack_id == SIO_NO_ACK)
		assert_int_equal(sio_ack(s, e->ack_id, e->args_json, NULL, 0), PARLANCE_EINVAL);
	else if (slice_is(e->name, "binary"))
		assert_int_equal(sio_ack(s, e->ack_id, slice_str(PLACEHOLDER0), &attachment, 1), 0);
	else
		assert_int_equal(sio_ack(s, e->ack_id, e->args_json, NULL, 0), 0);
}

static void test_ack(void **state)
{
	struct slice many[SIO_ATTACHMENTS_MAX + 1] = { { NULL, 0 } };
	struct session *c;
	struct sio_socket *s = connect_client(&c);

	(void)state;
	(void)join_nsp(c, "0/other,");
	in_event = answer_event;
	fake_session_text(c, "2[\"hello\",1]");
	check_sent_nothing(c);
	fake_session_text(c, "25[\"hello\",1,\"two\"]");
	check_sent(c, "35[1,\"two\"]");
	fake_session_text(c, "2/other,9007199254740991[\"hello\"]");
	check_sent(c, "3/other,9007199254740991[]");
	fake_session_text(c, "2/other,6[\"binary\"]");
	check_sent(c, "61-/other,6[" PLACEHOLDER0 "]");
	check_sent_binary(c, "bytes");
	assert_int_equal(sio_ack(s, 1, slice_of(NULL, 0), many, ARRAY_LEN(many)), PARLANCE_EINVAL);
	/* Later, by the socket's id. */
	assert_int_equal(sio_ack(s, 8, slice_of(NULL, 0), NULL, 0), 0);
	check_sent(c, "38[]");
	sio_disconnect(s, false);
	check_sent(c, "1");
	assert_int_equal(sio_ack(s, 8, slice_of(NULL, 0), NULL, 0), PARLANCE_ECLOSED);
	check_sent_nothing(c);
}

/* ---- to the client ---- */

static void test_emit(void **state)
{
	struct session *c;
	struct sio_socket *s = connect_client(&c);
	struct sio_message m;

	(void)state;
	m = message("hello", "");
	assert_int_equal(sio_emit(s, &m), 0);
	check_sent(c, "2[\"hello\"]");
	m = message("say \"it\"\n", "1,{\"a\":2}");
	assert_int_equal(sio_emit(s, &m), 0);
	check_sent(c, "2[\"say \\\"it\\\"\\n\",1,{\"a\":2}]");
	assert_int_equal(sio_emit(join_nsp(c, "0/other,"), &m), 0);
	check_sent(c, "2/other,[\"say \\\"it\\\"\\n\",1,{\"a\":2}]");
}

/* ---- acknowledgements that we ask for ---- */

struct asked {
	unsigned int answers;
	int status;
	bool has_socket;
	char args[64];
	size_t n_attachments;
};

static void on_answer(void *arg, struct sio_socket *s, int status, const struct sio_event *e)
{
	struct asked *a = arg;

	a->answers++;
	a->status = status;
	a->has_socket = s != NULL;
	assert_int_equal(e == NULL, status != 0);
	if (e) {
		assert_int_equal(e->name.len, 0);
		assert_true(e->args_json.len < sizeof(a->args));
		if (e->args_json.len)
			memcpy(a->args, e->args_json.p, e->args_json.len);
		a->n_attachments = e->n_attachments;
		if (a->n_attachments)
			assert_true(slice_is(e->attachments[0], "bytes"));
	}
	strbuf_append_str(&trace, "answer\n");
	end_run();
}

static void ask(struct sio_socket *s, uint32_t timeout_ms, struct asked *a)
{
	struct sio_message m = message("ask", "1");

	*a = (struct asked){ .answers = 0 };
	assert_int_equal(sio_emit_with_ack(s, &m, timeout_ms, on_answer, a), 0);
	assert_int_equal(a->answers, 0);
}

static void check_asked(const struct asked *a, int status, const char *args)
{
	assert_int_equal(a->answers, 1);
	assert_int_equal(a->status, status);
	assert_string_equal(a->args, args);
}

static void test_answers(void **state)
{
	struct session *c;
	struct sio_socket *s = connect_client(&c);
	static struct asked a[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(a); i++)
		ask(s, HOUR_MS, &a[i]);
	check_sent(c, "20[\"ask\",1]");
	check_sent(c, "21[\"ask\",1]");
	check_sent(c, "22[\"ask\",1]");
	check_sent(c, "23[\"ask\",1]");
	/* In any order; the same one again is dropped. */
	fake_session_text(c, "32[\"two\",2]");
	check_asked(&a[2], 0, "\"two\",2");
	assert_true(a[2].has_socket);
	fake_session_text(c, "30[]");
	check_asked(&a[0], 0, "");
	fake_session_text(c, "30[\"again\"]");
	check_asked(&a[0], 0, "");
	fake_session_text(c, "61-1[" PLACEHOLDER0 "]");
	assert_int_equal(a[1].answers, 0);
	fake_session_binary(c, "bytes", 5);
	check_asked(&a[1], 0, PLACEHOLDER0);
	assert_int_equal(a[1].n_attachments, 1);
	/* Nobody asked for these. */
	fake_session_text(c, "399[]");
	fake_session_text(c, "3[]");
	(void)join_nsp(c, "0/other,");
	fake_session_text(c, "3/other,3[]");
	assert_int_equal(a[3].answers, 0);
	assert_false(c->closed);
	fake_session_text(c, "33[3]");
	check_asked(&a[3], 0, "3");
	/* Ids are not used again. */
	ask(s, HOUR_MS, &a[0]);
	check_sent(c, "24[\"ask\",1]");
	fake_session_text(c, "30[\"again\"]");
	assert_int_equal(a[0].answers, 0);
}

static void test_answer_timeout(void **state)
{
	struct session *c;
	struct sio_socket *s = connect_client(&c);
	uint64_t began_ms = loop_now_ms(loop);
	static struct asked late;
	static struct asked other;

	(void)state;
	ask(s, HOUR_MS, &other);
	ask(s, 10, &late);
	while (late.answers == 0)
		run();
	assert_true(loop_now_ms(loop) >= began_ms + 10);
	check_asked(&late, PARLANCE_ETIMEDOUT, "");
	assert_true(late.has_socket);
	fake_session_text(c, "31[\"late\"]");
	check_asked(&late, PARLANCE_ETIMEDOUT, "");
	assert_int_equal(other.answers, 0);
	fake_session_text(c, "30[]");
	check_asked(&other, 0, "");
	assert_false(c->closed);
}

/* Those that are owed are bounded; answered or timed out, they make room. */
static void test_pending_acks(void **state)
{
	struct session *c;
	struct sio_socket *s = connect_client(&c);
	struct sio_message m = message("ask", "1");
	struct sio_message reserved = message("connect", "");
	static struct asked a[3];

	(void)state;
	config.max_pending_acks = 2;
	assert_int_equal(sio_emit_with_ack(s, &reserved, 1, on_answer, &a[2]), PARLANCE_EINVAL);
	ask(s, HOUR_MS, &a[0]);
	ask(s, 5, &a[1]);
	assert_int_equal(sio_emit_with_ack(s, &m, HOUR_MS, on_answer, &a[2]), PARLANCE_ELIMIT);
	check_sent(c, "21[\"ask\",1]");
	check_sent(c, "22[\"ask\",1]");
	check_sent_nothing(c);
	fake_session_text(c, "31[]");
	ask(s, HOUR_MS, &a[2]);
	assert_int_equal(sio_emit_with_ack(s, &m, HOUR_MS, on_answer, &a[0]), PARLANCE_ELIMIT);
	while (a[1].answers == 0)
		run();
	ask(s, HOUR_MS, &a[0]);
	assert_int_equal(a[2].answers, 0);
}

/* The end of the socket is the answer, and comes before the last callback. */
static void test_answer_of_the_dead(void **state)
{
	struct session *c;
	struct sio_socket *s = connect_client(&c);
	struct sio_message m = message("ask", "");
	static struct asked a[2];

	(void)state;
	ask(s, HOUR_MS, &a[0]);
	ask(s, HOUR_MS, &a[1]);
	sio_disconnect(s, false);
	assert_int_equal(sio_emit_with_ack(s, &m, 10, on_answer, NULL), PARLANCE_ECLOSED);
	check_trace("");
	turn();
	check_trace("answer\nanswer\ngone / server namespace disconnect\n");
	check_asked(&a[0], PARLANCE_ECLOSED, "");
	check_asked(&a[1], PARLANCE_ECLOSED, "");
	assert_false(a[0].has_socket);
	s = connect_client(&c);
	ask(s, HOUR_MS, &a[0]);
	session_close(c, SESSION_PING_TIMEOUT);
	turn();
	check_asked(&a[0], PARLANCE_ECLOSED, "");
	check_trace("answer\ngone / ping timeout\n");
}

static void kill_socket(struct timer *timer)
{
	(void)timer;
	sio_disconnect(last_socket(), false);
}

/* It times out in the turn in which the socket ends: whoever it is told to sees no dead socket. */
static void test_answer_timeout_of_the_dead(void **state)
{
	struct timer timer = { .fn = NULL };
	struct session *c;
	struct sio_socket *s = connect_client(&c);
	static struct asked a;

	(void)state;
	loop_timer_start(loop, &timer, 5, kill_socket);
	ask(s, 5, &a);
	while (a.answers == 0)
		run();
	assert_false(a.has_socket);
	turn();
	assert_int_equal(a.answers, 1);
	check_trace("answer\ngone / server namespace disconnect\n");
}

static void test_refused_messages(void **state)
{
	static const char *const names[] = { "",	      "connect",	"connect_error",
					     "disconnect",    "disconnecting",	"newListener",
					     "removeListener" };
	struct slice many[SIO_ATTACHMENTS_MAX + 1] = { { NULL, 0 } };
	struct session *c;
	struct sio_socket *s = connect_client(&c);
	struct sio_message m;
	static struct asked a = { .answers = 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		m = message(names[i], "");
		assert_int_equal(sio_emit(s, &m), PARLANCE_EINVAL);
		assert_int_equal(sio_emit_rooms(nsp, NULL, 0, NULL, 0, &m), PARLANCE_EINVAL);
		assert_int_equal(sio_emit_with_ack(s, &m, 1, on_answer, &a), PARLANCE_EINVAL);
	}
	m = message("many", "");
	m.attachments = many;
	m.n_attachments = ARRAY_LEN(many);
	assert_int_equal(sio_emit(s, &m), PARLANCE_EINVAL);
	check_sent_nothing(c);
	sio_disconnect(s, false);
	turn();
	assert_int_equal(a.answers, 0);
}

/* ---- attachments ---- */

static void test_emit_binary(void **state)
{
	static const struct slice attachments[] = { { "first", 5 }, { NULL, 0 } };
	struct session *c;
	struct sio_socket *s = connect_client(&c);
	struct sio_message m = message("b", PLACEHOLDER0 "," PLACEHOLDER1);
	static struct asked a = { .answers = 0 };

	(void)state;
	m.attachments = attachments;
	m.n_attachments = 2;
	assert_int_equal(sio_emit(s, &m), 0);
	check_sent(c, "52-[\"b\"," PLACEHOLDER0 "," PLACEHOLDER1 "]");
	check_sent_binary(c, "first");
	check_sent_binary(c, "");
	assert_int_equal(sio_emit_with_ack(join_nsp(c, "0/other,"), &m, HOUR_MS, on_answer, &a), 0);
	check_sent(c, "52-/other,0[\"b\"," PLACEHOLDER0 "," PLACEHOLDER1 "]");
	check_sent_binary(c, "first");
	check_sent_binary(c, "");
	check_sent_nothing(c);
}

static void test_binary_events(void **state)
{
	struct session *c;

	(void)state;
	(void)connect_client(&c);
	fake_session_text(c, "51-[\"b\"," PLACEHOLDER0 ",7]");
	check_trace("");
	fake_session_binary(c, "bytes", 5);
	check_trace("event b [" PLACEHOLDER0 ",7] 2 +bytes\n");
	fake_session_text(c, "53-4[\"b\"]");
	fake_session_binary(c, "one", 3);
	fake_session_binary(c, "", 0);
	check_trace("");
	fake_session_binary(c, "three", 5);
	check_trace("event b [] 0 ack=4 +one + +three\n");
	/* Then others again. */
	fake_session_text(c, "2[\"a\"]");
	check_trace("event a [] 0\n");
	assert_false(c->closed);
	/* Cut off in the middle: nothing comes of it, and nothing is left of it. */
	fake_session_text(c, "52-[\"b\"]");
	fake_session_binary(c, "one", 3);
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	check_trace("gone / transport close\n");
}

static void check_closes(struct session *c)
{
	check_closed(c, SESSION_PARSE_ERROR);
	turn();
	check_trace("gone / parse error\n");
}

static void check_closes_as_large(struct session *c)
{
	check_closed(c, SESSION_TOO_BIG);
	turn();
	check_trace("gone / message over the size limit\n");
}

static void test_attachments_that_close(void **state)
{
	static const char *const early[] = { "2[\"a\"]", "1", "51-[\"b\"]", "0/other,", "x" };
	struct session *c;

	(void)state;
	/* One that nobody announced. */
	(void)connect_client(&c);
	fake_session_binary(c, "x", 1);
	check_closes(c);
	/* One too many: the packet was complete before it. */
	(void)connect_client(&c);
	fake_session_text(c, "51-[\"b\"]");
	fake_session_binary(c, "x", 1);
	check_trace("event b [] 0 +x\n");
	fake_session_binary(c, "y", 1);
	check_closes(c);
	/* One too few. */
	for (size_t i = 0; i < ARRAY_LEN(early); i++) {
		(void)connect_client(&c);
		fake_session_text(c, "52-[\"b\"]");
		fake_session_binary(c, "x", 1);
		fake_session_text(c, early[i]);
		check_closes(c);
	}
	/* To a socket that there is not. */
	(void)connect_client(&c);
	fake_session_text(c, "51-/other,[\"b\"]");
	fake_session_binary(c, "x", 1);
	check_closes(c);
}

static void test_attachment_limits(void **state)
{
	char bytes[101];
	struct session *c;

	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	/* Three of them and a hundred bytes are allowed. */
	(void)connect_client(&c);
	fake_session_text(c, "53-[\"b\"]");
	fake_session_binary(c, bytes, 60);
	fake_session_binary(c, bytes, 40);
	fake_session_binary(c, bytes, 0);
	assert_false(c->closed);
	strbuf_reset(&trace);
	/* The next packet begins to count anew. */
	fake_session_text(c, "51-[\"b\"]");
	fake_session_binary(c, bytes, 100);
	assert_false(c->closed);
	strbuf_reset(&trace);
	fake_session_text(c, "53-[\"b\"]");
	fake_session_binary(c, bytes, 60);
	fake_session_binary(c, bytes, 41);
	check_closes_as_large(c);
	(void)connect_client(&c);
	fake_session_text(c, "51-[\"b\"]");
	fake_session_binary(c, bytes, 101);
	check_closes_as_large(c);
	/* Refused when it is announced. */
	(void)connect_client(&c);
	fake_session_text(c, "54-[\"b\"]");
	check_closes_as_large(c);
	config.max_attachments = 0;
	(void)connect_client(&c);
	fake_session_text(c, "61-0[]");
	check_closes_as_large(c);
}

/* ---- offsets, volatile messages ---- */

static unsigned int offsets_asked;

static size_t count_offsets(const struct sio_socket *s, char out[SIO_OFFSET_MAX])
{
	return (size_t)snprintf(out, SIO_OFFSET_MAX, "%u of %s", ++offsets_asked,
				(const char *)sio_user(s));
}

static void test_offset(void **state)
{
	static const struct slice attachment = { "bytes", 5 };
	static char names[][2] = { "a", "b" };
	struct session *recoverable[2];
	struct session *plain;
	struct sio_socket *s;
	struct sio_message m;

	(void)state;
	offsets_asked = 0;
	offset_of = count_offsets;
	(void)connect_client(&plain);
	answer = ACCEPT_RECOVERABLE;
	for (size_t i = 0; i < 2; i++) {
		recoverable[i] = open_session();
		fake_session_text(recoverable[i], "0");
		s = last_socket();
		sio_set_user(s, names[i]);
		check_sent_accept(recoverable[i], "0", ",\"pid\":\"p\\\"1\"");
	}
	m = message("say", "1");
	assert_int_equal(sio_emit_rooms(nsp, NULL, 0, NULL, 0, &m), 0);
	check_sent(plain, "2[\"say\",1]");
	check_sent(recoverable[0], "2[\"say\",1,\"1 of a\"]");
	check_sent(recoverable[1], "2[\"say\",1,\"2 of b\"]");
	m = message("say", "");
	m.attachments = &attachment;
	m.n_attachments = 1;
	assert_int_equal(sio_emit(s, &m), 0);
	check_sent(recoverable[1], "51-[\"say\",\"3 of b\"]");
	check_sent_binary(recoverable[1], "bytes");
	assert_int_equal(offsets_asked, 3);
	/* None at the moment. */
	offset_of = NULL;
	m = message("say", "1");
	assert_int_equal(sio_emit(s, &m), 0);
	check_sent(recoverable[1], "2[\"say\",1]");
}

static size_t longest(const struct sio_socket *s, char out[SIO_OFFSET_MAX])
{
	(void)s;
	memset(out, 'x', SIO_OFFSET_MAX);
	return SIO_OFFSET_MAX;
}

static void test_longest_offset(void **state)
{
	static char expected[SIO_OFFSET_MAX + 32];
	struct sio_message m = message("say", "1");
	struct session *c = open_session();
	struct sio_socket *s;
	size_t head = strlen("2[\"say\",1,\"");

	(void)state;
	answer = ACCEPT_RECOVERABLE;
	s = join_nsp(c, "0");
	offset_of = longest;
	assert_int_equal(sio_emit(s, &m), 0);
	memcpy(expected, "2[\"say\",1,\"", head);
	memset(expected + head, 'x', SIO_OFFSET_MAX);
	memcpy(expected + head + SIO_OFFSET_MAX, "\"]", 3);
	check_sent(c, expected);
}

static void test_volatile(void **state)
{
	static const struct slice attachment = { "bytes", 5 };
	struct sio_message m = message("typing", "");
	struct session *ready;
	struct session *blocked;
	struct sio_socket *s;

	(void)state;
	(void)connect_client(&ready);
	s = connect_client(&blocked);
	blocked->blocked = true;
	m.is_volatile = true;
	m.attachments = &attachment;
	m.n_attachments = 1;
	assert_int_equal(sio_emit_rooms(nsp, NULL, 0, NULL, 0, &m), 0);
	assert_int_equal(sio_emit(s, &m), 0);
	check_sent_nothing(blocked);
	check_sent(ready, "51-[\"typing\"]");
	check_sent_binary(ready, "bytes");
	check_sent_nothing(ready);
	/* Others wait in the queue. */
	m = message("said", "");
	assert_int_equal(sio_emit(s, &m), 0);
	check_sent(blocked, "2[\"said\"]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_events),
		TEST(test_ack),
		TEST(test_emit),
		TEST(test_answers),
		TEST(test_answer_timeout),
		TEST(test_pending_acks),
		TEST(test_answer_of_the_dead),
		TEST(test_answer_timeout_of_the_dead),
		TEST(test_refused_messages),
		TEST(test_emit_binary),
		TEST(test_binary_events),
		TEST(test_attachments_that_close),
		TEST(test_attachment_limits),
		TEST(test_offset),
		TEST(test_longest_offset),
		TEST(test_volatile),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
