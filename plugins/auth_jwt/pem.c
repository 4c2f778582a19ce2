/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Public keys in PEM. OpenSSL 1.1.1 and later. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "pem.h"

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

/* Nobody is there to ask for a passphrase. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)arg;
	return -1;
}

struct pubkey *pem_read(struct parlance_str text, const char *source, char *err, size_t err_size)
{
	const char *problem = NULL;
	struct pubkey *key = NULL;
	EVP_PKEY *pkey = NULL;
	BIO *bio = NULL;

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
	problem = pkey ? pubkey_new(&key, pkey)
		       : "holds no public key in PEM (\"BEGIN PUBLIC KEY\")";
out:
	BIO_free(bio);
	ERR_clear_error();
	if (problem)
		(void)snprintf(err, err_size, "%s %s", source, problem);
	return key;
}
