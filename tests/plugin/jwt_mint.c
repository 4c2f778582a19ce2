/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Tokens: RFC 7515, 7518, 8037. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "jwt_mint.h"
#include "base/check.h"

#define SIGNATURE_MAX 512

static EVP_PKEY *pkeys[MINT_KINDS];
static char *pems[MINT_KINDS][2]; /* public, private */

static size_t encode(const void *from, size_t len, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	const unsigned char *p = from;
	size_t n = 0;

	for (size_t i = 0; i < len; i += 3) {
		size_t left = len - i;
		uint32_t bits = (uint32_t)p[i] << 16;

		bits |= left > 1 ? (uint32_t)p[i + 1] << 8 : 0;
		bits |= left > 2 ? (uint32_t)p[i + 2] : 0;
		out[n++] = digits[bits >> 18];
		out[n++] = digits[bits >> 12 & 63];
		if (left > 1)
			out[n++] = digits[bits >> 6 & 63];
		if (left > 2)
			out[n++] = digits[bits & 63];
	}
	out[n] = '\0';
	return n;
}

char *mint_raw(const void *header, size_t header_len, const void *claims, size_t claims_len,
	       const void *signature, size_t signature_len)
{
	char *out = malloc((header_len + claims_len + signature_len) / 3 * 4 + 32);
	size_t n;

	CHECK(out);
	n = encode(header, header_len, out);
	out[n++] = '.';
	n += encode(claims, claims_len, out + n);
	out[n++] = '.';
	(void)encode(signature, signature_len, out + n);
	return out;
}

static EVP_PKEY *make(enum mint_kind kind)
{
	static const struct {
		int type;
		int bits;
		int curve;
	} kinds[] = {
		[MINT_RSA] = { EVP_PKEY_RSA, 2048, 0 },
		[MINT_RSA_SHORT] = { EVP_PKEY_RSA, 1024, 0 },
		[MINT_P256] = { EVP_PKEY_EC, 0, NID_X9_62_prime256v1 },
		[MINT_P384] = { EVP_PKEY_EC, 0, NID_secp384r1 },
		[MINT_P521] = { EVP_PKEY_EC, 0, NID_secp521r1 },
		[MINT_ED25519] = { EVP_PKEY_ED25519, 0, 0 },
		[MINT_ED448] = { EVP_PKEY_ED448, 0, 0 },
		[MINT_P256_OTHER] = { EVP_PKEY_EC, 0, NID_X9_62_prime256v1 },
		[MINT_ED25519_OTHER] = { EVP_PKEY_ED25519, 0, 0 },
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(kinds[kind].type, NULL);
	EVP_PKEY *pkey = NULL;

	CHECK(ctx && EVP_PKEY_keygen_init(ctx) == 1);
	if (kinds[kind].bits)
		CHECK(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, kinds[kind].bits) == 1);
	if (kinds[kind].curve) {
		CHECK(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(ctx, kinds[kind].curve) == 1);
		CHECK(EVP_PKEY_CTX_set_ec_param_enc(ctx, OPENSSL_EC_NAMED_CURVE) == 1);
	}
	CHECK(EVP_PKEY_keygen(ctx, &pkey) == 1);
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

static EVP_PKEY *pkey_of(enum mint_kind kind)
{
	if (!pkeys[kind])
		pkeys[kind] = make(kind);
	return pkeys[kind];
}

static const char *pem_of(enum mint_kind kind, int private)
{
	EVP_PKEY *pkey = pkey_of(kind);
	char *data;
	long len;

	if (!pems[kind][private]) {
		BIO *bio = BIO_new(BIO_s_mem());

		CHECK(bio);
		if (private)
			CHECK(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1);
		else
			CHECK(PEM_write_bio_PUBKEY(bio, pkey) == 1);
		len = BIO_get_mem_data(bio, &data);
		CHECK(len > 0);
		pems[kind][private] = strndup(data, (size_t)len);
		CHECK(pems[kind][private]);
		BIO_free(bio);
	}
	return pems[kind][private];
}

const char *mint_public_pem(enum mint_kind kind)
{
	return pem_of(kind, 0);
}

const char *mint_private_pem(enum mint_kind kind)
{
	return pem_of(kind, 1);
}

void mint_free(void)
{
	for (int kind = 1; kind < MINT_KINDS; kind++) {
		EVP_PKEY_free(pkeys[kind]);
		pkeys[kind] = NULL;
		for (int i = 0; i < 2; i++) {
			free(pems[kind][i]);
			pems[kind][i] = NULL;
		}
	}
}

static bool is_eddsa(enum mint_kind kind)
{
	return kind == MINT_ED25519 || kind == MINT_ED25519_OTHER || kind == MINT_ED448;
}

/* In DER, the point of an EC key is at the end; n of an RSA key of 2048 bits is behind 9 bytes. */
static char *jwk_values(enum mint_kind kind)
{
	EVP_PKEY *pkey = pkey_of(kind);
	unsigned char raw[64];
	unsigned char *der = NULL;
	size_t raw_len = sizeof(raw);
	size_t half = kind == MINT_P384 ? 48 : kind == MINT_P521 ? 66 : 32;
	const char *curve = half == 48 ? "P-384" : half == 66 ? "P-521" : "P-256";
	char text[2][400];
	char *out;
	int len;

	if (is_eddsa(kind)) {
		CHECK(EVP_PKEY_get_raw_public_key(pkey, raw, &raw_len) == 1);
		(void)encode(raw, raw_len, text[0]);
		CHECK(asprintf(&out, "\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"%s\"",
			       kind == MINT_ED448 ? "Ed448" : "Ed25519", text[0]) > 0);
		return out;
	}
	if (kind == MINT_RSA) {
		len = i2d_PublicKey(pkey, &der);
		CHECK(len == 270);
		(void)encode(der + 9, 256, text[0]);
		CHECK(asprintf(&out, "\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%s\"", text[0]) > 0);
	} else {
		len = i2d_PUBKEY(pkey, &der);
		CHECK(len > (int)(2 * half));
		(void)encode(der + len - 2 * half, half, text[0]);
		(void)encode(der + len - half, half, text[1]);
		CHECK(asprintf(&out, "\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"",
			       curve, text[0], text[1]) > 0);
	}
	OPENSSL_free(der);
	return out;
}

char *mint_jwk(enum mint_kind kind, const char *kid, const char *more)
{
	char *values = jwk_values(kind);
	char *out;

	CHECK(asprintf(&out, "{%s%s%s%s%s%s}", values, kid ? ",\"kid\":\"" : "", kid ? kid : "",
		       kid ? "\"" : "", more ? "," : "", more ? more : "") > 0);
	free(values);
	return out;
}

char *mint_jwks(char *jwk, ...)
{
	char *out = strdup("{\"keys\":[");
	const char *comma = "";
	va_list ap;
	char *more;

	CHECK(out);
	va_start(ap, jwk);
	for (; jwk; jwk = va_arg(ap, char *)) {
		CHECK(asprintf(&more, "%s%s%s", out, comma, jwk) > 0);
		free(out);
		free(jwk);
		out = more;
		comma = ",";
	}
	va_end(ap);
	CHECK(asprintf(&more, "%s]}", out) > 0);
	free(out);
	return more;
}

static const EVP_MD *hash_of(const char *alg)
{
	if (strstr(alg, "384"))
		return EVP_sha384();
	return strstr(alg, "512") ? EVP_sha512() : EVP_sha256();
}

/* The signing input, in *out; to be freed. */
static size_t input(const char *alg, const char **header, char *plain, size_t plain_size,
		    const char *claims, char **out)
{
	size_t n;

	(void)snprintf(plain, plain_size, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", alg);
	if (!*header)
		*header = plain;
	*out = mint_raw(*header, strlen(*header), claims, strlen(claims), "", 0);
	n = strlen(*out) - 1; /* without the last dot */
	(*out)[n] = '\0';
	return n;
}

char *mint_hmac(const char *alg, const char *header, const char *claims, const void *secret,
		size_t secret_len)
{
	unsigned char signature[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	char plain[64];
	char *text;
	size_t n = input(alg, &header, plain, sizeof(plain), claims, &text);

	if (strcmp(alg, "none") != 0)
		CHECK(HMAC(hash_of(alg), secret, (int)secret_len, (unsigned char *)text, n,
			   signature, &len));
	free(text);
	return mint_raw(header, strlen(header), claims, strlen(claims), signature, len);
}

/* ECDSA in JWS is r and s, each of the length of the curve (RFC 7518 section 3.4). */
static size_t plain_ecdsa(unsigned char *signature, size_t len, enum mint_kind kind)
{
	int half = kind == MINT_P256 || kind == MINT_P256_OTHER ? 32 : kind == MINT_P384 ? 48 : 66;
	const unsigned char *p = signature;
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);

	CHECK(sig);
	CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(sig), signature, half) == half);
	CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(sig), signature + half, half) == half);
	ECDSA_SIG_free(sig);
	return (size_t)half * 2;
}

char *mint_signed(const char *alg, const char *header, const char *claims, enum mint_kind kind)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char signature[SIGNATURE_MAX];
	size_t len = sizeof(signature);
	EVP_PKEY_CTX *pctx;
	char plain[64];
	char *text;
	size_t n = input(alg, &header, plain, sizeof(plain), claims, &text);

	CHECK(ctx);
	CHECK(EVP_DigestSignInit(ctx, &pctx, is_eddsa(kind) ? NULL : hash_of(alg), NULL,
				 pkey_of(kind)) == 1);
	if (alg[0] == 'P') {
		CHECK(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1);
		CHECK(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1);
	}
	CHECK(EVP_DigestSign(ctx, signature, &len, (unsigned char *)text, n) == 1);
	EVP_MD_CTX_free(ctx);
	free(text);
	if (kind == MINT_P256 || kind == MINT_P256_OTHER || kind == MINT_P384 ||
	    kind == MINT_P521)
		len = plain_ecdsa(signature, len, kind);
	return mint_raw(header, strlen(header), claims, strlen(claims), signature, len);
}
