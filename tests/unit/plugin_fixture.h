/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the tests of plugin share: a set whose plugins lie in the test itself, from its beginning to
 * its end, and what was logged meanwhile. Included by one file of a program.
 */
#ifndef PARLANCE_TESTS_UNIT_PLUGIN_FIXTURE_H
#define PARLANCE_TESTS_UNIT_PLUGIN_FIXTURE_H

#include <unistd.h>

#include "loop_fixture.h"

#include "base/err.h"
#include "plugin/private.h"

#define DEADLINE_MS 5000 /* for whatever a test waits for */

static struct plugins *set;
static struct conf *conf;
static struct strbuf errors;
static int log_fd = -1;
static bool destroyed;

static struct timer deadline;
static bool late;

static inline void on_late(struct timer *timer)
{
	(void)timer;
	late = true;
	loop_stop(loop);
}

/* Runs turns of the loop until the condition holds; at the deadline the test fails. */
#define run_until(condition)                                                        \
	do {                                                                        \
		late = false;                                                       \
		loop_timer_start(loop, &deadline, DEADLINE_MS, on_late);            \
		while (!(condition) && !late)                                       \
			run_some();                                                 \
		timer_stop(&deadline);                                              \
		assert_true(condition);                                             \
	} while (0)

static struct timer tick;

static inline void on_tick(struct timer *timer)
{
	(void)timer;
	loop_stop(loop);
}

/* Some turns: until the next millisecond, or end_run. */
static inline void run_some(void)
{
	loop_timer_start(loop, &tick, 1, on_tick);
	run();
	timer_stop(&tick);
}

static inline int plugins_setup(void **state)
{
	char name[] = "/tmp/parlance-test-log-XXXXXX";

	destroyed = false;
	strbuf_init(&errors, SIZE_MAX);
	log_fd = mkstemp(name);
	assert_true(log_fd >= 0);
	assert_int_equal(unlink(name), 0);
	log_setup(LOG_LEVEL_DEBUG, LOG_FORMAT_KV, log_fd);
	set = plugins_new();
	assert_non_null(set);
	return loop_setup(state);
}

/* What was logged since the beginning of the test. */
static inline const char *logged(void)
{
	static char text[65536];
	ssize_t n = pread(log_fd, text, sizeof(text) - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static inline void forget_log(void)
{
	assert_int_equal(ftruncate(log_fd, 0), 0);
	assert_int_equal(lseek(log_fd, 0, SEEK_SET), 0);
}

#define assert_logged(what) assert_non_null(strstr(logged(), (what)))
#define assert_not_logged(what) assert_null(strstr(logged(), (what)))

static inline struct instance *add(const struct parlance_plugin *desc, const char *name)
{
	struct module *module = NULL;
	struct list *node;
	struct list *next;

	LIST_FOREACH_SAFE (node, next, &set->modules) {
		if (CONTAINER_OF(node, struct module, node)->desc == desc)
			module = CONTAINER_OF(node, struct module, node);
	}
	if (!module)
		module = plugins_add_module(set, NULL, desc, "/test.so");
	assert_non_null(module);
	assert_int_equal(plugins_add_instance(set, module, name, &errors), 0);
	return CONTAINER_OF(set->instances.prev, struct instance, node);
}

/* Makes the instances that were added; the result of plugins_create. */
static inline int create(const char *conf_text)
{
	const struct conf_section *const *sections;
	size_t n;

	assert_int_equal(plugins_make_sections(set), 0);
	sections = plugins_sections(set, &n);
	assert_int_equal(
	    conf_parse(&conf, sections, n, "t", conf_text, strlen(conf_text), &errors), 0);
	return plugins_create(set, loop, conf, NULL, &errors);
}

static inline void on_destroyed(void *arg)
{
	assert_ptr_equal(arg, &destroyed);
	assert_false(destroyed);
	destroyed = true;
}

static inline void destroy(void)
{
	plugins_destroy(set, on_destroyed, &destroyed);
	assert_false(destroyed);
	run_until(destroyed);
}

static inline int plugins_teardown(void **state)
{
	if (in_run)
		return -1;
	if (set && set->state == PLUGINS_MADE)
		destroy();
	plugins_free(&set);
	conf_free(&conf);
	strbuf_fini(&errors);
	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_KV, STDERR_FILENO);
	close(log_fd);
	return loop_teardown(state);
}

#define TEST_PLUGIN(kind_, name_, ops_)                                                 \
	.magic = PARLANCE_PLUGIN_MAGIC, .abi_major = PARLANCE_ABI_MAJOR,                \
	.abi_minor = PARLANCE_ABI_MINOR, .size = sizeof(struct parlance_plugin),        \
	.kind = (kind_), .name = (name_), .version = "1", .licence = "MIT", .doc = "A test.", \
	.ops = (ops_)

static inline struct parlance_str str(const char *text)
{
	return (struct parlance_str){ text, text ? strlen(text) : 0 };
}

#endif
