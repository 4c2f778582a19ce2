/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Connection state recovery. Behind each event a client gets an offset, which says where it stands
 * in every room that its socket is in; when its connection is lost it comes back, to this instance
 * or another, with the last one, and gets what it missed. The offset is all that is kept of the
 * connection, so it outlives every process:
 *
 *   EPOCH . POSITION [ . ROOM ~ POSITION ]...        POSITION: SEQ [ - PART ]
 *
 * EPOCH names the history of the database that the positions belong to. The first position is that
 * of the user's room; ROOM is a conversation's id in base64. PART: so many messages of the event
 * after SEQ were sent as well. The pid names the connection and has the offset that it began with
 * behind a colon, for a client that is cut off before its first event. What a client claims gives it
 * nothing that a join would not: the storage checks its access to each room again.
 *
 * While the storage is asked, the rooms' own events are kept, and a room that has not come as far
 * as the answer is waited for: between both nothing is missing, and nothing comes twice.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/private.h"
#include "base/base64.h"
#include "base/err.h"
#include "wire/json_scan.h"

#define TAIL_BYTES ((size_t)1 << 20)
#define EVENTS_MAX 10000
#define UNRECOVERABLE "-" /* the client has an offset of before otherwise */

/* ---- offsets ---- */

#define DIGITS_MAX 20                       /* of 64 bits */
#define POSITION_MAX (2 * DIGITS_MAX + 1)

/* By hand: it is done for each event and socket. */
static size_t put_number(uint64_t n, char *out)
{
	char digits[DIGITS_MAX];
	size_t len = 0;

	do {
		digits[DIGITS_MAX - ++len] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	memcpy(out, digits + DIGITS_MAX - len, len);
	return len;
}

static size_t put_position(const struct recovery *r, const struct feed_room *room, char *out)
{
	int64_t seq = room->known;
	unsigned part = room->part;
	size_t n;

	for (size_t i = 0; r && i < r->n; i++) {
		if (r->rooms[i].room != room)
			continue;
		seq = r->rooms[i].seq;
		part = r->rooms[i].part;
	}
	n = put_number((uint64_t)seq, out);
	if (part) {
		out[n++] = '-';
		n += put_number(part, out + n);
	}
	return n;
}

size_t recovery_offset(void *ctx, const struct sio_socket *socket, char out[SIO_OFFSET_MAX])
{
	const struct core *core = ctx;
	const struct member *m = member_of(socket);
	char position[POSITION_MAX];
	size_t n = strlen(core->epoch);
	size_t len;

	if (!m || !m->user || !m->user->room || !n)
		goto unrecoverable;
	memcpy(out, core->epoch, n);
	out[n++] = '.';
	n += put_position(m->recovery, m->user->room, out + n);
	for (struct list *node = m->joined.next; node != &m->joined; node = node->next) {
		struct joined *j = CONTAINER_OF(node, struct joined, in_member);

		len = put_position(m->recovery, j->room, position);
		if (n + ROOM_TAG_LEN + 2 + len >= SIO_OFFSET_MAX)
			goto unrecoverable;
		out[n++] = '.';
		memcpy(out + n, j->room->tag, ROOM_TAG_LEN);
		n += ROOM_TAG_LEN;
		out[n++] = '~';
		memcpy(out + n, position, len);
		n += len;
	}
	return n;
unrecoverable:
	memcpy(out, UNRECOVERABLE, strlen(UNRECOVERABLE));
	return strlen(UNRECOVERABLE);
}

/* A number at the text's begin; what follows it stays. */
static bool take_number(struct slice *text, int64_t max, int64_t *out)
{
	int64_t n = 0;
	size_t digits = 0;

	while (digits < text->len && text->p[digits] >= '0' && text->p[digits] <= '9') {
		int digit = text->p[digits++] - '0';

		if (n > (max - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	text->p += digits;
	text->len -= digits;
	*out = n;
	return digits > 0;
}

static bool take_char(struct slice *text, char c)
{
	if (!text->len || text->p[0] != c)
		return false;
	text->p++;
	text->len--;
	return true;
}

static bool take_position(struct slice *text, struct recovery_room *r)
{
	int64_t part = 0;

	if (!take_number(text, INT64_MAX, &r->seq))
		return false;
	if (take_char(text, '-') && !take_number(text, INT16_MAX, &part))
		return false;
	r->part = (unsigned)part;
	return true;
}

static bool take_room(struct slice *text, struct recovery_room *r)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char id[ROOM_TAG_LEN + 3];
	size_t len;
	char *to = r->id;

	if (text->len < ROOM_TAG_LEN || base64_decode(text->p, ROOM_TAG_LEN, id, &len) != 0 ||
	    len != 16)
		return false;
	text->p += ROOM_TAG_LEN;
	text->len -= ROOM_TAG_LEN;
	for (size_t i = 0; i < len; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		*to++ = hex[id[i] >> 4];
		*to++ = hex[id[i] & 15];
	}
	return !feed_room_id_is_users(slice_of(r->id, ID_UUID_LEN)) && take_char(text, '~') &&
	       take_position(text, r);
}

void recovery_pid(const char *pid, const char *epoch, const struct feed_room *user_room,
		  char out[RECOVERY_PID_MAX + 1])
{
	(void)snprintf(out, RECOVERY_PID_MAX + 1, "%s:%s.%" PRId64, pid, epoch, user_room->known);
}

static bool token_ok(struct slice pid)
{
	for (size_t i = 0; i < pid.len; i++)
		if (!strchr("-_", pid.p[i]) && !(pid.p[i] >= '0' && pid.p[i] <= '9') &&
		    !(pid.p[i] >= 'a' && pid.p[i] <= 'z') && !(pid.p[i] >= 'A' && pid.p[i] <= 'Z'))
			return false;
	return pid.len == ID_TOKEN_LEN && !memchr(pid.p, '\0', pid.len);
}

static bool named_twice(const struct recovery *r)
{
	for (size_t i = 0; i + 1 < r->n; i++)
		if (strcmp(r->rooms[i].id, r->rooms[r->n - 1].id) == 0)
			return true;
	return false;
}

static bool take_offset(struct recovery *r, struct slice text, size_t max)
{
	size_t epoch = 0;

	while (epoch < text.len && epoch < EPOCH_MAX && text.p[epoch] != '.' && text.p[epoch])
		epoch++;
	if (!epoch)
		return false;
	memcpy(r->epoch, text.p, epoch);
	text.p += epoch;
	text.len -= epoch;
	if (!take_char(&text, '.') || !take_position(&text, &r->rooms[0]))
		return false;
	for (r->n = 1; text.len; ) {
		if (r->n == max || !take_char(&text, '.') || !take_room(&text, &r->rooms[r->n]))
			return false;
		r->n++;
		if (named_twice(r))
			return false;
	}
	return true;
}

struct recovery *recovery_new(struct slice pid, struct slice offset)
{
	struct slice token = slice_of(pid.p, pid.len < ID_TOKEN_LEN ? pid.len : ID_TOKEN_LEN);
	struct slice begin = slice_of(pid.p + token.len, pid.len - token.len);
	struct recovery *r;
	size_t max;

	if (!token_ok(token) || pid.len > RECOVERY_PID_MAX || !take_char(&begin, ':'))
		return NULL;
	if (!offset.len)
		offset = begin;
	if (!offset.len || offset.len > SIO_OFFSET_MAX)
		return NULL;
	max = 1 + offset.len / (ROOM_TAG_LEN + 3);
	r = calloc(1, sizeof(*r) + max * sizeof(r->rooms[0]));
	if (!r)
		return NULL;
	memcpy(r->pid, token.p, token.len);
	memcpy(r->told, pid.p, pid.len);
	if (!take_offset(r, offset, max))
		recovery_free(&r);
	return r;
}

static void room_release(struct recovery_room *r)
{
	list_remove(&r->tail.node);
	strbuf_fini(&r->tail.events);
	if (r->room)
		feed_room_put(&r->room);
}

void recovery_free(struct recovery **rp)
{
	struct recovery *r = *rp;

	if (!r)
		return;
	*rp = NULL;
	for (size_t i = 0; i < r->n; i++)
		room_release(&r->rooms[i]);
	free(r);
}

/* ---- asking the storage ---- */

static void follow(struct recovery_room *r)
{
	strbuf_init(&r->tail.events, TAIL_BYTES);
	list_push_back(&r->room->tails, &r->tail.node);
}

bool recovery_follow(struct recovery *r, struct core *core, struct user *user)
{
	for (size_t i = 0; i < r->n; i++) {
		struct recovery_room *rr = &r->rooms[i];

		room_release(rr);
		if (i > 0) {
			rr->room = feed_room_get_conversation(core, slice_str(rr->id));
			if (!rr->room)
				return false;
		} else if (user && user->room) {
			rr->room = user->room;
			rr->room->refs++;
		}
		if (rr->room)
			follow(rr);
	}
	return true;
}

void recovery_params(const struct recovery *r, struct strbuf *rooms, struct strbuf *seqs)
{
	strbuf_append_char(rooms, '{');
	strbuf_append_char(seqs, '{');
	for (size_t i = 0; i < r->n; i++) {
		if (i > 1)
			strbuf_append_char(rooms, ',');
		if (i > 0)
			strbuf_append_char(seqs, ',');
		strbuf_append_str(rooms, r->rooms[i].id);
		strbuf_append_u64(seqs, (uint64_t)r->rooms[i].seq);
	}
	strbuf_append_char(rooms, '}');
	strbuf_append_char(seqs, '}');
}

/* An answer began or ended after the storage was asked what runs. */
static void follow_answer(struct core *core, struct recovery_room *r, struct slice event)
{
	struct slice type = field_text(core, event, "t");
	struct slice body = field(core, event, "b");

	if (slice_is(type, "message.started")) {
		/* The tail may move. */
		r->active.p = arena_strndup(&core->scratch, body.p, body.len);
		r->active.len = r->active.p ? body.len : 0;
	} else if (slice_is(type, "message.finished") && r->active.len &&
		   slice_eq(field_text(core, body, "streamId"),
			    field_text(core, r->active, "streamId"))) {
		r->active = slice_of(NULL, 0);
	}
}

/* The seq up to which the storage's answer and the tail have all events after the client's. */
static int64_t covered(struct core *core, struct recovery_room *r, int64_t head)
{
	struct strbuf list;
	struct slice *events;
	size_t n = 0;

	if (!strbuf_ok(&r->tail.events))
		return head;
	strbuf_init(&list, TAIL_BYTES + 2);
	strbuf_append_char(&list, '[');
	strbuf_append_slice(&list, slice_of(r->tail.events.data, r->tail.events.len));
	strbuf_append_char(&list, ']');
	if (strbuf_ok(&list) && json_scan_array(slice_of(list.data, list.len), &core->scratch,
						EVENTS_MAX, &events, &n) == 0)
		for (size_t i = 0; i < n; i++) {
			if (field_number(core, events[i], "s") != head + 1)
				continue;
			head++;
			follow_answer(core, r, events[i]);
		}
	strbuf_fini(&list);
	return head;
}

static struct recovery_room *find_answered(struct recovery *r, struct slice id, size_t i)
{
	if (i == 0)
		return &r->rooms[0];
	for (size_t k = 1; k < r->n; k++)
		if (slice_is(id, r->rooms[k].id))
			return &r->rooms[k];
	return NULL;
}

static enum recovery_outcome take_room_answer(struct recovery *r, struct core *core,
					      struct slice json, size_t i,
					      struct room_waiter *waiter)
{
	static const char *const keys[] = { "id", "role", "seq", "events", "activeStream" };
	struct slice v[ARRAY_LEN(keys)];
	struct recovery_room *rr;
	struct feed_room *room;
	struct slice id;
	struct slice role;
	int64_t head;

	fields(core, json, keys, ARRAY_LEN(keys), v);
	if (field_uuid(core, v[0], &id) != FIELD_OK ||
	    field_string(core, v[1], 16, &role) == FIELD_BAD ||
	    field_int(v[2], 0, INT64_MAX, &head) != FIELD_OK)
		return RECOVERY_BAD;
	rr = find_answered(r, id, i);
	if (!rr || !rr->room || !slice_is(id, rr->room->id))
		return RECOVERY_BAD;
	room = rr->room;
	rr->found = true;
	rr->role = role_parse(role);
	rr->events = v[3];
	rr->active = v[4];
	switch (feed_room_settle(room, head, waiter)) {
	case ROOM_READY:
		return RECOVERY_READY;
	case ROOM_WAIT:
		return RECOVERY_WAIT;
	case ROOM_STALE:
		break;
	}
	/* Since then it may have been decided that he has no part in it any more. */
	if (head < room->roles_seq)
		return RECOVERY_AGAIN;
	return covered(core, rr, head) < room->known ? RECOVERY_AGAIN : RECOVERY_READY;
}

enum recovery_outcome recovery_take(struct recovery *r, struct feed_room *user_room,
				    struct slice rooms, struct room_waiter *waiter)
{
	struct core *core = user_room->core;
	struct slice *list;
	size_t n;

	if (!r->rooms[0].room) {
		r->rooms[0].room = user_room;
		user_room->refs++;
		follow(&r->rooms[0]);
	}

	for (size_t i = 0; i < r->n; i++)
		r->rooms[i].found = false;
	if (json_scan_array(rooms, &core->scratch, r->n, &list, &n) != 0 || !n)
		return RECOVERY_BAD;
	for (size_t i = 0; i < n; i++) {
		enum recovery_outcome outcome = take_room_answer(r, core, list[i], i, waiter);

		if (outcome != RECOVERY_READY)
			return outcome;
	}
	return RECOVERY_READY;
}

/* ---- what was missed ---- */

int recovery_enter(struct recovery *r, struct member *m)
{
	int rc = 0;

	m->recovery = r;
	for (size_t i = 1; i < r->n && !rc; i++)
		if (r->rooms[i].found)
			rc = feed_room_enter(r->rooms[i].room, m, r->rooms[i].role);
	return rc;
}

bool recovery_names(const struct recovery *r, struct slice conversation)
{
	for (size_t i = 1; i < r->n; i++)
		if (slice_is(conversation, r->rooms[i].id))
			return true;
	return false;
}

void recovery_at(struct recovery *r, const struct feed_room *room, unsigned part)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->rooms[i].room == room)
			r->rooms[i].part = part;
}

static void replay_list(struct recovery_room *r, struct member *m, struct slice json)
{
	struct slice *events;
	size_t n;

	if (json_scan_array(json, &m->core->scratch, EVENTS_MAX, &events, &n) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		int64_t seq = field_number(m->core, events[i], "s");

		if (seq != r->seq + 1 || seq > r->room->known)
			continue;
		deliver_missed(m, r->room, events[i], r->part);
		r->seq = seq;
		r->part = 0;
	}
}

static void replay_room(struct recovery_room *r, struct member *m)
{
	struct strbuf list;

	replay_list(r, m, r->events);
	strbuf_init(&list, TAIL_BYTES + 2);
	strbuf_append_char(&list, '[');
	strbuf_append_slice(&list, slice_of(r->tail.events.data, r->tail.events.len));
	strbuf_append_char(&list, ']');
	if (strbuf_ok(&list))
		replay_list(r, m, slice_of(list.data, list.len));
	strbuf_fini(&list);
}

void recovery_replay(struct recovery *r, struct member *m)
{
	/* Conversations first: the user's room leaves out what they tell. */
	for (size_t i = 1; i < r->n; i++)
		if (r->rooms[i].found)
			replay_room(&r->rooms[i], m);
	replay_room(&r->rooms[0], m);
	m->recovery = NULL;
	for (size_t i = 1; i < r->n; i++)
		if (r->rooms[i].found)
			relay_join(r->rooms[i].room, m, r->rooms[i].active);
}
