/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Keys as JWK (RFC 7517), the only form that all of libjwt 3.x takes. Loop thread.
 */
#ifndef AUTH_JWT_JWK_H
#define AUTH_JWT_JWK_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The JWK of an HMAC secret, of a public key in PEM: terminated JSON, to be freed by the caller.
 * NULL: no memory, or not such a key. */
char *jwk_of_secret(const char *bytes, size_t len);
char *jwk_of_pem(const char *pem, size_t len);

#ifdef __cplusplus
}
#endif
#endif
