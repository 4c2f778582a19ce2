/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Tokens that are being asked about, and what was answered about others lately, by a hash of the
 * token: no token is kept. Loop thread.
 */
#ifndef AUTH_HTTP_TABLE_H
#define AUTH_HTTP_TABLE_H

#include "answer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TABLE_KEY_BYTES 32

struct table;

/* Somebody who waits for the answer. */
struct waiter {
	struct waiter *next;
	struct entry *entry;
	struct parlance_auth_op *op;
	const struct parlance_auth_request *request;
};

struct entry {
	struct entry *chain;       /* of its bucket */
	struct entry *prev, *next; /* all, the one that was used last first */
	void *owner;
	unsigned char key[TABLE_KEY_BYTES];
	bool in_table;
	bool pending;
	struct answer answer;    /* when it is not pending any more */
	uint64_t until_ms;       /* monotonic: how long it is good */
	struct waiter *waiters;  /* while it is pending */
	struct parlance_http *http;
	int status;
	char *body;
	size_t body_len;
};

/** NULL: out of memory. */
struct table *table_new(const struct parlance_host *host);
/** Frees it with all entries, and clears the pointer. Harmless on NULL. */
void table_free(struct table **table);

/** The key of a token. False: out of memory. */
bool table_key(const struct table *table, struct parlance_str token,
	       unsigned char key[TABLE_KEY_BYTES]);
/** The entry of the key that is pending, or good at that time; or NULL. */
struct entry *table_find(struct table *table, const unsigned char key[TABLE_KEY_BYTES],
			 uint64_t now_ms);
/** A new pending entry. NULL: out of memory. */
struct entry *table_add(struct table *table, const unsigned char key[TABLE_KEY_BYTES]);
/** It is pending no more. */
void table_answered(struct table *table, struct entry *entry);
/** Is not found any more; to be freed with table_drop. */
void table_hide(struct table *table, struct entry *entry);
/** Frees an entry. */
void table_drop(struct table *table, struct entry *entry);
/** Drops the answers that were not used for longest, until there are no more than max. */
void table_trim(struct table *table, size_t max);
/** Hides all that is pending, drops all that is not. */
void table_forget(struct table *table);
size_t table_pending(const struct table *table);

#ifdef __cplusplus
}
#endif
#endif
