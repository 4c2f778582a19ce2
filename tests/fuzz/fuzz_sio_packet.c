/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Socket.IO packets: what decodes keeps the limits, and its head and data encoded again decode to
 * the same packet; arguments by themselves are an array of the same elements. One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/utf8.h"
#include "wire/json_scan.h"
#include "wire/sio_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_packet(const struct sio_packet *packet)
{
	bool binary = packet->type == SIO_BINARY_EVENT || packet->type == SIO_BINARY_ACK;
	bool event = packet->type == SIO_EVENT || packet->type == SIO_BINARY_EVENT;

	CHECK(packet->type >= SIO_CONNECT && packet->type <= SIO_BINARY_ACK);
	CHECK(packet->type != SIO_CONNECT_ERROR);
	CHECK(binary ? packet->attachments >= 1 : packet->attachments == 0);
	CHECK(packet->attachments <= SIO_ATTACHMENTS_MAX);
	CHECK(packet->ack_id >= SIO_NO_ACK && packet->ack_id < INT64_C(1) << 53);
	CHECK(packet->nsp.len >= 1 && packet->nsp.len <= SIO_NSP_MAX && packet->nsp.p[0] == '/');
	CHECK(utf8_valid(packet->nsp.p, packet->nsp.len));
	CHECK(event || packet->name.len == 0);
	CHECK(!sio_name_reserved(packet->name));
	CHECK(packet->data.len == 0 || json_scan_value(packet->data) == 0);
	CHECK((packet->args != NULL) == (packet->n_args > 0) && packet->n_args <= SIO_ARGS_MAX);
}

static void check_args(const struct sio_packet *packet, struct arena *arena)
{
	struct slice *elements;
	struct strbuf array;
	size_t n;

	strbuf_init(&array, SIZE_MAX / 4);
	strbuf_append_char(&array, '[');
	strbuf_append_slice(&array, packet->args_json);
	strbuf_append_char(&array, ']');
	CHECK(strbuf_ok(&array));
	CHECK(json_scan_array(slice_of(array.data, array.len), arena, SIO_ARGS_MAX, &elements,
			      &n) == 0);
	CHECK(n == packet->n_args);
	for (size_t i = 0; i < n; i++)
		CHECK(slice_eq(elements[i], packet->args[i]));
	strbuf_fini(&array);
}

static void check_again(const struct sio_packet *packet, struct arena *arena)
{
	struct sio_packet again;
	struct strbuf text;
	const char *why;

	strbuf_init(&text, SIZE_MAX / 4);
	sio_packet_head(&text, packet->type, packet->attachments, packet->nsp, packet->ack_id);
	strbuf_append_slice(&text, packet->data);
	CHECK(strbuf_ok(&text));
	CHECK(sio_packet_decode(slice_of(text.data, text.len), arena, &again, &why) == 0);
	CHECK(again.type == packet->type && again.attachments == packet->attachments);
	CHECK(again.ack_id == packet->ack_id && slice_eq(again.nsp, packet->nsp));
	CHECK(slice_eq(again.data, packet->data) && slice_eq(again.name, packet->name));
	CHECK(again.n_args == packet->n_args && slice_eq(again.args_json, packet->args_json));
	strbuf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = malloc(size ? size : 1);
	struct sio_packet packet;
	struct arena arena;
	const char *why = NULL;
	int rc;

	CHECK(exact);
	if (size > 0)
		memcpy(exact, data, size);
	arena_init(&arena, 0);
	rc = sio_packet_decode(slice_of(exact, size), &arena, &packet, &why);
	CHECK(rc == 0 || rc == PARLANCE_EINVAL || rc == PARLANCE_ETOOBIG);
	CHECK((why != NULL) == (rc != 0));
	if (rc == 0) {
		check_packet(&packet);
		check_args(&packet, &arena);
		check_again(&packet, &arena);
	}
	arena_fini(&arena);
	free(exact);
	return 0;
}
