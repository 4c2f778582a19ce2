/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * JSON scanner against json-c's strict tokener. They accept the same texts, but that json-c 0.16
 * is laxer than RFC 8259, also when strict, in
 *  - numbers with leading zeros ("01"), without digits before or after the point ("-.5", "1.");
 *  - NaN, Infinity and -Infinity;
 *  - control characters inside strings;
 *  - UTF-8, of which it only counts the bytes (surrogates, overlong forms, above U+10FFFF);
 * and that the scanner bounds the depth. Elements, strings and members that the scanner finds are
 * those of the tree that json-c makes. One thread.
 */
#include <json-c/json.h>
#include <regex.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/utf8.h"
#include "wire/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* More than the scanner's, so that json-c's own limit is never the one that is met first. */
#define DEPTH 1000

/* A tree in *tree (NULL for the value null) when json-c accepts the whole text. The text's
 * terminator is part of what it sees, so that a number at the end is complete. */
static bool json_c_parse(const char *text, size_t len, struct json_object **tree)
{
	struct json_tokener *tok = json_tokener_new_ex(DEPTH);
	bool ok;

	CHECK(tok);
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	*tree = json_tokener_parse_ex(tok, text, (int)len + 1);
	ok = json_tokener_get_error(tok) == json_tokener_success &&
	     json_tokener_get_parse_end(tok) == len;
	json_tokener_free(tok);
	return ok;
}

static bool number_valid(const char *p, size_t len)
{
	static regex_t regex;
	static bool compiled;
	regmatch_t match = { .rm_so = 0, .rm_eo = (regoff_t)len };

	if (!compiled) {
		CHECK(regcomp(&regex, "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?$",
			      REG_EXTENDED | REG_NOSUB) == 0);
		compiled = true;
	}
	return regexec(&regex, p, 1, &match, REG_STARTEND) == 0;
}

/* True when a text that json-c accepts has one of the differences named at the top. */
static bool is_lax(const char *p)
{
	bool in_string = false;
	int depth = 0;

	if (!utf8_valid(p, strlen(p)))
		return true;
	while (*p) {
		size_t number = strspn(p, "-+.0123456789eE");

		if (in_string) {
			if ((uint8_t)*p < 0x20)
				return true;
			in_string = *p != '"';
			p += *p == '\\' ? 2 : 1;
		} else if (*p == 'N' || *p == 'I') {
			return true;
		} else if (*p == '-' || (*p >= '0' && *p <= '9')) {
			if (!number_valid(p, number))
				return true;
			p += number;
		} else {
			in_string = *p == '"';
			depth += *p == '[' || *p == '{';
			depth -= *p == ']' || *p == '}';
			if (depth > JSON_DEPTH_MAX)
				return true;
			p++;
		}
	}
	return false;
}

/* The text of a part is the JSON of the part of the tree. */
static void check_part(struct slice part, struct json_object *expected)
{
	char *text = strndup(part.p, part.len);
	struct json_object *tree;

	CHECK(text);
	CHECK(json_scan_value(part) == 0);
	CHECK(json_c_parse(text, part.len, &tree));
	CHECK(json_object_equal(tree, expected));
	json_object_put(tree);
	free(text);
}

static void check_string(struct slice text, struct arena *arena, struct json_object *expected)
{
	struct slice out;

	CHECK(json_string(text, arena, &out) == 0);
	CHECK(out.len == (size_t)json_object_get_string_len(expected));
	CHECK(memcmp(out.p, json_object_get_string(expected), out.len + 1) == 0);
}

static void check_array(struct slice text, struct arena *arena, struct json_object *expected)
{
	size_t expected_n = json_object_array_length(expected);
	struct slice *elements;
	size_t n;

	CHECK(json_scan_array(text, arena, expected_n, &elements, &n) == 0);
	CHECK(n == expected_n);
	for (size_t i = 0; i < n; i++)
		check_part(elements[i], json_object_array_get_idx(expected, i));
	if (n > 0)
		CHECK(json_scan_array(text, arena, n - 1, &elements, &n) == PARLANCE_ETOOBIG);
}

static void check_members(struct slice text, struct arena *arena, struct json_object *expected)
{
	json_object_object_foreach(expected, key, value) {
		struct slice found;

		CHECK(json_member(text, key, arena, &found) == 0);
		check_part(found, value);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = malloc(size ? size : 1);
	char *terminated = malloc(size + 1);
	struct json_object *tree = NULL;
	struct arena arena;
	struct slice text;
	struct slice *elements;
	struct slice out;
	size_t n;

	CHECK(exact && terminated);
	if (size > 0) {
		memcpy(exact, data, size);
		memcpy(terminated, data, size);
	}
	terminated[size] = '\0';
	arena_init(&arena, 0);
	text = slice_of(exact, size);
	if (json_scan_value(text) == 0) {
		CHECK(json_c_parse(terminated, size, &tree));
		CHECK(!is_lax(terminated));
		while (text.len > 0 && strchr(" \t\r\n", text.p[0]))
			text = slice_of(text.p + 1, text.len - 1);
		while (text.len > 0 && strchr(" \t\r\n", text.p[text.len - 1]))
			text.len--;
		if (json_kind(text) == '"')
			check_string(text, &arena, tree);
		else if (json_kind(text) == '[')
			check_array(text, &arena, tree);
		else if (json_kind(text) == '{' && !strstr(terminated, "\\u0000"))
			check_members(text, &arena, tree); /* json-c cuts keys at a zero */
	} else {
		CHECK(!json_c_parse(terminated, size, &tree) || is_lax(terminated));
		/* What is not JSON must not do harm either. */
		CHECK(json_scan_array(text, &arena, 100, &elements, &n) != 0);
		(void)!json_string(text, &arena, &out);
		(void)!json_member(text, "a", &arena, &out);
	}
	json_object_put(tree);
	arena_fini(&arena);
	free(exact);
	free(terminated);
	return 0;
}
