/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The chat as a whole: made, ended, freed. */
#include "core/private.h"
#include "base/err.h"
#include "base/log.h"

#define SCRATCH_MAX ((size_t)64 << 20) /* what one callback may take apart */

static void on_disconnect(void *ctx, struct sio_socket *socket, const char *reason)
{
	struct core *core = ctx;
	struct member *m = member_of(socket);

	(void)reason;
	sio_set_user(socket, NULL);
	if (m)
		member_free(&m);
	if (core->draining)
		core_check_stopped(core);
}

static void on_drain(void *ctx, struct sio_socket *socket)
{
	struct member *m = member_of(socket);

	(void)ctx;
	if (m)
		stream_drained(m);
}

static const struct sio_nsp_ops nsp_ops = {
	.connect = admit_connect,
	.event = event_receive,
	.drain = on_drain,
	.disconnect = on_disconnect,
	.offset = recovery_offset,
};

static struct slice user_key(const void *item)
{
	return user_id(item);
}

static struct slice member_key(const void *item)
{
	return ((const struct member *)item)->sid;
}

static struct slice room_key(const void *item)
{
	return slice_of(((const struct feed_room *)item)->id, ID_UUID_LEN);
}

static struct slice generation_key(const void *item)
{
	return slice_of(((const struct generation *)item)->out.message, ID_UUID_LEN);
}

static struct slice relay_key(const void *item)
{
	return slice_of(((const struct relay *)item)->out.message, ID_UUID_LEN);
}

int core_new(struct core **out, struct loop *loop, struct sio *sio, struct plugins *plugins,
	     const struct core_config *config)
{
	struct core *core = calloc(1, sizeof(*core));

	if (!core)
		return PARLANCE_ENOMEM;
	core->loop = loop;
	core->sio = sio;
	core->plugins = plugins;
	core->config = config;
	arena_init(&core->scratch, SCRATCH_MAX);
	strbuf_init(&core->json, SIZE_MAX / 2);
	strbuf_init(&core->presence_gone, SIZE_MAX / 2);
	strbuf_init(&core->presence_changed, SIZE_MAX / 2);
	list_init(&core->unflushed);
	list_init(&core->relayed);
	list_init(&core->outbox);
	list_init(&core->presence_dirty);
	core->users = map_new(user_key);
	core->members = map_new(member_key);
	core->rooms = map_new(room_key);
	core->generations = map_new(generation_key);
	core->relays = map_new(relay_key);
	core->watched = map_new(presence_key);
	core->askers = map_new(asker_key);
	if (core->users && core->members && core->rooms && core->generations && core->relays &&
	    core->watched && core->askers)
		core->nsp = sio_namespace(sio, "/", &nsp_ops, core);
	if (!core->nsp) {
		core_free(&core);
		return PARLANCE_ENOMEM;
	}
	storage_listen(plugins, &feed_listener, core);
	plugins_set_chat(plugins, &users_chat, core);
	feed_start(core);
	instance_start(core);
	*out = core;
	return 0;
}

/* Readiness */

void core_tell_ready(struct core *core)
{
	const char *why_not = NULL;

	if (core->draining)
		why_not = "draining";
	else if (!storage_ready(core->plugins))
		why_not = "the storage is away";
	else if (!core->feed_up)
		why_not = "the feed of events is down";
	else if (!core->instance)
		why_not = "not registered in the database";
	if (core->cluster.ready)
		core->cluster.ready(core->cluster_arg, why_not);
}

void core_set_cluster(struct core *core, const struct core_cluster_ops *ops, void *arg)
{
	core->cluster = *ops;
	core->cluster_arg = arg;
	core_tell_ready(core);
}

static void on_stop_task(struct loop_task *task)
{
	core_check_stopped(CONTAINER_OF(task, struct core, stop_task));
}

/* Draining: sockets are let go one after the other, answers come to their end. */

static void drained(struct core *core)
{
	void (*fn)(void *arg) = core->drained;

	core->drained = NULL;
	timer_stop(&core->stop_timer);
	fn(core->drained_arg);
}

static void on_drain_timer(struct timer *timer)
{
	struct core *core = CONTAINER_OF(timer, struct core, stop_timer);

	log_warn("chat",
		 LOG_FIELDS(LOG_UINT("answers", map_count(core->generations)),
			    LOG_UINT("sockets", map_count(core->members))),
		 "not all answers came to their end before chat.drain_timeout_ms");
	drained(core);
}

static void on_let_go(struct timer *timer)
{
	struct member *m = CONTAINER_OF(timer, struct member, drain_timer);
	struct sio_socket *s = sio_lookup(m->core->sio, m->socket);

	/* Its transport alone: it comes back, elsewhere. */
	if (s)
		sio_disconnect(s, true);
}

static void let_go(struct core *core, struct member *m)
{
	uint32_t spread = core->config->drain_spread_ms;
	uint32_t random;
	uint64_t in_ms;
	struct strbuf *sb;

	id_random(&random, sizeof(random));
	in_ms = spread ? random % spread : 0;
	sb = json_begin(core);
	json_key(sb, "reconnectInMs");
	strbuf_append_u64(sb, in_ms);
	json_text(sb, "reason", slice_str("restart"));
	strbuf_append_char(sb, '}');
	member_emit(m, "server:draining", json_end(sb));
	loop_timer_start(core->loop, &m->drain_timer, in_ms, on_let_go);
}

void core_drain(struct core *core, void (*done)(void *arg), void *arg)
{
	struct member *m;
	size_t pos = 0;

	core->draining = true;
	core->drained = done;
	core->drained_arg = arg;
	core_tell_ready(core);
	while ((m = map_next(core->members, &pos)))
		let_go(core, m);
	loop_timer_start(core->loop, &core->stop_timer, core->config->drain_timeout_ms,
			 on_drain_timer);
	core->stop_task.fn = on_stop_task;
	loop_defer(core->loop, &core->stop_task);
}

/* Stopping: answers are stored, then the instance is retired, then the caller hears of it. */

static void stopped(struct core *core)
{
	void (*fn)(void *arg) = core->stopped;

	timer_stop(&core->stop_timer);
	feed_stop(core);
	instance_stop(core);
	parts_stop(core);
	presence_stop(core);
	cluster_stop(core);
	if (core->told)
		return;
	core->told = true;
	fn(core->stopped_arg);
}

void core_check_stopped(struct core *core)
{
	if (core->drained && !map_count(core->generations) && !map_count(core->members))
		drained(core);
	if (!core->stopped || core->told || map_count(core->generations))
		return;
	if (core->instance || core->registering)
		instance_retire(core);
	if (!core->retiring && !core->registering)
		stopped(core);
}

static void on_stop_timer(struct timer *timer)
{
	struct core *core = CONTAINER_OF(timer, struct core, stop_timer);

	log_warn("chat", LOG_FIELDS(LOG_UINT("answers", map_count(core->generations))),
		 "shutting down before everything was stored");
	stopped(core);
}

void core_stop(struct core *core, void (*done)(void *arg), void *arg)
{
	core->draining = true;
	core->drained = NULL;
	generation_interrupt_all(core);
	core->stopped = done;
	core->stopped_arg = arg;
	instance_stop(core);
	loop_timer_start(core->loop, &core->stop_timer, core->config->shutdown_timeout_ms,
			 on_stop_timer);
	core->stop_task.fn = on_stop_task;
	loop_defer(core->loop, &core->stop_task);
}

void core_free(struct core **corep)
{
	struct core *core = *corep;

	if (!core)
		return;
	*corep = NULL;
	feed_stop(core);
	instance_stop(core);
	parts_stop(core);
	presence_stop(core);
	cluster_stop(core);
	timer_stop(&core->stop_timer);
	loop_undefer(&core->stop_task);
	if (core->generations)
		generation_fence_all(core);
	if (core->relays)
		relay_free_all(core);
	if (core->rooms)
		feed_end_waiters(core);
	storage_listen(core->plugins, NULL, NULL);
	plugins_set_chat(core->plugins, NULL, NULL);
	map_free(&core->users);
	map_free(&core->members);
	map_free(&core->rooms);
	map_free(&core->generations);
	map_free(&core->relays);
	map_free(&core->watched);
	map_free(&core->askers);
	strbuf_fini(&core->presence_gone);
	strbuf_fini(&core->presence_changed);
	strbuf_fini(&core->json);
	arena_fini(&core->scratch);
	free(core);
}

void core_stats(const struct core *core, struct core_stats *out)
{
	memset(out, 0, sizeof(*out));
	out->users = (uint32_t)map_count(core->users);
	out->sockets = (uint32_t)map_count(core->members);
	out->rooms = (uint32_t)map_count(core->rooms);
	out->generations = (uint32_t)map_count(core->generations);
	out->events = core->n_events;
	out->replays = core->n_replays;
	memcpy(out->limited, core->limited, sizeof(out->limited));
}
