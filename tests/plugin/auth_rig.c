/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The sink that auth plugins are tested with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth_rig.h"

#define ASK_MS 5000
#define TOKEN_SHOWN_MIN 16 /* a token of fewer bytes may stand in a text by chance */

static struct rig_op *of_pub(struct parlance_auth_op *pub)
{
	struct rig_op *op = CONTAINER_OF(pub, struct rig_op, pub);

	mock_on_thread(op->m, "the sink");
	if (op->verdict != RIG_PENDING)
		mock_abort("a verification was completed twice (R2)");
	return op;
}

/* Copies an id, which may be empty. */
static void take_id(struct parlance_str id, size_t max, char *out, const char *what)
{
	if (id.len > max || (id.len && !id.p))
		mock_abort("%s has %zu bytes", what, id.len);
	for (size_t i = 0; i < id.len; i++) {
		if ((unsigned char)id.p[i] < 0x20)
			mock_abort("%s has control characters in it", what);
		out[i] = id.p[i];
	}
	out[id.len] = '\0';
}

static void on_accept(struct parlance_auth_op *pub, const struct parlance_identity *identity)
{
	struct rig_op *op = of_pub(pub);

	if (identity->size < sizeof(*identity))
		mock_abort("an identity is smaller than that of version 1.0");
	if (!identity->subject.len)
		mock_abort("a subject is empty");
	take_id(identity->subject, PARLANCE_USER_MAX, op->subject, "a subject");
	take_id(identity->token_id, PARLANCE_TOKEN_ID_MAX, op->token_id, "a token's id");
	take_id(identity->session, PARLANCE_TOKEN_ID_MAX, op->session, "a session's id");
	if (identity->expires_ms < 0 || identity->issued_ms < 0)
		mock_abort("an identity expires or was issued before 1970");
	if (identity->claims.len &&
	    (identity->claims.p[0] != '{' || identity->claims.p[identity->claims.len - 1] != '}'))
		mock_abort("claims are not a JSON object");
	op->expires_ms = identity->expires_ms;
	op->issued_ms = identity->issued_ms;
	op->claims = strndup(identity->claims.p ? identity->claims.p : "", identity->claims.len);
	CHECK(op->claims);
	op->verdict = RIG_ACCEPTED;
}

static void on_reject(struct parlance_auth_op *pub, enum parlance_auth_verdict verdict,
		      const char *detail)
{
	struct rig_op *op = of_pub(pub);

	if (verdict < PARLANCE_AUTH_DENIED || verdict > PARLANCE_AUTH_TEMPORARY)
		mock_abort("the verdict %d does not exist", (int)verdict);
	if (!detail || !*detail)
		mock_abort("a rejection gives no reason");
	if (op->request.token.len >= TOKEN_SHOWN_MIN &&
	    memmem(detail, strlen(detail), op->token, op->request.token.len))
		mock_abort("a rejection shows the token");
	(void)snprintf(op->detail, sizeof(op->detail), "%s", detail);
	op->verdict = (int)verdict;
}

const struct parlance_auth_sink rig_sink = {
	.size = sizeof(rig_sink),
	.accept = on_accept,
	.reject = on_reject,
};

static const char *demanded_issuer = "";
static const char *demanded_audience = "";

void rig_demand(const char *issuer, const char *audience)
{
	demanded_issuer = issuer;
	demanded_audience = audience;
}

void rig_verify(struct mock_host *m, struct rig_op *op, const char *token, size_t len)
{
	const struct parlance_auth_ops *ops = m->plugin->ops;
	/* Not terminated for the plugin: what it reads beyond is found by the sanitizer. */
	char *exact = malloc(len ? len : 1);

	*op = (struct rig_op){ .m = m, .verdict = RIG_PENDING };
	op->token = calloc(1, len + 1);
	CHECK(exact && op->token);
	memcpy(exact, token, len);
	memcpy(op->token, token, len);
	op->request = (struct parlance_auth_request){
		.size = sizeof(op->request),
		.token = { exact, len },
		.address = { "192.0.2.1", 9 },
		.origin = { "https://example.org", 19 },
		.issuer = { demanded_issuer, strlen(demanded_issuer) },
		.audience = { demanded_audience, strlen(demanded_audience) },
	};
	MOCK_CALL(m, ops->verify(m->self, &op->pub, &op->request));
}

void rig_cancel(struct rig_op *op)
{
	const struct parlance_auth_ops *ops = op->m->plugin->ops;

	MOCK_CALL(op->m, ops->cancel(op->m->self, &op->pub));
}

bool rig_answered(void *arg)
{
	const struct rig_op *op = arg;

	return op->verdict != RIG_PENDING;
}

void rig_fini(struct rig_op *op)
{
	CHECK(rig_answered(op));
	/* It was ours before it was lent, so the const may go. */
	free((void *)(uintptr_t)op->request.token.p);
	free(op->token);
	free(op->claims);
	op->request.token.p = NULL;
	op->token = NULL;
	op->claims = NULL;
}

int rig_ask(struct mock_host *m, struct rig_op *op, const char *token, size_t len)
{
	rig_verify(m, op, token, len);
	if (!mock_run_until(m, rig_answered, op, ASK_MS))
		mock_abort("a verification is not answered");
	return op->verdict;
}
