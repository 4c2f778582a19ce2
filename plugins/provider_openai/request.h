/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The body of a request: a prompt as the service wants it. Loop thread.
 */
#ifndef PROVIDER_OPENAI_REQUEST_H
#define PROVIDER_OPENAI_REQUEST_H

#include "parlance/provider.h"
#include "settings.h"

#ifdef __cplusplus
extern "C" {
#endif

struct json_object;

enum request_result {
	REQUEST_OK = 1,
	REQUEST_REFUSED, /* what the client asked for is out of range */
	REQUEST_NO_MEMORY,
};

/** *body is an object of json-c for the caller to put, only with REQUEST_OK. With REQUEST_REFUSED
 * err has a sentence. */
MUST_USE enum request_result request_build(struct json_object **body,
					   const struct settings *settings,
					   const struct parlance_prompt *prompt, char *err,
					   size_t err_size);

/** The body's text, as long as the body lives. NULL: out of memory. */
const char *request_text(struct json_object *body, size_t *len);

#ifdef __cplusplus
}
#endif
#endif
