/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The feed: the storage tells of events as they are committed, and may lose, repeat or shuffle
 * them. Each room has a position; an event is delivered when it is the next one, and what is
 * missing is read from the log. What nobody told of is found by comparing positions with the
 * database now and then, and whenever the feed comes up.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/private.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "wire/json_scan.h"

#define REPLAY_LIMIT "200"
#define REPLAY_LIMIT_MAX 1000 /* what an answer may hold, at most */
#define REPLAY_RETRY_MS 1000
#define HEADS_AT_ONCE 1000

/* Those who waited for the position that the room has come to. */
static void wake(struct feed_room *room)
{
	struct list *node;
	struct list *tmp;

	LIST_FOREACH_SAFE (node, tmp, &room->waiters) {
		struct room_waiter *w = CONTAINER_OF(node, struct room_waiter, node);

		if (w->seq > room->known)
			continue;
		list_remove(node);
		w->fn(w);
		tmp = room->waiters.next; /* fn may have changed the list */
	}
}

static void keep_for_tails(struct feed_room *room, struct slice json)
{
	for (struct list *node = room->tails.next; node != &room->tails; node = node->next) {
		struct room_tail *t = CONTAINER_OF(node, struct room_tail, node);

		if (t->events.len)
			strbuf_append_char(&t->events, ',');
		strbuf_append_slice(&t->events, json);
	}
}

/* What happens in a conversation is told in its room before it is told to users: while its room
 * reads what it missed, a user's room waits with what is about it. */
static bool must_wait(struct feed_room *room, int64_t seq, struct slice json)
{
	struct feed_room *ahead;

	if (!room->of_user || seq <= room->released)
		return false;
	ahead = deliver_about(room->core, json);
	if (!ahead || ahead->of_user || ahead->state != ROOM_REPLAY)
		return false;
	room->state = ROOM_REPLAY;
	room->ahead = ahead;
	ahead->refs++;
	list_push_back(&ahead->behind, &room->in_behind);
	return true;
}

/* The room has heard of all that was told before now; so may those who waited for it. */
static void set_live(struct feed_room *room)
{
	struct list *node;

	room->state = ROOM_LIVE;
	while ((node = list_pop_front(&room->behind))) {
		struct feed_room *user = CONTAINER_OF(node, struct feed_room, in_behind);

		user->released = user->seen;
		feed_room_put(&user->ahead);
		feed_replay(user);
	}
}

/* False: not yet, it is to be read from the log. */
static bool deliver(struct feed_room *room, int64_t seq, struct slice json, bool live)
{
	struct core *core = room->core;
	bool done;

	CHECK(seq == room->known + 1);
	if (must_wait(room, seq, json)) {
		if (room->seen < seq)
			room->seen = seq;
		return false;
	}
	room->refs++;
	done = deliver_event(room, json, live);
	room->part = 0;
	if (done) {
		room->known = seq;
		if (room->seen < seq)
			room->seen = seq;
		core->n_events++;
		keep_for_tails(room, json);
		wake(room);
	}
	feed_room_put(&room);
	return done;
}

/* Replay */

struct replay {
	struct core *core;
	uint64_t uid;
	char room[ID_UUID_LEN + 1];
	int64_t seen; /* the room's when the log was asked */
};

static void on_replay_timer(struct timer *timer);

static void retry_later(struct core *core)
{
	if (!timer_active(&core->replay_timer) && !core->stopped)
		loop_timer_start(core->loop, &core->replay_timer, REPLAY_RETRY_MS,
				 on_replay_timer);
}

static void settle(struct feed_room *room, int64_t head, bool pruned, int64_t told)
{
	if (pruned && room->known < head) {
		log_warn("feed",
			 LOG_FIELDS(LOG_STR("room", room->id), LOG_INT("known", room->known),
				    LOG_INT("head", head)),
			 "events were missed for good (the log is shorter than the outage)");
		room->known = head;
		generation_forget_finished(room);
		relay_drop_room(room);
		wake(room);
	}
	/* What was told of before the log was read, and is not in it, was never true: anybody who may
	 * connect to the database may write to the channel. */
	if (room->seen < head || (room->seen <= told && head >= room->known))
		room->seen = head;
}

/* before: its position when the answer came; told: what it had heard of when the log was asked. */
static void go_on(struct feed_room *room, int64_t before, int64_t told)
{
	if (room->known >= room->seen)
		set_live(room);
	else if (room->known > before || room->seen > told)
		feed_replay(room);
	else
		retry_later(room->core);
}

/* It will not be readable another time either, and the room would never hear of anything again. One
 * event at a time: how many there are is not known for sure. */
static void skip_unreadable(struct feed_room *room)
{
	static struct log_rate rate = LOG_RATE(10, 10000);
	uint32_t suppressed;

	if (log_rate_allow(&rate, &suppressed))
		log_err("feed",
			LOG_FIELDS(LOG_STR("room", room->id), LOG_INT("known", room->known),
				   LOG_UINT("suppressed", suppressed)),
			"an event is left out (what the storage says is not JSON, or nested too "
			"deep)");
	room->known++;
	generation_forget_finished(room);
	wake(room);
}

static void on_replay(void *arg, const struct storage_answer *answer)
{
	struct replay *replay = arg;
	struct core *core = replay->core;
	struct feed_room *room = feed_room_find(core, slice_of(replay->room, ID_UUID_LEN));
	struct slice *events = NULL;
	struct slice json = answer->json;
	int64_t before;
	size_t n = 0;
	int rc;

	arena_reset(&core->scratch);
	if (!room || room->uid != replay->uid)
		goto out;
	room->replaying = false;
	before = room->known;
	if (storage_code(answer, "feed_replay") != CODE_NONE) {
		retry_later(core);
		goto out;
	}
	room->refs++;
	rc = json_scan_array(field(core, json, "events"), &core->scratch, REPLAY_LIMIT_MAX, &events,
			     &n);
	if (rc && rc != PARLANCE_ENOMEM)
		skip_unreadable(room);
	for (size_t i = 0; i < n; i++) {
		int64_t seq = field_number(core, events[i], "s");

		if (seq == room->known + 1 && !deliver(room, seq, events[i], false))
			break;
	}
	settle(room, field_number(core, json, "head"),
	       slice_is(field(core, json, "pruned"), "true"), replay->seen);
	if (!room->ahead)
		go_on(room, before, replay->seen);
	feed_room_put(&room);
out:
	free(replay);
}

void feed_replay(struct feed_room *room)
{
	struct core *core = room->core;
	struct replay *replay;
	struct slice params[3];
	char known[24];

	room->state = ROOM_REPLAY;
	if (room->replaying || room->ahead)
		return;
	replay = calloc(1, sizeof(*replay));
	if (!replay) {
		retry_later(core);
		return;
	}
	replay->core = core;
	replay->uid = room->uid;
	replay->seen = room->seen;
	memcpy(replay->room, room->id, sizeof(replay->room));
	(void)snprintf(known, sizeof(known), "%" PRId64, room->known);
	params[0] = slice_str(room->id);
	params[1] = slice_str(known);
	params[2] = slice_str(REPLAY_LIMIT);
	if (storage_call(core->plugins, PARLANCE_FEED_REPLAY, STORAGE_NO_KEY, params, 3,
			 core->config->storage_timeout_ms, on_replay, replay) != 0) {
		free(replay);
		retry_later(core);
		return;
	}
	room->replaying = true;
	core->n_replays++;
}

static void on_replay_timer(struct timer *timer)
{
	struct core *core = CONTAINER_OF(timer, struct core, replay_timer);
	struct feed_room *room;
	size_t pos = 0;

	while ((room = map_next(core->rooms, &pos)))
		if (room->state == ROOM_REPLAY)
			feed_replay(room);
}

/* Live events */

/* The session of a user is read before it is known what his room is called: what is told of it
 * meanwhile would only be found when the positions are compared. One place a room, more or less. */
static struct feed_told *told_of(struct core *core, struct slice room, uint64_t *hash)
{
	*hash = hash_bytes(room.p, room.len);
	return &core->told_of[*hash % ARRAY_LEN(core->told_of)];
}

int64_t feed_told(struct core *core, struct slice room)
{
	uint64_t hash;
	const struct feed_told *t = told_of(core, room, &hash);

	return t->hash == hash ? t->seq : 0;
}

static void keep_told(struct core *core, struct slice room, int64_t seq)
{
	uint64_t hash;
	struct feed_told *t = told_of(core, room, &hash);

	t->hash = hash;
	t->seq = seq;
}

static void on_event(void *ctx, const struct parlance_storage_event *event)
{
	struct core *core = ctx;
	struct slice id = slice_of(event->room.p, event->room.len);
	struct feed_room *room = feed_room_find(core, id);

	if (!room) {
		keep_told(core, id, event->seq);
		return;
	}
	if (event->seq <= room->known)
		return;
	if (room->state == ROOM_LIVE && event->seq == room->known + 1 && event->json.len) {
		struct slice json = slice_of(event->json.p, event->json.len);

		arena_reset(&core->scratch);
		/* Anybody who may connect to the database may write to the channel. */
		if (json_scan_value(json) != 0 || deliver(room, event->seq, json, true))
			return;
	}
	if (room->seen < event->seq)
		room->seen = event->seq;
	if (room->state == ROOM_LIVE)
		feed_replay(room);
}

/* Positions */

static void on_heads(void *arg, const struct storage_answer *answer)
{
	struct core *core = arg;
	struct slice *rooms;
	size_t n;

	arena_reset(&core->scratch);
	if (storage_code(answer, "feed_heads") != CODE_NONE ||
	    json_scan_array(field(core, answer->json, "rooms"), &core->scratch, HEADS_AT_ONCE,
			    &rooms, &n) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct feed_room *room = feed_room_find(core, field_text(core, rooms[i], "r"));
		int64_t seq = field_number(core, rooms[i], "s");

		if (!room || room->state == ROOM_NEW || seq <= room->known)
			continue;
		if (room->seen < seq)
			room->seen = seq;
		if (room->state == ROOM_LIVE)
			feed_replay(room);
	}
}

static void ask_heads(struct core *core, struct strbuf *ids, struct strbuf *seqs)
{
	struct slice params[2];

	strbuf_append_char(ids, '}');
	strbuf_append_char(seqs, '}');
	params[0] = slice_of(ids->data, ids->len);
	params[1] = slice_of(seqs->data, seqs->len);
	/* What cannot be asked now is asked with the next beat. */
	if (strbuf_ok(ids) && strbuf_ok(seqs) &&
	    storage_call(core->plugins, PARLANCE_FEED_HEADS, STORAGE_NO_KEY, params, 2,
			 core->config->storage_timeout_ms, on_heads, core) != 0)
		log_warn("feed", NULL, "out of memory");
	strbuf_reset(ids);
	strbuf_reset(seqs);
}

static void ask_all_heads(struct core *core)
{
	struct strbuf ids;
	struct strbuf seqs;
	struct feed_room *room;
	size_t pos = 0;
	size_t n = 0;

	strbuf_init(&ids, SIZE_MAX / 2);
	strbuf_init(&seqs, SIZE_MAX / 2);
	while ((room = map_next(core->rooms, &pos))) {
		if (room->state == ROOM_NEW)
			continue;
		strbuf_append_char(&ids, n ? ',' : '{');
		strbuf_append_str(&ids, room->id);
		strbuf_append_char(&seqs, n ? ',' : '{');
		strbuf_append_u64(&seqs, (uint64_t)room->known);
		if (++n == HEADS_AT_ONCE) {
			ask_heads(core, &ids, &seqs);
			n = 0;
		}
	}
	if (n)
		ask_heads(core, &ids, &seqs);
	strbuf_fini(&ids);
	strbuf_fini(&seqs);
}

static void on_heads_timer(struct timer *timer)
{
	struct core *core = CONTAINER_OF(timer, struct core, heads_timer);

	if (core->feed_up) {
		ask_all_heads(core);
		presence_look_all(core);
		tokens_look(core);
	}
	loop_timer_start(core->loop, timer, core->config->heads_interval_ms, on_heads_timer);
}

static void on_feed(void *ctx, bool up)
{
	struct core *core = ctx;

	core->feed_up = up;
	core_tell_ready(core);
	if (!up)
		return;
	ask_all_heads(core);
	tokens_look(core);
	/* The server may have crashed: what it knew of presence is gone, but we are registered. */
	presence_restart(core);
}

static void on_ready(void *ctx, bool ready)
{
	instance_ready(ctx, ready);
	core_tell_ready(ctx);
}

static void on_message(void *ctx, struct slice payload)
{
	cluster_receive(ctx, payload);
}

const struct storage_listener feed_listener = { on_event, on_feed, on_ready, on_message };

void feed_start(struct core *core)
{
	loop_timer_start(core->loop, &core->heads_timer, core->config->heads_interval_ms,
			 on_heads_timer);
}

void feed_stop(struct core *core)
{
	timer_stop(&core->heads_timer);
	timer_stop(&core->replay_timer);
}

void feed_end_waiters(struct core *core)
{
	struct feed_room *room;
	size_t pos = 0;

	while ((room = map_next(core->rooms, &pos))) {
		struct list *node = list_pop_front(&room->waiters);
		struct room_waiter *w;

		if (!node)
			continue;
		w = CONTAINER_OF(node, struct room_waiter, node);
		w->fn(w);
		pos = 0; /* the room may have gone with it */
	}
}

/* Users' rooms wait for no other. */
static void let_users_go_on(struct core *core)
{
	struct feed_room *room;
	size_t pos = 0;

	while ((room = map_next(core->rooms, &pos))) {
		if (!room->ahead)
			continue;
		list_remove(&room->in_behind);
		feed_room_put(&room->ahead);
		pos = 0; /* it may have gone */
	}
}

void feed_forget(struct core *core)
{
	struct feed_room *room;
	size_t pos = 0;

	memset(core->told_of, 0, sizeof(core->told_of));
	let_users_go_on(core);
	while ((room = map_next(core->rooms, &pos))) {
		room->uid = ++core->next_uid; /* answers under way are not for it */
		room->state = ROOM_NEW;
		room->replaying = false;
		room->known = room->seen = room->released = room->roles_seq = 0;
	}
	feed_end_waiters(core);
}
