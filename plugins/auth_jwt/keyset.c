/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Sets of keys. One key that cannot be used does not spoil the others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyset.h"

#define KID_SHOWN 40

struct keyset {
	size_t n;
	struct jwk keys[KEYSET_KEYS_MAX];
};

/* What was left out, the first of it by name. */
struct left_out {
	size_t n;
	char first[160];
};

static bool fits(const struct jwk *jwk, const struct algorithm *alg)
{
	return pubkey_family(jwk->key) == alg->family && (!jwk->alg || jwk->alg == alg);
}

static bool is_taken(const struct keyset *set, const struct jwk *jwk)
{
	for (size_t i = 0; jwk->has_kid && i < set->n; i++) {
		const struct jwk *other = &set->keys[i];

		if (other->has_kid && other->kid_len == jwk->kid_len &&
		    memcmp(other->kid, jwk->kid, jwk->kid_len) == 0 &&
		    pubkey_family(other->key) == pubkey_family(jwk->key))
			return true;
	}
	return false;
}

/* An id comes from outside, and goes into the log. */
static void leave_out(struct left_out *out, const struct jwk *jwk, const char *why)
{
	char shown[KID_SHOWN + 1];
	size_t n = 0;

	if (out->n++)
		return;
	for (; n < jwk->kid_len && n < KID_SHOWN; n++) {
		char c = jwk->kid[n];

		shown[n] = c > 0x20 && c < 0x7f && c != '"' ? c : '?';
	}
	shown[n] = '\0';
	if (jwk->has_kid)
		(void)snprintf(out->first, sizeof(out->first), "the key \"%s\" %s", shown, why);
	else
		(void)snprintf(out->first, sizeof(out->first), "a key without an id %s", why);
}

static void add(struct keyset *set, struct json_object *object, const struct json_value *v,
		struct left_out *out)
{
	struct jwk *jwk = &set->keys[set->n];
	const char *problem = "is not a JSON object of a usable size";

	*jwk = (struct jwk){ .key = NULL };
	if (v->type == JSON_OBJECT && json_read_long(object, v->raw) == JSON_FINE)
		problem = jwk_read(jwk, object);
	if (!problem && is_taken(set, jwk)) {
		problem = "has the id of another";
		jwk_fini(jwk);
	}
	if (problem)
		leave_out(out, jwk, problem);
	else
		set->n++;
}

int keyset_read(struct keyset **out, struct parlance_str json, char note[KEYSET_NOTE_MAX])
{
	struct keyset *set = calloc(1, sizeof(*set));
	struct json_object *object = malloc(sizeof(*object));
	struct left_out left_out = { .n = 0 };
	const char *problem = NULL;
	const struct json_value *keys;
	struct json_value array;
	struct json_value element;
	size_t total = 0;
	size_t at = 0;

	*out = NULL;
	note[0] = '\0';
	if (!set || !object) {
		problem = "out of memory";
		goto out;
	}
	keys = json.len <= KEYSET_BYTES_MAX && json_read_long(object, json) == JSON_FINE
		       ? json_get(object, "keys")
		       : NULL;
	if (!keys || keys->type != JSON_ARRAY) {
		problem = "it is not a JSON Web Key Set";
		goto out;
	}
	array = *keys;
	while (!problem && json_next(&array, &at, &element)) {
		if (total++ == KEYSET_KEYS_MAX)
			problem = "it has more than 100 keys";
		else
			add(set, object, &element, &left_out);
	}
	if (!problem && left_out.n)
		(void)snprintf(note, KEYSET_NOTE_MAX, "%zu of %zu keys cannot be used: %s%s",
			       left_out.n, total, left_out.first, left_out.n > 1 ? ", …" : "");
out:
	free(object);
	if (problem) {
		(void)snprintf(note, KEYSET_NOTE_MAX, "%s", problem);
		keyset_free(&set);
		return -1;
	}
	*out = set;
	return 0;
}

void keyset_free(struct keyset **setp)
{
	struct keyset *set = *setp;

	if (!set)
		return;
	*setp = NULL;
	for (size_t i = 0; i < set->n; i++)
		jwk_fini(&set->keys[i]);
	free(set);
}

size_t keyset_size(const struct keyset *set)
{
	return set->n;
}

const struct pubkey *keyset_find(const struct keyset *set, const struct algorithm *alg,
				 struct parlance_str kid)
{
	const struct jwk *found = NULL;

	for (size_t i = 0; i < set->n; i++) {
		const struct jwk *jwk = &set->keys[i];

		if (!fits(jwk, alg))
			continue;
		if (kid.p && jwk->has_kid && jwk->kid_len == kid.len &&
		    memcmp(jwk->kid, kid.p, kid.len) == 0)
			return jwk->key;
		if (!kid.p && found)
			return NULL;
		if (!kid.p)
			found = jwk;
	}
	return found ? found->key : NULL;
}
