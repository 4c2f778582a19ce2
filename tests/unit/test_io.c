/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Watching descriptors: what is reported, and what is not once watching has ended.
 */
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "loop_fixture.h"

#include "loop/io.h"

#include "base/err.h"

struct watched {
	struct io *io;
	int fd;   /* ours */
	int peer;
	char name;
	unsigned int seen;    /* events of the last call */
	struct watched *ends; /* whose watching ends in the callback */
	struct loop_task *defers;
};

static void io_event(struct io *io, unsigned int what, void *arg)
{
	struct watched *w = arg;

	assert_ptr_equal(io, w->io);
	note(w->name);
	w->seen = what;
	if (w->ends)
		io_close(&w->ends->io);
	if (w->defers)
		loop_defer(loop, w->defers);
	loop_stop(loop);
}

static void watch(struct watched *w, char name, unsigned int what)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	*w = (struct watched){ .fd = fds[0], .peer = fds[1], .name = name };
	assert_int_equal(io_open(&w->io, loop, w->fd, what, io_event, w), 0);
}

static void unwatch(struct watched *w)
{
	io_close(&w->io);
	assert_null(w->io);
	io_close(&w->io);
	close(w->fd);
	close(w->peer);
}

static void put(const struct watched *w)
{
	assert_int_equal(write(w->peer, "x", 1), 1);
}

static void take(const struct watched *w)
{
	char c;

	assert_int_equal(read(w->fd, &c, 1), 1);
}

static void test_io(void **state)
{
	struct watched w;

	(void)state;
	watch(&w, 'r', IO_READ | IO_HANGUP);
	turn();
	assert_string_equal(events, "");
	put(&w);
	run();
	assert_string_equal(events, "r");
	assert_int_equal(w.seen, IO_READ);
	io_set(w.io, 0); /* a pause, with the byte still there */
	turn();
	turn();
	assert_string_equal(events, "r");
	io_set(w.io, IO_READ | IO_WRITE);
	run();
	assert_int_equal(w.seen, IO_READ | IO_WRITE);
	take(&w);
	io_set(w.io, IO_WRITE);
	run();
	assert_int_equal(w.seen, IO_WRITE);
	io_set(w.io, IO_HANGUP);
	turn();
	assert_string_equal(events, "rrr");
	assert_int_equal(shutdown(w.peer, SHUT_WR), 0);
	run();
	assert_string_equal(events, "rrrr");
	assert_int_equal(w.seen, IO_HANGUP);
	unwatch(&w);
}

static void test_io_refused(void **state)
{
	FILE *file = tmpfile();
	struct watched w;
	struct io *io = NULL;

	(void)state;
	assert_non_null(file);
	assert_int_equal(io_open(&io, loop, fileno(file), IO_READ, io_event, NULL), PARLANCE_ESYS);
	assert_int_equal(io_open(&io, loop, -1, IO_READ, io_event, NULL), PARLANCE_ESYS);
	watch(&w, 'w', IO_READ);
	assert_int_equal(io_open(&io, loop, w.fd, IO_READ, io_event, NULL), PARLANCE_ESYS);
	assert_null(io);
	unwatch(&w);
	(void)fclose(file);
}

/* An error on the descriptor: the reader of a pipe is gone. */
static void test_io_error(void **state)
{
	struct watched w = { .name = 'e', .seen = 99 };
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	assert_int_equal(io_open(&w.io, loop, fds[1], IO_WRITE, io_event, &w), 0);
	run();
	assert_string_equal(events, "e");
	assert_int_equal(w.seen, 0);
	io_close(&w.io);
	close(fds[1]);
}

/* Both are ready in one turn; the first to be called ends the other, which is not called any more.
 * Whose turn comes first is not defined. */
static void test_io_close_another(void **state)
{
	struct watched a;
	struct watched b;

	(void)state;
	watch(&a, 'a', IO_READ);
	watch(&b, 'b', IO_READ);
	a.ends = &b;
	b.ends = &a;
	put(&a);
	put(&b);
	run();
	assert_int_equal(n_events, 1);
	assert_true(a.io == NULL || b.io == NULL);
	unwatch(&a);
	unwatch(&b);
}

static struct watched reborn;

static void close_itself(struct io *io, unsigned int what, void *arg)
{
	struct watched *w = arg;
	int fd = w->fd;

	(void)io;
	(void)what;
	note('x');
	io_close(&w->io);
	close(w->fd);
	close(w->peer);
	/* The descriptor's number is free: the next to be opened gets it, and can be watched. */
	watch(&reborn, 'n', IO_READ);
	assert_int_equal(reborn.fd, fd);
	put(&reborn);
}

static void test_io_close_itself(void **state)
{
	struct watched w;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	w = (struct watched){ .fd = fds[0], .peer = fds[1] };
	assert_int_equal(io_open(&w.io, loop, w.fd, IO_READ | IO_HANGUP, close_itself, &w), 0);
	put(&w);
	assert_int_equal(shutdown(w.peer, SHUT_WR), 0);
	run(); /* until the new one stops it */
	assert_string_equal(events, "xn");
	assert_int_equal(reborn.seen, IO_READ);
	unwatch(&reborn);
}

static void note_task(struct loop_task *task)
{
	(void)task;
	note('t');
}

/* What is deferred runs when all descriptors of the turn have had their calls, and once. */
static void test_defer_from_io(void **state)
{
	struct loop_task task = { .fn = note_task };
	struct watched w[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(w); i++) {
		watch(&w[i], 'w', IO_READ);
		w[i].defers = &task;
		put(&w[i]);
	}
	run();
	assert_string_equal(events, "wwwt");
	for (size_t i = 0; i < ARRAY_LEN(w); i++)
		unwatch(&w[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
		TEST(test_io),
		TEST(test_io_refused),
		TEST(test_io_error),
		TEST(test_io_close_another),
		TEST(test_io_close_itself),
		TEST(test_defer_from_io),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
