/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Users and their sockets: the maps of the seed (userSockets, socketUsers) and its six functions.
 * The questions are answered for this instance; broadcasts reach all.
 */
#include "core/private.h"
#include "base/err.h"
#include "wire/json_scan.h"
#include "wire/sio_packet.h"

struct slice user_id(const struct user *u)
{
	size_t prefix = strlen(USER_PREFIX);

	return slice_of(u->room_name.p + prefix, u->room_name.len - prefix);
}

struct member *member_of(const struct sio_socket *socket)
{
	return sio_user(socket);
}

struct member *member_find(struct core *core, struct slice sid)
{
	return map_get(core->members, sid.p, sid.len);
}

struct user *user_find(struct core *core, struct slice id)
{
	return map_get(core->users, id.p, id.len);
}

static void user_free(struct user **up)
{
	struct user *u = *up;
	struct list *node;

	*up = NULL;
	while ((node = list_pop_front(&u->requests)))
		CONTAINER_OF(node, struct request, in_user)->user = NULL;
	free(u->text);
	free(u);
}

static struct user *user_new(struct core *core, struct slice id)
{
	size_t prefix = strlen(USER_PREFIX);
	struct user *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	list_init(&u->members);
	list_init(&u->requests);
	u->text = malloc(prefix + id.len + 1);
	if (u->text) {
		memcpy(u->text, USER_PREFIX, prefix);
		memcpy(u->text + prefix, id.p, id.len);
		u->text[prefix + id.len] = '\0';
		u->room_name = slice_of(u->text, prefix + id.len);
		if (map_put(core->users, u) == 0)
			return u;
	}
	user_free(&u);
	return NULL;
}

int user_add(struct core *core, struct slice id, struct member *member)
{
	struct user *u = user_find(core, id);
	int rc;

	if (!u)
		u = user_new(core, id);
	if (!u)
		return PARLANCE_ENOMEM;
	rc = map_put(core->members, member);
	if (rc) {
		if (!u->n_members) {
			map_del(core->users, id.p, id.len);
			user_free(&u);
		}
		return rc;
	}
	member->user = u;
	list_push_back(&u->members, &member->in_user);
	if (u->n_members++ == 0)
		presence_changed(core, u);
	presence_touch(member);
	return 0;
}

static void user_remove(struct core *core, struct member *m)
{
	struct user *u = m->user;
	struct slice id = user_id(u);

	m->user = NULL;
	list_remove(&m->in_user);
	map_del(core->members, m->sid.p, m->sid.len);
	if (--u->n_members)
		return;
	presence_changed(core, u);
	map_del(core->users, id.p, id.len);
	if (u->room) {
		u->room->user = NULL;
		feed_room_put(&u->room);
	}
	user_free(&u);
}

void member_free(struct member **mp)
{
	struct member *m = *mp;

	*mp = NULL;
	timer_stop(&m->drain_timer);
	timer_stop(&m->token_timer);
	token_fini(&m->token);
	presence_gone(m);
	while (!list_empty(&m->joined)) {
		struct joined *j = CONTAINER_OF(m->joined.next, struct joined, in_member);

		feed_room_leave(&j);
	}
	list_remove(&m->in_dirty); /* leaving made it dirty again */
	if (m->user)
		user_remove(m->core, m);
	free(m);
}

struct joined *member_joined(const struct member *m, const struct feed_room *room)
{
	for (struct list *node = m->joined.next; room && node != &m->joined; node = node->next) {
		struct joined *j = CONTAINER_OF(node, struct joined, in_member);

		if (j->room == room)
			return j;
	}
	return NULL;
}

/* The seed's six functions */

static void user_sockets(void *ctx, struct slice id, void (*each)(void *arg, struct slice socket),
			 void *arg)
{
	struct user *u = user_find(ctx, id);

	for (struct list *node = u ? u->members.next : NULL; u && node != &u->members;
	     node = node->next)
		each(arg, CONTAINER_OF(node, struct member, in_user)->sid);
}

static struct slice socket_user(void *ctx, struct slice socket)
{
	struct member *m = member_find(ctx, socket);

	return m ? user_id(m->user) : slice_of(NULL, 0);
}

static void on_broadcast(void *arg, const struct storage_answer *answer)
{
	struct core *core = arg;

	arena_reset(&core->scratch);
	(void)storage_code(answer, "broadcast");
}

/* By the event log, so that it reaches the sockets of all instances, and those that are away. */
static int broadcast(struct core *core, struct slice user, struct slice conversation,
		     struct slice event, struct slice json)
{
	struct slice params[4] = { user, conversation, event, json };

	if (!event.len || sio_name_reserved(event) || json_scan_value(json) != 0)
		return PARLANCE_EINVAL;
	return storage_call(core->plugins, PARLANCE_BROADCAST, STORAGE_NO_KEY, params, 4,
			    core->config->storage_timeout_ms, on_broadcast, core);
}

static int broadcast_user(void *ctx, struct slice user, struct slice event, struct slice json)
{
	return broadcast(ctx, user, slice_of(NULL, 0), event, json);
}

static int broadcast_conversation(void *ctx, struct slice conversation, struct slice event,
				  struct slice json)
{
	if (!id_is_uuid(conversation.p, conversation.len))
		return PARLANCE_EINVAL;
	return broadcast(ctx, slice_of(NULL, 0), conversation, event, json);
}

/* Each user once: at the first of his sockets that is in the room. */
static bool is_first(const struct joined *j)
{
	struct user *u = j->member->user;

	for (struct list *node = u->members.next; node != &u->members; node = node->next) {
		struct member *m = CONTAINER_OF(node, struct member, in_user);

		if (m == j->member)
			return true;
		if (member_joined(m, j->room))
			return false;
	}
	return true;
}

static void conversation_users(void *ctx, struct slice conversation,
			       void (*each)(void *arg, struct slice user), void *arg)
{
	struct feed_room *room = feed_room_find(ctx, conversation);

	for (struct list *node = room ? room->joined.next : NULL; room && node != &room->joined;
	     node = node->next) {
		struct joined *j = CONTAINER_OF(node, struct joined, in_room);

		if (is_first(j))
			each(arg, user_id(j->member->user));
	}
}

static bool user_online(void *ctx, struct slice user)
{
	return user_find(ctx, user) != NULL;
}

const struct plugins_chat users_chat = {
	.user_sockets = user_sockets,
	.socket_user = socket_user,
	.broadcast_user = broadcast_user,
	.broadcast_conversation = broadcast_conversation,
	.conversation_users = conversation_users,
	.user_online = user_online,
};
