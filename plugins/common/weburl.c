/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Addresses of services. */
#include "weburl.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

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

int weburl_check(const char *option, const char *url, struct weburl *out, char *err,
		 size_t err_size)
{
	const char *authority;
	size_t len;

	out->tls = strncasecmp(url, "https://", 8) == 0;
	authority = url + (out->tls ? 8 : 7);
	/* The text is not repeated where it may hold a password. */
	if (!out->tls && strncasecmp(url, "http://", 7) != 0) {
		(void)snprintf(err, err_size, "%s: it must begin with https:// or http://", option);
		return -1;
	}
	for (const char *at = url; *at; at++) {
		if ((unsigned char)*at <= 0x20 || (unsigned char)*at >= 0x7f || *at == '#') {
			(void)snprintf(err, err_size,
				       "%s: it has a blank, a #, a control or a non-ASCII "
				       "character; take it out or escape it",
				       option);
			return -1;
		}
	}
	len = strcspn(authority, "/?");
	if (memchr(authority, '@', len)) {
		(void)snprintf(err, err_size, "%s: a name and password cannot stand in it; there are options for what "
			       "it needs",
			       option);
		return -1;
	}
	if (find_host(authority, len, &out->host, &out->host_len)) {
		(void)snprintf(err, err_size,
			       "%s: no host, or a malformed port; write it like "
			       "https://host:port/path",
			       option);
		return -1;
	}
	out->loopback = is_loopback(out->host, out->host_len);
	return 0;
}

int weburl_check_trusted(const char *option, const char *url, bool http_ok, const char *http_option,
			 char *err, size_t err_size)
{
	struct weburl facts;

	if (weburl_check(option, url, &facts, err, err_size))
		return -1;
	if (facts.tls || facts.loopback || http_ok)
		return 0;
	(void)snprintf(err, err_size,
		       "%s: plain http to another machine can be read and forged on the way; use "
		       "https, or set %s = yes",
		       option, http_option);
	return -1;
}
