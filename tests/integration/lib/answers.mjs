// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What one turn (a message and its answer) must look like to each tab, and in the database.

import assert from 'node:assert/strict';
import { until } from './util.mjs';

// Two users with a conversation of theirs: the owner's tabs sender, delta (in the room) and outside,
// the guest's friend (in the room) and away, and a stranger. The sender is in the room once it sends.
export async function cast(chat, role = 'viewer') {
	const owner = chat.user('owner');
	const guest = chat.user('guest');
	const sender = await chat.open(owner);
	const id = await sender.create();
	const delta = await chat.open(owner, { auth: { stream: 'delta' } });
	const friend = await chat.open(guest);
	const outside = await chat.open(owner);
	const away = await chat.open(guest, { auth: { stream: 'delta' } });
	const stranger = await chat.open(chat.user('stranger'));
	await sender.ok('conversation:share', { conversationId: id, userId: guest, role });
	for (const tab of [sender, delta, outside, friend, away]) await tab.next('conversation:updated');
	await delta.join(id);
	await friend.join(id);
	return { id, owner, guest, sender, delta, friend, outside, away, stranger };
}

// The cast hears a turn that the sender began as each of them should.
export async function assertCast({ sender, delta, friend, outside, away, stranger }, ack, end, more) {
	await assertTurn(sender, ack, end, more);
	await assertTurn(delta, ack, end, { ...more, place: 'room', mode: 'delta' });
	await assertTurn(friend, ack, end, { ...more, place: 'room' });
	await assertTurn(outside, ack, end, { ...more, place: 'outside' });
	await assertTurn(away, ack, end, { ...more, place: 'outside' });
	await stranger.settled();
	const heard = stranger.names().filter((name) => !['session:ready', 'pong'].includes(name));
	assert.deepEqual(heard, [], 'what a stranger hears');
}

const OF_A_TURN = new Set([
	'message:new',
	'ai:typing:start',
	'message:chunk',
	'message:snapshot',
	'ai:typing:stop',
	'message:complete',
	'message:error',
	'error',
]);

const isLone = (text) => /\p{Surrogate}/u.test(text);

// What the tab heard of the turn that this acknowledgement began, in order: [{ name, data, at }].
export function turnOf(tab, ack) {
	tab.check();
	return tab.heard.filter(
		({ name, data }) =>
			OF_A_TURN.has(name) &&
			(data.streamId === ack.streamId || data.message?.id === ack.userMessage.id),
	);
}

// The chunks follow each other from `content`, whose last one was `seq`; returns the text.
export function joined(chunks, mode, content = '', seq = 0) {
	for (const { data } of chunks) {
		assert.equal(data.seq, ++seq, 'chunks are numbered');
		assert.equal(data.offset, content.length, 'the offset is the length so far');
		assert.notEqual(data.chunk, '', 'a chunk has text');
		assert.ok(!isLone(data.chunk), 'no frame splits a pair');
		content += data.chunk;
		if (mode === 'full') assert.ok(data.content === content, 'content is right');
		else assert.equal('content' in data, false, 'delta mode has no content');
	}
	return content;
}

// Each event of the turn once and in its order; ended is what closing gave. place: 'sender', 'room'
// (another tab in the room) or 'outside' (another tab of a participant's). began: false for an answer
// that ended before it was its turn. Returns the chunks.
export async function assertTurn(
	tab,
	ack,
	ended,
	{ place = 'sender', mode = 'full', prefix, began = true } = {},
) {
	const [name, { assistantMessage }] = ended;
	if (place !== 'outside') await tab.closing(ack);
	await tab.settled();
	const turn = turnOf(tab, ack);
	const chunks = turn.filter((e) => e.name === 'message:chunk');
	const want = place === 'sender' ? [] : ['message:new'];
	if (place !== 'outside') {
		if (began) want.push('ai:typing:start');
		want.push(...chunks.map((e) => e.name), 'ai:typing:stop', name);
		if (place === 'sender' && name === 'message:error') want.push('error');
	}
	assert.deepEqual(
		turn.map((e) => e.name),
		want,
		`what ${place} hears`,
	);
	for (const { name: event, data } of turn)
		assert.equal(
			data.conversationId,
			ack.userMessage.conversationId,
			`${event} has the conversation`,
		);
	if (place === 'outside') return chunks;
	const text = joined(chunks, mode);
	// What others ended, with what was stored, may be behind what tabs have heard.
	if (prefix) assert.ok(text.startsWith(assistantMessage.content));
	else assert.equal(text, assistantMessage.content, 'chunks joined are the content');
	for (const { data } of chunks)
		assert.equal(data.assistantMessageId, ack.assistantMessageId);
	return chunks;
}

// The message as message:list has it.
export async function listed(tab, conversationId, id) {
	const { messages } = await tab.ok('message:list', { conversationId, limit: 200 });
	const found = messages.filter((m) => m.id === id);
	assert.equal(found.length, 1, 'the message is listed once');
	return found[0];
}

// Nothing runs or waits in the conversation, and nothing is left of what did.
export async function assertQuiet(database, conversation) {
	const [[generations, parts, open]] = await database.sql(`
		SELECT (SELECT count(*) FROM parlance.generation WHERE conversation = c.id),
			(SELECT count(*) FROM parlance.message_part p JOIN parlance.message m
				ON m.id = p.message WHERE m.conversation = c.id),
			(SELECT count(*) FROM parlance.message m WHERE m.conversation = c.id
				AND m.status IN ('pending', 'streaming'))
		FROM parlance.conversation c WHERE c.id = '${conversation}'`);
	assert.deepEqual(
		{ generations, parts, open },
		{ generations: '0', parts: '0', open: '0' },
		'nothing is left behind',
	);
}

// The daemon has let go of the service.
export async function assertForsaken(recorder, text) {
	await until(async () => {
		const record = await recorder.of(text);
		return record.open === 0 && record.forsaken === record.requests;
	}, 'the request to the service was given up');
}
