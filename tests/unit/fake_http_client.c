/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The fake HTTP client. */
#include "fake_http_client.h"

#include "base/err.h"

int fake_http_rc;
struct loop *fake_http_loop;
struct http_request *fake_http_last;
unsigned fake_http_open;
void (*fake_http_on_start)(const struct http_request_config *config);

void fake_http_done(struct http_request *request, enum http_result result, const char *detail)
{
	loop_undefer(&request->task);
	fake_http_open--;
	request->ops->done(request->arg, result, detail);
	free(request);
}

static void on_cancelled(struct loop_task *task)
{
	fake_http_done(CONTAINER_OF(task, struct http_request, task), HTTP_CANCELED, "cancelled");
}

int http_request_start(struct http_request **out, struct http_client *client,
		       const struct http_request_config *config,
		       const struct http_request_ops *ops, void *arg)
{
	struct http_request *request;

	(void)client;
	if (fake_http_on_start)
		fake_http_on_start(config);
	if (fake_http_rc)
		return fake_http_rc;
	request = calloc(1, sizeof(*request));
	if (!request)
		return PARLANCE_ENOMEM;
	request->config = *config;
	request->ops = ops;
	request->arg = arg;
	request->task.fn = on_cancelled;
	fake_http_last = request;
	fake_http_open++;
	*out = request;
	return 0;
}

void http_request_pause(struct http_request *request)
{
	request->paused = true;
}

void http_request_resume(struct http_request *request)
{
	request->paused = false;
}

void http_request_cancel(struct http_request *request)
{
	request->cancelled = true;
	loop_defer(fake_http_loop, &request->task);
}
