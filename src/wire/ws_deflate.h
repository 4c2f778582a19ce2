/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * permessage-deflate (RFC 7692) on zlib, without context takeover either way, so that no connection
 * keeps a window: one pair of streams serves all, and is reset for each message. One thread at a
 * time.
 */
#ifndef PARLANCE_WIRE_WS_DEFLATE_H
#define PARLANCE_WIRE_WS_DEFLATE_H

#include "base/slice.h"
#include "base/strbuf.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Reads the offers of a Sec-WebSocket-Extensions header. True when one can be accepted, the first
 *  is; *response is then what the 101 answer says, in static memory (always without context
 *  takeover, both ways). An offer that restricts our window (server_max_window_bits below 15), or
 *  has a parameter unknown, repeated or malformed, is passed over. */
bool ws_deflate_accept(struct slice offers, const char **response);

/** Compresses a message's payload (at most UINT_MAX bytes) into *out (appended), the last four
 *  bytes cut off as section 7.2.1 has it; out->max must have room for them. 0, PARLANCE_ETOOBIG,
 *  PARLANCE_ENOMEM; on an error *out has a part of it. */
MUST_USE int ws_deflate(struct slice payload, struct strbuf *out);

/** Decompresses into *out (appended; out->max is the bound). 0, PARLANCE_EINVAL (not a deflate
 *  stream, or it is cut off), PARLANCE_ETOOBIG (over out->max, found before the memory is spent),
 *  PARLANCE_ENOMEM; on an error *out may have a part of it. */
MUST_USE int ws_inflate(struct slice payload, struct strbuf *out);

/** Gives the streams back. */
void ws_deflate_fini(void);

#ifdef __cplusplus
}
#endif
#endif
