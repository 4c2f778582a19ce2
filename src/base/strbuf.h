/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The one string builder: grows on the heap up to a bound, remembers its first failure. Append as
 * much as is needed and look at the result once, at the end (strbuf_ok). The content is always
 * terminated. One thread at a time.
 */
#ifndef PARLANCE_BASE_STRBUF_H
#define PARLANCE_BASE_STRBUF_H

#include <stdarg.h>

#include "base/check.h"
#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct strbuf {
	char *data; /* NULL while nothing was appended */
	size_t len; /* without the terminator */
	size_t cap;
	size_t max; /* len never grows beyond it */
	int err;    /* 0, PARLANCE_ENOMEM or PARLANCE_ETOOBIG; once set, appends do nothing */
};

/** Prepares an empty builder that holds at most max bytes; allocates nothing. */
void strbuf_init(struct strbuf *sb, size_t max);
void strbuf_fini(struct strbuf *sb);

/** Empties it, keeps its memory, clears the error. */
void strbuf_reset(struct strbuf *sb);

/** True when every append so far succeeded. */
static inline bool strbuf_ok(const struct strbuf *sb)
{
	return sb->err == 0;
}

/** The text so far, "" when empty. Valid until the next append. */
const char *strbuf_cstr(const struct strbuf *sb);

void strbuf_append(struct strbuf *sb, const void *p, size_t len);
void strbuf_append_str(struct strbuf *sb, const char *str);
void strbuf_append_slice(struct strbuf *sb, struct slice s);
void strbuf_append_char(struct strbuf *sb, char c);
void strbuf_append_u64(struct strbuf *sb, uint64_t n);
void strbuf_printf(struct strbuf *sb, const char *fmt, ...) PRINTF_LIKE(2, 3);
void strbuf_vprintf(struct strbuf *sb, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);

/** The text as a JSON string with its quotes (RFC 8259 section 7): escapes quotes, backslashes and
 * controls, and passes other bytes on as they are, so the caller vouches for valid UTF-8.
 * U+2028/2029 are left alone. */
void strbuf_append_json(struct strbuf *sb, const char *p, size_t len);

/** The same without the quotes: a part of a string. */
void strbuf_append_json_chars(struct strbuf *sb, const char *p, size_t len);

/** Makes room for `extra` more bytes and returns where they go; the caller writes up to that many
 * and then adds them to len with strbuf_commit. NULL on failure (and the error is set). */
MUST_USE char *strbuf_reserve(struct strbuf *sb, size_t extra);
void strbuf_commit(struct strbuf *sb, size_t n);

/** Takes the memory out of the builder, which is empty afterwards; the caller frees it with free().
 * NULL when the builder failed. */
MUST_USE char *strbuf_steal(struct strbuf *sb, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
