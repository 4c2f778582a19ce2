/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The types of options: from text to value and back. Values lie in the section's struct, what they
 * point to in the conf's arena.
 *
 * Invariant: a value that was accepted can be written into a file and read back the same (but for
 * one with more '#' or ';' in a row than a line holds, which only the environment could bring).
 */
#include <inttypes.h>
#include <strings.h>

#include "conf/conf_private.h"

#include "base/utf8.h"

static void *place_of(const struct conf_instance *inst, const struct conf_option *opt)
{
	return inst->values + opt->offset;
}

static bool has_range(const struct conf_option *opt)
{
	return opt->min != 0 || opt->max != 0;
}

void conf_describe_type(const struct conf_option *opt, struct strbuf *out)
{
	const struct conf_choice *choice;

	switch (opt->type) {
	case CONF_BOOL:
		strbuf_append_str(out, "yes or no");
		break;
	case CONF_INT:
		strbuf_append_str(out, "a whole number");
		if (opt->unit)
			strbuf_printf(out, " of %s", opt->unit);
		if (has_range(opt))
			strbuf_printf(out, " from %" PRId64 " to %" PRId64, opt->min, opt->max);
		break;
	case CONF_STRING:
		strbuf_append_str(out, "text");
		if (has_range(opt))
			strbuf_printf(out, " of %" PRId64 " to %" PRId64 " bytes", opt->min,
				      opt->max);
		break;
	case CONF_ENUM:
		strbuf_append_str(out, "one of ");
		for (choice = opt->choices; choice->name; choice++) {
			strbuf_append_str(out, choice->name);
			if (choice[1].name)
				strbuf_append_str(out, ", ");
		}
		break;
	case CONF_LIST:
		strbuf_append_str(out, "a list with commas between its items");
		break;
	}
}

static bool parse_bool(struct slice text, bool *out)
{
	static const struct {
		const char *name;
		bool value;
	} words[] = {
		{ "yes", true },  { "no", false },    { "on", true }, { "off", false },
		{ "true", true }, { "false", false }, { "1", true },  { "0", false },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(words); i++) {
		if (strlen(words[i].name) == text.len &&
		    strncasecmp(words[i].name, text.p, text.len) == 0) {
			*out = words[i].value;
			return true;
		}
	}
	return false;
}

static bool parse_int(struct slice text, int64_t *out)
{
	bool negative = text.len > 0 && text.p[0] == '-';
	int64_t n = 0;
	size_t i;

	if (text.len == negative)
		return false;
	for (i = negative; i < text.len; i++) {
		int digit = text.p[i] - '0';

		if (digit < 0 || digit > 9 || __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_sub_overflow(n, digit, &n))
			return false;
	}
	/* Summed up below zero, where there is one number more than above. */
	if (!negative && __builtin_sub_overflow((int64_t)0, n, &n))
		return false;
	*out = n;
	return true;
}

static bool parse_enum(const struct conf_option *opt, struct slice text, int *out)
{
	const struct conf_choice *choice;

	for (choice = opt->choices; choice->name; choice++) {
		if (slice_is(text, choice->name)) {
			*out = choice->value;
			return true;
		}
	}
	return false;
}

/* Cuts the next item off the text. */
static struct slice next_item(struct slice *text)
{
	const char *comma = memchr(text->p, ',', text->len);
	size_t len = comma ? (size_t)(comma - text->p) : text->len;
	struct slice item = slice_of(text->p, len);

	len += comma != NULL;
	*text = slice_of(text->p + len, text->len - len);
	return conf_trim(item);
}

static bool parse_list(struct conf_builder *b, struct slice text, struct conf_list *out)
{
	struct slice rest = text;
	const char **items;
	size_t n = 0;

	while (rest.len)
		n += next_item(&rest).len > 0;
	items = arena_calloc(&b->conf->arena, n, sizeof(*items));
	if (!items)
		return false;
	n = 0;
	while (text.len) {
		struct slice item = next_item(&text);

		if (!item.len)
			continue;
		items[n] = arena_strndup(&b->conf->arena, item.p, item.len);
		if (!items[n])
			return false;
		n++;
	}
	*out = (struct conf_list){ n, items };
	return true;
}

/* What would not survive a file. Nearly all of it can only come from the environment or the command
 * line, and from a library that was built to know no comments behind values. */
static const char *value_problem(const struct conf_option *opt, struct slice text)
{
	size_t i;

	for (i = 0; i < text.len; i++) {
		char before = i ? text.p[i - 1] : ' ';

		if (text.p[i] == ';' &&
		    (before == ' ' || before == '\t' || (before == ',' && opt->type == CONF_LIST)))
			return "a ';' where a comment would begin; put comments on lines of their "
			       "own";
	}
	if (text.len && text.p[text.len - 1] == '\\')
		return "a backslash as its last character, which must go";
	return conf_text_problem(text);
}

static void report_value(struct conf_builder *b, const struct conf_where *where,
			 const struct conf_instance *inst, const struct conf_option *opt,
			 struct slice text)
{
	struct strbuf type;

	strbuf_init(&type, SIZE_MAX);
	conf_describe_type(opt, &type);
	if (opt->flags & CONF_SECRET)
		conf_problem(b, where,
			     "%s of [%s] does not fit (it is secret and not shown); write %s",
			     opt->name, inst->section->name, strbuf_cstr(&type));
	else
		conf_problem(b, where, "%s of [%s] cannot be \"%.*s\"%s; write %s", opt->name,
			     inst->section->name,
			     (int)utf8_whole_len(text.p, text.len < 64 ? text.len : 64), text.p,
			     text.len > 64 ? " …" : "", strbuf_cstr(&type));
	if (!strbuf_ok(&type))
		b->no_memory = true;
	strbuf_fini(&type);
}

static bool in_range(const struct conf_option *opt, int64_t n)
{
	return !has_range(opt) || (n >= opt->min && n <= opt->max);
}

void conf_set_value(struct conf_builder *b, const struct conf_where *where,
		    struct conf_instance *inst, const struct conf_option *opt, struct slice text)
{
	void *place = place_of(inst, opt);
	const char *problem;
	const char *copy;
	bool fits = false;
	int64_t n;

	text = conf_trim(text);
	problem = value_problem(opt, text);
	if (problem) {
		conf_problem(b, where, "%s of [%s] has %s", opt->name, inst->section->name,
			     problem);
		return;
	}
	switch (opt->type) {
	case CONF_BOOL:
		fits = parse_bool(text, place);
		break;
	case CONF_INT:
		fits = parse_int(text, &n) && in_range(opt, n);
		if (fits)
			*(int64_t *)place = n;
		break;
	case CONF_STRING:
		fits = in_range(opt, (int64_t)text.len);
		if (!fits)
			break;
		copy = arena_strndup(&b->conf->arena, text.p, text.len);
		if (!copy)
			b->no_memory = true;
		*(const char **)place = copy;
		break;
	case CONF_ENUM:
		fits = parse_enum(opt, text, place);
		break;
	case CONF_LIST:
		fits = true;
		if (!parse_list(b, text, place))
			b->no_memory = true;
		break;
	}
	if (!fits)
		report_value(b, where, inst, opt, text);
}

void conf_format_value(const struct conf_instance *inst, const struct conf_option *opt,
		       struct strbuf *out)
{
	const void *place = place_of(inst, opt);
	const struct conf_choice *choice;
	const struct conf_list *list;
	size_t i;

	switch (opt->type) {
	case CONF_BOOL:
		strbuf_append_str(out, *(const bool *)place ? "yes" : "no");
		break;
	case CONF_INT:
		strbuf_printf(out, "%" PRId64, *(const int64_t *)place);
		break;
	case CONF_STRING:
		strbuf_append_str(out, *(const char *const *)place);
		break;
	case CONF_ENUM:
		for (choice = opt->choices; choice->name; choice++) {
			if (choice->value == *(const int *)place) {
				strbuf_append_str(out, choice->name);
				break;
			}
		}
		break;
	case CONF_LIST:
		list = place;
		for (i = 0; i < list->n; i++) {
			if (i)
				strbuf_append_str(out, ", ");
			strbuf_append_str(out, list->items[i]);
		}
		break;
	}
}

static bool copy_list(const struct conf_list *from, struct conf_list *to, struct arena *arena)
{
	const char **items = arena_calloc(arena, from->n, sizeof(*items));

	for (size_t i = 0; items && i < from->n; i++) {
		items[i] = arena_strndup(arena, from->items[i], strlen(from->items[i]));
		if (!items[i])
			return false;
	}
	*to = (struct conf_list){ from->n, items };
	return items != NULL;
}

bool conf_copy_value(const struct conf_instance *inst, const struct conf_option *opt, void *values,
		     struct arena *arena)
{
	const void *from = place_of(inst, opt);
	void *to = (char *)values + opt->offset;
	const char *text;

	switch (opt->type) {
	case CONF_BOOL:
		*(bool *)to = *(const bool *)from;
		break;
	case CONF_INT:
		*(int64_t *)to = *(const int64_t *)from;
		break;
	case CONF_ENUM:
		*(int *)to = *(const int *)from;
		break;
	case CONF_STRING:
		text = *(const char *const *)from;
		text = arena_strndup(arena, text, strlen(text));
		*(const char **)to = text;
		return text != NULL;
	case CONF_LIST:
		return copy_list(from, to, arena);
	}
	return true;
}

bool conf_has_value(const struct conf_instance *inst, const struct conf_option *opt)
{
	const void *place = place_of(inst, opt);

	if (opt->type == CONF_STRING)
		return **(const char *const *)place != '\0';
	if (opt->type == CONF_LIST)
		return ((const struct conf_list *)place)->n > 0;
	return true;
}
