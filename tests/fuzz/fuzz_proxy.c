/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * PROXY headers: the answer does not depend on how the bytes come. A header that is complete is not
 * so before its last byte, and is the same with more bytes behind; what is refused stays refused.
 * One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "wire/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The result for the first len bytes, which lie in a block of their own size. */
static int parse(const uint8_t *data, size_t len, struct proxy_header *out)
{
	char *exact = malloc(len ? len : 1);
	int rc;

	CHECK(exact);
	if (len > 0)
		memcpy(exact, data, len);
	*out = (struct proxy_header){ 0 };
	rc = proxy_parse(slice_of(exact, len), out);
	free(exact);
	return rc;
}

static void check_header(const uint8_t *data, size_t size, const struct proxy_header *header)
{
	static const struct ip_addr unspecified;
	bool unnamed = memcmp(&header->client, &unspecified, sizeof(unspecified)) == 0;
	struct proxy_header shorter;

	CHECK(header->len <= size && header->len <= PROXY_HEADER_MAX);
	CHECK(parse(data, header->len, &shorter) == 0);
	CHECK(shorter.len == header->len && shorter.local == header->local);
	CHECK(memcmp(&shorter.client, &header->client, sizeof(shorter.client)) == 0);
	/* Only AF_UNIX of version 2 has a client without an address. */
	CHECK(unnamed == (header->local || (data[0] == '\r' && data[13] >> 4 == 3)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header header;
	struct proxy_header shorter;
	int rc = parse(data, size, &header);
	size_t end = rc == 0 ? header.len : size;
	int before = PARLANCE_EAGAIN;

	CHECK(rc == 0 || rc == PARLANCE_EAGAIN || rc == PARLANCE_EINVAL || rc == PARLANCE_ETOOBIG);
	if (rc == 0)
		check_header(data, size, &header);
	if (rc == PARLANCE_EAGAIN)
		CHECK(size < PROXY_HEADER_MAX);
	/* As the bytes come: "more", and from some point on what it is for all of them. */
	if (end > PROXY_HEADER_MAX + 16)
		end = PROXY_HEADER_MAX + 16;
	for (size_t len = 0; len < end; len++) {
		int now = parse(data, len, &shorter);

		CHECK(now == before || (before == PARLANCE_EAGAIN && now == rc));
		CHECK(now != 0);
		before = now;
	}
	return 0;
}
