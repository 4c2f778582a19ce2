/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Heads of HTTP requests: what is accepted, what is refused and at which byte, limits, lists.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/http.h"

#include "base/err.h"

#define MAX 8192
#define H "Host: a\r\n"

/* A heap copy of exactly the bytes, which *block then owns. */
static struct slice exact(const char *p, size_t len, char **block)
{
	*block = malloc(len ? len : 1);
	assert_non_null(*block);
	memcpy(*block, p, len);
	return slice_of(*block, len);
}

/* The result only: what was parsed is gone. */
static int result(const char *p, size_t len, size_t max)
{
	struct http_request r;
	char *block;
	int rc = http_parse(exact(p, len, &block), max, &r);

	free(block);
	return rc;
}

static int result_of(const char *text)
{
	return result(text, strlen(text), MAX);
}

/* Parses a literal, which lives long enough to be borrowed from. */
static struct http_request parsed(const char *text)
{
	struct http_request r;

	memset(&r, 0xa5, sizeof(r)); /* what was there does not matter */
	if (http_parse(slice_str(text), MAX, &r))
		fail_msg("refused: %s", text);
	return r;
}

static void test_request_line(void **state)
{
	static const struct {
		const char *head;
		enum http_method method;
		const char *path;
		const char *query;
		int minor;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n" H "\r\n", HTTP_GET, "/", "", 1 },
		{ "POST /a/b?c=d&e HTTP/1.1\r\n" H "\r\n", HTTP_POST, "/a/b", "c=d&e", 1 },
		{ "OPTIONS * HTTP/1.1\r\n" H "\r\n", HTTP_OPTIONS, "*", "", 1 },
		{ "OPTIONS /a HTTP/1.1\r\n" H "\r\n", HTTP_OPTIONS, "/a", "", 1 },
		{ "HEAD /? HTTP/1.1\r\n" H "\r\n", HTTP_HEAD, "/", "", 1 },
		{ "HEAD /??a?b HTTP/1.1\r\n" H "\r\n", HTTP_HEAD, "/", "?a?b", 1 },
		{ "get / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, "/", "", 1 },
		{ "GETS / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, "/", "", 1 },
		{ "M-SEARCH / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, "/", "", 1 },
		{ "GET / HTTP/1.0\r\n\r\n", HTTP_GET, "/", "", 0 },
		{ "GET / HTTP/1.9\r\n" H "\r\n", HTTP_GET, "/", "", 1 },
		{ "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", HTTP_GET, "/", "", 1 },
		{ "GET /%zz|{}[]^`\\\"<> HTTP/1.1\r\n" H "\r\n", HTTP_GET, "/%zz|{}[]^`\\\"<>", "",
		  1 },
		{ "GET //b/../c HTTP/1.1\r\n" H "\r\n", HTTP_GET, "//b/../c", "", 1 },
		{ "GET http://a HTTP/1.1\r\n" H "\r\n", HTTP_GET, "/", "", 1 },
		{ "GET HTTPS://A/ HTTP/1.1\r\n" H "\r\n", HTTP_GET, "/", "", 1 },
		{ "GET http://a?b=/c HTTP/1.1\r\n" H "\r\n", HTTP_GET, "/", "b=/c", 1 },
		{ "GET http://a/b?c HTTP/1.1\r\n" H "\r\n", HTTP_GET, "/b", "c", 1 },
		{ "GET http://a:8/b HTTP/1.1\r\nHost: A:8\r\n\r\n", HTTP_GET, "/b", "", 1 },
		{ "GET http://[::1]:8/b HTTP/1.0\r\n\r\n", HTTP_GET, "/b", "", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_request r = parsed(rows[i].head);

		if (r.method != rows[i].method || !slice_is(r.path, rows[i].path) ||
		    !slice_is(r.query, rows[i].query) || r.minor != rows[i].minor ||
		    r.head_len != strlen(rows[i].head))
			fail_msg("wrong: %s", rows[i].head);
	}
}

static void test_fields(void **state)
{
	static const struct {
		const char *name;
		const char *value;
	} expected[] = {
		{ "hOST", "[2001:db8::1]:443" },
		{ "X-A", "b c" },
		{ "X-Empty", "" },
		{ "X-Blank", "" },
		{ "x-a", "\xff\"\t:\x80" },
		{ "!#$%&'*+-.^_`|~09azAZ", ",;" },
	};
	const char *head = "GET / HTTP/1.1\r\nhOST:[2001:db8::1]:443\r\nX-A: \t b c\t \r\n"
			   "X-Empty:\r\nX-Blank: \t\r\nx-a:\xff\"\t:\x80\r\n"
			   "!#$%&'*+-.^_`|~09azAZ: ,;\r\n\r\nGET";
	struct http_request r = parsed(head);

	(void)state;
	assert_int_equal(r.head_len, strlen(head) - 3);
	assert_int_equal(r.n_headers, ARRAY_LEN(expected));
	for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
		assert_true(slice_is(r.headers[i].name, expected[i].name));
		assert_true(slice_is(r.headers[i].value, expected[i].value));
	}
	assert_true(slice_is(http_header(&r, "x-A"), "b c"));
	assert_true(slice_is(http_header(&r, "host"), "[2001:db8::1]:443"));
	assert_non_null(http_header(&r, "X-EMPTY").p);
	assert_null(http_header(&r, "X-").p);
	assert_null(http_header(&r, "").p);
}

static void test_hosts(void **state)
{
	static const char *const valid[] = {
		"", "a", "a:", "a:80", "1.2.3.4:80", "[::1]", "[::1]:80", "a_b-c.d~%41",
		"b,c;d=(e)",
	};
	static const char *const invalid[] = {
		"a b", "a:b", "a:80:80", "::1", "[::1", "[]", "[", "::1]", "[::1]x", "[a/b]", "u@a",
		"a/b", "a?b", "a#b", "a\\b", "http://a", "\xff", "\"a\"", "<a>", "a\tb", "a:80,",
	};
	char head[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(valid); i++) {
		snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: %s \r\n\r\n", valid[i]);
		if (result_of(head) != 0)
			fail_msg("refused: %s", valid[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
		snprintf(head, sizeof(head), "GET / HTTP/1.0\r\nHost: %s\r\n", invalid[i]);
		if (result_of(head) != PARLANCE_EINVAL)
			fail_msg("accepted: %s", invalid[i]);
		/* The same behind a scheme, if it can be the authority of a target. */
		if (strpbrk(invalid[i], " \t/?#\xff"))
			continue;
		snprintf(head, sizeof(head), "GET http://%s HTTP/1.0\r\n", invalid[i]);
		if (result_of(head) != PARLANCE_EINVAL)
			fail_msg("accepted: %s", head);
	}
}

static void test_framing(void **state)
{
	static const struct {
		const char *head;
		bool has_length;
		uint64_t length;
		bool has_transfer_encoding;
		bool keep_alive;
	} rows[] = {
		{ "GET / HTTP/1.1\r\n" H "\r\n", false, 0, false, true },
		{ "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", false, 0, false, false },
		{ "GET / HTTP/1.1\r\n" H "Connection: a ,\tCLOSE ,b\r\n\r\n", false, 0, false,
		  false },
		{ "GET / HTTP/1.1\r\n" H "connection: a\r\nConnection: close\r\n\r\n", false, 0,
		  false, false },
		{ "GET / HTTP/1.1\r\n" H "Connection: close\r\nConnection: a\r\n\r\n", false, 0,
		  false, false },
		{ "GET / HTTP/1.1\r\n" H "Connection: closed, clos\r\n\r\n", false, 0, false,
		  true },
		{ "GET / HTTP/1.1\r\n" H "Connection: keep-alive, close\r\n\r\n", false, 0, false,
		  false },
		{ "GET / HTTP/1.1\r\n" H "X-Connection: close\r\n\r\n", false, 0, false, true },
		{ "GET / HTTP/1.0\r\n\r\n", false, 0, false, false },
		{ "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", false, 0, false, true },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: a\r\n\r\n", false, 0,
		  false, true },
		{ "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false, 0, false,
		  false },
		{ "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", true, 0, false, true },
		{ "POST / HTTP/1.1\r\n" H "content-length:007 \r\n\r\n", true, 7, false, true },
		{ "POST / HTTP/1.0\r\nContent-Length: 9999999999999999999\r\n\r\n", true,
		  9999999999999999999U, false, false },
		{ "POST / HTTP/1.1\r\n" H "transfer-encoding: chunked\r\n\r\n", false, 0, true,
		  true },
		{ "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n"
		  "Transfer-Encoding: chunked\r\n\r\n", false, 0, true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct http_request r = parsed(rows[i].head);

		if (r.has_length != rows[i].has_length || r.length != rows[i].length ||
		    r.has_transfer_encoding != rows[i].has_transfer_encoding ||
		    r.keep_alive != rows[i].keep_alive)
			fail_msg("wrong: %s", rows[i].head);
	}
}

/* Each is no error until its last byte, which makes it one. */
static void test_refused_at_once(void **state)
{
	static const char *const heads[] = {
		/* no request at all */
		"\n", "\x16", " ", ":", "\x80", "\r\r", "\r\n\n", "\r\n ", "\rG", "<",
		/* request line */
		"GET\t", "GET\r", "GET\n", "G\x80", "GET:", "GET  ", "GET /\t", "GET /\r",
		"GET /\n", "GET /#", "GET /a\x80", "GET / \t", "GET /  ", "GET / h", "GET / HTTP ",
		"GET / HTTP/1,", "GET / HTTP/x", "GET / HTTP/.", "GET / HTTP/11", "GET / HTTP/1.\r",
		"GET / HTTP/1.10", "GET / HTTP/1.1 ", "GET / HTTP/1.1\n", "GET / HTTP/1.1\r\r",
		"GET * HTTP/1.1\r\n", "OPTIONS ** HTTP/1.1\r\n", "OPTIONS *? HTTP/1.1\r\n",
		"GET a HTTP/1.1\r\n", "GET ?a HTTP/1.1\r\n", "CONNECT a:443 HTTP/1.1\r\n",
		"GET http:/a HTTP/1.1\r\n", "GET http:// HTTP/1.1\r\n",
		"GET http:///a HTTP/1.1\r\n", "GET https://?a HTTP/1.1\r\n",
		"GET http://:80/ HTTP/1.1\r\n", "GET http://u@a/ HTTP/1.1\r\n",
		"GET ws://a/ HTTP/1.1\r\n", "GET http HTTP/1.1\r\n", "GET https:/a HTTP/1.1\r\n",
		/* fields */
		"GET / HTTP/1.1\r\n ", "GET / HTTP/1.1\r\n\t", "GET / HTTP/1.1\r\n:",
		"GET / HTTP/1.1\r\n\n", "GET / HTTP/1.1\r\nA ", "GET / HTTP/1.1\r\nA\t",
		"GET / HTTP/1.1\r\nA\r", "GET / HTTP/1.1\r\nA\n", "GET / HTTP/1.1\r\nA(",
		"GET / HTTP/1.1\r\nA\x80", "GET / HTTP/1.1\r\nA: b\n", "GET / HTTP/1.1\r\nA:\n",
		"GET / HTTP/1.1\r\nA: b\r\r", "GET / HTTP/1.1\r\nA: b\rc",
		"GET / HTTP/1.1\r\nA:\x1b", "GET / HTTP/1.1\r\nA: b\r\n ",
		"GET / HTTP/1.1\r\nA: b\r\n\t", "GET / HTTP/1.1\r\nA: 12345678\x7f",
		"GET / HTTP/1.1\r\nHost: a\r\n\n",
		"GET / HTTP/1.1\r\nHost: a\r\n\r\r",
		/* what the fields say */
		"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nX-Host: a\r\n\r\n",
		"GET / HTTP/1.2\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n",
		"GET / HTTP/1.0\r\nHost: a\r\nhoSt: a\r\n", "GET / HTTP/1.1\r\nHost:\r\nHost:\r\n",
		"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\nHost:\r\n\r\n",
		"GET http://a/ HTTP/1.0\r\nHost: a:80\r\n\r\n",
		"GET http://a/ HTTP/1.1\r\n\r\n",
		"POST / HTTP/1.1\r\nContent-Length:\r\n",
		"POST / HTTP/1.1\r\nContent-Length: +1\r\n",
		"POST / HTTP/1.1\r\nContent-Length: -1\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 0x1\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 1 1\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 1,1\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 1.0\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 00000000000000000001\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
		"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding:\r\nContent-Length: 1\r\n",
		"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		size_t len = strlen(heads[i]);

		if (result(heads[i], len - 1, MAX) != PARLANCE_EAGAIN)
			fail_msg("refused too early: %s", heads[i]);
		if (result(heads[i], len, MAX) != PARLANCE_EINVAL)
			fail_msg("accepted: %s", heads[i]);
	}
}

static void test_versions(void **state)
{
	static const char *const heads[] = {
		"GET / HTTP/2.0\r\n", "GET / HTTP/0.9\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		assert_int_equal(result_of(heads[i]), PARLANCE_ENOTSUP);
}

static void test_incomplete(void **state)
{
	static const char *const heads[] = {
		"\r\n\r\nGET /a?b HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\n"
		"Content-Length: 12\r\n\r\n",
		"POST http://[::1]/ HTTP/1.0\r\nConnection: keep-alive\r\nA: b\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
		size_t len = strlen(heads[i]);

		for (size_t part = 0; part < len; part++)
			assert_int_equal(result(heads[i], part, MAX), PARLANCE_EAGAIN);
		assert_int_equal(result(heads[i], len, MAX), 0);
	}
	assert_int_equal(result_of(""), PARLANCE_EAGAIN);
	assert_int_equal(http_parse(slice_of(NULL, 0), MAX, &(struct http_request){ 0 }),
			 PARLANCE_EAGAIN);
}

/* Which bytes may be where, for all 256. */
static void test_bytes(void **state)
{
	static const char punctuation[] = "!#$%&'*+-.^_`|~";

	(void)state;
	for (int c = 0; c < 256; c++) {
		bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			     (c >= 'A' && c <= 'Z');
		bool token = alnum || (c && strchr(punctuation, c));
		bool visible = c > ' ' && c < 0x7f;
		char head[64];
		int n;

		n = snprintf(head, sizeof(head), "x%c / HTTP/1.0\r\n\r\n", c);
		assert_int_equal(result(head, (size_t)n, MAX),
				 token ? 0 : PARLANCE_EINVAL);
		n = snprintf(head, sizeof(head), "GET /%cx HTTP/1.0\r\n\r\n", c);
		assert_int_equal(result(head, (size_t)n, MAX),
				 visible && c != '#' ? 0 : PARLANCE_EINVAL);
		n = snprintf(head, sizeof(head), "GET / HTTP/1.0\r\nx%cx:\r\n\r\n", c);
		assert_int_equal(result(head, (size_t)n, MAX),
				 token || c == ':' ? 0 : PARLANCE_EINVAL);
		/* Values are looked at by eights, so each place, among plain and odd neighbours. */
		for (size_t place = 0; place < 16; place++) {
			static const char neighbours[] = "a~ \x80\xff";
			bool ok = visible || c == ' ' || c == '\t' || c >= 0x80;

			for (size_t i = 0; i < sizeof(neighbours) - 1; i++) {
				n = snprintf(head, sizeof(head), "GET / HTTP/1.0\r\nx:");
				memset(head + n, neighbours[i], 16);
				head[(size_t)n + place] = (char)c;
				memcpy(head + n + 16, "\r\n\r\n", 4);
				assert_int_equal(result(head, (size_t)n + 20, MAX),
						 ok ? 0 : PARLANCE_EINVAL);
			}
		}
	}
}

static void test_limits(void **state)
{
	static const char head[] = "\r\nGET / HTTP/1.1\r\n" H "\r\nbody";
	size_t len = sizeof(head) - 1 - 4;
	char many[1024];
	size_t n;
	int at;

	(void)state;
	assert_int_equal(result(head, len, len), 0);
	assert_int_equal(result(head, len + 4, len), 0);
	assert_int_equal(result(head, len + 4, len - 1), PARLANCE_ETOOBIG);
	assert_int_equal(result(head, len - 1, len - 1), PARLANCE_ETOOBIG);
	assert_int_equal(result(head, len - 2, len - 1), PARLANCE_EAGAIN);
	/* What is malformed within the limit is so beyond it too. */
	assert_int_equal(result("GET / x", 7, 7), PARLANCE_EINVAL);
	assert_int_equal(result("GET / x", 7, 6), PARLANCE_ETOOBIG);

	assert_int_equal(result_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345 / HTTP/1.0\r\n\r\n"), 0);
	assert_int_equal(result_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"), PARLANCE_EAGAIN);
	assert_int_equal(result_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456"), PARLANCE_EINVAL);

	at = snprintf(many, sizeof(many), "GET / HTTP/1.0\r\n");
	for (n = 0; n < HTTP_HEADERS_MAX; n++)
		at += snprintf(many + at, sizeof(many) - (size_t)at, "x%zu: y\r\n", n);
	assert_int_equal(result(many, (size_t)at, MAX), PARLANCE_EAGAIN);
	memcpy(many + at, "\r\n", 2);
	assert_int_equal(result(many, (size_t)at + 2, MAX), 0);
	memcpy(many + at, "x", 1);
	assert_int_equal(result(many, (size_t)at + 1, MAX), PARLANCE_ETOOBIG);
}

static void test_lists(void **state)
{
	struct http_request r =
		parsed("GET / HTTP/1.1\r\n" H "A: upgrade\r\na: , b ,,\tc;d=e,f ;g\r\n"
		       "A:\r\nB: upgrade2\r\nC: up grade,upgrad\r\n\r\n");

	(void)state;
	assert_true(http_header_lists(&r, "a", "Upgrade"));
	assert_true(http_header_lists(&r, "A", "b"));
	assert_true(http_header_lists(&r, "A", "C"));
	assert_true(http_header_lists(&r, "A", "f"));
	assert_false(http_header_lists(&r, "A", "d"));
	assert_false(http_header_lists(&r, "A", "c;d=e"));
	assert_false(http_header_lists(&r, "A", "g"));
	assert_false(http_header_lists(&r, "B", "upgrade"));
	assert_false(http_header_lists(&r, "C", "upgrade"));
	assert_false(http_header_lists(&r, "C", "grade"));
	assert_false(http_header_lists(&r, "D", "upgrade"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_line),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_refused_at_once),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
