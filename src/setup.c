/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* From options to running layers. */
#include <sys/resource.h>

#include "setup.h"
#include "base/err.h"
#include "base/log.h"
#include "conf/options.h"
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

/* Every option's range fits the type it goes to. */
static int fill(struct setup *s, struct strbuf *errors)
{
	const struct options_engine *e = conf_get(s->conf, "engine", NULL);
	const struct options_socket *k = conf_get(s->conf, "socket", NULL);
	const struct options_cors *c = conf_get(s->conf, "cors", NULL);
	const struct options_limits *l = conf_get(s->conf, "limits", NULL);
	struct net_config *n = &s->net;
	int rc = options_check(s->conf, errors);
	int rc_networks;
	int rc_origins;

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

	s->sio.connect_timeout_ms = (uint32_t)e->connect_timeout_ms;
	s->sio.authorize_timeout_ms = (uint32_t)k->authorize_timeout_ms;
	s->sio.max_namespaces = (uint32_t)k->max_namespaces;
	s->sio.max_rooms = (uint32_t)k->max_rooms;
	s->sio.max_pending_acks = (uint32_t)k->max_pending_acks;
	s->sio.max_attachments = (uint32_t)k->max_attachments;
	s->sio.max_attachment_bytes = (uint64_t)k->max_attachment_bytes;

	rc_networks = read_networks(s, &l->trusted_proxies, errors);
	rc_origins = read_origins(s, &c->origins, errors);
	if (!rc)
		rc = rc_networks ? rc_networks : rc_origins;
	return rc;
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
	return rc ? rc : fill(s, errors);
}

void setup_fini(struct setup *s)
{
	conf_free(&s->conf);
	free(s->trusted_proxies);
	s->trusted_proxies = NULL;
}

void setup_log(const struct setup *s)
{
	const struct options_log *o = conf_get(s->conf, "log", NULL);

	log_setup((enum log_level)o->level, (enum log_format)o->format, 2);
}

void setup_files(const struct setup *s)
{
	/* Not more than needed: libwebsockets keeps tables by the limit, and walks them. */
	rlim_t want = (rlim_t)s->net.max_connections + FILES_RESERVED;
	struct rlimit limit;

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

static int listen_on(struct net *net, const char *name, const struct options_listener *o,
		     struct strbuf *err)
{
	struct net_listener_config config = {
		.name = name,
		.address = o->address,
		.unix_mode = (uint32_t)strtoul(o->unix_mode, NULL, 8),
		.reuse_port = o->reuse_port,
		.proxy_protocol = o->proxy_protocol,
		.tls_cert = o->tls_cert,
		.tls_key = o->tls_key,
		.tls_min_version = o->tls_min_version == 13 ? NET_TLS_1_3 : NET_TLS_1_2,
	};

	return net_listen(net, &config, err);
}

int setup_listen(const struct setup *s, struct net *net, struct strbuf *err)
{
	const struct options_listener *o;
	const char *name;
	int rc = 0;

	for (size_t i = 0; !rc && (o = conf_get_nth(s->conf, "listener", i, &name)); i++)
		rc = listen_on(net, name, o, err);
	return rc;
}
