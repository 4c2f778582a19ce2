/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Opening plugins: what is refused, and with which sentence; and one real shared object from the
 * file to its answer. The shared objects lie in PARLANCE_TEST_PLUGINS, a folder; the test copies
 * them to one of its own, for it looks at who may write there.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include "plugin_fixture.h"

#include "plugin/load.h"
#include "plugin/provider.h"

static char folder[] = "/tmp/parlance-test-load-XXXXXX";

static const char *in_folder(const char *name)
{
	static char path[16][256];
	static unsigned int turns;
	char *p = path[turns++ % 16];

	(void)snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

static void copy_plugin(const char *name, const char *as)
{
	const char *from_folder = getenv("PARLANCE_TEST_PLUGINS");
	static char bytes[4 * 1024 * 1024];
	char path[4096];
	size_t n;
	FILE *f;

	assert_non_null(from_folder);
	(void)snprintf(path, sizeof(path), "%s/%s", from_folder, name);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(bytes, 1, sizeof(bytes), f);
	assert_true(n > 0 && n < sizeof(bytes));
	assert_int_equal(fclose(f), 0);
	f = fopen(in_folder(as), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(in_folder(as), 0644), 0);
}

static int group_setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	copy_plugin("plugin_good.so", "plugin_good.so");
	copy_plugin("plugin_good.so", "plugin_other.so");
	copy_plugin("plugin_none.so", "plugin_none.so");
	assert_int_equal(mkdir(in_folder("sub"), 0755), 0);
	assert_int_equal(mkdir(in_folder("links"), 0755), 0);
	assert_int_equal(symlink("../plugin_good.so", in_folder("links/plugin_good.so")), 0);
	copy_plugin("plugin_good.so", "sub/plugin_good.so");
	return 0;
}

static int group_teardown(void **state)
{
	static const char *const files[] = { "plugin_good.so",	     "plugin_other.so",
					     "plugin_none.so",	     "text.so",
					     "links/plugin_good.so", "sub/plugin_good.so" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		(void)unlink(in_folder(files[i]));
	(void)rmdir(in_folder("sub"));
	(void)rmdir(in_folder("links"));
	return rmdir(folder);
}

/* ---- the file ---- */

static bool root_only;

static void check_file(const char *path, int rc, const char *sentence)
{
	char expected[1024];

	strbuf_reset(&errors);
	assert_int_equal(load_check_file(path, root_only, &errors), rc);
	if (!rc) {
		assert_string_equal(strbuf_cstr(&errors), "");
		return;
	}
	(void)snprintf(expected, sizeof(expected), "plugin %s", sentence);
	assert_string_equal(strbuf_cstr(&errors), expected);
}

/* The sentence with the file's path in place of each @, and the folder's in place of each ~. */
static const char *with_path(const char *format, const char *path)
{
	static char text[2048];
	struct strbuf sb;

	strbuf_init(&sb, sizeof(text) - 1);
	for (; *format; format++) {
		if (*format == '@')
			strbuf_append_str(&sb, path);
		else if (*format == '~')
			strbuf_append_str(&sb, folder);
		else
			strbuf_append_char(&sb, *format);
	}
	(void)snprintf(text, sizeof(text), "%s", strbuf_cstr(&sb));
	strbuf_fini(&sb);
	return text;
}

static void test_file(void **state)
{
	const char *good = in_folder("plugin_good.so");

	(void)state;
	check_file(good, 0, NULL);
	check_file(in_folder("links/plugin_good.so"), 0, NULL);
	check_file("plugin_good.so", PARLANCE_EINVAL,
		   "plugin_good.so: is not an absolute path; write the whole path from /, also in "
		   "[plugins] directory\n");
	check_file("/nonexistent/x.so", PARLANCE_ENOENT,
		   "/nonexistent/x.so: cannot be read: No such file or directory; look at load and "
		   "directory in [plugins]\n");
	check_file(folder, PARLANCE_EINVAL,
		   with_path("~: is not a file; name the shared object itself\n", ""));
	assert_int_equal(chmod(good, 0664), 0);
	check_file(good, PARLANCE_EDENIED,
		   with_path("@: others than its owner may write to it and so put in any code; run "
			     "chmod go-w @\n",
			     good));
	check_file(in_folder("links/plugin_good.so"), PARLANCE_EDENIED,
		   with_path("~/links/plugin_good.so: others than its owner may write to it and so "
			     "put in any code; run chmod go-w @\n",
			     good));
	assert_int_equal(chmod(good, 0646), 0);
	check_file(good, PARLANCE_EDENIED,
		   with_path("@: others than its owner may write to it and so put in any code; run "
			     "chmod go-w @\n",
			     good));
	assert_int_equal(chmod(good, 0644), 0);
	/* The folder, that of the link, that of its target. */
	assert_int_equal(chmod(in_folder("links"), 0775), 0);
	check_file(in_folder("links/plugin_good.so"), PARLANCE_EDENIED,
		   with_path("@: others than its owner may write to it and so put in any code; run "
			     "chmod go-w @\n",
			     in_folder("links")));
	assert_int_equal(chmod(in_folder("links"), 0755), 0);
	assert_int_equal(chmod(folder, 0702), 0);
	check_file(in_folder("links/plugin_good.so"), PARLANCE_EDENIED,
		   with_path("~: others than its owner may write to it and so put in any code; run "
			     "chmod go-w ~\n",
			     ""));
	check_file(good, PARLANCE_EDENIED,
		   with_path("~: others than its owner may write to it and so put in any code; run "
			     "chmod go-w ~\n",
			     ""));
	assert_int_equal(chmod(folder, 0700), 0);
	check_file(good, 0, NULL);
}

/* Only root can give a file away. */
static void test_owner(void **state)
{
	const char *good = in_folder("plugin_good.so");

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(good, 65534, 0), 0);
	check_file(good, PARLANCE_EDENIED,
		   with_path("@: belongs to user 65534, who could put in any code; make root its "
			     "owner (chown root @)\n",
			     good));
	assert_int_equal(chown(good, 0, 0), 0);
	assert_int_equal(chown(in_folder("sub"), 65534, 0), 0);
	check_file(in_folder("sub/plugin_good.so"), PARLANCE_EDENIED,
		   with_path("@: belongs to user 65534, who could put in any code; make root its "
			     "owner (chown root @)\n",
			     in_folder("sub")));
	assert_int_equal(chown(in_folder("sub"), 0, 0), 0);
}

#define OWN                                                                                       \
	"belongs to the daemon's own user, so whoever takes the daemon over could put in any "   \
	"code; make root its owner (chown root @), or, for development, set root_only = no in "   \
	"[plugins]\n"

static void check_own(const char *path, const char *what)
{
	check_file(path, PARLANCE_EDENIED, with_path("@: " OWN, what));
}

/* The daemon's own user, 65534, and root: file, folder, and the folders further up, for all of
 * which no writer but root is trusted. */
static void test_root_only(void **state)
{
	const char *good = in_folder("sub/plugin_good.so");
	const char *above = folder;

	(void)state;
	if (geteuid() != 0)
		skip();
	root_only = true;
	check_file(good, 0, NULL);
	check_file(in_folder("links/plugin_good.so"), 0, NULL);
	assert_int_equal(chmod(folder, 0777), 0);
	check_file(good, PARLANCE_EDENIED,
		   with_path("~: others than its owner may write to it and so put in any code; run "
			     "chmod go-w ~\n",
			     ""));
	root_only = false;
	check_file(good, 0, NULL);
	root_only = true;
	assert_int_equal(chmod(folder, 01777), 0);
	check_file(good, 0, NULL);
	assert_int_equal(chmod(folder, 0711), 0);
	assert_int_equal(chown(above, 65533, 0), 0);
	check_file(good, PARLANCE_EDENIED,
		   with_path("~: belongs to user 65533, who could put in any code; make root its "
			     "owner (chown root ~)\n",
			     ""));
	assert_int_equal(chown(above, 0, 0), 0);

	/* As that user. */
	assert_int_equal(seteuid(65534), 0);
	check_file(good, 0, NULL);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(chown(good, 65534, 0), 0);
	assert_int_equal(seteuid(65534), 0);
	check_own(good, good);
	root_only = false;
	check_file(good, 0, NULL);
	root_only = true;
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(chown(good, 0, 0) | chown(in_folder("sub"), 65534, 0), 0);
	assert_int_equal(seteuid(65534), 0);
	check_own(good, in_folder("sub"));
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(chown(in_folder("sub"), 0, 0) | chown(above, 65534, 0), 0);
	assert_int_equal(seteuid(65534), 0);
	check_own(good, above);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(chown(above, 0, 0) | chmod(above, 0700), 0);
	root_only = false;
}

/* ---- the descriptor ---- */

static void no_op(void)
{
}

static int create_nothing(void **self, const struct parlance_host *host, const void *options,
			  char *err, size_t err_size)
{
	(void)self;
	(void)host;
	(void)options;
	(void)err;
	(void)err_size;
	return 0;
}

static void destroy_nothing(void *self)
{
	(void)self;
}

struct values {
	bool flag;
	int64_t number;
};

static struct parlance_auth_ops auth_ops;
static struct parlance_provider_ops provider_ops;
static struct parlance_storage_ops storage_ops;
static struct parlance_option rows[3];
static struct parlance_plugin desc;

/* A descriptor that is in order. */
static void reset_descriptor(void)
{
	union {
		void (*none)(void);
		void (*verify)(void *, struct parlance_auth_op *,
			       const struct parlance_auth_request *);
		void (*cancel)(void *, struct parlance_auth_op *);
	} fn = { no_op };

	auth_ops = (struct parlance_auth_ops){ sizeof(auth_ops), fn.verify, fn.cancel };
	memset(&provider_ops, 0, sizeof(provider_ops));
	memset(&storage_ops, 0, sizeof(storage_ops));
	provider_ops.size = sizeof(provider_ops);
	storage_ops.size = sizeof(storage_ops);
	memset(rows, 0, sizeof(rows));
	rows[0] = (struct parlance_option){ .name = "flag",
					    .type = PARLANCE_OPTION_BOOL,
					    .offset = offsetof(struct values, flag),
					    .def = "no",
					    .doc = "A." };
	rows[1] = (struct parlance_option){ .name = "number",
					    .type = PARLANCE_OPTION_INT,
					    .offset = offsetof(struct values, number),
					    .def = "1",
					    .doc = "B." };
	desc = (struct parlance_plugin){
		TEST_PLUGIN(PARLANCE_AUTH, "auth_x", &auth_ops),
		.options = rows,
		.n_options = 2,
		.option_size = sizeof(rows[0]),
		.options_size = sizeof(struct values),
		.create = create_nothing,
		.destroy = destroy_nothing,
	};
}

static void check_descriptor(const struct parlance_plugin *d, const char *sentence)
{
	char expected[512];

	strbuf_reset(&errors);
	assert_int_equal(load_check_descriptor(d, "/p/auth_x.so", "auth_x", &errors),
			 sentence ? PARLANCE_EINVAL : 0);
	(void)snprintf(expected, sizeof(expected), "%s%s%s",
		       sentence ? "plugin /p/auth_x.so: " : "", sentence ? sentence : "",
		       sentence ? "\n" : "");
	assert_string_equal(strbuf_cstr(&errors), expected);
	reset_descriptor();
}

#define NOT_A_DESCRIPTOR                                                                         \
	"parlance_plugin_v1() does not return a plugin's descriptor; the file is damaged or no " \
	"plugin for parlanced"
#define OPS_MISSING                                                                        \
	"its table of functions (ops) is missing or too small; build the plugin with the " \
	"installed headers"
#define OPS_GAP "its table of functions (ops) has a gap; its author must mend that"
#define PARTS_MISSING                                                                        \
	"version, licence, doc, create or destroy is missing in its descriptor; its author " \
	"must mend that"

static void test_descriptor(void **state)
{
	(void)state;
	reset_descriptor();
	check_descriptor(&desc, NULL);
	check_descriptor(NULL, NOT_A_DESCRIPTOR);
	desc.magic++;
	check_descriptor(&desc, NOT_A_DESCRIPTOR);
	desc.abi_major = 2;
	check_descriptor(&desc, "was built for plugin interface 2.0, this parlanced has 1.0; "
				"install the plugin's version for it");
	desc.abi_minor = 1;
	check_descriptor(&desc, "needs plugin interface 1.1, this parlanced has 1.0; install a "
				"newer "
				"parlanced or an older version of the plugin");
	desc.size = sizeof(desc) - 1;
	check_descriptor(&desc, "its descriptor has 119 bytes where there must be 120 at least; "
				"build the plugin with the installed headers");
	desc.size = sizeof(desc) + 64; /* of a later version */
	check_descriptor(&desc, NULL);
	desc.kind = 4;
	check_descriptor(&desc, "is of kind 4, which this parlanced does not know; install a newer "
				"parlanced");
	desc.kind = 0;
	check_descriptor(&desc, "is of kind 0, which this parlanced does not know; install a newer "
				"parlanced");
	desc.name = "auth_y";
	check_descriptor(&desc, "is the plugin \"auth_y\"; call the file auth_y.so");
	desc.name = "Auth";
	check_descriptor(&desc, "has no proper name (small letters, digits and '_', a letter "
				"first); "
				"its author must mend that");
	desc.name = NULL;
	check_descriptor(&desc, "has no proper name (small letters, digits and '_', a letter "
				"first); "
				"its author must mend that");
	desc.version = NULL;
	check_descriptor(&desc, PARTS_MISSING);
	desc.licence = NULL;
	check_descriptor(&desc, PARTS_MISSING);
	desc.doc = NULL;
	check_descriptor(&desc, PARTS_MISSING);
	desc.create = NULL;
	check_descriptor(&desc, PARTS_MISSING);
	desc.destroy = NULL;
	check_descriptor(&desc, PARTS_MISSING);
}

static void test_ops(void **state)
{
	(void)state;
	reset_descriptor();
	desc.ops = NULL;
	check_descriptor(&desc, OPS_MISSING);
	auth_ops.size = 16;
	check_descriptor(&desc, OPS_MISSING);
	auth_ops.cancel = NULL;
	check_descriptor(&desc, OPS_GAP);
	auth_ops.verify = NULL;
	check_descriptor(&desc, OPS_GAP);
	desc.kind = PARLANCE_PROVIDER; /* which has more functions */
	check_descriptor(&desc, OPS_MISSING);
	desc.kind = PARLANCE_PROVIDER;
	desc.ops = &provider_ops;
	check_descriptor(&desc, OPS_GAP);
	desc.kind = PARLANCE_STORAGE;
	desc.ops = &storage_ops;
	check_descriptor(&desc, OPS_GAP);
	desc.kind = PARLANCE_STORAGE;
	desc.ops = &storage_ops;
	storage_ops.size = 8;
	check_descriptor(&desc, OPS_MISSING);
}

#define TABLE_WRONG                                                                             \
	"its table of options is missing or of a wrong size; build the plugin with the installed " \
	"headers"
#define OUTSIDE " lies outside the plugin's struct of options; its author must mend that"

static void test_options(void **state)
{
	static const struct parlance_choice none[] = { { NULL, 0 } };

	(void)state;
	reset_descriptor();
	desc.options = NULL;
	check_descriptor(&desc, TABLE_WRONG);
	desc.option_size = 8;
	check_descriptor(&desc, TABLE_WRONG);
	desc.n_options = 100000;
	check_descriptor(&desc, TABLE_WRONG);
	desc.options_size = SIZE_MAX;
	check_descriptor(&desc, TABLE_WRONG);
	rows[1].name = NULL;
	check_descriptor(&desc, "its option 2 has no proper name (small letters, digits and "
				"'_'); its "
				"author must mend that");
	rows[1].name = "a.b";
	check_descriptor(&desc, "its option 2 has no proper name (small letters, digits and "
				"'_'); its "
				"author must mend that");
	rows[1].name = "flag";
	check_descriptor(&desc, "its option \"flag\" is there twice; its author must mend that");
	rows[1].type = 6;
	check_descriptor(&desc, "its option \"number\" is of a type that this parlanced does not "
				"know; its author must mend that");
	rows[1].offset = sizeof(struct values) - 7;
	check_descriptor(&desc, "its option \"number\"" OUTSIDE);
	rows[1].offset = SIZE_MAX - 3;
	check_descriptor(&desc, "its option \"number\"" OUTSIDE);
	rows[1].offset = 4; /* not where an int64_t may be */
	check_descriptor(&desc, "its option \"number\"" OUTSIDE);
	desc.options_size = 15;
	check_descriptor(&desc, "its option \"number\"" OUTSIDE);
	rows[0].def = NULL;
	check_descriptor(&desc, "its option \"flag\" has no default or no sentence that "
				"explains it; "
				"its author must mend that");
	rows[0].doc = NULL;
	check_descriptor(&desc, "its option \"flag\" has no default or no sentence that "
				"explains it; "
				"its author must mend that");
	rows[1].min = 2;
	rows[1].max = 1;
	check_descriptor(&desc, "its option \"number\" has a range that ends before it begins; its "
				"author must mend that");
	rows[1].type = PARLANCE_OPTION_ENUM;
	check_descriptor(&desc, "its option \"number\" has no choices; its author must mend that");
	rows[1].type = PARLANCE_OPTION_ENUM;
	rows[1].choices = none;
	check_descriptor(&desc, "its option \"number\" has no choices; its author must mend that");
	desc.options = NULL;
	desc.n_options = 0;
	desc.options_size = 0;
	check_descriptor(&desc, NULL);
}

/* Rows of a later version are longer. */
static void test_long_rows(void **state)
{
	struct {
		struct parlance_option row;
		const char *more;
	} longer[2];

	(void)state;
	reset_descriptor();
	memset(longer, 0xff, sizeof(longer));
	longer[0].row = rows[0];
	longer[1].row = rows[1];
	desc.options = &longer[0].row;
	desc.option_size = sizeof(longer[0]);
	strbuf_reset(&errors);
	assert_int_equal(load_check_descriptor(&desc, "/p/auth_x.so", "auth_x", &errors), 0);
	assert_string_equal(load_option(&desc, 1).name, "number");
}

/* ---- the list ---- */

static int open_list(const char *const *items, size_t n)
{
	struct conf_list list = { n, items };

	plugins_free(&set);
	strbuf_reset(&errors);
	return plugins_open(&set, &list, folder, false, &errors);
}

static void check_item(const char *item, const char *sentence)
{
	char expected[1024];

	assert_int_equal(open_list(&item, 1), PARLANCE_EINVAL);
	(void)snprintf(expected, sizeof(expected), "[plugins] load: \"%s\" %s\n", item, sentence);
	assert_string_equal(strbuf_cstr(&errors), expected);
}

#define NO_NAME                                                                                  \
	"is not a plugin's name; write NAME, NAME:INSTANCE or the path of NAME.so, with small " \
	"letters, digits and '_' in the name"
#define NO_INSTANCE                                                                              \
	"has no proper name of an instance behind the colon; write 1 to 64 letters, digits, " \
	"'-', '_' or '.'"

static void test_items(void **state)
{
	const char *item = "plugin_none";

	(void)state;
	check_item("Plugin", NO_NAME);
	check_item("plugin_good.so", NO_NAME);
	check_item("../plugin_good", "is a path and does not end with .so");
	check_item("/x/.so", "is a path and does not end with .so");
	check_item("plugin_good:", NO_INSTANCE);
	check_item("plugin_good:a b", NO_INSTANCE);
	check_item("plugin_good:a:b", NO_INSTANCE);
	check_item(":a", NO_NAME);
	check_item("a23456789012345678901234567890123456789012345678901234567890123456",
		   "is too long for a plugin's name");
	assert_int_equal(open_list(&item, 1), PARLANCE_EINVAL);
	assert_string_equal(strbuf_cstr(&errors),
			    with_path("plugin @: is no plugin for parlanced: it does not export "
				      "parlance_plugin_v1\n",
				      in_folder("plugin_none.so")));
	item = "plugin_other"; /* a copy of plugin_good */
	assert_int_equal(open_list(&item, 1), PARLANCE_EINVAL);
	assert_string_equal(strbuf_cstr(&errors),
			    with_path("plugin @: is the plugin \"plugin_good\"; call the file "
				      "plugin_good.so\n",
				      in_folder("plugin_other.so")));
	item = "missing";
	assert_int_equal(open_list(&item, 1), PARLANCE_ENOENT);
	assert_string_equal(strbuf_cstr(&errors),
			    with_path("plugin ~/missing.so: cannot be read: No such file or "
				      "directory; look at load and directory in [plugins]\n",
				      ""));
	item = "./plugin_good.so";
	assert_int_equal(open_list(&item, 1), PARLANCE_EINVAL);
	assert_non_null(strstr(strbuf_cstr(&errors), "is not an absolute path"));
}

static void test_not_a_library(void **state)
{
	const char *item = "text";
	FILE *f = fopen(in_folder("text.so"), "w");

	(void)state;
	assert_non_null(f);
	assert_true(fputs("no library", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(in_folder("text.so"), 0644), 0);
	assert_int_equal(open_list(&item, 1), PARLANCE_EINVAL);
	assert_non_null(strstr(strbuf_cstr(&errors), "/text.so: cannot be loaded: "));
}

static void test_list(void **state)
{
	const char *const twice[] = { "plugin_good", "missing", "plugin_good:default" };
	const char *const paths[] = { "plugin_good", NULL };
	const char *both[2];

	(void)state;
	/* Every problem is told. */
	assert_int_equal(open_list(twice, 3), PARLANCE_ENOENT);
	assert_non_null(strstr(strbuf_cstr(&errors), "/missing.so: cannot be read"));
	assert_non_null(strstr(strbuf_cstr(&errors),
			       "[plugins] load: plugin_good:default is there twice; give one "
			       "another name (plugin_good:NAME)\n"));
	/* The same name from another file. */
	both[0] = paths[0];
	both[1] = in_folder("sub/plugin_good.so");
	assert_int_equal(open_list(both, 2), PARLANCE_EINVAL);
	assert_non_null(strstr(strbuf_cstr(&errors), "is in the list with another path as well"));
	/* A model's full name must say which provider it is. */
	both[1] = "plugin_good:plugin_good";
	assert_int_equal(open_list(both, 2), PARLANCE_EEXIST);
	assert_string_equal(strbuf_cstr(&errors),
			    "[plugins] load: two providers have the name \"plugin_good\"; give one "
			    "another (plugin_good:NAME)\n");
}

static void test_one_of_a_kind(void **state)
{
	struct module *module;

	(void)state;
	reset_descriptor();
	module = plugins_add_module(set, NULL, &desc, "/p/auth_x.so");
	assert_non_null(module);
	assert_int_equal(plugins_add_instance(set, module, "default", &errors), 0);
	assert_true(plugins_have(set, PARLANCE_AUTH));
	assert_false(plugins_have(set, PARLANCE_STORAGE));
	assert_int_equal(plugins_add_instance(set, module, "second", &errors), PARLANCE_EEXIST);
	assert_string_equal(strbuf_cstr(&errors),
			    "[plugins] load: there can be one auth plugin only; take out auth_x or "
			    "auth_x\n");
}

/* ---- from the file to an answer ---- */

static char said[256];
static bool ended;

static bool on_delta(void *arg, enum parlance_delta kind, struct slice piece)
{
	size_t len = strlen(said);

	(void)arg;
	(void)kind;
	(void)snprintf(said + len, sizeof(said) - len, "%.*s,", (int)piece.len, piece.p);
	return true;
}

static void on_end(void *arg, const struct parlance_end *end)
{
	(void)arg;
	assert_int_equal(end->finish, PARLANCE_FINISH_STOP);
	ended = true;
}

static const struct provider_ops asker = { on_delta, on_end };

static void check_said(const char *model, const char *expected)
{
	struct parlance_prompt prompt = { .size = sizeof(prompt), .model = str(model) };
	struct provider_call *call;

	said[0] = '\0';
	ended = false;
	assert_int_equal(provider_start(&call, set, &prompt, 1000, &asker, NULL), 0);
	run_until(ended);
	assert_string_equal(said, expected);
}

static void test_real(void **state)
{
	const char *const items[] = { "plugin_good", "plugin_good:second.one" };
	const struct conf_section *const *sections;
	size_t n;

	(void)state;
	assert_int_equal(open_list(items, 2), 0);
	assert_true(plugins_have(set, PARLANCE_PROVIDER));
	sections = plugins_sections(set, &n);
	assert_int_equal(n, 1);
	assert_string_equal(sections[0]->name, "plugin_good");
	assert_string_equal(sections[0]->implicit, "default");
	assert_int_equal(sections[0]->n_options, 5);
	assert_int_equal(create("[plugin_good second.one]\ntext = bye\ntimes = 2\ntone = high\n"),
			 0);
	check_said("", "hello,");
	check_said("second.one/good", "bye,bye,");
	assert_logged("plugin_good:second.one: loaded version=1.2");
	destroy();
	assert_not_logged("fault");
	assert_not_logged("bye");
}

static void test_create_fails(void **state)
{
	const char *const items[] = { "plugin_good", "plugin_good:nine" };

	(void)state;
	assert_int_equal(open_list(items, 2), 0);
	assert_int_equal(create("[plugin_good nine]\ntimes = 9\n"), PARLANCE_EINVAL);
	assert_string_equal(strbuf_cstr(&errors),
			    "plugin_good:nine: nine times is too often; set times below 9");
	/* What was made before is ended as always. */
	destroy();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_file, plugins_setup, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_owner, plugins_setup, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_root_only, plugins_setup, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_descriptor, plugins_setup, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_ops, plugins_setup, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_options, plugins_setup, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_long_rows, plugins_setup, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_items, plugins_setup, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_not_a_library, plugins_setup,
						plugins_teardown),
		cmocka_unit_test_setup_teardown(test_list, plugins_setup, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_one_of_a_kind, plugins_setup,
						plugins_teardown),
		cmocka_unit_test_setup_teardown(test_real, plugins_setup, plugins_teardown),
		cmocka_unit_test_setup_teardown(test_create_fails, plugins_setup, plugins_teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
