/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Looking up the names of hosts on a thread of the pool. */
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "conninfo.h"

/* A name: neither a Unix socket nor an address already. */
static bool needs_lookup(const struct address *a)
{
	unsigned char raw[sizeof(struct in6_addr)];

	return *a->host && !*a->hostaddr && *a->host != '/' && *a->host != '@' &&
	       inet_pton(AF_INET, a->host, raw) != 1 && inet_pton(AF_INET6, a->host, raw) != 1;
}

static int look_up(struct resolve *r, const struct address *a)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	char text[NI_MAXHOST];
	int rc = getaddrinfo(a->host, NULL, &hints, &list);

	if (rc) {
		/* Another host of the list may do. */
		snprintf(r->err, sizeof(r->err), "the name \"%.200s\" cannot be looked up: %s",
			 a->host, gai_strerror(rc));
		return 0;
	}
	for (const struct addrinfo *it = list; it && rc == 0; it = it->ai_next) {
		if (getnameinfo(it->ai_addr, it->ai_addrlen, text, sizeof(text), NULL, 0,
				NI_NUMERICHOST) == 0)
			rc = addresses_add(&r->found, a->host, text, a->port);
	}
	freeaddrinfo(list);
	return rc;
}

/* On a thread; it touches nothing but r->info, r->found and r->err. */
static void resolve_work(void *arg)
{
	struct resolve *r = arg;
	const struct addresses *from = &r->info.addresses;
	int rc = 0;

	for (size_t i = 0; i < from->n && rc == 0; i++) {
		const struct address *a = &from->list[i];

		if (needs_lookup(a))
			rc = look_up(r, a);
		else
			rc = addresses_add(&r->found, a->host, a->hostaddr, a->port);
	}
	if (rc) {
		addresses_free(&r->found);
		snprintf(r->err, sizeof(r->err), "out of memory");
	} else if (r->found.n > 0) {
		r->err[0] = '\0';
	}
}

static void resolve_done(void *arg, bool cancelled)
{
	struct resolve *r = arg;

	if (!r->link) {
		resolve_free(r);
		return;
	}
	if (cancelled)
		snprintf(r->err, sizeof(r->err), "the look-up of names was cancelled");
	r->work = NULL;
	link_resolved(r->link, r);
}

void resolve_free(struct resolve *r)
{
	if (!r)
		return;
	conninfo_free(&r->info);
	addresses_free(&r->found);
	free(r);
}

int resolve_start(struct link *link)
{
	const struct options *o = link->store->options;
	const struct parlance_host *host = link->store->host;
	struct resolve *r = calloc(1, sizeof(*r));
	bool needed = false;

	if (!r) {
		snprintf(link->reason, sizeof(link->reason), "out of memory");
		return -1;
	}
	if (conninfo_read(&r->info, link->lane || !*o->listen_dsn ? o->dsn : o->listen_dsn,
			  link->reason, sizeof(link->reason)))
		goto fail;
	for (size_t i = 0; i < r->info.addresses.n; i++)
		needed = needed || needs_lookup(&r->info.addresses.list[i]);
	r->link = link;
	link->resolve = r;
	if (!needed) {
		resolve_work(r);
		link_resolved(link, r);
		return 0;
	}
	r->work = host->offload(host->ctx, resolve_work, resolve_done, r);
	if (r->work)
		return 0;
	link->resolve = NULL;
	snprintf(link->reason, sizeof(link->reason), "names cannot be looked up: out of memory");
fail:
	resolve_free(r);
	return -1;
}

void resolve_abandon(struct resolve *r)
{
	const struct parlance_host *host = r->link->store->host;

	r->link = NULL;
	host->offload_cancel(r->work);
}
