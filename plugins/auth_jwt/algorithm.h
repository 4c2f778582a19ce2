/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The algorithms that tokens are signed with. Any thread.
 */
#ifndef AUTH_JWT_ALGORITHM_H
#define AUTH_JWT_ALGORITHM_H

#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KID_MAX 255 /* bytes of a key's id */

/* Which algorithms a key is for. A key has one family and is never used with another. */
enum family {
	FAMILY_HMAC = 1,
	FAMILY_RSA,   /* PKCS #1 v1.5 and PSS */
	FAMILY_P256,
	FAMILY_P384,
	FAMILY_P521,
	FAMILY_EDDSA, /* Ed25519 and Ed448: the key says which */
};

struct algorithm {
	const char *name; /* RFC 7518, RFC 8037; case matters */
	enum family family;
	size_t hash_bytes;
};

/** The algorithm of that very name, or NULL. */
const struct algorithm *algorithm_find(struct parlance_str name);

enum signature_result {
	SIGNATURE_GOOD = 1,
	SIGNATURE_BAD,
	SIGNATURE_NO_MEMORY,
};

#ifdef __cplusplus
}
#endif
#endif
