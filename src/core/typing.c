/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Who is typing. Told to the others in the conversation's room; ended by the typist, by silence, or
 * by his leaving. Nothing of it is stored.
 */
#include "core/private.h"
#include "base/err.h"

static bool hears(void *arg, const struct sio_socket *socket)
{
	const int *aliases = arg;
	const struct member *m = member_of(socket);

	return m && m->aliases & *aliases;
}

static void tell(struct joined *j, const char *name, int aliases, struct slice json)
{
	struct core *core = j->room->core;
	struct sio_message message = {
		.name = slice_str(name),
		.args = json,
		.wants = hears,
		.wants_arg = &aliases,
	};

	/* Who misses it for lack of memory misses little. */
	if (json.len)
		(void)!sio_emit_rooms(core->nsp, &j->room->name, 1, &j->member->socket, 1,
				      &message);
}

static void tell_all(struct joined *j, const char *seed, const char *past)
{
	struct strbuf *sb = json_begin(j->room->core);

	json_text(sb, "userId", user_id(j->member->user));
	json_text(sb, "conversationId", slice_str(j->room->id));
	strbuf_append_char(sb, '}');
	tell(j, seed, CORE_ALIASES_SEED, json_end(sb));
	tell(j, past, CORE_ALIASES_PAST, json_end(sb));
}

void typing_end(struct joined *j)
{
	timer_stop(&j->typing_timer);
	j->typing = false;
	j->typing_sent_ms = 0;
	tell_all(j, "typing:stop", "user:typing:stop");
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
		tell_all(j, "typing:start", "user:typing:start");
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
