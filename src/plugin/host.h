/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What plugins ask us for: the functions of struct parlance_host, and what each instance holds of
 * the host's, so that it can be taken back. Loop thread (but parlance_host.post).
 */
#ifndef PARLANCE_PLUGIN_HOST_H
#define PARLANCE_PLUGIN_HOST_H

#include "plugin/private.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Fills the instance's struct parlance_host. 0, PARLANCE_ENOMEM, PARLANCE_ESYS. */
MUST_USE int host_init(struct instance *inst);

/** Asks for all offloaded work to be dropped. */
void host_cancel_works(struct instance *inst);

/** Takes back all that the instance still holds, and logs what it should not hold any more; from
 * here on nothing calls the plugin. No work may be left. */
void host_fini(struct instance *inst);

/** Forgets work that is still running after all patience: it ends without anybody being told. */
void host_abandon_works(struct instance *inst);

/* The functions about HTTP (host_http.c), secrets (host_secret.c) and the chat (host_chat.c) */
void host_http_init(struct parlance_host *host);
/** Cancels all requests, which stay alive as orphans of the set until they have ended; returns how
 * many of them the plugin had not cancelled itself. */
size_t host_http_fini(struct instance *inst);

int host_secret(void *ctx, const char *source, struct parlance_str *out, char *err,
		size_t err_size);
/** Wipes all secrets. */
void host_secret_fini(struct instance *inst);

void host_chat_init(struct parlance_host *host);

#ifdef __cplusplus
}
#endif
#endif
