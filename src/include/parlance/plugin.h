/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The plugin interface of parlanced, version 1.0. A plugin is a shared object that exports one
 * function, parlance_plugin_v1(), and links to nothing of the daemon: all that it may use of the
 * daemon comes through struct parlance_host.
 *
 * The contract:
 *
 *   R1  Everything runs on the loop thread. Only parlance_host.post may be called from another one.
 *       The host never calls a plugin from inside a call that the plugin made: what such a call
 *       leads to comes at the end of the loop's turn. A plugin may call the host at any time, from
 *       inside a call of the host's too.
 *   R2  Every operation completes exactly once, also after it was cancelled (a cancelled operation
 *       completes soon; if it was done already, with its result). The host owns deadlines: it
 *       cancels what takes too long.
 *   R3  Pointers given to a function are borrowed for the call, unless its comment says longer.
 *   R4  Nothing is freed across the border: who allocates frees.
 *   R5  Structs that cross the border begin with their size in bytes and only grow at the end.
 *       Whoever reads one looks at the size before a field that version 1.0 did not have.
 *
 * Once all is set up the daemon filters system calls, those of plugins too: files may be read and
 * written, connections and threads be made; running programs kills the process (parlanced(8),
 * Sandbox). What else a plugin needs it says in its documentation, for process.seccomp_allow.
 *
 * Functions that can fail return 0 or -1. Strings are UTF-8. Times are milliseconds.
 */
#ifndef PARLANCE_PLUGIN_H
#define PARLANCE_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PARLANCE_PLUGIN_MAGIC 0x50524c43u /* "PRLC" */
#define PARLANCE_ABI_MAJOR 1 /* a host loads only plugins of its own major version, */
#define PARLANCE_ABI_MINOR 0 /* and of its minor version or an earlier one */

/** Exports parlance_plugin_v1 from a plugin that is compiled with hidden visibility. */
#define PARLANCE_EXPORT __attribute__((visibility("default")))

/* Borrowed text: pointer and length, not terminated unless said so. p is NULL where there is no
 * value. */
struct parlance_str {
	const char *p;
	size_t len;
};

enum parlance_kind {
	PARLANCE_AUTH = 1, /* ops: struct parlance_auth_ops, auth.h */
	PARLANCE_PROVIDER, /* ops: struct parlance_provider_ops, provider.h */
	PARLANCE_STORAGE,  /* ops: struct parlance_storage_ops, storage.h */
};

/*
 * Options. A plugin's table joins the daemon's configuration: section [NAME], or [NAME INSTANCE]
 * when the plugin is loaded several times ("load = provider_openai, provider_openai:local"). The
 * host reads, checks, shows and documents the options; the plugin gets a filled struct.
 */

enum parlance_option_type {
	PARLANCE_OPTION_BOOL = 1, /* bool */
	PARLANCE_OPTION_INT,      /* int64_t, min..max */
	PARLANCE_OPTION_STRING,   /* const char *, terminated, never NULL; min..max: its length */
	PARLANCE_OPTION_ENUM,     /* int: the value in choices */
	PARLANCE_OPTION_LIST,     /* struct parlance_list: written comma separated */
};

struct parlance_choice { /* an array of them ends with a NULL name */
	const char *name;
	int value;
};

struct parlance_list {
	size_t n;
	const char *const *items;
};

enum parlance_option_flags {
	PARLANCE_OPTION_RELOADABLE = 1,
	PARLANCE_OPTION_SECRET = 2, /* never shown */
};

struct parlance_option {
	const char *name;
	int type;         /* enum parlance_option_type */
	unsigned flags;   /* enum parlance_option_flags */
	size_t offset;    /* of the value in the plugin's struct of options */
	const char *def;  /* the default, as it would stand in the file */
	int64_t min, max; /* both 0: no range */
	const char *unit; /* "ms", "bytes", … or NULL */
	const struct parlance_choice *choices;
	const char *env; /* environment variable that replaces the default, or NULL */
	const char *doc; /* one sentence */
};

/* Services of the host */

enum parlance_log_level { /* syslog(3)'s values */
	PARLANCE_LOG_ERR = 3,
	PARLANCE_LOG_WARNING = 4,
	PARLANCE_LOG_NOTICE = 5,
	PARLANCE_LOG_INFO = 6,
	PARLANCE_LOG_DEBUG = 7,
};

enum parlance_io {
	PARLANCE_IO_READ = 1,
	PARLANCE_IO_WRITE = 2,
};

struct parlance_timer;
struct parlance_watch;
struct parlance_work;
struct parlance_http;

typedef void parlance_fn(void *arg);
/** events: enum parlance_io bits, or 0 for an error on the descriptor. */
typedef void parlance_watch_fn(void *arg, unsigned events);
/** cancelled: the work did not run. */
typedef void parlance_work_done_fn(void *arg, bool cancelled);

/* A header line of a request or an answer. */
struct parlance_http_header {
	struct parlance_str name;
	struct parlance_str value;
};

/* An HTTP(S) request. Everything is copied by http_start. Proxy and certificate authorities are
 * those of the host's configuration. Redirects are not followed. */
struct parlance_http_request {
	uint32_t size;
	const char *method; /* "GET", "POST" */
	const char *url;    /* http or https */
	const struct parlance_http_header *headers;
	size_t n_headers;
	struct parlance_str body;
	/* Deadlines, each counted from the one before; 0: the host's default. */
	uint32_t connect_timeout_ms;    /* until connected, TLS included */
	uint32_t first_byte_timeout_ms; /* from then until the answer's first byte */
	uint32_t idle_timeout_ms;       /* between two pieces of the answer, while not paused */
	uint32_t total_timeout_ms;      /* for everything */
	uint64_t max_response_bytes;    /* of the body; 0: no limit */
};

enum parlance_http_result {
	PARLANCE_HTTP_OK = 1,     /* the whole answer was delivered, whatever its status */
	PARLANCE_HTTP_CANCELED,
	PARLANCE_HTTP_CONNECT,    /* no connection: name, refusal, TLS */
	PARLANCE_HTTP_TIMEOUT,    /* one of the deadlines; detail names it */
	PARLANCE_HTTP_CUT,        /* the connection broke before the answer's end */
	PARLANCE_HTTP_TOO_BIG,    /* over max_response_bytes */
	PARLANCE_HTTP_FAILED,     /* anything else: malformed URL or answer, no memory */
};

/* What a request is told, in this order: head once, data any number of times, done exactly once
 * (alone, when there was no answer). */
struct parlance_http_sink {
	uint32_t size;
	void (*head)(void *arg, int status, const struct parlance_http_header *headers,
		     size_t n_headers);
	void (*data)(void *arg, struct parlance_str piece);
	/** detail: terminated text for the log. The struct parlance_http is gone after this. */
	void (*done)(void *arg, enum parlance_http_result result, const char *detail);
};

/*
 * What the daemon does for plugins. One table an instance of a plugin; every function takes its ctx
 * first. All on the loop thread, but post.
 */
struct parlance_host {
	uint32_t size;
	uint16_t abi_major;
	uint16_t abi_minor;
	void *ctx;
	const char *instance; /* the instance's name: "default", or as in the configuration */
	/* What the plugin's operations complete through: struct parlance_auth_sink,
	 * parlance_provider_sink or parlance_storage_sink. */
	const void *sink;

	/** Writes a line "NAME: text". Never a token, key or message text. */
	void (*log)(void *ctx, int level, const char *text);
	uint64_t (*mono_ms)(void *ctx); /* monotonic clock */
	int64_t (*wall_ms)(void *ctx);  /* since 1970 UTC */
	void (*random)(void *ctx, void *out, size_t len);

	/** A timer that calls fn(arg) when it is due; not running. NULL: out of memory. */
	struct parlance_timer *(*timer_new)(void *ctx, parlance_fn *fn, void *arg);
	/** (Re)starts it to fire once, delay_ms (at least 1) from now. */
	void (*timer_start)(struct parlance_timer *timer, uint64_t delay_ms);
	void (*timer_stop)(struct parlance_timer *timer);
	/** Stops and frees it. Harmless on NULL. */
	void (*timer_free)(struct parlance_timer *timer);

	/** Watches a descriptor, which stays the plugin's. NULL: out of memory, or not pollable. */
	struct parlance_watch *(*watch_new)(void *ctx, int fd, unsigned events,
					    parlance_watch_fn *fn, void *arg);
	void (*watch_set)(struct parlance_watch *watch, unsigned events); /* 0 pauses */
	/** Ends it, before the descriptor is closed. Harmless on NULL. */
	void (*watch_free)(struct parlance_watch *watch);

	/** Has fn(arg) called on the loop thread. The one function for any thread. What has not been
	 * called when the plugin is destroyed is dropped. 0 or -1. */
	int (*post)(void *ctx, parlance_fn *fn, void *arg);
	/** Runs work(arg) on a thread of the pool, then done(arg, …) on the loop thread, exactly
	 * once. NULL: not begun, done is not called. The work is gone after done. At the end the
	 * host cancels all work, and waits for it before it destroys the plugin. */
	struct parlance_work *(*offload)(void *ctx, parlance_fn *work, parlance_work_done_fn *done,
					 void *arg);
	void (*offload_cancel)(struct parlance_work *work);

	/** Begins a request; sink (borrowed until done) is called later, never from within. NULL:
	 * out of memory, done is not called. */
	struct parlance_http *(*http_start)(void *ctx, const struct parlance_http_request *request,
					    const struct parlance_http_sink *sink, void *arg);
	/** Stops reading from the peer; a piece or two may still come. */
	void (*http_pause)(struct parlance_http *http);
	void (*http_resume)(struct parlance_http *http);
	/** Closes the connection at once. done comes later with PARLANCE_HTTP_CANCELED; nothing else
	 * comes before it. */
	void (*http_cancel)(struct parlance_http *http);

	/** Reads a secret: "file:/path", a path, or "credential:NAME" (systemd's
	 * $CREDENTIALS_DIRECTORY). One newline at its end is taken off. *out is terminated and
	 * the host's until the plugin is destroyed, when it is wiped. -1: err has a sentence. */
	int (*secret)(void *ctx, const char *source, struct parlance_str *out, char *err,
		      size_t err_size);

	/** Adds to the counter parlance_plugin_NAME_total; made at first use. Names are
	 * [a-z_]+. */
	void (*count)(void *ctx, const char *name, uint64_t n);

	/*
	 * The chat. Questions are answered for this instance alone, from memory (the storage knows
	 * of all; sql/README.md); lists are told one by one to each(). Broadcasts go to all instances
	 * by the storage's log of events, so clients that have lost their connection get them too when
	 * they come back. They return at once: 0 says that it was begun. What the storage refuses
	 * later is logged. Ids and JSON are borrowed.
	 */
	void (*user_sockets)(void *ctx, struct parlance_str user,
			     void (*each)(void *arg, struct parlance_str socket), void *arg);
	/** The user of a socket; p is NULL when there is none. Valid until the loop's next turn. */
	struct parlance_str (*socket_user)(void *ctx, struct parlance_str socket);
	/** Sends an event with one argument (JSON) to all sockets of a user. 0 or -1 (a reserved
	 * name, not JSON, not a UUID, no memory). */
	int (*broadcast_user)(void *ctx, struct parlance_str user, struct parlance_str event,
			      struct parlance_str json);
	/** The same, to all sockets that have joined the conversation. */
	int (*broadcast_conversation)(void *ctx, struct parlance_str conversation,
				      struct parlance_str event, struct parlance_str json);
	/** Those who have a socket here that has joined it, each once. */
	void (*conversation_users)(void *ctx, struct parlance_str conversation,
				   void (*each)(void *arg, struct parlance_str user), void *arg);
	bool (*user_online)(void *ctx, struct parlance_str user);
};

/*
 * The plugin's descriptor: constant, for as long as the plugin is loaded. The fields up to and
 * including `size` never change their place.
 */
struct parlance_plugin {
	uint32_t magic; /* PARLANCE_PLUGIN_MAGIC */
	uint16_t abi_major;
	uint16_t abi_minor;
	uint32_t size; /* sizeof(struct parlance_plugin) */
	uint32_t kind; /* enum parlance_kind */
	const char *name; /* [a-z][a-z0-9_]*, as in the file's name and the configuration */
	const char *version;
	const char *licence; /* SPDX */
	const char *doc;     /* one sentence */
	const struct parlance_option *options;
	size_t n_options;
	size_t option_size;  /* sizeof(struct parlance_option) */
	size_t options_size; /* of the plugin's struct of options */
	const void *ops;     /* of the kind, constant */

	/** Makes an instance. host and options live until destroy. It may begin connections, but
	 * must not block. 0 and *self; or -1 with a sentence in err that says what to do; then
	 * nothing is left behind. */
	int (*create)(void **self, const struct parlance_host *host, const void *options, char *err,
		      size_t err_size);
	/** New options (those not reloadable are unchanged); the old ones are gone after the call.
	 * -1: refused, everything stays as it was, and so do the old options. May be NULL. */
	int (*reload)(void *self, const void *options, char *err, size_t err_size);
	/** The daemon is about to end: begin nothing new that is not asked for. May be NULL. */
	void (*drain)(void *self);
	/** Frees the instance, with its timers, watches and requests (http_cancel; done does not
	 * come any more after this call). The host has cancelled all operations, and all have
	 * completed; offloaded work is done, too. */
	void (*destroy)(void *self);
};

/** What a plugin exports. */
typedef const struct parlance_plugin *parlance_plugin_fn(void);
PARLANCE_EXPORT const struct parlance_plugin *parlance_plugin_v1(void);

#ifdef __cplusplus
}
#endif
#endif
