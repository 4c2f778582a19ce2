/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A PostgreSQL server of a test's own: in a folder under $TMPDIR, on a Unix socket there and on a
 * port of 127.0.0.1. It ends with the test, however the test ends. Root runs it as the user
 * postgres, for it refuses to run as root. Failures end the program.
 */
#ifndef PARLANCE_TESTS_LIB_PG_SERVER_H
#define PARLANCE_TESTS_LIB_PG_SERVER_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct pg_server {
	char folder[256]; /* the data is in data/, the log in log, the socket is in itself */
	char port[8];
	pid_t pid; /* of the postmaster; 0: it is not running */
};

/** False: no server is installed (PG_BINDIR, or where pg_config and Debian have it). */
bool pg_server_installed(void);
/** Makes a new cluster that does not run yet. All users are trusted, but one named "secret" over
 * TCP, who needs his password. */
void pg_server_init(struct pg_server *server);
/** Starts it and waits until it takes connections. */
void pg_server_start(struct pg_server *server);
/** signal: SIGTERM smart, SIGINT fast, SIGQUIT immediate (as in a crash). Waits for its end. */
void pg_server_stop(struct pg_server *server, int signal);
/** Stops it and removes the folder. */
void pg_server_free(struct pg_server *server);

/** Runs SQL in a connection of its own and returns the first value of the last result ("": none);
 * valid until the next call. */
const char *pg_server_sql(const struct pg_server *server, const char *database, const char *sql);
/** The same with the contents of a file. */
void pg_server_file(const struct pg_server *server, const char *database, const char *path);

#endif
