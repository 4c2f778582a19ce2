/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The plugin's options, checked and made ready for use: the full URL, the header lines, the models.
 * Everything is a copy of its own. Loop thread.
 */
#ifndef PROVIDER_OPENAI_SETTINGS_H
#define PROVIDER_OPENAI_SETTINGS_H

#include "buf.h"
#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the host fills; the table is in options.c. */
struct openai_options {
	const char *base_url;
	const char *api_key;
	const char *api_key_file;
	const char *model;
	struct parlance_list models;
	const char *temperature;
	int64_t max_tokens;
	int max_tokens_name; /* enum max_tokens_name */
	const char *organization;
	const char *project;
	struct parlance_list extra_headers;
	bool stream_usage;
	int64_t connect_timeout_ms;
	int64_t first_byte_timeout_ms;
	int64_t idle_timeout_ms;
	int64_t total_timeout_ms;
	int64_t max_response_bytes;
};

/* Newer models of some services take the second one only, most other services the first. */
enum max_tokens_name {
	NAME_MAX_TOKENS = 1,
	NAME_MAX_COMPLETION_TOKENS,
};

#define OPENAI_N_OPTIONS 17
extern const struct parlance_option openai_options_table[OPENAI_N_OPTIONS];

struct settings {
	struct settings *next; /* for the owner's use */
	char *url;
	struct parlance_http_header *headers; /* their texts are owned too */
	size_t n_headers;
	char **secrets; /* what must not be seen in any text */
	size_t n_secrets;
	char **models; /* the default first, none twice */
	size_t n_models;
	bool any_model; /* the list has "*" */
	char *temperature; /* a JSON number, or NULL */
	int64_t max_tokens; /* 0: not sent */
	enum max_tokens_name max_tokens_name;
	bool stream_usage;
	uint32_t connect_timeout_ms;
	uint32_t first_byte_timeout_ms;
	uint32_t idle_timeout_ms;
	uint32_t total_timeout_ms;
	uint64_t max_response_bytes;
};

/** Checks the options and warns about what is dangerous. 0 and *out; or -1 with a sentence in
 * err. */
MUST_USE int settings_new(struct settings **out, const struct parlance_host *host,
			  const struct openai_options *options, char *err, size_t err_size);

/** Wipes the secrets, frees, clears the pointer. Harmless on NULL. */
void settings_free(struct settings **settings);

/** The model to ask for: the one that is wanted when it is offered, else the default. Borrowed
 * from either. */
struct parlance_str settings_model(const struct settings *settings, struct parlance_str wanted);

#define DETAIL_MAX 300 /* bytes of a service's own that go into a log */

/** The service's text for the log: at most DETAIL_MAX bytes of valid UTF-8, without control
 * characters, secrets replaced. *out is terminated. */
void settings_clean(const struct settings *settings, struct parlance_str text,
		    char out[DETAIL_MAX + 1]);

#ifdef __cplusplus
}
#endif
#endif
