-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
--
-- Events: what they look like, how they are logged and told, and the triggers that make them.
--
-- The triggers are deferred: they run at the commit, so a room's lock is held for the flush alone, and
-- the locks of one change are taken in one order (the conversation's, then the users' by their rooms'
-- ids). A transaction of many changes may still meet another one's locks crosswise: it is chosen as the
-- victim of a deadlock (40P01), and the caller repeats it.
--
-- They run as whoever commits, so each (but row_cause) is SECURITY DEFINER with a search_path of its own. The functions
-- that they call are not: nobody but the owner may call those, and a SET clause costs microseconds.

BEGIN;
SET LOCAL lock_timeout = '10s';
SET LOCAL search_path = pg_catalog, pg_temp;

DO $migration$
BEGIN

IF NOT parlance.migration_begin(2, '002_events') THEN
	RETURN;
END IF;

-- ---- objects as JSON ----

-- They are put together as text: the keys keep their order, a payload has no blanks, and what a client
-- sent (metadata) or a provider (usage) goes through as it is, \u0000 and large numbers too. It is never
-- taken apart as JSON, which could raise an exception.

CREATE FUNCTION parlance.time_json(p_time timestamptz) RETURNS text
LANGUAGE sql STABLE AS $function$
	SELECT '"' || to_char(p_time AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"'
$function$;

-- The text that the parts of an answer hold: up to the first hole, overlaps once.
CREATE FUNCTION parlance.part_text(p_message uuid) RETURNS text
LANGUAGE plpgsql STABLE AS $function$
DECLARE
	v_part record;
	v_piece bytea;
	v_pieces text[];
	v_have bigint := 0;
BEGIN
	FOR v_part IN SELECT p.off, p.text FROM parlance.message_part p
			WHERE p.message = p_message ORDER BY p.off LOOP
		EXIT WHEN v_part.off > v_have;
		CONTINUE WHEN v_part.off + octet_length(v_part.text) <= v_have;
		IF v_part.off < v_have THEN
			v_piece := substring(convert_to(v_part.text, 'UTF8')
				FROM (v_have - v_part.off)::integer + 1);
			-- 10xxxxxx is the inside of a character: these parts do not fit together.
			EXIT WHEN get_byte(v_piece, 0) & 192 = 128;
			v_pieces := v_pieces || convert_from(v_piece, 'UTF8');
		ELSE
			v_pieces := v_pieces || v_part.text;
		END IF;
		v_have := v_part.off + octet_length(v_part.text);
	END LOOP;
	RETURN coalesce(array_to_string(v_pieces, ''), '');
END
$function$;

CREATE FUNCTION parlance.message_json(m parlance.message) RETURNS text
LANGUAGE plpgsql STABLE AS $function$
BEGIN
	RETURN concat('{"id":"', m.id, '","conversationId":"', m.conversation,
		'","parentId":', coalesce('"' || m.parent || '"', 'null'), ',"seq":', m.ord, ',"role":"', m.role,
		'","content":', to_json(CASE WHEN m.status = 'streaming' THEN parlance.part_text(m.id)
			ELSE m.content END),
		',"status":"', m.status, '","model":', coalesce(to_json(m.model)::text, 'null'),
		',"tokensUsed":', m.tokens, ',"usage":' || m.usage::text, ',"error":' || m.error::text,
		',"createdAt":', parlance.time_json(m.created_at),
		',"updatedAt":', parlance.time_json(m.updated_at), '}');
END
$function$;

-- Who takes part: as JSON, the owner first, then by id; and their rooms. One row, and a set so that it becomes
-- part of the query that asks.
CREATE FUNCTION parlance.participants_of(p_conversation uuid)
RETURNS TABLE (owner text, participants text, rooms uuid[])
LANGUAGE sql STABLE ROWS 1 AS $function$
	SELECT min(p.user_id) FILTER (WHERE p.role = 'owner'),
			concat('[', string_agg(concat('{"userId":', to_json(p.user_id), ',"role":"', p.role, '"}'), ','), ']'),
			array_agg(p.room)
		FROM (SELECT s.user_id, s.role, s.room FROM parlance.participant s
			WHERE s.conversation = p_conversation ORDER BY s.role <> 'owner', s.user_id) AS p
$function$;

CREATE FUNCTION parlance.participants_json(p_conversation uuid) RETURNS text
LANGUAGE plpgsql STABLE AS $function$
BEGIN
	RETURN (SELECT p.participants FROM parlance.participants_of(p_conversation) AS p);
END
$function$;

-- p_participants: as participants_json has them.
CREATE FUNCTION parlance.conversation_json(c parlance.conversation, p_owner text, p_participants text)
RETURNS text LANGUAGE plpgsql STABLE AS $function$
BEGIN
	RETURN concat('{"id":"', c.id, '","title":', to_json(c.title),
		',"model":', coalesce(to_json(c.model)::text, 'null'),
		',"systemPrompt":', coalesce(to_json(c.system_prompt)::text, 'null'),
		',"metadata":', c.metadata::text, ',"version":', c.version,
		',"messageCount":', c.message_count, ',"totalTokens":', c.total_tokens,
		',"lastActivity":', parlance.time_json(c.active_at),
		',"ownerId":', coalesce(to_json(p_owner)::text, 'null'), ',"participants":', p_participants,
		',"archived":', CASE WHEN c.archived THEN 'true' ELSE 'false' END,
		',"createdAt":', parlance.time_json(c.created_at),
		',"updatedAt":', parlance.time_json(c.updated_at), '}');
END
$function$;

CREATE FUNCTION parlance.conversation_json(c parlance.conversation) RETURNS text
LANGUAGE plpgsql STABLE AS $function$
BEGIN
	RETURN (SELECT parlance.conversation_json(c, p.owner, p.participants)
		FROM parlance.participants_of(c.id) AS p);
END
$function$;

-- ---- events ----

-- These three are SQL, so that they become part of what uses them.
CREATE FUNCTION parlance.new_json(m parlance.message) RETURNS text
LANGUAGE sql STABLE AS $function$
	SELECT concat('{"conversationId":"', m.conversation, '","message":', parlance.message_json(m),
		',"messageId":' || to_json(m.client_id)::text, '}')
$function$;

CREATE FUNCTION parlance.activity_json(c parlance.conversation) RETURNS text
LANGUAGE sql STABLE AS $function$
	SELECT concat('{"conversationId":"', c.id, '","lastActivity":', parlance.time_json(c.active_at),
		',"messageCount":', c.message_count, ',"totalTokens":', c.total_tokens, '}')
$function$;

CREATE FUNCTION parlance.started_json(p_conversation uuid, p_client_id text, p_message uuid, p_stream uuid)
RETURNS text LANGUAGE sql STABLE AS $function$
	SELECT concat('{"conversationId":"', p_conversation, '"', ',"messageId":' || to_json(p_client_id)::text,
		',"assistantMessageId":"', p_message, '","streamId":', coalesce('"' || p_stream || '"', 'null'), '}')
$function$;

-- The body of an event whose body is not in the log, from the rows that it needs: of messages m, and u
-- that m answers; of conversations c, and its JSON.
CREATE FUNCTION parlance.body_json(p_type text, m parlance.message, u parlance.message,
	c parlance.conversation, p_conversation text) RETURNS text
LANGUAGE plpgsql STABLE AS $function$
BEGIN
	CASE p_type
	WHEN 'message.new' THEN
		RETURN parlance.new_json(m);
	WHEN 'message.started' THEN
		RETURN parlance.started_json(m.conversation, u.client_id, m.id, m.stream);
	WHEN 'message.finished' THEN
		RETURN concat('{"conversationId":"', m.conversation, '","userMessage":',
			CASE WHEN u.id IS NULL THEN 'null' ELSE parlance.message_json(u) END,
			',"assistantMessage":', parlance.message_json(m),
			',"conversation":', p_conversation,
			',"usage":', coalesce(m.usage::text, 'null'),
			',"finishReason":', coalesce(to_json(m.finish_reason)::text, 'null'),
			',"streamId":', coalesce('"' || m.stream || '"', 'null'),
			',"messageId":' || to_json(u.client_id)::text, '}');
	WHEN 'message.updated' THEN
		RETURN concat('{"conversationId":"', m.conversation, '","message":', parlance.message_json(m), '}');
	WHEN 'conversation.activity' THEN
		RETURN parlance.activity_json(c);
	WHEN 'conversation.created' THEN
		RETURN p_conversation;
	END CASE;
END
$function$;

-- The same for an event of the log, from the rows as they are now. Null when they are gone; a later event
-- of the room says so.
CREATE FUNCTION parlance.event_body(p_type text, p_conversation uuid, p_ref uuid) RETURNS text
LANGUAGE plpgsql STABLE AS $function$
DECLARE
	m parlance.message;
	u parlance.message;
	c parlance.conversation;
BEGIN
	IF p_type = 'conversation.deleted' THEN
		RETURN concat('{"conversationId":"', p_conversation, '"}');
	ELSIF p_type = 'message.deleted' THEN
		RETURN concat('{"conversationId":"', p_conversation, '","messageId":"', p_ref, '"}');
	END IF;
	IF p_type LIKE 'message.%' THEN
		SELECT * INTO m FROM parlance.message s WHERE s.id = p_ref;
		IF NOT FOUND THEN
			RETURN NULL;
		END IF;
		SELECT * INTO u FROM parlance.message s WHERE s.id = m.parent;
	END IF;
	IF p_type NOT IN ('message.new', 'message.started', 'message.updated') THEN
		SELECT * INTO c FROM parlance.conversation s WHERE s.id = p_conversation;
		IF NOT FOUND THEN
			RETURN NULL;
		END IF;
	END IF;
	RETURN parlance.body_json(p_type, m, u, c, CASE WHEN p_type IN ('message.finished', 'conversation.created')
		THEN parlance.conversation_json(c) END);
END
$function$;

-- An event as feed_replay and the notification have it. p_body: JSON; '' leaves it out.
CREATE FUNCTION parlance.event_json(p_room uuid, p_kind "char", p_seq bigint, p_type text,
	p_conversation uuid, p_ref uuid, p_origin text, p_actor text, p_body text) RETURNS text
LANGUAGE sql STABLE AS $function$
	SELECT concat('{"r":"', p_room, '","k":"', p_kind, '","s":', p_seq, ',"t":"', p_type,
		'","c":"', p_conversation, '","i":"', p_ref,
		'","o":', coalesce(to_json(p_origin)::text, 'null'),
		',"u":', coalesce(to_json(p_actor)::text, 'null'),
		CASE WHEN p_body IS NULL THEN ',"b":null' WHEN p_body <> '' THEN ',"b":' || p_body END, '}')
$function$;

-- Logs an event in the conversation's room (p_type; null: none) and in those of users (p_users_type; null:
-- none), which are p_users, or all participants' when that is null, and tells it. The row of a room stays
-- locked until the commit.
CREATE FUNCTION parlance.publish(p_conversation uuid, p_ref uuid, p_origin text, p_actor text,
	p_type text, p_body text, p_users uuid[], p_users_type text, p_users_body text, p_stored boolean)
RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
	v_told bigint;
BEGIN
	IF current_setting('parlance.notes', true) <> '' THEN
		PERFORM parlance.tell();
	END IF;
	-- After a crash an event that had been told would be gone, and its seq used again.
	IF current_setting('synchronous_commit') = 'off' THEN
		PERFORM set_config('synchronous_commit', 'local', true);
	END IF;
	WITH numbered AS (
		INSERT INTO parlance.room AS r (id, kind, seq)
		SELECT p_conversation, 'c'::"char", 1 WHERE p_type IS NOT NULL
		UNION ALL
		SELECT u.id, 'u'::"char", 1 FROM unnest(p_users) AS u (id)
		UNION ALL
		(SELECT p.room, 'u'::"char", 1 FROM parlance.participant p
			WHERE p.conversation = p_conversation AND p_users IS NULL AND p_users_type IS NOT NULL
			ORDER BY p.room)
		ON CONFLICT (id) DO UPDATE SET seq = r.seq + 1
		RETURNING r.id, r.kind, r.seq
	), logged AS (
		INSERT INTO parlance.event AS t
			(room, seq, at, kind, type, conversation, ref, origin, actor, body)
		SELECT n.id, n.seq, clock_timestamp(), n.kind,
			CASE n.kind WHEN 'c' THEN p_type ELSE p_users_type END, p_conversation, p_ref,
			p_origin, p_actor,
			CASE WHEN p_stored THEN CASE n.kind WHEN 'c' THEN p_body ELSE p_users_body END END::json
		FROM numbered n
		RETURNING t.room, t.seq, t.kind, t.type
	)
	-- A payload may have 7,999 bytes; 7,900 is our own limit.
	SELECT count(pg_notify('parlance_ev', CASE WHEN octet_length(p.payload) <= 7900 THEN p.payload
			ELSE parlance.event_json(p.room, p.kind, p.seq, p.type, p_conversation, p_ref, p_origin, p_actor,
				'') END))
		INTO v_told
		FROM (SELECT l.*, parlance.event_json(l.room, l.kind, l.seq, l.type, p_conversation, p_ref, p_origin,
				p_actor, CASE l.kind WHEN 'c' THEN p_body ELSE p_users_body END) AS payload
			FROM logged l OFFSET 0) AS p;
END
$function$;

-- Most events of messages are made many at a time, since most of what a statement costs is what it needs before
-- its first row. Their triggers only note what is to be told (note). One more trigger, which the first note of a
-- transaction sets off, and which so comes after all the others, tells it (tell). Any other event first tells
-- what is noted, so the order stays. Origin, actor and bodies are those of the rows as they are then.
--
-- The notes are in a setting, which a rollback to a savepoint takes back: the transaction's id, then for each
-- n (message.new), p (that, and message.started of its answer) or f (message.finished, conversation.activity),
-- with the ids of the conversation, the message and the answer.

-- A row for each transaction that has notes; gone when it commits.
CREATE UNLOGGED TABLE parlance.noted (xact xid8 NOT NULL DEFAULT pg_current_xact_id())
	WITH (autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

CREATE FUNCTION parlance.note(p_note text) RETURNS boolean
LANGUAGE plpgsql AS $function$
DECLARE
	v_notes text := current_setting('parlance.notes', true);
	v_xact text := pg_current_xact_id()::text || ',';
BEGIN
	IF starts_with(v_notes, v_xact) THEN
		v_notes := set_config('parlance.notes', v_notes || ',' || p_note, true);
		-- Each note copies all those before it: 128 are few enough.
		IF octet_length(v_notes) > 128 * 110 THEN
			RETURN parlance.tell();
		END IF;
		RETURN true;
	END IF;
	v_notes := set_config('parlance.notes', v_xact || p_note, true);
	-- After that: with SET CONSTRAINTS ... IMMEDIATE it is told here and now.
	INSERT INTO parlance.noted DEFAULT VALUES;
	RETURN true;
END
$function$;

CREATE FUNCTION parlance.tell() RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
	v_notes text[] := string_to_array(current_setting('parlance.notes', true), ',');
	v_told bigint;
BEGIN
	IF coalesce(v_notes[1], '') <> pg_current_xact_id()::text THEN
		RETURN false;
	END IF;
	PERFORM set_config('parlance.notes', '', true);
	-- After a crash an event that had been told would be gone, and its seq used again.
	IF current_setting('synchronous_commit') = 'off' THEN
		PERFORM set_config('synchronous_commit', 'local', true);
	END IF;
	-- OFFSET 0, so that each row is looked up by its id, however many the planner expects.
	WITH note AS MATERIALIZED (
		SELECT x.n, x.code, x.conversation, x.ref, x.answer, m.m, m.origin, m.actor, u.u, c.c, p.owner,
			p.participants, p.rooms
		FROM (SELECT a.n, left(a.x, 1) AS code, substr(a.x, 2, 36)::uuid AS conversation,
				substr(a.x, 38, 36)::uuid AS ref, nullif(substr(a.x, 74, 36), '')::uuid AS answer
			FROM unnest(v_notes[2:]) WITH ORDINALITY AS a (x, n)) AS x
		LEFT JOIN LATERAL (SELECT s AS m, s.parent, s.origin, s.actor FROM parlance.message s
			WHERE s.id = x.ref OFFSET 0) AS m ON true
		LEFT JOIN LATERAL (SELECT s AS u FROM parlance.message s
			WHERE x.code = 'f' AND s.id = m.parent OFFSET 0) AS u ON true
		LEFT JOIN LATERAL (SELECT s AS c FROM parlance.conversation s
			WHERE x.code = 'f' AND s.id = x.conversation OFFSET 0) AS c ON true
		CROSS JOIN LATERAL (SELECT s.* FROM parlance.participants_of(x.conversation) AS s OFFSET 0) AS p
		-- Deleted in the same commit: only that is told.
		WHERE x.code <> 'f' OR (c.c).id IS NOT NULL
	), body AS MATERIALIZED (
		SELECT n.n, n.code, n.conversation, n.ref, n.answer, n.rooms, n.origin, n.actor,
			CASE WHEN octet_length((n.m).content) >= 7900 THEN '' -- it would not fit anyway
				WHEN n.code = 'f' THEN parlance.body_json('message.finished', n.m, n.u, n.c,
					parlance.conversation_json(n.c, n.owner, n.participants))
				WHEN (n.m).id IS NOT NULL THEN parlance.new_json(n.m) END AS body,
			CASE n.code WHEN 'p' THEN parlance.started_json(n.conversation, (n.m).client_id, n.answer,
					(n.m).stream)
				WHEN 'f' THEN parlance.activity_json(n.c) END AS other
		FROM note n
	), happened AS MATERIALIZED (
		SELECT b.n, e.part, e.room, e.kind, e.type, b.conversation, e.ref, b.origin, b.actor, e.body
		FROM body b CROSS JOIN LATERAL (
			SELECT 1 AS part, b.conversation AS room, 'c'::"char" AS kind,
				CASE b.code WHEN 'f' THEN 'message.finished' ELSE 'message.new' END AS type, b.ref, b.body
			UNION ALL
			SELECT 2, r.id, 'u', CASE b.code WHEN 'f' THEN 'conversation.activity' ELSE 'message.new' END,
				b.ref, CASE b.code WHEN 'f' THEN b.other ELSE b.body END FROM unnest(b.rooms) AS r (id)
			UNION ALL
			SELECT 3, b.conversation, 'c', 'message.started', b.answer, b.other WHERE b.code = 'p') AS e
	), head AS (
		INSERT INTO parlance.room AS r (id, kind, seq)
		SELECT h.room, h.kind, count(*) FROM happened h GROUP BY h.room, h.kind ORDER BY h.kind, h.room
		ON CONFLICT (id) DO UPDATE SET seq = r.seq + excluded.seq
		RETURNING r.id, r.seq
	), numbered AS MATERIALIZED (
		SELECT h.*, d.seq - count(*) OVER (PARTITION BY h.room)
			+ row_number() OVER (PARTITION BY h.room ORDER BY h.n, h.part) AS seq
		FROM happened h JOIN head d ON d.id = h.room
	), logged AS (
		INSERT INTO parlance.event (room, seq, at, kind, type, conversation, ref, origin, actor)
		SELECT s.room, s.seq, clock_timestamp(), s.kind, s.type, s.conversation, s.ref, s.origin, s.actor
		FROM (SELECT * FROM numbered n ORDER BY n.n, n.part, n.room) AS s
	)
	SELECT count(pg_notify('parlance_ev', CASE WHEN octet_length(p.payload) <= 7900 THEN p.payload
			ELSE parlance.event_json(p.room, p.kind, p.seq, p.type, p.conversation, p.ref, p.origin, p.actor,
				'') END))
		INTO v_told
		FROM (SELECT s.*, parlance.event_json(s.room, s.kind, s.seq, s.type, s.conversation, s.ref, s.origin,
				s.actor, s.body) AS payload
			FROM numbered s ORDER BY s.n, s.part, s.room OFFSET 0) AS p;
	RETURN true;
END
$function$;

CREATE FUNCTION parlance.noted_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
	PERFORM parlance.tell();
	DELETE FROM parlance.noted n WHERE n.ctid = NEW.ctid;
	RETURN NULL;
END
$function$;

-- ---- what a row's version says of its cause ----

-- The one trigger that is no SECURITY DEFINER: it only reads settings, and it runs for each answer.
CREATE FUNCTION parlance.row_cause() RETURNS trigger
LANGUAGE plpgsql AS $function$
BEGIN
	NEW.origin := nullif(pg_catalog.current_setting('parlance.origin', true), '');
	NEW.actor := nullif(pg_catalog.current_setting('parlance.actor', true), '');
	RETURN NEW;
END
$function$;

CREATE FUNCTION parlance.conversation_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
	NEW.origin := nullif(current_setting('parlance.origin', true), '');
	NEW.actor := nullif(current_setting('parlance.actor', true), '');
	NEW.version := OLD.version + 1;
	NEW.updated_at := clock_timestamp();
	RETURN NEW;
END
$function$;

-- ---- what foreign keys would do ----

CREATE FUNCTION parlance.conversation_cascade() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
	DELETE FROM parlance.message m WHERE m.conversation = OLD.id;
	RETURN NULL;
END
$function$;

CREATE FUNCTION parlance.message_cascade() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
	DELETE FROM parlance.generation g WHERE g.message = OLD.id;
	DELETE FROM parlance.message_part p WHERE p.message = OLD.id;
	UPDATE parlance.conversation c SET message_count = greatest(c.message_count - 1, 0)
		WHERE c.id = OLD.conversation;
	RETURN NULL;
END
$function$;

-- ---- the triggers that make events ----

CREATE FUNCTION parlance.conversation_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_body text;
	v_type text;
BEGIN
	IF TG_OP = 'DELETE' THEN
		PERFORM parlance.publish(OLD.id, OLD.id, NULL, NULL, 'conversation.deleted',
			parlance.event_body('conversation.deleted', OLD.id, OLD.id), NULL, NULL, NULL, false);
		RETURN NULL;
	END IF;
	IF TG_ARGV[0] = 'deleted' THEN
		v_type := 'conversation.deleted';
		v_body := parlance.event_body(v_type, NEW.id, NEW.id);
	ELSE
		v_type := 'conversation.updated';
		v_body := concat('{"conversationId":"', NEW.id, '","update":{', concat_ws(',',
			CASE WHEN NEW.title IS DISTINCT FROM OLD.title
				THEN '"title":' || to_json(NEW.title)::text END,
			CASE WHEN NEW.model IS DISTINCT FROM OLD.model
				THEN '"model":' || coalesce(to_json(NEW.model)::text, 'null') END,
			CASE WHEN NEW.system_prompt IS DISTINCT FROM OLD.system_prompt
				THEN '"systemPrompt":' || coalesce(to_json(NEW.system_prompt)::text, 'null') END,
			CASE WHEN NEW.metadata::text IS DISTINCT FROM OLD.metadata::text
				THEN '"metadata":' || NEW.metadata::text END,
			CASE WHEN NEW.archived IS DISTINCT FROM OLD.archived
				THEN '"archived":' || to_json(NEW.archived)::text END),
			'},"version":', NEW.version, '}');
	END IF;
	PERFORM parlance.publish(NEW.id, NEW.id, NEW.origin, NEW.actor, v_type, v_body,
		NULL, v_type, v_body, TG_ARGV[0] = 'updated');
	RETURN NULL;
END
$function$;

CREATE FUNCTION parlance.participant_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	p parlance.participant;
	c parlance.conversation;
	v_body text;
	v_room uuid;
BEGIN
	IF TG_OP = 'DELETE' THEN
		p := OLD;
		IF NOT OLD.leaving THEN -- the version is an older one, with another cause
			p.origin := NULL;
			p.actor := NULL;
		END IF;
	ELSE
		p := NEW;
	END IF;
	IF TG_ARGV[0] = 'viewed' THEN
		v_body := concat('{"conversationId":"', p.conversation, '","hasUnread":false,"socketId":',
			coalesce(to_json(p.origin)::text, 'null'), '}');
		PERFORM parlance.publish(p.conversation, p.conversation, p.origin, p.actor, NULL, NULL,
			ARRAY[p.room], 'conversation.viewed', v_body, true);
		RETURN NULL;
	END IF;

	SELECT * INTO c FROM parlance.conversation s WHERE s.id = p.conversation;
	IF c.deleted_at IS NOT NULL THEN -- told when that was set
		RETURN NULL;
	END IF;
	-- Not in the transaction that makes the conversation, nor in the one that deletes it.
	IF c.id IS NOT NULL AND (TG_OP <> 'INSERT' OR c.created_at <> now()) THEN
		v_body := concat('{"conversationId":"', c.id, '","update":{"participants":',
			parlance.participants_json(c.id), '},"version":', c.version, '}');
		PERFORM parlance.publish(c.id, c.id, p.origin, p.actor, 'conversation.updated', v_body,
			NULL, NULL, NULL, true);
	END IF;
	FOREACH v_room IN ARRAY ARRAY(SELECT s.room FROM parlance.participant s
			WHERE s.conversation = p.conversation AND v_body IS NOT NULL
			UNION SELECT p.room ORDER BY 1) LOOP
		IF v_room = p.room AND TG_OP <> 'UPDATE' THEN
			PERFORM parlance.publish(p.conversation, p.conversation, p.origin, p.actor, NULL, NULL,
				ARRAY[v_room], CASE TG_OP WHEN 'INSERT' THEN 'conversation.created'
					ELSE 'conversation.deleted' END,
				parlance.event_body(CASE TG_OP WHEN 'INSERT' THEN 'conversation.created'
					ELSE 'conversation.deleted' END, p.conversation, p.conversation), false);
		END IF;
		IF v_body IS NOT NULL AND (v_room <> p.room OR TG_OP <> 'DELETE') THEN
			PERFORM parlance.publish(p.conversation, p.conversation, p.origin, p.actor, NULL, NULL,
				ARRAY[v_room], 'conversation.updated', v_body, true);
		END IF;
	END LOOP;
	RETURN NULL;
END
$function$;

CREATE FUNCTION parlance.message_event() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $function$
DECLARE
	u parlance.message;
	c parlance.conversation;
	v_type text;
	v_body text := ''; -- which leaves it out: it would not fit anyway
	v_noted boolean;
BEGIN
	IF TG_OP = 'DELETE' THEN
		IF EXISTS (SELECT FROM parlance.conversation s
				WHERE s.id = OLD.conversation AND s.deleted_at IS NULL) THEN
			PERFORM parlance.publish(OLD.conversation, OLD.id, NULL, NULL, 'message.deleted',
				parlance.event_body('message.deleted', OLD.conversation, OLD.id),
				NULL, NULL, NULL, false);
		END IF;
		RETURN NULL;
	END IF;

	IF TG_OP = 'INSERT' THEN
		IF NEW.pair = pg_current_xact_id() THEN -- message_send's: a question, and its answer that runs
			v_noted := NEW.role <> 'user'
				OR parlance.note(concat('p', NEW.conversation, NEW.id, NEW.answer));
			RETURN NULL;
		END IF;
		IF NEW.actor IS NULL THEN
			-- Another program's: the functions, which have an actor when they insert, count theirs.
			UPDATE parlance.conversation s SET last_ord = greatest(s.last_ord, NEW.ord),
				message_count = s.message_count + 1, active_at = greatest(s.active_at, NEW.created_at)
				WHERE s.id = NEW.conversation;
			IF NOT FOUND THEN
				RAISE EXCEPTION 'parlance: message % has no conversation %', NEW.id, NEW.conversation
					USING ERRCODE = 'foreign_key_violation';
			END IF;
		END IF;
		IF NEW.status = 'streaming' THEN
			v_type := 'message.started';
		ELSIF NEW.role = 'assistant' AND NEW.status = 'pending' THEN
			RETURN NULL;
		ELSE
			v_noted := parlance.note(concat('n', NEW.conversation, NEW.id));
			RETURN NULL;
		END IF;
	ELSIF OLD.status = NEW.status AND (NEW.status IN ('pending', 'streaming')
			OR OLD.content = NEW.content AND OLD.error::text IS NOT DISTINCT FROM NEW.error::text) THEN
		RETURN NULL; -- nothing that is seen; the text of a running answer is in its parts
	ELSIF NEW.status = 'streaming' THEN
		v_type := 'message.started';
	ELSIF OLD.status IN ('streaming', 'pending') AND NEW.status <> 'pending' THEN
		v_noted := parlance.note(concat('f', NEW.conversation, NEW.id));
		RETURN NULL;
	ELSE
		v_type := 'message.updated';
	END IF;

	IF octet_length(NEW.content) < 7900 THEN
		IF v_type = 'message.started' THEN
			SELECT * INTO u FROM parlance.message s WHERE s.id = NEW.parent;
		END IF;
		v_body := parlance.body_json(v_type, NEW, u, c, NULL);
	END IF;
	PERFORM parlance.publish(NEW.conversation, NEW.id, NEW.origin, NEW.actor, v_type, v_body, NULL, NULL, NULL,
		false);
	RETURN NULL;
END
$function$;

-- Columns named rather than conditions, wherever messages pass by: a condition is parsed again for each
-- statement. One is looked at when the row changes, not at the commit. Purging (maintain) is silent.

CREATE TRIGGER conversation_row BEFORE UPDATE OF title, model, system_prompt, metadata, archived
	ON parlance.conversation FOR EACH ROW
	WHEN (OLD.title IS DISTINCT FROM NEW.title OR OLD.model IS DISTINCT FROM NEW.model
		OR OLD.system_prompt IS DISTINCT FROM NEW.system_prompt
		OR OLD.metadata::text IS DISTINCT FROM NEW.metadata::text
		OR OLD.archived IS DISTINCT FROM NEW.archived)
	EXECUTE FUNCTION parlance.conversation_row();
CREATE TRIGGER conversation_cause BEFORE UPDATE OF deleted_at ON parlance.conversation FOR EACH ROW
	EXECUTE FUNCTION parlance.row_cause();
CREATE TRIGGER participant_cause BEFORE UPDATE ON parlance.participant FOR EACH ROW
	EXECUTE FUNCTION parlance.row_cause();
CREATE TRIGGER message_cause BEFORE UPDATE ON parlance.message FOR EACH ROW
	EXECUTE FUNCTION parlance.row_cause();

CREATE TRIGGER conversation_cascade AFTER DELETE ON parlance.conversation FOR EACH ROW
	EXECUTE FUNCTION parlance.conversation_cascade();
CREATE TRIGGER message_cascade AFTER DELETE ON parlance.message FOR EACH ROW
	EXECUTE FUNCTION parlance.message_cascade();

CREATE CONSTRAINT TRIGGER conversation_updated
	AFTER UPDATE OF title, model, system_prompt, metadata, archived ON parlance.conversation
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	WHEN (OLD.title IS DISTINCT FROM NEW.title OR OLD.model IS DISTINCT FROM NEW.model
		OR OLD.system_prompt IS DISTINCT FROM NEW.system_prompt
		OR OLD.metadata::text IS DISTINCT FROM NEW.metadata::text
		OR OLD.archived IS DISTINCT FROM NEW.archived)
	EXECUTE FUNCTION parlance.conversation_event('updated');
CREATE CONSTRAINT TRIGGER conversation_deleted AFTER UPDATE OF deleted_at ON parlance.conversation
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL)
	EXECUTE FUNCTION parlance.conversation_event('deleted');
CREATE CONSTRAINT TRIGGER conversation_gone AFTER DELETE ON parlance.conversation
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	WHEN (OLD.deleted_at IS NULL)
	EXECUTE FUNCTION parlance.conversation_event('gone');

CREATE CONSTRAINT TRIGGER participant_came AFTER INSERT ON parlance.participant
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	EXECUTE FUNCTION parlance.participant_event('came');
CREATE CONSTRAINT TRIGGER participant_changed AFTER UPDATE OF role ON parlance.participant
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	WHEN (OLD.role IS DISTINCT FROM NEW.role)
	EXECUTE FUNCTION parlance.participant_event('changed');
CREATE CONSTRAINT TRIGGER participant_viewed AFTER UPDATE OF viewed_at ON parlance.participant
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	EXECUTE FUNCTION parlance.participant_event('viewed');
CREATE CONSTRAINT TRIGGER participant_gone AFTER DELETE ON parlance.participant
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	WHEN (current_setting('parlance.purge', true) IS DISTINCT FROM 'on')
	EXECUTE FUNCTION parlance.participant_event('gone');

CREATE CONSTRAINT TRIGGER message_new AFTER INSERT ON parlance.message
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION parlance.message_event();
CREATE CONSTRAINT TRIGGER message_changed AFTER UPDATE OF status, content, error ON parlance.message
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION parlance.message_event();
CREATE CONSTRAINT TRIGGER message_gone AFTER DELETE ON parlance.message
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	WHEN (current_setting('parlance.purge', true) IS DISTINCT FROM 'on')
	EXECUTE FUNCTION parlance.message_event();

CREATE CONSTRAINT TRIGGER noted_tell AFTER INSERT ON parlance.noted
	DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION parlance.noted_event();

REVOKE ALL ON parlance.noted FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA parlance FROM PUBLIC;

END
$migration$;

COMMIT;
