/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* auth_jwt: the contract. With an argument, for the shared object of that path. */
#include <stdlib.h>
#include <string.h>

#include "contract_auth.h"
#include "plugin/jwt_mint.h"

#define SECRET "kT7mQ2xZ9vB4nW8rY3pL6sD1fG5hJ0aC"

static const struct mock_option options[] = { { "secret", SECRET } };
static const struct mock_option refused[] = { { "secret", SECRET }, { "algorithms", "RS256" } };
static const char *const secrets[] = { SECRET };

static char *mint(const char *claims, const char *secret)
{
	return mint_hmac("HS256", NULL, claims, secret, strlen(secret));
}

int main(int argc, char **argv)
{
	char *good = mint("{\"sub\":\"u1\",\"exp\":4102444800}", SECRET);
	char *bad = mint("{\"sub\":\"u1\",\"exp\":4102444800}", "another secret of 32 bytes");
	char *expired = mint("{\"sub\":\"u1\",\"exp\":1600000000}", SECRET);
	const struct auth_contract contract = {
		.plugin = argc > 1 ? NULL : parlance_plugin_v1,
		.path = argc > 1 ? argv[1] : NULL,
		.options = options,
		.n_options = ARRAY_LEN(options),
		.refused = refused,
		.n_refused = ARRAY_LEN(refused),
		.good = good,
		.user = "u1",
		.bad = bad,
		.expired = expired,
		.secrets = secrets,
		.n_secrets = ARRAY_LEN(secrets),
	};
	int failed = auth_contract_run(&contract);

	free(good);
	free(bad);
	free(expired);
	mint_free();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
