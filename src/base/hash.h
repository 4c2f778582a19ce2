/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Keyed hashing of untrusted keys: SipHash-1-3 (Aumasson, Bernstein: SipHash, 2012) with a random
 * key made at first use, so that nobody outside can make keys collide. Loop thread.
 */
#ifndef PARLANCE_BASE_HASH_H
#define PARLANCE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** SipHash-1-3 of the bytes under this process's random key. */
uint64_t hash_bytes(const void *p, size_t len);

/** SipHash-1-3 under a key of the caller's (16 bytes). Any thread. */
uint64_t hash_siphash13(const uint8_t key[16], const void *p, size_t len);

#ifdef __cplusplus
}
#endif
#endif
