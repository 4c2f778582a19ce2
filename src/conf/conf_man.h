/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The tables of options as a part of the manual: man/parlance.conf.5 holds what this writes. Pure,
 * any thread.
 */
#ifndef PARLANCE_CONF_CONF_MAN_H
#define PARLANCE_CONF_CONF_MAN_H

#include "conf/conf.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Appends a subsection (mdoc(7)) for each table, with a list of its options. A section that is
 * named by its instances gets its name alone as a header where that means one. */
void conf_man(const struct conf_section *const *sections, size_t n_sections, struct strbuf *out);

#ifdef __cplusplus
}
#endif
#endif
