/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Output: packets become frames. A frame is made once and shared by all its receivers; where
 * sockets carry an offset, the frame ends before the closing bracket and each socket's queue has
 * its own tail behind it.
 */
#include "sio/private.h"
#include "base/err.h"

/*
 * An event on its way to one or many sockets. The two forms are made when the first socket needs
 * them.
 */
struct outgoing {
	const struct sio_nsp *nsp;
	const struct sio_message *message;
	int64_t ack_id;
	struct frame *closed; /* the whole packet */
	struct frame *open;   /* without the last bracket: an offset follows */
	struct frame **attachments;
	size_t n_attachments;
};

static struct frame *encode(enum sio_type type, size_t n_attachments, struct slice nsp,
			    int64_t ack_id, struct slice name, struct slice args, bool closed)
{
	struct strbuf sb;
	struct frame *frame = NULL;

	strbuf_init(&sb, UINT32_MAX);
	sio_packet_head(&sb, type, (uint32_t)n_attachments, nsp, ack_id);
	strbuf_append_char(&sb, '[');
	if (name.len) {
		strbuf_append_json(&sb, name.p, name.len);
		if (args.len)
			strbuf_append_char(&sb, ',');
	}
	strbuf_append_slice(&sb, args);
	if (closed)
		strbuf_append_char(&sb, ']');
	if (strbuf_ok(&sb))
		frame = frame_copy(FRAME_TEXT, sb.data, sb.len);
	strbuf_fini(&sb);
	return frame;
}

static struct frame *outgoing_frame(struct outgoing *o, bool closed)
{
	struct frame **frame = closed ? &o->closed : &o->open;
	const struct sio_message *m = o->message;

	if (!*frame)
		*frame = encode(m->n_attachments ? SIO_BINARY_EVENT : SIO_EVENT, m->n_attachments,
				slice_str(o->nsp->name), o->ack_id, m->name, m->args, closed);
	return *frame;
}

static int make_attachments(struct frame ***out, const struct slice *attachments, size_t n)
{
	struct frame **frames;

	*out = NULL;
	if (!n)
		return 0;
	frames = calloc(n, sizeof(struct frame *));
	if (!frames)
		return PARLANCE_ENOMEM;
	for (size_t i = 0; i < n; i++) {
		frames[i] = frame_copy(FRAME_BINARY, attachments[i].p, attachments[i].len);
		if (frames[i])
			continue;
		while (i--)
			frame_unref(&frames[i]);
		free(frames);
		return PARLANCE_ENOMEM;
	}
	*out = frames;
	return 0;
}

static void free_attachments(struct frame **frames, size_t n)
{
	for (size_t i = 0; i < n; i++)
		frame_unref(&frames[i]);
	free(frames);
}

static int outgoing_init(struct outgoing *o, const struct sio_nsp *nsp, const struct sio_message *m,
			 int64_t ack_id)
{
	memset(o, 0, sizeof(*o));
	if (!m->name.len || sio_name_reserved(m->name) || m->n_attachments > SIO_ATTACHMENTS_MAX)
		return PARLANCE_EINVAL;
	o->nsp = nsp;
	o->message = m;
	o->ack_id = ack_id;
	o->n_attachments = m->n_attachments;
	return make_attachments(&o->attachments, m->attachments, m->n_attachments);
}

static void outgoing_fini(struct outgoing *o)
{
	frame_unref(&o->closed);
	frame_unref(&o->open);
	free_attachments(o->attachments, o->attachments ? o->n_attachments : 0);
}

/* Packet and attachments enter the queue together, so nothing comes between them. */
static void send_all(struct session *session, struct frame *frame, struct slice tail,
		     struct frame *const *attachments, size_t n)
{
	session_send(session, frame, tail);
	for (size_t i = 0; i < n; i++)
		session_send(session, attachments[i], slice_of(NULL, 0));
}

static int outgoing_send(struct outgoing *o, struct sio_socket *s)
{
	const struct sio_message *m = o->message;
	char tail[SIO_OFFSET_MAX + 4];
	struct frame *frame;
	size_t n = 0;

	if (m->is_volatile && !session_writable(s->client->session))
		return 0;
	if (s->recoverable)
		n = s->nsp->ops->offset(s->nsp->ctx, s, tail + 2);
	frame = outgoing_frame(o, !n);
	if (!frame)
		return PARLANCE_ENOMEM;
	if (n) {
		CHECK(n <= SIO_OFFSET_MAX);
		tail[0] = ',';
		tail[1] = '"';
		tail[n + 2] = '"';
		tail[n + 3] = ']';
		n += 4;
	}
	send_all(s->client->session, frame, slice_of(tail, n), o->attachments, o->n_attachments);
	return 0;
}

static int emit_one(struct sio_socket *s, const struct sio_message *m, int64_t ack_id)
{
	struct outgoing o;
	int rc = outgoing_init(&o, s->nsp, m, ack_id);

	if (!rc)
		rc = outgoing_send(&o, s);
	outgoing_fini(&o);
	return rc;
}

int sio_emit(struct sio_socket *s, const struct sio_message *m)
{
	return s->state == SIO_CONNECTED ? emit_one(s, m, SIO_NO_ACK) : PARLANCE_ECLOSED;
}

int sio_emit_with_ack(struct sio_socket *s, const struct sio_message *m, uint32_t timeout_ms,
		      sio_answer_fn *fn, void *arg)
{
	int64_t id;
	int rc;

	if (s->state != SIO_CONNECTED)
		return PARLANCE_ECLOSED;
	if (s->n_acks >= s->nsp->sio->config->max_pending_acks)
		return PARLANCE_ELIMIT;
	id = acks_add(s, timeout_ms, fn, arg);
	if (id == SIO_NO_ACK)
		return PARLANCE_ENOMEM;
	rc = emit_one(s, m, id);
	if (rc)
		acks_take_back(s, id);
	return rc;
}

/* Once per emit: a socket that carries the emit's mark has had it, or is not to have it. */
static int send_unless_marked(struct outgoing *o, struct sio_socket *s, uint64_t mark)
{
	if (s->mark == mark || s->state != SIO_CONNECTED)
		return 0;
	s->mark = mark;
	if (o->message->wants && !o->message->wants(o->message->wants_arg, s))
		return 0;
	return outgoing_send(o, s);
}

int sio_emit_rooms(struct sio_nsp *nsp, const struct slice *rooms, size_t n_rooms,
		   const uint64_t *except, size_t n_except, const struct sio_message *m)
{
	uint64_t mark = ++nsp->sio->mark;
	struct outgoing o;
	int rc = outgoing_init(&o, nsp, m, SIO_NO_ACK);

	for (size_t i = 0; i < n_except; i++) {
		struct sio_socket *s = sio_lookup(nsp->sio, except[i]);

		if (s)
			s->mark = mark;
	}
	for (size_t i = 0; i < n_rooms && !rc; i++) {
		struct room *r = room_find(nsp, rooms[i]);

		for (uint32_t j = 0; r && j < r->n && !rc; j++)
			rc = send_unless_marked(&o, r->members[j].socket, mark);
	}
	if (!n_rooms)
		for (struct list *node = nsp->sockets.next; node != &nsp->sockets && !rc;
		     node = node->next)
			rc = send_unless_marked(&o, CONTAINER_OF(node, struct sio_socket, in_nsp),
						mark);
	outgoing_fini(&o);
	return rc;
}

int sio_ack(struct sio_socket *s, int64_t ack_id, struct slice args,
	    const struct slice *attachments, size_t n_attachments)
{
	struct frame **frames;
	struct frame *frame;

	if (ack_id < 0 || n_attachments > SIO_ATTACHMENTS_MAX)
		return PARLANCE_EINVAL;
	if (s->state != SIO_CONNECTED)
		return PARLANCE_ECLOSED;
	if (make_attachments(&frames, attachments, n_attachments))
		return PARLANCE_ENOMEM;
	frame = encode(n_attachments ? SIO_BINARY_ACK : SIO_ACK, n_attachments,
		       slice_str(s->nsp->name), ack_id, slice_of(NULL, 0), args, true);
	if (frame)
		send_all(s->client->session, frame, slice_of(NULL, 0), frames, n_attachments);
	free_attachments(frames, n_attachments);
	if (!frame)
		return PARLANCE_ENOMEM;
	frame_unref(&frame);
	return 0;
}

void socket_send_packet(struct sio_socket *s, enum sio_type type, struct slice json)
{
	struct frame *frame = NULL;
	struct strbuf sb;

	strbuf_init(&sb, UINT32_MAX);
	sio_packet_head(&sb, type, 0, slice_str(s->nsp->name), SIO_NO_ACK);
	strbuf_append_slice(&sb, json);
	if (strbuf_ok(&sb))
		frame = frame_copy(FRAME_TEXT, sb.data, sb.len);
	strbuf_fini(&sb);
	if (frame)
		session_send(s->client->session, frame, slice_of(NULL, 0));
	else
		session_close(s->client->session, SESSION_NO_MEMORY);
	frame_unref(&frame);
}
