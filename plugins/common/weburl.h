/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Addresses of services, as they stand in plugins' options. Pure.
 */
#ifndef PLUGINS_COMMON_WEBURL_H
#define PLUGINS_COMMON_WEBURL_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct weburl {
	bool tls;
	bool loopback;    /* the host is this machine */
	const char *host; /* borrowed from the text, without brackets */
	size_t host_len;
};

/** Takes an http or https URL apart. 0; or -1 with a sentence in err that begins with the option's
 * name and does not show the URL, in which there may be a password. */
__attribute__((warn_unused_result)) int weburl_check(const char *option, const char *url,
						     struct weburl *out, char *err,
						     size_t err_size);

/** Likewise, and it must be https, or http to this machine, or http_ok: what is sent there, or comes
 * from there, is trusted. */
__attribute__((warn_unused_result)) int weburl_check_trusted(const char *option, const char *url,
							     bool http_ok,
							     const char *http_option, char *err,
							     size_t err_size);

#ifdef __cplusplus
}
#endif
#endif
