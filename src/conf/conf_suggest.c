/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The nearest known name to one that is not known. Pure, any thread.
 */
#include "conf/conf.h"

#define SUGGEST_MAX 64 /* bytes; longer names have no suggestion */

static size_t min_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Edit distance with insertion, deletion, replacement and exchange of neighbours ("optimal string
 * alignment"); three rows of the matrix are enough. */
static size_t distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t rows[3][SUGGEST_MAX + 1];
	size_t i;
	size_t j;

	for (j = 0; j <= b_len; j++)
		rows[0][j] = j;
	for (i = 1; i <= a_len; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i + 2) % 3];
		const size_t *above2 = rows[(i + 1) % 3];

		row[0] = i;
		for (j = 1; j <= b_len; j++) {
			row[j] = min_of(above[j], row[j - 1]) + 1;
			row[j] = min_of(row[j], above[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = min_of(row[j], above2[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

const char *conf_suggest(const char *word, const char *const *names, size_t n)
{
	size_t len = strlen(word);
	size_t best = len / 3 ? len / 3 : 1;
	const char *found = NULL;
	size_t i;

	if (len == 0 || len > SUGGEST_MAX)
		return NULL;
	for (i = 0; i < n; i++) {
		size_t name_len = strlen(names[i]);
		size_t d;

		if (name_len > SUGGEST_MAX)
			continue;
		d = distance(word, len, names[i], name_len);
		/* The first of several that are equally near. */
		if (d < best || (d == best && !found)) {
			best = d;
			found = names[i];
		}
	}
	return found;
}
