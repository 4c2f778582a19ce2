/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Polling payloads: what decodes whole and is encoded again decodes to the same packets, and takes
 * the bytes that eio_payload_size foretells. One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/utf8.h"
#include "wire/eio.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_packet(const struct eio_packet *packet)
{
	CHECK(packet->type >= EIO_OPEN && packet->type <= EIO_NOOP);
	if (packet->binary)
		CHECK(packet->type == EIO_MESSAGE);
	else
		CHECK(utf8_valid(packet->data.p, packet->data.len));
}

/* The encoded payload holds these packets and no more. */
static void check_again(const struct strbuf *payload, const struct eio_packet *packets, size_t n)
{
	char *exact = calloc(1, payload->len);
	struct slice rest = slice_of(exact, payload->len);
	struct eio_packet packet;

	CHECK(exact);
	memcpy(exact, payload->data, payload->len);
	for (size_t i = 0; i < n; i++) {
		CHECK(eio_payload_next(&rest, &packet) == 0);
		CHECK(packet.type == packets[i].type && packet.binary == packets[i].binary);
		CHECK(slice_eq(packet.data, packets[i].data));
	}
	CHECK(eio_payload_next(&rest, &packet) == PARLANCE_ENOENT);
	free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = calloc(1, size ? size : 1);
	struct eio_packet *packets = calloc(size + 1, sizeof(*packets));
	struct slice rest = slice_of(exact, size);
	struct strbuf payload;
	size_t expected = 0;
	size_t n = 0;
	int rc;

	CHECK(exact && packets);
	if (size > 0)
		memcpy(exact, data, size);
	strbuf_init(&payload, SIZE_MAX / 4);
	while ((rc = eio_payload_next(&rest, &packets[n])) == 0) {
		check_packet(&packets[n]);
		eio_payload_append(&payload, &packets[n]);
		expected += eio_payload_size(packets[n].binary, packets[n].data.len);
		n++;
		CHECK(n <= size);
	}
	CHECK(rc == PARLANCE_ENOENT || rc == PARLANCE_EINVAL);
	if (rc == PARLANCE_ENOENT) {
		CHECK(n > 0 && strbuf_ok(&payload) && payload.len + 1 == expected);
		check_again(&payload, packets, n);
	}
	strbuf_fini(&payload);
	free(packets);
	free(exact);
	return 0;
}
