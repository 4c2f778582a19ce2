/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The life of the set of plugins: instances are made, drained, and ended together. */
#include <pthread.h>
#include <stdarg.h>

#include "plugin/plugins.h"

#include "base/err.h"
#include "plugin/host.h"
#include "plugin/load.h"

/* How long plugins may take to complete what was cancelled at the end. */
#define END_PATIENCE_MS 2000

/* Those of plugins that still run on other threads when the process ends: they may post. */
static struct list busy_instances = { &busy_instances, &busy_instances };

struct plugins *plugins_new(void)
{
	struct plugins *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->state = PLUGINS_OPEN;
	arena_init(&set->arena, 0);
	list_init(&set->modules);
	list_init(&set->instances);
	list_init(&set->homeless);
	return set;
}

void instance_fault(struct instance *inst, const char *fmt, ...)
{
	char text[256];
	uint32_t suppressed;
	va_list ap;

	if (!log_rate_allow(&inst->fault_rate, &suppressed))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_warn(inst->label,
		 LOG_FIELDS(LOG_STR("version", inst->module->desc->version),
			    LOG_UINT("suppressed", suppressed)),
		 "a fault of the plugin: %s", text);
}

void plugins_set_chat(struct plugins *set, const struct plugins_chat *chat, void *ctx)
{
	set->chat = chat;
	set->chat_ctx = ctx;
}

/* Making instances */

static int instance_create(struct instance *inst, const struct conf *conf, struct strbuf *err)
{
	const struct parlance_plugin *desc = inst->module->desc;
	char text[INSTANCE_ERR_MAX];
	int rc = host_init(inst);

	if (rc)
		return rc;
	inst->options = conf_copy(conf, desc->name, inst->name, &inst->options_arena);
	if (!inst->options)
		return PARLANCE_ENOMEM;
	text[0] = '\0';
	inst->inside++;
	rc = desc->create(&inst->self, &inst->host, inst->options, text, sizeof(text));
	inst->inside--;
	if (rc == 0) {
		inst->made = true;
		if (desc->kind == PARLANCE_PROVIDER)
			provider_read_models(inst);
		log_info(inst->label, LOG_FIELDS(LOG_STR("version", desc->version)), "loaded");
		return 0;
	}
	text[sizeof(text) - 1] = '\0';
	strbuf_printf(err, "%s: %s", inst->label,
		      text[0] ? text : "cannot start, and the plugin does not say why");
	return PARLANCE_EINVAL;
}

static int create_kind(struct plugins *set, uint32_t kind, const struct conf *conf,
		       struct strbuf *err)
{
	struct list *node;
	struct list *next;
	int rc = 0;

	LIST_FOREACH_SAFE (node, next, &set->instances) {
		struct instance *inst = CONTAINER_OF(node, struct instance, node);

		if (!rc && inst->module->desc->kind == kind)
			rc = instance_create(inst, conf, err);
	}
	return rc;
}

int plugins_create(struct plugins *set, struct loop *loop, const struct conf *conf,
		   struct http_client *client, struct strbuf *err)
{
	int rc;

	CHECK(set->state == PLUGINS_OPEN);
	set->state = PLUGINS_MADE;
	set->loop = loop;
	set->client = client;
	rc = create_kind(set, PARLANCE_STORAGE, conf, err);
	if (!rc)
		rc = create_kind(set, PARLANCE_AUTH, conf, err);
	if (!rc)
		rc = create_kind(set, PARLANCE_PROVIDER, conf, err);
	return rc;
}

/* The end */

static void on_drain(struct loop_task *task)
{
	struct plugins *set = CONTAINER_OF(task, struct plugins, drain_task);
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (node, next, &set->instances) {
		struct instance *inst = CONTAINER_OF(node, struct instance, node);

		if (!inst->made || !inst->module->desc->drain)
			continue;
		inst->inside++;
		inst->module->desc->drain(inst->self);
		inst->inside--;
	}
}

void plugins_drain(struct plugins *set)
{
	if (set->state != PLUGINS_MADE)
		return;
	set->drain_task.fn = on_drain;
	loop_defer(set->loop, &set->drain_task);
}

static size_t count_nodes(const struct list *list)
{
	const struct list *node;
	size_t n = 0;

	for (node = list->next; node != list; node = node->next)
		n++;
	return n;
}

/* What is still to end before an instance may be destroyed. */
static bool all_ended(struct plugins *set)
{
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (node, next, &set->instances) {
		struct instance *inst = CONTAINER_OF(node, struct instance, node);

		if (!list_empty(&inst->ops) || !list_empty(&inst->works))
			return false;
	}
	return list_empty(&set->homeless);
}

/* The plugin has not completed these in time; the askers are told all the same. */
static void give_up(struct instance *inst)
{
	size_t n_ops = count_nodes(&inst->ops);
	size_t n_works = count_nodes(&inst->works);
	struct list *node;
	struct list *next;

	if (n_ops)
		log_err(inst->label, LOG_FIELDS(LOG_UINT("operations", n_ops)),
			"does not complete what was cancelled (a fault of the plugin)");
	LIST_FOREACH_SAFE (node, next, &inst->ops)
		op_answer(CONTAINER_OF(node, struct op, node), OP_CLOSED);
	if (!n_works)
		return;
	log_err(inst->label, LOG_FIELDS(LOG_UINT("works", n_works)),
		"has work on other threads that does not end (a fault of the plugin); it is left "
		"as it is");
	inst->module->busy = true;
	host_abandon_works(inst);
}

static void instance_destroy(struct instance *inst)
{
	loop_undefer(&inst->number_task);
	loop_undefer(&inst->models_task);
	if (inst->made && !inst->module->busy) {
		inst->inside++;
		inst->module->desc->destroy(inst->self);
		inst->inside--;
	}
	inst->made = false;
	host_fini(inst);
	op_free_all(inst);
	if (!inst->module->busy) { /* else a thread of it may still look at them */
		arena_fini(&inst->options_arena);
		inst->options = NULL;
	}
	arena_fini(&inst->models_arena);
	inst->models = NULL;
	inst->n_models = 0;
}

static void destroy_all(struct plugins *set)
{
	set->state = PLUGINS_CLOSING;
	timer_stop(&set->end_timer);
	loop_undefer(&set->drain_task);
	for (struct list *node = set->instances.prev; node != &set->instances; node = node->prev)
		instance_destroy(CONTAINER_OF(node, struct instance, node));
}

static void on_end_turn(struct loop_task *task)
{
	struct plugins *set = CONTAINER_OF(task, struct plugins, end_task);
	struct list *node;
	struct list *next;

	if (set->state == PLUGINS_ENDING) {
		if (!set->overdue && !all_ended(set))
			return;
		if (set->overdue) {
			LIST_FOREACH_SAFE (node, next, &set->instances)
				give_up(CONTAINER_OF(node, struct instance, node));
		}
		destroy_all(set);
	}
	if (set->state == PLUGINS_CLOSING && !set->orphans) {
		set->state = PLUGINS_GONE;
		set->done(set->done_arg);
	}
}

void plugins_progress(struct plugins *set)
{
	if (set->state == PLUGINS_ENDING || set->state == PLUGINS_CLOSING)
		loop_defer(set->loop, &set->end_task);
}

static void on_end_timer(struct timer *timer)
{
	struct plugins *set = CONTAINER_OF(timer, struct plugins, end_timer);

	set->overdue = true;
	plugins_progress(set);
}

void plugins_destroy(struct plugins *set, void (*done)(void *arg), void *arg)
{
	struct list *inst_node;
	struct list *inst_next;
	struct list *node;
	struct list *next;

	CHECK(set->state == PLUGINS_MADE);
	set->state = PLUGINS_ENDING;
	set->done = done;
	set->done_arg = arg;
	set->end_task.fn = on_end_turn;
	LIST_FOREACH_SAFE (inst_node, inst_next, &set->instances) {
		struct instance *inst = CONTAINER_OF(inst_node, struct instance, node);

		LIST_FOREACH_SAFE (node, next, &inst->ops)
			op_cancel(CONTAINER_OF(node, struct op, node));
		host_cancel_works(inst);
	}
	loop_timer_start(set->loop, &set->end_timer, END_PATIENCE_MS, on_end_timer);
	plugins_progress(set);
}

static void instance_free(struct instance *inst)
{
	(void)pthread_mutex_destroy(&inst->post_lock);
	free(inst);
}

void plugins_free(struct plugins **setp)
{
	struct plugins *set = *setp;
	struct list *node;

	if (!set)
		return;
	*setp = NULL;
	CHECK(set->state == PLUGINS_OPEN || set->state == PLUGINS_GONE);
	while ((node = list_pop_front(&set->instances))) {
		struct instance *inst = CONTAINER_OF(node, struct instance, node);

		if (inst->module->busy)
			list_push_back(&busy_instances, &inst->node);
		else
			instance_free(inst);
	}
	while ((node = list_pop_front(&set->modules))) {
		struct module *module = CONTAINER_OF(node, struct module, node);

		if (!module->busy)
			load_close(&module->handle);
	}
	arena_fini(&set->arena);
	free(set);
}
