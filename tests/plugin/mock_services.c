/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The mock host's services: what struct parlance_host points to, but for HTTP. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "mock_private.h"
#include "base/clock.h"
#include "loop/io.h"
#include "loop/offload.h"

struct parlance_timer {
	struct list node;
	struct timer timer;
	struct mock_host *m;
	parlance_fn *fn;
	void *arg;
};

struct parlance_watch {
	struct list node;
	struct mock_host *m;
	struct io *io;
	parlance_watch_fn *fn;
	void *arg;
};

struct parlance_work {
	struct list node;
	struct mock_host *m;
	struct offload *offload;
	parlance_fn *work;
	parlance_work_done_fn *done;
	void *arg;
};

struct letter {
	struct mock_host *m;
	parlance_fn *fn;
	void *arg;
};

struct secret {
	struct list node;
	size_t len;
	char bytes[65536 + 2];
};

/* Log, clock, counters */

static void service_log(void *ctx, int level, const char *text)
{
	struct mock_host *m = ctx;

	mock_on_thread(m, "log");
	if (level < PARLANCE_LOG_ERR || level > PARLANCE_LOG_DEBUG || !text)
		mock_abort("log was called with level %d", level);
	strbuf_printf(&m->p->log, "%d %s\n", level, text);
}

const char *mock_log(const struct mock_host *m)
{
	return strbuf_cstr(&m->p->log);
}

bool mock_log_has(const struct mock_host *m, const char *text)
{
	return strstr(mock_log(m), text) != NULL;
}

void mock_log_clear(struct mock_host *m)
{
	strbuf_reset(&m->p->log);
}

static uint64_t service_mono_ms(void *ctx)
{
	mock_on_thread(ctx, "mono_ms");
	return clock_mono_ms();
}

static int64_t service_wall_ms(void *ctx)
{
	const struct mock_host *m = ctx;

	mock_on_thread(m, "wall_ms");
	return m->wall_ms ? m->wall_ms : clock_wall_ms();
}

static void service_random(void *ctx, void *out, size_t len)
{
	mock_on_thread(ctx, "random");
	/* Whole for up to 256 bytes (getrandom(2)), more no plugin needs at a time. */
	CHECK(len <= 256 && getrandom(out, len, 0) == (ssize_t)len);
}

static struct mock_counter *find_counter(const struct mock_host *m, const char *name)
{
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (node, next, &m->p->counters) {
		struct mock_counter *c = CONTAINER_OF(node, struct mock_counter, node);

		if (strcmp(c->name, name) == 0)
			return c;
	}
	return NULL;
}

static void service_count(void *ctx, const char *name, uint64_t n)
{
	struct mock_host *m = ctx;
	struct mock_counter *c = find_counter(m, name);
	size_t len = strlen(name);

	mock_on_thread(m, "count");
	if (!c) {
		if (!len || len >= sizeof(c->name) ||
		    strspn(name, "abcdefghijklmnopqrstuvwxyz_") != len)
			mock_abort("count was called with the name \"%s\"", name);
		c = calloc(1, sizeof(*c));
		CHECK(c);
		memcpy(c->name, name, len + 1);
		list_push_back(&m->p->counters, &c->node);
	}
	c->n += n;
}

uint64_t mock_counter(const struct mock_host *m, const char *name)
{
	const struct mock_counter *c = find_counter(m, name);

	return c ? c->n : 0;
}

/* Timers */

static void on_timer(struct timer *timer)
{
	const struct parlance_timer *t = CONTAINER_OF(timer, struct parlance_timer, timer);
	struct mock_host *m = t->m;

	MOCK_CALL(m, t->fn(t->arg));
}

static struct parlance_timer *service_timer_new(void *ctx, parlance_fn *fn, void *arg)
{
	struct mock_host *m = ctx;
	struct parlance_timer *t;

	mock_on_thread(m, "timer_new");
	if (mock_fails(m, MOCK_TIMER_NEW))
		return NULL;
	t = calloc(1, sizeof(*t));
	CHECK(t);
	t->m = m;
	t->fn = fn;
	t->arg = arg;
	list_push_back(&m->p->timers, &t->node);
	m->live_timers++;
	return t;
}

static void service_timer_start(struct parlance_timer *t, uint64_t delay_ms)
{
	mock_on_thread(t->m, "timer_start");
	if (!delay_ms)
		mock_abort("timer_start was called with a delay of 0");
	loop_timer_start(t->m->loop, &t->timer, delay_ms, on_timer);
}

static void service_timer_stop(struct parlance_timer *t)
{
	mock_on_thread(t->m, "timer_stop");
	timer_stop(&t->timer);
}

static void service_timer_free(struct parlance_timer *t)
{
	if (!t)
		return;
	mock_on_thread(t->m, "timer_free");
	timer_stop(&t->timer);
	list_remove(&t->node);
	t->m->live_timers--;
	free(t);
}

/* Descriptors */

static unsigned to_io(unsigned events)
{
	if (events & ~(unsigned)(PARLANCE_IO_READ | PARLANCE_IO_WRITE))
		mock_abort("a descriptor is watched for the events %#x", events);
	return (events & PARLANCE_IO_READ ? (unsigned)IO_READ : 0) |
	       (events & PARLANCE_IO_WRITE ? (unsigned)IO_WRITE : 0);
}

static void on_io(struct io *io, unsigned int events, void *arg)
{
	const struct parlance_watch *w = arg;
	struct mock_host *m = w->m;

	(void)io;
	MOCK_CALL(m, w->fn(w->arg, (events & IO_READ ? (unsigned)PARLANCE_IO_READ : 0) |
					   (events & IO_WRITE ? (unsigned)PARLANCE_IO_WRITE : 0)));
}

static struct parlance_watch *service_watch_new(void *ctx, int fd, unsigned events,
						parlance_watch_fn *fn, void *arg)
{
	struct mock_host *m = ctx;
	struct parlance_watch *w;

	mock_on_thread(m, "watch_new");
	if (mock_fails(m, MOCK_WATCH_NEW))
		return NULL;
	w = calloc(1, sizeof(*w));
	CHECK(w);
	w->m = m;
	w->fn = fn;
	w->arg = arg;
	if (io_open(&w->io, m->loop, fd, to_io(events), on_io, w)) {
		free(w);
		return NULL;
	}
	list_push_back(&m->p->watches, &w->node);
	m->live_watches++;
	return w;
}

static void service_watch_set(struct parlance_watch *w, unsigned events)
{
	mock_on_thread(w->m, "watch_set");
	io_set(w->io, to_io(events));
}

static void service_watch_free(struct parlance_watch *w)
{
	if (!w)
		return;
	mock_on_thread(w->m, "watch_free");
	io_close(&w->io);
	list_remove(&w->node);
	w->m->live_watches--;
	free(w);
}

/* Threads */

static void on_letter(void *arg)
{
	struct letter letter = *(struct letter *)arg;

	free(arg);
	if (!letter.m->p->over)
		MOCK_CALL(letter.m, letter.fn(letter.arg));
}

static int service_post(void *ctx, parlance_fn *fn, void *arg)
{
	struct mock_host *m = ctx;
	struct letter *letter = NULL;
	int rc = -1;

	(void)pthread_mutex_lock(&m->p->lock);
	if (mock_fails(m, MOCK_POST) || m->p->over)
		goto out;
	letter = calloc(1, sizeof(*letter));
	CHECK(letter);
	*letter = (struct letter){ m, fn, arg };
	rc = post_send(m->p->post, on_letter, letter);
	CHECK(rc == 0);
out:
	(void)pthread_mutex_unlock(&m->p->lock);
	return rc;
}

static void on_work(void *arg)
{
	const struct parlance_work *w = arg;

	w->work(w->arg);
}

static void on_work_done(void *arg, int status)
{
	struct parlance_work *w = arg;
	struct mock_host *m = w->m;

	list_remove(&w->node);
	m->live_works--;
	MOCK_CALL(m, w->done(w->arg, status != 0));
	free(w);
}

static struct parlance_work *service_offload(void *ctx, parlance_fn *work,
					     parlance_work_done_fn *done, void *arg)
{
	struct mock_host *m = ctx;
	struct parlance_work *w;

	mock_on_thread(m, "offload");
	if (mock_fails(m, MOCK_OFFLOAD))
		return NULL;
	w = calloc(1, sizeof(*w));
	CHECK(w);
	*w = (struct parlance_work){ .m = m, .work = work, .done = done, .arg = arg };
	CHECK(offload_run(m->loop, &w->offload, on_work, on_work_done, w) == 0);
	list_push_back(&m->p->works, &w->node);
	m->live_works++;
	return w;
}

static void service_offload_cancel(struct parlance_work *w)
{
	mock_on_thread(w->m, "offload_cancel");
	offload_cancel(w->offload);
}

void mock_cancel_works(struct mock_host *m)
{
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (node, next, &m->p->works)
		service_offload_cancel(CONTAINER_OF(node, struct parlance_work, node));
}

/* HTTP, as long as mock_http_init was not called */

static struct parlance_http *no_http_start(void *ctx, const struct parlance_http_request *request,
					   const struct parlance_http_sink *sink, void *arg)
{
	(void)ctx;
	(void)request;
	(void)sink;
	(void)arg;
	mock_abort("the plugin uses HTTP, and the test has not called mock_http_init");
}

static void no_http(struct parlance_http *http)
{
	(void)http;
	mock_abort("the plugin uses HTTP, and the test has not called mock_http_init");
}

/* Secrets */

static int secret_path(const char *source, char *path, size_t size, char *err, size_t err_size)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");

	if (strncmp(source, "credential:", 11) == 0) {
		if (!folder || !source[11] || strchr(source + 11, '/')) {
			(void)snprintf(err, err_size, "there is no such credential");
			return -1;
		}
		(void)snprintf(path, size, "%s/%s", folder, source + 11);
		return 0;
	}
	if (strncmp(source, "file:", 5) == 0)
		source += 5;
	if (source[0] != '/') {
		(void)snprintf(err, err_size, "a secret is a file:/PATH, /PATH or credential:NAME");
		return -1;
	}
	(void)snprintf(path, size, "%s", source);
	return 0;
}

static int service_secret(void *ctx, const char *source, struct parlance_str *out, char *err,
			  size_t err_size)
{
	struct mock_host *m = ctx;
	char path[4096];
	struct secret *s;
	FILE *f;

	mock_on_thread(m, "secret");
	if (mock_fails(m, MOCK_SECRET)) {
		(void)snprintf(err, err_size, "out of memory");
		return -1;
	}
	if (secret_path(source, path, sizeof(path), err, err_size))
		return -1;
	f = fopen(path, "re");
	if (!f) {
		(void)snprintf(err, err_size, "%s cannot be read: %s", path, strerror(errno));
		return -1;
	}
	s = calloc(1, sizeof(*s));
	CHECK(s);
	s->len = fread(s->bytes, 1, sizeof(s->bytes) - 1, f);
	(void)fclose(f);
	if (s->len && s->bytes[s->len - 1] == '\n')
		s->bytes[--s->len] = '\0';
	if (!s->len || s->len > sizeof(s->bytes) - 2) {
		(void)snprintf(err, err_size, "%s is empty or too large", path);
		free(s);
		return -1;
	}
	list_push_back(&m->p->secrets, &s->node);
	*out = (struct parlance_str){ s->bytes, s->len };
	return 0;
}

void mock_wipe_secrets(struct mock_host *m)
{
	struct list *node;

	while ((node = list_pop_front(&m->p->secrets))) {
		struct secret *s = CONTAINER_OF(node, struct secret, node);

		explicit_bzero(s->bytes, s->len);
		free(s);
	}
}

/* The chat */

static bool is(struct parlance_str a, const char *b)
{
	return b && a.len == strlen(b) && memcmp(a.p, b, a.len) == 0;
}

static struct parlance_str str(const char *s)
{
	return (struct parlance_str){ s, s ? strlen(s) : 0 };
}

static void service_user_sockets(void *ctx, struct parlance_str user,
				 void (*each)(void *arg, struct parlance_str socket), void *arg)
{
	const struct mock_host *m = ctx;

	mock_on_thread(m, "user_sockets");
	for (size_t i = 0; i < m->n_sockets; i++) {
		if (is(user, m->sockets[i].user))
			each(arg, str(m->sockets[i].socket));
	}
}

static struct parlance_str service_socket_user(void *ctx, struct parlance_str socket)
{
	const struct mock_host *m = ctx;

	mock_on_thread(m, "socket_user");
	for (size_t i = 0; i < m->n_sockets; i++) {
		if (is(socket, m->sockets[i].socket))
			return str(m->sockets[i].user);
	}
	return str(NULL);
}

static int broadcast(struct mock_host *m, const char *kind, struct parlance_str id,
		     struct parlance_str event, struct parlance_str json)
{
	mock_on_thread(m, "broadcast");
	if (mock_fails(m, MOCK_BROADCAST))
		return -1;
	strbuf_printf(&m->p->broadcasts, "%s %.*s %.*s %.*s\n", kind, (int)id.len, id.p,
		      (int)event.len, event.p, (int)json.len, json.p);
	return 0;
}

static int service_broadcast_user(void *ctx, struct parlance_str user, struct parlance_str event,
				  struct parlance_str json)
{
	return broadcast(ctx, "user", user, event, json);
}

static int service_broadcast_conversation(void *ctx, struct parlance_str conversation,
					  struct parlance_str event, struct parlance_str json)
{
	return broadcast(ctx, "conversation", conversation, event, json);
}

const char *mock_broadcasts(const struct mock_host *m)
{
	return strbuf_cstr(&m->p->broadcasts);
}

static void service_conversation_users(void *ctx, struct parlance_str conversation,
				       void (*each)(void *arg, struct parlance_str user), void *arg)
{
	const struct mock_host *m = ctx;

	mock_on_thread(m, "conversation_users");
	for (size_t i = 0; i < m->n_sockets; i++) {
		if (is(conversation, m->sockets[i].conversation))
			each(arg, str(m->sockets[i].user));
	}
}

static bool service_user_online(void *ctx, struct parlance_str user)
{
	const struct mock_host *m = ctx;

	mock_on_thread(m, "user_online");
	for (size_t i = 0; i < m->n_sockets; i++) {
		if (is(user, m->sockets[i].user))
			return true;
	}
	return false;
}

void mock_services(struct mock_host *m)
{
	m->host = (struct parlance_host){
		.size = sizeof(m->host),
		.abi_major = PARLANCE_ABI_MAJOR,
		.abi_minor = PARLANCE_ABI_MINOR,
		.ctx = m,
		.log = service_log,
		.mono_ms = service_mono_ms,
		.wall_ms = service_wall_ms,
		.random = service_random,
		.timer_new = service_timer_new,
		.timer_start = service_timer_start,
		.timer_stop = service_timer_stop,
		.timer_free = service_timer_free,
		.watch_new = service_watch_new,
		.watch_set = service_watch_set,
		.watch_free = service_watch_free,
		.post = service_post,
		.offload = service_offload,
		.offload_cancel = service_offload_cancel,
		.http_start = no_http_start,
		.http_pause = no_http,
		.http_resume = no_http,
		.http_cancel = no_http,
		.secret = service_secret,
		.count = service_count,
		.user_sockets = service_user_sockets,
		.socket_user = service_socket_user,
		.broadcast_user = service_broadcast_user,
		.broadcast_conversation = service_broadcast_conversation,
		.conversation_users = service_conversation_users,
		.user_online = service_user_online,
	};
}
