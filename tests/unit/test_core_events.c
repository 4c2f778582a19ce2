/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Clients' events: what is malformed gets its code and goes no further, what is well-formed goes to
 * the storage as it should, and whatever happens there, each event is answered once: by an
 * acknowledgement if it asked for one, else by "error" if it failed.
 */
#include "core_fixture.h"

#include "base/err.h"

#define ID "'conversationId':'" CONV "'"
#define UNTAKEN 99999 /* stands for a text that is longer than all limits */

/* Both ways of asking; nobody else is asked for it. */
static void check_fails(struct session *c, const char *event, const char *arg, const char *code)
{
	say_text(c, 7, event, arg);
	if (fake_calls(plugins))
		fail_msg("%s with %s was passed on", event, arg);
	check_refused(c, 7, code);
	say_text(c, -1, event, arg);
	check_event(c, "error", "{'code':'%s','type':'%s','event':'%s','message':'*'}", code, code,
		    event);
	check_silent(c);
}

/* ---- what is malformed ---- */

static const char *const of_conversation[] = {
	"join:conversation",  "leave:conversation",   "conversation:update",
	"conversation:delete", "conversation:share",  "conversation:unshare",
	"conversation:view",  "conversation:leave_view", "message:send",
	"message:stop",       "message:list",         "typing:start",
	"typing:stop",
};

static void test_no_conversation(void **state)
{
	static const struct {
		const char *arg;
		const char *code;
	} args[] = {
		{ "", "BAD_REQUEST" },
		{ "null", "BAD_REQUEST" },
		{ "7", "BAD_REQUEST" },
		{ "true", "BAD_REQUEST" },
		{ "[]", "BAD_REQUEST" },
		{ "['" CONV "']", "BAD_REQUEST" },
		{ "{}", "BAD_REQUEST" },
		{ "{'conversationId':null}", "BAD_REQUEST" },
		{ "{'conversationId':7}", "BAD_REQUEST" },
		{ "{'conversationId':['" CONV "']}", "BAD_REQUEST" },
		{ "{'conversationId':{'id':'" CONV "'}}", "BAD_REQUEST" },
		{ "{'CONVERSATIONID':'" CONV "'}", "BAD_REQUEST" },
		/* Text that is none of our ids: there is no such conversation. */
		{ "''", "NOT_FOUND" },
		{ "'1'", "NOT_FOUND" },
		{ "'11111111-1111-4111-8111-11111111111'", "NOT_FOUND" },
		{ "'11111111-1111-4111-8111-1111111111111'", "NOT_FOUND" },
		{ "'11111111-1111-4111-8111-11111111111g'", "NOT_FOUND" },
		{ "'1111111111114111811111111111111111'", "NOT_FOUND" },
		{ "'11111111-1111-4111-8111-111111111111\\u0000'", "NOT_FOUND" },
		{ "{'conversationId':'room'}", "NOT_FOUND" },
		{ "{'id':'\\ud800'}", "NOT_FOUND" },
		/* A user's room is no conversation. */
		{ "'" ALICE_ROOM "'", "NOT_FOUND" },
		{ "{'conversationId':'" BOB_ROOM "'}", "NOT_FOUND" },
	};
	struct session *c = connect_and_join("alice");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(of_conversation); i++)
		for (size_t j = 0; j < ARRAY_LEN(args); j++)
			check_fails(c, of_conversation[i],
				    *args[j].arg ? json("%s", args[j].arg) : "", args[j].code);
}

/* %s in an argument stands for a text of so many bytes. */
static const struct {
	const char *event;
	const char *arg;
	size_t len;
	const char *code;
} malformed[] = {
	{ "join:conversation", "{" ID ",'sinceSeq':'1'}", 0, "BAD_REQUEST" },
	{ "join:conversation", "{" ID ",'sinceSeq':-1}", 0, "BAD_REQUEST" },
	{ "join:conversation", "{" ID ",'sinceSeq':1.5}", 0, "BAD_REQUEST" },
	{ "join:conversation", "{" ID ",'sinceSeq':1e2}", 0, "BAD_REQUEST" },
	{ "join:conversation", "{" ID ",'sinceSeq':[1]}", 0, "BAD_REQUEST" },
	{ "join:conversation", "{" ID ",'sinceSeq':9223372036854775808}", 0, "BAD_REQUEST" },
	{ "join:conversation", "{" ID ",'sinceSeq':1000000000000000000000000}", 0, "BAD_REQUEST" },

	{ "conversation:create", "[]", 0, "BAD_REQUEST" },
	{ "conversation:create", "'title'", 0, "BAD_REQUEST" },
	{ "conversation:create", "7", 0, "BAD_REQUEST" },
	{ "conversation:create", "{'id':'x'}", 0, "BAD_REQUEST" },
	{ "conversation:create", "{'id':7}", 0, "BAD_REQUEST" },
	{ "conversation:create", "{'id':'" BOB_ROOM "'}", 0, "BAD_REQUEST" },
	{ "conversation:create", "{'title':7}", 0, "BAD_REQUEST" },
	{ "conversation:create", "{'title':['a']}", 0, "BAD_REQUEST" },
	{ "conversation:create", "{'title':'a\\u0000b'}", 0, "BAD_REQUEST" },
	{ "conversation:create", "{'title':'%s'}", 101, "TOO_LARGE" },
	{ "conversation:create", "{'model':{}}", 0, "BAD_REQUEST" },
	{ "conversation:create", "{'model':'%s'}", 101, "TOO_LARGE" },
	{ "conversation:create", "{'systemPrompt':false}", 0, "BAD_REQUEST" },
	{ "conversation:create", "{'systemPrompt':'%s'}", 201, "TOO_LARGE" },
	{ "conversation:create", "{'metadata':[]}", 0, "BAD_REQUEST" },
	{ "conversation:create", "{'metadata':'{}'}", 0, "BAD_REQUEST" },
	{ "conversation:create", "{'metadata':{'a':'%s'}}", 193, "TOO_LARGE" },
	{ "conversation:create", "{'archived':1}", 0, "BAD_REQUEST" },

	{ "conversation:update", "'" CONV "'", 0, "BAD_REQUEST" },
	{ "conversation:update", "{" ID "}", 0, "BAD_REQUEST" },
	{ "conversation:update", "{" ID ",'update':[]}", 0, "BAD_REQUEST" },
	{ "conversation:update", "{" ID ",'update':'title'}", 0, "BAD_REQUEST" },
	{ "conversation:update", "{" ID ",'update':null}", 0, "BAD_REQUEST" },
	{ "conversation:update", "{" ID ",'update':{'title':7}}", 0, "BAD_REQUEST" },
	{ "conversation:update", "{" ID ",'update':{'title':'%s'}}", 101, "TOO_LARGE" },
	{ "conversation:update", "{" ID ",'update':{'metadata':7}}", 0, "BAD_REQUEST" },
	{ "conversation:update", "{" ID ",'update':{'archived':null}}", 0, "BAD_REQUEST" },
	{ "conversation:update", "{" ID ",'update':{},'version':'1'}", 0, "BAD_REQUEST" },
	{ "conversation:update", "{" ID ",'update':{},'version':-1}", 0, "BAD_REQUEST" },
	{ "conversation:update", "{" ID ",'update':{},'version':9223372036854775808}", 0,
	  "BAD_REQUEST" },

	{ "conversation:list", "{'cursor':7}", 0, "BAD_REQUEST" },
	{ "conversation:list", "{'cursor':'%s'}", 257, "BAD_REQUEST" },
	{ "conversation:list", "{'limit':0}", 0, "BAD_REQUEST" },
	{ "conversation:list", "{'limit':201}", 0, "BAD_REQUEST" },
	{ "conversation:list", "{'limit':'5'}", 0, "BAD_REQUEST" },
	{ "conversation:list", "{'archived':1}", 0, "BAD_REQUEST" },
	{ "conversation:list", "[]", 0, "BAD_REQUEST" },

	{ "conversation:share", "'" CONV "'", 0, "BAD_REQUEST" },
	{ "conversation:share", "{" ID ",'role':'editor'}", 0, "BAD_REQUEST" },
	{ "conversation:share", "{" ID ",'role':'editor','userId':''}", 0, "BAD_REQUEST" },
	{ "conversation:share", "{" ID ",'role':'editor','userId':7}", 0, "BAD_REQUEST" },
	{ "conversation:share", "{" ID ",'role':'editor','userId':'%s'}", 256, "BAD_REQUEST" },
	{ "conversation:share", "{" ID ",'role':'editor','userId':'a\\u0000'}", 0, "BAD_REQUEST" },
	{ "conversation:share", "{" ID ",'userId':'bob'}", 0, "BAD_REQUEST" },
	{ "conversation:share", "{" ID ",'userId':'bob','role':'owner'}", 0, "BAD_REQUEST" },
	{ "conversation:share", "{" ID ",'userId':'bob','role':['editor']}", 0, "BAD_REQUEST" },
	{ "conversation:share", "{" ID ",'userId':'bob','role':'%s'}", UNTAKEN, "BAD_REQUEST" },
	{ "conversation:unshare", "{" ID "}", 0, "BAD_REQUEST" },
	{ "conversation:unshare", "{" ID ",'userId':{}}", 0, "BAD_REQUEST" },

	{ "message:send", "'" CONV "'", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID "}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':null}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':''}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':' \\n\\t '}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':7}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':['Hi']}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':'Hi\\u0000'}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':'%s'}", 1001, "TOO_LARGE" },
	{ "message:send", "{" ID ",'content':'%s'}", UNTAKEN, "TOO_LARGE" },
	{ "message:send", "{" ID ",'content':'Hi','messageId':7}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':'Hi','messageId':'\\u0000'}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':'Hi','messageId':'%s'}", 129, "TOO_LARGE" },
	{ "message:send", "{" ID ",'content':'Hi','model':[]}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':'Hi','model':'%s'}", 101, "TOO_LARGE" },
	{ "message:send", "{" ID ",'content':'Hi','parentId':'x'}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':'Hi','parentId':7}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':'Hi','options':[]}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':'Hi','options':'{}'}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':'Hi','options':{'a':'%s'}}", 193, "TOO_LARGE" },
	{ "message:send", "{" ID ",'content':'Hi','onBusy':7}", 0, "BAD_REQUEST" },
	{ "message:send", "{" ID ",'content':'Hi','onBusy':'later'}", 0, "BAD_REQUEST" },

	{ "message:stop", "{" ID ",'streamId':'x'}", 0, "BAD_REQUEST" },
	{ "message:stop", "{" ID ",'streamId':7}", 0, "BAD_REQUEST" },

	{ "message:list", "{" ID ",'before':-1}", 0, "BAD_REQUEST" },
	{ "message:list", "{" ID ",'before':'1'}", 0, "BAD_REQUEST" },
	{ "message:list", "{" ID ",'after':1.5}", 0, "BAD_REQUEST" },
	{ "message:list", "{" ID ",'after':[]}", 0, "BAD_REQUEST" },
	{ "message:list", "{" ID ",'limit':0}", 0, "BAD_REQUEST" },
	{ "message:list", "{" ID ",'limit':201}", 0, "BAD_REQUEST" },

	{ "presence:get", "null", 0, "BAD_REQUEST" },
	{ "presence:get", "'bob'", 0, "BAD_REQUEST" },
	{ "presence:get", "{}", 0, "BAD_REQUEST" },
	{ "presence:get", "{'userIds':'bob'}", 0, "BAD_REQUEST" },
	{ "presence:get", "{'userIds':['bob',7]}", 0, "BAD_REQUEST" },
	{ "presence:get", "{'userIds':['%s']}", 256, "BAD_REQUEST" },
	{ "presence:get", "{'conversationId':'x'}", 0, "BAD_REQUEST" },
	{ "presence:subscribe", "{'conversationId':7}", 0, "BAD_REQUEST" },
	{ "presence:subscribe", "{'userIds':[null]}", 0, "BAD_REQUEST" },
};

/* A text that is the argument, with so many bytes in the place of %s. */
static const char *filled(const char *arg, size_t len)
{
	static struct strbuf sb = { .max = SIZE_MAX / 2 };
	const char *at = strstr(arg, "%s");

	strbuf_reset(&sb);
	if (!at)
		return json("%s", arg);
	strbuf_append(&sb, arg, (size_t)(at - arg));
	for (size_t i = 0; i < len; i++)
		strbuf_append_char(&sb, 'x');
	strbuf_append_str(&sb, at + 2);
	quote(&sb);
	return strbuf_cstr(&sb);
}

static void test_malformed(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
		check_fails(c, malformed[i].event, filled(malformed[i].arg, malformed[i].len),
			    malformed[i].code);
}

/* At the limit, and one that is nested as deep as JSON may be. */
static void test_largest(void **state)
{
	struct session *c = connect_and_join("alice");
	const char *deep = "{'metadata':{'a':[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
			   "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}}";
	struct strbuf sb;

	(void)state;
	ask(c, 1, "message:send", "%s", filled("{" ID ",'content':'%s'}", 1000));
	assert_int_equal(strlen(param(PARLANCE_MESSAGE_SEND, 6)), 1000);
	answer(PARLANCE_MESSAGE_SEND, "{'ok':false,'code':'BUSY'}");
	ask(c, 1, "conversation:create", "%s", filled("{'metadata':{'a':'%s'}}", 192));
	assert_int_equal(strlen(param(PARLANCE_CONVERSATION_CREATE, 5)), 200);
	answer(PARLANCE_CONVERSATION_CREATE, "{'ok':true}");
	ask(c, 1, "conversation:create", "%s", deep);
	assert_int_equal(strlen(param(PARLANCE_CONVERSATION_CREATE, 5)), strlen(deep) - 13);
	answer(PARLANCE_CONVERSATION_CREATE, "{'ok':true}");
	/* Thousands of members that are none of ours. */
	strbuf_init(&sb, SIZE_MAX / 2);
	for (size_t i = 0; i < 5000; i++)
		strbuf_printf(&sb, "%c\"k%zu\":[%zu]", i ? ',' : '{', i, i);
	strbuf_printf(&sb, ",\"conversationId\":\"%s\"}", CONV);
	say_text(c, 1, "message:list", strbuf_cstr(&sb));
	strbuf_fini(&sb);
	check_param(PARLANCE_MESSAGE_LIST, 1, CONV);
	answer(PARLANCE_MESSAGE_LIST, "{'ok':true}");
	forget(c);
	/* Deeper, it is no packet at all. */
	say_text(c, 1, "conversation:create",
		 json("{'metadata':{'a':[[[[[[[%s]]]]]]]}}",
		      "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
		      "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"));
	check_closed(c, SESSION_PARSE_ERROR);
}

/* ---- what goes to the storage ---- */

/* Each event with all it may say, and what the storage is asked; "" for what is made here. */
static const struct {
	const char *event;
	const char *arg;
	enum parlance_storage_function function;
	const char *params[10];
} asks[] = {
	{ "join:conversation",
	  "{'conversationId':'" CONV2 "','sinceSeq':5}",
	  PARLANCE_CONVERSATION_JOIN,
	  { "alice", CONV2, "5" } },
	{ "join:conversation",
	  "'22222222-2222-4222-8222-22222222AAFF'",
	  PARLANCE_CONVERSATION_JOIN,
	  { "alice", "22222222-2222-4222-8222-22222222aaff", "(null)" } },
	{ "join:conversation",
	  "{'conversationId':'" CONV2 "','sinceSeq':null}",
	  PARLANCE_CONVERSATION_JOIN,
	  { "alice", CONV2, "(null)" } },
	{ "conversation:create",
	  "{'id':'" CONV2 "','title':'T','model':'m','systemPrompt':'S','metadata':{'a':[1, 2]},"
	  "'more':1}",
	  PARLANCE_CONVERSATION_CREATE,
	  { "alice", CONV2, "T", "m", "S", "{'a':[1, 2]}", "" } },
	{ "conversation:create",
	  "null",
	  PARLANCE_CONVERSATION_CREATE,
	  { "alice", "", "(null)", "(null)", "(null)", "(null)", "" } },
	{ "conversation:update",
	  "{" ID ",'update':{'title':'T','archived':true,'metadata':{}},'version':3}",
	  PARLANCE_CONVERSATION_UPDATE,
	  { "alice", CONV, "{title,metadata,archived}", "T", "(null)", "(null)", "{}", "true", "3",
	    "" } },
	{ "conversation:update",
	  "{'id':'" CONV "','update':{'model':null,'systemPrompt':'S'},'version':null}",
	  PARLANCE_CONVERSATION_UPDATE,
	  { "alice", CONV, "{model,systemPrompt}", "(null)", "(null)", "S", "(null)", "(null)",
	    "(null)", "" } },
	{ "conversation:update",
	  "{" ID ",'update':{}}",
	  PARLANCE_CONVERSATION_UPDATE,
	  { "alice", CONV, "{}", "(null)", "(null)", "(null)", "(null)", "(null)", "(null)", "" } },
	{ "conversation:delete", "'" CONV "'", PARLANCE_CONVERSATION_DELETE, { "alice", CONV, "" } },
	{ "conversation:list",
	  "{'cursor':'c','limit':200,'archived':false}",
	  PARLANCE_CONVERSATION_LIST,
	  { "alice", "c", "200", "false" } },
	{ "conversation:list",
	  "null",
	  PARLANCE_CONVERSATION_LIST,
	  { "alice", "(null)", "50", "(null)" } },
	{ "conversation:share",
	  "{" ID ",'userId':'bob','role':'viewer'}",
	  PARLANCE_CONVERSATION_SHARE,
	  { "alice", CONV, "bob", "viewer", "" } },
	{ "conversation:unshare",
	  "{" ID ",'userId':'bob'}",
	  PARLANCE_CONVERSATION_UNSHARE,
	  { "alice", CONV, "bob", "" } },
	{ "conversation:view",
	  "{" ID "}",
	  PARLANCE_CONVERSATION_VIEW,
	  { "alice", CONV, "true", "" } },
	{ "conversation:leave_view",
	  "'" CONV "'",
	  PARLANCE_CONVERSATION_VIEW,
	  { "alice", CONV, "false", "" } },
	{ "message:stop",
	  "'" CONV "'",
	  PARLANCE_MESSAGE_STOP,
	  { "alice", CONV, "(null)", "7" } },
	{ "message:list",
	  "{" ID ",'before':9223372036854775807,'after':0,'limit':1}",
	  PARLANCE_MESSAGE_LIST,
	  { "alice", CONV, "9223372036854775807", "0", "1" } },
	{ "message:list",
	  "{" ID ",'before':null,'after':null,'limit':null}",
	  PARLANCE_MESSAGE_LIST,
	  { "alice", CONV, "(null)", "(null)", "50" } },
	{ "presence:get",
	  "{'userIds':['bob','x, {y']}",
	  PARLANCE_PRESENCE_GET,
	  { "alice", "{'bob','x, {y'}", "(null)" } },
	{ "presence:subscribe",
	  "{" ID "}",
	  PARLANCE_PRESENCE_GET,
	  { "alice", "(null)", CONV } },
};

static void test_asked(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		ask(c, 3, asks[i].event, "%s", asks[i].arg);
		for (size_t j = 0; j < ARRAY_LEN(asks[i].params) && asks[i].params[j]; j++) {
			const char *got = param(asks[i].function, j);

			if (*asks[i].params[j])
				assert_string_equal(got, json("%s", asks[i].params[j]));
			else if (j == call_of(asks[i].function)->n_params - 1)
				assert_string_equal(got, sid_of(c));
			else
				assert_true(id_is_uuid(got, strlen(got)));
		}
		assert_int_equal(call_of(asks[i].function)->timeout_ms, 5000);
		answer(asks[i].function, "{'ok':false,'code':'CONFLICT','conversation':{'n':1}}");
		check_ack(c, 3, "{'ok':false,'error':{'code':'CONFLICT','event':'%s'},"
				"'conversation':{'n':1}}", asks[i].event);
		check_silent(c);
	}
}

/* The answer is the client's, as it came. */
static void test_answered(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		if (asks[i].function == PARLANCE_CONVERSATION_JOIN ||
		    asks[i].function == PARLANCE_MESSAGE_STOP ||
		    asks[i].function == PARLANCE_PRESENCE_GET)
			continue;
		ask(c, 3, asks[i].event, "%s", asks[i].arg);
		answer(asks[i].function, "{ 'ok': true, 'n': [1, 2.50] }");
		check_sent(c, json("33[{ 'ok': true, 'n': [1, 2.50] }]"));
		/* Nobody wants to know. */
		say(c, asks[i].event, "%s", asks[i].arg);
		answer(asks[i].function, "{'ok':true}");
		check_silent(c);
	}
}

/* Whatever the storage does not do, or does not say, the client hears of it once. */
static void test_not_answered(void **state)
{
	struct session *c = connect_and_join("alice");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		const enum parlance_storage_function f = asks[i].function;

		for (int how = 0; how < 7; how++) {
			const char *code = "UNAVAILABLE";

			if (how == 6)
				plugins->refuse_call = PARLANCE_ENOMEM;
			ask(c, how % 2 ? -1 : 4, asks[i].event, "%s", asks[i].arg);
			plugins->refuse_call = 0;
			if (how < 2) {
				answer_status(f, PARLANCE_STORAGE_UNAVAILABLE);
			} else if (how == 2) {
				answer_status(f, PARLANCE_STORAGE_UNKNOWN);
			} else if (how == 3) {
				fake_call_time_out(call_of(f));
			} else if (how == 4) {
				code = "INTERNAL";
				answer_status(f, PARLANCE_STORAGE_FAILED);
			} else if (how == 5) {
				code = "INTERNAL";
				answer(f, "{'ok':false,'code':'WHAT'}");
			}
			if (how % 2)
				check_event(c, "error", "{'code':'%s','event':'%s'}", code,
					    asks[i].event);
			else
				check_refused(c, 4, code);
			check_silent(c);
			assert_int_equal(fake_calls(plugins), 0);
		}
		ask(c, 4, asks[i].event, "%s", asks[i].arg);
		answer_status(f, PARLANCE_STORAGE_UNAVAILABLE);
		check_ack(c, 4, "{'error':{'retryable':true,'retryAfterMs':1000}}");
		ask(c, 4, asks[i].event, "%s", asks[i].arg);
		answer(f, "{'ok':false,'code':'NOT_FOUND'}");
		check_refused(c, 4, "NOT_FOUND");
		check_silent(c);
	}
}

/* Nobody is there any more to be told. */
static void test_asker_gone(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(asks); i++) {
		for (int how = 0; how < 2; how++) {
			struct session *c = connect_user("alice");

			ask(c, 4, asks[i].event, "%s", asks[i].arg);
			session_close(c, SESSION_TRANSPORT_CLOSE);
			turn();
			if (how)
				answer_status(asks[i].function, PARLANCE_STORAGE_UNAVAILABLE);
			else
				answer(asks[i].function,
				       "{'ok':true,'role':'owner','seq':0,'ack':{},'streams':[]}");
			check_silent(c);
			close_sessions();
		}
	}
}

static void test_malformed_join(void **state)
{
	static const char *const answers[] = {
		"{'ok':true}",
		"{'ok':true,'role':'owner','seq':'1','ack':{}}",
		"{'ok':true,'role':'owner','seq':-1,'ack':{}}",
		"{'ok':true,'role':7,'seq':1,'ack':{}}",
		"{'ok':true,'role':'owner','seq':1}",
	};
	struct session *c = connect_user("alice");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		ask(c, 1, "join:conversation", "'%s'", CONV);
		answer(PARLANCE_CONVERSATION_JOIN, "%s", answers[i]);
		check_refused(c, 1, "INTERNAL");
		check_silent(c);
	}
	config.max_rooms = 1; /* the user's own */
	ask(c, 1, "join:conversation", "'%s'", CONV);
	answer_join("owner", 0);
	check_refused(c, 1, "RATE_LIMITED");
}

/* ---- the rest ---- */

static void test_unknown(void **state)
{
	struct session *c = connect_user("alice");
	char name[200];

	(void)state;
	check_fails(c, "conversation:explode", "{}", "UNKNOWN_EVENT");
	check_fails(c, "", "", "UNKNOWN_EVENT");
	check_fails(c, "message:sen", "{}", "UNKNOWN_EVENT");
	check_fails(c, "message:send ", "{}", "UNKNOWN_EVENT");
	check_fails(c, "error", "{}", "UNKNOWN_EVENT");
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	say_text(c, 3, name, "1");
	check_ack(c, 3, "{'ok':false,'error':{'code':'UNKNOWN_EVENT','event':''}}");
}

static void test_ping(void **state)
{
	struct session *c = connect_user("alice");

	(void)state;
	say_text(c, -1, "ping", "");
	check_event(c, "pong", "{'time':'*'}");
	ask(c, 2, "ping", "[7]");
	check_event(c, "pong", "{'time':'*'}");
	assert_int_equal(strlen(taken_text("time")), 24);
	check_ack(c, 2, "{'ok':true,'time':'*'}");
	check_silent(c);
}

/* Every event there is was tried. */
static void test_all(void **state)
{
	const char *name;

	(void)state;
	for (size_t i = 0; (name = core_event_name(i)); i++) {
		bool found = strcmp(name, "ping") == 0 ||
			     strcmp(name, "auth:refresh") == 0; /* test_core_tokens.c */

		for (size_t j = 0; j < ARRAY_LEN(of_conversation); j++)
			found |= strcmp(name, of_conversation[j]) == 0;
		for (size_t j = 0; j < ARRAY_LEN(asks); j++)
			found |= strcmp(name, asks[j].event) == 0;
		if (!found)
			fail_msg("%s is not tested", name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_no_conversation),
		core_test(test_malformed),
		core_test(test_largest),
		core_test(test_asked),
		core_test(test_answered),
		core_test(test_not_answered),
		core_test(test_asker_gone),
		core_test(test_malformed_join),
		core_test(test_unknown),
		core_test(test_ping),
		core_test(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
