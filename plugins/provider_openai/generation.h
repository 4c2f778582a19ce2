/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * One answer: a request to the service, its stream, the deltas, the end. A generation frees itself
 * when it has ended. Loop thread.
 */
#ifndef PROVIDER_OPENAI_GENERATION_H
#define PROVIDER_OPENAI_GENERATION_H

#include "parlance/provider.h"
#include "settings.h"

#ifdef __cplusplus
extern "C" {
#endif

struct json_tokener;

/* An instance of the plugin. */
struct openai {
	const struct parlance_host *host;
	const struct parlance_provider_sink *sink;
	struct json_tokener *tokener; /* for the call that uses it */
	struct settings *settings;
	struct settings *retired; /* those that running generations may have begun with */
	size_t n_generations;
};

/* As in struct parlance_provider_ops. */
void generation_start(struct openai *self, struct parlance_generation *handle,
		      const struct parlance_prompt *prompt);
void generation_resume(struct parlance_generation *handle);
void generation_cancel(struct parlance_generation *handle);

#ifdef __cplusplus
}
#endif
#endif
