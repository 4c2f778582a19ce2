/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * UTF-8 that arrives in pieces: what comes out is whole characters of valid UTF-8. A character that
 * was cut between two pieces is joined. Pure; one thread at a time.
 */
#ifndef PROVIDER_OPENAI_UTF8_H
#define PROVIDER_OPENAI_UTF8_H

#include "buf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroed before first use. */
struct utf8_join {
	unsigned char part[4]; /* the character that is not complete yet, */
	unsigned char n;       /* so many bytes of it, */
	unsigned char need;    /* and how many it will have */
	unsigned char lo, hi;  /* the next byte's range */
};

/** Appends the text to out. Each maximal part of an ill-formed sequence becomes U+FFFD (Unicode 15,
 * section 3.9, as web browsers do it), and so does U+0000, which databases do not take. A character
 * cut off at the end is kept for the next call. 0, or -1 when out is full or memory is out. */
MUST_USE int utf8_join(struct utf8_join *join, const char *p, size_t len, struct buf *out);

/** The text is at its end: a character that is still incomplete becomes U+FFFD. */
MUST_USE int utf8_join_end(struct utf8_join *join, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
