/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The options, checked.
 */
#include "settings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "url.h"
#include "utf8.h"

/* A shorter secret would blot out ordinary words. */
#define SECRET_MIN 6

__attribute__((format(printf, 3, 4))) static int refuse(char *err, size_t err_size, const char *fmt,
							...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, err_size, fmt, ap);
	va_end(ap);
	return -1;
}

static int no_memory(char *err, size_t err_size)
{
	return refuse(err, err_size, "out of memory");
}

static bool is_header_name(const char *p, size_t len)
{
	static const char others[] = "!#$%&'*+-.^_`|~"; /* RFC 9110, section 5.6.2 */
	size_t i;

	for (i = 0; i < len; i++) {
		char c = p[i];

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
			continue;
		if (c == '\0' || !strchr(others, c))
			return false;
	}
	return len > 0;
}

static bool is_header_value(const char *value)
{
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return true;
}

/* Takes over value (malloc), also when it fails. */
static int add_header(struct settings *s, const char *name, size_t name_len, char *value)
{
	struct parlance_http_header *header = &s->headers[s->n_headers];
	char *copy = value ? strndup(name, name_len) : NULL;

	if (!copy) {
		free(value);
		return -1;
	}
	header->name = (struct parlance_str){ copy, name_len };
	header->value = (struct parlance_str){ value, strlen(value) };
	s->n_headers++;
	return 0;
}

static int add_named(struct settings *s, const char *name, const char *value)
{
	return add_header(s, name, strlen(name), strdup(value));
}

static bool has_header(const struct settings *s, const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < s->n_headers; i++) {
		if (s->headers[i].name.len == len &&
		    strncasecmp(s->headers[i].name.p, name, len) == 0)
			return true;
	}
	return false;
}

static int add_secret(struct settings *s, const char *text)
{
	if (strlen(text) < SECRET_MIN)
		return 0;
	s->secrets[s->n_secrets] = strdup(text);
	if (!s->secrets[s->n_secrets])
		return -1;
	s->n_secrets++;
	return 0;
}

static int set_key(struct settings *s, const char *key, char *err, size_t err_size)
{
	char *value = NULL;
	const char *at;

	for (at = key; *at; at++) {
		if ((unsigned char)*at <= 0x20 || (unsigned char)*at >= 0x7f)
			return refuse(err, err_size,
				      "api_key: it has a blank, a control or a non-ASCII "
				      "character; write the key and nothing else");
	}
	if (asprintf(&value, "Bearer %s", key) < 0)
		value = NULL;
	if (add_header(s, "Authorization", strlen("Authorization"), value) || add_secret(s, key))
		return no_memory(err, err_size);
	return 0;
}

static int add_extra_header(struct settings *s, const char *line, char *err, size_t err_size)
{
	static const char *const ours[] = { "Host", "Content-Length", "Transfer-Encoding",
					    "Connection", "Expect" };
	const char *colon = strchr(line, ':');
	size_t name_len = colon ? (size_t)(colon - line) : 0;
	const char *value;
	size_t i;

	/* The line is not repeated: it may hold a key. */
	if (!colon || !is_header_name(line, name_len) || !is_header_value(colon + 1))
		return refuse(err, err_size, "extra_headers: write each one as \"Name: value\"");
	for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
		if (strlen(ours[i]) == name_len && strncasecmp(ours[i], line, name_len) == 0)
			return refuse(err, err_size,
				      "extra_headers: %s is set by the daemon; take it out",
				      ours[i]);
	}
	if (has_header(s, line, name_len))
		return refuse(err, err_size,
			      "extra_headers: %.*s is set already (Authorization by api_key or "
			      "api_key_file); take one of them out",
			      (int)name_len, line);
	value = colon + 1 + strspn(colon + 1, " \t");
	if (add_header(s, line, name_len, strdup(value)) || add_secret(s, value))
		return no_memory(err, err_size);
	return 0;
}

static int set_headers(struct settings *s, const struct openai_options *options, const char *key,
		       char *err, size_t err_size)
{
	size_t max = 5 + options->extra_headers.n;
	size_t i;

	if (!is_header_value(options->organization) || !is_header_value(options->project))
		return refuse(err, err_size,
			      "organization, project: a control character cannot be sent; take "
			      "it out");
	s->headers = calloc(max, sizeof(*s->headers));
	s->secrets = calloc(max, sizeof(*s->secrets));
	if (!s->headers || !s->secrets || add_named(s, "Content-Type", "application/json") ||
	    add_named(s, "Accept", "text/event-stream, application/json"))
		return no_memory(err, err_size);
	if (*key && set_key(s, key, err, err_size))
		return -1;
	if (*options->organization &&
	    add_named(s, "OpenAI-Organization", options->organization))
		return no_memory(err, err_size);
	if (*options->project && add_named(s, "OpenAI-Project", options->project))
		return no_memory(err, err_size);
	for (i = 0; i < options->extra_headers.n; i++) {
		if (add_extra_header(s, options->extra_headers.items[i], err, err_size))
			return -1;
	}
	return 0;
}

static int add_model(struct settings *s, const char *model)
{
	char *copy;
	size_t i;

	for (i = 0; i < s->n_models; i++) {
		if (s->models[i] && strcmp(s->models[i], model) == 0)
			return 0;
	}
	copy = strdup(model);
	if (!copy)
		return -1;
	s->models[s->n_models++] = copy;
	return 0;
}

static int set_models(struct settings *s, const struct openai_options *options)
{
	size_t i;

	s->models = calloc(options->models.n + 1, sizeof(*s->models));
	if (!s->models || add_model(s, options->model))
		return -1;
	for (i = 0; i < options->models.n; i++) {
		if (strcmp(options->models.items[i], "*") == 0)
			s->any_model = true;
		else if (add_model(s, options->models.items[i]))
			return -1;
	}
	return 0;
}

/* A plain decimal, as JSON writes it too: strtod would go by the locale. */
static bool is_temperature(const char *text)
{
	size_t fraction = text[0] && text[1] == '.' ? strspn(text + 2, "0123456789") : 0;
	size_t len = strlen(text);

	if (text[0] < '0' || text[0] > '2' || len == 2 || (len > 2 && fraction != len - 2))
		return false;
	return text[0] != '2' || strspn(text + 1, ".0") == len - 1;
}

static int set_url(struct settings *s, const struct parlance_host *host, const char *base_url,
		   bool has_key, char *err, size_t err_size)
{
	struct url_facts facts;

	if (url_check(base_url, &facts, err, err_size))
		return -1;
	if (facts.openai && !has_key)
		return refuse(err, err_size,
			      "api.openai.com needs a key; set api_key_file (or api_key, or "
			      "OPENAI_API_KEY in the environment), or base_url to another service");
	if (!facts.tls && !facts.loopback && has_key)
		host->log(host->ctx, PARLANCE_LOG_WARNING,
			  "base_url is plain http to another machine: the key and all texts can be "
			  "read on the way; use https");
	s->url = url_complete(base_url);
	return s->url ? 0 : no_memory(err, err_size);
}

/* extra_headers may bring an Authorization of another kind. */
static bool has_own_key(const struct openai_options *options)
{
	static const char name[] = "authorization:";
	size_t i;

	for (i = 0; i < options->extra_headers.n; i++) {
		if (strncasecmp(options->extra_headers.items[i], name, sizeof(name) - 1) == 0)
			return true;
	}
	return false;
}

static int fill(struct settings *s, const struct parlance_host *host,
		const struct openai_options *options, char *err, size_t err_size)
{
	struct parlance_str from_file = { NULL, 0 };
	const char *key = options->api_key;

	if (*options->api_key_file) {
		if (host->secret(host->ctx, options->api_key_file, &from_file, err, err_size))
			return -1;
		if (from_file.len == 0 || strlen(from_file.p) != from_file.len)
			return refuse(err, err_size, "api_key_file: %s has no key in it",
				      options->api_key_file);
		key = from_file.p;
	}
	if (*options->temperature && !is_temperature(options->temperature))
		return refuse(err, err_size,
			      "temperature: \"%s\" is no number from 0 to 2 (such as 0.7)",
			      options->temperature);
	if (set_url(s, host, options->base_url, *key || has_own_key(options), err, err_size) ||
	    set_headers(s, options, key, err, err_size))
		return -1;
	if (*options->temperature) {
		s->temperature = strdup(options->temperature);
		if (!s->temperature)
			return no_memory(err, err_size);
	}
	if (set_models(s, options))
		return no_memory(err, err_size);
	s->max_tokens = options->max_tokens;
	s->max_tokens_name = (enum max_tokens_name)options->max_tokens_name;
	s->stream_usage = options->stream_usage;
	s->connect_timeout_ms = (uint32_t)options->connect_timeout_ms;
	s->first_byte_timeout_ms = (uint32_t)options->first_byte_timeout_ms;
	s->idle_timeout_ms = (uint32_t)options->idle_timeout_ms;
	s->total_timeout_ms = (uint32_t)options->total_timeout_ms;
	s->max_response_bytes = (uint64_t)options->max_response_bytes;
	return 0;
}

int settings_new(struct settings **out, const struct parlance_host *host,
		 const struct openai_options *options, char *err, size_t err_size)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return no_memory(err, err_size);
	if (fill(*out, host, options, err, err_size)) {
		settings_free(out);
		return -1;
	}
	return 0;
}

static void wipe(const char *p, size_t len)
{
	if (p)
		explicit_bzero((void *)(uintptr_t)p, len);
}

void settings_free(struct settings **settings)
{
	struct settings *s = *settings;
	size_t i;

	if (!s)
		return;
	*settings = NULL;
	for (i = 0; i < s->n_headers; i++) {
		wipe(s->headers[i].value.p, s->headers[i].value.len);
		free((void *)(uintptr_t)s->headers[i].name.p);
		free((void *)(uintptr_t)s->headers[i].value.p);
	}
	for (i = 0; i < s->n_secrets; i++) {
		wipe(s->secrets[i], strlen(s->secrets[i]));
		free(s->secrets[i]);
	}
	for (i = 0; i < s->n_models; i++)
		free(s->models[i]);
	free(s->headers);
	free(s->secrets);
	free(s->models);
	free(s->temperature);
	free(s->url);
	free(s);
}

struct parlance_str settings_model(const struct settings *settings, struct parlance_str wanted)
{
	struct parlance_str model = { settings->models[0], strlen(settings->models[0]) };
	size_t i;

	if (wanted.len == 0)
		return model;
	if (settings->any_model)
		return wanted;
	for (i = 0; i < settings->n_models; i++) {
		if (strlen(settings->models[i]) == wanted.len &&
		    memcmp(settings->models[i], wanted.p, wanted.len) == 0)
			return wanted;
	}
	return model;
}

/* The length of the secret that stands at p, or 0. */
static size_t secret_at(const struct settings *s, const char *p, size_t len)
{
	size_t best = 0;
	size_t i;

	for (i = 0; i < s->n_secrets; i++) {
		size_t n = strlen(s->secrets[i]);

		if (n > best && n <= len && memcmp(p, s->secrets[i], n) == 0)
			best = n;
	}
	return best;
}

void settings_clean(const struct settings *settings, struct parlance_str text,
		    char out[DETAIL_MAX + 1])
{
	struct utf8_join join = { 0 };
	struct buf clean;
	size_t i = 0;
	size_t n = 0;

	/* U+FFFD has three bytes where one was. */
	buf_init(&clean, text.len * 3);
	if (utf8_join(&join, text.p, text.len, &clean) || utf8_join_end(&join, &clean))
		buf_reset(&clean);
	while (i < clean.len && n < DETAIL_MAX) {
		const char *p = clean.p + i;
		size_t left = clean.len - i;
		size_t secret = secret_at(settings, p, left);
		bool c1 = left > 1 && *p == '\xc2' && (unsigned char)p[1] < 0xa0;

		if (secret > 0) {
			i += secret;
			out[n++] = '*';
		} else if (c1 || (unsigned char)*p < 0x20 || *p == 0x7f) {
			i += c1 ? 2 : 1;
			out[n++] = ' ';
		} else {
			out[n++] = *p;
			i++;
		}
	}
	/* Not in the middle of a character. */
	if (i < clean.len) {
		while (n > 0 && ((unsigned char)clean.p[i] & 0xc0) == 0x80) {
			i--;
			n--;
		}
	}
	out[n] = '\0';
	buf_fini(&clean);
}
