/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* floor: the least a Socket.IO WebSocket server can do - no authentication, one room, no state. It shows what sioload itself can
 * drive, so that a figure taken with sioload is known to be the server's.  floor -p 3300 [-c]
 * -c: frames for one socket are collected and written once per turn of the loop.  Not a server to use. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
typedef struct { int fd, up, joined, dirty, want; unsigned n; unsigned char b[2056]; char *o; unsigned on, oc; } conn;
static conn *room[70000];
static conn *dirty[70000];
static int nroom, ep, collect, ndirty;
static void arm(conn *c, int want)
{
	if (c->want == want) return;
	c->want = want;
	struct epoll_event e = { .events = EPOLLIN | (want ? EPOLLOUT : 0), .data.ptr = c };
	epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}
static void flush(conn *c)
{
	ssize_t w = send(c->fd, c->o, c->on, MSG_NOSIGNAL);
	if (w > 0) { memmove(c->o, c->o + w, c->on - w); c->on -= w; }
	arm(c, c->on > 0);
}
static void out(conn *c, const void *p, unsigned n)
{
	if (!c->on && !collect) {
		ssize_t w = send(c->fd, p, n, MSG_NOSIGNAL);
		if (w == (ssize_t)n) return;
		if (w > 0) { p = (char *)p + w; n -= w; }
	}
	if (c->on + n > c->oc && !(c->o = realloc(c->o, c->oc = (c->on + n) * 2))) exit(1);
	memcpy(c->o + c->on, p, n);
	c->on += n;
	if (!collect) arm(c, 1);
	else if (!c->dirty && !c->want) { c->dirty = 1; dirty[ndirty++] = c; }
}
static unsigned frame(unsigned char *f, const char *s, unsigned n)
{
	unsigned h = 2;
	f[0] = 0x81;
	if (n < 126) f[1] = n; else { f[1] = 126; f[2] = n >> 8; f[3] = n; h = 4; }
	memcpy(f + h, s, n);
	return h + n;
}
static void txt(conn *c, const char *s, unsigned n) { unsigned char f[4096]; out(c, f, frame(f, s, n)); }
static void msg(conn *c, char *p, unsigned n)
{
	static const char id[] = "00000000-0000-4000-8000-000000000000";
	char b[300], *q = memchr(p, '[', n);
	if (n >= 2 && p[0] == '4' && p[1] == '0') { txt(c, "40{\"sid\":\"0123456789abcdefghij\"}", 32); return; }
	if (!q || p[0] != '4' || p[1] != '2') return;
	int ack = q > p + 2 ? atoi(p + 2) : -1;
	if (!strncmp(q, "[\"echo\"]", 8)) {
		if (ack >= 0) txt(c, b, snprintf(b, sizeof b, "43%d[]", ack)); else txt(c, "42[\"echo\"]", 10);
	} else if (!strncmp(q, "[\"say\"", 6)) {
		unsigned char f[400];
		unsigned k = frame(f, b, snprintf(b, sizeof b, "42[\"said\",{\"conversationId\":\"%s\",\"userId\":\"u0\"}]", id));
		for (int i = 0; i < nroom; i++) if (room[i] != c) out(room[i], f, k);
	} else if (!strncmp(q, "[\"echo\"", 7)) txt(c, b, snprintf(b, sizeof b, "43%d[{\"ok\":true,\"conversation\":{\"id\":\"%s\"}}]", ack, id));
	else if (!strncmp(q, "[\"join\"", 7)) { if (!c->joined) { c->joined = 1; room[nroom++] = c; } txt(c, b, snprintf(b, sizeof b, "43%d[{\"ok\":true}]", ack)); }
}
static void gone(conn *c)
{
	for (int i = 0; c->dirty && i < ndirty; i++) if (dirty[i] == c) { dirty[i] = dirty[--ndirty]; break; }
	for (int i = 0; c->joined && i < nroom; i++) if (room[i] == c) { room[i] = room[--nroom]; break; }
	close(c->fd);
	free(c->o);
	free(c);
}
static void in(conn *c)
{
	ssize_t r = recv(c->fd, c->b + c->n, 2048 - c->n, 0);
	if (r <= 0) { if (r == 0 || errno != EAGAIN) gone(c); return; }
	c->n += r;
	unsigned o = 0;
	if (!c->up) {
		unsigned char *e = memmem(c->b, c->n, "\r\n\r\n", 4);
		if (!e) return;
		o = e + 4 - c->b;
		c->up = 1;
		static const char a[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
		out(c, a, sizeof a - 1);
		static const char h[] = "0{\"sid\":\"0123456789abcdefghij\",\"upgrades\":[],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}";
		txt(c, h, sizeof h - 1);
	}
	while (c->n - o >= 6) {
		unsigned l = c->b[o + 1] & 127, h = 6;
		if (l == 126) { if (c->n - o < 8) break; l = c->b[o + 2] << 8 | c->b[o + 3]; h = 8; }
		if (c->n - o < h + l) break;
		unsigned char *m = c->b + o + h - 4, *p = c->b + o + h, t = p[l];
		for (unsigned i = 0; i < l; i++) p[i] ^= m[i & 3];
		p[l] = 0;
		msg(c, (char *)p, l);
		p[l] = t;
		o += h + l;
	}
	memmove(c->b, c->b + o, c->n - o);
	c->n -= o;
}
int main(int ac, char **av)
{
	int port = ac > 2 ? atoi(av[2]) : 3300, one = 1, ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	collect = ac > 3 && !strcmp(av[3], "-c");
	struct rlimit rl;
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(ls, (void *)&a, sizeof a) || listen(ls, 4096)) return perror("bind"), 1;
	ep = epoll_create1(0);
	struct epoll_event e = { .events = EPOLLIN }, ev[512];
	epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
	for (;;) {
		int n = epoll_wait(ep, ev, 512, -1);
		for (int i = 0; i < n; i++) {
			conn *c = ev[i].data.ptr;
			if (!c) {
				int fd;
				while ((fd = accept4(ls, 0, 0, SOCK_NONBLOCK)) >= 0) {
					setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
					c = calloc(1, sizeof *c);
					c->fd = fd;
					e.data.ptr = c;
					epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
				}
				continue;
			}
			if (ev[i].events & EPOLLOUT) flush(c);
			if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) in(c);
		}
		while (ndirty) { conn *c = dirty[--ndirty]; c->dirty = 0; flush(c); }
	}
}
