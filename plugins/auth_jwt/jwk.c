/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * JWK to OpenSSL's key. RSA and EC keys are written as SubjectPublicKeyInfo (RFC 5280) and read by
 * OpenSSL, which so checks them as it does all others (that a point is on its curve, for one), and
 * in all its versions alike.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "jwk.h"
#include "token.h"

#define NUMBER_MAX 1025 /* bytes: 8192 bits, and a zero that need not be there */
#define EXPONENT_MAX 8
#define DER_MAX (NUMBER_MAX + 64)

struct bytes {
	size_t len;
	unsigned char p[NUMBER_MAX];
};

struct der {
	size_t len;
	unsigned char p[DER_MAX];
};

/* A member that is bytes in base64url. False: it is missing, or none. */
static bool get_bytes(const struct json_object *o, const char *name, struct bytes *out)
{
	const struct json_value *v = json_get(o, name);
	char text[NUMBER_MAX / 3 * 4 + 8];
	size_t len;

	return v && v->type == JSON_STRING && json_string(v, text, sizeof(text), &len) && len &&
	       token_decode((struct parlance_str){ text, len }, (char *)out->p, sizeof(out->p),
			    &out->len);
}

static bool is_text(const struct json_object *o, const char *name, const char *text)
{
	const struct json_value *v = json_get(o, name);

	return v && json_is(v, text);
}

/* DER. Nothing here is longer than 64 KiB, and the buffer holds the longest. */

static size_t header_len(size_t len)
{
	return len < 0x80 ? 2 : len < 0x100 ? 3 : 4;
}

static void put(struct der *d, const void *p, size_t len)
{
	memcpy(d->p + d->len, p, len);
	d->len += len;
}

static void put_header(struct der *d, unsigned char tag, size_t len)
{
	d->p[d->len++] = tag;
	if (len >= 0x80)
		d->p[d->len++] = len < 0x100 ? 0x81 : 0x82;
	if (len >= 0x100)
		d->p[d->len++] = (unsigned char)(len >> 8);
	d->p[d->len++] = (unsigned char)len;
}

/* A number without sign: a zero before a first bit that is set. */
static size_t integer_len(const struct bytes *n)
{
	return n->len + (n->p[0] >> 7);
}

static void put_integer(struct der *d, const struct bytes *n)
{
	put_header(d, 0x02, integer_len(n));
	if (n->p[0] >> 7)
		d->p[d->len++] = 0;
	put(d, n->p, n->len);
}

static EVP_PKEY *read_der(const struct der *d)
{
	const unsigned char *p = d->p;

	return d2i_PUBKEY(NULL, &p, (long)d->len);
}

static void strip_zeros(struct bytes *n)
{
	size_t zeros = 0;

	while (zeros + 1 < n->len && !n->p[zeros])
		zeros++;
	n->len -= zeros;
	memmove(n->p, n->p + zeros, n->len);
}

static EVP_PKEY *read_rsa(const struct json_object *o)
{
	static const unsigned char algorithm[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
						   0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00 };
	struct bytes n;
	struct bytes e;
	struct der d = { 0 };
	size_t pair;
	size_t bits;

	if (!get_bytes(o, "n", &n) || !get_bytes(o, "e", &e))
		return NULL;
	strip_zeros(&n);
	strip_zeros(&e);
	/* An exponent that is large makes verifying slow; an even one, or 1, is none. */
	if (e.len > EXPONENT_MAX || !(e.p[e.len - 1] & 1) || (e.len == 1 && e.p[0] == 1))
		return NULL;
	pair = header_len(integer_len(&n)) + integer_len(&n) + header_len(integer_len(&e)) +
	       integer_len(&e);
	bits = 1 + header_len(pair) + pair;
	put_header(&d, 0x30, sizeof(algorithm) + header_len(bits) + bits);
	put(&d, algorithm, sizeof(algorithm));
	put_header(&d, 0x03, bits);
	put(&d, "", 1);
	put_header(&d, 0x30, pair);
	put_integer(&d, &n);
	put_integer(&d, &e);
	return read_der(&d);
}

static EVP_PKEY *read_ec(const struct json_object *o)
{
	static const unsigned char is_ec[] = { 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
					       0x01 };
	static const struct {
		const char *name;
		size_t bytes;
		size_t oid_len;
		unsigned char oid[10];
	} curves[] = {
		{ "P-256", 32, 10, { 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7 } },
		{ "P-384", 48, 7, { 6, 5, 0x2b, 0x81, 4, 0, 0x22 } },
		{ "P-521", 66, 7, { 6, 5, 0x2b, 0x81, 4, 0, 0x23 } },
	};
	struct bytes x;
	struct bytes y;
	struct der d = { 0 };
	size_t i = 0;
	size_t bits;

	while (i < 3 && !is_text(o, "crv", curves[i].name))
		i++;
	if (i == 3 || !get_bytes(o, "x", &x) || !get_bytes(o, "y", &y) ||
	    x.len != curves[i].bytes || y.len != curves[i].bytes)
		return NULL;
	bits = 2 + x.len + y.len;
	put_header(&d, 0x30,
		   2 + sizeof(is_ec) + curves[i].oid_len + header_len(bits) + bits);
	put_header(&d, 0x30, sizeof(is_ec) + curves[i].oid_len);
	put(&d, is_ec, sizeof(is_ec));
	put(&d, curves[i].oid, curves[i].oid_len);
	put_header(&d, 0x03, bits);
	put(&d, "\0\4", 2); /* no bits unused; not compressed */
	put(&d, x.p, x.len);
	put(&d, y.p, y.len);
	return read_der(&d);
}

static EVP_PKEY *read_okp(const struct json_object *o)
{
	bool ed448 = is_text(o, "crv", "Ed448");
	struct bytes x;

	if ((!ed448 && !is_text(o, "crv", "Ed25519")) || !get_bytes(o, "x", &x) ||
	    x.len != (ed448 ? 57u : 32u))
		return NULL;
	return EVP_PKEY_new_raw_public_key(ed448 ? EVP_PKEY_ED448 : EVP_PKEY_ED25519, NULL, x.p,
					   x.len);
}

/* RFC 7517 section 4.3. */
static bool may_verify(const struct json_value *ops)
{
	struct json_value element;
	bool found = false;
	size_t at = 0;

	if (ops->type != JSON_ARRAY)
		return false;
	while (json_next(ops, &at, &element))
		found = found || json_is(&element, "verify");
	return found;
}

static const char *check_purpose(const struct json_object *o)
{
	const struct json_value *ops = json_get(o, "key_ops");

	if (is_text(o, "kty", "oct") || json_get(o, "k"))
		return "is a secret, which does not belong into a set of public keys";
	if (json_get(o, "d"))
		return "is a private key, which must not be there: replace it";
	if (json_get(o, "use") && !is_text(o, "use", "sig"))
		return "is not for signatures (use)";
	if (ops && !may_verify(ops))
		return "is not for verifying (key_ops)";
	return NULL;
}

static const char *read_kid(struct jwk *out, const struct json_object *o)
{
	const struct json_value *v = json_get(o, "kid");

	if (!v)
		return NULL;
	if (v->type != JSON_STRING || !json_string(v, out->kid, sizeof(out->kid), &out->kid_len)) {
		out->kid_len = 0;
		return "has an id (kid) that is not a string of a usable length";
	}
	out->has_kid = true;
	return NULL;
}

static const char *read_alg(struct jwk *out, const struct json_object *o)
{
	const struct json_value *v = json_get(o, "alg");
	char name[16];
	size_t len;

	if (!v)
		return NULL;
	if (v->type == JSON_STRING && json_string(v, name, sizeof(name), &len))
		out->alg = algorithm_find((struct parlance_str){ name, len });
	return out->alg && out->alg->family == pubkey_family(out->key)
		       ? NULL
		       : "is for an algorithm (alg) that is not known, or not for such a key";
}

const char *jwk_read(struct jwk *out, const struct json_object *o)
{
	EVP_PKEY *pkey = NULL;
	const char *problem;

	*out = (struct jwk){ .key = NULL };
	problem = read_kid(out, o);
	if (!problem)
		problem = check_purpose(o);
	if (problem)
		return problem;
	if (is_text(o, "kty", "RSA"))
		pkey = read_rsa(o);
	else if (is_text(o, "kty", "EC"))
		pkey = read_ec(o);
	else if (is_text(o, "kty", "OKP"))
		pkey = read_okp(o);
	else
		return "is of a kind (kty) that is not RSA, EC or OKP";
	ERR_clear_error();
	if (!pkey)
		return "is malformed, or on a curve that is not known";
	problem = pubkey_new(&out->key, pkey);
	if (!problem)
		problem = read_alg(out, o);
	if (problem)
		jwk_fini(out);
	return problem;
}

void jwk_fini(struct jwk *jwk)
{
	pubkey_free(&jwk->key);
}
