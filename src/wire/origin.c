/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Origins (RFC 6454): entries of the configuration and the values of browsers go through one
 * parser; they differ in who may use upper case and who a wildcard. Any thread.
 */
#include <string.h>
#include <strings.h>

#include "wire/origin.h"

#include "wire/forwarded.h"
#include "base/err.h"

struct origin {
	struct slice scheme;
	struct slice host;
	unsigned int port;  /* 0: the scheme's own */
	bool any_subdomain; /* an entry: host stands for the names below it */
};

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || is_upper(c);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool same(struct slice a, struct slice b)
{
	return a.len == b.len && strncasecmp(a.p, b.p, a.len) == 0;
}

/* RFC 3986 section 3.1 */
static bool scheme_valid(struct slice s)
{
	if (s.len == 0 || !is_alpha(s.p[0]))
		return false;
	for (size_t i = 1; i < s.len; i++) {
		char c = s.p[i];

		if (!is_alpha(c) && !is_digit(c) && c != '+' && c != '-' && c != '.')
			return false;
	}
	return true;
}

/* Labels of letters, digits, '-' and '_' with single dots between, or an IPv6 address in brackets.
 * Browsers write names in their ASCII form. */
static bool host_valid(struct slice s)
{
	struct ip_addr ip;
	bool label = false;

	if (s.len > 0 && s.p[0] == '[')
		return s.p[s.len - 1] == ']' && ip_parse(s, &ip) == 0;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '.' && !label)
			return false;
		label = c != '.';
		if (label && !is_alpha(c) && !is_digit(c) && c != '-' && c != '_')
			return false;
	}
	return label;
}

/* Decimal, 1 to 65535, no leading zero; 0 when it is none. */
static unsigned int parse_port(struct slice s)
{
	unsigned int port = 0;

	if (s.len == 0 || s.len > 5 || s.p[0] == '0')
		return 0;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_digit(s.p[i]))
			return 0;
		port = port * 10 + (unsigned int)(s.p[i] - '0');
	}
	return port <= 65535 ? port : 0;
}

/* scheme://[*.]host[:port]; the wildcard only where it is allowed. */
static bool parse(struct slice text, bool wildcard, struct origin *out)
{
	const char *end;
	const char *p;
	const char *colon;

	if (text.len == 0)
		return false;
	end = text.p + text.len;
	colon = memchr(text.p, ':', text.len);
	if (!colon || end - colon < 3 || memcmp(colon, "://", 3) != 0)
		return false;
	out->scheme = slice_of(text.p, (size_t)(colon - text.p));
	p = colon + 3;
	out->any_subdomain = wildcard && end - p >= 2 && memcmp(p, "*.", 2) == 0;
	if (out->any_subdomain) {
		p += 2;
		if (p < end && *p == '[')
			return false;
	}
	/* The port's colon is the last, and not inside the brackets of an IPv6 address. */
	out->port = 0;
	colon = memrchr(p, ':', (size_t)(end - p));
	if (colon && end[-1] != ']') {
		out->port = parse_port(slice_of(colon + 1, (size_t)(end - colon - 1)));
		if (out->port == 0)
			return false;
		end = colon;
	}
	out->host = slice_of(p, (size_t)(end - p));
	if ((same(out->scheme, slice_str("http")) && out->port == 80) ||
	    (same(out->scheme, slice_str("https")) && out->port == 443))
		out->port = 0;
	return scheme_valid(out->scheme) && host_valid(out->host);
}

int origin_entry_check(struct slice entry)
{
	struct origin origin;

	if (slice_is(entry, "*") || slice_is(entry, "null"))
		return 0;
	for (size_t i = 0; i < entry.len; i++) {
		if (is_upper(entry.p[i]))
			return PARLANCE_EINVAL;
	}
	return parse(entry, true, &origin) ? 0 : PARLANCE_EINVAL;
}

static bool host_matches(const struct origin *entry, struct slice host)
{
	if (entry->any_subdomain) {
		size_t below; /* bytes before the entry's own name: labels, with a dot each */

		if (host.len <= entry->host.len)
			return false;
		below = host.len - entry->host.len;
		/* A valid host does not begin with a dot, so there is a label before this one. */
		if (host.p[below - 1] != '.')
			return false;
		host = slice_of(host.p + below, entry->host.len);
	}
	return same(host, entry->host);
}

static bool entry_allows(const char *text, const struct origin *origin)
{
	struct origin entry;

	return parse(slice_str(text), true, &entry) && entry.port == origin->port &&
	       same(entry.scheme, origin->scheme) && host_matches(&entry, origin->host);
}

static bool visible_ascii(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	}
	return s.len > 0;
}

bool origin_allowed(const char *const *entries, size_t n, struct slice origin)
{
	bool null = slice_is(origin, "null");
	struct origin parsed;
	bool ok;

	if (!visible_ascii(origin))
		return false;
	ok = parse(origin, false, &parsed);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(entries[i], "*") == 0 || (null && strcmp(entries[i], "null") == 0) ||
		    (ok && entry_allows(entries[i], &parsed)))
			return true;
	}
	return false;
}
