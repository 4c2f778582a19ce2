/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The auth plugin for JSON Web Tokens. README.md in this folder documents the options.
 *
 * The order of a verification is the rule: the token's outside, then its header against our list of
 * algorithms, then the signature with the key that belongs to the algorithm, and only then what it
 * says. Everything happens within verify(), so there is never anything to cancel.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "claims.h"
#include "json.h"
#include "keys.h"
#include "token.h"

#define KID_MAX 255

struct options {
	struct parlance_list algorithms;
	const char *secret;
	const char *key_file;
	struct parlance_list keys;
	struct parlance_list issuer;
	struct parlance_list audience;
	struct parlance_list user_claims;
	int64_t leeway_s;
	bool require_exp;
};

#define OPTION(field) .name = #field, .offset = offsetof(struct options, field), \
		      .flags = PARLANCE_OPTION_RELOADABLE

static const struct parlance_option options[] = {
	{ OPTION(algorithms), .type = PARLANCE_OPTION_LIST, .def = "HS256",
	  .doc = "Algorithms that a token may be signed with; each needs a key of its kind." },
	{ .name = "secret", .offset = offsetof(struct options, secret),
	  .flags = PARLANCE_OPTION_RELOADABLE | PARLANCE_OPTION_SECRET,
	  .type = PARLANCE_OPTION_STRING, .def = "", .env = "JWT_ACCESS_SECRET",
	  .doc = "The secret of HS256, HS384 and HS512." },
	{ OPTION(key_file), .type = PARLANCE_OPTION_STRING, .def = "",
	  .doc = "File with the key, a secret or a public key in PEM: a path or credential:NAME." },
	{ OPTION(keys), .type = PARLANCE_OPTION_LIST, .def = "",
	  .doc = "Keys by the id that tokens have in \"kid\": KID=file:/PATH or "
		 "KID=credential:NAME." },
	{ OPTION(issuer), .type = PARLANCE_OPTION_LIST, .def = "",
	  .doc = "Issuers (\"iss\") whose tokens are accepted; empty: any." },
	{ OPTION(audience), .type = PARLANCE_OPTION_LIST, .def = "",
	  .doc = "Audiences (\"aud\") of which a token must name one; empty: any." },
	{ OPTION(user_claims), .type = PARLANCE_OPTION_LIST, .def = "userId, id, sub",
	  .doc = "Claims that name the user; the first one that a token has counts." },
	{ OPTION(leeway_s), .type = PARLANCE_OPTION_INT, .def = "5", .min = 0, .max = 600,
	  .unit = "s",
	  .doc = "How far the issuer's clock may differ from ours." },
	{ OPTION(require_exp), .type = PARLANCE_OPTION_BOOL, .def = "no",
	  .doc = "Refuses tokens that never expire." },
};

/* What is made of the options. */
struct settings {
	struct keys *keys;
	struct claims_config claims;
	char **texts; /* the items of the lists in claims */
	size_t n_texts;
};

/* What one verification needs, of which there is never more than one. */
struct scratch {
	char token[TOKEN_MAX + 1];
	char header_text[JSON_TEXT_MAX];
	char claims_text[JSON_TEXT_MAX];
	char signature[TOKEN_MAX];
	struct json_object header;
	struct json_object claims;
	struct claims_result result;
};

struct auth_jwt {
	const struct parlance_host *host;
	const struct parlance_auth_sink *sink;
	struct settings settings;
	struct scratch scratch;
};

/* Settings */

static void settings_free(struct settings *s)
{
	keys_free(&s->keys);
	for (size_t i = 0; i < s->n_texts; i++)
		free(s->texts[i]);
	free(s->texts);
	*s = (struct settings){ .keys = NULL };
}

/* The lists of a reloaded plugin are gone after the call, so they are copied. */
static bool copy_list(struct settings *s, const struct parlance_list *from,
		      struct parlance_list *to)
{
	/* A table of char * is read as one of const char * const. */
	to->items = (const char *const *)(s->texts + s->n_texts);
	to->n = from->n;
	for (size_t i = 0; i < from->n; i++) {
		s->texts[s->n_texts] = strdup(from->items[i]);
		if (!s->texts[s->n_texts])
			return false;
		s->n_texts++;
	}
	return true;
}

static int settings_init(struct settings *s, const struct parlance_host *host,
			 const struct options *o, char *err, size_t err_size)
{
	const struct keys_config config = { o->algorithms, o->secret, o->key_file, o->keys };

	*s = (struct settings){
		.claims = { .leeway_ms = o->leeway_s * 1000, .require_exp = o->require_exp },
	};
	if (!o->user_claims.n) {
		(void)snprintf(err, err_size,
			       "user_claims is empty; name the claim that has the user's id, such "
			       "as sub");
		return -1;
	}
	s->texts = calloc(o->issuer.n + o->audience.n + o->user_claims.n, sizeof(*s->texts));
	if (!s->texts || !copy_list(s, &o->issuer, &s->claims.issuers) ||
	    !copy_list(s, &o->audience, &s->claims.audiences) ||
	    !copy_list(s, &o->user_claims, &s->claims.user_claims)) {
		(void)snprintf(err, err_size, "out of memory");
		settings_free(s);
		return -1;
	}
	s->keys = keys_new(host, &config, err, err_size);
	if (!s->keys) {
		settings_free(s);
		return -1;
	}
	return 0;
}

/* Verification */

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

/* The key that the header asks for, by our rules. */
static const char *choose(const struct keys *keys, const struct json_object *header,
			  const struct algorithm **alg, const struct jwtlib_key **key)
{
	const struct json_value *v = json_get(header, "alg");
	const char *problem = claims_check_header(header);
	struct parlance_str id = { NULL, 0 };
	char name[16];
	char kid[KID_MAX];
	size_t len;

	if (problem)
		return problem;
	if (!v || v->type != JSON_STRING || !json_string(v, name, sizeof(name), &len))
		return "the header's alg is not one of those configured";
	*alg = keys_algorithm(keys, (struct parlance_str){ name, len });
	if (!*alg)
		return "the header's alg is not one of those configured";
	v = json_get(header, "kid");
	if (v && (v->type != JSON_STRING || !json_string(v, kid, sizeof(kid), &id.len)))
		return "the header's kid is not a string of a usable length";
	id.p = v ? kid : NULL;
	*key = keys_find(keys, *alg, id);
	return *key ? NULL : "there is no key with its kid for its alg";
}

/* NULL: good, or expired (scratch.result says which). */
static const char *judge(struct auth_jwt *self, const struct parlance_auth_request *request,
			 struct parlance_str *claims_text, bool *no_memory)
{
	const struct claims_demands demands = { request->issuer, request->audience };
	const struct parlance_str token = request->token;
	struct scratch *s = &self->scratch;
	const struct jwtlib_key *key = NULL;
	const struct algorithm *alg = NULL;
	struct parlance_str header_text;
	struct token_parts parts;
	const char *problem;
	size_t len;

	if (token.len > TOKEN_MAX)
		return "it is longer than 8192 bytes";
	if (!token_split(token, &parts))
		return "it does not have three parts";
	problem = read_part(parts.header, true, s->header_text, &s->header, &header_text);
	if (problem)
		return problem;
	problem = choose(self->settings.keys, &s->header, &alg, &key);
	if (problem)
		return problem;
	if (!token_decode(parts.signature, s->signature, sizeof(s->signature), &len))
		return "it is not base64url";
	/* Read before it is verified, for libjwt reads it too: what we find fault with it does not
	 * get to see. */
	problem = read_part(parts.claims, false, s->claims_text, &s->claims, claims_text);
	if (problem)
		return problem;
	memcpy(s->token, token.p, token.len);
	s->token[token.len] = '\0';
	switch (jwtlib_verify(key, alg, s->token)) {
	case JWTLIB_GOOD:
		break;
	case JWTLIB_BAD:
		return "the signature does not fit";
	case JWTLIB_NO_MEMORY:
		*no_memory = true;
		return "out of memory";
	}
	return claims_check(&s->claims, &self->settings.claims, &demands,
			    self->host->wall_ms(self->host->ctx), &s->result);
}

static void verify(void *self_, struct parlance_auth_op *op,
		   const struct parlance_auth_request *request)
{
	struct auth_jwt *self = self_;
	struct scratch *s = &self->scratch;
	const struct parlance_host *host = self->host;
	struct parlance_identity identity = { .size = sizeof(identity) };
	bool no_memory = false;
	const char *problem = judge(self, request, &identity.claims, &no_memory);

	if (no_memory) {
		self->sink->reject(op, PARLANCE_AUTH_TEMPORARY, problem);
	} else if (problem) {
		host->count(host->ctx, "denied", 1);
		self->sink->reject(op, PARLANCE_AUTH_DENIED, problem);
	} else if (s->result.expired) {
		host->count(host->ctx, "expired", 1);
		self->sink->reject(op, PARLANCE_AUTH_EXPIRED, "it has expired (exp)");
	} else {
		identity.subject.p = s->result.subject;
		identity.subject.len = s->result.subject_len;
		identity.expires_ms = s->result.expires_ms;
		identity.token_id = (struct parlance_str){ s->result.token_id.text,
							   s->result.token_id.len };
		identity.session = (struct parlance_str){ s->result.session.text,
							  s->result.session.len };
		identity.issued_ms = s->result.issued_ms;
		host->count(host->ctx, "accepted", 1);
		self->sink->accept(op, &identity);
	}
	/* Only the token is a secret among what is left. */
	explicit_bzero(s->token, request->token.len <= TOKEN_MAX ? request->token.len : TOKEN_MAX);
}

static void cancel(void *self, struct parlance_auth_op *op)
{
	/* Nothing is ever under way. */
	(void)self;
	(void)op;
}

/* Life */

static int create(void **out, const struct parlance_host *host, const void *opts, char *err,
		  size_t err_size)
{
	struct auth_jwt *self = calloc(1, sizeof(*self));

	if (!self) {
		(void)snprintf(err, err_size, "out of memory");
		return -1;
	}
	self->host = host;
	self->sink = host->sink;
	if (settings_init(&self->settings, host, opts, err, err_size)) {
		free(self);
		return -1;
	}
	*out = self;
	return 0;
}

static int reload(void *self_, const void *opts, char *err, size_t err_size)
{
	struct auth_jwt *self = self_;
	struct settings settings;

	if (settings_init(&settings, self->host, opts, err, err_size))
		return -1;
	settings_free(&self->settings);
	self->settings = settings;
	return 0;
}

static void destroy(void *self_)
{
	struct auth_jwt *self = self_;

	settings_free(&self->settings);
	free(self);
}

static const struct parlance_auth_ops ops = {
	.size = sizeof(ops),
	.verify = verify,
	.cancel = cancel,
};

static const struct parlance_plugin plugin = {
	.magic = PARLANCE_PLUGIN_MAGIC,
	.abi_major = PARLANCE_ABI_MAJOR,
	.abi_minor = PARLANCE_ABI_MINOR,
	.size = sizeof(plugin),
	.kind = PARLANCE_AUTH,
	.name = "auth_jwt",
	.version = "0.1.0",
	.licence = "MIT",
	.doc = "Accepts JSON Web Tokens that are signed with a key it knows.",
	.options = options,
	.n_options = sizeof(options) / sizeof(options[0]),
	.option_size = sizeof(options[0]),
	.options_size = sizeof(struct options),
	.ops = &ops,
	.create = create,
	.reload = reload,
	.destroy = destroy,
};

const struct parlance_plugin *parlance_plugin_v1(void)
{
	return &plugin;
}
