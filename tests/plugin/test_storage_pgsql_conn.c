/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* storage_pgsql: connections that cannot be made, break, or say nothing; and the feed. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage_pgsql_fixture.h"

static void expect(const struct call *call, enum parlance_storage_status status)
{
	assert_int_equal(call->completed, 1);
	if (call->status != status)
		print_error("status %d, detail: %s\n", (int)call->status, call->detail);
	assert_int_equal(call->status, status);
}

/* One request of each class is served. */
static void expect_service(void)
{
	struct call calls[2], soft;

	/* Being ready says nothing of this connection; it comes a moment earlier or later. */
	do {
		submit_soft(&soft, "a");
		rig_wait(&rig, &soft);
		call_free(&soft);
		mock_turn(rig.m);
	} while (soft.status == PARLANCE_STORAGE_UNAVAILABLE);
	expect(&soft, PARLANCE_STORAGE_OK);
	submit_write(&calls[0], "a");
	submit_read(&calls[1], "a");
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		rig_wait(&rig, &calls[i]);
		expect(&calls[i], PARLANCE_STORAGE_OK);
		call_free(&calls[i]);
	}
}

static const char *tcp_dsn(const char *host, const char *rest)
{
	static char text[512];

	snprintf(text, sizeof(text), "host=%s port=%s dbname=test %s", host, server.port, rest);
	return text;
}

static bool has(const char *text, const char *part)
{
	if (strstr(text, part))
		return true;
	print_error("\"%s\" is not in \"%s\"\n", part, text);
	return false;
}

static void wait_refused(const char *sentence)
{
	RIG_WAIT(&rig, strstr(rig.detail, sentence));
	assert_false(rig.ready);
	assert_true(mock_log_has(rig.m, sentence));
}

/* Connecting */

static void test_tcp_by_name(void **state)
{
	(void)state;
	open_up(tcp_dsn("localhost", "user=postgres"), NULL);
	assert_int_equal(rig.m->calls[MOCK_OFFLOAD], 4);
	expect_service();
}

static void test_by_address(void **state)
{
	(void)state;
	open_up(tcp_dsn("127.0.0.1", "user=postgres"), NULL);
	assert_int_equal(rig.m->calls[MOCK_OFFLOAD], 0);
	expect_service();
}

static void test_uri(void **state)
{
	char dsn[256];

	(void)state;
	snprintf(dsn, sizeof(dsn), "postgresql://postgres@127.0.0.1:%s/test", server.port);
	open_up(dsn, NULL);
	expect_service();
}

static void test_environment(void **state)
{
	(void)state;
	setenv("PGHOST", server.folder, 1);
	setenv("PGPORT", server.port, 1);
	setenv("PGUSER", "postgres", 1);
	setenv("PGDATABASE", "test", 1);
	open_up("", NULL);
	expect_service();
	unsetenv("PGHOST");
	unsetenv("PGPORT");
	unsetenv("PGUSER");
	unsetenv("PGDATABASE");
}

static void test_service_file(void **state)
{
	char path[300];
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/services", server.folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "[chat]\nhost=localhost\nport=%s\ndbname=test\nuser=postgres\n", server.port);
	fclose(f);
	setenv("PGSERVICEFILE", path, 1);
	open_up("service=chat", NULL);
	/* Names in there are looked up off the loop as well. */
	assert_int_equal(rig.m->calls[MOCK_OFFLOAD], 4);
	rig_close(&rig);
	assert_int_equal(open_plugin("service=other", NULL), 0);
	wait_refused("definition of service \"other\" not found");
	unsetenv("PGSERVICEFILE");
}

/* A port where nobody listens; it stays bound, so nobody will. */
static int silent_port(int *fd, bool listening)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&sin, &len), 0);
	if (listening)
		assert_int_equal(listen(*fd, 10), 0);
	return ntohs(sin.sin_port);
}

static void test_several_hosts(void **state)
{
	char dsn[256];
	int fd, port = silent_port(&fd, false);

	(void)state;
	snprintf(dsn, sizeof(dsn), "host=127.0.0.1,localhost port=%d,%s dbname=test user=postgres",
		 port, server.port);
	open_up(dsn, NULL);
	expect_service();
	rig_close(&rig);
	close(fd);

	/* One that takes connections and says nothing: the next attempt begins with the other. */
	port = silent_port(&fd, true);
	snprintf(dsn, sizeof(dsn), "host=127.0.0.1,127.0.0.1 port=%d,%s dbname=test user=postgres",
		 port, server.port);
	open_up(dsn, OPTION("connect_timeout_ms", "200"));
	assert_true(mock_log_has(rig.m, "no connection within 200 ms"));
	expect_service();
	close(fd);
}

static void test_unknown_name(void **state)
{
	(void)state;
	assert_int_equal(open_plugin("host=nowhere.invalid", NULL), 0);
	wait_refused("the name \"nowhere.invalid\" cannot be looked up");
}

static void test_late_start(void **state)
{
	const struct mock_option options[] = { { "outage_grace_ms", "200" }, { NULL, NULL } };
	struct call early, late;

	(void)state;
	pg_server_stop(&server, SIGINT);
	assert_int_equal(open_plugin(unix_dsn("test"), options), 0);
	submit_write(&early, "a");
	assert_int_equal(early.completed, 0);
	rig_wait(&rig, &early);
	expect(&early, PARLANCE_STORAGE_UNAVAILABLE);
	assert_true(has(early.detail, "connection to server on socket"));
	/* From now on at once. */
	submit_write(&late, "a");
	expect(&late, PARLANCE_STORAGE_UNAVAILABLE);
	assert_false(rig.ready);
	call_free(&early);
	call_free(&late);
	pg_server_start(&server);
	rig_wait_up(&rig);
	expect_service();
}

/* What is asked for before the connection is there waits for it. */
static void test_early_requests(void **state)
{
	struct call calls[2];

	(void)state;
	assert_int_equal(open_plugin(unix_dsn("test"), NULL), 0);
	submit_write(&calls[0], "a");
	submit_read(&calls[1], "a");
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		rig_wait(&rig, &calls[i]);
		expect(&calls[i], PARLANCE_STORAGE_OK);
		call_free(&calls[i]);
	}
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, 0600);
}

static void test_password(void **state)
{
	struct mock_option options[] = {
		{ "dsn", NULL }, { "password_file", NULL }, { "reconnect_max_ms", "100" }
	};
	char path[300];

	(void)state;
	assert_int_equal(open_plugin(tcp_dsn("127.0.0.1", "user=secret password=wr0ng"), NULL), 0);
	wait_refused("password authentication failed for user \"secret\"");
	assert_null(strstr(rig.detail, "wr0ng"));
	assert_null(strstr(mock_log(rig.m), "wr0ng"));
	rig_close(&rig);

	snprintf(path, sizeof(path), "%s/password", server.folder);
	write_file(path, "wr0ng\n");
	options[0].value = tcp_dsn("127.0.0.1", "user=secret");
	options[1].value = path;
	assert_int_equal(open_plugin(options[0].value, OPTION("password_file", path)), 0);
	wait_refused("password authentication failed");
	write_file(path, "right\n");
	assert_int_equal(mock_reload(rig.m, options, ARRAY_LEN(options)), 0);
	rig_wait_up(&rig);
	expect_service();
	rig_close(&rig);

	/* No file is no instance; on reload the old one goes on. */
	assert_int_equal(open_plugin(options[0].value, OPTION("password_file", "/nowhere/at/all")),
			 -1);
	assert_true(has(rig.m->err, "/nowhere/at/all"));
}

static void test_wrong_database(void **state)
{
	(void)state;
	assert_int_equal(open_plugin(unix_dsn("missing"), NULL), 0);
	wait_refused("database \"missing\" does not exist");
}

static void test_missing_schema(void **state)
{
	(void)state;
	(void)pg_server_sql(&server, "postgres", "CREATE DATABASE bare");
	assert_int_equal(open_plugin(unix_dsn("bare"), NULL), 0);
	wait_refused("the database \"bare\" has no schema parlance: run \"parlancectl migrate\"");
	/* The feed would do without one, but nobody could tell whether it comes through. */
	assert_false(rig.feed);
	(void)pg_server_sql(&server, "bare", "CREATE SCHEMA parlance; "
			    "CREATE TABLE parlance.schema_version (version int)");
	wait_refused("the schema parlance has version 0, but 6 is needed: run \"parlancectl");
	(void)pg_server_sql(&server, "bare", "INSERT INTO parlance.schema_version VALUES (100000)");
	wait_refused("the schema parlance has version 100000, but this daemon knows those up to");
	(void)pg_server_sql(&server, "bare", "UPDATE parlance.schema_version SET version = 6");
	wait_refused("the database has no function parlance.");
	(void)pg_server_sql(&server, "bare", "CREATE ROLE visitor LOGIN");
	rig_close(&rig);

	assert_int_equal(open_plugin(tcp_dsn("127.0.0.1", "user=visitor"), NULL), 0);
	wait_refused("grant the user \"visitor\" the role parlance_app");
	rig_close(&rig);

	/* Repaired while the plugin tries: no restart is needed. */
	(void)pg_server_sql(&server, "postgres", "DROP DATABASE bare WITH (FORCE)");
	assert_int_equal(open_plugin(unix_dsn("bare"), NULL), 0);
	wait_refused("does not exist");
	fill_database("bare");
	rig_wait_up(&rig);
	expect_service();
}

static void test_wrong_encoding(void **state)
{
	(void)state;
	(void)pg_server_sql(&server, "postgres",
			    "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
	assert_int_equal(open_plugin(unix_dsn("latin"), NULL), 0);
	wait_refused("the database's encoding is LATIN1, but UTF8 is needed");
}

static void test_read_only(void **state)
{
	(void)state;
	(void)pg_server_sql(&server, "postgres", "CREATE ROLE reader LOGIN SUPERUSER; "
			    "ALTER ROLE reader SET default_transaction_read_only = on");
	assert_int_equal(open_plugin(tcp_dsn("127.0.0.1", "user=reader"), NULL), 0);
	wait_refused("session is read-only");
	rig_close(&rig);
	/* Whoever asks for it gets it. */
	assert_int_equal(open_plugin(tcp_dsn("127.0.0.1", "user=reader target_session_attrs=any"),
				     NULL), 0);
	RIG_WAIT(&rig, rig.ready);
}

static void test_bad_options(void **state)
{
	(void)state;
	assert_int_equal(open_plugin("postgres://u:hunter2@[::1/x", NULL), -1);
	assert_true(has(rig.m->err, "dsn is not a connection string"));
	assert_null(strstr(rig.m->err, "hunter2"));
	rig_close(&rig);
	assert_int_equal(open_plugin("host=a,b port=1,2,3", NULL), 0);
	wait_refused("could not match 3 port numbers to 2 hosts");
	rig_close(&rig);
	assert_int_equal(open_plugin("", OPTION("reconnect_min_ms", "200")), -1);
	assert_true(has(rig.m->err, "reconnect_min_ms is more than reconnect_max_ms"));
}

static void test_failures_of_the_host(void **state)
{
	(void)state;
	for (size_t i = 1; i <= 11; i++) {
		const struct mock_option options[] = { { "dsn", unix_dsn("test") } };

		/* rig_open makes the host and the instance in one; this one is to fail. */
		assert_int_equal(open_plugin(unix_dsn("test"), NULL), 0);
		mock_destroy(rig.m);
		mock_fail_at(rig.m, i < 11 ? MOCK_TIMER_NEW : MOCK_WATCH_NEW, i < 11 ? i : 1);
		assert_int_equal(mock_create(rig.m, options, 1), -1);
		assert_true(has(rig.m->err, "out of memory"));
		rig_close(&rig);
	}
	/* Later ones are got over. */
	for (size_t i = 1; i <= 8; i++) {
		assert_int_equal(open_plugin(tcp_dsn("localhost", "user=postgres"), NULL), 0);
		mock_fail_at(rig.m, MOCK_WATCH_NEW, i);
		rig_wait_up(&rig);
		expect_service();
		rig_close(&rig);
	}
	assert_int_equal(open_plugin(tcp_dsn("localhost", "user=postgres"), NULL), 0);
	rig_wait_up(&rig);
	mock_fail_at(rig.m, MOCK_OFFLOAD, 1);
	(void)sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name "
		  "LIKE 'parlanced %'");
	RIG_WAIT(&rig, !rig.ready);
	rig_wait_up(&rig);
	expect_service();
}

/* Wherever connecting has got to, nothing is left. */
static void test_destroy_at_any_time(void **state)
{
	(void)state;
	for (int turns = 0; turns < 30; turns++) {
		assert_int_equal(open_plugin(tcp_dsn("localhost", "user=postgres"), NULL), 0);
		for (int i = 0; i < turns; i++)
			mock_turn(rig.m);
		rig_close(&rig);
	}
}

/* Breaking */

static void terminate(const char *role)
{
	char text[128];

	snprintf(text, sizeof(text), "SELECT pg_terminate_backend(%d)", (int)backend_of(role));
	assert_string_equal(sql(text), "t");
}

/* The server says that it ends the session, inside the transaction: so nothing was done, and it
 * goes again by itself. */
static void test_terminated_in_flight(void **state)
{
	struct call calls[4];

	(void)state;
	submit_write(&calls[0], "a");
	submit_write(&calls[1], "sleep 0.6");
	submit_read(&calls[2], "sleep 0.6");
	submit_soft(&calls[3], "sleep 0.6");
	RIG_WAIT(&rig, sleeps("write") && sleeps("read") && sleeps("soft"));
	terminate("write");
	terminate("read");
	terminate("soft");
	RIG_WAIT(&rig, !rig.ready);
	assert_true(has(rig.detail, "57P01: terminating connection due to administrator command"));
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		rig_wait(&rig, &calls[i]);
		expect(&calls[i], PARLANCE_STORAGE_OK);
		call_free(&calls[i]);
	}
	assert_string_equal(sql("SELECT count(*) FROM parlance.called"), "4");
	assert_true(rig.ready);
	assert_true(rig.feed);
	assert_int_equal(rig.n_feed, 1);
}

static void test_terminated_idle(void **state)
{
	(void)state;
	terminate("write");
	RIG_WAIT(&rig, !rig.ready);
	assert_true(has(rig.detail, "57P01: terminating connection"));
	RIG_WAIT(&rig, rig.ready);
	expect_service();
}

static void test_listener_terminated(void **state)
{
	(void)state;
	terminate("listen");
	RIG_WAIT(&rig, !rig.feed);
	assert_true(rig.ready);
	RIG_WAIT(&rig, rig.feed);
	assert_int_equal(rig.n_feed, 3);
	expect_service();
}

/* A backend that dies takes all with it, and nobody can say whether the commit was before. */
static void test_crash_in_flight(void **state)
{
	struct call calls[6];

	(void)state;
	submit_write(&calls[0], "sleep 1");
	submit_write(&calls[1], "a");
	submit_read(&calls[2], "sleep 0.4");
	submit_soft(&calls[3], "sleep 1");
	RIG_WAIT(&rig, sleeps("write") && sleeps("read") && sleeps("soft"));
	/* Not sent yet: they wait for the next connection. */
	submit_write(&calls[4], "a");
	rig_cancel(&rig, &calls[1]);
	kill(backend_of("write"), SIGKILL);
	submit_write(&calls[5], "a");
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		rig_wait(&rig, &calls[i]);
	expect(&calls[0], PARLANCE_STORAGE_UNKNOWN);
	expect(&calls[1], PARLANCE_STORAGE_CANCELED);
	expect(&calls[2], PARLANCE_STORAGE_OK);
	expect(&calls[3], PARLANCE_STORAGE_UNKNOWN);
	expect(&calls[4], PARLANCE_STORAGE_OK);
	expect(&calls[5], PARLANCE_STORAGE_OK);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		call_free(&calls[i]);
	rig_wait_up(&rig);
	expect_service();
}

static void test_restart_in_flight(void **state)
{
	struct call writes[300], reading;
	size_t done = 0;

	(void)state;
	submit_read(&reading, "sleep 1");
	submit_write(&writes[0], "sleep 1");
	RIG_WAIT(&rig, sleeps("write") && sleeps("read"));
	for (size_t i = 1; i < ARRAY_LEN(writes); i++)
		submit_write(&writes[i], "a");
	pg_server_stop(&server, SIGQUIT);
	pg_server_start(&server);
	rig_wait(&rig, &reading);
	expect(&reading, PARLANCE_STORAGE_OK);
	call_free(&reading);
	rig_wait(&rig, &writes[0]);
	expect(&writes[0], PARLANCE_STORAGE_UNKNOWN);
	for (size_t i = 1; i < ARRAY_LEN(writes); i++) {
		rig_wait(&rig, &writes[i]);
		expect(&writes[i], PARLANCE_STORAGE_OK);
		done++;
	}
	for (size_t i = 0; i < ARRAY_LEN(writes); i++)
		call_free(&writes[i]);
	assert_int_equal(atoi(sql("SELECT count(*) FROM parlance.called WHERE first = 'a'")), done);
	rig_wait_up(&rig);
}

/* What kills its connection each time must not do so for ever, nor take others with it. */
static void test_killer(void **state)
{
	struct call calls[3];

	(void)state;
	submit_write(&calls[0], "a");
	submit_write(&calls[1], "exit");
	submit_write(&calls[2], "a");
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		rig_wait(&rig, &calls[i]);
	expect(&calls[0], PARLANCE_STORAGE_OK);
	expect(&calls[1], PARLANCE_STORAGE_UNAVAILABLE);
	expect(&calls[2], PARLANCE_STORAGE_OK);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		call_free(&calls[i]);
	expect_service();
}

/* A server that says nothing any more, as when the network has swallowed the connection. */
static void test_half_open(void **state)
{
	static const char *const roles[] = { "write", "read", "soft" };
	struct call calls[3];
	pid_t stopped[3];
	uint64_t begun;

	(void)state;
	open_up(tcp_dsn("127.0.0.1", "user=postgres"), OPTION("statement_timeout_ms", "300"));
	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		stopped[i] = backend_of(roles[i]);
		assert_true(stopped[i] > 0);
		kill(stopped[i], SIGSTOP);
	}
	begun = rig.m->host.mono_ms(rig.m->host.ctx);
	submit_write(&calls[0], "a");
	submit_read(&calls[1], "a");
	submit_soft(&calls[2], "a");
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		rig_wait(&rig, &calls[i]);
	/* 300 ms and 2 s of slack. */
	assert_in_range(rig.m->host.mono_ms(rig.m->host.ctx) - begun, 2200, 6000);
	expect(&calls[0], PARLANCE_STORAGE_UNKNOWN);
	assert_string_equal(calls[0].detail, "no answer for 2300 ms");
	expect(&calls[1], PARLANCE_STORAGE_OK);
	expect(&calls[2], PARLANCE_STORAGE_UNKNOWN);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		call_free(&calls[i]);
	RIG_WAIT(&rig, rig.ready);
	expect_service();
	for (size_t i = 0; i < ARRAY_LEN(roles); i++)
		kill(stopped[i], SIGCONT);
}

static void test_half_open_listener(void **state)
{
	pid_t stopped = backend_of("listen");

	(void)state;
	assert_true(stopped > 0);
	kill(stopped, SIGSTOP);
	RIG_WAIT(&rig, !rig.feed);
	assert_true(mock_log_has(rig.m, "listen: no connection (notifications do not come through"));
	RIG_WAIT(&rig, rig.feed);
	kill(stopped, SIGCONT);
	assert_true(rig.ready);
}

/* The feed */

#define ROOM "0190a6b2-0000-7000-8000-000000000001"
#define EVENT "{\"r\" : \"" ROOM "\", \"k\" : \"c\", \"s\" : 7, \"t\" : \"message.new\", " \
	      "\"c\" : \"" ROOM "\", \"i\" : null"

static void notify(const char *channel, const char *payload)
{
	char text[9000];

	snprintf(text, sizeof(text), "SELECT pg_notify('%s', '%s')", channel, payload);
	(void)sql(text);
}

static void test_feed(void **state)
{
	const char *whole = EVENT ", \"b\" : {\"text\" : \"\xc3\xa9 \\u0041\"}}";

	(void)state;
	notify("parlance_ev", whole);
	notify("parlance_ev", EVENT "}");
	RIG_WAIT(&rig, rig.n_events == 2);
	assert_string_equal(rig.events[0].room, ROOM);
	assert_string_equal(rig.events[0].type, "message.new");
	assert_int_equal(rig.events[0].seq, 7);
	assert_string_equal(rig.events[0].json, whole);
	assert_string_equal(rig.events[1].json, "");
}

static void test_forged_events(void **state)
{
	(void)state;
	notify("parlance_ev", "");
	notify("parlance_ev", "{}");
	notify("parlance_ev", "[1, 2");
	notify("parlance_ev", "{\"r\" : 1, \"s\" : \"x\"}");
	notify("parlance_ev", EVENT "}");
	RIG_WAIT(&rig, rig.n_events == 1);
	assert_int_equal(mock_counter(rig.m, "malformed_events"), 4);
	/* One line for all of them. */
	assert_true(mock_log_has(rig.m, "ignored what is no event"));
	assert_null(strstr(strstr(mock_log(rig.m), "ignored what") + 1, "ignored what"));
}

static bool listens(const char *channel)
{
	size_t n = rig.n_messages;

	notify(channel, "probe");
	notify("parlance_ev", EVENT "}");
	/* Notifications come in the order of their commits. */
	RIG_WAIT(&rig, rig.n_events > 0);
	rig.n_events--;
	free(rig.events[rig.n_events].json);
	return rig.n_messages > n;
}

static void wait_listens(const char *channel)
{
	int tries = 0;

	while (!listens(channel)) {
		if (++tries == 500)
			fail_msg("%s is not listened to", channel);
	}
}

static void test_instance_channel(void **state)
{
	(void)state;
	assert_false(listens("parlance_i_42"));
	MOCK_CALL(rig.m, rig.ops->set_instance(rig.m->self, 42));
	wait_listens("parlance_i_42");
	assert_string_equal(rig.messages[0], "probe");
	assert_false(listens("parlance_i_4"));
	MOCK_CALL(rig.m, rig.ops->set_instance(rig.m->self, 43));
	/* That of another instance is not taken from this moment on, though it is still heard. */
	assert_false(listens("parlance_i_42"));
	wait_listens("parlance_i_43");
	/* Again after a reconnect, before the feed is told to be up. */
	terminate("listen");
	RIG_WAIT(&rig, !rig.feed);
	RIG_WAIT(&rig, rig.feed);
	assert_true(has(sql("SELECT query FROM pg_stat_activity WHERE application_name = "
			    "'parlanced listen'"), "LISTEN parlance_ev; "));
	assert_true(has(sql("SELECT query FROM pg_stat_activity WHERE application_name = "
			    "'parlanced listen'"), "; LISTEN parlance_i_43"));
	assert_true(listens("parlance_i_43"));
	MOCK_CALL(rig.m, rig.ops->set_instance(rig.m->self, 0));
	assert_false(listens("parlance_i_43"));
	/* While there is no connection. */
	terminate("listen");
	RIG_WAIT(&rig, !rig.feed);
	MOCK_CALL(rig.m, rig.ops->set_instance(rig.m->self, 44));
	RIG_WAIT(&rig, rig.feed);
	assert_true(listens("parlance_i_44"));
}

static bool listener_is_idle(void)
{
	return strcmp(sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = "
			  "'parlanced listen' AND state = 'idle' AND query LIKE '%; LISTEN %'"),
		      "1") == 0;
}

/* A server that is slow to take a LISTEN is not one that does not answer. */
static void test_slow_listen(void **state)
{
	struct call call;
	pid_t pid;

	(void)state;
	/* The first probe is waited for, and looked for often. */
	submit_soft(&call, "sleep 2");
	RIG_WAIT(&rig, sleeps("soft"));
	terminate("listen");
	RIG_WAIT(&rig, !rig.feed);
	RIG_WAIT(&rig, listener_is_idle());
	pid = (pid_t)backend_of("listen");
	assert_int_equal(kill(pid, SIGSTOP), 0);
	MOCK_CALL(rig.m, rig.ops->set_instance(rig.m->self, 42));
	rig_wait(&rig, &call);
	call_free(&call);
	assert_int_equal(kill(pid, SIGCONT), 0);
	RIG_WAIT(&rig, rig.feed);
	wait_listens("parlance_i_42");
	assert_int_equal(backend_of("listen"), pid);
}

static int conn_setup(void **state)
{
	if (server_setup(state))
		return -1;
	(void)pg_server_sql(&server, "postgres",
			    "CREATE ROLE secret LOGIN SUPERUSER PASSWORD 'right'");
	return 0;
}

#define UP(test) cmocka_unit_test_setup_teardown(test, up_setup, plugin_teardown)
#define DOWN(test) cmocka_unit_test_teardown(test, plugin_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		DOWN(test_tcp_by_name),
		DOWN(test_by_address),
		DOWN(test_uri),
		DOWN(test_environment),
		DOWN(test_service_file),
		DOWN(test_several_hosts),
		DOWN(test_unknown_name),
		DOWN(test_late_start),
		DOWN(test_early_requests),
		DOWN(test_password),
		DOWN(test_wrong_database),
		DOWN(test_missing_schema),
		DOWN(test_wrong_encoding),
		DOWN(test_read_only),
		DOWN(test_bad_options),
		DOWN(test_failures_of_the_host),
		DOWN(test_destroy_at_any_time),
		UP(test_terminated_in_flight),
		UP(test_terminated_idle),
		UP(test_listener_terminated),
		UP(test_crash_in_flight),
		UP(test_restart_in_flight),
		UP(test_killer),
		DOWN(test_half_open),
		UP(test_half_open_listener),
		UP(test_feed),
		UP(test_forged_events),
		UP(test_instance_channel),
		UP(test_slow_listen),
	};

	if (!pg_server_installed()) {
		fputs("PostgreSQL's server is not installed\n", stderr);
		return 77;
	}
	return cmocka_run_group_tests(tests, conn_setup, server_teardown);
}
