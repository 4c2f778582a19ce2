/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Engine.IO protocol v4: packets and polling payloads (socketio/engine.io-protocol, revision 4).
 * Pure codec: bytes to structs and back; nothing is copied while decoding. Any thread.
 */
#ifndef PARLANCE_WIRE_EIO_H
#define PARLANCE_WIRE_EIO_H

#include "base/slice.h"
#include "base/strbuf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EIO_PROTOCOL 4
#define EIO_SEPARATOR '\x1e'

/* The values are the digits on the wire. */
enum eio_type {
	EIO_OPEN = '0',
	EIO_CLOSE = '1',
	EIO_PING = '2',
	EIO_PONG = '3',
	EIO_MESSAGE = '4',
	EIO_UPGRADE = '5',
	EIO_NOOP = '6',
};

struct eio_packet {
	enum eio_type type;
	bool binary;       /* a message of bytes, not text */
	struct slice data; /* borrowed from what was decoded */
};

/** A text frame of WebSocket: type digit, then data. 0 or PARLANCE_EINVAL (empty or unknown type;
 *  base64 belongs to payloads and is an unknown type here). UTF-8 is not checked: RFC 6455 section
 *  8.1 makes the transport do that. */
MUST_USE int eio_decode_text(struct slice text, struct eio_packet *out);

/** Walks a polling payload: takes the next packet off *rest. `rest` starts as the whole payload
 *  (rest->p not NULL even when it is empty); afterwards rest->p is NULL at the end. A base64 packet
 *  ("b…") is decoded in place, so the payload's memory is writable and changes. 0 and *out;
 *  PARLANCE_ENOENT at the end; PARLANCE_EINVAL (empty payload or packet, unknown type, bad base64,
 *  text that is not UTF-8), after which the walk is over. */
MUST_USE int eio_payload_next(struct slice *rest, struct eio_packet *out);

/** Appends a packet to a polling payload, with the separator when it is not the first. */
void eio_payload_append(struct strbuf *payload, const struct eio_packet *packet);

/** Bytes that a message of len bytes takes in a polling payload, separator included. len must be
 *  below SIZE_MAX / 2. */
size_t eio_payload_size(bool binary, size_t len);

struct eio_open {
	const char *sid;
	bool upgrade_websocket;
	uint32_t ping_interval_ms;
	uint32_t ping_timeout_ms;
	uint64_t max_payload_bytes;
};

/** Appends the JSON of the open packet (without the type digit). */
void eio_open_json(struct strbuf *out, const struct eio_open *open);

/* What the reference server answers to a bad request: HTTP 400 with this JSON (engine.io,
 * Server.errors). The values are the codes on the wire. */
enum eio_error {
	EIO_ERR_TRANSPORT_UNKNOWN = 0,
	EIO_ERR_SID_UNKNOWN = 1,
	EIO_ERR_BAD_METHOD = 2,
	EIO_ERR_BAD_REQUEST = 3,
	EIO_ERR_FORBIDDEN = 4,
	EIO_ERR_PROTOCOL_UNSUPPORTED = 5,
};

/** {"code":n,"message":"…"} as static text. */
const char *eio_error_json(enum eio_error error);

#ifdef __cplusplus
}
#endif
#endif
