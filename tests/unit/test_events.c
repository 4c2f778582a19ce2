/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The published contract, contrib/client/events.json, against the chat: the events that clients may
 * send, the events that the source emits, and the codes of errors. The folder of the sources is in
 * the environment's srcdir.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <json-c/json.h>

#include "core/private.h"

#define NAMES_MAX 256
#define NAME_MAX_LEN 64

struct names {
	char name[NAMES_MAX][NAME_MAX_LEN];
	size_t n;
};

static struct json_object *contract;

static const char *source_folder(void)
{
	const char *folder = getenv("srcdir");

	return folder ? folder : ".";
}

static struct json_object *member(struct json_object *object, const char *key)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		fail_msg("events.json has no \"%s\"", key);
	return value;
}

static bool has(struct json_object *object, const char *key)
{
	return json_object_object_get_ex(object, key, NULL);
}

static int load(void **state)
{
	char path[4096];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/contrib/client/events.json", source_folder());
	contract = json_object_from_file(path);
	if (!contract)
		print_error("%s (is srcdir the folder of the sources?)\n",
			    json_util_get_last_err());
	return contract ? 0 : -1;
}

static int unload(void **state)
{
	(void)state;
	json_object_put(contract);
	return 0;
}

/* ---- names ---- */

static bool contains(const struct names *names, const char *name)
{
	for (size_t i = 0; i < names->n; i++)
		if (strcmp(names->name[i], name) == 0)
			return true;
	return false;
}

static void add(struct names *names, const char *p, size_t len)
{
	char name[NAME_MAX_LEN];

	assert_in_range(len, 1, NAME_MAX_LEN - 1);
	memcpy(name, p, len);
	name[len] = '\0';
	if (contains(names, name))
		return;
	assert_true(names->n < NAMES_MAX);
	memcpy(names->name[names->n++], name, len + 1);
}

/* An event's name: words with colons between them, or one word. */
static bool is_name(const char *p, size_t len, bool *colon)
{
	*colon = false;
	if (!len || len >= NAME_MAX_LEN || p[0] == ':' || p[len - 1] == ':')
		return false;
	for (size_t i = 0; i < len; i++) {
		if (p[i] == ':')
			*colon = true;
		else if ((p[i] < 'a' || p[i] > 'z') && p[i] != '_')
			return false;
	}
	return true;
}

/* ---- reading C ---- */

struct scan {
	const char *p;
	struct names *emitted;  /* names that are an argument of a call that emits */
	struct names *literals; /* all literals with a colon that could be names */
	unsigned depth;         /* of parentheses */
	unsigned emitting;      /* the depth within such a call; 0: in none */
};

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

static const char *skip_quoted(const char *p)
{
	char quote = *p++;

	while (*p && *p != quote)
		p += p[0] == '\\' && p[1] ? 2 : 1;
	return *p ? p + 1 : p;
}

static const char *skip_comment(const char *p)
{
	const char *end = p[1] == '/' ? strchr(p, '\n') : strstr(p, "*/");

	if (!end)
		return p + strlen(p);
	return p[1] == '/' ? end : end + 2;
}

/* The calls that send an event: emit..., ..._emit..., tell..., and a message's name. */
static bool emits(const char *word, size_t len, const char *start)
{
	static const char *const verbs[] = { "emit", "tell" };

	for (size_t i = 0; i < 2; i++) {
		if (len >= 4 && strncmp(word, verbs[i], 4) == 0)
			return true;
		for (size_t at = 1; at + 4 < len + 1; at++)
			if (word[at - 1] == '_' && strncmp(word + at, verbs[i], 4) == 0)
				return true;
	}
	return len == 9 && strncmp(word, "slice_str", 9) == 0 && word - start > 8 &&
	       strncmp(word - 8, ".name = ", 8) == 0;
}

static void scan_word(struct scan *s, const char *start)
{
	const char *word = s->p;

	while (is_word(*s->p))
		s->p++;
	if (*s->p == '(' && !s->emitting && emits(word, (size_t)(s->p - word), start))
		s->emitting = s->depth + 1;
}

static void scan_literal(struct scan *s)
{
	const char *text = s->p + 1;
	bool colon;
	size_t len;

	s->p = skip_quoted(s->p);
	len = (size_t)(s->p - text) - 1;
	if (!is_name(text, len, &colon))
		return;
	if (colon)
		add(s->literals, text, len);
	if (s->emitting && s->depth == s->emitting)
		add(s->emitted, text, len);
}

static void scan_source(const char *text, struct names *emitted, struct names *literals)
{
	struct scan s = { .p = text, .emitted = emitted, .literals = literals };

	while (*s.p) {
		if (s.p[0] == '/' && (s.p[1] == '*' || s.p[1] == '/')) {
			s.p = skip_comment(s.p);
		} else if (*s.p == '\'') {
			s.p = skip_quoted(s.p);
		} else if (*s.p == '"') {
			scan_literal(&s);
		} else if (is_word(*s.p)) {
			scan_word(&s, text);
		} else {
			if (*s.p == '(')
				s.depth++;
			if (*s.p == ')' && s.depth-- == s.emitting)
				s.emitting = 0;
			s.p++;
		}
	}
	assert_int_equal(s.depth, 0);
}

static char *read_whole(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text;
	long len;

	if (!f)
		fail_msg("cannot open %s", path);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	len = ftell(f);
	assert_true(len > 0);
	rewind(f);
	text = malloc((size_t)len + 1);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, (size_t)len, f), len);
	text[len] = '\0';
	(void)fclose(f);
	return text;
}

static void scan_core(struct names *emitted, struct names *literals)
{
	char folder[4096];
	char path[8192];
	struct dirent *entry;
	size_t files = 0;
	DIR *dir;

	(void)snprintf(folder, sizeof(folder), "%s/src/core", source_folder());
	dir = opendir(folder);
	if (!dir)
		fail_msg("cannot open %s", folder);
	while ((entry = readdir(dir))) {
		size_t len = strlen(entry->d_name);
		char *text;

		if (len < 3 || strcmp(entry->d_name + len - 2, ".c") != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		text = read_whole(path);
		scan_source(text, emitted, literals);
		free(text);
		files++;
	}
	(void)closedir(dir);
	assert_true(files > 5);
}

/* ---- tests ---- */

static void test_scanner(void **state)
{
	static const char text[] =
	    "/* emit(\"a:comment\") */ // emit(\"a:line\")\n"
	    "emit(e, \"one\", x(\"inner:one\"), '\"', \"two:a_b\");\n"
	    "emit_both(a, \"c:d\",\n\t\"c:de\"); tell(j, \"t:u\"); member_emit(m, \"word\");\n"
	    "xemit(\"no:call\"); x.name = slice_str(\"m:n\"); slice_str(\"s:s\");\n"
	    "printf(\"%s: \\\"q:r\\\"\", \"text: not\", \":x\", \"x:\");\n";
	static const char *const emitted[] = { "one",  "two:a_b", "c:d", "c:de",
					       "t:u",  "word",    "m:n" };
	static const char *const others[] = { "inner:one", "no:call", "s:s" };
	static struct names e;
	static struct names l;

	(void)state;
	scan_source(text, &e, &l);
	for (size_t i = 0; i < ARRAY_LEN(emitted); i++)
		assert_true(contains(&e, emitted[i]));
	assert_int_equal(e.n, ARRAY_LEN(emitted));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_true(contains(&l, others[i]));
	/* All but "one" and "word". */
	assert_int_equal(l.n, ARRAY_LEN(emitted) - 2 + ARRAY_LEN(others));
}

static void test_client_events(void **state)
{
	struct json_object *events = member(contract, "clientEvents");
	const char *before = NULL;
	const char *name;
	size_t n = 0;

	(void)state;
	for (; (name = core_event_name(n)); n++) {
		if (!has(events, name))
			fail_msg("clients may send %s, but it is not in events.json", name);
		assert_true(!before || strcmp(before, name) < 0);
		before = name;
	}
	assert_true(n > 0);
	json_object_object_foreach (events, key, value) {
		size_t i = 0;

		(void)value;
		while (core_event_name(i) && strcmp(core_event_name(i), key) != 0)
			i++;
		if (i == n)
			fail_msg("%s of events.json has no handler", key);
	}
}

static void test_server_events(void **state)
{
	struct json_object *client = member(contract, "clientEvents");
	struct json_object *server = member(contract, "serverEvents");
	static struct names emitted;
	static struct names literals;

	(void)state;
	scan_core(&emitted, &literals);
	for (size_t i = 0; i < emitted.n; i++)
		if (!has(server, emitted.name[i]))
			fail_msg("%s is emitted, but not in events.json", emitted.name[i]);
	json_object_object_foreach (server, key, value) {
		(void)value;
		if (!contains(&emitted, key))
			fail_msg("%s of events.json is emitted nowhere", key);
	}
	/* An event that goes out by another way than those that the scanner knows. */
	for (size_t i = 0; i < literals.n; i++)
		if (!has(server, literals.name[i]) && !has(client, literals.name[i]))
			fail_msg("\"%s\" looks like an event, but is not in events.json",
				 literals.name[i]);
}

static void test_codes(void **state)
{
	static const enum core_code codes[] = {
#define X(constant, name, text, retryable) constant,
		CORE_CODE_LIST(X)
#undef X
	};
	struct json_object *values =
	    member(member(member(contract, "types"), "ErrorCode"), "values");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
		const char *name = code_name(codes[i]);

		if (!has(values, name))
			fail_msg("the code %s is not in events.json", name);
		if (json_object_get_boolean(member(member(values, name), "retryable")) !=
		    code_retryable(codes[i]))
			fail_msg("events.json and the chat differ on whether %s is retryable",
				 name);
	}
	/* As many, and all of the chat's: so these are the same. */
	assert_int_equal(json_object_object_length(values), ARRAY_LEN(codes));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scanner),
		cmocka_unit_test(test_client_events),
		cmocka_unit_test(test_server_events),
		cmocka_unit_test(test_codes),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
