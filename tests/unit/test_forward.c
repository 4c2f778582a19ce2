/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Requests that are passed on, where the other instance, the kernel or the owner of the net does
 * what a well-meaning server does not: the test is both the client and the other instance. How it
 * looks with real clients is tests/integration/forward.test.mjs.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "loop_fixture.h"

#include "base/clock.h"
#include "base/err.h"
#include "net/net.h"
#include "wire/forward_auth.h"

#define PATIENCE_MS 10000
#define SID "AAAAAAAAAAAAAAAAAAAAAA.2"
#define TARGET "/x/?EIO=4&transport=polling&sid=" SID
#define GET "GET " TARGET " HTTP/1.1\r\nHost: test\r\n\r\n"
#define UNKNOWN "{\"code\":1,\"message\":\"Session ID unknown\"}"

static struct net_config config;
static struct net *net;
static struct timer step;
static int owner = -1; /* the other instance listens */
static int client = -1;
static char heard[8192]; /* by the client */
static size_t n_heard;

static const struct session_ops ops; /* there are no sessions here */

static void on_step(struct timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

/* Runs the loop for a moment. */
static void moment(void)
{
	loop_timer_start(loop, &step, 5, on_step);
	run();
}

static int listener(int backlog, uint16_t *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*port = ntohs(in.sin_port);
	return fd;
}

static int connect_to(int port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

static void set_peer(uint16_t port)
{
	char address[32];
	struct net_peer peer = { .number = 2, .address = address };

	(void)snprintf(address, sizeof(address), "127.0.0.1:%u", port);
	net_set_peers(net, &peer, 1);
}

static int setup(void **state)
{
	struct net_listener_config l = { .name = "main",
					 .address = "127.0.0.1:0",
					 .tls_cert = "",
					 .tls_key = "" };
	struct strbuf err;

	if (loop_setup(state))
		return -1;
	config = (struct net_config){ .path = "/x/",
				      .ping_interval_ms = 20000,
				      .ping_timeout_ms = 20000,
				      .upgrade_timeout_ms = 10000,
				      .max_payload_bytes = 1000000,
				      .allow_no_origin = true,
				      .max_connections = 100,
				      .header_timeout_ms = 10000,
				      .body_timeout_ms = 10000,
				      .idle_timeout_ms = 10000,
				      .max_header_bytes = 8192,
				      .queue_high_bytes = 100000,
				      .queue_soft_bytes = 200000,
				      .queue_soft_seconds = 10,
				      .queue_hard_bytes = 300000 };
	strbuf_init(&err, 1024);
	if (net_new(&net, loop, &config, &ops, NULL, &err) || net_listen(net, &l, &err))
		return -1;
	strbuf_fini(&err);
	net_set_instance(net, 1, slice_str("secret"));
	n_heard = 0;
	return 0;
}

static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int teardown(void **state)
{
	timer_stop(&step);
	drop(&owner);
	drop(&client);
	if (!in_run)
		net_free(&net);
	return loop_teardown(state);
}

static struct net_stats stats(void)
{
	struct net_stats s;

	net_stats(net, &s);
	return s;
}

static void ask(const char *text)
{
	client = connect_to(net_listener_port(net, 0));
	assert_int_equal(send(client, text, strlen(text), 0), strlen(text));
}

/* The connection that the net makes to the other instance, when its head is there. */
static int accepted(void)
{
	uint64_t end = clock_mono_ms() + PATIENCE_MS;
	int fd = -1;
	char c;

	while ((fd = accept(owner, NULL, NULL)) < 0) {
		assert_true(clock_mono_ms() < end);
		moment();
	}
	while (recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
		assert_true(clock_mono_ms() < end);
		moment();
	}
	return fd;
}

/* All that the client hears until the end of its connection. */
static void hear(void)
{
	uint64_t end = clock_mono_ms() + PATIENCE_MS;

	for (;;) {
		ssize_t n = recv(client, heard + n_heard, sizeof(heard) - 1 - n_heard,
				 MSG_DONTWAIT);

		if (n == 0)
			break;
		if (n > 0) {
			n_heard += (size_t)n;
		} else {
			assert_int_equal(errno, EAGAIN);
			assert_true(clock_mono_ms() < end);
			moment();
		}
	}
	heard[n_heard] = '\0';
}

static void assert_unknown(void)
{
	assert_non_null(strstr(heard, "HTTP/1.1 400 "));
	assert_non_null(strstr(heard, "Connection: close\r\n"));
	assert_non_null(strstr(heard, UNKNOWN));
}

static void assert_none_left(void)
{
	assert_int_equal(stats().forwarding, 0);
}

static void answer(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* A host that is gone says nothing: here, one whose queue of connections is full. */
static void test_no_connection(void **state)
{
	uint64_t begun;
	uint64_t took_ms;
	uint16_t port;
	int filler;

	(void)state;
	owner = listener(0, &port);
	filler = connect_to(port);
	set_peer(port);
	ask(GET);
	begun = clock_mono_ms();
	hear();
	took_ms = clock_mono_ms() - begun;
	assert_unknown();
	assert_true(took_ms >= 1900 && took_ms < PATIENCE_MS);
	assert_int_equal(stats().forward_failed, 1);
	assert_none_left();
	close(filler);
}

static void test_refused_connection(void **state)
{
	uint16_t port;

	(void)state;
	owner = listener(1, &port);
	drop(&owner);
	set_peer(port);
	ask(GET);
	hear();
	assert_unknown();
	assert_int_equal(stats().forward_failed, 1);
	assert_none_left();
}

static void test_no_descriptor(void **state)
{
	struct rlimit few = { 3, 0 };
	struct rlimit limit;
	uint16_t port;

	(void)state;
	owner = listener(1, &port);
	set_peer(port);
	client = connect_to(net_listener_port(net, 0));
	while (!stats().connections)
		moment();
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few.rlim_max = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(send(client, GET, strlen(GET), 0), strlen(GET));
	hear();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_unknown();
	assert_none_left();
}

/* Nothing of the peer is needed once the request is on its way. */
static void test_peers_change(void **state)
{
	uint16_t port;
	int fd;

	(void)state;
	owner = listener(1, &port);
	set_peer(port);
	ask(GET);
	fd = accepted();
	net_set_peers(net, NULL, 0);
	net_set_instance(net, 0, slice_of(NULL, 0));
	answer(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	close(fd);
	hear();
	assert_string_equal(heard, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	assert_none_left();
	/* Nobody knows the other instance any more. */
	drop(&client);
	n_heard = 0;
	ask("GET " TARGET " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
	hear();
	assert_unknown();
	assert_int_equal(stats().forwarded, 1);
}

/* What is missing: a number, a secret, the peer. */
static void test_not_passed_on(void **state)
{
	static const struct {
		uint64_t number;
		const char *secret;
	} cases[] = { { 0, "secret" }, { 1, "" }, { 2, "secret" } };
	uint16_t port;

	(void)state;
	owner = listener(1, &port);
	set_peer(port);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		net_set_instance(net, cases[i].number, slice_str(cases[i].secret));
		n_heard = 0;
		ask("GET " TARGET " HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
		hear();
		assert_unknown();
		drop(&client);
	}
	assert_int_equal(stats().forwarded, 0);
}

/* What a client has behind its request is not the owner's. */
static void test_one_request(void **state)
{
	char got[4096];
	ssize_t n;
	uint16_t port;
	int fd;

	(void)state;
	owner = listener(1, &port);
	set_peer(port);
	ask("POST " TARGET " HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\n4x" GET GET);
	fd = accepted();
	for (int i = 0; i < 5; i++)
		moment();
	n = recv(fd, got, sizeof(got) - 1, 0);
	assert_true(n > 0);
	got[n] = '\0';
	assert_string_equal(strstr(got, "\r\n\r\n"), "\r\n\r\n4x");
	answer(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	close(fd);
	hear();
	assert_string_equal(heard, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

static char piece[65536];

/* Sends until nothing more is taken for a while, at most `most`; returns how much was. A reader
 * (-1: none) is read as well. */
static size_t send_until_full(int fd, size_t most, int reader)
{
	static char dropped[65536];
	uint64_t end = clock_mono_ms() + PATIENCE_MS;
	size_t sent = 0;

	for (int idle = 0; sent < most && idle < 20;) {
		ssize_t n = send(fd, piece, sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);

		assert_true(n > 0 || errno == EAGAIN);
		assert_true(clock_mono_ms() < end);
		sent += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		while (reader >= 0 && recv(reader, dropped, sizeof(dropped), MSG_DONTWAIT) > 0)
			;
		if (n <= 0 || reader >= 0)
			turn();
		if (idle)
			moment();
	}
	return sent;
}

/* Some megabytes of the kernel's are full, then the client has to wait. */
static void test_owner_does_not_read(void **state)
{
	uint16_t port;
	int fd;

	(void)state;
	config.max_payload_bytes = 100000000;
	owner = listener(1, &port);
	set_peer(port);
	ask("POST " TARGET " HTTP/1.1\r\nHost: test\r\nContent-Length: 90000000\r\n\r\n");
	fd = accepted();
	assert_true(send_until_full(client, 80000000, -1) < 40000000);
	close(fd);
}

/* What the client does not take stays with the owner, also when the client was fast before. */
static void test_client_does_not_read(void **state)
{
	uint16_t port;
	int fd;

	(void)state;
	owner = listener(1, &port);
	set_peer(port);
	ask(GET);
	fd = accepted();
	assert_int_equal(setsockopt(client, SOL_SOCKET, SO_RCVBUF, &(int){ 65536 }, sizeof(int)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ 65536 }, sizeof(int)), 0);
	assert_true(send_until_full(fd, 20000000, client) >= 20000000);
	assert_true(send_until_full(fd, 20000000, -1) < 2000000);
	close(fd);
}

/* The owner answers before it has read the body, and then resets the connection. */
static void test_early_answer(void **state)
{
	static const char early[] = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n"
				    "Connection: close\r\n\r\nno";
	uint64_t end = clock_mono_ms() + 2 * PATIENCE_MS;
	uint16_t port;
	int fd;

	(void)state;
	config.max_payload_bytes = 100000000;
	owner = listener(1, &port);
	set_peer(port);
	ask("POST " TARGET " HTTP/1.1\r\nHost: test\r\nContent-Length: 90000000\r\n\r\n");
	fd = accepted();
	assert_true(send_until_full(client, 80000000, -1) < 40000000);
	answer(fd, early);
	close(fd);
	for (;;) {
		ssize_t n = recv(client, heard + n_heard, sizeof(heard) - 1 - n_heard,
				 MSG_DONTWAIT);

		if (n > 0)
			n_heard += (size_t)n;
		else if (n == 0 || errno != EAGAIN)
			break;
		assert_true(clock_mono_ms() < end);
		moment();
	}
	heard[n_heard] = '\0';
	assert_string_equal(heard, early);
	assert_none_left();
}

/* Ended in the middle: while it connects, while the answer is awaited, while it comes. */
static void test_freed_meanwhile(void **state)
{
	uint16_t port;
	int fd;

	(void)state;
	owner = listener(8, &port);
	set_peer(port);
	ask(GET);
	fd = accepted();
	answer(fd, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
	moment();
	close(client);
	ask(GET);
	while (stats().forwarded < 2)
		moment();
	net_free(&net);
	hear();
	close(fd);
}

static void test_state_of_stats(void **state)
{
	uint16_t port;
	int fd;

	(void)state;
	owner = listener(1, &port);
	set_peer(port);
	assert_int_equal(stats().forwarding, 0);
	ask(GET);
	fd = accepted();
	assert_int_equal(stats().forwarding, 1);
	assert_int_equal(stats().forwarded, 1);
	assert_int_equal(stats().connections, 1);
	assert_int_equal(stats().sessions, 0);
	close(fd);
	hear();
	assert_unknown();
	assert_int_equal(stats().forward_failed, 1);
	assert_none_left();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_descriptor, setup, teardown),
		cmocka_unit_test_setup_teardown(test_peers_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_passed_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_owner_does_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_does_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_early_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state_of_stats, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
