/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * UTF-8 that arrives in pieces. The ranges are those of RFC 3629, section 4.
 */
#include "utf8.h"

#include <stdbool.h>

static const char replacement[] = "\xef\xbf\xbd";

static int replace(struct utf8_join *join, struct buf *out)
{
	join->n = 0;
	return buf_append(out, replacement, sizeof(replacement) - 1);
}

/* A byte that begins a character of two to four bytes; false when none begins so. */
static bool begin(struct utf8_join *join, unsigned char c)
{
	if (c < 0xc2 || c > 0xf4)
		return false;
	join->part[0] = c;
	join->n = 1;
	join->need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	/* The second byte's range keeps out overlong forms, surrogates and what lies above
	 * U+10FFFF. */
	join->lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	join->hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	return true;
}

int utf8_join(struct utf8_join *join, const char *p, size_t len, struct buf *out)
{
	const unsigned char *bytes = (const unsigned char *)p;
	size_t i = 0;

	while (i < len) {
		unsigned char c = bytes[i];

		if (join->n > 0 && c >= join->lo && c <= join->hi) {
			join->part[join->n++] = c;
			join->lo = 0x80;
			join->hi = 0xbf;
			i++;
			if (join->n < join->need)
				continue;
			join->n = 0;
			if (buf_append(out, join->part, join->need))
				return -1;
		} else if (join->n > 0) {
			/* The byte that breaks a sequence may begin the next one. */
			if (replace(join, out))
				return -1;
		} else if (c > 0 && c < 0x80) {
			size_t from = i;

			while (i < len && bytes[i] > 0 && bytes[i] < 0x80)
				i++;
			if (buf_append(out, p + from, i - from))
				return -1;
		} else {
			i++;
			if (!begin(join, c) && replace(join, out))
				return -1;
		}
	}
	return 0;
}

int utf8_join_end(struct utf8_join *join, struct buf *out)
{
	return join->n > 0 ? replace(join, out) : 0;
}
