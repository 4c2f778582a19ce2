/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The auth plugin that asks a service of yours over HTTP. README.md in this folder documents the
 * options and what the service answers.
 *
 * A token that is asked about already is not asked about again, whoever brings it, and what was
 * answered is good for a while.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/weburl.h"
#include "ask.h"
#include "table.h"

#define PENDING_MAX 10000 /* requests at a time, those that wait for a connection too */

struct options {
	const char *url;
	int method;   /* enum method */
	int token_in; /* enum ask_token_in */
	bool http;
	int64_t timeout_ms;
	int64_t cache_s;
	int64_t denied_cache_s;
	int64_t cache_entries;
};

enum method {
	METHOD_POST = 1,
	METHOD_GET,
};

static const struct parlance_choice methods[] = {
	{ "POST", METHOD_POST }, { "GET", METHOD_GET }, { NULL, 0 }
};
static const struct parlance_choice places[] = {
	{ "header", ASK_HEADER }, { "json", ASK_JSON }, { NULL, 0 }
};

#define OPTION(field) .name = #field, .offset = offsetof(struct options, field), \
		      .flags = PARLANCE_OPTION_RELOADABLE

static const struct parlance_option options[] = {
	{ OPTION(url), .type = PARLANCE_OPTION_STRING, .def = "", .max = 2048,
	  .doc = "Where to ask who the bearer of a token is; https, or http to this machine." },
	{ OPTION(method), .type = PARLANCE_OPTION_ENUM, .choices = methods, .def = "POST",
	  .doc = "POST sends the client's address and origin too, as JSON." },
	{ OPTION(token_in), .type = PARLANCE_OPTION_ENUM, .choices = places, .def = "header",
	  .doc = "Where the token stands: in the header Authorization, as Bearer, or in the JSON of "
		 "a POST." },
	{ OPTION(http), .type = PARLANCE_OPTION_BOOL, .def = "no",
	  .doc = "Sends tokens by plain http to other machines too, where anybody on the way can read "
		 "them." },
	{ OPTION(timeout_ms), .type = PARLANCE_OPTION_INT, .def = "5000", .min = 10, .max = 600000,
	  .unit = "ms",
	  .doc = "A request that takes longer is given up; the client is told to come back." },
	{ OPTION(cache_s), .type = PARLANCE_OPTION_INT, .def = "60", .min = 0, .max = 86400,
	  .unit = "s",
	  .doc = "How long an accepted token is not asked about again, nor longer than it is valid; 0 "
		 "asks each time." },
	{ OPTION(denied_cache_s), .type = PARLANCE_OPTION_INT, .def = "5", .min = 0, .max = 3600,
	  .unit = "s", .doc = "The same for one that is refused or expired." },
	{ OPTION(cache_entries), .type = PARLANCE_OPTION_INT, .def = "10000", .min = 1,
	  .max = 1000000,
	  .doc = "Tokens whose answers are kept; beyond it those go that were not used for longest." },
};

struct auth_http {
	const struct parlance_host *host;
	const struct parlance_auth_sink *sink;
	struct table *table;
	char *url;
	struct ask_config ask;
	uint64_t cache_ms;
	uint64_t denied_cache_ms;
	size_t cache_entries;
	bool failing; /* the service's last answer was none */
};

/* Answers */

static void reject(struct auth_http *self, struct parlance_auth_op *op,
		   enum parlance_auth_verdict verdict, const char *counter, const char *detail)
{
	self->host->count(self->host->ctx, counter, 1);
	self->sink->reject(op, verdict, detail);
}

static void unknown(struct auth_http *self, struct parlance_auth_op *op, const char *detail)
{
	reject(self, op, PARLANCE_AUTH_TEMPORARY, "unknown", detail);
}

static void tell(struct auth_http *self, struct parlance_auth_op *op,
		 const struct parlance_auth_request *request, const struct answer *answer)
{
	const struct parlance_host *host = self->host;
	const char *problem;

	switch (answer->kind) {
	case ANSWER_ACCEPTED:
		problem = answer_check_demands(answer, request->issuer, request->audience);
		if (problem) {
			reject(self, op, PARLANCE_AUTH_DENIED, "denied", problem);
		} else if (answer->identity.expires_ms &&
			   answer->identity.expires_ms <= host->wall_ms(host->ctx)) {
			reject(self, op, PARLANCE_AUTH_EXPIRED, "expired",
			       "it has expired (expiresAt)");
		} else {
			host->count(host->ctx, "accepted", 1);
			self->sink->accept(op, &answer->identity);
		}
		break;
	case ANSWER_DENIED:
		reject(self, op, PARLANCE_AUTH_DENIED, "denied", answer->detail);
		break;
	case ANSWER_EXPIRED:
		reject(self, op, PARLANCE_AUTH_EXPIRED, "expired", answer->detail);
		break;
	case ANSWER_NONE:
		unknown(self, op, answer->detail);
		break;
	}
}

/* Said when it begins and when it ends, for there may be one for each client. */
static void note_health(struct auth_http *self, const struct answer *answer)
{
	const struct parlance_host *host = self->host;
	bool failing = answer->kind == ANSWER_NONE;
	char line[512];

	if (failing == self->failing)
		return;
	self->failing = failing;
	if (failing)
		(void)snprintf(line, sizeof(line),
			       "tokens cannot be verified (%s); nobody gets in whose token is not "
			       "known yet",
			       answer->detail);
	host->log(host->ctx, failing ? PARLANCE_LOG_WARNING : PARLANCE_LOG_NOTICE,
		  failing ? line : "tokens can be verified again");
}

/* Requests */

static void on_head(void *arg, int status, const struct parlance_http_header *headers, size_t n)
{
	struct entry *e = arg;

	(void)headers;
	(void)n;
	e->status = status;
}

static void on_data(void *arg, struct parlance_str piece)
{
	struct entry *e = arg;
	char *grown = realloc(e->body, e->body_len + piece.len);

	if (!grown) {
		e->status = 0; /* whatever is left is not what the service has said */
		return;
	}
	e->body = grown;
	memcpy(e->body + e->body_len, piece.p, piece.len);
	e->body_len += piece.len;
}

/* Keeps the answer as long as the options say. False: not at all. */
static bool keep(struct auth_http *self, struct entry *e)
{
	const struct parlance_host *host = self->host;
	uint64_t ms = e->answer.kind == ANSWER_ACCEPTED ? self->cache_ms : self->denied_cache_ms;

	if (!e->in_table || e->answer.kind == ANSWER_NONE || !ms)
		return false;
	free(e->body);
	e->body = NULL;
	e->until_ms = host->mono_ms(host->ctx) + ms;
	table_answered(self->table, e);
	table_trim(self->table, self->cache_entries);
	return true;
}

static void on_done(void *arg, enum parlance_http_result result, const char *detail)
{
	struct entry *e = arg;
	struct auth_http *self = e->owner;
	struct waiter *waiters = e->waiters;
	struct answer answer;
	char text[256];

	e->http = NULL;
	e->waiters = NULL;
	if (result == PARLANCE_HTTP_CANCELED) {
		table_drop(self->table, e);
		return;
	}
	if (result == PARLANCE_HTTP_OK) {
		answer_read(&answer, e->status, (struct parlance_str){ e->body, e->body_len });
	} else {
		(void)snprintf(text, sizeof(text), "the service: %s", detail);
		answer = (struct answer){ .kind = ANSWER_NONE, .detail = text };
	}
	note_health(self, &answer);
	while (waiters) {
		struct waiter *w = waiters;

		waiters = w->next;
		tell(self, w->op, w->request, &answer);
		free(w);
	}
	e->answer = answer;
	if (!keep(self, e))
		table_drop(self->table, e);
}

static const struct parlance_http_sink http_sink = { sizeof(http_sink), on_head, on_data, on_done };

/* A new request about the token. NULL: it cannot be made now, and detail says why. */
static struct entry *ask(struct auth_http *self, const unsigned char key[TABLE_KEY_BYTES],
			 const struct parlance_auth_request *request, const char **detail)
{
	struct entry *e;

	*detail = "too many tokens are asked about";
	if (table_pending(self->table) >= PENDING_MAX)
		return NULL;
	*detail = "out of memory";
	e = table_add(self->table, key);
	if (!e)
		return NULL;
	e->owner = self;
	e->http = ask_start(self->host, &self->ask, request, &http_sink, e);
	if (!e->http) {
		table_drop(self->table, e);
		return NULL;
	}
	self->host->count(self->host->ctx, "asked", 1);
	return e;
}

static void verify(void *self_, struct parlance_auth_op *op,
		   const struct parlance_auth_request *request)
{
	struct auth_http *self = self_;
	const char *detail = ask_token_problem(request->token);
	unsigned char key[TABLE_KEY_BYTES];
	struct waiter *w;
	struct entry *e;

	op->plugin = NULL;
	if (detail) {
		reject(self, op, PARLANCE_AUTH_DENIED, "denied", detail);
		return;
	}
	if (!table_key(self->table, request->token, key)) {
		unknown(self, op, "out of memory");
		return;
	}
	e = table_find(self->table, key, self->host->mono_ms(self->host->ctx));
	if (e && !e->pending) {
		self->host->count(self->host->ctx, "cached", 1);
		tell(self, op, request, &e->answer);
		return;
	}
	w = calloc(1, sizeof(*w));
	detail = "out of memory";
	if (w && !e)
		e = ask(self, key, request, &detail);
	if (!w || !e) {
		free(w);
		unknown(self, op, detail);
		return;
	}
	*w = (struct waiter){ e->waiters, e, op, request };
	e->waiters = w;
	op->plugin = w;
}

static void cancel(void *self_, struct parlance_auth_op *op)
{
	struct auth_http *self = self_;
	struct waiter *w = op->plugin;
	struct waiter **at;
	struct entry *e;

	if (!w)
		return;
	e = w->entry;
	at = &e->waiters;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
	free(w);
	if (!e->waiters) {
		/* Nobody waits for it any more; it is freed when the host has let go of it. */
		table_hide(self->table, e);
		self->host->http_cancel(e->http);
	}
	unknown(self, op, "the service has not answered in time");
}

/* Life */

static int set_options(struct auth_http *self, const struct options *o, char *err, size_t err_size)
{
	char *url;

	if (!o->url[0]) {
		(void)snprintf(err, err_size,
			       "url is empty; set it to the service that knows whose a token is");
		return -1;
	}
	if (weburl_check_trusted("url", o->url, o->http, "http", err, err_size))
		return -1;
	if (o->method == METHOD_GET && o->token_in == ASK_JSON) {
		(void)snprintf(err, err_size,
			       "token_in = json needs method = POST; a GET has no body");
		return -1;
	}
	url = strdup(o->url);
	if (!url) {
		(void)snprintf(err, err_size, "out of memory");
		return -1;
	}
	free(self->url);
	self->url = url;
	self->ask = (struct ask_config){
		.url = url,
		.method = o->method == METHOD_GET ? "GET" : "POST",
		.token_in = (enum ask_token_in)o->token_in,
		.timeout_ms = (uint32_t)o->timeout_ms,
	};
	self->cache_ms = (uint64_t)o->cache_s * 1000;
	self->denied_cache_ms = (uint64_t)o->denied_cache_s * 1000;
	self->cache_entries = (size_t)o->cache_entries;
	return 0;
}

static void destroy(void *self_)
{
	struct auth_http *self = self_;

	/* What is left was cancelled, and has nobody who waits. */
	table_free(&self->table);
	free(self->url);
	free(self);
}

static int create(void **out, const struct parlance_host *host, const void *opts, char *err,
		  size_t err_size)
{
	struct auth_http *self = calloc(1, sizeof(*self));

	if (self) {
		self->host = host;
		self->sink = host->sink;
		self->table = table_new(host);
	}
	if (!self || !self->table) {
		(void)snprintf(err, err_size, "out of memory");
		free(self);
		return -1;
	}
	if (set_options(self, opts, err, err_size)) {
		destroy(self);
		return -1;
	}
	*out = self;
	return 0;
}

static int reload(void *self_, const void *opts, char *err, size_t err_size)
{
	struct auth_http *self = self_;

	if (set_options(self, opts, err, err_size))
		return -1;
	/* Who waits still gets his answer; the next one asks anew. */
	table_forget(self->table);
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
	.name = "auth_http",
	.version = "0.1.0",
	.licence = "MIT",
	.doc = "Asks an HTTP service who the bearer of a token is.",
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
