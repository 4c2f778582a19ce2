/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the process gives up: privileges by execve, its memory in core dumps, and, with libseccomp,
 * the system calls that it has no use for. None of it can be taken back by code that an attacker
 * brings in. Before other threads run, but for sandbox_enter.
 */
#ifndef PARLANCE_SYS_SANDBOX_H
#define PARLANCE_SYS_SANDBOX_H

#include "base/strbuf.h"

/* AddressSanitizer needs calls of its own, among them prctl(PR_SET_DUMPABLE). */
#ifdef __SANITIZE_ADDRESS__
#define SANDBOX_SANITIZERS 1
#elif defined __has_feature
#if __has_feature(address_sanitizer)
#define SANDBOX_SANITIZERS 1
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

enum sandbox_mode {
	SANDBOX_ON = 1, /* what is not allowed fails, or ends the process (SIGSYS) */
	SANDBOX_LOG,    /* what is not allowed happens, and the kernel's log has it */
	SANDBOX_OFF,
};

/** No set-user-ID program gives more rights from here on (PR_SET_NO_NEW_PRIVS). 0 or
 * PARLANCE_ESYS. */
MUST_USE int sandbox_no_new_privs(void);

/** Whether the memory of the process may be dumped, and read by others of the same user
 * (PR_SET_DUMPABLE; core_pattern's programs respect it, which they do not RLIMIT_CORE). 0 or
 * PARLANCE_ESYS. */
MUST_USE int sandbox_set_dumpable(bool yes);

/** Before the loop is made: libraries must not set up what sandbox_enter forbids. Off: nothing. */
void sandbox_prepare(enum sandbox_mode mode);

/** Filters the system calls of all threads, those that run and those to come, for good. extra:
 * names of n more calls that are allowed. Without libseccomp, and with SANDBOX_OFF, this is only
 * logged. 0, or PARLANCE_ENOMEM or PARLANCE_ESYS with a sentence in err. Any thread; listen, and set limits,
 * before. */
MUST_USE int sandbox_enter(enum sandbox_mode mode, const char *const *extra, size_t n,
			   struct strbuf *err);

/** A system call that libseccomp knows, on whatever architecture; without libseccomp every name
 * is. */
bool sandbox_is_call(const char *name);

#ifdef __cplusplus
}
#endif
#endif
