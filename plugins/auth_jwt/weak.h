/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Secrets that everybody knows. Any thread.
 */
#ifndef AUTH_JWT_WEAK_H
#define AUTH_JWT_WEAK_H

#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/** True for what stands in examples and what people write in its place: whoever guesses it makes
 * tokens for anybody. */
bool weak_secret(struct parlance_str secret);

#ifdef __cplusplus
}
#endif
#endif
