/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Files that hold a secret: a password, a token's key, the private key of a certificate. One that
 * everybody may read is no secret, and is refused. Any thread.
 */
#ifndef PARLANCE_BASE_SECRET_FILE_H
#define PARLANCE_BASE_SECRET_FILE_H

#include "base/check.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SECRET_FILE_MAX 65536 /* bytes */

/** Opens a plain file for reading that only its owner and its group may use. The descriptor, which
 * the caller closes, or -1 with a sentence in err that says what to do. */
MUST_USE int secret_file_open(const char *path, char *err, size_t err_size);

#ifdef __cplusplus
}
#endif
#endif
