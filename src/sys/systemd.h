/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the service manager is told: sd_notify(3)'s datagrams on $NOTIFY_SOCKET, and the watchdog's
 * pings (sd_watchdog_enabled(3)). The protocol is a few lines of text, so no library is needed.
 * Nothing here waits: what the manager does not take at once is kept, the latest state and status
 * only, and tried again. Where no manager listens, every function does nothing. Loop thread.
 */
#ifndef PARLANCE_SYS_SYSTEMD_H
#define PARLANCE_SYS_SYSTEMD_H

#include "loop/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sys_notify;

/** Reads the environment. When it asks for a watchdog, pings begin, at half its interval, for as
 * long as the loop runs. A variable that makes no sense is logged and passed over. 0,
 * PARLANCE_ENOMEM or PARLANCE_ESYS. */
MUST_USE int sys_notify_new(struct sys_notify **out, struct loop *loop);

/** Tries once more to get rid of what the manager has not taken, then frees it and clears the
 * pointer. Before loop_free. Harmless on NULL. */
void sys_notify_free(struct sys_notify **n);

/** The daemon serves; also at the end of a reload. status (NULL: as it was) is for people, one
 * line, cut at SYS_NOTIFY_STATUS_MAX bytes. These four are harmless on NULL. */
void sys_notify_ready(struct sys_notify *n, const char *status);
void sys_notify_reloading(struct sys_notify *n);
void sys_notify_stopping(struct sys_notify *n);
void sys_notify_status(struct sys_notify *n, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define SYS_NOTIFY_STATUS_MAX 256

#ifdef __cplusplus
}
#endif
#endif
