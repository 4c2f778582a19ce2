/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Query strings: what was found in one, written as a plain query with every byte of the sid
 * escaped, is found again. One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "wire/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_query(const struct query *q, const char *text, size_t len)
{
	CHECK(q->eio >= -1 && q->eio <= 999);
	CHECK(q->has_eio || q->eio == -1);
	CHECK(q->transport >= QUERY_TRANSPORT_NONE && q->transport <= QUERY_TRANSPORT_WEBSOCKET);
	if (q->sid.len > 0)
		CHECK(q->sid.p >= text && q->sid.p + q->sid.len <= text + len);
}

static void check_again(const struct query *q)
{
	static const char *const transports[] = {
		[QUERY_TRANSPORT_NONE] = "x=y",
		[QUERY_TRANSPORT_UNKNOWN] = "transport=",
		[QUERY_TRANSPORT_POLLING] = "transport=polling",
		[QUERY_TRANSPORT_WEBSOCKET] = "transport=websocket",
	};
	struct query again;
	struct strbuf text;

	strbuf_init(&text, SIZE_MAX / 4);
	strbuf_append_str(&text, transports[q->transport]);
	strbuf_append_str(&text, "&sid=");
	for (size_t i = 0; i < q->sid.len; i++) {
		/* A zero byte has no escape that query_unescape takes. */
		if (q->sid.p[i] == '\0')
			strbuf_append_char(&text, '\0');
		else
			strbuf_printf(&text, "%%%02x", (uint8_t)q->sid.p[i]);
	}
	if (q->has_eio)
		strbuf_printf(&text, "&EIO=%d", q->eio);
	CHECK(strbuf_ok(&text));
	query_init(&again);
	CHECK(query_parse(&again, text.data, text.len) == 0);
	CHECK(again.has_eio == q->has_eio && again.eio == q->eio);
	CHECK(again.transport == q->transport && slice_eq(again.sid, q->sid));
	strbuf_fini(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *exact = malloc(size ? size : 1);
	struct query q;
	int rc;

	CHECK(exact);
	if (size > 0)
		memcpy(exact, data, size);
	query_init(&q);
	rc = query_parse(&q, exact, size);
	CHECK(rc == 0 || rc == PARLANCE_EINVAL);
	/* Without an escape there is nothing to refuse. */
	CHECK(rc == 0 || memchr(data, '%', size));
	if (rc == 0) {
		check_query(&q, exact, size);
		check_again(&q);
	}
	free(exact);
	return 0;
}
