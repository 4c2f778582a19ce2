/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* What the service manager is told. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sys/systemd.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/utf8.h"

#define RETRY_MS 200
#define DATAGRAM_MAX 1024

enum notify_state {
	STATE_STARTING = 1, /* what the manager assumes; never sent */
	STATE_READY,
	STATE_RELOADING,
	STATE_STOPPING,
};

struct sys_notify {
	struct loop *loop;
	int fd; /* -1: nobody listens */
	struct sockaddr_un address;
	socklen_t address_len;
	enum notify_state state;
	uint64_t reload_us; /* when the reload began, on the monotonic clock */
	struct strbuf status;
	/* What the manager does not know yet. */
	bool state_due;
	bool status_due;
	bool ping_due;
	struct timer retry;
	struct timer watchdog;
	uint64_t ping_interval_ms; /* 0: no watchdog */
};

static struct log_rate refused_rate = LOG_RATE(1, 60000);

/* A path, or '@' and a name in the abstract namespace (unix(7)). */
static bool read_address(struct sys_notify *n, const char *name)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(n->address.sun_path)) {
		log_warn("systemd", NULL,
			 "NOTIFY_SOCKET is passed over (neither a path nor @name, or too long)");
		return false;
	}
	n->address.sun_family = AF_UNIX;
	memcpy(n->address.sun_path, name, len);
	n->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	if (name[0] == '@')
		n->address.sun_path[0] = '\0';
	else
		n->address_len++;
	return true;
}

/* 0 when the variable is missing; false when it is no number. */
static bool read_number(const char *name, uint64_t *out)
{
	const char *text = getenv(name);

	*out = 0;
	if (!text)
		return true;
	errno = 0;
	if (*text && strspn(text, "0123456789") == strlen(text)) {
		*out = strtoull(text, NULL, 10);
		if (!errno)
			return true;
	}
	log_warn("systemd", LOG_FIELDS(LOG_STR("variable", name)),
		 "no watchdog (the variable is no number)");
	*out = 0;
	return false;
}

/* WATCHDOG_PID, where set, says whom WATCHDOG_USEC is meant for. */
static uint64_t read_ping_interval(void)
{
	uint64_t pid;
	uint64_t interval_us;
	uint64_t half_ms;

	if (!read_number("WATCHDOG_PID", &pid) || !read_number("WATCHDOG_USEC", &interval_us))
		return 0;
	if (!interval_us || (getenv("WATCHDOG_PID") && pid != (uint64_t)getpid()))
		return 0;
	half_ms = interval_us / 2 / 1000;
	return half_ms ? half_ms : 1;
}

static void put_datagram(const struct sys_notify *n, struct strbuf *out)
{
	if (n->state_due && n->state == STATE_READY)
		strbuf_append_str(out, "READY=1\n");
	else if (n->state_due && n->state == STATE_STOPPING)
		strbuf_append_str(out, "STOPPING=1\n");
	else if (n->state_due && n->state == STATE_RELOADING)
		strbuf_printf(out, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\n", n->reload_us);
	if (n->status_due)
		strbuf_printf(out, "STATUS=%s\n", strbuf_cstr(&n->status));
	if (n->ping_due)
		strbuf_append_str(out, "WATCHDOG=1\n");
}

static void on_retry(struct timer *timer);

/* Whatever the reason of a failure, the manager may be back soon: it leaves its socket for a moment
 * when it executes itself anew. */
static void deliver(struct sys_notify *n)
{
	struct strbuf text;
	uint32_t suppressed;
	ssize_t sent;

	if (n->fd < 0 || !(n->state_due || n->status_due || n->ping_due))
		return;
	strbuf_init(&text, DATAGRAM_MAX);
	put_datagram(n, &text);
	errno = ENOMEM;
	sent = strbuf_ok(&text) ? sendto(n->fd, text.data, text.len, MSG_DONTWAIT | MSG_NOSIGNAL,
					 (const struct sockaddr *)&n->address, n->address_len)
				: -1;
	if (sent >= 0) {
		n->state_due = n->status_due = n->ping_due = false;
		timer_stop(&n->retry);
	} else {
		if (errno != EAGAIN && log_rate_allow(&refused_rate, &suppressed))
			log_warn("systemd", NULL,
				 "the service manager cannot be told (%s); trying again",
				 strerror(errno));
		if (!timer_active(&n->retry))
			loop_timer_start(n->loop, &n->retry, RETRY_MS, on_retry);
	}
	strbuf_fini(&text);
}

static void on_retry(struct timer *timer)
{
	deliver(CONTAINER_OF(timer, struct sys_notify, retry));
}

static void on_watchdog(struct timer *timer)
{
	struct sys_notify *n = CONTAINER_OF(timer, struct sys_notify, watchdog);

	n->ping_due = true;
	deliver(n);
	loop_timer_start(n->loop, &n->watchdog, n->ping_interval_ms, on_watchdog);
}

/* One line: a newline would begin another assignment. */
static void set_status(struct sys_notify *n, const char *text)
{
	size_t len = strlen(text);

	strbuf_reset(&n->status);
	strbuf_append(&n->status, text,
		      len <= SYS_NOTIFY_STATUS_MAX ? len
						   : utf8_whole_len(text, SYS_NOTIFY_STATUS_MAX));
	for (size_t i = 0; i < n->status.len; i++)
		if ((unsigned char)n->status.data[i] < ' ' || n->status.data[i] == 0x7f)
			n->status.data[i] = ' ';
	n->status_due = strbuf_ok(&n->status);
}

static void set_state(struct sys_notify *n, enum notify_state state)
{
	n->state = state;
	n->state_due = true;
	deliver(n);
}

int sys_notify_new(struct sys_notify **out, struct loop *loop)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sys_notify *n = calloc(1, sizeof(*n));

	*out = NULL;
	if (!n)
		return PARLANCE_ENOMEM;
	n->loop = loop;
	n->fd = -1;
	n->state = STATE_STARTING;
	strbuf_init(&n->status, SYS_NOTIFY_STATUS_MAX);
	if (name && read_address(n, name)) {
		n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (n->fd < 0) {
			sys_notify_free(&n);
			return PARLANCE_ESYS;
		}
		n->ping_interval_ms = read_ping_interval();
	}
	if (n->ping_interval_ms)
		loop_timer_start(loop, &n->watchdog, n->ping_interval_ms, on_watchdog);
	*out = n;
	return 0;
}

void sys_notify_free(struct sys_notify **np)
{
	struct sys_notify *n = *np;

	if (!n)
		return;
	deliver(n);
	timer_stop(&n->retry);
	timer_stop(&n->watchdog);
	if (n->fd >= 0)
		(void)close(n->fd);
	strbuf_fini(&n->status);
	free(n);
	*np = NULL;
}

void sys_notify_ready(struct sys_notify *n, const char *status)
{
	if (!n)
		return;
	if (status)
		set_status(n, status);
	set_state(n, STATE_READY);
}

void sys_notify_reloading(struct sys_notify *n)
{
	if (!n)
		return;
	n->reload_us = clock_mono_ns() / 1000;
	set_state(n, STATE_RELOADING);
}

void sys_notify_stopping(struct sys_notify *n)
{
	if (n)
		set_state(n, STATE_STOPPING);
}

void sys_notify_status(struct sys_notify *n, const char *fmt, ...)
{
	char text[DATAGRAM_MAX]; /* what is longer is cut anyway */
	va_list ap;

	if (!n)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	set_status(n, text);
	deliver(n);
}
