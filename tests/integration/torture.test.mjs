// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Protocol torture of the whole daemon: conversations cut off at every byte, lengths that nothing
// has, floods, bombs. It stays up; a tab that was there before is served meanwhile; what all that
// held comes back.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { constants, deflateRawSync } from 'node:zlib';
import { Daemon, Database, Tab, token } from './lib/chat.mjs';
import { get, handshake, post } from './lib/http.mjs';
import { Raw, postRequest, request, upgradeRequest } from './lib/raw.mjs';
import { FRUGAL } from './lib/server.mjs';
import { each, until, within } from './lib/util.mjs';
import { BINARY, CLOSE, CONTINUATION, PING, RawSocket, TEXT, closePayload, frame } from './lib/ws.mjs';

const PATH = '/socket.io/';
const POLLING = `${PATH}?EIO=4&transport=polling`;
const WEBSOCKET = `${PATH}?EIO=4&transport=websocket`;
const AT_ONCE = 40;
const LATE_MS = 3000; // the machine may be slow, and sanitizers are
const GROWTH_KIB = 48 * 1024;
const CLIENT_ID = { headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' } };

let database;
let daemon;
let tab;
let healthy;

// Asks and asks; done() has the longest time that an answer took.
function watch(client) {
	let going = true;
	let longest = 0;
	let asked = 0;
	const loop = (async () => {
		while (going) {
			const begun = performance.now();
			await client.ok('conversation:list');
			longest = Math.max(longest, performance.now() - begun);
			asked++;
			client.forget();
		}
	})();
	loop.catch(() => {});
	return async () => {
		going = false;
		await loop;
		return { longest: Math.round(longest), asked };
	};
}

const descriptors = () => readdirSync(`/proc/${daemon.pid}/fd`).length;

before(async () => {
	database = await Database.start();
	daemon = await Daemon.start({
		database,
		env: FRUGAL,
		set: {
			'engine.ping_interval_ms': 2000,
			'engine.ping_timeout_ms': 3000,
			'engine.connect_timeout_ms': 2000,
			'engine.websocket_compression': 'yes',
			'limits.header_timeout_ms': 2000,
			'limits.body_timeout_ms': 2000,
			'log.level': 'info',
		},
	});
	tab = await Tab.open(daemon, 'healthy');
	healthy = watch(tab);
});
after(() => each(() => tab?.close(), () => daemon?.stop(), () => database?.stop()));

// Does it for all, some at a time.
async function all(items, fn) {
	const left = [...items];
	await Promise.all(
		Array.from({ length: AT_ONCE }, async () => {
			while (left.length) await fn(left.shift());
		}),
	);
}

const ENDS = {
	reset: (raw) => raw.reset(),
	// Our FIN; then the server ends it, at once or when it has waited long enough.
	fin: async (raw) => {
		raw.end();
		await raw.ended('the end of what was cut off', 15000);
	},
};

// Sends so many bytes and ends.
async function cut(bytes, at, end) {
	const raw = await Raw.connect(daemon.port);
	await raw.write(bytes.subarray(0, at));
	await ENDS[end](raw);
}

async function cutEverywhere(bytes, end) {
	await all(Array.from({ length: bytes.length + 1 }, (_, i) => i), (at) => cut(bytes, at, end));
}

const auth = () => `40${JSON.stringify({ token: token('torture') })}`;

describe('cut off at every byte', () => {
	for (const end of Object.keys(ENDS)) {
		it(`a polling handshake, and the packets behind it (${end})`, async () => {
			await cutEverywhere(Buffer.from(request('GET', POLLING)), end);
			const body = `${auth()}\x1e42["ping"]\x1e3`;
			const length = postRequest(`${POLLING}&sid=${'x'.repeat(22)}`, body).length;
			await all(Array.from({ length }, (_, i) => i), async (at) => {
				const { sid } = await handshake(`${daemon.url}${PATH}`);
				const bytes = Buffer.from(postRequest(`${POLLING}&sid=${sid}`, body));
				await cut(bytes, at, end);
			});
		});

		it(`an upgrade and its first frames (${end})`, async () => {
			const bytes = Buffer.concat([
				Buffer.from(upgradeRequest(WEBSOCKET)),
				frame(TEXT, auth()),
				frame(PING, 'x'.repeat(125)),
				frame(TEXT, '420["conversation:list",{}]', { fin: false }),
				frame(CONTINUATION, ''),
				frame(TEXT, '451-["ping",{"_placeholder":true,"num":0}]'),
				frame(BINARY, 'x'.repeat(300)),
				frame(CLOSE, closePayload(1000)),
			]);
			await cutEverywhere(bytes, end);
		});
	}
});

describe('lengths', () => {
	const HUGE = [2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n, 2n ** 32n, 2n ** 31n];

	it('of frames', async () => {
		const heads = HUGE.map((length) => frame(TEXT, '', { length, form: 64 }));
		for (const opcode of [TEXT, BINARY, CLOSE, PING])
			heads.push(frame(opcode, '', { length: 126, form: 16 }), frame(opcode, 'x', { form: 64 }));
		await all(heads, async (head) => {
			const socket = await RawSocket.open(daemon, WEBSOCKET);
			await socket.opened();
			socket.raw.write(head);
			socket.raw.end();
			await socket.raw.ended('the end', 15000);
		});
	});

	it('of bodies, heads and headers', async () => {
		const { sid } = await handshake(`${daemon.url}${PATH}`);
		const target = `${POLLING}&sid=${sid}`;
		const heads = [
			...[...HUGE, -1n, 10n ** 40n].map((n) => request('POST', target, { 'Content-Length': n })),
			request('POST', target, { 'Content-Length': '1, 2' }),
			request('POST', target, { 'Transfer-Encoding': 'chunked' }),
			request('GET', `${PATH}${'x'.repeat(100000)}`),
			request('GET', POLLING, { X: 'y'.repeat(100000) }),
			request('GET', POLLING, Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`x${i}`, i]))),
			`GET ${'\r\n'.repeat(50000)}`,
			'\0'.repeat(100000),
		];
		await all(heads, async (head) => {
			const raw = await Raw.connect(daemon.port);
			await raw.write(head);
			raw.end();
			await raw.ended('the end', 15000);
		});
	});

	it('of packets', async () => {
		const packets = [
			'459999999999-["x"]',
			'45999-["x",{"_placeholder":true,"num":0}]',
			`42${'9'.repeat(1000)}["ping"]`,
			`42["ping",${'['.repeat(100000)}`,
			`42["ping",${'1'.repeat(500000)}]`,
			`42["${'x'.repeat(900000)}"]`,
			`4${'0/'}${'x'.repeat(900000)},`,
			`40${JSON.stringify({ token: 'x'.repeat(900000) })}`,
			`40${JSON.stringify({ token: 'x', pid: 'y'.repeat(400000), offset: 'z'.repeat(400000) })}`,
			'4'.repeat(900000),
		];
		await all(packets, async (packet) => {
			const socket = await RawSocket.open(daemon, WEBSOCKET);
			await socket.opened();
			await socket.send(TEXT, auth());
			await socket.send(TEXT, packet);
			await socket.send(CLOSE, closePayload(1000));
			await socket.raw.ended('the end', 15000);
		});
	});
});

describe('floods', () => {
	async function open() {
		const socket = await RawSocket.open(daemon, WEBSOCKET);
		await socket.opened();
		return socket;
	}

	it('of pings, of events without an end, by one who does not read', async () => {
		await all(Array.from({ length: 8 }), async () => {
			const socket = await open();
			await socket.send(TEXT, auth());
			socket.raw.pause();
			const pings = Buffer.concat(Array.from({ length: 2000 }, () => frame(PING, 'x'.repeat(125))));
			const events = Buffer.concat(
				Array.from({ length: 2000 }, (_, i) => frame(TEXT, `42${i}["ping"]`)),
			);
			// Its window fills up, or its connection is closed.
			void socket.raw.write(pings);
			void socket.raw.write(events);
			await new Promise((resolve) => setImmediate(resolve));
			socket.raw.reset();
		});
	});

	it('of CONNECTs and DISCONNECTs', async () => {
		await all(Array.from({ length: 20 }), async (_, i) => {
			const socket = await open();
			const again = [`${auth()}`, '41', auth(), '41', '40{}', '40/other,{}', '41/other,'];
			for (let k = 0; k < 50; k++)
				await socket.send(TEXT, again[(k + i) % again.length]);
			await socket.send(CLOSE, closePayload(1000));
			await socket.raw.ended('the end', 15000);
		});
	});

	it('of upgrades of one session', async () => {
		const { sid } = await handshake(`${daemon.url}${PATH}`);
		await all(Array.from({ length: 100 }, (_, i) => i), async (i) => {
			const raw = await Raw.connect(daemon.port);
			raw.write(upgradeRequest(`${WEBSOCKET}&sid=${sid}`));
			raw.write(frame(TEXT, '2probe'));
			if (i % 3 === 0) raw.write(frame(TEXT, '5'));
			if (i % 2) raw.reset();
			else {
				raw.end();
				await raw.ended('the end', 15000);
			}
		});
	});

	it('of handshakes whose answer nobody reads', async () => {
		await all(Array.from({ length: 300 }), async () => {
			const raw = await Raw.connect(daemon.port);
			await raw.write(request('GET', POLLING).repeat(3));
			raw.reset();
		});
	});

	it('of polls and closes of one session at once', async () => {
		await all(Array.from({ length: 30 }), async () => {
			const { url } = await handshake(`${daemon.url}${PATH}`);
			await Promise.allSettled([
				post(url, auth()),
				get(url),
				get(url),
				post(url, '1'),
				post(url, '42["ping"]'),
				get(url),
			]);
		});
	});
});

describe('bombs', () => {
	const packed = (text) =>
		deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH, level: 9 }).subarray(0, -4);
	const zeros = packed(Buffer.alloc(64 << 20, '0'));

	it('of zeros, compressed, whole and in pieces', async () => {
		const bombs = [
			[frame(TEXT, zeros, { rsv: 4 })],
			[
				frame(TEXT, zeros.subarray(0, 100), { rsv: 4, fin: false }),
				frame(CONTINUATION, zeros.subarray(100)),
			],
			[frame(TEXT, zeros.subarray(0, 60000), { rsv: 4 })],
			[frame(TEXT, 'no deflate at all', { rsv: 4 })],
			[frame(TEXT, '', { rsv: 4 })],
			[frame(PING, zeros.subarray(0, 100), { rsv: 4 })],
		];
		await all([...bombs, ...bombs, ...bombs], async (frames) => {
			const socket = await RawSocket.open(daemon, WEBSOCKET, CLIENT_ID);
			for (const piece of frames) await socket.raw.write(piece);
			await socket.send(CLOSE, closePayload(1000));
			await socket.raw.ended('the end', 15000);
		});
	});
});

describe('afterwards', () => {
	it('a healthy tab was served all the while', async (t) => {
		const { longest, asked } = await healthy();
		t.diagnostic(`${asked} requests, the longest ${longest} ms`);
		assert.ok(longest < LATE_MS, `an answer took ${longest} ms`);
		const id = await tab.create();
		assert.equal((await tab.turn(id, 'Hi')).closing, 'message:complete');
	});

	it('memory and descriptors come back', async (t) => {
		// What the same once more leaves behind is a leak; the first time fills pools and caches.
		const settle = () =>
			within(
				until(async () => {
					const answer = await get(`${daemon.url}${POLLING}`);
					await post(`${daemon.url}${POLLING}&sid=${JSON.parse(answer.text.slice(1)).sid}`, '1');
					return (await daemon.load(300)) < 0.2;
				}, 'it is idle', 20000),
				25000,
				'it is idle',
			);
		await settle();
		const kib = daemon.residentKib();
		const files = await until(() => descriptors(), 'descriptors');
		const bytes = Buffer.from(upgradeRequest(WEBSOCKET) + 'x'.repeat(64));
		for (let round = 0; round < 3; round++) await cutEverywhere(bytes, 'reset');
		await until(() => descriptors() <= files, `descriptors come back to ${files}`, 15000);
		await settle();
		t.diagnostic(`${kib} KiB, then ${daemon.residentKib()} KiB; ${files} descriptors`);
		assert.ok(daemon.residentKib() - kib < GROWTH_KIB, 'memory grows');
	});

	it('nothing was found by the sanitizers', () => {
		assert.ok(daemon.running);
		assert.doesNotMatch(daemon.stderr, /Sanitizer|runtime error:|internal error:/);
	});
});
