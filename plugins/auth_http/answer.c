/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Answers. What is not exactly as README.md has it says nothing about the token: the service is at
 * fault, and not the client.
 */
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "answer.h"

/* A time in milliseconds that is less was meant in seconds: it is in the year 1973. */
#define MS_MIN INT64_C(100000000000)

static const struct json_value *get(const struct json_object *o, const char *name)
{
	const struct json_value *v = json_get(o, name);

	return v && v->type != JSON_NULL ? v : NULL;
}

/* An id, which may be missing. False: it is none. */
static bool get_id(const struct json_value *v, size_t max, char **at, struct parlance_str *out)
{
	*out = (struct parlance_str){ NULL, 0 };
	if (!v)
		return true;
	if (v->type != JSON_STRING || !json_string(v, *at, max, &out->len) || !out->len)
		return false;
	out->p = *at;
	*at += out->len;
	return !json_has_controls(*out);
}

static const char *get_user(const struct json_value *v, char **at, struct parlance_str *out)
{
	if (v && json_is_integer(v) && v->raw.len <= PARLANCE_USER_MAX) {
		memcpy(*at, v->raw.p, v->raw.len);
		*out = (struct parlance_str){ *at, v->raw.len };
		*at += v->raw.len;
		return NULL;
	}
	if (!v || !get_id(v, PARLANCE_USER_MAX, at, out))
		return "the service's userId is not a string of 1 to 255 bytes without control "
		       "characters, nor an integer";
	return NULL;
}

/* 0 when it is missing. */
static bool get_ms(const struct json_value *v, int64_t *out)
{
	*out = 0;
	if (!v)
		return true;
	if (!json_is_integer(v) || v->raw.p[0] == '-')
		return false;
	for (size_t i = 0; i < v->raw.len; i++)
		*out = *out * 10 + (v->raw.p[i] - '0');
	return *out >= MS_MIN;
}

static const char *get_claims(const struct json_value *v, char **at, struct parlance_str *out)
{
	if (!v)
		return NULL;
	if (v->type != JSON_OBJECT)
		return "the service's claims are not an object";
	memcpy(*at, v->raw.p, v->raw.len);
	*out = (struct parlance_str){ *at, v->raw.len };
	*at += v->raw.len;
	return NULL;
}

static const char *fill(struct parlance_identity *identity, const struct json_object *o, char *at)
{
	const char *problem = get_user(get(o, "userId"), &at, &identity->subject);

	if (problem)
		return problem;
	if (!get_ms(get(o, "expiresAt"), &identity->expires_ms) ||
	    !get_ms(get(o, "issuedAt"), &identity->issued_ms))
		return "the service's expiresAt or issuedAt is not an integer of milliseconds since "
		       "1970";
	if (!get_id(get(o, "tokenId"), PARLANCE_TOKEN_ID_MAX, &at, &identity->token_id) ||
	    !get_id(get(o, "sessionId"), PARLANCE_TOKEN_ID_MAX, &at, &identity->session))
		return "the service's tokenId or sessionId is not a string of 1 to 255 bytes without "
		       "control characters";
	return get_claims(get(o, "claims"), &at, &identity->claims);
}

static void read_object(struct answer *out, const struct json_object *o, int status, size_t len)
{
	const struct json_value *expired = get(o, "expired");
	const char *problem;

	if (expired && expired->type == JSON_BOOL && expired->raw.p[0] == 't') {
		*out = (struct answer){ .kind = ANSWER_EXPIRED,
					.detail = "the service says that it has expired" };
		return;
	}
	if (status != 200)
		return;
	out->identity.size = sizeof(out->identity);
	out->detail = "out of memory";
	/* Decoded texts are not longer than what they stand in. */
	out->texts = malloc(len + PARLANCE_USER_MAX + 2 * PARLANCE_TOKEN_ID_MAX);
	if (!out->texts)
		return;
	problem = fill(&out->identity, o, out->texts);
	out->detail = problem;
	if (!problem)
		out->kind = ANSWER_ACCEPTED;
}

void answer_read(struct answer *out, int status, struct parlance_str body)
{
	struct json_object *o = malloc(sizeof(*o));
	bool is_denied = status == 401 || status == 403;
	bool is_object;

	*out = (struct answer){ .kind = ANSWER_NONE, .detail = "out of memory" };
	if (!o)
		return;
	is_object = json_read_long(o, body) == JSON_FINE;
	if (is_denied)
		*out = (struct answer){ .kind = ANSWER_DENIED,
					.detail = "the service has refused it" };
	else if (status != 200)
		out->detail = "the service's answer has another status than 200, 401 or 403";
	else if (!is_object)
		out->detail = "the service's answer is not a JSON object";
	if (is_object && (is_denied || status == 200))
		read_object(out, o, status, body.len);
	free(o);
}

void answer_fini(struct answer *answer)
{
	free(answer->texts);
	answer->texts = NULL;
}

static bool has_audience(const struct json_value *aud, struct parlance_str wanted)
{
	struct json_value element;
	size_t at = 0;

	if (!aud)
		return false;
	if (aud->type != JSON_ARRAY)
		return json_is_str(aud, wanted);
	while (json_next(aud, &at, &element)) {
		if (json_is_str(&element, wanted))
			return true;
	}
	return false;
}

const char *answer_check_demands(const struct answer *answer, struct parlance_str issuer,
				 struct parlance_str audience)
{
	const char *problem = NULL;
	const struct json_value *iss;
	struct json_object *o;

	if (!issuer.len && !audience.len)
		return NULL;
	o = malloc(sizeof(*o));
	if (!o || json_read_long(o, answer->identity.claims) != JSON_FINE) {
		free(o);
		return "the listener demands an issuer or audience, and the service's answer has no "
		       "claims that say which it has";
	}
	iss = json_get(o, "iss");
	if (issuer.len && !(iss && json_is_str(iss, issuer)))
		problem = "it is of another issuer (claims.iss) than the listener demands";
	else if (audience.len && !has_audience(json_get(o, "aud"), audience))
		problem = "it is for another audience (claims.aud) than the listener demands";
	free(o);
	return problem;
}
