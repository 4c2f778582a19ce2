/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The listener for those who watch the process: is it alive, and should it get clients? */
#include "net/private.h"

void net_set_ready(struct net *net, const char *why_not)
{
	if (!why_not)
		net->not_ready[0] = '\0';
	else
		(void)snprintf(net->not_ready, sizeof(net->not_ready), "%s", why_not);
}

void admin_request(struct conn *c, const struct http_request *r)
{
	bool reads = r->method == HTTP_GET || r->method == HTTP_HEAD;
	char text[sizeof(c->net->not_ready) + 1];

	if (reads && slice_is(r->path, "/healthz")) {
		http_answer_text(c, 200, "ok\n", NULL);
	} else if (reads && slice_is(r->path, "/readyz")) {
		const char *why_not = c->net->not_ready;

		(void)snprintf(text, sizeof(text), "%s\n", why_not[0] ? why_not : "ready");
		http_answer_text(c, why_not[0] ? 503 : 200, text, NULL);
	} else {
		http_answer_text(c, 404, "Not found\n", NULL);
	}
}
