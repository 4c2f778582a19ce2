/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* The layer and its namespaces. */
#include "sio/private.h"
#include "base/err.h"

int sio_new(struct sio **out, struct loop *loop, const struct sio_config *config)
{
	struct sio *sio = calloc(1, sizeof(*sio));

	if (!sio)
		return PARLANCE_ENOMEM;
	sio->loop = loop;
	sio->config = config;
	list_init(&sio->namespaces);
	list_init(&sio->dead);
	idtable_init(&sio->sockets);
	arena_init(&sio->arena, 0);
	sio->bury_task.fn = socket_bury_dead;
	*out = sio;
	return 0;
}

void sio_free(struct sio **siop)
{
	struct sio *sio = *siop;
	struct list *node;

	if (!sio)
		return;
	*siop = NULL;
	loop_undefer(&sio->bury_task);
	socket_bury_dead(&sio->bury_task);
	CHECK(sio->sockets.count == 0);
	while ((node = list_pop_front(&sio->namespaces))) {
		struct sio_nsp *nsp = CONTAINER_OF(node, struct sio_nsp, node);

		map_free(&nsp->rooms);
		free(nsp->name);
		free(nsp);
	}
	idtable_fini(&sio->sockets);
	arena_fini(&sio->arena);
	free(sio);
}

const struct session_ops *sio_session_ops(void)
{
	static const struct session_ops ops = {
		.open = client_open,
		.message = client_message,
		.drain = client_drain,
		.close = client_close,
	};

	return &ops;
}

struct sio_nsp *sio_find_nsp(const struct sio *sio, struct slice name)
{
	/* A handful: a list is as good as a map. */
	for (struct list *node = sio->namespaces.next; node != &sio->namespaces;
	     node = node->next) {
		struct sio_nsp *nsp = CONTAINER_OF(node, struct sio_nsp, node);

		if (slice_is(name, nsp->name))
			return nsp;
	}
	return NULL;
}

struct sio_nsp *sio_namespace(struct sio *sio, const char *name, const struct sio_nsp_ops *ops,
			      void *ctx)
{
	struct sio_nsp *nsp;

	if (name[0] != '/' || strchr(name, ',') || strchr(name, '?') ||
	    strlen(name) > SIO_NSP_MAX || sio_find_nsp(sio, slice_str(name)))
		return NULL;
	nsp = calloc(1, sizeof(*nsp));
	if (!nsp)
		return NULL;
	nsp->sio = sio;
	nsp->ops = ops;
	nsp->ctx = ctx;
	nsp->name = strdup(name);
	nsp->rooms = map_new(room_key);
	list_init(&nsp->sockets);
	if (!nsp->name || !nsp->rooms) {
		map_free(&nsp->rooms);
		free(nsp->name);
		free(nsp);
		return NULL;
	}
	list_push_back(&sio->namespaces, &nsp->node);
	return nsp;
}

const char *sio_nsp_name(const struct sio_nsp *nsp)
{
	return nsp->name;
}

void sio_stats(const struct sio *sio, struct sio_stats *out)
{
	out->sockets = sio->sockets.count;
	out->rooms = sio->n_rooms;
}
