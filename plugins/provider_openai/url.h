/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The service's address: what base_url may be, and the URL that is made of it. Pure.
 */
#ifndef PROVIDER_OPENAI_URL_H
#define PROVIDER_OPENAI_URL_H

#include <stdbool.h>

#include "buf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct url_facts {
	bool tls;
	bool loopback; /* the host is this machine */
	bool openai;   /* the host is api.openai.com */
};

/** 0, or -1 with a sentence in err. */
MUST_USE int url_check(const char *base_url, struct url_facts *facts, char *err, size_t err_size);

/** base_url with /chat/completions added to its path (before a query; not twice). The caller frees
 * it. NULL: out of memory. */
char *url_complete(const char *base_url);

#ifdef __cplusplus
}
#endif
#endif
