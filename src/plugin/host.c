/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The services of the host that stand on the loop: clock, timers, descriptors, threads; the log and
 * the counters. Whatever is given to a plugin remembers the instance and is in one of its lists.
 */
#include "plugin/host.h"

#include "base/clock.h"
#include "base/err.h"
#include "base/id.h"
#include "loop/io.h"
#include "loop/offload.h"

#define COUNTERS_MAX 64 /* different names an instance */

struct parlance_timer {
	struct list node;
	struct timer timer;
	struct instance *inst;
	parlance_fn *fn;
	void *arg;
};

struct parlance_watch {
	struct list node;
	struct io *io;
	parlance_watch_fn *fn;
	void *arg;
};

struct parlance_work {
	struct list node;
	struct instance *inst; /* NULL: nobody waits for it any more */
	struct offload *offload;
	parlance_fn *work;
	parlance_work_done_fn *done;
	void *arg;
};

struct letter {
	struct instance *inst;
	parlance_fn *fn;
	void *arg;
};

struct counter {
	struct list node;
	char name[64];
	uint64_t n;
};

/* Clock, log, counters */

static void host_log(void *ctx, int level, const char *text)
{
	const struct instance *inst = ctx;

	if (level < PARLANCE_LOG_ERR)
		level = PARLANCE_LOG_ERR;
	if (level > PARLANCE_LOG_DEBUG)
		level = PARLANCE_LOG_DEBUG;
	if (log_enabled((enum log_level)level))
		log_line((enum log_level)level, inst->label, NULL, "%s", text ? text : "");
}

static uint64_t host_mono_ms(void *ctx)
{
	(void)ctx;
	return clock_mono_ms();
}

static int64_t host_wall_ms(void *ctx)
{
	(void)ctx;
	return clock_wall_ms();
}

static void host_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	id_random(out, len);
}

static bool is_counter_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len < sizeof(((struct counter *)0)->name) &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz_") == len;
}

static struct counter *find_counter(const struct instance *inst, const char *name)
{
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (node, next, &inst->counters) {
		struct counter *counter = CONTAINER_OF(node, struct counter, node);

		if (strcmp(counter->name, name) == 0)
			return counter;
	}
	return NULL;
}

static void host_count(void *ctx, const char *name, uint64_t n)
{
	struct instance *inst = ctx;
	struct counter *counter = name ? find_counter(inst, name) : NULL;

	if (!counter) {
		if (!name || !is_counter_name(name) || inst->n_counters == COUNTERS_MAX) {
			instance_fault(inst, "it counts under a name that is not [a-z_]+, or under "
					     "too many names");
			return;
		}
		counter = calloc(1, sizeof(*counter));
		if (!counter)
			return; /* a number that is missing is no reason to fail */
		(void)snprintf(counter->name, sizeof(counter->name), "%s", name);
		list_push_back(&inst->counters, &counter->node);
		inst->n_counters++;
	}
	counter->n += n;
}

void plugins_counters(const struct plugins *set,
		      void (*each)(void *arg, const char *instance, const char *name, uint64_t n),
		      void *arg)
{
	struct list *inst_node;
	struct list *inst_next;
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (inst_node, inst_next, &set->instances) {
		const struct instance *inst = CONTAINER_OF(inst_node, struct instance, node);

		LIST_FOREACH_SAFE (node, next, &inst->counters) {
			const struct counter *counter = CONTAINER_OF(node, struct counter, node);

			each(arg, inst->label, counter->name, counter->n);
		}
	}
}

/* Timers */

static void on_timer(struct timer *timer)
{
	const struct parlance_timer *t = CONTAINER_OF(timer, struct parlance_timer, timer);

	/* It may free the timer. */
	t->fn(t->arg);
}

static struct parlance_timer *host_timer_new(void *ctx, parlance_fn *fn, void *arg)
{
	struct instance *inst = ctx;
	struct parlance_timer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->inst = inst;
	t->fn = fn;
	t->arg = arg;
	list_push_back(&inst->timers, &t->node);
	return t;
}

static void host_timer_start(struct parlance_timer *t, uint64_t delay_ms)
{
	loop_timer_start(t->inst->set->loop, &t->timer, delay_ms, on_timer);
}

static void host_timer_stop(struct parlance_timer *t)
{
	timer_stop(&t->timer);
}

static void host_timer_free(struct parlance_timer *t)
{
	if (!t)
		return;
	timer_stop(&t->timer);
	list_remove(&t->node);
	free(t);
}

/* Descriptors */

static unsigned io_of(unsigned events)
{
	return (events & PARLANCE_IO_READ ? (unsigned)IO_READ : 0) |
	       (events & PARLANCE_IO_WRITE ? (unsigned)IO_WRITE : 0);
}

static void on_io(struct io *io, unsigned int events, void *arg)
{
	const struct parlance_watch *w = arg;

	(void)io;
	w->fn(w->arg, (events & IO_READ ? (unsigned)PARLANCE_IO_READ : 0) |
			      (events & IO_WRITE ? (unsigned)PARLANCE_IO_WRITE : 0));
}

static struct parlance_watch *host_watch_new(void *ctx, int fd, unsigned events,
					     parlance_watch_fn *fn, void *arg)
{
	struct instance *inst = ctx;
	struct parlance_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->fn = fn;
	w->arg = arg;
	if (io_open(&w->io, inst->set->loop, fd, io_of(events), on_io, w)) {
		free(w);
		return NULL;
	}
	list_push_back(&inst->watches, &w->node);
	return w;
}

static void host_watch_set(struct parlance_watch *w, unsigned events)
{
	io_set(w->io, io_of(events));
}

static void host_watch_free(struct parlance_watch *w)
{
	if (!w)
		return;
	io_close(&w->io);
	list_remove(&w->node);
	free(w);
}

/* Threads */

static void on_letter(void *arg)
{
	struct letter *letter = arg;

	/* What comes after the plugin's end has nobody to come to. */
	if (!letter->inst->over)
		letter->fn(letter->arg);
	free(letter);
}

static int host_post(void *ctx, parlance_fn *fn, void *arg)
{
	struct instance *inst = ctx;
	struct letter *letter = calloc(1, sizeof(*letter));
	int rc = -1;

	if (!letter)
		return -1;
	*letter = (struct letter){ inst, fn, arg };
	(void)pthread_mutex_lock(&inst->post_lock);
	if (inst->post)
		rc = post_send(inst->post, on_letter, letter);
	(void)pthread_mutex_unlock(&inst->post_lock);
	if (rc) {
		free(letter);
		return -1;
	}
	return 0;
}

static void on_work(void *arg)
{
	const struct parlance_work *w = arg;

	w->work(w->arg);
}

static void on_work_done(void *arg, int status)
{
	struct parlance_work *w = arg;
	struct instance *inst = w->inst;

	list_remove(&w->node);
	if (inst) {
		w->done(w->arg, status == PARLANCE_ECANCELED);
		plugins_progress(inst->set);
	}
	free(w);
}

static struct parlance_work *host_offload(void *ctx, parlance_fn *work,
					  parlance_work_done_fn *done, void *arg)
{
	struct instance *inst = ctx;
	struct parlance_work *w;

	/* The end waits for all work; it need not be longer. */
	if (!plugins_running(inst->set))
		return NULL;
	w = calloc(1, sizeof(*w));
	if (!w)
		return NULL;
	*w = (struct parlance_work){ .inst = inst, .work = work, .done = done, .arg = arg };
	if (offload_run(inst->set->loop, &w->offload, on_work, on_work_done, w)) {
		free(w);
		return NULL;
	}
	list_push_back(&inst->works, &w->node);
	return w;
}

static void host_offload_cancel(struct parlance_work *w)
{
	offload_cancel(w->offload);
}

void host_cancel_works(struct instance *inst)
{
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (node, next, &inst->works)
		host_offload_cancel(CONTAINER_OF(node, struct parlance_work, node));
}

void host_abandon_works(struct instance *inst)
{
	struct list *node;

	while ((node = list_pop_front(&inst->works)))
		CONTAINER_OF(node, struct parlance_work, node)->inst = NULL;
}

/* Begin and end */

static const void *sink_of(uint32_t kind)
{
	if (kind == PARLANCE_AUTH)
		return &auth_sink;
	if (kind == PARLANCE_PROVIDER)
		return &provider_sink;
	return &storage_sink;
}

int host_init(struct instance *inst)
{
	inst->host = (struct parlance_host){
		.size = sizeof(inst->host),
		.abi_major = PARLANCE_ABI_MAJOR,
		.abi_minor = PARLANCE_ABI_MINOR,
		.ctx = inst,
		.instance = inst->name,
		.sink = sink_of(inst->module->desc->kind),
		.log = host_log,
		.mono_ms = host_mono_ms,
		.wall_ms = host_wall_ms,
		.random = host_random,
		.timer_new = host_timer_new,
		.timer_start = host_timer_start,
		.timer_stop = host_timer_stop,
		.timer_free = host_timer_free,
		.watch_new = host_watch_new,
		.watch_set = host_watch_set,
		.watch_free = host_watch_free,
		.post = host_post,
		.offload = host_offload,
		.offload_cancel = host_offload_cancel,
		.secret = host_secret,
		.count = host_count,
	};
	host_http_init(&inst->host);
	host_chat_init(&inst->host);
	return post_new(&inst->post, inst->set->loop);
}

void host_fini(struct instance *inst)
{
	struct post *post;
	struct list *node;
	size_t n_requests;
	size_t n = 0;

	inst->over = true;
	CHECK(list_empty(&inst->works));
	while ((node = list_pop_front(&inst->timers))) {
		host_timer_free(CONTAINER_OF(node, struct parlance_timer, node));
		n++;
	}
	while ((node = list_pop_front(&inst->watches))) {
		host_watch_free(CONTAINER_OF(node, struct parlance_watch, node));
		n++;
	}
	n_requests = host_http_fini(inst);
	if (n || n_requests)
		instance_fault(inst, "at its end it has left %zu timers or watches and %zu "
				     "requests behind; they were freed",
			       n, n_requests);
	while ((node = list_pop_front(&inst->counters)))
		free(CONTAINER_OF(node, struct counter, node));
	inst->n_counters = 0;
	host_secret_fini(inst);
	(void)pthread_mutex_lock(&inst->post_lock);
	post = inst->post;
	inst->post = NULL;
	(void)pthread_mutex_unlock(&inst->post_lock);
	post_free(&post);
}
