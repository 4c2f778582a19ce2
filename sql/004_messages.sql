-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
--
-- Messages and generations. 003_conversations.sql says what all these functions have in common.
--
-- Whoever changes messages or generations of a conversation holds the lock of its row, but for
-- generation_parts, which must not wait for anyone: it leaves out an answer that is being ended.
--
-- A LIMIT that depends on a parameter is a subselect (here and in 003): of a plain one the planner makes a new
-- plan at each call, as it estimates less for that than for a plan that is kept. Planning costs more than the query.
--
-- enable_seqscan = off: generation is nearly empty when it is analyzed, and full of dead rows a second later; a
-- cached plan must not read it from end to end.

BEGIN;
SET LOCAL lock_timeout = '10s';
SET LOCAL search_path = pg_catalog, pg_temp;

DO $migration$
BEGIN

IF NOT parlance.migration_begin(4, '004_messages') THEN
	RETURN;
END IF;

-- ---- reading ----

CREATE FUNCTION parlance.message_list(p_user text, p_conversation uuid, p_before bigint, p_after bigint,
	p_limit integer) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_limit integer := least(greatest(coalesce(p_limit, 50), 1), 200);
	v_rows parlance.message[];
	v_more boolean := false;
BEGIN
	IF parlance.role_of(p_user, p_conversation) IS NULL THEN
		RETURN parlance.refusal('NOT_FOUND');
	END IF;
	v_rows := parlance.message_page(p_conversation, p_after, coalesce(p_before, 9223372036854775807), v_limit);
	IF cardinality(v_rows) > 0 THEN
		v_more := CASE WHEN p_after IS NOT NULL THEN EXISTS (SELECT FROM parlance.message m
				WHERE m.conversation = p_conversation AND m.ord > v_rows[cardinality(v_rows)].ord)
			ELSE EXISTS (SELECT FROM parlance.message m
				WHERE m.conversation = p_conversation AND m.ord < v_rows[1].ord) END;
	END IF;
	RETURN json_build_object('ok', true,
		'messages', (SELECT concat('[', string_agg(parlance.message_json(v_rows[i]), ',' ORDER BY i), ']')
			FROM generate_series(1, cardinality(v_rows)) AS i)::json,
		'hasMore', v_more);
END
$function$;

-- Answers of other instances (one of them, or null: all; or those alone that run) are to end: they are
-- marked, and these instances are told to look.
CREATE FUNCTION parlance.stop_elsewhere(p_conversation uuid, p_stream uuid, p_instance bigint,
	p_running boolean) RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
	v_instance bigint;
BEGIN
	FOR v_instance IN UPDATE parlance.generation g SET stop = true
			WHERE g.conversation = p_conversation AND (p_stream IS NULL OR g.stream = p_stream)
				AND g.instance IS DISTINCT FROM p_instance AND (g.running OR NOT p_running)
			RETURNING g.instance LOOP
		PERFORM pg_notify('parlance_i_' || v_instance, '{"f":0,"m":[["b"]]}');
	END LOOP;
END
$function$;

CREATE FUNCTION parlance.message_stop(p_user text, p_conversation uuid, p_stream uuid, p_instance bigint)
RETURNS json LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $function$
DECLARE
	v_role text := parlance.role_of(p_user, p_conversation);
BEGIN
	IF v_role IS NULL THEN
		RETURN parlance.refusal('NOT_FOUND');
	ELSIF v_role = 'viewer' THEN
		RETURN parlance.refusal('FORBIDDEN');
	END IF;
	PERFORM parlance.stop_elsewhere(p_conversation, p_stream, p_instance, false);
	RETURN json_build_object('ok', true, 'streams', coalesce((
		SELECT json_agg(json_build_object('streamId', g.stream, 'assistantMessageId', g.message,
			'instance', g.instance) ORDER BY g.running DESC, g.place)
		FROM parlance.generation g
		WHERE g.conversation = p_conversation AND (p_stream IS NULL OR g.stream = p_stream)), '[]'));
END
$function$;

-- ---- generations ----

-- The messages of a prompt that ends with one: the way back by the parents, p_history of them, and no more
-- than fit into 1 MiB beside it: others' messages wait in the same transaction until it is put together.
CREATE FUNCTION parlance.prompt_messages(p_conversation uuid, p_message uuid, p_history integer)
RETURNS text LANGUAGE plpgsql STABLE AS $function$
DECLARE
	v_history integer := least(greatest(coalesce(p_history, 1), 1), 10000);
	v_messages text;
BEGIN
	-- Nearly always these are the conversation's last messages before it, each with its forerunner as
	-- its parent. first: the way ends here.
	SELECT string_agg(concat('{"role":"', s.role, '","content":', to_json(s.content), '}'), ',' ORDER BY s.ord)
			FILTER (WHERE s.n = 1 OR s.bytes <= 1048576)
		INTO v_messages
		FROM (SELECT m.ord, m.role, m.content, m.id, m.parent, sum(octet_length(m.content)) OVER w AS bytes,
				m.status IN ('complete', 'stopped', 'interrupted') AND m.content <> '' AS told,
				lead(m.id) OVER w AS before, row_number() OVER w AS n
			FROM (SELECT * FROM parlance.message a WHERE a.conversation = p_conversation
					AND a.ord <= (SELECT b.ord FROM parlance.message b WHERE b.id = p_message)
				ORDER BY a.ord DESC LIMIT (SELECT v_history)) AS m
			WINDOW w AS (ORDER BY m.ord DESC)) AS s
		HAVING bool_and((s.told OR s.n = 1) AND (s.n = v_history OR s.parent IS NOT DISTINCT FROM s.before));
	IF v_messages IS NOT NULL THEN
		RETURN v_messages;
	END IF;
	WITH RECURSIVE chain AS (
		SELECT m.parent, m.role, m.content, 1 AS step, 1 AS taken, true AS told,
			octet_length(m.content)::bigint AS bytes
		FROM parlance.message m WHERE m.id = p_message
		UNION ALL
		SELECT m.parent, m.role, m.content, c.step + 1, c.taken + told.told::integer, told.told,
			c.bytes + CASE WHEN told.told THEN octet_length(m.content) ELSE 0 END
		FROM chain c
		JOIN parlance.message m ON m.id = c.parent AND m.conversation = p_conversation
		CROSS JOIN LATERAL (SELECT m.status IN ('complete', 'stopped', 'interrupted')
			AND m.content <> '' AS told) AS told
		WHERE c.taken < v_history AND c.step < 2 * v_history + 100 AND c.bytes <= 1048576
	)
	SELECT string_agg(concat('{"role":"', c.role, '","content":', to_json(c.content), '}'), ','
			ORDER BY c.step DESC)
		INTO v_messages FROM chain c WHERE c.told AND (c.step = 1 OR c.bytes <= 1048576);
	RETURN v_messages;
END
$function$;

-- p_user: the user's hash.
CREATE FUNCTION parlance.prompt_json(p_system text, p_model text, p_options json, p_user text,
	p_messages text) RETURNS text
LANGUAGE plpgsql STABLE AS $function$
BEGIN
	RETURN concat('{"model":', coalesce(to_json(p_model)::text, 'null'),
		',"options":', coalesce(p_options::text, '{}'), ',"user":', coalesce('"' || p_user || '"', 'null'),
		',"messages":[', '{"role":"system","content":' || to_json(nullif(p_system, ''))::text || '},',
		p_messages, ']}');
END
$function$;

-- Ends an answer that belongs to the instance (null: to any), under the conversation's lock; false: it does
-- not.
CREATE FUNCTION parlance.answer_end(p_conversation uuid, p_message uuid, p_instance bigint, p_status text,
	p_reason text, p_content text, p_model text, p_usage json, p_error json) RETURNS boolean
LANGUAGE plpgsql AS $function$
DECLARE
	-- By its text: usage may hold what ->> would refuse.
	v_tokens bigint := coalesce(substring(p_usage::text
		FROM '"totalTokens"[[:space:]]*:[[:space:]]*([0-9]{1,12})[[:space:]]*[,}]')::bigint, 0);
	v_now timestamptz := clock_timestamp();
BEGIN
	DELETE FROM parlance.generation g WHERE g.message = p_message
		AND g.instance = coalesce(p_instance, g.instance);
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	UPDATE parlance.message m SET status = p_status::parlance.message_status, finish_reason = p_reason,
		content = coalesce(p_content, parlance.part_text(p_message)), model = coalesce(p_model, m.model),
		usage = p_usage, error = p_error, tokens = v_tokens, updated_at = v_now
		WHERE m.id = p_message;
	DELETE FROM parlance.message_part p WHERE p.message = p_message;
	UPDATE parlance.conversation c SET total_tokens = c.total_tokens + v_tokens, active_at = v_now
		WHERE c.id = p_conversation;
	RETURN true;
END
$function$;

-- Text rather than json, which would be parsed here for nothing: a prompt is long.
CREATE FUNCTION parlance.message_send(p_user text, p_conversation uuid, p_client_id text,
	p_user_message uuid, p_assistant_message uuid, p_stream uuid, p_content text, p_parent uuid,
	p_model text, p_options json, p_on_busy text, p_queue_depth integer, p_history integer,
	p_instance bigint, p_origin text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off AS $function$
DECLARE
	u parlance.message;
	v_role text;
	v_hash text;
	v_ord bigint;
	v_model text;
	v_system text;
	v_there uuid; -- the user's message, when this call is a repetition
	v_before bigint := least(greatest(coalesce(p_history, 1), 1), 10000) - 1;
	v_running boolean;
	v_waiting bigint;
	v_first bigint;
	v_last uuid;
	v_alive boolean;
	v_ids uuid[]; -- of the messages before this one, the oldest first
	v_parents uuid[];
	v_told boolean;
	v_messages text;
	v_now timestamptz;
	v_pair xid8;
	v_position bigint;
BEGIN
	IF p_content IS NULL OR octet_length(p_client_id) > 128
			OR coalesce(p_on_busy, 'queue') NOT IN ('queue', 'reject', 'interrupt') THEN
		RETURN parlance.refusal('BAD_REQUEST');
	END IF;
	SELECT p.role, p.hash, s.last_ord, s.model, s.system_prompt
		INTO v_role, v_hash, v_ord, v_model, v_system
		FROM parlance.conversation s
		JOIN parlance.participant p ON p.conversation = s.id AND p.user_id = p_user
		WHERE s.id = p_conversation AND s.deleted_at IS NULL FOR NO KEY UPDATE OF s;
	IF v_role IS NULL THEN
		RETURN parlance.refusal('NOT_FOUND');
	ELSIF v_role = 'viewer' THEN
		RETURN parlance.refusal('FORBIDDEN');
	END IF;
	v_model := coalesce(p_model, v_model);

	-- All that is to be known, in one statement, which begins after the lock. Nearly always the messages of
	-- the prompt are the conversation's last ones, each with its forerunner as its parent.
	SELECT (SELECT m.id FROM parlance.message m
				WHERE m.conversation = p_conversation AND m.client_id = p_client_id),
			EXISTS (SELECT FROM parlance.instance i WHERE i.id = p_instance),
			g.running, g.waiting, g.first, h.ids, h.parents, h.told, h.messages
		INTO v_there, v_alive, v_running, v_waiting, v_first, v_ids, v_parents, v_told, v_messages
		FROM (SELECT coalesce(bool_or(w.running), false) AS running,
				count(*) FILTER (WHERE NOT w.running) AS waiting, min(w.place) AS first
			FROM parlance.generation w WHERE w.conversation = p_conversation) AS g,
		(SELECT array_agg(l.id) AS ids, array_agg(l.parent) AS parents,
				bool_and(l.status IN ('complete', 'stopped', 'interrupted') AND l.content <> '') AS told,
				string_agg(concat('{"role":"', l.role, '","content":', to_json(l.content), '},'), '')
					FILTER (WHERE l.bytes + octet_length(p_content) <= 1048576) AS messages
			FROM (SELECT * FROM (SELECT m.ord, m.id, m.parent, m.status, m.role, m.content,
						sum(octet_length(m.content)) OVER (ORDER BY m.ord DESC) AS bytes
					FROM parlance.message m WHERE m.conversation = p_conversation
					ORDER BY m.ord DESC LIMIT (SELECT greatest(v_before, 1))) AS k ORDER BY k.ord) AS l) AS h;
	IF p_client_id IS NULL THEN -- a call that is repeated because its answer was lost
		SELECT m.id INTO v_there FROM parlance.message m
			WHERE m.id = p_user_message AND m.conversation = p_conversation;
	END IF;
	IF v_there IS NOT NULL THEN
		SELECT m.* INTO u FROM parlance.message m WHERE m.id = v_there;
		RETURN parlance.send_duplicate(u, CASE WHEN u.id = p_user_message AND EXISTS (
				SELECT FROM parlance.generation g WHERE g.message = p_assistant_message
					AND g.instance = p_instance AND g.running)
			THEN parlance.prompt_json(v_system, v_model, p_options, v_hash,
				parlance.prompt_messages(p_conversation, u.id, p_history)) END);
	END IF;
	v_last := v_ids[cardinality(v_ids)];
	IF p_parent <> v_last OR p_parent IS NOT NULL AND v_last IS NULL THEN
		SELECT m.id INTO v_last FROM parlance.message m
			WHERE m.id = p_parent AND m.conversation = p_conversation;
		v_told := false;
	END IF;
	IF NOT v_alive THEN
		RETURN parlance.refusal('UNAVAILABLE');
	ELSIF p_parent IS NOT NULL AND v_last IS NULL THEN
		RETURN parlance.refusal('NOT_FOUND');
	ELSIF (v_running OR v_waiting > 0) AND (p_on_busy = 'reject' OR v_waiting >= coalesce(p_queue_depth, 0)
			+ (p_on_busy IS NOT DISTINCT FROM 'interrupt')::integer) THEN
		RETURN parlance.refusal('BUSY');
	END IF;

	v_running := v_running OR v_waiting > 0;
	IF NOT v_running THEN
		v_pair := pg_current_xact_id();
	END IF;
	v_now := clock_timestamp();
	INSERT INTO parlance.message (id, conversation, ord, client_id, parent, role, status, content, author,
			model, stream, created_at, updated_at, origin, actor, pair, answer)
		VALUES (p_user_message, p_conversation, v_ord + 1, p_client_id, v_last, 'user', 'complete', p_content,
				p_user, NULL, p_stream, v_now, v_now, nullif(p_origin, ''), p_user, v_pair,
				p_assistant_message),
			(p_assistant_message, p_conversation, v_ord + 2, NULL, p_user_message, 'assistant',
				CASE WHEN v_running THEN 'pending' ELSE 'streaming' END::parlance.message_status, '',
				p_user, v_model, p_stream, v_now, v_now, nullif(p_origin, ''), p_user, v_pair, NULL);
	INSERT INTO parlance.generation (message, conversation, instance, running, place, stream, model, options)
		VALUES (p_assistant_message, p_conversation, p_instance, NOT v_running,
			CASE WHEN p_on_busy = 'interrupt' THEN least(v_first, v_ord + 2) - 1 ELSE v_ord + 2 END,
			p_stream, p_model, p_options);
	UPDATE parlance.conversation s SET last_ord = v_ord + 2, message_count = s.message_count + 2,
		active_at = v_now WHERE s.id = p_conversation;

	u.id := p_user_message;
	u.conversation := p_conversation;
	u.ord := v_ord + 1;
	u.parent := v_last;
	u.role := 'user';
	u.status := 'complete';
	u.content := p_content;
	u.tokens := 0;
	u.created_at := v_now;
	u.updated_at := v_now;
	IF NOT v_running THEN
		IF v_before = 0 OR v_last IS NULL THEN
			v_messages := concat('{"role":"user","content":', to_json(p_content), '}');
		ELSIF v_told AND (cardinality(v_ids) = v_before OR v_parents[1] IS NULL)
				AND v_parents[2:] = v_ids[:cardinality(v_ids) - 1] THEN
			v_messages := concat(v_messages, '{"role":"user","content":', to_json(p_content), '}');
		ELSE
			v_messages := parlance.prompt_messages(p_conversation, p_user_message, p_history);
		END IF;
		RETURN concat('{"ok":true,"state":"run","ack":{"ok":true,"userMessage":', parlance.message_json(u),
			',"assistantMessageId":"', p_assistant_message, '","streamId":"', p_stream,
			'"},"prompt":', parlance.prompt_json(v_system, v_model, p_options, v_hash, v_messages),
			'}');
	END IF;
	IF p_on_busy = 'interrupt' THEN
		PERFORM parlance.stop_elsewhere(p_conversation, NULL, p_instance, true);
	END IF;
	SELECT count(*) INTO v_position FROM parlance.generation g
		WHERE g.conversation = p_conversation AND NOT g.running
			AND g.place <= (SELECT o.place FROM parlance.generation o WHERE o.message = p_assistant_message);
	RETURN concat('{"ok":true,"state":"queued","ack":{"ok":true,"userMessage":', parlance.message_json(u),
		',"assistantMessageId":"', p_assistant_message, '","streamId":"', p_stream,
		'","queued":true,"position":', v_position, '}}');
END
$function$;

-- The answer to a message that is there already: it stands right behind it. With the prompt when this is
-- the same call again, whose first answer was lost: its generation runs, and nobody makes it.
CREATE FUNCTION parlance.send_duplicate(u parlance.message, p_prompt text) RETURNS text
LANGUAGE plpgsql STABLE AS $function$
DECLARE
	a parlance.message;
	v_position bigint;
BEGIN
	SELECT m.* INTO a FROM parlance.message m WHERE m.conversation = u.conversation AND m.parent = u.id
		AND m.role = 'assistant' AND m.ord = u.ord + 1;
	SELECT (SELECT count(*) FROM parlance.generation o WHERE o.conversation = g.conversation
			AND NOT o.running AND o.place <= g.place)
		INTO v_position FROM parlance.generation g WHERE g.message = a.id AND NOT g.running;
	RETURN concat('{"ok":true,"state":"duplicate","ack":{"ok":true,"userMessage":', parlance.message_json(u),
		',"assistantMessageId":', coalesce('"' || a.id || '"', 'null'),
		',"streamId":', coalesce('"' || a.stream || '"', 'null'), ',"duplicate":true',
		',"queued":true,"position":' || v_position, '}', ',"prompt":' || p_prompt, '}');
END
$function$;

CREATE FUNCTION parlance.generation_begin(p_message uuid, p_instance bigint, p_history integer) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $function$
DECLARE
	g parlance.generation;
	c parlance.conversation;
	m parlance.message;
BEGIN
	SELECT s.* INTO c FROM parlance.conversation s
		JOIN parlance.generation w ON w.conversation = s.id
		WHERE w.message = p_message AND s.deleted_at IS NULL FOR NO KEY UPDATE OF s;
	SELECT s.* INTO g FROM parlance.generation s
		WHERE s.message = p_message AND s.conversation = c.id AND NOT s.running;
	IF g.message IS NULL THEN
		RETURN parlance.refusal('NOT_FOUND');
	ELSIF EXISTS (SELECT FROM parlance.generation s WHERE s.conversation = c.id
			AND (s.running OR s.place < g.place)) THEN -- or it is another one's turn
		RETURN parlance.refusal('BUSY');
	ELSIF NOT EXISTS (SELECT FROM parlance.instance i WHERE i.id = p_instance) THEN
		RETURN parlance.refusal('UNAVAILABLE');
	END IF;
	UPDATE parlance.generation s SET running = true, instance = p_instance WHERE s.message = p_message;
	UPDATE parlance.message s SET status = 'streaming', updated_at = clock_timestamp()
		WHERE s.id = p_message RETURNING * INTO m;
	RETURN concat('{"ok":true,"prompt":', parlance.prompt_json(c.system_prompt, coalesce(g.model, c.model),
			g.options, parlance.user_hash(m.author),
			parlance.prompt_messages(c.id, m.parent, p_history)),
		',"streamId":"', g.stream, '","conversationId":"', c.id, '"}')::json;
END
$function$;

CREATE FUNCTION parlance.generation_finish(p_message uuid, p_instance bigint, p_status text,
	p_finish_reason text, p_content text, p_model text, p_usage json, p_error json) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $function$
DECLARE
	v_conversation uuid;
BEGIN
	IF coalesce(p_status, '') NOT IN ('complete', 'stopped', 'interrupted', 'failed') THEN
		RETURN parlance.refusal('BAD_REQUEST');
	END IF;
	-- The conversation first, as everyone else does.
	SELECT c.id INTO v_conversation
		FROM parlance.conversation c JOIN parlance.generation g ON g.conversation = c.id
		WHERE g.message = p_message AND g.instance = p_instance FOR NO KEY UPDATE OF c;
	IF NOT parlance.answer_end(v_conversation, p_message, p_instance, p_status, p_finish_reason, p_content,
			p_model, p_usage, p_error) THEN
		RETURN parlance.refusal('FENCED');
	END IF;
	RETURN '{"ok" : true}';
END
$function$;

CREATE FUNCTION parlance.generation_parts(p_instance bigint, p_messages uuid[], p_offs bigint[],
	p_texts text[]) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $function$
DECLARE
	v_owned uuid[];
	v_open uuid[];
BEGIN
	v_owned := ARRAY(SELECT g.message FROM parlance.generation g
		WHERE g.message = ANY (p_messages) AND g.instance = p_instance AND g.running);
	-- Nobody ends these before the parts are there for him to delete. What is left out here is not lost: who
	-- ends an answer has its text, unless he fails and dies.
	v_open := ARRAY(SELECT g.message FROM parlance.generation g
		WHERE g.message = ANY (v_owned) FOR KEY SHARE SKIP LOCKED);
	INSERT INTO parlance.message_part (message, off, text)
		SELECT t.message, t.off, t.text FROM unnest(p_messages, p_offs, p_texts) AS t (message, off, text)
		WHERE t.message = ANY (v_open) AND t.text <> '' AND t.off >= 0
		ON CONFLICT (message, off) DO NOTHING;
	RETURN json_build_object('ok', true, 'fenced', coalesce((SELECT json_agg(DISTINCT t.message)
		FROM unnest(p_messages) AS t (message) WHERE t.message <> ALL (v_owned)), '[]'));
END
$function$;

-- ---- deleting a conversation ends its answers ----

CREATE FUNCTION parlance.conversation_delete(p_user text, p_conversation uuid, p_origin text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_role text := parlance.conversation_lock(p_user, p_conversation);
	g record;
BEGIN
	IF v_role IS NULL THEN
		RETURN parlance.refusal('NOT_FOUND');
	ELSIF v_role <> 'owner' THEN
		RETURN parlance.refusal('FORBIDDEN');
	END IF;
	PERFORM parlance.cause(p_user, p_origin);
	FOR g IN SELECT s.message FROM parlance.generation s WHERE s.conversation = p_conversation LOOP
		PERFORM parlance.answer_end(p_conversation, g.message, NULL, 'stopped', 'stopped', NULL, NULL, NULL,
			NULL);
	END LOOP;
	UPDATE parlance.conversation s SET deleted_at = clock_timestamp() WHERE s.id = p_conversation;
	PERFORM parlance.cause('', '');
	RETURN json_build_object('ok', true);
END
$function$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA parlance FROM PUBLIC;

END
$migration$;

COMMIT;
