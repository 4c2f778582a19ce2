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
