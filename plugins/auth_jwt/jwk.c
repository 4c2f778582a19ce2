/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* JWK from keys, for libjwt 3.x, which needs OpenSSL 3 itself; older ones do without this file. */
#include <jwt.h>

#ifdef jwt_checker_auto_t

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "jwk.h"

/* Base64url without padding, terminated; to be freed. */
static char *encode(const unsigned char *p, size_t len)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	char *out = malloc(len / 3 * 4 + 5);
	uint32_t bits = 0;
	unsigned n_bits = 0;
	size_t n = 0;

	if (!out)
		return NULL;
	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | p[i];
		n_bits += 8;
		while (n_bits >= 6) {
			n_bits -= 6;
			out[n++] = digits[bits >> n_bits & 63];
		}
	}
	if (n_bits)
		out[n++] = digits[bits << (6 - n_bits) & 63];
	out[n] = '\0';
	return out;
}

static char *encode_number(EVP_PKEY *pkey, const char *name, size_t min_len)
{
	BIGNUM *number = NULL;
	unsigned char *bytes = NULL;
	char *out = NULL;
	size_t len;

	if (!EVP_PKEY_get_bn_param(pkey, name, &number))
		return NULL;
	len = (size_t)BN_num_bytes(number);
	if (len < min_len)
		len = min_len;
	bytes = malloc(len);
	if (bytes && BN_bn2binpad(number, bytes, (int)len) == (int)len)
		out = encode(bytes, len);
	free(bytes);
	BN_free(number);
	return out;
}

static char *jwk_of_rsa(EVP_PKEY *pkey)
{
	char *n = encode_number(pkey, OSSL_PKEY_PARAM_RSA_N, 0);
	char *e = encode_number(pkey, OSSL_PKEY_PARAM_RSA_E, 0);
	char *out = NULL;

	if (n && e && asprintf(&out, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}", n, e) < 0)
		out = NULL;
	free(n);
	free(e);
	return out;
}

static char *jwk_of_ec(EVP_PKEY *pkey)
{
	int bits = EVP_PKEY_get_bits(pkey);
	size_t len = (size_t)(bits + 7) / 8;
	char *x = encode_number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, len);
	char *y = encode_number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, len);
	char *out = NULL;

	if (x && y &&
	    asprintf(&out, "{\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"%s\",\"y\":\"%s\"}", bits, x,
		     y) < 0)
		out = NULL;
	free(x);
	free(y);
	return out;
}

static char *jwk_of_ed25519(EVP_PKEY *pkey)
{
	unsigned char bytes[32];
	size_t len = sizeof(bytes);
	char *x = NULL;
	char *out = NULL;

	if (EVP_PKEY_get_raw_public_key(pkey, bytes, &len) == 1)
		x = encode(bytes, len);
	if (x && asprintf(&out, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", x) < 0)
		out = NULL;
	free(x);
	return out;
}

char *jwk_of_secret(const char *bytes, size_t len)
{
	char *k = encode((const unsigned char *)bytes, len);
	char *out = NULL;

	if (!k)
		return NULL;
	if (asprintf(&out, "{\"kty\":\"oct\",\"k\":\"%s\"}", k) < 0)
		out = NULL;
	OPENSSL_cleanse(k, strlen(k));
	free(k);
	return out;
}

char *jwk_of_pem(const char *pem, size_t len)
{
	BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
	char *out = NULL;

	switch (pkey ? EVP_PKEY_get_base_id(pkey) : EVP_PKEY_NONE) {
	case EVP_PKEY_RSA:
		out = jwk_of_rsa(pkey);
		break;
	case EVP_PKEY_EC:
		out = jwk_of_ec(pkey);
		break;
	case EVP_PKEY_ED25519:
		out = jwk_of_ed25519(pkey);
		break;
	default:
		break;
	}
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	return out;
}

#else
/* ISO C wants a declaration in every file. */
extern int auth_jwt_without_jwk;
#endif
