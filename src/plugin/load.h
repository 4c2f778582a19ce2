/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Opening a shared object and making sure that it is a plugin that fits. What is not ours to trust
 * is not opened, for opening a shared object runs its code. A refusal is one sentence that says what
 * to do, in a line of its own. Loop thread, before the loop runs.
 */
#ifndef PARLANCE_PLUGIN_LOAD_H
#define PARLANCE_PLUGIN_LOAD_H

#include "base/strbuf.h"
#include "parlance/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Checks and opens the file, and checks its descriptor; name is what the plugin must be called. 0,
 * *handle and *desc (valid until load_close); or PARLANCE_EDENIED (not safe), PARLANCE_ENOENT,
 * PARLANCE_EINVAL (not a plugin that fits), PARLANCE_ENOMEM with a line in errors. */
MUST_USE int load_open(void **handle, const struct parlance_plugin **desc, const char *path,
		       const char *name, bool root_only, struct strbuf *errors);

/** Closes it and clears the pointer. Harmless on NULL. */
void load_close(void **handle);

/** A regular file that nobody can have written, or put there, but root: file, the link's folder if
 * it is one, and every folder on the way to the file itself. root_only false: or we; then the
 * folders above that of the file are not looked at. */
MUST_USE int load_check_file(const char *path, bool root_only, struct strbuf *errors);

/** The descriptor alone; path is for the sentence. 0 or PARLANCE_EINVAL. */
MUST_USE int load_check_descriptor(const struct parlance_plugin *desc, const char *path,
				   const char *name, struct strbuf *errors);

/** The i-th row of the table of options, with what this host does not know left out and what the
 * plugin does not know zero. */
struct parlance_option load_option(const struct parlance_plugin *desc, size_t i);

/** [a-z][a-z0-9_]*, up to 64 bytes: the names of plugins and of options. */
bool load_is_name(const char *name);

#ifdef __cplusplus
}
#endif
#endif
