-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
-- Partitions, pruning, purging.

CREATE FUNCTION t.partitions() RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(((to_date(substr(c.relname, 7), 'YYYYMMDD')) - (now() AT TIME ZONE 'UTC')::date)::text, ',' ORDER BY c.relname)
	FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'parlance.event'::regclass AND c.relname <> 'event_default' $$;
CREATE FUNCTION t.day(n integer) RETURNS date LANGUAGE sql AS $$ SELECT (now() AT TIME ZONE 'UTC')::date + n $$;
SELECT t.is(t.partitions(), '0,1,2,3', 'the migrations made the partitions of the next days');
SELECT t.is(parlance.maintain()::text, '{"ok" : true}', 'maintain');
SELECT t.is(t.partitions(), '0,1,2,3', 'again: nothing to do');

-- A room with events of many days.
SELECT count(parlance.event_partition(t.day(n))) AS x FROM generate_series(-6, -1) n \gset
INSERT INTO parlance.room VALUES (t.c(1), 'c', 8);
INSERT INTO parlance.event (room, seq, at, kind, type, conversation, ref)
	SELECT t.c(1), n + 7, (t.day(n) + time '12:00') AT TIME ZONE 'UTC', 'c', 'conversation.deleted', t.c(1), t.c(1) FROM generate_series(-6, 1) n;
SELECT t.is(parlance.feed_replay(t.c(1), 0, 99)->>'pruned' || json_array_length(parlance.feed_replay(t.c(1), 0, 99)->'events'), 'false8', 'all are there');
SELECT t.is(parlance.maintain()::text, '{"ok" : true}', 'maintain');
SELECT t.is(t.partitions(), '-3,-2,-1,0,1,2,3', 'partitions older than 3 days are dropped');
SELECT t.is((r->>'pruned') || (r->>'head') || json_array_length(r->'events'), 'true80', 'replay from before: pruned') FROM parlance.feed_replay(t.c(1), 0, 99) r;
SELECT t.is((r->>'pruned') || json_array_length(r->'events'), 'true0', 'replay from the last one dropped but one: pruned') FROM parlance.feed_replay(t.c(1), 2, 99) r;
SELECT t.is((r->>'pruned') || json_array_length(r->'events'), 'false5', 'replay from the last one dropped') FROM parlance.feed_replay(t.c(1), 3, 99) r;
DELETE FROM parlance.event;
SELECT t.is((r->>'pruned') || (r->>'head'), 'true8', 'an empty log: pruned') FROM parlance.feed_replay(t.c(1), 3, 99) r;
SELECT t.is(parlance.feed_replay(t.c(1), 8, 99)->>'pruned', 'false', 'but not at the head');

-- The default partition.
SELECT format('DROP TABLE parlance.event_%s', to_char(t.day(0), 'YYYYMMDD')) AS drop \gset
:drop;
SELECT t.code(t.create('ann', 2)) AS x \gset
SELECT t.is((SELECT count(*)::text FROM parlance.event_default), '1', 'without a partition of the day, the default one takes it');
SET client_min_messages = error;
SELECT t.is(parlance.maintain()::text, '{"ok" : true}', 'maintain');
RESET client_min_messages;
SELECT t.is((SELECT count(*)::text FROM parlance.event_default) || t.partitions(), '0-3,-2,-1,0,1,2,3', 'maintain makes it, and moves what it holds');
SELECT t.is(t.types(t.room('ann')), 'conversation.created', 'nothing is lost');
SELECT t.code(t.create('ann', 3)) AS x \gset
SELECT t.is((SELECT count(*)::text FROM parlance.event_default), '0', 'and it is used');

-- Purging.
SELECT t.instance() AS x \gset
SELECT t.code(t.send('ann', 2, 1)) || t.code(t.finish(1)) || t.code(parlance.conversation_delete('ann', t.c(2), NULL)) || t.code(parlance.conversation_delete('ann', t.c(3), NULL)) AS x \gset
INSERT INTO parlance.message_part VALUES (t.a(99), 0, 'of nobody');
SELECT t.is(parlance.maintain()::text, '{"ok" : true}', 'maintain');
SELECT t.is((SELECT count(*)::text FROM parlance.conversation) || (SELECT count(*) FROM parlance.message_part), '20', 'what was deleted just now stays; parts of nobody go');
UPDATE parlance.conversation SET deleted_at = now() - interval '31 days' WHERE id = t.c(2);
SELECT sum(seq) AS before FROM parlance.room \gset
SELECT t.is(parlance.maintain()::text, '{"ok" : true}', 'maintain');
SELECT t.is((SELECT string_agg(id::text, ',') FROM parlance.conversation), t.c(3)::text, 'what was deleted long ago goes');
SELECT t.is((SELECT count(*)::text FROM parlance.message) || (SELECT count(*) FROM parlance.participant), '01', 'with all that is in it');
SELECT t.is((SELECT sum(seq)::text FROM parlance.room), :'before', 'and nobody is told');
SELECT t.is(coalesce(current_setting('parlance.purge', true), ''), '', 'nothing stays set');
SELECT t.is(current_setting('lock_timeout'), '0', 'not the lock_timeout either');
