/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Splitting tokens, and base64url (RFC 4648 section 5). */
#include <string.h>

#include "token.h"

bool token_split(struct parlance_str token, struct token_parts *out)
{
	struct parlance_str *parts[] = { &out->header, &out->claims, &out->signature };
	struct parlance_str rest = token;

	for (size_t i = 0; i < 3; i++) {
		const char *dot = rest.len ? memchr(rest.p, '.', rest.len) : NULL;

		/* Two dots, no more. */
		if ((dot != NULL) != (i < 2))
			return false;
		*parts[i] = rest;
		if (dot) {
			parts[i]->len = (size_t)(dot - rest.p);
			rest = (struct parlance_str){ dot + 1, rest.len - parts[i]->len - 1 };
		}
		if (!parts[i]->len)
			return false;
	}
	return true;
}

static int value_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '-')
		return 62;
	return c == '_' ? 63 : -1;
}

bool token_decode(struct parlance_str text, char *out, size_t size, size_t *len)
{
	uint32_t bits = 0;
	unsigned n_bits = 0;

	*len = 0;
	if (text.len % 4 == 1)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		int value = value_of(text.p[i]);

		if (value < 0)
			return false;
		bits = (bits << 6 | (uint32_t)value) & 0xffff;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		if (*len == size)
			return false;
		n_bits -= 8;
		out[(*len)++] = (char)(bits >> n_bits & 0xff);
	}
	/* What is left over of the last character must be zero. */
	return (bits & ((1u << n_bits) - 1)) == 0;
}
