/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * All key sets, from the option jwks: each of one issuer, and at most one for all others. Loop
 * thread.
 */
#ifndef AUTH_JWT_SOURCES_H
#define AUTH_JWT_SOURCES_H

#include "source.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sources;

/** items: "SOURCE" or "ISSUER SOURCE". config: but for issuer and where. NULL: err has a
 * sentence. */
struct sources *sources_new(const struct parlance_list *items, const struct source_config *config,
			    bool http_ok, char *err, size_t err_size);
/** Begins; what is known already of old (NULL: nothing) is taken over. */
void sources_start(struct sources *sources, struct sources *old);
/** Does nothing more; false: it cannot be freed yet. */
bool sources_stop(struct sources *sources);
/** Frees all and clears the pointer: when sources_stop says true, or at the plugin's end. Harmless
 * on NULL. */
void sources_free(struct sources **sources);

size_t sources_count(const struct sources *sources);
/** The set of that issuer (p NULL: of all others), or NULL. */
struct source *sources_of(const struct sources *sources, struct parlance_str issuer);

#ifdef __cplusplus
}
#endif
#endif
