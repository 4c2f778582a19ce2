/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The auth plugin for JSON Web Tokens. README.md in this folder documents the options.
 *
 * A token is judged within verify(), unless it needs a key set that is just being fetched: then it
 * waits, and is judged again when the fetch has ended.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge.h"

#define WAITING_MAX 10000 /* tokens */

struct options {
	struct parlance_list algorithms;
	const char *secret;
	const char *key_file;
	struct parlance_list keys;
	struct parlance_list jwks;
	bool jwks_http;
	int64_t jwks_min_age_s;
	int64_t jwks_max_age_s;
	int64_t jwks_retry_s;
	int64_t jwks_stale_s;
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
	{ OPTION(jwks), .type = PARLANCE_OPTION_LIST, .def = "",
	  .doc = "Key sets (JWKS): ISSUER SOURCE for the tokens of one issuer (\"iss\"), which no "
		 "other key verifies then, or SOURCE for all others; SOURCE is https://URL or "
		 "file:/PATH." },
	{ OPTION(jwks_http), .type = PARLANCE_OPTION_BOOL, .def = "no",
	  .doc = "Fetches key sets by plain http from other machines too, where anybody on the way "
		 "can put in keys." },
	{ OPTION(jwks_min_age_s), .type = PARLANCE_OPTION_INT, .def = "60", .min = 1,
	  .max = 86400, .unit = "s",
	  .doc = "A key set is not fetched again before, whatever Cache-Control says." },
	{ OPTION(jwks_max_age_s), .type = PARLANCE_OPTION_INT, .def = "3600", .min = 1,
	  .max = 604800, .unit = "s",
	  .doc = "A key set is fetched again after this, or after Cache-Control's max-age if that "
		 "is less." },
	{ OPTION(jwks_retry_s), .type = PARLANCE_OPTION_INT, .def = "10", .min = 1, .max = 3600,
	  .unit = "s",
	  .doc = "A key id that is not in the set, or a failure, has it fetched again, but not more "
		 "often than this; files are looked at this often." },
	{ OPTION(jwks_stale_s), .type = PARLANCE_OPTION_INT, .def = "86400", .min = 1,
	  .max = 31536000, .unit = "s",
	  .doc = "A key set that cannot be fetched again stays in force for so long." },
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
	struct settings *next; /* of those that are over */
	struct keys *keys;
	struct sources *sources;
	struct judge_rules rules;
	char **texts; /* the items of the lists in rules.claims */
	size_t n_texts;
};

/* A token that waits for a key set. */
struct waiter {
	struct waiter *next;
	struct parlance_auth_op *op;
	const struct parlance_auth_request *request;
	struct source *source;
};

struct auth_jwt {
	const struct parlance_host *host;
	const struct parlance_auth_sink *sink;
	struct settings *settings;
	struct settings *over; /* the host has not let go of them yet */
	struct judge *judge;
	struct waiter *waiters;
	size_t n_waiters;
};

/* Settings */

static void settings_free(struct settings **sp)
{
	struct settings *s = *sp;

	if (!s)
		return;
	*sp = NULL;
	keys_free(&s->keys);
	sources_free(&s->sources);
	for (size_t i = 0; i < s->n_texts; i++)
		free(s->texts[i]);
	free(s->texts);
	free(s);
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

static bool copy_lists(struct settings *s, const struct options *o)
{
	struct claims_config *c = &s->rules.claims;

	s->texts = calloc(o->issuer.n + o->audience.n + o->user_claims.n, sizeof(*s->texts));
	return s->texts && copy_list(s, &o->issuer, &c->issuers) &&
	       copy_list(s, &o->audience, &c->audiences) &&
	       copy_list(s, &o->user_claims, &c->user_claims);
}

static void on_wake(void *arg, struct source *source);

static struct settings *settings_new(struct auth_jwt *self, const struct options *o, char *err,
				     size_t err_size)
{
	const struct keys_config keys = { o->algorithms, o->secret, o->key_file, o->keys,
					  o->jwks.n > 0 };
	const struct source_config source = {
		.host = self->host,
		.times = { (uint64_t)o->jwks_min_age_s * 1000, (uint64_t)o->jwks_max_age_s * 1000,
			   (uint64_t)o->jwks_retry_s * 1000, (uint64_t)o->jwks_stale_s * 1000 },
		.wake = on_wake,
		.arg = self,
	};
	struct settings *s;

	if (!o->user_claims.n) {
		(void)snprintf(err, err_size,
			       "user_claims is empty; name the claim that has the user's id, such "
			       "as sub");
		return NULL;
	}
	if (o->jwks_min_age_s > o->jwks_max_age_s) {
		(void)snprintf(err, err_size, "jwks_min_age_s is above jwks_max_age_s");
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s || !copy_lists(s, o)) {
		(void)snprintf(err, err_size, "out of memory");
		settings_free(&s);
		return NULL;
	}
	s->rules.claims.leeway_ms = o->leeway_s * 1000;
	s->rules.claims.require_exp = o->require_exp;
	s->keys = keys_new(self->host, &keys, err, err_size);
	if (s->keys)
		s->sources = sources_new(&o->jwks, &source, o->jwks_http, err, err_size);
	if (!s->sources) {
		settings_free(&s);
		return NULL;
	}
	s->rules.keys = s->keys;
	s->rules.sources = s->sources;
	return s;
}

/* Frees those that the host has let go of. */
static void sweep(struct auth_jwt *self)
{
	struct settings **at = &self->over;

	while (*at) {
		struct settings *s = *at;

		if (sources_stop(s->sources)) {
			*at = s->next;
			settings_free(&s);
		} else {
			at = &s->next;
		}
	}
}

/* Verification */

static void wait_for(struct auth_jwt *self, struct parlance_auth_op *op,
		     const struct parlance_auth_request *request, struct source *source)
{
	struct waiter *w = self->n_waiters < WAITING_MAX ? calloc(1, sizeof(*w)) : NULL;

	if (!w) {
		self->sink->reject(op, PARLANCE_AUTH_TEMPORARY,
				   "too many tokens wait for a key set");
		return;
	}
	*w = (struct waiter){ self->waiters, op, request, source };
	self->waiters = w;
	self->n_waiters++;
	op->plugin = w;
}

static void verify(void *self_, struct parlance_auth_op *op,
		   const struct parlance_auth_request *request)
{
	struct auth_jwt *self = self_;
	const struct parlance_host *host = self->host;
	struct judged judged;

	op->plugin = NULL;
	switch (judge_token(self->judge, &self->settings->rules, request, host->wall_ms(host->ctx),
			    &judged)) {
	case JUDGMENT_ACCEPTED:
		host->count(host->ctx, "accepted", 1);
		self->sink->accept(op, &judged.identity);
		break;
	case JUDGMENT_DENIED:
		host->count(host->ctx, "denied", 1);
		self->sink->reject(op, PARLANCE_AUTH_DENIED, judged.detail);
		break;
	case JUDGMENT_EXPIRED:
		host->count(host->ctx, "expired", 1);
		self->sink->reject(op, PARLANCE_AUTH_EXPIRED, judged.detail);
		break;
	case JUDGMENT_UNKNOWN:
		host->count(host->ctx, "unknown", 1);
		self->sink->reject(op, PARLANCE_AUTH_TEMPORARY, judged.detail);
		break;
	case JUDGMENT_LATER:
		wait_for(self, op, request, judged.source);
		break;
	}
}

/* Judges those again that wait for the source (NULL: all). */
static void wake(struct auth_jwt *self, const struct source *source)
{
	struct waiter *all = self->waiters;

	/* Who has to wait again is in a list of its own meanwhile. */
	self->waiters = NULL;
	while (all) {
		struct waiter *w = all;

		all = w->next;
		if (source && w->source != source) {
			w->next = self->waiters;
			self->waiters = w;
			continue;
		}
		self->n_waiters--;
		verify(self, w->op, w->request);
		free(w);
	}
}

static void on_wake(void *arg, struct source *source)
{
	wake(arg, source);
}

static void cancel(void *self_, struct parlance_auth_op *op)
{
	struct auth_jwt *self = self_;
	struct waiter *w = op->plugin;
	struct waiter **at = &self->waiters;

	if (!w)
		return;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	self->n_waiters--;
	free(w);
	self->sink->reject(op, PARLANCE_AUTH_TEMPORARY, "its issuer's key set did not come in time");
}

/* Life */

static void destroy(void *self_)
{
	struct auth_jwt *self = self_;

	while (self->over) {
		struct settings *s = self->over;

		self->over = s->next;
		settings_free(&s);
	}
	settings_free(&self->settings);
	judge_free(&self->judge);
	free(self);
}

static int create(void **out, const struct parlance_host *host, const void *opts, char *err,
		  size_t err_size)
{
	struct auth_jwt *self = calloc(1, sizeof(*self));

	if (self) {
		self->host = host;
		self->sink = host->sink;
		self->judge = judge_new();
	}
	if (!self || !self->judge) {
		(void)snprintf(err, err_size, "out of memory");
		free(self);
		return -1;
	}
	self->settings = settings_new(self, opts, err, err_size);
	if (!self->settings) {
		destroy(self);
		return -1;
	}
	sources_start(self->settings->sources, NULL);
	*out = self;
	return 0;
}

static int reload(void *self_, const void *opts, char *err, size_t err_size)
{
	struct auth_jwt *self = self_;
	struct settings *settings = settings_new(self, opts, err, err_size);

	if (!settings)
		return -1;
	sources_start(settings->sources, self->settings->sources);
	self->settings->next = self->over;
	self->over = self->settings;
	self->settings = settings;
	wake(self, NULL);
	sweep(self);
	return 0;
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
	.doc = "Accepts JSON Web Tokens that are signed with a key of their issuer.",
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
