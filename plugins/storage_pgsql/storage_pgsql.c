/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The plugin: its options, its instance, and what the host asks of it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "conninfo.h"

enum {
	LOG_AGAIN_MS = 60000, /* the same failure is not logged more often */
};

#define OPT(field) offsetof(struct options, field)
#define MS "ms"

static const struct parlance_option option_table[] = {
	{ "dsn", PARLANCE_OPTION_STRING, PARLANCE_OPTION_SECRET, OPT(dsn), "", 0, 4096, NULL, NULL,
	  "DATABASE_URL",
	  "Where the database is, as libpq's connection string or URI; what it leaves out comes "
	  "from libpq's environment (PGHOST, PGDATABASE and so on)." },
	{ "listen_dsn", PARLANCE_OPTION_STRING, PARLANCE_OPTION_SECRET, OPT(listen_dsn), "", 0,
	  4096, NULL, NULL, NULL,
	  "The same for the connection that listens, when dsn leads to a pooler; empty: dsn." },
	{ "password_file", PARLANCE_OPTION_STRING, PARLANCE_OPTION_RELOADABLE, OPT(password_file),
	  "", 0, 4096, NULL, NULL, NULL,
	  "Where the password is: a path, or credential:NAME; empty: in dsn, or where libpq finds "
	  "it." },
	{ "connect_timeout_ms", PARLANCE_OPTION_INT, PARLANCE_OPTION_RELOADABLE,
	  OPT(connect_timeout_ms), "5000", 100, 600000, MS, NULL, NULL,
	  "An attempt to connect that takes longer is given up." },
	{ "statement_timeout_ms", PARLANCE_OPTION_INT, 0, OPT(statement_timeout_ms), "15000", 100,
	  3600000, MS, NULL, NULL,
	  "The server gives up a statement that takes longer; a server that says nothing for 2 s "
	  "more is given up by us." },
	{ "tcp_user_timeout_ms", PARLANCE_OPTION_INT, 0, OPT(tcp_user_timeout_ms), "15000", 0,
	  3600000, MS, NULL, NULL,
	  "Sent data may stay unacknowledged for so long before a TCP connection counts as broken; "
	  "0: the system's default." },
	{ "reconnect_min_ms", PARLANCE_OPTION_INT, PARLANCE_OPTION_RELOADABLE,
	  OPT(reconnect_min_ms), "100", 1, 60000, MS, NULL, NULL,
	  "The longest wait before the first attempt to connect again; it doubles each time." },
	{ "reconnect_max_ms", PARLANCE_OPTION_INT, PARLANCE_OPTION_RELOADABLE,
	  OPT(reconnect_max_ms), "5000", 1, 600000, MS, NULL, NULL,
	  "The longest wait between two attempts to connect." },
	{ "outage_grace_ms", PARLANCE_OPTION_INT, PARLANCE_OPTION_RELOADABLE, OPT(outage_grace_ms),
	  "2000", 1, 600000, MS, NULL, NULL,
	  "Requests wait for so long while there is no connection; after that they are refused at "
	  "once." },
	{ "batch_max", PARLANCE_OPTION_INT, PARLANCE_OPTION_RELOADABLE, OPT(batch_max), "256", 1,
	  4096, NULL, NULL, NULL, "At most so many writes share one transaction." },
	{ "queue_max", PARLANCE_OPTION_INT, PARLANCE_OPTION_RELOADABLE, OPT(queue_max), "20000", 1,
	  10000000, NULL, NULL, NULL, "Requests that may wait; what comes beyond is refused." },
	{ "read_connections", PARLANCE_OPTION_INT, 0, OPT(read_connections), "1", 1,
	  READ_CONNECTIONS_MAX, NULL, NULL, NULL, "Connections that only read." },
	{ "write_connections", PARLANCE_OPTION_INT, 0, OPT(write_connections), "2", 1,
	  WRITE_CONNECTIONS_MAX, NULL, NULL, NULL,
	  "Connections that write what must be durable; each keeps a core of the server busy, at most." },
	{ "application_name", PARLANCE_OPTION_STRING, 0, OPT(application_name), "parlanced", 0, 50,
	  NULL, NULL, NULL,
	  "What pg_stat_activity shows, with what the connection is for behind it." },
};

void store_log(struct store *store, int level, const char *format, ...)
{
	char text[REASON_MAX + 128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	store->host->log(store->host->ctx, level, text);
}

void store_log_failure(struct store *store, const struct link *link)
{
	uint64_t now = store_now(store);

	if (link->lane && link->lane->class != LANE_SOFT &&
	    strcmp(store->detail, link->reason) != 0) {
		snprintf(store->detail, sizeof(store->detail), "%s", link->reason);
		store->detail_changed = true;
	}
	if (strcmp(store->logged, link->reason) == 0 && now - store->logged_ms < LOG_AGAIN_MS)
		return;
	snprintf(store->logged, sizeof(store->logged), "%s", link->reason);
	store->logged_ms = now;
	store_log(store, PARLANCE_LOG_WARNING, "%s: no connection (%s)", link_name(link),
		  link->reason);
}

uint64_t store_jitter(struct store *store, uint64_t max)
{
	uint64_t random;

	store->host->random(store->host->ctx, &random, sizeof(random));
	return 1 + random % max;
}

void store_wake(struct store *store)
{
	const uint64_t one = 1;

	/* It can fail only when the counter is full, which is as good. */
	if (!store->woken && write(store->wake_fd, &one, sizeof(one)) != sizeof(one))
		return;
	store->woken = true;
}

static void on_wake(void *arg, unsigned int events)
{
	struct store *store = arg;
	uint64_t n;

	(void)events;
	store->woken = false;
	if (read(store->wake_fd, &n, sizeof(n)) == sizeof(n))
		store_settle(store);
}

void store_tell_feed(struct store *store)
{
	bool up = store->listener.link.state == LINK_UP && store->listener.heard;

	if (up == store->feed)
		return;
	store->feed = up;
	store->sink->feed(store->host->ctx, up);
}

static void tell_ready(struct store *store)
{
	bool ready = store->read_lane.n_up > 0;

	for (size_t i = 0; i < store->n_writes; i++)
		ready = ready && store->write_lanes[i].n_up > 0;

	if (ready == store->ready && (ready || !store->detail_changed))
		return;
	store->ready = ready;
	store->detail_changed = false;
	store->sink->ready(store->host->ctx, ready, ready ? "" : store->detail);
}

void store_settle(struct store *store)
{
	bool again;

	do {
		again = false;
		for (size_t i = 0; i < store->n_links; i++) {
			if (store->links[i]->broken)
				link_take_down(store->links[i]);
		}
		for (size_t i = 0; i < store->n_lanes; i++)
			lane_pump(store->lanes[i]);
		for (size_t i = 0; i < store->n_links; i++)
			again = again || store->links[i]->broken;
	} while (again);
	store_tell_feed(store);
	tell_ready(store);
}

static void destroy(void *self)
{
	struct store *store = self;

	for (size_t i = 0; i < store->n_links; i++)
		link_fini(store->links[i]);
	for (size_t i = 0; i < store->n_lanes; i++)
		lane_fini(store->lanes[i]);
	store->host->watch_free(store->wake_watch);
	if (store->wake_fd >= 0)
		close(store->wake_fd);
	free(store);
}

/* Reads the password anew. */
static int read_password(const struct parlance_host *host, const struct options *options,
			 const char **out, char *err, size_t err_size)
{
	struct parlance_str password;

	*out = NULL;
	if (!*options->password_file)
		return 0;
	if (host->secret(host->ctx, options->password_file, &password, err, err_size))
		return -1;
	*out = password.p;
	return 0;
}

static int check_options(const struct options *options, char *err, size_t err_size)
{
	const char *name = !conninfo_valid(options->dsn)	  ? "dsn" :
			   !conninfo_valid(options->listen_dsn) ? "listen_dsn" :
								    NULL;

	if (name) {
		/* libpq's own message may quote the password. */
		snprintf(err, err_size,
			 "%s is not a connection string as libpq reads it: write it as "
			 "postgresql://USER@HOST/DATABASE or as host=HOST dbname=DATABASE "
			 "user=USER", name);
		return -1;
	}
	if (options->reconnect_min_ms > options->reconnect_max_ms) {
		snprintf(err, err_size, "reconnect_min_ms is more than reconnect_max_ms");
		return -1;
	}
	return 0;
}

static int make_links(struct store *store)
{
	const struct options *o = store->options;

	if (listener_init(&store->listener, store) ||
	    lane_init(&store->soft_lane, store, LANE_SOFT) ||
	    link_init(&store->soft, store, &store->soft_lane) ||
	    lane_init(&store->read_lane, store, LANE_READ))
		return -1;
	for (int64_t i = 0; i < o->read_connections; i++) {
		if (link_init(&store->reads[i], store, &store->read_lane))
			return -1;
	}
	store->n_writes = (size_t)o->write_connections;
	for (size_t i = 0; i < store->n_writes; i++) {
		if (lane_init(&store->write_lanes[i], store, LANE_WRITE) ||
		    link_init(&store->writes[i], store, &store->write_lanes[i]))
			return -1;
	}
	return 0;
}

static int create(void **self, const struct parlance_host *host, const void *options, char *err,
		  size_t err_size)
{
	struct store *store;
	const char *password;

	if (check_options(options, err, err_size) ||
	    read_password(host, options, &password, err, err_size))
		return -1;
	store = calloc(1, sizeof(*store));
	if (!store) {
		snprintf(err, err_size, "out of memory");
		return -1;
	}
	store->host = host;
	store->sink = host->sink;
	store->options = options;
	store->password = password;
	snprintf(store->detail, sizeof(store->detail), "not connected yet");
	store->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (store->wake_fd >= 0)
		store->wake_watch = host->watch_new(host->ctx, store->wake_fd, PARLANCE_IO_READ,
						    on_wake, store);
	if (!store->wake_watch || make_links(store)) {
		snprintf(err, err_size, "out of memory or of file descriptors");
		destroy(store);
		return -1;
	}
	for (size_t i = 0; i < store->n_links; i++)
		link_start(store->links[i]);
	store_wake(store);
	*self = store;
	return 0;
}

static int reload(void *self, const void *options, char *err, size_t err_size)
{
	struct store *store = self;
	const char *password;

	if (check_options(options, err, err_size) ||
	    read_password(store->host, options, &password, err, err_size))
		return -1;
	store->options = options;
	store->password = password;
	return 0;
}

/* NULL: the request can be sent. libpq would cut a parameter at a NUL. */
static const char *objection(const struct parlance_storage_request *request,
			     const struct function *function)
{
	if (!function)
		return "this plugin has no such function";
	if (request->n_params != function->n_params)
		return "the number of parameters is not the function's";
	for (size_t i = 0; i < request->n_params; i++) {
		const struct parlance_str *p = &request->params[i];

		if (p->p && memchr(p->p, '\0', p->len))
			return "22021: a parameter has a NUL character";
	}
	return NULL;
}

/* Of writes it is always the same for the same key, and the first one without a key. */
static struct lane *lane_of(struct store *store, const struct function *function,
			    struct parlance_str key)
{
	uint32_t hash = 0;

	switch (function->lane) {
	case LANE_READ:
		return &store->read_lane;
	case LANE_SOFT:
		return &store->soft_lane;
	case LANE_WRITE:
		break;
	}
	for (size_t i = 0; i < key.len; i++) /* as FNV-1a does; the ids are random, or a user's own */
		hash = (hash ^ (unsigned char)key.p[i]) * 16777619U;
	return &store->write_lanes[(hash >> 16) % store->n_writes];
}

static void submit(void *self, struct parlance_storage_op *op,
		   const struct parlance_storage_request *request)
{
	struct store *store = self;
	const struct function *function = function_get(request->function);
	const char *detail = objection(request, function);

	if (detail)
		store->sink->complete(op, PARLANCE_STORAGE_FAILED, (struct parlance_str){ 0 },
				      detail);
	else
		lane_submit(lane_of(store, function, request->key), op, request, function);
}

static void cancel(void *self, struct parlance_storage_op *op)
{
	(void)self;
	lane_cancel(op->plugin);
}

static void set_instance(void *self, int64_t instance)
{
	struct store *store = self;

	store->instance = instance > 0 ? instance : 0;
	listener_go_on(&store->listener);
	store_wake(store);
}

static const struct parlance_storage_ops ops = {
	.size = sizeof(ops),
	.submit = submit,
	.cancel = cancel,
	.set_instance = set_instance,
};

static const struct parlance_plugin plugin = {
	.magic = PARLANCE_PLUGIN_MAGIC,
	.abi_major = PARLANCE_ABI_MAJOR,
	.abi_minor = PARLANCE_ABI_MINOR,
	.size = sizeof(plugin),
	.kind = PARLANCE_STORAGE,
	.name = "storage_pgsql",
	.version = "0.1.0",
	.licence = "MIT",
	.doc = "Keeps conversations and messages in PostgreSQL, and joins the instances by it.",
	.options = option_table,
	.n_options = sizeof(option_table) / sizeof(option_table[0]),
	.option_size = sizeof(struct parlance_option),
	.options_size = sizeof(struct options),
	.ops = &ops,
	.create = create,
	.reload = reload,
	.destroy = destroy,
};

const struct parlance_plugin *parlance_plugin_v1(void)
{
	return &plugin;
}
