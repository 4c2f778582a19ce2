/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the files of the HTTP client share: http_client.c drives libcurl's multi handle from the
 * loop, http_request.c is one transfer, http_options.c what libcurl is told of it.
 *
 * libcurl may not be called back from its own callbacks (a handle cannot be taken out there), and
 * ours may not be called from within a function of http_client.h. So a callback of libcurl only
 * notes what is to happen, and the request's task does it at the end of the turn.
 *
 * Ownership: the client has a list of its requests but does not own them; a request frees itself
 * when it has called done. Loop thread.
 */
#ifndef PARLANCE_LOOP_HTTP_PRIVATE_H
#define PARLANCE_LOOP_HTTP_PRIVATE_H

#include <curl/curl.h>

#include "base/strbuf.h"
#include "loop/http_client.h"

#ifdef __cplusplus
extern "C" {
#endif

struct http_client {
	struct loop *loop;
	struct http_client_config config; /* its strings are ours */
	char *proxy;
	char *ca_file;
	CURLM *multi;
	struct timer timer; /* what libcurl asks for */
	struct list sockets;
	struct list requests;
	bool in_curl; /* a function of libcurl that calls back is running */
};

/* A request's life. Allowed moves are a table in http_request.c. */
enum http_state {
	HTTP_STARTING = 1, /* given to libcurl at the end of the turn */
	HTTP_CONNECTING,   /* waits for a free connection, or makes one */
	HTTP_SENDING,      /* connected; the request goes out, the answer is awaited */
	HTTP_ANSWERING,    /* the final answer's status line has come */
	HTTP_ENDED,        /* the result is known; done follows at the end of the turn */
};

struct http_timeouts {
	uint32_t connect_ms;
	uint32_t first_byte_ms;
	uint32_t idle_ms;
	uint32_t total_ms;
};

struct http_request {
	struct list node;
	struct http_client *client;
	const struct http_request_ops *ops;
	void *arg;
	enum http_state state;
	CURL *easy;
	struct curl_slist *headers; /* of the request */
	struct loop_task task;
	struct timer deadline; /* of the state */
	struct timer total;
	struct http_timeouts timeouts;
	uint64_t max_bytes;
	uint64_t n_bytes; /* of the body, so far */
	struct strbuf head; /* the answer's header lines as they came */
	long status;
	bool in_head;   /* between a status line and its empty line */
	bool head_done; /* of the final answer */
	bool in_multi;
	bool paused; /* by our caller */
	bool held;   /* libcurl keeps a piece that it could not deliver, and reads nothing */
	enum http_result result;
	char error[CURL_ERROR_SIZE]; /* libcurl's text */
	char detail[CURL_ERROR_SIZE];
};

/* http_client.c */

/** Around every call of libcurl's multi and pause functions: true while callbacks may be on the
 * stack. */
void http_client_enter(struct http_client *client);
void http_client_leave(struct http_client *client);

/* http_options.c */

/** Everything but the callbacks. 0, PARLANCE_EINVAL, PARLANCE_ENOMEM. */
MUST_USE int http_request_set_options(struct http_request *request,
				      const struct http_request_config *config);

/** Our code for libcurl's. */
MUST_USE int http_code_err(CURLcode code);

/** Without blanks and line breaks at its ends. */
struct slice http_trim(struct slice s);

/* http_request.c */

/** libcurl has ended the transfer. */
void http_request_completed(struct http_request *request, CURLcode code);

/** We cannot go on with it. Harmless when it has ended. */
void http_request_failed(struct http_request *request, const char *detail);

#ifdef __cplusplus
}
#endif
#endif
