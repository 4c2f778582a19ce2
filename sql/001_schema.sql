-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
--
-- The tables, and the frame that migrations run in. README.md says what this folder is.
--
-- Each migration is one transaction, and one DO block: so that a second run does nothing, whether psql
-- or parlancectl runs it. What a table may hold is said here; who may write it, by the functions.

BEGIN;
SET LOCAL lock_timeout = '10s';
SET LOCAL search_path = pg_catalog, pg_temp;

DO $migration$
BEGIN

-- The same for all migrations: 'Parlance' as a number.
PERFORM pg_advisory_xact_lock(5792036405591827301);
-- Read from the catalog: what the session's cache says can be older than the lock.
IF EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = 'parlance' AND c.relname = 'schema_version') THEN
	RAISE NOTICE 'parlance: 001_schema is applied already';
	RETURN;
END IF;
IF EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'parlance_owner'
		AND r.rolname <> current_user
		AND pg_has_role(current_user, r.oid, 'MEMBER')
		AND has_database_privilege(r.oid, current_database(), 'CREATE')) THEN
	PERFORM set_config('role', 'parlance_owner', true);
END IF;

CREATE SCHEMA parlance;
REVOKE ALL ON SCHEMA parlance FROM PUBLIC;

-- ---- migrations ----

CREATE TABLE parlance.schema_version (
	version integer PRIMARY KEY,
	name text NOT NULL,
	sha256 text, -- of the file, in hex; null: applied by psql
	applied_at timestamptz NOT NULL DEFAULT now(),
	applied_by text NOT NULL DEFAULT session_user
);

-- The first statement of a migration: false when it is applied already; else it is noted as applied, and
-- the rest of the transaction runs as the schema's owner.
CREATE FUNCTION parlance.migration_begin(p_version integer, p_name text) RETURNS boolean
LANGUAGE plpgsql AS $function$
DECLARE
	v_owner name;
BEGIN
	PERFORM pg_catalog.pg_advisory_xact_lock(5792036405591827301);
	IF EXISTS (SELECT FROM parlance.schema_version s WHERE s.version = p_version) THEN
		RAISE NOTICE 'parlance: % is applied already', p_name;
		RETURN false;
	END IF;
	IF p_version <> (SELECT coalesce(max(s.version), 0) + 1 FROM parlance.schema_version s) THEN
		RAISE EXCEPTION 'parlance: % cannot be applied: the migration before it is missing', p_name
			USING ERRCODE = 'object_not_in_prerequisite_state',
			HINT = 'Apply the files of sql/ in the order of their numbers.';
	END IF;
	SELECT r.rolname INTO v_owner FROM pg_catalog.pg_namespace n
		JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner WHERE n.nspname = 'parlance';
	IF v_owner <> current_user THEN
		PERFORM pg_catalog.set_config('role', v_owner, true);
	END IF;
	INSERT INTO parlance.schema_version (version, name, sha256) VALUES (p_version, p_name,
		nullif(pg_catalog.current_setting('parlance.migration_sha256', true), ''));
	RETURN true;
END
$function$;

INSERT INTO parlance.schema_version (version, name, sha256) VALUES (1, '001_schema',
	nullif(current_setting('parlance.migration_sha256', true), ''));

-- Types rather than CHECKs: those are parsed again for each statement, which a send would feel. Foreign
-- keys of the busiest tables are left to the triggers of 002_events.sql for the same reason.
CREATE TYPE parlance.message_role AS ENUM ('user', 'assistant', 'system');
CREATE TYPE parlance.message_status AS ENUM
	('pending', 'streaming', 'complete', 'stopped', 'interrupted', 'failed');

-- ---- rooms and the event log ----

-- The id of a user's room: a version 8 UUID (RFC 9562) out of SHA-256, in a namespace of ours.
CREATE FUNCTION parlance.user_room(p_user text) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $function$
DECLARE
	h bytea := substring(pg_catalog.sha256('\x5be2a1c07d0f4c3e9a64d1f0b7c8e253'::bytea
		|| pg_catalog.convert_to(p_user, 'UTF8')) FROM 1 FOR 16);
BEGIN
	h := pg_catalog.set_byte(h, 6, pg_catalog.get_byte(h, 6) & 15 | 128);
	h := pg_catalog.set_byte(h, 8, pg_catalog.get_byte(h, 8) & 63 | 128);
	RETURN pg_catalog.encode(h, 'hex')::uuid;
END
$function$;

-- Stands for a user towards AI services.
CREATE FUNCTION parlance.user_hash(p_user text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $function$
BEGIN
	RETURN pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(
		pg_catalog.convert_to('parlance user ' || p_user, 'UTF8')), 'hex'), 32);
END
$function$;

-- The row lock of next_seq is held until the commit, so the order of seq is that of the commits, and a
-- rollback leaves no hole. Updated with each event: room on the page for the next version (HOT).
CREATE TABLE parlance.room (
	id uuid PRIMARY KEY,
	kind "char" NOT NULL, -- c: a conversation's, u: a user's
	seq bigint NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
	autovacuum_vacuum_cost_delay = 0);

-- at grows with seq within a room (it is read under the room's lock), so dropping the oldest partition
-- drops the first events of each room.
CREATE TABLE parlance.event (
	room uuid NOT NULL,
	seq bigint NOT NULL,
	at timestamptz NOT NULL,
	kind "char" NOT NULL,
	type text NOT NULL,
	conversation uuid NOT NULL,
	ref uuid NOT NULL, -- id of what changed
	origin text,
	actor text,
	body json, -- null: it is made from the rows when the event is read
	PRIMARY KEY (room, seq, at)
) PARTITION BY RANGE (at);

-- A net for days without a partition; maintain() makes them in time.
CREATE TABLE parlance.event_default PARTITION OF parlance.event DEFAULT;

-- ---- conversations ----

-- origin and actor of a row's version: the socket and the user that caused it, from the settings that
-- the functions set; null when any other program wrote it.

-- Nothing that a message changes (last_ord, message_count, total_tokens, active_at) may be indexed: these
-- updates must stay HOT.
CREATE TABLE parlance.conversation (
	id uuid PRIMARY KEY,
	title text NOT NULL DEFAULT 'New conversation',
	model text,
	system_prompt text,
	metadata json NOT NULL DEFAULT '{}',
	archived boolean NOT NULL DEFAULT false,
	version bigint NOT NULL DEFAULT 1, -- grows with title, model, system_prompt, metadata, archived
	last_ord bigint NOT NULL DEFAULT 0,
	message_count bigint NOT NULL DEFAULT 0,
	total_tokens bigint NOT NULL DEFAULT 0,
	active_at timestamptz NOT NULL DEFAULT now(),
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),
	deleted_at timestamptz,
	origin text DEFAULT nullif(current_setting('parlance.origin', true), ''),
	actor text DEFAULT nullif(current_setting('parlance.actor', true), '')
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX conversation_deleted ON parlance.conversation (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE parlance.participant (
	conversation uuid NOT NULL REFERENCES parlance.conversation ON DELETE CASCADE,
	user_id text NOT NULL CHECK (octet_length(user_id) BETWEEN 1 AND 255),
	role text NOT NULL CHECK (role IN ('owner', 'editor', 'viewer')),
	room uuid NOT NULL GENERATED ALWAYS AS (parlance.user_room(user_id)) STORED,
	hash text NOT NULL GENERATED ALWAYS AS (parlance.user_hash(user_id)) STORED,
	last_read bigint NOT NULL DEFAULT 0, -- ord of a message
	viewed_at timestamptz, -- of the last conversation_view
	leaving boolean NOT NULL DEFAULT false, -- being deleted by conversation_unshare
	created_at timestamptz NOT NULL DEFAULT now(),
	origin text DEFAULT nullif(current_setting('parlance.origin', true), ''),
	actor text DEFAULT nullif(current_setting('parlance.actor', true), ''),
	PRIMARY KEY (conversation, user_id)
) WITH (fillfactor = 80);

CREATE INDEX participant_user ON parlance.participant (user_id);
CREATE UNIQUE INDEX participant_owner ON parlance.participant (conversation) WHERE role = 'owner';

-- ---- messages ----

-- Half of a page is left for the answers, which come later than their rows: these updates must stay HOT, too.
CREATE TABLE parlance.message (
	id uuid PRIMARY KEY,
	conversation uuid NOT NULL,
	ord bigint NOT NULL, -- its seq in the conversation
	client_id text, -- at most 128 bytes
	parent uuid,
	role parlance.message_role NOT NULL,
	status parlance.message_status NOT NULL DEFAULT 'complete',
	content text NOT NULL DEFAULT '',
	author text, -- the user who sent it, or whom it answers
	model text,
	stream uuid,
	tokens bigint NOT NULL DEFAULT 0,
	usage json,
	finish_reason text,
	error json,
	created_at timestamptz NOT NULL DEFAULT now(),
	updated_at timestamptz NOT NULL DEFAULT now(),
	origin text DEFAULT nullif(current_setting('parlance.origin', true), ''),
	actor text DEFAULT nullif(current_setting('parlance.actor', true), ''),
	-- Of a question and the running answer that message_send inserts with it: the transaction, so that the
	-- trigger of one tells of both; and, in the question, its answer. stream is the answer's in both.
	pair xid8,
	answer uuid,
	UNIQUE (conversation, ord)
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.05);

CREATE UNIQUE INDEX message_client_id ON parlance.message (conversation, client_id)
	WHERE client_id IS NOT NULL;

-- A parlanced: a new id for each start, which is the fence of its writes.
CREATE TABLE parlance.instance (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	host text,
	pid integer,
	advertise text, -- where the other instances reach it; null: nowhere
	watches boolean NOT NULL DEFAULT false, -- it wants to hear of presence
	started_at timestamptz NOT NULL DEFAULT now(),
	expires_at timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 100);

-- Who makes which answer: a row for each that runs or waits. What belongs to no instance is reaped.
CREATE TABLE parlance.generation (
	message uuid PRIMARY KEY,
	conversation uuid NOT NULL,
	instance bigint NOT NULL,
	running boolean NOT NULL,
	stop boolean NOT NULL DEFAULT false, -- somebody elsewhere wants it to end
	place bigint NOT NULL, -- those that wait: the lowest is next
	stream uuid NOT NULL,
	model text,
	options json,
	created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 500,
	autovacuum_vacuum_cost_delay = 0);

CREATE INDEX generation_conversation ON parlance.generation (conversation);
CREATE UNIQUE INDEX generation_running ON parlance.generation (conversation) WHERE running;

-- The text of a running answer so far: appended only, an eighth of the WAL of content || more.
CREATE TABLE parlance.message_part (
	message uuid NOT NULL,
	off bigint NOT NULL, -- in bytes
	text text NOT NULL,
	PRIMARY KEY (message, off)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000,
	autovacuum_vacuum_cost_delay = 0);

-- ---- revoked tokens ----

-- What is not good any more though it has not expired: all tokens of a user that were issued until then, those of a
-- sign-in (a JWT's sid), or one token (its jti). xact: the change's, so that instances can ask for what is new to
-- them, in whatever order it was committed.
CREATE TABLE parlance.revocation (
	kind text NOT NULL CHECK (kind IN ('user', 'session', 'token')),
	id text NOT NULL CHECK (octet_length(id) BETWEEN 1 AND 255),
	at timestamptz NOT NULL,
	keep_until timestamptz NOT NULL,
	xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
	PRIMARY KEY (kind, id)
);
CREATE INDEX revocation_xact ON parlance.revocation (xact);

REVOKE ALL ON ALL TABLES IN SCHEMA parlance FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA parlance FROM PUBLIC;

END
$migration$;

COMMIT;
