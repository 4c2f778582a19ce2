/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The syntax of files and overrides. The INI library splits a line into name and value; all that it
 * would do in silence is seen to before a line gets to it: it cuts section names, drops what
 * follows them, never tells of an empty section, takes an indented line for a part of the one
 * above, and names the first syntax error only. Its buffer also bounds a line (200 bytes where it
 * is built with its defaults, as Debian's is), so a value may go on in the next line behind a
 * backslash.
 */
#include <ini.h>

#include "conf/conf_private.h"

#include "base/utf8.h"

/* Continued values are handed to the library under this name, which no option has. */
#define CONF_MORE "+ = "

struct reader {
	struct conf_builder *b;
	struct slice rest; /* of the text */
	struct conf_where where;
	struct conf_instance *inst; /* of the section at this place; NULL: none, or not usable */
	bool in_section;            /* there was a section header, usable or not */
	bool unanswered;            /* the library has a line that it has not made an option of */
	bool goes_on;               /* the value goes on in the next line */
	uint32_t option_line;
	const struct conf_option *opt; /* of the value being read; NULL: skip it */
	struct strbuf value;
};

struct slice conf_trim(struct slice s)
{
	while (s.len && (s.p[0] == ' ' || s.p[0] == '\t')) {
		s.p++;
		s.len--;
	}
	while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
		s.len--;
	return s;
}

const char *conf_text_problem(struct slice text)
{
	size_t i;

	for (i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return "a control character, which must go";
	}
	if (!utf8_valid(text.p, text.len))
		return "bytes that are not UTF-8; save the file as UTF-8";
	return NULL;
}

/* The nearest of the names of sections or options, as the end of a message. */
static void report_unknown(struct conf_builder *b, const struct conf_where *where, const char *what,
			   struct slice name, const char *in, const char *const *names, size_t n)
{
	char word[65];
	const char *near;
	size_t i = 0;

	/* What is behind the blank may be a value, and a secret. */
	while (i < name.len && name.p[i] != ' ' && name.p[i] != '\t')
		i++;
	if (i < name.len) {
		conf_problem(b, where, "the name of the %s has a blank in it", what);
		return;
	}
	(void)snprintf(word, sizeof(word), "%.*s", (int)(name.len < 64 ? name.len : 64), name.p);
	word[utf8_whole_len(word, strlen(word))] = '\0';
	near = conf_suggest(word, names, n);
	if (near)
		conf_problem(b, where, "unknown %s \"%s\"%s; did you mean \"%s\"?", what, word, in,
			     near);
	else
		conf_problem(b, where, "unknown %s \"%s\"%s; remove it", what, word, in);
}

const struct conf_section *conf_find_section(struct conf_builder *b, const struct conf_where *where,
					     struct slice kind)
{
	const struct conf *c = b->conf;
	const char *in = "";
	const char **names;
	size_t i;

	for (i = 0; i < c->n_sections; i++) {
		if (slice_is(kind, c->sections[i]->name))
			return c->sections[i];
		/* Where there are plugins, it may be the section of one that was forgotten. */
		if (strcmp(c->sections[i]->name, "plugins") == 0)
			in = " (and load of [plugins] names no such plugin)";
	}
	if (b->some) {
		b->muted = true;
		return NULL;
	}
	names = arena_calloc(&b->conf->arena, c->n_sections, sizeof(*names));
	if (!names) {
		b->no_memory = true;
		return NULL;
	}
	for (i = 0; i < c->n_sections; i++)
		names[i] = c->sections[i]->name;
	report_unknown(b, where, "section", kind, in, names, c->n_sections);
	return NULL;
}

const struct conf_option *conf_find_option(struct conf_builder *b, const struct conf_where *where,
					   const struct conf_instance *inst, struct slice name)
{
	const struct conf_section *section = inst->section;
	const char **names;
	char in[64];
	size_t i;

	for (i = 0; i < section->n_options; i++) {
		if (slice_is(name, section->options[i].name))
			return &section->options[i];
	}
	names = arena_calloc(&b->conf->arena, section->n_options, sizeof(*names));
	if (!names) {
		b->no_memory = true;
		return NULL;
	}
	for (i = 0; i < section->n_options; i++)
		names[i] = section->options[i].name;
	(void)snprintf(in, sizeof(in), " in [%s]", section->name);
	report_unknown(b, where, "option", name, in, names, section->n_options);
	return NULL;
}

/* "[kind]" or "[kind name]", and at most a comment behind it. */
static void read_header(struct reader *r, struct slice line)
{
	const char *end = memchr(line.p, ']', line.len);
	const struct conf_section *section;
	struct slice inner;
	struct slice after;
	size_t kind_len = 0;

	r->inst = NULL;
	r->in_section = true;
	r->b->muted = false;
	if (!end) {
		conf_problem(r->b, &r->where, "the section's name does not end; write [NAME]");
		return;
	}
	inner = conf_trim(slice_of(line.p + 1, (size_t)(end - line.p) - 1));
	after = conf_trim(slice_of(end + 1, line.len - (size_t)(end + 1 - line.p)));
	if (after.len && after.p[0] != ';' && after.p[0] != '#') {
		conf_problem(r->b, &r->where, "options stand on lines below their [section]");
		return;
	}
	while (kind_len < inner.len && inner.p[kind_len] != ' ' && inner.p[kind_len] != '\t')
		kind_len++;
	section = conf_find_section(r->b, &r->where, slice_of(inner.p, kind_len));
	if (!section)
		return;
	r->inst = conf_open_instance(r->b, &r->where, section,
				     conf_trim(slice_of(inner.p + kind_len, inner.len - kind_len)));
}

/* Begins an option's value. After a problem the value is read all the same, and dropped. */
static void begin_option(struct reader *r, const char *name)
{
	struct conf_origin *origin;

	strbuf_reset(&r->value);
	r->opt = NULL;
	r->option_line = r->where.line;
	if (!r->in_section) {
		conf_problem(r->b, &r->where, "an option stands before the first [section]");
		return;
	}
	if (!r->inst)
		return;
	r->opt = conf_find_option(r->b, &r->where, r->inst, slice_str(name));
	if (!r->opt)
		return;
	origin = &r->inst->origins[r->opt - r->inst->section->options];
	if (origin->file == r->b->file) {
		conf_problem(r->b, &r->where,
			     "%s of [%s] was set in line %u already; keep one of them",
			     r->opt->name, r->inst->section->name, (unsigned int)origin->line);
		r->opt = NULL;
		return;
	}
	origin->file = r->b->file;
	origin->line = r->where.line;
}

static void finish_option(struct reader *r)
{
	struct conf_where where = { r->where.name, r->option_line };

	r->goes_on = false;
	if (!strbuf_ok(&r->value))
		r->b->no_memory = true;
	else if (r->opt)
		conf_set_value(r->b, &where, r->inst, r->opt,
			       slice_of(strbuf_cstr(&r->value), r->value.len));
	r->opt = NULL;
}

static int on_option(void *user, const char *section, const char *name, const char *value)
{
	struct reader *r = user;
	size_t len;

	(void)section;
	if (!value || name[0] == '\0')
		return 1; /* remains unanswered */
	r->unanswered = false;
	if (!r->goes_on)
		begin_option(r, name);
	len = strlen(value);
	r->goes_on = len > 0 && value[len - 1] == '\\';
	strbuf_append(&r->value, value, len - r->goes_on);
	if (!r->goes_on)
		finish_option(r);
	return 1;
}

static struct slice next_line(struct reader *r)
{
	const char *nl = memchr(r->rest.p, '\n', r->rest.len);
	size_t len = nl ? (size_t)(nl - r->rest.p) : r->rest.len;
	struct slice line = slice_of(r->rest.p, len);

	len += nl != NULL;
	r->rest = slice_of(r->rest.p + len, r->rest.len - len);
	r->where.line++;
	if (line.len && line.p[line.len - 1] == '\r')
		line.len--;
	return conf_trim(line);
}

/* Decides about a line: what the library gets to see of it, before which `prefix` goes. */
static struct slice filter_line(struct reader *r, struct slice line, size_t max,
				const char **prefix)
{
	const struct slice nothing = { NULL, 0 };
	const char *problem;

	*prefix = "";
	if (line.len && (line.p[0] == '#' || line.p[0] == ';'))
		return nothing;
	if (r->goes_on)
		*prefix = CONF_MORE;
	else if (line.len == 0)
		return nothing;
	problem = conf_text_problem(line);
	if (problem) {
		conf_problem(r->b, &r->where, "the line holds %s", problem);
	} else if (line.len + strlen(*prefix) > max) {
		conf_problem(r->b, &r->where,
			     "the line is longer than %zu bytes; end it with \\ and go on in the "
			     "next",
			     max - strlen(CONF_MORE));
	} else if (!r->goes_on && line.p[0] == '[') {
		read_header(r, line);
		return nothing;
	} else {
		r->unanswered = true;
		return line;
	}
	*prefix = "";
	r->goes_on = false;
	r->opt = NULL;
	return nothing;
}

/* The library's fgets: always a whole line with its end, so that it never asks for the rest of one.
 */
static char *on_read(char *buf, int size, void *stream)
{
	struct reader *r = stream;
	const char *prefix;
	struct slice line;

	if (r->unanswered)
		conf_problem(r->b, &r->where,
			     "not understood; write \"name = value\" or \"[section]\"");
	r->unanswered = false;
	if (r->rest.len == 0)
		return NULL;
	line = filter_line(r, next_line(r), (size_t)size - 2, &prefix);
	(void)snprintf(buf, (size_t)size, "%s%.*s\n", prefix, (int)line.len, line.p ? line.p : "");
	return buf;
}

void conf_read_text(struct conf_builder *b, const char *name, const char *text, size_t len)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct reader r = { .b = b, .rest = { text, len }, .where = { name, 0 } };

	b->file++;
	strbuf_init(&r.value, SIZE_MAX);
	if (len >= 3 && memcmp(text, bom, 3) == 0)
		r.rest = slice_of(text + 3, len - 3);
	/* Lines that it does not understand were reported, with all others of their kind. */
	if (ini_parse_stream(on_read, &r, on_option, &r) < 0)
		b->no_memory = true;
	if (r.goes_on)
		finish_option(&r);
	b->muted = false;
	strbuf_fini(&r.value);
}

void conf_read_override(struct conf_builder *b, const char *text, size_t n)
{
	const char *equals = strchr(text, '=');
	struct slice key = slice_of(text, equals ? (size_t)(equals - text) : 0);
	const char *first = memchr(key.p, '.', key.len);
	const char *last = key.p + key.len;
	const struct conf_section *section;
	const struct conf_option *opt;
	struct conf_instance *inst;
	struct slice name = { NULL, 0 };
	struct conf_where where;
	char label[128];

	/* Only the key is shown: the value may be a secret. */
	(void)snprintf(label, sizeof(label), "override %zu", n);
	where = (struct conf_where){ label, 0 };
	if (!first || conf_text_problem(key)) {
		conf_problem(b, &where, "write section.option=value or section.name.option=value");
		return;
	}
	(void)snprintf(label, sizeof(label), "override %zu (%.*s)", n,
		       (int)utf8_whole_len(key.p, key.len < 64 ? key.len : 64), key.p);
	while (*last != '.')
		last--;
	section = conf_find_section(b, &where, slice_of(key.p, (size_t)(first - key.p)));
	b->muted = false;
	if (!section)
		return;
	if (last > first)
		name = slice_of(first + 1, (size_t)(last - first) - 1);
	inst = conf_open_instance(b, &where, section, name);
	b->muted = false;
	if (!inst)
		return;
	opt = conf_find_option(b, &where, inst,
			       slice_of(last + 1, key.len - (size_t)(last + 1 - key.p)));
	if (opt)
		conf_set_value(b, &where, inst, opt, slice_str(equals + 1));
}
