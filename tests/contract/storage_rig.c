/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Requests to a storage plugin, and what it tells. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage_rig.h"

static struct rig *current;
static bool told;
static uint64_t waited_since_ms;

static char *copy(const char *p, size_t len)
{
	char *out = malloc(len + 1);

	if (!out)
		mock_abort("storage_rig: out of memory");
	if (len)
		memcpy(out, p, len);
	out[len] = '\0';
	return out;
}

static void *grow(void *list, size_t n, size_t size)
{
	/* At powers of two only, as the list may be long. */
	if (n == 0 || (n & (n - 1)) == 0)
		list = realloc(list, (n ? 2 * n : 1) * size);
	if (!list)
		mock_abort("storage_rig: out of memory");
	return list;
}

static void on_complete(struct parlance_storage_op *op, enum parlance_storage_status status,
			struct parlance_str json, const char *detail)
{
	struct call *call = CONTAINER_OF(op, struct call, op);

	if (call->completed++)
		mock_abort("storage_rig: a request completed twice");
	if ((status == PARLANCE_STORAGE_OK) != (json.p != NULL))
		mock_abort("storage_rig: an answer belongs to PARLANCE_STORAGE_OK alone");
	call->status = status;
	call->json = copy(json.p, json.len);
	call->detail = copy(detail ? detail : "", detail ? strlen(detail) : 0);
	/* From here on the request is no longer the plugin's to read. */
	for (size_t i = 0; i < PARLANCE_STORAGE_PARAMS_MAX; i++) {
		free(call->text[i]);
		call->text[i] = NULL;
	}
	memset(call->params, 0, sizeof(call->params));
	memset(&call->request, 0, sizeof(call->request));
	current->outstanding--;
	told = true;
}

static void on_event(void *ctx, const struct parlance_storage_event *event)
{
	struct rig *rig = current;
	struct rig_event *e;

	if (ctx != rig->m->host.ctx)
		mock_abort("storage_rig: an event with a strange context");
	rig->events = grow(rig->events, rig->n_events, sizeof(*rig->events));
	e = &rig->events[rig->n_events++];
	snprintf(e->room, sizeof(e->room), "%.*s", (int)event->room.len, event->room.p);
	snprintf(e->type, sizeof(e->type), "%.*s", (int)event->type.len, event->type.p);
	e->seq = event->seq;
	e->json = copy(event->json.p, event->json.len);
	told = true;
}

static void on_feed(void *ctx, bool up)
{
	(void)ctx;
	if (current->feed == up)
		mock_abort("storage_rig: the feed is told to be %s twice", up ? "up" : "down");
	current->feed = up;
	current->n_feed++;
	told = true;
}

static void on_ready(void *ctx, bool ready, const char *detail)
{
	(void)ctx;
	if (ready && current->ready)
		mock_abort("storage_rig: ready twice");
	current->ready = ready;
	current->n_ready++;
	snprintf(current->detail, sizeof(current->detail), "%s", detail ? detail : "");
	told = true;
}

static void on_message(void *ctx, struct parlance_str payload)
{
	struct rig *rig = current;

	(void)ctx;
	rig->messages = grow(rig->messages, rig->n_messages, sizeof(*rig->messages));
	rig->messages[rig->n_messages++] = copy(payload.p, payload.len);
	told = true;
}

static const struct parlance_storage_sink sink = {
	.size = sizeof(sink),
	.complete = on_complete,
	.event = on_event,
	.feed = on_feed,
	.ready = on_ready,
	.message = on_message,
};

int rig_open(struct rig *rig, const struct mock_config *config, const struct mock_option *options,
	     size_t n)
{
	struct mock_config c = *config;

	*rig = (struct rig){ .m = NULL };
	c.sink = &sink;
	current = rig;
	rig->m = mock_new(&c);
	rig->ops = rig->m->plugin->ops;
	waited_since_ms = 0;
	return mock_create(rig->m, options, n);
}

void rig_forget_events(struct rig *rig)
{
	for (size_t i = 0; i < rig->n_events; i++)
		free(rig->events[i].json);
	free(rig->events);
	rig->events = NULL;
	rig->n_events = 0;
}

void rig_close(struct rig *rig)
{
	if (rig->outstanding)
		mock_abort("storage_rig: %zu requests have not completed", rig->outstanding);
	if (rig->m->self)
		mock_destroy(rig->m);
	mock_free(&rig->m);
	rig_forget_events(rig);
	for (size_t i = 0; i < rig->n_messages; i++)
		free(rig->messages[i]);
	free(rig->messages);
	current = NULL;
}

static bool was_told(void *arg)
{
	(void)arg;
	return told;
}

bool rig_step(struct rig *rig, uint64_t deadline_ms)
{
	uint64_t now = rig->m->host.mono_ms(rig->m->host.ctx);

	if (!waited_since_ms)
		waited_since_ms = now;
	if (now - waited_since_ms >= deadline_ms)
		return false;
	told = false;
	/* Conditions may be about something else than what is told: look again soon. */
	(void)!mock_run_until(rig->m, was_told, NULL, 50);
	return true;
}

void rig_step_done(struct rig *rig)
{
	(void)rig;
	waited_since_ms = 0;
}

void rig_fail(struct rig *rig, const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: it did not become so: %s\nthe log:\n%s", file, line, what,
		mock_log(rig->m));
	mock_abort("storage_rig: failed");
}

void rig_wait_up(struct rig *rig)
{
	RIG_WAIT(rig, rig->ready && rig->feed);
}

void rig_submit(struct rig *rig, struct call *call, int function, size_t n,
		const char *const *params)
{
	*call = (struct call){ .completed = 0 };
	for (size_t i = 0; i < n; i++) {
		if (!params[i])
			continue;
		call->text[i] = copy(params[i], strlen(params[i]));
		call->params[i] = (struct parlance_str){ call->text[i], strlen(params[i]) };
	}
	call->request = (struct parlance_storage_request){ .size = sizeof(call->request),
							   .function = function,
							   .params = call->params,
							   .n_params = n };
	if (rig->key)
		call->request.key = (struct parlance_str){ rig->key, strlen(rig->key) };
	rig->outstanding++;
	MOCK_CALL(rig->m, rig->ops->submit(rig->m->self, &call->op, &call->request));
}

void rig_cancel(struct rig *rig, struct call *call)
{
	MOCK_CALL(rig->m, rig->ops->cancel(rig->m->self, &call->op));
}

void rig_wait(struct rig *rig, struct call *call)
{
	RIG_WAIT(rig, call->completed);
}

const char *rig_expect_ok(struct rig *rig, struct call *call, const char *file, int line)
{
	if (call->status != PARLANCE_STORAGE_OK) {
		fprintf(stderr, "status %d: %s\n", (int)call->status, call->detail);
		rig_fail(rig, "the answer is PARLANCE_STORAGE_OK", file, line);
	}
	return call->json;
}

void call_free(struct call *call)
{
	free(call->json);
	free(call->detail);
	call->json = call->detail = NULL;
}

const struct rig_event *rig_event(const struct rig *rig, size_t from, const char *type)
{
	for (size_t i = from; i < rig->n_events; i++) {
		if (strcmp(rig->events[i].type, type) == 0)
			return &rig->events[i];
	}
	return NULL;
}

const char *json_text(const char *json, const char *name)
{
	static char out[4096];
	char key[64];
	const char *p;
	size_t n;

	snprintf(key, sizeof(key), "\"%s\"", name);
	p = strstr(json, key);
	out[0] = '\0';
	if (!p)
		return out;
	p += strlen(key);
	p += strspn(p, " :");
	if (*p == '"')
		n = strcspn(++p, "\"");
	else
		n = strcspn(p, ",}] ");
	snprintf(out, sizeof(out), "%.*s", (int)n, p);
	return out;
}
