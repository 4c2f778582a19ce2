-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
--
-- Many instances: messages between them, presence, recovery of clients' connections; what applications
-- may publish; and the grants of the roles.
--
-- Channels: parlance_ev is the feed, parlance_i_N is instance N's, parlance_all is all instances'. What goes
-- over the last two may be lost, and anybody who may connect can forge it: it only ever tells where to look
-- (stops, kicks and presence are read from tables), or what is of no weight (typing, pieces of an answer
-- whose whole text follows in the feed).

BEGIN;
SET LOCAL lock_timeout = '10s';
SET LOCAL search_path = pg_catalog, pg_temp;

DO $migration$
BEGIN

IF NOT parlance.migration_begin(6, '006_cluster') THEN
	RETURN;
END IF;

-- ---- instances ----

-- What all instances share: a secret by which they know each other.
CREATE TABLE parlance.cluster (
	one boolean PRIMARY KEY DEFAULT true CHECK (one),
	secret text NOT NULL
);
INSERT INTO parlance.cluster (secret) VALUES (encode(sha256(convert_to(concat(gen_random_uuid(),
	gen_random_uuid(), gen_random_uuid()), 'UTF8')), 'hex'));

-- Names this history of this database: a seq of another one says nothing. It changes with a restored
-- backup and with a standby that takes over, which may lack what was told before. The timeline is that of
-- what is being written: pg_control_checkpoint() has the old one until the first checkpoint, minutes later.
CREATE FUNCTION parlance.epoch() RETURNS text
LANGUAGE sql STABLE AS $function$
	SELECT left(encode(sha256(convert_to(concat(s.system_identifier, '.', CASE WHEN NOT pg_is_in_recovery()
			THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END, '.', d.oid), 'UTF8')), 'hex'), 8)
		FROM pg_control_system() s, pg_database d
		WHERE d.datname = current_database()
$function$;

-- Payloads for the channels of instances (0: of all). One that is too long is left out: an exception would
-- undo the group.
CREATE FUNCTION parlance.instance_send(p_instances bigint[], p_payloads text[]) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
	PERFORM pg_notify(CASE t.instance WHEN 0 THEN 'parlance_all' ELSE 'parlance_i_' || t.instance END,
			t.payload)
		FROM unnest(p_instances, p_payloads) AS t (instance, payload)
		WHERE t.instance >= 0 AND octet_length(t.payload) < 8000;
	RETURN json_build_object('ok', true);
END
$function$;

-- ---- presence ----

-- Sockets, their users, and the conversations that they have open. Soft state: after a crash of the
-- server it is empty, and each instance writes its own again.
CREATE UNLOGGED TABLE parlance.presence (
	instance bigint NOT NULL,
	socket text NOT NULL,
	user_id text NOT NULL,
	conversations uuid[] NOT NULL,
	PRIMARY KEY (instance, socket)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500,
	autovacuum_vacuum_cost_delay = 0);

CREATE INDEX presence_user ON parlance.presence (user_id);

-- Tells the instances whose tabs watch presence that something of these users has changed. They look: two
-- instances that each lose one of a user's last two sockets would each see the other's.
CREATE FUNCTION parlance.presence_tell(p_users text[]) RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
	v_user text;
	v_list text := '';
BEGIN
	IF cardinality(p_users) = 0 OR NOT EXISTS (SELECT FROM parlance.instance i WHERE i.watches) THEN
		RETURN;
	END IF;
	FOREACH v_user IN ARRAY p_users LOOP
		IF octet_length(v_list) > 6000 THEN
			PERFORM pg_notify('parlance_all', concat('{"f":0,"m":[["p"', v_list, ']]}'));
			v_list := '';
		END IF;
		v_list := concat(v_list, ',', to_json(v_user));
	END LOOP;
	PERFORM pg_notify('parlance_all', concat('{"f":0,"m":[["p"', v_list, ']]}'));
END
$function$;

-- Sockets of an instance as they are now (p_rooms: an array of conversations each, as text), and those that
-- are gone. p_changed: users of whom the first socket came to this instance, or the last one left it.
CREATE FUNCTION parlance.presence_sync(p_instance bigint, p_sockets text[], p_users text[], p_rooms text[],
	p_gone text[], p_changed text[]) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $function$
BEGIN
	-- Share: reaping waits until this is in, and finds it.
	PERFORM FROM parlance.instance i WHERE i.id = p_instance FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN parlance.refusal('FENCED');
	END IF;
	DELETE FROM parlance.presence p WHERE p.instance = p_instance AND p.socket = ANY (p_gone);
	INSERT INTO parlance.presence AS p (instance, socket, user_id, conversations)
		SELECT p_instance, t.socket, t.user_id, t.rooms::uuid[]
		FROM unnest(p_sockets, p_users, p_rooms) AS t (socket, user_id, rooms)
		ON CONFLICT (instance, socket) DO UPDATE SET user_id = EXCLUDED.user_id,
			conversations = EXCLUDED.conversations;
	PERFORM parlance.presence_tell(p_changed);
	RETURN json_build_object('ok', true);
END
$function$;

-- Which of these users are online.
CREATE FUNCTION parlance.presence_online(p_users text[]) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $function$
BEGIN
	RETURN json_build_object('ok', true, 'online', coalesce((SELECT json_agg(u.id)
		FROM (SELECT DISTINCT t.id FROM unnest(p_users) AS t (id)) AS u
		WHERE EXISTS (SELECT FROM parlance.presence p WHERE p.user_id = u.id)), '[]'));
END
$function$;

-- The same for a client: of those whom he shares a conversation with, or of the participants of one.
-- users: those of them that may be asked about.
CREATE FUNCTION parlance.presence_get(p_user text, p_users text[], p_conversation uuid) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_users text[];
BEGIN
	IF p_conversation IS NOT NULL THEN
		IF parlance.role_of(p_user, p_conversation) IS NULL THEN
			RETURN parlance.refusal('NOT_FOUND');
		END IF;
		v_users := ARRAY(SELECT p.user_id FROM parlance.participant p
			WHERE p.conversation = p_conversation ORDER BY p.user_id);
	ELSE
		v_users := ARRAY(SELECT DISTINCT o.user_id FROM parlance.participant m
			JOIN parlance.conversation c ON c.id = m.conversation AND c.deleted_at IS NULL
			JOIN parlance.participant o ON o.conversation = m.conversation
			WHERE m.user_id = p_user AND o.user_id = ANY (p_users) ORDER BY o.user_id);
	END IF;
	RETURN json_build_object('ok', true,
		'ack', json_build_object('ok', true, 'online', parlance.presence_online(v_users) -> 'online'),
		'users', to_json(v_users));
END
$function$;

-- ---- for applications ----

-- The seed's questions, for all instances together.
CREATE FUNCTION parlance.user_online(p_user text) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
	SELECT EXISTS (SELECT FROM parlance.presence p WHERE p.user_id = p_user)
$function$;

CREATE FUNCTION parlance.user_sockets(p_user text) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
	SELECT DISTINCT p.socket FROM parlance.presence p WHERE p.user_id = p_user ORDER BY 1
$function$;

CREATE FUNCTION parlance.socket_user(p_socket text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
	SELECT p.user_id FROM parlance.presence p WHERE p.socket = p_socket LIMIT 1
$function$;

-- Those who have it open.
CREATE FUNCTION parlance.conversation_users(p_conversation uuid) RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
	SELECT DISTINCT p.user_id FROM parlance.participant q JOIN parlance.presence p ON p.user_id = q.user_id
		WHERE q.conversation = p_conversation AND p_conversation = ANY (p.conversations) ORDER BY 1
$function$;

-- The body of a published event. These functions are called by people, in transactions of their own: what
-- is wrong is an exception.
CREATE FUNCTION parlance.publish_body(p_event text, p_data json) RETURNS text
LANGUAGE plpgsql AS $function$
BEGIN
	IF coalesce(octet_length(p_event), 0) NOT BETWEEN 1 AND 128 OR p_event IN ('connect', 'connect_error',
			'disconnect', 'disconnecting', 'newListener', 'removeListener') THEN
		RAISE EXCEPTION 'parlance: "%" cannot be the name of an event', p_event
			USING ERRCODE = 'invalid_parameter_value', HINT = 'It has 1 to 128 bytes, and is none of '
				'those that Socket.IO reserves (connect, disconnect and the like).';
	END IF;
	RETURN concat('{"event":', to_json(p_event), ',"data":', coalesce(p_data::text, 'null'), '}');
END
$function$;

-- To all sockets of a user, and to those that lost their connection and recover it.
CREATE FUNCTION parlance.publish_to_user(p_user text, p_event text, p_data json) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_room uuid := parlance.user_room(p_user);
BEGIN
	IF coalesce(octet_length(p_user), 0) NOT BETWEEN 1 AND 255 THEN
		RAISE EXCEPTION 'parlance: the id of a user has 1 to 255 bytes'
			USING ERRCODE = 'invalid_parameter_value';
	END IF;
	PERFORM parlance.publish(v_room, v_room, NULL, NULL, NULL, NULL, ARRAY[v_room], 'published',
		parlance.publish_body(p_event, p_data), true);
END
$function$;

-- To all sockets that have the conversation open.
CREATE FUNCTION parlance.publish_to_conversation(p_conversation uuid, p_event text, p_data json) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
	PERFORM FROM parlance.conversation c WHERE c.id = p_conversation AND c.deleted_at IS NULL FOR KEY SHARE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'parlance: there is no conversation %', p_conversation
			USING ERRCODE = 'no_data_found';
	END IF;
	PERFORM parlance.publish(p_conversation, p_conversation, NULL, NULL, 'published',
		parlance.publish_body(p_event, p_data), NULL, NULL, NULL, true);
END
$function$;

-- The two for plugins, whose mistakes must not undo the work of others: a refusal is a result.
CREATE FUNCTION parlance.broadcast(p_user text, p_conversation uuid, p_event text, p_data json) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
	IF p_user IS NOT NULL THEN
		PERFORM parlance.publish_to_user(p_user, p_event, p_data);
	ELSE
		PERFORM parlance.publish_to_conversation(p_conversation, p_event, p_data);
	END IF;
	RETURN json_build_object('ok', true);
EXCEPTION
	WHEN invalid_parameter_value THEN
		RETURN parlance.refusal('BAD_REQUEST');
	WHEN no_data_found THEN
		RETURN parlance.refusal('NOT_FOUND');
END
$function$;

-- Ends all connections of a user, for good: his clients do not come back by themselves.
CREATE FUNCTION parlance.disconnect_user(p_user text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_room uuid := parlance.user_room(p_user);
BEGIN
	IF v_room IS NULL THEN
		RETURN;
	END IF;
	PERFORM parlance.publish(v_room, v_room, NULL, NULL, NULL, NULL, ARRAY[v_room], 'user.disconnected',
		'{}', true);
END
$function$;

-- ---- revoked tokens ----

-- For administrators and applications, in their own transaction. What has been revoked is kept for p_keep, which must
-- be longer than any token lasts.
CREATE FUNCTION parlance.revoke(p_kind text, p_id text, p_keep interval DEFAULT '366 days') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_now timestamptz := clock_timestamp();
BEGIN
	INSERT INTO parlance.revocation AS r (kind, id, at, keep_until) VALUES (p_kind, p_id, v_now, v_now + p_keep)
		ON CONFLICT (kind, id) DO UPDATE SET at = excluded.at, xact = excluded.xact,
			keep_until = greatest(r.keep_until, excluded.keep_until);
	PERFORM pg_notify('parlance_all', '{"f":0,"m":[["r"]]}');
END
$function$;

-- p_issued: in milliseconds; of a token that does not say it, null, which is before everything.
CREATE FUNCTION parlance.is_revoked(p_user text, p_token text, p_session text, p_issued bigint) RETURNS boolean
LANGUAGE sql STABLE AS $function$
	SELECT EXISTS (SELECT FROM parlance.revocation r WHERE r.kind = 'user' AND r.id = p_user
			AND r.at >= to_timestamp(coalesce(p_issued, 0) / 1000.0))
		OR EXISTS (SELECT FROM parlance.revocation r WHERE r.kind = 'session' AND r.id = p_session)
		OR EXISTS (SELECT FROM parlance.revocation r WHERE r.kind = 'token' AND r.id = p_token)
$function$;

CREATE FUNCTION parlance.token_check(p_user text, p_token text, p_session text, p_issued bigint) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
	IF parlance.is_revoked(p_user, p_token, p_session, p_issued) THEN
		RETURN parlance.refusal('UNAUTHENTICATED');
	END IF;
	RETURN json_build_object('ok', true);
END
$function$;

-- What was revoked since an earlier answer's "after" (null: to begin with, lately), some of it perhaps again.
CREATE FUNCTION parlance.revocations(p_after text) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
	RETURN json_build_object('ok', true, 'after', pg_snapshot_xmin(pg_current_snapshot())::text,
		'revoked', coalesce((SELECT json_agg(json_build_object('kind', r.kind, 'id', r.id,
				'at', floor(extract(epoch FROM r.at) * 1000)::bigint))
			FROM parlance.revocation r WHERE r.xact >= coalesce(p_after, '0')::xid8
				AND (p_after IS NOT NULL OR r.at > clock_timestamp() - interval '10 min')), '[]'));
END
$function$;

-- ---- sessions ----

-- 22 characters that nobody can guess the origin of.
CREATE FUNCTION parlance.digest22(p_text text) RETURNS text
LANGUAGE sql IMMUTABLE AS $function$
	SELECT left(translate(encode(sha256(convert_to(p_text, 'UTF8')), 'base64'), '+/', '-_'), 22)
$function$;

-- A pid stands for a client's connection, across reconnects: 14 characters at random, and 8 by which it is known
-- to be this user's.
CREATE FUNCTION parlance.user_pid(p_random text, p_user text) RETURNS text
LANGUAGE sql IMMUTABLE AS $function$
	SELECT left(p_random, 14) || left(parlance.digest22(concat('pid ', left(p_random, 14), ' ', p_user)), 8)
$function$;

-- A client comes (back). The id of its socket is made from its pid, so that only who has it can have that id
-- again. p_pid: the one that it brings, p_fresh: out of which it gets another, if its old connection cannot be
-- recovered. p_seqs: null, or where it stood, first in the
-- user's room, then in those of the conversations p_rooms, in epoch p_epoch; then, unless it has missed too much (p_max
-- events, or one that is older than p_window seconds), recovered is true and the answer has for each room its
-- head and the events between. A conversation that he takes no part in any more is left out. Whose connections
-- were ended by disconnect_user begins anew; whose token was revoked is refused (the last three: see token_check).
CREATE FUNCTION parlance.session_open(p_user text, p_pid text, p_fresh text, p_epoch text, p_rooms uuid[],
	p_seqs bigint[], p_window integer, p_max integer, p_token text DEFAULT NULL, p_session text DEFAULT NULL,
	p_issued bigint DEFAULT NULL) RETURNS json
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_room uuid := parlance.user_room(p_user);
	v_epoch text := parlance.epoch();
	v_pid text := parlance.user_pid(p_fresh, p_user);
	v_recovered boolean := p_seqs IS NOT NULL AND coalesce(p_epoch = v_epoch, false)
		AND coalesce(p_pid = parlance.user_pid(p_pid, p_user), false);
	v_left integer := p_max;
	v_rooms text := '';
	v_seq bigint;
	v_head bigint;
	v_role text;
	v_events text[];
	r record;
BEGIN
	IF parlance.is_revoked(p_user, p_token, p_session, p_issued) THEN
		RETURN parlance.refusal('UNAUTHENTICATED');
	END IF;
	SELECT coalesce(max(h.seq), 0) INTO v_seq FROM parlance.room h WHERE h.id = v_room;
	FOR r IN SELECT t.id, t.after, t.n FROM unnest(array_prepend(v_room, p_rooms), p_seqs)
			WITH ORDINALITY AS t (id, after, n) WHERE v_recovered LOOP
		v_role := CASE WHEN r.n > 1 THEN parlance.role_of(p_user, r.id) ELSE '' END;
		CONTINUE WHEN v_role IS NULL;
		SELECT coalesce(max(h.seq), 0) INTO v_head FROM parlance.room h WHERE h.id = r.id;
		v_recovered := coalesce(r.after <= v_head AND v_head - r.after <= v_left, false)
			AND NOT EXISTS (SELECT FROM parlance.event e WHERE e.room = r.id AND e.seq > r.after
				AND (e.type = 'user.disconnected' OR e.seq = r.after + 1
					AND e.at < clock_timestamp() - make_interval(secs => p_window)));
		EXIT WHEN NOT v_recovered;
		v_events := '{}';
		IF v_head > r.after THEN
			v_events := parlance.feed_events(r.id, r.after, v_left);
			-- Too long, or the log does not reach back so far.
			v_recovered := cardinality(v_events) = v_head - r.after;
			EXIT WHEN NOT v_recovered;
			v_left := v_left - cardinality(v_events);
		END IF;
		v_rooms := concat(v_rooms, CASE WHEN v_rooms <> '' THEN ',' END, '{"id":"', r.id, '","role":"',
			v_role, '","seq":', v_head, ',"events":[', array_to_string(v_events, ','), ']',
			',"activeStream":' || parlance.stream_json(r.id), '}');
	END LOOP;
	IF v_recovered THEN
		v_pid := p_pid;
	END IF;
	RETURN concat('{"ok":true,"room":"', v_room, '","seq":', v_seq, ',"epoch":"', v_epoch, '","pid":"', v_pid,
		'","socket":"', parlance.digest22(concat('socket ', v_pid)),
		'","recovered":', to_json(v_recovered),
		CASE WHEN v_recovered THEN concat(',"rooms":[', v_rooms, ']') END,
		',"streams":', coalesce((SELECT json_agg(json_build_object('conversationId', g.conversation,
				'streamId', g.stream) ORDER BY g.message)
			FROM parlance.participant p
			JOIN parlance.generation g ON g.conversation = p.conversation AND g.running
			WHERE p.user_id = p_user)::text, '[]'), '}')::json;
END
$function$;

-- ---- roles ----

-- Grants to the roles of roles.sql, those of them that exist. A migration that adds a function for the
-- daemon replaces this list, and calls it.
CREATE FUNCTION parlance.grant_roles() RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
	v_role text;
	v_function regprocedure;
BEGIN
	FOR v_role IN SELECT r.rolname FROM pg_catalog.pg_roles r
			WHERE r.rolname IN ('parlance_app', 'parlance_ctl', 'parlance_publisher') LOOP
		EXECUTE format('GRANT USAGE ON SCHEMA parlance TO %I', v_role);
		EXECUTE format('GRANT SELECT ON parlance.schema_version TO %I', v_role);
		FOR v_function IN SELECT p.oid::regprocedure FROM pg_catalog.pg_proc p
				WHERE p.pronamespace = 'parlance'::regnamespace AND p.proname = ANY (CASE v_role
					WHEN 'parlance_app' THEN ARRAY['session_open', 'conversation_join',
						'conversation_access', 'conversation_list', 'conversation_create',
						'conversation_update', 'conversation_delete', 'conversation_share',
						'conversation_unshare', 'conversation_view', 'message_list',
						'message_send', 'message_stop', 'generation_begin',
						'generation_finish', 'generation_parts', 'feed_heads', 'feed_replay',
						'instance_register', 'instance_beat', 'instance_retire',
						'instance_reap', 'instance_send', 'presence_sync',
						'presence_online', 'presence_get', 'broadcast', 'maintain',
						'token_check', 'revocations']
					WHEN 'parlance_publisher' THEN ARRAY['publish_to_user',
						'publish_to_conversation', 'disconnect_user', 'revoke', 'user_online',
						'user_sockets', 'socket_user', 'conversation_users']
					ELSE ARRAY['instance_reap', 'maintain', 'disconnect_user', 'revoke',
						'user_online', 'user_sockets', 'socket_user', 'conversation_users'] END) LOOP
			EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', v_function, v_role);
		END LOOP;
	END LOOP;
	IF to_regrole('parlance_ctl') IS NOT NULL THEN
		GRANT SELECT ON parlance.room, parlance.instance, parlance.generation, parlance.presence,
			parlance.revocation TO parlance_ctl;
	END IF;
END
$function$;

REVOKE ALL ON ALL TABLES IN SCHEMA parlance FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA parlance FROM PUBLIC;
PERFORM parlance.grant_roles();
PERFORM parlance.maintain();

END
$migration$;

COMMIT;
