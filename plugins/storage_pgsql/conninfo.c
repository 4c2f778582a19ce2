/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The connection string, and what is added to it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conninfo.h"

enum {
	KEYWORDS_MAX = 24,
	ADDRESSES_MAX = 64, /* more are left out */
};

bool conninfo_valid(const char *dsn)
{
	PQconninfoOption *options = PQconninfoParse(dsn, NULL);
	bool valid = options != NULL;

	PQconninfoFree(options);
	return valid;
}

int addresses_add(struct addresses *list, const char *host, const char *hostaddr, const char *port)
{
	struct address *more;
	struct address a;

	if (list->n == ADDRESSES_MAX)
		return 0;
	more = realloc(list->list, (list->n + 1) * sizeof(*more));
	if (!more)
		return -1;
	list->list = more;
	a = (struct address){ strdup(host), strdup(hostaddr), strdup(port) };
	list->list[list->n++] = a;
	return a.host && a.hostaddr && a.port ? 0 : -1;
}

void addresses_free(struct addresses *list)
{
	for (size_t i = 0; i < list->n; i++) {
		free(list->list[i].host);
		free(list->list[i].hostaddr);
		free(list->list[i].port);
	}
	free(list->list);
	*list = (struct addresses){ 0 };
}

static const char *value_of(const PQconninfoOption *options, const char *keyword)
{
	for (; options->keyword; options++) {
		if (strcmp(options->keyword, keyword) == 0)
			return options->val ? options->val : "";
	}
	return "";
}

/* The element number `at` of a comma separated list, cut to what fits. False: there is none. */
static bool element(const char *list, size_t at, char *out, size_t out_size)
{
	size_t len;

	for (; at > 0; at--) {
		list = strchr(list, ',');
		if (!list)
			return false;
		list++;
	}
	len = strcspn(list, ",");
	if (len >= out_size)
		return false;
	memcpy(out, list, len);
	out[len] = '\0';
	return true;
}

static size_t count(const char *list)
{
	size_t n = 1;

	for (; *list; list++)
		n += *list == ',';
	return n;
}

/* libpq has seen to it that there are as many addresses as hosts, and one port or as many. */
static int read_addresses(struct addresses *out, const PQconninfoOption *options, char *err,
			  size_t err_size)
{
	const char *hosts = value_of(options, "host");
	const char *addrs = value_of(options, "hostaddr");
	const char *ports = value_of(options, "port");
	size_t n = count(*addrs ? addrs : hosts);
	size_t n_ports = count(ports);

	for (size_t i = 0; i < n; i++) {
		char host[1024] = "", addr[256] = "", port[16] = "";

		if ((*hosts && !element(hosts, i, host, sizeof(host))) ||
		    (*addrs && !element(addrs, i, addr, sizeof(addr))) ||
		    !element(ports, n_ports == 1 ? 0 : i, port, sizeof(port))) {
			snprintf(err, err_size, "dsn: a host or port is too long");
			return -1;
		}
		if (addresses_add(out, host, addr, port)) {
			snprintf(err, err_size, "out of memory");
			return -1;
		}
	}
	return 0;
}

/*
 * libpq has no function that gives a connection string together with the environment and the
 * service file; only a connection has that. So one is made that fails before it connects to
 * anything, because channel_binding has no such value.
 */
int conninfo_read(struct conninfo *out, const char *dsn, char *err, size_t err_size)
{
	const char *const keywords[] = { "dbname", "channel_binding", NULL };
	const char *const values[] = { dsn, "none", NULL };
	PGconn *pg = PQconnectStartParams(keywords, values, 1);
	PQconninfoOption *options = pg ? PQconninfo(pg) : NULL;
	const char *server_options;
	int rc = -1;

	*out = (struct conninfo){ 0 };
	if (!options) {
		snprintf(err, err_size, "out of memory");
		goto out;
	}
	/* The service file is read before the values are looked at. */
	if (!strstr(PQerrorMessage(pg), "channel_binding")) {
		text_line(err, err_size, PQerrorMessage(pg));
		goto out;
	}
	server_options = value_of(options, "options");
	out->options = strdup(server_options);
	out->any_session_attrs = strcmp(value_of(options, "target_session_attrs"), "any") == 0;
	if (!out->options) {
		snprintf(err, err_size, "out of memory");
		goto out;
	}
	rc = read_addresses(&out->addresses, options, err, err_size);
out:
	PQconninfoFree(options);
	PQfinish(pg);
	if (rc)
		conninfo_free(out);
	return rc;
}

void conninfo_free(struct conninfo *info)
{
	addresses_free(&info->addresses);
	free(info->options);
	info->options = NULL;
}

struct keywords {
	const char *keywords[KEYWORDS_MAX];
	const char *values[KEYWORDS_MAX];
	size_t n;
};

static void add(struct keywords *k, const char *keyword, const char *value)
{
	if (k->n + 1 < KEYWORDS_MAX) {
		k->keywords[k->n] = keyword;
		k->values[k->n++] = value;
	}
}

/* The addresses from number `first` on and round, as the three lists of libpq. */
static int join(char *lists[3], const struct addresses *addresses, size_t first)
{
	for (int which = 0; which < 3; which++) {
		size_t size;
		FILE *f = open_memstream(&lists[which], &size);

		if (!f)
			return -1;
		for (size_t i = 0; i < addresses->n; i++) {
			const struct address *a = &addresses->list[(first + i) % addresses->n];
			const char *const texts[] = { a->host, a->hostaddr, a->port };

			fprintf(f, "%s%s", i ? "," : "", texts[which]);
		}
		if (fclose(f))
			return -1;
	}
	return 0;
}

/* What the session is set to, for all its life. */
static char *session_options(const struct link *link, const struct conninfo *info)
{
	const struct options *o = link->store->options;
	bool soft = !link->lane || link->lane->class == LANE_SOFT;
	char *out = NULL;

	if (asprintf(&out,
		     "%s -c statement_timeout=%" PRId64 " -c tcp_user_timeout=%" PRId64
		     " -c idle_in_transaction_session_timeout=%" PRId64 " -c jit=off%s",
		     info->options, o->statement_timeout_ms, o->tcp_user_timeout_ms,
		     o->statement_timeout_ms + DEADLINE_SLACK_MS,
		     soft ? " -c synchronous_commit=off" : "") < 0)
		return NULL;
	return out;
}

PGconn *conninfo_connect(const struct link *link, const struct conninfo *info,
			 const struct addresses *addresses, size_t first)
{
	const struct options *o = link->store->options;
	const char *dsn = link->lane || !*o->listen_dsn ? o->dsn : o->listen_dsn;
	char *options = session_options(link, info);
	char *lists[3] = { NULL, NULL, NULL };
	struct keywords k = { .n = 0 };
	char timeout[24], name[64];
	PGconn *pg = NULL;

	if (!options || join(lists, addresses, first))
		goto out;
	snprintf(timeout, sizeof(timeout), "%" PRId64, o->tcp_user_timeout_ms);
	snprintf(name, sizeof(name), "%.50s %s", o->application_name, link_name(link));
	/* The later of two counts: what the connection string has goes over these … */
	add(&k, "keepalives", "1");
	add(&k, "keepalives_idle", "30");
	add(&k, "keepalives_interval", "5");
	add(&k, "keepalives_count", "4");
	add(&k, "tcp_user_timeout", timeout);
	/* Kerberos may look for its servers, and blocks while it does. */
	add(&k, "gssencmode", "disable");
	if (info->any_session_attrs)
		add(&k, "target_session_attrs", "read-write");
	add(&k, "dbname", dsn);
	/* … and these over the connection string. */
	add(&k, "host", lists[0]);
	add(&k, "hostaddr", lists[1]);
	add(&k, "port", lists[2]);
	add(&k, "options", options);
	add(&k, "client_encoding", "UTF8");
	add(&k, "application_name", name);
	if (link->store->password)
		add(&k, "password", link->store->password);
	add(&k, NULL, NULL);
	pg = PQconnectStartParams(k.keywords, k.values, 1);
out:
	for (int i = 0; i < 3; i++)
		free(lists[i]);
	free(options);
	return pg;
}
