/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the tests of the HTTP client share: a server whose connections the test reads and writes by
 * hand (so that it can split, stall and cut), calls that record what the client reports, and
 * waiting for events with a deadline. Included by one file of a program.
 */
#ifndef PARLANCE_TESTS_UNIT_HTTP_CLIENT_FIXTURE_H
#define PARLANCE_TESTS_UNIT_HTTP_CLIENT_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "loop_fixture.h"

#include "base/strbuf.h"
#include "loop/http_client.h"
#include "loop/io.h"

#define MAX_PEERS 64
#define GUARD_MS 20000
#define MAX_TEXT ((size_t)1 << 26)

/* A connection as its server sees it. */
struct peer {
	int fd;
	struct io *io;
	struct strbuf in;
	bool gone; /* the client has closed it */
};

/* A request as its caller sees it. */
struct call {
	struct http_request *request;
	int n_heads;
	int status;
	struct strbuf headers; /* "name=value|" each */
	struct strbuf body;
	int n_pieces;
	int n_done;
	enum http_result result;
	char detail[512];
	void (*in_head)(struct call *call);
	void (*in_data)(struct call *call);
	void (*in_done)(struct call *call);
	struct call *other;
};

static struct http_client *client;
static int listener = -1;
static struct io *listener_io;
static struct peer peers[MAX_PEERS];
static size_t n_peers;
static char base_url[64];
static int n_open; /* calls that have begun and not ended */
static struct timer guard;
static bool guarded;

static const struct http_client_config default_config = {
	.connect_timeout_ms = GUARD_MS * 2,
	.first_byte_timeout_ms = GUARD_MS * 2,
	.idle_timeout_ms = GUARD_MS * 2,
	.total_timeout_ms = GUARD_MS * 2,
};

/* Waiting */

static inline void on_guard(struct timer *timer)
{
	(void)timer;
	guarded = true;
	loop_stop(loop);
}

static inline void guard_start(void)
{
	guarded = false;
	loop_timer_start(loop, &guard, GUARD_MS, on_guard);
}

/* Turns the loop, which every event of ours stops, until cond holds. */
#define wait_until(cond)                     \
	do {                                 \
		guard_start();               \
		while (!(cond)) {            \
			run();               \
			assert_false(guarded); \
		}                            \
		timer_stop(&guard);          \
	} while (0)

/* The server */

static inline void on_peer(struct io *io, unsigned int what, void *arg)
{
	struct peer *p = arg;
	char buf[65536];
	ssize_t n;

	(void)what;
	while ((n = read(p->fd, buf, sizeof(buf))) > 0)
		strbuf_append(&p->in, buf, (size_t)n);
	if (n == 0 || errno != EAGAIN) {
		p->gone = true;
		io_set(io, 0);
	}
	end_run();
}

static inline void on_listener(struct io *io, unsigned int what, void *arg)
{
	struct peer *p = &peers[n_peers];

	(void)io;
	(void)what;
	(void)arg;
	assert_true(n_peers < MAX_PEERS);
	p->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(p->fd >= 0);
	p->gone = false;
	strbuf_init(&p->in, MAX_TEXT);
	assert_int_equal(io_open(&p->io, loop, p->fd, IO_READ, on_peer, p), 0);
	n_peers++;
	end_run();
}

static inline void peer_close(struct peer *p)
{
	io_close(&p->io);
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

/* With a reset instead of an orderly end. */
static inline void peer_reset(struct peer *p)
{
	struct linger linger = { .l_onoff = 1 };

	assert_int_equal(setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	peer_close(p);
}

static inline void say_n(size_t peer, const char *p, size_t len)
{
	assert_int_equal(send(peers[peer].fd, p, len, MSG_NOSIGNAL), (ssize_t)len);
}

static inline void say(size_t peer, const char *text)
{
	say_n(peer, text, strlen(text));
}

/* The length of the first request that has come completely; 0: none. */
static inline size_t request_len(size_t peer)
{
	const char *text;
	const char *end_of;
	const char *length;
	size_t len;

	if (peer >= n_peers)
		return 0;
	text = strbuf_cstr(&peers[peer].in);
	end_of = strstr(text, "\r\n\r\n");
	if (!end_of)
		return 0;
	len = (size_t)(end_of - text) + 4;
	length = strcasestr(text, "\r\nContent-Length: ");
	if (length && length < end_of)
		len += strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
	return peers[peer].in.len >= len ? len : 0;
}

static inline void wait_request(size_t peer)
{
	wait_until(request_len(peer));
}

/* Which connection has a request; MAX_PEERS: none. */
static inline size_t asked(void)
{
	for (size_t i = 0; i < n_peers; i++)
		if (request_len(i))
			return i;
	return MAX_PEERS;
}

/* Answers the request, which is forgotten. */
static inline void answer(size_t peer, const char *text)
{
	wait_request(peer);
	strbuf_reset(&peers[peer].in);
	say(peer, text);
}

static inline int listen_on(int backlog, uint16_t *port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	*port = ntohs(sin.sin_port);
	return fd;
}

/* The calls */

static inline void on_head(void *arg, int status, const struct http_header *headers, size_t n)
{
	struct call *c = arg;

	assert_int_equal(c->n_done, 0);
	c->n_heads++;
	c->status = status;
	for (size_t i = 0; i < n; i++) {
		strbuf_append_slice(&c->headers, headers[i].name);
		strbuf_append_char(&c->headers, '=');
		strbuf_append_slice(&c->headers, headers[i].value);
		strbuf_append_char(&c->headers, '|');
	}
	if (c->in_head)
		c->in_head(c);
	end_run();
}

static inline void on_data(void *arg, struct slice piece)
{
	struct call *c = arg;

	assert_int_equal(c->n_heads, 1);
	assert_int_equal(c->n_done, 0);
	assert_true(piece.len > 0);
	c->n_pieces++;
	strbuf_append_slice(&c->body, piece);
	if (c->in_data)
		c->in_data(c);
	end_run();
}

static inline void on_done(void *arg, enum http_result result, const char *detail)
{
	struct call *c = arg;

	c->n_done++;
	n_open--;
	c->result = result;
	c->request = NULL;
	assert_true((size_t)snprintf(c->detail, sizeof(c->detail), "%s", detail) <
		    sizeof(c->detail));
	if (c->in_done)
		c->in_done(c);
	end_run();
}

static const struct http_request_ops call_ops = { on_head, on_data, on_done };

static inline void call_init(struct call *c)
{
	*c = (struct call){ 0 };
	strbuf_init(&c->headers, MAX_TEXT);
	strbuf_init(&c->body, MAX_TEXT);
}

static inline void call_fini(struct call *c)
{
	assert_int_equal(c->n_done, 1);
	strbuf_fini(&c->headers);
	strbuf_fini(&c->body);
}

static inline void call_start(struct call *c, const struct http_request_config *config)
{
	assert_int_equal(http_request_start(&c->request, client, config, &call_ops, c), 0);
	n_open++;
}

static inline void get(struct call *c)
{
	call_start(c, &(struct http_request_config){ .method = "GET", .url = base_url });
}

static inline void wait_done(struct call *c, enum http_result result)
{
	wait_until(c->n_done);
	if (c->result != result)
		print_error("detail: %s\n", c->detail);
	assert_int_equal(c->result, result);
}

/* Set-up */

static inline void client_open(const struct http_client_config *config)
{
	http_client_free(&client);
	assert_null(client);
	assert_int_equal(http_client_new(&client, loop, config), 0);
}

static inline int http_setup(void **state)
{
	uint16_t port;

	/* Not to be looked at. */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	setenv("no_proxy", "*", 1);
	if (loop_setup(state))
		return -1;
	n_open = 0;
	n_peers = 0;
	guard = (struct timer){ 0 };
	listener = listen_on(64, &port);
	snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%u/path?q=1", port);
	if (io_open(&listener_io, loop, listener, IO_READ, on_listener, NULL))
		return -1;
	return http_client_new(&client, loop, &default_config);
}

static inline int http_teardown(void **state)
{
	/* An assertion has left requests, with which a client cannot be freed. */
	if (in_run || n_open)
		return -1;
	timer_stop(&guard);
	http_client_free(&client);
	for (size_t i = 0; i < n_peers; i++) {
		peer_close(&peers[i]);
		strbuf_fini(&peers[i].in);
	}
	io_close(&listener_io);
	if (listener >= 0)
		close(listener);
	return loop_teardown(state);
}

#define http_test(fn) cmocka_unit_test_setup_teardown(fn, http_setup, http_teardown)

#endif
