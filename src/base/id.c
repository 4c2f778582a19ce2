/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Random bytes and identifiers. The pool saves a system call for each identifier; what was handed
 * out is wiped from it, so that a later look into memory shows no old session id. Loop thread.
 */
#include <errno.h>
#include <sys/random.h>

#include "base/id.h"

#include "base/base64.h"
#include "base/clock.h"

#define ID_POOL_SIZE 256

static void random_from_system(void *out, size_t len)
{
	char *to = out;

	while (len) {
		ssize_t n = getrandom(to, len, 0);

		if (n < 0) {
			CHECK(errno == EINTR);
			continue;
		}
		to += n;
		len -= (size_t)n;
	}
}

void id_random(void *out, size_t len)
{
	static char pool[ID_POOL_SIZE];
	static size_t left; /* the last so many bytes of the pool are unused */

	if (len > sizeof(pool)) {
		random_from_system(out, len);
		return;
	}
	if (left < len) {
		random_from_system(pool, sizeof(pool));
		left = sizeof(pool);
	}
	memcpy(out, pool + sizeof(pool) - left, len);
	explicit_bzero(pool + sizeof(pool) - left, len);
	left -= len;
}

void id_token(char out[ID_TOKEN_LEN + 1])
{
	uint8_t bytes[16];

	id_random(bytes, sizeof(bytes));
	out[base64url_encode(bytes, sizeof(bytes), out)] = '\0';
}

static void uuid_text(const uint8_t bytes[16], char out[ID_UUID_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = hex[bytes[i] >> 4];
		*out++ = hex[bytes[i] & 15];
	}
	*out = '\0';
}

/*
 * RFC 9562 section 6.2, method 1: the 12 bits of rand_a are a counter. It starts anew each
 * millisecond at a random number below 2048; when it runs over, or the clock stands still or steps
 * back, the time is taken from the identifier before.
 */
void id_uuid7(char out[ID_UUID_LEN + 1])
{
	static uint64_t last_ms;
	static uint32_t counter;
	int64_t wall_ms = clock_wall_ms();
	uint64_t now_ms = wall_ms > 0 ? (uint64_t)wall_ms : 0;
	uint8_t bytes[16];
	int i;

	id_random(bytes + 6, 10);
	if (now_ms <= last_ms && ++counter > 0xfff)
		now_ms = last_ms + 1;
	if (now_ms > last_ms) {
		last_ms = now_ms;
		counter = ((uint32_t)bytes[6] << 8 | bytes[7]) & 0x7ff;
	}
	for (i = 0; i < 6; i++)
		bytes[i] = (uint8_t)(last_ms >> (40 - 8 * i));
	bytes[6] = (uint8_t)(0x70 | counter >> 8);
	bytes[7] = (uint8_t)counter;
	bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3f));
	uuid_text(bytes, out);
}

bool id_is_uuid(const char *p, size_t len)
{
	size_t i;

	if (len != ID_UUID_LEN)
		return false;
	for (i = 0; i < len; i++) {
		char c = p[i];
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		bool hex =
		    (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');

		if (dash ? c != '-' : !hex)
			return false;
	}
	return true;
}
