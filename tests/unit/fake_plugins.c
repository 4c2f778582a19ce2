/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The fake plugin layer. */
#include <stdlib.h>

#include "fake_plugins.h"
#include "base/err.h"

/* A block of its own, which is gone after the call: what is kept too long is found out. */
static struct slice lend(const char *text)
{
	struct slice s = slice_str(text);
	char *copy;

	if (!text)
		return s;
	copy = malloc(s.len ? s.len : 1);
	CHECK(copy);
	if (s.len)
		memcpy(copy, s.p, s.len);
	s.p = copy;
	return s;
}

static void take_back(struct slice s)
{
	free((void *)(uintptr_t)s.p);
}

static char *copy_of(const char *p, size_t len)
{
	char *copy = strndup(p ? p : "", len);

	CHECK(copy);
	return copy;
}

/* ---- the storage ---- */

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

static void give_canned(struct loop_task *task)
{
	struct plugins *p = CONTAINER_OF(task, struct plugins, canned_task);
	struct list *node = p->calls.next;

	while (node != &p->calls) {
		struct fake_call *call = CONTAINER_OF(node, struct fake_call, node);

		node = node->next;
		if (!p->canned[call->function])
			continue;
		fake_call_answer(call, p->canned[call->function]);
		node = p->calls.next; /* the answer may have led to anything */
	}
}

int storage_call(struct plugins *p, enum parlance_storage_function function,
		 struct slice key, const struct slice *params, size_t n_params, uint32_t timeout_ms,
		 storage_done_fn *done, void *arg)
{
	struct fake_call *call;

	CHECK((size_t)function < ARRAY_LEN(functions) && functions[function].name &&
	      functions[function].n_params == n_params && timeout_ms > 0);
	if (p->closed)
		return PARLANCE_ECLOSED;
	if (p->refuse_call)
		return p->refuse_call;
	call = calloc(1, sizeof(*call));
	CHECK(call);
	call->plugins = p;
	call->function = function;
	call->n_params = n_params;
	if (key.len)
		call->key = slice_of(copy_of(key.p, key.len), key.len);
	call->timeout_ms = timeout_ms;
	call->done = done;
	call->arg = arg;
	for (size_t i = 0; i < n_params; i++) {
		if (!params[i].p)
			continue;
		CHECK(!memchr(params[i].p, '\0', params[i].len));
		call->params[i] = slice_of(copy_of(params[i].p, params[i].len), params[i].len);
	}
	list_push_back(&p->calls, &call->node);
	loop_defer(p->loop, &p->canned_task);
	return 0;
}

bool storage_ready(const struct plugins *p)
{
	return p->ready && !p->closed;
}

void storage_set_instance(struct plugins *p, int64_t instance)
{
	p->instance = instance;
}

void storage_listen(struct plugins *p, const struct storage_listener *listener, void *ctx)
{
	p->listener = listener;
	p->listener_ctx = ctx;
}

struct fake_call *fake_call_find(const struct plugins *p, enum parlance_storage_function function)
{
	for (struct list *node = p->calls.next; node != &p->calls; node = node->next) {
		struct fake_call *call = CONTAINER_OF(node, struct fake_call, node);

		if (call->function == function)
			return call;
	}
	return NULL;
}

size_t fake_calls(const struct plugins *p)
{
	size_t n = 0;

	for (struct list *node = p->calls.next; node != &p->calls; node = node->next)
		n++;
	return n;
}

static void complete(struct fake_call *call, const struct storage_answer *answer)
{
	list_remove(&call->node);
	call->done(call->arg, answer);
	for (size_t i = 0; i < call->n_params; i++)
		take_back(call->params[i]);
	take_back(call->key);
	free(call);
}

void fake_call_answer(struct fake_call *call, const char *json)
{
	struct storage_answer answer = {
		.status = PARLANCE_STORAGE_OK,
		.json = lend(json),
		.detail = "",
	};
	struct slice lent = answer.json;

	complete(call, &answer);
	take_back(lent);
}

void fake_call_fail(struct fake_call *call, enum parlance_storage_status status)
{
	complete(call, &(struct storage_answer){ .status = status, .detail = "on purpose" });
}

void fake_call_time_out(struct fake_call *call)
{
	complete(call, &(struct storage_answer){ .status = PARLANCE_STORAGE_CANCELED,
						 .timed_out = true,
						 .detail = "on purpose" });
}

void fake_storage_ready(struct plugins *p, bool ready)
{
	p->ready = ready;
	p->listener->ready(p->listener_ctx, ready);
}

void fake_storage_feed(struct plugins *p, bool up)
{
	p->listener->feed(p->listener_ctx, up);
}

void fake_storage_event(struct plugins *p, const char *room, int64_t seq, const char *type,
			const char *json)
{
	struct slice lent_room = lend(room);
	struct slice lent = lend(json);
	struct parlance_storage_event event = {
		.size = sizeof(event),
		.room = { lent_room.p, lent_room.len },
		.seq = seq,
		.type = { type, strlen(type) },
		.json = { lent.p, lent.len },
	};

	p->listener->event(p->listener_ctx, &event);
	take_back(lent);
	take_back(lent_room);
}

void fake_storage_message(struct plugins *p, const char *payload)
{
	struct slice lent = lend(payload);

	p->listener->message(p->listener_ctx, lent);
	take_back(lent);
}

/* ---- auth ---- */

int auth_verify(struct plugins *p, struct slice token, struct slice address, struct slice origin,
		uint32_t timeout_ms, auth_done_fn *done, void *arg)
{
	struct fake_verification *v;

	if (p->closed)
		return PARLANCE_ECLOSED;
	v = calloc(1, sizeof(*v));
	CHECK(v);
	v->token = copy_of(token.p, token.len);
	v->address = copy_of(address.p, address.len);
	v->origin = copy_of(origin.p, origin.len);
	v->timeout_ms = timeout_ms;
	v->done = done;
	v->arg = arg;
	list_push_back(&p->verifications, &v->node);
	return 0;
}

struct fake_verification *fake_verification_find(const struct plugins *p)
{
	return list_empty(&p->verifications)
		   ? NULL
		   : CONTAINER_OF(p->verifications.next, struct fake_verification, node);
}

static void decide(struct fake_verification *v, const struct auth_answer *answer)
{
	list_remove(&v->node);
	v->done(v->arg, answer);
	free(v->token);
	free(v->address);
	free(v->origin);
	free(v);
}

void fake_verification_accept(struct fake_verification *v, const char *user, int64_t expires_ms)
{
	struct slice lent = lend(user);

	decide(v, &(struct auth_answer){ .accepted = true,
					 .user = lent,
					 .expires_ms = expires_ms,
					 .detail = "" });
	take_back(lent);
}

void fake_verification_reject(struct fake_verification *v, enum parlance_auth_verdict verdict)
{
	decide(v, &(struct auth_answer){ .verdict = verdict, .detail = "on purpose" });
}

/* ---- providers ---- */

int provider_start(struct provider_call **out, struct plugins *p,
		   const struct parlance_prompt *prompt, uint64_t timeout_ms,
		   const struct provider_ops *ops, void *arg)
{
	struct provider_call *call;

	*out = NULL;
	if (p->closed)
		return PARLANCE_ECLOSED;
	if (p->refuse_answer)
		return p->refuse_answer;
	call = calloc(1, sizeof(*call));
	CHECK(call);
	call->plugins = p;
	call->model = copy_of(prompt->model.p, prompt->model.len);
	call->options = copy_of(prompt->options.p, prompt->options.len);
	call->user = copy_of(prompt->user.p, prompt->user.len);
	call->messages = calloc(prompt->n_messages + 1, sizeof(*call->messages));
	CHECK(call->messages);
	call->n_messages = prompt->n_messages;
	for (size_t i = 0; i < prompt->n_messages; i++) {
		const struct parlance_message *m = &prompt->messages[i];

		call->messages[i].role = m->role;
		call->messages[i].text.p = copy_of(m->text.p, m->text.len);
		call->messages[i].text.len = m->text.len;
	}
	call->timeout_ms = timeout_ms;
	call->ops = ops;
	call->arg = arg;
	list_push_back(&p->answers, &call->node);
	*out = call;
	return 0;
}

void provider_resume(struct provider_call *call)
{
	(void)call; /* the test gives its deltas when it likes */
}

static void end_canceled(struct loop_task *task)
{
	struct plugins *p = CONTAINER_OF(task, struct plugins, canceled_task);
	struct list *node = p->answers.next;

	while (node != &p->answers) {
		struct provider_call *call = CONTAINER_OF(node, struct provider_call, node);

		node = node->next;
		if (!call->canceled || p->hold_canceled)
			continue;
		fake_answer_end(call, (struct parlance_end){ 0 });
		node = p->answers.next;
	}
}

void provider_cancel(struct provider_call *call)
{
	call->canceled = true;
	loop_defer(call->plugins->loop, &call->plugins->canceled_task);
}

void provider_models(struct plugins *p, void (*each)(void *arg, const char *id, const char *title),
		     void *arg)
{
	(void)p;
	each(arg, "fake/one", "The one");
}

struct provider_call *fake_answer_find(const struct plugins *p)
{
	return list_empty(&p->answers) ? NULL
				       : CONTAINER_OF(p->answers.next, struct provider_call, node);
}

void fake_answer_delta(struct provider_call *call, enum parlance_delta kind, struct slice text)
{
	char *copy;

	if (call->canceled)
		return;
	copy = malloc(text.len);
	CHECK(copy);
	memcpy(copy, text.p, text.len);
	(void)call->ops->delta(call->arg, kind, slice_of(copy, text.len));
	free(copy);
}

void fake_answer_end(struct provider_call *call, struct parlance_end end)
{
	end.size = sizeof(end);
	if (call->canceled)
		end.finish = PARLANCE_FINISH_CANCELED;
	list_remove(&call->node);
	call->ops->end(call->arg, &end);
	for (size_t i = 0; i < call->n_messages; i++)
		free((void *)(uintptr_t)call->messages[i].text.p);
	free(call->messages);
	free(call->model);
	free(call->options);
	free(call->user);
	free(call);
}

/* ---- the whole ---- */

void plugins_set_chat(struct plugins *p, const struct plugins_chat *chat, void *ctx)
{
	p->chat = chat;
	p->chat_ctx = ctx;
}

struct plugins *fake_plugins_new(struct loop *loop)
{
	struct plugins *p = calloc(1, sizeof(*p));

	CHECK(p);
	p->loop = loop;
	list_init(&p->calls);
	list_init(&p->verifications);
	list_init(&p->answers);
	p->canned_task.fn = give_canned;
	p->canceled_task.fn = end_canceled;
	return p;
}

void fake_plugins_close(struct plugins *p)
{
	struct list *node;

	p->closed = true;
	while ((node = list_pop_front(&p->calls)))
		fake_call_fail(CONTAINER_OF(node, struct fake_call, node),
			       PARLANCE_STORAGE_CANCELED);
	while ((node = list_pop_front(&p->verifications)))
		fake_verification_reject(CONTAINER_OF(node, struct fake_verification, node),
					 PARLANCE_AUTH_TEMPORARY);
	while ((node = list_pop_front(&p->answers)))
		fake_answer_end(CONTAINER_OF(node, struct provider_call, node),
				(struct parlance_end){ .finish = PARLANCE_FINISH_CANCELED });
}

void fake_plugins_free(struct plugins **pp)
{
	struct plugins *p = *pp;

	if (!p)
		return;
	*pp = NULL;
	CHECK(list_empty(&p->calls) && list_empty(&p->verifications) && list_empty(&p->answers));
	loop_undefer(&p->canned_task);
	loop_undefer(&p->canceled_task);
	free(p);
}
