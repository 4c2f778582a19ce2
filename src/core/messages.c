/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Events about messages: send, stop, list. */
#include <inttypes.h>
#include <stdio.h>

#include "core/private.h"
#include "base/err.h"
#include "wire/json_scan.h"

#define CLIENT_ID_MAX 128
#define LIST_LIMIT_DEFAULT "50"

#define SUBMISSIONS_MAX 5 /* of one message whose storing may or may not have happened */

/* A message:send under way. */
struct sending {
	struct generation *generation; /* while its state is STORING */
	char *user;
	char *origin;
	unsigned submissions;
	bool unsure; /* an earlier submission may have been stored */
	char *content;
	char *client_id; /* NULL: none */
	char *parent;    /* likewise */
	char *model;
	char *options;
	const char *on_busy;
	char user_message[ID_UUID_LEN + 1];
	char assistant_message[ID_UUID_LEN + 1];
	char stream[ID_UUID_LEN + 1];
};

void sending_free(struct sending **sp)
{
	struct sending *s = *sp;

	if (!s)
		return;
	*sp = NULL;
	free(s->user);
	free(s->origin);
	free(s->content);
	free(s->client_id);
	free(s->parent);
	free(s->model);
	free(s->options);
	free(s);
}

static struct slice or_null(const char *text)
{
	return text ? slice_str(text) : slice_of(NULL, 0);
}

static void refused(struct request *r, struct slice json)
{
	enum core_code code = code_parse(field_text(r->core, json, "code"));

	request_fail(&r, code, NULL);
}

/* What is stored of it is known: the generation begins, waits, or never was. */
static void stored(struct request *r, struct slice json)
{
	static const char *const keys[] = { "state", "ack", "prompt" };
	struct sending *s = r->sending;
	struct generation *g = s->generation;
	struct core *core = r->core;
	struct slice v[ARRAY_LEN(keys)];
	struct slice state;
	struct feed_room *room = r->room;
	bool interrupt = slice_is(slice_str(s->on_busy), "interrupt");

	fields(core, json, keys, ARRAY_LEN(keys), v);
	(void)field_string(core, v[0], SIZE_MAX, &state);
	room->refs++;
	request_ok(&r, v[1]);
	/* A duplicate with a prompt is this very message, stored by an earlier submission. */
	if (slice_is(state, "run") || v[2].len) {
		generation_run(g, v[2]);
	} else if (slice_is(state, "queued")) {
		generation_wait(g, interrupt);
		if (interrupt)
			generation_make_way(room, g);
	} else {
		generation_drop(&g);
	}
	feed_room_put(&room);
}

static void submit(struct request *r);

static void on_sent(void *arg, const struct storage_answer *answer)
{
	struct request *r = arg;
	struct sending *s = r->sending;
	enum core_code code = storage_code(answer, "message_send");
	bool unsure = answer->status == PARLANCE_STORAGE_UNKNOWN ||
		      answer->status == PARLANCE_STORAGE_CANCELED;

	arena_reset(&r->core->scratch);
	/* The instance may have been fenced meanwhile, and the generation with it. */
	s->generation = generation_find(r->core, slice_str(s->assistant_message));
	if (!s->generation) {
		request_fail(&r, CODE_UNAVAILABLE, NULL);
	} else if (code == CODE_NONE) {
		if (slice_is(field(r->core, answer->json, "ok"), "true")) {
			stored(r, answer->json);
		} else {
			generation_drop(&s->generation);
			refused(r, answer->json);
		}
	} else if (unsure && s->submissions < SUBMISSIONS_MAX && !r->core->stopped) {
		/* Asked again under the same ids, the storage says what it has. */
		s->unsure = true;
		submit(r);
	} else {
		if (unsure || s->unsure)
			generation_abandon(s->generation);
		else
			generation_drop(&s->generation);
		request_fail(&r, code, NULL);
	}
}

static void submit(struct request *r)
{
	struct core *core = r->core;
	struct sending *s = r->sending;
	struct slice params[15];
	char depth[24];
	char history[24];
	char instance[24];

	s->submissions++;
	(void)snprintf(depth, sizeof(depth), "%u", core->config->queue_depth);
	(void)snprintf(history, sizeof(history), "%u", core->config->history_messages);
	(void)snprintf(instance, sizeof(instance), "%" PRId64, core->instance);
	params[0] = slice_str(s->user);
	params[1] = slice_str(r->conversation);
	params[2] = or_null(s->client_id);
	params[3] = slice_str(s->user_message);
	params[4] = slice_str(s->assistant_message);
	params[5] = slice_str(s->stream);
	params[6] = slice_str(s->content);
	params[7] = or_null(s->parent);
	params[8] = or_null(s->model);
	params[9] = or_null(s->options);
	params[10] = slice_str(s->on_busy);
	params[11] = slice_str(depth);
	params[12] = slice_str(history);
	params[13] = slice_str(instance);
	params[14] = slice_str(s->origin);
	if (storage_call(core->plugins, PARLANCE_MESSAGE_SEND, slice_str(r->conversation), params,
			 15, core->config->storage_timeout_ms, on_sent, r) != 0) {
		if (s->unsure)
			generation_abandon(s->generation);
		else
			generation_drop(&s->generation);
		request_fail(&r, CODE_UNAVAILABLE, NULL);
	}
}

/* The member is in the room. */
static void send_now(struct request *r, struct slice ack)
{
	struct core *core = r->core;
	struct sending *s = r->sending;
	struct member *m = request_member(r);
	struct joined *j = m ? member_joined(m, r->room) : NULL;
	struct generation_config config;
	struct asker *asker = NULL;
	enum core_code code;

	(void)ack;
	if (!j) {
		request_fail(&r, CODE_NOT_FOUND, NULL);
		return;
	}
	if (j->role == ROLE_VIEWER) {
		request_fail(&r, CODE_FORBIDDEN, "Viewers cannot write");
		return;
	}
	if (!core->instance) {
		request_fail(&r, CODE_UNAVAILABLE, NULL);
		return;
	}
	config = (struct generation_config){
		.room = r->room,
		.message = s->assistant_message,
		.stream = s->stream,
		.client_id = s->client_id,
		.origin = m->sid,
		.asker = &asker,
	};
	code = asker_take(core, user_id(m->user), &asker);
	if (code) {
		request_fail(&r, code, NULL);
		return;
	}
	s->user = strndup(user_id(m->user).p, user_id(m->user).len);
	s->origin = strndup(m->sid.p, m->sid.len);
	if (s->user && s->origin)
		s->generation = generation_new(&config);
	asker_put(&asker); /* NULL, if the generation has it */
	if (s->generation)
		submit(r);
	else
		request_fail(&r, CODE_UNAVAILABLE, NULL);
}

/* It was not in the room, where another answer may run, here or elsewhere. */
static void join_and_send(struct request *r, struct slice ack)
{
	struct member *m = request_member(r);

	if (m) {
		/* Its offset must say that it is in the room, should the connection break now. */
		conversation_tell_joined(m, slice_str(r->conversation));
		relay_join(r->room, m, field(r->core, ack, "activeStream"));
	}
	send_now(r, ack);
}

/* Why a field is refused, NULL when it is not. */
static const char *take(enum field found, struct slice text, char **out, enum core_code *code)
{
	switch (found) {
	case FIELD_OK:
		*out = strndup(text.p, text.len);
		*code = CODE_UNAVAILABLE;
		return *out ? NULL : "out of memory";
	case FIELD_ABSENT:
		return NULL;
	case FIELD_TOO_LARGE:
		*code = CODE_TOO_LARGE;
		return "too long";
	default:
		*code = CODE_BAD_REQUEST;
		return "malformed";
	}
}

static bool blank(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

/* Reads the event's object; *name is the field that *why is about. */
static const char *read_sending(struct core *core, struct slice arg, struct sending *s,
				const char **name, enum core_code *code)
{
	static const char *const keys[] = { "content", "messageId", "parentId",
					    "model",   "options",   "onBusy" };
	static const char *const busy[] = { "queue", "reject", "interrupt" };
	struct slice v[ARRAY_LEN(keys)];
	struct slice parent;
	struct slice on_busy;
	struct slice text;
	enum field found;
	const char *why;

	fields(core, arg, keys, ARRAY_LEN(keys), v);
	*name = "content";
	found = field_limited(core, v[0], CORE_LIMIT_CONTENT_BYTES, &text);
	why = take(found, text, &s->content, code);
	if (why)
		return why;
	*code = CODE_BAD_REQUEST;
	if (!s->content || blank(s->content))
		return "missing";
	*name = "messageId";
	found = field_string(core, v[1], CLIENT_ID_MAX, &text);
	why = take(found, text, &s->client_id, code);
	if (why)
		return why;
	if (s->client_id && !s->client_id[0]) {
		free(s->client_id);
		s->client_id = NULL;
	}
	*name = "model";
	found = field_limited(core, v[3], CORE_LIMIT_TITLE_BYTES, &text);
	why = take(found, text, &s->model, code);
	if (why)
		return why;
	*code = CODE_BAD_REQUEST;
	*name = "parentId";
	switch (field_uuid(core, v[2], &parent)) {
	case FIELD_OK:
		s->parent = strndup(parent.p, parent.len);
		if (!s->parent)
			return "not read (out of memory)";
		break;
	case FIELD_ABSENT:
		break;
	default:
		return "malformed";
	}
	*name = "options";
	if (v[4].len && json_kind(v[4]) != 'n') {
		if (json_kind(v[4]) != '{' || json_is_deep(core, v[4]))
			return "malformed";
		if (json_is_large(core, v[4])) {
			*code = CODE_TOO_LARGE;
			return "too long";
		}
		s->options = strndup(v[4].p, v[4].len);
		if (!s->options)
			return "not read (out of memory)";
	}
	*name = "onBusy";
	s->on_busy = busy[0];
	if (!v[5].len || json_kind(v[5]) == 'n')
		return NULL;
	if (field_string(core, v[5], SIZE_MAX, &on_busy) != FIELD_OK)
		return "malformed";
	for (size_t i = 0; i < ARRAY_LEN(busy); i++) {
		if (!slice_is(on_busy, busy[i]))
			continue;
		s->on_busy = busy[i];
		return NULL;
	}
	return "malformed";
}

void message_send(struct member *m, const struct sio_event *event, struct slice arg)
{
	struct core *core = m->core;
	struct sending *s;
	struct request *r;
	struct feed_room *room;
	enum core_code code = CODE_BAD_REQUEST;
	const char *name = "";
	const char *why;
	struct slice id;
	char text[64];

	if (!conversation_arg(m, event, arg, &id))
		return;
	r = request_new(m, event, "message:send", id);
	if (!r)
		return;
	s = r->sending = calloc(1, sizeof(*s));
	if (!s) {
		request_fail(&r, CODE_UNAVAILABLE, NULL);
		return;
	}
	why = read_sending(core, arg, s, &name, &code);
	if (why) {
		(void)snprintf(text, sizeof(text), "%s is %s", name, why);
		request_fail(&r, code, text);
		return;
	}
	if (s->client_id)
		r->message_id = strdup(s->client_id);
	id_uuid7(s->user_message);
	id_uuid7(s->assistant_message);
	id_uuid7(s->stream);
	room = feed_room_find(core, id);
	if (member_joined(m, room)) {
		room->refs++;
		r->room = room;
		send_now(r, slice_of(NULL, 0));
	} else {
		conversation_enter(r, slice_of(NULL, 0), join_and_send);
	}
}

/* Stopping */

static void answer_stop(struct request *r, size_t stopped)
{
	request_ok(&r, slice_str(stopped ? "{\"ok\":true,\"stopped\":true}"
					 : "{\"ok\":true,\"stopped\":false,\"alreadyDone\":true}"));
}

/* Those of ours stop here; those of others were marked, and their instances hear of it. */
static void on_stop(struct request *r, struct slice json)
{
	struct core *core = r->core;
	struct slice *streams;
	size_t stopped = r->stopped;
	size_t n;

	if (json_scan_array(field(core, json, "streams"), &core->scratch, 1000, &streams, &n) != 0)
		n = 0;
	for (size_t i = 0; i < n; i++) {
		struct generation *g =
		    generation_find(core, field_text(core, streams[i], "assistantMessageId"));

		if (g)
			stopped += generation_stop(g);
		else
			stopped += field_number(core, streams[i], "instance") != core->instance;
	}
	answer_stop(r, stopped);
}

void message_stop(struct member *m, const struct sio_event *event, struct slice arg)
{
	struct core *core = m->core;
	struct slice params[4];
	struct slice stream = slice_of(NULL, 0);
	char instance[24];
	struct request *r;
	struct joined *j;
	struct feed_room *room;
	struct slice id;
	bool stopped = false;

	if (!conversation_arg(m, event, arg, &id))
		return;
	if (json_kind(arg) == '{') {
		switch (field_uuid(core, field(core, arg, "streamId"), &stream)) {
		case FIELD_OK:
		case FIELD_ABSENT:
			break;
		default:
			event_fail(m, event, CODE_BAD_REQUEST, "streamId is malformed", id);
			return;
		}
	}
	room = feed_room_find(core, id);
	j = member_joined(m, room);
	if (j && j->role != ROLE_VIEWER) {
		/* At once, without asking: the service is to stop counting tokens. */
		stopped = generation_stop_all(room, stream, NULL) > 0;
		/* Others may run or wait elsewhere. */
		if (stopped && (stream.len || !core->n_others)) {
			event_ok(m, event, slice_str("{\"ok\":true,\"stopped\":true}"));
			return;
		}
	}
	r = request_new(m, event, "message:stop", id);
	if (!r)
		return;
	r->stopped = stopped;
	params[0] = user_id(m->user);
	params[1] = id;
	params[2] = stream;
	(void)snprintf(instance, sizeof(instance), "%" PRId64, core->instance);
	params[3] = slice_str(instance);
	request_call(r, PARLANCE_MESSAGE_STOP, params, 4, on_stop);
}

/* Listing */

static void on_list(struct request *r, struct slice json)
{
	request_ok(&r, json);
}

void message_list(struct member *m, const struct sio_event *event, struct slice arg)
{
	static const char *const keys[] = { "before", "after", "limit" };
	struct core *core = m->core;
	struct slice v[ARRAY_LEN(keys)];
	struct slice params[5];
	struct request *r;
	struct slice id;
	int64_t n;

	if (!conversation_arg(m, event, arg, &id))
		return;
	fields(core, arg, keys, ARRAY_LEN(keys), v);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		char text[64];

		switch (field_int(v[i], i == 2, i == 2 ? 200 : INT64_MAX, &n)) {
		case FIELD_OK:
			break;
		case FIELD_ABSENT:
			v[i] = i == 2 ? slice_str(LIST_LIMIT_DEFAULT) : slice_of(NULL, 0);
			break;
		default:
			(void)snprintf(text, sizeof(text), "%s is not a number in its range",
				       keys[i]);
			event_fail(m, event, CODE_BAD_REQUEST, text, id);
			return;
		}
	}
	r = request_new(m, event, "message:list", id);
	if (!r)
		return;
	params[0] = user_id(m->user);
	params[1] = id;
	params[2] = v[0];
	params[3] = v[1];
	params[4] = v[2];
	request_call(r, PARLANCE_MESSAGE_LIST, params, 5, on_list);
}
