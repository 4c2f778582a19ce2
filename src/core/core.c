/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The chat as a whole: made, ended, freed. */
#include "core/private.h"
#include "base/err.h"
#include "base/log.h"

#define SCRATCH_MAX ((size_t)64 << 20) /* what one callback may take apart */

static void on_disconnect(void *ctx, struct sio_socket *socket, const char *reason)
{
	struct member *m = member_of(socket);

	(void)ctx;
	(void)reason;
	sio_set_user(socket, NULL);
	if (m)
		member_free(&m);
}

static void on_drain(void *ctx, struct sio_socket *socket)
{
	struct member *m = member_of(socket);

	(void)ctx;
	if (m)
		stream_drained(m);
}

static const struct sio_nsp_ops nsp_ops = { admit_connect, event_receive, on_drain, on_disconnect };

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
	return slice_of(((const struct generation *)item)->message, ID_UUID_LEN);
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
	list_init(&core->unflushed);
	core->users = map_new(user_key);
	core->members = map_new(member_key);
	core->rooms = map_new(room_key);
	core->generations = map_new(generation_key);
	if (core->users && core->members && core->rooms && core->generations)
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

/* Stopping: answers are stored, then the instance is retired, then the caller hears of it. */

static void stopped(struct core *core)
{
	void (*fn)(void *arg) = core->stopped;

	timer_stop(&core->stop_timer);
	feed_stop(core);
	instance_stop(core);
	parts_stop(core);
	if (core->told)
		return;
	core->told = true;
	fn(core->stopped_arg);
}

void core_check_stopped(struct core *core)
{
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

static void on_stop_task(struct loop_task *task)
{
	core_check_stopped(CONTAINER_OF(task, struct core, stop_task));
}

void core_stop(struct core *core, void (*done)(void *arg), void *arg)
{
	core->stopped = done;
	core->stopped_arg = arg;
	instance_stop(core);
	loop_timer_start(core->loop, &core->stop_timer, core->config->shutdown_timeout_ms,
			 on_stop_timer);
	generation_interrupt_all(core);
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
	timer_stop(&core->stop_timer);
	loop_undefer(&core->stop_task);
	if (core->generations)
		generation_fence_all(core);
	storage_listen(core->plugins, NULL, NULL);
	plugins_set_chat(core->plugins, NULL, NULL);
	map_free(&core->users);
	map_free(&core->members);
	map_free(&core->rooms);
	map_free(&core->generations);
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
}
