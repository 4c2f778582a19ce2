/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * libwebsockets' context on our loop, and its vhosts: one for all plain listeners, one for each
 * listener with TLS. What it logs goes to our log, rate-limited, because strangers can provoke
 * it.
 */
#include "net/private.h"
#include "base/err.h"

/* What one read gives, in a buffer of the process. */
#define RX_BYTES 65536

static bool evlib_missing;

static void on_lws_log(int level, const char *line)
{
	static struct log_rate rate = LOG_RATE(10, 60000);
	size_t len = strcspn(line, "\n");
	uint32_t suppressed;

	if (strstr(line, "evlib") || strstr(line, "event lib"))
		evlib_missing = true;
	if (log_rate_allow(&rate, &suppressed))
		log_line(level & LLL_ERR ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "libwebsockets",
			 LOG_FIELDS(LOG_UINT("suppressed", suppressed)), "%.*s",
			 (int)(len < 256 ? len : 256), line);
}

static const struct lws_protocols protocols[] = {
	{ .name = "parlance", .callback = conn_callback, .tx_packet_size = NET_GATHER_BYTES },
	{ .name = NULL },
};

/* No validity pings of its own: the heartbeat is ours. */
static const lws_retry_bo_t no_validity_checks;

static void common_info(struct lws_context_creation_info *info)
{
	memset(info, 0, sizeof(*info));
	info->port = CONTEXT_PORT_NO_LISTEN_SERVER;
	info->protocols = protocols;
	info->retry_and_idle_policy = &no_validity_checks;
	info->gid = info->uid = (unsigned int)-1;
}

int vhost_context(struct net *net, struct strbuf *err)
{
	struct lws_context_creation_info info;
	void *loops[1] = { loop_native(net->loop) };

	lws_set_log_level(LLL_ERR | LLL_WARN, on_lws_log);
	common_info(&info);
	info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
		       LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	info.foreign_loops = loops;
	info.user = net;
	/* Ours are shorter and fire first. */
	info.timeout_secs = (net->config->header_timeout_ms + net->config->body_timeout_ms) / 1000 +
			    10;
	info.pt_serv_buf_size = RX_BYTES;
	evlib_missing = false;
	net->lws = lws_create_context(&info);
	if (!net->lws) {
		strbuf_append_str(
			err,
			evlib_missing
				? "libwebsockets cannot load its libuv module: install the package "
				  "libwebsockets-evlib-uv (Debian) or libwebsockets-evlib_uv"
				: "libwebsockets cannot start (see its message above)");
		return PARLANCE_ESYS;
	}
	return 0;
}

static int make(struct net *net, struct lws_context_creation_info *info, struct lws_vhost **out)
{
	*out = lws_create_vhost(net->lws, info);
	return *out ? 0 : PARLANCE_ESYS;
}

int vhost_for(struct net *net, struct tls *tls, struct lws_vhost **out, struct strbuf *err)
{
	struct lws_context_creation_info info;

	common_info(&info);
	if (!tls) {
		/* A blank in the name: no Host header can name it. */
		info.vhost_name = "plain listeners";
		if (!net->plain && make(net, &info, &net->plain)) {
			strbuf_append_str(err, "libwebsockets cannot make a vhost");
			return PARLANCE_ESYS;
		}
		*out = net->plain;
		return 0;
	}
	info.vhost_name = "TLS listener";
	/* HTTP/2 is a proxy's business. */
	info.alpn = "http/1.1";
	/* It gives us a context without a certificate (conn_callback). */
	info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT |
		       LWS_SERVER_OPTION_CREATE_VHOST_SSL_CTX;
	net->applying = tls;
	if (make(net, &info, out) || net->applying) {
		net->applying = NULL;
		strbuf_append_str(err, "libwebsockets cannot make a vhost with TLS");
		return PARLANCE_ESYS;
	}
	return 0;
}
