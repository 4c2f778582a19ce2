/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Addresses of sockets: as the configuration writes them, and as the kernel gives them. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "net/private.h"

void address_ip(const struct sockaddr_storage *ss, struct ip_addr *out)
{
	memset(out, 0, sizeof(*out));
	if (ss->ss_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, ss, sizeof(in));
		out->b[10] = out->b[11] = 0xff;
		memcpy(out->b + 12, &in.sin_addr, 4);
	} else if (ss->ss_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, ss, sizeof(in6));
		memcpy(out->b, &in6.sin6_addr, 16);
	}
}

bool address_split(const char *address, char host[ADDRESS_HOST_MAX + 1], const char **port)
{
	const char *colon = strrchr(address, ':');
	size_t len = colon ? (size_t)(colon - address) : 0;
	bool bracketed = len >= 2 && address[0] == '[' && colon[-1] == ']';
	const char *name = address;

	if (bracketed) {
		name++;
		len -= 2;
	}
	/* Digits alone: getaddrinfo takes more and cuts it. An IPv6 address has brackets. */
	if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
	    strlen(colon + 1) > 5 || strtol(colon + 1, NULL, 10) > UINT16_MAX ||
	    len > ADDRESS_HOST_MAX || (!bracketed && memchr(name, ':', len)))
		return false;
	memcpy(host, name, len);
	host[len] = '\0';
	*port = colon + 1;
	return true;
}
