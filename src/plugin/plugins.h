/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The plugins of the process: opened from the list in the configuration, made into instances, ended
 * together. auth.h, provider.h and storage.h of this folder are what the chat asks them for;
 * host.h is what they ask us for.
 *
 * Start: plugins_open (before the configuration is read in full, for their tables of options are a
 * part of it), plugins_create, then the loop runs; plugins_reload now and then. End: plugins_drain, plugins_destroy, loop runs
 * on until it is done, plugins_free. Loop thread.
 */
#ifndef PARLANCE_PLUGIN_PLUGINS_H
#define PARLANCE_PLUGIN_PLUGINS_H

#include "base/strbuf.h"
#include "conf/conf.h"
#include "loop/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

struct plugins;
struct http_client;

/** Opens the shared objects named by `load` ("auth_jwt", "provider_openai:local" for an instance of
 * that name, "/path/x.so"), names without a slash in `directory`. Refuses what is not ours to trust
 * (root_only: see load_check_file), not a plugin, of another ABI, twice the same instance, more than one
 * instance of auth or storage. 0, or a PARLANCE_E* with one sentence a problem in errors. Frees with
 * plugins_free in either case. */
MUST_USE int plugins_open(struct plugins **out, const struct conf_list *load, const char *directory,
			  bool root_only, struct strbuf *errors);

/** The tables of options of all plugins that were opened, n of them, valid until plugins_free; the
 * configuration is to be loaded with them. */
const struct conf_section *const *plugins_sections(const struct plugins *plugins, size_t *n);

/** True when a plugin of the kind (enum parlance_kind) was opened. */
bool plugins_have(const struct plugins *plugins, int kind);

/** Makes all instances, storage first. client is borrowed until plugins_free. 0, or a
 * PARLANCE_E* with a sentence in err; plugins_destroy is to be called in either case. */
MUST_USE int plugins_create(struct plugins *plugins, struct loop *loop, const struct conf *conf,
			    struct http_client *client, struct strbuf *err);

/** Gives all instances the options of another configuration, which was loaded with the same tables and
 * differs in reloadable options alone (conf_keep). When one refuses, those before it get theirs
 * back. From the loop, never from inside a plugin. 0, or a PARLANCE_E* with a sentence in err. */
MUST_USE int plugins_reload(struct plugins *plugins, const struct conf *conf, struct strbuf *err);

/** Tells all plugins, at the end of the turn, that the end is near. */
void plugins_drain(struct plugins *plugins);

/** Cancels every operation and, when all have completed, frees all instances in reverse order and
 * calls done(arg) from the loop. Plugins have two seconds for it; then the askers are told all the
 * same, and the log which plugin it was. Callbacks of operations are called until then, never
 * after. Only after plugins_create. */
void plugins_destroy(struct plugins *plugins, void (*done)(void *arg), void *arg);

/** Tells the counters of all instances (parlance_host.count): instance is "NAME" or
 * "NAME:INSTANCE". */
void plugins_counters(const struct plugins *plugins,
		      void (*each)(void *arg, const char *instance, const char *name, uint64_t n),
		      void *arg);

/** Closes the shared objects and clears the pointer. Instances must have been destroyed (or never
 * made). Harmless on NULL. */
void plugins_free(struct plugins **plugins);

/* What the six functions of struct parlance_host about the chat do; set by the chat. */
struct plugins_chat {
	void (*user_sockets)(void *ctx, struct slice user,
			     void (*each)(void *arg, struct slice socket), void *arg);
	struct slice (*socket_user)(void *ctx, struct slice socket);
	int (*broadcast_user)(void *ctx, struct slice user, struct slice event, struct slice json);
	int (*broadcast_conversation)(void *ctx, struct slice conversation, struct slice event,
				      struct slice json);
	void (*conversation_users)(void *ctx, struct slice conversation,
				   void (*each)(void *arg, struct slice user), void *arg);
	bool (*user_online)(void *ctx, struct slice user);
};

/** Before plugins_create, or with NULL to take it away; without it nobody is online. Borrowed. */
void plugins_set_chat(struct plugins *plugins, const struct plugins_chat *chat, void *ctx);

#ifdef __cplusplus
}
#endif
#endif
