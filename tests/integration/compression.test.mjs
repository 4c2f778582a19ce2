// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// permessage-deflate (RFC 7692), from the offer to the bomb. After each case the guard looks
// whether anyone else was hurt.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { Guard } from './lib/guard.mjs';
import { Raw, upgradeRequest } from './lib/raw.mjs';
import { FRUGAL, Server } from './lib/server.mjs';
import { event, within } from './lib/util.mjs';
import { BINARY, CLOSE, CONTINUATION, PING, PONG, RawSocket, TEXT, frame } from './lib/ws.mjs';

const TARGET = '/engine.io/?EIO=4&transport=websocket';
const MAX_PAYLOAD = 1000000;
const THRESHOLD = 1024;
const LARGE = 900000;
const RSV1 = 4; // of the three bits: "this message is compressed"
const PROTOCOL_ERROR = 1002;
const INVALID_PAYLOAD = 1007;
const TOO_BIG = 1009;
const TAIL = Buffer.from('0000ffff', 'hex'); // section 7.2.1: the end of a flush does not travel

const OFFER = 'permessage-deflate';
const offering = (offer) => ({ headers: { 'Sec-WebSocket-Extensions': offer } });

const ON = { 'engine.websocket_compression': 'yes' };

let server;
let guard;

before(async () => {
	server = await Server.start({ engine: true, set: ON, env: FRUGAL });
	guard = await Guard.stand(server);
});
afterEach(() => guard.check());
after(async () => {
	guard?.leave();
	await server?.stop();
});

function pack(data, options) {
	const packed = deflateRawSync(data, { finishFlush: constants.Z_SYNC_FLUSH, ...options });
	assert.deepEqual(packed.subarray(-4), TAIL);
	return packed.subarray(0, -4);
}

function unpack(data) {
	return inflateRawSync(Buffer.concat([data, TAIL]), {
		finishFlush: constants.Z_SYNC_FLUSH,
	});
}

// What the server's answer says about extensions.
async function answered(offer, { to = server } = {}) {
	const raw = await Raw.connect(to.port);
	raw.write(upgradeRequest(TARGET, offering(offer).headers));
	const answer = await raw.answer();
	assert.equal(answer.status, 101);
	raw.destroy();
	return answer.headers['sec-websocket-extensions'];
}

// A raw session that compresses; its open packet is read.
async function open({ offer = OFFER, to = server } = {}) {
	const socket = await RawSocket.open(to, TARGET, offering(offer));
	assert.match(socket.answer.headers['sec-websocket-extensions'] ?? '', /^permessage-deflate/);
	socket.rsvAllowed = RSV1;
	await socket.opened();
	return socket;
}

// Sends the bytes on a new session; the server must close with the code.
async function closesOn(bytes, code, options) {
	const socket = await open(options);
	socket.raw.write(bytes);
	await socket.closes(code);
}

// The server's next message: how it came, and what it says.
async function receive(socket) {
	const got = await socket.frame();
	assert.ok(got?.fin, 'a whole message');
	const packed = got.rsv === RSV1;
	assert.ok(!packed || !got.payload.subarray(-4).equals(TAIL), 'the end of the flush travels');
	return { packed, opcode: got.opcode, data: packed ? unpack(got.payload) : got.payload };
}

async function comesBack(socket, opcode, data, packed) {
	const got = await receive(socket);
	assert.equal(got.opcode, opcode, `opcode, payload ${got.data.subarray(0, 40)}`);
	assert.ok(got.data.equals(Buffer.from(data)), `${got.data.length} bytes, not the message`);
	if (packed !== undefined) assert.equal(got.packed, packed, 'compressed');
}

describe('the offer', () => {
	const BASE = [OFFER, 'server_no_context_takeover', 'client_no_context_takeover'];
	const WIDE = [...BASE, 'server_max_window_bits=15'];

	for (const [offer, want] of [
		[OFFER, BASE],
		['permessage-deflate; client_max_window_bits', BASE],
		['permessage-deflate; client_max_window_bits=10', BASE],
		['permessage-deflate; server_no_context_takeover', BASE],
		['permessage-deflate;server_no_context_takeover ;\tclient_no_context_takeover', BASE],
		['permessage-deflate; server_max_window_bits=15', WIDE],
		['permessage-deflate; server_max_window_bits="15"', WIDE],
		['permessage-deflate; server_max_window_bits=10, permessage-deflate', BASE],
		['x-webkit-deflate-frame, permessage-deflate; client_max_window_bits', BASE],
		['x; a="permessage-deflate, permessage-deflate", permessage-deflate', BASE],
		// Passed over: we cannot do it, or it is malformed.
		['permessage-deflate; server_max_window_bits=10'],
		['permessage-deflate; server_max_window_bits'],
		['permessage-deflate; server_max_window_bits=16'],
		['permessage-deflate; client_max_window_bits=7'],
		['permessage-deflate; client_max_window_bits=015'],
		['permessage-deflate; client_no_context_takeover=1'],
		['permessage-deflate; client_no_context_takeover; client_no_context_takeover'],
		['permessage-deflate; unheard_of'],
		['permessage-deflate;'],
		['permessage-deflated'],
		['x; a="permessage-deflate, permessage-deflate"'],
		['x-webkit-deflate-frame'],
		[''],
		[','],
	]) {
		it(`${JSON.stringify(offer)} is ${want ? 'accepted' : 'passed over'}`, async () => {
			const answer = await answered(offer);
			if (!want) {
				assert.equal(answer, undefined);
				return;
			}
			const [name, ...parameters] = answer.split(';').map((part) => part.trim());
			assert.equal(name, OFFER);
			assert.deepEqual(parameters.sort(), want.slice(1).sort());
		});
	}
});

describe('what the server sends', () => {
	for (const [size, packed] of [
		[0, false],
		[THRESHOLD - 1, false],
		[THRESHOLD, true],
		[70000, true],
		[LARGE, true],
	]) {
		it(`${size} bytes come ${packed ? 'compressed' : 'as they are'}`, async () => {
			const socket = await open();
			const data = Buffer.alloc(size, 'pattern ');
			socket.send(BINARY, data);
			await comesBack(socket, BINARY, data, packed);
			if (size !== THRESHOLD - 1 && size > 0) {
				const text = `4${'grüße '.repeat(size / 8)}`;
				socket.send(TEXT, text);
				await comesBack(socket, TEXT, text, packed);
			}
			socket.destroy();
		});
	}

	it('is smaller when it can be', async () => {
		const socket = await open();
		socket.send(BINARY, Buffer.alloc(LARGE));
		const got = await socket.frame();
		assert.equal(got.rsv, RSV1);
		assert.ok(got.payload.length < 5000, `${got.payload.length} bytes`);
		socket.destroy();
	});

	it('each message stands alone, without the context of the one before', async () => {
		const socket = await open();
		const data = randomBytes(3000);
		for (let i = 0; i < 3; i++) {
			socket.send(BINARY, data);
			await comesBack(socket, BINARY, data);
		}
		socket.destroy();
	});

	it('keeps the order of small and large', async () => {
		const socket = await open();
		const messages = Array.from({ length: 200 }, (_, i) =>
			Buffer.from(`4${i} `.repeat(i % 3 ? 2 : 2000)),
		);
		for (const message of messages) socket.send(TEXT, message);
		for (const message of messages)
			await comesBack(socket, TEXT, message, message.length > THRESHOLD);
		socket.destroy();
	});

	it('nothing comes inside what compression made larger', async () => {
		// Around the 64 KiB that leave in one write, where some bytes more or less decide.
		const socket = await open();
		for (let size = 65536 - 64; size <= 65536 + 8; size += 4) {
			const data = randomBytes(size);
			socket.raw.write(Buffer.concat([frame(BINARY, data), frame(PING, 'now?')]));
			const got = [];
			for (let i = 0; i < 2; i++) got.push(await receive(socket));
			const pong = got.find(({ opcode }) => opcode === PONG);
			const echo = got.find(({ opcode }) => opcode === BINARY);
			assert.equal(String(pong?.data), 'now?', `${size} bytes`);
			assert.ok(echo?.data.equals(data), `${size} bytes: not the message`);
		}
		socket.destroy();
	});
});

describe('what the client sends', () => {
	it('small and large, compressed', async () => {
		const socket = await open();
		for (const size of [0, 1, 5, 100, 2000, 70000, LARGE]) {
			const data = Buffer.alloc(size, 'abc');
			socket.send(BINARY, pack(data), { rsv: RSV1 });
			await comesBack(socket, BINARY, data);
			socket.send(TEXT, pack(`4${data}`), { rsv: RSV1 });
			await comesBack(socket, TEXT, `4${data}`);
		}
		socket.destroy();
	});

	it('uncompressed, and mixed', async () => {
		const socket = await open();
		for (let i = 0; i < 20; i++) {
			const text = `4${'x'.repeat(100 * i)}`;
			if (i % 2) socket.send(TEXT, text);
			else socket.send(TEXT, pack(text), { rsv: RSV1 });
			await comesBack(socket, TEXT, text);
		}
		socket.destroy();
	});

	it('in fragments, with a ping between', async () => {
		const socket = await open();
		const data = randomBytes(5000);
		const packed = pack(data);
		const half = packed.length >> 1;
		socket.send(BINARY, packed.subarray(0, half), { rsv: RSV1, fin: false });
		socket.send(PING, 'between');
		socket.send(CONTINUATION, '', { fin: false });
		socket.send(CONTINUATION, packed.subarray(half));
		await comesBack(socket, PONG, 'between', false);
		await comesBack(socket, BINARY, data);
		socket.destroy();
	});

	it('byte by byte', async () => {
		const socket = await open();
		const data = Buffer.alloc(3000, 'drop by drop ');
		for (const byte of frame(BINARY, pack(data), { rsv: RSV1 }))
			await socket.raw.write(Buffer.from([byte]));
		await comesBack(socket, BINARY, data, true);
		socket.destroy();
	});

	it('with any window, level and strategy', async () => {
		const socket = await open();
		const data = Buffer.from('4'.padEnd(40000, 'some text, '));
		for (const options of [
			{ windowBits: 9 },
			{ level: 0 },
			{ level: 9, memLevel: 1 },
			{ strategy: constants.Z_HUFFMAN_ONLY },
			{ strategy: constants.Z_FIXED },
		]) {
			socket.send(TEXT, pack(data, options), { rsv: RSV1 });
			await comesBack(socket, TEXT, data, true);
		}
		socket.destroy();
	});

	it('with a last block in it (section 7.2.3.4)', async () => {
		const socket = await open();
		const last = deflateRawSync('4finished');
		socket.send(TEXT, Buffer.concat([last, Buffer.from([0])]), { rsv: RSV1 });
		await comesBack(socket, TEXT, '4finished');
		socket.send(TEXT, Buffer.concat([last, pack(' and more')]), { rsv: RSV1 });
		await comesBack(socket, TEXT, '4finished and more');
		socket.destroy();
	});

	it('as large as is allowed, and one byte more (1009)', async () => {
		const socket = await open();
		const data = Buffer.alloc(MAX_PAYLOAD, 'z');
		socket.send(BINARY, pack(data), { rsv: RSV1 });
		await comesBack(socket, BINARY, data, true);
		socket.send(BINARY, pack(Buffer.alloc(MAX_PAYLOAD + 1, 'z')), { rsv: RSV1 });
		await socket.closes(TOO_BIG);
	});
});

describe('hostile', () => {
	const packedFrame = (data, options) => frame(BINARY, data, { rsv: RSV1, ...options });

	it('a bomb is refused with 1009 and costs no memory', async () => {
		const bomb = pack(Buffer.alloc(10 * MAX_PAYLOAD));
		await closesOn(packedFrame(bomb), TOO_BIG); // what is made at first use is made now
		const before = server.residentKib();
		for (let i = 0; i < 50; i++) await closesOn(packedFrame(bomb), TOO_BIG);
		const grown = server.residentKib() - before;
		assert.ok(grown < 20000, `${grown} KiB more than before`);
	});

	it('a bomb in fragments too', async () => {
		const bomb = pack(Buffer.alloc(10 * MAX_PAYLOAD));
		const half = bomb.length >> 1;
		await closesOn(
			Buffer.concat([
				packedFrame(bomb.subarray(0, half), { fin: false }),
				frame(CONTINUATION, bomb.subarray(half)),
			]),
			TOO_BIG,
		);
	});

	it('over the limit before it is decompressed (1009)', () =>
		closesOn(packedFrame('', { length: MAX_PAYLOAD + 1 }), TOO_BIG));

	for (const [what, data] of [
		['garbage', Buffer.alloc(100, 0xff)],
		['a reserved block type', Buffer.from([0x06])],
		['a distance too far back', Buffer.from('020200', 'hex')],
		['a stream that is cut off', pack(randomBytes(3000)).subarray(0, 2000)],
		['a zlib header', Buffer.concat([Buffer.from('789c', 'hex'), pack('text')])],
	]) {
		it(`${what} is refused with 1007`, () => closesOn(packedFrame(data), INVALID_PAYLOAD));
	}

	it('text that is not UTF-8 is refused with 1007', () =>
		closesOn(
			frame(TEXT, pack(Buffer.from('34c328', 'hex')), { rsv: RSV1 }),
			INVALID_PAYLOAD,
		));

	it('random bytes never do more than close', async () => {
		for (let i = 0; i < 100; i++) {
			const socket = await open();
			socket.raw.write(packedFrame(randomBytes(1 + i * 10)));
			const got = await socket.frame();
			assert.ok(got, 'an echo or a Close frame');
			if (got.opcode === CLOSE)
				assert.ok(
					[INVALID_PAYLOAD, TOO_BIG].includes(got.payload.readUInt16BE()),
					`code ${got.payload.readUInt16BE()}`,
				);
			socket.destroy();
		}
	});

	for (const [what, bytes] of [
		['on a continuation', [frame(TEXT, pack('4a'), { rsv: RSV1, fin: false }),
			frame(CONTINUATION, '', { rsv: RSV1 })]],
		['on a continuation of what is not compressed', [frame(TEXT, '4a', { fin: false }),
			frame(CONTINUATION, 'b', { rsv: RSV1 })]],
		['on a ping', [frame(PING, '', { rsv: RSV1 })]],
		['on a Close frame', [frame(CLOSE, '', { rsv: RSV1 })]],
		['with RSV2', [frame(TEXT, pack('4a'), { rsv: RSV1 | 2 })]],
		['with RSV3', [frame(TEXT, pack('4a'), { rsv: RSV1 | 1 })]],
	]) {
		it(`RSV1 ${what} is a protocol error`, () =>
			closesOn(Buffer.concat(bytes), PROTOCOL_ERROR));
	}

	it('RSV1 without agreement is a protocol error', async () => {
		for (const headers of [{}, offering('permessage-deflate; unheard_of').headers]) {
			const socket = await RawSocket.open(server, TARGET, { headers });
			await socket.opened();
			socket.send(TEXT, pack('4text'), { rsv: RSV1 });
			await socket.closes(PROTOCOL_ERROR);
		}
	});
});

describe('npm ws', () => {
	for (const [what, perMessageDeflate, agreed = true] of [
		['as it is', true],
		['all compressed', { threshold: 0 }],
		['a small window for the client', { threshold: 0, clientMaxWindowBits: 9 }],
		['server_no_context_takeover', { threshold: 0, serverNoContextTakeover: true }],
		['client_no_context_takeover', { threshold: 0, clientNoContextTakeover: true }],
		['a window that we do not do', { threshold: 0, serverMaxWindowBits: 10 }, false],
		['without', false, false],
	]) {
		it(`${what}: 900 kB of text and binary both ways`, async () => {
			const ws = new WebSocket(server.wsUrl + TARGET, { perMessageDeflate });
			const [first] = await event(ws, 'message');
			assert.equal(String(first)[0], '0');
			assert.equal(ws.extensions, agreed ? OFFER : '');
			for (const message of [
				'4small',
				`4${'żółć '.repeat(100000)}`,
				`4${randomBytes(LARGE / 2).toString('hex')}`.slice(0, LARGE),
				Buffer.alloc(LARGE, 0xc3),
				randomBytes(LARGE),
				'4',
				Buffer.alloc(0),
			]) {
				const back = event(ws, 'message');
				ws.send(message);
				const [data, binary] = await back;
				assert.equal(binary, typeof message !== 'string');
				assert.ok(data.equals(Buffer.from(message)), 'another message came');
			}
			const closed = event(ws, 'close');
			ws.close();
			await closed;
		});
	}
});

describe('socket.io-client', () => {
	let sio;

	before(async () => {
		sio = await Server.start({ set: ON });
	});
	afterEach(() => sio.becomesIdle());
	after(() => sio?.stop());

	async function connected(t, options) {
		const socket = io(sio.url, {
			forceNew: true,
			reconnection: false,
			transports: ['websocket'],
			...options,
		});
		t.after(() => socket.disconnect());
		const failed = new Promise((_, reject) => socket.once('connect_error', reject));
		await Promise.race([event(socket, 'connect'), failed]);
		return socket;
	}

	const extensions = (socket) => socket.io.engine.transport.ws.extensions;
	const call = (socket, ...args) => socket.timeout(10000).emitWithAck(...args);

	async function echoes(socket) {
		for (const value of [
			'small',
			'żółć '.repeat(100000),
			randomBytes(LARGE / 2).toString('hex').slice(0, LARGE),
			Buffer.alloc(LARGE, 0xc3),
			randomBytes(LARGE),
			{ a: [randomBytes(5000), Buffer.alloc(5000), Buffer.alloc(10)] },
		])
			assert.deepEqual(await call(socket, 'echo', value), value);
	}

	for (const [what, options, agreed] of [
		['with its defaults', {}, true],
		['all compressed', { perMessageDeflate: { threshold: 0 } }, true],
		['without', { perMessageDeflate: false }, false],
	]) {
		it(`${what}: echoes`, async (t) => {
			const socket = await connected(t, options);
			assert.equal(extensions(socket), agreed ? OFFER : '');
			await echoes(socket);
		});
	}

	it('after an upgrade from polling: echoes', async (t) => {
		const socket = await connected(t, { transports: ['polling', 'websocket'] });
		if (socket.io.engine.transport.name !== 'websocket')
			await event(socket.io.engine, 'upgrade');
		assert.equal(extensions(socket), OFFER);
		await echoes(socket);
	});

	it('a room of those who compress, those who do not, and pollers', async (t) => {
		const kinds = [{}, { perMessageDeflate: false }, { transports: ['polling'] }];
		const members = [];
		for (let i = 0; i < 12; i++) members.push(await connected(t, kinds[i % 3]));
		for (const member of members)
			assert.deepEqual(await call(member, 'join', 'mixed'), { ok: true });
		const COUNT = 30;
		const inboxes = members.map((member) => {
			const got = [];
			const all = new Promise((resolve) =>
				member.on('said', (...args) => {
					got.push(args);
					if (got.length === COUNT) resolve(got);
				}),
			);
			return within(all, 20000, `${COUNT} messages`);
		});
		const said = Array.from({ length: COUNT }, (_, i) => {
			if (i % 3 === 0) return [i, 'short'];
			if (i % 3 === 1) return [i, `${i} `.repeat(3000)];
			return [i, Buffer.alloc(4000, i), randomBytes(2000), Buffer.alloc(1)];
		});
		for (const args of said) members[0].emit('all', 'mixed', ...args);
		for (const got of await Promise.all(inboxes)) assert.deepEqual(got, said);
	});
});

describe('options', () => {
	async function start(t, set) {
		const started = await Server.start({ engine: true, set });
		t.after(() => started.stop());
		return started;
	}

	it('off by default', async (t) => {
		const to = await start(t, {});
		assert.equal(await answered(OFFER, { to }), undefined);
		const socket = await RawSocket.open(to, TARGET, offering(OFFER));
		await socket.opened();
		const data = Buffer.alloc(70000);
		socket.send(BINARY, data);
		await socket.message(BINARY, data);
		socket.send(TEXT, pack('4text'), { rsv: RSV1 });
		await socket.closes(PROTOCOL_ERROR);
	});

	it('a threshold of 0: everything that has data is compressed', async (t) => {
		const to = await start(t, { ...ON, 'engine.compression_threshold_bytes': 0 });
		const socket = await RawSocket.open(to, TARGET, offering(OFFER));
		socket.rsvAllowed = RSV1;
		const opened = await receive(socket);
		assert.ok(opened.packed, 'the open packet is compressed');
		assert.equal(String(opened.data)[0], '0');
		for (const data of ['', 'x', 'y'.repeat(70000)]) {
			socket.send(BINARY, data);
			await comesBack(socket, BINARY, data, true);
		}
		socket.destroy();
	});

	it('a threshold of 100000', async (t) => {
		const to = await start(t, { ...ON, 'engine.compression_threshold_bytes': 100000 });
		const socket = await open({ to });
		for (const size of [99999, 100000]) {
			socket.send(BINARY, Buffer.alloc(size));
			await comesBack(socket, BINARY, Buffer.alloc(size), size === 100000);
		}
		socket.destroy();
	});
});
