/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * This process as the database knows it: a number, new with each start, and a lease that is
 * renewed. Answers belong to a number. Who finds that its lease ran out owns nothing any more and
 * registers anew; every instance ends the answers of those that are gone. Each beat also tells of
 * the other instances, and of answers of ours that somebody elsewhere wants to end.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "core/private.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/json_scan.h"

#define REAP_MS 1500
#define REAP_JITTER_MS 1000
#define LEASE_MS 6000 /* as sql/005_instances.sql has it */
#define SILENCE_MS 4000 /* without an answer to a beat: leases may be about to run out */
#define OTHERS_MAX 256
#define MAINTAIN_MS 3600000
#define RETRY_MS 1000

static void on_beat_timer(struct timer *timer);
static void on_reap_timer(struct timer *timer);
static void on_maintain_timer(struct timer *timer);

static void beat_in(struct core *core, uint64_t delay_ms)
{
	if (!core->stopped)
		loop_timer_start(core->loop, &core->beat_timer, delay_ms, on_beat_timer);
}

static struct slice instance_text(const struct core *core, char text[24])
{
	(void)snprintf(text, 24, "%" PRId64, core->instance);
	return slice_str(text);
}

/* Nothing of what was ours is any more. */
static void become_nobody(struct core *core)
{
	core->instance = 0;
	core_tell_ready(core);
	storage_set_instance(core->plugins, 0);
	generation_fence_all(core);
}

static void on_registered(void *arg, const struct storage_answer *answer)
{
	struct core *core = arg;

	arena_reset(&core->scratch);
	core->registering = false;
	if (storage_code(answer, "instance_register") == CODE_NONE)
		core->instance = field_number(core, answer->json, "id");
	if (!core->instance) {
		beat_in(core, RETRY_MS);
		core_check_stopped(core);
		return;
	}
	core->was_registered = true;
	log_info("chat", LOG_FIELDS(LOG_INT("instance", core->instance)),
		 "registered in the database");
	storage_set_instance(core->plugins, core->instance);
	if (core->cluster.registered)
		core->cluster.registered(core->cluster_arg, (uint64_t)core->instance,
					 field_text(core, answer->json, "secret"));
	core_tell_ready(core);
	presence_restart(core);
	beat_in(core, 1);
	if (core->stopped)
		instance_retire(core);
}

static void do_register(struct core *core)
{
	struct slice params[3];
	char host[256] = "";
	char pid[24];

	if (gethostname(host, sizeof(host) - 1) < 0 || !host[0])
		(void)snprintf(host, sizeof(host), "unknown");
	(void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	params[0] = slice_str(host);
	params[1] = slice_str(pid);
	params[2] = slice_str(core->config->advertise);
	if (storage_call(core->plugins, PARLANCE_INSTANCE_REGISTER, STORAGE_NO_KEY, params, 3,
			 core->config->storage_timeout_ms, on_registered, core) == 0)
		core->registering = true;
	else
		beat_in(core, RETRY_MS);
}

static void register_anew(struct core *core)
{
	become_nobody(core);
	if (!core->registering && !core->stopped)
		do_register(core);
}

void instance_epoch(struct core *core, struct slice epoch)
{
	struct member *m;
	size_t pos = 0;
	bool first = !core->epoch[0];

	if (slice_is(epoch, core->epoch) || epoch.len > EPOCH_MAX)
		return;
	memset(core->epoch, 0, sizeof(core->epoch));
	if (!first)
		core->revoked_after[0] = '\0'; /* a transaction of the other one */
	memcpy(core->epoch, epoch.p, epoch.len);
	if (first)
		return;
	log_warn("chat", NULL,
		 "the database has another history (a standby took over, or a backup was restored): "
		 "clients begin anew");
	while ((m = map_next(core->members, &pos))) {
		struct sio_socket *s = sio_lookup(core->sio, m->socket);

		if (s)
			sio_disconnect(s, true);
	}
	feed_forget(core);
	register_anew(core);
}

static void take_others(struct core *core, struct slice json)
{
	struct core_peer peers[OTHERS_MAX];
	struct slice *list;
	size_t n_peers = 0;
	size_t n;

	if (json_scan_array(json, &core->scratch, OTHERS_MAX, &list, &n) != 0)
		return;
	core->n_others = n;
	for (size_t i = 0; i < n; i++) {
		struct slice address = field_text(core, list[i], "address");
		int64_t number = field_number(core, list[i], "id");

		if (!address.len || number <= 0)
			continue;
		address.p = arena_strndup(&core->scratch, address.p, address.len);
		if (address.p)
			peers[n_peers++] = (struct core_peer){ (uint64_t)number, address.p };
	}
	if (core->cluster.peers)
		core->cluster.peers(core->cluster_arg, peers, n_peers);
}

static void take_stops(struct core *core, struct slice json)
{
	struct slice *list;
	struct slice id;
	size_t n;

	if (json_scan_array(json, &core->scratch, SIZE_MAX, &list, &n) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct generation *g;

		if (field_uuid(core, list[i], &id) != FIELD_OK)
			continue;
		g = generation_find(core, id);
		if (g)
			(void)generation_stop(g);
	}
}

/* Others may have waited as long as we do. */
static bool is_silent(const struct core *core)
{
	return loop_now_ms(core->loop) - core->beaten_ms > SILENCE_MS;
}

static void on_beaten(void *arg, const struct storage_answer *answer)
{
	static const char *const keys[] = { "ok", "epoch", "instances", "stops" };
	struct core *core = arg;
	struct slice v[ARRAY_LEN(keys)];
	struct slice epoch;

	bool ours = core->beating == core->instance;

	arena_reset(&core->scratch);
	core->beating = 0;
	if (core->beat_again) {
		core->beat_again = false;
		instance_beat(core);
	}
	if (!ours)
		return; /* of a number that we had */
	/* Not told is not lost: the next beat will know. */
	if (storage_code(answer, "instance_beat") != CODE_NONE) {
		core->beating_since_ms = 0;
		return;
	}
	fields(core, answer->json, keys, ARRAY_LEN(keys), v);
	if (!slice_is(v[0], "true")) {
		core->beating_since_ms = 0;
		log_warn("chat", LOG_FIELDS(LOG_INT("instance", core->instance)),
			 "the lease ran out: running answers were ended by others (was the process "
			 "or the database stopped?)");
		register_anew(core);
		return;
	}
	if (!core->beating_since_ms || is_silent(core))
		core->beating_since_ms = loop_now_ms(core->loop);
	core->beaten_ms = loop_now_ms(core->loop);
	if (field_string(core, v[1], EPOCH_MAX, &epoch) == FIELD_OK)
		instance_epoch(core, epoch);
	take_others(core, v[2]);
	take_stops(core, v[3]);
}

void instance_beat(struct core *core)
{
	struct slice params[2];
	char text[24];

	if (!core->instance)
		return;
	if (core->beating) {
		core->beat_again = true;
		return;
	}
	params[0] = instance_text(core, text);
	params[1] = slice_str(map_count(core->watched) ? "true" : "false");
	if (storage_call(core->plugins, PARLANCE_INSTANCE_BEAT, STORAGE_NO_KEY, params, 2,
			 core->config->storage_timeout_ms, on_beaten, core) == 0)
		core->beating = core->instance;
}

static void on_beat_timer(struct timer *timer)
{
	struct core *core = CONTAINER_OF(timer, struct core, beat_timer);

	if (!core->instance) {
		if (!core->registering)
			do_register(core);
		return;
	}
	instance_beat(core);
	beat_in(core, core->config->lease_beat_ms);
}

static void on_reaped(void *arg, const struct storage_answer *answer)
{
	struct core *core = arg;
	int64_t n;

	arena_reset(&core->scratch);
	core->reaping = false;
	if (storage_code(answer, "instance_reap") != CODE_NONE)
		return;
	n = field_number(core, answer->json, "instances");
	if (n)
		log_notice("chat",
			   LOG_FIELDS(LOG_INT("instances", n),
				      LOG_INT("answers",
					      field_number(core, answer->json, "interrupted"))),
			   "ended what instances that are gone left behind");
}

static void reap_later(struct core *core)
{
	uint32_t jitter;

	id_random(&jitter, sizeof(jitter));
	loop_timer_start(core->loop, &core->reap_timer, REAP_MS + jitter % REAP_JITTER_MS,
			 on_reap_timer);
}

static void on_reap_timer(struct timer *timer)
{
	struct core *core = CONTAINER_OF(timer, struct core, reap_timer);

	/* Who was away himself cannot tell who was not: he gives the others the time of a lease. */
	if (!core->reaping && storage_ready(core->plugins) && core->beating_since_ms &&
	    !is_silent(core) && loop_now_ms(core->loop) - core->beating_since_ms >= LEASE_MS)
		core->reaping = storage_call(core->plugins, PARLANCE_INSTANCE_REAP, STORAGE_NO_KEY, NULL, 0,
					     core->config->storage_timeout_ms, on_reaped,
					     core) == 0;
	reap_later(core);
}

static void on_maintained(void *arg, const struct storage_answer *answer)
{
	(void)arg;
	(void)storage_code(answer, "maintain");
}

static void on_maintain_timer(struct timer *timer)
{
	struct core *core = CONTAINER_OF(timer, struct core, maintain_timer);

	if (storage_ready(core->plugins) &&
	    storage_call(core->plugins, PARLANCE_MAINTAIN, STORAGE_NO_KEY, NULL, 0,
			 core->config->storage_timeout_ms, on_maintained, core) != 0)
		log_warn("chat", NULL, "out of memory");
	loop_timer_start(core->loop, timer, MAINTAIN_MS, on_maintain_timer);
}

void instance_start(struct core *core)
{
	loop_timer_start(core->loop, &core->maintain_timer, MAINTAIN_MS, on_maintain_timer);
	reap_later(core);
}

void instance_ready(struct core *core, bool ready)
{
	if (!ready || core->stopped)
		return;
	if (core->registering)
		return;
	if (!core->instance) {
		do_register(core);
		loop_timer_start(core->loop, &core->maintain_timer, 1, on_maintain_timer);
	} else {
		instance_beat(core); /* the lease may be about to run out */
	}
}

static void on_retired(void *arg, const struct storage_answer *answer)
{
	struct core *core = arg;

	arena_reset(&core->scratch);
	(void)storage_code(answer, "instance_retire");
	core->instance = 0;
	core->retiring = false;
	core_check_stopped(core);
}

void instance_retire(struct core *core)
{
	struct slice param;
	char text[24];

	if (!core->instance || core->retiring)
		return;
	param = instance_text(core, text);
	core->retiring = storage_call(core->plugins, PARLANCE_INSTANCE_RETIRE, STORAGE_NO_KEY, &param, 1,
				      core->config->storage_timeout_ms, on_retired, core) == 0;
	if (!core->retiring)
		core->instance = 0;
}

void instance_stop(struct core *core)
{
	timer_stop(&core->beat_timer);
	timer_stop(&core->reap_timer);
	timer_stop(&core->maintain_timer);
}
