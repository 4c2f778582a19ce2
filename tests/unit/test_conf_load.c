/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Files, folders, environment and overrides: their order, and what is said of the bad ones.
 */
#include <sys/stat.h>
#include <unistd.h>
#include "conf_fixture.h"

static char folder[] = "/tmp/parlance-test-conf-XXXXXX";

static void test_environment(void **state)
{
	struct conf *c;

	(void)state;
	assert_int_equal(setenv(ENV_NAME, " /env ", 1), 0);
	c = parse_ok("");
	assert_string_equal(engine_of(c)->path, "/env");
	conf_free(&c);
	c = parse_ok("[engine]\npath = /file\n");
	assert_string_equal(engine_of(c)->path, "/file");
	conf_free(&c);
	assert_int_equal(setenv(ENV_NAME, "", 1), 0);
	check_errors("",
		     ENV_NAME ": path of [engine] cannot be \"\"; write text of 1 to 300 bytes\n");
	assert_int_equal(setenv(ENV_NAME, "/a\n/b", 1), 0);
	check_errors("", ENV_NAME ": path of [engine] has a control character, which must go\n");
	assert_int_equal(setenv(ENV_NAME, "/a ;b", 1), 0);
	check_errors("", ENV_NAME ": path of [engine] has a ';' where a comment would begin; put "
				  "comments on lines of their own\n");
	assert_int_equal(setenv(ENV_NAME, "/a\\", 1), 0);
	check_errors("", ENV_NAME ": path of [engine] has a backslash as its last character, which "
				  "must go\n");
}

static const char *in_folder(const char *name)
{
	static char path[4][256];
	static unsigned int turn;
	char *p = path[turn++ % 4];

	(void)snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

static void put_file(const char *name, const char *text)
{
	FILE *f = fopen(in_folder(name), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void check_load_errors(const char *path, const char *format)
{
	char expected[1024];
	struct conf *c;

	assert_int_equal(load(&c, path, NULL, 0), PARLANCE_EINVAL);
	assert_null(c);
	/* The format takes the folder's name wherever it needs it. */
	(void)snprintf(expected, sizeof(expected), "%s%s", folder, format);
	assert_string_equal(strbuf_cstr(&errors), expected);
}

/* More files than a folder would give in this order by chance. */
static void check_folder_order(void)
{
	static const char order[] = "1BZcemqx";
	static const char written[] = "mcxqeBZ1";
	char file[32];
	char text[32];
	struct conf *c;
	const char *name;
	size_t i;

	for (i = 0; written[i]; i++) {
		(void)snprintf(file, sizeof(file), "other.d/%c.conf", written[i]);
		(void)snprintf(text, sizeof(text), "[listener %c]\n", written[i]);
		put_file(file, text);
	}
	assert_int_equal(load(&c, in_folder("other"), NULL, 0), 0);
	for (i = 0; order[i]; i++) {
		assert_non_null(conf_get_nth(c, "listener", i, &name));
		assert_int_equal(name[0], order[i]);
	}
	assert_null(conf_get_nth(c, "listener", i, NULL));
	conf_free(&c);
	for (i = 0; written[i]; i++) {
		(void)snprintf(file, sizeof(file), "other.d/%c.conf", written[i]);
		if (written[i] != '1')
			assert_int_equal(unlink(in_folder(file)), 0);
	}
}

static void test_load(void **state)
{
	const char *const overrides[] = { "engine.offset=5", "listener.b.port=2",
					  "listener.x.y.port=3", "engine.offset=6",
					  "peer.self.port=4" };
	const struct engine *e;
	const struct listener *l;
	const char *name;
	struct conf *c;

	(void)state;
	assert_non_null(mkdtemp(folder));
	/* Without a file; with one that is not there. */
	assert_int_equal(load(&c, NULL, NULL, 0), 0);
	assert_string_equal(engine_of(c)->path, "/socket.io/");
	conf_free(&c);
	assert_int_equal(load(&c, in_folder("parlance.conf"), NULL, 0), PARLANCE_ENOENT);
	assert_null(c);
	assert_non_null(strstr(strbuf_cstr(&errors),
			       "/parlance.conf: cannot be read: No such file or directory\n"));
	check_load_errors(folder, ": cannot be read: Is a directory\n");

	/* A file, then the folder in the order of names, then overrides; the last one wins. */
	put_file("parlance.conf", "[engine]\npath = /main\noffset = 1\ncors = yes\n"
				  "[listener b]\nport = 1\n");
	assert_int_equal(load(&c, in_folder("parlance.conf"), NULL, 0), 0);
	assert_string_equal(engine_of(c)->path, "/main");
	conf_free(&c);
	assert_int_equal(mkdir(in_folder("conf.d"), 0700), 0);
	assert_int_equal(mkdir(in_folder("parlance.conf.d"), 0700), 0);
	put_file("parlance.conf.d/a.conf", "[engine]\npath = /wrong-folder\n");
	put_file("conf.d/9.conf", "[engine]\npath = /nine\noffset = 9\n");
	put_file("conf.d/10.conf", "[engine]\npath = /ten\noffset = 10\n[listener a]\n");
	put_file("conf.d/Z.conf", "[engine]\npath = /Z\n");
	put_file("conf.d/a.conf", "[engine]\npath = /a\n");
	put_file("conf.d/z.conf~", "[engine]\nbackup = yes\n");
	put_file("conf.d/.z.conf", "[engine]\nhidden = yes\n");
	put_file("conf.d/.conf", "[engine]\nhidden = yes\n");
	assert_int_equal(load(&c, in_folder("parlance.conf"), overrides, ARRAY_LEN(overrides)), 0);
	e = engine_of(c);
	assert_string_equal(e->path, "/a");
	assert_int_equal(e->offset, 6);
	assert_true(e->cors);
	l = conf_get_nth(c, "listener", 0, &name);
	assert_string_equal(name, "b");
	assert_int_equal(l->port, 2);
	assert_non_null(conf_get_nth(c, "listener", 1, &name));
	assert_string_equal(name, "a");
	l = conf_get_nth(c, "listener", 2, &name);
	assert_string_equal(name, "x.y");
	assert_int_equal(l->port, 3);
	l = conf_get_nth(c, "peer", 0, &name);
	assert_string_equal(name, "self");
	assert_int_equal(l->port, 4);
	conf_free(&c);
	/* Without the override the tenth comes before the ninth. */
	assert_int_equal(load(&c, in_folder("parlance.conf"), NULL, 0), 0);
	assert_int_equal(engine_of(c)->offset, 9);
	conf_free(&c);

	/* A file of another name has a folder of its own. */
	put_file("other", "[engine]\npath = /other\n");
	assert_int_equal(mkdir(in_folder("other.d"), 0700), 0);
	put_file("other.d/1.conf", "[engine]\ncors = yes\n");
	assert_int_equal(load(&c, in_folder("other"), NULL, 0), 0);
	assert_string_equal(engine_of(c)->path, "/other");
	assert_true(engine_of(c)->cors);
	conf_free(&c);

	check_folder_order();

	/* Problems bear the names of their files. */
	put_file("other.d/1.conf", "[engine]\n\ncors = perhaps\n");
	check_load_errors(in_folder("other"), "/other.d/1.conf:3: cors of [engine] cannot be "
					      "\"perhaps\"; write yes or no\n");
	assert_int_equal(unlink(in_folder("other.d/1.conf")), 0);
	assert_int_equal(symlink("nowhere", in_folder("other.d/1.conf")), 0);
	check_load_errors(in_folder("other"),
			  "/other.d/1.conf: cannot be read: No such file or directory\n");
	assert_int_equal(unlink(in_folder("other.d/1.conf")), 0);
	assert_int_equal(rmdir(in_folder("other.d")), 0);
	put_file("other.d", "");
	check_load_errors(in_folder("other"), "/other.d: cannot be read: Not a directory\n");
	assert_int_equal(unlink(in_folder("other.d")), 0);
	assert_int_equal(truncate(in_folder("other"), 1024 * 1024 + 1), 0);
	check_load_errors(in_folder("other"),
			  "/other: is larger than a configuration may be (1048576 bytes)\n");
}

static int remove_folder(void **state)
{
	static const char *const files[] = {
		"parlance.conf.d/a.conf", "conf.d/9.conf",  "conf.d/10.conf", "conf.d/Z.conf",
		"conf.d/a.conf",          "conf.d/z.conf~", "conf.d/.z.conf", "conf.d/.conf",
		"other.d/1.conf",         "other.d",        "other",          "parlance.conf",
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(files); i++)
		(void)unlink(in_folder(files[i]));
	(void)rmdir(in_folder("other.d"));
	(void)rmdir(in_folder("conf.d"));
	(void)rmdir(in_folder("parlance.conf.d"));
	(void)rmdir(folder);
	return teardown(state);
}

static void test_bad_overrides(void **state)
{
	const char *const overrides[] = {
		"hunter2",
		"engine=hunter2",
		"engine.token=hunter2hunter2hunter2",
		"engine.tokem=hunter2",
		"engin.token=hunter2",
		"engine.a.token=hunter2",
		"listener.port=1",
		"engine.cors=maybe",
		"engine.path=a\nb",
		"engine.pa\nth=a",
		"=1",
		"",
	};
	struct conf *c;

	(void)state;
	assert_int_equal(load(&c, NULL, overrides, ARRAY_LEN(overrides)), PARLANCE_EINVAL);
	assert_null(c);
	assert_string_equal(
	    strbuf_cstr(&errors),
	    "override 1: write section.option=value or section.name.option=value\n"
	    "override 2: write section.option=value or section.name.option=value\n"
	    "override 3 (engine.token): token of [engine] does not fit (it is secret and not "
	    "shown); write text of 0 to 20 bytes\n"
	    "override 4 (engine.tokem): unknown option \"tokem\" in [engine]; did you mean "
	    "\"token\"?\n"
	    "override 5 (engin.token): unknown section \"engin\"; did you mean \"engine\"?\n"
	    "override 6 (engine.a.token): [engine] has no name of its own; write [engine] "
	    "alone\n"
	    "override 7 (listener.port): [listener] needs a name of its own; write [listener "
	    "NAME]\n"
	    "override 8 (engine.cors): cors of [engine] cannot be \"maybe\"; write yes or no\n"
	    "override 9 (engine.path): path of [engine] has a control character, which must "
	    "go\n"
	    "override 10: write section.option=value or section.name.option=value\n"
	    "override 11: write section.option=value or section.name.option=value\n"
	    "override 12: write section.option=value or section.name.option=value\n");
}

/* The messages have an end where the caller sets one; the verdict stands. */
static void test_errors_bounded(void **state)
{
	struct strbuf small;
	struct conf *c;

	(void)state;
	strbuf_init(&small, 10);
	assert_int_equal(conf_parse(&c, sections, ARRAY_LEN(sections), "t", "x", 1, &small),
			 PARLANCE_EINVAL);
	assert_int_equal(small.err, PARLANCE_ETOOBIG);
	strbuf_fini(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_environment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load, setup, remove_folder),
		cmocka_unit_test_setup_teardown(test_bad_overrides, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
