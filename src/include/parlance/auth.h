/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Auth plugins say who the bearer of a token is. plugin.h has the contract (R1 to R5).
 */
#ifndef PARLANCE_AUTH_H
#define PARLANCE_AUTH_H

#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PARLANCE_USER_MAX 255     /* bytes of a user's id */
#define PARLANCE_TOKEN_ID_MAX 255 /* bytes of a token's id, and of a session's */

/* One verification. The plugin may keep a pointer of its own in it. */
struct parlance_auth_op {
	void *plugin;
};

/* Borrowed until the operation completes. */
struct parlance_auth_request {
	uint32_t size;
	struct parlance_str token;   /* as the client gave it, not empty */
	struct parlance_str address; /* of the client */
	struct parlance_str origin;  /* of the page, or empty */
	/* What the listener demands of a token, beside the plugin's own options; empty: nothing. */
	struct parlance_str issuer;
	struct parlance_str audience;
};

struct parlance_identity {
	uint32_t size;
	struct parlance_str subject; /* the user's id: 1 to PARLANCE_USER_MAX bytes of UTF-8, no
				      * control characters */
	int64_t expires_ms;          /* wall clock; 0: never */
	struct parlance_str claims;  /* JSON object for the log and other plugins, or empty */
	/* What it can be revoked by, beside the subject; each may be empty (0). 1 to
	 * PARLANCE_TOKEN_ID_MAX bytes of UTF-8, no control characters. */
	struct parlance_str token_id; /* of this token (a JWT's jti) */
	struct parlance_str session;  /* of the sign-in that it comes from (a JWT's sid) */
	int64_t issued_ms;            /* wall clock */
};

enum parlance_auth_verdict {
	PARLANCE_AUTH_DENIED = 1, /* not a valid token */
	PARLANCE_AUTH_EXPIRED,    /* it was one */
	/* Could not tell (a service is away). Admits nobody, and is not held against the client. */
	PARLANCE_AUTH_TEMPORARY,
};

struct parlance_auth_ops {
	uint32_t size;
	/** Verifies a token, and completes op through the sink, now or later. */
	void (*verify)(void *self, struct parlance_auth_op *op,
		       const struct parlance_auth_request *request);
	/** The result is no longer wanted: complete op soon (reject it as TEMPORARY). */
	void (*cancel)(void *self, struct parlance_auth_op *op);
};

/* parlance_host.sink of an auth plugin. Either function ends the operation. */
struct parlance_auth_sink {
	uint32_t size;
	void (*accept)(struct parlance_auth_op *op, const struct parlance_identity *identity);
	/** detail: terminated text for the log, without the token; the client does not see it. */
	void (*reject)(struct parlance_auth_op *op, enum parlance_auth_verdict verdict,
		       const char *detail);
};

#ifdef __cplusplus
}
#endif
#endif
