/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Files to be served: from the folder to memory, and the look-up. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "net/files.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/map.h"

/* Folders within folders; an open descriptor each while they are read. */
#define DEPTH_MAX 32

struct files {
	struct map *by_path;
	uint64_t bytes;
};

struct reader {
	struct files *files;
	const char *root;
	char *real_root; /* as realpath() gives it, without a slash at its end; "" for "/" */
	uint64_t max_bytes;
	uint32_t max_files;
	struct strbuf path; /* of what is being read, from the root: "/js/app.js" */
	struct strbuf *err;
};

static struct slice path_of(const void *item)
{
	return ((const struct file *)item)->path;
}

static const char *type_of(struct slice path)
{
	static const struct {
		const char *extension;
		const char *type;
	} types[] = {
		{ ".html", "text/html; charset=utf-8" },
		{ ".htm", "text/html; charset=utf-8" },
		{ ".js", "text/javascript; charset=utf-8" },
		{ ".mjs", "text/javascript; charset=utf-8" },
		{ ".css", "text/css; charset=utf-8" },
		{ ".json", "application/json" },
		{ ".map", "application/json" },
		{ ".webmanifest", "application/manifest+json" },
		{ ".txt", "text/plain; charset=utf-8" },
		{ ".md", "text/markdown; charset=utf-8" },
		{ ".xml", "application/xml" },
		{ ".svg", "image/svg+xml" },
		{ ".png", "image/png" },
		{ ".jpg", "image/jpeg" },
		{ ".jpeg", "image/jpeg" },
		{ ".gif", "image/gif" },
		{ ".webp", "image/webp" },
		{ ".avif", "image/avif" },
		{ ".ico", "image/vnd.microsoft.icon" },
		{ ".woff", "font/woff" },
		{ ".woff2", "font/woff2" },
		{ ".ttf", "font/ttf" },
		{ ".wasm", "application/wasm" },
		{ ".pdf", "application/pdf" },
	};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		size_t len = strlen(types[i].extension);

		if (path.len > len &&
		    strncasecmp(path.p + path.len - len, types[i].extension, len) == 0)
			return types[i].type;
	}
	return "application/octet-stream";
}

/* Fixed keys: processes that serve the same folder must agree. */
static void make_etag(struct file *f)
{
	static const uint8_t keys[2][16] = { { 1 }, { 2 } };
	uint64_t high = hash_siphash13(keys[0], f->body.p, f->body.len);
	uint64_t low = hash_siphash13(keys[1], f->body.p, f->body.len);

	(void)snprintf(f->etag, sizeof(f->etag), "\"%016llx%016llx\"", (unsigned long long)high,
		       (unsigned long long)low);
}

/* Not strftime: its names follow the locale. Later than the clock makes no sense to a cache (RFC
 * 9110 section 8.8.2.1). */
static void make_modified(struct file *f, time_t when)
{
	static const char days[][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					  "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	time_t now = time(NULL);
	struct tm tm;

	if (when > now)
		when = now;
	if (when < 0 || !gmtime_r(&when, &tm))
		memset(&tm, 0, sizeof(tm)); /* cannot be: it is between 1970 and now */
	(void)snprintf(f->modified, sizeof(f->modified), "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT",
		       days[tm.tm_wday % 7], (unsigned int)tm.tm_mday % 100, months[tm.tm_mon % 12],
		       (unsigned int)(tm.tm_year + 1900) % 10000, (unsigned int)tm.tm_hour % 100,
		       (unsigned int)tm.tm_min % 100, (unsigned int)tm.tm_sec % 100);
}

static int fail(struct reader *r, const char *what)
{
	strbuf_printf(r->err, "[web] root %s: cannot %s %s: %s", r->root, what,
		      r->path.len ? strbuf_cstr(&r->path) : "it", strerror(errno));
	return PARLANCE_ESYS;
}

static int no_memory(struct reader *r)
{
	strbuf_append_str(r->err, "out of memory");
	return PARLANCE_ENOMEM;
}

/* Up to len bytes; fewer when the file has become shorter meanwhile. -1: failed. */
static ssize_t read_bytes(int fd, char *to, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, to + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int add_file(struct reader *r, int fd, const struct stat *st)
{
	size_t path_len = r->path.len;
	struct file *f;
	char *text;
	ssize_t n;

	if (map_count(r->files->by_path) >= r->max_files) {
		strbuf_printf(r->err,
			      "[web] root %s: it has more than %u files (raise [web] max_files)",
			      r->root, (unsigned int)r->max_files);
		return PARLANCE_ELIMIT;
	}
	if (st->st_size < 0 || (uint64_t)st->st_size > r->max_bytes - r->files->bytes) {
		strbuf_printf(r->err,
			      "[web] root %s: its files have more than %llu bytes together (raise "
			      "[web] max_bytes)",
			      r->root, (unsigned long long)r->max_bytes);
		return PARLANCE_ELIMIT;
	}
	/* One piece: the struct, the path, the body. */
	f = calloc(1, sizeof(*f) + path_len + (size_t)st->st_size);
	if (!f)
		return no_memory(r);
	text = (char *)(f + 1);
	memcpy(text, r->path.data, path_len);
	f->path = slice_of(text, path_len);
	n = read_bytes(fd, text + path_len, (size_t)st->st_size);
	if (n < 0) {
		int rc = fail(r, "read");

		free(f);
		return rc;
	}
	f->body = slice_of(text + path_len, (size_t)n);
	f->type = type_of(f->path);
	make_etag(f);
	make_modified(f, st->st_mtime);
	if (map_put(r->files->by_path, f)) {
		free(f);
		return no_memory(r);
	}
	r->files->bytes += f->body.len;
	return 0;
}

static void skip(const struct reader *r, const char *why)
{
	log_notice("web", LOG_FIELDS(LOG_STR("path", strbuf_cstr(&r->path))), "not served (%s)",
		   why);
}

/* Where a link leads, when that is a file in the folder; NULL: it was skipped. */
static char *resolve_link(struct reader *r)
{
	size_t root_len = strlen(r->real_root);
	struct strbuf full;
	struct stat st;
	char *target = NULL;

	strbuf_init(&full, SIZE_MAX / 2);
	strbuf_append_str(&full, r->real_root);
	strbuf_append(&full, r->path.data, r->path.len);
	if (strbuf_ok(&full))
		target = realpath(full.data, NULL);
	strbuf_fini(&full);
	if (!target)
		skip(r, "a link that leads nowhere");
	else if (strncmp(target, r->real_root, root_len) != 0 || target[root_len] != '/')
		skip(r, "a link out of the folder");
	else if (stat(target, &st) < 0 || !S_ISREG(st.st_mode))
		skip(r, "a link to something that is no file");
	else
		return target;
	free(target);
	return NULL;
}

static int read_folder(struct reader *r, int fd, unsigned int depth);

/* r->path is the entry's. */
static int read_entry(struct reader *r, int folder, const char *name, unsigned int depth)
{
	/* A pipe would block without O_NONBLOCK; what it is, is asked of what was opened. */
	const int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	struct stat st;
	char *target = NULL;
	int fd;
	int rc = 0;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(r, "read");
	if (S_ISLNK(st.st_mode)) {
		target = resolve_link(r);
		if (!target)
			return 0;
		fd = open(target, flags);
		free(target);
	} else if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		fd = openat(folder, name, flags);
	} else {
		skip(r, "no regular file");
		return 0;
	}
	if (fd < 0)
		return fail(r, "open");
	if (fstat(fd, &st) < 0)
		rc = fail(r, "read");
	else if (S_ISREG(st.st_mode))
		rc = add_file(r, fd, &st);
	else if (S_ISDIR(st.st_mode))
		return read_folder(r, fd, depth + 1);
	close(fd);
	return rc;
}

/* Takes the descriptor over. */
static int read_folder(struct reader *r, int fd, unsigned int depth)
{
	size_t path_len = r->path.len;
	struct dirent *entry;
	DIR *dir = NULL;
	int rc = 0;

	if (depth > DEPTH_MAX) {
		strbuf_printf(r->err, "[web] root %s: folders lie more than %d deep: %s",
			      r->root, DEPTH_MAX, strbuf_cstr(&r->path));
		rc = PARLANCE_ELIMIT;
		goto out;
	}
	dir = fdopendir(fd);
	if (!dir) {
		rc = fail(r, "read");
		goto out;
	}
	while (!rc) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			if (errno)
				rc = fail(r, "read");
			break;
		}
		if (entry->d_name[0] == '.')
			continue;
		strbuf_append_char(&r->path, '/');
		strbuf_append_str(&r->path, entry->d_name);
		rc = strbuf_ok(&r->path) ? read_entry(r, dirfd(dir), entry->d_name, depth)
					 : no_memory(r);
		if (strbuf_ok(&r->path)) {
			r->path.len = path_len;
			r->path.data[path_len] = '\0';
		}
	}
out:
	if (dir)
		closedir(dir);
	else
		close(fd);
	return rc;
}

int files_load(struct files **out, const char *root, uint64_t max_bytes, uint32_t max_files,
	       struct strbuf *err)
{
	struct reader r = { .root = root, .max_bytes = max_bytes, .max_files = max_files,
			    .err = err };
	int fd;
	int rc;

	strbuf_init(&r.path, SIZE_MAX / 2);
	r.files = calloc(1, sizeof(*r.files));
	if (r.files)
		r.files->by_path = map_new(path_of);
	if (!r.files || !r.files->by_path) {
		rc = no_memory(&r);
		goto out;
	}
	fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r.real_root = fd < 0 ? NULL : realpath(root, NULL);
	if (!r.real_root) {
		rc = fail(&r, "open");
		if (fd >= 0)
			close(fd);
		goto out;
	}
	if (strcmp(r.real_root, "/") == 0)
		r.real_root[0] = '\0';
	rc = read_folder(&r, fd, 0);
out:
	free(r.real_root);
	strbuf_fini(&r.path);
	if (rc)
		files_free(&r.files);
	*out = r.files;
	return rc;
}

void files_free(struct files **filesp)
{
	struct files *files = *filesp;
	struct file *f;
	size_t pos = 0;

	*filesp = NULL;
	if (!files)
		return;
	while (files->by_path && (f = map_next(files->by_path, &pos)))
		free(f);
	map_free(&files->by_path);
	free(files);
}

const struct file *files_find(const struct files *files, struct slice path)
{
	static const char index[] = "index.html";
	const struct file *f;
	char *whole;

	if (!path.len || path.p[path.len - 1] != '/')
		return map_get(files->by_path, path.p, path.len);
	whole = malloc(path.len + sizeof(index));
	if (!whole)
		return NULL;
	memcpy(whole, path.p, path.len);
	memcpy(whole + path.len, index, sizeof(index));
	f = map_get(files->by_path, whole, path.len + sizeof(index) - 1);
	free(whole);
	return f;
}

size_t files_count(const struct files *files)
{
	return map_count(files->by_path);
}

uint64_t files_bytes(const struct files *files)
{
	return files->bytes;
}
