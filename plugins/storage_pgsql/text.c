/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* libpq's messages have several lines; ours have one. */
#include "store.h"

void text_line(char *out, size_t out_size, const char *text)
{
	size_t n = 0;

	while (*text && n + 1 < out_size) {
		if ((unsigned char)*text >= 0x20) {
			out[n++] = *text++;
			continue;
		}
		while (*text && (unsigned char)*text <= 0x20)
			text++;
		if (*text && n > 0)
			out[n++] = ' ';
	}
	/* A character that was cut in two is left out. */
	if (*text && ((unsigned char)*text & 0xc0) == 0x80) {
		while (n > 0 && ((unsigned char)out[n - 1] & 0xc0) == 0x80)
			n--;
		if (n > 0)
			n--;
	}
	out[n] = '\0';
}
