/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Answers being generated: which provider it is to be, the pieces on their way to the asker, the
 * end. Pieces are passed on at once, from inside the plugin; all else at the end of the turn.
 */
#include "plugin/provider.h"

#include "base/err.h"
#include "base/utf8.h"
#include "plugin/private.h"

/* How long a plugin may take to end what was cancelled before the asker is told all the same. */
#define CANCEL_PATIENCE_MS 2000

#define TOKENS_MAX INT64_C(999999999999) /* of an answer; sums of it stay whole numbers in JSON */
#define MODELS_MAX 1000 /* of a provider; the rest is not shown */

struct provider_call {
	struct op op;
	struct parlance_generation pub; /* what the plugin has of it */
	/* Ours: the plugin may have it longer than the asker, who has his end at the deadline. */
	struct parlance_prompt prompt;
	struct parlance_message *messages; /* and behind them all text, each terminated */
	const struct provider_ops *ops;
	void *arg;
	bool cancelled; /* by the asker */
	/* The plugin's end, for the end of the turn. */
	struct parlance_end end;
	struct parlance_usage usage;
	struct strbuf detail;
	struct strbuf model;
};

static struct provider_call *of_op(struct op *op)
{
	return CONTAINER_OF(op, struct provider_call, op);
}

/* The choice */

struct search {
	struct slice model;
	bool found;
};

static bool is_model(const struct parlance_model *model)
{
	return model && model->size >= SIZE_UP_TO(struct parlance_model, title) && model->id &&
	       model->id[0] && utf8_valid(model->id, strlen(model->id)) &&
	       (!model->title || utf8_valid(model->title, strlen(model->title)));
}

static void on_search(void *arg, const struct parlance_model *model)
{
	struct search *search = arg;

	if (is_model(model) && slice_is(search->model, model->id))
		search->found = true;
}

static bool has_model(struct instance *inst, struct slice model)
{
	const struct parlance_provider_ops *ops = inst->module->desc->ops;
	struct search search = { model, false };

	inst->inside++;
	ops->models(inst->self, on_search, &search);
	inst->inside--;
	return search.found;
}

/* The provider for the model, and what the model is called there. At the end of a turn. */
static struct instance *choose(struct plugins *set, struct slice *model)
{
	const char *slash = model->len ? memchr(model->p, '/', model->len) : NULL;
	size_t before = slash ? (size_t)(slash - model->p) : 0;
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (node, next, &set->instances) {
		struct instance *inst = CONTAINER_OF(node, struct instance, node);

		if (slash && inst->made && inst->module->desc->kind == PARLANCE_PROVIDER &&
		    slice_is(slice_of(model->p, before), provider_name(inst))) {
			*model = slice_of(slash + 1, model->len - before - 1);
			return inst;
		}
	}
	LIST_FOREACH_SAFE (node, next, &set->instances) {
		struct instance *inst = CONTAINER_OF(node, struct instance, node);

		if (model->len && inst->made && inst->module->desc->kind == PARLANCE_PROVIDER &&
		    has_model(inst, *model))
			return inst;
	}
	return set->provider;
}

/* Calls */

static struct instance *on_choose(struct op *op)
{
	struct provider_call *call = of_op(op);
	struct slice model = to_slice(call->prompt.model);
	struct instance *inst = choose(op->set, &model);

	call->prompt.model = to_str(model);
	return inst;
}

static void on_begin(struct op *op)
{
	struct provider_call *call = of_op(op);
	const struct parlance_provider_ops *ops = op->inst->module->desc->ops;

	ops->start(op->inst->self, &call->pub, &call->prompt);
}

static void on_cancel(struct op *op)
{
	const struct parlance_provider_ops *ops = op->inst->module->desc->ops;

	ops->cancel(op->inst->self, &of_op(op)->pub);
}

static void on_resume(struct op *op)
{
	const struct parlance_provider_ops *ops = op->inst->module->desc->ops;

	ops->resume(op->inst->self, &of_op(op)->pub);
}

static void on_answer(struct op *op, enum op_reason reason)
{
	struct provider_call *call = of_op(op);
	struct parlance_end end = { .size = sizeof(end) };

	switch (reason) {
	case OP_COMPLETED:
		end = call->end;
		end.detail = strbuf_cstr(&call->detail);
		break;
	case OP_REFUSED:
		end.finish = PARLANCE_FINISH_PROTOCOL;
		end.detail = op->detail;
		break;
	case OP_TIMED_OUT:
		end.finish = PARLANCE_FINISH_TIMEOUT;
		end.detail = "the answer took too long";
		if (call->cancelled)
			end.detail = "the provider plugin does not end what was cancelled";
		break;
	case OP_NO_PLUGIN:
	case OP_CLOSED:
	case OP_NOT_BEGUN:
		end.finish = PARLANCE_FINISH_CANCELED;
		end.detail = "cancelled before it began";
		if (reason == OP_CLOSED)
			end.detail = "shutting down";
		break;
	}
	if (call->cancelled)
		end.finish = PARLANCE_FINISH_CANCELED;
	call->ops->end(call->arg, &end);
}

static void on_release(struct op *op)
{
	struct provider_call *call = of_op(op);

	free(call->messages);
	strbuf_fini(&call->detail);
	strbuf_fini(&call->model);
}

static const struct op_kind call_kind = {
	.choose = on_choose,
	.begin = on_begin,
	.cancel = on_cancel,
	.resume = on_resume,
	.answer = on_answer,
	.release = on_release,
};

static bool add_len(size_t *size, struct parlance_str text)
{
	return size_add(*size, text.len, size) && size_add(*size, 1, size);
}

static struct parlance_str put_text(char **at, struct parlance_str text)
{
	struct parlance_str out = { NULL, 0 };

	if (!text.p)
		return out;
	out.p = memcpy(*at, text.p, text.len);
	out.len = text.len;
	(*at)[text.len] = '\0';
	*at += text.len + 1;
	return out;
}

static int copy_prompt(struct provider_call *call, const struct parlance_prompt *prompt)
{
	size_t size;
	char *at;

	if (!size_mul(prompt->n_messages, sizeof(*call->messages), &size) ||
	    !add_len(&size, prompt->model) || !add_len(&size, prompt->options) ||
	    !add_len(&size, prompt->user))
		return PARLANCE_ENOMEM;
	for (size_t i = 0; i < prompt->n_messages; i++) {
		if (!add_len(&size, prompt->messages[i].text))
			return PARLANCE_ENOMEM;
	}
	call->messages = malloc(size);
	if (!call->messages)
		return PARLANCE_ENOMEM;
	at = (char *)(call->messages + prompt->n_messages);
	for (size_t i = 0; i < prompt->n_messages; i++) {
		call->messages[i].role = prompt->messages[i].role;
		call->messages[i].text = put_text(&at, prompt->messages[i].text);
	}
	call->prompt = (struct parlance_prompt){
		.size = sizeof(call->prompt),
		.model = put_text(&at, prompt->model),
		.messages = call->messages,
		.n_messages = prompt->n_messages,
		.options = put_text(&at, prompt->options),
		.user = put_text(&at, prompt->user),
	};
	return 0;
}

int provider_start(struct provider_call **out, struct plugins *plugins,
		   const struct parlance_prompt *prompt, uint64_t timeout_ms,
		   const struct provider_ops *ops, void *arg)
{
	struct provider_call *call;

	*out = NULL;
	if (!plugins->provider)
		return PARLANCE_ENOENT;
	if (!plugins_running(plugins))
		return PARLANCE_ECLOSED;
	call = calloc(1, sizeof(*call));
	if (!call)
		return PARLANCE_ENOMEM;
	if (copy_prompt(call, prompt)) {
		free(call);
		return PARLANCE_ENOMEM;
	}
	call->ops = ops;
	call->arg = arg;
	strbuf_init(&call->detail, SIZE_MAX / 2);
	strbuf_init(&call->model, SIZE_MAX / 2);
	op_start(&call->op, &call_kind, plugins, plugins->provider, timeout_ms);
	*out = call;
	return 0;
}

void provider_resume(struct provider_call *call)
{
	op_resume(&call->op);
}

void provider_cancel(struct provider_call *call)
{
	call->cancelled = true;
	op_cancel_within(&call->op, CANCEL_PATIENCE_MS);
}

/* Models */

static void on_model(void *arg, const struct parlance_model *model)
{
	struct instance *inst = arg;
	struct model *m;
	char *id;
	char *title;

	if (!is_model(model)) {
		instance_fault(inst, "one of its models has no proper name");
		return;
	}
	if (inst->n_models == MODELS_MAX)
		return;
	id = arena_strndup(&inst->models_arena, model->id, strlen(model->id));
	title = arena_strndup(&inst->models_arena, model->title ? model->title : model->id,
			      strlen(model->title ? model->title : model->id));
	if (!id || !title)
		return;
	m = &inst->models[inst->n_models++];
	m->id = id;
	m->title = title;
}

void provider_read_models(struct instance *inst)
{
	const struct parlance_provider_ops *ops = inst->module->desc->ops;

	arena_reset(&inst->models_arena);
	inst->n_models = 0;
	inst->models = arena_calloc(&inst->models_arena, MODELS_MAX, sizeof(*inst->models));
	if (!inst->models)
		return;
	inst->inside++;
	ops->models(inst->self, on_model, inst);
	inst->inside--;
}

void provider_models_task(struct loop_task *task)
{
	provider_read_models(CONTAINER_OF(task, struct instance, models_task));
}

void provider_models(struct plugins *plugins,
		     void (*each)(void *arg, const char *id, const char *title), void *arg)
{
	struct strbuf id;
	struct list *node;
	struct list *next;

	if (!plugins_running(plugins))
		return;
	strbuf_init(&id, SIZE_MAX / 2);
	LIST_FOREACH_SAFE (node, next, &plugins->instances) {
		struct instance *inst = CONTAINER_OF(node, struct instance, node);

		if (!inst->made || inst->module->desc->kind != PARLANCE_PROVIDER)
			continue;
		for (size_t i = 0; i < inst->n_models; i++) {
			strbuf_reset(&id);
			strbuf_printf(&id, "%s/%s", provider_name(inst), inst->models[i].id);
			if (strbuf_ok(&id))
				each(arg, strbuf_cstr(&id), inst->models[i].title);
		}
		/* We may be inside a plugin now: what it says today is for the next time. */
		loop_defer(plugins->loop, &inst->models_task);
	}
	strbuf_fini(&id);
}

/* The sink */

/* The text without U+0000, which neither a database nor a page wants: U+FFFD takes its place. */
static bool replace_nul(struct strbuf *out, struct slice text)
{
	while (text.len) {
		const char *nul = memchr(text.p, '\0', text.len);
		size_t n = nul ? (size_t)(nul - text.p) : text.len;

		strbuf_append(out, text.p, n);
		if (nul)
			strbuf_append_str(out, "\xef\xbf\xbd");
		n += nul != NULL;
		text = slice_of(text.p + n, text.len - n);
	}
	return strbuf_ok(out);
}

static bool give(struct provider_call *call, enum parlance_delta kind, struct slice text)
{
	struct strbuf clean;
	bool more = false;

	if (!memchr(text.p, '\0', text.len))
		return call->ops->delta(call->arg, kind, text);
	strbuf_init(&clean, SIZE_MAX / 2);
	if (replace_nul(&clean, text))
		more = call->ops->delta(call->arg, kind, slice_of(clean.data, clean.len));
	else
		op_refuse(&call->op, "out of memory");
	strbuf_fini(&clean);
	return more;
}

static enum parlance_flow sink_delta(struct parlance_generation *pub, enum parlance_delta kind,
				     struct parlance_str text)
{
	struct provider_call *call = CONTAINER_OF(pub, struct provider_call, pub);
	struct op *op = &call->op;

	if (!op_may_speak(op, "it gives a piece"))
		return PARLANCE_FLOW_AGAIN;
	if (op->cancel_wanted || op->answered)
		return PARLANCE_FLOW_AGAIN;
	if (!text.p || !text.len || kind < PARLANCE_DELTA_TEXT || kind > PARLANCE_DELTA_TOOL_CALL) {
		instance_fault(op->inst, "a piece is empty or of an unknown kind");
		return PARLANCE_FLOW_OK;
	}
	if (!utf8_valid(text.p, text.len)) {
		instance_fault(op->inst, "a piece is not UTF-8");
		op_refuse(op, "the provider plugin has given text that is not UTF-8");
		return PARLANCE_FLOW_AGAIN;
	}
	return give(call, kind, to_slice(text)) ? PARLANCE_FLOW_OK : PARLANCE_FLOW_AGAIN;
}

static bool is_finish(int finish)
{
	return finish >= PARLANCE_FINISH_STOP && finish <= PARLANCE_FINISH_INTERNAL;
}

/* What no answer can have used, and no client could read exactly, is not known. */
static int64_t tokens(int64_t n)
{
	return n >= 0 && n <= TOKENS_MAX ? n : -1;
}

static void copy_end(struct provider_call *call, const struct parlance_end *end)
{
	call->end = (struct parlance_end){
		.size = sizeof(call->end),
		.finish = end->finish,
		.retry_after_ms = end->retry_after_ms,
	};
	strbuf_append_str(&call->detail, end->detail ? end->detail : "");
	if (end->model.len && utf8_valid(end->model.p, end->model.len) &&
	    !memchr(end->model.p, '\0', end->model.len)) {
		strbuf_append_slice(&call->model, to_slice(end->model));
		call->end.model = (struct parlance_str){ strbuf_cstr(&call->model),
							 call->model.len };
	}
	if (end->usage && end->usage->size >= SIZE_UP_TO(struct parlance_usage, total_tokens)) {
		call->usage = (struct parlance_usage){
			.size = sizeof(call->usage),
			.prompt_tokens = tokens(end->usage->prompt_tokens),
			.completion_tokens = tokens(end->usage->completion_tokens),
			.total_tokens = tokens(end->usage->total_tokens),
		};
		call->end.usage = &call->usage;
	}
}

static void sink_end(struct parlance_generation *pub, const struct parlance_end *end)
{
	struct provider_call *call = CONTAINER_OF(pub, struct provider_call, pub);
	struct op *op = &call->op;

	if (!op_may_speak(op, "it ends an answer"))
		return;
	if (end->size < SIZE_UP_TO(struct parlance_end, retry_after_ms) ||
	    !is_finish(end->finish)) {
		instance_fault(op->inst, "it ends an answer with a malformed struct");
		op_refuse(op, "the provider plugin has ended with a malformed struct");
	} else {
		copy_end(call, end);
	}
	op_complete(op, false);
}

const struct parlance_provider_sink provider_sink = {
	.size = sizeof(provider_sink),
	.delta = sink_delta,
	.end = sink_end,
};
