/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A fake of net's sessions for tests of the layer above: it keeps what is sent, and says what the
 * test has it say. It is linked instead of net. Loop thread.
 */
#ifndef PARLANCE_TESTS_UNIT_FAKE_SESSION_H
#define PARLANCE_TESTS_UNIT_FAKE_SESSION_H

#include "base/list.h"
#include "loop/loop.h"
#include "net/session.h"

struct session {
	struct loop *loop;
	const struct session_ops *ops;
	void *ctx;
	void *user;
	struct session_handshake handshake;
	bool handshake_forgotten;
	struct slice issuer, audience; /* what session_demands says */
	bool blocked;   /* what session_writable denies */
	bool congested; /* what session_congested says */
	size_t queued_bytes;
	bool closed; /* no more messages either way */
	bool gone;   /* the close callback has been called */
	enum session_close reason;
	struct list sent;
	struct loop_task close_task;
	struct loop_task stop_task;
};

/* A message that was sent and not looked at yet. */
struct fake_message {
	struct list node;
	struct frame *frame; /* a reference of our own */
	size_t tail_len;
	size_t len;
	char text[]; /* data and tail, terminated */
};

/** Opens a session and calls ops->open. Aborts without memory. */
struct session *fake_session_open(struct loop *loop, const struct session_ops *ops, void *ctx);

/** Frees it; the close callback has been called, or nobody is there to hear it. */
void fake_session_free(struct session **session);

/** The client says something; nothing happens when the session is closed. */
void fake_session_text(struct session *session, const char *text);
void fake_session_binary(struct session *session, const void *p, size_t len);

/** The oldest message sent that was not taken, the caller's now (fake_message_free), or NULL. */
struct fake_message *fake_session_take(struct session *session);
void fake_message_free(struct fake_message **message);

#endif
