/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What one socket, and one user on all his sockets, may ask for: events and their bytes a second, in token
 * buckets; and how many answers he may have under way. Refusing costs something, too: who goes on
 * regardless loses his connection.
 */
#include "core/private.h"
#include "base/err.h"

enum {
	BURST_S = 5,     /* a bucket holds so many seconds' worth */
	REFUSED_PER_SECOND = 100, /* on a socket, before it ends */
};

static void refill(struct bucket *b, uint32_t per_second, uint64_t now_ms)
{
	double full = (double)per_second * BURST_S;

	if (!b->refilled_ms)
		b->tokens = full;
	else
		b->tokens += (double)(now_ms - b->refilled_ms) * per_second / 1000.0;
	if (b->tokens > full)
		b->tokens = full;
	b->refilled_ms = now_ms;
}

static bool is_empty(struct bucket *b, uint32_t per_second, uint64_t now_ms)
{
	if (!per_second)
		return false;
	refill(b, per_second, now_ms);
	return b->tokens < 1;
}

enum limit_outcome limit_event(struct member *m, size_t bytes)
{
	struct core *core = m->core;
	const struct core_config *c = core->config;
	uint64_t now = loop_now_ms(core->loop);
	const struct {
		struct bucket *bucket;
		uint32_t per_second;
		double cost;
		enum core_limit limit;
	} limits[] = {
		{ &m->events, c->events_per_second, 1, CORE_LIMIT_SOCKET_EVENTS },
		{ &m->user->events, c->user_events_per_second, 1, CORE_LIMIT_USER_EVENTS },
		{ &m->user->event_bytes, c->user_bytes_per_second, (double)bytes,
		  CORE_LIMIT_USER_BYTES },
	};

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		if (!is_empty(limits[i].bucket, limits[i].per_second, now))
			continue;
		core->limited[limits[i].limit]++;
		if (is_empty(&m->refused, REFUSED_PER_SECOND, now))
			return LIMIT_END;
		m->refused.tokens--;
		return LIMIT_REFUSE;
	}
	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		limits[i].bucket->tokens -= limits[i].cost; /* one event may take more than there is */
	return LIMIT_PASS;
}

bool limit_sockets(struct core *core, struct slice user)
{
	const struct user *u = user_find(core, user);

	if (!core->config->max_sockets_per_user || !u ||
	    u->n_members < core->config->max_sockets_per_user)
		return true;
	core->limited[CORE_LIMIT_USER_SOCKETS]++;
	return false;
}

/* ---- answers ---- */

/* A user with answers here, whether or not he has sockets. */
struct asker {
	struct core *core;
	size_t n;
	size_t len;
	char id[];
};

struct slice asker_key(const void *item)
{
	const struct asker *a = item;

	return slice_of(a->id, a->len);
}

enum core_code asker_take(struct core *core, struct slice user, struct asker **out)
{
	const struct core_config *c = core->config;
	struct asker *a = map_get(core->askers, user.p, user.len);

	*out = NULL;
	if (c->max_answers && map_count(core->generations) >= c->max_answers) {
		core->limited[CORE_LIMIT_ANSWERS]++;
		return CODE_UNAVAILABLE;
	}
	if (a && c->max_answers_per_user && a->n >= c->max_answers_per_user) {
		core->limited[CORE_LIMIT_USER_ANSWERS]++;
		return CODE_RATE_LIMITED;
	}
	if (!a) {
		a = calloc(1, sizeof(*a) + user.len + 1);
		if (!a)
			return CODE_UNAVAILABLE;
		a->core = core;
		a->len = user.len;
		memcpy(a->id, user.p, user.len);
		if (map_put(core->askers, a) != 0) {
			free(a);
			return CODE_UNAVAILABLE;
		}
	}
	a->n++;
	*out = a;
	return CODE_NONE;
}

void asker_put(struct asker **ap)
{
	struct asker *a = *ap;

	*ap = NULL;
	if (!a || --a->n)
		return;
	map_del(a->core->askers, a->id, a->len);
	free(a);
}
