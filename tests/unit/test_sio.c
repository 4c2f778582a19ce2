/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Sockets of Socket.IO from CONNECT to their end: who gets in, who does not, and what is told to
 * whom when it is over.
 */
#include "sio_fixture.h"

/* ---- getting in ---- */

static void test_accept_at_once(void **state)
{
	struct session *c = open_session();
	struct sio_socket *s;
	int user;

	(void)state;
	check_sent_nothing(c);
	fake_session_text(c, "0");
	check_trace("connect / auth=\n");
	check_sent_accept(c, "0", "");
	check_sent_nothing(c);
	s = last_socket();
	assert_true(sio_connected(s));
	assert_int_equal(sio_id(s), last_id);
	assert_ptr_equal(sio_socket_nsp(s), nsp);
	assert_null(sio_user(s));
	sio_set_user(s, &user);
	assert_ptr_equal(sio_user(sio_lookup(sio, last_id)), &user);
	/* Another namespace over the same session: another socket with another sid. */
	fake_session_text(c, "0/other,{\"token\":\"t\"}");
	check_trace("connect /other auth={\"token\":\"t\"}\n");
	check_sent_accept(c, "0/other,", "");
	assert_ptr_not_equal(last_socket(), s);
	assert_string_not_equal(sio_sid(last_socket()), sio_sid(s));
	assert_string_equal(sio_nsp_name(nsp_other), "/other");
}

static void test_connect_payload(void **state)
{
	struct session *c;

	(void)state;
	c = open_session();
	fake_session_text(c, "0{\"pid\":\"p\\u0031\",\"offset\":\"o\\\\\",\"token\":\"t\"}");
	check_trace("connect / auth={\"pid\":\"p\\u0031\",\"offset\":\"o\\\\\",\"token\":\"t\"} "
		    "pid=p1 offset=o\\\n");
	/* What is no text is none; what is deeper is not meant. */
	c = open_session();
	fake_session_text(c, "0{\"pid\":7,\"offset\":null,\"a\":{\"pid\":\"x\"}}");
	check_trace("connect / auth={\"pid\":7,\"offset\":null,\"a\":{\"pid\":\"x\"}}\n");
	/* The handshake is there until it is forgotten. */
	sio_forget_handshake(last_socket());
	fake_session_text(c, "0/other,");
	check_trace("connect /other auth= no handshake\n");
}

static void test_accept_later(void **state)
{
	struct sio_message m = { .name = slice_str("hello") };
	struct session *c = open_session();
	struct sio_socket *s;

	(void)state;
	answer = LATER;
	fake_session_text(c, "0");
	turn();
	check_sent_nothing(c);
	/* It is there, but can do nothing yet. */
	s = last_socket();
	assert_false(sio_connected(s));
	assert_int_equal(sio_emit(s, &m), PARLANCE_ECLOSED);
	assert_int_equal(sio_emit_rooms(nsp, NULL, 0, NULL, 0, &m), 0);
	assert_int_equal(sio_ack(s, 1, slice_of(NULL, 0), NULL, 0), PARLANCE_ECLOSED);
	assert_int_equal(sio_join(s, slice_str("room")), PARLANCE_ECLOSED);
	check_sent_nothing(c);
	sio_accept(s, "pid \"1\"", NULL);
	assert_true(sio_connected(s));
	check_sent_accept(c, "0", ",\"pid\":\"pid \\\"1\\\"\"");
	/* Decided is decided. */
	sio_accept(s, NULL, NULL);
	sio_refuse(s, slice_str("no"), slice_of(NULL, 0));
	assert_true(sio_connected(s));
	check_sent_nothing(c);
	turn();
	check_trace("connect / auth=\n");
}

static void test_refuse(void **state)
{
	struct session *c = open_session();
	struct sio_socket *s;

	(void)state;
	answer = REFUSE;
	fake_session_text(c, "0");
	check_sent(c, "4{\"message\":\"no \\\"entry\\\"\",\"data\":{\"code\":7}}");
	assert_null(sio_lookup(sio, last_id));
	answer = LATER;
	fake_session_text(c, "0/other,");
	s = last_socket();
	sio_refuse(s, slice_str("later"), slice_of(NULL, 0));
	check_sent(c, "4/other,{\"message\":\"later\"}");
	sio_accept(s, NULL, NULL);
	sio_refuse(s, slice_str("again"), slice_of(NULL, 0));
	check_sent_nothing(c);
	turn();
	/* Nobody hears that a socket is gone who was not told that it came. */
	check_trace("connect / auth=\nconnect /other auth=\n");
	assert_false(c->closed);
	/* The session may try again. */
	answer = ACCEPT;
	fake_session_text(c, "0");
	check_sent_accept(c, "0", "");
}

/* An answer that cannot be sent must not leave the client waiting. */
static void test_answers_too_long(void **state)
{
	static char text[70000];
	struct session *c;

	(void)state;
	memset(text, '7', sizeof(text) - 1);
	answer = LATER;
	c = open_session();
	fake_session_text(c, "0");
	sio_accept(last_socket(), text, NULL);
	assert_true(c->closed);
	c = open_session();
	fake_session_text(c, "0");
	sio_refuse(last_socket(), slice_str("no"), slice_str(text));
	assert_true(c->closed);
}

static void test_authorize_timeout(void **state)
{
	struct session *c = open_session();
	uint64_t began_ms = loop_now_ms(loop);

	(void)state;
	config.authorize_timeout_ms = 10;
	answer = LATER;
	fake_session_text(c, "0");
	while (list_empty(&c->sent))
		run();
	assert_true(loop_now_ms(loop) >= began_ms + 10);
	check_sent(c, "4{\"message\":\"Authentication error: timed out\","
		      "\"data\":{\"code\":\"UNAVAILABLE\"}}");
	assert_null(sio_lookup(sio, last_id));
	assert_false(c->closed);
	check_trace("connect / auth=\n");
}

static void test_invalid_namespace(void **state)
{
	struct session *c = open_session();

	(void)state;
	fake_session_text(c, "0/nope,{\"token\":\"t\"}");
	check_sent(c, "4/nope,{\"message\":\"Invalid namespace\"}");
	fake_session_text(c, "0/Other,");
	check_sent(c, "4/Other,{\"message\":\"Invalid namespace\"}");
	assert_false(c->closed);
	fake_session_text(c, "0/other?token=t,");
	check_sent_accept(c, "0/other,", "");
	check_trace("connect /other auth=\n");
}

static void test_namespace_names(void **state)
{
	char name[SIO_NSP_MAX + 2];

	(void)state;
	assert_null(sio_namespace(sio, "/", &ops, NULL));
	assert_null(sio_namespace(sio, "/other", &ops, NULL));
	assert_null(sio_namespace(sio, "", &ops, NULL));
	assert_null(sio_namespace(sio, "other", &ops, NULL));
	assert_null(sio_namespace(sio, "/a,b", &ops, NULL));
	assert_null(sio_namespace(sio, "/a?b", &ops, NULL));
	memset(name, 'n', sizeof(name));
	name[0] = '/';
	name[SIO_NSP_MAX + 1] = '\0';
	assert_null(sio_namespace(sio, name, &ops, NULL));
	name[SIO_NSP_MAX] = '\0';
	assert_non_null(sio_namespace(sio, name, &ops, &trace));
}

static void test_second_connect(void **state)
{
	struct session *c;

	(void)state;
	(void)connect_client(&c);
	fake_session_text(c, "0");
	check_closed(c, SESSION_PARSE_ERROR);
	turn();
	check_trace("gone / parse error\n");
	/* Also while the first still waits. */
	answer = LATER;
	c = open_session();
	fake_session_text(c, "0");
	fake_session_text(c, "0");
	check_closed(c, SESSION_PARSE_ERROR);
	turn();
	check_trace("connect / auth=\n");
}

static void test_max_namespaces(void **state)
{
	struct session *c;
	struct sio_socket *s;

	(void)state;
	config.max_namespaces = 1;
	s = connect_client(&c);
	/* One that has left does not count. */
	sio_disconnect(s, false);
	check_sent(c, "1");
	(void)join_nsp(c, "0/other,");
	fake_session_text(c, "0");
	check_closed(c, SESSION_PARSE_ERROR);
}

static void test_connect_timeout(void **state)
{
	uint64_t began_ms = loop_now_ms(loop);
	struct session *in_time;
	struct session *refused;
	struct session *too_late;

	(void)state;
	config.connect_timeout_ms = 10;
	in_time = open_session();
	refused = open_session();
	too_late = open_session();
	(void)join_nsp(in_time, "0");
	/* Tries do not count. */
	answer = REFUSE;
	fake_session_text(refused, "0");
	fake_session_text(too_late, "0/nope,");
	while (!too_late->gone)
		run();
	/* All had the same time: the other ones' timers fire with this one, or not at all. */
	assert_true(loop_now_ms(loop) >= began_ms + 10);
	check_closed(too_late, SESSION_CONNECT_TIMEOUT);
	check_closed(refused, SESSION_CONNECT_TIMEOUT);
	assert_false(in_time->closed);
	check_trace("connect / auth=\n");
}

/* ---- the end ---- */

static void test_disconnect_by_packet(void **state)
{
	struct sio_message m = { .name = slice_str("hello") };
	struct session *c;
	struct sio_socket *s = connect_client(&c);
	struct sio_socket *other = join_nsp(c, "0/other,");
	uint64_t id = sio_id(s);

	(void)state;
	sio_disconnect(s, false);
	check_sent(c, "1");
	/* Dead for all who look; told at the end of the turn. */
	assert_false(sio_connected(s));
	assert_null(sio_lookup(sio, id));
	assert_int_equal(sio_emit(s, &m), PARLANCE_ECLOSED);
	assert_int_equal(sio_join(s, slice_str("room")), PARLANCE_ECLOSED);
	assert_int_equal(sio_ack(s, 1, slice_of(NULL, 0), NULL, 0), PARLANCE_ECLOSED);
	assert_false(sio_congested(s));
	assert_int_equal(sio_queued_bytes(s), 0);
	sio_forget_handshake(s);
	sio_disconnect(s, false);
	sio_disconnect(s, true);
	check_trace("");
	turn();
	turn();
	check_trace("gone / server namespace disconnect\n");
	check_sent_nothing(c);
	/* The session and its other socket go on; the id finds nothing, also when the place is
	 * taken again. */
	assert_false(c->closed);
	assert_true(sio_connected(other));
	(void)join_nsp(c, "0");
	assert_null(sio_lookup(sio, id));
	assert_true(last_id != id);
	sio_disconnect(other, false);
	check_sent(c, "1/other,");
}

static void test_disconnect_by_transport(void **state)
{
	struct session *c;
	struct sio_socket *s = connect_client(&c);

	(void)state;
	(void)join_nsp(c, "0/other,");
	sio_disconnect(s, true);
	check_closed(c, SESSION_FORCED_CLOSE);
	check_sent_nothing(c);
	check_trace("");
	turn();
	turn();
	check_trace("gone / forced close\ngone /other forced close\n");
}

static void test_client_disconnects(void **state)
{
	struct session *c;

	(void)state;
	(void)connect_client(&c);
	(void)join_nsp(c, "0/other,");
	fake_session_text(c, "1/other,");
	assert_null(sio_lookup(sio, last_id));
	/* It may come back in the same turn. */
	(void)join_nsp(c, "0/other,");
	turn();
	check_trace("gone /other client namespace disconnect\n");
	fake_session_text(c, "1");
	turn();
	check_trace("gone / client namespace disconnect\n");
	check_sent_nothing(c);
	assert_false(c->closed);
}

static uint64_t expected_id;

static void look_back(struct sio_socket *s)
{
	struct sio_message m = { .name = slice_str("too late") };

	assert_int_equal(sio_id(s), expected_id);
	assert_int_equal(sio_emit(s, &m), PARLANCE_ECLOSED);
	assert_null(sio_lookup(sio, expected_id));
	assert_int_equal(sio_join(s, slice_str("c")), PARLANCE_ECLOSED);
	assert_true(sio_in_room(s, slice_str("a")));
	assert_true(sio_in_room(s, slice_str("b")));
	assert_int_equal(sio_room_of(s, 0).len, 1);
	assert_int_equal(sio_room_of(s, 1).len, 1);
	assert_int_equal(sio_room_of(s, 2).len, 0);
}

/* Every reason has its text, and the rooms can still be read. */
static void test_transport_closes(void **state)
{
	static const enum session_close reasons[] = {
#define X(name, value, text) name,
		SESSION_CLOSE_LIST(X)
#undef X
	};
	char expected[128];

	(void)state;
	in_disconnect = look_back;
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++) {
		struct session *c;
		struct sio_socket *s = connect_client(&c);

		expected_id = sio_id(s);
		assert_int_equal(sio_join(s, slice_str("a")), 0);
		assert_int_equal(sio_join(s, slice_str("b")), 0);
		session_close(c, reasons[i]);
		turn();
		(void)snprintf(expected, sizeof(expected), "gone / %s\n",
			       session_close_text(reasons[i]));
		check_trace(expected);
	}
	assert_int_equal(sio_room_size(nsp, slice_str("a")), 0);
}

static void test_transport_closes_while_waiting(void **state)
{
	struct session *c = open_session();

	(void)state;
	answer = LATER;
	fake_session_text(c, "0");
	session_close(c, SESSION_TRANSPORT_CLOSE);
	/* Accepted between the close and the end of the turn: it came, so it goes. */
	fake_session_text(open_session(), "0/other,");
	sio_accept(last_socket(), NULL, NULL);
	session_close(sessions[1], SESSION_PING_TIMEOUT);
	turn();
	check_trace("connect / auth=\nconnect /other auth=\ngone /other ping timeout\n");
	assert_null(sio_lookup(sio, last_id));
}

/* What no client that knows the protocol says closes the session. */
static void test_what_closes(void **state)
{
	static const char *const connected[] = {
		"", "9", "x", "2", "2{}", "2[]", "2[\"a\"", "2[\"connect\"]", "2/other,[\"a\"]",
		"2/nope,[\"a\"]", "4{\"message\":\"x\"}", "1/other,", "3/other,1[]", "51-[\"a\"",
	};
	struct session *c;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(connected); i++) {
		(void)connect_client(&c);
		fake_session_text(c, connected[i]);
		if (!c->closed || c->reason != SESSION_PARSE_ERROR)
			fail_msg("not closed by: %s", connected[i]);
		turn();
		check_trace("gone / parse error\n");
		check_sent_nothing(c);
	}
	/* Nothing but CONNECT before the first; nothing at all while it waits. */
	c = open_session();
	fake_session_text(c, "2[\"a\"]");
	check_closed(c, SESSION_PARSE_ERROR);
	answer = LATER;
	for (size_t i = 0; i < 3; i++) {
		static const char *const waiting[] = { "2[\"a\"]", "1", "30[]" };

		c = open_session();
		fake_session_text(c, "0");
		fake_session_text(c, waiting[i]);
		check_closed(c, SESSION_PARSE_ERROR);
	}
	turn();
	check_trace("connect / auth=\nconnect / auth=\nconnect / auth=\n");
}

static void test_stats(void **state)
{
	struct sio_stats stats;
	struct session *c;
	struct sio_socket *s = connect_client(&c);

	(void)state;
	(void)join_nsp(c, "0/other,");
	assert_int_equal(sio_join(s, slice_str("a")), 0);
	assert_int_equal(sio_join(last_socket(), slice_str("a")), 0);
	assert_int_equal(sio_join(s, slice_str("b")), 0);
	sio_stats(sio, &stats);
	assert_int_equal(stats.sockets, 2);
	assert_int_equal(stats.rooms, 3); /* rooms of two namespaces are two rooms */
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	sio_stats(sio, &stats);
	assert_int_equal(stats.sockets, 0);
	assert_int_equal(stats.rooms, 0);
}

/* ---- congestion ---- */

static void disconnect_the_rest(struct sio_socket *s)
{
	(void)s;
	for (size_t i = 0; sio_room_member(nsp, slice_str("room"), i); i++)
		sio_disconnect(sio_room_member(nsp, slice_str("room"), i), false);
}

static void test_congestion(void **state)
{
	struct session *c;
	struct sio_socket *s = connect_client(&c);

	(void)state;
	assert_false(sio_congested(s));
	c->congested = true;
	c->queued_bytes = 4711;
	assert_true(sio_congested(s));
	assert_int_equal(sio_queued_bytes(s), 4711);
	/* "/other" has no callback, and who waits has nothing to send. */
	(void)join_nsp(c, "0/other,");
	sio_session_ops()->drain(sio, c);
	check_trace("drain\n");
	answer = LATER;
	c = open_session();
	fake_session_text(c, "0");
	strbuf_reset(&trace);
	sio_session_ops()->drain(sio, c);
	check_trace("");
}

/* Whoever drains may end sockets, those of the same session too. */
static void test_disconnect_in_drain(void **state)
{
	static const char *const names[] = { "/1", "/2", "/3" };
	struct session *c = open_session();

	(void)state;
	in_drain = disconnect_the_rest;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_non_null(sio_namespace(sio, names[i], &ops, &trace));
	(void)join_nsp(c, "0/1,");
	assert_int_equal(sio_join(join_nsp(c, "0"), slice_str("room")), 0);
	(void)join_nsp(c, "0/2,");
	(void)join_nsp(c, "0/3,");
	sio_session_ops()->drain(sio, c);
	check_trace("drain\ndrain\ndrain\n"); /* not the one in the middle */
	turn();
	check_trace("gone / server namespace disconnect\n");
	assert_false(c->closed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_accept_at_once),
		TEST(test_connect_payload),
		TEST(test_accept_later),
		TEST(test_refuse),
		TEST(test_answers_too_long),
		TEST(test_authorize_timeout),
		TEST(test_invalid_namespace),
		TEST(test_namespace_names),
		TEST(test_second_connect),
		TEST(test_max_namespaces),
		TEST(test_connect_timeout),
		TEST(test_disconnect_by_packet),
		TEST(test_disconnect_by_transport),
		TEST(test_client_disconnects),
		TEST(test_transport_closes),
		TEST(test_transport_closes_while_waiting),
		TEST(test_what_closes),
		TEST(test_stats),
		TEST(test_congestion),
		TEST(test_disconnect_in_drain),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
