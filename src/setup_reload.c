/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * A reload: the configuration is read and checked as if the daemon began with it, what needs a
 * restart is put back to what is in force, and the rest is handed out: first to the plugins, which
 * may refuse; what follows cannot fail.
 */
#include "setup_private.h"
#include "base/err.h"

static bool same_list(const struct conf_list *a, const struct conf_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->items[i], b->items[i]) != 0)
			return false;
	return true;
}

/* Whether other plugins are wanted than those that run. Then sections may be of plugins that are not
 * there yet, or be missing. */
static int plugins_differ(const struct setup *s, const char *path, const char *const *overrides,
			  size_t n_overrides, bool *differ, struct strbuf *errors)
{
	const struct conf_section *section = options_plugins_section();
	const struct options_plugins *now = conf_get(s->conf, "plugins", NULL);
	const struct options_plugins *wanted;
	struct conf *conf = NULL;
	int rc = conf_load_some(&conf, &section, 1, path, overrides, n_overrides, errors);

	if (rc)
		return rc;
	wanted = conf_get(conf, "plugins", NULL);
	*differ = !same_list(&now->load, &wanted->load);
	conf_free(&conf);
	return 0;
}

static int load(const struct setup *s, struct setup *next, const char *path,
		const char *const *overrides, size_t n_overrides, struct strbuf *restart,
		struct strbuf *errors)
{
	bool other_plugins;
	size_t n_live = s->n_sections;
	int rc = plugins_differ(s, path, overrides, n_overrides, &other_plugins, errors);

	if (rc) {
		/* All problems there are, and not only those of that section. */
		strbuf_reset(errors);
		other_plugins = true;
	}
	if (other_plugins)
		(void)options_sections(&n_live); /* plugins go on with what they have */
	rc = other_plugins ? conf_load_some(&next->conf, s->sections, s->n_sections, path,
					    overrides, n_overrides, errors)
			   : conf_load(&next->conf, s->sections, s->n_sections, path, overrides,
				       n_overrides, errors);
	if (rc)
		return rc;
	/* Twice: all of it has to be right for the next start, and what remains of it for now. */
	rc = setup_fill(next, errors);
	free(next->trusted_proxies);
	next->trusted_proxies = NULL;
	if (!rc)
		rc = conf_keep(next->conf, s->conf, n_live, restart);
	if (rc)
		return rc;
	rc = setup_fill(next, errors);
	if (rc)
		strbuf_printf(errors, "some of it needs a restart first: %s\n",
			      strbuf_cstr(restart));
	return rc;
}

/* The layers go on with the addresses that they know. */
static void put_into_force(struct setup *s, struct setup *next)
{
	struct conf *conf = s->conf;
	struct ip_net *trusted_proxies = s->trusted_proxies;

	s->conf = next->conf;
	s->trusted_proxies = next->trusted_proxies;
	s->net = next->net;
	s->sio = next->sio;
	s->chat = next->chat;
	s->http_client = next->http_client;
	next->conf = conf;
	next->trusted_proxies = trusted_proxies;
}

static void update_listeners(const struct setup *s, struct net *net)
{
	const struct options_listener *o;
	struct net_listener_config config;
	const char *name;

	for (size_t i = 0; (o = conf_get_nth(s->conf, "listener", i, &name)); i++) {
		setup_listener(name, o, &config);
		net_listener_update(net, &config);
	}
}

int setup_reload(struct setup *s, struct net *net, const char *path, const char *const *overrides,
		 size_t n_overrides, struct strbuf *restart, struct strbuf *errors)
{
	struct setup next;
	int rc;

	memset(&next, 0, sizeof(next));
	rc = load(s, &next, path, overrides, n_overrides, restart, errors);
	if (!rc)
		rc = plugins_reload(s->plugins, next.conf, errors);
	if (!rc) {
		put_into_force(s, &next);
		setup_log(s);
		net_config_changed(net);
		update_listeners(s, net);
	}
	setup_fini(&next);
	return rc;
}
