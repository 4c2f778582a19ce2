-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
--
-- The roles, for a database that several logins share. Not a migration: run it as often as you like,
-- after the migrations (before them it only makes the roles), as a superuser, or as a user with CREATEROLE
-- who owns the database (and the schema, when it is there):
--
--     psql -v ON_ERROR_STOP=1 -d DATABASE -f sql/roles.sql
--     CREATE ROLE chat LOGIN; GRANT parlance_app TO chat;
--
-- parlance_owner owns the schema; grant it to whoever runs migrations. parlance_app is for parlanced: it may
-- call the functions of README.md, and nothing else. parlance_ctl is for people and monitoring: it reads
-- the tables that hold nothing of what was said, and may call maintain(), instance_reap(), disconnect_user() and
-- revoke(). parlance_publisher is for your application: it may publish events to users and
-- conversations, end a user's connections, revoke tokens, and ask who is online. Without
-- roles, one user owns and does all.
--
-- NOTIFY and LISTEN know no rights: whoever can connect can read and forge events. So only these roles
-- may connect.

BEGIN;
SET LOCAL lock_timeout = '10s';
SET LOCAL search_path = pg_catalog, pg_temp;

DO $roles$
DECLARE
	v_role text;
	v_object record;
BEGIN
	PERFORM pg_advisory_xact_lock(5792036405591827301);
	FOREACH v_role IN ARRAY ARRAY['parlance_owner', 'parlance_app', 'parlance_ctl',
			'parlance_publisher'] LOOP
		IF to_regrole(v_role) IS NULL THEN
			EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', v_role);
		END IF;
		EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), v_role);
	END LOOP;
	-- To give it objects, and to run migrations, one must be a member.
	IF NOT pg_has_role(current_user, 'parlance_owner', 'USAGE') THEN
		EXECUTE format('GRANT parlance_owner TO %I', current_user);
	END IF;
	EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
	EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO parlance_owner', current_database());

	IF to_regclass('parlance.schema_version') IS NULL THEN
		RETURN;
	END IF;
	IF (SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = 'parlance')
			<> to_regrole('parlance_owner') THEN
		ALTER SCHEMA parlance OWNER TO parlance_owner;
	END IF;
	-- Indexes, and the sequence of an identity, go with their tables.
	FOR v_object IN SELECT c.oid::regclass AS name FROM pg_class c
			WHERE c.relnamespace = 'parlance'::regnamespace AND c.relkind IN ('r', 'p')
				AND c.relowner <> to_regrole('parlance_owner') LOOP
		EXECUTE format('ALTER TABLE %s OWNER TO parlance_owner', v_object.name);
	END LOOP;
	FOR v_object IN SELECT p.oid::regprocedure AS name FROM pg_proc p
			WHERE p.pronamespace = 'parlance'::regnamespace
				AND p.proowner <> to_regrole('parlance_owner') LOOP
		EXECUTE format('ALTER FUNCTION %s OWNER TO parlance_owner', v_object.name);
	END LOOP;
	-- It is there when all migrations are in.
	IF to_regprocedure('parlance.grant_roles()') IS NOT NULL THEN
		PERFORM set_config('role', 'parlance_owner', true);
		PERFORM parlance.grant_roles();
	END IF;
END
$roles$;

COMMIT;
