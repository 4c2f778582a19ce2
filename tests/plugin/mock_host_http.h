/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * HTTP for the mock host, on the real client. Loop thread.
 */
#ifndef PARLANCE_TESTS_PLUGIN_MOCK_HOST_HTTP_H
#define PARLANCE_TESTS_PLUGIN_MOCK_HOST_HTTP_H

#include "mock_host.h"
#include "loop/http_client.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Gives the host its http_ functions, after mock_new; NULL: a client without proxy, with deadlines
 * of 10 s. mock_free takes them back. */
void mock_http_init(struct mock_host *m, const struct http_client_config *config);

#ifdef __cplusplus
}
#endif
#endif
