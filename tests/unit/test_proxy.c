/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * PROXY protocol: both versions, headers that come in pieces, limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/proxy.h"

#include "base/err.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static int parse(const void *p, size_t len, struct proxy_header *out)
{
	char *block = malloc(len ? len : 1);
	int rc;

	assert_non_null(block);
	memcpy(block, p, len);
	rc = proxy_parse(slice_of(block, len), out);
	free(block);
	return rc;
}

/* The header, with bytes of the connection behind, gives this; each beginning of it EAGAIN. */
static void assert_header(const char *bytes, size_t len, bool local, const char *client)
{
	char *longer = malloc(len + 9);
	struct proxy_header header;
	char text[IP_TEXT_MAX];

	assert_non_null(longer);
	memcpy(longer, bytes, len);
	memcpy(longer + len, "GET / \r\n\r", 9);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(parse(longer, i, &header), PARLANCE_EAGAIN);
	for (size_t i = 0; i <= 9; i++) {
		memset(&header, 0xaa, sizeof(header));
		assert_int_equal(parse(longer, len + i, &header), 0);
		assert_int_equal(header.len, len);
		assert_int_equal(header.local, local);
		ip_format(&header.client, text);
		assert_string_equal(text, client);
	}
	free(longer);
}

static void test_v1(void **state)
{
	static const struct {
		const char *line;
		bool local;
		const char *client;
	} rows[] = {
		{ "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", false, "192.168.0.1" },
		{ "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", false,
		  "255.255.255.255" },
		{ "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", false, "0.0.0.0" },
		{ "PROXY TCP6 2001:db8::1 :: 1 2\r\n", false, "2001:db8::1" },
		{ "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
		  " ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		  false, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
		{ "PROXY UNKNOWN\r\n", true, "::" },
		{ "PROXY UNKNOWN what\never \r 1\r\n", true, "::" },
		{ "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
		  " ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
		  true, "::" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_header(rows[i].line, strlen(rows[i].line), rows[i].local, rows[i].client);
	assert_int_equal(strlen(rows[7].line), 107);
}

static void test_v1_invalid(void **state)
{
	static const char *const lines[] = {
		"PROXY\r\n", "PROXY \r\n", "proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXYTCP4 ",
		"PROXY TCP4\r\n", "PROXY TCP4 \r\n", "PROXY TCP4 1.2.3.4\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 \r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n", "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n",
		"PROXY TCP4 01.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.256 1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2x\r\n",
		"PROXY TCP4 1.2.3.4:5 1.2.3.4 1 2\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
		"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP6 1.2.3.4:5 ::1 1 2\r\n",
		"PROXY TCP6 [::1] ::1 1 2\r\n", "PROXY TCP6 :: ::1 1 2\r\n",
		"PROXY TCP6 ::1 1.2.3.4 1 2\r\n", "PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n",
		"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY UNKNOWNx\r\n", "PROXY unknown\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n",
		"PROXY TCP4 1234567890123456789012345678901234567890123456789 1.2.3.4 1 2\r\n",
		"GET / HTTP/1.1\r\n", "X", "\n", "\r\r", "\r\n\r\nX",
	};
	struct proxy_header header;
	char line[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		if (parse(lines[i], strlen(lines[i]), &header) != PARLANCE_EINVAL)
			fail_msg("accepted: %s", lines[i]);
	}
	/* One byte too long; the end has not come within 107 bytes. */
	memset(line, 'x', sizeof(line));
	memcpy(line, "PROXY UNKNOWN ", 14);
	assert_int_equal(parse(line, 106, &header), PARLANCE_EAGAIN);
	assert_int_equal(parse(line, 107, &header), PARLANCE_EINVAL);
	memcpy(line + 106, "\r\n", 2);
	assert_int_equal(parse(line, 108, &header), PARLANCE_EINVAL);
	memcpy(line + 105, "\r\n", 2);
	assert_int_equal(parse(line, 107, &header), 0);
	/* A zero byte does not end an address. */
	assert_int_equal(parse("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n", 34, &header),
			 PARLANCE_EINVAL);
	assert_int_equal(proxy_parse(slice_of(NULL, 0), &header), PARLANCE_EAGAIN);
}

/* Puts the fixed part of version 2 before `len` bytes of rising values. */
static size_t make_v2(char *out, unsigned int command, unsigned int family, size_t len)
{
	memcpy(out, SIGNATURE, 12);
	out[12] = (char)command;
	out[13] = (char)family;
	out[14] = (char)(len >> 8);
	out[15] = (char)(len & 0xff);
	for (size_t i = 0; i < len; i++)
		out[16 + i] = (char)(i + 1);
	return 16 + len;
}

static void test_v2(void **state)
{
	static const char v6[] = "102:304:506:708:90a:b0c:d0e:f10";
	static const struct {
		unsigned int command;
		unsigned int family;
		size_t len;
		bool local;
		const char *client;
	} rows[] = {
		{ 0x21, 0x11, 12, false, "1.2.3.4" },
		{ 0x21, 0x12, 12, false, "1.2.3.4" },
		{ 0x21, 0x11, 13, false, "1.2.3.4" },
		{ 0x21, 0x11, 520, false, "1.2.3.4" },
		{ 0x21, 0x21, 36, false, v6 },
		{ 0x21, 0x22, 300, false, v6 },
		{ 0x21, 0x31, 216, false, "::" },
		{ 0x21, 0x32, 217, false, "::" },
		{ 0x21, 0x00, 0, true, "::" },
		{ 0x21, 0x00, 12, true, "::" },
		{ 0x21, 0x10, 12, true, "::" },
		{ 0x21, 0x01, 12, true, "::" },
		{ 0x20, 0x00, 0, true, "::" },
		{ 0x20, 0x11, 12, true, "::" },
		{ 0x20, 0x11, 0, true, "::" },
		{ 0x20, 0xff, 520, true, "::" },
	};
	char bytes[PROXY_HEADER_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = make_v2(bytes, rows[i].command, rows[i].family, rows[i].len);

		assert_header(bytes, len, rows[i].local, rows[i].client);
	}
}

static void test_v2_invalid(void **state)
{
	static const struct {
		unsigned int command;
		unsigned int family;
		size_t len;
		int rc;
	} rows[] = {
		{ 0x21, 0x11, 11, PARLANCE_EINVAL },  { 0x21, 0x21, 35, PARLANCE_EINVAL },
		{ 0x21, 0x31, 215, PARLANCE_EINVAL }, { 0x21, 0x41, 12, PARLANCE_EINVAL },
		{ 0x21, 0xf1, 12, PARLANCE_EINVAL },  { 0x21, 0x13, 12, PARLANCE_EINVAL },
		{ 0x21, 0x03, 12, PARLANCE_EINVAL },  { 0x22, 0x11, 12, PARLANCE_EINVAL },
		{ 0x2f, 0x11, 12, PARLANCE_EINVAL },  { 0x11, 0x11, 12, PARLANCE_EINVAL },
		{ 0x31, 0x11, 12, PARLANCE_EINVAL },  { 0x01, 0x11, 12, PARLANCE_EINVAL },
		{ 0x21, 0x11, 521, PARLANCE_ETOOBIG }, { 0x20, 0x00, 65535, PARLANCE_ETOOBIG },
	};
	static char bytes[16 + 65535];
	struct proxy_header header;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t len = make_v2(bytes, rows[i].command, rows[i].family, rows[i].len);

		assert_int_equal(parse(bytes, len, &header), rows[i].rc);
	}
	/* Too much is told without waiting for it. */
	assert_int_equal(parse(bytes, 16, &header), PARLANCE_ETOOBIG);
	/* The unspecified address is nobody's. */
	make_v2(bytes, 0x21, 0x21, 36);
	memset(bytes + 16, 0, 16);
	assert_int_equal(parse(bytes, 16 + 36, &header), PARLANCE_EINVAL);
	make_v2(bytes, 0x21, 0x11, 12);
	bytes[11] = 'x';
	assert_int_equal(parse(bytes, 12, &header), PARLANCE_EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v1),
		cmocka_unit_test(test_v1_invalid),
		cmocka_unit_test(test_v2),
		cmocka_unit_test(test_v2_invalid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
