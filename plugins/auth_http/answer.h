/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the service says of a token. Loop thread.
 */
#ifndef AUTH_HTTP_ANSWER_H
#define AUTH_HTTP_ANSWER_H

#include "parlance/auth.h"

#ifdef __cplusplus
extern "C" {
#endif

#define ANSWER_BYTES_MAX 65536 /* of the service's answer */

enum answer_kind {
	ANSWER_ACCEPTED = 1,
	ANSWER_DENIED,
	ANSWER_EXPIRED,
	ANSWER_NONE, /* could not tell */
};

struct answer {
	enum answer_kind kind;
	const char *detail; /* static text, but for ANSWER_ACCEPTED */
	/* ANSWER_ACCEPTED: texts are in one piece of memory, the answer's own. */
	struct parlance_identity identity;
	char *texts;
};

/** Reads an answer; *out is freed with answer_fini. */
void answer_read(struct answer *out, int status, struct parlance_str body);
void answer_fini(struct answer *answer);

/** NULL when the claims are of the issuer and for the audience (empty: any); else what is wrong,
 * static text. */
const char *answer_check_demands(const struct answer *answer, struct parlance_str issuer,
				 struct parlance_str audience);

#ifdef __cplusplus
}
#endif
#endif
