/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The binary interface of plugins, version 1.0, for machines with 64-bit long and pointers: where
 * each field of each struct of the installed headers lies, and the value of each constant. What
 * stands here never changes; what is added to a struct comes behind, and gets a line of its own
 * and the struct a new size. Checked by the compiler: the test passes when it compiles.
 */
#include <limits.h>
#include <stdio.h>

#include "parlance/auth.h"
#include "parlance/plugin.h"
#include "parlance/provider.h"
#include "parlance/storage.h"

#if LONG_MAX == 0x7fffffffffffffff && UINTPTR_MAX == 0xffffffffffffffff

#define FIELD(type, field, offset)                                   \
	_Static_assert(offsetof(struct type, field) == (offset),     \
		       #type "." #field " has moved: plugins that were built before break")
#define SIZE(type, size)                                             \
	_Static_assert(sizeof(struct type) == (size),                \
		       #type ": its size has changed; a new field belongs at its end, and here")
#define VALUE(constant, value)                                       \
	_Static_assert((int)(constant) == (value),                   \
		       #constant " has changed: plugins that were built before break")

VALUE(PARLANCE_PLUGIN_MAGIC, 0x50524c43);
VALUE(PARLANCE_ABI_MAJOR, 1);
VALUE(PARLANCE_ABI_MINOR, 0);

/* plugin.h */

FIELD(parlance_str, p, 0);
FIELD(parlance_str, len, 8);
SIZE(parlance_str, 16);

FIELD(parlance_choice, name, 0);
FIELD(parlance_choice, value, 8);
SIZE(parlance_choice, 16);

FIELD(parlance_list, n, 0);
FIELD(parlance_list, items, 8);
SIZE(parlance_list, 16);

FIELD(parlance_option, name, 0);
FIELD(parlance_option, type, 8);
FIELD(parlance_option, flags, 12);
FIELD(parlance_option, offset, 16);
FIELD(parlance_option, def, 24);
FIELD(parlance_option, min, 32);
FIELD(parlance_option, max, 40);
FIELD(parlance_option, unit, 48);
FIELD(parlance_option, choices, 56);
FIELD(parlance_option, env, 64);
FIELD(parlance_option, doc, 72);
SIZE(parlance_option, 80);

FIELD(parlance_http_header, name, 0);
FIELD(parlance_http_header, value, 16);
SIZE(parlance_http_header, 32);

FIELD(parlance_http_request, size, 0);
FIELD(parlance_http_request, method, 8);
FIELD(parlance_http_request, url, 16);
FIELD(parlance_http_request, headers, 24);
FIELD(parlance_http_request, n_headers, 32);
FIELD(parlance_http_request, body, 40);
FIELD(parlance_http_request, connect_timeout_ms, 56);
FIELD(parlance_http_request, first_byte_timeout_ms, 60);
FIELD(parlance_http_request, idle_timeout_ms, 64);
FIELD(parlance_http_request, total_timeout_ms, 68);
FIELD(parlance_http_request, max_response_bytes, 72);
SIZE(parlance_http_request, 80);

FIELD(parlance_http_sink, size, 0);
FIELD(parlance_http_sink, head, 8);
FIELD(parlance_http_sink, data, 16);
FIELD(parlance_http_sink, done, 24);
SIZE(parlance_http_sink, 32);

FIELD(parlance_host, size, 0);
FIELD(parlance_host, abi_major, 4);
FIELD(parlance_host, abi_minor, 6);
FIELD(parlance_host, ctx, 8);
FIELD(parlance_host, instance, 16);
FIELD(parlance_host, sink, 24);
FIELD(parlance_host, log, 32);
FIELD(parlance_host, mono_ms, 40);
FIELD(parlance_host, wall_ms, 48);
FIELD(parlance_host, random, 56);
FIELD(parlance_host, timer_new, 64);
FIELD(parlance_host, timer_start, 72);
FIELD(parlance_host, timer_stop, 80);
FIELD(parlance_host, timer_free, 88);
FIELD(parlance_host, watch_new, 96);
FIELD(parlance_host, watch_set, 104);
FIELD(parlance_host, watch_free, 112);
FIELD(parlance_host, post, 120);
FIELD(parlance_host, offload, 128);
FIELD(parlance_host, offload_cancel, 136);
FIELD(parlance_host, http_start, 144);
FIELD(parlance_host, http_pause, 152);
FIELD(parlance_host, http_resume, 160);
FIELD(parlance_host, http_cancel, 168);
FIELD(parlance_host, secret, 176);
FIELD(parlance_host, count, 184);
FIELD(parlance_host, user_sockets, 192);
FIELD(parlance_host, socket_user, 200);
FIELD(parlance_host, broadcast_user, 208);
FIELD(parlance_host, broadcast_conversation, 216);
FIELD(parlance_host, conversation_users, 224);
FIELD(parlance_host, user_online, 232);
SIZE(parlance_host, 240);

FIELD(parlance_plugin, magic, 0);
FIELD(parlance_plugin, abi_major, 4);
FIELD(parlance_plugin, abi_minor, 6);
FIELD(parlance_plugin, size, 8);
FIELD(parlance_plugin, kind, 12);
FIELD(parlance_plugin, name, 16);
FIELD(parlance_plugin, version, 24);
FIELD(parlance_plugin, licence, 32);
FIELD(parlance_plugin, doc, 40);
FIELD(parlance_plugin, options, 48);
FIELD(parlance_plugin, n_options, 56);
FIELD(parlance_plugin, option_size, 64);
FIELD(parlance_plugin, options_size, 72);
FIELD(parlance_plugin, ops, 80);
FIELD(parlance_plugin, create, 88);
FIELD(parlance_plugin, reload, 96);
FIELD(parlance_plugin, drain, 104);
FIELD(parlance_plugin, destroy, 112);
SIZE(parlance_plugin, 120);

/* auth.h */

FIELD(parlance_auth_op, plugin, 0);
SIZE(parlance_auth_op, 8);

FIELD(parlance_auth_request, size, 0);
FIELD(parlance_auth_request, token, 8);
FIELD(parlance_auth_request, address, 24);
FIELD(parlance_auth_request, origin, 40);
FIELD(parlance_auth_request, issuer, 56);
FIELD(parlance_auth_request, audience, 72);
SIZE(parlance_auth_request, 88);

FIELD(parlance_identity, size, 0);
FIELD(parlance_identity, subject, 8);
FIELD(parlance_identity, expires_ms, 24);
FIELD(parlance_identity, claims, 32);
FIELD(parlance_identity, token_id, 48);
FIELD(parlance_identity, session, 64);
FIELD(parlance_identity, issued_ms, 80);
SIZE(parlance_identity, 88);

FIELD(parlance_auth_ops, size, 0);
FIELD(parlance_auth_ops, verify, 8);
FIELD(parlance_auth_ops, cancel, 16);
SIZE(parlance_auth_ops, 24);

FIELD(parlance_auth_sink, size, 0);
FIELD(parlance_auth_sink, accept, 8);
FIELD(parlance_auth_sink, reject, 16);
SIZE(parlance_auth_sink, 24);

/* provider.h */

FIELD(parlance_generation, plugin, 0);
SIZE(parlance_generation, 8);

FIELD(parlance_message, role, 0);
FIELD(parlance_message, text, 8);
SIZE(parlance_message, 24);

FIELD(parlance_prompt, size, 0);
FIELD(parlance_prompt, model, 8);
FIELD(parlance_prompt, messages, 24);
FIELD(parlance_prompt, n_messages, 32);
FIELD(parlance_prompt, options, 40);
FIELD(parlance_prompt, user, 56);
SIZE(parlance_prompt, 72);

FIELD(parlance_usage, size, 0);
FIELD(parlance_usage, prompt_tokens, 8);
FIELD(parlance_usage, completion_tokens, 16);
FIELD(parlance_usage, total_tokens, 24);
SIZE(parlance_usage, 32);

FIELD(parlance_end, size, 0);
FIELD(parlance_end, finish, 4);
FIELD(parlance_end, detail, 8);
FIELD(parlance_end, model, 16);
FIELD(parlance_end, usage, 32);
FIELD(parlance_end, retry_after_ms, 40);
SIZE(parlance_end, 48);

FIELD(parlance_model, size, 0);
FIELD(parlance_model, id, 8);
FIELD(parlance_model, title, 16);
SIZE(parlance_model, 24);

FIELD(parlance_provider_ops, size, 0);
FIELD(parlance_provider_ops, start, 8);
FIELD(parlance_provider_ops, resume, 16);
FIELD(parlance_provider_ops, cancel, 24);
FIELD(parlance_provider_ops, models, 32);
SIZE(parlance_provider_ops, 40);

FIELD(parlance_provider_sink, size, 0);
FIELD(parlance_provider_sink, delta, 8);
FIELD(parlance_provider_sink, end, 16);
SIZE(parlance_provider_sink, 24);

/* storage.h */

FIELD(parlance_storage_op, plugin, 0);
SIZE(parlance_storage_op, 8);

FIELD(parlance_storage_request, size, 0);
FIELD(parlance_storage_request, function, 4);
FIELD(parlance_storage_request, params, 8);
FIELD(parlance_storage_request, n_params, 16);
FIELD(parlance_storage_request, key, 24);
SIZE(parlance_storage_request, 40);

FIELD(parlance_storage_event, size, 0);
FIELD(parlance_storage_event, room, 8);
FIELD(parlance_storage_event, seq, 24);
FIELD(parlance_storage_event, type, 32);
FIELD(parlance_storage_event, json, 48);
SIZE(parlance_storage_event, 64);

FIELD(parlance_storage_ops, size, 0);
FIELD(parlance_storage_ops, submit, 8);
FIELD(parlance_storage_ops, cancel, 16);
FIELD(parlance_storage_ops, set_instance, 24);
SIZE(parlance_storage_ops, 32);

FIELD(parlance_storage_sink, size, 0);
FIELD(parlance_storage_sink, complete, 8);
FIELD(parlance_storage_sink, event, 16);
FIELD(parlance_storage_sink, feed, 24);
FIELD(parlance_storage_sink, ready, 32);
FIELD(parlance_storage_sink, message, 40);
SIZE(parlance_storage_sink, 48);

/* Constants */

VALUE(PARLANCE_AUTH, 1);
VALUE(PARLANCE_PROVIDER, 2);
VALUE(PARLANCE_STORAGE, 3);

VALUE(PARLANCE_OPTION_BOOL, 1);
VALUE(PARLANCE_OPTION_INT, 2);
VALUE(PARLANCE_OPTION_STRING, 3);
VALUE(PARLANCE_OPTION_ENUM, 4);
VALUE(PARLANCE_OPTION_LIST, 5);

VALUE(PARLANCE_OPTION_RELOADABLE, 1);
VALUE(PARLANCE_OPTION_SECRET, 2);

VALUE(PARLANCE_LOG_ERR, 3);
VALUE(PARLANCE_LOG_WARNING, 4);
VALUE(PARLANCE_LOG_NOTICE, 5);
VALUE(PARLANCE_LOG_INFO, 6);
VALUE(PARLANCE_LOG_DEBUG, 7);

VALUE(PARLANCE_IO_READ, 1);
VALUE(PARLANCE_IO_WRITE, 2);

VALUE(PARLANCE_HTTP_OK, 1);
VALUE(PARLANCE_HTTP_CANCELED, 2);
VALUE(PARLANCE_HTTP_CONNECT, 3);
VALUE(PARLANCE_HTTP_TIMEOUT, 4);
VALUE(PARLANCE_HTTP_CUT, 5);
VALUE(PARLANCE_HTTP_TOO_BIG, 6);
VALUE(PARLANCE_HTTP_FAILED, 7);

VALUE(PARLANCE_AUTH_DENIED, 1);
VALUE(PARLANCE_AUTH_EXPIRED, 2);
VALUE(PARLANCE_AUTH_TEMPORARY, 3);

VALUE(PARLANCE_ROLE_SYSTEM, 1);
VALUE(PARLANCE_ROLE_USER, 2);
VALUE(PARLANCE_ROLE_ASSISTANT, 3);

VALUE(PARLANCE_DELTA_TEXT, 1);
VALUE(PARLANCE_DELTA_REASONING, 2);
VALUE(PARLANCE_DELTA_TOOL_CALL, 3);

VALUE(PARLANCE_FLOW_OK, 1);
VALUE(PARLANCE_FLOW_AGAIN, 2);

VALUE(PARLANCE_FINISH_STOP, 1);
VALUE(PARLANCE_FINISH_LENGTH, 2);
VALUE(PARLANCE_FINISH_FILTER, 3);
VALUE(PARLANCE_FINISH_CANCELED, 4);
VALUE(PARLANCE_FINISH_RATE_LIMITED, 5);
VALUE(PARLANCE_FINISH_UNAVAILABLE, 6);
VALUE(PARLANCE_FINISH_TIMEOUT, 7);
VALUE(PARLANCE_FINISH_CUT, 8);
VALUE(PARLANCE_FINISH_REFUSED, 9);
VALUE(PARLANCE_FINISH_PROTOCOL, 10);
VALUE(PARLANCE_FINISH_INTERNAL, 11);

VALUE(PARLANCE_STORAGE_NONE, 0);
VALUE(PARLANCE_SESSION_OPEN, 1);
VALUE(PARLANCE_CONVERSATION_JOIN, 2);
VALUE(PARLANCE_CONVERSATION_ACCESS, 3);
VALUE(PARLANCE_CONVERSATION_LIST, 4);
VALUE(PARLANCE_CONVERSATION_CREATE, 5);
VALUE(PARLANCE_CONVERSATION_UPDATE, 6);
VALUE(PARLANCE_CONVERSATION_DELETE, 7);
VALUE(PARLANCE_CONVERSATION_SHARE, 8);
VALUE(PARLANCE_CONVERSATION_UNSHARE, 9);
VALUE(PARLANCE_CONVERSATION_VIEW, 10);
VALUE(PARLANCE_MESSAGE_LIST, 11);
VALUE(PARLANCE_MESSAGE_SEND, 12);
VALUE(PARLANCE_MESSAGE_STOP, 13);
VALUE(PARLANCE_GENERATION_BEGIN, 14);
VALUE(PARLANCE_GENERATION_FINISH, 15);
VALUE(PARLANCE_GENERATION_PARTS, 16);
VALUE(PARLANCE_FEED_HEADS, 17);
VALUE(PARLANCE_FEED_REPLAY, 18);
VALUE(PARLANCE_INSTANCE_REGISTER, 19);
VALUE(PARLANCE_INSTANCE_BEAT, 20);
VALUE(PARLANCE_INSTANCE_RETIRE, 21);
VALUE(PARLANCE_INSTANCE_REAP, 22);
VALUE(PARLANCE_MAINTAIN, 23);
VALUE(PARLANCE_INSTANCE_SEND, 24);
VALUE(PARLANCE_PRESENCE_SYNC, 25);
VALUE(PARLANCE_PRESENCE_ONLINE, 26);
VALUE(PARLANCE_PRESENCE_GET, 27);
VALUE(PARLANCE_BROADCAST, 28);

VALUE(PARLANCE_STORAGE_OK, 1);
VALUE(PARLANCE_STORAGE_UNAVAILABLE, 2);
VALUE(PARLANCE_STORAGE_UNKNOWN, 3);
VALUE(PARLANCE_STORAGE_CANCELED, 4);
VALUE(PARLANCE_STORAGE_FAILED, 5);

/* R5: what begins with its size. */
#define SIZED(type) _Static_assert(offsetof(struct type, size) == 0, #type " begins with its size")
SIZED(parlance_http_request);
SIZED(parlance_http_sink);
SIZED(parlance_host);
SIZED(parlance_auth_request);
SIZED(parlance_identity);
SIZED(parlance_auth_ops);
SIZED(parlance_auth_sink);
SIZED(parlance_prompt);
SIZED(parlance_usage);
SIZED(parlance_end);
SIZED(parlance_model);
SIZED(parlance_provider_ops);
SIZED(parlance_provider_sink);
SIZED(parlance_storage_request);
SIZED(parlance_storage_event);
SIZED(parlance_storage_ops);
SIZED(parlance_storage_sink);

int main(void)
{
	return 0;
}

#else

int main(void)
{
	(void)fputs("the table is for machines with 64-bit long and pointers\n", stderr);
	return 77; /* skipped */
}

#endif
