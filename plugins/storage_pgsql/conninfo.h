/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Where to connect. libpq would look names up itself, and block. So the hosts of the connection
 * string are taken out, looked up on a thread, and given back to libpq as a list with their
 * addresses (host, hostaddr, port): the names are still what certificates and password files are
 * matched with. Loop thread.
 */
#ifndef PARLANCE_STORAGE_PGSQL_CONNINFO_H
#define PARLANCE_STORAGE_PGSQL_CONNINFO_H

#include "store.h"

/* One place to connect to. */
struct address {
	char *host;     /* a name, an address, a folder of a Unix socket, or "" */
	char *hostaddr; /* "": host is none that has to be looked up */
	char *port;
};

struct addresses {
	size_t n;
	struct address *list;
};

/* The connection string with everything libpq adds to it: environment, service file. */
struct conninfo {
	struct addresses addresses;
	char *options;           /* the server's, or NULL */
	bool any_session_attrs;  /* target_session_attrs was left at its default */
};

/** True when libpq can read the string ("" included). */
bool conninfo_valid(const char *dsn);

/** Reads the string, which must be valid. -1: out of memory, or the service file or the lists of
 * hosts and ports do not fit; the reason is in err. */
MUST_USE int conninfo_read(struct conninfo *out, const char *dsn, char *err, size_t err_size);
void conninfo_free(struct conninfo *info);

/** Adds a copy. -1: out of memory. */
MUST_USE int addresses_add(struct addresses *list, const char *host, const char *hostaddr,
			   const char *port);
void addresses_free(struct addresses *list);

/** Begins the connection with libpq, beginning with the address number `first` of the list. NULL:
 * out of memory. */
PGconn *conninfo_connect(const struct link *link, const struct conninfo *info,
			 const struct addresses *addresses, size_t first);

/* resolve.c: looking up, on a thread */

struct resolve {
	struct link *link; /* NULL: the link does not wait any more */
	struct parlance_work *work;
	struct conninfo info;
	struct addresses found;
	char err[REASON_MAX]; /* why nothing was found, or "" */
};

/** Reads the connection string and looks its names up; link_resolved is called at the end, at once
 * when there is nothing to look up. -1: it did not begin; the reason is in the link. */
MUST_USE int resolve_start(struct link *link);
/** The link does not wait any more. */
void resolve_abandon(struct resolve *resolve);
void resolve_free(struct resolve *resolve);

#endif
