/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Answers that one instance generates while tabs on others watch. Only pieces of text travel, from
 * the owner to those instances that want them:
 *
 *   ["w", message, bytes]                 want: I have so many bytes, send what follows
 *   ["u", message]                        nobody here watches any more
 *   ["c", message, offset, total, text]   a piece; total: bytes that there are now. Without text:
 *                                         nothing is new to whom wanted
 *
 * An instance hears by the feed that an answer began in a room that it follows, or by a join that
 * one runs, and asks everybody; the owner sends, tick by tick, and the others know it from then
 * on. All of it may be lost: what is missing is asked for again, from where it is missing, a want
 * is renewed while the answer runs, and one that is not renewed runs out. The end, with the whole
 * text, comes by the feed.
 */
#include <inttypes.h>

#include "core/private.h"
#include "base/err.h"
#include "base/log.h"
#include "base/utf8.h"
#include "wire/json_scan.h"

#define PIECE_BYTES 6000   /* of text in one message */
#define PIECE_ESCAPED 7200 /* of the same as JSON: a message has room for that */
#define RENEW_MS 5000
#define EXPIRE_MS 16000
#define ASK_AGAIN_MS 1000 /* while nothing comes; more each time, up to RENEW_MS */
#define ASK_MAX 16        /* times: a minute. Who has it answers, and the end comes sooner */
#define HOLE_MS 200       /* between two requests to fill holes */

/* ---- the owner ---- */

/* An instance that watches an answer of ours. */
struct viewer {
	struct list node;
	int64_t instance;
	size_t sent; /* bytes */
	uint64_t expires_ms;
};

static void on_tick(struct timer *timer);

static void viewer_free(struct viewer *v)
{
	list_remove(&v->node);
	free(v);
}

void relay_forget(struct generation *g)
{
	while (!list_empty(&g->viewers))
		viewer_free(CONTAINER_OF(g->viewers.next, struct viewer, node));
	list_remove(&g->in_relayed);
}

static struct viewer *viewer_of(struct generation *g, int64_t instance)
{
	for (struct list *node = g->viewers.next; node != &g->viewers; node = node->next) {
		struct viewer *v = CONTAINER_OF(node, struct viewer, node);

		if (v->instance == instance)
			return v;
	}
	return NULL;
}

/* Up to max bytes of the text from a place on, as a message; how many. */
static size_t write_piece(struct strbuf *json, const struct stream *st, size_t at, size_t max)
{
	size_t left = st->text.len - at;
	const char *p = left ? st->text.data + at : ""; /* no text has no memory yet */
	size_t n = left > max ? utf8_whole_len(p, max) : left;

	strbuf_reset(json);
	strbuf_printf(json, "[\"c\",\"%s\",%zu,%zu,", st->message, at, st->text.len);
	strbuf_append_json(json, p, n);
	strbuf_append_char(json, ']');
	return n;
}

/* Sends a piece of the text from where the viewer is. */
static void send_piece(struct generation *g, struct viewer *v)
{
	struct strbuf json;
	size_t max = PIECE_BYTES;
	size_t n;

	strbuf_init(&json, SIZE_MAX / 2);
	/* Control characters are six times as long in JSON. */
	while ((n = write_piece(&json, &g->out, v->sent, max)) && json.len > PIECE_ESCAPED)
		max /= 2;
	if (strbuf_ok(&json))
		cluster_send(g->core, v->instance, slice_of(json.data, json.len));
	v->sent += n; /* what does not arrive is asked for */
	strbuf_fini(&json);
}

static void send_all(struct generation *g, uint64_t now)
{
	struct list *node;
	struct list *tmp;

	LIST_FOREACH_SAFE (node, tmp, &g->viewers) {
		struct viewer *v = CONTAINER_OF(node, struct viewer, node);

		if (v->expires_ms < now) {
			viewer_free(v);
			continue;
		}
		while (v->sent < g->out.text.len)
			send_piece(g, v);
	}
}

static void on_tick(struct timer *timer)
{
	struct core *core = CONTAINER_OF(timer, struct core, relay_timer);
	uint64_t now = loop_now_ms(core->loop);
	struct list *node;

	core->relayed_ms = now;
	while ((node = list_pop_front(&core->relayed)))
		send_all(CONTAINER_OF(node, struct generation, in_relayed), now);
}

void relay_schedule(struct generation *g)
{
	struct core *core = g->core;

	if (list_empty(&g->viewers))
		return;
	if (!list_linked(&g->in_relayed))
		list_push_back(&core->relayed, &g->in_relayed);
	/* At once after a pause; then tick by tick. */
	if (!timer_active(&core->relay_timer))
		loop_timer_start_at(core->loop, &core->relay_timer,
				    core->relayed_ms + core->config->relay_interval_ms, on_tick);
}

void relay_on_want(struct core *core, int64_t from, const struct slice *args, size_t n)
{
	struct generation *g;
	struct viewer *v;
	struct slice id;
	int64_t have;

	if (from <= 0 || n != 3 || field_uuid(core, args[1], &id) != FIELD_OK ||
	    field_int(args[2], 0, INT32_MAX, &have) != FIELD_OK)
		return;
	g = generation_find(core, id);
	/* Of one that has ended, the feed tells. */
	if (!g || g->state == GENERATION_FINISHED || g->state == GENERATION_GONE)
		return;
	v = viewer_of(g, from);
	if (!v) {
		v = calloc(1, sizeof(*v));
		if (!v)
			return; /* it asks again */
		v->instance = from;
		list_push_back(&g->viewers, &v->node);
	}
	v->sent = (uint64_t)have < g->out.text.len ? (size_t)have : g->out.text.len;
	v->expires_ms = loop_now_ms(core->loop) + EXPIRE_MS;
	if (v->sent && (g->out.text.data[v->sent] & 0xc0) == 0x80)
		v->sent = 0; /* no place of ours */
	if (v->sent == g->out.text.len)
		send_piece(g, v); /* so that it knows where the answer is made, and that it is */
	relay_schedule(g);
}

void relay_on_unwant(struct core *core, int64_t from, const struct slice *args, size_t n)
{
	struct generation *g;
	struct viewer *v;
	struct slice id;

	if (n != 2 || field_uuid(core, args[1], &id) != FIELD_OK)
		return;
	g = generation_find(core, id);
	v = g ? viewer_of(g, from) : NULL;
	if (v)
		viewer_free(v);
}

/* ---- those who watch ---- */

static void on_ask(struct timer *timer);

static struct relay *relay_find(struct core *core, struct slice message)
{
	return map_get(core->relays, message.p, message.len);
}

static void tell_owner(struct relay *r, bool want)
{
	struct strbuf json;

	strbuf_init(&json, 256);
	strbuf_printf(&json, "[\"%s\",\"%s\"", want ? "w" : "u", r->out.message);
	if (want)
		strbuf_printf(&json, ",%zu", r->out.text.len);
	strbuf_append_char(&json, ']');
	cluster_send(r->core, r->owner, slice_of(json.data, json.len));
	strbuf_fini(&json);
}

static void ask(struct relay *r, uint64_t again_ms)
{
	/* Its owner may be another one now, or have forgotten it. */
	if (r->asked > 1)
		r->owner = 0;
	/* While the feed is down an answer would not be heard. */
	if (!r->asked || r->core->feed_up)
		r->asked++;
	tell_owner(r, true);
	loop_timer_start(r->core->loop, &r->timer, again_ms, on_ask);
}

static void relay_free(struct relay *r)
{
	timer_stop(&r->timer);
	if (relay_find(r->core, slice_str(r->out.message)) == r)
		map_del(r->core->relays, r->out.message, ID_UUID_LEN);
	stream_fini(&r->out);
	free(r);
}

static void on_ask(struct timer *timer)
{
	struct relay *r = CONTAINER_OF(timer, struct relay, timer);
	uint64_t wait = (uint64_t)ASK_AGAIN_MS * (r->asked + 1);

	if (r->asked < ASK_MAX)
		ask(r, wait < RENEW_MS ? wait : RENEW_MS);
	else
		relay_free(r);
}

static void relay_new(struct feed_room *room, struct slice message, struct slice id,
		      struct slice client_id, bool caught_up)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r)
		return; /* the tabs get the whole text at the end */
	r->core = room->core;
	r->caught_up = caught_up;
	if (stream_init(&r->out, room, message, id, client_id) != 0 ||
	    map_put(room->core->relays, r) != 0) {
		relay_free(r);
		return;
	}
	if (caught_up)
		stream_announce(&r->out);
	ask(r, ASK_AGAIN_MS);
}

void relay_started(struct feed_room *room, struct slice message, struct slice id,
		   struct slice client_id)
{
	if (list_empty(&room->joined) || message.len != ID_UUID_LEN || id.len != ID_UUID_LEN ||
	    generation_find(room->core, message) || relay_find(room->core, message))
		return;
	relay_new(room, message, id, client_id, true);
}

void relay_join(struct feed_room *room, struct member *m, struct slice active)
{
	static const char *const keys[] = { "assistantMessageId", "streamId", "messageId" };
	struct core *core = room->core;
	struct slice v[ARRAY_LEN(keys)];
	struct slice message;
	struct slice id;
	struct slice client_id;

	stream_snapshot(room, m);
	if (!active.len || json_kind(active) != '{')
		return;
	fields(core, active, keys, ARRAY_LEN(keys), v);
	if (field_uuid(core, v[0], &message) != FIELD_OK || field_uuid(core, v[1], &id) != FIELD_OK)
		return;
	(void)field_string(core, v[2], SIZE_MAX, &client_id);
	if (!generation_find(core, message) && !relay_find(core, message))
		relay_new(room, message, id, client_id, false);
}

static bool append_from(struct relay *r, size_t skip, struct slice text)
{
	text.p += skip;
	text.len -= skip;
	return (text.p[0] & 0xc0) != 0x80 && stream_append(&r->out, text);
}

void relay_on_chunk(struct core *core, int64_t from, const struct slice *args, size_t n)
{
	struct relay *r;
	struct slice id;
	struct slice text;
	int64_t offset;
	int64_t total;
	size_t have;

	if (n != 5 || field_uuid(core, args[1], &id) != FIELD_OK ||
	    field_int(args[2], 0, INT32_MAX, &offset) != FIELD_OK ||
	    field_int(args[3], 0, INT32_MAX, &total) != FIELD_OK ||
	    field_string(core, args[4], SIZE_MAX, &text) != FIELD_OK)
		return;
	r = relay_find(core, id);
	if (!r)
		return; /* what is over, or was never wanted */
	have = r->out.text.len;
	r->owner = from;
	if ((uint64_t)offset > have) {
		if (r->asked)
			return; /* asked already */
		ask(r, HOLE_MS);
		return;
	}
	if (text.len && have - (size_t)offset >= text.len)
		return; /* a repeat, which says nothing of what was asked for */
	if (text.len && !append_from(r, have - (size_t)offset, text)) {
		log_warn("chat", LOG_FIELDS(LOG_STR("message", r->out.message)),
			 "an answer of another instance cannot be followed");
		relay_free(r);
		return;
	}
	/* Not with each piece: the want is to be renewed while they come. */
	if (r->asked)
		loop_timer_start(core->loop, &r->timer, RENEW_MS, on_ask);
	r->asked = 0;
	if (!r->caught_up && r->out.text.len >= (uint64_t)total) {
		r->caught_up = true;
		stream_snapshot_all(&r->out);
	}
}

void relay_finish(struct feed_room *room, struct slice message, struct slice text)
{
	struct relay *r = relay_find(room->core, message);
	size_t have;

	if (!r || r->out.room != room)
		return;
	have = r->out.text.len;
	if (r->caught_up && text.len > have &&
	    (!have || memcmp(text.p, r->out.text.data, have) == 0))
		(void)!stream_append(&r->out, slice_of(text.p + have, text.len - have));
	if (r->caught_up)
		stream_flush(&r->out);
	relay_free(r);
}

void relay_drop_room(struct feed_room *room)
{
	struct core *core = room->core;
	struct list *node;
	struct list *tmp;

	room->refs++;
	LIST_FOREACH_SAFE (node, tmp, &room->streams) {
		struct stream *st = CONTAINER_OF(node, struct stream, in_room);
		struct relay *r = relay_find(core, slice_str(st->message));

		if (r && &r->out == st) {
			tell_owner(r, false);
			relay_free(r);
		}
	}
	feed_room_put(&room);
}

void relay_free_all(struct core *core)
{
	struct relay *r;
	size_t pos = 0;

	timer_stop(&core->relay_timer);
	while ((r = map_next(core->relays, &pos))) {
		relay_free(r);
		pos = 0;
	}
}
