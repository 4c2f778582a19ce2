/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The life of a token: a socket is somebody's only as long as the token that it showed is good. Some
 * time before it runs out the client is told, and may show another one in place; some time after, its
 * transport is closed, and it comes back with a good one or not at all. A token that is revoked ends
 * its sockets at once, for good.
 *
 * What is revoked is in the database. Whoever revokes tells all instances to look (anybody could, so
 * only what is read there counts); what nobody told of is found with the next look at all heads. A
 * token is checked in the storage when it is shown; if meanwhile anything was revoked that this
 * instance has acted upon, it is checked again.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/private.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/json_scan.h"

/* Wall clocks jump; it is looked at so often at least. */
#define LOOK_AGAIN_MS 30000
#define REVOKED_MAX 100000 /* in one answer */

/* ---- what is known of a token ---- */

static int copy_text(char **out, struct slice text)
{
	*out = text.len ? strndup(text.p, text.len) : NULL;
	return text.len && !*out ? PARLANCE_ENOMEM : 0;
}

int token_take(struct token *t, const struct auth_answer *answer)
{
	*t = (struct token){ .expires_ms = answer->expires_ms, .issued_ms = answer->issued_ms };
	if (copy_text(&t->id, answer->token_id) || copy_text(&t->session, answer->session)) {
		token_fini(t);
		return PARLANCE_ENOMEM;
	}
	return 0;
}

void token_fini(struct token *t)
{
	free(t->id);
	free(t->session);
	*t = (struct token){ 0 };
}

void token_params(const struct token *t, char issued[TOKEN_ISSUED_MAX], struct slice params[3])
{
	(void)snprintf(issued, TOKEN_ISSUED_MAX, "%" PRId64, t->issued_ms);
	params[0] = slice_str(t->id);
	params[1] = slice_str(t->session);
	params[2] = slice_str(t->issued_ms ? issued : NULL);
}

void token_append_expiry(struct strbuf *sb, const struct token *t)
{
	char time[CLOCK_ISO8601_LEN + 1];

	json_key(sb, "expiresAt");
	if (t->expires_ms) {
		clock_iso8601(t->expires_ms, time);
		strbuf_append_json(sb, time, CLOCK_ISO8601_LEN);
	} else {
		strbuf_append_str(sb, "null");
	}
}

/* ---- its end ---- */

static void tell(struct member *m, const char *event)
{
	struct strbuf *sb = json_begin(m->core);

	token_append_expiry(sb, &m->token);
	strbuf_append_char(sb, '}');
	member_emit(m, event, json_end(sb));
}

static void end(struct member *m)
{
	struct sio_socket *s = sio_lookup(m->core->sio, m->socket);

	tell(m, "auth:expired");
	/* Its transport alone: it comes back with another token. */
	if (s)
		sio_disconnect(s, true);
}

static void on_token_timer(struct timer *timer)
{
	struct member *m = CONTAINER_OF(timer, struct member, token_timer);
	const struct core_config *c = m->core->config;
	int64_t now = clock_wall_ms();
	int64_t warn = m->token.expires_ms - (int64_t)c->token_notice_s * 1000;
	int64_t over = m->token.expires_ms + (int64_t)c->token_grace_s * 1000;
	int64_t next;

	if (now >= over) {
		end(m);
		return;
	}
	if (now >= warn && !m->token_warned) {
		m->token_warned = true;
		tell(m, "auth:expiring");
	}
	next = (m->token_warned ? over : warn) - now;
	loop_timer_start(m->core->loop, timer,
			 next < LOOK_AGAIN_MS ? (uint64_t)next : LOOK_AGAIN_MS, on_token_timer);
}

void token_watch(struct member *m)
{
	m->token_warned = false;
	if (m->token.expires_ms)
		loop_timer_start(m->core->loop, &m->token_timer, 0, on_token_timer);
	else
		timer_stop(&m->token_timer);
}

/* ---- another one in its place ---- */

struct refreshing {
	struct token token;
	uint64_t revocations;
};

void refreshing_free(struct refreshing **rp)
{
	if (!*rp)
		return;
	token_fini(&(*rp)->token);
	free(*rp);
	*rp = NULL;
}

static void check(struct request *r);

static void on_checked(struct request *r, struct slice json)
{
	struct core *core = r->core;
	struct member *m = request_member(r);
	struct refreshing *f = r->refreshing;
	struct strbuf *sb;

	(void)json;
	if (m && f->revocations != core->n_revocations) {
		check(r);
		return;
	}
	if (m) {
		token_fini(&m->token);
		m->token = f->token;
		f->token = (struct token){ 0 };
		token_watch(m);
	}
	sb = json_begin(core);
	strbuf_append_str(sb, "\"ok\":true");
	if (m)
		token_append_expiry(sb, &m->token);
	strbuf_append_char(sb, '}');
	request_ok(&r, json_end(sb));
}

static void check(struct request *r)
{
	struct slice params[4] = { user_id(r->user) };
	char issued[TOKEN_ISSUED_MAX];

	r->refreshing->revocations = r->core->n_revocations;
	token_params(&r->refreshing->token, issued, params + 1);
	request_call(r, PARLANCE_TOKEN_CHECK, params, 4, on_checked);
}

static void on_verified(void *arg, const struct auth_answer *answer)
{
	struct request *r = arg;
	struct member *m = request_member(r);

	arena_reset(&r->core->scratch);
	if (!m || !r->user) {
		request_free(&r);
	} else if (!answer->accepted) {
		request_fail(&r,
			     answer->verdict == PARLANCE_AUTH_TEMPORARY ? CODE_UNAVAILABLE :
			     answer->verdict == PARLANCE_AUTH_EXPIRED	? CODE_TOKEN_EXPIRED :
									  CODE_UNAUTHENTICATED,
			     NULL);
	} else if (!slice_eq(answer->user, user_id(r->user))) {
		request_fail(&r, CODE_FORBIDDEN, "the token is another user's");
	} else {
		r->refreshing = calloc(1, sizeof(*r->refreshing));
		if (r->refreshing && token_take(&r->refreshing->token, answer) == 0)
			check(r);
		else
			request_fail(&r, CODE_UNAVAILABLE, NULL);
	}
}

void auth_refresh(struct member *m, const struct sio_event *event, struct slice arg)
{
	struct core *core = m->core;
	struct sio_socket *s = sio_lookup(core->sio, m->socket);
	struct auth_question question = { 0 };
	struct request *r;

	if (json_kind(arg) != '{' ||
	    field_string(core, field(core, arg, "token"), TOKEN_MAX, &question.token) != FIELD_OK ||
	    !question.token.len) {
		event_fail(m, event, CODE_BAD_REQUEST, "token is missing or too long",
			   slice_of(NULL, 0));
		return;
	}
	if (s)
		sio_demands(s, &question.issuer, &question.audience);
	r = request_new(m, event, "auth:refresh", slice_of(NULL, 0));
	if (r && auth_verify(core->plugins, &question, core->config->auth_timeout_ms, on_verified,
			     r) != 0)
		request_fail(&r, CODE_UNAVAILABLE, NULL);
}

/* ---- revoked ones ---- */

struct revocation {
	enum { REVOKED_USER, REVOKED_SESSION, REVOKED_TOKEN } kind;
	struct slice id;
	int64_t at_ms;
};

static bool concerns(const struct revocation *r, const struct member *m)
{
	switch (r->kind) {
	case REVOKED_USER:
		return slice_eq(r->id, user_id(m->user)) && m->token.issued_ms <= r->at_ms;
	case REVOKED_SESSION:
		return m->token.session && slice_is(r->id, m->token.session);
	case REVOKED_TOKEN:
		return m->token.id && slice_is(r->id, m->token.id);
	}
	return false;
}

static bool read_revocation(struct core *core, struct slice json, struct revocation *r)
{
	static const char *const names[] = { "user", "session", "token" };
	static const char *const keys[] = { "kind", "id", "at" };
	struct slice v[ARRAY_LEN(keys)];
	struct slice kind;

	fields(core, json, keys, ARRAY_LEN(keys), v);
	if (field_string(core, v[0], 16, &kind) != FIELD_OK ||
	    field_string(core, v[1], PARLANCE_TOKEN_ID_MAX, &r->id) != FIELD_OK ||
	    field_int(v[2], 0, INT64_MAX, &r->at_ms) != FIELD_OK)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		r->kind = i;
		if (slice_is(kind, names[i]))
			return true;
	}
	return false;
}

/* For good: its client does not come back by itself. */
static void end_revoked(struct core *core, const struct revocation *list, size_t n)
{
	uint64_t *sockets = calloc(map_count(core->members) + 1, sizeof(*sockets));
	struct member *m;
	size_t pos = 0;
	size_t ended = 0;

	while ((m = map_next(core->members, &pos))) {
		bool revoked = false;

		for (size_t i = 0; i < n && !revoked; i++)
			revoked = concerns(&list[i], m);
		if (revoked && sockets)
			sockets[ended++] = m->socket;
	}
	for (size_t i = 0; i < ended; i++) {
		struct sio_socket *s = sio_lookup(core->sio, sockets[i]);

		if (s)
			sio_disconnect(s, false);
	}
	free(sockets);
	log_notice("audit", LOG_FIELDS(LOG_UINT("revoked", n), LOG_UINT("sockets", ended)),
		   "tokens were revoked");
}

static void on_revocations(void *arg, const struct storage_answer *answer)
{
	struct core *core = arg;
	struct slice json = answer->json;
	struct revocation *list;
	struct slice *rows;
	struct slice after;
	size_t n_rows;
	size_t n = 0;

	arena_reset(&core->scratch);
	core->asking_revocations = false;
	if (core->ask_revocations_again)
		tokens_look(core);
	if (storage_code(answer, "revocations") != CODE_NONE ||
	    field_string(core, field(core, json, "after"), sizeof(core->revoked_after) - 1,
			 &after) != FIELD_OK ||
	    json_scan_array(field(core, json, "revoked"), &core->scratch, REVOKED_MAX, &rows,
			    &n_rows) != 0)
		return; /* asked again with the next look at the heads */
	list = arena_alloc(&core->scratch, (n_rows + 1) * sizeof(*list));
	if (!list)
		return;
	for (size_t i = 0; i < n_rows; i++)
		n += read_revocation(core, rows[i], &list[n]);
	memcpy(core->revoked_after, after.p, after.len);
	core->revoked_after[after.len] = '\0';
	if (n) {
		core->n_revocations++;
		end_revoked(core, list, n);
	}
}

void tokens_look(struct core *core)
{
	struct slice after = slice_str(*core->revoked_after ? core->revoked_after : NULL);

	/* What is under way may have been read before. */
	core->ask_revocations_again = core->asking_revocations;
	if (core->asking_revocations || core->stopped)
		return;
	core->asking_revocations =
	    storage_call(core->plugins, PARLANCE_REVOCATIONS, STORAGE_NO_KEY, &after, 1,
			 core->config->storage_timeout_ms, on_revocations, core) == 0;
}

void tokens_on_revoked(struct core *core, int64_t from, const struct slice *args, size_t n)
{
	(void)from;
	(void)args;
	(void)n;
	tokens_look(core);
}
