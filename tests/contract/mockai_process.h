/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The service of tests/tools/mockai.c as a process of its own, for the life of the test. Blocking.
 */
#ifndef PARLANCE_TESTS_CONTRACT_MOCKAI_PROCESS_H
#define PARLANCE_TESTS_CONTRACT_MOCKAI_PROCESS_H

/** Starts it ($MOCKAI, or ../tools/mockai seen from the folder of argv0) and returns its port. Ends
 * the program when that fails. */
int mockai_start(const char *argv0);
void mockai_stop(void);

/** A number of its GET /stats ("tokens", "active"). */
long mockai_stat(const char *name);

#endif
