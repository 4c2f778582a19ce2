/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The mock host's life: loading, making and ending an instance, turning the loop. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mock_private.h"

#define STRUGGLE_MS 10000 /* works that are cancelled must have ended by then */

void mock_abort(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fputs("mock host: ", stderr);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	abort();
}

void mock_on_thread(const struct mock_host *m, const char *function)
{
	if (!pthread_equal(m->p->thread, pthread_self()))
		mock_abort("%s was called off the loop's thread", function);
}

/* Calls of the plugin */

void mock_enter(struct mock_host *m)
{
	mock_on_thread(m, "the plugin");
	if (m->p->inside)
		mock_abort("the plugin is called from inside its own call (R1)");
	m->p->inside = true;
}

void mock_leave(struct mock_host *m)
{
	if (!m->p->inside)
		mock_abort("mock_leave without mock_enter");
	m->p->inside = false;
}

bool mock_inside(const struct mock_host *m)
{
	return m->p->inside;
}

struct deferred {
	struct list node;
	parlance_fn *fn;
	void *arg;
};

static void on_deferred(struct loop_task *task)
{
	struct mock_private *p = CONTAINER_OF(task, struct mock_private, defer_task);
	struct list *node;

	while ((node = list_pop_front(&p->deferred))) {
		struct deferred d = *CONTAINER_OF(node, struct deferred, node);

		free(CONTAINER_OF(node, struct deferred, node));
		d.fn(d.arg);
	}
}

void mock_defer(struct mock_host *m, parlance_fn *fn, void *arg)
{
	struct deferred *d = calloc(1, sizeof(*d));

	CHECK(d);
	d->fn = fn;
	d->arg = arg;
	list_push_back(&m->p->deferred, &d->node);
	loop_defer(m->loop, &m->p->defer_task);
}

/* Failures */

void mock_fail_at(struct mock_host *m, enum mock_call call, size_t nth)
{
	m->p->fail_at[call] = nth ? m->calls[call] + nth : 0;
}

bool mock_fails(struct mock_host *m, enum mock_call call)
{
	return ++m->calls[call] == m->p->fail_at[call];
}

/* The loop */

/* Work of timers and tasks is done before the loop waits, and then nothing may come any more. So it
 * waits for so long at most, and the condition is looked at again. */
#define TICK_MS 5

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

bool mock_run_until(struct mock_host *m, bool (*cond)(void *arg), void *arg, uint64_t deadline_ms)
{
	uint64_t end_ms = uv_hrtime() / 1000000 + deadline_ms;
	bool met;

	uv_update_time(loop_native(m->loop));
	/* It also keeps the loop alive, which a timer of the wheel alone does not. */
	CHECK(uv_timer_start(&m->p->tick, on_tick, TICK_MS, TICK_MS) == 0);
	while (!(met = cond && cond(arg)) && uv_hrtime() / 1000000 < end_ms)
		(void)uv_run(loop_native(m->loop), UV_RUN_ONCE);
	(void)uv_timer_stop(&m->p->tick);
	return met;
}

void mock_turn(struct mock_host *m)
{
	(void)uv_timer_start(&m->p->tick, on_tick, TICK_MS, TICK_MS);
	(void)uv_run(loop_native(m->loop), UV_RUN_NOWAIT);
	(void)uv_timer_stop(&m->p->tick);
}

/* Begin */

static void load(struct mock_host *m, const struct mock_config *config)
{
	parlance_plugin_fn *fn = config->plugin;

	if (!fn) {
		void *symbol;

		m->p->handle = dlopen(config->path, RTLD_NOW | RTLD_LOCAL);
		if (!m->p->handle)
			mock_abort("%s", dlerror());
		symbol = dlsym(m->p->handle, "parlance_plugin_v1");
		if (!symbol)
			mock_abort("%s", dlerror());
		/* ISO C knows no such conversion, POSIX does. */
		memcpy(&fn, &symbol, sizeof(fn));
	}
	m->plugin = fn();
	if (!m->plugin || m->plugin->magic != PARLANCE_PLUGIN_MAGIC ||
	    m->plugin->abi_major != PARLANCE_ABI_MAJOR ||
	    m->plugin->size < sizeof(struct parlance_plugin) ||
	    m->plugin->option_size != sizeof(struct parlance_option))
		mock_abort("the plugin's descriptor is not one of this version");
}

struct mock_host *mock_new(const struct mock_config *config)
{
	struct mock_host *m = calloc(1, sizeof(*m));
	struct mock_private *p = calloc(1, sizeof(*p));

	CHECK(m && p);
	m->p = p;
	p->thread = pthread_self();
	p->defer_task.fn = on_deferred;
	list_init(&p->deferred);
	list_init(&p->timers);
	list_init(&p->watches);
	list_init(&p->works);
	list_init(&p->secrets);
	list_init(&p->counters);
	strbuf_init(&p->log, SIZE_MAX);
	strbuf_init(&p->broadcasts, SIZE_MAX);
	CHECK(pthread_mutex_init(&p->lock, NULL) == 0);
	CHECK(loop_new(&m->loop) == 0);
	CHECK(uv_timer_init(loop_native(m->loop), &p->tick) == 0);
	CHECK(post_new(&p->post, m->loop) == 0);
	load(m, config);
	mock_services(m);
	m->host.instance = config->instance ? config->instance : "default";
	m->host.sink = config->sink;
	return m;
}

void mock_set_http_end(struct mock_host *m, size_t (*end)(struct mock_host *m, bool over))
{
	m->p->http_end = end;
}

/* What the plugin has left. Works are waited for, they cannot be taken back. */
static void expect_nothing(struct mock_host *m, const char *after)
{
	size_t https = m->p->http_end ? m->p->http_end(m, false) : 0;

	if (m->live_timers || m->live_watches || m->live_works || https)
		mock_abort("%s has left %zu timers, %zu watches, %zu works, %zu requests", after,
			   m->live_timers, m->live_watches, m->live_works, https);
}

int mock_create(struct mock_host *m, const struct mock_option *options, size_t n)
{
	void *self = NULL;
	int rc;

	CHECK(!m->self);
	m->err[0] = '\0';
	m->p->options = mock_options_new(m->plugin, options, n, m->err, sizeof(m->err));
	if (!m->p->options)
		return -1;
	m->options = mock_options_values(m->p->options);
	(void)pthread_mutex_lock(&m->p->lock);
	m->p->over = false;
	(void)pthread_mutex_unlock(&m->p->lock);
	MOCK_CALL(m, rc = m->plugin->create(&self, &m->host, m->options, m->err, sizeof(m->err)));
	if (rc == 0) {
		if (!self)
			mock_abort("create returned 0 and no instance");
		m->self = self;
		return 0;
	}
	if (rc != -1 || !m->err[0])
		mock_abort("create failed with %d and the sentence \"%s\"", rc, m->err);
	expect_nothing(m, "create, which failed,");
	mock_over(m);
	return -1;
}

int mock_reload(struct mock_host *m, const struct mock_option *options, size_t n)
{
	struct mock_options *o;
	int rc;

	CHECK(m->self && m->plugin->reload);
	m->err[0] = '\0';
	o = mock_options_new(m->plugin, options, n, m->err, sizeof(m->err));
	if (!o)
		return -1;
	MOCK_CALL(m, rc = m->plugin->reload(m->self, mock_options_values(o), m->err,
					    sizeof(m->err)));
	if (rc != 0) {
		if (rc != -1 || !m->err[0])
			mock_abort("reload failed with %d and the sentence \"%s\"", rc, m->err);
		mock_options_free(&o);
		return -1;
	}
	mock_options_free(&m->p->options);
	m->p->options = o;
	m->options = mock_options_values(o);
	return 0;
}

/* End */

static bool no_works(void *arg)
{
	const struct mock_host *m = arg;

	return m->live_works == 0;
}

void mock_destroy(struct mock_host *m)
{
	CHECK(m->self);
	mock_cancel_works(m);
	if (!mock_run_until(m, no_works, m, STRUGGLE_MS))
		mock_abort("%zu works do not end", m->live_works);
	MOCK_CALL(m, m->plugin->destroy(m->self));
	m->self = NULL;
	expect_nothing(m, "destroy");
	mock_over(m);
}

void mock_over(struct mock_host *m)
{
	struct list *node;

	(void)pthread_mutex_lock(&m->p->lock);
	m->p->over = true;
	(void)pthread_mutex_unlock(&m->p->lock);
	mock_wipe_secrets(m);
	mock_options_free(&m->p->options);
	m->options = NULL;
	while ((node = list_pop_front(&m->p->counters)))
		free(CONTAINER_OF(node, struct mock_counter, node));
}

void mock_free(struct mock_host **mp)
{
	struct mock_host *m = *mp;
	struct mock_private *p;

	if (!m)
		return;
	*mp = NULL;
	p = m->p;
	CHECK(!m->self);
	if (p->http_end)
		(void)p->http_end(m, true);
	post_free(&p->post);
	uv_close((uv_handle_t *)&p->tick, NULL);
	loop_free(&m->loop);
	CHECK(list_empty(&p->deferred));
	strbuf_fini(&p->log);
	strbuf_fini(&p->broadcasts);
	(void)pthread_mutex_destroy(&p->lock);
	if (p->handle)
		(void)dlclose(p->handle);
	free(p);
	free(m);
}
