-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
-- Conversations and participants: each function's good path and its refusals.

-- create
SELECT t.is(t.keys(parlance.conversation_create('ann', t.c(1), 'T', 'm', 'sys', '{"b":1,"a":2}', 'sock')->'conversation'),
	'id title model systemPrompt metadata version messageCount totalTokens lastActivity ownerId participants archived createdAt updatedAt',
	'a Conversation has its keys in their order');
SELECT t.is(parlance.conversation_create('ann', t.c(1), 'other', NULL, NULL, NULL, NULL)->>'duplicate', 'true', 'create again: duplicate');
SELECT t.is(parlance.conversation_create('ann', t.c(1), 'other', NULL, NULL, NULL, NULL)->'conversation'->>'title', 'T', 'create again changes nothing');
SELECT t.is(t.code(t.create('bob', 1)), 'NOT_FOUND', 'create with the id of a stranger''s');
SELECT t.is((t.create('bob', 2)->'conversation'->>'title') || (t.create('bob', 2)->'conversation'->>'metadata'), 'New conversation{}', 'defaults');
SELECT t.ok((parlance.conversation_create('bob', NULL, NULL, NULL, NULL, NULL, NULL)->'conversation'->>'id') IS NOT NULL, 'create without an id');
SELECT t.is(t.code(parlance.conversation_create('bob', t.c(9), NULL, NULL, NULL, '[1]', NULL)), 'BAD_REQUEST', 'metadata that is no object');
SELECT t.is(t.code(parlance.conversation_create(repeat('x', 256), t.c(9), NULL, NULL, NULL, NULL, NULL)), 'BAD_REQUEST', 'a user''s id of 256 bytes');
SELECT t.is(t.code(parlance.conversation_create('', t.c(9), NULL, NULL, NULL, NULL, NULL)), 'BAD_REQUEST', 'no user''s id');
SELECT t.ok(parlance.conversation_create('odd', t.c(3), NULL, NULL, NULL, '{"b":1e999,"a":"\u0000\ud800","b": 2}', NULL)::text ~ '"ok" : true', 'create with odd metadata');
SELECT t.ok(strpos(parlance.conversation_join('odd', t.c(3), NULL)::text, '"metadata":{"b":1e999,"a":"\u0000\ud800","b": 2}') > 0, 'which goes out as it came');
SELECT t.ok(parlance.conversation_update('odd', t.c(3), '{metadata}', NULL, NULL, NULL, '{"c":"\u0000"}', NULL, NULL, NULL)::text ~ '"ok" : true', 'update with odd metadata');
SELECT t.ok(strpos(parlance.feed_replay(t.c(3), 0, 9)::text, '"update":{"metadata":{"c":"\u0000"}}') > 0, 'its event');
SELECT t.ok(parlance.conversation_access('ann', t.c(1))::text ~ '"role" : "owner"', 'access of the owner');
SELECT t.is(t.code(parlance.conversation_access('bob', t.c(1))), 'NOT_FOUND', 'access of a stranger');
SELECT t.is(t.code(parlance.conversation_access('ann', t.c(77))), 'NOT_FOUND', 'access to what is not there');
SELECT t.ok(parlance.conversation_join('ann', t.c(1), NULL)->'ack'->'conversation'->>'createdAt' ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$', 'the form of times');

-- update
SELECT t.is(parlance.conversation_update('ann', t.c(1), '{title,archived}', 'T2', 'no', NULL, NULL, true, 1, 'sock')->'conversation'->>'version', '2', 'update counts version');
SELECT t.is((SELECT concat_ws(',', c.title, c.model, c.system_prompt, c.archived) FROM parlance.conversation c WHERE c.id = t.c(1)), 'T2,m,sys,t', 'update sets the named fields alone');
SELECT t.is((SELECT (r->>'code') || (r->'conversation'->>'title') FROM parlance.conversation_update('ann', t.c(1), '{title}', 'T3', NULL, NULL, NULL, NULL, 1, NULL) r),
	'CONFLICTT2', 'update of an old version: CONFLICT and the current row');
SELECT t.is(t.code(parlance.conversation_update('ann', t.c(1), '{model,systemPrompt,metadata}', NULL, NULL, NULL, NULL, NULL, NULL, NULL)), 'ok', 'update to null');
SELECT t.is((SELECT concat_ws(',', c.title, c.model, c.system_prompt, c.metadata, c.version) FROM parlance.conversation c WHERE c.id = t.c(1)), 'T2,{},3', 'nulls are set');
SELECT t.is(t.code(parlance.conversation_update('ann', t.c(1), '{owner}', NULL, NULL, NULL, NULL, NULL, NULL, NULL)), 'BAD_REQUEST', 'update of an unknown field');
SELECT t.is(parlance.conversation_update('ann', t.c(1), '{title}', 'T2', NULL, NULL, NULL, NULL, NULL, NULL)->'conversation'->>'version', '3', 'update that changes nothing keeps version');
SELECT t.is(t.code(parlance.conversation_update('bob', t.c(1), '{title}', 'x', NULL, NULL, NULL, NULL, NULL, NULL)), 'NOT_FOUND', 'update by a stranger');

-- share
SELECT t.is(parlance.conversation_share('ann', t.c(1), 'eve', 'viewer', NULL)->>'participants', '[{"userId":"ann","role":"owner"},{"userId":"eve","role":"viewer"}]', 'share');
SELECT t.is(t.code(parlance.conversation_share('ann', t.c(1), 'dan', 'editor', NULL)), 'ok', 'share with an editor');
SELECT t.is(t.code(parlance.conversation_share('ann', t.c(1), 'dan', 'editor', NULL)), 'ok', 'share again');
SELECT t.is(t.code(parlance.conversation_share('ann', t.c(1), 'dan', 'owner', NULL)), 'BAD_REQUEST', 'share as owner');
SELECT t.is(t.code(parlance.conversation_share('ann', t.c(1), 'dan', NULL, NULL)), 'BAD_REQUEST', 'share without a role');
SELECT t.is(t.code(parlance.conversation_share('ann', t.c(1), repeat('x', 256), 'editor', NULL)), 'BAD_REQUEST', 'share with an id that is too long');
SELECT t.is(t.code(parlance.conversation_share('ann', t.c(1), 'ann', 'viewer', NULL)), 'CONFLICT', 'the owner''s role stays');
SELECT t.is(t.code(parlance.conversation_share('dan', t.c(1), 'bob', 'viewer', NULL)), 'FORBIDDEN', 'share by an editor');
SELECT t.is(t.code(parlance.conversation_share('bob', t.c(1), 'bob', 'viewer', NULL)), 'NOT_FOUND', 'share by a stranger');
SELECT t.is(t.code(parlance.conversation_update('dan', t.c(1), '{title}', 'by dan', NULL, NULL, NULL, NULL, NULL, NULL)), 'ok', 'an editor may update');
SELECT t.is(t.code(parlance.conversation_update('eve', t.c(1), '{title}', 'x', NULL, NULL, NULL, NULL, NULL, NULL)), 'FORBIDDEN', 'a viewer may not update');
SELECT t.is(t.code(parlance.conversation_delete('dan', t.c(1), NULL)), 'FORBIDDEN', 'an editor may not delete');
SELECT t.is(t.code(parlance.conversation_delete('bob', t.c(1), NULL)), 'NOT_FOUND', 'a stranger''s delete');
SELECT t.is(parlance.conversation_view('eve', t.c(1), true, 'sock')::text, '{"ok" : true}', 'a viewer may view');
SELECT t.is(t.code(parlance.conversation_view('bob', t.c(1), true, NULL)), 'NOT_FOUND', 'a stranger may not');
SELECT t.is(t.code(parlance.conversation_unshare('dan', t.c(1), 'eve', NULL)), 'FORBIDDEN', 'unshare by an editor');
SELECT t.is(t.code(parlance.conversation_unshare('bob', t.c(1), 'eve', NULL)), 'NOT_FOUND', 'unshare by a stranger');
SELECT t.is(t.code(parlance.conversation_unshare('ann', t.c(1), 'ann', NULL)), 'CONFLICT', 'the owner stays');
SELECT t.is(parlance.conversation_unshare('eve', t.c(1), 'eve', NULL)->>'participants', '[{"userId":"ann","role":"owner"},{"userId":"dan","role":"editor"}]', 'a participant may leave');
SELECT t.is(t.code(parlance.conversation_unshare('ann', t.c(1), 'eve', NULL)), 'ok', 'unshare of one who is gone');
SELECT t.is(t.code(parlance.conversation_access('eve', t.c(1))), 'NOT_FOUND', 'who left has no access');

-- list
SELECT count(*) FILTER (WHERE t.code(parlance.conversation_create('lee', t.c(100 + i), 'n' || i, NULL, NULL, NULL, NULL)) <> 'ok') = 0 AS created FROM generate_series(1, 5) i \gset
UPDATE parlance.conversation c SET active_at = '2026-01-01 00:00:00.123456Z' WHERE c.id IN (t.c(102), t.c(103), t.c(104));
CREATE FUNCTION t.pages(p_user text, p_limit integer) RETURNS text LANGUAGE plpgsql AS $$
DECLARE v_cursor text; r json; v_all text := '';
BEGIN
	LOOP
		r := parlance.conversation_list(p_user, v_cursor, p_limit, NULL);
		v_all := v_all || (SELECT coalesce(string_agg(x->>'title', ' '), '') FROM json_array_elements(r->'conversations') x) || '|';
		v_cursor := r->>'nextCursor';
		EXIT WHEN v_cursor IS NULL;
	END LOOP;
	RETURN v_all;
END $$;
SELECT t.is(t.pages('lee', 2), 'n5 n1|n4 n3|n2|', 'list by pages, equal times too');
SELECT t.is(t.pages('lee', 5), 'n5 n1 n4 n3 n2|', 'a page that is just full is the last');
SELECT t.is(t.pages('nobody', 5), '|', 'list of nobody');
SELECT t.is(string_agg(t.code(parlance.conversation_list('lee', x, 5, NULL)), ' '), 'BAD_REQUEST BAD_REQUEST BAD_REQUEST BAD_REQUEST', 'malformed cursors')
	FROM unnest(ARRAY['', 'x', '1_c0000000', '99999999999999999999_' || t.c(1)]) x;
SELECT t.is(t.code(parlance.conversation_list('lee', '99999999999999999_' || t.c(1), 5, NULL)), 'ok', 'the largest cursor');
SELECT t.is(json_array_length(parlance.conversation_list('ann', NULL, 5, NULL)->'conversations')::text
	|| json_array_length(parlance.conversation_list('ann', NULL, 5, true)->'conversations')::text, '01', 'archived ones apart');
SELECT t.is(json_array_length(parlance.conversation_list('lee', NULL, -5, NULL)->'conversations')::text, '1', 'a limit below 1 is 1');

-- delete
SELECT t.is(t.code(parlance.conversation_delete('ann', t.c(1), NULL)), 'ok', 'delete');
SELECT t.is(string_agg(x, ' '), 'NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND NOT_FOUND', 'what is deleted is not there') FROM unnest(ARRAY[
	t.code(parlance.conversation_delete('ann', t.c(1), NULL)), t.code(parlance.conversation_access('ann', t.c(1))),
	t.code(parlance.conversation_join('ann', t.c(1), 0)), t.code(parlance.message_list('ann', t.c(1), NULL, NULL, 5)),
	t.code(parlance.conversation_view('ann', t.c(1), true, NULL)), t.code(t.create('ann', 1))]) x;

-- What a function sets for its triggers it takes back: another user's call follows in the same transaction.
BEGIN;
CREATE FUNCTION t.unset(p_answer json, p_what text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT t.is(t.code(p_answer) || coalesce(current_setting('parlance.actor', true), '')
		|| coalesce(current_setting('parlance.origin', true), ''), 'ok', p_what || ' leaves nothing set');
END $$;
SELECT t.unset(t.create('ann', 50), 'create');
SELECT t.unset(t.create('ann', 50), 'a duplicate');
SELECT t.unset(parlance.conversation_update('ann', t.c(50), '{title}', 'x', NULL, NULL, NULL, NULL, NULL, 'sock'), 'update');
SELECT t.unset(parlance.conversation_share('ann', t.c(50), 'eve', 'viewer', 'sock'), 'share');
SELECT t.unset(parlance.conversation_view('ann', t.c(50), true, 'sock'), 'view');
SELECT t.unset(parlance.conversation_unshare('ann', t.c(50), 'eve', 'sock'), 'unshare');
SELECT t.instance() AS x \gset
SELECT t.unset(t.send('ann', 50, 1), 'send');
SELECT t.unset(t.finish(1), 'finish');
SELECT t.unset(parlance.conversation_delete('ann', t.c(50), 'sock'), 'delete');
COMMIT;
