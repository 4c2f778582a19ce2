// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// One turn as every tab sees it: the order of its events, the frames of its text, and how it ends
// for each way in which the AI service may fail.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertCast, assertQuiet, assertTurn, cast, listed, turnOf } from './lib/answers.mjs';
import { Daemon, Tab, chatFor } from './lib/chat.mjs';
import { until } from './lib/util.mjs';

const chat = chatFor(
	{ before, after },
	{
		record: true,
		set: {
			'provider_openai.first_byte_timeout_ms': 700,
			'provider_openai.idle_timeout_ms': 2500,
			'provider_openai.api_key': 'sk-not-to-be-told',
		},
	},
);

// mockai's text of so many tokens in its mode utf8.
const FANCY = [' héllo', ' 你好', ' 😀', '\n', ' "q"', ' \\', ' é', ' 🚀', '\t', ' <b>&amp;</b>'];
FANCY.push(' a/b', '\u2028');
const fancy = (n) => Array.from({ length: n }, (_, i) => FANCY[i % FANCY.length]).join('');

const closed = [];
async function openAt(daemon, user, stream) {
	const tab = await Tab.open(daemon, user, { auth: stream ? { stream } : {} });
	closed.push(tab);
	return tab;
}
after(async () => {
	for (const tab of closed) await tab.close();
});

let asked = 0;
const question = (mode) => `question ${++asked} [[mock-${mode}]]`;

describe('the events of a turn', { concurrency: 4 }, () => {
	async function turn(mode) {
		const tabs = await cast(chat);
		const { id, sender, delta, friend, outside, away } = tabs;
		const content = question(mode);
		const messageId = `mine-${asked}`;
		const ack = await sender.ok('message:send', { conversationId: id, content, messageId });
		const end = await sender.closing(ack);
		await assertCast(tabs, ack, end);
		for (const tab of [sender, delta, friend])
			for (const { name, data } of turnOf(tab, ack))
				assert.equal(data.messageId, messageId, name);
		for (const tab of [outside, away]) {
			const [news] = tab.all('message:new');
			assert.deepEqual(news.message, ack.userMessage);
			assert.equal(news.messageId, messageId);
			await tab.next('conversation:activity', (a) => a.messageCount === 2);
		}
		return { id, sender, ack, end, content };
	}

	it('come in order to the sender, the room, and tabs outside it', async () => {
		const { id, sender, ack, end, content } = await turn('20-5');
		assert.equal(end[0], 'message:complete');
		const data = end[1];
		assert.equal(data.finishReason, 'stop');
		assert.deepEqual(data.userMessage, ack.userMessage);
		assert.equal(data.assistantMessage.id, ack.assistantMessageId);
		assert.equal(data.assistantMessage.status, 'complete');
		assert.equal(data.usage.completionTokens, 20);
		assert.equal(data.conversation.messageCount, 2);
		assert.equal(data.conversation.totalTokens, data.usage.totalTokens);
		assert.equal(data.assistantMessage.content, (await chat.recorder.of(content)).text);
		assert.deepEqual(
			await listed(sender, id, ack.assistantMessageId),
			data.assistantMessage,
		);
		await assertQuiet(chat.database, id);
	});

	it('come in the same order when the answer fails at once', async () => {
		const { end } = await turn('500');
		assert.equal(end[0], 'message:error');
	});

	it('come in the same order when the answer fails in the middle', async () => {
		const { end } = await turn('errmid');
		assert.equal(end[0], 'message:error');
	});

	it('close the turn of a sender who has left the room', async () => {
		const { id, sender } = await cast(chat);
		for (const [mode, want] of [
			['20-20', ['message:complete']],
			['errmid', ['message:error', 'error']],
		]) {
			await sender.join(id);
			const ack = await sender.ok('message:send', {
				conversationId: id,
				content: question(mode),
			});
			await sender.next('message:chunk', (c) => c.streamId === ack.streamId);
			await sender.ok('leave:conversation', id);
			sender.forget();
			await sender.closing(ack);
			await sender.settled();
			assert.deepEqual(
				turnOf(sender, ack).map((e) => e.name),
				want,
			);
		}
	});
});

// status, and what the error says.
const FAILED = { status: 'failed', code: 'PROVIDER_ERROR' };
const CUT = { status: 'interrupted', code: 'PROVIDER_ERROR' };
const MODES = {
	500: FAILED,
	503: { ...FAILED, retryAfterMs: 1000 },
	429: { ...FAILED, retryAfterMs: 1000 },
	400: FAILED,
	404: FAILED,
	echo: FAILED,
	flood: FAILED,
	html: FAILED,
	cut: CUT,
	eof: CUT,
	errmid: CUT,
	limitmid: CUT,
	garbage: CUT,
	hang: { status: 'failed', code: 'PROVIDER_TIMEOUT' },
	stall: { status: 'interrupted', code: 'PROVIDER_TIMEOUT' },
	empty: { status: 'complete', finishReason: 'stop' },
	length: { status: 'complete', finishReason: 'length' },
	filter: { status: 'complete', finishReason: 'content_filter' },
	nodone: { status: 'complete', finishReason: 'stop' },
	lazy: { status: 'complete', finishReason: 'stop' },
	slow: { status: 'complete', finishReason: 'stop' },
	'split-30-5': { status: 'complete', finishReason: 'stop' },
	'crlf-30-5': { status: 'complete', finishReason: 'stop' },
	'utf8-36-5': { status: 'complete', finishReason: 'stop', text: fancy(36) },
	'bytes-40-5': { status: 'complete', finishReason: 'stop', text: '😀'.repeat(10) },
	'reason-20-5': { status: 'complete', finishReason: 'stop' },
};

describe('a service whose answer is', { concurrency: 6 }, () => {
	for (const [mode, want] of Object.entries(MODES))
		it(`${mode} makes a turn that is ${want.status}`, async () => {
			const owner = chat.user('owner');
			const sender = await openAt(chat.daemon, owner);
			const other = await openAt(chat.daemon, owner, 'delta');
			const id = await sender.create();
			await other.join(id);
			const content = question(mode);
			const ack = await sender.ok('message:send', { conversationId: id, content });
			const end = await sender.closing(ack);
			await assertTurn(sender, ack, end);
			await assertTurn(other, ack, end, { place: 'room', mode: 'delta' });
			const [name, { assistantMessage, ...data }] = end;
			assert.equal(name, want.code ? 'message:error' : 'message:complete');
			assert.equal(assistantMessage.status, want.status);
			const { text } = await chat.recorder.of(content);
			// What a service says after nonsense was on its way, or was not.
			const told = mode === 'garbage' ? assistantMessage.content : text;
			assert.ok(text.startsWith(told));
			assert.equal(assistantMessage.content, want.text ?? told);
			if (want.status === 'interrupted') assert.notEqual(text, '');
			if (want.code) {
				assert.equal(data.code, want.code);
				assert.equal(data.type, want.code);
				assert.equal(data.event, 'message:send');
				assert.equal(data.retryable, true);
				assert.equal(data.retryAfterMs, want.retryAfterMs);
				assert.equal(assistantMessage.error.code, want.code);
				const [plain] = sender.all('error');
				assert.deepEqual(plain, data, 'the plain error says the same');
				assert.ok(!JSON.stringify(end).includes('sk-not'), 'no secret is told');
			} else {
				assert.equal(data.finishReason, want.finishReason);
			}
			assert.deepEqual(
				await listed(sender, id, ack.assistantMessageId),
				assistantMessage,
			);
			await assertQuiet(chat.database, id);
			const busy = async () => (await chat.recorder.of(content)).open === 0;
			await until(busy, 'the request to the service ends');
			assert.equal((await chat.recorder.of(content)).requests, 1);
		});
});

describe('the frames of an answer', { concurrency: 3 }, () => {
	const more = [];
	const daemonWith = async (set) => {
		const { database, recorder: service } = chat;
		const daemon = await Daemon.start({ database, service, set });
		more.push(daemon);
		return daemon;
	};
	after(async () => {
		for (const tab of closed) await tab.close();
		for (const daemon of more) await daemon.stop();
	});

	// The chunks in both modes, and the time from the first to the last event, in ms.
	async function chunksOf(daemon, mode) {
		const user = chat.user('reader');
		const sender = await openAt(daemon, user);
		const delta = await openAt(daemon, user, 'delta');
		const id = await sender.create();
		await delta.join(id);
		const ack = await sender.ok('message:send', {
			conversationId: id,
			content: question(mode),
		});
		const end = await sender.closing(ack);
		assert.equal(end[0], 'message:complete');
		const full = await assertTurn(sender, ack, end);
		const parts = await assertTurn(delta, ack, end, { place: 'room', mode: 'delta' });
		const turn = turnOf(sender, ack);
		const ms = turn.at(-1).at - turn[0].at;
		return { full, delta: parts, ms, text: end[1].assistantMessage.content };
	}

	it('are as many as the pieces without an interval, and whole characters', async () => {
		const daemon = await daemonWith({ 'chat.chunk_interval_ms': 0 });
		const plain = await chunksOf(daemon, '40-20');
		assert.ok(plain.delta.length > 20, `${plain.delta.length} frames`);
		assert.ok(plain.full.length > 20, `${plain.full.length} frames`);
		const utf8 = await chunksOf(daemon, 'utf8-60-10');
		assert.equal(utf8.text, fancy(60));
		const bytes = await chunksOf(daemon, 'bytes-80-5');
		assert.equal(bytes.text, '😀'.repeat(20));
	});

	it('are collected for 40 ms by default', async () => {
		const { full, delta, ms } = await chunksOf(chat.daemon, '100-10');
		for (const chunks of [full, delta]) {
			assert.ok(chunks.length > 2, `${chunks.length} frames`);
			assert.ok(chunks.length <= ms / 40 + 3, `${chunks.length} in ${ms} ms`);
		}
	});

	it('begin at once, and the rest is sent before the end', async () => {
		const daemon = await daemonWith({ 'chat.chunk_interval_ms': 10000 });
		const { full, delta, text } = await chunksOf(daemon, '20-30');
		for (const chunks of [full, delta]) {
			assert.equal(chunks.length, 2);
			assert.ok(chunks[0].data.chunk.length < text.length / 2);
		}
	});

	it('grow with the time, not with the square of the text, in full mode', async () => {
		const rate = 16384;
		const daemon = await daemonWith({ 'chat.full_bytes_per_s': rate });
		const { full, delta, ms, text } = await chunksOf(daemon, '3000-1');
		const sum = (chunks, key) =>
			chunks.reduce((n, { data }) => n + Buffer.byteLength(data[key]), 0);
		const size = Buffer.byteLength(text);
		assert.equal(size, 3000 * 6);
		assert.equal(sum(delta, 'chunk'), size);
		const most = (rate * ms) / 1000 + 2 * size;
		const bytes = sum(full, 'content');
		assert.ok(bytes <= 1.1 * most, `${bytes} bytes in ${ms} ms, want ${most}`);
		assert.ok(full.length < delta.length / 2, 'they become rarer');
	});
});
