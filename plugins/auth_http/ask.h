/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The request about a token. Loop thread.
 */
#ifndef AUTH_HTTP_ASK_H
#define AUTH_HTTP_ASK_H

#include "parlance/auth.h"

#ifdef __cplusplus
extern "C" {
#endif

enum ask_token_in {
	ASK_HEADER = 1, /* Authorization: Bearer */
	ASK_JSON,       /* {"token":…} */
};

struct ask_config {
	const char *url;
	const char *method; /* "POST" or "GET" */
	enum ask_token_in token_in;
	uint32_t timeout_ms;
};

/** Whether a text can be a token: 1 to 8192 printable ASCII characters without blanks. NULL: yes; or
 * what is wrong, static text. */
const char *ask_token_problem(struct parlance_str token);

/** Begins. NULL: out of memory. */
struct parlance_http *ask_start(const struct parlance_host *host, const struct ask_config *config,
				const struct parlance_auth_request *request,
				const struct parlance_http_sink *sink, void *arg);

#ifdef __cplusplus
}
#endif
#endif
