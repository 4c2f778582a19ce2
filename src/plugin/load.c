/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Opening shared objects, and looking at them before anything of theirs is used. */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/load.h"

#include "base/err.h"
#include "parlance/auth.h"
#include "parlance/provider.h"
#include "parlance/storage.h"
#include "plugin/private.h"

#define NAME_MAX_BYTES 64
#define OPTIONS_MAX 1000                     /* rows */
#define OPTIONS_SIZE_MAX ((size_t)1024 * 1024) /* bytes of a plugin's struct of options */

#define ENTRY "parlance_plugin_v1"

/* The file */

static int refuse(struct strbuf *errors, int rc, const char *path, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

static int refuse(struct strbuf *errors, int rc, const char *path, const char *fmt, ...)
{
	va_list ap;

	strbuf_printf(errors, "plugin %s: ", path);
	va_start(ap, fmt);
	strbuf_vprintf(errors, fmt, ap);
	va_end(ap);
	strbuf_append_char(errors, '\n');
	return rc;
}

static int check_owner(const struct stat *st, const char *path, const char *what, bool root_only,
		       struct strbuf *errors)
{
	bool own = st->st_uid == geteuid();

	if (st->st_uid == 0 || (own && !root_only))
		return 0;
	if (own)
		return refuse(errors, PARLANCE_EDENIED, path,
			      "belongs to the daemon's own user, so whoever takes the daemon over "
			      "could put in any code; make root its owner (chown root %s), or, for "
			      "development, set root_only = no in [plugins]",
			      what);
	return refuse(errors, PARLANCE_EDENIED, path,
		      "belongs to user %lu, who could put in any code; make root its owner (chown "
		      "root %s)",
		      (unsigned long)st->st_uid, what);
}

static int check_mode(const struct stat *st, const char *path, const char *what,
		      struct strbuf *errors)
{
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return refuse(errors, PARLANCE_EDENIED, path,
			      "others than its owner may write to it and so put in any code; run "
			      "chmod go-w %s",
			      what);
	return 0;
}

static int stat_folder(const char *folder, const char *path, struct stat *st, struct strbuf *errors)
{
	if (stat(folder, st) < 0)
		return refuse(errors, PARLANCE_ENOENT, path, "its folder cannot be read: %s",
			      strerror(errno));
	return 0;
}

/* The folder that the last part of the path lies in. */
static void folder_of(const char *path, char folder[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	(void)snprintf(folder, PATH_MAX, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

static int check_folder(const char *path, bool root_only, struct strbuf *errors)
{
	char folder[PATH_MAX];
	struct stat st;
	int rc;

	folder_of(path, folder);
	rc = stat_folder(folder, path, &st, errors);
	if (!rc)
		rc = check_owner(&st, folder, folder, root_only, errors);
	return rc ? rc : check_mode(&st, folder, folder, errors);
}

/* Who can write to a folder further up can put another in the place of those below, except where
 * the sticky bit keeps what is others'. */
static int check_above(const char *real, struct strbuf *errors)
{
	char folder[PATH_MAX];
	struct stat st;
	int rc = 0;

	folder_of(real, folder);
	while (!rc && strcmp(folder, "/") != 0) {
		char below[PATH_MAX];

		memcpy(below, folder, sizeof(below));
		folder_of(below, folder);
		rc = stat_folder(folder, real, &st, errors);
		if (!rc)
			rc = check_owner(&st, folder, folder, true, errors);
		if (!rc && !(st.st_mode & S_ISVTX))
			rc = check_mode(&st, folder, folder, errors);
	}
	return rc;
}

static int check_path(const char *path, struct strbuf *errors)
{
	if (path[0] != '/')
		return refuse(errors, PARLANCE_EINVAL, path,
			      "is not an absolute path; write the whole path from /, also in "
			      "[plugins] directory");
	if (strlen(path) >= PATH_MAX)
		return refuse(errors, PARLANCE_EINVAL, path, "the path is too long");
	return 0;
}

/* As load_check_file; real is where the file is in the end. */
static int check_file(const char *path, bool root_only, char real[PATH_MAX], struct strbuf *errors)
{
	struct stat st;
	int rc = check_path(path, errors);

	if (rc)
		return rc;
	if (!realpath(path, real) || stat(real, &st) < 0)
		return refuse(errors, PARLANCE_ENOENT, path,
			      "cannot be read: %s; look at load and directory in [plugins]",
			      strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse(errors, PARLANCE_EINVAL, path,
			      "is not a file; name the shared object itself");
	rc = check_owner(&st, path, real, root_only, errors);
	if (!rc)
		rc = check_mode(&st, path, real, errors);
	if (!rc)
		rc = check_folder(path, root_only, errors);
	if (!rc && strcmp(path, real) != 0)
		rc = check_folder(real, root_only, errors);
	if (!rc && root_only)
		rc = check_above(real, errors);
	return rc;
}

int load_check_file(const char *path, bool root_only, struct strbuf *errors)
{
	char real[PATH_MAX];

	return check_file(path, root_only, real, errors);
}

/* The descriptor */

struct check {
	const struct parlance_plugin *desc;
	const char *path;
	const char *name;
	struct strbuf *errors;
};

static int check_magic(const struct check *c)
{
	if (!c->desc || c->desc->magic != PARLANCE_PLUGIN_MAGIC)
		return refuse(c->errors, PARLANCE_EINVAL, c->path,
			      ENTRY "() does not return a plugin's descriptor; the file is damaged "
				    "or no plugin for parlanced");
	return 0;
}

static int check_major(const struct check *c)
{
	if (c->desc->abi_major != PARLANCE_ABI_MAJOR)
		return refuse(c->errors, PARLANCE_EINVAL, c->path,
			      "was built for plugin interface %u.%u, this parlanced has %u.%u; "
			      "install the plugin's version for it",
			      c->desc->abi_major, c->desc->abi_minor, PARLANCE_ABI_MAJOR,
			      PARLANCE_ABI_MINOR);
	return 0;
}

static int check_minor(const struct check *c)
{
	if (c->desc->abi_minor > PARLANCE_ABI_MINOR)
		return refuse(c->errors, PARLANCE_EINVAL, c->path,
			      "needs plugin interface %u.%u, this parlanced has %u.%u; install a "
			      "newer parlanced or an older version of the plugin",
			      c->desc->abi_major, c->desc->abi_minor, PARLANCE_ABI_MAJOR,
			      PARLANCE_ABI_MINOR);
	return 0;
}

static int check_size(const struct check *c)
{
	size_t least = SIZE_UP_TO(struct parlance_plugin, destroy);

	if (c->desc->size < least)
		return refuse(c->errors, PARLANCE_EINVAL, c->path,
			      "its descriptor has %u bytes where there must be %zu at least; build "
			      "the plugin with the installed headers",
			      c->desc->size, least);
	return 0;
}

static int check_kind(const struct check *c)
{
	if (c->desc->kind < PARLANCE_AUTH || c->desc->kind > PARLANCE_STORAGE)
		return refuse(c->errors, PARLANCE_EINVAL, c->path,
			      "is of kind %u, which this parlanced does not know; install a newer "
			      "parlanced",
			      c->desc->kind);
	return 0;
}

bool load_is_name(const char *name)
{
	size_t len = strlen(name);

	return len > 0 && len <= NAME_MAX_BYTES && name[0] >= 'a' && name[0] <= 'z' &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

static int check_name(const struct check *c)
{
	if (!c->desc->name || !load_is_name(c->desc->name))
		return refuse(c->errors, PARLANCE_EINVAL, c->path,
			      "has no proper name (small letters, digits and '_', a letter first); "
			      "its author must mend that");
	if (strcmp(c->desc->name, c->name) != 0)
		return refuse(c->errors, PARLANCE_EINVAL, c->path,
			      "is the plugin \"%s\"; call the file %s.so", c->desc->name,
			      c->desc->name);
	return 0;
}

static int check_functions(const struct check *c)
{
	const struct parlance_plugin *d = c->desc;

	if (!d->version || !d->licence || !d->doc || !d->create || !d->destroy)
		return refuse(c->errors, PARLANCE_EINVAL, c->path,
			      "version, licence, doc, create or destroy is missing in its "
			      "descriptor; its author must mend that");
	return 0;
}

/* size of the table of functions, and whether all functions of version 1.0 are there. */
static int check_ops(const struct check *c)
{
	const void *ops = c->desc->ops;
	size_t least = 0;
	bool whole = true;

	switch (c->desc->kind) {
	case PARLANCE_AUTH: {
		const struct parlance_auth_ops *auth = ops;

		least = SIZE_UP_TO(struct parlance_auth_ops, cancel);
		if (ops && auth->size >= least)
			whole = auth->verify && auth->cancel;
		break;
	}
	case PARLANCE_PROVIDER: {
		const struct parlance_provider_ops *provider = ops;

		least = SIZE_UP_TO(struct parlance_provider_ops, models);
		if (ops && provider->size >= least)
			whole = provider->start && provider->resume && provider->cancel &&
				provider->models;
		break;
	}
	default: {
		const struct parlance_storage_ops *storage = ops;

		least = SIZE_UP_TO(struct parlance_storage_ops, set_instance);
		if (ops && storage->size >= least)
			whole = storage->submit && storage->cancel && storage->set_instance;
		break;
	}
	}
	/* Each begins with its size. */
	if (!ops || *(const uint32_t *)ops < least)
		return refuse(c->errors, PARLANCE_EINVAL, c->path,
			      "its table of functions (ops) is missing or too small; build the "
			      "plugin with the installed headers");
	if (!whole)
		return refuse(c->errors, PARLANCE_EINVAL, c->path,
			      "its table of functions (ops) has a gap; its author must mend that");
	return 0;
}

/* Options */

struct parlance_option load_option(const struct parlance_plugin *desc, size_t i)
{
	size_t size = desc->option_size < sizeof(struct parlance_option) ?
			      desc->option_size :
			      sizeof(struct parlance_option);
	struct parlance_option out;

	memset(&out, 0, sizeof(out));
	memcpy(&out, (const char *)desc->options + i * desc->option_size, size);
	return out;
}

/* Size and alignment of an option's value; 0: no such type. */
static size_t value_size(int type, size_t *alignment)
{
	switch (type) {
#define ROW(constant, type_)                     \
	case constant:                           \
		*alignment = _Alignof(type_);    \
		return sizeof(type_)
		ROW(PARLANCE_OPTION_BOOL, bool);
		ROW(PARLANCE_OPTION_INT, int64_t);
		ROW(PARLANCE_OPTION_STRING, const char *);
		ROW(PARLANCE_OPTION_ENUM, int);
		ROW(PARLANCE_OPTION_LIST, struct parlance_list);
#undef ROW
	default:
		*alignment = 1;
		return 0;
	}
}

static const char *option_problem(const struct parlance_plugin *desc,
				  const struct parlance_option *o)
{
	size_t alignment;
	size_t size = value_size(o->type, &alignment);
	size_t end;

	if (!size)
		return "is of a type that this parlanced does not know";
	if (!size_add(o->offset, size, &end) || end > desc->options_size || o->offset % alignment)
		return "lies outside the plugin's struct of options";
	if (!o->def || !o->doc)
		return "has no default or no sentence that explains it";
	if (o->min > o->max)
		return "has a range that ends before it begins";
	if (o->type == PARLANCE_OPTION_ENUM && (!o->choices || !o->choices[0].name))
		return "has no choices";
	return NULL;
}

static int check_option(const struct check *c, size_t i)
{
	struct parlance_option o = load_option(c->desc, i);
	const char *problem;
	size_t k;

	if (!o.name || !load_is_name(o.name))
		return refuse(c->errors, PARLANCE_EINVAL, c->path,
			      "its option %zu has no proper name (small letters, digits and '_'); "
			      "its author must mend that",
			      i + 1);
	problem = option_problem(c->desc, &o);
	for (k = 0; !problem && k < i; k++) {
		if (strcmp(load_option(c->desc, k).name, o.name) == 0)
			problem = "is there twice";
	}
	if (problem)
		return refuse(c->errors, PARLANCE_EINVAL, c->path,
			      "its option \"%s\" %s; its author must mend that", o.name, problem);
	return 0;
}

static int check_options(const struct check *c)
{
	const struct parlance_plugin *d = c->desc;
	int rc = 0;

	if (d->n_options > OPTIONS_MAX || d->options_size > OPTIONS_SIZE_MAX ||
	    (d->n_options && (!d->options ||
			      d->option_size < SIZE_UP_TO(struct parlance_option, doc) ||
			      d->option_size % _Alignof(struct parlance_option))))
		return refuse(c->errors, PARLANCE_EINVAL, c->path,
			      "its table of options is missing or of a wrong size; build the plugin "
			      "with the installed headers");
	for (size_t i = 0; !rc && i < d->n_options; i++)
		rc = check_option(c, i);
	return rc;
}

/* In this order: each relies on those before it. */
static int (*const checks[])(const struct check *c) = {
	check_magic, check_major,     check_minor, check_size,    check_kind,
	check_name,  check_functions, check_ops,   check_options,
};

int load_check_descriptor(const struct parlance_plugin *desc, const char *path, const char *name,
			  struct strbuf *errors)
{
	const struct check c = { desc, path, name, errors };
	int rc = 0;

	for (size_t i = 0; !rc && i < ARRAY_LEN(checks); i++)
		rc = checks[i](&c);
	return rc;
}

int load_open(void **handle, const struct parlance_plugin **desc, const char *path,
	      const char *name, bool root_only, struct strbuf *errors)
{
	char real[PATH_MAX];
	union {
		void *object;
		parlance_plugin_fn *fn; /* what POSIX promises of dlsym, and ISO C does not */
	} entry;
	int rc = check_file(path, root_only, real, errors);

	*handle = NULL;
	*desc = NULL;
	if (rc)
		return rc;
	*handle = dlopen(real, RTLD_NOW | RTLD_LOCAL);
	if (!*handle)
		return refuse(errors, PARLANCE_EINVAL, path, "cannot be loaded: %s", dlerror());
	entry.object = dlsym(*handle, ENTRY);
	if (!entry.object) {
		rc = refuse(errors, PARLANCE_EINVAL, path,
			    "is no plugin for parlanced: it does not export " ENTRY);
		goto out;
	}
	*desc = entry.fn();
	rc = load_check_descriptor(*desc, path, name, errors);
out:
	if (rc) {
		*desc = NULL;
		load_close(handle);
	}
	return rc;
}

void load_close(void **handle)
{
	if (*handle)
		(void)dlclose(*handle);
	*handle = NULL;
}
