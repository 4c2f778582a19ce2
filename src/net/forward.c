/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * Requests for sessions of other instances: the head is written anew, and from then on the client's
 * connection and one to the owner of the session are a pipe. What goes wrong before the owner has
 * said anything is answered as a session that is gone, which it soon will be.
 *
 * Each side is read only while the other has taken all that came before, so neither holds more than
 * one read. That also keeps order at the end: a client's FIN is seen when all before it is on its
 * way.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/private.h"
#include "base/clock.h"
#include "base/err.h"

#define CONNECT_TIMEOUT_MS 2000
/*
 * What the owner has sent and the client has not taken should wait at the owner, where the limits
 * of the session's queue see it, and not in megabytes of the kernel's here.
 */
#define RECEIVE_BYTES (128 * 1024)

struct forward {
	struct conn *conn;
	struct io *io;
	struct strbuf pending; /* for the owner, of which it has taken done bytes */
	size_t done;
	uint64_t body_left;    /* of the request; what comes behind is not passed on */
	uint64_t number;       /* of the owner */
	int fd;
	unsigned int watched;  /* enum io_events */
	bool upgrade;
	bool post;
	bool connected;
	bool answered;         /* something came from the owner */
	bool deaf;             /* the owner reads no more; it may still say something */
};

void forward_free(struct forward **fp)
{
	struct forward *f = *fp;

	if (!f)
		return;
	*fp = NULL;
	f->conn->net->n_forwards--;
	io_close(&f->io);
	if (f->fd >= 0)
		close(f->fd);
	strbuf_fini(&f->pending);
	free(f);
}

/* The other side is gone, or never was there. Frees f. */
static void ended(struct forward *f, const char *why)
{
	static struct log_rate rate = LOG_RATE(5, 10000);
	struct conn *c = f->conn;
	struct net *net = c->net;
	uint32_t suppressed;

	if (f->answered) {
		conn_close(c, WS_NONE);
		return;
	}
	net->stats.forward_failed++;
	if (log_rate_allow(&rate, &suppressed))
		log_warn("forward",
			 LOG_FIELDS(LOG_UINT("instance", f->number),
				    LOG_UINT("suppressed", suppressed)),
			 "request for a session of another instance failed (%s)", why);
	c->keep_alive = false;
	http_answer_error(c, EIO_ERR_SID_UNKNOWN);
}

/* Deadlines: how long nothing may happen. */
static void arm(struct forward *f)
{
	const struct net_config *config = f->conn->net->config;
	uint32_t ms;

	if (!f->connected)
		ms = CONNECT_TIMEOUT_MS;
	else if (!f->answered && f->body_left) /* the owner has a deadline for it, which is first */
		ms = config->body_timeout_ms + config->header_timeout_ms;
	else if (!f->answered && f->upgrade)
		ms = config->header_timeout_ms;
	else /* a ping comes in that time, or the owner gives the session up */
		ms = config->ping_interval_ms + config->ping_timeout_ms;
	conn_deadline(f->conn, ms);
}

void forward_timeout(struct conn *c)
{
	struct forward *f = c->forward;

	if (f->answered)
		conn_kill(c);
	else
		ended(f, f->connected ? "no answer in time" : "no connection in time");
}

/* What is watched follows from the state. */
static void watch(struct forward *f)
{
	struct conn *c = f->conn;
	unsigned int want = 0;

	if (!f->connected || f->pending.len)
		want |= IO_WRITE;
	if (f->connected && !c->blocked && !c->yielding && !c->out.len)
		want |= IO_READ;
	if (want != f->watched)
		io_set(f->io, want);
	f->watched = want;
}

/* Towards the owner */

bool forward_waits(const struct forward *f)
{
	return f->pending.len > 0;
}

static void drop_pending(struct forward *f)
{
	strbuf_fini(&f->pending);
	strbuf_init(&f->pending, SIZE_MAX / 2);
	f->done = 0;
}

static void flush(struct forward *f)
{
	size_t before = f->done;

	while (f->done < f->pending.len) {
		ssize_t n = send(f->fd, f->pending.data + f->done, f->pending.len - f->done,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			f->deaf = true;
		if (n < 0)
			break;
		f->done += (size_t)n;
	}
	if (f->done > before)
		arm(f);
	if (f->deaf || f->done == f->pending.len)
		drop_pending(f);
	conn_update_reading(f->conn);
}

void forward_input(struct conn *c, struct slice *in)
{
	struct forward *f = c->forward;
	size_t n = in->len;

	/* The answer to this request says that it is the connection's last. */
	if (!f->upgrade && n > f->body_left)
		n = (size_t)f->body_left;
	if (!f->upgrade)
		f->body_left -= n;
	if (n && !f->deaf)
		strbuf_append(&f->pending, in->p, n);
	in->p += in->len;
	in->len = 0;
	if (!strbuf_ok(&f->pending)) {
		conn_kill(c);
		return;
	}
	if (f->connected)
		flush(f);
	else
		conn_update_reading(c);
	watch(f);
}

/* From the owner */

/* False: f is gone. */
static bool take_answer(struct forward *f)
{
	struct conn *c = f->conn;
	ssize_t n = recv(f->fd, c->net->gather, NET_GATHER_BYTES, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		ended(f, n < 0 ? strerror(errno) : "it closed the connection");
		return false;
	}
	f->answered = true;
	strbuf_append(&c->out, c->net->gather, (size_t)n);
	conn_mark_busy(c);
	arm(f);
	return true;
}

void forward_written(struct conn *c)
{
	arm(c->forward);
	watch(c->forward);
}

/* False: f is gone. */
static bool is_connected(struct forward *f)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(f->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error) {
		ended(f, strerror(error));
		return false;
	}
	f->connected = true;
	arm(f);
	return true;
}

static void on_io(struct io *io, unsigned int events, void *arg)
{
	struct forward *f = arg;
	bool may_read = f->watched & IO_READ;

	(void)io;
	if (!events) /* an error ends the watching, and shows itself in what follows */
		f->watched = 0;
	if (!f->connected && !is_connected(f))
		return;
	if (f->pending.len)
		flush(f);
	if (may_read && events != IO_WRITE && !take_answer(f))
		return;
	watch(f);
}

/* The request's head */

/* What the owner needs to know of the request; cookies and tokens are not among it. */
static bool is_passed_on(const struct http_header *h, bool upgrade)
{
	static const char *const names[] = { "host", "origin", "content-length", "content-type",
					     "expect", "user-agent" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (h->name.len == strlen(names[i]) &&
		    strncasecmp(h->name.p, names[i], h->name.len) == 0)
			return true;
	return upgrade && h->name.len > 14 && strncasecmp(h->name.p, "sec-websocket-", 14) == 0;
}

static void append_head(struct forward *f, const struct http_request *r,
			const struct ip_addr *client, bool secure)
{
	struct net *net = f->conn->net;
	struct forward_claim claim = { .from = net->number,
				       .at_ms = clock_wall_ms(),
				       .client = *client,
				       .secure = secure };
	const char *demands = demands_digest(f->conn->listener->demands);
	struct strbuf *out = &f->pending;

	memcpy(claim.demands, demands, strlen(demands) + 1);
	strbuf_append_str(out, r->method == HTTP_GET ? "GET " : "POST ");
	strbuf_append_slice(out, r->path);
	strbuf_append_char(out, '?');
	strbuf_append_slice(out, r->query);
	/* The owner is to have one request of this connection, and to close it. */
	strbuf_printf(out, " HTTP/1.%d\r\nConnection: %s\r\n", r->minor,
		      f->upgrade ? "Upgrade, close\r\nUpgrade: websocket" : "close");
	for (size_t i = 0; i < r->n_headers; i++) {
		const struct http_header *h = &r->headers[i];

		if (!is_passed_on(h, f->upgrade))
			continue;
		strbuf_append_slice(out, h->name);
		strbuf_append_str(out, ": ");
		strbuf_append_slice(out, h->value);
		strbuf_append_str(out, "\r\n");
	}
	strbuf_append_str(out, FORWARD_HEADER ": ");
	forward_auth_append(out, &claim, r->method, r->path, r->query,
			    slice_of(net->secret, net->secret_len));
	strbuf_append_str(out, "\r\n\r\n");
}

static int connect_to(struct forward *f, const struct peer *peer)
{
	int family = ((const struct sockaddr *)&peer->to)->sa_family;

	f->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->fd < 0)
		return errno;
	(void)setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &(int){ RECEIVE_BYTES }, sizeof(int));
	if (family != AF_UNIX)
		(void)setsockopt(f->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (connect(f->fd, (const struct sockaddr *)&peer->to, peer->to_len) < 0 &&
	    errno != EINPROGRESS)
		return errno;
	f->watched = IO_WRITE;
	return io_open(&f->io, f->conn->net->loop, f->fd, IO_WRITE, on_io, f) ? EIO : 0;
}

void forward_request(struct conn *c, const struct http_request *r, const struct peer *peer,
		     const struct ip_addr *client, bool upgrade, bool secure)
{
	struct net *net = c->net;
	struct forward *f;
	int error;

	if (limits_total(&net->limits, net_descriptors(net)) == LIMIT_CLOSE) {
		http_refuse_overload(c);
		return;
	}
	f = calloc(1, sizeof(*f));
	if (!f) {
		http_answer_text(c, 503, "Out of memory\n", NULL);
		return;
	}
	net->n_forwards++;
	net->stats.forwarded++;
	f->conn = c;
	f->fd = -1;
	f->number = peer->number;
	f->upgrade = upgrade;
	f->post = r->method == HTTP_POST;
	f->body_left = upgrade ? 0 : r->length;
	strbuf_init(&f->pending, SIZE_MAX / 2);
	append_head(f, r, client, secure);
	c->keep_alive = false;
	c->forward = f;
	conn_set_state(c, CONN_FORWARD);
	if (!strbuf_ok(&f->pending)) {
		conn_kill(c);
		return;
	}
	if (f->pending.len > net->config->max_header_bytes) {
		net->stats.limited[NET_LIMIT_HEADER]++;
		http_answer_text(c, 431, "The request's head is too large\n", NULL);
		return;
	}
	error = connect_to(f, peer);
	if (error) {
		ended(f, strerror(error));
		return;
	}
	arm(f);
	conn_update_reading(c);
}

bool forward_may_finish(const struct forward *f)
{
	/* A held poll would hold the shutdown, too. */
	return f->post || (f->answered && !f->upgrade);
}
