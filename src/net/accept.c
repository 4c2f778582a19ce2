/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Acceptance: who may connect, the PROXY header of a trusted proxy, and the hand-over of the socket
 * to libwebsockets.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/private.h"
#include "base/err.h"
#include "wire/proxy.h"

#define ADMIN_CONNECTIONS 64

bool conn_trusts(const struct conn *c, const struct ip_addr *ip)
{
	const struct net_config *config = c->net->config;

	return ip_net_has(config->trusted_proxies, config->n_trusted_proxies, ip);
}

void conn_set_client(struct conn *c, const struct ip_addr *ip)
{
	struct net *net = c->net;
	struct ip_addr counted = *ip;

	limits_disconnect(&net->limits, &c->address, loop_now_ms(net->loop));
	c->address_verdict = LIMIT_OK;
	/* A Unix socket's peer has no address to be counted by; trusted proxies stand for many. */
	if (ip_is_unset(ip) || conn_trusts(c, ip) || c->listener->admin)
		return;
	/* Whoever has one IPv6 address has the 64 bits of its interface identifier. */
	if (!ip_is_v4(ip))
		memset(counted.b + 8, 0, 8);
	c->address_verdict = (uint8_t)limits_connect(&net->limits, &counted, &c->address);
}

/* Hands the socket to libwebsockets. */
static void adopt(struct conn *c)
{
	struct net *net = c->net;
	lws_adopt_desc_t d = {
		.vh = c->listener->vhost,
		.type = LWS_ADOPT_SOCKET | (c->listener->tls ? LWS_ADOPT_ALLOW_SSL : 0),
		.fd.sockfd = c->fd,
		.opaque = c,
	};

	if (c->state == CONN_PROXY)
		conn_set_state(c, CONN_HEAD);
	net->adopting = c;
	if (lws_adopt_descriptor_vhost_via_info(&d)) {
		net->adopting = NULL;
		return;
	}
	/* It has closed the socket. Was there a wsi already, WSI_DESTROY has freed the connection
	 * or will. */
	if (net->adopting && !c->has_wsi) {
		conn_gone(c);
		conn_free(c);
	}
	net->adopting = NULL;
}

static void refuse_proxy(struct conn *c, const char *why)
{
	static struct log_rate rate = LOG_RATE(5, 10000);
	uint32_t suppressed;

	if (log_rate_allow(&rate, &suppressed))
		log_warn("listener",
			 LOG_FIELDS(LOG_STR("listener", c->listener->name),
				    LOG_UINT("suppressed", suppressed)),
			 "connection refused (%s)", why);
	conn_kill(c);
}

enum net_limit conn_limit(const struct conn *c)
{
	const struct net *net = c->net;

	if (c->total_verdict > LIMIT_OK || net->sessions.count >= net->config->max_connections)
		return NET_LIMIT_CONNECTIONS;
	if (c->address_verdict > LIMIT_OK ||
	    (c->address && !limits_session_ok(&net->limits, c->address)))
		return NET_LIMIT_CONNECTIONS_PER_ADDRESS;
	return NET_LIMIT_CONNECTIONS;
}

static void log_refused(struct conn *c)
{
	static struct log_rate rate = LOG_RATE(5, 10000);
	char text[IP_TEXT_MAX];
	uint32_t suppressed;

	c->net->stats.limited[conn_limit(c)]++;
	ip_format(&c->peer, text);
	if (log_rate_allow(&rate, &suppressed))
		log_warn("limits",
			 LOG_FIELDS(LOG_STR("address", text),
				    LOG_UINT("connections", c->net->n_conns),
				    LOG_UINT("suppressed", suppressed)),
			 "connection refused (over limits.max_connections or "
			 "limits.max_connections_per_address)");
}

static void on_proxy_readable(struct io *io, unsigned int events, void *arg)
{
	struct conn *c = arg;
	char buf[PROXY_HEADER_MAX];
	struct proxy_header header;
	ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_PEEK);
	int err;

	(void)io;
	(void)events;
	if (c->state != CONN_PROXY || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	if (n <= 0) {
		conn_kill(c);
		return;
	}
	err = proxy_parse(slice_of(buf, (size_t)n), &header);
	if (err == PARLANCE_EAGAIN && (size_t)n > c->peeked) {
		/* Wake only for more than was peeked at; woken by less, the peer has closed. */
		int low_mark = (int)n + 1;

		c->peeked = (size_t)n;
		if (setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &low_mark, sizeof(low_mark)) == 0)
			return;
	}
	if (err || recv(c->fd, buf, header.len, 0) != (ssize_t)header.len) {
		refuse_proxy(c, "no PROXY header, though proxy_protocol is on");
		return;
	}
	io_close(&c->io);
	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &(int){ 1 }, sizeof(int));
	if (!header.local)
		c->peer = header.client;
	conn_set_client(c, &c->peer);
	if (c->address_verdict == LIMIT_CLOSE) {
		log_refused(c);
		conn_kill(c);
	} else {
		adopt(c);
	}
}

/* Probes are to be answered while clients have all connections: admin listeners have some of their
 * own, and few. */
static enum limit_verdict judge(const struct net *net, const struct listener *listener)
{
	if (listener->admin)
		return net->n_admin < ADMIN_CONNECTIONS ? LIMIT_OK : LIMIT_CLOSE;
	return limits_total(&net->limits, net_descriptors(net));
}

void conn_accept(struct net *net, struct listener *listener, int fd, const struct ip_addr *peer)
{
	struct conn *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->net = net;
	c->listener = listener;
	c->fd = fd;
	c->peer = *peer;
	c->state = listener->proxy_protocol ? CONN_PROXY : CONN_HEAD;
	c->total_verdict = (uint8_t)judge(net, listener);
	c->address_verdict = LIMIT_OK;
	c->reading = true;
	c->head_begun = true;
	strbuf_init(&c->rx, SIZE_MAX / 2);
	strbuf_init(&c->out, SIZE_MAX / 2);
	list_push_back(&net->conns, &c->node);
	net->n_conns++;
	net->n_admin += listener->admin;
	if (net->n_conns > net->peak_conns)
		net->peak_conns = net->n_conns;
	net->stats.accepted++;
	/* One instance has the clients of many addresses. */
	c->uncounted = peers_have_ip(net, peer) && !listener->proxy_protocol;
	if (!listener->proxy_protocol && !c->uncounted)
		conn_set_client(c, &c->peer);
	if (c->total_verdict == LIMIT_CLOSE || c->address_verdict == LIMIT_CLOSE) {
		log_refused(c);
		conn_gone(c);
		conn_free(c);
		close(fd);
		return;
	}
	conn_deadline(c, net->config->header_timeout_ms);
	if (!listener->proxy_protocol)
		adopt(c);
	else if (!conn_trusts(c, peer))
		refuse_proxy(c, "proxy_protocol is on, and the peer is not in limits.trusted_proxies");
	else if (io_open(&c->io, net->loop, fd, IO_READ, on_proxy_readable, c))
		conn_kill(c);
}
