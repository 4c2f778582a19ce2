// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The echo server as socket.io-client sees it.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { io } from 'socket.io-client';
import { Server, freePort, serverFor } from './lib/server.mjs';
import { event, until, within } from './lib/util.mjs';

const LARGE = 900000;
// base64 makes 4 bytes of 3, and a POST may have 1,000,000
const LARGE_BINARY_POST = 700000;

const TRANSPORTS = {
	'websocket only': { transports: ['websocket'] },
	'polling only': { transports: ['polling'] },
	'polling, then upgrade': { transports: ['polling', 'websocket'] },
};

const holder = serverFor({ before, after });

// A client that the test's end disconnects. `auth` of the server is caught from the first packet on.
function client(t, { nsp = '/', server = holder.server, ...options } = {}) {
	const socket = io(server.url + nsp, {
		forceNew: true,
		reconnection: false,
		timeout: 10000,
		...options,
	});
	socket.greeting = event(socket, 'auth');
	socket.greeting.catch(() => {}); // not every client gets that far
	t.after(() => socket.disconnect());
	return socket;
}

async function connected(t, options) {
	const socket = client(t, options);
	const refused = new Promise((_, reject) => {
		socket.once('connect_error', reject);
	});
	await Promise.race([event(socket, 'connect'), refused]);
	return socket;
}

function call(socket, ...args) {
	return socket.timeout(10000).emitWithAck(...args);
}

// One argument comes back as it is, several as a list.
async function echoed(socket, ...args) {
	const back = event(socket, 'message-back');
	socket.emit('message', ...args);
	assert.deepEqual(await back, args);
	assert.deepEqual(await call(socket, 'message-with-ack', ...args), args[0]);
}

function transportOf(socket) {
	return socket.io.engine.transport.name;
}

async function upgraded(socket) {
	if (transportOf(socket) !== 'websocket') await event(socket.io.engine, 'upgrade');
}

for (const [name, options] of Object.entries(TRANSPORTS)) {
	describe(name, () => {
		const last = options.transports.at(-1);

		async function ready(t, more) {
			const socket = await connected(t, { ...options, ...more });
			if (last === 'websocket') await upgraded(socket);
			assert.equal(transportOf(socket), last);
			return socket;
		}

		it('connects, is greeted, disconnects', async (t) => {
			const socket = await ready(t, { auth: { token: 'x' } });
			assert.deepEqual(await socket.greeting, [{ token: 'x' }]);
			assert.notEqual(socket.id, socket.io.engine.id);
			assert.ok(!socket.recovered);
			const gone = event(socket, 'disconnect');
			socket.disconnect();
			assert.equal((await gone)[0], 'io client disconnect');
		});

		it('echoes arguments of every kind', async (t) => {
			const socket = await ready(t);
			await echoed(
				socket,
				1,
				'two',
				{ three: [true, null, 4.5] },
				[],
				{},
				'',
				-0.25,
				1e21,
			);
			await echoed(socket, null);
			assert.equal(await call(socket, 'echo', 'once'), 'once');
			const back = event(socket, 'echo');
			socket.emit('echo', 'a', 'b');
			assert.deepEqual(await back, ['a', 'b']);
		});

		it('echoes unicode', async (t) => {
			const socket = await ready(t);
			await echoed(
				socket,
				'żółć 漢字 🙂 👩‍👩‍👧 \u202e \u0000 \u001e \u2028 \ud7ff \uffff "\\/\b',
			);
			await echoed(socket, '\u001e'.repeat(50), { 'ключ 🔑': '🙂'.repeat(5000) });
		});

		it('echoes binary', async (t) => {
			const socket = await ready(t);
			const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
			await echoed(socket, bytes);
			await echoed(
				socket,
				{ a: bytes, b: [Buffer.from('x'), { c: Buffer.alloc(3) }] },
				'text',
				Buffer.alloc(0),
			);
			await echoed(
				socket,
				...Array.from({ length: 10 }, (_, i) => Buffer.alloc(i, i)),
			);
			const view = await call(socket, 'echo', new Uint8Array([9, 8, 7]).buffer);
			assert.deepEqual(view, Buffer.from([9, 8, 7]));
		});

		it('echoes 900 kB', async (t) => {
			const socket = await ready(t);
			await echoed(socket, 'x'.repeat(LARGE));
			await echoed(socket, '🙂'.repeat(LARGE / 4 - 20));
			const size = last === 'polling' ? LARGE_BINARY_POST : LARGE;
			await echoed(socket, Buffer.alloc(size, 0xc3));
		});

		it('keeps the order of many messages of all kinds', async (t) => {
			const socket = await ready(t);
			const seen = [];
			socket.on('message-back', (n, data) => {
				if (n % 3 === 0) assert.deepEqual(data, Buffer.from([n & 255]));
				seen.push(n);
			});
			for (let n = 0; n < 500; n++)
				socket.emit(
					'message',
					n,
					n % 3 === 0 ? Buffer.from([n & 255]) : 'text',
				);
			await until(() => seen.length === 500, '500 messages');
			assert.deepEqual(
				seen,
				seen.map((_, i) => i),
			);
		});

		it('times an ack out in both directions', async (t) => {
			const socket = await ready(t);
			await assert.rejects(
				socket.timeout(150).emitWithAck('nobody-answers-this'),
				/timed out/,
			);
			assert.equal(await call(socket, 'echo', 'after'), 'after');

			socket.once('question', (value, ack) => ack({ answered: value }));
			const answer = event(socket, 'answer');
			socket.emit('ask', 42);
			assert.deepEqual((await answer).flat(), [{ answered: 42 }]);

			const late = event(socket, 'answer');
			const question = event(socket, 'question');
			socket.emit('ask', 'and nothing');
			const [, ack] = await question;
			assert.deepEqual((await late).flat(), ['timeout']);
			ack('too late'); // must be ignored
			assert.equal(await call(socket, 'echo', 'after'), 'after');
		});

		it('answers binary in an ack to the server', async (t) => {
			const socket = await ready(t);
			socket.once('question', (value, ack) => ack(Buffer.from(value)));
			const answer = event(socket, 'answer');
			socket.emit('ask', [1, 2, 3]);
			assert.deepEqual((await answer).flat(), [Buffer.from([1, 2, 3])]);
		});

		it('serves several namespaces over one connection', async (t) => {
			const main = client(t, {
				...options,
				forceNew: false,
				multiplex: true,
				auth: { n: 1 },
			});
			const custom = main.io.socket('/custom', { auth: { n: 2 } });
			t.after(() => custom.disconnect());
			const greeting = event(custom, 'auth');
			await Promise.all([event(main, 'connect'), event(custom, 'connect')]);
			assert.equal(main.io, custom.io);
			assert.notEqual(main.id, custom.id);
			assert.deepEqual(await main.greeting, [{ n: 1 }]);
			assert.deepEqual(await greeting, [{ n: 2 }]);
			custom.disconnect();
			await echoed(main, 'still here');
			custom.connect();
			await event(custom, 'connect');
			await echoed(main, 'and still');
			main.io.engine.close();
		});

		it('is told of an unknown namespace', async (t) => {
			const main = await ready(t);
			const unknown = main.io.socket('/unknown');
			const [error] = await event(unknown, 'connect_error');
			assert.equal(error.message, 'Invalid namespace');
			await echoed(main, 'still here');
			unknown.disconnect();
		});

		it('is refused with a reason and data', async (t) => {
			const socket = client(t, { ...options, auth: { refuse: 'not today' } });
			const [error] = await event(socket, 'connect_error');
			assert.equal(error.message, 'not today');
			assert.deepEqual(error.data, { code: 'REFUSED' });
			socket.auth = {};
			socket.connect();
			await event(socket, 'connect');
			await echoed(socket, 'admitted');
		});

		it('is admitted later, others meanwhile', async (t) => {
			const slow = client(t, { ...options, auth: { delay: 600 } });
			const custom = slow.io.socket('/custom', { auth: {} });
			t.after(() => custom.disconnect());
			slow.emit('message', 'queued by the client');
			const queued = event(slow, 'message-back');
			await event(custom, 'connect');
			assert.equal(slow.connected, false);
			await event(slow, 'connect');
			assert.deepEqual(await slow.greeting, [{ delay: 600 }]);
			assert.deepEqual(await queued, ['queued by the client']);
		});

		it('may leave before it is admitted', async (t) => {
			const left = client(t, { ...options, auth: { delay: 300 } });
			await event(left.io, 'open');
			left.disconnect();
			const other = await ready(t, { auth: { delay: 350 } });
			await echoed(other, 'not hurt');
		});

		it('is disconnected by the server', async (t) => {
			const socket = await ready(t, { reconnection: true });
			const gone = event(socket, 'disconnect');
			socket.emit('kick');
			assert.equal((await gone)[0], 'io server disconnect');
			assert.equal(socket.active, false);
			socket.connect();
			await event(socket, 'connect');
			await echoed(socket, 'back');
		});

		it('hears the last words before the server closes the transport, while it is connected', async (t) => {
			const socket = await ready(t);
			const heard = [];
			socket.onAny((name, ...args) => heard.push([name, ...args, socket.connected]));
			const gone = event(socket, 'disconnect');
			for (let i = 0; i < 3; i++) socket.emit('message', i);
			socket.emit('kick', true);
			await gone;
			assert.deepEqual(
				heard,
				[0, 1, 2].map((i) => ['message-back', i, true]),
			);
		});

		it('reconnects after the server closed the transport', async (t) => {
			const socket = await ready(t, {
				reconnection: true,
				reconnectionDelay: 20,
			});
			const first = socket.id;
			const gone = event(socket, 'disconnect');
			const back = event(socket, 'connect');
			socket.emit('kick', true);
			// "41" may come before the end of the transport
			assert.match((await gone)[0], /^(transport close|io server disconnect)$/);
			if (!socket.active) socket.connect();
			await back;
			assert.notEqual(socket.id, first);
			await echoed(socket, 'back');
		});

		it('reconnects to a server that was restarted on its port, and loses no retried message', async (t) => {
			const old = await Server.start({ port: await freePort() });
			t.after(() => old.stop());
			const { port } = old;
			const socket = await connected(t, {
				...options,
				server: old,
				reconnection: true,
				reconnectionDelay: 50,
				reconnectionDelayMax: 100,
				retries: 100,
				ackTimeout: 500,
			});
			assert.equal(await socket.emitWithAck('echo', 'before'), 'before');
			const gone = event(socket, 'disconnect');
			await old.kill();
			await gone;
			const answers = Promise.all(
				[1, 2, 3].map((n) => socket.emitWithAck('echo', n)),
			);
			const fresh = await Server.start({ port });
			t.after(() => fresh.stop());
			assert.deepEqual(
				await within(answers, 10000, 'the acks after the restart'),
				[1, 2, 3],
			);
			await until(() => socket.connected, 'the reconnection');
			socket.disconnect();
		});

		it('is told when the server stops', async (t) => {
			const server = await Server.start();
			t.after(() => server.stop());
			const socket = await connected(t, { ...options, server });
			const gone = event(socket, 'disconnect');
			await server.stop();
			assert.match(
				(await gone)[0],
				/^transport (close|error)$|^io server disconnect$/,
			);
		});

		it('retries until there is an ack, in order', async (t) => {
			const socket = await ready(t, { retries: 3, ackTimeout: 200 });
			const start = performance.now();
			const error = await new Promise((resolve) => {
				socket.emit('nobody-answers-this', resolve);
			});
			assert.ok(error instanceof Error);
			assert.ok(performance.now() - start >= 700, 'one try and three more');
			const values = [1, 2, 3, Buffer.from([4])];
			const answers = values.map(
				(value) =>
					new Promise((resolve, reject) => {
						socket.emit('echo', value, (err, back) =>
							err ? reject(err) : resolve(back),
						);
					}),
			);
			assert.deepEqual(await Promise.all(answers), values);
		});

		it('volatile: sent when connected, dropped when not', async (t) => {
			const socket = client(t, options);
			const seen = [];
			socket.on('message-back', (value) => seen.push(value));
			socket.volatile.emit('message', 'dropped');
			await event(socket, 'connect');
			if (last === 'websocket') await upgraded(socket);
			await until(() => {
				socket.volatile.emit('message', 'kept');
				return seen.includes('kept');
			}, 'a volatile message');
			assert.ok(!seen.includes('dropped'));
		});

		it('speaks in rooms', async (t) => {
			const [speaker, member, both, outsider] = await Promise.all(
				[1, 2, 3, 4].map(() => ready(t)),
			);
			const heard = new Map(
				[speaker, member, both, outsider].map((socket) => [socket, []]),
			);
			for (const [socket, list] of heard)
				socket.on('said', (...args) => list.push(args));
			for (const [socket, room] of [
				[speaker, 'red'],
				[member, 'red'],
				[both, 'red'],
				[both, 'blue'],
			])
				assert.deepEqual(await call(socket, 'join', room), { ok: true });
			assert.deepEqual(await call(speaker, 'say', 'red', 'one', 1), { ok: true });
			assert.deepEqual(await call(speaker, 'say', 'red', Buffer.from('two')), {
				ok: true,
			});
			assert.deepEqual(await call(outsider, 'say', 'blue', 'three'), {
				ok: true,
			});
			assert.deepEqual(await call(speaker, 'say', 'nowhere', 'four'), {
				ok: true,
			});
			assert.deepEqual(await call(member, 'leave', 'red'), { ok: true });
			assert.deepEqual(await call(speaker, 'say', 'red', 'five'), { ok: true });
			assert.deepEqual(await call(speaker, 'leave', 'red'), { ok: true });
			assert.deepEqual(await call(speaker, 'say', 'red', 'six'), { ok: true });
			// an own echo comes after all that was said to the client before
			await Promise.all(
				[...heard.keys()].map((socket) => call(socket, 'echo', 1)),
			);
			const two = Buffer.from('two');
			assert.deepEqual(heard.get(speaker), []);
			assert.deepEqual(heard.get(outsider), []);
			assert.deepEqual(heard.get(member), [['one', 1], [two]]);
			assert.deepEqual(heard.get(both), [
				['one', 1],
				[two],
				['three'],
				['five'],
				['six'],
			]);
		});

		it('forgets the rooms of a client that left', async (t) => {
			const [speaker, leaver] = await Promise.all([ready(t), ready(t)]);
			await call(leaver, 'join', 'gone');
			leaver.disconnect();
			const [again] = await Promise.all([
				ready(t),
				call(speaker, 'say', 'gone', 'x'),
			]);
			const said = [];
			again.on('said', (...args) => said.push(args));
			await call(speaker, 'say', 'gone', 'y');
			await call(again, 'echo', 1);
			assert.deepEqual(said, []);
		});
	});
}

describe('the upgrade', () => {
	it('loses and reorders nothing of what flows both ways meanwhile', async (t) => {
		for (let round = 0; round < 15; round++) {
			const socket = client(t, { transports: ['polling', 'websocket'] });
			const seen = [];
			socket.on('message-back', (n, data) =>
				seen.push(Buffer.isBuffer(data) ? n : -n),
			);
			let sent = 0;
			let flowing = true;
			const flow = () => {
				for (let i = 0; i < 3; i++, sent++)
					socket.emit('message', sent, Buffer.from([sent & 255]));
				if (flowing) setImmediate(flow);
			};
			socket.once('connect', flow);
			await event(socket, 'connect');
			await upgraded(socket);
			const atUpgrade = sent;
			await until(
				() => sent > atUpgrade + 100,
				'more messages on the new transport',
			);
			flowing = false;
			await until(() => seen.length >= sent, `${sent} messages`);
			assert.deepEqual(
				seen,
				Array.from({ length: sent }, (_, n) => n),
			);
			assert.equal(transportOf(socket), 'websocket');
			socket.disconnect();
		}
	});

	it('is not offered to a client that asked for WebSocket at once', async (t) => {
		const socket = await connected(t, { transports: ['websocket'] });
		assert.equal(transportOf(socket), 'websocket');
	});

	it('is missed by nobody: many clients upgrade at once', async (t) => {
		const sockets = await Promise.all(
			Array.from({ length: 50 }, () =>
				connected(t, { transports: ['polling', 'websocket'] }),
			),
		);
		await Promise.all(sockets.map((socket, n) => call(socket, 'echo', n)));
		await Promise.all(sockets.map(upgraded));
		const values = await Promise.all(
			sockets.map((socket, n) => call(socket, 'echo', n)),
		);
		assert.deepEqual(
			values,
			sockets.map((_, n) => n),
		);
	});
});

describe('a few hundred clients', () => {
	it('connect at once, speak, hear each other and leave', async (t) => {
		const kinds = Object.values(TRANSPORTS);
		const sockets = await Promise.all(
			Array.from({ length: 300 }, (_, i) =>
				connected(t, kinds[i % 5 === 0 ? 1 : i % 5 === 1 ? 2 : 0]),
			),
		);
		assert.equal(new Set(sockets.map((socket) => socket.id)).size, sockets.length);
		const heard = sockets.map(() => 0);
		sockets.forEach((socket, i) => socket.on('said', () => heard[i]++));
		await Promise.all(sockets.map((socket) => call(socket, 'join', 'all')));
		for (let n = 0; n < 10; n++) await call(sockets[n], 'say', 'all', n);
		await until(
			() => heard.every((count, i) => count >= (i < 10 ? 9 : 10)),
			'what was said',
		);
		await Promise.all(sockets.map((socket) => call(socket, 'echo', 1)));
		heard.forEach((count, i) => assert.equal(count, i < 10 ? 9 : 10));
		sockets.forEach((socket) => socket.disconnect());
		await holder.server.becomesIdle();
		await echoed(await connected(t), 'after them all');
	});
});

describe('limits of attachments', () => {
	const limited = serverFor(
		{ before, after },
		{
			set: { 'socket.max_attachments': 3, 'socket.max_attachment_bytes': 1000 },
		},
	);
	const options = (transports) => ({ server: limited.server, transports });

	for (const transport of ['websocket', 'polling']) {
		it(`as many and as large as allowed: ${transport}`, async (t) => {
			const socket = await connected(t, options([transport]));
			await echoed(
				socket,
				Buffer.alloc(300, 1),
				Buffer.alloc(300, 2),
				Buffer.alloc(300, 3),
			);
			await echoed(socket, Buffer.alloc(1000, 1));
		});

		it(`one too many closes: ${transport}`, async (t) => {
			const socket = await connected(t, options([transport]));
			const gone = event(socket, 'disconnect');
			socket.emit('message', ...Array.from({ length: 4 }, () => Buffer.alloc(1)));
			assert.match((await gone)[0], /^transport/);
		});

		it(`one byte too many closes: ${transport}`, async (t) => {
			const socket = await connected(t, options([transport]));
			const gone = event(socket, 'disconnect');
			socket.emit('message', Buffer.alloc(1001));
			assert.match((await gone)[0], /^transport/);
		});
	}
});
