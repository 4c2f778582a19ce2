/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* From options to keys: every way to be mistaken about a key is refused here, at the start. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "keys.h"
#include "pem.h"
#include "weak.h"

#define KEYS_MAX 64
#define ALGORITHMS_MAX 16
#define SECRET_MIN 8 /* bytes; what is shorter is guessed in no time */

/* One of the two. */
struct key {
	struct jwtlib_key *secret;
	struct pubkey *public;
	enum family family;
	char kid[KID_MAX + 1];
	bool has_kid;
};

struct keys {
	const struct algorithm *algorithms[ALGORITHMS_MAX];
	size_t n_algorithms;
	struct key keys[KEYS_MAX];
	size_t n_keys;
	bool any_kid;
};

static int fail(char *err, size_t err_size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(char *err, size_t err_size, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(err, err_size, fmt, ap);
	va_end(ap);
	return -1;
}

static struct parlance_str str_of(const char *text)
{
	return (struct parlance_str){ text, strlen(text) };
}

static int add_algorithms(struct keys *k, const struct parlance_list *names, char *err,
			  size_t err_size)
{
	if (!names->n)
		return fail(err, err_size, "algorithms is empty; name at least one, such as HS256");
	for (size_t i = 0; i < names->n; i++) {
		const char *name = names->items[i];
		const struct algorithm *alg = algorithm_find(str_of(name));

		if (strcasecmp(name, "none") == 0)
			return fail(err, err_size,
				    "algorithms names \"none\", which would admit everybody; take "
				    "it out");
		if (!alg)
			return fail(err, err_size,
				    "algorithms names \"%.32s\"; there are HS256, HS384, HS512, "
				    "RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, "
				    "ES512 and EdDSA",
				    name);
		if (keys_algorithm(k, str_of(name)))
			continue;
		if (k->n_algorithms == ALGORITHMS_MAX)
			return fail(err, err_size, "algorithms names too many");
		k->algorithms[k->n_algorithms++] = alg;
	}
	return 0;
}

/* The algorithm of the family with the longest hash: the one a key must be long enough for. */
static const struct algorithm *strongest(const struct keys *k, enum family family)
{
	const struct algorithm *best = NULL;

	for (size_t i = 0; i < k->n_algorithms; i++) {
		if (k->algorithms[i]->family == family &&
		    (!best || k->algorithms[i]->hash_bytes > best->hash_bytes))
			best = k->algorithms[i];
	}
	return best;
}

static int check_secret(const struct parlance_host *host, const struct algorithm *alg,
			struct parlance_str secret, const char *source, char *err,
			size_t err_size)
{
	char line[256];

	if (pem_is_other_form(secret))
		return fail(err, err_size,
			    "%s looks like a public key that is not in PEM; convert it, it must "
			    "not serve as a secret",
			    source);
	if (secret.len < SECRET_MIN)
		return fail(err, err_size,
			    "%s is shorter than %d bytes; make a secret with openssl rand -base64 "
			    "48",
			    source, SECRET_MIN);
	if (weak_secret(secret))
		return fail(err, err_size,
			    "%s is a secret that everybody knows; make one with openssl rand "
			    "-base64 48",
			    source);
	if (secret.len < jwtlib_hmac_min(alg))
		return fail(err, err_size,
			    "%s is shorter than the %zu bytes that libjwt demands for %s; make a "
			    "longer secret with openssl rand -base64 48",
			    source, jwtlib_hmac_min(alg), alg->name);
	if (secret.len < alg->hash_bytes) {
		(void)snprintf(line, sizeof(line),
			       "%s is shorter than the %zu bytes that RFC 7518 demands for %s; "
			       "make a longer secret with openssl rand -base64 48",
			       source, alg->hash_bytes, alg->name);
		host->log(host->ctx, PARLANCE_LOG_WARNING, line);
	}
	return 0;
}

/* Takes the key over. */
static int add_key(struct keys *k, enum family family, const char *kid, struct jwtlib_key **secret,
		   struct pubkey **public, const char *source, char *err, size_t err_size)
{
	struct key *key = &k->keys[k->n_keys];

	for (size_t i = 0; i < k->n_keys; i++) {
		if (k->keys[i].family == family && k->keys[i].has_kid == (kid != NULL) &&
		    (!kid || strcmp(k->keys[i].kid, kid) == 0))
			return fail(err, err_size,
				    "%s is the second key of its kind with %s; give each an id of "
				    "its own in keys",
				    source, kid ? "that id" : "no id");
	}
	if (k->n_keys == KEYS_MAX)
		return fail(err, err_size, "there are more than %d keys", KEYS_MAX);
	key->secret = *secret;
	key->public = *public;
	*secret = NULL;
	*public = NULL;
	key->family = family;
	if (kid) {
		(void)snprintf(key->kid, sizeof(key->kid), "%s", kid);
		key->has_kid = true;
		k->any_kid = true;
	}
	k->n_keys++;
	return 0;
}

/* A key by what it is: PEM, or else a secret. */
static int add_text(const struct parlance_host *host, struct keys *k, const char *kid,
		    struct parlance_str text, const char *source, char *err, size_t err_size)
{
	enum family family = FAMILY_HMAC;
	const struct algorithm *alg;
	struct jwtlib_key *secret = NULL;
	struct pubkey *public = NULL;
	int rc;

	if (pem_is(text)) {
		public = pem_read(text, source, err, err_size);
		if (!public)
			return -1;
		family = pubkey_family(public);
	}
	alg = strongest(k, family);
	if (!alg)
		rc = fail(err, err_size,
			  "%s is %s, and algorithms names none for such a key; add one, or take "
			  "the key out",
			  source,
			  family == FAMILY_HMAC	   ? "a secret"
			  : family == FAMILY_RSA   ? "an RSA key"
			  : family == FAMILY_EDDSA ? "an Ed25519 or Ed448 key"
						   : "an EC key");
	else if (family == FAMILY_HMAC)
		rc = check_secret(host, alg, text, source, err, err_size);
	else
		rc = 0;
	if (rc == 0 && family == FAMILY_HMAC) {
		secret = jwtlib_key_new(text.p, text.len);
		if (!secret)
			rc = fail(err, err_size, "%s is not accepted by libjwt", source);
	}
	if (rc == 0)
		rc = add_key(k, family, kid, &secret, &public, source, err, err_size);
	jwtlib_key_free(&secret);
	pubkey_free(&public);
	return rc;
}

static int add_source(const struct parlance_host *host, struct keys *k, const char *kid,
		      const char *source, const char *option, char *err, size_t err_size)
{
	struct parlance_str text;
	char why[256] = "";
	char label[320];

	if (host->secret(host->ctx, source, &text, why, sizeof(why)))
		return fail(err, err_size, "%s: %s", option, why);
	(void)snprintf(label, sizeof(label), "%s%s%s", option, kid ? " of id " : "",
		       kid ? kid : "");
	return add_text(host, k, kid, text, label, err, err_size);
}

static int add_named(const struct parlance_host *host, struct keys *k, const char *item, char *err,
		     size_t err_size)
{
	const char *equals = strchr(item, '=');
	size_t len = equals ? (size_t)(equals - item) : 0;
	char kid[KID_MAX + 1];

	/* The item is not shown: it may be a secret that was put there by mistake. */
	if (!len || len > KID_MAX || !equals[1])
		return fail(err, err_size,
			    "keys has an item that is not KID=file:/PATH or KID=credential:NAME");
	memcpy(kid, item, len);
	kid[len] = '\0';
	return add_source(host, k, kid, equals + 1, "keys", err, err_size);
}

/* Whether an algorithm is for public keys, which key sets may bring. */
static bool has_public(const struct keys *k)
{
	for (size_t i = 0; i < k->n_algorithms; i++) {
		if (k->algorithms[i]->family != FAMILY_HMAC)
			return true;
	}
	return false;
}

static int check_use(const struct keys *k, bool has_sets, char *err, size_t err_size)
{
	if (!k->n_keys && !has_sets)
		return fail(err, err_size,
			    "there is no key to verify tokens with; set secret (or "
			    "JWT_ACCESS_SECRET in the environment), key_file, keys or jwks");
	if (has_sets && !has_public(k))
		return fail(err, err_size,
			    "jwks brings public keys, and algorithms names none for such; set it to "
			    "what the issuers sign with, such as RS256, ES256, EdDSA");
	for (size_t i = 0; i < k->n_algorithms; i++) {
		size_t n = 0;

		if (has_sets && k->algorithms[i]->family != FAMILY_HMAC)
			continue;
		while (n < k->n_keys && k->keys[n].family != k->algorithms[i]->family)
			n++;
		if (n == k->n_keys)
			return fail(err, err_size,
				    "algorithms names %s, and there is no key for it; add one, or "
				    "take it out",
				    k->algorithms[i]->name);
	}
	return 0;
}

struct keys *keys_new(const struct parlance_host *host, const struct keys_config *config, char *err,
		      size_t err_size)
{
	struct keys *k = calloc(1, sizeof(*k));
	int rc;

	if (!k) {
		(void)fail(err, err_size, "out of memory");
		return NULL;
	}
	rc = add_algorithms(k, &config->algorithms, err, err_size);
	if (rc == 0 && config->secret[0] && pem_is(str_of(config->secret)))
		rc = fail(err, err_size,
			  "secret is a key in PEM; put it into a file and name that in key_file");
	else if (rc == 0 && config->secret[0])
		rc = add_text(host, k, NULL, str_of(config->secret), "secret", err, err_size);
	if (rc == 0 && config->key_file[0])
		rc = add_source(host, k, NULL, config->key_file, "key_file", err, err_size);
	for (size_t i = 0; rc == 0 && i < config->keys.n; i++)
		rc = add_named(host, k, config->keys.items[i], err, err_size);
	if (rc == 0)
		rc = check_use(k, config->has_sets, err, err_size);
	if (rc)
		keys_free(&k);
	return k;
}

void keys_free(struct keys **kp)
{
	struct keys *k = *kp;

	if (!k)
		return;
	*kp = NULL;
	for (size_t i = 0; i < k->n_keys; i++) {
		jwtlib_key_free(&k->keys[i].secret);
		pubkey_free(&k->keys[i].public);
	}
	free(k);
}

const struct algorithm *keys_algorithm(const struct keys *k, struct parlance_str name)
{
	const struct algorithm *alg = algorithm_find(name);

	for (size_t i = 0; alg && i < k->n_algorithms; i++) {
		if (k->algorithms[i] == alg)
			return alg;
	}
	return NULL;
}

static bool kid_fits(const struct key *key, struct parlance_str kid)
{
	if (!key->has_kid || !kid.p)
		return key->has_kid == (kid.p != NULL);
	return strlen(key->kid) == kid.len && memcmp(key->kid, kid.p, kid.len) == 0;
}

struct found_key keys_find(const struct keys *k, const struct algorithm *alg,
			   struct parlance_str kid)
{
	for (size_t i = 0; i < k->n_keys; i++) {
		if (k->keys[i].family == alg->family && (!k->any_kid || kid_fits(&k->keys[i], kid)))
			return (struct found_key){ k->keys[i].secret, k->keys[i].public };
	}
	return (struct found_key){ NULL, NULL };
}
