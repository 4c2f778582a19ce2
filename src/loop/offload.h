/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Offload: work that would block goes to the loop's thread pool and comes back as a call on the
 * loop. Loop thread.
 */
#ifndef PARLANCE_LOOP_OFFLOAD_H
#define PARLANCE_LOOP_OFFLOAD_H

#include "loop/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

struct offload;

/** Runs work(arg) on a thread of the pool, then done(arg, status) on the loop thread, exactly
 * once: status 0, or PARLANCE_ECANCELED when it was cancelled before it began (work did not run).
 * arg is borrowed until done. 0 and *out (valid until done is called; may be NULL when nobody
 * will cancel), or PARLANCE_ENOMEM, PARLANCE_ESYS (done is not called). */
MUST_USE int offload_run(struct loop *loop, struct offload **out, void (*work)(void *arg),
			 void (*done)(void *arg, int status), void *arg);

/** Asks to drop work that has not begun; work that has goes on to its end. done is called in
 * either case, later. */
void offload_cancel(struct offload *offload);

#ifdef __cplusplus
}
#endif
#endif
