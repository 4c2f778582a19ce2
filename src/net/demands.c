/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What a listener demands of tokens. A session has the demands of the listener that it was opened
 * at, for as long as it lives, and is there only for requests that come in under the same ones:
 * whoever reaches it by another listener, of this instance or another, would be under demands that
 * are not those of his door.
 */
#include "net/private.h"
#include "base/err.h"

int demands_new(struct demands **out, struct slice issuer, struct slice audience)
{
	struct demands *d;
	char *to;

	*out = NULL;
	if (!issuer.len && !audience.len)
		return 0;
	d = calloc(1, sizeof(*d) + issuer.len + audience.len);
	if (!d || forward_demands(issuer, audience, d->digest)) {
		free(d);
		return PARLANCE_ENOMEM;
	}
	to = d->text;
	if (issuer.len)
		memcpy(to, issuer.p, issuer.len);
	d->issuer = slice_of(to, issuer.len);
	to += issuer.len;
	if (audience.len)
		memcpy(to, audience.p, audience.len);
	d->audience = slice_of(to, audience.len);
	*out = d;
	return 0;
}

const char *demands_digest(const struct demands *d)
{
	return d ? d->digest : "";
}

const char *demands_of_request(const struct conn *c, const struct peer_claim *via)
{
	return via->verified ? via->claim.demands : demands_digest(c->listener->demands);
}
