/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Asking the storage plugin, and hearing from it. Loop thread.
 */
#ifndef PARLANCE_PLUGIN_STORAGE_H
#define PARLANCE_PLUGIN_STORAGE_H

#include "base/slice.h"
#include "parlance/storage.h"
#include "plugin/plugins.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An answer. Borrowed for the call. */
struct storage_answer {
	enum parlance_storage_status status; /* PARLANCE_STORAGE_CANCELED after the deadline too */
	bool timed_out;
	struct slice json; /* with PARLANCE_STORAGE_OK alone: begins and ends like an object, which
			    * is all that is checked */
	const char *detail; /* for the log; never NULL */
};

typedef void storage_done_fn(void *arg, const struct storage_answer *answer);

/* The key of a request that is about no conversation in particular. */
#define STORAGE_NO_KEY ((struct slice){ 0 })

/** Submits a request. params (n as the list in parlance/storage.h says; p NULL is SQL's NULL) and
 * key (parlance_storage_request.key; empty: none) are copied. done(arg, …) is called exactly once,
 * from the loop, not from within. 0, or PARLANCE_ENOMEM, PARLANCE_ECLOSED (after plugins_destroy);
 * then done is not called. */
MUST_USE int storage_call(struct plugins *plugins, enum parlance_storage_function function,
			  struct slice key, const struct slice *params, size_t n_params,
			  uint32_t timeout_ms, storage_done_fn *done, void *arg);

/** The name of a function ("message_send"). */
const char *storage_function_name(enum parlance_storage_function function);

/** True while requests can be served. */
bool storage_ready(const struct plugins *plugins);

/** As parlance_storage_ops.set_instance. */
void storage_set_instance(struct plugins *plugins, int64_t instance);

/* What the storage tells. All are called from inside the plugin: take it and return; what is asked
 * of plugins in it goes to them at the end of the turn. */
struct storage_listener {
	void (*event)(void *ctx, const struct parlance_storage_event *event);
	void (*feed)(void *ctx, bool up);
	void (*ready)(void *ctx, bool ready);
	void (*message)(void *ctx, struct slice payload);
};

/** Sets the one listener (NULL: none); before plugins_create. Borrowed. It hears nothing any more
 * after plugins_destroy. */
void storage_listen(struct plugins *plugins, const struct storage_listener *listener, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
