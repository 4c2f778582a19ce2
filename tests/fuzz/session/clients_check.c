/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Tabs: what they are told. Each request is answered once at most; nobody hears of a conversation
 * that he has not entered; the pieces of an answer follow each other without holes.
 */
#include <stdlib.h>

#include "world.h"
#include "base/utf8.h"
#include "wire/json_scan.h"

static struct slice member(struct slice object, const char *key)
{
	struct slice value;

	return json_member(object, key, &w.arena, &value) == 0 ? value : slice_of("null", 4);
}

static struct slice text_of(struct slice object, const char *key)
{
	struct slice text;

	return json_string(member(object, key), &w.arena, &text) == 0 ? text : slice_of("", 0);
}

static uint64_t number_of(struct slice object, const char *key)
{
	return strtoull(member(object, key).p, NULL, 10);
}

static size_t conversation_of(struct slice id)
{
	size_t i = 0;

	while (i < CONVERSATIONS && !slice_is(id, w.rooms[USERS + i].id))
		i++;
	return i;
}

static void remember(const struct client *c)
{
	struct memory *m = &w.memories[take(ARRAY_LEN(w.memories))];

	m->user = c->token;
	memcpy(m->pid, c->pid, sizeof(m->pid));
	memcpy(m->offset, c->offset, sizeof(m->offset));
}

static void on_ack(struct client *c, const char *text)
{
	char *end;
	unsigned long id = strtoul(text, &end, 10);

	CHECK(end > text && *end == '[');
	if (c->n_acks == ACKS)
		return; /* it has sent anything */
	CHECK(id < c->n_acks && c->waits[id]);
	c->waits[id] = false;
}

static void on_ready(struct client *c, struct slice body)
{
	CHECK(c->in && c->first);
	/* A token that cannot be read for lack of memory is none: another one of his counts. */
	if (w.faulted)
		c->token = -1;
	if (c->token >= 0)
		CHECK(slice_is(text_of(body, "userId"), user_name((size_t)c->token)));
	if (slice_is(member(body, "recovered"), "true")) {
		memcpy(c->may_hear, c->claims, sizeof(c->may_hear));
		/* It has the id of the socket that was lost, and what that one sent. */
		memset(c->sent, true, sizeof(c->sent));
	}
}

static struct followed *followed(struct client *c, struct slice message)
{
	struct followed *f = NULL;

	for (size_t i = 0; i < c->n_streams && i < STREAMS; i++)
		if (slice_is(message, c->streams[i].message))
			return &c->streams[i];
	CHECK(message.len == ID_UUID_LEN);
	f = &c->streams[c->n_streams++ % STREAMS];
	memcpy(f->message, message.p, ID_UUID_LEN);
	f->utf16 = UINT64_MAX; /* it may have begun before */
	return f;
}

static uint64_t utf16_of(struct slice object, const char *key)
{
	struct slice text = text_of(object, key);

	return utf8_utf16_len(text.p, text.len);
}

static void on_snapshot(struct client *c, struct slice body)
{
	followed(c, text_of(body, "assistantMessageId"))->utf16 = utf16_of(body, "content");
}

static void on_chunk(struct client *c, struct slice body)
{
	struct followed *f = followed(c, text_of(body, "assistantMessageId"));
	uint64_t offset = number_of(body, "offset");
	uint64_t end = offset + utf16_of(body, "chunk");

	if (!w.faulted && f->utf16 != UINT64_MAX)
		CHECK(offset == f->utf16 || (!offset && number_of(body, "seq") == 1));
	if (text_of(body, "content").len)
		CHECK(utf16_of(body, "content") == end);
	f->utf16 = end;
}

/* Told to who asked for the answer as well, whatever room it is told in. */
static bool is_closing(struct slice name)
{
	return slice_is(name, "message:complete") || slice_is(name, "message:error");
}

static void check_conversation(const struct client *c, struct slice name, struct slice body)
{
	/* Made here, so that the name says where it is told. */
	static const char *const rooms[] = { "message:chunk", "message:snapshot", "typing:start",
					     "typing:stop", "user:typing:start", "user:typing:stop" };
	size_t i = conversation_of(text_of(body, "conversationId"));
	struct slice mark = member(body, "fuzzRoom");
	size_t room = slice_is(mark, "null") ? ROOMS : (size_t)strtoul(mark.p, NULL, 10);

	for (size_t k = 0; k < ARRAY_LEN(rooms) && i < CONVERSATIONS; k++)
		CHECK(!slice_is(name, rooms[k]) || c->may_hear[i]);
	/* What the log has told, in the room it told it in. */
	if (room < USERS)
		CHECK(c->token < 0 || (size_t)c->token == room || is_closing(name));
	else if (room < ROOMS)
		CHECK(c->may_hear[room - USERS] || c->sent[room - USERS]);
}

static void on_event(struct client *c, struct slice name, struct slice body)
{
	size_t i = conversation_of(text_of(body, "conversationId"));

	CHECK(c->in);
	if (slice_is(name, "session:ready"))
		on_ready(c, body);
	CHECK(!c->first || slice_is(name, "session:ready"));
	c->first = false;
	check_conversation(c, name, body);
	if (slice_is(name, "conversation:joined") && i < CONVERSATIONS)
		c->may_hear[i] = true;
	else if (slice_is(name, "conversation:left") && i < CONVERSATIONS)
		c->may_hear[i] = false;
	else if (slice_is(name, "message:snapshot"))
		on_snapshot(c, body);
	else if (slice_is(name, "message:chunk"))
		on_chunk(c, body);
}

static void take_event(struct client *c, struct slice array)
{
	struct slice *args;
	struct slice name;
	struct slice offset;
	size_t n;
	int rc = json_scan_array(array, &w.arena, 8, &args, &n);

	CHECK(rc == 0 || w.lied);
	if (rc)
		return;
	CHECK(n >= 2 && n <= 3 && json_string(args[0], &w.arena, &name) == 0);
	if (json_kind(args[1]) == '{')
		on_event(c, name, args[1]);
	if (n == 3 && json_string(args[2], &w.arena, &offset) == 0 && offset.len < sizeof(c->offset)) {
		memcpy(c->offset, offset.p, offset.len);
		c->offset[offset.len] = '\0';
	}
}

static void on_connected(struct client *c, struct slice json)
{
	struct slice pid = text_of(json, "pid");

	CHECK(!c->in && c->asked);
	c->in = c->first = true;
	memset(c->waits, 0, sizeof(c->waits));
	memset(c->may_hear, 0, sizeof(c->may_hear));
	c->n_streams = 0;
	c->pid[0] = c->offset[0] = '\0';
	if (pid.len && pid.len < sizeof(c->pid))
		memcpy(c->pid, pid.p, pid.len + 1);
}

static void look_at(struct client *c, const struct fake_message *m)
{
	struct slice rest = slice_of(m->text + 1, m->len - 1);

	trace("%zd hears %.400s\n", c - w.clients, m->text);
	CHECK(m->len && m->frame->kind == FRAME_TEXT);
	switch (m->text[0]) {
	case '0':
		on_connected(c, rest);
		break;
	case '1':
		c->in = false;
		break;
	case '2':
		take_event(c, rest);
		break;
	case '3':
		CHECK(c->in);
		on_ack(c, rest.p);
		break;
	case '4':
		CHECK(!c->in || strncmp(rest.p, "/other,", 7) == 0);
		break;
	default:
		CHECK(!"a packet that the server does not send");
	}
}

void clients_check(void)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		struct client *c = &w.clients[i];
		struct fake_message *m;
		bool any = false;

		if (!c->session)
			continue;
		while ((m = fake_session_take(c->session))) {
			look_at(c, m);
			any = any || m->text[0] == '2';
			fake_message_free(&m);
			arena_reset(&w.arena);
		}
		if (any && c->pid[0] && take(4) == 3)
			remember(c);
	}
}

bool clients_answered(void)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		const struct client *c = &w.clients[i];

		if (!c->session || c->session->closed || !c->in || c->n_acks == ACKS)
			continue;
		for (unsigned k = 0; k < c->n_acks; k++)
			if (c->waits[k])
				return false;
	}
	return true;
}
