/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The header of requests that are passed on. What is signed is text whose parts cannot run into
 * each other: the value has no line break, the method no blank, the path no '?'. Any thread.
 */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "wire/forward_auth.h"

#include "base/base64.h"
#include "base/err.h"
#include "base/id.h"

#define MAC_BYTES 32
#define MAC_CHARS 43 /* base64url, without padding */
#define MAC_FIELD ";mac="
#define DEMANDS_FIELD ";demands="

/* sids */

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
static const char base64url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t forward_sid_suffix(uint64_t number, char out[FORWARD_SID_SUFFIX_MAX + 1])
{
	char reversed[FORWARD_SID_SUFFIX_MAX];
	size_t n = 0;
	size_t len = 0;

	CHECK(number);
	for (; number; number /= 36)
		reversed[n++] = digits[number % 36];
	out[len++] = '.';
	while (n)
		out[len++] = reversed[--n];
	out[len] = '\0';
	return len;
}

uint64_t forward_sid_number(struct slice sid)
{
	uint64_t number = 0;

	/* In the one form that we write: a leading zero would be another name of the session. */
	if (sid.len < ID_TOKEN_LEN + 2 || sid.p[ID_TOKEN_LEN] != '.' ||
	    sid.p[ID_TOKEN_LEN + 1] == '0')
		return 0;
	for (size_t i = ID_TOKEN_LEN + 1; i < sid.len; i++) {
		const char *digit = memchr(digits, sid.p[i], sizeof(digits) - 1);

		if (!digit || number > (UINT64_MAX - (uint64_t)(digit - digits)) / 36)
			return 0;
		number = number * 36 + (uint64_t)(digit - digits);
	}
	return number;
}

/* Demands */

int forward_demands(struct slice issuer, struct slice audience, char out[FORWARD_DEMANDS_LEN + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	struct strbuf text;
	bool ok;

	/* The length keeps the two apart. */
	strbuf_init(&text, SIZE_MAX / 2);
	strbuf_printf(&text, "%zu:", issuer.len);
	strbuf_append_slice(&text, issuer);
	strbuf_append_slice(&text, audience);
	ok = strbuf_ok(&text) &&
	     EVP_Digest(text.data, text.len, digest, &len, EVP_sha256(), NULL) == 1;
	strbuf_fini(&text);
	if (!ok)
		return PARLANCE_ENOMEM;
	CHECK(base64url_encode(digest, len, out) == FORWARD_DEMANDS_LEN);
	out[FORWARD_DEMANDS_LEN] = '\0';
	return 0;
}

/* The header */

static const char *method_name(enum http_method method)
{
	return method == HTTP_GET ? "GET" : method == HTTP_POST ? "POST" : NULL;
}

/* The mac of a value without it, as text. False: no memory, or a method that is not passed on. */
static bool make_mac(struct slice value, enum http_method method, struct slice path,
		     struct slice query, struct slice secret, char out[MAC_CHARS])
{
	const char *name = method_name(method);
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	struct strbuf text;
	bool ok;

	if (!name || secret.len > INT_MAX)
		return false;
	strbuf_init(&text, SIZE_MAX / 2);
	/* Its beginning keeps it apart from anything else that the secret may ever sign. */
	strbuf_append_str(&text, FORWARD_HEADER ": ");
	strbuf_append_slice(&text, value);
	strbuf_printf(&text, "\n%s ", name);
	strbuf_append_slice(&text, path);
	strbuf_append_char(&text, '?');
	strbuf_append_slice(&text, query);
	ok = strbuf_ok(&text) && HMAC(EVP_sha256(), secret.p, (int)secret.len,
				      (const unsigned char *)text.data, text.len, mac, &len);
	strbuf_fini(&text);
	if (!ok)
		return false;
	CHECK(len == MAC_BYTES && base64url_encode(mac, MAC_BYTES, out) == MAC_CHARS);
	return true;
}

void forward_auth_append(struct strbuf *out, const struct forward_claim *claim,
			 enum http_method method, struct slice path, struct slice query,
			 struct slice secret)
{
	size_t start = out->len;
	char mac[MAC_CHARS];
	char ip[IP_TEXT_MAX];

	strbuf_printf(out, "1;from=%llu;at=%lld;for=", (unsigned long long)claim->from,
		      (long long)claim->at_ms);
	if (ip_is_unset(&claim->client)) {
		strbuf_append_str(out, "unix");
	} else {
		ip_format(&claim->client, ip);
		strbuf_append_str(out, ip);
	}
	strbuf_append_str(out, claim->secure ? ";proto=https" : ";proto=http");
	if (claim->demands[0]) {
		strbuf_append_str(out, DEMANDS_FIELD);
		strbuf_append_str(out, claim->demands);
	}
	if (!strbuf_ok(out))
		return;
	if (!make_mac(slice_of(out->data + start, out->len - start), method, path, query, secret,
		      mac)) {
		out->err = PARLANCE_ENOMEM;
		return;
	}
	strbuf_append_str(out, MAC_FIELD);
	strbuf_append(out, mac, MAC_CHARS);
}

/* Takes the literal off the text. */
static bool take(struct slice *text, const char *literal)
{
	size_t len = strlen(literal);

	if (text->len < len || memcmp(text->p, literal, len) != 0)
		return false;
	*text = slice_of(text->p + len, text->len - len);
	return true;
}

/* Takes a number without sign or leading zero, at most max. */
static bool take_number(struct slice *text, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;
	size_t i = 0;

	for (; i < text->len && text->p[i] >= '0' && text->p[i] <= '9'; i++) {
		uint64_t digit = (uint64_t)(text->p[i] - '0');

		if ((i == 1 && n == 0) || n > (max - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	if (i == 0)
		return false;
	*text = slice_of(text->p + i, text->len - i);
	*out = n;
	return true;
}

static bool take_client(struct slice *text, struct ip_addr *out)
{
	const char *end = memchr(text->p, ';', text->len);
	struct slice ip;

	if (!end)
		return false;
	ip = slice_of(text->p, (size_t)(end - text->p));
	*text = slice_of(end, text->len - ip.len);
	if (slice_is(ip, "unix")) {
		*out = (struct ip_addr){ { 0 } };
		return true;
	}
	return ip_parse(ip, out) == 0;
}

/* Takes the demands off the end, where there may be some. */
static bool take_demands(struct slice *text, char out[FORWARD_DEMANDS_LEN + 1])
{
	static const size_t field_len = sizeof(DEMANDS_FIELD) - 1;
	const char *at = memmem(text->p, text->len, DEMANDS_FIELD, field_len);
	const char *value = at ? at + field_len : NULL;

	out[0] = '\0';
	if (!at)
		return true;
	if ((size_t)(text->p + text->len - value) != FORWARD_DEMANDS_LEN)
		return false;
	for (size_t i = 0; i < FORWARD_DEMANDS_LEN; i++) {
		if (!memchr(base64url, value[i], sizeof(base64url) - 1))
			return false;
		out[i] = value[i];
	}
	out[FORWARD_DEMANDS_LEN] = '\0';
	text->len = (size_t)(at - text->p);
	return true;
}

/* All but the mac. */
static bool parse(struct slice text, struct forward_claim *out)
{
	uint64_t at_ms;

	if (!take(&text, "1;from=") || !take_number(&text, UINT64_MAX, &out->from) ||
	    !out->from || !take(&text, ";at=") || !take_number(&text, INT64_MAX, &at_ms) ||
	    !take(&text, ";for=") || !take_client(&text, &out->client) || !take(&text, ";proto="))
		return false;
	out->at_ms = (int64_t)at_ms;
	if (!take_demands(&text, out->demands))
		return false;
	out->secure = slice_is(text, "https");
	return out->secure || slice_is(text, "http");
}

int forward_auth_verify(struct slice value, enum http_method method, struct slice path,
			struct slice query, struct slice secret, int64_t now_ms,
			struct forward_claim *out)
{
	size_t tail_len = strlen(MAC_FIELD) + MAC_CHARS;
	char mac[MAC_CHARS];
	struct slice tail;

	if (value.len < tail_len)
		return PARLANCE_EINVAL;
	tail = slice_of(value.p + value.len - tail_len, tail_len);
	value.len -= tail_len;
	if (!take(&tail, MAC_FIELD) || !parse(value, out))
		return PARLANCE_EINVAL;
	if (!secret.len || !make_mac(value, method, path, query, secret, mac) ||
	    CRYPTO_memcmp(mac, tail.p, MAC_CHARS) != 0)
		return PARLANCE_EDENIED;
	/* at_ms is not negative: the difference is one. */
	if (out->at_ms > now_ms ? out->at_ms - now_ms > FORWARD_SKEW_MS
				: now_ms - out->at_ms > FORWARD_SKEW_MS)
		return PARLANCE_ETIMEDOUT;
	return 0;
}
