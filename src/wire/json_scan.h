/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * JSON scanner: checks that text is exactly one JSON value (RFC 8259, UTF-8) and finds the
 * elements of a top-level array, without building a tree. The text of each element stays as it
 * came, so it can be passed on byte for byte. Pure functions, any thread.
 */
#ifndef PARLANCE_WIRE_JSON_SCAN_H
#define PARLANCE_WIRE_JSON_SCAN_H

#include "base/arena.h"
#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define JSON_DEPTH_MAX 64 /* containers inside each other; a number has depth 0, "[]" has 1 */

/** 0 when text is one valid JSON value (white space around it allowed) nested at most
 *  JSON_DEPTH_MAX deep; else PARLANCE_EINVAL. */
MUST_USE int json_scan_value(struct slice text);

/** Checks that text is an array and finds its elements (without surrounding white space): *n of
 *  them, in memory of the arena (NULL when 0). max bounds their number. 0, PARLANCE_EINVAL,
 *  PARLANCE_ETOOBIG (more than max; what follows them was not looked at), PARLANCE_ENOMEM. */
MUST_USE int json_scan_array(struct slice text, struct arena *arena, size_t max,
			     struct slice **elements, size_t *n);

/** Tells a valid value's type by its first byte: '"', '{', '[', 't', 'f', 'n', or '0' for a
 *  number. The value has no white space before it and is not empty. (json_type is json-c's.) */
char json_kind(struct slice value);

/** Decodes a valid JSON string (with its quotes, no white space around) into the arena,
 *  terminated; *out excludes the terminator. An escaped lone surrogate becomes U+FFFD.
 *  0, PARLANCE_EINVAL when it is not a string, PARLANCE_ENOMEM. */
MUST_USE int json_string(struct slice value, struct arena *arena, struct slice *out);

/** The value of a member of a valid object by key (keys compared after unescaping; the last one
 *  wins when repeated), borrowed from the object and without white space around. 0,
 *  PARLANCE_ENOENT (absent, or not an object), PARLANCE_ENOMEM. */
MUST_USE int json_member(struct slice object, const char *key, struct arena *arena,
			 struct slice *value);

/** As json_member for n keys in one pass: values[i] is that of keys[i], p NULL where there is none.
 *  0, PARLANCE_EINVAL when it is not an object, PARLANCE_ENOMEM. */
MUST_USE int json_members(struct slice object, const char *const *keys, size_t n,
			  struct arena *arena, struct slice *values);

#ifdef __cplusplus
}
#endif
#endif
