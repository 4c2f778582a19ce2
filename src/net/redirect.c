/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The listener that sends everybody elsewhere, as a rule from HTTP to HTTPS. Where to is what the
 * configuration says, never what a request says.
 */
#include "net/private.h"

void redirect_request(struct conn *c, const struct http_request *r)
{
	struct strbuf headers;

	strbuf_init(&headers, SIZE_MAX / 2);
	strbuf_append_str(&headers, "Location: ");
	strbuf_append_str(&headers, c->listener->redirect);
	/* A path has its slash, or it would go on with the host's name; "*" has none. */
	if (r->path.len && r->path.p[0] == '/')
		strbuf_append_slice(&headers, r->path);
	else
		strbuf_append_char(&headers, '/');
	if (r->query.len) {
		strbuf_append_char(&headers, '?');
		strbuf_append_slice(&headers, r->query);
	}
	strbuf_append_str(&headers, "\r\n");
	if (strbuf_ok(&headers))
		http_answer_text(c, 308, "This is spoken over HTTPS\n", strbuf_cstr(&headers));
	else
		conn_kill(c);
	strbuf_fini(&headers);
}
