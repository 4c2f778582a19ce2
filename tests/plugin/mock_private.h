/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the mock host's files share. Nothing for tests.
 */
#ifndef PARLANCE_TESTS_PLUGIN_MOCK_PRIVATE_H
#define PARLANCE_TESTS_PLUGIN_MOCK_PRIVATE_H

#include <pthread.h>
#include <uv.h>

#include "mock_host.h"
#include "mock_options.h"
#include "base/strbuf.h"
#include "loop/post.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mock_counter {
	struct list node;
	uint64_t n;
	char name[64];
};

struct mock_private {
	pthread_t thread;
	void *handle; /* of dlopen, or NULL */
	struct mock_options *options;
	bool inside; /* a call of the plugin */
	size_t fail_at[MOCK_CALLS];

	uv_timer_t tick;
	struct loop_task defer_task;
	struct list deferred;

	struct list timers;
	struct list watches;
	struct list works;
	struct list secrets;
	struct list counters;
	size_t (*http_end)(struct mock_host *m, bool over);

	pthread_mutex_t lock; /* of the two below, which other threads use */
	struct post *post;
	bool over; /* no instance: what comes from other threads is dropped */

	struct strbuf log;
	struct strbuf broadcasts;
};

/** Fills m->host. */
void mock_services(struct mock_host *m);
void mock_cancel_works(struct mock_host *m);
void mock_wipe_secrets(struct mock_host *m);
/** Takes back what the host has made for an instance. */
void mock_over(struct mock_host *m);

#ifdef __cplusplus
}
#endif
#endif
