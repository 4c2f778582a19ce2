/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * permessage-deflate: what is compressed comes back; any bytes decompress within the bound or are
 * refused; any offer is answered or passed over. One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "wire/ws_deflate.h"

#define MAX 50000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(struct slice plain)
{
	struct strbuf packed;
	struct strbuf again;

	strbuf_init(&packed, plain.len * 2 + 100);
	CHECK(ws_deflate(plain, &packed) == 0);
	CHECK(packed.len > 0);
	strbuf_init(&again, plain.len);
	CHECK(ws_inflate(slice_of(packed.data, packed.len), &again) == 0);
	CHECK(slice_eq(slice_of(again.data, again.len), plain));
	strbuf_fini(&again);
	/* One byte less of room is not enough. */
	if (plain.len > 0) {
		strbuf_init(&again, plain.len - 1);
		CHECK(ws_inflate(slice_of(packed.data, packed.len), &again) == PARLANCE_ETOOBIG);
		strbuf_fini(&again);
	}
	strbuf_fini(&packed);
}

static void check_any(struct slice bytes)
{
	struct strbuf plain;
	int rc;

	strbuf_init(&plain, MAX);
	rc = ws_inflate(bytes, &plain);
	CHECK(rc == 0 || rc == PARLANCE_EINVAL || rc == PARLANCE_ETOOBIG);
	CHECK(plain.len <= MAX && plain.cap <= MAX + 1);
	if (rc == 0)
		check_round_trip(slice_of(plain.data, plain.len));
	strbuf_fini(&plain);
}

static void check_offers(struct slice offers)
{
	const char *response = NULL;
	bool ok = ws_deflate_accept(offers, &response);

	CHECK(ok == (response != NULL));
	/* What we say is an offer that we would accept. */
	if (ok)
		CHECK(ws_deflate_accept(slice_str(response), &response));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = calloc(1, size ? size : 1);
	struct slice bytes = slice_of(exact, size);

	CHECK(exact);
	if (size > 0)
		memcpy(exact, data, size);
	check_round_trip(bytes);
	check_any(bytes);
	check_offers(bytes);
	free(exact);
	return 0;
}
