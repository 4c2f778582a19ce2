/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* Tabs: what they say. clients_check.c has what they are told. */
#include "world.h"

static struct client *any_client(void)
{
	return &w.clients[take(CLIENTS)];
}

static void forget(struct client *c)
{
	trace("%zd goes\n", c - w.clients);
	TESTED(session_close(c->session, SESSION_TRANSPORT_CLOSE));
	world_turn();
	clients_check();
	fake_session_free(&c->session);
	memset(c, 0, sizeof(*c));
}

void clients_close(void)
{
	for (size_t i = 0; i < CLIENTS; i++)
		if (w.clients[i].session)
			forget(&w.clients[i]);
}

static void come(struct client *c)
{
	static const char *const headers[] = { "", "Bearer alice", "bearer  bob", "Basic YTpi",
					       "Bearer " };

	if (c->session)
		forget(c);
	memset(c, 0, sizeof(*c));
	c->token = -1;
	fault_let(true);
	c->session = fake_session_open(w.loop, sio_session_ops(), w.sio);
	fault_let(false);
	c->session->handshake.authorization = slice_str(headers[take(ARRAY_LEN(headers))]);
	if (take(4) == 3)
		c->session->handshake.token = slice_str("carol");
}

/* A tab that comes back says what it remembers, or makes something up. */
static void append_memory(struct client *c, struct strbuf *out)
{
	static const char *const lies[] = { "", "-", "e1", "e1.", "e1.0.", "e1.99999999999999999999",
					    "e1.1.AAAA~1", "e2.0", "e1.0-3", "..~~--" };
	const struct memory *m = &w.memories[take(ARRAY_LEN(w.memories))];
	bool lie = take(4) == 3;
	const char *offset = lie ? lies[take(ARRAY_LEN(lies))] : m->offset;

	memset(c->claims, 0, sizeof(c->claims));
	strbuf_printf(out, ",\"pid\":\"%s\"", take(8) == 7 ? "made-up" : m->pid);
	if (!take(8))
		return;
	strbuf_printf(out, ",\"offset\":\"%s", offset);
	/* Rooms that it was never in. */
	while (lie && take(2)) {
		size_t i = take(ROOMS);

		strbuf_printf(out, ".%s~%u", w.rooms[i].tag, take(40));
		if (i >= USERS)
			c->claims[i - USERS] = true;
	}
	strbuf_append_char(out, '"');
	for (size_t i = 0; i < CONVERSATIONS; i++)
		if (strstr(offset, w.rooms[USERS + i].tag) || strstr(m->pid, w.rooms[USERS + i].tag))
			c->claims[i] = true;
}

/* What it says may end its socket. */
static void tell(struct client *c, const char *text)
{
	trace("%zd says %.400s\n", c - w.clients, text);
	TESTED(fake_session_text(c->session, text));
	if (text[0] == '1')
		c->in = false;
}

static void ask_in(struct client *c)
{
	static const char *const wishes[] = { "", ",\"stream\":\"delta\"", ",\"aliases\":\"seed\"",
					      ",\"aliases\":\"past\",\"stream\":\"delta\"",
					      ",\"stream\":7,\"aliases\":[]" };
	unsigned token = take(USERS + 4);
	struct strbuf *out = text_begin("0");

	if (token == USERS + 1) {
		strbuf_append_str(out, "/other,");
	} else if (token == USERS + 2) {
		json_any(out, 3);
	} else if (token == USERS + 3) {
		strbuf_append_str(out, "{}"); /* the handshake's */
	} else {
		strbuf_append_str(out, "{\"token\":");
		if (token < USERS)
			strbuf_append_json(out, user_name(token), strlen(user_name(token)));
		else
			strbuf_append_str(out, "\"nobody\"");
		strbuf_append_str(out, wishes[take(ARRAY_LEN(wishes))]);
		if (take(3))
			append_memory(c, out);
		strbuf_append_char(out, '}');
	}
	if (token != USERS + 1)
		c->token = token < USERS ? (int)token : -1;
	c->asked = true;
	tell(c, text_end());
}

static void append_ack(struct client *c, struct strbuf *out)
{
	if (!take(4) || c->n_acks == ACKS)
		return;
	/* Before it is in, nothing is answered. */
	c->waits[c->n_acks] = c->in;
	strbuf_append_u64(out, c->n_acks++);
}

static const char *any_event(void)
{
	static const char *const others[] = { "nonsense", "disconnect", "connect", "error", "" };
	size_t n = 0;
	unsigned i;

	while (core_event_name(n))
		n++;
	i = take((unsigned)n + ARRAY_LEN(others));
	return i < n ? core_event_name(i) : others[i - n];
}

static void note_sent(struct client *c, const char *text)
{
	for (size_t i = 0; i < CONVERSATIONS; i++)
		if (strstr(text, w.rooms[USERS + i].id))
			c->sent[i] = true;
}

static void say(struct client *c, const char *event)
{
	struct strbuf *out = text_begin("2");

	append_ack(c, out);
	strbuf_printf(out, "[\"%s\"", event);
	if (take(16) != 15) {
		strbuf_append_char(out, ',');
		json_argument(out);
	}
	if (take(16) == 15) {
		strbuf_append_char(out, ',');
		json_any(out, 2);
	}
	strbuf_append_char(out, ']');
	note_sent(c, text_end());
	tell(c, text_end());
}

/* The conversation alone, so that the input finds its way in quickly. */
static void join(struct client *c, const char *event)
{
	struct strbuf *out = text_begin("2");

	append_ack(c, out);
	strbuf_printf(out, "[\"%s\",\"%s\"]", event, w.rooms[USERS + take(CONVERSATIONS)].id);
	tell(c, text_end());
}

static void send(struct client *c)
{
	static const char *const busy[] = { "", ",\"onBusy\":\"interrupt\"", ",\"messageId\":\"m-1\"" };
	struct strbuf *out = text_begin("2");

	append_ack(c, out);
	strbuf_printf(out, "[\"message:send\",{\"conversationId\":\"%s\",\"content\":\"Hi\"%s}]",
		      w.rooms[USERS + take(CONVERSATIONS)].id, busy[take(ARRAY_LEN(busy))]);
	note_sent(c, text_end());
	tell(c, text_end());
}

/* Bytes of the input, as they are. */
static void say_raw(struct client *c, bool binary)
{
	size_t n = take(64);
	char text[65] = "";

	if (n > w.left)
		n = w.left;
	memcpy(text, w.in, n);
	w.in += n;
	w.left -= n;
	/* An acknowledgement might be asked for. */
	for (size_t i = 0; !binary && i < ACKS; i++)
		c->waits[i] = false;
	c->n_acks = binary ? c->n_acks : ACKS;
	note_sent(c, w.rooms[USERS].id);
	note_sent(c, w.rooms[USERS + 1].id);
	note_sent(c, w.rooms[USERS + 2].id);
	note_sent(c, w.rooms[USERS + 3].id);
	c->token = c->in ? c->token : -1;
	if (binary)
		TESTED(fake_session_binary(c->session, text, n));
	else
		tell(c, text);
}

static void say_binary(struct client *c)
{
	unsigned n = take(5);
	unsigned given = take(n + 2);
	bool event = take(8);
	struct strbuf *out = text_begin("%c%u-", event ? '5' : '6', n);

	if (event)
		append_ack(c, out);
	else
		strbuf_append_u64(out, take(4)); /* the answer to one of ours */
	strbuf_printf(out, "[\"%s\",{\"conversationId\":\"%s\"", any_event(), any_conversation());
	for (unsigned i = 0; i < n; i++)
		strbuf_printf(out, ",\"b%u\":{\"_placeholder\":true,\"num\":%u}", i, i + take(2));
	strbuf_append_str(out, "}]");
	tell(c, text_end());
	/* One that is not complete may become so by what follows. */
	if (given < n)
		c->n_acks = ACKS;
	for (unsigned i = 0; i < given; i++)
		TESTED(fake_session_binary(c->session, "0123456789", take(11)));
}

static void say_little(struct client *c)
{
	static const char *const texts[] = { "1", "30[]", "31[{}]", "3[]", "4{}", "2[]", "", "1/other,",
					     "2/other,[\"x\"]", "0", "0{", "2[\"ping\"]" };

	tell(c, texts[take(ARRAY_LEN(texts))]);
}

/* How much waits for it to be read. */
static void be_slow(struct client *c)
{
	struct session *s = c->session;
	unsigned how = take(4);

	s->blocked = how == 1;
	if (how == 2)
		s->congested = true;
	if (how == 3 && s->congested && !s->closed) {
		s->congested = false;
		TESTED(s->ops->drain(s->ctx, s));
	}
}

void client_step(void)
{
	struct client *c = any_client();

	if (!c->session)
		come(c);
	if (!c->asked) {
		ask_in(c);
		return;
	}
	switch (take(16)) {
	case 0:
	case 1:
		send(c);
		break;
	case 2:
	case 3:
		join(c, "join:conversation");
		break;
	case 4:
		join(c, "leave:conversation");
		break;
	case 5:
		join(c, "typing:start");
		break;
	case 6:
		join(c, "message:stop");
		break;
	case 7:
		say_raw(c, false);
		break;
	case 8:
		say_raw(c, true);
		break;
	case 9:
		say_binary(c);
		break;
	case 10:
		say_little(c);
		break;
	case 11:
		be_slow(c);
		break;
	case 12:
		forget(c);
		break;
	case 13:
		ask_in(c);
		break;
	default:
		say(c, any_event());
		break;
	}
}
