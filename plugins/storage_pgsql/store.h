/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the files of this plugin share. An instance (struct store) has four kinds of connections:
 *
 *   listener  LISTEN only, never in a transaction            listen.c
 *   writes    durable writes, many in one transaction        lane.c
 *   soft      the same, with synchronous_commit off          lane.c
 *   read      reads, pipelined, a transaction each           lane.c
 *
 * The last three are lanes: a queue of requests and the connections (struct link) that serve it.
 * Each write connection has a lane of its own, and writes with the same key are in the same lane, so that
 * their order stays.
 * The way of a request: submit puts it into the queue of its lane; lane_pump takes it from there
 * into a group on a link, as soon as one may take a group; when the group's Sync is answered the
 * request completes, or goes back to the queue.
 *
 * Nothing acts on a connection that breaks from inside a call that uses it: link_break only marks
 * it. Every entry from the loop ends in store_settle(), which takes down what broke, sends what
 * waits, and tells the host what changed. Loop thread.
 */
#ifndef PARLANCE_STORAGE_PGSQL_STORE_H
#define PARLANCE_STORAGE_PGSQL_STORE_H

#include <libpq-fe.h>

#include "parlance/storage.h"

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* The options of the plugin; storage_pgsql.c has their table. */
struct options {
	const char *dsn;
	const char *listen_dsn;
	const char *password_file;
	const char *application_name;
	int64_t connect_timeout_ms;
	int64_t statement_timeout_ms;
	int64_t tcp_user_timeout_ms;
	int64_t reconnect_min_ms;
	int64_t reconnect_max_ms;
	int64_t outage_grace_ms;
	int64_t batch_max;
	int64_t queue_max;
	int64_t read_connections;
	int64_t write_connections;
};

/* The versions of the schema that this plugin can work with. */
#define SCHEMA_VERSION_MIN 6
#define SCHEMA_VERSION_MAX 999

enum {
	READ_CONNECTIONS_MAX = 8,
	WRITE_CONNECTIONS_MAX = 8,
	LINKS_MAX = 2 + READ_CONNECTIONS_MAX + WRITE_CONNECTIONS_MAX,
	/* Beyond statement_timeout_ms, after which a server that says nothing is given up. */
	DEADLINE_SLACK_MS = 2000,
	REASON_MAX = 512,
};

enum lane_class {
	LANE_READ = 1,
	LANE_SOFT,
	LANE_WRITE,
};

/* A function of the list in parlance/storage.h. */
struct function {
	const char *name;
	size_t n_params;
	enum lane_class lane;
	const char *sql; /* NULL: SELECT parlance.NAME(...)::text */
};

/* Notifies a channel, over another connection than the listener's. */
extern const struct function function_probe;

/** The function, or NULL when there is none of that number. */
const struct function *function_get(int number);
/** One past the last function's number. */
int function_end(void);

#define FUNCTION_SQL_MAX 256
/** The statement that calls it; in out, or constant. */
const char *function_sql(const struct function *function, char out[FUNCTION_SQL_MAX]);

struct node {
	struct node *next;
	struct node *prev;
};

enum request_state {
	REQUEST_QUEUED = 1,
	REQUEST_SENT,
	REQUEST_DELAYED, /* waits for due_ms */
};

/* Exists until the operation has completed and its group, if it is in one, has ended. */
struct request {
	struct node node; /* in its lane's queue or delayed list */
	struct lane *lane;
	struct parlance_storage_op *op; /* NULL: completed as cancelled, while in flight */
	const struct parlance_storage_request *in; /* the host's, as long as op is not NULL */
	const struct function *function;
	enum request_state state;
	bool alone;        /* its group failed: it goes in a group of its own */
	unsigned retries;  /* after serialization failures and deadlocks */
	unsigned losses;   /* connections that broke under it */
	uint64_t due_ms;
};

struct lane {
	struct store *store;
	enum lane_class class;
	struct node queue;
	struct node delayed;
	struct parlance_timer *delay_timer;
	struct parlance_timer *grace_timer; /* runs from when the last link went down */
	bool outage; /* the grace is over: requests are refused at once */
	unsigned n_up;
};

enum link_state {
	LINK_WAITING = 1, /* for the next attempt */
	LINK_RESOLVING,
	LINK_CONNECTING,
	LINK_PREPARING,
	LINK_UP,
};

struct group;
struct resolve;

/* A connection, through all its lives. */
struct link {
	struct store *store;
	struct lane *lane; /* NULL: the listener */
	enum link_state state;
	PGconn *pg;
	struct parlance_watch *watch;
	struct parlance_timer *timer; /* next attempt, end of an attempt, or deadline of answers */
	struct resolve *resolve;
	uint64_t deadline_ms; /* an answer must have come until then; 0: none is awaited */
	unsigned failures;    /* in a row */
	unsigned first;       /* the address that the next attempt begins with */
	unsigned step;        /* of the preparation */
	bool pooler;          /* the server is not whom we are connected to */
	bool broken;          /* to be taken down by store_settle */
	char reason[REASON_MAX]; /* why; or what the server said last before it ended */

	/* Of a lane's link: groups in flight, the oldest first. */
	struct group *groups;
	struct group *groups_end;
	unsigned n_groups;
};

struct listener {
	struct link link;
	int64_t listening; /* the instance whose channel we listen to; 0: none */
	bool busy;         /* a command is out */
	uint64_t busy_ms;  /* since when */
	bool heard;        /* a probe came back: the feed can be trusted */
	uint64_t probe_ms; /* since when a probe is out; 0: none is */
	struct parlance_str probe_param;
	struct parlance_storage_request probe; /* what is sent as a probe */
	char probe_channel[32];
	uint64_t ignored;     /* malformed payloads since the last line in the log */
	uint64_t ignored_ms;  /* when that line was written */
};

struct store {
	const struct parlance_host *host;
	const struct parlance_storage_sink *sink;
	const struct options *options;
	const char *password; /* from password_file, the host's; NULL: none */
	struct lane read_lane;
	struct lane soft_lane;
	struct lane write_lanes[WRITE_CONNECTIONS_MAX];
	size_t n_writes;
	struct lane *lanes[2 + WRITE_CONNECTIONS_MAX];
	size_t n_lanes;
	struct link *links[LINKS_MAX];
	size_t n_links;
	struct link soft;
	struct link writes[WRITE_CONNECTIONS_MAX];
	struct link reads[READ_CONNECTIONS_MAX];
	struct listener listener;
	int64_t instance;
	size_t n_waiting; /* requests in queues and delayed lists */

	/* Written to when requests were queued, so that all of a turn are sent together. */
	int wake_fd;
	struct parlance_watch *wake_watch;
	bool woken;

	bool ready; /* as told to the host */
	bool feed;
	bool detail_changed;
	char detail[REASON_MAX]; /* why requests cannot be served */
	char logged[REASON_MAX]; /* the latest failure in the log, and when it was written */
	uint64_t logged_ms;
};

/* storage_pgsql.c */

/** Takes down broken links, sends what can be sent, tells the host what changed. */
void store_settle(struct store *store);
/** Has store_settle called soon. */
void store_wake(struct store *store);
/** Tells the host whether the feed is up, if that changed. */
void store_tell_feed(struct store *store);
void store_log(struct store *store, int level, const char *format, ...) PRINTF_LIKE(3, 4);
/** Logs why a connection is not there, once for all links and attempts. */
void store_log_failure(struct store *store, const struct link *link);
/** 1 to max, at random. */
uint64_t store_jitter(struct store *store, uint64_t max);

static inline uint64_t store_now(const struct store *store)
{
	return store->host->mono_ms(store->host->ctx);
}

/* lane.c */

MUST_USE int lane_init(struct lane *lane, struct store *store, enum lane_class class);
/** Frees what lane_init made. Its queue must be empty. */
void lane_fini(struct lane *lane);
void lane_submit(struct lane *lane, struct parlance_storage_op *op,
		 const struct parlance_storage_request *in, const struct function *function);
/** Submits a request of our own, whose answer nobody wants. in: borrowed for the store's life. */
void lane_submit_own(struct lane *lane, const struct parlance_storage_request *in,
		     const struct function *function);
void lane_cancel(struct request *request);
/** Sends what can be sent. */
void lane_pump(struct lane *lane);
void lane_link_up(struct lane *lane);
/** A link went down, or an attempt failed; was_up says which. */
void lane_link_down(struct lane *lane, bool was_up);
/** Takes the first request from the queue, which is not empty. */
struct request *lane_take(struct lane *lane);
/** Puts a request back to the front of the queue; frees one that was cancelled. */
void lane_requeue(struct lane *lane, struct request *request);
/** The same, after a random wait of up to max_ms. */
void lane_delay(struct lane *lane, struct request *request, uint64_t max_ms);
/** Completes and frees the request. */
void request_complete(struct lane *lane, struct request *request,
		      enum parlance_storage_status status, struct parlance_str json,
		      const char *detail);

/* group.c */

/** True when the link may take requests of this kind now. */
bool group_room(const struct link *link, const struct request *first);
/** Takes requests from the queue's front and sends them. The queue is not empty. */
void group_send(struct link *link);
/** Takes the result of a group's request or Sync (NULL: the end of a request's). Owns it. */
void group_result(struct link *link, PGresult *result);
/** All bytes went out. */
void group_flushed(struct link *link);
/** The connection is gone: each request in flight completes or is put back. */
void groups_lost(struct link *link);
/** Frees the groups of a link that is being destroyed. */
void groups_free(struct link *link);

/* prepare.c */

/** Sends the questions that a lane's new connection must answer. */
void prepare_begin(struct link *link);
/** Takes a result of them (NULL: the end of one). Owns it. */
void prepare_result(struct link *link, PGresult *result);
/** A sentence about what is wrong with the server that we are connected to, in link->reason; or
 * true. */
MUST_USE bool prepare_check_server(struct link *link);

/* link.c */

MUST_USE int link_init(struct link *link, struct store *store, struct lane *lane);
/** Begins to connect. */
void link_start(struct link *link);
void link_fini(struct link *link);
/** Marks the connection as broken; the first reason counts. NULL: what libpq says. */
void link_break(struct link *link, const char *format, ...) PRINTF_LIKE(2, 3);
void link_break_libpq(struct link *link);
/** Takes a broken link down and plans the next attempt. */
void link_take_down(struct link *link);
/** Sends what libpq has buffered. */
void link_flush(struct link *link);
/** The connection is prepared. */
void link_set_up(struct link *link);
/** An answer is awaited from now on, within the deadline. */
void link_await(struct link *link);
/** "write", "soft", "read", "listen". */
const char *link_name(const struct link *link);
/** Resolving has ended; the link goes on with the addresses, or with an error. */
void link_resolved(struct link *link, struct resolve *resolve);

/* listen.c */

MUST_USE int listener_init(struct listener *listener, struct store *store);
void listener_begin(struct listener *listener);
void listener_result(struct listener *listener, PGresult *result);
/** Delivers the notifications that libpq has, and sends the next command if there is one. */
void listener_go_on(struct listener *listener);
/** The timer of an established listener. */
void listener_tick(struct listener *listener);
void listener_down(struct listener *listener);

static inline struct listener *listener_of(struct link *link)
{
	return (struct listener *)(void *)((char *)link - offsetof(struct listener, link));
}

/* text.c */

/** The text without line breaks, cut to what fits. */
void text_line(char *out, size_t out_size, const char *text);

#endif
