/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * permessage-deflate (RFC 7692; section numbers below are of it). The two streams are made at first
 * use and are this file's own. One thread at a time.
 */
#define ZLIB_CONST
#include <limits.h>
#include <string.h>
#include <zlib.h>

#include "wire/ws_deflate.h"

#include "base/check.h"
#include "base/err.h"

#define WINDOW_BITS 15
#define LEVEL 6
#define MEM_LEVEL 8

/* Output goes through a buffer of this size, so that *out grows by what there is and no more. */
#define PIECE 8192

/* The end of a flush, which does not travel (section 7.2.1). */
static const char tail[] = { '\0', '\0', '\xff', '\xff' };

static z_stream deflater;
static bool have_deflater;
static z_stream inflater;
static bool have_inflater;

/* zlib's answers to making and resetting a stream: anything else is a mistake of ours. */
static int init_error(int rc)
{
	CHECK(rc == Z_OK || rc == Z_MEM_ERROR);
	return rc == Z_OK ? 0 : PARLANCE_ENOMEM;
}

static int deflater_start(void)
{
	int rc;

	if (have_deflater)
		return init_error(deflateReset(&deflater));
	rc = init_error(deflateInit2(&deflater, LEVEL, Z_DEFLATED, -WINDOW_BITS, MEM_LEVEL,
				     Z_DEFAULT_STRATEGY));
	have_deflater = rc == 0;
	return rc;
}

static int inflater_start(void)
{
	int rc;

	if (have_inflater)
		return init_error(inflateReset(&inflater));
	rc = init_error(inflateInit2(&inflater, -WINDOW_BITS));
	have_inflater = rc == 0;
	return rc;
}

int ws_deflate(struct slice payload, struct strbuf *out)
{
	unsigned char piece[PIECE];
	int rc;

	if (payload.len > UINT_MAX)
		return PARLANCE_ETOOBIG;
	rc = deflater_start();
	if (rc)
		return rc;
	deflater.next_in = (const Bytef *)payload.p;
	deflater.avail_in = (uInt)payload.len;
	/* Of an empty message comes an empty block: section 7.2.3.6. */
	do {
		deflater.next_out = piece;
		deflater.avail_out = sizeof(piece);
		rc = deflate(&deflater, Z_SYNC_FLUSH);
		CHECK(rc == Z_OK || rc == Z_BUF_ERROR);
		strbuf_append(out, piece, sizeof(piece) - deflater.avail_out);
		if (!strbuf_ok(out))
			return out->err;
	} while (deflater.avail_out == 0);
	CHECK(out->len >= sizeof(tail));
	/* The tail's first byte is what terminates the rest. */
	out->len -= sizeof(tail);
	return 0;
}

static int inflate_part(struct slice part, struct strbuf *out)
{
	unsigned char piece[PIECE];
	int rc;

	inflater.next_in = (const Bytef *)part.p;
	inflater.avail_in = (uInt)part.len;
	do {
		inflater.next_out = piece;
		inflater.avail_out = sizeof(piece);
		rc = inflate(&inflater, Z_SYNC_FLUSH);
		if (rc == Z_MEM_ERROR)
			return PARLANCE_ENOMEM;
		/* A block that says it is the last need not be (section 7.2.3.5). */
		if (rc == Z_STREAM_END)
			rc = inflateReset(&inflater);
		if (rc != Z_OK && rc != Z_BUF_ERROR)
			return PARLANCE_EINVAL;
		strbuf_append(out, piece, sizeof(piece) - inflater.avail_out);
		if (!strbuf_ok(out))
			return out->err;
	} while (inflater.avail_out == 0 || inflater.avail_in > 0);
	return 0;
}

int ws_inflate(struct slice payload, struct strbuf *out)
{
	int rc;

	if (payload.len > UINT_MAX)
		return PARLANCE_ETOOBIG;
	rc = inflater_start();
	if (rc)
		return rc;
	rc = inflate_part(payload, out);
	if (rc)
		return rc;
	rc = inflate_part(slice_of(tail, sizeof(tail)), out);
	if (rc)
		return rc;
	/* 128: zlib stands between two blocks. Elsewhere the message was cut off. */
	return inflater.data_type & 128 ? 0 : PARLANCE_EINVAL;
}

void ws_deflate_fini(void)
{
	if (have_deflater)
		deflateEnd(&deflater);
	if (have_inflater)
		inflateEnd(&inflater);
	have_deflater = false;
	have_inflater = false;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Takes what is before the next separator, without blanks around; a quoted string hides a separator
 * (RFC 6455 section 9.1). After the last one rest->p is NULL. */
static struct slice take_part(struct slice *rest, char separator)
{
	struct slice part = *rest;
	bool quoted = false;
	size_t n = 0;

	while (n < rest->len && (quoted || rest->p[n] != separator)) {
		if (rest->p[n] == '"')
			quoted = !quoted;
		else if (quoted && rest->p[n] == '\\' && n + 1 < rest->len)
			n++;
		n++;
	}
	part.len = n;
	*rest = n < rest->len ? slice_of(rest->p + n + 1, rest->len - n - 1) : slice_of(NULL, 0);
	while (part.len > 0 && is_blank(part.p[0]))
		part = slice_of(part.p + 1, part.len - 1);
	while (part.len > 0 && is_blank(part.p[part.len - 1]))
		part.len--;
	return part;
}

/* 8 to 15 without leading zeros, as a token or a quoted string; 0: it is not that. */
static unsigned int parse_bits(struct slice value)
{
	if (value.len > 2 && value.p[0] == '"' && value.p[value.len - 1] == '"')
		value = slice_of(value.p + 1, value.len - 2);
	if (value.len == 1 && (value.p[0] == '8' || value.p[0] == '9'))
		return (unsigned int)(value.p[0] - '0');
	if (value.len == 2 && value.p[0] == '1' && value.p[1] >= '0' && value.p[1] <= '5')
		return 10 + (unsigned int)(value.p[1] - '0');
	return 0;
}

/* The parameters of an offer (section 7.1), each as a bit for "seen". */
enum param {
	SERVER_NO_TAKEOVER = 1,
	CLIENT_NO_TAKEOVER = 2,
	SERVER_BITS = 4,
	CLIENT_BITS = 8,
};

/* 0: a parameter that we cannot agree to. */
static unsigned int parse_param(struct slice text)
{
	struct slice name = take_part(&text, '=');
	bool has_value = text.p;
	/* No parameter's value has a second one in it. */
	unsigned int bits = has_value ? parse_bits(take_part(&text, '=')) : 0;

	if (text.p)
		return 0;
	if (slice_is(name, "server_no_context_takeover"))
		return has_value ? 0 : SERVER_NO_TAKEOVER;
	if (slice_is(name, "client_no_context_takeover"))
		return has_value ? 0 : CLIENT_NO_TAKEOVER;
	if (slice_is(name, "server_max_window_bits"))
		return bits == WINDOW_BITS ? SERVER_BITS : 0;
	if (slice_is(name, "client_max_window_bits"))
		return has_value && bits == 0 ? 0 : CLIENT_BITS;
	return 0;
}

static bool offer_ok(struct slice offer, unsigned int *seen)
{
	*seen = 0;
	if (!slice_is(take_part(&offer, ';'), "permessage-deflate"))
		return false;
	while (offer.p) {
		unsigned int param = parse_param(take_part(&offer, ';'));

		if (param == 0 || *seen & param)
			return false;
		*seen |= param;
	}
	return true;
}

bool ws_deflate_accept(struct slice offers, const char **response)
{
#define RESPONSE "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
	while (offers.p) {
		unsigned int seen;

		if (!offer_ok(take_part(&offers, ','), &seen))
			continue;
		/* Section 7.1.2.1: who asks for a window is told which one it gets. */
		*response = seen & SERVER_BITS ? RESPONSE "; server_max_window_bits=15" : RESPONSE;
		return true;
	}
	return false;
#undef RESPONSE
}
