/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * PROXY protocol (haproxy/doc/proxy-protocol.txt): section 2.1 version 1, section 2.2 version 2.
 * Any thread.
 */
#include <arpa/inet.h>
#include <string.h>

#include "wire/proxy.h"

#include "base/err.h"

#define V1_START "PROXY "
#define V1_MAX 107 /* the whole line */

#define V2_SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V2_HEAD 16 /* signature, version and command, family and protocol, length */

/* The high half of the 14th byte of version 2. */
enum v2_family {
	V2_UNSPEC = 0,
	V2_INET = 1,
	V2_INET6 = 2,
	V2_UNIX = 3,
};

/* Takes what goes up to a character off the text; false when the character is not there. */
static bool take_until(struct slice *text, char c, struct slice *out)
{
	const char *found = memchr(text->p, c, text->len);

	if (!found)
		return false;
	*out = slice_of(text->p, (size_t)(found - text->p));
	*text = slice_of(found + 1, text->len - out->len - 1);
	return true;
}

/* Nobody has that address (ip_parse says more). */
static bool is_unspecified(const struct ip_addr *ip)
{
	static const struct ip_addr unspecified;

	return memcmp(ip, &unspecified, sizeof(unspecified)) == 0;
}

static void set_v4(struct ip_addr *ip, const void *v4)
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	memcpy(ip->b, prefix, 12);
	memcpy(ip->b + 12, v4, 4);
}

/* An address of the family, without port or brackets. */
static bool parse_addr(int family, struct slice text, struct ip_addr *out)
{
	char str[IP_TEXT_MAX];
	uint8_t v4[4];

	/* inet_pton would stop at a zero byte inside. */
	if (text.len >= sizeof(str) || memchr(text.p, '\0', text.len))
		return false;
	memcpy(str, text.p, text.len);
	str[text.len] = '\0';
	if (family == AF_INET6)
		return inet_pton(AF_INET6, str, out->b) == 1;
	if (inet_pton(AF_INET, str, v4) != 1)
		return false;
	set_v4(out, v4);
	return true;
}

/* 0..65535 without leading zeros. */
static bool port_valid(struct slice text)
{
	unsigned int port = 0;

	if (text.len == 0 || text.len > 5 || (text.len > 1 && text.p[0] == '0'))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		port = port * 10 + (unsigned int)(text.p[i] - '0');
	}
	return port <= 65535;
}

/* The line behind "PROXY ", without its end. */
static int parse_v1_line(struct slice line, struct proxy_header *out)
{
	struct slice protocol;
	struct slice source;
	struct slice destination;
	struct slice source_port;
	struct ip_addr server;
	int family;

	if (slice_is(line, "UNKNOWN") || (line.len > 8 && memcmp(line.p, "UNKNOWN ", 8) == 0)) {
		out->local = true;
		return 0;
	}
	if (!take_until(&line, ' ', &protocol) || !take_until(&line, ' ', &source) ||
	    !take_until(&line, ' ', &destination) || !take_until(&line, ' ', &source_port))
		return PARLANCE_EINVAL;
	if (slice_is(protocol, "TCP4"))
		family = AF_INET;
	else if (slice_is(protocol, "TCP6"))
		family = AF_INET6;
	else
		return PARLANCE_EINVAL;
	if (!parse_addr(family, source, &out->client) ||
	    !parse_addr(family, destination, &server) || !port_valid(source_port) ||
	    !port_valid(line) || is_unspecified(&out->client))
		return PARLANCE_EINVAL;
	return 0;
}

static int parse_v1(struct slice bytes, struct proxy_header *out)
{
	size_t start = sizeof(V1_START) - 1;
	size_t window = bytes.len < V1_MAX ? bytes.len : V1_MAX;
	const char *end = memmem(bytes.p, window, "\r\n", 2);

	if (!end)
		return window < V1_MAX ? PARLANCE_EAGAIN : PARLANCE_EINVAL;
	out->len = (size_t)(end - bytes.p) + 2;
	return parse_v1_line(slice_of(bytes.p + start, out->len - 2 - start), out);
}

/* The addresses of version 2: source, then destination, then ports. */
static int parse_v2_addr(enum v2_family family, struct slice data, struct ip_addr *client)
{
	static const size_t sizes[] = {
		[V2_INET] = 2 * 4 + 2 * 2,
		[V2_INET6] = 2 * 16 + 2 * 2,
		[V2_UNIX] = 2 * 108,
	};

	if (data.len < sizes[family])
		return PARLANCE_EINVAL;
	switch (family) {
	case V2_INET:
		set_v4(client, data.p);
		return 0;
	case V2_INET6:
		memcpy(client->b, data.p, 16);
		return is_unspecified(client) ? PARLANCE_EINVAL : 0;
	default:
		return 0;
	}
}

static int parse_v2(struct slice bytes, struct proxy_header *out)
{
	const uint8_t *b = (const uint8_t *)bytes.p;
	unsigned int family;
	unsigned int protocol;
	size_t len;

	if (bytes.len < V2_HEAD)
		return PARLANCE_EAGAIN;
	if (b[12] != 0x20 && b[12] != 0x21)
		return PARLANCE_EINVAL;
	family = b[13] >> 4;
	protocol = b[13] & 0xf;
	len = (size_t)b[14] << 8 | b[15];
	out->len = V2_HEAD + len;
	/* LOCAL ignores family and protocol. */
	out->local = b[12] == 0x20 || family == 0 || protocol == 0;
	if (b[12] == 0x21 && (family > V2_UNIX || protocol > 2))
		return PARLANCE_EINVAL;
	if (out->len > PROXY_HEADER_MAX)
		return PARLANCE_ETOOBIG;
	if (bytes.len < out->len)
		return PARLANCE_EAGAIN;
	if (out->local)
		return 0;
	return parse_v2_addr((enum v2_family)family, slice_of(bytes.p + V2_HEAD, len),
			     &out->client);
}

/* True when the bytes begin as the literal does, as far as both go. */
static bool begins(struct slice bytes, const char *literal, size_t len)
{
	return memcmp(bytes.p, literal, bytes.len < len ? bytes.len : len) == 0;
}

int proxy_parse(struct slice bytes, struct proxy_header *out)
{
	struct proxy_header header = { 0 };
	int rc;

	if (bytes.len == 0)
		return PARLANCE_EAGAIN;
	if (begins(bytes, V1_START, sizeof(V1_START) - 1))
		rc = parse_v1(bytes, &header);
	else if (begins(bytes, V2_SIGNATURE, sizeof(V2_SIGNATURE) - 1))
		rc = parse_v2(bytes, &header);
	else
		rc = PARLANCE_EINVAL;
	if (rc == 0)
		*out = header;
	return rc;
}
