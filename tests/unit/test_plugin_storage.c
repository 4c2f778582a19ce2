/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Requests to a storage plugin that does what the test wants, and what it tells by itself.
 */
#include "plugin_fixture.h"

/* ---- the plugin ---- */

static const struct parlance_host *host;
static const struct parlance_storage_sink *sink;
static struct parlance_storage_op *last;
static unsigned n_submit;
static unsigned n_cancel;
static bool at_once;
static bool complete_on_cancel;
static bool in_plugin;
static int64_t number;
static int last_function;
static char last_params[256];
static char answer_json[64];
static struct parlance_timer *plugin_timer;

static void complete(struct parlance_storage_op *op, enum parlance_storage_status status,
		     const char *json)
{
	(void)snprintf(answer_json, sizeof(answer_json), "%s", json ? json : "");
	sink->complete(op, status, json ? str(answer_json) : str(NULL), NULL);
	/* It was borrowed for the call. */
	memset(answer_json, '?', sizeof(answer_json) - 1);
}

static void on_plugin_timer(void *arg)
{
	in_plugin = true;
	complete(last, PARLANCE_STORAGE_OK, "{\"direct\":true}");
	in_plugin = false;
	note((char)(intptr_t)arg);
}

static int plugin_create(void **self, const struct parlance_host *h, const void *options, char *err,
			 size_t err_size)
{
	(void)options;
	(void)err;
	(void)err_size;
	host = h;
	sink = h->sink;
	assert_int_equal(sink->size, sizeof(*sink));
	*self = &number;
	plugin_timer = h->timer_new(h->ctx, on_plugin_timer, (void *)(intptr_t)'t');
	assert_non_null(plugin_timer);
	sink->ready(h->ctx, true, NULL);
	return 0;
}

static void plugin_destroy(void *self)
{
	assert_ptr_equal(self, &number);
	host->timer_free(plugin_timer);
	note('D');
}

static void plugin_submit(void *self, struct parlance_storage_op *op,
			  const struct parlance_storage_request *request)
{
	struct strbuf text;

	assert_ptr_equal(self, &number);
	assert_false(in_plugin);
	in_plugin = true;
	n_submit++;
	last = op;
	last_function = request->function;
	strbuf_init(&text, sizeof(last_params) - 1);
	for (size_t i = 0; i < request->n_params; i++) {
		struct parlance_str p = request->params[i];

		if (p.p)
			assert_int_equal(p.p[p.len], '\0');
		strbuf_printf(&text, "%s,", p.p ? p.p : "NULL");
	}
	(void)snprintf(last_params, sizeof(last_params), "%s", strbuf_cstr(&text));
	strbuf_fini(&text);
	if (at_once)
		complete(op, PARLANCE_STORAGE_OK, "{\"n\":1}");
	note('s');
	in_plugin = false;
}

static void plugin_cancel(void *self, struct parlance_storage_op *op)
{
	assert_ptr_equal(self, &number);
	assert_ptr_equal(op, last);
	n_cancel++;
	if (complete_on_cancel)
		complete(op, PARLANCE_STORAGE_CANCELED, NULL);
}

static void plugin_set_instance(void *self, int64_t instance)
{
	*(int64_t *)self = instance;
}

static const struct parlance_storage_ops ops = {
	.size = sizeof(ops),
	.submit = plugin_submit,
	.cancel = plugin_cancel,
	.set_instance = plugin_set_instance,
};

static const struct parlance_plugin plugin = {
	TEST_PLUGIN(PARLANCE_STORAGE, "storage_test", &ops),
	.create = plugin_create,
	.destroy = plugin_destroy,
};

/* ---- the asker ---- */

static unsigned n_answers;
static int status;
static bool timed_out;
static char json[64];
static const char *json_at; /* where it was */
static char detail[128];
static bool was_direct;

static void on_answer(void *arg, const struct storage_answer *answer)
{
	assert_ptr_equal(arg, &n_answers);
	n_answers++;
	note('a');
	was_direct = in_plugin;
	status = (int)answer->status;
	timed_out = answer->timed_out;
	json_at = answer->json.p;
	(void)snprintf(json, sizeof(json), "%.*s", (int)answer->json.len, answer->json.p);
	assert_non_null(answer->detail);
	(void)snprintf(detail, sizeof(detail), "%s", answer->detail);
}

static void ask(const char *user, uint32_t timeout_ms)
{
	char copy[64];
	char key[] = "a key";
	struct slice params[] = { { NULL, 0 }, { NULL, 0 } };

	(void)snprintf(copy, sizeof(copy), "%s", user);
	params[0] = slice_str(copy);
	assert_int_equal(storage_call(set, PARLANCE_CONVERSATION_ACCESS, slice_str(key), params,
				      2, timeout_ms, on_answer, &n_answers),
			 0);
	memset(copy, 'x', sizeof(copy) - 1);
	memset(key, 'x', sizeof(key) - 1);
}

/* ---- the listener ---- */

static unsigned n_events_told;
static int64_t told_seq;
static char told_message[32];

static void on_event(void *ctx, const struct parlance_storage_event *event)
{
	assert_ptr_equal(ctx, &n_events_told);
	n_events_told++;
	told_seq = event->seq;
}

static void on_feed(void *ctx, bool up)
{
	assert_ptr_equal(ctx, &n_events_told);
	note(up ? 'U' : 'u');
}

static void on_ready(void *ctx, bool ready)
{
	assert_ptr_equal(ctx, &n_events_told);
	note(ready ? 'R' : 'r');
	/* The listener may ask: it does not go to the plugin from within. */
	if (set->state == PLUGINS_MADE && set->storage->made)
		ask("from within", 1000);
}

static void on_message(void *ctx, struct slice payload)
{
	assert_ptr_equal(ctx, &n_events_told);
	(void)snprintf(told_message, sizeof(told_message), "%.*s", (int)payload.len, payload.p);
}

static const struct storage_listener listener = { on_event, on_feed, on_ready, on_message };

static int begin(void **state)
{
	int rc = plugins_setup(state);

	at_once = in_plugin = false;
	complete_on_cancel = true;
	n_submit = n_cancel = n_answers = n_events_told = 0;
	number = -1;
	(void)add(&plugin, "default");
	storage_listen(set, &listener, &n_events_told);
	assert_false(storage_ready(set));
	assert_int_equal(create(""), 0);
	assert_string_equal(events, "R");
	n_events = 0;
	events[0] = '\0';
	return rc;
}

/* ---- tests ---- */

static void test_direct(void **state)
{
	(void)state;
	ask("alice", 1000);
	assert_int_equal(n_submit, 0);
	turn();
	assert_int_equal(n_submit, 1);
	assert_int_equal(last_function, PARLANCE_CONVERSATION_ACCESS);
	assert_string_equal(last_params, "alice,NULL,");
	assert_int_equal(n_answers, 0);
	/* From an event of the plugin's own: at once, and where the plugin has it. */
	host->timer_start(plugin_timer, 1);
	run_until(n_answers);
	assert_true(was_direct);
	assert_ptr_equal(json_at, answer_json);
	assert_string_equal(json, "{\"direct\":true}");
	assert_int_equal(status, PARLANCE_STORAGE_OK);
	assert_string_equal(detail, "");
	assert_string_equal(events, "sat");
	assert_not_logged("fault");
}

static void test_at_once(void **state)
{
	(void)state;
	at_once = true;
	ask("alice", 1000);
	turn();
	/* From inside submit: when the plugin is out of it, from a copy. */
	assert_string_equal(events, "sa");
	assert_false(was_direct);
	assert_string_equal(json, "{\"n\":1}");
}

static void check_other(enum parlance_storage_status given, const char *text, int expected)
{
	unsigned before = n_answers;

	ask("alice", 1000);
	turn();
	complete(last, given, text);
	assert_int_equal(n_answers, before + 1);
	assert_int_equal(status, expected);
	assert_string_equal(json, "");
}

static void test_statuses(void **state)
{
	(void)state;
	check_other(PARLANCE_STORAGE_UNAVAILABLE, NULL, PARLANCE_STORAGE_UNAVAILABLE);
	check_other(PARLANCE_STORAGE_UNKNOWN, "{}", PARLANCE_STORAGE_UNKNOWN);
	check_other(PARLANCE_STORAGE_FAILED, NULL, PARLANCE_STORAGE_FAILED);
	assert_not_logged("fault");
	check_other(PARLANCE_STORAGE_OK, NULL, PARLANCE_STORAGE_FAILED);
	check_other(PARLANCE_STORAGE_OK, "", PARLANCE_STORAGE_FAILED);
	check_other(PARLANCE_STORAGE_OK, "{", PARLANCE_STORAGE_FAILED);
	check_other(PARLANCE_STORAGE_OK, "[{}]", PARLANCE_STORAGE_FAILED);
	check_other(PARLANCE_STORAGE_OK, "{\"cut\":", PARLANCE_STORAGE_FAILED);
	assert_logged("storage_test: a fault of the plugin: its answer to conversation_access is "
		      "not a JSON object");
	check_other((enum parlance_storage_status)6, NULL, PARLANCE_STORAGE_FAILED);
	assert_logged("unknown status 6");
	/* The plugin has completed these: nothing to cancel. */
	turn();
	assert_int_equal(n_cancel, 0);
}

static void test_twice(void **state)
{
	(void)state;
	ask("alice", 1000);
	turn();
	complete(last, PARLANCE_STORAGE_OK, "{}");
	complete(last, PARLANCE_STORAGE_OK, "{}");
	turn();
	assert_int_equal(n_answers, 1);
	assert_logged("it completes a request for an operation that it has completed before");
}

static void test_deadline(void **state)
{
	(void)state;
	complete_on_cancel = false;
	ask("alice", 5);
	run_until(n_answers);
	assert_int_equal(status, PARLANCE_STORAGE_CANCELED);
	assert_true(timed_out);
	run_until(n_cancel);
	complete(last, PARLANCE_STORAGE_OK, "{}");
	turn();
	assert_int_equal(n_answers, 1);
	assert_int_equal(n_cancel, 1);
	assert_not_logged("fault");
	/* In time: no cancel, no second answer. */
	ask("alice", 50);
	turn();
	complete(last, PARLANCE_STORAGE_OK, "{}");
	assert_int_equal(n_answers, 2);
	assert_false(timed_out);
}

static void send_event(struct parlance_storage_event event)
{
	if (!event.size)
		event.size = sizeof(event);
	sink->event(host->ctx, &event);
}

static void test_listener(void **state)
{
	(void)state;
	send_event((struct parlance_storage_event){
		.room = str("r"), .seq = 7, .type = str("message.new"), .json = str("{}") });
	assert_int_equal(n_events_told, 1);
	assert_true(told_seq == 7);
	send_event((struct parlance_storage_event){
		.room = str("r"), .seq = 8, .type = str("message.new") });
	assert_int_equal(n_events_told, 2);
	assert_not_logged("fault");
	send_event((struct parlance_storage_event){
		.room = str("r"), .seq = 0, .type = str("message.new") });
	send_event((struct parlance_storage_event){
		.room = str(""), .seq = 1, .type = str("message.new") });
	send_event((struct parlance_storage_event){ .room = str("r"), .seq = 1 });
	send_event((struct parlance_storage_event){
		.room = str("r"), .seq = 1, .type = str("t"), .json = str("[]") });
	send_event((struct parlance_storage_event){
		.size = 8, .room = str("r"), .seq = 1, .type = str("t") });
	assert_int_equal(n_events_told, 2);
	assert_logged("an event of its feed is malformed");
	sink->feed(host->ctx, true);
	sink->feed(host->ctx, false);
	assert_string_equal(events, "Uu");
	sink->message(host->ctx, str("hello"));
	assert_string_equal(told_message, "hello");
	assert_true(storage_ready(set));
	sink->ready(host->ctx, true, NULL); /* nothing new */
	sink->ready(host->ctx, false, "connection refused");
	assert_false(storage_ready(set));
	assert_string_equal(events, "Uur");
	assert_logged("the storage is away (connection refused)");
	assert_int_equal(n_submit, 0);
	turn();
	assert_int_equal(n_submit, 1);
	complete(last, PARLANCE_STORAGE_UNAVAILABLE, NULL);
}

static void test_number(void **state)
{
	(void)state;
	storage_set_instance(set, 5);
	storage_set_instance(set, 12);
	assert_true(number == -1);
	turn();
	assert_true(number == 12);
}

static void test_end(void **state)
{
	(void)state;
	ask("running", 60000);
	turn();
	storage_set_instance(set, 5);
	destroy();
	assert_int_equal(n_answers, 1);
	assert_int_equal(status, PARLANCE_STORAGE_CANCELED);
	assert_false(timed_out);
	assert_false(storage_ready(set));
	/* Nobody listens any more. */
	storage_set_instance(set, 6);
	turn();
	assert_int_equal(storage_call(set, PARLANCE_MAINTAIN, STORAGE_NO_KEY, NULL, 0, 10, on_answer, NULL),
			 PARLANCE_ECLOSED);
	assert_string_equal(events, "saD");
}

static void test_no_plugin(void **state)
{
	(void)state;
	assert_int_equal(plugins_setup(state), 0);
	n_answers = 0;
	assert_int_equal(create(""), 0);
	ask("alice", 1000);
	turn();
	assert_int_equal(n_answers, 1);
	assert_int_equal(status, PARLANCE_STORAGE_UNAVAILABLE);
	assert_string_equal(detail, "no storage plugin is loaded");
	storage_set_instance(set, 5);
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(storage_function_name(PARLANCE_SESSION_OPEN), "session_open");
	assert_string_equal(storage_function_name(PARLANCE_MAINTAIN), "maintain");
	assert_string_equal(storage_function_name(PARLANCE_STORAGE_NONE), "?");
	assert_string_equal(storage_function_name((enum parlance_storage_function)1000), "?");
#define X(constant, name, n_params, class) assert_true((n_params) <= PARLANCE_STORAGE_PARAMS_MAX);
	PARLANCE_STORAGE_LIST(X)
#undef X
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_direct, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_at_once, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_statuses, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_twice, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_deadline, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_listener, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_number, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_end, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_no_plugin, NULL, plugins_teardown),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
