/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The HTTP client on bad days: requests that are cancelled at each stage, deadlines, connections
 * that are refused, cut or reset, answers that are garbage or too big, malformed requests.
 */
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#include "http_client_fixture.h"

#include "base/err.h"

#define HEAD_10 "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
#define HEAD_CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* A resolver that answers for "slow.test" when it is let go, and knows no other name. It takes the
 * place of libc's in libcurl. */

static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t names_cond = PTHREAD_COND_INITIALIZER;
static int n_asked;
static int n_answered;
static bool let_go;

__attribute__((visibility("default"))) int getaddrinfo(const char *restrict node,
						       const char *restrict service,
						       const struct addrinfo *restrict hints,
						       struct addrinfo **restrict res)
{
	(void)service;
	(void)hints;
	(void)res;
	if (node && strcmp(node, "slow.test") == 0) {
		pthread_mutex_lock(&names_lock);
		n_asked++;
		pthread_cond_broadcast(&names_cond);
		while (!let_go)
			pthread_cond_wait(&names_cond, &names_lock);
		n_answered++;
		pthread_cond_broadcast(&names_cond);
		pthread_mutex_unlock(&names_lock);
	}
	return EAI_NONAME;
}

static void names_wait(const int *counter, int n)
{
	struct timespec until;

	assert_int_equal(clock_gettime(CLOCK_REALTIME, &until), 0);
	until.tv_sec += GUARD_MS / 1000;
	pthread_mutex_lock(&names_lock);
	while (*counter < n)
		assert_int_equal(pthread_cond_timedwait(&names_cond, &names_lock, &until), 0);
	pthread_mutex_unlock(&names_lock);
}

static void names_let_go(bool yes)
{
	pthread_mutex_lock(&names_lock);
	let_go = yes;
	if (!yes)
		n_asked = n_answered = 0;
	pthread_cond_broadcast(&names_cond);
	pthread_mutex_unlock(&names_lock);
}

/* Starts a GET with other timeouts, or elsewhere. */
static void get_with(struct call *c, struct http_request_config config)
{
	call_init(c);
	config.method = "GET";
	if (!config.url)
		config.url = base_url;
	call_start(c, &config);
}

static void end_call(struct call *c, enum http_result result, const char *detail)
{
	wait_done(c, result);
	if (!strstr(c->detail, detail))
		fail_msg("detail is: %s", c->detail);
	call_fini(c);
}

/* Cancelling */

static void cancel(struct call *c)
{
	http_request_cancel(c->request);
	http_request_cancel(c->request);
}

static void cancel_other(struct call *c)
{
	if (c->other->request)
		http_request_cancel(c->other->request);
}

/* done comes, from the loop and at the end of this turn. */
static void check_canceled(struct call *c)
{
	assert_int_equal(c->n_done, 0);
	turn();
	assert_int_equal(c->n_done, 1);
	assert_int_equal(c->result, HTTP_CANCELED);
	call_fini(c);
}

static void test_cancel_at_once(void **state)
{
	struct call c;

	(void)state;
	get_with(&c, (struct http_request_config){ 0 });
	cancel(&c);
	http_request_pause(c.request);
	http_request_resume(c.request);
	check_canceled(&c);
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(n_peers, 0);
}

static void get_slow(struct call *c, uint32_t connect_timeout_ms)
{
	names_let_go(false);
	get_with(c, (struct http_request_config){ .url = "http://slow.test/",
						  .connect_timeout_ms = connect_timeout_ms });
}

/* Nothing waits for the thread that looks the name up: it is let go only afterwards. */
static void test_cancel_resolving(void **state)
{
	struct call c;

	(void)state;
	get_slow(&c, 0);
	while (!n_asked)
		turn();
	cancel(&c);
	check_canceled(&c);
	get_slow(&c, 50);
	while (!n_asked)
		turn();
	end_call(&c, HTTP_TIMEOUT, "not connected within 50 ms");
	http_client_free(&client);
	assert_int_equal(n_answered, 0);
	names_let_go(true);
	names_wait(&n_answered, 1);
}

/* A listener that takes no more connections: the kernel drops what would be one too many. */
static void test_connecting(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	char url[64];
	uint16_t port;
	int full = listen_on(0, &port);
	int fillers[2];
	struct call c;

	(void)state;
	sin.sin_port = htons(port);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < 2; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_int_equal(connect(fillers[i], (struct sockaddr *)&sin, sizeof(sin)), -1);
		assert_int_equal(errno, EINPROGRESS);
	}
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
	get_with(&c, (struct http_request_config){ .url = url });
	/* Its first timer, and then the socket. */
	for (int i = 0; i < 50; i++)
		turn();
	cancel(&c);
	check_canceled(&c);
	get_with(&c, (struct http_request_config){ .url = url, .connect_timeout_ms = 50 });
	end_call(&c, HTTP_TIMEOUT, "not connected within 50 ms");
	close(fillers[0]);
	close(fillers[1]);
	close(full);
}

/* Connected, but TLS does not come about: the server is silent, or speaks something else. */
static void test_tls(void **state)
{
	char url[80];
	struct call c;

	(void)state;
	snprintf(url, sizeof(url), "https%s", base_url + strlen("http"));
	get_with(&c, (struct http_request_config){ .url = url });
	wait_until(n_peers == 1 && peers[0].in.len);
	cancel(&c);
	check_canceled(&c);
	wait_until(peers[0].gone);

	get_with(&c, (struct http_request_config){ .url = url, .connect_timeout_ms = 50 });
	end_call(&c, HTTP_TIMEOUT, "not connected within 50 ms");
	wait_until(n_peers == 2 && peers[1].gone);

	get_with(&c, (struct http_request_config){ .url = url });
	wait_until(n_peers == 3 && peers[2].in.len);
	say(2, OK_HELLO);
	end_call(&c, HTTP_CONNECT, "");

	get_with(&c, (struct http_request_config){ .url = url });
	wait_until(n_peers == 4 && peers[3].in.len);
	peer_reset(&peers[3]);
	end_call(&c, HTTP_CONNECT, "");
}

static void check_closed(const struct peer *p)
{
	struct pollfd closed = { .fd = p->fd, .events = POLLRDHUP };

	assert_int_equal(poll(&closed, 1, GUARD_MS), 1);
}

/* Before the head, in the body, paused in the body: from outside. The connection is closed. */
static void test_cancel_outside(void **state)
{
	struct call c;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		get_with(&c, (struct http_request_config){ 0 });
		wait_request(i);
		if (i) {
			say(i, HEAD_10 "1234");
			wait_until(c.n_pieces);
		}
		if (i == 2) {
			http_request_pause(c.request);
			say(i, "5678");
			turn();
			turn();
		}
		cancel(&c);
		/* The loop has no part in it. */
		check_closed(&peers[i]);
		/* What comes now is not delivered. */
		(void)send(peers[i].fd, "90", 2, MSG_NOSIGNAL);
		assert_int_equal(c.body.len, i ? 4 : 0);
		check_canceled(&c);
		wait_until(peers[i].gone);
	}
	assert_int_equal(n_peers, 3);
}

static void free_client(struct call *c)
{
	(void)c;
	http_client_free(&client);
}

static void check_cancel_inside(size_t peer, void (*in_head)(struct call *c),
				void (*in_data)(struct call *c), const char *text)
{
	struct call c;

	get_with(&c, (struct http_request_config){ 0 });
	c.in_head = in_head;
	c.in_data = in_data;
	c.in_done = peer == 3 ? free_client : NULL;
	answer(peer, text);
	wait_until(c.n_done);
	assert_int_equal(c.result, HTTP_CANCELED);
	assert_int_equal(c.n_pieces, in_data ? 1 : 0);
	call_fini(&c);
	wait_until(peers[peer].gone);
}

static void test_cancel_inside(void **state)
{
	(void)state;
	check_cancel_inside(0, cancel, NULL, HEAD_10);
	check_cancel_inside(1, cancel, NULL, OK_HELLO);
	check_cancel_inside(2, NULL, cancel, HEAD_CHUNKED "1\r\na\r\n");
	check_cancel_inside(3, NULL, cancel, HEAD_CHUNKED "1\r\na\r\n1\r\nb\r\n0\r\n\r\n");
	assert_int_equal(n_peers, 4);
}

/* Two requests of which the first that gets there cancels the other, while both have their answers
 * in the same turn: in its data, when libcurl is in the middle of things, or in its done, when the
 * other's result is known already. */
static void check_cancel_other(bool in_done)
{
	struct call a;
	struct call b;
	struct call *first;
	size_t n = n_peers;

	get_with(&a, (struct http_request_config){ 0 });
	get_with(&b, (struct http_request_config){ 0 });
	a.other = &b;
	b.other = &a;
	if (in_done)
		a.in_done = b.in_done = cancel_other;
	else
		a.in_data = b.in_data = cancel_other;
	wait_request(n);
	wait_request(n + 1);
	say(n, HEAD_10);
	say(n + 1, HEAD_10);
	wait_until(a.n_heads && b.n_heads);
	say(n, "1234567890");
	say(n + 1, "1234567890");
	wait_until(a.n_done && b.n_done);
	first = a.result == HTTP_DONE ? &a : &b;
	assert_int_equal(first->result, HTTP_DONE);
	assert_int_equal(first->other->result, HTTP_CANCELED);
	assert_int_equal(first->other->n_pieces, in_done ? 1 : 0);
	call_fini(&a);
	call_fini(&b);
}

static void test_cancel_other(void **state)
{
	(void)state;
	check_cancel_other(false);
	wait_until(peers[0].gone || peers[1].gone);
	assert_false(peers[0].gone && peers[1].gone);
	client_open(&default_config);
	check_cancel_other(true);
}

/* While it is resumed: libcurl delivers what it holds from within our call. */
static void test_cancel_held(void **state)
{
	struct call c;

	(void)state;
	get_with(&c, (struct http_request_config){ 0 });
	http_request_pause(c.request);
	c.in_data = cancel;
	answer(0, HEAD_CHUNKED "1\r\na\r\n1\r\nb\r\n");
	wait_until(c.n_heads);
	turn();
	http_request_resume(c.request);
	wait_until(c.n_done);
	assert_int_equal(c.result, HTTP_CANCELED);
	assert_int_equal(c.n_pieces, 1);
	call_fini(&c);
	wait_until(peers[0].gone);
}

/* One that waits for a free connection, and the one that it waits for. */
static void test_cancel_waiting(void **state)
{
	struct http_client_config config = default_config;
	struct call calls[4];

	(void)state;
	config.max_connections = 1;
	client_open(&config);
	for (size_t i = 0; i < 4; i++)
		get_with(&calls[i], (struct http_request_config){ .connect_timeout_ms =
									  i == 1 ? 100 : 0 });
	wait_request(0);
	end_call(&calls[1], HTTP_TIMEOUT, "not connected within 100 ms");
	cancel(&calls[2]);
	check_canceled(&calls[2]);
	assert_int_equal(n_peers, 1);
	cancel(&calls[0]);
	check_canceled(&calls[0]);
	answer(1, OK_HELLO);
	end_call(&calls[3], HTTP_DONE, "");
}

/* Deadlines */

static void test_first_byte(void **state)
{
	struct call c;

	(void)state;
	get_with(&c, (struct http_request_config){ .first_byte_timeout_ms = 50 });
	end_call(&c, HTTP_TIMEOUT, "no first byte within 50 ms");
	wait_until(peers[0].gone);
	/* An interim answer is none. */
	get_with(&c, (struct http_request_config){ .first_byte_timeout_ms = 100 });
	answer(1, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
	end_call(&c, HTTP_TIMEOUT, "no first byte within 100 ms");
	/* It ends with the status line. */
	get_with(&c, (struct http_request_config){ .first_byte_timeout_ms = 500,
						   .idle_timeout_ms = 510 });
	answer(2, "HTTP/1.1 200 OK\r\nContent-");
	end_call(&c, HTTP_TIMEOUT, "idle for 510 ms");
	wait_until(peers[2].gone);
}

static struct timer wait_timer;

static void on_wait(struct timer *timer)
{
	(void)timer;
	end_run();
}

/* Lets the loop's own time pass: what is due before it fires before. */
static void pass(uint64_t ms)
{
	loop_timer_start(loop, &wait_timer, ms, on_wait);
	wait_until(!timer_active(&wait_timer));
}

static void test_idle(void **state)
{
	struct call c;

	(void)state;
	wait_timer = (struct timer){ 0 };
	get_with(&c, (struct http_request_config){ .idle_timeout_ms = 100 });
	/* It does not begin before the answer does. */
	wait_request(0);
	pass(150);
	assert_int_equal(c.n_done, 0);
	say(0, HEAD_10 "1234");
	wait_until(c.n_pieces);
	/* Nor does a pause count, with something held or without. */
	http_request_pause(c.request);
	pass(150);
	say(0, "5");
	pass(150);
	assert_int_equal(c.n_done, 0);
	http_request_resume(c.request);
	end_call(&c, HTTP_TIMEOUT, "idle for 100 ms");
	wait_until(peers[0].gone);
	/* After a pause in which nothing came it counts again. */
	get_with(&c, (struct http_request_config){ .idle_timeout_ms = 100 });
	answer(1, HEAD_10);
	wait_until(c.n_heads);
	http_request_pause(c.request);
	http_request_resume(c.request);
	end_call(&c, HTTP_TIMEOUT, "idle for 100 ms");
}

/* Each piece gives the next one its time, but not the whole. */
static void test_total(void **state)
{
	struct call c;

	(void)state;
	wait_timer = (struct timer){ 0 };
	get_with(&c, (struct http_request_config){ .total_timeout_ms = 400,
						   .idle_timeout_ms = 300 });
	answer(0, HEAD_CHUNKED);
	for (int i = 0; i < GUARD_MS / 20 && !c.n_done; i++) {
		(void)send(peers[0].fd, "1\r\na\r\n", 6, MSG_NOSIGNAL);
		pass(20);
	}
	assert_true(c.n_pieces > 1);
	end_call(&c, HTTP_TIMEOUT, "not complete within 400 ms");
	/* A pause does count here. */
	get_with(&c, (struct http_request_config){ .total_timeout_ms = 100 });
	http_request_pause(c.request);
	answer(1, OK_HELLO);
	end_call(&c, HTTP_TIMEOUT, "not complete within 100 ms");
	/* And before the request is sent. */
	get_slow(&c, 0);
	cancel(&c);
	check_canceled(&c);
}

/* Answers that are not complete, or none */

static void test_cut(void **state)
{
	static const char *const texts[] = {
		"",
		"HTTP/1.1 2",
		"HTTP/1.1 200 OK\r\nContent-Le",
		HEAD_10,
		HEAD_10 "123456789",
		HEAD_CHUNKED,
		HEAD_CHUNKED "4\r\nab",
		HEAD_CHUNKED "4\r\nabcd\r\n",
	};
	struct call c;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(texts); i++) {
		const char *text = texts[i / 2];

		get_with(&c, (struct http_request_config){ 0 });
		answer(i, text);
		if (i % 2) {
			/* What came before a reset is delivered first. */
			peer_reset(&peers[i]);
		} else {
			peer_close(&peers[i]);
		}
		wait_done(&c, HTTP_CUT);
		if (!i)
			assert_string_equal(c.detail, "Empty reply from server");
		assert_true(c.detail[0]);
		assert_int_equal(c.n_heads, strstr(text, "\r\n\r\n") ? 1 : 0);
		if (text == texts[4])
			assert_string_equal(strbuf_cstr(&c.body), "123456789");
		call_fini(&c);
	}
}

/* What the kernel has got is delivered, all of it, before the reset. */
static void test_reset_late(void **state)
{
	static char piece[50000];
	struct call c;

	(void)state;
	memset(piece, 'x', sizeof(piece));
	get_with(&c, (struct http_request_config){ 0 });
	answer(0, "HTTP/1.1 200 OK\r\nContent-Length: 50001\r\n\r\n");
	say_n(0, piece, sizeof(piece));
	peer_reset(&peers[0]);
	wait_done(&c, HTTP_CUT);
	assert_int_equal(c.body.len, sizeof(piece));
	call_fini(&c);
}

/* The server goes while the request is paused: known when it reads on. */
static void test_cut_paused(void **state)
{
	struct call c;

	(void)state;
	get_with(&c, (struct http_request_config){ 0 });
	http_request_pause(c.request);
	answer(0, HEAD_10 "1234");
	wait_until(c.n_heads);
	peer_close(&peers[0]);
	turn();
	turn();
	assert_int_equal(c.n_pieces + c.n_done, 0);
	http_request_resume(c.request);
	wait_done(&c, HTTP_CUT);
	assert_string_equal(strbuf_cstr(&c.body), "1234");
	call_fini(&c);
}

static void test_garbage(void **state)
{
	static char headers[100000];
	static const char *const texts[] = {
		"SSH-2.0-OpenSSH_9.2\r\n",
		"\x16\x03\x01\x02\r\n\r\n",
		"<html>hello</html>\n",
		"HTTP/3.7 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
		headers,
	};
	struct call c;

	(void)state;
	headers[0] = '\0';
	strncat(headers, "HTTP/1.1 200 OK\r\n", 20);
	while (strlen(headers) < 70000)
		strncat(headers, "X-Header: some text that takes place, and more of it\r\n", 100);
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		get_with(&c, (struct http_request_config){ 0 });
		answer(i, texts[i]);
		peer_close(&peers[i]);
		wait_done(&c, HTTP_FAILED);
		assert_int_equal(c.n_heads, 0);
		assert_true(c.detail[0]);
		call_fini(&c);
	}
	get_with(&c, (struct http_request_config){ 0 });
	answer(n_peers == ARRAY_LEN(texts) ? n_peers : 0, HEAD_CHUNKED "zz\r\n");
	wait_until(c.n_done);
	assert_true(c.result == HTTP_CUT || c.result == HTTP_FAILED);
	call_fini(&c);
	wait_until(peers[n_peers - 1].gone);
}

static void test_too_big(void **state)
{
	struct call c;

	(void)state;
	get_with(&c, (struct http_request_config){ .max_response_bytes = 5 });
	answer(0, OK_HELLO);
	end_call(&c, HTTP_DONE, "");
	get_with(&c, (struct http_request_config){ .max_response_bytes = 5 });
	answer(0, HEAD_CHUNKED "3\r\nabc\r\n");
	wait_until(c.n_pieces);
	say(0, "3\r\ndef\r\n");
	wait_done(&c, HTTP_TOO_BIG);
	assert_string_equal(strbuf_cstr(&c.body), "abc");
	call_fini(&c);
	wait_until(peers[0].gone);
	assert_int_equal(n_peers, 1);
}

static void test_refused(void **state)
{
	struct http_client_config config = default_config;
	struct call c;

	(void)state;
	io_close(&listener_io);
	close(listener);
	listener = -1;
	get_with(&c, (struct http_request_config){ 0 });
	end_call(&c, HTTP_CONNECT, "connect to 127.0.0.1");
	get_with(&c, (struct http_request_config){ .url = "http://nowhere.test/" });
	end_call(&c, HTTP_CONNECT, "nowhere.test");
	config.proxy = base_url;
	client_open(&config);
	get_with(&c, (struct http_request_config){ .url = "http://nowhere.test/" });
	end_call(&c, HTTP_CONNECT, "connect to 127.0.0.1");
	config.proxy = "http://nowhere.test/";
	client_open(&config);
	get_with(&c, (struct http_request_config){ 0 });
	end_call(&c, HTTP_CONNECT, "nowhere.test");
}

static struct io *stale;

static void end_stale(struct call *c)
{
	(void)c;
	io_close(&stale);
}

/* A socket that the loop will not watch: somebody has closed one and not ended watching it. The
 * request fails, and only that one. */
static void test_unwatchable(void **state)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct call c;

	(void)state;
	assert_int_equal(io_open(&stale, loop, fd, IO_READ, on_listener, NULL), 0);
	turn();
	close(fd);
	get_with(&c, (struct http_request_config){ 0 });
	/* Before the number is given to another. */
	c.in_done = end_stale;
	end_call(&c, HTTP_FAILED, "cannot watch its socket");
	get_with(&c, (struct http_request_config){ 0 });
	wait_until(asked() < MAX_PEERS);
	answer(asked(), OK_HELLO);
	end_call(&c, HTTP_DONE, "");
}

/* Requests that are refused */

static void check_refused(const struct http_request_config *config)
{
	struct http_request *request = NULL;

	if (http_request_start(&request, client, config, &call_ops, NULL) != PARLANCE_EINVAL)
		fail_msg("taken: %s %s", config->method, config->url);
	assert_null(request);
}

static void test_malformed(void **state)
{
	static const char *const urls[] = {
		"",		       "/path",		  "127.0.0.1",
		"file:///etc/passwd",  "ftp://a.test/",	  "gopher://a.test/",
		"http://",	       "http://a b.test/", "http://a.test/\r\nX: y",
		"http://a.test:99999/", "http://[::1/",	  "ws://a.test/",
	};
	static const char *const methods[] = { "", "GE T", "GET\r\n", "GET\n", "G:T" };
	static const struct http_header headers[] = {
		{ { "", 0 }, { "v", 1 } },
		{ { "a b", 3 }, { "v", 1 } },
		{ { "a:", 2 }, { "v", 1 } },
		{ { "a\n", 2 }, { "v", 1 } },
		{ { "a\0b", 3 }, { "v", 1 } },
		{ { "a", 1 }, { "v\r\nb: c", 7 } },
		{ { "a", 1 }, { "v\n", 2 } },
		{ { "a", 1 }, { "\r", 1 } },
		{ { "a", 1 }, { "v\0w", 3 } },
		{ { "content-length", 14 }, { "3", 1 } },
		{ { "Transfer-Encoding", 17 }, { "chunked", 7 } },
		{ { "Expect", 6 }, { "100-continue", 12 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(urls); i++)
		check_refused(&(struct http_request_config){ .method = "GET", .url = urls[i] });
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		check_refused(
			&(struct http_request_config){ .method = methods[i], .url = base_url });
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		check_refused(&(struct http_request_config){
			.method = "GET", .url = base_url, .headers = &headers[i], .n_headers = 1 });
	check_refused(&(struct http_request_config){
		.method = "HEAD", .url = base_url, .body = slice_str("body") });
	check_refused(&(struct http_request_config){ .method = "GET" });
	check_refused(&(struct http_request_config){ .url = base_url });
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(n_peers, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		http_test(test_cancel_at_once),
		http_test(test_cancel_resolving),
		http_test(test_connecting),
		http_test(test_tls),
		http_test(test_cancel_outside),
		http_test(test_cancel_inside),
		http_test(test_cancel_other),
		http_test(test_cancel_held),
		http_test(test_cancel_waiting),
		http_test(test_first_byte),
		http_test(test_idle),
		http_test(test_total),
		http_test(test_cut),
		http_test(test_reset_late),
		http_test(test_cut_paused),
		http_test(test_garbage),
		http_test(test_too_big),
		http_test(test_refused),
		http_test(test_unwatchable),
		http_test(test_malformed),
	};

	return cmocka_run_group_tests_name("http_client_faults", tests, NULL, NULL);
}
