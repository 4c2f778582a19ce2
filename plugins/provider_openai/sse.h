/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Server-sent events (WHATWG HTML, section 9.2 "Server-sent events", as of 2024): bytes in any
 * split to events. Works on bytes: whether they are UTF-8 is for whoever reads the data. Pure; one
 * thread at a time.
 */
#ifndef PROVIDER_OPENAI_SSE_H
#define PROVIDER_OPENAI_SSE_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sse {
	struct buf line;
	struct buf data; /* each line of it ends in LF */
	struct buf type;
	struct buf id;
	uint64_t retry_ms; /* what "retry" said last; 0: nothing */
	uint8_t bom;       /* bytes of a byte order mark seen; 3: past it */
	bool after_cr;     /* an LF now would belong to a line end that was counted */
	bool dispatched;   /* data and type are an event's that was returned */
};

/* Borrowed until the next call. */
struct sse_event {
	struct parlance_str type; /* "message" where the stream says nothing */
	struct parlance_str data;
	struct parlance_str id; /* the last one that was said, empty before */
};

enum sse_result {
	SSE_EVENT = 1,
	SSE_MORE,    /* everything is consumed */
	SSE_TOO_BIG, /* a line or an event's data over the bound (or out of memory): give up */
};

/** max_bytes: of a line, and of an event's data. */
void sse_init(struct sse *sse, size_t max_bytes);
void sse_fini(struct sse *sse);

/** Consumes bytes from the front of *input up to the end of the first event. An event that the
 * stream's end cuts off is no event. */
MUST_USE enum sse_result sse_next(struct sse *sse, struct parlance_str *input,
				  struct sse_event *event);

#ifdef __cplusplus
}
#endif
#endif
