/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * parlanced: options, the start-up table, and what signals do, nothing else. Everything runs on the loop's thread.
 */
#include <getopt.h>
#include <signal.h>

#include "config.h"

#include "base/err.h"
#include "base/log.h"
#include "conf/options.h"
#include "core/core.h"
#include "loop/http_client.h"
#include "loop/signals.h"
#include "metrics.h"
#include "setup.h"
#include "sys/sandbox.h"
#include "sys/systemd.h"

#define DEFAULT_CONFIG PARLANCE_SYSCONFDIR "/parlance/parlance.conf"
#define SHUTDOWN_TIMEOUT_MS 5000
#define ERRORS_MAX 65536

struct daemon {
	struct setup setup;
	/* Where the configuration comes from. */
	const char *path;
	const char *const *overrides;
	size_t n_overrides;
	struct loop *loop;
	struct sio *sio;
	struct core *core;
	struct http_client *http_client;
	struct net *net;
	struct signal_watch *term;
	struct signal_watch *interrupt;
	struct signal_watch *hangup;
	struct sys_notify *notify;
	struct strbuf err;
	bool stopping;
	bool at_once; /* nothing is waited for any more */
};

/* What the chat learns of its cluster is for those who carry requests. */

static void on_registered(void *arg, uint64_t number, struct slice secret)
{
	struct daemon *d = arg;

	if (d->net)
		net_set_instance(d->net, number, secret);
}

static void on_peers(void *arg, const struct core_peer *peers, size_t n)
{
	struct daemon *d = arg;
	struct net_peer *list = calloc(n + 1, sizeof(*list));

	if (d->net && list) {
		for (size_t i = 0; i < n; i++)
			list[i] = (struct net_peer){ peers[i].number, peers[i].address };
		net_set_peers(d->net, list, n);
	}
	free(list);
}

static void on_ready(void *arg, const char *why_not)
{
	struct daemon *d = arg;

	if (d->net)
		net_set_ready(d->net, why_not);
}

static const struct core_cluster_ops cluster_ops = { on_registered, on_peers, on_ready };

/* Ending: clients are let go and answers come to their end, what is left of them is stored, and
 * the last connections are closed. */

static void on_drained(void *arg)
{
	struct daemon *d = arg;

	loop_stop(d->loop);
}

static void on_stored(void *arg)
{
	struct daemon *d = arg;

	/* Answers also end while all is taken down. */
	if (!d->at_once)
		net_shutdown(d->net, SHUTDOWN_TIMEOUT_MS, on_drained, d);
}

static void on_let_go(void *arg)
{
	struct daemon *d = arg;

	if (d->at_once)
		return;
	plugins_drain(d->setup.plugins);
	core_stop(d->core, on_stored, d);
}

static void on_signal(int signum, void *arg)
{
	struct daemon *d = arg;

	if (d->stopping) { /* somebody is impatient */
		d->at_once = true;
		loop_stop(d->loop);
		return;
	}
	d->stopping = true;
	log_notice("main", LOG_FIELDS(LOG_INT("signal", signum)), "shutting down");
	sys_notify_stopping(d->notify);
	net_drain(d->net);
	core_drain(d->core, on_let_go, d);
}

/* Reload */

/* One line a problem. */
static void log_problems(const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		log_err("main", NULL, "the configuration stays as it was (%.*s)", (int)len, text);
		text += len + (text[len] != '\0');
	}
}

static void on_hangup(int signum, void *arg)
{
	struct daemon *d = arg;
	struct strbuf restart;
	struct strbuf errors;
	int rc;

	(void)signum;
	if (d->stopping)
		return;
	strbuf_init(&restart, ERRORS_MAX);
	strbuf_init(&errors, ERRORS_MAX);
	sys_notify_reloading(d->notify);
	rc = setup_reload(&d->setup, d->net, d->path, d->overrides, d->n_overrides, &restart,
			  &errors);
	log_notice("audit",
		   LOG_FIELDS(LOG_STR("config", d->path),
			      LOG_STR("outcome", rc            ? "refused"
						 : restart.len ? "in part"
							       : "done")),
		   "a reload was asked for");
	if (rc)
		log_problems(errors.len ? strbuf_cstr(&errors) : parlance_err_text(rc));
	else if (restart.len)
		log_warn("main", NULL, "configuration reloaded, but these need a restart: %s",
			 strbuf_cstr(&restart));
	else
		log_notice("main", NULL, "configuration reloaded");
	sys_notify_ready(d->notify, NULL);
	strbuf_fini(&restart);
	strbuf_fini(&errors);
}

/* The start-up table: each step is undone in reverse order, also when a later one fails. */

static int start_loop(struct daemon *d)
{
	setup_prepare(&d->setup);
	return loop_new(&d->loop);
}

static void stop_loop(struct daemon *d)
{
	loop_free(&d->loop);
}

static int start_sio(struct daemon *d)
{
	return sio_new(&d->sio, d->loop, &d->setup.sio);
}

static void stop_sio(struct daemon *d)
{
	sio_free(&d->sio);
}

static int start_core(struct daemon *d)
{
	int rc = core_new(&d->core, d->loop, d->sio, d->setup.plugins, &d->setup.chat);

	if (!rc)
		core_set_cluster(d->core, &cluster_ops, d);
	return rc;
}

static void stop_core(struct daemon *d)
{
	core_free(&d->core);
}

static int start_http_client(struct daemon *d)
{
	return http_client_new(&d->http_client, d->loop, &d->setup.http_client);
}

static void stop_http_client(struct daemon *d)
{
	http_client_free(&d->http_client);
}

static int start_plugins(struct daemon *d)
{
	return plugins_create(d->setup.plugins, d->loop, d->setup.conf, d->http_client, &d->err);
}

static void on_destroyed(void *arg)
{
	struct daemon *d = arg;

	loop_stop(d->loop);
}

static void stop_plugins(struct daemon *d)
{
	plugins_destroy(d->setup.plugins, on_destroyed, d);
	loop_run(d->loop);
}

static void write_metrics(void *arg, struct strbuf *out)
{
	const struct daemon *d = arg;

	metrics_write(out, d->net, d->core, d->setup.plugins);
}

static int start_net(struct daemon *d)
{
	int rc = net_new(&d->net, d->loop, &d->setup.net, sio_session_ops(), d->sio, &d->err);

	if (rc)
		return rc;
	net_set_metrics(d->net, write_metrics, d);
	return setup_listen(&d->setup, d->net, &d->err);
}

static void stop_net(struct daemon *d)
{
	net_free(&d->net);
}

static int start_signals(struct daemon *d)
{
	int rc = signal_watch_new(&d->term, d->loop, SIGTERM, on_signal, d);

	if (!rc)
		rc = signal_watch_new(&d->interrupt, d->loop, SIGINT, on_signal, d);
	return rc ? rc : signal_watch_new(&d->hangup, d->loop, SIGHUP, on_hangup, d);
}

static void stop_signals(struct daemon *d)
{
	signal_watch_free(&d->term);
	signal_watch_free(&d->interrupt);
	signal_watch_free(&d->hangup);
	(void)signal(SIGHUP, SIG_IGN);
}

static int start_notify(struct daemon *d)
{
	return sys_notify_new(&d->notify, d->loop);
}

static void stop_notify(struct daemon *d)
{
	sys_notify_free(&d->notify);
}

static int start_sandbox(struct daemon *d)
{
	return setup_sandbox(&d->setup, &d->err);
}

static void stop_sandbox(struct daemon *d)
{
	(void)d; /* it is for good */
}

static const struct step {
	const char *name;
	int (*init)(struct daemon *d);
	void (*fini)(struct daemon *d);
} steps[] = {
	{ "loop", start_loop, stop_loop },
	{ "sockets", start_sio, stop_sio },
	{ "chat", start_core, stop_core },
	{ "HTTP client", start_http_client, stop_http_client },
	{ "plugins", start_plugins, stop_plugins },
	{ "network", start_net, stop_net },
	{ "signals", start_signals, stop_signals },
	{ "service manager", start_notify, stop_notify },
	{ "sandbox", start_sandbox, stop_sandbox },
};

static int run(struct daemon *d)
{
	size_t begun = 0;
	int rc = 0;

	while (begun < ARRAY_LEN(steps) && !rc)
		rc = steps[begun++].init(d);
	if (rc) {
		log_err("main", LOG_FIELDS(LOG_STR("step", steps[begun - 1].name)),
			"cannot start (%s)",
			d->err.len ? strbuf_cstr(&d->err) : parlance_err_text(rc));
	} else {
		log_notice("main", LOG_FIELDS(LOG_STR("version", PACKAGE_VERSION)), "ready");
		sys_notify_ready(d->notify, "serving");
		loop_run(d->loop);
	}
	while (begun)
		steps[--begun].fini(d);
	return rc;
}

/* Options */

static void print(const struct strbuf *text)
{
	(void)fputs(strbuf_cstr(text), stdout);
}

static void usage(FILE *to)
{
	(void)fprintf(to,
		      "usage: parlanced [-c FILE] [-o SECTION.OPTION=VALUE]... [--check | --dump | --sample]\n"
		      "       parlanced --version | --help\n"
		      "\n"
		      "  -c, --config FILE   configuration file (default %s)\n"
		      "  -o, --option S.O=V  sets an option, after the files\n"
		      "      --check         checks the configuration and exits\n"
		      "      --dump          prints the configuration in force and exits\n"
		      "      --sample        prints a commented sample configuration\n"
		      "      --version, --help\n",
		      DEFAULT_CONFIG);
}

enum mode {
	MODE_RUN = 1,
	MODE_CHECK,
	MODE_DUMP,
	MODE_SAMPLE,
};

static int sample(const char *path, const char *const *overrides, size_t n_overrides)
{
	struct strbuf text;
	struct strbuf err;
	int rc;

	strbuf_init(&text, SIZE_MAX / 2);
	strbuf_init(&err, ERRORS_MAX);
	rc = setup_sample(path, overrides, n_overrides, &text, &err);
	if (rc)
		(void)fprintf(stderr, "%s", strbuf_cstr(&err));
	else
		print(&text);
	strbuf_fini(&text);
	strbuf_fini(&err);
	return rc ? 1 : 0;
}

/* Before any secret is read: what is in memory stays there. */
static int confine(struct strbuf *err)
{
	int rc = sandbox_no_new_privs();

	if (!rc)
		rc = sandbox_set_dumpable(false);
	if (rc)
		strbuf_append_str(err, "parlanced: the kernel does not take away rights (prctl)\n");
	return rc;
}

static int serve(enum mode mode, const char *path, const char *const *overrides, size_t n_overrides)
{
	struct daemon d = { .path = path, .overrides = overrides, .n_overrides = n_overrides };
	int rc = 0;

	strbuf_init(&d.err, ERRORS_MAX);
	if (mode == MODE_RUN)
		rc = confine(&d.err);
	if (!rc)
		rc = setup_load_plugins(&d.setup, path, overrides, n_overrides, &d.err);
	if (!rc && mode == MODE_CHECK)
		rc = setup_check_listeners(&d.setup, &d.err);
	if (!rc && mode == MODE_RUN) {
		setup_log(&d.setup);
		rc = setup_process(&d.setup, &d.err);
	}
	if (rc) {
		(void)fprintf(stderr, "%s%s", strbuf_cstr(&d.err),
			      d.err.len ? "" : "parlanced: out of memory\n");
	} else if (mode == MODE_DUMP) {
		struct strbuf text;

		strbuf_init(&text, SIZE_MAX / 2);
		conf_dump(d.setup.conf, &text);
		print(&text);
		strbuf_fini(&text);
	} else if (mode == MODE_RUN) {
		/* One that comes before there is anybody to reload is no reason to die. */
		(void)signal(SIGHUP, SIG_IGN);
		rc = run(&d);
	}
	setup_fini(&d.setup);
	strbuf_fini(&d.err);
	return rc ? 1 : 0;
}

int main(int argc, char **argv)
{
	enum { OPT_CHECK = 256, OPT_DUMP, OPT_SAMPLE, OPT_VERSION };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "option", required_argument, NULL, 'o' },
		{ "check", no_argument, NULL, OPT_CHECK },
		{ "dump", no_argument, NULL, OPT_DUMP },
		{ "sample", no_argument, NULL, OPT_SAMPLE },
		{ "version", no_argument, NULL, OPT_VERSION },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char **overrides = calloc((size_t)argc + 1, sizeof(*overrides));
	const char *path = NULL;
	enum mode mode = MODE_RUN;
	size_t n_overrides = 0;
	int status = -1;
	int c;

	if (!overrides) {
		(void)fputs("parlanced: out of memory\n", stderr);
		return 1;
	}
	while (status < 0 && (c = getopt_long(argc, argv, "c:o:h", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			path = optarg;
			break;
		case 'o':
			overrides[n_overrides++] = optarg;
			break;
		case OPT_CHECK:
			mode = MODE_CHECK;
			break;
		case OPT_DUMP:
			mode = MODE_DUMP;
			break;
		case OPT_SAMPLE:
			mode = MODE_SAMPLE;
			break;
		case OPT_VERSION:
			(void)puts("parlanced " PACKAGE_VERSION);
			status = 0;
			break;
		case 'h':
			usage(stdout);
			status = 0;
			break;
		default:
			usage(stderr);
			status = 2;
			break;
		}
	}
	if (status < 0 && optind != argc) {
		usage(stderr);
		status = 2;
	}
	if (status < 0) {
		(void)signal(SIGPIPE, SIG_IGN);
		status = mode == MODE_SAMPLE
			     ? sample(path, overrides, n_overrides)
			     : serve(mode, path ? path : DEFAULT_CONFIG, overrides, n_overrides);
	}
	free(overrides);
	return status;
}
