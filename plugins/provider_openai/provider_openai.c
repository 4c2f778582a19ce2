/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The plugin provider_openai: answers from any service that speaks OpenAI's chat completions.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "generation.h"

static void destroy(void *plugin)
{
	struct openai *self = plugin;

	settings_free(&self->settings);
	if (self->tokener)
		json_tokener_free(self->tokener);
	free(self);
}

static int create(void **out, const struct parlance_host *host, const void *options, char *err,
		  size_t err_size)
{
	struct openai *self = calloc(1, sizeof(*self));

	if (self)
		self->tokener = json_tokener_new();
	if (!self || !self->tokener) {
		snprintf(err, err_size, "out of memory");
		free(self);
		return -1;
	}
	self->host = host;
	self->sink = host->sink;
	if (settings_new(&self->settings, host, options, err, err_size)) {
		destroy(self);
		return -1;
	}
	*out = self;
	return 0;
}

/* Generations go on with what they began with. */
static int reload(void *plugin, const void *options, char *err, size_t err_size)
{
	struct openai *self = plugin;
	struct settings *fresh = NULL;

	if (settings_new(&fresh, self->host, options, err, err_size))
		return -1;
	if (self->n_generations > 0) {
		self->settings->next = self->retired;
		self->retired = self->settings;
	} else {
		settings_free(&self->settings);
	}
	self->settings = fresh;
	return 0;
}

static void start(void *plugin, struct parlance_generation *generation,
		  const struct parlance_prompt *prompt)
{
	generation_start(plugin, generation, prompt);
}

static void resume(void *plugin, struct parlance_generation *generation)
{
	(void)plugin;
	generation_resume(generation);
}

static void cancel(void *plugin, struct parlance_generation *generation)
{
	(void)plugin;
	generation_cancel(generation);
}

static void models(void *plugin, void (*each)(void *arg, const struct parlance_model *model),
		   void *arg)
{
	const struct settings *settings = ((struct openai *)plugin)->settings;
	size_t i;

	for (i = 0; i < settings->n_models; i++) {
		struct parlance_model model = {
			.size = sizeof(model),
			.id = settings->models[i],
			.title = settings->models[i],
		};

		each(arg, &model);
	}
}

static const struct parlance_provider_ops ops = {
	.size = sizeof(ops),
	.start = start,
	.resume = resume,
	.cancel = cancel,
	.models = models,
};

const struct parlance_plugin *parlance_plugin_v1(void)
{
	static const struct parlance_plugin plugin = {
		.magic = PARLANCE_PLUGIN_MAGIC,
		.abi_major = PARLANCE_ABI_MAJOR,
		.abi_minor = PARLANCE_ABI_MINOR,
		.size = sizeof(plugin),
		.kind = PARLANCE_PROVIDER,
		.name = "provider_openai",
		.version = "1.0.0",
		.licence = "MIT",
		.doc = "Answers from any service that speaks OpenAI's chat completions.",
		.options = openai_options_table,
		.n_options = OPENAI_N_OPTIONS,
		.option_size = sizeof(struct parlance_option),
		.options_size = sizeof(struct openai_options),
		.ops = &ops,
		.create = create,
		.reload = reload,
		.destroy = destroy,
	};

	return &plugin;
}
