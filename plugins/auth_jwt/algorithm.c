/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The table of algorithms. */
#include <string.h>

#include "algorithm.h"

static const struct algorithm algorithms[] = {
	{ "HS256", FAMILY_HMAC, 32 }, { "HS384", FAMILY_HMAC, 48 }, { "HS512", FAMILY_HMAC, 64 },
	{ "RS256", FAMILY_RSA, 32 },  { "RS384", FAMILY_RSA, 48 },  { "RS512", FAMILY_RSA, 64 },
	{ "PS256", FAMILY_RSA, 32 },  { "PS384", FAMILY_RSA, 48 },  { "PS512", FAMILY_RSA, 64 },
	{ "ES256", FAMILY_P256, 32 }, { "ES384", FAMILY_P384, 48 }, { "ES512", FAMILY_P521, 64 },
	{ "EdDSA", FAMILY_EDDSA, 64 },
};

const struct algorithm *algorithm_find(struct parlance_str name)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		if (strlen(algorithms[i].name) == name.len &&
		    memcmp(algorithms[i].name, name.p, name.len) == 0)
			return &algorithms[i];
	}
	return NULL;
}
