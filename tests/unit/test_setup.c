/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * From options to the layers' configurations: what arrives where, and what is refused with which
 * sentence. net_listen is a fake that notes how it was called.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include <cmocka.h>

#include "config.h"

#include "setup.h"

#include "base/err.h"
#include "base/log.h"

static struct setup s;
static struct strbuf errors;

/* ---- the fake ---- */

#define LISTENERS_MAX 4

static struct net_listener_config listeners[LISTENERS_MAX];
static size_t n_listeners;
static size_t refuse_at; /* the call that fails; SIZE_MAX: none */

int net_listen(struct net *net, const struct net_listener_config *config, struct strbuf *err)
{
	assert_null(net);
	assert_true(n_listeners < LISTENERS_MAX);
	listeners[n_listeners] = *config;
	if (n_listeners++ < refuse_at)
		return 0;
	strbuf_append_str(err, "refused");
	return PARLANCE_ESYS;
}

static int setup(void **state)
{
	(void)state;
	strbuf_init(&errors, SIZE_MAX);
	n_listeners = 0;
	refuse_at = SIZE_MAX;
	return unsetenv("CORS_ORIGIN");
}

static int teardown(void **state)
{
	(void)state;
	setup_fini(&s);
	strbuf_fini(&errors);
	return s.conf || s.trusted_proxies;
}

static void load_ok(const char *const *overrides, size_t n)
{
	int rc = setup_load(&s, NULL, overrides, n, &errors);

	assert_string_equal(strbuf_cstr(&errors), "");
	assert_int_equal(rc, 0);
}

static void check_refused(const char *const *overrides, size_t n, const char *sentences)
{
	strbuf_reset(&errors);
	assert_int_equal(setup_load(&s, NULL, overrides, n, &errors), PARLANCE_EINVAL);
	assert_string_equal(strbuf_cstr(&errors), sentences);
	setup_fini(&s);
}

static void check_refused_one(const char *override, const char *sentence)
{
	check_refused(&override, 1, sentence);
}

/* ---- what arrives ---- */

static void test_defaults(void **state)
{
	(void)state;
	load_ok(NULL, 0);
	assert_string_equal(s.net.path, "/socket.io/");
	assert_int_equal(s.net.ping_interval_ms, 25000);
	assert_int_equal(s.net.ping_timeout_ms, 20000);
	assert_int_equal(s.net.max_payload_bytes, 1000000);
	assert_false(s.net.websocket_compression);
	assert_int_equal(s.net.n_cors_origins, 0);
	assert_true(s.net.cors_credentials);
	assert_true(s.net.allow_no_origin);
	assert_int_equal(s.net.n_trusted_proxies, 0);
	assert_int_equal(s.sio.connect_timeout_ms, 45000);
	assert_true(s.net.queue_low_bytes < s.net.queue_high_bytes);
	assert_true(s.net.queue_high_bytes < s.net.queue_soft_bytes);
	assert_true(s.net.queue_soft_bytes < s.net.queue_hard_bytes);
}

/* A value of its own for each number, so that none can stand in for another. */
static void test_numbers_arrive(void **state)
{
#define NET(member) &s.net.member, sizeof(s.net.member)
#define SIO(member) &s.sio.member, sizeof(s.sio.member)
#define CHAT(member) &s.chat.member, sizeof(s.chat.member)
#define HTTP(member) &s.http_client.member, sizeof(s.http_client.member)
	static const struct {
		const char *override;
		const void *at;
		size_t size;
		uint64_t value;
	} rows[] = {
		{ "engine.ping_interval_ms=101", NET(ping_interval_ms), 101 },
		{ "engine.ping_timeout_ms=102", NET(ping_timeout_ms), 102 },
		{ "engine.upgrade_timeout_ms=103", NET(upgrade_timeout_ms), 103 },
		{ "engine.connect_timeout_ms=104", SIO(connect_timeout_ms), 104 },
		{ "engine.max_payload_bytes=268435456", NET(max_payload_bytes), 268435456 },
		{ "engine.compression_threshold_bytes=105", NET(compression_threshold_bytes), 105 },
		{ "socket.authorize_timeout_ms=106", SIO(authorize_timeout_ms), 106 },
		{ "socket.max_namespaces=107", SIO(max_namespaces), 107 },
		{ "socket.max_rooms=108", SIO(max_rooms), 108 },
		{ "socket.max_pending_acks=120", SIO(max_pending_acks), 120 },
		{ "socket.max_attachments=109", SIO(max_attachments), 109 },
		{ "chat.auth_timeout_ms=301", CHAT(auth_timeout_ms), 301 },
		{ "chat.storage_timeout_ms=302", CHAT(storage_timeout_ms), 302 },
		{ "chat.history_messages=303", CHAT(history_messages), 303 },
		{ "chat.max_content_bytes=304", CHAT(max_content_bytes), 304 },
		{ "chat.max_title_bytes=305", CHAT(max_title_bytes), 305 },
		{ "chat.max_metadata_bytes=306", CHAT(max_metadata_bytes), 306 },
		{ "chat.chunk_interval_ms=307", CHAT(chunk_interval_ms), 307 },
		{ "chat.answer_timeout_ms=308", CHAT(answer_timeout_ms), 308 },
		{ "chat.flush_interval_ms=309", CHAT(flush_interval_ms), 309 },
		{ "chat.flush_bytes=310", CHAT(flush_bytes), 310 },
		{ "chat.typing_timeout_ms=311", CHAT(typing_timeout_ms), 311 },
		{ "chat.typing_repeat_ms=312", CHAT(typing_repeat_ms), 312 },
		{ "chat.lease_beat_ms=313", CHAT(lease_beat_ms), 313 },
		{ "chat.heads_interval_ms=314", CHAT(heads_interval_ms), 314 },
		{ "chat.shutdown_timeout_ms=315", CHAT(shutdown_timeout_ms), 315 },
		{ "chat.queue_depth=98", CHAT(queue_depth), 98 },
		{ "chat.full_bytes_per_s=5001", CHAT(full_bytes_per_s), 5001 },
		{ "chat.max_answer_bytes=5002", CHAT(max_answer_bytes), 5002 },
		{ "chat.aliases=past", CHAT(aliases), CORE_ALIASES_PAST },
		{ "http_client.max_connections=401", HTTP(max_connections), 401 },
		{ "http_client.max_connections_per_host=402", HTTP(max_connections_per_host), 402 },
		{ "http_client.connect_timeout_ms=403", HTTP(connect_timeout_ms), 403 },
		{ "http_client.first_byte_timeout_ms=404", HTTP(first_byte_timeout_ms), 404 },
		{ "http_client.idle_timeout_ms=405", HTTP(idle_timeout_ms), 405 },
		{ "http_client.total_timeout_ms=406", HTTP(total_timeout_ms), 406 },
		{ "web.max_bytes=501", NET(web_max_bytes), 501 },
		{ "web.max_files=502", NET(web_max_files), 502 },
		{ "socket.max_attachment_bytes=1073741824", SIO(max_attachment_bytes), 1073741824 },
		{ "cors.max_age_s=110", NET(cors_max_age_s), 110 },
		{ "limits.max_connections=111", NET(max_connections), 111 },
		{ "limits.max_connections_per_address=112", NET(max_connections_per_address), 112 },
		{ "limits.handshakes_per_second_per_address=113",
		  NET(handshakes_per_second_per_address), 113 },
		{ "limits.handshake_burst_per_address=114", NET(handshake_burst_per_address), 114 },
		{ "limits.header_timeout_ms=115", NET(header_timeout_ms), 115 },
		{ "limits.body_timeout_ms=116", NET(body_timeout_ms), 116 },
		{ "limits.idle_timeout_ms=117", NET(idle_timeout_ms), 117 },
		{ "limits.max_header_bytes=2000", NET(max_header_bytes), 2000 },
		{ "limits.queue_low_bytes=118", NET(queue_low_bytes), 118 },
		{ "limits.queue_high_bytes=2001", NET(queue_high_bytes), 2001 },
		{ "limits.queue_soft_bytes=2002", NET(queue_soft_bytes), 2002 },
		{ "limits.queue_soft_s=119", NET(queue_soft_seconds), 119 },
		{ "limits.queue_hard_bytes=1073741824", NET(queue_hard_bytes), 1073741824 },
	};
#undef NET
#undef SIO
#undef CHAT
#undef HTTP
	const char *overrides[ARRAY_LEN(rows)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		overrides[i] = rows[i].override;
	load_ok(overrides, ARRAY_LEN(rows));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t wide = 0;
		uint32_t narrow = 0;

		if (rows[i].size == sizeof(narrow)) {
			memcpy(&narrow, rows[i].at, sizeof(narrow));
			wide = narrow;
		} else {
			memcpy(&wide, rows[i].at, sizeof(wide));
		}
		if (wide != rows[i].value)
			fail_msg("%s: arrived as %llu", rows[i].override, (unsigned long long)wide);
	}
}

static void test_others_arrive(void **state)
{
	static const char *const overrides[] = {
		"engine.path=/chat",
		"engine.websocket_compression=yes",
		"cors.origins=https://chat.example, https://*.example:8443",
		"cors.credentials=no",
		"cors.allow_no_origin=no",
		"limits.trusted_proxies=10.0.0.0/8, unix",
	};
	struct ip_addr proxy;
	struct ip_addr stranger;
	static const struct ip_addr unix_peer;

	(void)state;
	load_ok(overrides, ARRAY_LEN(overrides));
	assert_string_equal(s.net.path, "/chat");
	assert_true(s.net.websocket_compression);
	assert_int_equal(s.net.n_cors_origins, 2);
	assert_string_equal(s.net.cors_origins[0], "https://chat.example");
	assert_string_equal(s.net.cors_origins[1], "https://*.example:8443");
	assert_false(s.net.cors_credentials);
	assert_false(s.net.allow_no_origin);
	assert_int_equal(s.net.n_trusted_proxies, 2);
	assert_int_equal(ip_parse(slice_str("10.255.0.1"), &proxy), 0);
	assert_int_equal(ip_parse(slice_str("11.0.0.1"), &stranger), 0);
	assert_true(ip_net_has(s.net.trusted_proxies, 2, &proxy));
	assert_true(ip_net_has(s.net.trusted_proxies, 2, &unix_peer));
	assert_false(ip_net_has(s.net.trusted_proxies, 2, &stranger));
}

static void test_origins_from_environment(void **state)
{
	static const char *const overrides[] = { "cors.origins=https://b.example" };

	(void)state;
	assert_int_equal(setenv("CORS_ORIGIN", "https://a.example,http://localhost:5173", 1), 0);
	load_ok(NULL, 0);
	assert_int_equal(s.net.n_cors_origins, 2);
	assert_string_equal(s.net.cors_origins[0], "https://a.example");
	assert_string_equal(s.net.cors_origins[1], "http://localhost:5173");
	setup_fini(&s);
	/* The environment replaces the default only. */
	load_ok(overrides, 1);
	assert_int_equal(s.net.n_cors_origins, 1);
	assert_string_equal(s.net.cors_origins[0], "https://b.example");
	setup_fini(&s);
	assert_int_equal(setenv("CORS_ORIGIN", "https://a.example/", 1), 0);
	check_refused(NULL, 0,
		      "[cors] origins: \"https://a.example/\" is no origin (write https://host, "
		      "https://host:port, https://*.host or *, in lower case, without a path)\n");
}

/* ---- what is refused ---- */

#define IS_NO_ORIGIN                                                                         \
	" is no origin (write https://host, https://host:port, https://*.host or *, in lower " \
	"case, without a path)\n"
#define IS_NO_NETWORK " is no address or network (write 10.0.0.0/8, ::1 or unix)\n"

static void test_refused(void **state)
{
	static const char path[] =
		"[engine] path must begin with a slash and hold none of \" ?%#\"\n";
	static const char order[] = "[limits] queue_high_bytes, queue_soft_bytes and "
				    "queue_hard_bytes must ascend\n";
	static const char pair[] = "[listener main] tls_cert and tls_key go together\n";
	static const char mode[] = "[listener main] unix_mode is an octal number, like 0660\n";

	(void)state;
	check_refused_one("engine.path=socket.io", path);
	check_refused_one("engine.path=/a?b", path);
	check_refused_one("engine.path=/a%20b", path);
	check_refused_one("limits.queue_low_bytes=524289",
			  "[limits] queue_low_bytes must not be above queue_high_bytes\n");
	check_refused_one("limits.queue_high_bytes=2097153", order);
	check_refused_one("limits.queue_soft_bytes=16777217", order);
	check_refused_one("listener.main.tls_cert=/etc/cert.pem", pair);
	check_refused_one("listener.main.tls_key=/etc/key.pem", pair);
	check_refused_one("listener.main.proxy_protocol=yes",
			  "[listener main] proxy_protocol needs [limits] trusted_proxies\n");
	check_refused_one("listener.main.unix_mode=0668", mode);
	check_refused_one("listener.main.unix_mode=rw-", mode);
	check_refused_one("cors.origins=chat.example",
			  "[cors] origins: \"chat.example\"" IS_NO_ORIGIN);
	check_refused_one("limits.trusted_proxies=10.0.0.1/8",
			  "[limits] trusted_proxies: \"10.0.0.1/8\"" IS_NO_NETWORK);
}

/* All problems are told at once, the bad items of a list each for itself. */
static void test_refused_together(void **state)
{
	static const char *const overrides[] = {
		"engine.path=chat",
		"cors.origins=https://good.example,HTTPS://bad.example,ftp",
		"limits.trusted_proxies=::1,nonsense",
		"listener.second.tls_key=k",
	};

	(void)state;
	check_refused(overrides, ARRAY_LEN(overrides),
		      "[engine] path must begin with a slash and hold none of \" ?%#\"\n"
		      "[listener second] tls_cert and tls_key go together\n"
		      "[limits] trusted_proxies: \"nonsense\"" IS_NO_NETWORK
		      "[cors] origins: \"HTTPS://bad.example\"" IS_NO_ORIGIN
		      "[cors] origins: \"ftp\"" IS_NO_ORIGIN);
	/* What the parser refuses does not get so far. */
	assert_int_equal(setup_load(&s, "/nonexistent/parlance.conf", NULL, 0, &errors),
			 PARLANCE_ENOENT);
}

/* ---- what is done with it ---- */

static void test_listener_defaults(void **state)
{
	(void)state;
	load_ok(NULL, 0);
	assert_int_equal(setup_listen(&s, NULL, &errors), 0);
	assert_int_equal(n_listeners, 1);
	assert_string_equal(listeners[0].name, "main");
	assert_string_equal(listeners[0].address, "127.0.0.1:3000");
	assert_int_equal(listeners[0].unix_mode, 0660);
	assert_false(listeners[0].reuse_port);
	assert_false(listeners[0].proxy_protocol);
	assert_string_equal(listeners[0].tls_cert, "");
	assert_string_equal(listeners[0].tls_key, "");
	assert_int_equal(listeners[0].tls_min_version, NET_TLS_1_2);
	assert_false(listeners[0].admin);
}

static void test_listeners(void **state)
{
	static const char *const overrides[] = {
		"listener.public.address=[::]:443",
		"listener.public.tls_cert=/etc/cert.pem",
		"listener.public.tls_key=/etc/key.pem",
		"listener.public.tls_min_version=1.3",
		"listener.public.reuse_port=yes",
		"listener.proxy.address=unix:/run/parlance.sock",
		"listener.proxy.unix_mode=0600",
		"listener.proxy.proxy_protocol=yes",
		"listener.proxy.admin=yes",
		"limits.trusted_proxies=unix",
	};

	(void)state;
	load_ok(overrides, ARRAY_LEN(overrides));
	assert_int_equal(setup_listen(&s, NULL, &errors), 0);
	assert_int_equal(n_listeners, 2); /* those that were named, and no other */
	assert_string_equal(listeners[0].name, "public");
	assert_string_equal(listeners[0].address, "[::]:443");
	assert_string_equal(listeners[0].tls_cert, "/etc/cert.pem");
	assert_string_equal(listeners[0].tls_key, "/etc/key.pem");
	assert_int_equal(listeners[0].tls_min_version, NET_TLS_1_3);
	assert_true(listeners[0].reuse_port);
	assert_false(listeners[0].proxy_protocol);
	assert_string_equal(listeners[1].name, "proxy");
	assert_int_equal(listeners[1].unix_mode, 0600);
	assert_true(listeners[1].proxy_protocol);
	assert_true(listeners[1].admin);
	assert_false(listeners[0].admin);
	assert_false(listeners[1].reuse_port);
	/* The first that cannot be opened ends it. */
	n_listeners = 0;
	refuse_at = 0;
	assert_int_equal(setup_listen(&s, NULL, &errors), PARLANCE_ESYS);
	assert_int_equal(n_listeners, 1);
	assert_string_equal(strbuf_cstr(&errors), "refused");
}

static void test_log(void **state)
{
	static const char *const overrides[] = { "log.level=warning", "log.format=json" };

	(void)state;
	load_ok(NULL, 0);
	setup_log(&s);
	assert_true(log_enabled(LOG_LEVEL_INFO));
	assert_false(log_enabled(LOG_LEVEL_DEBUG));
	setup_fini(&s);
	load_ok(overrides, 2);
	setup_log(&s);
	assert_true(log_enabled(LOG_LEVEL_WARN));
	assert_false(log_enabled(LOG_LEVEL_NOTICE));
}

/* Root's rights, and calls by their names. */
static void test_process(void **state)
{
	static const char *const allowed[] = { "process.allow_root=yes" };
	static const char *const call[] = { "process.seccomp_allow=nice, execve" };

	(void)state;
	load_ok(call, 1);
	assert_int_equal(setup_process(&s, &errors), geteuid() ? 0 : PARLANCE_EDENIED);
	assert_string_equal(strbuf_cstr(&errors),
			    geteuid() ? "" :
			    "parlanced does not run as root, whose rights it does not need: start it "
			    "as a user of its own (User= in the unit, or runuser -u USER), or set "
			    "allow_root = yes in [process]\n");
	setup_fini(&s);
	strbuf_reset(&errors);
	load_ok(allowed, 1);
	assert_int_equal(setup_process(&s, &errors), 0);
#ifdef HAVE_LIBSECCOMP
	setup_fini(&s);
	check_refused_one("process.seccomp_allow=read, raed",
			  "[process] seccomp_allow: \"raed\" is no system call\n");
#endif
}

/* What setup_prepare says, "" for nothing. */
static const char *files_said(void)
{
	static char text[1024];
	ssize_t n;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_JSON, fds[1]);
	setup_prepare(&s);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_KV, STDERR_FILENO);
	close(fds[1]);
	n = read(fds[0], text, sizeof(text) - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	close(fds[0]);
	return text;
}

static void check_open_files(rlim_t expected)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(limit.rlim_cur, expected);
}

/* The last test: a hard limit does not go up again. */
static void test_open_files(void **state)
{
	static const char *const few[] = { "limits.max_connections=1" };
	static const char *const some[] = { "limits.max_connections=100" };
	static const char *const many[] = { "limits.max_connections=1000000" };
	struct rlimit limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(limit.rlim_max >= 400);
	limit.rlim_cur = limit.rlim_max = 400;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	/* 256 more than connections: down as well as up. */
	load_ok(few, 1);
	assert_string_equal(files_said(), "");
	check_open_files(257);
	setup_fini(&s);
	load_ok(some, 1);
	assert_string_equal(files_said(), "");
	check_open_files(356);
	setup_fini(&s);
	load_ok(many, 1);
	assert_non_null(strstr(files_said(), "limits.max_connections cannot be reached"));
	check_open_files(400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others_arrive, setup, teardown),
		cmocka_unit_test_setup_teardown(test_origins_from_environment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_together, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listener_defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listeners, setup, teardown),
		cmocka_unit_test_setup_teardown(test_log, setup, teardown),
		cmocka_unit_test_setup_teardown(test_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open_files, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
