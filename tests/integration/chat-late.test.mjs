// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Tabs that come and go while an answer runs: what a late one gets, and that the answer does not
// care who is there.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertCast, assertQuiet, assertTurn, cast, joined, listed, turnOf } from './lib/answers.mjs';
import { chatFor } from './lib/chat.mjs';
import { until } from './lib/util.mjs';

const chat = chatFor({ before, after }, { record: true });

let asked = 0;
const question = (mode) => `late ${++asked} [[${mode}]]`;

async function begin({ id, sender }, mode = 'mock-150-10', heard = 3) {
	const content = question(mode);
	const ack = await sender.ok('message:send', { conversationId: id, content });
	const mine = (c) => c.streamId === ack.streamId;
	if (heard) await sender.next('message:chunk', (c) => mine(c) && c.seq >= heard);
	return { content, ack };
}

// From its (last) snapshot on the tab heard each piece once, until the end.
async function assertSeamless(tab, ack, mode, snapshots = 1) {
	const [name, { assistantMessage }] = await tab.closing(ack);
	await tab.settled();
	const turn = turnOf(tab, ack).filter((e) => e.name !== 'message:new');
	const places = turn.flatMap((e, i) => (e.name === 'message:snapshot' ? [i] : []));
	assert.equal(places.length, snapshots, 'snapshots');
	assert.equal(places[0], 0, 'the snapshot comes first');
	for (const [i, place] of places.entries()) {
		const { data } = turn[place];
		assert.equal(data.conversationId, ack.userMessage.conversationId);
		assert.equal(data.assistantMessageId, ack.assistantMessageId);
		assert.equal(data.streamId, ack.streamId);
		assert.equal(data.status, 'streaming');
		const chunks = turn.slice(place + 1, places[i + 1]).filter((e) => e.name === 'message:chunk');
		const text = joined(chunks, mode, data.content, data.seq);
		if (i === places.length - 1) assert.equal(text, assistantMessage.content);
		else assert.ok(turn[places[i + 1]].data.content.startsWith(text));
	}
	const names = turn.slice(places.at(-1) + 1).map((e) => e.name);
	const chunks = names.filter((n) => n === 'message:chunk');
	assert.ok(chunks.length > 0, 'it went on');
	assert.deepEqual(names, [...chunks, 'ai:typing:stop', name]);
	return turn[places[0]].data;
}

describe('a tab that joins while an answer runs', { concurrency: 4 }, () => {
	for (const mode of ['full', 'delta'])
		for (const who of ['owner', 'guest'])
			it(`gets one snapshot and each piece once (${who}, ${mode})`, async () => {
				const tabs = await cast(chat);
				const { id, sender } = tabs;
				const { content, ack } = await begin(tabs);
				const late = await chat.open(tabs[who], { auth: { stream: mode } });
				const ready = await late.next('session:ready');
				assert.deepEqual(ready.activeStreams, [
					{ conversationId: id, streamId: ack.streamId },
				]);
				const joining = await late.join(id);
				assert.deepEqual(joining.activeStream, {
					streamId: ack.streamId,
					assistantMessageId: ack.assistantMessageId,
				});
				assert.equal(joining.lastSeq, ack.userMessage.seq + 1);
				assert.equal('messages' in joining, false);
				const snapshot = await assertSeamless(late, ack, mode);
				assert.notEqual(snapshot.content, '', 'it came in the middle');
				const end = await sender.closing(ack);
				assert.equal(end[1].assistantMessage.content, (await chat.recorder.of(content)).text);
				assert.notEqual(snapshot.content, end[1].assistantMessage.content);
				await assertCast(tabs, ack, end);
			});

	it('before the first token gets an empty one', async () => {
		const tabs = await cast(chat);
		const { ack } = await begin(tabs, 'mock-slow', 0);
		await tabs.sender.next('ai:typing:start');
		await tabs.outside.join(tabs.id);
		const snapshot = await tabs.outside.next('message:snapshot');
		assert.equal(snapshot.content, '');
		assert.equal(snapshot.seq, 0);
		await tabs.sender.ok('message:stop', tabs.id);
		await tabs.outside.closing(ack);
	});

	it('again gets another one, and still each piece once', async () => {
		const tabs = await cast(chat);
		const { ack } = await begin(tabs);
		const { outside, away, id } = tabs;
		for (const [tab, mode] of [[outside, 'full'], [away, 'delta']]) {
			await tab.join(id);
			await tab.next('message:chunk');
			await tab.join(id);
			tab.mode = mode;
		}
		for (const tab of [outside, away]) await assertSeamless(tab, ack, tab.mode, 2);
	});

	it('after it had left hears nothing in between, and then goes on', async () => {
		const tabs = await cast(chat);
		const { id, sender, delta } = tabs;
		const { ack } = await begin(tabs);
		await delta.ok('leave:conversation', id);
		delta.forget();
		const more = sender.all('message:chunk').length + 3;
		await until(() => sender.all('message:chunk').length >= more, 'three more chunks');
		await delta.settled();
		assert.deepEqual(delta.names(), ['pong']);
		await delta.join(id);
		await assertSeamless(delta, ack, 'delta');
		await assertTurn(sender, ack, await sender.closing(ack));
	});

	it('by sending a message of its own gets a snapshot too', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, sender, away } = tabs;
		const { ack } = await begin(tabs);
		const second = await away.ok('message:send', {
			conversationId: id,
			content: question('mock-5-5'),
		});
		assert.equal(second.position, 1);
		await assertSeamless(away, ack, 'delta');
		const end = await sender.closing(second);
		await assertTurn(away, second, end, { mode: 'delta' });
	});

	it('after the end gets none', async () => {
		const tabs = await cast(chat);
		const { ack } = await begin(tabs, 'mock-3-1', 0);
		await tabs.sender.closing(ack);
		const late = await chat.open(tabs.owner);
		assert.deepEqual((await late.next('session:ready')).activeStreams, []);
		const joining = await late.join(tabs.id);
		assert.equal('activeStream' in joining, false);
		await late.settled();
		assert.deepEqual(turnOf(late, ack), []);
	});

	it('gets the messages after sinceSeq with it, the running one too', async () => {
		const tabs = await cast(chat);
		const { id, sender, outside } = tabs;
		for (let i = 0; i < 2; i++) {
			const { ack } = await begin(tabs, 'mock-3-1', 0);
			await sender.closing(ack);
		}
		const { ack } = await begin(tabs);
		const { messages } = await sender.ok('message:list', { conversationId: id });
		const seqs = messages.map((m) => m.seq);
		assert.equal(seqs.length, 6);
		for (const [i, sinceSeq] of [0, ...seqs].entries()) {
			const joining = await outside.ok('join:conversation', { conversationId: id, sinceSeq });
			assert.deepEqual(
				joining.messages.map((m) => m.seq),
				seqs.slice(i),
				`since ${sinceSeq}`,
			);
			assert.equal(joining.lastSeq, seqs.at(-1));
			if (i < seqs.length) {
				const last = joining.messages.at(-1);
				assert.equal(last.id, ack.assistantMessageId);
				assert.equal(last.status, 'streaming');
			}
		}
		await assertSeamless(outside, ack, 'full', seqs.length + 1);
	});

	it('is told of all that run in conversations of the user, and of no others', async () => {
		const tabs = await cast(chat);
		const { sender, owner, guest } = tabs;
		const [id, second, third] = [tabs.id, await sender.create(), await sender.create()];
		const turns = [];
		for (const at of [id, second, third])
			turns.push(await begin({ id: at, sender }, at === third ? 'mock-3-1' : 'mock-hang', 0));
		await sender.closing(turns[2].ack);
		const waiting = await begin(tabs, 'mock-3-1', 0);
		assert.equal(waiting.ack.queued, true, 'it does not run');
		const stream = (at, { ack }) => ({ conversationId: at, streamId: ack.streamId });
		const late = await chat.open(owner);
		const { activeStreams } = await late.next('session:ready');
		assert.deepEqual(activeStreams, [stream(id, turns[0]), stream(second, turns[1])]);
		const friend = await chat.open(guest);
		assert.deepEqual((await friend.next('session:ready')).activeStreams, [stream(id, turns[0])]);
		const stranger = await chat.open(chat.user('nobody'));
		assert.deepEqual((await stranger.next('session:ready')).activeStreams, []);
		for (const at of [id, second]) await sender.ok('message:stop', at);
	});
});

describe('an answer goes on', { concurrency: 4 }, () => {
	it('when its sender disconnects, for the others', async () => {
		const tabs = await cast(chat);
		const { id, sender, delta, friend } = tabs;
		const { content, ack } = await begin(tabs);
		await sender.close();
		const end = await delta.closing(ack);
		assert.equal(end[1].finishReason, 'stop');
		assert.equal(end[1].assistantMessage.content, (await chat.recorder.of(content)).text);
		await assertTurn(delta, ack, end, { place: 'room', mode: 'delta' });
		await assertTurn(friend, ack, end, { place: 'room' });
		assert.equal((await chat.recorder.of(content)).forsaken, 0);
		await assertQuiet(chat.database, id);
	});

	it('when its sender loses the connection right after sending', async () => {
		const tabs = await cast(chat);
		const { sender, friend, id } = tabs;
		await sender.join(id);
		const content = question('mock-30-5');
		sender.socket.emit('message:send', { conversationId: id, content });
		sender.socket.io.engine.once('drain', () => sender.socket.io.engine.close());
		const [name, data] = await friend.nextOf(['message:complete', 'message:error']);
		assert.equal(name, 'message:complete');
		assert.equal(data.userMessage.content, content);
		assert.equal(data.assistantMessage.content, (await chat.recorder.of(content)).text);
	});

	it('when nobody is there, and a reload finds it', async () => {
		const user = chat.user('alone');
		const sender = await chat.open(user);
		const id = await sender.create();
		const { content, ack } = await begin({ id, sender });
		await sender.close();
		const back = await chat.open(user, { auth: { stream: 'delta' } });
		const ready = await back.next('session:ready');
		assert.deepEqual(ready.activeStreams, [{ conversationId: id, streamId: ack.streamId }]);
		await back.join(id);
		await assertSeamless(back, ack, 'delta');
		const { assistantMessage } = (await back.closing(ack))[1];
		assert.equal(assistantMessage.content, (await chat.recorder.of(content)).text);
	});

	it('when nobody is there, and nobody comes before its end', async () => {
		const user = chat.user('alone');
		const sender = await chat.open(user);
		const id = await sender.create();
		const { content, ack } = await begin({ id, sender }, 'mock-60-10');
		await sender.close();
		const status = async () => {
			const [[row]] = await chat.database.sql(
				`SELECT status FROM parlance.message WHERE id = '${ack.assistantMessageId}'`,
			);
			return row === 'complete';
		};
		await until(status, 'the answer is complete');
		const back = await chat.open(user);
		const message = await listed(back, id, ack.assistantMessageId);
		assert.equal(message.content, (await chat.recorder.of(content)).text);
		await assertQuiet(chat.database, id);
	});
});
