/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * HTTP/1.1 requests (RFC 9110, RFC 9112): one pass over the bytes, line by line; what a field means
 * for the message is judged as soon as its line is read. Any thread.
 */
#include <strings.h>

#include "wire/http.h"

#include "base/err.h"

#define METHOD_MAX 32        /* bytes; no registered method has more than 17 */
#define LENGTH_DIGITS_MAX 19 /* any number of 19 digits fits 64 bits */

/* What a byte may be part of. */
enum {
	TOKEN = 1,  /* RFC 9110 section 5.6.2 */
	VALUE = 2,  /* section 5.5: VCHAR, obs-text, SP, HTAB */
	TARGET = 4, /* VCHAR but '#': browsers leave more than RFC 3986 has unescaped in a query */
	HOST = 8,   /* reg-name, RFC 3986 section 3.2.2 */
	COLON = 16,
	DIGIT = 32,
	TEXT = VALUE | TARGET,
	WORD = TEXT | TOKEN | HOST,
};

static const uint8_t classes[256] = {
	['\t'] = VALUE, [' '] = VALUE,
	['!'] = WORD, ['"'] = TEXT,
	['#'] = VALUE | TOKEN, ['$' ... '\''] = WORD,
	['(' ... ')'] = TEXT | HOST, ['*' ... '+'] = WORD,
	[','] = TEXT | HOST, ['-' ... '.'] = WORD,
	['/'] = TEXT, ['0' ... '9'] = WORD | DIGIT,
	[':'] = TEXT | COLON, [';'] = TEXT | HOST,
	['<'] = TEXT, ['='] = TEXT | HOST,
	['>' ... '@'] = TEXT, ['A' ... 'Z'] = WORD,
	['[' ... ']'] = TEXT, ['^'] = TEXT | TOKEN,
	['_'] = WORD, ['`'] = TEXT | TOKEN,
	['a' ... 'z'] = WORD, ['{'] = TEXT,
	['|'] = TEXT | TOKEN, ['}'] = TEXT,
	['~'] = WORD, [0x80 ... 0xff] = VALUE,
};

/* What is left to read. */
struct cursor {
	const char *p;
	const char *end;
};

static bool at(const struct cursor *c, char byte)
{
	return c->p < c->end && *c->p == byte;
}

/* Takes the bytes that belong to one of the classes; there may be none. */
static struct slice take(struct cursor *c, unsigned int set)
{
	const char *start = c->p;
	const char *end = c->end;
	const char *p = start;

	while (p < end && classes[(uint8_t)*p] & set)
		p++;
	c->p = p;
	return slice_of(start, (size_t)(p - start));
}

/* True when all eight bytes are of VALUE and none is HTAB: none below 0x20, none 0x7f. */
static bool plain8(const char *p)
{
	const uint64_t ones = 0x0101010101010101;
	uint64_t x;
	uint64_t y;

	memcpy(&x, p, sizeof(x));
	y = x ^ ones * 0x7f; /* a byte 0x7f becomes 0 */
	return ((((x - ones * 0x20) & ~x) | ((y - ones) & ~y)) & ones * 0x80) == 0;
}

/* take(c, VALUE), faster: values are most of a head. */
static struct slice take_value(struct cursor *c)
{
	const char *start = c->p;

	while (c->end - c->p >= 8 && plain8(c->p))
		c->p += 8;
	take(c, VALUE);
	return slice_of(start, (size_t)(c->p - start));
}

/* Takes the literal; PARLANCE_EAGAIN when the bytes end within it. */
static int expect(struct cursor *c, const char *literal)
{
	for (; *literal; literal++) {
		if (c->p == c->end)
			return PARLANCE_EAGAIN;
		if (*c->p != *literal)
			return PARLANCE_EINVAL;
		c->p++;
	}
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Without the blanks at its ends (OWS, RFC 9110 section 5.6.3). */
static struct slice trim(struct slice text)
{
	while (text.len > 0 && is_blank(text.p[0]))
		text = slice_of(text.p + 1, text.len - 1);
	while (text.len > 0 && is_blank(text.p[text.len - 1]))
		text.len--;
	return text;
}

static bool same_nocase(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || strncasecmp(a.p, b.p, a.len) == 0);
}

/* host [":" port]; what is inside the brackets of an IPv6 address is not looked at closely. */
static bool authority_valid(struct slice text)
{
	struct cursor c = { text.p, text.p + text.len };

	if (at(&c, '[')) {
		c.p++;
		if (take(&c, HOST | COLON).len == 0 || expect(&c, "]"))
			return false;
	} else {
		take(&c, HOST);
	}
	if (at(&c, ':')) {
		c.p++;
		take(&c, DIGIT);
	}
	return c.p == c.end;
}

static enum http_method method_of(struct slice name)
{
	if (slice_is(name, "GET"))
		return HTTP_GET;
	if (slice_is(name, "POST"))
		return HTTP_POST;
	if (slice_is(name, "OPTIONS"))
		return HTTP_OPTIONS;
	if (slice_is(name, "HEAD"))
		return HTTP_HEAD;
	return HTTP_OTHER;
}

/* HTTP/1.x; a minor version that we do not know is read as the highest that we do (RFC 9110
 * section 2.5). */
static int parse_version(struct cursor *c, int *minor)
{
	struct slice digits[2];
	int rc = expect(c, "HTTP/");

	for (size_t i = 0; i < ARRAY_LEN(digits) && !rc; i++) {
		digits[i] = take(c, DIGIT);
		if (digits[i].len > 1 || (digits[i].len == 0 && c->p < c->end))
			return PARLANCE_EINVAL;
		rc = expect(c, i == 0 ? "." : "\r\n");
	}
	if (rc)
		return rc;
	*minor = digits[1].p[0] == '0' ? 0 : 1;
	return digits[0].p[0] == '1' ? 0 : PARLANCE_ENOTSUP;
}

/* The forms of RFC 9112 section 3.2 but authority-form, which only CONNECT has. *authority is that
 * of absolute-form. */
static int parse_target(struct slice target, struct http_request *r, struct slice *authority)
{
	struct cursor c = { target.p, target.p + target.len };
	const char *query;

	r->path = target;
	r->query = slice_of(c.end, 0);
	if (slice_is(target, "*"))
		return r->method == HTTP_OPTIONS ? 0 : PARLANCE_EINVAL;
	if (!at(&c, '/')) {
		if (target.len >= 7 && strncasecmp(target.p, "http://", 7) == 0)
			c.p += 7;
		else if (target.len >= 8 && strncasecmp(target.p, "https://", 8) == 0)
			c.p += 8;
		else
			return PARLANCE_EINVAL;
		r->path = slice_of(c.p - 1, 1); /* the "/" of an empty path: the scheme's last */
		authority->p = c.p;
		while (c.p < c.end && *c.p != '/' && *c.p != '?')
			c.p++;
		authority->len = (size_t)(c.p - authority->p);
		/* RFC 9110 section 4.2.1: there is a host. */
		if (authority->len == 0 || authority->p[0] == ':' || !authority_valid(*authority))
			return PARLANCE_EINVAL;
	}
	query = memchr(c.p, '?', (size_t)(c.end - c.p));
	if (at(&c, '/'))
		r->path = slice_of(c.p, (size_t)((query ? query : c.end) - c.p));
	if (query)
		r->query = slice_of(query + 1, (size_t)(c.end - query - 1));
	return 0;
}

static int parse_request_line(struct cursor *c, struct http_request *r, struct slice *authority)
{
	struct slice word = take(c, TOKEN);
	int rc;

	if (word.len > METHOD_MAX || (word.len == 0 && c->p < c->end))
		return PARLANCE_EINVAL;
	rc = expect(c, " ");
	if (rc)
		return rc;
	r->method = method_of(word);
	word = take(c, TARGET);
	if (word.len == 0 && c->p < c->end)
		return PARLANCE_EINVAL;
	rc = expect(c, " ");
	if (!rc)
		rc = parse_version(c, &r->minor);
	return rc ? rc : parse_target(word, r, authority);
}

static int parse_length(struct slice value, uint64_t *length)
{
	uint64_t n = 0;

	if (value.len == 0 || value.len > LENGTH_DIGITS_MAX)
		return PARLANCE_EINVAL;
	for (size_t i = 0; i < value.len; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return PARLANCE_EINVAL;
		n = n * 10 + (uint64_t)(value.p[i] - '0');
	}
	*length = n;
	return 0;
}

/* True when the comma list has the word; parameters do not count. */
static bool lists(struct slice list, struct slice word)
{
	while (list.len > 0) {
		const char *comma = memchr(list.p, ',', list.len);
		size_t len = comma ? (size_t)(comma - list.p) : list.len;
		const char *semicolon = memchr(list.p, ';', len);
		struct slice element = list;

		element.len = semicolon ? (size_t)(semicolon - list.p) : len;
		if (same_nocase(trim(element), word))
			return true;
		if (comma)
			len++;
		list = slice_of(list.p + len, list.len - len);
	}
	return false;
}

/* What the fields say about the message itself. */
struct framing {
	struct slice authority; /* of an absolute-form target; p NULL: it had none */
	struct slice host;      /* p NULL: not seen */
	bool close;
	bool keep_alive;
};

static int parse_framing(const struct http_header *h, struct http_request *r, struct framing *f)
{
	if (same_nocase(h->name, slice_str("Host"))) {
		if (f->host.p || !authority_valid(h->value))
			return PARLANCE_EINVAL;
		f->host = h->value;
	} else if (same_nocase(h->name, slice_str("Content-Length"))) {
		if (r->has_length || r->has_transfer_encoding)
			return PARLANCE_EINVAL;
		r->has_length = true;
		return parse_length(h->value, &r->length);
	} else if (same_nocase(h->name, slice_str("Transfer-Encoding"))) {
		/* Version 1.0 does not have it: RFC 9112 section 6.1. */
		if (r->has_length || r->minor == 0)
			return PARLANCE_EINVAL;
		r->has_transfer_encoding = true;
	} else if (same_nocase(h->name, slice_str("Connection"))) {
		f->close |= lists(h->value, slice_str("close"));
		f->keep_alive |= lists(h->value, slice_str("keep-alive"));
	}
	return 0;
}

/* A field's line is name ":" OWS value OWS CRLF; it has no blank before the colon and does not go
 * on in the next line, which would begin with one (RFC 9112 section 5). */
static int parse_field(struct cursor *c, struct http_header *out)
{
	int rc;

	out->name = take(c, TOKEN);
	if (out->name.len == 0)
		return PARLANCE_EINVAL;
	rc = expect(c, ":");
	if (rc)
		return rc;
	out->value = trim(take_value(c));
	return expect(c, "\r\n");
}

/* The fields and the empty line. */
static int parse_fields(struct cursor *c, struct http_request *r, struct framing *f)
{
	while (c->p < c->end && *c->p != '\r') {
		struct http_header *h = &r->headers[r->n_headers];
		int rc;

		if (r->n_headers == HTTP_HEADERS_MAX)
			return PARLANCE_ETOOBIG;
		rc = parse_field(c, h);
		if (!rc)
			rc = parse_framing(h, r, f);
		if (rc)
			return rc;
		r->n_headers++;
	}
	return expect(c, "\r\n");
}

static int parse_head(struct cursor *c, struct http_request *r)
{
	struct framing f = { .close = false };
	int rc;

	while (at(c, '\r')) {
		rc = expect(c, "\r\n");
		if (rc)
			return rc;
	}
	rc = parse_request_line(c, r, &f.authority);
	if (!rc)
		rc = parse_fields(c, r, &f);
	if (rc)
		return rc;
	/* RFC 9112 section 3.2: there is a Host, and it is the target's when that names one. */
	if (!f.host.p && r->minor > 0)
		return PARLANCE_EINVAL;
	if (f.host.p && f.authority.p && !same_nocase(f.host, f.authority))
		return PARLANCE_EINVAL;
	r->keep_alive = !f.close && (r->minor > 0 || f.keep_alive);
	return 0;
}

int http_parse(struct slice bytes, size_t max, struct http_request *out)
{
	struct cursor c;
	int rc;

	if (bytes.len == 0)
		return PARLANCE_EAGAIN; /* there may be no pointer to count from */
	c = (struct cursor){ bytes.p, bytes.p + (bytes.len < max ? bytes.len : max) };
	/* Not all of it is cleared: what is behind n_headers is never read. */
	out->n_headers = 0;
	out->has_length = false;
	out->length = 0;
	out->has_transfer_encoding = false;
	rc = parse_head(&c, out);
	if (rc == PARLANCE_EAGAIN && bytes.len >= max)
		return PARLANCE_ETOOBIG;
	out->head_len = (size_t)(c.p - bytes.p);
	return rc;
}

struct slice http_header(const struct http_request *r, const char *name)
{
	struct slice wanted = slice_str(name);

	for (size_t i = 0; i < r->n_headers; i++) {
		if (same_nocase(r->headers[i].name, wanted))
			return r->headers[i].value;
	}
	return slice_of(NULL, 0);
}

bool http_header_lists(const struct http_request *r, const char *name, const char *word)
{
	struct slice wanted = slice_str(name);

	for (size_t i = 0; i < r->n_headers; i++) {
		if (same_nocase(r->headers[i].name, wanted) &&
		    lists(r->headers[i].value, slice_str(word)))
			return true;
	}
	return false;
}
