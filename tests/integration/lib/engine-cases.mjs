// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What Engine.IO v4 asks of every server, whatever it carries: handshake, heartbeat, close and
// upgrade (engine.io-protocol, revision 4). Both suites run these cases, each on its own path.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { begin, get, handshake, post } from './http.mjs';
import { serverFor } from './server.mjs';
import { Socket } from './socket.mjs';
import { turn } from './util.mjs';

const INTERVAL = 300;
const TIMEOUT = 200;

// The settings of the official suites.
export function suiteServer({ engine }) {
	return serverFor(
		{ before, after },
		{
			engine,
			pingInterval: INTERVAL,
			pingTimeout: TIMEOUT,
			set: { 'engine.connect_timeout_ms': 1000 },
		},
	);
}

function assertOpen(open, upgrades) {
	assert.deepEqual(Object.keys(open).sort(), [
		'maxPayload',
		'pingInterval',
		'pingTimeout',
		'sid',
		'upgrades',
	]);
	assert.equal(typeof open.sid, 'string');
	assert.ok(open.sid.length >= 20, 'a sid of 128 bits has more characters');
	assert.deepEqual(open.upgrades, upgrades);
	assert.equal(open.pingInterval, INTERVAL);
	assert.equal(open.pingTimeout, TIMEOUT);
	assert.equal(open.maxPayload, 1000000);
}

// Opens a WebSocket session: its socket, the open packet already read.
export async function openSocket(base) {
	const socket = await Socket.open(`${base}?EIO=4&transport=websocket`);
	const packet = await socket.next('the open packet');
	assert.equal(packet[0], '0');
	socket.session = JSON.parse(packet.slice(1));
	return socket;
}

export function engineCases(holder, path) {
	const http = () => holder.server.url + path;
	const ws = () => holder.server.wsUrl + path;

	describe('handshake over polling', () => {
		it('opens a session', async () => {
			const { open } = await handshake(http());
			assertOpen(open, ['websocket']);
		});

		it('gives every session another sid', async () => {
			const sids = new Set();
			for (let i = 0; i < 20; i++) sids.add((await handshake(http())).sid);
			assert.equal(sids.size, 20);
		});

		it('refuses a bad EIO', async () => {
			for (const query of ['transport=polling', 'EIO=abc&transport=polling']) {
				const answer = await get(`${http()}?${query}`);
				assert.equal(answer.status, 400, query);
				assert.deepEqual(JSON.parse(answer.text), {
					code: 5,
					message: 'Unsupported protocol version',
				});
			}
		});

		it('refuses a bad transport', async () => {
			for (const query of ['EIO=4', 'EIO=4&transport=abc']) {
				const answer = await get(`${http()}?${query}`);
				assert.equal(answer.status, 400, query);
				assert.deepEqual(JSON.parse(answer.text), {
					code: 0,
					message: 'Transport unknown',
				});
			}
		});

		it('refuses another method', async () => {
			for (const method of ['POST', 'PUT']) {
				const answer = await begin(`${http()}?EIO=4&transport=polling`, {
					method,
					body: '',
				}).done;
				assert.equal(answer.status, 400, method);
				assert.deepEqual(JSON.parse(answer.text), {
					code: 2,
					message: 'Bad handshake method',
				});
			}
		});
	});

	describe('handshake over WebSocket', () => {
		it('opens a session', async () => {
			const socket = await openSocket(ws());
			assertOpen(socket.session, []);
			await socket.close();
		});

		it('closes on a bad EIO', async () => {
			for (const query of ['transport=websocket', 'EIO=abc&transport=websocket'])
				await new Socket(`${ws()}?${query}`).whenClosed();
		});

		it('closes on a bad transport', async () => {
			for (const query of ['EIO=4', 'EIO=4&transport=abc'])
				await new Socket(`${ws()}?${query}`).whenClosed();
		});
	});

	describe('heartbeat', () => {
		it('pings a poller, three rounds', async () => {
			const { url } = await handshake(http());
			for (let round = 0; round < 3; round++) {
				const poll = await get(url);
				assert.equal(poll.status, 200);
				assert.equal(poll.text, '2');
				const pong = await post(url, '3');
				assert.equal(pong.status, 200);
			}
		});

		it('gives a silent poller up after interval and timeout, and not later', async () => {
			const { url } = await handshake(http());
			await delay(INTERVAL + TIMEOUT); // the time is what is tested
			assert.equal((await get(url)).status, 400);
		});

		it('pings a WebSocket, three rounds', async () => {
			const socket = await openSocket(ws());
			for (let round = 0; round < 3; round++) {
				assert.equal(await socket.next('a ping'), '2');
				socket.send('3');
			}
			await socket.close();
		});

		it('closes a silent WebSocket after interval and timeout, and not earlier', async () => {
			const socket = await openSocket(ws());
			const start = performance.now();
			await socket.whenClosed();
			const lasted = performance.now() - start;
			assert.ok(lasted > INTERVAL + TIMEOUT - 50, `closed after ${lasted} ms`);
		});
	});

	describe('close', () => {
		it('ends the poll that is held and the session', async () => {
			const { url } = await handshake(http());
			const poll = begin(url);
			await poll.sent;
			await turn();
			assert.equal((await post(url, '1')).status, 200);
			const held = await poll.done;
			assert.equal(held.status, 200);
			assert.equal(held.text, '6');
			assert.equal((await get(url)).status, 400);
		});

		it('ends a WebSocket', async () => {
			const socket = await openSocket(ws());
			socket.send('1');
			await socket.whenClosed(2000);
		});
	});

	describe('upgrade', () => {
		async function probed() {
			const session = await handshake(http());
			const socket = await Socket.open(
				`${ws()}?EIO=4&transport=websocket&sid=${session.sid}`,
			);
			return { url: session.url, sid: session.sid, socket };
		}

		it('moves a polling session to a WebSocket', async () => {
			const { url, socket } = await probed();
			socket.send('2probe');
			assert.equal(await socket.next('the answer to the probe'), '3probe');
			const poll = await get(url);
			assert.equal(poll.status, 200);
			assert.equal(poll.text, '6');
			socket.send('5');
			assert.equal(await socket.next('a ping on the new transport'), '2');
			await socket.close();
		});

		it('refuses a poll of an upgraded session', async () => {
			const { url, socket } = await probed();
			socket.send('2probe');
			socket.send('5');
			assert.equal((await get(url)).status, 400);
			assert.equal(await socket.next('the answer to the probe'), '3probe');
			assert.equal(await socket.next('a ping on the new transport'), '2');
			await socket.close();
		});

		it('refuses a second WebSocket on an upgraded session', async () => {
			const { sid, socket } = await probed();
			socket.send('2probe');
			socket.send('5');
			await new Socket(
				`${ws()}?EIO=4&transport=websocket&sid=${sid}`,
			).whenClosed();
			assert.equal(await socket.next('the answer to the probe'), '3probe');
			assert.equal(await socket.next('a ping on the new transport'), '2');
			await socket.close();
		});
	});
}
