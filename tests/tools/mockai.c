/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * mockai [-p PORT] [-h HOST] [-v]: a service with OpenAI's chat completions on a socket, for tests
 * and load. PORT is 9100 by default; 0 takes a free one. The port is written to standard output.
 * From the environment: MOCK_DEFAULT, the behaviour of any model not called mock-* (default
 * "mock-50-20").
 *
 * POST .../chat/completions   with "stream": true: SSE deltas, usage, [DONE]; else one JSON answer
 * GET  .../models             a small list
 * GET  /stats                 counters
 *
 * The behaviour comes from the last [[mock-...]] in the request's body (so a user's message can
 * carry it), else from "model":
 *   mock-T-D        T tokens, D ms apart (first after D ms)
 *   mock-utf8-T-D   same, tokens of multi-byte text and characters that JSON escapes
 *   mock-split-T-D  same as mock-T-D, each SSE event written in 3-byte pieces
 *   mock-crlf-T-D   same, lines end in CRLF, with comments (": ping") and "event:" fields between
 *   mock-bytes-T-D  same, each token a byte of the UTF-8 of U+1F600, so characters are cut
 *   mock-reason-T-D same, the first half of the tokens as reasoning_content
 *   mock-4xx/5xx    e.g. mock-500: that status with an error body (429, 503: Retry-After: 1)
 *   mock-date       429, Retry-After is a date 100 s ahead
 *   mock-echo       401, the error's message repeats the request's headers, its code Authorization
 *   mock-flood      500, a body that never ends
 *   mock-html       200, a page in HTML
 *   mock-plain      one JSON answer, although a stream was asked for
 *   mock-cut        20 tokens 10 ms apart, connection closed after 10, no terminating chunk
 *   mock-eof        like cut, but the HTTP body ends properly without [DONE]
 *   mock-nodone     like eof, but with a finish_reason before the end
 *   mock-lazy       all is sent, but the HTTP body does not end
 *   mock-errmid     like cut, but data: {"error":...} after 10 tokens;  mock-limitmid: a rate limit
 *   mock-garbage    like cut, but a malformed data line after 10 tokens and then goes on
 *   mock-hang       never answers;  mock-stall: 10 tokens, then silence
 *   mock-empty      no tokens at all
 *   mock-length     finish_reason is "length";  mock-filter: "content_filter"
 *   mock-slow       first token after 2 s, then 20 tokens 500 ms apart
 *
 * Each plain token is ' ' + 5 base-62 characters = CLOCK_MONOTONIC in microseconds mod 62^5 at the
 * time it was written, so a client on this machine can compute the latency of every chunk.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	M_TOKENS = 1,
	M_HTTP,
	M_CUT,
	M_EOF,
	M_NODONE,
	M_LAZY,
	M_ERRMID,
	M_LIMITMID,
	M_GARBAGE,
	M_HANG,
	M_STALL,
	M_DATE,
	M_ECHO,
	M_FLOOD,
	M_HTML,
	M_PLAIN,
};

struct conn {
	int fd, want_out, streaming, mode, split, utf8, crlf, bytes, reason, keepalive;
	int hp; /* place in the heap, -1 none */
	char *in, *out;
	size_t inlen, incap, outlen, outoff, outcap;
	uint64_t due, delay_us;
	int tok, ntok, prompt_tokens, started;
	char model[64];
	const char *finish;
	long id;
};

static int ep, verbose;
static struct conn **heap;
static int nheap, capheap;
static long nreq, ntoks, nconn, nactive, maxactive;
static const char *dflt_model;

static uint64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *s)
{
	perror(s);
	exit(1);
}

/* ---- heap of streams by due time ---- */
static void hset(int i, struct conn *c)
{
	heap[i] = c;
	c->hp = i;
}
static void hup(int i, struct conn *c)
{
	while (i > 0 && heap[(i - 1) / 2]->due > c->due) {
		hset(i, heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	hset(i, c);
}
static void hdown(int i, struct conn *c)
{
	for (;;) {
		int k = 2 * i + 1;
		if (k >= nheap)
			break;
		if (k + 1 < nheap && heap[k + 1]->due < heap[k]->due)
			k++;
		if (heap[k]->due >= c->due)
			break;
		hset(i, heap[k]);
		i = k;
	}
	hset(i, c);
}
static void hadd(struct conn *c)
{
	if (nheap == capheap &&
	    !(heap = realloc(heap, (capheap = capheap ? capheap * 2 : 1024) * sizeof *heap)))
		die("realloc");
	hup(nheap++, c);
}
static void hdel(struct conn *c)
{
	int i = c->hp;
	if (i < 0)
		return;
	c->hp = -1;
	struct conn *l = heap[--nheap];
	if (l == c)
		return;
	if (i > 0 && heap[(i - 1) / 2]->due > l->due)
		hup(i, l);
	else
		hdown(i, l);
}

/* ---- output ---- */
static void put(struct conn *c, const void *p, size_t n)
{
	if (c->outlen + n > c->outcap) {
		c->outcap = (c->outlen + n) * 2;
		if (!(c->out = realloc(c->out, c->outcap)))
			die("realloc");
	}
	memcpy(c->out + c->outlen, p, n);
	c->outlen += n;
}
__attribute__((format(printf, 2, 3))) static void putf(struct conn *c, const char *f, ...)
{
	char b[4096];
	va_list a;
	va_start(a, f);
	int n = vsnprintf(b, sizeof b, f, a);
	va_end(a);
	put(c, b, n);
}
static void closeconn(struct conn *c)
{
	hdel(c);
	if (c->streaming)
		nactive--;
	close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
	nconn--;
}
/* 0 ok, -1 the connection is gone */
static int flush(struct conn *c)
{
	while (c->outoff < c->outlen) {
		size_t n = c->outlen - c->outoff;
		if (c->split && n > 3)
			n = 3;
		ssize_t w = send(c->fd, c->out + c->outoff, n, MSG_NOSIGNAL);
		if (w < 0) {
			if (errno == EINTR)
				continue;
			if (errno != EAGAIN) {
				closeconn(c);
				return -1;
			}
			break;
		}
		c->outoff += w;
	}
	if (c->outoff == c->outlen)
		c->outoff = c->outlen = 0;
	int want = c->outlen > 0;
	if (want != c->want_out) {
		struct epoll_event e = {.events = EPOLLIN | (want ? EPOLLOUT : 0), .data.ptr = c};
		epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
		c->want_out = want;
	}
	return 0;
}

/* one SSE event as one HTTP chunk */
static void sse(struct conn *c, const char *data)
{
	const char *nl = c->crlf ? "\r\n" : "\n";
	char pre[64] = "";
	if (c->crlf && c->tok % 5 == 1)
		snprintf(pre, sizeof pre, ": ping%s%sevent: message%s", nl, nl, nl);
	size_t n = strlen(pre) + 6 + strlen(data) + 2 * strlen(nl);
	putf(c, "%zx\r\n%sdata: ", n, pre);
	put(c, data, strlen(data));
	putf(c, "%s%s\r\n", nl, nl);
}

static const char b62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char *fancy[] = {" h\u00e9llo", " \u4f60\u597d", " \U0001F600", "\\n",
			      " \\\"q\\\"",  " \\\\",         " \\u00e9",    " \\ud83d\\ude80",
			      "\\t",         " <b>&amp;</b>", " a/b",        "\\u2028"};

static void token_text(struct conn *c, char *b, size_t size)
{
	if (c->bytes) {
		b[0] = "\xf0\x9f\x98\x80"[c->tok % 4];
		b[1] = 0;
		return;
	}
	if (c->utf8) {
		snprintf(b, size, "%s", fancy[(size_t)c->tok % (sizeof fancy / sizeof *fancy)]);
		return;
	}
	uint64_t t = now_us();
	b[0] = ' ';
	for (int i = 5; i >= 1; i--) {
		b[i] = b62[t % 62];
		t /= 62;
	}
	b[6] = 0;
}

static void delta(struct conn *c, const char *d, const char *fin)
{
	char b[1024];
	snprintf(b, sizeof b,
		 "{\"id\":\"chatcmpl-%010ld\",\"object\":\"chat.completion.chunk\",\"created\":%ld,"
		 "\"model\":\"%s\","
		 "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_mock\",\"choices\":[{"
		 "\"index\":0,\"delta\":%s,\"logprobs\":null,"
		 "\"finish_reason\":%s}],\"usage\":null}",
		 c->id, (long)time(0), c->model, d, fin);
	sse(c, b);
}

static void done(struct conn *c)
{
	c->streaming = 0;
	nactive--;
	hdel(c);
}

static int process(struct conn *c);

static void header(struct conn *c)
{
	if (c->started)
		return;
	c->started = 1;
	putf(c,
	     "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: "
	     "no-cache\r\n"
	     "Transfer-Encoding: chunked\r\nConnection: %s\r\nx-request-id: req_mock_%ld\r\n\r\n",
	     c->keepalive ? "keep-alive" : "close", c->id);
	delta(c, "{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}", "null");
}

static int tick(struct conn *c)
{
	uint64_t t = now_us();
	char b[256], d[320];
	header(c);
	while (c->tok < c->ntok && c->due <= t && c->outlen - c->outoff < 65536) {
		if (c->tok == c->ntok / 2) {
			switch (c->mode) {
			case M_CUT:
				if (flush(c))
					return -1;
				closeconn(c);
				return -1;
			case M_EOF:
				goto end;
			case M_NODONE:
				delta(c, "{}", "\"stop\"");
				goto end;
			case M_LIMITMID:
				sse(c, "{\"error\":{\"message\":\"Rate limit "
				       "reached\",\"type\":\"rate_limit_error\"}}");
				goto end;
			case M_ERRMID:
				sse(c, "{\"error\":{\"message\":\"The server had an "
				       "error\",\"type\":\"server_error\",\"param\":null,\"code\":"
				       "null}}");
				goto end;
			case M_GARBAGE:
				sse(c,
				    "{\"id\":\"chatcmpl-broken\",\"choices\":[{\"index\":0,\"del");
				break;
			case M_STALL:
				c->due = UINT64_MAX;
				hdown(c->hp, c);
				return flush(c);
			}
		}
		token_text(c, b, sizeof b);
		snprintf(d, sizeof d,
			 c->reason && c->tok < c->ntok / 2
				 ? "{\"reasoning_content\":\"%s\",\"content\":null}"
				 : "{\"content\":\"%s\"}",
			 b);
		delta(c, d, "null");
		c->tok++;
		ntoks++;
		c->due += c->delay_us;
		if (c->split && flush(c))
			return -1;
	}
	if (c->tok == c->ntok) {
		delta(c, "{}", c->finish);
		snprintf(b, sizeof b,
			 "{\"id\":\"chatcmpl-%010ld\",\"object\":\"chat.completion.chunk\","
			 "\"created\":%ld,",
			 c->id, (long)time(0));
		char u[768];
		snprintf(u, sizeof u,
			 "%s\"model\":\"%s\",\"service_tier\":\"default\",\"choices\":[],\"usage\":"
			 "{\"prompt_tokens\":%d,"
			 "\"completion_tokens\":%d,\"total_tokens\":%d}}",
			 b, c->model, c->prompt_tokens, c->ntok, c->prompt_tokens + c->ntok);
		sse(c, u);
		sse(c, "[DONE]");
		if (c->mode == M_LAZY) {
			c->due = UINT64_MAX;
			c->tok++;
			hdown(c->hp, c);
			return flush(c);
		}
	end:
		put(c, "0\r\n\r\n", 5);
		done(c);
		if (flush(c))
			return -1;
		if (!c->keepalive && !c->outlen) {
			closeconn(c);
			return -1;
		}
		return process(c);
	}
	hdown(c->hp, c);
	hup(c->hp, c);
	return flush(c);
}

static void reply(struct conn *c, int code, const char *reason, const char *extra, const char *body)
{
	putf(c,
	     "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\n%sContent-Length: "
	     "%zu\r\nConnection: %s\r\n\r\n",
	     code, reason, extra, strlen(body), c->keepalive ? "keep-alive" : "close");
	put(c, body, strlen(body));
}

/* the request's headers in an error, as careless services do */
static void echo(struct conn *c, const char *head)
{
	const char *key = strcasestr(head, "\r\nAuthorization: ");
	char b[4096];
	char code[64] = "";
	size_t n;

	if (key)
		snprintf(code, sizeof code, "%.*s", (int)strcspn(key + 17, "\r"), key + 17);
	for (char *p = code; (p = strchr(p, ' '));)
		*p = '-';
	n = (size_t)snprintf(b, sizeof b,
			     "{\"error\":{\"type\":\"invalid_request_error\",\"code\":\"%s\","
			     "\"message\":\"you sent ",
			     code);

	for (; *head && n < sizeof b - 10; head++)
		b[n++] = *head == '"' || *head == '\\' || (unsigned char)*head < 32 ? ' ' : *head;
	snprintf(b + n, sizeof b - n, "\"}}");
	reply(c, 401, "Unauthorized", "", b);
}

/* more than anybody wants to read of an error; the connection stays open */
static void flood(struct conn *c)
{
	putf(c, "HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\n");
	for (int i = 0; i < 100; i++)
		putf(c, "%01000d", i);
	c->keepalive = 1;
	c->mode = M_HANG;
}

static void behave(struct conn *c, const char *spec)
{
	int t, d;
	c->mode = M_TOKENS;
	c->split = c->utf8 = c->crlf = c->bytes = c->reason = 0;
	c->finish = "\"stop\"";
	c->ntok = 20;
	c->delay_us = 10000;
	const char *s = spec + (strncmp(spec, "mock-", 5) ? 0 : 5);
	if (!strncmp(s, "utf8-", 5))
		c->utf8 = 1, s += 5;
	else if (!strncmp(s, "split-", 6))
		c->split = 1, s += 6;
	else if (!strncmp(s, "crlf-", 5))
		c->crlf = 1, s += 5;
	else if (!strncmp(s, "bytes-", 6))
		c->bytes = 1, s += 6;
	else if (!strncmp(s, "reason-", 7))
		c->reason = 1, s += 7;
	if (sscanf(s, "%d-%d", &t, &d) == 2) {
		c->ntok = t;
		c->delay_us = d * 1000ull;
	} else if (sscanf(s, "%d", &t) == 1 && t >= 400 && t < 600) {
		c->mode = M_HTTP;
		c->ntok = t;
	} else if (!strcmp(s, "cut"))
		c->mode = M_CUT;
	else if (!strcmp(s, "eof"))
		c->mode = M_EOF;
	else if (!strcmp(s, "errmid"))
		c->mode = M_ERRMID;
	else if (!strcmp(s, "limitmid"))
		c->mode = M_LIMITMID;
	else if (!strcmp(s, "nodone"))
		c->mode = M_NODONE;
	else if (!strcmp(s, "lazy"))
		c->mode = M_LAZY;
	else if (!strcmp(s, "date"))
		c->mode = M_DATE;
	else if (!strcmp(s, "echo"))
		c->mode = M_ECHO;
	else if (!strcmp(s, "flood"))
		c->mode = M_FLOOD;
	else if (!strcmp(s, "html"))
		c->mode = M_HTML;
	else if (!strcmp(s, "plain"))
		c->mode = M_PLAIN;
	else if (!strcmp(s, "length"))
		c->finish = "\"length\"";
	else if (!strcmp(s, "filter"))
		c->finish = "\"content_filter\"";
	else if (!strcmp(s, "garbage"))
		c->mode = M_GARBAGE;
	else if (!strcmp(s, "hang"))
		c->mode = M_HANG;
	else if (!strcmp(s, "stall"))
		c->mode = M_STALL;
	else if (!strcmp(s, "empty"))
		c->ntok = 0;
	else if (!strcmp(s, "slow"))
		c->delay_us = 500000;
	else if (strcmp(spec, dflt_model))
		behave(c, dflt_model);
}

/* value of "key": "..." in the body */
static int jstr(const char *b, const char *key, char *o, size_t n)
{
	char k[40];
	snprintf(k, sizeof k, "\"%s\"", key);
	const char *p = strstr(b, k);
	if (!p)
		return 0;
	p += strlen(k);
	while (*p == ' ' || *p == ':')
		p++;
	if (*p++ != '"')
		return 0;
	size_t i = 0;
	while (*p && *p != '"' && i + 1 < n)
		o[i++] = *p++;
	o[i] = 0;
	return 1;
}

static int request(struct conn *c, char *head, char *body, size_t blen)
{
	char spec[64], method[8], path[256];
	c->keepalive = !strcasestr(head, "\r\nConnection: close");
	c->started = 0;
	c->id = ++nreq;
	if (sscanf(head, "%7s %255s", method, path) != 2) {
		closeconn(c);
		return -1;
	}
	if (verbose)
		fprintf(stderr, "%s %s %.*s\n", method, path, (int)blen, body);
	if (!strcmp(path, "/stats")) {
		char b[200];
		snprintf(b, sizeof b,
			 "{\"requests\":%ld,\"tokens\":%ld,\"connections\":%ld,\"active\":%ld,"
			 "\"max_active\":%ld}",
			 nreq, ntoks, nconn, nactive, maxactive);
		reply(c, 200, "OK", "", b);
	} else if (strstr(path, "/models")) {
		reply(c, 200, "OK", "",
		      "{\"object\":\"list\",\"data\":[{\"id\":\"mock-50-20\",\"object\":\"model\","
		      "\"created\":1,\"owned_by\":\"mock\"}]}");
	} else if (strcmp(method, "POST") || !strstr(path, "/chat/completions")) {
		reply(c, 404, "Not Found", "",
		      "{\"error\":{\"message\":\"Unknown request "
		      "URL\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"unknown_"
		      "url\"}}");
	} else if (!jstr(body, "model", c->model, sizeof c->model)) {
		reply(c, 400, "Bad Request", "",
		      "{\"error\":{\"message\":\"you must provide a model "
		      "parameter\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}"
		      "}");
	} else {
		snprintf(spec, sizeof spec, "%s", c->model);
		for (char *p = body, *q; (p = strstr(p, "[[mock-")); p += 7)
			if ((q = strstr(p, "]]")) && q - p - 2 < 60)
				snprintf(spec, sizeof spec, "%.*s", (int)(q - p - 2), p + 2);
		c->prompt_tokens = blen / 4;
		behave(c, spec);
		char *st = strstr(body, "\"stream\"");
		int stream = 0;
		if (st) {
			st += 8;
			while (*st == ' ' || *st == ':')
				st++;
			stream = !strncmp(st, "true", 4);
		}
		if (c->mode == M_HTTP) {
			int code = c->ntok;
			const char *r = code == 429   ? "Too Many Requests"
					: code == 401 ? "Unauthorized"
					: code == 503 ? "Service Unavailable"
					: code >= 500 ? "Internal Server Error"
						      : "Bad Request";
			char b[300];
			snprintf(b, sizeof b,
				 "{\"error\":{\"message\":\"mock error "
				 "%d\",\"type\":\"%s\",\"param\":null,\"code\":%s}}",
				 code,
				 code == 429   ? "rate_limit_error"
				 : code >= 500 ? "server_error"
					       : "invalid_request_error",
				 code == 429 ? "\"rate_limit_exceeded\"" : "null");
			reply(c, code, r, code == 429 || code == 503 ? "Retry-After: 1\r\n" : "",
			      b);
		} else if (c->mode == M_HANG) {
			return 0;
		} else if (c->mode == M_DATE) {
			time_t then = time(0) + 100;
			struct tm tm;
			char b[100];
			strftime(b, sizeof b, "Retry-After: %a, %d %b %Y %H:%M:%S GMT\r\n",
				 gmtime_r(&then, &tm));
			reply(c, 429, "Too Many Requests", b,
			      "{\"error\":{\"message\":\"later\"}}");
		} else if (c->mode == M_ECHO) {
			echo(c, head);
		} else if (c->mode == M_FLOOD) {
			flood(c);
		} else if (c->mode == M_HTML) {
			const char *page = "<html><body>Welcome to the proxy</body></html>";
			putf(c,
			     "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: "
			     "%zu\r\n\r\n%s",
			     strlen(page), page);
		} else if (!stream || c->mode == M_PLAIN) {
			char b[600];
			snprintf(b, sizeof b,
				 "{\"id\":\"chatcmpl-%ld\",\"object\":\"chat.completion\","
				 "\"created\":%ld,\"model\":\"%s\",\"choices\":[{\"index\":0,"
				 "\"message\":{\"role\":\"assistant\",\"content\":\"mock "
				 "answer\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
				 "\"usage\":"
				 "{\"prompt_tokens\":%d,\"completion_tokens\":2,\"total_tokens\":%"
				 "d}}",
				 c->id, (long)time(0), c->model, c->prompt_tokens,
				 c->prompt_tokens + 2);
			reply(c, 200, "OK", "", b);
		} else {
			c->streaming = 1;
			if (++nactive > maxactive)
				maxactive = nactive;
			c->tok = 0;
			c->due = now_us() + (!strcmp(spec, "mock-slow") ? 2000000 : c->delay_us);
			hadd(c);
			/* a real service answers with the headers before the first token */
			header(c);
			return flush(c);
		}
	}
	if (flush(c))
		return -1;
	if (!c->keepalive && !c->outlen) {
		closeconn(c);
		return -1;
	}
	return 0;
}

/* handles complete requests in the buffer */
static int process(struct conn *c)
{
	while (!c->streaming && c->inlen) {
		c->in[c->inlen] = 0;
		char *e = strstr(c->in, "\r\n\r\n");
		if (!e)
			return 0;
		size_t hl = e + 4 - c->in, bl = 0, total;
		*e = 0;
		char *p = strcasestr(c->in, "\r\nContent-Length:"),
		     *te = strcasestr(c->in, "\r\nTransfer-Encoding: chunked");
		int expect = strcasestr(c->in, "\r\nExpect: 100-continue") != 0;
		if (p)
			bl = strtoul(p + 17, 0, 10);
		*e = '\r';
		total = hl + bl;
		char *body = c->in + hl;
		if (te) { /* decode in place once complete */
			char *s = body, *end = c->in + c->inlen, *o = body;
			int ok = 0;
			while (s < end) {
				char *l = memmem(s, end - s, "\r\n", 2);
				if (!l)
					break;
				size_t n = strtoul(s, 0, 16);
				if ((size_t)(end - l) < n + 4)
					break;
				if (!n) {
					ok = 1;
					total = l + 4 - c->in;
					break;
				}
				s = l + 2 + n + 2;
			}
			if (!ok)
				return 0;
			for (s = body;;) {
				char *l = memmem(s, end - s, "\r\n", 2);
				size_t n = strtoul(s, 0, 16);
				if (!n)
					break;
				memmove(o, l + 2, n);
				o += n;
				s = l + 2 + n + 2;
			}
			bl = o - body;
		} else if (c->inlen < total) {
			if (expect && c->inlen == hl) {
				put(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
				return flush(c);
			}
			return 0;
		}
		char *h = strndup(c->in, hl), *b = malloc(bl + 1);
		memcpy(b, body, bl);
		b[bl] = 0;
		memmove(c->in, c->in + total, c->inlen - total);
		c->inlen -= total;
		int r = request(c, h, b, bl);
		free(h);
		free(b);
		if (r)
			return -1;
		if (c->mode == M_HANG && !c->streaming)
			return 0;
	}
	return 0;
}

static int readable(struct conn *c)
{
	for (;;) {
		if (c->inlen + 16384 + 1 > c->incap &&
		    !(c->in = realloc(c->in, c->incap = c->inlen * 2 + 32768)))
			die("realloc");
		ssize_t r = recv(c->fd, c->in + c->inlen, c->incap - c->inlen - 1, 0);
		if (r == 0 || (r < 0 && errno != EAGAIN && errno != EINTR)) {
			closeconn(c);
			return -1;
		}
		if (r < 0)
			break;
		c->inlen += r;
		if (c->inlen > 8u << 20) {
			closeconn(c);
			return -1;
		}
		if ((size_t)r < 16384)
			break;
	}
	return process(c);
}

int main(int ac, char **av)
{
	int port = 9100, o, one = 1;
	const char *host = "127.0.0.1";
	while ((o = getopt(ac, av, "p:h:v")) != -1) {
		if (o == 'p')
			port = atoi(optarg);
		else if (o == 'h')
			host = optarg;
		else if (o == 'v')
			verbose = 1;
		else
			return 2;
	}
	dflt_model = getenv("MOCK_DEFAULT") ? getenv("MOCK_DEFAULT") : "mock-50-20";
	signal(SIGPIPE, SIG_IGN);
	struct rlimit rl = {100000, 100000};
	if (setrlimit(RLIMIT_NOFILE, &rl)) {
		getrlimit(RLIMIT_NOFILE, &rl);
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
	int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	inet_pton(AF_INET, host, &a.sin_addr);
	setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(ls, (void *)&a, sizeof a) || listen(ls, 4096))
		die("bind");
	socklen_t alen = sizeof a;
	if (getsockname(ls, (void *)&a, &alen))
		die("getsockname");
	printf("%d\n", ntohs(a.sin_port));
	fflush(stdout);
	ep = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN, .data.ptr = 0}, ev[512];
	epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
	for (;;) {
		struct timespec ts, *tp = 0;
		if (nheap && heap[0]->due != UINT64_MAX) {
			uint64_t t = now_us(), d = heap[0]->due > t ? heap[0]->due - t : 0;
			ts.tv_sec = d / 1000000;
			ts.tv_nsec = d % 1000000 * 1000;
			tp = &ts;
		}
		int n = epoll_pwait2(ep, ev, 512, tp, 0);
		for (int i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;
			if (!c) {
				int fd;
				while ((fd = accept4(ls, 0, 0, SOCK_NONBLOCK)) >= 0) {
					setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
					c = calloc(1, sizeof *c);
					c->fd = fd;
					c->hp = -1;
					nconn++;
					e.events = EPOLLIN;
					e.data.ptr = c;
					epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
				}
				continue;
			}
			/* a connection appears once per epoll_wait, so closing it here is safe */
			if (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
				if (readable(c))
					continue;
			}
			if (ev[i].events & EPOLLOUT) {
				if (flush(c))
					continue;
				if (!c->outlen && !c->streaming && !c->keepalive)
					closeconn(c);
			}
		}
		uint64_t t = now_us();
		for (int k = 0; k < 4096 && nheap && heap[0]->due <= t; k++) {
			struct conn *c = heap[0];
			if (c->outlen - c->outoff >=
			    65536) { /* slow reader: look again in a millisecond */
				c->due = t + 1000;
				hdown(0, c);
				continue;
			}
			tick(c);
		}
	}
}
