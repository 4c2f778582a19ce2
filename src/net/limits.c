/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Limits per address. An address without connections is kept while its bucket is not full: else a
 * reconnect would refill it.
 */
#include "net/limits.h"
#include "base/err.h"

static struct slice address_key(const void *item)
{
	const struct address *a = item;

	return slice_of((const char *)a->ip.b, sizeof(a->ip.b));
}

void limits_set_per_address(struct limits *l, uint32_t max_per_address,
			    uint32_t handshakes_per_second, uint32_t handshake_burst)
{
	l->max_per_address = max_per_address;
	l->handshakes_per_second = handshakes_per_second;
	l->handshake_burst = handshake_burst > handshakes_per_second ? handshake_burst
								     : handshakes_per_second;
}

int limits_init(struct limits *l, uint32_t max_connections, uint32_t max_per_address,
		uint32_t handshakes_per_second, uint32_t handshake_burst)
{
	l->max_connections = max_connections;
	limits_set_per_address(l, max_per_address, handshakes_per_second, handshake_burst);
	l->addresses = map_new(address_key);
	return l->addresses ? 0 : PARLANCE_ENOMEM;
}

void limits_fini(struct limits *l)
{
	struct address *a;
	size_t pos = 0;

	if (!l->addresses)
		return;
	while ((a = map_next(l->addresses, &pos)))
		free(a);
	map_free(&l->addresses);
}

static uint32_t margin(uint32_t limit)
{
	uint32_t m = limit / 8 + 1;

	return m < 64 ? m : 64;
}

static enum limit_verdict judge(uint32_t n, uint32_t limit)
{
	if (n < limit)
		return LIMIT_OK;
	return n - limit < margin(limit) ? LIMIT_NO_HANDSHAKE : LIMIT_CLOSE;
}

enum limit_verdict limits_total(const struct limits *l, uint32_t n)
{
	return l->max_connections ? judge(n, l->max_connections) : LIMIT_OK;
}

enum limit_verdict limits_connect(struct limits *l, const struct ip_addr *ip, struct address **out)
{
	struct address *a = map_get(l->addresses, ip->b, sizeof(ip->b));
	enum limit_verdict v;

	*out = NULL;
	v = l->max_per_address ? judge(a ? a->connections : 0, l->max_per_address) : LIMIT_OK;
	if (v == LIMIT_CLOSE)
		return v;
	if (!a) {
		a = calloc(1, sizeof(*a));
		if (!a)
			return LIMIT_CLOSE;
		a->ip = *ip;
		a->tokens = l->handshake_burst;
		if (map_put(l->addresses, a)) {
			free(a);
			return LIMIT_CLOSE;
		}
	}
	a->connections++;
	*out = a;
	return v;
}

static void refill(const struct limits *l, struct address *a, uint64_t now_ms)
{
	if (now_ms > a->refilled_ms) {
		a->tokens += (double)(now_ms - a->refilled_ms) * l->handshakes_per_second / 1000.0;
		if (a->tokens > l->handshake_burst)
			a->tokens = l->handshake_burst;
	}
	a->refilled_ms = now_ms;
}

static void forget_if_idle(struct limits *l, struct address *a, uint64_t now_ms)
{
	refill(l, a, now_ms);
	if (a->connections || a->sessions ||
	    (l->handshakes_per_second && a->tokens < l->handshake_burst))
		return;
	CHECK(map_del(l->addresses, a->ip.b, sizeof(a->ip.b)) == a);
	free(a);
}

void limits_disconnect(struct limits *l, struct address **ap, uint64_t now_ms)
{
	struct address *a = *ap;

	if (!a)
		return;
	*ap = NULL;
	CHECK(a->connections);
	a->connections--;
	forget_if_idle(l, a, now_ms);
}

void limits_session_opened(struct address *a, struct address **out)
{
	*out = a;
	if (a)
		a->sessions++;
}

void limits_session_closed(struct limits *l, struct address **ap, uint64_t now_ms)
{
	struct address *a = *ap;

	if (!a)
		return;
	*ap = NULL;
	CHECK(a->sessions);
	a->sessions--;
	forget_if_idle(l, a, now_ms);
}

bool limits_session_ok(const struct limits *l, const struct address *a)
{
	return !l->max_per_address || a->sessions < l->max_per_address;
}

bool limits_handshake(struct limits *l, struct address *a, uint64_t now_ms, uint32_t *retry_after_s)
{
	*retry_after_s = 0;
	if (!l->handshakes_per_second)
		return true;
	refill(l, a, now_ms);
	if (a->tokens >= 1.0) {
		a->tokens -= 1.0;
		return true;
	}
	*retry_after_s = 1;
	return false;
}

void limits_sweep(struct limits *l, uint64_t now_ms)
{
	struct address **idle;
	struct address *a;
	size_t pos = 0;
	size_t n = 0;

	/* The map may not change while it is walked; a sweep that gets no memory waits for the
	 * next. */
	idle = calloc(map_count(l->addresses) + 1, sizeof(struct address *));
	if (!idle)
		return;
	while ((a = map_next(l->addresses, &pos)))
		if (!a->connections && !a->sessions)
			idle[n++] = a;
	for (size_t i = 0; i < n; i++)
		forget_if_idle(l, idle[i], now_ms);
	free(idle);
}
