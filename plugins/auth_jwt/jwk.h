/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * One public key of a JSON Web Key Set (RFC 7517, 7518 section 6, 8037). Loop thread.
 */
#ifndef AUTH_JWT_JWK_H
#define AUTH_JWT_JWK_H

#include "common/json.h"
#include "pubkey.h"

#ifdef __cplusplus
extern "C" {
#endif

struct jwk {
	struct pubkey *key;
	const struct algorithm *alg; /* the only one that it is for; NULL: all of its family */
	bool has_kid;
	size_t kid_len;
	char kid[KID_MAX];
};

/** Reads a key that tokens may be verified with. NULL; or why it is none: static text that goes on
 * after "the key". The id is filled in either case, if there is one that can be. */
const char *jwk_read(struct jwk *out, const struct json_object *object);
void jwk_fini(struct jwk *jwk);

#ifdef __cplusplus
}
#endif
#endif
