/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Signals as events of the loop. Loop thread.
 */
#ifndef PARLANCE_LOOP_SIGNALS_H
#define PARLANCE_LOOP_SIGNALS_H

#include "loop/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

struct signal_watch;

/** Calls fn(signum, arg) for each delivery of the signal. 0, PARLANCE_ENOMEM, PARLANCE_ESYS. */
MUST_USE int signal_watch_new(struct signal_watch **out, struct loop *loop, int signum,
			      void (*fn)(int signum, void *arg), void *arg);

/** Ends watching and clears the pointer; the signal has its default action again. Harmless on
 * NULL. */
void signal_watch_free(struct signal_watch **watch);

#ifdef __cplusplus
}
#endif
#endif
