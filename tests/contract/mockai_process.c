/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * mockai as a process.
 */
#include "mockai_process.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t process;
static int port;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void run(const char *argv0, const int out[2])
{
	const char *path = getenv("MOCKAI");
	const char *slash = strrchr(argv0, '/');
	char beside[4096];

	snprintf(beside, sizeof(beside), "%.*s../tools/mockai",
		 slash ? (int)(slash - argv0 + 1) : 0, argv0);
	if (!path)
		path = beside;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(out[1], STDOUT_FILENO);
	close(out[0]);
	close(out[1]);
	execl(path, "mockai", "-p", "0", (char *)NULL);
	perror(path);
	_exit(1);
}

int mockai_start(const char *argv0)
{
	int out[2];
	FILE *file;

	if (pipe(out))
		die("pipe");
	process = fork();
	if (process < 0)
		die("fork");
	if (process == 0)
		run(argv0, out);
	close(out[1]);
	file = fdopen(out[0], "r");
	if (!file || fscanf(file, "%d", &port) != 1) {
		fprintf(stderr, "mockai did not start\n");
		exit(1);
	}
	fclose(file);
	return port;
}

void mockai_stop(void)
{
	kill(process, SIGTERM);
	waitpid(process, NULL, 0);
}

long mockai_stat(const char *name)
{
	static const char request[] = "GET /stats HTTP/1.1\r\nConnection: close\r\n\r\n";
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	char answer[4096] = "";
	char key[40];
	size_t len = 0;
	ssize_t n;
	char *at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    write(fd, request, sizeof(request) - 1) != (ssize_t)sizeof(request) - 1)
		die("mockai's statistics");
	while (len < sizeof(answer) - 1 &&
	       (n = read(fd, answer + len, sizeof(answer) - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	snprintf(key, sizeof(key), "\"%s\":", name);
	at = strstr(answer, key);
	if (!at)
		die("mockai's statistics");
	return strtol(at + strlen(key), NULL, 10);
}
