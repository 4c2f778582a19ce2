/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * PROXY protocol versions 1 and 2 (haproxy/doc/proxy-protocol.txt): the header that a trusted
 * proxy puts before the connection's own bytes. Pure, any thread.
 */
#ifndef PARLANCE_WIRE_PROXY_H
#define PARLANCE_WIRE_PROXY_H

#include "wire/forwarded.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Version 1: 107; version 2: 16 + 520 of addresses and TLVs that we are ready to read. */
#define PROXY_HEADER_MAX 536

struct proxy_header {
	size_t len; /* bytes of the header, to be taken off the connection */
	bool local; /* UNKNOWN, LOCAL or UNSPEC: keep the peer's address (client is all zeros) */
	struct ip_addr client; /* all zeros for AF_UNIX too */
};

/** Reads a header from the first bytes of a connection. 0; PARLANCE_EAGAIN: it goes on beyond these
 *  bytes; PARLANCE_EINVAL: it is none, or it is malformed; PARLANCE_ETOOBIG: over
 *  PROXY_HEADER_MAX. */
MUST_USE int proxy_parse(struct slice bytes, struct proxy_header *out);

#ifdef __cplusplus
}
#endif
#endif
