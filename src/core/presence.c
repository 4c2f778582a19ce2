/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Presence: who is online, and who has which conversation open, on all instances. Each instance
 * writes its own sockets to the storage, many in one request, and what a dead one wrote goes with
 * its lease. Those who subscribed are told: the storage says whose presence may have changed, and
 * the instance looks.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/private.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/json_scan.h"

#define SYNC_MS 100
#define RETRY_MS 1000
#define SYNC_MAX 1000   /* sockets in one request */
#define USERS_MAX 1000  /* that one question or subscription names, and that one socket watches */

/* ---- what is written ---- */

static void on_sync_timer(struct timer *timer);

static void sync_in(struct core *core, uint64_t delay_ms)
{
	if (!core->presence_under_way && !timer_active(&core->presence_timer) && !core->stopped)
		loop_timer_start(core->loop, &core->presence_timer, delay_ms, on_sync_timer);
}

static void set_dirty(struct member *m)
{
	if (!list_linked(&m->in_dirty))
		list_push_back(&m->core->presence_dirty, &m->in_dirty);
}

void presence_touch(struct member *m)
{
	set_dirty(m);
	sync_in(m->core, SYNC_MS);
}

static void append_name(struct strbuf *array, struct slice name)
{
	strbuf_append_char(array, array->len ? ',' : '{');
	sql_element(array, name);
}

void presence_changed(struct core *core, const struct user *user)
{
	append_name(&core->presence_changed, user_id(user));
	sync_in(core, SYNC_MS);
}

static void unwatch_all(struct member *m);

void presence_gone(struct member *m)
{
	list_remove(&m->in_dirty);
	unwatch_all(m);
	if (!m->user)
		return;
	append_name(&m->core->presence_gone, m->sid);
	sync_in(m->core, SYNC_MS);
}

static void set_all_dirty(struct core *core)
{
	struct member *m;
	size_t pos = 0;

	while ((m = map_next(core->members, &pos)))
		set_dirty(m);
}

static void sync_later(struct core *core, uint64_t delay_ms)
{
	if (!list_empty(&core->presence_dirty) || core->presence_gone.len ||
	    core->presence_changed.len)
		sync_in(core, delay_ms);
}

void presence_restart(struct core *core)
{
	set_all_dirty(core);
	sync_later(core, SYNC_MS);
}

/* What a request tells, to be told again should it fail. */
struct syncing {
	struct core *core;
	struct strbuf gone; /* arrays of SQL */
	struct strbuf changed;
};

static void syncing_free(struct syncing **sp)
{
	struct syncing *s = *sp;

	*sp = NULL;
	strbuf_fini(&s->gone);
	strbuf_fini(&s->changed);
	free(s);
}

/* Takes over what there is to be told. NULL: out of memory. */
static struct syncing *syncing_new(struct core *core)
{
	struct syncing *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->core = core;
	s->gone = core->presence_gone;
	s->changed = core->presence_changed;
	strbuf_init(&core->presence_gone, SIZE_MAX / 2);
	strbuf_init(&core->presence_changed, SIZE_MAX / 2);
	strbuf_append_str(&s->gone, s->gone.len ? "}" : "{}");
	strbuf_append_str(&s->changed, s->changed.len ? "}" : "{}");
	return s;
}

/* Puts an array back in front of what came since. What is lost for lack of memory is lost. */
static void put_back(struct strbuf *since, const struct strbuf *array)
{
	struct strbuf all;

	if (array->len <= strlen("{}") || !strbuf_ok(array))
		return;
	strbuf_init(&all, SIZE_MAX / 2);
	strbuf_append(&all, array->data, array->len - 1);
	if (since->len) {
		strbuf_append_char(&all, ',');
		strbuf_append(&all, since->data + 1, since->len - 1);
	}
	strbuf_fini(since);
	*since = all;
}

/* It says how things are, so once more does no harm. */
static void sync_failed(struct core *core, const struct syncing *s)
{
	put_back(&core->presence_gone, &s->gone);
	put_back(&core->presence_changed, &s->changed);
	set_all_dirty(core);
}

static void on_synced(void *arg, const struct storage_answer *answer)
{
	struct syncing *s = arg;
	struct core *core = s->core;
	bool done = storage_code(answer, "presence_sync") == CODE_NONE;

	arena_reset(&core->scratch);
	core->presence_under_way = false;
	/* Or we are not registered any more, which the next beat finds out. */
	done = done && slice_is(field(core, answer->json, "ok"), "true");
	if (!done)
		sync_failed(core, s);
	syncing_free(&s);
	sync_later(core, done ? SYNC_MS : RETRY_MS);
}

/* The conversations that it has open: an array of SQL. */
static void append_rooms(struct strbuf *array, struct member *m)
{
	struct strbuf rooms;

	strbuf_init(&rooms, SIZE_MAX / 2);
	strbuf_append_char(&rooms, '{');
	for (struct list *node = m->joined.next; node != &m->joined; node = node->next) {
		const struct joined *j = CONTAINER_OF(node, struct joined, in_member);

		if (rooms.len > 1)
			strbuf_append_char(&rooms, ',');
		strbuf_append_str(&rooms, j->room->id);
	}
	strbuf_append_char(&rooms, '}');
	append_name(array, slice_of(strbuf_cstr(&rooms), rooms.len));
	strbuf_fini(&rooms);
}

static void sync(struct core *core)
{
	struct syncing *s = syncing_new(core);
	struct strbuf arrays[3];
	struct slice params[6];
	char instance[24];
	bool ok = s && strbuf_ok(&s->gone) && strbuf_ok(&s->changed);

	(void)snprintf(instance, sizeof(instance), "%" PRId64, core->instance);
	params[0] = slice_str(instance);
	for (size_t i = 0; i < ARRAY_LEN(arrays); i++)
		strbuf_init(&arrays[i], SIZE_MAX / 2);
	for (size_t n = 0; n < SYNC_MAX && !list_empty(&core->presence_dirty); n++) {
		struct list *node = list_pop_front(&core->presence_dirty);
		struct member *m = CONTAINER_OF(node, struct member, in_dirty);

		append_name(&arrays[0], m->sid);
		append_name(&arrays[1], user_id(m->user));
		append_rooms(&arrays[2], m);
	}
	for (size_t i = 0; i < ARRAY_LEN(arrays); i++) {
		strbuf_append_str(&arrays[i], arrays[i].len ? "}" : "{}");
		ok = ok && strbuf_ok(&arrays[i]);
		params[i + 1] = slice_of(arrays[i].data, arrays[i].len);
	}
	if (ok) {
		params[4] = slice_of(s->gone.data, s->gone.len);
		params[5] = slice_of(s->changed.data, s->changed.len);
		core->presence_under_way =
		    storage_call(core->plugins, PARLANCE_PRESENCE_SYNC, STORAGE_NO_KEY, params,
				 ARRAY_LEN(params), core->config->storage_timeout_ms, on_synced,
				 s) == 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(arrays); i++)
		strbuf_fini(&arrays[i]);
	if (core->presence_under_way)
		return;
	if (s) {
		sync_failed(core, s);
		syncing_free(&s);
	} else {
		set_all_dirty(core);
	}
	sync_later(core, RETRY_MS);
}

static void on_sync_timer(struct timer *timer)
{
	struct core *core = CONTAINER_OF(timer, struct core, presence_timer);

	/* Registered, it says all of it. */
	if (!core->instance || core->presence_under_way)
		return;
	sync(core);
}

/* ---- who wants to hear of whom ---- */

/* A user whom somebody here watches. */
struct watched {
	struct core *core;
	struct list watching;
	bool online;    /* as they were told */
	bool stale;     /* the storage is to be asked */
	bool found;     /* the storage says that he is online; within one callback */
	uint64_t since; /* the subscription that made it */
	uint64_t mark;  /* the latest one whose member watches him */
	struct slice id;
	char text[];
};

/* A member that watches a user. */
struct watching {
	struct member *member;
	struct watched *watched;
	struct list in_member;
	struct list in_watched;
};

struct slice presence_key(const void *item)
{
	return ((const struct watched *)item)->id;
}

static void unwatch(struct watching *w)
{
	struct watched *u = w->watched;

	w->member->n_watching--;
	list_remove(&w->in_member);
	list_remove(&w->in_watched);
	free(w);
	if (!list_empty(&u->watching))
		return;
	map_del(u->core->watched, u->id.p, u->id.len);
	free(u);
}

static void unwatch_all(struct member *m)
{
	while (!list_empty(&m->watching))
		unwatch(CONTAINER_OF(m->watching.next, struct watching, in_member));
}

static struct watched *watched_get(struct core *core, struct slice id, uint64_t mark)
{
	struct watched *u = map_get(core->watched, id.p, id.len);

	if (u)
		return u;
	u = calloc(1, sizeof(*u) + id.len);
	if (!u)
		return NULL;
	u->core = core;
	u->since = mark;
	memcpy(u->text, id.p, id.len);
	u->id = slice_of(u->text, id.len);
	list_init(&u->watching);
	if (map_put(core->watched, u) == 0)
		return u;
	free(u);
	return NULL;
}

/* Those whom a member watches get the mark. */
static void mark_watched(const struct member *m, uint64_t mark)
{
	for (struct list *node = m->watching.next; node != &m->watching; node = node->next)
		CONTAINER_OF(node, struct watching, in_member)->watched->mark = mark;
}

/* mark: of those whom the member watches already. 0 or a PARLANCE_E*. */
static int watch(struct member *m, struct slice id, uint64_t mark)
{
	struct watched *u = watched_get(m->core, id, mark);
	struct watching *w = NULL;
	int rc = m->n_watching < USERS_MAX ? PARLANCE_ENOMEM : PARLANCE_ELIMIT;

	if (!u)
		return PARLANCE_ENOMEM;
	if (u->mark == mark)
		return 0;
	if (rc == PARLANCE_ENOMEM)
		w = calloc(1, sizeof(*w));
	if (w) {
		u->mark = mark;
		m->n_watching++;
		w->member = m;
		w->watched = u;
		list_push_back(&m->watching, &w->in_member);
		list_push_back(&u->watching, &w->in_watched);
	} else if (list_empty(&u->watching)) {
		map_del(m->core->watched, id.p, id.len);
		free(u);
	}
	return w ? 0 : rc;
}

static void tell_one(struct member *m, const struct watched *u)
{
	struct strbuf *sb = json_begin(u->core);

	json_text(sb, "userId", u->id);
	json_key(sb, "online");
	strbuf_append_str(sb, u->online ? "true}" : "false}");
	member_emit(m, "presence:update", json_end(sb));
}

static void tell(struct watched *u, bool online)
{
	struct list *node;
	struct list *tmp;

	if (u->online == online)
		return;
	u->online = online;
	LIST_FOREACH_SAFE (node, tmp, &u->watching)
		tell_one(CONTAINER_OF(node, struct watching, in_watched)->member, u);
}

/* ---- looking ---- */

static void look(struct core *core);

/* Users of an array of JSON, in the order of the storage. */
static size_t users_of(struct core *core, struct slice json, struct slice **users)
{
	size_t n;

	if (json_scan_array(json, &core->scratch, USERS_MAX, users, &n) != 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (field_string(core, (*users)[i], USER_MAX, &(*users)[i]) != FIELD_OK)
			(*users)[i] = slice_of(NULL, 0);
	return n;
}

struct question {
	struct core *core;
	size_t n;
	struct slice users[]; /* their text behind them */
};

/* Marks those of the list who are watched, or takes the mark back. */
static void find(struct core *core, const struct slice *list, size_t n, bool found)
{
	for (size_t i = 0; i < n; i++) {
		struct watched *u = map_get(core->watched, list[i].p, list[i].len);

		if (u)
			u->found = found;
	}
}

static void on_looked(void *arg, const struct storage_answer *answer)
{
	struct question *q = arg;
	struct core *core = q->core;
	bool ok = storage_code(answer, "presence_online") == CODE_NONE;
	struct slice *online = NULL;
	size_t n = 0;

	arena_reset(&core->scratch);
	core->watched_under_way = false;
	if (ok)
		n = users_of(core, field(core, answer->json, "online"), &online);
	find(core, online, n, true);
	for (size_t i = 0; i < q->n; i++) {
		struct watched *u = map_get(core->watched, q->users[i].p, q->users[i].len);

		if (u && ok)
			tell(u, u->found);
		else if (u)
			u->stale = true; /* looked at again in time */
	}
	find(core, online, n, false);
	free(q);
	if (ok)
		look(core);
}

static struct question *make_question(struct core *core, struct strbuf *array)
{
	struct question *q;
	struct watched *u;
	size_t bytes = 0;
	size_t pos = 0;
	size_t n = 0;
	char *text;

	while (n < USERS_MAX && (u = map_next(core->watched, &pos))) {
		n += u->stale;
		bytes += u->stale ? u->id.len : 0;
	}
	q = n ? calloc(1, sizeof(*q) + n * sizeof(q->users[0]) + bytes) : NULL;
	if (!q)
		return NULL;
	q->core = core;
	text = (char *)&q->users[n];
	pos = 0;
	while (q->n < n && (u = map_next(core->watched, &pos))) {
		if (!u->stale)
			continue;
		u->stale = false;
		append_name(array, u->id);
		memcpy(text, u->id.p, u->id.len);
		q->users[q->n++] = slice_of(text, u->id.len);
		text += u->id.len;
	}
	strbuf_append_char(array, '}');
	return q;
}

static void look(struct core *core)
{
	struct strbuf array;
	struct question *q;
	struct slice param;

	if (core->watched_under_way)
		return;
	strbuf_init(&array, SIZE_MAX / 2);
	q = make_question(core, &array);
	param = slice_of(array.data, array.len);
	if (q && strbuf_ok(&array))
		core->watched_under_way =
		    storage_call(core->plugins, PARLANCE_PRESENCE_ONLINE, STORAGE_NO_KEY, &param, 1,
				 core->config->storage_timeout_ms, on_looked, q) == 0;
	if (!core->watched_under_way)
		free(q);
	strbuf_fini(&array);
}

void presence_on_change(struct core *core, int64_t from, const struct slice *args, size_t n)
{
	(void)from;
	for (size_t i = 1; i < n; i++) {
		struct slice id;
		struct watched *u;

		if (field_string(core, args[i], USER_MAX, &id) != FIELD_OK)
			continue;
		u = map_get(core->watched, id.p, id.len);
		if (u)
			u->stale = true;
	}
	look(core);
}

void presence_look_all(struct core *core)
{
	struct watched *u;
	size_t pos = 0;

	while ((u = map_next(core->watched, &pos)))
		u->stale = true;
	look(core);
}

/* ---- events ---- */

static void on_get(struct request *r, struct slice json)
{
	request_ok(&r, field(r->core, json, "ack"));
}

/* Has the member watch them. 0 or a PARLANCE_E*. */
static int watch_all(struct member *m, struct slice list, struct slice list_online)
{
	struct core *core = m->core;
	uint64_t mark = ++core->next_uid;
	struct slice *users;
	struct slice *online;
	size_t n = users_of(core, list, &users);
	size_t n_online = users_of(core, list_online, &online);
	int rc = 0;

	if (!n && list.len > strlen("[]"))
		return PARLANCE_ELIMIT;
	mark_watched(m, mark);
	for (size_t i = 0; i < n && !rc; i++)
		if (users[i].len)
			rc = watch(m, users[i], mark);
	for (size_t i = 0; i < n_online; i++) {
		struct watched *u = map_get(core->watched, online[i].p, online[i].len);

		/* Of others all who watch them were told. */
		if (u && u->since == mark)
			u->online = true;
	}
	return rc;
}

/* Others may have been told meanwhile what this answer did not know yet. */
static void tell_news(struct member *m, struct slice list, struct slice list_online)
{
	struct core *core = m->core;
	struct slice *users;
	struct slice *online;
	size_t n = users_of(core, list, &users);
	size_t n_online = users_of(core, list_online, &online);

	find(core, online, n_online, true);
	for (size_t i = 0; i < n; i++) {
		const struct watched *u = map_get(core->watched, users[i].p, users[i].len);

		if (u && u->online != u->found)
			tell_one(m, u);
	}
	find(core, online, n_online, false);
}

static void on_subscribe(struct request *r, struct slice json)
{
	static const char *const keys[] = { "ack", "users" };
	struct core *core = r->core;
	struct member *m = request_member(r);
	bool first = map_count(core->watched) == 0;
	struct slice v[ARRAY_LEN(keys)];
	int rc;

	if (!m) {
		request_free(&r);
		return;
	}
	fields(core, json, keys, ARRAY_LEN(keys), v);
	rc = watch_all(m, v[1], field(core, v[0], "online"));
	if (rc) {
		request_fail(&r, rc == PARLANCE_ELIMIT ? CODE_RATE_LIMITED : CODE_UNAVAILABLE,
			     rc == PARLANCE_ELIMIT ? "Too many users are watched" : NULL);
	} else {
		request_ok(&r, v[0]);
		tell_news(m, v[1], field(core, v[0], "online"));
	}
	/* So that the storage tells of changes from now on. */
	if (first && map_count(core->watched))
		instance_beat(core);
}

static bool read_users(struct core *core, struct slice value, struct strbuf *array)
{
	struct slice *list;
	struct slice id;
	size_t n;

	if (json_scan_array(value, &core->scratch, USERS_MAX, &list, &n) != 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (field_string(core, list[i], USER_MAX, &id) != FIELD_OK)
			return false;
		append_name(array, id);
	}
	strbuf_append_str(array, n ? "}" : "{}");
	return strbuf_ok(array);
}

static void ask(struct member *m, const struct sio_event *event, struct slice arg,
		const char *name, void (*then)(struct request *r, struct slice json))
{
	static const char *const keys[] = { "userIds", "conversationId" };
	struct core *core = m->core;
	struct slice v[ARRAY_LEN(keys)];
	struct slice params[3] = { user_id(m->user), slice_of(NULL, 0), slice_of(NULL, 0) };
	struct slice none = slice_of(NULL, 0);
	struct request *r;
	struct strbuf users;
	bool ok = false;

	strbuf_init(&users, SIZE_MAX / 2);
	fields(core, arg, keys, ARRAY_LEN(keys), v);
	if (v[1].len) {
		ok = field_uuid(core, v[1], &params[2]) == FIELD_OK;
	} else if (v[0].len) {
		ok = read_users(core, v[0], &users);
		params[1] = slice_of(users.data, users.len);
	}
	if (!ok) {
		event_fail(m, event, CODE_BAD_REQUEST,
			   "userIds (at most 1000) or conversationId is expected", none);
	} else {
		r = request_new(m, event, name, params[2]);
		if (r)
			request_call(r, PARLANCE_PRESENCE_GET, params, 3, then);
	}
	strbuf_fini(&users);
}

void presence_get(struct member *m, const struct sio_event *event, struct slice arg)
{
	ask(m, event, arg, "presence:get", on_get);
}

void presence_subscribe(struct member *m, const struct sio_event *event, struct slice arg)
{
	ask(m, event, arg, "presence:subscribe", on_subscribe);
}

void presence_stop(struct core *core)
{
	timer_stop(&core->presence_timer);
}
