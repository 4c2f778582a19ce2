/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the tests of recovery share: clients that come back, and what the storage says to that.
 * Included by one file of a program.
 */
#ifndef PARLANCE_TESTS_UNIT_CORE_RECOVERY_FIXTURE_H
#define PARLANCE_TESTS_UNIT_CORE_RECOVERY_FIXTURE_H

#include "core_cluster_fixture.h"

#define TAG "ERERERERQRGBEREREREREQ"  /* of CONV */
#define TAG2 "IiIiIiIiQiKCIiIiIiIiIg" /* of CONV2 */
#define PID_TOKEN "pid-_AZaz09abcdefghijk"
#define PID PID_TOKEN ":e1.0"
#define SID "sid-of-the-connection-" /* as the storage makes it of PID */

#define TYPE "message.updated"

static inline int recovery_setup(void **state)
{
	int rc = setup(state);

	chat.recovery_window_s = 120;
	return rc;
}

#define recovery_test(test) cmocka_unit_test_setup_teardown(test, recovery_setup, teardown)

/** The next event, and the offset behind it. */
#define check_at(c, offset, event, ...)                         \
	do {                                                    \
		check_event((c), event, __VA_ARGS__);           \
		assert_string_equal(taken_offset, (offset));    \
	} while (0)

/** A client that comes with a pid and an offset; the storage is asked. */
static inline struct session *come_with(const char *user, const char *pid, const char *offset)
{
	struct session *c = open_session();

	fake_session_text(c, json("0{'token':'t','pid':'%s','offset':'%s'}", pid, offset));
	assert_non_null(fake_verification_find(plugins));
	fake_verification_accept(fake_verification_find(plugins), user, 0);
	check_param(PARLANCE_SESSION_OPEN, 0, user);
	return c;
}

static inline struct session *come_back(const char *offset)
{
	struct session *c = come_with("alice", PID, offset);

	check_param(PARLANCE_SESSION_OPEN, 1, PID_TOKEN);
	return c;
}

/** Whether it was asked to recover anything. */
static inline void check_asked_anew(void)
{
	check_param(PARLANCE_SESSION_OPEN, 1, "(null)");
	for (size_t i = 3; i < 8; i++)
		check_param(PARLANCE_SESSION_OPEN, i, "(null)");
}

static inline const char *room_json(const char *id, const char *role, int64_t seq,
				    const char *rest)
{
	return json("{'id':'%s','role':'%s','seq':%" PRId64 "%s}", id, role, seq, rest);
}

/** An event of a conversation, or of alice's room. */
static inline const char *missed(const char *room, int64_t seq)
{
	return event_of(NULL, room, seq,
			strcmp(room, ALICE_ROOM) == 0 ? "conversation.activity" : TYPE,
			json("{'n':%" PRId64 "}", seq));
}

static inline void answer_recovered(const char *rooms)
{
	answer(PARLANCE_SESSION_OPEN,
	       "{'ok':true,'room':'%s','seq':0,'epoch':'e1','socket':'%s','recovered':true,"
	       "'rooms':%s,'streams':[]}",
	       ALICE_ROOM, SID, rooms);
}

/** It is in again, and stood there. */
static inline void check_recovered(struct session *c, const char *offset)
{
	check_sent(c, json("0{'sid':'%s','pid':'%s'}", SID, PID));
	check_at(c, offset, "session:ready", "{'recovered':true,'socketId':'%s'}", SID);
}

/** It begins anew, at 0, with another pid. */
static inline void check_anew(struct session *c)
{
	char pid[64];

	check_asked_anew();
	(void)snprintf(pid, sizeof(pid), "%s", param(PARLANCE_SESSION_OPEN, 2));
	assert_string_not_equal(pid, PID_TOKEN);
	answer_session("alice");
	check_sent(c, json("0{'sid':'socket-%015u','pid':'%s:e1.0'}", sockets_named, pid));
	check_at(c, "e1.0", "session:ready", "{'recovered':false}");
}

#endif
