/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The set of keys in force, and when it is fetched again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch.h"
#include "source.h"

#define RETRY_MAX_MS 300000 /* while it cannot be fetched and nobody asks */
#define RETRY_DOUBLINGS 5

struct source {
	struct source_config config; /* issuer and where are copies */
	char *issuer;
	char *where;
	struct keyset *set; /* NULL: none yet, or it was too old */
	struct fetch *fetch;
	struct parlance_timer *timer;
	bool tried;
	uint64_t tried_ms;   /* monotonic: the end of the last fetch, */
	uint64_t fetched_ms; /* and of the last good one */
	unsigned failures;   /* since then */
	char note[KEYSET_NOTE_MAX]; /* about the keys that are left out, as it was logged */
	char problem[KEYSET_NOTE_MAX]; /* of the last fetch */
};

static uint64_t now_ms(const struct source *s)
{
	return s->config.host->mono_ms(s->config.host->ctx);
}

static void say(const struct source *s, int level, const char *text)
{
	const struct parlance_host *host = s->config.host;
	/* The rest of a URL may hold a key. */
	int where_len = (int)strcspn(s->where, "?");
	char line[1024];

	(void)snprintf(line, sizeof(line), "the key set at %.*s%s%s: %s", where_len, s->where,
		       s->issuer ? " of the issuer " : "", s->issuer ? s->issuer : "", text);
	host->log(host->ctx, level, line);
}

/* Time */

/* A tenth at most is taken off by chance, so that instances do not come all at once. */
static void schedule(struct source *s, uint64_t ms)
{
	const struct parlance_host *host = s->config.host;
	uint16_t chance;

	host->random(host->ctx, &chance, sizeof(chance));
	ms -= ms / 10 * chance / UINT16_MAX;
	host->timer_start(s->timer, ms ? ms : 1);
}

static uint64_t age_ms(const struct source *s, int64_t max_age_s)
{
	const struct source_times *t = &s->config.times;
	uint64_t ms = max_age_s < 0 ? t->max_age_ms : (uint64_t)max_age_s * 1000;

	/* A file says nothing, and looking costs nothing. */
	if (!fetch_is_url(s->where))
		return t->retry_ms;
	if (ms > t->max_age_ms)
		ms = t->max_age_ms;
	return ms < t->min_age_ms ? t->min_age_ms : ms;
}

static uint64_t backoff_ms(const struct source *s)
{
	unsigned doublings = s->failures > RETRY_DOUBLINGS ? RETRY_DOUBLINGS : s->failures - 1;
	uint64_t ms = s->config.times.retry_ms << doublings;

	if (!fetch_is_url(s->where) || ms < s->config.times.retry_ms)
		return s->config.times.retry_ms;
	return ms > RETRY_MAX_MS && s->config.times.retry_ms < RETRY_MAX_MS ? RETRY_MAX_MS : ms;
}

static void drop_stale(struct source *s)
{
	if (!s->set || !s->failures || now_ms(s) - s->fetched_ms < s->config.times.stale_ms)
		return;
	keyset_free(&s->set);
	say(s, PARLANCE_LOG_ERR,
	    "it could not be fetched for jwks_stale_s and is not in force any more; nobody gets in "
	    "with its tokens until it can");
}

/* Fetching */

static void failed(struct source *s, const char *problem)
{
	char text[KEYSET_NOTE_MAX + 160];

	(void)snprintf(s->problem, sizeof(s->problem), "%s", problem);
	if (!s->failures++) {
		(void)snprintf(text, sizeof(text), "it cannot be fetched (%s); %s", problem,
			       s->set ? "the one of before stays in force for jwks_stale_s"
				      : "nobody gets in with its tokens until it can");
		say(s, PARLANCE_LOG_WARNING, text);
	}
	drop_stale(s);
	schedule(s, backoff_ms(s));
}

static void take(struct source *s, struct keyset **set, const char *note)
{
	bool first = !s->set;
	char text[64];

	keyset_free(&s->set);
	s->set = *set;
	*set = NULL;
	if (note[0] && strcmp(note, s->note) != 0)
		say(s, PARLANCE_LOG_WARNING, note);
	(void)snprintf(s->note, sizeof(s->note), "%s", note);
	if (!keyset_size(s->set))
		say(s, PARLANCE_LOG_WARNING, "it has no key that can be used; nobody gets in with "
					     "its tokens");
	(void)snprintf(text, sizeof(text), "%zu keys", keyset_size(s->set));
	say(s, first || s->failures ? PARLANCE_LOG_NOTICE : PARLANCE_LOG_DEBUG, text);
}

static void on_fetched(void *arg, const struct fetch_result *r)
{
	struct source *s = arg;
	const struct parlance_host *host = s->config.host;
	char note[KEYSET_NOTE_MAX] = "";
	struct keyset *set = NULL;
	const char *problem = r->problem;

	s->tried = true;
	s->tried_ms = now_ms(s);
	s->problem[0] = '\0';
	/* A file that was bad the last time still is. */
	if (!problem && r->unchanged && (s->failures || !s->set))
		problem = "it has not changed";
	if (!problem && !r->unchanged && keyset_read(&set, r->body, note))
		problem = note;
	if (problem) {
		host->count(host->ctx, "jwks_failed", 1);
		failed(s, problem);
	} else {
		host->count(host->ctx, "jwks_fetched", 1);
		if (set)
			take(s, &set, note);
		s->failures = 0;
		s->fetched_ms = s->tried_ms;
		schedule(s, age_ms(s, r->max_age_s));
	}
	if (s->config.wake)
		s->config.wake(s->config.arg, s);
}

static int begin(struct source *s)
{
	s->config.host->timer_stop(s->timer);
	if (fetch_begin(s->fetch) == 0)
		return 0;
	s->tried = true;
	s->tried_ms = now_ms(s);
	failed(s, "out of memory");
	return -1;
}

static void on_timer(void *arg)
{
	struct source *s = arg;

	if (!fetch_busy(s->fetch))
		(void)begin(s);
}

/* Life */

struct source *source_new(const struct source_config *config, char *err, size_t err_size)
{
	struct source *s = calloc(1, sizeof(*s));
	const struct parlance_host *host = config->host;

	if (!s)
		goto no_memory;
	s->config = *config;
	s->config.wake = NULL;
	s->where = strdup(config->where);
	s->issuer = config->issuer ? strdup(config->issuer) : NULL;
	s->timer = host->timer_new(host->ctx, on_timer, s);
	s->fetch = fetch_new(host, config->where, KEYSET_BYTES_MAX, on_fetched, s);
	if (!s->where || (config->issuer && !s->issuer) || !s->timer || !s->fetch)
		goto no_memory;
	if (!fetch_is_url(s->where)) {
		fetch_now(s->fetch);
		if (!s->set) {
			(void)snprintf(err, err_size, "jwks: %s: %s", s->where, s->problem);
			source_free(&s);
			return NULL;
		}
	}
	s->config.wake = config->wake;
	return s;
no_memory:
	(void)snprintf(err, err_size, "out of memory");
	source_free(&s);
	return NULL;
}

void source_start(struct source *s)
{
	if (fetch_is_url(s->where) && !s->set)
		(void)begin(s);
}

void source_adopt(struct source *s, struct source *from)
{
	/* A file was read anew. */
	if (!fetch_is_url(s->where))
		return;
	keyset_free(&s->set);
	s->set = from->set;
	from->set = NULL;
	s->tried = from->tried;
	s->tried_ms = from->tried_ms;
	s->fetched_ms = from->fetched_ms;
	s->failures = from->failures;
	memcpy(s->note, from->note, sizeof(s->note));
	/* Its age is not known any more. */
	if (s->set)
		schedule(s, s->config.times.retry_ms);
}

bool source_stop(struct source *s)
{
	s->config.host->timer_stop(s->timer);
	fetch_stop(s->fetch);
	return !fetch_busy(s->fetch);
}

void source_free(struct source **sp)
{
	struct source *s = *sp;

	if (!s)
		return;
	*sp = NULL;
	s->config.host->timer_free(s->timer);
	fetch_free(&s->fetch);
	keyset_free(&s->set);
	free(s->issuer);
	free(s->where);
	free(s);
}

const char *source_issuer(const struct source *s)
{
	return s->issuer;
}

bool source_is_same(const struct source *a, const struct source *b)
{
	return strcmp(a->where, b->where) == 0 && !a->issuer == !b->issuer &&
	       (!a->issuer || strcmp(a->issuer, b->issuer) == 0);
}

/* Asking */

enum source_answer source_find(struct source *s, const struct algorithm *alg,
			       struct parlance_str kid, const struct pubkey **key)
{
	drop_stale(s);
	*key = s->set ? keyset_find(s->set, alg, kid) : NULL;
	if (*key)
		return SOURCE_FOUND;
	if (fetch_busy(s->fetch))
		return SOURCE_WAIT;
	if (!s->tried || now_ms(s) - s->tried_ms >= s->config.times.retry_ms)
		return begin(s) ? SOURCE_AWAY : SOURCE_WAIT;
	return s->set && !s->failures ? SOURCE_NONE : SOURCE_AWAY;
}
