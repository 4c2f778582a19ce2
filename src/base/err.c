/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Names and texts of the error codes, made from the list. Static data, any thread.
 */
#include "base/err.h"

const char *parlance_err_name(int err)
{
	switch (err) {
#define X(name, value, text) \
	case name:           \
		return #name;
		PARLANCE_ERR_LIST(X)
#undef X
	case PARLANCE_OK:
		return "PARLANCE_OK";
	default:
		return "PARLANCE_E?";
	}
}

const char *parlance_err_text(int err)
{
	switch (err) {
#define X(name, value, text) \
	case name:           \
		return text;
		PARLANCE_ERR_LIST(X)
#undef X
	case PARLANCE_OK:
		return "success";
	default:
		return "unknown error";
	}
}
