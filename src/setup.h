/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * From options to running layers: what every program that serves needs (the daemon, the test
 * server). Owns what the layers borrow. Loop thread.
 */
#ifndef PARLANCE_SETUP_H
#define PARLANCE_SETUP_H

#include "conf/conf.h"
#include "core/core.h"
#include "loop/http_client.h"
#include "net/net.h"
#include "plugin/plugins.h"
#include "sio/sio.h"

#ifdef __cplusplus
extern "C" {
#endif

struct setup {
	struct conf *conf;
	struct ip_net *trusted_proxies;
	struct net_config net;
	struct sio_config sio;
	struct core_config chat;
	struct http_client_config http_client;
	struct plugins *plugins; /* opened; NULL after setup_load */
	const struct conf_section **sections; /* of the daemon and of the plugins */
	size_t n_sections;
};

/** Loads the configuration (conf_load) and checks all of it; no plugin is opened, and sections of
 * plugins are unknown. 0, or a PARLANCE_E* with one problem a line in errors. setup_fini in either
 * case. */
MUST_USE int setup_load(struct setup *setup, const char *path, const char *const *overrides,
			size_t n_overrides, struct strbuf *errors);

/** As setup_load, with plugins: those that [plugins] names are opened, and their options are a part
 * of the configuration. */
MUST_USE int setup_load_plugins(struct setup *setup, const char *path,
				const char *const *overrides, size_t n_overrides,
				struct strbuf *errors);

/** Appends a commented sample configuration, with the options of the plugins that [plugins] names in
 * the file (NULL: none) and the overrides. 0, or a PARLANCE_E* with one problem a line in errors. */
MUST_USE int setup_sample(const char *path, const char *const *overrides, size_t n_overrides,
			  struct strbuf *out, struct strbuf *errors);

/** After plugins_destroy, if there was plugins_create. */
void setup_fini(struct setup *setup);

/** Sets the log's level and format. */
void setup_log(const struct setup *setup);

/** Refuses root's rights, unless [process] says otherwise, and lets the process be dumped where it
 * says so. After setup_log. 0, or a PARLANCE_E* with a line in err. */
MUST_USE int setup_process(const struct setup *setup, struct strbuf *err);

/** Makes sure of enough open files for limits.max_connections, as far as the hard limit goes; logs
 * when that is not far enough. And sees to it that libraries use nothing that setup_sandbox
 * forbids. Before loop_new. */
void setup_prepare(const struct setup *setup);

/** Filters system calls as [process] says. When all is set up. 0, or a PARLANCE_E* with a sentence
 * in err. */
MUST_USE int setup_sandbox(const struct setup *setup, struct strbuf *err);

/** Opens all listeners. 0, or a PARLANCE_E* with a sentence in err. */
MUST_USE int setup_listen(const struct setup *setup, struct net *net, struct strbuf *err);

/** Whether certificates, keys and ciphers of all listeners could be used. 0, or a PARLANCE_E* with one
 * problem a line in errors. */
MUST_USE int setup_check_listeners(const struct setup *setup, struct strbuf *errors);

/** Reads the configuration anew, as setup_load_plugins did for this setup, and puts into force what may
 * change while the daemon runs: in the plugins, in the network, in the log. The layers' configs change
 * in their place. What has changed and needs a restart is named in `restart`. From the loop. 0, or a
 * PARLANCE_E* with one problem a line in errors: then all is as it was. */
MUST_USE int setup_reload(struct setup *setup, struct net *net, const char *path,
			  const char *const *overrides, size_t n_overrides,
			  struct strbuf *restart, struct strbuf *errors);

#ifdef __cplusplus
}
#endif
#endif
