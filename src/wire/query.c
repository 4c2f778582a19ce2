/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The query string of an Engine.IO request. Any thread.
 */
#include <string.h>

#include "wire/query.h"

#include "base/err.h"

void query_init(struct query *q)
{
	*q = (struct query){ .eio = -1, .transport = QUERY_TRANSPORT_NONE };
}

static int parse_eio(struct slice value)
{
	int n = 0;

	if (value.len == 0 || value.len > 3)
		return -1;
	for (size_t i = 0; i < value.len; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return -1;
		n = n * 10 + (value.p[i] - '0');
	}
	return n;
}

static enum query_transport parse_transport(struct slice value)
{
	if (slice_is(value, "polling"))
		return QUERY_TRANSPORT_POLLING;
	if (slice_is(value, "websocket"))
		return QUERY_TRANSPORT_WEBSOCKET;
	return QUERY_TRANSPORT_UNKNOWN;
}

void query_pair(struct query *q, struct slice pair)
{
	const char *equals = memchr(pair.p, '=', pair.len);
	struct slice key = pair;
	struct slice value = slice_of(pair.p + pair.len, 0);

	if (equals) {
		key.len = (size_t)(equals - pair.p);
		value = slice_of(equals + 1, pair.len - key.len - 1);
	}
	if (slice_is(key, "EIO") && !q->has_eio) {
		q->has_eio = true;
		q->eio = parse_eio(value);
	} else if (slice_is(key, "transport") && q->transport == QUERY_TRANSPORT_NONE) {
		q->transport = parse_transport(value);
	} else if (slice_is(key, "sid") && !q->sid.p) {
		q->sid = value;
	} else if (slice_is(key, "token") && !q->token.p) {
		q->token = value;
	}
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

long query_unescape(char *p, size_t len)
{
	size_t to = 0;

	for (size_t i = 0; i < len; i++) {
		int high;
		int low;

		if (p[i] != '%') {
			p[to++] = p[i] == '+' ? ' ' : p[i];
			continue;
		}
		if (len - i < 3)
			return -1;
		high = hex_value(p[i + 1]);
		low = hex_value(p[i + 2]);
		if (high < 0 || low < 0 || (high == 0 && low == 0))
			return -1;
		p[to++] = (char)(high << 4 | low);
		i += 2;
	}
	return (long)to;
}

int query_parse(struct query *q, char *text, size_t len)
{
	char *p = text;
	char *end = text + len;

	while (p < end) {
		char *amp = memchr(p, '&', (size_t)(end - p));
		char *next = amp ? amp + 1 : end;
		long n = query_unescape(p, (size_t)((amp ? amp : end) - p));

		if (n < 0)
			return PARLANCE_EINVAL;
		query_pair(q, slice_of(p, (size_t)n));
		p = next;
	}
	return 0;
}
