/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * WebSocket framing (RFC 6455; section numbers below are of it). A reader owns `pending` and
 * `message`. What an event handed out lies in *in or in one of the two, whose length is 0 by then:
 * the next ws_read frees it. Thread: see ws.h.
 */
#include <string.h>

#include "wire/ws.h"

#include "base/err.h"
#include "base/utf8.h"
#include "wire/ws_deflate.h"

/* The first two bytes of a frame (section 5.2). */
#define FIN 0x80
#define RSV 0x70
#define RSV1 0x40
#define OPCODE 0x0f
#define CONTROL 0x08 /* the opcode's bit that control frames have */
#define MASKED 0x80
#define LENGTH 0x7f
#define LENGTH_16 126 /* two bytes follow that are the length */
#define LENGTH_64 127 /* eight */

#define START_LEN 2
#define MASK_LEN 4
#define STATUS_LEN 2
#define CONTROL_FRAME_MAX (START_LEN + MASK_LEN + WS_CONTROL_MAX)

void ws_reader_init(struct ws_reader *r, uint64_t max_bytes, bool deflate)
{
	*r = (struct ws_reader){ .max_bytes = max_bytes, .deflate = deflate };
	strbuf_init(&r->pending, CONTROL_FRAME_MAX);
	strbuf_init(&r->message, max_bytes < SIZE_MAX ? (size_t)max_bytes : SIZE_MAX);
}

void ws_reader_fini(struct ws_reader *r)
{
	strbuf_fini(&r->pending);
	strbuf_fini(&r->message);
}

/* Frees the memory of what is empty, so that an idle connection has none. */
static void give_back(struct strbuf *sb)
{
	if (sb->len == 0)
		strbuf_fini(sb);
}

static int refuse(struct ws_event *out, enum ws_status status, const char *why)
{
	out->status = status;
	out->why = why;
	return PARLANCE_EINVAL;
}

static unsigned char *take(struct slice *in, size_t len)
{
	/* The caller of ws_read vouches for memory that can be written. */
	unsigned char *p = (unsigned char *)(uintptr_t)in->p;

	*in = slice_of(in->p + len, in->len - len);
	return p;
}

/* Eight bytes at a time, whatever the alignment. */
static void unmask(unsigned char *p, size_t len, const uint8_t mask[MASK_LEN], unsigned int at)
{
	uint8_t bytes[8];
	uint64_t key;

	for (unsigned int i = 0; i < sizeof(bytes); i++)
		bytes[i] = mask[(at + i) % MASK_LEN];
	memcpy(&key, bytes, sizeof(key));
	for (; len >= sizeof(key); len -= sizeof(key), p += sizeof(key)) {
		uint64_t block;

		memcpy(&block, p, sizeof(block));
		block ^= key;
		memcpy(p, &block, sizeof(block));
	}
	for (size_t i = 0; i < len; i++)
		p[i] ^= bytes[i];
}

/*
 * Makes the first len bytes of a frame lie together: in *in while they all are there, else in
 * `pending`. Neither is shortened by it. PARLANCE_EAGAIN: *in is used up.
 */
static int gather(struct ws_reader *r, struct slice *in, size_t len, const unsigned char **p)
{
	if (r->pending.len == 0 && in->len >= len) {
		*p = (const unsigned char *)in->p;
		return 0;
	}
	if (r->pending.len < len) {
		size_t missing = len - r->pending.len;
		size_t n = missing < in->len ? missing : in->len;

		strbuf_append(&r->pending, take(in, n), n);
		if (!strbuf_ok(&r->pending))
			return r->pending.err;
		if (n < missing)
			return PARLANCE_EAGAIN;
	}
	*p = (const unsigned char *)r->pending.data;
	return 0;
}

/* What is wrong with a frame by its first two bytes (sections 5.2, 5.4, 5.5; RFC 7692 section 6.1);
 * NULL: nothing. */
static const char *start_error(const struct ws_reader *r, const unsigned char *p)
{
	unsigned int opcode = p[0] & OPCODE;
	unsigned int rsv = p[0] & RSV;
	bool begins = opcode == WS_TEXT || opcode == WS_BINARY;

	if (!(p[1] & MASKED))
		return "a frame is not masked";
	if (rsv && !(rsv == RSV1 && r->deflate && begins))
		return "a reserved bit is set";
	if (opcode > WS_PONG || (opcode > WS_BINARY && opcode < WS_CLOSE))
		return "unknown opcode";
	if (opcode & CONTROL) {
		if (!(p[0] & FIN))
			return "a control frame is fragmented";
		return (p[1] & LENGTH) > WS_CONTROL_MAX ? "a control frame is too long" : NULL;
	}
	if (begins && r->opcode != WS_CONTINUATION)
		return "a message begins inside another";
	if (!begins && r->opcode == WS_CONTINUATION)
		return "a continuation of no message";
	return NULL;
}

/* With the mask. */
static size_t frame_head_len(const unsigned char *start)
{
	unsigned int length = start[1] & LENGTH;

	return START_LEN + (length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0) + MASK_LEN;
}

/* The length that the head of a data frame declares. */
static int parse_length(const unsigned char *head, uint64_t *len, struct ws_event *out)
{
	unsigned int length = head[1] & LENGTH;
	unsigned int bytes = length == LENGTH_64 ? 8 : 2;

	if (length < LENGTH_16) {
		*len = length;
		return 0;
	}
	*len = 0;
	for (unsigned int i = 0; i < bytes; i++)
		*len = *len << 8 | head[START_LEN + i];
	if (*len >> 63)
		return refuse(out, WS_PROTOCOL_ERROR, "a length has its top bit set");
	if (*len <= (bytes == 8 ? UINT16_MAX : LENGTH_16 - 1))
		return refuse(out, WS_PROTOCOL_ERROR, "a length is not in its shortest form");
	return 0;
}

/* The rest of a message's way, from payload to event. */
static int finish_message(struct ws_reader *r, struct slice payload, struct ws_event *out)
{
	if (r->compressed) {
		struct strbuf plain;
		int rc;

		strbuf_init(&plain, r->message.max);
		rc = ws_inflate(payload, &plain);
		strbuf_fini(&r->message);
		r->message = plain;
		if (rc == PARLANCE_ETOOBIG)
			return refuse(out, WS_TOO_BIG, "a message is too big when decompressed");
		if (rc == PARLANCE_EINVAL)
			return refuse(out, WS_INVALID_DATA, "a message cannot be decompressed");
		if (rc)
			return rc;
		payload = slice_of(strbuf_cstr(&r->message), r->message.len);
	}
	if (r->opcode == WS_TEXT && !utf8_valid(payload.p, payload.len))
		return refuse(out, WS_INVALID_DATA, "a text message is not UTF-8");
	out->opcode = (enum ws_opcode)r->opcode;
	out->payload = payload;
	r->opcode = WS_CONTINUATION;
	r->message.len = 0;
	return 0;
}

/* Payload of the data frame that is being read. */
static int read_payload(struct ws_reader *r, struct slice *in, struct ws_event *out)
{
	size_t n = r->left < in->len ? (size_t)r->left : in->len;
	unsigned char *p = take(in, n);

	unmask(p, n, r->mask, r->mask_at);
	r->mask_at = (uint8_t)((r->mask_at + n) % MASK_LEN);
	r->left -= n;
	r->in_frame = r->left > 0;
	if (r->fin && !r->in_frame && r->message.len == 0)
		return finish_message(r, slice_of((const char *)p, n), out);
	strbuf_append(&r->message, p, n);
	if (r->message.err == PARLANCE_ETOOBIG) /* max_bytes is more than memory can hold */
		return refuse(out, WS_TOO_BIG, "a message is too big");
	if (!strbuf_ok(&r->message))
		return r->message.err;
	if (r->fin && !r->in_frame)
		return finish_message(r, slice_of(r->message.data, r->message.len), out);
	return PARLANCE_EAGAIN;
}

/* A data frame's head is whole. */
static int begin_frame(struct ws_reader *r, const unsigned char *head, struct ws_event *out)
{
	size_t head_len = frame_head_len(head);
	int rc = parse_length(head, &r->left, out);

	if (rc)
		return rc;
	if (r->left > r->max_bytes - r->message.len)
		return refuse(out, WS_TOO_BIG, "a message is too big");
	if (r->opcode == WS_CONTINUATION) {
		r->opcode = head[0] & OPCODE;
		r->compressed = head[0] & RSV1;
	}
	memcpy(r->mask, head + head_len - MASK_LEN, MASK_LEN);
	r->mask_at = 0;
	r->fin = head[0] & FIN;
	r->in_frame = true;
	return 0;
}

/* A control frame is whole. */
static int finish_control(unsigned char *frame, struct ws_event *out)
{
	unsigned char *payload = frame + START_LEN + MASK_LEN;
	size_t len = frame[1] & LENGTH;

	unmask(payload, len, payload - MASK_LEN, 0);
	out->opcode = (enum ws_opcode)(frame[0] & OPCODE);
	out->payload = slice_of((const char *)payload, len);
	if (out->opcode != WS_CLOSE || len == 0)
		return 0;
	/* Section 5.5.1: a status, then a reason. */
	if (len < STATUS_LEN)
		return refuse(out, WS_PROTOCOL_ERROR, "a close body of one byte");
	out->status = (uint16_t)(payload[0] << 8 | payload[1]);
	if (!ws_status_ok(out->status))
		return refuse(out, WS_PROTOCOL_ERROR, "a close status that may not be sent");
	out->payload = slice_of((const char *)payload + STATUS_LEN, len - STATUS_LEN);
	if (!utf8_valid(out->payload.p, out->payload.len))
		return refuse(out, WS_INVALID_DATA, "a close reason is not UTF-8");
	return 0;
}

/* A data frame up to where its payload begins, or a control frame. */
static int read_frame(struct ws_reader *r, struct slice *in, struct ws_event *out)
{
	const unsigned char *p;
	const char *why;
	bool control;
	size_t len;
	int rc;

	rc = gather(r, in, START_LEN, &p);
	if (rc)
		return rc;
	why = start_error(r, p);
	if (why)
		return refuse(out, WS_PROTOCOL_ERROR, why);
	control = p[0] & CONTROL;
	len = frame_head_len(p) + (control ? p[1] & LENGTH : 0);
	rc = gather(r, in, len, &p);
	if (rc)
		return rc;
	if (r->pending.len == 0)
		take(in, len);
	r->pending.len = 0;
	if (control)
		return finish_control((unsigned char *)(uintptr_t)p, out);
	rc = begin_frame(r, p, out);
	give_back(&r->pending);
	/* Now, because a frame that is empty ends here. */
	return rc ? rc : read_payload(r, in, out);
}

int ws_read(struct ws_reader *r, struct slice *in, struct ws_event *out)
{
	int rc = PARLANCE_EAGAIN;

	give_back(&r->pending);
	give_back(&r->message);
	*out = (struct ws_event){ .status = WS_NONE };
	while (rc == PARLANCE_EAGAIN && in->len > 0)
		rc = r->in_frame ? read_payload(r, in, out) : read_frame(r, in, out);
	return rc;
}

size_t ws_head(unsigned char *out, enum ws_opcode opcode, bool compressed, uint64_t payload_len)
{
	size_t len = ws_head_len(payload_len);

	out[0] = (unsigned char)(FIN | (compressed ? RSV1 : 0) | opcode);
	out[1] = (unsigned char)(len == START_LEN ? payload_len :
				 len == WS_HEAD_MAX ? LENGTH_64 : LENGTH_16);
	for (size_t i = len; i > START_LEN; i--) {
		out[i - 1] = (unsigned char)payload_len;
		payload_len >>= 8;
	}
	return len;
}

size_t ws_head_len(uint64_t payload_len)
{
	return payload_len < LENGTH_16 ? START_LEN : payload_len <= UINT16_MAX ? 4 : WS_HEAD_MAX;
}

bool ws_status_ok(unsigned int status)
{
	return (status >= 1000 && status <= 1003) || (status >= 1007 && status <= 1014) ||
	       (status >= 3000 && status <= 4999);
}
