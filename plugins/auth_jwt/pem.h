/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Public keys in PEM. Loop thread.
 */
#ifndef AUTH_JWT_PEM_H
#define AUTH_JWT_PEM_H

#include "pubkey.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Whether the text is PEM of any kind, or wants to be. */
bool pem_is(struct parlance_str text);

/** Whether it looks like a public key in another form (DER, its base64, JWK, SSH), which must not
 * be taken for an HMAC secret: a public key is known to everybody. */
bool pem_is_other_form(struct parlance_str text);

/** Reads a public key. NULL: err has a sentence that begins with the source. */
struct pubkey *pem_read(struct parlance_str text, const char *source, char *err, size_t err_size);

#ifdef __cplusplus
}
#endif
#endif
