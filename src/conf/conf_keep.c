/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What a reload must not change: in the new configuration it is put back to what is in force, and
 * named. So whoever reads the result need not ask which options may change.
 */
#include "conf/conf_private.h"

#include "base/err.h"

static void put_name(struct strbuf *names, const struct conf_instance *inst,
		     const struct conf_option *opt)
{
	strbuf_printf(names, "%s%s", names->len ? ", " : "", inst->section->name);
	if (inst->name)
		strbuf_printf(names, ".%s", inst->name);
	if (opt)
		strbuf_printf(names, ".%s", opt->name);
}

static bool same_value(const struct conf_instance *a, const struct conf_instance *b,
		       const struct conf_option *opt, bool *same)
{
	struct strbuf text_a;
	struct strbuf text_b;
	bool ok;

	strbuf_init(&text_a, SIZE_MAX);
	strbuf_init(&text_b, SIZE_MAX);
	conf_format_value(a, opt, &text_a);
	conf_format_value(b, opt, &text_b);
	ok = strbuf_ok(&text_a) && strbuf_ok(&text_b);
	*same = ok && strcmp(strbuf_cstr(&text_a), strbuf_cstr(&text_b)) == 0;
	strbuf_fini(&text_a);
	strbuf_fini(&text_b);
	return ok;
}

static bool copy_values(const struct conf_instance *from, void *values, struct arena *arena)
{
	for (size_t i = 0; i < from->section->n_options; i++)
		if (!conf_copy_value(from, &from->section->options[i], values, arena))
			return false;
	return true;
}

static bool may_change(const struct conf_instance *to, const struct conf_instance *from,
		       const struct conf_option *opt)
{
	return (opt->flags & CONF_RELOADABLE) &&
	       (!(opt->flags & CONF_SWITCH) ||
		conf_has_value(to, opt) == conf_has_value(from, opt));
}

static int keep_values(struct conf *next, struct conf_instance *to,
		       const struct conf_instance *from, struct strbuf *names)
{
	for (size_t i = 0; i < from->section->n_options; i++) {
		const struct conf_option *opt = &from->section->options[i];
		bool same;

		if (may_change(to, from, opt))
			continue;
		if (!same_value(from, to, opt, &same))
			return PARLANCE_ENOMEM;
		if (same)
			continue;
		put_name(names, from, opt);
		if (!conf_copy_value(from, opt, to->values, &next->arena))
			return PARLANCE_ENOMEM;
	}
	return 0;
}

/* Takes out the sections that there are not yet. */
static void drop_new(struct conf *next, const struct conf *current, struct strbuf *names)
{
	struct conf_instance **link = &next->first;

	while (*link) {
		struct conf_instance *inst = *link;

		if (conf_find_instance(current, inst->section, slice_str(inst->name))) {
			link = &inst->next;
			continue;
		}
		put_name(names, inst, NULL);
		*link = inst->next;
	}
	next->last = link;
}

static bool is_live(const struct conf *c, const struct conf_section *section, size_t n_live)
{
	for (size_t i = 0; i < n_live; i++)
		if (c->sections[i] == section)
			return true;
	return false;
}

int conf_keep(struct conf *next, const struct conf *current, size_t n_live, struct strbuf *names)
{
	struct conf_builder b = { .conf = next, .errors = names };
	int rc = 0;

	drop_new(next, current, names);
	for (const struct conf_instance *from = current->first; from && !rc; from = from->next) {
		struct conf_instance *to =
			conf_find_instance(next, from->section, slice_str(from->name));

		if (to && is_live(current, from->section, n_live)) {
			rc = keep_values(next, to, from, names);
			continue;
		}
		if (!to) {
			put_name(names, from, NULL);
			to = conf_add_instance(&b, from->section, slice_str(from->name));
		}
		if (!to || !copy_values(from, to->values, &next->arena))
			rc = PARLANCE_ENOMEM;
	}
	return rc || strbuf_ok(names) ? rc : PARLANCE_ENOMEM;
}

void *conf_copy(const struct conf *c, const char *section, const char *instance,
		struct arena *arena)
{
	for (const struct conf_instance *inst = c->first; inst; inst = inst->next) {
		void *values;

		if (strcmp(inst->section->name, section) != 0 ||
		    !slice_eq(slice_str(inst->name), slice_str(instance)))
			continue;
		values = arena_calloc(arena, 1, inst->section->struct_size);
		return values && copy_values(inst, values, arena) ? values : NULL;
	}
	return NULL;
}
