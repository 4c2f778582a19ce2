/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Fuzzes the configuration parser with a table that has every type. Beyond not crashing: what is
 * refused is explained, and what is accepted dumps to a text that is accepted and dumps the same.
 */
#include "conf/conf.h"

struct fuzz_values {
	bool flag;
	int64_t number;
	const char *text;
	int choice;
	struct conf_list list;
	const char *secret;
};

static const struct conf_choice choices[] = {
	{ "one", 1 },
	{ "two", 2 },
	{ NULL, 0 },
};

#define OPTION(name_, type_) \
	.name = #name_, .type = type_, .offset = offsetof(struct fuzz_values, name_)

static const struct conf_option options[] = {
	{ OPTION(flag, CONF_BOOL), .def = "no", .doc = "A flag." },
	{ OPTION(number, CONF_INT), .def = "5", .min = -10, .max = 1000000, .unit = "ms",
	  .doc = "A number." },
	{ OPTION(text, CONF_STRING), .def = "", .doc = "Any text." },
	{ OPTION(choice, CONF_ENUM), .def = "one", .choices = choices, .doc = "A choice." },
	{ OPTION(list, CONF_LIST), .def = "a, b", .doc = "A list." },
	{ OPTION(secret, CONF_STRING), .def = "", .min = 0, .max = 32, .flags = CONF_SECRET,
	  .doc = "A secret." },
};

static const struct conf_section single = {
	.name = "engine",
	.struct_size = sizeof(struct fuzz_values),
	.options = options,
	.n_options = ARRAY_LEN(options),
	.doc = "A section.",
};

static const struct conf_section several = {
	.name = "listener",
	.named = true,
	.struct_size = sizeof(struct fuzz_values),
	.options = options,
	.n_options = ARRAY_LEN(options),
	.implicit = "public",
	.doc = "Sections.",
};

static const struct conf_section *const sections[] = { &single, &several };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct strbuf errors;
	struct strbuf first;
	struct strbuf second;
	struct conf *c;
	int err;

	strbuf_init(&errors, SIZE_MAX);
	strbuf_init(&first, SIZE_MAX);
	strbuf_init(&second, SIZE_MAX);
	err = conf_parse(&c, sections, ARRAY_LEN(sections), "fuzz", (const char *)data, size,
			 &errors);
	CHECK((err == 0) == (c != NULL) && (err == 0) == (errors.len == 0));
	if (!err) {
		conf_dump(c, &first);
		conf_free(&c);
		err = conf_parse(&c, sections, ARRAY_LEN(sections), "dump", strbuf_cstr(&first),
				 first.len, &errors);
		CHECK(err == 0);
		conf_dump(c, &second);
		conf_free(&c);
		CHECK(strcmp(strbuf_cstr(&first), strbuf_cstr(&second)) == 0 ||
		      strstr(strbuf_cstr(&first), "# secret = (set)"));
	}
	strbuf_fini(&second);
	strbuf_fini(&first);
	strbuf_fini(&errors);
	return 0;
}
