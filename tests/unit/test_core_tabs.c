/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Tabs: how they come in, which of them hears what under which name, who is typing, and that
 * nothing is left of those that go.
 */
#include "core_fixture.h"

static struct core_stats stats(void)
{
	struct core_stats s;

	core_stats(core, &s);
	return s;
}

/* ---- coming in ---- */

/* The token that is to be verified; "" when none is. Its client is let go. */
static void check_token(struct session *c, const char *auth, const char *expected)
{
	struct fake_verification *v;

	fake_session_text(c, json("0%s", auth));
	v = fake_verification_find(plugins);
	if (!*expected) {
		assert_null(v);
		check_sent(c, json("4{'message':'Authentication error: token required',"
				   "'data':{'code':'UNAUTHENTICATED'}}"));
		return;
	}
	assert_non_null(v);
	assert_string_equal(v->token, expected);
	assert_string_equal(v->address, "192.0.2.1");
	assert_int_equal(v->timeout_ms, 5000);
	assert_true(c->handshake_forgotten);
	fake_verification_reject(v, PARLANCE_AUTH_DENIED);
	check_sent(c, json("4{'message':'Authentication error: invalid token',"
			   "'data':{'code':'UNAUTHENTICATED'}}"));
}

static struct session *with_handshake(const char *authorization, const char *token)
{
	struct session *c = open_session();

	c->handshake.authorization = slice_str(authorization);
	c->handshake.token = slice_str(token);
	return c;
}

static void test_token(void **state)
{
	(void)state;
	check_token(with_handshake("Bearer h", "q"), "{'token':'a'}", "a");
	check_token(with_handshake("Bearer h", "q"), "{'token':''}", "h");
	check_token(with_handshake("bEARER   h", "q"), "{'token':7}", "h");
	check_token(with_handshake("Bearer ", "q"), "{'token':null}", "q");
	check_token(with_handshake("Basic h", "q"), "", "q");
	check_token(with_handshake("Bearer", ""), "", "");
	check_token(with_handshake(NULL, NULL), "{}", "");
	check_token(with_handshake(NULL, NULL), "{'token':'a\\u0000'}", "");
	chat.query_token = false;
	check_token(with_handshake(NULL, "q"), "", "");
}

static void test_long_token(void **state)
{
	char token[16386];
	struct session *c = open_session();

	(void)state;
	memset(token, 'x', sizeof(token) - 1);
	token[sizeof(token) - 1] = '\0';
	fake_session_text(c, json("0{'token':'%s'}", token));
	assert_null(fake_verification_find(plugins));
	check_sent(c, json("4{'message':'Authentication error: invalid token',"
			   "'data':{'code':'UNAUTHENTICATED'}}"));
	token[16384] = '\0';
	c = open_session();
	fake_session_text(c, json("0{'token':'%s'}", token));
	fake_verification_reject(fake_verification_find(plugins), PARLANCE_AUTH_EXPIRED);
	check_sent(c, json("4{'message':'Authentication error: token expired',"
			   "'data':{'code':'TOKEN_EXPIRED'}}"));
}

static struct session *begin_connect(void)
{
	struct session *c = open_session();

	fake_session_text(c, "0{\"token\":\"t\"}");
	return c;
}

/* What is not the client's fault makes it come again: it is not told that it is refused. */
static void test_not_now(void **state)
{
	static const char *const answers[] = {
		"{'ok':false,'code':'INTERNAL','room':'" ALICE_ROOM "','seq':0,'streams':[],"
		"'epoch':'e1'}",
		"{'ok':true,'room':'x','seq':0,'streams':[],'epoch':'e1'}",
		"{'ok':true,'seq':0,'streams':[],'epoch':'e1'}",
		"{'ok':true,'room':'" ALICE_ROOM "','streams':[],'epoch':'e1'}",
		"{'ok':true,'room':'" ALICE_ROOM "','seq':-1,'streams':[],'epoch':'e1'}",
		"{'ok':true,'room':'" ALICE_ROOM "','seq':0,'epoch':'e1'}",
		"{'ok':true,'room':'" ALICE_ROOM "','seq':0,'streams':[]}",
		"{'ok':true,'room':'" ALICE_ROOM "','seq':0,'streams':[],'epoch':'e1'}",
		"{'ok':true,'room':'" ALICE_ROOM "','seq':0,'streams':[],'epoch':'e1',"
		"'socket':'x'}",
	};
	struct session *c = begin_connect();

	(void)state;
	fake_verification_reject(fake_verification_find(plugins), PARLANCE_AUTH_TEMPORARY);
	check_closed(c, SESSION_FORCED_CLOSE);
	check_silent(c);
	for (size_t i = 0; i < ARRAY_LEN(answers) + 2; i++) {
		c = begin_connect();
		if (i == ARRAY_LEN(answers))
			plugins->refuse_call = -1;
		fake_verification_accept(fake_verification_find(plugins), "alice", 0);
		plugins->refuse_call = 0;
		if (i < ARRAY_LEN(answers))
			answer(PARLANCE_SESSION_OPEN, "%s", answers[i]);
		else if (i > ARRAY_LEN(answers))
			answer_status(PARLANCE_SESSION_OPEN, PARLANCE_STORAGE_UNAVAILABLE);
		check_closed(c, SESSION_FORCED_CLOSE);
		check_silent(c);
		assert_int_equal(stats().rooms, 0);
	}
	config.max_rooms = 0;
	c = begin_connect();
	fake_verification_accept(fake_verification_find(plugins), "alice", 0);
	answer_session("alice");
	check_closed(c, SESSION_FORCED_CLOSE);
	assert_int_equal(stats().users, 0);
}

/* It goes before it is in. */
static void test_gone_before(void **state)
{
	struct session *c = begin_connect();

	(void)state;
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	fake_verification_accept(fake_verification_find(plugins), "alice", 0);
	check_not_called(PARLANCE_SESSION_OPEN);
	c = begin_connect();
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	fake_verification_reject(fake_verification_find(plugins), PARLANCE_AUTH_DENIED);
	c = begin_connect();
	fake_verification_accept(fake_verification_find(plugins), "alice", 0);
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	answer_session("alice");
	assert_int_equal(stats().users, 0);
	assert_int_equal(stats().rooms, 0);
}

static void test_ready(void **state)
{
	struct session *c = begin_connect();
	struct fake_message *m;

	(void)state;
	fake_verification_accept(fake_verification_find(plugins), "al\"ice", 1700000000000);
	answer(PARLANCE_SESSION_OPEN,
	       "{'ok':true,'room':'%s','seq':0,'epoch':'e1','socket':'%s',"
	       "'streams':[{'conversationId':'c','streamId':'s'}]}",
	       ALICE_ROOM, "socket-000000000000000");
	m = fake_session_take(c); /* that it is connected; nothing is before the event */
	assert_non_null(m);
	fake_message_free(&m);
	check_event(c, "session:ready",
		    "{'serverTime':'*','expiresAt':'2023-11-14T22:13:20.000Z','recovered':false,"
		    "'limits':{'maxContentBytes':1000,'maxTitleBytes':100,'maxMetadataBytes':200,"
		    "'queueDepth':3},'activeStreams':[{'conversationId':'c','streamId':'s'}]}");
	assert_string_equal(taken_text("userId"), "al\"ice");
	assert_int_equal(strlen(taken_text("socketId")), ID_TOKEN_LEN);
	check_silent(c);
}

/* ---- going ---- */

static void test_counts(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *tab = connect_user("alice");
	struct session *b = connect_and_join("bob");

	(void)state;
	assert_int_equal(stats().users, 2);
	assert_int_equal(stats().sockets, 3);
	assert_int_equal(stats().rooms, 3);
	session_close(a, SESSION_TRANSPORT_CLOSE);
	turn();
	assert_int_equal(stats().users, 2);
	assert_int_equal(stats().sockets, 2);
	assert_int_equal(stats().rooms, 3);
	fake_session_text(b, "1"); /* it disconnects, its connection stays */
	turn();
	assert_int_equal(stats().users, 1);
	assert_int_equal(stats().sockets, 1);
	assert_int_equal(stats().rooms, 1);
	next_event("message.updated", "{'n':1}");
	check_silent(b);
	session_close(tab, SESSION_TRANSPORT_CLOSE);
	turn();
	assert_int_equal(stats().users, 0);
	assert_int_equal(stats().rooms, 0);
}

/* Who leaves hears no more; to leave what one is not in does no harm. */
static void test_leaving(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_and_join("bob");

	(void)state;
	for (int i = 0; i < 2; i++) {
		ask(b, 1, "leave:conversation", "'%s'", CONV);
		check_event(b, "conversation:left", "{'conversationId':'%s'}", CONV);
		check_ack(b, 1, "{'ok':true}");
		next_event("message.updated", "{'n':%d}", i);
		check_event(a, "message:updated", "{'n':%d}", i);
		check_silent(b);
	}
	join(b);
	next_event("message.updated", "{'n':3}");
	check_event(b, "message:updated", "{'n':3}");
}

/* The six functions of the seed, as plugins have them. */

static char told[256];

static void on_each(void *arg, struct slice text)
{
	size_t len = strlen(told);

	assert_ptr_equal(arg, told);
	(void)snprintf(told + len, sizeof(told) - len, "%.*s ", (int)text.len, text.p);
}

static void test_functions(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *tab = connect_and_join("alice");
	struct session *b = connect_and_join("bob");
	const struct plugins_chat *f = plugins->chat;
	void *ctx = plugins->chat_ctx;
	const char *expected;

	(void)state;
	expected = json("%s %s ", sid_of(a), sid_of(tab));
	told[0] = '\0';
	f->user_sockets(ctx, slice_str("alice"), on_each, told);
	assert_string_equal(told, expected);
	f->user_sockets(ctx, slice_str("carol"), on_each, told);
	assert_string_equal(told, expected);
	told[0] = '\0';
	f->conversation_users(ctx, slice_str(CONV), on_each, told);
	assert_string_equal(told, "alice bob ");
	f->conversation_users(ctx, slice_str(CONV2), on_each, told);
	assert_string_equal(told, "alice bob ");
	assert_true(slice_is(f->socket_user(ctx, slice_str(sid_of(b))), "bob"));
	assert_null(f->socket_user(ctx, slice_str("x")).p);
	assert_true(f->user_online(ctx, slice_str("bob")));
	assert_false(f->user_online(ctx, slice_str("bo")));
	/* What plugins tell goes by the storage: it reaches the tabs of all instances. */
	assert_int_equal(f->broadcast_user(ctx, slice_str("alice"), slice_str("hello"),
					   slice_str("{\"n\":1}")), 0);
	check_param(PARLANCE_BROADCAST, 0, "alice");
	check_param(PARLANCE_BROADCAST, 1, "(null)");
	check_param(PARLANCE_BROADCAST, 2, "hello");
	check_param(PARLANCE_BROADCAST, 3, "{\"n\":1}");
	answer(PARLANCE_BROADCAST, "{'ok':true}");
	assert_int_equal(f->broadcast_conversation(ctx, slice_str(CONV), slice_str("hello"),
						   slice_str("{\"n\":2}")), 0);
	check_param(PARLANCE_BROADCAST, 0, "(null)");
	check_param(PARLANCE_BROADCAST, 1, CONV);
	answer_status(PARLANCE_BROADCAST, PARLANCE_STORAGE_UNAVAILABLE);
	assert_int_not_equal(f->broadcast_conversation(ctx, slice_str("x"), slice_str("hello"),
						       slice_str("1")), 0);
	assert_int_not_equal(f->broadcast_user(ctx, slice_str("alice"), slice_str("hello"),
					       slice_str("{\"n\":")), 0);
	assert_int_not_equal(f->broadcast_user(ctx, slice_str("alice"), slice_str("disconnect"),
					       slice_str("1")), 0);
	check_not_called(PARLANCE_BROADCAST);
	check_silent(a);
	check_silent(b);
	session_close(b, SESSION_TRANSPORT_CLOSE);
	turn();
	assert_false(f->user_online(ctx, slice_str("bob")));
}

/* ---- who hears what ---- */

/* The seed's name to the others, the past-tense name to all, to nobody what he does not want. */
static void test_aliases(void **state)
{
	struct session *both = connect_user("alice");
	struct session *seed = connect_with("alice", "{'token':'t','aliases':'seed'}");
	struct session *past = connect_with("alice", "{'token':'t','aliases':'past'}");
	struct session *usual;

	(void)state;
	chat.aliases = CORE_ALIASES_PAST;
	usual = connect_with("alice", "{'token':'t','aliases':'some'}");
	feed_from(sid_of(both), ALICE_ROOM, 1, "conversation.created", "{'n':1}");
	check_event(both, "conversation:created", "{'n':1}");
	check_event(seed, "conversation:create", "{'n':1}");
	check_event(past, "conversation:created", "{'n':1}");
	check_event(usual, "conversation:created", "{'n':1}");
	feed_from(sid_of(seed), ALICE_ROOM, 2, "conversation.updated", "{'n':2}");
	check_event(both, "conversation:update", "{'n':2}");
	check_event(both, "conversation:updated", "{'n':2}");
	check_event(past, "conversation:updated", "{'n':2}");
	feed(ALICE_ROOM, 3, "conversation.deleted", "{'n':3}");
	check_event(both, "conversation:delete", "{'n':3}");
	check_event(both, "conversation:deleted", "{'n':3}");
	check_event(seed, "conversation:delete", "{'n':3}");
	check_event(past, "conversation:deleted", "{'n':3}");
	check_silent(both);
	check_silent(seed);
	check_silent(past);
}

/* What concerns a conversation and its participants comes once for each: a tab that has the
 * conversation open hears it there, and only there. */
static void test_each_once(void **state)
{
	struct session *open = connect_and_join("alice");
	struct session *other = connect_user("alice");
	struct session *b = connect_and_join("bob");

	(void)state;
	conv_seq++;
	feed_from(sid_of(b), CONV, conv_seq, "message.new", "{'n':1}");
	feed_from(sid_of(b), ALICE_ROOM, 1, "message.new", "{'n':1}");
	feed_from(sid_of(b), BOB_ROOM, 1, "message.new", "{'n':1}");
	check_event(open, "message:new", "{'n':1}");
	check_event(other, "message:new", "{'n':1}");
	check_silent(b); /* it is his own */
	conv_seq++;
	feed(CONV, conv_seq, "conversation.updated", "{'n':2}");
	feed(ALICE_ROOM, 2, "conversation.updated", "{'n':2}");
	check_event(open, "conversation:update", "{'n':2}");
	check_event(open, "conversation:updated", "{'n':2}");
	check_event(other, "conversation:update", "{'n':2}");
	check_event(other, "conversation:updated", "{'n':2}");
	check_event(b, "conversation:update", "{'n':2}");
	check_event(b, "conversation:updated", "{'n':2}");
	feed_from(sid_of(open), ALICE_ROOM, 3, "conversation.viewed", "{'n':3}");
	check_event(other, "conversation:unread_status", "{'n':3}");
	feed(ALICE_ROOM, 4, "conversation.activity", "{'n':4}");
	check_event(open, "conversation:activity", "{'n':4}");
	check_event(other, "conversation:activity", "{'n':4}");
	next_event("message.deleted", "{'n':5}");
	check_event(open, "message:deleted", "{'n':5}");
	check_event(b, "message:deleted", "{'n':5}");
	check_silent(open);
	check_silent(other);
	check_silent(b);
}

/* Roles that change count at once; who is put out hears it in his own room, and leaves. */
static void test_roles(void **state)
{
	struct session *b = connect_user("bob");

	(void)state;
	join_as(b, "editor");
	next_event("conversation.updated",
		   "{'update':{'participants':[{'userId':'alice','role':'owner'},"
		   "{'userId':'bob','role':'viewer'},{'userId':'carol','role':'editor'}]}}");
	forget(b);
	ask(b, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
	check_refused(b, 1, "FORBIDDEN");
	/* Who is not named any more has left before the others are told. */
	next_event("conversation.updated",
		   "{'update':{'participants':[{'userId':'alice','role':'owner'}]}}");
	check_silent(b);
	next_event("message.updated", "{}");
	check_silent(b);
	assert_int_equal(stats().rooms, 1);
	feed(BOB_ROOM, 1, "conversation.deleted", "{'conversationId':'%s'}", CONV);
	check_event(b, "conversation:delete", "{}");
	check_event(b, "conversation:deleted", "{}");
	/* Nobody takes part in what is deleted. */
	join_as(b, "owner");
	next_event("conversation.deleted", "{'conversationId':'%s'}", CONV);
	assert_int_equal(stats().rooms, 1);
	join_as(b, "owner");
	feed(BOB_ROOM, 2, "conversation.deleted", "{'conversationId':'%s'}", CONV);
	check_event(b, "conversation:delete", "{}");
	check_event(b, "conversation:deleted", "{}");
	next_event("message.updated", "{}");
	check_silent(b);
	assert_int_equal(stats().rooms, 1);
}

/* ---- typing ---- */

static void check_typing(struct session *c, const char *what)
{
	check_packet(c, json("2['typing:%s',", what),
		     json("{'userId':'alice','conversationId':'%s'}", CONV));
	check_packet(c, json("2['user:typing:%s',", what),
		     json("{'userId':'alice','conversationId':'%s'}", CONV));
	check_silent(c);
}

static void type(struct session *c, const char *event)
{
	ask(c, 6, event, "{'conversationId':'%s'}", CONV);
	check_ack(c, 6, "{'ok':true}");
	check_silent(c);
}

static void test_typing(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_and_join("bob");
	struct session *seed = connect_with("bob", "{'token':'t','aliases':'seed'}");

	(void)state;
	join(seed);
	type(a, "typing:stop");
	check_silent(b);
	type(a, "typing:start");
	check_typing(b, "start");
	check_event(seed, "typing:start", "{}");
	check_silent(seed);
	/* A repeat is passed on now and then, and keeps it going. */
	advance(1999);
	type(a, "typing:start");
	check_silent(b);
	advance(1);
	type(a, "typing:start");
	check_typing(b, "start");
	advance(5999);
	check_silent(b);
	advance(1);
	check_typing(b, "stop");
	advance(10000);
	check_silent(b);
	type(a, "typing:start");
	check_typing(b, "start");
	type(a, "typing:stop");
	check_typing(b, "stop");
	type(a, "typing:stop");
	advance(10000);
	check_silent(b);
	/* Who leaves does not type any more. */
	type(a, "typing:start");
	check_typing(b, "start");
	say(a, "leave:conversation", "'%s'", CONV);
	check_typing(b, "stop");
	check_event(a, "conversation:left", "{}");
	ask(a, 1, "typing:start", "'%s'", CONV);
	check_refused(a, 1, "NOT_FOUND");
	join(a);
	type(a, "typing:start");
	check_typing(b, "start");
	session_close(a, SESSION_PING_TIMEOUT);
	check_typing(b, "stop");
	advance(10000);
	check_silent(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_token),
		core_test(test_long_token),
		core_test(test_not_now),
		core_test(test_gone_before),
		core_test(test_ready),
		core_test(test_counts),
		core_test(test_leaving),
		core_test(test_functions),
		core_test(test_aliases),
		core_test(test_each_once),
		core_test(test_roles),
		core_test(test_typing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
