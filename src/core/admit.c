/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * From CONNECT to "session:ready": the token is verified, the user's room is read, and the socket
 * is in; one whose connection was lost is put back into its rooms, and told what it missed. A client
 * whose token is bad is refused for good; one that we cannot serve at the moment loses its
 * connection, so that it tries again.
 */
#include <stdio.h>
#include <strings.h>

#include "core/private.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/json_scan.h"

#define ATTEMPTS_MAX 5

/* A CONNECT under way. */
struct admission {
	struct core *core;
	uint64_t socket;
	enum stream_mode mode;
	int aliases;
	struct token token;
	uint64_t revocations; /* core->n_revocations when it was checked */
	char address[64];
	char *user;
	struct feed_room *room; /* a reference, until the user has it */
	struct member *member;
	unsigned attempts;
	struct room_waiter waiter;
	char pid[ID_TOKEN_LEN + 1];  /* what a new one is made from; then that */
	struct recovery *recovery;   /* NULL: it asks for none, or gets none */
	char *answer;                /* the storage's */
};

static void open_session(struct admission *a);

static void admission_free(struct admission **ap)
{
	struct admission *a = *ap;

	*ap = NULL;
	list_remove(&a->waiter.node);
	if (a->room)
		feed_room_put(&a->room);
	recovery_free(&a->recovery);
	token_fini(&a->token);
	free(a->user);
	free(a->answer);
	free(a);
}

static struct sio_socket *admission_socket(const struct admission *a)
{
	return sio_lookup(a->core->sio, a->socket);
}

/* Not the client's fault. */
static void come_again(struct admission **ap)
{
	struct sio_socket *s = admission_socket(*ap);

	if (s)
		sio_disconnect(s, true);
	admission_free(ap);
}

static void refuse(struct sio_socket *s, enum core_code code, const char *text)
{
	char message[128];
	char data[64];

	(void)snprintf(message, sizeof(message), "Authentication error: %s", text);
	(void)snprintf(data, sizeof(data), "{\"code\":\"%s\"}", code_name(code));
	sio_refuse(s, slice_str(message), slice_str(data));
}

/* Who was not let in. detail: without the token. */
static void audit(const struct sio_socket *s, const char *address, const char *text,
		  const char *detail)
{
	static struct log_rate rate = LOG_RATE(20, 10000);
	uint32_t suppressed;

	if (log_rate_allow(&rate, &suppressed))
		log_notice("audit",
			   LOG_FIELDS(LOG_STR("address", address), LOG_STR("socket", sio_sid(s)),
				      LOG_STR("detail", detail ? detail : ""),
				      LOG_UINT("suppressed", suppressed)),
			   "%s", text);
}

/* Its socket is there. */
static void deny(struct admission **ap, enum core_code code, const char *text, const char *detail)
{
	struct sio_socket *s = admission_socket(*ap);

	audit(s, (*ap)->address, "a client was refused", detail);
	refuse(s, code, text);
	admission_free(ap);
}

static const char *const capabilities =
    "[\"aliases\",\"stream:delta\",\"stream:full\",\"message:stop\",\"message:list\","
    "\"conversation:share\",\"presence\"]";

static void append_limits(struct strbuf *sb, const struct core_config *c)
{
	strbuf_printf(sb,
		      "{\"maxContentBytes\":%u,\"maxTitleBytes\":%u,\"maxMetadataBytes\":%u,"
		      "\"queueDepth\":%u}",
		      c->max_content_bytes, c->max_title_bytes, c->max_metadata_bytes,
		      c->queue_depth);
}

static void send_ready(struct admission *a, struct slice streams)
{
	struct core *core = a->core;
	struct member *m = a->member;
	char time[CLOCK_ISO8601_LEN + 1];
	struct strbuf *sb = json_begin(core);

	json_text(sb, "userId", slice_str(a->user));
	json_text(sb, "socketId", m->sid);
	clock_iso8601(clock_wall_ms(), time);
	json_text(sb, "serverTime", slice_of(time, CLOCK_ISO8601_LEN));
	token_append_expiry(sb, &m->token);
	json_key(sb, "recovered");
	strbuf_append_str(sb, a->recovery ? "true" : "false");
	json_key(sb, "limits");
	append_limits(sb, core->config);
	json_key(sb, "capabilities");
	strbuf_append_str(sb, capabilities);
	json_key(sb, "activeStreams");
	strbuf_append_slice(sb, streams);
	strbuf_append_char(sb, '}');
	member_emit(m, "session:ready", json_end(sb));
}

static int make_member(struct admission *a, struct sio_socket *s)
{
	struct member *m = calloc(1, sizeof(*m));
	int rc;

	if (!m)
		return PARLANCE_ENOMEM;
	list_init(&m->joined);
	m->core = a->core;
	m->socket = a->socket;
	m->sid = slice_str(sio_sid(s));
	m->mode = a->mode;
	m->aliases = a->aliases;
	m->token = a->token;
	a->token = (struct token){ 0 };
	list_init(&m->watching);
	rc = user_add(a->core, slice_str(a->user), m);
	if (rc) {
		token_fini(&m->token);
		free(m);
		return rc;
	}
	if (!m->user->room) {
		m->user->room = a->room;
		a->room->user = m->user;
		a->room = NULL;
	}
	a->member = m;
	sio_set_user(s, m);
	return 0;
}

/* A client that comes back while we still took its old connection for alive: it is not. */
static void take_over(struct core *core, struct slice sid)
{
	struct member *old = member_find(core, sid);
	struct sio_socket *s = old ? sio_lookup(core->sio, old->socket) : NULL;

	if (!s)
		return;
	sio_leave(s, old->user->room_name);
	sio_set_user(s, NULL);
	member_free(&old);
	sio_disconnect(s, true);
}

/* Rooms are where the storage said they are: the socket may hear of them. */
static void enter(struct admission *a)
{
	static const char *const keys[] = { "socket", "streams" };
	struct core *core = a->core;
	struct sio_socket *s = admission_socket(a);
	bool recoverable = core->config->recovery_window_s > 0;
	char pid[RECOVERY_PID_MAX + 1];
	struct slice v[ARRAY_LEN(keys)];
	struct slice sid;

	if (!s || sio_connected(s)) {
		admission_free(&a);
		return;
	}
	/* Since it came the others have been told to go; or the storage, which has just come, has not
	 * answered yet who we are: it could ask for nothing. */
	if (core->draining || !core->was_registered) {
		come_again(&a);
		return;
	}
	if (a->revocations != core->n_revocations) { /* its token may be one of them */
		if (++a->attempts < ATTEMPTS_MAX)
			open_session(a);
		else
			come_again(&a);
		return;
	}
	fields(core, slice_str(a->answer), keys, ARRAY_LEN(keys), v);
	if (field_string(core, v[0], ID_TOKEN_LEN, &sid) != FIELD_OK || sid.len != ID_TOKEN_LEN) {
		come_again(&a);
		return;
	}
	sid.p = arena_strndup(&core->scratch, sid.p, sid.len);
	if (!sid.p) {
		come_again(&a);
		return;
	}
	take_over(core, sid);
	if (!limit_sockets(core, slice_str(a->user))) {
		audit(s, a->address, "a client was put off", "its user has too many sockets");
		come_again(&a);
		return;
	}
	/* From here on the member goes with its socket. */
	recovery_pid(a->pid, core->epoch, a->room, pid);
	sio_accept(s, !recoverable ? NULL : a->recovery ? a->recovery->told : pid, sid.p);
	if (make_member(a, s) != 0 || sio_join(s, a->member->user->room_name) != 0 ||
	    (a->recovery && recovery_enter(a->recovery, a->member) != 0)) {
		if (a->member)
			a->member->recovery = NULL;
		come_again(&a);
		return;
	}
	send_ready(a, v[1]);
	if (a->recovery)
		recovery_replay(a->recovery, a->member);
	token_watch(a->member);
	admission_free(&a);
}

static void settle(struct admission *a);

static void on_position(struct room_waiter *w)
{
	struct admission *a = CONTAINER_OF(w, struct admission, waiter);
	struct slice epoch = field_text(a->core, slice_str(a->answer), "epoch");

	if (!slice_is(epoch, a->core->epoch))
		come_again(&a); /* it waited for a position of another history */
	else if (a->recovery)
		settle(a);
	else
		enter(a);
}

/* The client's old connection is gone for good: it begins a new one. */
static void give_up_recovery(struct admission *a)
{
	recovery_free(&a->recovery);
	open_session(a);
}

static void settle_recovery(struct admission *a)
{
	struct slice rooms = field(a->core, slice_str(a->answer), "rooms");

	switch (recovery_take(a->recovery, a->room, rooms, &a->waiter)) {
	case RECOVERY_READY:
		enter(a);
		break;
	case RECOVERY_WAIT:
		break;
	case RECOVERY_AGAIN:
		if (++a->attempts < ATTEMPTS_MAX)
			open_session(a);
		else
			give_up_recovery(a);
		break;
	case RECOVERY_BAD:
		give_up_recovery(a);
		break;
	}
}

static void settle(struct admission *a)
{
	if (!admission_socket(a)) {
		admission_free(&a);
		return;
	}
	if (a->recovery) {
		settle_recovery(a);
		return;
	}
	switch (feed_room_settle(a->room, field_number(a->core, slice_str(a->answer), "seq"),
				 &a->waiter)) {
	case ROOM_READY:
		enter(a);
		break;
	case ROOM_STALE:
		if (++a->attempts < ATTEMPTS_MAX)
			open_session(a);
		else
			enter(a);
		break;
	case ROOM_WAIT:
		break;
	}
}

static int find_room(struct admission *a, struct slice id)
{
	struct strbuf name;
	int rc = 0;

	if (a->room)
		return slice_is(id, a->room->id) ? 0 : PARLANCE_EINVAL;
	if (!id_is_uuid(id.p, id.len) || !feed_room_id_is_users(id))
		return PARLANCE_EINVAL;
	strbuf_init(&name, 1024);
	strbuf_append_str(&name, USER_PREFIX);
	strbuf_append_str(&name, a->user);
	if (strbuf_ok(&name))
		a->room = feed_room_get(a->core, id, slice_of(name.data, name.len), true);
	if (!a->room)
		rc = PARLANCE_ENOMEM;
	strbuf_fini(&name);
	return rc;
}

/* 0 when the answer is one. */
static int read_session(struct admission *a, struct slice json)
{
	static const char *const keys[] = { "ok",    "room",      "seq", "streams",
					    "epoch", "recovered", "pid" };
	struct core *core = a->core;
	struct slice v[ARRAY_LEN(keys)];
	struct slice epoch;
	struct slice pid;
	int64_t seq = 0;

	fields(core, json, keys, ARRAY_LEN(keys), v);
	if (!slice_is(v[0], "true") || find_room(a, field_text(core, json, "room")) != 0 ||
	    field_int(v[2], 0, INT64_MAX, &seq) != FIELD_OK || !v[3].len ||
	    field_string(core, v[4], EPOCH_MAX, &epoch) != FIELD_OK)
		return PARLANCE_EINVAL;
	if (!slice_is(v[5], "true"))
		recovery_free(&a->recovery);
	if (!a->recovery && field_string(core, v[6], ID_TOKEN_LEN, &pid) == FIELD_OK &&
	    pid.len == ID_TOKEN_LEN)
		memcpy(a->pid, pid.p, ID_TOKEN_LEN);
	instance_epoch(core, epoch);
	free(a->answer);
	a->answer = strndup(json.p, json.len);
	return a->answer ? 0 : PARLANCE_ENOMEM;
}

static void on_session(void *arg, const struct storage_answer *answer)
{
	struct admission *a = arg;
	bool stored;

	arena_reset(&a->core->scratch);
	if (!admission_socket(a)) {
		admission_free(&a);
		return;
	}
	stored = storage_code(answer, "session_open") == CODE_NONE;
	if (stored && slice_is(field_text(a->core, answer->json, "code"), "UNAUTHENTICATED")) {
		deny(&a, CODE_UNAUTHENTICATED, "token revoked", "its token was revoked");
		return;
	}
	if (stored && read_session(a, answer->json) == 0)
		settle(a);
	else if (stored && a->recovery) /* what it missed cannot be read: not the next time either */
		give_up_recovery(a);
	else
		come_again(&a);
}

static void open_session(struct admission *a)
{
	struct core *core = a->core;
	struct slice none = slice_of(NULL, 0);
	struct slice params[11] = { slice_str(a->user), none, slice_str(a->pid), none };
	struct strbuf rooms;
	struct strbuf seqs;
	char window[24];
	char max[24];
	char issued[TOKEN_ISSUED_MAX];
	bool ok = true;

	strbuf_init(&rooms, SIZE_MAX / 2);
	strbuf_init(&seqs, SIZE_MAX / 2);
	if (a->recovery) {
		ok = recovery_follow(a->recovery, core, user_find(core, slice_str(a->user)));
		recovery_params(a->recovery, &rooms, &seqs);
		(void)snprintf(window, sizeof(window), "%u", core->config->recovery_window_s);
		(void)snprintf(max, sizeof(max), "%u", core->config->recovery_max_events);
		params[1] = slice_str(a->recovery->pid);
		params[3] = slice_str(a->recovery->epoch);
		params[4] = slice_of(rooms.data, rooms.len);
		params[5] = slice_of(seqs.data, seqs.len);
		params[6] = slice_str(window);
		params[7] = slice_str(max);
		ok = ok && strbuf_ok(&rooms) && strbuf_ok(&seqs);
	}
	token_params(&a->token, issued, params + 8);
	a->revocations = core->n_revocations;
	if (!ok || storage_call(core->plugins, PARLANCE_SESSION_OPEN, STORAGE_NO_KEY, params, 11,
				core->config->storage_timeout_ms, on_session, a) != 0)
		come_again(&a);
	strbuf_fini(&rooms);
	strbuf_fini(&seqs);
}

static void begin_session(struct admission *a, struct slice user)
{
	a->user = strndup(user.p, user.len);
	if (!a->user) {
		come_again(&a);
		return;
	}
	a->waiter.fn = on_position;
	id_token(a->pid);
	open_session(a);
}

static void on_verified(void *arg, const struct auth_answer *answer)
{
	struct admission *a = arg;

	if (!admission_socket(a)) {
		admission_free(&a);
		return;
	}
	if (answer->accepted && a->core->draining) {
		come_again(&a);
		return;
	}
	if (answer->accepted) {
		if (token_take(&a->token, answer) == 0)
			begin_session(a, answer->user);
		else
			come_again(&a);
		return;
	}
	if (answer->verdict == PARLANCE_AUTH_TEMPORARY) {
		audit(admission_socket(a), a->address, "a token could not be verified",
		      answer->detail);
		come_again(&a);
	} else if (answer->verdict == PARLANCE_AUTH_EXPIRED) {
		deny(&a, CODE_TOKEN_EXPIRED, "token expired", answer->detail);
	} else {
		deny(&a, CODE_UNAUTHENTICATED, "invalid token", answer->detail);
	}
}

/* The token: auth.token, else "Authorization: Bearer", else ?token=. */
static struct slice find_token(struct core *core, const struct sio_connect *c)
{
	static const char bearer[] = "bearer ";
	struct slice token;

	if (field_string(core, field(core, c->auth, "token"), SIZE_MAX, &token) == FIELD_OK &&
	    token.len)
		return token;
	if (c->authorization.len >= strlen(bearer) &&
	    strncasecmp(c->authorization.p, bearer, strlen(bearer)) == 0) {
		token = slice_of(c->authorization.p + strlen(bearer),
				 c->authorization.len - strlen(bearer));
		while (token.len && token.p[0] == ' ') {
			token.p++;
			token.len--;
		}
		if (token.len)
			return token;
	}
	return core->config->query_token ? c->token : slice_of(NULL, 0);
}

static void read_wishes(struct admission *a, struct slice auth)
{
	struct core *core = a->core;
	struct slice stream = field_text(core, auth, "stream");
	struct slice aliases = field_text(core, auth, "aliases");

	a->mode = slice_is(stream, "delta") ? STREAM_DELTA : STREAM_FULL;
	a->aliases = core->config->aliases;
	if (slice_is(aliases, "seed"))
		a->aliases = CORE_ALIASES_SEED;
	else if (slice_is(aliases, "past"))
		a->aliases = CORE_ALIASES_PAST;
	else if (slice_is(aliases, "both"))
		a->aliases = CORE_ALIASES_BOTH;
}

void admit_connect(void *ctx, struct sio_socket *socket, const struct sio_connect *connect)
{
	struct core *core = ctx;
	struct admission *a;
	struct slice token;
	struct auth_question question;

	arena_reset(&core->scratch);
	sio_set_user(socket, NULL);
	a = core->draining ? NULL : calloc(1, sizeof(*a));
	if (!a) {
		sio_disconnect(socket, true);
		return;
	}
	a->core = core;
	a->socket = sio_id(socket);
	(void)snprintf(a->address, sizeof(a->address), "%.*s", (int)connect->address.len,
		       connect->address.p);
	token = find_token(core, connect);
	if (!token.len || token.len > TOKEN_MAX) {
		deny(&a, CODE_UNAUTHENTICATED, token.len ? "invalid token" : "token required",
		     token.len ? "its token is too long" : "it has no token");
		return;
	}
	read_wishes(a, connect->auth);
	if (core->config->recovery_window_s && connect->pid.len)
		a->recovery = recovery_new(connect->pid, connect->offset);
	question = (struct auth_question){ .token = token,
					   .address = connect->address,
					   .origin = connect->origin,
					   .issuer = connect->issuer,
					   .audience = connect->audience };
	if (auth_verify(core->plugins, &question, core->config->auth_timeout_ms, on_verified, a) != 0)
		come_again(&a);
	sio_forget_handshake(socket);
}
