#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Copyright the Parlance authors
# roles.sql: who may do what, and who can run it.

. "${BASH_SOURCE[0]%/*}/lib.sh"

sql -f "$SQL/roles.sql" && sql -f "$SQL/roles.sql"
is $? 0 'roles.sql, twice'
sql -c 'CREATE ROLE chat LOGIN IN ROLE parlance_app' -c 'CREATE ROLE ops LOGIN IN ROLE parlance_ctl' -c 'CREATE ROLE web LOGIN IN ROLE parlance_publisher' \
	-c 'CREATE ROLE guest LOGIN' -c 'CREATE ROLE deploy LOGIN IN ROLE parlance_owner'
is "$(sql -c "SELECT string_agg(DISTINCT o::text, ',') FROM (SELECT relowner::regrole AS o FROM pg_class WHERE relnamespace = 'parlance'::regnamespace
	UNION SELECT proowner::regrole FROM pg_proc WHERE pronamespace = 'parlance'::regnamespace
	UNION SELECT nspowner::regrole FROM pg_namespace WHERE nspname = 'parlance') s")" parlance_owner 'parlance_owner owns everything'
is "$(psql -qXAt -d parlance -U guest -c 'SELECT 1' 2>&1 | grep -c 'permission denied for database')" 1 'others cannot connect'

app() {
	state parlance chat "$1"
}
is "$(app "SELECT parlance.instance_register('h', 1, NULL)")" ok 'the daemon: register'
is "$(app "SELECT parlance.conversation_create('ann', 'c0000000-0000-7000-8000-000000000001', NULL, NULL, NULL, NULL, NULL)")" ok 'create, with its events'
send="SELECT parlance.message_send('ann', 'c0000000-0000-7000-8000-000000000001', NULL, gen_random_uuid(), 'a0000000-0000-7000-8000-000000000001', gen_random_uuid(), 'x', NULL, NULL, NULL, NULL, 3, 9, 1, NULL)"
is "$(app "$send")" ok 'send'
is "$(app "SELECT parlance.generation_parts(1, '{a0000000-0000-7000-8000-000000000001}', '{0}', '{x}')")" ok 'parts'
is "$(app "SELECT parlance.generation_finish('a0000000-0000-7000-8000-000000000001', 1, 'complete', NULL, NULL, NULL, NULL, NULL)")" ok 'finish'
is "$(app "SELECT parlance.maintain()")" ok 'maintain'
is "$(app "LISTEN parlance_ev")" ok 'listen'
is "$(app "SELECT version FROM parlance.schema_version")" ok 'the version'
# Each function that the C side has.
missing=
for name in session_open conversation_join conversation_access conversation_list conversation_create conversation_update \
	conversation_delete conversation_share conversation_unshare conversation_view message_list message_send message_stop \
	generation_begin generation_finish generation_parts feed_heads feed_replay instance_register instance_beat \
	instance_retire instance_reap instance_send presence_sync presence_online presence_get broadcast maintain \
	token_check revocations; do
	[ "$(sql -c "SELECT has_function_privilege('chat', p.oid, 'EXECUTE') FROM pg_proc p WHERE pronamespace = 'parlance'::regnamespace AND proname = '$name'")" = t ] ||
		missing="$missing $name"
done
is "$missing" '' 'every function of the daemon'
is "$(sql -c "SELECT count(*) FROM pg_proc p WHERE pronamespace = 'parlance'::regnamespace AND has_function_privilege('chat', p.oid, 'EXECUTE')")" 30 'and no other'
for table in room event event_default conversation participant message instance generation message_part cluster presence revocation; do
	is "$(app "SELECT 1 FROM parlance.$table")$(app "DELETE FROM parlance.$table")" 4250142501 "the daemon has no right on $table"
done
is "$(app "SELECT parlance.publish(gen_random_uuid(), gen_random_uuid(), NULL, NULL, 'x', '{}', NULL, NULL, NULL, false)")" 42501 'nor may it call publish'
is "$(app "SELECT parlance.role_of('ann', 'c0000000-0000-7000-8000-000000000001')")" 42501 'nor role_of'
is "$(app "CREATE TABLE parlance.x ()")$(app 'CREATE SCHEMA x')" 4250142501 'nor make anything'
is "$(app "CREATE TEMP TABLE message (id uuid)")" 42501 'nor temporary tables'
is "$(app "BEGIN; SET LOCAL search_path = pg_temp, public; ${send/a0000000-0000-7000-8000-000000000001/a0000000-0000-7000-8000-000000000002}; COMMIT")" ok 'search_path of the caller does not matter'

is "$(state parlance ops 'SELECT 1 FROM parlance.instance, parlance.generation, parlance.room, parlance.schema_version')" ok 'ctl reads what holds no texts'
is "$(state parlance ops 'SELECT 1 FROM parlance.message')$(state parlance ops 'SELECT 1 FROM parlance.event')" 4250142501 'but no messages'
is "$(state parlance ops 'SELECT parlance.instance_reap(), parlance.maintain()')" ok 'ctl reaps and maintains'
is "$(state parlance ops "SELECT parlance.session_open('ann', NULL, 'pid', NULL, NULL, NULL, NULL, NULL)")" 42501 'but acts for nobody'
is "$(state parlance web "SELECT parlance.publish_to_user('ann', 'app:x', '{}'), parlance.disconnect_user('ann'), parlance.user_online('ann'), parlance.revoke('user', 'ann')")" ok 'an application publishes, and revokes'
is "$(state parlance web "SELECT parlance.session_open('ann', NULL, 'pid', NULL, NULL, NULL, NULL, NULL)")$(state parlance web 'SELECT 1 FROM parlance.message')" 4250142501 'and nothing else'

# A migration by a member of parlance_owner, in a database with roles; and roles.sql by one who is no superuser.
sql -d postgres -c 'CREATE ROLE boss LOGIN CREATEROLE' -c 'CREATE DATABASE other OWNER boss TEMPLATE template0'
if [ "$(sql -d postgres -c 'SELECT pg_has_role('"'boss', 'parlance_owner', 'MEMBER')")" = f ] &&
	[ "$(sql -c 'SHOW server_version_num')" -ge 160000 ]; then
	sql -c 'GRANT parlance_owner, parlance_app, parlance_ctl TO boss WITH ADMIN OPTION'
fi
sql -d other -U boss -f "$SQL/roles.sql"
is $? 0 'roles.sql by a user with CREATEROLE, before the migrations'
sql -c 'GRANT CONNECT ON DATABASE other TO deploy'
status=0
for file in "$SQL"/[0-9][0-9][0-9]_*.sql; do
	sql -d other -U deploy -f "$file" || status=1
done
is "$status" 0 'migrations by a member of parlance_owner'
is "$(sql -d other -c "SELECT string_agg(DISTINCT nspowner::regrole::text, '') || (SELECT applied_by FROM parlance.schema_version WHERE version = 1) FROM pg_namespace WHERE nspname = 'parlance'")" \
	parlance_ownerdeploy 'which make what they make as parlance_owner'
is "$(state other chat "SELECT parlance.session_open('ann', NULL, 'pid', NULL, NULL, NULL, NULL, NULL)")$(state other chat 'SELECT 1 FROM parlance.message')" ok42501 'and give the daemon its rights'
sql -d other -U boss -f "$SQL/roles.sql"
is $? 0 'roles.sql by a user with CREATEROLE, after them'

# A private database: one user owns all, and there are roles of other databases in the cluster.
sql -d postgres -c 'CREATE ROLE solo LOGIN' -c 'CREATE DATABASE private OWNER solo TEMPLATE template0'
status=0
for file in "$SQL"/[0-9][0-9][0-9]_*.sql; do
	sql -d private -U solo -f "$file" || status=1
done
is "$status$(state private solo "SELECT parlance.instance_register('h', 1, NULL), parlance.maintain()")" 0ok 'migrations without roles of its own'

dropdb other
dropdb private
sql -c 'DROP OWNED BY parlance_app, parlance_ctl, parlance_publisher' -c 'REASSIGN OWNED BY parlance_owner TO admin' -c 'DROP OWNED BY parlance_owner'
sql -c 'DROP ROLE chat, ops, guest, deploy, boss, solo, web, parlance_app, parlance_ctl, parlance_publisher, parlance_owner'
is $? 0 'the roles can go again'
