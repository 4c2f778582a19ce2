/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the daemon counts, for those who watch it.
 */
#ifndef PARLANCE_METRICS_H
#define PARLANCE_METRICS_H

#include "core/core.h"
#include "net/net.h"
#include "plugin/plugins.h"

/** Writes everything in Prometheus' text format 0.0.4. Loop thread. */
void metrics_write(struct strbuf *out, const struct net *net, const struct core *core,
		   const struct plugins *plugins);

#endif
