/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The administrator's connection to PostgreSQL. Messages about it go to standard error and never
 * hold a password.
 */
#ifndef PARLANCE_CTL_DATABASE_H
#define PARLANCE_CTL_DATABASE_H

#include <libpq-fe.h>

#include "ctl/ctl.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Connects: dsn is a URI or "key=value …" of libpq, NULL or "" for libpq's environment alone;
 * password is for one that is not in there, or NULL. NULL after an error message. The caller's to
 * PQfinish. */
PGconn *database_connect(const char *dsn, const char *password);

/** Connects to where dsn says; or, when that is NULL, the configuration ([storage_pgsql] of the file
 * `config`, NULL: of the default one), DATABASE_URL, or libpq's environment. As above. */
PGconn *database_open(const char *config, const char *dsn);

/** Whether dsn can be read and shown to libpq without parts of a password coming back in its
 * messages; an error message if not. */
MUST_USE bool database_check_dsn(const char *dsn);

/** Writes what went wrong, with its place in `text` (the statements that were sent; or NULL). The
 * exit status that fits. what: "003_name", "the list of migrations". */
enum ctl_exit database_error(const PGconn *conn, const PGresult *result, const char *what,
			     const char *text);

#ifdef __cplusplus
}
#endif
#endif
