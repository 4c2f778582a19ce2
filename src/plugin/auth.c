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
	char *text; /* token, address and origin, each terminated */
	size_t text_len;
	auth_done_fn *done;
	void *arg;
	/* The plugin's answer, for the end of the turn. */
	bool accepted;
	enum parlance_auth_verdict verdict;
	int64_t expires_ms;
	struct strbuf user;
	struct strbuf claims;
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
			answer.user = slice_of(strbuf_cstr(&v->user), v->user.len);
			answer.claims = slice_of(strbuf_cstr(&v->claims), v->claims.len);
			answer.expires_ms = v->expires_ms;
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

int auth_verify(struct plugins *plugins, struct slice token, struct slice address,
		struct slice origin, uint32_t timeout_ms, auth_done_fn *done, void *arg)
{
	struct verification *v;
	size_t len;
	char *at;

	if (!plugins_running(plugins))
		return PARLANCE_ECLOSED;
	if (!size_add(token.len, address.len, &len) || !size_add(len, origin.len, &len) ||
	    !size_add(len, 3, &len))
		return PARLANCE_ENOMEM;
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
	v->request.token = put_text(&at, token);
	v->request.address = put_text(&at, address);
	v->request.origin = put_text(&at, origin);
	v->done = done;
	v->arg = arg;
	strbuf_init(&v->user, PARLANCE_USER_MAX);
	strbuf_init(&v->claims, SIZE_MAX / 2);
	strbuf_init(&v->detail, SIZE_MAX / 2);
	op_start(&v->op, &verification_kind, plugins, plugins->auth, timeout_ms);
	return 0;
}

/* The sink */

/* No control characters: neither C0 and DEL, nor C1 (U+0080 to U+009F, in UTF-8 C2 80 to C2 9F). */
static bool is_subject(struct parlance_str s)
{
	if (!s.p || !s.len || s.len > PARLANCE_USER_MAX || !utf8_valid(s.p, s.len))
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
	if (id->size < SIZE_UP_TO(struct parlance_identity, claims))
		return "it accepts with a struct that is too small";
	if (!is_subject(id->subject))
		return "it accepts a user's id that is not 1 to 255 bytes of UTF-8 without controls";
	if (id->expires_ms < 0)
		return "it accepts a token that ends before 1970";
	if (id->claims.len && (id->claims.p[0] != '{' || id->claims.p[id->claims.len - 1] != '}' ||
			       !utf8_valid(id->claims.p, id->claims.len)))
		return "it accepts with claims that are not a JSON object";
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
		if (!strbuf_ok(&v->user) || !strbuf_ok(&v->claims))
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
