/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The text of running answers is stored piece by piece, those of all answers in one request, so
 * that little is lost when this process dies. One request is under way at a time; a piece that was
 * not acknowledged is sent again as it was, for it may be there already.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/private.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/json_scan.h"

#define PIECE_MAX (256 * 1024) /* bytes of one answer in one request */
#define BATCH_MAX 1000         /* answers in one request */

static void on_timer(struct timer *timer);

static void start_timer(struct core *core, uint64_t delay_ms)
{
	loop_timer_start(core->loop, &core->parts_timer, delay_ms, on_timer);
}

static void drop_fenced(struct core *core, struct slice json)
{
	struct slice *ids;
	size_t n;

	if (json_scan_array(field(core, json, "fenced"), &core->scratch, BATCH_MAX, &ids, &n) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct slice id;
		struct generation *g;

		if (field_uuid(core, ids[i], &id) != FIELD_OK)
			continue;
		g = generation_find(core, id);
		if (g && g->state == GENERATION_RUNNING) {
			log_warn("chat", LOG_FIELDS(LOG_STR("message", g->out.message)),
				 "an answer is not ours any more");
			generation_drop(&g);
		}
	}
}

static void on_stored(void *arg, const struct storage_answer *answer)
{
	struct core *core = arg;
	bool stored = storage_code(answer, "generation_parts") == CODE_NONE;
	struct list *node;
	struct list *tmp;

	arena_reset(&core->scratch);
	core->parts_under_way = false;
	LIST_FOREACH_SAFE (node, tmp, &core->unflushed) {
		struct generation *g = CONTAINER_OF(node, struct generation, in_unflushed);

		if (stored && g->flushing > g->flushed)
			g->flushed = g->flushing;
		if (g->flushed == g->out.text.len)
			list_remove(node);
	}
	if (stored)
		drop_fenced(core, answer->json);
	if (!list_empty(&core->unflushed) && !core->stopped)
		start_timer(core, core->config->flush_interval_ms);
}

static void append_part(struct generation *g, struct strbuf arrays[3])
{
	size_t end = g->flushing;

	if (end <= g->flushed) {
		end = g->out.text.len;
		if (end - g->flushed > PIECE_MAX) {
			end = g->flushed + PIECE_MAX;
			while ((g->out.text.data[end] & 0xc0) == 0x80)
				end--;
		}
		g->flushing = end;
	}
	for (size_t i = 0; i < 3; i++)
		strbuf_append_char(&arrays[i], arrays[i].len ? ',' : '{');
	strbuf_append_str(&arrays[0], g->out.message);
	strbuf_append_u64(&arrays[1], g->flushed);
	sql_element(&arrays[2], slice_of(g->out.text.data + g->flushed, end - g->flushed));
}

static void store(struct core *core)
{
	struct strbuf arrays[3];
	struct slice params[4];
	char instance[24];
	size_t n = 0;
	bool ok = true;

	for (size_t i = 0; i < 3; i++)
		strbuf_init(&arrays[i], SIZE_MAX / 2);
	for (struct list *node = core->unflushed.next; node != &core->unflushed && n < BATCH_MAX;
	     node = node->next, n++)
		append_part(CONTAINER_OF(node, struct generation, in_unflushed), arrays);
	(void)snprintf(instance, sizeof(instance), "%" PRId64, core->instance);
	params[0] = slice_str(instance);
	for (size_t i = 0; i < 3; i++) {
		strbuf_append_char(&arrays[i], '}');
		ok = ok && strbuf_ok(&arrays[i]);
		params[i + 1] = slice_of(arrays[i].data, arrays[i].len);
	}
	if (n && ok)
		core->parts_under_way =
		    storage_call(core->plugins, PARLANCE_GENERATION_PARTS, STORAGE_NO_KEY, params, 4,
				 core->config->storage_timeout_ms, on_stored, core) == 0;
	if (n && !core->parts_under_way)
		start_timer(core, core->config->flush_interval_ms);
	for (size_t i = 0; i < 3; i++)
		strbuf_fini(&arrays[i]);
}

static void on_timer(struct timer *timer)
{
	struct core *core = CONTAINER_OF(timer, struct core, parts_timer);

	if (!core->parts_under_way && core->instance)
		store(core);
}

void parts_schedule(struct generation *g)
{
	struct core *core = g->core;

	if (!list_linked(&g->in_unflushed))
		list_push_back(&core->unflushed, &g->in_unflushed);
	if (core->parts_under_way)
		return;
	if (g->out.text.len - g->flushed >= core->config->flush_bytes)
		start_timer(core, 1);
	else if (!timer_active(&core->parts_timer))
		start_timer(core, core->config->flush_interval_ms);
}

void parts_stop(struct core *core)
{
	timer_stop(&core->parts_timer);
}
