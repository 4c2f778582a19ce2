/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * provider_openai: the contract, and every way in which a service can fail, against a service on a
 * socket.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "contract_provider.h"
#include "mockai_process.h"

#define KEY "sk-test-0123456789"
#define MODEL "mock-utf8-24-1"

static char base_url[100];

static const struct mock_option options[] = {
	{ "base_url", base_url },
	{ "api_key", KEY },
	{ "model", MODEL },
};

static const struct provider_contract contract = {
	.plugin = parlance_plugin_v1,
	.options = options,
	.n_options = ARRAY_LEN(options),
	.http = true,
	.normal = "[[mock-utf8-24-1]]",
	.endless = "[[mock-100000-5]]",
	.failing = "[[mock-errmid]]",
	.failing_finish = PARLANCE_FINISH_UNAVAILABLE,
};

static int setup(void **state)
{
	(void)state;
	rig_begin(&contract);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_end();
	return 0;
}

/* An instance with one more option, which goes before those above. */
static void begin_with(const char *name, const char *value)
{
	struct mock_option more[ARRAY_LEN(options) + 1];
	struct provider_contract c = contract;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (strcmp(options[i].name, name) != 0)
			more[n++] = options[i];
	}
	more[n++] = (struct mock_option){ name, value };
	c.options = more;
	c.n_options = n;
	rig_begin(&c);
}

/* "[[mock-utf8-24-1]]" says this twice. */
#define FANCY                                                                                   \
	" h\xc3\xa9llo \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80\n \"q\" \\" \
	" \xc3\xa9 \xf0\x9f\x9a\x80\t" \
	" <b>&amp;</b> a/b\xe2\x80\xa8"

static void test_text(void **state)
{
	static const struct {
		const char *say;
		const char *text;
		size_t deltas;
	} rows[] = {
		{ "[[mock-utf8-24-1]]", FANCY FANCY, 24 },
		{ "[[mock-utf8-24-0]]", FANCY FANCY, 24 },
		/* Characters that are cut between events. */
		{ "[[mock-bytes-8-1]]", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80", 2 },
		{ "[[mock-bytes-6-1]]", "\xf0\x9f\x98\x80\xef\xbf\xbd", 2 },
		{ "[[mock-plain]]", "mock answer", 1 },
		{ "[[mock-empty]]", "", 0 },
	};
	struct answer answer;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		answer_get(&answer, rows[i].say);
		assert_int_equal(answer.finish, PARLANCE_FINISH_STOP);
		assert_string_equal(strbuf_cstr(&answer.text), rows[i].text);
		assert_int_equal(answer.deltas, rows[i].deltas);
		assert_string_equal(answer.detail, "");
		assert_string_equal(answer.model, MODEL);
		answer_fini(&answer);
	}
}

static void test_modes(void **state)
{
	static const struct {
		const char *say;
		int finish;
		size_t text;         /* bytes; a token has six */
		const char *detail;  /* a part of it */
		uint64_t retry_ms;
	} rows[] = {
		{ "[[mock-20-1]]", PARLANCE_FINISH_STOP, 120, "", 0 },
		{ "[[mock-split-20-1]]", PARLANCE_FINISH_STOP, 120, "", 0 },
		{ "[[mock-crlf-20-1]]", PARLANCE_FINISH_STOP, 120, "", 0 },
		{ "[[mock-lazy]]", PARLANCE_FINISH_STOP, 120, "", 0 },
		{ "[[mock-nodone]]", PARLANCE_FINISH_STOP, 60, "", 0 },
		{ "[[mock-length]]", PARLANCE_FINISH_LENGTH, 120, "", 0 },
		{ "[[mock-filter]]", PARLANCE_FINISH_FILTER, 120, "", 0 },
		{ "[[mock-cut]]", PARLANCE_FINISH_CUT, 60, "", 0 },
		{ "[[mock-eof]]", PARLANCE_FINISH_CUT, 60, "ended before", 0 },
		{ "[[mock-errmid]]", PARLANCE_FINISH_UNAVAILABLE, 60, "stream: server_error", 0 },
		{ "[[mock-limitmid]]", PARLANCE_FINISH_RATE_LIMITED, 60, "stream: rate_limit_error", 0 },
		{ "[[mock-garbage]]", PARLANCE_FINISH_PROTOCOL, 60, "malformed event", 0 },
		{ "[[mock-html]]", PARLANCE_FINISH_PROTOCOL, 0, "neither a stream nor JSON", 0 },
		{ "[[mock-400]]", PARLANCE_FINISH_REFUSED, 0, "status 400: invalid_request_error", 0 },
		{ "[[mock-401]]", PARLANCE_FINISH_REFUSED, 0, "HTTP status 401", 0 },
		{ "[[mock-403]]", PARLANCE_FINISH_REFUSED, 0, "HTTP status 403", 0 },
		{ "[[mock-404]]", PARLANCE_FINISH_REFUSED, 0, "HTTP status 404", 0 },
		{ "[[mock-408]]", PARLANCE_FINISH_TIMEOUT, 0, "HTTP status 408", 0 },
		{ "[[mock-413]]", PARLANCE_FINISH_REFUSED, 0, "HTTP status 413", 0 },
		{ "[[mock-422]]", PARLANCE_FINISH_REFUSED, 0, "HTTP status 422", 0 },
		{ "[[mock-429]]", PARLANCE_FINISH_RATE_LIMITED, 0, "status 429: rate_limit_exceeded", 1000 },
		{ "[[mock-500]]", PARLANCE_FINISH_UNAVAILABLE, 0, "status 500: server_error", 0 },
		{ "[[mock-503]]", PARLANCE_FINISH_UNAVAILABLE, 0, "status 503: server_error", 1000 },
		{ "[[mock-flood]]", PARLANCE_FINISH_UNAVAILABLE, 0, "HTTP status 500", 0 },
	};
	struct answer answer;

	(void)state;
	for (int again = 0; again < 2; again++) {
		for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
			answer_init(&answer, rows[i].say);
			answer.again = again;
			answer_start(&answer);
			answer_wait(&answer);
			if (answer.finish != rows[i].finish || answer.text.len != rows[i].text ||
			    !strstr(answer.detail, rows[i].detail))
				fail_msg("%s: finish %d, %zu bytes, \"%s\"", rows[i].say,
					 answer.finish, answer.text.len, answer.detail);
			assert_int_equal(answer.retry_after_ms, rows[i].retry_ms);
			answer_fini(&answer);
		}
	}
}

static void test_retry_date(void **state)
{
	struct answer answer;

	(void)state;
	answer_get(&answer, "[[mock-date]]");
	assert_int_equal(answer.finish, PARLANCE_FINISH_RATE_LIMITED);
	assert_in_range(answer.retry_after_ms, 50000, 100000);
	answer_fini(&answer);
}

static void test_reasoning(void **state)
{
	struct answer answer;

	(void)state;
	for (int again = 0; again < 2; again++) {
		answer_init(&answer, "[[mock-reason-20-1]]");
		answer.again = again;
		answer_start(&answer);
		answer_wait(&answer);
		assert_int_equal(answer.finish, PARLANCE_FINISH_STOP);
		assert_int_equal(answer.reasoning.len, 60);
		assert_int_equal(answer.text.len, 60);
		answer_fini(&answer);
	}
}

static void test_usage(void **state)
{
	struct answer answer;

	(void)state;
	answer_get(&answer, "[[mock-20-1]]");
	assert_true(answer.has_usage);
	assert_int_equal(answer.usage.completion_tokens, 20);
	assert_true(answer.usage.prompt_tokens > 0);
	assert_int_equal(answer.usage.total_tokens, answer.usage.prompt_tokens + 20);
	answer_fini(&answer);
}

static void test_hang(void **state)
{
	struct answer answer;

	(void)state;
	begin_with("first_byte_timeout_ms", "300");
	answer_get(&answer, "[[mock-hang]]");
	assert_int_equal(answer.finish, PARLANCE_FINISH_TIMEOUT);
	assert_int_equal(answer.deltas, 0);
	assert_true(answer.detail[0] != '\0');
	answer_fini(&answer);
	rig_end();
}

static void test_stall(void **state)
{
	struct answer answer;

	(void)state;
	begin_with("idle_timeout_ms", "500");
	answer_get(&answer, "[[mock-stall]]");
	assert_int_equal(answer.finish, PARLANCE_FINISH_TIMEOUT);
	assert_int_equal(answer.text.len, 60);
	answer_fini(&answer);
	rig_end();
}

static void test_total(void **state)
{
	struct answer answer;

	(void)state;
	begin_with("total_timeout_ms", "500");
	answer_get(&answer, contract.endless);
	assert_int_equal(answer.finish, PARLANCE_FINISH_TIMEOUT);
	assert_true(answer.deltas > 0);
	answer_fini(&answer);
	rig_end();
}

static void test_too_big(void **state)
{
	struct answer answer;

	(void)state;
	begin_with("max_response_bytes", "4096");
	answer_get(&answer, "[[mock-100-1]]");
	assert_int_equal(answer.finish, PARLANCE_FINISH_CUT);
	assert_in_range(answer.deltas, 1, 50);
	answer_fini(&answer);
	rig_end();
}

/* The first token comes after two seconds; nobody loses patience. */
static void test_slow(void **state)
{
	struct answer answer;

	(void)state;
	answer_init(&answer, "[[mock-slow]]");
	answer_start(&answer);
	answer_wait_deltas(&answer, 2);
	answer_cancel(&answer);
	answer_wait(&answer);
	assert_int_equal(answer.finish, PARLANCE_FINISH_CANCELED);
	answer_fini(&answer);
}

static bool service_is_idle(void *arg)
{
	(void)arg;
	return mockai_stat("active") == 0;
}

/* The service does not go on for nobody. */
static void test_cancel_closes(void **state)
{
	struct answer answer;

	(void)state;
	answer_init(&answer, contract.endless);
	answer_start(&answer);
	answer_wait_deltas(&answer, 2);
	assert_true(mockai_stat("active") >= 1);
	answer_cancel(&answer);
	answer_wait(&answer);
	for (int i = 0; i < 1000 && !service_is_idle(NULL); i++)
		mock_turn(rig_host());
	assert_true(service_is_idle(NULL));
	answer_fini(&answer);
}

/* While an answer is paused, the service cannot send on: its tokens stay where they are. */
static void test_back_pressure(void **state)
{
	struct answer answer;
	long tokens;

	(void)state;
	answer_init(&answer, "[[mock-1000000-0]]");
	answer.hold = true;
	answer_start(&answer);
	answer_wait_deltas(&answer, 1);
	assert_false(mock_run_until(rig_host(), NULL, NULL, 500));
	tokens = mockai_stat("tokens");
	assert_false(mock_run_until(rig_host(), NULL, NULL, 200));
	assert_int_equal(mockai_stat("tokens"), tokens);
	assert_int_equal(answer.deltas, 1);
	assert_int_equal(answer.ends, 0);
	answer_cancel(&answer);
	answer_wait(&answer);
	assert_int_equal(answer.finish, PARLANCE_FINISH_CANCELED);
	answer_fini(&answer);
}

static bool no_request(void *arg)
{
	return ((const struct mock_host *)arg)->live_https == 0;
}

/* The request's time is over during a pause: what had come is still delivered, if it is wanted. */
static void test_timeout_while_paused(void **state)
{
	struct answer answer;

	(void)state;
	begin_with("total_timeout_ms", "1000");
	for (int cancel = 0; cancel < 2; cancel++) {
		/* Pieces of many events, so that some are held. */
		answer_init(&answer, "[[mock-1000000-0]]");
		answer.hold_at = 100;
		answer_start(&answer);
		answer_wait_deltas(&answer, 100);
		assert_true(mock_run_until(rig_host(), no_request, rig_host(), ANSWER_DEADLINE_MS));
		assert_int_equal(answer.ends, 0);
		answer.hold = false;
		if (cancel)
			answer_cancel(&answer);
		else
			answer_resume(&answer);
		answer_wait(&answer);
		assert_int_equal(answer.finish,
				 cancel ? PARLANCE_FINISH_CANCELED : PARLANCE_FINISH_TIMEOUT);
		assert_true(cancel ? answer.deltas == 100 : answer.deltas >= 100);
		answer_fini(&answer);
	}
	rig_end();
}

/* Everything is delivered, however often it is interrupted. */
static void test_large(void **state)
{
	struct answer answer;

	(void)state;
	answer_init(&answer, "[[mock-5000-0]]");
	answer.again = true;
	answer_start(&answer);
	answer_wait(&answer);
	assert_int_equal(answer.finish, PARLANCE_FINISH_STOP);
	assert_int_equal(answer.deltas, 5000);
	assert_int_equal(answer.text.len, 30000);
	answer_fini(&answer);
}

static void test_no_connection(void **state)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct answer answer;
	char url[100];

	(void)state;
	/* Bound, but nobody listens: it stays refused for as long as we hold it. */
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%d/v1", ntohs(address.sin_port));
	begin_with("base_url", url);
	answer_get(&answer, "hello");
	assert_int_equal(answer.finish, PARLANCE_FINISH_UNAVAILABLE);
	assert_true(answer.detail[0] != '\0');
	answer_fini(&answer);
	rig_end();
	close(fd);
}

static void test_client_options(void **state)
{
	struct answer answer;

	(void)state;
	answer_init(&answer, "hello");
	answer.prompt.options = (struct parlance_str){ "{\"temperature\":3}", 17 };
	answer_start(&answer);
	answer_wait(&answer);
	assert_int_equal(answer.finish, PARLANCE_FINISH_REFUSED);
	assert_non_null(strstr(answer.detail, "options.temperature"));
	answer_fini(&answer);
}

/* The key is sent, and no error that repeats it gets it into a log; nor after it was changed. */
static void test_key_stays_secret(void **state)
{
	struct mock_option changed[ARRAY_LEN(options)];
	struct answer answer;

	(void)state;
	answer_get(&answer, "[[mock-echo]]");
	assert_int_equal(answer.finish, PARLANCE_FINISH_REFUSED);
	assert_non_null(strstr(answer.detail, ": Bearer-*"));
	assert_null(strstr(answer.detail, KEY));
	answer_fini(&answer);

	memcpy(changed, options, sizeof(options));
	changed[1].value = "sk-another-key";
	answer_init(&answer, "[[mock-echo]]");
	answer_start(&answer);
	assert_int_equal(mock_reload(rig_host(), changed, ARRAY_LEN(changed)), 0);
	answer_wait(&answer);
	assert_non_null(strstr(answer.detail, ": Bearer-*"));
	assert_null(strstr(answer.detail, KEY));
	answer_fini(&answer);
	answer_get(&answer, "[[mock-echo]]");
	assert_non_null(strstr(answer.detail, ": Bearer-*"));
	assert_null(strstr(answer.detail, "sk-another-key"));
	answer_fini(&answer);
	assert_false(mock_log_has(rig_host(), "sk-"));
}

static void test_key_file(void **state)
{
	char path[] = "/tmp/parlance-test-key-XXXXXX";
	int fd = mkstemp(path);
	struct answer answer;

	(void)state;
	assert_int_equal(write(fd, "sk-from-a-file\n", 15), 15);
	begin_with("api_key_file", path);
	answer_get(&answer, "[[mock-echo]]");
	assert_non_null(strstr(answer.detail, ": Bearer-*"));
	assert_null(strstr(answer.detail, "sk-"));
	answer_fini(&answer);
	rig_end();
	close(fd);
	unlink(path);
}

/* Makes an instance on a host of its own, with these options alone. 0 or -1. */
static int try_create(const struct mock_option *list, size_t n, char *text, size_t text_size)
{
	const struct mock_config config = { .plugin = parlance_plugin_v1 };
	struct mock_host *m = mock_new(&config);
	int rc = mock_create(m, list, n);

	snprintf(text, text_size, "%s", rc ? m->err : mock_log(m));
	if (rc == 0)
		mock_destroy(m);
	mock_free(&m);
	return rc;
}

#define LOCAL { "base_url", "http://127.0.0.1:1/v1" }

static void test_start_up(void **state)
{
	static const struct {
		struct mock_option list[3];
		const char *word; /* of the refusal or of a warning; NULL: nothing is said */
		int rc;
	} rows[] = {
		{ { { "base_url", "https://api.openai.com/v1" } }, "set api_key_file", -1 },
		{ { { "model", "x" } }, "set api_key_file", -1 }, /* the default address */
		{ { { "api_key", "sk-12345678" } }, NULL, 0 },
		{ { { "extra_headers", "Authorization: Basic eDp5" } }, NULL, 0 },
		{ { { "extra_headers", "X-Other: 1" } }, "set api_key_file", -1 },
		{ { { "base_url", "ftp://x" } }, "must begin with https", -1 },
		{ { { "base_url", "" } }, "must begin with https", -1 },
		{ { { "base_url", "https://u:p@x" } }, "name and password", -1 },
		{ { LOCAL }, NULL, 0 },
		{ { LOCAL, { "api_key", "sk-12345678" } }, NULL, 0 },
		{ { { "base_url", "http://192.0.2.1/v1" } }, NULL, 0 },
		{ { { "base_url", "http://192.0.2.1/v1" }, { "api_key", "sk-12345678" } },
		  "plain http", 0 },
		{ { { "base_url", "https://192.0.2.1" }, { "api_key", "sk-12345678" } }, NULL, 0 },
		{ { LOCAL, { "api_key", "two words" } }, "api_key", -1 },
		{ { LOCAL, { "api_key", "line\nbreak" } }, "api_key", -1 },
		{ { LOCAL, { "temperature", "0.5" } }, NULL, 0 },
		{ { LOCAL, { "temperature", "2" } }, NULL, 0 },
		{ { LOCAL, { "temperature", "2.0" } }, NULL, 0 },
		{ { LOCAL, { "temperature", "2.1" } }, "temperature", -1 },
		{ { LOCAL, { "temperature", "-1" } }, "temperature", -1 },
		{ { LOCAL, { "temperature", "hot" } }, "temperature", -1 },
		{ { LOCAL, { "temperature", "1," } }, "temperature", -1 },
		{ { LOCAL, { "temperature", "1.x" } }, "temperature", -1 },
		{ { LOCAL, { "temperature", "nan" } }, "temperature", -1 },
		{ { LOCAL, { "extra_headers", "no colon" } }, "Name: value", -1 },
		{ { LOCAL, { "extra_headers", ": x" } }, "Name: value", -1 },
		{ { LOCAL, { "extra_headers", "A B: x" } }, "Name: value", -1 },
		{ { LOCAL, { "extra_headers", "Host: x" } }, "set by the daemon", -1 },
		{ { LOCAL, { "extra_headers", "content-type: x" } }, "set already", -1 },
		{ { LOCAL, { "extra_headers", "Authorization: x" }, { "api_key", "12345678" } },
		  "set already", -1 },
		{ { LOCAL, { "extra_headers", "X-A: 1, X-B: 2" } }, NULL, 0 },
		{ { LOCAL, { "api_key_file", "/nonexistent/key" } }, "", -1 },
		{ { LOCAL, { "organization", "a\x01" } }, "organization", -1 },
		{ { LOCAL, { "max_tokens_name", "max_completion_tokens" } }, NULL, 0 },
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = 0;
		int rc;

		while (n < 3 && rows[i].list[n].name)
			n++;
		rc = try_create(rows[i].list, n, text, sizeof(text));
		if (rc != rows[i].rc || (rows[i].word && !strstr(text, rows[i].word)) ||
		    (!rows[i].word && text[0]))
			fail_msg("row %zu: %d, \"%s\"", i, rc, text);
		assert_null(strstr(text, "12345678"));
	}
}

static void list_model(void *arg, const struct parlance_model *model)
{
	struct strbuf *names = arg;

	strbuf_printf(names, "%s|", model->id);
}

static void test_models(void **state)
{
	const struct parlance_provider_ops *ops;
	struct strbuf names;

	(void)state;
	strbuf_init(&names, 1000);
	begin_with("models", "b, *, " MODEL ", c, b");
	ops = rig_host()->plugin->ops;
	MOCK_CALL(rig_host(), ops->models(rig_host()->self, list_model, &names));
	assert_string_equal(strbuf_cstr(&names), MODEL "|b|c|");
	strbuf_fini(&names);
	rig_end();
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_text),
		TEST(test_modes),
		TEST(test_retry_date),
		TEST(test_reasoning),
		TEST(test_usage),
		cmocka_unit_test(test_hang),
		cmocka_unit_test(test_stall),
		cmocka_unit_test(test_total),
		cmocka_unit_test(test_too_big),
		TEST(test_slow),
		TEST(test_cancel_closes),
		TEST(test_back_pressure),
		cmocka_unit_test(test_timeout_while_paused),
		TEST(test_large),
		cmocka_unit_test(test_no_connection),
		TEST(test_client_options),
		TEST(test_key_stays_secret),
		cmocka_unit_test(test_key_file),
		cmocka_unit_test(test_start_up),
		cmocka_unit_test(test_models),
	};
	int failed;

	(void)argc;
	unsetenv("OPENAI_API_KEY");
	unsetenv("OPENAI_BASE_URL");
	unsetenv("OPENAI_MODEL");
	snprintf(base_url, sizeof(base_url), "http://127.0.0.1:%d/v1", mockai_start(argv[0]));
	failed = provider_contract_run(&contract);
	failed += cmocka_run_group_tests_name("provider_openai's own", tests, NULL, NULL);
	mockai_stop();
	return failed;
}
