/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The functions about the chat: passed on to what plugins_set_chat has set. Without it nobody is
 * online.
 */
#include "plugin/host.h"

/* The caller's function, behind one that takes our type. */
struct each {
	void (*fn)(void *arg, struct parlance_str item);
	void *arg;
};

static void on_each(void *arg, struct slice item)
{
	const struct each *each = arg;

	each->fn(each->arg, to_str(item));
}

static void host_user_sockets(void *ctx, struct parlance_str user,
			      void (*fn)(void *arg, struct parlance_str socket), void *arg)
{
	const struct plugins *set = ((const struct instance *)ctx)->set;
	struct each each = { fn, arg };

	if (set->chat)
		set->chat->user_sockets(set->chat_ctx, to_slice(user), on_each, &each);
}

static struct parlance_str host_socket_user(void *ctx, struct parlance_str socket)
{
	const struct plugins *set = ((const struct instance *)ctx)->set;
	struct parlance_str nobody = { NULL, 0 };

	return set->chat ? to_str(set->chat->socket_user(set->chat_ctx, to_slice(socket))) : nobody;
}

static int host_broadcast_user(void *ctx, struct parlance_str user, struct parlance_str event,
			       struct parlance_str json)
{
	const struct plugins *set = ((const struct instance *)ctx)->set;

	if (!set->chat)
		return -1;
	return set->chat->broadcast_user(set->chat_ctx, to_slice(user), to_slice(event),
					 to_slice(json)) ?
		       -1 :
		       0;
}

static int host_broadcast_conversation(void *ctx, struct parlance_str conversation,
				       struct parlance_str event, struct parlance_str json)
{
	const struct plugins *set = ((const struct instance *)ctx)->set;

	if (!set->chat)
		return -1;
	return set->chat->broadcast_conversation(set->chat_ctx, to_slice(conversation),
						 to_slice(event), to_slice(json)) ?
		       -1 :
		       0;
}

static void host_conversation_users(void *ctx, struct parlance_str conversation,
				    void (*fn)(void *arg, struct parlance_str user), void *arg)
{
	const struct plugins *set = ((const struct instance *)ctx)->set;
	struct each each = { fn, arg };

	if (set->chat)
		set->chat->conversation_users(set->chat_ctx, to_slice(conversation), on_each,
					      &each);
}

static bool host_user_online(void *ctx, struct parlance_str user)
{
	const struct plugins *set = ((const struct instance *)ctx)->set;

	return set->chat && set->chat->user_online(set->chat_ctx, to_slice(user));
}

void host_chat_init(struct parlance_host *host)
{
	host->user_sockets = host_user_sockets;
	host->socket_user = host_socket_user;
	host->broadcast_user = host_broadcast_user;
	host->broadcast_conversation = host_broadcast_conversation;
	host->conversation_users = host_conversation_users;
	host->user_online = host_user_online;
}
