/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The tables of options as a part of the manual, in mdoc(7). */
#include "conf/conf_man.h"
#include "conf/conf_private.h"

#define MAN_WIDTH 78

/* A word of running text or an argument of a macro: the backslash is roff's, and a minus that
 * somebody may copy must not become a hyphen. */
static void put_word(struct strbuf *out, const char *word, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (word[i] == '\\')
			strbuf_append_str(out, "\\e");
		else if (word[i] == '-')
			strbuf_append_str(out, "\\-");
		else
			strbuf_append_char(out, word[i]);
	}
}

static bool ends_sentence(const char *word, size_t len)
{
	return len > 1 && word[len - 1] == '.';
}

/* Text in lines, each sentence from a new one. A line must not begin like a request. */
static void put_text(struct strbuf *out, const char *text)
{
	size_t column = 0;

	while (*text) {
		size_t len = strcspn(text, " ");

		if (column && column + 1 + len > MAN_WIDTH) {
			strbuf_append_char(out, '\n');
			column = 0;
		}
		if (column)
			strbuf_append_char(out, ' ');
		else if (*text == '.' || *text == '\'')
			strbuf_append_str(out, "\\&");
		put_word(out, text, len);
		column += len + (column != 0);
		if (ends_sentence(text, len) && text[len]) {
			strbuf_append_char(out, '\n');
			column = 0;
		}
		text += len + strspn(text + len, " ");
	}
	strbuf_append_char(out, '\n');
}

/* An argument of a macro, whole, whatever it is: "Ar" or "." would be taken for a macro's name and
 * for punctuation. */
static void put_argument(struct strbuf *out, const char *text)
{
	strbuf_append_str(out, " \"\\&");
	for (; *text; text += strcspn(text, "\"")) {
		if (*text == '"') {
			strbuf_append_str(out, "\"\"");
			text++;
		}
		put_word(out, text, strcspn(text, "\""));
	}
	strbuf_append_char(out, '"');
}

static void put_facts(struct strbuf *out, const struct conf_option *opt)
{
	struct strbuf facts;

	strbuf_init(&facts, SIZE_MAX);
	strbuf_append_str(&facts, "Write ");
	conf_describe_type(opt, &facts);
	strbuf_append_char(&facts, '.');
	if (opt->flags & CONF_RELOADABLE)
		strbuf_append_str(&facts, " Takes effect on reload.");
	if (opt->flags & CONF_SECRET)
		strbuf_append_str(&facts, " Secret: never shown.");
	put_text(out, strbuf_cstr(&facts));
	if (!strbuf_ok(&facts))
		out->err = facts.err;
	strbuf_fini(&facts);
	if (opt->env)
		strbuf_printf(out, "The environment variable\n.Ev %s\nreplaces the default.\n",
			      opt->env);
}

static void put_option(struct strbuf *out, const struct conf_option *opt)
{
	strbuf_printf(out, ".It Ic %s", opt->name);
	if (*opt->def) {
		strbuf_append_str(out, " No = Ar");
		put_argument(out, opt->def);
	}
	strbuf_append_char(out, '\n');
	put_text(out, opt->doc);
	put_facts(out, opt);
}

static void put_section(struct strbuf *out, const struct conf_section *section)
{
	strbuf_printf(out, ".Ss [%s%s]\n", section->name,
		      section->named && !section->instances ? " NAME" : "");
	put_text(out, section->doc);
	if (section->named && !section->instances && section->implicit)
		strbuf_printf(out,
			      "Without a name the section is that of\n.Dq %s .\n",
			      section->implicit);
	if (!section->n_options)
		return;
	strbuf_append_str(out, ".Bl -tag -width Ds\n");
	for (size_t i = 0; i < section->n_options; i++)
		put_option(out, &section->options[i]);
	strbuf_append_str(out, ".El\n");
}

void conf_man(const struct conf_section *const *sections, size_t n_sections, struct strbuf *out)
{
	for (size_t i = 0; i < n_sections; i++)
		put_section(out, sections[i]);
}
