/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * libjwt behind one interface, for its generations are three different ones: 1.10 and 1.13 to 2.x
 * decode with a key given as text, 3.x verifies with a key object. It is asked about signatures
 * alone; what a token says is judged elsewhere. One thread at a time.
 */
#ifndef AUTH_JWT_JWTLIB_H
#define AUTH_JWT_JWTLIB_H

#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which algorithms a key is for. A key has one family and is never used with another. */
enum family {
	FAMILY_HMAC = 1,
	FAMILY_RSA,     /* PKCS #1 v1.5 and PSS */
	FAMILY_P256,
	FAMILY_P384,
	FAMILY_P521,
	FAMILY_ED25519,
};

struct algorithm {
	const char *name; /* RFC 7518, RFC 8037; case matters */
	enum family family;
	size_t hash_bytes;
};

/** The algorithm of that very name, or NULL. */
const struct algorithm *algorithm_find(struct parlance_str name);

/** Whether the libjwt that is linked can verify it. */
bool jwtlib_knows(const struct algorithm *alg);

/** The shortest HMAC key that the library takes, in bytes. */
size_t jwtlib_hmac_min(const struct algorithm *alg);

struct jwtlib_key;

/** A key: the bytes of an HMAC secret, or a public key as PEM that OpenSSL has written. They are
 * copied. NULL: no memory, or the library does not take it. */
struct jwtlib_key *jwtlib_key_new(enum family family, const char *bytes, size_t len);
/** Wipes and frees it, and clears the pointer. Harmless on NULL. */
void jwtlib_key_free(struct jwtlib_key **key);

enum jwtlib_result {
	JWTLIB_GOOD = 1,
	JWTLIB_BAD,
	JWTLIB_NO_MEMORY,
};

/** Verifies the signature of a token (terminated) whose header names that algorithm, which must be
 * of the key's family. */
enum jwtlib_result jwtlib_verify(const struct jwtlib_key *key, const struct algorithm *alg,
				 const char *token);

#ifdef __cplusplus
}
#endif
#endif
