/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * usage: options [DIRECTORY PLUGIN...]
 *
 * Writes the options for parlance.conf(5), from the tables that the daemon reads them with: its
 * own, and those of the plugins, which are opened for it.
 */
#include "base/strbuf.h"
#include "conf/conf_man.h"
#include "conf/options.h"
#include "plugin/plugins.h"

static int put_plugins(const char *directory, const struct conf_list *load, struct strbuf *out,
		       struct strbuf *errors)
{
	const struct conf_section *const *sections;
	struct plugins *plugins = NULL;
	size_t n;
	/* Those of a build, which is whoever's. */
	int rc = plugins_open(&plugins, load, directory, false, errors);

	if (!rc) {
		sections = plugins_sections(plugins, &n);
		conf_man(sections, n, out);
	}
	plugins_free(&plugins);
	return rc;
}

int main(int argc, char **argv)
{
	const struct conf_section *const *sections;
	struct strbuf text;
	struct strbuf errors;
	size_t n;
	int rc = 0;

	strbuf_init(&text, SIZE_MAX / 2);
	strbuf_init(&errors, SIZE_MAX / 2);
	sections = options_sections(&n);
	conf_man(sections, n, &text);
	/* One by one: of some kinds the daemon takes one plugin only. */
	for (int i = 2; !rc && i < argc; i++) {
		const struct conf_list load = { 1, (const char *const *)(argv + i) };

		rc = put_plugins(argv[1], &load, &text, &errors);
	}
	if (rc || !strbuf_ok(&text) || fputs(strbuf_cstr(&text), stdout) == EOF ||
	    fflush(stdout) != 0)
		rc = 1;
	(void)fputs(strbuf_cstr(&errors), stderr);
	strbuf_fini(&text);
	strbuf_fini(&errors);
	return rc;
}
