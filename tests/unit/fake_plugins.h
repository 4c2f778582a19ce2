/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A fake of the plugin layer (plugin/auth.h, provider.h, storage.h) for tests of the layer above:
 * it keeps what is asked, and the test answers when and how it likes. It is linked instead of
 * plugin, and holds to what those headers promise: nothing is called from within a call, each
 * answer comes exactly once, what is borrowed is gone after the call. Loop thread.
 */
#ifndef PARLANCE_TESTS_UNIT_FAKE_PLUGINS_H
#define PARLANCE_TESTS_UNIT_FAKE_PLUGINS_H

#include "base/list.h"
#include "plugin/auth.h"
#include "plugin/provider.h"
#include "plugin/storage.h"

enum {
#define X(constant, name, n_params, class) +1
	FAKE_FUNCTIONS = 1 PARLANCE_STORAGE_LIST(X) /* PARLANCE_STORAGE_NONE is the first */
#undef X
};

struct plugins {
	struct loop *loop;
	const struct storage_listener *listener;
	void *listener_ctx;
	const struct plugins_chat *chat;
	void *chat_ctx;
	struct list calls;         /* struct fake_call, not answered yet, oldest first */
	struct list verifications; /* likewise */
	struct list answers;       /* struct provider_call that have not ended */
	/* Answers that are given by themselves at the end of the turn; NULL: the test answers. */
	const char *canned[FAKE_FUNCTIONS];
	struct loop_task canned_task;
	struct loop_task canceled_task;
	bool hold_canceled; /* a provider's call that was cancelled ends when the test says so */
	bool ready;
	bool closed;
	int64_t instance;  /* as storage_set_instance was last told */
	int refuse_call;   /* what storage_call returns instead of taking the call; 0: it takes it */
	int refuse_answer; /* likewise provider_start */
};

/* A request to the storage. */
struct fake_call {
	struct list node;
	struct plugins *plugins;
	enum parlance_storage_function function;
	struct slice params[PARLANCE_STORAGE_PARAMS_MAX]; /* terminated; p NULL: NULL */
	size_t n_params;
	struct slice key; /* terminated; empty: none */
	uint32_t timeout_ms;
	storage_done_fn *done;
	void *arg;
};

/* A token to be verified. */
struct fake_verification {
	struct list node;
	char *token;
	char *address;
	char *origin;
	uint32_t timeout_ms;
	auth_done_fn *done;
	void *arg;
};

/* An answer being generated. */
struct provider_call {
	struct list node;
	struct plugins *plugins;
	char *model;
	char *options;
	char *user;
	struct parlance_message *messages;
	size_t n_messages;
	uint64_t timeout_ms;
	bool canceled;
	const struct provider_ops *ops;
	void *arg;
};

/** Aborts without memory. It is not ready, and its feed is down. */
struct plugins *fake_plugins_new(struct loop *loop);

/** What plugins_destroy does: every asker is told that nothing comes of it, and what is asked from
 * now on is refused. */
void fake_plugins_close(struct plugins *plugins);
void fake_plugins_free(struct plugins **plugins);

/** The oldest call of this function that waits for an answer, or NULL. */
struct fake_call *fake_call_find(const struct plugins *plugins,
				 enum parlance_storage_function function);
size_t fake_calls(const struct plugins *plugins);

/** Answers: with JSON (PARLANCE_STORAGE_OK), or another status, or as the deadline does. */
void fake_call_answer(struct fake_call *call, const char *json);
void fake_call_fail(struct fake_call *call, enum parlance_storage_status status);
void fake_call_time_out(struct fake_call *call);

/* What a storage tells by itself. */
void fake_storage_ready(struct plugins *plugins, bool ready);
void fake_storage_feed(struct plugins *plugins, bool up);
/** json NULL: an event that was too long for the way it came. */
void fake_storage_event(struct plugins *plugins, const char *room, int64_t seq, const char *type,
			const char *json);
void fake_storage_message(struct plugins *plugins, const char *payload);

/** The oldest verification, or NULL. */
struct fake_verification *fake_verification_find(const struct plugins *plugins);
void fake_verification_accept(struct fake_verification *v, const char *user, int64_t expires_ms);
/** Whatever the plugin knows; its texts are terminated. */
void fake_verification_accept_as(struct fake_verification *v, const struct auth_answer *answer);
void fake_verification_reject(struct fake_verification *v, enum parlance_auth_verdict verdict);

/** The oldest answer that runs, or NULL. */
struct provider_call *fake_answer_find(const struct plugins *plugins);
/** Nothing comes of a delta after a cancel. */
void fake_answer_delta(struct provider_call *call, enum parlance_delta kind, struct slice text);
/** PARLANCE_FINISH_CANCELED whatever it says, when it was cancelled. */
void fake_answer_end(struct provider_call *call, struct parlance_end end);

#endif
