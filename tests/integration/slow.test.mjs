// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Clients that do not read. They must cost nobody else anything: neither time nor, beyond the
// limits of their queues, memory. How much the kernel takes before the server has to queue is the
// kernel's: over TCP up to some megabytes, over a Unix socket some hundred kilobytes.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import tls from 'node:tls';
import { makeCertificate } from './lib/cert.mjs';
import { get, handshake, post } from './lib/http.mjs';
import { Raw, request, upgradeRequest } from './lib/raw.mjs';
import { FRUGAL, Server, freePort } from './lib/server.mjs';
import { Socket } from './lib/socket.mjs';
import { event, until } from './lib/util.mjs';
import { CLOSE, RawSocket, TEXT, frame } from './lib/ws.mjs';

const PATH = '/socket.io/';
const TARGET = `${PATH}?EIO=4&transport=websocket`;
const KB = 1000;
const MB = 1000 * KB;
const GOING_AWAY = 1001;
const TOO_SLOW = 1008;

const LIMITS = {
	'limits.queue_low_bytes': 64 * 1024,
	'limits.queue_high_bytes': 256 * 1024,
	'limits.queue_soft_bytes': 512 * 1024,
	'limits.queue_hard_bytes': 1024 * 1024,
};

let folder;
let certificate;
let files = 0;
let server;

before(() => {
	folder = mkdtempSync(join(tmpdir(), 'slow-'));
	certificate = makeCertificate(folder);
});
after(() => rmSync(folder, { recursive: true, force: true }));

// Listens on TCP, TLS, and a Unix socket: server.ways says how a client gets there. No pings unless
// asked for: who does not read does not answer them.
async function start(options = {}) {
	const path = join(folder, `${++files}.sock`);
	const port = await freePort();
	const { cert, key, ca } = certificate;
	const started = await Server.start({
		pingInterval: 600000,
		env: FRUGAL,
		...options,
		port: null,
		set: {
			'listener.address': '127.0.0.1:0',
			'listener.local.address': `unix:${path}`,
			'listener.secure.address': `127.0.0.1:${port}`,
			'listener.secure.tls_cert': cert,
			'listener.secure.tls_key': key,
			...LIMITS,
			...options.set,
		},
	});
	started.ways = { TCP: {}, Unix: { path }, TLS: { host: '127.0.0.1', port, ca } };
	return started;
}

function serverOf(options) {
	before(async () => {
		server = await start(options);
	});
	afterEach(() => healthy());
	after(() => server?.stop());
}

// The server runs, serves a new client, and is idle.
async function healthy() {
	assert.ok(server.running, `the server is gone:\n${server.stderr.slice(-8000)}`);
	const socket = await member();
	socket.send('421["echo","fine"]');
	assert.equal(await socket.nextData(), '431["fine"]');
	socket.terminate();
	await server.becomesIdle();
}

// A client that reads. The room is joined when one is given.
async function member(room) {
	const socket = await Socket.open(server.wsUrl + TARGET);
	assert.equal((await socket.next())[0], '0');
	socket.send('40');
	assert.match(await socket.nextData(), /^40\{/);
	assert.equal(await socket.nextData(), '42["auth",{}]');
	if (room) {
		socket.send(`420["join","${room}"]`);
		assert.equal(await socket.nextData(), '430[{"ok":true}]');
	}
	return socket;
}

async function openSecure(connect) {
	const secure = tls.connect(connect);
	await event(secure, 'secureConnect');
	secure.unref();
	const socket = new RawSocket(new Raw(secure));
	socket.raw.write(upgradeRequest(TARGET));
	await socket.accepted();
	return socket;
}

// A client that does not read any more; its sid.
async function sleeper(room, over = 'TCP') {
	const connect = server.ways[over];
	const socket =
		over === 'TLS'
			? await openSecure(connect)
			: await RawSocket.open(server, TARGET, { connect });
	socket.sid = (await socket.opened()).sid;
	for (const [packet, answers] of [
		['40', [/^40\{/, /^42\["auth",\{\}\]$/]],
		[`420["join","${room}"]`, [/^430\[\{"ok":true\}\]$/]],
	]) {
		socket.send(TEXT, packet);
		for (const answer of answers)
			assert.match(String((await socket.frame()).payload), answer);
	}
	socket.raw.pause();
	return socket;
}

// Whether the session of a WebSocket is over. A poll on it is refused either way.
async function gone(sid) {
	const answer = await get(`${server.url}${PATH}?EIO=4&transport=polling&sid=${sid}`);
	assert.equal(answer.status, 400);
	const { code } = JSON.parse(answer.text);
	assert.ok(code === 1 || code === 3, answer.text); // unknown sid, or a bad request
	return code === 1;
}

const filler = new Map();

function text(size) {
	if (!filler.has(size)) filler.set(size, 'x'.repeat(size));
	return filler.get(size);
}

const said = (n, size) => `42["said",${n},"${text(size)}"]`;

// The talker says messages from..to-1; the readers have them, in order, before it goes on with the
// next `batch`: who reads is never slow.
async function talk(room, talker, readers, { from = 0, to, size, batch = 8, verb = 'say' }) {
	for (let n = from; n < to; ) {
		const end = Math.min(to, n + batch);
		for (let i = n; i < end; i++)
			talker.send(`42["${verb}","${room}",${i},"${text(size)}"]`);
		for (const reader of readers) {
			for (let i = n; i < end; i++) {
				const got = await reader.nextData(`message ${i}`);
				assert.ok(got === said(i, size), `message ${i}: ${got?.slice(0, 40)}`);
			}
		}
		n = end;
	}
}

// How many KiB the process grew, at most, while the work was done.
async function growth(work) {
	const before = server.residentKib();
	let most = before;
	const timer = setInterval(() => {
		most = Math.max(most, server.residentKib());
	}, 20);
	try {
		await work();
	} finally {
		clearInterval(timer);
	}
	return Math.max(most, server.residentKib()) - before;
}

/*
 * All that a slow client was sent: messages of that size from 0 on, whole but for the last, then
 * perhaps a Close frame. { messages, cut, code }.
 */
function dissect(bytes, size) {
	let at = 0;
	for (let messages = 0; ; messages++) {
		const want = frame(TEXT, said(messages, size), { mask: false });
		const got = bytes.subarray(at, at + want.length);
		if (got.length === 0) return { messages, cut: false };
		if (got[0] === (0x80 | CLOSE) && got[1] === 2 && got.length === 4)
			return { messages, cut: false, code: got.readUInt16BE(2) };
		assert.ok(
			got.equals(want.subarray(0, got.length)),
			`message ${messages} of ${bytes.length} bytes: not what was said`,
		);
		if (got.length < want.length) return { messages, cut: true };
		at += want.length;
	}
}

// Reads what was left unread, to the end.
async function awaken(socket, size) {
	socket.raw.resume();
	const bytes = await socket.raw.rest();
	assert.notEqual(socket.raw.over, 'ECONNRESET', 'the end is a reset');
	socket.destroy();
	return dissect(bytes, size);
}

describe('one member of a room that never reads', () => {
	serverOf();

	it('is disconnected at the hard limit, the others get all of 50 MB', async () => {
		const talker = await member();
		const readers = [];
		for (let i = 0; i < 3; i++) readers.push(await member('r'));
		const slow = await sleeper('r');
		const begun = performance.now();
		const grown = await growth(() =>
			talk('r', talker, readers, { to: 500, size: 100 * KB }),
		);
		const lasted = performance.now() - begun;
		assert.ok(await gone(slow.sid), 'the slow one is still there');
		assert.ok(lasted < 20000, `it took ${lasted} ms`);
		assert.ok(grown < 16 * 1024, `${grown} KiB more`);

		const { messages, cut, code } = await awaken(slow, 100 * KB);
		assert.ok(messages < 400, `${messages} were sent to the slow one`);
		assert.equal(code, cut ? undefined : TOO_SLOW);
		for (const socket of [talker, ...readers]) await socket.close();
	});

	it('loses nothing while it stays below', async () => {
		const talker = await member();
		const slow = await sleeper('s', 'Unix');
		await talk('s', talker, [await member('s')], { to: 7, size: 100 * KB });
		assert.ok(!(await gone(slow.sid)), 'it was disconnected');
		await server.becomesIdle();
		slow.raw.resume();
		for (let n = 0; n < 7; n++) await slow.message(TEXT, said(n, 100 * KB));
		slow.send(TEXT, '421["echo","awake"]');
		await slow.message(TEXT, '431["awake"]');
		slow.destroy();
	});
});

describe('the soft limit', () => {
	const SOFT_S = 1;
	const SIZE = 100 * KB;

	serverOf({
		set: { 'limits.queue_soft_s': SOFT_S, 'limits.queue_hard_bytes': 512 * 1024 * 1024 },
	});

	// In a room with a slow one for whom 2 MB wait.
	async function setting(room) {
		const slow = await sleeper(room, 'Unix');
		const talker = await member();
		const reader = await member(room);
		const begun = performance.now();
		await talk(room, talker, [reader], { to: 20, size: SIZE });
		assert.ok(!(await gone(slow.sid)), 'it is over at once');
		return { slow, talker, reader, begun };
	}

	async function ends({ slow, talker, reader, begun }, say) {
		await until(async () => {
			await say?.();
			return gone(slow.sid);
		}, 'the end of the slow session');
		const lasted = performance.now() - begun;
		assert.ok(lasted > SOFT_S * 1000 - 100, `too early: ${lasted} ms`);
		assert.ok(lasted < SOFT_S * 1000 + 3000, `too late: ${lasted} ms`);
		const { messages, cut, code } = await awaken(slow, SIZE);
		assert.ok(messages < 20, `${messages} were sent`);
		assert.equal(code, cut ? undefined : TOO_SLOW);
		for (const socket of [talker, reader]) await socket.close();
	}

	it('ends a session that stays above it while more comes', async () => {
		const given = await setting('trickle');
		let n = 20;
		await ends(given, () =>
			talk('trickle', given.talker, [given.reader], { from: n, to: ++n, size: SIZE }),
		);
	});

	it('ends a session that stays above it when nothing more comes', async () => {
		await ends(await setting('silence'));
	});

	it('leaves a session alone that was above it for a shorter time', async () => {
		const { slow, talker, reader } = await setting('short');
		slow.raw.resume();
		for (let n = 0; n < 20; n++) await slow.message(TEXT, said(n, SIZE));
		const end = performance.now() + SOFT_S * 1500;
		let n = 20;
		do {
			await talk('short', talker, [reader], { from: n, to: n + 1, size: SIZE });
			await slow.message(TEXT, said(n++, SIZE));
			await delay(100); // the time is what is tested
		} while (performance.now() < end);
		for (const socket of [talker, reader]) await socket.close();
		slow.destroy();
	});
});

describe('a client that asks faster than it reads', () => {
	serverOf();

	const COUNT = 600;
	const SIZE = 100 * KB;
	const question = (n) => `42${n}["echo",${n},"${text(SIZE)}"]`;
	const answer = (n) => `43${n}[${n},"${text(SIZE)}"]`;

	for (const over of ['TCP', 'Unix', 'TLS']) {
		it(`is not read any further, and then gets every answer (${over})`, async () => {
			const slow = await sleeper('alone', over);
			let taken = 0;
			const grown = await growth(async () => {
				for (let n = 0; n < COUNT; n++)
					slow.send(TEXT, question(n)).then(() => taken++);
				await until(
					async () => {
						const before = taken;
						await server.becomesIdle();
						return taken === before;
					},
					'the stop of the reading',
					20000,
				);
			});
			assert.ok(taken < COUNT, 'its socket took everything');
			assert.ok(grown < 16 * 1024, `${grown} KiB more`);
			assert.ok(!(await gone(slow.sid)), 'it was disconnected');

			slow.raw.resume();
			for (let n = 0; n < COUNT; n++) {
				const got = await slow.frame(`answer ${n}`);
				assert.ok(got && String(got.payload) === answer(n), `answer ${n}`);
			}
			assert.equal(taken, COUNT);
			slow.destroy();
		});
	}
});

describe('a polling client', () => {
	serverOf();

	const SIZE = 100 * KB;

	async function poller(room) {
		const { url, sid } = await handshake(server.url + PATH);
		assert.equal((await post(url, `40\x1e420["join","${room}"]`)).text, 'ok');
		let packets = '';
		while (!packets.includes('430[{"ok":true}]')) packets += (await get(url)).text;
		return { url, sid };
	}

	it('that stops polling for a while gets everything, in order', async () => {
		const { url } = await poller('pause');
		const talker = await member();
		await talk('pause', talker, [await member('pause')], { to: 9, size: SIZE });
		await server.becomesIdle();
		const got = [];
		while (got.length < 9) got.push(...(await get(url)).text.split('\x1e'));
		assert.ok(got.every((packet, n) => packet === said(n, SIZE)), 'in order');
		assert.equal((await post(url, '1')).status, 200);
		await talker.close();
	});

	it('that stops polling is given up at the hard limit', async () => {
		const { url } = await poller('stop');
		const talker = await member();
		const reader = await member('stop');
		const grown = await growth(() =>
			talk('stop', talker, [reader], { to: 200, size: SIZE }),
		);
		const answer = await get(url);
		assert.equal(answer.status, 400);
		assert.equal(JSON.parse(answer.text).code, 1);
		assert.ok(grown < 16 * 1024, `${grown} KiB more`);
		for (const socket of [talker, reader]) await socket.close();
	});

	it('whose answers are not read is given up too', async () => {
		const { url, sid } = await poller('deaf');
		const target = new URL(url).pathname + new URL(url).search;
		const talker = await member();
		const reader = await member('deaf');
		const deaf = await Raw.connect(0, { path: server.ways.Unix.path });
		deaf.pause();
		await deaf.write(request('GET', target).repeat(20));
		const grown = await growth(() =>
			talk('deaf', talker, [reader], { to: 200, size: SIZE }),
		);
		assert.ok(await gone(sid), 'the session goes on');
		assert.ok(grown < 16 * 1024, `${grown} KiB more`);
		deaf.destroy();
		for (const socket of [talker, reader]) await socket.close();
	});

	it('that leaves in the middle of a large answer hurts nobody', async () => {
		const { url } = await poller('leave');
		const target = new URL(url).pathname + new URL(url).search;
		const talker = await member();
		const reader = await member('leave');
		await talk('leave', talker, [reader], { to: 9, size: SIZE });
		const leaver = await Raw.connect(0, { path: server.ways.Unix.path });
		leaver.pause();
		await leaver.write(request('GET', target));
		await server.becomesIdle();
		leaver.destroy();
		await talk('leave', talker, [reader], { from: 9, to: 30, size: SIZE });
		for (const socket of [talker, reader]) await socket.close();
	});
});

describe('200 clients that never read beside 10 that do', () => {
	serverOf();

	it('cost the others nothing, and the server little', async () => {
		const SIZE = 100 * KB;
		const talker = await member();
		const readers = [];
		for (let i = 0; i < 10; i++) readers.push(await member('crowd'));
		const sleepers = [];
		for (let i = 0; i < 200; i++) sleepers.push(await sleeper('crowd', 'Unix'));
		const begun = performance.now();
		// First so much that their sockets are full and their queues are not.
		const grown = await growth(async () => {
			await talk('crowd', talker, readers, { to: 6, size: SIZE });
			await server.becomesIdle();
			for (const { sid } of sleepers.slice(0, 20))
				assert.ok(!(await gone(sid)), 'one was disconnected');
			await talk('crowd', talker, readers, { from: 6, to: 100, size: SIZE });
		});
		const lasted = performance.now() - begun;
		for (const { sid } of sleepers) assert.ok(await gone(sid), 'one is still there');
		assert.ok(lasted < 20000, `it took ${lasted} ms`);
		// 200 times the hard limit would be 200 MB.
		assert.ok(grown < 64 * 1024, `${grown} KiB more`);
		await server.becomesIdle();
		for (const slow of sleepers) slow.destroy();
		for (const socket of [talker, ...readers]) await socket.close();
	});
});

describe('disconnected in the middle of a large frame', () => {
	const SIZE = 900 * KB;
	const HARD = 4 * MB;

	afterEach(async () => {
		try {
			if (server.running) await healthy();
		} finally {
			await server.stop();
		}
	});

	async function fresh(options) {
		server = await start({ set: { 'limits.queue_hard_bytes': HARD }, ...options });
	}

	for (const over of ['TCP', 'Unix', 'TLS']) {
		it(`at the hard limit (${over})`, async () => {
			await fresh();
			const slow = await sleeper('large', over);
			const talker = await member();
			const reader = await member('large');
			for (let n = 0; !(await gone(slow.sid)); n++) {
				assert.ok(n < 30, 'it is never disconnected');
				const some = { from: n, to: n + 1, size: SIZE };
				await talk('large', talker, [reader], some);
			}
			const { cut, code } = await awaken(slow, SIZE);
			assert.ok(cut, 'no frame was begun');
			assert.equal(code, undefined);
		});

		it(`by the heartbeat (${over})`, async () => {
			await fresh({
				pingInterval: 1000,
				pingTimeout: 500,
				set: { 'limits.queue_hard_bytes': 64 * MB },
			});
			const slow = await sleeper('large', over);
			const talker = await member('large');
			const messages = { to: 8, size: SIZE, batch: 1, verb: 'all' };
			await talk('large', talker, [talker], messages);
			await until(() => gone(slow.sid), 'the end of the slow session');
			const { cut, code } = await awaken(slow, SIZE);
			assert.ok(cut, 'no frame was begun');
			assert.equal(code, undefined);
		});

		it(`by SIGTERM, and it never reads on (${over})`, async () => {
			await fresh({ set: { 'limits.queue_hard_bytes': 64 * MB } });
			const slow = await sleeper('large', over);
			const talker = await member('large');
			const messages = { to: 8, size: SIZE, batch: 1, verb: 'all' };
			await talk('large', talker, [talker], messages);
			await server.stop();
			slow.raw.resume();
			const { cut, code } = dissect(await slow.raw.rest(), SIZE);
			assert.ok(cut, 'no frame was begun');
			assert.equal(code, undefined);
		});

		it(`by SIGTERM, and it reads on: nothing is lost (${over})`, async () => {
			await fresh({ set: { 'limits.queue_hard_bytes': 64 * MB } });
			const slow = await sleeper('large', over);
			const talker = await member('large');
			const messages = { to: 8, size: SIZE, batch: 1, verb: 'all' };
			await talk('large', talker, [talker], messages);
			const stopped = server.stop();
			slow.raw.resume();
			for (let n = 0; n < 8; n++) await slow.message(TEXT, said(n, SIZE));
			await slow.closes(GOING_AWAY);
			await talker.whenClosed();
			await stopped;
		});

		it(`by itself (${over})`, async () => {
			await fresh({ set: { 'limits.queue_hard_bytes': 64 * MB } });
			for (const leave of over === 'TCP' ? ['destroy', 'reset', 'end'] : ['destroy', 'end']) {
				const slow = await sleeper('large', over);
				const talker = await member('large');
				const messages = { to: 8, size: SIZE, batch: 1, verb: 'all' };
				await talk('large', talker, [talker], messages);
				slow.raw[leave]();
				await server.becomesIdle();
				if (leave !== 'end')
					await until(() => gone(slow.sid), 'the end of the session');
				slow.destroy();
				await talker.close();
			}
		});
	}
});
