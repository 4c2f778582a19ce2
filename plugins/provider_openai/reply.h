/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What a service says: a chunk of a stream, a whole answer, or an error, each a JSON object. One
 * thread at a time.
 */
#ifndef PROVIDER_OPENAI_REPLY_H
#define PROVIDER_OPENAI_REPLY_H

#include "buf.h"
#include "parlance/provider.h"

#ifdef __cplusplus
extern "C" {
#endif

struct json_object;
struct json_tokener;

#define ERROR_NAME_MAX 64

/* Borrowed from root. Texts may be invalid UTF-8, or end in the middle of a character. */
struct reply {
	struct json_object *root;
	struct parlance_str text;      /* empty: none */
	struct parlance_str reasoning; /* empty: none */
	struct parlance_str model;     /* empty: not said */
	int finish;                    /* enum parlance_finish, or 0: not finished */
	bool has_usage;
	struct parlance_usage usage;
	int error; /* how a generation with that error finishes (enum parlance_finish), or 0 */
	struct parlance_str error_name; /* its code or type, if that is a word; else empty */
};

/** Reads an object. 0; or -1 when it is malformed, and what says why. reply_fini in either case. */
MUST_USE int reply_parse(struct reply *reply, struct json_tokener *tokener,
			 struct parlance_str json, const char **what);
void reply_fini(struct reply *reply);

/** How a generation finishes that got this HTTP status, an error: enum parlance_finish. */
int reply_status_finish(int status);

#ifdef __cplusplus
}
#endif
#endif
