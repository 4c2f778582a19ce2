// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A conversation is deleted while it is in use: everybody hears of it, answers are closed before,
// and nothing goes on.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertForsaken, assertQuiet, cast, turnOf } from './lib/answers.mjs';
import { chatFor } from './lib/chat.mjs';
import { until } from './lib/util.mjs';

const chat = chatFor({ before, after }, { record: true });

let asked = 0;
async function begin({ id, sender }, mode, heard = 2) {
	const content = `deleted ${++asked} [[${mode}]]`;
	const ack = await sender.ok('message:send', { conversationId: id, content });
	const mine = (c) => c.streamId === ack.streamId;
	if (heard) await sender.next('message:chunk', (c) => mine(c) && c.seq >= heard);
	return { content, ack };
}

const ABOUT = /^(conversation:deleted?|message:complete|message:error|ai:typing:stop)$/;

// What the tab hears of the end, in order.
const endOf = (tab, id) =>
	tab.heard
		.filter(({ name, data }) => ABOUT.test(name) && data.conversationId === id)
		.map((e) => e.name);

async function assertDeleted(tabs, by, turns) {
	const { id, sender, delta, friend, outside, away, stranger } = tabs;
	const all = { sender, delta, friend, outside, away };
	for (const [name, tab] of Object.entries(all)) {
		await tab.next('conversation:deleted', (d) => d.conversationId === id);
		await tab.settled();
		const closed = ['ai:typing:stop', 'message:complete'];
		const inRoom = ['sender', 'delta', 'friend'].includes(name);
		assert.deepEqual(
			endOf(tab, id),
			[
				...(inRoom ? turns.flatMap(() => closed) : []),
				...(tab === by ? [] : ['conversation:delete']),
				'conversation:deleted',
			],
			`what ${name} hears`,
		);
	}
	for (const { ack, content } of turns) {
		for (const tab of [sender, delta, friend]) {
			const { finishReason, assistantMessage } = tab
				.all('message:complete')
				.find((d) => d.streamId === ack.streamId);
			assert.equal(finishReason, 'stopped');
			assert.equal(assistantMessage.status, 'stopped');
			const { text } = await chat.recorder.of(content);
			assert.ok(text.startsWith(assistantMessage.content));
		}
		await assertForsaken(chat.recorder, content);
	}
	await stranger.settled();
	assert.deepEqual(endOf(stranger, id), []);
	await assertQuiet(chat.database, id);
	for (const tab of [sender, outside, friend]) {
		const about = { conversationId: id };
		await tab.refused('NOT_FOUND', 'join:conversation', id);
		await tab.refused('NOT_FOUND', 'message:list', about);
		await tab.refused('NOT_FOUND', 'message:stop', about);
		await tab.refused('NOT_FOUND', 'message:send', { ...about, content: 'x' });
		await tab.refused('NOT_FOUND', 'conversation:delete', id);
		await tab.refused('NOT_FOUND', 'typing:start', id);
		const { conversations } = await tab.ok('conversation:list', {});
		assert.ok(!conversations.some((c) => c.id === id), 'it is not listed');
	}
}

describe('a conversation is deleted', { concurrency: 4 }, () => {
	for (const who of ['sender', 'delta', 'outside'])
		for (const argument of ['bare', 'object'])
			it(`in the middle of an answer by the tab ${who} (${argument})`, async () => {
				const tabs = await cast(chat, 'editor');
				const { id } = tabs;
				const turn = await begin(tabs, 'mock-3000-10');
				await tabs[who].ok(
					'conversation:delete',
					argument === 'bare' ? id : { conversationId: id },
				);
				await assertDeleted(tabs, tabs[who], [turn]);
			});

	it('before the first token of an answer', async () => {
		const tabs = await cast(chat);
		const turn = await begin(tabs, 'mock-hang', 0);
		await until(async () => (await chat.recorder.of(turn.content)).open, 'it is asked');
		await tabs.outside.ok('conversation:delete', tabs.id);
		await assertDeleted(tabs, tabs.outside, [turn]);
	});

	it('while others wait, which are closed too', async () => {
		const tabs = await cast(chat);
		const turns = [await begin(tabs, 'mock-3000-10')];
		for (let i = 0; i < 2; i++) turns.push(await begin(tabs, 'mock-3-1', 0));
		await tabs.delta.ok('conversation:delete', tabs.id);
		await assertDeleted(tabs, tabs.delta, turns);
		for (const { content } of turns.slice(1))
			assert.equal((await chat.recorder.of(content)).requests, 0);
	});

	it('when an answer is too long for a notification of the database', async () => {
		const tabs = await cast(chat);
		const { sender, id } = tabs;
		const turn = await begin(tabs, 'mock-9000-2');
		const stored = async () => {
			const [[n]] = await chat.database.sql(`SELECT coalesce(sum(octet_length(text)), 0)
				FROM parlance.message_part WHERE message = '${turn.ack.assistantMessageId}'`);
			return Number(n) > 9000;
		};
		await until(stored, 'enough of it is stored');
		await sender.ok('conversation:delete', id);
		await assertDeleted(tabs, sender, [turn]);
	});

	it('when nothing runs', async () => {
		const tabs = await cast(chat);
		await tabs.sender.join(tabs.id);
		await tabs.outside.ok('conversation:delete', tabs.id);
		await assertDeleted(tabs, tabs.outside, []);
	});

	it('by its owner alone', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, friend, away, stranger, sender } = tabs;
		const { ack } = await begin(tabs, 'mock-60-10');
		for (const tab of [friend, away]) await tab.refused('FORBIDDEN', 'conversation:delete', id);
		await stranger.refused('NOT_FOUND', 'conversation:delete', id);
		const [, { finishReason }] = await sender.closing(ack);
		assert.equal(finishReason, 'stop');
		for (const tab of [sender, friend, away]) {
			await tab.settled();
			assert.ok(!tab.names().some((name) => name.startsWith('conversation:delete')));
		}
	});

	it('by another program, and its answer ends', async () => {
		const tabs = await cast(chat);
		const { id, sender, outside, away } = tabs;
		const turn = await begin(tabs, 'mock-3000-10');
		await chat.database.sql(
			`UPDATE parlance.conversation SET deleted_at = now() WHERE id = '${id}'`,
		);
		for (const tab of [sender, outside, away]) {
			await tab.next('conversation:delete', (d) => d.conversationId === id);
			await tab.next('conversation:deleted', (d) => d.conversationId === id);
		}
		await assertForsaken(chat.recorder, turn.content);
		const [name, data] = await sender.closing(turn.ack);
		assert.equal(name, 'message:complete');
		assert.equal(data.finishReason, 'stopped');
		await assertQuiet(chat.database, id);
	});

	it('and others of its users are not', async () => {
		const tabs = await cast(chat);
		const { sender, friend, id, guest } = tabs;
		const other = await sender.create();
		await sender.ok('conversation:share', {
			conversationId: other,
			userId: guest,
			role: 'viewer',
		});
		await friend.join(other);
		const kept = await begin({ id: other, sender }, 'mock-60-10');
		const turn = await begin(tabs, 'mock-3000-10');
		await sender.ok('conversation:delete', id);
		await assertDeleted(tabs, sender, [turn]);
		const [, { finishReason }] = await friend.closing(kept.ack);
		assert.equal(finishReason, 'stop');
		assert.equal(turnOf(friend, kept.ack).at(-1).name, 'message:complete');
	});
});
