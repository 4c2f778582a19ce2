/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Requests to the storage plugin and what it tells by itself. An answer goes to its asker as the
 * plugin gives it, without a copy, unless the plugin is in a call of ours.
 */
#include "plugin/storage.h"

#include "base/err.h"
#include "plugin/private.h"

struct request {
	struct op op;
	struct parlance_storage_op pub; /* what the plugin has of it */
	struct parlance_storage_request request;
	struct parlance_str *params; /* and behind them their text, each terminated */
	storage_done_fn *done;
	void *arg;
	/* The plugin's answer: borrowed while it is given at once, else that of `copy`. */
	enum parlance_storage_status status;
	struct slice json;
	const char *detail;
	struct strbuf copy;
};

static struct request *of_op(struct op *op)
{
	return CONTAINER_OF(op, struct request, op);
}

static const struct {
	const char *name;
	size_t n_params;
} functions[] = {
#define X(constant, name, n_params, class) [constant] = { #name, n_params },
	PARLANCE_STORAGE_LIST(X)
#undef X
};

const char *storage_function_name(enum parlance_storage_function function)
{
	size_t i = (size_t)function;

	return i < ARRAY_LEN(functions) && functions[i].name ? functions[i].name : "?";
}

static void on_begin(struct op *op)
{
	struct request *r = of_op(op);
	const struct parlance_storage_ops *ops = op->inst->module->desc->ops;

	ops->submit(op->inst->self, &r->pub, &r->request);
}

static void on_cancel(struct op *op)
{
	const struct parlance_storage_ops *ops = op->inst->module->desc->ops;

	ops->cancel(op->inst->self, &of_op(op)->pub);
}

static void on_answer(struct op *op, enum op_reason reason)
{
	struct request *r = of_op(op);
	struct storage_answer answer = { .status = PARLANCE_STORAGE_CANCELED };

	switch (reason) {
	case OP_COMPLETED:
		answer.status = r->status;
		answer.json = r->json;
		answer.detail = r->detail;
		break;
	case OP_REFUSED:
		answer.status = PARLANCE_STORAGE_FAILED;
		answer.detail = op->detail;
		break;
	case OP_TIMED_OUT:
		answer.timed_out = true;
		answer.detail = "the storage has not answered in time";
		break;
	case OP_CLOSED:
		answer.detail = "shutting down";
		break;
	case OP_NOT_BEGUN:
		answer.status = PARLANCE_STORAGE_UNAVAILABLE;
		answer.detail = "shutting down";
		break;
	case OP_NO_PLUGIN:
		answer.status = PARLANCE_STORAGE_UNAVAILABLE;
		answer.detail = "no storage plugin is loaded";
		break;
	}
	r->done(r->arg, &answer);
}

static void on_release(struct op *op)
{
	struct request *r = of_op(op);

	free(r->params);
	strbuf_fini(&r->copy);
}

static const struct op_kind request_kind = {
	.begin = on_begin,
	.cancel = on_cancel,
	.answer = on_answer,
	.release = on_release,
};

static struct parlance_str copy_text(struct slice text, char **at)
{
	struct parlance_str copy = { *at, text.len };

	if (!text.p)
		return (struct parlance_str){ NULL, 0 };
	memcpy(*at, text.p, text.len);
	(*at)[text.len] = '\0';
	*at += text.len + 1;
	return copy;
}

/* Parameters, key, and their text in one piece of memory. */
static int copy_params(struct request *r, struct slice key, const struct slice *params, size_t n)
{
	size_t size = n * sizeof(*r->params);
	char *at;

	for (size_t i = 0; i < n; i++) {
		if (!size_add(size, params[i].len, &size) || !size_add(size, 1, &size))
			return PARLANCE_ENOMEM;
	}
	if (!size_add(size, key.len, &size) || !size_add(size, 1, &size))
		return PARLANCE_ENOMEM;
	r->params = malloc(size);
	if (!r->params)
		return PARLANCE_ENOMEM;
	at = (char *)(r->params + n);
	for (size_t i = 0; i < n; i++)
		r->params[i] = copy_text(params[i], &at);
	r->request.key = copy_text(key.len ? key : (struct slice){ 0 }, &at);
	return 0;
}

int storage_call(struct plugins *plugins, enum parlance_storage_function function,
		 struct slice key, const struct slice *params, size_t n_params,
		 uint32_t timeout_ms, storage_done_fn *done, void *arg)
{
	struct request *r;

	CHECK((size_t)function < ARRAY_LEN(functions) && functions[function].name &&
	      functions[function].n_params == n_params);
	if (!plugins_running(plugins))
		return PARLANCE_ECLOSED;
	r = calloc(1, sizeof(*r));
	if (!r)
		return PARLANCE_ENOMEM;
	if (copy_params(r, key, params, n_params)) {
		free(r);
		return PARLANCE_ENOMEM;
	}
	r->request.size = sizeof(r->request);
	r->request.function = (int)function;
	r->request.params = r->params;
	r->request.n_params = n_params;
	r->done = done;
	r->arg = arg;
	strbuf_init(&r->copy, SIZE_MAX / 2);
	op_start(&r->op, &request_kind, plugins, plugins->storage, timeout_ms);
	return 0;
}

bool storage_ready(const struct plugins *plugins)
{
	return plugins_running(plugins) && plugins->storage && plugins->storage->ready;
}

void storage_number_task(struct loop_task *task)
{
	struct instance *inst = CONTAINER_OF(task, struct instance, number_task);
	const struct parlance_storage_ops *ops = inst->module->desc->ops;

	inst->inside++;
	ops->set_instance(inst->self, inst->number);
	inst->inside--;
}

void storage_set_instance(struct plugins *plugins, int64_t instance)
{
	struct instance *inst = plugins->storage;

	if (!plugins_running(plugins) || !inst || !inst->made)
		return;
	inst->number = instance;
	loop_defer(plugins->loop, &inst->number_task);
}

void storage_listen(struct plugins *plugins, const struct storage_listener *listener, void *ctx)
{
	plugins->listener = listener;
	plugins->listener_ctx = ctx;
}

/* The sink */

static const char *name_of(const struct request *r)
{
	return storage_function_name((enum parlance_storage_function)r->request.function);
}

/* Full validation of what the database has made would cost more than it is worth: this finds an
 * answer of another kind, and one that was cut off. */
static bool looks_like_object(struct parlance_str json)
{
	return json.p && json.len >= 2 && json.p[0] == '{' && json.p[json.len - 1] == '}';
}

/* The answer has to wait for the end of the turn, the plugin's memory will not. */
static void keep(struct request *r, const char *detail)
{
	size_t json_len = r->json.len;

	strbuf_append_slice(&r->copy, r->json);
	strbuf_append_char(&r->copy, '\0');
	strbuf_append_str(&r->copy, detail);
	if (!strbuf_ok(&r->copy)) {
		op_refuse(&r->op, "out of memory");
		return;
	}
	r->json.p = json_len ? r->copy.data : NULL;
	r->detail = r->copy.data + json_len + 1;
}

static void sink_complete(struct parlance_storage_op *pub, enum parlance_storage_status status,
			  struct parlance_str json, const char *detail)
{
	struct request *r = CONTAINER_OF(pub, struct request, pub);
	struct op *op = &r->op;

	if (!op_may_speak(op, "it completes a request"))
		return;
	if (status < PARLANCE_STORAGE_OK || status > PARLANCE_STORAGE_FAILED) {
		instance_fault(op->inst, "it completes %s with the unknown status %d",
			       name_of(r), (int)status);
		op_refuse(op, "the storage plugin's answer is of no use");
	} else if (status == PARLANCE_STORAGE_OK && !looks_like_object(json)) {
		instance_fault(op->inst, "its answer to %s is not a JSON object",
			       name_of(r));
		op_refuse(op, "the storage plugin's answer is not a JSON object");
	} else if (!op->answered) {
		r->status = status;
		if (status == PARLANCE_STORAGE_OK)
			r->json = to_slice(json);
		r->detail = detail ? detail : "";
		if (!op_is_direct(op))
			keep(r, r->detail);
	}
	op_complete(op, true);
}

/* NULL: there is nobody to tell. */
static const struct storage_listener *listener_of(const struct instance *inst)
{
	return plugins_running(inst->set) ? inst->set->listener : NULL;
}

static void sink_event(void *host_ctx, const struct parlance_storage_event *event)
{
	struct instance *inst = host_ctx;
	const struct storage_listener *listener = listener_of(inst);

	if (event->size < SIZE_UP_TO(struct parlance_storage_event, json) || !event->room.len ||
	    !event->type.len || event->seq < 1 ||
	    (event->json.len && !looks_like_object(event->json))) {
		instance_fault(inst, "an event of its feed is malformed");
		return;
	}
	if (listener && listener->event)
		listener->event(inst->set->listener_ctx, event);
}

static void sink_feed(void *host_ctx, bool up)
{
	const struct instance *inst = host_ctx;
	const struct storage_listener *listener = listener_of(inst);

	log_info(inst->label, NULL, up ? "the feed is up" : "the feed is down");
	if (listener && listener->feed)
		listener->feed(inst->set->listener_ctx, up);
}

static void sink_ready(void *host_ctx, bool ready, const char *detail)
{
	struct instance *inst = host_ctx;
	const struct storage_listener *listener = listener_of(inst);

	if (ready == inst->ready)
		return;
	inst->ready = ready;
	if (ready)
		log_notice(inst->label, NULL, "the storage is there");
	else
		log_warn(inst->label, NULL, "the storage is away (%s)", detail ? detail : "");
	if (listener && listener->ready)
		listener->ready(inst->set->listener_ctx, ready);
}

static void sink_message(void *host_ctx, struct parlance_str payload)
{
	const struct instance *inst = host_ctx;
	const struct storage_listener *listener = listener_of(inst);

	if (listener && listener->message)
		listener->message(inst->set->listener_ctx, to_slice(payload));
}

const struct parlance_storage_sink storage_sink = {
	.size = sizeof(storage_sink),
	.complete = sink_complete,
	.event = sink_event,
	.feed = sink_feed,
	.ready = sink_ready,
	.message = sink_message,
};
