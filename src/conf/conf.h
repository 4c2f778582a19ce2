/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Configuration: tables of options are the only truth. One row gives name, type, default, range,
 * unit, flags and one sentence, and drives the parser, --check, the dump and the manual. A table
 * describes one section ("engine") or a kind of section that may occur several times, each with a
 * name of its own ("listener public"); the values go into a plain struct of the table's owner.
 *
 * Syntax of a file (UTF-8): "[section]" or "[section name]" lines, below them "option = value"
 * lines; blanks around names and values do not count, nor does indentation. Lines that begin with
 * '#' or ';' are comments, and so is what follows a ';' behind a blank; a '#' behind a value is
 * part of it. There are no quotes. A value whose line ends with a backslash goes on in the next
 * line, without the latter's indentation. A line is at most 194 bytes long (more, where the INI
 * library was built so); a longer one is an error, as is an option that is set twice in one file. A
 * later file overrides an earlier one. Values from the environment and from overrides follow the
 * same rules.
 *
 * A struct conf is built from files, then never changes; a reload builds another one and swaps. The
 * conf owns all values and strings; they live until conf_free. Loop thread (or any one thread
 * before the loop runs).
 */
#ifndef PARLANCE_CONF_CONF_H
#define PARLANCE_CONF_CONF_H

#include <stdio.h>

#include "base/check.h"
#include "base/strbuf.h"

#ifdef __cplusplus
extern "C" {
#endif

enum conf_type {
	CONF_BOOL = 1, /* bool: yes/no, on/off, true/false, 1/0 */
	CONF_INT,      /* int64_t, min..max */
	CONF_STRING,   /* const char *, never NULL; min..max is the length in bytes */
	CONF_ENUM,     /* int: the value in choices */
	CONF_LIST,     /* struct conf_list: split at commas; outer blanks and empty items go */
};

/* A choice of a CONF_ENUM; an array of them ends with a NULL name. */
struct conf_choice {
	const char *name;
	int value;
};

struct conf_list {
	size_t n;
	const char *const *items;
};

enum conf_flags {
	CONF_RELOADABLE = 1, /* a changed value takes effect on reload, without a restart */
	CONF_SECRET = 2,     /* never shown: the dump prints "(set)" or "(not set)" */
	CONF_SWITCH = 4,     /* with CONF_RELOADABLE: another value does, but not setting or clearing it */
};

struct conf_option {
	const char *name;
	enum conf_type type;
	size_t offset;    /* of the value in the section's struct */
	const char *def;  /* default, as it would stand in the file */
	int64_t min, max; /* CONF_INT and CONF_STRING; both 0: no range */
	const char *unit; /* "ms", "bytes", … or NULL */
	const struct conf_choice *choices;
	unsigned flags;
	const char *env; /* environment variable that replaces the default, or NULL */
	const char *doc; /* one sentence */
};

struct conf_section {
	const char *name; /* "engine"; the kind for named sections */
	bool named;       /* may occur several times as "name instance" */
	size_t struct_size;
	const struct conf_option *options;
	size_t n_options;
	/* Named: the instance that a header without a name ("[listener]") means, and that there is
	 * when nothing names one; or NULL. */
	const char *implicit;
	/* Named: all instances there are, also where no file mentions them, and no others; the array
	 * ends with NULL. Or NULL: those that files and overrides name. */
	const char *const *instances;
	const char *doc; /* one sentence */
};

struct arena;
struct conf;

/**
 * Builds a configuration from a file (NULL: defaults and environment alone), the *.conf files of
 * the folder beside it with the same name plus ".d" or, for "parlance.conf", "conf.d" (in byte
 * order of names), and overrides.
 *
 * sections: the tables, borrowed for the conf's life. overrides: n strings "section.option=value"
 * or "section.name.option=value" (the name may be left out where it may be in a file), as from the
 * command line, applied last. Problems go to `errors`,
 * one line each with file, line and what to do; an unknown section or option is one, with the
 * nearest known name as a suggestion; parsing goes on after a problem so that all are shown at
 * once. An override of a named section that no file has makes it.
 *
 * 0 and *out, or PARLANCE_EINVAL (errors has text), PARLANCE_ENOENT (file missing),
 * PARLANCE_ENOMEM.
 */
MUST_USE int conf_load(struct conf **out, const struct conf_section *const *sections,
		       size_t n_sections, const char *path, const char *const *overrides,
		       size_t n_overrides, struct strbuf *errors);

/** As conf_load, but sections that no table describes are passed over, with all that is in them. For
 * the options that decide which other tables there are. */
MUST_USE int conf_load_some(struct conf **out, const struct conf_section *const *sections,
			    size_t n_sections, const char *path, const char *const *overrides,
			    size_t n_overrides, struct strbuf *errors);

/** As conf_load, from text instead of files; `name` stands for the file in messages. For tests and
 * the fuzzer. */
MUST_USE int conf_parse(struct conf **out, const struct conf_section *const *sections,
			size_t n_sections, const char *name, const char *text, size_t len,
			struct strbuf *errors);

void conf_free(struct conf **c);

/** The struct of a section that is not named, or of the named section's instance; never NULL for a
 * section that is not named, NULL for an unknown instance. */
const void *conf_get(const struct conf *c, const char *section, const char *instance);

/** The i-th instance of a named section in the order of the files, and its name (the pointer may be
 * NULL); NULL at the end. */
const void *conf_get_nth(const struct conf *c, const char *section, size_t i,
			 const char **instance);

/** A copy of such a struct, with all that it points to, in the arena. NULL: out of memory. */
MUST_USE void *conf_copy(const struct conf *c, const char *section, const char *instance,
			 struct arena *arena);

/**
 * For a reload: makes `next` equal to `current`, which was loaded with the same tables, but for the
 * options that may change while the program runs: those that are CONF_RELOADABLE, of the first
 * n_live tables. What else differs in those tables is named in `names`, as "section.option" or
 * "section.instance.option" with ", " between; of a section that is only in one of the two,
 * "section.instance". 0 or PARLANCE_ENOMEM; then `next` is of no use.
 */
MUST_USE int conf_keep(struct conf *next, const struct conf *current, size_t n_live,
		       struct strbuf *names);

/** Writes every option with its current value, in the syntax of the file. A secret's value is not
 * shown. */
void conf_dump(const struct conf *c, struct strbuf *out);

/** Writes a commented sample file: every option with its sentence, range and default. */
void conf_sample(const struct conf_section *const *sections, size_t n_sections, struct strbuf *out);

/** What may be an instance's name: 1 to 64 letters, digits, '-', '_' or '.'. */
bool conf_is_instance_name(struct slice name);

/** The nearest of n names to what was written (edit distance at most a third of its length, at
 * least 1), or NULL. */
const char *conf_suggest(const char *word, const char *const *names, size_t n);

#ifdef __cplusplus
}
#endif
#endif
