// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Bad days: the daemon or PostgreSQL dies in the middle of an answer. What was acknowledged is there
// afterwards, and nothing goes on streaming for ever.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertForsaken, assertQuiet } from './lib/answers.mjs';
import { Daemon, Database, Service, Tab } from './lib/chat.mjs';
import { Recorder } from './lib/recorder.mjs';
import { each, until } from './lib/util.mjs';

describe('in the middle of an answer', () => {
	let database;
	let service;
	let recorder;
	const daemons = [];
	const start = async (set) => {
		const daemon = await Daemon.start({ database, service: recorder, set });
		daemons.push(daemon);
		return daemon;
	};

	before(async () => {
		database = await Database.start();
		service = await Service.start();
		recorder = await Recorder.start(service);
	});
	after(async () => {
		await each(
			...daemons.map((daemon) => () => daemon.stop()),
			() => recorder?.kill(),
			() => service?.kill(),
			() => database?.stop(),
		);
	});

	let asked = 0;
	const begin = async (daemon, mode) => {
		const question = `crash ${++asked} [[${mode}]]`;
		const tab = await Tab.open(daemon, 'owner', { auth: { stream: 'delta' } });
		const id = await tab.create();
		await tab.join(id);
		const ack = await tab.ok('message:send', { conversationId: id, content: question });
		await tab.next('message:chunk');
		return { tab, id, ack, question };
	};
	const stored = async (message) => {
		const [row] = await database.sql(
			`SELECT status, content FROM parlance.message WHERE id = '${message}'`,
		);
		return { status: row[0], content: row[1] };
	};
	const heardBy = (tab) => tab.all('message:chunk').map((d) => d.chunk).join('');
	const parts = async (message) => {
		const [row] = await database.sql(
			`SELECT count(*) FROM parlance.message_part WHERE message = '${message}'`,
		);
		return Number(row[0]);
	};

	it('SIGKILL of the daemon leaves an interrupted message with its text', async () => {
		const first = await start();
		const { tab, id, ack, question } = await begin(first, 'mock-2000-5');
		const message = ack.assistantMessageId;
		await until(() => parts(message), 'a part is stored');
		await first.kill();
		await start();
		const ended = async () => (await stored(message)).status === 'interrupted';
		await until(ended, 'the message is interrupted', 25000);
		const { content } = await stored(message);
		assert.ok(content.length > 0);
		const heard = heardBy(tab);
		assert.ok(heard.startsWith(content) || content.startsWith(heard));
		assert.ok((await recorder.of(question)).text.startsWith(content));
		assert.equal((await stored(ack.userMessage.id)).content, question);
		await assertQuiet(database, id);
		tab.socket.disconnect();
	});

	it('SIGTERM stores the text and ends with 0', async () => {
		const daemon = await start({ 'chat.drain_timeout_ms': 300 });
		const { tab, id, ack, question } = await begin(daemon, 'mock-2000-5');
		await daemon.stop();
		const { status, content } = await stored(ack.assistantMessageId);
		assert.equal(status, 'interrupted');
		assert.ok(content.startsWith(heardBy(tab)), 'what was heard is stored');
		assert.ok((await recorder.of(question)).text.startsWith(content));
		await assertQuiet(database, id);
		tab.socket.disconnect();
	});

	it('a second SIGTERM ends it at once, with 0; others end the answer', async () => {
		const daemon = await start();
		const { tab, id, ack } = await begin(daemon, 'mock-2000-5');
		daemon.signal('SIGTERM');
		await tab.next('server:draining');
		await daemon.stop();
		assert.equal((await stored(ack.assistantMessageId)).status, 'streaming');
		await start();
		const ended = async () => (await stored(ack.assistantMessageId)).status === 'interrupted';
		await until(ended, 'the message is interrupted', 25000);
		await assertQuiet(database, id);
		tab.socket.disconnect();
	});

	it('PostgreSQL may die: the answer goes on and is stored when it is back', async () => {
		const daemon = await start();
		const { tab, id, ack, question } = await begin(daemon, 'mock-300-10');
		await database.kill();
		const about = { conversationId: id };
		for (const [name, argument] of [
			['message:list', about],
			['message:send', { ...about, content: 'x' }],
			['conversation:create', {}],
		]) {
			const error = await tab.refused('UNAVAILABLE', name, argument);
			assert.ok(error.retryAfterMs > 0);
		}
		const { seq } = tab.all('message:chunk').at(-1);
		await tab.next('message:chunk', (c) => c.seq > seq + 2);
		await database.up();
		const [name, { assistantMessage }] = await tab.closing(ack);
		assert.equal(name, 'message:complete');
		const text = heardBy(tab);
		assert.equal(assistantMessage.content, text);
		assert.equal(text, (await recorder.of(question)).text);
		assert.equal((await stored(ack.assistantMessageId)).content, text);
		assert.equal(tab.all('message:complete').length, 1);
		assert.equal(tab.all('message:error').length, 0);
		await assertQuiet(database, id);
		await tab.close();
	});

	it('PostgreSQL is dead: a stop reaches the service at once, and is stored later', async () => {
		const daemon = await start();
		const { tab, id, ack, question } = await begin(daemon, 'mock-3000-20');
		await database.kill();
		const stop = await tab.ok('message:stop', id);
		assert.deepEqual(stop, { ok: true, stopped: true });
		await assertForsaken(recorder, question);
		await tab.settled();
		const text = heardBy(tab);
		assert.equal(tab.all('message:complete').length, 0, 'it is not stored yet');
		await database.up();
		const [name, { assistantMessage, finishReason }] = await tab.closing(ack);
		assert.equal(name, 'message:complete');
		assert.equal(finishReason, 'stopped');
		assert.equal(assistantMessage.status, 'stopped');
		assert.equal(assistantMessage.content, text);
		await assertQuiet(database, id);
		await tab.close();
	});
});
