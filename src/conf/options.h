/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The options of the daemon: one struct per section, one row per option in options.c.
 * conf_get(conf, "engine", NULL) gives the struct. The tables are constant; any thread.
 */
#ifndef PARLANCE_CONF_OPTIONS_H
#define PARLANCE_CONF_OPTIONS_H

#include "conf/conf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct options_log {
	int level;  /* enum log_level */
	int format; /* enum log_format */
	int64_t lines_per_second;
};

struct options_process {
	bool allow_root;
	int seccomp; /* enum sandbox_mode */
	struct conf_list seccomp_allow;
	bool core_dumps;
};

/* [listener NAME] */
struct options_listener {
	const char *address;
	const char *unix_mode; /* octal */
	bool reuse_port;
	bool proxy_protocol;
	const char *tls_cert;
	const char *tls_key;
	int64_t tls_reload_s;
	int tls_min_version; /* 12, 13 */
	const char *issuer;
	const char *audience;
	const char *tls_ciphers;
	const char *tls_ciphersuites;
	int64_t hsts_max_age_s;
	const char *redirect; /* an origin */
	bool admin;
};

struct options_engine {
	const char *path;
	int64_t ping_interval_ms;
	int64_t ping_timeout_ms;
	int64_t connect_timeout_ms;
	int64_t upgrade_timeout_ms;
	int64_t max_payload_bytes;
	bool websocket_compression;
	int64_t compression_threshold_bytes;
};

struct options_socket {
	int64_t authorize_timeout_ms;
	int64_t max_namespaces;
	int64_t max_rooms;
	int64_t max_pending_acks;
	int64_t max_attachments;
	int64_t max_attachment_bytes;
};

struct options_cors {
	struct conf_list origins;
	bool credentials;
	int64_t max_age_s;
	bool allow_no_origin;
};

struct options_limits {
	int64_t max_connections;
	int64_t max_connections_per_address;
	int64_t handshakes_per_second_per_address;
	int64_t handshake_burst_per_address;
	int64_t header_timeout_ms;
	int64_t body_timeout_ms;
	int64_t idle_timeout_ms;
	int64_t max_header_bytes;
	int64_t queue_high_bytes;
	int64_t queue_low_bytes;
	int64_t queue_soft_bytes;
	int64_t queue_soft_s;
	int64_t queue_hard_bytes;
	struct conf_list trusted_proxies;
};

struct options_web {
	const char *root;
	int64_t max_bytes;
	int64_t max_files;
};

struct options_chat {
	int aliases; /* enum core_aliases */
	bool query_token;
	int64_t auth_timeout_ms;
	int64_t token_notice_s;
	int64_t token_grace_s;
	int64_t storage_timeout_ms;
	int64_t history_messages;
	int64_t max_content_bytes;
	int64_t max_title_bytes;
	int64_t max_metadata_bytes;
	int64_t max_json_depth;
	int64_t queue_depth;
	int64_t events_per_second;
	int64_t user_events_per_second;
	int64_t user_bytes_per_second;
	int64_t max_sockets_per_user;
	int64_t max_answers_per_user;
	int64_t max_answers;
	int64_t chunk_interval_ms;
	int64_t full_bytes_per_s;
	int64_t max_answer_bytes;
	int64_t answer_timeout_ms;
	int64_t flush_interval_ms;
	int64_t flush_bytes;
	int64_t typing_timeout_ms;
	int64_t typing_repeat_ms;
	int64_t lease_beat_ms;
	int64_t heads_interval_ms;
	int64_t relay_interval_ms;
	int64_t recovery_window_s;
	int64_t recovery_max_events;
	int64_t drain_timeout_ms;
	int64_t drain_spread_ms;
	int64_t shutdown_timeout_ms;
};

struct options_cluster {
	const char *advertise;
};

struct options_plugins {
	struct conf_list load;
	const char *directory; /* empty: the one of the build */
	bool root_only;
};

struct options_http_client {
	const char *proxy;
	const char *ca_file;
	int64_t max_connections;
	int64_t max_connections_per_host;
	int64_t connect_timeout_ms;
	int64_t first_byte_timeout_ms;
	int64_t idle_timeout_ms;
	int64_t total_timeout_ms;
};

/** The tables of the daemon itself, n of them; those of plugins join them. */
const struct conf_section *const *options_sections(size_t *n);

/** The table of [plugins] alone, which is read before all others. */
const struct conf_section *options_plugins_section(void);

/** What no single row can check: values that must fit each other. 0, or PARLANCE_EINVAL with a
 * sentence for each problem in errors. */
MUST_USE int options_check(const struct conf *conf, struct strbuf *errors);

#ifdef __cplusplus
}
#endif
#endif
