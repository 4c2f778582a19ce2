-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
--
-- Conversations, who takes part in them, and the feed.
--
-- Each function of the daemon's is SECURITY DEFINER: it checks the user's role itself, and nobody else
-- has rights on the tables. What reads is STABLE: all its statements see one snapshot. What writes says
-- at its start who does it (cause) and takes that back at its end, since other users' calls follow in
-- the same transaction. A refusal is a result; a function refuses before it changes anything.

BEGIN;
SET LOCAL lock_timeout = '10s';
SET LOCAL search_path = pg_catalog, pg_temp;

DO $migration$
BEGIN

IF NOT parlance.migration_begin(3, '003_conversations') THEN
	RETURN;
END IF;

CREATE FUNCTION parlance.refusal(p_code text) RETURNS json
LANGUAGE sql IMMUTABLE AS $function$
	SELECT json_build_object('ok', false, 'code', p_code)
$function$;

-- Who and which socket causes the changes that follow; ('', '') takes it back.
CREATE FUNCTION parlance.cause(p_user text, p_origin text) RETURNS void
LANGUAGE plpgsql AS $function$
BEGIN
	PERFORM set_config('parlance.actor', coalesce(p_user, ''), true),
		set_config('parlance.origin', coalesce(p_origin, ''), true);
END
$function$;

-- The user's role in a conversation that is not deleted, else null.
CREATE FUNCTION parlance.role_of(p_user text, p_conversation uuid) RETURNS text
LANGUAGE plpgsql STABLE AS $function$
BEGIN
	RETURN (SELECT p.role FROM parlance.participant p
		JOIN parlance.conversation c ON c.id = p.conversation AND c.deleted_at IS NULL
		WHERE p.conversation = p_conversation AND p.user_id = p_user);
END
$function$;

-- ---- reading ----

-- The answer that runs in a conversation, or null.
CREATE FUNCTION parlance.stream_json(p_conversation uuid) RETURNS text
LANGUAGE plpgsql STABLE AS $function$
BEGIN
	RETURN (SELECT concat('{"streamId":"', g.stream, '","assistantMessageId":"', g.message, '"',
			',"messageId":' || to_json(u.client_id)::text, '}')
		FROM parlance.generation g LEFT JOIN parlance.message a ON a.id = g.message
		LEFT JOIN parlance.message u ON u.id = a.parent
		WHERE g.conversation = p_conversation AND g.running);
END
$function$;

CREATE FUNCTION parlance.conversation_access(p_user text, p_conversation uuid) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_role text := parlance.role_of(p_user, p_conversation);
BEGIN
	IF v_role IS NULL THEN
		RETURN parlance.refusal('NOT_FOUND');
	END IF;
	RETURN json_build_object('ok', true, 'role', v_role);
END
$function$;

-- The messages after one, or else the last ones before one: at most so many, and no more than fit into 1
-- MiB, but one at least. What is larger ends the connection of whoever asks.
CREATE FUNCTION parlance.message_page(p_conversation uuid, p_after bigint, p_before bigint, p_limit integer)
RETURNS parlance.message[] LANGUAGE plpgsql STABLE AS $function$
DECLARE
	v_from bigint := coalesce(p_after, -1);
	v_to bigint := p_before;
BEGIN
	IF p_after IS NOT NULL THEN
		SELECT max(w.ord) + 1 INTO v_to
			FROM (SELECT s.ord, row_number() OVER o AS n, sum(s.bytes) OVER o AS bytes
				FROM (SELECT m.ord, octet_length(m.content) AS bytes FROM parlance.message m
					WHERE m.conversation = p_conversation AND m.ord > p_after
					ORDER BY m.ord LIMIT (SELECT p_limit)) AS s
				WINDOW o AS (ORDER BY s.ord)) AS w
			WHERE w.n = 1 OR w.bytes <= 1048576;
	ELSE
		SELECT min(w.ord) - 1 INTO v_from
			FROM (SELECT s.ord, row_number() OVER o AS n, sum(s.bytes) OVER o AS bytes
				FROM (SELECT m.ord, octet_length(m.content) AS bytes FROM parlance.message m
					WHERE m.conversation = p_conversation AND m.ord < p_before
					ORDER BY m.ord DESC LIMIT (SELECT p_limit)) AS s
				WINDOW o AS (ORDER BY s.ord DESC)) AS w
			WHERE w.n = 1 OR w.bytes <= 1048576;
	END IF;
	RETURN ARRAY(SELECT m FROM parlance.message m
		WHERE m.conversation = p_conversation AND m.ord > v_from AND m.ord < v_to ORDER BY m.ord);
END
$function$;

CREATE FUNCTION parlance.conversation_join(p_user text, p_conversation uuid, p_since bigint) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_role text := parlance.role_of(p_user, p_conversation);
	c parlance.conversation;
	v_last bigint;
	v_rows parlance.message[];
	v_messages text;
	v_stream text;
BEGIN
	IF v_role IS NULL THEN
		RETURN parlance.refusal('NOT_FOUND');
	END IF;
	SELECT * INTO c FROM parlance.conversation s WHERE s.id = p_conversation;
	SELECT m.ord INTO v_last FROM parlance.message m WHERE m.conversation = p_conversation
		ORDER BY m.ord DESC LIMIT 1;
	IF p_since IS NOT NULL THEN
		v_rows := parlance.message_page(p_conversation, p_since, NULL, 200);
		SELECT string_agg(parlance.message_json(v_rows[i]), ',' ORDER BY i) INTO v_messages
			FROM generate_series(1, cardinality(v_rows)) AS i;
	END IF;
	v_stream := parlance.stream_json(p_conversation);
	RETURN json_build_object('ok', true, 'role', v_role,
		'seq', coalesce((SELECT r.seq FROM parlance.room r WHERE r.id = p_conversation), 0),
		'ack', concat('{"ok":true,"conversation":', parlance.conversation_json(c),
			',"lastSeq":', coalesce(v_last, 0),
			CASE WHEN p_since IS NOT NULL THEN concat(',"messages":[', v_messages, ']') END,
			',"activeStream":' || v_stream, '}')::json);
END
$function$;

-- The cursor is the last one's active_at in microseconds, and its id.
CREATE FUNCTION parlance.conversation_list(p_user text, p_cursor text, p_limit integer,
	p_archived boolean) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_limit integer := least(greatest(coalesce(p_limit, 50), 1), 200);
	v_time timestamptz := 'infinity';
	v_id uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
	v_rows parlance.conversation[];
	v_count integer := 0;
	v_bytes bigint := 0;
	v_next text;
BEGIN
	IF p_cursor IS NOT NULL THEN
		IF p_cursor !~ '^[0-9]{1,17}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN
			RETURN parlance.refusal('BAD_REQUEST');
		END IF;
		v_time := 'epoch'::timestamptz + split_part(p_cursor, '_', 1)::bigint * interval '1 microsecond';
		v_id := split_part(p_cursor, '_', 2)::uuid;
	END IF;
	v_rows := ARRAY(SELECT c FROM parlance.participant p
		JOIN parlance.conversation c ON c.id = p.conversation
		WHERE p.user_id = p_user AND c.deleted_at IS NULL AND c.archived = coalesce(p_archived, false)
			AND (c.active_at, c.id) < (v_time, v_id)
		ORDER BY c.active_at DESC, c.id DESC LIMIT (SELECT v_limit + 1));
	-- As message_page().
	FOR i IN 1 .. least(cardinality(v_rows), v_limit) LOOP
		v_bytes := v_bytes + octet_length(v_rows[i].metadata::text)
			+ coalesce(octet_length(v_rows[i].system_prompt), 0);
		EXIT WHEN i > 1 AND v_bytes > 1048576;
		v_count := i;
	END LOOP;
	IF cardinality(v_rows) > v_count THEN
		v_next := concat((extract(epoch FROM v_rows[v_count].active_at) * 1000000)::bigint, '_',
			v_rows[v_count].id);
	END IF;
	RETURN json_build_object('ok', true,
		'conversations', (SELECT concat('[', string_agg(parlance.conversation_json(v_rows[i]), ','
				ORDER BY i), ']')::json
			FROM generate_series(1, v_count) AS i),
		'nextCursor', v_next);
END
$function$;

-- ---- writing ----

CREATE FUNCTION parlance.conversation_create(p_user text, p_id uuid, p_title text, p_model text,
	p_system_prompt text, p_metadata json, p_origin text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	c parlance.conversation;
BEGIN
	-- Users' rooms, whose ids anybody can work out, have version 8: no conversation may share one.
	IF coalesce(octet_length(p_user), 0) NOT BETWEEN 1 AND 255
			OR json_typeof(p_metadata) <> 'object' OR substr(p_id::text, 15, 1) = '8' THEN
		RETURN parlance.refusal('BAD_REQUEST');
	END IF;
	PERFORM parlance.cause(p_user, p_origin);
	INSERT INTO parlance.conversation (id, title, model, system_prompt, metadata)
		VALUES (coalesce(p_id, gen_random_uuid()), coalesce(p_title, 'New conversation'), p_model,
			p_system_prompt, coalesce(p_metadata, '{}'))
		ON CONFLICT (id) DO NOTHING RETURNING * INTO c;
	IF c.id IS NOT NULL THEN
		INSERT INTO parlance.participant (conversation, user_id, role) VALUES (c.id, p_user, 'owner');
		PERFORM parlance.cause('', '');
		RETURN json_build_object('ok', true, 'conversation', parlance.conversation_json(c)::json);
	END IF;
	PERFORM parlance.cause('', '');
	SELECT s.* INTO c FROM parlance.conversation s
		JOIN parlance.participant p ON p.conversation = s.id AND p.user_id = p_user AND p.role = 'owner'
		WHERE s.id = p_id AND s.deleted_at IS NULL;
	IF NOT FOUND THEN
		RETURN parlance.refusal('NOT_FOUND');
	END IF;
	RETURN json_build_object('ok', true, 'conversation', parlance.conversation_json(c)::json,
		'duplicate', true);
END
$function$;

-- The user's role, null when the conversation is not his; its row is locked against other writers.
CREATE FUNCTION parlance.conversation_lock(p_user text, p_conversation uuid) RETURNS text
LANGUAGE plpgsql AS $function$
DECLARE
	v_role text;
BEGIN
	SELECT p.role INTO v_role FROM parlance.conversation c
		JOIN parlance.participant p ON p.conversation = c.id AND p.user_id = p_user
		WHERE c.id = p_conversation AND c.deleted_at IS NULL FOR NO KEY UPDATE OF c;
	RETURN v_role;
END
$function$;

CREATE FUNCTION parlance.conversation_update(p_user text, p_conversation uuid, p_fields text[],
	p_title text, p_model text, p_system_prompt text, p_metadata json, p_archived boolean,
	p_version bigint, p_origin text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_role text := parlance.conversation_lock(p_user, p_conversation);
	c parlance.conversation;
BEGIN
	SELECT * INTO c FROM parlance.conversation s WHERE s.id = p_conversation;
	IF v_role IS NULL THEN
		RETURN parlance.refusal('NOT_FOUND');
	ELSIF v_role = 'viewer' THEN
		RETURN parlance.refusal('FORBIDDEN');
	ELSIF NOT coalesce(p_fields, '{}') <@ ARRAY['title', 'model', 'systemPrompt', 'metadata', 'archived']
			OR 'metadata' = ANY (p_fields) AND json_typeof(p_metadata) <> 'object' THEN
		RETURN parlance.refusal('BAD_REQUEST');
	ELSIF p_version <> c.version THEN
		RETURN json_build_object('ok', false, 'code', 'CONFLICT',
			'conversation', parlance.conversation_json(c)::json);
	END IF;
	PERFORM parlance.cause(p_user, p_origin);
	UPDATE parlance.conversation s SET
		title = CASE WHEN 'title' = ANY (p_fields) THEN coalesce(p_title, 'New conversation')
			ELSE s.title END,
		model = CASE WHEN 'model' = ANY (p_fields) THEN p_model ELSE s.model END,
		system_prompt = CASE WHEN 'systemPrompt' = ANY (p_fields) THEN p_system_prompt
			ELSE s.system_prompt END,
		metadata = CASE WHEN 'metadata' = ANY (p_fields) THEN coalesce(p_metadata, '{}')
			ELSE s.metadata END,
		archived = CASE WHEN 'archived' = ANY (p_fields) THEN coalesce(p_archived, false)
			ELSE s.archived END
		WHERE s.id = p_conversation RETURNING * INTO c;
	PERFORM parlance.cause('', '');
	RETURN json_build_object('ok', true, 'conversation', parlance.conversation_json(c)::json);
END
$function$;

CREATE FUNCTION parlance.conversation_share(p_user text, p_conversation uuid, p_other text, p_role text,
	p_origin text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_role text := parlance.conversation_lock(p_user, p_conversation);
BEGIN
	IF v_role IS NULL THEN
		RETURN parlance.refusal('NOT_FOUND');
	ELSIF v_role <> 'owner' THEN
		RETURN parlance.refusal('FORBIDDEN');
	ELSIF coalesce(octet_length(p_other), 0) NOT BETWEEN 1 AND 255
			OR coalesce(p_role, '') NOT IN ('editor', 'viewer') THEN
		RETURN parlance.refusal('BAD_REQUEST');
	ELSIF p_other = p_user THEN
		RETURN parlance.refusal('CONFLICT');
	ELSIF (SELECT count(*) >= 100 AND NOT bool_or(p.user_id = p_other) FROM parlance.participant p
			WHERE p.conversation = p_conversation) THEN
		-- Each change of one is an event for all, with the list of all in it.
		RETURN parlance.refusal('QUOTA_EXCEEDED');
	END IF;
	PERFORM parlance.cause(p_user, p_origin);
	INSERT INTO parlance.participant AS p (conversation, user_id, role)
		VALUES (p_conversation, p_other, p_role)
		ON CONFLICT (conversation, user_id) DO UPDATE SET role = p_role WHERE p.role <> p_role;
	PERFORM parlance.cause('', '');
	RETURN json_build_object('ok', true, 'participants', parlance.participants_json(p_conversation)::json);
END
$function$;

CREATE FUNCTION parlance.conversation_unshare(p_user text, p_conversation uuid, p_other text,
	p_origin text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_role text := parlance.conversation_lock(p_user, p_conversation);
BEGIN
	IF v_role IS NULL THEN
		RETURN parlance.refusal('NOT_FOUND');
	ELSIF v_role <> 'owner' AND p_other IS DISTINCT FROM p_user THEN
		RETURN parlance.refusal('FORBIDDEN');
	ELSIF v_role = 'owner' AND p_other = p_user THEN
		RETURN parlance.refusal('CONFLICT');
	END IF;
	PERFORM parlance.cause(p_user, p_origin);
	-- So that the deleted version has the cause of its deletion.
	UPDATE parlance.participant p SET leaving = true
		WHERE p.conversation = p_conversation AND p.user_id = p_other;
	DELETE FROM parlance.participant p WHERE p.conversation = p_conversation AND p.user_id = p_other;
	PERFORM parlance.cause('', '');
	RETURN json_build_object('ok', true, 'participants', parlance.participants_json(p_conversation)::json);
END
$function$;

CREATE FUNCTION parlance.conversation_view(p_user text, p_conversation uuid, p_viewing boolean,
	p_origin text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_rows bigint;
BEGIN
	PERFORM parlance.cause(p_user, p_origin);
	UPDATE parlance.participant p SET viewed_at = clock_timestamp(), last_read = c.last_ord
		FROM parlance.conversation c
		WHERE p.conversation = p_conversation AND p.user_id = p_user
			AND c.id = p_conversation AND c.deleted_at IS NULL;
	GET DIAGNOSTICS v_rows = ROW_COUNT;
	PERFORM parlance.cause('', '');
	IF v_rows = 0 THEN
		RETURN parlance.refusal('NOT_FOUND');
	END IF;
	RETURN json_build_object('ok', true);
END
$function$;

-- ---- the feed ----

CREATE FUNCTION parlance.feed_heads(p_rooms uuid[], p_seqs bigint[]) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
	RETURN json_build_object('ok', true, 'rooms', coalesce((
		SELECT json_agg(json_build_object('r', r.id, 's', r.seq))
		FROM unnest(p_rooms, p_seqs) AS known (id, seq)
		JOIN parlance.room r ON r.id = known.id
		WHERE r.seq > coalesce(known.seq, 0)), '[]'));
END
$function$;

-- The events of a room after one, in order, without a hole: those that the log has, up to the limits.
CREATE FUNCTION parlance.feed_events(p_room uuid, p_after bigint, p_limit integer) RETURNS text[]
LANGUAGE plpgsql STABLE AS $function$
DECLARE
	e parlance.event;
	v_next bigint := p_after;
	v_events text[] := '{}';
	v_bytes bigint := 0;
BEGIN
	FOR e IN SELECT * FROM parlance.event s WHERE s.room = p_room AND s.seq > p_after
			ORDER BY s.seq LIMIT (SELECT least(greatest(coalesce(p_limit, 500), 1), 1000)) LOOP
		EXIT WHEN e.seq <> v_next + 1 OR v_bytes > 1048576;
		v_next := e.seq;
		v_events := v_events || parlance.event_json(e.room, e.kind, e.seq, e.type, e.conversation, e.ref,
			e.origin, e.actor, CASE WHEN e.body IS NOT NULL THEN e.body::text
				-- Made from the rows as they are now, which who was taken out may not see.
				WHEN e.kind = 'c' OR e.type = 'conversation.deleted' OR EXISTS (
					SELECT FROM parlance.participant p
					WHERE p.conversation = e.conversation AND p.room = e.room)
				THEN parlance.event_body(e.type, e.conversation, e.ref) END);
		v_bytes := v_bytes + octet_length(v_events[cardinality(v_events)]);
	END LOOP;
	RETURN v_events;
END
$function$;

CREATE FUNCTION parlance.feed_replay(p_room uuid, p_after bigint, p_limit integer) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_head bigint := coalesce((SELECT r.seq FROM parlance.room r WHERE r.id = p_room), 0);
	v_after bigint := greatest(coalesce(p_after, 0), 0);
	v_events text[] := parlance.feed_events(p_room, v_after, p_limit);
BEGIN
	RETURN json_build_object('ok', true,
		'events', concat('[', array_to_string(v_events, ','), ']')::json,
		'head', v_head, 'pruned', v_head > v_after AND cardinality(v_events) = 0);
END
$function$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA parlance FROM PUBLIC;

END
$migration$;

COMMIT;
