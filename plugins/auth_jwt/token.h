/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The outside of a token: three parts in base64url (RFC 7515 section 7.1). Any thread.
 */
#ifndef AUTH_JWT_TOKEN_H
#define AUTH_JWT_TOKEN_H

#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TOKEN_MAX 8192 /* bytes */

struct token_parts {
	struct parlance_str header;
	struct parlance_str claims;
	struct parlance_str signature;
};

/** Splits a token into its three parts, none of which is empty. False: it is none. */
bool token_split(struct parlance_str token, struct token_parts *out);

/** Decodes base64url without padding. Strict: there is one text for each run of bytes, so a token
 * cannot be altered without its signature noticing. False: malformed, or more than size bytes. */
bool token_decode(struct parlance_str text, char *out, size_t size, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
