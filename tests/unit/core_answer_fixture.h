/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the tests about answers share: the steps of a turn, and a look at the state it is in.
 * Included by one file of a program.
 */
#ifndef PARLANCE_TESTS_UNIT_CORE_ANSWER_FIXTURE_H
#define PARLANCE_TESTS_UNIT_CORE_ANSWER_FIXTURE_H

#include "core_fixture.h"

#include "base/err.h"
#include "core/private.h"

#define NOTHING "{'ok':true}"

/* The ids of a turn: the core makes them. */
struct turn {
	char user[ID_UUID_LEN + 1];
	char message[ID_UUID_LEN + 1]; /* the assistant's */
	char stream[ID_UUID_LEN + 1];
};

/** The message whose storing was asked for. */
static inline struct turn submitted(void)
{
	struct turn t;

	(void)snprintf(t.user, sizeof(t.user), "%s", param(PARLANCE_MESSAGE_SEND, 3));
	(void)snprintf(t.message, sizeof(t.message), "%s", param(PARLANCE_MESSAGE_SEND, 4));
	(void)snprintf(t.stream, sizeof(t.stream), "%s", param(PARLANCE_MESSAGE_SEND, 5));
	return t;
}

/** A message on its way to the storage; its ack is 1, and what c was sent before is forgotten. */
static inline struct turn send_message(struct session *c)
{
	forget(c);
	ask(c, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
	return submitted();
}

#define PROMPT                                              \
	"{'model':'m','options':{'temperature':0},'user':'h'," \
	"'messages':[{'role':'system','content':'Be brief'},{'role':'user','content':'Hi'}]}"

/** The storage has it. state: "run", "queued", "duplicate"; prompt: JSON, or NULL. */
static inline void answer_sent(const struct turn *t, const char *state, const char *prompt)
{
	answer(PARLANCE_MESSAGE_SEND,
	       "{'ok':true,'state':'%s','ack':{'ok':true,'userMessage':{'id':'%s'},"
	       "'assistantMessageId':'%s','streamId':'%s'}%s%s}",
	       state, t->user, t->message, t->stream, prompt ? ",'prompt':" : "",
	       prompt ? prompt : "");
}

static inline void tell_started(const struct turn *t)
{
	next_event("message.started",
		   "{'conversationId':'%s','assistantMessageId':'%s','streamId':'%s'}", CONV,
		   t->message, t->stream);
}

static inline void tell_finished(const struct turn *t, const char *status, const char *reason)
{
	next_event("message.finished",
		   "{'conversationId':'%s','userMessage':{'id':'%s'},'assistantMessage':{'id':'%s',"
		   "'status':'%s'},'conversation':{'id':'%s'},'usage':null,'finishReason':'%s',"
		   "'streamId':'%s'}",
		   CONV, t->user, t->message, status, CONV, reason, t->stream);
}

/** An answer that runs, and of which the room has heard; c's messages about it are taken. */
static inline struct turn start_answer(struct session *c)
{
	struct turn t = send_message(c);

	answer_sent(&t, "run", PROMPT);
	check_ack(c, 1, "{'ok':true,'assistantMessageId':'%s','streamId':'%s'}", t.message,
		  t.stream);
	tell_started(&t);
	check_event(c, "ai:typing:start", "{'streamId':'%s'}", t.stream);
	return t;
}

static inline struct provider_call *provider(void)
{
	struct provider_call *call = fake_answer_find(plugins);

	if (!call)
		fail_msg("no answer runs");
	return call;
}

static inline void delta(const char *text)
{
	fake_answer_delta(provider(), PARLANCE_DELTA_TEXT, slice_str(text));
	turn();
}

static inline void end_answer(enum parlance_finish finish)
{
	fake_answer_end(provider(), (struct parlance_end){ .finish = (int)finish });
	turn();
}

/* ---- states ---- */

static inline void check_state(const struct turn *t, enum generation_state state)
{
	const struct generation *g = generation_find(core, slice_str(t->message));

	assert_int_equal(g ? g->state : 0, state);
}

static inline void check_over(const struct turn *t)
{
	assert_null(generation_find(core, slice_str(t->message)));
}

/* The outcome that is being stored. */
static inline void check_finish(const struct turn *t, const char *status, const char *reason,
			 const char *text)
{
	check_state(t, GENERATION_FINISHING);
	check_param(PARLANCE_GENERATION_FINISH, 0, t->message);
	check_param(PARLANCE_GENERATION_FINISH, 1, "7");
	check_param(PARLANCE_GENERATION_FINISH, 2, status);
	check_param(PARLANCE_GENERATION_FINISH, 3, reason);
	check_param(PARLANCE_GENERATION_FINISH, 4, text);
}

/* It is stored, and the feed tells. */
static inline void settle(const struct turn *t, const char *status, const char *reason)
{
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_state(t, GENERATION_FINISHED);
	tell_finished(t, status, reason);
	check_over(t);
}

static inline void check_stopped(const struct turn *t, const char *text)
{
	check_finish(t, "stopped", "stopped", text);
	settle(t, "stopped", "stopped");
}

static inline void ask_stop(struct session *c, int ack)
{
	ask(c, ack, "message:stop", "{'conversationId':'%s'}", CONV);
}

/* A message that waits behind another. */
static inline struct turn queue_message(struct session *c, const char *on_busy)
{
	struct turn t;

	forget(c);
	ask(c, 1, "message:send", "{'conversationId':'%s','content':'Hi','onBusy':'%s'}", CONV,
	    on_busy);
	check_param(PARLANCE_MESSAGE_SEND, 10, on_busy);
	t = submitted();
	answer_sent(&t, "queued", NULL);
	check_ack(c, 1, "{'ok':true,'streamId':'%s'}", t.stream);
	return t;
}

static inline void answer_begun(void)
{
	answer(PARLANCE_GENERATION_BEGIN, "{'ok':true,'prompt':%s}", PROMPT);
}

#endif
