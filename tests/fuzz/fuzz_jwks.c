/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * JSON Web Key Sets, as a service that is not believed sends them: bounds are kept, what is wrong is
 * said in one line, and a key that is found is of the algorithm's family. One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../plugins/auth_jwt/keyset.h"
#include "base/check.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const algorithms[] = { "RS256", "PS256", "ES256", "ES384", "ES512", "EdDSA" };
static const char *const kids[] = { NULL, "", "k1", "k2" };

static void check_set(const struct keyset *set)
{
	CHECK(keyset_size(set) <= KEYSET_KEYS_MAX);
	for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
		struct parlance_str name = { algorithms[i], strlen(algorithms[i]) };
		const struct algorithm *alg = algorithm_find(name);

		CHECK(alg);
		for (size_t k = 0; k < ARRAY_LEN(kids); k++) {
			struct parlance_str kid = { kids[k], kids[k] ? strlen(kids[k]) : 0 };
			const struct pubkey *key = keyset_find(set, alg, kid);

			CHECK(!key || pubkey_family(key) == alg->family);
			CHECK(!key || keyset_size(set) > 0);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = malloc(size ? size : 1);
	char note[KEYSET_NOTE_MAX] = "";
	struct keyset *set = NULL;

	CHECK(exact);
	if (size)
		memcpy(exact, data, size);
	if (keyset_read(&set, (struct parlance_str){ exact, size }, note) == 0)
		check_set(set);
	else
		CHECK(!set && note[0]);
	CHECK(memchr(note, '\0', sizeof(note)) && !strchr(note, '\n'));
	CHECK(utf8_valid(note, strlen(note)));
	keyset_free(&set);
	free(exact);
	return 0;
}
