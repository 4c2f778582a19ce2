/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Where the keys of one issuer come from, and the set that is in force: it is fetched again when it
 * gets old and when a token has a key id that it does not know, and stays in force while it cannot
 * be fetched, up to a bound. Loop thread.
 */
#ifndef AUTH_JWT_SOURCE_H
#define AUTH_JWT_SOURCE_H

#include "keyset.h"

#ifdef __cplusplus
extern "C" {
#endif

struct source;

struct source_times {
	uint64_t min_age_ms; /* bounds on what Cache-Control says */
	uint64_t max_age_ms;
	uint64_t retry_ms;   /* at least so long between two fetches for a token */
	uint64_t stale_ms;   /* so long a set stays in force that cannot be fetched again */
};

struct source_config {
	const struct parlance_host *host;
	const char *issuer; /* NULL: of all tokens that have no set of their own; copied */
	const char *where;  /* URL or path, checked; copied */
	struct source_times times;
	/** A fetch has ended: whoever waits may ask again. */
	void (*wake)(void *arg, struct source *source);
	void *arg;
};

/** A file is read at once. NULL: err has a sentence. */
struct source *source_new(const struct source_config *config, char *err, size_t err_size);
/** Begins to fetch. */
void source_start(struct source *source);
/** Takes over what another source of the same place knows. */
void source_adopt(struct source *source, struct source *from);
/** Does nothing more; false: the host has not let go of it yet, so it cannot be freed. */
bool source_stop(struct source *source);
/** Frees it and clears the pointer: after source_stop has said true, or at the plugin's end.
 * Harmless on NULL. */
void source_free(struct source **source);

/** NULL: of all. */
const char *source_issuer(const struct source *source);
/** Of the same issuer and place. */
bool source_is_same(const struct source *a, const struct source *b);

enum source_answer {
	SOURCE_FOUND = 1,
	SOURCE_NONE, /* there is no such key */
	SOURCE_WAIT, /* ask again when it wakes you */
	SOURCE_AWAY, /* the set cannot be had right now */
};

/** The key for a token; as keyset_find. Valid until the loop's next turn. */
enum source_answer source_find(struct source *source, const struct algorithm *alg,
			       struct parlance_str kid, const struct pubkey **key);

#ifdef __cplusplus
}
#endif
#endif
