/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Asking the auth plugin who somebody is. Loop thread.
 */
#ifndef PARLANCE_PLUGIN_AUTH_H
#define PARLANCE_PLUGIN_AUTH_H

#include "base/slice.h"
#include "parlance/auth.h"
#include "plugin/plugins.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The answer. Borrowed for the call. */
struct auth_answer {
	bool accepted;
	/* When accepted; checked to be what parlance/auth.h promises. */
	struct slice user;
	int64_t expires_ms; /* wall clock; 0: never */
	struct slice claims; /* a JSON object, or empty */
	struct slice token_id, session; /* what it can be revoked by; each may be empty */
	int64_t issued_ms;              /* wall clock; 0: unknown */
	/* When not. */
	enum parlance_auth_verdict verdict;
	const char *detail; /* for the log; not NULL */
};

typedef void auth_done_fn(void *arg, const struct auth_answer *answer);

/* What is to be verified, and what is known of its bearer. */
struct auth_question {
	struct slice token;
	struct slice address;
	struct slice origin;
	struct slice issuer, audience; /* what the listener demands; empty: nothing */
};

/** Verifies a token (the question is copied). done(arg, …) is called exactly once, from the loop, not
 * from within; PARLANCE_AUTH_TEMPORARY after timeout_ms. 0, or PARLANCE_ENOMEM, PARLANCE_ECLOSED
 * (after plugins_destroy); then done is not called. */
MUST_USE int auth_verify(struct plugins *plugins, const struct auth_question *question,
			 uint32_t timeout_ms, auth_done_fn *done, void *arg);

#ifdef __cplusplus
}
#endif
#endif
