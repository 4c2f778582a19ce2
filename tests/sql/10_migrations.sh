#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Copyright the Parlance authors
# The files of sql/ as migrations: order, repetition, checksums, concurrent runs.

. "${BASH_SOURCE[0]%/*}/lib.sh"
files=("$SQL"/[0-9][0-9][0-9]_*.sql)
createdb -T template0 fresh
export PGDATABASE=fresh

schema() { # what there is, and since when
	sql -c "SELECT md5(string_agg(s, ',' ORDER BY s)) FROM (
		SELECT p.oid || p.prosrc || p.xmin AS s FROM pg_proc p WHERE pronamespace = 'parlance'::regnamespace
		UNION ALL SELECT c.oid || c.relname || c.xmin FROM pg_class c WHERE relnamespace = 'parlance'::regnamespace
		UNION ALL SELECT v.version || v.applied_at::text || coalesce(v.sha256, '-') FROM parlance.schema_version v) AS x"
}

psql -qXAt -v ON_ERROR_STOP=1 -f "${files[1]}" >/dev/null 2>&1
is $? 3 'the second without the first is refused'
is "$(sql -c "SELECT count(*) FROM pg_namespace WHERE nspname = 'parlance'")" 0 'which leaves nothing'
for file in "${files[@]}"; do
	sum=$(sha256sum "$file") && sum=${sum%% *}
	[ "${file##*/}" = 001_schema.sql ] && sum=
	PGOPTIONS="$PGOPTIONS -c parlance.migration_sha256=$sum" sql -f "$file" >"$WORK/mig" 2>&1
	is "$?$(cat "$WORK/mig")" 0 "${file##*/} applies, and says nothing"
	name=${file##*/}
	is "$(sql -c "SELECT concat(version, name, sha256, applied_by) FROM parlance.schema_version ORDER BY 1 DESC LIMIT 1")" \
		"$((10#${name%%_*}))${name%.sql}${sum}admin" "${file##*/}: its row"
done
before=$(schema)
for file in "${files[@]}"; do
	name=${file##*/}
	is "$(PGOPTIONS='' psql -qXAt -v ON_ERROR_STOP=1 -f "$file" 2>&1 | sed 's/.*NOTICE: *//')" \
		"parlance: ${name%.sql} is applied already" "$name again"
done
is "$(schema)" "$before" 'a second run changes nothing'
psql -qXAt -v ON_ERROR_STOP=1 -f "${files[-1]}" -c 'SELECT 1' >/dev/null 2>&1
is $? 0 'a second run leaves the session usable'
ok "$(sql -c "SELECT bool_and(NOT has_function_privilege('public', p.oid, 'EXECUTE')) FROM pg_proc p WHERE pronamespace = 'parlance'::regnamespace")" \
	'PUBLIC may call nothing'
ok "$(sql -c "SELECT bool_and(proconfig @> '{\"search_path=pg_catalog, pg_temp\"}') FROM pg_proc WHERE pronamespace = 'parlance'::regnamespace AND prosecdef")" \
	'every SECURITY DEFINER function has its search_path'

# A failure in the middle.
createdb -T template0 broken
sed 's/^CREATE TABLE parlance.instance /SELECT 1\/0; &/' "${files[0]}" >"$WORK/broken.sql"
psql -qXAt -v ON_ERROR_STOP=1 -d broken -f "$WORK/broken.sql" >/dev/null 2>&1
is "$?$(sql -d broken -c "SELECT count(*) FROM pg_namespace WHERE nspname = 'parlance'")" 30 'a failed file leaves nothing'

# Four at once.
createdb -T template0 race
for i in 1 2 3 4; do
	# One session each, which has asked before: what it remembers of that is out of date then.
	PGOPTIONS='' psql -qXAt -v ON_ERROR_STOP=1 -d race -c "SELECT to_regclass('parlance.schema_version')" \
		"${files[@]/#/-f}" >"$WORK/race.$i" 2>&1 &
	pids[i]=$!
done
status=0
for i in 1 2 3 4; do
	wait "${pids[i]}" || status=1
done
is "$status$(sql -d race -c 'SELECT count(*) FROM parlance.schema_version')" "0${#files[@]}" 'four at once: each file once'

# lock_timeout: another migration holds the lock. It waits for 10 s in the file; here for less.
createdb -T template0 held
sql -d held -c 'BEGIN; SELECT pg_advisory_xact_lock(5792036405591827301); SELECT pg_sleep(60)' >/dev/null 2>&1 &
holder=$!
PGDATABASE=held wait_for "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted)" || echo 'not ok - the lock is held'
sed "s/lock_timeout = '10s'/lock_timeout = '200ms'/" "${files[0]}" >"$WORK/short.sql"
is "$(psql -qXAt -v ON_ERROR_STOP=1 -v VERBOSITY=sqlstate -d held -f "$WORK/short.sql" 2>&1 | sed 's/.*ERROR:  //')" 55P03 'another migration is running: 55P03'
sql -d held -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()" >/dev/null
wait "$holder"
for name in fresh broken race held; do
	dropdb "$name"
done
