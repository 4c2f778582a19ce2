/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * core: the chat. It decides who may do what, has the storage keep it, has providers answer, and
 * tells every tab. It is one instance of as many as there are on the same storage, which is all that
 * joins them: its log of events orders what tabs hear, and carries what instances say to each other.
 * It stands on Socket.IO (sio/sio.h) and on the plugins (plugin/...), and knows nothing of sockets,
 * SQL or HTTP. Loop thread.
 */
#ifndef PARLANCE_CORE_CORE_H
#define PARLANCE_CORE_CORE_H

#include "plugin/plugins.h"
#include "sio/sio.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which names of the events that have two a socket hears; bits. */
enum core_aliases {
	CORE_ALIASES_SEED = 1, /* conversation:create, typing:start */
	CORE_ALIASES_PAST = 2, /* conversation:created, user:typing:start */
	CORE_ALIASES_BOTH = 3,
};

/* [chat]; conf/options.c says what each is. */
struct core_config {
	int aliases; /* enum core_aliases, for those who do not choose */
	bool query_token;
	uint32_t auth_timeout_ms;
	uint32_t token_notice_s;
	uint32_t token_grace_s;
	uint32_t storage_timeout_ms;
	uint32_t history_messages;
	uint32_t max_content_bytes;
	uint32_t max_title_bytes;
	uint32_t max_metadata_bytes;
	uint32_t max_json_depth;
	uint32_t queue_depth;
	uint32_t events_per_second; /* these: 0, no limit */
	uint32_t user_events_per_second;
	uint32_t user_bytes_per_second;
	uint32_t max_sockets_per_user;
	uint32_t max_answers_per_user;
	uint32_t max_answers;
	uint32_t chunk_interval_ms;
	uint32_t full_bytes_per_s;
	uint32_t max_answer_bytes;
	uint32_t answer_timeout_ms;
	uint32_t flush_interval_ms;
	uint32_t flush_bytes;
	uint32_t typing_timeout_ms;
	uint32_t typing_repeat_ms;
	uint32_t lease_beat_ms;
	uint32_t heads_interval_ms;
	uint32_t relay_interval_ms;
	uint32_t recovery_window_s;
	uint32_t recovery_max_events;
	uint32_t drain_timeout_ms;
	uint32_t drain_spread_ms;
	uint32_t shutdown_timeout_ms;
	const char *advertise; /* where other instances reach our listener; empty: nowhere */
};

struct core;

/* Another instance that has told where it can be reached. */
struct core_peer {
	uint64_t number;
	const char *address;
};

/* What the chat learns of its cluster, for those who carry requests between instances. All is
 * borrowed for the call. */
struct core_cluster_ops {
	/** This process is this instance now; all instances share the secret. */
	void (*registered)(void *arg, uint64_t number, struct slice secret);
	void (*peers)(void *arg, const struct core_peer *peers, size_t n);
	/** Whether it can serve, as of now. why_not: a sentence, NULL when it can. */
	void (*ready)(void *arg, const char *why_not);
};

/** Makes the chat and opens the namespace "/". Before plugins_create: it becomes the storage's
 * listener and what plugins see of the chat. config, sio and plugins are borrowed for its life. 0
 * or PARLANCE_ENOMEM. */
MUST_USE int core_new(struct core **out, struct loop *loop, struct sio *sio,
		      struct plugins *plugins, const struct core_config *config);

/** Sets who hears of the cluster; before plugins_create. */
void core_set_cluster(struct core *core, const struct core_cluster_ops *ops, void *arg);

/** No new sockets from now on: those that there are are told to connect elsewhere and let go, one
 * after the other within config->drain_spread_ms; answers come to their end, those that wait too.
 * done(arg) is called when there are neither sockets nor answers any more, or after
 * config->drain_timeout_ms; core_stop follows. */
void core_drain(struct core *core, void (*done)(void *arg), void *arg);

/** Ends the running answers, as interrupted, and has them and the instance's end written down;
 * done(arg) is called when that is so, or after config->shutdown_timeout_ms. */
void core_stop(struct core *core, void (*done)(void *arg), void *arg);

/** Frees it and clears the pointer. After net (so that no socket is left) and after
 * plugins_destroy (so that nobody calls it any more). Harmless on NULL. */
void core_free(struct core **core);

/* What was refused because there was too much of it; `limited` of core_stats. */
enum core_limit {
	CORE_LIMIT_SOCKET_EVENTS,
	CORE_LIMIT_USER_EVENTS,
	CORE_LIMIT_USER_BYTES,
	CORE_LIMIT_USER_REQUESTS, /* under way */
	CORE_LIMIT_USER_SOCKETS,
	CORE_LIMIT_USER_ANSWERS,
	CORE_LIMIT_ANSWERS,
	CORE_LIMIT_ROOMS,
	CORE_LIMIT_CONTENT_BYTES,
	CORE_LIMIT_TITLE_BYTES,
	CORE_LIMIT_METADATA_BYTES,
	CORE_LIMIT_JSON_DEPTH,
	CORE_LIMITS
};

struct core_stats {
	uint32_t users;       /* that are online */
	uint32_t sockets;
	uint32_t rooms;       /* that the feed follows */
	uint32_t generations; /* running or waiting */
	uint64_t events;      /* of the feed, delivered */
	uint64_t replays;     /* of rooms whose feed had a gap */
	uint64_t limited[CORE_LIMITS];
};

void core_stats(const struct core *core, struct core_stats *out);

/** The events that clients may send, in alphabetical order; NULL at the end. For the check against
 * the published contract. */
const char *core_event_name(size_t i);

#ifdef __cplusplus
}
#endif
#endif
