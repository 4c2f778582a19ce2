/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Files to be served: what of a folder is taken and what is not, the limits to the byte, and what
 * a request's path and If-None-Match mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "net/files.h"

#define MANY 1000000

static char base[64];
static char root[128];
static struct files *files;
static struct strbuf err;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	strbuf_init(&err, 65536);
	log_setup(LOG_LEVEL_ERR, LOG_FORMAT_KV, 2);
	(void)snprintf(base, sizeof(base), "/tmp/parlance-test-files-XXXXXX");
	if (!mkdtemp(base))
		return -1;
	(void)snprintf(root, sizeof(root), "%s/root", base);
	return mkdir(root, 0700);
}

static int teardown(void **state)
{
	(void)state;
	files_free(&files);
	strbuf_fini(&err);
	return nftw(base, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

/* The path of a name beside or in the root; until the fourth call after this. */
static const char *at(const char *folder, const char *name)
{
	static char paths[4][4096];
	static unsigned int turn;
	char *path = paths[turn++ % 4];

	assert_in_range(snprintf(path, 4096, "%s/%s", folder, name), 1, 4095);
	return path;
}

static void put_bytes(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(close(fd), 0);
}

static void put(const char *name, const char *content)
{
	put_bytes(at(root, name), content, strlen(content));
}

static void load_ok(uint64_t max_bytes, uint32_t max_files)
{
	files_free(&files);
	assert_int_equal(files_load(&files, root, max_bytes, max_files, &err), 0);
	assert_int_equal(err.len, 0);
	assert_non_null(files);
}

/* The sentence that is wanted stands after "[web] root ROOT: ". */
static void load_fails(const char *where, uint64_t max_bytes, uint32_t max_files, int rc,
		       const char *why)
{
	char text[4096];

	files_free(&files);
	assert_int_equal(files_load(&files, where, max_bytes, max_files, &err), rc);
	assert_null(files);
	(void)snprintf(text, sizeof(text), "[web] root %s: %s", where, why);
	assert_string_equal(strbuf_cstr(&err), text);
	strbuf_reset(&err);
}

static const struct file *find(const char *path)
{
	return files_find(files, slice_str(path));
}

static void is_file(const char *path, const char *content, const char *type)
{
	const struct file *f = find(path);

	assert_non_null(f);
	assert_int_equal(f->body.len, strlen(content));
	assert_memory_equal(f->body.p, content, f->body.len);
	assert_string_equal(f->type, type);
}

static void test_found(void **state)
{
	static const char html[] = "text/html; charset=utf-8";
	static const char *const none[] = {
		"",	      "/a",	     "/sub",	  "//",	      "/sub//",	   "/./",
		"/../root/",  "/index.html/", "index.html", "/INDEX.HTML", "/index.htm", "/empty/",
		"/no-index/", "/sub/../",    "/\xc0\xae", "/index.html ", "/index.htmlx",
	};

	(void)state;
	put("index.html", "<p>top");
	assert_int_equal(mkdir(at(root, "sub"), 0700), 0);
	assert_int_equal(mkdir(at(root, "sub/deep"), 0700), 0);
	assert_int_equal(mkdir(at(root, "no-index"), 0700), 0);
	put("sub/index.html", "<p>sub");
	put("sub/deep/x.js", "x");
	put("no-index/y.css", "y");
	put("empty", "");
	put("a b%.txt", "odd");
	load_ok(MANY, 100);
	assert_int_equal(files_count(files), 6);
	assert_int_equal(files_bytes(files), 17);
	is_file("/", "<p>top", html);
	is_file("/index.html", "<p>top", html);
	is_file("/sub/", "<p>sub", html);
	is_file("/sub/deep/x.js", "x", "text/javascript; charset=utf-8");
	is_file("/no-index/y.css", "y", "text/css; charset=utf-8");
	is_file("/empty", "", "application/octet-stream");
	is_file("/a b%.txt", "odd", "text/plain; charset=utf-8");
	for (size_t i = 0; i < ARRAY_LEN(none); i++)
		assert_null(find(none[i]));
	/* The bytes count, not a terminator. */
	assert_null(files_find(files, slice_of("/index.html\0", 12)));
}

static void test_left_out(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	put("in.txt", "in");
	put(".hidden", "no");
	assert_int_equal(mkdir(at(root, ".git"), 0700), 0);
	put(".git/config", "no");
	/* Its name begins as the root's does. */
	assert_int_equal(mkdir(at(base, "root2"), 0700), 0);
	put_bytes(at(base, "root2/secret"), "no", 2);
	put_bytes(at(base, "secret"), "no", 2);
	assert_int_equal(symlink("../secret", at(root, "out")), 0);
	assert_int_equal(symlink(at(base, "secret"), at(root, "out-absolute")), 0);
	assert_int_equal(symlink("../root2/secret", at(root, "out-beside")), 0);
	assert_int_equal(symlink("in2", at(root, "chain")), 0);
	assert_int_equal(symlink("../root/out", at(root, "in2")), 0);
	assert_int_equal(symlink("nowhere", at(root, "dangling")), 0);
	assert_int_equal(symlink("self", at(root, "self")), 0);
	assert_int_equal(symlink(".", at(root, "loop")), 0);
	assert_int_equal(symlink("..", at(root, "up")), 0);
	assert_int_equal(mkfifo(at(root, "fifo"), 0600), 0);
	assert_in_range(snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/socket", root), 1,
			sizeof(addr.sun_path) - 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	load_ok(MANY, 100);
	close(fd);
	assert_int_equal(files_count(files), 1);
	assert_int_equal(files_bytes(files), 2);
	is_file("/in.txt", "in", "text/plain; charset=utf-8");
}

/* Links to files within: also as orchestrators lay them out, by way of a hidden folder. */
static void test_links(void **state)
{
	char link_to_root[128];

	(void)state;
	put("real.js", "code");
	assert_int_equal(symlink("real.js", at(root, "alias.css")), 0);
	assert_int_equal(mkdir(at(root, "..version"), 0700), 0);
	put("..version/page.html", "page");
	assert_int_equal(symlink("..version", at(root, "..data")), 0);
	assert_int_equal(symlink("..data/page.html", at(root, "index.html")), 0);
	load_ok(MANY, 100);
	assert_int_equal(files_count(files), 3);
	is_file("/alias.css", "code", "text/css; charset=utf-8");
	is_file("/", "page", "text/html; charset=utf-8");
	/* The root itself may be a link, and end in a slash. */
	(void)snprintf(link_to_root, sizeof(link_to_root), "%s/link/", base);
	assert_int_equal(symlink("root", at(base, "link")), 0);
	files_free(&files);
	assert_int_equal(files_load(&files, link_to_root, MANY, 100, &err), 0);
	assert_int_equal(files_count(files), 3);
}

static void test_limits(void **state)
{
	(void)state;
	load_ok(1, 1);
	assert_int_equal(files_count(files), 0);
	assert_null(find("/"));
	put("a", "1234");
	put("b", "56789");
	load_ok(9, 2);
	load_fails(root, 8, 2, PARLANCE_ELIMIT,
		   "its files have more than 8 bytes together (raise [web] max_bytes)");
	load_fails(root, 9, 1, PARLANCE_ELIMIT,
		   "it has more than 1 files (raise [web] max_files)");
	/* What is not served does not count. */
	put(".c", "and more");
	load_ok(9, 2);
}

static void test_depth(void **state)
{
	char path[256] = "";
	size_t len = 0;

	(void)state;
	for (int depth = 1; depth <= 33; depth++) {
		if (depth == 33)
			load_ok(MANY, 100);
		len += (size_t)snprintf(path + len, sizeof(path) - len, "%sd", len ? "/" : "");
		assert_int_equal(mkdir(at(root, path), 0700), 0);
	}
	load_fails(root, MANY, 100, PARLANCE_ELIMIT,
		   "folders lie more than 32 deep: /d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d/d"
		   "/d/d/d/d/d/d/d/d");
}

static void test_unreadable(void **state)
{
	(void)state;
	load_fails(at(base, "none"), MANY, 100, PARLANCE_ESYS,
		   "cannot open it: No such file or directory");
	put("file", "x");
	load_fails(at(root, "file"), MANY, 100, PARLANCE_ESYS, "cannot open it: Not a directory");
	if (geteuid() == 0)
		return; /* root may read everything */
	assert_int_equal(chmod(at(root, "file"), 0), 0);
	load_fails(root, MANY, 100, PARLANCE_ESYS, "cannot open /file: Permission denied");
	assert_int_equal(unlink(at(root, "file")), 0);
	assert_int_equal(mkdir(at(root, "locked"), 0), 0);
	load_fails(root, MANY, 100, PARLANCE_ESYS, "cannot open /locked: Permission denied");
}

static void test_types(void **state)
{
	static const struct {
		const char *name;
		const char *type;
	} cases[] = {
		{ "/A.HTML", "text/html; charset=utf-8" },
		{ "/a.svg", "image/svg+xml" },
		{ "/a.min.js", "text/javascript; charset=utf-8" },
		{ "/a.js.map", "application/json" },
		{ "/a.js.", "application/octet-stream" },
		{ "/js", "application/octet-stream" },
		{ "/a.woff2", "font/woff2" },
		{ "/a.unknown", "application/octet-stream" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		put(cases[i].name + 1, "");
	load_ok(MANY, 100);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		is_file(cases[i].name, "", cases[i].type);
}

/* The tag is the content's alone; the date is the file's, but not from the future. */
static void test_validators(void **state)
{
	static const struct timespec y1994[2] = { { 784111777, 0 }, { 784111777, 5 } };
	static const struct timespec y2100[2] = { { 4102444800, 0 }, { 4102444800, 0 } };
	char etag[FILES_ETAG_SIZE];

	(void)state;
	put("a", "same");
	put("b", "same");
	put("c", "Same");
	assert_int_equal(utimensat(AT_FDCWD, at(root, "a"), y1994, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, at(root, "b"), y2100, 0), 0);
	load_ok(MANY, 100);
	assert_string_equal(find("/a")->modified, "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_int_equal(strlen(find("/b")->modified), FILES_MODIFIED_SIZE - 1);
	assert_null(strstr(find("/b")->modified, "2100"));
	assert_string_equal(find("/a")->etag, find("/b")->etag);
	assert_string_not_equal(find("/a")->etag, find("/c")->etag);
	/* The same in every process and on every machine. */
	assert_string_equal(find("/a")->etag, "\"caf1986aa3d38ac88f4cc14070ae078e\"");
	memcpy(etag, find("/a")->etag, sizeof(etag));
	put("a", "samE");
	load_ok(MANY, 100);
	assert_string_not_equal(find("/a")->etag, etag);
	assert_string_equal(find("/b")->etag, etag);
}

static void test_decode(void **state)
{
	static const struct {
		const char *path;
		const char *decoded; /* NULL: malformed */
	} cases[] = {
		{ "", "" },
		{ "/plain", "/plain" },
		{ "/%61%7A%7e", "/az~" },
		{ "/%2e%2E/x", "/../x" },
		{ "/a%2fb", "/a/b" },
		{ "/%25%32%35", "/%25" }, /* once, not twice */
		{ "/a+b", "/a+b" },
		{ "/%c3%bc", "/\xc3\xbc" },
		{ "/%C0%AE", "/\xc0\xae" },
		{ "/%", NULL },
		{ "/%4", NULL },
		{ "/%g1", NULL },
		{ "/%1g", NULL },
		{ "/%%41", NULL },
		{ "/%00", NULL },
		{ "/index.html%00.png", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].path);
		/* Exactly as large as promised, and what is read is not terminated: the sanitizer
		 * looks. */
		char *path = malloc(len + 1);
		char *buf = malloc(len + 1);
		struct slice out;
		bool ok;

		assert_non_null(path);
		assert_non_null(buf);
		memcpy(path + 1, cases[i].path, len);
		ok = files_decode(slice_of(path + 1, len), buf + 1, &out);
		assert_int_equal(ok, cases[i].decoded != NULL);
		if (cases[i].decoded)
			assert_true(slice_is(out, cases[i].decoded));
		free(path);
		free(buf);
	}
	assert_int_equal(files_decode(slice_of("/a\0b", 4), (char[4]){ 0 }, &(struct slice){ 0 }),
			 false);
}

static void test_etag_matches(void **state)
{
	static const struct {
		const char *list;
		bool matches;
	} cases[] = {
		{ "\"abc\"", true },
		{ "W/\"abc\"", true },
		{ "*", true },
		{ "\"x\", \"abc\"", true },
		{ "\"x\",\tW/\"abc\" , \"y\"", true },
		{ ",, \"abc\"", true },
		{ "\"a,b\", \"abc\"", true },
		{ "", false },
		{ "abc", false },
		{ "\"abc", false },
		{ "\"", false },
		{ "W/", false },
		{ "W/\"", false },
		{ "\"ab\"", false },
		{ "\"abcd\"", false },
		{ "\"ABC\"", false },
		{ "w/\"abc\"", false },
		{ "\"x\" junk \"abc\"", false },
		{ "*, \"x\"", false },
		{ "\"x, \"abc\"", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].list);
		char *list = malloc(len + 1);

		assert_non_null(list);
		memcpy(list + 1, cases[i].list, len);
		assert_int_equal(files_etag_matches(slice_of(list + 1, len), "\"abc\""),
				 cases[i].matches);
		free(list);
	}
}

/* A file that cannot be held in one read, with every byte there is. */
static void test_binary(void **state)
{
	static char bytes[300000];
	const struct file *f;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 31 >> 3);
	put_bytes(at(root, "b.png"), bytes, sizeof(bytes));
	load_ok(sizeof(bytes), 1);
	f = find("/b.png");
	assert_non_null(f);
	assert_int_equal(f->body.len, sizeof(bytes));
	assert_memory_equal(f->body.p, bytes, sizeof(bytes));
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_found),
		TEST(test_left_out),
		TEST(test_links),
		TEST(test_limits),
		TEST(test_depth),
		TEST(test_unreadable),
		TEST(test_types),
		TEST(test_validators),
		TEST(test_decode),
		TEST(test_etag_matches),
		TEST(test_binary),
	};

	files_free(&files); /* harmless */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
