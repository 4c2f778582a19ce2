/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * UTF-8 (RFC 3629, the ABNF of section 4). Pure functions, any thread.
 */
#include <stdint.h>

#include "base/utf8.h"

#include "base/check.h"

static bool is_tail(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

/* The length of the well-formed sequence at p, 0 when there is none within len. */
static size_t sequence_len(const unsigned char *p, size_t len)
{
	unsigned char c = p[0];
	unsigned char lo = 0x80;
	unsigned char hi = 0xbf;
	size_t n;
	size_t i;

	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		n = 2;
	else if (c >= 0xe0 && c <= 0xef)
		n = 3;
	else if (c >= 0xf0 && c <= 0xf4)
		n = 4;
	else
		return 0;
	/* The second byte's range keeps out overlong forms, surrogates and what lies above
	 * U+10FFFF. */
	if (c == 0xe0)
		lo = 0xa0;
	else if (c == 0xed)
		hi = 0x9f;
	else if (c == 0xf0)
		lo = 0x90;
	else if (c == 0xf4)
		hi = 0x8f;
	if (len < n || p[1] < lo || p[1] > hi)
		return 0;
	for (i = 2; i < n; i++) {
		if (!is_tail(p[i]))
			return 0;
	}
	return n;
}

bool utf8_valid(const char *p, size_t len)
{
	const unsigned char *at = (const unsigned char *)p;

	while (len) {
		uint64_t block;
		size_t n;

		if (len >= sizeof(block)) {
			memcpy(&block, at, sizeof(block));
			if (!(block & 0x8080808080808080ULL)) {
				at += sizeof(block);
				len -= sizeof(block);
				continue;
			}
		}
		n = sequence_len(at, len);
		if (n == 0)
			return false;
		at += n;
		len -= n;
	}
	return true;
}

size_t utf8_whole_len(const char *p, size_t len)
{
	size_t back;

	for (back = 1; back <= 3 && back <= len; back++) {
		unsigned char c = (unsigned char)p[len - back];
		size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;

		if (is_tail(c))
			continue;
		return need > back ? len - back : len;
	}
	return len;
}

size_t utf8_utf16_len(const char *p, size_t len)
{
	size_t units = 0;
	size_t i;

	/* Each character is one unit, those of four bytes (outside the basic plane) are two. */
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)p[i];

		units += !is_tail(c);
		units += c >= 0xf0;
	}
	return units;
}
