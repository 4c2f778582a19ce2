// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A thousand tabs that never read while an answer streams to them and to ten that do: the ten notice nothing, the
// memory stays within what the queues may hold, and who reads again, or was given up, ends with the whole answer.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { joined, turnOf } from './lib/answers.mjs';
import { Daemon, Database, Service, Tab, token } from './lib/chat.mjs';
import { get } from './lib/http.mjs';
import { each, event, until } from './lib/util.mjs';
import { RawSocket, TEXT } from './lib/ws.mjs';

const TARGET = '/socket.io/?EIO=4&transport=websocket';
const SLEEPERS = 1000;
const HEALTHY = 10;
const HIGH = 64 * 1024;
const PING_MS = 20000; // who does not read has at most twice this
const ROUNDS = 3;
// Some 9 KB of text. Each piece goes to the sleepers with the whole text so far: megabytes, far more than their
// sockets take.
const LONG = 'mock-1500-4';
const RATIO = 1.2;

// The service's tokens say when they were written: microseconds modulo 62^5 (tests/tools/mockai.c).
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const MODULUS = 62 ** 5;
// Of the oldest in the chunk: the time for which they are collected is part of it.
function ageUs(chunk) {
	const written = [...chunk.slice(1, 6)].reduce((n, c) => n * 62 + DIGITS.indexOf(c), 0);
	const now = Number((process.hrtime.bigint() / 1000n) % BigInt(MODULUS));
	return (now - written + MODULUS) % MODULUS;
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

describe(`${SLEEPERS} tabs that never read beside ${HEALTHY} that do`, () => {
	const user = 'owner';
	const folder = mkdtempSync(join(tmpdir(), 'slow-many-'));
	const path = join(folder, 'socket');
	const healthy = [];
	const sleepers = [];
	let database, service, daemon, id, ages;

	before(async () => {
		database = await Database.start();
		service = await Service.start();
		daemon = await Daemon.start({
			database,
			service,
			set: {
				'engine.ping_interval_ms': PING_MS,
				'engine.ping_timeout_ms': PING_MS,
				'limits.queue_low_bytes': HIGH / 4,
				'limits.queue_high_bytes': HIGH,
				'chat.max_sockets_per_user': 0,
				'chat.user_events_per_second': 0,
				'listener.local.address': `unix:${path}`,
				'listener.admin.address': '127.0.0.1:0',
				'listener.admin.admin': 'yes',
				'log.level': 'info',
			},
		});
		for (let i = 0; i < HEALTHY; i++) {
			const tab = await Tab.open(daemon, user, {
				auth: { stream: 'delta' },
				options: { transports: ['websocket'] },
			});
			tab.socket.on('message:chunk', ({ chunk }) => ages.push(ageUs(chunk)));
			healthy.push(tab);
		}
		id = await healthy[0].create();
		for (const tab of healthy) await tab.join(id);
	});
	after(async () => {
		for (const { socket } of sleepers) socket.destroy();
		await each(
			...healthy.map((tab) => () => tab.close()),
			() => daemon?.stop(),
			() => service?.kill(),
			() => database?.stop(),
		);
		rmSync(folder, { recursive: true, force: true });
	});

	async function metric(name) {
		const { text } = await get(`http://127.0.0.1:${daemon.ports.admin}/metrics`);
		return Number(new RegExp(`^parlance_${name} (\\d+)$`, 'm').exec(text)[1]);
	}

	// Joined, and then it reads no more. Over a Unix socket, which holds little.
	async function sleeper() {
		const socket = await RawSocket.open(daemon, TARGET, { connect: { path } });
		await socket.opened();
		const one = { socket, text: '' };
		socket.send(TEXT, `40{"token":"${token(user)}","stream":"full"}`);
		await hear(one, 'session:ready');
		socket.send(TEXT, `42["join:conversation","${id}"]`);
		await hear(one, 'conversation:joined');
		socket.raw.pause();
		return one;
	}

	// Reads up to the next event with one of these names: [name, data]. Pings are answered.
	async function hear({ socket }, ...names) {
		for (;;) {
			const got = await socket.frame(names.join(' or '));
			assert.equal(got?.opcode, TEXT, `waiting for ${names}`);
			const text = String(got.payload);
			if (text === '2') socket.send(TEXT, '3');
			const packet = /^42\d*(\[.*)$/s.exec(text);
			const [name, data] = packet ? JSON.parse(packet[1]) : [];
			if (names.includes(name)) return [name, data];
		}
	}

	const whole = (tab, ack) =>
		joined(turnOf(tab, ack).filter((e) => e.name === 'message:chunk'), 'delta');

	// One answer, whole in all healthy tabs; the median age of its pieces when they were heard.
	async function answer() {
		for (const tab of healthy) tab.forget();
		ages = [];
		const ack = await healthy[0].ok('message:send', {
			conversationId: id,
			content: `[[${LONG}]]`,
		});
		for (const tab of healthy) {
			const [name, { assistantMessage }] = await tab.closing(ack, 60000);
			assert.equal(name, 'message:complete');
			assert.ok(whole(tab, ack) === assistantMessage.content, 'the whole answer');
		}
		assert.ok(ages.length > HEALTHY * 50, `${ages.length} pieces`);
		return median(ages);
	}

	it('does not slow these down, and costs what its queues may hold', async (t) => {
		const alone = [];
		for (let i = 0; i < ROUNDS; i++) alone.push(await answer());
		for (let i = 0; i < SLEEPERS; i++) sleepers.push(await sleeper());
		assert.equal(await metric('sessions'), SLEEPERS + HEALTHY);
		const before = daemon.residentKib();
		const beside = [];
		for (let i = 0; i < ROUNDS; i++) beside.push(await answer());
		const grown = daemon.residentKib() - before;
		t.diagnostic(`median age of a piece: alone ${alone} us, beside ${SLEEPERS} sleepers ${beside} us`);
		const queued = await metric('queued_bytes');
		t.diagnostic(`${queued} bytes queued, ${grown} KiB more memory`);
		assert.equal(await metric('sessions'), SLEEPERS + HEALTHY, 'all are still there');
		assert.ok(queued > SLEEPERS * HIGH * 0.5, 'they do not read');
		// Above the mark there is what a queue had to take yet: the ends of three answers, and of a frame that was begun.
		const bound = SLEEPERS * (HIGH + ROUNDS * 2 * 16 * 1024);
		assert.ok(queued < bound, `${queued} bytes queued, bound ${bound}`);
		assert.ok(grown * 1024 < bound, `${grown} KiB more, bound ${bound} bytes`);
		// Of each the best: what else the machine does only adds.
		const [was, is] = [Math.min(...alone), Math.min(...beside)];
		assert.ok(is <= was * RATIO, `${was} us became ${is} us`);
	});

	it('one that reads again gets a snapshot, and every piece from there on', async () => {
		for (const tab of healthy) tab.forget();
		const ack = await healthy[0].ok('message:send', {
			conversationId: id,
			content: `[[${LONG}]]`,
		});
		await healthy[0].next('message:chunk', (c) => c.streamId === ack.streamId);
		await Promise.all(
			sleepers.slice(0, 5).map(async (one) => {
				one.socket.raw.resume();
				const mine = async (...names) => {
					for (;;) {
						const heard = await hear(one, ...names);
						if (heard[1].streamId === ack.streamId) return heard;
					}
				};
				let [name, data] = await mine('message:snapshot');
				let { content, seq } = data;
				for (;;) {
					[name, data] = await mine('message:chunk', 'message:snapshot', 'message:complete');
					if (name === 'message:complete') break;
					if (name === 'message:chunk') {
						assert.equal(data.seq, seq + 1);
						assert.ok(data.content === content + data.chunk, 'the text goes on');
					}
					({ content, seq } = data);
				}
				assert.ok(data.assistantMessage.content === content, 'the whole answer');
			}),
		);
		const [, { assistantMessage }] = await healthy[0].closing(ack);
		assert.ok(whole(healthy[0], ack) === assistantMessage.content);
	});

	it('one that was given up comes back to all it missed', async () => {
		const options = { transports: ['websocket'], reconnection: true, reconnectionDelay: 50 };
		const tab = await Tab.open(daemon, user, { auth: { stream: 'delta' }, options });
		healthy.push(tab);
		await tab.join(id);
		await tab.turn(id, '[[mock-3-1]]');
		const gone = event(tab.socket, 'disconnect', 4 * PING_MS);
		const back = event(tab.socket, 'connect', 4 * PING_MS);
		tab.forget();
		tab.socket.io.engine.transport.ws._socket.pause();
		const { ack, data } = await healthy[0].turn(id, '[[mock-30-10]]');
		await gone;
		await back;
		assert.equal(tab.socket.recovered, true);
		const [, mine] = await tab.closing(ack);
		assert.deepEqual(mine, data);
		await tab.settled();
		for (const name of ['message:new', 'message:complete'])
			assert.equal(turnOf(tab, ack).filter((e) => e.name === name).length, 1, name);
	});

	it('the dead are given up, and leave no memory behind', async () => {
		const left = () => metric('sessions').then((n) => n <= healthy.length + 5);
		await until(left, 'the end of those that do not answer pings', 3 * PING_MS);
		await until(async () => (await metric('queued_bytes')) < HIGH, 'empty queues');
		for (const tab of healthy.slice(0, HEALTHY)) await tab.settled();
	});
});
