/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Building a configuration: instances with their defaults, then the files, then the overrides; and
 * looking into it. The conf owns itself, its values and strings by its arena. See conf.h for
 * threads.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>

#include "conf/conf.h"

#include "base/err.h"
#include "conf/conf_private.h"

#define CONF_FILE_MAX (1024 * 1024) /* bytes; a configuration is written by hand */

static const char main_name[] = "parlance.conf";
static const char main_folder[] = "conf.d";

void conf_problem(struct conf_builder *b, const struct conf_where *where, const char *fmt, ...)
{
	va_list ap;

	if (b->muted)
		return;
	b->failed = true;
	strbuf_append_str(b->errors, where->name);
	if (where->line)
		strbuf_printf(b->errors, ":%u", (unsigned int)where->line);
	strbuf_append_str(b->errors, ": ");
	va_start(ap, fmt);
	strbuf_vprintf(b->errors, fmt, ap);
	va_end(ap);
	strbuf_append_char(b->errors, '\n');
}

struct conf_instance *conf_find_instance(const struct conf *c, const struct conf_section *section,
					 struct slice name)
{
	struct conf_instance *inst;

	for (inst = c->first; inst; inst = inst->next) {
		if (inst->section == section && slice_eq(slice_str(inst->name), name))
			return inst;
	}
	return NULL;
}

/* The environment takes the place of the default of an option that names a variable. */
static void set_defaults(struct conf_builder *b, struct conf_instance *inst)
{
	size_t i;

	for (i = 0; i < inst->section->n_options; i++) {
		const struct conf_option *opt = &inst->section->options[i];
		const char *env = opt->env ? getenv(opt->env) : NULL;
		struct conf_where where = { env ? opt->env : "built-in default", 0 };

		conf_set_value(b, &where, inst, opt, slice_str(env ? env : opt->def));
	}
}

struct conf_instance *conf_add_instance(struct conf_builder *b, const struct conf_section *section,
					struct slice name)
{
	struct conf *c = b->conf;
	struct conf_instance *inst = arena_calloc(&c->arena, 1, sizeof(*inst));

	if (!inst)
		goto no_memory;
	inst->section = section;
	inst->values = arena_calloc(&c->arena, 1, section->struct_size);
	inst->origins = arena_calloc(&c->arena, section->n_options, sizeof(*inst->origins));
	if (section->named)
		inst->name = arena_strndup(&c->arena, name.p, name.len);
	if (!inst->values || !inst->origins || (section->named && !inst->name))
		goto no_memory;
	*c->last = inst;
	c->last = &inst->next;
	set_defaults(b, inst);
	return inst;
no_memory:
	b->no_memory = true;
	return NULL;
}

bool conf_is_instance_name(struct slice name)
{
	size_t i;

	for (i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '-' && c != '_' && c != '.')
			return false;
	}
	return name.len > 0 && name.len <= 64;
}

/* What to write for an instance of a section that is named. */
static void header_of(const struct conf_section *section, const char *name, struct strbuf *out)
{
	bool bare = section->implicit && strcmp(section->implicit, name) == 0;

	strbuf_printf(out, "[%s%s%s]", section->name, bare ? "" : " ", bare ? "" : name);
}

static void report_no_instance(struct conf_builder *b, const struct conf_where *where,
			       const struct conf_section *section, struct slice name)
{
	struct strbuf there;
	size_t i;

	strbuf_init(&there, SIZE_MAX);
	for (i = 0; section->instances[i]; i++) {
		strbuf_append_str(&there, i ? ", " : "");
		header_of(section, section->instances[i], &there);
	}
	if (name.len)
		conf_problem(b, where, "no [%s %.*s] is loaded; there is %s", section->name,
			     (int)name.len, name.p, strbuf_cstr(&there));
	else
		conf_problem(b, where, "[%s] needs a name of its own; write %s", section->name,
			     strbuf_cstr(&there));
	b->no_memory |= !strbuf_ok(&there);
	strbuf_fini(&there);
}

struct conf_instance *conf_open_instance(struct conf_builder *b, const struct conf_where *where,
					 const struct conf_section *section, struct slice name)
{
	struct conf_instance *inst;

	if (section->named && name.len == 0)
		name = slice_str(section->implicit);
	if (section->named && name.len == 0) {
		if (section->instances)
			report_no_instance(b, where, section, name);
		else
			conf_problem(b, where, "[%s] needs a name of its own; write [%s NAME]",
				     section->name, section->name);
		return NULL;
	}
	if (!section->named && name.len) {
		conf_problem(b, where, "[%s] has no name of its own; write [%s] alone",
			     section->name, section->name);
		return NULL;
	}
	if (section->named && !conf_is_instance_name(name)) {
		conf_problem(b, where,
			     "the name of a [%s] is 1 to 64 letters, digits, '-', '_' or '.'",
			     section->name);
		return NULL;
	}
	inst = conf_find_instance(b->conf, section, name);
	if (!inst && section->instances) {
		b->muted |= b->some;
		report_no_instance(b, where, section, name);
		return NULL;
	}
	return inst ? inst : conf_add_instance(b, section, name);
}

static int builder_init(struct conf_builder *b, const struct conf_section *const *sections,
			size_t n_sections, struct strbuf *errors)
{
	struct conf *c = calloc(1, sizeof(*c));
	size_t i;
	size_t k;

	if (!c)
		return PARLANCE_ENOMEM;
	arena_init(&c->arena, 0);
	c->sections = sections;
	c->n_sections = n_sections;
	c->last = &c->first;
	*b = (struct conf_builder){ .conf = c, .errors = errors };
	for (i = 0; i < n_sections; i++) {
		if (!sections[i]->named)
			(void)conf_add_instance(b, sections[i], slice_of(NULL, 0));
		for (k = 0; sections[i]->instances && sections[i]->instances[k]; k++)
			(void)conf_add_instance(b, sections[i], slice_str(sections[i]->instances[k]));
	}
	return 0;
}

/* A kind of section that neither files nor overrides mention may have an instance all the same. */
static void add_implicit(struct conf_builder *b)
{
	const struct conf *c = b->conf;
	size_t i;

	for (i = 0; i < c->n_sections; i++) {
		const struct conf_section *section = c->sections[i];

		if (section->implicit && !conf_get_nth(c, section->name, 0, NULL))
			(void)conf_add_instance(b, section, slice_str(section->implicit));
	}
}

/* Hands the conf over, or frees it when something went wrong. */
static int builder_finish(struct conf_builder *b, struct conf **out)
{
	add_implicit(b);
	*out = NULL;
	if (b->no_memory || b->failed) {
		conf_free(&b->conf);
		return b->no_memory ? PARLANCE_ENOMEM : PARLANCE_EINVAL;
	}
	*out = b->conf;
	return 0;
}

int conf_parse(struct conf **out, const struct conf_section *const *sections, size_t n_sections,
	       const char *name, const char *text, size_t len, struct strbuf *errors)
{
	struct conf_builder b;
	int err;

	*out = NULL;
	err = builder_init(&b, sections, n_sections, errors);
	if (err)
		return err;
	conf_read_text(&b, name, text, len);
	return builder_finish(&b, out);
}

static int read_whole(const char *path, struct strbuf *text)
{
	FILE *f = fopen(path, "re");
	int saved_errno = 0;
	size_t n;

	if (!f)
		return errno;
	do {
		char *to = strbuf_reserve(text, 4096);

		if (!to)
			break;
		errno = 0;
		n = fread(to, 1, 4096, f);
		strbuf_commit(text, n);
	} while (n);
	if (ferror(f))
		saved_errno = errno;
	(void)fclose(f);
	return saved_errno;
}

/* Reads one file. Returns the errno of a file that cannot be read, which was reported. */
static int read_file(struct conf_builder *b, const char *path)
{
	struct conf_where where = { path, 0 };
	struct strbuf text;
	int err;

	strbuf_init(&text, CONF_FILE_MAX);
	err = read_whole(path, &text);
	if (err)
		conf_problem(b, &where, "cannot be read: %s", strerror(err));
	else if (text.err == PARLANCE_ETOOBIG)
		conf_problem(b, &where, "is larger than a configuration may be (%d bytes)",
			     CONF_FILE_MAX);
	else if (text.err)
		b->no_memory = true;
	else
		conf_read_text(b, path, text.data, text.len);
	strbuf_fini(&text);
	return err;
}

static int is_conf_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	/* Not the hidden ones: editors leave their own copies there. */
	return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".conf") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void folder_of(const char *path, struct strbuf *folder)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	if (strcmp(name, main_name) == 0) {
		strbuf_append(folder, path, (size_t)(name - path));
		strbuf_append_str(folder, main_folder);
	} else {
		strbuf_append_str(folder, path);
		strbuf_append_str(folder, ".d");
	}
}

/* Reads the files of the folder that belongs to the main file, if there is one. */
static void read_folder(struct conf_builder *b, const char *path)
{
	struct dirent **entries = NULL;
	struct conf_where where;
	struct strbuf folder;
	struct strbuf name;
	int n;
	int i;

	strbuf_init(&folder, SIZE_MAX);
	strbuf_init(&name, SIZE_MAX);
	folder_of(path, &folder);
	where = (struct conf_where){ strbuf_cstr(&folder), 0 };
	n = strbuf_ok(&folder) ? scandir(where.name, &entries, is_conf_file, by_bytes) : 0;
	if (n < 0 && errno != ENOENT)
		conf_problem(b, &where, "cannot be read: %s", strerror(errno));
	for (i = 0; i < n; i++) {
		strbuf_reset(&name);
		strbuf_printf(&name, "%s/%s", where.name, entries[i]->d_name);
		if (strbuf_ok(&name))
			(void)read_file(b, strbuf_cstr(&name));
		free(entries[i]);
		b->no_memory |= !strbuf_ok(&name);
	}
	b->no_memory |= !strbuf_ok(&folder);
	free(entries);
	strbuf_fini(&name);
	strbuf_fini(&folder);
}

static int load(struct conf **out, const struct conf_section *const *sections, size_t n_sections,
		bool some, const char *path, const char *const *overrides, size_t n_overrides,
		struct strbuf *errors)
{
	struct conf_builder b;
	size_t i;
	int err;

	*out = NULL;
	err = builder_init(&b, sections, n_sections, errors);
	if (err)
		return err;
	b.some = some;
	if (path) {
		if (read_file(&b, path) == ENOENT) {
			conf_free(&b.conf);
			return PARLANCE_ENOENT;
		}
		read_folder(&b, path);
	}
	for (i = 0; i < n_overrides; i++)
		conf_read_override(&b, overrides[i], i + 1);
	return builder_finish(&b, out);
}

int conf_load(struct conf **out, const struct conf_section *const *sections, size_t n_sections,
	      const char *path, const char *const *overrides, size_t n_overrides,
	      struct strbuf *errors)
{
	return load(out, sections, n_sections, false, path, overrides, n_overrides, errors);
}

int conf_load_some(struct conf **out, const struct conf_section *const *sections,
		   size_t n_sections, const char *path, const char *const *overrides,
		   size_t n_overrides, struct strbuf *errors)
{
	return load(out, sections, n_sections, true, path, overrides, n_overrides, errors);
}

void conf_free(struct conf **c)
{
	if (!*c)
		return;
	arena_fini(&(*c)->arena);
	free(*c);
	*c = NULL;
}

static const struct conf_section *known_section(const struct conf *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->n_sections; i++) {
		if (strcmp(c->sections[i]->name, name) == 0)
			return c->sections[i];
	}
	return NULL;
}

const void *conf_get(const struct conf *c, const char *section, const char *instance)
{
	const struct conf_section *table = known_section(c, section);
	const struct conf_instance *inst;

	CHECK(table && table->named == (instance != NULL));
	inst = conf_find_instance(c, table, slice_str(instance));
	return inst ? inst->values : NULL;
}

const void *conf_get_nth(const struct conf *c, const char *section, size_t i, const char **instance)
{
	const struct conf_section *table = known_section(c, section);
	const struct conf_instance *inst;

	CHECK(table && table->named);
	for (inst = c->first; inst; inst = inst->next) {
		if (inst->section != table || i-- > 0)
			continue;
		if (instance)
			*instance = inst->name;
		return inst->values;
	}
	return NULL;
}
