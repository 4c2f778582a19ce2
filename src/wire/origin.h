/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Origins (RFC 6454): which web pages may talk to us. Pure, any thread; the list is borrowed.
 */
#ifndef PARLANCE_WIRE_ORIGIN_H
#define PARLANCE_WIRE_ORIGIN_H

#include "base/slice.h"
#include "base/check.h"

#ifdef __cplusplus
extern "C" {
#endif

/** 0 when the text is an entry that the configuration may list: "*", "null", or
 *  scheme://host[:port] with an optional "*." before the host (any subdomain, one or more labels)
 *  and nothing after; else PARLANCE_EINVAL. Entries are lower-case ASCII (the check says so by
 *  refusing upper case); an IPv6 host has brackets. */
MUST_USE int origin_entry_check(struct slice entry);

/** True when the Origin header's value is allowed by one of the n entries. Scheme and host compare
 *  without case; a default port (http 80, https 443) written out equals none. "null" is allowed
 *  only when it is listed itself or "*" is. "*" allows every value that is visible ASCII, and not
 *  empty: what is allowed can be sent back in a header. */
bool origin_allowed(const char *const *entries, size_t n, struct slice origin);

#ifdef __cplusplus
}
#endif
#endif
