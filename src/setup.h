/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * From options to running layers: what every program that serves needs (the daemon, the test
 * server). Owns what the layers borrow. Loop thread.
 */
#ifndef PARLANCE_SETUP_H
#define PARLANCE_SETUP_H

#include "conf/conf.h"
#include "net/net.h"
#include "sio/sio.h"

#ifdef __cplusplus
extern "C" {
#endif

struct setup {
	struct conf *conf;
	struct ip_net *trusted_proxies;
	struct net_config net;
	struct sio_config sio;
};

/** Loads the configuration (conf_load) and checks all of it. 0, or a PARLANCE_E* with one problem
 * a line in errors. setup_fini in either case. */
MUST_USE int setup_load(struct setup *setup, const char *path, const char *const *overrides,
			size_t n_overrides, struct strbuf *errors);
void setup_fini(struct setup *setup);

/** Sets the log's level and format. */
void setup_log(const struct setup *setup);

/** Makes sure of enough open files for limits.max_connections, as far as the hard limit goes; logs
 * when that is not far enough. Before net_new. */
void setup_files(const struct setup *setup);

/** Opens all listeners. 0, or a PARLANCE_E* with a sentence in err. */
MUST_USE int setup_listen(const struct setup *setup, struct net *net, struct strbuf *err);

#ifdef __cplusplus
}
#endif
#endif
