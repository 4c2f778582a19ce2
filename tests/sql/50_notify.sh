#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Copyright the Parlance authors
# What listeners get: the same as feed_replay, in order, and never too long.

. "${BASH_SOURCE[0]%/*}/lib.sh"

# The payloads of what a statement told.
payloads() { # SQL
	sql -c 'LISTEN parlance_ev' -c "$1" -c 'SELECT 1' |
		sed -n 's/^Asynchronous notification "parlance_ev" with payload "\(.*\)" received from .*/\1/p'
}

# Its payloads, and what feed_replay has of it.
same() { # WHAT SQL
	local told logged
	sql -c 'DROP TABLE IF EXISTS t.old; CREATE TABLE t.old AS SELECT id, seq FROM parlance.room'
	told=$(payloads "$2" | sort)
	logged=$(sql -c "SELECT e::text FROM parlance.room r LEFT JOIN t.old o ON o.id = r.id,
		json_array_elements(parlance.feed_replay(r.id, coalesce(o.seq, 0), 1000)->'events') e" | sort)
	[ -n "$told" ] || told='nothing was told'
	is "$told" "$logged" "$1: told as logged"
}

sql -c 'SELECT t.instance()' >/dev/null
same create "SELECT parlance.conversation_create('ann', t.c(1), 'Ä \"x\" \\ \u0001', NULL, 'né', '{\"u\": \"\\\\u0041\", \"n\": 1.10}', 'so\"ck')"
same share "SELECT parlance.conversation_share('ann', t.c(1), E'e\"v\\\\e\\t', 'editor', NULL)"
same update "SELECT parlance.conversation_update('ann', t.c(1), '{title,metadata}', E'T\\n2', NULL, NULL, '{\"a\":[1, 2]}', NULL, NULL, 's')"
same send "SELECT t.send('ann', 1, 1, p_client => E'k\"1\\\\')"
same queued "SELECT t.send('ann', 1, 2)"
same finish "SELECT t.finish(1)"
same begin "SELECT parlance.generation_begin(t.a(2), 1, 9)"
same 'a group' "SELECT t.finish(2), t.send('ann', 1, 3, p_client => 'k3'); SELECT parlance.conversation_update('ann', t.c(1),
	'{title}', 'T3', NULL, NULL, NULL, NULL, NULL, 's'); SELECT t.finish(3, p_content => repeat('x', 900)), t.send('ann', 1, 4)"
same view "SELECT parlance.conversation_view('ann', t.c(1), true, 's')"
same 'another program' "UPDATE parlance.message SET content = E'\\x01\"\\\\ €' WHERE id = t.u(1)"
same 'a message deleted' "DELETE FROM parlance.message WHERE id = t.a(1)"
same unshare "SELECT parlance.conversation_unshare('ann', t.c(1), E'e\"v\\\\e\\t', NULL)"
same delete "SELECT parlance.conversation_delete('ann', t.c(1), 's')"

# The limit, in bytes: a body of one string that makes the payload so long, of one-byte or of longer characters.
publish() { # BYTES CHARACTER-AS-SQL
	payloads "WITH n AS (SELECT $1 - octet_length(parlance.event_json(r.id, 'c', r.seq + 1, 'x.y', r.id, r.id,
				'o', 'u', '\"\"')) AS n, r.id FROM parlance.room r WHERE r.id = t.c(2)),
		b AS (SELECT id, to_json(repeat('x', n % octet_length($2)) || repeat($2, n / octet_length($2)))::text AS b FROM n)
		SELECT parlance.publish(id, id, 'o', 'u', 'x.y', b, NULL, NULL, NULL, true) FROM b"
}
sql -c "INSERT INTO parlance.room VALUES (t.c(2), 'c', 0)"
for char in "'x'" "'é'" "'€'" "'😀'"; do
	for bytes in 7899 7900; do
		out=$(publish $bytes "$char")
		is "$(printf %s "$out" | wc -c)${out:0:5}" "$bytes{\"r\":" "$bytes bytes of $char are told"
	done
	out=$(publish 7901 "$char")
	is "$(sql -c "SELECT (\$x\$$out\$x\$::json->'b' IS NULL)::text || t.keys(\$x\$$out\$x\$::json)")" 'truer k s t c i o u' "7901 bytes of $char are told without b"
	is "$(sql -c "SELECT octet_length(t.event(t.c(2), t.head(t.c(2)))::text)")" 7901 "and logged with it"
done
sql -c "SELECT t.create('ann', 3), t.send('ann', 3, 30)" >/dev/null
out=$(payloads "SELECT t.finish(30, p_content => repeat('é', 100000))")
is "$(printf '%s\n' "$out" | grep -c '"b":')$(printf '%s\n' "$out" | wc -l)" 12 'a long answer is told without b, the activity with it'
is "$(sql -c "SELECT length(t.event(t.c(3), t.head(t.c(3)))->'b'->'assistantMessage'->>'content')")" 100000 'and read with it'
long=()
for i in 1 2 3 4 5; do
	long+=(-c "UPDATE parlance.message SET content = repeat('$i', 300000) WHERE id = t.u(30)")
done
is "$(sql "${long[@]}" -c "SELECT json_array_length(r->'events') || (r->>'pruned') FROM parlance.feed_replay(t.c(3), t.head(t.c(3)) - 5, 1000) r")" \
	4false 'a replay stops after a megabyte'
