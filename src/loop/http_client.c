/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * HTTP client: libcurl's sockets and timer on the loop. libcurl says which sockets it wants to be
 * watched (it takes one back before it closes it) and when it wants to be called next; we call it
 * for each event and collect the transfers that have ended.
 */
#include "loop/http_private.h"
#include "base/err.h"
#include "loop/io.h"

struct http_socket {
	struct list node;
	struct http_client *client;
	struct io *io;
	int fd;
	unsigned int events;
};

void http_client_enter(struct http_client *client)
{
	CHECK(!client->in_curl);
	client->in_curl = true;
}

void http_client_leave(struct http_client *client)
{
	client->in_curl = false;
}

static void collect(struct http_client *client)
{
	CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(client->multi, &left))) {
		void *request = NULL;

		CHECK(msg->msg == CURLMSG_DONE);
		CHECK(curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &request) == CURLE_OK);
		http_request_completed(request, msg->data.result);
	}
}

static void act(struct http_client *client, curl_socket_t fd, int events)
{
	CURLMcode code;
	int running;

	http_client_enter(client);
	code = curl_multi_socket_action(client->multi, fd, events, &running);
	http_client_leave(client);
	/* What goes wrong with a transfer is its own result; these would be our mistakes. */
	CHECK(code != CURLM_BAD_HANDLE && code != CURLM_RECURSIVE_API_CALL);
	collect(client);
}

static void on_timer(struct timer *timer)
{
	act(CONTAINER_OF(timer, struct http_client, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
	struct http_client *client = arg;

	(void)multi;
	/* 0 is "now", but not from in here: loop_timer_start makes it a millisecond. */
	if (timeout_ms < 0)
		timer_stop(&client->timer);
	else
		loop_timer_start(client->loop, &client->timer, (uint64_t)timeout_ms, on_timer);
	return 0;
}

/* The socket may be closed, and this struct with it, before act returns. */
static void on_io(struct io *io, unsigned int events, void *arg)
{
	struct http_socket *s = arg;
	int mask = 0;

	mask |= events & IO_READ ? CURL_CSELECT_IN : 0;
	mask |= events & IO_WRITE ? CURL_CSELECT_OUT : 0;
	/*
	 * After an error the loop no longer watches, which libcurl does not know. It shall look for
	 * itself (0): told of an error it would drop what the peer had sent before.
	 */
	if (!events)
		io_set(io, s->events);
	act(s->client, s->fd, mask);
}

static void socket_free(struct http_socket *s)
{
	io_close(&s->io);
	list_remove(&s->node);
	free(s);
}

static struct http_socket *socket_new(struct http_client *client, int fd, unsigned int events)
{
	struct http_socket *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->client = client;
	s->fd = fd;
	s->events = events;
	if (io_open(&s->io, client->loop, fd, events, on_io, s)) {
		free(s);
		return NULL;
	}
	list_push_back(&client->sockets, &s->node);
	CHECK(curl_multi_assign(client->multi, fd, s) == CURLM_OK);
	return s;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socketp)
{
	struct http_client *client = arg;
	struct http_socket *s = socketp;
	unsigned int events = 0;

	if (what == CURL_POLL_REMOVE) {
		if (s)
			socket_free(s);
		return 0;
	}
	events |= what & CURL_POLL_IN ? IO_READ : 0;
	events |= what & CURL_POLL_OUT ? IO_WRITE : 0;
	if (s) {
		s->events = events;
		io_set(s->io, events);
	} else if (!socket_new(client, fd, events)) {
		void *request = NULL;

		/* To tell libcurl would end every transfer that there is. */
		CHECK(curl_easy_getinfo(easy, CURLINFO_PRIVATE, &request) == CURLE_OK);
		if (request)
			http_request_failed(request, "cannot watch its socket");
	}
	return 0;
}

static int set_up(struct http_client *client)
{
	const struct http_client_config *config = &client->config;
	CURLM *multi = client->multi = curl_multi_init();

	if (!multi)
		return PARLANCE_ENOMEM;
	if (curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) ||
	    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client) ||
	    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) ||
	    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client) ||
	    curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING) ||
	    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
			      (long)config->max_connections) ||
	    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS,
			      (long)config->max_connections_per_host))
		return PARLANCE_ESYS;
	return 0;
}

int http_client_new(struct http_client **out, struct loop *loop,
		    const struct http_client_config *config)
{
	struct http_client *client = calloc(1, sizeof(*client));
	int err = PARLANCE_ENOMEM;

	if (!client)
		return PARLANCE_ENOMEM;
	/* Counted: each client has its own cleanup. */
	if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
		free(client);
		return PARLANCE_ESYS;
	}
	client->loop = loop;
	list_init(&client->sockets);
	list_init(&client->requests);
	client->proxy = strdup(config->proxy ? config->proxy : "");
	client->ca_file = strdup(config->ca_file ? config->ca_file : "");
	client->config = *config;
	client->config.proxy = client->proxy;
	client->config.ca_file = client->ca_file;
	if (!client->proxy || !client->ca_file)
		goto out;
	err = set_up(client);
out:
	if (err)
		http_client_free(&client);
	else
		*out = client;
	return err;
}

void http_client_free(struct http_client **clientp)
{
	struct http_client *client = *clientp;
	struct list *node;

	if (!client)
		return;
	*clientp = NULL;
	CHECK(list_empty(&client->requests) && !client->in_curl);
	if (client->multi) {
		http_client_enter(client);
		CHECK(curl_multi_cleanup(client->multi) == CURLM_OK);
		http_client_leave(client);
	}
	timer_stop(&client->timer);
	while ((node = list_pop_front(&client->sockets)))
		socket_free(CONTAINER_OF(node, struct http_socket, node));
	curl_global_cleanup();
	free(client->proxy);
	free(client->ca_file);
	free(client);
}
