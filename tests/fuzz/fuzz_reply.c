/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What an AI service says, chunk or error, and its Retry-After: a reply that is read has sane parts,
 * and what is malformed says why. The tokener is used again, as the plugin does. One thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "parlance/provider.h"

#include "../../plugins/provider_openai/reply.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json_tokener *tokener = json_tokener_new();
	char *exact = malloc(size ? size : 1);
	size_t left = size;
	const char *at = exact;

	CHECK(tokener && exact);
	if (size)
		memcpy(exact, data, size);
	/* A line each. */
	while (left) {
		const char *end = memchr(at, '\n', left);
		size_t len = end ? (size_t)(end - at) : left;
		const char *what = NULL;
		struct reply reply;
		int rc = reply_parse(&reply, tokener, (struct parlance_str){ at, len }, &what);

		CHECK(rc == 0 || (rc == -1 && what && *what));
		if (rc == 0) {
			CHECK(reply.finish >= 0 && reply.finish <= PARLANCE_FINISH_INTERNAL);
			CHECK(reply.error >= 0 && reply.error <= PARLANCE_FINISH_INTERNAL);
			CHECK(!reply.has_usage || (reply.usage.prompt_tokens >= -1 &&
						   reply.usage.completion_tokens >= -1 &&
						   reply.usage.total_tokens >= -1));
		}
		reply_fini(&reply);
		at += len + (end != NULL);
		left -= len + (end != NULL);
	}
	free(exact);
	json_tokener_free(tokener);
	return 0;
}
