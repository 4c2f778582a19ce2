/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The instances: which this one is, where the others are, and what they say about requests that
 * they pass on. Addresses are numbers or paths, so nothing is looked up.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "net/private.h"
#include "base/clock.h"
#include "base/err.h"

void peers_forget_secret(struct net *net)
{
	if (net->secret)
		explicit_bzero(net->secret, net->secret_len);
	free(net->secret);
	net->secret = NULL;
	net->secret_len = 0;
}

void net_set_instance(struct net *net, uint64_t number, struct slice secret)
{
	char *copy = NULL;

	if (secret.len) {
		copy = malloc(secret.len);
		if (copy)
			memcpy(copy, secret.p, secret.len);
	}
	peers_forget_secret(net);
	net->secret = copy;
	net->secret_len = copy ? secret.len : 0;
	net->number = number;
}

static bool read_unix(struct peer *p, const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = strlen(path);

	if (len == 0 || len >= sizeof(sun.sun_path))
		return false;
	memcpy(sun.sun_path, path, len);
	memcpy(&p->to, &sun, sizeof(sun));
	p->to_len = sizeof(sun);
	return true;
}

static bool read_tcp(struct peer *p, const char *address)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	char host[ADDRESS_HOST_MAX + 1];
	const char *port;
	bool ok;

	if (!address_split(address, host, &port) || !host[0] ||
	    getaddrinfo(host, port, &hints, &found))
		return false;
	ok = found->ai_addrlen <= sizeof(p->to);
	if (ok) {
		memcpy(&p->to, found->ai_addr, found->ai_addrlen);
		p->to_len = found->ai_addrlen;
	}
	freeaddrinfo(found);
	return ok;
}

static bool read_peer(struct peer *p, const struct net_peer *from)
{
	memset(p, 0, sizeof(*p));
	if (strncmp(from->address, "unix:", 5) == 0 ? !read_unix(p, from->address + 5)
						    : !read_tcp(p, from->address)) {
		log_warn("forward",
			 LOG_FIELDS(LOG_UINT("instance", from->number),
				    LOG_STR("address", from->address)),
			 "instance left out (its address is not like 192.0.2.1:3000, "
			 "[2001:db8::1]:3000 or unix:/path)");
		return false;
	}
	address_ip(&p->to, &p->ip);
	p->number = from->number;
	return true;
}

void net_set_peers(struct net *net, const struct net_peer *peers, size_t n)
{
	struct peer *set = calloc(n + 1, sizeof(*set));
	size_t n_set = 0;

	for (size_t i = 0; set && i < n; i++)
		if (read_peer(&set[n_set], &peers[i]))
			n_set++;
	peers_free(net);
	net->peers = set;
	net->n_peers = n_set;
}

void peers_free(struct net *net)
{
	free(net->peers);
	net->peers = NULL;
	net->n_peers = 0;
}

const struct peer *peer_of_sid(const struct net *net, struct slice sid)
{
	uint64_t number = forward_sid_number(sid);

	if (!net->number || !net->secret_len || !number || number == net->number)
		return NULL;
	for (size_t i = 0; i < net->n_peers; i++)
		if (net->peers[i].number == number)
			return &net->peers[i];
	return NULL;
}

bool peers_have_ip(const struct net *net, const struct ip_addr *ip)
{
	for (size_t i = 0; i < net->n_peers; i++)
		if (memcmp(&net->peers[i].ip, ip, sizeof(*ip)) == 0)
			return true;
	return false;
}

void peer_read_claim(const struct net *net, const struct http_request *r, struct peer_claim *out)
{
	static struct log_rate rate = LOG_RATE(5, 60000);
	struct slice value = http_header(r, FORWARD_HEADER);
	uint32_t suppressed;
	int rc;

	out->present = value.p != NULL;
	out->verified = false;
	if (!value.p || !net->secret_len)
		return;
	rc = forward_auth_verify(value, r->method, r->path, r->query,
				 slice_of(net->secret, net->secret_len), clock_wall_ms(),
				 &out->claim);
	out->verified = rc == 0;
	if (rc && log_rate_allow(&rate, &suppressed))
		log_warn("forward", LOG_FIELDS(LOG_UINT("suppressed", suppressed)),
			 "header " FORWARD_HEADER " ignored (%s)",
			 rc == PARLANCE_ETIMEDOUT ? "the clocks of the instances differ too much, or "
						    "it was sent again"
						  : "it is not from an instance with our secret");
}
