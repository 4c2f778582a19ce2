/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Base64 (RFC 4648 sections 4 and 5). Pure functions, any thread. Encodes what is public or random;
 * it is not meant to run in constant time.
 */
#include "base/base64.h"

#include "base/err.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Encodes without padding; returns the characters written. */
static size_t encode(const char *abc, const void *p, size_t len, char *out)
{
	const uint8_t *in = p;
	char *to = out;
	size_t i;

	for (i = 0; i + 3 <= len; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];

		*to++ = abc[v >> 18];
		*to++ = abc[v >> 12 & 63];
		*to++ = abc[v >> 6 & 63];
		*to++ = abc[v & 63];
	}
	if (len - i == 1) {
		*to++ = abc[in[i] >> 2];
		*to++ = abc[(in[i] & 3) << 4];
	} else if (len - i == 2) {
		*to++ = abc[in[i] >> 2];
		*to++ = abc[(in[i] & 3) << 4 | in[i + 1] >> 4];
		*to++ = abc[(in[i + 1] & 15) << 2];
	}
	return (size_t)(to - out);
}

size_t base64_encode(const void *p, size_t len, char *out)
{
	size_t n = encode(alphabet, p, len, out);

	while (n % 4)
		out[n++] = '=';
	return n;
}

size_t base64url_encode(const void *p, size_t len, char *out)
{
	return encode(alphabet_url, p, len, out);
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}

int base64_decode(const char *p, size_t len, void *out, size_t *out_len)
{
	uint8_t *to = out;
	uint32_t v = 0;
	size_t n = 0;
	size_t i;

	/* Padding, where there is any, fills up the last group of four. */
	if (len && len % 4 == 0 && p[len - 1] == '=')
		len -= p[len - 2] == '=' ? 2 : 1;
	if (len % 4 == 1)
		return PARLANCE_EINVAL;
	for (i = 0; i < len; i++) {
		int d = digit(p[i]);

		if (d < 0)
			return PARLANCE_EINVAL;
		v = v << 6 | (uint32_t)d;
		/* Output lags behind input, which is why it may take its place. */
		if (i % 4)
			to[n++] = (uint8_t)(v >> (6 - 2 * (i % 4)));
	}
	/* RFC 4648 section 3.5: the bits that carry nothing are zero, so each value has one form
	 * only. */
	if ((len % 4 == 2 && v & 15) || (len % 4 == 3 && v & 3))
		return PARLANCE_EINVAL;
	*out_len = n;
	return 0;
}
