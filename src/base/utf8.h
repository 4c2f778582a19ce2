/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * UTF-8 (RFC 3629): validation, and cutting at character borders. Pure functions, any thread.
 */
#ifndef PARLANCE_BASE_UTF8_H
#define PARLANCE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/** True when the bytes are well-formed UTF-8: no overlong forms, no surrogates, nothing above
 * U+10FFFF, nothing cut off. */
bool utf8_valid(const char *p, size_t len);

/** The length of the longest prefix that does not end inside a character: len, or up to 3 bytes
 * less when the last character is cut off. Says nothing of validity otherwise. */
size_t utf8_whole_len(const char *p, size_t len);

/** UTF-16 code units of valid UTF-8 text. */
size_t utf8_utf16_len(const char *p, size_t len);

#ifdef __cplusplus
}
#endif
#endif
