/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Documents from a URL or a file. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fetch.h"

#define CONNECT_MS 5000
#define TOTAL_MS 10000

/* What tells one content of a file from another without reading it. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

/* A file's reading, by whichever thread. */
struct file_read {
	struct stamp stamp;
	bool has_stamp;
	bool unchanged;
	int error; /* errno, or */
	const char *problem;
};

struct fetch {
	const struct parlance_host *host;
	char *where;
	fetch_done_fn *done;
	void *arg;
	size_t max;
	char *body; /* room for max bytes, while it is needed */
	size_t len;
	struct parlance_http *http;
	struct parlance_work *work;
	bool stopped;
	int status;
	int64_t max_age_s;
	struct file_read file;
};

bool fetch_is_url(const char *where)
{
	return where[0] != '/';
}

struct fetch *fetch_new(const struct parlance_host *host, const char *where, size_t max_bytes,
			fetch_done_fn *done, void *arg)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	*f = (struct fetch){ .host = host, .where = strdup(where), .done = done, .arg = arg,
			     .max = max_bytes };
	if (!f->where) {
		free(f);
		return NULL;
	}
	return f;
}

bool fetch_busy(const struct fetch *f)
{
	return f->http || f->work;
}

void fetch_stop(struct fetch *f)
{
	f->stopped = true;
	if (f->http)
		f->host->http_cancel(f->http);
	if (f->work)
		f->host->offload_cancel(f->work);
}

void fetch_free(struct fetch **fp)
{
	struct fetch *f = *fp;

	if (!f)
		return;
	*fp = NULL;
	if (f->http)
		f->host->http_cancel(f->http);
	free(f->body);
	free(f->where);
	free(f);
}

static void end(struct fetch *f, const char *problem)
{
	const struct fetch_result result = {
		.problem = problem,
		.unchanged = !problem && f->file.unchanged,
		.body = { f->body, f->len },
		.max_age_s = f->max_age_s,
	};
	char *body = f->body;

	f->body = NULL;
	if (!f->stopped)
		f->done(f->arg, &result);
	free(body);
}

/* URL */

static bool is(struct parlance_str s, const char *name)
{
	return s.len == strlen(name) && strncasecmp(s.p, name, s.len) == 0;
}

/* Digits, bounded; -1: it begins with none. */
static int64_t number(const char *p, const char *end)
{
	int64_t n = -1;

	for (; p < end && *p >= '0' && *p <= '9'; p++)
		n = n < 0 ? *p - '0' : n < INT32_MAX ? n * 10 + (*p - '0') : n;
	return n;
}

/* RFC 9111 section 5.2: a list of directives; max-age may stand in quotes. */
static void read_cache_control(struct fetch *f, struct parlance_str value)
{
	const char *end = value.p + value.len;
	const char *p = value.p;

	while (p < end) {
		const char *stop = memchr(p, ',', (size_t)(end - p));
		size_t len;

		stop = stop ? stop : end;
		while (p < stop && (*p == ' ' || *p == '\t'))
			p++;
		len = (size_t)(stop - p);
		if (len > 8 && strncasecmp(p, "max-age=", 8) == 0 && f->max_age_s != 0) {
			int64_t n = number(p + 8 + (p[8] == '"'), stop);

			f->max_age_s = n >= 0 ? n : f->max_age_s;
		} else if (len >= 8 && (strncasecmp(p, "no-store", 8) == 0 ||
					strncasecmp(p, "no-cache", 8) == 0)) {
			f->max_age_s = 0;
		}
		p = stop + (stop < end);
	}
}

static void on_head(void *arg, int status, const struct parlance_http_header *headers, size_t n)
{
	struct fetch *f = arg;
	int64_t age = 0;

	f->status = status;
	for (size_t i = 0; i < n; i++) {
		const struct parlance_str value = headers[i].value;

		if (is(headers[i].name, "cache-control"))
			read_cache_control(f, value);
		else if (is(headers[i].name, "age"))
			age = number(value.p, value.p + value.len);
	}
	if (f->max_age_s > 0 && age > 0)
		f->max_age_s = age < f->max_age_s ? f->max_age_s - age : 0;
}

static void on_data(void *arg, struct parlance_str piece)
{
	struct fetch *f = arg;

	/* The client delivers no more than it was told. */
	if (piece.len > f->max - f->len)
		return;
	memcpy(f->body + f->len, piece.p, piece.len);
	f->len += piece.len;
}

static void on_done(void *arg, enum parlance_http_result result, const char *detail)
{
	struct fetch *f = arg;
	char text[160];

	f->http = NULL;
	if (result != PARLANCE_HTTP_OK) {
		(void)snprintf(text, sizeof(text), "%s", detail);
		end(f, text);
	} else if (f->status != 200) {
		(void)snprintf(text, sizeof(text), "the answer has the status %d%s", f->status,
			       f->status >= 300 && f->status < 400
				       ? "; redirects are not followed, write where it leads"
				       : "");
		end(f, text);
	} else {
		end(f, NULL);
	}
}

static int begin_http(struct fetch *f)
{
	static const struct parlance_http_header accept = {
		{ "Accept", 6 }, { "application/jwk-set+json, application/json", 42 }
	};
	static const struct parlance_http_sink sink = { sizeof(sink), on_head, on_data, on_done };
	const struct parlance_http_request request = {
		.size = sizeof(request),
		.method = "GET",
		.url = f->where,
		.headers = &accept,
		.n_headers = 1,
		.connect_timeout_ms = CONNECT_MS,
		.total_timeout_ms = TOTAL_MS,
		.max_response_bytes = f->max,
	};

	f->status = 0;
	f->http = f->host->http_start(f->host->ctx, &request, &sink, f);
	return f->http ? 0 : -1;
}

/* File */

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       same_time(a->mtime, b->mtime) && same_time(a->ctime, b->ctime);
}

static void read_all(struct fetch *f, int fd)
{
	ssize_t n = 1;

	while (n > 0 && f->len < f->max) {
		n = read(fd, f->body + f->len, f->max - f->len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			f->len += (size_t)n;
	}
	if (n < 0)
		f->file.error = errno;
}

/* Of f nothing else is touched meanwhile. */
static void read_file(void *arg)
{
	struct fetch *f = arg;
	struct file_read *r = &f->file;
	/* A pipe that somebody put there would hold the thread. */
	int fd = open(f->where, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stamp now;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		r->error = errno;
		goto out;
	}
	now = (struct stamp){ st.st_dev, st.st_ino, st.st_size, st.st_mtim, st.st_ctim };
	if (!S_ISREG(st.st_mode)) {
		r->problem = "it is not a file";
	} else if ((uint64_t)st.st_size >= f->max) {
		r->problem = "it is too large";
	} else if (r->has_stamp && is_same(&r->stamp, &now)) {
		r->unchanged = true;
	} else {
		read_all(f, fd);
		r->stamp = now;
		r->has_stamp = !r->error;
	}
out:
	if (fd >= 0)
		(void)close(fd);
}

static void end_file(struct fetch *f)
{
	char text[128];

	if (f->file.error) {
		(void)snprintf(text, sizeof(text), "%s", strerror(f->file.error));
		end(f, text);
	} else {
		end(f, f->file.problem);
	}
}

static void on_read(void *arg, bool cancelled)
{
	struct fetch *f = arg;

	f->work = NULL;
	if (cancelled)
		end(f, "cancelled");
	else
		end_file(f);
}

/* Both */

static bool prepare(struct fetch *f)
{
	f->len = 0;
	f->max_age_s = -1;
	f->file.unchanged = false;
	f->file.error = 0;
	f->file.problem = NULL;
	f->body = malloc(f->max);
	return f->body != NULL;
}

int fetch_begin(struct fetch *f)
{
	int rc = -1;

	if (fetch_busy(f) || !prepare(f))
		return -1;
	if (fetch_is_url(f->where)) {
		rc = begin_http(f);
	} else {
		f->work = f->host->offload(f->host->ctx, read_file, on_read, f);
		rc = f->work ? 0 : -1;
	}
	if (rc) {
		free(f->body);
		f->body = NULL;
	}
	return rc;
}

void fetch_now(struct fetch *f)
{
	if (!prepare(f)) {
		end(f, "out of memory");
		return;
	}
	read_file(f);
	end_file(f);
}
