/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * An HTTP service in processes of its own, on a socket of 127.0.0.1, which does what the test tells
 * it to: for plugins that ask one. What it does is read when a request has come. One thread.
 */
#ifndef PARLANCE_TESTS_PLUGIN_HTTP_SERVICE_H
#define PARLANCE_TESTS_PLUGIN_HTTP_SERVICE_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SERVICE_TEXT_MAX 65536

enum service_mode {
	SERVICE_ANSWER = 1,
	SERVICE_CLOSE,   /* reads the request and closes */
	SERVICE_CUT,     /* half of the body, then it closes */
	SERVICE_GARBAGE, /* something that is no HTTP */
	SERVICE_HUGE,    /* a body that does not end */
	SERVICE_HANG,    /* nothing, until the mode changes; then that */
	SERVICE_STALL,   /* half of the body, then nothing, until the mode changes; then the rest */
};

struct service {
	char url[64]; /* "http://127.0.0.1:PORT" */
	int port;
	pid_t pid;
	struct service_shared *shared;
};

/** Starts it; it answers 404. Aborts when it cannot. */
void service_start(struct service *service);
/** Stops accepting, as if the machine were away; again: it is back, on the same port. */
void service_down(struct service *service);
void service_up(struct service *service);
void service_stop(struct service *service);

/* What a request is answered that has a text in it. */
struct service_case {
	const char *text;
	int status;
	const char *body;
};

#define SERVICE_CASES_MAX 8

/** The first case whose text is in the request is its answer; the last should have "". */
void service_set_cases(struct service *service, const struct service_case *cases, size_t n);

/** What it answers from now on, whatever the request; headers: lines with CRLF each, or "". */
void service_set(struct service *service, enum service_mode mode, int status, const char *headers,
		 const char *body);
void service_mode(struct service *service, enum service_mode mode);

/** Requests that have come so far, and the text of the last one. */
unsigned service_requests(const struct service *service);
const char *service_request(const struct service *service);

#ifdef __cplusplus
}
#endif
#endif
