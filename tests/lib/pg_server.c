/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* A PostgreSQL server of a test's own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <limits.h>
#include <netinet/in.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "pg_server.h"

static char bindir[PATH_MAX];

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("pg_server: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	exit(1);
}

static bool has_server(const char *folder)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/initdb", folder);
	if (access(path, X_OK) != 0)
		return false;
	snprintf(bindir, sizeof(bindir), "%s", folder);
	return true;
}

/* What pg_config --bindir says. */
static bool ask_pg_config(void)
{
	char folder[PATH_MAX] = "";
	FILE *f = popen("pg_config --bindir 2>/dev/null", "r");

	if (!f)
		return false;
	if (!fgets(folder, sizeof(folder), f))
		folder[0] = '\0';
	folder[strcspn(folder, "\n")] = '\0';
	pclose(f);
	return *folder && has_server(folder);
}

bool pg_server_installed(void)
{
	const char *given = getenv("PG_BINDIR");
	bool found = false;
	glob_t list;

	if (*bindir)
		return true;
	if (given)
		return has_server(given);
	if (ask_pg_config())
		return true;
	if (glob("/usr/lib/postgresql/*/bin", 0, NULL, &list) == 0) {
		for (size_t i = 0; i < list.gl_pathc; i++)
			found = has_server(list.gl_pathv[i]) || found;
		globfree(&list);
	}
	return found;
}

static const struct passwd *other_user(void)
{
	const struct passwd *user;

	if (geteuid() != 0)
		return NULL;
	user = getpwnam("postgres");
	if (!user)
		die("root needs the user postgres to run a server");
	return user;
}

/* A program of PostgreSQL, its output in the folder's file `log`. */
static pid_t run(const struct pg_server *server, const char *name, char *const *argv)
{
	const struct passwd *user = other_user();
	pid_t parent = getpid(), pid = fork();
	char path[PATH_MAX + 32];
	int fd;

	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid > 0)
		return pid;
	/* A group of its own, so that the keyboard's ^C reaches the test first. */
	setpgid(0, 0);
	if (user && (initgroups(user->pw_name, user->pw_gid) || setgid(user->pw_gid) ||
		     setuid(user->pw_uid)))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGQUIT);
	if (getppid() != parent || chdir(server->folder))
		_exit(126);
	fd = open("log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0)
		_exit(126);
	for (int i = 3; i < 256; i++)
		close(i);
	snprintf(path, sizeof(path), "%s/%s", bindir, name);
	execv(path, argv);
	_exit(127);
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			die("waitpid: %s", strerror(errno));
	}
	return status;
}

static void append(const struct pg_server *server, const char *file, const char *text)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/data/%s", server->folder, file);
	f = fopen(path, "a");
	if (!f || fputs(text, f) < 0 || fclose(f))
		die("%s: %s", path, strerror(errno));
}

static void choose_port(struct pg_server *server)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sin, len) ||
	    getsockname(fd, (struct sockaddr *)&sin, &len))
		die("no port: %s", strerror(errno));
	close(fd);
	snprintf(server->port, sizeof(server->port), "%d", ntohs(sin.sin_port));
}

void pg_server_init(struct pg_server *server)
{
	static char initdb[] = "initdb", d[] = "-D", data[] = "data", a[] = "--auth=trust",
		    u[] = "--username=postgres", n[] = "--no-sync", e[] = "--encoding=UTF8",
		    l[] = "--locale=C";
	char *const argv[] = { initdb, d, data, a, u, n, e, l, NULL };
	const char *tmp = getenv("TMPDIR");
	const struct passwd *user = other_user();
	char text[1024];

	*server = (struct pg_server){ .pid = 0 };
	if (!pg_server_installed())
		die("PostgreSQL's server is not installed");
	snprintf(server->folder, sizeof(server->folder), "%s/parlance-unit-pg-XXXXXX",
		 tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(server->folder))
		die("%s: %s", server->folder, strerror(errno));
	if (user && chown(server->folder, user->pw_uid, user->pw_gid))
		die("%s: %s", server->folder, strerror(errno));
	if (wait_for(run(server, "initdb", argv)) != 0)
		die("initdb failed, see %s/log", server->folder);
	choose_port(server);
	snprintf(text, sizeof(text),
		 "port = %s\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '%s'\n"
		 /* Nothing here outlives the machine. */
		 "fsync = off\nmax_connections = 50\nlog_min_messages = fatal\n",
		 server->port, server->folder);
	append(server, "postgresql.conf", text);
	snprintf(text, sizeof(text), "%s/data/pg_hba.conf", server->folder);
	if (truncate(text, 0))
		die("%s: %s", text, strerror(errno));
	append(server, "pg_hba.conf",
	       "host all secret all scram-sha-256\nlocal all all trust\nhost all all all trust\n");
}

static PGconn *connect_to(const struct pg_server *server, const char *database)
{
	const char *const keywords[] = {
		"host", "port", "user", "dbname", "connect_timeout", NULL,
	};
	const char *const values[] = {
		server->folder, server->port, "postgres", database, "10", NULL,
	};

	return PQconnectdbParams(keywords, values, 0);
}

void pg_server_start(struct pg_server *server)
{
	static char postgres[] = "postgres", d[] = "-D", data[] = "data";
	char *const argv[] = { postgres, d, data, NULL };
	const struct timespec pause = { .tv_nsec = 20000000 };
	bool ok = false;

	server->pid = run(server, "postgres", argv);
	for (int i = 0; i < 1500 && !ok; i++) {
		PGconn *pg = connect_to(server, "postgres");

		ok = PQstatus(pg) == CONNECTION_OK;
		PQfinish(pg);
		if (!ok && waitpid(server->pid, NULL, WNOHANG) == server->pid)
			die("the server ended, see %s/log", server->folder);
		if (!ok)
			nanosleep(&pause, NULL);
	}
	if (!ok)
		die("the server takes no connections, see %s/log", server->folder);
}

void pg_server_stop(struct pg_server *server, int signal)
{
	if (!server->pid)
		return;
	kill(server->pid, signal);
	wait_for(server->pid);
	server->pid = 0;
}

void pg_server_free(struct pg_server *server)
{
	static char rm[] = "rm", rf[] = "-rf", end[] = "--";
	char *const argv[] = { rm, rf, end, server->folder, NULL };
	pid_t pid;

	pg_server_stop(server, SIGQUIT);
	if (!strstr(server->folder, "/parlance-unit-pg-"))
		return;
	pid = fork();
	if (pid == 0) {
		execvp(rm, argv);
		_exit(127);
	}
	if (pid > 0)
		wait_for(pid);
	server->folder[0] = '\0';
}

const char *pg_server_sql(const struct pg_server *server, const char *database, const char *sql)
{
	static char value[4096];
	PGconn *pg = connect_to(server, database);
	PGresult *result = PQexec(pg, sql);
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		die("%s: %s", sql, PQerrorMessage(pg));
	snprintf(value, sizeof(value), "%s",
		 PQntuples(result) > 0 && PQnfields(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
	PQfinish(pg);
	return value;
}

void pg_server_file(const struct pg_server *server, const char *database, const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t size = 0;

	if (!f || getdelim(&text, &size, '\0', f) < 0 || fclose(f))
		die("%s: %s", path, strerror(errno));
	(void)pg_server_sql(server, database, text);
	free(text);
}
