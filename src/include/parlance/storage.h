/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Storage plugins keep conversations and messages, and tell what changed. plugin.h has the contract
 * (R1 to R5).
 *
 * A request is a function of the list below with its parameters, all text (p NULL: SQL's NULL), and
 * its answer is one JSON object. sql/README.md describes each function, its parameters and its
 * answer; what a client may see of an answer has the form that the client gets, so the host passes
 * it on as it is. Expected refusals (not found, conflict, busy) are answers as well:
 * {"ok":false,"code":…}.
 */
#ifndef PARLANCE_STORAGE_H
#define PARLANCE_STORAGE_H

#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * X(constant, name of the function, number of parameters, class). The list grows at the end.
 * Classes: READ changes nothing. WRITE is durable when it is answered. SOFT is written soon, and
 * may be lost in a crash of the database.
 */
#define PARLANCE_STORAGE_LIST(X)                                       \
	X(PARLANCE_SESSION_OPEN, session_open, 11, READ)               \
	X(PARLANCE_CONVERSATION_JOIN, conversation_join, 3, READ)      \
	X(PARLANCE_CONVERSATION_ACCESS, conversation_access, 2, READ)  \
	X(PARLANCE_CONVERSATION_LIST, conversation_list, 4, READ)      \
	X(PARLANCE_CONVERSATION_CREATE, conversation_create, 7, WRITE) \
	X(PARLANCE_CONVERSATION_UPDATE, conversation_update, 10, WRITE) \
	X(PARLANCE_CONVERSATION_DELETE, conversation_delete, 3, WRITE) \
	X(PARLANCE_CONVERSATION_SHARE, conversation_share, 5, WRITE)   \
	X(PARLANCE_CONVERSATION_UNSHARE, conversation_unshare, 4, WRITE) \
	X(PARLANCE_CONVERSATION_VIEW, conversation_view, 4, WRITE)     \
	X(PARLANCE_MESSAGE_LIST, message_list, 5, READ)                \
	X(PARLANCE_MESSAGE_SEND, message_send, 15, WRITE)              \
	X(PARLANCE_MESSAGE_STOP, message_stop, 4, WRITE)               \
	X(PARLANCE_GENERATION_BEGIN, generation_begin, 3, WRITE)       \
	X(PARLANCE_GENERATION_FINISH, generation_finish, 8, WRITE)     \
	X(PARLANCE_GENERATION_PARTS, generation_parts, 4, SOFT)        \
	X(PARLANCE_FEED_HEADS, feed_heads, 2, READ)                    \
	X(PARLANCE_FEED_REPLAY, feed_replay, 3, READ)                  \
	X(PARLANCE_INSTANCE_REGISTER, instance_register, 3, WRITE)     \
	X(PARLANCE_INSTANCE_BEAT, instance_beat, 2, SOFT)              \
	X(PARLANCE_INSTANCE_RETIRE, instance_retire, 1, WRITE)         \
	X(PARLANCE_INSTANCE_REAP, instance_reap, 0, WRITE)             \
	X(PARLANCE_MAINTAIN, maintain, 0, WRITE)                       \
	X(PARLANCE_INSTANCE_SEND, instance_send, 2, SOFT)              \
	X(PARLANCE_PRESENCE_SYNC, presence_sync, 6, SOFT)              \
	X(PARLANCE_PRESENCE_ONLINE, presence_online, 1, READ)          \
	X(PARLANCE_PRESENCE_GET, presence_get, 3, READ)                \
	X(PARLANCE_BROADCAST, broadcast, 4, WRITE)                     \
	X(PARLANCE_TOKEN_CHECK, token_check, 4, READ)                  \
	X(PARLANCE_REVOCATIONS, revocations, 1, READ)

enum parlance_storage_function {
	PARLANCE_STORAGE_NONE = 0,
#define X(constant, name, n_params, class) constant,
	PARLANCE_STORAGE_LIST(X)
#undef X
};

#define PARLANCE_STORAGE_PARAMS_MAX 15

/* One request. The plugin may keep a pointer of its own in it. */
struct parlance_storage_op {
	void *plugin;
};

/* Borrowed until the operation completes. */
struct parlance_storage_request {
	uint32_t size;
	int function; /* enum parlance_storage_function */
	const struct parlance_str *params; /* each terminated */
	size_t n_params;
	/* The id of the conversation that it is about; p NULL: of none in particular. Writes with the
	 * same key keep their order (but one that met a conflict in the database is repeated later);
	 * those with different keys may be done side by side. */
	struct parlance_str key;
};

enum parlance_storage_status {
	PARLANCE_STORAGE_OK = 1,
	/* Not done, and nothing has changed; it may be asked again. */
	PARLANCE_STORAGE_UNAVAILABLE,
	/* The connection broke before the answer: done or not. */
	PARLANCE_STORAGE_UNKNOWN,
	PARLANCE_STORAGE_CANCELED, /* done or not */
	PARLANCE_STORAGE_FAILED,   /* refused by the database, not done; detail says why */
};

/* A change that was committed, as it comes from the database's event log. Borrowed for the call. */
struct parlance_storage_event {
	uint32_t size;
	struct parlance_str room; /* a conversation's id, or that of a user's room */
	int64_t seq;              /* of the room, from 1, without holes */
	struct parlance_str type; /* "message.new", … */
	/* The whole event as JSON, in the form of feed_replay's; empty: too long for the way it
	 * came, read it with feed_replay. */
	struct parlance_str json;
};

struct parlance_storage_ops {
	uint32_t size;
	void (*submit)(void *self, struct parlance_storage_op *op,
		       const struct parlance_storage_request *request);
	/** The answer is no longer wanted: complete op soon. */
	void (*cancel)(void *self, struct parlance_storage_op *op);
	/** This process's number in the database (instance_register): listen to what is addressed
	 * to it. 0: to no number any more. What is addressed to all instances always counts. */
	void (*set_instance)(void *self, int64_t instance);
};

/* parlance_host.sink of a storage plugin. All but complete are about the instance of the plugin,
 * which host_ctx (parlance_host.ctx) names. */
struct parlance_storage_sink {
	uint32_t size;
	/** Ends the operation. json: the answer, with PARLANCE_STORAGE_OK alone. detail: terminated
	 * text for the log, or NULL. */
	void (*complete)(struct parlance_storage_op *op, enum parlance_storage_status status,
			 struct parlance_str json, const char *detail);
	/** The feed: events of all rooms, as they come; they may be lost, out of order, or forged
	 * by whoever may write to the channel. */
	void (*event)(void *host_ctx, const struct parlance_storage_event *event);
	/** The feed is up (again; from now on events come, and those before may have been missed),
	 * or down. It begins down. */
	void (*feed)(void *host_ctx, bool up);
	/** Requests can be served (again), or not. It begins with not. */
	void (*ready)(void *host_ctx, bool ready, const char *detail);
	/** Somebody wrote to this instance's address, or to that of all instances (instance_send,
	 * the storage itself). It may be lost, and forged. */
	void (*message)(void *host_ctx, struct parlance_str payload);
};

#ifdef __cplusplus
}
#endif
#endif
