/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The header of requests that instances pass on, and the numbers in sids: what is written is read,
 * and nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "wire/forward_auth.h"
#include "base/err.h"

#define NOW INT64_C(1790000000000)
#define SECRET "0123456789abcdef"
#define SID "AAAAAAAAAAAAAAAAAAAAAA"

static const struct slice path = { "/socket.io/", 11 };
static const struct slice query = { "EIO=4&sid=x", 11 };

static void test_sid(void **state)
{
	static const struct {
		uint64_t number;
		const char *suffix;
	} cases[] = { { 1, ".1" },	   { 35, ".z" },
		      { 36, ".10" },	   { 1295, ".zz" },
		      { 1296, ".100" },	   { UINT64_MAX, ".3w5e11264sgsf" } };
	char sid[64] = SID;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char suffix[FORWARD_SID_SUFFIX_MAX + 1];
		size_t len = forward_sid_suffix(cases[i].number, suffix);

		assert_string_equal(suffix, cases[i].suffix);
		assert_int_equal(len, strlen(suffix));
		memcpy(sid + strlen(SID), suffix, len + 1);
		assert_true(forward_sid_number(slice_str(sid)) == cases[i].number);
	}
}

static void test_sid_of_nobody(void **state)
{
	static const char *const cases[] = {
		"", "x", ".1", SID, SID ".", SID ".0", SID ".01", SID ".A", SID ".1 ", SID ".-1",
		SID ".1.1", SID "x.1", "A" SID ".1", SID ".3w5e11264sgsg", SID ".10000000000000",
		SID ".zzzzzzzzzzzzzzzzzzzzzzzzzzzz",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_true(forward_sid_number(slice_str(cases[i])) == 0);
	assert_true(forward_sid_number(slice_of(NULL, 0)) == 0);
	/* A zero byte is no digit. */
	assert_true(forward_sid_number(slice_of(SID ".1", strlen(SID) + 3)) == 0);
}

static struct forward_claim claim_of(const char *ip)
{
	struct forward_claim claim = { .from = 7, .at_ms = NOW, .secure = true };

	if (ip)
		assert_int_equal(ip_parse(slice_str(ip), &claim.client), 0);
	return claim;
}

static void append(struct strbuf *out, const struct forward_claim *claim)
{
	strbuf_init(out, 4096);
	forward_auth_append(out, claim, HTTP_POST, path, query, slice_str(SECRET));
	assert_true(strbuf_ok(out));
}

static int verify(const char *value, struct forward_claim *out)
{
	return forward_auth_verify(slice_str(value), HTTP_POST, path, query, slice_str(SECRET), NOW,
				   out);
}

/* The text is a contract between versions: instances are upgraded one after the other. */
static void test_text(void **state)
{
	struct forward_claim claim = claim_of("192.0.2.7");
	struct strbuf value;

	(void)state;
	append(&value, &claim);
	assert_string_equal(strbuf_cstr(&value),
			    "1;from=7;at=1790000000000;for=192.0.2.7;proto=https;"
			    "mac=at0CfzoKiIBqgG5d6GCM7i--XMPANbc6X0AzycuYixY");
	strbuf_fini(&value);
}

static void test_round_trip(void **state)
{
	static const char *const ips[] = { "192.0.2.7", "2001:db8::1", "::1", NULL };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ips); i++) {
		struct forward_claim claim = claim_of(ips[i]);
		struct forward_claim got;
		struct strbuf value;

		claim.from = i ? i : UINT64_MAX;
		claim.secure = i % 2;
		append(&value, &claim);
		assert_int_equal(verify(strbuf_cstr(&value), &got), 0);
		assert_true(got.from == claim.from);
		assert_true(got.at_ms == claim.at_ms);
		assert_memory_equal(&got.client, &claim.client, sizeof(got.client));
		assert_int_equal(got.secure, claim.secure);
		strbuf_fini(&value);
	}
}

static void test_demands(void **state)
{
	struct forward_claim claim = claim_of("192.0.2.7");
	struct forward_claim got;
	struct strbuf value;
	char other[FORWARD_DEMANDS_LEN + 1];

	(void)state;
	assert_int_equal(forward_demands(slice_str("i"), slice_str("a"), claim.demands), 0);
	append(&value, &claim);
	assert_non_null(strstr(strbuf_cstr(&value), ";proto=https;demands="));
	assert_int_equal(verify(strbuf_cstr(&value), &got), 0);
	assert_string_equal(got.demands, claim.demands);
	assert_true(got.secure);
	strbuf_fini(&value);
	/* The two do not run into each other. */
	assert_int_equal(forward_demands(slice_str("ia"), slice_str(""), other), 0);
	assert_string_not_equal(other, claim.demands);
	assert_int_equal(forward_demands(slice_str(""), slice_str("ia"), other), 0);
	assert_string_not_equal(other, claim.demands);
	/* What is no such text is not taken, with the right mac neither. */
	claim.demands[5] = '.';
	append(&value, &claim);
	assert_int_equal(verify(strbuf_cstr(&value), &got), PARLANCE_EINVAL);
	strbuf_fini(&value);
	claim.demands[5] = '\0';
	append(&value, &claim);
	assert_int_equal(verify(strbuf_cstr(&value), &got), PARLANCE_EINVAL);
	strbuf_fini(&value);
}

/* No byte of the value can be another, none can be missing or added. */
static void test_every_byte_counts(void **state)
{
	struct forward_claim claim = claim_of("192.0.2.7");
	struct forward_claim got;
	struct strbuf value;

	(void)state;
	append(&value, &claim);
	for (size_t i = 0; i < value.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			int rc;

			value.data[i] ^= (char)(1 << bit);
			rc = forward_auth_verify(slice_of(value.data, value.len), HTTP_POST, path,
						 query, slice_str(SECRET), NOW, &got);
			assert_true(rc == PARLANCE_EINVAL || rc == PARLANCE_EDENIED);
			value.data[i] ^= (char)(1 << bit);
		}
	}
	for (size_t len = 0; len < value.len; len++)
		assert_int_not_equal(forward_auth_verify(slice_of(value.data, len), HTTP_POST, path,
							 query, slice_str(SECRET), NOW, &got),
				     0);
	strbuf_append_char(&value, 'A');
	assert_int_not_equal(verify(strbuf_cstr(&value), &got), 0);
	strbuf_fini(&value);
}

static void test_other_request(void **state)
{
	struct forward_claim claim = claim_of("192.0.2.7");
	struct slice secret = slice_str(SECRET);
	struct forward_claim got;
	struct strbuf sb;
	struct slice value;

	(void)state;
	append(&sb, &claim);
	value = slice_of(sb.data, sb.len);
	assert_int_equal(forward_auth_verify(value, HTTP_GET, path, query, secret, NOW, &got),
			 PARLANCE_EDENIED);
	assert_int_equal(forward_auth_verify(value, HTTP_OTHER, path, query, secret, NOW, &got),
			 PARLANCE_EDENIED);
	assert_int_equal(forward_auth_verify(value, HTTP_POST, slice_str("/socket.io"), query,
					     secret, NOW, &got),
			 PARLANCE_EDENIED);
	assert_int_equal(forward_auth_verify(value, HTTP_POST, path, slice_str("EIO=4&sid=y"),
					     secret, NOW, &got),
			 PARLANCE_EDENIED);
	assert_int_equal(forward_auth_verify(value, HTTP_POST, path, query,
					     slice_str(SECRET "0"), NOW, &got),
			 PARLANCE_EDENIED);
	assert_int_equal(forward_auth_verify(value, HTTP_POST, path, query, slice_of(NULL, 0), NOW,
					     &got),
			 PARLANCE_EDENIED);
	strbuf_fini(&sb);
}

static void test_time(void **state)
{
	static const struct {
		int64_t off;
		int rc;
	} cases[] = { { 0, 0 },
		      { FORWARD_SKEW_MS, 0 },
		      { -FORWARD_SKEW_MS, 0 },
		      { FORWARD_SKEW_MS + 1, PARLANCE_ETIMEDOUT },
		      { -FORWARD_SKEW_MS - 1, PARLANCE_ETIMEDOUT },
		      { -NOW, PARLANCE_ETIMEDOUT },
		      { INT64_MAX - NOW, PARLANCE_ETIMEDOUT } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct forward_claim claim = claim_of("::1");
		struct forward_claim got;
		struct strbuf value;

		claim.at_ms = NOW + cases[i].off;
		append(&value, &claim);
		assert_int_equal(verify(strbuf_cstr(&value), &got), cases[i].rc);
		strbuf_fini(&value);
	}
}

/* What the mac would be right for, but nobody of ours writes. */
static void test_malformed(void **state)
{
	static const char mac[] = ";mac=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	static const char *const cases[] = {
		"",
		"1",
		"2;from=7;at=1;for=::1;proto=http",
		"1;from=;at=1;for=::1;proto=http",
		"1;from=0;at=1;for=::1;proto=http",
		"1;from=07;at=1;for=::1;proto=http",
		"1;from=+7;at=1;for=::1;proto=http",
		"1;from=18446744073709551616;at=1;for=::1;proto=http",
		"1;from=7;at=-1;for=::1;proto=http",
		"1;from=7;at=9223372036854775808;for=::1;proto=http",
		"1;from=7;at=1;for=;proto=http",
		"1;from=7;at=1;for=::;proto=http",
		"1;from=7;at=1;for=host;proto=http",
		"1;from=7;at=1;for=::1;proto=ftp",
		"1;from=7;at=1;for=::1;proto=https;",
		"1;from=7;at=1;for=::1",
		"1;at=1;from=7;for=::1;proto=http",
		" 1;from=7;at=1;for=::1;proto=http",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct forward_claim got;
		struct strbuf value;

		strbuf_init(&value, 4096);
		strbuf_append_str(&value, cases[i]);
		strbuf_append_str(&value, mac);
		assert_int_equal(verify(strbuf_cstr(&value), &got), PARLANCE_EINVAL);
		strbuf_fini(&value);
	}
}

static void test_not_appended(void **state)
{
	struct forward_claim claim = claim_of("192.0.2.7");
	struct strbuf out;

	(void)state;
	strbuf_init(&out, 4096);
	forward_auth_append(&out, &claim, HTTP_OTHER, path, query, slice_str(SECRET));
	assert_false(strbuf_ok(&out));
	strbuf_fini(&out);
	strbuf_init(&out, 60);
	forward_auth_append(&out, &claim, HTTP_GET, path, query, slice_str(SECRET));
	assert_false(strbuf_ok(&out));
	strbuf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sid),
		cmocka_unit_test(test_sid_of_nobody),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_demands),
		cmocka_unit_test(test_every_byte_counts),
		cmocka_unit_test(test_other_request),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_not_appended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
