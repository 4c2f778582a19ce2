/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Server-sent events: lines, then fields, then events (WHATWG HTML, sections 9.2.5 and 9.2.6).
 */
#include "sse.h"

#include <string.h>

#define SSE_BOM_LEN 3
#define SSE_RETRY_DIGITS 15 /* fits 64 bits; nobody waits longer */

static const char bom[SSE_BOM_LEN] = { '\xef', '\xbb', '\xbf' };

void sse_init(struct sse *sse, size_t max_bytes)
{
	*sse = (struct sse){ 0 };
	buf_init(&sse->line, max_bytes);
	buf_init(&sse->data, max_bytes);
	buf_init(&sse->type, max_bytes);
	buf_init(&sse->id, max_bytes);
}

void sse_fini(struct sse *sse)
{
	buf_fini(&sse->line);
	buf_fini(&sse->data);
	buf_fini(&sse->type);
	buf_fini(&sse->id);
}

static bool is_field(const char *name, size_t len, const char *field)
{
	return len == strlen(field) && memcmp(name, field, len) == 0;
}

static int set(struct buf *b, const char *p, size_t len)
{
	buf_reset(b);
	return buf_append(b, p, len);
}

static void set_retry(struct sse *sse, const char *p, size_t len)
{
	uint64_t ms = 0;
	size_t i;

	if (len == 0 || len > SSE_RETRY_DIGITS)
		return;
	for (i = 0; i < len; i++) {
		if (p[i] < '0' || p[i] > '9')
			return;
		ms = ms * 10 + (uint64_t)(p[i] - '0');
	}
	sse->retry_ms = ms;
}

/* A complete line that is not empty. 0 or -1. */
static int take_field(struct sse *sse)
{
	const char *line = sse->line.p;
	size_t len = sse->line.len;
	const char *colon = memchr(line, ':', len);
	size_t name_len = colon ? (size_t)(colon - line) : len;
	const char *value = line + name_len;
	size_t value_len = len - name_len;

	if (colon) {
		value++;
		value_len--;
		if (value_len > 0 && *value == ' ') {
			value++;
			value_len--;
		}
	}
	if (is_field(line, name_len, "data")) {
		if (buf_append(&sse->data, value, value_len) || buf_append(&sse->data, "\n", 1))
			return -1;
	} else if (is_field(line, name_len, "event")) {
		return set(&sse->type, value, value_len);
	} else if (is_field(line, name_len, "id")) {
		if (value_len == 0 || !memchr(value, '\0', value_len))
			return set(&sse->id, value, value_len);
	} else if (is_field(line, name_len, "retry")) {
		set_retry(sse, value, value_len);
	}
	return 0;
}

/* An empty line. True when that makes an event. */
static bool dispatch(struct sse *sse, struct sse_event *event)
{
	if (sse->data.len == 0) {
		buf_reset(&sse->type);
		return false;
	}
	sse->dispatched = true;
	event->data = (struct parlance_str){ sse->data.p, sse->data.len - 1 };
	event->id = (struct parlance_str){ sse->id.len ? sse->id.p : "", sse->id.len };
	event->type = (struct parlance_str){ sse->type.p, sse->type.len };
	if (sse->type.len == 0)
		event->type = (struct parlance_str){ "message", 7 };
	return true;
}

static void advance(struct parlance_str *input, size_t n)
{
	input->p += n;
	input->len -= n;
}

/* A byte order mark at the very start is skipped; what only began like one belongs to the line. */
static int skip_bom(struct sse *sse, struct parlance_str *input)
{
	size_t seen;

	while (sse->bom < SSE_BOM_LEN && input->len > 0) {
		if (*input->p == bom[sse->bom]) {
			sse->bom++;
			advance(input, 1);
			continue;
		}
		seen = sse->bom;
		sse->bom = SSE_BOM_LEN;
		return buf_append(&sse->line, bom, seen);
	}
	return 0;
}

/* The bytes before the next line end. A comment may be as long as it likes: it is not kept. */
static int take_part(struct sse *sse, struct parlance_str *input)
{
	size_t n = 0;
	size_t keep;

	while (n < input->len && input->p[n] != '\r' && input->p[n] != '\n')
		n++;
	if (n == 0)
		return 0;
	keep = n;
	if (sse->line.len > 0 && sse->line.p[0] == ':')
		keep = 0;
	else if (sse->line.len == 0 && input->p[0] == ':')
		keep = 1;
	if (buf_append(&sse->line, input->p, keep))
		return -1;
	advance(input, n);
	return 0;
}

enum sse_result sse_next(struct sse *sse, struct parlance_str *input, struct sse_event *event)
{
	if (sse->dispatched) {
		sse->dispatched = false;
		buf_reset(&sse->data);
		buf_reset(&sse->type);
	}
	if (sse->bom < SSE_BOM_LEN && skip_bom(sse, input))
		return SSE_TOO_BIG;
	while (input->len > 0) {
		bool lf_of_cr = sse->after_cr && *input->p == '\n';

		sse->after_cr = false;
		if (lf_of_cr) {
			advance(input, 1);
			continue;
		}
		if (take_part(sse, input))
			return SSE_TOO_BIG;
		if (input->len == 0)
			break;
		sse->after_cr = *input->p == '\r';
		advance(input, 1);
		if (sse->line.len == 0) {
			if (dispatch(sse, event))
				return SSE_EVENT;
			continue;
		}
		if (take_field(sse))
			return SSE_TOO_BIG;
		buf_reset(&sse->line);
	}
	return SSE_MORE;
}
