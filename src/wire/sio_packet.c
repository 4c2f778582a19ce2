/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Socket.IO packets: <type>[<attachments>-][<namespace>,][<ack id>][<JSON>]. The take_* functions
 * take one part of the head off the text. Any thread.
 */
#include <string.h>

#include "wire/sio_packet.h"

#include "wire/json_scan.h"
#include "base/err.h"
#include "base/utf8.h"

/* Number.MAX_SAFE_INTEGER: no more can be told apart by the other side. */
#define ACK_ID_MAX ((UINT64_C(1) << 53) - 1)

static bool is_binary(enum sio_type type)
{
	return type == SIO_BINARY_EVENT || type == SIO_BINARY_ACK;
}

static bool is_event(enum sio_type type)
{
	return type == SIO_EVENT || type == SIO_BINARY_EVENT;
}

static bool is_ack(enum sio_type type)
{
	return type == SIO_ACK || type == SIO_BINARY_ACK;
}

static void skip(struct slice *text, size_t n)
{
	text->p += n;
	text->len -= n;
}

/* A decimal number that does not exceed max; false when it does. *n_digits may be 0. */
static bool take_number(struct slice *text, uint64_t max, uint64_t *out, size_t *n_digits)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < text->len && text->p[i] >= '0' && text->p[i] <= '9'; i++) {
		value = value * 10 + (uint64_t)(text->p[i] - '0');
		if (value > max)
			return false;
	}
	skip(text, i);
	*out = value;
	*n_digits = i;
	return true;
}

static int take_attachments(struct slice *text, struct sio_packet *out, const char **why)
{
	uint64_t n;
	size_t n_digits;

	if (!take_number(text, SIO_ATTACHMENTS_MAX, &n, &n_digits)) {
		*why = "too many attachments";
		return PARLANCE_ETOOBIG;
	}
	if (n_digits == 0 || n == 0 || text->len == 0 || text->p[0] != '-') {
		*why = "illegal attachments";
		return PARLANCE_EINVAL;
	}
	skip(text, 1);
	out->attachments = (uint32_t)n;
	return 0;
}

/* The namespace goes up to a comma, or to the end of the text. */
static int take_nsp(struct slice *text, struct sio_packet *out, const char **why)
{
	const char *comma;
	const char *query;
	struct slice nsp = *text;

	if (text->len == 0 || text->p[0] != '/') {
		out->nsp = slice_str("/");
		return 0;
	}
	comma = memchr(text->p, ',', text->len);
	if (comma)
		nsp.len = (size_t)(comma - text->p);
	skip(text, comma ? nsp.len + 1 : nsp.len);
	if (!utf8_valid(nsp.p, nsp.len)) {
		*why = "namespace is not UTF-8";
		return PARLANCE_EINVAL;
	}
	query = memchr(nsp.p, '?', nsp.len);
	if (query)
		nsp.len = (size_t)(query - nsp.p);
	if (nsp.len > SIO_NSP_MAX) {
		*why = "namespace too long";
		return PARLANCE_ETOOBIG;
	}
	out->nsp = nsp;
	return 0;
}

static int take_ack_id(struct slice *text, struct sio_packet *out, const char **why)
{
	uint64_t id;
	size_t n_digits;

	if (!take_number(text, ACK_ID_MAX, &id, &n_digits)) {
		*why = "ack id too large";
		return PARLANCE_EINVAL;
	}
	out->ack_id = n_digits > 0 ? (int64_t)id : SIO_NO_ACK;
	return 0;
}

/* The first element of an event's array is its name: a string, or a number as the reference
 * parser has it. */
static int take_name(struct slice element, struct arena *arena, struct sio_packet *out,
		     const char **why)
{
	int rc;

	if (json_kind(element) == '0') {
		out->name = element;
		return 0;
	}
	rc = json_string(element, arena, &out->name);
	if (rc) {
		*why = rc == PARLANCE_EINVAL ? "event name is not a string" : parlance_err_text(rc);
		return rc;
	}
	if (sio_name_reserved(out->name)) {
		*why = "reserved event name";
		return PARLANCE_EINVAL;
	}
	return 0;
}

/* EVENT, ACK and their binary kin. */
static int decode_array(struct arena *arena, struct sio_packet *out, const char **why)
{
	struct slice *elements;
	size_t n;
	int rc;

	rc = json_scan_array(out->data, arena, SIO_ARGS_MAX, &elements, &n);
	if (rc) {
		*why = rc == PARLANCE_EINVAL ? "invalid payload" : parlance_err_text(rc);
		return rc;
	}
	if (is_event(out->type)) {
		if (n == 0) {
			*why = "event without a name";
			return PARLANCE_EINVAL;
		}
		rc = take_name(elements[0], arena, out, why);
		if (rc)
			return rc;
		elements++;
		n--;
	}
	if (n > 0) {
		const struct slice *last = &elements[n - 1];

		out->args = elements;
		out->n_args = n;
		out->args_json = slice_of(elements[0].p,
					  (size_t)(last->p + last->len - elements[0].p));
	}
	return 0;
}

static bool is_object(struct slice json)
{
	return json_scan_value(json) == 0 && json_kind(json) == '{';
}

static int decode_payload(struct arena *arena, struct sio_packet *out, const char **why)
{
	bool ok = false;

	/* The parts of the head have no white space between them; the reference parser takes it for
	 * digits of the ack id, so what would come of it is not what was meant. */
	if (out->data.len > 0 && memchr(" \t\r\n", out->data.p[0], 4)) {
		*why = "white space before the payload";
		return PARLANCE_EINVAL;
	}
	if (is_event(out->type) || is_ack(out->type))
		return decode_array(arena, out, why);
	if (out->type == SIO_CONNECT)
		ok = out->data.len == 0 || is_object(out->data);
	else if (out->type == SIO_DISCONNECT)
		ok = out->data.len == 0;
	if (!ok)
		*why = "invalid payload";
	return ok ? 0 : PARLANCE_EINVAL;
}

int sio_packet_decode(struct slice text, struct arena *arena, struct sio_packet *out,
		      const char **why)
{
	int rc;

	if (text.len == 0 || text.p[0] < SIO_CONNECT || text.p[0] > SIO_BINARY_ACK) {
		*why = "unknown packet type";
		return PARLANCE_EINVAL;
	}
	*out = (struct sio_packet){ .type = (enum sio_type)text.p[0] };
	skip(&text, 1);
	if (is_binary(out->type)) {
		rc = take_attachments(&text, out, why);
		if (rc)
			return rc;
	}
	rc = take_nsp(&text, out, why);
	if (rc)
		return rc;
	rc = take_ack_id(&text, out, why);
	if (rc)
		return rc;
	out->data = text;
	return decode_payload(arena, out, why);
}

void sio_packet_head(struct strbuf *out, enum sio_type type, uint32_t attachments, struct slice nsp,
		     int64_t ack_id)
{
	strbuf_append_char(out, (char)type);
	if (is_binary(type)) {
		strbuf_append_u64(out, attachments);
		strbuf_append_char(out, '-');
	}
	if (!slice_is(nsp, "/")) {
		strbuf_append_slice(out, nsp);
		strbuf_append_char(out, ',');
	}
	if (ack_id != SIO_NO_ACK)
		strbuf_append_u64(out, (uint64_t)ack_id);
}

bool sio_name_reserved(struct slice name)
{
	static const char *const reserved[] = {
		"connect",	 "connect_error", "disconnect",
		"disconnecting", "newListener",	  "removeListener",
	};

	for (size_t i = 0; i < ARRAY_LEN(reserved); i++) {
		if (slice_is(name, reserved[i]))
			return true;
	}
	return false;
}
