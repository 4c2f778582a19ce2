/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Makes JSON Web Tokens of any kind, also such as nobody should make, with OpenSSL alone: the tests
 * of a plugin do not ask the library that it uses. Aborts when it cannot. One thread.
 */
#ifndef PARLANCE_TESTS_PLUGIN_JWT_MINT_H
#define PARLANCE_TESTS_PLUGIN_JWT_MINT_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mint_kind {
	MINT_RSA = 1, /* 2048 bits */
	MINT_RSA_SHORT, /* 1024 bits */
	MINT_P256,
	MINT_P384,
	MINT_P521,
	MINT_ED25519,
	MINT_ED448,
	MINT_P256_OTHER, /* another key of the same kind */
	MINT_ED25519_OTHER,
	MINT_KINDS,
};

/** A private key of that kind, made at first use; the public one of it in PEM. Both are the same
 * in all of the program's life. */
const char *mint_private_pem(enum mint_kind kind);
const char *mint_public_pem(enum mint_kind kind);
/** The public key as a JWK, RSA_SHORT excepted; kid and more ("\"use\":\"sig\"", NULL: nothing) are
 * added. To be freed. */
char *mint_jwk(enum mint_kind kind, const char *kid, const char *more);
/** A set of JWKs, the last NULL, all of which are freed. To be freed. */
char *mint_jwks(char *jwk, ...);
/** Frees all keys. */
void mint_free(void);

/** A token: HEADER.CLAIMS.SIGNATURE, freed by the caller. The signature is made as alg says
 * ("none": empty), whatever the header says; header NULL: {"alg":ALG,"typ":"JWT"}. */
char *mint_hmac(const char *alg, const char *header, const char *claims, const void *secret,
		size_t secret_len);
char *mint_signed(const char *alg, const char *header, const char *claims, enum mint_kind kind);

/** Any header, claims and signature. */
char *mint_raw(const void *header, size_t header_len, const void *claims, size_t claims_len,
	       const void *signature, size_t signature_len);

#ifdef __cplusplus
}
#endif
#endif
