/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The end of the line for a broken invariant: says where, then aborts so that a core dump shows it.
 * Any thread; calls nothing that allocates or locks, for the heap may be what is broken.
 */
#include <unistd.h>

#include "base/check.h"

void check_failed(const char *file, int line, const char *what)
{
	char buf[512];
	int n = snprintf(buf, sizeof(buf), "%s:%d: internal error: %s does not hold\n", file, line,
			 what);

	if (n > 0) {
		size_t len = (size_t)n < sizeof(buf) ? (size_t)n : sizeof(buf) - 1;
		ssize_t ignored = write(STDERR_FILENO, buf, len);

		(void)ignored;
	}
	abort();
}
