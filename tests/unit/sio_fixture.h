/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the tests of sio share: two namespaces ("/" and "/other") that write down what they are
 * told, and checks on both ends. Included by one file of a program.
 */
#ifndef PARLANCE_TESTS_UNIT_SIO_FIXTURE_H
#define PARLANCE_TESTS_UNIT_SIO_FIXTURE_H

#include "session_fixture.h"

#include "base/err.h"
#include "base/id.h"
#include "wire/sio_packet.h"

/* What a namespace does with a CONNECT. */
enum answer {
	ACCEPT = 1,
	ACCEPT_RECOVERABLE,
	REFUSE,
	LATER,
};

static struct sio_nsp *nsp;       /* "/" */
static struct sio_nsp *nsp_other; /* "/other", without a drain callback */
static struct strbuf trace; /* a line for each callback */
static enum answer answer;
static uint64_t last_id; /* of the socket that connected last */

/* Further work in the callbacks, where a test needs it; NULL: none. */
static void (*in_event)(struct sio_socket *socket, const struct sio_event *event);
static void (*in_disconnect)(struct sio_socket *socket);
static void (*in_drain)(struct sio_socket *socket);
/* The offsets of sockets that were accepted with a pid; NULL: none. */
static size_t (*offset_of)(const struct sio_socket *socket, char out[SIO_OFFSET_MAX]);

static inline void trace_slice(const char *label, struct slice s)
{
	strbuf_append_str(&trace, label);
	strbuf_append_slice(&trace, s);
}

static inline void on_connect(void *ctx, struct sio_socket *s, const struct sio_connect *c)
{
	assert_ptr_equal(ctx, &trace);
	last_id = sio_id(s);
	assert_false(sio_connected(s));
	assert_ptr_equal(sio_lookup(sio, last_id), s);
	trace_slice("connect ", slice_str(sio_nsp_name(sio_socket_nsp(s))));
	trace_slice(" auth=", c->auth);
	if (c->pid.len)
		trace_slice(" pid=", c->pid);
	if (c->offset.len)
		trace_slice(" offset=", c->offset);
	if (!c->address.len)
		strbuf_append_str(&trace, " no handshake");
	strbuf_append_char(&trace, '\n');
	if (answer == ACCEPT)
		sio_accept(s, NULL, NULL);
	else if (answer == ACCEPT_RECOVERABLE)
		sio_accept(s, "p\"1", NULL);
	else if (answer == REFUSE)
		sio_refuse(s, slice_str("no \"entry\""), slice_str("{\"code\":7}"));
}

static inline void on_event(void *ctx, struct sio_socket *s, const struct sio_event *e)
{
	assert_ptr_equal(ctx, &trace);
	assert_true(sio_connected(s));
	trace_slice("event ", e->name);
	trace_slice(" [", e->args_json);
	strbuf_printf(&trace, "] %zu", e->n_args);
	if (e->ack_id != SIO_NO_ACK)
		strbuf_printf(&trace, " ack=%lld", (long long)e->ack_id);
	for (size_t i = 0; i < e->n_attachments; i++)
		trace_slice(" +", e->attachments[i]);
	strbuf_append_char(&trace, '\n');
	if (in_event)
		in_event(s, e);
}

static inline void on_drain(void *ctx, struct sio_socket *s)
{
	assert_ptr_equal(ctx, &trace);
	assert_true(sio_connected(s));
	strbuf_append_str(&trace, "drain\n");
	if (in_drain)
		in_drain(s);
}

static inline void on_disconnect(void *ctx, struct sio_socket *s, const char *reason)
{
	assert_ptr_equal(ctx, &trace);
	assert_false(sio_connected(s));
	strbuf_printf(&trace, "gone %s %s\n", sio_nsp_name(sio_socket_nsp(s)), reason);
	if (in_disconnect)
		in_disconnect(s);
}

static inline size_t on_offset(void *ctx, const struct sio_socket *s, char out[SIO_OFFSET_MAX])
{
	assert_ptr_equal(ctx, &trace);
	return offset_of ? offset_of(s, out) : 0;
}

static const struct sio_nsp_ops ops = {
	.connect = on_connect,
	.event = on_event,
	.drain = on_drain,
	.disconnect = on_disconnect,
	.offset = on_offset,
};
static const struct sio_nsp_ops ops_other = {
	.connect = on_connect,
	.event = on_event,
	.disconnect = on_disconnect,
};

static inline int setup(void **state)
{
	if (session_setup(state))
		return -1;
	answer = ACCEPT;
	in_event = NULL;
	in_disconnect = NULL;
	in_drain = NULL;
	offset_of = NULL;
	strbuf_init(&trace, SIZE_MAX);
	nsp = sio_namespace(sio, "/", &ops, &trace);
	nsp_other = sio_namespace(sio, "/other", &ops_other, &trace);
	return nsp && nsp_other ? 0 : -1;
}

static inline int teardown(void **state)
{
	int rc = session_teardown(state);

	if (!rc)
		strbuf_fini(&trace);
	return rc;
}

/** The callbacks since the last check were these. */
static inline void check_trace(const char *expected)
{
	assert_string_equal(strbuf_cstr(&trace), expected);
	strbuf_reset(&trace);
}

/** The socket that connected last; it must live. */
static inline struct sio_socket *last_socket(void)
{
	struct sio_socket *s = sio_lookup(sio, last_id);

	assert_non_null(s);
	return s;
}

/** The client was told that its last socket is in. */
static inline void check_sent_accept(struct session *c, const char *head, const char *rest)
{
	char expected[256];

	assert_int_equal(strlen(sio_sid(last_socket())), ID_TOKEN_LEN);
	(void)snprintf(expected, sizeof(expected), "%s{\"sid\":\"%s\"%s}", head,
		       sio_sid(last_socket()), rest);
	check_sent(c, expected);
}

/** Joins a namespace, and forgets what was traced and sent for it. */
static inline struct sio_socket *join_nsp(struct session *c, const char *connect)
{
	struct fake_message *m;

	fake_session_text(c, connect);
	m = fake_session_take(c);
	assert_non_null(m);
	assert_int_equal(m->text[0], SIO_CONNECT);
	fake_message_free(&m);
	strbuf_reset(&trace);
	return last_socket();
}

/** A new client that is in "/". */
static inline struct sio_socket *connect_client(struct session **c)
{
	*c = open_session();
	return join_nsp(*c, "0");
}

#endif
