/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Full sends as the daemon's write connection makes them: prepared calls of message_send and
 * generation_finish in pipeline groups, each one transaction. Another process listens to the
 * events all the while. One line comes out: how many a second, the CPU time of the backend for
 * each, and how many notifications the listener got for each.
 *
 * Usage: sql-sends CONNINFO [CONVERSATIONS=1000 [CALLS-IN-A-GROUP=256 [SECONDS=4 [HISTORY=50]]]]
 */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

enum { ANSWER_BYTES = 400, GROUP_MAX = 1024, MARKER_WAIT_S = 60, ID_SIZE = 64 };

static struct {
	const char *conninfo;
	unsigned long long conversations, group, history;
	double seconds;
	PGconn *pg;
	char instance[24], answer[ANSWER_BYTES + 1];
	unsigned long long sent, finished;
} bench;

static void die(PGconn *pg, const char *what)
{
	fprintf(stderr, "sql-sends: %s: %s", what, pg ? PQerrorMessage(pg) : "\n");
	exit(1);
}

static PGconn *open_connection(void)
{
	PGconn *pg = PQconnectdb(bench.conninfo);

	if (PQstatus(pg) != CONNECTION_OK)
		die(pg, "connect");
	return pg;
}

static char *query(PGconn *pg, const char *sql)
{
	PGresult *result = PQexec(pg, sql);
	char *value = NULL;

	if (PQresultStatus(result) != PGRES_TUPLES_OK &&
	    PQresultStatus(result) != PGRES_COMMAND_OK)
		die(pg, sql);
	if (PQntuples(result) == 1 && PQnfields(result) == 1)
		value = strdup(PQgetvalue(result, 0, 0));
	PQclear(result);
	return value;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The CPU time of a process of one thread, in seconds. */
static double cpu_of(int pid)
{
	char path[64];
	unsigned long long ns = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	f = fopen(path, "r");
	if (!f || fscanf(f, "%llu", &ns) != 1)
		die(NULL, path);
	fclose(f);
	return (double)ns / 1e9;
}

/* Counts events until the marker comes. */
static void listen_events(int ready, int result_fd)
{
	PGconn *pg = open_connection();
	unsigned long long n = 0;
	bool ended = false;

	free(query(pg, "LISTEN parlance_ev"));
	free(query(pg, "LISTEN bench_end"));
	if (write(ready, "", 1) != 1)
		exit(1);
	while (!ended) {
		struct pollfd p = { .fd = PQsocket(pg), .events = POLLIN };
		PGnotify *notify;

		poll(&p, 1, -1);
		if (!PQconsumeInput(pg))
			die(pg, "listen");
		while ((notify = PQnotifies(pg))) {
			if (strcmp(notify->relname, "bench_end") == 0)
				ended = true;
			else
				n++;
			PQfreemem(notify);
		}
	}
	if (write(result_fd, &n, sizeof(n)) != sizeof(n))
		exit(1);
	exit(0);
}

/* As version 7: what is made later is greater. */
static void id_of(char *out, const char *kind, unsigned long long n)
{
	snprintf(out, ID_SIZE, "%08llx-%04llx-7000-8000-%s00000000", n >> 16, n & 0xffff, kind);
}

static void check(PGresult *result)
{
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
	    (strncmp(PQgetvalue(result, 0, 0), "{\"ok\":true", 10) == 0 ||
	     strncmp(PQgetvalue(result, 0, 0), "{\"ok\" : true", 12) == 0))
		return;
	fprintf(stderr, "sql-sends: %s%s\n", PQresultErrorMessage(result),
		PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "");
	exit(1);
}

static void send_call(const char *name, int n, const char *const values[])
{
	if (!PQsendQueryPrepared(bench.pg, name, n, values, NULL, NULL, 0))
		die(bench.pg, name);
}

static void send_message(unsigned long long n, unsigned long long base)
{
	char user[32], conversation[ID_SIZE], u[ID_SIZE], a[ID_SIZE], s[ID_SIZE], history[24], client[48];
	const char *values[15] = { user, conversation, client, u, a, s,
		"What would you say if I asked you to say something that is about this long?",
		NULL, NULL, "{\"temperature\": 0.7}", "queue", "4", history, bench.instance,
		"QmVuY2hTb2NrZXRJZA" };

	snprintf(user, sizeof(user), "bench-user-%llu", n % bench.conversations);
	id_of(conversation, "c0de", n % bench.conversations);
	snprintf(client, sizeof(client), "client-%llu", base + n);
	id_of(u, "0001", base + n);
	id_of(a, "0002", base + n);
	id_of(s, "0003", base + n);
	snprintf(history, sizeof(history), "%llu", bench.history);
	send_call("message_send", 15, values);
}

static void finish_message(unsigned long long n, unsigned long long base)
{
	char a[ID_SIZE];
	const char *values[8] = { a, bench.instance, "complete", "stop", bench.answer,
		"model-2025-01-01",
		"{\"promptTokens\":21,\"completionTokens\":87,\"totalTokens\":108}", NULL };

	id_of(a, "0002", base + n);
	send_call("generation_finish", 8, values);
}

/* One group: half of it ends what the group before it began. */
static void run_group(unsigned long long base)
{
	unsigned long long calls = 0, sends = bench.group / 2;
	unsigned long long finishes = bench.sent - bench.finished;

	for (unsigned long long i = 0; i < sends || i < finishes; i++) {
		if (i < finishes) {
			finish_message(bench.finished++, base);
			calls++;
		}
		if (i < sends) {
			send_message(bench.sent++, base);
			calls++;
		}
	}
	if (!PQpipelineSync(bench.pg))
		die(bench.pg, "sync");
	for (;;) {
		PGresult *result = PQgetResult(bench.pg);

		if (!result)
			continue; /* the end of one call's results */
		if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
			PQclear(result);
			break;
		}
		check(result);
		calls--;
		PQclear(result);
	}
	if (calls)
		die(NULL, "answers are missing");
}

static void set_up(void)
{
	char sql[512], *instance;
	PGresult *result;

	bench.pg = open_connection();
	instance = query(bench.pg, "SELECT parlance.instance_register('bench', 1, NULL)->>'id'");
	snprintf(bench.instance, sizeof(bench.instance), "%s", instance);
	free(instance);
	for (unsigned long long i = 0; i < bench.conversations; i++) {
		char id[ID_SIZE];

		id_of(id, "c0de", i);
		snprintf(sql, sizeof(sql), "SELECT parlance.conversation_create('bench-user-%llu', "
			 "'%s', 'A conversation', 'model', 'You are helpful.', '{}', NULL)", i, id);
		free(query(bench.pg, sql));
	}
	for (size_t i = 0; i < ANSWER_BYTES; i++)
		bench.answer[i] = "an answer \"of\" some words\nand lines "[i % 36];
	result = PQprepare(bench.pg, "message_send", "SELECT parlance.message_send($1,$2,$3,$4,$5,"
			   "$6,$7,$8,$9,$10,$11,$12,$13,$14,$15)::text", 15, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die(bench.pg, "prepare");
	PQclear(result);
	result = PQprepare(bench.pg, "generation_finish", "SELECT parlance.generation_finish($1,$2,"
			   "$3,$4,$5,$6,$7,$8)::text", 8, NULL);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		die(bench.pg, "prepare");
	PQclear(result);
}

int main(int argc, char **argv)
{
	int ready[2], told[2];
	char byte, *text;
	unsigned long long base, n, events = 0, measured;
	double began, cpu, wall;
	pid_t listener;

	if (argc < 2)
		die(NULL, "which database? Usage: sql-sends CONNINFO [CONVERSATIONS [GROUP "
		    "[SECONDS [HISTORY]]]]");
	bench.conninfo = argv[1];
	bench.conversations = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000;
	bench.group = argc > 3 ? strtoull(argv[3], NULL, 10) : 256;
	bench.seconds = argc > 4 ? strtod(argv[4], NULL) : 4;
	bench.history = argc > 5 ? strtoull(argv[5], NULL, 10) : 50;
	if (bench.group < 2 || bench.group > GROUP_MAX || bench.conversations < bench.group)
		die(NULL, "a group has 2 to 1024 calls, of as many conversations at least");
	set_up();
	if (pipe(ready) != 0 || pipe(told) != 0 || (listener = fork()) < 0)
		die(NULL, "fork");
	if (listener == 0)
		listen_events(ready[1], told[1]);
	if (read(ready[0], &byte, 1) != 1)
		die(NULL, "no listener");

	/* The ids of another run in this database must not come again. */
	base = ((unsigned long long)time(NULL) & 0xffffff) << 24;
	PQenterPipelineMode(bench.pg);
	for (int i = 0; i < 20; i++) /* plans, caches */
		run_group(base);
	n = bench.finished;
	began = now();
	cpu = cpu_of(PQbackendPID(bench.pg));
	do
		run_group(base);
	while (now() - began < bench.seconds);
	wall = now() - began;
	cpu = cpu_of(PQbackendPID(bench.pg)) - cpu;
	measured = bench.finished - n;
	PQexitPipelineMode(bench.pg);
	free(query(bench.pg, "NOTIFY bench_end"));
	alarm(MARKER_WAIT_S);
	if (read(told[0], &events, sizeof(events)) != sizeof(events))
		die(NULL, "the listener said nothing");
	waitpid(listener, NULL, 0);
	text = query(bench.pg, "SELECT count(*) FROM (SELECT seq, row_number() OVER (PARTITION BY "
		     "room ORDER BY seq) AS n FROM parlance.event) AS s WHERE seq <> n");
	printf("%.0f sends/s, backend %.1f us each, %.2f events each, %s holes\n",
	       (double)measured / wall, cpu / (double)measured * 1e6,
	       /* What began but did not end has told two thirds of its room's, and one. */
	       (double)(events - 3 * (bench.sent - bench.finished)) / (double)bench.finished, text);
	free(text);
	PQfinish(bench.pg);
	return 0;
}
