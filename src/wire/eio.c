/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Engine.IO protocol v4: packets and polling payloads. Any thread.
 */
#include <string.h>

#include "wire/eio.h"

#include "base/base64.h"
#include "base/err.h"
#include "base/utf8.h"

int eio_decode_text(struct slice text, struct eio_packet *out)
{
	if (text.len == 0 || text.p[0] < EIO_OPEN || text.p[0] > EIO_NOOP)
		return PARLANCE_EINVAL;
	out->type = (enum eio_type)text.p[0];
	out->binary = false;
	out->data = slice_of(text.p + 1, text.len - 1);
	return 0;
}

/* "b" and base64: a message of bytes, which replace their base64. */
static int decode_base64(struct slice text, struct eio_packet *out)
{
	/* The caller of eio_payload_next vouches for memory that can be written. */
	char *data = (char *)(uintptr_t)(text.p + 1);
	size_t len;

	if (base64_decode(data, text.len - 1, data, &len))
		return PARLANCE_EINVAL;
	out->type = EIO_MESSAGE;
	out->binary = true;
	out->data = slice_of(data, len);
	return 0;
}

int eio_payload_next(struct slice *rest, struct eio_packet *out)
{
	const char *separator;
	struct slice text = *rest;

	if (!rest->p)
		return PARLANCE_ENOENT;
	separator = memchr(rest->p, EIO_SEPARATOR, rest->len);
	if (separator) {
		text.len = (size_t)(separator - text.p);
		*rest = slice_of(separator + 1, rest->len - text.len - 1);
	} else {
		*rest = slice_of(NULL, 0);
	}
	if (text.len > 0 && text.p[0] == 'b')
		return decode_base64(text, out);
	if (!utf8_valid(text.p, text.len))
		return PARLANCE_EINVAL;
	return eio_decode_text(text, out);
}

void eio_payload_append(struct strbuf *payload, const struct eio_packet *packet)
{
	if (payload->len > 0)
		strbuf_append_char(payload, EIO_SEPARATOR);
	if (packet->binary) {
		size_t len = base64_encoded_len(packet->data.len);
		char *to = strbuf_reserve(payload, 1 + len);

		if (!to)
			return;
		to[0] = 'b';
		base64_encode(packet->data.p, packet->data.len, to + 1);
		strbuf_commit(payload, 1 + len);
	} else {
		strbuf_append_char(payload, (char)packet->type);
		strbuf_append_slice(payload, packet->data);
	}
}

size_t eio_payload_size(bool binary, size_t len)
{
	return 2 + (binary ? base64_encoded_len(len) : len);
}

void eio_open_json(struct strbuf *out, const struct eio_open *open)
{
	strbuf_append_str(out, "{\"sid\":");
	strbuf_append_json(out, open->sid, strlen(open->sid));
	strbuf_append_str(out, ",\"upgrades\":[");
	if (open->upgrade_websocket)
		strbuf_append_str(out, "\"websocket\"");
	strbuf_append_str(out, "],\"pingInterval\":");
	strbuf_append_u64(out, open->ping_interval_ms);
	strbuf_append_str(out, ",\"pingTimeout\":");
	strbuf_append_u64(out, open->ping_timeout_ms);
	strbuf_append_str(out, ",\"maxPayload\":");
	strbuf_append_u64(out, open->max_payload_bytes);
	strbuf_append_char(out, '}');
}

const char *eio_error_json(enum eio_error error)
{
	static const char *const texts[] = {
		[EIO_ERR_TRANSPORT_UNKNOWN] = "{\"code\":0,\"message\":\"Transport unknown\"}",
		[EIO_ERR_SID_UNKNOWN] = "{\"code\":1,\"message\":\"Session ID unknown\"}",
		[EIO_ERR_BAD_METHOD] = "{\"code\":2,\"message\":\"Bad handshake method\"}",
		[EIO_ERR_BAD_REQUEST] = "{\"code\":3,\"message\":\"Bad request\"}",
		[EIO_ERR_FORBIDDEN] = "{\"code\":4,\"message\":\"Forbidden\"}",
		[EIO_ERR_PROTOCOL_UNSUPPORTED] =
			"{\"code\":5,\"message\":\"Unsupported protocol version\"}",
	};

	return texts[error];
}
