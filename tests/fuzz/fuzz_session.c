/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Whole sessions: Socket.IO and the chat between browsers and a backend that do what the input says,
 * in any order: good and bad tokens, every event of the contract with good and bad fields, packets
 * cut short, a storage that answers late, wrongly or not at all, a feed with holes, answers, other
 * instances, memory that runs out, draining, stopping. No assertion fails; each request is answered
 * once at most, and exactly once when all becomes calm; nobody hears what is not for him; nothing is
 * left behind. One thread.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "session/world.h"
#include "base/clock.h"
#include "base/log.h"
#include "tests/unit/fake_time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 2000
#define EPOCH_MS INT64_C(1700000000000)
#define CALM_S 90

struct world w;

/* ---- the same for the same input: chance and time ---- */

static uint64_t chance;

/* In place of the system's. */
ssize_t getrandom(void *out, size_t len, unsigned int flags)
{
	unsigned char *to = out;

	(void)flags;
	for (size_t i = 0; i < len; i++) {
		chance = chance * UINT64_C(6364136223846793005) + 1442695040888963407U;
		to[i] = (unsigned char)(chance >> 56);
	}
	return (ssize_t)len;
}

/* What is left in the pool of id_random is of the input before. */
static void begin_chance(void)
{
	char byte;

	chance = 1;
	for (size_t i = 0; chance == 1 && i < 4096; i++)
		id_random(&byte, 1);
}

static uint64_t mono_ns(void *ctx)
{
	(void)ctx;
	return loop_now_ms(w.loop) * 1000000;
}

static int64_t wall_ms(void *ctx)
{
	(void)ctx;
	return EPOCH_MS + (int64_t)loop_now_ms(w.loop);
}

static const struct clock_source clock_source = { mono_ns, wall_ms, NULL };

/* ---- steps ---- */

static struct loop_task stop_task;

static void on_stop(struct loop_task *task)
{
	(void)task;
	loop_stop(w.loop);
}

void world_turn(void)
{
	stop_task.fn = on_stop;
	loop_defer(w.loop, &stop_task);
	TESTED(loop_run(w.loop));
}

void world_advance(uint64_t ms)
{
	uint64_t until = loop_now_ms(w.loop) + ms;
	bool fired;

	trace("%zu ms pass\n", (size_t)ms);
	world_turn();
	do {
		fault_let(true);
		fired = fake_time_step(until);
		fault_let(false);
		world_turn();
	} while (fired);
	clients_check();
}

struct strbuf *text_begin(const char *fmt, ...)
{
	va_list ap;

	strbuf_reset(&w.text);
	va_start(ap, fmt);
	strbuf_vprintf(&w.text, fmt, ap);
	va_end(ap);
	return &w.text;
}

const char *text_end(void)
{
	CHECK(strbuf_ok(&w.text));
	return strbuf_cstr(&w.text);
}

void trace(const char *fmt, ...)
{
	static int wanted = -1;
	va_list ap;

	if (wanted < 0)
		wanted = getenv("FUZZ_TRACE") != NULL;
	if (!wanted)
		return;
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
}

static void on_drained(void *arg)
{
	(void)arg;
	CHECK(w.drain_asked && ++w.n_drained == 1);
}

static void on_stopped(void *arg)
{
	(void)arg;
	CHECK(w.stop_asked && ++w.n_stopped == 1);
}

static void end_step(void)
{
	if (w.stop_asked || take(4) != 3)
		return;
	if (!w.drain_asked) {
		w.drain_asked = true;
		TESTED(core_drain(w.core, on_drained, NULL));
	} else {
		w.stop_asked = true;
		TESTED(core_stop(w.core, on_stopped, NULL));
	}
}

static void each_slice(void *arg, struct slice s)
{
	*(size_t *)arg += s.len;
}

/* What plugins ask of the chat. */
static void plugin_step(void)
{
	const struct plugins_chat *chat = w.plugins->chat;
	struct slice user = slice_str(any_user());
	struct slice conversation = slice_str(any_conversation());
	size_t n = 0;

	switch (take(5)) {
	case 0:
		TESTED((void)chat->broadcast_user(w.plugins->chat_ctx, user, slice_str("app:x"),
						  slice_str("{\"a\":1}")));
		break;
	case 1:
		TESTED((void)chat->broadcast_conversation(w.plugins->chat_ctx, conversation,
							  slice_str("app:x"), slice_str("{")));
		break;
	case 2:
		TESTED(chat->user_sockets(w.plugins->chat_ctx, user, each_slice, &n));
		break;
	case 3:
		TESTED(chat->conversation_users(w.plugins->chat_ctx, conversation, each_slice, &n));
		break;
	default:
		CHECK(!chat->socket_user(w.plugins->chat_ctx, slice_str("none")).len);
		(void)chat->user_online(w.plugins->chat_ctx, user);
		break;
	}
}

static void step(void)
{
	static const uint16_t pauses[] = { 1, 40, 50, 100, 250, 1000, 3000, 5000, 6000, 10000, 16000 };

	switch (take(16)) {
	case 12:
	case 13:
		world_advance(pauses[take(ARRAY_LEN(pauses))]);
		break;
	case 14:
		if (take(2))
			fault_set(1 + take(64));
		else
			end_step();
		break;
	case 15:
		plugin_step();
		break;
	case 0:
	case 1:
	case 2:
	case 3:
	case 4:
		client_step();
		break;
	default:
		backend_step();
		break;
	}
	world_turn();
	clients_check();
}

/* ---- the whole ---- */

static void configure(void)
{
	w.sio_config = (struct sio_config){
		.connect_timeout_ms = 45000,
		.authorize_timeout_ms = 20000,
		.max_namespaces = 2,
		.max_rooms = 4,
		.max_pending_acks = 4,
		.max_attachments = 3,
		.max_attachment_bytes = 24,
	};
	w.config = (struct core_config){
		.aliases = CORE_ALIASES_BOTH,
		.query_token = true,
		.auth_timeout_ms = 5000,
		.storage_timeout_ms = 5000,
		.history_messages = 50,
		.max_content_bytes = 1000,
		.max_title_bytes = 100,
		.max_metadata_bytes = 200,
		.max_json_depth = 32,
		.queue_depth = 3,
		.chunk_interval_ms = 40,
		.full_bytes_per_s = 65536,
		.max_answer_bytes = 30000,
		.answer_timeout_ms = 600000,
		.flush_interval_ms = 250,
		.flush_bytes = 2048,
		.typing_timeout_ms = 6000,
		.typing_repeat_ms = 2000,
		.lease_beat_ms = 3000,
		.heads_interval_ms = 10000,
		.relay_interval_ms = 50,
		.recovery_window_s = take(8) == 7 ? 0 : 120,
		.recovery_max_events = 100,
		.drain_timeout_ms = 10000,
		.drain_spread_ms = 3000,
		.shutdown_timeout_ms = 5000,
		.advertise = "192.0.2.7:80",
	};
}

static void begin(const uint8_t *data, size_t size)
{
	static int null_fd = -1;

	if (null_fd < 0)
		null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_KV, null_fd);
	memset(&w, 0, sizeof(w));
	w.in = data;
	w.left = size;
	fault_set(0);
	begin_chance();
	fake_time_reset();
	strbuf_init(&w.text, SIZE_MAX / 2);
	arena_init(&w.arena, 0);
	CHECK(loop_new(&w.loop) == 0);
	clock_set_source(&clock_source);
	configure();
	backend_setup();
	CHECK(sio_new(&w.sio, w.loop, &w.sio_config) == 0);
	w.plugins = fake_plugins_new(w.loop);
	CHECK(core_new(&w.core, w.loop, w.sio, w.plugins, &w.config) == 0);
	fake_storage_ready(w.plugins, true);
	fake_storage_feed(w.plugins, true);
}

static bool is_quiet(void)
{
	struct core_stats stats;

	core_stats(w.core, &stats);
	return !stats.generations && clients_answered();
}

/* Nobody does any more harm: what was asked is answered, and what was begun ends. */
static void become_calm(void)
{
	w.left = 0;
	w.calm = true;
	fault_set(0);
	w.plugins->refuse_call = w.plugins->refuse_answer = 0;
	w.plugins->hold_canceled = false;
	fake_storage_ready(w.plugins, true);
	fake_storage_feed(w.plugins, true);
	/* Two seconds more: whoever is answered once too often shows. */
	for (unsigned s = 0, quiet = 0; s < CALM_S && quiet < 3; s++) {
		backend_calm();
		world_advance(1000);
		quiet = is_quiet() ? quiet + 1 : 0;
	}
	CHECK(w.stop_asked || clients_answered());
}

static void end(void)
{
	struct core_stats stats;

	clients_close();
	world_turn();
	core_stats(w.core, &stats);
	CHECK(!stats.users && !stats.sockets);
	/* Nothing is left of what they did; after a stop, of what could not be stored. */
	if (w.calm && !w.stop_asked)
		CHECK(!stats.rooms && !stats.generations);
	fault_let(false);
	fake_plugins_close(w.plugins);
	core_free(&w.core);
	fake_plugins_free(&w.plugins);
	sio_free(&w.sio);
	loop_undefer(&stop_task);
	clock_set_source(NULL);
	loop_free(&w.loop);
	backend_free();
	strbuf_fini(&w.text);
	arena_fini(&w.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool calm;

	begin(data, size);
	calm = take(4) != 3;
	for (size_t i = 0; i < STEPS_MAX && w.left; i++)
		step();
	if (calm)
		become_calm();
	end();
	return 0;
}
