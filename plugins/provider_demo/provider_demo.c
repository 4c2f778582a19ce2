/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The plugin provider_demo: a small bot that follows rules and streams its answers word by word, as
 * a real service would. Needs no key and no network.
 */
#include <stdio.h>
#include <stdlib.h>

#include "parlance/provider.h"
#include "talk.h"

#define BURST 64 /* words in one go when there is no interval: the loop has other work too */
#define BUSY_RETRY_MS 2000

struct demo_options {
	int64_t token_interval_ms;
	int64_t first_token_ms;
};

struct demo {
	const struct parlance_host *host;
	const struct parlance_provider_sink *sink;
	struct demo_options options;
};

/* One answer. */
struct speech {
	struct demo *self;
	struct parlance_generation *handle;
	const struct parlance_prompt *prompt;
	struct parlance_timer *timer;
	struct talk talk;
	char *text; /* the part at hand */
	size_t len;
	size_t at;
	int finish;    /* enum parlance_finish, 0: it goes on */
	bool paused;   /* the host said AGAIN and did not resume yet */
	bool speaking; /* speak() is on the stack */
	int64_t words;
};

static const struct parlance_option options_table[] = {
	{ .name = "token_interval_ms",
	  .type = PARLANCE_OPTION_INT,
	  .flags = PARLANCE_OPTION_RELOADABLE,
	  .offset = offsetof(struct demo_options, token_interval_ms),
	  .def = "40",
	  .max = 60000,
	  .unit = "ms",
	  .doc = "The time between two words of an answer; 0: as fast as they are taken." },
	{ .name = "first_token_ms",
	  .type = PARLANCE_OPTION_INT,
	  .flags = PARLANCE_OPTION_RELOADABLE,
	  .offset = offsetof(struct demo_options, first_token_ms),
	  .def = "300",
	  .max = 600000,
	  .unit = "ms",
	  .doc = "The time until an answer begins." },
};

static int64_t count_words(struct parlance_str text)
{
	int64_t words = 0;

	while (text.len > 0) {
		size_t n = talk_word(text.p, text.len);

		text.p += n;
		text.len -= n;
		words++;
	}
	return words;
}

static void end(struct speech *speech)
{
	struct demo *self = speech->self;
	struct parlance_generation *handle = speech->handle;
	struct parlance_usage usage = {
		.size = sizeof(usage),
		.completion_tokens = speech->words,
	};
	struct parlance_end last = {
		.size = sizeof(last),
		.finish = speech->finish,
		.model = { "demo", 4 },
		.usage = &usage,
	};
	size_t i;

	for (i = 0; i < speech->prompt->n_messages; i++)
		usage.prompt_tokens += count_words(speech->prompt->messages[i].text);
	usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
	if (speech->finish == PARLANCE_FINISH_RATE_LIMITED)
		last.retry_after_ms = BUSY_RETRY_MS;
	if (speech->finish >= PARLANCE_FINISH_RATE_LIMITED)
		last.detail = speech->finish == PARLANCE_FINISH_INTERNAL ? "out of memory" :
									    "asked for by the user";
	self->host->timer_free(speech->timer);
	handle->plugin = NULL;
	self->sink->end(handle, &last);
	free(speech->text);
	free(speech);
}

/* Has the next part written. Sets finish when there is none. */
static void next_part(struct speech *speech)
{
	FILE *out;
	bool more;

	free(speech->text);
	speech->text = NULL;
	speech->len = 0;
	speech->at = 0;
	out = open_memstream(&speech->text, &speech->len);
	if (!out) {
		speech->finish = PARLANCE_FINISH_INTERNAL;
		return;
	}
	more = talk_part(&speech->talk, speech->prompt, out);
	if (fclose(out))
		speech->finish = PARLANCE_FINISH_INTERNAL;
	else if (!more)
		speech->finish = speech->talk.finish;
}

static void say_word(struct speech *speech)
{
	struct parlance_str word = { speech->text + speech->at, 0 };

	word.len = talk_word(word.p, speech->len - speech->at);
	speech->at += word.len;
	speech->words++;
	/* Set before the call: the host may resume from within. */
	speech->paused = true;
	if (speech->self->sink->delta(speech->handle, PARLANCE_DELTA_TEXT, word) !=
	    PARLANCE_FLOW_AGAIN)
		speech->paused = false;
}

/* Never from within itself: what happens in a delta is seen by the loop below. May free it. */
static void speak(void *arg)
{
	struct speech *speech = arg;
	const struct demo *self = speech->self;
	uint64_t interval_ms = (uint64_t)self->options.token_interval_ms;
	int left = interval_ms == 0 ? BURST : 1;

	speech->speaking = true;
	while (left > 0 && !speech->finish && !speech->paused) {
		if (speech->at < speech->len) {
			say_word(speech);
			left--;
		} else {
			next_part(speech);
		}
	}
	speech->speaking = false;
	if (speech->finish)
		end(speech);
	else if (!speech->paused)
		self->host->timer_start(speech->timer, interval_ms ? interval_ms : 1);
}

static void start(void *plugin, struct parlance_generation *handle,
		  const struct parlance_prompt *prompt)
{
	static const struct parlance_end out_of_memory = {
		.size = sizeof(out_of_memory),
		.finish = PARLANCE_FINISH_INTERNAL,
		.detail = "out of memory",
	};
	struct demo *self = plugin;
	struct speech *speech = calloc(1, sizeof(*speech));
	uint64_t first_ms = (uint64_t)self->options.first_token_ms;

	if (speech)
		speech->timer = self->host->timer_new(self->host->ctx, speak, speech);
	if (!speech || !speech->timer) {
		free(speech);
		handle->plugin = NULL;
		self->sink->end(handle, &out_of_memory);
		return;
	}
	speech->self = self;
	speech->handle = handle;
	speech->prompt = prompt;
	talk_init(&speech->talk, prompt);
	handle->plugin = speech;
	self->host->timer_start(speech->timer, first_ms ? first_ms : 1);
}

static void resume(void *plugin, struct parlance_generation *handle)
{
	struct speech *speech = handle->plugin;

	(void)plugin;
	if (!speech || !speech->paused)
		return;
	speech->paused = false;
	if (!speech->speaking)
		speak(speech);
}

static void cancel(void *plugin, struct parlance_generation *handle)
{
	struct speech *speech = handle->plugin;

	(void)plugin;
	if (!speech)
		return;
	speech->finish = PARLANCE_FINISH_CANCELED;
	if (!speech->speaking)
		end(speech);
}

static void models(void *plugin, void (*each)(void *arg, const struct parlance_model *model),
		   void *arg)
{
	static const struct parlance_model model = {
		.size = sizeof(model),
		.id = "demo",
		.title = "Demonstration bot",
	};

	(void)plugin;
	each(arg, &model);
}

static int create(void **out, const struct parlance_host *host, const void *options, char *err,
		  size_t err_size)
{
	struct demo *self = calloc(1, sizeof(*self));

	if (!self) {
		snprintf(err, err_size, "out of memory");
		return -1;
	}
	self->host = host;
	self->sink = host->sink;
	self->options = *(const struct demo_options *)options;
	*out = self;
	return 0;
}

static int reload(void *plugin, const void *options, char *err, size_t err_size)
{
	(void)err;
	(void)err_size;
	((struct demo *)plugin)->options = *(const struct demo_options *)options;
	return 0;
}

static void destroy(void *plugin)
{
	free(plugin);
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
		.name = "provider_demo",
		.version = "1.0.0",
		.licence = "MIT",
		.doc = "A demonstration bot: answers by rules, word by word, without a network.",
		.options = options_table,
		.n_options = sizeof(options_table) / sizeof(options_table[0]),
		.option_size = sizeof(struct parlance_option),
		.options_size = sizeof(struct demo_options),
		.ops = &ops,
		.create = create,
		.reload = reload,
		.destroy = destroy,
	};

	return &plugin;
}
