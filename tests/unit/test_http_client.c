/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The HTTP client with servers that behave: what goes out, what comes back, connections that are
 * kept, pauses, limits on connections. What can go wrong is in test_http_client_faults.c.
 */
#include "http_client_fixture.h"

#include "base/err.h"

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

#define assert_has(text, part) assert_non_null(strstr(text, part))
#define assert_has_not(text, part) assert_null(strcasestr(text, part))

static void test_get(void **state)
{
	struct call c;
	const char *text;

	(void)state;
	call_init(&c);
	get(&c);
	assert_int_equal(c.n_heads + c.n_done, 0);
	wait_request(0);
	text = strbuf_cstr(&peers[0].in);
	assert_ptr_equal(strstr(text, "GET /path?q=1 HTTP/1.1\r\nHost: 127.0.0.1:"), text);
	assert_has_not(text, "Accept-Encoding");
	assert_has_not(text, "User-Agent");
	assert_has_not(text, "Content-");
	assert_has_not(text, "Expect");
	say(0, OK_HELLO);
	wait_done(&c, HTTP_DONE);
	assert_string_equal(c.detail, "");
	assert_int_equal(c.status, 200);
	assert_int_equal(c.n_heads, 1);
	assert_string_equal(strbuf_cstr(&c.headers), "Content-Length=5|");
	assert_string_equal(strbuf_cstr(&c.body), "hello");
	call_fini(&c);
}

static void test_post(void **state)
{
	static char body[1200000]; /* libcurl asks before it sends over 1 MiB */
	const struct http_header headers[] = {
		{ slice_str("Content-Type"), slice_str("application/json") },
		{ slice_str("Authorization"), slice_str("Bearer x;y: z") },
		{ slice_str("X-Empty"), slice_str("") },
		{ slice_str("X-Blank"), slice_str(" \t ") },
		{ slice_str("X-Padded"), slice_str("  in the middle ") },
	};
	struct http_request_config config = {
		.method = "POST",
		.url = base_url,
		.headers = headers,
		.n_headers = ARRAY_LEN(headers),
		.body = slice_of(body, sizeof(body)),
	};
	struct call c;
	struct strbuf *in = &peers[0].in;

	(void)state;
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (char)(i * 31 + i / 256);
	call_init(&c);
	call_start(&c, &config);
	/* It was copied. */
	memset(body, 'x', sizeof(body));
	wait_request(0);
	assert_ptr_equal(strstr(in->data, "POST /path?q=1 HTTP/1.1\r\n"), in->data);
	assert_has(in->data, "\r\nContent-Length: 1200000\r\n");
	assert_has(in->data, "\r\nContent-Type: application/json\r\n");
	assert_has(in->data, "\r\nAuthorization: Bearer x;y: z\r\n");
	assert_has(in->data, "\r\nX-Empty:\r\n");
	assert_has(in->data, "\r\nX-Blank:\r\n");
	assert_has(in->data, "\r\nX-Padded: in the middle\r\n");
	assert_has_not(in->data, "\r\nExpect");
	assert_int_equal(request_len(0), in->len);
	for (size_t i = 0; i < sizeof(body); i++)
		assert_int_equal(in->data[in->len - sizeof(body) + i], (char)(i * 31 + i / 256));
	say(0, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n");
	wait_done(&c, HTTP_DONE);
	assert_int_equal(c.status, 201);
	assert_int_equal(c.n_pieces, 0);
	call_fini(&c);
}

/* The start of the request and its headers for a method with or without a body. */
static void check_method(const char *method, const char *body, const char *length)
{
	struct http_request_config config = {
		.method = method, .url = base_url, .body = slice_str(body)
	};
	bool head = strcmp(method, "HEAD") == 0;
	struct call c;
	char line[64];

	call_init(&c);
	call_start(&c, &config);
	wait_request(0);
	snprintf(line, sizeof(line), "%s /path?q=1 HTTP/1.1\r\n", method);
	assert_ptr_equal(strstr(peers[0].in.data, line), peers[0].in.data);
	assert_has_not(peers[0].in.data, "Content-Type");
	if (length) {
		snprintf(line, sizeof(line), "\r\nContent-Length: %s\r\n", length);
		assert_has(peers[0].in.data, line);
	} else {
		assert_has_not(peers[0].in.data, "Content-Length");
	}
	answer(0, head ? "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" : OK_HELLO);
	wait_done(&c, HTTP_DONE);
	assert_string_equal(strbuf_cstr(&c.body), head ? "" : "hello");
	call_fini(&c);
}

static void test_methods(void **state)
{
	(void)state;
	check_method("POST", "", "0");
	check_method("PUT", "abc", "3");
	check_method("PATCH", "", "0");
	check_method("DELETE", "", NULL);
	check_method("GET", "{}", "2");
	check_method("HEAD", "", NULL);
	check_method("OPTIONS", "", NULL);
	assert_int_equal(n_peers, 1);
}

/* Only the final answer's head is reported, with its folded and empty headers, without the
 * trailer; a redirect is an answer like any other. */
static void test_heads(void **state)
{
	struct call c;

	(void)state;
	call_init(&c);
	get(&c);
	answer(0, "HTTP/1.1 100 Continue\r\n\r\n"
		  "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
		  "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nX-A: 1\r\n"
		  "X-Long: one\r\n \ttwo\r\nx-a:2 \r\nX-Empty:\r\n"
		  "Transfer-Encoding: chunked\r\n\r\n"
		  "3\r\nabc\r\n0\r\nX-Trailer: t\r\n\r\n");
	wait_done(&c, HTTP_DONE);
	assert_int_equal(c.n_heads, 1);
	assert_int_equal(c.status, 302);
	assert_string_equal(strbuf_cstr(&c.headers),
			    "Location=http://127.0.0.1:1/|X-A=1|X-Long=one   \ttwo|x-a=2|X-Empty=|"
			    "Transfer-Encoding=chunked|");
	assert_string_equal(strbuf_cstr(&c.body), "abc");
	call_fini(&c);
}

/* An answer in pieces of a byte is delivered as it comes. */
static void test_bytes(void **state)
{
	const char *text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			   "1\r\na\r\n2;ext=1\r\nbc\r\n0\r\n\r\n";
	struct call c;

	(void)state;
	call_init(&c);
	get(&c);
	wait_request(0);
	for (const char *at = text; *at; at++) {
		int before = c.n_pieces;

		say_n(0, at, 1);
		if (*at == 'a' && at > strstr(text, "\r\n\r\n"))
			wait_until(c.n_pieces > before);
		else
			turn();
	}
	wait_done(&c, HTTP_DONE);
	assert_string_equal(strbuf_cstr(&c.body), "abc");
	assert_true(c.n_pieces >= 2);
	call_fini(&c);
}

static void test_until_close(void **state)
{
	struct call c;

	(void)state;
	call_init(&c);
	get(&c);
	answer(0, "HTTP/1.1 200 OK\r\n\r\nall there is");
	wait_until(c.n_pieces);
	peer_close(&peers[0]);
	wait_done(&c, HTTP_DONE);
	assert_string_equal(strbuf_cstr(&c.body), "all there is");
	call_fini(&c);
}

static void one_get(size_t peer)
{
	struct call c;

	call_init(&c);
	get(&c);
	answer(peer, OK_HELLO);
	wait_done(&c, HTTP_DONE);
	call_fini(&c);
}

static void test_reuse(void **state)
{
	struct call c;

	(void)state;
	one_get(0);
	one_get(0);
	assert_int_equal(n_peers, 1);

	/* Closed in between: a new one is made. */
	peer_close(&peers[0]);
	one_get(1);
	/* Closed in answer to the request, as if they had crossed: it is sent again. */
	call_init(&c);
	get(&c);
	wait_request(1);
	peer_close(&peers[1]);
	answer(2, OK_HELLO);
	wait_done(&c, HTTP_DONE);
	call_fini(&c);
	/* The same with a reset. */
	call_init(&c);
	get(&c);
	wait_request(2);
	peer_reset(&peers[2]);
	answer(3, OK_HELLO);
	wait_done(&c, HTTP_DONE);
	call_fini(&c);
	assert_int_equal(n_peers, 4);
}

static void test_free_closes_idle(void **state)
{
	(void)state;
	one_get(0);
	assert_false(peers[0].gone);
	http_client_free(&client);
	assert_null(client);
	wait_until(peers[0].gone);
	http_client_free(&client);
}

/* Callbacks that call back */

static struct call next_call;

static void start_next(struct call *c)
{
	(void)c;
	if (!next_call.request && !next_call.n_done)
		get(&next_call);
}

static void free_client(struct call *c)
{
	(void)c;
	http_client_free(&client);
}

static void test_start_inside(void **state)
{
	struct call c;

	(void)state;
	for (int where = 0; where < 3; where++) {
		call_init(&c);
		call_init(&next_call);
		*(where == 0 ? &c.in_head : where == 1 ? &c.in_data : &c.in_done) = start_next;
		get(&c);
		if (where == 2)
			next_call.in_done = free_client;
		wait_until(asked() < MAX_PEERS);
		answer(asked(), OK_HELLO);
		wait_done(&c, HTTP_DONE);
		wait_until(asked() < MAX_PEERS);
		answer(asked(), OK_HELLO);
		wait_done(&next_call, HTTP_DONE);
		call_fini(&c);
		call_fini(&next_call);
	}
	assert_null(client);
}

/* Pauses */

#define BIG_BYTES ((size_t)32 << 20)

static size_t n_sent;
static struct timer stall_timer;
static bool stalled;

static char big_byte(size_t at)
{
	return (char)(at * 7 + at / 4096);
}

static void on_stall(struct timer *timer)
{
	(void)timer;
	stalled = true;
	end_run();
}

static void on_writable(struct io *io, unsigned int what, void *arg)
{
	static char buf[65536];
	ssize_t n;

	(void)what;
	(void)arg;
	do {
		size_t len = BIG_BYTES - n_sent < sizeof(buf) ? BIG_BYTES - n_sent : sizeof(buf);

		for (size_t i = 0; i < len; i++)
			buf[i] = big_byte(n_sent + i);
		n = send(peers[0].fd, buf, len, MSG_NOSIGNAL);
		n_sent += n > 0 ? (size_t)n : 0;
	} while (n > 0 && n_sent < BIG_BYTES);
	if (n_sent == BIG_BYTES)
		io_set(io, 0);
	loop_timer_start(loop, &stall_timer, 200, on_stall);
	end_run();
}

/* The server writes until it can do no more. */
static void send_big(void)
{
	char head[64];
	int small = 65536;

	n_sent = 0;
	stalled = false;
	wait_request(0);
	assert_int_equal(setsockopt(peers[0].fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", BIG_BYTES);
	say(0, head);
	io_close(&peers[0].io);
	assert_int_equal(io_open(&peers[0].io, loop, peers[0].fd, IO_WRITE, on_writable, NULL), 0);
	loop_timer_start(loop, &stall_timer, GUARD_MS / 2, on_stall);
	wait_until(stalled || n_sent == BIG_BYTES);
}

static void check_big(const struct call *c)
{
	assert_int_equal(c->body.len, BIG_BYTES);
	for (size_t i = 0; i < BIG_BYTES; i++)
		if (c->body.data[i] != big_byte(i))
			fail_msg("byte %zu differs", i);
}

static void pause_call(struct call *c)
{
	http_request_pause(c->request);
}

static void test_pause(void **state)
{
	struct call c;
	size_t before;

	(void)state;
	stall_timer = (struct timer){ 0 };
	call_init(&c);
	c.in_data = pause_call;
	get(&c);
	send_big();
	assert_true(n_sent < BIG_BYTES);
	assert_int_equal(c.n_pieces, 1);

	/* One more piece each time, and never from within resume. */
	for (int i = 2; i < 10; i++) {
		http_request_resume(c.request);
		assert_int_equal(c.n_pieces, i - 1);
		wait_until(c.n_pieces == i);
		turn();
		assert_int_equal(c.n_pieces, i);
	}
	/* Taken back at once. */
	http_request_resume(c.request);
	http_request_pause(c.request);
	turn();
	assert_int_equal(c.n_pieces, 9);

	c.in_data = NULL;
	http_request_resume(c.request);
	http_request_resume(c.request);
	wait_until(c.body.len > BIG_BYTES / 4);
	/* From outside of a callback. */
	http_request_pause(c.request);
	before = c.body.len;
	stalled = false;
	loop_timer_start(loop, &stall_timer, 200, on_stall);
	wait_until(stalled || n_sent == BIG_BYTES);
	assert_true(n_sent < BIG_BYTES);
	assert_int_equal(c.body.len, before);
	http_request_resume(c.request);
	wait_done(&c, HTTP_DONE);
	timer_stop(&stall_timer);
	check_big(&c);
	call_fini(&c);
}

static void pause_and_resume(struct call *c)
{
	http_request_pause(c->request);
	http_request_resume(c->request);
	http_request_pause(c->request);
	http_request_resume(c->request);
}

static void test_resume_inside(void **state)
{
	struct call c;

	(void)state;
	stall_timer = (struct timer){ 0 };
	call_init(&c);
	c.in_data = pause_and_resume;
	get(&c);
	send_big();
	wait_done(&c, HTTP_DONE);
	timer_stop(&stall_timer);
	check_big(&c);
	call_fini(&c);
}

/* What libcurl holds when the answer is complete, chunked and not, comes after resume. */
static void test_pause_before(void **state)
{
	static const char *const answers[] = {
		OK_HELLO,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		"2\r\nhe\r\n1\r\nl\r\n2\r\nlo\r\n0\r\n\r\n",
	};
	struct call c;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		call_init(&c);
		c.in_data = i < 2 ? NULL : pause_call;
		get(&c);
		http_request_pause(c.request);
		answer(0, answers[i % 2]);
		wait_until(c.n_heads);
		turn();
		assert_int_equal(c.n_pieces, 0);
		assert_int_equal(c.n_done, 0);
		while (!c.n_done) {
			http_request_resume(c.request);
			wait_until(c.n_done || c.n_pieces);
			c.n_pieces = 0;
		}
		assert_int_equal(c.result, HTTP_DONE);
		assert_string_equal(strbuf_cstr(&c.body), "hello");
		call_fini(&c);
	}
	assert_int_equal(n_peers, 1);
}

/* Limits on connections */

static void check_limit(const struct http_client_config *config, size_t limit)
{
	static struct call calls[50];

	client_open(config);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		call_init(&calls[i]);
		get(&calls[i]);
	}
	for (size_t i = 0; i < limit; i++)
		wait_request(i);
	/* Time for one too many. */
	for (int i = 0; i < 20; i++)
		turn();
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		wait_until(asked() < MAX_PEERS);
		answer(asked(), OK_HELLO);
	}
	for (size_t i = 0; i < ARRAY_LEN(calls); i++)
		wait_done(&calls[i], HTTP_DONE);
	assert_int_equal(n_peers, limit);
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		assert_string_equal(strbuf_cstr(&calls[i].body), "hello");
		call_fini(&calls[i]);
	}
}

static void test_max_connections(void **state)
{
	struct http_client_config config = default_config;

	(void)state;
	config.max_connections = 4;
	check_limit(&config, 4);
}

static void test_max_connections_per_host(void **state)
{
	struct http_client_config config = default_config;

	(void)state;
	config.max_connections_per_host = 3;
	check_limit(&config, 3);
}

/* The proxy is the one that was configured, whatever the environment says. */
static void test_proxy(void **state)
{
	struct http_client_config config = default_config;
	struct http_request_config request = { .method = "GET", .url = "http://far.test/there" };
	struct call c;

	(void)state;
	config.proxy = base_url;
	client_open(&config);
	call_init(&c);
	call_start(&c, &request);
	wait_request(0);
	assert_ptr_equal(strstr(peers[0].in.data, "GET http://far.test/there HTTP/1.1\r\n"),
			 peers[0].in.data);
	say(0, OK_HELLO);
	wait_done(&c, HTTP_DONE);
	call_fini(&c);

	/* A tunnel's head is not the answer's; it is refused: there is no connection. */
	request.url = "https://far.test/there";
	call_init(&c);
	call_start(&c, &request);
	wait_request(1);
	assert_ptr_equal(strstr(peers[1].in.data, "CONNECT far.test:443 HTTP/1.1\r\n"),
			 peers[1].in.data);
	say(1, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
	wait_done(&c, HTTP_CONNECT);
	assert_int_equal(c.n_heads, 0);
	call_fini(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		http_test(test_get),
		http_test(test_post),
		http_test(test_methods),
		http_test(test_heads),
		http_test(test_bytes),
		http_test(test_until_close),
		http_test(test_reuse),
		http_test(test_free_closes_idle),
		http_test(test_start_inside),
		http_test(test_pause),
		http_test(test_resume_inside),
		http_test(test_pause_before),
		http_test(test_max_connections),
		http_test(test_max_connections_per_host),
		http_test(test_proxy),
	};

	return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
