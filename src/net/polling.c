/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Long-polling: a GET is held until there are packets for it, a POST brings packets. At most one
 * of each per session.
 */
#include "net/private.h"
#include "base/err.h"

/*
 * A poll is answered with at most so much (and with at least one packet): the rest is for the
 * next.
 */
#define ANSWER_BYTES (1024 * 1024)

void polling_get(struct conn *c, struct session *s)
{
	if (s->state == SESSION_WEBSOCKET || (s->state == SESSION_FLUSHING && !s->by_polls)) {
		http_answer_error(c, EIO_ERR_BAD_REQUEST);
		return;
	}
	if (s->poll) {
		session_fail(s, SESSION_TRANSPORT_ERROR, WS_GOING_AWAY);
		http_answer_error(c, EIO_ERR_BAD_REQUEST);
		return;
	}
	conn_set_state(c, CONN_HELD);
	timer_stop(&c->timer); /* the heartbeat watches it now */
	c->session = s;
	s->poll = c;
	session_mark_dirty(s);
}

static void answer_poll(struct session *s, struct slice payload)
{
	struct http_answer a = { .status = 200,
				 .type = "text/plain; charset=UTF-8",
				 .body = payload };
	struct conn *c = s->poll;

	s->poll = NULL;
	c->session = NULL;
	http_answer(c, &a);
}

void polling_flush(struct session *s)
{
	const struct outq_item *item;
	struct strbuf payload;
	size_t before = s->outq.bytes;

	if (!s->poll)
		return;
	if (s->state == SESSION_WEBSOCKET || (s->state == SESSION_PROBING && !s->outq.count)) {
		answer_poll(s, slice_str("6"));
		return;
	}
	if (s->state == SESSION_CLOSED) {
		/* The client's own close is answered with a noop, anything else is news to it. */
		answer_poll(s, slice_str(s->reason == SESSION_TRANSPORT_CLOSE ? "6" : "1"));
		return;
	}
	if (!s->outq.count)
		return;
	strbuf_init(&payload, SIZE_MAX / 4);
	while ((item = outq_peek(&s->outq)) &&
	       (!payload.len || payload.len + outq_polling_size(item) <= ANSWER_BYTES)) {
		outq_polling_write(item, &payload);
		outq_pop(&s->outq);
	}
	session_sent(s, before);
	if (strbuf_ok(&payload))
		answer_poll(s, slice_of(payload.data, payload.len));
	else
		session_fail(s, SESSION_NO_MEMORY, WS_INTERNAL_ERROR);
	strbuf_fini(&payload);
}

void polling_post(struct conn *c, struct session *s, uint64_t length)
{
	if (!session_is_open(s)) {
		http_answer_error(c, EIO_ERR_SID_UNKNOWN);
		return;
	}
	if (s->state == SESSION_WEBSOCKET) {
		http_answer_error(c, EIO_ERR_BAD_REQUEST);
		return;
	}
	if (s->post) {
		session_fail(s, SESSION_TRANSPORT_ERROR, WS_GOING_AWAY);
		http_answer_error(c, EIO_ERR_BAD_REQUEST);
		return;
	}
	conn_set_state(c, CONN_BODY);
	conn_deadline(c, c->net->config->body_timeout_ms);
	c->session = s;
	c->body_left = length;
	s->post = c;
	if (!length)
		polling_body_complete(c);
}

/* Takes the connection off its session; NULL when the session is gone or closed. */
static struct session *detach(struct conn *c)
{
	struct session *s = c->session;

	c->session = NULL;
	if (!s)
		return NULL;
	CHECK(s->post == c);
	s->post = NULL;
	return session_is_open(s) ? s : NULL;
}

void polling_body_complete(struct conn *c)
{
	struct http_answer ok = { .status = 200, .type = "text/html", .body = slice_str("ok") };
	struct session *s = detach(c);
	struct eio_packet packet;
	struct strbuf body = c->rx;
	struct slice rest = slice_of(body.data, body.len);
	int err = PARLANCE_EINVAL;

	strbuf_init(&c->rx, SIZE_MAX / 2);
	if (!s) {
		http_answer_error(c, EIO_ERR_SID_UNKNOWN);
	} else {
		while (rest.p && (err = eio_payload_next(&rest, &packet)) == 0 &&
		       session_receive(s, &packet))
			;
		if (err == PARLANCE_EINVAL) {
			session_fail(s, SESSION_PARSE_ERROR, WS_PROTOCOL_ERROR);
			http_answer_error(c, EIO_ERR_BAD_REQUEST);
		} else {
			http_answer(c, &ok);
		}
	}
	strbuf_fini(&body);
}

void polling_body_timeout(struct conn *c)
{
	(void)detach(c);
	c->keep_alive = false;
	http_answer_text(c, 408, "The body did not come in time\n", NULL);
}
