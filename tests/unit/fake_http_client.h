/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * An HTTP client that is the test's own: it notes how it is called, and the test says what comes
 * back. Requests end as the real one's do, from the loop.
 */
#ifndef PARLANCE_TESTS_UNIT_FAKE_HTTP_CLIENT_H
#define PARLANCE_TESTS_UNIT_FAKE_HTTP_CLIENT_H

#include "loop/http_client.h"

struct http_request {
	struct loop_task task; /* ends it as cancelled */
	const struct http_request_ops *ops;
	void *arg;
	struct http_request_config config; /* borrowed: look at it in fake_on_start */
	bool paused;
	bool cancelled;
};

/** What http_request_start returns; not 0: it does nothing else. */
extern int fake_http_rc;
/** The loop that requests end on. */
extern struct loop *fake_http_loop;
/** The request that was begun last; and how many have not ended. */
extern struct http_request *fake_http_last;
extern unsigned fake_http_open;
/** Called from http_request_start, while the config is there; or NULL. */
extern void (*fake_http_on_start)(const struct http_request_config *config);

/** Ends it. */
void fake_http_done(struct http_request *request, enum http_result result, const char *detail);

#endif
