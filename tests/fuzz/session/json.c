/* SPDX-License-Identifier: MIT */
/* Copyright the Parlance authors */
/* JSON as the input has it: fields of the contract, with values that fit and others. */
#include "world.h"

static const char *const users[USERS] = { "alice", "bob", "u\xc3\xa9\"\\'{,}", "carol" };

const char *user_name(size_t i)
{
	return users[i];
}

size_t user_of_name(const char *name)
{
	size_t i = 0;

	while (i < USERS && strcmp(users[i], name) != 0)
		i++;
	return i;
}

const char *any_user(void)
{
	static const char *const others[] = { "", "nobody", "\x01\x7f", "*" };
	unsigned i = take(USERS + ARRAY_LEN(others));

	return i < USERS ? users[i] : others[i - USERS];
}

const char *any_conversation(void)
{
	static const char *const others[] = {
		"", "x", "11111111-1111-4111-8111-11111111111", "FFFFFFFF-1111-4111-8111-111111111111",
		"99999999-9999-4999-8999-999999999999", "11111111x1111-4111-8111-111111111111",
	};
	unsigned i = take(ROOMS + CONVERSATIONS + ARRAY_LEN(others));

	/* Those that there are come up most often. */
	if (i < 2 * CONVERSATIONS)
		return w.rooms[USERS + i % CONVERSATIONS].id;
	i -= 2 * CONVERSATIONS;
	return i < USERS ? w.rooms[i].id : others[i - USERS];
}

const char *any_message(void)
{
	static const char *const others[] = { "33333333-3333-7333-8333-333333333333",
					      "44444444-4444-7444-8444-444444444444", "m-1", "" };
	unsigned i = take(TURNS + ARRAY_LEN(others));

	if (i < TURNS && w.n_turns)
		return w.turns[i % (w.n_turns < TURNS ? w.n_turns : TURNS)].message;
	return others[i % ARRAY_LEN(others)];
}

static const char *any_stream(void)
{
	unsigned i = take(TURNS + 1);

	if (i < TURNS && w.n_turns)
		return w.turns[i % (w.n_turns < TURNS ? w.n_turns : TURNS)].stream;
	return "44444444-4444-7444-8444-444444444444";
}

static void append_text(struct strbuf *out, const char *text)
{
	strbuf_append_json(out, text, strlen(text));
}

static void append_long(struct strbuf *out)
{
	static const char *const pieces[] = { "x", "\xc3\xa9", "\xf0\x9f\x98\x80", "\\u0000", "\\n",
					      "\\ud83d", "\\\"" };
	const char *piece = pieces[take(ARRAY_LEN(pieces))];
	unsigned n = 1U << take(13);

	strbuf_append_char(out, '"');
	for (unsigned i = 0; i < n; i++)
		strbuf_append_str(out, piece);
	strbuf_append_char(out, '"');
}

static void append_deep(struct strbuf *out)
{
	unsigned n = take(80);
	char open = take(2) ? '[' : '{';

	for (unsigned i = 0; i < n; i++)
		strbuf_append_str(out, open == '[' ? "[" : "{\"a\":");
	strbuf_append_str(out, "1");
	for (unsigned i = 0; i < n; i++)
		strbuf_append_char(out, open == '[' ? ']' : '}');
}

void json_any(struct strbuf *out, unsigned depth)
{
	static const char *const words[] = { "null", "true", "false", "0", "-1", "1.5", "1e9",
					     "9223372036854775807", "9223372036854775808",
					     "99999999999999999999999999", "[]", "{}", "\"\"" };
	unsigned n;

	switch (take(10)) {
	case 0:
	case 1:
		append_text(out, any_conversation());
		return;
	case 2:
		append_text(out, any_user());
		return;
	case 3:
		append_text(out, any_message());
		return;
	case 4:
		append_text(out, any_stream());
		return;
	case 5:
		append_long(out);
		return;
	case 6:
		append_deep(out);
		return;
	case 7:
	case 8:
		if (!depth)
			break;
		strbuf_append_char(out, '[');
		n = take(4);
		for (unsigned i = 0; i < n; i++) {
			if (i)
				strbuf_append_char(out, ',');
			json_any(out, depth - 1);
		}
		strbuf_append_char(out, ']');
		return;
	default:
		break;
	}
	strbuf_append_str(out, words[take(ARRAY_LEN(words))]);
}

/* What a field is by the contract. */
enum form { CONVERSATION, USER, MESSAGE, STREAM, TEXT, NUMBER, FLAG, OBJECT, USER_LIST, BUSY, ROLE, CHANGE };

static const struct {
	const char *name;
	enum form form;
} fields[] = {
	{ "conversationId", CONVERSATION }, { "content", TEXT },     { "messageId", MESSAGE },
	{ "streamId", STREAM },             { "userId", USER },      { "role", ROLE },
	{ "update", CHANGE },               { "version", NUMBER },   { "title", TEXT },
	{ "model", TEXT },                  { "systemPrompt", TEXT }, { "metadata", OBJECT },
	{ "archived", FLAG },               { "options", OBJECT },   { "onBusy", BUSY },
	{ "parentId", MESSAGE },            { "userIds", USER_LIST }, { "cursor", TEXT },
	{ "limit", NUMBER },                { "before", NUMBER },    { "after", NUMBER },
	{ "sinceSeq", NUMBER },             { "id", CONVERSATION },  { "token", USER },
};

static void append_form(struct strbuf *out, enum form form);

static void append_field(struct strbuf *out, size_t i)
{
	append_text(out, fields[i].name);
	strbuf_append_char(out, ':');
	if (take(6) == 5)
		json_any(out, 3);
	else
		append_form(out, fields[i].form);
}

static void append_form(struct strbuf *out, enum form form)
{
	static const char *const texts[] = { "Hi", " ", "\xe2\x82\xac \xf0\x9f\x98\x80", "a\"b\\c\n" };
	static const char *const busy[] = { "queue", "reject", "interrupt" };

	switch (form) {
	case CONVERSATION:
		append_text(out, any_conversation());
		break;
	case USER:
		append_text(out, any_user());
		break;
	case MESSAGE:
		append_text(out, any_message());
		break;
	case STREAM:
		append_text(out, any_stream());
		break;
	case TEXT:
		append_text(out, texts[take(ARRAY_LEN(texts))]);
		break;
	case NUMBER:
		strbuf_append_u64(out, take(201));
		break;
	case FLAG:
		strbuf_append_str(out, take(2) ? "true" : "false");
		break;
	case OBJECT:
		strbuf_append_str(out, "{\"k\":");
		json_any(out, 3);
		strbuf_append_char(out, '}');
		break;
	case USER_LIST:
		strbuf_append_str(out, "[\"alice\",\"bob\",");
		append_text(out, any_user());
		strbuf_append_char(out, ']');
		break;
	case BUSY:
		append_text(out, busy[take(ARRAY_LEN(busy))]);
		break;
	case ROLE:
		append_text(out, take(2) ? "viewer" : "editor");
		break;
	case CHANGE:
		strbuf_append_char(out, '{');
		append_field(out, 8 + take(5));
		strbuf_append_char(out, '}');
		break;
	}
}

void json_argument(struct strbuf *out)
{
	unsigned n;

	switch (take(8)) {
	case 6:
		append_text(out, any_conversation());
		return;
	case 7:
		json_any(out, 4);
		return;
	default:
		break;
	}
	/* Most events are about a conversation. */
	strbuf_append_char(out, '{');
	append_field(out, 0);
	n = take(6);
	for (unsigned i = 0; i < n; i++) {
		strbuf_append_char(out, ',');
		append_field(out, 1 + take(ARRAY_LEN(fields) - 1));
	}
	strbuf_append_char(out, '}');
}
