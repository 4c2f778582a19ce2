/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What is behind the chat: the storage with its log of events, the token service, the AI service,
 * other instances. Answers come in any order, or not; most are true, some are refusals, failures or
 * nonsense.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "world.h"
#include "base/base64.h"
#include "base/err.h"

#define FAR_SEQ "1099511627776"

/* ---- the log ---- */

static size_t room_of(struct slice id)
{
	size_t i = 0;

	while (i < ROOMS && !slice_is(id, w.rooms[i].id))
		i++;
	return i;
}

void backend_setup(void)
{
	w.epoch = "e1";
	for (size_t i = 0; i < ROOMS; i++) {
		struct room_log *room = &w.rooms[i];
		unsigned char bytes[16];
		unsigned char digit = (unsigned char)(0x11 * (i + 1));

		memset(bytes, digit, sizeof(bytes));
		/* Version 8 for users', 4 for conversations. */
		bytes[6] = (unsigned char)((i < USERS ? 0x80 : 0x40) | (digit & 15));
		bytes[8] = (unsigned char)(0x80 | (digit & 15));
		(void)snprintf(room->id, sizeof(room->id),
			       "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
			       bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6],
			       bytes[7], bytes[8], bytes[9], bytes[10], bytes[11], bytes[12],
			       bytes[13], bytes[14], bytes[15]);
		room->tag[base64_encode(bytes, sizeof(bytes), room->tag) - 2] = '\0';
	}
}

void backend_free(void)
{
	for (size_t i = 0; i < ROOMS; i++)
		for (size_t k = 0; k < LOG_EVENTS; k++)
			free(w.rooms[i].events[k].json);
}

static const char *event_at(const struct room_log *room, int64_t seq)
{
	return seq > 0 && room->events[seq % LOG_EVENTS].seq == seq
		       ? room->events[seq % LOG_EVENTS].json
		       : NULL;
}

/* Those after a position. */
static void append_events(struct strbuf *out, const struct room_log *room, int64_t after)
{
	bool any = false;

	strbuf_append_char(out, '[');
	if (after < room->head - LOG_EVENTS)
		after = room->head - LOG_EVENTS;
	for (int64_t seq = after + 1; seq <= room->head; seq++) {
		const char *json = event_at(room, seq);

		if (!json)
			continue;
		if (any)
			strbuf_append_char(out, ',');
		strbuf_append_str(out, json);
		any = true;
	}
	strbuf_append_char(out, ']');
}

static const struct turn *any_turn(void)
{
	static const struct turn others = { 0, "33333333-3333-7333-8333-333333333333",
					    "44444444-4444-7444-8444-444444444444" };
	unsigned i = take(TURNS);

	return i < w.n_turns ? &w.turns[(w.n_turns - 1 - i) % TURNS] : &others;
}

static void append_participants(struct strbuf *out)
{
	strbuf_append_str(out, "[");
	for (size_t i = 0; i < USERS; i++) {
		if (!take(2))
			continue;
		if (out->data[out->len - 1] != '[')
			strbuf_append_char(out, ',');
		strbuf_append_str(out, "{\"userId\":");
		strbuf_append_json(out, user_name(i), strlen(user_name(i)));
		strbuf_printf(out, ",\"role\":\"%s\"}", take(2) ? "viewer" : "editor");
	}
	strbuf_append_str(out, "]");
}

static void append_body(struct strbuf *out, const char *type, size_t room, const struct turn *t)
{
	static const char *const statuses[] = { "complete", "stopped", "interrupted", "failed" };

	strbuf_printf(out, "{\"fuzzRoom\":%zu,\"conversationId\":\"%s\"", room,
		      w.rooms[room < USERS ? USERS + take(CONVERSATIONS) : room].id);
	if (strcmp(type, "message.started") == 0 || strcmp(type, "message.finished") == 0)
		strbuf_printf(out, ",\"streamId\":\"%s\",\"assistantMessageId\":\"%s\"", t->stream,
			      t->message);
	if (strcmp(type, "message.finished") == 0)
		strbuf_printf(out,
			      ",\"assistantMessage\":{\"id\":\"%s\",\"status\":\"%s\",\"content\":"
			      "\"abc\",\"error\":{\"code\":\"INTERRUPTED\",\"retryAfterMs\":%u}},"
			      "\"finishReason\":\"stop\"",
			      t->message, statuses[take(ARRAY_LEN(statuses))], take(3));
	if (strcmp(type, "conversation.updated") == 0) {
		strbuf_append_str(out, ",\"update\":{\"participants\":");
		append_participants(out);
		strbuf_append_char(out, '}');
	}
	if (strcmp(type, "published") == 0)
		strbuf_printf(out, ",\"event\":\"app:news\",\"data\":{\"fuzzRoom\":%zu}", room);
	strbuf_append_char(out, '}');
}

/* What a socket of ours caused, or nobody. */
static const char *any_origin(void)
{
	static char sid[32];

	if (!w.sids || !take(3))
		return "null";
	(void)snprintf(sid, sizeof(sid), "\"socket-%015u\"", 1 + take(16) % w.sids);
	return sid;
}

static const char *const types[] = {
	"message.new", "message.started", "message.finished", "conversation.updated",
	"conversation.deleted", "conversation.created", "conversation.activity",
	"conversation.viewed", "message.updated", "message.deleted", "published",
	"user.disconnected", "message.unknown",
};

/* It happens in a room, and the log has it. */
static void happen_there(size_t room, const char *type, const struct turn *t)
{
	struct room_log *r = &w.rooms[room];
	int64_t seq = ++r->head;
	struct strbuf *out;

	out = text_begin("{\"r\":\"%s\",\"k\":\"c\",\"s\":%" PRId64
			 ",\"t\":\"%s\",\"c\":\"%s\",\"i\":\"%s\",\"o\":%s,\"u\":null,\"b\":",
			 r->id, seq, type, w.rooms[room < USERS ? USERS + take(4) : room].id,
			 t->message, any_origin());
	if (take(12) == 11)
		strbuf_append_str(out, "null"); /* it is gone */
	else
		append_body(out, type, room, t);
	strbuf_append_char(out, '}');
	free(r->events[seq % LOG_EVENTS].json);
	r->events[seq % LOG_EVENTS].json = strdup(text_end());
	r->events[seq % LOG_EVENTS].type = type;
	r->events[seq % LOG_EVENTS].seq = seq;
	CHECK(r->events[seq % LOG_EVENTS].json);
}

/* Something happens. */
static void happen(size_t room)
{
	const char *type = types[take(ARRAY_LEN(types))];
	const struct turn *t = any_turn();

	if (room >= USERS && t->conversation != room - USERS && take(4) != 3)
		room = USERS + t->conversation;
	happen_there(room, type, t);
}

static void tell(size_t room, int64_t seq, const char *type, const char *json)
{
	trace("feed: %s %lld %s %.400s\n", w.rooms[room].id, (long long)seq, type, json ? json : "-");
	TESTED(fake_storage_event(w.plugins, w.rooms[room].id, seq, type, json));
}

static void feed_step(void)
{
	size_t room = take(ROOMS);
	struct room_log *r = &w.rooms[room];
	int64_t before = w.rooms[room].head;
	int64_t seq;

	switch (take(8)) {
	case 4: /* the latest answer begins, or ends */
		if (!w.n_turns)
			return;
		room = USERS + w.turns[(w.n_turns - 1) % TURNS].conversation;
		happen_there(room, take(4) == 3 ? "message.finished" : "message.started",
			     &w.turns[(w.n_turns - 1) % TURNS]);
		r = &w.rooms[room];
		tell(room, r->head, "message", event_at(r, r->head));
		return;
	case 5: /* nobody is told */
		happen(room);
		return;
	case 6: /* again, late, or never before */
		seq = r->head - take(8);
		if (event_at(r, seq))
			tell(room, seq, r->events[seq % LOG_EVENTS].type,
			     take(4) ? event_at(r, seq) : NULL);
		return;
	case 7: { /* of somebody's own */
		struct strbuf *out = text_begin("%s", "");

		w.forged = true;
		if (take(2)) {
			json_any(out, 3);
		} else {
			strbuf_printf(out, "{\"s\":%u,\"t\":\"%s\",\"c\":", take(9),
				      types[take(ARRAY_LEN(types))]);
			json_any(out, 1);
			strbuf_append_str(out, ",\"b\":");
			json_argument(out);
			strbuf_append_char(out, '}');
		}
		tell(room, take(2) ? r->head + 1 : (int64_t)take(256) << take(50),
		     types[take(ARRAY_LEN(types))], text_end());
		return;
	}
	default:
		break;
	}
	happen(room);
	/* It may have come to another room. */
	if (r->head == before)
		for (size_t i = 0; i < ROOMS; i++)
			if (event_at(&w.rooms[i], w.rooms[i].head))
				room = i, r = &w.rooms[i];
	if (event_at(r, r->head))
		tell(room, r->head, r->events[r->head % LOG_EVENTS].type, event_at(r, r->head));
}

/* ---- the storage's answers ---- */

static int64_t param_number(const struct fake_call *call, size_t i)
{
	return call->params[i].p ? strtoll(call->params[i].p, NULL, 10) : 0;
}

/* The rooms that a client was in, with what it missed. */
static void append_recovered(struct strbuf *out, const struct fake_call *call, size_t user)
{
	const char *id = call->params[4].p + 1;
	const char *seq = call->params[5].p + 1;
	struct room_log *own = &w.rooms[user];

	strbuf_printf(out, "[{\"id\":\"%s\",\"role\":null,\"seq\":%" PRId64 ",\"events\":", own->id,
		      own->head);
	append_events(out, own, strtoll(seq, (char **)(uintptr_t)&seq, 10));
	strbuf_append_char(out, '}');
	while (strlen(id) > ID_UUID_LEN) {
		size_t room = room_of(slice_of(id, ID_UUID_LEN));
		int64_t after = *seq == ',' ? strtoll(seq + 1, (char **)(uintptr_t)&seq, 10) : 0;

		id += ID_UUID_LEN + 1;
		if (room < USERS || room >= ROOMS || take(8) == 7)
			continue;
		strbuf_printf(out, ",{\"id\":\"%s\",\"role\":\"editor\",\"seq\":%" PRId64 ",\"events\":",
			      w.rooms[room].id, w.rooms[room].head);
		append_events(out, &w.rooms[room], after);
		if (take(2))
			strbuf_printf(out, ",\"activeStream\":{\"assistantMessageId\":\"%s\","
					   "\"streamId\":\"%s\"}",
				      any_turn()->message, any_turn()->stream);
		strbuf_append_char(out, '}');
	}
	strbuf_append_char(out, ']');
}

static void answer_session(struct strbuf *out, const struct fake_call *call)
{
	size_t user = user_of_name(call->params[0].p) % USERS;
	bool recovered = call->params[1].p && call->params[4].p && take(4) != 3;
	char sid[ID_TOKEN_LEN + 1];

	/* As the real one makes it: of the pid, the same each time. */
	if (recovered)
		(void)snprintf(sid, sizeof(sid), "sid-%.18s", call->params[1].p);
	else
		(void)snprintf(sid, sizeof(sid), "socket-%015u", ++w.sids);
	strbuf_printf(out, ",\"room\":\"%s\",\"seq\":%" PRId64 ",\"epoch\":\"%s\",\"socket\":\"%s\"",
		      w.rooms[user].id, w.rooms[user].head, w.epoch, sid);
	strbuf_printf(out, ",\"recovered\":%s,\"streams\":[]", recovered ? "true" : "false");
	if (recovered) {
		strbuf_append_str(out, ",\"rooms\":");
		append_recovered(out, call, user);
	}
}

static void answer_join(struct strbuf *out, const struct fake_call *call)
{
	static const char *const roles[] = { "owner", "editor", "viewer" };
	size_t room = room_of(call->params[1]);

	strbuf_printf(out, ",\"role\":\"%s\",\"seq\":%" PRId64, roles[take(ARRAY_LEN(roles))],
		      room < ROOMS ? w.rooms[room].head + (take(8) == 7) : 0);
	strbuf_printf(out, ",\"ack\":{\"ok\":true,\"conversation\":{\"id\":\"%s\"},\"lastSeq\":0",
		      call->params[1].p);
	if (take(2))
		strbuf_printf(out, ",\"activeStream\":{\"assistantMessageId\":\"%s\",\"streamId\":"
				   "\"%s\"}",
			      any_turn()->message, any_turn()->stream);
	strbuf_append_char(out, '}');
}

static void append_prompt(struct strbuf *out)
{
	strbuf_append_str(out, ",\"prompt\":{\"model\":\"m\",\"options\":{\"temperature\":0},"
			       "\"user\":\"h\",\"messages\":[{\"role\":\"system\",\"content\":"
			       "\"Be brief\"},{\"role\":\"user\",\"content\":\"Hi\"}]}");
}

static void answer_send(struct strbuf *out, const struct fake_call *call)
{
	static const char *const states[] = { "run", "queued", "duplicate", "?" };
	const char *state = states[take(ARRAY_LEN(states))];
	struct turn *t = &w.turns[w.n_turns % TURNS];
	size_t room = room_of(call->params[1]);

	t->conversation = room < ROOMS && room >= USERS ? room - USERS : 0;
	(void)snprintf(t->message, sizeof(t->message), "%s", call->params[4].p);
	(void)snprintf(t->stream, sizeof(t->stream), "%s", call->params[5].p);
	w.n_turns++;
	strbuf_printf(out, ",\"state\":\"%s\",\"ack\":{\"ok\":true,\"assistantMessageId\":\"%s\","
			   "\"streamId\":\"%s\"}",
		      state, t->message, t->stream);
	if (*state == 'r' || take(8) == 7)
		append_prompt(out);
}

static void answer_replay(struct strbuf *out, const struct fake_call *call)
{
	size_t room = room_of(call->params[0]);
	int64_t known = param_number(call, 1);

	if (w.calm) {
		strbuf_append_str(out, ",\"events\":[],\"head\":" FAR_SEQ ",\"pruned\":true");
		return;
	}
	strbuf_append_str(out, ",\"events\":");
	if (room < ROOMS)
		append_events(out, &w.rooms[room], known);
	else
		strbuf_append_str(out, "[]");
	strbuf_printf(out, ",\"head\":%" PRId64 ",\"pruned\":%s",
		      room < ROOMS ? w.rooms[room].head : 0,
		      room < ROOMS && known < w.rooms[room].head - LOG_EVENTS ? "true" : "false");
}

static void answer_heads(struct strbuf *out, const struct fake_call *call)
{
	const char *id = call->params[0].p + 1;

	strbuf_append_str(out, ",\"rooms\":[");
	for (; strlen(id) > ID_UUID_LEN; id += ID_UUID_LEN + 1) {
		size_t room = room_of(slice_of(id, ID_UUID_LEN));

		if (out->data[out->len - 1] != '[')
			strbuf_append_char(out, ',');
		strbuf_printf(out, "{\"r\":\"%.36s\",\"s\":", id);
		if (w.calm)
			strbuf_append_str(out, FAR_SEQ "}");
		else
			strbuf_printf(out, "%" PRId64 "}", room < ROOMS ? w.rooms[room].head : 0);
	}
	strbuf_append_char(out, ']');
}

static void answer_beat(struct strbuf *out)
{
	if (!w.calm && take(32) == 31)
		w.epoch = *w.epoch == 'e' && w.epoch[1] == '1' ? "e2" : "e1";
	strbuf_printf(out, ",\"epoch\":\"%s\",\"instances\":[", w.epoch);
	if (take(2))
		strbuf_append_str(out, "{\"id\":8,\"address\":\"192.0.2.8:80\"},{\"id\":9}");
	strbuf_append_str(out, "],\"stops\":[");
	if (take(4) == 3)
		strbuf_printf(out, "\"%s\"", any_message());
	strbuf_append_char(out, ']');
}

static void answer_rest(struct strbuf *out, const struct fake_call *call)
{
	switch (call->function) {
	case PARLANCE_MESSAGE_STOP:
		strbuf_printf(out, ",\"streams\":[{\"assistantMessageId\":\"%s\",\"instance\":%u}]",
			      any_message(), INSTANCE + take(2));
		break;
	case PARLANCE_GENERATION_BEGIN:
		append_prompt(out);
		break;
	case PARLANCE_GENERATION_PARTS:
		strbuf_append_str(out, ",\"fenced\":[");
		if (take(8) == 7)
			strbuf_printf(out, "\"%s\"", any_message());
		strbuf_append_char(out, ']');
		break;
	case PARLANCE_INSTANCE_REGISTER:
		strbuf_printf(out, ",\"id\":%d,\"secret\":\"s\"", INSTANCE);
		break;
	case PARLANCE_INSTANCE_REAP:
		strbuf_append_str(out, ",\"instances\":1,\"interrupted\":1");
		break;
	case PARLANCE_PRESENCE_ONLINE:
	case PARLANCE_PRESENCE_GET:
		strbuf_append_str(out, ",\"ack\":{\"ok\":true,\"online\":[\"alice\"]},\"users\":"
				       "[\"alice\",\"bob\",\"nobody\"],\"online\":[\"bob\"]");
		break;
	default:
		strbuf_append_str(out, ",\"conversation\":{\"id\":\"x\"},\"messages\":[]");
		break;
	}
}

/* Gives the text as the answer. */
static void give(struct fake_call *call)
{
	trace("storage: %s(%.200s): %.600s\n", storage_function_name(call->function),
	      call->n_params && call->params[0].p ? call->params[0].p : "", text_end());
	TESTED(fake_call_answer(call, text_end()));
}

/* As a sound storage would. */
static void answer_truly(struct fake_call *call)
{
	struct strbuf *out = text_begin("{\"ok\":true");

	switch (call->function) {
	case PARLANCE_SESSION_OPEN:
		answer_session(out, call);
		break;
	case PARLANCE_CONVERSATION_JOIN:
		answer_join(out, call);
		break;
	case PARLANCE_MESSAGE_SEND:
		answer_send(out, call);
		break;
	case PARLANCE_FEED_REPLAY:
		answer_replay(out, call);
		break;
	case PARLANCE_FEED_HEADS:
		answer_heads(out, call);
		break;
	case PARLANCE_INSTANCE_BEAT:
		answer_beat(out);
		break;
	default:
		answer_rest(out, call);
		break;
	}
	strbuf_append_char(out, '}');
	give(call);
}

static void answer_nonsense(struct fake_call *call)
{
	static const char *const texts[] = { "{}", "{\"ok\":}", "{\"ok\":true", "}{", "{\"ok\":true}}",
					     "{\"ok\":\"true\"}", "{\"ok\":true,\"ack\":[}",
					     "{\"ok\":true,\"seq\":-1,\"role\":7,\"ack\":{}}" };
	struct strbuf *out;

	if (take(2)) {
		w.lied = true;
		out = text_begin("%s", texts[take(ARRAY_LEN(texts))]);
	} else {
		out = text_begin("{\"ok\":true,\"room\":");
		json_any(out, 2);
		strbuf_append_str(out, ",\"seq\":");
		json_any(out, 1);
		strbuf_append_str(out, ",\"role\":\"owner\",\"ack\":");
		json_argument(out);
		strbuf_append_str(out, ",\"events\":");
		json_any(out, 3);
		strbuf_append_str(out, ",\"rooms\":");
		json_any(out, 3);
		strbuf_append_str(out, ",\"head\":");
		json_any(out, 1);
		strbuf_append_char(out, '}');
	}
	give(call);
}

static void answer(struct fake_call *call)
{
	static const char *const codes[] = { "NOT_FOUND", "CONFLICT", "BUSY", "FENCED", "FORBIDDEN",
					     "?" };
	unsigned how = take(16);
	enum parlance_storage_status status;

	if (how > 13)
		trace("storage: %s fails: %u\n", storage_function_name(call->function), how);
	switch (how) {
	case 11:
	case 12:
		(void)text_begin("{\"ok\":false,\"code\":\"%s\",\"conversation\":{\"id\":\"x\"}}",
				 codes[take(ARRAY_LEN(codes))]);
		give(call);
		break;
	case 13:
		answer_nonsense(call);
		break;
	case 14:
		TESTED(fake_call_time_out(call));
		break;
	case 15:
		status = PARLANCE_STORAGE_UNAVAILABLE + take(4);
		TESTED(fake_call_fail(call, status));
		break;
	default:
		answer_truly(call);
		break;
	}
}

static struct fake_call *call_at(size_t i)
{
	struct list *node = w.plugins->calls.next;

	while (i-- && node != &w.plugins->calls)
		node = node->next;
	return node == &w.plugins->calls ? NULL : CONTAINER_OF(node, struct fake_call, node);
}

static void storage_step(void)
{
	unsigned how = take(8);
	struct fake_call *call = call_at(how < 4 ? 0 : take(32));

	if (how < 3) { /* all that waits now */
		for (size_t n = fake_calls(w.plugins); n && (call = call_at(0)); n--)
			answer_truly(call);
	} else if (call) {
		answer(call);
	}
}

/* ---- tokens, answers, other instances ---- */

static void verify(struct fake_verification *v, bool calm)
{
	static const int64_t expiries[] = { 0, 1, 1700000000000, 1700000030000, INT64_MAX, -5 };
	size_t user = user_of_name(v->token);
	unsigned how = calm ? 7 : take(8);

	trace("verify %s: %u\n", v->token, how);
	if (how < 6 && user < USERS)
		TESTED(fake_verification_accept(v, user_name(user), expiries[how]));
	else
		TESTED(fake_verification_reject(v, PARLANCE_AUTH_DENIED + take(3)));
}

static void provider_step(void)
{
	static const char *const texts[] = { "a", "Hello, ", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
					     "\"\\\n\x01</script>" };
	struct list *node = w.plugins->answers.next;
	struct provider_call *call;
	unsigned how;

	for (unsigned i = take(4); i && node != &w.plugins->answers; i--)
		node = node->next;
	if (node == &w.plugins->answers)
		return;
	call = CONTAINER_OF(node, struct provider_call, node);
	how = take(8);
	if (how == 7) {
		struct parlance_usage usage = { sizeof(usage), take(3) - 1, 2, take(2) ? 3 : -1 };
		struct parlance_end end = { .finish = PARLANCE_FINISH_STOP + (int)take(11),
					    .detail = take(2) ? "on purpose" : NULL,
					    .usage = take(2) ? &usage : NULL,
					    .retry_after_ms = take(2) };

		TESTED(fake_answer_end(call, end));
	} else if (how == 6) {
		struct strbuf *out = text_begin("%s", "");
		unsigned n = 1U << take(13);

		for (unsigned i = 0; i < n; i++)
			strbuf_append_str(out, "\xc3\xa9");
		TESTED(fake_answer_delta(call, PARLANCE_DELTA_TEXT, slice_str(text_end())));
	} else {
		TESTED(fake_answer_delta(call, take(8) ? PARLANCE_DELTA_TEXT : PARLANCE_DELTA_REASONING,
					 slice_str(texts[take(ARRAY_LEN(texts))])));
	}
}

static void instance_step(void)
{
	struct strbuf *out = text_begin("{\"f\":%u,\"m\":[[", take(10));

	switch (take(8)) {
	case 0:
		strbuf_printf(out, "\"c\",\"%s\",%u,%u,\"abc\"", any_turn()->message, take(8) * 3,
			      take(30));
		break;
	case 1:
		strbuf_printf(out, "\"w\",\"%s\",%u", any_turn()->message, take(30));
		break;
	case 2:
		strbuf_printf(out, "\"u\",\"%s\"", any_turn()->message);
		break;
	case 3:
		strbuf_printf(out, "\"t\",\"%s\",\"%s\",\"s%u\",%u", any_conversation(), user_name(take(2)),
			      take(3), take(2));
		break;
	case 4:
		strbuf_printf(out, "\"p\",\"%s\"", user_name(take(2)));
		break;
	case 5:
		strbuf_append_str(out, "\"b\"");
		break;
	default:
		strbuf_printf(out, "\"%c\",", "cwutpb"[take(6)]);
		json_any(out, 2);
		strbuf_append_char(out, ',');
		json_any(out, 1);
		break;
	}
	strbuf_append_str(out, "]]}");
	trace("instance: %s\n", text_end());
	TESTED(fake_storage_message(w.plugins, text_end()));
}

static void state_step(void)
{
	switch (take(6)) {
	case 0:
		TESTED(fake_storage_feed(w.plugins, take(2) == 0));
		break;
	case 1:
		TESTED(fake_storage_ready(w.plugins, take(2) == 0));
		break;
	case 2:
		w.plugins->refuse_call = take(2) ? PARLANCE_ENOMEM : 0;
		break;
	case 3:
		w.plugins->refuse_answer = take(2) ? PARLANCE_ENOENT : 0;
		break;
	case 4:
		w.plugins->hold_canceled = take(2);
		break;
	default:
		instance_step();
		break;
	}
}

void backend_step(void)
{
	struct fake_verification *v = fake_verification_find(w.plugins);

	switch (take(8)) {
	case 0:
	case 1:
	case 2:
		if (v && take(4) != 3)
			verify(v, false);
		else
			storage_step();
		break;
	case 3:
	case 4:
		provider_step();
		break;
	case 5:
		state_step();
		break;
	default:
		feed_step();
		break;
	}
}

static bool reads_positions(enum parlance_storage_function function)
{
	return function == PARLANCE_FEED_HEADS || function == PARLANCE_FEED_REPLAY ||
	       function == PARLANCE_INSTANCE_REGISTER || function == PARLANCE_INSTANCE_BEAT ||
	       function == PARLANCE_PRESENCE_SYNC || function == PARLANCE_GENERATION_PARTS;
}

void backend_calm(void)
{
	struct fake_verification *v;
	struct provider_call *answer_call;
	struct fake_call *call;

	for (size_t n = 64; n && (v = fake_verification_find(w.plugins)); n--)
		verify(v, true);
	while ((answer_call = fake_answer_find(w.plugins)))
		fake_answer_end(answer_call, (struct parlance_end){ .finish = PARLANCE_FINISH_STOP });
	for (size_t n = 256; n && (call = call_at(0)); n--) {
		if (reads_positions(call->function))
			answer_truly(call);
		else
			fake_call_answer(call, "{\"ok\":false,\"code\":\"NOT_FOUND\"}");
	}
}
