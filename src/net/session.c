/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Engine.IO sessions: life, heartbeat, upgrade, output limits. What a session owes the outside
 * (callbacks, writes, its own end) is done at the end of the turn, so that no callback meets a
 * session that died under it.
 */
#include "net/private.h"
#include "base/err.h"

/* How long a closed polling session waits for a GET that fetches what is left. */
#define FLUSH_TIMEOUT_MS 5000

/* A deadline that is noticed later than this was missed by us: the process was stopped, or the
 * machine slept. */
#define LATE_MS 1000

static const uint8_t allowed_moves[] = {
	[SESSION_POLLING] = 1 << SESSION_PROBING | 1 << SESSION_WEBSOCKET | 1 << SESSION_FLUSHING |
			    1 << SESSION_CLOSED,
	[SESSION_PROBING] = 1 << SESSION_POLLING | 1 << SESSION_WEBSOCKET | 1 << SESSION_FLUSHING |
			    1 << SESSION_CLOSED,
	[SESSION_WEBSOCKET] = 1 << SESSION_FLUSHING | 1 << SESSION_CLOSED,
	[SESSION_FLUSHING] = 1 << SESSION_CLOSED,
	[SESSION_CLOSED] = 0,
};

void session_set_state(struct session *s, enum session_state state)
{
	CHECK(allowed_moves[s->state] & 1 << state);
	s->state = (uint8_t)state;
}

const char *session_close_text(enum session_close reason)
{
	switch (reason) {
#define X(name, value, text) \
	case name:           \
		return text;
		SESSION_CLOSE_LIST(X)
#undef X
	}
	return "?";
}

uint64_t session_id(const struct session *s)
{
	return s->id;
}

struct session *session_lookup(const struct net *net, uint64_t id)
{
	struct session *s = idtable_get(&net->sessions, id);

	return s && session_is_open(s) ? s : NULL;
}

const char *session_sid(const struct session *s)
{
	return s->sid;
}

void session_set_user(struct session *s, void *user)
{
	s->user = user;
}

void *session_user(const struct session *s)
{
	return s->user;
}

const struct session_handshake *session_handshake(const struct session *s)
{
	return s->handshake ? &s->handshake->view : NULL;
}

void session_demands(const struct session *s, struct slice *issuer, struct slice *audience)
{
	*issuer = s->demands ? s->demands->issuer : slice_of(NULL, 0);
	*audience = s->demands ? s->demands->audience : slice_of(NULL, 0);
}

void session_forget_handshake(struct session *s)
{
	free(s->handshake);
	s->handshake = NULL;
}

bool session_is_websocket(const struct session *s)
{
	return s->state == SESSION_WEBSOCKET;
}

bool session_is_upgrading(const struct session *s)
{
	return s->state == SESSION_PROBING ||
	       (s->state == SESSION_FLUSHING && s->by_polls && s->ws);
}

bool session_is_open(const struct session *s)
{
	return s->state == SESSION_POLLING || s->state == SESSION_PROBING ||
	       s->state == SESSION_WEBSOCKET;
}

struct session *session_by_sid(const struct net *net, struct slice sid)
{
	return map_get(net->by_sid, sid.p, sid.len);
}

void session_mark_dirty(struct session *s)
{
	if (!list_linked(&s->dirty))
		list_push_back(&s->net->dirty, &s->dirty);
	loop_defer(s->net->loop, &s->net->end_of_turn);
}

/*
 * Heartbeat. Deadlines are counted from when they were due, not from when the timer fired, so
 * they do not drift.
 */

static void on_heartbeat(struct timer *timer);

static uint64_t soft_deadline_ms(const struct session *s)
{
	return s->over_soft_since_ms
		       ? s->over_soft_since_ms + (uint64_t)s->net->config->queue_soft_seconds * 1000
		       : UINT64_MAX;
}

/* One timer for both: the heartbeat, and the end of patience with a long queue. */
static void arm(struct session *s)
{
	uint64_t soft_ms = soft_deadline_ms(s);

	loop_timer_start_at(s->net->loop, &s->timer, soft_ms < s->due_ms ? soft_ms : s->due_ms,
			    on_heartbeat);
}

static void await_ping(struct session *s, uint64_t from_ms)
{
	s->pong_awaited = false;
	s->due_ms = from_ms + s->net->config->ping_interval_ms;
	arm(s);
}

static void queue(struct session *s, char type, struct frame *frame, struct slice tail);

static void on_heartbeat(struct timer *timer)
{
	struct session *s = CONTAINER_OF(timer, struct session, timer);

	if (s->state == SESSION_FLUSHING) {
		session_fail(s, (enum session_close)s->reason, WS_GOING_AWAY);
		return;
	}
	if (loop_now_ms(s->net->loop) >= soft_deadline_ms(s)) {
		session_fail(s, SESSION_TOO_SLOW, WS_POLICY_VIOLATION);
		return;
	}
	if (loop_now_ms(s->net->loop) < s->due_ms) {
		arm(s);
		return;
	}
	/* Nobody has looked for the pongs that came meanwhile: all would be cut off at once. */
	if (loop_now_ms(s->net->loop) - s->due_ms > LATE_MS) {
		s->due_ms = loop_now_ms(s->net->loop);
		s->sent_since_ping = true;
	}
	/* The pong of a client that is still taking what lies before the ping cannot be here. */
	if (s->pong_awaited && s->sent_since_ping) {
		s->sent_since_ping = false;
		s->due_ms += s->net->config->ping_timeout_ms;
		arm(s);
		return;
	}
	if (s->pong_awaited) {
		session_fail(s, SESSION_PING_TIMEOUT, WS_GOING_AWAY);
		return;
	}
	s->pong_awaited = true;
	s->sent_since_ping = false;
	s->due_ms += s->net->config->ping_timeout_ms;
	arm(s);
	queue(s, EIO_PING, NULL, slice_of(NULL, 0));
}

bool session_expired(const struct session *s)
{
	return s->pong_awaited && !s->sent_since_ping && loop_now_ms(s->net->loop) >= s->due_ms;
}

/* Opening. */

static struct frame *open_frame(const struct session *s)
{
	const struct net_config *c = s->net->config;
	struct eio_open open = {
		.sid = s->sid,
		.upgrade_websocket = !s->ws,
		.ping_interval_ms = c->ping_interval_ms,
		.ping_timeout_ms = c->ping_timeout_ms,
		.max_payload_bytes = c->max_payload_bytes,
	};
	struct strbuf json;
	struct frame *frame;

	strbuf_init(&json, 1024);
	eio_open_json(&json, &open);
	frame = strbuf_ok(&json) ? frame_copy(FRAME_TEXT, json.data, json.len) : NULL;
	strbuf_fini(&json);
	return frame;
}

int session_open(struct net *net, struct handshake *handshake, struct conn *c, bool websocket,
		 struct session **out)
{
	struct session *s = calloc(1, sizeof(*s));
	struct frame *frame = NULL;

	if (!s) {
		free(handshake);
		return PARLANCE_ENOMEM;
	}
	s->net = net;
	s->handshake = handshake;
	if (c->listener->demands && demands_new(&s->demands, c->listener->demands->issuer,
						c->listener->demands->audience)) {
		free(handshake);
		free(s);
		return PARLANCE_ENOMEM;
	}
	s->state = websocket ? SESSION_WEBSOCKET : SESSION_POLLING;
	s->ws = websocket ? c : NULL;
	outq_init(&s->outq);
	id_token(s->sid);
	s->sid_len = ID_TOKEN_LEN;
	if (net->number)
		s->sid_len += (uint8_t)forward_sid_suffix(net->number, s->sid + ID_TOKEN_LEN);
	s->id = idtable_add(&net->sessions, s);
	frame = open_frame(s);
	if (!s->id || !frame || map_put(net->by_sid, s)) {
		if (s->id)
			idtable_del(&net->sessions, s->id);
		frame_unref(&frame);
		free(s->handshake);
		free(s->demands);
		free(s);
		return PARLANCE_ENOMEM;
	}
	limits_session_opened(c->address, &s->address);
	if (websocket) {
		c->session = s;
		s->was_websocket = true;
		net->n_websocket++;
	}
	await_ping(s, loop_now_ms(net->loop));
	queue(s, EIO_OPEN, frame, slice_of(NULL, 0));
	frame_unref(&frame);
	*out = s;
	net->ops->open(net->ctx, s);
	return 0;
}

static void no_longer_websocket(struct session *s)
{
	if (s->was_websocket)
		s->net->n_websocket--;
	s->was_websocket = false;
}

void session_upgraded(struct session *s)
{
	if (s->state == SESSION_FLUSHING) {
		s->by_polls = false;
	} else {
		session_set_state(s, SESSION_WEBSOCKET);
		s->was_websocket = true;
		s->net->n_websocket++;
	}
	/* The GET that may still hang (an early upgrade) is let go with a noop; what is queued
	 * goes over the WebSocket. */
	session_mark_dirty(s);
}

/* Input. */

bool session_receive(struct session *s, const struct eio_packet *packet)
{
	if (!session_is_open(s))
		return false;
	switch (packet->type) {
	case EIO_MESSAGE:
		s->net->ops->message(s->net->ctx, s, packet->binary, packet->data);
		break;
	case EIO_PONG:
		if (s->pong_awaited)
			await_ping(s, loop_now_ms(s->net->loop));
		break;
	case EIO_CLOSE:
		session_fail(s, SESSION_TRANSPORT_CLOSE, WS_NORMAL);
		break;
	case EIO_OPEN:
	case EIO_PING:
	case EIO_UPGRADE:
	case EIO_NOOP:
		/* Not a client's to send; a ping neither, since protocol 4. */
		session_fail(s, SESSION_PARSE_ERROR, WS_PROTOCOL_ERROR);
		break;
	}
	return session_is_open(s);
}

/* Output. */

static void check_limits(struct session *s)
{
	const struct net_config *c = s->net->config;

	if (s->outq.bytes > c->queue_high_bytes && !s->congested) {
		s->congested = true;
		if (s->ws)
			conn_update_reading(s->ws); /* what a client asks makes output */
	}
	if (s->outq.bytes > c->queue_hard_bytes) {
		session_fail(s, SESSION_TOO_SLOW, WS_POLICY_VIOLATION);
	} else if (s->outq.bytes > c->queue_soft_bytes && !s->over_soft_since_ms &&
		   session_is_open(s)) {
		s->over_soft_since_ms = loop_now_ms(s->net->loop);
		arm(s);
	}
}

static void queue(struct session *s, char type, struct frame *frame, struct slice tail)
{
	size_t before = s->outq.bytes;

	if (outq_push(&s->outq, type, frame, tail)) {
		session_fail(s, SESSION_NO_MEMORY, WS_INTERNAL_ERROR);
		return;
	}
	s->net->queued_bytes += s->outq.bytes - before;
	session_mark_dirty(s);
	check_limits(s);
}

void session_send(struct session *s, struct frame *frame, struct slice tail)
{
	if (session_is_open(s))
		queue(s, EIO_MESSAGE, frame, tail);
}

void session_sent(struct session *s, size_t before_bytes)
{
	const struct net_config *c = s->net->config;

	s->net->queued_bytes -= before_bytes - s->outq.bytes;
	outq_trim(&s->outq);
	if (s->state == SESSION_FLUSHING && !s->outq.count)
		session_mark_dirty(s);
	if (s->outq.bytes <= c->queue_soft_bytes)
		s->over_soft_since_ms = 0;
	if (s->congested && s->outq.bytes <= c->queue_low_bytes) {
		s->congested = false;
		s->drained = true;
		session_mark_dirty(s);
	}
}

bool session_writable(const struct session *s)
{
	if (s->outq.count)
		return false;
	if (s->state == SESSION_WEBSOCKET)
		return s->ws && s->ws->state == CONN_WS && !s->ws->blocked && !s->ws->yielding;
	return session_is_open(s) && s->poll;
}

size_t session_queued_bytes(const struct session *s)
{
	return s->outq.bytes;
}

bool session_congested(const struct session *s)
{
	return s->congested;
}

/* Closing. */

static void drop_queue(struct session *s)
{
	s->net->queued_bytes -= s->outq.bytes;
	outq_fini(&s->outq);
}

void session_close(struct session *s, enum session_close reason)
{
	bool polling = s->state != SESSION_WEBSOCKET;

	if (!session_is_open(s))
		return;
	/* A client whose probe was answered may poll no more; it is told over the WebSocket then. */
	if (s->ws && s->state == SESSION_POLLING)
		conn_close(s->ws, WS_GOING_AWAY);
	s->reason = (uint8_t)reason;
	session_set_state(s, SESSION_FLUSHING);
	s->by_polls = polling;
	loop_timer_start(s->net->loop, &s->timer, FLUSH_TIMEOUT_MS, on_heartbeat);
	session_mark_dirty(s);
}

void session_fail(struct session *s, enum session_close reason, enum ws_status status)
{
	bool clean = true;

	if (s->state == SESSION_CLOSED)
		return;
	if (session_is_open(s))
		s->reason = (uint8_t)reason;
	session_set_state(s, SESSION_CLOSED);
	timer_stop(&s->timer);
	/* What was said before still goes out. A frame that was begun and cannot be finished
	 * leaves no place for another. */
	if (s->ws && s->ws->state == CONN_WS)
		clean = conn_take_queue(s->ws) || !s->outq.head_done;
	drop_queue(s);
	if (s->ws)
		conn_close(s->ws, clean ? status : WS_NONE);
	session_mark_dirty(s);
}

void session_conn_gone(struct session *s, struct conn *conn)
{
	if (s->post == conn) {
		s->post = NULL;
		return;
	}
	if (s->poll == conn) {
		/* The client left while it waited: as the reference server has it, the end of the
		 * session. */
		s->poll = NULL;
		session_fail(s, SESSION_TRANSPORT_ERROR, WS_GOING_AWAY);
		return;
	}
	CHECK(s->ws == conn);
	s->ws = NULL;
	if (s->state == SESSION_WEBSOCKET || (s->state == SESSION_FLUSHING && !s->by_polls))
		session_fail(s, SESSION_TRANSPORT_CLOSE, WS_NORMAL);
	else if (s->state == SESSION_PROBING)
		session_set_state(s, SESSION_POLLING); /* the probe failed; polling goes on */
}

static void session_free(struct session *s)
{
	struct net *net = s->net;

	timer_stop(&s->timer);
	list_remove(&s->dirty);
	no_longer_websocket(s);
	drop_queue(s);
	limits_session_closed(&net->limits, &s->address, loop_now_ms(net->loop));
	CHECK(!s->ws); /* it was closed before: a WebSocket without a session would have no deadline */
	if (s->poll)
		s->poll->session = NULL;
	if (s->post)
		s->post->session = NULL;
	CHECK(map_del(net->by_sid, s->sid, s->sid_len) == s);
	idtable_del(&net->sessions, s->id);
	free(s->handshake);
	free(s->demands);
	free(s);
}

void session_end_of_turn(struct session *s)
{
	if (!session_is_open(s) && !s->told) {
		s->told = true;
		s->net->stats.closed[s->reason]++;
		s->net->ops->close(s->net->ctx, s, (enum session_close)s->reason);
	}
	if (s->drained) {
		s->drained = false;
		if (session_is_open(s))
			s->net->ops->drain(s->net->ctx, s);
	}
	polling_flush(s);
	if (s->ws && s->ws->state == CONN_WS && s->outq.count)
		conn_mark_busy(s->ws);
	/* A poll more, which is answered with a close packet and nothing else: what comes in one payload
	 * with it reaches socket.io-client's application when it has closed, and does not count for
	 * its offset. Over WebSocket the Close frame says it. */
	if (s->state == SESSION_FLUSHING && !s->outq.count && (s->poll || !s->by_polls)) {
		session_set_state(s, SESSION_CLOSED);
		if (s->ws)
			conn_close(s->ws, s->reason == SESSION_SERVER_SHUTDOWN ? WS_GOING_AWAY
									       : WS_NORMAL);
	}
	if (s->state == SESSION_CLOSED && s->told) {
		polling_flush(s);
		session_free(s);
	}
}
