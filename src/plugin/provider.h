/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Having a provider plugin generate an answer. Loop thread.
 */
#ifndef PARLANCE_PLUGIN_PROVIDER_H
#define PARLANCE_PLUGIN_PROVIDER_H

#include "base/slice.h"
#include "parlance/provider.h"
#include "plugin/plugins.h"

#ifdef __cplusplus
extern "C" {
#endif

struct provider_call;

struct provider_ops {
	/** A piece of text: valid UTF-8, not empty, borrowed. Called from inside the plugin: take
	 * it and return. false: the plugin is to pause until provider_resume. */
	bool (*delta)(void *arg, enum parlance_delta kind, struct slice text);
	/** The last call, exactly once, from the loop. end->finish is PARLANCE_FINISH_TIMEOUT when
	 * timeout_ms ran out, PARLANCE_FINISH_CANCELED after provider_cancel. */
	void (*end)(void *arg, const struct parlance_end *end);
};

/** Begins an answer. prompt is copied, ops are borrowed until end. model: "INSTANCE/NAME" picks a
 * provider (the instance "default" has its plugin's name), else the first one that has a model
 * "NAME" gets it; empty or unknown names go to the first one that was loaded. Nothing is called from
 * within. 0 and *out (valid until end returns), or PARLANCE_ENOENT (no provider plugin),
 * PARLANCE_ENOMEM, PARLANCE_ECLOSED (after plugins_destroy). */
MUST_USE int provider_start(struct provider_call **out, struct plugins *plugins,
			    const struct parlance_prompt *prompt, uint64_t timeout_ms,
			    const struct provider_ops *ops, void *arg);

/** After delta has returned false. */
void provider_resume(struct provider_call *call);

/** No delta is delivered any more; end follows once the plugin has ended, or after two seconds.
 * Harmless when repeated. */
void provider_cancel(struct provider_call *call);

/** The models of all providers: "INSTANCE/NAME" as for provider_start, title. A change in a
 * plugin's list shows when they are asked for the second time. */
void provider_models(struct plugins *plugins,
		     void (*each)(void *arg, const char *id, const char *title), void *arg);

#ifdef __cplusplus
}
#endif
#endif
