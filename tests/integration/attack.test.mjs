// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What a stranger with a token of his own may try, and a participant who has no rights left: each
// case is an attack, and what must not come of it.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { chatFor } from './lib/chat.mjs';
import { Psql } from './lib/psql.mjs';
import { until } from './lib/util.mjs';

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

describe('a join that is answered after the participant was taken out', () => {
	// The join has read that he takes part, and waits behind a lock for the rest. What comes of
	// the act is told in his own room first.
	async function overtaken(t, act) {
		const owner = await chat.open(chat.user('owner'));
		const eve = await chat.open(chat.user('eve'));
		const id = await owner.create(); // which nobody has open, so that the join counts
		const other = { conversationId: id, userId: eve.user, role: 'viewer' };
		await owner.ok('conversation:share', other);
		const psql = new Psql(chat.database.url);
		t.after(() => psql.end());
		await psql.sql('BEGIN; LOCK TABLE parlance.message IN ACCESS EXCLUSIVE MODE');
		const joined = eve.ask('join:conversation', id);
		await until(
			async () =>
				(await psql.sql('SELECT count(*) FROM pg_locks WHERE NOT granted'))[0] > 0,
			'the join waits',
		);
		await act(owner, id, other);
		await eve.next('conversation:deleted');
		await psql.sql('COMMIT');
		await joined;
		return { owner, eve, id };
	}

	it('does not let him listen', async (t) => {
		const { owner, eve, id } = await overtaken(t, (tab, _id, other) =>
			tab.ok('conversation:unshare', other),
		);
		await owner.ok('conversation:share', {
			conversationId: id,
			userId: chat.user('friend'),
			role: 'viewer',
		});
		await eve.settled();
		eve.forget();
		await owner.ok('message:send', { conversationId: id, content: '[[mock-5-5]]' });
		await owner.next('message:complete');
		await eve.settled();
		assert.deepEqual(eve.names(), ['pong']);
	});

	it('does not keep him in the room of a deleted conversation', async (t) => {
		const { eve, id } = await overtaken(t, (tab, conversation) =>
			tab.ok('conversation:delete', conversation),
		);
		const outside = async () => !(await eve.ask('typing:start', id)).ok;
		await until(outside, 'he is out');
	});
});

describe('numbers', () => {
	it('that no database holds are refused', async () => {
		const tab = await chat.open(chat.user('eve'));
		const conversationId = await tab.create();
		const update = { title: 'x' };
		for (const n of [2 ** 63, 1e20, -1e20, 1e300, 0.5, -1, '1', [1], {}]) {
			for (const [event, fields] of [
				['conversation:update', { update, version: n }],
				['join:conversation', { sinceSeq: n }],
				['message:list', { before: n }],
				['message:list', { after: n }],
				['message:list', { limit: n }],
			])
				await tab.refused('BAD_REQUEST', event, { conversationId, ...fields });
			await tab.refused('BAD_REQUEST', 'conversation:list', { limit: n });
		}
	});
});

describe('a forged notification', () => {
	let psql;

	// Tells what is read from the log, in a transaction that may not write.
	before(async () => {
		psql = new Psql(chat.database.url);
		await psql.sql('LISTEN replay');
		await chat.database.sql(`ALTER FUNCTION parlance.feed_replay RENAME TO feed_replay_was;
			CREATE FUNCTION parlance.feed_replay(r uuid, a bigint, l integer) RETURNS json
			LANGUAGE plpgsql AS $$
			BEGIN
				PERFORM pg_notify('replay', r::text);
				RETURN parlance.feed_replay_was(r, a, l);
			END $$`);
	});
	after(async () => {
		await chat.database.sql(`DROP FUNCTION parlance.feed_replay;
			ALTER FUNCTION parlance.feed_replay_was RENAME TO feed_replay`);
		await psql.end();
	});

	it('of an event far ahead does not keep a room from its events', async () => {
		const tab = await chat.open(chat.user('owner'));
		const room = roomOf(tab.user);
		const told = [];
		const count = async () => {
			told.push(...(await psql.sql('SELECT')));
			return told.filter((line) => line.includes(room)).length;
		};
		const event = { r: room, k: 'u', s: 2 ** 53, t: 'message.new' };
		await chat.database.sql(`NOTIFY parlance_ev, '${JSON.stringify(event)}'`);
		await until(count, 'the log is read');
		await tab.ok('conversation:list'); // on the same connection, so that the answer is here
		await tab.create();
		await tab.next('conversation:created');
		assert.equal(await count(), 1, 'events come by themselves again');
	});
});

describe('requests under way', () => {
	// Nothing is answered by the storage meanwhile.
	async function stalled(t) {
		const psql = new Psql(chat.database.url);
		t.after(() => psql.end());
		await psql.sql('BEGIN; LOCK TABLE parlance.participant IN ACCESS EXCLUSIVE MODE');
		return psql;
	}
	const codes = (acks) => acks.map((ack) => (ack.ok ? 'ok' : ack.error.code));
	const count = (acks, code) => codes(acks).filter((c) => c === code).length;

	it('are bounded for each user', async (t) => {
		const eve = await chat.open(chat.user('eve'));
		const second = await chat.open(eve.user);
		const other = await chat.open(chat.user('other'));
		const psql = await stalled(t);
		const acks = [];
		for (let i = 0; i < 150; i++)
			acks.push(eve.ask('conversation:list'), second.ask('conversation:list'));
		const refused = [];
		for (const ack of acks) void ack.then((a) => a.ok || refused.push(a));
		await until(() => refused.length === 44, 'those beyond are refused');
		assert.ok(refused[0].error.retryAfterMs > 0);
		const served = other.ok('conversation:list');
		await psql.sql('COMMIT');
		await served;
		assert.equal(count(await Promise.all(acks), 'ok'), 256);
		await eve.ok('conversation:list');
	});

	it('are bounded in bytes, but for a single one', async (t) => {
		const eve = await chat.open(chat.user('eve'));
		const id = await eve.create();
		const fields = { conversationId: id, update: { systemPrompt: 'x'.repeat(65000) } };
		const psql = await stalled(t);
		const acks = Array.from({ length: 70 }, () => eve.ask('conversation:update', fields));
		const refused = [];
		for (const ack of acks) void ack.then((a) => a.ok || refused.push(a));
		await until(() => refused.length === 6, 'those beyond are refused');
		await psql.sql('COMMIT');
		assert.equal(count(await Promise.all(acks), 'RATE_LIMITED'), 6);
	});

	it('of who has left count no more', async (t) => {
		const eve = await chat.open(chat.user('eve'));
		const psql = await stalled(t);
		for (let i = 0; i < 256; i++) eve.emit('conversation:list');
		await eve.settled();
		await eve.close();
		await psql.sql('COMMIT');
		const again = await chat.open(eve.user);
		await again.ok('conversation:list');
	});
});

describe('metadata', () => {
	// So deep that a packet with it is still read.
	const nested = (n) => (n ? { a: nested(n - 1) } : 1);

	it('that is nested too deep is refused', async () => {
		const tab = await chat.open(chat.user('eve'));
		const id = await tab.create({ metadata: nested(32) });
		await tab.join(id);
		await tab.refused('BAD_REQUEST', 'conversation:create', { metadata: nested(33) });
		for (const n of [33, 60])
			await tab.refused('BAD_REQUEST', 'conversation:update', {
				conversationId: id,
				update: { metadata: nested(n) },
			});
		await tab.refused('BAD_REQUEST', 'message:send', {
			conversationId: id,
			content: 'x',
			options: nested(33),
		});
		const text = { a: '[[['.repeat(20), b: '"\\"[[[['.repeat(20), c: [[], [], {}] };
		await tab.ok('conversation:update', { conversationId: id, update: { metadata: text } });
	});

	it('that another program nested too deep keeps nobody from his events', async () => {
		const victim = await chat.open(chat.user('victim'));
		const eve = await chat.open(chat.user('eve'));
		const id = await eve.create();
		const deep = JSON.stringify(nested(200));
		await chat.database.sql(
			`UPDATE parlance.conversation SET metadata = '${deep}' WHERE id = '${id}'`,
		);
		await eve.ok('conversation:share', {
			conversationId: id,
			userId: victim.user,
			role: 'viewer',
		});
		const own = await victim.create();
		await victim.ok('conversation:update', { conversationId: own, update: { title: 'x' } });
		await chat.open(victim.user);
		const title = async () => {
			await victim.ok('conversation:update', {
				conversationId: own,
				update: { title: `${Math.random()}` },
			});
			return victim.all('conversation:updated').length;
		};
		await until(title, 'events come', 30000);
	});
});
