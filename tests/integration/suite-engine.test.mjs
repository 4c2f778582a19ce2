// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Engine.IO v4 of the bare echo server on /engine.io/: what engine.io-protocol asks of a server.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { engineCases, openSocket, suiteServer } from './lib/engine-cases.mjs';
import { begin, get, handshake, post } from './lib/http.mjs';
import { Socket } from './lib/socket.mjs';
import { turn, until } from './lib/util.mjs';

const holder = suiteServer({ engine: true });
const PATH = '/engine.io/';
const http = () => holder.server.url + PATH;
const ws = () => holder.server.wsUrl + PATH;

engineCases(holder, PATH);

describe('messages over polling', () => {
	it('echoes one message', async () => {
		const { url } = await handshake(http());
		const answer = await post(url, '4hello');
		assert.equal(answer.status, 200);
		assert.equal(answer.text, 'ok');
		const poll = await get(url);
		assert.equal(poll.status, 200);
		assert.equal(poll.text, '4hello');
	});

	it('echoes several messages of one payload in one poll', async () => {
		const { url } = await handshake(http());
		const payload = '4test1\x1e4test2\x1e4test3';
		assert.equal((await post(url, payload)).text, 'ok');
		assert.equal((await get(url)).text, payload);
	});

	it('echoes text and binary', async () => {
		const { url } = await handshake(http());
		const payload = '4hello\x1ebAQIDBA==';
		assert.equal((await post(url, payload)).text, 'ok');
		assert.equal((await get(url)).text, payload);
	});

	it('echoes to a poll that is already held', async () => {
		const { url } = await handshake(http());
		const poll = begin(url);
		await poll.sent;
		assert.equal((await post(url, '4late')).text, 'ok');
		assert.equal((await poll.done).text, '4late');
	});

	it('closes on a packet of no known type', async () => {
		const { url } = await handshake(http());
		const answer = await post(url, 'abc');
		assert.ok([200, 400].includes(answer.status), `status ${answer.status}`);
		assert.equal((await get(url)).status, 400);
	});

	it('closes on a second poll while one is held', async () => {
		const { url } = await handshake(http());
		const first = begin(url);
		await first.sent;
		await turn();
		const second = await get(url);
		assert.ok([400, 500].includes(second.status), `status ${second.status}`);
		const held = await first.done;
		assert.equal(held.status, 200);
		assert.equal(held.text, '1');
		assert.equal((await get(url)).status, 400);
	});

	it('closes when the client drops the poll', async () => {
		const { url } = await handshake(http());
		const poll = begin(url);
		await poll.sent;
		await turn();
		poll.request.destroy();
		await assert.rejects(poll.done);
		await until(
			async () => (await get(url)).status === 400,
			'the close of the session',
			250,
		);
	});
});

describe('messages over WebSocket', () => {
	it('echoes text as text', async () => {
		const socket = await openSocket(ws());
		socket.send('4hello');
		assert.equal(await socket.nextData('the echo'), '4hello');
		await socket.close();
	});

	it('echoes binary as binary', async () => {
		const socket = await openSocket(ws());
		socket.send(Buffer.from([1, 2, 3, 4]));
		assert.deepEqual(await socket.nextData('the echo'), Buffer.from([1, 2, 3, 4]));
		await socket.close();
	});

	it('closes on a packet of no known type', async () => {
		const socket = await openSocket(ws());
		socket.send('abc');
		await socket.whenClosed(2000);
	});
});

describe('messages across the upgrade', () => {
	it('echoes on the new transport', async () => {
		const { url, sid } = await handshake(http());
		const socket = await Socket.open(`${ws()}?EIO=4&transport=websocket&sid=${sid}`);
		socket.send('2probe');
		assert.equal(await socket.next('the answer to the probe'), '3probe');
		assert.equal((await get(url)).text, '6');
		socket.send('5');
		socket.send('4hello');
		assert.equal(await socket.nextData('the echo'), '4hello');
		await socket.close();
	});

	it('delivers what polling had not fetched, first and in order', async () => {
		const { url, sid } = await handshake(http());
		const socket = await Socket.open(`${ws()}?EIO=4&transport=websocket&sid=${sid}`);
		socket.send('2probe');
		assert.equal(await socket.next('the answer to the probe'), '3probe');
		assert.equal((await get(url)).text, '6');
		assert.equal((await post(url, '4one\x1ebAQI=\x1e4two')).text, 'ok');
		socket.send('5');
		socket.send('4three');
		assert.equal(await socket.nextData('the first'), '4one');
		assert.deepEqual(await socket.nextData('the second'), Buffer.from([1, 2]));
		assert.equal(await socket.nextData('the third'), '4two');
		assert.equal(await socket.nextData('the fourth'), '4three');
		await socket.close();
	});
});
