/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The transport and protocol layers without the chat: the server that the protocol suites and the
 * load tools talk to. Everything happens on the loop's thread.
 *
 * Socket.IO on /socket.io/, namespaces "/" and "/custom": both emit "auth" with the CONNECT
 * payload; "/" answers
 *   message args…            message-back args…
 *   message-with-ack args…   ack(args…)
 *   echo args…               ack(args…), or the event echo when no ack was asked for
 *   join room | leave room   ack({"ok":true})
 *   say room, args…          said args… to the room but the sender; ack({"ok":true})
 *   all room, args…          said args… to the room, the sender included; ack({"ok":true})
 *   kick [true]              DISCONNECT, or with true the transport is closed
 *   ask value                question value with an ack within 500 ms, then answer with what came,
 *                            or "timeout"
 * CONNECT {"refuse": why} is refused, {"delay": ms} is accepted later.
 *
 * With --engine: Engine.IO on /engine.io/, every message goes back as it came.
 *
 * With --number, --secret and --peer NUMBER=ADDRESS it is one of several instances, with
 * --not-ready TEXT its admin listeners say so. SIGUSR1: it is ready, and has --next-number from now
 * on. SIGUSR2: prints its counts.
 */
#include <getopt.h>
#include <signal.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "loop/signals.h"
#include "setup.h"
#include "wire/json_scan.h"

#define ASK_TIMEOUT_MS 500
#define SHUTDOWN_TIMEOUT_MS 3000
#define MAX_OVERRIDES 64
#define MAX_PEERS 8

struct echo {
	struct loop *loop;
	struct sio *sio;
	struct net *net;
	struct arena arena;
	struct list delayed; /* CONNECTs that wait */
	uint64_t number; /* among the instances */
	uint64_t next_number;
	const char *secret;
	const char *not_ready;
	struct net_peer peers[MAX_PEERS];
	size_t n_peers;
};

/* Bare Engine.IO */

static void engine_open(void *ctx, struct session *session)
{
	(void)ctx;
	session_forget_handshake(session);
}

static void engine_message(void *ctx, struct session *session, bool binary, struct slice data)
{
	struct frame *frame = frame_copy(binary ? FRAME_BINARY : FRAME_TEXT, data.p, data.len);

	(void)ctx;
	if (frame)
		session_send(session, frame, slice_of(NULL, 0));
	else
		session_close(session, SESSION_NO_MEMORY);
	frame_unref(&frame);
}

static void engine_drain(void *ctx, struct session *session)
{
	(void)ctx;
	(void)session;
}

static void engine_close(void *ctx, struct session *session, enum session_close reason)
{
	(void)ctx;
	log_debug("echo",
		  LOG_FIELDS(LOG_STR("sid", session_sid(session)),
			     LOG_STR("reason", session_close_text(reason))),
		  "session closed");
}

static const struct session_ops engine_ops = { engine_open, engine_message, engine_drain,
					       engine_close };

/* Socket.IO */

static void failed(const char *what, int rc)
{
	log_warn("echo", LOG_FIELDS(LOG_STR("error", parlance_err_text(rc))), "%s", what);
}

static void emit(struct sio_socket *socket, const char *name, struct slice args,
		 const struct sio_event *from)
{
	struct sio_message m = { .name = slice_str(name), .args = args };
	int rc;

	if (from) {
		m.attachments = from->attachments;
		m.n_attachments = from->n_attachments;
	}
	rc = sio_emit(socket, &m);
	if (rc)
		failed("emit", rc);
}

static void ack(struct sio_socket *socket, const struct sio_event *event, struct slice args,
		bool with_attachments)
{
	int rc;

	if (event->ack_id < 0)
		return;
	rc = sio_ack(socket, event->ack_id, args, with_attachments ? event->attachments : NULL,
		     with_attachments ? event->n_attachments : 0);
	if (rc)
		failed("ack", rc);
}

static void ack_ok(struct sio_socket *socket, const struct sio_event *event)
{
	ack(socket, event, slice_str("{\"ok\":true}"), false);
}

struct delayed {
	struct list node;
	struct timer timer;
	struct echo *echo;
	uint64_t socket;
	char auth[];
};

static void accept_now(struct sio_socket *socket, struct slice auth)
{
	sio_forget_handshake(socket);
	sio_accept(socket, NULL, NULL);
	emit(socket, "auth", auth.len ? auth : slice_str("{}"), NULL);
}

static void on_delay(struct timer *timer)
{
	struct delayed *d = CONTAINER_OF(timer, struct delayed, timer);
	struct sio_socket *socket = sio_lookup(d->echo->sio, d->socket);

	if (socket)
		accept_now(socket, slice_str(d->auth));
	list_remove(&d->node);
	free(d);
}

static void on_connect(void *ctx, struct sio_socket *socket, const struct sio_connect *connect)
{
	struct echo *echo = ctx;
	struct slice value;
	struct slice text;

	if (connect->auth.len && json_member(connect->auth, "refuse", &echo->arena, &value) == 0 &&
	    json_string(value, &echo->arena, &text) == 0) {
		sio_refuse(socket, text, slice_str("{\"code\":\"REFUSED\"}"));
	} else if (connect->auth.len &&
		   json_member(connect->auth, "delay", &echo->arena, &value) == 0 &&
		   json_kind(value) == '0') {
		struct delayed *d = calloc(1, sizeof(*d) + connect->auth.len + 1);

		if (d) {
			d->echo = echo;
			list_push_back(&echo->delayed, &d->node);
			d->socket = sio_id(socket);
			memcpy(d->auth, connect->auth.p, connect->auth.len);
			loop_timer_start(echo->loop, &d->timer, strtoull(value.p, NULL, 10),
					 on_delay);
		}
	} else {
		accept_now(socket, connect->auth);
	}
	arena_reset(&echo->arena);
}

static void on_answer(void *arg, struct sio_socket *socket, int status,
		      const struct sio_event *answer)
{
	(void)arg;
	if (socket)
		emit(socket, "answer", status ? slice_str("\"timeout\"") : answer->args_json,
		     answer);
}

/* The arguments from the i-th on, as they came. */
static struct slice args_from(const struct sio_event *e, size_t i)
{
	const char *end = e->args_json.p + e->args_json.len;

	return i < e->n_args ? slice_of(e->args[i].p, (size_t)(end - e->args[i].p))
			     : slice_of(NULL, 0);
}

static void say(struct sio_socket *socket, struct slice room, const struct sio_event *e,
		bool to_sender)
{
	struct sio_message m = { .name = slice_str("said"),
				 .args = args_from(e, 1),
				 .attachments = e->attachments,
				 .n_attachments = e->n_attachments };
	uint64_t self = sio_id(socket);
	int rc = sio_emit_rooms(sio_socket_nsp(socket), &room, 1, &self, to_sender ? 0 : 1, &m);

	if (rc)
		failed("emit to room", rc);
}

static void on_event(void *ctx, struct sio_socket *socket, const struct sio_event *e)
{
	struct echo *echo = ctx;
	struct slice room = slice_of(NULL, 0);
	int rc = 0;

	if (e->n_args && json_kind(e->args[0]) == '"' &&
	    json_string(e->args[0], &echo->arena, &room))
		return;
	if (slice_is(e->name, "message")) {
		emit(socket, "message-back", e->args_json, e);
	} else if (slice_is(e->name, "message-with-ack")) {
		ack(socket, e, e->args_json, true);
	} else if (slice_is(e->name, "echo")) {
		if (e->ack_id < 0)
			emit(socket, "echo", e->args_json, e);
		ack(socket, e, e->args_json, true);
	} else if (slice_is(e->name, "join")) {
		rc = sio_join(socket, room);
		ack_ok(socket, e);
	} else if (slice_is(e->name, "leave")) {
		sio_leave(socket, room);
		ack_ok(socket, e);
	} else if (slice_is(e->name, "say") || slice_is(e->name, "all")) {
		say(socket, room, e, slice_is(e->name, "all"));
		ack_ok(socket, e);
	} else if (slice_is(e->name, "kick")) {
		sio_disconnect(socket, e->n_args && slice_is(e->args[0], "true"));
	} else if (slice_is(e->name, "ask")) {
		struct sio_message m = { .name = slice_str("question"),
					 .args = e->args_json,
					 .attachments = e->attachments,
					 .n_attachments = e->n_attachments };

		rc = sio_emit_with_ack(socket, &m, ASK_TIMEOUT_MS, on_answer, NULL);
	}
	if (rc && rc != PARLANCE_ELIMIT)
		failed("event", rc);
	arena_reset(&echo->arena);
}

static void on_custom_event(void *ctx, struct sio_socket *socket, const struct sio_event *e)
{
	(void)ctx;
	(void)socket;
	(void)e;
}

static void on_disconnect(void *ctx, struct sio_socket *socket, const char *reason)
{
	(void)ctx;
	log_debug("echo", LOG_FIELDS(LOG_STR("sid", sio_sid(socket)), LOG_STR("reason", reason)),
		  "socket disconnected");
}

static const struct sio_nsp_ops main_ops = {
	.connect = on_connect,
	.event = on_event,
	.disconnect = on_disconnect,
};
static const struct sio_nsp_ops custom_ops = {
	.connect = on_connect,
	.event = on_custom_event,
	.disconnect = on_disconnect,
};

/* The program */

static void on_shutdown_done(void *arg)
{
	struct echo *echo = arg;

	loop_stop(echo->loop);
}

static void on_signal(int signum, void *arg)
{
	struct echo *echo = arg;

	(void)signum;
	net_shutdown(echo->net, SHUTDOWN_TIMEOUT_MS, on_shutdown_done, echo);
}

static void join_instances(struct echo *echo)
{
	net_set_instance(echo->net, echo->number, slice_str(echo->secret));
	net_set_peers(echo->net, echo->peers, echo->n_peers);
	net_set_ready(echo->net, echo->not_ready);
}

static void on_change(int signum, void *arg)
{
	struct echo *echo = arg;

	(void)signum;
	echo->not_ready = NULL;
	if (echo->next_number)
		echo->number = echo->next_number;
	join_instances(echo);
	(void)printf("changed\n");
	(void)fflush(stdout);
}

static void on_count(int signum, void *arg)
{
	struct echo *echo = arg;
	struct net_stats stats;

	(void)signum;
	net_stats(echo->net, &stats);
	(void)printf("counts {\"connections\":%u,\"sessions\":%u,\"forwarding\":%u,"
		     "\"forwarded\":%llu,\"failed\":%llu}\n",
		     stats.connections, stats.sessions, stats.forwarding,
		     (unsigned long long)stats.forwarded,
		     (unsigned long long)stats.forward_failed);
	(void)fflush(stdout);
}

/* NUMBER=ADDRESS */
static bool add_peer(struct echo *echo, char *text)
{
	struct net_peer *peer = &echo->peers[echo->n_peers];
	char *equals;

	if (echo->n_peers == MAX_PEERS)
		return false;
	peer->number = strtoull(text, &equals, 10);
	peer->address = equals + 1;
	echo->n_peers++;
	return *equals == '=';
}

static int start(struct echo *echo, const struct setup *setup, bool engine, struct strbuf *err)
{
	int rc;

	if (engine) {
		rc = net_new(&echo->net, echo->loop, &setup->net, &engine_ops, echo, err);
	} else {
		rc = sio_new(&echo->sio, echo->loop, &setup->sio);
		if (!rc && (!sio_namespace(echo->sio, "/", &main_ops, echo) ||
			    !sio_namespace(echo->sio, "/custom", &custom_ops, echo)))
			rc = PARLANCE_ENOMEM;
		if (!rc)
			rc = net_new(&echo->net, echo->loop, &setup->net, sio_session_ops(),
				     echo->sio, err);
	}
	if (rc)
		return rc;
	join_instances(echo);
	return setup_listen(setup, echo->net, err);
}

/* "localhost" may mean ::1 first. Where there is no IPv6, nobody misses it. */
static void listen_on_v6(struct echo *echo, const char *port)
{
	char address[32];
	struct net_listener_config config = {
		.name = "main6",
		.address = address,
		.tls_cert = "",
		.tls_key = "",
		.tls_min_version = NET_TLS_1_2,
	};
	struct strbuf err;

	(void)snprintf(address, sizeof(address), "[::1]:%s", port);
	strbuf_init(&err, 4096);
	if (net_listen(echo->net, &config, &err))
		log_notice("echo", NULL, "%s", strbuf_cstr(&err));
	strbuf_fini(&err);
}

static int usage(void)
{
	(void)fprintf(stderr, "usage: echo-server --port N [--ping-interval MS] [--ping-timeout "
			      "MS] [--engine] [--set section.option=value]… [--number N] "
			      "[--next-number N] [--secret TEXT] [--peer N=ADDRESS]… "
			      "[--not-ready TEXT]\n");
	return 2;
}

/* Overrides live as long as the program reads its configuration. */
static bool override(char **overrides, size_t *n, const char *name, const char *value)
{
	struct strbuf sb;

	if (*n == MAX_OVERRIDES)
		return false;
	strbuf_init(&sb, 65536);
	strbuf_append_str(&sb, name);
	strbuf_append_str(&sb, value);
	overrides[*n] = strbuf_steal(&sb, NULL);
	strbuf_fini(&sb);
	return overrides[*n] && ++*n;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "port", required_argument, NULL, 'p' },
		{ "ping-interval", required_argument, NULL, 'i' },
		{ "ping-timeout", required_argument, NULL, 't' },
		{ "engine", no_argument, NULL, 'e' },
		{ "set", required_argument, NULL, 's' },
		{ "number", required_argument, NULL, 'n' },
		{ "next-number", required_argument, NULL, 'N' },
		{ "secret", required_argument, NULL, 'x' },
		{ "peer", required_argument, NULL, 'P' },
		{ "not-ready", required_argument, NULL, 'r' },
		{ NULL, 0, NULL, 0 },
	};
	struct signal_watch *term = NULL;
	struct signal_watch *interrupt = NULL;
	struct signal_watch *change = NULL;
	struct signal_watch *count = NULL;
	struct echo echo = { 0 };
	struct list *node;
	char *overrides[MAX_OVERRIDES];
	size_t n_overrides = 0;
	struct setup setup = { 0 };
	struct strbuf err;
	const char *port = NULL;
	bool engine = false;
	bool own_listeners = false;
	bool ok = true;
	int status = 1;
	int c;

	while (ok && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		own_listeners |= c == 's' && strncmp(optarg, "listener.", 9) == 0;
		if (c == 'p')
			port = optarg;
		else if (c == 'i')
			ok = override(overrides, &n_overrides, "engine.ping_interval_ms=", optarg);
		else if (c == 't')
			ok = override(overrides, &n_overrides, "engine.ping_timeout_ms=", optarg);
		else if (c == 'e')
			engine = true;
		else if (c == 'n')
			echo.number = strtoull(optarg, NULL, 10);
		else if (c == 'N')
			echo.next_number = strtoull(optarg, NULL, 10);
		else if (c == 'x')
			echo.secret = optarg;
		else if (c == 'P')
			ok = add_peer(&echo, optarg);
		else if (c == 'r')
			echo.not_ready = optarg;
		else if (c == 's' && strncmp(optarg, "listener.", 9) == 0 &&
			 strcspn(optarg + 9, ".") > strcspn(optarg + 9, "="))
			ok = override(overrides, &n_overrides, "listener.main.", optarg + 9);
		else if (c == 's')
			ok = override(overrides, &n_overrides, "", optarg);
		else
			ok = false;
	}
	if (!ok || optind != argc)
		return usage();
	if (port)
		ok = override(overrides, &n_overrides, "listener.main.address=127.0.0.1:", port);
	if (ok && engine)
		ok = override(overrides, &n_overrides, "engine.path=", "/engine.io/");

	signal(SIGPIPE, SIG_IGN);
	strbuf_init(&err, 65536);
	arena_init(&echo.arena, 0);
	list_init(&echo.delayed);
	if (!ok || setup_load(&setup, NULL, (const char *const *)overrides, n_overrides, &err))
		goto out;
	setup_log(&setup);
	setup_prepare(&setup);
	if (loop_new(&echo.loop) || start(&echo, &setup, engine, &err))
		goto out;
	if (signal_watch_new(&term, echo.loop, SIGTERM, on_signal, &echo) ||
	    signal_watch_new(&interrupt, echo.loop, SIGINT, on_signal, &echo) ||
	    signal_watch_new(&change, echo.loop, SIGUSR1, on_change, &echo) ||
	    signal_watch_new(&count, echo.loop, SIGUSR2, on_count, &echo))
		goto out;
	if (port && strcmp(port, "0") != 0 && !own_listeners)
		listen_on_v6(&echo, port);
	if (setup_sandbox(&setup, &err))
		goto out;
	(void)printf("listening on 127.0.0.1:%d\n", net_listener_port(echo.net, 0));
	(void)fflush(stdout);
	loop_run(echo.loop);
	status = 0;

out:
	if (err.len)
		(void)fprintf(stderr, "echo-server: %s\n", strbuf_cstr(&err));
	signal_watch_free(&term);
	signal_watch_free(&interrupt);
	signal_watch_free(&change);
	signal_watch_free(&count);
	net_free(&echo.net);
	sio_free(&echo.sio);
	while ((node = list_pop_front(&echo.delayed))) {
		struct delayed *d = CONTAINER_OF(node, struct delayed, node);

		timer_stop(&d->timer);
		free(d);
	}
	loop_free(&echo.loop);
	setup_fini(&setup);
	arena_fini(&echo.arena);
	strbuf_fini(&err);
	while (n_overrides)
		free(overrides[--n_overrides]);
	return status;
}
