/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Answers while the storage is away, slow, refuses, or does not say what it did: nothing that was
 * acknowledged is lost, nothing runs for ever, and nothing is written twice.
 */
#include "core_answer_fixture.h"

#define SUBMISSIONS 5

/* ---- the message ---- */

static void test_send_not_done(void **state)
{
	static const struct {
		enum parlance_storage_status status;
		const char *code;
	} answers[] = {
		{ PARLANCE_STORAGE_UNAVAILABLE, "UNAVAILABLE" },
		{ PARLANCE_STORAGE_FAILED, "INTERNAL" },
	};
	struct session *c = connect_and_join("alice");
	struct turn t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		t = send_message(c);
		answer_status(PARLANCE_MESSAGE_SEND, answers[i].status);
		check_refused(c, 1, answers[i].code);
		check_over(&t);
		check_not_called(PARLANCE_MESSAGE_SEND);
	}
	plugins->refuse_call = PARLANCE_ENOMEM;
	ask(c, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
	plugins->refuse_call = 0;
	check_ack(c, 1, "{'ok':false,'error':{'code':'UNAVAILABLE','retryAfterMs':1000}}");
}

static void answer_unsure(bool times_out)
{
	if (times_out)
		fake_call_time_out(call_of(PARLANCE_MESSAGE_SEND));
	else
		answer_status(PARLANCE_MESSAGE_SEND, PARLANCE_STORAGE_UNKNOWN);
}

/* It is submitted again as it was, and the storage says what it has. */
static void test_send_unsure(void **state)
{
	struct session *c = connect_and_join("alice");
	char first[PARLANCE_STORAGE_PARAMS_MAX][64];
	struct turn t;

	(void)state;
	for (unsigned int n = 1; n < SUBMISSIONS; n++) {
		ask(c, 1, "message:send",
		    "{'conversationId':'%s','content':'Hi','messageId':'m-1','parentId':'%s',"
		    "'options':{}}",
		    CONV, CONV2);
		t = submitted();
		for (size_t i = 0; i < PARLANCE_STORAGE_PARAMS_MAX; i++)
			(void)snprintf(first[i], sizeof(first[i]), "%s",
				       param(PARLANCE_MESSAGE_SEND, i));
		for (unsigned int i = 0; i < n; i++) {
			answer_unsure(i % 2);
			for (size_t j = 0; j < PARLANCE_STORAGE_PARAMS_MAX; j++)
				check_param(PARLANCE_MESSAGE_SEND, j, first[j]);
			check_state(&t, GENERATION_STORING);
			check_silent(c);
		}
		/* An earlier submission was stored; or none was. */
		answer_sent(&t, n % 2 ? "duplicate" : "run", PROMPT);
		check_ack(c, 1, "{'ok':true,'assistantMessageId':'%s'}", t.message);
		check_state(&t, GENERATION_RUNNING);
		end_answer(PARLANCE_FINISH_STOP);
		settle(&t, "complete", "stop");
		forget(c);
	}
}

static void check_abandoned(const struct turn *t)
{
	check_finish(t, "interrupted", "(null)", "");
	check_param(PARLANCE_GENERATION_FINISH, 7,
		    "{\"code\":\"INTERRUPTED\",\"message\":\"The answer was interrupted\"}");
}

/* Nobody knows whether it was stored: should it be there, it ends. */
static void test_send_given_up(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = send_message(c);

	(void)state;
	for (unsigned int i = 0; i < SUBMISSIONS; i++)
		answer_unsure(i % 2);
	check_not_called(PARLANCE_MESSAGE_SEND);
	check_refused(c, 1, "UNAVAILABLE");
	check_abandoned(&t);
	answer(PARLANCE_GENERATION_FINISH, "{'ok':false,'code':'FENCED'}");
	check_over(&t);
	/* The last submission was not done; an earlier one may have been. */
	t = send_message(c);
	answer_unsure(false);
	answer_status(PARLANCE_MESSAGE_SEND, PARLANCE_STORAGE_UNAVAILABLE);
	check_refused(c, 1, "UNAVAILABLE");
	check_abandoned(&t);
	settle(&t, "interrupted", "");
	forget(c);
	t = send_message(c);
	plugins->refuse_call = PARLANCE_ENOMEM;
	answer_unsure(false);
	check_refused(c, 1, "UNAVAILABLE");
	check_state(&t, GENERATION_FINISHING);
	plugins->refuse_call = 0;
	advance(250);
	check_abandoned(&t);
	settle(&t, "interrupted", "");
	forget(c);
	/* A refusal is sure: had an earlier one been stored, it would be a duplicate. */
	t = send_message(c);
	answer_unsure(false);
	answer(PARLANCE_MESSAGE_SEND, "{'ok':false,'code':'NOT_FOUND'}");
	check_refused(c, 1, "NOT_FOUND");
	check_over(&t);
}

/* ---- the outcome ---- */

static const uint64_t delays[] = { 250, 500, 1000, 2000, 4000, 8000, 10000, 10000, 10000 };

static void check_retried_after(const struct turn *t, uint64_t ms)
{
	check_state(t, GENERATION_FINISHING);
	advance(ms - 1);
	check_not_called(PARLANCE_GENERATION_FINISH);
	advance(1);
	check_finish(t, "complete", "stop", "Hello");
}

static void test_finish_retried(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	for (unsigned int how = 0; how < 4; how++) {
		struct turn t = start_answer(c);

		delta("Hello");
		end_answer(PARLANCE_FINISH_STOP);
		for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
			if (how == 0)
				fake_call_time_out(call_of(PARLANCE_GENERATION_FINISH));
			else
				answer_status(PARLANCE_GENERATION_FINISH,
					      how == 1   ? PARLANCE_STORAGE_UNAVAILABLE
					      : how == 2 ? PARLANCE_STORAGE_UNKNOWN
							 : PARLANCE_STORAGE_FAILED);
			check_retried_after(&t, delays[i]);
		}
		/* Stored by one that was not answered: this one finds nothing of its own. */
		if (how == 2) {
			answer(PARLANCE_GENERATION_FINISH, "{'ok':false,'code':'FENCED'}");
			check_over(&t);
		} else {
			settle(&t, "complete", "stop");
		}
		forget(c);
	}
}

/* The database refuses it again and again: a defect, which must not last for ever. */
static void test_finish_refused(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	end_answer(PARLANCE_FINISH_STOP);
	for (unsigned int i = 0; i < 20; i++) {
		answer_status(PARLANCE_GENERATION_FINISH, PARLANCE_STORAGE_FAILED);
		check_state(&t, GENERATION_FINISHING);
		advance(10000);
	}
	answer_status(PARLANCE_GENERATION_FINISH, PARLANCE_STORAGE_FAILED);
	check_over(&t);
}

/* While the storage is away, however long: that is no defect. */
static void test_finish_waits(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	plugins->refuse_call = PARLANCE_ENOMEM;
	end_answer(PARLANCE_FINISH_STOP);
	advance(600000);
	plugins->refuse_call = 0;
	check_state(&t, GENERATION_FINISHING);
	advance(10000);
	for (unsigned int i = 0; i < 30; i++) {
		answer_status(PARLANCE_GENERATION_FINISH, PARLANCE_STORAGE_UNAVAILABLE);
		advance(10000);
	}
	settle(&t, "complete", "stop");
}

/* The word that it is over is lost with the log it was in. */
static void test_end_is_pruned(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);
	struct turn waits = queue_message(c, "queue");

	(void)state;
	end_answer(PARLANCE_FINISH_STOP);
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	tell(CONV, conv_seq + 5, "message.new", NULL);
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'events':[],'head':%" PRId64 ",'pruned':true}",
	       conv_seq + 5);
	conv_seq += 5;
	check_over(&t);
	advance(10000);
	answer_begun();
	end_answer(PARLANCE_FINISH_STOP);
	settle(&waits, "complete", "stop");
}

/* ---- pieces ---- */

static void check_parts(const char *ids, const char *offsets, const char *texts)
{
	check_param(PARLANCE_GENERATION_PARTS, 0, "7");
	check_param(PARLANCE_GENERATION_PARTS, 1, ids);
	check_param(PARLANCE_GENERATION_PARTS, 2, offsets);
	check_param(PARLANCE_GENERATION_PARTS, 3, texts);
}

static void answer_parts(void)
{
	answer(PARLANCE_GENERATION_PARTS, "{'ok':true,'fenced':[]}");
}

static void test_parts(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);
	char ids[ID_UUID_LEN + 3];
	char long_text[2049];

	(void)state;
	(void)snprintf(ids, sizeof(ids), "{%s}", t.message);
	plugins->canned[PARLANCE_GENERATION_PARTS] = NULL;
	delta("Say \"a\\b\", {c}");
	advance(100);
	delta("\xc3\xa9");
	advance(149);
	check_not_called(PARLANCE_GENERATION_PARTS);
	advance(1);
	check_parts(ids, "{0}", "{\"Say \\\"a\\\\b\\\", {c}\xc3\xa9\"}");
	/* One at a time; the rest follows. */
	delta("def");
	advance(1000);
	assert_int_equal(fake_calls(plugins), 1);
	answer_parts();
	advance(250);
	check_parts(ids, "{16}", "{\"def\"}");
	/* It may be there or not: it is sent again as it was, though there is more now. */
	delta("ghi");
	fake_call_time_out(call_of(PARLANCE_GENERATION_PARTS));
	advance(250);
	check_parts(ids, "{16}", "{\"def\"}");
	answer_status(PARLANCE_GENERATION_PARTS, PARLANCE_STORAGE_FAILED);
	plugins->refuse_call = PARLANCE_ENOMEM;
	advance(250);
	plugins->refuse_call = 0;
	advance(250);
	check_parts(ids, "{16}", "{\"def\"}");
	answer_parts();
	advance(250);
	check_parts(ids, "{19}", "{\"ghi\"}");
	answer_parts();
	/* All is stored. */
	advance(10000);
	check_not_called(PARLANCE_GENERATION_PARTS);
	/* Much text does not wait. */
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	delta(long_text);
	advance(1);
	assert_int_equal(strlen(param(PARLANCE_GENERATION_PARTS, 3)), 2048 + 4);
	answer_parts();
	/* What is over is stored as a whole. */
	delta("end");
	end_answer(PARLANCE_FINISH_STOP);
	advance(1000);
	check_not_called(PARLANCE_GENERATION_PARTS);
	settle(&t, "complete", "stop");
}

/* Pieces are not too large, and no character is cut. */
static void test_large_part(void **state)
{
	const size_t most = (size_t)256 * 1024;
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);
	char *text = malloc(most + 10);

	(void)state;
	assert_non_null(text);
	plugins->canned[PARLANCE_GENERATION_PARTS] = NULL;
	memset(text, 'x', most + 9);
	text[most + 9] = '\0';
	memcpy(text + most - 2, "\xe2\x82\xac", 3); /* one byte over */
	delta(text);
	free(text);
	advance(1);
	assert_int_equal(strlen(param(PARLANCE_GENERATION_PARTS, 3)), most - 2 + 4);
	answer_parts();
	advance(250);
	check_param(PARLANCE_GENERATION_PARTS, 2, json("{%zu}", most - 2));
	check_param(PARLANCE_GENERATION_PARTS, 3, "{\"\xe2\x82\xacxxxxxxxx\"}");
	answer_parts();
	end_answer(PARLANCE_FINISH_STOP);
	settle(&t, "complete", "stop");
}

/* Those of all answers in one request; one that is not ours any more ends here. */
static void test_parts_fenced(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);
	struct provider_call *call = provider();
	struct turn other;

	(void)state;
	plugins->canned[PARLANCE_GENERATION_PARTS] = NULL;
	plugins->hold_canceled = true;
	delta("one");
	/* In the same room, for shortness: the storage would not have it so. */
	other = start_answer(c);
	fake_answer_delta(CONTAINER_OF(call->node.next, struct provider_call, node),
			  PARLANCE_DELTA_TEXT, slice_str("two"));
	advance(250);
	check_parts(json("{%s,%s}", t.message, other.message), "{0,0}", "{\"one\",\"two\"}");
	answer(PARLANCE_GENERATION_PARTS, "{'ok':true,'fenced':['x',7,'%s','%s']}", CONV2,
	       t.message);
	assert_true(call->canceled);
	check_state(&t, GENERATION_GONE);
	check_state(&other, GENERATION_RUNNING);
	delta("more");
	/* The instance that has ended it has the feed tell. */
	forget(c);
	tell_finished(&t, "interrupted", "interrupted");
	check_event(c, "ai:typing:stop", "{'streamId':'%s'}", t.stream);
	check_event(c, "message:error", "{'code':'INTERRUPTED'}");
	check_event(c, "error", "{'code':'INTERRUPTED'}");
	check_state(&t, GENERATION_GONE);
	end_answer(PARLANCE_FINISH_CANCELED);
	check_over(&t);
	end_answer(PARLANCE_FINISH_STOP);
	check_finish(&other, "complete", "stop", "two");
	settle(&other, "complete", "stop");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_send_not_done),
		core_test(test_send_unsure),
		core_test(test_send_given_up),
		core_test(test_finish_retried),
		core_test(test_finish_refused),
		core_test(test_finish_waits),
		core_test(test_end_is_pruned),
		core_test(test_parts),
		core_test(test_large_part),
		core_test(test_parts_fenced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
