/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Fetching a document again and again, one at a time: from a URL, with the host's HTTP client, or
 * from a file, on a thread of the host's pool. Loop thread.
 */
#ifndef AUTH_JWT_FETCH_H
#define AUTH_JWT_FETCH_H

#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

struct fetch;

struct fetch_result {
	const char *problem;      /* why there is no document, or NULL */
	bool unchanged;           /* a file that is the same as the last time; no body */
	struct parlance_str body; /* borrowed for the call */
	int64_t max_age_s;        /* how long its sender thinks it good; -1: not said */
};

/** The end of a fetch, from the loop. */
typedef void fetch_done_fn(void *arg, const struct fetch_result *result);

/** where: an http(s) URL that was checked, or an absolute path; copied. NULL: out of memory. */
struct fetch *fetch_new(const struct parlance_host *host, const char *where, size_t max_bytes,
			fetch_done_fn *done, void *arg);
bool fetch_is_url(const char *where);

/** Begins; done is called later. -1: it could not be begun, or is under way already. */
int fetch_begin(struct fetch *fetch);
/** Reads a file now: done is called within. For the plugin's start, which may read files. */
void fetch_now(struct fetch *fetch);
bool fetch_busy(const struct fetch *fetch);
/** Ends what is under way: done is not called any more. It is busy until the host has let go. */
void fetch_stop(struct fetch *fetch);
/** Frees it and clears the pointer: one that is not busy, or any at the plugin's end. Harmless on
 * NULL. */
void fetch_free(struct fetch **fetch);

#ifdef __cplusplus
}
#endif
#endif
