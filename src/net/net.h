/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * net: the transport layer. Listens, speaks HTTP, long-polling and WebSocket (on libwebsockets,
 * the only layer that knows it), and hands up Engine.IO sessions (session.h). One struct net per
 * process. Loop thread.
 */
#ifndef PARLANCE_NET_NET_H
#define PARLANCE_NET_NET_H

#include "base/strbuf.h"
#include "loop/loop.h"
#include "net/session.h"
#include "wire/forwarded.h"

#ifdef __cplusplus
extern "C" {
#endif

struct net_config {
	const char *path; /* "/socket.io/"; begins with a slash; served with and without one at its end */
	uint32_t ping_interval_ms;
	uint32_t ping_timeout_ms;
	uint32_t upgrade_timeout_ms;
	uint64_t max_payload_bytes; /* of one message, or of one polling request */
	bool websocket_compression;
	uint64_t compression_threshold_bytes;

	const char *const *cors_origins;
	size_t n_cors_origins;
	bool cors_credentials;
	uint32_t cors_max_age_s;
	bool allow_no_origin;

	uint32_t max_connections;
	uint32_t max_connections_per_address;       /* 0: no limit */
	uint32_t handshakes_per_second_per_address; /* 0: no limit */
	uint32_t handshake_burst_per_address;
	uint32_t header_timeout_ms; /* TLS handshake and request head together */
	uint32_t body_timeout_ms;
	uint32_t idle_timeout_ms; /* between two requests on one connection */
	uint32_t max_header_bytes;
	uint64_t queue_high_bytes;
	uint64_t queue_low_bytes;
	uint64_t queue_soft_bytes;
	uint32_t queue_soft_seconds;
	uint64_t queue_hard_bytes;
	const struct ip_net *trusted_proxies;
	size_t n_trusted_proxies;

	const char *web_root;    /* folder of files that are served beside path; empty or NULL: none */
	uint64_t web_max_bytes;  /* of all its files */
	uint32_t web_max_files;
};

enum net_tls_version {
	NET_TLS_1_2 = 1,
	NET_TLS_1_3,
};

struct net_listener_config {
	const char *name;    /* for the log */
	/* 127.0.0.1:3000, [::]:3000, localhost:0, unix:/run/parlance.sock, systemd:NAME */
	const char *address;
	uint32_t unix_mode;  /* permissions of the Unix socket */
	bool reuse_port;     /* several processes on one port */
	bool proxy_protocol; /* each connection begins with a PROXY header, version 1 or 2 */
	const char *tls_cert; /* chain in PEM; empty: plain */
	const char *tls_key;
	uint32_t tls_reload_s; /* how often the files are looked at; 0: never */
	enum net_tls_version tls_min_version;
	const char *issuer;   /* what it demands of tokens, */
	const char *audience; /* and of sessions that are used through it (session.h); empty or NULL: nothing */
	const char *tls_ciphers;      /* of TLS 1.2, OpenSSL's list; empty or NULL: its default */
	const char *tls_ciphersuites; /* of TLS 1.3; likewise */
	uint32_t hsts_max_age_s;      /* Strict-Transport-Security; 0: none */
	const char *redirect; /* https://host: answers with that and nothing else; empty or NULL: no */
	bool admin; /* answers /healthz and /readyz, and nothing else */
};

/** Reads web_root into memory and starts libwebsockets on the loop. config and its arrays are
 * borrowed for net's life. 0 or a PARLANCE_E* with a sentence in err. */
MUST_USE int net_new(struct net **out, struct loop *loop, const struct net_config *config,
		     const struct session_ops *ops, void *ctx, struct strbuf *err);

/** Opens a listener; accepts begin with the loop. The config is borrowed for the call. 0 or a
 * PARLANCE_E* with a sentence in err. */
MUST_USE int net_listen(struct net *net, const struct net_listener_config *config,
			struct strbuf *err);

/** Whether net_listen would find the listener's certificate, key and ciphers usable. 0 or a PARLANCE_E*
 * with a sentence in err. */
MUST_USE int net_listener_check(const struct net_listener_config *config, struct strbuf *err);

/** Takes over what a listener can change while it listens: redirect, hsts_max_age_s, tls_cert, tls_key,
 * tls_reload_s. The certificate is read anew in any case; one that cannot be used is logged, and the
 * one before stays. TLS neither begins nor ends by that. */
void net_listener_update(struct net *net, const struct net_listener_config *config);

/** The values of net_new's config have changed in their place. What may change: cors_*,
 * allow_no_origin, trusted_proxies, *_per_address and idle_timeout_ms. */
void net_config_changed(struct net *net);

/** The port of the i-th listener (0 for a Unix socket), or -1 when there is none. */
int net_listener_port(const struct net *net, size_t i);

/*
 * Several instances behind a load balancer that knows nothing of sessions: a request for a session
 * of another instance is passed on to it. Whose a session is, its sid says.
 */

struct net_peer {
	uint64_t number;
	/* 192.0.2.1:3000, [2001:db8::1]:3000 or unix:/path; no names. A listener of that instance
	 * without TLS, proxy_protocol and admin. */
	const char *address;
};

/** This process's number among the instances (0: none, then nothing is passed on), and the secret
 * that they share; copied. Sessions from now on carry the number; those that are there stay. */
void net_set_instance(struct net *net, uint64_t number, struct slice secret);

/** The instances that requests may be passed on to, in place of those before; copied. One whose
 * address cannot be used is left out, and the log says so. */
void net_set_peers(struct net *net, const struct net_peer *peers, size_t n);

/** What admin listeners say at /readyz: why_not is one sentence, copied (NULL: ready). "starting"
 * until it is called. */
void net_set_ready(struct net *net, const char *why_not);

/** What admin listeners answer at /metrics, written by write(arg, out). Until it is called: 404. */
void net_set_metrics(struct net *net, void (*write)(void *arg, struct strbuf *out), void *arg);

/** No new sessions from now on: their handshakes are answered with 503 and Retry-After, so that
 * clients try elsewhere. Those that there are go on, and requests for them are served. */
void net_drain(struct net *net);

/** Stops listening and closes all sessions with SESSION_SERVER_SHUTDOWN; done(arg) is called when
 * the last connection is gone, or after timeout_ms. */
void net_shutdown(struct net *net, uint32_t timeout_ms, void (*done)(void *arg), void *arg);

/** Frees everything and clears the pointer; runs the loop until libwebsockets has let go of it.
 * Not from a callback. Harmless on NULL. */
void net_free(struct net **net);

/* What was refused because there was too much of it: rows of [limits]. */
enum net_limit {
	NET_LIMIT_CONNECTIONS,             /* connections and sessions in all */
	NET_LIMIT_CONNECTIONS_PER_ADDRESS, /* likewise of one client */
	NET_LIMIT_HANDSHAKES,              /* per second, of one client */
	NET_LIMIT_HEADER,                  /* bytes of a request's head */
	NET_LIMITS
};

struct net_stats {
	uint32_t connections;
	uint32_t sessions;
	uint32_t sessions_websocket;
	uint64_t accepted;
	uint64_t limited[NET_LIMITS];
	uint64_t closed[SESSION_CLOSE_MAX + 1]; /* sessions, by enum session_close */
	uint64_t refused_origin;
	uint64_t accept_paused; /* times that accepting stopped for lack of descriptors or memory */
	uint64_t queued_bytes;
	uint32_t forwarding;     /* requests that another instance is dealing with */
	uint64_t forwarded;      /* such requests so far */
	uint64_t forward_failed; /* of them those for which it could not be reached */
};

void net_stats(const struct net *net, struct net_stats *out);

#ifdef __cplusplus
}
#endif
#endif
