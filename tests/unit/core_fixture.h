/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the tests of core share: the chat on real sio, with fake sessions before it, fake plugins
 * behind it, and a clock that the test moves. The test is client, storage, feed, auth and provider.
 * Included by one file of a program.
 *
 * JSON is written with single quotes, by printf. What is compared is a subset: members that are not
 * named may be there, and '*' stands for any value.
 */
#ifndef PARLANCE_TESTS_UNIT_CORE_FIXTURE_H
#define PARLANCE_TESTS_UNIT_CORE_FIXTURE_H

#include <inttypes.h>
#include <json-c/json.h>

#include "session_fixture.h"
#include "fake_plugins.h"
#include "fake_time.h"

#include "base/id.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "core/core.h"

#define CONV "11111111-1111-4111-8111-111111111111"
#define CONV2 "22222222-2222-4222-8222-222222222222"
#define ALICE_ROOM "aaaaaaaa-aaaa-8aaa-8aaa-aaaaaaaaaa61" /* of version 8, as user_room has them */
#define BOB_ROOM "aaaaaaaa-aaaa-8aaa-8aaa-aaaaaaaaaa62"
#define INSTANCE 7

static struct core *core;
static struct core_config chat;
static struct plugins *plugins;
static char sids[SESSIONS_MAX][ID_TOKEN_LEN + 1]; /* of sessions */
static unsigned int sockets_named;
static int64_t session_seq;                         /* where session_open says a user's room is */
static struct json_object *taken;                   /* the argument of what was last checked */
static char taken_offset[SIO_OFFSET_MAX + 1];       /* and what followed it, or "" */

/* ---- JSON ---- */

static inline void quote(struct strbuf *sb)
{
	assert_true(strbuf_ok(sb));
	for (size_t i = 0; i < sb->len; i++)
		if (sb->data[i] == '\'')
			sb->data[i] = '"';
}

/** Printed, with double quotes; good for some more calls. */
static inline const char *json(const char *fmt, ...) PRINTF_LIKE(1, 2);

static inline const char *json(const char *fmt, ...)
{
	static struct strbuf ring[16];
	static size_t next;
	struct strbuf *sb = &ring[next++ % ARRAY_LEN(ring)];
	va_list ap;

	if (!sb->max)
		strbuf_init(sb, SIZE_MAX / 2);
	strbuf_reset(sb);
	va_start(ap, fmt);
	strbuf_vprintf(sb, fmt, ap);
	va_end(ap);
	quote(sb);
	return strbuf_cstr(sb);
}

static inline bool includes(struct json_object *all, struct json_object *some)
{
	if (json_object_is_type(some, json_type_string) &&
	    strcmp(json_object_get_string(some), "*") == 0)
		return true;
	if (json_object_get_type(some) != json_object_get_type(all))
		return false;
	if (json_object_is_type(some, json_type_object)) {
		json_object_object_foreach(some, key, value) {
			struct json_object *other;

			if (!json_object_object_get_ex(all, key, &other) ||
			    !includes(other, value))
				return false;
		}
		return true;
	}
	if (json_object_is_type(some, json_type_array)) {
		size_t n = json_object_array_length(some);

		if (json_object_array_length(all) != n)
			return false;
		for (size_t i = 0; i < n; i++)
			if (!includes(json_object_array_get_idx(all, i),
				      json_object_array_get_idx(some, i)))
				return false;
		return true;
	}
	return json_object_equal(all, some) != 0;
}

/** A text of the object that was checked last; "" when it has none. Good until the next check. */
static inline const char *taken_text(const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(taken, key, &value) ? json_object_get_string(value) : "";
}

static inline int64_t taken_number(const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(taken, key, &value) ? json_object_get_int64(value) : -1;
}

static inline bool taken_has(const char *key)
{
	return json_object_object_get_ex(taken, key, NULL);
}

/* ---- time ---- */

/** Moves the clock: every timer that is due by then fires at its own time. */
static inline void advance(uint64_t ms)
{
	uint64_t until = loop_now_ms(loop) + ms;

	turn();
	while (fake_time_step(until))
		turn();
	turn();
}

/* ---- clients ---- */

static inline size_t index_of(const struct session *c)
{
	size_t i = 0;

	while (i < n_sessions && sessions[i] != c)
		i++;
	assert_true(i < n_sessions);
	return i;
}

static inline const char *sid_of(const struct session *c)
{
	return sids[index_of(c)];
}

static inline void say_text(struct session *c, int ack, const char *event, const char *args)
{
	struct strbuf sb;

	strbuf_init(&sb, SIZE_MAX / 2);
	strbuf_append_char(&sb, '2');
	if (ack >= 0)
		strbuf_append_u64(&sb, (uint64_t)ack);
	strbuf_printf(&sb, "[\"%s\"%s%s]", event, *args ? "," : "", args);
	assert_true(strbuf_ok(&sb));
	fake_session_text(c, strbuf_cstr(&sb));
	strbuf_fini(&sb);
	turn();
}

#define say(c, event, ...) say_text((c), -1, (event), json(__VA_ARGS__))
#define ask(c, ack, event, ...) say_text((c), (ack), (event), json(__VA_ARGS__))

/* Cuts off what follows an object. */
static inline void take_offset(char *text)
{
	char *end = strrchr(text, '}');
	size_t len;

	taken_offset[0] = '\0';
	if (!end || !end[1])
		return;
	assert_int_equal(strncmp(end + 1, ",\"", 2), 0);
	len = strlen(end + 3);
	assert_true(len > 1 && len <= SIO_OFFSET_MAX && end[3 + len - 1] == '"');
	memcpy(taken_offset, end + 3, len - 1);
	taken_offset[len - 1] = '\0';
	end[1] = '\0';
}

/** The next packet that the client was sent begins with head, and its arguments after the name
 * (which may be empty) are one object that includes this, and perhaps an offset. */
static inline void check_packet(struct session *c, const char *head, const char *expected)
{
	struct fake_message *m;
	struct json_object *some;
	size_t len = strlen(head);

	turn();
	m = fake_session_take(c);
	if (!m)
		fail_msg("nothing was sent instead of %s%s", head, expected);
	if (strncmp(m->text, head, len) != 0 || m->text[m->len - 1] != ']')
		fail_msg("%s\n  was sent instead of %s%s", m->text, head, expected);
	m->text[m->len - 1] = '\0';
	take_offset(m->text);
	json_object_put(taken);
	taken = json_tokener_parse(m->text + len);
	some = json_tokener_parse(expected);
	assert_non_null(some);
	if (!json_object_is_type(taken, json_type_object) || !includes(taken, some))
		fail_msg("%s]\n  was sent instead of %s%s", m->text, head, expected);
	json_object_put(some);
	fake_message_free(&m);
}

#define check_event(c, event, ...) \
	check_packet((c), json("2['" event "',"), json(__VA_ARGS__))
#define check_ack(c, ack, ...) check_packet((c), json("3%d[", (ack)), json(__VA_ARGS__))
#define check_refused(c, ack, code) \
	check_ack((c), (ack), "{'ok':false,'error':{'code':'%s','type':'%s'}}", (code), (code))

static inline void check_silent(struct session *c)
{
	turn();
	check_sent_nothing(c);
}

/** Throws away what the client was sent. */
static inline void forget(struct session *c)
{
	struct fake_message *m;

	turn();
	while ((m = fake_session_take(c)))
		fake_message_free(&m);
}

/* ---- the storage ---- */

static inline struct fake_call *call_of(enum parlance_storage_function function)
{
	struct fake_call *call;

	turn();
	call = fake_call_find(plugins, function);
	if (!call)
		fail_msg("%s was not called", storage_function_name(function));
	return call;
}

static inline void check_not_called(enum parlance_storage_function function)
{
	turn();
	if (fake_call_find(plugins, function))
		fail_msg("%s was called", storage_function_name(function));
}

static inline const char *param(enum parlance_storage_function function, size_t i)
{
	const struct fake_call *call = call_of(function);

	assert_true(i < call->n_params);
	return call->params[i].p ? call->params[i].p : "(null)";
}

#define check_param(function, i, expected) assert_string_equal(param((function), (i)), (expected))

static inline void answer_text(enum parlance_storage_function function, const char *text)
{
	fake_call_answer(call_of(function), text);
	turn();
}

#define answer(function, ...) answer_text((function), json(__VA_ARGS__))

static inline void answer_status(enum parlance_storage_function function,
				 enum parlance_storage_status status)
{
	fake_call_fail(call_of(function), status);
	turn();
}

/* ---- the feed ---- */

/** An event as the log has it. origin: the socket that caused it, or NULL. */
static inline const char *event_of(const char *origin, const char *room, int64_t seq,
				   const char *type, const char *body)
{
	return json("{'r':'%s','k':'c','s':%" PRId64 ",'t':'%s','c':'%s','i':null,'o':%s,"
		    "'u':null,'b':%s}",
		    room, seq, type, CONV, origin ? json("'%s'", origin) : "null", body);
}

static inline void tell(const char *room, int64_t seq, const char *type, const char *event)
{
	fake_storage_event(plugins, room, seq, type, event);
	turn();
}

static inline void tell_from(const char *origin, const char *room, int64_t seq, const char *type,
			     const char *body)
{
	tell(room, seq, type, event_of(origin, room, seq, type, body));
}

#define feed(room, seq, type, ...) tell_from(NULL, (room), (seq), (type), json(__VA_ARGS__))
#define feed_from(origin, room, seq, type, ...) \
	tell_from((origin), (room), (seq), (type), json(__VA_ARGS__))

/* ---- common steps ---- */

static inline const char *room_of_user(const char *user)
{
	return json("aaaaaaaa-aaaa-8aaa-8aaa-aaaaaaaaaa%02x", (unsigned int)user[0]);
}

static inline void answer_session(const char *user)
{
	check_param(PARLANCE_SESSION_OPEN, 0, user);
	answer(PARLANCE_SESSION_OPEN,
	       "{'ok':true,'room':'%s','seq':%" PRId64 ",'epoch':'e1','socket':'socket-%015u',"
	       "'recovered':false,'streams':[]}",
	       room_of_user(user), session_seq, ++sockets_named);
}

/** The client was let in. */
static inline void check_ready(struct session *c, const char *user)
{
	struct fake_message *m = fake_session_take(c);

	assert_non_null(m);
	assert_int_equal(strncmp(m->text, "0{\"sid\":", 8), 0);
	fake_message_free(&m);
	check_event(c, "session:ready", "{'userId':'%s','recovered':false}", user);
	(void)snprintf(sids[index_of(c)], sizeof(sids[0]), "%s", taken_text("socketId"));
}

/** A new client that is in. auth: what it connects with. */
static inline struct session *connect_with(const char *user, const char *auth)
{
	struct session *c = open_session();

	fake_session_text(c, json("0%s", auth));
	assert_non_null(fake_verification_find(plugins));
	fake_verification_accept(fake_verification_find(plugins), user, 0);
	answer_session(user);
	check_ready(c, user);
	return c;
}

static inline struct session *connect_user(const char *user)
{
	return connect_with(user, "{'token':'t'}");
}

/* Where the log of CONV is. */
static int64_t conv_seq;

#define next_event(type, ...) feed(CONV, ++conv_seq, (type), __VA_ARGS__)

static inline void answer_join(const char *role, int64_t seq)
{
	answer(PARLANCE_CONVERSATION_JOIN,
	       "{'ok':true,'role':'%s','seq':%" PRId64
	       ",'ack':{'ok':true,'conversation':{'id':'%s'},'lastSeq':0}}",
	       role, seq, CONV);
}

static inline void join_as(struct session *c, const char *role)
{
	ask(c, 900, "join:conversation", "'%s'", CONV);
	answer_join(role, conv_seq);
	check_event(c, "conversation:joined", "{'conversationId':'%s'}", CONV);
	check_ack(c, 900, "{'ok':true,'conversation':{'id':'%s'}}", CONV);
}

static inline void join(struct session *c)
{
	join_as(c, "owner");
}

static inline struct session *connect_and_join(const char *user)
{
	struct session *c = connect_user(user);

	join(c);
	return c;
}

/* ---- the whole ---- */

static inline int setup(void **state)
{
	log_setup(LOG_LEVEL_ERR, LOG_FORMAT_KV, 2);
	fake_time_reset();
	if (session_setup(state))
		return -1;
	chat = (struct core_config){
		.aliases = CORE_ALIASES_BOTH,
		.query_token = true,
		.auth_timeout_ms = 5000,
		.storage_timeout_ms = 5000,
		.history_messages = 50,
		.max_content_bytes = 1000,
		.max_title_bytes = 100,
		.max_metadata_bytes = 200,
		.max_json_depth = 32,
		.queue_depth = 3,
		.chunk_interval_ms = 40,
		.full_bytes_per_s = 65536,
		.max_answer_bytes = 1 << 20,
		.answer_timeout_ms = 600000,
		.flush_interval_ms = 250,
		.flush_bytes = 2048,
		.typing_timeout_ms = 6000,
		.typing_repeat_ms = 2000,
		.lease_beat_ms = 3000,
		.heads_interval_ms = 10000,
		.relay_interval_ms = 50,
		.recovery_max_events = 100,
		.drain_timeout_ms = 10000,
		.shutdown_timeout_ms = 5000,
		.advertise = "",
	};
	session_seq = 0;
	conv_seq = 0;
	plugins = fake_plugins_new(loop);
	/* What is not this test's concern goes well by itself. */
	plugins->canned[PARLANCE_INSTANCE_BEAT] =
	    "{\"ok\":true,\"epoch\":\"e1\",\"instances\":[],\"stops\":[]}";
	plugins->canned[PARLANCE_PRESENCE_SYNC] = "{\"ok\":true}";
	plugins->canned[PARLANCE_PRESENCE_ONLINE] = "{\"ok\":true,\"online\":[]}";
	plugins->canned[PARLANCE_INSTANCE_SEND] = "{\"ok\":true}";
	plugins->canned[PARLANCE_INSTANCE_REAP] = "{\"ok\":true,\"instances\":0,\"interrupted\":0}";
	plugins->canned[PARLANCE_MAINTAIN] = "{\"ok\":true}";
	plugins->canned[PARLANCE_FEED_HEADS] = "{\"ok\":true,\"rooms\":[]}";
	plugins->canned[PARLANCE_GENERATION_PARTS] = "{\"ok\":true,\"fenced\":[]}";
	plugins->canned[PARLANCE_REVOCATIONS] = "{\"ok\":true,\"after\":\"1\",\"revoked\":[]}";
	if (core_new(&core, loop, sio, plugins, &chat))
		return -1;
	fake_storage_ready(plugins, true);
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':%d}", INSTANCE);
	fake_storage_feed(plugins, true);
	advance(1);
	return 0;
}

static inline bool left(const char *what, uint64_t n)
{
	if (n)
		print_error("left behind: %" PRIu64 " %s\n", n, what);
	return n != 0;
}

/* When all sockets are gone nothing may be left of what they did. */
static inline int teardown(void **state)
{
	struct core_stats stats;
	bool bad = false;

	if (in_run)
		return -1;
	close_sessions();
	if (core) { /* a test may have seen to its end itself */
		core_stats(core, &stats);
		bad |= left("users", stats.users);
		bad |= left("sockets", stats.sockets);
		bad |= left("rooms", stats.rooms);
		bad |= left("answers", stats.generations);
	}
	for (struct list *node = plugins->calls.next; node != &plugins->calls; node = node->next)
		bad |= left(storage_function_name(
				CONTAINER_OF(node, struct fake_call, node)->function), 1);
	bad |= left("requests to providers", fake_answer_find(plugins) != NULL);
	bad |= left("verifications", fake_verification_find(plugins) != NULL);
	fake_plugins_close(plugins);
	core_free(&core);
	fake_plugins_free(&plugins);
	json_object_put(taken);
	taken = NULL;
	return session_teardown(state) || bad ? -1 : 0;
}

#define core_test(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
