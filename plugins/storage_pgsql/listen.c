/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The listener: the connection that hears the feed and what is addressed to this instance.
 *
 * TCP may lose a connection without a word, and a pooler in transaction mode takes LISTEN and
 * forgets it. So it is notified from time to time over another connection of ours: what does not
 * come is not there. The feed counts as up when the first one has come.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "payload.h"
#include "store.h"

enum {
	PROBE_INTERVAL_MS = 5000, /* and the longest that one may take */
	PROBE_FIRST_MS = 50, /* until the first one has come */
	IGNORED_LOG_MS = 60000,
};

#define FEED_CHANNEL "parlance_ev"
#define INSTANCE_CHANNEL "parlance_i_"
#define ALL_CHANNEL "parlance_all"

static void send_command(struct listener *l, const char *sql)
{
	if (!PQsendQuery(l->link.pg, sql)) {
		link_break_libpq(&l->link);
		return;
	}
	l->busy = true;
	l->busy_ms = store_now(l->link.store);
	link_flush(&l->link);
}

void listener_begin(struct listener *l)
{
	int64_t instance = l->link.store->instance;
	char sql[256];
	int n = snprintf(sql, sizeof(sql),
			 "SELECT pg_catalog.pg_backend_pid(); LISTEN " FEED_CHANNEL
			 "; LISTEN " ALL_CHANNEL "; LISTEN %s", l->probe_channel);

	if (instance)
		snprintf(sql + n, sizeof(sql) - (size_t)n,
			 "; LISTEN " INSTANCE_CHANNEL "%" PRId64, instance);
	l->listening = instance;
	l->probe_ms = 0;
	l->heard = false;
	send_command(l, sql);
}

static void follow_instance(struct listener *l)
{
	int64_t instance = l->link.store->instance;
	char sql[256];
	int n = 0;

	if (l->listening)
		n = snprintf(sql, sizeof(sql), "UNLISTEN " INSTANCE_CHANNEL "%" PRId64 ";",
			     l->listening);
	if (instance)
		snprintf(sql + n, sizeof(sql) - (size_t)n,
			 "LISTEN " INSTANCE_CHANNEL "%" PRId64, instance);
	l->listening = instance;
	send_command(l, sql);
}

void listener_result(struct listener *l, PGresult *result)
{
	struct link *link = &l->link;

	if (!result) {
		l->busy = false;
		if (link->state != LINK_PREPARING)
			return;
		link_set_up(link);
		listener_tick(l);
		return;
	}
	if (PQresultStatus(result) == PGRES_TUPLES_OK && link->state == LINK_PREPARING) {
		/* A pooler has a number of its own, which no server knows. */
		l->link.pooler = PQntuples(result) != 1 ||
			    strtol(PQgetvalue(result, 0, 0), NULL, 10) != PQbackendPID(link->pg);
		PQclear(result);
		return;
	}
	if (PQresultStatus(result) == PGRES_FATAL_ERROR) {
		const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
		const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

		if (sqlstate)
			link_break(link, "%.5s: %s", sqlstate, message ? message : "");
		else
			link_break_libpq(link);
	} else if (PQresultStatus(result) != PGRES_COMMAND_OK) {
		link_break(link, "an answer that was not asked for (%s)",
			   PQresStatus(PQresultStatus(result)));
	}
	PQclear(result);
}

static void ignore(struct listener *l)
{
	struct store *store = l->link.store;
	uint64_t now = store_now(store);

	store->host->count(store->host->ctx, "malformed_events", 1);
	l->ignored++;
	if (l->ignored_ms && now - l->ignored_ms < IGNORED_LOG_MS)
		return;
	store_log(store, PARLANCE_LOG_WARNING,
		  "listen: ignored what is no event (does somebody else notify " FEED_CHANNEL
		  "?) n=%" PRIu64, l->ignored);
	l->ignored = 0;
	l->ignored_ms = now;
}

static void deliver_event(struct listener *l, struct parlance_str text)
{
	const struct store *store = l->link.store;
	struct parlance_storage_event event = { .size = sizeof(event) };
	struct payload payload;

	if (!payload_parse(text, &payload)) {
		ignore(l);
		return;
	}
	event.room = payload.room;
	event.seq = payload.seq;
	event.type = payload.type;
	if (payload.body)
		event.json = text;
	store->sink->event(store->host->ctx, &event);
}

static void deliver(struct listener *l, const PGnotify *notify)
{
	const struct store *store = l->link.store;
	struct parlance_str text = { notify->extra, strlen(notify->extra) };
	char channel[64];

	if (strcmp(notify->relname, FEED_CHANNEL) == 0) {
		deliver_event(l, text);
		return;
	}
	if (strcmp(notify->relname, l->probe_channel) == 0) {
		l->probe_ms = 0;
		l->heard = true;
		store_tell_feed(l->link.store);
		return;
	}
	if (strcmp(notify->relname, ALL_CHANNEL) == 0) {
		store->sink->message(store->host->ctx, text);
		return;
	}
	/* Not of an instance that we no longer are. */
	snprintf(channel, sizeof(channel), INSTANCE_CHANNEL "%" PRId64, store->instance);
	if (store->instance && strcmp(notify->relname, channel) == 0)
		store->sink->message(store->host->ctx, text);
}

void listener_go_on(struct listener *l)
{
	struct link *link = &l->link;
	PGnotify *notify;

	/* Until then libpq is not to look at what came. */
	if (link->state != LINK_PREPARING && link->state != LINK_UP)
		return;
	/* What came before the connection broke still counts. */
	while ((notify = PQnotifies(link->pg))) {
		if (link->state == LINK_UP)
			deliver(l, notify);
		PQfreemem(notify);
	}
	if (!link->broken && link->state == LINK_UP && !l->busy &&
	    l->listening != link->store->instance)
		follow_instance(l);
}

void listener_tick(struct listener *l)
{
	struct link *link = &l->link;
	struct store *store = link->store;
	struct lane *soft = &store->soft_lane;
	uint64_t now = store_now(store);

	if ((l->busy && now - l->busy_ms >= PROBE_INTERVAL_MS) ||
	    (l->probe_ms && now - l->probe_ms >= PROBE_INTERVAL_MS)) {
		link_break(link, "notifications do not come through within %d ms%s",
			   PROBE_INTERVAL_MS,
			   l->link.pooler ? ": there is a pooler on the way, which forgets LISTEN in "
				       "transaction mode; let listen_dsn lead to PostgreSQL itself"
				     : "");
		return;
	}
	/* Without the other connection there is nothing to be found out. */
	if (!l->probe_ms && soft->n_up) {
		l->probe_ms = now;
		lane_submit_own(soft, &l->probe, &function_probe);
	}
	store->host->timer_start(link->timer, l->heard ? PROBE_INTERVAL_MS : PROBE_FIRST_MS);
}

void listener_down(struct listener *l)
{
	l->busy = false;
	l->heard = false;
	l->probe_ms = 0;
	l->listening = 0;
}

int listener_init(struct listener *l, struct store *store)
{
	unsigned char random[8];
	int n = snprintf(l->probe_channel, sizeof(l->probe_channel), "parlance_l_");

	store->host->random(store->host->ctx, random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		n += snprintf(l->probe_channel + n, sizeof(l->probe_channel) - (size_t)n, "%02x",
			      random[i]);
	l->probe_param = (struct parlance_str){ l->probe_channel, strlen(l->probe_channel) };
	l->probe = (struct parlance_storage_request){
		.size = sizeof(l->probe),
		.params = &l->probe_param,
		.n_params = 1,
	};
	return link_init(&l->link, store, NULL);
}
