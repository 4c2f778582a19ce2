/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A folder of files to be served, all of it in memory: a request is a look-up by exact path, so
 * nothing outside can be reached and nothing waits for a disk. Read once; changes are seen at the
 * next start.
 *
 * What is in it: regular files, and symbolic links to files within the folder. Names that begin
 * with a dot, links that lead out of the folder or to other folders, and sockets, pipes and the
 * like are left out. The files are constant until files_free; loading blocks, so it is for the
 * start only. Any one thread.
 */
#ifndef PARLANCE_NET_FILES_H
#define PARLANCE_NET_FILES_H

#include <stdint.h>

#include "base/check.h"
#include "base/slice.h"
#include "base/strbuf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct files;

#define FILES_ETAG_SIZE 35     /* quotes, 32 digits, terminator */
#define FILES_MODIFIED_SIZE 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

struct file {
	struct slice path; /* from the root, decoded: "/js/app.js" */
	struct slice body;
	const char *type;  /* the media type, by the name's extension */
	char etag[FILES_ETAG_SIZE]; /* strong, of the content, the same in every process */
	char modified[FILES_MODIFIED_SIZE]; /* RFC 9110 section 5.6.7 */
};

/** Reads the folder. 0 or a PARLANCE_E* with a sentence in err, which says of a limit that it is
 * max_bytes or max_files of section [web]. */
MUST_USE int files_load(struct files **out, const char *root, uint64_t max_bytes,
			uint32_t max_files, struct strbuf *err);

/** Clears the pointer. Harmless on NULL. */
void files_free(struct files **files);

/** The file at a decoded path, "index.html" for one that ends in a slash; NULL: none. */
const struct file *files_find(const struct files *files, struct slice path);

size_t files_count(const struct files *files);
uint64_t files_bytes(const struct files *files);

/** Decodes the path of a request (RFC 3986 section 2.1) into buf, which has room for path.len
 * bytes. False: malformed, which includes an encoded NUL. */
MUST_USE bool files_decode(struct slice path, char *buf, struct slice *out);

/** Whether If-None-Match lists the tag or is "*" (RFC 9110 section 13.1.2). */
MUST_USE bool files_etag_matches(struct slice if_none_match, const char *etag);

#ifdef __cplusplus
}
#endif
#endif
