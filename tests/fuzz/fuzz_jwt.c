/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Tokens before their signature is looked at, what they claim, and public keys in PEM: bounds are
 * kept, only UTF-8 without controls becomes the id of a user, a token or a session, and a text of
 * base64url stands for one run of bytes. One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "parlance/auth.h"

#include "../../plugins/auth_jwt/claims.h"
#include "../../plugins/auth_jwt/pem.h"
#include "../../plugins/auth_jwt/pubkey.h"
#include "../../plugins/auth_jwt/token.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW_MS INT64_C(1700000000000)

static const char *const users[] = { "userId", "id", "sub" };
static const char *const issuers[] = { "us" };

static void check_claims(struct parlance_str text)
{
	static struct json_object object; /* large */
	struct claims_config config = {
		.user_claims = { 3, users },
		.leeway_ms = 1000,
	};
	const struct claims_demands demands = { .audience = { "us", 2 } };
	const struct claims_demands none = { .audience = { NULL, 0 } };
	struct claims_result result;

	if (json_read(&object, text) != JSON_FINE)
		return;
	CHECK(object.n <= JSON_MEMBERS_MAX);
	(void)claims_check_header(&object);
	for (unsigned i = 0; i < 8; i++) {
		config.require_exp = i & 1;
		config.issuers = (struct parlance_list){ (i & 2) / 2, issuers };
		memset(&result, 0, sizeof(result));
		if (claims_check(&object, &config, i & 4 ? &demands : &none, NOW_MS, &result))
			continue;
		CHECK(result.subject_len >= 1 && result.subject_len <= PARLANCE_USER_MAX);
		CHECK(utf8_valid(result.subject, result.subject_len));
		CHECK(utf8_valid(result.token_id.text, result.token_id.len));
		CHECK(utf8_valid(result.session.text, result.session.len));
		CHECK(result.issued_ms >= 0);
		CHECK(result.expired == (result.expires_ms && NOW_MS >= result.expires_ms));
		CHECK(result.expires_ms || !config.require_exp);
	}
}

static void check_part(struct parlance_str part)
{
	size_t size = part.len;
	char *out = malloc(size + 1);
	char *again = malloc(base64_encoded_len(size) + 1);
	size_t len;

	CHECK(out && again);
	if (token_decode(part, out, size, &len)) {
		CHECK(base64url_encode(out, len, again) == part.len);
		CHECK(memcmp(again, part.p, part.len) == 0);
		check_claims((struct parlance_str){ out, len });
	}
	free(out);
	free(again);
}

static void check_pem(struct parlance_str text)
{
	char err[256] = "";
	struct pubkey *key = pem_read(text, "fuzz", err, sizeof(err));

	if (!key)
		CHECK(strncmp(err, "fuzz ", 5) == 0);
	pubkey_free(&key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = malloc(size ? size : 1);
	struct parlance_str text = { exact, size };
	struct token_parts parts;

	CHECK(exact);
	if (size)
		memcpy(exact, data, size);
	if (token_split(text, &parts)) {
		CHECK(parts.header.len && parts.claims.len && parts.signature.len);
		CHECK(parts.header.len + parts.claims.len + parts.signature.len + 2 == size);
		check_part(parts.header);
		check_part(parts.claims);
		check_part(parts.signature);
	}
	check_claims(text);
	(void)pem_is_other_form(text);
	if (pem_is(text))
		check_pem(text);
	free(exact);
	return 0;
}
