/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Many instances, as one of them sees it: presence, its number, and messages of the others. */
#include "core_answer_fixture.h"

/* Another instance's answer. */
#define STARTED "{'conversationId':'%s','assistantMessageId':'%s','streamId':'%s'}"
#define ANSWER "33333333-3333-4333-8333-333333333333"
#define STREAM "44444444-4444-4444-8444-444444444444"

/* ---- presence ---- */

/* The request is answered, and the next one asked for. */
static void check_sync(const char *gone, const char *changed)
{
	check_param(PARLANCE_PRESENCE_SYNC, 4, gone);
	check_param(PARLANCE_PRESENCE_SYNC, 5, changed);
}

/* What the storage has not taken is told again, with what came since. */
static void test_presence_is_told_again(void **state)
{
	struct session *a = connect_user("alice");
	struct session *b = connect_user("bob");
	struct session *c = connect_user("carol");

	(void)state;
	plugins->canned[PARLANCE_PRESENCE_SYNC] = NULL;
	advance(100);
	check_sync("{}", "{\"alice\",\"bob\",\"carol\"}");
	answer(PARLANCE_PRESENCE_SYNC, NOTHING);
	session_close(a, SESSION_SERVER_SHUTDOWN);
	advance(100);
	check_sync(json("{'%s'}", sid_of(a)), "{\"alice\"}");
	check_param(PARLANCE_PRESENCE_SYNC, 1, "{}");
	session_close(b, SESSION_SERVER_SHUTDOWN);
	turn();
	fake_call_fail(call_of(PARLANCE_PRESENCE_SYNC), PARLANCE_STORAGE_UNKNOWN);
	advance(999);
	check_not_called(PARLANCE_PRESENCE_SYNC);
	advance(1);
	check_sync(json("{'%s','%s'}", sid_of(a), sid_of(b)), "{\"alice\",\"bob\"}");
	check_param(PARLANCE_PRESENCE_SYNC, 1, json("{'%s'}", sid_of(c)));
	/* Of no instance: nothing was written. */
	answer(PARLANCE_PRESENCE_SYNC, "{'ok':false,'code':'FENCED'}");
	plugins->refuse_call = PARLANCE_ENOMEM;
	advance(1000);
	plugins->refuse_call = 0;
	check_not_called(PARLANCE_PRESENCE_SYNC);
	advance(1000);
	check_sync(json("{'%s','%s'}", sid_of(a), sid_of(b)), "{\"alice\",\"bob\"}");
	answer(PARLANCE_PRESENCE_SYNC, NOTHING);
	advance(1000);
	check_not_called(PARLANCE_PRESENCE_SYNC);
}

/* A crash of the server empties the table, and may be over before the lease runs out. */
static void test_presence_after_crash(void **state)
{
	struct session *c = connect_user("alice");

	(void)state;
	advance(100);
	plugins->canned[PARLANCE_PRESENCE_SYNC] = NULL;
	fake_storage_feed(plugins, false);
	advance(1000);
	check_not_called(PARLANCE_PRESENCE_SYNC);
	fake_storage_feed(plugins, true);
	advance(100);
	check_param(PARLANCE_PRESENCE_SYNC, 1, json("{'%s'}", sid_of(c)));
	answer(PARLANCE_PRESENCE_SYNC, NOTHING);
	plugins->canned[PARLANCE_PRESENCE_SYNC] = "{\"ok\":true}";
}

static void subscribe(struct session *c, const char *users, const char *online)
{
	ask(c, 1, "presence:subscribe", "{'conversationId':'%s'}", CONV);
	answer(PARLANCE_PRESENCE_GET, "{'ok':true,'ack':{'ok':true,'online':[%s]},'users':[%s]}",
	       online, users);
}

/* Something may have changed of these users; then the storage says who of them is online. */
static void change(const char *users, const char *online)
{
	fake_storage_message(plugins, json("{'f':0,'m':[['p',%s]]}", users));
	answer(PARLANCE_PRESENCE_ONLINE, "{'ok':true,'online':[%s]}", online);
}

static void test_presence_is_watched(void **state)
{
	struct session *a = connect_user("alice");
	struct session *b = connect_user("bob");

	(void)state;
	plugins->canned[PARLANCE_PRESENCE_ONLINE] = NULL;
	subscribe(a, "'alice','carol','dave'", "'alice'");
	check_ack(a, 1, "{'ok':true,'online':['alice']}");
	/* Twice is once; an answer that differs from what others were told may be the older one. */
	subscribe(a, "'carol'", "'carol'");
	check_ack(a, 1, "{'ok':true,'online':['carol']}");
	check_event(a, "presence:update", "{'userId':'carol','online':false}");
	subscribe(b, "'carol','erin','carol'", "'erin'");
	check_ack(b, 1, "{'ok':true,'online':['erin']}");
	change("'carol','dave','erin','nobody'", "'carol','erin','nobody'");
	check_event(a, "presence:update", "{'userId':'carol','online':true}");
	check_event(b, "presence:update", "{'userId':'carol','online':true}");
	check_silent(a);
	check_silent(b);
	change("'carol','dave'", "'dave'");
	check_event(b, "presence:update", "{'userId':'carol','online':false}");
	change("'erin'", "");
	check_event(b, "presence:update", "{'userId':'erin','online':false}");
	check_silent(b);
	forget(a);
	/* Not known is not gone; it is looked at again. */
	fake_storage_message(plugins, json("{'f':0,'m':[['p','dave']]}"));
	answer_status(PARLANCE_PRESENCE_ONLINE, PARLANCE_STORAGE_UNAVAILABLE);
	check_silent(a);
	change("'erin'", "");
	check_event(a, "presence:update", "{'userId':'dave','online':false}");
	plugins->canned[PARLANCE_PRESENCE_ONLINE] = "{\"ok\":true,\"online\":[]}";
}

/* Who cannot be watched is not said to be. */
static void test_presence_of_too_many(void **state)
{
	struct session *c = connect_user("alice");
	struct strbuf users;

	(void)state;
	strbuf_init(&users, SIZE_MAX / 2);
	for (size_t i = 0; i <= 1000; i++)
		strbuf_printf(&users, "%s'user-%zu'", i ? "," : "", i);
	subscribe(c, strbuf_cstr(&users), "'user-1'");
	check_refused(c, 1, "RATE_LIMITED");
	strbuf_fini(&users);
}

/* ---- clients that come back ---- */

#define PID_TOKEN "pidpidpidpidpidpidpid1"
#define PID PID_TOKEN ":e1.0"
#define TAG "ERERERERQRGBEREREREREQ"  /* CONV */
#define TAG2 "IiIiIiIiQiKCIiIiIiIiIg" /* CONV2 */

/* A client that stood there in its rooms, while the storage is asked what it missed. */
static struct session *come_back(const char *user, const char *offset)
{
	struct session *c = open_session();

	chat.recovery_window_s = 60;
	fake_session_text(c, json("0{'token':'t','pid':'%s','offset':'%s'}", PID, offset));
	fake_verification_accept(fake_verification_find(plugins), user, 0);
	check_param(PARLANCE_SESSION_OPEN, 1, PID_TOKEN);
	return c;
}

static void check_back(struct session *c)
{
	struct fake_message *m = fake_session_take(c); /* CONNECT */

	assert_non_null(m);
	fake_message_free(&m);
	check_event(c, "session:ready", "{'recovered':true}");
}

/* What runs is asked before the events that follow are known. */
static void test_recovery_hears_what_ended(void **state)
{
	struct session *other = connect_and_join("bob");
	struct session *c;

	(void)state;
	next_event("message.started", STARTED, CONV, ANSWER, STREAM);
	c = come_back("alice", "e1.0." TAG "~0");
	next_event("message.finished",
		   "{'assistantMessage':{'id':'%s','status':'complete','content':''},"
		   "'streamId':'%s'}",
		   ANSWER, STREAM);
	forget(other);
	plugins->canned[PARLANCE_INSTANCE_SEND] = NULL;
	answer(PARLANCE_SESSION_OPEN,
	       "{'ok':true,'room':'%s','seq':0,'epoch':'e1','socket':'socket-of-alice-000001',"
	       "'recovered':true,'rooms':[{'id':'%s','role':'','seq':0,'events':[]},"
	       "{'id':'%s','role':'owner','seq':1,'events':[%s],'activeStream':" STARTED "}],"
	       "'streams':[]}",
	       ALICE_ROOM, ALICE_ROOM, CONV,
	       event_of(NULL, CONV, 1, "message.started", json(STARTED, CONV, ANSWER, STREAM)),
	       CONV, ANSWER, STREAM);
	check_back(c);
	check_event(c, "ai:typing:start", "{'streamId':'%s'}", STREAM);
	check_event(c, "ai:typing:stop", "{'streamId':'%s'}", STREAM);
	check_event(c, "message:complete", "{'streamId':'%s'}", STREAM);
	/* Nobody is asked for it. */
	advance(10000);
	check_not_called(PARLANCE_INSTANCE_SEND);
}

/* While another room is waited for. */
static void test_recovery_hears_what_began(void **state)
{
	struct session *other = connect_user("bob");
	struct session *c;

	(void)state;
	ask(other, 900, "join:conversation", "'%s'", CONV2);
	answer(PARLANCE_CONVERSATION_JOIN,
	       "{'ok':true,'role':'owner','seq':0,'ack':{'ok':true,'conversation':{'id':'%s'}}}",
	       CONV2);
	c = come_back("alice", "e1.0." TAG "~0." TAG2 "~0");
	answer(PARLANCE_SESSION_OPEN,
	       "{'ok':true,'room':'%s','seq':0,'epoch':'e1','socket':'socket-of-alice-000001',"
	       "'recovered':true,'rooms':[{'id':'%s','role':'','seq':0,'events':[]},"
	       "{'id':'%s','role':'owner','seq':0,'events':[]},"
	       "{'id':'%s','role':'owner','seq':1,'events':[%s]}],'streams':[]}",
	       ALICE_ROOM, ALICE_ROOM, CONV, CONV2,
	       event_of(NULL, CONV2, 1, "published", "{'event':'app:x','data':{}}"));
	call_of(PARLANCE_FEED_REPLAY);
	next_event("message.started", STARTED, CONV, ANSWER, STREAM);
	plugins->canned[PARLANCE_INSTANCE_SEND] = NULL;
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'head':1,'pruned':false,'events':[%s]}",
	       event_of(NULL, CONV2, 1, "published", "{'event':'app:x','data':{}}"));
	check_back(c);
	check_event(c, "ai:typing:start", "{'streamId':'%s'}", STREAM);
	assert_non_null(strstr(param(PARLANCE_INSTANCE_SEND, 1),
			       "[\\\"w\\\",\\\"" ANSWER "\\\",0]"));
	answer(PARLANCE_INSTANCE_SEND, NOTHING);
	plugins->canned[PARLANCE_INSTANCE_SEND] = "{\"ok\":true}";
	check_event(c, "app:x", "{}");
	/* A piece shows it. */
	fake_storage_message(plugins,
			     json("{'f':8,'m':[['c','%s',0,5,'Hello']]}", ANSWER));
	check_event(c, "message:snapshot", "{'content':'Hello'}");
}

/* ---- answers whose message goes ---- */

/* The next event of CONV, as the log has it. */
static const char *next_about(const char *message, const char *type, const char *body)
{
	return json("{'r':'%s','k':'c','s':%" PRId64
		    ",'t':'%s','c':'%s','i':'%s','o':null,'u':null,'b':%s}",
		    CONV, ++conv_seq, type, CONV, message, body);
}

static void tell_deleted(const char *message)
{
	const char *event = next_about(message, "message.deleted", "{'conversationId':'c'}");

	tell(CONV, conv_seq, "message.deleted", event);
}

/* Somebody deletes the message in mid-answer: nothing is told of the answer any more. */
static void test_message_deleted(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn ours = start_answer(c);

	(void)state;
	tell_deleted(ours.message);
	check_over(&ours);
	assert_null(fake_answer_find(plugins));
	/* One of another instance. */
	next_event("message.started", STARTED, CONV, ANSWER, STREAM);
	turn();
	tell_deleted(ANSWER);
	plugins->canned[PARLANCE_INSTANCE_SEND] = NULL;
	advance(6000);
	check_not_called(PARLANCE_INSTANCE_SEND);
	plugins->canned[PARLANCE_INSTANCE_SEND] = "{\"ok\":true}";
}

/* It ended, and was deleted before its end was read from the log. */
static void test_message_gone_at_its_end(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn ours = start_answer(c);
	const char *event;

	(void)state;
	end_answer(PARLANCE_FINISH_STOP);
	answer(PARLANCE_GENERATION_FINISH, NOTHING);
	check_state(&ours, GENERATION_FINISHED);
	event = next_about(ours.message, "message.finished", "null");
	fake_storage_event(plugins, CONV, conv_seq, "message.finished", NULL);
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'head':%" PRId64 ",'pruned':false,'events':[%s]}",
	       conv_seq, event);
	check_over(&ours);
}

/* ---- its number ---- */

/* What is said of a number that it had says nothing of the one that it has. */
static void test_beat_of_old_number(void **state)
{
	(void)state;
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	advance(3000);
	call_of(PARLANCE_INSTANCE_BEAT);
	fake_storage_message(plugins, "{\"f\":0,\"m\":[[\"b\"]]}");
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':false}");
	check_param(PARLANCE_INSTANCE_BEAT, 0, "7"); /* another was wanted meanwhile */
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':8}");
	assert_int_equal(plugins->instance, 8);
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':false}");
	assert_int_equal(plugins->instance, 8);
	/* The new number's are heard. */
	advance(3000);
	check_param(PARLANCE_INSTANCE_BEAT, 0, "8");
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':false}");
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':9}");
	assert_int_equal(plugins->instance, 9);
}

/* Another server took over, which lacks what rooms have heard already: their positions are read
 * again, also of a room in which a client is on its way in. */
static void test_another_history(void **state)
{
	struct session *old;
	struct session *waits;
	struct session *c;

	(void)state;
	session_seq = 50;
	old = connect_user("alice");
	/* This one waits for an event of the old history. */
	waits = open_session();
	fake_session_text(waits, "0{\"token\":\"t\"}");
	fake_verification_accept(fake_verification_find(plugins), "alice", 0);
	session_seq = 51;
	answer_session("alice");
	call_of(PARLANCE_FEED_REPLAY);
	c = open_session();
	fake_session_text(c, "0{\"token\":\"t\"}");
	fake_verification_accept(fake_verification_find(plugins), "alice", 0);
	answer(PARLANCE_SESSION_OPEN,
	       "{'ok':true,'room':'%s','seq':40,'epoch':'e2','socket':'socket-of-alice-000001',"
	       "'recovered':false,'streams':[]}",
	       ALICE_ROOM);
	check_closed(old, SESSION_FORCED_CLOSE);
	check_closed(waits, SESSION_FORCED_CLOSE);
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':8}");
	plugins->canned[PARLANCE_INSTANCE_BEAT] =
	    "{\"ok\":true,\"epoch\":\"e2\",\"instances\":[],\"stops\":[]}";
	check_ready(c, "alice");
	/* What the old server had to say is of no use. */
	answer(PARLANCE_FEED_REPLAY, "{'ok':true,'head':51,'pruned':true,'events':[]}");
	feed(ALICE_ROOM, 41, "published", "{'event':'app:x','data':{}}");
	check_event(c, "app:x", "{}");
}

/* ---- draining ---- */

static void on_drained(void *arg)
{
	*(bool *)arg = true;
}

/* Who is on his way in when the others are let go is let go as well. */
static void test_drain_while_coming_in(void **state)
{
	struct session *here = connect_user("alice");
	struct session *coming = open_session();
	bool done = false;

	(void)state;
	fake_session_text(coming, "0{\"token\":\"t\"}");
	fake_verification_accept(fake_verification_find(plugins), "bob", 0);
	core_drain(core, on_drained, &done);
	check_event(here, "server:draining", "{'reason':'restart'}");
	advance(1);
	check_closed(here, SESSION_FORCED_CLOSE);
	assert_true(done);
	answer_session("bob");
	check_closed(coming, SESSION_FORCED_CLOSE);
	check_silent(coming);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_message_deleted),
		core_test(test_message_gone_at_its_end),
		core_test(test_beat_of_old_number),
		core_test(test_another_history),
		core_test(test_drain_while_coming_in),
		core_test(test_recovery_hears_what_ended),
		core_test(test_recovery_hears_what_began),
		core_test(test_presence_is_told_again),
		core_test(test_presence_after_crash),
		core_test(test_presence_is_watched),
		core_test(test_presence_of_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
