/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* From options to running layers. */
#include <sys/resource.h>
#include <unistd.h>

#include "setup_private.h"
#include "base/err.h"
#include "base/log.h"
#include "sys/sandbox.h"
#include "wire/origin.h"

/*
 * Descriptors for everything that is no client: log, loop, listeners, plugins, accepting in the
 * margin of the limits, lingering closes.
 */
#define FILES_RESERVED 256

static int read_networks(struct setup *s, const struct conf_list *list, struct strbuf *errors)
{
	int rc = 0;

	s->trusted_proxies = calloc(list->n + 1, sizeof(*s->trusted_proxies));
	if (!s->trusted_proxies)
		return PARLANCE_ENOMEM;
	for (size_t i = 0; i < list->n; i++) {
		if (ip_net_parse(slice_str(list->items[i]), &s->trusted_proxies[i]) == 0)
			continue;
		strbuf_printf(errors,
			      "[limits] trusted_proxies: \"%s\" is no address or network (write "
			      "10.0.0.0/8, ::1 or unix)\n",
			      list->items[i]);
		rc = PARLANCE_EINVAL;
	}
	s->net.trusted_proxies = s->trusted_proxies;
	s->net.n_trusted_proxies = list->n;
	return rc;
}

static int read_origins(struct setup *s, const struct conf_list *list, struct strbuf *errors)
{
	int rc = 0;

	for (size_t i = 0; i < list->n; i++) {
		if (origin_entry_check(slice_str(list->items[i])) == 0)
			continue;
		strbuf_printf(
			errors,
			"[cors] origins: \"%s\" is no origin (write https://host, "
			"https://host:port, https://*.host or *, in lower case, without a path)\n",
			list->items[i]);
		rc = PARLANCE_EINVAL;
	}
	s->net.cors_origins = list->items;
	s->net.n_cors_origins = list->n;
	return rc;
}

/* Only to where the administrator says, and only by HTTPS. */
static int check_redirects(const struct setup *s, struct strbuf *errors)
{
	const struct options_listener *o;
	const char *name;
	int rc = 0;

	for (size_t i = 0; (o = conf_get_nth(s->conf, "listener", i, &name)); i++) {
		if (!o->redirect[0] || (strncmp(o->redirect, "https://", 8) == 0 &&
					!strchr(o->redirect, '*') &&
					origin_entry_check(slice_str(o->redirect)) == 0))
			continue;
		strbuf_printf(errors,
			      "[listener %s] redirect: \"%s\" is no place to send clients (write "
			      "https://host or https://host:port, in lower case, without a path)\n",
			      name, o->redirect);
		rc = PARLANCE_EINVAL;
	}
	return rc;
}

static int check_calls(const struct conf_list *calls, struct strbuf *errors)
{
	int rc = 0;

	for (size_t i = 0; i < calls->n; i++) {
		if (sandbox_is_call(calls->items[i]))
			continue;
		strbuf_printf(errors, "[process] seccomp_allow: \"%s\" is no system call\n",
			      calls->items[i]);
		rc = PARLANCE_EINVAL;
	}
	return rc;
}

/* Every option's range fits the type it goes to. */

static void fill_chat(struct core_config *c, const struct options_chat *o)
{
	_Static_assert(CORE_ALIASES_SEED == 1 && CORE_ALIASES_PAST == 2 && CORE_ALIASES_BOTH == 3,
		       "as in conf/options.c");
	c->aliases = o->aliases;
	c->query_token = o->query_token;
	c->auth_timeout_ms = (uint32_t)o->auth_timeout_ms;
	c->token_notice_s = (uint32_t)o->token_notice_s;
	c->token_grace_s = (uint32_t)o->token_grace_s;
	c->storage_timeout_ms = (uint32_t)o->storage_timeout_ms;
	c->history_messages = (uint32_t)o->history_messages;
	c->max_content_bytes = (uint32_t)o->max_content_bytes;
	c->max_title_bytes = (uint32_t)o->max_title_bytes;
	c->max_metadata_bytes = (uint32_t)o->max_metadata_bytes;
	c->max_json_depth = (uint32_t)o->max_json_depth;
	c->queue_depth = (uint32_t)o->queue_depth;
	c->events_per_second = (uint32_t)o->events_per_second;
	c->user_events_per_second = (uint32_t)o->user_events_per_second;
	c->user_bytes_per_second = (uint32_t)o->user_bytes_per_second;
	c->max_sockets_per_user = (uint32_t)o->max_sockets_per_user;
	c->max_answers_per_user = (uint32_t)o->max_answers_per_user;
	c->max_answers = (uint32_t)o->max_answers;
	c->chunk_interval_ms = (uint32_t)o->chunk_interval_ms;
	c->full_bytes_per_s = (uint32_t)o->full_bytes_per_s;
	c->max_answer_bytes = (uint32_t)o->max_answer_bytes;
	c->answer_timeout_ms = (uint32_t)o->answer_timeout_ms;
	c->flush_interval_ms = (uint32_t)o->flush_interval_ms;
	c->flush_bytes = (uint32_t)o->flush_bytes;
	c->typing_timeout_ms = (uint32_t)o->typing_timeout_ms;
	c->typing_repeat_ms = (uint32_t)o->typing_repeat_ms;
	c->lease_beat_ms = (uint32_t)o->lease_beat_ms;
	c->heads_interval_ms = (uint32_t)o->heads_interval_ms;
	c->relay_interval_ms = (uint32_t)o->relay_interval_ms;
	c->recovery_window_s = (uint32_t)o->recovery_window_s;
	c->recovery_max_events = (uint32_t)o->recovery_max_events;
	c->drain_timeout_ms = (uint32_t)o->drain_timeout_ms;
	c->drain_spread_ms = (uint32_t)o->drain_spread_ms;
	c->shutdown_timeout_ms = (uint32_t)o->shutdown_timeout_ms;
}

static void fill_http_client(struct http_client_config *c, const struct options_http_client *o)
{
	c->proxy = o->proxy;
	c->ca_file = o->ca_file;
	c->max_connections = (uint32_t)o->max_connections;
	c->max_connections_per_host = (uint32_t)o->max_connections_per_host;
	c->connect_timeout_ms = (uint32_t)o->connect_timeout_ms;
	c->first_byte_timeout_ms = (uint32_t)o->first_byte_timeout_ms;
	c->idle_timeout_ms = (uint32_t)o->idle_timeout_ms;
	c->total_timeout_ms = (uint32_t)o->total_timeout_ms;
}

int setup_fill(struct setup *s, struct strbuf *errors)
{
	const struct options_engine *e = conf_get(s->conf, "engine", NULL);
	const struct options_socket *k = conf_get(s->conf, "socket", NULL);
	const struct options_cors *c = conf_get(s->conf, "cors", NULL);
	const struct options_limits *l = conf_get(s->conf, "limits", NULL);
	const struct options_web *w = conf_get(s->conf, "web", NULL);
	const struct options_cluster *cluster = conf_get(s->conf, "cluster", NULL);
	const struct options_process *p = conf_get(s->conf, "process", NULL);
	struct net_config *n = &s->net;
	int rc = options_check(s->conf, errors);
	int rc_networks;
	int rc_origins;
	int rc_redirects;
	int rc_calls;

	n->path = e->path;
	n->ping_interval_ms = (uint32_t)e->ping_interval_ms;
	n->ping_timeout_ms = (uint32_t)e->ping_timeout_ms;
	n->upgrade_timeout_ms = (uint32_t)e->upgrade_timeout_ms;
	n->max_payload_bytes = (uint64_t)e->max_payload_bytes;
	n->websocket_compression = e->websocket_compression;
	n->compression_threshold_bytes = (uint64_t)e->compression_threshold_bytes;
	n->cors_credentials = c->credentials;
	n->cors_max_age_s = (uint32_t)c->max_age_s;
	n->allow_no_origin = c->allow_no_origin;
	n->max_connections = (uint32_t)l->max_connections;
	n->max_connections_per_address = (uint32_t)l->max_connections_per_address;
	n->handshakes_per_second_per_address = (uint32_t)l->handshakes_per_second_per_address;
	n->handshake_burst_per_address = (uint32_t)l->handshake_burst_per_address;
	n->header_timeout_ms = (uint32_t)l->header_timeout_ms;
	n->body_timeout_ms = (uint32_t)l->body_timeout_ms;
	n->idle_timeout_ms = (uint32_t)l->idle_timeout_ms;
	n->max_header_bytes = (uint32_t)l->max_header_bytes;
	n->queue_high_bytes = (uint64_t)l->queue_high_bytes;
	n->queue_low_bytes = (uint64_t)l->queue_low_bytes;
	n->queue_soft_bytes = (uint64_t)l->queue_soft_bytes;
	n->queue_soft_seconds = (uint32_t)l->queue_soft_s;
	n->queue_hard_bytes = (uint64_t)l->queue_hard_bytes;

	n->web_root = w->root;
	n->web_max_bytes = (uint64_t)w->max_bytes;
	n->web_max_files = (uint32_t)w->max_files;

	s->sio.connect_timeout_ms = (uint32_t)e->connect_timeout_ms;
	s->sio.authorize_timeout_ms = (uint32_t)k->authorize_timeout_ms;
	s->sio.max_namespaces = (uint32_t)k->max_namespaces;
	s->sio.max_rooms = (uint32_t)k->max_rooms;
	s->sio.max_pending_acks = (uint32_t)k->max_pending_acks;
	s->sio.max_attachments = (uint32_t)k->max_attachments;
	s->sio.max_attachment_bytes = (uint64_t)k->max_attachment_bytes;

	fill_chat(&s->chat, conf_get(s->conf, "chat", NULL));
	s->chat.advertise = cluster->advertise;
	fill_http_client(&s->http_client, conf_get(s->conf, "http_client", NULL));

	rc_networks = read_networks(s, &l->trusted_proxies, errors);
	rc_origins = read_origins(s, &c->origins, errors);
	rc_redirects = check_redirects(s, errors);
	rc_calls = check_calls(&p->seccomp_allow, errors);
	if (!rc)
		rc = rc_networks ? rc_networks : rc_origins;
	if (!rc)
		rc = rc_redirects;
	return rc ? rc : rc_calls;
}

int setup_load(struct setup *s, const char *path, const char *const *overrides, size_t n_overrides,
	       struct strbuf *errors)
{
	const struct conf_section *const *sections;
	size_t n_sections;
	int rc;

	memset(s, 0, sizeof(*s));
	sections = options_sections(&n_sections);
	rc = conf_load(&s->conf, sections, n_sections, path, overrides, n_overrides, errors);
	return rc ? rc : setup_fill(s, errors);
}

/* Opens what [plugins] names. Of the rest of the configuration nothing is said: it is read again. */
static int open_plugins(struct plugins **plugins, const char *path, const char *const *overrides,
			size_t n_overrides, struct strbuf *errors)
{
	const struct conf_section *section = options_plugins_section();
	const struct options_plugins *o;
	struct conf *conf = NULL;
	int rc = conf_load_some(&conf, &section, 1, path, overrides, n_overrides, errors);

	if (rc)
		return rc;
	o = conf_get(conf, "plugins", NULL);
	rc = plugins_open(plugins, &o->load, o->directory[0] ? o->directory : PARLANCE_PLUGINDIR,
			  o->root_only, errors);
	conf_free(&conf);
	return rc;
}

/* A plugin must not take the place of a section of ours. */
static int check_names(const struct conf_section *const *ours, size_t n_ours,
		       const struct conf_section *const *theirs, size_t n_theirs,
		       struct strbuf *errors)
{
	int rc = 0;

	for (size_t i = 0; i < n_ours * n_theirs; i++) {
		const char *name = theirs[i % n_theirs]->name;

		if (strcmp(ours[i / n_theirs]->name, name) != 0)
			continue;
		strbuf_printf(errors,
			      "[plugins] load: the plugin \"%s\" has the name of a section of the "
			      "daemon; its author must give it another\n",
			      name);
		rc = PARLANCE_EINVAL;
	}
	return rc;
}

/* Our tables and those of the plugins (NULL: none), to be freed. NULL: out of memory. */
static const struct conf_section **join_sections(const struct plugins *plugins, size_t *n)
{
	const struct conf_section *const *theirs = NULL;
	const struct conf_section *const *ours;
	const struct conf_section **all;
	size_t n_theirs = 0;
	size_t n_ours;

	ours = options_sections(&n_ours);
	if (plugins)
		theirs = plugins_sections(plugins, &n_theirs);
	*n = n_ours + n_theirs;
	all = calloc(*n, sizeof(const struct conf_section *));
	for (size_t i = 0; all && i < *n; i++)
		all[i] = i < n_ours ? ours[i] : theirs[i - n_ours];
	return all;
}

/* Plugins and the tables of all options, ours and theirs. */
static int open_all(struct setup *s, const char *path, const char *const *overrides,
		    size_t n_overrides, struct strbuf *errors)
{
	size_t n_ours;
	int rc = open_plugins(&s->plugins, path, overrides, n_overrides, errors);

	s->sections = join_sections(s->plugins, &s->n_sections);
	if (!s->sections)
		return PARLANCE_ENOMEM;
	if (rc)
		return rc;
	(void)options_sections(&n_ours);
	return check_names(s->sections, n_ours, s->sections + n_ours, s->n_sections - n_ours,
			   errors);
}

int setup_load_plugins(struct setup *s, const char *path, const char *const *overrides,
		       size_t n_overrides, struct strbuf *errors)
{
	struct strbuf first;
	int rc;
	int rc_rest;

	memset(s, 0, sizeof(*s));
	strbuf_init(&first, errors->max);
	rc = open_all(s, path, overrides, n_overrides, &first);
	if (!rc) {
		rc = conf_load(&s->conf, s->sections, s->n_sections, path, overrides, n_overrides,
			       errors);
		rc = rc ? rc : setup_fill(s, errors);
	} else if (rc != PARLANCE_ENOMEM) {
		/* What else is wrong is said as well, as far as it can be told without all plugins.
		 * A problem of [plugins] itself is found again. */
		rc_rest = conf_load_some(&s->conf, s->sections, s->n_sections, path, overrides,
					 n_overrides, errors);
		if (!rc_rest)
			rc_rest = setup_fill(s, errors);
		if (!rc_rest || s->plugins)
			strbuf_append(errors, first.data, first.len);
	}
	strbuf_fini(&first);
	return rc;
}

int setup_sample(const char *path, const char *const *overrides, size_t n_overrides,
		 struct strbuf *out, struct strbuf *errors)
{
	struct setup s;
	int rc;

	memset(&s, 0, sizeof(s));
	rc = open_all(&s, path, overrides, n_overrides, errors);
	if (!rc)
		conf_sample(s.sections, s.n_sections, out);
	setup_fini(&s);
	return rc;
}

void setup_fini(struct setup *s)
{
	conf_free(&s->conf);
	plugins_free(&s->plugins);
	free(s->sections);
	s->sections = NULL;
	free(s->trusted_proxies);
	s->trusted_proxies = NULL;
}

void setup_log(const struct setup *s)
{
	const struct options_log *o = conf_get(s->conf, "log", NULL);

	log_setup((enum log_level)o->level, (enum log_format)o->format, 2);
	log_set_rate((uint32_t)o->lines_per_second);
}

int setup_process(const struct setup *s, struct strbuf *err)
{
	const struct options_process *o = conf_get(s->conf, "process", NULL);

	if (geteuid() == 0 || getuid() == 0) {
		if (!o->allow_root) {
			strbuf_append_str(err,
					  "parlanced does not run as root, whose rights it does not "
					  "need: start it as a user of its own (User= in the unit, "
					  "or runuser -u USER), or set allow_root = yes in "
					  "[process]\n");
			return PARLANCE_EDENIED;
		}
		log_warn("setup", NULL, "runs as root (give it a user of its own)");
	}
	if (o->core_dumps && sandbox_set_dumpable(true)) {
		strbuf_append_str(err, "[process] core_dumps: the kernel does not allow that\n");
		return PARLANCE_ESYS;
	}
	return 0;
}

int setup_sandbox(const struct setup *s, struct strbuf *err)
{
	const struct options_process *o = conf_get(s->conf, "process", NULL);
	int rc;

	_Static_assert(SANDBOX_ON == 1 && SANDBOX_LOG == 2 && SANDBOX_OFF == 3,
		       "as in conf/options.c");
	rc = sandbox_enter(o->seccomp, o->seccomp_allow.items, o->seccomp_allow.n, err);
	if (rc)
		strbuf_append_str(err, "; set seccomp = no in [process] to do without");
	return rc;
}

void setup_prepare(const struct setup *s)
{
	const struct options_process *process = conf_get(s->conf, "process", NULL);
	/* Not more than needed: libwebsockets keeps tables by the limit, and walks them. */
	rlim_t want = (rlim_t)s->net.max_connections + FILES_RESERVED +
		      (s->plugins ? s->http_client.max_connections : 0);
	struct rlimit limit;

	sandbox_prepare(process->seccomp);
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	if (limit.rlim_cur != want) {
		limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			return;
	}
	if (limit.rlim_cur < want)
		log_warn("setup",
			 LOG_FIELDS(LOG_UINT("open_files", limit.rlim_cur),
				    LOG_UINT("wanted", want)),
			 "limits.max_connections cannot be reached (raise LimitNOFILE= or ulimit "
			 "-Hn)");
}

void setup_listener(const char *name, const struct options_listener *o,
		    struct net_listener_config *out)
{
	*out = (struct net_listener_config){
		.name = name,
		.address = o->address,
		.unix_mode = (uint32_t)strtoul(o->unix_mode, NULL, 8),
		.reuse_port = o->reuse_port,
		.proxy_protocol = o->proxy_protocol,
		.tls_cert = o->tls_cert,
		.tls_key = o->tls_key,
		.tls_reload_s = (uint32_t)o->tls_reload_s,
		.tls_min_version = o->tls_min_version == 13 ? NET_TLS_1_3 : NET_TLS_1_2,
		.issuer = o->issuer,
		.audience = o->audience,
		.tls_ciphers = o->tls_ciphers,
		.tls_ciphersuites = o->tls_ciphersuites,
		.hsts_max_age_s = (uint32_t)o->hsts_max_age_s,
		.redirect = o->redirect,
		.admin = o->admin,
	};
}

int setup_listen(const struct setup *s, struct net *net, struct strbuf *err)
{
	const struct options_listener *o;
	struct net_listener_config config;
	const char *name;
	int rc = 0;

	for (size_t i = 0; !rc && (o = conf_get_nth(s->conf, "listener", i, &name)); i++) {
		setup_listener(name, o, &config);
		rc = net_listen(net, &config, err);
	}
	return rc;
}

int setup_check_listeners(const struct setup *s, struct strbuf *errors)
{
	const struct options_listener *o;
	struct net_listener_config config;
	const char *name;
	int first = 0;

	for (size_t i = 0; (o = conf_get_nth(s->conf, "listener", i, &name)); i++) {
		int rc;

		setup_listener(name, o, &config);
		rc = net_listener_check(&config, errors);
		if (rc)
			strbuf_append_char(errors, '\n');
		first = first ? first : rc;
	}
	return first;
}
