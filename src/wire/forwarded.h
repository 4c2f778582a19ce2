/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Addresses of clients behind proxies: CIDR lists of trusted proxies and X-Forwarded-For. Pure,
 * any thread.
 */
#ifndef PARLANCE_WIRE_FORWARDED_H
#define PARLANCE_WIRE_FORWARDED_H

#include "base/slice.h"
#include "base/check.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An address as 16 bytes; IPv4 as ::ffff:a.b.c.d. A Unix socket's peer is all zeros. */
struct ip_addr {
	uint8_t b[16];
};

/** True for the address that no client has: the peers of Unix sockets. */
static inline bool ip_is_unset(const struct ip_addr *ip)
{
	static const struct ip_addr unset = { { 0 } };

	return memcmp(ip, &unset, sizeof(unset)) == 0;
}

/** True for an IPv4 address in its 16-byte form. */
static inline bool ip_is_v4(const struct ip_addr *ip)
{
	static const uint8_t prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	return memcmp(ip->b, prefix, sizeof(prefix)) == 0;
}

#define IP_TEXT_MAX 46 /* INET6_ADDRSTRLEN */

/** Parses "1.2.3.4", "::1", "[::1]", each with an optional ":port" (for IPv6 only with brackets).
 *  0 or PARLANCE_EINVAL. "::" is refused: nobody has that address (RFC 4291 section 2.5.2), and
 *  text must not be able to name the peer of a Unix socket. */
MUST_USE int ip_parse(struct slice text, struct ip_addr *out);

/** Terminated text, IPv4 in its own form. */
void ip_format(const struct ip_addr *ip, char out[IP_TEXT_MAX]);

struct ip_net {
	struct ip_addr addr;
	uint8_t bits; /* 0..128, counted in the 16-byte form */
};

/** Parses "10.0.0.0/8", "::1", "unix" (the peers of Unix sockets). 0 or PARLANCE_EINVAL (bits set
 *  behind the mask are an error too). "::/0" has everybody. */
MUST_USE int ip_net_parse(struct slice text, struct ip_net *out);

bool ip_net_has(const struct ip_net *nets, size_t n, const struct ip_addr *ip);

/** The client's address by X-Forwarded-For: walks the comma list from the right while the address
 *  so far is trusted; the first that is not is the client. An entry that cannot be read ends the
 *  walk. `peer` is who connected; without trust in it the header is ignored. */
struct ip_addr forwarded_client(struct slice header, const struct ip_net *trusted, size_t n,
				const struct ip_addr *peer);

#ifdef __cplusplus
}
#endif
#endif
