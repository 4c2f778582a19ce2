/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What every auth plugin must do, whatever its tokens are. Whatever one may never do (answer twice,
 * leave something behind, show a token) ends the program, see plugin/auth_rig.h and
 * plugin/mock_host.h.
 */
#ifndef PARLANCE_TESTS_CONTRACT_CONTRACT_AUTH_H
#define PARLANCE_TESTS_CONTRACT_CONTRACT_AUTH_H

#include "parlance/auth.h"
#include "plugin/mock_host.h"

#ifdef __cplusplus
extern "C" {
#endif

struct auth_contract {
	parlance_plugin_fn *plugin; /* linked with the test */
	const char *path;           /* or a shared object, where plugin is NULL */
	const struct mock_option *options;
	size_t n_options;
	const struct mock_option *refused; /* options with which create fails, or NULL */
	size_t n_refused;
	/* Tokens, at the time of the system's clock. */
	const char *good;
	const char *user;    /* whom good is for */
	const char *bad;     /* looks like a token, and is not valid */
	const char *expired; /* or NULL: there is no such thing */
	/* What no line of the log, and no detail, may show. */
	const char *const *secrets;
	size_t n_secrets;
	uint64_t deadline_ms; /* of what takes long; 0: 10 s */
	void (*init)(struct mock_host *m); /* after mock_new (mock_http_init), or NULL */
};

/** Runs the suite: the number of tests that failed. */
int auth_contract_run(const struct auth_contract *contract);

#ifdef __cplusplus
}
#endif
#endif
