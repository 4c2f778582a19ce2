/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Random bytes and identifiers. Random bytes come from getrandom(2) through a small pool; an
 * operating system that cannot give them ends the process. Loop thread (the pool is not locked).
 */
#ifndef PARLANCE_BASE_ID_H
#define PARLANCE_BASE_ID_H

#include "base/check.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ID_TOKEN_LEN 22 /* 128 bits in base64url */
#define ID_UUID_LEN 36

void id_random(void *out, size_t len);

/** An unguessable identifier of 128 random bits, terminated: session and socket ids. */
void id_token(char out[ID_TOKEN_LEN + 1]);

/** A UUID version 7 (RFC 9562 section 5.7): milliseconds of the wall clock, then a counter within
 * the millisecond, then random; ids made by one process ascend, also when the clock steps back.
 * Text, lower case, terminated. */
void id_uuid7(char out[ID_UUID_LEN + 1]);

/** True for the 8-4-4-4-12 hexadecimal text form of a UUID, any version, either case. */
bool id_is_uuid(const char *p, size_t len);

#ifdef __cplusplus
}
#endif
#endif
