/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the daemon's configuration says for one plugin. Only the sections that are asked for are
 * looked at, and only that plugin is opened, for its table of options; what is wrong elsewhere is
 * parlanced --check's concern.
 */
#include <errno.h>
#include <unistd.h>

#include "conf/options.h"
#include "ctl/ctl.h"
#include "plugin/plugins.h"

#define DEFAULT_CONFIG PARLANCE_SYSCONFDIR "/parlance/parlance.conf"
#define SECRET_MAX_BYTES 65536
#define ERRORS_MAX_BYTES 65536

struct ctl_config {
	struct conf *first; /* [plugins] */
	struct plugins *plugins;
	struct conf *conf; /* of the plugin */
	const struct conf_section *section;
	const void *values;
};

/* "NAME", "NAME:INSTANCE", "/path/NAME.so" or "/path/NAME.so:INSTANCE". */
static bool is_plugin(const char *item, const char *plugin)
{
	const char *slash = strrchr(item, '/');
	const char *name = slash ? slash + 1 : item;
	size_t len = strcspn(name, ":");

	if (slash && len > 3 && memcmp(name + len - 3, ".so", 3) == 0)
		len -= 3;
	return slice_is(slice_of(name, len), plugin);
}

static int load_plugin(struct ctl_config *c, const char *path, const char *plugin,
		       struct strbuf *errors)
{
	const struct conf_section *first = options_plugins_section();
	const struct conf_section *const *sections;
	const struct options_plugins *o;
	struct conf_list one = { 0, NULL };
	size_t n;
	int rc = conf_load_some(&c->first, &first, 1, path, NULL, 0, errors);

	if (rc)
		return rc;
	o = conf_get(c->first, first->name, NULL);
	for (size_t i = 0; !one.n && i < o->load.n; i++)
		if (is_plugin(o->load.items[i], plugin))
			one = (struct conf_list){ 1, &o->load.items[i] };
	if (!one.n)
		return 0;
	rc = plugins_open(&c->plugins, &one, o->directory[0] ? o->directory : PARLANCE_PLUGINDIR,
			  o->root_only, errors);
	if (rc)
		return rc;
	sections = plugins_sections(c->plugins, &n);
	rc = conf_load_some(&c->conf, sections, n, path, NULL, 0, errors);
	if (rc || n != 1)
		return rc;
	c->section = sections[0];
	c->values = conf_get(c->conf, c->section->name, c->section->instances[0]);
	return 0;
}

bool ctl_config_open(struct ctl_config **out, const char *path, const char *plugin)
{
	struct strbuf errors;
	int rc;

	*out = NULL;
	if (!path) {
		path = DEFAULT_CONFIG;
		if (access(path, R_OK) < 0) {
			if (errno != ENOENT)
				ctl_error("%s is passed over (%s)", path, strerror(errno));
			return true;
		}
	}
	*out = calloc(1, sizeof(**out));
	if (!*out) {
		ctl_error("out of memory");
		return false;
	}
	strbuf_init(&errors, ERRORS_MAX_BYTES);
	rc = load_plugin(*out, path, plugin, &errors);
	if (rc) {
		ctl_error("%s: the configuration cannot be used", path);
		(void)fprintf(stderr, "%s%s", strbuf_cstr(&errors),
			      errors.len ? "" : "out of memory\n");
		ctl_config_free(out);
	}
	strbuf_fini(&errors);
	return !rc;
}

void ctl_config_free(struct ctl_config **cp)
{
	struct ctl_config *c = *cp;

	if (!c)
		return;
	conf_free(&c->conf);
	conf_free(&c->first);
	plugins_free(&c->plugins);
	free(c);
	*cp = NULL;
}

const char *ctl_config_string(const struct ctl_config *c, const char *option)
{
	const char *value;

	for (size_t i = 0; c && c->values && i < c->section->n_options; i++) {
		const struct conf_option *o = &c->section->options[i];

		if (o->type != CONF_STRING || strcmp(o->name, option) != 0)
			continue;
		memcpy(&value, (const char *)c->values + o->offset, sizeof(value));
		return value;
	}
	return "";
}

bool ctl_read_secret_file(const char *path, struct strbuf *out)
{
	if (!ctl_read_file(path, SECRET_MAX_BYTES, out))
		return false;
	if (out->len && out->data[out->len - 1] == '\n')
		out->data[--out->len] = '\0';
	return true;
}

bool ctl_read_secret(const char *source, struct strbuf *out)
{
	static const char credential[] = "credential:";
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	struct strbuf path;
	bool ok = false;

	strbuf_init(out, SECRET_MAX_BYTES);
	strbuf_init(&path, 4096);
	if (strncmp(source, credential, strlen(credential)) == 0) {
		if (folder)
			strbuf_printf(&path, "%s/%s", folder, source + strlen(credential));
		else
			ctl_error("%s: only the service has this credential "
				  "(CREDENTIALS_DIRECTORY is not set)",
				  source);
	} else if (strncmp(source, "file:", 5) == 0) {
		strbuf_append_str(&path, source + 5);
	} else {
		strbuf_append_str(&path, source);
	}
	if (path.len && strbuf_ok(&path)) {
		strbuf_fini(out);
		ok = ctl_read_secret_file(strbuf_cstr(&path), out);
	}
	strbuf_fini(&path);
	return ok;
}
