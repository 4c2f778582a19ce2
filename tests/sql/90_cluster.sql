-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
--
-- Recovery of sessions, presence, messages between instances, stops from elsewhere, what applications publish.

SELECT t.instance() AS x \gset
SELECT t.instance() AS x \gset
SELECT t.code(t.create('ann', 1)) AS x, t.code(t.create('ann', 2)) AS x, t.code(t.create('bob', 3)) AS x \gset
SELECT t.code(parlance.conversation_share('ann', t.c(1), 'bob', 'editor', 's')) AS x \gset

-- ---- recovery ----

CREATE FUNCTION t.back(p_user text, p_rooms uuid[], p_seqs bigint[], p_window integer DEFAULT 60, p_max integer DEFAULT 100,
	p_epoch text DEFAULT parlance.epoch()) RETURNS json LANGUAGE sql AS $$
	SELECT parlance.session_open(p_user, parlance.user_pid('old_____________', p_user), 'new_____________', p_epoch, p_rooms, p_seqs, p_window, p_max) $$;
-- "room:seq events…" of each room of the answer, or what else it says.
CREATE FUNCTION t.rooms(p_answer json) RETURNS text LANGUAGE sql AS $$
	SELECT CASE WHEN p_answer->>'recovered' = 'true' THEN (SELECT string_agg(concat(right(r->>'id', 1), '/', r->>'role', ':', r->>'seq',
			(SELECT string_agg(concat(' ', e->>'s', '.', e->>'t'), '' ORDER BY n) FROM json_array_elements(r->'events') WITH ORDINALITY AS e (e, n))), ', ' ORDER BY m)
		FROM json_array_elements(p_answer->'rooms') WITH ORDINALITY AS r (r, m)) ELSE 'not recovered' END $$;

SELECT t.head(t.room('ann')) AS ann, t.head(t.c(1)) AS c1, t.head(t.c(2)) AS c2 \gset
SELECT t.is(t.rooms(t.back('ann', ARRAY[t.c(1), t.c(2)], ARRAY[:ann, :c1, :c2])),
	concat(right(t.room('ann')::text, 1), '/:', :ann, ', 1/owner:', :c1, ', 2/owner:', :c2), 'nothing was missed');
SELECT t.is(a->>'socket', parlance.digest22('socket ' || parlance.user_pid('old_____________', 'ann')), 'its socket has its id again')
	FROM t.back('ann', '{}', ARRAY[:ann]) AS a;
SELECT t.is(a->>'recovered' || (a->>'socket'), 'false' || parlance.digest22('socket ' || parlance.user_pid('new_____________', 'ann')), 'not recovered: another id')
	FROM t.back('ann', '{}', ARRAY[:ann + 1]) AS a;
SELECT t.ok(a->>'socket' <> b->>'socket', 'another user has another socket')
	FROM t.back('ann', '{}', ARRAY[:ann]) AS a, t.back('bob', '{}', '{0}') AS b;
SELECT t.is(parlance.session_open('bob', parlance.user_pid('old_____________', 'ann'), 'new_____________', parlance.epoch(), '{}', '{0}', 60, 100)->>'recovered', 'false',
	'the pid of another user');
UPDATE parlance.conversation SET title = 'x' WHERE id = t.c(1);
SELECT t.is(t.rooms(t.back('ann', ARRAY[t.c(1)], ARRAY[:ann, :c1])),
	concat(right(t.room('ann')::text, 1), '/:', :ann + 1, ' ', :ann + 1, '.conversation.updated, 1/owner:', :c1 + 1, ' ', :c1 + 1, '.conversation.updated'), 'what was missed, in each room');
SELECT t.is(t.rooms(t.back('ann', ARRAY[t.c(1)], ARRAY[:ann, :c1], p_max => 2)), t.rooms(t.back('ann', ARRAY[t.c(1)], ARRAY[:ann, :c1])), 'as many events as may be');
SELECT t.is(t.rooms(t.back('ann', ARRAY[t.c(1)], ARRAY[:ann, :c1], p_max => 1)), 'not recovered', 'one more');
SELECT t.is(t.rooms(t.back('ann', ARRAY[t.c(1)], ARRAY[:ann, :c1], p_window => 0)), 'not recovered', 'what was missed is too old');
SELECT t.is(t.rooms(t.back('ann', ARRAY[t.c(1)], ARRAY[:ann + 1, :c1 + 1], p_window => 0)),
	concat(right(t.room('ann')::text, 1), '/:', :ann + 1, ', 1/owner:', :c1 + 1), 'who missed nothing may have been away for long');
SELECT t.is(t.rooms(t.back('ann', '{}', ARRAY[:ann], p_epoch => 'other')), 'not recovered', 'of another history');
SELECT t.is(t.rooms(t.back('ann', '{}', ARRAY[:ann], p_epoch => NULL)), 'not recovered', 'of none');
SELECT t.is(t.rooms(t.back('ann', ARRAY[t.c(1)], ARRAY[:ann + 1, 9223372036854775807])), 'not recovered', 'a seq that there is not yet');
SELECT t.is(t.rooms(t.back('ann', ARRAY[t.c(1)], ARRAY[:ann + 1])), 'not recovered', 'a room without a seq');
SELECT t.is(t.rooms(t.back('ann', ARRAY[t.c(3), t.c(99)], ARRAY[:ann + 1, 0, 0])), concat(right(t.room('ann')::text, 1), '/:', :ann + 1), 'rooms of others, and none, are left out');
DELETE FROM parlance.event e WHERE e.room = t.c(1) AND e.seq = :c1 + 1;
SELECT t.is(t.rooms(t.back('ann', ARRAY[t.c(1)], ARRAY[:ann + 1, :c1])), 'not recovered', 'the log is shorter');
-- metadata that no function may take apart
UPDATE parlance.conversation SET metadata = '{"a":"\u0000"}' WHERE id = t.c(2);
SELECT t.ok(parlance.session_open('ann', parlance.user_pid('old_____________', 'ann'), 'new_____________', parlance.epoch(), ARRAY[t.c(2)], ARRAY[:ann + 2, :c2], 60, 9)::text LIKE '%"recovered":true%u0000%', 'any metadata');

-- ---- presence ----

SELECT t.is(parlance.presence_sync(1, '{s1,s2}', '{ann,bob}', ARRAY['{' || t.c(1) || '}', '{}'], '{}', '{ann,bob}')::text, '{"ok" : true}', 'presence: two sockets');
SELECT t.is(parlance.presence_sync(2, '{s3}', '{ann}', '{"{}"}', '{}', '{ann}')::text, '{"ok" : true}', 'one on another instance');
SELECT t.is(t.code(parlance.presence_sync(99, '{s4}', '{eve}', '{"{}"}', '{}', '{}')), 'FENCED', 'of no instance');
SELECT t.is(concat(parlance.user_online('ann'), parlance.user_online('eve')), 'tf', 'user_online');
SELECT t.is((SELECT string_agg(s, ' ') FROM parlance.user_sockets('ann') s), 's1 s3', 'user_sockets, of all instances');
SELECT t.is(parlance.socket_user('s2'), 'bob', 'socket_user');
SELECT t.is((SELECT string_agg(u, ' ') FROM parlance.conversation_users(t.c(1)) u), 'ann', 'conversation_users: who has it open');
SELECT t.is(parlance.presence_get('ann', '{bob,eve,ann}', NULL)->'ack'->>'online', '["ann", "bob"]', 'of users with whom he shares a conversation');
SELECT t.is(coalesce(parlance.presence_get('eve', '{bob,ann}', NULL)->'ack'->>'online', '-'), '[]', 'a stranger learns nothing');
SELECT t.is(parlance.presence_get('bob', NULL, t.c(1))->'ack'->>'online', '["ann", "bob"]', 'of a conversation');
SELECT t.is(t.code(parlance.presence_get('eve', NULL, t.c(1))), 'NOT_FOUND', 'not of a stranger''s');
SELECT t.is(parlance.presence_sync(1, '{s2}', '{bob}', ARRAY['{' || t.c(1) || '}'], '{s1}', '{}')::text, '{"ok" : true}', 'one goes, one joins');
SELECT t.is((SELECT string_agg(u, ' ') FROM parlance.conversation_users(t.c(1)) u), 'bob', 'as they are now');
SELECT t.is(parlance.instance_retire(2)->>'ok', 'true', 'the other instance retires');
SELECT t.is(parlance.user_online('ann')::text, 'false', 'and its sockets with it');

-- ---- stops, and what is told between instances ----

SELECT t.is(t.send('ann', 1, 1)->>'state', 'run', 'an answer of instance 1');
SELECT t.is(parlance.instance_beat(1, false)->>'stops', '[]', 'nobody wants it to end');
SELECT t.is(parlance.message_stop('ann', t.c(1), NULL, 1)->'streams'->0->>'instance', '1', 'a stop by its own instance');
SELECT t.is(parlance.instance_beat(1, false)->>'stops', '[]', 'is not written');
SELECT t.is(parlance.message_stop('bob', t.c(1), t.s(1), 7)->'streams'->0->>'instance', '1', 'a stop from elsewhere');
SELECT t.is(parlance.instance_beat(1, false)->>'stops', '["' || t.a(1) || '"]', 'is');
SELECT t.is(t.code(parlance.message_stop('eve', t.c(1), NULL, 7)), 'NOT_FOUND', 'not by a stranger');
SELECT t.is(parlance.instance_send('{0,1,-1}', ARRAY['a', repeat('x', 9000), 'c'])::text, '{"ok" : true}', 'a payload that is too long, and an instance that cannot be, are left out');
SELECT t.instance() AS x \gset
SELECT t.is(parlance.instance_beat(1, false)->>'instances', '[{"id" : 3, "address" : null}]', 'beat: the others');

-- ---- applications ----

SELECT t.head(t.room('ann')) AS ann, t.head(t.c(1)) AS c1 \gset
BEGIN;
SELECT parlance.publish_to_user('ann', 'app:x', '{"n":1}') AS x \gset
ROLLBACK;
SELECT t.is(t.head(t.room('ann'))::text, :ann::text, 'what was rolled back was not published');
SELECT parlance.publish_to_user('ann', 'app:x', '{"n":1}') AS x, parlance.publish_to_conversation(t.c(1), 'app:y', NULL) AS x, parlance.disconnect_user('ann') AS x \gset
SELECT t.is((t.event(t.room('ann'), :ann + 1)->>'t') || (t.event(t.room('ann'), :ann + 1)->>'b'), 'published{"event":"app:x","data":{"n":1}}', 'to a user');
SELECT t.is(t.event(t.c(1), :c1 + 1)->>'b', '{"event":"app:y","data":null}', 'to a conversation');
SELECT t.is((t.event(t.room('ann'), :ann + 2)->>'t') || (t.event(t.room('ann'), :ann + 2)->>'b'), 'user.disconnected{}', 'a user is to go');
SELECT t.is(t.rooms(t.back('ann', '{}', ARRAY[:ann])), 'not recovered', 'his connections are not recovered');
SELECT t.is(t.rooms(t.back('ann', '{}', ARRAY[:ann + 2])), concat(right(t.room('ann')::text, 1), '/:', :ann + 2), 'one that began after that is');
SELECT t.is(t.code(parlance.broadcast('ann', NULL, 'app:z', '1')) || t.code(parlance.broadcast(NULL, t.c(1), 'app:z', '1')), 'okok', 'for plugins');
SELECT t.is(t.code(parlance.broadcast('ann', NULL, 'connect', '1')) || t.code(parlance.broadcast('ann', NULL, '', '1')) || t.code(parlance.broadcast(NULL, t.c(99), 'app:z', '1')),
	'BAD_REQUESTBAD_REQUESTNOT_FOUND', 'their mistakes are answers');

-- ---- a queue of two instances ----

SELECT t.code(t.create('ann', 50)) AS x \gset
SELECT t.code(t.send('ann', 50, 51)) AS x, t.code(t.send('ann', 50, 52, p_instance => 3)) AS x, t.code(t.send('ann', 50, 53)) AS x \gset
SELECT t.finish(51) AS x \gset
SELECT t.is(t.code(parlance.generation_begin(t.a(53), 1, 9)), 'BUSY', 'not before one that waits elsewhere for longer');
SELECT t.is(t.code(parlance.generation_begin(t.a(52), 3, 9)), 'ok', 'which begins');
SELECT t.is(t.code(t.send('ann', 50, 54, 'interrupt')), 'ok', 'one of the first instance interrupts it');
SELECT t.is(parlance.instance_beat(3, false)->>'stops', '["' || t.a(52) || '"]', 'which the other hears');
SELECT t.is((SELECT string_agg(right(message::text, 2), ' ' ORDER BY place) FROM parlance.generation
	WHERE conversation = t.c(50) AND stop), '52', 'those that wait go on waiting');
SELECT t.finish(52, 3, 'stopped') AS x \gset
SELECT t.is(t.code(parlance.generation_begin(t.a(53), 1, 9)), 'BUSY', 'not before the one that interrupted');
SELECT t.is(t.code(parlance.generation_begin(t.a(54), 1, 9)), 'ok', 'which is in front');
