/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Public keys in PEM, looked at with OpenSSL before libjwt gets them: libjwt (1.x, 2.x) cannot say
 * what a key is. Loop thread.
 */
#ifndef AUTH_JWT_PEM_H
#define AUTH_JWT_PEM_H

#include "jwtlib.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Whether the text is PEM of any kind, or wants to be. */
bool pem_is(struct parlance_str text);

/** Whether it looks like a public key in another form (DER, its base64, JWK, SSH), which must not
 * be taken for an HMAC secret: a public key is known to everybody. */
bool pem_is_other_form(struct parlance_str text);

/** Reads a public key, and writes it anew, alone and in its plain form, to *out (freed with free).
 * 0; or -1, err has a sentence that begins with the source. */
int pem_read(struct parlance_str text, const char *source, enum family *family, char **out,
	     size_t *out_len, char *err, size_t err_size);

#ifdef __cplusplus
}
#endif
#endif
