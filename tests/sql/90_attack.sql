-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
-- What a stranger may try with nothing but a valid user's id.

-- A conversation that takes the id of another user's room would hear what happens to him.
SELECT t.is(t.code(parlance.conversation_create('eve', t.room('ann'), NULL, NULL, NULL, NULL, NULL)), 'BAD_REQUEST', 'create with the id of a user''s room');
SELECT t.is(t.code(parlance.conversation_create('eve', gen_random_uuid(), NULL, NULL, NULL, NULL, NULL)), 'ok', 'create with a random id');

-- Each change of a participant is an event for every other, with the list of all: n of them cost n^3 bytes.
SELECT t.is(string_agg(DISTINCT t.code(parlance.conversation_share('eve', c.id, 'friend' || n, 'viewer', NULL)), ' '), 'ok', 'share with 99')
	FROM parlance.conversation c, generate_series(1, 99) AS n;
SELECT t.is(t.code(parlance.conversation_share('eve', c.id, 'friend100', 'viewer', NULL)), 'QUOTA_EXCEEDED', 'and with no more') FROM parlance.conversation c;
SELECT t.is(t.code(parlance.conversation_share('eve', c.id, 'friend1', 'editor', NULL)), 'ok', 'the role of one may change') FROM parlance.conversation c;
SELECT t.is(t.code(parlance.conversation_unshare('eve', c.id, 'friend1', NULL)), 'ok', 'one may go') FROM parlance.conversation c;
SELECT t.is(t.code(parlance.conversation_share('eve', c.id, 'friend100', 'viewer', NULL)), 'ok', 'and another come') FROM parlance.conversation c;

-- What is read from the log is made of the rows as they are now: not for one who was taken out meanwhile.
SELECT t.is(t.code(t.create('ann', 1)), 'ok', 'create');
SELECT t.is(t.code(parlance.conversation_share('ann', t.c(1), 'bob', 'viewer', NULL)), 'ok', 'share');
SELECT t.ok(t.instance() = 1, 'instance');
SELECT t.is(t.code(t.send('ann', 1, 1)), 'ok', 'send');
SELECT t.ok(bool_and(e->>'b' IS NOT NULL), 'a participant gets what his events are about') FROM json_array_elements(parlance.feed_replay(t.room('bob'), 0, 9)->'events') e;
SELECT t.is(t.code(parlance.conversation_unshare('ann', t.c(1), 'bob', NULL)), 'ok', 'unshare');
SELECT t.is(t.code(parlance.conversation_update('ann', t.c(1), '{title}', 'secret', NULL, NULL, NULL, NULL, NULL, NULL)), 'ok', 'update');
SELECT t.is(string_agg((e->>'t') || CASE WHEN e->>'b' IS NULL THEN ' -' ELSE ' +' END, ', ' ORDER BY (e->>'s')::bigint),
	'conversation.created -, conversation.updated +, message.new -, conversation.deleted +', 'who is none any more gets what was told then, and the end')
	FROM json_array_elements(parlance.feed_replay(t.room('bob'), 0, 9)->'events') e;
SELECT t.ok(parlance.feed_replay(t.room('bob'), 0, 9)::text !~ 'secret|question', 'and nothing that came later');

-- Lists are as long as fits into a connection's queue, however large their elements are.
INSERT INTO parlance.message (id, conversation, ord, role, content)
	SELECT gen_random_uuid(), t.c(1), 2 + n, 'user', repeat('x', 300000) FROM generate_series(1, 8) AS n;
CREATE FUNCTION t.seqs(p_messages json) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(m->>'seq', ' ' ORDER BY o) FROM json_array_elements(p_messages) WITH ORDINALITY AS e (m, o) $$;
SELECT t.is(t.seqs(r->'messages') || (r->>'hasMore'), '1 2 3 4 5true', 'messages after one') FROM parlance.message_list('ann', t.c(1), NULL, 0, 200) r;
SELECT t.is(t.seqs(r->'messages') || (r->>'hasMore'), '9 10false', 'the last after one') FROM parlance.message_list('ann', t.c(1), NULL, 8, 200) r;
SELECT t.is(t.seqs(r->'messages') || (r->>'hasMore'), '8 9 10true', 'the last messages') FROM parlance.message_list('ann', t.c(1), NULL, NULL, 200) r;
SELECT t.is(t.seqs(r->'messages') || (r->>'hasMore'), '1 2 3false', 'the first before one') FROM parlance.message_list('ann', t.c(1), 4, NULL, 200) r;
SELECT t.is(coalesce(t.seqs(r->'messages'), '-') || (r->>'hasMore'), '-false', 'none before one') FROM parlance.message_list('ann', t.c(1), 1, NULL, 200) r;
SELECT t.is(coalesce(t.seqs(r->'messages'), '-') || (r->>'hasMore'), '-false', 'none after one') FROM parlance.message_list('ann', t.c(1), NULL, 10, 200) r;
SELECT t.is(t.seqs(r->'ack'->'messages') || (r->'ack'->>'lastSeq'), '3 4 510', 'messages with a join') FROM parlance.conversation_join('ann', t.c(1), 2) r;
UPDATE parlance.message SET content = repeat('x', 2000000) WHERE ord = 10;
SELECT t.is(t.seqs(r->'messages') || (r->>'hasMore'), '10true', 'one that is larger') FROM parlance.message_list('ann', t.c(1), NULL, NULL, 200) r;
SELECT t.is(string_agg(DISTINCT t.code(parlance.conversation_create('dan', t.c(100 + n), NULL, NULL, repeat('x', 600000), NULL, NULL)), ' '), 'ok', 'create large ones') FROM generate_series(1, 3) AS n;
WITH RECURSIVE page AS (
	SELECT parlance.conversation_list('dan', NULL, 200, false) AS r
	UNION ALL SELECT parlance.conversation_list('dan', r->>'nextCursor', 200, false) FROM page WHERE r->>'nextCursor' IS NOT NULL)
SELECT t.is(string_agg(json_array_length(r->'conversations')::text, ' ') || count(DISTINCT r->'conversations'->0->>'id'), '1 1 13', 'conversations come one by one') FROM page;

-- A prompt is put together in everybody's transaction: it is bounded in bytes, too.
SELECT t.is(t.code(t.create('eve', 2)), 'ok', 'create');
INSERT INTO parlance.message (id, conversation, ord, role, content, parent)
	SELECT t.u(100 + n), t.c(2), n, 'user', n || repeat('x', 299999), CASE WHEN n > 1 THEN t.u(99 + n) END FROM generate_series(1, 9) AS n;
CREATE FUNCTION t.prompt(p_answer json) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(left(m->>'content', 1), ' ' ORDER BY o) FROM json_array_elements(p_answer->'prompt'->'messages') WITH ORDINALITY AS e (m, o) $$;
SELECT t.is(t.prompt(t.send('eve', 2, 110, p_history => 50)), '7 8 9 q', 'the last messages that fit');
SELECT t.is(t.code(t.finish(110)), 'ok', 'finish');
SELECT t.is(t.prompt(t.send('eve', 2, 111, p_parent => t.u(105), p_history => 50)), '3 4 5 q', 'on a branch');
SELECT t.is(t.code(t.finish(111)), 'ok', 'finish');
UPDATE parlance.message SET content = repeat('y', 2000000) WHERE id = t.u(109);
SELECT t.is(t.prompt(t.send('eve', 2, 112, p_parent => t.u(109), p_history => 50)), 'q', 'none that does not fit');
SELECT t.is(t.code(t.finish(112)), 'ok', 'finish');
