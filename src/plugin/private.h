/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the files of plugin share: the set of plugins, a shared object that was opened (module), an
 * instance that was made of it, and an operation that an instance was asked for. Loop thread.
 *
 * How rule R1 of parlance/plugin.h is kept: whatever is asked of a plugin is noted in the operation
 * and given to the plugin by a loop task, at the end of the turn. Nothing else calls a plugin, but
 * the events of the loop themselves (host.h) and plugins_create.
 */
#ifndef PARLANCE_PLUGIN_PRIVATE_H
#define PARLANCE_PLUGIN_PRIVATE_H

#include <pthread.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/log.h"
#include "base/slice.h"
#include "loop/loop.h"
#include "loop/post.h"
#include "parlance/auth.h"
#include "parlance/provider.h"
#include "parlance/storage.h"
#include "plugin/plugins.h"
#include "plugin/storage.h"

#ifdef __cplusplus
extern "C" {
#endif

#define DEFAULT_INSTANCE "default"

#define INSTANCE_ERR_MAX 1024 /* bytes of a plugin's sentence */

/** The size that a struct had when `last` was its last field: in version 1.0, for all structs so
 * far. */
#define SIZE_UP_TO(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))

/* A shared object. */
struct module {
	struct list node;
	void *handle;
	const struct parlance_plugin *desc;
	const char *path;
	struct conf_section section;
	const char **instances; /* the section's list of them; ends with NULL */
	size_t n_instances;
	bool busy; /* a thread may still run its code: never closed */
};

struct model {
	const char *id; /* as the plugin says it */
	const char *title;
};

struct instance {
	struct list node;
	struct plugins *set;
	struct module *module;
	const char *name;  /* "default", or as in the configuration */
	const char *label; /* "provider_openai", "provider_openai:local": for the log */
	void *self;
	/* What the plugin has of the configuration, which changes by reload alone. */
	struct arena options_arena;
	const void *options;
	bool made;       /* create was called with success, destroy was not called yet */
	bool over;       /* the plugin is not to be called any more */
	unsigned inside; /* calls of ours that it is in, other than for events of the loop */
	struct parlance_host host;
	pthread_mutex_t post_lock; /* of `post`, which is NULL before and after the plugin's life */
	struct post *post;
	struct log_rate fault_rate;

	/* What it holds of the host's. */
	struct list timers;
	struct list watches;
	struct list works;
	struct list requests;
	struct list secrets;
	struct list counters;
	size_t n_counters;

	struct list ops;    /* that it was asked for, or will be at the end of the turn */
	struct list graves; /* ops that are over, the oldest first: see op_retire */
	size_t n_graves;

	/* Storage */
	bool ready;
	int64_t number; /* for set_instance */
	struct loop_task number_task;

	/* Provider: the models as of the last time it was asked. */
	struct arena models_arena;
	struct model *models;
	size_t n_models;
	struct loop_task models_task;
};

enum plugins_state {
	PLUGINS_OPEN = 1, /* the shared objects */
	PLUGINS_MADE,     /* the instances, or some of them */
	PLUGINS_ENDING,   /* operations are being cancelled */
	PLUGINS_CLOSING,  /* instances are destroyed, their HTTP requests are not gone yet */
	PLUGINS_GONE,
};

struct plugins {
	enum plugins_state state;
	struct arena arena;
	struct list modules;
	struct list instances; /* in the order of the list in the configuration */
	const struct conf_section **sections;
	size_t n_sections;
	struct loop *loop;
	struct http_client *client;
	struct instance *auth;
	struct instance *storage;
	struct instance *provider; /* the first one */
	struct list homeless;      /* ops for which there is no plugin */
	size_t orphans;            /* HTTP requests of instances that are gone */
	struct loop_task drain_task;
	struct loop_task end_task;
	struct timer end_timer;
	bool overdue; /* the time for operations to end is up */
	void (*done)(void *arg);
	void *done_arg;
	const struct plugins_chat *chat;
	void *chat_ctx;
	const struct storage_listener *listener;
	void *listener_ctx;
};

/** An empty set. NULL: out of memory. */
MUST_USE struct plugins *plugins_new(void);

/** Takes in a shared object whose descriptor was checked; the handle (NULL in tests) is the set's
 * even on failure. NULL: out of memory. */
MUST_USE struct module *plugins_add_module(struct plugins *set, void *handle,
					   const struct parlance_plugin *desc, const char *path);

/** Enters an instance of it. 0, PARLANCE_EEXIST (there is one of that name, or there may be only
 * one of this kind; errors has a sentence), PARLANCE_ENOMEM. */
MUST_USE int plugins_add_instance(struct plugins *set, struct module *module, const char *name,
				  struct strbuf *errors);

/** Makes the tables for plugins_sections. 0 or PARLANCE_ENOMEM. */
MUST_USE int plugins_make_sections(struct plugins *set);

/** Looks whether all is over, at the end of the turn; when the set is being ended. */
void plugins_progress(struct plugins *set);

/** Writes a warning that names the plugin and says what it did wrong; not too many. */
void instance_fault(struct instance *inst, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Operations (ops.c) */

enum op_state {
	OP_QUEUED = 1, /* for the end of the turn; the plugin does not know of it */
	OP_RUNNING,    /* the plugin has it */
	OP_ENDED,      /* the plugin has completed it, or never got it */
	OP_DEAD,
};

/* Why an asker gets an answer. */
enum op_reason {
	OP_COMPLETED = 1, /* the plugin's answer */
	OP_REFUSED,       /* the plugin's answer is of no use; op->detail says why */
	OP_TIMED_OUT,
	OP_CLOSED,    /* the set is being ended, and the plugin has not completed it */
	OP_NOT_BEGUN, /* the plugin never got it */
	OP_NO_PLUGIN,
};

struct op;

struct op_kind {
	/** The instance that gets it, asked for at the end of the turn; NULL: that of op_start. */
	struct instance *(*choose)(struct op *op);
	void (*begin)(struct op *op);
	void (*cancel)(struct op *op);
	void (*resume)(struct op *op); /* may be NULL */
	/** Tells the asker; called once. */
	void (*answer)(struct op *op, enum op_reason reason);
	/** Frees what the op holds, not the op. */
	void (*release)(struct op *op);
};

/* The beginning of each kind's operation. Allocated by its kind, freed by ops.c. */
struct op {
	struct list node;
	const struct op_kind *kind;
	struct plugins *set;
	struct instance *inst; /* NULL: no plugin for it */
	enum op_state state;
	struct loop_task task;
	struct timer deadline;
	const char *detail;   /* with OP_REFUSED; static text */
	bool answered;        /* the asker has its answer; what the plugin says is dropped */
	bool refused;         /* the answer is to be OP_REFUSED */
	bool cancel_wanted;   /* by the host */
	bool cancel_given;    /* to the plugin */
	bool resume_wanted;
};

/** Begins an operation: it goes to the plugin at the end of the turn. inst may be NULL. */
void op_start(struct op *op, const struct op_kind *kind, struct plugins *set,
	      struct instance *inst, uint64_t timeout_ms);

/** Has the plugin cancel it, at the end of the turn. Harmless when repeated. */
void op_cancel(struct op *op);

/** As op_cancel; the asker gets an answer after patience_ms even if the plugin does not end it. */
void op_cancel_within(struct op *op, uint64_t patience_ms);

/** Has the plugin go on, at the end of the turn. */
void op_resume(struct op *op);

/** For a sink: true when the plugin may say something about the op; otherwise it was completed
 * before, which is logged. */
MUST_USE bool op_may_speak(struct op *op, const char *what);

/** For a sink, after op_may_speak: the plugin has completed it. The asker is told now if `now` and
 * the plugin is not in a call of ours, else at the end of the turn. */
void op_complete(struct op *op, bool now);

/** True when op_complete(op, true) would tell the asker at once. */
bool op_is_direct(const struct op *op);

/** What the plugin said is of no use, and it must not go on: the asker gets OP_REFUSED at the end
 * of the turn, the plugin is told to cancel. detail: static text. */
void op_refuse(struct op *op, const char *detail);

/** Tells the asker now, if he has not been told. */
void op_answer(struct op *op, enum op_reason reason);

/** Frees the ops of an instance that is gone. */
void op_free_all(struct instance *inst);

/** What stands before the slash of the full name of a provider's model. */
const char *provider_name(const struct instance *inst);

/** True when the set takes requests. */
static inline bool plugins_running(const struct plugins *set)
{
	return set->state == PLUGINS_MADE;
}

/* The sinks (auth.c, provider.c, storage.c) */
extern const struct parlance_auth_sink auth_sink;
extern const struct parlance_provider_sink provider_sink;
extern const struct parlance_storage_sink storage_sink;

/** Asks a provider for its models again (from the loop, not from inside a plugin). */
void provider_read_models(struct instance *inst);

/** Gives the storage its number at the end of the turn. */
void storage_number_task(struct loop_task *task);
void provider_models_task(struct loop_task *task);

static inline struct parlance_str to_str(struct slice s)
{
	struct parlance_str out;

	out.p = s.p;
	out.len = s.len;
	return out;
}

static inline struct slice to_slice(struct parlance_str s)
{
	return slice_of(s.p, s.len);
}

#ifdef __cplusplus
}
#endif
#endif
