/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the tests of conf share: two tables with an option of every type, and checks on them. Included
 * by one file of a program.
 */
#ifndef PARLANCE_TESTS_UNIT_CONF_FIXTURE_H
#define PARLANCE_TESTS_UNIT_CONF_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "conf/conf.h"

#include "base/err.h"

#define ENV_NAME "PARLANCE_TEST_PATH"

struct engine {
	bool cors;
	int64_t ping_interval_ms;
	int64_t offset;
	const char *path;
	const char *token;
	int transport;
	struct conf_list origins;
	struct conf_list keys;
};

struct listener {
	int64_t port;
	const char *address;
};

static const struct conf_choice transports[] = {
	{ "polling", 10 },
	{ "websocket", 20 },
	{ "both", 30 },
	{ NULL, 0 },
};

#define ENGINE(name_, type_) \
	.name = #name_, .type = type_, .offset = offsetof(struct engine, name_)
#define LISTENER(name_, type_) \
	.name = #name_, .type = type_, .offset = offsetof(struct listener, name_)

static const struct conf_option engine_options[] = {
	{ ENGINE(cors, CONF_BOOL), .def = "no", .flags = CONF_RELOADABLE,
	  .doc = "Whether browsers of other origins may connect." },
	{ ENGINE(ping_interval_ms, CONF_INT), .def = "25000", .min = 100, .max = 600000,
	  .unit = "ms", .doc = "Time between two pings." },
	{ ENGINE(offset, CONF_INT), .def = "0", .doc = "Any number there is." },
	{ ENGINE(path, CONF_STRING), .def = "/socket.io/", .min = 1, .max = 300, .env = ENV_NAME,
	  .doc = "Where clients find the server." },
	{ ENGINE(token, CONF_STRING), .def = "", .min = 0, .max = 20, .flags = CONF_SECRET,
	  .doc = "What nobody may see." },
	{ ENGINE(transport, CONF_ENUM), .def = "both", .choices = transports,
	  .doc = "How clients may connect." },
	{ ENGINE(origins, CONF_LIST), .def = "", .doc = "Origins that may connect." },
	{ ENGINE(keys, CONF_LIST), .def = "", .flags = CONF_SECRET, .doc = "Keys." },
};

static const struct conf_option listener_options[] = {
	{ LISTENER(port, CONF_INT), .def = "8080", .min = 0, .max = 65535, .doc = "The port." },
	{ LISTENER(address, CONF_STRING), .def = "127.0.0.1", .doc = "The address." },
};

static const struct conf_section engine_section = {
	.name = "engine",
	.struct_size = sizeof(struct engine),
	.options = engine_options,
	.n_options = ARRAY_LEN(engine_options),
	.doc = "Engine.IO.",
};

static const struct conf_section listener_section = {
	.name = "listener",
	.named = true,
	.struct_size = sizeof(struct listener),
	.options = listener_options,
	.n_options = ARRAY_LEN(listener_options),
	.doc = "A listener.",
};

/* Named, and there even where no file mentions it. */
static const struct conf_section peer_section = {
	.name = "peer",
	.named = true,
	.struct_size = sizeof(struct listener),
	.options = listener_options,
	.n_options = ARRAY_LEN(listener_options),
	.implicit = "self",
	.doc = "A peer.",
};

static const struct conf_section *const sections[] = { &engine_section, &listener_section,
						       &peer_section };

/* As those of plugins: the instances are given. */
static const char *const given[] = { "default", "local", NULL };
static const char *const given_one[] = { "local", NULL };

static const struct conf_section plugin_section = {
	.name = "plug",
	.named = true,
	.struct_size = sizeof(struct listener),
	.options = listener_options,
	.n_options = ARRAY_LEN(listener_options),
	.implicit = "default",
	.instances = given,
	.doc = "A plugin.",
};

static const struct conf_section other_section = {
	.name = "other",
	.named = true,
	.struct_size = sizeof(struct listener),
	.options = listener_options,
	.n_options = ARRAY_LEN(listener_options),
	.instances = given_one,
	.doc = "Another plugin.",
};

static const struct conf_section *const plugin_sections[] = { &plugin_section, &other_section,
							      &peer_section };

static struct strbuf errors;

static inline int setup(void **state)
{
	(void)state;
	strbuf_init(&errors, SIZE_MAX);
	return unsetenv(ENV_NAME);
}

static inline int teardown(void **state)
{
	(void)state;
	strbuf_fini(&errors);
	return 0;
}

static inline struct conf *parse_ok(const char *text)
{
	struct conf *c;
	int err;

	strbuf_reset(&errors);
	err = conf_parse(&c, sections, ARRAY_LEN(sections), "t.conf", text, strlen(text), &errors);
	assert_string_equal(strbuf_cstr(&errors), "");
	assert_int_equal(err, 0);
	assert_non_null(c);
	return c;
}

static inline const struct engine *engine_of(const struct conf *c)
{
	const struct engine *e = conf_get(c, "engine", NULL);

	assert_non_null(e);
	return e;
}

/* The text is refused with exactly these lines. */
static inline void check_errors(const char *text, const char *expected)
{
	struct conf *c;
	int err;

	strbuf_reset(&errors);
	err = conf_parse(&c, sections, ARRAY_LEN(sections), "t.conf", text, strlen(text), &errors);
	assert_string_equal(strbuf_cstr(&errors), expected);
	assert_int_equal(err, PARLANCE_EINVAL);
	assert_null(c);
}

static inline int load(struct conf **c, const char *path, const char *const *overrides, size_t n)
{
	strbuf_reset(&errors);
	return conf_load(c, sections, ARRAY_LEN(sections), path, overrides, n, &errors);
}

#endif
