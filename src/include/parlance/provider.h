/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Provider plugins generate answers. plugin.h has the contract (R1 to R5).
 */
#ifndef PARLANCE_PROVIDER_H
#define PARLANCE_PROVIDER_H

#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One answer being generated. The plugin may keep a pointer of its own in it. */
struct parlance_generation {
	void *plugin;
};

enum parlance_role {
	PARLANCE_ROLE_SYSTEM = 1,
	PARLANCE_ROLE_USER,
	PARLANCE_ROLE_ASSISTANT,
};

struct parlance_message {
	int role; /* enum parlance_role */
	struct parlance_str text;
};

/* Borrowed until the generation ends. */
struct parlance_prompt {
	uint32_t size;
	struct parlance_str model; /* empty: the plugin's default */
	const struct parlance_message *messages; /* oldest first; the last is the user's */
	size_t n_messages;
	struct parlance_str options; /* what the client asked for: a JSON object, or empty */
	struct parlance_str user;    /* stands for the user without naming him, or empty */
};

enum parlance_delta {
	PARLANCE_DELTA_TEXT = 1,
	PARLANCE_DELTA_REASONING,
	PARLANCE_DELTA_TOOL_CALL,
};

enum parlance_flow {
	PARLANCE_FLOW_OK = 1,
	PARLANCE_FLOW_AGAIN, /* the delta was taken; give no more until resume is called (a few that
			      * are on their way do no harm) */
};

enum parlance_finish {
	PARLANCE_FINISH_STOP = 1, /* the answer is complete */
	PARLANCE_FINISH_LENGTH,   /* over the limit of tokens */
	PARLANCE_FINISH_FILTER,   /* the service's content filter */
	PARLANCE_FINISH_CANCELED,
	/* Failures. After a delta the text so far is kept. */
	PARLANCE_FINISH_RATE_LIMITED, /* 429: see retry_after_ms */
	PARLANCE_FINISH_UNAVAILABLE,  /* no connection, 5xx */
	PARLANCE_FINISH_TIMEOUT,
	PARLANCE_FINISH_CUT,          /* the answer broke off */
	PARLANCE_FINISH_REFUSED,      /* the service does not accept the request: key, model, size */
	PARLANCE_FINISH_PROTOCOL,     /* the service answered with nonsense */
	PARLANCE_FINISH_INTERNAL,     /* no memory */
};

struct parlance_usage {
	uint32_t size;
	int64_t prompt_tokens;     /* -1: not known */
	int64_t completion_tokens; /* -1: not known */
	int64_t total_tokens;      /* -1: not known */
};

/* Borrowed for the call. */
struct parlance_end {
	uint32_t size;
	int finish;                 /* enum parlance_finish */
	const char *detail;         /* terminated text for the log, or NULL */
	struct parlance_str model;  /* that answered, or empty */
	const struct parlance_usage *usage; /* or NULL */
	uint64_t retry_after_ms;    /* 0: not said */
};

struct parlance_model {
	uint32_t size;
	const char *id;
	const char *title;
};

struct parlance_provider_ops {
	uint32_t size;
	/** Begins an answer. Deltas and the end come through the sink, from within or later. */
	void (*start)(void *self, struct parlance_generation *generation,
		      const struct parlance_prompt *prompt);
	/** After PARLANCE_FLOW_AGAIN: go on. */
	void (*resume)(void *self, struct parlance_generation *generation);
	/** Abort the request upstream at once, give no more deltas, and end soon. */
	void (*cancel)(void *self, struct parlance_generation *generation);
	/** The models that can be asked for, one by one; at least one. The first is the default. */
	void (*models)(void *self, void (*each)(void *arg, const struct parlance_model *model),
		       void *arg);
};

/* parlance_host.sink of a provider plugin. */
struct parlance_provider_sink {
	uint32_t size;
	/** A piece of the answer: whole UTF-8 characters, not empty. */
	enum parlance_flow (*delta)(struct parlance_generation *generation, enum parlance_delta kind,
				    struct parlance_str text);
	/** The last call for a generation. */
	void (*end)(struct parlance_generation *generation, const struct parlance_end *end);
};

#ifdef __cplusplus
}
#endif
#endif
