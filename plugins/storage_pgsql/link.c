/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* A connection's life: connect, prepare, up, broken, and again. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conninfo.h"

static void on_event(void *arg, unsigned int events);

const char *link_name(const struct link *link)
{
	if (!link->lane)
		return "listen";
	switch (link->lane->class) {
	case LANE_READ:
		return "read";
	case LANE_WRITE:
		return "write";
	default:
		return "soft";
	}
}

static void link_set_state(struct link *link, enum link_state state)
{
	static const unsigned int from[] = { /* from which states one may come */
		[LINK_WAITING] = 1u << LINK_RESOLVING | 1u << LINK_CONNECTING |
				 1u << LINK_PREPARING | 1u << LINK_UP,
		[LINK_RESOLVING] = 1u << LINK_WAITING,
		[LINK_CONNECTING] = 1u << LINK_RESOLVING,
		[LINK_PREPARING] = 1u << LINK_CONNECTING,
		[LINK_UP] = 1u << LINK_PREPARING,
	};

	if (!(from[state] & 1u << link->state)) {
		store_log(link->store, PARLANCE_LOG_ERR, "%s: impossible change of state %d to %d",
			  link_name(link), (int)link->state, (int)state);
		__builtin_trap();
	}
	link->state = state;
}

void link_break(struct link *link, const char *format, ...)
{
	va_list args;

	if (link->broken)
		return;
	link->broken = true;
	va_start(args, format);
	vsnprintf(link->reason, sizeof(link->reason), format, args);
	va_end(args);
}

void link_break_libpq(struct link *link)
{
	if (link->broken)
		return;
	link->broken = true;
	/* What the server said before it closed the connection says more than that it did. */
	if (!*link->reason)
		text_line(link->reason, sizeof(link->reason),
			  link->pg ? PQerrorMessage(link->pg) : "out of memory");
}

/* Watching ends before libpq may close the descriptor and open another of the same number. */
static void link_unwatch(struct link *link)
{
	link->store->host->watch_free(link->watch);
	link->watch = NULL;
}

static void link_watch(struct link *link, unsigned int events)
{
	const struct parlance_host *host = link->store->host;

	link_unwatch(link);
	link->watch = host->watch_new(host->ctx, PQsocket(link->pg), events, on_event, link);
	if (!link->watch)
		link_break(link, "the socket cannot be watched");
}

/* What the server says unasked: only its last words before it closes the connection matter. The
 * text of other notices may hold what users wrote. */
static void on_notice(void *arg, const PGresult *result)
{
	struct link *link = arg;
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	char text[REASON_MAX - 8];

	if (!severity || strcmp(severity, "FATAL") != 0 || link->broken)
		return;
	text_line(text, sizeof(text), message ? message : "");
	snprintf(link->reason, sizeof(link->reason), "%.5s: %s", sqlstate ? sqlstate : "", text);
}

static void link_connected(struct link *link)
{
	if (!prepare_check_server(link))
		return;
	if (PQsetnonblocking(link->pg, 1)) {
		link_break_libpq(link);
		return;
	}
	link_set_state(link, LINK_PREPARING);
	link_watch(link, PARLANCE_IO_READ);
	if (link->broken)
		return;
	if (link->lane)
		prepare_begin(link);
	else
		listener_begin(listener_of(link));
}

static void link_connect_on(struct link *link)
{
	link_unwatch(link);
	switch (PQconnectPoll(link->pg)) {
	case PGRES_POLLING_READING:
		link_watch(link, PARLANCE_IO_READ);
		break;
	case PGRES_POLLING_WRITING:
		link_watch(link, PARLANCE_IO_WRITE);
		break;
	case PGRES_POLLING_OK:
		link_connected(link);
		break;
	default:
		link_break_libpq(link);
		break;
	}
}

void link_resolved(struct link *link, struct resolve *resolve)
{
	const struct addresses *found = &resolve->found;

	link->resolve = NULL;
	if (*resolve->err) {
		link_break(link, "%s", resolve->err);
		goto out;
	}
	link_set_state(link, LINK_CONNECTING);
	link->pg = conninfo_connect(link, &resolve->info, found, link->first % found->n);
	if (!link->pg || PQstatus(link->pg) == CONNECTION_BAD) {
		link_break_libpq(link);
		goto out;
	}
	PQsetNoticeReceiver(link->pg, on_notice, link);
	/* Not a connection yet, but as if PQconnectPoll had asked for this. */
	link_watch(link, PARLANCE_IO_WRITE);
out:
	resolve_free(resolve);
}

void link_start(struct link *link)
{
	const struct parlance_host *host = link->store->host;

	link_set_state(link, LINK_RESOLVING);
	link->reason[0] = '\0';
	link->step = 0;
	host->timer_start(link->timer, (uint64_t)link->store->options->connect_timeout_ms);
	if (resolve_start(link))
		link->broken = true;
}

void link_set_up(struct link *link)
{
	const struct parlance_host *host = link->store->host;

	link_set_state(link, LINK_UP);
	host->timer_stop(link->timer);
	host->count(host->ctx, "connections", 1);
	if (link->failures > 0)
		store_log(link->store, PARLANCE_LOG_NOTICE, "%s: connected", link_name(link));
	link->failures = 0;
	link->store->logged[0] = '\0';
	if (link->lane)
		lane_link_up(link->lane);
}

static uint64_t answer_limit_ms(const struct link *link)
{
	return (uint64_t)link->store->options->statement_timeout_ms + DEADLINE_SLACK_MS;
}

void link_await(struct link *link)
{
	link->deadline_ms = store_now(link->store) + answer_limit_ms(link);
	link->store->host->timer_start(link->timer, answer_limit_ms(link));
}

void link_flush(struct link *link)
{
	int rc = PQflush(link->pg);

	if (rc < 0) {
		link_break_libpq(link);
		return;
	}
	if (rc == 0)
		group_flushed(link);
	link->store->host->watch_set(link->watch,
				     PARLANCE_IO_READ | (rc > 0 ? PARLANCE_IO_WRITE : 0u));
}

static bool link_expects(const struct link *link)
{
	if (link->broken)
		return false;
	if (!link->lane)
		return ((const struct listener *)(const void *)link)->busy;
	return link->state == LINK_PREPARING || link->groups;
}

static void link_take_results(struct link *link)
{
	while (link_expects(link) && !PQisBusy(link->pg)) {
		PGresult *result = PQgetResult(link->pg);

		if (!link->lane)
			listener_result(listener_of(link), result);
		else if (link->state == LINK_PREPARING)
			prepare_result(link, result);
		else
			group_result(link, result);
	}
}

/* Reads and writes what the socket is ready for. */
static void link_io(struct link *link, unsigned int events)
{
	bool alive = PQconsumeInput(link->pg);

	if (alive && events & PARLANCE_IO_READ)
		link->deadline_ms = store_now(link->store) + answer_limit_ms(link);
	/* It also parses what came unasked, such as the server's last words. */
	(void)PQisBusy(link->pg);
	link_take_results(link);
	if (!link->lane)
		listener_go_on(listener_of(link));
	if (!alive || PQstatus(link->pg) == CONNECTION_BAD)
		link_break_libpq(link);
	if (link->broken)
		return;
	if (events == 0) /* the host has stopped to watch, but libpq found no error */
		link_watch(link, PARLANCE_IO_READ);
	if (!link->broken)
		link_flush(link);
}

static void on_event(void *arg, unsigned int events)
{
	struct link *link = arg;
	struct store *store = link->store;

	if (link->state == LINK_CONNECTING)
		link_connect_on(link);
	else
		link_io(link, events);
	store_settle(store);
}

static void check_deadline(struct link *link)
{
	uint64_t now = store_now(link->store);

	if (!link->groups)
		return;
	if (now >= link->deadline_ms)
		link_break(link, "no answer for %" PRIu64 " ms", answer_limit_ms(link));
	else
		link->store->host->timer_start(link->timer, link->deadline_ms - now);
}

static void on_timer(void *arg)
{
	struct link *link = arg;

	switch (link->state) {
	case LINK_WAITING:
		link_start(link);
		break;
	case LINK_UP:
		if (link->lane)
			check_deadline(link);
		else
			listener_tick(listener_of(link));
		break;
	default:
		/* libpq tries the next address after an error only, and silence is none. */
		link->first++;
		link_break(link, "no connection within %" PRId64 " ms",
			   link->store->options->connect_timeout_ms);
		break;
	}
	store_settle(link->store);
}

static void link_close(struct link *link)
{
	link_unwatch(link);
	PQfinish(link->pg);
	link->pg = NULL;
	if (link->resolve)
		resolve_abandon(link->resolve);
	link->resolve = NULL;
}

void link_take_down(struct link *link)
{
	const struct options *o = link->store->options;
	const struct parlance_host *host = link->store->host;
	bool was_up = link->state == LINK_UP;
	unsigned int doublings = link->failures < 16 ? link->failures : 16;
	uint64_t limit = (uint64_t)o->reconnect_min_ms << doublings;

	link_close(link);
	link->broken = false;
	link_set_state(link, LINK_WAITING);
	store_log_failure(link->store, link);
	if (link->lane) {
		lane_link_down(link->lane, was_up);
		groups_lost(link);
	} else {
		listener_down(listener_of(link));
	}
	link->failures++;
	if (limit > (uint64_t)o->reconnect_max_ms)
		limit = (uint64_t)o->reconnect_max_ms;
	host->timer_start(link->timer, store_jitter(link->store, limit));
}

int link_init(struct link *link, struct store *store, struct lane *lane)
{
	*link = (struct link){ .store = store, .lane = lane, .state = LINK_WAITING };
	link->timer = store->host->timer_new(store->host->ctx, on_timer, link);
	if (!link->timer)
		return -1;
	store->links[store->n_links++] = link;
	return 0;
}

void link_fini(struct link *link)
{
	link_close(link);
	groups_free(link);
	link->store->host->timer_free(link->timer);
	link->timer = NULL;
}
