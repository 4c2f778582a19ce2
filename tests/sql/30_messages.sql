-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
-- Sending, queues, generations, leases.

SELECT t.is(t.instance()::text, '1', 'register');
SELECT t.code(t.create('ann', 1)) || t.code(parlance.conversation_share('ann', t.c(1), 'eve', 'viewer', NULL))
	|| t.code(parlance.conversation_share('ann', t.c(1), 'dan', 'editor', NULL)) AS x \gset
UPDATE parlance.conversation SET system_prompt = 'be "nice"';

-- refusals of send
SELECT t.is(t.code(t.send('bob', 1, 1)), 'NOT_FOUND', 'send by a stranger');
SELECT t.is(t.code(t.send('eve', 1, 1)), 'FORBIDDEN', 'send by a viewer');
SELECT t.is(t.code(t.send('ann', 7, 1)), 'NOT_FOUND', 'send to what is not there');
SELECT t.is(t.code(t.send('ann', 1, 1, 'later')), 'BAD_REQUEST', 'send with an unknown onBusy');
SELECT t.is(t.code(t.send('ann', 1, 1, p_client => repeat('é', 65))), 'BAD_REQUEST', 'a client''s id of 130 bytes');
SELECT t.is(t.code(t.send('ann', 1, 1, p_instance => 99)), 'UNAVAILABLE', 'send by an unknown instance');
SELECT t.is(t.code(t.send('ann', 1, 1, p_parent => t.u(88))), 'NOT_FOUND', 'send with an unknown parent');
SELECT t.is((SELECT count(*)::text FROM parlance.message), '0', 'refusals write nothing');

-- send and finish
CREATE TABLE t.r AS SELECT t.send('ann', 1, 1, p_client => 'k1') AS r;
SELECT t.is(r->>'state', 'run', 'send runs') FROM t.r;
SELECT t.is(t.keys(r->'ack'), 'ok userMessage assistantMessageId streamId', 'the ack') FROM t.r;
SELECT t.is(t.keys(r->'ack'->'userMessage'), 'id conversationId parentId seq role content status model tokensUsed createdAt updatedAt', 'a Message has its keys in their order') FROM t.r;
SELECT t.is(r->>'prompt', '{"model":"m1","options":{"t":1},"user":"' || parlance.user_hash('ann')
	|| '","messages":[{"role":"system","content":"be \"nice\""},{"role":"user","content":"question 1"}]}', 'the prompt') FROM t.r;
CREATE TABLE t.d AS SELECT t.send('ann', 1, 5, p_client => 'k1') AS r;
SELECT t.is(r->>'state', 'duplicate', 'the same client''s id again') FROM t.d;
SELECT t.is(d.r->'ack'->>'userMessage' || (d.r->'ack'->>'assistantMessageId') || (d.r->'ack'->>'streamId') || (d.r->'ack'->>'duplicate'),
	r.r->'ack'->>'userMessage' || (r.r->'ack'->>'assistantMessageId') || (r.r->'ack'->>'streamId') || 'true', 'the first ack again') FROM t.r, t.d;
SELECT t.is(t.send('ann', 1, 1)->>'state', 'duplicate', 'the same message''s id again, without a client''s id');
SELECT t.is(t.send('ann', 1, 1, p_client => 'k1')->>'prompt', r->>'prompt', 'the same call again, its answer being lost: the prompt, too') FROM t.r;
SELECT t.is(coalesce(d.r->>'prompt', '-'), '-', 'not for another call with its client''s id') FROM t.d;
SELECT t.is(coalesce(t.send('ann', 1, 1, p_client => 'k1', p_instance => 9)->>'prompt', '-'), '-', 'nor for another instance');
SELECT t.is((SELECT count(*)::text FROM parlance.message), '2', 'duplicates write nothing');
SELECT t.is(parlance.session_open('ann', NULL, 'pid', NULL, NULL, NULL, NULL, NULL)::text, '{"ok":true,"room":"' || t.room('ann') || '","seq":' || t.head(t.room('ann'))
	|| ',"epoch":"' || parlance.epoch() || '","pid":"' || parlance.user_pid('pid', 'ann') || '","socket":"' || parlance.digest22('socket ' || parlance.user_pid('pid', 'ann'))
	|| '","recovered":false,"streams":[{"conversationId" : "' || t.c(1) || '", "streamId" : "' || t.s(1) || '"}]}', 'session_open');
SELECT t.is(parlance.session_open('new', NULL, 'pid', NULL, NULL, NULL, NULL, NULL)->>'seq', '0', 'session_open of someone new');

SELECT t.is(parlance.generation_parts(1, ARRAY[t.a(1), t.a(1), t.a(9), t.a(1)], '{0,3,0,3}', ARRAY['aé', 'b€', 'x', 'zzz'])::text,
	'{"ok" : true, "fenced" : ["' || t.a(9) || '"]}', 'parts: what is not ours is fenced');
SELECT t.is(parlance.generation_parts(2, ARRAY[t.a(1)], '{7}', ARRAY['evil'])->>'fenced', '["' || t.a(1) || '"]', 'parts of another instance are fenced');
SELECT t.is(parlance.generation_parts(1, ARRAY[t.a(1)], '{3}', ARRAY['other'])->>'fenced', '[]', 'a part again');
SELECT t.is(parlance.conversation_join('eve', t.c(1), 0)->'ack'->'messages'->1->>'content', 'aéb€', 'join sees the parts, the first of each');
SELECT t.is(parlance.conversation_join('eve', t.c(1), 1)->'ack'->>'activeStream', '{"streamId":"' || t.s(1) || '","assistantMessageId":"' || t.a(1) || '","messageId":"k1"}', 'join: the active stream');
SELECT t.is(t.keys(parlance.conversation_join('eve', t.c(1), NULL)->'ack'), 'ok conversation lastSeq activeStream', 'join without since: no messages');
SELECT t.is((parlance.conversation_join('eve', t.c(1), NULL)->>'role') || (parlance.conversation_join('eve', t.c(1), NULL)->>'seq')
	|| (parlance.conversation_join('eve', t.c(1), NULL)->'ack'->>'lastSeq'), 'viewer' || t.head(t.c(1)) || '2', 'join: role, seq, lastSeq');
SELECT t.is(t.code(parlance.conversation_join('bob', t.c(1), 0)), 'NOT_FOUND', 'join by a stranger');
SELECT t.is((SELECT string_agg(p.text, ',' ORDER BY p.off) FROM parlance.message_part p), 'aé,b€', 'parts as stored');
INSERT INTO parlance.message_part VALUES (t.a(1), 5, '€cd'), (t.a(1), 20, 'after a hole');
SELECT t.is(parlance.part_text(t.a(1)), 'aéb€', 'parts that do not fit together end the text');
UPDATE parlance.message_part SET off = 4 WHERE off = 5;
SELECT t.is(parlance.part_text(t.a(1)), 'aéb€cd', 'an overlap counts once, a hole ends the text');

SELECT t.is(t.code(t.finish(1, 2)), 'FENCED', 'finish by another instance');
SELECT t.is((SELECT status::text FROM parlance.message WHERE id = t.a(1)), 'streaming', 'which changes nothing');
SELECT t.is(t.code(t.finish(1, 1, 'done')), 'BAD_REQUEST', 'finish with an unknown status');
SELECT t.is(t.finish(1, p_content => NULL)::text, '{"ok" : true}', 'finish');
SELECT t.is((SELECT concat_ws(',', status, content, model, tokens, finish_reason) FROM parlance.message WHERE id = t.a(1)), 'complete,aéb€cd,m1-2025,5,stop', 'finish without content takes the parts');
SELECT t.is((SELECT concat_ws(',', message_count, total_tokens, last_ord) FROM parlance.conversation), '2,5,2', 'the conversation''s counters');
SELECT t.is((SELECT count(*)::text FROM parlance.message_part) || (SELECT count(*)::text FROM parlance.generation), '00', 'parts and generation are gone');
SELECT t.is(t.code(t.finish(1)), 'FENCED', 'finish again');
SELECT t.is(coalesce(t.send('ann', 1, 1, p_client => 'k1')->>'prompt', '-'), '-', 'no prompt when the answer has ended');
SELECT t.is(t.keys(parlance.message_list('ann', t.c(1), NULL, NULL, 9)->'messages'->1), 'id conversationId parentId seq role content status model tokensUsed usage createdAt updatedAt', 'usage stands behind tokensUsed');

-- a branch and odd usage
SELECT t.is(t.send('dan', 1, 2)->>'state', 'run', 'an editor sends');
SELECT t.is((SELECT parent::text FROM parlance.message WHERE id = t.u(2)), t.a(1)::text, 'without parent: the last message');
SELECT t.is(parlance.generation_finish(t.a(2), 1, 'failed', NULL, '', NULL, '{"totalTokens":1e999,"x":"\u0000"}', '{"code":"PROVIDER_ERROR","m":"\ud800"}')::text, '{"ok" : true}', 'usage and error as odd as they come');
SELECT t.is((SELECT concat_ws(',', tokens, usage, error) FROM parlance.message WHERE id = t.a(2)), '0,{"totalTokens":1e999,"x":"\u0000"},{"code":"PROVIDER_ERROR","m":"\ud800"}', 'kept as they came');
CREATE FUNCTION t.prompt(r json) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(x->>'content', '|') FROM json_array_elements(r->'prompt'->'messages') x $$;
SELECT t.is(t.prompt(t.send('ann', 1, 3)), 'be "nice"|question 1|aéb€cd|question 2|question 3', 'the prompt skips a failed answer');
SELECT t.is(t.code(t.finish(3, p_content => 'answer 3')), 'ok', 'finish 3');
SELECT t.is(t.prompt(t.send('ann', 1, 4, p_parent => t.a(1), p_history => 2)), 'be "nice"|aéb€cd|question 4', 'the prompt follows the branch, limited by history');
SELECT t.is(t.code(t.finish(4, p_content => 'answer 4')), 'ok', 'finish 4');
SELECT t.is(t.prompt(t.send('ann', 1, 5, p_history => 4)), 'be "nice"|aéb€cd|question 4|answer 4|question 5', 'the last messages of the branch');
SELECT t.is(t.code(t.finish(5, p_status => 'stopped', p_content => '')), 'ok', 'finish 5: stopped without text');
SELECT t.is(t.prompt(t.send('ann', 1, 6, p_history => 0)), 'be "nice"|question 6', 'history 0: the own message alone');
SELECT t.is(t.code(t.finish(6)), 'ok', 'finish 6');

-- list
CREATE FUNCTION t.seqs(r json) RETURNS text LANGUAGE sql AS $$ SELECT coalesce(string_agg(x->>'seq', ','), '') || '/' || (r->>'hasMore') FROM json_array_elements(r->'messages') x $$;
SELECT t.is(t.seqs(parlance.message_list('eve', t.c(1), NULL, NULL, 3)), '10,11,12/true', 'the last messages');
SELECT t.is(t.seqs(parlance.message_list('eve', t.c(1), 4, NULL, 3)), '1,2,3/false', 'those before');
SELECT t.is(t.seqs(parlance.message_list('eve', t.c(1), 5, 10, 2)), '11,12/false', 'those after, whatever before says');
SELECT t.is(t.seqs(parlance.message_list('eve', t.c(1), NULL, 8, 3)), '9,10,11/true', 'those after, and more');
SELECT t.is(t.seqs(parlance.message_list('eve', t.c(1), NULL, 99, 3)), '/false', 'none after');
SELECT t.is(t.code(parlance.message_list('bob', t.c(1), NULL, NULL, 3)), 'NOT_FOUND', 'list by a stranger');

-- busy
SELECT t.code(t.create('ann', 2)) AS x \gset
SELECT t.is(t.send('ann', 2, 10)->>'state', 'run', 'the first runs');
SELECT t.is(t.code(t.send('ann', 2, 11, 'reject')), 'BUSY', 'reject: BUSY');
SELECT t.is((r->>'state') || (r->'ack'->>'queued') || (r->'ack'->>'position') || coalesce(r->>'prompt', '-'), 'queuedtrue1-', 'queue: the first in line') FROM t.send('ann', 2, 11, p_client => 'w') r;
SELECT t.is((r->>'state') || (r->'ack'->>'queued') || (r->'ack'->>'position'), 'duplicatetrue1', 'its duplicate still waits') FROM t.send('ann', 2, 19, p_client => 'w') r;
SELECT t.is(t.send('ann', 2, 12)->'ack'->>'position', '2', 'queue: the second');
SELECT t.is(t.code(t.send('ann', 2, 13)), 'BUSY', 'queue: full');
SELECT t.is((r->>'state') || (r->'ack'->>'position'), 'queued1', 'interrupt: in front') FROM t.send('ann', 2, 14, 'interrupt') r;
SELECT t.is(t.code(t.send('ann', 2, 15, 'interrupt')), 'BUSY', 'interrupt: one beyond the queue');
SELECT t.is((SELECT string_agg(x->>'assistantMessageId', ',') FROM json_array_elements(parlance.message_stop('ann', t.c(2), NULL, 1)->'streams') x),
	concat_ws(',', t.a(10), t.a(14), t.a(11), t.a(12)), 'stop: the running one first, then in their order');
SELECT t.is(parlance.message_stop('ann', t.c(2), t.s(11), 1)::text, '{"ok" : true, "streams" : [{"streamId" : "' || t.s(11) || '", "assistantMessageId" : "' || t.a(11) || '", "instance" : 1}]}', 'stop of one');
SELECT t.is(parlance.message_stop('ann', t.c(2), t.s(99), 1)->>'streams', '[]', 'stop of none');
SELECT t.is(t.code(parlance.message_stop('eve', t.c(1), NULL, 1)) || t.code(parlance.message_stop('bob', t.c(1), NULL, 1)), 'FORBIDDENNOT_FOUND', 'stop by a viewer, by a stranger');
SELECT t.is(t.code(parlance.generation_begin(t.a(14), 1, 9)), 'BUSY', 'begin while another runs');
SELECT t.is(parlance.generation_parts(1, ARRAY[t.a(14)], '{0}', '{x}')->>'fenced', '["' || t.a(14) || '"]', 'parts of one that waits are fenced');
SELECT t.is(t.code(t.finish(10, p_status => 'stopped', p_content => 'part')), 'ok', 'the running one is stopped');
SELECT t.is(t.code(parlance.generation_begin(t.a(14), 99, 9)), 'UNAVAILABLE', 'begin by an unknown instance');
CREATE TABLE t.b AS SELECT parlance.generation_begin(t.a(14), 1, 9) AS r;
SELECT t.is(t.keys(r), 'ok prompt streamId conversationId', 'begin') FROM t.b;
SELECT t.is(t.prompt(r), 'question 10|part|question 11|question 12|question 14', 'begin: the prompt as it is now') FROM t.b;
SELECT t.is((SELECT status::text FROM parlance.message WHERE id = t.a(14)), 'streaming', 'begin: streaming');
SELECT t.is(t.code(parlance.generation_begin(t.a(14), 1, 9)), 'NOT_FOUND', 'begin again');
SELECT t.is(t.code(parlance.generation_begin(t.a(99), 1, 9)), 'NOT_FOUND', 'begin of what is not there');
SELECT t.is(t.code(t.finish(11, p_status => 'stopped', p_content => '')), 'ok', 'finish of one that waits');
SELECT t.is(t.code(parlance.generation_begin(t.a(11), 1, 9)), 'NOT_FOUND', 'which cannot begin then');

-- leases
SELECT t.is(t.instance()::text, '2', 'another instance');
SELECT t.is((parlance.instance_beat(1, false)->>'ok') || (parlance.instance_beat(77, false)->>'ok'), 'truefalse', 'beat');
SELECT t.is(parlance.instance_reap()::text, '{"ok" : true, "instances" : 0, "interrupted" : 0}', 'nothing to reap');
SELECT t.is(parlance.generation_parts(1, ARRAY[t.a(14)], '{0}', '{"so far"}')->>'fenced', '[]', 'a part');
UPDATE parlance.instance SET expires_at = now() - interval '1 s' WHERE id = 1;
SELECT t.is(parlance.instance_reap()::text, '{"ok" : true, "instances" : 1, "interrupted" : 2}', 'reap: one runs, one waits');
SELECT t.is((SELECT string_agg(status || ':' || content, ',' ORDER BY ord) FROM parlance.message WHERE id IN (t.a(12), t.a(14))), 'interrupted:,interrupted:so far', 'reap: interrupted, with the parts');
SELECT t.is(t.code(t.finish(14)), 'FENCED', 'the reaped one cannot finish');
SELECT t.is(parlance.generation_parts(1, ARRAY[t.a(14)], '{6}', '{x}')->>'fenced', '["' || t.a(14) || '"]', 'nor write');
SELECT t.is(parlance.instance_beat(1, false)->>'ok', 'false', 'nor beat');
SELECT t.is(t.code(t.send('ann', 2, 20)), 'UNAVAILABLE', 'nor send');
SELECT t.is(t.send('ann', 2, 20, p_instance => 2)->>'state', 'run', 'another can');
SELECT t.is(parlance.instance_retire(2)::text, '{"ok" : true, "interrupted" : 1}', 'retire');
SELECT t.is(t.instance()::text, '3', 'a new id each time');
SELECT t.is(t.send('ann', 2, 21, p_instance => 3)->>'state', 'run', 'send');
DELETE FROM parlance.instance;
SELECT t.is(parlance.instance_reap()::text, '{"ok" : true, "instances" : 0, "interrupted" : 1}', 'what belongs to no instance is reaped');
SELECT t.is(parlance.instance_retire(3)::text, '{"ok" : true, "interrupted" : 0}', 'retire of one that is gone');
SELECT t.is((SELECT count(*)::text FROM parlance.message WHERE status IN ('pending', 'streaming')), '0', 'nothing stays behind');
