/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Who may connect, and how often: connections in all, connections per address, handshakes per
 * second per address (a token bucket). Loop thread.
 *
 * Over a limit there is a small margin: a connection in it is accepted so that it can be told 503,
 * and so that polling requests of sessions that exist are served; beyond the margin a connection
 * is closed unheard.
 */
#ifndef PARLANCE_NET_LIMITS_H
#define PARLANCE_NET_LIMITS_H

#include "base/map.h"
#include "wire/forwarded.h"

#ifdef __cplusplus
extern "C" {
#endif

enum limit_verdict {
	LIMIT_OK = 1,
	LIMIT_NO_HANDSHAKE, /* in the margin */
	LIMIT_CLOSE,
};

/* What is known of a client's address while it has connections or owes handshakes. */
struct address {
	struct ip_addr ip;
	uint32_t connections;
	uint32_t sessions;
	double tokens;
	uint64_t refilled_ms;
};

struct limits {
	uint32_t max_connections;
	uint32_t max_per_address;
	uint32_t handshakes_per_second;
	uint32_t handshake_burst;
	struct map *addresses;
};

/** Prepares them; 0 of a limit: none. 0 or PARLANCE_ENOMEM. */
MUST_USE int limits_init(struct limits *l, uint32_t max_connections, uint32_t max_per_address,
			 uint32_t handshakes_per_second, uint32_t handshake_burst);
void limits_fini(struct limits *l);

/** Other limits per address from now on. */
void limits_set_per_address(struct limits *l, uint32_t max_per_address,
			    uint32_t handshakes_per_second, uint32_t handshake_burst);

/** May another connection come in, with n of them there? */
enum limit_verdict limits_total(const struct limits *l, uint32_t n);

/** Counts a connection of the address; *out holds the address until limits_disconnect.
 * LIMIT_CLOSE: nothing was counted, *out is NULL. */
enum limit_verdict limits_connect(struct limits *l, const struct ip_addr *ip, struct address **out);

/** A connection is gone. Clears the pointer; harmless on NULL. */
void limits_disconnect(struct limits *l, struct address **address, uint64_t now_ms);

/** A session was opened by a connection of this address (NULL: exempt): *out holds it until
 * limits_session_closed, which clears the pointer and is harmless on NULL. */
void limits_session_opened(struct address *address, struct address **out);
void limits_session_closed(struct limits *l, struct address **address, uint64_t now_ms);

/** May the address, with the sessions it has, have another? */
bool limits_session_ok(const struct limits *l, const struct address *address);

/** May the address open another session now? Takes a token; *retry_after_s says when the next
 * comes when it may not. */
MUST_USE bool limits_handshake(struct limits *l, struct address *address, uint64_t now_ms,
			       uint32_t *retry_after_s);

/** Forgets addresses without connections whose bucket is full again. Called now and then. */
void limits_sweep(struct limits *l, uint64_t now_ms);

#ifdef __cplusplus
}
#endif
#endif
