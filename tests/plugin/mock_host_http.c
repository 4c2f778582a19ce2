/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* HTTP for the mock host: between the plugin's structs and those of loop/http_client.h. */
#include <stdlib.h>

#include "mock_host_http.h"

struct parlance_http {
	struct list node;
	struct state *state;
	struct http_request *request; /* NULL: it is malformed, and the task says so */
	struct loop_task task;
	const struct parlance_http_sink *sink;
	void *arg;
	bool cancelled;
	bool orphan; /* the instance is gone, nobody is told */
};

struct state {
	struct list node;
	struct mock_host *m;
	struct http_client *client;
	struct list requests;
};

/* Every host with HTTP; there are never many. */
static struct list states = { &states, &states };

static struct state *state_of(const struct mock_host *m)
{
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (node, next, &states) {
		struct state *s = CONTAINER_OF(node, struct state, node);

		if (s->m == m)
			return s;
	}
	mock_abort("the host has no HTTP");
}

static struct slice to_slice(struct parlance_str s)
{
	return slice_of(s.p, s.len);
}

static struct parlance_str to_str(struct slice s)
{
	return (struct parlance_str){ s.p, s.len };
}

static void finish(struct parlance_http *h, enum parlance_http_result result, const char *detail)
{
	struct mock_host *m = h->state->m;

	list_remove(&h->node);
	m->live_https--;
	if (!h->orphan)
		MOCK_CALL(m, h->sink->done(h->arg, result, detail ? detail : ""));
	free(h);
}

static void on_head(void *arg, int status, const struct http_header *headers, size_t n)
{
	struct parlance_http *h = arg;
	struct parlance_http_header *list;

	if (h->orphan)
		return;
	list = calloc(n + 1, sizeof(*list));
	CHECK(list);
	for (size_t i = 0; i < n; i++) {
		list[i].name = to_str(headers[i].name);
		list[i].value = to_str(headers[i].value);
	}
	MOCK_CALL(h->state->m, h->sink->head(h->arg, status, list, n));
	free(list);
}

static void on_data(void *arg, struct slice piece)
{
	struct parlance_http *h = arg;

	if (!h->orphan)
		MOCK_CALL(h->state->m, h->sink->data(h->arg, to_str(piece)));
}

static void on_done(void *arg, enum http_result result, const char *detail)
{
	static const enum parlance_http_result results[] = {
		[HTTP_DONE] = PARLANCE_HTTP_OK,
		[HTTP_CANCELED] = PARLANCE_HTTP_CANCELED,
		[HTTP_CONNECT] = PARLANCE_HTTP_CONNECT,
		[HTTP_TIMEOUT] = PARLANCE_HTTP_TIMEOUT,
		[HTTP_CUT] = PARLANCE_HTTP_CUT,
		[HTTP_TOO_BIG] = PARLANCE_HTTP_TOO_BIG,
		[HTTP_FAILED] = PARLANCE_HTTP_FAILED,
	};

	finish(arg, results[result], detail);
}

static const struct http_request_ops request_ops = {
	.head = on_head,
	.data = on_data,
	.done = on_done,
};

static void on_malformed(struct loop_task *task)
{
	struct parlance_http *h = CONTAINER_OF(task, struct parlance_http, task);

	finish(h, h->cancelled ? PARLANCE_HTTP_CANCELED : PARLANCE_HTTP_FAILED,
	       "the URL, the method or a header is malformed");
}

static struct parlance_http *service_start(void *ctx, const struct parlance_http_request *r,
					   const struct parlance_http_sink *sink, void *arg)
{
	struct mock_host *m = ctx;
	struct state *s = state_of(m);
	struct http_request_config config = {
		.method = r->method,
		.url = r->url,
		.n_headers = r->n_headers,
		.body = to_slice(r->body),
		.connect_timeout_ms = r->connect_timeout_ms,
		.first_byte_timeout_ms = r->first_byte_timeout_ms,
		.idle_timeout_ms = r->idle_timeout_ms,
		.total_timeout_ms = r->total_timeout_ms,
		.max_response_bytes = r->max_response_bytes,
	};
	struct http_header *headers;
	struct parlance_http *h;

	mock_on_thread(m, "http_start");
	if (r->size < sizeof(*r) || sink->size < sizeof(*sink))
		mock_abort("http_start was called with a struct that is too small");
	if (mock_fails(m, MOCK_HTTP_START))
		return NULL;
	h = calloc(1, sizeof(*h));
	headers = calloc(r->n_headers + 1, sizeof(*headers));
	CHECK(h && headers);
	for (size_t i = 0; i < r->n_headers; i++) {
		headers[i].name = to_slice(r->headers[i].name);
		headers[i].value = to_slice(r->headers[i].value);
	}
	config.headers = headers;
	h->state = s;
	h->sink = sink;
	h->arg = arg;
	h->task.fn = on_malformed;
	if (http_request_start(&h->request, s->client, &config, &request_ops, h)) {
		h->request = NULL;
		loop_defer(m->loop, &h->task);
	}
	free(headers);
	list_push_back(&s->requests, &h->node);
	m->live_https++;
	return h;
}

static void service_pause(struct parlance_http *h)
{
	mock_on_thread(h->state->m, "http_pause");
	if (h->request)
		http_request_pause(h->request);
}

static void service_resume(struct parlance_http *h)
{
	mock_on_thread(h->state->m, "http_resume");
	if (h->request)
		http_request_resume(h->request);
}

static void service_cancel(struct parlance_http *h)
{
	mock_on_thread(h->state->m, "http_cancel");
	h->cancelled = true;
	if (h->request)
		http_request_cancel(h->request);
}

static bool no_requests(void *arg)
{
	const struct state *s = arg;

	return list_empty(&s->requests);
}

static size_t on_end(struct mock_host *m, bool over)
{
	struct state *s = state_of(m);
	struct list *node;
	struct list *next;
	size_t n = 0;

	LIST_FOREACH_SAFE (node, next, &s->requests) {
		struct parlance_http *h = CONTAINER_OF(node, struct parlance_http, node);

		n += !h->cancelled;
		h->orphan = true;
		service_cancel(h);
	}
	if (over) {
		if (!mock_run_until(m, no_requests, s, 10000))
			mock_abort("cancelled requests do not end");
		http_client_free(&s->client);
		list_remove(&s->node);
		free(s);
	}
	return n;
}

void mock_http_init(struct mock_host *m, const struct http_client_config *config)
{
	static const struct http_client_config defaults = {
		.proxy = "",
		.ca_file = "",
		.connect_timeout_ms = 10000,
		.first_byte_timeout_ms = 10000,
		.idle_timeout_ms = 10000,
		.total_timeout_ms = 10000,
	};
	struct state *s = calloc(1, sizeof(*s));

	CHECK(s);
	s->m = m;
	list_init(&s->requests);
	CHECK(http_client_new(&s->client, m->loop, config ? config : &defaults) == 0);
	list_push_back(&states, &s->node);
	m->host.http_start = service_start;
	m->host.http_pause = service_pause;
	m->host.http_resume = service_resume;
	m->host.http_cancel = service_cancel;
	mock_set_http_end(m, on_end);
}
