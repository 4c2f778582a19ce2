/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * HTTP client: one request, from its options to its result.
 */
#include "loop/http_private.h"
#include "base/err.h"

/* Of the answer's header lines together. */
#define HEAD_MAX_BYTES 65536

static const uint8_t allowed_moves[] = {
	[HTTP_STARTING] = 1 << HTTP_CONNECTING | 1 << HTTP_ENDED,
	[HTTP_CONNECTING] = 1 << HTTP_SENDING | 1 << HTTP_ENDED,
	[HTTP_SENDING] = 1 << HTTP_ANSWERING | 1 << HTTP_ENDED,
	[HTTP_ANSWERING] = 1 << HTTP_ENDED,
	[HTTP_ENDED] = 0,
};

static void set_state(struct http_request *r, enum http_state state)
{
	CHECK(allowed_moves[r->state] & 1 << state);
	r->state = state;
}

/* Takes it from libcurl, which closes its connection unless the answer is complete. */
static void detach(struct http_request *r)
{
	if (!r->in_multi)
		return;
	r->in_multi = false;
	http_client_enter(r->client);
	CHECK(curl_multi_remove_handle(r->client->multi, r->easy) == CURLM_OK);
	http_client_leave(r->client);
}

static void end(struct http_request *r, enum http_result result, const char *detail)
{
	if (r->state == HTTP_ENDED)
		return;
	set_state(r, HTTP_ENDED);
	timer_stop(&r->deadline);
	timer_stop(&r->total);
	r->result = result;
	snprintf(r->detail, sizeof(r->detail), "%s", detail);
	if (!r->client->in_curl)
		detach(r);
	loop_defer(r->client->loop, &r->task);
}

void http_request_failed(struct http_request *r, const char *detail)
{
	end(r, HTTP_FAILED, detail);
}

/* Deadlines */

static void end_late(struct http_request *r)
{
	char detail[64];

	switch (r->state) {
	case HTTP_STARTING:
	case HTTP_CONNECTING:
		snprintf(detail, sizeof(detail), "not connected within %u ms",
			 (unsigned int)r->timeouts.connect_ms);
		break;
	case HTTP_SENDING:
		snprintf(detail, sizeof(detail), "no first byte within %u ms",
			 (unsigned int)r->timeouts.first_byte_ms);
		break;
	default:
		snprintf(detail, sizeof(detail), "idle for %u ms",
			 (unsigned int)r->timeouts.idle_ms);
	}
	end(r, HTTP_TIMEOUT, detail);
}

static void on_deadline(struct timer *timer)
{
	end_late(CONTAINER_OF(timer, struct http_request, deadline));
}

static void on_total(struct timer *timer)
{
	struct http_request *r = CONTAINER_OF(timer, struct http_request, total);
	char detail[64];

	snprintf(detail, sizeof(detail), "not complete within %u ms",
		 (unsigned int)r->timeouts.total_ms);
	end(r, HTTP_TIMEOUT, detail);
}

static void start_timer(struct http_request *r, struct timer *timer, uint32_t delay_ms,
			void (*fn)(struct timer *timer))
{
	timer_stop(timer);
	if (delay_ms)
		loop_timer_start(r->client->loop, timer, delay_ms, fn);
}

static void start_deadline(struct http_request *r, uint32_t delay_ms)
{
	start_timer(r, &r->deadline, delay_ms, on_deadline);
}

/* What libcurl tells us */

/* Called when there is a connection, new or from the pool, and again when the one from the pool
 * was dead and libcurl has made another. */
static int on_connected(void *arg, char *to_ip, char *from_ip, int to_port, int from_port)
{
	struct http_request *r = arg;

	(void)to_ip;
	(void)from_ip;
	(void)to_port;
	(void)from_port;
	if (r->state == HTTP_ENDED)
		return CURL_PREREQFUNC_ABORT;
	if (r->state == HTTP_CONNECTING) {
		set_state(r, HTTP_SENDING);
		start_deadline(r, r->timeouts.first_byte_ms);
	}
	return CURL_PREREQFUNC_OK;
}

/* The next header of the lines from *at on; lines without a colon are left out. The line break
 * before a continuation (RFC 9112 section 5.2) becomes blanks. */
static bool next_header(char **at, char *end_of, struct http_header *out)
{
	while (*at < end_of) {
		char *line = *at;
		char *lf = memchr(line, '\n', (size_t)(end_of - line));
		char *colon;

		while (lf && lf + 1 < end_of && (lf[1] == ' ' || lf[1] == '\t')) {
			*lf = ' ';
			if (lf > line && lf[-1] == '\r')
				lf[-1] = ' ';
			lf = memchr(lf, '\n', (size_t)(end_of - lf));
		}
		*at = lf ? lf + 1 : end_of;
		colon = memchr(line, ':', (size_t)(*at - line));
		if (!colon)
			continue;
		out->name = http_trim(slice_of(line, (size_t)(colon - line)));
		out->value = http_trim(slice_of(colon + 1, (size_t)(*at - colon - 1)));
		return true;
	}
	return false;
}

static void deliver_head(struct http_request *r)
{
	char *at = r->head.data;
	char *end_of = at ? at + r->head.len : at;
	struct http_header *headers;
	size_t max = 0;
	size_t n = 0;

	for (const char *p = at; p < end_of; p++)
		max += *p == '\n';
	headers = calloc(max + 1, sizeof(*headers));
	if (!headers) {
		end(r, HTTP_FAILED, parlance_err_text(PARLANCE_ENOMEM));
		return;
	}
	while (n < max && next_header(&at, end_of, &headers[n]))
		n++;
	r->head_done = true;
	start_deadline(r, r->paused ? 0 : r->timeouts.idle_ms);
	r->ops->head(r->arg, (int)r->status, headers, n);
	free(headers);
	strbuf_fini(&r->head);
}

/* One line, complete, of any of the answers (1xx and final) or of the trailer. Anything but len
 * ends the transfer. */
static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	size_t len = size * n;

	if (r->state == HTTP_ENDED)
		return 0;
	if (r->head_done)
		return len;
	if (!r->in_head) {
		r->in_head = true;
		strbuf_reset(&r->head);
		if (curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &r->status))
			r->status = 0;
		if (r->status >= 200 && r->state == HTTP_SENDING) {
			set_state(r, HTTP_ANSWERING);
			start_deadline(r, r->timeouts.idle_ms);
		}
	} else if (len && (p[0] == '\r' || p[0] == '\n')) {
		r->in_head = false;
		if (r->state == HTTP_ANSWERING)
			deliver_head(r);
	} else {
		strbuf_append(&r->head, p, len);
		if (!strbuf_ok(&r->head))
			end(r, HTTP_FAILED, "the answer's headers are too large");
	}
	return r->state == HTTP_ENDED ? 0 : len;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_request *r = arg;
	size_t len = size * n;

	if (r->state == HTTP_ENDED)
		return CURL_WRITEFUNC_ERROR;
	if (r->paused) {
		r->held = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	if (!len)
		return 0;
	if (r->max_bytes && len > r->max_bytes - r->n_bytes) {
		end(r, HTTP_TOO_BIG, "the answer's body is too large");
		return CURL_WRITEFUNC_ERROR;
	}
	r->n_bytes += len;
	start_deadline(r, r->timeouts.idle_ms);
	r->ops->data(r->arg, slice_of(p, len));
	return r->state == HTTP_ENDED ? CURL_WRITEFUNC_ERROR : len;
}

static enum http_result result_of(const struct http_request *r, CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_USE_SSL_FAILED:
		return HTTP_CONNECT;
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
		return r->state == HTTP_CONNECTING ? HTTP_CONNECT : HTTP_CUT;
	default:
		return HTTP_FAILED;
	}
}

void http_request_completed(struct http_request *r, CURLcode code)
{
	/* Its own connect timeout is the same as ours, and may be first. */
	if (code == CURLE_OPERATION_TIMEDOUT)
		end_late(r);
	else if (code == CURLE_OK && r->head_done)
		end(r, HTTP_DONE, "");
	else if (code == CURLE_OK)
		/* To libcurl, a connection that ends within the headers has ended well. */
		end(r, HTTP_CUT, "the connection was closed within the answer's headers");
	else
		end(r, result_of(r, code), r->error[0] ? r->error : curl_easy_strerror(code));
}

/* The end of the turn */

static void free_request(struct http_request *r)
{
	timer_stop(&r->deadline);
	timer_stop(&r->total);
	loop_undefer(&r->task);
	list_remove(&r->node);
	detach(r);
	curl_easy_cleanup(r->easy);
	curl_slist_free_all(r->headers);
	strbuf_fini(&r->head);
	free(r);
}

static void add_to_multi(struct http_request *r)
{
	CURLMcode code;

	set_state(r, HTTP_CONNECTING);
	http_client_enter(r->client);
	code = curl_multi_add_handle(r->client->multi, r->easy);
	http_client_leave(r->client);
	if (code == CURLM_OK)
		r->in_multi = true;
	else
		end(r, HTTP_FAILED, curl_multi_strerror(code));
}

/* Delivers what libcurl holds, from within curl_easy_pause, and has it read on. */
static void unhold(struct http_request *r)
{
	CURLcode code;

	r->held = false;
	http_client_enter(r->client);
	code = curl_easy_pause(r->easy, CURLPAUSE_CONT);
	http_client_leave(r->client);
	if (code)
		http_request_completed(r, code);
}

static void on_task(struct loop_task *task)
{
	struct http_request *r = CONTAINER_OF(task, struct http_request, task);

	if (r->state == HTTP_STARTING)
		add_to_multi(r);
	else if (r->state != HTTP_ENDED && r->held && !r->paused)
		unhold(r);
	if (r->state != HTTP_ENDED)
		return;
	/* In done the client may be freed: nothing of libcurl's is left to us then. */
	list_remove(&r->node);
	detach(r);
	curl_easy_cleanup(r->easy);
	r->easy = NULL;
	r->ops->done(r->arg, r->result, r->detail);
	free_request(r);
}

static int set_callbacks(struct http_request *r)
{
	CURL *easy = r->easy;
	CURLcode code = CURLE_OK;

	code = code ? code : curl_easy_setopt(easy, CURLOPT_PRIVATE, r);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, r->error);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_PREREQDATA, r);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_HEADERDATA, r);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	code = code ? code : curl_easy_setopt(easy, CURLOPT_WRITEDATA, r);
	return http_code_err(code);
}

int http_request_start(struct http_request **out, struct http_client *client,
		       const struct http_request_config *config, const struct http_request_ops *ops,
		       void *arg)
{
	struct http_request *r = calloc(1, sizeof(*r));
	int err = PARLANCE_ENOMEM;

	if (!r)
		return PARLANCE_ENOMEM;
	r->client = client;
	r->ops = ops;
	r->arg = arg;
	r->state = HTTP_STARTING;
	r->task.fn = on_task;
	r->max_bytes = config->max_response_bytes;
	strbuf_init(&r->head, HEAD_MAX_BYTES);
	r->easy = curl_easy_init();
	if (!r->easy)
		goto out;
	err = set_callbacks(r);
	err = err ? err : http_request_set_options(r, config);
	if (err)
		goto out;
	list_push_back(&client->requests, &r->node);
	start_deadline(r, r->timeouts.connect_ms);
	start_timer(r, &r->total, r->timeouts.total_ms, on_total);
	loop_defer(client->loop, &r->task);
	*out = r;
out:
	if (err)
		free_request(r);
	return err;
}

void http_request_pause(struct http_request *r)
{
	/* libcurl learns it with the next piece, which it then keeps: told any earlier, it would
	 * forget it when it has not connected yet. */
	r->paused = true;
	if (r->head_done)
		timer_stop(&r->deadline);
}

void http_request_resume(struct http_request *r)
{
	if (!r->paused)
		return;
	r->paused = false;
	if (r->state == HTTP_ENDED)
		return;
	if (r->head_done)
		start_deadline(r, r->timeouts.idle_ms);
	if (r->held)
		loop_defer(r->client->loop, &r->task);
}

void http_request_cancel(struct http_request *r)
{
	end(r, HTTP_CANCELED, "");
	/* Also when it has ended otherwise in this turn. */
	r->result = HTTP_CANCELED;
	r->detail[0] = '\0';
}
