/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What every provider plugin must do, and the means to test more: an instance on a mock host, and
 * answers whose deltas and ends are watched. Whatever a plugin may never do (a delta after the end
 * or after cancel, text that is not UTF-8, a second end) ends the program with a line on standard
 * error. One rig at a time.
 */
#ifndef PARLANCE_TESTS_CONTRACT_CONTRACT_PROVIDER_H
#define PARLANCE_TESTS_CONTRACT_CONTRACT_PROVIDER_H

#include "base/strbuf.h"
#include "parlance/provider.h"
#include "plugin/mock_host.h"

struct http_client_config;

#define ANSWER_DEADLINE_MS 20000 /* of everything that must happen */

struct provider_contract {
	parlance_plugin_fn *plugin;
	const struct mock_option *options;
	size_t n_options;
	bool http; /* the plugin needs a host with HTTP */
	/* What a user says to get: */
	const char *normal;  /* at least 8 deltas, the same text each time; STOP */
	const char *endless; /* an answer that does not end within the deadline; deltas at once */
	const char *failing; /* `failing_finish`, the same after as many deltas each time */
	int failing_finish;
};

/** Makes the host and an instance; aborts when that fails. */
void rig_begin(const struct provider_contract *contract);
/** Ends both; everything must have ended. */
void rig_end(void);
struct mock_host *rig_host(void);

/* An answer, and what became of it. */
struct answer {
	struct parlance_generation handle;
	struct parlance_message message;
	struct parlance_prompt prompt;
	/* To be set before answer_start: */
	bool again;        /* say AGAIN to each delta; resume at the end of the turn */
	bool hold;         /* and do not resume: answer_resume does */
	size_t hold_at;    /* hold from this delta on; 0: never */
	size_t cancel_at;  /* cancel from the turn's end of this delta, 1 is the first; 0: never */
	/* What came: */
	struct strbuf text;
	struct strbuf reasoning;
	size_t deltas;
	size_t ends;
	bool paused;    /* AGAIN was said, resume has not been called */
	bool cancelled; /* cancel was called */
	int finish;
	char detail[512];
	char model[200];
	bool has_usage;
	struct parlance_usage usage;
	uint64_t retry_after_ms;
};

/** An answer to `say`, which is borrowed; not begun. */
void answer_init(struct answer *answer, const char *say);
void answer_fini(struct answer *answer);
void answer_start(struct answer *answer);
void answer_resume(struct answer *answer);
void answer_cancel(struct answer *answer);

/** Runs until it has ended, and a little longer: it must have ended once. */
void answer_wait(struct answer *answer);
/** Runs until there were so many deltas. */
void answer_wait_deltas(struct answer *answer, size_t n);

/** answer_init, answer_start and answer_wait. */
void answer_get(struct answer *answer, const char *say);

/** Runs the suite. The number of tests that failed. */
int provider_contract_run(const struct provider_contract *contract);

#endif
