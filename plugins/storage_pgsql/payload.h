/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Reading the payload of a notification of the feed. Whoever may connect to the database may also
 * notify, so it is taken for what it says only if it is JSON from end to end and has our form.
 */
#ifndef PARLANCE_STORAGE_PGSQL_PAYLOAD_H
#define PARLANCE_STORAGE_PGSQL_PAYLOAD_H

#include "parlance/plugin.h"

struct payload {
	struct parlance_str room; /* "r": a UUID */
	struct parlance_str type; /* "t": lower case letters, '.' and '_' */
	int64_t seq;              /* "s": from 1 */
	bool body;                /* it has "b", so it is the whole event */
};

/** Reads the payload; the strings point into it. False: it is not one of ours. */
bool payload_parse(struct parlance_str text, struct payload *out);

#endif
