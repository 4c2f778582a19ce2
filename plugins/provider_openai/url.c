/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The service's address.
 */
#include "url.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char endpoint[] = "/chat/completions";

static bool same(const char *p, size_t len, const char *name)
{
	return len == strlen(name) && strncasecmp(p, name, len) == 0;
}

static bool is_loopback(const char *host, size_t len)
{
	static const char suffix[] = ".localhost";
	const size_t suffix_len = sizeof(suffix) - 1;
	char text[INET6_ADDRSTRLEN];
	struct in_addr four;
	struct in6_addr six;

	if (same(host, len, "localhost"))
		return true;
	if (len > suffix_len && same(host + len - suffix_len, suffix_len, suffix))
		return true;
	if (len >= sizeof(text))
		return false;
	memcpy(text, host, len);
	text[len] = '\0';
	if (inet_pton(AF_INET, text, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, text, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* What is between the slashes, without brackets and port. -1: not understood. */
static int find_host(const char *p, size_t len, const char **host, size_t *host_len)
{
	const char *end = p + len;
	const char *stop;
	size_t digits;

	if (len > 0 && *p == '[') {
		p++;
		stop = memchr(p, ']', len - 1);
		if (!stop)
			return -1;
		*host_len = (size_t)(stop - p);
		stop++;
	} else {
		stop = memchr(p, ':', len);
		if (!stop)
			stop = end;
		*host_len = (size_t)(stop - p);
	}
	*host = p;
	if (*host_len == 0)
		return -1;
	if (stop == end)
		return 0;
	digits = strspn(stop + 1, "0123456789");
	return *stop == ':' && digits > 0 && stop + 1 + digits == end ? 0 : -1;
}

int url_check(const char *base_url, struct url_facts *facts, char *err, size_t err_size)
{
	bool tls = strncasecmp(base_url, "https://", 8) == 0;
	const char *authority = base_url + (tls ? 8 : 7);
	const char *host = NULL;
	const char *at;
	size_t host_len = 0;
	size_t len;

	/* The text is not repeated where it may hold a password. */
	if (!tls && strncasecmp(base_url, "http://", 7) != 0) {
		snprintf(err, err_size, "base_url: it must begin with https:// or http://");
		return -1;
	}
	for (at = base_url; *at; at++) {
		if ((unsigned char)*at <= 0x20 || (unsigned char)*at >= 0x7f || *at == '#') {
			snprintf(err, err_size,
				 "base_url: it has a blank, a #, a control or a non-ASCII "
				 "character; take it out or escape it");
			return -1;
		}
	}
	len = strcspn(authority, "/?");
	if (memchr(authority, '@', len)) {
		snprintf(err, err_size,
			 "base_url: a name and password cannot stand in it; set api_key_file, or "
			 "Authorization in extra_headers");
		return -1;
	}
	if (find_host(authority, len, &host, &host_len)) {
		snprintf(err, err_size, "base_url: no host, or a malformed port; write it like "
					"https://host:port/path");
		return -1;
	}
	facts->tls = tls;
	facts->loopback = is_loopback(host, host_len);
	facts->openai = same(host, host_len, "api.openai.com") ||
			same(host, host_len, "api.openai.com.");
	return 0;
}

char *url_complete(const char *base_url)
{
	size_t len = strcspn(base_url, "?");
	const char *query = base_url + len;
	const size_t more = sizeof(endpoint) - 1;
	char *url;

	while (len > 0 && base_url[len - 1] == '/')
		len--;
	if (len > more && memcmp(base_url + len - more, endpoint, more) == 0)
		len -= more;
	if (asprintf(&url, "%.*s%s%s", (int)len, base_url, endpoint, query) < 0)
		return NULL;
	return url;
}
