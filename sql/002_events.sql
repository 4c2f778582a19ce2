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
-- They run as whoever commits, so each is SECURITY DEFINER with a search_path of its own. The functions
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
		RETURN concat('{"conversationId":"', m.conversation, '","message":', parlance.message_json(m),
			',"messageId":' || to_json(m.client_id)::text, '}');
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
		RETURN concat('{"conversationId":"', c.id, '","lastActivity":', parlance.time_json(c.active_at),
			',"messageCount":', c.message_count, ',"totalTokens":', c.total_tokens, '}');
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
-- none), which are p_users, in the order of their ids, or all participants' when that is null; then a second
-- one in the conversation's room (p_next_type; null: none); and tells them. The row of a room stays locked
-- until the commit.
--
-- This is most of what a message costs. Small statements are cheaper than one that does it all: what a
-- statement needs before its first row is what counts here.
CREATE FUNCTION parlance.publish(p_conversation uuid, p_ref uuid, p_origin text, p_actor text,
	p_type text, p_body text, p_users uuid[], p_users_type text, p_users_body text, p_stored boolean,
	p_next_ref uuid DEFAULT NULL, p_next_type text DEFAULT NULL, p_next_body text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
	v_users uuid[] := p_users;
	v_rooms uuid[]; -- of each event: that of the conversation's room, those of users up to v_to, the next one
	v_seqs bigint[];
	v_seq bigint; -- the latest of the conversation's room
	v_user_seq bigint;
	v_from integer := (p_type IS NOT NULL)::integer;
	v_to integer;
	v_type text := p_type;
	v_ref uuid := p_ref;
	v_body text := p_body;
	v_kind "char" := 'c';
	v_payload text;
BEGIN
	-- After a crash an event that had been told would be gone, and its seq used again.
	IF current_setting('synchronous_commit') = 'off' THEN
		PERFORM set_config('synchronous_commit', 'local', true);
	END IF;
	IF v_users IS NULL AND p_users_type IS NOT NULL THEN
		v_users := ARRAY(SELECT p.room FROM parlance.participant p
			WHERE p.conversation = p_conversation ORDER BY p.room);
	END IF;
	v_to := v_from + coalesce(cardinality(v_users), 0);
	v_rooms := v_users;

	IF v_from = 1 THEN
		INSERT INTO parlance.room AS r (id, kind, seq)
			VALUES (p_conversation, 'c', CASE WHEN p_next_type IS NULL THEN 1 ELSE 2 END)
			ON CONFLICT (id) DO UPDATE SET seq = r.seq + excluded.seq RETURNING r.seq INTO v_seq;
		v_rooms := p_conversation || v_rooms;
	END IF;
	IF v_to - v_from = 1 THEN
		INSERT INTO parlance.room AS r (id, kind, seq) VALUES (v_users[1], 'u', 1)
			ON CONFLICT (id) DO UPDATE SET seq = r.seq + 1 RETURNING r.seq INTO v_user_seq;
		v_seqs := ARRAY[v_user_seq];
	ELSIF v_to > v_from THEN
		WITH numbered AS (
			INSERT INTO parlance.room AS r (id, kind, seq) SELECT u.id, 'u', 1 FROM unnest(v_users) AS u (id)
			ON CONFLICT (id) DO UPDATE SET seq = r.seq + 1 RETURNING r.seq
		)
		SELECT array_agg(n.seq) INTO v_seqs FROM numbered n;
	END IF;
	IF p_next_type IS NOT NULL THEN
		v_rooms := v_rooms || p_conversation;
		v_seqs := v_seq - 1 || v_seqs || v_seq;
	ELSIF v_from = 1 THEN
		v_seqs := v_seq || v_seqs;
	END IF;

	-- The cases of a conversation that one user has for himself.
	IF v_to = 2 AND v_from = 1 AND NOT p_stored AND p_next_type IS NULL THEN
		INSERT INTO parlance.event (room, seq, at, kind, type, conversation, ref, origin, actor)
			VALUES (p_conversation, v_seq, clock_timestamp(), 'c', p_type, p_conversation, p_ref, p_origin,
					p_actor),
				(v_users[1], v_user_seq, clock_timestamp(), 'u', p_users_type, p_conversation, p_ref,
					p_origin, p_actor);
	ELSIF v_to = 2 AND v_from = 1 AND NOT p_stored THEN
		INSERT INTO parlance.event (room, seq, at, kind, type, conversation, ref, origin, actor)
			VALUES (p_conversation, v_seq - 1, clock_timestamp(), 'c', p_type, p_conversation, p_ref,
					p_origin, p_actor),
				(v_users[1], v_user_seq, clock_timestamp(), 'u', p_users_type, p_conversation, p_ref,
					p_origin, p_actor),
				(p_conversation, v_seq, clock_timestamp(), 'c', p_next_type, p_conversation, p_next_ref,
					p_origin, p_actor);
	ELSE
		INSERT INTO parlance.event (room, seq, at, kind, type, conversation, ref, origin, actor, body)
			SELECT e.room, e.seq, clock_timestamp(),
				CASE WHEN e.n <= v_from OR e.n > v_to THEN 'c' ELSE 'u' END::"char",
				CASE WHEN e.n <= v_from THEN p_type WHEN e.n <= v_to THEN p_users_type
					ELSE p_next_type END,
				p_conversation, CASE WHEN e.n <= v_to THEN p_ref ELSE p_next_ref END, p_origin, p_actor,
				CASE WHEN p_stored THEN CASE WHEN e.n <= v_from THEN p_body
					WHEN e.n <= v_to THEN p_users_body ELSE p_next_body END END::json
			FROM unnest(v_rooms, v_seqs) WITH ORDINALITY AS e (room, seq, n);
	END IF;

	FOR i IN 1 .. cardinality(v_rooms) LOOP
		IF i = v_from + 1 AND i <= v_to THEN
			v_kind := 'u';
			v_type := p_users_type;
			v_body := p_users_body;
		ELSIF i = v_to + 1 AND i > v_from THEN
			v_kind := 'c';
			v_type := p_next_type;
			v_ref := p_next_ref;
			v_body := p_next_body;
		END IF;
		v_payload := parlance.event_json(v_rooms[i], v_kind, v_seqs[i], v_type, p_conversation, v_ref, p_origin,
			p_actor, v_body);
		-- A payload may have 7,999 bytes; 7,900 is our own limit.
		IF octet_length(v_payload) > 7900 THEN
			v_payload := parlance.event_json(v_rooms[i], v_kind, v_seqs[i], v_type, p_conversation, v_ref,
				p_origin, p_actor, '');
		END IF;
		PERFORM pg_notify('parlance_ev', v_payload);
	END LOOP;
END
$function$;

-- ---- what a row's version says of its cause ----

CREATE FUNCTION parlance.row_cause() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
	NEW.origin := nullif(current_setting('parlance.origin', true), '');
	NEW.actor := nullif(current_setting('parlance.actor', true), '');
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
	v_owner text;
	v_participants text;
	v_users uuid[];
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
			IF NEW.role = 'user' THEN
				IF octet_length(NEW.content) < 7900 THEN
					v_body := parlance.body_json('message.new', NEW, u, c, NULL);
				END IF;
				PERFORM parlance.publish(NEW.conversation, NEW.id, NEW.origin, NEW.actor, 'message.new',
					v_body, NULL, 'message.new', v_body, false, NEW.answer, 'message.started',
					parlance.started_json(NEW.conversation, NEW.client_id, NEW.answer, NEW.stream));
			END IF;
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
			v_type := 'message.new';
		END IF;
	ELSIF OLD.status = NEW.status AND (NEW.status IN ('pending', 'streaming')
			OR OLD.content = NEW.content AND OLD.error::text IS NOT DISTINCT FROM NEW.error::text) THEN
		RETURN NULL; -- nothing that is seen; the text of a running answer is in its parts
	ELSIF NEW.status = 'streaming' THEN
		v_type := 'message.started';
	ELSIF OLD.status IN ('streaming', 'pending') AND NEW.status <> 'pending' THEN
		SELECT * INTO c FROM parlance.conversation s WHERE s.id = NEW.conversation;
		IF NOT FOUND THEN
			RETURN NULL; -- deleted in the same commit
		END IF;
		SELECT p.owner, p.participants, p.rooms INTO v_owner, v_participants, v_users
			FROM parlance.participants_of(NEW.conversation) AS p;
		IF cardinality(v_users) > 1 THEN
			v_users := ARRAY(SELECT r.id FROM unnest(v_users) AS r (id) ORDER BY r.id);
		END IF;
		IF octet_length(NEW.content) < 7900 THEN
			SELECT * INTO u FROM parlance.message s WHERE s.id = NEW.parent;
			v_body := parlance.body_json('message.finished', NEW, u, c,
				parlance.conversation_json(c, v_owner, v_participants));
		END IF;
		PERFORM parlance.publish(NEW.conversation, NEW.id, NEW.origin, NEW.actor, 'message.finished', v_body,
			v_users, 'conversation.activity',
			parlance.body_json('conversation.activity', NEW, u, c, NULL), false);
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
	PERFORM parlance.publish(NEW.conversation, NEW.id, NEW.origin, NEW.actor, v_type, v_body, NULL,
		CASE v_type WHEN 'message.new' THEN v_type END, v_body, false);
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

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA parlance FROM PUBLIC;

END
$migration$;

COMMIT;
