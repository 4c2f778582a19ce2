/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Addresses of clients behind proxies. Any thread.
 */
#include <arpa/inet.h>
#include <string.h>

#include "wire/forwarded.h"

#include "base/err.h"

_Static_assert(IP_TEXT_MAX == INET6_ADDRSTRLEN, "room for any address");

/* RFC 4291 section 2.5.5.2 */
static const uint8_t v4_prefix[12] = { [10] = 0xff, [11] = 0xff };

static bool is_v4(const struct ip_addr *ip)
{
	return memcmp(ip->b, v4_prefix, sizeof(v4_prefix)) == 0;
}

/* Decimal, no sign, no leading zero, at most max (< 10^9). */
static bool parse_decimal(struct slice text, unsigned int max, unsigned int *out)
{
	unsigned int n = 0;

	if (text.len == 0 || text.len > 9 || (text.len > 1 && text.p[0] == '0'))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return false;
		n = n * 10 + (unsigned int)(text.p[i] - '0');
	}
	*out = n;
	return n <= max;
}

/* An address and nothing else; *v4 tells that it was written as IPv4. */
static bool parse_bare(struct slice text, struct ip_addr *out, bool *v4)
{
	char str[IP_TEXT_MAX];

	/* inet_pton would stop at a zero byte inside. */
	if (text.len == 0 || text.len >= sizeof(str) || memchr(text.p, '\0', text.len))
		return false;
	memcpy(str, text.p, text.len);
	str[text.len] = '\0';
	*v4 = !memchr(str, ':', text.len);
	if (!*v4)
		return inet_pton(AF_INET6, str, out->b) == 1;
	memcpy(out->b, v4_prefix, sizeof(v4_prefix));
	return inet_pton(AF_INET, str, out->b + sizeof(v4_prefix)) == 1;
}

/* Takes "[…]" and ":port" off an address. */
static bool strip(struct slice *text, bool *brackets)
{
	const char *p = text->p;
	size_t len = text->len;
	const char *behind; /* the address: "" or ":port" */
	unsigned int port;

	*brackets = len > 0 && p[0] == '[';
	if (*brackets) {
		const char *close = memchr(p, ']', len);

		if (!close)
			return false;
		*text = slice_of(p + 1, (size_t)(close - p - 1));
		behind = close + 1;
	} else {
		const char *colon = memchr(p, ':', len);

		/* More than one colon: an IPv6 address, which has no port without brackets. */
		if (!colon || memchr(colon + 1, ':', len - (size_t)(colon + 1 - p)))
			return true;
		text->len = (size_t)(colon - p);
		behind = colon;
	}
	if (behind == p + len)
		return true;
	return *behind == ':' &&
	       parse_decimal(slice_of(behind + 1, (size_t)(p + len - behind - 1)), 65535, &port);
}

int ip_parse(struct slice text, struct ip_addr *out)
{
	static const struct ip_addr unspecified;
	struct ip_addr ip;
	bool brackets;
	bool v4;

	if (text.len == 0 || !strip(&text, &brackets) || !parse_bare(text, &ip, &v4))
		return PARLANCE_EINVAL;
	if ((brackets && v4) || memcmp(&ip, &unspecified, sizeof(ip)) == 0)
		return PARLANCE_EINVAL;
	*out = ip;
	return 0;
}

void ip_format(const struct ip_addr *ip, char out[IP_TEXT_MAX])
{
	const char *text;

	if (is_v4(ip))
		text = inet_ntop(AF_INET, ip->b + sizeof(v4_prefix), out, IP_TEXT_MAX);
	else
		text = inet_ntop(AF_INET6, ip->b, out, IP_TEXT_MAX);
	CHECK(text);
}

/* True when the first `bits` bits are the same. */
static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	unsigned int whole = bits / 8;
	unsigned int mask = 0xff00U >> bits % 8 & 0xff;

	return memcmp(a, b, whole) == 0 && (mask == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

int ip_net_parse(struct slice text, struct ip_net *out)
{
	const char *slash;
	struct slice addr = text;
	struct ip_net net;
	struct ip_addr host = { { 0 } };
	unsigned int bits;
	bool v4;

	if (slice_is(text, "unix")) {
		*out = (struct ip_net){ .bits = 128 };
		return 0;
	}
	if (text.len == 0)
		return PARLANCE_EINVAL;
	slash = memchr(text.p, '/', text.len);
	if (slash)
		addr.len = (size_t)(slash - text.p);
	if (!parse_bare(addr, &net.addr, &v4))
		return PARLANCE_EINVAL;
	bits = v4 ? 32 : 128;
	if (slash && !parse_decimal(slice_of(slash + 1, text.len - addr.len - 1), bits, &bits))
		return PARLANCE_EINVAL;
	net.bits = (uint8_t)(v4 ? 96 + bits : bits);
	/* What the mask leaves of the address is the address. */
	for (unsigned int i = 0; i < net.bits; i++)
		host.b[i / 8] |= net.addr.b[i / 8] & (0x80 >> i % 8);
	if (memcmp(&host, &net.addr, sizeof(host)) != 0)
		return PARLANCE_EINVAL;
	*out = net;
	return 0;
}

bool ip_net_has(const struct ip_net *nets, size_t n, const struct ip_addr *ip)
{
	for (size_t i = 0; i < n; i++) {
		if (same_prefix(nets[i].addr.b, ip->b, nets[i].bits))
			return true;
	}
	return false;
}

/* Takes the last entry off a comma list; without the white space around it (RFC 9110 section 5.6.1,
 * OWS). */
static struct slice take_last(struct slice *list)
{
	struct slice entry = *list;
	const char *comma = memrchr(list->p, ',', list->len);

	if (comma) {
		entry = slice_of(comma + 1, (size_t)(list->p + list->len - comma - 1));
		list->len = (size_t)(comma - list->p);
	} else {
		list->len = 0;
	}
	while (entry.len > 0 && (entry.p[0] == ' ' || entry.p[0] == '\t'))
		entry = slice_of(entry.p + 1, entry.len - 1);
	while (entry.len > 0 && (entry.p[entry.len - 1] == ' ' || entry.p[entry.len - 1] == '\t'))
		entry.len--;
	return entry;
}

struct ip_addr forwarded_client(struct slice header, const struct ip_net *trusted, size_t n,
				const struct ip_addr *peer)
{
	struct ip_addr client = *peer;

	while (header.len > 0 && ip_net_has(trusted, n, &client)) {
		struct ip_addr next;

		if (ip_parse(take_last(&header), &next))
			break;
		client = next;
	}
	return client;
}
