/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Acknowledgements that we wait for. Each ends exactly once: answered, timed out, or its socket
 * gone.
 */
#include "sio/private.h"
#include "base/err.h"

struct pending_ack {
	struct list node;
	struct sio_socket *socket;
	struct timer timer;
	uint64_t id;
	sio_answer_fn *fn;
	void *arg;
};

static void forget(struct pending_ack *a)
{
	list_remove(&a->node);
	timer_stop(&a->timer);
	a->socket->n_acks--;
	free(a);
}

static void finish(struct pending_ack *a, struct sio_socket *s, int status,
		   const struct sio_event *answer)
{
	sio_answer_fn *fn = a->fn;
	void *arg = a->arg;

	forget(a);
	fn(arg, s, status, answer);
}

static void on_timeout(struct timer *timer)
{
	struct pending_ack *a = CONTAINER_OF(timer, struct pending_ack, timer);

	/* Its socket may have ended earlier in this turn. */
	finish(a, a->socket->state == SIO_DEAD ? NULL : a->socket, PARLANCE_ETIMEDOUT, NULL);
}

int64_t acks_add(struct sio_socket *s, uint32_t timeout_ms, sio_answer_fn *fn, void *arg)
{
	struct pending_ack *a = calloc(1, sizeof(*a));

	if (!a)
		return SIO_NO_ACK;
	a->socket = s;
	a->id = s->next_ack++;
	a->fn = fn;
	a->arg = arg;
	list_push_back(&s->acks, &a->node);
	s->n_acks++;
	loop_timer_start(s->nsp->sio->loop, &a->timer, timeout_ms, on_timeout);
	return (int64_t)a->id;
}

static struct pending_ack *find(struct sio_socket *s, int64_t id)
{
	/* Few are on their way at a time, and answers come in order as a rule. */
	for (struct list *node = s->acks.next; node != &s->acks; node = node->next) {
		struct pending_ack *a = CONTAINER_OF(node, struct pending_ack, node);

		if (a->id == (uint64_t)id)
			return a;
	}
	return NULL;
}

void acks_answer(struct sio_socket *s, int64_t id, const struct sio_event *answer)
{
	struct pending_ack *a = find(s, id);

	/* An answer that comes late, twice or unasked is dropped, as the reference server does. */
	if (a)
		finish(a, s, 0, answer);
}

void acks_take_back(struct sio_socket *s, int64_t id)
{
	struct pending_ack *a = find(s, id);

	CHECK(a);
	forget(a);
}

void acks_drop(struct sio_socket *s)
{
	while (!list_empty(&s->acks))
		finish(CONTAINER_OF(s->acks.next, struct pending_ack, node), NULL, PARLANCE_ECLOSED,
		       NULL);
}
