/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What a service says. Services that call themselves compatible differ in the details: fields may
 * be missing, null, or more than expected; only what contradicts the meaning is refused.
 */
#include "reply.h"

#include <json-c/json.h>
#include <limits.h>
#include <string.h>

/* The member, or NULL when it is missing or null. */
static struct json_object *member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	if (json_object_is_type(object, json_type_object))
		json_object_object_get_ex(object, name, &value);
	return value;
}

/* The text of a member; p is NULL when there is none. */
static struct parlance_str text_of(struct json_object *object, const char *name)
{
	struct json_object *value = member(object, name);

	if (!json_object_is_type(value, json_type_string))
		return (struct parlance_str){ NULL, 0 };
	return (struct parlance_str){ json_object_get_string(value),
				      (size_t)json_object_get_string_len(value) };
}

static bool contains(struct parlance_str text, const char *word)
{
	return text.p && memmem(text.p, text.len, word, strlen(word));
}

static bool is(struct parlance_str text, const char *word)
{
	return text.p && text.len == strlen(word) && memcmp(text.p, word, text.len) == 0;
}

int reply_status_finish(int status)
{
	if (status == 429)
		return PARLANCE_FINISH_RATE_LIMITED;
	if (status == 408)
		return PARLANCE_FINISH_TIMEOUT;
	if (status >= 500)
		return PARLANCE_FINISH_UNAVAILABLE;
	return PARLANCE_FINISH_REFUSED;
}

/* By what the error says of itself: an HTTP status, or words. */
static int error_finish(struct json_object *error)
{
	static const char *const limits[] = { "rate_limit", "quota", "too_many_requests" };
	static const char *const refusals[] = { "invalid_request", "authentication", "permission",
						"not_found", "invalid_api_key", "context_length" };
	struct parlance_str type = text_of(error, "type");
	struct parlance_str code = text_of(error, "code");
	struct json_object *number = member(error, "code");
	size_t i;

	if (json_object_is_type(number, json_type_int)) {
		int status = json_object_get_int(number);

		if (status >= 400 && status < 600)
			return reply_status_finish(status);
	}
	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (contains(type, limits[i]) || contains(code, limits[i]))
			return PARLANCE_FINISH_RATE_LIMITED;
	}
	for (i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (contains(type, refusals[i]) || contains(code, refusals[i]))
			return PARLANCE_FINISH_REFUSED;
	}
	if (contains(type, "timeout") || contains(code, "timeout"))
		return PARLANCE_FINISH_TIMEOUT;
	return PARLANCE_FINISH_UNAVAILABLE;
}

/* The error's name. Its message is a text for people, which may quote what was asked. */
static struct parlance_str error_name(struct json_object *error)
{
	static const char *const names[] = { "code", "type" };
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789_-.";
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct parlance_str name = text_of(error, names[i]);

		if (name.p && name.len > 0 && name.len <= ERROR_NAME_MAX &&
		    strspn(name.p, letters) == name.len)
			return name;
	}
	return (struct parlance_str){ NULL, 0 };
}

/* "error" is an object or a text; some services put the object itself in its place. */
static bool read_error(struct reply *reply)
{
	struct json_object *error = member(reply->root, "error");

	if (!error && is(text_of(reply->root, "object"), "error"))
		error = reply->root;
	if (!error)
		return false;
	reply->error = error_finish(error);
	reply->error_name = error_name(error);
	return true;
}

static int64_t count_of(struct json_object *usage, const char *name)
{
	struct json_object *value = member(usage, name);
	int64_t n = json_object_get_int64(value);

	return json_object_is_type(value, json_type_int) && n >= 0 ? n : -1;
}

static void read_usage(struct reply *reply)
{
	struct json_object *usage = member(reply->root, "usage");

	if (!json_object_is_type(usage, json_type_object))
		return;
	reply->has_usage = true;
	reply->usage = (struct parlance_usage){
		.size = sizeof(reply->usage),
		.prompt_tokens = count_of(usage, "prompt_tokens"),
		.completion_tokens = count_of(usage, "completion_tokens"),
		.total_tokens = count_of(usage, "total_tokens"),
	};
}

static int finish_of(struct parlance_str reason)
{
	if (!reason.p || reason.len == 0)
		return 0;
	if (is(reason, "length") || is(reason, "max_tokens"))
		return PARLANCE_FINISH_LENGTH;
	if (is(reason, "content_filter"))
		return PARLANCE_FINISH_FILTER;
	if (is(reason, "error"))
		return PARLANCE_FINISH_UNAVAILABLE;
	/* "stop", "tool_calls" and the names that services have made up. */
	return PARLANCE_FINISH_STOP;
}

/* The answer that we asked for is the one with index 0, and the only one. */
static struct json_object *first_choice(struct json_object *choices)
{
	size_t i;

	for (i = 0; i < json_object_array_length(choices); i++) {
		struct json_object *choice = json_object_array_get_idx(choices, i);
		struct json_object *index = member(choice, "index");

		if (!index || json_object_get_int64(index) == 0)
			return choice;
	}
	return NULL;
}

static int read_choice(struct reply *reply, struct json_object *choice, const char **what)
{
	struct json_object *message = member(choice, "delta");
	struct json_object *content;

	if (!message)
		message = member(choice, "message");
	content = member(message, "content");
	if (content && !json_object_is_type(content, json_type_string)) {
		*what = "content is not a text";
		return -1;
	}
	reply->text = text_of(message, "content");
	/* A model that refuses to answer says so in a field of its own. */
	if (reply->text.len == 0)
		reply->text = text_of(message, "refusal");
	reply->reasoning = text_of(message, "reasoning_content");
	if (reply->reasoning.len == 0)
		reply->reasoning = text_of(message, "reasoning");
	reply->finish = finish_of(text_of(choice, "finish_reason"));
	return 0;
}

/* -1 when it is not one JSON value. */
static int parse(struct reply *reply, struct json_tokener *tokener, struct parlance_str json)
{
	size_t end;

	json_tokener_reset(tokener);
	if (json.len == 0 || json.len > INT_MAX)
		return -1;
	reply->root = json_tokener_parse_ex(tokener, json.p, (int)json.len);
	if (json_tokener_get_error(tokener) != json_tokener_success)
		return -1;
	end = json_tokener_get_parse_end(tokener);
	while (end < json.len && strchr(" \t\r\n", json.p[end]) && json.p[end] != '\0')
		end++;
	return end == json.len ? 0 : -1;
}

int reply_parse(struct reply *reply, struct json_tokener *tokener, struct parlance_str json,
		const char **what)
{
	struct json_object *choices;
	struct json_object *choice;

	*reply = (struct reply){ 0 };
	if (parse(reply, tokener, json)) {
		*what = "not JSON";
		return -1;
	}
	if (!json_object_is_type(reply->root, json_type_object)) {
		*what = "not a JSON object";
		return -1;
	}
	if (read_error(reply))
		return 0;
	reply->model = text_of(reply->root, "model");
	read_usage(reply);
	choices = member(reply->root, "choices");
	if (!choices)
		return 0;
	if (!json_object_is_type(choices, json_type_array)) {
		*what = "choices is not a list";
		return -1;
	}
	choice = first_choice(choices);
	return choice ? read_choice(reply, choice, what) : 0;
}

void reply_fini(struct reply *reply)
{
	json_object_put(reply->root);
	reply->root = NULL;
}
