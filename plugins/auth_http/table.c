/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* A hash table of chains, with a list of all entries by their last use. */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "table.h"

#define BUCKETS 4096
#define SALT_BYTES 32

struct table {
	/* It makes keys that nobody can foresee, so that no bucket can be filled on purpose, and a
	 * key in a dump of the memory says nothing of the token. */
	unsigned char salt[SALT_BYTES];
	struct entry *buckets[BUCKETS];
	struct entry *first, *last;
	size_t n_pending; /* also hidden ones */
	size_t n_answers;
};

struct table *table_new(const struct parlance_host *host)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t)
		host->random(host->ctx, t->salt, sizeof(t->salt));
	return t;
}

bool table_key(const struct table *t, struct parlance_str token, unsigned char key[TABLE_KEY_BYTES])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 &&
		  EVP_DigestUpdate(ctx, t->salt, sizeof(t->salt)) == 1 &&
		  EVP_DigestUpdate(ctx, token.p, token.len) == 1 &&
		  EVP_DigestFinal_ex(ctx, key, NULL) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

static struct entry **bucket_of(struct table *t, const unsigned char *key)
{
	return &t->buckets[((size_t)key[0] << 8 | key[1]) % BUCKETS];
}

static void unlink_entry(struct table *t, struct entry *e)
{
	*(e->prev ? &e->prev->next : &t->first) = e->next;
	*(e->next ? &e->next->prev : &t->last) = e->prev;
}

static void push_front(struct table *t, struct entry *e)
{
	e->prev = NULL;
	e->next = t->first;
	*(t->first ? &t->first->prev : &t->last) = e;
	t->first = e;
}

void table_hide(struct table *t, struct entry *e)
{
	struct entry **at = bucket_of(t, e->key);

	if (!e->in_table)
		return;
	while (*at != e)
		at = &(*at)->chain;
	*at = e->chain;
	e->in_table = false;
}

void table_drop(struct table *t, struct entry *e)
{
	table_hide(t, e);
	unlink_entry(t, e);
	*(e->pending ? &t->n_pending : &t->n_answers) -= 1;
	answer_fini(&e->answer);
	free(e->body);
	free(e);
}

void table_free(struct table **tp)
{
	struct table *t = *tp;

	if (!t)
		return;
	*tp = NULL;
	while (t->first)
		table_drop(t, t->first);
	free(t);
}

struct entry *table_find(struct table *t, const unsigned char key[TABLE_KEY_BYTES], uint64_t now_ms)
{
	struct entry *e = *bucket_of(t, key);

	while (e && memcmp(e->key, key, TABLE_KEY_BYTES) != 0)
		e = e->chain;
	if (e && !e->pending && e->until_ms <= now_ms) {
		table_drop(t, e);
		return NULL;
	}
	if (e) {
		unlink_entry(t, e);
		push_front(t, e);
	}
	return e;
}

struct entry *table_add(struct table *t, const unsigned char key[TABLE_KEY_BYTES])
{
	struct entry *e = calloc(1, sizeof(*e));
	struct entry **bucket = bucket_of(t, key);

	if (!e)
		return NULL;
	memcpy(e->key, key, TABLE_KEY_BYTES);
	e->pending = true;
	e->in_table = true;
	e->chain = *bucket;
	*bucket = e;
	push_front(t, e);
	t->n_pending++;
	return e;
}

void table_answered(struct table *t, struct entry *e)
{
	e->pending = false;
	t->n_pending--;
	t->n_answers++;
}

void table_trim(struct table *t, size_t max)
{
	struct entry *e = t->last;

	while (e && t->n_answers > max) {
		struct entry *before = e->prev;

		if (!e->pending)
			table_drop(t, e);
		e = before;
	}
}

void table_forget(struct table *t)
{
	struct entry *e = t->first;

	while (e) {
		struct entry *next = e->next;

		if (e->pending)
			table_hide(t, e);
		else
			table_drop(t, e);
		e = next;
	}
}

size_t table_pending(const struct table *t)
{
	return t->n_pending;
}
