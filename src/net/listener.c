/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Listening sockets of our own: TCP, Unix, or handed in by systemd. libwebsockets gets sockets
 * that are accepted already, so that limits come before any memory is spent, and running out of
 * descriptors pauses the accepting instead of spinning.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/private.h"
#include "base/err.h"

#define BACKLOG 4096
#define ACCEPTS_PER_TURN 64
#define PAUSE_MS 100
#define UNSENT_BYTES (128 * 1024)

#define SYSTEMD_FIRST_FD 3

static void on_resume(struct timer *timer)
{
	struct listener *l = CONTAINER_OF(timer, struct listener, resume_timer);

	io_set(l->io, IO_READ);
}

static void pause_accepting(struct listener *l, int why)
{
	static struct log_rate rate = LOG_RATE(1, 10000);
	uint32_t suppressed;

	l->net->stats.accept_paused++;
	if (log_rate_allow(&rate, &suppressed))
		log_err("listener",
			LOG_FIELDS(LOG_STR("listener", l->name),
				   LOG_UINT("connections", l->net->n_conns),
				   LOG_UINT("suppressed", suppressed)),
			"accepting paused (%s); raise the limit of open files or lower "
			"limits.max_connections",
			strerror(why));
	io_set(l->io, 0);
	loop_timer_start(l->net->loop, &l->resume_timer, PAUSE_MS, on_resume);
}

static void on_readable(struct io *io, unsigned int events, void *arg)
{
	struct listener *l = arg;

	(void)io;
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
		struct sockaddr_storage ss = { 0 };
		socklen_t len = sizeof(ss);
		struct ip_addr peer;
		int fd = accept4(l->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EAGAIN)
				return;
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			    errno == ENOMEM) {
				pause_accepting(l, errno);
				return;
			}
			/* The connection's own error, reported here (accept(2)): on to the next. */
			continue;
		}
		if (!l->unix_peer) {
			(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
			/* What a slow client has not taken waits here, where it is counted and can
			 * be bounded, and not in megabytes of the kernel's. */
			(void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){ UNSENT_BYTES },
					 sizeof(int));
		}
		address_ip(&ss, &peer);
		conn_accept(l->net, l, fd, &peer);
	}
}

static int bind_unix(struct listener *l, const char *path, uint32_t mode, struct strbuf *err)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(sun.sun_path)) {
		strbuf_printf(err, "listener %s: the path of a Unix socket has 1 to %zu bytes",
			      l->name, sizeof(sun.sun_path) - 1);
		return PARLANCE_EINVAL;
	}
	memcpy(sun.sun_path, path, len);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		goto sys;
	/* A socket that is left from a daemon that died is in the way; one that somebody listens
	 * on is his. */
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
		int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

		if (probe >= 0 && connect(probe, (struct sockaddr *)&sun, sizeof(sun)) < 0 &&
		    errno == ECONNREFUSED)
			(void)unlink(path);
		if (probe >= 0)
			close(probe);
	}
	if (bind(l->fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		goto sys;
	l->unix_path = strdup(path);
	l->unix_peer = true;
	if (!l->unix_path || chmod(path, (mode_t)mode) < 0)
		goto sys;
	return 0;
sys:
	strbuf_printf(err, "listener %s: cannot listen on unix:%s (%s)", l->name, path,
		      strerror(errno));
	return PARLANCE_ESYS;
}

/* "host:port", with an IPv6 address in brackets; an empty host means all addresses. */
static int bind_tcp(struct listener *l, const char *address, bool reuse_port, struct strbuf *err)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	struct addrinfo *chosen;
	char host[ADDRESS_HOST_MAX + 1];
	const char *port;
	const char *why = NULL;
	bool any;
	int rc;

	if (!address_split(address, host, &port)) {
		strbuf_printf(err,
			      "listener %s: \"%s\" is no address (write 127.0.0.1:3000, "
			      "[::1]:3000, unix:/path or systemd:name)",
			      l->name, address);
		return PARLANCE_EINVAL;
	}
	any = !host[0];
	/* At start-up: the one place where a name may be looked up in the loop's thread. */
	rc = getaddrinfo(any ? NULL : host, port, &hints, &found);
	if (rc) {
		strbuf_printf(err, "listener %s: cannot resolve \"%s\" (%s)", l->name, address,
			      gai_strerror(rc));
		return PARLANCE_EINVAL;
	}
	CHECK(found);
	chosen = found;
	/* Of all addresses the IPv6 one stands for both families, where there is IPv6. */
	for (struct addrinfo *ai = found; any && ai; ai = ai->ai_next)
		if (ai->ai_family == AF_INET6)
			chosen = ai;
	l->fd = socket(chosen->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0 && chosen != found) {
		chosen = found;
		l->fd = socket(chosen->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	}
	if (l->fd >= 0 && chosen->ai_family == AF_INET6 && any)
		(void)setsockopt(l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){ 0 }, sizeof(int));
	if (l->fd < 0)
		why = "socket";
	else if (setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) < 0)
		why = "SO_REUSEADDR";
	else if (reuse_port &&
		 setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int)) < 0)
		why = "SO_REUSEPORT";
	else if (bind(l->fd, chosen->ai_addr, chosen->ai_addrlen) < 0)
		why = "bind";
	freeaddrinfo(found);
	if (!why)
		return 0;
	strbuf_printf(err, "listener %s: cannot listen on %s (%s: %s)", l->name, address, why,
		      strerror(errno));
	return PARLANCE_ESYS;
}

/*
 * sd_listen_fds_with_names(3): descriptors from 3 on, their names in LISTEN_FDNAMES, meant for us
 * when LISTEN_PID says so.
 */
static int take_systemd(struct listener *l, const char *name, struct strbuf *err)
{
	const char *pid = getenv("LISTEN_PID");
	const char *count = getenv("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");
	long n = pid && count && strtol(pid, NULL, 10) == (long)getpid() ? strtol(count, NULL, 10)
									 : 0;
	size_t want = strlen(name);

	for (long i = 0; i < n && names; i++) {
		size_t len = strcspn(names, ":");

		if (len == want && memcmp(names, name, len) == 0) {
			struct sockaddr_storage ss = { 0 };
			socklen_t ss_len = sizeof(ss);

			l->fd = SYSTEMD_FIRST_FD + (int)i;
			if (getsockname(l->fd, (struct sockaddr *)&ss, &ss_len) < 0) {
				l->fd = -1;
				break;
			}
			l->unix_peer = ss.ss_family == AF_UNIX;
			return 0;
		}
		names += len;
		if (*names == ':')
			names++;
	}
	strbuf_printf(err,
		      "listener %s: systemd passed no socket with the name \"%s\" "
		      "(FileDescriptorName= in the socket unit)",
		      l->name, name);
	return PARLANCE_ENOENT;
}

static int port_of(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return 0;
	if (ss.ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, &ss, sizeof(in));
		return ntohs(in.sin_port);
	}
	if (ss.ss_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, &ss, sizeof(in6));
		return ntohs(in6.sin6_port);
	}
	return 0;
}

static struct slice text_of(const char *text)
{
	return text ? slice_str(text) : slice_of(NULL, 0);
}

int net_listen(struct net *net, const struct net_listener_config *config, struct strbuf *err)
{
	struct listener *l = calloc(1, sizeof(*l));
	struct listener **grown;
	int rc;

	grown = realloc(net->listeners, (net->n_listeners + 1) * sizeof(struct listener *));
	if (grown)
		net->listeners = grown;
	if (!l || !grown) {
		free(l);
		strbuf_append_str(err, "out of memory");
		return PARLANCE_ENOMEM;
	}
	l->net = net;
	l->fd = -1;
	l->proxy_protocol = config->proxy_protocol;
	l->admin = config->admin;
	l->name = strdup(config->name);
	rc = l->name ? demands_new(&l->demands, text_of(config->issuer), text_of(config->audience))
		     : PARLANCE_ENOMEM;
	if (!rc && config->tls_cert[0])
		rc = listener_tls(&l->tls, config, err);
	if (!rc)
		rc = listener_take(l, config);
	if (rc == PARLANCE_ENOMEM && !err->len)
		strbuf_append_str(err, "out of memory");
	if (rc)
		goto fail;
	if (strncmp(config->address, "unix:", 5) == 0)
		rc = bind_unix(l, config->address + 5, config->unix_mode, err);
	else if (strncmp(config->address, "systemd:", 8) == 0)
		rc = take_systemd(l, config->address + 8, err);
	else
		rc = bind_tcp(l, config->address, config->reuse_port, err);
	if (rc)
		goto fail;
	if (listen(l->fd, BACKLOG) < 0) {
		strbuf_printf(err, "listener %s: cannot listen on %s (%s)", l->name,
			      config->address, strerror(errno));
		rc = PARLANCE_ESYS;
		goto fail;
	}
	l->port = port_of(l->fd);
	rc = vhost_for(net, l->tls, &l->vhost, err);
	if (rc)
		goto fail;
	rc = io_open(&l->io, net->loop, l->fd, IO_READ, on_readable, l);
	if (rc) {
		strbuf_printf(err, "listener %s: the loop cannot watch it", l->name);
		goto fail;
	}
	net->listeners[net->n_listeners++] = l;
	log_notice("listener",
		   LOG_FIELDS(LOG_STR("listener", l->name), LOG_STR("address", config->address),
			      LOG_INT("port", l->port)),
		   "listening%s", l->tls ? " with TLS" : "");
	if (l->tls)
		tls_log(l->tls, l->name, "certificate");
	return 0;

fail:
	listener_stop(l);
	listener_free(&l);
	return rc;
}

void listener_stop(struct listener *l)
{
	timer_stop(&l->resume_timer);
	timer_stop(&l->tls_timer);
	io_close(&l->io);
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	if (l->unix_path)
		(void)unlink(l->unix_path);
	free(l->unix_path);
	l->unix_path = NULL;
}

void listener_free(struct listener **lp)
{
	struct listener *l = *lp;

	*lp = NULL;
	tls_free(&l->tls);
	free(l->redirect);
	free(l->name);
	free(l->demands);
	free(l);
}
