/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * New options for plugins that run. Each instance has its options in an arena of its own, so what
 * it was given lasts until it has accepted others, whatever becomes of the configuration.
 */
#include "plugin/plugins.h"

#include "base/err.h"
#include "plugin/private.h"

/* Options on offer. */
struct offer {
	struct instance *inst;
	struct arena arena;
	const void *options;
};

static bool give(struct instance *inst, const void *options, char text[INSTANCE_ERR_MAX])
{
	int rc;

	text[0] = '\0';
	inst->inside++;
	rc = inst->module->desc->reload(inst->self, options, text, INSTANCE_ERR_MAX);
	inst->inside--;
	text[INSTANCE_ERR_MAX - 1] = '\0';
	if (rc && !text[0])
		(void)snprintf(text, INSTANCE_ERR_MAX,
			       "does not take its new options, and does not say why");
	return rc == 0;
}

/* The instance has accepted: the offer holds what it had before. */
static void exchange(struct offer *o)
{
	struct arena arena = o->inst->options_arena;
	const void *options = o->inst->options;

	o->inst->options_arena = o->arena;
	o->inst->options = o->options;
	o->arena = arena;
	o->options = options;
}

/* Copies of the options, before anything is given: of memory nothing is to fail half-way. */
static int prepare(struct plugins *set, const struct conf *conf, struct offer *offers, size_t *n)
{
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (node, next, &set->instances) {
		struct instance *inst = CONTAINER_OF(node, struct instance, node);
		struct offer *o = &offers[*n];

		if (!inst->made || !inst->module->desc->reload)
			continue;
		o->inst = inst;
		arena_init(&o->arena, 0);
		(*n)++;
		o->options = conf_copy(conf, inst->module->desc->name, inst->name, &o->arena);
		if (!o->options)
			return PARLANCE_ENOMEM;
	}
	return 0;
}

/* The first n have what is not to be after all. What a plugin had, it should take again; it may not,
 * when a file that the options name has changed. */
static void take_back(struct offer *offers, size_t n)
{
	char text[INSTANCE_ERR_MAX];

	while (n-- > 0) {
		struct offer *o = &offers[n];

		if (give(o->inst, o->options, text))
			exchange(o);
		else
			log_err(o->inst->label, NULL,
				"keeps its new options, for it does not take back the old ones (%s)",
				text);
	}
}

static size_t count_instances(const struct plugins *set)
{
	size_t n = 0;

	for (const struct list *node = set->instances.next; node != &set->instances;
	     node = node->next)
		n++;
	return n;
}

int plugins_reload(struct plugins *set, const struct conf *conf, struct strbuf *err)
{
	struct offer *offers = calloc(count_instances(set) + 1, sizeof(*offers));
	char text[INSTANCE_ERR_MAX];
	size_t n_offers = 0;
	size_t given = 0;
	int rc;

	if (!offers)
		return PARLANCE_ENOMEM;
	rc = prepare(set, conf, offers, &n_offers);
	while (!rc && given < n_offers) {
		struct offer *o = &offers[given];

		if (give(o->inst, o->options, text)) {
			exchange(o);
			given++;
		} else {
			strbuf_printf(err, "%s: %s\n", o->inst->label, text);
			rc = PARLANCE_EINVAL;
		}
	}
	if (rc)
		take_back(offers, given);
	for (size_t i = 0; i < given; i++)
		if (!rc && offers[i].inst->module->desc->kind == PARLANCE_PROVIDER)
			provider_read_models(offers[i].inst);
	for (size_t i = 0; i < n_offers; i++)
		arena_fini(&offers[i].arena);
	free(offers);
	return rc;
}
