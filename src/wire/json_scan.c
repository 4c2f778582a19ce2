/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * JSON scanner (RFC 8259). The scan_* functions take a position and the end of the text, and
 * return the position behind what they accepted, or NULL. They are iterative and remember one bit
 * for each open container. UTF-8 is checked once, by the entry points over the whole text. Any
 * thread.
 */
#include <stdint.h>
#include <string.h>

#include "wire/json_scan.h"

#include "base/check.h"
#include "base/err.h"
#include "base/utf8.h"

/* Where a run of characters that stand for themselves ends inside a string (section 7). */
static const bool ends_run[256] = {
	[0 ... 0x1f] = true,
	['"'] = true,
	['\\'] = true,
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && is_blank(*p))
		p++;
	return p;
}

/* p stands behind the "\u". */
static const char *scan_hex4(const char *p, const char *end)
{
	if (end - p < 4)
		return NULL;
	for (int i = 0; i < 4; i++) {
		if (hex_value(p[i]) < 0)
			return NULL;
	}
	return p + 4;
}

/* p stands behind the opening quote; the result behind the closing one. */
static const char *scan_string(const char *p, const char *end)
{
	for (;;) {
		while (p < end && !ends_run[(uint8_t)*p])
			p++;
		if (p == end)
			return NULL;
		if (*p == '"')
			return p + 1;
		if (*p != '\\' || end - p < 2)
			return NULL;
		switch (p[1]) {
		case '"':
		case '\\':
		case '/':
		case 'b':
		case 'f':
		case 'n':
		case 'r':
		case 't':
			p += 2;
			break;
		case 'u':
			p = scan_hex4(p + 2, end);
			if (!p)
				return NULL;
			break;
		default:
			return NULL;
		}
	}
}

static const char *scan_digits(const char *p, const char *end)
{
	const char *start = p;

	while (p < end && is_digit(*p))
		p++;
	return p > start ? p : NULL;
}

/* Section 6: [ minus ] int [ frac ] [ exp ]. */
static const char *scan_number(const char *p, const char *end)
{
	if (p < end && *p == '-')
		p++;
	if (p < end && *p == '0')
		p++;
	else
		p = scan_digits(p, end);
	if (p && p < end && *p == '.')
		p = scan_digits(p + 1, end);
	if (p && p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		p = scan_digits(p, end);
	}
	return p;
}

static const char *scan_literal(const char *p, const char *end, const char *literal, size_t len)
{
	if ((size_t)(end - p) < len || memcmp(p, literal, len) != 0)
		return NULL;
	return p + len;
}

/* Anything but a container. p < end. */
static const char *scan_scalar(const char *p, const char *end)
{
	switch (*p) {
	case '"':
		return scan_string(p + 1, end);
	case 't':
		return scan_literal(p, end, "true", 4);
	case 'f':
		return scan_literal(p, end, "false", 5);
	case 'n':
		return scan_literal(p, end, "null", 4);
	default:
		return scan_number(p, end);
	}
}

/* A member's key with its colon, white space before and between. */
static const char *scan_key(const char *p, const char *end)
{
	p = skip_blanks(p, end);
	if (p == end || *p != '"')
		return NULL;
	p = scan_string(p + 1, end);
	if (!p)
		return NULL;
	p = skip_blanks(p, end);
	return p < end && *p == ':' ? p + 1 : NULL;
}

_Static_assert(JSON_DEPTH_MAX <= 64, "scan_value has a bit for each level");

/* One value of any kind, white space before it allowed, nested at most depth_max deep. */
static const char *scan_value(const char *p, const char *end, unsigned int depth_max)
{
	uint64_t objects = 0; /* bit 0: the innermost open container is an object; then outwards */
	unsigned int depth = 0;

	for (;;) {
		p = skip_blanks(p, end);
		if (p == end)
			return NULL;
		if (*p == '{' || *p == '[') {
			bool object = *p == '{';

			if (depth == depth_max)
				return NULL;
			depth++;
			objects = objects << 1 | object;
			p = skip_blanks(p + 1, end);
			if (p == end || *p != (object ? '}' : ']')) {
				if (object && !(p = scan_key(p, end)))
					return NULL;
				continue;
			}
		} else {
			p = scan_scalar(p, end);
			if (!p)
				return NULL;
		}
		/* A value has ended, or a container is about to: close all that ends here. */
		for (;;) {
			if (depth == 0)
				return p;
			p = skip_blanks(p, end);
			if (p == end)
				return NULL;
			if (*p == ',')
				break;
			if (*p != (objects & 1 ? '}' : ']'))
				return NULL;
			p++;
			depth--;
			objects >>= 1;
		}
		p++;
		if ((objects & 1) && !(p = scan_key(p, end)))
			return NULL;
	}
}
int json_scan_value(struct slice text)
{
	const char *end;
	const char *p;

	if (text.len == 0 || !utf8_valid(text.p, text.len))
		return PARLANCE_EINVAL;
	end = text.p + text.len;
	p = scan_value(text.p, end, JSON_DEPTH_MAX);
	return p && skip_blanks(p, end) == end ? 0 : PARLANCE_EINVAL;
}

/* Adds an element to an array in the arena, which doubles in size whenever n reaches a power of 2
 * from 8 on. */
static int push_element(struct arena *arena, struct slice **elements, size_t n, struct slice value)
{
	if (n == 0 || (n >= 8 && (n & (n - 1)) == 0)) {
		size_t cap = n == 0 ? 8 : 2 * n;
		struct slice *grown = arena_calloc(arena, cap, sizeof(*grown));

		if (!grown)
			return PARLANCE_ENOMEM;
		if (n > 0)
			memcpy(grown, *elements, n * sizeof(*grown));
		*elements = grown;
	}
	(*elements)[n] = value;
	return 0;
}

int json_scan_array(struct slice text, struct arena *arena, size_t max, struct slice **elements,
		    size_t *n)
{
	struct slice *found = NULL;
	size_t count = 0;
	const char *end;
	const char *p;
	int rc;

	if (text.len == 0 || !utf8_valid(text.p, text.len))
		return PARLANCE_EINVAL;
	end = text.p + text.len;
	p = skip_blanks(text.p, end);
	if (p == end || *p != '[')
		return PARLANCE_EINVAL;
	p = skip_blanks(p + 1, end);
	while (p < end && (count > 0 || *p != ']')) {
		const char *start = skip_blanks(p, end);

		p = scan_value(start, end, JSON_DEPTH_MAX - 1);
		if (!p)
			return PARLANCE_EINVAL;
		if (count == max)
			return PARLANCE_ETOOBIG;
		rc = push_element(arena, &found, count, slice_of(start, (size_t)(p - start)));
		if (rc)
			return rc;
		count++;
		p = skip_blanks(p, end);
		if (p == end || *p != ',')
			break;
		p++;
	}
	if (p == end || *p != ']' || skip_blanks(p + 1, end) != end)
		return PARLANCE_EINVAL;
	*elements = found;
	*n = count;
	return 0;
}

char json_kind(struct slice value)
{
	char c = value.p[0];

	return c == '-' || is_digit(c) ? '0' : c;
}

/* Four digits that scan_hex4 has accepted. */
static uint32_t hex4(const char *p)
{
	uint32_t unit = 0;

	for (int i = 0; i < 4; i++)
		unit = unit << 4 | (uint32_t)hex_value(p[i]);
	return unit;
}

/* Decodes "\uXXXX", or two of them for a surrogate pair (section 7), behind the "\u" at p: appends
 * the character at *out, and returns the position behind. */
static const char *unescape_unicode(const char *p, char **out)
{
	uint32_t c = hex4(p);
	char *o = *out;

	p += 4;
	if (c >= 0xd800 && c <= 0xdfff) {
		uint32_t low = 0;

		/* A valid string goes on with a quote at least, and with 4 digits after "\u". */
		if (c <= 0xdbff && p[0] == '\\' && p[1] == 'u')
			low = hex4(p + 2);
		if (low >= 0xdc00 && low <= 0xdfff) {
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
			p += 6;
		} else {
			c = 0xfffd;
		}
	}
	if (c < 0x80) {
		*o++ = (char)c;
	} else if (c < 0x800) {
		*o++ = (char)(0xc0 | c >> 6);
		*o++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*o++ = (char)(0xe0 | c >> 12);
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	} else {
		*o++ = (char)(0xf0 | c >> 18);
		*o++ = (char)(0x80 | (c >> 12 & 0x3f));
		*o++ = (char)(0x80 | (c >> 6 & 0x3f));
		*o++ = (char)(0x80 | (c & 0x3f));
	}
	*out = o;
	return p;
}

static char unescape_simple(char c)
{
	switch (c) {
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return c;
	}
}

int json_string(struct slice value, struct arena *arena, struct slice *out)
{
	const char *p;
	char *text;
	char *o;

	if (value.len < 2 || value.p[0] != '"')
		return PARLANCE_EINVAL;
	p = value.p + 1;
	if (scan_string(p, value.p + value.len) != value.p + value.len)
		return PARLANCE_EINVAL;
	/* No escape is shorter than what it stands for. */
	text = o = arena_alloc(arena, value.len - 1);
	if (!text)
		return PARLANCE_ENOMEM;
	while (*p != '"') {
		if (*p != '\\') {
			*o++ = *p++;
		} else if (p[1] == 'u') {
			p = unescape_unicode(p + 2, &o);
		} else {
			*o++ = unescape_simple(p[1]);
			p += 2;
		}
	}
	*o = '\0';
	*out = slice_of(text, (size_t)(o - text));
	return 0;
}

/* Which of the keys a raw JSON string decodes to; n for none. */
static int find_key(struct slice raw, const char *const *keys, size_t n, struct arena *arena,
		    size_t *found)
{
	struct slice plain = slice_of(raw.p + 1, raw.len - 2);

	if (memchr(plain.p, '\\', plain.len)) {
		int rc = json_string(raw, arena, &plain);

		if (rc)
			return rc;
	}
	for (*found = 0; *found < n; (*found)++)
		if (slice_is(plain, keys[*found]))
			break;
	return 0;
}

int json_members(struct slice object, const char *const *keys, size_t n, struct arena *arena,
		 struct slice *values)
{
	const char *end;
	const char *p;

	memset(values, 0, n * sizeof(*values));
	if (object.len == 0 || object.p[0] != '{')
		return PARLANCE_EINVAL;
	p = object.p;
	end = p + object.len;
	/* The step over '{' and then over each ','. */
	do {
		const char *name = skip_blanks(p + 1, end);
		const char *start;
		size_t key;
		int rc;

		p = scan_key(name, end);
		if (!p)
			break;
		rc = find_key(slice_of(name, (size_t)(scan_string(name + 1, end) - name)), keys, n,
			      arena, &key);
		if (rc)
			return rc;
		start = skip_blanks(p, end);
		p = scan_value(start, end, JSON_DEPTH_MAX - 1);
		if (!p)
			break;
		if (key < n)
			values[key] = slice_of(start, (size_t)(p - start));
		p = skip_blanks(p, end);
	} while (p < end && *p == ',');
	return 0;
}

int json_member(struct slice object, const char *key, struct arena *arena, struct slice *value)
{
	struct slice found;
	int rc = json_members(object, &key, 1, arena, &found);

	if (rc)
		return rc == PARLANCE_EINVAL ? PARLANCE_ENOENT : rc;
	if (!found.p)
		return PARLANCE_ENOENT;
	*value = found;
	return 0;
}
