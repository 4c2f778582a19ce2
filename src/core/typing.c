/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Who is typing. Told to the others in the conversation's room, on all instances; ended by the
 * typist, by silence, or by his leaving. Nothing of it is stored.
 */
#include "core/private.h"
#include "base/err.h"

/* A socket of another instance that is typing. It ends by itself when its instance says nothing
 * more, which may be gone. */
struct typist {
	struct list node; /* room->typists */
	struct feed_room *room;
	struct timer timer;
	struct slice user;
	struct slice sid;
	char text[];
};

static bool hears(void *arg, const struct sio_socket *socket)
{
	const int *aliases = arg;
	const struct member *m = member_of(socket);

	return m && m->aliases & *aliases;
}

static void tell(struct feed_room *room, uint64_t except, const char *name, int aliases,
		 struct slice json)
{
	struct core *core = room->core;
	struct sio_message message = {
		.name = slice_str(name),
		.args = json,
		.wants = hears,
		.wants_arg = &aliases,
	};

	/* Who misses it for lack of memory misses little. */
	if (json.len)
		(void)!sio_emit_rooms(core->nsp, &room->name, 1, &except, except ? 1 : 0,
				      &message);
}

/* except: the typist's socket, 0 when it is elsewhere. */
static void tell_here(struct feed_room *room, struct slice user, uint64_t except, bool on)
{
	struct strbuf *sb = json_begin(room->core);

	json_text(sb, "userId", user);
	json_text(sb, "conversationId", slice_str(room->id));
	strbuf_append_char(sb, '}');
	tell(room, except, on ? "typing:start" : "typing:stop", CORE_ALIASES_SEED, json_end(sb));
	tell(room, except, on ? "user:typing:start" : "user:typing:stop", CORE_ALIASES_PAST,
	     json_end(sb));
}

static void tell_all(struct joined *j, bool on)
{
	struct core *core = j->room->core;
	struct slice user = user_id(j->member->user);
	struct strbuf json;

	tell_here(j->room, user, j->member->socket, on);
	if (!core->n_others)
		return;
	strbuf_init(&json, 4096);
	strbuf_printf(&json, "[\"t\",\"%s\",", j->room->id);
	strbuf_append_json(&json, user.p, user.len);
	strbuf_append_char(&json, ',');
	strbuf_append_json(&json, j->member->sid.p, j->member->sid.len);
	strbuf_append_str(&json, on ? ",1]" : ",0]");
	if (strbuf_ok(&json))
		cluster_send(core, 0, slice_of(json.data, json.len));
	strbuf_fini(&json);
}

void typing_end(struct joined *j)
{
	timer_stop(&j->typing_timer);
	j->typing = false;
	j->typing_sent_ms = 0;
	tell_all(j, false);
}

static void on_silence(struct timer *timer)
{
	typing_end(CONTAINER_OF(timer, struct joined, typing_timer));
}

static struct joined *find_joined(struct member *m, const struct sio_event *event, struct slice arg)
{
	struct joined *j;
	struct slice id;

	if (!conversation_arg(m, event, arg, &id))
		return NULL;
	j = member_joined(m, feed_room_find(m->core, id));
	if (!j)
		event_fail(m, event, CODE_NOT_FOUND, "Join the conversation first", id);
	return j;
}

void typing_start(struct member *m, const struct sio_event *event, struct slice arg)
{
	struct joined *j = find_joined(m, event, arg);
	struct core *core = m->core;
	uint64_t now = loop_now_ms(core->loop);

	if (!j)
		return;
	if (!j->typing || now - j->typing_sent_ms >= core->config->typing_repeat_ms) {
		j->typing = true;
		j->typing_sent_ms = now;
		tell_all(j, true);
	}
	loop_timer_start(core->loop, &j->typing_timer, core->config->typing_timeout_ms,
			 on_silence);
	event_ok(m, event, slice_str("{\"ok\":true}"));
}

void typing_stop(struct member *m, const struct sio_event *event, struct slice arg)
{
	struct joined *j = find_joined(m, event, arg);

	if (!j)
		return;
	if (j->typing)
		typing_end(j);
	event_ok(m, event, slice_str("{\"ok\":true}"));
}

/* ---- typists of other instances ---- */

static void typist_free(struct typist *t)
{
	timer_stop(&t->timer);
	list_remove(&t->node);
	free(t);
}

void typing_forget(struct feed_room *room)
{
	while (!list_empty(&room->typists))
		typist_free(CONTAINER_OF(room->typists.next, struct typist, node));
}

static void typist_end(struct typist *t)
{
	tell_here(t->room, t->user, 0, false);
	typist_free(t);
}

static void on_lost(struct timer *timer)
{
	typist_end(CONTAINER_OF(timer, struct typist, timer));
}

static struct typist *typist_find(struct feed_room *room, struct slice sid)
{
	for (struct list *node = room->typists.next; node != &room->typists; node = node->next) {
		struct typist *t = CONTAINER_OF(node, struct typist, node);

		if (slice_eq(t->sid, sid))
			return t;
	}
	return NULL;
}

static struct typist *typist_new(struct feed_room *room, struct slice user, struct slice sid)
{
	struct typist *t = calloc(1, sizeof(*t) + user.len + sid.len);

	if (!t)
		return NULL;
	t->room = room;
	memcpy(t->text, user.p, user.len);
	memcpy(t->text + user.len, sid.p, sid.len);
	t->user = slice_of(t->text, user.len);
	t->sid = slice_of(t->text + user.len, sid.len);
	list_push_back(&room->typists, &t->node);
	return t;
}

void typing_on_remote(struct core *core, int64_t from, const struct slice *args, size_t n)
{
	const struct core_config *c = core->config;
	struct feed_room *room;
	struct typist *t;
	struct slice id;
	struct slice user;
	struct slice sid;
	int64_t on;

	(void)from;
	if (n != 5 || field_uuid(core, args[1], &id) != FIELD_OK ||
	    field_string(core, args[2], USER_MAX, &user) != FIELD_OK || !user.len ||
	    field_string(core, args[3], ID_TOKEN_LEN, &sid) != FIELD_OK || !sid.len ||
	    field_int(args[4], 0, 1, &on) != FIELD_OK)
		return;
	room = feed_room_find(core, id);
	if (!room || list_empty(&room->joined))
		return;
	t = typist_find(room, sid);
	if (!on) {
		if (t)
			typist_end(t);
		return;
	}
	if (!t)
		t = typist_new(room, user, sid);
	if (!t)
		return;
	tell_here(room, user, 0, true);
	loop_timer_start(core->loop, &t->timer, c->typing_timeout_ms + c->typing_repeat_ms,
			 on_lost);
}
