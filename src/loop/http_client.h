/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * HTTP client: requests to other services, their answers streamed (libcurl's multi interface on the
 * loop). HTTP/1.1 only: pausing is real back-pressure there, and a cancelled request closes its
 * connection. Connections are kept and used again; when one turns out to be dead before any of the
 * answer has come, the request is sent once more on a new one, whatever its method. Redirects are
 * not followed, environment variables not looked at. SIGPIPE must be ignored (OpenSSL). Loop
 * thread.
 */
#ifndef PARLANCE_LOOP_HTTP_CLIENT_H
#define PARLANCE_LOOP_HTTP_CLIENT_H

#include "base/slice.h"
#include "loop/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

struct http_client;
struct http_request;

struct http_client_config {
	const char *proxy;   /* URL; empty: none */
	const char *ca_file; /* certificate authorities in PEM; empty: the system's */
	uint32_t max_connections;          /* at a time; further requests wait; 0: no limit */
	uint32_t max_connections_per_host; /* 0: no limit */
	/* Where a request says 0; 0 here: no limit. */
	uint32_t connect_timeout_ms;
	uint32_t first_byte_timeout_ms;
	uint32_t idle_timeout_ms;
	uint32_t total_timeout_ms;
};

/** config is copied. 0, PARLANCE_ENOMEM, PARLANCE_ESYS. */
MUST_USE int http_client_new(struct http_client **out, struct loop *loop,
			     const struct http_client_config *config);

/** Frees it and clears the pointer; no request may be left. Idle connections are closed; run the
 * loop once more (loop_free does). Harmless on NULL. */
void http_client_free(struct http_client **client);

struct http_header {
	struct slice name;
	struct slice value;
};

struct http_request_config {
	const char *method;
	const char *url; /* http or https, nothing else */
	/* Tokens, and values without line breaks and NUL. Content-Length, Transfer-Encoding and
	 * Expect are the client's own: EINVAL. */
	const struct http_header *headers;
	size_t n_headers;
	struct slice body; /* not with HEAD */
	/* From the start until connected; waiting for a free connection, name and TLS included. */
	uint32_t connect_timeout_ms;
	/* From then on, until the final answer's status line (a 1xx is none). */
	uint32_t first_byte_timeout_ms;
	/* From then on: until the end of the head, then between pieces of the body. Pauses do not
	 * count. */
	uint32_t idle_timeout_ms;
	uint32_t total_timeout_ms; /* pauses count */
	uint64_t max_response_bytes;    /* of the body; 0: no limit */
};

enum http_result {
	HTTP_DONE = 1, /* the whole answer came, whatever its status */
	HTTP_CANCELED,
	HTTP_CONNECT, /* no name, no connection, no TLS, no way through the proxy */
	HTTP_TIMEOUT, /* detail says which */
	HTTP_CUT,     /* the connection broke after the request, or a part of it, was sent */
	HTTP_TOO_BIG, /* max_response_bytes of the body were delivered or fewer, never more */
	HTTP_FAILED,  /* the answer is no HTTP, its head is over 64 KiB, no memory */
};

struct http_request_ops {
	/** Status and headers of the final answer (not of a 1xx), borrowed. */
	void (*head)(void *arg, int status, const struct http_header *headers, size_t n_headers);
	/** A piece of the body, borrowed. */
	void (*data)(void *arg, struct slice piece);
	/** The end, exactly once; the request is gone afterwards. detail: for the log. */
	void (*done)(void *arg, enum http_result result, const char *detail);
};

/** Begins a request; the config is copied, ops are borrowed until done. Callbacks come from the
 * loop, never from within a function of this header. 0 and *out, PARLANCE_EINVAL (a malformed
 * header, method or URL), PARLANCE_ENOMEM; then done is not called. */
MUST_USE int http_request_start(struct http_request **out, struct http_client *client,
				const struct http_request_config *config,
				const struct http_request_ops *ops, void *arg);

/** No data is delivered until it is resumed, and nothing read from the peer beyond one piece more,
 * which is kept. The head still comes, and so does done when nothing is left to deliver or the
 * request fails. Harmless when repeated. */
void http_request_pause(struct http_request *request);
void http_request_resume(struct http_request *request);

/** Closes the connection now (within a callback: when that returns, or at the end of the turn);
 * done follows at the end of the turn with HTTP_CANCELED, and nothing else before it. Harmless
 * when repeated. */
void http_request_cancel(struct http_request *request);

#ifdef __cplusplus
}
#endif
#endif
