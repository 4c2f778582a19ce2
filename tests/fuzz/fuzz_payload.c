/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Notifications of the feed, which anybody may write who may connect to the database: what is taken
 * for one is valid JSON, and its parts lie within it and have their form. One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "parlance/plugin.h"

#include "../../plugins/storage_pgsql/payload.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/id.h"
#include "base/utf8.h"
#include "wire/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = malloc(size ? size : 1);
	struct payload p;

	CHECK(exact);
	if (size)
		memcpy(exact, data, size);
	if (payload_parse((struct parlance_str){ exact, size }, &p)) {
		/* The database sees to it that it is UTF-8. */
		CHECK(!utf8_valid(exact, size) || json_scan_value(slice_of(exact, size)) == 0);
		CHECK(id_is_uuid(p.room.p, p.room.len) && p.seq >= 1 && p.type.len > 0);
		CHECK(p.room.p > exact && p.room.p + p.room.len < exact + size);
		CHECK(p.type.p > exact && p.type.p + p.type.len < exact + size);
		for (size_t i = 0; i < p.type.len; i++)
			CHECK((p.type.p[i] >= 'a' && p.type.p[i] <= 'z') || p.type.p[i] == '.' ||
			      p.type.p[i] == '_');
	}
	free(exact);
	return 0;
}
