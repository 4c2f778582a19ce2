/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* What setup.c and setup_reload.c share. */
#ifndef PARLANCE_SETUP_PRIVATE_H
#define PARLANCE_SETUP_PRIVATE_H

#include "conf/options.h"
#include "setup.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Checks setup->conf and fills the layers' configs from it, which then borrow from it. 0, or a
 * PARLANCE_E* with one problem a line in errors. */
MUST_USE int setup_fill(struct setup *setup, struct strbuf *errors);

/** What a section of a listener says, borrowed from it. */
void setup_listener(const char *name, const struct options_listener *o,
		    struct net_listener_config *out);

#ifdef __cplusplus
}
#endif
#endif
