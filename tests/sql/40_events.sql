-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
-- Each change and its events: rooms, types, bodies, causes, order.

-- What a statement told, as room kind:seq-type, in the order of the log (at, then seq).
CREATE FUNCTION t.log() RETURNS bigint LANGUAGE sql AS $$ SELECT coalesce(sum(seq), 0)::bigint FROM parlance.room $$;
CREATE TABLE t.seen (room uuid PRIMARY KEY, seq bigint);
CREATE FUNCTION t.news() RETURNS text LANGUAGE plpgsql AS $$
DECLARE v text;
BEGIN
	SELECT string_agg(CASE e.kind WHEN 'c' THEN 'c' ELSE coalesce((SELECT min(n.name) FROM
			(VALUES ('ann'), ('eve'), ('dan')) AS n (name) WHERE t.room(n.name) = e.room), '?') END
			|| ':' || e.type, ' ' ORDER BY e.at, e.seq) INTO v
		FROM parlance.event e LEFT JOIN t.seen s ON s.room = e.room WHERE e.seq > coalesce(s.seq, 0);
	DELETE FROM t.seen;
	INSERT INTO t.seen SELECT id, seq FROM parlance.room;
	RETURN coalesce(v, '');
END $$;
SELECT t.instance() AS x \gset

SELECT t.code(t.create('ann', 1)) AS x \gset
SELECT t.is(t.news(), 'ann:conversation.created', 'create');
SELECT t.is(t.event(t.room('ann'), 1)->>'b', parlance.conversation_join('ann', t.c(1), NULL)->'ack'->>'conversation', 'its body is the Conversation');
SELECT t.is(t.keys(t.event(t.room('ann'), 1)), 'r k s t c i o u b', 'the keys of an event');
SELECT t.is((e->>'k') || (e->>'c') || (e->>'i') || (e->>'o') || (e->>'u'), 'u' || t.c(1) || t.c(1) || 'sockann', 'k, c, i, o, u') FROM t.event(t.room('ann'), 1) e;
SELECT t.code(t.create('ann', 1)) AS x \gset
SELECT t.is(t.news(), '', 'a duplicate tells nothing');

SELECT t.code(parlance.conversation_update('ann', t.c(1), '{title,archived,metadata}', 'New "T"', NULL, NULL, '{"z":1}', false, NULL, 's2')) AS x \gset
SELECT t.is(t.news(), 'c:conversation.updated ann:conversation.updated', 'update');
SELECT t.is((e->>'b') || (e->>'o') || (e->>'u'), '{"conversationId":"' || t.c(1) || '","update":{"title":"New \"T\"","metadata":{"z":1}},"version":2}s2ann', 'its body: what changed alone') FROM t.event(t.c(1), 1) e;
SELECT t.code(parlance.conversation_update('ann', t.c(1), '{title}', 'New "T"', NULL, NULL, NULL, NULL, NULL, 's2')) AS x \gset
SELECT t.is(t.news(), '', 'an update that changes nothing');
SELECT t.code(parlance.conversation_update('ann', t.c(1), '{title}', 'x', NULL, NULL, NULL, NULL, 1, 's2')) AS x \gset
SELECT t.is(t.news(), '', 'a refused update');

-- the users by their rooms' ids
CREATE FUNCTION t.users(VARIADIC p_names text[]) RETURNS text[] LANGUAGE sql AS $$ SELECT array_agg(n ORDER BY t.room(n)) FROM unnest(p_names) n $$;
CREATE FUNCTION t.each(p_type text, VARIADIC p_names text[]) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(n || ':' || p_type, ' ' ORDER BY t.room(n)) FROM unnest(p_names) n $$;
SELECT t.code(parlance.conversation_share('ann', t.c(1), 'eve', 'viewer', 's3')) AS x \gset
SELECT t.is(t.news(), 'c:conversation.updated ' || (SELECT string_agg(CASE n WHEN 'eve' THEN 'eve:conversation.created ' ELSE '' END || n || ':conversation.updated', ' ') FROM unnest(t.users('ann', 'eve')) n), 'share');
SELECT t.is((e->>'b') || (e->>'o') || (e->>'u'), '{"conversationId":"' || t.c(1) || '","update":{"participants":[{"userId":"ann","role":"owner"},{"userId":"eve","role":"viewer"}]},"version":2}s3ann', 'its body') FROM t.event(t.c(1), 2) e;
SELECT t.code(parlance.conversation_share('ann', t.c(1), 'eve', 'viewer', 's3')) AS x \gset
SELECT t.is(t.news(), '', 'share again');
SELECT t.code(parlance.conversation_share('ann', t.c(1), 'eve', 'editor', 's3')) AS x \gset
SELECT t.is(t.news(), 'c:conversation.updated ' || t.each('conversation.updated', 'ann', 'eve'), 'another role');
SELECT t.code(parlance.conversation_unshare('ann', t.c(1), 'eve', 's4')) AS x \gset
SELECT t.is(t.news(), 'c:conversation.updated ' || (SELECT string_agg(n || CASE n WHEN 'eve' THEN ':conversation.deleted' ELSE ':conversation.updated' END, ' ') FROM unnest(t.users('ann', 'eve')) n), 'unshare');
SELECT t.is((e->>'b') || (e->>'o') || (e->>'u'), '{"conversationId":"' || t.c(1) || '"}s4ann', 'the one who is out: body and cause') FROM t.event(t.room('eve'), t.head(t.room('eve'))) e;
SELECT t.is((e->>'o') || (e->>'u'), 's4ann', 'the others: cause') FROM t.event(t.c(1), t.head(t.c(1))) e;
SELECT t.code(parlance.conversation_share('ann', t.c(1), 'eve', 'viewer', NULL)) AS x \gset
SELECT t.news() AS x \gset

SELECT t.code(parlance.conversation_view('ann', t.c(1), true, 's5')) AS x \gset
SELECT t.is(t.news(), 'ann:conversation.viewed', 'view');
SELECT t.is(e->>'b', '{"conversationId":"' || t.c(1) || '","hasUnread":false,"socketId":"s5"}', 'its body') FROM t.event(t.room('ann'), t.head(t.room('ann'))) e;
SELECT t.code(parlance.conversation_view('ann', t.c(1), false, 's5')) AS x \gset
SELECT t.is(t.news(), 'ann:conversation.viewed', 'view ends');

SELECT t.code(t.send('ann', 1, 1, p_client => 'k1')) AS x \gset
SELECT t.is(t.news(), 'c:message.new ' || t.each('message.new', 'ann', 'eve') || ' c:message.started', 'send');
SELECT t.is(e->>'b', '{"conversationId":"' || t.c(1) || '","message":' || (parlance.message_list('ann', t.c(1), NULL, NULL, 9)->'messages'->>0) || ',"messageId":"k1"}', 'message.new: the Message')
	FROM t.event(t.c(1), t.head(t.c(1)) - 1) e;
SELECT t.is((e->>'b') || (e->>'i') || (e->>'o') || (e->>'u'), '{"conversationId":"' || t.c(1) || '","messageId":"k1","assistantMessageId":"' || t.a(1) || '","streamId":"' || t.s(1) || '"}' || t.a(1) || 'sockann', 'message.started')
	FROM t.event(t.c(1), t.head(t.c(1))) e;
SELECT t.code(t.send('ann', 1, 1, p_client => 'k1')) AS x \gset
SELECT t.is(t.news(), '', 'a duplicate send tells nothing');
SELECT t.code(parlance.generation_parts(1, ARRAY[t.a(1)], '{0}', '{x}')) AS x \gset
SELECT t.is(t.news(), '', 'parts tell nothing');
SELECT t.code(t.send('ann', 1, 2)) AS x \gset
SELECT t.is(t.news(), 'c:message.new ' || t.each('message.new', 'ann', 'eve'), 'a send that waits: no message.started');
SELECT t.code(t.finish(1)) AS x \gset
SELECT t.is(t.news(), 'c:message.finished ' || t.each('conversation.activity', 'ann', 'eve'), 'finish');
SELECT t.is(t.keys(e->'b') || (e->'b'->>'finishReason') || (e->'b'->'assistantMessage'->>'content') || (e->'b'->>'usage') || (e->'b'->>'streamId') || (e->'b'->>'messageId'),
	'conversationId userMessage assistantMessage conversation usage finishReason streamId messageIdstopanswer{"promptTokens":2,"completionTokens":3,"totalTokens":5}' || t.s(1) || 'k1', 'message.finished')
	FROM t.event(t.c(1), t.head(t.c(1))) e;
SELECT t.is(t.keys(e->'b') || (e->'b'->>'messageCount') || (e->'b'->>'totalTokens') || coalesce(e->>'u', '-'), 'conversationId lastActivity messageCount totalTokens45-', 'conversation.activity') FROM t.event(t.room('ann'), t.head(t.room('ann'))) e;
SELECT t.code(parlance.generation_begin(t.a(2), 1, 5)) AS x \gset
SELECT t.is(t.news(), 'c:message.started', 'begin');
SELECT t.is(t.keys(t.event(t.c(1), t.head(t.c(1)))->'b'), 'conversationId assistantMessageId streamId', 'without a client''s id: no messageId');
SELECT t.code(t.finish(2, 9)) AS x \gset
SELECT t.is(t.news(), '', 'a fenced finish tells nothing');

-- other programs
UPDATE parlance.message SET content = 'edited' WHERE id = t.u(1);
SELECT t.is(t.news(), 'c:message.updated', 'a text edited by another program');
SELECT t.is((e->'b'->'message'->>'content') || coalesce(e->>'o', '-') || coalesce(e->>'u', '-'), 'edited--', 'which has no cause') FROM t.event(t.c(1), t.head(t.c(1))) e;
UPDATE parlance.message SET error = '{"code":"X"}' WHERE id = t.a(1);
SELECT t.is(t.news(), 'c:message.updated', 'an error set');
UPDATE parlance.message SET tokens = 9, content = content, error = error WHERE id = t.a(1);
SELECT t.is(t.news(), '', 'nothing that is seen has changed');
UPDATE parlance.message SET content = 'x' WHERE id = t.a(2);
SELECT t.is(t.news(), '', 'the text of a running answer is in its parts');
UPDATE parlance.conversation SET title = 'psql', active_at = now() WHERE id = t.c(1);
SELECT t.is(t.news(), 'c:conversation.updated ' || t.each('conversation.updated', 'ann', 'eve'), 'a title set by another program');
SELECT t.is(coalesce(e->>'o', '-') || coalesce(e->>'u', '-') || (e->'b'->>'version'), '--3', 'has no cause, but a version') FROM t.event(t.c(1), t.head(t.c(1))) e;
INSERT INTO parlance.message (id, conversation, ord, role, content) VALUES (t.u(50), t.c(1), 5, 'system', 'imported');
SELECT t.is(t.news(), 'c:message.new ' || t.each('message.new', 'ann', 'eve'), 'a message of another program');
SELECT t.is((SELECT concat_ws(',', last_ord, message_count) FROM parlance.conversation WHERE id = t.c(1)), '5,5', 'which counts');
SELECT t.is(t.code(t.finish(2)), 'ok', 'finish 2');
SELECT t.is((t.send('ann', 1, 3)->'ack'->'userMessage'->>'seq'), '6', 'and the next send goes on behind it');
SELECT t.news() AS x \gset
DELETE FROM parlance.message WHERE id = t.u(50);
SELECT t.is(t.news(), 'c:message.deleted', 'a message deleted');
SELECT t.is((e->>'b') || coalesce(e->>'u', '-'), '{"conversationId":"' || t.c(1) || '","messageId":"' || t.u(50) || '"}-', 'its body') FROM t.event(t.c(1), t.head(t.c(1))) e;
SELECT t.is((SELECT string_agg(DISTINCT coalesce(e->>'b', 'null'), ',') FROM json_array_elements(parlance.feed_replay(t.c(1), 0, 999)->'events') e WHERE e->>'i' = t.u(50)::text AND e->>'t' = 'message.new'), 'null', 'the body of what is gone is null');
DELETE FROM parlance.message WHERE id = t.a(3);
SELECT t.is(t.news() || (SELECT count(*) FROM parlance.generation), 'c:message.deleted0', 'a running answer deleted: its generation too');
DELETE FROM parlance.participant WHERE user_id = 'eve';
SELECT t.is(t.news(), 'c:conversation.updated ' || (SELECT string_agg(n || CASE n WHEN 'eve' THEN ':conversation.deleted' ELSE ':conversation.updated' END, ' ') FROM unnest(t.users('ann', 'eve')) n), 'a participant deleted');
SELECT t.is(coalesce(e->>'o', '-') || coalesce(e->>'u', '-'), '--', 'has no cause, though its row had one') FROM t.event(t.room('eve'), t.head(t.room('eve'))) e;
INSERT INTO parlance.participant (conversation, user_id, role) VALUES (t.c(1), 'dan', 'viewer');
SELECT t.is(t.news(), 'c:conversation.updated ' || (SELECT string_agg(CASE n WHEN 'dan' THEN 'dan:conversation.created ' ELSE '' END || n || ':conversation.updated', ' ') FROM unnest(t.users('ann', 'dan')) n), 'a participant inserted');
BEGIN;
INSERT INTO parlance.conversation (id) VALUES (t.c(60));
INSERT INTO parlance.participant (conversation, user_id, role) VALUES (t.c(60), 'ann', 'owner'), (t.c(60), 'eve', 'editor');
COMMIT;
SELECT t.is(t.news(), 'ann:conversation.created eve:conversation.created', 'a conversation made by another program');
BEGIN;
INSERT INTO parlance.message (id, conversation, ord, role) VALUES (t.u(61), t.c(61), 1, 'user');
\set ON_ERROR_STOP 0
\set VERBOSITY sqlstate
COMMIT;
\set ON_ERROR_STOP 1
SELECT t.is((SELECT count(*)::text FROM parlance.message WHERE id = t.u(61)), '0', 'a message without a conversation is refused');
SELECT t.news() AS x \gset

-- a rollback leaves no hole
BEGIN;
SELECT t.code(t.send('ann', 1, 30)) AS x \gset
ROLLBACK;
SELECT t.is(t.news(), '', 'a rollback tells nothing');
SET synchronous_commit = off;
BEGIN;
SELECT t.code(t.send('ann', 1, 31)) AS x \gset
SAVEPOINT s;
UPDATE parlance.message SET content = 'x' WHERE id = t.u(31);
ROLLBACK TO s;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT t.is(current_setting('synchronous_commit'), 'local', 'events raise synchronous_commit');
COMMIT;
SELECT t.is(current_setting('synchronous_commit'), 'off', 'for their transaction alone');
RESET synchronous_commit;
SELECT t.is(t.news(), 'c:message.new ' || t.each('message.new', 'ann', 'dan') || ' c:message.started', 'nor does one to a savepoint');
SELECT t.is((SELECT count(*)::text FROM (SELECT seq, row_number() OVER (PARTITION BY room ORDER BY seq) n FROM parlance.event) s WHERE seq <> n), '0', 'no holes');
BEGIN;
SELECT t.code(t.send('ann', 60, 32)) AS x \gset
SELECT t.code(t.finish(32)) AS x \gset
COMMIT;
SELECT t.is(t.news(), 'c:message.new ' || t.each('message.new', 'ann', 'eve') || ' c:message.started c:message.finished ' || t.each('conversation.activity', 'ann', 'eve'), 'send and finish in one commit');

-- deleting
SELECT t.code(t.send('ann', 1, 33)) AS x \gset
SELECT t.code(parlance.generation_parts(1, ARRAY[t.a(31)], '{0}', '{"the part"}')) AS x \gset
SELECT t.news() AS x \gset
SELECT t.code(parlance.conversation_delete('ann', t.c(1), 's9')) AS x \gset
SELECT t.is(t.news(), 'c:message.finished ' || t.each('conversation.activity', 'ann', 'dan') || ' c:message.finished ' || t.each('conversation.activity', 'ann', 'dan')
	|| ' c:conversation.deleted ' || t.each('conversation.deleted', 'ann', 'dan'), 'delete: answers end first');
SELECT t.is((SELECT string_agg(status || ':' || content || ':' || finish_reason, ',' ORDER BY ord) FROM parlance.message WHERE id IN (t.a(31), t.a(33))), 'stopped:the part:stopped,stopped::stopped', 'they are stopped, with their parts');
SELECT t.is((e->>'b') || (e->>'o') || (e->>'u'), '{"conversationId":"' || t.c(1) || '"}s9ann', 'conversation.deleted') FROM t.event(t.c(1), t.head(t.c(1))) e;
SELECT t.is(t.code(t.finish(31)), 'FENCED', 'they cannot finish any more');
DELETE FROM parlance.conversation WHERE id = t.c(60);
SELECT t.is(t.news(), 'c:conversation.deleted ' || t.each('conversation.deleted', 'ann', 'eve'), 'a row deleted');
SELECT t.is((SELECT count(*)::text FROM parlance.message WHERE conversation = t.c(60)) || (SELECT count(*)::text FROM parlance.participant WHERE conversation = t.c(60)), '00', 'all that was in it is gone');
SELECT t.is(coalesce(e->>'o', '-') || coalesce(e->>'u', '-'), '--', 'without a cause') FROM t.event(t.room('eve'), t.head(t.room('eve'))) e;

-- reap
SELECT t.code(t.create('ann', 2)) || t.code(t.send('ann', 2, 40)) AS x \gset
SELECT t.news() AS x \gset
SELECT parlance.instance_retire(1) AS x \gset
SELECT t.is(t.news(), 'c:message.finished ann:conversation.activity', 'retire');
SELECT t.is((e->'b'->'assistantMessage'->>'status') || (e->'b'->>'finishReason') || (e->'b'->>'usage' IS NULL), 'interruptedinterruptedtrue', 'message.finished of a reaped answer') FROM t.event(t.c(2), t.head(t.c(2))) e;

-- the feed
SELECT t.is(parlance.feed_heads(ARRAY[t.c(2), t.room('ann'), t.c(99)], ARRAY[t.head(t.c(2)) - 1, t.head(t.room('ann')), 0])::text, '{"ok" : true, "rooms" : [{"r" : "' || t.c(2) || '", "s" : ' || t.head(t.c(2)) || '}]}', 'feed_heads');
SELECT t.is(parlance.feed_heads('{}', '{}')->>'rooms', '[]', 'feed_heads of none');
SELECT t.is((r->>'pruned') || (r->>'head') || json_array_length(r->'events'), 'false' || t.head(t.c(2)) || '2', 'feed_replay, limited') FROM parlance.feed_replay(t.c(2), 1, 2) r;
SELECT t.is(parlance.feed_replay(t.c(2), t.head(t.c(2)), 5)::text, '{"ok" : true, "events" : [], "head" : ' || t.head(t.c(2)) || ', "pruned" : false}', 'feed_replay at the head');
SELECT t.is(parlance.feed_replay(t.c(99), 7, 5)::text, '{"ok" : true, "events" : [], "head" : 0, "pruned" : false}', 'feed_replay of an unknown room');
DELETE FROM parlance.event WHERE room = t.c(2) AND seq = 2;
SELECT t.is((r->>'pruned') || json_array_length(r->'events'), 'true0', 'feed_replay behind a hole: pruned') FROM parlance.feed_replay(t.c(2), 1, 5) r;
SELECT t.is((r->>'pruned') || json_array_length(r->'events'), 'false1', 'feed_replay stops before a hole') FROM parlance.feed_replay(t.c(2), 0, 5) r;
SELECT t.is((r->>'pruned') || json_array_length(r->'events'), 'false1', 'feed_replay after it') FROM parlance.feed_replay(t.c(2), 2, 5) r;
SELECT t.is(t.room('ann')::text, '33db92bf-ef91-84a7-98fe-335123bff722', 'the id of a user''s room never changes');

-- the same events, whoever makes a change
SELECT t.instance() AS i \gset
CREATE FUNCTION t.plain(p_json text) RETURNS text LANGUAGE sql AS $$ -- without ids and times
	SELECT regexp_replace(regexp_replace(p_json, '"[0-9a-f]{8}-[0-9a-f-]{27}"', '"id"', 'g'), '"[0-9T:.-]{23}Z"', '"time"', 'g') $$;
CREATE FUNCTION t.bodies(p_room uuid, p_after bigint) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat(e->>'k', e->>'s', e->>'t', t.plain(e->>'b')), E'\n' ORDER BY n)
	FROM json_array_elements(parlance.feed_replay(p_room, p_after, 99)->'events') WITH ORDINALITY AS x (e, n) $$;
SELECT t.code(t.create('fun', 70)) || t.code(t.create('psq', 70 + 1)) AS x \gset
SELECT t.code(t.send('fun', 70, 700, p_client => 'k', p_instance => :i)) || t.code(t.finish(700, :i)) || t.code(t.send('fun', 70, 701, p_instance => :i)) AS x \gset
BEGIN;
INSERT INTO parlance.message (id, conversation, ord, client_id, role, content, author) VALUES (t.u(710), t.c(71), 1, 'k', 'user', 'question 700', 'psq');
INSERT INTO parlance.message (id, conversation, ord, parent, role, status, author, model, stream) VALUES (t.a(710), t.c(71), 2, t.u(710), 'assistant', 'streaming', 'psq', 'm1', t.s(710));
COMMIT;
BEGIN;
UPDATE parlance.message SET status = 'complete', content = 'answer', finish_reason = 'stop', model = 'm1-2025', tokens = 5, usage = '{"promptTokens":2,"completionTokens":3,"totalTokens":5}' WHERE id = t.a(710);
UPDATE parlance.conversation SET total_tokens = 5 WHERE id = t.c(71);
COMMIT;
BEGIN;
INSERT INTO parlance.message (id, conversation, ord, parent, role, content, author) VALUES (t.u(711), t.c(71), 3, t.a(710), 'user', 'question 701', 'psq');
INSERT INTO parlance.message (id, conversation, ord, parent, role, status, author, model, stream) VALUES (t.a(711), t.c(71), 4, t.u(711), 'assistant', 'streaming', 'psq', 'm1', t.s(711));
COMMIT;
SELECT t.is(t.types(t.c(70)), 'message.new message.started message.finished message.new message.started', 'by functions');
SELECT t.is(replace(t.bodies(t.c(71), 0), 'psq', 'fun'), t.bodies(t.c(70), 0), 'by another program: the same in the conversation''s room');
SELECT t.is(replace(t.bodies(t.room('psq'), 1), 'psq', 'fun'), t.bodies(t.room('fun'), 1), 'and in the user''s');
SELECT t.is((SELECT count(DISTINCT (e->>'t', e->>'o', e->>'u'))::text FROM json_array_elements(parlance.feed_replay(t.c(70), 0, 99)->'events') e WHERE e->>'o' = 'sock' AND e->>'u' = 'fun'), '2', 'message.new and message.started have their cause');
INSERT INTO parlance.message SELECT (jsonb_populate_record(m, jsonb_build_object('id', t.a(712), 'ord', 5, 'conversation', t.c(71)))).* FROM parlance.message m WHERE m.id = t.a(701);
SELECT t.is(t.types(t.c(71), 5), 'message.started', 'a copy of a row is a change as any other');
SELECT t.news() AS x \gset

-- many changes in one commit, in their order
SELECT string_agg(t.code(t.create('m' || n, 100 + n)), '') AS x FROM generate_series(1, 150) n \gset
SELECT t.code(parlance.conversation_share('m1', t.c(101), 'm2', 'editor', NULL)) AS x \gset
SELECT t.head(t.c(101)) AS c, t.head(t.room('m1')) AS m1, t.head(t.room('m2')) AS m2 \gset
BEGIN;
SELECT t.code(t.send('m1', 101, 1001, p_instance => :i)) || t.code(t.send('m2', 102, 1002, p_instance => :i)) AS x \gset
SELECT t.code(parlance.conversation_update('m1', t.c(101), '{title}', 'In between', NULL, NULL, NULL, NULL, NULL, 's')) AS x \gset
SELECT t.code(t.finish(1001, :i)) || t.code(t.send('m2', 101, 1003, p_instance => :i)) AS x \gset
UPDATE parlance.message SET content = 'edited' WHERE id = t.a(1001);
SELECT t.code(parlance.conversation_view('m2', t.c(101), true, 's')) || t.code(t.finish(1003, :i)) AS x \gset
COMMIT;
SELECT t.is(t.types(t.c(101), :c), 'message.new message.started conversation.updated message.finished message.new message.started message.updated message.finished', 'a mixed commit: the conversation');
SELECT t.is(t.types(t.room('m1'), :m1), 'message.new conversation.updated conversation.activity message.new conversation.activity', 'its owner');
SELECT t.is(t.types(t.room('m2'), :m2), 'message.new message.new conversation.updated conversation.activity message.new conversation.viewed conversation.activity', 'the other one');
SELECT t.is((SELECT string_agg(e.type || ':' || e.ref, ' ' ORDER BY e.seq) FROM parlance.event e WHERE e.room = t.room('m2') AND e.seq > :m2 AND e.type = 'message.new'), concat_ws(' ', 'message.new:' || t.u(1001), 'message.new:' || t.u(1002), 'message.new:' || t.u(1003)), 'whose messages are in their order');

BEGIN;
SELECT string_agg(t.code(t.send('m' || n, 100 + n, 2000 + n, p_instance => :i)), '') AS x FROM generate_series(3, 150) n \gset
SELECT string_agg(t.code(t.finish(2000 + n, :i)), '') AS x FROM generate_series(3, 150) n \gset
COMMIT;
SELECT t.is((SELECT string_agg(DISTINCT t.types(t.c(100 + n)), '|') FROM generate_series(3, 150) n), 'message.new message.started message.finished', 'a group of 296: the conversations');
SELECT t.is((SELECT string_agg(DISTINCT t.types(t.room('m' || n), 1), '|') FROM generate_series(3, 150) n), 'message.new conversation.activity', 'the users');

SELECT t.head(t.c(103)) AS c, t.head(t.c(104)) AS d \gset
BEGIN;
SAVEPOINT s;
SELECT t.code(t.send('m3', 103, 3003, p_instance => :i)) AS x \gset
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
ROLLBACK TO s;
SELECT t.code(t.send('m4', 104, 3004, p_instance => :i)) AS x \gset
SET CONSTRAINTS ALL IMMEDIATE;
SELECT t.is(t.types(t.c(104), :d), 'message.new message.started', 'constraints made immediate: told at once');
SELECT t.code(t.finish(3004, :i)) AS x \gset
SELECT t.is(t.types(t.c(104), :d + 2), 'message.finished', 'and from then on');
SAVEPOINT s;
SELECT t.code(t.send('m4', 104, 3005, p_instance => :i)) AS x \gset
ROLLBACK TO s;
SET CONSTRAINTS ALL DEFERRED;
SELECT t.code(t.send('m4', 104, 3006, p_instance => :i)) AS x \gset
SAVEPOINT s;
SELECT t.code(t.finish(3006, :i)) AS x \gset
ROLLBACK TO s;
COMMIT;
SELECT t.is(t.types(t.c(103), :c), '', 'a savepoint''s changes, told and rolled back');
SELECT t.is(t.types(t.c(104), :d), 'message.new message.started message.finished message.new message.started', 'the others are told once');
SELECT t.head(t.c(105)) AS c \gset
SET parlance.notes = 'p,f';
SELECT t.code(t.send('m5', 105, 3007, p_instance => :i)) AS x \gset
RESET parlance.notes;
SELECT t.is(t.types(t.c(105), :c), 'message.new message.started', 'a setting left by someone else hides nothing');
SELECT t.is((SELECT count(*)::text FROM parlance.noted), '0', 'no note is left');
SELECT t.is((SELECT count(*)::text FROM (SELECT seq, row_number() OVER (PARTITION BY room ORDER BY seq) n FROM parlance.event WHERE room <> t.c(2)) s WHERE seq <> n), '0', 'no holes');
