/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* auth_http: the contract, with a service on a socket. With an argument, for the shared object of
 * that path. */
#include <stdio.h>
#include <stdlib.h>

#include "contract_auth.h"
#include "plugin/http_service.h"
#include "plugin/mock_host_http.h"

#define GOOD "good-token-of-twenty-bytes"
#define BAD "bad-token-of-twenty-bytes"
#define EXPIRED "old-token-of-twenty-bytes"

static const struct service_case cases[] = {
	{ "Bearer " GOOD "\r\n", 200, "{\"userId\":\"u1\",\"expiresAt\":4102444800000}" },
	{ "Bearer " EXPIRED "\r\n", 401, "{\"expired\":true}" },
	{ "", 401, "" },
};

static void init(struct mock_host *m)
{
	mock_http_init(m, NULL);
}

static int run(int argc, char **argv, const char *url, const char *cache_s)
{
	const struct mock_option options[] = {
		{ "url", url }, { "cache_s", cache_s }, { "denied_cache_s", cache_s }
	};
	const struct mock_option refused[] = { { "url", "http://other.example/" } };
	const struct auth_contract contract = {
		.plugin = argc > 1 ? NULL : parlance_plugin_v1,
		.path = argc > 1 ? argv[1] : NULL,
		.options = options,
		.n_options = ARRAY_LEN(options),
		.refused = refused,
		.n_refused = ARRAY_LEN(refused),
		.good = GOOD,
		.user = "u1",
		.bad = BAD,
		.expired = EXPIRED,
		.init = init,
	};

	return auth_contract_run(&contract);
}

int main(int argc, char **argv)
{
	struct service service;
	int failed;

	service_start(&service);
	service_set_cases(&service, cases, ARRAY_LEN(cases));
	failed = run(argc, argv, service.url, "60");
	failed += run(argc, argv, service.url, "0");
	service_stop(&service);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
