/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the tests of core among other instances share: what it sends them, and what they say. The
 * test is all of them. Included by one file of a program.
 */
#ifndef PARLANCE_TESTS_UNIT_CORE_CLUSTER_FIXTURE_H
#define PARLANCE_TESTS_UNIT_CORE_CLUSTER_FIXTURE_H

#include "core_answer_fixture.h"

#define PAYLOAD_MAX 7999 /* of PostgreSQL */

/* An answer that another instance generates. */
#define MESSAGE "33333333-3333-7333-8333-333333333333"
#define STREAM "44444444-4444-7444-8444-444444444444"
#define STREAM_JSON "{'assistantMessageId':'" MESSAGE "','streamId':'" STREAM "'}"

/* ---- what is sent ---- */

/** From now on the test answers what is sent. */
static inline void hold_mail(void)
{
	plugins->canned[PARLANCE_INSTANCE_SEND] = NULL;
}

/* The elements of an array of SQL, whose texts are JSON. */
static inline struct json_object *parse_payloads(const char *p)
{
	struct json_object *list = json_object_new_array();
	struct strbuf text;

	assert_int_equal(*p++, '{');
	strbuf_init(&text, SIZE_MAX / 2);
	while (*p == '"') {
		struct json_object *payload;

		strbuf_reset(&text);
		for (p++; *p != '"'; p++) {
			p += *p == '\\';
			assert_int_not_equal(*p, '\0');
			strbuf_append_char(&text, *p);
		}
		assert_true(text.len <= PAYLOAD_MAX);
		payload = json_tokener_parse(strbuf_cstr(&text));
		assert_non_null(payload);
		json_object_array_add(list, payload);
		p++;
		p += *p == ',';
	}
	assert_string_equal(p, "}");
	strbuf_fini(&text);
	return list;
}

/** What the request under way sends: [[instance, payload]...]; the caller's. It succeeds. */
static inline struct json_object *take_mail(void)
{
	const char *to = param(PARLANCE_INSTANCE_SEND, 0);
	struct json_object *payloads = parse_payloads(param(PARLANCE_INSTANCE_SEND, 1));
	struct json_object *all = json_object_new_array();

	assert_int_equal(*to, '{');
	for (size_t i = 0; i < json_object_array_length(payloads); i++) {
		struct json_object *one = json_object_new_array();
		char *end;

		json_object_array_add(one, json_object_new_int64(strtoll(to + 1, &end, 10)));
		json_object_array_add(one,
				      json_object_get(json_object_array_get_idx(payloads, i)));
		json_object_array_add(all, one);
		to = end;
	}
	assert_string_equal(to, "}");
	json_object_put(payloads);
	answer(PARLANCE_INSTANCE_SEND, NOTHING);
	return all;
}

static inline void check_mail_text(const char *expected)
{
	struct json_object *all = take_mail();
	struct json_object *some = json_tokener_parse(expected);

	assert_non_null(some);
	if (!includes(all, some))
		fail_msg("%s\n  was sent instead of %s", json_object_to_json_string(all), expected);
	json_object_put(all);
	json_object_put(some);
}

/** The request under way sends this: [[instance, {f, m}]...]. It succeeds. */
#define check_mail(...) check_mail_text(json(__VA_ARGS__))

/** It sends these messages to one instance. */
#define check_mail_to(to, ...) \
	check_mail_text(json("[[%d,{'f':%d,'m':[%s]}]]", (to), INSTANCE, json(__VA_ARGS__)))

static inline void check_no_mail(void)
{
	check_not_called(PARLANCE_INSTANCE_SEND);
}

/* ---- what is received ---- */

static inline void receive_text(int from, const char *messages)
{
	fake_storage_message(plugins, json("{'f':%d,'m':[%s]}", from, messages));
	turn();
}

#define receive(from, ...) receive_text((from), json(__VA_ARGS__))

/* ---- answers of others ---- */

static inline void others_answer_begins(void)
{
	next_event("message.started", "{'conversationId':'%s','assistantMessageId':'%s',"
		   "'streamId':'%s'}", CONV, MESSAGE, STREAM);
}

static inline void others_answer_ends(const char *text)
{
	next_event("message.finished",
		   "{'conversationId':'%s','assistantMessage':{'id':'%s','status':'complete',"
		   "'content':'%s'},'finishReason':'stop','streamId':'%s'}",
		   CONV, MESSAGE, text, STREAM);
}

static inline void check_end(struct session *c)
{
	check_event(c, "ai:typing:stop", "{'streamId':'%s'}", STREAM);
	check_event(c, "message:complete", "{'streamId':'%s'}", STREAM);
}

#define check_chunk(c, seq, offset, text) \
	check_event((c), "message:chunk", \
		    "{'assistantMessageId':'" MESSAGE "','streamId':'" STREAM "','seq':%d," \
		    "'offset':%d,'chunk':'%s'}", (seq), (offset), (text))

#define check_others_snapshot(c, seq, text) \
	check_event((c), "message:snapshot", \
		    "{'conversationId':'" CONV "','assistantMessageId':'" MESSAGE "'," \
		    "'streamId':'" STREAM "','seq':%d,'content':'%s','status':'streaming'}", \
		    (seq), (text))

/** c comes into the conversation, where this answer (JSON) runs. */
static inline void join_active(struct session *c, const char *active)
{
	ask(c, 900, "join:conversation", "'%s'", CONV);
	answer(PARLANCE_CONVERSATION_JOIN,
	       "{'ok':true,'role':'owner','seq':%" PRId64
	       ",'ack':{'ok':true,'conversation':{'id':'%s'},'lastSeq':0,'activeStream':%s}}",
	       conv_seq, CONV, active);
	check_event(c, "conversation:joined", "{'conversationId':'%s'}", CONV);
	check_ack(c, 900, "{'ok':true}");
}

#endif
