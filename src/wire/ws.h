/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * WebSocket framing of the server side (RFC 6455): bytes of the connection to messages and control
 * frames, checked to the letter, and frame heads the other way. A reader belongs to one connection
 * and has memory beside its struct only in the middle of a message or of a frame. Any thread, but a
 * reader with `deflate` only where ws_deflate.h may be used.
 */
#ifndef PARLANCE_WIRE_WS_H
#define PARLANCE_WIRE_WS_H

#include "base/slice.h"
#include "base/strbuf.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WS_CONTROL_MAX 125 /* payload of a control frame */
#define WS_HEAD_MAX 10     /* of a frame that we send: not masked */

/* Status codes of a Close frame that we use (section 7.4.1). */
enum ws_status {
	WS_NONE = 0, /* a Close frame without a body */
	WS_NORMAL = 1000,
	WS_GOING_AWAY = 1001,
	WS_PROTOCOL_ERROR = 1002,
	WS_INVALID_DATA = 1007,
	WS_POLICY_VIOLATION = 1008,
	WS_TOO_BIG = 1009,
	WS_INTERNAL_ERROR = 1011,
};

enum ws_opcode {
	WS_CONTINUATION = 0x0,
	WS_TEXT = 0x1,
	WS_BINARY = 0x2,
	WS_CLOSE = 0x8,
	WS_PING = 0x9,
	WS_PONG = 0xa,
};

/* What the client has said so far. */
struct ws_reader {
	uint64_t max_bytes;    /* of a message; also of one after decompression */
	bool deflate;          /* permessage-deflate was negotiated: RSV1 may begin a message */
	struct strbuf pending; /* the beginning of a frame's head, or of a control frame */
	struct strbuf message; /* a message that comes in pieces */
	uint64_t left;         /* payload bytes of the current data frame that are to come */
	uint8_t mask[4];
	uint8_t mask_at;       /* the mask's byte for the next byte of payload */
	uint8_t opcode;        /* of the message that is being read, WS_CONTINUATION (0): none */
	bool in_frame;         /* behind the head of a data frame */
	bool fin;
	bool compressed;
};

struct ws_event {
	enum ws_opcode opcode; /* TEXT or BINARY: a whole message; PING, PONG, CLOSE */
	struct slice payload;  /* unmasked, decompressed; CLOSE: the reason without the status;
				* valid until the next ws_read */
	uint16_t status;       /* CLOSE: the peer's status, WS_NONE when it gave none; on
				* PARLANCE_EINVAL: the status to close with */
	const char *why;       /* on PARLANCE_EINVAL: static text */
};

void ws_reader_init(struct ws_reader *r, uint64_t max_bytes, bool deflate);
void ws_reader_fini(struct ws_reader *r);

/** Takes bytes off *in (writable: they are unmasked in place) up to the next whole message or
 *  control frame. A message that came whole in one frame is not copied. After an error the reader
 *  is not used again.
 *
 *  0 and *out. PARLANCE_EAGAIN: *in is used up. PARLANCE_EINVAL with status and why: close the
 *  connection with that status; 1002: unmasked or malformed frame, bad fragmentation, bad close
 *  code; 1007: bad UTF-8 in a message or a close reason, bad compressed data; 1009: too big, found
 *  when a frame's head declares it. PARLANCE_ENOMEM. */
MUST_USE int ws_read(struct ws_reader *r, struct slice *in, struct ws_event *out);

/** Writes the head of an unfragmented frame that is not masked; returns its bytes (at most
 *  WS_HEAD_MAX). */
size_t ws_head(unsigned char *out, enum ws_opcode opcode, bool compressed, uint64_t payload_len);

/** Bytes that ws_head writes for this payload. */
size_t ws_head_len(uint64_t payload_len);

/** True for the status codes that a peer may send (section 7.4 and IANA's registry):
 *  1000-1003, 1007-1014, 3000-4999. */
bool ws_status_ok(unsigned int status);

#ifdef __cplusplus
}
#endif
#endif
