/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The process as the database knows it: registered, its lease renewed or lost (with all answers),
 * and retired at the end, which waits for what is to be written and for no longer.
 */
#include "core_answer_fixture.h"

/* ---- registration ---- */

static void test_registration(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	assert_int_equal(plugins->instance, INSTANCE);
	/* A storage that comes back knows us still. */
	fake_storage_ready(plugins, false);
	fake_storage_ready(plugins, true);
	check_not_called(PARLANCE_INSTANCE_REGISTER);
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	advance(3000);
	check_param(PARLANCE_INSTANCE_BEAT, 0, "7");
	check_param(PARLANCE_INSTANCE_BEAT, 1, "false"); /* nobody watches who is online */
	/* Not told is not lost. */
	answer_status(PARLANCE_INSTANCE_BEAT, PARLANCE_STORAGE_UNAVAILABLE);
	advance(3000);
	fake_call_time_out(call_of(PARLANCE_INSTANCE_BEAT));
	advance(3000);
	answer(PARLANCE_INSTANCE_BEAT, NOTHING);
	assert_int_equal(plugins->instance, INSTANCE);
	/* Lost: nothing is begun until there is a new number. */
	advance(3000);
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':false}");
	assert_int_equal(plugins->instance, 0);
	ask(c, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
	check_refused(c, 1, "UNAVAILABLE");
	answer_status(PARLANCE_INSTANCE_REGISTER, PARLANCE_STORAGE_UNAVAILABLE);
	advance(999);
	check_not_called(PARLANCE_INSTANCE_REGISTER);
	advance(1);
	/* While one is under way there is no second. */
	fake_storage_ready(plugins, true);
	advance(10000);
	assert_int_equal(fake_calls(plugins), 1);
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true}");
	advance(1000);
	plugins->refuse_call = PARLANCE_ENOMEM;
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':false}");
	advance(1000);
	plugins->refuse_call = 0;
	advance(1000);
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':8}");
	assert_int_equal(plugins->instance, 8);
	advance(3000);
	check_param(PARLANCE_INSTANCE_BEAT, 0, "8");
	answer(PARLANCE_INSTANCE_BEAT, NOTHING);
	ask(c, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
	check_param(PARLANCE_MESSAGE_SEND, 13, "8");
	answer_status(PARLANCE_MESSAGE_SEND, PARLANCE_STORAGE_UNAVAILABLE);
}

/* What others left behind, and what the database is to tidy. */
static void test_chores(void **state)
{
	(void)state;
	plugins->canned[PARLANCE_INSTANCE_REAP] = NULL;
	plugins->canned[PARLANCE_MAINTAIN] = NULL;
	/* Who has not held a lease for its length cannot tell who else does not. */
	advance(5998);
	check_not_called(PARLANCE_INSTANCE_REAP);
	advance(3002);
	call_of(PARLANCE_INSTANCE_REAP);
	/* One at a time. */
	advance(20000);
	assert_int_equal(fake_calls(plugins), 1);
	answer_status(PARLANCE_INSTANCE_REAP, PARLANCE_STORAGE_FAILED);
	advance(6000);
	answer(PARLANCE_INSTANCE_REAP, "{'ok':true,'instances':1,'interrupted':2}");
	/* Nor who was away meanwhile. */
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	advance(3000);
	answer_status(PARLANCE_INSTANCE_BEAT, PARLANCE_STORAGE_UNAVAILABLE);
	plugins->canned[PARLANCE_INSTANCE_BEAT] = "{\"ok\":true}";
	if (fake_call_find(plugins, PARLANCE_INSTANCE_REAP))
		answer(PARLANCE_INSTANCE_REAP, NOTHING); /* just before */
	advance(5999);
	check_not_called(PARLANCE_INSTANCE_REAP);
	advance(6000); /* a lease from the next beat on */
	answer(PARLANCE_INSTANCE_REAP, NOTHING);
	fake_storage_ready(plugins, false);
	advance(3600000);
	check_not_called(PARLANCE_INSTANCE_REAP);
	check_not_called(PARLANCE_MAINTAIN);
	fake_storage_ready(plugins, true);
	plugins->canned[PARLANCE_INSTANCE_REAP] = "{\"ok\":true}";
	advance(3600000);
	answer_status(PARLANCE_MAINTAIN, PARLANCE_STORAGE_FAILED);
	advance(3600000);
	answer(PARLANCE_MAINTAIN, NOTHING);
}

/* ---- the lease is lost ---- */

static void lose_lease(void)
{
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	advance(3000);
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':false}");
	plugins->canned[PARLANCE_INSTANCE_BEAT] = "{\"ok\":true}";
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':8}");
}

/* All answers are others' now, whatever their state, and end here without a word: what others make
 * of them the feed tells. */
static void test_fenced(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn finished = start_answer(c);
	struct turn runs;
	struct turn waits;
	struct turn finishing;
	struct turn storing;

	(void)state;
	plugins->hold_canceled = true;
	end_answer(PARLANCE_FINISH_STOP);
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_state(&finished, GENERATION_FINISHED);
	finishing = start_answer(c);
	end_answer(PARLANCE_FINISH_STOP);
	runs = start_answer(c);
	waits = queue_message(c, "queue");
	storing = send_message(c);
	delta("Hello");
	forget(c);
	lose_lease();
	check_over(&finished);
	check_over(&finishing);
	check_over(&waits);
	check_over(&storing);
	check_state(&runs, GENERATION_GONE);
	assert_true(provider()->canceled);
	check_silent(c);
	/* Late answers are about nothing. */
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	answer_sent(&storing, "run", PROMPT);
	check_refused(c, 1, "UNAVAILABLE");
	check_over(&storing);
	tell_finished(&runs, "interrupted", "interrupted");
	check_event(c, "ai:typing:stop", "{'streamId':'%s'}", runs.stream);
	check_event(c, "message:error", "{'code':'INTERRUPTED'}");
	check_state(&runs, GENERATION_GONE);
	fake_answer_end(provider(), (struct parlance_end){ 0 });
	check_over(&runs);
	advance(20000);
	assert_int_equal(fake_calls(plugins), 0);
}

static void test_fenced_while_beginning(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = queue_message(c, "queue");

	(void)state;
	advance(10000);
	check_state(&t, GENERATION_BEGINNING);
	lose_lease();
	check_over(&t);
	answer_begun();
	assert_null(fake_answer_find(plugins));
}

/* Text that was on its way stays here: others own the answer, and it. */
static void test_fenced_in_mid_text(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	for (int held = 0; held < 2; held++) {
		struct turn t = start_answer(c);
		struct fake_call *beat;

		plugins->hold_canceled = held;
		plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
		advance(3000);
		beat = call_of(PARLANCE_INSTANCE_BEAT);
		delta("a");
		check_event(c, "message:chunk", "{'chunk':'a'}");
		if (held)
			advance(40); /* the next one leaves at the end of the turn */
		else
			delta("b"); /* waits for its time */
		fake_answer_delta(provider(), PARLANCE_DELTA_TEXT, slice_str("c"));
		fake_call_answer(beat, "{\"ok\":false}");
		plugins->canned[PARLANCE_INSTANCE_BEAT] = "{\"ok\":true}";
		answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':7}");
		advance(1000);
		check_silent(c);
		check_not_called(PARLANCE_GENERATION_PARTS);
		if (held)
			fake_answer_end(provider(), (struct parlance_end){ 0 });
		check_over(&t);
	}
}

/* ---- the end ---- */

static unsigned int n_stopped;

static void on_stopped(void *arg)
{
	assert_ptr_equal(arg, &n_stopped);
	n_stopped++;
}

static void stop_core(void)
{
	n_stopped = 0;
	core_stop(core, on_stopped, &n_stopped);
	assert_int_equal(n_stopped, 0); /* not from within */
	turn();
}

/* Nothing is left to be written but that the instance has ended. */
static void check_retired(void)
{
	assert_int_equal(n_stopped, 0);
	check_param(PARLANCE_INSTANCE_RETIRE, 0, "7");
	answer(PARLANCE_INSTANCE_RETIRE, "{'ok':true,'interrupted':0}");
	assert_int_equal(n_stopped, 1);
	advance(10000);
	assert_int_equal(n_stopped, 1);
}

static void check_interrupted(const struct turn *t, const char *text)
{
	check_finish(t, "interrupted", "(null)", text);
	assert_non_null(strstr(param(PARLANCE_GENERATION_FINISH, 7), "INTERRUPTED"));
	check_not_called(PARLANCE_INSTANCE_RETIRE);
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_over(t);
}

static void test_end_idle(void **state)
{
	struct session *c = connect_and_join("alice");
	struct session *late;

	(void)state;
	stop_core();
	/* Who is there may stay for now, and is told to come again. */
	ask(c, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
	check_ack(c, 1, "{'ok':false,'error':{'code':'UNAVAILABLE','retryAfterMs':1000}}");
	ask(c, 2, "no:such", "{}");
	check_refused(c, 2, "UNKNOWN_EVENT");
	late = open_session();
	fake_session_text(late, "0{\"token\":\"t\"}");
	check_closed(late, SESSION_FORCED_CLOSE);
	check_retired();
}

static void test_end_storing(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = send_message(c);

	(void)state;
	stop_core();
	check_not_called(PARLANCE_INSTANCE_RETIRE);
	answer_sent(&t, "run", PROMPT);
	check_ack(c, 1, "{'ok':true}");
	assert_null(fake_answer_find(plugins));
	check_finish(&t, "stopped", "stopped", "");
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_over(&t);
	check_retired();
}

/* It is not asked a second time: if it was stored, that is undone. */
static void test_end_unsure(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = send_message(c);

	(void)state;
	stop_core();
	answer_status(PARLANCE_MESSAGE_SEND, PARLANCE_STORAGE_UNKNOWN);
	check_not_called(PARLANCE_MESSAGE_SEND);
	check_refused(c, 1, "UNAVAILABLE");
	check_interrupted(&t, "");
	check_retired();
}

static void test_end_refused(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = send_message(c);

	(void)state;
	stop_core();
	answer(PARLANCE_MESSAGE_SEND, "{'ok':false,'code':'BUSY'}");
	check_over(&t);
	check_retired();
}

static void test_end_waiting(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = queue_message(c, "queue");

	(void)state;
	stop_core();
	check_interrupted(&t, "");
	check_retired();
}

static void test_end_beginning(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = queue_message(c, "queue");

	(void)state;
	advance(10000);
	stop_core();
	check_state(&t, GENERATION_BEGINNING);
	answer_status(PARLANCE_GENERATION_BEGIN, PARLANCE_STORAGE_UNAVAILABLE);
	check_finish(&t, "stopped", "stopped", "");
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_retired();
}

/* Two of them, of which one's provider takes its time to let go. */
static void test_end_running(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	plugins->hold_canceled = true;
	delta("Hel");
	check_event(c, "message:chunk", "{'chunk':'Hel'}");
	delta("lo");
	stop_core();
	check_event(c, "message:chunk", "{'chunk':'lo'}");
	assert_true(provider()->canceled);
	check_finish(&t, "interrupted", "(null)", "Hello");
	answer_status(PARLANCE_GENERATION_FINISH, PARLANCE_STORAGE_UNAVAILABLE);
	advance(250);
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_state(&t, GENERATION_GONE);
	check_not_called(PARLANCE_INSTANCE_RETIRE);
	fake_answer_end(provider(), (struct parlance_end){ 0 });
	check_over(&t);
	check_retired();
}

static void test_end_finishing(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	delta("Hello");
	end_answer(PARLANCE_FINISH_STOP);
	stop_core();
	check_finish(&t, "complete", "stop", "Hello");
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_over(&t);
	check_retired();
}

/* It is stored: whether the feed says so any more is of no matter. */
static void test_end_finished(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	end_answer(PARLANCE_FINISH_STOP);
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_state(&t, GENERATION_FINISHED);
	stop_core();
	check_over(&t);
	check_retired();
	forget(c);
	tell_finished(&t, "complete", "stop");
	check_event(c, "ai:typing:stop", "{}");
	check_event(c, "message:complete", "{}");
}

/* The database is away: not for ever. */
static void test_end_late(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	stop_core();
	advance(4000);
	answer_status(PARLANCE_GENERATION_FINISH, PARLANCE_STORAGE_UNAVAILABLE);
	advance(999);
	assert_int_equal(n_stopped, 0);
	advance(1);
	assert_int_equal(n_stopped, 1);
	/* What comes yet tells nobody a second time. */
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_over(&t);
	if (fake_call_find(plugins, PARLANCE_INSTANCE_RETIRE))
		answer(PARLANCE_INSTANCE_RETIRE, NOTHING);
	assert_int_equal(n_stopped, 1);
}

static void test_end_retire_fails(void **state)
{
	(void)state;
	stop_core();
	answer_status(PARLANCE_INSTANCE_RETIRE, PARLANCE_STORAGE_UNAVAILABLE);
	assert_int_equal(n_stopped, 1);
}

static void test_end_retire_not_taken(void **state)
{
	(void)state;
	plugins->refuse_call = PARLANCE_ENOMEM;
	stop_core();
	plugins->refuse_call = 0;
	assert_int_equal(n_stopped, 1);
}

/* Its number is on its way, or is not. */
static void test_end_registering(void **state)
{
	(void)state;
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	advance(3000);
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':false}");
	stop_core();
	assert_int_equal(n_stopped, 0);
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':7}");
	check_retired();
}

static void test_end_not_registered(void **state)
{
	(void)state;
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	advance(3000);
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':false}");
	stop_core();
	answer_status(PARLANCE_INSTANCE_REGISTER, PARLANCE_STORAGE_UNAVAILABLE);
	assert_int_equal(n_stopped, 1);
	advance(10000);
	check_not_called(PARLANCE_INSTANCE_REGISTER);
}

/* Those who wait for the feed to come to where they are wait no longer than it lives. */
static void test_free_with_waiters(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *tab = open_session();

	(void)state;
	ask(a, 1, "join:conversation", "'%s'", CONV);
	answer_join("owner", 5);
	fake_session_text(tab, "0{\"token\":\"t\"}");
	fake_verification_accept(fake_verification_find(plugins), "alice", 0);
	session_seq = 5;
	answer_session("alice");
	stop_core();
	check_retired();
	close_sessions();
	fake_plugins_close(plugins);
	core_free(&core);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_registration),
		core_test(test_chores),
		core_test(test_fenced),
		core_test(test_fenced_while_beginning),
		core_test(test_fenced_in_mid_text),
		core_test(test_end_idle),
		core_test(test_end_storing),
		core_test(test_end_unsure),
		core_test(test_end_refused),
		core_test(test_end_waiting),
		core_test(test_end_beginning),
		core_test(test_end_running),
		core_test(test_end_finishing),
		core_test(test_end_finished),
		core_test(test_end_late),
		core_test(test_end_retire_fails),
		core_test(test_end_retire_not_taken),
		core_test(test_end_registering),
		core_test(test_end_not_registered),
		core_test(test_free_with_waiters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
