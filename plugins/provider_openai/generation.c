/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * One answer.
 *
 * Everything that moves a generation on goes through advance(): it delivers what is decoded, takes
 * the next event out of the bytes at hand, and ends the generation when there is nothing left to
 * wait for. It stops where the host says AGAIN and goes on from there, so a pause can stand between
 * any two deltas.
 */
#include "generation.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "reply.h"
#include "request.h"
#include "retry.h"
#include "sse.h"
#include "utf8.h"

#define EVENT_MAX (4u << 20)	 /* bytes of one event */
#define BODY_MAX (16u << 20)	 /* bytes of an answer that is not a stream */
#define ERROR_BODY_MAX (64u << 10)
#define HELD_MAX (32u << 20)	 /* bytes that came before a pause took effect */
#define MODEL_MAX 200
#define LAST_WAIT_MS 250	 /* for the HTTP answer's end after the last event: the
				  * connection can be used again then */

enum state {
	GEN_WAITING = 1, /* for the answer's head */
	GEN_STREAM,	 /* events are coming */
	GEN_BODY,	 /* an answer that is not a stream is coming */
	GEN_ERROR,	 /* the body of an HTTP error is coming */
	GEN_LAST,	 /* how it ends is known; decoded text may still be there */
	GEN_STOPPED,	 /* cancelled or failed: nothing more is delivered */
};

#define TO(state) (1u << (state))

static const unsigned moves[] = {
	[GEN_WAITING] = TO(GEN_STREAM) | TO(GEN_BODY) | TO(GEN_ERROR) | TO(GEN_STOPPED),
	[GEN_STREAM] = TO(GEN_LAST) | TO(GEN_STOPPED),
	[GEN_BODY] = TO(GEN_LAST) | TO(GEN_STOPPED),
	[GEN_ERROR] = TO(GEN_STOPPED),
	[GEN_LAST] = TO(GEN_STOPPED),
	[GEN_STOPPED] = 0,
};

enum { TEXT, REASONING, N_TEXTS };

struct generation {
	struct openai *self;
	struct parlance_generation *handle;
	const struct settings *settings; /* those it began with */
	struct parlance_http *http;	 /* NULL: not begun, or done */
	struct parlance_timer *timer;	 /* LAST_WAIT_MS; NULL in other states */
	enum state state;
	bool advancing; /* advance() is on the stack */
	bool paused;	/* the host said AGAIN and did not resume yet */
	bool http_paused;
	int status;
	int finish; /* enum parlance_finish, 0: not known yet */
	uint64_t retry_ms;
	enum parlance_http_result result; /* when http is done */
	struct parlance_str piece; /* the bytes at hand: of a piece, or of `held` */
	struct buf held; /* bytes that came during a pause; the body in GEN_BODY, GEN_ERROR */
	struct sse sse;
	struct utf8_join join[N_TEXTS];
	struct buf out[N_TEXTS]; /* decoded, not delivered */
	bool has_usage;
	struct parlance_usage usage;
	size_t model_len;
	char model[MODEL_MAX];
	char detail[DETAIL_MAX + 64];
};

static void advance(struct generation *gen);

static void set_state(struct generation *gen, enum state state)
{
	if (!(moves[gen->state] & TO(state)))
		abort();
	gen->state = state;
}

static void end(struct generation *gen)
{
	struct openai *self = gen->self;
	struct parlance_generation *handle = gen->handle;
	struct parlance_end last = {
		.size = sizeof(last),
		.finish = gen->finish,
		.detail = gen->detail[0] ? gen->detail : NULL,
		.model = { gen->model, gen->model_len },
		.usage = gen->has_usage ? &gen->usage : NULL,
		.retry_after_ms = gen->retry_ms,
	};

	self->host->timer_free(gen->timer);
	handle->plugin = NULL;
	self->sink->end(handle, &last);
	sse_fini(&gen->sse);
	buf_fini(&gen->held);
	buf_fini(&gen->out[TEXT]);
	buf_fini(&gen->out[REASONING]);
	free(gen);
	self->n_generations--;
	while (self->n_generations == 0 && self->retired) {
		struct settings *old = self->retired;

		self->retired = old->next;
		settings_free(&old);
	}
}

/* Nothing more is delivered; the end comes when the request is done. If there is none, advance() is
 * to follow. */
static void stop(struct generation *gen, int finish)
{
	set_state(gen, GEN_STOPPED);
	gen->finish = finish;
	if (gen->http)
		gen->self->host->http_cancel(gen->http);
}

static void fail(struct generation *gen, int finish, const char *detail)
{
	if (gen->state == GEN_STOPPED)
		return;
	snprintf(gen->detail, sizeof(gen->detail), "%s", detail);
	stop(gen, finish);
}

static void no_memory(struct generation *gen)
{
	fail(gen, PARLANCE_FINISH_INTERNAL, "out of memory");
}

/* An error by the service's name for it. Its words may quote what it was asked, and its log is not
 * the place for that. */
static void fail_reply(struct generation *gen, int finish, const char *prefix,
		       const struct reply *reply)
{
	char clean[DETAIL_MAX + 1];
	char detail[sizeof(gen->detail)];

	settings_clean(gen->settings, reply->error_name, clean);
	snprintf(detail, sizeof(detail), "%s%s%s", prefix, clean[0] ? ": " : "", clean);
	fail(gen, finish, detail);
}

/* The answer is complete but for text that is decoded and not delivered yet. */
static void complete(struct generation *gen, int finish)
{
	gen->finish = finish;
	gen->detail[0] = '\0';
	set_state(gen, GEN_LAST);
	if (utf8_join_end(&gen->join[TEXT], &gen->out[TEXT]) ||
	    utf8_join_end(&gen->join[REASONING], &gen->out[REASONING]))
		no_memory(gen);
}

static void last_wait_over(void *arg)
{
	struct generation *gen = arg;

	if (gen->http)
		gen->self->host->http_cancel(gen->http);
}

/* The stream said that it is at its end. */
static void stream_done(struct generation *gen)
{
	const struct parlance_host *host = gen->self->host;

	complete(gen, gen->finish ? gen->finish : PARLANCE_FINISH_STOP);
	if (!gen->http)
		return;
	gen->timer = host->timer_new(host->ctx, last_wait_over, gen);
	if (gen->timer)
		host->timer_start(gen->timer, LAST_WAIT_MS);
	else
		host->http_cancel(gen->http);
}

static void keep_model(struct generation *gen, struct parlance_str model)
{
	struct utf8_join join = { 0 };
	struct buf clean;

	if (model.len == 0 || model.len > MODEL_MAX / 3) /* U+FFFD has three bytes */
		return;
	buf_init(&clean, MODEL_MAX);
	if (utf8_join(&join, model.p, model.len, &clean) == 0 &&
	    utf8_join_end(&join, &clean) == 0) {
		memcpy(gen->model, clean.p, clean.len);
		gen->model_len = clean.len;
	}
	buf_fini(&clean);
}

/* What a chunk or a whole answer brings. */
static void take_reply(struct generation *gen, const struct reply *reply)
{
	if (reply->has_usage) {
		gen->usage = reply->usage;
		gen->has_usage = true;
	}
	keep_model(gen, reply->model);
	if (reply->finish)
		gen->finish = reply->finish;
	if (utf8_join(&gen->join[TEXT], reply->text.p, reply->text.len, &gen->out[TEXT]) ||
	    utf8_join(&gen->join[REASONING], reply->reasoning.p, reply->reasoning.len,
		      &gen->out[REASONING]))
		no_memory(gen);
}

static bool is(struct parlance_str text, const char *word)
{
	return text.len == strlen(word) && memcmp(text.p, word, text.len) == 0;
}

static void take_event(struct generation *gen, const struct sse_event *event)
{
	struct reply reply;
	const char *what = "";
	char detail[100];

	if (is(event->data, "[DONE]")) {
		stream_done(gen);
		return;
	}
	/* Kinds of events that the API does not have are a gateway's own. */
	if (!is(event->type, "message") && !is(event->type, "error"))
		return;
	if (reply_parse(&reply, gen->self->tokener, event->data, &what)) {
		snprintf(detail, sizeof(detail), "malformed event in the stream: %s", what);
		fail(gen, PARLANCE_FINISH_PROTOCOL, detail);
	} else if (reply.error) {
		fail_reply(gen, reply.error, "error in the stream", &reply);
	} else if (is(event->type, "error")) {
		fail(gen, PARLANCE_FINISH_UNAVAILABLE, "error in the stream");
	} else {
		take_reply(gen, &reply);
	}
	reply_fini(&reply);
}

/* Takes one event out of the bytes at hand; false: there is none. */
static bool next_event(struct generation *gen)
{
	struct sse_event event;

	switch (sse_next(&gen->sse, &gen->piece, &event)) {
	case SSE_EVENT:
		take_event(gen, &event);
		return true;
	case SSE_TOO_BIG:
		fail(gen, PARLANCE_FINISH_PROTOCOL, "an event of the stream is too big");
		return true;
	case SSE_MORE:
		break;
	}
	return false;
}

/* Delivers decoded text; false: there is none. */
static bool deliver(struct generation *gen)
{
	const struct parlance_host *host = gen->self->host;
	int which = gen->out[REASONING].len > 0 ? REASONING : TEXT;
	struct buf *out = &gen->out[which];
	struct parlance_str text = { out->p, out->len };
	enum parlance_flow flow;

	if (out->len == 0)
		return false;
	/* Set before the call: the host may resume from within. */
	gen->paused = true;
	flow = gen->self->sink->delta(gen->handle,
				      which == TEXT ? PARLANCE_DELTA_TEXT :
						      PARLANCE_DELTA_REASONING,
				      text);
	buf_reset(out);
	if (flow != PARLANCE_FLOW_AGAIN)
		gen->paused = false;
	if (gen->paused && gen->http && gen->state != GEN_STOPPED && !gen->http_paused) {
		gen->http_paused = true;
		host->http_pause(gen->http);
	}
	return true;
}

static void finish_body(struct generation *gen)
{
	struct parlance_str body = { gen->held.p, gen->held.len };
	struct reply reply;
	const char *what = "";

	if (reply_parse(&reply, gen->self->tokener, body, &what))
		fail(gen, PARLANCE_FINISH_PROTOCOL, "the answer is neither a stream nor JSON");
	else if (reply.error)
		fail_reply(gen, reply.error, "error instead of an answer", &reply);
	else if (!reply.text.p && !reply.finish)
		fail(gen, PARLANCE_FINISH_PROTOCOL, "the answer is JSON without a message");
	else
		take_reply(gen, &reply);
	reply_fini(&reply);
	if (gen->state == GEN_BODY)
		complete(gen, gen->finish ? gen->finish : PARLANCE_FINISH_STOP);
}

static void finish_error(struct generation *gen)
{
	struct parlance_str body = { gen->held.p, gen->held.len };
	int finish = reply_status_finish(gen->status);
	struct reply reply;
	const char *what = "";
	char prefix[80];

	snprintf(prefix, sizeof(prefix), "HTTP status %d%s", gen->status,
		 gen->status < 400 ? " (not followed; check base_url)" : "");
	if (reply_parse(&reply, gen->self->tokener, body, &what) || !reply.error)
		fail(gen, finish, prefix);
	else
		fail_reply(gen, finish, prefix, &reply);
	reply_fini(&reply);
}

/* The request did not bring a whole HTTP answer; gen->detail says why. */
static void finish_broken(struct generation *gen)
{
	bool begun = gen->state != GEN_WAITING;
	int finish = PARLANCE_FINISH_PROTOCOL;

	switch (gen->result) {
	case PARLANCE_HTTP_CONNECT:
		finish = PARLANCE_FINISH_UNAVAILABLE;
		break;
	case PARLANCE_HTTP_TIMEOUT:
		finish = PARLANCE_FINISH_TIMEOUT;
		break;
	case PARLANCE_HTTP_CUT:
		/* Nothing came at all: it may well work with the next connection. */
		finish = begun ? PARLANCE_FINISH_CUT : PARLANCE_FINISH_UNAVAILABLE;
		break;
	case PARLANCE_HTTP_TOO_BIG:
		finish = PARLANCE_FINISH_CUT;
		break;
	case PARLANCE_HTTP_CANCELED: /* not by us, so it is the host that ends */
		finish = PARLANCE_FINISH_CANCELED;
		break;
	case PARLANCE_HTTP_OK:
	case PARLANCE_HTTP_FAILED:
		break;
	}
	stop(gen, finish);
}

/* The request is done and all its bytes are used. */
static void finish_http(struct generation *gen)
{
	/* An HTTP error is what its status says, whatever became of its body. */
	if (gen->state == GEN_ERROR) {
		finish_error(gen);
	} else if (gen->state == GEN_STREAM && gen->finish) {
		complete(gen, gen->finish);
	} else if (gen->result != PARLANCE_HTTP_OK) {
		finish_broken(gen);
	} else if (gen->state == GEN_BODY) {
		finish_body(gen);
	} else if (gen->state == GEN_STREAM) {
		fail(gen, PARLANCE_FINISH_CUT, "the stream ended before the answer's end");
	} else {
		fail(gen, PARLANCE_FINISH_PROTOCOL, "no HTTP answer");
	}
}

/* Never from within itself: what happens in a delta is seen by the loop below. May free gen. */
static void advance(struct generation *gen)
{
	if (gen->advancing)
		return;
	gen->advancing = true;
	while (gen->state != GEN_STOPPED && !gen->paused) {
		if (deliver(gen))
			continue;
		if (gen->state == GEN_LAST)
			break;
		if (gen->state == GEN_STREAM && next_event(gen))
			continue;
		if (gen->http)
			break;
		finish_http(gen);
	}
	gen->advancing = false;
	if (!gen->http && (gen->state == GEN_STOPPED || !gen->paused)) {
		end(gen);
	} else if (gen->http && gen->http_paused && !gen->paused && gen->state != GEN_STOPPED) {
		gen->http_paused = false;
		gen->self->host->http_resume(gen->http);
	}
}

static bool has_prefix(struct parlance_str text, const char *prefix)
{
	size_t len = strlen(prefix);

	return text.len >= len && strncasecmp(text.p, prefix, len) == 0;
}

static bool named(const struct parlance_http_header *header, const char *name)
{
	return header->name.len == strlen(name) &&
	       strncasecmp(header->name.p, name, header->name.len) == 0;
}

static void on_head(void *arg, int status, const struct parlance_http_header *headers,
		    size_t n_headers)
{
	const struct parlance_host *host = ((struct generation *)arg)->self->host;
	struct generation *gen = arg;
	uint64_t exact_ms = 0;
	bool stream = false;
	size_t i;

	if (gen->state != GEN_WAITING)
		return;
	gen->status = status;
	for (i = 0; i < n_headers; i++) {
		if (named(&headers[i], "content-type"))
			stream = has_prefix(headers[i].value, "text/event-stream");
		else if (named(&headers[i], "retry-after"))
			gen->retry_ms = retry_after_ms(headers[i].value, host->wall_ms(host->ctx));
		else if (named(&headers[i], "retry-after-ms"))
			exact_ms = retry_after_number_ms(headers[i].value);
	}
	if (exact_ms > 0)
		gen->retry_ms = exact_ms;
	if (status < 200 || status > 299) {
		set_state(gen, GEN_ERROR);
		gen->held.max = ERROR_BODY_MAX;
		return;
	}
	gen->retry_ms = 0;
	set_state(gen, stream ? GEN_STREAM : GEN_BODY);
	if (!stream)
		gen->held.max = BODY_MAX;
}

static void take_error_piece(struct generation *gen, struct parlance_str piece)
{
	size_t room = gen->held.max - gen->held.len;

	if (buf_append(&gen->held, piece.p, piece.len < room ? piece.len : room))
		no_memory(gen);
	else if (gen->held.len == gen->held.max)
		finish_error(gen);
}

static void on_data(void *arg, struct parlance_str piece)
{
	struct generation *gen = arg;

	if (gen->state == GEN_ERROR) {
		take_error_piece(gen, piece);
	} else if (gen->state == GEN_BODY) {
		if (buf_append(&gen->held, piece.p, piece.len))
			fail(gen, PARLANCE_FINISH_PROTOCOL,
			     "the answer is not a stream and too big");
	} else if (gen->state == GEN_STREAM) {
		/* Bytes are held only while it is paused, when advance() takes none. It is not
		 * freed: the request is not done. */
		gen->piece = piece;
		advance(gen);
		if (gen->piece.len > 0 && gen->state == GEN_STREAM &&
		    buf_append(&gen->held, gen->piece.p, gen->piece.len))
			no_memory(gen);
		gen->piece = (struct parlance_str){ NULL, 0 };
	}
}

static void on_done(void *arg, enum parlance_http_result result, const char *detail)
{
	struct generation *gen = arg;

	gen->http = NULL;
	gen->result = result;
	if (result != PARLANCE_HTTP_OK && gen->state < GEN_LAST)
		snprintf(gen->detail, sizeof(gen->detail), "%s", detail ? detail : "");
	advance(gen);
}

static const struct parlance_http_sink http_sink = {
	.size = sizeof(http_sink),
	.head = on_head,
	.data = on_data,
	.done = on_done,
};

void generation_resume(struct parlance_generation *handle)
{
	struct generation *gen = handle->plugin;
	size_t before;

	if (!gen || !gen->paused)
		return;
	gen->paused = false;
	if (gen->advancing)
		return;
	if (gen->state != GEN_STREAM) {
		advance(gen);
		return;
	}
	/* Without its bytes it may end here, so they are used up first. */
	before = gen->held.len;
	gen->piece = (struct parlance_str){ gen->held.p, before };
	advance(gen);
	if (!handle->plugin)
		return;
	buf_drop(&gen->held, before - gen->piece.len);
	gen->piece = (struct parlance_str){ NULL, 0 };
}

void generation_cancel(struct parlance_generation *handle)
{
	struct generation *gen = handle->plugin;

	if (!gen || gen->state == GEN_STOPPED)
		return;
	gen->detail[0] = '\0';
	stop(gen, PARLANCE_FINISH_CANCELED);
	advance(gen);
}

static struct generation *generation_new(struct openai *self, struct parlance_generation *handle)
{
	struct generation *gen = calloc(1, sizeof(*gen));

	if (!gen)
		return NULL;
	gen->self = self;
	gen->handle = handle;
	gen->settings = self->settings;
	gen->state = GEN_WAITING;
	gen->usage.size = sizeof(gen->usage);
	buf_init(&gen->held, HELD_MAX);
	buf_init(&gen->out[TEXT], BODY_MAX * 3); /* U+FFFD has three bytes */
	buf_init(&gen->out[REASONING], BODY_MAX * 3);
	sse_init(&gen->sse, EVENT_MAX);
	handle->plugin = gen;
	self->n_generations++;
	return gen;
}

static void send_request(struct generation *gen, struct json_object *body)
{
	const struct parlance_host *host = gen->self->host;
	const struct settings *s = gen->settings;
	struct parlance_http_request request = {
		.size = sizeof(request),
		.method = "POST",
		.url = s->url,
		.headers = s->headers,
		.n_headers = s->n_headers,
		.connect_timeout_ms = s->connect_timeout_ms,
		.first_byte_timeout_ms = s->first_byte_timeout_ms,
		.idle_timeout_ms = s->idle_timeout_ms,
		.total_timeout_ms = s->total_timeout_ms,
		.max_response_bytes = s->max_response_bytes,
	};

	request.body.p = request_text(body, &request.body.len);
	if (request.body.p)
		gen->http = host->http_start(host->ctx, &request, &http_sink, gen);
	if (!gen->http)
		no_memory(gen);
}

void generation_start(struct openai *self, struct parlance_generation *handle,
		      const struct parlance_prompt *prompt)
{
	static const struct parlance_end out_of_memory = {
		.size = sizeof(out_of_memory),
		.finish = PARLANCE_FINISH_INTERNAL,
		.detail = "out of memory",
	};
	struct generation *gen = generation_new(self, handle);
	struct json_object *body = NULL;
	char err[200] = "";

	if (!gen) {
		handle->plugin = NULL;
		self->sink->end(handle, &out_of_memory);
		return;
	}
	switch (request_build(&body, gen->settings, prompt, err, sizeof(err))) {
	case REQUEST_OK:
		send_request(gen, body);
		json_object_put(body);
		break;
	case REQUEST_REFUSED:
		fail(gen, PARLANCE_FINISH_REFUSED, err);
		break;
	case REQUEST_NO_MEMORY:
		no_memory(gen);
		break;
	}
	if (gen->state == GEN_STOPPED)
		advance(gen);
}
