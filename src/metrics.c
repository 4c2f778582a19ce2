/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* One row a metric. Source of the format: Prometheus' "Exposition formats", version 0.0.4. */
#include "metrics.h"

#include "config.h"

#include <inttypes.h>

enum kind { GAUGE, COUNTER };

static void put_head(struct strbuf *out, const char *name, enum kind kind, const char *help)
{
	strbuf_printf(out, "# HELP parlance_%s %s\n# TYPE parlance_%s %s\n", name, help, name,
		      kind == GAUGE ? "gauge" : "counter");
}

static void put(struct strbuf *out, const char *name, enum kind kind, const char *help, uint64_t n)
{
	put_head(out, name, kind, help);
	strbuf_printf(out, "parlance_%s %" PRIu64 "\n", name, n);
}

static void put_net(struct strbuf *out, const struct net *net)
{
	struct net_stats s;

	net_stats(net, &s);
	put(out, "connections", GAUGE, "Open connections.", s.connections);
	put(out, "sessions", GAUGE, "Engine.IO sessions.", s.sessions);
	put(out, "sessions_websocket", GAUGE, "Those of them over WebSocket.",
	    s.sessions_websocket);
	put(out, "connections_accepted_total", COUNTER, "Connections that were accepted.",
	    s.accepted);
	put(out, "refused_limit_total", COUNTER,
	    "Connections and handshakes that were refused by limits.*.", s.refused_limit);
	put(out, "refused_origin_total", COUNTER, "Requests that were refused by cors.origins.",
	    s.refused_origin);
	put(out, "accept_paused_total", COUNTER,
	    "Times that accepting stopped for lack of descriptors or memory.", s.accept_paused);
	put(out, "queued_bytes", GAUGE, "Output that waits for clients.", s.queued_bytes);
	put(out, "forwarding", GAUGE, "Requests that another instance is dealing with.",
	    s.forwarding);
	put(out, "forwarded_total", COUNTER, "Requests that were passed on to another instance.",
	    s.forwarded);
	put(out, "forward_failed_total", COUNTER, "Those of them that could not be.",
	    s.forward_failed);
}

static void put_core(struct strbuf *out, const struct core *core)
{
	static const char *const limits[CORE_LIMITS] = {
		[CORE_LIMIT_SOCKET_EVENTS] = "events_per_second",
		[CORE_LIMIT_USER_EVENTS] = "user_events_per_second",
		[CORE_LIMIT_USER_BYTES] = "user_bytes_per_second",
		[CORE_LIMIT_USER_REQUESTS] = "user_requests",
		[CORE_LIMIT_USER_SOCKETS] = "max_sockets_per_user",
		[CORE_LIMIT_USER_ANSWERS] = "max_answers_per_user",
		[CORE_LIMIT_ANSWERS] = "max_answers",
	};
	struct core_stats s;

	core_stats(core, &s);
	put(out, "users", GAUGE, "Users with a socket here.", s.users);
	put(out, "sockets", GAUGE, "Sockets that are signed in.", s.sockets);
	put(out, "rooms", GAUGE, "Conversations and users that are followed.", s.rooms);
	put(out, "answers", GAUGE, "Answers that run or wait here.", s.generations);
	put(out, "events_total", COUNTER, "Events of the log that were delivered.", s.events);
	put(out, "replays_total", COUNTER, "Rooms that were read anew for a gap.", s.replays);
	put_head(out, "limited_total", COUNTER, "What was refused by limits of [chat].");
	for (size_t i = 0; i < CORE_LIMITS; i++)
		strbuf_printf(out, "parlance_limited_total{limit=\"%s\"} %" PRIu64 "\n", limits[i],
			      s.limited[i]);
}

static void put_counter(void *arg, const char *instance, const char *name, uint64_t n)
{
	strbuf_printf(arg, "parlance_plugin_total{plugin=\"%s\",what=\"%s\"} %" PRIu64 "\n",
		      instance, name, n);
}

void metrics_write(struct strbuf *out, const struct net *net, const struct core *core,
		   const struct plugins *plugins)
{
	put_head(out, "info", GAUGE, "The version.");
	strbuf_printf(out, "parlance_info{version=\"%s\"} 1\n", PACKAGE_VERSION);
	put_net(out, net);
	put_core(out, core);
	put_head(out, "plugin_total", COUNTER, "What plugins count.");
	plugins_counters(plugins, put_counter, out);
}
