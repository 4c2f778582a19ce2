/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The life of an answer: its message is stored, the provider answers, the outcome is stored, and
 * the feed tells of it. It belongs to this process, not to the socket that asked; nothing ends it
 * but its end, message:stop, deletion, or a limit.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/private.h"
#include "base/err.h"
#include "base/log.h"
#include "base/utf8.h"
#include "wire/json_scan.h"

#define RETRY_MIN_MS 250
#define RETRY_MAX_MS 10000
#define FAILURES_MAX 20 /* the database refuses to store the outcome: a defect of ours */
#define MESSAGES_MAX 4096

static const uint16_t allowed_moves[] = {
	[GENERATION_STORING] = 1 << GENERATION_WAITING | 1 << GENERATION_RUNNING |
			       1 << GENERATION_FINISHING | 1 << GENERATION_GONE,
	[GENERATION_WAITING] = 1 << GENERATION_BEGINNING | 1 << GENERATION_FINISHING |
			       1 << GENERATION_GONE,
	[GENERATION_BEGINNING] = 1 << GENERATION_WAITING | 1 << GENERATION_RUNNING |
				 1 << GENERATION_FINISHING | 1 << GENERATION_GONE,
	[GENERATION_RUNNING] = 1 << GENERATION_FINISHING | 1 << GENERATION_GONE,
	[GENERATION_FINISHING] = 1 << GENERATION_FINISHED | 1 << GENERATION_GONE,
	[GENERATION_FINISHED] = 1 << GENERATION_GONE,
	[GENERATION_GONE] = 0,
};

static void set_state(struct generation *g, enum generation_state state)
{
	CHECK(allowed_moves[g->state] & 1 << state);
	g->state = state;
}

struct generation *generation_find(struct core *core, struct slice message)
{
	return map_get(core->generations, message.p, message.len);
}

static void destroy(struct generation *g)
{
	struct core *core = g->core;

	timer_stop(&g->retry_timer);
	relay_forget(g);
	list_remove(&g->in_room);
	list_remove(&g->in_unflushed);
	if (map_get(core->generations, g->out.message, ID_UUID_LEN) == g)
		map_del(core->generations, g->out.message, ID_UUID_LEN);
	stream_fini(&g->out);
	arena_fini(&g->arena);
	asker_put(&g->asker);
	free(g->origin);
	free(g->model);
	free(g->usage);
	free(g->error);
	free(g);
	core_check_stopped(core);
}

/* Whatever it was, it is over here. It is freed when nobody will call it any more: the provider, or
 * the storage (whose answers name it by its message's id). */
static void let_go(struct generation *g)
{
	if (g->state != GENERATION_GONE)
		set_state(g, GENERATION_GONE);
	timer_stop(&g->retry_timer);
	stream_stop(&g->out);
	relay_forget(g);
	list_remove(&g->in_unflushed);
	list_remove(&g->in_room);
	if (g->call)
		provider_cancel(g->call);
	else
		destroy(g);
}

struct generation *generation_new(const struct generation_config *c)
{
	struct core *core = c->room->core;
	struct generation *g = calloc(1, sizeof(*g));
	int rc;

	if (!g)
		return NULL;
	g->asker = *c->asker;
	*c->asker = NULL;
	g->core = core;
	g->state = GENERATION_STORING;
	arena_init(&g->arena, 0);
	list_init(&g->viewers);
	rc = stream_init(&g->out, c->room, slice_str(c->message), slice_str(c->stream),
			 slice_str(c->client_id));
	g->origin = strndup(c->origin.p, c->origin.len);
	list_push_back(&c->room->generations, &g->in_room);
	if (rc || !g->origin || map_put(core->generations, g) != 0) {
		destroy(g);
		return NULL;
	}
	return g;
}

void generation_drop(struct generation **gp)
{
	struct generation *g = *gp;

	*gp = NULL;
	let_go(g);
}

/* The outcome */

static void store_outcome(struct generation *g);

static void on_retry(struct timer *timer)
{
	store_outcome(CONTAINER_OF(timer, struct generation, retry_timer));
}

static void retry_outcome(struct generation *g)
{
	uint64_t delay = (uint64_t)RETRY_MIN_MS << (g->attempts < 6 ? g->attempts : 6);

	g->attempts++;
	loop_timer_start(g->core->loop, &g->retry_timer,
			 delay < RETRY_MAX_MS ? delay : RETRY_MAX_MS, on_retry);
}

/* Storage answers come to a message's id: the generation may be gone. */
struct about {
	struct core *core;
	char message[ID_UUID_LEN + 1];
};

static struct generation *about_generation(struct about *about, enum generation_state state)
{
	struct generation *g = generation_find(about->core, slice_str(about->message));

	arena_reset(&about->core->scratch);
	free(about);
	return g && g->state == state ? g : NULL;
}

static int call_about(struct generation *g, enum parlance_storage_function function,
		      const struct slice *params, size_t n, storage_done_fn *done)
{
	struct about *about = calloc(1, sizeof(*about));
	int rc;

	if (!about)
		return PARLANCE_ENOMEM;
	about->core = g->core;
	memcpy(about->message, g->out.message, sizeof(about->message));
	rc = storage_call(g->core->plugins, function, slice_str(g->out.room->id), params, n,
			  g->core->config->storage_timeout_ms, done, about);
	if (rc)
		free(about);
	return rc;
}

static void on_stored(void *arg, const struct storage_answer *answer)
{
	struct generation *g = about_generation(arg, GENERATION_FINISHING);

	if (!g)
		return;
	if (answer->status == PARLANCE_STORAGE_FAILED && g->attempts >= FAILURES_MAX) {
		log_err("chat",
			LOG_FIELDS(LOG_STR("message", g->out.message),
				   LOG_STR("detail", answer->detail)),
			"an answer could not be stored");
		let_go(g);
	} else if (storage_code(answer, "generation_finish") != CODE_NONE) {
		retry_outcome(g);
	} else if (slice_is(field(g->core, answer->json, "ok"), "true") && !g->core->stopped) {
		set_state(g, GENERATION_FINISHED);
	} else {
		let_go(g);
	}
}

static void store_outcome(struct generation *g)
{
	struct slice params[8];
	char instance[24];

	(void)snprintf(instance, sizeof(instance), "%" PRId64, g->core->instance);
	params[0] = slice_str(g->out.message);
	params[1] = slice_str(instance);
	params[2] = slice_str(g->status);
	params[3] = g->finish_reason ? slice_str(g->finish_reason) : slice_of(NULL, 0);
	params[4] = slice_of(strbuf_cstr(&g->out.text), g->out.text.len);
	params[5] = g->model ? slice_str(g->model) : slice_of(NULL, 0);
	params[6] = g->usage ? slice_str(g->usage) : slice_of(NULL, 0);
	params[7] = g->error ? slice_str(g->error) : slice_of(NULL, 0);
	if (call_about(g, PARLANCE_GENERATION_FINISH, params, 8, on_stored) != 0)
		retry_outcome(g);
}

/* The text is as long as it gets. */
static void finish(struct generation *g, const char *status, const char *finish_reason)
{
	stream_flush(&g->out);
	list_remove(&g->in_unflushed);
	set_state(g, GENERATION_FINISHING);
	g->status = status;
	g->finish_reason = finish_reason;
	g->attempts = 0;
	if (g->call)
		provider_cancel(g->call);
	store_outcome(g);
}

static void set_error(struct generation *g, enum core_code code, uint64_t retry_after_ms)
{
	struct strbuf *sb = json_begin(g->core);

	json_text(sb, "code", slice_str(code_name(code)));
	json_text(sb, "message", slice_str(code_text(code)));
	if (retry_after_ms) {
		json_key(sb, "retryAfterMs");
		strbuf_append_u64(sb, retry_after_ms);
	}
	strbuf_append_char(sb, '}');
	free(g->error);
	g->error = strbuf_ok(sb) ? strdup(strbuf_cstr(sb)) : NULL;
}

static void fail(struct generation *g, enum core_code code, uint64_t retry_after_ms)
{
	set_error(g, code, retry_after_ms);
	finish(g, g->out.text.len ? "interrupted" : "failed", NULL);
}

void generation_abandon(struct generation *g)
{
	set_error(g, CODE_INTERRUPTED, 0);
	finish(g, "interrupted", NULL);
}

/* The provider */

static bool on_delta(void *arg, enum parlance_delta kind, struct slice text)
{
	struct generation *g = arg;
	bool ok;

	if (g->state != GENERATION_RUNNING || kind != PARLANCE_DELTA_TEXT)
		return true;
	if (text.len > g->out.text.max - g->out.text.len) {
		/* As much of it as the limit lets in; the rest of the answer is not wanted. */
		text.len = utf8_whole_len(text.p, g->out.text.max - g->out.text.len);
		g->stop_asked = true;
	}
	ok = stream_append(&g->out, text);
	parts_schedule(g);
	relay_schedule(g);
	if (!ok)
		fail(g, CODE_INTERNAL, 0);
	else if (g->stop_asked)
		finish(g, "complete", "length");
	return true;
}

static void keep_usage(struct generation *g, const struct parlance_end *end)
{
	const struct parlance_usage *u = end->usage;
	struct strbuf *sb;

	if (end->model.len)
		g->model = strndup(end->model.p, end->model.len);
	if (!u)
		return;
	sb = json_begin(g->core);
	if (u->prompt_tokens >= 0) {
		json_key(sb, "promptTokens");
		strbuf_append_u64(sb, (uint64_t)u->prompt_tokens);
	}
	if (u->completion_tokens >= 0) {
		json_key(sb, "completionTokens");
		strbuf_append_u64(sb, (uint64_t)u->completion_tokens);
	}
	if (u->total_tokens >= 0) {
		json_key(sb, "totalTokens");
		strbuf_append_u64(sb, (uint64_t)u->total_tokens);
	}
	strbuf_append_char(sb, '}');
	g->usage = strbuf_ok(sb) ? strdup(strbuf_cstr(sb)) : NULL;
}

static void on_end(void *arg, const struct parlance_end *end)
{
	struct generation *g = arg;

	g->call = NULL;
	if (g->state == GENERATION_GONE) {
		destroy(g);
		return;
	}
	if (g->state != GENERATION_RUNNING)
		return; /* it was stopped; its outcome is on its way */
	arena_reset(&g->core->scratch);
	keep_usage(g, end);
	switch (end->finish) {
	case PARLANCE_FINISH_STOP:
		finish(g, "complete", "stop");
		return;
	case PARLANCE_FINISH_LENGTH:
		finish(g, "complete", "length");
		return;
	case PARLANCE_FINISH_FILTER:
		finish(g, "complete", "content_filter");
		return;
	default:
		break;
	}
	log_warn("chat",
		 LOG_FIELDS(LOG_STR("message", g->out.message), LOG_INT("finish", end->finish),
			    LOG_STR("detail", end->detail ? end->detail : "")),
		 "the AI service failed");
	fail(g,
	     end->finish == PARLANCE_FINISH_TIMEOUT ? CODE_PROVIDER_TIMEOUT : CODE_PROVIDER_ERROR,
	     end->retry_after_ms);
}

static const struct provider_ops provider_ops = { on_delta, on_end };

static struct parlance_str keep_text(struct generation *g, struct slice value)
{
	struct parlance_str none = { NULL, 0 };
	struct parlance_str kept;
	struct slice text;

	if (!value.len || json_string(value, &g->arena, &text) != 0)
		return none;
	kept.p = text.p;
	kept.len = text.len;
	return kept;
}

static int role_of(struct slice name)
{
	if (slice_is(name, "system"))
		return PARLANCE_ROLE_SYSTEM;
	return slice_is(name, "assistant") ? PARLANCE_ROLE_ASSISTANT : PARLANCE_ROLE_USER;
}

/* What the storage put together: {model, options, user, messages: [{role, content}]}. */
static int read_prompt(struct generation *g, struct slice json)
{
	static const char *const keys[] = { "model", "options", "user", "messages" };
	struct core *core = g->core;
	struct parlance_message *messages;
	struct slice v[ARRAY_LEN(keys)];
	struct slice *list;
	size_t n;
	int rc;

	fields(core, json, keys, ARRAY_LEN(keys), v);
	rc = json_scan_array(v[3], &core->scratch, MESSAGES_MAX, &list, &n);
	if (rc)
		return rc;
	messages = arena_calloc(&g->arena, n + 1, sizeof(*messages));
	if (!messages)
		return PARLANCE_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		messages[i].role = role_of(field_text(core, list[i], "role"));
		messages[i].text = keep_text(g, field(core, list[i], "content"));
		if (!messages[i].text.p)
			return PARLANCE_EINVAL;
	}
	g->prompt.size = sizeof(g->prompt);
	g->prompt.model = keep_text(g, v[0]);
	g->prompt.user = keep_text(g, v[2]);
	g->prompt.messages = messages;
	g->prompt.n_messages = n;
	if (v[1].len && json_kind(v[1]) == '{') {
		g->prompt.options.p = arena_strndup(&g->arena, v[1].p, v[1].len);
		g->prompt.options.len = g->prompt.options.p ? v[1].len : 0;
	}
	return 0;
}

void generation_run(struct generation *g, struct slice prompt)
{
	int rc;

	if (g->stop_asked || g->give_way) {
		finish(g, "stopped", "stopped");
		return;
	}
	rc = read_prompt(g, prompt);
	set_state(g, GENERATION_RUNNING);
	if (!rc)
		rc = provider_start(&g->call, g->core->plugins, &g->prompt,
				    g->core->config->answer_timeout_ms, &provider_ops, g);
	if (rc) {
		log_err("chat", LOG_FIELDS(LOG_STR("message", g->out.message)),
			"no answer can be generated (%s)",
			rc == PARLANCE_ENOENT ? "no provider plugin is loaded"
					      : parlance_err_text(rc));
		fail(g, CODE_PROVIDER_ERROR, 0);
	}
}

/* Waiting */

static void begin(struct generation *g);

static void on_begin_timer(struct timer *timer)
{
	struct generation *g = CONTAINER_OF(timer, struct generation, retry_timer);

	if (g->state == GENERATION_WAITING)
		begin(g);
}

static void on_begun(void *arg, const struct storage_answer *answer)
{
	struct generation *g = about_generation(arg, GENERATION_BEGINNING);
	struct slice json = answer->json;

	if (!g)
		return;
	if (storage_code(answer, "generation_begin") == CODE_NONE) {
		if (slice_is(field(g->core, json, "ok"), "true")) {
			generation_run(g, field(g->core, json, "prompt"));
			return;
		}
		if (!slice_is(field_text(g->core, json, "code"), "BUSY")) {
			/* Somebody else has ended it; or it is ours since an answer that was
			 * lost, and must not run for ever. */
			generation_abandon(g);
			return;
		}
	}
	set_state(g, GENERATION_WAITING);
	if (g->stop_asked)
		finish(g, "stopped", "stopped");
	else
		loop_timer_start(g->core->loop, &g->retry_timer, 4 * RETRY_MIN_MS, on_begin_timer);
}

static void begin(struct generation *g)
{
	struct slice params[3];
	char instance[24];
	char history[24];

	timer_stop(&g->retry_timer);
	(void)snprintf(instance, sizeof(instance), "%" PRId64, g->core->instance);
	(void)snprintf(history, sizeof(history), "%u", g->core->config->history_messages);
	params[0] = slice_str(g->out.message);
	params[1] = slice_str(instance);
	params[2] = slice_str(history);
	if (call_about(g, PARLANCE_GENERATION_BEGIN, params, 3, on_begun) == 0)
		set_state(g, GENERATION_BEGINNING);
	else
		loop_timer_start(g->core->loop, &g->retry_timer, 4 * RETRY_MIN_MS, on_begin_timer);
}

/* The one that is to begin next; NULL: none waits, or one is on its way. */
static struct generation *next_of(struct feed_room *room)
{
	struct generation *next = NULL;

	for (struct list *node = room->generations.next; node != &room->generations;
	     node = node->next) {
		struct generation *g = CONTAINER_OF(node, struct generation, in_room);

		if (g->state == GENERATION_BEGINNING || g->state == GENERATION_RUNNING)
			return NULL;
		if (g->state == GENERATION_WAITING && !next)
			next = g;
	}
	return next;
}

void generation_wait(struct generation *g, bool in_front)
{
	if (g->stop_asked) {
		finish(g, "stopped", "stopped");
		return;
	}
	set_state(g, GENERATION_WAITING);
	g->give_way = false;
	if (in_front) {
		list_remove(&g->in_room);
		list_push_back(g->out.room->generations.next, &g->in_room); /* before the first */
	}
	/* What it waits for may have ended meanwhile, or runs elsewhere. */
	loop_timer_start(g->core->loop, &g->retry_timer, RETRY_MAX_MS, on_begin_timer);
}

/* Stopping */

bool generation_stop(struct generation *g)
{
	switch (g->state) {
	case GENERATION_STORING:
	case GENERATION_BEGINNING:
		g->stop_asked = true;
		return true;
	case GENERATION_WAITING:
	case GENERATION_RUNNING:
		finish(g, "stopped", "stopped");
		return true;
	default:
		return false;
	}
}

size_t generation_stop_all(struct feed_room *room, struct slice stream,
			   const struct generation *but)
{
	struct list *node;
	struct list *tmp;
	size_t n = 0;

	LIST_FOREACH_SAFE (node, tmp, &room->generations) {
		struct generation *g = CONTAINER_OF(node, struct generation, in_room);

		if (g != but && (!stream.len || slice_is(stream, g->out.id)))
			n += generation_stop(g);
	}
	return n;
}

/* When none is known to run, it may be one whose storing is under way. */
void generation_make_way(struct feed_room *room, const struct generation *urgent)
{
	struct list *node;
	struct list *tmp;
	bool found = false;

	LIST_FOREACH_SAFE (node, tmp, &room->generations) {
		struct generation *g = CONTAINER_OF(node, struct generation, in_room);

		if (g->state == GENERATION_BEGINNING || g->state == GENERATION_RUNNING)
			found = generation_stop(g);
		else if (g->state == GENERATION_FINISHING || g->state == GENERATION_FINISHED)
			found = true;
	}
	for (node = room->generations.next; !found && node != &room->generations; node = node->next) {
		struct generation *g = CONTAINER_OF(node, struct generation, in_room);

		if (g != urgent && g->state == GENERATION_STORING)
			g->give_way = true;
	}
}

void generation_interrupt_all(struct core *core)
{
	struct generation *g;
	size_t pos = 0;

	while ((g = map_next(core->generations, &pos))) {
		if (g->state == GENERATION_WAITING || g->state == GENERATION_RUNNING) {
			generation_abandon(g);
		} else if (g->state == GENERATION_FINISHED) {
			/* All is written. The map changes as it goes. */
			let_go(g);
			pos = 0;
		} else {
			g->stop_asked = true;
		}
	}
}

/* What the feed tells */

void generation_announced(struct core *core, struct slice message)
{
	struct generation *g = generation_find(core, message);

	if (!g)
		return;
	stream_announce(&g->out);
}

void generation_finished(struct feed_room *room, struct slice message)
{
	struct generation *g = generation_find(room->core, message);
	struct generation *next;

	if (g && g->out.room == room)
		let_go(g);
	next = next_of(room);
	if (next)
		begin(next);
}

void generation_forget_finished(struct feed_room *room)
{
	struct list *node;
	struct list *tmp;

	LIST_FOREACH_SAFE (node, tmp, &room->generations) {
		struct generation *g = CONTAINER_OF(node, struct generation, in_room);

		if (g->state == GENERATION_FINISHED)
			let_go(g);
	}
}

void generation_fence_all(struct core *core)
{
	struct generation *g;
	size_t pos = 0;

	/* The map changes as they go. */
	while ((g = map_next(core->generations, &pos))) {
		if (g->state == GENERATION_GONE)
			continue;
		let_go(g);
		pos = 0;
	}
}
