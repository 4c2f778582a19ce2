/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Assertions and checked arithmetic: a broken invariant ends the process and says where.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/check.h"

/* Runs CHECK(value > 0) in a child; returns its wait status and what it wrote to standard error. */
static int run_check(int value, char *text, size_t size)
{
	const struct rlimit no_core = { 0, 0 };
	int fds[2];
	int status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)signal(SIGABRT, SIG_DFL);
		(void)dup2(fds[1], STDERR_FILENO);
		CHECK(value > 0);
		_exit(0);
	}
	(void)close(fds[1]);
	while (len < size - 1 && (n = read(fds[0], text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_check(void **state)
{
	char text[1024];
	int status;

	(void)state;
	status = run_check(1, text, sizeof(text));
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_string_equal(text, "");

	status = run_check(0, text, sizeof(text));
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(text, "test_check.c:"));
	assert_non_null(strstr(text, "value > 0 does not hold\n"));
}

static void test_sizes(void **state)
{
	size_t n;

	(void)state;
	assert_true(size_add(2, 3, &n));
	assert_int_equal(n, 5);
	assert_true(size_add(SIZE_MAX, 0, &n));
	assert_false(size_add(SIZE_MAX, 1, &n));
	assert_true(size_mul(6, 7, &n));
	assert_int_equal(n, 42);
	assert_true(size_mul(SIZE_MAX, 0, &n));
	assert_false(size_mul(SIZE_MAX / 2 + 1, 2, &n));
}

struct outer {
	int before;
	int member;
};

static void test_container_of(void **state)
{
	struct outer o = { 1, 2 };

	(void)state;
	assert_ptr_equal(CONTAINER_OF(&o.member, struct outer, member), &o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_container_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
