/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Public keys in PEM. OpenSSL 1.1.1 and later. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>

#include "pem.h"

#define RSA_BITS_MIN 2048 /* RFC 7518 section 3.3 */

static bool has(struct parlance_str text, const char *what)
{
	return text.len && memmem(text.p, text.len, what, strlen(what));
}

bool pem_is(struct parlance_str text)
{
	return has(text, "-----BEGIN ");
}

bool pem_is_other_form(struct parlance_str text)
{
	static const char *const begins[] = { "MII", "MFkw", "MHYw", "MIGb", "MCow",
					      "ssh-", "ecdsa-", "\x30\x82", "\x30\x81",
					      "\x30\x59", "\x30\x76", "\x30\x2a" };

	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
		size_t len = strlen(begins[i]);

		if (text.len > len && memcmp(text.p, begins[i], len) == 0)
			return true;
	}
	return has(text, "\"kty\"");
}

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

/* NULL, or what is wrong with the key. */
static const char *family_of(EVP_PKEY *pkey, enum family *family)
{
	switch (EVP_PKEY_base_id(pkey)) {
	case EVP_PKEY_RSA:
		*family = FAMILY_RSA;
		return EVP_PKEY_bits(pkey) < RSA_BITS_MIN
			       ? "is an RSA key of less than 2048 bits; make a longer one"
			       : NULL;
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
		*family = FAMILY_ED25519;
		return NULL;
	default:
		return "is not an RSA, EC or Ed25519 key; use one of these";
	}
}

/* Nobody is there to ask for a passphrase. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

static const char *write_anew(EVP_PKEY *pkey, char **out, size_t *out_len)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;

	if (!bio)
		return "cannot be read: out of memory";
	if (PEM_write_bio_PUBKEY(bio, pkey) == 1) {
		len = BIO_get_mem_data(bio, &data);
		*out = len > 0 ? malloc((size_t)len) : NULL;
		if (*out) {
			memcpy(*out, data, (size_t)len);
			*out_len = (size_t)len;
		}
	}
	BIO_free(bio);
	return *out ? NULL : "cannot be read: out of memory";
}

int pem_read(struct parlance_str text, const char *source, enum family *family, char **out,
	     size_t *out_len, char *err, size_t err_size)
{
	const char *problem = NULL;
	EVP_PKEY *pkey = NULL;
	BIO *bio = NULL;

	*out = NULL;
	if (has(text, "PRIVATE KEY-----")) {
		problem = "holds a private key, which does not belong here; give the public one "
			  "(openssl pkey -pubout)";
		goto out;
	}
	if (has(text, "CERTIFICATE-----")) {
		problem = "holds a certificate; give its key (openssl x509 -pubkey -noout)";
		goto out;
	}
	bio = text.len <= INT_MAX ? BIO_new_mem_buf(text.p, (int)text.len) : NULL;
	pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;
	if (!pkey) {
		problem = "holds no public key in PEM (\"BEGIN PUBLIC KEY\")";
		goto out;
	}
	problem = family_of(pkey, family);
	if (!problem)
		problem = write_anew(pkey, out, out_len);
out:
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	ERR_clear_error();
	if (problem)
		(void)snprintf(err, err_size, "%s %s", source, problem);
	return problem ? -1 : 0;
}
