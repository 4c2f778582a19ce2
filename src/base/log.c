/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The log's one way out. A line is put together on the stack and leaves in one write(2), so lines
 * of several threads do not mix. Nothing here allocates or locks; level, format and descriptor are
 * set at start or on reload by the loop thread.
 *
 * What a line contains may come from a stranger. Controls (C0, DEL, C1) and bytes that are not
 * UTF-8 are escaped in every format, values that could be taken for more than one are quoted, so
 * nobody can forge a line, a field or a terminal command.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

#include "base/clock.h"
#include "base/utf8.h"

#define LOG_LINE_MAX 4096
#define LOG_TEXT_MAX 1024
#define LOG_VALUE_MAX 256
#define LOG_TAIL_MAX 16 /* kept free for what ends a line */

static atomic_int log_level = LOG_LEVEL_INFO;
static atomic_uint log_lost; /* lines that could not be written; the next that can says so */
static atomic_uint_least64_t log_lost_total;
static atomic_uint log_per_second; /* 0: no limit */
static atomic_uint_least64_t log_second;
static atomic_uint log_used;     /* in this second */
static atomic_uint log_left_out; /* since the last line about it */
static atomic_int log_format = LOG_FORMAT_KV;
static atomic_int log_fd = STDERR_FILENO;

/* A line in the making. Once something did not fit, nothing more goes in but its end. */
struct line {
	size_t len;
	bool full;
	bool json;
	char buf[LOG_LINE_MAX];
};

static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	uintmax_t dev;
	uintmax_t ino;

	if (!stream || sscanf(stream, "%" SCNuMAX ":%" SCNuMAX, &dev, &ino) != 2)
		return false;
	return fstat(fd, &st) == 0 && dev == st.st_dev && ino == st.st_ino;
}

void log_setup(enum log_level level, enum log_format format, int fd)
{
	if (format == LOG_FORMAT_AUTO)
		format = is_journal(fd) ? LOG_FORMAT_JOURNAL : LOG_FORMAT_KV;
	atomic_store(&log_level, (int)level);
	atomic_store(&log_format, (int)format);
	atomic_store(&log_fd, fd);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

static void put(struct line *l, const char *p, size_t len)
{
	if (l->full || len > sizeof(l->buf) - LOG_TAIL_MAX - l->len) {
		l->full = true;
		return;
	}
	memcpy(l->buf + l->len, p, len);
	l->len += len;
}

static void put_str(struct line *l, const char *str)
{
	put(l, str, strlen(str));
}

static void PRINTF_LIKE(2, 3) put_printf(struct line *l, const char *fmt, ...)
{
	char buf[64];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	CHECK(n >= 0 && (size_t)n < sizeof(buf));
	put(l, buf, (size_t)n);
}

/* The end of a line has room of its own. */
static void put_end(struct line *l, const char *str)
{
	size_t len = strlen(str);

	CHECK(len <= sizeof(l->buf) - l->len);
	memcpy(l->buf + l->len, str, len);
	l->len += len;
}

/* The bytes of the character at p, 0 when it is no well-formed UTF-8. */
static size_t char_len(const char *p, size_t len)
{
	size_t n;

	for (n = 1; n <= 4 && n <= len; n++) {
		if (utf8_valid(p, n))
			return n;
	}
	return 0;
}

/* True when the text begins with a C0 or C1 control or DEL. */
static bool is_control(const char *p, size_t len)
{
	unsigned char c = (unsigned char)p[0];

	return c < 0x20 || c == 0x7f || (c == 0xc2 && len > 1 && (unsigned char)p[1] < 0xa0);
}

/* Quotes are escaped where the text stands between quotes. A backslash of the text is doubled
 * everywhere, and so is the one of our own \x in JSON, which has no such escape. */
static void put_escaped(struct line *l, struct slice s, bool in_quotes)
{
	while (s.len) {
		size_t n = char_len(s.p, s.len);

		if (n == 0) {
			put_printf(l, l->json ? "\\\\x%02x" : "\\x%02x", (unsigned char)s.p[0]);
			n = 1;
		} else if (is_control(s.p, n)) {
			unsigned char c = (unsigned char)s.p[n - 1];

			if (c == '\n')
				put_str(l, "\\n");
			else
				put_printf(l, l->json ? "\\u%04x" : "\\x%02x", c);
		} else if (*s.p == '\\' || (*s.p == '"' && in_quotes)) {
			const char esc[2] = { '\\', *s.p };

			put(l, esc, 2);
		} else {
			put(l, s.p, n);
		}
		s.p += n;
		s.len -= n;
	}
}

/* True for a value that stands without quotes in key=value lines. */
static bool is_plain(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= ' ' || c == '"' || c == '=' || c == '\\' || is_control(s.p + i, s.len - i))
			return false;
	}
	return s.len > 0 && utf8_valid(s.p, s.len);
}

static void put_quoted(struct line *l, struct slice s, bool cut)
{
	put(l, "\"", 1);
	put_escaped(l, s, true);
	if (cut)
		put_str(l, "…");
	put(l, "\"", 1);
}

static void put_value(struct line *l, const struct log_field *f)
{
	struct slice s = f->str;
	bool cut = s.len > LOG_VALUE_MAX;

	if (f->type == LOG_FIELD_INT) {
		put_printf(l, "%" PRId64, f->i);
		return;
	}
	if (f->type == LOG_FIELD_UINT) {
		put_printf(l, "%" PRIu64, f->u);
		return;
	}
	if (cut)
		s.len = utf8_whole_len(s.p, LOG_VALUE_MAX);
	if (l->json || cut || !is_plain(s))
		put_quoted(l, s, cut);
	else
		put(l, s.p, s.len);
}

/* A field is in the line whole or not at all. */
static void put_field(struct line *l, const struct log_field *f)
{
	size_t before = l->len;

	put_str(l, l->json ? ",\"" : " ");
	put_str(l, f->key);
	put_str(l, l->json ? "\":" : "=");
	put_value(l, f);
	if (l->full)
		l->len = before;
}

static void put_time(struct line *l)
{
	char now[CLOCK_ISO8601_LEN + 1];

	clock_iso8601(clock_wall_ms(), now);
	put_str(l, now);
}

static const char *level_name(enum log_level level)
{
	switch (level) {
#define X(name, value, text) \
	case name:           \
		return text;
		LOG_LEVEL_LIST(X)
#undef X
	}
	return "?";
}

static void put_head(struct line *l, enum log_format format, enum log_level level,
		     const char *subject)
{
	if (format == LOG_FORMAT_JSON) {
		put_str(l, "{\"time\":\"");
		put_time(l);
		put_str(l, "\",\"level\":\"");
		put_str(l, level_name(level));
		put_str(l, "\",\"subject\":");
		put_quoted(l, slice_str(subject), false);
		put_str(l, ",\"msg\":\"");
		return;
	}
	if (format == LOG_FORMAT_JOURNAL) {
		put_printf(l, "<%d>", (int)level);
	} else {
		put_time(l);
		put(l, " ", 1);
		put_str(l, level_name(level));
		put(l, " ", 1);
	}
	put_escaped(l, slice_str(subject), false);
	put(l, ": ", 2);
}

void log_set_rate(uint32_t lines_per_second)
{
	atomic_store(&log_per_second, lines_per_second);
}

uint64_t log_lost_lines(void)
{
	return atomic_load(&log_lost_total);
}

/* Whether there is still room in this second. Threads that meet at its turn may count a line too
 * few. */
static bool has_room(void)
{
	unsigned int per_second = atomic_load(&log_per_second);
	uint64_t now = clock_mono_ms() / 1000;

	if (!per_second)
		return true;
	if (atomic_exchange(&log_second, now) != now)
		atomic_store(&log_used, 0);
	if (atomic_fetch_add(&log_used, 1) < per_second)
		return true;
	atomic_fetch_add(&log_left_out, 1);
	atomic_fetch_add(&log_lost_total, 1);
	return false;
}

/* Says once how many lines are missing. */
static void say_missing(atomic_uint *lines, enum log_level level, const char *why)
{
	unsigned int n = atomic_load(lines) ? atomic_exchange(lines, 0) : 0;

	if (n)
		log_line(level, "log", LOG_FIELDS(LOG_UINT("lines", n)), "%s", why);
}

/* A log that cannot be written has nowhere to say so, until it can be again. */
static void write_line(const struct line *l)
{
	ssize_t n;

	do
		n = write(atomic_load(&log_fd), l->buf, l->len);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)l->len) {
		atomic_fetch_add(&log_lost, 1);
		atomic_fetch_add(&log_lost_total, 1);
		return;
	}
	say_missing(&log_lost, LOG_LEVEL_ERR,
		    "lines were lost (they could not be written: is the disk full?)");
}

void log_line(enum log_level level, const char *subject, const struct log_field *fields,
	      const char *fmt, ...)
{
	int saved_errno = errno;
	enum log_format format = (enum log_format)atomic_load(&log_format);
	struct line l;
	char text[LOG_TEXT_MAX];
	struct slice msg;
	va_list ap;
	int n;

	if (!log_enabled(level) || (level > LOG_LEVEL_ERR && !has_room()))
		return;
	say_missing(&log_left_out, LOG_LEVEL_WARN,
		    "lines were left out (more than log.lines_per_second)");
	l.len = 0;
	l.full = false;
	l.json = format == LOG_FORMAT_JSON;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	msg = slice_of(text, n > 0 ? (size_t)n : 0);
	if (msg.len >= sizeof(text))
		msg.len = utf8_whole_len(text, sizeof(text) - 1);
	put_head(&l, format, level, subject);
	put_escaped(&l, msg, l.json);
	if (n >= (int)sizeof(text))
		put_str(&l, "…");
	if (l.json)
		put_end(&l, "\"");
	for (; fields && fields->key && !l.full; fields++)
		put_field(&l, fields);
	if (l.full)
		put_end(&l, l.json ? ",\"cut\":1" : " cut=1");
	put_end(&l, l.json ? "}\n" : "\n");
	write_line(&l);
	errno = saved_errno;
}

bool log_rate_allow(struct log_rate *rate, uint32_t *suppressed)
{
	uint64_t now_ms = clock_mono_ms();

	if (now_ms - rate->window_start_ms >= rate->interval_ms) {
		rate->window_start_ms = now_ms;
		rate->used = 0;
	}
	if (rate->used >= rate->burst) {
		if (rate->suppressed < UINT32_MAX)
			rate->suppressed++;
		return false;
	}
	rate->used++;
	*suppressed = rate->suppressed;
	rate->suppressed = 0;
	return true;
}

enum log_level log_level_parse(const char *name)
{
#define X(value_name, value, text)   \
	if (strcmp(name, text) == 0) \
		return value_name;
	LOG_LEVEL_LIST(X)
#undef X
	return (enum log_level)0;
}

enum log_format log_format_parse(const char *name)
{
#define X(value_name, value, text)   \
	if (strcmp(name, text) == 0) \
		return value_name;
	LOG_FORMAT_LIST(X)
#undef X
	return (enum log_format)0;
}
