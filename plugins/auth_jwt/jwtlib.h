/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * libjwt behind one interface, for its generations are three different ones: 1.10 and 1.13 to 2.x
 * decode with a key given as text, 3.x verifies with a key object. It is asked about HMAC alone;
 * what a token says is judged elsewhere. One thread at a time.
 */
#ifndef AUTH_JWT_JWTLIB_H
#define AUTH_JWT_JWTLIB_H

#include "algorithm.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The shortest key that the library takes, in bytes. */
size_t jwtlib_hmac_min(const struct algorithm *alg);

struct jwtlib_key;

/** A key of the bytes of a secret, which are copied. NULL: no memory, or the library does not take
 * it. */
struct jwtlib_key *jwtlib_key_new(const char *bytes, size_t len);
/** Wipes and frees it, and clears the pointer. Harmless on NULL. */
void jwtlib_key_free(struct jwtlib_key **key);

/** Verifies the signature of a token (terminated) whose header names that algorithm. Of another
 * family than HMAC none is good. */
enum signature_result jwtlib_verify(const struct jwtlib_key *key, const struct algorithm *alg,
				    const char *token);

#ifdef __cplusplus
}
#endif
#endif
