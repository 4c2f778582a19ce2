/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Public keys, and the signatures that they verify, with OpenSSL: libjwt takes keys as text that it
 * parses for each token, and its older generations know neither EdDSA nor RSASSA-PSS. One thread at
 * a time.
 */
#ifndef AUTH_JWT_PUBKEY_H
#define AUTH_JWT_PUBKEY_H

#include "algorithm.h"

#ifdef __cplusplus
extern "C" {
#endif

struct evp_pkey_st; /* EVP_PKEY */
struct pubkey;

/** Makes a key of OpenSSL's, which is taken over in any case. NULL and *out; or what is wrong with
 * it, static text that goes on after "the key". */
const char *pubkey_new(struct pubkey **out, struct evp_pkey_st *pkey);
/** Frees it and clears the pointer. Harmless on NULL. */
void pubkey_free(struct pubkey **key);

enum family pubkey_family(const struct pubkey *key);

/** Whether the signature (as JWS has it, RFC 7518 section 3, RFC 8037 section 3.1) is that of the
 * input. With an algorithm of another family it is not. */
enum signature_result pubkey_verify(const struct pubkey *key, const struct algorithm *alg,
				    struct parlance_str input, struct parlance_str signature);

#ifdef __cplusplus
}
#endif
#endif
