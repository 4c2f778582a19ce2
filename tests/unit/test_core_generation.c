/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The life of an answer from the message that asks for it to the feed's word that it is over: ended
 * by its provider in each way, cut at its limit, and not held up by whoever comes or goes.
 */
#include "core_answer_fixture.h"

/* ---- a turn ---- */

static void test_whole_turn(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_and_join("bob");
	struct parlance_usage usage = { sizeof(usage), 3, 4, 7 };
	const struct provider_call *call;
	struct turn t;

	(void)state;
	ask(a, 5, "message:send",
	    "{'conversationId':'%s','content':'Hi','messageId':'m-1','parentId':'%s','model':'m',"
	    "'options':{'temperature':0}}",
	    CONV, CONV2);
	t = submitted();
	check_state(&t, GENERATION_STORING);
	check_param(PARLANCE_MESSAGE_SEND, 0, "alice");
	check_param(PARLANCE_MESSAGE_SEND, 1, CONV);
	check_param(PARLANCE_MESSAGE_SEND, 2, "m-1");
	check_param(PARLANCE_MESSAGE_SEND, 6, "Hi");
	check_param(PARLANCE_MESSAGE_SEND, 7, CONV2);
	check_param(PARLANCE_MESSAGE_SEND, 8, "m");
	check_param(PARLANCE_MESSAGE_SEND, 9, "{\"temperature\":0}");
	check_param(PARLANCE_MESSAGE_SEND, 10, "queue");
	check_param(PARLANCE_MESSAGE_SEND, 11, "3");
	check_param(PARLANCE_MESSAGE_SEND, 12, "50");
	check_param(PARLANCE_MESSAGE_SEND, 13, "7");
	check_param(PARLANCE_MESSAGE_SEND, 14, sid_of(a));
	assert_null(fake_answer_find(plugins));
	answer_sent(&t, "run", PROMPT);
	check_state(&t, GENERATION_RUNNING);
	check_ack(a, 5, "{'ok':true,'assistantMessageId':'%s'}", t.message);
	call = provider();
	assert_string_equal(call->model, "m");
	assert_string_equal(call->options, "{\"temperature\":0}");
	assert_string_equal(call->user, "h");
	assert_int_equal(call->timeout_ms, 600000);
	assert_int_equal(call->n_messages, 2);
	assert_int_equal(call->messages[0].role, PARLANCE_ROLE_SYSTEM);
	assert_int_equal(call->messages[1].role, PARLANCE_ROLE_USER);
	assert_string_equal(call->messages[1].text.p, "Hi");

	conv_seq++;
	feed_from(sid_of(a), CONV, conv_seq, "message.new", "{'message':{'id':'%s'}}", t.user);
	check_event(b, "message:new", "{'message':{'id':'%s'}}", t.user);
	tell_started(&t);
	check_event(b, "ai:typing:start", "{'streamId':'%s'}", t.stream);
	delta("Hello");
	check_event(b, "message:chunk",
		    "{'streamId':'%s','messageId':'m-1','chunk':'Hello','content':'Hello'}",
		    t.stream);
	fake_answer_end(provider(), (struct parlance_end){ .finish = PARLANCE_FINISH_STOP,
							   .model = { "m-2", 3 },
							   .usage = &usage });
	check_finish(&t, "complete", "stop", "Hello");
	check_param(PARLANCE_GENERATION_FINISH, 5, "m-2");
	check_param(PARLANCE_GENERATION_FINISH, 6,
		    "{\"promptTokens\":3,\"completionTokens\":4,\"totalTokens\":7}");
	check_param(PARLANCE_GENERATION_FINISH, 7, "(null)");
	check_silent(b);
	settle(&t, "complete", "stop");
	check_event(b, "ai:typing:stop", "{'streamId':'%s'}", t.stream);
	check_event(b, "message:complete", "{'assistantMessage':{'id':'%s'}}", t.message);
	check_silent(b);
	/* The sender hears the same, but for the message of his own. */
	check_event(a, "ai:typing:start", "{}");
	check_event(a, "message:chunk", "{'offset':0,'seq':1}");
	check_event(a, "ai:typing:stop", "{}");
	check_event(a, "message:complete", "{}");
	check_silent(a);
}

/* The feed may be faster than the answers to what caused its events. */
static void test_feed_is_first(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = send_message(c);

	(void)state;
	tell_started(&t);
	check_event(c, "ai:typing:start", "{}");
	check_state(&t, GENERATION_STORING);
	answer_sent(&t, "run", PROMPT);
	check_ack(c, 1, "{'ok':true}");
	delta("Hello");
	check_event(c, "message:chunk", "{'chunk':'Hello'}");
	end_answer(PARLANCE_FINISH_STOP);
	tell_finished(&t, "complete", "stop");
	check_event(c, "ai:typing:stop", "{}");
	check_event(c, "message:complete", "{}");
	check_over(&t);
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_silent(c);
}

/* And text may come before the room has heard that there is an answer: it waits. */
static void test_text_is_first(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = send_message(c);

	(void)state;
	answer_sent(&t, "run", PROMPT);
	check_ack(c, 1, "{'ok':true}");
	delta("Hel");
	delta("lo");
	advance(1000);
	check_silent(c);
	tell_started(&t);
	check_event(c, "ai:typing:start", "{}");
	check_event(c, "message:chunk", "{'offset':0,'seq':1,'chunk':'Hello'}");
	end_answer(PARLANCE_FINISH_STOP);
	settle(&t, "complete", "stop");
}

/* The whole answer may. */
static void test_end_is_first(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = send_message(c);

	(void)state;
	answer_sent(&t, "run", PROMPT);
	check_ack(c, 1, "{'ok':true}");
	delta("Hello");
	end_answer(PARLANCE_FINISH_STOP);
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_silent(c);
	tell_started(&t);
	check_event(c, "ai:typing:start", "{}");
	check_event(c, "message:chunk", "{'offset':0,'seq':1,'chunk':'Hello'}");
	tell_finished(&t, "complete", "stop");
	check_event(c, "ai:typing:stop", "{}");
	check_event(c, "message:complete", "{}");
	check_over(&t);
}

/* Reasoning and tool calls are no text. */
static void test_other_deltas(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	fake_answer_delta(provider(), PARLANCE_DELTA_REASONING, slice_str("Hm"));
	fake_answer_delta(provider(), PARLANCE_DELTA_TOOL_CALL, slice_str("{}"));
	check_silent(c);
	end_answer(PARLANCE_FINISH_STOP);
	check_finish(&t, "complete", "stop", "");
	settle(&t, "complete", "stop");
}

static void test_provider_ends(void **state)
{
	static const struct {
		enum parlance_finish finish;
		const char *text;
		const char *status;
		const char *reason;
		const char *code;
	} ends[] = {
		{ PARLANCE_FINISH_STOP, "Hi", "complete", "stop", NULL },
		{ PARLANCE_FINISH_STOP, "", "complete", "stop", NULL },
		{ PARLANCE_FINISH_LENGTH, "Hi", "complete", "length", NULL },
		{ PARLANCE_FINISH_FILTER, "Hi", "complete", "content_filter", NULL },
		{ PARLANCE_FINISH_CANCELED, "", "failed", "(null)", "PROVIDER_ERROR" },
		{ PARLANCE_FINISH_RATE_LIMITED, "", "failed", "(null)", "PROVIDER_ERROR" },
		{ PARLANCE_FINISH_UNAVAILABLE, "", "failed", "(null)", "PROVIDER_ERROR" },
		{ PARLANCE_FINISH_TIMEOUT, "", "failed", "(null)", "PROVIDER_TIMEOUT" },
		{ PARLANCE_FINISH_TIMEOUT, "Hi", "interrupted", "(null)", "PROVIDER_TIMEOUT" },
		{ PARLANCE_FINISH_CUT, "Hi", "interrupted", "(null)", "PROVIDER_ERROR" },
		{ PARLANCE_FINISH_REFUSED, "", "failed", "(null)", "PROVIDER_ERROR" },
		{ PARLANCE_FINISH_PROTOCOL, "Hi", "interrupted", "(null)", "PROVIDER_ERROR" },
		{ PARLANCE_FINISH_INTERNAL, "", "failed", "(null)", "PROVIDER_ERROR" },
	};
	struct session *c = connect_and_join("alice");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		struct turn t = start_answer(c);

		if (*ends[i].text)
			delta(ends[i].text);
		fake_answer_end(provider(), (struct parlance_end){ .finish = (int)ends[i].finish,
								   .retry_after_ms = 1500,
								   .detail = "on purpose" });
		check_finish(&t, ends[i].status, ends[i].reason, ends[i].text);
		if (ends[i].code)
			assert_non_null(strstr(param(PARLANCE_GENERATION_FINISH, 7),
					       json("{'code':'%s',", ends[i].code)));
		else
			check_param(PARLANCE_GENERATION_FINISH, 7, "(null)");
		assert_int_equal(ends[i].code != NULL,
				 strstr(param(PARLANCE_GENERATION_FINISH, 7),
					"\"retryAfterMs\":1500}") != NULL);
		settle(&t, ends[i].status, ends[i].reason);
		forget(c);
	}
}

/* A failure is told to the room, and to who asked by a plain error as well. */
static void test_error_is_told(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_and_join("bob");
	struct turn t = start_answer(a);

	(void)state;
	check_event(b, "ai:typing:start", "{}");
	end_answer(PARLANCE_FINISH_RATE_LIMITED);
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	next_event("message.finished",
		   "{'assistantMessage':{'id':'%s','status':'failed','error':{'code':"
		   "'PROVIDER_ERROR','retryAfterMs':1500}},'streamId':'%s','messageId':'m-1'}",
		   t.message, t.stream);
	for (size_t i = 0; i < 2; i++) {
		struct session *c = i ? a : b;

		check_event(c, "ai:typing:stop", "{'streamId':'%s','messageId':'m-1'}", t.stream);
		check_event(c, "message:error",
			    "{'code':'PROVIDER_ERROR','type':'PROVIDER_ERROR','retryable':true,"
			    "'retryAfterMs':1500,'conversationId':'%s','streamId':'%s',"
			    "'assistantMessage':{'id':'%s'}}",
			    CONV, t.stream, t.message);
	}
	check_silent(b);
	check_event(a, "error", "{'code':'PROVIDER_ERROR','messageId':'m-1','streamId':'%s'}",
		    t.stream);
	assert_false(taken_has("assistantMessage"));
	check_silent(a);
	check_over(&t);
}

static void test_cannot_begin(void **state)
{
	static const char *const prompts[] = {
		"null", "{}", "{'messages':{}}", "{'messages':[{'role':'user'}]}",
		"{'messages':[{'role':'user','content':7}]}", "[]",
	};
	struct session *c = connect_and_join("alice");
	struct turn t;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(prompts); i++) {
		t = send_message(c);
		answer_sent(&t, "run", prompts[i]);
		check_ack(c, 1, "{'ok':true}");
		assert_null(fake_answer_find(plugins));
		check_finish(&t, "failed", "(null)", "");
		settle(&t, "failed", "");
		forget(c);
	}
	plugins->refuse_answer = PARLANCE_ENOENT;
	t = send_message(c);
	answer_sent(&t, "run", PROMPT);
	check_finish(&t, "failed", "(null)", "");
	settle(&t, "failed", "");
}

/* ---- who asked ---- */

static void test_sender_goes(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_and_join("bob");
	struct turn t = send_message(a);

	(void)state;
	session_close(a, SESSION_TRANSPORT_CLOSE);
	turn();
	answer_sent(&t, "run", PROMPT);
	check_state(&t, GENERATION_RUNNING);
	tell_started(&t);
	session_close(b, SESSION_TRANSPORT_CLOSE);
	delta("Hello");
	end_answer(PARLANCE_FINISH_STOP);
	check_finish(&t, "complete", "stop", "Hello");
	settle(&t, "complete", "stop");
}

/* He has left the room, and hears the end all the same. */
static void test_sender_leaves(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = start_answer(c);

	(void)state;
	say(c, "leave:conversation", "'%s'", CONV);
	check_event(c, "conversation:left", "{}");
	delta("Hello");
	check_silent(c);
	end_answer(PARLANCE_FINISH_STOP);
	settle(&t, "complete", "stop");
	check_event(c, "message:complete", "{'streamId':'%s'}", t.stream);
	check_silent(c);
}

static void test_duplicate(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t = send_message(c);

	(void)state;
	answer_sent(&t, "duplicate", NULL);
	check_ack(c, 1, "{'ok':true}");
	check_over(&t);
	/* One with a prompt is this very message. */
	t = send_message(c);
	answer_sent(&t, "duplicate", PROMPT);
	check_state(&t, GENERATION_RUNNING);
	end_answer(PARLANCE_FINISH_STOP);
	settle(&t, "complete", "stop");
}

static void test_refused(void **state)
{
	struct session *c = connect_and_join("alice");
	struct session *viewer = connect_user("bob");
	struct turn t;

	(void)state;
	t = send_message(c);
	answer(PARLANCE_MESSAGE_SEND, "{'ok':false,'code':'BUSY'}");
	check_refused(c, 1, "BUSY");
	check_over(&t);
	t = send_message(c);
	answer(PARLANCE_MESSAGE_SEND, "{'ok':false}");
	check_refused(c, 1, "INTERNAL");
	check_over(&t);
	join_as(viewer, "viewer");
	ask(viewer, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
	check_refused(viewer, 1, "FORBIDDEN");
	check_not_called(PARLANCE_MESSAGE_SEND);
	/* Who has not joined joins first. */
	c = connect_user("bob");
	ask(c, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
	check_not_called(PARLANCE_MESSAGE_SEND);
	answer(PARLANCE_CONVERSATION_JOIN, "{'ok':false,'code':'NOT_FOUND'}");
	check_refused(c, 1, "NOT_FOUND");
	ask(c, 1, "message:send", "{'conversationId':'%s','content':'Hi'}", CONV);
	answer_join("viewer", conv_seq);
	check_event(c, "conversation:joined", "{}");
	check_refused(c, 1, "FORBIDDEN");
}

/* ---- limits ---- */

/* At most so many bytes, and no character is cut. */
static void test_limit(void **state)
{
	static const struct {
		const char *first;
		const char *second;
		const char *kept;
	} texts[] = {
		{ "12345678", "\xc3\xa9", NULL },                     /* as much as goes in */
		{ "12345678", "\xc3\xa9!", "12345678\xc3\xa9" },
		{ "12345678", "\xe2\x82\xac", "12345678" },
		{ "12345678", "9\xc3\xa9", "123456789" },
		{ "123456", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80", "123456\xf0\x9f\x98\x80" },
		{ "1234567890", "1", "1234567890" },
	};
	struct session *c = connect_and_join("alice");

	(void)state;
	chat.max_answer_bytes = 10;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct turn t = start_answer(c);

		delta(texts[i].first);
		delta(texts[i].second);
		if (texts[i].kept) {
			assert_null(fake_answer_find(plugins)); /* it was cancelled */
			check_finish(&t, "complete", "length", texts[i].kept);
		} else {
			check_state(&t, GENERATION_RUNNING);
			end_answer(PARLANCE_FINISH_STOP);
		}
		settle(&t, "complete", "length");
		forget(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_whole_turn),
		core_test(test_feed_is_first),
		core_test(test_text_is_first),
		core_test(test_end_is_first),
		core_test(test_other_deltas),
		core_test(test_provider_ends),
		core_test(test_error_is_told),
		core_test(test_cannot_begin),
		core_test(test_sender_goes),
		core_test(test_sender_leaves),
		core_test(test_duplicate),
		core_test(test_refused),
		core_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
