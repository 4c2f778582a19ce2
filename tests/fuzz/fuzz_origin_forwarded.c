/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Text that names hosts. The input's first line is a configured origin, a network and an address;
 * the rest is a browser's Origin and an X-Forwarded-For. One thread.
 */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "wire/forwarded.h"
#include "wire/origin.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A terminated copy, as the configuration has its entries. */
static char *copy(const void *p, size_t len)
{
	char *exact = malloc(len + 1);

	CHECK(exact);
	if (len > 0)
		memcpy(exact, p, len);
	exact[len] = '\0';
	return exact;
}

static void check_origin(const char *entry, size_t entry_len, struct slice origin)
{
	const char *const any[] = { "*" };
	const char *const one[] = { entry };
	bool valid = origin_entry_check(slice_of(entry, entry_len)) == 0;
	char *upper = copy(origin.p, origin.len);

	/* An entry allows itself; nothing is allowed that "*" would not. */
	if (valid && !strchr(entry, '*'))
		CHECK(origin_allowed(one, 1, slice_of(entry, entry_len)));
	if (origin_allowed(one, 1, origin))
		CHECK(origin_allowed(any, 1, origin));
	CHECK(!origin_allowed(one, 0, origin));
	for (size_t i = 0; i < origin.len; i++)
		upper[i] = (char)toupper((uint8_t)upper[i]);
	if (valid && strcmp(entry, "null") != 0)
		CHECK(origin_allowed(one, 1, origin) ==
		      origin_allowed(one, 1, slice_of(upper, origin.len)));
	free(upper);
}

static void check_ip(struct slice text)
{
	static const struct ip_addr unspecified;
	struct ip_addr again;
	struct ip_addr ip;
	char out[IP_TEXT_MAX];

	if (ip_parse(text, &ip))
		return;
	CHECK(memcmp(&ip, &unspecified, sizeof(ip)) != 0);
	ip_format(&ip, out);
	CHECK(ip_parse(slice_str(out), &again) == 0);
	CHECK(memcmp(&ip, &again, sizeof(ip)) == 0);
}

static void check_net(struct slice text)
{
	struct ip_net net;
	struct ip_addr other;

	if (ip_net_parse(text, &net))
		return;
	CHECK(net.bits <= 128);
	CHECK(ip_net_has(&net, 1, &net.addr));
	other = net.addr;
	/* The last bit of the mask decides, the first behind it does not. */
	if (net.bits > 0) {
		other.b[(net.bits - 1) / 8] ^= (uint8_t)(0x80 >> (net.bits - 1) % 8);
		CHECK(!ip_net_has(&net, 1, &other));
	}
	other = net.addr;
	if (net.bits < 128) {
		other.b[net.bits / 8] ^= (uint8_t)(0x80 >> net.bits % 8);
		CHECK(ip_net_has(&net, 1, &other));
	}
}

static bool same(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* True when an entry of the list, whose white space is taken off, is this address. */
static bool listed(struct slice list, const struct ip_addr *ip)
{
	while (list.len > 0) {
		size_t len = 0;
		struct slice entry;
		struct ip_addr one;

		while (len < list.len && list.p[len] != ',')
			len++;
		entry = slice_of(list.p, len);
		list = slice_of(list.p + len, list.len - len);
		if (list.len > 0)
			list = slice_of(list.p + 1, list.len - 1);
		while (entry.len > 0 && strchr(" \t", entry.p[0]))
			entry = slice_of(entry.p + 1, entry.len - 1);
		while (entry.len > 0 && strchr(" \t", entry.p[entry.len - 1]))
			entry.len--;
		if (ip_parse(entry, &one) == 0 && same(&one, ip))
			return true;
	}
	return false;
}

/* A stranger's header does not count; a proxy's gives the proxy itself or an entry, and nothing
 * left of an entry that is not trusted. */
static void check_client(struct slice header)
{
	const char *comma = memrchr(header.p, ',', header.len);
	struct slice entry = header;
	struct ip_net trusted[2];
	struct ip_addr peer;
	struct ip_addr stranger;
	struct ip_addr client;
	struct ip_addr last;

	CHECK(ip_net_parse(slice_str("10.0.0.0/8"), &trusted[0]) == 0);
	CHECK(ip_net_parse(slice_str("unix"), &trusted[1]) == 0);
	CHECK(ip_parse(slice_str("10.0.0.1"), &peer) == 0);
	CHECK(ip_parse(slice_str("11.0.0.1"), &stranger) == 0);
	client = forwarded_client(header, trusted, 2, &stranger);
	CHECK(same(&client, &stranger));
	client = forwarded_client(header, trusted, 2, &peer);
	CHECK(same(&client, &peer) || listed(header, &client));
	if (comma)
		entry = slice_of(comma + 1, (size_t)(header.p + header.len - comma - 1));
	if (ip_parse(entry, &last) == 0 && !ip_net_has(trusted, 2, &last))
		CHECK(same(&client, &last));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = memchr(data, '\n', size);
	size_t first_len = newline ? (size_t)(newline - data) : size;
	size_t rest_len = newline ? size - first_len - 1 : 0;
	char *entry = copy(data, first_len);
	char *first = malloc(first_len ? first_len : 1);
	char *rest = malloc(rest_len ? rest_len : 1);

	CHECK(first && rest);
	if (first_len > 0)
		memcpy(first, data, first_len);
	if (rest_len > 0)
		memcpy(rest, data + first_len + 1, rest_len);
	check_origin(entry, first_len, slice_of(rest, rest_len));
	check_ip(slice_of(first, first_len));
	check_net(slice_of(first, first_len));
	check_client(slice_of(rest, rest_len));
	free(entry);
	free(first);
	free(rest);
	return 0;
}
