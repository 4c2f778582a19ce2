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

#ifndef __cplusplus
#pragma GCC poison strcpy strcat sprintf vsprintf gets strtok
#endif

#endif
