/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A JSON Web Key Set (RFC 7517 section 5): the keys of one issuer. Loop thread.
 */
#ifndef AUTH_JWT_KEYSET_H
#define AUTH_JWT_KEYSET_H

#include "jwk.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KEYSET_BYTES_MAX (256 * 1024)
#define KEYSET_KEYS_MAX 100
#define KEYSET_NOTE_MAX 256

struct keyset;

/** Reads a set. 0 and *out; note then says which keys are left out, or is empty. -1: it is none, and
 * note says why. A set may be empty: then no token is good. */
int keyset_read(struct keyset **out, struct parlance_str json, char note[KEYSET_NOTE_MAX]);
/** Frees it and clears the pointer. Harmless on NULL. */
void keyset_free(struct keyset **set);

size_t keyset_size(const struct keyset *set);

/** The key for tokens of that algorithm and key id; p is NULL if the token has none, and then there
 * must be only one that it can be. NULL: there is none. */
const struct pubkey *keyset_find(const struct keyset *set, const struct algorithm *alg,
				 struct parlance_str kid);

#ifdef __cplusplus
}
#endif
#endif
