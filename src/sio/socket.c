/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Sockets: admission, refusal, end. A socket that ends is dead at once for all who look, and
 * buried at the end of the turn.
 */
#include "sio/private.h"
#include "base/err.h"

static const uint8_t allowed_moves[] = {
	[SIO_WAITING] = 1 << SIO_CONNECTED | 1 << SIO_DEAD,
	[SIO_CONNECTED] = 1 << SIO_DEAD,
	[SIO_DEAD] = 0,
};

static void set_state(struct sio_socket *s, enum sio_socket_state state)
{
	CHECK(allowed_moves[s->state] & 1 << state);
	s->state = (uint8_t)state;
}

static void on_authorize_timeout(struct timer *timer)
{
	struct sio_socket *s = CONTAINER_OF(timer, struct sio_socket, timer);

	sio_refuse(s, slice_str("Authentication error: timed out"),
		   slice_str("{\"code\":\"UNAVAILABLE\"}"));
}

struct sio_socket *socket_new(struct sio_client *client, struct sio_nsp *nsp)
{
	struct sio *sio = client->sio;
	struct sio_socket *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->id = idtable_add(&sio->sockets, s);
	if (!s->id) {
		free(s);
		return NULL;
	}
	s->nsp = nsp;
	s->client = client;
	s->state = SIO_WAITING;
	id_token(s->sid);
	list_init(&s->acks);
	list_push_back(&client->sockets, &s->in_client);
	client->n_sockets++;
	loop_timer_start(sio->loop, &s->timer, sio->config->authorize_timeout_ms,
			 on_authorize_timeout);
	return s;
}

void sio_accept(struct sio_socket *s, const char *pid, const char *sid)
{
	struct strbuf json;

	if (s->state != SIO_WAITING)
		return;
	set_state(s, SIO_CONNECTED);
	s->was_connected = true;
	s->recoverable = pid && s->nsp->ops->offset;
	if (sid) {
		CHECK(strlen(sid) == ID_TOKEN_LEN);
		memcpy(s->sid, sid, ID_TOKEN_LEN);
	}
	timer_stop(&s->timer);
	timer_stop(&s->client->connect_timer); /* a refusal would let it run on */
	list_push_back(&s->nsp->sockets, &s->in_nsp);
	strbuf_init(&json, 1024);
	strbuf_append_str(&json, "{\"sid\":");
	strbuf_append_json(&json, s->sid, ID_TOKEN_LEN);
	if (pid) {
		strbuf_append_str(&json, ",\"pid\":");
		strbuf_append_json(&json, pid, strlen(pid));
	}
	strbuf_append_char(&json, '}');
	if (strbuf_ok(&json))
		socket_send_packet(s, SIO_CONNECT, slice_of(json.data, json.len));
	else
		session_close(s->client->session, SESSION_NO_MEMORY);
	strbuf_fini(&json);
}

void sio_refuse(struct sio_socket *s, struct slice message, struct slice data)
{
	struct strbuf json;

	if (s->state != SIO_WAITING)
		return;
	strbuf_init(&json, 65536);
	strbuf_append_str(&json, "{\"message\":");
	strbuf_append_json(&json, message.p, message.len);
	if (data.len) {
		strbuf_append_str(&json, ",\"data\":");
		strbuf_append_slice(&json, data);
	}
	strbuf_append_char(&json, '}');
	if (strbuf_ok(&json))
		socket_send_packet(s, SIO_CONNECT_ERROR, slice_of(json.data, json.len));
	else
		session_close(s->client->session, SESSION_NO_MEMORY);
	strbuf_fini(&json);
	socket_kill(s, "refused");
}

void socket_kill(struct sio_socket *s, const char *reason)
{
	struct sio *sio = s->nsp->sio;

	if (s->state == SIO_DEAD)
		return;
	set_state(s, SIO_DEAD);
	s->reason = reason;
	timer_stop(&s->timer);
	list_remove(&s->in_nsp);
	list_remove(&s->in_client);
	s->client->n_sockets--;
	s->client = NULL;
	list_push_back(&sio->dead, &s->in_client);
	loop_defer(sio->loop, &sio->bury_task);
}

void socket_bury_dead(struct loop_task *task)
{
	struct sio *sio = CONTAINER_OF(task, struct sio, bury_task);
	struct list *node;

	while ((node = list_pop_front(&sio->dead))) {
		struct sio_socket *s = CONTAINER_OF(node, struct sio_socket, in_client);

		acks_drop(s);
		if (s->was_connected)
			s->nsp->ops->disconnect(s->nsp->ctx, s, s->reason);
		rooms_leave_all(s);
		idtable_del(&sio->sockets, s->id);
		free(s);
	}
}

void sio_disconnect(struct sio_socket *s, bool close_transport)
{
	if (s->state == SIO_DEAD)
		return;
	if (close_transport) {
		session_close(s->client->session, SESSION_FORCED_CLOSE);
		return;
	}
	socket_send_packet(s, SIO_DISCONNECT, slice_of(NULL, 0));
	socket_kill(s, "server namespace disconnect");
}

void sio_forget_handshake(struct sio_socket *s)
{
	if (s->client)
		session_forget_handshake(s->client->session);
}

void sio_demands(const struct sio_socket *s, struct slice *issuer, struct slice *audience)
{
	*issuer = *audience = slice_of(NULL, 0);
	if (s->client)
		session_demands(s->client->session, issuer, audience);
}

uint64_t sio_id(const struct sio_socket *s)
{
	return s->id;
}

struct sio_socket *sio_lookup(const struct sio *sio, uint64_t id)
{
	struct sio_socket *s = idtable_get(&sio->sockets, id);

	return s && s->state != SIO_DEAD ? s : NULL;
}

const char *sio_sid(const struct sio_socket *s)
{
	return s->sid;
}

struct sio_nsp *sio_socket_nsp(const struct sio_socket *s)
{
	return s->nsp;
}

void sio_set_user(struct sio_socket *s, void *user)
{
	s->user = user;
}

void *sio_user(const struct sio_socket *s)
{
	return s->user;
}

bool sio_connected(const struct sio_socket *s)
{
	return s->state == SIO_CONNECTED;
}

bool sio_congested(const struct sio_socket *s)
{
	return s->client && session_congested(s->client->session);
}

size_t sio_queued_bytes(const struct sio_socket *s)
{
	return s->client ? session_queued_bytes(s->client->session) : 0;
}
