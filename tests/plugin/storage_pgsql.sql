-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
--
-- A stand-in for sql/, for the tests of the plugin storage_pgsql: every function of the list in
-- parlance/storage.h, made by function_of(). Each writes down that it was called, and does what its
-- first parameter says:
--
--   fail STATE TEXT   raises that error
--   defer             fails at commit
--   sleep SECONDS     takes so long
--   conflict N        fails with 40001 the first N times
--   exit              ends its own session
--   none              returns SQL's NULL
--   (anything else)   returns {"ok": true, "tx": transaction, "pid": backend, "sync":
--                     synchronous_commit, "args": […]}

CREATE SCHEMA parlance;
CREATE TABLE parlance.schema_version (version int PRIMARY KEY);
INSERT INTO parlance.schema_version VALUES (6);

CREATE TABLE parlance.called (at bigint GENERATED ALWAYS AS IDENTITY, name text, first text,
	tx xid8, pid int);
CREATE SEQUENCE parlance.conflicts;

CREATE FUNCTION parlance.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'refused at commit' USING ERRCODE = '54000';
END $$;
CREATE TABLE parlance.deferred (n int);
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON parlance.deferred DEFERRABLE INITIALLY DEFERRED
	FOR EACH ROW EXECUTE FUNCTION parlance.refuse();

CREATE FUNCTION parlance.call(name text, args text[]) RETURNS json LANGUAGE plpgsql AS $$
DECLARE
	word text[] := string_to_array(coalesce(args[1], ''), ' ');
BEGIN
	INSERT INTO parlance.called (name, first, tx, pid)
		VALUES (name, args[1], pg_current_xact_id(), pg_backend_pid());
	CASE word[1]
	WHEN 'fail' THEN
		RAISE EXCEPTION '%', array_to_string(word[3:], ' ') USING ERRCODE = word[2];
	WHEN 'defer' THEN
		INSERT INTO parlance.deferred VALUES (1);
	WHEN 'sleep' THEN
		PERFORM pg_sleep(word[2]::float8);
	WHEN 'conflict' THEN
		IF nextval('parlance.conflicts') <= word[2]::bigint THEN
			RAISE EXCEPTION 'try again' USING ERRCODE = '40001';
		END IF;
	WHEN 'exit' THEN
		PERFORM pg_terminate_backend(pg_backend_pid());
		PERFORM pg_sleep(60);
	WHEN 'none' THEN
		RETURN NULL;
	ELSE
	END CASE;
	RETURN json_build_object('ok', true, 'tx', pg_current_xact_id()::text, 'pid',
		pg_backend_pid(), 'sync', current_setting('synchronous_commit'), 'args', args);
END $$;

CREATE FUNCTION parlance.function_of(name text, n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE FUNCTION parlance.%I(%s) RETURNS json LANGUAGE sql AS %L', name,
		(SELECT string_agg('text', ', ') FROM generate_series(1, n)),
		format('SELECT parlance.call(%L, ARRAY[%s]::text[])', name,
			(SELECT string_agg('$' || i, ', ') FROM generate_series(1, n) AS i)));
END $$;
