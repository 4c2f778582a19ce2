/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What a client says that it remembers (connection state recovery): what is read keeps its bounds,
 * names no room twice and no user's, and is asked of the storage as it was read. The first byte is
 * the length of the pid, the offset follows it. One thread.
 */
#include <stdint.h>
#include <stdlib.h>

#include "core/private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *exact(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);

	CHECK(copy);
	if (size)
		memcpy(copy, data, size);
	return copy;
}

static void check(const struct recovery *r)
{
	struct strbuf rooms;
	struct strbuf seqs;

	CHECK(r->n >= 1 && r->rooms[0].seq >= 0 && !r->rooms[0].id[0]);
	CHECK(strlen(r->epoch) >= 1 && strlen(r->pid) == ID_TOKEN_LEN);
	CHECK(strlen(r->told) <= RECOVERY_PID_MAX);
	for (size_t i = 1; i < r->n; i++) {
		struct slice id = slice_str(r->rooms[i].id);

		CHECK(id_is_uuid(id.p, id.len) && !feed_room_id_is_users(id));
		CHECK(r->rooms[i].seq >= 0 && r->rooms[i].part <= INT16_MAX);
		CHECK(recovery_names(r, id));
		for (size_t k = 1; k < i; k++)
			CHECK(!slice_is(id, r->rooms[k].id));
	}
	strbuf_init(&rooms, SIZE_MAX / 2);
	strbuf_init(&seqs, SIZE_MAX / 2);
	recovery_params(r, &rooms, &seqs);
	CHECK(strbuf_ok(&rooms) && strbuf_ok(&seqs));
	CHECK(rooms.len == (r->n > 1 ? (r->n - 1) * (ID_UUID_LEN + 1) + 1 : 2));
	strbuf_fini(&rooms);
	strbuf_fini(&seqs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n = size ? data[0] : 0;
	struct recovery *r;
	char *pid;
	char *offset;

	if (size < 1 + n)
		return 0;
	pid = exact(data + 1, n);
	offset = exact(data + 1 + n, size - 1 - n);
	r = recovery_new(slice_of(pid, n), slice_of(offset, size - 1 - n));
	if (r)
		check(r);
	recovery_free(&r);
	CHECK(!r);
	free(pid);
	free(offset);
	return 0;
}
