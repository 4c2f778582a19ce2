/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * From the list in the configuration to shared objects that are open, instances that are to be made
 * of them, and the tables of their options.
 */
#include "plugin/plugins.h"

#include "base/err.h"
#include "plugin/load.h"
#include "plugin/private.h"

/* The choices of both sides are the same, but not the same type. */
static const struct conf_choice *copy_choices(struct arena *arena,
					      const struct parlance_choice *choices)
{
	struct conf_choice *out;
	size_t n = 0;

	while (choices[n].name)
		n++;
	out = arena_calloc(arena, n + 1, sizeof(*out));
	for (size_t i = 0; out && i < n; i++)
		out[i] = (struct conf_choice){ choices[i].name, choices[i].value };
	return out;
}

static const struct conf_option *copy_options(struct arena *arena,
					      const struct parlance_plugin *desc)
{
	struct conf_option *out = arena_calloc(arena, desc->n_options, sizeof(*out));

	_Static_assert((int)PARLANCE_OPTION_BOOL == (int)CONF_BOOL &&
			       (int)PARLANCE_OPTION_INT == (int)CONF_INT &&
			       (int)PARLANCE_OPTION_STRING == (int)CONF_STRING &&
			       (int)PARLANCE_OPTION_ENUM == (int)CONF_ENUM &&
			       (int)PARLANCE_OPTION_LIST == (int)CONF_LIST &&
			       sizeof(struct parlance_list) == sizeof(struct conf_list),
		       "options of plugins are read by conf");
	for (size_t i = 0; out && i < desc->n_options; i++) {
		struct parlance_option o = load_option(desc, i);

		out[i] = (struct conf_option){
			.name = o.name,
			.type = (enum conf_type)o.type,
			.offset = o.offset,
			.def = o.def,
			.min = o.min,
			.max = o.max,
			.unit = o.unit,
			.flags = (desc->reload && (o.flags & PARLANCE_OPTION_RELOADABLE)
					  ? CONF_RELOADABLE
					  : 0u) |
				 (o.flags & PARLANCE_OPTION_SECRET ? CONF_SECRET : 0u),
			.env = o.env,
			.doc = o.doc,
		};
		if (o.choices && o.type == PARLANCE_OPTION_ENUM) {
			out[i].choices = copy_choices(arena, o.choices);
			if (!out[i].choices)
				return NULL;
		}
	}
	return out;
}

struct module *plugins_add_module(struct plugins *set, void *handle,
				  const struct parlance_plugin *desc, const char *path)
{
	struct module *module = arena_calloc(&set->arena, 1, sizeof(*module));

	if (!module) {
		load_close(&handle);
		return NULL;
	}
	/* From here on plugins_free closes it. */
	module->handle = handle;
	module->desc = desc;
	list_push_back(&set->modules, &module->node);
	module->path = arena_strndup(&set->arena, path, strlen(path));
	module->section = (struct conf_section){
		.name = desc->name,
		.named = true,
		.struct_size = desc->options_size,
		.options = copy_options(&set->arena, desc),
		.n_options = desc->n_options,
		.doc = desc->doc,
	};
	return module->path && module->section.options ? module : NULL;
}

static struct instance *find_instance(const struct module *module, struct plugins *set,
				      const char *name)
{
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (node, next, &set->instances) {
		struct instance *inst = CONTAINER_OF(node, struct instance, node);

		if (inst->module == module && strcmp(inst->name, name) == 0)
			return inst;
	}
	return NULL;
}

/* Where the set keeps the one instance of this kind; the first one of providers. */
static struct instance **place_of(struct plugins *set, uint32_t kind)
{
	if (kind == PARLANCE_AUTH)
		return &set->auth;
	return kind == PARLANCE_STORAGE ? &set->storage : &set->provider;
}

/* What stands before the slash of a model's full name. */
const char *provider_name(const struct instance *inst)
{
	return strcmp(inst->name, DEFAULT_INSTANCE) == 0 ? inst->module->desc->name : inst->name;
}

static bool find_provider(struct plugins *set, const struct module *module, const char *name)
{
	const char *wanted = strcmp(name, DEFAULT_INSTANCE) == 0 ? module->desc->name : name;
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (node, next, &set->instances) {
		const struct instance *inst = CONTAINER_OF(node, struct instance, node);

		if (inst->module->desc->kind == PARLANCE_PROVIDER &&
		    strcmp(provider_name(inst), wanted) == 0)
			return true;
	}
	return false;
}

static const char *make_label(struct plugins *set, const struct module *module, const char *name)
{
	char label[160];

	if (strcmp(name, DEFAULT_INSTANCE) == 0)
		return module->desc->name;
	(void)snprintf(label, sizeof(label), "%s:%s", module->desc->name, name);
	return arena_strndup(&set->arena, label, strlen(label));
}

int plugins_add_instance(struct plugins *set, struct module *module, const char *name,
			 struct strbuf *errors)
{
	uint32_t kind = module->desc->kind;
	struct instance **place = place_of(set, kind);
	struct instance *inst;

	if (find_instance(module, set, name)) {
		strbuf_printf(errors,
			      "[plugins] load: %s:%s is there twice; give one another name "
			      "(%s:NAME)\n",
			      module->desc->name, name, module->desc->name);
		return PARLANCE_EEXIST;
	}
	if (kind != PARLANCE_PROVIDER && *place) {
		strbuf_printf(errors,
			      "[plugins] load: there can be one %s plugin only; take out %s or %s\n",
			      kind == PARLANCE_AUTH ? "auth" : "storage", (*place)->label,
			      module->desc->name);
		return PARLANCE_EEXIST;
	}
	if (kind == PARLANCE_PROVIDER && find_provider(set, module, name)) {
		strbuf_printf(errors,
			      "[plugins] load: two providers have the name \"%s\"; give one another "
			      "(%s:NAME)\n",
			      name, module->desc->name);
		return PARLANCE_EEXIST;
	}
	inst = calloc(1, sizeof(*inst));
	if (!inst)
		return PARLANCE_ENOMEM;
	inst->name = arena_strndup(&set->arena, name, strlen(name));
	inst->label = make_label(set, module, name);
	if (!inst->name || !inst->label) {
		free(inst);
		return PARLANCE_ENOMEM;
	}
	CHECK(pthread_mutex_init(&inst->post_lock, NULL) == 0);
	inst->set = set;
	inst->module = module;
	inst->fault_rate = (struct log_rate)LOG_RATE(10, 10000);
	inst->number_task.fn = storage_number_task;
	inst->models_task.fn = provider_models_task;
	arena_init(&inst->options_arena, 0);
	arena_init(&inst->models_arena, 0);
	list_init(&inst->timers);
	list_init(&inst->watches);
	list_init(&inst->works);
	list_init(&inst->requests);
	list_init(&inst->secrets);
	list_init(&inst->counters);
	list_init(&inst->ops);
	list_init(&inst->graves);
	list_push_back(&set->instances, &inst->node);
	module->n_instances++;
	if (!*place)
		*place = inst;
	return 0;
}

int plugins_make_sections(struct plugins *set)
{
	struct list *node;
	struct list *next;
	size_t n = 0;

	LIST_FOREACH_SAFE (node, next, &set->modules) {
		struct module *module = CONTAINER_OF(node, struct module, node);

		module->instances =
			arena_calloc(&set->arena, module->n_instances + 1, sizeof(char *));
		if (!module->instances)
			return PARLANCE_ENOMEM;
		module->n_instances = 0;
		n++;
	}
	LIST_FOREACH_SAFE (node, next, &set->instances) {
		const struct instance *inst = CONTAINER_OF(node, struct instance, node);

		inst->module->instances[inst->module->n_instances++] = inst->name;
	}
	set->sections = arena_calloc(&set->arena, n, sizeof(const struct conf_section *));
	if (!set->sections)
		return PARLANCE_ENOMEM;
	set->n_sections = 0;
	LIST_FOREACH_SAFE (node, next, &set->modules) {
		struct module *module = CONTAINER_OF(node, struct module, node);

		if (!module->n_instances)
			continue;
		module->section.instances = module->instances;
		if (find_instance(module, set, DEFAULT_INSTANCE))
			module->section.implicit = DEFAULT_INSTANCE;
		set->sections[set->n_sections++] = &module->section;
	}
	return 0;
}

/* An item of the list in the configuration: where its file is, and what is to be made of it. */
struct item {
	char path[4096];
	char name[65];
	char instance[65];
};

static int bad_item(struct strbuf *errors, const char *text, const char *what)
{
	strbuf_printf(errors, "[plugins] load: \"%s\" %s\n", text, what);
	return PARLANCE_EINVAL;
}

/* "NAME", "NAME:INSTANCE", "/path/NAME.so", "/path/NAME.so:INSTANCE" */
static int parse_item(struct item *item, const char *text, const char *directory,
		      struct strbuf *errors)
{
	const char *slash = strrchr(text, '/');
	const char *base = slash ? slash + 1 : text;
	const char *colon = strchr(base, ':');
	size_t base_len = colon ? (size_t)(colon - base) : strlen(base);
	size_t name_len = base_len;
	const char *instance = colon ? colon + 1 : DEFAULT_INSTANCE;

	if (slash && base_len > 3 && memcmp(base + base_len - 3, ".so", 3) == 0)
		name_len -= 3;
	else if (slash)
		return bad_item(errors, text, "is a path and does not end with .so");
	if (name_len >= sizeof(item->name))
		return bad_item(errors, text, "is too long for a plugin's name");
	(void)snprintf(item->name, sizeof(item->name), "%.*s", (int)name_len, base);
	if (!load_is_name(item->name))
		return bad_item(errors, text,
				"is not a plugin's name; write NAME, NAME:INSTANCE or the path of "
				"NAME.so, with small letters, digits and '_' in the name");
	if (!conf_is_instance_name(slice_str(instance)))
		return bad_item(errors, text,
				"has no proper name of an instance behind the colon; write 1 to 64 "
				"letters, digits, '-', '_' or '.'");
	(void)snprintf(item->instance, sizeof(item->instance), "%s", instance);
	if ((slash ? (size_t)(base - text) : strlen(directory) + 1) + base_len + 4 >
	    sizeof(item->path))
		return bad_item(errors, text, "makes a path that is too long");
	if (slash)
		(void)snprintf(item->path, sizeof(item->path), "%.*s",
			       (int)(base - text) + (int)base_len, text);
	else
		(void)snprintf(item->path, sizeof(item->path), "%s/%s.so", directory, item->name);
	return 0;
}

static struct module *find_module(struct plugins *set, const char *name)
{
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (node, next, &set->modules) {
		struct module *module = CONTAINER_OF(node, struct module, node);

		if (strcmp(module->desc->name, name) == 0)
			return module;
	}
	return NULL;
}

static int open_item(struct plugins *set, const char *text, const char *directory,
		     bool root_only, struct strbuf *errors)
{
	const struct parlance_plugin *desc;
	struct module *module;
	struct item item;
	void *handle;
	int rc = parse_item(&item, text, directory, errors);

	if (rc)
		return rc;
	module = find_module(set, item.name);
	if (module && strcmp(module->path, item.path) != 0)
		return bad_item(errors, text,
				"is in the list with another path as well; keep one of them");
	if (!module) {
		rc = load_open(&handle, &desc, item.path, item.name, root_only, errors);
		if (rc)
			return rc;
		module = plugins_add_module(set, handle, desc, item.path);
		if (!module)
			return PARLANCE_ENOMEM;
	}
	return plugins_add_instance(set, module, item.instance, errors);
}

int plugins_open(struct plugins **out, const struct conf_list *load, const char *directory,
		 bool root_only, struct strbuf *errors)
{
	struct plugins *set = plugins_new();
	int rc = 0;

	*out = set;
	if (!set)
		return PARLANCE_ENOMEM;
	for (size_t i = 0; i < load->n; i++) {
		int rc_item = open_item(set, load->items[i], directory, root_only, errors);

		if (!rc)
			rc = rc_item;
	}
	if (plugins_make_sections(set))
		rc = PARLANCE_ENOMEM;
	return rc;
}

const struct conf_section *const *plugins_sections(const struct plugins *set, size_t *n)
{
	*n = set->n_sections;
	return set->sections;
}

bool plugins_have(const struct plugins *set, int kind)
{
	switch (kind) {
	case PARLANCE_AUTH:
		return set->auth != NULL;
	case PARLANCE_PROVIDER:
		return set->provider != NULL;
	default:
		return kind == PARLANCE_STORAGE && set->storage;
	}
}
