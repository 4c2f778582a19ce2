#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Copyright the Parlance authors
# Eight writers at once in shared conversations, in transactions of several calls, some rolled back, some killed
# as victims of deadlocks (and repeated): every room's events are consecutive, in the order of their commits, and
# what was answered is there. SENDS: how many each makes (default 100).

. "${BASH_SOURCE[0]%/*}/lib.sh"
sends=${SENDS:-100}

sql -c 'SELECT t.instance() FROM generate_series(1, 8)' -c "SELECT t.create('user' || i, i) FROM generate_series(1, 5) i" \
	-c "SELECT parlance.conversation_share('user' || i, t.c(i), 'user' || j, 'editor', NULL) FROM generate_series(1, 5) i, generate_series(1, 8) j WHERE i <> j" >/dev/null
# One transaction: two or three turns in conversations in any order.
sql <<'SQL'
CREATE TABLE t.acked (message uuid);
CREATE PROCEDURE t.work(w integer, n integer) LANGUAGE plpgsql AS $$
DECLARE
	i integer := 0;
	v_tries integer := 0;
	v_state text;
	c integer;
	u uuid;
	a uuid;
	r json;
	v_deadlocks integer := 0;
BEGIN
	WHILE i < n LOOP
		BEGIN
			FOR k IN 1 .. 1 + i % 3 LOOP
				c := 1 + floor(random() * 5);
				u := gen_random_uuid();
				a := gen_random_uuid();
				r := parlance.message_send('user' || w, t.c(c), NULL, u, a, gen_random_uuid(), 'x', NULL, NULL, NULL,
					'queue', 1000, 5, w, 's' || w);
				IF r->>'ok' <> 'true' THEN
					RAISE EXCEPTION 'send: %', r;
				END IF;
				INSERT INTO t.acked VALUES (u);
				IF r->>'state' = 'queued' THEN
					r := parlance.generation_begin(a, w, 5);
				END IF;
				r := parlance.generation_finish(a, w, 'complete', 'stop', 'y', NULL, '{"totalTokens":1}', NULL);
				IF r->>'ok' <> 'true' THEN
					RAISE EXCEPTION 'finish: %', r;
				END IF;
			END LOOP;
			-- Now, so that a deadlock of theirs can be repeated here.
			SET CONSTRAINTS ALL IMMEDIATE;
			v_state := NULL;
		EXCEPTION WHEN deadlock_detected THEN
			v_state := 'deadlock';
			v_deadlocks := v_deadlocks + 1;
		END;
		IF v_state IS NOT NULL THEN
			ROLLBACK;
		ELSIF random() < 0.1 THEN
			ROLLBACK;
		ELSE
			COMMIT;
			i := i + 1;
		END IF;
		v_tries := v_tries + 1;
		IF v_tries > 20 * n + 100 THEN
			RAISE EXCEPTION 'no progress';
		END IF;
	END LOOP;
	RAISE NOTICE 'deadlocks: %', v_deadlocks;
END $$;

-- One call a transaction. Their locks have one order: no deadlock, so none is caught.
CREATE PROCEDURE t.single(w integer, n integer) LANGUAGE plpgsql AS $$
DECLARE
	c integer;
	a uuid;
BEGIN
	FOR i IN 1 .. n LOOP
		c := 1 + floor(random() * 3);
		a := gen_random_uuid();
		PERFORM parlance.message_send('user' || w, t.c(c), NULL, gen_random_uuid(), a, gen_random_uuid(), 'x', NULL, NULL, NULL,
			'queue', 1000, 5, w, NULL);
		COMMIT;
		PERFORM parlance.generation_begin(a, w, 5);
		COMMIT;
		PERFORM parlance.conversation_view('user' || w, t.c(c), true, NULL);
		COMMIT;
		PERFORM parlance.generation_finish(a, w, 'complete', 'stop', 'y', NULL, '{"totalTokens":1}', NULL);
		COMMIT;
	END LOOP;
END $$;
SQL
before=$(sql -c 'SELECT count(*) FROM parlance.event')
# A listener, all the while.
coproc LISTENER { psql -qXAt 2>&1; }
listener=$LISTENER_PID
printf '%s\n' 'LISTEN parlance_ev;' "SELECT 'listening';" >&"${LISTENER[1]}"
read -r line <&"${LISTENER[0]}"
is "$line" listening 'a listener'

for w in 1 2 3 4 5 6 7 8; do
	PGOPTIONS='' sql -c "CALL t.work($w, $sends)" >"$WORK/writer.$w" 2>&1 &
	pids[w]=$!
done
status=0
for w in 1 2 3 4 5 6 7 8; do
	wait "${pids[w]}" || { status=1; cat "$WORK/writer.$w" >&2; }
done
is "$status" 0 'all writers came to their end'
printf '# deadlocks, all repeated: %s\n' "$(cat "$WORK"/writer.* | awk '/deadlocks:/ { n += $NF } END { print n + 0 }')"

printf 'SELECT 1;\n\\q\n' >&"${LISTENER[1]}"
sed -n 's/^Asynchronous notification "parlance_ev" with payload "\(.*\)" received from .*/\1/p' <&"${LISTENER[0]}" >"$WORK/told"
wait "$listener" 2>/dev/null
sql -c 'CREATE TABLE t.told (n bigint GENERATED ALWAYS AS IDENTITY, x text)' -c "\\copy t.told (x) FROM '$WORK/told' WITH (DELIMITER E'\\x02', FORMAT csv, QUOTE E'\\x01')"

is "$(sql -c "SELECT count(*) FROM (SELECT seq, row_number() OVER (PARTITION BY room ORDER BY seq) AS n FROM parlance.event) s WHERE seq <> n")" 0 'events are consecutive'
is "$(sql -c "SELECT count(*) FROM parlance.room r WHERE r.seq <> (SELECT max(e.seq) FROM parlance.event e WHERE e.room = r.id)")" 0 'up to the head'
is "$(sql -c "SELECT count(*) FROM (SELECT at, lag(at) OVER (PARTITION BY room ORDER BY seq) AS b FROM parlance.event) s WHERE at < b")" 0 'at grows with seq'
is "$(sql -c "SELECT count(*) FROM (SELECT (x::json->>'s')::bigint AS s, lag((x::json->>'s')::bigint) OVER (PARTITION BY x::json->>'r' ORDER BY n) AS b FROM t.told) q WHERE s <> b + 1")" 0 'told in order, without holes'
is "$(sql -c "SELECT count(*) FROM t.told")" "$(($(sql -c "SELECT count(*) FROM parlance.event") - before))" 'each told once'
is "$(sql -c "SELECT count(*) FROM t.acked k WHERE NOT EXISTS (SELECT FROM parlance.message m WHERE m.id = k.message)")" 0 'what was answered is there'
turns=$(sql -c 'SELECT count(*) FROM t.acked')
ok "$([ "$turns" -ge $((8 * sends)) ] && echo t)" "at least $((8 * sends)) turns ($turns)"
is "$(sql -c "SELECT string_agg(type || '=' || n, ' ' ORDER BY type) FROM (SELECT type, count(*) / $turns AS n FROM parlance.event WHERE type LIKE 'message.%' OR type LIKE '%.activity' GROUP BY 1) s")" \
	'conversation.activity=8 message.finished=1 message.new=9 message.started=1' 'each change in each room it concerns'
is "$(sql -c "SELECT count(*) FROM (SELECT ord, row_number() OVER (PARTITION BY conversation ORDER BY ord) AS n FROM parlance.message) s WHERE ord <> n")" 0 'messages are numbered without holes'
is "$(sql -c "SELECT count(*) FROM parlance.conversation c WHERE (message_count, last_ord, total_tokens) <> (SELECT count(*), max(ord), sum(tokens) FROM parlance.message m WHERE m.conversation = c.id)")" 0 'counters are right'
is "$(sql -c 'SELECT count(*) FROM parlance.generation')$(sql -c "SELECT count(*) FROM parlance.message WHERE status IN ('pending', 'streaming')")" 00 'nothing is left running'

for w in 1 2 3 4 5 6 7 8; do
	sql -c "CALL t.single($w, $((sends / 4)))" >"$WORK/single.$w" 2>&1 &
	pids[w]=$!
done
status=0
for w in 1 2 3 4 5 6 7 8; do
	wait "${pids[w]}" || { status=1; cat "$WORK/single.$w" >&2; }
done
is "$status" 0 'transactions of one call: no deadlock'
is "$(sql -c "SELECT count(*) FROM (SELECT seq, row_number() OVER (PARTITION BY room ORDER BY seq) AS n FROM parlance.event) s WHERE seq <> n")" 0 'events are consecutive'

# The same client's id from eight sides.
for w in 1 2 3 4 5 6 7 8; do
	sql -c "SELECT (r->>'state') || (r->'ack'->>'assistantMessageId') FROM parlance.message_send('user1', t.c(1), 'same', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'x', NULL, NULL, NULL, NULL, 3, 5, 1, NULL) t, LATERAL (SELECT t::json AS r) r" >"$WORK/same.$w" 2>&1 &
	pids[w]=$!
done
for w in 1 2 3 4 5 6 7 8; do
	wait "${pids[w]}"
done
is "$(sed 's/run\|duplicate//' "$WORK"/same.* | sort -u | wc -l)$(grep -c run "$WORK"/same.* | grep -c ':1$')" 11 'one id sent eight times at once: one message, one answer for all'
