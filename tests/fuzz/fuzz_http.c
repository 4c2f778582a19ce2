/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Heads of requests: the answer does not depend on how the bytes come. A head is incomplete before
 * its last byte, and the same with more bytes behind; what is refused stays refused. What is
 * accepted lies within the head, and written out plainly it is read as the same. One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "wire/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX 512

/* Parses the first len bytes in a block of their own size, which *block then owns. */
static int parse(const void *data, size_t len, struct http_request *out, char **block)
{
	*block = malloc(len ? len : 1);
	CHECK(*block);
	if (len > 0)
		memcpy(*block, data, len);
	return http_parse(slice_of(*block, len), MAX, out);
}

/* The slice is of the head, and has no byte that ends a line or a string. */
static void check_slice(struct slice s, const char *head, size_t len)
{
	CHECK(s.p >= head && s.len <= len && s.p <= head + (len - s.len));
	for (size_t i = 0; i < s.len; i++)
		CHECK(s.p[i] != '\r' && s.p[i] != '\n' && s.p[i] != '\0');
}

static void check_request(const struct http_request *r, const char *head)
{
	CHECK(r->method >= HTTP_GET && r->method <= HTTP_OTHER);
	CHECK(r->minor == 0 || r->minor == 1);
	CHECK(r->n_headers <= HTTP_HEADERS_MAX && r->head_len <= MAX);
	check_slice(r->path, head, r->head_len);
	check_slice(r->query, head, r->head_len);
	CHECK(r->path.len > 0);
	CHECK(r->path.p[0] == '/' || (r->method == HTTP_OPTIONS && slice_is(r->path, "*")));
	CHECK(!memchr(r->path.p, '?', r->path.len));
	for (size_t i = 0; i < r->n_headers; i++) {
		struct slice name = r->headers[i].name;
		struct slice value = r->headers[i].value;

		check_slice(name, head, r->head_len);
		check_slice(value, head, r->head_len);
		CHECK(name.len > 0 && !memchr(name.p, ':', name.len));
		CHECK(value.len == 0 || (!strchr(" \t", value.p[0]) &&
					 !strchr(" \t", value.p[value.len - 1])));
	}
	CHECK(!r->has_length || !r->has_transfer_encoding);
	CHECK(r->has_length == (http_header(r, "content-length").p != NULL));
	CHECK(r->has_transfer_encoding == (http_header(r, "transfer-encoding").p != NULL));
	CHECK(r->minor == 0 || http_header(r, "host").p);
	CHECK(r->keep_alive == (!http_header_lists(r, "connection", "close") &&
				(r->minor == 1 || http_header_lists(r, "connection",
								    "keep-alive"))));
}

static void check_same(const struct http_request *a, const struct http_request *b)
{
	CHECK(a->method == b->method && a->minor == b->minor);
	CHECK(slice_eq(a->path, b->path) && slice_eq(a->query, b->query));
	CHECK(a->has_length == b->has_length && a->length == b->length);
	CHECK(a->has_transfer_encoding == b->has_transfer_encoding);
	CHECK(a->keep_alive == b->keep_alive && a->n_headers == b->n_headers);
	for (size_t i = 0; i < a->n_headers; i++) {
		CHECK(slice_eq(a->headers[i].name, b->headers[i].name));
		CHECK(slice_eq(a->headers[i].value, b->headers[i].value));
	}
}

/* Not longer than the head was: without empty lines before it, scheme, authority and blanks. */
static void check_again(const struct http_request *r)
{
	static const char *const methods[] = {
		[HTTP_GET] = "GET",
		[HTTP_POST] = "POST",
		[HTTP_OPTIONS] = "OPTIONS",
		[HTTP_HEAD] = "HEAD",
		[HTTP_OTHER] = "X",
	};
	struct http_request again;
	struct strbuf text;
	char *block;

	strbuf_init(&text, SIZE_MAX / 4);
	strbuf_append_str(&text, methods[r->method]);
	strbuf_append_char(&text, ' ');
	strbuf_append(&text, r->path.p, r->path.len);
	if (r->query.len > 0)
		strbuf_append_char(&text, '?');
	strbuf_append(&text, r->query.p, r->query.len);
	strbuf_printf(&text, " HTTP/1.%d\r\n", r->minor);
	for (size_t i = 0; i < r->n_headers; i++) {
		strbuf_append(&text, r->headers[i].name.p, r->headers[i].name.len);
		strbuf_append_char(&text, ':');
		strbuf_append(&text, r->headers[i].value.p, r->headers[i].value.len);
		strbuf_append_str(&text, "\r\n");
	}
	strbuf_append_str(&text, "\r\n");
	CHECK(strbuf_ok(&text) && text.len <= r->head_len);
	CHECK(parse(text.data, text.len, &again, &block) == 0);
	CHECK(again.head_len == text.len);
	check_same(r, &again);
	free(block);
	strbuf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_request r;
	struct http_request other;
	char *whole;
	char *part;
	int rc = parse(data, size, &r, &whole);
	size_t end = size < MAX + 16 ? size : MAX + 16;
	int before = PARLANCE_EAGAIN;

	CHECK(rc == 0 || rc == PARLANCE_EAGAIN || rc == PARLANCE_EINVAL ||
	      rc == PARLANCE_ETOOBIG || rc == PARLANCE_ENOTSUP);
	if (rc == PARLANCE_EAGAIN)
		CHECK(size < MAX);
	if (rc == 0) {
		end = r.head_len;
		CHECK(end <= size);
		check_request(&r, whole);
		CHECK(parse(data, end, &other, &part) == 0);
		CHECK(other.head_len == end);
		check_same(&r, &other);
		free(part);
		check_again(&r);
	}
	/* As the bytes come: "more", and from some point on what it is for all of them. */
	for (size_t len = 0; len < end; len++) {
		int now = parse(data, len, &other, &part);

		CHECK(now == before || (before == PARLANCE_EAGAIN && now == rc));
		CHECK(now != 0);
		before = now;
		free(part);
	}
	free(whole);
	return 0;
}
