// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What a stranger with a token of his own may try, and a participant who has no rights left: each
// case is an attack, and what must not come of it.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { chatFor } from './lib/chat.mjs';

const chat = chatFor({ before, after });

// As parlance.user_room() makes it: no secret, so that anybody can.
function roomOf(user) {
	const space = Buffer.from('5be2a1c07d0f4c3e9a64d1f0b7c8e253', 'hex');
	const hash = createHash('sha256').update(space).update(user).digest().subarray(0, 16);
	hash[6] = (hash[6] & 0x0f) | 0x80;
	hash[8] = (hash[8] & 0x3f) | 0x80;
	return hash.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

describe('the id of a user\'s room', () => {
	it('is none for a conversation', async () => {
		const victim = chat.user('victim');
		const tab = await chat.open(victim);
		const other = await chat.open(victim);
		const eve = await chat.open(chat.user('eve'));
		const [[room]] = await chat.database.sql(`SELECT parlance.user_room('${victim}')`);
		assert.equal(roomOf(victim), room);
		await eve.refused('BAD_REQUEST', 'conversation:create', { id: room });
		await eve.refused('BAD_REQUEST', 'conversation:create', { id: room.toUpperCase() });
		await eve.refused('NOT_FOUND', 'join:conversation', room);
		await eve.refused('NOT_FOUND', 'message:send', { conversationId: room, content: 'x' });
		// Even when somebody else has made it.
		await chat.database.sql(
			`INSERT INTO parlance.conversation (id) VALUES ('${room}');
			INSERT INTO parlance.participant (conversation, user_id, role)
			VALUES ('${room}', '${eve.user}', 'owner')`,
		);
		await eve.next('conversation:created');
		await eve.refused('NOT_FOUND', 'join:conversation', room);
		eve.forget();
		const id = await tab.create({ title: 'secret' });
		await tab.ok('message:send', { conversationId: id, content: '[[mock-5-5]]' });
		await other.next('conversation:activity');
		await eve.settled();
		assert.deepEqual(eve.names(), ['pong']);
	});
});
