/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The tables of options: the only truth about them. */
#include "conf/options.h"
#include "base/err.h"
#include "base/log.h"

#define MIB (1024 * 1024)

#define ROW(s, field) .name = #field, .offset = offsetof(struct options_##s, field)

static const struct conf_choice log_levels[] = {
#define X(name, value, text) { text, value },
	LOG_LEVEL_LIST(X)
#undef X
	    { NULL, 0 },
};

static const struct conf_choice log_formats[] = {
#define X(name, value, text) { text, value },
	LOG_FORMAT_LIST(X)
#undef X
	    { NULL, 0 },
};

static const struct conf_choice tls_versions[] = {
	{ "1.2", 12 },
	{ "1.3", 13 },
	{ NULL, 0 },
};

static const struct conf_option log_options[] = {
	{ ROW(log, level), .type = CONF_ENUM, .choices = log_levels, .def = "info",
	  .flags = CONF_RELOADABLE, .doc = "The least important messages that are logged." },
	{ ROW(log, format), .type = CONF_ENUM, .choices = log_formats, .def = "auto",
	  .flags = CONF_RELOADABLE, .doc = "How lines look: with journald's priority prefixes, as key=value with a time "
		 "stamp, or as JSON; auto is journal under systemd, else kv." },
	{ ROW(log, lines_per_second), .type = CONF_INT, .def = "10000", .min = 0, .max = 1000000,
	  .flags = CONF_RELOADABLE,
	  .doc = "What comes beyond is left out, errors aside, and a line says how many. What "
		 "strangers can cause has narrower limits of its own. 0: no limit." },
};

static const struct conf_choice seccomp_modes[] = {
	{ "yes", 1 },
	{ "log", 2 },
	{ "no", 3 },
	{ NULL, 0 },
};

static const struct conf_option process_options[] = {
	{ ROW(process, allow_root), .type = CONF_BOOL, .def = "no",
	  .doc = "Serves as root as well; the daemon needs no rights of root, and without this it "
		 "refuses to have them." },
	{ ROW(process, seccomp), .type = CONF_ENUM, .choices = seccomp_modes, .def = "yes",
	  .doc = "Filters the system calls of the daemon and its plugins once all is set up, where "
		 "it was built with libseccomp: what they do not need fails with ENOSYS, and running "
		 "a program, debugging, changing users, namespaces, mounts and the like kill the "
		 "process (SIGSYS); log lets all of that happen and has the kernel log it." },
	{ ROW(process, seccomp_allow), .type = CONF_LIST, .def = "",
	  .doc = "Names of further system calls that plugins need." },
	{ ROW(process, core_dumps), .type = CONF_BOOL, .def = "no",
	  .doc = "Lets the process dump core, and other processes of its user debug it. The "
		 "secrets of files are left out of a dump; what libraries make of them, and send, "
		 "is not: keys of TLS and of AI services, passwords of the database." },
};

static const struct conf_option listener_options[] = {
	{ ROW(listener, address), .type = CONF_STRING, .def = "127.0.0.1:3000", .min = 1,
	  .max = 255,
	  .doc = "Where to listen: host:port, [address]:port, unix:/path, or systemd:NAME for a "
		 "socket that systemd passes." },
	{ ROW(listener, unix_mode), .type = CONF_STRING, .def = "0660", .min = 3, .max = 4,
	  .doc = "Permissions of a Unix socket, in octal." },
	{ ROW(listener, reuse_port), .type = CONF_BOOL, .def = "no",
	  .doc = "Lets several processes of the same user listen on the port and share its "
		 "connections (SO_REUSEPORT)." },
	{ ROW(listener, proxy_protocol), .type = CONF_BOOL, .def = "no",
	  .doc = "Every connection begins with a PROXY protocol header (version 1 or 2) that names "
		 "the client; needs limits.trusted_proxies, and refuses peers that are not in it." },
	{ ROW(listener, tls_cert), .type = CONF_STRING, .def = "", .max = 4095,
	  .flags = CONF_RELOADABLE | CONF_SWITCH,
	  .doc = "Certificate in PEM, behind it those that lead to the authority's; with it the "
		 "listener speaks TLS only. A reload reads it anew, but does not begin or end "
		 "TLS." },
	{ ROW(listener, tls_key), .type = CONF_STRING, .def = "", .max = 4095,
	  .flags = CONF_RELOADABLE | CONF_SWITCH,
	  .doc = "Private key of the certificate, in PEM without a passphrase; refused when "
		 "everybody can read the file." },
	{ ROW(listener, tls_reload_s), .type = CONF_INT, .def = "3600", .min = 0, .max = 604800,
	  .unit = "s", .flags = CONF_RELOADABLE,
	  .doc = "How often the daemon looks whether tls_cert or tls_key has changed, and takes "
		 "the new one; 0 leaves that to SIGHUP." },
	{ ROW(listener, tls_min_version), .type = CONF_ENUM, .choices = tls_versions, .def = "1.2",
	  .doc = "The oldest version of TLS that is accepted." },
	{ ROW(listener, issuer), .type = CONF_STRING, .def = "", .max = 255,
	  .doc = "Clients that come in here need a token of this issuer, beside what the auth "
		 "plugin's own options demand; empty: any." },
	{ ROW(listener, audience), .type = CONF_STRING, .def = "", .max = 255,
	  .doc = "Clients that come in here need a token for this audience, likewise. A session "
		 "cannot be used through a listener with another issuer or audience than the one "
		 "that it began at, of this instance or another." },
	{ ROW(listener, tls_ciphers), .type = CONF_STRING, .def = "", .max = 4095,
	  .doc = "Ciphers for TLS 1.2, as OpenSSL's ciphers(1) writes them; empty: what OpenSSL "
		 "has by default." },
	{ ROW(listener, tls_ciphersuites), .type = CONF_STRING, .def = "", .max = 4095,
	  .doc = "Cipher suites for TLS 1.3, with colons between; empty: what OpenSSL has by "
		 "default." },
	{ ROW(listener, hsts_max_age_s), .type = CONF_INT, .def = "0", .min = 0, .max = 63072000,
	  .unit = "s", .flags = CONF_RELOADABLE,
	  .doc = "Tells browsers with every answer to come by HTTPS alone for so long "
		 "(Strict-Transport-Security); 0: no. For listeners with TLS." },
	{ ROW(listener, redirect), .type = CONF_STRING, .def = "", .max = 255,
	  .flags = CONF_RELOADABLE,
	  .doc = "Sends every request to the same path at this place, with 308, and does nothing "
		 "else: https://host or https://host:port. For listeners without TLS." },
	{ ROW(listener, admin), .type = CONF_BOOL, .def = "no",
	  .doc = "Answers only /healthz (200 while the process works), /readyz (200 when it can "
		 "serve clients, else 503 with the reason) and /metrics (for Prometheus), on up to "
		 "64 connections that no limit counts; other listeners do not serve these paths." },
};

static const struct conf_option engine_options[] = {
	{ ROW(engine, path), .type = CONF_STRING, .def = "/socket.io/", .min = 1, .max = 255,
	  .doc = "Path of the endpoint; it begins with a slash, and is served with and without the "
		 "slash at its end." },
	{ ROW(engine, ping_interval_ms), .type = CONF_INT, .def = "25000", .min = 10,
	  .max = 3600000, .unit = "ms",
	  .doc = "Time between a client's answer to a ping and the next ping." },
	{ ROW(engine, ping_timeout_ms), .type = CONF_INT, .def = "20000", .min = 10, .max = 3600000,
	  .unit = "ms",
	  .doc = "A client that does not answer a ping in this time is disconnected." },
	{ ROW(engine, connect_timeout_ms), .type = CONF_INT, .def = "45000", .min = 10,
	  .max = 3600000, .unit = "ms",
	  .doc = "A session that joins no namespace in this time is closed." },
	{ ROW(engine, upgrade_timeout_ms), .type = CONF_INT, .def = "10000", .min = 10,
	  .max = 3600000, .unit = "ms",
	  .doc = "An upgrade from polling to WebSocket that is not completed in this time is given "
		 "up; polling goes on." },
	{ ROW(engine, max_payload_bytes), .type = CONF_INT, .def = "1000000", .min = 1024,
	  .max = 256 * MIB, .unit = "bytes",
	  .doc =
	      "The largest message, and the largest body of a polling request, that is accepted." },
	{ ROW(engine, websocket_compression), .type = CONF_BOOL, .def = "no",
	  .doc = "Offers permessage-deflate; costs about 90 KiB a connection, and needs "
		 "libwebsockets 4.3 or later." },
	{ ROW(engine, compression_threshold_bytes), .type = CONF_INT, .def = "1024", .min = 0,
	  .max = 256 * MIB, .unit = "bytes", .doc = "Smaller messages are not compressed." },
};

static const struct conf_option socket_options[] = {
	{ ROW(socket, authorize_timeout_ms), .type = CONF_INT, .def = "10000", .min = 10,
	  .max = 600000, .unit = "ms",
	  .doc = "A CONNECT whose authorisation takes longer is refused." },
	{ ROW(socket, max_namespaces), .type = CONF_INT, .def = "8", .min = 1, .max = 1000,
	  .doc = "Namespaces that one session may join." },
	{ ROW(socket, max_rooms), .type = CONF_INT, .def = "1000", .min = 2, .max = 1000000,
	  .doc = "Rooms that one socket may be in." },
	{ ROW(socket, max_pending_acks), .type = CONF_INT, .def = "1000", .min = 1, .max = 100000,
	  .doc = "Acknowledgements that one socket may owe; further events that ask for one are not "
		 "sent." },
	{ ROW(socket, max_attachments), .type = CONF_INT, .def = "10", .min = 0, .max = 1024,
	  .doc = "Binary attachments of one packet; a packet that announces more closes the "
		 "session." },
	{ ROW(socket, max_attachment_bytes), .type = CONF_INT, .def = "10000000", .min = 0,
	  .max = 1024 * (int64_t)MIB, .unit = "bytes",
	  .doc = "Bytes of all binary attachments of one packet." },
};

static const struct conf_option cors_options[] = {
	{ ROW(cors, origins), .type = CONF_LIST, .def = "", .env = "CORS_ORIGIN",
	  .flags = CONF_RELOADABLE,
	  .doc = "Origins of web pages that may connect, like https://chat.example or "
		 "https://*.example; * allows all; pages served by the same host and port always "
		 "may." },
	{ ROW(cors, credentials), .type = CONF_BOOL, .def = "yes",
	  .flags = CONF_RELOADABLE,
	  .doc = "Lets pages of the listed origins send cookies and authorisation headers; never "
		 "when the list has *." },
	{ ROW(cors, max_age_s), .type = CONF_INT, .def = "600", .min = 0, .max = 86400, .unit = "s",
	  .flags = CONF_RELOADABLE,
	  .doc = "How long browsers may remember the answer to a preflight request." },
	{ ROW(cors, allow_no_origin), .type = CONF_BOOL, .def = "yes",
	  .flags = CONF_RELOADABLE,
	  .doc = "Serves clients that send no Origin header: programs other than browsers." },
};

static const struct conf_option limits_options[] = {
	{ ROW(limits, max_connections), .type = CONF_INT, .def = "10000", .min = 1, .max = 1000000,
	  .doc = "Connections at a time, and sessions at a time; the process needs as many open "
		 "files, and 256 more. Beyond it handshakes are answered with 503." },
	{ ROW(limits, max_connections_per_address), .type = CONF_INT, .def = "0", .min = 0,
	  .max = 1000000,
	  .flags = CONF_RELOADABLE,
	  .doc = "Connections at a time, and sessions at a time, from one client address (IPv6: one "
		 "/64 network); 0 is no limit." },
	{ ROW(limits, handshakes_per_second_per_address), .type = CONF_INT, .def = "0", .min = 0,
	  .max = 1000000,
	  .flags = CONF_RELOADABLE,
	  .doc = "New sessions per second from one client address; beyond it handshakes are "
		 "answered with 429; 0 is no limit." },
	{ ROW(limits, handshake_burst_per_address), .type = CONF_INT, .def = "20", .min = 1,
	  .max = 1000000,
	  .flags = CONF_RELOADABLE,
	  .doc = "New sessions from one client address at once, before the rate counts; at least "
		 "the rate." },
	{ ROW(limits, header_timeout_ms), .type = CONF_INT, .def = "10000", .min = 10,
	  .max = 600000, .unit = "ms", .doc = "Time for TLS handshake and request head together." },
	{ ROW(limits, body_timeout_ms), .type = CONF_INT, .def = "30000", .min = 10, .max = 600000,
	  .unit = "ms", .doc = "Time for the body of a request." },
	{ ROW(limits, idle_timeout_ms), .type = CONF_INT, .def = "65000", .min = 10, .max = 3600000,
	  .unit = "ms", .flags = CONF_RELOADABLE,
	  .doc = "Time between two requests on one connection." },
	{ ROW(limits, max_header_bytes), .type = CONF_INT, .def = "8192", .min = 1024, .max = 65535,
	  .unit = "bytes", .doc = "Size of a request head." },
	{ ROW(limits, queue_high_bytes), .type = CONF_INT, .def = "524288", .min = 1024,
	  .max = 1024 * (int64_t)MIB, .unit = "bytes",
	  .doc = "When so much waits for a client, nothing more is read from it." },
	{ ROW(limits, queue_low_bytes), .type = CONF_INT, .def = "174762", .min = 0,
	  .max = 1024 * (int64_t)MIB, .unit = "bytes",
	  .doc = "When the queue has fallen to this, reading goes on." },
	{ ROW(limits, queue_soft_bytes), .type = CONF_INT, .def = "2097152", .min = 1024,
	  .max = 1024 * (int64_t)MIB, .unit = "bytes",
	  .doc = "A client whose queue stays above this for queue_soft_s is disconnected." },
	{ ROW(limits, queue_soft_s), .type = CONF_INT, .def = "10", .min = 1, .max = 3600,
	  .unit = "s", .doc = "See queue_soft_bytes." },
	{ ROW(limits, queue_hard_bytes), .type = CONF_INT, .def = "16777216", .min = 1024,
	  .max = 1024 * (int64_t)MIB, .unit = "bytes",
	  .doc = "A client for whom more than this waits is disconnected at once." },
	{ ROW(limits, trusted_proxies), .type = CONF_LIST, .def = "",
	  .flags = CONF_RELOADABLE,
	  .doc = "Addresses or networks (10.0.0.0/8, ::1, unix) whose X-Forwarded-For, "
		 "X-Forwarded-Proto and PROXY headers are believed; limits per address do not "
		 "count them." },
};

static const struct conf_option web_options[] = {
	{ ROW(web, root), .type = CONF_STRING, .def = "", .max = 4095,
	  .doc = "Folder whose files are served over HTTP, such as a web page for the chat; "
		 "they are read into memory when the daemon starts. Hidden files, and links "
		 "that lead out of it, are not served. Empty: none." },
	{ ROW(web, max_bytes), .type = CONF_INT, .def = "16777216", .min = 1,
	  .max = 1024 * (int64_t)MIB, .unit = "bytes",
	  .doc = "Size of all files in the folder together; with more the daemon does not "
		 "start." },
	{ ROW(web, max_files), .type = CONF_INT, .def = "1000", .min = 1, .max = 100000,
	  .doc = "Number of files in the folder; with more the daemon does not start." },
};

static const struct conf_choice aliases[] = {
	{ "seed", 1 },
	{ "past", 2 },
	{ "both", 3 },
	{ NULL, 0 },
};

static const struct conf_option chat_options[] = {
	{ ROW(chat, aliases), .type = CONF_ENUM, .choices = aliases, .def = "both",
	  .doc = "Which names of events clients hear that do not choose: the seed's, the "
		 "past-tense ones, or both." },
	{ ROW(chat, query_token), .type = CONF_BOOL, .def = "yes",
	  .doc = "Accepts the token in the query of the handshake (?token=); it is never "
		 "logged." },
	{ ROW(chat, auth_timeout_ms), .type = CONF_INT, .def = "8000", .min = 10, .max = 600000,
	  .unit = "ms",
	  .doc = "A token whose verification takes longer is not accepted; the client is told "
		 "to come back." },
	{ ROW(chat, token_notice_s), .type = CONF_INT, .def = "60", .min = 0, .max = 86400,
	  .unit = "s",
	  .doc = "A client is told so long before its token runs out (auth:expiring)." },
	{ ROW(chat, token_grace_s), .type = CONF_INT, .def = "30", .min = 0, .max = 86400,
	  .unit = "s",
	  .doc = "The connection of one whose token has run out is closed after this, unless it has "
		 "shown another one." },
	{ ROW(chat, storage_timeout_ms), .type = CONF_INT, .def = "10000", .min = 10,
	  .max = 600000, .unit = "ms",
	  .doc = "A request to the storage that takes longer is given up." },
	{ ROW(chat, history_messages), .type = CONF_INT, .def = "50", .min = 1, .max = 1000,
	  .doc = "The latest messages of a conversation that an AI service gets." },
	{ ROW(chat, max_content_bytes), .type = CONF_INT, .def = "262144", .min = 1,
	  .max = 16 * MIB, .unit = "bytes",
	  .doc = "The longest message that a client may send." },
	{ ROW(chat, max_title_bytes), .type = CONF_INT, .def = "1000", .min = 1, .max = 65536,
	  .unit = "bytes",
	  .doc = "The longest title or model name of a conversation." },
	{ ROW(chat, max_metadata_bytes), .type = CONF_INT, .def = "65536", .min = 2, .max = MIB,
	  .unit = "bytes",
	  .doc = "The longest metadata or system prompt of a conversation, and the longest options "
		 "of a message." },
	/* It comes back inside of other objects, which are read again: all together must stay below
	 * JSON_DEPTH_MAX. */
	{ ROW(chat, max_json_depth), .type = CONF_INT, .def = "32", .min = 1, .max = 32,
	  .doc = "How deep objects and arrays may lie inside each other in metadata and options." },
	{ ROW(chat, queue_depth), .type = CONF_INT, .def = "3", .min = 0, .max = 100,
	  .doc = "Messages that may wait in a conversation while an answer is generated." },
	{ ROW(chat, events_per_second), .type = CONF_INT, .def = "200", .min = 0,
	  .max = 1000000,
	  .doc = "Events that one socket may send in a second, and five times as many at "
		 "once; what comes beyond is answered with RATE_LIMITED, and who goes on "
		 "loses the connection. 0: no limit." },
	{ ROW(chat, user_events_per_second), .type = CONF_INT, .def = "500", .min = 0,
	  .max = 1000000,
	  .doc = "The same for all sockets of a user on this instance together." },
	{ ROW(chat, user_bytes_per_second), .type = CONF_INT, .def = "4194304", .min = 0,
	  .max = UINT32_MAX, .unit = "bytes",
	  .doc = "The same for the bytes of their arguments." },
	{ ROW(chat, max_sockets_per_user), .type = CONF_INT, .def = "200", .min = 0,
	  .max = 1000000,
	  .doc = "Sockets that a user may have on this instance; others are put off. 0: no "
		 "limit." },
	{ ROW(chat, max_answers_per_user), .type = CONF_INT, .def = "50", .min = 0,
	  .max = 1000000,
	  .doc = "Answers of a user that may run or wait on this instance; a message "
		 "beyond is answered with RATE_LIMITED. 0: no limit." },
	{ ROW(chat, max_answers), .type = CONF_INT, .def = "10000", .min = 0,
	  .max = 1000000,
	  .doc = "The same for all users together; a message beyond is answered with "
		 "UNAVAILABLE." },
	{ ROW(chat, chunk_interval_ms), .type = CONF_INT, .def = "40", .min = 0, .max = 10000,
	  .unit = "ms",
	  .doc = "Pieces of an answer are collected for so long before they are sent; 0 sends "
		 "each one." },
	{ ROW(chat, full_bytes_per_s), .type = CONF_INT, .def = "65536", .min = 1024,
	  .max = 1024 * (int64_t)MIB, .unit = "bytes",
	  .doc = "How fast the whole text so far may be repeated to a client that wants it "
		 "with every piece." },
	{ ROW(chat, max_answer_bytes), .type = CONF_INT, .def = "4194304", .min = 1024,
	  .max = 256 * MIB, .unit = "bytes",
	  .doc = "The longest answer; a longer one is cut there." },
	{ ROW(chat, answer_timeout_ms), .type = CONF_INT, .def = "600000", .min = 100,
	  .max = 86400000, .unit = "ms",
	  .doc = "An answer that takes longer ends as failed, with the text so far." },
	{ ROW(chat, flush_interval_ms), .type = CONF_INT, .def = "250", .min = 10, .max = 60000,
	  .unit = "ms",
	  .doc = "The text so far of a running answer is stored this often." },
	{ ROW(chat, flush_bytes), .type = CONF_INT, .def = "2048", .min = 1, .max = MIB,
	  .unit = "bytes",
	  .doc = "So much text that is not stored yet is stored at once." },
	{ ROW(chat, typing_timeout_ms), .type = CONF_INT, .def = "6000", .min = 100,
	  .max = 600000, .unit = "ms",
	  .doc = "A typing indicator ends by itself after this." },
	{ ROW(chat, typing_repeat_ms), .type = CONF_INT, .def = "2000", .min = 0, .max = 600000,
	  .unit = "ms",
	  .doc = "A repeated typing indicator is passed on at most this often." },
	{ ROW(chat, lease_beat_ms), .type = CONF_INT, .def = "2000", .min = 100, .max = 3000,
	  .unit = "ms",
	  .doc = "How often the instance renews its lease (6 s) in the database." },
	{ ROW(chat, heads_interval_ms), .type = CONF_INT, .def = "10000", .min = 100,
	  .max = 600000, .unit = "ms",
	  .doc = "How often the feed looks for events whose notification was lost." },
	{ ROW(chat, relay_interval_ms), .type = CONF_INT, .def = "50", .min = 1, .max = 1000,
	  .unit = "ms",
	  .doc = "Pieces of an answer are collected for so long before they go to other instances "
		 "whose clients watch it." },
	{ ROW(chat, recovery_window_s), .type = CONF_INT, .def = "120", .min = 0, .max = 172800,
	  .unit = "s",
	  .doc = "A client whose connection was lost gets what it missed, if that is not older "
		 "than this; 0 switches connection state recovery off." },
	{ ROW(chat, recovery_max_events), .type = CONF_INT, .def = "1000", .min = 1, .max = 1000,
	  .doc = "And if it is not more events than this." },
	{ ROW(chat, drain_timeout_ms), .type = CONF_INT, .def = "30000", .min = 0, .max = 3600000,
	  .unit = "ms",
	  .doc = "At the end, running answers may go on for so long; then they end as "
		 "interrupted." },
	{ ROW(chat, drain_spread_ms), .type = CONF_INT, .def = "3000", .min = 0, .max = 600000,
	  .unit = "ms",
	  .doc = "At the end, clients are let go one after the other within this time, so that "
		 "they do not come to other instances all at once." },
	{ ROW(chat, shutdown_timeout_ms), .type = CONF_INT, .def = "5000", .min = 0,
	  .max = 600000, .unit = "ms",
	  .doc = "At the end, running answers are stored for at most so long." },
};

static const struct conf_option cluster_options[] = {
	{ ROW(cluster, advertise), .type = CONF_STRING, .def = "", .max = 255,
	  .doc = "Where the other instances on the same database reach this one: address:port or "
		 "unix:/path of a listener of this instance without TLS. They pass on requests of "
		 "clients whose session is here, so that no load balancer needs sticky sessions; "
		 "empty: they do not." },
};

static const struct conf_option plugins_options[] = {
	{ ROW(plugins, load), .type = CONF_LIST, .def = "auth_jwt, storage_pgsql, provider_demo",
	  .doc = "Plugins: NAME, NAME:INSTANCE for one more of the same plugin (its section "
		 "is then [NAME INSTANCE]), or the path of NAME.so; the first provider "
		 "answers where no other is asked for." },
	{ ROW(plugins, directory), .type = CONF_STRING, .def = "", .max = 3000,
	  .doc = "Folder with the plugins' files, NAME.so; empty is the one that they were "
		 "installed in. Nobody but root may be able to write to it." },
	{ ROW(plugins, root_only), .type = CONF_BOOL, .def = "yes",
	  .doc = "A plugin's file and all folders on its way must be root's, and nobody else may "
		 "be able to write to them, so that whoever has taken the daemon over cannot put in "
		 "code for its next start. no, for development, takes files and folders of the "
		 "daemon's own user as well, and does not look at the folders further up." },
};

static const struct conf_option http_client_options[] = {
	{ ROW(http_client, proxy), .type = CONF_STRING, .def = "", .max = 2048,
	  .flags = CONF_SECRET,
	  .doc = "URL of the proxy for requests of plugins, which may have a password in it; "
		 "empty is none." },
	{ ROW(http_client, ca_file), .type = CONF_STRING, .def = "", .max = 4095,
	  .doc = "Certificate authorities that are believed, in PEM; empty is the system's." },
	{ ROW(http_client, max_connections), .type = CONF_INT, .def = "1000", .min = 0,
	  .max = 1000000,
	  .doc = "Connections at a time to other services, each of which needs an open file; "
		 "further requests wait; 0 is no limit." },
	{ ROW(http_client, max_connections_per_host), .type = CONF_INT, .def = "0", .min = 0,
	  .max = 1000000, .doc = "Connections at a time to one service; 0 is no limit." },
	{ ROW(http_client, connect_timeout_ms), .type = CONF_INT, .def = "10000", .min = 10,
	  .max = 600000, .unit = "ms",
	  .doc = "A service that cannot be reached in this time, TLS included, is taken to be "
		 "away." },
	{ ROW(http_client, first_byte_timeout_ms), .type = CONF_INT, .def = "60000", .min = 0,
	  .max = 3600000, .unit = "ms",
	  .doc = "Time until the answer begins, where the plugin does not say otherwise; 0 is "
		 "no limit." },
	{ ROW(http_client, idle_timeout_ms), .type = CONF_INT, .def = "60000", .min = 0,
	  .max = 3600000, .unit = "ms",
	  .doc = "Time between two pieces of an answer, where the plugin does not say "
		 "otherwise; 0 is no limit." },
	{ ROW(http_client, total_timeout_ms), .type = CONF_INT, .def = "900000", .min = 0,
	  .max = 86400000, .unit = "ms",
	  .doc = "Time for a whole request, where the plugin does not say otherwise; 0 is no "
		 "limit." },
};

#define SECTION(id, is_named, implicit_name, text)                                              \
	static const struct conf_section id##_section = { .name = #id,                          \
							  .named = (is_named),                  \
							  .struct_size =                        \
							      sizeof(struct options_##id),      \
							  .options = id##_options,              \
							  .n_options = ARRAY_LEN(id##_options), \
							  .implicit = (implicit_name),          \
							  .doc = (text) }

SECTION(log, false, NULL, "What is logged, and how.");
SECTION(process, false, NULL, "What the process may do.");
SECTION(listener, true, "main",
	"A place to listen; as many as needed, each with a name of its own. Without any, there is "
	"one with the defaults.");
SECTION(engine, false, NULL, "The transport: Engine.IO over WebSocket and HTTP long-polling.");
SECTION(socket, false, NULL, "Sockets: Socket.IO namespaces, rooms, attachments.");
SECTION(cors, false, NULL, "Which web pages may connect.");
SECTION(limits, false, NULL, "Bounds on what clients may use.");
SECTION(web, false, NULL, "A folder of files that is served beside the endpoint.");
SECTION(chat, false, NULL, "The chat: conversations, messages, answers.");
SECTION(cluster, false, NULL, "Several instances on one database.");
SECTION(plugins, false, NULL,
	"Plugins: who users are (auth), who answers (providers), where it is kept (storage). Each "
	"has a section of its own name.");
SECTION(http_client, false, NULL, "Requests of plugins to other services.");

const struct conf_section *const *options_sections(size_t *n)
{
	static const struct conf_section *const sections[] = {
		&log_section,	  &process_section, &listener_section,	  &engine_section,
		&socket_section,  &cors_section,    &limits_section,	  &web_section,
		&chat_section,	  &cluster_section, &plugins_section,	  &http_client_section,
	};

	*n = ARRAY_LEN(sections);
	return sections;
}

const struct conf_section *options_plugins_section(void)
{
	return &plugins_section;
}

static void problem(struct strbuf *errors, int *rc, const char *text)
{
	strbuf_append_str(errors, text);
	strbuf_append_char(errors, '\n');
	*rc = PARLANCE_EINVAL;
}

int options_check(const struct conf *conf, struct strbuf *errors)
{
	const struct options_engine *engine = conf_get(conf, "engine", NULL);
	const struct options_limits *limits = conf_get(conf, "limits", NULL);
	const struct options_listener *listener;
	const char *name;
	int rc = 0;

	/* A space, a '?' or a '%' would never match: the path is compared with what a request says
	 * after decoding. */
	if (engine->path[0] != '/' || strpbrk(engine->path, " ?%#"))
		problem(errors, &rc,
			"[engine] path must begin with a slash and hold none of \" ?%#\"");
	if (limits->queue_low_bytes > limits->queue_high_bytes)
		problem(errors, &rc, "[limits] queue_low_bytes must not be above queue_high_bytes");
	if (limits->queue_high_bytes > limits->queue_soft_bytes ||
	    limits->queue_soft_bytes > limits->queue_hard_bytes)
		problem(
		    errors, &rc,
		    "[limits] queue_high_bytes, queue_soft_bytes and queue_hard_bytes must ascend");
	for (size_t i = 0; (listener = conf_get_nth(conf, "listener", i, &name)); i++) {
		if (listener->proxy_protocol && !limits->trusted_proxies.n) {
			strbuf_printf(errors,
				      "[listener %s] proxy_protocol needs [limits] trusted_proxies\n",
				      name);
			rc = PARLANCE_EINVAL;
		}
		if (!listener->tls_cert[0] != !listener->tls_key[0]) {
			strbuf_printf(errors, "[listener %s] tls_cert and tls_key go together\n",
				      name);
			rc = PARLANCE_EINVAL;
		}
		if (listener->hsts_max_age_s && !listener->tls_cert[0]) {
			strbuf_printf(errors,
				      "[listener %s] hsts_max_age_s needs tls_cert and tls_key; "
				      "where a proxy has TLS, it is the proxy's to say\n",
				      name);
			rc = PARLANCE_EINVAL;
		}
		if (listener->redirect[0] && (listener->tls_cert[0] || listener->admin)) {
			strbuf_printf(errors,
				      "[listener %s] redirect is for a listener without TLS and "
				      "admin\n",
				      name);
			rc = PARLANCE_EINVAL;
		}
		if (strspn(listener->unix_mode, "01234567") != strlen(listener->unix_mode)) {
			strbuf_printf(errors,
				      "[listener %s] unix_mode is an octal number, like 0660\n",
				      name);
			rc = PARLANCE_EINVAL;
		}
	}
	return rc;
}
