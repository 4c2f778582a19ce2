/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Claims and header fields: type and range of each, then what it says. */
#include <string.h>
#include <strings.h>

#include "claims.h"

/* The end of the year 9999. What is later is not a time in seconds; times in milliseconds, a
 * frequent mistake that would make tokens live for ever, are. */
#define SECONDS_MAX INT64_C(253402300799)

#define TEXT_MAX 64 /* of the values that are looked at without case */

/* Refresh tokens are for the issuer alone. Offline: the same of Keycloak. */
static const char *const refresh[] = { "refresh", "refresh_token", "refreshtoken", "offline",
				       "refresh+jwt" };

/* True when v is a string that equals one of the n without regard to case. */
static bool is_one_of(const struct json_value *v, const char *const *texts, size_t n)
{
	char text[TEXT_MAX + 1];
	size_t len;

	if (v->type != JSON_STRING || !json_string(v, text, TEXT_MAX, &len))
		return false;
	text[len] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (strcasecmp(text, texts[i]) == 0)
			return true;
	}
	return false;
}

static bool is_refresh(const struct json_value *v)
{
	return v && is_one_of(v, refresh, sizeof(refresh) / sizeof(refresh[0]));
}

const char *claims_check_header(const struct json_object *header)
{
	static const char *const access[] = { "JWT", "at+jwt", "application/jwt",
					      "application/at+jwt" };
	const struct json_value *typ = json_get(header, "typ");

	/* We understand no extensions, and an empty list is malformed (RFC 7515 section 4.1.11). */
	if (json_get(header, "crit"))
		return "the header has \"crit\"";
	if (is_refresh(typ))
		return "it is a refresh token (header typ)";
	/* RFC 8725 section 3.11: a token for another purpose is none for this. */
	if (typ && !is_one_of(typ, access, sizeof(access) / sizeof(access[0])))
		return "the header's typ is not that of an access token";
	return NULL;
}

/* A time of the claims; *ms is -1 when it is not there. False: it is none. */
static bool get_time(const struct json_object *claims, const char *name, int64_t *ms)
{
	const struct json_value *v = json_get(claims, name);

	*ms = -1;
	if (!v)
		return true;
	return v->type == JSON_NUMBER && json_seconds(v, SECONDS_MAX, ms) == JSON_NUMBER_OK;
}

static const char *check_times(const struct json_object *claims, const struct claims_config *config,
			       int64_t now_ms, struct claims_result *result)
{
	int64_t exp;
	int64_t nbf;
	int64_t iat;

	if (!get_time(claims, "exp", &exp))
		return "exp is not a time in seconds";
	if (!get_time(claims, "nbf", &nbf))
		return "nbf is not a time in seconds";
	if (!get_time(claims, "iat", &iat))
		return "iat is not a time in seconds";
	if (exp < 0 && config->require_exp)
		return "it has no exp";
	if (nbf > now_ms + config->leeway_ms)
		return "it is not valid yet (nbf)";
	if (iat > now_ms + config->leeway_ms)
		return "it was issued in the future (iat)";
	result->issued_ms = iat < 0 ? 0 : iat;
	result->expires_ms = exp < 0 ? 0 : exp + config->leeway_ms;
	result->expired = exp >= 0 && now_ms >= result->expires_ms;
	return NULL;
}

static bool is_wanted(const struct json_value *v, const struct parlance_list *wanted)
{
	for (size_t i = 0; i < wanted->n; i++) {
		if (json_is(v, wanted->items[i]))
			return true;
	}
	return false;
}

static const char *check_issuer(const struct json_object *claims,
				const struct parlance_list *wanted, struct parlance_str demanded)
{
	const struct json_value *iss = json_get(claims, "iss");

	if (iss && iss->type != JSON_STRING)
		return "iss is not a string";
	if (wanted->n && !(iss && is_wanted(iss, wanted)))
		return "it is of another issuer (iss)";
	if (demanded.len && !(iss && json_is_str(iss, demanded)))
		return "it is of another issuer (iss) than the listener demands";
	return NULL;
}

static const char *check_audience(const struct json_object *claims,
				  const struct parlance_list *wanted, struct parlance_str demanded)
{
	const struct json_value *aud = json_get(claims, "aud");
	struct json_value element;
	bool found = !wanted->n;
	bool found_demanded = !demanded.len;
	size_t at = 0;

	if (aud && aud->type == JSON_ARRAY) {
		while (json_next(aud, &at, &element)) {
			if (element.type != JSON_STRING)
				return "aud has an element that is not a string";
			found = found || is_wanted(&element, wanted);
			found_demanded = found_demanded || json_is_str(&element, demanded);
		}
	} else if (aud && aud->type == JSON_STRING) {
		found = found || is_wanted(aud, wanted);
		found_demanded = found_demanded || json_is_str(aud, demanded);
	} else if (aud) {
		return "aud is neither a string nor an array";
	}
	if (!found)
		return "it is for another audience (aud)";
	return found_demanded ? NULL : "it is for another audience (aud) than the listener demands";
}

static const char *check_purpose(const struct json_object *claims)
{
	static const char *const names[] = { "type", "typ", "token_type", "tokenType",
					     "token_use" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (is_refresh(json_get(claims, names[i])))
			return "it is a refresh token";
	}
	return NULL;
}

static const char *get_subject(const struct json_object *claims,
			       const struct parlance_list *user_claims,
			       struct claims_result *result)
{
	const struct json_value *v = NULL;

	for (size_t i = 0; i < user_claims->n && (!v || v->type == JSON_NULL); i++)
		v = json_get(claims, user_claims->items[i]);
	if (!v || v->type == JSON_NULL)
		return "it names no user";
	if (json_is_integer(v) && v->raw.len <= sizeof(result->subject)) {
		memcpy(result->subject, v->raw.p, v->raw.len);
		result->subject_len = v->raw.len;
		return NULL;
	}
	if (v->type != JSON_STRING)
		return "the user's id is neither a string nor an integer";
	if (!json_string(v, result->subject, sizeof(result->subject), &result->subject_len))
		return "the user's id is too long, or has a NUL in it";
	if (!result->subject_len)
		return "the user's id is empty";
	if (json_has_controls((struct parlance_str){ result->subject, result->subject_len }))
		return "the user's id has control characters in it";
	return NULL;
}

/* What a token can be revoked by. One that is there and cannot be used is refused: a token that
 * nobody can revoke is not what its issuer meant. */
#define ID_PROBLEMS(name)                                                     \
	{                                                                     \
		name " is not a string", name " is too long, or has a NUL in it", \
		name " is empty", name " has control characters in it"        \
	}

static const char *get_id(const struct json_object *claims, const char *name,
			  const char *const problems[4], struct claims_id *id)
{
	const struct json_value *v = json_get(claims, name);

	id->len = 0;
	if (!v)
		return NULL;
	if (v->type != JSON_STRING)
		return problems[0];
	if (!json_string(v, id->text, sizeof(id->text), &id->len))
		return problems[1];
	if (!id->len)
		return problems[2];
	return json_has_controls((struct parlance_str){ id->text, id->len }) ? problems[3] : NULL;
}

static const char *check_ids(const struct json_object *claims, struct claims_result *result)
{
	static const char *const of_token[] = ID_PROBLEMS("jti");
	static const char *const of_session[] = ID_PROBLEMS("sid");
	const char *problem = get_id(claims, "jti", of_token, &result->token_id);

	return problem ? problem : get_id(claims, "sid", of_session, &result->session);
}

const char *claims_check(const struct json_object *claims, const struct claims_config *config,
			 const struct claims_demands *demands, int64_t now_ms,
			 struct claims_result *result)
{
	const char *problem = check_purpose(claims);

	if (!problem)
		problem = check_issuer(claims, &config->issuers, demands->issuer);
	if (!problem)
		problem = check_audience(claims, &config->audiences, demands->audience);
	if (!problem)
		problem = get_subject(claims, &config->user_claims, result);
	if (!problem)
		problem = check_ids(claims, result);
	if (!problem)
		problem = check_times(claims, config, now_ms, result);
	return problem;
}
