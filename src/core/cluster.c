/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Short messages between instances, over the storage's channels. They are collected and go out
 * together: one request is under way at a time, and all that was said meanwhile is the next one.
 * They may be lost, and anybody who may connect to the database can forge them, so nothing hangs
 * on one: what they tell is asked for again, or read from tables, or of no weight.
 *
 * A payload is {"f": instance that sent it (0: the database), "m": [message...]}, a message an
 * array whose first element says what it is:
 *
 *   ["b"]                                 beat now: there is something to be read
 *   ["p", user...]                        presence of these users has changed
 *   ["t", conversation, user, socket, 1]  typing began (0: ended)
 *   ["c"...] ["u"...] ["w"...]            relay.c
 */
#include <inttypes.h>

#include "core/private.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/json_scan.h"

#define PAYLOAD_BYTES 7800               /* PostgreSQL takes 7,999 */
#define OUTBOX_BYTES ((size_t)16 << 20)  /* while the storage is away */
#define PARCELS_MAX 1000                 /* in one request */
#define MESSAGES_MAX 4096                /* in one payload */
#define ARGUMENTS_MAX 1024               /* of one message */

/* What goes to one instance in one notification. */
struct parcel {
	struct list node;
	int64_t to;
	struct strbuf text; /* {"f":N,"m":[message,message */
};

static void parcel_free(struct core *core, struct parcel *p)
{
	list_remove(&p->node);
	core->outbox_bytes -= p->text.len;
	strbuf_fini(&p->text);
	free(p);
}

static void drop_all(struct core *core)
{
	while (!list_empty(&core->outbox))
		parcel_free(core, CONTAINER_OF(core->outbox.next, struct parcel, node));
}

/* The one that takes so much more for an instance, or NULL. */
static struct parcel *open_parcel(struct core *core, int64_t to, size_t bytes)
{
	/* The latest first: order is kept within an instance. */
	for (struct list *node = core->outbox.prev; node != &core->outbox; node = node->prev) {
		struct parcel *p = CONTAINER_OF(node, struct parcel, node);

		if (p->to == to)
			return p->text.len + bytes < PAYLOAD_BYTES ? p : NULL;
	}
	return NULL;
}

static struct parcel *new_parcel(struct core *core, int64_t to)
{
	struct parcel *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->to = to;
	strbuf_init(&p->text, SIZE_MAX / 2);
	strbuf_printf(&p->text, "{\"f\":%" PRId64 ",\"m\":[", core->instance);
	if (!strbuf_ok(&p->text)) {
		strbuf_fini(&p->text);
		free(p);
		return NULL;
	}
	core->outbox_bytes += p->text.len;
	list_push_back(&core->outbox, &p->node);
	return p;
}

static void on_sent(void *arg, const struct storage_answer *answer)
{
	struct core *core = arg;

	arena_reset(&core->scratch);
	core->outbox_under_way = false;
	(void)storage_code(answer, "instance_send");
	if (!list_empty(&core->outbox))
		loop_defer(core->loop, &core->outbox_task);
}

static void append_parcel(struct parcel *p, struct strbuf *targets, struct strbuf *payloads)
{
	char comma = targets->len ? ',' : '{';

	strbuf_append_char(targets, comma);
	strbuf_append_u64(targets, (uint64_t)p->to);
	strbuf_append_char(payloads, comma);
	strbuf_append_str(&p->text, "]}");
	sql_element(payloads, slice_of(p->text.data, p->text.len));
}

static void on_task(struct loop_task *task)
{
	struct core *core = CONTAINER_OF(task, struct core, outbox_task);
	struct strbuf arrays[2];
	struct slice params[2];
	bool ok = true;
	size_t n = 0;

	if (core->outbox_under_way || list_empty(&core->outbox))
		return;
	for (size_t i = 0; i < 2; i++)
		strbuf_init(&arrays[i], SIZE_MAX / 2);
	while (!list_empty(&core->outbox) && n++ < PARCELS_MAX) {
		struct parcel *p = CONTAINER_OF(core->outbox.next, struct parcel, node);
		size_t bytes = p->text.len;

		append_parcel(p, &arrays[0], &arrays[1]);
		ok = ok && strbuf_ok(&p->text);
		core->outbox_bytes += p->text.len - bytes;
		parcel_free(core, p);
	}
	for (size_t i = 0; i < 2; i++) {
		strbuf_append_char(&arrays[i], '}');
		ok = ok && strbuf_ok(&arrays[i]);
		params[i] = slice_of(arrays[i].data, arrays[i].len);
	}
	core->outbox_under_way = ok && storage_call(core->plugins, PARLANCE_INSTANCE_SEND, STORAGE_NO_KEY, params,
						    2, core->config->storage_timeout_ms, on_sent,
						    core) == 0;
	for (size_t i = 0; i < 2; i++)
		strbuf_fini(&arrays[i]);
}

void cluster_send(struct core *core, int64_t to, struct slice json)
{
	static struct log_rate rate = LOG_RATE(1, 60000);
	uint32_t suppressed;
	struct parcel *p;
	size_t before;

	/* Who is nobody has nobody to talk to. */
	if (!core->instance || !json.len || core->stopped)
		return;
	if (core->outbox_bytes > OUTBOX_BYTES) {
		if (log_rate_allow(&rate, &suppressed))
			log_warn("chat", LOG_FIELDS(LOG_UINT("suppressed", suppressed)),
				 "messages to other instances are dropped (the storage does not "
				 "take them)");
		drop_all(core);
	}
	p = open_parcel(core, to, json.len);
	if (!p)
		p = new_parcel(core, to);
	if (!p)
		return;
	before = p->text.len;
	if (p->text.data[p->text.len - 1] != '[')
		strbuf_append_char(&p->text, ',');
	strbuf_append_slice(&p->text, json);
	core->outbox_bytes += p->text.len - before;
	core->outbox_task.fn = on_task;
	loop_defer(core->loop, &core->outbox_task);
}

static void on_beat(struct core *core, int64_t from, const struct slice *args, size_t n)
{
	(void)from;
	(void)args;
	(void)n;
	instance_beat(core);
}

static const struct {
	const char *name;
	void (*handle)(struct core *core, int64_t from, const struct slice *args, size_t n);
} kinds[] = {
	{ "b", on_beat },
	{ "c", relay_on_chunk },
	{ "p", presence_on_change },
	{ "r", tokens_on_revoked },
	{ "t", typing_on_remote },
	{ "u", relay_on_unwant },
	{ "w", relay_on_want },
};

static void receive_one(struct core *core, int64_t from, struct slice message)
{
	struct slice *args;
	struct slice kind;
	size_t n;

	if (json_scan_array(message, &core->scratch, ARGUMENTS_MAX, &args, &n) != 0 || !n ||
	    field_string(core, args[0], 8, &kind) != FIELD_OK)
		return;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (slice_is(kind, kinds[i].name))
			kinds[i].handle(core, from, args, n);
}

void cluster_receive(struct core *core, struct slice payload)
{
	static const char *const keys[] = { "f", "m" };
	struct slice v[ARRAY_LEN(keys)];
	struct slice *messages;
	int64_t from;
	size_t n;

	arena_reset(&core->scratch);
	if (json_scan_value(payload) != 0 || json_kind(payload) != '{')
		return;
	fields(core, payload, keys, ARRAY_LEN(keys), v);
	if (field_int(v[0], 0, INT64_MAX, &from) != FIELD_OK ||
	    (from && from == core->instance) || core->stopped ||
	    json_scan_array(v[1], &core->scratch, MESSAGES_MAX, &messages, &n) != 0)
		return;
	for (size_t i = 0; i < n; i++)
		receive_one(core, from, messages[i]);
}

void cluster_stop(struct core *core)
{
	loop_undefer(&core->outbox_task);
	drop_all(core);
}
