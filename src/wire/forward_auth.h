/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What instances tell each other about a request that one passes on to another: which instance a
 * session belongs to, in its sid, and for whom a request is passed on, in a header that only
 * somebody with the shared secret can make:
 *
 *   Parlance-Forwarded: 1;from=N;at=UNIX_MS;for=CLIENT-IP;proto=http|https;mac=BASE64URL
 *
 * and, where the client came in by a listener that demands something of tokens, ";demands=BASE64URL"
 * before ";mac".
 *
 * mac is HMAC-SHA256 over all before it and the method and the target of the request, so the header
 * is good for that request alone, and for a minute. Pure, any thread.
 */
#ifndef PARLANCE_WIRE_FORWARD_AUTH_H
#define PARLANCE_WIRE_FORWARD_AUTH_H

#include "base/strbuf.h"
#include "wire/forwarded.h"
#include "wire/http.h"

#ifdef __cplusplus
extern "C" {
#endif

#define FORWARD_HEADER "Parlance-Forwarded"

/* How far the clocks of two instances may be apart, the way of the request included. */
#define FORWARD_SKEW_MS 60000

/* '.' and the digits of 2^64 - 1 in base 36. */
#define FORWARD_SID_SUFFIX_MAX 14

/** Writes what an instance's number (not 0) adds to the sid of its sessions, terminated; returns
 * its length. All of it is unreserved in a URL (RFC 3986 section 2.3). */
size_t forward_sid_suffix(uint64_t number, char out[FORWARD_SID_SUFFIX_MAX + 1]);

/** The number that a sid carries, 0: none. Only what forward_sid_suffix writes is one. */
uint64_t forward_sid_number(struct slice sid);

/* Base64url of SHA-256. */
#define FORWARD_DEMANDS_LEN 43

/** What stands for a listener's demands, one of which is not empty; terminated. 0 or
 * PARLANCE_ENOMEM. */
MUST_USE int forward_demands(struct slice issuer, struct slice audience,
			     char out[FORWARD_DEMANDS_LEN + 1]);

struct forward_claim {
	uint64_t from;         /* number of the instance that passes it on; not 0 */
	int64_t at_ms;         /* its wall clock */
	struct ip_addr client; /* the peer of a Unix socket is "unix" */
	bool secure;           /* the client speaks TLS, to us or to a trusted proxy */
	/* Of the listener that the client came in by (forward_demands); empty: none. */
	char demands[FORWARD_DEMANDS_LEN + 1];
};

/** Appends the header's value for a request (GET or POST; others are not passed on). */
void forward_auth_append(struct strbuf *out, const struct forward_claim *claim,
			 enum http_method method, struct slice path, struct slice query,
			 struct slice secret);

/** Reads and verifies the header's value. 0; PARLANCE_EINVAL: malformed; PARLANCE_EDENIED: not made
 * with this secret (which is not empty) for this request; PARLANCE_ETIMEDOUT: it was, but at a time
 * that is too far from now_ms. *out is unspecified unless 0. */
MUST_USE int forward_auth_verify(struct slice value, enum http_method method, struct slice path,
				 struct slice query, struct slice secret, int64_t now_ms,
				 struct forward_claim *out);

#ifdef __cplusplus
}
#endif
#endif
