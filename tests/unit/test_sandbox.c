/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The sandbox, each time in a child of the test, for it is for good: what still works, what fails,
 * and what the child dies of.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "config.h"

#include "base/log.h"
#include "sys/sandbox.h"

static const char *extra[1];
static size_t n_extra;

/* Ends the child, with the line that was not as it should be. */
#define must(condition)                       \
	do {                                  \
		if (!(condition))             \
			fail_at(__LINE__, #condition); \
	} while (0)

static void fail_at(int line, const char *what)
{
	(void)fprintf(stderr, "line %d: %s (%s)\n", line, what, strerror(errno));
	_exit(1);
}

static void enter(enum sandbox_mode mode)
{
	struct strbuf err;

	strbuf_init(&err, 1024);
	log_setup(LOG_LEVEL_ERR, LOG_FORMAT_KV, STDERR_FILENO);
	must(sandbox_no_new_privs() == 0);
	sandbox_prepare(mode);
	if (sandbox_enter(mode, extra, n_extra, &err))
		fail_at(__LINE__, strbuf_cstr(&err));
	strbuf_fini(&err);
}

/* How a child ends that does this after entering. */
static int end_of(enum sandbox_mode mode, void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		enter(mode);
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

#ifdef HAVE_LIBSECCOMP
#define assert_killed(fn)                                     \
	do {                                                  \
		int how_ = end_of(SANDBOX_ON, fn);            \
		assert_true(WIFSIGNALED(how_));               \
		assert_int_equal(WTERMSIG(how_), SIGSYS);     \
	} while (0)
#endif

#define assert_survives(mode, fn) assert_int_equal(end_of(mode, fn), 0)

/* ---- what works ---- */

static void do_files(void)
{
	char byte;
	struct stat st;
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);

	must(fd >= 0 && fstat(fd, &st) == 0 && read(fd, &byte, 1) == 1);
	must(close(fd) == 0 && stat("/", &st) == 0 && access("/none", R_OK) < 0);
	must(errno == ENOENT);
}

/* A connection to oneself would need a listener: there is nobody, and the kernel says so. */
static void do_connect(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(1) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int pair[2];
	char byte = 'x';

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){ 1 }, sizeof(int)) == 0);
	must(connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno == ECONNREFUSED);
	must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	must(send(pair[0], &byte, 1, MSG_NOSIGNAL) == 1 && recv(pair[1], &byte, 1, 0) == 1);
}

static void *thread(void *arg)
{
	void *p = malloc((size_t)1024 * 1024);

	must(p);
	free(p);
	(void)pthread_setname_np(pthread_self(), "sandbox");
	return arg;
}

static void do_threads(void)
{
	pthread_t t;
	int arg;
	void *result;

	must(pthread_create(&t, NULL, thread, &arg) == 0);
	must(pthread_join(t, &result) == 0 && result == &arg);
}

static void do_names(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *found = NULL;

	must(getaddrinfo("localhost", "80", &hints, &found) == 0);
	freeaddrinfo(found);
}

static void do_loop(void)
{
	int e = epoll_create1(EPOLL_CLOEXEC);
	int fd = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
	struct epoll_event event = { .events = EPOLLIN };
	struct pollfd p = { fd, POLLIN, 0 };

	must(e >= 0 && fd >= 0 && epoll_ctl(e, EPOLL_CTL_ADD, fd, &event) == 0);
	must(epoll_wait(e, &event, 1, 0) == 1 && poll(&p, 1, 0) == 1);
}

static volatile sig_atomic_t caught;

static void on_signal(int signum)
{
	caught = signum;
}

static void do_signals(void)
{
	struct sigaction act = { .sa_handler = on_signal };

	must(sigaction(SIGUSR1, &act, NULL) == 0);
	must(raise(SIGUSR1) == 0 && caught == SIGUSR1);
	caught = 0;
	must(kill(getpid(), SIGUSR1) == 0 && caught == SIGUSR1);
}

static void test_works(void **state)
{
	(void)state;
	assert_survives(SANDBOX_ON, do_files);
	assert_survives(SANDBOX_ON, do_connect);
	assert_survives(SANDBOX_ON, do_threads);
	assert_survives(SANDBOX_ON, do_names);
	assert_survives(SANDBOX_ON, do_loop);
	assert_survives(SANDBOX_ON, do_signals);
}

#ifdef HAVE_LIBSECCOMP

/* ---- what fails ---- */

#define must_fail(call) must((call) < 0 && errno == ENOSYS)

static void do_denied(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET };
	struct rlimit limit = { 1, 1 };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	void *p;

	must_fail(fork());
	must_fail(syscall(SYS_clone3, NULL, 0));
	must_fail(syscall(SYS_clone, CLONE_THREAD | CLONE_NEWUSER, NULL, NULL, NULL, NULL));
	must_fail(syscall(425 /* io_uring_setup */, 1, NULL));
	must_fail(bind(fd, (struct sockaddr *)&any, sizeof(any)));
	must_fail(listen(fd, 1));
	must_fail(socket(AF_NETLINK, SOCK_RAW, 0));
	must_fail(kill(getppid(), 0));
	must_fail(kill(-1, 0));
	must_fail(setrlimit(RLIMIT_CORE, &limit));
	must_fail(mkdir("/tmp/parlance-test-sandbox", 0700));
	must_fail(rename("/none", "/tmp/none"));
	must_fail(chmod("/none", 0700));
	must_fail(memfd_create("x", 0));
	must(mmap(NULL, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		  0) == MAP_FAILED && errno == ENOSYS);
	p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(p != MAP_FAILED);
	must_fail(mprotect(p, page, PROT_READ | PROT_EXEC));
	must(mprotect(p, page, PROT_READ) == 0);
}

/* What would give more away, or take the filter's place. */
static void do_prctl(void)
{
#ifndef SANDBOX_SANITIZERS
	must_fail(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
#endif
	must_fail(prctl(PR_SET_SECCOMP, 1, 0, 0, 0));
	must_fail(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
}

static void test_fails(void **state)
{
	(void)state;
	assert_survives(SANDBOX_ON, do_denied);
	assert_survives(SANDBOX_ON, do_prctl);
}

/* ---- what kills ---- */

static void do_execve(void)
{
	char *const argv[] = { (char[]){ "true" }, NULL };

	(void)execve("/bin/true", argv, argv + 1);
}

static void do_ptrace(void)
{
	(void)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static void do_setuid(void)
{
	(void)!setuid(getuid());
}

static void do_unshare(void)
{
	(void)unshare(CLONE_NEWUSER);
}

static void do_mount(void)
{
	(void)syscall(SYS_mount, "none", "/none", "tmpfs", 0, NULL);
}

static void do_bpf(void)
{
	(void)syscall(SYS_bpf, 0, NULL, 0);
}

static void do_perf(void)
{
	(void)syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0);
}

static void do_keyctl(void)
{
	(void)syscall(SYS_keyctl, 0, 0, 0, 0, 0);
}

static void do_chroot(void)
{
	(void)!chroot("/");
}

static void do_module(void)
{
	(void)syscall(SYS_init_module, NULL, 0, "");
}

static void test_kills(void **state)
{
	(void)state;
	assert_killed(do_execve);
	assert_killed(do_ptrace);
	assert_killed(do_setuid);
	assert_killed(do_unshare);
	assert_killed(do_mount);
	assert_killed(do_bpf);
	assert_killed(do_perf);
	assert_killed(do_keyctl);
	assert_killed(do_chroot);
	assert_killed(do_module);
}

/* ---- as the configuration wants it ---- */

static void do_unshare_nothing(void)
{
	must(unshare(0) == 0);
}

static void do_fails_but_lives(void)
{
	must(chmod("/none", 0700) < 0 && errno == ENOENT);
}

static void test_modes(void **state)
{
	(void)state;
	assert_survives(SANDBOX_OFF, do_unshare_nothing);
	assert_survives(SANDBOX_LOG, do_unshare_nothing);
	assert_survives(SANDBOX_LOG, do_fails_but_lives);
	assert_killed(do_unshare_nothing);
	extra[0] = "unshare";
	n_extra = 1;
	assert_survives(SANDBOX_ON, do_unshare_nothing);
	extra[0] = "chmod";
	assert_survives(SANDBOX_ON, do_files);
	assert_killed(do_unshare_nothing);
	n_extra = 0;
	assert_true(sandbox_is_call("unshare"));
	assert_false(sandbox_is_call("unshaer"));
}

/* ---- threads that run already ---- */

static int go[2];

static void *late_thread(void *arg)
{
	char byte;

	must(read(go[0], &byte, 1) == 1);
	(void)unshare(0);
	return arg;
}

static void test_threads_before(void **state)
{
	pthread_t t;
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		must(pipe(go) == 0);
		must(pthread_create(&t, NULL, late_thread, NULL) == 0);
		enter(SANDBOX_ON);
		must(write(go[1], "x", 1) == 1);
		(void)pthread_join(t, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

#endif

static void do_nothing(void)
{
	must(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
}

/* Before entering: what the process gives up by itself. */
static void test_alone(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		must(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
		must(sandbox_no_new_privs() == 0);
		do_nothing();
		must(sandbox_set_dumpable(false) == 0);
		must(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
		must(sandbox_set_dumpable(true) == 0);
		must(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_works),
#ifdef HAVE_LIBSECCOMP
		cmocka_unit_test(test_fails),
		cmocka_unit_test(test_kills),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_threads_before),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
