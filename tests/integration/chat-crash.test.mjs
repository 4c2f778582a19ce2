// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Bad days: the daemon or PostgreSQL dies in the middle of an answer. What was acknowledged is there
// afterwards, and nothing goes on streaming for ever.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Daemon, Database, Service, Tab } from './lib/chat.mjs';
import { until } from './lib/util.mjs';

describe('in the middle of an answer', () => {
	let database;
	let service;
	const daemons = [];
	const start = async () => {
		const daemon = await Daemon.start({ database, service });
		daemons.push(daemon);
		return daemon;
	};

	before(async () => {
		database = await Database.start();
		service = await Service.start();
	});
	after(async () => {
		for (const daemon of daemons) await daemon.stop();
		await service?.kill();
		await database?.stop();
	});

	const begin = async (daemon, question) => {
		const tab = await Tab.open(daemon, 'owner', { auth: { stream: 'delta' } });
		const id = await tab.create();
		await tab.join(id);
		const ack = await tab.ok('message:send', { conversationId: id, content: question });
		await tab.next('message:chunk');
		return { tab, id, ack };
	};
	const stored = async (message) => {
		const [row] = await database.sql(
			`SELECT status, content FROM parlance.message WHERE id = '${message}'`,
		);
		return { status: row[0], content: row[1] };
	};
	const parts = async (message) => {
		const [row] = await database.sql(
			`SELECT count(*) FROM parlance.message_part WHERE message = '${message}'`,
		);
		return Number(row[0]);
	};

	it('SIGKILL of the daemon leaves an interrupted message with its text', async () => {
		const first = await start();
		const { tab, ack } = await begin(first, '[[mock-2000-5]]');
		const message = ack.assistantMessageId;
		await until(() => parts(message), 'a part is stored');
		await first.kill();
		await start();
		const ended = async () => (await stored(message)).status === 'interrupted';
		await until(ended, 'the message is interrupted', 25000);
		const { content } = await stored(message);
		assert.ok(content.length > 0);
		const heard = tab.all('message:chunk').map((d) => d.chunk).join('');
		assert.ok(heard.startsWith(content) || content.startsWith(heard));
		assert.equal((await stored(ack.userMessage.id)).content, '[[mock-2000-5]]');
		assert.equal(await parts(message), 0);
		tab.socket.disconnect();
	});

	it('SIGTERM stores the text and ends with 0', async () => {
		const daemon = await start();
		const { tab, ack } = await begin(daemon, '[[mock-2000-5]]');
		await daemon.stop();
		const { status, content } = await stored(ack.assistantMessageId);
		assert.equal(status, 'interrupted');
		assert.ok(content.length > 0);
		tab.socket.disconnect();
	});

	it('PostgreSQL may die: the answer goes on and is stored when it is back', async () => {
		const daemon = await start();
		const { tab, id, ack } = await begin(daemon, '[[mock-300-10]]');
		await database.kill();
		const error = await tab.refused('UNAVAILABLE', 'message:list', { conversationId: id });
		assert.ok(error.retryAfterMs > 0);
		await database.up();
		const mine = (d) => d.streamId === ack.streamId;
		const { assistantMessage } = await tab.next('message:complete', mine, 30000);
		const text = tab.all('message:chunk').map((d) => d.chunk).join('');
		assert.equal(assistantMessage.content, text);
		assert.equal((await stored(ack.assistantMessageId)).content, text);
		assert.equal(tab.all('message:complete').length, 1);
		assert.equal(tab.all('message:error').length, 0);
		await tab.close();
	});
});
