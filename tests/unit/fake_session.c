/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The fake sessions. As the real ones do, they call back from the loop only: the close callback
 * comes at the end of the turn. Whatever is sent or closed ends the loop's run with the turn, so
 * that a test can wait for it.
 */
#include <stdlib.h>

#include "fake_session.h"

static void stop(struct loop_task *task)
{
	struct session *s = CONTAINER_OF(task, struct session, stop_task);

	loop_stop(s->loop);
}

static void call_close(struct loop_task *task)
{
	struct session *s = CONTAINER_OF(task, struct session, close_task);

	s->gone = true;
	s->ops->close(s->ctx, s, s->reason);
}

struct session *fake_session_open(struct loop *loop, const struct session_ops *ops, void *ctx)
{
	struct session *s = calloc(1, sizeof(*s));

	CHECK(s);
	s->loop = loop;
	s->ops = ops;
	s->ctx = ctx;
	s->handshake.address = "192.0.2.1";
	list_init(&s->sent);
	s->close_task.fn = call_close;
	s->stop_task.fn = stop;
	ops->open(ctx, s);
	return s;
}

void fake_session_free(struct session **sp)
{
	struct session *s = *sp;
	struct fake_message *m;

	if (!s)
		return;
	*sp = NULL;
	while ((m = fake_session_take(s)))
		fake_message_free(&m);
	loop_undefer(&s->close_task);
	loop_undefer(&s->stop_task);
	free(s);
}

static void say(struct session *s, bool binary, const void *p, size_t len)
{
	char *copy;

	if (s->closed)
		return;
	/* A block of its own, which is gone after the call: what is kept too long is found out. */
	copy = malloc(len ? len : 1);
	CHECK(copy);
	if (len)
		memcpy(copy, p, len);
	s->ops->message(s->ctx, s, binary, slice_of(copy, len));
	free(copy);
}

void fake_session_text(struct session *s, const char *text)
{
	say(s, false, text, strlen(text));
}

void fake_session_binary(struct session *s, const void *p, size_t len)
{
	say(s, true, p, len);
}

struct fake_message *fake_session_take(struct session *s)
{
	struct list *node = list_pop_front(&s->sent);

	return node ? CONTAINER_OF(node, struct fake_message, node) : NULL;
}

void fake_message_free(struct fake_message **mp)
{
	struct fake_message *m = *mp;

	*mp = NULL;
	frame_unref(&m->frame);
	free(m);
}

/* ---- net/session.h ---- */

const char *session_close_text(enum session_close reason)
{
	switch (reason) {
#define X(name, value, text) \
	case name:           \
		return text;
		SESSION_CLOSE_LIST(X)
#undef X
	}
	return NULL;
}

void session_set_user(struct session *s, void *user)
{
	s->user = user;
}

void *session_user(const struct session *s)
{
	return s->user;
}

const struct session_handshake *session_handshake(const struct session *s)
{
	return s->handshake_forgotten ? NULL : &s->handshake;
}

void session_demands(const struct session *s, struct slice *issuer, struct slice *audience)
{
	*issuer = s->issuer;
	*audience = s->audience;
}

void session_forget_handshake(struct session *s)
{
	s->handshake_forgotten = true;
}

void session_send(struct session *s, struct frame *frame, struct slice tail)
{
	struct fake_message *m;

	CHECK(!s->gone);
	if (s->closed)
		return;
	m = calloc(1, sizeof(*m) + frame->len + tail.len + 1);
	CHECK(m);
	m->frame = frame_ref(frame);
	m->tail_len = tail.len;
	m->len = frame->len + tail.len;
	memcpy(m->text, frame->data, frame->len);
	if (tail.len)
		memcpy(m->text + frame->len, tail.p, tail.len);
	list_push_back(&s->sent, &m->node);
	loop_defer(s->loop, &s->stop_task);
}

bool session_writable(const struct session *s)
{
	return !s->blocked;
}

size_t session_queued_bytes(const struct session *s)
{
	return s->queued_bytes;
}

bool session_congested(const struct session *s)
{
	return s->congested;
}

void session_close(struct session *s, enum session_close reason)
{
	if (s->closed)
		return;
	s->closed = true;
	s->reason = reason;
	loop_defer(s->loop, &s->close_task);
	loop_defer(s->loop, &s->stop_task);
}
