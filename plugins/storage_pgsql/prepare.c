/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What a new connection must answer before it is used: a server of a version that will do, the
 * schema of a version that will do, and all functions that its lane calls, as prepared statements.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

#define MIGRATE "run \"parlancectl migrate\""

static const struct function functions[] = {
#define READ LANE_READ
#define WRITE LANE_WRITE
#define SOFT LANE_SOFT
#define X(constant, name, n_params, class) [constant] = { #name, n_params, class, NULL },
	PARLANCE_STORAGE_LIST(X)
#undef X
#undef READ
#undef WRITE
#undef SOFT
};

const struct function function_probe = {
	.name = "parlance_probe",
	.n_params = 1,
	.lane = LANE_SOFT,
	.sql = "SELECT pg_catalog.pg_notify($1, '')::text",
};

int function_end(void)
{
	return (int)(sizeof(functions) / sizeof(functions[0]));
}

const struct function *function_get(int number)
{
	return number > 0 && number < function_end() ? &functions[number] : NULL;
}

bool prepare_check_server(struct link *link)
{
	const char *server = PQparameterStatus(link->pg, "server_encoding");
	const char *client = PQparameterStatus(link->pg, "client_encoding");
	int version = PQserverVersion(link->pg);

	if (version < 150000)
		link_break(link, "the server is PostgreSQL %d, but 15 or later is needed",
			   version / 10000);
	else if (!server || strcmp(server, "UTF8") != 0)
		link_break(link, "the database's encoding is %s, but UTF8 is needed: create it "
			   "with ENCODING 'UTF8' TEMPLATE template0", server ? server : "unknown");
	else if (!client || strcmp(client, "UTF8") != 0)
		link_break(link, "the session's encoding is %s, though UTF8 was asked for",
			   client ? client : "unknown");
	return !link->broken;
}

/* The function that is asked for in this step of the preparation; NULL: it is another question. */
static const struct function *function_of_step(const struct link *link, unsigned int step)
{
	for (int i = 1; i < function_end(); i++) {
		if (functions[i].lane == link->lane->class && step-- == 1)
			return &functions[i];
	}
	return link->lane->class == function_probe.lane && step == 1 ? &function_probe : NULL;
}

const char *function_sql(const struct function *function, char out[FUNCTION_SQL_MAX])
{
	int len;

	if (function->sql)
		return function->sql;
	len = snprintf(out, FUNCTION_SQL_MAX, "SELECT parlance.%s(", function->name);
	for (size_t i = 0; i < function->n_params; i++)
		len += snprintf(out + len, FUNCTION_SQL_MAX - (size_t)len, "%s$%zu", i ? "," : "",
				i + 1);
	snprintf(out + len, FUNCTION_SQL_MAX - (size_t)len, ")::text");
	return out;
}

void prepare_begin(struct link *link)
{
	link->pooler = false;
	if (!PQenterPipelineMode(link->pg) ||
	    !PQsendQueryParams(link->pg,
			       "SELECT max(version), pg_catalog.pg_backend_pid() "
			       "FROM parlance.schema_version",
			       0, NULL, NULL, NULL, NULL, 0) ||
	    !PQpipelineSync(link->pg)) {
		link_break_libpq(link);
		return;
	}
	link_flush(link);
}

/* The version will do. */
static void prepare_functions(struct link *link)
{
	const struct function *function;
	char sql[FUNCTION_SQL_MAX];
	bool ok = true;

	/* A pooler in transaction mode may not know what was prepared on another of its connections:
	 * each statement goes as it is. */
	if (link->pooler) {
		link_set_up(link);
		return;
	}
	for (unsigned int step = 1; ok && (function = function_of_step(link, step)); step++)
		ok = PQsendPrepare(link->pg, function->name, function_sql(function, sql),
				   (int)function->n_params, NULL);
	if (!ok || !PQpipelineSync(link->pg)) {
		link_break_libpq(link);
		return;
	}
	link_flush(link);
}

static void take_version(struct link *link, const PGresult *result)
{
	const char *text = PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "";
	long version = strtol(text, NULL, 10);

	/* A pooler has a number of its own, which no server knows. */
	link->pooler = PQntuples(result) == 1 &&
		       strtol(PQgetvalue(result, 0, 1), NULL, 10) != PQbackendPID(link->pg);

	if (version < SCHEMA_VERSION_MIN)
		link_break(link, "the schema parlance has version %ld, but %d is needed: " MIGRATE,
			   version, SCHEMA_VERSION_MIN);
	else if (version > SCHEMA_VERSION_MAX)
		link_break(link, "the schema parlance has version %ld, but this daemon knows those "
			   "up to %d: install a newer one", version, SCHEMA_VERSION_MAX);
}

static void take_error(struct link *link, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const struct function *function = function_of_step(link, link->step);
	char text[REASON_MAX / 2];

	if (!sqlstate) {
		link_break_libpq(link);
		return;
	}
	if (strcmp(sqlstate, "3F000") == 0 || strcmp(sqlstate, "42P01") == 0) {
		link_break(link, "the database \"%.100s\" has no schema parlance: " MIGRATE,
			   PQdb(link->pg));
		return;
	}
	if (strcmp(sqlstate, "42883") == 0 && function) {
		link_break(link, "the database has no function parlance.%s with %zu parameters: "
			   MIGRATE, function->name, function->n_params);
		return;
	}
	text_line(text, sizeof(text), message ? message : "");
	if (strcmp(sqlstate, "42501") == 0)
		link_break(link, "%s: %s: grant the user \"%.100s\" the role parlance_app",
			   sqlstate, text, PQuser(link->pg));
	else
		link_break(link, "%.5s: %s", sqlstate, text);
}

void prepare_result(struct link *link, PGresult *result)
{
	if (!result) {
		link->step++;
		return;
	}
	switch (PQresultStatus(result)) {
	case PGRES_TUPLES_OK:
		take_version(link, result);
		break;
	case PGRES_COMMAND_OK:
		break;
	case PGRES_PIPELINE_SYNC: /* one after the version, one after the functions */
		if (link->broken)
			break;
		if (link->step > 1)
			link_set_up(link);
		else
			prepare_functions(link);
		break;
	case PGRES_FATAL_ERROR:
		take_error(link, result);
		break;
	default:
		link_break(link, "an answer that was not asked for (%s)",
			   PQresStatus(PQresultStatus(result)));
		break;
	}
	PQclear(result);
}
