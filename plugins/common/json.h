/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Reads one JSON object (RFC 8259) without building a tree: what a token's header and claims need,
 * and what tree builders do not tell: that a name stands there twice, and how exactly a number is
 * written. Strict, no allocations; values stay text. One thread at a time.
 */
#ifndef PLUGINS_COMMON_JSON_H
#define PLUGINS_COMMON_JSON_H

#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define JSON_TEXT_MAX 6144   /* bytes of an object: base64url of 8 KiB holds no more */
#define JSON_MEMBERS_MAX 128 /* of the object itself */
#define JSON_DEPTH_MAX 32

enum json_type {
	JSON_NULL = 1,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

/* A value as it stands in the text, strings with their quotes. */
struct json_value {
	enum json_type type;
	struct parlance_str raw;
};

struct json_member {
	struct parlance_str name; /* decoded */
	struct json_value value;
};

struct json_object {
	size_t n;
	struct json_member members[JSON_MEMBERS_MAX];
	char names[JSON_TEXT_MAX];
};

enum json_problem {
	JSON_FINE = 0,
	JSON_MALFORMED, /* not a JSON object in UTF-8, or one that is too deep */
	JSON_TOO_MANY,  /* members, or bytes */
	JSON_TWICE,     /* two members have the same name */
};

/** Reads the object, which borrows the text. The whole text is checked. */
enum json_problem json_read(struct json_object *o, struct parlance_str text);

/** The same without a bound on the text, of which the names alone have to fit. */
enum json_problem json_read_long(struct json_object *o, struct parlance_str text);

/** The member's value, or NULL. */
const struct json_value *json_get(const struct json_object *o, const char *name);

/** Decodes a string; out has room for size bytes and is not terminated. False: it does not fit, or
 * has a NUL in it. */
bool json_string(const struct json_value *v, char *out, size_t size, size_t *len);

/** True when v is a string and decodes to that text. */
bool json_is(const struct json_value *v, const char *text);
bool json_is_str(const struct json_value *v, struct parlance_str text);

/** The array's elements one by one: *at is 0 before the first. False: no more. */
bool json_next(const struct json_value *array, size_t *at, struct json_value *element);

/** Whether a number is written as an integer that fits into 64 bits, and not as -0, which is another
 * text than 0: what serves as an id must have one spelling. */
bool json_is_integer(const struct json_value *v);

/** Whether a text has control characters: C0, DEL, and C1 (U+0080 to U+009F, in UTF-8 C2 80 to C2
 * 9F). */
bool json_has_controls(struct parlance_str text);

enum json_number {
	JSON_NUMBER_OK = 1,
	JSON_NUMBER_RANGE, /* not between 0 and max */
};

/** A number of 0 to max seconds, fractions and exponents included, as milliseconds, rounded
 * down. */
enum json_number json_seconds(const struct json_value *v, int64_t max, int64_t *ms);

#ifdef __cplusplus
}
#endif
#endif
