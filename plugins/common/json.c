/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The JSON reader: recursive descent over text that is known to be UTF-8. What the skip functions
 * have passed is well-formed, and the others rely on that.
 */
#include <string.h>

#include "json.h"

struct cursor {
	const char *p;
	const char *end;
};

/* A character's length, or 0 when it is not UTF-8 (RFC 3629: shortest form, no surrogates). */
static size_t utf8_len(const unsigned char *p, size_t left)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;

	if (!n || p[0] > 0xf4 || n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static bool utf8_valid(struct parlance_str s)
{
	size_t i = 0;

	while (i < s.len) {
		size_t n = utf8_len((const unsigned char *)s.p + i, s.len - i);

		if (!n)
			return false;
		i += n;
	}
	return true;
}

static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
		c->p++;
}

static bool take(struct cursor *c, char what)
{
	if (c->p == c->end || *c->p != what)
		return false;
	c->p++;
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Four hex digits; -1: they are not there. */
static int32_t hex4(const char *p, const char *end)
{
	int32_t unit = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(p[i]);

		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

/* The character of \uXXXX, or of two that are a pair; p is behind the 'u'. *n: characters read, -1
 * when it is none. */
static uint32_t escaped(const char *p, const char *end, int *n)
{
	int32_t high = hex4(p, end);
	int32_t low;

	*n = high < 0 || (high >= 0xdc00 && high <= 0xdfff) ? -1 : 4;
	if (high < 0xd800 || high > 0xdbff)
		return (uint32_t)high;
	low = end - p >= 10 && p[4] == '\\' && p[5] == 'u' ? hex4(p + 6, end) : -1;
	*n = low >= 0xdc00 && low <= 0xdfff ? 10 : -1;
	return 0x10000 + ((uint32_t)(high - 0xd800) << 10) + ((uint32_t)low & 0x3ff);
}

static bool skip_string(struct cursor *c)
{
	int n;

	if (!take(c, '"'))
		return false;
	while (c->p < c->end && *c->p != '"') {
		if ((unsigned char)*c->p < 0x20)
			return false;
		if (*c->p++ != '\\')
			continue;
		if (c->p == c->end)
			return false;
		if (*c->p == 'u') {
			(void)escaped(c->p + 1, c->end, &n);
			if (n < 0)
				return false;
			c->p += 1 + n;
		} else if (*c->p && strchr("\"\\/bfnrt", *c->p)) {
			c->p++;
		} else {
			return false;
		}
	}
	return take(c, '"');
}

static size_t skip_digits(struct cursor *c)
{
	const char *begin = c->p;

	while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
		c->p++;
	return (size_t)(c->p - begin);
}

static bool skip_number(struct cursor *c)
{
	(void)take(c, '-');
	if (!take(c, '0') && !skip_digits(c))
		return false;
	if (take(c, '.') && !skip_digits(c))
		return false;
	if (take(c, 'e') || take(c, 'E')) {
		if (!take(c, '+'))
			(void)take(c, '-');
		return skip_digits(c) > 0;
	}
	return true;
}

static bool skip_word(struct cursor *c, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(c->end - c->p) < len || memcmp(c->p, word, len) != 0)
		return false;
	c->p += len;
	return true;
}

static bool skip_value(struct cursor *c, unsigned depth, struct json_value *out);

/* The elements of an array or the members of an object, up to its closing bracket. */
static bool skip_list(struct cursor *c, unsigned depth, char close)
{
	struct json_value ignored;

	if (depth == JSON_DEPTH_MAX)
		return false;
	skip_blanks(c);
	if (take(c, close))
		return true;
	do {
		skip_blanks(c);
		if (close == '}') {
			if (!skip_string(c))
				return false;
			skip_blanks(c);
			if (!take(c, ':'))
				return false;
			skip_blanks(c);
		}
		if (!skip_value(c, depth, &ignored))
			return false;
		skip_blanks(c);
	} while (take(c, ','));
	return take(c, close);
}

static bool skip_value(struct cursor *c, unsigned depth, struct json_value *out)
{
	const char *begin = c->p;
	bool ok;

	if (c->p == c->end)
		return false;
	switch (*c->p) {
	case '"':
		out->type = JSON_STRING;
		ok = skip_string(c);
		break;
	case '{':
		out->type = JSON_OBJECT;
		c->p++;
		ok = skip_list(c, depth + 1, '}');
		break;
	case '[':
		out->type = JSON_ARRAY;
		c->p++;
		ok = skip_list(c, depth + 1, ']');
		break;
	case 't':
		out->type = JSON_BOOL;
		ok = skip_word(c, "true");
		break;
	case 'f':
		out->type = JSON_BOOL;
		ok = skip_word(c, "false");
		break;
	case 'n':
		out->type = JSON_NULL;
		ok = skip_word(c, "null");
		break;
	default:
		out->type = JSON_NUMBER;
		ok = skip_number(c);
	}
	out->raw = (struct parlance_str){ begin, (size_t)(c->p - begin) };
	return ok;
}

static size_t put_utf8(uint32_t c, char out[4])
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Decodes the next character of a string; p is advanced. */
static size_t decode(const char **p, const char *end, char out[4])
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	uint32_t c;
	int n;

	if (**p != '\\') {
		out[0] = *(*p)++;
		return 1;
	}
	if ((*p)[1] != 'u') {
		out[0] = to[strchr(from, (*p)[1]) - from];
		*p += 2;
		return 1;
	}
	c = escaped(*p + 2, end, &n);
	*p += 2 + n;
	return put_utf8(c, out);
}

bool json_string(const struct json_value *v, char *out, size_t size, size_t *len)
{
	const char *p = v->raw.p + 1;
	const char *end = v->raw.p + v->raw.len - 1;
	char piece[4];
	size_t n;

	*len = 0;
	while (p < end) {
		n = decode(&p, end, piece);
		if (!piece[0] || n > size - *len)
			return false;
		memcpy(out + *len, piece, n);
		*len += n;
	}
	return true;
}

bool json_is(const struct json_value *v, const char *text)
{
	return json_is_str(v, (struct parlance_str){ text, strlen(text) });
}

bool json_is_str(const struct json_value *v, struct parlance_str text)
{
	const char *p;
	const char *end;
	char piece[4];

	if (v->type != JSON_STRING)
		return false;
	p = v->raw.p + 1;
	end = v->raw.p + v->raw.len - 1;
	while (p < end) {
		size_t n = decode(&p, end, piece);

		if (text.len < n || memcmp(text.p, piece, n) != 0)
			return false;
		text.p += n;
		text.len -= n;
	}
	return !text.len;
}

static enum json_problem add_member(struct json_object *o, size_t *used,
				    const struct json_value *name, const struct json_value *value)
{
	struct json_member *m = &o->members[o->n];
	size_t len;

	if (o->n == JSON_MEMBERS_MAX)
		return JSON_TOO_MANY;
	/* Decoded text is never longer than its source: only a NUL fails here, or very long names
	 * of a long text. */
	if (!json_string(name, o->names + *used, sizeof(o->names) - *used, &len))
		return JSON_MALFORMED;
	m->name = (struct parlance_str){ o->names + *used, len };
	m->value = *value;
	*used += len;
	for (size_t i = 0; i < o->n; i++) {
		if (o->members[i].name.len == len &&
		    memcmp(o->members[i].name.p, m->name.p, len) == 0)
			return JSON_TWICE;
	}
	o->n++;
	return JSON_FINE;
}

static enum json_problem read_members(struct json_object *o, struct cursor *c)
{
	enum json_problem problem;
	struct json_value name;
	struct json_value value;
	size_t used = 0;

	if (take(c, '}'))
		return JSON_FINE;
	do {
		skip_blanks(c);
		if (!skip_value(c, 1, &name) || name.type != JSON_STRING)
			return JSON_MALFORMED;
		skip_blanks(c);
		if (!take(c, ':'))
			return JSON_MALFORMED;
		skip_blanks(c);
		if (!skip_value(c, 1, &value))
			return JSON_MALFORMED;
		problem = add_member(o, &used, &name, &value);
		if (problem)
			return problem;
		skip_blanks(c);
	} while (take(c, ','));
	return take(c, '}') ? JSON_FINE : JSON_MALFORMED;
}

enum json_problem json_read(struct json_object *o, struct parlance_str text)
{
	o->n = 0;
	return text.len > JSON_TEXT_MAX ? JSON_TOO_MANY : json_read_long(o, text);
}

enum json_problem json_read_long(struct json_object *o, struct parlance_str text)
{
	struct cursor c;
	enum json_problem problem;

	o->n = 0;
	if (text.len == 0 || !utf8_valid(text))
		return JSON_MALFORMED;
	c = (struct cursor){ text.p, text.p + text.len };
	skip_blanks(&c);
	if (!take(&c, '{'))
		return JSON_MALFORMED;
	skip_blanks(&c);
	problem = read_members(o, &c);
	if (problem)
		return problem;
	skip_blanks(&c);
	return c.p == c.end ? JSON_FINE : JSON_MALFORMED;
}

const struct json_value *json_get(const struct json_object *o, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < o->n; i++) {
		if (o->members[i].name.len == len &&
		    memcmp(o->members[i].name.p, name, len) == 0)
			return &o->members[i].value;
	}
	return NULL;
}

bool json_next(const struct json_value *array, size_t *at, struct json_value *element)
{
	/* Behind the opening bracket, or the element before; up to the closing one. */
	struct cursor c = { array->raw.p + (*at ? *at : 1), array->raw.p + array->raw.len - 1 };

	skip_blanks(&c);
	if (*at && take(&c, ','))
		skip_blanks(&c);
	if (c.p == c.end || !skip_value(&c, 1, element))
		return false;
	*at = (size_t)(c.p - array->raw.p);
	return true;
}

bool json_is_integer(const struct json_value *v)
{
	bool negative = v->raw.len && v->raw.p[0] == '-';
	uint64_t n = 0;

	if (v->type != JSON_NUMBER)
		return false;
	for (size_t i = negative; i < v->raw.len; i++) {
		char c = v->raw.p[i];

		if (c < '0' || c > '9' || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(c - '0'), &n))
			return false;
	}
	return n <= INT64_MAX && !(negative && n == 0);
}

bool json_has_controls(struct parlance_str text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c < 0x20 || c == 0x7f ||
		    (c == 0xc2 && i + 1 < text.len && (unsigned char)text.p[i + 1] < 0xa0))
			return true;
	}
	return false;
}

/* The exponent, bounded: beyond the bound all numbers are too large or zero anyway. */
static int exponent_of(const char *p, const char *end)
{
	bool negative = p < end && *p == '-';
	int exponent = 0;

	if (p < end && (*p == '-' || *p == '+'))
		p++;
	for (; p < end && exponent < 100000; p++)
		exponent = exponent * 10 + (*p - '0');
	return negative ? -exponent : exponent;
}

enum json_number json_seconds(const struct json_value *v, int64_t max, int64_t *ms)
{
	const char *p = v->raw.p;
	const char *end = p + v->raw.len;
	bool negative = *p == '-';
	bool fraction = false;
	int64_t n = 0;  /* the first digits */
	int shift = 3;  /* the value is n * 10^shift ms */

	for (p += negative; p < end && *p != 'e' && *p != 'E'; p++) {
		if (*p == '.') {
			fraction = true;
		} else if (n < (int64_t)100000000000000000) {
			n = n * 10 + (*p - '0');
			shift -= fraction;
		} else {
			/* More digits than any time has. */
			shift += !fraction;
		}
	}
	if (p < end)
		shift += exponent_of(p + 1, end);
	for (; shift < 0 && n; shift++)
		n /= 10;
	for (; shift > 0 && n; shift--) {
		if (n > max * 1000)
			return JSON_NUMBER_RANGE;
		n *= 10;
	}
	if (n > max * 1000 || (negative && n))
		return JSON_NUMBER_RANGE;
	*ms = n;
	return JSON_NUMBER_OK;
}
