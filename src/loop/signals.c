/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Signals: a uv_signal_t each. */
#include <uv.h>

#include "loop/signals.h"
#include "base/err.h"

struct signal_watch {
	uv_signal_t uv;
	void (*fn)(int signum, void *arg);
	void *arg;
};

static void on_signal(uv_signal_t *uv, int signum)
{
	struct signal_watch *w = uv->data;

	w->fn(signum, w->arg);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

int signal_watch_new(struct signal_watch **out, struct loop *loop, int signum,
		     void (*fn)(int signum, void *arg), void *arg)
{
	struct signal_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return PARLANCE_ENOMEM;
	if (uv_signal_init(loop_native(loop), &w->uv)) {
		free(w);
		return PARLANCE_ESYS;
	}
	w->uv.data = w;
	w->fn = fn;
	w->arg = arg;
	/* Waiting for a signal alone does not keep the loop alive. */
	uv_unref((uv_handle_t *)&w->uv);
	if (uv_signal_start(&w->uv, on_signal, signum)) {
		uv_close((uv_handle_t *)&w->uv, on_closed);
		return PARLANCE_ESYS;
	}
	*out = w;
	return 0;
}

void signal_watch_free(struct signal_watch **wp)
{
	struct signal_watch *w = *wp;

	if (!w)
		return;
	*wp = NULL;
	uv_close((uv_handle_t *)&w->uv, on_closed);
}
