/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the tests share that have sio on a real loop and fake sessions: both ends of it, and checks
 * on what clients are sent. Included by one file of a program.
 */
#ifndef PARLANCE_TESTS_UNIT_SESSION_FIXTURE_H
#define PARLANCE_TESTS_UNIT_SESSION_FIXTURE_H

#include <stdio.h>
#include "loop_fixture.h"
#include "fake_session.h"

#include "sio/sio.h"

#define SESSIONS_MAX 64

static struct sio_config config;
static struct sio *sio;
static struct session *sessions[SESSIONS_MAX];
static size_t n_sessions;

static inline int session_setup(void **state)
{
	if (loop_setup(state))
		return -1;
	config = (struct sio_config){
		.connect_timeout_ms = 3600000,
		.authorize_timeout_ms = 3600000,
		.max_namespaces = 8,
		.max_rooms = 1000,
		.max_pending_acks = 100,
		.max_attachments = 3,
		.max_attachment_bytes = 100,
	};
	n_sessions = 0;
	return sio_new(&sio, loop, &config);
}

/** Closes and frees all sessions; what they meant to the layers above is over then. */
static inline void close_sessions(void)
{
	for (size_t i = 0; i < n_sessions; i++)
		session_close(sessions[i], SESSION_SERVER_SHUTDOWN);
	turn();
	while (n_sessions)
		fake_session_free(&sessions[--n_sessions]);
}

static inline int session_teardown(void **state)
{
	if (in_run)
		return -1;
	close_sessions();
	sio_free(&sio);
	return sio || loop_teardown(state);
}

static inline struct session *open_session(void)
{
	assert_true(n_sessions < SESSIONS_MAX);
	sessions[n_sessions] = fake_session_open(loop, sio_session_ops(), sio);
	return sessions[n_sessions++];
}

/** The client's next message is this text. */
static inline void check_sent(struct session *c, const char *expected)
{
	struct fake_message *m = fake_session_take(c);

	if (!m)
		fail_msg("nothing was sent instead of %s", expected);
	assert_int_equal(m->frame->kind, FRAME_TEXT);
	assert_string_equal(m->text, expected);
	fake_message_free(&m);
}

static inline void check_sent_binary(struct session *c, const char *expected)
{
	struct fake_message *m = fake_session_take(c);

	assert_non_null(m);
	assert_int_equal(m->frame->kind, FRAME_BINARY);
	assert_string_equal(m->text, expected);
	fake_message_free(&m);
}

static inline void check_sent_nothing(struct session *c)
{
	struct fake_message *m = fake_session_take(c);

	if (m)
		fail_msg("sent: %s", m->text);
}

static inline void check_closed(const struct session *c, enum session_close reason)
{
	assert_true(c->closed);
	assert_int_equal(c->reason, reason);
}

#endif
