/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Engine.IO sessions, as the layer above sees them: a session is one client's connection over
 * whatever transport it uses now (long-polling, WebSocket, first the one and then the other).
 * Messages come up as bytes, frames go down.
 *
 * The session belongs to net. It is valid from the open callback until the close callback has
 * returned; whoever keeps it longer keeps its id and looks it up again. Nothing here calls back
 * from within a call: callbacks come from the loop. Loop thread.
 */
#ifndef PARLANCE_NET_SESSION_H
#define PARLANCE_NET_SESSION_H

#include "base/frame.h"
#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct net;
struct session;

/* Why a session ended; the texts are those of the reference server where it has the case. */
#define SESSION_CLOSE_LIST(X)                                         \
	X(SESSION_TRANSPORT_CLOSE, 1, "transport close")              \
	X(SESSION_TRANSPORT_ERROR, 2, "transport error")              \
	X(SESSION_PING_TIMEOUT, 3, "ping timeout")                    \
	X(SESSION_PARSE_ERROR, 4, "parse error")                      \
	X(SESSION_FORCED_CLOSE, 5, "forced close")                    \
	X(SESSION_SERVER_SHUTDOWN, 6, "server shutting down")         \
	X(SESSION_TOO_SLOW, 7, "output queue over its limit")         \
	X(SESSION_TOO_BIG, 8, "message over the size limit")       \
	X(SESSION_CONNECT_TIMEOUT, 9, "no connect packet in time")    \
	X(SESSION_NO_MEMORY, 10, "out of memory")

enum session_close {
#define X(name, value, text) name = value,
	SESSION_CLOSE_LIST(X)
#undef X
};

#define SESSION_CLOSE_MAX SESSION_NO_MEMORY

const char *session_close_text(enum session_close reason);

/* What the client's first request said; see session_handshake. Absent texts are empty slices. */
struct session_handshake {
	struct slice authorization; /* the Authorization header */
	struct slice token;         /* ?token= */
	struct slice origin;
	struct slice user_agent;
	/* Of the client, behind trusted proxies too; "unix" for a Unix socket's peer. */
	const char *address;
	bool secure;         /* it came over TLS to us */
};

struct session_ops {
	/** A session was opened; the open packet is queued already. The handshake is readable. May
	 * send and close. */
	void (*open)(void *ctx, struct session *session);
	/** A message. data is borrowed for the call and may be overwritten. Not called once the
	 * session was closed. */
	void (*message)(void *ctx, struct session *session, bool binary, struct slice data);
	/** The output queue, having been over its high mark, fell below its low mark. */
	void (*drain)(void *ctx, struct session *session);
	/** The session is over: the last call. It may not send any more. */
	void (*close)(void *ctx, struct session *session, enum session_close reason);
};

/** The session's number (base/idtable.h). */
uint64_t session_id(const struct session *session);

/** The live session with this number, or NULL. */
struct session *session_lookup(const struct net *net, uint64_t id);

/** Engine.IO's sid, terminated. */
const char *session_sid(const struct session *session);

/** A pointer of the upper layer's. */
void session_set_user(struct session *session, void *user);
void *session_user(const struct session *session);

/** What the first request said, until session_forget_handshake; NULL after. Borrowed. */
const struct session_handshake *session_handshake(const struct session *session);

/** What the listener that the session was opened at demands of tokens, as long as the session lives;
 * empty: nothing. Borrowed. Requests that come in by a listener with other demands do not find the
 * session. */
void session_demands(const struct session *session, struct slice *issuer, struct slice *audience);

/** Frees the handshake's texts (credentials among them) when nobody needs them any more. */
void session_forget_handshake(struct session *session);

/** True while the client uses WebSocket. */
bool session_is_websocket(const struct session *session);

/** Queues a message: the frame's data and behind it the tail (copied; empty: none). The session
 * takes its own reference on the frame. It leaves with all else that was queued in this turn of
 * the loop, in one write. A session that is over its hard limit, or out of memory, is closed; on
 * a closed session nothing happens. */
void session_send(struct session *session, struct frame *frame, struct slice tail);

/** Whether a message sent now would leave at once: a transport is ready and nothing waits before
 * it. For volatile messages. */
bool session_writable(const struct session *session);

/** Bytes that wait for the transport. */
size_t session_queued_bytes(const struct session *session);

/** True from the moment the queue passed its high mark until it fell below the low mark (drain). */
bool session_congested(const struct session *session);

/** Ends the session. What is queued still goes out (bounded in time), unless the reason is an
 * error of the transport or the protocol. The close callback comes at the end of this turn of the
 * loop. Harmless when it is closed already. */
void session_close(struct session *session, enum session_close reason);

#ifdef __cplusplus
}
#endif
#endif
