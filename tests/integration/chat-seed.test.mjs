// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The main job from outside: the usage examples of the document that the product comes from, word
// for word but for ids and token, and what tabs of one user and of two see of each other.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { io } from 'socket.io-client';
import { chatFor, token } from './lib/chat.mjs';
import { event } from './lib/util.mjs';

const demo = { 'provider_demo.token_interval_ms': 1, 'provider_demo.first_token_ms': 1 };

describe('the usage examples', () => {
	const chat = chatFor({ before, after }, { service: false, set: demo });

	it('connect, join, send and receive a streamed answer', async () => {
		const socket = io(chat.daemon.url, {
			auth: {
				token: token(chat.user('seed')),
			},
			forceNew: true,
		});
		const [ready] = await event(socket, 'session:ready');
		assert.equal(ready.socketId, socket.id);
		const { conversation } = await socket.emitWithAck('conversation:create', {
			title: 'A title',
		});

		const joined = event(socket, 'conversation:joined');
		socket.emit('join:conversation', conversation.id);
		assert.deepEqual((await joined)[0], { conversationId: conversation.id });

		let text = '';
		socket.on('message:chunk', (data) => {
			text += data.chunk;
			assert.equal(data.content, text);
		});
		const complete = event(socket, 'message:complete', 30000);
		socket.emit('message:send', {
			conversationId: conversation.id,
			content: 'Hello AI!',
		});
		const [data] = await complete;
		assert.equal(data.userMessage.content, 'Hello AI!');
		assert.equal(data.assistantMessage.content, text);
		assert.ok(text.length > 0);
		socket.disconnect();
	});

	for (const [where, options] of [
		['auth.token', (t) => ({ auth: { token: t } })],
		['the Authorization header', (t) => ({ extraHeaders: { authorization: `Bearer ${t}` } })],
		['the query', (t) => ({ query: { token: t } })],
	])
		it(`take the token from ${where}`, async () => {
			const user = chat.user('place');
			const socket = io(chat.daemon.url, { forceNew: true, ...options(token(user)) });
			const [ready] = await event(socket, 'session:ready');
			assert.equal(ready.userId, user);
			socket.disconnect();
		});

	for (const [what, make] of [
		['none', () => undefined],
		['one with another secret', () => token('u', { secret: 'x'.repeat(40) })],
		['an expired one', () => token('u', { claims: { exp: 1000 } })],
		['one whose algorithm is none', () => token('u', { header: { alg: 'none' } })],
		['one of a foreign algorithm', () => token('u', { header: { alg: 'HS512' } })],
		['one that was cut', () => token('u').slice(0, -4)],
		['a refresh token', () => token('u', { claims: { type: 'refresh' } })],
	])
		it(`refuse ${what}`, async () => {
			const t = make();
			const socket = io(chat.daemon.url, {
				forceNew: true,
				reconnection: false,
				auth: t ? { token: t } : {},
			});
			const [error] = await event(socket, 'connect_error');
			assert.match(error.message, /^Authentication error: /);
			assert.equal(
				error.data.code,
				what === 'an expired one' ? 'TOKEN_EXPIRED' : 'UNAUTHENTICATED',
			);
			socket.disconnect();
			if (t) assert.ok(!chat.daemon.stderr.includes(t), 'the token is in the log');
		});
});

describe('tabs', () => {
	const chat = chatFor({ before, after }, { service: false, set: demo });

	it('of one user are in step', async () => {
		const user = chat.user('tabs');
		const [a, b, c] = [await chat.open(user), await chat.open(user), await chat.open(user)];
		const id = await a.create({ title: 'One' });
		for (const tab of [b, c]) {
			await tab.next('conversation:create', (d) => d.id === id);
			await tab.next('conversation:created', (d) => d.id === id);
		}
		await a.next('conversation:created');
		await b.ok('conversation:update', { conversationId: id, update: { title: 'Two' } });
		for (const tab of [a, c]) {
			const { update } = await tab.next('conversation:update');
			assert.deepEqual(update, { title: 'Two' });
		}
		await chat.database.sql(
			`UPDATE parlance.conversation SET title = 'By psql' WHERE id = '${id}'`,
		);
		for (const tab of [a, b, c])
			await tab.next('conversation:update', (d) => d.update.title === 'By psql');
		await c.ok('conversation:delete', id);
		for (const tab of [a, b]) await tab.next('conversation:delete');
		for (const tab of [a, b, c]) await tab.settled();
		assert.equal(a.all('conversation:create').length, 0);
		assert.equal(a.all('conversation:created').length, 1);
		assert.equal(b.all('conversation:update').length, 1);
		assert.equal(c.all('conversation:delete').length, 0);
		assert.equal(c.all('conversation:deleted').length, 1);
	});

	it('of a stranger see and change nothing', async () => {
		const a = await chat.open(chat.user('owner'));
		const s = await chat.open(chat.user('stranger'));
		const id = await a.create();
		const about = { conversationId: id };
		await s.refused('NOT_FOUND', 'join:conversation', id);
		await s.refused('NOT_FOUND', 'conversation:update', { ...about, update: { title: 'x' } });
		await s.refused('NOT_FOUND', 'conversation:delete', id);
		await s.refused('NOT_FOUND', 'message:send', { ...about, content: 'x' });
		await s.refused('NOT_FOUND', 'message:list', about);
		await s.refused('NOT_FOUND', 'message:stop', about);
		await s.refused('NOT_FOUND', 'typing:start', id);
		await s.refused('NOT_FOUND', 'conversation:create', { id });
		await a.join(id);
		await a.turn(id, 'Hello');
		await s.settled();
		assert.deepEqual(s.names(), ['session:ready', 'pong']);
	});

	it('of two users share a conversation until one is taken out', async () => {
		const bob = chat.user('bob');
		const a = await chat.open(chat.user('alice'));
		const b = await chat.open(bob);
		const id = await a.create();
		await a.join(id);
		await a.ok('conversation:share', { conversationId: id, userId: bob, role: 'viewer' });
		await b.next('conversation:create', (d) => d.id === id);
		await b.join(id);
		await b.refused('FORBIDDEN', 'message:send', { conversationId: id, content: 'x' });
		await a.turn(id, 'Hello');
		await b.next('message:complete');
		assert.deepEqual(
			b.names().filter((n) => /^(message|ai):/.test(n) && n !== 'message:chunk'),
			['message:new', 'ai:typing:start', 'ai:typing:stop', 'message:complete'],
		);
		assert.equal(a.all('message:new').length, 0);
		a.emit('typing:start', id);
		await b.next('typing:start');
		await b.next('user:typing:start');
		await a.ok('conversation:unshare', { conversationId: id, userId: bob });
		await b.next('conversation:deleted');
		await b.settled();
		b.forget();
		await a.turn(id, 'Hello again');
		await b.settled();
		assert.deepEqual(b.names(), ['pong']);
	});

	it('get an answer for every event that asks for one', async () => {
		const a = await chat.open(chat.user('asks'));
		await a.refused('UNKNOWN_EVENT', 'no:such:event', {});
		for (const name of ['join:conversation', 'message:send', 'typing:start'])
			for (const argument of [null, 7, [], {}, '', { conversationId: 7 }]) {
				const ack = await a.ask(name, argument);
				assert.ok(['BAD_REQUEST', 'NOT_FOUND'].includes(ack.error.code), name);
			}
		a.emit('message:send', {});
		assert.equal((await a.next('error')).event, 'message:send');
	});
});
