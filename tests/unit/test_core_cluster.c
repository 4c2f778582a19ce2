/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * This process among others: what it says to them and how, what it makes of what they say (or
 * somebody says in their name), what its beats tell it, and the end of a database's history.
 */
#include "core_cluster_fixture.h"

#define OTHERS "[{'id':8,'address':'http://a:1'},{'id':9,'address':null}]"

static void beat_answer(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* A beat comes now, and is answered so. */
static void beat_answer(const char *fmt, ...)
{
	struct strbuf sb;
	va_list ap;

	strbuf_init(&sb, SIZE_MAX / 2);
	va_start(ap, fmt);
	strbuf_vprintf(&sb, fmt, ap);
	va_end(ap);
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	receive(0, "['b']");
	answer(PARLANCE_INSTANCE_BEAT, "%s", strbuf_cstr(&sb));
	plugins->canned[PARLANCE_INSTANCE_BEAT] = "{\"ok\":true}";
	strbuf_fini(&sb);
}

/* ---- what is sent ---- */

static void type(struct session *c, bool on)
{
	say(c, "typing:stop", "'%s'", CONV);
	if (on)
		say(c, "typing:start", "'%s'", CONV);
}

/* A typing socket, among others. */
static struct session *typist(void)
{
	struct session *c = connect_and_join("alice");

	beat_answer("{'ok':true,'epoch':'e1','instances':%s,'stops':[]}", OTHERS);
	hold_mail();
	return c;
}

static void test_outbox(void **state)
{
	struct session *c = typist();
	char t[128];

	(void)state;
	(void)snprintf(t, sizeof(t), "['t','%s','alice','%.*s'", CONV, ID_TOKEN_LEN, sid_of(c));
	type(c, true);
	check_param(PARLANCE_INSTANCE_SEND, 0, "{0}");
	/* One request at a time; all that is said meanwhile is the next one. */
	type(c, true);
	type(c, false);
	assert_int_equal(fake_calls(plugins), 1);
	check_mail_to(0, "%s,1]", t);
	check_mail_to(0, "%s,0],%s,1],%s,0]", t, t, t);
	check_no_mail();
	/* What was not taken is lost, and what follows is not held up. */
	type(c, true);
	type(c, false);
	answer_status(PARLANCE_INSTANCE_SEND, PARLANCE_STORAGE_UNAVAILABLE);
	check_mail_to(0, "%s,0]", t);
	plugins->refuse_call = PARLANCE_ENOMEM;
	type(c, true);
	plugins->refuse_call = 0;
	type(c, false);
	check_mail_to(0, "%s,0]", t);
	/* Nobody else is there: nothing is said. */
	beat_answer("{'ok':true,'epoch':'e1','instances':[],'stops':[]}");
	type(c, true);
	type(c, false);
	check_no_mail();
}

/* As many notifications as it takes, none of them too long; in order for each instance. */
static void test_outbox_large(void **state)
{
	enum { TIMES = 200 };
	struct session *c = typist();
	struct turn t = start_answer(c);
	struct json_object *all;
	size_t n = 0;

	(void)state;
	delta("Hello");
	receive(8, "['w','%s',0]", t.message);
	advance(1);
	for (int i = 0; i < TIMES; i++)
		type(c, true);
	receive(8, "['w','%s',1]", t.message);
	advance(50);
	receive(8, "['w','%s',2]", t.message);
	advance(50);
	check_mail_to(8, "['c','%s',0,5,'Hello']", t.message);
	all = take_mail();
	check_no_mail();
	assert_true(json_object_array_length(all) > 4);
	for (size_t i = 0; i < json_object_array_length(all); i++) {
		struct json_object *mail = json_object_array_get_idx(all, i);
		struct json_object *list =
		    json_object_object_get(json_object_array_get_idx(mail, 1), "m");

		for (size_t k = 0; k < json_object_array_length(list); k++) {
			struct json_object *m = json_object_array_get_idx(list, k);
			const char *kind = json_object_get_string(json_object_array_get_idx(m, 0));
			bool typing = strcmp(kind, "t") == 0;

			if (typing) /* began, ended, began, ... */
				assert_int_equal(
				    json_object_get_int(json_object_array_get_idx(m, 4)),
				    n++ % 2 == 0);
			else
				assert_int_equal(
				    json_object_get_int(json_object_array_get_idx(mail, 0)), 8);
		}
	}
	json_object_put(all);
	assert_int_equal(n, 2 * TIMES - 1);
	type(c, false);
	json_object_put(take_mail());
	end_answer(PARLANCE_FINISH_STOP);
	settle(&t, "complete", "stop");
}

/* While the storage does not take it, what waits is bounded. */
static void test_outbox_bounded(void **state)
{
	const size_t most = (size_t)16 << 20;
	struct session *c = typist();
	struct turn t = start_answer(c);
	size_t text = (size_t)1 << 20;
	char *long_text = malloc(text + 1);
	size_t before = 0;
	bool dropped = false;

	(void)state;
	assert_non_null(long_text);
	memset(long_text, 'x', text);
	long_text[text] = '\0';
	delta(long_text);
	free(long_text);
	for (int i = 0; i < 40; i++) {
		receive(8, "['w','%s',0]", t.message);
		advance(50);
		assert_true(core->outbox_bytes <= most + PAYLOAD_MAX);
		dropped = dropped || core->outbox_bytes < before;
		before = core->outbox_bytes;
	}
	assert_true(dropped);
	assert_int_equal(fake_calls(plugins), 1);
	receive(8, "['u','%s']", t.message);
	/* It goes on with what is left, in requests that are not too large either. */
	for (int i = 0; fake_call_find(plugins, PARLANCE_INSTANCE_SEND); i++) {
		struct json_object *all = take_mail();

		assert_true(json_object_array_length(all) <= 1000 && i < 10);
		json_object_put(all);
	}
	assert_int_equal(core->outbox_bytes, 0);
	type(c, true);
	json_object_put(take_mail());
	type(c, false);
	json_object_put(take_mail());
	end_answer(PARLANCE_FINISH_STOP);
	settle(&t, "complete", "stop");
}

static void on_stopped(void *arg)
{
	assert_null(arg);
}

/* Who has no number has nobody to talk to, nor who is about to end. */
static void test_outbox_nobody(void **state)
{
	struct session *c = typist();

	(void)state;
	beat_answer("{'ok':false}");
	type(c, true);
	type(c, false);
	check_no_mail();
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':8}");
	type(c, true);
	check_mail("[[0,{'f':8,'m':[['t','%s','alice','%s',1]]}]]", CONV, sid_of(c));
	core_stop(core, on_stopped, NULL);
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	check_no_mail();
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	receive(0, "['b']");
	check_not_called(PARLANCE_INSTANCE_BEAT);
	answer(PARLANCE_INSTANCE_RETIRE, NOTHING);
}

/* ---- what is received ---- */

static void test_payloads(void **state)
{
	static const struct {
		const char *text;
		bool heard;
	} cases[] = {
		{ "", false },
		{ "x", false },
		{ "{", false },
		{ "7", false },
		{ "[]", false },
		{ "[['b']]", false },
		{ "{'m':[['b']]}", false },
		{ "{'f':null,'m':[['b']]}", false },
		{ "{'f':'8','m':[['b']]}", false },
		{ "{'f':8.5,'m':[['b']]}", false },
		{ "{'f':-1,'m':[['b']]}", false },
		{ "{'f':9223372036854775808,'m':[['b']]}", false },
		{ "{'f':7,'m':[['b']]}", false }, /* our own */
		{ "{'f':8,'m':[['b']]", false },
		{ "{'f':8,'m':[['b']]}}", false },
		{ "{'f':8}", false },
		{ "{'f':8,'m':['b']}", false },
		{ "{'f':8,'m':{'0':['b']}}", false },
		{ "{'f':8,'m':[[],[7],[['b']],[null,'b'],['B'],['bb'],['b\\u0000'],['']]}", false },
		{ "{'f':8,'m':[['b']],'m':7}", false },
		{ "{'f':8,'m':[['b']]}", true },
		{ "{'f':0,'m':[['b']]}", true },
		{ "{'f':9223372036854775807,'m':[['b']]}", true },
		{ "{ 'x' : 1 , 'm' : [ [ 'b' ] ] , 'f' : 8 } ", true },
		{ "{'f':8,'m':[[],7,['x',['b']],['c'],['b',1,2]]}", true },
	};
	struct strbuf many;

	(void)state;
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fake_storage_message(plugins, json("%s", cases[i].text));
		if (cases[i].heard)
			answer(PARLANCE_INSTANCE_BEAT, NOTHING);
		else
			check_not_called(PARLANCE_INSTANCE_BEAT);
	}
	/* No payload has so many messages, and no message so many arguments. */
	for (int i = 0; i < 2; i++) {
		strbuf_init(&many, SIZE_MAX / 2);
		strbuf_append_str(&many, i ? "{\"f\":8,\"m\":[[\"b\"" : "{\"f\":8,\"m\":[[\"b\"]");
		for (int k = 0; k < 4096; k++)
			strbuf_append_str(&many, i ? ",1" : ",[1]");
		strbuf_append_str(&many, i ? "]]}" : "]}");
		fake_storage_message(plugins, strbuf_cstr(&many));
		check_not_called(PARLANCE_INSTANCE_BEAT);
		strbuf_fini(&many);
	}
}

/* ---- beats ---- */

/* One at a time; who is told that there is something to hear while one is under way asks again. */
static void test_beat_again(void **state)
{
	(void)state;
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	receive(0, "['b']");
	receive(0, "['b'],['b']");
	receive(9, "['b']");
	assert_int_equal(fake_calls(plugins), 1);
	answer(PARLANCE_INSTANCE_BEAT, NOTHING);
	answer(PARLANCE_INSTANCE_BEAT, NOTHING);
	check_not_called(PARLANCE_INSTANCE_BEAT);
	/* Not taken: the next one comes in its time. */
	plugins->refuse_call = PARLANCE_ENOMEM;
	receive(0, "['b']");
	plugins->refuse_call = 0;
	advance(3000);
	answer(PARLANCE_INSTANCE_BEAT, NOTHING);
}

/* A beat of the number that was lost says nothing of the one that there is now. */
static void test_beat_of_old_number(void **state)
{
	struct session *c = connect_and_join("alice");
	struct turn t;

	(void)state;
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	receive(0, "['b'],['b']");
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':false}");
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':8}");
	advance(1);
	t = start_answer(c);
	while (fake_call_find(plugins, PARLANCE_INSTANCE_BEAT))
		answer(PARLANCE_INSTANCE_BEAT, "{'ok':%s}",
		       strcmp(param(PARLANCE_INSTANCE_BEAT, 0), "7") == 0 ? "false" : "true");
	assert_int_equal(plugins->instance, 8);
	check_state(&t, GENERATION_RUNNING);
	check_not_called(PARLANCE_INSTANCE_REGISTER);
	end_answer(PARLANCE_FINISH_STOP);
	answer(PARLANCE_GENERATION_FINISH, "{'ok':false,'code':'FENCED'}");
}

/* Who was away himself, or cannot tell whether he is, cannot tell who else was. */
static void test_reap_waits(void **state)
{
	(void)state;
	plugins->canned[PARLANCE_INSTANCE_REAP] = NULL;
	advance(10000);
	answer(PARLANCE_INSTANCE_REAP, NOTHING);
	/* A beat that is not answered. */
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	advance(3000);
	call_of(PARLANCE_INSTANCE_BEAT);
	if (fake_call_find(plugins, PARLANCE_INSTANCE_REAP))
		answer(PARLANCE_INSTANCE_REAP, NOTHING);
	advance(20000);
	check_not_called(PARLANCE_INSTANCE_REAP);
	plugins->canned[PARLANCE_INSTANCE_BEAT] = "{\"ok\":true}";
	answer(PARLANCE_INSTANCE_BEAT, NOTHING);
	advance(5999);
	check_not_called(PARLANCE_INSTANCE_REAP);
	advance(2501);
	answer(PARLANCE_INSTANCE_REAP, NOTHING);
	/* And one that says that the lease was lost. */
	beat_answer("{'ok':false}");
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':8}");
	advance(5999);
	check_not_called(PARLANCE_INSTANCE_REAP);
	advance(2502);
	answer(PARLANCE_INSTANCE_REAP, NOTHING);
}

/* ---- who is there ---- */

static uint64_t registered_as;
static char secret[32];
static struct core_peer peers[4];
static char addresses[4][32];
static size_t n_peers;

static void on_registered(void *arg, uint64_t number, struct slice text)
{
	assert_ptr_equal(arg, peers);
	registered_as = number;
	(void)snprintf(secret, sizeof(secret), "%.*s", (int)text.len, text.p);
}

static void on_peers(void *arg, const struct core_peer *list, size_t n)
{
	assert_ptr_equal(arg, peers);
	assert_true(n <= ARRAY_LEN(peers));
	n_peers = n;
	for (size_t i = 0; i < n; i++) {
		peers[i].number = list[i].number;
		(void)snprintf(addresses[i], sizeof(addresses[i]), "%s", list[i].address);
	}
}

static void test_peers(void **state)
{
	static const struct core_cluster_ops cluster_ops = { .registered = on_registered,
							     .peers = on_peers };

	(void)state;
	core_set_cluster(core, &cluster_ops, peers);
	n_peers = 4;
	beat_answer("{'ok':true,'instances':[]}");
	assert_int_equal(n_peers, 0);
	beat_answer("{'ok':true,'instances':[{'id':8,'address':'http://a:1'},"
		    "{'id':9,'address':null},{'id':0,'address':'b'},{'id':-1,'address':'c'},{'id':'x','address':'d'},7,"
		    "{'address':'e'},{'id':10,'address':''},{'id':11,'address':'[::1]:2'}]}");
	assert_int_equal(n_peers, 2);
	assert_int_equal(peers[0].number, 8);
	assert_string_equal(addresses[0], "http://a:1");
	assert_int_equal(peers[1].number, 11);
	assert_string_equal(addresses[1], "[::1]:2");
	/* What is no list changes nothing. */
	beat_answer("{'ok':true,'instances':{}}");
	beat_answer("{'ok':true}");
	assert_int_equal(n_peers, 2);
	beat_answer("{'ok':false}");
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':12,'secret':'s3'}");
	assert_int_equal(registered_as, 12);
	assert_string_equal(secret, "s3");
}

/* ---- another history ---- */

static void check_new_history(struct session *a, struct session *b, const struct turn *t)
{
	check_closed(a, SESSION_FORCED_CLOSE);
	check_closed(b, SESSION_FORCED_CLOSE);
	check_over(t);
	assert_int_equal(plugins->instance, 0);
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':%d}", INSTANCE);
	assert_int_equal(plugins->instance, INSTANCE);
}

/* Another tab of alice's comes; the storage answers in this epoch. */
static struct session *connect_in(const char *epoch)
{
	struct session *c = open_session();

	fake_session_text(c, "0{\"token\":\"t\"}");
	fake_verification_accept(fake_verification_find(plugins), "alice", 0);
	answer(PARLANCE_SESSION_OPEN,
	       "{'ok':true,'room':'%s','seq':0,'epoch':'%s','socket':'socket-in-epoch-%06u',"
	       "'recovered':false,'streams':[]}",
	       ALICE_ROOM, epoch, ++sockets_named);
	return c;
}

/* A standby took over, or a backup was restored: what clients have seen may not be there. */
static void test_epoch(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_user("bob");
	struct session *c;
	struct turn t = start_answer(a);

	(void)state;
	/* As before, or nothing that could be one. */
	beat_answer("{'ok':true,'epoch':'e1'}");
	beat_answer("{'ok':true,'epoch':null}");
	beat_answer("{'ok':true,'epoch':7}");
	beat_answer("{'ok':true,'epoch':'12345678901234567'}");
	assert_false(a->closed);
	beat_answer("{'ok':true,'epoch':'e2'}");
	check_new_history(a, b, &t);
	/* Who comes now is of the new one. */
	plugins->canned[PARLANCE_INSTANCE_BEAT] = "{\"ok\":true,\"epoch\":\"e2\"}";
	c = connect_in("e2");
	check_ready(c, "alice");
	assert_false(c->closed);
	/* And it may be one of them who tells of the next. */
	join(c);
	t = start_answer(c);
	a = connect_in("e3");
	check_new_history(c, c, &t);
	check_ready(a, "alice");
	plugins->canned[PARLANCE_INSTANCE_BEAT] = "{\"ok\":true,\"epoch\":\"e3\"}";
	advance(3000);
	assert_false(a->closed);
}

/* It is told by a session while a beat is under way, of the number that is lost with it. */
static void test_epoch_while_beating(void **state)
{
	struct session *c;

	(void)state;
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	receive(0, "['b']");
	c = connect_in("e2");
	check_ready(c, "alice");
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':8}");
	advance(1);
	check_param(PARLANCE_INSTANCE_BEAT, 0, "7");
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':false}");
	assert_int_equal(plugins->instance, 8);
	check_not_called(PARLANCE_INSTANCE_REGISTER);
	check_param(PARLANCE_INSTANCE_BEAT, 0, "8");
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':true,'epoch':'e2'}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_outbox),
		core_test(test_outbox_large),
		core_test(test_outbox_bounded),
		core_test(test_outbox_nobody),
		core_test(test_payloads),
		core_test(test_beat_again),
		core_test(test_beat_of_old_number),
		core_test(test_reap_waits),
		core_test(test_peers),
		core_test(test_epoch),
		core_test(test_epoch_while_beating),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
