/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * String builder: one block of the heap that doubles, up to the bound. The builder owns the block
 * until strbuf_steal or strbuf_fini. One thread at a time.
 */
#include "base/strbuf.h"

#include "base/err.h"

#define STRBUF_FIRST 64

void strbuf_init(struct strbuf *sb, size_t max)
{
	/* One byte is the terminator's, and doubling must not wrap. */
	*sb = (struct strbuf){ .max = max < PTRDIFF_MAX ? max : PTRDIFF_MAX - 1 };
}

void strbuf_fini(struct strbuf *sb)
{
	free(sb->data);
	strbuf_init(sb, sb->max);
}

void strbuf_reset(struct strbuf *sb)
{
	sb->len = 0;
	sb->err = 0;
	if (sb->data)
		sb->data[0] = '\0';
}

const char *strbuf_cstr(const struct strbuf *sb)
{
	return sb->data ? sb->data : "";
}

char *strbuf_reserve(struct strbuf *sb, size_t extra)
{
	size_t need;
	size_t cap;
	char *data;

	if (sb->err)
		return NULL;
	if (extra > sb->max - sb->len) {
		sb->err = PARLANCE_ETOOBIG;
		return NULL;
	}
	need = sb->len + extra + 1;
	if (need <= sb->cap)
		return sb->data + sb->len;
	cap = sb->cap ? sb->cap : STRBUF_FIRST;
	while (cap < need)
		cap *= 2;
	if (cap > sb->max + 1)
		cap = sb->max + 1;
	data = realloc(sb->data, cap);
	if (!data) {
		sb->err = PARLANCE_ENOMEM;
		return NULL;
	}
	sb->data = data;
	sb->cap = cap;
	data[sb->len] = '\0';
	return data + sb->len;
}

void strbuf_commit(struct strbuf *sb, size_t n)
{
	CHECK(n < sb->cap - sb->len);
	sb->len += n;
	sb->data[sb->len] = '\0';
}

void strbuf_append(struct strbuf *sb, const void *p, size_t len)
{
	char *to;

	if (len == 0)
		return;
	to = strbuf_reserve(sb, len);
	if (!to)
		return;
	memcpy(to, p, len);
	strbuf_commit(sb, len);
}

void strbuf_append_str(struct strbuf *sb, const char *str)
{
	strbuf_append(sb, str, strlen(str));
}

void strbuf_append_slice(struct strbuf *sb, struct slice s)
{
	strbuf_append(sb, s.p, s.len);
}

void strbuf_append_char(struct strbuf *sb, char c)
{
	strbuf_append(sb, &c, 1);
}

void strbuf_append_u64(struct strbuf *sb, uint64_t n)
{
	char digits[20]; /* 2^64 has 20 */
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	strbuf_append(sb, digits + at, sizeof(digits) - at);
}

void strbuf_printf(struct strbuf *sb, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	strbuf_vprintf(sb, fmt, ap);
	va_end(ap);
}

void strbuf_vprintf(struct strbuf *sb, const char *fmt, va_list ap)
{
	va_list again;
	char *to;
	int n;

	if (sb->err)
		return;
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0) { /* over INT_MAX */
		sb->err = PARLANCE_ETOOBIG;
		return;
	}
	to = strbuf_reserve(sb, (size_t)n);
	if (!to)
		return;
	vsnprintf(to, (size_t)n + 1, fmt, ap);
	strbuf_commit(sb, (size_t)n);
}

static void append_json_escape(struct strbuf *sb, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: byte, letter */
	char esc[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };
	size_t i;

	for (i = 0; i + 1 < sizeof(shorts); i += 2) {
		if (c == (unsigned char)shorts[i]) {
			esc[1] = shorts[i + 1];
			strbuf_append(sb, esc, 2);
			return;
		}
	}
	strbuf_append(sb, esc, sizeof(esc));
}

void strbuf_append_json_chars(struct strbuf *sb, const char *p, size_t len)
{
	size_t from = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)p[i];

		if (LIKELY(c >= 0x20 && c != '"' && c != '\\'))
			continue;
		strbuf_append(sb, p + from, i - from);
		append_json_escape(sb, c);
		from = i + 1;
	}
	if (len > from)
		strbuf_append(sb, p + from, len - from);
}

void strbuf_append_json(struct strbuf *sb, const char *p, size_t len)
{
	strbuf_append_char(sb, '"');
	strbuf_append_json_chars(sb, p, len);
	strbuf_append_char(sb, '"');
}

char *strbuf_steal(struct strbuf *sb, size_t *len)
{
	char *data;

	/* Makes the terminator of an empty builder. */
	if (!strbuf_reserve(sb, 0))
		return NULL;
	data = sb->data;
	if (len)
		*len = sb->len;
	strbuf_init(sb, sb->max);
	return data;
}
