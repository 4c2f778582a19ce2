// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Answers that another instance makes, over a long time and through what goes wrong.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Daemon, Database, Service, Tab } from './lib/chat.mjs';

describe('an answer of another instance', () => {
	let database;
	let service;
	const daemons = [];
	const tabs = [];
	const open = async (daemon, user) => {
		const tab = await Tab.open(daemon, user, { auth: { stream: 'delta' } });
		tabs.push(tab);
		return tab;
	};

	before(async () => {
		database = await Database.start();
		service = await Service.start();
		for (let i = 0; i < 2; i++) daemons.push(await Daemon.start({ database, service }));
	});
	after(async () => {
		for (const tab of tabs) await tab.close();
		for (const daemon of daemons) await daemon.stop();
		await service?.kill();
		await database?.stop();
	});

	it('flows for longer than a want is good for', async () => {
		const sender = await open(daemons[0], 'ann');
		const watcher = await open(daemons[1], 'ann');
		const id = await sender.create();
		await watcher.join(id);
		const { data } = await sender.turn(id, '[[mock-230-100]]', {}, 60000);
		await watcher.next('message:complete', () => true);
		const chunks = watcher.heard.filter((e) => e.name === 'message:chunk');
		let longest = 0;
		for (let i = 1; i < chunks.length; i++)
			longest = Math.max(longest, chunks[i].at - chunks[i - 1].at);
		assert.equal(
			chunks.map((e) => e.data.chunk).join(''),
			data.assistantMessage.content,
		);
		assert.ok(longest < 3000, `nothing came for ${Math.round(longest)} ms`);
	});

	it('is shown to who joins before its first word', async () => {
		const sender = await open(daemons[0], 'bob');
		const id = await sender.create();
		const ack = await sender.ok('message:send', {
			conversationId: id,
			content: '[[mock-hang]]',
		});
		await sender.next('ai:typing:start');
		const watcher = await open(daemons[1], 'bob');
		await watcher.join(id);
		const snapshot = await watcher.next('message:snapshot');
		assert.equal(snapshot.streamId, ack.streamId);
		assert.equal(snapshot.content, '');
		await watcher.ok('message:stop', { conversationId: id });
		await watcher.next('message:complete');
	});

	it('is shown to who joins by sending', async () => {
		const first = await open(daemons[0], 'eve');
		const second = await open(daemons[1], 'eve');
		const id = await first.create();
		const content = '[[mock-40-100]]';
		const ack = await first.ok('message:send', { conversationId: id, content });
		await first.next('message:chunk');
		await second.ok('message:send', { conversationId: id, content: '[[mock-1-1]]' });
		const mine = (d) => d.streamId === ack.streamId;
		const snapshot = await second.next('message:snapshot', mine);
		const { assistantMessage } = await second.next('message:complete', mine);
		const chunks = second.all('message:chunk', mine);
		assert.equal(
			snapshot.content + chunks.map((d) => d.chunk).join(''),
			assistantMessage.content,
		);
		await second.next('message:complete', (d) => !mine(d));
	});
});
