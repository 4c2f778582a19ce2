/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* A lane: requests of one class that wait, and the outage when nobody can serve them. */
#include <stdio.h>
#include <stdlib.h>

#include "store.h"

static void node_insert(struct node *node, struct node *before)
{
	node->next = before;
	node->prev = before->prev;
	before->prev->next = node;
	before->prev = node;
}

static void node_remove(struct node *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
}

/* The node is a request's first member. */
static struct request *first_of(struct node *list)
{
	return list->next == list ? NULL : (struct request *)(void *)list->next;
}

static void refuse(struct lane *lane, struct parlance_storage_op *op, const char *detail)
{
	lane->store->sink->complete(op, PARLANCE_STORAGE_UNAVAILABLE, (struct parlance_str){ 0 },
				    detail);
}

void request_complete(struct lane *lane, struct request *request,
		      enum parlance_storage_status status, struct parlance_str json,
		      const char *detail)
{
	if (request->op)
		lane->store->sink->complete(request->op, status, json, detail);
	free(request);
}

static void enqueue(struct lane *lane, struct request *request,
		    const struct parlance_storage_request *in, const struct function *function)
{
	request->lane = lane;
	request->in = in;
	request->function = function;
	request->state = REQUEST_QUEUED;
	node_insert(&request->node, &lane->queue);
	lane->store->n_waiting++;
	store_wake(lane->store);
}

void lane_submit_own(struct lane *lane, const struct parlance_storage_request *in,
		     const struct function *function)
{
	struct request *request = lane->outage ? NULL : calloc(1, sizeof(*request));

	if (request)
		enqueue(lane, request, in, function);
}

void lane_submit(struct lane *lane, struct parlance_storage_op *op,
		 const struct parlance_storage_request *in, const struct function *function)
{
	struct store *store = lane->store;
	struct request *request;

	if (lane->outage) {
		refuse(lane, op, store->detail);
		return;
	}
	if (store->n_waiting >= (uint64_t)store->options->queue_max) {
		store->host->count(store->host->ctx, "queue_full", 1);
		refuse(lane, op, "too many requests wait (queue_max)");
		return;
	}
	request = calloc(1, sizeof(*request));
	if (!request) {
		refuse(lane, op, "out of memory");
		return;
	}
	request->op = op;
	op->plugin = request;
	enqueue(lane, request, in, function);
}

void lane_cancel(struct request *request)
{
	const struct parlance_str none = { 0 };
	struct lane *lane = request->lane;

	if (request->state != REQUEST_SENT) {
		node_remove(&request->node);
		lane->store->n_waiting--;
		request_complete(lane, request, PARLANCE_STORAGE_CANCELED, none, NULL);
		return;
	}
	lane->store->sink->complete(request->op, PARLANCE_STORAGE_CANCELED, none, NULL);
	request->op = NULL;
	request->in = NULL;
}

struct request *lane_take(struct lane *lane)
{
	struct request *request = first_of(&lane->queue);

	node_remove(&request->node);
	request->state = REQUEST_SENT;
	lane->store->n_waiting--;
	return request;
}

/* Puts a request that is in no list into one; or ends it, when that is of no use. */
static void put(struct lane *lane, struct request *request, enum request_state state,
		struct node *before)
{
	if (!request->op || lane->outage) {
		request_complete(lane, request, PARLANCE_STORAGE_UNAVAILABLE,
				 (struct parlance_str){ 0 }, lane->store->detail);
		return;
	}
	request->state = state;
	node_insert(&request->node, before);
	lane->store->n_waiting++;
}

void lane_requeue(struct lane *lane, struct request *request)
{
	put(lane, request, REQUEST_QUEUED, lane->queue.next);
}

static void start_delay_timer(struct lane *lane)
{
	uint64_t now = store_now(lane->store), first = UINT64_MAX;

	for (struct node *n = lane->delayed.next; n != &lane->delayed; n = n->next) {
		const struct request *request = (struct request *)(void *)n;

		if (request->due_ms < first)
			first = request->due_ms;
	}
	if (first != UINT64_MAX)
		lane->store->host->timer_start(lane->delay_timer, first > now ? first - now : 1);
}

void lane_delay(struct lane *lane, struct request *request, uint64_t max_ms)
{
	request->due_ms = store_now(lane->store) + store_jitter(lane->store, max_ms);
	put(lane, request, REQUEST_DELAYED, &lane->delayed);
	start_delay_timer(lane);
}

static void on_delay(void *arg)
{
	struct lane *lane = arg;
	uint64_t now = store_now(lane->store);
	struct node *next;

	for (struct node *n = lane->delayed.next; n != &lane->delayed; n = next) {
		struct request *request = (struct request *)(void *)n;

		next = n->next;
		if (request->due_ms > now)
			continue;
		node_remove(n);
		node_insert(n, lane->queue.next);
		request->state = REQUEST_QUEUED;
	}
	start_delay_timer(lane);
	store_settle(lane->store);
}

static void refuse_list(struct lane *lane, struct node *list)
{
	struct request *request;

	while ((request = first_of(list))) {
		node_remove(&request->node);
		lane->store->n_waiting--;
		request_complete(lane, request, PARLANCE_STORAGE_UNAVAILABLE,
				 (struct parlance_str){ 0 }, lane->store->detail);
	}
}

static void on_grace_over(void *arg)
{
	struct lane *lane = arg;

	lane->outage = true;
	refuse_list(lane, &lane->queue);
	refuse_list(lane, &lane->delayed);
	store_settle(lane->store);
}

void lane_link_up(struct lane *lane)
{
	lane->n_up++;
	lane->outage = false;
	lane->store->host->timer_stop(lane->grace_timer);
}

static void start_grace(struct lane *lane)
{
	lane->store->host->timer_start(lane->grace_timer,
				       (uint64_t)lane->store->options->outage_grace_ms);
}

void lane_link_down(struct lane *lane, bool was_up)
{
	if (was_up && --lane->n_up == 0)
		start_grace(lane);
}

/* The one with the least to do of those that may take the request. */
static struct link *choose(const struct lane *lane, const struct request *request)
{
	const struct store *store = lane->store;
	struct link *best = NULL;

	for (size_t i = 0; i < store->n_links; i++) {
		struct link *link = store->links[i];

		if (link->lane == lane && group_room(link, request) &&
		    (!best || link->n_groups < best->n_groups))
			best = link;
	}
	return best;
}

void lane_pump(struct lane *lane)
{
	struct request *request;
	struct link *link;

	while ((request = first_of(&lane->queue)) && (link = choose(lane, request)))
		group_send(link);
}

int lane_init(struct lane *lane, struct store *store, enum lane_class class)
{
	const struct parlance_host *host = store->host;

	store->lanes[store->n_lanes++] = lane;
	*lane = (struct lane){ .store = store, .class = class };
	lane->queue.next = lane->queue.prev = &lane->queue;
	lane->delayed.next = lane->delayed.prev = &lane->delayed;
	lane->delay_timer = host->timer_new(host->ctx, on_delay, lane);
	lane->grace_timer = host->timer_new(host->ctx, on_grace_over, lane);
	if (!lane->delay_timer || !lane->grace_timer)
		return -1;
	start_grace(lane);
	return 0;
}

void lane_fini(struct lane *lane)
{
	struct request *request;

	/* Of the host's none is left. */
	while ((request = first_of(&lane->queue))) {
		node_remove(&request->node);
		free(request);
	}
	lane->store->host->timer_free(lane->delay_timer);
	lane->store->host->timer_free(lane->grace_timer);
}
