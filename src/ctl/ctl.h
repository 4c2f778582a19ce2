/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * parlancectl: what an administrator does from outside the daemon. One function a sub-command; each
 * reads its own options, writes what it did to standard output and what went wrong to standard
 * error, and returns the exit status. One thread, and it may block.
 */
#ifndef PARLANCE_CTL_CTL_H
#define PARLANCE_CTL_CTL_H

#include "base/check.h"
#include "base/strbuf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Exit statuses; parlancectl(1) documents them. */
enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_BUSY = 3,     /* another migration runs, or a lock is held too long */
	CTL_MISMATCH = 4, /* files and database do not fit each other */
	CTL_PENDING = 5,  /* migrate --status: not everything is applied */
};

enum ctl_exit ctl_migrate(int argc, char **argv);
enum ctl_exit ctl_revoke(int argc, char **argv);
enum ctl_exit ctl_token(int argc, char **argv);

/** Writes "parlancectl: …" and a newline to standard error. */
void ctl_error(const char *fmt, ...) PRINTF_LIKE(1, 2);

/** Reads a whole file, at most max bytes. False after an error message; text is initialised here
 * and the caller's to strbuf_fini in either case. */
MUST_USE bool ctl_read_file(const char *path, size_t max, struct strbuf *text);

/* ---- the configuration of the daemon, where a sub-command looks for defaults ---- */

struct ctl_config;

/** Reads what the daemon's configuration says for a plugin: the file, or, when path is NULL, the
 * default file if there is one that can be read. False after an error message. *out is NULL when
 * there is nothing to read. Frees with ctl_config_free. */
MUST_USE bool ctl_config_open(struct ctl_config **out, const char *path, const char *plugin);
void ctl_config_free(struct ctl_config **config);

/** A string option of the plugin (of its first instance); "" when it is not set, there is no such
 * option, or the plugin is not loaded. Valid until ctl_config_free. config may be NULL. */
const char *ctl_config_string(const struct ctl_config *config, const char *option);

/** The value of an option that names a secret: the bytes of "file:/path", a path or
 * "credential:NAME", without one newline at the end, as the daemon reads it for its plugins. False
 * after an error message; out is initialised here and the caller's in either case. */
MUST_USE bool ctl_read_secret(const char *source, struct strbuf *out);

/** The same, from a file by its path. */
MUST_USE bool ctl_read_secret_file(const char *path, struct strbuf *out);

/* ---- migrations (sql/NNN_name.sql) ---- */

#define MIGRATION_SHA256_LEN 64 /* lower-case hex */

struct migration {
	unsigned int version;
	char *name; /* NNN_name */
	char *text;
	size_t len;
	char sha256[MIGRATION_SHA256_LEN + 1];
};

struct migrations {
	struct migration *items; /* by version, 1 and on, without holes */
	size_t n;
};

/** Reads all migrations of a folder. False after an error message. Frees with migrations_free in
 * either case. */
MUST_USE bool migrations_read(struct migrations *m, const char *folder);
void migrations_free(struct migrations *m);

#ifdef __cplusplus
}
#endif
#endif
