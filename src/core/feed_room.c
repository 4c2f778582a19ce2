/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Rooms that the feed follows: conversations somebody here has open, and users who are online. A
 * room lives as long as somebody refers to it.
 */
#include "core/private.h"
#include "base/base64.h"
#include "base/err.h"

struct feed_room *feed_room_find(struct core *core, struct slice id)
{
	return map_get(core->rooms, id.p, id.len);
}

bool feed_room_id_is_users(struct slice id)
{
	CHECK(id.len == ID_UUID_LEN);
	return id.p[14] == '8';
}

static void room_free(struct feed_room **rp)
{
	struct feed_room *r = *rp;

	*rp = NULL;
	CHECK(list_empty(&r->joined) && list_empty(&r->generations) && list_empty(&r->waiters));
	CHECK(list_empty(&r->streams) && list_empty(&r->tails) && list_empty(&r->behind));
	typing_forget(r);
	free(r);
}

static void make_tag(struct feed_room *r)
{
	unsigned char bytes[16];
	char text[ROOM_TAG_LEN + 3]; /* with its padding */
	size_t n = 0;

	for (const char *p = r->id; *p; p++) {
		unsigned digit = (unsigned)(*p <= '9' ? *p - '0' : *p - 'a' + 10);

		if (*p == '-')
			continue;
		bytes[n / 2] = (unsigned char)(n % 2 ? bytes[n / 2] | digit : digit << 4);
		n++;
	}
	(void)base64_encode(bytes, sizeof(bytes), text);
	memcpy(r->tag, text, ROOM_TAG_LEN);
}

struct feed_room *feed_room_get(struct core *core, struct slice id, struct slice name, bool of_user)
{
	struct feed_room *r = feed_room_find(core, id);
	char *text;

	if (feed_room_id_is_users(id) != of_user)
		return NULL;
	if (r) {
		r->refs++;
		return r;
	}
	r = calloc(1, sizeof(*r) + name.len);
	if (!r)
		return NULL;
	text = (char *)(r + 1);
	memcpy(text, name.p, name.len);
	memcpy(r->id, id.p, id.len);
	r->core = core;
	r->uid = ++core->next_uid;
	r->name = slice_of(text, name.len);
	r->of_user = of_user;
	r->state = ROOM_NEW;
	r->seen = feed_told(core, id);
	r->refs = 1;
	list_init(&r->joined);
	list_init(&r->waiters);
	list_init(&r->generations);
	list_init(&r->streams);
	list_init(&r->typists);
	list_init(&r->tails);
	list_init(&r->behind);
	make_tag(r);
	if (map_put(core->rooms, r) != 0)
		room_free(&r);
	return r;
}

struct feed_room *feed_room_get_conversation(struct core *core, struct slice id)
{
	char name[sizeof(CONVERSATION_PREFIX) + ID_UUID_LEN];
	size_t prefix = strlen(CONVERSATION_PREFIX);

	CHECK(id.len == ID_UUID_LEN);
	memcpy(name, CONVERSATION_PREFIX, prefix);
	memcpy(name + prefix, id.p, id.len);
	return feed_room_get(core, id, slice_of(name, prefix + id.len), false);
}

void feed_room_put(struct feed_room **rp)
{
	struct feed_room *r = *rp;

	*rp = NULL;
	CHECK(r->refs > 0);
	if (--r->refs)
		return;
	list_remove(&r->in_behind);
	if (r->ahead)
		feed_room_put(&r->ahead);
	map_del(r->core->rooms, r->id, ID_UUID_LEN);
	room_free(&r);
}

int feed_room_enter(struct feed_room *room, struct member *member, enum conversation_role role)
{
	struct joined *j = member_joined(member, room);
	struct sio_socket *s = sio_lookup(room->core->sio, member->socket);
	int rc;

	if (j) {
		j->role = role;
		return 0;
	}
	if (!s)
		return PARLANCE_ECLOSED;
	j = calloc(1, sizeof(*j));
	if (!j)
		return PARLANCE_ENOMEM;
	rc = sio_join(s, room->name);
	if (rc) {
		free(j);
		return rc;
	}
	j->member = member;
	j->room = room;
	j->role = role;
	room->refs++;
	room->n_mode[member->mode - 1]++;
	list_push_back(&member->joined, &j->in_member);
	list_push_back(&room->joined, &j->in_room);
	presence_touch(member);
	return 0;
}

void feed_room_leave(struct joined **jp)
{
	struct joined *j = *jp;
	struct feed_room *room = j->room;
	struct sio_socket *s = sio_lookup(room->core->sio, j->member->socket);

	*jp = NULL;
	if (j->typing)
		typing_end(j);
	timer_stop(&j->typing_timer);
	if (s && sio_connected(s))
		sio_leave(s, room->name);
	room->n_mode[j->member->mode - 1]--;
	presence_touch(j->member);
	list_remove(&j->in_member);
	list_remove(&j->in_room);
	free(j);
	if (list_empty(&room->joined)) {
		typing_forget(room);
		relay_drop_room(room);
	}
	feed_room_put(&room);
}

enum room_position feed_room_settle(struct feed_room *room, int64_t seq, struct room_waiter *waiter)
{
	if (room->state == ROOM_NEW) {
		room->known = seq;
		room->state = ROOM_LIVE;
		if (room->seen > seq)
			feed_replay(room);
		return ROOM_READY;
	}
	if (room->known == seq)
		return ROOM_READY;
	if (room->known > seq)
		return ROOM_STALE;
	waiter->seq = seq;
	list_push_back(&room->waiters, &waiter->node);
	if (room->seen < seq)
		room->seen = seq;
	feed_replay(room);
	return ROOM_WAIT;
}
