/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* A process that accepts, and one for each connection; memory is shared with the test. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "http_service.h"
#include "base/check.h"

#define LOOK_MS 5 /* how often a connection looks whether its mode has changed */

struct shared_case {
	int status;
	char text[256];
	char body[1024];
};

struct service_shared {
	struct shared_case cases[SERVICE_CASES_MAX];
	size_t n_cases;
	sem_t lock;
	atomic_int mode;
	atomic_uint requests;
	int status;
	char headers[1024];
	char body[SERVICE_TEXT_MAX];
	char request[SERVICE_TEXT_MAX];
};

static void send_all(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			_exit(0);
		p += n;
		len -= (size_t)n;
	}
}

/* Until the mode is another, or the client is gone. */
static void wait_while(struct service_shared *s, int fd, int mode)
{
	struct pollfd p = { .fd = fd, .events = POLLRDHUP };

	while (atomic_load(&s->mode) == mode) {
		if (poll(&p, 1, LOOK_MS) > 0)
			_exit(0);
	}
}

/* The answer to the request; the lock is held. */
static int choose(const struct service_shared *s, const char *request, char *body, size_t size)
{
	for (size_t i = 0; i < s->n_cases; i++) {
		if (strstr(request, s->cases[i].text)) {
			(void)snprintf(body, size, "%s", s->cases[i].body);
			return s->cases[i].status;
		}
	}
	(void)snprintf(body, size, "%s", s->body);
	return s->status;
}

static void answer(struct service_shared *s, int fd, const char *request)
{
	static char body[SERVICE_TEXT_MAX];
	char head[2048];
	int mode = atomic_load(&s->mode);
	size_t len;
	size_t half;
	int status;

	if (mode == SERVICE_HANG) {
		wait_while(s, fd, mode);
		mode = atomic_load(&s->mode);
	}
	while (sem_wait(&s->lock) < 0 && errno == EINTR)
		;
	status = choose(s, request, body, sizeof(body));
	(void)snprintf(head, sizeof(head),
		       "HTTP/1.1 %d Mock\r\n%sContent-Length: %zu\r\n\r\n", status, s->headers,
		       mode == SERVICE_HUGE ? (size_t)1 << 30 : strlen(body));
	(void)sem_post(&s->lock);
	len = strlen(body);
	half = mode == SERVICE_CUT || mode == SERVICE_STALL ? len / 2 : len;
	if (mode == SERVICE_CLOSE)
		_exit(0);
	if (mode == SERVICE_GARBAGE) {
		send_all(fd, "SSH-2.0-Mock\r\n\r\n", 16);
		_exit(0);
	}
	send_all(fd, head, strlen(head));
	send_all(fd, body, half);
	if (mode == SERVICE_CUT)
		_exit(0);
	if (mode == SERVICE_STALL) {
		wait_while(s, fd, mode);
		send_all(fd, body + half, len - half);
	}
	memset(body, 'x', sizeof(body));
	while (mode == SERVICE_HUGE)
		send_all(fd, body, sizeof(body));
}

/* One request after the other; none has more than one packet's worth before the body. */
static void serve(struct service_shared *s, int fd)
{
	static char text[SERVICE_TEXT_MAX];
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);
		const char *end;
		const char *at;
		size_t want;

		if (n <= 0)
			_exit(0);
		len += (size_t)n;
		text[len] = '\0';
		end = strstr(text, "\r\n\r\n");
		if (!end)
			continue;
		at = strcasestr(text, "\r\ncontent-length:");
		want = (size_t)(end + 4 - text) + (at && at < end ? strtoul(at + 17, NULL, 10) : 0);
		if (len < want)
			continue;
		while (sem_wait(&s->lock) < 0 && errno == EINTR)
			;
		memcpy(s->request, text, len + 1);
		(void)sem_post(&s->lock);
		(void)atomic_fetch_add(&s->requests, 1);
		answer(s, fd, text);
		len = 0;
	}
}

static void run(struct service_shared *s, int listener)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0)
			continue;
		if (fork() == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			close(listener);
			serve(s, fd);
		}
		close(fd);
	}
}

void service_up(struct service *service)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)service->port) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	CHECK(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) == 0);
	CHECK(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0 && listen(fd, 512) == 0);
	CHECK(getsockname(fd, (struct sockaddr *)&in, &len) == 0);
	service->port = ntohs(in.sin_port);
	service->pid = fork();
	CHECK(service->pid >= 0);
	if (service->pid == 0)
		run(service->shared, fd);
	close(fd);
}

/* The connections' processes end with the one that has accepted them. */
void service_down(struct service *service)
{
	CHECK(kill(service->pid, SIGKILL) == 0);
	CHECK(waitpid(service->pid, NULL, 0) == service->pid);
}

void service_start(struct service *service)
{
	void *p = mmap(NULL, sizeof(struct service_shared), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	service->shared = p;
	service->port = 0;
	CHECK(sem_init(&service->shared->lock, 1, 1) == 0);
	service_set(service, SERVICE_ANSWER, 404, "", "");
	service_up(service);
	(void)snprintf(service->url, sizeof(service->url), "http://127.0.0.1:%d", service->port);
}

void service_stop(struct service *service)
{
	service_down(service);
	(void)sem_destroy(&service->shared->lock);
	CHECK(munmap(service->shared, sizeof(struct service_shared)) == 0);
	service->shared = NULL;
}

void service_set_cases(struct service *service, const struct service_case *cases, size_t n)
{
	struct service_shared *s = service->shared;

	CHECK(n <= SERVICE_CASES_MAX);
	while (sem_wait(&s->lock) < 0 && errno == EINTR)
		;
	for (size_t i = 0; i < n; i++) {
		struct shared_case *c = &s->cases[i];

		CHECK(strlen(cases[i].text) < sizeof(c->text) &&
		      strlen(cases[i].body) < sizeof(c->body));
		c->status = cases[i].status;
		(void)snprintf(c->text, sizeof(c->text), "%s", cases[i].text);
		(void)snprintf(c->body, sizeof(c->body), "%s", cases[i].body);
	}
	s->n_cases = n;
	(void)sem_post(&s->lock);
}

void service_set(struct service *service, enum service_mode mode, int status, const char *headers,
		 const char *body)
{
	struct service_shared *s = service->shared;

	while (sem_wait(&s->lock) < 0 && errno == EINTR)
		;
	s->n_cases = 0;
	s->status = status;
	CHECK(strlen(headers) < sizeof(s->headers) && strlen(body) < sizeof(s->body));
	(void)snprintf(s->headers, sizeof(s->headers), "%s", headers);
	(void)snprintf(s->body, sizeof(s->body), "%s", body);
	(void)sem_post(&s->lock);
	atomic_store(&s->mode, (int)mode);
}

void service_mode(struct service *service, enum service_mode mode)
{
	atomic_store(&service->shared->mode, (int)mode);
}

unsigned service_requests(const struct service *service)
{
	return atomic_load(&service->shared->requests);
}

const char *service_request(const struct service *service)
{
	return service->shared->request;
}
