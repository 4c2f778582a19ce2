/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Memory that runs out. The linker sends the allocations of the layers here (--wrap); the world and
 * its fakes are compiled so that theirs go past it.
 */
#include <stdlib.h>
#include <string.h>

#include "world.h"

static bool let;
static unsigned until;

void fault_set(unsigned nth)
{
	until = nth;
}

void fault_let(bool on)
{
	let = on;
}

static bool fails(void)
{
	if (!let || !until || --until)
		return false;
	w.faulted = true;
	return true;
}

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);

/* malloc and its kin are __real_… here (see Makefile.inc). */
void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : realloc(p, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : strdup(s);
}

char *__wrap_strndup(const char *s, size_t n)
{
	return fails() ? NULL : strndup(s, n);
}
