/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The keys that tokens are verified with, from the options. A key is found by the token's key id
 * and the family of its algorithm. One thread at a time.
 */
#ifndef AUTH_JWT_KEYS_H
#define AUTH_JWT_KEYS_H

#include "jwtlib.h"
#include "pubkey.h"

#ifdef __cplusplus
extern "C" {
#endif

struct keys;

/* What the keys are made of: the options of these names. */
struct keys_config {
	struct parlance_list algorithms;
	const char *secret;
	const char *key_file;
	struct parlance_list keys; /* "KID=SOURCE" */
	bool has_sets;             /* there are key sets beside them */
};

/** Makes the keys; weak ones and such without use are refused. NULL: err has a sentence. */
struct keys *keys_new(const struct parlance_host *host, const struct keys_config *config,
		      char *err, size_t err_size);
/** Harmless on NULL. */
void keys_free(struct keys **keys);

/** The algorithm, if it may be used; else NULL. */
const struct algorithm *keys_algorithm(const struct keys *keys, struct parlance_str name);

/* A key, one of the two; or none. Borrowed. */
struct found_key {
	const struct jwtlib_key *secret;
	const struct pubkey *public;
};

/** The key for tokens of that algorithm. kid: the token's key id, p is NULL if it has
 * none. Where no key has an id, the token's does not matter. */
struct found_key keys_find(const struct keys *keys, const struct algorithm *alg,
			   struct parlance_str kid);

#ifdef __cplusplus
}
#endif
#endif
