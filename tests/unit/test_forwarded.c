/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Addresses, networks of trusted proxies, X-Forwarded-For.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/forwarded.h"

#include "base/err.h"

static struct slice exact(const char *text, char **block)
{
	size_t len = strlen(text);

	*block = malloc(len ? len : 1);
	assert_non_null(*block);
	memcpy(*block, text, len);
	return slice_of(*block, len);
}

static int parse(const char *text, struct ip_addr *out)
{
	char *block;
	int rc = ip_parse(exact(text, &block), out);

	free(block);
	return rc;
}

static struct ip_addr ip(const char *text)
{
	struct ip_addr addr;

	assert_int_equal(parse(text, &addr), 0);
	return addr;
}

static int parse_net(const char *text, struct ip_net *out)
{
	char *block;
	int rc = ip_net_parse(exact(text, &block), out);

	free(block);
	return rc;
}

static struct ip_net net(const char *text)
{
	struct ip_net parsed;

	assert_int_equal(parse_net(text, &parsed), 0);
	return parsed;
}

static void test_ip(void **state)
{
	static const struct {
		const char *text;
		const char *formatted;
	} rows[] = {
		{ "1.2.3.4", "1.2.3.4" },
		{ "255.255.255.255:65535", "255.255.255.255" },
		{ "0.0.0.0", "0.0.0.0" },
		{ "1.2.3.4:0", "1.2.3.4" },
		{ "::1", "::1" },
		{ "[::1]", "::1" },
		{ "[2001:DB8::1]:443", "2001:db8::1" },
		{ "::ffff:1.2.3.4", "1.2.3.4" },
		{ "::ffff:102:304", "1.2.3.4" },
		{ "fe80::1:2:3:4", "fe80::1:2:3:4" },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
		  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ip_addr addr = ip(rows[i].text);
		char text[IP_TEXT_MAX];

		ip_format(&addr, text);
		assert_string_equal(text, rows[i].formatted);
	}
	assert_memory_equal(ip("1.2.3.4").b, "\0\0\0\0\0\0\0\0\0\0\xff\xff\1\2\3\4", 16);
	assert_memory_equal(ip("::1").b, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 16);
}

static void test_ip_invalid(void **state)
{
	static const char *const texts[] = {
		"", " 1.2.3.4", "1.2.3.4 ", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4",
		"1.2.3.4:",
		"1.2.3.4:65536", "1.2.3.4:080", "1.2.3.4:-1", "1.2.3.4:99999999999", "1.2.3.4:1:2",
		"[1.2.3.4]", "[::1", "::1]", "[::1]1", "[::1]:", "[::1]:x", "[[::1]]", "[]", ":",
		":80",
		"::", "[::]", "::0", "[::]:80", "0:0:0:0:0:0:0:0", "1::2::3", "12345::",
		"fe80::1%lo",
		"unknown", "_hidden", "unix", "localhost",
		"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255x",
		"1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19:20",
	};
	struct ip_addr addr;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (parse(texts[i], &addr) != PARLANCE_EINVAL)
			fail_msg("accepted: %s", texts[i]);
	}
	assert_int_equal(ip_parse(slice_of("1.2.3.4\0", 8), &addr), PARLANCE_EINVAL);
	assert_int_equal(ip_parse(slice_of("::1\0", 4), &addr), PARLANCE_EINVAL);
	assert_int_equal(ip_parse(slice_of(NULL, 0), &addr), PARLANCE_EINVAL);
}

static void test_net(void **state)
{
	static const struct {
		const char *net;
		const char *ip;
		bool in;
	} rows[] = {
		{ "10.0.0.0/8", "10.255.255.255", true },
		{ "10.0.0.0/8", "11.0.0.0", false },
		{ "10.128.0.0/9", "10.128.0.1", true },
		{ "10.128.0.0/9", "10.127.255.255", false },
		{ "1.2.3.4", "1.2.3.4", true },
		{ "1.2.3.4", "1.2.3.5", false },
		{ "1.2.3.4/32", "1.2.3.4", true },
		{ "1.2.3.4/31", "1.2.3.5", true },
		{ "0.0.0.0/0", "1.2.3.4", true },
		{ "0.0.0.0/0", "::1", false },
		{ "::/0", "::1", true },
		{ "::/0", "1.2.3.4", true },
		{ "::1", "::1", true },
		{ "::1", "::2", false },
		{ "fd00::/8", "fdff::1", true },
		{ "fd00::/8", "fc00::1", false },
		{ "2001:db8::/33", "2001:db8:7fff::", true },
		{ "2001:db8::/33", "2001:db8:8000::", false },
		{ "::ffff:10.0.0.0/104", "10.1.2.3", true },
		{ "unix", "::1", false },
		{ "unix", "127.0.0.1", false },
	};
	const struct ip_addr peer_of_unix = { { 0 } };
	struct ip_net nets[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ip_net one = net(rows[i].net);
		struct ip_addr addr = ip(rows[i].ip);

		if (ip_net_has(&one, 1, &addr) != rows[i].in)
			fail_msg("%s in %s", rows[i].ip, rows[i].net);
	}
	nets[0] = net("127.0.0.1");
	nets[1] = net("::1");
	nets[2] = net("unix");
	assert_true(ip_net_has(nets, 3, &peer_of_unix));
	assert_false(ip_net_has(nets, 2, &peer_of_unix));
	assert_false(ip_net_has(nets, 0, &peer_of_unix));
}

static void test_net_invalid(void **state)
{
	static const char *const texts[] = {
		"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1",
		"10.0.0.0/8 ",
		"10.0.0.0/8/8", "10.0.0.1/8", "10.0.0.0/1x", "1.2.3.4/0", "1.2.3.4/31x",
		"1.2.3.5/31",
		"::/129", "::1/127", "::1/0", "[::1]", "[::1]/128", "1.2.3.4:80", "Unix", "unix/8",
		"10/8", "localhost", "10.0.0.0/4294967304",
	};
	struct ip_net parsed;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (parse_net(texts[i], &parsed) != PARLANCE_EINVAL)
			fail_msg("accepted: %s", texts[i]);
	}
}

static void test_client(void **state)
{
	static const struct {
		const char *peer;
		const char *header;
		const char *client;
	} rows[] = {
		/* no trust, no header */
		{ "9.9.9.9", "1.2.3.4", "9.9.9.9" },
		{ "10.0.0.1", "", "10.0.0.1" },
		/* one proxy, several, with ports, with white space */
		{ "10.0.0.1", "1.2.3.4", "1.2.3.4" },
		{ "10.0.0.1", "1.2.3.4, 10.0.0.2 ,\t10.0.0.3", "1.2.3.4" },
		{ "10.0.0.1", "1.2.3.4:5678,10.0.0.2:80", "1.2.3.4" },
		{ "10.0.0.1", "[2001:db8::1]:443", "2001:db8::1" },
		{ "::1", "2001:db8::1", "2001:db8::1" },
		/* what the client wrote itself does not count */
		{ "10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4" },
		{ "10.0.0.1", "10.0.0.9, 1.2.3.4, 10.0.0.2", "1.2.3.4" },
		/* all trusted: the leftmost */
		{ "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3" },
		/* unreadable entries end the walk */
		{ "10.0.0.1", "1.2.3.4, unknown", "10.0.0.1" },
		{ "10.0.0.1", "1.2.3.4, , 10.0.0.2", "10.0.0.2" },
		{ "10.0.0.1", "1.2.3.4,", "10.0.0.1" },
		{ "10.0.0.1", ",1.2.3.4", "1.2.3.4" },
		{ "10.0.0.1", "1.2.3.4, ::, 10.0.0.2", "10.0.0.2" },
		{ "10.0.0.1", ",", "10.0.0.1" },
		{ "10.0.0.1", " ", "10.0.0.1" },
	};
	struct ip_addr peer_of_unix = { { 0 } };
	struct ip_addr client;
	struct ip_net trusted[3];

	(void)state;
	trusted[0] = net("10.0.0.0/8");
	trusted[1] = net("::1");
	trusted[2] = net("unix");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ip_addr peer = ip(rows[i].peer);
		char text[IP_TEXT_MAX];
		char *block;

		client = forwarded_client(exact(rows[i].header, &block), trusted, 3, &peer);
		free(block);
		ip_format(&client, text);
		if (strcmp(text, rows[i].client) != 0)
			fail_msg("%s gave %s", rows[i].header, text);
	}
	client = forwarded_client(slice_str("1.2.3.4"), trusted, 3, &peer_of_unix);
	assert_memory_equal(&client, &(struct ip_addr[]){ ip("1.2.3.4") }, sizeof(client));
	client = forwarded_client(slice_str("1.2.3.4"), trusted, 2, &peer_of_unix);
	assert_memory_equal(&client, &peer_of_unix, sizeof(client));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ip),
		cmocka_unit_test(test_ip_invalid),
		cmocka_unit_test(test_net),
		cmocka_unit_test(test_net_invalid),
		cmocka_unit_test(test_client),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
