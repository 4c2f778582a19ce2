/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * SipHash-1-3 (Aumasson, Bernstein: SipHash, a fast short-input PRF, 2012; one round a block, three
 * at the end) and the process's key, made at first use and never changed. Loop thread.
 */
#include <endian.h>
#include <string.h>

#include "base/hash.h"

#include "base/id.h"

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint64_t rotl(uint64_t v, unsigned int n)
{
	return v << n | v >> (64 - n);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t hash_siphash13(const uint8_t key[16], const void *p, size_t len)
{
	uint64_t k0 = load64(key);
	uint64_t k1 = load64(key + 8);
	uint64_t v[4] = {
		k0 ^ 0x736f6d6570736575ULL,
		k1 ^ 0x646f72616e646f6dULL,
		k0 ^ 0x6c7967656e657261ULL,
		k1 ^ 0x7465646279746573ULL,
	};
	const uint8_t *at = p;
	size_t left = len;
	uint64_t last = (uint64_t)len << 56; /* the length modulo 256 in the top byte */
	size_t i;

	for (; left >= 8; at += 8, left -= 8) {
		uint64_t m = load64(at);

		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	for (i = 0; i < left; i++)
		last |= (uint64_t)at[i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_bytes(const void *p, size_t len)
{
	static uint8_t key[16];
	static bool have_key;

	if (UNLIKELY(!have_key)) {
		id_random(key, sizeof(key));
		have_key = true;
	}
	return hash_siphash13(key, p, len);
}
