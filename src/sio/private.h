/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * What the files of sio share. A client hangs on a session and holds its sockets; a socket lives
 * until the end of the turn in which it was ended; rooms live while somebody is in them. Loop
 * thread.
 */
#ifndef PARLANCE_SIO_PRIVATE_H
#define PARLANCE_SIO_PRIVATE_H

#include "base/arena.h"
#include "base/frame.h"
#include "base/id.h"
#include "base/idtable.h"
#include "base/list.h"
#include "base/map.h"
#include "net/session.h"
#include "sio/sio.h"
#include "wire/sio_packet.h"

struct sio {
	struct loop *loop;
	const struct sio_config *config;
	struct list namespaces;
	struct idtable sockets;
	struct arena arena; /* of the packet that is being handled */
	struct list dead;   /* sockets that end with this turn */
	struct loop_task bury_task;
	uint64_t mark; /* of the current emit to rooms */
	uint32_t n_rooms;
};

struct sio_nsp {
	struct sio *sio;
	struct list node; /* sio->namespaces */
	char *name;
	const struct sio_nsp_ops *ops;
	void *ctx;
	struct list sockets; /* connected ones */
	struct map *rooms;
};

struct sio_client {
	struct sio *sio;
	struct session *session;
	struct list sockets;
	uint32_t n_sockets;
	struct timer connect_timer;
	struct reassembly *reassembly; /* a binary packet whose attachments are coming */
};

/* A socket's life. Allowed moves are a table in socket.c. */
#define SIO_SOCKET_STATE_LIST(X)                                            \
	X(SIO_WAITING, 1, "waiting")     /* for accept or refuse */         \
	X(SIO_CONNECTED, 2, "connected")                                    \
	X(SIO_DEAD, 3, "dead")           /* buried at the end of the turn */

enum sio_socket_state {
#define X(name, value, text) name = value,
	SIO_SOCKET_STATE_LIST(X)
#undef X
};

struct membership {
	struct room *room;
	uint32_t at; /* index in the room's members */
};

struct sio_socket {
	struct sio_nsp *nsp;
	struct sio_client *client; /* NULL once dead */
	void *user;
	uint64_t id;
	uint64_t mark;
	struct list in_client; /* sio->dead once dead */
	struct list in_nsp;
	struct timer timer; /* while it waits */
	struct membership *rooms;
	uint32_t n_rooms;
	uint32_t cap_rooms;
	struct list acks;
	uint32_t n_acks;
	uint64_t next_ack;
	const char *reason; /* once dead */
	char sid[ID_TOKEN_LEN + 1];
	uint8_t state; /* enum sio_socket_state */
	bool was_connected;
	bool recoverable;
};

struct room_member {
	struct sio_socket *socket;
	uint32_t at; /* index in the socket's rooms */
};

struct room {
	struct room_member *members;
	uint32_t n;
	uint32_t cap;
	uint32_t name_len;
	char name[];
};

/* sio.c */
struct sio_nsp *sio_find_nsp(const struct sio *sio, struct slice name);

/* socket.c */
MUST_USE struct sio_socket *socket_new(struct sio_client *client, struct sio_nsp *nsp);
void socket_kill(struct sio_socket *socket, const char *reason);
void socket_bury_dead(struct loop_task *task);

/* client.c */
void client_open(void *ctx, struct session *session);
void client_message(void *ctx, struct session *session, bool binary, struct slice data);
void client_drain(void *ctx, struct session *session);
void client_close(void *ctx, struct session *session, enum session_close reason);

/* emit.c */
void socket_send_packet(struct sio_socket *socket, enum sio_type type, struct slice json);

/* acks.c */
/** A new pending acknowledgement; its id, or SIO_NO_ACK when out of memory. */
int64_t acks_add(struct sio_socket *socket, uint32_t timeout_ms, sio_answer_fn *fn, void *arg);
/** Its event could not be sent: forgets it without a call. */
void acks_take_back(struct sio_socket *socket, int64_t id);
void acks_answer(struct sio_socket *socket, int64_t id, const struct sio_event *answer);
void acks_drop(struct sio_socket *socket);

/* rooms.c */
void rooms_leave_all(struct sio_socket *socket);
struct room *room_find(const struct sio_nsp *nsp, struct slice name);
struct slice room_key(const void *item);

#endif
