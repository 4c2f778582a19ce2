/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The error codes of the whole program: a function that can fail returns 0 or one of these
 * (negative). "Denied" and "could not tell" never share a code.
 */
#ifndef PARLANCE_BASE_ERR_H
#define PARLANCE_BASE_ERR_H

#ifdef __cplusplus
extern "C" {
#endif

/* The list is the only truth: it makes the enum and parlance_err_name(). It grows at the end. */
#define PARLANCE_ERR_LIST(X)                               \
	X(PARLANCE_ENOMEM, -1, "out of memory")            \
	X(PARLANCE_EINVAL, -2, "malformed input")          \
	X(PARLANCE_ETOOBIG, -3, "over a size limit")       \
	X(PARLANCE_EEXIST, -4, "exists already")           \
	X(PARLANCE_ENOENT, -5, "not found")                \
	X(PARLANCE_EDENIED, -6, "denied")                  \
	X(PARLANCE_EAGAIN, -7, "temporarily unavailable")  \
	X(PARLANCE_ETIMEDOUT, -8, "deadline passed")       \
	X(PARLANCE_ECANCELED, -9, "cancelled")             \
	X(PARLANCE_ECLOSED, -10, "closed")                 \
	X(PARLANCE_ELIMIT, -11, "over a configured limit") \
	X(PARLANCE_ESYS, -12, "the system refused")        \
	X(PARLANCE_ENOTSUP, -13, "not supported")

enum parlance_err {
#define X(name, value, text) name = value,
	PARLANCE_ERR_LIST(X)
#undef X
	    PARLANCE_OK = 0
};

/** The name of a code ("PARLANCE_ENOMEM"), "PARLANCE_OK" for 0, "PARLANCE_E?" for others. Static
 * text, any thread. */
const char *parlance_err_name(int err);

/** A short English text for a code. Static, any thread. */
const char *parlance_err_text(int err);

#ifdef __cplusplus
}
#endif
#endif
