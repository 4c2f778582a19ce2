/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the files of conf share. The conf's arena owns all that is made here. A builder lives while
 * a configuration is put together and remembers what went wrong; its functions report a problem and
 * go on, so that one run shows all problems.
 */
#ifndef PARLANCE_CONF_CONF_PRIVATE_H
#define PARLANCE_CONF_CONF_PRIVATE_H

#include "base/arena.h"
#include "base/slice.h"
#include "conf/conf.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where an option was last set. */
struct conf_origin {
	uint32_t file; /* the builder's number of the file; 0: in none */
	uint32_t line;
};

/* A section that exists, with its values. */
struct conf_instance {
	struct conf_instance *next;
	const struct conf_section *section;
	const char *name;            /* NULL: the section is not named */
	char *values;                /* the struct that the section's table describes */
	struct conf_origin *origins; /* one an option */
};

struct conf {
	struct arena arena;
	const struct conf_section *const *sections;
	size_t n_sections;
	struct conf_instance *first;
	struct conf_instance **last;
};

struct conf_builder {
	struct conf *conf;
	struct strbuf *errors;
	bool failed;    /* a problem was reported */
	bool no_memory; /* nothing more to report; the result is void */
	bool some;      /* sections that no table describes are passed over */
	bool muted;     /* in such a section: nothing is a problem */
	uint32_t file;  /* number of the file being read, from 1; 0: none */
};

/* The place that a problem is reported for; line 0 stands for the whole. */
struct conf_where {
	const char *name;
	uint32_t line;
};

/** The text without blanks (space, tab) at its ends. */
struct slice conf_trim(struct slice s);

/** Reports a problem as a line "NAME:LINE: …". */
void conf_problem(struct conf_builder *b, const struct conf_where *where, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/** What forbids this text in a file, as the end of a sentence, or NULL: controls, not UTF-8. */
const char *conf_text_problem(struct slice text);

/** Finds a table by the name of its section; reports an unknown one, or mutes the builder for it.
 * NULL when there is none. */
const struct conf_section *conf_find_section(struct conf_builder *b, const struct conf_where *where,
					     struct slice kind);

/** The instance of that name (empty: of a section that is not named), or NULL. */
struct conf_instance *conf_find_instance(const struct conf *c, const struct conf_section *section,
					 struct slice name);

/** Appends an instance with the defaults. NULL: out of memory, which the builder remembers. */
struct conf_instance *conf_add_instance(struct conf_builder *b, const struct conf_section *section,
					struct slice name);

/** Finds or makes (with defaults) a section's instance; reports a name that is missing, superfluous,
 * malformed or none of those there are. An empty name stands for the implicit one. NULL after a
 * problem. */
struct conf_instance *conf_open_instance(struct conf_builder *b, const struct conf_where *where,
					 const struct conf_section *section, struct slice name);

/** Finds an option's row; reports an unknown one. NULL when there is none. */
const struct conf_option *conf_find_option(struct conf_builder *b, const struct conf_where *where,
					   const struct conf_instance *inst, struct slice name);

/** Sets a value from its text, or reports what is wrong with it (without showing a secret). */
void conf_set_value(struct conf_builder *b, const struct conf_where *where,
		    struct conf_instance *inst, const struct conf_option *opt, struct slice text);

/** Appends the option's value as it would stand in a file. */
void conf_format_value(const struct conf_instance *inst, const struct conf_option *opt,
		       struct strbuf *out);

/** Copies the option's value to another struct of the section, and what it points to into the arena.
 * False: out of memory. */
MUST_USE bool conf_copy_value(const struct conf_instance *inst, const struct conf_option *opt,
			      void *values, struct arena *arena);

/** True for a string or list that has something in it, and for every value of the other types. */
bool conf_has_value(const struct conf_instance *inst, const struct conf_option *opt);

/** Appends what may be written for this option: "a whole number of ms from 1 to 10". */
void conf_describe_type(const struct conf_option *opt, struct strbuf *out);

/** Reads the text of one file (conf_text.c). */
void conf_read_text(struct conf_builder *b, const char *name, const char *text, size_t len);

/** Applies "section.option=value" or "section.name.option=value", the n-th of them from 1. */
void conf_read_override(struct conf_builder *b, const char *text, size_t n);

#ifdef __cplusplus
}
#endif
#endif
