/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* One row a metric. Source of the format: Prometheus' "Exposition formats", version 0.0.4. */
#include "metrics.h"

#include "config.h"

#include <inttypes.h>

#include "base/log.h"

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

static void put_one(struct strbuf *out, const char *name, const char *label, const char *value,
		    uint64_t n)
{
	strbuf_printf(out, "parlance_%s{%s=\"%s\"} %" PRIu64 "\n", name, label, value, n);
}

static void put_net(struct strbuf *out, const struct net *net)
{
	static const char *const limits[NET_LIMITS] = {
		[NET_LIMIT_CONNECTIONS] = "max_connections",
		[NET_LIMIT_CONNECTIONS_PER_ADDRESS] = "max_connections_per_address",
		[NET_LIMIT_HANDSHAKES] = "handshakes_per_second_per_address",
		[NET_LIMIT_HEADER] = "max_header_bytes",
	};
	struct net_stats s;

	net_stats(net, &s);
	put(out, "connections", GAUGE, "Open connections.", s.connections);
	put(out, "sessions", GAUGE, "Engine.IO sessions.", s.sessions);
	put(out, "sessions_websocket", GAUGE, "Those of them over WebSocket.",
	    s.sessions_websocket);
	put(out, "connections_accepted_total", COUNTER, "Connections that were accepted.",
	    s.accepted);
	put_head(out, "refused_total", COUNTER, "What was refused by limits of [limits].");
	for (size_t i = 0; i < NET_LIMITS; i++)
		put_one(out, "refused_total", "limit", limits[i], s.limited[i]);
	put_head(out, "sessions_closed_total", COUNTER, "Sessions that have ended.");
	for (int i = 1; i <= SESSION_CLOSE_MAX; i++)
		put_one(out, "sessions_closed_total", "reason",
			session_close_text((enum session_close)i), s.closed[i]);
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
		[CORE_LIMIT_ROOMS] = "max_rooms",
		[CORE_LIMIT_CONTENT_BYTES] = "max_content_bytes",
		[CORE_LIMIT_TITLE_BYTES] = "max_title_bytes",
		[CORE_LIMIT_METADATA_BYTES] = "max_metadata_bytes",
		[CORE_LIMIT_JSON_DEPTH] = "max_json_depth",
	};
	struct core_stats s;

	core_stats(core, &s);
	put(out, "users", GAUGE, "Users with a socket here.", s.users);
	put(out, "sockets", GAUGE, "Sockets that are signed in.", s.sockets);
	put(out, "rooms", GAUGE, "Conversations and users that are followed.", s.rooms);
	put(out, "answers", GAUGE, "Answers that run or wait here.", s.generations);
	put(out, "events_total", COUNTER, "Events of the log that were delivered.", s.events);
	put(out, "replays_total", COUNTER, "Rooms that were read anew for a gap.", s.replays);
	put_head(out, "limited_total", COUNTER,
		 "What was refused by limits of [chat] and [socket].");
	for (size_t i = 0; i < CORE_LIMITS; i++)
		put_one(out, "limited_total", "limit", limits[i], s.limited[i]);
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
	put(out, "log_lost_total", COUNTER,
	    "Lines over log.lines_per_second, or that could not be written.", log_lost_lines());
	put_net(out, net);
	put_core(out, core);
	put_head(out, "plugin_total", COUNTER, "What plugins count.");
	plugins_counters(plugins, put_counter, out);
}
