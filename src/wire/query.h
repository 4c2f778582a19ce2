/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The query string of an Engine.IO request. Pure codec, any thread.
 */
#ifndef PARLANCE_WIRE_QUERY_H
#define PARLANCE_WIRE_QUERY_H

#include "base/check.h"
#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum query_transport {
	QUERY_TRANSPORT_NONE = 1, /* absent */
	QUERY_TRANSPORT_UNKNOWN,  /* present, not one of ours */
	QUERY_TRANSPORT_POLLING,
	QUERY_TRANSPORT_WEBSOCKET,
};

struct query {
	bool has_eio;
	int eio; /* -1 when absent or not a decimal number of at most 3 digits */
	enum query_transport transport;
	struct slice sid;   /* empty when absent; borrowed from the pair */
	struct slice token; /* likewise */
};

void query_init(struct query *q);

/** Takes one decoded "key=value" pair ("key" alone: empty value). Of a repeated key the first
 *  counts; unknown keys are ignored. The value is borrowed; pair.p is not NULL. */
void query_pair(struct query *q, struct slice pair);

/** Percent-decoding (RFC 3986 section 2.1, and '+' as a blank) in place. The new length, or -1 when
 *  an escape is malformed or gives a zero byte (the text is then spoilt). */
long query_unescape(char *p, size_t len);

/** Splits a raw query (without '?') at '&', decodes each pair in place, gives each to query_pair.
 *  q was prepared by query_init. 0 or PARLANCE_EINVAL. */
MUST_USE int query_parse(struct query *q, char *text, size_t len);

#ifdef __cplusplus
}
#endif
#endif
