/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Watching a file descriptor. The descriptor stays its owner's; it must be open while it is
 * watched. Loop thread.
 */
#ifndef PARLANCE_LOOP_IO_H
#define PARLANCE_LOOP_IO_H

#include "loop/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

enum io_events {
	IO_READ = 1,
	IO_WRITE = 2,
	IO_HANGUP = 4, /* the peer closed its side (EPOLLRDHUP) */
};

struct io;

/** events: what happened (enum io_events), or 0 for an error on the descriptor (EPOLLERR). */
typedef void io_fn(struct io *io, unsigned int events, void *arg);

/** Begins to watch fd. 0, PARLANCE_ENOMEM, PARLANCE_ESYS (not a pollable descriptor, or watched
 * already). */
MUST_USE int io_open(struct io **out, struct loop *loop, int fd, unsigned int events, io_fn *fn,
		     void *arg);

/** Changes what is watched; 0 pauses. */
void io_set(struct io *io, unsigned int events);

/** Ends watching and clears the pointer; fn is not called again. The descriptor may be closed
 * right after. Harmless on NULL. */
void io_close(struct io **io);

#ifdef __cplusplus
}
#endif
#endif
