/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* storage_pgsql and the functions in sql/, by the contract of storage plugins. */
#include <glob.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "contract_storage.h"
#include "lib/pg_server.h"

static struct pg_server server;

static void migrate(void)
{
	const char *srcdir = getenv("srcdir");
	char pattern[512];
	glob_t files;

	snprintf(pattern, sizeof(pattern), "%s/sql/[0-9][0-9][0-9]_*.sql", srcdir ? srcdir : ".");
	if (glob(pattern, 0, NULL, &files) != 0)
		mock_abort("no migrations: %s", pattern);
	for (size_t i = 0; i < files.gl_pathc; i++)
		pg_server_file(&server, "postgres", files.gl_pathv[i]);
	globfree(&files);
}

static void stop(void)
{
	pg_server_stop(&server, SIGQUIT);
}

static void start(void)
{
	pg_server_start(&server);
}

static void tell(int64_t instance, const char *payload)
{
	char text[1024];

	snprintf(text, sizeof(text), "SELECT pg_notify('parlance_i_%" PRId64 "', '%s')", instance,
		 payload);
	(void)pg_server_sql(&server, "postgres", text);
}

int main(void)
{
	char dsn[512];
	const struct mock_option options[] = {
		{ "dsn", dsn },
		{ "outage_grace_ms", "500" },
		{ "reconnect_max_ms", "200" },
	};
	const struct storage_contract contract = {
		.plugin = parlance_plugin_v1,
		.options = options,
		.n_options = ARRAY_LEN(options),
		.stop = stop,
		.start = start,
		.tell = tell,
	};
	int failed;

	if (!pg_server_installed()) {
		fputs("PostgreSQL's server is not installed\n", stderr);
		return 77;
	}
	pg_server_init(&server);
	pg_server_start(&server);
	migrate();
	snprintf(dsn, sizeof(dsn), "host=%s port=%s user=postgres dbname=postgres", server.folder,
		 server.port);
	failed = storage_contract_run(&contract);
	pg_server_free(&server);
	return failed;
}
