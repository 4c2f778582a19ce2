/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Public keys. OpenSSL 1.1.1 and later. */
#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>

#include "pubkey.h"

#define RSA_BITS_MIN 2048 /* RFC 7518 section 3.3 */
#define RSA_BITS_MAX 8192 /* a verification must not hold the loop */
#define DER_MAX 160       /* of an ECDSA signature: two integers of 66 bytes */

struct pubkey {
	EVP_PKEY *pkey;
	enum family family;
};

static int curve_of(EVP_PKEY *pkey)
{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
	char name[64];
	size_t len;
	int nid;

	if (!EVP_PKEY_get_group_name(pkey, name, sizeof(name), &len))
		return NID_undef;
	nid = OBJ_sn2nid(name);
	return nid != NID_undef ? nid : EC_curve_nist2nid(name);
#else
	const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(pkey);

	return ec ? EC_GROUP_get_curve_name(EC_KEY_get0_group(ec)) : NID_undef;
#endif
}

static const char *check_rsa(EVP_PKEY *pkey)
{
	if (EVP_PKEY_bits(pkey) < RSA_BITS_MIN)
		return "is an RSA key of less than 2048 bits; make a longer one";
	if (EVP_PKEY_bits(pkey) > RSA_BITS_MAX)
		return "is an RSA key of more than 8192 bits; make a shorter one";
	return NULL;
}

/* NULL, or what is wrong with the key. */
static const char *family_of(EVP_PKEY *pkey, enum family *family)
{
	switch (EVP_PKEY_base_id(pkey)) {
	case EVP_PKEY_RSA:
		*family = FAMILY_RSA;
		return check_rsa(pkey);
	case EVP_PKEY_EC:
		switch (curve_of(pkey)) {
		case NID_X9_62_prime256v1:
			*family = FAMILY_P256;
			return NULL;
		case NID_secp384r1:
			*family = FAMILY_P384;
			return NULL;
		case NID_secp521r1:
			*family = FAMILY_P521;
			return NULL;
		default:
			return "is a key on a curve that is not P-256, P-384 or P-521; use one of "
			       "these";
		}
	case EVP_PKEY_ED25519:
	case EVP_PKEY_ED448:
		*family = FAMILY_EDDSA;
		return NULL;
	default:
		return "is not an RSA, EC, Ed25519 or Ed448 key; use one of these";
	}
}

const char *pubkey_new(struct pubkey **out, EVP_PKEY *pkey)
{
	struct pubkey *key = calloc(1, sizeof(*key));
	const char *problem = key ? family_of(pkey, &key->family) : "cannot be read: out of memory";

	*out = NULL;
	ERR_clear_error();
	if (problem) {
		EVP_PKEY_free(pkey);
		free(key);
		return problem;
	}
	key->pkey = pkey;
	*out = key;
	return NULL;
}

void pubkey_free(struct pubkey **keyp)
{
	struct pubkey *key = *keyp;

	if (!key)
		return;
	*keyp = NULL;
	EVP_PKEY_free(key->pkey);
	free(key);
}

enum family pubkey_family(const struct pubkey *key)
{
	return key->family;
}

static const EVP_MD *hash_of(const struct algorithm *alg)
{
	if (alg->family == FAMILY_EDDSA)
		return NULL; /* it is a part of the algorithm */
	return alg->hash_bytes == 32 ? EVP_sha256() : alg->hash_bytes == 48 ? EVP_sha384()
									    : EVP_sha512();
}

/* ECDSA in JWS is r and s, each of the length of the curve; OpenSSL wants DER. 0: it is none. */
static size_t der_of(struct parlance_str signature, enum family family,
		     unsigned char out[DER_MAX])
{
	size_t half = family == FAMILY_P256 ? 32 : family == FAMILY_P384 ? 48 : 66;
	const unsigned char *p = (const unsigned char *)signature.p;
	ECDSA_SIG *sig = ECDSA_SIG_new();
	BIGNUM *r = NULL;
	BIGNUM *s = NULL;
	int len = 0;

	if (sig && signature.len == 2 * half) {
		r = BN_bin2bn(p, (int)half, NULL);
		s = BN_bin2bn(p + half, (int)half, NULL);
	}
	if (r && s && ECDSA_SIG_set0(sig, r, s)) {
		r = NULL;
		s = NULL;
		len = i2d_ECDSA_SIG(sig, NULL);
		len = len > 0 && len <= DER_MAX ? i2d_ECDSA_SIG(sig, &out) : 0;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(sig);
	return len > 0 ? (size_t)len : 0;
}

static bool prepare(EVP_MD_CTX *ctx, const struct pubkey *key, const struct algorithm *alg)
{
	EVP_PKEY_CTX *pctx = NULL;

	if (EVP_DigestVerifyInit(ctx, &pctx, hash_of(alg), NULL, key->pkey) != 1)
		return false;
	/* RFC 7518 section 3.5: the salt is as long as the hash, and MGF1 has the same one, which is
	 * OpenSSL's default. */
	return alg->name[0] != 'P' ||
	       (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
		EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1);
}

enum signature_result pubkey_verify(const struct pubkey *key, const struct algorithm *alg,
				    struct parlance_str input, struct parlance_str signature)
{
	const unsigned char *p = (const unsigned char *)signature.p;
	enum signature_result result = SIGNATURE_BAD;
	unsigned char der[DER_MAX];
	EVP_MD_CTX *ctx;

	if (alg->family != key->family)
		return SIGNATURE_BAD;
	if (alg->name[0] == 'E' && alg->family != FAMILY_EDDSA) {
		signature.len = der_of(signature, alg->family, der);
		p = der;
	}
	ctx = EVP_MD_CTX_new();
	if (!ctx)
		result = SIGNATURE_NO_MEMORY;
	else if (signature.len && prepare(ctx, key, alg) &&
		 EVP_DigestVerify(ctx, p, signature.len, (const unsigned char *)input.p,
				  input.len) == 1)
		result = SIGNATURE_GOOD;
	EVP_MD_CTX_free(ctx);
	/* What a refused signature leaves in OpenSSL's queue of errors would be taken by the next
	 * TLS connection of this thread for its own. */
	ERR_clear_error();
	return result;
}
