/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Verifications: from the asker to the auth plugin and back, with what it says checked. */
#include "plugin/auth.h"

#include "base/err.h"
#include "base/utf8.h"
#include "plugin/private.h"

struct verification {
	struct op op;
	struct parlance_auth_op pub; /* what the plugin has of it */
	struct parlance_auth_request request;
	char *text; /* of the request, each terminated */
	size_t text_len;
	auth_done_fn *done;
	void *arg;
	/* The plugin's answer, for the end of the turn. */
	bool accepted;
	enum parlance_auth_verdict verdict;
	int64_t expires_ms;
	int64_t issued_ms;
	struct strbuf user;
	struct strbuf claims;
	struct strbuf token_id;
	struct strbuf session;
	struct strbuf detail;
};

static struct verification *of_op(struct op *op)
{
	return CONTAINER_OF(op, struct verification, op);
}

static void on_begin(struct op *op)
{
	struct verification *v = of_op(op);
	const struct parlance_auth_ops *ops = op->inst->module->desc->ops;

	ops->verify(op->inst->self, &v->pub, &v->request);
}

static void on_cancel(struct op *op)
{
	const struct parlance_auth_ops *ops = op->inst->module->desc->ops;

	ops->cancel(op->inst->self, &of_op(op)->pub);
}

static struct slice text_of(struct strbuf *sb)
{
	return slice_of(strbuf_cstr(sb), sb->len);
}

static void on_answer(struct op *op, enum op_reason reason)
{
	struct verification *v = of_op(op);
	struct auth_answer answer = { .verdict = PARLANCE_AUTH_TEMPORARY };

	switch (reason) {
	case OP_COMPLETED:
		answer.accepted = v->accepted;
		answer.verdict = v->verdict;
		answer.detail = strbuf_cstr(&v->detail);
		if (v->accepted) {
			answer.user = text_of(&v->user);
			answer.claims = text_of(&v->claims);
			answer.token_id = text_of(&v->token_id);
			answer.session = text_of(&v->session);
			answer.expires_ms = v->expires_ms;
			answer.issued_ms = v->issued_ms;
		}
		break;
	case OP_REFUSED:
		answer.detail = op->detail;
		break;
	case OP_TIMED_OUT:
		answer.detail = "the auth plugin has not answered in time";
		break;
	case OP_NO_PLUGIN:
		answer.detail = "no auth plugin is loaded";
		break;
	case OP_CLOSED:
	case OP_NOT_BEGUN:
		answer.detail = "shutting down";
		break;
	}
	v->done(v->arg, &answer);
}

static void on_release(struct op *op)
{
	struct verification *v = of_op(op);

	explicit_bzero(v->text, v->text_len);
	free(v->text);
	strbuf_fini(&v->user);
	strbuf_fini(&v->claims);
	strbuf_fini(&v->token_id);
	strbuf_fini(&v->session);
	strbuf_fini(&v->detail);
}

static const struct op_kind verification_kind = {
	.begin = on_begin,
	.cancel = on_cancel,
	.answer = on_answer,
	.release = on_release,
};

/* Copies the text to *at, terminated, and moves on behind it. */
static struct parlance_str put_text(char **at, struct slice text)
{
	struct parlance_str out = { *at, text.len };

	if (text.len)
		memcpy(*at, text.p, text.len);
	(*at)[text.len] = '\0';
	*at += text.len + 1;
	return out;
}

int auth_verify(struct plugins *plugins, const struct auth_question *q, uint32_t timeout_ms,
		auth_done_fn *done, void *arg)
{
	const struct slice texts[] = { q->token, q->address, q->origin, q->issuer, q->audience };
	struct verification *v;
	size_t len = ARRAY_LEN(texts);
	char *at;

	if (!plugins_running(plugins))
		return PARLANCE_ECLOSED;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		if (!size_add(len, texts[i].len, &len))
			return PARLANCE_ENOMEM;
	}
	v = calloc(1, sizeof(*v));
	if (!v)
		return PARLANCE_ENOMEM;
	v->text = malloc(len);
	if (!v->text) {
		free(v);
		return PARLANCE_ENOMEM;
	}
	v->text_len = len;
	at = v->text;
	v->request.size = sizeof(v->request);
	v->request.token = put_text(&at, q->token);
	v->request.address = put_text(&at, q->address);
	v->request.origin = put_text(&at, q->origin);
	v->request.issuer = put_text(&at, q->issuer);
	v->request.audience = put_text(&at, q->audience);
	v->done = done;
	v->arg = arg;
	strbuf_init(&v->user, PARLANCE_USER_MAX);
	strbuf_init(&v->claims, SIZE_MAX / 2);
	strbuf_init(&v->token_id, PARLANCE_TOKEN_ID_MAX);
	strbuf_init(&v->session, PARLANCE_TOKEN_ID_MAX);
	strbuf_init(&v->detail, SIZE_MAX / 2);
	op_start(&v->op, &verification_kind, plugins, plugins->auth, timeout_ms);
	return 0;
}

/* The sink */

/* No control characters: neither C0 and DEL, nor C1 (U+0080 to U+009F, in UTF-8 C2 80 to C2 9F). */
static bool is_id(struct parlance_str s, size_t max)
{
	if (!s.p || !s.len || s.len > max || !utf8_valid(s.p, s.len))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c < 0x20 || c == 0x7f)
			return false;
		if (c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0)
			return false;
	}
	return true;
}

static const char *identity_problem(const struct parlance_identity *id)
{
	if (id->size < SIZE_UP_TO(struct parlance_identity, issued_ms))
		return "it accepts with a struct that is too small";
	if (!is_id(id->subject, PARLANCE_USER_MAX))
		return "it accepts a user's id that is not 1 to 255 bytes of UTF-8 without controls";
	if (id->expires_ms < 0)
		return "it accepts a token that ends before 1970";
	if (id->claims.len && (id->claims.p[0] != '{' || id->claims.p[id->claims.len - 1] != '}' ||
			       !utf8_valid(id->claims.p, id->claims.len)))
		return "it accepts with claims that are not a JSON object";
	if ((id->token_id.len && !is_id(id->token_id, PARLANCE_TOKEN_ID_MAX)) ||
	    (id->session.len && !is_id(id->session, PARLANCE_TOKEN_ID_MAX)))
		return "it accepts a token's or session's id that is not up to 255 bytes of UTF-8 without "
		       "controls";
	if (id->issued_ms < 0)
		return "it accepts a token that was issued before 1970";
	return NULL;
}

static void sink_accept(struct parlance_auth_op *pub, const struct parlance_identity *identity)
{
	struct verification *v = CONTAINER_OF(pub, struct verification, pub);
	const char *problem;

	if (!op_may_speak(&v->op, "it accepts a token"))
		return;
	problem = identity_problem(identity);
	if (problem) {
		instance_fault(v->op.inst, "%s", problem);
		op_refuse(&v->op, "the auth plugin's answer is of no use");
	} else if (!v->op.answered) {
		v->accepted = true;
		v->expires_ms = identity->expires_ms;
		strbuf_append_slice(&v->user, to_slice(identity->subject));
		strbuf_append_slice(&v->claims, to_slice(identity->claims));
		strbuf_append_slice(&v->token_id, to_slice(identity->token_id));
		strbuf_append_slice(&v->session, to_slice(identity->session));
		v->issued_ms = identity->issued_ms;
		if (!strbuf_ok(&v->user) || !strbuf_ok(&v->claims) || !strbuf_ok(&v->token_id) ||
		    !strbuf_ok(&v->session))
			op_refuse(&v->op, "out of memory");
	}
	op_complete(&v->op, false);
}

static void sink_reject(struct parlance_auth_op *pub, enum parlance_auth_verdict verdict,
			const char *detail)
{
	struct verification *v = CONTAINER_OF(pub, struct verification, pub);

	if (!op_may_speak(&v->op, "it rejects a token"))
		return;
	if (verdict < PARLANCE_AUTH_DENIED || verdict > PARLANCE_AUTH_TEMPORARY) {
		instance_fault(v->op.inst, "it rejects with the unknown verdict %d", (int)verdict);
		verdict = PARLANCE_AUTH_TEMPORARY;
	}
	v->verdict = verdict;
	strbuf_append_str(&v->detail, detail ? detail : "");
	op_complete(&v->op, false);
}

const struct parlance_auth_sink auth_sink = {
	.size = sizeof(auth_sink),
	.accept = sink_accept,
	.reject = sink_reject,
};
