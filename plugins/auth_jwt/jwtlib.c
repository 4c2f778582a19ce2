/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The generations of libjwt. 3.x has no macro that says its number, but one that no older one has.
 *
 * Not to be forgotten with 1.x and 2.x: without a key jwt_decode accepts any token; it compares
 * names of algorithms without regard to case; and it takes the algorithm from the token, so a key
 * must not reach it before the token's algorithm was found to be the key's.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <jwt.h>
#include <openssl/err.h>

#include "jwtlib.h"

#ifdef jwt_checker_auto_t

struct jwtlib_key {
	jwk_set_t *set;
	const jwk_item_t *item;
};

size_t jwtlib_hmac_min(const struct algorithm *alg)
{
	return alg->hash_bytes;
}

/* The JWK of a secret, the only form that 3.x takes: terminated JSON. NULL: no memory. */
static char *jwk_of_secret(const char *bytes, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	static const char begin[] = "{\"kty\":\"oct\",\"k\":\"";
	char *out = malloc(sizeof(begin) + len / 3 * 4 + 8);
	size_t n = sizeof(begin) - 1;
	uint32_t bits = 0;
	unsigned n_bits = 0;

	if (!out)
		return NULL;
	memcpy(out, begin, n);
	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | (unsigned char)bytes[i];
		n_bits += 8;
		while (n_bits >= 6) {
			n_bits -= 6;
			out[n++] = digits[bits >> n_bits & 63];
		}
	}
	if (n_bits)
		out[n++] = digits[bits << (6 - n_bits) & 63];
	memcpy(out + n, "\"}", 3);
	return out;
}

struct jwtlib_key *jwtlib_key_new(const char *bytes, size_t len)
{
	struct jwtlib_key *key = calloc(1, sizeof(*key));
	size_t json_len;
	char *json = NULL;

	if (!key)
		return NULL;
	json = jwk_of_secret(bytes, len);
	if (!json)
		goto fail;
	json_len = strlen(json);
	key->set = jwks_create_strn(json, json_len);
	explicit_bzero(json, json_len);
	free(json);
	if (!key->set || jwks_error(key->set))
		goto fail;
	key->item = jwks_item_get(key->set, 0);
	if (!key->item || jwks_item_error(key->item))
		goto fail;
	ERR_clear_error();
	return key;
fail:
	ERR_clear_error();
	jwtlib_key_free(&key);
	return NULL;
}

void jwtlib_key_free(struct jwtlib_key **keyp)
{
	struct jwtlib_key *key = *keyp;

	if (!key)
		return;
	*keyp = NULL;
	jwks_free(key->set);
	free(key);
}

enum signature_result jwtlib_verify(const struct jwtlib_key *key, const struct algorithm *alg,
				    const char *token)
{
	jwt_checker_t *checker;
	bool good;

	if (alg->family != FAMILY_HMAC)
		return SIGNATURE_BAD;
	checker = jwt_checker_new();
	if (!checker)
		return SIGNATURE_NO_MEMORY;
	/* The times are judged elsewhere, with our clock. */
	good = jwt_checker_setkey(checker, jwt_str_alg(alg->name), key->item) == 0 &&
	       jwt_checker_time_leeway(checker, JWT_CLAIM_EXP, -1) == 0 &&
	       jwt_checker_time_leeway(checker, JWT_CLAIM_NBF, -1) == 0 &&
	       jwt_checker_verify(checker, token) == 0;
	jwt_checker_free(checker);
	ERR_clear_error();
	return good ? SIGNATURE_GOOD : SIGNATURE_BAD;
}

#else

/* In pages of its own, which are left out of core dumps, and not swapped out where the system allows
 * that: a secret is no more than that. */
struct jwtlib_key {
	size_t size; /* of the pages */
	size_t len;
	unsigned char bytes[];
};

size_t jwtlib_hmac_min(const struct algorithm *alg)
{
	(void)alg;
	return 1;
}

struct jwtlib_key *jwtlib_key_new(const char *bytes, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t size = (sizeof(struct jwtlib_key) + len + page - 1) / page * page;
	struct jwtlib_key *key;
	void *pages;

	if (!len || len > INT_MAX)
		return NULL;
	pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (pages == MAP_FAILED)
		return NULL;
	(void)madvise(pages, size, MADV_DONTDUMP);
	(void)mlock(pages, size);
	key = pages;
	key->size = size;
	key->len = len;
	memcpy(key->bytes, bytes, len);
	return key;
}

void jwtlib_key_free(struct jwtlib_key **keyp)
{
	struct jwtlib_key *key = *keyp;

	if (!key)
		return;
	*keyp = NULL;
	explicit_bzero(key->bytes, key->len);
	(void)munmap(key, key->size);
}

enum signature_result jwtlib_verify(const struct jwtlib_key *key, const struct algorithm *alg,
				    const char *token)
{
	jwt_t *jwt = NULL;
	bool good;
	int rc;

	if (alg->family != FAMILY_HMAC)
		return SIGNATURE_BAD;
	rc = jwt_decode(&jwt, token, key->bytes, (int)key->len);
	good = rc == 0 && jwt && jwt_get_alg(jwt) == jwt_str_alg(alg->name);
	jwt_free(jwt);
	/* What a refused signature leaves in OpenSSL's queue of errors would be taken by the next
	 * TLS connection of this thread for its own. */
	ERR_clear_error();
	if (good)
		return SIGNATURE_GOOD;
	return rc == ENOMEM ? SIGNATURE_NO_MEMORY : SIGNATURE_BAD;
}

#endif
