/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The service manager's side of sd_notify(3): a datagram socket of our own, on a path and in the
 * abstract namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "loop_fixture.h"

#include "base/clock.h"
#include "base/log.h"
#include "loop/io.h"
#include "sys/systemd.h"

#define DEADLINE_MS 10000
#define WATCHDOG_MS 40

static struct sys_notify *sys;
static int manager; /* the manager's socket */
static char folder[64];
static char got[1024];
static bool late;

static void listen_at(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(name);

	assert_in_range(len, 2, sizeof(address.sun_path) - 1);
	memcpy(address.sun_path, name, len);
	if (name[0] == '@')
		address.sun_path[0] = '\0';
	else
		len++;
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(manager >= 0);
	assert_int_equal(bind(manager, (struct sockaddr *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
			 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
}

static void listen_at_path(void)
{
	char name[96];

	(void)snprintf(name, sizeof(name), "%s/notify", folder);
	listen_at(name);
}

/* The next datagram that is there already, or "". */
static const char *next(void)
{
	ssize_t n = recv(manager, got, sizeof(got) - 1, 0);

	if (n < 0)
		assert_int_equal(errno, EAGAIN);
	got[n > 0 ? n : 0] = '\0';
	return got;
}

static void on_readable(struct io *io, unsigned int what, void *arg)
{
	(void)io;
	(void)what;
	(void)arg;
	end_run();
}

static void on_deadline(struct timer *timer)
{
	(void)timer;
	late = true;
	end_run();
}

/* The next datagram, for which the loop runs. */
static const char *await(void)
{
	struct timer deadline = { 0 };
	struct io *io;

	late = false;
	assert_int_equal(io_open(&io, loop, manager, IO_READ, on_readable, NULL), 0);
	loop_timer_start(loop, &deadline, DEADLINE_MS, on_deadline);
	run();
	timer_stop(&deadline);
	io_close(&io);
	assert_false(late);
	return next();
}

static int setup(void **state)
{
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
	manager = -1;
	(void)snprintf(folder, sizeof(folder), "/tmp/parlance-systemd-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	return loop_setup(state);
}

static int teardown(void **state)
{
	char name[96];

	sys_notify_free(&sys);
	if (manager >= 0)
		(void)close(manager);
	(void)snprintf(name, sizeof(name), "%s/notify", folder);
	(void)unlink(name);
	(void)rmdir(folder);
	return loop_teardown(state);
}

static void test_states(void **state)
{
	uint64_t before_us = clock_mono_ns() / 1000;
	uint64_t reload_us;

	(void)state;
	listen_at_path();
	assert_int_equal(sys_notify_new(&sys, loop), 0);
	assert_string_equal(next(), "");
	sys_notify_ready(sys, "2 listeners");
	assert_string_equal(next(), "READY=1\nSTATUS=2 listeners\n");
	sys_notify_reloading(sys);
	assert_int_equal(sscanf(next(), "RELOADING=1\nMONOTONIC_USEC=%" SCNu64 "\n", &reload_us),
			 1);
	assert_in_range(reload_us, before_us, clock_mono_ns() / 1000);
	sys_notify_ready(sys, NULL);
	assert_string_equal(next(), "READY=1\n");
	sys_notify_stopping(sys);
	assert_string_equal(next(), "STOPPING=1\n");
	assert_string_equal(next(), "");
	sys_notify_free(&sys);
	assert_null(sys);
}

static void test_abstract(void **state)
{
	char name[64];

	(void)state;
	(void)snprintf(name, sizeof(name), "@parlance-test-%ld", (long)getpid());
	listen_at(name);
	assert_int_equal(sys_notify_new(&sys, loop), 0);
	sys_notify_ready(sys, NULL);
	assert_string_equal(next(), "READY=1\n");
}

/* A newline would begin another assignment; a character is not cut in two. */
static void test_status(void **state)
{
	char text[SYS_NOTIFY_STATUS_MAX + 2];
	char want[SYS_NOTIFY_STATUS_MAX + 16];
	const int cut = SYS_NOTIFY_STATUS_MAX - 1;

	(void)state;
	listen_at_path();
	assert_int_equal(sys_notify_new(&sys, loop), 0);
	sys_notify_status(sys, "%d connections\nSTOPPING=%c", 3, '1');
	assert_string_equal(next(), "STATUS=3 connections STOPPING=1\n");
	memset(text, 'x', sizeof(text));
	memcpy(text + cut, "\xc3\xa9", 3);
	sys_notify_status(sys, "%s", text);
	(void)snprintf(want, sizeof(want), "STATUS=%.*s\n", cut, text);
	assert_string_equal(next(), want);
	sys_notify_status(sys, "%*d", 5000, 1);
	memset(text, ' ', sizeof(text));
	(void)snprintf(want, sizeof(want), "STATUS=%.*s\n", SYS_NOTIFY_STATUS_MAX, text);
	assert_string_equal(next(), want);
}

/* Fills the manager's queue; how many datagrams went in. */
static size_t fill(void)
{
	struct sockaddr_un address;
	socklen_t len = sizeof(address);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	size_t n = 0;

	assert_true(fd >= 0);
	assert_int_equal(getsockname(manager, (struct sockaddr *)&address, &len), 0);
	while (sendto(fd, "x", 1, 0, (struct sockaddr *)&address, len) == 1)
		n++;
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(close(fd), 0);
	assert_true(n > 0);
	return n;
}

/* Nothing waits, and nothing is lost but what is no longer true. */
static void test_full(void **state)
{
	size_t n;

	(void)state;
	listen_at_path();
	assert_int_equal(sys_notify_new(&sys, loop), 0);
	n = fill();
	sys_notify_reloading(sys);
	sys_notify_ready(sys, "first");
	sys_notify_status(sys, "second");
	for (; n; n--)
		assert_string_equal(next(), "x");
	assert_string_equal(next(), "");
	assert_string_equal(await(), "READY=1\nSTATUS=second\n");
	turn();
	assert_string_equal(next(), "");

	/* The end does not wait for the next try. */
	n = fill();
	sys_notify_stopping(sys);
	for (; n; n--)
		assert_string_equal(next(), "x");
	sys_notify_free(&sys);
	assert_string_equal(next(), "STOPPING=1\n");
}

/* The manager executes itself anew. */
static void test_away(void **state)
{
	char name[96];

	(void)state;
	listen_at_path();
	assert_int_equal(sys_notify_new(&sys, loop), 0);
	assert_int_equal(close(manager), 0);
	(void)snprintf(name, sizeof(name), "%s/notify", folder);
	assert_int_equal(unlink(name), 0);
	sys_notify_ready(sys, NULL);
	listen_at_path();
	assert_string_equal(await(), "READY=1\n");
}

static void set_watchdog(const char *usec, const char *pid)
{
	assert_int_equal(setenv("WATCHDOG_USEC", usec, 1), 0);
	assert_int_equal(pid ? setenv("WATCHDOG_PID", pid, 1) : unsetenv("WATCHDOG_PID"), 0);
}

static void test_watchdog(void **state)
{
	char pid[32];
	char usec[32];
	uint64_t start_ms;

	(void)state;
	listen_at_path();
	(void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	(void)snprintf(usec, sizeof(usec), "%d", WATCHDOG_MS * 1000);
	set_watchdog(usec, pid);
	assert_int_equal(sys_notify_new(&sys, loop), 0);
	start_ms = clock_mono_ms();
	for (int i = 0; i < 4; i++)
		assert_string_equal(await(), "WATCHDOG=1\n");
	/* Not faster than half the interval (a millisecond of rounding each). */
	assert_true(clock_mono_ms() - start_ms >= 4 * (WATCHDOG_MS / 2 - 1));
}

/* A ping of the shortest interval would come in a few milliseconds; ours is the first to. */
static void expect_no_watchdog(const char *usec, const char *pid)
{
	set_watchdog(usec, pid);
	assert_int_equal(sys_notify_new(&sys, loop), 0);
	late = false;
	struct timer wait = { 0 };

	loop_timer_start(loop, &wait, 20, on_deadline);
	run();
	assert_true(late);
	assert_string_equal(next(), "");
	sys_notify_free(&sys);
}

static void test_no_watchdog(void **state)
{
	(void)state;
	listen_at_path();
	log_setup(LOG_LEVEL_ERR, LOG_FORMAT_KV, 2);
	expect_no_watchdog("1000", "1");
	expect_no_watchdog("1000", "me");
	expect_no_watchdog("0", NULL);
	expect_no_watchdog("", NULL);
	expect_no_watchdog("-5", NULL);
	expect_no_watchdog("5s", NULL);
	expect_no_watchdog("99999999999999999999", NULL);
	set_watchdog("1000", NULL);
	assert_int_equal(sys_notify_new(&sys, loop), 0);
	assert_string_equal(await(), "WATCHDOG=1\n");
}

static void test_nobody_listens(void **state)
{
	char name[200];

	(void)state;
	log_setup(LOG_LEVEL_ERR, LOG_FORMAT_KV, 2);
	memset(name, 'x', sizeof(name));
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	for (int i = 0; i < 5; i++) {
		static const char *const names[] = { NULL, "", "@", "vsock:2:1234", "relative" };

		if (names[i])
			assert_int_equal(setenv("NOTIFY_SOCKET", names[i], 1), 0);
		assert_int_equal(sys_notify_new(&sys, loop), 0);
		sys_notify_ready(sys, "x");
		sys_notify_status(sys, "y");
		sys_notify_free(&sys);
		assert_null(sys);
	}
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
	assert_int_equal(sys_notify_new(&sys, loop), 0);
	sys_notify_ready(sys, NULL);
	sys_notify_free(&sys);

	sys_notify_ready(NULL, "x");
	sys_notify_status(NULL, "x");
	sys_notify_reloading(NULL);
	sys_notify_stopping(NULL);
	sys_notify_free(&sys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_states, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abstract, setup, teardown),
		cmocka_unit_test_setup_teardown(test_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_watchdog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_watchdog, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_listens, setup, teardown),
	};

	return cmocka_run_group_tests_name("systemd", tests, NULL, NULL);
}
