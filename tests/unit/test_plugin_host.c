/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The services of the host, used as a plugin would, and what becomes of those that a plugin leaves
 * behind.
 */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include "plugin_fixture.h"

#include "fake_http_client.h"

static const struct parlance_host *host;
static struct instance *inst;
static void (*in_destroy)(void);

/* ---- the plugin ---- */

static int plugin_create(void **self, const struct parlance_host *h, const void *options, char *err,
			 size_t err_size)
{
	(void)options;
	(void)err;
	(void)err_size;
	*self = NULL;
	host = h;
	return 0;
}

static void plugin_destroy(void *self)
{
	(void)self;
	note('D');
	if (in_destroy)
		in_destroy();
}

static void plugin_verify(void *self, struct parlance_auth_op *op,
			  const struct parlance_auth_request *request)
{
	(void)self;
	(void)op;
	(void)request;
}

static void plugin_cancel(void *self, struct parlance_auth_op *op)
{
	(void)self;
	(void)op;
}

static const struct parlance_auth_ops ops = {
	.size = sizeof(ops),
	.verify = plugin_verify,
	.cancel = plugin_cancel,
};

static const struct parlance_plugin plugin = {
	TEST_PLUGIN(PARLANCE_AUTH, "auth_test", &ops),
	.create = plugin_create,
	.destroy = plugin_destroy,
};

static int begin(void **state)
{
	int rc = plugins_setup(state);

	in_destroy = NULL;
	fake_http_rc = 0;
	fake_http_loop = loop;
	fake_http_on_start = NULL;
	fake_http_open = 0;
	inst = add(&plugin, "one");
	assert_int_equal(create(""), 0);
	assert_string_equal(host->instance, "one");
	assert_int_equal(host->size, sizeof(*host));
	return rc;
}

/* ---- timers ---- */

static struct parlance_timer *timer_a;

static void on_timer(void *arg)
{
	note((char)(intptr_t)arg);
}

static void on_timer_free(void *arg)
{
	note((char)(intptr_t)arg);
	host->timer_free(timer_a);
	timer_a = NULL;
}

static void test_timers(void **state)
{
	struct parlance_timer *b;

	(void)state;
	timer_a = host->timer_new(host->ctx, on_timer_free, (void *)(intptr_t)'a');
	b = host->timer_new(host->ctx, on_timer, (void *)(intptr_t)'b');
	assert_non_null(timer_a);
	assert_non_null(b);
	host->timer_start(b, 1);
	host->timer_stop(b);
	host->timer_start(timer_a, 2);
	run_until(!timer_a);
	assert_string_equal(events, "a");
	host->timer_start(b, 1);
	run_until(n_events == 2);
	assert_string_equal(events, "ab");
	host->timer_free(b);
	host->timer_free(NULL);
	destroy();
	assert_not_logged("fault");
}

/* ---- descriptors ---- */

static unsigned seen;

static void on_watch(void *arg, unsigned what)
{
	assert_ptr_equal(arg, &seen);
	seen |= what;
}

static void test_watches(void **state)
{
	struct parlance_watch *w;
	int fds[2];
	int file;

	(void)state;
	seen = 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	w = host->watch_new(host->ctx, fds[0], PARLANCE_IO_READ, on_watch, &seen);
	assert_non_null(w);
	assert_null(host->watch_new(host->ctx, fds[0], PARLANCE_IO_READ, on_watch, &seen));
	turn();
	assert_int_equal(seen, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	run_until(seen == PARLANCE_IO_READ);
	seen = 0;
	host->watch_set(w, 0);
	turn();
	assert_int_equal(seen, 0);
	host->watch_set(w, PARLANCE_IO_READ | PARLANCE_IO_WRITE);
	run_until(seen == (PARLANCE_IO_READ | PARLANCE_IO_WRITE));
	host->watch_free(w);
	host->watch_free(NULL);
	close(fds[0]);
	close(fds[1]);
	file = open("/dev/null", O_RDONLY);
	assert_true(file >= 0);
	/* Nothing that can be waited for. */
	assert_null(host->watch_new(host->ctx, file, PARLANCE_IO_READ, on_watch, &seen));
	close(file);
	destroy();
	assert_not_logged("fault");
}

/* ---- threads ---- */

static void *poster(void *arg)
{
	for (int i = 0; i < 5; i++)
		assert_int_equal(host->post(host->ctx, on_timer, arg), 0);
	return NULL;
}

static void test_post(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, poster, (void *)(intptr_t)'p'), 0);
	run_until(n_events == 5);
	assert_string_equal(events, "ppppp");
	assert_int_equal(pthread_join(thread, NULL), 0);
	/* Too late: dropped. */
	assert_int_equal(host->post(host->ctx, on_timer, (void *)(intptr_t)'q'), 0);
	plugins_destroy(set, on_destroyed, &destroyed);
	assert_int_equal(host->post(host->ctx, on_timer, (void *)(intptr_t)'q'), 0);
	run_until(destroyed);
	assert_int_equal(host->post(host->ctx, on_timer, (void *)(intptr_t)'q'), -1);
	assert_non_null(strchr(events, 'D'));
	assert_null(strchr(strchr(events, 'D'), 'q'));
}

static sem_t begun;
static sem_t go;

static void work(void *arg)
{
	(void)arg;
	(void)sem_post(&begun);
	while (sem_wait(&go))
		;
}

static void on_worked(void *arg, bool cancelled)
{
	(void)arg;
	note(cancelled ? 'c' : 'w');
}

static void test_offload(void **state)
{
	(void)state;
	assert_int_equal(sem_init(&begun, 0, 0), 0);
	assert_int_equal(sem_init(&go, 0, 0), 0);
	assert_non_null(host->offload(host->ctx, work, on_worked, NULL));
	assert_int_equal(sem_wait(&begun), 0);
	assert_int_equal(n_events, 0);
	(void)sem_post(&go);
	run_until(n_events == 1);
	assert_string_equal(events, "w");
	/* The end waits for what runs; what is begun meanwhile is refused. */
	assert_non_null(host->offload(host->ctx, work, on_worked, NULL));
	assert_int_equal(sem_wait(&begun), 0);
	plugins_destroy(set, on_destroyed, &destroyed);
	turn();
	assert_null(host->offload(host->ctx, work, on_worked, NULL));
	assert_string_equal(events, "w");
	(void)sem_post(&go);
	run_until(destroyed);
	assert_string_equal(events, "wwD");
	assert_not_logged("fault");
}

/* Work that does not end keeps the plugin where it is: another thread runs its code. */
static void test_busy(void **state)
{
	(void)state;
	assert_int_equal(sem_init(&begun, 0, 0), 0);
	assert_int_equal(sem_init(&go, 0, 0), 0);
	assert_non_null(host->offload(host->ctx, work, on_worked, NULL));
	assert_int_equal(sem_wait(&begun), 0);
	plugins_destroy(set, on_destroyed, &destroyed);
	run_until(destroyed);
	assert_string_equal(events, ""); /* not destroyed */
	assert_logged("auth_test:one: has work on other threads that does not end");
	plugins_free(&set);
	assert_int_equal(host->post(host->ctx, on_timer, NULL), -1);
	(void)sem_post(&go);
	loop_run_empty(loop);
	assert_string_equal(events, "");
}

/* ---- HTTP ---- */

static struct parlance_http *request;
static int seen_status;
static char seen_text[64];
static size_t seen_headers;
static int seen_result;
static char seen_detail[64];
static unsigned n_done;

static void on_head(void *arg, int status, const struct parlance_http_header *headers, size_t n)
{
	assert_ptr_equal(arg, &n_done);
	seen_status = status;
	seen_headers = n;
	assert_memory_equal(headers[n - 1].name.p, "last", 4);
	assert_memory_equal(headers[n - 1].value.p, "value", 5);
}

static void on_data(void *arg, struct parlance_str piece)
{
	assert_ptr_equal(arg, &n_done);
	(void)snprintf(seen_text, sizeof(seen_text), "%.*s", (int)piece.len, piece.p);
}

static void on_done(void *arg, enum parlance_http_result result, const char *detail)
{
	assert_ptr_equal(arg, &n_done);
	n_done++;
	seen_result = (int)result;
	(void)snprintf(seen_detail, sizeof(seen_detail), "%s", detail);
	request = NULL;
}

static const struct parlance_http_sink http_sink = { sizeof(http_sink), on_head, on_data, on_done };

static void check_config(const struct http_request_config *c)
{
	assert_string_equal(c->method, "POST");
	assert_string_equal(c->url, "https://ai.example/v1");
	assert_int_equal(c->n_headers, 2);
	assert_true(slice_is(c->headers[0].name, "a"));
	assert_true(slice_is(c->headers[1].value, "d"));
	assert_true(slice_is(c->body, "body"));
	assert_int_equal(c->connect_timeout_ms, 1);
	assert_int_equal(c->first_byte_timeout_ms, 2);
	assert_int_equal(c->idle_timeout_ms, 3);
	assert_int_equal(c->total_timeout_ms, 4);
	assert_int_equal(c->max_response_bytes, 5);
}

static struct parlance_http *start(void)
{
	const struct parlance_http_header headers[] = { { str("a"), str("b") },
							{ str("c"), str("d") } };
	const struct parlance_http_request r = {
		.size = sizeof(r),
		.method = "POST",
		.url = "https://ai.example/v1",
		.headers = headers,
		.n_headers = 2,
		.body = str("body"),
		.connect_timeout_ms = 1,
		.first_byte_timeout_ms = 2,
		.idle_timeout_ms = 3,
		.total_timeout_ms = 4,
		.max_response_bytes = 5,
	};

	return host->http_start(host->ctx, &r, &http_sink, &n_done);
}

static void test_http(void **state)
{
	struct http_header headers[70];

	(void)state;
	n_done = 0;
	fake_http_on_start = check_config;
	request = start();
	assert_non_null(request);
	for (size_t i = 0; i < ARRAY_LEN(headers); i++)
		headers[i] = (struct http_header){ slice_str("last"), slice_str("value") };
	fake_http_last->ops->head(fake_http_last->arg, 200, headers, 3);
	assert_int_equal(seen_status, 200);
	assert_int_equal(seen_headers, 3);
	fake_http_last->ops->head(fake_http_last->arg, 201, headers, ARRAY_LEN(headers));
	assert_int_equal(seen_headers, ARRAY_LEN(headers));
	fake_http_last->ops->data(fake_http_last->arg, slice_str("piece"));
	assert_string_equal(seen_text, "piece");
	host->http_pause(request);
	assert_true(fake_http_last->paused);
	host->http_resume(request);
	assert_false(fake_http_last->paused);
	fake_http_done(fake_http_last, HTTP_DONE, NULL);
	assert_int_equal(seen_result, PARLANCE_HTTP_OK);
	assert_string_equal(seen_detail, "");
	request = start();
	fake_http_done(fake_http_last, HTTP_CUT, "broken");
	assert_int_equal(seen_result, PARLANCE_HTTP_CUT);
	assert_string_equal(seen_detail, "broken");
	request = start();
	host->http_cancel(request);
	assert_int_equal(n_done, 2);
	turn();
	assert_int_equal(n_done, 3);
	assert_int_equal(seen_result, PARLANCE_HTTP_CANCELED);
}

static void test_http_refused(void **state)
{
	struct parlance_http_request small = { .size = 8 };

	(void)state;
	n_done = 0;
	fake_http_rc = PARLANCE_EINVAL;
	request = start();
	assert_non_null(request);
	host->http_pause(request);
	host->http_resume(request);
	assert_int_equal(n_done, 0);
	turn();
	assert_int_equal(n_done, 1);
	assert_int_equal(seen_result, PARLANCE_HTTP_FAILED);
	request = start();
	host->http_cancel(request);
	turn();
	assert_int_equal(n_done, 2);
	assert_int_equal(seen_result, PARLANCE_HTTP_CANCELED);
	fake_http_rc = PARLANCE_ENOMEM;
	assert_null(start());
	fake_http_rc = 0;
	assert_null(host->http_start(host->ctx, &small, &http_sink, &n_done));
	assert_logged("a fault of the plugin: it begins a request with a struct that is too small");
	small.size = sizeof(small); /* without a URL */
	assert_non_null(host->http_start(host->ctx, &small, &http_sink, &n_done));
	turn();
	assert_int_equal(n_done, 3);
	assert_int_equal(seen_result, PARLANCE_HTTP_FAILED);
}

/* The client may be freed then. */
static void on_gone(void *arg)
{
	assert_int_equal(fake_http_open, 0);
	on_destroyed(arg);
}

static void destroy_with_requests(void)
{
	plugins_destroy(set, on_gone, &destroyed);
	run_until(destroyed);
}

static void cancel_it(void)
{
	host->http_cancel(request);
}

static void test_http_at_the_end(void **state)
{
	(void)state;
	n_done = 0;
	request = start();
	in_destroy = cancel_it;
	destroy_with_requests();
	/* It was asked for no more, and it is gone. */
	assert_int_equal(n_done, 0);
	assert_int_equal(fake_http_open, 0);
	assert_not_logged("fault");
}

/* ---- what is left behind ---- */

static void start_malformed(void)
{
	fake_http_rc = PARLANCE_EINVAL;
	assert_non_null(start());
}

static void test_leftovers(void **state)
{
	int fds[2];

	(void)state;
	n_done = 0;
	assert_int_equal(pipe(fds), 0);
	assert_non_null(host->watch_new(host->ctx, fds[0], PARLANCE_IO_READ, on_watch, &seen));
	host->timer_start(host->timer_new(host->ctx, on_timer, NULL), 1);
	assert_non_null(host->timer_new(host->ctx, on_timer, NULL));
	assert_non_null(start());
	in_destroy = start_malformed;
	host->count(host->ctx, "requests", 1);
	destroy_with_requests();
	assert_int_equal(n_done, 0);
	assert_int_equal(fake_http_open, 0);
	assert_string_equal(events, "D");
	assert_logged("auth_test:one: a fault of the plugin: at its end it has left 3 timers or "
		      "watches and 2 requests behind; they were freed");
	close(fds[0]);
	close(fds[1]);
}

/* ---- secrets ---- */

static char secret_path[] = "/tmp/parlance-test-secret-XXXXXX";

static void put_secret(const void *bytes, size_t len, mode_t mode)
{
	int fd = open(secret_path, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void check_secret(const char *source, const char *expected, const char *sentence)
{
	struct parlance_str out = { NULL, 0 };
	char err[256] = "";
	struct strbuf full;
	int rc = host->secret(host->ctx, source, &out, err, sizeof(err));

	if (sentence) {
		assert_int_equal(rc, -1);
		/* @ stands for the path. */
		strbuf_init(&full, SIZE_MAX);
		for (; *sentence; sentence++) {
			if (*sentence == '@')
				strbuf_append_str(&full, secret_path);
			else
				strbuf_append_char(&full, *sentence);
		}
		assert_string_equal(err, strbuf_cstr(&full));
		strbuf_fini(&full);
		return;
	}
	assert_string_equal(err, "");
	assert_int_equal(rc, 0);
	assert_string_equal(out.p, expected);
	assert_int_equal(out.len, strlen(expected));
}

static void test_secrets(void **state)
{
	static char big[65537];
	char source[128];
	int fd = mkstemp(secret_path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	put_secret("s3cret\n", 7, 0600);
	check_secret(secret_path, "s3cret", NULL);
	(void)snprintf(source, sizeof(source), "file:%s", secret_path);
	check_secret(source, "s3cret", NULL);
	put_secret("s3cret\n\n", 8, 0640);
	check_secret(secret_path, "s3cret\n", NULL);
	put_secret("s3cret", 6, 0644);
	check_secret(secret_path, NULL, "@ may be read or written by everybody; run chmod o-rwx @");
	put_secret("s3cret", 6, 0602);
	check_secret(secret_path, NULL, "@ may be read or written by everybody; run chmod o-rwx @");
	put_secret("\n", 1, 0600);
	check_secret(secret_path, NULL, "@ is empty; put the secret into it");
	put_secret("", 0, 0600);
	check_secret(secret_path, NULL, "@ is empty; put the secret into it");
	memset(big, 'x', sizeof(big));
	put_secret(big, sizeof(big), 0600);
	check_secret(secret_path, NULL, "@ is larger than a secret may be (65536 bytes)");
	put_secret(big, sizeof(big) - 1, 0600);
	big[sizeof(big) - 1] = '\0';
	check_secret(secret_path, big, NULL);
	check_secret("s3cret", NULL,
		     "a secret is named by its source: write file:/PATH, /PATH or credential:NAME");
	check_secret("/tmp", NULL, "/tmp is not a file; a secret is read from a plain file");
	check_secret("/nonexistent/key", NULL,
		     "/nonexistent/key cannot be read: No such file or directory");
	check_secret("credential:key", NULL,
		     "credential:key needs systemd: add LoadCredential=key:/PATH to the service "
		     "(CREDENTIALS_DIRECTORY is not set)");
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", "/tmp", 1), 0);
	put_secret("s3cret", 6, 0400);
	(void)snprintf(source, sizeof(source), "credential:%s", secret_path + 5);
	check_secret(source, "s3cret", NULL);
	check_secret("credential:../etc/passwd", NULL,
		     "\"credential:\" is followed by the name of a credential, without a slash");
	check_secret("credential:..", NULL,
		     "\"credential:\" is followed by the name of a credential, without a slash");
	check_secret("credential:", NULL,
		     "\"credential:\" is followed by the name of a credential, without a slash");
	(void)unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(unlink(secret_path), 0);
	/* A FIFO is refused, not waited for. */
	assert_int_equal(mkfifo(secret_path, 0600), 0);
	check_secret(secret_path, NULL, "@ is not a file; a secret is read from a plain file");
	assert_int_equal(unlink(secret_path), 0);
	destroy();
	assert_not_logged("s3cret");
}

/* ---- the rest ---- */

static struct strbuf counters;

static void on_counter(void *arg, const char *instance, const char *name, uint64_t n)
{
	assert_null(arg);
	strbuf_printf(&counters, "%s.%s=%llu\n", instance, name, (unsigned long long)n);
}

static void test_counters(void **state)
{
	char name[8] = "n_a";

	(void)state;
	strbuf_init(&counters, SIZE_MAX);
	host->count(host->ctx, "requests", 1);
	host->count(host->ctx, "errors", 2);
	host->count(host->ctx, "requests", 40);
	plugins_counters(set, on_counter, NULL);
	assert_string_equal(strbuf_cstr(&counters), "auth_test:one.requests=41\n"
						    "auth_test:one.errors=2\n");
	assert_not_logged("fault");
	host->count(host->ctx, "Bad-Name", 1);
	host->count(host->ctx, "", 1);
	host->count(host->ctx, NULL, 1);
	assert_logged("it counts under a name that is not [a-z_]+");
	for (size_t i = 0; i < 80; i++) {
		name[1] = (char)('a' + i % 26);
		name[2] = (char)('a' + i / 26);
		host->count(host->ctx, name, 1);
	}
	assert_int_equal(inst->n_counters, 64);
	strbuf_fini(&counters);
}

static void test_log_and_clocks(void **state)
{
	uint64_t mono = host->mono_ms(host->ctx);
	unsigned char random[32] = { 0 };
	unsigned char zero[32] = { 0 };

	(void)state;
	host->log(host->ctx, PARLANCE_LOG_NOTICE, "100%s of it");
	assert_logged("notice auth_test:one: 100%s of it");
	host->log(host->ctx, -1, "worst");
	assert_logged("err auth_test:one: worst");
	host->log(host->ctx, 99, "least");
	assert_logged("debug auth_test:one: least");
	host->log(host->ctx, PARLANCE_LOG_ERR, NULL);
	assert_true(mono > 0 && host->mono_ms(host->ctx) >= mono);
	assert_true(host->wall_ms(host->ctx) > 1600000000000);
	host->random(host->ctx, random, sizeof(random));
	assert_memory_not_equal(random, zero, sizeof(random));
}

static void chat_user_sockets(void *ctx, struct slice user,
			      void (*each)(void *arg, struct slice socket), void *arg)
{
	assert_ptr_equal(ctx, &counters);
	assert_true(slice_is(user, "alice"));
	each(arg, slice_str("s1"));
	each(arg, slice_str("s2"));
}

static struct slice chat_socket_user(void *ctx, struct slice socket)
{
	assert_ptr_equal(ctx, &counters);
	return slice_is(socket, "s1") ? slice_str("alice") : slice_of(NULL, 0);
}

static int chat_broadcast_user(void *ctx, struct slice user, struct slice event, struct slice json)
{
	assert_ptr_equal(ctx, &counters);
	return slice_is(user, "alice") && slice_is(event, "e") && slice_is(json, "{}") ?
		       0 :
		       PARLANCE_EINVAL;
}

static int chat_broadcast_conversation(void *ctx, struct slice conversation, struct slice event,
				       struct slice json)
{
	assert_ptr_equal(ctx, &counters);
	return slice_is(conversation, "c") && slice_is(event, "e") && slice_is(json, "{}") ?
		       0 :
		       PARLANCE_EINVAL;
}

static void chat_conversation_users(void *ctx, struct slice conversation,
				    void (*each)(void *arg, struct slice user), void *arg)
{
	assert_ptr_equal(ctx, &counters);
	assert_true(slice_is(conversation, "c"));
	each(arg, slice_str("u1"));
}

static bool chat_user_online(void *ctx, struct slice user)
{
	assert_ptr_equal(ctx, &counters);
	return slice_is(user, "alice");
}

static const struct plugins_chat chat = {
	chat_user_sockets,           chat_socket_user,        chat_broadcast_user,
	chat_broadcast_conversation, chat_conversation_users, chat_user_online,
};

static void on_each(void *arg, struct parlance_str item)
{
	assert_ptr_equal(arg, host);
	note(item.p[0]);
	note(item.p[1]);
}

static void test_chat(void **state)
{
	void *arg = (void *)(uintptr_t)host;

	(void)state;
	/* Nobody is online. */
	host->user_sockets(host->ctx, str("alice"), on_each, arg);
	host->conversation_users(host->ctx, str("c"), on_each, arg);
	assert_null(host->socket_user(host->ctx, str("s1")).p);
	assert_false(host->user_online(host->ctx, str("alice")));
	assert_int_equal(host->broadcast_user(host->ctx, str("alice"), str("e"), str("{}")), -1);
	assert_int_equal(host->broadcast_conversation(host->ctx, str("c"), str("e"), str("{}")), -1);
	assert_string_equal(events, "");
	plugins_set_chat(set, &chat, &counters);
	host->user_sockets(host->ctx, str("alice"), on_each, arg);
	host->conversation_users(host->ctx, str("c"), on_each, arg);
	assert_string_equal(events, "s1s2u1");
	assert_memory_equal(host->socket_user(host->ctx, str("s1")).p, "alice", 5);
	assert_null(host->socket_user(host->ctx, str("s3")).p);
	assert_true(host->user_online(host->ctx, str("alice")));
	assert_int_equal(host->broadcast_user(host->ctx, str("alice"), str("e"), str("{}")), 0);
	assert_int_equal(host->broadcast_user(host->ctx, str("bob"), str("e"), str("{}")), -1);
	assert_int_equal(host->broadcast_conversation(host->ctx, str("c"), str("e"), str("{}")), 0);
	assert_int_equal(host->broadcast_conversation(host->ctx, str("d"), str("e"), str("{}")), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_timers, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_watches, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_post, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_offload, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_busy, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_http, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_http_refused, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_http_at_the_end, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_leftovers, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_secrets, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_counters, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_log_and_clocks, begin, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_chat, begin, plugins_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
