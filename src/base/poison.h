/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The unbounded string functions may not be used at all. The system headers that declare them come
 * first, so that only our own uses are caught.
 */
#ifndef PARLANCE_BASE_POISON_H
#define PARLANCE_BASE_POISON_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang takes offence where _FORTIFY_SOURCE has made macros of them; tests/check-layers looks too. */
#if !defined(__cplusplus) && !defined(__clang__)
#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok
#endif

#endif
