/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What tests of storage plugins share: an instance of the plugin on a mock host, requests with
 * their answers, and what the plugin told. One rig at a time, as sinks find it in a variable.
 */
#ifndef PARLANCE_TESTS_CONTRACT_STORAGE_RIG_H
#define PARLANCE_TESTS_CONTRACT_STORAGE_RIG_H

#include "parlance/storage.h"
#include "plugin/mock_host.h"

enum {
	RIG_DEADLINE_MS = 20000, /* of everything that must happen */
};

/* A request, and what became of it. Unlinked from everything once it has completed. */
struct call {
	struct parlance_storage_op op;
	struct parlance_storage_request request;
	struct parlance_str params[PARLANCE_STORAGE_PARAMS_MAX];
	char *text[PARLANCE_STORAGE_PARAMS_MAX];
	unsigned int completed; /* how often */
	enum parlance_storage_status status;
	char *json;   /* never NULL once it has completed */
	char *detail;
};

struct rig_event {
	char room[64];
	char type[64];
	int64_t seq;
	char *json; /* "" when it was empty */
};

struct rig {
	const char *key; /* of the requests that are submitted next; NULL: none */
	struct mock_host *m;
	const struct parlance_storage_ops *ops;
	size_t outstanding; /* calls that have not completed */
	bool ready;
	bool feed;
	unsigned int n_ready; /* how often each was told */
	unsigned int n_feed;
	char detail[1024]; /* of the last ready */
	struct rig_event *events;
	size_t n_events;
	char **messages;
	size_t n_messages;
};

/** Makes the instance. -1: create failed, rig->m->err says why; the host is there still. */
MUST_USE int rig_open(struct rig *rig, const struct mock_config *config,
		      const struct mock_option *options, size_t n);
/** What was told until now does not count any more. */
void rig_forget_events(struct rig *rig);
/** Cancels nothing: all calls must have completed. */
void rig_close(struct rig *rig);

/** Waits until the plugin is ready and the feed is up, or fails the test. */
void rig_wait_up(struct rig *rig);
/** Waits for a condition, or fails the test at the line. */
#define RIG_WAIT(rig, condition)                                                     \
	do {                                                                         \
		while (!(condition))                                                 \
			if (!rig_step(rig, RIG_DEADLINE_MS))                         \
				rig_fail(rig, #condition, __FILE__, __LINE__);       \
		rig_step_done(rig);                                                  \
	} while (0)
/** Turns the loop until something was told to the rig; false: nothing was, and the time since the
 * last rig_step_done is over. */
bool rig_step(struct rig *rig, uint64_t deadline_ms);
void rig_step_done(struct rig *rig);
NORETURN void rig_fail(struct rig *rig, const char *what, const char *file, int line);

/** Submits the function with n parameters (NULL: SQL's NULL), all copied. */
void rig_submit(struct rig *rig, struct call *call, int function, size_t n,
		const char *const *params);
#define RIG_SUBMIT(rig, call, function, ...)                                                   \
	rig_submit(rig, call, function,                                                        \
		   sizeof((const char *const[]){ NULL, ##__VA_ARGS__ }) / sizeof(char *) - 1, \
		   (const char *const[]){ NULL, ##__VA_ARGS__ } + 1)
void rig_cancel(struct rig *rig, struct call *call);
/** Waits until it has completed. */
void rig_wait(struct rig *rig, struct call *call);
/** Submits, waits; the answer, which must be PARLANCE_STORAGE_OK. */
#define RIG_ASK(rig, call, function, ...)                            \
	(RIG_SUBMIT(rig, call, function, ##__VA_ARGS__), rig_wait(rig, call), \
	 rig_expect_ok(rig, call, __FILE__, __LINE__))
const char *rig_expect_ok(struct rig *rig, struct call *call, const char *file, int line);
void call_free(struct call *call);

/** The first event of the type, from number `from` on; NULL: there is none. */
const struct rig_event *rig_event(const struct rig *rig, size_t from, const char *type);
/** The text of the first member of that name in the JSON, wherever it is; static, "": none. */
const char *json_text(const char *json, const char *name);

#endif
