/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The log: one line an event on standard error. Never a token, never the text of a message. Any
 * thread (a line is one write(2)). Formats:
 *
 *   journal  <4>subject: what happened (why) key=value …   (the prefix is sd-daemon(3)'s priority)
 *   kv       2026-01-31T23:59:59.123Z warning subject: what happened (why) key=value …
 *   json     {"time":…,"level":…,"subject":…,"msg":…,"key":value …}
 *
 * Whatever a stranger can trigger goes through a log_rate, so that nobody fills the disk, and all of
 * it through log_set_rate.
 */
#ifndef PARLANCE_BASE_LOG_H
#define PARLANCE_BASE_LOG_H

#include "base/check.h"
#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Values are those of syslog(3), which journald's prefixes use. */
#define LOG_LEVEL_LIST(X)                \
	X(LOG_LEVEL_ERR, 3, "err")       \
	X(LOG_LEVEL_WARN, 4, "warning")  \
	X(LOG_LEVEL_NOTICE, 5, "notice") \
	X(LOG_LEVEL_INFO, 6, "info")     \
	X(LOG_LEVEL_DEBUG, 7, "debug")

enum log_level {
#define X(name, value, text) name = value,
	LOG_LEVEL_LIST(X)
#undef X
};

#define LOG_FORMAT_LIST(X)                  \
	X(LOG_FORMAT_AUTO, 1, "auto")       \
	X(LOG_FORMAT_JOURNAL, 2, "journal") \
	X(LOG_FORMAT_KV, 3, "kv")           \
	X(LOG_FORMAT_JSON, 4, "json")

/* AUTO is JOURNAL when JOURNAL_STREAM names standard error's device and inode (systemd.exec(5)),
 * else KV. */
enum log_format {
#define X(name, value, text) name = value,
	LOG_FORMAT_LIST(X)
#undef X
};

enum log_field_type {
	LOG_FIELD_STR = 1,
	LOG_FIELD_INT,
	LOG_FIELD_UINT,
};

/* One key=value of a line; an array of them ends with a NULL key. */
struct log_field {
	const char *key;
	enum log_field_type type;
	struct slice str;
	int64_t i;
	uint64_t u;
};

#define LOG_STR(k, s) { (k), LOG_FIELD_STR, slice_str(s), 0, 0 }
#define LOG_SLICE(k, s) { (k), LOG_FIELD_STR, (s), 0, 0 }
#define LOG_INT(k, n) { (k), LOG_FIELD_INT, { NULL, 0 }, (n), 0 }
#define LOG_UINT(k, n) { (k), LOG_FIELD_UINT, { NULL, 0 }, 0, (n) }
#define LOG_FIELDS(...) \
	((const struct log_field[]){ __VA_ARGS__, { NULL, LOG_FIELD_STR, { NULL, 0 }, 0, 0 } })

/** Sets level and format of the process's log; fd is where lines go (2 for standard error). */
void log_setup(enum log_level level, enum log_format format, int fd);

/** At most so many lines in each second, errors aside; what is left out is counted, and the next
 * line that is written says how many. 0 (as it begins): no limit. */
void log_set_rate(uint32_t lines_per_second);

/** Lines that were left out by log_set_rate, or could not be written, so far. */
uint64_t log_lost_lines(void);

bool log_enabled(enum log_level level);

/** Writes a line: subject, text (printf), fields (NULL: none). Text is cut at 1023 bytes and values
 * at 256, with "…"; a line is at most 4096 bytes: fields that do not fit are left out and "cut=1"
 * takes their place. Controls and bytes that are not UTF-8 are escaped, and values of key=value
 * lines stand in quotes when they are empty or contain blanks, quotes, '=' or escapes. errno is
 * kept. */
void log_line(enum log_level level, const char *subject, const struct log_field *fields,
	      const char *fmt, ...) PRINTF_LIKE(4, 5);

#define log_err(subject, fields, ...) log_line(LOG_LEVEL_ERR, subject, fields, __VA_ARGS__)
#define log_warn(subject, fields, ...) log_line(LOG_LEVEL_WARN, subject, fields, __VA_ARGS__)
#define log_notice(subject, fields, ...) log_line(LOG_LEVEL_NOTICE, subject, fields, __VA_ARGS__)
#define log_info(subject, fields, ...) log_line(LOG_LEVEL_INFO, subject, fields, __VA_ARGS__)
#define log_debug(subject, fields, ...)                                          \
	do {                                                                     \
		if (log_enabled(LOG_LEVEL_DEBUG))                                \
			log_line(LOG_LEVEL_DEBUG, subject, fields, __VA_ARGS__); \
	} while (0)

/* At most `burst` lines in each `interval_ms`; a static object at the place of the call. Loop
 * thread. */
struct log_rate {
	uint32_t burst;
	uint32_t interval_ms;
	uint64_t window_start_ms;
	uint32_t used;
	uint32_t suppressed;
};

#define LOG_RATE(burst, interval_ms) { (burst), (interval_ms), 0, 0, 0 }

/** True when a line may be written now. *suppressed is how many were not since the last that was
 * (write it as a field). */
MUST_USE bool log_rate_allow(struct log_rate *rate, uint32_t *suppressed);

/** The level or format with this name (as in the lists above), or 0. */
enum log_level log_level_parse(const char *name);
enum log_format log_format_parse(const char *name);

#ifdef __cplusplus
}
#endif
#endif
