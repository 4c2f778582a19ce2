/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A host for tests of plugins: every function of struct parlance_host on the real loop, with what a
 * test wants to see and to break. A test goes through
 *
 *	m = mock_new(&config); mock_create(m, …); MOCK_CALL(m, …); mock_run_until(m, …);
 *	mock_destroy(m); mock_free(&m);
 *
 * What a plugin must not do ends the program with a line on standard error: leaving something
 * behind, using the host from a foreign thread. So does what a test must not do: calling the plugin
 * from inside one of its own calls (R1). HTTP is in mock_host_http.h, so that plugins without it
 * need no libcurl. Loop thread, the one that called mock_new.
 */
#ifndef PARLANCE_TESTS_PLUGIN_MOCK_HOST_H
#define PARLANCE_TESTS_PLUGIN_MOCK_HOST_H

#include "base/check.h"
#include "loop/loop.h"
#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An option as it would stand in the configuration. */
struct mock_option {
	const char *name;
	const char *value;
};

/* Who is there for the chat's functions. conversation may be NULL. */
struct mock_socket {
	const char *socket;
	const char *user;
	const char *conversation;
};

struct mock_config {
	parlance_plugin_fn *plugin; /* linked with the test */
	const char *path;           /* or a shared object, where plugin is NULL */
	const void *sink;           /* of the plugin's kind; borrowed */
	const char *instance;       /* NULL: "default" */
};

/* Functions of the host that can fail, which a test can have fail. */
enum mock_call {
	MOCK_TIMER_NEW = 1,
	MOCK_WATCH_NEW,
	MOCK_POST,
	MOCK_OFFLOAD,
	MOCK_HTTP_START,
	MOCK_SECRET,
	MOCK_BROADCAST,
	MOCK_CALLS,
};

struct mock_private;

/* The fields are for reading, but for those that say otherwise. */
struct mock_host {
	struct parlance_host host;
	struct loop *loop;
	const struct parlance_plugin *plugin;
	void *self;          /* NULL: no instance */
	const void *options; /* the instance's */
	char err[512];       /* of the last create or reload that failed */

	/* What the plugin holds. */
	size_t live_timers;
	size_t live_watches;
	size_t live_works;
	size_t live_https; /* cancelled ones too, until they are done */

	size_t calls[MOCK_CALLS]; /* how often each was called, failures too */

	int64_t wall_ms; /* set it to stop the wall clock there; 0: the system's */
	const struct mock_socket *sockets; /* set them; borrowed */
	size_t n_sockets;

	struct mock_private *p;
};

/** Loads the plugin; never NULL. */
struct mock_host *mock_new(const struct mock_config *config);
/** Frees the host, which has no instance any more, and clears the pointer. Harmless on NULL. */
void mock_free(struct mock_host **m);

/** Fills the options from the defaults, the environment and the list, and makes the instance. 0; or
 * -1 with m->err: create's sentence, or that an option does not exist or has a bad value. After a
 * failure nothing may be left. */
MUST_USE int mock_create(struct mock_host *m, const struct mock_option *options, size_t n);
/** New options, all of them. 0; or -1 with m->err. */
MUST_USE int mock_reload(struct mock_host *m, const struct mock_option *options, size_t n);
/** Ends the instance, all operations of which have completed: cancels its works and waits for them,
 * calls destroy, and looks whether anything is left. */
void mock_destroy(struct mock_host *m);

/* Calls the plugin: MOCK_CALL(m, ops->verify(m->self, &op, &request)); R1 is checked. */
#define MOCK_CALL(m, ...)       \
	do {                    \
		mock_enter(m);  \
		__VA_ARGS__;    \
		mock_leave(m);  \
	} while (0)
void mock_enter(struct mock_host *m);
void mock_leave(struct mock_host *m);
/** True inside a call of the plugin: what wants to call it must use mock_defer. */
bool mock_inside(const struct mock_host *m);
/** Has fn(arg) called at the end of the turn. fn uses MOCK_CALL if it calls the plugin. */
void mock_defer(struct mock_host *m, parlance_fn *fn, void *arg);

/** Turns the loop until cond(arg) holds; false: deadline_ms is over and it does not. cond NULL: the
 * time is all. */
MUST_USE bool mock_run_until(struct mock_host *m, bool (*cond)(void *arg), void *arg,
			     uint64_t deadline_ms);
/** One turn of the loop, which does not wait. */
void mock_turn(struct mock_host *m);

/** The nth call from now on (1: the next one) fails; 0: none does. */
void mock_fail_at(struct mock_host *m, enum mock_call call, size_t nth);
/** For what is built on this: counts the call; true: it is the one to fail. */
MUST_USE bool mock_fails(struct mock_host *m, enum mock_call call);

/** All lines since the start or mock_log_clear, each "LEVEL text\n"; never NULL. */
const char *mock_log(const struct mock_host *m);
bool mock_log_has(const struct mock_host *m, const char *text);
void mock_log_clear(struct mock_host *m);

uint64_t mock_counter(const struct mock_host *m, const char *name);

/** What was broadcast, each "user ID EVENT JSON\n" or "conversation ID EVENT JSON\n". */
const char *mock_broadcasts(const struct mock_host *m);

/** Ends the program with a line on standard error. */
NORETURN void mock_abort(const char *fmt, ...) PRINTF_LIKE(1, 2);
/** Aborts off the loop's thread. */
void mock_on_thread(const struct mock_host *m, const char *function);

/* For mock_host_http.c: end is called by mock_destroy (over false: returns how many requests the
 * plugin has not cancelled; from then on it is told nothing) and by mock_free (over true). */
void mock_set_http_end(struct mock_host *m, size_t (*end)(struct mock_host *m, bool over));

#ifdef __cplusplus
}
#endif
#endif
