/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the files of net share: the server, a connection, a session. A connection is one socket; it
 * carries HTTP requests one after the other, or, after an upgrade, one WebSocket. A session is
 * what the client keeps across connections.
 *
 * libwebsockets gives a connection its bytes, after TLS, and takes bytes for it; HTTP and
 * WebSocket are read by src/wire. Input is handled as it comes; output, closing and freeing wait
 * for the end of the turn.
 *
 * Ownership: a connection lives until libwebsockets destroys its wsi (or, before there is one,
 * until its socket is closed); a session until the end of the turn in which it was closed and
 * flushed. They point at each other and clear the pointer when they go. Loop thread.
 */
#ifndef PARLANCE_NET_PRIVATE_H
#define PARLANCE_NET_PRIVATE_H

#include <libwebsockets.h>
#include <sys/socket.h>

#include "base/id.h"
#include "base/idtable.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "loop/io.h"
#include "net/files.h"
#include "net/limits.h"
#include "net/net.h"
#include "net/outq.h"
#include "net/tls.h"
#include "wire/eio.h"
#include "wire/forward_auth.h"
#include "wire/http.h"
#include "wire/ws.h"

struct conn;
struct forward;
struct handshake;
struct listener;
struct peer;

/* What one write takes at most. */
#define NET_GATHER_BYTES 65536

struct net {
	struct loop *loop;
	const struct net_config *config;
	const struct session_ops *ops;
	void *ctx;
	struct lws_context *lws;
	struct files *files;     /* of web_root; NULL: none */
	struct lws_vhost *plain; /* made with the first plain listener */
	struct listener **listeners;
	size_t n_listeners;
	struct idtable sessions;
	struct map *by_sid;
	struct list conns;
	struct conn *adopting; /* the connection that libwebsockets is taking over right now */
	struct tls *applying;  /* what the vhost that is being made is to follow */
	uint32_t n_conns;
	uint32_t peak_conns; /* since memory was last given back */
	uint32_t n_admin;    /* of them those of admin listeners, which have a limit of their own */
	uint32_t n_forwards; /* connections to other instances */
	uint32_t n_websocket;
	uint64_t number; /* of this instance; 0: none */
	char *secret;    /* that the instances share; NULL: none */
	size_t secret_len;
	struct peer *peers;
	size_t n_peers;
	char not_ready[256]; /* why; empty: ready */
	void (*metrics)(void *arg, struct strbuf *out);
	void *metrics_arg;
	struct limits limits;
	struct loop_task end_of_turn;
	struct list dirty; /* sessions with something to do at the end of the turn */
	struct list busy;  /* connections likewise */
	unsigned char
		*gather; /* LWS_PRE, then NET_GATHER_BYTES: output on its way into one write */
	size_t queued_bytes;
	struct net_stats stats;
	void (*shutdown_done)(void *arg);
	void *shutdown_arg;
	struct timer shutdown_timer;
	struct timer sweep_timer;
	bool draining; /* no new sessions */
	bool shutting_down;
};

/* net.c */

/** Open files of connections, as limits.max_connections counts them. */
uint32_t net_descriptors(const struct net *net);

/* conn.c */

/* A connection's life. Allowed moves are a table in conn.c. */
#define CONN_STATE_LIST(X)                                                             \
	X(CONN_PROXY, 1, "proxy header") /* its PROXY header is awaited; no wsi yet */ \
	X(CONN_HEAD, 2, "request head")  /* TLS handshake, or (the rest of) a head */  \
	X(CONN_BODY, 3, "request body")  /* of a POST */                               \
	X(CONN_HELD, 4, "held poll")     /* a GET that waits for packets */            \
	X(CONN_PROBE, 5, "probe")        /* WebSocket that asks for a session */       \
	X(CONN_WS, 6, "websocket")       /* a session's transport */                   \
	X(CONN_CLOSING, 7, "closing")    /* flushes, then waits for the peer */        \
	X(CONN_GONE, 8, "gone")          /* closed; the wsi is not to be touched */     \
	X(CONN_FORWARD, 9, "forwarded")  /* its request is another instance's */

enum conn_state {
#define X(name, value, text) name = value,
	CONN_STATE_LIST(X)
#undef X
};

struct conn {
	struct net *net;
	struct lws *wsi;  /* NULL in CONN_PROXY and CONN_GONE */
	struct list node; /* net->conns */
	struct list busy; /* net->busy */
	struct session *session;
	struct listener *listener;
	struct address *address; /* counted against its limits; NULL: exempt */
	struct io *io;           /* CONN_PROXY */
	struct ws_reader *ws;    /* after an upgrade */
	struct forward *forward; /* CONN_FORWARD */
	char *cors_origin;       /* to be named in the answer; NULL: none */
	struct timer timer;
	struct strbuf rx;   /* input that cannot be used yet; in CONN_BODY the body */
	struct strbuf out;  /* output other than a session's packets */
	size_t out_done;    /* bytes of it that were written */
	struct slice file;  /* behind it: what is left of a file's content; net->files owns it */
	uint64_t body_left; /* CONN_BODY: declared bytes to come */
	size_t peeked;      /* CONN_PROXY: bytes of the header seen so far */
	struct ip_addr peer; /* who connected, or whom the PROXY header named */
	int fd;
	uint8_t state;      /* enum conn_state */
	uint8_t total_verdict;   /* enum limit_verdict, by all connections */
	uint8_t address_verdict; /* likewise, by those of the client's address */
	bool uncounted;     /* an instance, perhaps: whom it counts for, its request will say */
	bool has_wsi;       /* libwebsockets made one, and frees this connection with it */
	bool keep_alive;    /* of the current request */
	bool discard;       /* nothing more is taken from the client */
	bool head_begun;    /* the head's deadline runs */
	bool head_only;     /* HEAD: the answer has no body */
	bool blocked;       /* not all was written yet; nothing is read meanwhile */
	bool yielding;      /* after it was blocked, reading comes before the next write */
	bool took_turn;     /* wrote from a file in this turn; others come first now */
	bool reading;
	bool close_sent;    /* our Close frame is out; the peer's is awaited */
	bool fin_sent;
	bool kill;          /* at the end of the turn, without ceremony */
};

void conn_set_state(struct conn *conn, enum conn_state state);
/** Has what is in conn->out and in the session's queue written at the end of the turn. */
void conn_mark_busy(struct conn *conn);
/** Flushes what there is, with a Close frame behind it when it is a WebSocket (WS_NONE: none),
 * then closes, giving the peer time to read. */
void conn_close(struct conn *conn, enum ws_status status);
/** The session's queue, when it is short, joins conn->out, so that a Close frame can follow it.
 * False: something of it is left, and may be in the middle of a frame. */
MUST_USE bool conn_take_queue(struct conn *conn);
/** Closes at the end of the turn, whatever is unsaid. */
void conn_kill(struct conn *conn);
/** The connection is given up unless it has moved on by then. */
void conn_deadline(struct conn *conn, uint32_t ms);
/** Reads on, or stops: a WebSocket whose session has too much waiting is not read. */
void conn_update_reading(struct conn *conn);
/** The callback of libwebsockets. */
int conn_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		  size_t len);
void conn_end_of_turn(struct conn *conn);
/** The socket is closed, or will be without us: nobody may touch the wsi any more. */
void conn_gone(struct conn *conn);
/** After conn_gone. */
void conn_free(struct conn *conn);

/* accept.c */

/** Takes over an accepted socket. */
void conn_accept(struct net *net, struct listener *listener, int fd, const struct ip_addr *peer);
/** A trusted proxy named its client: that address is counted from now on. */
void conn_set_client(struct conn *conn, const struct ip_addr *ip);
bool conn_trusts(const struct conn *conn, const struct ip_addr *ip);
/** Which limit it is over when it, or its handshake, is refused for there being too many. */
enum net_limit conn_limit(const struct conn *conn);

/* address.c */

#define ADDRESS_HOST_MAX 255

/** The address in it; unset when it has none. */
void address_ip(const struct sockaddr_storage *ss, struct ip_addr *out);
/** Takes "host:port" apart, without the brackets of an IPv6 address; the host may be empty. */
MUST_USE bool address_split(const char *address, char host[ADDRESS_HOST_MAX + 1],
			    const char **port);

/* peers.c */

/* Another instance. */
struct peer {
	uint64_t number;
	struct sockaddr_storage to;
	socklen_t to_len;
	struct ip_addr ip; /* unset: a Unix socket */
};

void peers_free(struct net *net);
void peers_forget_secret(struct net *net);
/** The instance that a session, which is none of ours, belongs to; NULL: none that we know. */
const struct peer *peer_of_sid(const struct net *net, struct slice sid);
bool peers_have_ip(const struct net *net, const struct ip_addr *ip);

/* What a request says of the instance that passed it on. */
struct peer_claim {
	bool present;
	bool verified; /* else the claim is not to be looked at */
	struct forward_claim claim;
};

void peer_read_claim(const struct net *net, const struct http_request *request,
		     struct peer_claim *out);

/* demands.c */

/* What a listener, and each session that was opened at it, demands of tokens. */
struct demands {
	struct slice issuer;
	struct slice audience;
	char digest[FORWARD_DEMANDS_LEN + 1];
	char text[];
};

/** Copies them; *out is NULL when both are empty, else freed with free. 0 or PARLANCE_ENOMEM. */
MUST_USE int demands_new(struct demands **out, struct slice issuer, struct slice audience);
/** Two are the same when these are; "" of NULL. */
const char *demands_digest(const struct demands *demands);
/** Those of the listener that the client came in by, of whatever instance it is. */
const char *demands_of_request(const struct conn *conn, const struct peer_claim *via);

/* forward.c */

/** Passes the request on, and everything behind it both ways. client and secure: for whom; it came
 * in by conn's listener. */
void forward_request(struct conn *conn, const struct http_request *request,
		     const struct peer *peer, const struct ip_addr *client, bool upgrade,
		     bool secure);
/** Takes the bytes. */
void forward_input(struct conn *conn, struct slice *in);
/** The client has taken all that there was. */
void forward_written(struct conn *conn);
/** conn's deadline has passed. */
void forward_timeout(struct conn *conn);
/** True while the owner has not taken what came from the client. */
bool forward_waits(const struct forward *forward);
/** True when it ends soon by itself, so that a shutdown can wait for it. */
bool forward_may_finish(const struct forward *forward);
/** Ends the connection to the owner and clears the pointer. Harmless on NULL. */
void forward_free(struct forward **forward);

/* admin.c */

/** A request on an admin listener. */
void admin_request(struct conn *conn, const struct http_request *request);

/* http.c */

/** The request's head is complete. Answers it, or moves the connection on. */
void http_request(struct conn *conn, const struct http_request *request);

struct http_answer {
	unsigned int status;
	const char *type;    /* of the body; NULL: none */
	const char *headers; /* more header lines, each ended with CRLF, or NULL */
	struct slice body;
	/* Answered with it instead of type and body, without a copy, or (304) with its headers
	 * alone; not a matter of CORS. */
	const struct file *file;
};

/** Answers the current request, CORS headers included; the next may come if it allows that, and
 * when the file is written. */
void http_answer(struct conn *conn, const struct http_answer *answer);
void http_answer_text(struct conn *conn, unsigned int status, const char *text,
		      const char *headers);
void http_answer_error(struct conn *conn, enum eio_error error);
/** 503, come back later. */
void http_refuse_overload(struct conn *conn);

/* redirect.c */

/** A request on a listener with a redirect. */
void redirect_request(struct conn *conn, const struct http_request *request);

/* web.c */
MUST_USE int web_load(struct net *net, struct strbuf *err);
/** Answers a request whose path is not the endpoint's. */
void web_request(struct conn *conn, const struct http_request *request);
/** Appends a file's header lines to conn->out. */
void web_append_headers(struct conn *conn, const struct file *file);

/* polling.c */
void polling_get(struct conn *conn, struct session *session);
void polling_post(struct conn *conn, struct session *session, uint64_t length);
/** All of the body is in conn->rx. */
void polling_body_complete(struct conn *conn);
/** The body did not come in time. */
void polling_body_timeout(struct conn *conn);
/** Answers the held GET, if there is one and something to say. End of turn. */
void polling_flush(struct session *session);

/* ws.c */

/** Answers an upgrade; session is that of a probe, or NULL to open one with the handshake (taken
 * over). refuse: let in, then closed at once. */
void ws_upgrade(struct conn *conn, const struct http_request *request, struct session *session,
		struct handshake *handshake, bool refuse);
/** Takes what it can of the bytes. */
void ws_input(struct conn *conn, struct slice *in);
/** Appends a Close frame to conn->out. */
void ws_append_close(struct conn *conn, enum ws_status status);

/* session.c */

/* A session's life. Allowed moves are a table in session.c. */
#define SESSION_STATE_LIST(X)                                                            \
	X(SESSION_POLLING, 1, "polling")                                                 \
	X(SESSION_PROBING, 2, "probing")   /* polling, while a WebSocket was probed */   \
	X(SESSION_WEBSOCKET, 3, "websocket")                                             \
	X(SESSION_FLUSHING, 4, "flushing") /* closed; what is queued still goes out */   \
	X(SESSION_CLOSED, 5, "closed")     /* freed at the end of the turn */

enum session_state {
#define X(name, value, text) name = value,
	SESSION_STATE_LIST(X)
#undef X
};

struct session {
	struct net *net;
	void *user;
	uint64_t id;
	struct list dirty;
	struct conn *ws;   /* the transport, or the probe while polling or probing */
	struct conn *poll; /* the held GET */
	struct conn *post; /* the POST whose body is coming */
	struct outq outq;
	struct timer timer;          /* heartbeat; deadline of the flush */
	uint64_t due_ms;             /* of the next ping, or of the pong */
	uint64_t over_soft_since_ms; /* 0: the queue is below the soft limit */
	struct handshake *handshake;
	struct address *address; /* counted against its limits; NULL: exempt */
	struct demands *demands; /* of tokens; NULL: none */
	char sid[ID_TOKEN_LEN + FORWARD_SID_SUFFIX_MAX + 1];
	uint8_t sid_len;
	uint8_t state;  /* enum session_state */
	uint8_t reason; /* enum session_close, once closed */
	bool pong_awaited;
	bool sent_since_ping; /* the client takes output, though slowly */
	bool congested;
	bool drained;       /* drain is to be called */
	bool told;          /* the close callback was called */
	bool by_polls;      /* FLUSHING: what is left goes with polls */
	bool was_websocket; /* counted in net->n_websocket */
};

/** What the texts of a struct session_handshake point into. */
struct handshake {
	struct session_handshake view;
	char address[IP_TEXT_MAX];
	char text[];
};

/** Opens a session that the connection asks for, with it as its WebSocket or not. Takes the
 * handshake over. */
MUST_USE int session_open(struct net *net, struct handshake *handshake, struct conn *conn,
			  bool websocket, struct session **out);
struct session *session_by_sid(const struct net *net, struct slice sid);
void session_set_state(struct session *session, enum session_state state);
/** The session goes on, or says its last words, over the WebSocket that was its probe. */
void session_upgraded(struct session *session);
/** An Engine.IO packet from the client; false when the session is closed after it. */
bool session_receive(struct session *session, const struct eio_packet *packet);
/** Closed at once: nothing more goes out but a Close frame. */
void session_fail(struct session *session, enum session_close reason, enum ws_status status);
/** A connection of the session is gone, or has become useless to it. */
void session_conn_gone(struct session *session, struct conn *conn);
void session_mark_dirty(struct session *session);
/** Packets have left the queue, which held so many bytes before. */
void session_sent(struct session *session, size_t before_bytes);
/** True when the heartbeat's deadline has passed, though its timer may not have fired yet. */
bool session_expired(const struct session *session);
/** True from the answer to a probe to the "5" or the end of the WebSocket: the client polls no
 * more, or soon will not. */
bool session_is_upgrading(const struct session *session);
/** True while messages go both ways. */
bool session_is_open(const struct session *session);
void session_end_of_turn(struct session *session);

struct listener {
	struct net *net;
	char *name;
	struct demands *demands; /* of tokens; NULL: none */
	struct lws_vhost *vhost;
	struct io *io;
	struct timer resume_timer;
	struct timer tls_timer; /* looks for a new certificate */
	struct tls *tls;        /* NULL: plain */
	char *redirect;         /* where everybody is sent; NULL: nowhere */
	char *unix_path; /* unlinked at the end, when we made it */
	int fd;
	int port;
	uint32_t tls_reload_s;
	uint32_t hsts_max_age_s;
	bool unix_peer;
	bool proxy_protocol;
	bool admin;
};

/* listener_update.c */

/** The TLS that the config asks for. 0 or a PARLANCE_E* with a sentence in err. */
MUST_USE int listener_tls(struct tls **out, const struct net_listener_config *config,
			  struct strbuf *err);
/** Takes over what a listener is told when it begins, and may be told again, but for the certificate.
 * 0 or PARLANCE_ENOMEM. */
MUST_USE int listener_take(struct listener *listener, const struct net_listener_config *config);

/* listener.c */
void listener_free(struct listener **listener);
void listener_stop(struct listener *listener);

/* vhost.c */
MUST_USE int vhost_context(struct net *net, struct strbuf *err);
/** The one for listeners with this TLS (NULL: plain). */
MUST_USE int vhost_for(struct net *net, struct tls *tls, struct lws_vhost **out,
		       struct strbuf *err);

#endif
