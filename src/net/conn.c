/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Connections: from the accepted socket to its end. libwebsockets is used as what it does well, a
 * socket with TLS on our loop (its raw role): the callback gives bytes, which go where the
 * connection's state says, and tells the end. All output and every close happen at the end of the
 * turn.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/private.h"
#include "base/err.h"
#include "wire/proxy.h"

/* How long a connection that we close may take to flush and to answer our Close frame. */
#define CLOSE_TIMEOUT_MS 5000
/*
 * How long what the peer still sends is read and dropped after that, so that it does not turn our
 * close into a reset that takes the answer with it (RFC 9112 section 9.6).
 */
#define LINGER_MS 2000

static const uint16_t allowed_moves[] = {
	[CONN_PROXY] = 1 << CONN_HEAD | 1 << CONN_CLOSING | 1 << CONN_GONE,
	[CONN_HEAD] = 1 << CONN_BODY | 1 << CONN_HELD | 1 << CONN_PROBE | 1 << CONN_WS |
		      1 << CONN_CLOSING | 1 << CONN_GONE,
	[CONN_BODY] = 1 << CONN_HEAD | 1 << CONN_CLOSING | 1 << CONN_GONE,
	[CONN_HELD] = 1 << CONN_HEAD | 1 << CONN_CLOSING | 1 << CONN_GONE,
	[CONN_PROBE] = 1 << CONN_WS | 1 << CONN_CLOSING | 1 << CONN_GONE,
	[CONN_WS] = 1 << CONN_CLOSING | 1 << CONN_GONE,
	[CONN_CLOSING] = 1 << CONN_GONE,
	[CONN_GONE] = 0,
};

void conn_set_state(struct conn *c, enum conn_state state)
{
	CHECK(allowed_moves[c->state] & 1 << state);
	c->state = (uint8_t)state;
}

void conn_mark_busy(struct conn *c)
{
	if (!list_linked(&c->busy))
		list_push_back(&c->net->busy, &c->busy);
	loop_defer(c->net->loop, &c->net->end_of_turn);
}

static void leave_session(struct conn *c)
{
	struct session *s = c->session;

	c->session = NULL;
	if (s)
		session_conn_gone(s, c);
}

/* The socket is closed, or will be without us: nobody may touch the wsi any more. */
static void conn_gone(struct conn *c)
{
	if (c->state == CONN_GONE)
		return;
	conn_set_state(c, CONN_GONE);
	timer_stop(&c->timer);
	list_remove(&c->busy);
	c->wsi = NULL;
	leave_session(c);
}

static void conn_free(struct conn *c)
{
	struct net *net = c->net;

	CHECK(c->state == CONN_GONE && !c->session);
	list_remove(&c->node);
	io_close(&c->io);
	strbuf_fini(&c->rx);
	strbuf_fini(&c->out);
	if (c->ws)
		ws_reader_fini(c->ws);
	free(c->ws);
	free(c->cors_origin);
	limits_disconnect(&net->limits, &c->address, loop_now_ms(net->loop));
	net->n_conns--;
	if (net->shutting_down && !net->n_conns)
		loop_defer(net->loop, &net->end_of_turn);
	free(c);
}

/* Closing */

static void on_close_timeout(struct timer *timer)
{
	conn_kill(CONTAINER_OF(timer, struct conn, timer));
}

static void begin_closing(struct conn *c)
{
	conn_set_state(c, CONN_CLOSING);
	strbuf_fini(&c->rx);
	loop_timer_start(c->net->loop, &c->timer, CLOSE_TIMEOUT_MS, on_close_timeout);
	conn_mark_busy(c);
}

void conn_close(struct conn *c, enum ws_status status)
{
	bool websocket = c->state == CONN_WS || c->state == CONN_PROBE;

	if (c->state == CONN_CLOSING || c->state == CONN_GONE)
		return;
	begin_closing(c);
	if (websocket && status != WS_NONE) {
		ws_append_close(c, status);
		c->close_sent = true;
	}
	leave_session(c);
}

void conn_kill(struct conn *c)
{
	if (c->state == CONN_GONE)
		return;
	c->kill = true;
	if (c->state != CONN_CLOSING)
		begin_closing(c);
	conn_mark_busy(c);
	leave_session(c);
}

/*
 * Deadline of the head, of the body, of the probe, of the next request: whichever the connection
 * is in.
 */
static void on_timeout(struct timer *timer)
{
	struct conn *c = CONTAINER_OF(timer, struct conn, timer);

	if (c->state == CONN_BODY)
		polling_body_timeout(c);
	else if (c->state == CONN_PROBE)
		conn_close(c, WS_POLICY_VIOLATION);
	else
		conn_kill(c);
}

void conn_deadline(struct conn *c, uint32_t ms)
{
	loop_timer_start(c->net->loop, &c->timer, ms, on_timeout);
}

/* Output */

/*
 * The next bytes to go out. A frame that was begun goes first, then our own (answers, control
 * frames), then more of the session's packets.
 */
static size_t gather(struct conn *c, unsigned char *out)
{
	struct session *s = c->session && c->session->ws == c && c->state == CONN_WS ? c->session
										     : NULL;
	size_t deflate_from = c->ws && c->ws->deflate ? c->net->config->compression_threshold_bytes
						      : SIZE_MAX;
	size_t before = s ? s->outq.bytes : 0;
	size_t n = 0;

	if (s)
		n = outq_take_begun(&s->outq, out, NET_GATHER_BYTES, deflate_from);
	if (c->out.len && (!s || !s->outq.head_done)) {
		size_t left = c->out.len - c->out_done;
		size_t take = left < NET_GATHER_BYTES - n ? left : NET_GATHER_BYTES - n;

		memcpy(out + n, c->out.data + c->out_done, take);
		n += take;
		c->out_done += take;
		if (c->out_done == c->out.len) {
			strbuf_fini(&c->out);
			strbuf_init(&c->out, SIZE_MAX / 2);
			c->out_done = 0;
		}
	}
	if (s && !c->out.len) {
		n += outq_take_ws(&s->outq, out + n, NET_GATHER_BYTES - n, deflate_from);
		session_sent(s, before);
	}
	return n;
}

bool conn_take_queue(struct conn *c)
{
	struct outq *q = &c->session->outq;
	size_t deflate_from = c->ws->deflate ? c->net->config->compression_threshold_bytes
					     : SIZE_MAX;
	size_t before = q->bytes;
	char *room;

	if (!q->count)
		return true;
	if (c->blocked || q->bytes > NET_GATHER_BYTES || (q->head_done && c->out.len))
		return false;
	room = strbuf_reserve(&c->out, NET_GATHER_BYTES);
	if (!room)
		return false;
	strbuf_commit(&c->out,
		      outq_take_ws(q, (unsigned char *)room, NET_GATHER_BYTES, deflate_from));
	session_sent(c->session, before);
	return !q->count;
}

/* False when the connection is broken. */
static bool write_out(struct conn *c)
{
	unsigned char *buf = c->net->gather + LWS_PRE;
	size_t n;

	while (!lws_partial_buffered(c->wsi) && (n = gather(c, buf)))
		if (lws_write(c->wsi, buf, n, LWS_WRITE_RAW) < 0)
			return false;
	c->blocked = lws_partial_buffered(c->wsi);
	if (c->blocked)
		lws_callback_on_writable(c->wsi);
	conn_update_reading(c);
	return true;
}

void conn_update_reading(struct conn *c)
{
	/* Level-triggered input that nobody takes would spin the loop: libwebsockets takes none
	 * while it has output to flush. */
	bool read = !c->blocked && !(c->state == CONN_WS && c->session && c->session->congested);

	if (!c->wsi || read == c->reading)
		return;
	c->reading = read;
	(void)lws_rx_flow_control(c->wsi, read);
}

/* Input */

/* Uses what it can of the bytes; the rest stays in *in. */
static void take_input(struct conn *c, struct slice *in)
{
	const struct net_config *config = c->net->config;
	struct http_request request;
	int rc;

	switch (c->state) {
	case CONN_HEAD:
		rc = http_parse(*in, config->max_header_bytes, &request);
		if (rc == PARLANCE_EAGAIN) {
			if (!c->head_begun && in->len)
				conn_deadline(c, config->header_timeout_ms);
			c->head_begun = true;
			return;
		}
		if (rc) {
			c->keep_alive = false;
			if (rc == PARLANCE_ETOOBIG)
				http_answer_text(c, 431, "The request's head is too large\n", NULL);
			else
				http_answer_text(c, rc == PARLANCE_ENOTSUP ? 505 : 400,
						 "This is no HTTP/1.1 request\n", NULL);
			return;
		}
		in->p += request.head_len;
		in->len -= request.head_len;
		c->head_begun = false;
		http_request(c, &request);
		return;
	case CONN_BODY: {
		size_t n = in->len < c->body_left ? in->len : (size_t)c->body_left;

		strbuf_append(&c->rx, in->p, n);
		in->p += n;
		in->len -= n;
		c->body_left -= n;
		if (!strbuf_ok(&c->rx))
			conn_kill(c);
		else if (!c->body_left)
			polling_body_complete(c);
		return;
	}
	case CONN_PROBE:
	case CONN_WS:
		ws_input(c, in);
		return;
	case CONN_CLOSING:
		/* Behind our Close frame the peer's is looked for; all else is dropped. */
		if (c->ws && c->close_sent)
			ws_input(c, in);
		in->len = 0;
		return;
	default: /* CONN_HELD: the next request waits for its turn */
		return;
	}
}

static void input(struct conn *c, void *p, size_t len)
{
	struct slice in = slice_of(p, len);
	char *owned = NULL;

	if (c->discard)
		return;
	if (c->rx.len && c->state != CONN_BODY) {
		strbuf_append(&c->rx, p, len);
		in.len = c->rx.len;
		owned = strbuf_steal(&c->rx, NULL);
		in.p = owned;
		if (!owned) {
			conn_kill(c);
			return;
		}
	}
	while (in.len) {
		size_t before = in.len;

		take_input(c, &in);
		if (in.len == before)
			break;
	}
	if (in.len && c->state != CONN_CLOSING && c->state != CONN_GONE) {
		strbuf_append(&c->rx, in.p, in.len);
		if (!strbuf_ok(&c->rx))
			conn_kill(c);
		/* More requests wait behind a held poll than we keep: it is answered, and is the
		 * last. */
		if (c->state == CONN_HELD && c->rx.len > c->net->config->max_header_bytes) {
			strbuf_reset(&c->rx);
			c->discard = true;
			c->keep_alive = false;
		}
	}
	free(owned);
}

/* Acceptance */

static void count_address(struct conn *c, const struct ip_addr *ip)
{
	static const struct ip_addr nobody;
	struct net *net = c->net;
	enum limit_verdict v;

	limits_disconnect(&net->limits, &c->address, loop_now_ms(net->loop));
	/* A Unix socket's peer has no address to be counted by; trusted proxies stand for many. */
	if (memcmp(ip, &nobody, sizeof(nobody)) == 0 ||
	    ip_net_has(net->config->trusted_proxies, net->config->n_trusted_proxies, ip))
		return;
	v = limits_connect(&net->limits, ip, &c->address);
	if (v > c->over_limit)
		c->over_limit = (uint8_t)v;
}

void conn_set_client(struct conn *c, const struct ip_addr *ip)
{
	count_address(c, ip);
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

static void refuse_proxy(struct conn *c)
{
	static struct log_rate rate = LOG_RATE(5, 10000);
	uint32_t suppressed;

	if (log_rate_allow(&rate, &suppressed))
		log_warn("listener",
			 LOG_FIELDS(LOG_STR("listener", c->listener->name),
				    LOG_UINT("suppressed", suppressed)),
			 "connection refused (no PROXY header, though proxy_protocol is on)");
	conn_kill(c);
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
	if (err == PARLANCE_EAGAIN && (uint64_t)n > c->body_left) {
		/* Wake only for more than was peeked at; woken by less, the peer has closed. */
		int low_mark = (int)n + 1;

		c->body_left = (uint64_t)n;
		if (setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &low_mark, sizeof(low_mark)) == 0)
			return;
	}
	if (err || recv(c->fd, buf, header.len, 0) != (ssize_t)header.len) {
		refuse_proxy(c);
		return;
	}
	io_close(&c->io);
	c->body_left = 0;
	(void)setsockopt(c->fd, SOL_SOCKET, SO_RCVLOWAT, &(int){ 1 }, sizeof(int));
	if (!header.local)
		c->peer = header.client;
	count_address(c, &c->peer);
	if (c->over_limit == LIMIT_CLOSE)
		conn_kill(c);
	else
		adopt(c);
}

static void log_refused(struct conn *c)
{
	static struct log_rate rate = LOG_RATE(5, 10000);
	char text[IP_TEXT_MAX];
	uint32_t suppressed;

	c->net->stats.refused_limit++;
	ip_format(&c->peer, text);
	if (log_rate_allow(&rate, &suppressed))
		log_warn("limits",
			 LOG_FIELDS(LOG_STR("address", text),
				    LOG_UINT("connections", c->net->n_conns),
				    LOG_UINT("suppressed", suppressed)),
			 "connection refused (over limits.max_connections or "
			 "limits.max_connections_per_address)");
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
	c->over_limit = (uint8_t)limits_total(&net->limits, net->n_conns);
	c->reading = true;
	c->head_begun = true;
	strbuf_init(&c->rx, SIZE_MAX / 2);
	strbuf_init(&c->out, SIZE_MAX / 2);
	list_push_back(&net->conns, &c->node);
	net->n_conns++;
	net->stats.accepted++;
	if (!listener->proxy_protocol)
		count_address(c, &c->peer);
	if (c->over_limit == LIMIT_CLOSE) {
		log_refused(c);
		conn_gone(c);
		conn_free(c);
		close(fd);
		return;
	}
	conn_deadline(c, net->config->header_timeout_ms);
	if (!listener->proxy_protocol)
		adopt(c);
	else if (io_open(&c->io, net->loop, fd, IO_READ, on_proxy_readable, c))
		conn_kill(c);
}

/* The end of a turn, and the callback */

static void close_unadopted(struct conn *c)
{
	int fd = c->fd;

	conn_gone(c);
	conn_free(c);
	close(fd);
}

void conn_end_of_turn(struct conn *c)
{
	if (!c->has_wsi) { /* it never got as far as libwebsockets */
		close_unadopted(c);
		return;
	}
	if (c->kill || !write_out(c)) {
		leave_session(c);
		/* Closes at once, and calls back with RAW_CLOSE. */
		lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
		return;
	}
	if (c->blocked)
		return;
	if (c->state == CONN_CLOSING && !c->close_sent && !c->fin_sent) {
		c->fin_sent = true;
		(void)shutdown(c->fd, SHUT_WR);
		loop_timer_start(c->net->loop, &c->timer, LINGER_MS, on_close_timeout);
	}
	/* A request that came while the one before was not yet answered. */
	if (c->state == CONN_HEAD && c->rx.len && !c->head_begun)
		input(c, NULL, 0);
}

int conn_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		  size_t len)
{
	struct conn *c;

	(void)user;
	switch (reason) {
	case LWS_CALLBACK_WSI_CREATE:
		c = ((struct net *)lws_context_user(lws_get_context(wsi)))->adopting;
		if (c) {
			c->wsi = wsi;
			c->has_wsi = true;
		}
		return 0;
	case LWS_CALLBACK_RAW_RX:
		c = lws_get_opaque_user_data(wsi);
		if (c && c->wsi) {
			/* What it gave the TLS handshake goes on running otherwise; deadlines are
			 * ours. */
			if (c->listener->tls)
				lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0);
			input(c, in, len);
		}
		return 0;
	case LWS_CALLBACK_RAW_WRITEABLE:
		c = lws_get_opaque_user_data(wsi);
		if (c && c->wsi)
			conn_mark_busy(c);
		return 0;
	case LWS_CALLBACK_RAW_CLOSE:
		c = lws_get_opaque_user_data(wsi);
		if (c)
			conn_gone(c);
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		c = lws_get_opaque_user_data(wsi);
		if (c) {
			if (c->net->adopting == c)
				c->net->adopting = NULL;
			conn_gone(c);
			lws_set_opaque_user_data(wsi, NULL);
			conn_free(c);
		}
		return 0;
	default:
		return 0;
	}
}
