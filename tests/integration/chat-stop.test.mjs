// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// message:stop: who may stop an answer, from where and when, and what is left of it.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
	assertCast,
	assertForsaken,
	assertQuiet,
	assertTurn,
	cast,
	listed,
	turnOf,
} from './lib/answers.mjs';
import { chatFor } from './lib/chat.mjs';
import { until } from './lib/util.mjs';

const chat = chatFor({ before, after }, { record: true });

const LONG = 'mock-3000-20'; // a minute, which is far beyond our patience
const SHORT = 'mock-3-1';

let asked = 0;
const question = (mode) => `stop ${++asked} [[${mode}]]`;

const STOPPED = { ok: true, stopped: true };
const DONE = { ok: true, stopped: false, alreadyDone: true };

// The sender's message, answered until `heard` chunks have come.
async function begin(tabs, mode = LONG, heard = 2) {
	const { id, sender } = tabs;
	const content = question(mode);
	const ack = await sender.ok('message:send', { conversationId: id, content });
	const mine = (c) => c.streamId === ack.streamId;
	if (heard) await sender.next('message:chunk', (c) => mine(c) && c.seq >= heard);
	return { content, ack };
}

// It ended as stopped, with what was said so far, for everybody and for good.
async function assertStopped(tabs, { content, ack }, { began = true } = {}) {
	const { id, sender } = tabs;
	const end = await sender.closing(ack);
	const [name, data] = end;
	assert.equal(name, 'message:complete');
	assert.equal(data.finishReason, 'stopped');
	assert.equal(data.assistantMessage.status, 'stopped');
	assert.equal(data.assistantMessage.id, ack.assistantMessageId);
	assert.equal(data.assistantMessage.error, undefined);
	assert.deepEqual(data.userMessage, ack.userMessage);
	await assertCast(tabs, ack, end, { began });
	const { text } = await chat.recorder.of(content);
	assert.ok(text.startsWith(data.assistantMessage.content), 'the text is what was said');
	assert.deepEqual(await listed(sender, id, ack.assistantMessageId), data.assistantMessage);
	return data.assistantMessage.content;
}

describe('an answer is stopped in the middle', { concurrency: 4 }, () => {
	const who = {
		'the sender': 'sender',
		'another tab in the room': 'delta',
		'another tab outside the room': 'outside',
		'an editor in the room': 'friend',
		'an editor outside the room': 'away',
	};
	const how = {
		'its streamId': (id, { streamId }) => ({ conversationId: id, streamId }),
		'the conversation alone': (id) => ({ conversationId: id }),
		'a bare id': (id) => id,
	};
	for (const [person, tab] of Object.entries(who))
		for (const [manner, argument] of Object.entries(how))
			it(`by ${person}, who names ${manner}`, async () => {
				const tabs = await cast(chat, 'editor');
				const turn = await begin(tabs);
				const stop = argument(tabs.id, turn.ack);
				assert.deepEqual(await tabs[tab].ok('message:stop', stop), STOPPED);
				await assertForsaken(chat.recorder, turn.content);
				assert.notEqual(await assertStopped(tabs, turn), '');
				await assertQuiet(chat.database, tabs.id);
				assert.deepEqual(await tabs[tab].ok('message:stop', stop), DONE);
				const { requests } = await chat.recorder.of(turn.content);
				assert.equal(requests, 1);
			});

	it('by two tabs at once and twice by one, and closes once', async () => {
		const tabs = await cast(chat, 'editor');
		const turn = await begin(tabs);
		const stop = { conversationId: tabs.id, streamId: turn.ack.streamId };
		const { sender, friend, outside } = tabs;
		const acks = await Promise.all(
			[sender, sender, friend, outside].map((tab) => tab.ok('message:stop', stop)),
		);
		for (const ack of acks) assert.ok(ack.stopped || ack.alreadyDone);
		assert.deepEqual(
			acks.filter((ack) => ack.stopped),
			[STOPPED],
			'one of them stopped it',
		);
		await assertStopped(tabs, turn);
		await assertQuiet(chat.database, tabs.id);
	});
});

describe('an answer is stopped before the first token', { concurrency: 4 }, () => {
	for (const tab of ['sender', 'outside', 'away'])
		for (const mode of ['mock-hang', 'mock-slow'])
			it(`of a service whose answer is ${mode}, by the tab ${tab}`, async () => {
				const tabs = await cast(chat, 'editor');
				const turn = await begin(tabs, mode, 0);
				const atWork = async () => (await chat.recorder.of(turn.content)).open === 1;
				await until(atWork, 'the service is asked');
				await tabs.sender.next('ai:typing:start');
				const ack = await tabs[tab].ok('message:stop', tabs.id);
				assert.deepEqual(ack, STOPPED);
				await assertForsaken(chat.recorder, turn.content);
				assert.equal(await assertStopped(tabs, turn), '');
				await assertQuiet(chat.database, tabs.id);
			});

	it('while the message is being stored: the service is never asked', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, sender } = tabs;
		await sender.join(id);
		const content = question(LONG);
		const [ack, stop] = await Promise.all([
			sender.ok('message:send', { conversationId: id, content }),
			sender.ok('message:stop', id),
		]);
		assert.deepEqual(stop, STOPPED);
		assert.equal(await assertStopped(tabs, { content, ack }), '');
		assert.equal((await chat.recorder.of(content)).requests, 0);
		await assertQuiet(chat.database, id);
	});
});

describe('an answer that waits is stopped', { concurrency: 4 }, () => {
	for (const tab of ['sender', 'outside', 'away'])
		it(`by its streamId in the tab ${tab}, and the others are not`, async () => {
			const tabs = await cast(chat, 'editor');
			const { id, sender } = tabs;
			const first = await begin(tabs);
			const second = await begin(tabs, LONG, 0);
			const third = await begin(tabs, SHORT, 0);
			assert.equal(second.ack.queued, true);
			const stop = { conversationId: id, streamId: second.ack.streamId };
			assert.deepEqual(await tabs[tab].ok('message:stop', stop), STOPPED);
			assert.equal(await assertStopped(tabs, second, { began: false }), '');
			assert.equal((await chat.recorder.of(second.content)).requests, 0);
			const before = turnOf(sender, first.ack).length;
			await until(() => turnOf(sender, first.ack).length > before, 'the first goes on');
			stop.streamId = first.ack.streamId;
			assert.deepEqual(await tabs[tab].ok('message:stop', stop), STOPPED);
			await assertStopped(tabs, first);
			const end = await sender.closing(third.ack);
			assert.equal(end[1].finishReason, 'stop');
			await assertCast(tabs, third.ack, end);
			await assertQuiet(chat.database, id);
		});

	it('with all others when none is named', async () => {
		const tabs = await cast(chat, 'editor');
		const first = await begin(tabs);
		const second = await begin(tabs, LONG, 0);
		const third = await begin(tabs, LONG, 0);
		assert.deepEqual(await tabs.away.ok('message:stop', tabs.id), STOPPED);
		await assertStopped(tabs, first);
		for (const turn of [second, third]) {
			assert.equal(await assertStopped(tabs, turn, { began: false }), '');
			assert.equal((await chat.recorder.of(turn.content)).requests, 0);
		}
		await assertForsaken(chat.recorder, first.content);
		await assertQuiet(chat.database, tabs.id);
	});
});

describe('nothing is stopped', { concurrency: 4 }, () => {
	it('after the end, which is not told again', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, sender } = tabs;
		const turn = await begin(tabs, SHORT, 0);
		const end = await sender.closing(turn.ack);
		const { streamId } = turn.ack;
		for (const tab of [sender, tabs.outside, tabs.friend]) {
			assert.deepEqual(await tab.ok('message:stop', id), DONE);
			assert.deepEqual(
				await tab.ok('message:stop', { conversationId: id, streamId }),
				DONE,
			);
		}
		assert.equal(end[1].finishReason, 'stop');
		await assertCast(tabs, turn.ack, end);
	});

	it('by the streamId of another answer, or of none', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, sender } = tabs;
		const old = await begin(tabs, SHORT, 0);
		await sender.closing(old.ack);
		const turn = await begin(tabs, 'mock-100-10');
		for (const tab of [sender, tabs.outside])
			for (const streamId of [old.ack.streamId, randomUUID(), turn.ack.assistantMessageId])
				assert.deepEqual(
					await tab.ok('message:stop', { conversationId: id, streamId }),
					DONE,
				);
		const end = await sender.closing(turn.ack);
		assert.equal(end[1].finishReason, 'stop');
		await assertCast(tabs, turn.ack, end);
	});

	it('by a viewer or by a stranger', async () => {
		const tabs = await cast(chat, 'viewer');
		const { id, sender, stranger } = tabs;
		const turn = await begin(tabs, 'mock-100-10');
		const { streamId } = turn.ack;
		for (const argument of [id, { conversationId: id }, { conversationId: id, streamId }]) {
			await tabs.friend.refused('FORBIDDEN', 'message:stop', argument);
			await tabs.away.refused('FORBIDDEN', 'message:stop', argument);
			await stranger.refused('NOT_FOUND', 'message:stop', argument);
		}
		const end = await sender.closing(turn.ack);
		assert.equal(end[1].finishReason, 'stop');
		assert.equal(
			end[1].assistantMessage.content,
			(await chat.recorder.of(turn.content)).text,
		);
		await assertCast(tabs, turn.ack, end);
	});

	it('in another conversation', async () => {
		const tabs = await cast(chat, 'editor');
		const { sender } = tabs;
		const other = await sender.create();
		const turn = await begin(tabs, 'mock-100-10');
		const { streamId } = turn.ack;
		assert.deepEqual(await sender.ok('message:stop', other), DONE);
		assert.deepEqual(
			await sender.ok('message:stop', { conversationId: other, streamId }),
			DONE,
		);
		const end = await sender.closing(turn.ack);
		assert.equal(end[1].finishReason, 'stop');
		await assertTurn(sender, turn.ack, end);
	});
});
