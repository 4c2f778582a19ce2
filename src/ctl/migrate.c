/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * parlancectl migrate. A migration is one text with its own BEGIN and COMMIT: it takes the lock
 * that keeps two of them apart, does nothing when its version is applied already, and writes its
 * own row in parlance.schema_version, with the checksum that stands in parlance.migration_sha256.
 * So here files and rows are compared, texts are sent, and what they left is looked at.
 */
#include <errno.h>
#include <getopt.h>

#include "base/clock.h"
#include "ctl/database.h"

#ifndef PARLANCE_SQLDIR
#define PARLANCE_SQLDIR "sql"
#endif

struct applied {
	unsigned int version;
	const char *name;
	const char *sha256; /* "" when psql applied it */
	const char *at;
	const char *by;
};

struct migrate {
	/* Options */
	const char *config;
	const char *dsn;
	const char *folder;
	unsigned int to; /* 0: the last */
	bool status;
	bool dry_run;

	struct migrations files;
	PGconn *conn;
	PGresult *rows; /* owns the strings of applied */
	struct applied *applied;
	size_t n_applied;
	bool found_applied; /* the text that is sent found its version there */
};

static enum ctl_exit no_memory(void)
{
	ctl_error("out of memory");
	return CTL_FAILED;
}

/* Notices of the server: a file says so when somebody else was faster; the rest is shown. */
static void on_notice(void *arg, const PGresult *result)
{
	static const char already[] = "is applied already";
	struct migrate *m = arg;
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

	if (!text)
		return;
	if (strstr(text, already))
		m->found_applied = true;
	else if (severity && strcmp(severity, "WARNING") == 0)
		ctl_error("warning: %s", text);
}

static const struct applied *find_applied(const struct migrate *m, unsigned int version)
{
	for (size_t i = 0; i < m->n_applied; i++)
		if (m->applied[i].version == version)
			return &m->applied[i];
	return NULL;
}

/*
 * Reads what is applied: nothing, when there is no table yet. Not by to_regclass(): what that has
 * not found, this session goes on not to find after it has waited for a lock, and the migration
 * that looks again would go wrong.
 */
static enum ctl_exit read_applied(struct migrate *m)
{
	PGresult *result =
	    PQexec(m->conn, "SELECT FROM pg_catalog.pg_class c "
			    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
			    "WHERE n.nspname = 'parlance' AND c.relname = 'schema_version'");
	enum ctl_exit rc = CTL_OK;

	PQclear(m->rows);
	free(m->applied);
	m->rows = NULL;
	m->applied = NULL;
	m->n_applied = 0;
	if (PQresultStatus(result) == PGRES_TUPLES_OK && !PQntuples(result))
		goto out;
	if (PQresultStatus(result) == PGRES_TUPLES_OK) {
		PQclear(result);
		result = PQexec(m->conn, "SELECT version, name, coalesce(sha256, ''), "
					 "to_char(applied_at AT TIME ZONE 'UTC', "
					 "'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), applied_by "
					 "FROM parlance.schema_version ORDER BY version");
	}
	if (PQresultStatus(result) != PGRES_TUPLES_OK) {
		rc = database_error(m->conn, result, "the list of migrations", NULL);
		goto out;
	}
	m->applied = calloc((size_t)PQntuples(result) + 1, sizeof(*m->applied));
	if (!m->applied) {
		rc = no_memory();
		goto out;
	}
	for (int i = 0; i < PQntuples(result); i++)
		m->applied[m->n_applied++] = (struct applied){
			.version = (unsigned int)strtoul(PQgetvalue(result, i, 0), NULL, 10),
			.name = PQgetvalue(result, i, 1),
			.sha256 = PQgetvalue(result, i, 2),
			.at = PQgetvalue(result, i, 3),
			.by = PQgetvalue(result, i, 4),
		};
	m->rows = result;
	result = NULL;
out:
	PQclear(result);
	return rc;
}

static bool differs(const struct migration *file, const struct applied *row)
{
	return row->sha256[0] ? strcmp(row->sha256, file->sha256) != 0
			      : strcmp(row->name, file->name) != 0;
}

/* Whether files and rows fit each other; one line a problem. */
static enum ctl_exit compare(const struct migrate *m)
{
	enum ctl_exit rc = CTL_OK;
	unsigned int expected = 1;

	for (size_t i = 0; i < m->n_applied; i++) {
		const struct applied *row = &m->applied[i];
		const struct migration *file;

		if (row->version != expected) {
			ctl_error("the database has %s and not migration %03u before it",
				  row->name, expected);
			rc = CTL_MISMATCH;
		}
		expected = row->version + 1;
		if (row->version < 1 || row->version > m->files.n) {
			ctl_error("the database has %s, which %s does not have: it is newer than "
				  "this parlancectl",
				  row->name, m->folder);
			rc = CTL_MISMATCH;
			continue;
		}
		file = &m->files.items[row->version - 1];
		if (!differs(file, row))
			continue;
		if (row->sha256[0])
			ctl_error("%s/%s.sql is not what was applied on %s: put the file back as "
				  "it was (changes go into a new migration)",
				  m->folder, file->name, row->at);
		else
			ctl_error("migration %03u is %s in the database, and %s in %s",
				  row->version, row->name, file->name, m->folder);
		rc = CTL_MISMATCH;
	}
	return rc;
}

/* A file that psql applied has no checksum: from now on it has. */
static enum ctl_exit adopt(struct migrate *m, const struct migration *file)
{
	const char *const values[] = { file->sha256, file->name };
	PGresult *result = PQexecParams(m->conn,
					"UPDATE parlance.schema_version SET sha256 = $1 "
					"WHERE name = $2 AND sha256 IS NULL",
					2, NULL, values, NULL, NULL, 0);
	enum ctl_exit rc = CTL_OK;

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		rc = database_error(m->conn, result, file->name, NULL);
	else
		(void)printf("%s: applied by psql, checksum taken from the file\n", file->name);
	PQclear(result);
	return rc;
}

/* Tells the migration its checksum. */
static enum ctl_exit announce(struct migrate *m, const struct migration *file)
{
	const char *const values[] = { file ? file->sha256 : "" };
	PGresult *result =
	    PQexecParams(m->conn, "SELECT set_config('parlance.migration_sha256', $1, false)", 1,
			 NULL, values, NULL, NULL, 0);
	enum ctl_exit rc = CTL_OK;

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		rc = database_error(m->conn, result, file ? file->name : "the end", NULL);
	PQclear(result);
	return rc;
}

/* The row that a migration must have left. */
static enum ctl_exit check_row(struct migrate *m, const struct migration *file)
{
	const struct applied *row;
	enum ctl_exit rc = read_applied(m);

	if (rc != CTL_OK)
		return rc;
	row = find_applied(m, file->version);
	if (!row) {
		ctl_error("%s: ended without a row in parlance.schema_version; the file is no "
			  "migration of ours",
			  file->name);
		return CTL_MISMATCH;
	}
	rc = compare(m);
	if (rc == CTL_OK && !row->sha256[0])
		rc = adopt(m, file);
	return rc;
}

static enum ctl_exit apply(struct migrate *m, const struct migration *file)
{
	enum ctl_exit rc = announce(m, file);
	uint64_t start_ms = clock_mono_ms();
	PGresult *result;

	if (rc != CTL_OK)
		return rc;
	m->found_applied = false;
	result = PQexec(m->conn, file->text);
	/* The last statement's result stands for all: an error ends the rest. */
	if (PQresultStatus(result) != PGRES_COMMAND_OK &&
	    PQresultStatus(result) != PGRES_TUPLES_OK) {
		rc = database_error(m->conn, result, file->name, file->text);
		if (PQstatus(m->conn) != CONNECTION_OK)
			ctl_error("%s: the connection is lost; \"migrate --status\" tells whether "
				  "it was applied, and it is safe to run migrate again",
				  file->name);
	} else if (PQtransactionStatus(m->conn) != PQTRANS_IDLE) {
		ctl_error("%s: does not end its transaction (COMMIT is missing); nothing was "
			  "changed",
			  file->name);
		rc = CTL_MISMATCH;
	}
	PQclear(result);
	if (rc != CTL_OK) {
		PQclear(PQexec(m->conn, "ROLLBACK"));
		return rc;
	}
	rc = check_row(m, file);
	if (rc == CTL_OK && m->found_applied)
		(void)printf("%s: applied meanwhile by somebody else\n", file->name);
	else if (rc == CTL_OK)
		(void)printf("%s: applied (%llu ms)\n", file->name,
			     (unsigned long long)(clock_mono_ms() - start_ms));
	(void)fflush(stdout);
	return rc;
}

static enum ctl_exit apply_all(struct migrate *m)
{
	enum ctl_exit rc = CTL_OK;
	unsigned int applied = 0;

	for (size_t i = 0; i < m->files.n && i < m->to && rc == CTL_OK; i++) {
		const struct migration *file = &m->files.items[i];
		const struct applied *row = find_applied(m, file->version);

		if (row && row->sha256[0])
			continue;
		if (m->dry_run)
			(void)printf("%s: would %s\n", file->name,
				     row ? "get its checksum (applied by psql)" : "be applied");
		else
			rc = row ? adopt(m, file) : apply(m, file);
		applied++;
	}
	if (rc == CTL_OK && !m->dry_run)
		rc = announce(m, NULL);
	if (rc == CTL_OK && !applied)
		(void)printf("nothing to do: version %03zu is applied\n", m->n_applied);
	return rc;
}

static enum ctl_exit list(const struct migrate *m, enum ctl_exit compared)
{
	size_t pending = 0;

	for (size_t i = 0; i < m->files.n; i++) {
		const struct migration *file = &m->files.items[i];
		const struct applied *row = find_applied(m, file->version);

		if (!row) {
			(void)printf("%-32s pending\n", file->name);
			pending++;
			continue;
		}
		(void)printf("%-32s %s %s by %s%s\n", file->name,
			     differs(file, row) ? "CHANGED, applied" : "applied", row->at, row->by,
			     row->sha256[0] ? "" : " (by psql, no checksum)");
	}
	for (size_t i = 0; i < m->n_applied; i++)
		if (m->applied[i].version < 1 || m->applied[i].version > m->files.n)
			(void)printf("%-32s UNKNOWN, applied %s by %s\n", m->applied[i].name,
				     m->applied[i].at, m->applied[i].by);
	if (compared != CTL_OK)
		return compared;
	return pending ? CTL_PENDING : CTL_OK;
}

static enum ctl_exit migrate(struct migrate *m)
{
	enum ctl_exit rc = CTL_FAILED;

	if (!migrations_read(&m->files, m->folder))
		goto out;
	if (m->to > m->files.n) {
		ctl_error("--to %u: the last migration of %s is %03zu", m->to, m->folder,
			  m->files.n);
		rc = CTL_USAGE;
		goto out;
	}
	if (!m->to)
		m->to = (unsigned int)m->files.n;
	m->conn = database_open(m->config, m->dsn);
	if (!m->conn)
		goto out;
	(void)PQsetNoticeReceiver(m->conn, on_notice, m);
	rc = read_applied(m);
	if (rc != CTL_OK)
		goto out;
	rc = compare(m);
	if (m->status) {
		rc = list(m, rc);
	} else if (rc == CTL_OK && m->to < m->n_applied) {
		ctl_error("the database has version %03zu already, and there is no way back to "
			  "%03u",
			  m->n_applied, m->to);
		rc = CTL_MISMATCH;
	} else if (rc == CTL_OK) {
		rc = apply_all(m);
	}
out:
	PQclear(m->rows);
	free(m->applied);
	if (m->conn)
		PQfinish(m->conn);
	migrations_free(&m->files);
	return rc;
}

static void usage(void)
{
	(void)printf(
	    "usage: parlancectl migrate [-c FILE] [-d DSN] [--dir FOLDER] [--to N]\n"
	    "                           [--status | --dry-run]\n"
	    "\n"
	    "  -c, --config FILE  takes the database from the daemon's configuration:\n"
	    "                     [storage_pgsql] dsn\n"
	    "  -d, --dsn DSN      the database, as a URI or as \"host=... dbname=...\"; without\n"
	    "                     any, DATABASE_URL, or libpq's own environment\n"
	    "      --dir FOLDER   where the migrations are (default %s)\n"
	    "      --to N         stops after this version\n"
	    "      --status       lists what is applied and what is not\n"
	    "      --dry-run      says what would be applied\n"
	    "\n"
	    "Exit status: 0 done; 1 failed; 2 usage; 3 another migration runs, or a lock is held;\n"
	    "4 files and database do not fit; 5 --status: not everything is applied.\n",
	    PARLANCE_SQLDIR);
}

static bool read_version(const char *text, unsigned int *out)
{
	size_t len = strlen(text);

	*out = len && len <= 3 && strspn(text, "0123456789") == len
		   ? (unsigned int)strtoul(text, NULL, 10)
		   : 0;
	if (!*out)
		ctl_error("--to %s: this is no version (1 to 999)", text);
	return *out;
}

enum ctl_exit ctl_migrate(int argc, char **argv)
{
	enum { OPT_DIR = 256, OPT_TO, OPT_STATUS, OPT_DRY_RUN };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "dsn", required_argument, NULL, 'd' },
		{ "dir", required_argument, NULL, OPT_DIR },
		{ "to", required_argument, NULL, OPT_TO },
		{ "status", no_argument, NULL, OPT_STATUS },
		{ "dry-run", no_argument, NULL, OPT_DRY_RUN },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	struct migrate m = { .folder = PARLANCE_SQLDIR };
	bool ok = true;
	int c;

	while (ok && (c = getopt_long(argc, argv, "c:d:h", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			m.config = optarg;
			break;
		case 'd':
			m.dsn = optarg;
			break;
		case OPT_DIR:
			m.folder = optarg;
			break;
		case OPT_TO:
			ok = read_version(optarg, &m.to);
			break;
		case OPT_STATUS:
			m.status = true;
			break;
		case OPT_DRY_RUN:
			m.dry_run = true;
			break;
		case 'h':
			usage();
			return CTL_OK;
		default:
			ok = false;
			break;
		}
	}
	if (!ok || optind != argc || (m.status && m.dry_run)) {
		ctl_error("\"parlancectl migrate --help\" tells more");
		return CTL_USAGE;
	}
	return migrate(&m);
}
