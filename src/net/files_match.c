/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Files to be served: what a request says of the one it wants. */
#include "net/files.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool files_decode(struct slice path, char *buf, struct slice *out)
{
	size_t n = 0;

	for (size_t i = 0; i < path.len; i++) {
		char c = path.p[i];

		if (c == '%') {
			int high = i + 2 < path.len ? hex_value(path.p[i + 1]) : -1;
			int low = i + 2 < path.len ? hex_value(path.p[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (!c)
			return false;
		buf[n++] = c;
	}
	*out = slice_of(buf, n);
	return true;
}

bool files_etag_matches(struct slice list, const char *etag)
{
	size_t len = strlen(etag);
	size_t i = 0;

	if (slice_is(list, "*"))
		return true;
	while (i < list.len) {
		const char *end;
		size_t tag;

		if (list.p[i] == ' ' || list.p[i] == '\t' || list.p[i] == ',') {
			i++;
			continue;
		}
		/* The comparison is the weak one: "W/" does not count. */
		if (list.len - i > 2 && list.p[i] == 'W' && list.p[i + 1] == '/')
			i += 2;
		if (list.p[i] != '"')
			return false;
		end = memchr(list.p + i + 1, '"', list.len - i - 1);
		if (!end)
			return false;
		tag = (size_t)(end - list.p) + 1 - i;
		if (tag == len && memcmp(list.p + i, etag, len) == 0)
			return true;
		i += tag;
	}
	return false;
}
