/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Socket.IO protocol v5: packets (socketio/socket.io-protocol, revision 5). Pure codec between the
 * text of an Engine.IO message and a struct. The JSON stays text. Any thread.
 */
#ifndef PARLANCE_WIRE_SIO_PACKET_H
#define PARLANCE_WIRE_SIO_PACKET_H

#include "base/arena.h"
#include "base/slice.h"
#include "base/strbuf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The values are the digits on the wire. */
enum sio_type {
	SIO_CONNECT = '0',
	SIO_DISCONNECT = '1',
	SIO_EVENT = '2',
	SIO_ACK = '3',
	SIO_CONNECT_ERROR = '4',
	SIO_BINARY_EVENT = '5',
	SIO_BINARY_ACK = '6',
};

#define SIO_NO_ACK (-1)
#define SIO_NSP_MAX 255          /* bytes of a namespace's name */
#define SIO_ARGS_MAX 1024        /* elements of the data array */
#define SIO_ATTACHMENTS_MAX 1024 /* what a header may announce; the configured limit is lower */

struct sio_packet {
	enum sio_type type;
	/* "/" when absent. A query ("/nsp?token=x"), as clients may send one, is cut off. */
	struct slice nsp;
	int64_t ack_id;       /* SIO_NO_ACK when absent; at most 2^53 - 1 */
	uint32_t attachments; /* announced binary attachments: at least 1 in BINARY_*, else 0 */
	struct slice data;    /* the JSON as it came; empty when absent */
	/* EVENT, BINARY_EVENT: the name, decoded (a number's text as it came), and the arguments
	 * after it. ACK, BINARY_ACK: the name empty, and the arguments. Else all empty. */
	struct slice name;
	struct slice *args; /* raw JSON of each; NULL when there are none */
	size_t n_args;
	/* The same arguments as they came, commas included, without brackets; empty when none. */
	struct slice args_json;
};

/** Decodes the text of a message. Strings decoded and arrays made are in the arena, the rest
 *  borrows from text. 0, PARLANCE_EINVAL (as the reference parser refuses: unknown type, bad
 *  attachment count, bad ack id, payload that is not JSON, payload missing or of the wrong shape
 *  for the type, reserved event name; also CONNECT_ERROR, which is the server's, and text that is
 *  not UTF-8), PARLANCE_ETOOBIG (one of the limits above), PARLANCE_ENOMEM. Unless 0, a static
 *  reason is in *why and *out is unspecified. */
MUST_USE int sio_packet_decode(struct slice text, struct arena *arena, struct sio_packet *out,
			       const char **why);

/** Appends type, attachment count (BINARY_* only), namespace (unless "/") and ack id (unless
 *  SIO_NO_ACK); the JSON follows by the caller. The namespace begins with '/', has no comma. */
void sio_packet_head(struct strbuf *out, enum sio_type type, uint32_t attachments, struct slice nsp,
		     int64_t ack_id);

/** True for names that the protocol keeps for itself: connect, connect_error, disconnect,
 *  disconnecting, newListener, removeListener. */
bool sio_name_reserved(struct slice name);

#ifdef __cplusplus
}
#endif
#endif
