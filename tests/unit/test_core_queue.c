/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Answers that wait for others, go before them, and are stopped: by somebody, in each state, or
 * because their conversation is deleted.
 */
#include "core_answer_fixture.h"

/* ---- the queue ---- */

static void test_queue(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn first = start_answer(c);
	struct turn second = queue_message(c, "queue");
	struct turn third = queue_message(c, "queue");
	struct turn fourth = queue_message(c, "queue");

	(void)state;
	check_state(&second, GENERATION_WAITING);
	check_state(&third, GENERATION_WAITING);
	end_answer(PARLANCE_FINISH_STOP);
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	/* Its turn comes with the event, not before: tabs hear them one after the other. */
	check_not_called(PARLANCE_GENERATION_BEGIN);
	tell_finished(&first, "complete", "stop");
	check_param(PARLANCE_GENERATION_BEGIN, 0, second.message);
	check_param(PARLANCE_GENERATION_BEGIN, 1, "7");
	check_param(PARLANCE_GENERATION_BEGIN, 2, "50");
	check_state(&second, GENERATION_BEGINNING);
	check_state(&third, GENERATION_WAITING);
	answer_begun();
	check_state(&second, GENERATION_RUNNING);
	assert_int_equal(provider()->n_messages, 2);
	tell_started(&second);
	end_answer(PARLANCE_FINISH_STOP);
	settle(&second, "complete", "stop");
	check_param(PARLANCE_GENERATION_BEGIN, 0, third.message);
	/* One that begins is enough. */
	next_event("message.finished", "{'assistantMessage':{'id':'x'}}");
	assert_int_equal(fake_calls(plugins), 1);
	answer_begun();
	next_event("message.finished", "{'assistantMessage':{'id':'x'}}");
	assert_int_equal(fake_calls(plugins), 0);
	end_answer(PARLANCE_FINISH_STOP);
	settle(&third, "complete", "stop");
	check_param(PARLANCE_GENERATION_BEGIN, 0, fourth.message);
	answer_begun();
	end_answer(PARLANCE_FINISH_STOP);
	settle(&fourth, "complete", "stop");
}

/* Its turn may not have come after all, and the storage may be away: it asks again. */
static void test_begin_again(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = queue_message(c, "queue");

	(void)state;
	/* What it waits for may run elsewhere, and its end may have been missed. */
	advance(9999);
	check_not_called(PARLANCE_GENERATION_BEGIN);
	advance(1);
	answer(PARLANCE_GENERATION_BEGIN, "{'ok':false,'code':'BUSY'}");
	check_state(&t, GENERATION_WAITING);
	advance(999);
	check_not_called(PARLANCE_GENERATION_BEGIN);
	advance(1);
	answer_status(PARLANCE_GENERATION_BEGIN, PARLANCE_STORAGE_UNAVAILABLE);
	check_state(&t, GENERATION_WAITING);
	advance(1000);
	answer_status(PARLANCE_GENERATION_BEGIN, PARLANCE_STORAGE_FAILED);
	advance(1000);
	fake_call_time_out(call_of(PARLANCE_GENERATION_BEGIN));
	check_state(&t, GENERATION_WAITING);
	plugins->refuse_call = PARLANCE_ENOMEM;
	advance(1000);
	plugins->refuse_call = 0;
	check_state(&t, GENERATION_WAITING);
	advance(1000);
	answer(PARLANCE_GENERATION_BEGIN, "{'ok':false,'code':'BUSY'}");
	/* The end of another does not wait for the timer. */
	next_event("message.finished", "{'assistantMessage':{'id':'x'}}");
	answer_begun();
	check_state(&t, GENERATION_RUNNING);
	advance(20000);
	check_not_called(PARLANCE_GENERATION_BEGIN);
	end_answer(PARLANCE_FINISH_STOP);
	settle(&t, "complete", "stop");
}

/* Somebody else has ended it, or an answer that was lost had begun it: it must not run for ever. */
static void test_begin_refused(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = queue_message(c, "queue");

	(void)state;
	advance(10000);
	answer(PARLANCE_GENERATION_BEGIN, "{'ok':false,'code':'NOT_FOUND'}");
	check_finish(&t, "interrupted", "(null)", "");
	assert_non_null(strstr(param(PARLANCE_GENERATION_FINISH, 7), "INTERRUPTED"));
	answer(PARLANCE_GENERATION_FINISH, "{'ok':false,'code':'FENCED'}");
	check_over(&t);
}

/* What runs is stopped, and it is the next one; what waits goes on waiting. */
static void test_interrupt(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn runs = start_answer(c);
	struct turn waits = queue_message(c, "queue");
	struct turn interrupts;

	(void)state;
	delta("Hel");
	interrupts = queue_message(c, "interrupt");
	assert_null(fake_answer_find(plugins));
	check_state(&waits, GENERATION_WAITING);
	check_state(&interrupts, GENERATION_WAITING);
	check_finish(&runs, "stopped", "stopped", "Hel");
	settle(&runs, "stopped", "stopped");
	check_param(PARLANCE_GENERATION_BEGIN, 0, interrupts.message);
	/* And so for one that is about to run. */
	runs = interrupts;
	interrupts = queue_message(c, "interrupt");
	check_state(&runs, GENERATION_BEGINNING);
	answer_begun();
	check_stopped(&runs, "");
	check_param(PARLANCE_GENERATION_BEGIN, 0, interrupts.message);
	answer_begun();
	end_answer(PARLANCE_FINISH_STOP);
	settle(&interrupts, "complete", "stop");
	check_param(PARLANCE_GENERATION_BEGIN, 0, waits.message);
	answer_begun();
	end_answer(PARLANCE_FINISH_STOP);
	settle(&waits, "complete", "stop");
}

/* What it interrupts runs elsewhere, or has just ended: it is the only one here, and must not be
 * forgotten. */
static void test_interrupt_alone(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = queue_message(c, "interrupt");

	(void)state;
	check_state(&t, GENERATION_WAITING);
	next_event("message.finished", "{'assistantMessage':{'id':'x'}}");
	check_state(&t, GENERATION_BEGINNING);
	answer_begun();
	ask_stop(c, 2);
	check_stopped(&t, "");
}

/* ---- stopping ---- */

static void check_stop_taken(struct session *c)
{
	forget(c);
	ask_stop(c, 8);
	check_ack(c, 8, "{'ok':true,'stopped':true}");
	check_not_called(PARLANCE_MESSAGE_STOP);
}

/* There is nothing here to be stopped; the storage knows of the others. */
static void check_stop_late(struct session *c)
{
	forget(c);
	ask_stop(c, 8);
	answer(PARLANCE_MESSAGE_STOP, "{'ok':true,'streams':[]}");
	check_ack(c, 8, "{'ok':true,'stopped':false,'alreadyDone':true}");
}

static void test_stop_storing(void **state)
{
	static const char *const states[] = { "run", "queued" };
	struct session *c = connect_and_join("alice");
	struct turn t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		t = send_message(c);
		check_stop_taken(c);
		check_state(&t, GENERATION_STORING);
		answer_sent(&t, states[i], i ? NULL : PROMPT);
		check_ack(c, 1, "{'ok':true}");
		assert_null(fake_answer_find(plugins));
		check_stopped(&t, "");
	}
	t = send_message(c);
	check_stop_taken(c);
	answer(PARLANCE_MESSAGE_SEND, "{'ok':false,'code':'BUSY'}");
	check_over(&t);
}

static void test_stop_waiting(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = queue_message(c, "queue");

	(void)state;
	check_stop_taken(c);
	check_finish(&t, "stopped", "stopped", "");
	advance(20000);
	check_not_called(PARLANCE_GENERATION_BEGIN);
	settle(&t, "stopped", "stopped");
}

static void test_stop_beginning(void **state)
{
	static const char *const answers[] = {
		"{'ok':true,'prompt':" PROMPT "}",
		"{'ok':false,'code':'BUSY'}",
	};
	struct session *c = connect_and_join("alice");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct turn t = queue_message(c, "queue");

		advance(10000);
		check_state(&t, GENERATION_BEGINNING);
		check_stop_taken(c);
		check_state(&t, GENERATION_BEGINNING);
		answer_text(PARLANCE_GENERATION_BEGIN, json("%s", answers[i]));
		assert_null(fake_answer_find(plugins));
		check_stopped(&t, "");
	}
}

static void test_stop_running(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);
	struct provider_call *call = provider();

	(void)state;
	plugins->hold_canceled = true;
	delta("Hel");
	check_event(c, "message:chunk", "{'chunk':'Hel'}");
	delta("lo"); /* waits for its time */
	check_silent(c);
	ask_stop(c, 8);
	check_event(c, "message:chunk", "{'chunk':'lo','content':'Hello'}");
	check_ack(c, 8, "{'ok':true,'stopped':true}");
	assert_true(call->canceled);
	check_finish(&t, "stopped", "stopped", "Hello");
	check_stop_late(c);
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_state(&t, GENERATION_FINISHED);
	check_stop_late(c);
	tell_finished(&t, "stopped", "stopped");
	check_event(c, "ai:typing:stop", "{}");
	check_event(c, "message:complete", "{'finishReason':'stopped'}");
	/* Until its provider lets go of it. */
	check_state(&t, GENERATION_GONE);
	check_stop_late(c);
	end_answer(PARLANCE_FINISH_STOP);
	check_over(&t);
}

/* The provider lets go last of all. */
static void test_provider_ends_late(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	plugins->hold_canceled = true;
	check_stop_taken(c);
	tell_finished(&t, "stopped", "stopped");
	check_state(&t, GENERATION_GONE);
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_state(&t, GENERATION_GONE);
	end_answer(PARLANCE_FINISH_STOP);
	check_over(&t);
}

static void test_stop_one(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn runs = start_answer(c);
	struct turn waits = queue_message(c, "queue");

	(void)state;
	ask(c, 2, "message:stop", "{'conversationId':'%s','streamId':'%s'}", CONV, waits.stream);
	check_ack(c, 2, "{'ok':true,'stopped':true}");
	check_state(&runs, GENERATION_RUNNING);
	check_stopped(&waits, "");
	forget(c);
	ask(c, 2, "message:stop", "{'conversationId':'%s','streamId':'%s'}", CONV, CONV2);
	check_param(PARLANCE_MESSAGE_STOP, 0, "alice");
	check_param(PARLANCE_MESSAGE_STOP, 1, CONV);
	check_param(PARLANCE_MESSAGE_STOP, 2, CONV2);
	answer(PARLANCE_MESSAGE_STOP, "{'ok':true,'streams':[]}");
	check_ack(c, 2, "{'ok':true,'stopped':false}");
	check_state(&runs, GENERATION_RUNNING);
	end_answer(PARLANCE_FINISH_STOP);
	settle(&runs, "complete", "stop");
}

/* A tab that has not joined asks the storage, which says whether it may and what there is. */
static void test_stop_from_outside(void **state)
{
	struct session *c = connect_and_join("alice");
	struct session *tab = connect_user("alice");
	struct session *viewer = connect_user("bob");
	struct turn t = start_answer(c);

	(void)state;
	join_as(viewer, "viewer");
	forget(viewer);
	ask_stop(viewer, 1);
	answer(PARLANCE_MESSAGE_STOP, "{'ok':false,'code':'FORBIDDEN'}");
	check_refused(viewer, 1, "FORBIDDEN");
	check_state(&t, GENERATION_RUNNING);
	ask_stop(tab, 1);
	answer(PARLANCE_MESSAGE_STOP,
	       "{'ok':true,'streams':[{'assistantMessageId':'%s'},{'assistantMessageId':'%s'},7]}",
	       CONV2, t.message);
	check_ack(tab, 1, "{'ok':true,'stopped':true}");
	check_stopped(&t, "");
	ask_stop(tab, 1);
	answer(PARLANCE_MESSAGE_STOP, "{'ok':true}");
	check_ack(tab, 1, "{'ok':true,'stopped':false}");
}

/* ---- deletion ---- */

static void delete_conversation(void)
{
	next_event("conversation.deleted", "{'conversationId':'%s'}", CONV);
	feed(ALICE_ROOM, 1, "conversation.deleted", "{'conversationId':'%s'}", CONV);
}

/* Whatever is under way in it is stopped, and everybody is put out of the room. */
static void test_deletion(void **state)
{
	struct session *c = connect_and_join("alice");
	struct session *tab = connect_user("alice");
	struct turn runs = start_answer(c);
	struct turn waits = queue_message(c, "queue");
	struct turn stored = send_message(c);

	(void)state;
	delta("Hel");
	forget(c);
	delete_conversation();
	check_event(c, "conversation:delete", "{'conversationId':'%s'}", CONV);
	check_event(c, "conversation:deleted", "{'conversationId':'%s'}", CONV);
	check_event(tab, "conversation:delete", "{'conversationId':'%s'}", CONV);
	check_event(tab, "conversation:deleted", "{'conversationId':'%s'}", CONV);
	check_state(&waits, GENERATION_FINISHING);
	check_state(&stored, GENERATION_STORING);
	answer(PARLANCE_MESSAGE_SEND, "{'ok':false,'code':'NOT_FOUND'}");
	check_refused(c, 1, "NOT_FOUND");
	check_over(&stored);
	/* The storage has ended them itself. */
	check_finish(&runs, "stopped", "stopped", "Hel");
	answer(PARLANCE_GENERATION_FINISH, "{'ok':false,'code':'FENCED'}");
	answer(PARLANCE_GENERATION_FINISH, "{'ok':false,'code':'FENCED'}");
	check_over(&runs);
	check_over(&waits);
	next_event("message.updated", "{}");
	check_silent(c);
	say(c, "typing:start", "'%s'", CONV);
	check_event(c, "error", "{'code':'NOT_FOUND'}");
}

static void test_deletion_while_beginning(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = queue_message(c, "queue");

	(void)state;
	advance(10000);
	delete_conversation();
	check_state(&t, GENERATION_BEGINNING);
	answer(PARLANCE_GENERATION_BEGIN, "{'ok':false,'code':'NOT_FOUND'}");
	check_state(&t, GENERATION_FINISHING);
	answer(PARLANCE_GENERATION_FINISH, "{'ok':false,'code':'FENCED'}");
	check_over(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_queue),
		core_test(test_begin_again),
		core_test(test_begin_refused),
		core_test(test_interrupt),
		core_test(test_interrupt_alone),
		core_test(test_stop_storing),
		core_test(test_stop_waiting),
		core_test(test_stop_beginning),
		core_test(test_stop_running),
		core_test(test_provider_ends_late),
		core_test(test_stop_one),
		core_test(test_stop_from_outside),
		core_test(test_deletion),
		core_test(test_deletion_while_beginning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
