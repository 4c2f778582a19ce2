/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * HTTP: which request this is, whether it may, and the answers. The endpoint is one path; its
 * requests are handshakes, polls, posts and upgrades of Engine.IO. All other paths are web.c's.
 */
#include <strings.h>

#include "net/private.h"
#include "base/base64.h"
#include "base/err.h"
#include "wire/origin.h"
#include "wire/query.h"

#define USER_AGENT_MAX 256
#define RETRY_AFTER_OVERLOAD_S 5

static const char *status_text(unsigned int status)
{
	static const struct {
		unsigned int status;
		const char *text;
	} texts[] = {
		{ 200, "OK" },
		{ 204, "No Content" },
		{ 304, "Not Modified" },
		{ 308, "Permanent Redirect" },
		{ 400, "Bad Request" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 408, "Request Timeout" },
		{ 411, "Length Required" },
		{ 413, "Content Too Large" },
		{ 426, "Upgrade Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 503, "Service Unavailable" },
		{ 505, "HTTP Version Not Supported" },
	};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (texts[i].status == status)
			return texts[i].text;
	return "Unknown";
}

static bool allows_all(const struct net_config *config)
{
	for (size_t i = 0; i < config->n_cors_origins; i++)
		if (strcmp(config->cors_origins[i], "*") == 0)
			return true;
	return false;
}

static void append_cors(struct strbuf *out, const struct conn *c)
{
	const struct net_config *config = c->net->config;

	/* Whether there is an Origin or not, the answer depends on it (RFC 9110 section 12.5.5). */
	strbuf_append_str(out, "Vary: Origin\r\n");
	if (!c->cors_origin)
		return;
	strbuf_append_str(out, "Access-Control-Allow-Origin: ");
	strbuf_append_str(out, c->cors_origin);
	strbuf_append_str(out, "\r\n");
	/* A list with "*" in it says that anybody may ask; in the name of a signed-in user,
	 * nobody meant. */
	if (config->cors_credentials && !allows_all(config))
		strbuf_append_str(out, "Access-Control-Allow-Credentials: true\r\n");
}

void http_answer(struct conn *c, const struct http_answer *a)
{
	struct slice body = a->file ? a->file->body : a->body;
	struct strbuf *out = &c->out;

	if (c->net->shutting_down)
		c->keep_alive = false;
	strbuf_printf(out, "HTTP/1.1 %u %s\r\nConnection: %s\r\n", a->status,
		      status_text(a->status), c->keep_alive ? "keep-alive" : "close");
	if (a->status == 204 || a->status == 304)
		body.len = 0;
	else
		strbuf_printf(out, "Content-Length: %zu\r\n", body.len);
	if (a->file) {
		web_append_headers(c, a->file);
	} else {
		strbuf_append_str(out, "Cache-Control: no-store\r\n");
		if (a->type)
			strbuf_printf(out, "Content-Type: %s\r\n", a->type);
		append_cors(out, c);
	}
	/* RFC 6797 section 7.2: never over plain HTTP. Behind a session's handshake, which has it, an
	 * answer that another instance gives goes without. */
	if (c->listener->tls && c->listener->hsts_max_age_s)
		strbuf_printf(out, "Strict-Transport-Security: max-age=%u\r\n",
			      c->listener->hsts_max_age_s);
	if (a->headers)
		strbuf_append_str(out, a->headers);
	strbuf_append_str(out, "\r\n");
	if (!c->head_only && a->file)
		c->file = body;
	else if (!c->head_only)
		strbuf_append_slice(out, body);
	if (!strbuf_ok(out)) {
		conn_kill(c);
		return;
	}
	if (c->keep_alive) {
		if (c->state != CONN_HEAD)
			conn_set_state(c, CONN_HEAD);
		conn_deadline(c, c->net->config->idle_timeout_ms);
		conn_mark_busy(c);
	} else {
		conn_close(c, WS_NONE);
	}
}

void http_answer_text(struct conn *c, unsigned int status, const char *text, const char *headers)
{
	struct http_answer a = { .status = status,
				 .type = "text/plain; charset=UTF-8",
				 .headers = headers,
				 .body = slice_str(text) };

	http_answer(c, &a);
}

void http_answer_error(struct conn *c, enum eio_error error)
{
	struct http_answer a = { .status = error == EIO_ERR_FORBIDDEN ? 403 : 400,
				 .type = "application/json",
				 .body = slice_str(eio_error_json(error)) };

	http_answer(c, &a);
}

/* Whether the client speaks TLS: to us, to a trusted proxy, to another instance or its proxy. */
static bool is_secure(const struct conn *c, const struct http_request *r,
		      const struct peer_claim *via)
{
	if (via->verified)
		return via->claim.secure;
	return c->listener->tls || (conn_trusts(c, &c->peer) &&
				    slice_is(http_header(r, "x-forwarded-proto"), "https"));
}

/* A page that we served ourselves: its origin is the scheme and the Host by which we are asked. */
static bool same_origin(const struct http_request *r, struct slice origin, bool secure)
{
	struct slice host = http_header(r, "host");
	const char *scheme;
	size_t len;

	scheme = secure ? "https://" : "http://";
	len = strlen(scheme);
	return host.len && origin.len > len && memcmp(origin.p, scheme, len) == 0 &&
	       slice_eq(host, slice_of(origin.p + len, origin.len - len));
}

/* Whether the page that asks may; the origin is kept for the answer. */
static bool origin_ok(struct conn *c, const struct http_request *r, bool secure)
{
	const struct net_config *config = c->net->config;
	static struct log_rate rate = LOG_RATE(10, 60000);
	struct slice origin = http_header(r, "origin");
	uint32_t suppressed;

	if (!origin.p) {
		if (!config->allow_no_origin && log_rate_allow(&rate, &suppressed))
			log_warn("cors", LOG_FIELDS(LOG_UINT("suppressed", suppressed)),
				 "request without an Origin refused (cors.allow_no_origin = yes "
				 "would allow it)");
		return config->allow_no_origin;
	}
	if (same_origin(r, origin, secure) ||
	    origin_allowed(config->cors_origins, config->n_cors_origins, origin)) {
		c->cors_origin = strndup(origin.p, origin.len);
		return c->cors_origin != NULL;
	}
	c->net->stats.refused_origin++;
	if (log_rate_allow(&rate, &suppressed))
		log_warn(
			"cors",
			LOG_FIELDS(LOG_SLICE("origin", origin), LOG_UINT("suppressed", suppressed)),
			"origin refused (add it to cors.origins, section [cors], to allow it)");
	return false;
}

/* The client's address, behind trusted proxies too; it is the one that limits count. Each proxy adds
 * to the end of the list: an entry, or a line of its own. */
static struct ip_addr client_address(struct conn *c, const struct http_request *r,
				     const struct peer_claim *via)
{
	const struct net_config *config = c->net->config;
	struct ip_addr client = c->peer;

	if (via->verified) {
		conn_set_client(c, &via->claim.client);
		return via->claim.client;
	}
	for (size_t i = r->n_headers; i-- > 0 && conn_trusts(c, &client);) {
		const struct http_header *h = &r->headers[i];

		if (h->name.len == 15 && strncasecmp(h->name.p, "x-forwarded-for", 15) == 0)
			client = forwarded_client(h->value, config->trusted_proxies,
						  config->n_trusted_proxies, &client);
	}
	if (conn_trusts(c, &c->peer))
		conn_set_client(c, &client);
	return client;
}

static struct slice keep(char **to, struct slice text)
{
	struct slice kept = slice_of(*to, text.len);

	if (!text.len)
		return slice_of(NULL, 0);
	memcpy(*to, text.p, text.len);
	*to += text.len;
	return kept;
}

static struct handshake *read_handshake(struct conn *c, const struct http_request *r,
					struct slice token, const struct ip_addr *client)
{
	struct slice authorization = http_header(r, "authorization");
	struct slice user_agent = http_header(r, "user-agent");
	struct slice origin = http_header(r, "origin");
	struct handshake *h;

	if (user_agent.len > USER_AGENT_MAX)
		user_agent.len = USER_AGENT_MAX;
	/* All of them together are below the limit for a request's head. */
	h = calloc(1, sizeof(*h) + authorization.len + user_agent.len + origin.len + token.len);
	if (h) {
		char *to = h->text;

		h->view.authorization = keep(&to, authorization);
		h->view.user_agent = keep(&to, user_agent);
		h->view.origin = keep(&to, origin);
		h->view.token = keep(&to, token);
		h->view.secure = c->listener->tls;
		h->view.address = "unix";
		if (!ip_is_unset(client)) {
			ip_format(client, h->address);
			h->view.address = h->address;
		}
	}
	return h;
}

void http_refuse_overload(struct conn *c)
{
	static struct log_rate rate = LOG_RATE(5, 10000);
	struct net *net = c->net;
	char retry_after[40];
	uint32_t suppressed;

	if (!net->draining && !net->shutting_down) {
		net->stats.limited[conn_limit(c)]++;
		if (log_rate_allow(&rate, &suppressed))
			log_warn("limits",
				 LOG_FIELDS(LOG_UINT("connections", net->n_conns),
					    LOG_UINT("sessions", net->sessions.count),
					    LOG_UINT("suppressed", suppressed)),
				 "handshake refused (over limits.max_connections or "
				 "limits.max_connections_per_address)");
	}
	(void)snprintf(retry_after, sizeof(retry_after), "Retry-After: %d\r\n",
		       RETRY_AFTER_OVERLOAD_S);
	c->keep_alive = false;
	http_answer_text(c, 503, "Too many connections\n", retry_after);
}

/* May this client open a session now? False: it was answered. Sessions count like connections,
 * because a polling client needs none between two requests. */
static bool admit(struct conn *c)
{
	struct net *net = c->net;
	char retry_after[40];
	uint32_t seconds;

	if (net->draining || net->shutting_down || c->total_verdict > LIMIT_OK || c->address_verdict > LIMIT_OK ||
	    net->sessions.count >= net->config->max_connections ||
	    (c->address && !limits_session_ok(&net->limits, c->address))) {
		http_refuse_overload(c);
		return false;
	}
	if (c->address &&
	    !limits_handshake(&net->limits, c->address, loop_now_ms(net->loop), &seconds)) {
		net->stats.limited[NET_LIMIT_HANDSHAKES]++;
		(void)snprintf(retry_after, sizeof(retry_after), "Retry-After: %u\r\n", seconds);
		http_answer_text(c, 429, "Too many handshakes\n", retry_after);
		return false;
	}
	return true;
}

static bool path_ok(const struct net *net, struct slice path)
{
	const char *wanted = net->config->path;
	size_t len = strlen(wanted);

	/* With and without the slash at its end. */
	if (wanted[len - 1] == '/')
		len--;
	if (path.len == len + 1 && path.p[len] == '/')
		path.len = len;
	return path.len == len && memcmp(path.p, wanted, len) == 0;
}

static void preflight(struct conn *c, const struct http_request *r)
{
	struct slice asked = http_header(r, "access-control-request-headers");
	struct http_answer a = { .status = 204 };
	struct strbuf headers;

	strbuf_init(&headers, 16384);
	strbuf_printf(&headers,
		      "Access-Control-Allow-Methods: GET, POST\r\nAccess-Control-Max-Age: %u\r\n",
		      c->net->config->cors_max_age_s);
	/* Echoed, as the reference server does; the parser lets no line break through. */
	if (asked.len) {
		strbuf_append_str(&headers, "Access-Control-Allow-Headers: ");
		strbuf_append_slice(&headers, asked);
		strbuf_append_str(&headers, "\r\n");
	}
	a.headers = strbuf_cstr(&headers);
	if (strbuf_ok(&headers))
		http_answer(c, &a);
	else
		conn_kill(c);
	strbuf_fini(&headers);
}

/* What the query asks for; the texts lie in the gather buffer until the end of the turn. */
static bool read_query(struct conn *c, const struct http_request *r, struct query *q)
{
	char *copy = (char *)c->net->gather;

	query_init(q);
	if (r->query.len > NET_GATHER_BYTES)
		return false;
	if (r->query.len)
		memcpy(copy, r->query.p, r->query.len);
	return query_parse(q, copy, r->query.len) == 0;
}

static bool unknown_sid(struct conn *c)
{
	http_answer_error(c, EIO_ERR_SID_UNKNOWN);
	return false;
}

/*
 * Checks in the reference server's order (engine.io, Server.verify). The session is NULL for a
 * handshake, and when it is another instance's. False: it was answered.
 */
static bool check_query(struct conn *c, const struct http_request *r, const struct query *q,
			bool upgrade, const struct peer_claim *via, struct session **out,
			const struct peer **owner)
{
	*out = NULL;
	*owner = NULL;
	if (q->transport != QUERY_TRANSPORT_POLLING && q->transport != QUERY_TRANSPORT_WEBSOCKET) {
		http_answer_error(c, EIO_ERR_TRANSPORT_UNKNOWN);
		return false;
	}
	if (q->sid.p) {
		struct session *s = session_by_sid(c->net, q->sid);

		/* That it is there is nobody's business who came in by another door. */
		if (s && strcmp(demands_digest(s->demands), demands_of_request(c, via)) != 0)
			return unknown_sid(c);
		if (s && session_expired(s))
			session_fail(s, SESSION_PING_TIMEOUT, WS_GOING_AWAY);
		/* What was passed on, or says so, is not passed on again: no two instances that are
		 * wrong about each other can make a circle. */
		if (!s && !via->present)
			*owner = peer_of_sid(c->net, q->sid);
		if ((!s && !*owner) || (s && s->state == SESSION_CLOSED))
			return unknown_sid(c);
		*out = s;
	} else if (r->method != HTTP_GET) {
		http_answer_error(c, EIO_ERR_BAD_METHOD);
		return false;
	}
	if (upgrade != (q->transport == QUERY_TRANSPORT_WEBSOCKET)) {
		http_answer_error(c, EIO_ERR_BAD_REQUEST);
		return false;
	}
	if (!q->has_eio || q->eio != EIO_PROTOCOL) {
		http_answer_error(c, EIO_ERR_PROTOCOL_UNSUPPORTED);
		return false;
	}
	return true;
}

/* RFC 6455 section 4.2.1. False: it was answered. */
static bool check_upgrade(struct conn *c, const struct http_request *r)
{
	struct slice key = http_header(r, "sec-websocket-key");
	unsigned char nonce[32];
	size_t nonce_len;

	if (!slice_is(http_header(r, "sec-websocket-version"), "13")) {
		http_answer_text(c, 426, "WebSocket version 13 is spoken here\n",
				 "Sec-WebSocket-Version: 13\r\n");
		return false;
	}
	if (key.len != 24 || base64_decode(key.p, key.len, nonce, &nonce_len) || nonce_len != 16) {
		http_answer_error(c, EIO_ERR_BAD_REQUEST);
		return false;
	}
	return true;
}

static void upgrade(struct conn *c, const struct http_request *r, const struct query *q,
		    struct session *s, const struct ip_addr *client)
{
	struct handshake *h = NULL;
	/* It has a WebSocket, or a probe: as with the reference server this one is let in and
	 * closed at once. */
	bool refuse = s && (s->state != SESSION_POLLING || s->ws);

	if (!check_upgrade(c, r))
		return;
	if (!s) {
		if (!admit(c))
			return;
		h = read_handshake(c, r, q->token, client);
		if (!h) {
			http_answer_text(c, 503, "Out of memory\n", NULL);
			return;
		}
	}
	ws_upgrade(c, r, s, h, refuse);
}

/* A POST whose body we take. False: it was answered. */
static bool check_post(struct conn *c, const struct http_request *r)
{
	if (r->method != HTTP_POST)
		http_answer_error(c, EIO_ERR_BAD_METHOD);
	else if (!r->has_length)
		http_answer_text(c, 411, "A body needs a Content-Length\n", NULL);
	else if (r->length > c->net->config->max_payload_bytes)
		http_answer_text(c, 413, "The body is over the payload limit\n", NULL);
	else
		return true;
	return false;
}

static void poll_or_post(struct conn *c, const struct http_request *r, const struct query *q,
			 struct session *s, const struct ip_addr *client)
{
	if (!s) {
		struct handshake *h;

		if (!admit(c))
			return;
		h = read_handshake(c, r, q->token, client);
		if (!h || session_open(c->net, h, c, false, &s)) {
			http_answer_text(c, 503, "Out of memory\n", NULL);
			return;
		}
	}
	if (r->method == HTTP_GET) {
		polling_get(c, s);
	} else if (check_post(c, r)) {
		if (http_header_lists(r, "expect", "100-continue"))
			strbuf_append_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
		polling_post(c, s, r->length);
	}
}

/* Whom the connection counts for, when that was left open. False: it was answered. */
static bool count(struct conn *c, const struct peer_claim *via)
{
	if (!c->uncounted || via->verified)
		return true;
	c->uncounted = false;
	conn_set_client(c, &c->peer);
	if (c->address_verdict != LIMIT_CLOSE)
		return true;
	http_refuse_overload(c);
	return false;
}

/* The same checks as for a session of ours; the owner makes them again. */
static void forward(struct conn *c, const struct http_request *r, const struct peer *owner,
		    const struct ip_addr *client, bool upgrade, bool secure)
{
	if (upgrade ? check_upgrade(c, r) : r->method == HTTP_GET || check_post(c, r))
		forward_request(c, r, owner, client, upgrade, secure);
}

void http_request(struct conn *c, const struct http_request *r)
{
	bool wants_upgrade = r->method == HTTP_GET && r->minor == 1 &&
			     http_header_lists(r, "upgrade", "websocket") &&
			     http_header_lists(r, "connection", "upgrade");
	bool has_body = r->has_transfer_encoding || (r->has_length && r->length);
	const struct peer *owner;
	struct peer_claim via;
	struct session *s;
	struct query q;

	/* A body stays unread behind any answer but that of a POST that is taken; then this is
	 * the connection's last request. */
	c->keep_alive = r->keep_alive && !has_body;
	c->head_only = r->method == HTTP_HEAD;
	if (c->listener->admin) {
		admin_request(c, r);
		return;
	}
	peer_read_claim(c->net, r, &via);
	if (!count(c, &via))
		return;
	if (c->listener->redirect) {
		redirect_request(c, r);
		return;
	}
	if (!path_ok(c->net, r->path)) {
		web_request(c, r);
		return;
	}
	if (!origin_ok(c, r, is_secure(c, r, &via))) {
		http_answer_error(c, EIO_ERR_FORBIDDEN);
		return;
	}
	if (r->method == HTTP_OPTIONS) {
		preflight(c, r);
		return;
	}
	if (r->has_transfer_encoding) {
		http_answer_text(c, 411, "A body needs a Content-Length\n", NULL);
		return;
	}
	if ((has_body && r->method != HTTP_POST) || !read_query(c, r, &q)) {
		http_answer_error(c, EIO_ERR_BAD_REQUEST);
		return;
	}

	struct ip_addr client = client_address(c, r, &via);

	if (!check_query(c, r, &q, wants_upgrade, &via, &s, &owner))
		return;
	if (owner) {
		forward(c, r, owner, &client, wants_upgrade, is_secure(c, r, &via));
		return;
	}
	if (wants_upgrade) {
		upgrade(c, r, &q, s, &client);
		return;
	}
	poll_or_post(c, r, &q, s, &client);
	if (c->state == CONN_BODY || c->state == CONN_HELD)
		c->keep_alive = r->keep_alive;
}
