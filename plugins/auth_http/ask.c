/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Requests. Whatever held the token is wiped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "ask.h"

#define TOKEN_MAX 8192
#define HEADERS_MAX 3
#define ESCAPED_MAX 6 /* bytes that one becomes in JSON */

const char *ask_token_problem(struct parlance_str token)
{
	if (!token.len)
		return "it is empty";
	if (token.len > TOKEN_MAX)
		return "it is longer than 8192 bytes";
	for (size_t i = 0; i < token.len; i++) {
		if (token.p[i] <= 0x20 || token.p[i] >= 0x7f)
			return "it has a blank, a control or a non-ASCII character";
	}
	return NULL;
}

static char *put(char *at, const char *text)
{
	size_t len = strlen(text);

	memcpy(at, text, len);
	return at + len;
}

static char *put_json(char *at, struct parlance_str text)
{
	static const char digits[] = "0123456789abcdef";

	*at++ = '"';
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c < 0x20 || c == '"' || c == '\\') {
			at = put(at, "\\u00");
			*at++ = digits[c >> 4];
			*at++ = digits[c & 15];
		} else {
			*at++ = (char)c;
		}
	}
	*at++ = '"';
	return at;
}

/* {"token":…,"address":…,"origin":…}, the token where it is wanted. NULL: out of memory. */
static char *make_body(const struct parlance_auth_request *r, bool with_token, size_t *size,
		       size_t *len)
{
	char *body;
	char *at;

	*size = (r->token.len + r->address.len + r->origin.len) * ESCAPED_MAX + 64;
	body = malloc(*size);
	if (!body)
		return NULL;
	at = put(body, "{");
	if (with_token) {
		at = put_json(put(at, "\"token\":"), r->token);
		at = put(at, ",");
	}
	at = put_json(put(at, "\"address\":"), r->address);
	at = put_json(put(at, ",\"origin\":"), r->origin);
	at = put(at, "}");
	*len = (size_t)(at - body);
	return body;
}

struct parlance_http *ask_start(const struct parlance_host *host, const struct ask_config *config,
				const struct parlance_auth_request *r,
				const struct parlance_http_sink *sink, void *arg)
{
	struct parlance_http_header headers[HEADERS_MAX] = {
		{ { "Accept", 6 }, { "application/json", 16 } },
	};
	struct parlance_http_request request = {
		.size = sizeof(request),
		.method = config->method,
		.url = config->url,
		.headers = headers,
		.n_headers = 1,
		.total_timeout_ms = config->timeout_ms,
		.max_response_bytes = ANSWER_BYTES_MAX,
	};
	struct parlance_http *http = NULL;
	char bearer[TOKEN_MAX + 8];
	char *body = NULL;
	size_t body_size = 0;
	size_t body_len = 0;

	if (config->token_in == ASK_HEADER) {
		char *at = put(bearer, "Bearer ");

		memcpy(at, r->token.p, r->token.len);
		headers[request.n_headers++] = (struct parlance_http_header){
			{ "Authorization", 13 }, { bearer, 7 + r->token.len }
		};
	}
	if (strcmp(config->method, "POST") == 0) {
		body = make_body(r, config->token_in == ASK_JSON, &body_size, &body_len);
		if (!body)
			goto out;
		request.body = (struct parlance_str){ body, body_len };
		headers[request.n_headers++] = (struct parlance_http_header){
			{ "Content-Type", 12 }, { "application/json", 16 }
		};
	}
	http = host->http_start(host->ctx, &request, sink, arg);
out:
	explicit_bzero(bearer, sizeof(bearer));
	if (body)
		explicit_bzero(body, body_size);
	free(body);
	return http;
}
