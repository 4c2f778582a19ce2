/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Socket.IO protocol v5 for the server side: namespaces, sockets, events, acknowledgements, rooms.
 * It stands on Engine.IO sessions (net/session.h) and knows nothing of what the events mean.
 * Whoever uses it needs no header of net.
 *
 * Terms: a session is a client's connection; a socket is a session's presence in one namespace.
 * Sockets are named by 64-bit ids; a pointer is valid within the callback that gave it, and as
 * long as nothing returns to the loop. JSON goes in and out as text: arguments are "raw JSON,
 * comma separated, without the brackets"; what is given out must be valid UTF-8 JSON, what comes
 * in was checked to be.
 *
 * Loop thread. No function here calls back from within; callbacks come from the loop.
 */
#ifndef PARLANCE_SIO_SIO_H
#define PARLANCE_SIO_SIO_H

#include "base/slice.h"
#include "base/strbuf.h"
#include "loop/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sio;
struct sio_nsp;
struct sio_socket;
struct session_ops;

struct sio_config {
	uint32_t connect_timeout_ms;   /* a session without a first CONNECT is closed after this */
	/* A CONNECT that is neither accepted nor refused is refused after this. */
	uint32_t authorize_timeout_ms;
	uint32_t max_namespaces;       /* sockets of one session */
	uint32_t max_rooms;            /* rooms of one socket */
	uint32_t max_pending_acks;     /* answers that one socket may owe us */
	uint32_t max_attachments;      /* binary attachments of one packet */
	uint64_t max_attachment_bytes; /* of all attachments of one packet */
};

/** Makes the layer. config is borrowed for its life. 0 or PARLANCE_ENOMEM. */
MUST_USE int sio_new(struct sio **out, struct loop *loop, const struct sio_config *config);

/** Frees it and clears the pointer, after net is gone. Harmless on NULL. */
void sio_free(struct sio **sio);

/** What net_new wants: the callbacks, with the struct sio as their context. */
const struct session_ops *sio_session_ops(void);

/* A CONNECT packet. All borrowed for the call. */
struct sio_connect {
	struct slice auth;   /* the payload, a JSON object; empty when there was none */
	/* Connection state recovery: what the client remembers; empty when it asks for none. */
	struct slice pid;
	struct slice offset;
	/* What the session's first request said; all empty once it was forgotten. */
	struct slice authorization; /* the Authorization header */
	struct slice token;         /* ?token= */
	struct slice origin;
	struct slice user_agent;
	struct slice address; /* of the client, behind trusted proxies too; "unix" for a Unix socket */
	bool secure;          /* it came over TLS to us */
	/* What the listener demands of tokens, also after that; empty: nothing. */
	struct slice issuer, audience;
};

/* An event, or the answer to one of ours. All borrowed for the call. */
struct sio_event {
	struct slice name;
	struct slice args_json;   /* the arguments after the name, as they came */
	const struct slice *args; /* each of them, raw JSON */
	size_t n_args;
	const struct slice *attachments;
	size_t n_attachments;
	int64_t ack_id; /* to be passed to sio_ack; SIO_NO_ACK when the client asked for none */
};

#define SIO_OFFSET_MAX 4096

struct sio_nsp_ops {
	/** A client wants in. Answer with sio_accept or sio_refuse, now or later (by the socket's
	 * id; past authorize_timeout_ms it is refused). Until then the socket can do nothing
	 * else. Nothing is called for a socket that was never accepted. */
	void (*connect)(void *ctx, struct sio_socket *socket, const struct sio_connect *connect);
	void (*event)(void *ctx, struct sio_socket *socket, const struct sio_event *event);
	/** The output queue of the socket's session has drained after sio_congested was true. May
	 * be NULL. */
	void (*drain)(void *ctx, struct sio_socket *socket);
	/** The socket is gone: the last call for one that was accepted. Its rooms can still be
	 * read; it can send no more. */
	void (*disconnect)(void *ctx, struct sio_socket *socket, const char *reason);
	/** Connection state recovery: writes the offset that follows each event of this socket, and
	 * that its client sends when it comes back; its length (printable ASCII without " and \\),
	 * 0 for none. Called only for sockets that were accepted with a pid. NULL: no offsets. */
	size_t (*offset)(void *ctx, const struct sio_socket *socket, char out[SIO_OFFSET_MAX]);
};

/** Opens a namespace ("/", "/custom"). ops are borrowed for sio's life. NULL: out of memory, or
 * the name is taken or malformed. */
MUST_USE struct sio_nsp *sio_namespace(struct sio *sio, const char *name,
				       const struct sio_nsp_ops *ops, void *ctx);

/* Sockets */

uint64_t sio_id(const struct sio_socket *socket);

/** The socket with this id, connected or waiting to be, or NULL. */
struct sio_socket *sio_lookup(const struct sio *sio, uint64_t id);

/** The id that the client knows (socket.id), terminated. */
const char *sio_sid(const struct sio_socket *socket);

struct sio_nsp *sio_socket_nsp(const struct sio_socket *socket);
const char *sio_nsp_name(const struct sio_nsp *nsp);

void sio_set_user(struct sio_socket *socket, void *user);
void *sio_user(const struct sio_socket *socket);

/** Admits a waiting socket. pid: given to the client for connection state recovery (an offset then
 * follows its events); NULL: none. A client that gets the pid that it came with knows that its old
 * connection goes on. sid: the id that it is to have (as long as sio_sid's), NULL to keep the one
 * that it was given. Harmless when it does not wait. */
void sio_accept(struct sio_socket *socket, const char *pid, const char *sid);

/** Refuses a waiting socket with CONNECT_ERROR {message, data}; data is JSON or empty. Harmless
 * when it does not wait. */
void sio_refuse(struct sio_socket *socket, struct slice message, struct slice data);

/** Frees headers and query of the session's first request, credentials among them, once nobody
 * needs them. */
void sio_forget_handshake(struct sio_socket *socket);

/** sio_connect.issuer and audience, as long as the socket lives. */
void sio_demands(const struct sio_socket *socket, struct slice *issuer, struct slice *audience);

/** Ends the socket: by a DISCONNECT packet ("do not come back"), or by closing its transport
 * ("reconnect"), which ends the session's other sockets too. disconnect is called at the end of
 * the turn. */
void sio_disconnect(struct sio_socket *socket, bool close_transport);

bool sio_connected(const struct sio_socket *socket);

/** True while the session's output queue is over its high mark. */
bool sio_congested(const struct sio_socket *socket);

size_t sio_queued_bytes(const struct sio_socket *socket);

/* Output */

struct sio_message {
	struct slice name;
	struct slice args; /* raw JSON after the name; empty: none */
	const struct slice *attachments; /* for {"_placeholder":true,"num":i} in args */
	size_t n_attachments;
	bool is_volatile; /* dropped for sockets to whom it could not leave at once */
	/** Whether this socket, of those in the rooms, is to have it. NULL: all. */
	bool (*wants)(void *arg, const struct sio_socket *socket);
	void *wants_arg;
};

/** Sends an event to one socket. 0, PARLANCE_EINVAL (a name that the protocol reserves),
 * PARLANCE_ENOMEM, PARLANCE_ECLOSED. */
MUST_USE int sio_emit(struct sio_socket *socket, const struct sio_message *message);

/** The client's answer to an event (status 0, its arguments), or why there is none
 * (PARLANCE_ETIMEDOUT, PARLANCE_ECLOSED; answer is NULL). Called exactly once. The socket is NULL
 * when it is gone. */
typedef void sio_answer_fn(void *arg, struct sio_socket *socket, int status,
			   const struct sio_event *answer);

/** Sends an event and asks for an acknowledgement within timeout_ms. As sio_emit; on failure fn is
 * not called. */
MUST_USE int sio_emit_with_ack(struct sio_socket *socket, const struct sio_message *message,
			       uint32_t timeout_ms, sio_answer_fn *fn, void *arg);

/** Sends an event once to every socket that is in any of the rooms (none named: in the namespace),
 * except those with the given ids and those that message->wants denies. Encoded once, shared by all. 0, PARLANCE_EINVAL,
 * PARLANCE_ENOMEM. */
MUST_USE int sio_emit_rooms(struct sio_nsp *nsp, const struct slice *rooms, size_t n_rooms,
			    const uint64_t *except, size_t n_except,
			    const struct sio_message *message);

/** Acknowledges an event with these arguments. 0, PARLANCE_EINVAL (no ack was asked for),
 * PARLANCE_ENOMEM, PARLANCE_ECLOSED. */
MUST_USE int sio_ack(struct sio_socket *socket, int64_t ack_id, struct slice args,
		     const struct slice *attachments, size_t n_attachments);

/* Rooms */

/** Joins a room (any bytes). 0 (also when it is in it), PARLANCE_ELIMIT, PARLANCE_ENOMEM,
 * PARLANCE_ECLOSED. */
MUST_USE int sio_join(struct sio_socket *socket, struct slice room);

/** Leaves a room; harmless when it is not in it. */
void sio_leave(struct sio_socket *socket, struct slice room);

bool sio_in_room(const struct sio_socket *socket, struct slice room);

/** The i-th room of the socket (order not defined), an empty slice at the end. Valid until the
 * socket joins or leaves. */
struct slice sio_room_of(const struct sio_socket *socket, size_t i);

/** Sockets in the room. */
size_t sio_room_size(const struct sio_nsp *nsp, struct slice room);

/** The i-th socket in the room (order not defined), NULL at the end. Valid until somebody joins or
 * leaves. */
struct sio_socket *sio_room_member(const struct sio_nsp *nsp, struct slice room, size_t i);

/** Takes everyone out of the room. */
void sio_room_clear(struct sio_nsp *nsp, struct slice room);

struct sio_stats {
	uint32_t sockets;
	uint32_t rooms;
};

void sio_stats(const struct sio *sio, struct sio_stats *out);

#ifdef __cplusplus
}
#endif
#endif
