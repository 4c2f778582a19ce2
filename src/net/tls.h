/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * TLS of a listener: what is accepted, and the certificate with its key, which may be another while
 * the listener listens. libwebsockets makes the SSL_CTX and does the handshakes. Loop thread.
 */
#ifndef PARLANCE_NET_TLS_H
#define PARLANCE_NET_TLS_H

#include <openssl/ssl.h>

#include "base/strbuf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct net_listener_config;
struct tls;

/** Reads certificate and key and checks all that the config says of TLS; it is borrowed for the call.
 * 0 or a PARLANCE_E* with a sentence in err. */
MUST_USE int tls_new(struct tls **out, const struct net_listener_config *config,
		     struct strbuf *err);

/** Frees it and clears the pointer; after the SSL_CTX that it was applied to. Harmless on NULL. */
void tls_free(struct tls **tls);

/** Makes a context follow it: handshakes from now on get the certificate that is in force then.
 * Connections that there are keep theirs. 0 or a PARLANCE_E*. */
MUST_USE int tls_apply(struct tls *tls, SSL_CTX *ctx);

/** Reads these files in place of those before. *changed: the certificate or the key is another. 0, or a
 * PARLANCE_E* with a sentence in err; then the one before stays in force. */
MUST_USE int tls_load(struct tls *tls, const char *cert, const char *key, bool *changed,
		      struct strbuf *err);

/** Whether one of the files has changed since it was last read, with success or without. */
bool tls_files_changed(const struct tls *tls);

/** What the files are called now; tls_load has them from there on. */
const char *tls_cert_path(const struct tls *tls);
const char *tls_key_path(const struct tls *tls);

/** Logs which certificate is in force, as the listener's; warns when it is not valid today. */
void tls_log(const struct tls *tls, const char *listener, const char *what);

#ifdef __cplusplus
}
#endif
#endif
