/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A plugin as a third party would build it: from the installed headers alone, with hidden symbols.
 * A provider with one option of each type; it answers with what its options say.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parlance/provider.h"

struct options {
	bool loud;
	int64_t times;
	const char *text;
	int tone;
	struct parlance_list names;
};

struct good {
	const struct parlance_host *host;
	const struct options *options;
};

static const struct parlance_choice tones[] = { { "low", 1 }, { "high", 2 }, { NULL, 0 } };

#define OPTION(name_, type_) \
	.name = #name_, .type = type_, .offset = offsetof(struct options, name_)

static const struct parlance_option options[] = {
	{ OPTION(loud, PARLANCE_OPTION_BOOL), .def = "no", .doc = "Whether it shouts." },
	{ OPTION(times, PARLANCE_OPTION_INT), .def = "1", .min = 1, .max = 9, .unit = "times",
	  .flags = PARLANCE_OPTION_RELOADABLE, .doc = "How often it says it." },
	{ OPTION(text, PARLANCE_OPTION_STRING), .def = "hello", .min = 1, .max = 20,
	  .flags = PARLANCE_OPTION_SECRET, .env = "PARLANCE_TEST_TEXT", .doc = "What it says." },
	{ OPTION(tone, PARLANCE_OPTION_ENUM), .def = "low", .choices = tones, .doc = "How." },
	{ OPTION(names, PARLANCE_OPTION_LIST), .def = "", .doc = "To whom." },
};

static int create(void **self, const struct parlance_host *host, const void *opts, char *err,
		  size_t err_size)
{
	const struct options *o = opts;
	struct good *good;

	if (o->times == 9) {
		(void)snprintf(err, err_size, "nine times is too often; set times below 9");
		return -1;
	}
	good = calloc(1, sizeof(*good));
	if (!good)
		return -1;
	good->host = host;
	good->options = o;
	*self = good;
	return 0;
}

static void destroy(void *self)
{
	free(self);
}

static void start(void *self, struct parlance_generation *generation,
		  const struct parlance_prompt *prompt)
{
	const struct good *good = self;
	const struct parlance_provider_sink *sink = good->host->sink;
	struct parlance_end end = { .size = sizeof(end), .finish = PARLANCE_FINISH_STOP };
	struct parlance_str text = { good->options->text, strlen(good->options->text) };

	(void)prompt;
	for (int64_t i = 0; i < good->options->times; i++)
		(void)sink->delta(generation, PARLANCE_DELTA_TEXT, text);
	sink->end(generation, &end);
}

static void nothing(void *self, struct parlance_generation *generation)
{
	(void)self;
	(void)generation;
}

static void models(void *self, void (*each)(void *arg, const struct parlance_model *model),
		   void *arg)
{
	struct parlance_model model = { .size = sizeof(model), .id = "good", .title = "Good" };

	(void)self;
	each(arg, &model);
}

static const struct parlance_provider_ops ops = {
	.size = sizeof(ops),
	.start = start,
	.resume = nothing,
	.cancel = nothing,
	.models = models,
};

static const struct parlance_plugin plugin = {
	.magic = PARLANCE_PLUGIN_MAGIC,
	.abi_major = PARLANCE_ABI_MAJOR,
	.abi_minor = PARLANCE_ABI_MINOR,
	.size = sizeof(plugin),
	.kind = PARLANCE_PROVIDER,
	.name = "plugin_good",
	.version = "1.2",
	.licence = "MIT",
	.doc = "Says something.",
	.options = options,
	.n_options = sizeof(options) / sizeof(options[0]),
	.option_size = sizeof(options[0]),
	.options_size = sizeof(struct options),
	.ops = &ops,
	.create = create,
	.destroy = destroy,
};

const struct parlance_plugin *parlance_plugin_v1(void)
{
	return &plugin;
}
