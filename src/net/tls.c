/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * TLS of a listener. Certificate, chain and key lie beside the SSL_CTX and are given to each
 * handshake as it begins, because a context cannot be rid of a certificate: it has a place for each
 * type of key, so one with another type would be added and not put in the old one's place. What is
 * to be in force is first tried in a context of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "net/tls.h"
#include "base/err.h"
#include "base/log.h"
#include "base/secret_file.h"
#include "net/net.h"

/* What tells that a file is not the one that it was. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec modified;
	struct timespec changed; /* mode and owner, too: it may be readable now */
};

struct identity {
	X509 *cert;
	STACK_OF(X509) *chain; /* the certificates behind it */
	EVP_PKEY *key;
};

struct tls {
	char *cert_path;
	char *key_path;
	struct stamp cert_stamp;
	struct stamp key_stamp;
	struct identity identity; /* in force */
	char *ciphers;
	char *ciphersuites;
	int min_version;
};

static void identity_free(struct identity *id)
{
	X509_free(id->cert);
	sk_X509_pop_free(id->chain, X509_free);
	EVP_PKEY_free(id->key);
	*id = (struct identity){ NULL, NULL, NULL };
}

/* OpenSSL's reason for the last failure. */
static const char *reason(void)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return text ? text : "no reason given";
}

/* Files */

static struct stamp stamp_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return (struct stamp){ .dev = 0 };
	return (struct stamp){ st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim };
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       same_time(&a->modified, &b->modified) && same_time(&a->changed, &b->changed);
}

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *buf, int size, int for_writing, void *asked)
{
	(void)buf;
	(void)size;
	(void)for_writing;
	*(bool *)asked = true;
	return -1;
}

/* Certificates up to the file's end, the listener's own first. */
static int read_certs(const char *path, struct identity *id, struct strbuf *err)
{
	/* O_NONBLOCK: a FIFO must not hold the loop. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;
	bool asked = false;
	X509 *cert;

	if (!f) {
		strbuf_printf(err, "tls_cert: %s cannot be read: %s", path, strerror(errno));
		if (fd >= 0)
			(void)close(fd);
		return PARLANCE_EINVAL;
	}
	id->cert = PEM_read_X509(f, NULL, no_passphrase, &asked);
	id->chain = sk_X509_new_null();
	while (id->cert && id->chain && (cert = PEM_read_X509(f, NULL, no_passphrase, &asked))) {
		if (sk_X509_push(id->chain, cert) > 0)
			continue;
		X509_free(cert);
		break;
	}
	(void)fclose(f);
	/* That no other begins is how the file should end. */
	if (id->cert && ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE) {
		ERR_clear_error();
		return 0;
	}
	strbuf_printf(err, "tls_cert: %s is no certificate in PEM (%s)", path, reason());
	return PARLANCE_EINVAL;
}

static int read_key(const char *path, struct identity *id, struct strbuf *err)
{
	char text[1024];
	bool asked = false;
	int fd = secret_file_open(path, text, sizeof(text));
	BIO *bio;

	if (fd < 0) {
		strbuf_printf(err, "tls_key: %s", text);
		return PARLANCE_EINVAL;
	}
	bio = BIO_new_fd(fd, BIO_CLOSE);
	if (!bio) {
		(void)close(fd);
		return PARLANCE_ENOMEM;
	}
	id->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
	BIO_free(bio);
	if (id->key)
		return 0;
	if (asked)
		strbuf_printf(err, "tls_key: %s has a passphrase; write it without one", path);
	else
		strbuf_printf(err, "tls_key: %s is no private key in PEM (%s)", path, reason());
	ERR_clear_error();
	return PARLANCE_EINVAL;
}

/* Contexts */

/* OpenSSL passes over names that it does not know, as long as something is left. */
static int check_names(const char *option, const char *list, int (*set)(SSL_CTX *, const char *),
		       struct strbuf *err)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	char name[128];
	int rc = ctx ? 0 : PARLANCE_ENOMEM;

	for (size_t len; *list && !rc; list += len) {
		len = strcspn(list, ":, ");
		/* What is taken away, moved or a command ("!MD5", "-SHA", "+RSA", "@STRENGTH") need
		 * not select anything by itself. */
		if (len && !strchr("!-+@", *list)) {
			(void)snprintf(name, sizeof(name), "%.*s", (int)(len < 127 ? len : 127),
				       list);
			if (len > 127 || set(ctx, name) != 1) {
				strbuf_printf(err, "%s: OpenSSL has no \"%s\" here (see openssl "
					      "ciphers -v)", option, name);
				rc = PARLANCE_EINVAL;
			}
		}
		len += list[len] != '\0';
	}
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return rc;
}

/* Fails too where OpenSSL takes what it does not know. */
static int set_suites(SSL_CTX *ctx, const char *list)
{
	STACK_OF(SSL_CIPHER) *ciphers;
	int n_suites = 0;

	if (SSL_CTX_set_ciphersuites(ctx, list) != 1)
		return 0;
	ciphers = SSL_CTX_get_ciphers(ctx);
	for (int i = 0; i < sk_SSL_CIPHER_num(ciphers); i++)
		if (SSL_CIPHER_get_protocol_id(sk_SSL_CIPHER_value(ciphers, i)) >> 8 == 0x13)
			n_suites++;
	return n_suites > 0;
}

static int apply_settings(const struct tls *t, SSL_CTX *ctx, struct strbuf *err)
{
	const char *bad = NULL;

	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					       SSL_OP_CIPHER_SERVER_PREFERENCE);
	if (SSL_CTX_set_min_proto_version(ctx, t->min_version) != 1)
		bad = "tls_min_version";
	else if (t->ciphers[0] && SSL_CTX_set_cipher_list(ctx, t->ciphers) != 1)
		bad = "tls_ciphers";
	else if (t->ciphersuites[0] && set_suites(ctx, t->ciphersuites) != 1)
		bad = "tls_ciphersuites";
	if (!bad)
		return 0;
	strbuf_printf(err, "%s: OpenSSL does not take it (%s)", bad, reason());
	return PARLANCE_EINVAL;
}

static int on_handshake(SSL *ssl, void *arg)
{
	const struct identity *id = &((const struct tls *)arg)->identity;

	SSL_certs_clear(ssl);
	return SSL_use_cert_and_key(ssl, id->cert, id->key, id->chain, 1) == 1;
}

int tls_apply(struct tls *t, SSL_CTX *ctx)
{
	struct strbuf err;
	int rc;

	strbuf_init(&err, 1024);
	rc = apply_settings(t, ctx, &err);
	strbuf_fini(&err);
	/* A listener has one certificate, whatever name is asked for: libwebsockets would look for
	 * another listener's. */
	(void)SSL_CTX_set_tlsext_servername_callback(ctx, NULL);
	SSL_CTX_set_cert_cb(ctx, on_handshake, t);
	return rc;
}

/* What a handshake would find wrong. */
static int try_identity(const struct tls *t, const struct identity *id, const char *cert,
			const char *key, struct strbuf *err)
{
	SSL_CTX *ctx;
	int rc;

	if (X509_check_private_key(id->cert, id->key) != 1) {
		strbuf_printf(err,
			      "tls_key: %s does not belong to the certificate in %s; put the key in "
			      "place that it was made with",
			      key, cert);
		ERR_clear_error();
		return PARLANCE_EINVAL;
	}
	ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx)
		return PARLANCE_ENOMEM;
	rc = apply_settings(t, ctx, err);
	if (!rc && SSL_CTX_use_cert_and_key(ctx, id->cert, id->key, id->chain, 1) != 1) {
		strbuf_printf(err, "tls_cert: OpenSSL does not take %s (%s)", cert, reason());
		rc = PARLANCE_EINVAL;
	}
	SSL_CTX_free(ctx);
	return rc;
}

static int replace(char **text, const char *with)
{
	char *copy;

	if (*text == with)
		return 0;
	copy = strdup(with);
	if (!copy)
		return PARLANCE_ENOMEM;
	free(*text);
	*text = copy;
	return 0;
}

static bool same_identity(const struct identity *a, const struct identity *b)
{
	int n = sk_X509_num(a->chain);

	if (!a->cert || !b->cert || X509_cmp(a->cert, b->cert) != 0 || n != sk_X509_num(b->chain))
		return false;
	for (int i = 0; i < n; i++)
		if (X509_cmp(sk_X509_value(a->chain, i), sk_X509_value(b->chain, i)) != 0)
			return false;
	return true;
}

int tls_load(struct tls *t, const char *cert, const char *key, bool *changed, struct strbuf *err)
{
	struct identity id = { NULL, NULL, NULL };
	struct identity before = t->identity;
	int rc;

	*changed = false;
	if (replace(&t->cert_path, cert) || replace(&t->key_path, key))
		return PARLANCE_ENOMEM;
	CHECK(t->cert_path && t->key_path);
	/* Before they are read: what is written meanwhile is found the next time. */
	t->cert_stamp = stamp_of(t->cert_path);
	t->key_stamp = stamp_of(t->key_path);
	ERR_clear_error();
	rc = read_certs(t->cert_path, &id, err);
	if (!rc)
		rc = read_key(t->key_path, &id, err);
	if (!rc)
		rc = try_identity(t, &id, t->cert_path, t->key_path, err);
	if (rc) {
		identity_free(&id);
		if (!err->len)
			strbuf_append_str(err, parlance_err_text(rc));
		return rc;
	}
	*changed = !same_identity(&before, &id);
	t->identity = id;
	identity_free(&before);
	return 0;
}

bool tls_files_changed(const struct tls *t)
{
	struct stamp cert = stamp_of(t->cert_path);
	struct stamp key = stamp_of(t->key_path);

	return !same_stamp(&cert, &t->cert_stamp) || !same_stamp(&key, &t->key_stamp);
}

const char *tls_cert_path(const struct tls *t)
{
	return t->cert_path;
}

const char *tls_key_path(const struct tls *t)
{
	return t->key_path;
}

int tls_new(struct tls **out, const struct net_listener_config *config, struct strbuf *err)
{
	struct tls *t = calloc(1, sizeof(*t));
	bool changed;
	int rc = PARLANCE_ENOMEM;

	*out = NULL;
	if (!t)
		return PARLANCE_ENOMEM;
	t->min_version = config->tls_min_version == NET_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
	t->ciphers = strdup(config->tls_ciphers ? config->tls_ciphers : "");
	t->ciphersuites = strdup(config->tls_ciphersuites ? config->tls_ciphersuites : "");
	if (t->ciphers && t->ciphersuites)
		rc = check_names("tls_ciphers", t->ciphers, SSL_CTX_set_cipher_list, err);
	if (!rc)
		rc = check_names("tls_ciphersuites", t->ciphersuites, set_suites, err);
	if (!rc)
		rc = tls_load(t, config->tls_cert, config->tls_key, &changed, err);
	if (rc)
		tls_free(&t);
	*out = t;
	return rc;
}

void tls_free(struct tls **tp)
{
	struct tls *t = *tp;

	if (!t)
		return;
	*tp = NULL;
	identity_free(&t->identity);
	free(t->cert_path);
	free(t->key_path);
	free(t->ciphers);
	free(t->ciphersuites);
	free(t);
}

static void put_time(const ASN1_TIME *time, char text[40])
{
	struct tm tm;

	text[0] = '\0';
	if (ASN1_TIME_to_tm(time, &tm) == 1)
		(void)strftime(text, 40, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Each is to be issued by the next (RFC 8446 section 4.4.2 asks for that, clients mostly do not). */
static bool in_order(const struct identity *id)
{
	X509 *subject = id->cert;

	for (int i = 0; i < sk_X509_num(id->chain); i++) {
		X509 *issuer = sk_X509_value(id->chain, i);

		if (X509_check_issued(issuer, subject) != X509_V_OK)
			return false;
		subject = issuer;
	}
	return true;
}

void tls_log(const struct tls *t, const char *listener, const char *what)
{
	const struct identity *id = &t->identity;
	BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(id->cert), NULL);
	char *serial = number ? BN_bn2hex(number) : NULL;
	char until[40];

	put_time(X509_get0_notAfter(id->cert), until);
	log_notice("listener",
		   LOG_FIELDS(LOG_STR("listener", listener), LOG_STR("serial", serial ? serial : ""),
			      LOG_STR("until", until)),
		   "%s", what);
	if (X509_cmp_current_time(X509_get0_notAfter(id->cert)) < 0 ||
	    X509_cmp_current_time(X509_get0_notBefore(id->cert)) > 0)
		log_warn("listener", LOG_FIELDS(LOG_STR("listener", listener)),
			 "tls_cert: %s is not valid today; clients will refuse it", t->cert_path);
	if (!in_order(id))
		log_warn("listener", LOG_FIELDS(LOG_STR("listener", listener)),
			 "tls_cert: the certificates in %s are not in order, each before that of "
			 "its issuer; some clients will refuse them",
			 t->cert_path);
	OPENSSL_free(serial);
	BN_free(number);
}
