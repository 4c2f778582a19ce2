/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * HTTP/1.1 requests (RFC 9110, RFC 9112): the head of a request from bytes to a struct. Strict,
 * because what two parsers read differently is how requests are smuggled: CRLF only, no folding,
 * no blank before a colon, no repeated Host or Content-Length, no Content-Length beside
 * Transfer-Encoding, no Host that differs from an absolute-form target. Pure, any thread.
 */
#ifndef PARLANCE_WIRE_HTTP_H
#define PARLANCE_WIRE_HTTP_H

#include "base/check.h"
#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HTTP_HEADERS_MAX 64

enum http_method {
	HTTP_GET = 1,
	HTTP_POST,
	HTTP_OPTIONS,
	HTTP_HEAD,
	HTTP_OTHER, /* any other token */
};

struct http_header {
	struct slice name;
	struct slice value; /* without blanks at its ends */
};

/* Everything is borrowed from the bytes that were parsed. */
struct http_request {
	enum http_method method;
	/* As it came, not decoded; absolute-form (http or https) is reduced to its path ("/" when
	 * empty); "*" for OPTIONS *. */
	struct slice path;
	struct slice query; /* after the first '?', not decoded; empty when there is none */
	int minor;          /* HTTP/1.minor: 0, or 1 for all above */
	struct http_header headers[HTTP_HEADERS_MAX];
	size_t n_headers;
	bool has_length;
	uint64_t length; /* Content-Length, below 10^19; 0 when there is none */
	bool has_transfer_encoding;
	bool keep_alive; /* by version and Connection */
	size_t head_len; /* bytes of the head, empty lines before and after it included */
};

/** Parses the head of a request. Empty lines before it are skipped (RFC 9112 section 2.2). 0;
 *  PARLANCE_EAGAIN: it is not complete, and what is there is no error so far; PARLANCE_EINVAL:
 *  malformed, answer 400 (also CONNECT's authority-form, and Transfer-Encoding in HTTP/1.0);
 *  PARLANCE_ETOOBIG: it does not end within the first max bytes, or has more than HTTP_HEADERS_MAX
 *  fields, answer 431; PARLANCE_ENOTSUP: another major version, answer 505. Each call starts from
 *  the first byte, and an error stays what it is however many bytes follow: a byte that cannot be
 *  is refused as it comes, what the target or a field says when its line is complete. Unless 0,
 *  *out is unspecified. */
MUST_USE int http_parse(struct slice bytes, size_t max, struct http_request *out);

/** The value of the first field with this name (any case); p is NULL when there is none. */
struct slice http_header(const struct http_request *r, const char *name);

/** True when one of the fields with this name lists the word, in a comma list, compared without
 *  case; parameters after ';' are ignored. For lists of tokens, such as Connection and Upgrade:
 *  quoted strings are not looked for. */
bool http_header_lists(const struct http_request *r, const char *name, const char *word);

#ifdef __cplusplus
}
#endif
#endif
