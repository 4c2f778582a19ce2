// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Messages that come while an answer runs: onBusy, and the queue.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { assertCast, assertForsaken, assertQuiet, cast } from './lib/answers.mjs';
import { chatFor } from './lib/chat.mjs';

const DEPTH = 3;
const chat = chatFor(
	{ before, after },
	{ record: true, set: { 'provider_openai.first_byte_timeout_ms': 1500 } },
);

const LONG = 'mock-3000-20'; // a minute, which is far beyond our patience
const SHORT = 'mock-3-1';
const AT_ONCE = 8000; // one that waits looks by itself after 10 s whether it is its turn

let asked = 0;
const question = (mode) => `queued ${++asked} [[${mode}]]`;

async function send(tab, id, mode, more = {}) {
	const content = question(mode);
	const ack = await tab.ok('message:send', { conversationId: id, content, ...more });
	return { content, ack };
}

async function running(tab, id, mode = LONG) {
	const turn = await send(tab, id, mode);
	await tab.next('message:chunk', (c) => c.streamId === turn.ack.streamId);
	return turn;
}

const stop = (tab, id, { ack }) =>
	tab.ok('message:stop', { conversationId: id, streamId: ack.streamId });

// In which order the tab heard of these turns by events of this name.
const order = (tab, name, turns) =>
	tab.all(name).flatMap((d) => {
		const i = turns.findIndex(({ ack }) => ack.streamId === d.streamId);
		return i < 0 ? [] : [i];
	});

const messagesOf = async (id) => {
	const [[n]] = await chat.database.sql(
		`SELECT count(*) FROM parlance.message WHERE conversation = '${id}'`,
	);
	return Number(n);
};

describe('messages that wait', { concurrency: 4 }, () => {
	it('have a position, are answered in their order, and are not too many', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, sender, delta, friend } = tabs;
		const first = await running(sender, id);
		assert.equal('queued' in first.ack, false);
		assert.equal('position' in first.ack, false);
		const turns = [];
		for (let i = 1; i <= DEPTH; i++) {
			const turn = await send(sender, id, SHORT, i === 2 ? { onBusy: 'queue' } : {});
			assert.equal(turn.ack.queued, true);
			assert.equal(turn.ack.position, i);
			turns.push(turn);
		}
		for (const tab of [sender, delta, friend])
			for (const onBusy of ['queue', 'reject', undefined]) {
				const content = question(SHORT);
				const error = await tab.refused('BUSY', 'message:send', {
					conversationId: id,
					content,
					onBusy,
				});
				assert.equal(error.conversationId, id);
			}
		assert.equal(await messagesOf(id), 2 * (DEPTH + 1), 'what is refused is not stored');
		await stop(sender, id, first);
		for (const { ack, content } of turns) {
			const end = await sender.closing(ack);
			assert.equal(end[1].finishReason, 'stop');
			assert.equal(
				end[1].assistantMessage.content,
				(await chat.recorder.of(content)).text,
			);
			await assertCast(tabs, ack, end);
		}
		// One at a time: none begins before the one before has ended.
		for (const tab of [sender, delta, friend]) {
			const mine = new Set([first, ...turns].map(({ ack }) => ack.streamId));
			const heard = tab.heard
				.filter(({ name, data }) => /typing|complete/.test(name) && mine.has(data.streamId))
				.map(({ name, data }) => [name, data.streamId]);
			assert.deepEqual(
				heard,
				[first, ...turns].flatMap(({ ack }) => [
					['ai:typing:start', ack.streamId],
					['ai:typing:stop', ack.streamId],
					['message:complete', ack.streamId],
				]),
			);
		}
		assert.equal(friend.all('message:new').length, DEPTH + 1, 'nothing of what is refused');
		await assertQuiet(chat.database, id);
	});

	it('of several tabs are answered in the order of their positions', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, sender, delta, friend } = tabs;
		const first = await running(sender, id);
		const turns = await Promise.all([delta, sender, friend].map((tab) => send(tab, id, SHORT)));
		turns.sort((a, b) => a.ack.position - b.ack.position);
		assert.deepEqual(
			turns.map(({ ack }) => ack.position),
			[1, 2, 3],
		);
		await stop(friend, id, first);
		for (const { ack } of turns) await sender.closing(ack);
		assert.deepEqual(order(sender, 'ai:typing:start', turns), [0, 1, 2]);
		assert.deepEqual(order(sender, 'message:complete', turns), [0, 1, 2]);
	});

	it('that one tab sends in one go keep their order', async () => {
		const tab = await chat.open(chat.user('hasty'));
		const id = await tab.create();
		await tab.join(id);
		const turns = await Promise.all(
			[LONG, SHORT, SHORT, SHORT].map((mode) => send(tab, id, mode)),
		);
		assert.deepEqual(
			turns.map(({ ack }) => ack.position),
			[undefined, 1, 2, 3],
		);
		await stop(tab, id, turns[0]);
		for (const { ack } of turns) await tab.closing(ack);
		assert.deepEqual(order(tab, 'message:complete', turns), [0, 1, 2, 3]);
	});

	it('make room when one of them is stopped', async () => {
		const tab = await chat.open(chat.user('patient'));
		const id = await tab.create();
		const first = await running(tab, id);
		const turns = [];
		for (let i = 1; i <= DEPTH; i++) turns.push(await send(tab, id, SHORT));
		await stop(tab, id, turns[0]);
		await tab.closing(turns[0].ack);
		const next = await send(tab, id, SHORT);
		assert.equal(next.ack.position, DEPTH);
		await tab.refused('BUSY', 'message:send', { conversationId: id, content: 'x' });
		await stop(tab, id, first);
		await tab.closing(next.ack);
		const all = [first, ...turns, next];
		assert.deepEqual(order(tab, 'message:complete', all), [1, 0, 2, 3, 4]);
		await assertQuiet(chat.database, id);
	});
});

describe('the queue goes on after an answer that', { concurrency: 4 }, () => {
	const ends = {
		'is complete': { mode: 'mock-60-10', status: 'complete' },
		'has the greatest length': { mode: 'length', status: 'complete' },
		'the service refuses': { mode: 'mock-500', status: 'failed' },
		'never begins': { mode: 'mock-hang', status: 'failed' },
		'is cut off': { mode: 'mock-cut', status: 'interrupted' },
		'breaks off with an error': { mode: 'mock-errmid', status: 'interrupted' },
		'is stopped': { mode: LONG, status: 'stopped', end: (tab, id, turn) => stop(tab, id, turn) },
		'has lost its sender': { mode: 'mock-60-10', status: 'complete', end: (tab) => tab.close() },
	};
	for (const [what, { mode, status, end }] of Object.entries(ends))
		it(what, async () => {
			const user = chat.user('waits');
			const sender = await chat.open(user);
			const other = await chat.open(user);
			const id = await sender.create();
			await other.join(id);
			await sender.join(id);
			// In one go, so that the others wait before the first has ended.
			const turns = await Promise.all(
				[mode, 'mock-4-5', 'mock-2-5'].map((m) => send(sender, id, m)),
			);
			await end?.(sender, id, turns[0]);
			const closed = [];
			for (const { ack } of turns) closed.push(await other.closing(ack, AT_ONCE));
			assert.deepEqual(
				closed.map(([, d]) => d.assistantMessage.status),
				[status, 'complete', 'complete'],
			);
			const names = [...other.all('message:error'), ...other.all('message:complete')];
			assert.equal(names.length, 3, 'each closes once');
			assert.deepEqual(order(other, 'ai:typing:start', turns), [0, 1, 2]);
			assert.deepEqual(order(other, 'ai:typing:stop', turns), [0, 1, 2]);
			await assertQuiet(chat.database, id);
		});
});

describe('onBusy', { concurrency: 4 }, () => {
	it('reject refuses while an answer runs or waits, and only then', async () => {
		const tab = await chat.open(chat.user('rejects'));
		const other = await chat.open(tab.user);
		const id = await tab.create();
		const onBusy = 'reject';
		const idle = await send(tab, id, SHORT, { onBusy });
		await tab.closing(idle.ack);
		const first = await running(tab, id);
		const second = await send(tab, id, SHORT);
		const refusal = { conversationId: id, content: 'x', onBusy, messageId: randomUUID() };
		const error = await tab.refused('BUSY', 'message:send', refusal);
		assert.equal(error.messageId, refusal.messageId);
		assert.equal(await messagesOf(id), 6);
		await stop(tab, id, first);
		await tab.closing(second.ack);
		const again = await tab.ok('message:send', refusal);
		assert.equal('duplicate' in again, false, 'what was refused is new');
		await tab.closing(again);
		await other.settled();
		assert.equal(other.all('message:new').length, 4);
	});

	it('interrupt stops the one that runs and is next, before those that wait', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, sender, friend } = tabs;
		const first = await running(sender, id);
		const waiting = [await send(sender, id, SHORT), await send(sender, id, SHORT)];
		const urgent = await send(sender, id, SHORT, { onBusy: 'interrupt' });
		assert.equal(urgent.ack.queued, true);
		assert.equal(urgent.ack.position, 1);
		await assertForsaken(chat.recorder, first.content);
		const turns = [first, urgent, ...waiting];
		const ends = [];
		for (const { ack } of turns) ends.push(await sender.closing(ack));
		assert.deepEqual(
			ends.map(([, d]) => d.finishReason),
			['stopped', 'stop', 'stop', 'stop'],
		);
		assert.notEqual(ends[0][1].assistantMessage.content, '', 'its text is kept');
		for (const [i, { ack }] of turns.entries()) await assertCast(tabs, ack, ends[i]);
		assert.deepEqual(order(sender, 'ai:typing:start', turns), [0, 1, 2, 3]);
		assert.deepEqual(order(friend, 'message:complete', turns), [0, 1, 2, 3]);
		await assertQuiet(chat.database, id);
	});

	it('interrupt by an editor of what another began', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, sender, away } = tabs;
		const first = await running(sender, id);
		const urgent = await send(away, id, SHORT, { onBusy: 'interrupt' });
		const end = await sender.closing(first.ack);
		assert.equal(end[1].finishReason, 'stopped');
		assert.equal((await away.closing(urgent.ack))[1].finishReason, 'stop');
	});

	it('interrupt may be one more than the queue holds, and only one', async () => {
		const tab = await chat.open(chat.user('urgent'));
		const id = await tab.create();
		await tab.join(id);
		const first = send(tab, id, LONG);
		const waiting = Array.from({ length: DEPTH }, () => send(tab, id, SHORT));
		const onBusy = 'interrupt';
		const urgent = send(tab, id, 'mock-30-10', { onBusy });
		// In the same go, before the first has ended.
		const late = tab.refused('BUSY', 'message:send', {
			conversationId: id,
			content: question(SHORT),
			onBusy,
		});
		const turns = await Promise.all([first, urgent, ...waiting]);
		await late;
		for (const { ack } of turns) await tab.closing(ack);
		assert.deepEqual(order(tab, 'message:complete', turns), [0, 1, 2, 3, 4]);
		await assertQuiet(chat.database, id);
	});

	it('interrupt of nothing runs at once', async () => {
		const tab = await chat.open(chat.user('idle'));
		const id = await tab.create();
		const { ack } = await send(tab, id, SHORT, { onBusy: 'interrupt' });
		assert.equal('queued' in ack, false);
		assert.equal((await tab.closing(ack))[1].finishReason, 'stop');
	});
});
