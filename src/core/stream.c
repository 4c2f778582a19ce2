/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The pieces of a running answer on their way to the tabs. Sockets of a mode share frames; each
 * mode has its own pace. With the whole text in every frame (STREAM_FULL) the pace falls with its
 * length, so that the bytes grow with the time and not with the square of the text. A socket that
 * cannot keep up is left out, and gets a snapshot when its queue has drained.
 */
#include "core/private.h"

static uint64_t interval_ms(const struct generation *g, enum stream_mode mode)
{
	const struct core_config *c = g->core->config;
	uint64_t least = c->chunk_interval_ms;
	uint64_t paced;

	if (mode == STREAM_DELTA)
		return least;
	paced = (uint64_t)g->text.len * 1000 / c->full_bytes_per_s;
	return paced > least ? paced : least;
}

struct receivers {
	struct feed_room *room;
	enum stream_mode mode;
};

static bool receives(void *arg, const struct sio_socket *socket)
{
	const struct receivers *r = arg;
	const struct member *m = member_of(socket);
	struct joined *j;

	if (!m || m->mode != r->mode)
		return false;
	j = member_joined(m, r->room);
	if (!j || j->lagging)
		return false;
	j->lagging = sio_congested(socket);
	return !j->lagging;
}

static void append_ids(struct strbuf *sb, const struct generation *g)
{
	json_text(sb, "conversationId", slice_str(g->room->id));
	if (g->client_id)
		json_text(sb, "messageId", slice_str(g->client_id));
	json_text(sb, "assistantMessageId", slice_str(g->message));
	json_text(sb, "streamId", slice_str(g->stream));
}

static void append_escaped(struct strbuf *sb, const char *key, const char *p, size_t len)
{
	json_key(sb, key);
	strbuf_append_char(sb, '"');
	if (len)
		strbuf_append(sb, p, len);
	strbuf_append_char(sb, '"');
}

static void send_chunk(struct generation *g, const struct stream_cursor *c, enum stream_mode mode)
{
	struct strbuf *sb = json_begin(g->core);
	struct receivers receivers = { g->room, mode };
	struct sio_message message = {
		.name = slice_str("message:chunk"),
		.wants = receives,
		.wants_arg = &receivers,
	};

	append_ids(sb, g);
	json_key(sb, "seq");
	strbuf_append_u64(sb, c->seq);
	json_key(sb, "offset");
	strbuf_append_u64(sb, c->utf16);
	append_escaped(sb, "chunk", g->escaped.data + c->escaped, g->escaped.len - c->escaped);
	if (mode == STREAM_FULL)
		append_escaped(sb, "content", g->escaped.data, g->escaped.len);
	strbuf_append_char(sb, '}');
	message.args = json_end(sb);
	/* Who misses it for lack of memory gets the whole text at the end. */
	if (message.args.len)
		(void)!sio_emit_rooms(g->core->nsp, &g->room->name, 1, NULL, 0, &message);
}

static void flush_mode(struct generation *g, enum stream_mode mode)
{
	struct stream_cursor *c = &g->cursors[mode - 1];

	timer_stop(&c->timer);
	if (!g->announced || c->escaped == g->escaped.len)
		return;
	c->sent_ms = loop_now_ms(g->core->loop);
	c->seq++;
	if (g->room->n_mode[mode - 1])
		send_chunk(g, c, mode);
	c->escaped = g->escaped.len;
	c->utf16 = g->utf16;
}

static void on_timer(struct timer *timer)
{
	struct stream_cursor *c = CONTAINER_OF(timer, struct stream_cursor, timer);

	flush_mode(c->generation,
		   c == &c->generation->cursors[STREAM_FULL - 1] ? STREAM_FULL : STREAM_DELTA);
}

/* The end of a turn in which text came. */
static void on_task(struct loop_task *task)
{
	struct generation *g = CONTAINER_OF(task, struct generation, stream_task);
	uint64_t now = loop_now_ms(g->core->loop);

	for (enum stream_mode mode = STREAM_FULL; mode <= STREAM_MODES; mode++) {
		struct stream_cursor *c = &g->cursors[mode - 1];
		uint64_t due = c->sent_ms + interval_ms(g, mode);

		if (timer_active(&c->timer))
			continue;
		if (!c->seq || due <= now)
			flush_mode(g, mode);
		else
			loop_timer_start_at(g->core->loop, &c->timer, due, on_timer);
	}
}

void stream_schedule(struct generation *g)
{
	if (!g->announced)
		return;
	g->stream_task.fn = on_task;
	loop_defer(g->core->loop, &g->stream_task);
}

void stream_flush(struct generation *g)
{
	flush_mode(g, STREAM_FULL);
	flush_mode(g, STREAM_DELTA);
}

void stream_stop(struct generation *g)
{
	loop_undefer(&g->stream_task);
	for (size_t i = 0; i < STREAM_MODES; i++)
		timer_stop(&g->cursors[i].timer);
}

static void snapshot(struct generation *g, struct member *m)
{
	struct strbuf *sb;

	/* The others get what they have not yet, so that the next chunk follows for all. */
	flush_mode(g, m->mode);
	sb = json_begin(g->core);
	append_ids(sb, g);
	json_key(sb, "seq");
	strbuf_append_u64(sb, g->cursors[m->mode - 1].seq);
	append_escaped(sb, "content", g->escaped.data, g->escaped.len);
	json_text(sb, "status", slice_str("streaming"));
	strbuf_append_char(sb, '}');
	member_emit(m, "message:snapshot", json_end(sb));
}

void stream_snapshot(struct feed_room *room, struct member *m)
{
	for (struct list *node = room->generations.next; node != &room->generations;
	     node = node->next) {
		struct generation *g = CONTAINER_OF(node, struct generation, in_room);

		if (g->announced && g->state != GENERATION_GONE)
			snapshot(g, m);
	}
}

void stream_drained(struct member *m)
{
	for (struct list *node = m->joined.next; node != &m->joined; node = node->next) {
		struct joined *j = CONTAINER_OF(node, struct joined, in_member);

		if (!j->lagging)
			continue;
		j->lagging = false;
		stream_snapshot(j->room, m);
	}
}
