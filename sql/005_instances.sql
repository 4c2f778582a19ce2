-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
--
-- Instances and their leases, maintenance, and the grants of the roles.

BEGIN;
SET LOCAL lock_timeout = '10s';
SET LOCAL search_path = pg_catalog, pg_temp;

DO $migration$
BEGIN

IF NOT parlance.migration_begin(5, '005_instances') THEN
	RETURN;
END IF;

-- ---- leases ----

-- Times are those of the database: clock_timestamp(), since now() is the start of a whole group.

CREATE FUNCTION parlance.instance_register(p_host text, p_pid integer, p_advertise text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_id bigint;
BEGIN
	INSERT INTO parlance.instance (host, pid, advertise, expires_at)
		VALUES (p_host, p_pid, p_advertise, clock_timestamp() + interval '10 s') RETURNING id INTO v_id;
	RETURN json_build_object('ok', true, 'id', v_id);
END
$function$;

CREATE FUNCTION parlance.instance_beat(p_id bigint) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
	UPDATE parlance.instance i SET expires_at = clock_timestamp() + interval '10 s' WHERE i.id = p_id;
	RETURN json_build_object('ok', FOUND);
END
$function$;

-- Ends what an instance that is gone has left; how many answers. In the order of the conversations,
-- whose locks it takes.
CREATE FUNCTION parlance.instance_end(p_id bigint) RETURNS integer
LANGUAGE plpgsql AS $function$
DECLARE
	g record;
	v_ended integer := 0;
BEGIN
	FOR g IN SELECT s.message, s.conversation FROM parlance.generation s WHERE s.instance = p_id
			ORDER BY s.conversation, s.message LOOP
		PERFORM FROM parlance.conversation c WHERE c.id = g.conversation FOR NO KEY UPDATE;
		DELETE FROM parlance.generation s WHERE s.message = g.message AND s.instance = p_id;
		IF FOUND THEN
			PERFORM parlance.answer_end(g.conversation, g.message, 'interrupted', 'interrupted',
				NULL, NULL, NULL, NULL);
			v_ended := v_ended + 1;
		END IF;
	END LOOP;
	DELETE FROM parlance.instance i WHERE i.id = p_id;
	RETURN v_ended;
END
$function$;

CREATE FUNCTION parlance.instance_retire(p_id bigint) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
	RETURN json_build_object('ok', true, 'interrupted', parlance.instance_end(p_id));
END
$function$;

-- Instances whose lease ran out, and generations that belong to none (a send that came while its
-- instance was reaped).
CREATE FUNCTION parlance.instance_reap() RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_id bigint;
	v_instances integer := 0;
	v_interrupted integer := 0;
BEGIN
	IF NOT pg_try_advisory_xact_lock(5792036405591827302) THEN
		RETURN json_build_object('ok', true, 'instances', 0, 'interrupted', 0);
	END IF;
	FOR v_id IN SELECT i.id FROM parlance.instance i WHERE i.expires_at < clock_timestamp()
			ORDER BY i.id FOR UPDATE SKIP LOCKED LOOP
		v_interrupted := v_interrupted + parlance.instance_end(v_id);
		v_instances := v_instances + 1;
	END LOOP;
	FOR v_id IN SELECT DISTINCT g.instance FROM parlance.generation g
			WHERE NOT EXISTS (SELECT FROM parlance.instance i WHERE i.id = g.instance) LOOP
		v_interrupted := v_interrupted + parlance.instance_end(v_id);
	END LOOP;
	RETURN json_build_object('ok', true, 'instances', v_instances, 'interrupted', v_interrupted);
END
$function$;

-- ---- maintenance ----

-- One partition a day (UTC). Attached rather than made in place: that does not lock the whole log. What
-- fell into the default partition moves over.
CREATE FUNCTION parlance.event_partition(p_day date) RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
	v_name text := 'event_' || to_char(p_day, 'YYYYMMDD');
	v_from timestamptz := p_day::timestamp AT TIME ZONE 'UTC';
	v_to timestamptz := (p_day + 1)::timestamp AT TIME ZONE 'UTC';
	v_rows bigint;
BEGIN
	-- Not to_regclass: the session's cache can be older than the advisory lock of maintain().
	IF EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'parlance'::regnamespace
			AND c.relname = v_name) THEN
		RETURN;
	END IF;
	LOCK TABLE parlance.event_default IN ACCESS EXCLUSIVE MODE;
	EXECUTE format('CREATE TABLE parlance.%I (LIKE parlance.event INCLUDING DEFAULTS)
		WITH (autovacuum_vacuum_insert_threshold = -1)', v_name);
	EXECUTE format('WITH moved AS (DELETE FROM parlance.event_default WHERE at >= $1 AND at < $2 RETURNING *)
		INSERT INTO parlance.%I SELECT * FROM moved', v_name) USING v_from, v_to;
	GET DIAGNOSTICS v_rows = ROW_COUNT;
	IF v_rows > 0 THEN
		RAISE WARNING 'parlance: % events of % were in event_default: maintain() was not called in time',
			v_rows, p_day;
	END IF;
	EXECUTE format('ALTER TABLE parlance.event ATTACH PARTITION parlance.%I FOR VALUES FROM (%L) TO (%L)',
		v_name, v_from, v_to);
END
$function$;

-- A batch at a time, so that the group it is part of is not held up; what is left is for the next call.
CREATE FUNCTION parlance.purge() RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
	v_old timestamptz := now() - interval '30 days';
BEGIN
	PERFORM set_config('parlance.purge', 'on', true);
	DELETE FROM parlance.message m WHERE m.id IN (SELECT s.id FROM parlance.message s
		JOIN parlance.conversation c ON c.id = s.conversation WHERE c.deleted_at < v_old LIMIT 2000);
	DELETE FROM parlance.conversation c WHERE c.id IN (SELECT s.id FROM parlance.conversation s
		WHERE s.deleted_at < v_old
			AND NOT EXISTS (SELECT FROM parlance.message m WHERE m.conversation = s.id) LIMIT 200);
	DELETE FROM parlance.message_part p
		WHERE NOT EXISTS (SELECT FROM parlance.generation g WHERE g.message = p.message);
	PERFORM set_config('parlance.purge', '', true);
END
$function$;

-- It waits for no lock longer than lock_timeout says, and leaves to the next call what it did not get.
CREATE FUNCTION parlance.maintain() RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $function$
DECLARE
	v_today date := (clock_timestamp() AT TIME ZONE 'UTC')::date;
	v_table record;
BEGIN
	IF NOT pg_try_advisory_xact_lock(5792036405591827303) THEN
		RETURN json_build_object('ok', true);
	END IF;
	PERFORM parlance.purge();
	BEGIN
		FOR v_day IN 0 .. 3 LOOP
			PERFORM parlance.event_partition(v_today + v_day);
		END LOOP;
		FOR v_table IN SELECT c.oid::regclass AS name FROM pg_inherits i
				JOIN pg_class c ON c.oid = i.inhrelid
				WHERE i.inhparent = 'parlance.event'::regclass
					AND c.relname ~ '^event_[0-9]{8}$'
					AND c.relname < 'event_' || to_char(v_today - 3, 'YYYYMMDD') LOOP
			EXECUTE format('DROP TABLE %s', v_table.name);
		END LOOP;
	EXCEPTION WHEN lock_not_available THEN
		RAISE LOG 'parlance: maintain: the event log is in use, next time';
	END;
	RETURN json_build_object('ok', true);
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
			WHERE r.rolname IN ('parlance_app', 'parlance_ctl') LOOP
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
						'instance_reap', 'maintain']
					ELSE ARRAY['instance_reap', 'maintain'] END) LOOP
			EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', v_function, v_role);
		END LOOP;
	END LOOP;
	IF to_regrole('parlance_ctl') IS NOT NULL THEN
		GRANT SELECT ON parlance.room, parlance.instance, parlance.generation TO parlance_ctl;
	END IF;
END
$function$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA parlance FROM PUBLIC;
PERFORM parlance.grant_roles();
PERFORM parlance.maintain();

END
$migration$;

COMMIT;
