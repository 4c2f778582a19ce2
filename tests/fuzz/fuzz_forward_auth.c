/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The header of instances and the numbers in sids. The input's first line is a sid; the rest is a
 * header's value, to which the right mac is added. One thread.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/id.h"
#include "wire/forward_auth.h"

#define NOW INT64_C(1790000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct slice path = { "/socket.io/", 11 };
static const struct slice query = { "EIO=4", 5 };
static const struct slice secret = { "secret", 6 };

/* A copy without a byte behind it, for the sanitizer. */
static char *copy(const void *p, size_t len)
{
	char *exact = malloc(len ? len : 1);

	CHECK(exact);
	if (len)
		memcpy(exact, p, len);
	return exact;
}

/* A sid with a number is the only one with it and its token. */
static void check_sid(const uint8_t *data, size_t len)
{
	char *sid = copy(data, len);
	uint64_t number = forward_sid_number(slice_of(sid, len));
	char suffix[FORWARD_SID_SUFFIX_MAX + 1];

	if (number) {
		CHECK(forward_sid_suffix(number, suffix) == len - ID_TOKEN_LEN);
		CHECK(memcmp(suffix, sid + ID_TOKEN_LEN, len - ID_TOKEN_LEN) == 0);
	}
	free(sid);
}

static int verify(const char *p, size_t len, struct forward_claim *out)
{
	char *exact = copy(p, len);
	int rc = forward_auth_verify(slice_of(exact, len), HTTP_GET, path, query, secret, NOW, out);

	free(exact);
	return rc;
}

/* Without the mac nothing is believed; with it, what is believed can be written again. */
static void check_value(const uint8_t *data, size_t len)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	struct forward_claim claim;
	struct forward_claim again;
	struct strbuf text;
	struct strbuf value;
	struct strbuf written;
	char mac_text[64];

	strbuf_init(&text, SIZE_MAX / 2);
	strbuf_init(&value, SIZE_MAX / 2);
	strbuf_init(&written, SIZE_MAX / 2);
	CHECK(verify((const char *)data, len, &claim) != 0);
	strbuf_append_str(&text, FORWARD_HEADER ": ");
	strbuf_append(&text, data, len);
	strbuf_append_str(&text, "\nGET /socket.io/?EIO=4");
	CHECK(strbuf_ok(&text));
	CHECK(HMAC(EVP_sha256(), secret.p, (int)secret.len, (const unsigned char *)text.data,
		   text.len, mac, NULL));
	strbuf_append(&value, data, len);
	strbuf_append_str(&value, ";mac=");
	strbuf_append(&value, mac_text, base64url_encode(mac, 32, mac_text));
	CHECK(strbuf_ok(&value));
	if (verify(value.data, value.len, &claim) == 0) {
		forward_auth_append(&written, &claim, HTTP_GET, path, query, secret);
		CHECK(strbuf_ok(&written));
		CHECK(verify(written.data, written.len, &again) == 0);
		CHECK(again.from == claim.from && again.at_ms == claim.at_ms &&
		      again.secure == claim.secure);
		CHECK(strcmp(again.demands, claim.demands) == 0);
		CHECK(memcmp(&again.client, &claim.client, sizeof(again.client)) == 0);
	}
	strbuf_fini(&text);
	strbuf_fini(&value);
	strbuf_fini(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
	size_t first_len = newline ? (size_t)(newline - data) : size;

	check_sid(data, first_len);
	if (newline)
		check_value(newline + 1, size - first_len - 1);
	return 0;
}
