/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* What a listener can change while it listens: the certificate above all. */
#include "net/private.h"
#include "base/err.h"

/* A certificate from files that are known, or from others. */
static void load_certificate(struct listener *l, const char *cert, const char *key)
{
	struct strbuf err;
	bool changed;

	strbuf_init(&err, 4096);
	if (tls_load(l->tls, cert, key, &changed, &err))
		log_err("listener", LOG_FIELDS(LOG_STR("listener", l->name)),
			"the certificate stays as it was (%s)", strbuf_cstr(&err));
	else if (changed)
		tls_log(l->tls, l->name, "new certificate");
	strbuf_fini(&err);
}

static void on_tls_timer(struct timer *timer);

static void watch_certificate(struct listener *l)
{
	timer_stop(&l->tls_timer);
	if (l->tls && l->tls_reload_s)
		loop_timer_start(l->net->loop, &l->tls_timer, (uint64_t)l->tls_reload_s * 1000,
				 on_tls_timer);
}

static void on_tls_timer(struct timer *timer)
{
	struct listener *l = CONTAINER_OF(timer, struct listener, tls_timer);

	if (tls_files_changed(l->tls))
		load_certificate(l, tls_cert_path(l->tls), tls_key_path(l->tls));
	watch_certificate(l);
}

int listener_take(struct listener *l, const struct net_listener_config *config)
{
	bool redirects = config->redirect && config->redirect[0];
	char *redirect = redirects ? strdup(config->redirect) : NULL;

	if (redirects && !redirect)
		return PARLANCE_ENOMEM;
	free(l->redirect);
	l->redirect = redirect;
	l->hsts_max_age_s = config->hsts_max_age_s;
	l->tls_reload_s = config->tls_reload_s;
	watch_certificate(l);
	return 0;
}

int listener_tls(struct tls **out, const struct net_listener_config *config, struct strbuf *err)
{
	struct strbuf why;
	int rc;

	strbuf_init(&why, 4096);
	rc = tls_new(out, config, &why);
	if (rc)
		strbuf_printf(err, "listener %s: %s", config->name,
			      why.len ? strbuf_cstr(&why) : parlance_err_text(rc));
	strbuf_fini(&why);
	return rc;
}

int net_listener_check(const struct net_listener_config *config, struct strbuf *err)
{
	struct tls *tls = NULL;
	int rc = config->tls_cert[0] ? listener_tls(&tls, config, err) : 0;

	tls_free(&tls);
	return rc;
}

void net_listener_update(struct net *net, const struct net_listener_config *config)
{
	struct listener *l = NULL;

	for (size_t i = 0; i < net->n_listeners; i++)
		if (strcmp(net->listeners[i]->name, config->name) == 0)
			l = net->listeners[i];
	CHECK(l);
	if (listener_take(l, config))
		log_err("listener", LOG_FIELDS(LOG_STR("listener", l->name)),
			"stays as it was (out of memory)");
	CHECK(!l->tls == !config->tls_cert[0]);
	if (l->tls)
		load_certificate(l, config->tls_cert, config->tls_key);
}
