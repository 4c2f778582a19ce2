/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The administrator's connection to PostgreSQL. */
#include "ctl/database.h"

#define OLDEST_SERVER 150000
#define CONNECT_TIMEOUT_S "10"

/*
 * libpq ends a URI's password at the first '@' and takes the rest apart at '/', ':' and '?'; its
 * messages name the pieces. An unescaped one of these in a password would bring a part of it to the
 * screen, as a host or a port.
 */
static bool uri_is_safe(const char *rest)
{
	size_t user = strcspn(rest, "@/");
	const char *tail = rest[user] == '@' ? rest + user + 1 : rest;
	size_t hosts = strcspn(tail, "/?");
	const char *port = memchr(tail, ':', hosts);

	if (memchr(tail, '@', strcspn(tail, "?")))
		return false;
	return !port || memchr(tail, '[', hosts) ||
	       strspn(port + 1, "0123456789") == strcspn(port + 1, ",/?");
}

bool database_check_dsn(const char *dsn)
{
	static const char *const schemes[] = { "postgresql://", "postgres://" };
	PQconninfoOption *options;
	char *err = NULL;

	for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
		size_t len = strlen(schemes[i]);

		if (strncmp(dsn, schemes[i], len) == 0 && !uri_is_safe(dsn + len)) {
			ctl_error("the address of the database cannot be taken apart safely; in a "
				  "user name or password write %%40 for '@', %%2F for '/', %%3F "
				  "for '?', %%3A for ':' and %%25 for '%%'");
			return false;
		}
	}
	options = PQconninfoParse(dsn, &err);
	/* err names what it did not understand, which may be a password: it is not shown. */
	PQfreemem(err);
	if (!options) {
		ctl_error("the address of the database cannot be read; write "
			  "postgresql://user@host/name or \"host=... dbname=... user=...\" (it is "
			  "not shown here, for it may hold a password)");
		return false;
	}
	PQconninfoFree(options);
	return true;
}

static bool set_up(PGconn *conn)
{
	/* What a role or a database sets for everyday use must not cut a migration. */
	PGresult *result = PQexec(conn, "SET statement_timeout = 0; "
					"SET idle_in_transaction_session_timeout = 0; "
					"SET client_min_messages = notice");
	bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;

	if (!ok)
		(void)database_error(conn, result, "the connection", NULL);
	PQclear(result);
	return ok;
}

static bool check_server(const PGconn *conn)
{
	const char *encoding = PQparameterStatus(conn, "server_encoding");
	int version = PQserverVersion(conn);

	if (version < OLDEST_SERVER) {
		ctl_error("PostgreSQL 15 or later is needed; this server is version %d",
			  version / 10000);
		return false;
	}
	if (!encoding || strcmp(encoding, "UTF8") != 0) {
		ctl_error("the database \"%s\" is encoded in %s; make one with ENCODING 'UTF8'",
			  PQdb(conn), encoding ? encoding : "something unknown");
		return false;
	}
	return true;
}

PGconn *database_connect(const char *dsn, const char *password)
{
	const char *keywords[6] = { NULL };
	const char *values[6] = { NULL };
	PGconn *conn;
	size_t n = 0;

	if (dsn && *dsn && !database_check_dsn(dsn))
		return NULL;
	/* What comes later wins: the address over these, and over the address what must be so. */
	keywords[n] = "fallback_application_name";
	values[n++] = "parlancectl";
	if (!getenv("PGCONNECT_TIMEOUT")) {
		keywords[n] = "connect_timeout";
		values[n++] = CONNECT_TIMEOUT_S;
	}
	if (password) {
		keywords[n] = "password";
		values[n++] = password;
	}
	if (dsn && *dsn) {
		keywords[n] = "dbname";
		values[n++] = dsn;
	}
	keywords[n] = "client_encoding";
	values[n] = "UTF8";
	conn = PQconnectdbParams(keywords, values, 1);
	if (!conn) {
		ctl_error("out of memory");
		return NULL;
	}
	if (PQstatus(conn) != CONNECTION_OK) {
		if (PQconnectionNeedsPassword(conn))
			ctl_error("the database wants a password, and there is none (put it into "
				  "~/.pgpass, or PGPASSFILE)");
		else
			(void)database_error(conn, NULL, "cannot connect", NULL);
	} else if (check_server(conn) && set_up(conn)) {
		return conn;
	}
	PQfinish(conn);
	return NULL;
}

/* Line of the position-th character (from 1) of the text. */
static size_t line_of(const char *text, const char *position)
{
	unsigned long left = strtoul(position, NULL, 10);
	size_t line = 1;

	for (; *text && left > 1; text++) {
		if (((unsigned char)text[1] & 0xc0) != 0x80)
			left--;
		if (*text == '\n')
			line++;
	}
	return line;
}

static const struct hint {
	const char *sqlstate;
	enum ctl_exit status;
	const char *text;
} hints[] = {
	{ "55P03", CTL_BUSY,
	  "another migration is running, or a long transaction holds a table; nothing was changed: "
	  "try again later" },
	{ "40P01", CTL_BUSY, "nothing was changed: try again" },
	{ "40001", CTL_BUSY, "nothing was changed: try again" },
	{ "42501", CTL_FAILED,
	  "connect as the owner of the schema parlance, as a member of parlance_owner, or as a "
	  "superuser" },
	{ "25006", CTL_FAILED, "this server only reads: connect to the primary" },
};

/* Libpq's own words: a line for each address that was tried. */
static void libpq_error(const PGconn *conn, const char *what)
{
	const char *line = PQerrorMessage(conn);
	size_t len;

	for (; *line; line += len + (line[len] != '\0')) {
		len = strcspn(line, "\n");
		ctl_error("%s: %.*s", what, (int)len, line);
	}
}

enum ctl_exit database_error(const PGconn *conn, const PGresult *result, const char *what,
			     const char *text)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
	const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION);

	if (!primary) {
		libpq_error(conn, what);
		return CTL_FAILED;
	}
	if (text && position)
		ctl_error("%s, line %zu: %s (%s)", what, line_of(text, position), primary, state);
	else
		ctl_error("%s: %s (%s)", what, primary, state ? state : "no code");
	if (detail)
		ctl_error("%s: detail: %s", what, detail);
	if (hint)
		ctl_error("%s: hint: %s", what, hint);
	if (context)
		ctl_error("%s: where: %s", what, context);
	for (size_t i = 0; state && i < ARRAY_LEN(hints); i++)
		if (strcmp(state, hints[i].sqlstate) == 0) {
			ctl_error("%s: %s", what, hints[i].text);
			return hints[i].status;
		}
	return CTL_FAILED;
}

PGconn *database_open(const char *config_file, const char *dsn)
{
	struct ctl_config *config = NULL;
	struct strbuf password = { 0 };
	PGconn *conn = NULL;
	const char *file = "";
	bool ok = dsn || ctl_config_open(&config, config_file, "storage_pgsql");

	if (ok && !dsn) {
		dsn = ctl_config_string(config, "dsn");
		file = ctl_config_string(config, "password_file");
		if (!*dsn && getenv("DATABASE_URL"))
			dsn = getenv("DATABASE_URL");
	}
	if (ok && *file)
		ok = ctl_read_secret(file, &password);
	if (ok)
		conn = database_connect(dsn, password.len ? strbuf_cstr(&password) : NULL);
	strbuf_fini(&password);
	ctl_config_free(&config);
	return conn;
}
