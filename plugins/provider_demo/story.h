/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A story of any length, the same for the same seed. Pure.
 */
#ifndef PROVIDER_DEMO_STORY_H
#define PROVIDER_DEMO_STORY_H

#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Writes the title and what comes before the first chapter. */
void story_begin(FILE *out, uint64_t seed);

/** Writes chapter `number`, from 1. */
void story_chapter(FILE *out, uint64_t seed, uint64_t number);

void story_end(FILE *out, uint64_t seed);

/** A number below n, of the seed and a position; n is at least 1. */
uint64_t story_pick(uint64_t seed, uint64_t at, uint64_t n);

#ifdef __cplusplus
}
#endif
#endif
