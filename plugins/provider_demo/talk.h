/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the demonstration bot says: an answer to a conversation, part by part, the same for the same
 * conversation. Pure.
 */
#ifndef PROVIDER_DEMO_TALK_H
#define PROVIDER_DEMO_TALK_H

#include <stdio.h>

#include "parlance/provider.h"

#ifdef __cplusplus
extern "C" {
#endif

struct talk {
	int topic; /* of talk.c */
	uint64_t seed;
	uint64_t part; /* the next one to write */
	int finish;    /* enum parlance_finish: how the answer ends */
};

/** Reads the conversation. */
void talk_init(struct talk *talk, const struct parlance_prompt *prompt);

/** Writes the next part; prompt is the same as for talk_init. False: there is none any more. */
bool talk_part(struct talk *talk, const struct parlance_prompt *prompt, FILE *out);

/** The length of the first word of len bytes of UTF-8, with the blanks after it: at least 1 when
 * len is. */
size_t talk_word(const char *p, size_t len);

#ifdef __cplusplus
}
#endif
#endif
