/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the files of core share. The core owns all objects here: users and their members (sockets of
 * theirs), rooms that the feed follows, generations. Requests under way hold ids, not pointers.
 */
#ifndef PARLANCE_CORE_PRIVATE_H
#define PARLANCE_CORE_PRIVATE_H

#include "base/arena.h"
#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "core/core.h"
#include "plugin/auth.h"
#include "plugin/provider.h"
#include "plugin/storage.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Codes of errors: name, what a person reads, whether trying again may help. */
#define CORE_CODE_LIST(X)                                                                    \
	X(CODE_BAD_REQUEST, "BAD_REQUEST", "The request is malformed", false)                \
	X(CODE_UNAUTHENTICATED, "UNAUTHENTICATED", "Authentication is required", false)      \
	X(CODE_TOKEN_EXPIRED, "TOKEN_EXPIRED", "The token has expired", false)               \
	X(CODE_FORBIDDEN, "FORBIDDEN", "Not allowed", false)                                 \
	X(CODE_NOT_FOUND, "NOT_FOUND", "Not found", false)                                   \
	X(CODE_CONFLICT, "CONFLICT", "It has changed meanwhile", false)                      \
	X(CODE_BUSY, "BUSY", "An answer is being generated", true)                           \
	X(CODE_RATE_LIMITED, "RATE_LIMITED", "Too many requests", true)                      \
	X(CODE_QUOTA_EXCEEDED, "QUOTA_EXCEEDED", "The quota is used up", false)              \
	X(CODE_TOO_LARGE, "TOO_LARGE", "Too large", false)                                   \
	X(CODE_PROVIDER_ERROR, "PROVIDER_ERROR", "The AI service failed", true)              \
	X(CODE_PROVIDER_TIMEOUT, "PROVIDER_TIMEOUT", "The AI service took too long", true)   \
	X(CODE_INTERRUPTED, "INTERRUPTED", "The answer was interrupted", true)               \
	X(CODE_UNAVAILABLE, "UNAVAILABLE", "The service is not available at the moment", true) \
	X(CODE_UNKNOWN_EVENT, "UNKNOWN_EVENT", "There is no such event", false)              \
	X(CODE_INTERNAL, "INTERNAL", "Internal error", false)

enum core_code {
	CODE_NONE = 0,
#define X(constant, name, text, retryable) constant,
	CORE_CODE_LIST(X)
#undef X
};

const char *code_name(enum core_code code);
const char *code_text(enum core_code code);
bool code_retryable(enum core_code code);
/** The code with this name; INTERNAL for others. */
enum core_code code_parse(struct slice name);

enum stream_mode {
	STREAM_FULL = 1,
	STREAM_DELTA,
};
#define STREAM_MODES 2

/* sio's names of rooms, as in the seed. */
#define USER_PREFIX "user:"
#define CONVERSATION_PREFIX "conversation:"

#define USER_MAX 255 /* bytes of a user's id */
#define EPOCH_MAX 16
#define ROOM_TAG_LEN 22 /* a UUID in base64 */

#define RETRY_AFTER_MS 1000 /* what clients are told while the storage is away */

/* What one user may have under way: the storage serves all in one queue. */
#define USER_REQUESTS_MAX 256
#define USER_REQUEST_BYTES_MAX ((size_t)4 << 20) /* of arguments; a single one may be larger */

/* The latest event that was told of a room which nobody here followed. feed.c */
struct feed_told {
	uint64_t hash; /* of the room's id */
	int64_t seq;
};

struct core {
	struct loop *loop;
	struct sio *sio;
	struct sio_nsp *nsp;
	struct plugins *plugins;
	const struct core_config *config;
	struct arena scratch; /* of the callback at hand */
	struct strbuf json;   /* likewise */

	struct map *users;       /* struct user by id */
	struct map *members;     /* struct member by socket.id */
	struct map *rooms;       /* struct feed_room by id */
	struct map *generations; /* struct generation by the assistant's message */
	struct map *relays;      /* struct relay likewise */
	uint64_t next_uid;       /* names rooms for those who wait for the storage */

	bool feed_up;
	struct feed_told told_of[4096];
	struct timer heads_timer;
	struct timer replay_timer; /* rooms whose replay failed */
	struct timer parts_timer;
	bool parts_under_way;
	struct list unflushed; /* generations with text that is not stored */

	struct list relayed; /* generations that others watch */
	struct timer relay_timer;
	uint64_t relayed_ms; /* of the last tick */

	struct list outbox; /* cluster.c: what waits to be sent to other instances */
	size_t outbox_bytes;
	bool outbox_under_way;
	struct loop_task outbox_task;
	size_t n_others; /* instances beside this one, as of the last beat */

	struct list presence_dirty; /* members whose presence is to be written */
	struct strbuf presence_gone; /* sockets that are gone, as elements of an array of SQL */
	struct strbuf presence_changed; /* users who came or left, likewise */
	bool presence_under_way;
	struct timer presence_timer;
	struct map *watched; /* struct watched by the user's id: somebody here wants to hear of him */
	bool watched_under_way;

	char epoch[EPOCH_MAX + 1]; /* of the database; empty: not known yet */

	int64_t instance; /* this process's number in the database; 0: not registered */
	bool registering;
	bool was_registered; /* once, at least */
	bool reaping;
	int64_t beating;           /* the number whose beat is under way; 0: none */
	bool beat_again;           /* another one is wanted behind it */
	uint64_t beating_since_ms; /* since when all beats were answered; 0: the last one was not */
	uint64_t beaten_ms;        /* when the last one was */
	struct timer beat_timer;
	struct timer reap_timer;
	struct timer maintain_timer;

	/* tokens.c */
	uint64_t n_revocations;  /* how often some were heard of */
	char revoked_after[24];  /* what to ask with the next time; empty: not asked yet */
	bool asking_revocations;
	bool ask_revocations_again;

	struct core_cluster_ops cluster;
	void *cluster_arg;

	bool draining;              /* no new sessions; answers may come to their end */
	void (*stopped)(void *arg); /* not NULL: stopping */
	void *stopped_arg;
	void (*drained)(void *arg); /* the caller's, while draining */
	void *drained_arg;
	struct timer stop_timer;
	struct loop_task stop_task;
	bool retiring;
	bool told; /* stopped was called */

	struct map *askers; /* ratelimit.c: users with answers here */
	uint64_t limited[CORE_LIMITS];
	uint64_t n_events;
	uint64_t n_replays;
};

/* A token bucket; all zero: full. */
struct bucket {
	double tokens;
	uint64_t refilled_ms;
};

/* A user with at least one socket. */
struct user {
	char *text;             /* owns room_name */
	struct slice room_name; /* "user:ID", and behind its prefix the id */
	struct list members;
	size_t n_members;
	struct feed_room *room;
	struct list requests; /* under way */
	size_t n_requests;
	size_t request_bytes;
	struct bucket events;
	struct bucket event_bytes;
};

#define TOKEN_MAX 16384
#define TOKEN_ISSUED_MAX 24

/* What is known of the token that a socket showed. */
struct token {
	int64_t expires_ms; /* wall clock; 0: never */
	int64_t issued_ms;  /* 0: unknown */
	char *id;           /* may be NULL, as may be the next */
	char *session;
};

/* A socket of a user; it lives as long as sio's socket. */
struct member {
	struct core *core;
	uint64_t socket; /* sio's number */
	struct slice sid;
	struct user *user; /* NULL until admitted */
	struct list in_user;
	struct list joined; /* struct joined */
	enum stream_mode mode;
	int aliases; /* enum core_aliases */
	struct token token;
	bool token_warned; /* auth:expiring was sent */
	struct timer token_timer;
	struct bucket events;
	struct bucket refused; /* events that were refused for their number */
	struct recovery *recovery; /* while it is told what it missed */
	struct list in_dirty;      /* core->presence_dirty */
	struct list watching;      /* struct watching */
	size_t n_watching;
	struct timer drain_timer;
};

enum conversation_role {
	ROLE_NONE = 0, /* only while roles are looked up */
	ROLE_OWNER = 1,
	ROLE_EDITOR,
	ROLE_VIEWER,
};

/* A member in a conversation's room. */
struct joined {
	struct member *member;
	struct feed_room *room;
	struct list in_member;
	struct list in_room;
	enum conversation_role role;
	bool lagging; /* chunks were left out; it gets a snapshot when its queue has drained */
	bool typing;
	uint64_t typing_sent_ms; /* when others last heard of it */
	struct timer typing_timer;
};

enum room_state {
	ROOM_NEW = 1, /* its position is being read */
	ROOM_LIVE,
	ROOM_REPLAY, /* events are being read from the log */
};

/* A room of the feed with its position: a conversation's or a user's. */
struct feed_room {
	struct core *core;
	char id[ID_UUID_LEN + 1];
	uint64_t uid;
	struct slice name; /* sio's: "conversation:ID" or "user:ID" */
	bool of_user;
	struct user *user; /* whose room it is, once he has a socket */
	enum room_state state;
	bool replaying; /* a request is under way */
	int64_t known;  /* seq of the last event that was delivered */
	int64_t seen;   /* the highest seq that was heard of */
	unsigned part;  /* messages that the event after known has made so far, while it is delivered */
	char tag[ROOM_TAG_LEN + 1]; /* its id in offsets */
	int64_t roles_seq; /* seq of the last event that changed who takes part */
	size_t refs;    /* sockets, generations, requests under way */
	struct list joined;
	uint32_t n_mode[STREAM_MODES]; /* sockets in it by what they get of an answer */
	struct list waiters;
	struct list generations;
	struct list streams; /* struct stream: answers that its sockets watch */
	struct list typists; /* struct typist: sockets of other instances */
	struct list tails;   /* struct room_tail */
	struct list behind;  /* users' rooms that wait until this one is live */
	/* Of a user's room: */
	struct feed_room *ahead; /* the one that it waits for, a reference; or NULL */
	struct list in_behind;
	int64_t released; /* up to here it need not wait any more */
};

/* Keeps the events that a room delivers from now on. Lives in its owner, zeroed. */
struct room_tail {
	struct list node;
	struct strbuf events; /* JSON, comma separated */
};

/* Somebody who waits for a room to come to a position. Lives in its owner, zeroed. */
struct room_waiter {
	struct list node;
	int64_t seq;
	void (*fn)(struct room_waiter *waiter);
};

/* users.c: users, their sockets, and the functions of the seed */

struct member *member_of(const struct sio_socket *socket);
/** Tells the storage's view of it about a change. presence.c */
void presence_touch(struct member *member);
/** The member with this socket.id, or NULL. */
struct member *member_find(struct core *core, struct slice sid);
struct slice user_id(const struct user *user);
struct user *user_find(struct core *core, struct slice id);
/** Finds or makes the user and adds the member. PARLANCE_ENOMEM. */
MUST_USE int user_add(struct core *core, struct slice id, struct member *member);
/** Takes the member out of everything and frees it, and the user with his last one. */
void member_free(struct member **member);
struct joined *member_joined(const struct member *member, const struct feed_room *room);
extern const struct plugins_chat users_chat;

/* admit.c: from CONNECT to session:ready */

void admit_connect(void *ctx, struct sio_socket *socket, const struct sio_connect *connect);

/* feed_room.c: what the feed follows */

/** Finds or makes the room and counts one more reference. name: sio's. NULL: out of memory, or the
 * id is none of such a room. */
MUST_USE struct feed_room *feed_room_get(struct core *core, struct slice id, struct slice name,
					 bool of_user);
MUST_USE struct feed_room *feed_room_get_conversation(struct core *core, struct slice id);
struct feed_room *feed_room_find(struct core *core, struct slice id);
/** Whether a UUID is the id of a user's room (version 8), which no conversation can have: anybody
 * can work out a user's, and may name it. */
bool feed_room_id_is_users(struct slice id);
void feed_room_put(struct feed_room **room);
/** Enters a member: sio's room and ours; a no-op with the new role when it is in it. 0 or a
 * PARLANCE_E*. */
MUST_USE int feed_room_enter(struct feed_room *room, struct member *member,
			     enum conversation_role role);
void feed_room_leave(struct joined **joined);

enum room_position {
	ROOM_READY = 1, /* what was read is what the room's sockets have heard of */
	ROOM_STALE,     /* they have heard more: read again */
	ROOM_WAIT,      /* they have heard less: the waiter is called when they have */
};

/** What a snapshot, taken when the room's latest event was seq, is to this room. */
enum room_position feed_room_settle(struct feed_room *room, int64_t seq,
				    struct room_waiter *waiter);

/* feed.c: from the storage's events to deliver.c, once each and in order */

extern const struct storage_listener feed_listener;
void feed_replay(struct feed_room *room);
void feed_stop(struct core *core);
void feed_start(struct core *core);
/** The seq of an event that was told of a room before it was followed; 0: none that is known. */
int64_t feed_told(struct core *core, struct slice room);
/** When no socket is left: ends those who wait for a position. */
void feed_end_waiters(struct core *core);
/** No position is of the database's history, and no socket is left. */
void feed_forget(struct core *core);

/* deliver.c: what an event means for sockets */

/** live: it came as a notification, which anybody can forge. False: it is to be read from the log
 * before it is believed. */
MUST_USE bool deliver_event(struct feed_room *room, struct slice json, bool live);
/** Tells one socket of an event that it missed, but for the first messages that the event makes. */
void deliver_missed(struct member *member, struct feed_room *room, struct slice json,
		    unsigned skip);
/** The room of the conversation that an event is about, or NULL when nobody follows it. */
struct feed_room *deliver_about(struct core *core, struct slice json);

/* event.c: clients' events, their answers and errors */

struct entering;
struct sending;
struct generation;
struct stream;

typedef void event_fn(struct member *member, const struct sio_event *event, struct slice arg);

/* A client's event whose answer takes a while. */
struct request {
	struct core *core;
	struct user *user; /* NULL once he has gone */
	struct list in_user;
	size_t bytes;
	uint64_t socket;
	int64_t ack_id;
	const char *event;
	char conversation[ID_UUID_LEN + 1]; /* empty: none */
	struct feed_room *room; /* a reference of the request's, or NULL */
	char *message_id;  /* the client's, or NULL */
	struct room_waiter waiter;
	void (*then)(struct request *request, struct slice json);
	struct entering *entering; /* conversations.c */
	struct sending *sending;   /* messages.c */
	struct refreshing *refreshing; /* tokens.c */
	bool stopped;              /* message:stop has ended some here already */
};

void entering_free(struct entering **entering);
void sending_free(struct sending **sending);
void refreshing_free(struct refreshing **refreshing);

void event_receive(void *ctx, struct sio_socket *socket, const struct sio_event *event);

/** A request that outlives its event. The conversation may be empty. NULL: out of memory, or the
 * user has too much under way (and the client was told). */
MUST_USE struct request *request_new(struct member *member, const struct sio_event *event,
				     const char *name, struct slice conversation);
void request_free(struct request **request);
/** The member that asked, or NULL when it has gone. */
struct member *request_member(const struct request *request);

/** Has the storage do it, and then (when it answers ok:true) calls then(request, json), which ends
 * the request; in every other case it is answered and ended here. */
void request_call(struct request *request, enum parlance_storage_function function,
		  const struct slice *params, size_t n_params,
		  void (*then)(struct request *request, struct slice json));

/** Each ends the request. */
void request_ok(struct request **request, struct slice json);
void request_fail(struct request **request, enum core_code code, const char *detail);

/* The error of an event that is answered at once. */
void event_fail(struct member *member, const struct sio_event *event, enum core_code code,
		const char *detail, struct slice conversation);
void event_ok(struct member *member, const struct sio_event *event, struct slice json);

struct error_about {
	const char *event;
	enum core_code code;
	const char *detail; /* what people read; NULL: the code's text */
	uint64_t retry_after_ms;
	struct slice conversation;
	struct slice message; /* the client's message id */
	struct slice stream;
};

/** Appends the error's members, without braces. */
void error_append(struct strbuf *out, const struct error_about *about);

/** Emits an event with one argument to one socket. */
void member_emit(struct member *member, const char *name, struct slice json);

/** The code for a storage's answer that is not OK, which it logs when that is our fault. */
enum core_code storage_code(const struct storage_answer *answer, const char *what);

/* json.c: reading clients' JSON and the storage's. Text is decoded into the scratch arena. */

enum field {
	FIELD_OK = 1,
	FIELD_ABSENT, /* not there, or null */
	FIELD_BAD,    /* of another type, or with a NUL */
	FIELD_TOO_LARGE,
};

enum field field_string(struct core *core, struct slice value, size_t max, struct slice *out);
enum field field_uuid(struct core *core, struct slice value, struct slice *out);
enum field field_int(struct slice value, int64_t min, int64_t max, int64_t *out);
/** field_string for what has a limit of [chat], which counts what is too large. */
enum field field_limited(struct core *core, struct slice value, enum core_limit limit,
			 struct slice *out);
/** Whether a value that we are to keep as it is has too many bytes, or is nested too deep;
 * counted. */
bool json_is_large(struct core *core, struct slice value);
bool json_is_deep(struct core *core, struct slice value);
/** The members of an object that was made by the storage; absent ones are empty. */
void fields(struct core *core, struct slice object, const char *const *keys, size_t n,
	    struct slice *values);
struct slice field(struct core *core, struct slice object, const char *key);
/** Decoded; empty when it is no string. */
struct slice field_text(struct core *core, struct slice object, const char *key);
int64_t field_number(struct core *core, struct slice object, const char *key);
/** Empties the scratch builder and returns it. */
struct strbuf *json_begin(struct core *core);
void json_key(struct strbuf *sb, const char *key);
void json_text(struct strbuf *sb, const char *key, struct slice text);
struct slice json_end(const struct strbuf *sb);
/** A text as an element of an array of SQL. */
void sql_element(struct strbuf *sb, struct slice text);

/* ratelimit.c */

enum limit_outcome { LIMIT_PASS, LIMIT_REFUSE, LIMIT_END };

/** Whether an event with so many bytes of arguments may be looked at now. LIMIT_END: the client goes on
 * sending though it is refused. */
enum limit_outcome limit_event(struct member *member, size_t bytes);
/** Whether the user may have one more socket here. */
bool limit_sockets(struct core *core, struct slice user);

/** Counts one more answer of the user's. CODE_NONE; or why it may not be, then *out is NULL. */
struct asker;
enum core_code asker_take(struct core *core, struct slice user, struct asker **out);
/** The answer is over. Harmless on NULL. */
void asker_put(struct asker **asker);
struct slice asker_key(const void *item);

/* tokens.c */

/** Takes over what the auth plugin says of a token. 0 or PARLANCE_ENOMEM (then it is empty). */
MUST_USE int token_take(struct token *token, const struct auth_answer *answer);
void token_fini(struct token *token);
/** Its id, its session and when it was issued, as the storage takes them; borrowed from both. */
void token_params(const struct token *token, char issued[TOKEN_ISSUED_MAX],
		  struct slice params[3]);
/** The member "expiresAt". */
void token_append_expiry(struct strbuf *sb, const struct token *token);
/** The member has a (new) token: tells it in time of its end, and ends its connection. */
void token_watch(struct member *member);
event_fn auth_refresh;
/** Asks the storage what was revoked, and acts upon it. */
void tokens_look(struct core *core);
void tokens_on_revoked(struct core *core, int64_t from, const struct slice *args, size_t n);

/* conversations.c, messages.c, typing.c: handlers */

event_fn conversation_join, conversation_leave, conversation_create, conversation_update,
    conversation_delete, conversation_list, conversation_share, conversation_unshare,
    conversation_view, conversation_leave_view;
event_fn message_send, message_stop, message_list;
event_fn typing_start, typing_stop;

/** The conversation that an argument names: a bare id or {conversationId}; false: the client was
 * told that it names none. */
MUST_USE bool conversation_arg(struct member *member, const struct sio_event *event,
			       struct slice arg, struct slice *id);
/** Joins the request's member to its conversation, then calls joined(request, ack) with the
 * client's answer; as request_call in other cases. */
void conversation_enter(struct request *request, struct slice since,
			void (*joined)(struct request *request, struct slice ack));
enum conversation_role role_parse(struct slice name);
/** The member is in the conversation's room. */
void conversation_tell_joined(struct member *member, struct slice conversation);

void typing_end(struct joined *joined);
void typing_on_remote(struct core *core, int64_t from, const struct slice *args, size_t n);
/** Nobody is left to be told. */
void typing_forget(struct feed_room *room);

/* stream.c: an answer's text on its way to the tabs */

/* How far the answer was sent to those of a mode. */
struct stream_cursor {
	struct stream *stream;
	size_t escaped;  /* bytes of stream.escaped */
	uint64_t utf16;  /* code units of the text */
	uint64_t seq;    /* frames */
	uint64_t sent_ms;
	struct timer timer;
};

/* A running answer as the tabs in a room here see it, wherever it is generated. */
struct stream {
	struct core *core;
	struct feed_room *room; /* a reference */
	struct list in_room;    /* room->streams */
	char message[ID_UUID_LEN + 1]; /* the assistant's */
	char id[ID_UUID_LEN + 1];
	char *client_id; /* the client's id of the user's message, or NULL */
	bool announced;  /* the room has heard of it: chunks may follow */
	struct strbuf text;
	struct strbuf escaped; /* the text as in JSON, without quotes */
	uint64_t utf16;
	struct stream_cursor cursors[STREAM_MODES];
	struct loop_task task;
};

/** Takes a reference on the room. client_id: copied, or empty. 0 or PARLANCE_ENOMEM; stream_fini in
 * either case. */
MUST_USE int stream_init(struct stream *stream, struct feed_room *room, struct slice message,
			 struct slice id, struct slice client_id);
void stream_fini(struct stream *stream);
/** New text has come. False: out of memory. */
MUST_USE bool stream_append(struct stream *stream, struct slice text);
/** The room has heard of it. */
void stream_announce(struct stream *stream);
/** Sends what was not sent yet. */
void stream_flush(struct stream *stream);
/** Nothing more is sent. */
void stream_stop(struct stream *stream);
/** Tells a member what there is of the answers that run in a room. */
void stream_snapshot(struct feed_room *room, struct member *member);
/** The text so far is news to all in the room: each gets it as a snapshot. */
void stream_snapshot_all(struct stream *stream);
/** The queue of the member's socket has drained. */
void stream_drained(struct member *member);

/* relay.c: answers of one instance for the tabs of others */

/* An answer that another instance generates, while tabs here watch it. */
struct relay {
	struct core *core;
	struct stream out;
	int64_t owner;   /* the instance that it comes from; 0: not known yet */
	bool caught_up;  /* all text of before was received, and the tabs have it */
	unsigned asked;  /* how often, since something came */
	struct timer timer;
};

/** Another instance's answer has begun in a room. */
void relay_started(struct feed_room *room, struct slice message, struct slice id,
		   struct slice client_id);
/** A member has come into a room, where this answer runs ({streamId, assistantMessageId,
 * messageId?}, or empty): it gets a snapshot, now or when there is one. */
void relay_join(struct feed_room *room, struct member *member, struct slice active);
/** It has ended, with this text: the tabs get what they have not yet. */
void relay_finish(struct feed_room *room, struct slice message, struct slice text);
/** Nobody here watches a room any more; or nothing is known of its answers. */
void relay_drop_room(struct feed_room *room);
void relay_free_all(struct core *core);
/** Text has come that others may watch. */
void relay_schedule(struct generation *generation);
/** Nobody watches it any more. */
void relay_forget(struct generation *generation);
/** Messages of other instances. */
void relay_on_want(struct core *core, int64_t from, const struct slice *args, size_t n);
void relay_on_unwant(struct core *core, int64_t from, const struct slice *args, size_t n);
void relay_on_chunk(struct core *core, int64_t from, const struct slice *args, size_t n);

/* cluster.c: short messages between instances, which may be lost */

/** To an instance (0: all others): a JSON array whose first element says what it is. */
void cluster_send(struct core *core, int64_t to, struct slice json);
void cluster_receive(struct core *core, struct slice payload);
void cluster_stop(struct core *core);

/* presence.c: who is online, on all instances */

event_fn presence_get, presence_subscribe;
/** The user's first socket here came, or his last one left. */
void presence_changed(struct core *core, const struct user *user);
/** A member is gone. */
void presence_gone(struct member *member);
/** The storage knows nothing of this instance's sockets: it is told of all. */
void presence_restart(struct core *core);
void presence_on_change(struct core *core, int64_t from, const struct slice *args, size_t n);
/** Looks whether something was missed of those who are watched. */
void presence_look_all(struct core *core);
void presence_stop(struct core *core);
struct slice presence_key(const void *item); /* of core->watched */

/* recovery.c: what a client missed while it had no connection */

struct recovery_room {
	char id[ID_UUID_LEN + 1]; /* empty: the user's room */
	int64_t seq;              /* where the client stands */
	unsigned part;
	struct feed_room *room; /* a reference, or NULL */
	enum conversation_role role;
	struct room_tail tail;
	struct slice events; /* missed ones, as the storage gave them: JSON array */
	struct slice active; /* the answer that runs there, or empty */
	bool found;          /* the client may be in it again */
};

#define RECOVERY_PID_MAX 80

struct recovery {
	char epoch[EPOCH_MAX + 1];
	char pid[ID_TOKEN_LEN + 1];
	char told[RECOVERY_PID_MAX + 1]; /* the pid as the client has it */
	size_t n;
	struct recovery_room rooms[]; /* the user's first */
};

/** sio's callback: the offset of a socket. */
size_t recovery_offset(void *ctx, const struct sio_socket *socket, char out[SIO_OFFSET_MAX]);
/** The pid that a client is given whose connection begins now. */
void recovery_pid(const char *pid, const char *epoch, const struct feed_room *user_room,
		  char out[RECOVERY_PID_MAX + 1]);
/** What a client remembers; NULL when that is nothing that we said, or out of memory. */
MUST_USE struct recovery *recovery_new(struct slice pid, struct slice offset);
void recovery_free(struct recovery **recovery);
/** Follows its rooms from now on. False: out of memory. */
MUST_USE bool recovery_follow(struct recovery *recovery, struct core *core, struct user *user);
/** The arrays of rooms and seqs for session_open. */
void recovery_params(const struct recovery *recovery, struct strbuf *rooms, struct strbuf *seqs);

enum recovery_outcome {
	RECOVERY_READY = 1, /* recovery_enter and recovery_replay may follow, in this turn */
	RECOVERY_WAIT,      /* the waiter is called when a room has come as far: take it again */
	RECOVERY_AGAIN,     /* events came that are in neither: ask again */
	RECOVERY_BAD,       /* the answer is of no use */
};

/** Whether the client was in this conversation's room. */
bool recovery_names(const struct recovery *recovery, struct slice conversation);
/** The client has had so many messages of the event that comes next in the room. */
void recovery_at(struct recovery *recovery, const struct feed_room *room, unsigned part);
/** Takes the storage's answer (rooms: its array), which must live until the replay. */
MUST_USE enum recovery_outcome recovery_take(struct recovery *recovery, struct feed_room *user_room,
					     struct slice rooms, struct room_waiter *waiter);
/** Puts the member back into its rooms. 0 or a PARLANCE_E*. */
MUST_USE int recovery_enter(struct recovery *recovery, struct member *member);
/** Tells it what it missed. */
void recovery_replay(struct recovery *recovery, struct member *member);

/* generation.c: the life of an answer */

enum generation_state {
	GENERATION_STORING = 1, /* the message is being stored */
	GENERATION_WAITING,     /* for another one in the conversation */
	GENERATION_BEGINNING,   /* it was its turn; the storage is asked */
	GENERATION_RUNNING,     /* the provider answers */
	GENERATION_FINISHING,   /* the outcome is being stored */
	GENERATION_FINISHED,    /* it is; the feed will say so */
	GENERATION_GONE,        /* not ours any more; waits for the provider to let go */
};

struct generation {
	struct core *core;
	struct stream out;
	struct list in_room;
	enum generation_state state;
	bool stop_asked;
	bool give_way; /* while it is being stored: it is to stop if it runs */
	char *origin;  /* socket.id of who asked */
	struct asker *asker;

	struct arena arena; /* the prompt */
	struct parlance_prompt prompt;
	struct provider_call *call;

	struct list viewers;    /* other instances whose tabs watch it; relay.c */
	struct list in_relayed; /* core->relayed */

	struct list in_unflushed;
	size_t flushed;  /* bytes of text that are stored */
	size_t flushing; /* bytes that will be, once the request under way is answered */

	/* The outcome, from FINISHING on. */
	const char *status;
	const char *finish_reason;
	char *model;
	char *usage; /* JSON or NULL */
	char *error; /* JSON or NULL */
	struct timer retry_timer;
	unsigned attempts;
};

struct generation_config {
	struct feed_room *room;
	const char *message; /* the assistant's */
	const char *stream;
	const char *client_id; /* or NULL */
	struct slice origin;
	struct asker **asker; /* taken over */
};

/** Makes one whose message is being stored. NULL: out of memory. */
MUST_USE struct generation *generation_new(const struct generation_config *config);
struct generation *generation_find(struct core *core, struct slice message);
/** It was not stored. */
void generation_drop(struct generation **generation);
/** Nobody knows whether it was stored: if so, it is to end as interrupted. */
void generation_abandon(struct generation *generation);
/** It is stored: begin. prompt: as the storage gave it. */
void generation_run(struct generation *generation, struct slice prompt);
/** It is stored, and waits; in front of others that wait, or behind. */
void generation_wait(struct generation *generation, bool in_front);
/** A client wants it to stop. True unless it had ended. */
bool generation_stop(struct generation *generation);
/** Stops those in a room but one (or NULL); stream: that one alone, when not empty. How many. */
size_t generation_stop_all(struct feed_room *room, struct slice stream,
			   const struct generation *but);
/** Stops the one that runs in a room, for one that waits in front; the others go on waiting. */
void generation_make_way(struct feed_room *room, const struct generation *urgent);
/** The feed has told the room that it began, or that it ended. */
void generation_announced(struct core *core, struct slice message);
void generation_finished(struct feed_room *room, struct slice message);
/** The feed will not tell any more. */
void generation_forget_finished(struct feed_room *room);
/** This process owns nothing any more. */
void generation_fence_all(struct core *core);
/** Ends all as interrupted. */
void generation_interrupt_all(struct core *core);

/** Text of a generation waits to be stored. parts.c */
void parts_schedule(struct generation *generation);
void parts_stop(struct core *core);

/* instance.c: registration, lease, reaping */

void instance_start(struct core *core);
void instance_stop(struct core *core);
/** Renews the lease now, and hears what there is to hear. */
void instance_beat(struct core *core);
/** The storage says which history it is of. */
void instance_epoch(struct core *core, struct slice epoch);
void instance_ready(struct core *core, bool ready);
void instance_retire(struct core *core);
/** Calls back core_stop's caller when nothing is left to be written. */
void core_check_stopped(struct core *core);
/** Tells those who want to know whether the chat can serve. */
void core_tell_ready(struct core *core);

#ifdef __cplusplus
}
#endif
#endif
