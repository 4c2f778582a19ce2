#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Copyright the Parlance authors
# A part that comes while its answer is being ended waits for nobody, and is not left behind.

. "${BASH_SOURCE[0]%/*}/lib.sh"

sql -c 'SELECT t.instance()' -c "SELECT t.create('ann', 1), t.send('ann', 1, 1), t.create('ann', 2), t.send('ann', 2, 2)" >/dev/null
part() { # OFFSET
	sql -c "SET lock_timeout = '5s'" -c "SELECT parlance.generation_parts(1, ARRAY[t.a(1), t.a(2)], '{$1,$1}', '{\"ab\",\"cd\"}')"
}
parts() {
	sql -c "SELECT string_agg(concat(CASE p.message WHEN t.a(1) THEN 1 ELSE 2 END, ':', p.off, p.text), ',' ORDER BY p.message = t.a(2), p.off)
		FROM parlance.message_part p"
}
is "$(part 0)" '{"ok" : true, "fenced" : []}' 'parts of two answers'

# Another session ends the first of them, and takes its time.
coproc other { sql; }
echo "BEGIN; SELECT t.finish(1, p_content => 'abab'); SELECT 'ending';" >&"${other[1]}"
until read -r line <&"${other[0]}" && [ "$line" = ending ]; do :; done
is "$(part 2)" '{"ok" : true, "fenced" : []}' 'parts while one is being ended: none is fenced, and nobody waits'
is "$(parts)" '1:0ab,2:0cd,2:2cd' 'the other one is stored'
echo "ROLLBACK; SELECT 'undone';" >&"${other[1]}"
until read -r line <&"${other[0]}" && [ "$line" = undone ]; do :; done
is "$(part 2)$(parts)" '{"ok" : true, "fenced" : []}1:0ab,1:2ab,2:0cd,2:2cd' 'it was not ended after all, and is written on'

# The other way round: the end waits for a part that is being stored, and deletes it.
echo "BEGIN; SELECT parlance.generation_parts(1, ARRAY[t.a(1)], '{4}', '{ab}'); SELECT 'storing';" >&"${other[1]}"
until read -r line <&"${other[0]}" && [ "$line" = storing ]; do :; done
sql -c "SET application_name = 'ends'" -c "SELECT t.finish(1, p_content => 'ababab')" >/dev/null &
ends=$!
wait_for "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'ends' AND wait_event_type = 'Lock')" ||
	ok f 'the end waits for the part'
echo "COMMIT; \\q" >&"${other[1]}"
wait "$ends"
is "$(parts)" '2:0cd,2:2cd' 'nothing is left of the answer that ended'
