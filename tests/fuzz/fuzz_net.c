/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Connections of the transport layer with Socket.IO on it, over real sockets: clients do what the input
 * says, in any order: handshakes, polls, posts, upgrades at every point, frames whole and in pieces,
 * other people's sids, bytes that are nothing, ends of every kind, time that passes. No assertion fails,
 * each session is opened and closed once, and nothing is left behind: no connection, no session, no
 * byte in a queue. One thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "base/check.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "loop/loop.h"
#include "net/net.h"
#include "sio/sio.h"
#include "tests/unit/fake_time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CLIENTS 4
#define SIDS 4
#define STEPS_MAX 300
#define PATH_TEXT "/socket.io/"
#define PING_MS 1000
#define HIGH_BYTES 4096

/* ---- the input ---- */

struct input {
	const uint8_t *p;
	size_t left;
};

static unsigned int take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->p++;
}

/* A text of the input: so many bytes as the first one says. */
static struct slice take_text(struct input *in)
{
	size_t len = take(in);
	struct slice text;

	if (len > in->left)
		len = in->left;
	text = slice_of((const char *)in->p, len);
	in->p += len;
	in->left -= len;
	return text;
}

/* ---- the server ---- */

static struct loop *loop;
static struct sio *sio;
static struct net *net;
static struct sio_nsp *nsp;
static char address[64];
static uint64_t open_sessions[1024];
static size_t n_open;

static void on_open(void *ctx, struct session *session)
{
	CHECK(n_open < ARRAY_LEN(open_sessions));
	open_sessions[n_open++] = session_id(session);
	sio_session_ops()->open(ctx, session);
}

static void on_message(void *ctx, struct session *session, bool binary, struct slice data)
{
	sio_session_ops()->message(ctx, session, binary, data);
}

static void on_drain(void *ctx, struct session *session)
{
	sio_session_ops()->drain(ctx, session);
}

static void on_close(void *ctx, struct session *session, enum session_close reason)
{
	size_t i = 0;

	while (i < n_open && open_sessions[i] != session_id(session))
		i++;
	CHECK(i < n_open);
	open_sessions[i] = open_sessions[--n_open];
	sio_session_ops()->close(ctx, session, reason);
}

static const struct session_ops ops = { on_open, on_message, on_drain, on_close };

static void on_connect(void *ctx, struct sio_socket *socket, const struct sio_connect *connect)
{
	(void)ctx;
	if (slice_is(connect->auth, "{\"no\":1}"))
		sio_refuse(socket, slice_str("no"), slice_of(NULL, 0));
	else if (!slice_is(connect->auth, "{\"wait\":1}"))
		sio_accept(socket, NULL, NULL);
}

static void on_event(void *ctx, struct sio_socket *socket, const struct sio_event *e)
{
	struct sio_message m = { .name = slice_str("back"),
				 .args = e->args_json,
				 .attachments = e->attachments,
				 .n_attachments = e->n_attachments };
	struct slice room = slice_str("r");

	(void)ctx;
	if (slice_is(e->name, "join"))
		(void)!sio_join(socket, room);
	else if (slice_is(e->name, "say"))
		(void)!sio_emit_rooms(nsp, &room, 1, NULL, 0, &m);
	else if (slice_is(e->name, "kick"))
		sio_disconnect(socket, e->n_args > 0);
	else if (e->ack_id >= 0)
		(void)!sio_ack(socket, e->ack_id, e->args_json, e->attachments, e->n_attachments);
	else
		(void)!sio_emit(socket, &m);
}

static void on_disconnect(void *ctx, struct sio_socket *socket, const char *reason)
{
	(void)ctx;
	(void)socket;
	CHECK(reason && reason[0]);
}

static const struct sio_nsp_ops nsp_ops = { .connect = on_connect,
					    .event = on_event,
					    .disconnect = on_disconnect };

static const struct net_config net_config = {
	.path = PATH_TEXT,
	.ping_interval_ms = PING_MS,
	.ping_timeout_ms = PING_MS,
	.upgrade_timeout_ms = PING_MS,
	.max_payload_bytes = 20000,
	.websocket_compression = true,
	.compression_threshold_bytes = 64,
	.allow_no_origin = true,
	.max_connections = 200,
	.header_timeout_ms = PING_MS,
	.body_timeout_ms = PING_MS,
	.idle_timeout_ms = PING_MS,
	.max_header_bytes = 2000,
	.queue_high_bytes = HIGH_BYTES,
	.queue_low_bytes = HIGH_BYTES / 4,
	.queue_soft_bytes = (uint64_t)HIGH_BYTES * 4,
	.queue_soft_seconds = 1,
	.queue_hard_bytes = (uint64_t)HIGH_BYTES * 16,
};

static const struct sio_config sio_config = {
	.connect_timeout_ms = PING_MS,
	.authorize_timeout_ms = PING_MS,
	.max_namespaces = 2,
	.max_rooms = 3,
	.max_pending_acks = 2,
	.max_attachments = 2,
	.max_attachment_bytes = 1000,
};

static void forget_socket(void)
{
	(void)unlink(address + strlen("unix:"));
}

static void begin(void)
{
	struct net_listener_config listener = { .name = "main",
						.address = address,
						.unix_mode = 0600,
						.tls_cert = "",
						.tls_key = "",
						.tls_min_version = NET_TLS_1_2 };
	struct strbuf err;

	log_setup(LOG_LEVEL_ERR, LOG_FORMAT_KV, 2);
	(void)snprintf(address, sizeof(address), "unix:/tmp/fuzz-net-%d.sock", (int)getpid());
	strbuf_init(&err, 4096);
	fake_time_reset();
	CHECK(loop_new(&loop) == 0 && sio_new(&sio, loop, &sio_config) == 0);
	nsp = sio_namespace(sio, "/", &nsp_ops, NULL);
	CHECK(nsp && net_new(&net, loop, &net_config, &ops, sio, &err) == 0);
	CHECK(net_listen(net, &listener, &err) == 0);
	strbuf_fini(&err);
	(void)atexit(forget_socket);
}

static void turn(void)
{
	for (int i = 0; i < 3; i++)
		(void)uv_run(loop_native(loop), UV_RUN_NOWAIT);
}

static void pass_ms(uint64_t ms)
{
	uint64_t until = loop_now_ms(loop) + ms;

	while (fake_time_step(until))
		turn();
	turn();
}

/* ---- the clients ---- */

static int fds[CLIENTS];
static char sids[SIDS][64]; /* the last that were told */
static size_t n_sids;

static void dial(int *fd)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };

	if (*fd >= 0)
		return;
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	CHECK(*fd >= 0);
	memcpy(to.sun_path, address + strlen("unix:"), strlen(address + strlen("unix:")) + 1);
	if (connect(*fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return;
	close(*fd);
	*fd = -1;
}

static void hang_up(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void say(int fd, struct slice bytes)
{
	if (fd >= 0)
		(void)!send(fd, bytes.p, bytes.len, MSG_NOSIGNAL);
}

static void learn_sid(const char *text)
{
	const char *at = strstr(text, "\"sid\":\"");
	size_t len;

	if (!at)
		return;
	at += strlen("\"sid\":\"");
	len = strcspn(at, "\"");
	if (at[len] != '"' || len >= sizeof(sids[0]))
		return;
	memcpy(sids[n_sids % SIDS], at, len);
	sids[n_sids++ % SIDS][len] = '\0';
}

static void hear(int *fd)
{
	char bytes[65536];
	ssize_t n = *fd >= 0 ? recv(*fd, bytes, sizeof(bytes) - 1, 0) : -1;

	if (n > 0) {
		for (ssize_t i = 0; i < n; i++)
			bytes[i] = bytes[i] ? bytes[i] : ' ';
		bytes[n] = '\0';
		learn_sid(bytes);
	} else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
		hang_up(fd);
	}
}

static void ask(int fd, const char *method, const char *transport, const char *sid,
		const char *headers, struct slice body)
{
	struct strbuf sb;

	strbuf_init(&sb, 1 << 20);
	strbuf_printf(&sb, "%s " PATH_TEXT "?EIO=4&transport=%s%s%s HTTP/1.1\r\nHost: a\r\n%s",
		      method, transport, sid ? "&sid=" : "", sid ? sid : "", headers);
	if (method[0] == 'P')
		strbuf_printf(&sb, "Content-Length: %zu\r\n", body.len);
	strbuf_append_str(&sb, "\r\n");
	strbuf_append_slice(&sb, body);
	if (strbuf_ok(&sb))
		say(fd, slice_of(sb.data, sb.len));
	strbuf_fini(&sb);
}

/* A masked frame; its length may be said otherwise. */
static void frame(int fd, unsigned int head, struct slice payload, unsigned int lie)
{
	unsigned char out[8 + 256];
	size_t n = 0;

	CHECK(payload.len < 256);
	out[n++] = (unsigned char)head;
	if (payload.len < 126) {
		out[n++] = (unsigned char)(0x80 | ((payload.len + lie) & 0x7f));
	} else {
		out[n++] = 0x80 | 126;
		out[n++] = (unsigned char)lie;
		out[n++] = (unsigned char)payload.len;
	}
	memset(out + n, 0, 4); /* the mask */
	n += 4;
	memcpy(out + n, payload.p, payload.len);
	say(fd, slice_of((char *)out, n + payload.len));
}

static struct slice packet(struct input *in)
{
	static const char *const packets[] = {
		"2probe",
		"5",
		"40",
		"3",
		"1",
		"41",
		"2",
		"6",
		"40/x,",
		"40{\"no\":1}",
		"40{\"wait\":1}",
		"42[\"message\",1]",
		"421[\"message\",\"a\"]",
		"42[\"join\"]",
		"42[\"say\",\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]",
		"42[\"kick\"]",
		"42[\"kick\",true]",
		"451-[\"message\",{\"_placeholder\":true,\"num\":0}]",
		"452-[\"say\",{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]",
		"bAAEC",
		"431[1]",
		"42[\"message\",1]\x1e"
		"42[\"say\",2]\x1e"
		"42[\"kick\",true]",
		"40\x1e"
		"42[\"join\"]\x1e"
		"42[\"say\",2]",
		"4",
	};
	unsigned int which = take(in);

	return which < ARRAY_LEN(packets) ? slice_str(packets[which]) : take_text(in);
}

static const char upgrade[] =
	"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
static const char deflate[] = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

static void ask_upgrade(int *fd, const char *sid, bool compressed)
{
	char headers[512];

	dial(fd);
	(void)snprintf(headers, sizeof(headers), "%s%s", upgrade, compressed ? deflate : "");
	ask(*fd, "GET", "websocket", sid, headers, slice_of(NULL, 0));
}

static void step(struct input *in)
{
	unsigned int op = take(in);
	int *fd = &fds[op >> 4 & (CLIENTS - 1)];
	const char *sid = sids[op >> 6];
	struct slice none = slice_of(NULL, 0);

	switch (op & 15) {
	case 0:
		dial(fd);
		ask(*fd, "GET", "polling", NULL, "", none);
		break;
	case 1:
		dial(fd);
		ask(*fd, "GET", "polling", sid, "", none);
		break;
	case 2:
		dial(fd);
		ask(*fd, "POST", "polling", sid, "", packet(in));
		break;
	case 3:
		ask_upgrade(fd, sid, take(in) & 1);
		break;
	case 4:
		ask_upgrade(fd, NULL, take(in) & 1);
		break;
	case 5:
		frame(*fd, 0x81, packet(in), 0);
		break;
	case 6:
		frame(*fd, 0x82, take_text(in), 0);
		break;
	case 7: {
		unsigned int head = take(in);
		unsigned int lie = take(in);

		frame(*fd, head, take_text(in), lie);
		break;
	}
	case 8:
		dial(fd);
		say(*fd, take_text(in));
		break;
	case 9:
		hang_up(fd);
		break;
	case 10:
		if (*fd >= 0)
			(void)shutdown(*fd, take(in) & 1 ? SHUT_RD : SHUT_WR);
		break;
	case 11:
		pass_ms(take(in) * 20);
		break;
	case 12: /* the next comes in the same turn */
		hear(fd);
		return;
	case 13:
		dial(fd);
		ask(*fd, "OPTIONS", "polling", sid, "Origin: http://a\r\n", none);
		break;
	case 14:
		for (unsigned int n = take(in); n; n--)
			frame(*fd, 0x81, slice_str("42[\"say\",\"and again\"]"), 0);
		break;
	default:
		hear(fd);
		break;
	}
	turn();
}

/* All hang up; polling sessions go when nobody fetches what is left. */
static void end(void)
{
	struct net_stats s;
	int rounds = 0;

	for (int i = 0; i < CLIENTS; i++)
		hang_up(&fds[i]);
	turn();
	do {
		for (size_t i = n_open; i-- > 0;) {
			struct session *session = session_lookup(net, open_sessions[i]);

			if (session)
				session_close(session, SESSION_FORCED_CLOSE);
		}
		pass_ms(2 * PING_MS);
		net_stats(net, &s);
		CHECK(rounds++ < 50);
	} while (s.connections || s.sessions || n_open);
	CHECK(s.queued_bytes == 0 && s.sessions_websocket == 0 && s.forwarding == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };

	if (!net)
		begin();
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = -1;
	memset(sids, 0, sizeof(sids));
	n_sids = 0;
	for (int i = 0; i < STEPS_MAX && in.left; i++)
		step(&in);
	end();
	return 0;
}
