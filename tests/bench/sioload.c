/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* sioload: load and measurement client for a Socket.IO v5 / Engine.IO v4 server, plain WebSocket.
 * See usage() and README.md.  One thread, epoll, libc only.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ------------------------------------------------------------------ message shapes: change them here */
/* client -> server, Socket.IO payload (what follows "42" or "42<ack id>"): tests/echo-server understands them, or,
 * with -DPARLANCED, the daemon */
#define F_CONNECT "40{\"token\":\"%s\"}" /* whole packet */
#ifdef PARLANCED
#define F_CREATE "[\"conversation:create\",{\"title\":\"%s\"}]"
#define F_JOIN "[\"join:conversation\",\"%s\"]"
#define F_TYPING "[\"typing:start\",{\"conversationId\":\"%s\"}]"
#define F_UPDATE "[\"conversation:update\",{\"conversationId\":\"%s\",\"update\":{\"title\":\"seq-%010llu\"}}]"
#define F_SEND "[\"message:send\",{\"conversationId\":\"%s\",\"content\":\"%s\"}]"
#define F_PING "[\"ping\"]"
/* server -> client event names; every spelling in a list is accepted */
static const char *EV_CREATED[] = { "conversation:created", 0 };
static const char *EV_JOINED[] = { "conversation:joined", 0 };
static const char *EV_TYPING[] = { "user:typing:start", 0 };
static const char *EV_UPDATE[] = { "conversation:updated", 0 };
static const char *EV_PONG[] = { "pong", 0 };
#else
#define F_CREATE "[\"echo\",{\"id\":\"%s\"}]"
#define F_JOIN "[\"join\",\"%s\"]"
#define F_TYPING "[\"say\",\"%s\",{\"userId\":\"u0\",\"conversationId\":\"0190a6e2-7c1c-7d3e-8f00-000000000000\"}]"
#define F_UPDATE "[\"say\",\"%s\",{\"update\":{\"title\":\"seq-%010llu\"}}]"
#define F_SEND "[\"say\",\"%s\",\"%s\"]"
#define F_PING "[\"echo\"]"
static const char *EV_CREATED[] = { "echo", 0 };
static const char *EV_JOINED[] = { "joined", 0 };
static const char *EV_TYPING[] = { "said", 0 };
static const char *EV_UPDATE[] = { "said", 0 };
static const char *EV_PONG[] = { "echo", 0 };
#endif
static const char *EV_CHUNK[] = { "message:chunk", 0 };
static const char *EV_COMPLETE[] = { "message:complete", 0 };
static const char *EV_AISTART[] = { "ai:typing:start", 0 };
static const char *EV_AISTOP[] = { "ai:typing:stop", 0 };
static const char *EV_ERROR[] = { "error", "message:error", 0 };
/* how values are found inside a payload */
#define K_ID "\"id\":\""          /* the id of the created conversation: first K_ID in the ack or event */
#define K_CONV "\"conversationId\":\""
#define K_SEQ "seq-"
#define K_CHUNK "\"chunk\":\""
/* ---------------------------------------------------------------------------------------------------- */

typedef unsigned char u8;
typedef uint32_t u32;
typedef uint64_t u64;

enum { S_CONNECTING, S_HTTP, S_OPEN, S_SIO, S_READY, S_CLOSED };

typedef struct conn {
	int fd, port;
	u8 state, want_out, role;
	u32 idx;          /* number of the connection */
	u32 grp;          /* conversation / group */
	const char *token;
	u8 *rb;           /* unparsed bytes */
	u32 rlen, rcap;
	u8 *wb;
	u32 wlen, woff, wcap;
	u64 t0;           /* connect start */
	u64 nrecv, ndup, nooo, next; /* fanout, xinst */
	u8 *seen;         /* xinst: bitmap of sequence numbers */
	u64 sent_at;      /* stream: time of message:send; pingpong: ring */
	u64 *ring;
	u32 rhead, rtail;
	u32 chunks, completes, joined, acked, aistart, aistop, errors;
	char conv[64];
} conn;

/* ---- options ---- */
static const char *host = "127.0.0.1", *path = "/socket.io/", *tokfile, *model_dir = "mock-100-10", *event_kind = "typing";
static int port = 3000, port2, cwin = 128, duration = 10, warmup = 1, window = 16, settle = 5, use_ack, tabs = 1, nrecv = 100, local_recv, timeline, ramp_ms;
static int one_user = -1, timeout_s = 60;
static double rate;
static long pids[16], auxpids[16], pgpid;
static int npids, nauxpids;
static char **tokens;
static int ntokens;

static conn *conns;
static u32 nconns;
static int ep;
static u64 ready, failed, closed, pings, errs, handshake_errors;
static u64 bytes_in;
static u64 NOW;

static u64 now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}
static void die(const char *f, ...)
{
	va_list a;
	va_start(a, f);
	vfprintf(stderr, f, a);
	va_end(a);
	fputc('\n', stderr);
	exit(1);
}

/* ---- latency histogram: 64 steps per octave, about 1.5 % ---- */
typedef struct { u64 n, max, sum; u32 b[64 * 40]; } hist;
static void hadd(hist *h, u64 v)
{
	u32 i;
	if (v < 64) i = v;
	else { int e = 63 - __builtin_clzll(v); i = (e - 5) * 64 + ((v >> (e - 6)) & 63); }
	if (i >= 64 * 40) i = 64 * 40 - 1;
	h->b[i]++;
	h->n++;
	h->sum += v;
	if (v > h->max) h->max = v;
}
static u64 hval(u32 i)
{
	if (i < 64) return i;
	u32 e = i / 64 + 5;
	return (1ull << e) + ((u64)(i & 63) << (e - 6));
}
static double hq(hist *h, double q)
{
	u64 t = (u64)(q * h->n), s = 0;
	if (!h->n) return 0;
	for (u32 i = 0; i < 64 * 40; i++) if ((s += h->b[i]) > t) return hval(i) / 1000.0;
	return h->max / 1000.0;
}
#define HMS(h) hq(h, .5), hq(h, .99), (h)->max / 1000.0

/* ---- process statistics ---- */
typedef struct { double cpu, pgcpu, aux, self, busy; double rss, pss; } pstat;
static double stat_cpu(long pid, int kids, long *ppid)
{
	char f[64], b[2048], *p;
	unsigned long ut, st;
	long cut, cst, pp;
	snprintf(f, sizeof f, "/proc/%ld/stat", pid);
	FILE *fp = fopen(f, "r");
	if (!fp) return 0;
	size_t n = fread(b, 1, sizeof b - 1, fp);
	fclose(fp);
	b[n] = 0;
	if (!(p = strrchr(b, ')'))) return 0;
	if (sscanf(p + 2, "%*c %ld %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &pp, &ut, &st, &cut, &cst) != 5) return 0;
	if (ppid) *ppid = pp;
	return (double)(ut + st + (kids ? cut + cst : 0)) / sysconf(_SC_CLK_TCK);
}
static void smaps(long pid, double *rss, double *pss)
{
	char f[64], l[256];
	double v;
	snprintf(f, sizeof f, "/proc/%ld/smaps_rollup", pid);
	FILE *fp = fopen(f, "r");
	if (!fp) return;
	while (fgets(l, sizeof l, fp)) {
		if (sscanf(l, "Rss: %lf", &v) == 1) *rss += v;
		if (sscanf(l, "Pss: %lf", &v) == 1) *pss += v;
	}
	fclose(fp);
}
static double self_cpu(void)
{
	struct rusage r;
	getrusage(RUSAGE_SELF, &r);
	return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}
static pstat pstats(void)
{
	pstat s = { 0 };
	for (int i = 0; i < npids; i++) { s.cpu += stat_cpu(pids[i], 0, 0); smaps(pids[i], &s.rss, &s.pss); }
	if (pgpid) {
		s.pgcpu = stat_cpu(pgpid, 1, 0);
		DIR *d = opendir("/proc");
		struct dirent *e;
		long p, pp;
		while ((e = readdir(d))) if ((p = atol(e->d_name)) > 0) { double c = stat_cpu(p, 0, &pp); if (pp == pgpid) s.pgcpu += c; }
		closedir(d);
	}
	for (int i = 0; i < nauxpids; i++) s.aux += stat_cpu(auxpids[i], 0, 0);
	s.self = self_cpu();
	FILE *f = fopen("/proc/stat", "r");
	double u, n, k, id, io, irq, soft, steal;
	if (f && fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &u, &n, &k, &id, &io, &irq, &soft, &steal) == 8)
		s.busy = (u + n + k + irq + soft + steal) / sysconf(_SC_CLK_TCK);
	if (f) fclose(f);
	return s;
}
/* CPU time used by processes that are no part of the measurement: a sign of a disturbed run */
static double foreign(pstat a, pstat z)
{
	double d = z.busy - a.busy - (z.cpu - a.cpu) - (z.pgcpu - a.pgcpu) - (z.aux - a.aux) - (z.self - a.self);
	return d > 0 ? d : 0;
}

/* ---- events of the mode in progress ---- */
static void (*on_event)(conn *, const char *name, u32 nlen, const char *p, u32 n);
static void (*on_ack)(conn *, u32 id, const char *p, u32 n);
static void (*on_ready)(conn *);

static void update_epoll(conn *c, int want)
{
	if (want == c->want_out) return;
	c->want_out = want;
	struct epoll_event e = { .events = EPOLLIN | (want ? EPOLLOUT : 0), .data.ptr = c };
	epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}
static void cclose(conn *c, int fail)
{
	if (c->state == S_CLOSED) return;
	if (c->state != S_READY || fail) failed += c->state != S_READY;
	if (c->state == S_READY) closed++;
	c->state = S_CLOSED;
	close(c->fd);
	c->fd = -1;
	free(c->rb); c->rb = 0; c->rlen = c->rcap = 0;
	free(c->wb); c->wb = 0; c->wlen = c->woff = c->wcap = 0;
}
static void wflush(conn *c)
{
	while (c->woff < c->wlen) {
		ssize_t w = send(c->fd, c->wb + c->woff, c->wlen - c->woff, MSG_NOSIGNAL);
		if (w < 0) {
			if (errno == EINTR) continue;
			if (errno != EAGAIN) { cclose(c, 1); return; }
			update_epoll(c, 1);
			return;
		}
		c->woff += w;
	}
	c->woff = c->wlen = 0;
	if (c->wcap > 65536) { free(c->wb); c->wb = 0; c->wcap = 0; }
	update_epoll(c, 0);
}
static void wput(conn *c, const void *p, u32 n)
{
	if (c->wlen + n > c->wcap) {
		c->wcap = (c->wlen + n) * 2;
		if (!(c->wb = realloc(c->wb, c->wcap))) die("out of memory");
	}
	memcpy(c->wb + c->wlen, p, n);
	c->wlen += n;
}
static u32 rnd = 0x9e3779b9;
/* queues one masked text frame */
static void ws_text(conn *c, const char *s, u32 n)
{
	u8 f[4096 + 14];
	u32 h = 2;
	if (c->state == S_CLOSED) return;
	if (n > 4096) die("frame too long");
	rnd = rnd * 1664525 + 1013904223;
	u32 m = rnd | 1;
	f[0] = 0x81;
	if (n < 126) f[1] = 0x80 | n;
	else { f[1] = 0x80 | 126; f[2] = n >> 8; f[3] = n; h = 4; }
	memcpy(f + h, &m, 4);
	h += 4;
	u8 *mk = (u8 *)&m;
	for (u32 i = 0; i < n; i++) f[h + i] = (u8)s[i] ^ mk[i & 3];
	wput(c, f, h + n);
}
__attribute__((format(printf, 2, 3))) static void ws_send(conn *c, const char *fmt, ...)
{
	char b[4096];
	va_list a;
	va_start(a, fmt);
	int n = vsnprintf(b, sizeof b, fmt, a);
	va_end(a);
	if (n >= (int)sizeof b) die("message too long");
	ws_text(c, b, n);
	if (c->state != S_CLOSED) wflush(c);
}

static int is(const char **names, const char *s, u32 n)
{
	for (; *names; names++) if (strlen(*names) == n && !memcmp(*names, s, n)) return 1;
	return 0;
}

static hist h_conn;

static void sio_packet(conn *c, const char *p, u32 n)
{
	switch (n ? p[0] : 0) {
	case '0':
		if (c->state != S_SIO) return;
		c->state = S_READY;
		ready++;
		hadd(&h_conn, NOW - c->t0);
		if (on_ready) on_ready(c);
		return;
	case '4':
		if (!handshake_errors++) fprintf(stderr, "connect error: %.*s\n", (int)n, p);
		cclose(c, 1);
		return;
	case '1':
		cclose(c, 0);
		return;
	case '2': {
		const char *q = memchr(p, '[', n);
		if (!q || q[1] != '"') return;
		q += 2;
		const char *e = memchr(q, '"', p + n - q);
		if (!e) return;
		if (is(EV_ERROR, q, e - q)) { c->errors++; if (!errs++) fprintf(stderr, "first error event: %.*s\n", (int)(n > 300 ? 300 : n), p); }
		if (on_event) on_event(c, q, e - q, e + 1, p + n - e - 1);
		return;
	}
	case '3': {
		u32 id = 0, i = 1;
		while (i < n && p[i] >= '0' && p[i] <= '9') id = id * 10 + p[i++] - '0';
		if (on_ack) on_ack(c, id, p + i, n - i);
		return;
	}
	}
}
static void text(conn *c, const char *p, u32 n)
{
	if (!n) return;
	if (p[0] == '2') { pings++; ws_send(c, "3"); return; }
	if (p[0] == '0' && c->state == S_OPEN) { c->state = S_SIO; ws_send(c, F_CONNECT, c->token); return; }
	if (p[0] == '4') sio_packet(c, p + 1, n - 1);
	else if (p[0] == '1') cclose(c, 0);
}

/* parses what is in b; returns bytes used */
static u32 parse(conn *c, u8 *b, u32 n)
{
	u32 o = 0;
	if (c->state == S_HTTP) {
		u8 *e = memmem(b, n, "\r\n\r\n", 4);
		if (!e) return 0;
		if (n < 12 || memcmp(b + 9, "101", 3)) {
			if (!handshake_errors++) fprintf(stderr, "upgrade refused: %.*s\n", (int)(n > 200 ? 200 : n), b);
			cclose(c, 1);
			return n;
		}
		c->state = S_OPEN;
		o = e + 4 - b;
	}
	while (c->state != S_CLOSED && n - o >= 2) {
		u64 len = b[o + 1] & 127;
		u32 h = 2;
		if (len == 126) { if (n - o < 4) break; len = b[o + 2] << 8 | b[o + 3]; h = 4; }
		else if (len == 127) { if (n - o < 10) break; len = 0; for (int i = 0; i < 8; i++) len = len << 8 | b[o + 2 + i]; h = 10; }
		if (b[o + 1] & 0x80) die("masked frame from the server");
		if (n - o - h < len) break;
		u8 *p = b + o + h;
		switch (b[o] & 15) {
		case 1:
			if (!(b[o] & 0x80) || (b[o] & 0x70)) die("fragmented or compressed frame: not supported");
			text(c, (char *)p, len);
			break;
		case 8: cclose(c, 0); return n;
		case 9: { u8 f[6] = { 0x8a, 0x80, 0, 0, 0, 0 }; wput(c, f, 6); wflush(c); } break;
		default: break;
		}
		o += h + len;
	}
	return c->state == S_CLOSED ? n : o;
}

static u8 big[1 << 18];

static void readable(conn *c)
{
	for (;;) {
		u8 *b = big;
		u32 n, u;
		if (c->rlen) { memcpy(big, c->rb, c->rlen > sizeof big ? 0 : c->rlen); }
		if (c->rlen >= sizeof big / 2) die("a frame of more than 128 KiB");
		ssize_t r = recv(c->fd, big + c->rlen, sizeof big - c->rlen, 0);
		if (r < 0) {
			if (errno == EINTR) continue;
			if (errno == EAGAIN) return;
			cclose(c, 1);
			return;
		}
		if (r == 0) { cclose(c, 1); return; }
		NOW = now_us();
		bytes_in += r;
		n = c->rlen + r;
		u = parse(c, b, n);
		if (c->state == S_CLOSED) return;
		if (c->wlen && !c->want_out) { wflush(c); if (c->state == S_CLOSED) return; } /* what the frames just read gave rise to */
		n -= u;
		if (n > c->rcap) { c->rcap = n < 256 ? 256 : n * 2; if (!(c->rb = realloc(c->rb, c->rcap))) die("out of memory"); }
		if (n) memcpy(c->rb, b + u, n);
		else if (c->rcap) { free(c->rb); c->rb = 0; c->rcap = 0; }
		c->rlen = n;
		if ((u32)r < sizeof big / 2) return;
	}
}

static void start(conn *c)
{
	int one = 1;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (c->fd < 0) die("socket: %s", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	/* spread over 127.0.0.2.. so that ephemeral ports don't run out */
	if (!strncmp(host, "127.", 4)) {
		struct sockaddr_in l = { .sin_family = AF_INET };
		l.sin_addr.s_addr = htonl(0x7f000002 + c->idx / 20000);
		setsockopt(c->fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one);
		bind(c->fd, (void *)&l, sizeof l);
	}
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(c->port) };
	inet_pton(AF_INET, host, &a.sin_addr);
	c->t0 = now_us();
	c->state = S_CONNECTING;
	if (connect(c->fd, (void *)&a, sizeof a) && errno != EINPROGRESS) die("connect: %s", strerror(errno));
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
	c->want_out = 1;
	epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e);
}

/* one turn of the loop; waits at most until the time given */
static void turn(u64 until)
{
	struct epoll_event ev[1024];
	u64 t = now_us(), d = until > t ? until - t : 0;
	struct timespec ts = { d / 1000000, d % 1000000 * 1000 };
	int n = epoll_pwait2(ep, ev, 1024, &ts, 0);
	for (int i = 0; i < n; i++) {
		conn *c = ev[i].data.ptr;
		if (c->state == S_CLOSED) continue;
		if (c->state == S_CONNECTING && (ev[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
			int e = 0;
			socklen_t l = sizeof e;
			getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &l);
			if (e) { if (!handshake_errors++) fprintf(stderr, "connect: %s\n", strerror(e)); cclose(c, 1); continue; }
			char b[512];
			int k = snprintf(b, sizeof b, "GET %s?EIO=4&transport=websocket HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n", path, host, c->port);
			c->state = S_HTTP;
			wput(c, b, k);
			wflush(c);
			continue;
		}
		if (ev[i].events & EPOLLOUT) wflush(c);
		if (c->state != S_CLOSED && (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) readable(c);
	}
	NOW = now_us();
}

/* opens connections first..last-1 */
static double open_all(u32 first, u32 last)
{
	u64 t0 = now_us(), lim = t0 + timeout_s * 1000000ull;
	u32 next = first;
	u64 base = ready + failed;
	while (ready + failed - base < last - first) {
		while (next < last && next - first - (ready + failed - base) < (u32)cwin) start(&conns[next++]);
		turn(now_us() + 100000);
		if (NOW > lim) { fprintf(stderr, "timeout: %llu of %u connections open\n", (unsigned long long)ready, last - first); break; }
	}
	return (now_us() - t0) / 1e6;
}

static void alloc_conns(u32 n)
{
	if (!(conns = calloc(n, sizeof *conns))) die("out of memory");
	nconns = n;
	for (u32 i = 0; i < n; i++) {
		conns[i].idx = i;
		conns[i].fd = -1;
		conns[i].port = port;
		conns[i].token = tokens[i % ntokens];
	}
}

static void load_tokens(void)
{
	char l[4096];
	FILE *f = fopen(tokfile ? tokfile : "tokens.txt", "r");
	if (!f) die("no token file: make one with node mint.js N > tokens.txt and give it with --tokens");
	while (fgets(l, sizeof l, f)) {
		l[strcspn(l, "\r\n")] = 0;
		if (!*l) continue;
		tokens = realloc(tokens, (ntokens + 1) * sizeof *tokens);
		tokens[ntokens++] = strdup(l);
	}
	fclose(f);
	if (!ntokens) die("empty token file");
}

/* ---- setup steps shared by the modes ---- */
static u64 ncreated, njoined;
static void setup_ack(conn *c, u32 id, const char *p, u32 n)
{
	if (id == 1 && !c->conv[0]) {
		const char *k = memmem(p, n, K_ID, strlen(K_ID));
		if (!k) { fprintf(stderr, "create: no id in %.*s\n", (int)n, p); exit(1); }
		sscanf(k + strlen(K_ID), "%63[^\"]", c->conv);
		ncreated++;
	} else if (id == 2 && !c->joined) {
		if (memmem(p, n, "\"ok\":false", 10)) { fprintf(stderr, "join refused: %.*s\n", (int)n, p); exit(1); }
		c->joined = 1;
		njoined++;
	}
}
static void setup_event(conn *c, const char *e, u32 el, const char *p, u32 n)
{
	(void)p; (void)n;
	if (is(EV_JOINED, e, el) && !c->joined) { c->joined = 1; njoined++; }
	/* a server without acks echoes the created conversation to its creator */
	if (is(EV_CREATED, e, el) && c->role == 1 && !c->conv[0]) setup_ack(c, 1, p, n);
}
static void wait_for(u64 *v, u64 target, const char *what)
{
	u64 lim = now_us() + timeout_s * 1000000ull;
	while (*v < target) {
		turn(now_us() + 100000);
		if (NOW > lim) die("timeout: %s %llu of %llu", what, (unsigned long long)*v, (unsigned long long)target);
		if (closed) die("%s: connections closed by the server", what);
	}
}
/* makes one conversation per creator, in batches */
static void create_convs(u32 *who, u32 n)
{
	on_ack = setup_ack;
	on_event = setup_event;
	u64 base = ncreated;
	for (u32 i = 0; i < n; i++) {
		conns[who[i]].role = 1;
		char t[40];
		snprintf(t, sizeof t, "bench %u", i);
		ws_send(&conns[who[i]], "421" F_CREATE, t);
		if (i % 64 == 63) wait_for(&ncreated, base + i - 63, "created");
	}
	wait_for(&ncreated, base + n, "created");
}
static void join(u32 i, const char *conv) { ws_send(&conns[i], "422" F_JOIN, conv); }

/* ---- results ---- */
static char res[8192];
static void R(const char *f, ...)
{
	size_t n = strlen(res);
	va_list a;
	va_start(a, f);
	vsnprintf(res + n, sizeof res - n, f, a);
	va_end(a);
}
static void R_common(pstat a, pstat z)
{
	R(",\"aux_cpu_s\":%.2f,\"foreign_cpu_s\":%.2f", z.aux - a.aux, foreign(a, z));
	if (foreign(a, z) > 0.3) printf("NOTE other processes used %.2f s of CPU during this run\n", foreign(a, z));
}
static void finish(void) { printf("RESULT {%s}\n", res); fflush(stdout); }

/* ================================================================ idle */
static void m_idle(u32 n)
{
	alloc_conns(n);
	if (one_user > 0) for (u32 i = 0; i < n; i++) conns[i].token = tokens[0];
	pstat a = pstats();
	double s = open_all(0, n);
	pstat b = pstats();
	u64 end = now_us() + settle * 1000000ull;
	while (now_us() < end) turn(end);
	pstat m = pstats();
	end = now_us() + duration * 1000000ull;
	u64 p0 = pings;
	while (now_us() < end) turn(end);
	pstat z = pstats();
	printf("%llu open, %llu failed, %llu closed in %.2f s: %.0f conns/s, handshake p50 %.1f p99 %.1f max %.1f ms (%d at a time)\n",
		(unsigned long long)ready, (unsigned long long)failed, (unsigned long long)closed, s, ready / s, HMS(&h_conn), cwin);
	printf("server CPU %.0f us per connect; RSS %.0f -> %.0f KiB, %.2f KiB/conn; PSS %.0f -> %.0f, %.2f KiB/conn\n",
		(b.cpu - a.cpu) * 1e6 / n, a.rss, m.rss, (m.rss - a.rss) / n, a.pss, m.pss, (m.pss - a.pss) / n);
	printf("idle %d s: %llu pings answered, server CPU %.2f s; RSS at the end %.0f KiB\n", duration, (unsigned long long)(pings - p0), z.cpu - m.cpu, z.rss);
	R("\"mode\":\"idle\",\"n\":%u,\"ready\":%llu,\"failed\":%llu,\"closed\":%llu,\"conn_per_s\":%.1f,\"hs_p50_ms\":%.3f,\"hs_p99_ms\":%.3f,\"hs_max_ms\":%.3f,"
	  "\"cpu_us_per_conn\":%.1f,\"rss0_kib\":%.0f,\"rss_kib\":%.0f,\"rss_per_conn_kib\":%.3f,\"pss_per_conn_kib\":%.3f,\"idle_s\":%d,\"pings\":%llu,\"idle_cpu_s\":%.2f,\"rss_end_kib\":%.0f,\"rss_end_per_conn_kib\":%.3f",
	  n, (unsigned long long)ready, (unsigned long long)failed, (unsigned long long)closed, ready / s, HMS(&h_conn), (b.cpu - a.cpu) * 1e6 / n, a.rss, m.rss, (m.rss - a.rss) / n,
	  (m.pss - a.pss) / n, duration, (unsigned long long)(pings - p0), z.cpu - m.cpu, z.rss, (z.rss - a.rss) / n);
	R_common(a, z);
}

/* ================================================================ fanout and xinst */
#define RING (1u << 20)
static u64 *sent_at;       /* by seq % RING */
static u32 *got;           /* deliveries of seq % RING */
static u64 nsent, ncomplete, ndeliv, n_ooo, n_dup, n_lat;
static u32 nreceivers;
static int is_update;
static hist h_lat, h_loc;
static u64 meas_from, sending_until;
static u64 tl_sent[4096], tl_got[4096];
static u64 tl_t0;
static u64 max_seen_gap, seen_bits, last_deliv;

static u64 seq_of(const char *p, u32 n)
{
	const char *k = memmem(p, n, K_SEQ, strlen(K_SEQ));
	return k ? strtoull(k + strlen(K_SEQ), 0, 10) : ~0ull;
}
static void fan_event(conn *c, const char *e, u32 el, const char *p, u32 n)
{
	u64 seq;
	if (c->role != 2 && c->role != 3) return;
	if (is_update) {
		if (!is(EV_UPDATE, e, el)) return;
		if ((seq = seq_of(p, n)) == ~0ull || seq >= nsent) return;
		if (c->seen && seq < seen_bits) {
			if (c->seen[seq >> 3] & 1 << (seq & 7)) { c->ndup++; n_dup++; return; }
			c->seen[seq >> 3] |= 1 << (seq & 7);
		}
		if (seq < c->next) { c->nooo++; n_ooo++; if (c->next - seq > max_seen_gap) max_seen_gap = c->next - seq; }
		else c->next = seq + 1;
	} else {
		if (!is(EV_TYPING, e, el)) return;
		seq = c->next++; /* in order on one connection */
		if (seq >= nsent) { n_dup++; return; }
	}
	c->nrecv++;
	ndeliv++;
	last_deliv = NOW;
	u64 s = sent_at[seq % RING];
	if (s >= meas_from) { hadd(c->role == 3 ? &h_loc : &h_lat, NOW - s); n_lat++; }
	u64 sec = (s - tl_t0) / 1000000;
	if (sec < 4096) tl_got[sec]++;
	if (++got[seq % RING] == nreceivers) ncomplete++;
}
static void fan_send(conn *c, u64 at)
{
	u64 s = nsent++;
	sent_at[s % RING] = at;
	got[s % RING] = 0;
	u64 sec = (at - tl_t0) / 1000000;
	if (sec < 4096) tl_sent[sec]++;
	if (is_update) {
		char b[1024];
		int n = snprintf(b, sizeof b, "42" F_UPDATE, c->conv, (unsigned long long)s);
		ws_text(c, b, n);
	} else {
		char b[512];
		int n = snprintf(b, sizeof b, "42" F_TYPING, c->conv);
		ws_text(c, b, n);
	}
}

/* sends at "rate" (or with "window" events in flight) until sending_until, then drains */
static void fan_run(conn *c)
{
	u64 t0 = now_us(), last = 0, n0 = nsent;
	on_event = fan_event;
	on_ack = 0;
	while ((NOW = now_us()) < sending_until && c->state == S_READY) {
		u64 next = NOW + 100000;
		if (rate > 0) {
			u64 due = (u64)((NOW - t0) * rate / 1e6) + 1;
			while (nsent - n0 < due) fan_send(c, t0 + (u64)((nsent - n0) * 1e6 / rate)); /* the time it was due */
			next = t0 + (u64)((nsent - n0) * 1e6 / rate) + 1;
		} else {
			while (nsent - ncomplete < (u64)window) fan_send(c, now_us());
		}
		wflush(c);
		turn(next < sending_until ? next : sending_until);
	}
	/* drain */
	u64 lim = now_us() + 10000000, quiet = now_us();
	last = ndeliv;
	while (ncomplete < nsent && now_us() < lim && now_us() - quiet < 3000000) {
		turn(now_us() + 50000);
		if (ndeliv != last) { last = ndeliv; quiet = NOW; }
	}
}

static void m_fanout(int xinst)
{
	u32 n = nrecv + local_recv;
	is_update = xinst ? strcmp(event_kind, "typing") != 0 : !strcmp(event_kind, "update");
	alloc_conns(n + 1);
	nreceivers = n;
	sent_at = calloc(RING, sizeof *sent_at);
	got = calloc(RING, sizeof *got);
	for (u32 i = 0; i <= n; i++) {
		conns[i].token = tokens[0];
		if (xinst && i >= 1 && i <= (u32)nrecv) conns[i].port = port2;
	}
	open_all(0, n + 1);
	if (failed) die("%llu connections failed", (unsigned long long)failed);
	u32 who = 0;
	create_convs(&who, 1);
	conn *c = &conns[0];
	for (u32 i = 0; i <= n; i++) {
		join(i, c->conv);
		if (i % 64 == 63) wait_for(&njoined, i - 63, "joined");
	}
	wait_for(&njoined, n + 1, "joined");
	for (u32 i = 1; i <= n; i++) {
		conns[i].role = xinst && i > (u32)nrecv ? 3 : 2;
		if (is_update) {
			seen_bits = rate > 0 ? rate * (duration + warmup) * 1.1 + 4096 : 1 << 20;
			conns[i].seen = calloc(1, seen_bits / 8 + 1);
		}
	}
	/* warm-up, then measure */
	tl_t0 = now_us();
	if (warmup) {
		meas_from = ~0ull;
		sending_until = now_us() + warmup * 1000000ull;
		on_event = fan_event;
		fan_run(c);
	}
	u64 s0 = nsent, d0 = ndeliv, b0 = bytes_in, o0 = n_ooo, du0 = n_dup;
	pstat a = pstats();
	double me = self_cpu();
	u64 t0 = now_us();
	meas_from = t0;
	memset(tl_sent, 0, sizeof tl_sent);
	memset(tl_got, 0, sizeof tl_got);
	tl_t0 = t0;
	sending_until = t0 + duration * 1000000ull;
	fan_run(c);
	u64 t1 = last_deliv > t0 ? last_deliv : now_us();
	pstat z = pstats();
	me = self_cpu() - me;
	u64 sent = nsent - s0, del = ndeliv - d0, want = sent * n;
	double el = (t1 - t0) / 1e6, cpu = z.cpu - a.cpu;
	printf("%s %s: %u receivers, %llu events sent, %llu of %llu deliveries (%lld lost, %llu duplicate, %llu out of order) in %.2f s\n", xinst ? "xinst" : "fanout", event_kind, n,
		(unsigned long long)sent, (unsigned long long)del, (unsigned long long)want, (long long)(want - del), (unsigned long long)(n_dup - du0), (unsigned long long)(n_ooo - o0), el);
	printf("%.0f events/s, %.0f deliveries/s; latency p50 %.3f p99 %.3f max %.3f ms%s; %llu closed, %llu errors\n", sent / el, del / el, HMS(&h_lat),
		rate > 0 ? " (paced)" : " (window)", (unsigned long long)closed, (unsigned long long)errs);
	if (local_recv) printf("local receivers: p50 %.3f p99 %.3f max %.3f ms\n", HMS(&h_loc));
	printf("server CPU %.2f s = %.2f s per 1M deliveries, %.1f us per event; PostgreSQL CPU %.2f s; client CPU %.2f s; %.0f bytes per delivery\n", cpu, cpu * 1e6 / (del ? del : 1),
		cpu * 1e6 / (sent ? sent : 1), z.pgcpu - a.pgcpu, me, (double)(bytes_in - b0) / (del ? del : 1));
	if (timeline) {
		printf("second: sent / deliveries expected / received, by second of sending\n");
		for (int i = 0; i < duration; i++) {
			printf("%3d: %6llu %8llu %8llu%s\n", i, (unsigned long long)tl_sent[i], (unsigned long long)tl_sent[i] * n, (unsigned long long)tl_got[i],
				tl_got[i] < tl_sent[i] * n ? "  <-- lost" : "");
		}
	}
	R("\"mode\":\"%s\",\"event\":\"%s\",\"n\":%u,\"rate\":%.0f,\"window\":%d,\"sent\":%llu,\"delivered\":%llu,\"lost\":%lld,\"dup\":%llu,\"ooo\":%llu,\"ooo_max\":%llu,\"events_per_s\":%.1f,\"deliv_per_s\":%.0f,"
	  "\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"loc_p50_ms\":%.3f,\"loc_p99_ms\":%.3f,\"cpu_s\":%.2f,\"cpu_s_per_M\":%.3f,\"pg_cpu_s\":%.2f,\"client_cpu_s\":%.2f,\"elapsed_s\":%.2f,\"closed\":%llu,\"errors\":%llu",
	  xinst ? "xinst" : "fanout", event_kind, n, rate, window, (unsigned long long)sent, (unsigned long long)del, (long long)(want - del), (unsigned long long)(n_dup - du0), (unsigned long long)(n_ooo - o0),
	  (unsigned long long)max_seen_gap, sent / el, del / el, HMS(&h_lat), hq(&h_loc, .5), hq(&h_loc, .99), cpu, cpu * 1e6 / (del ? del : 1), z.pgcpu - a.pgcpu, me, el, (unsigned long long)closed, (unsigned long long)errs);
	R_common(a, z);
}

/* ================================================================ stream */
static hist h_ttfc, h_over, h_total;
static u64 nchunks, ncompl, nstop, first_chunk, last_chunk, nchunk_ooo;
static signed char d62[256];
#define MOD62 916132832ull /* 62^5 */

static void stream_event(conn *c, const char *e, u32 el, const char *p, u32 n)
{
	if (is(EV_CHUNK, e, el)) {
		nchunks++;
		if (!first_chunk) first_chunk = NOW;
		last_chunk = NOW;
		conn *s = &conns[c->grp]; /* the sender of the group */
		if (!c->chunks++) hadd(&h_ttfc, NOW - s->sent_at);
		const u8 *k = memmem(p, n, K_CHUNK, strlen(K_CHUNK));
		if (k && (k += strlen(K_CHUNK))[0] == ' ') {
			u64 v = 0;
			int i;
			for (i = 1; i < 6 && d62[k[i]] >= 0; i++) v = v * 62 + d62[k[i]];
			if (i == 6) {
				hadd(&h_over, (NOW % MOD62 + MOD62 - v) % MOD62);
				/* the tokens of a stream carry rising times: a step back is a chunk out of order */
				if (c->next && (v + MOD62 - c->next) % MOD62 > MOD62 / 2) nchunk_ooo++;
				else c->next = v;
			}
		}
	} else if (is(EV_COMPLETE, e, el)) {
		c->completes++;
		ncompl++;
		hadd(&h_total, NOW - conns[c->grp].sent_at);
	} else if (is(EV_AISTART, e, el)) c->aistart++;
	else if (is(EV_AISTOP, e, el)) { c->aistop++; nstop++; }
}
static void m_stream(u32 s)
{
	u32 n = s * tabs;
	int want_tok = 0, d = 0;
	const char *q = strpbrk(model_dir, "0123456789");
	if (q && sscanf(q, "%d-%d", &want_tok, &d) != 2) want_tok = 0;
	for (int i = 0; i < 256; i++) d62[i] = -1;
	for (int i = 0; i < 62; i++) d62[(u8)"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[i]] = i;
	alloc_conns(n);
	u32 *who = malloc(s * sizeof *who);
	for (u32 i = 0; i < n; i++) { /* connections i*tabs .. are the tabs of stream i; the first one sends */
		conns[i].grp = i / tabs * tabs;
		conns[i].token = tokens[(i / tabs) % ntokens];
		if (port2 && i % tabs % 2) conns[i].port = port2; /* odd tabs on the other instance */
		if (i % tabs == 0) who[i / tabs] = i;
	}
	open_all(0, n);
	if (failed) die("%llu connections failed", (unsigned long long)failed);
	create_convs(who, s);
	for (u32 i = 0; i < n; i++) {
		join(i, conns[conns[i].grp].conv);
		if (i % 64 == 63) wait_for(&njoined, i - 63, "joined");
	}
	wait_for(&njoined, n, "joined");
	u64 settle_end = now_us() + 500000;
	while (now_us() < settle_end) turn(settle_end);
	on_event = stream_event;
	on_ack = 0;
	u64 b0 = bytes_in;
	pstat a = pstats();
	double me = self_cpu();
	u64 t0 = now_us(), lim = t0 + timeout_s * 1000000ull;
	for (u32 i = 0; i < s; i++) {
		conn *c = &conns[who[i]];
		if (ramp_ms) { u64 at = t0 + (u64)ramp_ms * 1000 * i / s; while (now_us() < at) turn(at); }
		c->sent_at = now_us();
		char dir[128];
		snprintf(dir, sizeof dir, "[[%s]] hello", model_dir);
		ws_send(c, "42" F_SEND, c->conv, dir);
		if (i % 16 == 15) turn(now_us());
	}
	while (nstop < n && now_us() < lim && closed == 0) turn(now_us() + 100000);
	u64 grace = now_us() + 200000;
	while (now_us() < grace) turn(grace);
	u64 t1 = last_chunk;
	pstat z = pstats();
	me = self_cpu() - me;
	double el = (t1 - t0) / 1e6, cpu = z.cpu - a.cpu, span = (last_chunk - first_chunk) / 1e6;
	u32 bad = 0;
	for (u32 i = 0; i < n; i++) if (conns[i].completes != 1 || conns[i].aistart != 1 || conns[i].aistop != 1 || (want_tok && conns[i].chunks != (u32)want_tok)) bad++;
	printf("stream: %u streams x %d tabs, %s: %llu chunks of %llu, %llu completes of %u, %llu stops, %u tabs incomplete, %llu chunks out of order, %llu errors, %llu closed\n", s, tabs, model_dir,
		(unsigned long long)nchunks, (unsigned long long)n * want_tok, (unsigned long long)ncompl, n, (unsigned long long)nstop, bad, (unsigned long long)nchunk_ooo, (unsigned long long)errs, (unsigned long long)closed);
	printf("%.0f chunks/s over %.2f s (first to last chunk %.2f s, ideal %.2f s)\n", nchunks / el, el, span, want_tok * d / 1000.0);
	printf("first chunk p50 %.1f p99 %.1f max %.1f ms; chunk overhead p50 %.2f p99 %.2f max %.2f ms; complete p50 %.0f p99 %.0f max %.0f ms\n", HMS(&h_ttfc), HMS(&h_over), HMS(&h_total));
	printf("server CPU %.2f s = %.2f s per 1M chunks; PostgreSQL CPU %.2f s; client CPU %.2f s; RSS %.0f -> %.0f KiB; %.0f bytes per chunk\n", cpu, cpu * 1e6 / (nchunks ? nchunks : 1),
		z.pgcpu - a.pgcpu, me, a.rss, z.rss, (double)(bytes_in - b0) / (nchunks ? nchunks : 1));
	R("\"mode\":\"stream\",\"streams\":%u,\"tabs\":%d,\"model\":\"%s\",\"chunks\":%llu,\"expected\":%llu,\"completes\":%llu,\"bad_tabs\":%u,\"errors\":%llu,\"closed\":%llu,\"chunks_per_s\":%.0f,\"elapsed_s\":%.2f,"
	  "\"ttfc_p50_ms\":%.2f,\"ttfc_p99_ms\":%.2f,\"over_p50_ms\":%.3f,\"over_p99_ms\":%.3f,\"over_max_ms\":%.3f,\"total_p50_ms\":%.1f,\"total_p99_ms\":%.1f,\"cpu_s\":%.2f,\"cpu_s_per_M\":%.3f,\"pg_cpu_s\":%.2f,\"client_cpu_s\":%.2f,\"rss0_kib\":%.0f,\"rss_kib\":%.0f,\"chunk_ooo\":%llu",
	  s, tabs, model_dir, (unsigned long long)nchunks, (unsigned long long)n * want_tok, (unsigned long long)ncompl, bad, (unsigned long long)errs, (unsigned long long)closed, nchunks / el, el,
	  hq(&h_ttfc, .5), hq(&h_ttfc, .99), HMS(&h_over), hq(&h_total, .5), hq(&h_total, .99), cpu, cpu * 1e6 / (nchunks ? nchunks : 1), z.pgcpu - a.pgcpu, me, a.rss, z.rss, (unsigned long long)nchunk_ooo);
	R_common(a, z);
}

/* ================================================================ pingpong */
static hist h_rtt;
static u64 nrtt;
static int pp_stop;
static void pp_send(conn *c)
{
	c->ring[c->rhead++ % window] = NOW;
	if (use_ack) { char b[64]; int k = snprintf(b, sizeof b, "42%u" F_PING, c->rhead); ws_text(c, b, k); }
	else ws_text(c, "42" F_PING, 2 + strlen(F_PING));
}
static void pp_got(conn *c)
{
	if (c->rtail == c->rhead) return;
	u64 s = c->ring[c->rtail++ % window];
	if (s >= meas_from) { hadd(&h_rtt, NOW - s); nrtt++; }
	if (!pp_stop) { pp_send(c); }
}
static void pp_event(conn *c, const char *e, u32 el, const char *p, u32 n) { (void)p; (void)n; if (is(EV_PONG, e, el)) pp_got(c); }
static void pp_ack(conn *c, u32 id, const char *p, u32 n) { (void)id; (void)p; (void)n; pp_got(c); }
static void m_pingpong(u32 n)
{
	alloc_conns(n);
	open_all(0, n);
	if (failed) die("%llu connections failed", (unsigned long long)failed);
	on_event = pp_event;
	on_ack = pp_ack;
	meas_from = ~0ull;
	for (u32 i = 0; i < n; i++) {
		conns[i].ring = calloc(window, sizeof(u64));
		NOW = now_us();
		for (int k = 0; k < window; k++) pp_send(&conns[i]);
		wflush(&conns[i]);
	}
	u64 end = now_us() + warmup * 1000000ull;
	while (now_us() < end) turn(end);
	pstat a = pstats();
	double me = self_cpu();
	u64 t0 = now_us();
	meas_from = t0;
	end = t0 + duration * 1000000ull;
	while (now_us() < end && !closed) turn(end);
	u64 t1 = now_us();
	pstat z = pstats();
	me = self_cpu() - me;
	pp_stop = 1;
	double el = (t1 - t0) / 1e6;
	printf("pingpong%s: %u connections x %d in flight: %.0f round trips/s, p50 %.3f p99 %.3f max %.3f ms; server CPU %.2f s = %.2f us each; client CPU %.2f s; %llu closed\n", use_ack ? " (ack)" : "",
		n, window, nrtt / el, HMS(&h_rtt), z.cpu - a.cpu, (z.cpu - a.cpu) * 1e6 / (nrtt ? nrtt : 1), me, (unsigned long long)closed);
	R("\"mode\":\"pingpong\",\"ack\":%d,\"n\":%u,\"window\":%d,\"rtt_per_s\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"cpu_s\":%.2f,\"cpu_us_each\":%.3f,\"client_cpu_s\":%.2f,\"elapsed_s\":%.2f,\"closed\":%llu",
	  use_ack, n, window, nrtt / el, HMS(&h_rtt), z.cpu - a.cpu, (z.cpu - a.cpu) * 1e6 / (nrtt ? nrtt : 1), me, el, (unsigned long long)closed);
	R_common(a, z);
}

/* ================================================================ turns */
/* Whole turns: a message, its stream, its completion, then the next message. */
static void turn_send(conn *c)
{
	c->sent_at = now_us();
	ws_send(c, "42" F_SEND, c->conv, "A question of some words, and not a short one.");
}
static void turn_event(conn *c, const char *e, u32 el, const char *p, u32 n)
{
	(void)p;
	(void)n;
	if (is(EV_CHUNK, e, el)) { nchunks++; return; }
	if (!is(EV_COMPLETE, e, el)) return;
	ncompl++;
	if (meas_from) hadd(&h_total, NOW - c->sent_at);
	if (!pp_stop) turn_send(c);
}
static void m_turns(u32 n)
{
	alloc_conns(n);
	u32 *who = malloc(n * sizeof *who);
	for (u32 i = 0; i < n; i++) {
		conns[i].token = tokens[i % ntokens];
		who[i] = i;
	}
	open_all(0, n);
	if (failed) die("%llu connections failed", (unsigned long long)failed);
	create_convs(who, n);
	on_event = turn_event;
	on_ack = 0;
	for (u32 i = 0; i < n; i++) turn_send(&conns[i]);
	u64 end = now_us() + warmup * 1000000ull;
	while (now_us() < end) turn(end);
	pstat a = pstats();
	double me = self_cpu();
	u64 n0 = ncompl, c0 = nchunks, t0 = now_us();
	meas_from = t0;
	end = t0 + duration * 1000000ull;
	while (now_us() < end && !closed) turn(end);
	u64 t1 = now_us(), done = ncompl - n0, chunks = nchunks - c0;
	pstat z = pstats();
	me = self_cpu() - me;
	pp_stop = 1;
	double el = (t1 - t0) / 1e6, each = 1e6 / (done ? done : 1);
	printf("turns: %u connections: %.0f turns/s, %.1f chunks each, p50 %.1f p99 %.1f max %.1f ms; CPU us each: server %.0f, PostgreSQL %.0f, client %.0f; %llu errors, %llu closed\n",
		n, done / el, (double)chunks / (done ? done : 1), HMS(&h_total), (z.cpu - a.cpu) * each, (z.pgcpu - a.pgcpu) * each, me * each, (unsigned long long)errs, (unsigned long long)closed);
	R("\"mode\":\"turns\",\"n\":%u,\"turns_per_s\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,\"cpu_us_each\":%.1f,\"pg_cpu_us_each\":%.1f,\"client_cpu_us_each\":%.1f,\"elapsed_s\":%.2f,\"errors\":%llu,\"closed\":%llu",
	  n, done / el, HMS(&h_total), (z.cpu - a.cpu) * each, (z.pgcpu - a.pgcpu) * each, me * each, el, (unsigned long long)errs, (unsigned long long)closed);
	R_common(a, z);
}

static void usage(void)
{
	fputs("usage: sioload MODE [options]\n"
	"  idle N           open N connections, keep them --settle + --duration seconds\n"
	"  fanout N         1 sender, N receivers in one conversation (--event typing|update)\n"
	"  stream S         S AI streams with --tabs T each (--model mock-TOKENS-MS, asked for in the message text;\n"
	"                   with --port2 the odd tabs are on the other instance)\n"
	"  pingpong N       N connections with --window pings in flight each (--ack: acknowledgements)\n"
	"  turns N          N connections, each sends a message, waits for the end of its answer, and sends the next\n"
	"  xinst N          sender on --port, N receivers on --port2 (--local M more on --port), --event update|typing\n"
	"options: --host H --port P --port2 P --path /socket.io/ --tokens FILE (one JWT a line; conversation i uses line i)\n"
	"  --pid P,P..      server processes: CPU, RSS, PSS are summed;  --pgpid P  PostgreSQL postmaster, CPU of it and its children\n"
	"  --aux P,P..      helpers (the mock AI service): only to tell their CPU from other processes\n"
	"  --rate R         events a second (fanout, xinst); without it --window W events in flight (default 16)\n"
	"  --duration S (10) --warmup S (1) --settle S (5) --timeout S (60) --cwin N handshakes at a time (128) --same-user (idle)\n"
	"  --timeline       fanout, xinst: sent and received by second;  --ramp MS  stream: spread the starts\n"
	"The last line is RESULT {json}.\n", stderr);
	exit(2);
}

int main(int ac, char **av)
{
	static struct option lo[] = { { "host", 1, 0, 'h' }, { "port", 1, 0, 'p' }, { "port2", 1, 0, 'P' }, { "path", 1, 0, 'u' }, { "tokens", 1, 0, 't' }, { "pid", 1, 0, 'i' }, { "pgpid", 1, 0, 'g' },
		{ "rate", 1, 0, 'r' }, { "window", 1, 0, 'w' }, { "duration", 1, 0, 'd' }, { "warmup", 1, 0, 'W' }, { "settle", 1, 0, 's' }, { "timeout", 1, 0, 'T' }, { "cwin", 1, 0, 'c' }, { "same-user", 0, 0, 'U' },
		{ "event", 1, 0, 'e' }, { "tabs", 1, 0, 'b' }, { "model", 1, 0, 'm' }, { "ack", 0, 0, 'a' }, { "local", 1, 0, 'l' }, { "timeline", 0, 0, 'L' }, { "ramp", 1, 0, 'R' }, { "aux", 1, 0, 'A' }, { 0 } };
	int o;
	u32 n = 0;
	if (ac < 2) usage();
	const char *mode = av[1];
	while ((o = getopt_long(ac, av, "", lo, 0)) != -1) switch (o) {
		case 'h': host = optarg; break;
		case 'p': port = atoi(optarg); break;
		case 'P': port2 = atoi(optarg); break;
		case 'u': path = optarg; break;
		case 't': tokfile = optarg; break;
		case 'i': for (char *sv, *s = strtok_r(optarg, ",", &sv); s && npids < 16; s = strtok_r(0, ",", &sv)) pids[npids++] = atol(s); break;
		case 'A': for (char *sv, *s = strtok_r(optarg, ",", &sv); s && nauxpids < 16; s = strtok_r(0, ",", &sv)) auxpids[nauxpids++] = atol(s); break;
		case 'g': pgpid = atol(optarg); break;
		case 'r': rate = atof(optarg); break;
		case 'w': window = atoi(optarg); break;
		case 'd': duration = atoi(optarg); break;
		case 'W': warmup = atoi(optarg); break;
		case 's': settle = atoi(optarg); break;
		case 'T': timeout_s = atoi(optarg); break;
		case 'c': cwin = atoi(optarg); break;
		case 'U': one_user = 1; break;
		case 'e': event_kind = optarg; break;
		case 'b': tabs = atoi(optarg); break;
		case 'm': model_dir = optarg; break;
		case 'a': use_ack = 1; break;
		case 'l': local_recv = atoi(optarg); break;
		case 'L': timeline = 1; break;
		case 'R': ramp_ms = atoi(optarg); break;
		default: usage();
	}
	for (int i = optind; i < ac; i++) if (av[i][0] >= '0' && av[i][0] <= '9') n = atoi(av[i]); else mode = av[i];
	if (window < 1 || window > (int)RING / 2 || n > 60000 || duration > 3600) usage();
	struct rlimit rl = { 200000, 200000 };
	if (setrlimit(RLIMIT_NOFILE, &rl)) { getrlimit(RLIMIT_NOFILE, &rl); rl.rlim_cur = rl.rlim_max; setrlimit(RLIMIT_NOFILE, &rl); }
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, 0, _IOLBF, 0);
	load_tokens();
	ep = epoll_create1(0);
	if (!strcmp(mode, "idle")) m_idle(n ? n : 100);
	else if (!strcmp(mode, "fanout")) { nrecv = n ? n : 100; m_fanout(0); }
	else if (!strcmp(mode, "xinst")) { nrecv = n ? n : 1; if (!port2) usage(); if (!strcmp(event_kind, "typing") && !getenv("XINST_TYPING")) event_kind = "update"; m_fanout(1); }
	else if (!strcmp(mode, "stream")) m_stream(n ? n : 10);
	else if (!strcmp(mode, "pingpong")) m_pingpong(n ? n : 10);
	else if (!strcmp(mode, "turns")) m_turns(n ? n : 100);
	else usage();
	finish();
	_exit(0);
}
