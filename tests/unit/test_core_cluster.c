/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Many instances, as one of them sees it: presence, its number, and messages of the others. */
#include "core_answer_fixture.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		core_test(test_presence_is_told_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
