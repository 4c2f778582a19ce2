/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What a token whose signature is good says (RFC 7519), against what is wanted. Any thread.
 */
#ifndef AUTH_JWT_CLAIMS_H
#define AUTH_JWT_CLAIMS_H

#include "common/json.h"
#include "parlance/auth.h"

#ifdef __cplusplus
extern "C" {
#endif

struct claims_config {
	struct parlance_list issuers;     /* empty: any */
	struct parlance_list audiences;   /* empty: any */
	struct parlance_list user_claims; /* the first one that is there counts */
	int64_t leeway_ms;
	bool require_exp;
};

/* What is demanded beside the configuration, each may be empty. */
struct claims_demands {
	struct parlance_str issuer;
	struct parlance_str audience;
};

struct claims_id {
	size_t len; /* 0: there is none */
	char text[PARLANCE_TOKEN_ID_MAX];
};

struct claims_result {
	char subject[PARLANCE_USER_MAX];
	size_t subject_len;
	struct claims_id token_id; /* jti */
	struct claims_id session;  /* sid */
	int64_t issued_ms;         /* iat; 0: not said */
	int64_t expires_ms; /* leeway included; 0: never */
	bool expired;       /* and nothing else is wrong */
};

/** NULL: the claims are as wanted, and *result is filled. Else what is wrong, for the log: static
 * text. */
const char *claims_check(const struct json_object *claims, const struct claims_config *config,
			 const struct claims_demands *demands, int64_t now_ms,
			 struct claims_result *result);

/** The header's fields apart from alg and kid; as above. */
const char *claims_check_header(const struct json_object *header);

#ifdef __cplusplus
}
#endif
#endif
