/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The service's address.
 */
#include "common/weburl.h"
#include "url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char endpoint[] = "/chat/completions";

static bool is_openai(const struct weburl *url)
{
	static const char name[] = "api.openai.com.";
	const size_t len = sizeof(name) - 1;

	return (url->host_len == len || url->host_len == len - 1) &&
	       strncasecmp(url->host, name, url->host_len) == 0;
}

int url_check(const char *base_url, struct url_facts *facts, char *err, size_t err_size)
{
	struct weburl url;

	if (weburl_check("base_url", base_url, &url, err, err_size))
		return -1;
	facts->tls = url.tls;
	facts->loopback = url.loopback;
	facts->openai = is_openai(&url);
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
