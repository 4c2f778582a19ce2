/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Base64 (RFC 4648): section 4 alphabet with padding for Engine.IO's binary packets, section 5
 * (URL-safe, no padding) for identifiers. Pure functions, any thread.
 */
#ifndef PARLANCE_BASE_BASE64_H
#define PARLANCE_BASE_BASE64_H

#include "base/check.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Characters that len bytes take when encoded with padding (no terminator). len must be below
 * SIZE_MAX / 2. */
static inline size_t base64_encoded_len(size_t len)
{
	return (len + 2) / 3 * 4;
}

/** The most bytes that len characters can decode to. */
static inline size_t base64_decoded_max(size_t len)
{
	return len / 4 * 3 + 3;
}

/** Encodes with padding into out, which has room for base64_encoded_len(len); returns the
 * characters written; adds no terminator. */
size_t base64_encode(const void *p, size_t len, char *out);

/** Encodes URL-safe without padding; returns the characters written; adds no terminator. */
size_t base64url_encode(const void *p, size_t len, char *out);

/** Decodes the section 4 alphabet; padding may be absent, as Node's decoder has it, but nothing
 * else is forgiven. out has room for base64_decoded_max(len) and may be the input itself. 0 and
 * *out_len, or PARLANCE_EINVAL. */
MUST_USE int base64_decode(const char *p, size_t len, void *out, size_t *out_len);

#ifdef __cplusplus
}
#endif
#endif
