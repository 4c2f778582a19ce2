/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The option jwks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/weburl.h"
#include "fetch.h"
#include "sources.h"

#define ISSUER_MAX 255

struct sources {
	size_t n;
	struct source *items[];
};

static bool has(const struct sources *s, const char *issuer)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *other = source_issuer(s->items[i]);

		if (issuer && other ? strcmp(issuer, other) == 0 : !issuer && !other)
			return true;
	}
	return false;
}

/* A URL that may be trusted, or an absolute path. */
static int check_where(const char **where, bool http_ok, char *err, size_t err_size)
{
	if (strncmp(*where, "file:", 5) == 0)
		*where += 5;
	if (**where == '/')
		return 0;
	if (strncasecmp(*where, "http://", 7) != 0 && strncasecmp(*where, "https://", 8) != 0) {
		(void)snprintf(err, err_size,
			       "jwks: write SOURCE or ISSUER SOURCE, where SOURCE is https://URL or "
			       "file:/PATH");
		return -1;
	}
	return weburl_check_trusted("jwks", *where, http_ok, "jwks_http", err, err_size);
}

static int add(struct sources *s, const char *item, const struct source_config *config,
	       bool http_ok, char *err, size_t err_size)
{
	struct source_config c = *config;
	size_t len = strcspn(item, " \t");
	char issuer[ISSUER_MAX + 1];

	c.where = item;
	c.issuer = NULL;
	if (item[len]) {
		c.where = item + len + strspn(item + len, " \t");
		c.issuer = issuer;
		if (len > ISSUER_MAX) {
			(void)snprintf(err, err_size, "jwks: an issuer has more than %d bytes",
				       ISSUER_MAX);
			return -1;
		}
		memcpy(issuer, item, len);
		issuer[len] = '\0';
	}
	if (check_where(&c.where, http_ok, err, err_size))
		return -1;
	if (has(s, c.issuer)) {
		(void)snprintf(err, err_size, "jwks: there are two sets %s%s; name one",
			       c.issuer ? "of the issuer " : "without an issuer",
			       c.issuer ? c.issuer : "");
		return -1;
	}
	s->items[s->n] = source_new(&c, err, err_size);
	if (!s->items[s->n])
		return -1;
	s->n++;
	return 0;
}

struct sources *sources_new(const struct parlance_list *items, const struct source_config *config,
			    bool http_ok, char *err, size_t err_size)
{
	struct sources *s = calloc(1, sizeof(*s) + items->n * sizeof(struct source *));

	if (!s) {
		(void)snprintf(err, err_size, "out of memory");
		return NULL;
	}
	for (size_t i = 0; i < items->n; i++) {
		if (add(s, items->items[i], config, http_ok, err, err_size)) {
			sources_free(&s);
			return NULL;
		}
	}
	return s;
}

void sources_start(struct sources *s, struct sources *old)
{
	for (size_t i = 0; i < s->n; i++) {
		for (size_t j = 0; old && j < old->n; j++) {
			if (source_is_same(s->items[i], old->items[j]))
				source_adopt(s->items[i], old->items[j]);
		}
		source_start(s->items[i]);
	}
}

bool sources_stop(struct sources *s)
{
	bool idle = true;

	for (size_t i = 0; i < s->n; i++)
		idle = source_stop(s->items[i]) && idle;
	return idle;
}

void sources_free(struct sources **sp)
{
	struct sources *s = *sp;

	if (!s)
		return;
	*sp = NULL;
	for (size_t i = 0; i < s->n; i++)
		source_free(&s->items[i]);
	free(s);
}

size_t sources_count(const struct sources *s)
{
	return s->n;
}

struct source *sources_of(const struct sources *s, struct parlance_str issuer)
{
	for (size_t i = 0; i < s->n; i++) {
		const char *of = source_issuer(s->items[i]);

		if (!of ? !issuer.p
			: issuer.p && strlen(of) == issuer.len &&
				  memcmp(of, issuer.p, issuer.len) == 0)
			return s->items[i];
	}
	return NULL;
}
