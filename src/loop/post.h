/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Post: how other threads reach the loop. The only part of src/loop that may be called off the
 * loop's thread.
 */
#ifndef PARLANCE_LOOP_POST_H
#define PARLANCE_LOOP_POST_H

#include "loop/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

struct post;

/** Makes a mailbox. Loop thread. 0, PARLANCE_ENOMEM, PARLANCE_ESYS. */
MUST_USE int post_new(struct post **out, struct loop *loop);

/** Has fn(arg) called on the loop thread, in the order of posting. Any thread, until post_free. 0
 * or PARLANCE_ENOMEM. */
MUST_USE int post_send(struct post *post, void (*fn)(void *arg), void *arg);

/** Runs what was posted, then frees the mailbox and clears the pointer. Loop thread; no thread may
 * post any more. Harmless on NULL. */
void post_free(struct post **post);

#ifdef __cplusplus
}
#endif
#endif
