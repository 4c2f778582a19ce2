/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The auth suite itself: a plugin that answers later, by a timer or from a thread, must pass it;
 * with each of its faults it must fail.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract_auth.h"

enum fault {
	FAULT_NONE = 1,
	FAULT_TWICE,      /* answers a second time */
	FAULT_CANCEL,     /* does not complete what is cancelled */
	FAULT_LEAVE,      /* leaves a timer behind */
	FAULT_LEAVE_FAIL, /* and when create fails */
	FAULT_LOG,        /* logs the token */
	FAULT_DETAIL,     /* shows the token */
	FAULT_DENY,       /* denies when memory is short */
	FAULT_ADMIT,      /* admits everybody */
	FAULT_WRONG_USER,
	FAULTS,
};

static enum fault fault = FAULT_NONE;

struct later {
	const struct parlance_host *host;
	const struct parlance_auth_sink *sink;
	struct parlance_timer *timer;
	bool thread;
};

struct job {
	struct later *self;
	struct parlance_auth_op *op;
	struct parlance_timer *timer;
	struct parlance_work *work;
	struct parlance_str token;
	bool good;
};

struct options {
	bool thread;
};

static const struct parlance_option option_table[] = {
	{ .name = "thread", .type = PARLANCE_OPTION_BOOL, .def = "no",
	  .doc = "Answers from a thread.", .offset = offsetof(struct options, thread) },
};

static bool is(struct parlance_str a, const char *b)
{
	return a.len == strlen(b) && memcmp(a.p, b, a.len) == 0;
}

static void finish(struct job *job, bool cancelled)
{
	const struct parlance_identity identity = {
		.size = sizeof(identity),
		.subject = { fault == FAULT_WRONG_USER ? "u2" : "u1", 2 },
	};
	const struct parlance_auth_sink *sink = job->self->sink;

	for (int i = 0; i < (fault == FAULT_TWICE ? 2 : 1); i++) {
		if (cancelled)
			sink->reject(job->op, PARLANCE_AUTH_TEMPORARY, "cancelled");
		else if (job->good || fault == FAULT_ADMIT)
			sink->accept(job->op, &identity);
		else
			sink->reject(job->op, PARLANCE_AUTH_DENIED,
				     fault == FAULT_DETAIL && job->token.len > 20 &&
						     memchr(job->token.p, '-', job->token.len)
					     ? "it is bad-token-of-twenty-bytes"
					     : "it is bad");
	}
	job->self->host->timer_free(job->timer);
	free(job);
}

static void on_timer(void *arg)
{
	finish(arg, false);
}

static void judge(void *arg)
{
	struct job *job = arg;

	job->good = is(job->token, "good-token-of-twenty-bytes");
}

static void on_done(void *arg, bool cancelled)
{
	finish(arg, cancelled);
}

static void verify(void *self_, struct parlance_auth_op *op,
		   const struct parlance_auth_request *request)
{
	struct later *self = self_;
	struct job *job = calloc(1, sizeof(*job));

	CHECK(job);
	*job = (struct job){ .self = self, .op = op, .token = request->token };
	op->plugin = job;
	if (fault == FAULT_LOG && is(request->token, "good-token-of-twenty-bytes"))
		self->host->log(self->host->ctx, PARLANCE_LOG_INFO, "good-token-of-twenty-bytes");
	if (self->thread) {
		job->work = self->host->offload(self->host->ctx, judge, on_done, job);
		if (job->work)
			return;
	} else {
		judge(job);
		job->timer = self->host->timer_new(self->host->ctx, on_timer, job);
		if (job->timer) {
			self->host->timer_start(job->timer, 1);
			return;
		}
	}
	self->sink->reject(op, fault == FAULT_DENY ? PARLANCE_AUTH_DENIED : PARLANCE_AUTH_TEMPORARY,
			   "out of memory");
	free(job);
}

static void cancel(void *self_, struct parlance_auth_op *op)
{
	struct later *self = self_;
	struct job *job = op->plugin;

	if (fault == FAULT_CANCEL) {
		if (job->timer)
			self->host->timer_stop(job->timer);
		return;
	}
	if (job->work)
		self->host->offload_cancel(job->work);
	else
		finish(job, true);
}

static int create(void **out, const struct parlance_host *host, const void *options, char *err,
		  size_t err_size)
{
	struct later *self = calloc(1, sizeof(*self));
	struct parlance_timer *second;

	CHECK(self);
	self->host = host;
	self->sink = host->sink;
	self->thread = ((const struct options *)options)->thread;
	self->timer = host->timer_new(host->ctx, on_timer, NULL);
	second = self->timer ? host->timer_new(host->ctx, on_timer, NULL) : NULL;
	if (!second) {
		if (fault != FAULT_LEAVE_FAIL)
			host->timer_free(self->timer);
		free(self);
		(void)snprintf(err, err_size, "out of memory");
		return -1;
	}
	host->timer_free(second);
	*out = self;
	return 0;
}

static void destroy(void *self_)
{
	struct later *self = self_;

	if (fault != FAULT_LEAVE)
		self->host->timer_free(self->timer);
	free(self);
}

static const struct parlance_auth_ops ops = { sizeof(ops), verify, cancel };

static const struct parlance_plugin plugin = {
	.magic = PARLANCE_PLUGIN_MAGIC,
	.abi_major = PARLANCE_ABI_MAJOR,
	.abi_minor = PARLANCE_ABI_MINOR,
	.size = sizeof(plugin),
	.kind = PARLANCE_AUTH,
	.name = "auth_later",
	.version = "0.1.0",
	.licence = "MIT",
	.doc = "Takes its time.",
	.options = option_table,
	.n_options = 1,
	.option_size = sizeof(option_table[0]),
	.options_size = sizeof(struct options),
	.ops = &ops,
	.create = create,
	.destroy = destroy,
};

static const struct parlance_plugin *get_plugin(void)
{
	return &plugin;
}

static int run(const char *thread, uint64_t deadline_ms)
{
	const struct mock_option options[] = { { "thread", thread } };
	const struct auth_contract contract = {
		.plugin = get_plugin,
		.options = options,
		.n_options = ARRAY_LEN(options),
		.good = "good-token-of-twenty-bytes",
		.user = "u1",
		.bad = "bad-token-of-twenty-bytes",
		.deadline_ms = deadline_ms,
	};

	return auth_contract_run(&contract);
}

/* The suite in a process of its own, which says nothing: it must fail. */
static int fails_with(enum fault which)
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		(void)dup2(null, STDOUT_FILENO);
		(void)dup2(null, STDERR_FILENO);
		fault = which;
		_exit(run("no", 500) ? 1 : 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		(void)fprintf(stderr, "the suite passes a plugin with the fault %d\n", (int)which);
		return 1;
	}
	return 0;
}

int main(void)
{
	int failed = 0;

	/* First, while there are no threads. */
	for (int which = FAULT_TWICE; which < FAULTS; which++)
		failed += fails_with((enum fault)which);
	failed += run("no", 0);
	failed += run("yes", 0);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
