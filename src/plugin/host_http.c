/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * HTTP for plugins: between their structs and those of loop/http_client.h. A request that outlives
 * its instance is an orphan: it ends without anybody being told, and the set waits for it.
 */
#include "plugin/host.h"

#include "base/err.h"
#include "loop/http_client.h"

#define HEADERS_MAX 1000 /* of a request */
#define HEADERS_FEW 64   /* of an answer, without asking for memory */

struct parlance_http {
	struct list node;
	struct instance *inst; /* NULL: an orphan */
	struct plugins *set;
	struct http_request *request; /* NULL: it is malformed, and the task says so */
	struct loop_task task;
	const struct parlance_http_sink *sink;
	void *arg;
	bool cancelled;
	bool no_memory;
};

static void finish(struct parlance_http *h, enum parlance_http_result result, const char *detail)
{
	struct plugins *set = h->set;

	list_remove(&h->node);
	if (h->inst) {
		h->sink->done(h->arg, result, detail);
	} else {
		set->orphans--;
		plugins_progress(set);
	}
	free(h);
}

static void on_head(void *arg, int status, const struct http_header *headers, size_t n)
{
	struct parlance_http *h = arg;
	struct parlance_http_header few[HEADERS_FEW] = { { { NULL, 0 }, { NULL, 0 } } };
	struct parlance_http_header *list = few;

	if (!h->inst)
		return;
	if (n > HEADERS_FEW)
		list = calloc(n, sizeof(*list));
	if (!list) {
		h->no_memory = true;
		http_request_cancel(h->request);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		list[i].name = to_str(headers[i].name);
		list[i].value = to_str(headers[i].value);
	}
	h->sink->head(h->arg, status, list, n);
	if (list != few)
		free(list);
}

static void on_data(void *arg, struct slice piece)
{
	struct parlance_http *h = arg;

	if (h->inst)
		h->sink->data(h->arg, to_str(piece));
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
	struct parlance_http *h = arg;

	if (h->no_memory && !h->cancelled)
		finish(h, PARLANCE_HTTP_FAILED, "out of memory");
	else
		finish(h, results[result], detail ? detail : "");
}

static const struct http_request_ops request_ops = {
	.head = on_head,
	.data = on_data,
	.done = on_done,
};

/* A request that the client did not take ends at the end of the turn. */
static void on_malformed(struct loop_task *task)
{
	struct parlance_http *h = CONTAINER_OF(task, struct parlance_http, task);

	if (h->cancelled)
		finish(h, PARLANCE_HTTP_CANCELED, "cancelled");
	else
		finish(h, PARLANCE_HTTP_FAILED, "the URL, the method or a header is malformed");
}

static int start(struct parlance_http *h, const struct parlance_http_request *r)
{
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
	struct http_header *headers = NULL;
	int rc;

	if (!r->method || !r->url || r->n_headers > HEADERS_MAX || (r->n_headers && !r->headers))
		return PARLANCE_EINVAL;
	if (r->n_headers) {
		headers = calloc(r->n_headers, sizeof(*headers));
		if (!headers)
			return PARLANCE_ENOMEM;
		for (size_t i = 0; i < r->n_headers; i++) {
			headers[i].name = to_slice(r->headers[i].name);
			headers[i].value = to_slice(r->headers[i].value);
		}
		config.headers = headers;
	}
	rc = http_request_start(&h->request, h->set->client, &config, &request_ops, h);
	free(headers);
	return rc;
}

static struct parlance_http *host_http_start(void *ctx, const struct parlance_http_request *request,
					     const struct parlance_http_sink *sink, void *arg)
{
	struct instance *inst = ctx;
	struct parlance_http *h;
	int rc;

	if (request->size < SIZE_UP_TO(struct parlance_http_request, max_response_bytes) ||
	    sink->size < SIZE_UP_TO(struct parlance_http_sink, done)) {
		instance_fault(inst, "it begins a request with a struct that is too small");
		return NULL;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->inst = inst;
	h->set = inst->set;
	h->sink = sink;
	h->arg = arg;
	rc = start(h, request);
	if (rc == PARLANCE_ENOMEM) {
		free(h);
		return NULL;
	}
	list_push_back(&inst->requests, &h->node);
	if (rc) {
		h->task.fn = on_malformed;
		loop_defer(inst->set->loop, &h->task);
	}
	return h;
}

static void host_http_pause(struct parlance_http *h)
{
	if (h->request)
		http_request_pause(h->request);
}

static void host_http_resume(struct parlance_http *h)
{
	if (h->request)
		http_request_resume(h->request);
}

static void host_http_cancel(struct parlance_http *h)
{
	h->cancelled = true;
	if (h->request)
		http_request_cancel(h->request);
}

void host_http_init(struct parlance_host *host)
{
	host->http_start = host_http_start;
	host->http_pause = host_http_pause;
	host->http_resume = host_http_resume;
	host->http_cancel = host_http_cancel;
}

size_t host_http_fini(struct instance *inst)
{
	struct list *node;
	size_t n = 0;

	while ((node = list_pop_front(&inst->requests))) {
		struct parlance_http *h = CONTAINER_OF(node, struct parlance_http, node);

		n += !h->cancelled;
		h->inst = NULL;
		h->set->orphans++;
		host_http_cancel(h);
	}
	return n;
}
