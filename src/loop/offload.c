/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Offload: a uv_work_t that frees itself when it is done. */
#include <uv.h>

#include "loop/offload.h"
#include "base/err.h"

struct offload {
	uv_work_t req;
	void (*work)(void *arg);
	void (*done)(void *arg, int status);
	void *arg;
};

static void on_work(uv_work_t *req)
{
	struct offload *o = req->data;

	o->work(o->arg);
}

static void on_done(uv_work_t *req, int status)
{
	struct offload *o = req->data;

	o->done(o->arg, status == UV_ECANCELED ? PARLANCE_ECANCELED : 0);
	free(o);
}

int offload_run(struct loop *loop, struct offload **out, void (*work)(void *arg),
		void (*done)(void *arg, int status), void *arg)
{
	struct offload *o = calloc(1, sizeof(*o));

	if (!o)
		return PARLANCE_ENOMEM;
	o->req.data = o;
	o->work = work;
	o->done = done;
	o->arg = arg;
	if (uv_queue_work(loop_native(loop), &o->req, on_work, on_done)) {
		free(o);
		return PARLANCE_ESYS;
	}
	if (out)
		*out = o;
	return 0;
}

void offload_cancel(struct offload *o)
{
	/* Refused when the work has begun: then its result comes as usual. */
	(void)uv_cancel((uv_req_t *)&o->req);
}
