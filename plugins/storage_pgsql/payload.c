/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The payload of a notification: a JSON scanner (RFC 8259) that keeps four members of the top. */
#include <string.h>

#include "payload.h"

enum {
	DEPTH_MAX = 64,
	TYPE_MAX_LEN = 64,
	ROOM_LEN = 36,
	SEQ_DIGITS_MAX = 18, /* so that any fits into 63 bits */
};

struct scan {
	const char *p;
	const char *end;
};

static bool scan_value(struct scan *s, unsigned int depth);

static void skip_space(struct scan *s)
{
	while (s->p < s->end && strchr(" \t\r\n", *s->p) && *s->p)
		s->p++;
}

static bool take(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool scan_escape(struct scan *s)
{
	if (s->p == s->end)
		return false;
	if (*s->p != 'u')
		return *s->p && strchr("\"\\/bfnrt", *s->p++);
	s->p++;
	for (int i = 0; i < 4; i++) {
		if (s->p == s->end || !is_hex(*s->p++))
			return false;
	}
	return true;
}

/* What is between the quotes. */
static bool scan_string(struct scan *s, struct parlance_str *out)
{
	if (!take(s, '"'))
		return false;
	out->p = s->p;
	while (s->p < s->end && *s->p != '"') {
		unsigned char c = (unsigned char)*s->p++;

		if (c < 0x20 || (c == '\\' && !scan_escape(s)))
			return false;
	}
	out->len = (size_t)(s->p - out->p);
	return take(s, '"');
}

static bool scan_digits(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && is_digit(*s->p))
		s->p++;
	return s->p > from;
}

static bool scan_number(struct scan *s)
{
	(void)take(s, '-');
	if (!take(s, '0') && !scan_digits(s))
		return false;
	if (take(s, '.') && !scan_digits(s))
		return false;
	if (take(s, 'e') || take(s, 'E')) {
		if (!take(s, '+'))
			(void)take(s, '-');
		return scan_digits(s);
	}
	return true;
}

static bool scan_word(struct scan *s, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
		return false;
	s->p += len;
	return true;
}

static bool scan_array(struct scan *s, unsigned int depth)
{
	skip_space(s);
	if (take(s, ']'))
		return true;
	do {
		if (!scan_value(s, depth))
			return false;
	} while (take(s, ','));
	return take(s, ']');
}

static bool scan_key(struct scan *s, struct parlance_str *key)
{
	skip_space(s);
	if (!scan_string(s, key))
		return false;
	skip_space(s);
	return take(s, ':');
}

static bool scan_object(struct scan *s, unsigned int depth)
{
	struct parlance_str key;

	skip_space(s);
	if (take(s, '}'))
		return true;
	do {
		if (!scan_key(s, &key) || !scan_value(s, depth))
			return false;
	} while (take(s, ','));
	return take(s, '}');
}

/* A value and the space around it. */
static bool scan_value(struct scan *s, unsigned int depth)
{
	struct parlance_str string;
	bool ok;

	skip_space(s);
	if (s->p == s->end || depth == DEPTH_MAX)
		return false;
	switch (*s->p) {
	case '{':
		s->p++;
		ok = scan_object(s, depth + 1);
		break;
	case '[':
		s->p++;
		ok = scan_array(s, depth + 1);
		break;
	case '"':
		ok = scan_string(s, &string);
		break;
	case 't':
		ok = scan_word(s, "true");
		break;
	case 'f':
		ok = scan_word(s, "false");
		break;
	case 'n':
		ok = scan_word(s, "null");
		break;
	default:
		ok = scan_number(s);
		break;
	}
	skip_space(s);
	return ok;
}

static bool is_uuid(struct parlance_str s)
{
	if (s.len != ROOM_LEN)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s.p[i] != '-' : !is_hex(s.p[i]))
			return false;
	}
	return true;
}

static bool is_type(struct parlance_str s)
{
	if (s.len == 0 || s.len > TYPE_MAX_LEN)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && s.p[i] != '.' && s.p[i] != '_')
			return false;
	}
	return true;
}

static bool read_text(struct parlance_str value, struct parlance_str *out)
{
	struct scan s = { value.p, value.p + value.len };

	return !out->p && scan_string(&s, out) && s.p == s.end;
}

static bool read_seq(struct parlance_str value, int64_t *out)
{
	if (*out || value.len > SEQ_DIGITS_MAX)
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (!is_digit(value.p[i]))
			return false;
		*out = *out * 10 + (value.p[i] - '0');
	}
	return true;
}

/* A member that comes twice is refused: readers of JSON differ in which one they take. */
static bool read_member(struct payload *out, struct parlance_str key, struct parlance_str value)
{
	if (key.len != 1)
		return true;
	switch (*key.p) {
	case 'r':
		return read_text(value, &out->room);
	case 't':
		return read_text(value, &out->type);
	case 's':
		return read_seq(value, &out->seq);
	case 'b':
		/* null: what the event is about is gone by now. */
		if (out->body || (*value.p != '{' && *value.p != 'n'))
			return false;
		out->body = true;
		return true;
	default:
		return true;
	}
}

bool payload_parse(struct parlance_str text, struct payload *out)
{
	struct scan s = { text.p, text.p + text.len };
	struct parlance_str key;

	*out = (struct payload){ 0 };
	if (!take(&s, '{'))
		return false;
	do {
		struct parlance_str value;

		if (!scan_key(&s, &key))
			return false;
		skip_space(&s);
		value.p = s.p;
		if (!scan_value(&s, 1))
			return false;
		value.len = (size_t)(s.p - value.p);
		while (strchr(" \t\r\n", value.p[value.len - 1]))
			value.len--;
		if (!read_member(out, key, value))
			return false;
	} while (take(&s, ','));
	return take(&s, '}') && s.p == s.end && out->seq > 0 && is_uuid(out->room) &&
	       is_type(out->type);
}
