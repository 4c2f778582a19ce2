/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * From an event of the feed to the sockets that are to hear of it. Bodies are what clients get.
 *
 * An event that concerns both a conversation's room and users' rooms comes once for each; a socket
 * that is in the conversation's room hears the room's, its user's other sockets the user's.
 *
 * An event makes one message or several, always the same in the same order, so that a client that
 * lost its connection between two of them gets the rest (recovery.c).
 */
#include "core/private.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/json_scan.h"
#include "wire/sio_packet.h"

/* An event, taken apart. */
struct event {
	struct core *core;
	struct feed_room *room;
	struct slice conversation;
	struct slice ref;    /* what it is about, as a message */
	struct slice origin; /* socket.id of who caused it; empty: nobody here */
	struct slice body;
	struct feed_room *skip; /* sockets in this room are told by another event */
	bool by_conversation;   /* those in the conversation's room are; in a user's room */
	int aliases;       /* families that a receiver is to hear at least one of; 0: all */
	struct member *only; /* not NULL: he missed it, the others had it */
	unsigned part;       /* messages so far */
	unsigned missed;     /* only: the first that he missed */
};

static bool member_wants(const struct event *e, const struct member *m)
{
	if (e->aliases && !(m->aliases & e->aliases))
		return false;
	return !e->skip || !member_joined(m, e->skip);
}

static bool wants(void *arg, const struct sio_socket *socket)
{
	const struct member *m = member_of(socket);

	return m && member_wants(arg, m);
}

static void emit_missed(struct event *e, const char *name, struct slice json, bool to_origin)
{
	if (e->part < e->missed || (!to_origin && slice_eq(e->origin, e->only->sid)) ||
	    !member_wants(e, e->only))
		return;
	/* Of one that he has no part in any more he may have heard there already. */
	if (e->by_conversation && recovery_names(e->only->recovery, e->conversation))
		return;
	recovery_at(e->only->recovery, e->room, e->part);
	member_emit(e->only, name, json);
}

/* Who cannot be told comes back, and gets what he missed. */
static void let_go(struct event *e, const char *name, uint64_t except)
{
	struct sio_socket *s;

	log_err("chat", LOG_FIELDS(LOG_STR("event", name)),
		"not delivered, the connections are closed (out of memory)");
	for (size_t i = 0; (s = sio_room_member(e->core->nsp, e->room->name, i)); i++)
		if (sio_id(s) != except && wants(e, s))
			sio_disconnect(s, true);
}

static void emit_json(struct event *e, const char *name, struct slice json, bool to_origin,
		      int aliases)
{
	struct member *origin = to_origin ? NULL : member_find(e->core, e->origin);
	uint64_t except = origin ? origin->socket : 0;
	struct sio_message message = {
		.name = slice_str(name),
		.args = json,
		.wants = wants,
		.wants_arg = e,
	};

	e->aliases = aliases;
	e->part++;
	if (e->only) {
		emit_missed(e, name, json, to_origin);
		return;
	}
	e->room->part = e->part;
	if (!json.len ||
	    sio_emit_rooms(e->core->nsp, &e->room->name, 1, &except, origin ? 1 : 0, &message) != 0)
		let_go(e, name, except);
}

static void emit(struct event *e, const char *name, bool to_origin, int aliases)
{
	emit_json(e, name, e->body, to_origin, aliases);
}

/* The seed's name to the others, the past-tense name to all. */
static void emit_both(struct event *e, const char *seed, const char *past)
{
	emit(e, seed, false, CORE_ALIASES_SEED);
	emit(e, past, true, CORE_ALIASES_PAST);
}

/* In a user's room: those of his sockets that have the conversation open are told there. */
static void skip_conversation(struct event *e)
{
	e->by_conversation = e->room->of_user;
	if (e->by_conversation)
		e->skip = feed_room_find(e->core, e->conversation);
}

static void on_message_new(struct event *e)
{
	skip_conversation(e);
	emit(e, "message:new", false, 0);
}

static void on_message_started(struct event *e)
{
	static const char *const keys[] = { "assistantMessageId", "streamId", "messageId" };
	struct core *core = e->core;
	struct slice v[ARRAY_LEN(keys)];
	struct slice message;
	struct slice stream;
	struct slice client_id;

	emit(e, "ai:typing:start", true, 0);
	if (e->only)
		return;
	fields(core, e->body, keys, ARRAY_LEN(keys), v);
	if (field_uuid(core, v[0], &message) != FIELD_OK)
		return;
	generation_announced(core, message);
	(void)field_string(core, v[2], SIZE_MAX, &client_id);
	if (field_uuid(core, v[1], &stream) == FIELD_OK)
		relay_started(e->room, message, stream, client_id);
}

static void emit_typing_stop(struct event *e, struct slice stream, struct slice client_id)
{
	struct strbuf *sb = json_begin(e->core);

	json_text(sb, "conversationId", e->conversation);
	if (client_id.len)
		json_text(sb, "messageId", client_id);
	json_text(sb, "streamId", stream);
	strbuf_append_char(sb, '}');
	emit_json(e, "ai:typing:stop", json_end(sb), true, 0);
}

/* The socket that asked for an answer of ours, or NULL. */
static struct member *asker_of(const struct event *e, struct slice id)
{
	struct generation *g = generation_find(e->core, id);

	return g && g->out.room == e->room ? member_find(e->core, slice_str(g->origin)) : NULL;
}

/* To the room, and to the one who asked when he has left it. */
static void emit_closing(struct event *e, const char *name, struct slice json, struct member *asker)
{
	emit_json(e, name, json, true, 0);
	if (asker && !member_joined(asker, e->room))
		member_emit(asker, name, json);
}

static void emit_message_error(struct event *e, struct slice assistant, struct slice id,
			       const struct error_about *about)
{
	struct member *asker = e->only ? NULL : asker_of(e, id);
	struct strbuf *sb = json_begin(e->core);

	error_append(sb, about);
	json_key(sb, "assistantMessage");
	strbuf_append_slice(sb, assistant);
	strbuf_append_char(sb, '}');
	emit_closing(e, "message:error", json_end(sb), asker);
	if (!asker)
		return;
	sb = json_begin(e->core);
	error_append(sb, about);
	strbuf_append_char(sb, '}');
	member_emit(asker, "error", json_end(sb));
}

static void on_message_finished(struct event *e)
{
	static const char *const keys[] = { "assistantMessage", "streamId", "messageId" };
	struct core *core = e->core;
	struct slice v[ARRAY_LEN(keys)];
	struct error_about about = { .event = "message:send", .conversation = e->conversation };
	struct slice id;
	struct slice status;

	fields(core, e->body, keys, ARRAY_LEN(keys), v);
	if (!v[0].len || json_kind(v[0]) != '{')
		return; /* not of our making */
	(void)field_string(core, v[1], SIZE_MAX, &about.stream);
	(void)field_string(core, v[2], SIZE_MAX, &about.message);
	id = field_text(core, v[0], "id");
	status = field_text(core, v[0], "status");
	if (!e->only)
		relay_finish(e->room, id, field_text(core, v[0], "content"));
	emit_typing_stop(e, about.stream, about.message);
	if (slice_is(status, "complete") || slice_is(status, "stopped")) {
		emit_closing(e, "message:complete", e->body,
			     e->only ? NULL : asker_of(e, id));
	} else {
		struct slice error = field(core, v[0], "error");
		struct slice code = field_text(core, error, "code");
		int64_t retry = field_number(core, error, "retryAfterMs");

		about.code = code.len ? code_parse(code) : CODE_INTERRUPTED;
		about.retry_after_ms = retry > 0 ? (uint64_t)retry : 0;
		emit_message_error(e, v[0], id, &about);
	}
	if (!e->only)
		generation_finished(e->room, id);
}

static void on_conversation_created(struct event *e)
{
	emit_both(e, "conversation:create", "conversation:created");
}

/* Takes out of the conversation's room who has no part in it; they are told in their users' rooms,
 * which may have been before they came in here. */
static void expel(struct feed_room *room)
{
	struct list *node;
	struct list *tmp;

	LIST_FOREACH_SAFE (node, tmp, &room->joined) {
		struct joined *j = CONTAINER_OF(node, struct joined, in_room);

		if (j->role == ROLE_NONE)
			feed_room_leave(&j);
	}
}

/* Those who have one get it back. */
static void clear_roles(struct feed_room *room)
{
	room->roles_seq = room->known + 1;
	for (struct list *node = room->joined.next; node != &room->joined; node = node->next)
		CONTAINER_OF(node, struct joined, in_room)->role = ROLE_NONE;
}

static void update_roles(struct event *e, struct slice participants)
{
	struct core *core = e->core;
	struct slice *list;
	size_t n;

	if (json_scan_array(participants, &core->scratch, SIZE_MAX, &list, &n) != 0)
		return;
	clear_roles(e->room);
	for (size_t i = 0; i < n; i++) {
		struct slice user = field_text(core, list[i], "userId");
		struct slice role = field_text(core, list[i], "role");
		struct user *u = user_find(core, user);

		for (struct list *node = u ? u->members.next : NULL; u && node != &u->members;
		     node = node->next) {
			struct member *m = CONTAINER_OF(node, struct member, in_user);
			struct joined *j = member_joined(m, e->room);

			if (j)
				j->role = role_parse(role);
		}
	}
	expel(e->room);
}

static void on_conversation_updated(struct event *e)
{
	struct slice participants =
	    field(e->core, field(e->core, e->body, "update"), "participants");

	if (participants.len && !e->room->of_user && !e->only)
		update_roles(e, participants);
	skip_conversation(e);
	emit_both(e, "conversation:update", "conversation:updated");
}

/* Everybody who could have it open takes part, so users' rooms tell all of them. */
static void on_conversation_deleted(struct event *e)
{
	struct feed_room *conversation = feed_room_find(e->core, e->conversation);
	struct list *node;
	struct list *tmp;

	if (!e->room->of_user) {
		if (!e->only) {
			(void)generation_stop_all(e->room, slice_of(NULL, 0), NULL);
			clear_roles(e->room);
			expel(e->room);
		}
		return;
	}
	emit_both(e, "conversation:delete", "conversation:deleted");
	if (!conversation || e->only)
		return;
	conversation->refs++;
	LIST_FOREACH_SAFE (node, tmp, &conversation->joined) {
		struct joined *j = CONTAINER_OF(node, struct joined, in_room);

		if (j->member->user == e->room->user)
			feed_room_leave(&j);
	}
	feed_room_put(&conversation);
}

static void on_conversation_activity(struct event *e)
{
	emit(e, "conversation:activity", true, 0);
}

static void on_conversation_viewed(struct event *e)
{
	emit(e, "conversation:unread_status", false, 0);
}

static void on_message_updated(struct event *e)
{
	emit(e, "message:updated", true, 0);
}

/* Of a message that is gone nothing more is told: if it was an answer, it has ended. */
static void on_message_gone(struct event *e)
{
	if (e->only)
		return;
	relay_finish(e->room, e->ref, slice_of(NULL, 0));
	generation_finished(e->room, e->ref);
}

static void on_message_deleted(struct event *e)
{
	emit(e, "message:deleted", true, 0);
	on_message_gone(e);
}

/* What an application told by SQL. */
static void on_published(struct event *e)
{
	struct slice name = field_text(e->core, e->body, "event");
	struct slice data = field(e->core, e->body, "data");
	char *text = arena_strndup(&e->core->scratch, name.p, name.len);

	if (text && data.len && name.len && !memchr(name.p, '\0', name.len) &&
	    !sio_name_reserved(name))
		emit_json(e, text, data, true, 0);
}

static void disconnect(struct member *m)
{
	struct sio_socket *s = sio_lookup(m->core->sio, m->socket);

	if (s)
		sio_disconnect(s, false);
}

/* For good: the clients do not come back by themselves. */
static void on_user_disconnected(struct event *e)
{
	struct user *u = e->room->user;

	if (e->only) {
		disconnect(e->only);
		return;
	}
	if (!u)
		return;
	log_notice("audit", LOG_FIELDS(LOG_UINT("sockets", u->n_members)),
		   "a user was disconnected");
	for (struct list *node = u->members.next; node != &u->members; node = node->next)
		disconnect(CONTAINER_OF(node, struct member, in_user));
}

static const struct {
	const char *type;
	void (*deliver)(struct event *e);
	bool weighty; /* believed only when it was read from the log */
} types[] = {
	{ "conversation.activity", on_conversation_activity, false },
	{ "conversation.created", on_conversation_created, false },
	{ "conversation.deleted", on_conversation_deleted, false },
	{ "conversation.updated", on_conversation_updated, false },
	{ "conversation.viewed", on_conversation_viewed, false },
	{ "message.deleted", on_message_deleted, false },
	{ "message.finished", on_message_finished, false },
	{ "message.new", on_message_new, false },
	{ "message.started", on_message_started, false },
	{ "message.updated", on_message_updated, false },
	{ "published", on_published, false },
	{ "user.disconnected", on_user_disconnected, true },
};

struct feed_room *deliver_about(struct core *core, struct slice json)
{
	return feed_room_find(core, field_text(core, json, "c"));
}

/* False: it is to be read from the log first. */
static bool deliver(struct event *e, struct slice json, bool live)
{
	static const char *const keys[] = { "t", "c", "o", "b", "i" };
	struct slice v[ARRAY_LEN(keys)];
	struct slice type;

	fields(e->core, json, keys, ARRAY_LEN(keys), v);
	if (field_string(e->core, v[0], SIZE_MAX, &type) != FIELD_OK)
		return true;
	(void)field_string(e->core, v[1], SIZE_MAX, &e->conversation);
	(void)field_string(e->core, v[2], SIZE_MAX, &e->origin);
	(void)field_string(e->core, v[4], SIZE_MAX, &e->ref);
	e->body = v[3];
	if (!e->body.len || json_kind(e->body) != '{') {
		/* What it told of is not there any more. */
		if (slice_is(type, "message.finished"))
			on_message_gone(e);
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (!slice_is(type, types[i].type))
			continue;
		if (types[i].weighty && live)
			return false;
		types[i].deliver(e);
	}
	return true;
}

bool deliver_event(struct feed_room *room, struct slice json, bool live)
{
	struct event e = { .core = room->core, .room = room };

	return deliver(&e, json, live);
}

void deliver_missed(struct member *m, struct feed_room *room, struct slice json, unsigned skip)
{
	struct event e = { .core = room->core, .room = room, .only = m, .missed = skip + 1 };

	(void)deliver(&e, json, false);
}
