/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Events about conversations. What they change is told to everybody by the feed; the one who asked
 * gets the acknowledgement.
 */
#include <stdio.h>

#include "core/private.h"
#include "base/err.h"
#include "wire/json_scan.h"

#define ATTEMPTS_MAX 10
#define LIST_LIMIT_DEFAULT "50"
#define CURSOR_MAX 256
#define ROLE_MAX 16

enum conversation_role role_parse(struct slice name)
{
	if (slice_is(name, "owner"))
		return ROLE_OWNER;
	if (slice_is(name, "editor"))
		return ROLE_EDITOR;
	return ROLE_VIEWER;
}

bool conversation_arg(struct member *m, const struct sio_event *event, struct slice arg,
		      struct slice *id)
{
	struct core *core = m->core;
	struct slice value = arg;

	if (json_kind(arg) == '{') {
		static const char *const keys[] = { "conversationId", "id" };
		struct slice v[ARRAY_LEN(keys)];

		fields(core, arg, keys, ARRAY_LEN(keys), v);
		value = v[0].len ? v[0] : v[1];
	}
	switch (field_uuid(core, value, id)) {
	case FIELD_OK:
		if (!feed_room_id_is_users(*id))
			return true;
		event_fail(m, event, CODE_NOT_FOUND, "There is no such conversation",
			   slice_of(NULL, 0));
		return false;
	case FIELD_BAD:
		/* Text that is no id of ours: there is no such conversation. */
		if (value.len && json_kind(value) == '"') {
			event_fail(m, event, CODE_NOT_FOUND, "There is no such conversation",
				   slice_of(NULL, 0));
			return false;
		}
		break;
	default:
		break;
	}
	event_fail(m, event, CODE_BAD_REQUEST, "conversationId is missing", slice_of(NULL, 0));
	return false;
}

/* A client's answer that the storage made. */
static void answer_as_it_is(struct request *r, struct slice json)
{
	request_ok(&r, json);
}

/* Joining */

struct entering {
	char since[24]; /* empty: null */
	void (*joined)(struct request *r, struct slice ack);
	unsigned attempts;
	enum conversation_role role;
	char *ack; /* while we wait for the feed */
};

void entering_free(struct entering **ep)
{
	struct entering *e = *ep;

	if (!e)
		return;
	*ep = NULL;
	free(e->ack);
	free(e);
}

static void ask_to_join(struct request *r);

static void entered(struct request *r, struct slice ack)
{
	struct entering *e = r->entering;
	struct member *m = request_member(r);
	int rc;

	if (!m) {
		request_free(&r);
		return;
	}
	rc = feed_room_enter(r->room, m, e->role);
	if (rc) {
		m->core->limited[CORE_LIMIT_ROOMS] += rc == PARLANCE_ELIMIT;
		request_fail(&r, rc == PARLANCE_ELIMIT ? CODE_RATE_LIMITED : CODE_UNAVAILABLE,
			     rc == PARLANCE_ELIMIT ? "Too many conversations are open" : NULL);
		return;
	}
	e->joined(r, ack);
}

static void on_position(struct room_waiter *w)
{
	struct request *r = CONTAINER_OF(w, struct request, waiter);
	struct entering *e = r->entering;

	entered(r, slice_str(e->ack));
}

static void on_join(struct request *r, struct slice json)
{
	static const char *const keys[] = { "role", "seq", "ack" };
	struct core *core = r->core;
	struct entering *e = r->entering;
	struct slice v[ARRAY_LEN(keys)];
	struct slice role;
	int64_t seq = 0;

	fields(core, json, keys, ARRAY_LEN(keys), v);
	if (field_string(core, v[0], ROLE_MAX, &role) != FIELD_OK ||
	    field_int(v[1], 0, INT64_MAX, &seq) != FIELD_OK || !v[2].len) {
		request_fail(&r, CODE_INTERNAL, NULL);
		return;
	}
	free(e->ack);
	e->ack = strndup(v[2].p, v[2].len);
	if (!e->ack) {
		request_fail(&r, CODE_UNAVAILABLE, NULL);
		return;
	}
	e->role = role_parse(role);
	r->waiter.fn = on_position;
	switch (feed_room_settle(r->room, seq, &r->waiter)) {
	case ROOM_STALE:
		if (++e->attempts < ATTEMPTS_MAX) {
			ask_to_join(r);
			return;
		}
		/* What happened between that and now would never reach him; nor may he have a
		 * part in it any more. */
		request_fail(&r, CODE_UNAVAILABLE, NULL);
		return;
	case ROOM_WAIT:
		return;
	case ROOM_READY:
		break;
	}
	entered(r, slice_str(e->ack));
}

static void ask_to_join(struct request *r)
{
	struct entering *e = r->entering;
	struct member *m = request_member(r);
	struct slice params[3];

	if (!m) {
		request_free(&r);
		return;
	}
	params[0] = user_id(m->user);
	params[1] = slice_str(r->conversation);
	params[2] = e->since[0] ? slice_str(e->since) : slice_of(NULL, 0);
	request_call(r, PARLANCE_CONVERSATION_JOIN, params, 3, on_join);
}

void conversation_enter(struct request *r, struct slice since,
			void (*joined)(struct request *r, struct slice ack))
{
	struct entering *e = calloc(1, sizeof(*e));

	if (e)
		r->room = feed_room_get_conversation(r->core, slice_str(r->conversation));
	if (!e || !r->room) {
		free(e);
		request_fail(&r, CODE_UNAVAILABLE, NULL);
		return;
	}
	if (since.len && since.len < sizeof(e->since))
		memcpy(e->since, since.p, since.len);
	e->joined = joined;
	r->entering = e;
	ask_to_join(r);
}

static void emit_about(struct member *m, const char *name, struct slice conversation)
{
	struct strbuf *sb = json_begin(m->core);

	json_text(sb, "conversationId", conversation);
	strbuf_append_char(sb, '}');
	member_emit(m, name, json_end(sb));
}

void conversation_tell_joined(struct member *m, struct slice id)
{
	emit_about(m, "conversation:joined", id);
}

static void joined(struct request *r, struct slice ack)
{
	struct member *m = request_member(r);
	struct feed_room *room = r->room;
	/* In memory of the scratch arena: the request and its text go. */
	char *active = NULL;
	struct slice json = field(r->core, ack, "activeStream");

	if (json.len)
		active = arena_strndup(&r->core->scratch, json.p, json.len);
	room->refs++;
	if (m)
		conversation_tell_joined(m, slice_str(r->conversation));
	request_ok(&r, ack);
	if (m)
		relay_join(room, m, slice_str(active));
	feed_room_put(&room);
}

void conversation_join(struct member *m, const struct sio_event *event, struct slice arg)
{
	struct request *r;
	struct slice id;
	struct slice since = slice_of(NULL, 0);
	int64_t n;

	if (!conversation_arg(m, event, arg, &id))
		return;
	if (json_kind(arg) == '{') {
		since = field(m->core, arg, "sinceSeq");
		switch (field_int(since, 0, INT64_MAX, &n)) {
		case FIELD_OK:
			break;
		case FIELD_ABSENT:
			since = slice_of(NULL, 0);
			break;
		default:
			event_fail(m, event, CODE_BAD_REQUEST, "sinceSeq is not a number", id);
			return;
		}
	}
	r = request_new(m, event, "join:conversation", id);
	if (r)
		conversation_enter(r, since, joined);
}

void conversation_leave(struct member *m, const struct sio_event *event, struct slice arg)
{
	struct joined *j;
	struct slice id;

	if (!conversation_arg(m, event, arg, &id))
		return;
	j = member_joined(m, feed_room_find(m->core, id));
	if (j)
		feed_room_leave(&j);
	emit_about(m, "conversation:left", id);
	event_ok(m, event, slice_str("{\"ok\":true}"));
}

/* Creating and changing */

/* The columns of a conversation that a client may set; null where it does not. */
struct wishes {
	struct slice title;
	struct slice model;
	struct slice system_prompt;
	struct slice metadata;
	struct slice archived;
	struct strbuf named; /* those that are named, as an array of SQL; in the arena of nobody */
};

static bool wish_text(struct core *core, struct slice value, enum core_limit limit,
		      const char *name, struct slice *out, const char **why, enum core_code *code)
{
	switch (field_limited(core, value, limit, out)) {
	case FIELD_OK:
	case FIELD_ABSENT:
		return true;
	case FIELD_TOO_LARGE:
		*code = CODE_TOO_LARGE;
		break;
	case FIELD_BAD:
		*code = CODE_BAD_REQUEST;
		break;
	}
	*why = name;
	return false;
}

static void wish_named(struct wishes *w, struct slice value, const char *name)
{
	if (!value.len)
		return;
	strbuf_append_char(&w->named, w->named.len ? ',' : '{');
	strbuf_append_str(&w->named, name);
}

/* 0, or the code of what is wrong, with a sentence. */
static enum core_code read_wishes(struct core *core, struct slice object, struct wishes *w,
				  const char **why)
{
	static const char *const keys[] = { "title", "model", "systemPrompt", "metadata",
					    "archived" };
	struct slice v[ARRAY_LEN(keys)];
	enum core_code code = CODE_BAD_REQUEST;

	memset(w, 0, sizeof(*w));
	strbuf_init(&w->named, 256);
	fields(core, object, keys, ARRAY_LEN(keys), v);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		wish_named(w, v[i], keys[i]);
	strbuf_append_str(&w->named, w->named.len ? "}" : "{}");
	if (!wish_text(core, v[0], CORE_LIMIT_TITLE_BYTES, "title", &w->title, why, &code) ||
	    !wish_text(core, v[1], CORE_LIMIT_TITLE_BYTES, "model", &w->model, why, &code) ||
	    !wish_text(core, v[2], CORE_LIMIT_METADATA_BYTES, "systemPrompt", &w->system_prompt,
		       why, &code))
		return code;
	*why = "metadata";
	if (json_is_large(core, v[3]))
		return CODE_TOO_LARGE;
	if (v[3].len &&
	    ((json_kind(v[3]) != '{' && json_kind(v[3]) != 'n') || json_is_deep(core, v[3])))
		return CODE_BAD_REQUEST;
	if (v[3].len && json_kind(v[3]) == '{')
		w->metadata = v[3];
	*why = "archived";
	if (v[4].len && json_kind(v[4]) != 't' && json_kind(v[4]) != 'f')
		return CODE_BAD_REQUEST;
	w->archived = v[4];
	return CODE_NONE;
}

static void fail_wish(struct member *m, const struct sio_event *event, enum core_code code,
		      const char *name, struct slice id)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%s is %s", name,
		       code == CODE_TOO_LARGE ? "too long" : "malformed");
	event_fail(m, event, code, text, id);
}

/* One request whose answer is the client's; params[0] and the origin are filled in here. */
static void pass_on(struct member *m, const struct sio_event *event, const char *name,
		    struct slice conversation, enum parlance_storage_function function,
		    struct slice *params, size_t n)
{
	struct request *r = request_new(m, event, name, conversation);

	params[0] = user_id(m->user);
	if (r)
		request_call(r, function, params, n, answer_as_it_is);
}

void conversation_create(struct member *m, const struct sio_event *event, struct slice arg)
{
	struct core *core = m->core;
	struct slice params[7];
	struct slice id = slice_of(NULL, 0);
	struct wishes w;
	const char *why = "";
	enum core_code code;
	char made[ID_UUID_LEN + 1];

	if (json_kind(arg) != '{' && json_kind(arg) != 'n') {
		event_fail(m, event, CODE_BAD_REQUEST, "an object is expected", id);
		return;
	}
	switch (field_uuid(core, field(core, arg, "id"), &id)) {
	case FIELD_OK:
		if (!feed_room_id_is_users(id))
			break;
		event_fail(m, event, CODE_BAD_REQUEST, "id is a UUID of version 8",
			   slice_of(NULL, 0));
		return;
	case FIELD_ABSENT:
		/* Ours, so that a request whose answer was lost can be repeated. */
		id_uuid7(made);
		id = slice_of(made, ID_UUID_LEN);
		break;
	default:
		event_fail(m, event, CODE_BAD_REQUEST, "id is not a UUID", slice_of(NULL, 0));
		return;
	}
	code = read_wishes(core, arg, &w, &why);
	if (code) {
		fail_wish(m, event, code, why, slice_of(NULL, 0));
	} else {
		params[1] = id;
		params[2] = w.title;
		params[3] = w.model;
		params[4] = w.system_prompt;
		params[5] = w.metadata;
		params[6] = m->sid;
		pass_on(m, event, "conversation:create", id, PARLANCE_CONVERSATION_CREATE, params,
			7);
	}
	strbuf_fini(&w.named);
}

void conversation_update(struct member *m, const struct sio_event *event, struct slice arg)
{
	struct core *core = m->core;
	struct slice params[10];
	struct slice update;
	struct slice version;
	struct slice id;
	struct wishes w;
	const char *why = "";
	enum core_code code;
	int64_t n;

	if (!conversation_arg(m, event, arg, &id))
		return;
	update = field(core, arg, "update");
	if (!update.len || json_kind(update) != '{') {
		event_fail(m, event, CODE_BAD_REQUEST, "update is missing", id);
		return;
	}
	version = field(core, arg, "version");
	switch (field_int(version, 0, INT64_MAX, &n)) {
	case FIELD_OK:
		break;
	case FIELD_ABSENT:
		version = slice_of(NULL, 0);
		break;
	default:
		event_fail(m, event, CODE_BAD_REQUEST, "version is not a number", id);
		return;
	}
	code = read_wishes(core, update, &w, &why);
	if (code) {
		fail_wish(m, event, code, why, id);
	} else {
		params[1] = id;
		params[2] = slice_of(strbuf_cstr(&w.named), w.named.len);
		params[3] = w.title;
		params[4] = w.model;
		params[5] = w.system_prompt;
		params[6] = w.metadata;
		params[7] = w.archived;
		params[8] = version;
		params[9] = m->sid;
		pass_on(m, event, "conversation:update", id, PARLANCE_CONVERSATION_UPDATE, params,
			10);
	}
	strbuf_fini(&w.named);
}

void conversation_delete(struct member *m, const struct sio_event *event, struct slice arg)
{
	struct slice params[3];
	struct slice id;

	if (!conversation_arg(m, event, arg, &id))
		return;
	params[1] = id;
	params[2] = m->sid;
	pass_on(m, event, "conversation:delete", id, PARLANCE_CONVERSATION_DELETE, params, 3);
}

void conversation_list(struct member *m, const struct sio_event *event, struct slice arg)
{
	static const char *const keys[] = { "cursor", "limit", "archived" };
	struct core *core = m->core;
	struct slice v[ARRAY_LEN(keys)];
	struct slice params[4];
	struct slice none = slice_of(NULL, 0);
	int64_t limit;

	if (json_kind(arg) != '{' && json_kind(arg) != 'n') {
		event_fail(m, event, CODE_BAD_REQUEST, "an object is expected", none);
		return;
	}
	fields(core, arg, keys, ARRAY_LEN(keys), v);
	switch (field_string(core, v[0], CURSOR_MAX, &params[1])) {
	case FIELD_OK:
	case FIELD_ABSENT:
		break;
	default:
		event_fail(m, event, CODE_BAD_REQUEST, "cursor is malformed", none);
		return;
	}
	switch (field_int(v[1], 1, 200, &limit)) {
	case FIELD_OK:
		params[2] = v[1];
		break;
	case FIELD_ABSENT:
		params[2] = slice_str(LIST_LIMIT_DEFAULT);
		break;
	default:
		event_fail(m, event, CODE_BAD_REQUEST, "limit is a number from 1 to 200", none);
		return;
	}
	switch (v[2].len ? json_kind(v[2]) : 'n') {
	case 't':
	case 'f':
		params[3] = v[2];
		break;
	case 'n':
		params[3] = none;
		break;
	default:
		event_fail(m, event, CODE_BAD_REQUEST, "archived is true or false", none);
		return;
	}
	pass_on(m, event, "conversation:list", none, PARLANCE_CONVERSATION_LIST, params, 4);
}

/* Sharing */

static bool share_arg(struct member *m, const struct sio_event *event, struct slice arg,
		      struct slice *id, struct slice *other)
{
	if (!conversation_arg(m, event, arg, id))
		return false;
	if (field_string(m->core, field(m->core, arg, "userId"), USER_MAX, other) == FIELD_OK &&
	    other->len)
		return true;
	event_fail(m, event, CODE_BAD_REQUEST, "userId is missing", *id);
	return false;
}

void conversation_share(struct member *m, const struct sio_event *event, struct slice arg)
{
	struct slice params[5];

	if (!share_arg(m, event, arg, &params[1], &params[2]))
		return;
	if (field_string(m->core, field(m->core, arg, "role"), ROLE_MAX, &params[3]) != FIELD_OK ||
	    (!slice_is(params[3], "editor") && !slice_is(params[3], "viewer"))) {
		event_fail(m, event, CODE_BAD_REQUEST, "role is \"editor\" or \"viewer\"",
			   params[1]);
		return;
	}
	params[4] = m->sid;
	pass_on(m, event, "conversation:share", params[1], PARLANCE_CONVERSATION_SHARE, params, 5);
}

void conversation_unshare(struct member *m, const struct sio_event *event, struct slice arg)
{
	struct slice params[4];

	if (!share_arg(m, event, arg, &params[1], &params[2]))
		return;
	params[3] = m->sid;
	pass_on(m, event, "conversation:unshare", params[1], PARLANCE_CONVERSATION_UNSHARE, params,
		4);
}

/* What a user has seen */

static void view(struct member *m, const struct sio_event *event, struct slice arg,
		 const char *name, const char *viewing)
{
	struct slice params[4];

	if (!conversation_arg(m, event, arg, &params[1]))
		return;
	params[2] = slice_str(viewing);
	params[3] = m->sid;
	pass_on(m, event, name, params[1], PARLANCE_CONVERSATION_VIEW, params, 4);
}

void conversation_view(struct member *m, const struct sio_event *event, struct slice arg)
{
	view(m, event, arg, "conversation:view", "true");
}

void conversation_leave_view(struct member *m, const struct sio_event *event, struct slice arg)
{
	view(m, event, arg, "conversation:leave_view", "false");
}
