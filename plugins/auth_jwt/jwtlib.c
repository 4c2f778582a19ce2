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

#include <jwt.h>
#include <openssl/err.h>

#include "jwtlib.h"

#ifdef jwt_checker_auto_t
#include "jwk.h"
#else
#include <sys/mman.h>
#include <unistd.h>
#endif

static const struct algorithm algorithms[] = {
	{ "HS256", FAMILY_HMAC, 32 }, { "HS384", FAMILY_HMAC, 48 }, { "HS512", FAMILY_HMAC, 64 },
	{ "RS256", FAMILY_RSA, 32 },  { "RS384", FAMILY_RSA, 48 },  { "RS512", FAMILY_RSA, 64 },
	{ "PS256", FAMILY_RSA, 32 },  { "PS384", FAMILY_RSA, 48 },  { "PS512", FAMILY_RSA, 64 },
	{ "ES256", FAMILY_P256, 32 }, { "ES384", FAMILY_P384, 48 }, { "ES512", FAMILY_P521, 64 },
	{ "EdDSA", FAMILY_ED25519, 64 },
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

/* Asked at run time: which names of the enum there are differs from version to version. */
bool jwtlib_knows(const struct algorithm *alg)
{
	jwt_alg_t number = jwt_str_alg(alg->name);

#ifndef jwt_checker_auto_t
	/* The older ones want keys of a type of its own for PS256 (id-RSASSA-PSS), which nobody
	 * has. */
	if (alg->name[0] == 'P')
		return false;
#endif
	return number != JWT_ALG_INVAL && number != JWT_ALG_NONE;
}

#ifdef jwt_checker_auto_t

struct jwtlib_key {
	enum family family;
	jwk_set_t *set;
	const jwk_item_t *item;
};

size_t jwtlib_hmac_min(const struct algorithm *alg)
{
	return alg->hash_bytes;
}

struct jwtlib_key *jwtlib_key_new(enum family family, const char *bytes, size_t len)
{
	struct jwtlib_key *key = calloc(1, sizeof(*key));
	size_t json_len;
	char *json = NULL;

	if (!key)
		return NULL;
	key->family = family;
	json = family == FAMILY_HMAC ? jwk_of_secret(bytes, len) : jwk_of_pem(bytes, len);
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

enum jwtlib_result jwtlib_verify(const struct jwtlib_key *key, const struct algorithm *alg,
				 const char *token)
{
	jwt_checker_t *checker;
	bool good;

	if (alg->family != key->family)
		return JWTLIB_BAD;
	checker = jwt_checker_new();
	if (!checker)
		return JWTLIB_NO_MEMORY;
	/* The times are judged elsewhere, with our clock. */
	good = jwt_checker_setkey(checker, jwt_str_alg(alg->name), key->item) == 0 &&
	       jwt_checker_time_leeway(checker, JWT_CLAIM_EXP, -1) == 0 &&
	       jwt_checker_time_leeway(checker, JWT_CLAIM_NBF, -1) == 0 &&
	       jwt_checker_verify(checker, token) == 0;
	jwt_checker_free(checker);
	ERR_clear_error();
	return good ? JWTLIB_GOOD : JWTLIB_BAD;
}

#else

/* In pages of its own, which are left out of core dumps, and not swapped out where the system allows
 * that: a secret is no more than that. */
struct jwtlib_key {
	enum family family;
	size_t size; /* of the pages */
	size_t len;
	unsigned char bytes[];
};

size_t jwtlib_hmac_min(const struct algorithm *alg)
{
	(void)alg;
	return 1;
}

struct jwtlib_key *jwtlib_key_new(enum family family, const char *bytes, size_t len)
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
	key->family = family;
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

enum jwtlib_result jwtlib_verify(const struct jwtlib_key *key, const struct algorithm *alg,
				 const char *token)
{
	jwt_t *jwt = NULL;
	bool good;
	int rc;

	if (alg->family != key->family)
		return JWTLIB_BAD;
	rc = jwt_decode(&jwt, token, key->bytes, (int)key->len);
	good = rc == 0 && jwt && jwt_get_alg(jwt) == jwt_str_alg(alg->name);
	jwt_free(jwt);
	/* What a refused signature leaves in OpenSSL's queue of errors would be taken by the next
	 * TLS connection of this thread for its own. */
	ERR_clear_error();
	if (good)
		return JWTLIB_GOOD;
	return rc == ENOMEM ? JWTLIB_NO_MEMORY : JWTLIB_BAD;
}

#endif
