/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/*
 * The world around the chat, for fuzz_session: browsers in front of it, and behind it a storage, a
 * token service, an AI service and other instances. The input decides what each of them does next;
 * the world knows enough of what it did to tell whether what browsers get is right. One thread.
 */
#ifndef PARLANCE_TESTS_FUZZ_SESSION_WORLD_H
#define PARLANCE_TESTS_FUZZ_SESSION_WORLD_H

#include "base/arena.h"
#include "base/check.h"
#include "base/id.h"
#include "base/strbuf.h"
#include "core/core.h"
#include "tests/unit/fake_plugins.h"
#include "tests/unit/fake_session.h"

#define USERS 4
#define CONVERSATIONS 4
#define ROOMS (USERS + CONVERSATIONS) /* users' rooms come first */
#define CLIENTS 16
#define LOG_EVENTS 32 /* that a room's log keeps */
#define TURNS 8
#define ACKS 512 /* requests of one client */
#define STREAMS 8
#define INSTANCE 7

/* A room of the storage's event log. */
struct room_log {
	char id[ID_UUID_LEN + 1];
	char tag[24]; /* its id in offsets */
	int64_t head;
	struct {
		int64_t seq;
		const char *type;
		char *json;
	} events[LOG_EVENTS]; /* by seq modulo their number */
};

/* The ids of an answer. */
struct turn {
	size_t conversation;
	char message[ID_UUID_LEN + 1];
	char stream[ID_UUID_LEN + 1];
};

/* How far a client has followed an answer. */
struct followed {
	char message[ID_UUID_LEN + 1];
	uint64_t utf16;
};

/* A browser's tab. */
struct client {
	struct session *session;
	int token;       /* whose it sent last; -1: nobody's */
	bool asked;      /* to be let in */
	bool in;         /* it was */
	bool first;      /* nothing came since */
	bool may_hear[CONVERSATIONS]; /* of a conversation's room */
	bool claims[CONVERSATIONS];   /* to have been in it before */
	bool sent[CONVERSATIONS];     /* a message, of whose answer's end it is told */
	unsigned n_acks;
	bool waits[ACKS]; /* for the answer to this request */
	char pid[128];
	char offset[SIO_OFFSET_MAX + 1];
	struct followed streams[STREAMS];
	size_t n_streams;
};

/* What a tab remembers of a lost connection. */
struct memory {
	int user;
	char pid[128];
	char offset[SIO_OFFSET_MAX + 1];
	char sid[ID_TOKEN_LEN + 1];
};

struct world {
	const uint8_t *in; /* what is left of the input */
	size_t left;
	struct loop *loop;
	struct sio *sio;
	struct plugins *plugins;
	struct core *core;
	struct sio_config sio_config;
	struct core_config config;
	struct client clients[CLIENTS];
	struct room_log rooms[ROOMS];
	struct turn turns[TURNS];
	struct memory memories[4];
	size_t n_turns;
	unsigned sids;
	const char *epoch;
	struct strbuf text;  /* what is being said */
	struct arena arena;
	bool lied;    /* the storage has said what is no JSON */
	bool forged;  /* somebody has written events of his own */
	bool faulted; /* memory was short once */
	bool drain_asked;
	bool stop_asked;
	unsigned n_drained;
	unsigned n_stopped;
	bool calm; /* nobody does any more harm */
};

extern struct world w;

/* ---- the input ---- */

/** The next choice: 0 to n - 1; 0 when the input is used up. */
static inline unsigned take(unsigned n)
{
	unsigned byte;

	if (!w.left || n < 2)
		return 0;
	byte = *w.in++;
	w.left--;
	return byte % n;
}

/* ---- fault.c: memory that runs out ---- */

/** The nth allocation from now on fails, of those that happen while it is let. 0: none. */
void fault_set(unsigned nth);
void fault_let(bool on);

/** Calls into what is tested, where memory may be short. */
#define TESTED(call)              \
	do {                      \
		fault_let(true);  \
		call;             \
		fault_let(false); \
	} while (0)

/* ---- json.c ---- */

/** Appends a value, of any kind, nested so deep at most. */
void json_any(struct strbuf *out, unsigned depth);
/** An object as a client would send it: some of the contract's fields, with good and bad values. */
void json_argument(struct strbuf *out);
/** A text of the pools: conversations and their like, users, messages. */
const char *any_conversation(void);
const char *any_user(void);
const char *any_message(void);
size_t user_of_name(const char *name);
const char *user_name(size_t i);

/* ---- clients.c ---- */

void client_step(void);
/** Looks at what all were sent. */
void clients_check(void);
/** None waits for an answer any more. */
bool clients_answered(void);
void clients_close(void);

/* ---- backend.c ---- */

void backend_setup(void);
void backend_free(void);
void backend_step(void);
/** All that was asked is answered, with no. */
void backend_calm(void);

/* ---- fuzz_session.c ---- */

void world_turn(void);
void world_advance(uint64_t ms);
/** With FUZZ_TRACE in the environment: says what happens, on standard error. */
void trace(const char *fmt, ...) PRINTF_LIKE(1, 2);
/** The world's builder, emptied, with this. */
struct strbuf *text_begin(const char *fmt, ...) PRINTF_LIKE(1, 2);
const char *text_end(void);

#endif
