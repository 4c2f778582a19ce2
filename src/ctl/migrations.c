/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The folder of migrations. It is read as a whole before anything is applied, so that a name that
 * is not understood or a file that is missing stops everything at once.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>

#include "base/utf8.h"
#include "ctl/ctl.h"

#define FILE_MAX_BYTES (16 * 1024 * 1024)
#define SUFFIX ".sql"
#define DIGITS 3

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text);
	size_t end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* What begins with a digit is meant to be a migration; other files may lie here too. */
static int select_file(const struct dirent *entry)
{
	return isdigit((unsigned char)entry->d_name[0]) && ends_with(entry->d_name, SUFFIX);
}

/* NNN_name.sql, or 0. */
static unsigned int version_of(const char *file)
{
	unsigned int version = 0;
	size_t i;

	for (i = 0; i < DIGITS; i++) {
		if (file[i] < '0' || file[i] > '9')
			return 0;
		version = version * 10 + (unsigned int)(file[i] - '0');
	}
	if (file[i++] != '_')
		return 0;
	if (strspn(file + i, "abcdefghijklmnopqrstuvwxyz0123456789_") !=
		strlen(file + i) - strlen(SUFFIX) ||
	    !strcmp(file + i, SUFFIX))
		return 0;
	return version;
}

static bool set_sha256(struct migration *m)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (!EVP_Digest(m->text, m->len, digest, &len, EVP_sha256(), NULL) ||
	    len != MIGRATION_SHA256_LEN / 2) {
		ctl_error("OpenSSL makes no SHA-256");
		return false;
	}
	for (size_t i = 0; i < len; i++) {
		m->sha256[2 * i] = hex[digest[i] >> 4];
		m->sha256[2 * i + 1] = hex[digest[i] & 15];
	}
	m->sha256[MIGRATION_SHA256_LEN] = '\0';
	return true;
}

static bool read_text(struct migration *m, const char *path)
{
	struct strbuf text;
	bool ok = ctl_read_file(path, FILE_MAX_BYTES, &text);

	if (ok && (memchr(strbuf_cstr(&text), '\0', text.len) ||
		   !utf8_valid(strbuf_cstr(&text), text.len))) {
		ctl_error("%s: not UTF-8 text", path);
		ok = false;
	}
	if (ok) {
		m->text = strbuf_steal(&text, &m->len);
		ok = m->text && set_sha256(m);
	}
	strbuf_fini(&text);
	return ok;
}

static bool add_file(struct migrations *m, const char *folder, const char *file)
{
	struct migration *item = &m->items[m->n];
	struct strbuf path;
	bool ok = false;

	item->version = version_of(file);
	if (!item->version) {
		ctl_error("%s/%s: this is no name of a migration (001_name.sql, in lower case)",
			  folder, file);
		return false;
	}
	if (m->n && item->version == m->items[m->n - 1].version) {
		ctl_error("%s: %s.sql and %s have the same number", folder,
			  m->items[m->n - 1].name, file);
		return false;
	}
	if (item->version != m->n + 1) {
		ctl_error("%s: migration %03zu is missing, and %s is there", folder, m->n + 1,
			  file);
		return false;
	}
	m->n++;
	item->name = strndup(file, strlen(file) - strlen(SUFFIX));
	strbuf_init(&path, 8192);
	strbuf_printf(&path, "%s/%s", folder, file);
	if (!item->name || !strbuf_ok(&path))
		ctl_error("%s: out of memory, or the path is too long", file);
	else
		ok = read_text(item, strbuf_cstr(&path));
	strbuf_fini(&path);
	return ok;
}

bool migrations_read(struct migrations *m, const char *folder)
{
	struct dirent **files;
	int n = scandir(folder, &files, select_file, alphasort);
	bool ok = n > 0;

	m->items = NULL;
	m->n = 0;
	if (n < 0) {
		ctl_error("%s: %s (--dir says where the migrations are)", folder, strerror(errno));
		return false;
	}
	if (n == 0)
		ctl_error("%s: no migrations here (--dir says where they are)", folder);
	m->items = calloc((size_t)n + 1, sizeof(*m->items));
	if (!m->items) {
		ctl_error("out of memory");
		ok = false;
	}
	for (int i = 0; i < n; i++) {
		ok = ok && add_file(m, folder, files[i]->d_name);
		free(files[i]);
	}
	free(files);
	return ok;
}

void migrations_free(struct migrations *m)
{
	for (size_t i = 0; i < m->n; i++) {
		free(m->items[i].name);
		free(m->items[i].text);
	}
	free(m->items);
	m->items = NULL;
	m->n = 0;
}
