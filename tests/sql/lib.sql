-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
--
-- What the cases use: assertions that give one line each, and short names. Schema t, in the test's database only.

CREATE SCHEMA t;

CREATE FUNCTION t.is(p_got text, p_want text, p_what text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT CASE WHEN p_got IS NOT DISTINCT FROM p_want THEN 'ok - ' || p_what
		ELSE 'not ok - ' || p_what || E'\n  got:  ' || coalesce(p_got, '(null)')
			|| E'\n  want: ' || coalesce(p_want, '(null)') END
$$;

CREATE FUNCTION t.ok(p_got boolean, p_what text) RETURNS SETOF text LANGUAGE sql AS $$
	SELECT t.is(p_got::text, 'true', p_what)
$$;

-- "ok", or the code of a refusal.
CREATE FUNCTION t.code(p_answer json) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN p_answer->>'ok' = 'true' AND p_answer->>'code' IS NULL THEN 'ok'
		WHEN p_answer->>'ok' = 'false' THEN p_answer->>'code' END
$$;

CREATE FUNCTION t.keys(p_object json) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(k, ' ') FROM json_object_keys(p_object) AS k
$$;

-- Ids of conversations (c), messages and streams.
CREATE FUNCTION t.c(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
	SELECT ('c0000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION t.u(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
	SELECT ('10000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION t.a(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
	SELECT ('a0000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;
CREATE FUNCTION t.s(n integer) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
	SELECT ('50000000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid $$;

CREATE FUNCTION t.instance() RETURNS bigint LANGUAGE sql AS $$
	SELECT (parlance.instance_register('host', 1, NULL)->>'id')::bigint $$;

CREATE FUNCTION t.create(p_user text, c integer) RETURNS json LANGUAGE sql AS $$
	SELECT parlance.conversation_create(p_user, t.c(c), NULL, 'm1', NULL, NULL, 'sock') $$;

-- Message n of a conversation, with its answer, by the first instance unless said otherwise.
CREATE FUNCTION t.send(p_user text, c integer, n integer, p_busy text DEFAULT 'queue', p_client text DEFAULT NULL,
	p_instance bigint DEFAULT 1, p_parent uuid DEFAULT NULL, p_history integer DEFAULT 10) RETURNS json
LANGUAGE sql AS $$
	SELECT parlance.message_send(p_user, t.c(c), p_client, t.u(n), t.a(n), t.s(n), 'question ' || n, p_parent,
		NULL, '{"t":1}', p_busy, 2, p_history, p_instance, 'sock')::json $$;

CREATE FUNCTION t.finish(n integer, p_instance bigint DEFAULT 1, p_status text DEFAULT 'complete',
	p_content text DEFAULT 'answer') RETURNS json LANGUAGE sql AS $$
	SELECT parlance.generation_finish(t.a(n), p_instance, p_status, 'stop', p_content, 'm1-2025',
		'{"promptTokens":2,"completionTokens":3,"totalTokens":5}', NULL) $$;

-- The events of a room after a seq: "type type …", and their bodies.
CREATE FUNCTION t.types(p_room uuid, p_after bigint DEFAULT 0) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(e->>'t', ' '), '') FROM json_array_elements(
		parlance.feed_replay(p_room, p_after, 1000)->'events') AS e $$;
CREATE FUNCTION t.event(p_room uuid, p_seq bigint) RETURNS json LANGUAGE sql AS $$
	SELECT parlance.feed_replay(p_room, p_seq - 1, 1)->'events'->0 $$;
CREATE FUNCTION t.head(p_room uuid) RETURNS bigint LANGUAGE sql AS $$
	SELECT (parlance.feed_replay(p_room, 0, 1)->>'head')::bigint $$;
CREATE FUNCTION t.room(p_user text) RETURNS uuid LANGUAGE sql AS $$ SELECT parlance.user_room(p_user) $$;
