-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
--
-- Instances and their leases, and maintenance.

BEGIN;
SET LOCAL lock_timeout = '10s';
SET LOCAL search_path = pg_catalog, pg_temp;

DO $migration$
BEGIN

IF NOT parlance.migration_begin(5, '005_instances') THEN
	RETURN;
END IF;

-- ---- leases ----

-- Times are those of the database: clock_timestamp(), since now() is the start of a whole group. A lease
-- lasts 6 s and is renewed every 2 s, and the others look every 2 s or so: an instance that dies is found
-- within 10 s.

CREATE FUNCTION parlance.instance_register(p_host text, p_pid integer, p_advertise text) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
	v_id bigint;
BEGIN
	INSERT INTO parlance.instance (host, pid, advertise, expires_at)
		VALUES (p_host, p_pid, nullif(p_advertise, ''), clock_timestamp() + interval '6 s')
		RETURNING id INTO v_id;
	-- The others are to know that they are not alone.
	PERFORM pg_notify('parlance_all', '{"f":0,"m":[["b"]]}');
	RETURN json_build_object('ok', true, 'id', v_id,
		'secret', (SELECT c.secret FROM parlance.cluster c));
END
$function$;

-- p_watches: tabs of this instance want to hear of presence. stops: its answers that somebody elsewhere wants
-- to end.
CREATE FUNCTION parlance.instance_beat(p_id bigint, p_watches boolean) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off AS $function$
BEGIN
	UPDATE parlance.instance i SET expires_at = clock_timestamp() + interval '6 s',
		watches = coalesce(p_watches, false) WHERE i.id = p_id;
	IF NOT FOUND THEN
		RETURN json_build_object('ok', false);
	END IF;
	RETURN json_build_object('ok', true, 'epoch', parlance.epoch(),
		'instances', (SELECT coalesce(json_agg(json_build_object('id', i.id, 'address', i.advertise)
				ORDER BY i.id), '[]') FROM parlance.instance i WHERE i.id <> p_id),
		'stops', (SELECT coalesce(json_agg(g.message), '[]') FROM parlance.generation g
			WHERE g.instance = p_id AND g.stop));
END
$function$;

-- Ends what an instance that is gone has left; how many answers. In the order of the conversations,
-- whose locks it takes.
CREATE FUNCTION parlance.instance_end(p_id bigint) RETURNS integer
LANGUAGE plpgsql AS $function$
DECLARE
	g record;
	v_ended integer := 0;
	v_users text[];
BEGIN
	FOR g IN SELECT s.message, s.conversation FROM parlance.generation s WHERE s.instance = p_id
			ORDER BY s.conversation, s.message LOOP
		PERFORM FROM parlance.conversation c WHERE c.id = g.conversation FOR NO KEY UPDATE;
		IF parlance.answer_end(g.conversation, g.message, p_id, 'interrupted', 'interrupted',
				NULL, NULL, NULL, NULL) THEN
			v_ended := v_ended + 1;
		END IF;
	END LOOP;
	DELETE FROM parlance.instance i WHERE i.id = p_id;
	v_users := ARRAY(SELECT DISTINCT p.user_id FROM parlance.presence p WHERE p.instance = p_id);
	DELETE FROM parlance.presence p WHERE p.instance = p_id;
	PERFORM parlance.presence_tell(v_users);
	RETURN v_ended;
END
$function$;

CREATE FUNCTION parlance.instance_retire(p_id bigint) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $function$
BEGIN
	RETURN json_build_object('ok', true, 'interrupted', parlance.instance_end(p_id));
END
$function$;

-- Who calls this was able to renew his own lease for as long as one lasts: then those who did not could have
-- (while the server is down nobody can). Instances whose lease ran out, and generations that belong to none (a send that came while its
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
	DELETE FROM parlance.revocation r WHERE r.keep_until < clock_timestamp();
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

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA parlance FROM PUBLIC;

END
$migration$;

COMMIT;
