/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Input: a session's messages become packets, packets become what the namespaces' callbacks get.
 * What the protocol does not allow closes the session, as the reference server does.
 */
#include "sio/private.h"
#include "base/err.h"
#include "wire/json_scan.h"

/* A binary packet: its text, then so many attachments, each a message of its own. */
struct reassembly {
	char *text;
	size_t text_len;
	struct slice *attachments; /* each owned */
	uint32_t n;
	uint32_t want;
	uint64_t bytes;
};

static void reassembly_free(struct reassembly **rp)
{
	struct reassembly *r = *rp;

	if (!r)
		return;
	*rp = NULL;
	for (uint32_t i = 0; i < r->n; i++)
		free((void *)(uintptr_t)r->attachments[i].p);
	free(r->attachments);
	free(r->text);
	free(r);
}

static void on_connect_timeout(struct timer *timer)
{
	struct sio_client *c = CONTAINER_OF(timer, struct sio_client, connect_timer);

	session_close(c->session, SESSION_CONNECT_TIMEOUT);
}

void client_open(void *ctx, struct session *session)
{
	struct sio *sio = ctx;
	struct sio_client *c = calloc(1, sizeof(*c));

	session_set_user(session, c);
	if (!c) {
		session_close(session, SESSION_NO_MEMORY);
		return;
	}
	c->sio = sio;
	c->session = session;
	list_init(&c->sockets);
	loop_timer_start(sio->loop, &c->connect_timer, sio->config->connect_timeout_ms,
			 on_connect_timeout);
}

static struct sio_socket *socket_in(const struct sio_client *c, struct slice nsp)
{
	for (struct list *node = c->sockets.next; node != &c->sockets; node = node->next) {
		struct sio_socket *s = CONTAINER_OF(node, struct sio_socket, in_client);

		if (slice_is(nsp, s->nsp->name))
			return s;
	}
	return NULL;
}

static void refuse_namespace(struct sio_client *c, struct slice nsp)
{
	static const char json[] = "{\"message\":\"Invalid namespace\"}";
	struct frame *frame = NULL;
	struct strbuf sb;

	strbuf_init(&sb, SIO_NSP_MAX + sizeof(json) + 16);
	sio_packet_head(&sb, SIO_CONNECT_ERROR, 0, nsp, SIO_NO_ACK);
	strbuf_append_str(&sb, json);
	if (strbuf_ok(&sb))
		frame = frame_copy(FRAME_TEXT, sb.data, sb.len);
	strbuf_fini(&sb);
	if (frame)
		session_send(c->session, frame, slice_of(NULL, 0));
	frame_unref(&frame);
}

/* A member of the payload when it is a string, else empty. */
static struct slice string_member(struct sio *sio, struct slice object, const char *key)
{
	struct slice value;
	struct slice text = slice_of(NULL, 0);

	if (object.len && json_member(object, key, &sio->arena, &value) == 0 &&
	    json_string(value, &sio->arena, &text) != 0)
		text = slice_of(NULL, 0);
	return text;
}

static void on_connect(struct sio_client *c, const struct sio_packet *p)
{
	struct sio_nsp *nsp = sio_find_nsp(c->sio, p->nsp);
	const struct session_handshake *h = session_handshake(c->session);
	struct sio_connect connect = { .auth = p->data };
	struct sio_socket *s;

	if (!nsp) {
		refuse_namespace(c, p->nsp);
		return;
	}
	if (socket_in(c, p->nsp) || c->n_sockets >= c->sio->config->max_namespaces) {
		session_close(c->session, SESSION_PARSE_ERROR);
		return;
	}
	s = socket_new(c, nsp);
	if (!s) {
		session_close(c->session, SESSION_NO_MEMORY);
		return;
	}
	if (h) {
		connect.authorization = h->authorization;
		connect.token = h->token;
		connect.origin = h->origin;
		connect.user_agent = h->user_agent;
		connect.address = slice_str(h->address);
		connect.secure = h->secure;
	}
	session_demands(c->session, &connect.issuer, &connect.audience);
	connect.pid = string_member(c->sio, p->data, "pid");
	connect.offset = string_member(c->sio, p->data, "offset");
	nsp->ops->connect(nsp->ctx, s, &connect);
}

static void on_packet(struct sio_client *c, const struct sio_packet *p,
		      const struct slice *attachments, size_t n_attachments)
{
	struct sio_socket *s;
	struct sio_event event = {
		.name = p->name,
		.args_json = p->args_json,
		.args = p->args,
		.n_args = p->n_args,
		.attachments = attachments,
		.n_attachments = n_attachments,
		.ack_id = p->ack_id,
	};

	if (p->type == SIO_CONNECT) {
		on_connect(c, p);
		return;
	}
	s = socket_in(c, p->nsp);
	if (!s || s->state != SIO_CONNECTED) {
		session_close(c->session, SESSION_PARSE_ERROR);
		return;
	}
	switch (p->type) {
	case SIO_EVENT:
	case SIO_BINARY_EVENT:
		s->nsp->ops->event(s->nsp->ctx, s, &event);
		break;
	case SIO_ACK:
	case SIO_BINARY_ACK:
		acks_answer(s, p->ack_id, &event);
		break;
	case SIO_DISCONNECT:
		socket_kill(s, "client namespace disconnect");
		break;
	case SIO_CONNECT:
	case SIO_CONNECT_ERROR:
		break; /* the first is handled above, the second refused by the decoder */
	}
}

/* Keeps the text of a binary packet until its attachments are there. */
static int reassembly_begin(struct sio_client *c, struct slice text, uint32_t want)
{
	struct reassembly *r = calloc(1, sizeof(*r));

	if (!r)
		return PARLANCE_ENOMEM;
	c->reassembly = r;
	r->text = malloc(text.len);
	r->attachments = calloc(want, sizeof(*r->attachments));
	r->want = want;
	if (!r->text || !r->attachments)
		return PARLANCE_ENOMEM;
	memcpy(r->text, text.p, text.len);
	r->text_len = text.len;
	return 0;
}

static void on_text(struct sio_client *c, struct slice text)
{
	const struct sio_config *config = c->sio->config;
	struct sio_packet p;
	const char *why = NULL;
	int rc = PARLANCE_EINVAL;

	if (!c->reassembly)
		rc = sio_packet_decode(text, &c->sio->arena, &p, &why);
	if (!rc && p.attachments > config->max_attachments)
		rc = PARLANCE_ELIMIT;
	if (!rc && p.attachments)
		rc = reassembly_begin(c, text, p.attachments);
	else if (!rc)
		on_packet(c, &p, NULL, 0);
	if (rc)
		session_close(c->session, rc == PARLANCE_ENOMEM  ? SESSION_NO_MEMORY
					  : rc == PARLANCE_ELIMIT ? SESSION_TOO_BIG
								  : SESSION_PARSE_ERROR);
}

static void on_binary(struct sio_client *c, struct slice data)
{
	struct reassembly *r = c->reassembly;
	struct sio_packet p;
	const char *why = NULL;
	char *copy;

	if (!r || data.len > c->sio->config->max_attachment_bytes - r->bytes) {
		session_close(c->session, r ? SESSION_TOO_BIG : SESSION_PARSE_ERROR);
		return;
	}
	copy = malloc(data.len ? data.len : 1);
	if (!copy) {
		session_close(c->session, SESSION_NO_MEMORY);
		return;
	}
	memcpy(copy, data.p, data.len);
	r->attachments[r->n++] = slice_of(copy, data.len);
	r->bytes += data.len;
	if (r->n < r->want)
		return;
	c->reassembly = NULL;
	/* It decoded once already; only memory can fail it now. */
	if (sio_packet_decode(slice_of(r->text, r->text_len), &c->sio->arena, &p, &why))
		session_close(c->session, SESSION_NO_MEMORY);
	else
		on_packet(c, &p, r->attachments, r->n);
	reassembly_free(&r);
}

void client_message(void *ctx, struct session *session, bool binary, struct slice data)
{
	struct sio *sio = ctx;
	struct sio_client *c = session_user(session);

	if (binary)
		on_binary(c, data);
	else
		on_text(c, data);
	arena_reset(&sio->arena);
}

void client_drain(void *ctx, struct session *session)
{
	struct sio *sio = ctx;
	struct sio_client *c = session_user(session);
	uint64_t *ids = arena_alloc(&sio->arena, c->n_sockets * sizeof(*ids));
	size_t n = 0;

	/* By number: a callback may end any of them. */
	for (struct list *node = c->sockets.next; ids && node != &c->sockets; node = node->next)
		ids[n++] = CONTAINER_OF(node, struct sio_socket, in_client)->id;
	for (size_t i = 0; i < n; i++) {
		struct sio_socket *s = sio_lookup(sio, ids[i]);

		if (s && s->state == SIO_CONNECTED && s->nsp->ops->drain)
			s->nsp->ops->drain(s->nsp->ctx, s);
	}
	arena_reset(&sio->arena);
}

void client_close(void *ctx, struct session *session, enum session_close reason)
{
	struct sio_client *c = session_user(session);

	(void)ctx;
	if (!c)
		return;
	timer_stop(&c->connect_timer);
	while (!list_empty(&c->sockets))
		socket_kill(CONTAINER_OF(c->sockets.next, struct sio_socket, in_client),
			    session_close_text(reason));
	reassembly_free(&c->reassembly);
	free(c);
}
