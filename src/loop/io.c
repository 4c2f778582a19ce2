/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Watching a file descriptor: a uv_poll_t, freed by libuv's close callback. */
#include <uv.h>

#include "loop/io.h"
#include "base/err.h"

struct io {
	uv_poll_t poll;
	io_fn *fn;
	void *arg;
};

static void on_poll(uv_poll_t *poll, int status, int uv_events)
{
	struct io *io = poll->data;
	unsigned int events = 0;

	if (status == 0) {
		events |= uv_events & UV_READABLE ? IO_READ : 0;
		events |= uv_events & UV_WRITABLE ? IO_WRITE : 0;
		events |= uv_events & UV_DISCONNECT ? IO_HANGUP : 0;
	}
	io->fn(io, events, io->arg);
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void io_set(struct io *io, unsigned int events)
{
	int uv_events = 0;

	uv_events |= events & IO_READ ? UV_READABLE : 0;
	uv_events |= events & IO_WRITE ? UV_WRITABLE : 0;
	uv_events |= events & IO_HANGUP ? UV_DISCONNECT : 0;
	if (uv_events)
		CHECK(uv_poll_start(&io->poll, uv_events, on_poll) == 0);
	else
		CHECK(uv_poll_stop(&io->poll) == 0);
}

int io_open(struct io **out, struct loop *loop, int fd, unsigned int events, io_fn *fn, void *arg)
{
	struct io *io = malloc(sizeof(*io));

	if (!io)
		return PARLANCE_ENOMEM;
	if (uv_poll_init(loop_native(loop), &io->poll, fd)) {
		free(io);
		return PARLANCE_ESYS;
	}
	io->poll.data = io;
	io->fn = fn;
	io->arg = arg;
	io_set(io, events);
	*out = io;
	return 0;
}

void io_close(struct io **iop)
{
	struct io *io = *iop;

	if (!io)
		return;
	*iop = NULL;
	uv_close((uv_handle_t *)&io->poll, on_closed);
}
