/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * This process as the database knows it: a number, new with each start, and a lease that is
 * renewed. Answers belong to a number. Who finds that its lease ran out owns nothing any more and
 * registers anew; every instance ends the answers of those that are gone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "core/private.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/json_scan.h"

#define REAP_MS 5000
#define REAP_JITTER_MS 1000
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

static void on_registered(void *arg, const struct storage_answer *answer)
{
	struct core *core = arg;

	arena_reset(&core->scratch);
	core->registering = false;
	if (storage_code(answer, "instance_register") == CODE_NONE)
		core->instance = field_number(core, answer->json, "id");
	if (!core->instance) {
		beat_in(core, RETRY_MS);
		return;
	}
	log_info("chat", LOG_FIELDS(LOG_INT("instance", core->instance)),
		 "registered in the database");
	storage_set_instance(core->plugins, core->instance);
	beat_in(core, core->config->lease_beat_ms);
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
	params[2] = slice_of(NULL, 0);
	if (storage_call(core->plugins, PARLANCE_INSTANCE_REGISTER, params, 3,
			 core->config->storage_timeout_ms, on_registered, core) == 0)
		core->registering = true;
	else
		beat_in(core, RETRY_MS);
}

static void on_beaten(void *arg, const struct storage_answer *answer)
{
	struct core *core = arg;

	arena_reset(&core->scratch);
	/* Not told is not lost: the next beat will know. */
	if (storage_code(answer, "instance_beat") != CODE_NONE ||
	    !slice_is(field(core, answer->json, "ok"), "false"))
		return;
	log_warn("chat", LOG_FIELDS(LOG_INT("instance", core->instance)),
		 "the lease ran out: running answers were ended by others (was the process or the "
		 "database stopped?)");
	core->instance = 0;
	storage_set_instance(core->plugins, 0);
	generation_fence_all(core);
	if (!core->registering && !core->stopped)
		do_register(core);
}

static void on_beat_timer(struct timer *timer)
{
	struct core *core = CONTAINER_OF(timer, struct core, beat_timer);
	struct slice param;
	char text[24];

	if (!core->instance) {
		if (!core->registering)
			do_register(core);
		return;
	}
	param = instance_text(core, text);
	if (storage_call(core->plugins, PARLANCE_INSTANCE_BEAT, &param, 1,
			 core->config->lease_beat_ms, on_beaten, core) != 0)
		log_warn("chat", NULL, "out of memory");
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

	if (!core->reaping && storage_ready(core->plugins))
		core->reaping = storage_call(core->plugins, PARLANCE_INSTANCE_REAP, NULL, 0,
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
	    storage_call(core->plugins, PARLANCE_MAINTAIN, NULL, 0,
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
	if (!core->instance && !core->registering) {
		do_register(core);
		/* What a predecessor left behind, soon. */
		loop_timer_start(core->loop, &core->reap_timer, 1, on_reap_timer);
		loop_timer_start(core->loop, &core->maintain_timer, 1, on_maintain_timer);
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
	core->retiring = storage_call(core->plugins, PARLANCE_INSTANCE_RETIRE, &param, 1,
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
