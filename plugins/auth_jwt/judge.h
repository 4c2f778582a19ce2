/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * One token, from its text to a judgment. The order is the rule: the token's outside, then its
 * header against our list of algorithms, then the signature with the key that belongs to its issuer
 * and algorithm, and only then what it says. Loop thread.
 */
#ifndef AUTH_JWT_JUDGE_H
#define AUTH_JWT_JUDGE_H

#include "claims.h"
#include "keys.h"
#include "sources.h"

#ifdef __cplusplus
extern "C" {
#endif

struct judge; /* what one judging needs, of which there is never more than one */

/* What it goes by; borrowed. */
struct judge_rules {
	const struct keys *keys;
	struct sources *sources;
	struct claims_config claims;
};

enum judgment {
	JUDGMENT_ACCEPTED = 1,
	JUDGMENT_DENIED,
	JUDGMENT_EXPIRED,
	JUDGMENT_UNKNOWN, /* could not tell */
	JUDGMENT_LATER,   /* a key set is being fetched */
};

/* Valid until the next judging. */
struct judged {
	struct parlance_identity identity; /* JUDGMENT_ACCEPTED */
	const char *detail;                /* JUDGMENT_DENIED, _EXPIRED, _UNKNOWN */
	struct source *source;             /* JUDGMENT_LATER */
};

struct judge *judge_new(void);
void judge_free(struct judge **judge);

enum judgment judge_token(struct judge *judge, const struct judge_rules *rules,
			  const struct parlance_auth_request *request, int64_t now_ms,
			  struct judged *out);

#ifdef __cplusplus
}
#endif
#endif
