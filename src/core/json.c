/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Reading JSON field by field, and writing it. */
#include <errno.h>

#include "core/private.h"
#include "base/err.h"
#include "wire/json_scan.h"

enum field field_string(struct core *core, struct slice value, size_t max, struct slice *out)
{
	*out = slice_of(NULL, 0);
	if (!value.len || json_kind(value) == 'n')
		return FIELD_ABSENT;
	/* A text that PostgreSQL cannot hold is malformed. */
	if (json_string(value, &core->scratch, out) != 0 || memchr(out->p, '\0', out->len))
		return FIELD_BAD;
	return out->len > max ? FIELD_TOO_LARGE : FIELD_OK;
}

enum field field_limited(struct core *core, struct slice value, enum core_limit limit,
			 struct slice *out)
{
	const struct core_config *c = core->config;
	size_t max = limit == CORE_LIMIT_CONTENT_BYTES ? c->max_content_bytes
		     : limit == CORE_LIMIT_TITLE_BYTES ? c->max_title_bytes
						       : c->max_metadata_bytes;
	enum field found = field_string(core, value, max, out);

	core->limited[limit] += found == FIELD_TOO_LARGE;
	return found;
}

enum field field_uuid(struct core *core, struct slice value, struct slice *out)
{
	enum field found = field_string(core, value, SIZE_MAX, out);
	char *lower;

	if (found != FIELD_OK)
		return found;
	if (!id_is_uuid(out->p, out->len))
		return FIELD_BAD;
	lower = arena_strndup(&core->scratch, out->p, out->len);
	if (!lower)
		return FIELD_BAD;
	for (char *p = lower; *p; p++)
		if (*p >= 'A' && *p <= 'F')
			*p = (char)(*p - 'A' + 'a');
	out->p = lower;
	return FIELD_OK;
}

enum field field_int(struct slice value, int64_t min, int64_t max, int64_t *out)
{
	char text[24];
	char *end;
	long long n;

	if (!value.len || json_kind(value) == 'n')
		return FIELD_ABSENT;
	if (json_kind(value) != '0' || value.len >= sizeof(text))
		return FIELD_BAD;
	memcpy(text, value.p, value.len);
	text[value.len] = '\0';
	errno = 0;
	n = strtoll(text, &end, 10);
	/* At the bounds it stays there when the text goes on. */
	if (*end || errno == ERANGE || n < min || n > max)
		return FIELD_BAD;
	*out = n;
	return FIELD_OK;
}

bool json_is_large(struct core *core, struct slice value)
{
	bool large = value.len > core->config->max_metadata_bytes;

	core->limited[CORE_LIMIT_METADATA_BYTES] += large;
	return large;
}

bool json_is_deep(struct core *core, struct slice value)
{
	unsigned depth = 0;
	bool text = false;

	for (size_t i = 0; i < value.len; i++) {
		char c = value.p[i];

		if (c == '"') {
			text = !text;
		} else if (text && c == '\\') {
			i++;
		} else if (!text && (c == '{' || c == '[')) {
			if (++depth > core->config->max_json_depth) {
				core->limited[CORE_LIMIT_JSON_DEPTH]++;
				return true;
			}
		} else if (!text && (c == '}' || c == ']')) {
			depth--;
		}
	}
	return false;
}

void fields(struct core *core, struct slice object, const char *const *keys, size_t n,
	    struct slice *values)
{
	if (json_members(object, keys, n, &core->scratch, values) != 0)
		memset(values, 0, n * sizeof(*values));
}

struct slice field(struct core *core, struct slice object, const char *key)
{
	struct slice value;

	fields(core, object, &key, 1, &value);
	return value;
}

struct slice field_text(struct core *core, struct slice object, const char *key)
{
	struct slice text;

	if (field_string(core, field(core, object, key), SIZE_MAX, &text) != FIELD_OK)
		return slice_of(NULL, 0);
	return text;
}

int64_t field_number(struct core *core, struct slice object, const char *key)
{
	int64_t n = 0;

	(void)field_int(field(core, object, key), INT64_MIN, INT64_MAX, &n);
	return n;
}

struct strbuf *json_begin(struct core *core)
{
	strbuf_reset(&core->json);
	strbuf_append_char(&core->json, '{');
	return &core->json;
}

void json_key(struct strbuf *sb, const char *key)
{
	if (sb->len && sb->data[sb->len - 1] != '{')
		strbuf_append_char(sb, ',');
	strbuf_append_json(sb, key, strlen(key));
	strbuf_append_char(sb, ':');
}

void json_text(struct strbuf *sb, const char *key, struct slice text)
{
	json_key(sb, key);
	strbuf_append_json(sb, text.p, text.len);
}

void sql_element(struct strbuf *sb, struct slice text)
{
	strbuf_append_char(sb, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] == '"' || text.p[i] == '\\')
			strbuf_append_char(sb, '\\');
		strbuf_append_char(sb, text.p[i]);
	}
	strbuf_append_char(sb, '"');
}

struct slice json_end(const struct strbuf *sb)
{
	return strbuf_ok(sb) ? slice_of(sb->data, sb->len) : slice_of(NULL, 0);
}
