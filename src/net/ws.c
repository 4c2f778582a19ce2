/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * WebSocket as a transport: the handshake, messages in, the probe of an upgrade. Frames out are
 * made in conn.c's gather.
 */
#include "net/private.h"
#include "base/base64.h"
#include "base/err.h"
#include "wire/ws_deflate.h"

/*
 * Pongs that wait for a client which does not read: more than this are left out, as section 5.5.3
 * allows.
 */
#define CONTROL_BYTES 4096

#define KEY_LEN 24
#define SHA1_LEN 20

/* RFC 6455 section 4.2.2: proves that the key was read. */
static void accept_key(struct slice key, char out[32])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	unsigned char text[KEY_LEN + sizeof(guid) - 1];
	unsigned char digest[SHA1_LEN];

	memcpy(text, key.p, KEY_LEN);
	memcpy(text + KEY_LEN, guid, sizeof(guid) - 1);
	(void)lws_SHA1(text, sizeof(text), digest);
	out[base64_encode(digest, sizeof(digest), out)] = '\0';
}

void ws_upgrade(struct conn *c, const struct http_request *r, struct session *s,
		struct handshake *handshake, bool refuse)
{
	struct slice offers = http_header(r, "sec-websocket-extensions");
	const char *extension = NULL;
	char key[32];

	c->ws = calloc(1, sizeof(*c->ws));
	if (!c->ws) {
		free(handshake);
		conn_kill(c);
		return;
	}
	if (c->net->config->websocket_compression && offers.p &&
	    !ws_deflate_accept(offers, &extension))
		extension = NULL;
	ws_reader_init(c->ws, c->net->config->max_payload_bytes, extension != NULL);
	accept_key(http_header(r, "sec-websocket-key"), key);
	strbuf_printf(&c->out,
		      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
		      "Upgrade\r\nSec-WebSocket-Accept: %s\r\n",
		      key);
	if (extension)
		strbuf_printf(&c->out, "Sec-WebSocket-Extensions: %s\r\n", extension);
	strbuf_append_str(&c->out, "\r\n");
	conn_mark_busy(c);
	free(c->cors_origin);
	c->cors_origin = NULL;
	if (s && !refuse) {
		conn_set_state(c, CONN_PROBE);
		conn_deadline(c, c->net->config->upgrade_timeout_ms);
		c->session = s;
		s->ws = c;
		return;
	}
	conn_set_state(c, CONN_WS);
	timer_stop(&c->timer);
	if (refuse)
		conn_close(c, WS_POLICY_VIOLATION);
	else if (session_open(c->net, handshake, c, true, &s))
		conn_close(c, WS_INTERNAL_ERROR);
}

static void append_frame(struct conn *c, enum ws_opcode opcode, const void *payload, size_t len)
{
	unsigned char head[WS_HEAD_MAX];

	strbuf_append(&c->out, head, ws_head(head, opcode, false, len));
	strbuf_append(&c->out, payload, len);
	conn_mark_busy(c);
}

void ws_append_close(struct conn *c, enum ws_status status)
{
	unsigned char payload[2] = { (unsigned char)(status >> 8), (unsigned char)status };

	append_frame(c, WS_CLOSE, payload, status == WS_NONE ? 0 : sizeof(payload));
}

/*
 * The probe: "2probe" is answered, "5" hands the session over. Anything else ends the attempt;
 * polling goes on.
 */
static void receive_probe(struct conn *c, bool binary, struct slice message)
{
	struct session *s = c->session;

	if (!binary && s->state == SESSION_POLLING && slice_is(message, "2probe")) {
		append_frame(c, WS_TEXT, "3probe", 6);
		session_set_state(s, SESSION_PROBING);
		session_mark_dirty(s);
	} else if (!binary && session_is_upgrading(s) && slice_is(message, "5")) {
		timer_stop(&c->timer);
		conn_set_state(c, CONN_WS);
		session_upgraded(s);
	} else {
		conn_close(c, WS_PROTOCOL_ERROR);
	}
}

static void receive(struct conn *c, bool binary, struct slice message)
{
	struct eio_packet packet = { .type = EIO_MESSAGE, .binary = true, .data = message };

	if (c->state == CONN_PROBE)
		receive_probe(c, binary, message);
	else if (!binary && eio_decode_text(message, &packet))
		session_fail(c->session, SESSION_PARSE_ERROR, WS_PROTOCOL_ERROR);
	else
		(void)session_receive(c->session, &packet);
}

static void refuse_input(struct conn *c, enum ws_status status)
{
	enum session_close reason = status == WS_TOO_BIG          ? SESSION_TOO_BIG
				    : status == WS_INTERNAL_ERROR ? SESSION_NO_MEMORY
								  : SESSION_PARSE_ERROR;

	if (c->state == CONN_WS)
		session_fail(c->session, reason, status);
	else
		conn_close(c, status);
	/* What comes behind an error cannot be read any more: the peer's Close frame is not
	 * awaited. */
	c->close_sent = false;
}

static void on_close(struct conn *c, enum ws_status status)
{
	/* What was said before still goes out; nothing may come inside a frame that was begun,
	 * not even the answer to this. */
	if (c->state == CONN_PROBE || conn_take_queue(c) || !c->session->outq.head_done)
		ws_append_close(c, status);
	conn_close(c, WS_NONE);
}

/* Behind our own Close frame: the peer's ends the waiting. */
static void await_close(struct conn *c, struct slice *in)
{
	struct ws_event ev;
	int rc;

	while ((rc = ws_read(c->ws, in, &ev)) == 0 && ev.opcode != WS_CLOSE)
		;
	if (rc == PARLANCE_EAGAIN)
		return;
	c->close_sent = false;
	conn_mark_busy(c);
}

void ws_input(struct conn *c, struct slice *in)
{
	struct ws_event ev;
	int rc = 0;

	if (c->state == CONN_CLOSING) {
		await_close(c, in);
		return;
	}
	while ((c->state == CONN_WS || c->state == CONN_PROBE) &&
	       (rc = ws_read(c->ws, in, &ev)) == 0) {
		switch (ev.opcode) {
		case WS_TEXT:
		case WS_BINARY:
			receive(c, ev.opcode == WS_BINARY, ev.payload);
			break;
		case WS_PING:
			/* Answers leave in the order of the questions when that costs nothing. */
			if (c->out.len >= CONTROL_BYTES)
				break;
			if (c->state == CONN_WS)
				(void)!conn_take_queue(c);
			append_frame(c, WS_PONG, ev.payload.p, ev.payload.len);
			break;
		case WS_CLOSE:
			on_close(c, (enum ws_status)ev.status);
			break;
		case WS_PONG:
		case WS_CONTINUATION:
			break;
		}
	}
	if (rc && rc != PARLANCE_EAGAIN)
		refuse_input(c,
			     rc == PARLANCE_ENOMEM ? WS_INTERNAL_ERROR : (enum ws_status)ev.status);
}
