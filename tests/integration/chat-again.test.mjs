// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// messageId: a message that is sent again, because its acknowledgement was lost or by another tab, is
// the same message.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { assertQuiet, cast, turnOf } from './lib/answers.mjs';
import { chatFor } from './lib/chat.mjs';

const chat = chatFor({ before, after }, { record: true });

const LONG = 'mock-3000-20'; // a minute, which is far beyond our patience
const SHORT = 'mock-3-1';

let asked = 0;
const message = (id, mode) => ({
	conversationId: id,
	content: `again ${++asked} [[${mode}]]`,
	messageId: `mine ${randomUUID()}`,
});

const messagesOf = async (id) => {
	const [[n]] = await chat.database.sql(
		`SELECT count(*) FROM parlance.message WHERE conversation = '${id}'`,
	);
	return Number(n);
};

describe('the same messageId', { concurrency: 4 }, () => {
	// The same acknowledgement but for its mark; one pair of messages, asked once, told once.
	async function assertOnce(tabs, content, acks) {
		const { id, sender } = tabs;
		const [first] = acks.filter((ack) => !ack.duplicate);
		for (const { duplicate, ...ack } of acks)
			if (duplicate) {
				delete ack.queued;
				delete ack.position;
				assert.deepEqual(ack, first ?? ack);
			}
		const [ack] = acks;
		await sender.closing(ack);
		const rows = await chat.database.sql(
			`SELECT id, role FROM parlance.message WHERE conversation = '${id}' ORDER BY ord`,
		);
		assert.deepEqual(rows, [
			[ack.userMessage.id, 'user'],
			[ack.assistantMessageId, 'assistant'],
		]);
		assert.equal((await chat.recorder.of(content)).requests, 1);
		for (const tab of [tabs.friend, tabs.away]) {
			await tab.settled();
			assert.equal(tab.all('message:new').length, 1);
		}
		for (const tab of [sender, tabs.delta, tabs.friend]) {
			await tab.settled();
			const names = turnOf(tab, ack).map((e) => e.name);
			assert.equal(names.filter((n) => n === 'message:complete').length, 1);
			assert.equal(names.filter((n) => n === 'ai:typing:start').length, 1);
		}
		await assertQuiet(chat.database, id);
	}
	it('from several tabs at once is one message', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, sender, delta, outside } = tabs;
		await sender.join(id);
		const same = message(id, 'mock-20-5');
		const acks = await Promise.all(
			[sender, delta, outside, sender].map((tab) => tab.ok('message:send', same)),
		);
		assert.equal(acks.filter((ack) => ack.duplicate).length, 3);
		await assertOnce(tabs, same.content, acks);
	});

	it('while the answer runs, and after its end, is the same message', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, sender, delta, outside } = tabs;
		const same = message(id, 'mock-40-10');
		const first = await sender.ok('message:send', same);
		assert.equal('duplicate' in first, false);
		await sender.next('message:chunk');
		const acks = [first, await delta.ok('message:send', same)];
		await sender.closing(first);
		// Also with other words, which are not looked at, and whatever onBusy is.
		for (const more of [{}, { content: 'other' }, { onBusy: 'reject' }, { onBusy: 'interrupt' }])
			acks.push(await outside.ok('message:send', { ...same, ...more }));
		for (const ack of acks.slice(1)) assert.equal(ack.duplicate, true);
		await assertOnce(tabs, same.content, acks);
	});

	it('with onBusy interrupt does not stop the answer that it began', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, sender, delta } = tabs;
		const same = { ...message(id, 'mock-60-10'), onBusy: 'interrupt' };
		const first = await sender.ok('message:send', same);
		await sender.next('message:chunk');
		const second = await delta.ok('message:send', same);
		assert.equal(second.duplicate, true);
		assert.equal((await sender.closing(first))[1].finishReason, 'stop');
		await assertOnce(tabs, same.content, [first, second]);
	});

	it('after an acknowledgement that was lost is the same message', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, owner, sender, friend } = tabs;
		await sender.join(id);
		const lost = await chat.open(owner);
		await lost.join(id);
		const same = message(id, 'mock-60-10');
		let heard = false;
		lost.socket.emit('message:send', same, () => (heard = true));
		// It has left, and no answer can come back.
		lost.socket.io.engine.once('drain', () => lost.socket.io.engine.close());
		await friend.next('message:new', (d) => d.messageId === same.messageId);
		assert.equal(lost.socket.connected, false);
		assert.equal(heard, false);
		const again = await chat.open(owner);
		const ack = await again.ok('message:send', same);
		assert.equal(ack.duplicate, true);
		const [, { assistantMessage }] = await again.closing(ack);
		assert.equal(assistantMessage.content, (await chat.recorder.of(same.content)).text);
		await assertOnce(tabs, same.content, [ack]);
	});

	it('of one that waits has its place in the queue', async () => {
		const tab = await chat.open(chat.user('twice'));
		const id = await tab.create();
		const first = await tab.ok('message:send', message(id, LONG));
		await tab.ok('message:send', message(id, SHORT));
		const same = message(id, SHORT);
		const second = await tab.ok('message:send', same);
		const again = await tab.ok('message:send', same);
		assert.equal(second.position, 2);
		assert.deepEqual(again, { ...second, duplicate: true });
		await tab.ok('message:stop', { conversationId: id, streamId: first.streamId });
		await tab.closing(second);
		assert.equal((await chat.recorder.of(same.content)).requests, 1);
		assert.equal(await messagesOf(id), 6);
	});

	it('in another conversation is another message', async () => {
		const tab = await chat.open(chat.user('two'));
		const messageId = 'the same';
		const acks = [];
		for (const id of [await tab.create(), await tab.create()]) {
			const one = { ...message(id, SHORT), messageId };
			const ack = await tab.ok('message:send', one);
			assert.equal('duplicate' in ack, false);
			await tab.closing(ack);
			assert.equal((await chat.recorder.of(one.content)).requests, 1);
			acks.push(ack);
		}
		assert.notEqual(acks[0].userMessage.id, acks[1].userMessage.id);
	});

	it('absent or empty is never the same', async () => {
		const tab = await chat.open(chat.user('none'));
		const id = await tab.create();
		for (const messageId of [undefined, undefined, null, null, '', '']) {
			const ack = await tab.ok('message:send', { ...message(id, SHORT), messageId });
			assert.equal('duplicate' in ack, false);
			await tab.closing(ack);
		}
		assert.equal(await messagesOf(id), 12);
	});
});
