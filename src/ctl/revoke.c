/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* parlancectl revoke: tokens that are good no more. The daemons on the database end their sockets. */
#include <getopt.h>

#include "ctl/database.h"

struct revoke {
	const char *config;
	const char *dsn;
	const char *kind; /* as parlance.revoke has it */
	const char *id;
	const char *keep_days; /* NULL: as the function has it */
};

static void usage(void)
{
	(void)fputs(
	    "usage: parlancectl revoke [-c FILE] [-d DSN] [--keep DAYS]\n"
	    "                          --user USER | --session ID | --token ID\n"
	    "\n"
	    "  -c, --config FILE  takes the database from the daemon's configuration:\n"
	    "                     [storage_pgsql] dsn\n"
	    "  -d, --dsn DSN      the database, as a URI or as \"host=... dbname=...\"; without\n"
	    "                     any, DATABASE_URL, or libpq's own environment\n"
	    "      --user USER    all tokens of the user that were issued until now\n"
	    "      --session ID   all tokens of one sign-in (the claim sid)\n"
	    "      --token ID     one token (the claim jti)\n"
	    "      --keep DAYS    for how long it is kept, longer than any token lasts (366)\n"
	    "\n"
	    "The sockets that showed such a token are ended, on all instances.\n",
	    stdout);
}

static enum ctl_exit revoke(const struct revoke *r)
{
	const char *params[] = { r->kind, r->id, r->keep_days };
	PGconn *conn = database_open(r->config, r->dsn);
	PGresult *result;
	enum ctl_exit rc = CTL_OK;

	if (!conn)
		return CTL_FAILED;
	result = PQexecParams(conn,
			      r->keep_days ? "SELECT parlance.revoke($1, $2, make_interval(days => "
					     "$3::integer))"
					   : "SELECT parlance.revoke($1, $2)",
			      r->keep_days ? 3 : 2, NULL, params, NULL, NULL, 0);
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		rc = database_error(conn, result, "revoke", NULL);
	else
		(void)printf("revoked: %s %s\n", r->kind, r->id);
	PQclear(result);
	PQfinish(conn);
	return rc;
}

static bool is_days(const char *text)
{
	size_t len = strlen(text);

	return len && len <= 5 && strspn(text, "0123456789") == len;
}

enum ctl_exit ctl_revoke(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "dsn", required_argument, NULL, 'd' },
		{ "user", required_argument, NULL, 'u' },
		{ "session", required_argument, NULL, 's' },
		{ "token", required_argument, NULL, 't' },
		{ "keep", required_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct revoke r = { .config = NULL };
	int n = 0;
	int c;

	while ((c = getopt_long(argc, argv, "c:d:h", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			r.config = optarg;
			break;
		case 'd':
			r.dsn = optarg;
			break;
		case 'u':
		case 's':
		case 't':
			r.kind = c == 'u' ? "user" : c == 's' ? "session" : "token";
			r.id = optarg;
			n++;
			break;
		case 'k':
			r.keep_days = optarg;
			break;
		case 'h':
			usage();
			return CTL_OK;
		default:
			n = -argc;
			break;
		}
	}
	if (r.id && (!*r.id || strlen(r.id) > 255)) {
		ctl_error("an id has 1 to 255 bytes");
		return CTL_USAGE;
	}
	if (r.keep_days && !is_days(r.keep_days)) {
		ctl_error("--keep %s: this is no number of days", r.keep_days);
		return CTL_USAGE;
	}
	if (n != 1 || !r.id || optind != argc) {
		ctl_error("one of --user, --session and --token is needed; "
			  "\"parlancectl revoke --help\" tells more");
		return CTL_USAGE;
	}
	return revoke(&r);
}
