/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Presence: what is written of the sockets here, which is how they are and outlives failures; and
 * what those hear who watch.
 */
#include "core_cluster_fixture.h"

#define WATCH_MAX 1000 /* users that a socket watches */

/* ---- what is written ---- */

/** One request says this; it is not answered. */
static void check_sync(const char *sockets, const char *users, const char *rooms, const char *gone,
		       const char *changed)
{
	check_param(PARLANCE_PRESENCE_SYNC, 1, sockets);
	check_param(PARLANCE_PRESENCE_SYNC, 2, users);
	check_param(PARLANCE_PRESENCE_SYNC, 3, rooms);
	check_param(PARLANCE_PRESENCE_SYNC, 4, gone);
	check_param(PARLANCE_PRESENCE_SYNC, 5, changed);
}

static void sync_done(void)
{
	answer(PARLANCE_PRESENCE_SYNC, NOTHING);
}

static void hold_syncs(void)
{
	plugins->canned[PARLANCE_PRESENCE_SYNC] = NULL;
}

static void release_syncs(void)
{
	plugins->canned[PARLANCE_PRESENCE_SYNC] = "{\"ok\":true}";
	if (fake_call_find(plugins, PARLANCE_PRESENCE_SYNC))
		sync_done();
}

/* What happens within a while is one request, and another one while that is under way. */
static void test_sync(void **state)
{
	struct session *a;
	struct session *tab;
	struct session *b;
	char sid[3][ID_TOKEN_LEN + 1];

	(void)state;
	hold_syncs();
	a = connect_and_join("alice");
	tab = connect_user("alice");
	advance(99);
	check_not_called(PARLANCE_PRESENCE_SYNC);
	advance(1);
	check_param(PARLANCE_PRESENCE_SYNC, 0, "7");
	check_sync(json("{'%s','%s'}", sid_of(a), sid_of(tab)), "{\"alice\",\"alice\"}",
		   "{\"{" CONV "}\",\"{}\"}", "{}", "{\"alice\"}");
	b = connect_user("b{o,b");
	ask(tab, 1, "join:conversation", "'%s'", CONV2);
	answer_join("owner", 0);
	forget(tab);
	join(tab);
	memcpy(sid[0], sid_of(a), sizeof(sid[0]));
	session_close(a, SESSION_TRANSPORT_CLOSE);
	advance(10000);
	assert_int_equal(fake_calls(plugins), 1);
	sync_done();
	advance(100);
	check_sync(json("{'%s','%s'}", sid_of(b), sid_of(tab)), "{\"b{o,b\",\"alice\"}",
		   "{\"{}\",\"{" CONV2 "," CONV "}\"}", json("{'%s'}", sid[0]),
		   "{\"b{o,b\"}");
	sync_done();
	advance(10000);
	check_not_called(PARLANCE_PRESENCE_SYNC);
	/* The last socket of a user; and one that came and went. */
	memcpy(sid[1], sid_of(tab), sizeof(sid[1]));
	session_close(tab, SESSION_TRANSPORT_CLOSE);
	turn();
	a = connect_user("carol");
	memcpy(sid[2], sid_of(a), sizeof(sid[2]));
	session_close(a, SESSION_TRANSPORT_CLOSE);
	advance(100);
	check_sync("{}", "{}", "{}", json("{'%s','%s'}", sid[1], sid[2]),
		   "{\"alice\",\"carol\",\"carol\"}");
	release_syncs();
}

/* What was not written is written later: who is there, and who is not any more. */
static void test_sync_fails(void **state)
{
	struct session *a = connect_user("alice");
	struct session *b = connect_user("bob");
	char gone[2][ID_TOKEN_LEN + 1];

	(void)state;
	advance(1000);
	hold_syncs();
	memcpy(gone[0], sid_of(b), sizeof(gone[0]));
	session_close(b, SESSION_TRANSPORT_CLOSE);
	advance(100);
	check_sync("{}", "{}", "{}", json("{'%s'}", gone[0]), "{\"bob\"}");
	b = connect_user("carol");
	memcpy(gone[1], sid_of(b), sizeof(gone[1]));
	session_close(b, SESSION_TRANSPORT_CLOSE);
	turn();
	answer_status(PARLANCE_PRESENCE_SYNC, PARLANCE_STORAGE_UNAVAILABLE);
	advance(999);
	check_not_called(PARLANCE_PRESENCE_SYNC);
	advance(1);
	check_sync(json("{'%s'}", sid_of(a)), "{\"alice\"}", "{\"{}\"}",
		   json("{'%s','%s'}", gone[0], gone[1]), "{\"bob\",\"carol\",\"carol\"}");
	fake_call_time_out(call_of(PARLANCE_PRESENCE_SYNC));
	turn();
	/* Nor is it taken. */
	plugins->refuse_call = PARLANCE_ENOMEM;
	advance(1000);
	plugins->refuse_call = 0;
	advance(1000);
	check_sync(json("{'%s'}", sid_of(a)), "{\"alice\"}", "{\"{}\"}",
		   json("{'%s','%s'}", gone[0], gone[1]), "{\"bob\",\"carol\",\"carol\"}");
	release_syncs();
	hold_syncs();
	advance(10000);
	check_not_called(PARLANCE_PRESENCE_SYNC);
	release_syncs();
}

/* Under a new number nothing of it is there; without one nothing is written. */
static void test_sync_restarts(void **state)
{
	struct session *a = connect_and_join("alice");
	struct session *b = connect_user("bob");

	(void)state;
	advance(1000);
	hold_syncs();
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	advance(3000);
	answer(PARLANCE_INSTANCE_BEAT, "{'ok':false}");
	plugins->canned[PARLANCE_INSTANCE_BEAT] = "{\"ok\":true}";
	session_close(b, SESSION_TRANSPORT_CLOSE);
	advance(10000);
	check_not_called(PARLANCE_PRESENCE_SYNC);
	answer(PARLANCE_INSTANCE_REGISTER, "{'ok':true,'id':8}");
	advance(100);
	check_param(PARLANCE_PRESENCE_SYNC, 0, "8");
	check_param(PARLANCE_PRESENCE_SYNC, 1, json("{'%s'}", sid_of(a)));
	check_param(PARLANCE_PRESENCE_SYNC, 3, "{\"{" CONV "}\"}");
	release_syncs();
}

/* ---- who watches ---- */

static void answer_get(const char *users, const char *online)
{
	answer(PARLANCE_PRESENCE_GET, "{'ok':true,'ack':{'ok':true,'online':%s},'users':%s}",
	       online, users);
}

static void subscribe(struct session *c, const char *users, const char *online)
{
	ask(c, 1, "presence:subscribe", "{'userIds':%s}", users);
	answer_get(users, online);
	check_ack(c, 1, "{'ok':true,'online':%s}", online);
}

static void hold_looks(void)
{
	plugins->canned[PARLANCE_PRESENCE_ONLINE] = NULL;
}

static void check_look(const char *users, const char *online)
{
	check_param(PARLANCE_PRESENCE_ONLINE, 0, users);
	answer(PARLANCE_PRESENCE_ONLINE, "{'ok':true,'online':%s}", online);
}

static void test_get(void **state)
{
	struct session *c = connect_user("alice");

	(void)state;
	ask(c, 1, "presence:get", "{'userIds':['bob','carol']}");
	answer_get("['bob']", "['bob']");
	check_ack(c, 1, "{'ok':true,'online':['bob']}");
	hold_looks();
	receive(0, "['p','bob']");
	check_not_called(PARLANCE_PRESENCE_ONLINE); /* it watches nobody */
}

static void test_watch(void **state)
{
	struct session *a = connect_user("alice");
	struct session *b = connect_user("dave");

	(void)state;
	hold_looks();
	plugins->canned[PARLANCE_INSTANCE_BEAT] = NULL;
	/* The storage is to know at once that somebody watches. */
	subscribe(a, "['bob','carol']", "['carol']");
	check_param(PARLANCE_INSTANCE_BEAT, 1, "true");
	answer(PARLANCE_INSTANCE_BEAT, NOTHING);
	subscribe(b, "['bob']", "[]");
	check_not_called(PARLANCE_INSTANCE_BEAT);
	receive(0, "['p','bob','eve']");
	check_look("{\"bob\"}", "['bob']");
	check_event(a, "presence:update", "{'userId':'bob','online':true}");
	check_event(b, "presence:update", "{'userId':'bob','online':true}");
	/* It may have changed, and has not. */
	receive(8, "['p','bob','carol']");
	assert_non_null(strstr(param(PARLANCE_PRESENCE_ONLINE, 0), "bob"));
	answer(PARLANCE_PRESENCE_ONLINE, "{'ok':true,'online':['carol','bob']}");
	check_silent(a);
	receive(0, "['p','carol']");
	check_look("{\"carol\"}", "[]");
	check_event(a, "presence:update", "{'userId':'carol','online':false}");
	check_silent(b);
	/* Nobody watches bob any more but one, then nobody at all. */
	session_close(a, SESSION_TRANSPORT_CLOSE);
	turn();
	receive(0, "['p','bob','carol']");
	check_look("{\"bob\"}", "[]");
	check_event(b, "presence:update", "{'userId':'bob','online':false}");
	session_close(b, SESSION_TRANSPORT_CLOSE);
	turn();
	receive(0, "['p','bob']");
	check_not_called(PARLANCE_PRESENCE_ONLINE);
	advance(3000);
	check_param(PARLANCE_INSTANCE_BEAT, 1, "false");
	answer(PARLANCE_INSTANCE_BEAT, NOTHING);
}

/* One question at a time; what changes meanwhile is looked at next; what was not answered is
 * looked at again. */
static void test_looks(void **state)
{
	struct session *c = connect_user("alice");

	(void)state;
	hold_looks();
	subscribe(c, "['bob','carol']", "[]");
	receive(0, "['p','bob']");
	receive(0, "['p','bob'],['p','carol']");
	assert_int_equal(fake_calls(plugins), 1);
	check_look("{\"bob\"}", "[]");
	answer(PARLANCE_PRESENCE_ONLINE, "{'ok':true,'online':['bob','carol']}");
	for (int i = 0; i < 2; i++) {
		check_event(c, "presence:update", "{'online':true}");
		assert_true(strcmp(taken_text("userId"), "bob") == 0 ||
			    strcmp(taken_text("userId"), "carol") == 0);
	}
	check_not_called(PARLANCE_PRESENCE_ONLINE);
	receive(0, "['p','bob']");
	answer_status(PARLANCE_PRESENCE_ONLINE, PARLANCE_STORAGE_UNAVAILABLE);
	check_not_called(PARLANCE_PRESENCE_ONLINE);
	receive(0, "['p','carol']");
	assert_non_null(strstr(param(PARLANCE_PRESENCE_ONLINE, 0), "bob"));
	answer(PARLANCE_PRESENCE_ONLINE, "{'ok':true,'online':['bob','carol']}");
	check_silent(c);
	/* Nobody told of it: all are looked at now and then. */
	advance(10000);
	answer(PARLANCE_PRESENCE_ONLINE, "{'ok':true,'online':[]}");
	forget(c);
	plugins->refuse_call = PARLANCE_ENOMEM;
	receive(0, "['p','bob']");
	plugins->refuse_call = 0;
	advance(10000);
	answer(PARLANCE_PRESENCE_ONLINE, "{'ok':true,'online':['carol']}");
	check_event(c, "presence:update", "{'userId':'carol','online':true}");
	check_silent(c);
	/* Who watched is gone when the answer comes. */
	receive(0, "['p','bob']");
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	check_look("{\"bob\"}", "['bob']");
}

/* Who subscribes while it is looked at hears the same as the others. */
static void test_late_watcher(void **state)
{
	struct session *a = connect_user("alice");
	struct session *b = connect_user("dave");

	(void)state;
	hold_looks();
	subscribe(a, "['bob']", "[]");
	ask(b, 1, "presence:subscribe", "{'userIds':['bob']}");
	receive(0, "['p','bob']");
	check_look("{\"bob\"}", "['bob']");
	check_event(a, "presence:update", "{'userId':'bob','online':true}");
	answer_get("['bob']", "[]"); /* of before */
	check_ack(b, 1, "{'ok':true,'online':[]}");
	check_event(b, "presence:update", "{'userId':'bob','online':true}");
	check_silent(a);
}

static const char *users_json(unsigned int first, unsigned int n)
{
	static struct strbuf sb;

	if (!sb.max)
		strbuf_init(&sb, SIZE_MAX / 2);
	strbuf_reset(&sb);
	for (unsigned int i = 0; i < n; i++)
		strbuf_printf(&sb, "%c'u%u'", i ? ',' : '[', first + i);
	strbuf_append_char(&sb, ']');
	return strbuf_cstr(&sb);
}

/* A socket watches no more than that; those that it watches already cost nothing. */
static void test_limits(void **state)
{
	struct session *c = connect_user("alice");

	(void)state;
	ask(c, 1, "presence:subscribe", "{'userIds':%s}", users_json(0, WATCH_MAX + 1));
	check_refused(c, 1, "BAD_REQUEST");
	ask(c, 1, "presence:subscribe", "{'userIds':%s}", users_json(0, WATCH_MAX));
	answer_get(users_json(0, WATCH_MAX), "[]");
	check_ack(c, 1, "{'ok':true}");
	subscribe(c, "['u0','u999']", "[]");
	ask(c, 2, "presence:subscribe", "{'userIds':['v']}");
	answer_get("['v']", "['v']");
	check_refused(c, 2, "RATE_LIMITED");
	/* Nothing of the one that was refused is left. */
	hold_looks();
	receive(0, "['p','v']");
	check_not_called(PARLANCE_PRESENCE_ONLINE);
	/* No more are asked about in one question. */
	receive(0, "['p','u7']");
	check_look("{\"u7\"}", "['u7']");
	check_event(c, "presence:update", "{'userId':'u7','online':true}");
}

static void test_refused(void **state)
{
	struct session *c = connect_user("alice");

	(void)state;
	hold_looks();
	ask(c, 1, "presence:subscribe", "{'conversationId':'%s'}", CONV);
	check_param(PARLANCE_PRESENCE_GET, 2, CONV);
	answer(PARLANCE_PRESENCE_GET, "{'ok':false,'code':'NOT_FOUND'}");
	check_refused(c, 1, "NOT_FOUND");
	/* He has gone when the answer comes. */
	ask(c, 1, "presence:subscribe", "{'userIds':['bob']}");
	session_close(c, SESSION_TRANSPORT_CLOSE);
	turn();
	answer_get("['bob']", "['bob']");
	receive(0, "['p','bob']");
	/* Not users, whoever says so. */
	c = connect_user("alice");
	ask(c, 1, "presence:subscribe", "{'userIds':['bob']}");
	answer_get("[7,null,'','bob']", "[7,'bob']");
	check_ack(c, 1, "{'ok':true}");
	receive(8, "['p'],['p',7,null,{},'','b']");
	check_not_called(PARLANCE_PRESENCE_ONLINE);
	receive(8, "['p',7,'bob']");
	check_look("{\"bob\"}", "[7]");
	check_event(c, "presence:update", "{'userId':'bob','online':false}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_sync),
		core_test(test_sync_fails),
		core_test(test_sync_restarts),
		core_test(test_get),
		core_test(test_watch),
		core_test(test_looks),
		core_test(test_late_watcher),
		core_test(test_limits),
		core_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
