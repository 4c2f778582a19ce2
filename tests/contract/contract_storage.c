/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What every storage plugin must do: serve each function, complete each request exactly once, be
 * cancelled at any step, tell of every change in order, and get over its storage's absence. That
 * nothing is left at the end is looked at by the mock host, at the end of each test.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "contract_storage.h"
#include "storage_rig.h"

static const struct storage_contract *contract;
static struct rig rig;

struct uuid {
	char text[37];
};

static struct uuid uuid_new(void)
{
	struct uuid out;
	uint32_t r[4];

	rig.m->host.random(rig.m->host.ctx, r, sizeof(r));
	snprintf(out.text, sizeof(out.text), "%08x-%04x-7%03x-8%03x-%08x%04x", r[0], r[1] & 0xffff,
		 r[1] >> 20, r[2] & 0xfff, r[3], r[2] >> 16);
	return out;
}

/* Parameters of session_open behind the user, for one who asks for no recovery. */
#define SESSION_REST NULL, "fresh", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL

static const char *braces(const char *text)
{
	static char out[64];

	snprintf(out, sizeof(out), "{%s}", text);
	return out;
}

/* Asks, and the answer must say that all is well. */
#define DO(call, function, ...)                                              \
	do {                                                                 \
		call_free(call);                                             \
		(void)RIG_ASK(&rig, call, function, ##__VA_ARGS__);          \
		if (strcmp(json_text((call)->json, "ok"), "true") != 0)      \
			fail_msg(#function ": %s", (call)->json);            \
		called[function] = true;                                     \
	} while (0)

static bool called[256];

static void create(struct call *call, const char *user, const struct uuid *conversation)
{
	DO(call, PARLANCE_CONVERSATION_CREATE, user, conversation->text, "A title", NULL, NULL,
	   NULL, NULL);
}

static void send(struct call *call, const struct uuid *conversation, const char *instance,
		 const struct uuid *answer, const char *state)
{
	struct uuid client = uuid_new(), message = uuid_new(), stream = uuid_new();

	DO(call, PARLANCE_MESSAGE_SEND, "alice", conversation->text, client.text, message.text,
	   answer->text, stream.text, "Hello, caf\xc3\xa9", NULL, NULL, NULL, "queue", "3", "50",
	   instance, NULL);
	assert_string_equal(json_text(call->json, "state"), state);
}

/* A conversation from its beginning to its end: each function once at least. */
static void test_functions(void **state)
{
	struct call call = { .completed = 0 };
	struct uuid conversation = uuid_new(), first = uuid_new(), second = uuid_new();
	const struct rig_event *last;
	char instance[32], parts[64];
	int64_t seq = 0;

	(void)state;
	memset(called, 0, sizeof(called));
	DO(&call, PARLANCE_INSTANCE_REGISTER, "host.example", "4242", NULL);
	snprintf(instance, sizeof(instance), "%s", json_text(call.json, "id"));
	MOCK_CALL(rig.m, rig.ops->set_instance(rig.m->self, strtoll(instance, NULL, 10)));
	DO(&call, PARLANCE_SESSION_OPEN, "alice", SESSION_REST);
	create(&call, "alice", &conversation);
	DO(&call, PARLANCE_CONVERSATION_ACCESS, "alice", conversation.text);
	DO(&call, PARLANCE_CONVERSATION_JOIN, "alice", conversation.text, NULL);
	DO(&call, PARLANCE_CONVERSATION_LIST, "alice", NULL, "10", NULL);
	assert_non_null(strstr(call.json, conversation.text));
	DO(&call, PARLANCE_CONVERSATION_UPDATE, "alice", conversation.text, "{title}",
	   "Another \"title\"", NULL, NULL, NULL, NULL, NULL, NULL);
	assert_non_null(strstr(call.json, "Another \\\"title\\\""));
	DO(&call, PARLANCE_CONVERSATION_SHARE, "alice", conversation.text, "bob", "editor", NULL);
	DO(&call, PARLANCE_CONVERSATION_UNSHARE, "alice", conversation.text, "bob", NULL);
	send(&call, &conversation, instance, &first, "run");
	send(&call, &conversation, instance, &second, "queued");
	snprintf(parts, sizeof(parts), "%s", braces(first.text));
	DO(&call, PARLANCE_GENERATION_PARTS, instance, parts, "{0}", "{\"Good day\"}");
	DO(&call, PARLANCE_MESSAGE_STOP, "alice", conversation.text, NULL, NULL);
	assert_non_null(strstr(call.json, first.text));
	DO(&call, PARLANCE_GENERATION_FINISH, first.text, instance, "complete", "stop", NULL, "m",
	   NULL, NULL);
	DO(&call, PARLANCE_GENERATION_BEGIN, second.text, instance, "50");
	DO(&call, PARLANCE_GENERATION_FINISH, second.text, instance, "stopped", "stopped", "So",
	   "m", NULL, NULL);
	DO(&call, PARLANCE_CONVERSATION_VIEW, "alice", conversation.text, "true", "a-socket");
	DO(&call, PARLANCE_MESSAGE_LIST, "alice", conversation.text, NULL, NULL, "10");
	assert_non_null(strstr(call.json, "Good day"));
	assert_non_null(strstr(call.json, "caf\xc3\xa9"));
	DO(&call, PARLANCE_FEED_HEADS, braces(conversation.text), "{0}");
	assert_non_null(strstr(call.json, conversation.text));
	DO(&call, PARLANCE_FEED_REPLAY, conversation.text, "0", "100");
	DO(&call, PARLANCE_INSTANCE_BEAT, instance, "true");
	DO(&call, PARLANCE_INSTANCE_SEND, braces(instance), "{\"a message\"}");
	DO(&call, PARLANCE_PRESENCE_SYNC, instance, "{a-socket}", "{alice}", "{\"{}\"}", "{}",
	   "{alice}");
	DO(&call, PARLANCE_PRESENCE_ONLINE, "{alice,bob}");
	assert_non_null(strstr(call.json, "[\"alice\"]"));
	DO(&call, PARLANCE_PRESENCE_GET, "alice", NULL, conversation.text);
	DO(&call, PARLANCE_BROADCAST, "alice", NULL, "app:x", "{\"n\":1}");
	DO(&call, PARLANCE_TOKEN_CHECK, "alice", "a token", NULL, "1700000000000");
	DO(&call, PARLANCE_REVOCATIONS, NULL);
	assert_true(*json_text(call.json, "after"));
	DO(&call, PARLANCE_INSTANCE_REAP);
	DO(&call, PARLANCE_MAINTAIN);
	DO(&call, PARLANCE_CONVERSATION_DELETE, "alice", conversation.text, NULL);
	DO(&call, PARLANCE_INSTANCE_RETIRE, instance);
	call_free(&call);
#define X(constant, name, n, class) \
	if (!called[constant])      \
		fail_msg("the suite does not call " #name);
	PARLANCE_STORAGE_LIST(X)
#undef X

	/* All of it was told, in order and without holes. */
	do {
		size_t n = rig.n_events;

		last = NULL;
		for (size_t i = 0; i < n; i++) {
			if (strcmp(rig.events[i].room, conversation.text) == 0)
				last = &rig.events[i];
		}
		if (!last || strcmp(last->type, "conversation.deleted") != 0)
			RIG_WAIT(&rig, rig.n_events > n);
	} while (!last || strcmp(last->type, "conversation.deleted") != 0);
	for (size_t i = 0; i < rig.n_events; i++) {
		if (strcmp(rig.events[i].room, conversation.text) == 0)
			assert_int_equal(rig.events[i].seq, ++seq);
	}
	assert_true(seq >= 8);
}

/* An event is what feed_replay says. */
static void test_event_is_replayed(void **state)
{
	struct call call = { .completed = 0 };
	struct uuid conversation = uuid_new();
	const struct rig_event *event;
	char *told;

	(void)state;
	create(&call, "carol", &conversation);
	RIG_WAIT(&rig, rig_event(&rig, 0, "conversation.created"));
	event = rig_event(&rig, 0, "conversation.created");
	assert_int_equal(event->seq >= 1, 1);
	assert_non_null(strstr(event->json, conversation.text));
	told = strdup(json_text(event->json, "i"));
	DO(&call, PARLANCE_FEED_REPLAY, event->room, "0", "100");
	assert_non_null(strstr(call.json, told));
	assert_non_null(strstr(call.json, conversation.text));
	free(told);
	call_free(&call);
}

static void test_refusal_is_an_answer(void **state)
{
	struct call call;
	struct uuid conversation = uuid_new();

	(void)state;
	(void)RIG_ASK(&rig, &call, PARLANCE_CONVERSATION_ACCESS, "dave", conversation.text);
	assert_string_equal(json_text(call.json, "ok"), "false");
	assert_string_equal(json_text(call.json, "code"), "NOT_FOUND");
	call_free(&call);
}

/* What is no request fails, and says why. */
static void test_failures(void **state)
{
	struct call call;

	(void)state;
	rig_submit(&rig, &call, PARLANCE_SESSION_OPEN, 0, NULL);
	rig_wait(&rig, &call);
	assert_int_equal(call.status, PARLANCE_STORAGE_FAILED);
	assert_true(*call.detail);
	call_free(&call);
	RIG_SUBMIT(&rig, &call, PARLANCE_CONVERSATION_ACCESS, "dave", "private text, no id");
	rig_wait(&rig, &call);
	assert_int_equal(call.status, PARLANCE_STORAGE_FAILED);
	assert_true(*call.detail);
	/* What a user wrote belongs into no log. */
	assert_null(strstr(call.detail, "private text"));
	assert_null(strstr(mock_log(rig.m), "private text"));
	call_free(&call);
}

/* A failure concerns nobody else, though they were asked for in one breath. */
static void test_failures_are_alone(void **state)
{
	struct call calls[20];
	struct uuid ids[ARRAY_LEN(calls)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		ids[i] = uuid_new();
		RIG_SUBMIT(&rig, &calls[i], PARLANCE_CONVERSATION_CREATE, "erin",
			   i % 7 == 3 ? "no id" : ids[i].text, NULL, NULL, NULL, NULL, NULL);
	}
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		rig_wait(&rig, &calls[i]);
		if (i % 7 == 3)
			assert_int_equal(calls[i].status, PARLANCE_STORAGE_FAILED);
		else
			(void)rig_expect_ok(&rig, &calls[i], __FILE__, __LINE__);
		call_free(&calls[i]);
	}
}

static void submit_some(struct call *call, int step, const struct uuid *id)
{
	switch (step % 3) {
	case 0:
		RIG_SUBMIT(&rig, call, PARLANCE_CONVERSATION_CREATE, "frank", id->text, NULL, NULL,
			   NULL, NULL, NULL);
		break;
	case 1:
		RIG_SUBMIT(&rig, call, PARLANCE_SESSION_OPEN, "frank", SESSION_REST);
		break;
	default:
		RIG_SUBMIT(&rig, call, PARLANCE_INSTANCE_BEAT, "1", NULL);
		break;
	}
}

/* Wherever a request has got to, cancelling it completes it soon, once. */
static void test_cancel_at_every_step(void **state)
{
	(void)state;
	for (int step = 0; step < 60; step++) {
		struct uuid id = uuid_new();
		struct call call, after;

		submit_some(&call, step, &id);
		for (int i = 0; i < step / 3 && !call.completed; i++)
			mock_turn(rig.m);
		if (!call.completed) {
			rig_cancel(&rig, &call);
			rig_wait(&rig, &call);
		}
		assert_in_range(call.status, PARLANCE_STORAGE_OK, PARLANCE_STORAGE_CANCELED);
		assert_true(call.status == PARLANCE_STORAGE_OK ||
			    call.status == PARLANCE_STORAGE_CANCELED);
		call_free(&call);
		/* The next one gets its own answer. */
		submit_some(&after, step, &id);
		rig_wait(&rig, &after);
		(void)rig_expect_ok(&rig, &after, __FILE__, __LINE__);
		call_free(&after);
	}
}

static void test_messages(void **state)
{
	struct call call = { .completed = 0 };
	int64_t id;

	(void)state;
	DO(&call, PARLANCE_INSTANCE_REGISTER, "host.example", "4242", NULL);
	id = strtoll(json_text(call.json, "id"), NULL, 10);
	call_free(&call);
	MOCK_CALL(rig.m, rig.ops->set_instance(rig.m->self, id));
	/* The address is ours from a moment that nobody tells. */
	do {
		contract->tell(id, "first");
		mock_turn(rig.m);
		/* What all instances are told may come before. */
	} while (rig.n_messages == 0 ||
		 strcmp(rig.messages[rig.n_messages - 1], "first") != 0);
	contract->tell(id, "{\"text\":\"caf\xc3\xa9\"}");
	RIG_WAIT(&rig, strcmp(rig.messages[rig.n_messages - 1], "{\"text\":\"caf\xc3\xa9\"}") == 0);
	contract->tell(id + 1, "for somebody else");
	contract->tell(id, "last");
	RIG_WAIT(&rig, strcmp(rig.messages[rig.n_messages - 1], "last") == 0);
	for (size_t i = 0; i < rig.n_messages; i++)
		assert_string_not_equal(rig.messages[i], "for somebody else");
}

/* In flight, queued, new: all complete; and afterwards all is as before. */
static void test_away(void **state)
{
	struct call calls[40], call = { .completed = 0 };
	struct uuid id = uuid_new();

	(void)state;
	for (int i = 0; i < (int)ARRAY_LEN(calls); i++) {
		struct uuid own = uuid_new();

		submit_some(&calls[i], i, &own);
		if (i % 10 == 0)
			mock_turn(rig.m);
	}
	contract->stop();
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		rig_wait(&rig, &calls[i]);
		assert_true(calls[i].status == PARLANCE_STORAGE_OK ||
			    calls[i].status == PARLANCE_STORAGE_UNAVAILABLE ||
			    calls[i].status == PARLANCE_STORAGE_UNKNOWN);
		call_free(&calls[i]);
	}
	RIG_WAIT(&rig, !rig.ready && !rig.feed);
	assert_true(*rig.detail);
	RIG_SUBMIT(&rig, &call, PARLANCE_SESSION_OPEN, "grace", SESSION_REST);
	rig_wait(&rig, &call);
	assert_int_equal(call.status, PARLANCE_STORAGE_UNAVAILABLE);
	assert_true(*call.detail);
	call_free(&call);
	/* From now on users get their answer at once. */
	RIG_SUBMIT(&rig, &call, PARLANCE_SESSION_OPEN, "grace", SESSION_REST);
	mock_turn(rig.m);
	assert_int_equal(call.completed, 1);
	assert_int_equal(call.status, PARLANCE_STORAGE_UNAVAILABLE);
	contract->start();
	rig_wait_up(&rig);
	assert_int_equal(rig.n_ready >= 3, 1);
	rig_forget_events(&rig);
	create(&call, "grace", &id);
	RIG_WAIT(&rig, rig_event(&rig, 0, "conversation.created"));
	call_free(&call);
}

static void test_two_lives(void **state)
{
	(void)state;
	/* Ended while it comes up, at several points. */
	for (int turns = 0; turns < 20; turns += 4) {
		const struct mock_config config = { .plugin = contract->plugin };

		rig_close(&rig);
		assert_int_equal(rig_open(&rig, &config, contract->options, contract->n_options),
				 0);
		for (int i = 0; i < turns; i++)
			mock_turn(rig.m);
	}
	rig_wait_up(&rig);
}

static int setup(void **state)
{
	const struct mock_config config = { .plugin = contract->plugin };

	(void)state;
	if (rig_open(&rig, &config, contract->options, contract->n_options)) {
		print_error("%s\n", rig.m->err);
		return -1;
	}
	rig_wait_up(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int storage_contract_run(const struct storage_contract *which)
{
	const struct CMUnitTest tests[] = {
		TEST(test_functions),
		TEST(test_event_is_replayed),
		TEST(test_refusal_is_an_answer),
		TEST(test_failures),
		TEST(test_failures_are_alone),
		TEST(test_cancel_at_every_step),
		TEST(test_messages),
		TEST(test_away),
		TEST(test_two_lives),
	};

	contract = which;
	return cmocka_run_group_tests_name("storage", tests, NULL, NULL);
}
