/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The Retry-After header (RFC 9110, section 10.2.3). Pure.
 */
#ifndef PROVIDER_OPENAI_RETRY_H
#define PROVIDER_OPENAI_RETRY_H

#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

#define RETRY_MAX_MS UINT64_C(86400000) /* a longer time is taken for this */

/** Milliseconds to wait: of a number of seconds, or of a date in any of the three forms of HTTP. 0:
 * the text is neither, or the date has passed. now_ms: since 1970 UTC. */
uint64_t retry_after_ms(struct parlance_str value, int64_t now_ms);

/** The same for retry-after-ms, a number of milliseconds, which some services send too. */
uint64_t retry_after_number_ms(struct parlance_str value);

#ifdef __cplusplus
}
#endif
#endif
