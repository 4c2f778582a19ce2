/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The server: its making and ending, and the end of a turn. */
#include <malloc.h>

#include "net/private.h"
#include "base/err.h"
#include "wire/ws_deflate.h"

#define SWEEP_MS 60000
/* Worth giving memory back to the system for. */
#define TRIM_CONNS 1000

static struct slice sid_of(const void *item)
{
	const struct session *s = item;

	return slice_of(s->sid, s->sid_len);
}

static void shutdown_finished(struct net *net)
{
	void (*done)(void *arg) = net->shutdown_done;

	if (!done)
		return;
	net->shutdown_done = NULL;
	timer_stop(&net->shutdown_timer);
	done(net->shutdown_arg);
}

static void on_turn_end(struct loop_task *task)
{
	struct net *net = CONTAINER_OF(task, struct net, end_of_turn);
	struct list *node;

	/* Sessions first: they fill what the connections write. Either may make work for the
	 * other. */
	while (!list_empty(&net->dirty) || !list_empty(&net->busy)) {
		while ((node = list_pop_front(&net->dirty)))
			session_end_of_turn(CONTAINER_OF(node, struct session, dirty));
		if ((node = list_pop_front(&net->busy)))
			conn_end_of_turn(CONTAINER_OF(node, struct conn, busy));
	}
	if (net->shutting_down && !net->n_conns)
		shutdown_finished(net);
}

static void on_sweep(struct timer *timer)
{
	struct net *net = CONTAINER_OF(timer, struct net, sweep_timer);

	limits_sweep(&net->limits, loop_now_ms(net->loop));
	if (net->peak_conns > net->n_conns + TRIM_CONNS) {
		net->peak_conns = net->n_conns;
#ifdef __GLIBC__
		/* Connections that left make holes all over the heap; malloc alone returns only its
		 * end. */
		(void)malloc_trim(0);
#endif
	}
	loop_timer_start(net->loop, &net->sweep_timer, SWEEP_MS, on_sweep);
}

int net_new(struct net **out, struct loop *loop, const struct net_config *config,
	    const struct session_ops *ops, void *ctx, struct strbuf *err)
{
	struct net *net = calloc(1, sizeof(*net));
	int rc = PARLANCE_ENOMEM;

	if (!net)
		goto no_memory;
	net->loop = loop;
	net->config = config;
	net->ops = ops;
	net->ctx = ctx;
	net_set_ready(net, "starting");
	net->end_of_turn.fn = on_turn_end;
	list_init(&net->conns);
	list_init(&net->dirty);
	list_init(&net->busy);
	idtable_init(&net->sessions);
	net->by_sid = map_new(sid_of);
	net->gather = malloc(LWS_PRE + NET_GATHER_BYTES);
	if (!net->by_sid || !net->gather)
		goto no_memory;
	if (limits_init(&net->limits, config->max_connections, config->max_connections_per_address,
			config->handshakes_per_second_per_address,
			config->handshake_burst_per_address))
		goto no_memory;
	rc = web_load(net, err);
	if (!rc)
		rc = vhost_context(net, err);
	if (rc)
		goto fail;
	loop_timer_start(loop, &net->sweep_timer, SWEEP_MS, on_sweep);
	*out = net;
	return 0;

no_memory:
	strbuf_append_str(err, "out of memory");
fail:
	net_free(&net);
	return rc;
}

void net_config_changed(struct net *net)
{
	const struct net_config *c = net->config;

	limits_set_per_address(&net->limits, c->max_connections_per_address,
			       c->handshakes_per_second_per_address,
			       c->handshake_burst_per_address);
}

static void on_shutdown_timeout(struct timer *timer)
{
	shutdown_finished(CONTAINER_OF(timer, struct net, shutdown_timer));
}

void net_drain(struct net *net)
{
	net->draining = true;
}

void net_shutdown(struct net *net, uint32_t timeout_ms, void (*done)(void *arg), void *arg)
{
	struct session *s;
	uint32_t pos = 0;
	struct list *node;
	struct list *next;

	net->shutting_down = true;
	net->shutdown_done = done;
	net->shutdown_arg = arg;
	for (size_t i = 0; i < net->n_listeners; i++)
		listener_stop(net->listeners[i]);
	while ((s = idtable_next(&net->sessions, &pos)))
		session_close(s, SESSION_SERVER_SHUTDOWN);
	/* Those that have asked for nothing yet. */
	LIST_FOREACH_SAFE (node, next, &net->conns) {
		struct conn *c = CONTAINER_OF(node, struct conn, node);

		if (c->state == CONN_PROXY || c->state == CONN_BODY)
			conn_kill(c);
		else if (c->state == CONN_HEAD ||
			 (c->state == CONN_FORWARD && !forward_may_finish(c->forward)))
			conn_close(c, WS_NONE);
	}
	loop_timer_start(net->loop, &net->shutdown_timer, timeout_ms, on_shutdown_timeout);
	loop_defer(net->loop, &net->end_of_turn);
}

void net_free(struct net **netp)
{
	struct net *net = *netp;
	struct session *s;
	uint32_t pos = 0;

	if (!net)
		return;
	*netp = NULL;
	net->shutting_down = true;
	net->shutdown_done = NULL;
	timer_stop(&net->shutdown_timer);
	timer_stop(&net->sweep_timer);
	for (size_t i = 0; i < net->n_listeners; i++)
		listener_stop(net->listeners[i]);
	while ((s = idtable_next(&net->sessions, &pos)))
		session_fail(s, SESSION_SERVER_SHUTDOWN, WS_GOING_AWAY);
	on_turn_end(&net->end_of_turn);
	for (struct list *node = net->conns.next; node != &net->conns; node = node->next)
		conn_kill(CONTAINER_OF(node, struct conn, node));
	on_turn_end(&net->end_of_turn);
	/* On a foreign loop the context goes in two steps, and its handles close in between
	 * (libwebsockets, README.event-libs). */
	if (net->lws) {
		lws_context_destroy(net->lws);
		loop_run_closing(net->loop);
		lws_context_destroy(net->lws);
	}
	loop_run_closing(net->loop);
	loop_undefer(&net->end_of_turn);
	for (size_t i = 0; i < net->n_listeners; i++)
		listener_free(&net->listeners[i]);
	free(net->listeners);
	CHECK(list_empty(&net->conns));
	limits_fini(&net->limits);
	map_free(&net->by_sid);
	idtable_fini(&net->sessions);
	ws_deflate_fini();
	free(net->gather);
	peers_free(net);
	peers_forget_secret(net);
	files_free(&net->files);
	free(net);
}

uint32_t net_descriptors(const struct net *net)
{
	return net->n_conns - net->n_admin + net->n_forwards;
}

int net_listener_port(const struct net *net, size_t i)
{
	return i < net->n_listeners ? net->listeners[i]->port : -1;
}

void net_stats(const struct net *net, struct net_stats *out)
{
	*out = net->stats;
	out->connections = net->n_conns;
	out->sessions = net->sessions.count;
	out->sessions_websocket = net->n_websocket;
	out->queued_bytes = net->queued_bytes;
	out->forwarding = net->n_forwards;
}
