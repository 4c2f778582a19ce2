-- SPDX-License-Identifier: MIT
-- Copyright the Parlance authors
-- What a stranger may try with nothing but a valid user's id.

-- A conversation that takes the id of another user's room would hear what happens to him.
SELECT t.is(t.code(parlance.conversation_create('eve', t.room('ann'), NULL, NULL, NULL, NULL, NULL)), 'BAD_REQUEST', 'create with the id of a user''s room');
SELECT t.is(t.code(parlance.conversation_create('eve', gen_random_uuid(), NULL, NULL, NULL, NULL, NULL)), 'ok', 'create with a random id');
