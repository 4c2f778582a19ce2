/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The body of a request (POST /chat/completions of the OpenAI API).
 */
#include "request.h"

#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#define OPTIONS_DEPTH_MAX 128 /* deeper than what the host lets in */

/* What a client may set; anything else in its options is for others. */
struct wishes {
	struct json_object *temperature;
	struct json_object *top_p;
	int64_t max_tokens; /* 0: not said */
};

/* Takes over value, also when it fails. */
static int add(struct json_object *object, const char *name, struct json_object *value)
{
	if (!value)
		return -1;
	if (json_object_object_add(object, name, value)) {
		json_object_put(value);
		return -1;
	}
	return 0;
}

static int add_text(struct json_object *object, const char *name, struct parlance_str text)
{
	if (text.len > INT_MAX)
		return -1;
	return add(object, name, json_object_new_string_len(text.len ? text.p : "", (int)text.len));
}

/* A number from 0 to max, or null. */
static int wish_number(struct json_object *options, const char *name, int max,
		       struct json_object **out, char *err, size_t err_size)
{
	struct json_object *value = NULL;
	double number;

	if (!json_object_object_get_ex(options, name, &value) || !value)
		return 0;
	number = json_object_get_double(value);
	if ((!json_object_is_type(value, json_type_double) &&
	     !json_object_is_type(value, json_type_int)) ||
	    !(number >= 0 && number <= max)) { /* not for NaN either */
		snprintf(err, err_size, "options.%s must be a number from 0 to %d", name, max);
		return -1;
	}
	*out = value;
	return 0;
}

static int wish_tokens(struct json_object *options, const char *name, int64_t *out, char *err,
		       size_t err_size)
{
	struct json_object *value = NULL;
	int64_t number;

	if (!json_object_object_get_ex(options, name, &value) || !value)
		return 0;
	number = json_object_get_int64(value);
	if (!json_object_is_type(value, json_type_int) || number < 1 || number > INT32_MAX) {
		snprintf(err, err_size, "options.%s must be a whole number of at least 1", name);
		return -1;
	}
	*out = number;
	return 0;
}

/* *root keeps what wishes borrow from; the caller puts it in any case. */
static enum request_result read_wishes(struct parlance_str options, struct json_object **root,
				       struct wishes *wishes, char *err, size_t err_size)
{
	struct json_tokener *tokener;
	enum json_tokener_error error;

	if (options.len == 0)
		return REQUEST_OK;
	tokener = json_tokener_new_ex(OPTIONS_DEPTH_MAX);
	if (!tokener)
		return REQUEST_NO_MEMORY;
	if (options.len <= INT_MAX)
		*root = json_tokener_parse_ex(tokener, options.p, (int)options.len);
	error = json_tokener_get_error(tokener);
	json_tokener_free(tokener);
	if (error != json_tokener_success || !json_object_is_type(*root, json_type_object)) {
		snprintf(err, err_size, "options must be a JSON object");
		return REQUEST_REFUSED;
	}
	if (wish_number(*root, "temperature", 2, &wishes->temperature, err, err_size) ||
	    wish_number(*root, "top_p", 1, &wishes->top_p, err, err_size) ||
	    wish_tokens(*root, "maxTokens", &wishes->max_tokens, err, err_size) ||
	    wish_tokens(*root, "max_tokens", &wishes->max_tokens, err, err_size))
		return REQUEST_REFUSED;
	return REQUEST_OK;
}

static int add_messages(struct json_object *body, const struct parlance_prompt *prompt)
{
	static const char *const roles[] = {
		[PARLANCE_ROLE_SYSTEM] = "system",
		[PARLANCE_ROLE_USER] = "user",
		[PARLANCE_ROLE_ASSISTANT] = "assistant",
	};
	struct json_object *array = json_object_new_array();
	size_t i;

	if (add(body, "messages", array))
		return -1;
	for (i = 0; i < prompt->n_messages; i++) {
		const struct parlance_message *message = &prompt->messages[i];
		struct json_object *entry = json_object_new_object();
		int role = message->role;

		if (!entry)
			return -1;
		if (json_object_array_add(array, entry)) {
			json_object_put(entry);
			return -1;
		}
		if (role < PARLANCE_ROLE_SYSTEM || role > PARLANCE_ROLE_ASSISTANT)
			role = PARLANCE_ROLE_USER;
		if (add(entry, "role", json_object_new_string(roles[role])) ||
		    add_text(entry, "content", message->text))
			return -1;
	}
	return 0;
}

static int add_limits(struct json_object *body, const struct settings *settings,
		      const struct wishes *wishes)
{
	const char *name = settings->max_tokens_name == NAME_MAX_COMPLETION_TOKENS ?
				   "max_completion_tokens" :
				   "max_tokens";
	int64_t tokens = settings->max_tokens;

	/* json_object_get keeps the digits that the client wrote; so does new_double_s. */
	if (wishes->temperature) {
		if (add(body, "temperature", json_object_get(wishes->temperature)))
			return -1;
	} else if (settings->temperature) {
		if (add(body, "temperature",
			json_object_new_double_s(atof(settings->temperature),
						 settings->temperature)))
			return -1;
	}
	if (wishes->top_p && add(body, "top_p", json_object_get(wishes->top_p)))
		return -1;
	if (wishes->max_tokens > 0 && (tokens == 0 || wishes->max_tokens < tokens))
		tokens = wishes->max_tokens;
	return tokens > 0 ? add(body, name, json_object_new_int64(tokens)) : 0;
}

static int add_stream(struct json_object *body, bool usage)
{
	struct json_object *options;

	if (add(body, "stream", json_object_new_boolean(true)))
		return -1;
	if (!usage)
		return 0;
	options = json_object_new_object();
	if (add(body, "stream_options", options))
		return -1;
	return add(options, "include_usage", json_object_new_boolean(true));
}

enum request_result request_build(struct json_object **body, const struct settings *settings,
				  const struct parlance_prompt *prompt, char *err, size_t err_size)
{
	struct json_object *root = NULL;
	struct json_object *made = NULL;
	struct wishes wishes = { 0 };
	enum request_result rc = read_wishes(prompt->options, &root, &wishes, err, err_size);

	if (rc != REQUEST_OK)
		goto out;
	rc = REQUEST_NO_MEMORY;
	made = json_object_new_object();
	if (!made || add_text(made, "model", settings_model(settings, prompt->model)) ||
	    add_messages(made, prompt) || add_stream(made, settings->stream_usage) ||
	    add_limits(made, settings, &wishes))
		goto out;
	if (prompt->user.len > 0 && add_text(made, "user", prompt->user))
		goto out;
	*body = made;
	made = NULL;
	rc = REQUEST_OK;
out:
	json_object_put(made);
	json_object_put(root);
	return rc;
}

const char *request_text(struct json_object *body, size_t *len)
{
	return json_object_to_json_string_length(
		body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, len);
}
