/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Events of clients: who handles them, and how they are answered. Every event that asks for an
 * acknowledgement gets one; one that fails and did not ask gets an "error" event.
 */
#include "core/private.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "wire/json_scan.h"
#include "wire/sio_packet.h"

static const struct {
	enum core_code code;
	const char *name;
	const char *text;
	bool retryable;
} codes[] = {
#define X(constant, name, text, retryable) { constant, name, text, retryable },
	CORE_CODE_LIST(X)
#undef X
};

const char *code_name(enum core_code code)
{
	CHECK(code > CODE_NONE && (size_t)code <= ARRAY_LEN(codes));
	return codes[code - 1].name;
}

const char *code_text(enum core_code code)
{
	CHECK(code > CODE_NONE && (size_t)code <= ARRAY_LEN(codes));
	return codes[code - 1].text;
}

bool code_retryable(enum core_code code)
{
	CHECK(code > CODE_NONE && (size_t)code <= ARRAY_LEN(codes));
	return codes[code - 1].retryable;
}

enum core_code code_parse(struct slice name)
{
	for (size_t i = 0; i < ARRAY_LEN(codes); i++)
		if (slice_is(name, codes[i].name))
			return codes[i].code;
	return CODE_INTERNAL;
}

/* Answers */

void error_append(struct strbuf *out, const struct error_about *about)
{
	json_text(out, "code", slice_str(code_name(about->code)));
	json_text(out, "message",
		  slice_str(about->detail ? about->detail : code_text(about->code)));
	json_text(out, "type", slice_str(code_name(about->code)));
	json_text(out, "event", slice_str(about->event));
	json_key(out, "retryable");
	strbuf_append_str(out, code_retryable(about->code) ? "true" : "false");
	if (about->retry_after_ms) {
		json_key(out, "retryAfterMs");
		strbuf_append_u64(out, about->retry_after_ms);
	}
	if (about->conversation.len)
		json_text(out, "conversationId", about->conversation);
	if (about->message.len)
		json_text(out, "messageId", about->message);
	if (about->stream.len)
		json_text(out, "streamId", about->stream);
}

/* Output that fails for lack of memory ends the connection: its client comes back, and sees all
 * that it missed. */
static void sent(struct sio_socket *s, int rc)
{
	if (rc == PARLANCE_ENOMEM)
		sio_disconnect(s, true);
}

static void socket_ack(struct sio_socket *s, int64_t ack_id, struct slice json)
{
	if (json.len)
		sent(s, sio_ack(s, ack_id, json, NULL, 0));
	else
		sio_disconnect(s, true);
}

static void socket_emit(struct sio_socket *s, const char *name, struct slice json)
{
	struct sio_message message = { .name = slice_str(name), .args = json };

	if (json.len)
		sent(s, sio_emit(s, &message));
	else
		sio_disconnect(s, true);
}

void member_emit(struct member *member, const char *name, struct slice json)
{
	struct sio_socket *s = sio_lookup(member->core->sio, member->socket);

	if (s)
		socket_emit(s, name, json);
}

/* current: what a client needs to know to try again (a member to be added), or empty. */
static void answer_error(struct core *core, struct sio_socket *s, int64_t ack_id,
			 const struct error_about *about, struct slice current)
{
	struct strbuf *sb = json_begin(core);

	if (ack_id != SIO_NO_ACK) {
		strbuf_append_str(sb, "\"ok\":false,\"error\":{");
		error_append(sb, about);
		strbuf_append_char(sb, '}');
		if (current.len) {
			json_key(sb, "conversation");
			strbuf_append_slice(sb, current);
		}
	} else {
		error_append(sb, about);
	}
	strbuf_append_char(sb, '}');
	if (ack_id != SIO_NO_ACK)
		socket_ack(s, ack_id, json_end(sb));
	else
		socket_emit(s, "error", json_end(sb));
}

void event_ok(struct member *member, const struct sio_event *event, struct slice json)
{
	struct sio_socket *s = sio_lookup(member->core->sio, member->socket);

	if (s && event->ack_id != SIO_NO_ACK)
		socket_ack(s, event->ack_id, json);
}

void event_fail(struct member *member, const struct sio_event *event, enum core_code code,
		const char *detail, struct slice conversation)
{
	struct sio_socket *s = sio_lookup(member->core->sio, member->socket);
	char name[128];
	struct error_about about = { .event = name, .code = code, .detail = detail,
				     .conversation = conversation };
	size_t len = event->name.len < sizeof(name) ? event->name.len : 0;

	/* Names that are longer are none of ours. */
	memcpy(name, event->name.p, len);
	name[len] = '\0';
	if (code == CODE_UNAVAILABLE || code == CODE_RATE_LIMITED)
		about.retry_after_ms = RETRY_AFTER_MS;
	if (s)
		answer_error(member->core, s, event->ack_id, &about, slice_of(NULL, 0));
}

/* Requests */

static bool has_too_much(const struct user *u, size_t bytes)
{
	return u->n_requests >= USER_REQUESTS_MAX ||
	       (u->n_requests && u->request_bytes + bytes > USER_REQUEST_BYTES_MAX);
}

struct request *request_new(struct member *member, const struct sio_event *event, const char *name,
			    struct slice conversation)
{
	struct user *u = member->user;
	struct request *r;

	if (has_too_much(u, event->args_json.len)) {
		member->core->limited[CORE_LIMIT_USER_REQUESTS]++;
		event_fail(member, event, CODE_RATE_LIMITED, NULL, conversation);
		return NULL;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		event_fail(member, event, CODE_UNAVAILABLE, NULL, conversation);
		return NULL;
	}
	r->core = member->core;
	r->user = u;
	r->bytes = event->args_json.len;
	list_push_back(&u->requests, &r->in_user);
	u->n_requests++;
	u->request_bytes += r->bytes;
	r->socket = member->socket;
	r->ack_id = event->ack_id;
	r->event = name;
	CHECK(conversation.len < sizeof(r->conversation));
	if (conversation.len)
		memcpy(r->conversation, conversation.p, conversation.len);
	return r;
}

void request_free(struct request **rp)
{
	struct request *r = *rp;

	if (!r)
		return;
	*rp = NULL;
	if (r->user) {
		r->user->n_requests--;
		r->user->request_bytes -= r->bytes;
	}
	list_remove(&r->in_user);
	list_remove(&r->waiter.node);
	if (r->room)
		feed_room_put(&r->room);
	entering_free(&r->entering);
	sending_free(&r->sending);
	refreshing_free(&r->refreshing);
	free(r->message_id);
	free(r);
}

struct member *request_member(const struct request *r)
{
	struct sio_socket *s = sio_lookup(r->core->sio, r->socket);

	return s && sio_connected(s) ? member_of(s) : NULL;
}

static struct sio_socket *request_socket(const struct request *r)
{
	return request_member(r) ? sio_lookup(r->core->sio, r->socket) : NULL;
}

void request_ok(struct request **rp, struct slice json)
{
	struct request *r = *rp;
	struct sio_socket *s = request_socket(r);

	if (s && r->ack_id != SIO_NO_ACK)
		socket_ack(s, r->ack_id, json);
	request_free(rp);
}

static void refuse(struct request **rp, enum core_code code, const char *detail,
		   struct slice current)
{
	struct request *r = *rp;
	struct sio_socket *s = request_socket(r);
	struct error_about about = {
		.event = r->event,
		.code = code,
		.detail = detail,
		.retry_after_ms = code == CODE_UNAVAILABLE ? RETRY_AFTER_MS : 0,
		.conversation = slice_str(r->conversation),
		.message = slice_str(r->message_id),
	};

	if (s)
		answer_error(r->core, s, r->ack_id, &about, current);
	request_free(rp);
}

void request_fail(struct request **rp, enum core_code code, const char *detail)
{
	refuse(rp, code, detail, slice_of(NULL, 0));
}

enum core_code storage_code(const struct storage_answer *answer, const char *what)
{
	static struct log_rate rate = LOG_RATE(10, 10000);
	uint32_t suppressed;

	if (answer->status == PARLANCE_STORAGE_OK)
		return CODE_NONE;
	if (answer->status != PARLANCE_STORAGE_UNAVAILABLE && log_rate_allow(&rate, &suppressed))
		log_err("chat",
			LOG_FIELDS(LOG_STR("request", what), LOG_STR("detail", answer->detail),
				   LOG_UINT("suppressed", suppressed)),
			"%s", answer->timed_out ? "the storage did not answer in time"
						: "the storage failed");
	return answer->status == PARLANCE_STORAGE_FAILED ? CODE_INTERNAL : CODE_UNAVAILABLE;
}

static void on_answer(void *arg, const struct storage_answer *answer)
{
	struct request *r = arg;
	struct core *core = r->core;
	enum core_code code = storage_code(answer, r->event);
	struct slice ok;

	arena_reset(&core->scratch);
	if (code && r->stopped) {
		/* What runs here has stopped; those who run the rest cannot be reached. */
		request_ok(&r, slice_str("{\"ok\":true,\"stopped\":true}"));
		return;
	}
	if (code) {
		request_fail(&r, code, NULL);
		return;
	}
	ok = field(core, answer->json, "ok");
	if (slice_is(ok, "true"))
		r->then(r, answer->json);
	else
		refuse(&r, code_parse(field_text(core, answer->json, "code")), NULL,
		       field(core, answer->json, "conversation"));
}

void request_call(struct request *r, enum parlance_storage_function function,
		  const struct slice *params, size_t n_params,
		  void (*then)(struct request *r, struct slice json))
{
	r->then = then;
	if (storage_call(r->core->plugins, function, slice_str(r->conversation), params, n_params,
			 r->core->config->storage_timeout_ms, on_answer, r) != 0)
		request_fail(&r, CODE_UNAVAILABLE, NULL);
}

/* Dispatch */

static void ping(struct member *member, const struct sio_event *event, struct slice arg)
{
	char now[CLOCK_ISO8601_LEN + 1];
	struct strbuf *sb = json_begin(member->core);

	(void)arg;
	clock_iso8601(clock_wall_ms(), now);
	json_text(sb, "time", slice_of(now, CLOCK_ISO8601_LEN));
	strbuf_append_char(sb, '}');
	member_emit(member, "pong", json_end(sb));

	sb = json_begin(member->core);
	strbuf_append_str(sb, "\"ok\":true");
	json_text(sb, "time", slice_of(now, CLOCK_ISO8601_LEN));
	strbuf_append_char(sb, '}');
	event_ok(member, event, json_end(sb));
}

static const struct {
	const char *name;
	event_fn *handle;
} handlers[] = {
	{ "auth:refresh", auth_refresh },
	{ "conversation:create", conversation_create },
	{ "conversation:delete", conversation_delete },
	{ "conversation:leave_view", conversation_leave_view },
	{ "conversation:list", conversation_list },
	{ "conversation:share", conversation_share },
	{ "conversation:unshare", conversation_unshare },
	{ "conversation:update", conversation_update },
	{ "conversation:view", conversation_view },
	{ "join:conversation", conversation_join },
	{ "leave:conversation", conversation_leave },
	{ "message:list", message_list },
	{ "message:send", message_send },
	{ "message:stop", message_stop },
	{ "ping", ping },
	{ "presence:get", presence_get },
	{ "presence:subscribe", presence_subscribe },
	{ "typing:start", typing_start },
	{ "typing:stop", typing_stop },
};

const char *core_event_name(size_t i)
{
	return i < ARRAY_LEN(handlers) ? handlers[i].name : NULL;
}

void event_receive(void *ctx, struct sio_socket *socket, const struct sio_event *event)
{
	struct core *core = ctx;
	struct member *member = member_of(socket);
	struct slice arg = event->n_args ? event->args[0] : slice_of("null", 4);

	if (!member || !member->user)
		return;
	arena_reset(&core->scratch);
	switch (limit_event(member, event->args_json.len)) {
	case LIMIT_PASS:
		break;
	case LIMIT_REFUSE:
		event_fail(member, event, CODE_RATE_LIMITED, NULL, slice_of(NULL, 0));
		return;
	case LIMIT_END:
		sio_disconnect(socket, true);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
		if (!slice_is(event->name, handlers[i].name))
			continue;
		if (core->stopped)
			event_fail(member, event, CODE_UNAVAILABLE, NULL, slice_of(NULL, 0));
		else if (event->n_attachments && handlers[i].handle != ping)
			/* A placeholder is no value, and must not be stored or passed on as one. */
			event_fail(member, event, CODE_BAD_REQUEST, "Binary data is not taken",
				   slice_of(NULL, 0));
		else
			handlers[i].handle(member, event, arg);
		return;
	}
	event_fail(member, event, CODE_UNKNOWN_EVENT, NULL, slice_of(NULL, 0));
}
