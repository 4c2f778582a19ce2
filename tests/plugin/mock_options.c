/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Options from text. What the daemon's own parser accepts and this one does not (comments, words
 * for yes and no in capitals) no test needs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mock_options.h"

struct block {
	struct block *next;
	char bytes[] __attribute__((aligned(16)));
};

struct mock_options {
	struct block *blocks; /* what the values point to */
	struct block *values;
};

static void *alloc(struct mock_options *o, size_t size)
{
	struct block *block = calloc(1, sizeof(*block) + size);

	if (!block)
		mock_abort("out of memory");
	block->next = o->blocks;
	o->blocks = block;
	return block->bytes;
}

static char *copy(struct mock_options *o, const char *p, size_t len)
{
	char *out = alloc(o, len + 1);

	memcpy(out, p, len);
	return out;
}

/* The text without blanks at its ends. */
static const char *trim(const char *p, size_t *len)
{
	while (*len && (*p == ' ' || *p == '\t')) {
		p++;
		(*len)--;
	}
	while (*len && (p[*len - 1] == ' ' || p[*len - 1] == '\t'))
		(*len)--;
	return p;
}

static bool set_bool(const char *text, bool *out)
{
	*out = strcmp(text, "yes") == 0 || strcmp(text, "true") == 0 || strcmp(text, "on") == 0 ||
	       strcmp(text, "1") == 0;
	return *out || strcmp(text, "no") == 0 || strcmp(text, "false") == 0 ||
	       strcmp(text, "off") == 0 || strcmp(text, "0") == 0;
}

static bool in_range(const struct parlance_option *opt, int64_t n)
{
	return (!opt->min && !opt->max) || (n >= opt->min && n <= opt->max);
}

static bool set_int(const struct parlance_option *opt, const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return *text && !*end && !errno && in_range(opt, *out);
}

static bool set_enum(const struct parlance_option *opt, const char *text, int *out)
{
	for (const struct parlance_choice *c = opt->choices; c->name; c++) {
		if (strcmp(c->name, text) == 0) {
			*out = c->value;
			return true;
		}
	}
	return false;
}

static void set_list(struct mock_options *o, const char *text, struct parlance_list *out)
{
	size_t max = 1;
	const char **items;

	for (const char *p = text; *p; p++)
		max += *p == ',';
	items = alloc(o, max * sizeof(*items));
	out->n = 0;
	while (*text) {
		size_t whole = strcspn(text, ",");
		size_t len = whole;
		const char *item = trim(text, &len);

		if (len)
			items[out->n++] = copy(o, item, len);
		text += whole + (text[whole] == ',');
	}
	out->items = items;
}

static bool set(struct mock_options *o, const struct parlance_option *opt, const char *text)
{
	void *place = o->values->bytes + opt->offset;
	size_t len = strlen(text);
	const char *begin = trim(text, &len);

	text = copy(o, begin, len);
	switch ((enum parlance_option_type)opt->type) {
	case PARLANCE_OPTION_BOOL:
		return set_bool(text, place);
	case PARLANCE_OPTION_INT:
		return set_int(opt, text, place);
	case PARLANCE_OPTION_STRING:
		*(const char **)place = text;
		return in_range(opt, (int64_t)len);
	case PARLANCE_OPTION_ENUM:
		return set_enum(opt, text, place);
	case PARLANCE_OPTION_LIST:
		set_list(o, text, place);
		return true;
	}
	mock_abort("option %s has the type %d, which does not exist", opt->name, opt->type);
}

static const struct parlance_option *find(const struct parlance_plugin *plugin, const char *name)
{
	for (size_t i = 0; i < plugin->n_options; i++) {
		if (strcmp(plugin->options[i].name, name) == 0)
			return &plugin->options[i];
	}
	return NULL;
}

struct mock_options *mock_options_new(const struct parlance_plugin *plugin,
				      const struct mock_option *options, size_t n, char *err,
				      size_t err_size)
{
	struct mock_options *o = calloc(1, sizeof(*o));

	if (!o)
		mock_abort("out of memory");
	alloc(o, plugin->options_size);
	o->values = o->blocks;
	for (size_t i = 0; i < plugin->n_options; i++) {
		const struct parlance_option *opt = &plugin->options[i];
		const char *env = opt->env ? getenv(opt->env) : NULL;

		/* The table is the plugin's own: a default that does not fit is its error. */
		if (!set(o, opt, opt->def ? opt->def : ""))
			mock_abort("the default of option %s does not fit", opt->name);
		if (env && !set(o, opt, env)) {
			(void)snprintf(err, err_size, "%s has a value that does not fit", opt->env);
			goto fail;
		}
	}
	for (size_t i = 0; i < n; i++) {
		const struct parlance_option *opt = find(plugin, options[i].name);

		if (!opt || !set(o, opt, options[i].value)) {
			(void)snprintf(err, err_size, "option %s %s", options[i].name,
				       opt ? "has a value that does not fit" : "does not exist");
			goto fail;
		}
	}
	return o;
fail:
	mock_options_free(&o);
	return NULL;
}

const void *mock_options_values(const struct mock_options *o)
{
	return o->values->bytes;
}

void mock_options_free(struct mock_options **op)
{
	struct mock_options *o = *op;

	if (!o)
		return;
	*op = NULL;
	while (o->blocks) {
		struct block *block = o->blocks;

		o->blocks = block->next;
		free(block);
	}
	free(o);
}
