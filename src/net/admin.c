/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The listener for those who watch the process: is it alive, and should it get clients? */
#include "net/private.h"

#define METRICS_MAX ((size_t)1 << 20)

void net_set_ready(struct net *net, const char *why_not)
{
	if (!why_not)
		net->not_ready[0] = '\0';
	else
		(void)snprintf(net->not_ready, sizeof(net->not_ready), "%s", why_not);
}

void net_set_metrics(struct net *net, void (*write)(void *arg, struct strbuf *out), void *arg)
{
	net->metrics = write;
	net->metrics_arg = arg;
}

static void answer_metrics(struct conn *c)
{
	struct http_answer a = { .status = 200, .type = "text/plain; version=0.0.4" };
	struct strbuf text;

	strbuf_init(&text, METRICS_MAX);
	c->net->metrics(c->net->metrics_arg, &text);
	a.body = slice_of(text.data, text.len);
	if (strbuf_ok(&text))
		http_answer(c, &a);
	else
		http_answer_text(c, 500, "Out of memory\n", NULL);
	strbuf_fini(&text);
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
	} else if (reads && slice_is(r->path, "/metrics") && c->net->metrics) {
		answer_metrics(c);
	} else {
		http_answer_text(c, 404, "Not found\n", NULL);
	}
}
