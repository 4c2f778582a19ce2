/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Asking an auth plugin in a mock host, and what it answered. Whatever no auth plugin may do ends
 * the program: answering twice, accepting nobody, a detail with the token in it. Loop thread.
 */
#ifndef PARLANCE_TESTS_PLUGIN_AUTH_RIG_H
#define PARLANCE_TESTS_PLUGIN_AUTH_RIG_H

#include "mock_host.h"
#include "parlance/auth.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RIG_ACCEPTED 0 /* beside enum parlance_auth_verdict */
#define RIG_PENDING (-1)

/* One verification; zeroed before first use. */
struct rig_op {
	struct parlance_auth_op pub;
	struct parlance_auth_request request;
	struct mock_host *m;
	char *token;
	int verdict; /* RIG_PENDING until it is answered */
	char subject[PARLANCE_USER_MAX + 1];
	int64_t expires_ms;
	int64_t issued_ms;
	char token_id[PARLANCE_TOKEN_ID_MAX + 1];
	char session[PARLANCE_TOKEN_ID_MAX + 1];
	char *claims;
	char detail[256];
};

/* parlance_host.sink of the mock host. */
extern const struct parlance_auth_sink rig_sink;

/** What the listener demands from now on, borrowed; "": nothing. */
void rig_demand(const char *issuer, const char *audience);

/** Begins; the token is copied. */
void rig_verify(struct mock_host *m, struct rig_op *op, const char *token, size_t len);
void rig_cancel(struct rig_op *op);
/** For mock_run_until: it is answered. */
bool rig_answered(void *op);
/** Frees what an answered one holds. */
void rig_fini(struct rig_op *op);

/** The whole way, up to 5 s: what it was answered. *op is valid until rig_fini. */
int rig_ask(struct mock_host *m, struct rig_op *op, const char *token, size_t len);

#ifdef __cplusplus
}
#endif
#endif
