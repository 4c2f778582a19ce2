/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A configuration as text: the dump of what is in force and the sample. Both can be read back.
 */
#include "conf/conf_private.h"

#include "base/utf8.h"

#define CONF_COMMENT_WIDTH 78 /* columns */
#define CONF_VALUE_WIDTH 120  /* bytes of a value in one line, well below the line limit */

/* What stands in the next line must not look like a comment or begin with a blank or inside a
 * character. */
static bool may_cut(const char *text, size_t at)
{
	return !strchr(" \t;#", text[at]) && utf8_whole_len(text, at) == at;
}

/* Where a value longer than `max` is cut so that its rest stands in the next line: behind a blank,
 * or else in the midst of a word; beyond `max` only when there is no place before it. */
static size_t cut_of(const char *text, size_t max)
{
	size_t at;

	for (at = max; at > 0; at--) {
		if (text[at - 1] == ' ' && may_cut(text, at))
			return at;
	}
	for (at = max; at > 0; at--) {
		if (may_cut(text, at))
			return at;
	}
	for (at = max; text[at]; at++) {
		if (may_cut(text, at))
			break;
	}
	return at;
}

static void put_option(struct strbuf *out, const char *prefix, const char *name, const char *text)
{
	strbuf_printf(out, "%s%s =%s", prefix, name, *text ? " " : "");
	while (strlen(text) > CONF_VALUE_WIDTH) {
		size_t cut = cut_of(text, CONF_VALUE_WIDTH);

		strbuf_append(out, text, cut);
		text += cut;
		if (*text)
			strbuf_printf(out, "\\\n%s\t", prefix);
	}
	strbuf_append_str(out, text);
	strbuf_append_char(out, '\n');
}

/* The text as comment lines, broken at blanks. */
static void put_comment(struct strbuf *out, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t word = strcspn(text, " ");

		if (column && column + 1 + word > CONF_COMMENT_WIDTH) {
			strbuf_append_char(out, '\n');
			column = 0;
		}
		strbuf_append_str(out, column ? " " : "# ");
		column += word + (column ? 1 : 2);
		strbuf_append(out, text, word);
		text += word + strspn(text + word, " ");
	}
	strbuf_append_char(out, '\n');
}

static void dump_option(const struct conf_instance *inst, const struct conf_option *opt,
			struct strbuf *out)
{
	struct strbuf value;

	/* A comment, so that the dump, read as a file, does not set the secret to this text. */
	if (opt->flags & CONF_SECRET) {
		strbuf_printf(out, "# %s = %s\n", opt->name,
			      conf_has_value(inst, opt) ? "(set)" : "(not set)");
		return;
	}
	strbuf_init(&value, SIZE_MAX);
	conf_format_value(inst, opt, &value);
	put_option(out, "", opt->name, strbuf_cstr(&value));
	if (!strbuf_ok(&value))
		out->err = value.err;
	strbuf_fini(&value);
}

/* Where the instances are given, the one that a bare header means has no need of its name. */
static bool has_bare_header(const struct conf_instance *inst)
{
	const struct conf_section *section = inst->section;

	return section->instances && section->implicit &&
	       strcmp(section->implicit, inst->name) == 0;
}

void conf_dump(const struct conf *c, struct strbuf *out)
{
	const struct conf_instance *inst;
	size_t i;

	for (inst = c->first; inst; inst = inst->next) {
		if (inst != c->first)
			strbuf_append_char(out, '\n');
		if (inst->name && !has_bare_header(inst))
			strbuf_printf(out, "[%s %s]\n", inst->section->name, inst->name);
		else
			strbuf_printf(out, "[%s]\n", inst->section->name);
		for (i = 0; i < inst->section->n_options; i++)
			dump_option(inst, &inst->section->options[i], out);
	}
}

static void sample_option(const struct conf_option *opt, struct strbuf *out)
{
	struct strbuf facts;

	strbuf_append_char(out, '\n');
	put_comment(out, opt->doc);
	strbuf_init(&facts, SIZE_MAX);
	strbuf_append_str(&facts, "Write ");
	conf_describe_type(opt, &facts);
	strbuf_append_str(&facts, opt->flags & CONF_RELOADABLE ? ". Takes effect on reload."
							       : ". Takes effect on restart.");
	if (opt->flags & CONF_SECRET)
		strbuf_append_str(&facts, " Secret: never shown.");
	if (opt->env)
		strbuf_printf(&facts, " The environment variable %s replaces the default.",
			      opt->env);
	put_comment(out, strbuf_cstr(&facts));
	if (!strbuf_ok(&facts))
		out->err = facts.err;
	strbuf_fini(&facts);
	put_option(out, "#", opt->name, opt->def);
}

static void sample_header(const struct conf_section *section, struct strbuf *out)
{
	size_t i;

	if (!section->named) {
		strbuf_printf(out, "[%s]\n", section->name);
	} else if (!section->instances) {
		strbuf_printf(out, "#[%s %s]\n", section->name,
			      section->implicit ? section->implicit : "NAME");
	} else {
		for (i = 0; section->instances[i]; i++) {
			bool bare = section->implicit &&
				    strcmp(section->implicit, section->instances[i]) == 0;

			strbuf_printf(out, "#[%s%s%s]\n", section->name, bare ? "" : " ",
				      bare ? "" : section->instances[i]);
		}
	}
}

void conf_sample(const struct conf_section *const *sections, size_t n_sections, struct strbuf *out)
{
	size_t i;
	size_t k;

	put_comment(out, "Every option with its default. Remove the \"#\" before a line to set it. "
			 "Comments stand on lines of their own; a line that ends with a backslash "
			 "goes on in the next.");
	for (i = 0; i < n_sections; i++) {
		const struct conf_section *section = sections[i];

		strbuf_append_char(out, '\n');
		put_comment(out, section->doc);
		sample_header(section, out);
		for (k = 0; k < section->n_options; k++)
			sample_option(&section->options[k], out);
	}
}
