/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Groups: requests that were sent before one Sync, and so are one transaction.
 *
 * A write connection has one group in flight; what is queued meanwhile is the next one. It goes in the
 * order of its keys: two groups that lock the same conversations do so in one order. When a
 * group fails, all of it was rolled back: its requests go again, each in a group of its own, and
 * what fails alone has failed. Groups of one, which all reads are, may be many in flight.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

enum {
	PIPELINE_DEPTH = 32,       /* groups of one in flight on a connection */
	GROUP_BYTES_MAX = 1 << 20, /* of parameters, after which a group is full */
	RETRIES_MAX = 5,
	RETRY_MIN_MS = 4, /* the longest wait before the first retry; doubled each time */
	LOSSES_MAX = 2,   /* a request that kills its connection must not go on to do so */
	DETAIL_MAX = 256,
};

struct member {
	struct request *request;
	size_t place; /* in the queue */
	PGresult *result;
};

struct group {
	struct group *next;
	size_t n;
	size_t at;      /* the member whose results come; n: the Sync's */
	bool alone;     /* others may be sent behind it */
	bool flushed;   /* all of it left libpq, so it may be done */
	bool failed;
	bool undone;    /* certainly not committed */
	bool ended;     /* the session ended here, by the server's own word */
	bool at_commit; /* failed there, or in what was deferred until then */
	char sqlstate[6];
	char detail[DETAIL_MAX];
	struct member members[];
};

static bool goes_alone(const struct request *request)
{
	return request->alone || request->function->lane == LANE_READ;
}

bool group_room(const struct link *link, const struct request *first)
{
	if (link->state != LINK_UP || link->broken)
		return false;
	if (!link->groups)
		return true;
	return goes_alone(first) && link->groups_end->alone && link->n_groups < PIPELINE_DEPTH;
}

static size_t bytes_of(const struct request *request)
{
	size_t n = 0;

	for (size_t i = 0; i < request->in->n_params; i++)
		n += request->in->params[i].len;
	return n;
}

/* How many of the queue's first requests make the next group. */
static size_t group_size(const struct lane *lane)
{
	const struct node *node = lane->queue.next;
	const struct request *request = (const struct request *)(const void *)node;
	size_t n = 1, bytes = bytes_of(request);

	if (goes_alone(request))
		return 1;
	while ((node = node->next) != &lane->queue && bytes < GROUP_BYTES_MAX &&
	       n < (uint64_t)lane->store->options->batch_max) {
		request = (const struct request *)(const void *)node;
		if (goes_alone(request))
			break;
		bytes += bytes_of(request);
		n++;
	}
	return n;
}

static bool send_request(struct link *link, const struct request *request)
{
	const char *values[PARLANCE_STORAGE_PARAMS_MAX];
	char sql[FUNCTION_SQL_MAX];
	size_t n = request->function->n_params;

	for (size_t i = 0; i < n; i++)
		values[i] = request->in->params[i].p;
	if (link->pooler)
		return PQsendQueryParams(link->pg, function_sql(request->function, sql), (int)n,
					 NULL, values, NULL, NULL, 0);
	return PQsendQueryPrepared(link->pg, request->function->name, (int)n, values, NULL, NULL,
				   0);
}

static void append(struct link *link, struct group *group)
{
	if (link->groups)
		link->groups_end->next = group;
	else
		link->groups = group;
	link->groups_end = group;
	link->n_groups++;
}

/* Those without a key first; those with the same one as they came. */
static int by_key(const void *va, const void *vb)
{
	const struct member *a = va, *b = vb;
	const char *key_a = a->request->in->key.p, *key_b = b->request->in->key.p;
	int order = key_a && key_b ? strcmp(key_a, key_b) : !!key_a - !!key_b;

	return order ? order : a->place < b->place ? -1 : 1;
}

void group_send(struct link *link)
{
	struct lane *lane = link->lane;
	const struct request *first = (const struct request *)(const void *)lane->queue.next;
	size_t n = group_size(lane);
	struct group *group = calloc(1, sizeof(*group) + n * sizeof(group->members[0]));
	bool ok = true;

	if (!group) {
		link_break(link, "out of memory");
		return;
	}
	group->n = n;
	group->alone = goes_alone(first);
	for (size_t i = 0; i < n; i++)
		group->members[i] = (struct member){ .request = lane_take(lane), .place = i };
	qsort(group->members, n, sizeof(group->members[0]), by_key);
	if (!link->groups)
		link_await(link);
	append(link, group);
	for (size_t i = 0; i < n && ok; i++)
		ok = send_request(link, group->members[i].request);
	if (!ok || !PQpipelineSync(link->pg)) {
		link_break_libpq(link);
		return;
	}
	link_flush(link);
}

void group_flushed(struct link *link)
{
	for (struct group *group = link->groups; group; group = group->next)
		group->flushed = true;
}

static void group_free(struct group *group)
{
	for (size_t i = 0; i < group->n; i++)
		PQclear(group->members[i].result);
	free(group);
}

/* Errors that say: not now. */
static bool is_temporary(const struct group *group)
{
	const char *s = group->sqlstate;

	return strncmp(s, "40", 2) == 0 || strncmp(s, "53", 2) == 0 || strncmp(s, "58", 2) == 0 ||
	       strncmp(s, "57P", 3) == 0 || strcmp(s, "55P03") == 0 ||
	       /* At commit this is NOTIFY's full queue. */
	       (group->at_commit && strcmp(s, "54000") == 0);
}

static void complete_member(struct lane *lane, struct group *group, size_t i)
{
	struct member *m = &group->members[i];
	const struct parlance_str none = { 0 };
	struct parlance_str json;

	if (!m->result || PQntuples(m->result) != 1 || PQnfields(m->result) != 1 ||
	    PQgetisnull(m->result, 0, 0)) {
		/* It is done, though: that is not "failed". */
		request_complete(lane, m->request, PARLANCE_STORAGE_UNKNOWN, none,
				 "the function returned no object");
		return;
	}
	json.p = PQgetvalue(m->result, 0, 0);
	json.len = (size_t)PQgetlength(m->result, 0, 0);
	request_complete(lane, m->request, PARLANCE_STORAGE_OK, json, NULL);
}

/* A request failed that had the transaction for itself. */
static void fail(struct lane *lane, const struct group *group, struct request *request)
{
	const struct parlance_str none = { 0 };
	bool conflict = strcmp(group->sqlstate, "40001") == 0 ||
			strcmp(group->sqlstate, "40P01") == 0;

	if (conflict && request->retries < RETRIES_MAX)
		lane_delay(lane, request, (uint64_t)RETRY_MIN_MS << request->retries++);
	else
		request_complete(lane, request,
				 is_temporary(group) ? PARLANCE_STORAGE_UNAVAILABLE :
						       PARLANCE_STORAGE_FAILED,
				 none, group->detail);
}

static void group_end(struct link *link)
{
	struct lane *lane = link->lane;
	struct group *group = link->groups;
	const struct parlance_host *host = link->store->host;

	link->groups = group->next;
	link->n_groups--;
	host->count(host->ctx, "transactions", 1);
	if (!group->failed) {
		for (size_t i = 0; i < group->n; i++)
			complete_member(lane, group, i);
	} else if (group->n == 1) {
		fail(lane, group, group->members[0].request);
	} else {
		host->count(host->ctx, "rollbacks", 1);
		for (size_t i = group->n; i-- > 0;) {
			group->members[i].request->alone = true;
			lane_requeue(lane, group->members[i].request);
		}
	}
	group_free(group);
}

static bool ends_session(const PGresult *result)
{
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

	return severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
}

/* Whether the message may have values of the request in it, which no log may have: those of these
 * classes quote them, and what went wrong inside of a function may be a RAISE, or a statement that
 * was put together, of the site's own triggers. */
static bool quotes_values(const PGresult *result, const char *sqlstate)
{
	static const char *const quoting[] = { "22", "23", "P0" };
	static const char *const own[] = { "40", "53", "55", "57", "58", "XX" };
	const char *source = PQresultErrorField(result, PG_DIAG_SOURCE_FUNCTION);

	for (size_t i = 0; i < sizeof(quoting) / sizeof(quoting[0]); i++)
		if (strncmp(sqlstate, quoting[i], 2) == 0)
			return true;
	if (!PQresultErrorField(result, PG_DIAG_CONTEXT))
		return false;
	if (!source || strcmp(source, "exec_stmt_raise") == 0)
		return true;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strncmp(sqlstate, own[i], 2) == 0)
			return false;
	return true;
}

static void take_error(struct link *link, struct group *group, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	char text[DETAIL_MAX - 8];

	if (!sqlstate) { /* libpq's own: the connection is gone */
		link_break_libpq(link);
		return;
	}
	if (group->failed)
		return;
	group->failed = true;
	group->at_commit = group->at == group->n;
	/* Whoever is told to go away after a commit hears that as an error, too. */
	group->ended = ends_session(result);
	group->undone = !group->at_commit || !group->ended;
	snprintf(group->sqlstate, sizeof(group->sqlstate), "%.5s", sqlstate);
	if (!message || quotes_values(result, sqlstate))
		message = "";
	text_line(text, sizeof(text), message);
	snprintf(group->detail, sizeof(group->detail), "%s%s%s", group->sqlstate,
		 *text ? ": " : "", text);
	/* The session is over; or it is one that we did not prepare, or of a server that takes no
	 * writes any more: another one is needed. */
	if (group->ended || strcmp(group->sqlstate, "26000") == 0 ||
	    strcmp(group->sqlstate, "25006") == 0)
		link_break(link, "%s", group->detail);
}

void group_result(struct link *link, PGresult *result)
{
	struct group *group = link->groups;

	if (!result) {
		if (group->at < group->n)
			group->at++;
		return;
	}
	switch (PQresultStatus(result)) {
	case PGRES_TUPLES_OK:
		if (group->at < group->n && !group->members[group->at].result) {
			group->members[group->at].result = result;
			return;
		}
		break;
	case PGRES_FATAL_ERROR:
		take_error(link, group, result);
		break;
	case PGRES_PIPELINE_ABORTED:
		break;
	case PGRES_PIPELINE_SYNC:
		group_end(link);
		break;
	default:
		link_break(link, "an answer that was not asked for (%s)",
			   PQresStatus(PQresultStatus(result)));
		break;
	}
	PQclear(result);
}

/* blamed: it may be why the connection broke. */
static void lose(struct link *link, const struct group *group, struct request *request, bool blamed)
{
	const struct parlance_str none = { 0 };
	bool undone = group->undone || !group->flushed || request->function->lane == LANE_READ;

	request->alone = request->alone || group->flushed;
	request->losses += blamed;
	if (undone && request->losses <= LOSSES_MAX)
		lane_requeue(link->lane, request);
	else
		request_complete(link->lane, request,
				 undone ? PARLANCE_STORAGE_UNAVAILABLE : PARLANCE_STORAGE_UNKNOWN,
				 none, link->reason);
}

void groups_lost(struct link *link)
{
	struct group *reversed = NULL, *group;
	bool ended = false;

	/* What stands behind a session's end was never read. Requests are put back from the last to
	 * the first, each to the front. */
	while ((group = link->groups)) {
		link->groups = group->next;
		group->undone = group->undone || ended;
		ended = ended || group->ended;
		group->next = reversed;
		reversed = group;
	}
	link->n_groups = 0;
	while ((group = reversed)) {
		reversed = group->next;
		for (size_t i = group->n; i-- > 0;)
			/* The server works on the oldest, and has not begun the next. */
			lose(link, group, group->members[i].request, !reversed);
		group_free(group);
	}
}

void groups_free(struct link *link)
{
	struct group *group;

	while ((group = link->groups)) {
		link->groups = group->next;
		for (size_t i = 0; i < group->n; i++)
			free(group->members[i].request);
		group_free(group);
	}
}
