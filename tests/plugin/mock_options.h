/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A plugin's struct of options, filled as the daemon's configuration would. Whoever filled it frees
 * it.
 */
#ifndef PARLANCE_TESTS_PLUGIN_MOCK_OPTIONS_H
#define PARLANCE_TESTS_PLUGIN_MOCK_OPTIONS_H

#include "mock_host.h"

#ifdef __cplusplus
extern "C" {
#endif

struct mock_options;

/** Fills a struct from the plugin's defaults, the environment, and the n options. NULL with a
 * sentence in err: an option does not exist, or its value does not fit. */
MUST_USE struct mock_options *mock_options_new(const struct parlance_plugin *plugin,
					       const struct mock_option *options, size_t n,
					       char *err, size_t err_size);
/** The struct as the plugin wants it. */
const void *mock_options_values(const struct mock_options *o);
/** Harmless on NULL. */
void mock_options_free(struct mock_options **o);

#ifdef __cplusplus
}
#endif
#endif
