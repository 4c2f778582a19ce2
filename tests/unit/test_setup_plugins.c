/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A configuration with plugins: read in two passes, with the options of a real shared object
 * (plugin_good, from the folder PARLANCE_TEST_PLUGINS). net_listen is not called.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "setup.h"

#include "base/err.h"
#include "parlance/plugin.h"

static struct setup s;
static struct strbuf errors;
static char folder[] = "/tmp/parlance-test-setup-XXXXXX";
static char library[64];
static char config[64];
static char directory[64]; /* "plugins.directory=…" */

/* The fake, so that net is left out. */
int net_listen(struct net *net, const struct net_listener_config *c, struct strbuf *err)
{
	(void)net;
	(void)c;
	(void)err;
	return PARLANCE_ESYS;
}

static void write_file(const char *path, const void *bytes, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

static void put_config(const char *text)
{
	write_file(config, text, strlen(text));
}

/* A folder that is surely ours alone. */
static int group_setup(void **state)
{
	const char *from = getenv("PARLANCE_TEST_PLUGINS");
	static char bytes[4 * 1024 * 1024];
	char path[4096];
	size_t n;
	FILE *f;

	(void)state;
	assert_non_null(from);
	assert_non_null(mkdtemp(folder));
	(void)snprintf(library, sizeof(library), "%s/plugin_good.so", folder);
	(void)snprintf(config, sizeof(config), "%s/parlance.conf", folder);
	(void)snprintf(directory, sizeof(directory), "plugins.directory=%s", folder);
	(void)snprintf(path, sizeof(path), "%s/plugin_good.so", from);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(bytes, 1, sizeof(bytes), f);
	assert_int_equal(fclose(f), 0);
	write_file(library, bytes, n);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	(void)unlink(config);
	(void)unlink(library);
	return rmdir(folder);
}

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	strbuf_init(&errors, SIZE_MAX);
	return unsetenv("CORS_ORIGIN") | unsetenv("PARLANCE_TEST_TEXT");
}

static int teardown(void **state)
{
	(void)state;
	setup_fini(&s);
	strbuf_fini(&errors);
	return s.conf || s.plugins || s.sections;
}

/* Loads with our folder of plugins and these two overrides (NULL: none). */
static int load(const char *path, const char *one, const char *two)
{
	const char *overrides[] = { directory, "plugins.root_only=no", one, two };

	setup_fini(&s);
	strbuf_reset(&errors);
	return setup_load_plugins(&s, path, overrides, one ? two ? 4 : 3 : 2, &errors);
}

static void dump(struct strbuf *out)
{
	strbuf_init(out, SIZE_MAX);
	conf_dump(s.conf, out);
	assert_true(strbuf_ok(out));
}

static void test_options_join(void **state)
{
	struct strbuf out;

	(void)state;
	put_config("[plugin_good]\ntimes = 3\n[plugins]\nload = plugin_good, plugin_good:b\n"
		   "[plugin_good b]\ntext = s3cret\nnames = x, y\n");
	assert_int_equal(load(config, "plugin_good.tone=high", "plugin_good.b.loud=yes"), 0);
	assert_string_equal(strbuf_cstr(&errors), "");
	assert_true(plugins_have(s.plugins, PARLANCE_PROVIDER));
	dump(&out);
	assert_non_null(strstr(strbuf_cstr(&out), "\n[plugin_good]\nloud = no\ntimes = 3\n"
						  "# text = (set)\ntone = high\nnames =\n"));
	assert_non_null(strstr(strbuf_cstr(&out), "\n[plugin_good b]\nloud = yes\ntimes = 1\n"
						  "# text = (set)\ntone = low\nnames = x, y\n"));
	assert_null(strstr(strbuf_cstr(&out), "s3cret"));
	strbuf_fini(&out);
}

static void check_errors(const char *text, const char *override, int rc, const char *expected)
{
	put_config(text);
	assert_int_equal(load(config, override, NULL), rc);
	assert_string_equal(strbuf_cstr(&errors), expected);
}

static void test_problems(void **state)
{
	char expected[1024];

	(void)state;
	/* Of a plugin's options. */
	(void)snprintf(expected, sizeof(expected),
		       "%s:2: times of [plugin_good] cannot be \"10\"; write a whole number of "
		       "times "
		       "from 1 to 9\n"
		       "%s:3: unknown option \"txt\" in [plugin_good]; did you mean \"text\"?\n",
		       config, config);
	check_errors("[plugin_good]\ntimes = 10\ntxt = a\n[plugins]\nload = plugin_good\n", NULL,
		     PARLANCE_EINVAL, expected);
	/* A section whose plugin is not loaded. */
	(void)snprintf(expected, sizeof(expected),
		       "%s:1: unknown section \"provider_x\" (and load of [plugins] names no such "
		       "plugin); remove it\n",
		       config);
	check_errors("[provider_x]\nurl = a\n[plugins]\nload = plugin_good\n", NULL,
		     PARLANCE_EINVAL, expected);
	/* A plugin that cannot be opened, and what is wrong elsewhere; but not its section. */
	(void)snprintf(expected, sizeof(expected),
		       "%s:2: websocket_compression of [engine] cannot be \"perhaps\"; write "
		       "yes or "
		       "no\n"
		       "plugin %s/missing.so: cannot be read: No such file or directory; look at "
		       "load and directory in [plugins]\n",
		       config, folder);
	check_errors("[engine]\nwebsocket_compression = perhaps\n[missing]\nx = 1\n[plugins]\n"
		     "load = missing, plugin_good\n",
		     NULL, PARLANCE_ENOENT, expected);
	(void)snprintf(expected, sizeof(expected),
		       "[engine] path must begin with a slash and hold none of \" ?%%#\"\n"
		       "plugin %s/missing.so: cannot be read: No such file or directory; look at "
		       "load and directory in [plugins]\n",
		       folder);
	check_errors("[missing]\nx = 1\n[engine]\npath = x\n", "plugins.load=missing",
		     PARLANCE_ENOENT, expected);
	/* [plugins] itself: told once. */
	(void)snprintf(expected, sizeof(expected),
		       "%s:2: unknown option \"loads\" in [plugins]; did you mean \"load\"?\n",
		       config);
	check_errors("[plugins]\nloads = plugin_good\n[plugin_good]\nnonsense = 1\n", NULL,
		     PARLANCE_EINVAL, expected);
	/* No file. */
	assert_int_equal(load("/nonexistent/parlance.conf", NULL, NULL), PARLANCE_ENOENT);
	assert_string_equal(strbuf_cstr(&errors), "/nonexistent/parlance.conf: cannot be read: No "
						  "such file or directory\n");
}

static void test_none(void **state)
{
	size_t n;

	(void)state;
	put_config("[plugins]\nload = missing\n");
	assert_int_equal(load(config, "plugins.load=", NULL), 0);
	(void)plugins_sections(s.plugins, &n);
	assert_int_equal(n, 0);
	/* A program that needs none opens none. */
	setup_fini(&s);
	assert_int_equal(setup_load(&s, config, NULL, 0, &errors), 0);
	assert_null(s.plugins);
}

static void test_sample(void **state)
{
	const char *overrides[] = { directory, "plugins.load=plugin_good, plugin_good:b",
				    "plugins.root_only=no" };
	struct strbuf out;

	(void)state;
	strbuf_init(&out, SIZE_MAX);
	assert_int_equal(setup_sample(NULL, overrides, 3, &out, &errors), 0);
	assert_non_null(strstr(strbuf_cstr(&out), "# Says something.\n#[plugin_good]\n"
						  "#[plugin_good b]\n\n# Whether it shouts.\n"));
	assert_non_null(strstr(strbuf_cstr(&out), "[plugins]\n"));
	assert_non_null(strstr(strbuf_cstr(&out), "[http_client]\n"));
	/* It is a configuration itself, and one of defaults. */
	put_config(strbuf_cstr(&out));
	assert_int_equal(load(config, overrides[1], NULL), 0);
	strbuf_reset(&out);
	overrides[1] = "plugins.load=missing";
	assert_int_equal(setup_sample(NULL, overrides, 3, &out, &errors), PARLANCE_ENOENT);
	assert_non_null(strstr(strbuf_cstr(&errors), "/missing.so: cannot be read"));
	strbuf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_options_join, setup, teardown),
		cmocka_unit_test_setup_teardown(test_problems, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sample, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
