/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Judging tokens. */
#include <stdlib.h>
#include <string.h>

#include "judge.h"
#include "token.h"

#define ISSUER_MAX 255

struct judge {
	char token[TOKEN_MAX + 1];
	char header_text[JSON_TEXT_MAX];
	char claims_text[JSON_TEXT_MAX];
	char signature[TOKEN_MAX];
	char issuer[ISSUER_MAX];
	char kid[KID_MAX];
	struct json_object header;
	struct json_object claims;
	struct claims_result result;
};

struct judge *judge_new(void)
{
	return calloc(1, sizeof(struct judge));
}

void judge_free(struct judge **j)
{
	free(*j);
	*j = NULL;
}

static const char *describe(enum json_problem problem, bool header)
{
	switch (problem) {
	case JSON_TOO_MANY:
		return header ? "the header has too many fields" : "it has too many claims";
	case JSON_TWICE:
		return header ? "the header has a field twice" : "it has a claim twice";
	default:
		return header ? "the header is not a JSON object"
			      : "the claims are not a JSON object";
	}
}

/* Decodes a part and reads it. *text is what it decodes to. */
static const char *read_part(struct parlance_str part, bool header, char *buf,
			     struct json_object *object, struct parlance_str *text)
{
	enum json_problem problem;
	size_t len;

	if (!token_decode(part, buf, JSON_TEXT_MAX, &len))
		return "it is not base64url";
	*text = (struct parlance_str){ buf, len };
	problem = json_read(object, *text);
	if (problem)
		return describe(problem, header);
	/* There may be blanks around an object. */
	text->p = memchr(buf, '{', len);
	len -= (size_t)(text->p - buf);
	text->len = (size_t)((const char *)memrchr(text->p, '}', len) - text->p) + 1;
	return NULL;
}

/* What the header asks for, by our rules. */
static const char *read_header(struct judge *j, const struct keys *keys,
			       const struct algorithm **alg, struct parlance_str *kid)
{
	const struct json_value *v = json_get(&j->header, "alg");
	const char *problem = claims_check_header(&j->header);
	char name[16];
	size_t len;

	if (problem)
		return problem;
	if (!v || v->type != JSON_STRING || !json_string(v, name, sizeof(name), &len))
		return "the header's alg is not one of those configured";
	*alg = keys_algorithm(keys, (struct parlance_str){ name, len });
	if (!*alg)
		return "the header's alg is not one of those configured";
	v = json_get(&j->header, "kid");
	if (v && (v->type != JSON_STRING || !json_string(v, j->kid, sizeof(j->kid), &kid->len)))
		return "the header's kid is not a string of a usable length";
	kid->p = v ? j->kid : NULL;
	return NULL;
}

/* The set that the token's issuer has for itself, or NULL. What the token says is not verified yet:
 * it only chooses the keys that it has to fit. */
static struct source *own_source(struct judge *j, const struct sources *sources)
{
	const struct json_value *v = json_get(&j->claims, "iss");
	size_t len;

	if (!v || v->type != JSON_STRING || !json_string(v, j->issuer, sizeof(j->issuer), &len))
		return NULL;
	return sources_of(sources, (struct parlance_str){ j->issuer, len });
}

/* The key that has to fit. JUDGMENT_ACCEPTED: there is one. An issuer that has a set of its own has
 * no other keys, and nobody else has these. */
static enum judgment choose(struct judge *j, const struct judge_rules *rules,
			    const struct algorithm *alg, struct parlance_str kid,
			    struct found_key *key, struct judged *out)
{
	struct source *source = own_source(j, rules->sources);

	*key = (struct found_key){ NULL, NULL };
	if (!source) {
		*key = keys_find(rules->keys, alg, kid);
		source = sources_of(rules->sources, (struct parlance_str){ NULL, 0 });
	}
	if (key->secret || key->public)
		return JUDGMENT_ACCEPTED;
	out->detail = "there is no key with its kid for its alg";
	/* A set of keys has no secrets. */
	if (!source || alg->family == FAMILY_HMAC)
		return JUDGMENT_DENIED;
	switch (source_find(source, alg, kid, &key->public)) {
	case SOURCE_FOUND:
		return JUDGMENT_ACCEPTED;
	case SOURCE_WAIT:
		out->source = source;
		return JUDGMENT_LATER;
	case SOURCE_AWAY:
		out->detail = "its issuer's key set cannot be fetched";
		return JUDGMENT_UNKNOWN;
	case SOURCE_NONE:
		break;
	}
	return JUDGMENT_DENIED;
}

static enum signature_result verify(struct judge *j, const struct found_key *key,
				    const struct algorithm *alg, struct parlance_str token,
				    struct parlance_str signature)
{
	enum signature_result result;
	struct parlance_str input = token;

	if (key->public) {
		input.len = (size_t)((const char *)memrchr(token.p, '.', token.len) - token.p);
		return pubkey_verify(key->public, alg, input, signature);
	}
	memcpy(j->token, token.p, token.len);
	j->token[token.len] = '\0';
	result = jwtlib_verify(key->secret, alg, j->token);
	/* Only the token is a secret among what is left. */
	explicit_bzero(j->token, token.len);
	return result;
}

enum judgment judge_token(struct judge *j, const struct judge_rules *rules,
			  const struct parlance_auth_request *request, int64_t now_ms,
			  struct judged *out)
{
	const struct claims_demands demands = { request->issuer, request->audience };
	const struct claims_result *result = &j->result;
	const struct algorithm *alg = NULL;
	struct parlance_str header_text;
	struct parlance_str claims_text;
	struct parlance_str kid = { NULL, 0 };
	struct token_parts parts = { .header = { NULL, 0 } };
	struct found_key key;
	enum judgment judgment;
	size_t len;

	*out = (struct judged){ .detail = NULL };
	if (request->token.len > TOKEN_MAX)
		out->detail = "it is longer than 8192 bytes";
	else if (!token_split(request->token, &parts))
		out->detail = "it does not have three parts";
	if (!out->detail)
		out->detail = read_part(parts.header, true, j->header_text, &j->header,
					&header_text);
	if (!out->detail)
		out->detail = read_header(j, rules->keys, &alg, &kid);
	if (!out->detail &&
	    !token_decode(parts.signature, j->signature, sizeof(j->signature), &len))
		out->detail = "it is not base64url";
	/* Read before it is verified, for its issuer says which keys it has to fit, and libjwt reads
	 * it too: what we find fault with it does not get to see. */
	if (!out->detail)
		out->detail = read_part(parts.claims, false, j->claims_text, &j->claims,
					&claims_text);
	if (out->detail)
		return JUDGMENT_DENIED;
	judgment = choose(j, rules, alg, kid, &key, out);
	if (judgment != JUDGMENT_ACCEPTED)
		return judgment;
	switch (verify(j, &key, alg, request->token, (struct parlance_str){ j->signature, len })) {
	case SIGNATURE_GOOD:
		break;
	case SIGNATURE_BAD:
		out->detail = "the signature does not fit";
		return JUDGMENT_DENIED;
	case SIGNATURE_NO_MEMORY:
		out->detail = "out of memory";
		return JUDGMENT_UNKNOWN;
	}
	out->detail = claims_check(&j->claims, &rules->claims, &demands, now_ms, &j->result);
	if (out->detail)
		return JUDGMENT_DENIED;
	if (result->expired) {
		out->detail = "it has expired (exp)";
		return JUDGMENT_EXPIRED;
	}
	out->identity = (struct parlance_identity){
		.size = sizeof(out->identity),
		.subject = { result->subject, result->subject_len },
		.expires_ms = result->expires_ms,
		.claims = claims_text,
		.token_id = { result->token_id.text, result->token_id.len },
		.session = { result->session.text, result->session.len },
		.issued_ms = result->issued_ms,
	};
	return JUDGMENT_ACCEPTED;
}
