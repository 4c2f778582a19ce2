/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Connections: from the accepted socket to its end. libwebsockets is used as what it does well, a
 * socket with TLS on our loop (its raw role): the callback gives bytes, which go where the
 * connection's state says, and tells the end. All output and every close happen at the end of the
 * turn.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "net/private.h"
#include "base/err.h"

/* How long a connection that we close may take to flush and to answer our Close frame. */
#define CLOSE_TIMEOUT_MS 5000
/*
 * How long what the peer still sends is read and dropped after that, so that it does not turn our
 * close into a reset that takes the answer with it (RFC 9112 section 9.6).
 */
#define LINGER_MS 2000
/* How much of files one connection may write before the others have their turn. */
#define FILE_TURN_BYTES (256 * 1024)

static const uint16_t allowed_moves[] = {
	[CONN_PROXY] = 1 << CONN_HEAD | 1 << CONN_CLOSING | 1 << CONN_GONE,
	[CONN_HEAD] = 1 << CONN_BODY | 1 << CONN_HELD | 1 << CONN_PROBE | 1 << CONN_WS |
		      1 << CONN_FORWARD | 1 << CONN_CLOSING | 1 << CONN_GONE,
	[CONN_BODY] = 1 << CONN_HEAD | 1 << CONN_CLOSING | 1 << CONN_GONE,
	[CONN_HELD] = 1 << CONN_HEAD | 1 << CONN_CLOSING | 1 << CONN_GONE,
	[CONN_PROBE] = 1 << CONN_WS | 1 << CONN_CLOSING | 1 << CONN_GONE,
	[CONN_WS] = 1 << CONN_CLOSING | 1 << CONN_GONE,
	[CONN_CLOSING] = 1 << CONN_GONE,
	[CONN_GONE] = 0,
	[CONN_FORWARD] = 1 << CONN_CLOSING | 1 << CONN_GONE,
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

/* Of what the connection served. */
static void let_go(struct conn *c)
{
	struct session *s = c->session;

	forward_free(&c->forward);
	c->session = NULL;
	if (s)
		session_conn_gone(s, c);
}

void conn_gone(struct conn *c)
{
	if (c->state == CONN_GONE)
		return;
	conn_set_state(c, CONN_GONE);
	timer_stop(&c->timer);
	list_remove(&c->busy);
	c->wsi = NULL;
	let_go(c);
}

void conn_free(struct conn *c)
{
	struct net *net = c->net;

	CHECK(c->state == CONN_GONE && !c->session && !c->forward);
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
	net->n_admin -= c->listener->admin;
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
	let_go(c);
}

void conn_kill(struct conn *c)
{
	if (c->state == CONN_GONE)
		return;
	c->kill = true;
	if (c->state != CONN_CLOSING)
		begin_closing(c);
	conn_mark_busy(c);
	let_go(c);
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
	else if (c->state == CONN_FORWARD)
		forward_timeout(c);
	else
		conn_kill(c);
}

void conn_deadline(struct conn *c, uint32_t ms)
{
	loop_timer_start(c->net->loop, &c->timer, ms, on_timeout);
}

/* Output */

/* More of the file that is the body of the answer before it. */
static size_t take_file(struct conn *c, unsigned char *out, size_t room)
{
	size_t n = c->file.len < room ? c->file.len : room;

	if (!n)
		return 0;
	memcpy(out, c->file.p, n);
	c->file = slice_of(c->file.p + n, c->file.len - n);
	c->took_turn = true;
	/* It has as long for the next piece as for a request. */
	conn_deadline(c, c->net->config->idle_timeout_ms);
	return n;
}

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
	if (!c->out.len)
		n += take_file(c, out + n, NET_GATHER_BYTES - n);
	if (s && !c->out.len) {
		n += outq_take_ws(&s->outq, out + n, NET_GATHER_BYTES - n, deflate_from);
		session_sent(s, before);
	}
	return n;
}

bool conn_take_queue(struct conn *c)
{
	struct outq *q = &c->session->outq;
	size_t before = q->bytes;
	char *room;

	if (!q->count)
		return true;
	/* Compressed, a frame may be longer than it counted for. */
	if (c->blocked || c->ws->deflate || q->bytes > NET_GATHER_BYTES ||
	    (q->head_done && c->out.len))
		return false;
	room = strbuf_reserve(&c->out, NET_GATHER_BYTES);
	if (!room)
		return false;
	strbuf_commit(&c->out,
		      outq_take_ws(q, (unsigned char *)room, NET_GATHER_BYTES, SIZE_MAX));
	session_sent(c->session, before);
	return !q->count;
}

/* False when the connection is broken. */
static bool write_out(struct conn *c)
{
	unsigned char *buf = c->net->gather + LWS_PRE;
	size_t files_before = c->file.len;
	size_t n;

	if (!strbuf_ok(&c->out))
		return false;
	c->took_turn = false;
	while (!lws_partial_buffered(c->wsi) && files_before - c->file.len < FILE_TURN_BYTES &&
	       (n = gather(c, buf))) {
		if (lws_write(c->wsi, buf, n, LWS_WRITE_RAW) < 0)
			return false;
		/* It still takes something: give it time for more. */
		if (c->state == CONN_CLOSING && !c->took_turn)
			loop_timer_start(c->net->loop, &c->timer, CLOSE_TIMEOUT_MS,
					 on_close_timeout);
	}
	c->blocked = lws_partial_buffered(c->wsi) || c->file.len;
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

	/* Between two pieces of a file, requests that wait for its end are taken in, so many. */
	if (c->file.len && c->rx.len > c->net->config->max_header_bytes)
		read = false;
	if (c->forward && forward_waits(c->forward))
		read = false;

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
		if (c->file.len) /* the next request waits for the end of this answer */
			return;
		rc = http_parse(*in, config->max_header_bytes, &request);
		free(c->cors_origin); /* of the request before */
		c->cors_origin = NULL;
		if (rc == PARLANCE_EAGAIN) {
			if (!c->head_begun && in->len)
				conn_deadline(c, config->header_timeout_ms);
			c->head_begun = true;
			return;
		}
		if (rc) {
			c->keep_alive = false;
			c->head_only = false;
			if (rc == PARLANCE_ETOOBIG) {
				c->net->stats.limited[NET_LIMIT_HEADER]++;
				http_answer_text(c, 431, "The request's head is too large\n", NULL);
			} else {
				http_answer_text(c, rc == PARLANCE_ENOTSUP ? 505 : 400,
						 "This is no HTTP/1.1 request\n", NULL);
			}
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
	case CONN_FORWARD:
		forward_input(c, in);
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

/* The end of a turn, and the callback */

/* The end of our output: for TLS a close_notify (RFC 8446 section 6.1), for TCP a FIN. */
static void say_goodbye(struct conn *c)
{
	if (c->listener->tls) {
		SSL *ssl = lws_get_ssl(c->wsi);

		if (ssl && SSL_is_init_finished(ssl))
			(void)SSL_shutdown(ssl);
	}
	(void)shutdown(c->fd, SHUT_WR);
}

void conn_end_of_turn(struct conn *c)
{
	if (!c->has_wsi) { /* it never got as far as libwebsockets */
		int fd = c->fd;

		conn_gone(c);
		conn_free(c);
		close(fd);
		return;
	}
	/* It goes on when libwebsockets says that it can be written, and has been read in between: what
	 * comes to be sent meanwhile is no reason. */
	if ((c->blocked || c->yielding) && !c->kill)
		return;
	if (c->kill || !write_out(c)) {
		let_go(c);
		/* Closes at once, and calls back with RAW_CLOSE. */
		lws_set_timeout(c->wsi, PENDING_TIMEOUT_USER_REASON_BASE, LWS_TO_KILL_SYNC);
		return;
	}
	if (c->blocked)
		return;
	if (c->state == CONN_FORWARD)
		forward_written(c);
	if (c->state == CONN_CLOSING && !c->close_sent && !c->fin_sent) {
		c->fin_sent = true;
		say_goodbye(c);
		loop_timer_start(c->net->loop, &c->timer, LINGER_MS, on_close_timeout);
	}
	/* A request that came while the one before was not yet answered. */
	if (c->state == CONN_HEAD && c->rx.len && !c->head_begun) {
		if (c->took_turn)
			lws_callback_on_writable(c->wsi);
		else
			input(c, NULL, 0);
	}
}

int conn_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
		  size_t len)
{
	struct net *net;
	struct conn *c;

	switch (reason) {
	case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS: /* a vhost's SSL_CTX is made */
		net = lws_context_user(lws_get_context(wsi));
		if (!net->applying || tls_apply(net->applying, user))
			return -1;
		net->applying = NULL;
		return 0;
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
		if (!c || !c->wsi)
			return 0;
		c->yielding = c->blocked;
		if (c->blocked) {
			/* The client has taken something. Before more is written, what it sent
			 * meanwhile is read: pongs, and a wish that all this may stop. */
			c->blocked = false;
			if (c->session)
				c->session->sent_since_ping = true;
			conn_update_reading(c);
			lws_callback_on_writable(wsi);
		} else {
			conn_mark_busy(c);
		}
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
