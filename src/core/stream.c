/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The pieces of a running answer on their way to the tabs. Sockets of a mode share frames; each
 * mode has its own pace. With the whole text in every frame (STREAM_FULL) the pace falls with its
 * length, so that the bytes grow with the time and not with the square of the text. A socket that
 * cannot keep up is left out, and gets a snapshot when its queue has drained.
 */
#include "core/private.h"
#include "base/err.h"
#include "base/utf8.h"

int stream_init(struct stream *st, struct feed_room *room, struct slice message, struct slice id,
		struct slice client_id)
{
	const struct core_config *c = room->core->config;

	CHECK(message.len == ID_UUID_LEN && id.len == ID_UUID_LEN);
	memset(st, 0, sizeof(*st));
	st->core = room->core;
	st->room = room;
	room->refs++;
	list_push_back(&room->streams, &st->in_room);
	memcpy(st->message, message.p, message.len);
	memcpy(st->id, id.p, id.len);
	strbuf_init(&st->text, c->max_answer_bytes);
	strbuf_init(&st->escaped, (size_t)c->max_answer_bytes * 6);
	for (size_t i = 0; i < STREAM_MODES; i++)
		st->cursors[i].stream = st;
	if (client_id.len)
		st->client_id = strndup(client_id.p, client_id.len);
	return client_id.len && !st->client_id ? PARLANCE_ENOMEM : 0;
}

void stream_fini(struct stream *st)
{
	stream_stop(st);
	strbuf_fini(&st->text);
	strbuf_fini(&st->escaped);
	free(st->client_id);
	feed_room_put(&st->room);
}

static uint64_t interval_ms(const struct stream *st, enum stream_mode mode)
{
	const struct core_config *c = st->core->config;
	uint64_t least = c->chunk_interval_ms;
	uint64_t paced;

	if (mode == STREAM_DELTA)
		return least;
	paced = (uint64_t)st->text.len * 1000 / c->full_bytes_per_s;
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

static void append_ids(struct strbuf *sb, const struct stream *st)
{
	json_text(sb, "conversationId", slice_str(st->room->id));
	if (st->client_id)
		json_text(sb, "messageId", slice_str(st->client_id));
	json_text(sb, "assistantMessageId", slice_str(st->message));
	json_text(sb, "streamId", slice_str(st->id));
}

static void append_escaped(struct strbuf *sb, const char *key, const char *p, size_t len)
{
	json_key(sb, key);
	strbuf_append_char(sb, '"');
	if (len)
		strbuf_append(sb, p, len);
	strbuf_append_char(sb, '"');
}

static void send_chunk(struct stream *st, const struct stream_cursor *c, enum stream_mode mode)
{
	struct strbuf *sb = json_begin(st->core);
	struct receivers receivers = { st->room, mode };
	struct sio_message message = {
		.name = slice_str("message:chunk"),
		.wants = receives,
		.wants_arg = &receivers,
	};

	append_ids(sb, st);
	json_key(sb, "seq");
	strbuf_append_u64(sb, c->seq);
	json_key(sb, "offset");
	strbuf_append_u64(sb, c->utf16);
	append_escaped(sb, "chunk", st->escaped.data + c->escaped, st->escaped.len - c->escaped);
	if (mode == STREAM_FULL)
		append_escaped(sb, "content", st->escaped.data, st->escaped.len);
	strbuf_append_char(sb, '}');
	message.args = json_end(sb);
	/* Who misses it for lack of memory gets the whole text at the end. */
	if (message.args.len)
		(void)!sio_emit_rooms(st->core->nsp, &st->room->name, 1, NULL, 0, &message);
}

/* The tabs of a mode have all there is. */
static void settle(struct stream *st, enum stream_mode mode)
{
	struct stream_cursor *c = &st->cursors[mode - 1];

	timer_stop(&c->timer);
	c->escaped = st->escaped.len;
	c->utf16 = st->utf16;
}

static void flush_mode(struct stream *st, enum stream_mode mode)
{
	struct stream_cursor *c = &st->cursors[mode - 1];

	timer_stop(&c->timer);
	if (!st->announced || c->escaped == st->escaped.len)
		return;
	c->sent_ms = loop_now_ms(st->core->loop);
	c->seq++;
	if (st->room->n_mode[mode - 1])
		send_chunk(st, c, mode);
	settle(st, mode);
}

static void on_timer(struct timer *timer)
{
	struct stream_cursor *c = CONTAINER_OF(timer, struct stream_cursor, timer);

	flush_mode(c->stream,
		   c == &c->stream->cursors[STREAM_FULL - 1] ? STREAM_FULL : STREAM_DELTA);
}

/* The end of a turn in which text came. */
static void on_task(struct loop_task *task)
{
	struct stream *st = CONTAINER_OF(task, struct stream, task);
	uint64_t now = loop_now_ms(st->core->loop);

	for (enum stream_mode mode = STREAM_FULL; mode <= STREAM_MODES; mode++) {
		struct stream_cursor *c = &st->cursors[mode - 1];
		uint64_t due = c->sent_ms + interval_ms(st, mode);

		if (timer_active(&c->timer))
			continue;
		if (!c->seq || due <= now)
			flush_mode(st, mode);
		else
			loop_timer_start_at(st->core->loop, &c->timer, due, on_timer);
	}
}

bool stream_append(struct stream *st, struct slice text)
{
	strbuf_append_slice(&st->text, text);
	strbuf_append_json_chars(&st->escaped, text.p, text.len);
	st->utf16 += utf8_utf16_len(text.p, text.len);
	if (st->announced) {
		st->task.fn = on_task;
		loop_defer(st->core->loop, &st->task);
	}
	return strbuf_ok(&st->text) && strbuf_ok(&st->escaped);
}

void stream_announce(struct stream *st)
{
	st->announced = true;
	stream_flush(st);
}

void stream_flush(struct stream *st)
{
	flush_mode(st, STREAM_FULL);
	flush_mode(st, STREAM_DELTA);
}

void stream_stop(struct stream *st)
{
	loop_undefer(&st->task);
	for (size_t i = 0; i < STREAM_MODES; i++)
		timer_stop(&st->cursors[i].timer);
	list_remove(&st->in_room);
}

static void snapshot(struct stream *st, struct member *m)
{
	struct strbuf *sb = json_begin(st->core);

	append_ids(sb, st);
	json_key(sb, "seq");
	strbuf_append_u64(sb, st->cursors[m->mode - 1].seq);
	append_escaped(sb, "content", st->escaped.data, st->escaped.len);
	json_text(sb, "status", slice_str("streaming"));
	strbuf_append_char(sb, '}');
	member_emit(m, "message:snapshot", json_end(sb));
}

void stream_snapshot(struct feed_room *room, struct member *m)
{
	struct joined *j = member_joined(m, room);

	if (!j)
		return;
	/* The others get what they have not yet, so that the next chunk follows for all; the member
	 * gets it with the snapshot. */
	j->lagging = true;
	for (struct list *node = room->streams.next; node != &room->streams; node = node->next) {
		struct stream *st = CONTAINER_OF(node, struct stream, in_room);

		if (!st->announced)
			continue;
		flush_mode(st, m->mode);
		snapshot(st, m);
	}
	j->lagging = false;
}

void stream_snapshot_all(struct stream *st)
{
	st->announced = true;
	settle(st, STREAM_FULL);
	settle(st, STREAM_DELTA);
	for (struct list *node = st->room->joined.next; node != &st->room->joined;
	     node = node->next) {
		struct joined *j = CONTAINER_OF(node, struct joined, in_room);

		if (!j->lagging)
			snapshot(st, j->member);
	}
}

void stream_drained(struct member *m)
{
	for (struct list *node = m->joined.next; node != &m->joined; node = node->next) {
		struct joined *j = CONTAINER_OF(node, struct joined, in_member);

		if (j->lagging)
			stream_snapshot(j->room, m);
	}
}
