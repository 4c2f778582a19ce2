/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Rooms: a map from name to an array of members. A membership knows its place on both sides, so
 * joining and leaving cost the same whatever the sizes.
 */
#include "sio/private.h"
#include "base/err.h"

struct slice room_key(const void *item)
{
	const struct room *r = item;

	return slice_of(r->name, r->name_len);
}

struct room *room_find(const struct sio_nsp *nsp, struct slice name)
{
	return map_get(nsp->rooms, name.p, name.len);
}

static bool grow(void **array, uint32_t *cap, size_t item)
{
	uint32_t n = *cap ? *cap * 2 : 2;
	size_t bytes;
	void *grown;

	if (n <= *cap || !size_mul(n, item, &bytes))
		return false;
	grown = realloc(*array, bytes);
	if (!grown)
		return false;
	*array = grown;
	*cap = n;
	return true;
}

static struct room *room_make(struct sio_nsp *nsp, struct slice name)
{
	struct room *r = calloc(1, sizeof(*r) + name.len);

	if (!r)
		return NULL;
	r->name_len = (uint32_t)name.len;
	if (name.len)
		memcpy(r->name, name.p, name.len);
	if (map_put(nsp->rooms, r)) {
		free(r);
		return NULL;
	}
	nsp->sio->n_rooms++;
	return r;
}

static void room_drop_if_empty(struct sio_nsp *nsp, struct room *r)
{
	if (r->n)
		return;
	CHECK(map_del(nsp->rooms, r->name, r->name_len) == r);
	nsp->sio->n_rooms--;
	free(r->members);
	free(r);
}

static struct membership *find(const struct sio_socket *s, const struct room *r)
{
	for (uint32_t i = 0; i < s->n_rooms; i++)
		if (s->rooms[i].room == r)
			return &s->rooms[i];
	return NULL;
}

int sio_join(struct sio_socket *s, struct slice name)
{
	struct room *r;
	void *array;

	if (s->state != SIO_CONNECTED)
		return PARLANCE_ECLOSED;
	if (name.len > UINT16_MAX)
		return PARLANCE_ELIMIT;
	r = room_find(s->nsp, name);
	if (r && find(s, r))
		return 0;
	if (s->n_rooms >= s->nsp->sio->config->max_rooms)
		return PARLANCE_ELIMIT;
	if (!r)
		r = room_make(s->nsp, name);
	if (!r)
		return PARLANCE_ENOMEM;
	array = s->rooms;
	if (s->n_rooms == s->cap_rooms && !grow(&array, &s->cap_rooms, sizeof(*s->rooms)))
		goto no_memory;
	s->rooms = array;
	array = r->members;
	if (r->n == r->cap && !grow(&array, &r->cap, sizeof(*r->members)))
		goto no_memory;
	r->members = array;
	r->members[r->n] = (struct room_member){ .socket = s, .at = s->n_rooms };
	s->rooms[s->n_rooms++] = (struct membership){ .room = r, .at = r->n++ };
	return 0;

no_memory:
	room_drop_if_empty(s->nsp, r);
	return PARLANCE_ENOMEM;
}

/* Takes out a membership; the last ones of both arrays move into its places. */
static void leave(struct sio_socket *s, struct membership *m)
{
	struct room *r = m->room;
	uint32_t at_room = m->at;
	uint32_t at_socket = (uint32_t)(m - s->rooms);

	CHECK(r->members[at_room].socket == s);
	r->members[at_room] = r->members[--r->n];
	if (at_room < r->n)
		r->members[at_room].socket->rooms[r->members[at_room].at].at = at_room;
	s->rooms[at_socket] = s->rooms[--s->n_rooms];
	if (at_socket < s->n_rooms)
		s->rooms[at_socket].room->members[s->rooms[at_socket].at].at = at_socket;
	room_drop_if_empty(s->nsp, r);
}

void sio_leave(struct sio_socket *s, struct slice name)
{
	struct room *r = room_find(s->nsp, name);
	struct membership *m = r ? find(s, r) : NULL;

	if (m)
		leave(s, m);
}

void rooms_leave_all(struct sio_socket *s)
{
	while (s->n_rooms)
		leave(s, &s->rooms[s->n_rooms - 1]);
	free(s->rooms);
	s->rooms = NULL;
	s->cap_rooms = 0;
}

void sio_room_clear(struct sio_nsp *nsp, struct slice name)
{
	struct room *r = room_find(nsp, name);

	for (uint32_t n = r ? r->n : 0; n; n--) {
		struct room_member last = r->members[n - 1];

		leave(last.socket,
		      &last.socket->rooms[last.at]); /* with the last one the room goes too */
	}
}

bool sio_in_room(const struct sio_socket *s, struct slice name)
{
	struct room *r = room_find(s->nsp, name);

	return r && find(s, r);
}

struct slice sio_room_of(const struct sio_socket *s, size_t i)
{
	return i < s->n_rooms ? room_key(s->rooms[i].room) : slice_of(NULL, 0);
}

size_t sio_room_size(const struct sio_nsp *nsp, struct slice name)
{
	struct room *r = room_find(nsp, name);

	return r ? r->n : 0;
}

struct sio_socket *sio_room_member(const struct sio_nsp *nsp, struct slice name, size_t i)
{
	struct room *r = room_find(nsp, name);

	return r && i < r->n ? r->members[i].socket : NULL;
}
