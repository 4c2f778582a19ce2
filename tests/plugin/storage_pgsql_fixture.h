/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the tests of storage_pgsql share: a server of their own whose database "test" has the
 * functions of storage_pgsql.sql, and an instance of the plugin. Included by one file of a program.
 */
#ifndef PARLANCE_TESTS_PLUGIN_STORAGE_PGSQL_FIXTURE_H
#define PARLANCE_TESTS_PLUGIN_STORAGE_PGSQL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "contract/storage_rig.h"
#include "lib/pg_server.h"

#define OPTIONS_MAX 12

static struct pg_server server;
static struct rig rig;

/* The functions of each class that the tests use. */
#define WRITES PARLANCE_CONVERSATION_DELETE /* 3 parameters */
#define READS PARLANCE_CONVERSATION_ACCESS  /* 2 */
#define SOFTS PARLANCE_INSTANCE_BEAT        /* 2 */

static inline void submit_write(struct call *call, const char *first)
{
	RIG_SUBMIT(&rig, call, WRITES, first, "x", NULL);
}

static inline void submit_read(struct call *call, const char *first)
{
	RIG_SUBMIT(&rig, call, READS, first, "x");
}

static inline void submit_soft(struct call *call, const char *first)
{
	RIG_SUBMIT(&rig, call, SOFTS, first, NULL);
}

static inline void fill_database(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char text[512];

	snprintf(text, sizeof(text), "CREATE DATABASE %s", name);
	(void)pg_server_sql(&server, "postgres", text);
	snprintf(text, sizeof(text), "%s/tests/plugin/storage_pgsql.sql", srcdir ? srcdir : ".");
	pg_server_file(&server, name, text);
#define X(constant, function, n, class) \
	(void)pg_server_sql(&server, name, "SELECT parlance.function_of('" #function "', " #n ")");
	PARLANCE_STORAGE_LIST(X)
#undef X
}

/* The connection string for the server's Unix socket. */
static inline const char *unix_dsn(const char *database)
{
	static char text[512];

	snprintf(text, sizeof(text), "host=%s port=%s user=postgres dbname=%s", server.folder,
		 server.port, database);
	return text;
}

/* Makes the instance with quick times and the options given, a NULL name ends them. */
static inline int open_plugin(const char *dsn, const struct mock_option *more)
{
	const struct mock_config config = { .plugin = parlance_plugin_v1 };
	struct mock_option options[OPTIONS_MAX] = {
		{ "dsn", dsn },
		{ "reconnect_min_ms", "10" },
		{ "reconnect_max_ms", "100" },
		{ "write_connections", "1" },
	};
	size_t n = 4;

	for (; more && more->name; more++) {
		assert_true(n < OPTIONS_MAX);
		options[n++] = *more;
	}
	return rig_open(&rig, &config, options, n);
}

static inline void open_up(const char *dsn, const struct mock_option *more)
{
	assert_int_equal(open_plugin(dsn, more), 0);
	rig_wait_up(&rig);
}

#define OPTION(name, value) ((const struct mock_option[]){ { name, value }, { NULL, NULL } })

static inline const char *sql(const char *text)
{
	return pg_server_sql(&server, "test", text);
}

/* The backend of a connection of the plugin ("write"); 0: there is none. */
static inline pid_t backend_of(const char *role)
{
	char text[256];

	snprintf(text, sizeof(text), "SELECT pid FROM pg_stat_activity WHERE application_name = "
		 "'parlanced %s'", role);
	return (pid_t)atoi(sql(text));
}

/* True while the connection executes something that sleeps. */
static inline bool sleeps(const char *role)
{
	char text[256];

	snprintf(text, sizeof(text), "SELECT count(*) FROM pg_stat_activity WHERE application_name "
		 "= 'parlanced %s' AND wait_event = 'PgSleep'", role);
	return atoi(sql(text)) > 0;
}

static inline int server_setup(void **state)
{
	(void)state;
	pg_server_init(&server);
	pg_server_start(&server);
	fill_database("test");
	return 0;
}

static inline int server_teardown(void **state)
{
	(void)state;
	pg_server_free(&server);
	return 0;
}

static inline int plugin_teardown(void **state)
{
	(void)state;
	if (!rig.m)
		return 0;
	rig_close(&rig);
	/* Backends end a moment later; the next test is to find only its own. */
	for (int i = 0; server.pid && i < 1000; i++) {
		if (atoi(sql("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE "
			     "'parlanced %'")) == 0)
			return 0;
	}
	return server.pid ? -1 : 0;
}

static inline int up_setup(void **state)
{
	(void)state;
	open_up(unix_dsn("test"), NULL);
	(void)sql("TRUNCATE parlance.called; ALTER SEQUENCE parlance.conflicts RESTART");
	return 0;
}

#endif
