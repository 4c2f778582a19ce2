// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// RFC 6455 from a raw socket. After each case the guard looks whether anyone else was hurt.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { Guard } from './lib/guard.mjs';
import { get, handshake, post } from './lib/http.mjs';
import { Raw, request, upgradeRequest } from './lib/raw.mjs';
import { Server } from './lib/server.mjs';
import { turn, until } from './lib/util.mjs';
import {
	BINARY,
	CLOSE,
	CONTINUATION,
	PING,
	PONG,
	RawSocket,
	TEXT,
	closePayload,
	frame,
} from './lib/ws.mjs';

const PATH = '/engine.io/';
const TARGET = `${PATH}?EIO=4&transport=websocket`;
const MAX_PAYLOAD = 100000;
const UPGRADE_TIMEOUT = 1000;
const PROTOCOL_ERROR = 1002;
const INVALID_PAYLOAD = 1007;
const TOO_BIG = 1009;

let server;
let guard;

before(async () => {
	server = await Server.start({
		engine: true,
		set: {
			'engine.max_payload_bytes': MAX_PAYLOAD,
			'engine.upgrade_timeout_ms': UPGRADE_TIMEOUT,
		},
	});
	guard = await Guard.stand(server);
});
afterEach(() => guard.check());
after(async () => {
	guard?.leave();
	await server?.stop();
});

async function open(options) {
	const socket = await RawSocket.open(server, TARGET, options);
	await socket.opened();
	return socket;
}

// Sends the bytes on a new session; the server must close with one of the codes.
async function closesOn(bytes, codes) {
	const socket = await open();
	socket.raw.write(bytes);
	return socket.closes(codes);
}

async function works(socket) {
	socket.send(TEXT, '4still here');
	await socket.message(TEXT, '4still here');
}

describe('length encodings', () => {
	for (const size of [0, 1, 124, 125, 126, 127, 65535, 65536, MAX_PAYLOAD]) {
		it(`a message of ${size} bytes`, async () => {
			const socket = await open();
			const data = Buffer.alloc(size, 0xa5);
			socket.send(BINARY, data);
			await socket.message(BINARY, data);
			if (size > 0) {
				const text = `4${'é'.repeat((size - 1) >> 1)}`;
				socket.send(TEXT, text);
				await socket.message(TEXT, text);
			}
			await works(socket);
			socket.destroy();
		});
	}

	it('longer than need be: taken or a protocol error', async () => {
		for (const form of [16, 64]) {
			const socket = await open();
			socket.send(TEXT, '4x', { form });
			const got = await socket.frame();
			if (got.opcode === CLOSE)
				assert.equal(got.payload.readUInt16BE(), PROTOCOL_ERROR);
			else assert.equal(String(got.payload), '4x');
			socket.destroy();
		}
	});

	it('with the highest bit set', () =>
		closesOn(frame(BINARY, '', { length: 1n << 63n, form: 64 }), [
			PROTOCOL_ERROR,
			TOO_BIG,
		]));
});

describe('fragments', () => {
	it('of text', async () => {
		const socket = await open();
		socket.send(TEXT, '4he', { fin: false });
		socket.send(CONTINUATION, 'l', { fin: false });
		socket.send(CONTINUATION, 'lo');
		await socket.message(TEXT, '4hello');
		await works(socket);
		socket.destroy();
	});

	it('of binary, some of them empty', async () => {
		const socket = await open();
		socket.send(BINARY, '', { fin: false });
		socket.send(CONTINUATION, Buffer.from([1, 2]), { fin: false });
		socket.send(CONTINUATION, '', { fin: false });
		socket.send(CONTINUATION, '');
		await socket.message(BINARY, Buffer.from([1, 2]));
		await works(socket);
		socket.destroy();
	});

	it('in the middle of a character', async () => {
		const socket = await open();
		const bytes = Buffer.from('4🙂ü');
		socket.send(TEXT, bytes.subarray(0, 3), { fin: false });
		socket.send(CONTINUATION, bytes.subarray(3, 4), { fin: false });
		socket.send(CONTINUATION, bytes.subarray(4));
		await socket.message(TEXT, bytes);
		socket.destroy();
	});

	it('a thousand of one byte', async () => {
		const socket = await open();
		const pieces = [frame(TEXT, '4', { fin: false })];
		for (let i = 0; i < 999; i++) pieces.push(frame(CONTINUATION, 'x', { fin: false }));
		pieces.push(frame(CONTINUATION, 'y'));
		socket.raw.write(Buffer.concat(pieces));
		await socket.message(TEXT, `4${'x'.repeat(999)}y`);
		socket.destroy();
	});

	it('with control frames between them', async () => {
		const socket = await open();
		socket.send(TEXT, '4he', { fin: false });
		socket.send(PING, 'one');
		await socket.message(PONG, 'one', 'the pong');
		socket.send(PONG, 'unasked');
		socket.send(CONTINUATION, 'l', { fin: false });
		socket.send(PING, 'two');
		await socket.message(PONG, 'two', 'the pong');
		socket.send(CONTINUATION, 'lo');
		await socket.message(TEXT, '4hello');
		socket.destroy();
	});

	it('with control frames between them, all in one packet', async () => {
		const socket = await open();
		socket.raw.write(
			Buffer.concat([
				frame(TEXT, '4he', { fin: false }),
				frame(PING, 'one'),
				frame(CONTINUATION, 'llo'),
			]),
		);
		const got = [await socket.frame(), await socket.frame()];
		got.sort((a, b) => a.opcode - b.opcode); // a pong may overtake or follow the echo
		assert.deepEqual(
			got.map(({ opcode, payload }) => [opcode, String(payload)]),
			[
				[TEXT, '4hello'],
				[PONG, 'one'],
			],
		);
		socket.destroy();
	});

	it('and a Close between them', async () => {
		const socket = await open();
		socket.send(TEXT, '4never', { fin: false });
		socket.send(CLOSE, closePayload(1000));
		await socket.closes(1000);
	});

	it('a continuation that continues nothing', async () => {
		await closesOn(frame(CONTINUATION, '4x'), PROTOCOL_ERROR);
		await closesOn(frame(CONTINUATION, '4x', { fin: false }), PROTOCOL_ERROR);
	});

	it('a continuation after the last one', async () => {
		const socket = await open();
		socket.send(BINARY, 'a', { fin: false });
		socket.send(CONTINUATION, 'b');
		await socket.message(BINARY, 'ab');
		socket.send(CONTINUATION, 'c');
		await socket.closes(PROTOCOL_ERROR);
	});

	it('a new message before the last fragment', async () => {
		for (const opcode of [TEXT, BINARY]) {
			await closesOn(
				Buffer.concat([
					frame(TEXT, '4x', { fin: false }),
					frame(opcode, '4y'),
				]),
				PROTOCOL_ERROR,
			);
		}
	});
});

describe('frames that are not allowed', () => {
	for (const rsv of [1, 2, 4, 7]) {
		it(`reserved bits ${rsv}`, () =>
			closesOn(frame(TEXT, '4x', { rsv }), PROTOCOL_ERROR));
	}

	it('reserved bits on control frames', async () => {
		for (const opcode of [PING, PONG, CLOSE])
			await closesOn(frame(opcode, '', { rsv: 4 }), PROTOCOL_ERROR);
	});

	for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
		it(`opcode ${opcode}`, () => closesOn(frame(opcode, 'x'), PROTOCOL_ERROR));
	}

	it('a reserved opcode within a fragmented message', () =>
		closesOn(
			Buffer.concat([frame(TEXT, '4x', { fin: false }), frame(3, 'y')]),
			PROTOCOL_ERROR,
		));

	for (const [name, opcode] of [
		['text', TEXT],
		['binary', BINARY],
		['ping', PING],
		['pong', PONG],
	]) {
		it(`unmasked: ${name}`, () =>
			closesOn(frame(opcode, '4x', { mask: false }), PROTOCOL_ERROR));
	}

	it('unmasked: close', () =>
		closesOn(frame(CLOSE, closePayload(1000), { mask: false }), PROTOCOL_ERROR));

	it('unmasked: a continuation of a masked message', () =>
		closesOn(
			Buffer.concat([
				frame(TEXT, '4x', { fin: false }),
				frame(CONTINUATION, 'y', { mask: false }),
			]),
			PROTOCOL_ERROR,
		));

	for (const [name, opcode] of [
		['ping', PING],
		['pong', PONG],
		['close', CLOSE],
	]) {
		it(`a ${name} of 126 bytes`, () => {
			const payload = Buffer.concat([
				closePayload(1000),
				Buffer.alloc(124, 0x61),
			]);
			return closesOn(frame(opcode, payload), PROTOCOL_ERROR);
		});

		it(`a ${name} of 64-bit length`, () =>
			closesOn(frame(opcode, '', { length: 70000 }), PROTOCOL_ERROR));

		it(`a fragmented ${name}`, () =>
			closesOn(
				frame(opcode, closePayload(1000), { fin: false }),
				PROTOCOL_ERROR,
			));
	}
});

describe('UTF-8', () => {
	const invalid = {
		'a lone continuation byte': [0x80],
		'an overlong slash': [0xc0, 0xaf],
		'an overlong three bytes': [0xe0, 0x80, 0xaf],
		'an overlong four bytes': [0xf0, 0x80, 0x80, 0xaf],
		'a surrogate': [0xed, 0xa0, 0x80],
		'beyond U+10FFFF': [0xf4, 0x90, 0x80, 0x80],
		'five bytes': [0xf8, 0x88, 0x80, 0x80, 0x80],
		'FE and FF': [0xfe, 0xff],
		'cut short': [0xe2, 0x82],
		'cut short, then ASCII': [0xe2, 0x82, 0x61],
	};
	for (const [name, bytes] of Object.entries(invalid)) {
		const text = Buffer.from([0x34, 0x61, ...bytes]);

		it(`${name}, in one frame`, () => closesOn(frame(TEXT, text), INVALID_PAYLOAD));

		it(`${name}, across fragments`, () =>
			closesOn(
				Buffer.concat([
					frame(TEXT, text.subarray(0, 3), { fin: false }),
					frame(CONTINUATION, text.subarray(3)),
				]),
				INVALID_PAYLOAD,
			));

		it(`${name}, in the reason of a Close`, () =>
			closesOn(frame(CLOSE, Buffer.concat([closePayload(1000), text])), [
				INVALID_PAYLOAD,
				PROTOCOL_ERROR,
			]));
	}

	it('invalid bytes are fine in binary', async () => {
		const socket = await open();
		socket.send(BINARY, Buffer.from([0xff, 0x80, 0xc0]));
		await socket.message(BINARY, Buffer.from([0xff, 0x80, 0xc0]));
		socket.destroy();
	});

	it('the ends of every range are fine', async () => {
		const socket = await open();
		const text =
			'4\u0000\u007f\u0080\u07ff\u0800\ud7ff\ue000\ufffd\ufffe\uffff\u{10000}\u{10ffff}';
		socket.send(TEXT, text);
		await socket.message(TEXT, text);
		socket.destroy();
	});
});

describe('close', () => {
	for (const code of [
		1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999,
		4000, 4999,
	]) {
		it(`code ${code} is answered with the same`, async () => {
			const socket = await open();
			socket.send(CLOSE, closePayload(code, 'bye'));
			await socket.closes(code);
		});
	}

	for (const code of [
		0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535,
	]) {
		it(`code ${code} is a protocol error`, () =>
			closesOn(frame(CLOSE, closePayload(code)), PROTOCOL_ERROR));
	}

	it('without a code', async () => {
		const socket = await open();
		socket.send(CLOSE, '');
		await socket.closes([undefined, 1000]);
	});

	it('with half a code', () => closesOn(frame(CLOSE, Buffer.from([3])), PROTOCOL_ERROR));

	it('with the longest reason', async () => {
		const socket = await open();
		socket.send(CLOSE, closePayload(1000, 'r'.repeat(123)));
		await socket.closes(1000);
	});

	it('what comes after it is not looked at', async () => {
		const socket = await open();
		socket.raw.write(
			Buffer.concat([
				frame(CLOSE, closePayload(1000)),
				frame(TEXT, '4late'),
				frame(3, 'bad'),
			]),
		);
		await socket.closes(1000);
	});

	it('what came before it is still delivered', async () => {
		const socket = await open();
		socket.raw.write(
			Buffer.concat([frame(TEXT, '4early'), frame(CLOSE, closePayload(1000))]),
		);
		await socket.message(TEXT, '4early');
		await socket.closes(1000);
	});

	it('a FIN or RST instead, also in the middle of a frame', async () => {
		for (const leave of ['end', 'reset', 'destroy']) {
			for (const bytes of [
				'',
				frame(TEXT, '4hello').subarray(0, 4),
				frame(TEXT, '4x', { fin: false }),
			]) {
				const socket = await open();
				await socket.raw.write(bytes);
				socket.raw[leave]();
				if (leave === 'end')
					await socket.raw.ended('the end after our FIN');
			}
		}
	});
});

describe('too big', () => {
	for (const opcode of [TEXT, BINARY]) {
		it(`opcode ${opcode}, declared in the header, before the payload comes`, () =>
			closesOn(frame(opcode, '', { length: MAX_PAYLOAD + 1 }), TOO_BIG));

		it(`opcode ${opcode}, declared as huge`, () =>
			closesOn(frame(opcode, '', { length: (1n << 62n) + 5n }), [
				TOO_BIG,
				PROTOCOL_ERROR,
			]));
	}

	it('summed over fragments', () => {
		const part = 'x'.repeat(MAX_PAYLOAD / 4);
		const pieces = [frame(TEXT, `4${part.slice(1)}`, { fin: false })];
		for (let i = 0; i < 3; i++) pieces.push(frame(CONTINUATION, part, { fin: false }));
		pieces.push(frame(CONTINUATION, 'x'));
		return closesOn(Buffer.concat(pieces), TOO_BIG);
	});

	it('summed over fragments, declared in the header of the last', () =>
		closesOn(
			Buffer.concat([
				frame(BINARY, 'x'.repeat(MAX_PAYLOAD - 10), { fin: false }),
				frame(CONTINUATION, '', { length: 11 }),
			]),
			TOO_BIG,
		));

	it('exactly as large as allowed, in fragments', async () => {
		const socket = await open();
		const half = Buffer.alloc(MAX_PAYLOAD / 2, 7);
		socket.send(BINARY, half, { fin: false });
		socket.send(CONTINUATION, half);
		await socket.message(BINARY, Buffer.concat([half, half]));
		socket.destroy();
	});
});

describe('ping', () => {
	for (const size of [0, 1, 125]) {
		it(`of ${size} bytes is answered with the same`, async () => {
			const socket = await open();
			socket.send(PING, Buffer.alloc(size, 0x80));
			await socket.message(PONG, Buffer.alloc(size, 0x80), 'the pong');
			socket.destroy();
		});
	}

	// RFC 6455 section 5.5.3: of several at once only the last must be answered.
	it('several in one packet: the last at least is answered, in order', async () => {
		const socket = await open();
		const pings = ['a', 'b', 'c', 'd'];
		socket.raw.write(Buffer.concat(pings.map((payload) => frame(PING, payload))));
		const pongs = [];
		while (pongs.at(-1) !== 'd') {
			const got = await socket.frame('the pong of the last ping');
			assert.equal(got?.opcode, PONG);
			pongs.push(String(got.payload));
		}
		assert.deepEqual(pongs, [...pongs].sort());
		await works(socket);
		socket.destroy();
	});

	it('before and after a message in one packet', async () => {
		const socket = await open();
		socket.raw.write(
			Buffer.concat([frame(PING, 'a'), frame(TEXT, '4x'), frame(PING, 'b')]),
		);
		const seen = [];
		while (!(seen.includes('1 4x') && seen.includes('10 b'))) {
			const { opcode, payload } = await socket.frame(
				'the echo and the last pong',
			);
			seen.push(`${opcode} ${payload}`);
		}
		socket.destroy();
	});

	it('a pong that nobody asked for is ignored', async () => {
		const socket = await open();
		socket.send(PONG, 'hello?');
		await works(socket);
		socket.destroy();
	});
});

describe('pieces', () => {
	it('frames that come byte by byte', async () => {
		const socket = await open();
		const bytes = Buffer.concat([
			frame(TEXT, '4hello'),
			frame(PING, 'p'),
			frame(BINARY, Buffer.alloc(200, 1)),
		]);
		for (const byte of bytes) {
			await socket.raw.write(Buffer.from([byte]));
			await turn();
		}
		await socket.message(TEXT, '4hello');
		await socket.message(PONG, 'p', 'the pong');
		await socket.message(BINARY, Buffer.alloc(200, 1));
		socket.destroy();
	});

	it('an upgrade that comes byte by byte, and a frame after it', async () => {
		const raw = await Raw.connect(server.port);
		for (const byte of Buffer.concat([
			Buffer.from(upgradeRequest(TARGET)),
			frame(TEXT, '4x'),
		])) {
			await raw.write(Buffer.from([byte]));
			await turn();
		}
		const socket = new RawSocket(raw);
		await socket.accepted();
		await socket.opened();
		await socket.message(TEXT, '4x');
		socket.destroy();
	});

	it('many frames in one packet', async () => {
		const socket = await open();
		const texts = Array.from({ length: 1000 }, (_, i) => `4message ${i}`);
		socket.raw.write(Buffer.concat(texts.map((text) => frame(TEXT, text))));
		for (const text of texts) await socket.message(TEXT, text);
		socket.destroy();
	});

	it('frames glued to the upgrade', async () => {
		const glued = Buffer.concat([
			frame(TEXT, '4first'),
			frame(BINARY, 'b'),
			frame(TEXT, '4third'),
		]);
		const socket = await open({ glued });
		await socket.message(TEXT, '4first');
		await socket.message(BINARY, 'b');
		await socket.message(TEXT, '4third');
		await works(socket);
		socket.destroy();
	});

	it('a large frame glued to the upgrade', async () => {
		const text = `4${'z'.repeat(MAX_PAYLOAD - 1)}`;
		const socket = await open({ glued: frame(TEXT, text) });
		await socket.message(TEXT, text);
		socket.destroy();
	});

	it('half a frame glued to the upgrade', async () => {
		const bytes = frame(TEXT, '4in two halves');
		const socket = await open({ glued: bytes.subarray(0, 7) });
		socket.raw.write(bytes.subarray(7));
		await socket.message(TEXT, '4in two halves');
		socket.destroy();
	});

	it('a bad frame glued to the upgrade', async () => {
		const socket = await RawSocket.open(server, TARGET, { glued: frame(3, 'x') });
		await socket.finishes('the close after a bad frame');
	});

	it('a probe and what follows it glued to the upgrade', async () => {
		const { sid, url } = await handshake(server.url + PATH);
		const glued = Buffer.concat([
			frame(TEXT, '2probe'),
			frame(TEXT, '5'),
			frame(TEXT, '4hello'),
		]);
		const socket = await RawSocket.open(server, `${TARGET}&sid=${sid}`, { glued });
		await socket.message(TEXT, '3probe', 'the answer to the probe');
		await socket.message(TEXT, '4hello');
		assert.equal((await get(url)).status, 400);
		socket.destroy();
	});
});

describe('the upgrade request', () => {
	async function refused(bytes, statuses = [400], options = {}) {
		const raw = await Raw.connect(server.port);
		raw.write(bytes);
		const answer = await raw.answer('a refusal', undefined, options);
		raw.destroy();
		assert.ok(answer, 'the connection ended without an answer');
		assert.ok(
			statuses.includes(answer.status),
			`status ${answer.status}, want ${statuses}`,
		);
		return answer;
	}

	it('of another version is told the right one', async () => {
		for (const version of [
			'8',
			'12',
			'14',
			'0',
			'',
			'13x',
			'13, 8',
			'-13',
			undefined,
		]) {
			const bytes = upgradeRequest(TARGET, { 'Sec-WebSocket-Version': version });
			const answer = await refused(bytes, [400, 426]);
			if (answer.status === 426)
				assert.equal(answer.headers['sec-websocket-version'], '13');
		}
	});

	it('without a key', () =>
		refused(upgradeRequest(TARGET, { 'Sec-WebSocket-Key': undefined })));

	it('with a key that is not 16 bytes of base64', async () => {
		for (const key of [
			'',
			'short',
			'dGhlIHNhbXBsZSBub25jZQ',
			`${'A'.repeat(200)}==`,
			'!!!!!!!!!!!!!!!!!!!!!!==',
		])
			await refused(upgradeRequest(TARGET, { 'Sec-WebSocket-Key': key }));
	});

	it('without Connection: Upgrade, or without Upgrade', async () => {
		await refused(upgradeRequest(TARGET, { Connection: 'keep-alive' }), [400, 426]);
		await refused(upgradeRequest(TARGET, { Upgrade: undefined }), [400, 426]);
	});

	it('with another method', async () => {
		const bytes = upgradeRequest(TARGET, { 'Content-Length': 0 });
		for (const method of ['POST', 'PUT', 'HEAD', 'DELETE'])
			await refused(bytes.replace('GET', method), [400, 405, 426], {
				head: method === 'HEAD',
			});
	});

	it('in HTTP/1.0', async () => {
		const raw = await Raw.connect(server.port);
		raw.write(upgradeRequest(TARGET).replace('HTTP/1.1', 'HTTP/1.0'));
		const answer = await raw.answer('a refusal or the end');
		raw.destroy();
		assert.ok(
			answer === null || [400, 426, 505].includes(answer.status),
			`${answer?.status}`,
		);
	});

	it('on another path', () =>
		refused(upgradeRequest('/other/?EIO=4&transport=websocket'), [400, 404]));

	it('as browsers write it', async () => {
		const socket = await open({
			headers: {
				Connection: 'keep-alive, Upgrade',
				Upgrade: 'WebSocket',
				'Sec-WebSocket-Extensions':
					'permessage-deflate; client_max_window_bits, x-other',
			},
		});
		assert.equal(socket.answer.headers['sec-websocket-extensions'], undefined);
		await works(socket);
		socket.destroy();
	});

	it('that offers subprotocols gets one of them or none', async () => {
		const socket = await open({
			headers: { 'Sec-WebSocket-Protocol': 'chat, superchat' },
		});
		assert.ok(
			[undefined, 'chat', 'superchat'].includes(
				socket.answer.headers['sec-websocket-protocol'],
			),
		);
		await works(socket);
		socket.destroy();
	});

	it('on the path without its slash', async () => {
		const socket = await RawSocket.open(server, '/engine.io?EIO=4&transport=websocket');
		await socket.opened();
		await works(socket);
		socket.destroy();
	});
});

describe('the upgrade of a session', () => {
	const upgradeOf = (sid, options) => RawSocket.open(server, `${TARGET}&sid=${sid}`, options);

	// Refused with a status, or accepted and closed at once.
	async function turnedAway(sid) {
		const raw = await Raw.connect(server.port);
		raw.write(upgradeRequest(`${TARGET}&sid=${sid}`));
		const answer = await raw.answer('a refusal or an upgrade');
		if (answer?.status === 101)
			await new RawSocket(raw).finishes(
				'the close of a WebSocket that should not be',
			);
		else
			assert.ok(
				answer === null || answer.status === 400,
				`status ${answer?.status}`,
			);
		raw.destroy();
	}

	async function upgraded() {
		const session = await handshake(server.url + PATH);
		const socket = await upgradeOf(session.sid);
		socket.send(TEXT, '2probe');
		await socket.message(TEXT, '3probe', 'the answer to the probe');
		socket.send(TEXT, '5');
		await works(socket);
		return { ...session, socket };
	}

	it('that does not exist', () => turnedAway('none'));

	it('that is upgraded already', async () => {
		const { sid, socket } = await upgraded();
		await turnedAway(sid);
		await works(socket);
		socket.destroy();
	});

	it('that began as a WebSocket', async () => {
		const socket = await RawSocket.open(server, TARGET);
		const { sid } = await socket.opened();
		await turnedAway(sid);
		await works(socket);
		const answer = await get(`${server.url}${PATH}?EIO=4&transport=polling&sid=${sid}`);
		assert.equal(answer.status, 400);
		await works(socket);
		socket.destroy();
	});

	it('that another WebSocket is just probing', async () => {
		const { sid } = await handshake(server.url + PATH);
		const first = await upgradeOf(sid);
		await turnedAway(sid);
		first.send(TEXT, '2probe');
		await first.message(TEXT, '3probe', 'the answer to the probe');
		first.send(TEXT, '5');
		await works(first);
		first.destroy();
	});

	it('without a probe is given up, and polling goes on', async () => {
		const { sid, url } = await handshake(server.url + PATH);
		const socket = await upgradeOf(sid);
		await socket.finishes('the upgrade timeout', UPGRADE_TIMEOUT * 4);
		assert.equal((await post(url, '4polling')).text, 'ok');
		assert.equal((await get(url)).text, '4polling');
	});

	it('with a probe and no 5 is given up, and polling goes on', async () => {
		const { sid, url } = await handshake(server.url + PATH);
		const socket = await upgradeOf(sid);
		socket.send(TEXT, '2probe');
		await socket.message(TEXT, '3probe', 'the answer to the probe');
		await socket.finishes('the upgrade timeout', UPGRADE_TIMEOUT * 4);
		assert.equal((await post(url, '4polling')).text, 'ok');
		const first = await get(url);
		const text = first.text === '6' ? (await get(url)).text : first.text;
		assert.equal(text, '4polling');
	});

	it('with anything but a probe, and polling goes on', async () => {
		for (const bytes of [
			frame(TEXT, '4hello'),
			frame(TEXT, '5'),
			frame(TEXT, '2'),
			frame(TEXT, ''),
			frame(BINARY, 'x'),
			frame(TEXT, '2probex'),
		]) {
			const { sid, url } = await handshake(server.url + PATH);
			const socket = await upgradeOf(sid, { glued: bytes });
			await socket.finishes('the end of a WebSocket that sent no probe');
			assert.equal((await post(url, '4polling')).text, 'ok');
			assert.equal((await get(url)).text, '4polling');
		}
	});

	it('and the WebSocket dies in between: polling goes on', async () => {
		const { sid, url } = await handshake(server.url + PATH);
		const socket = await upgradeOf(sid);
		socket.send(TEXT, '2probe');
		await socket.message(TEXT, '3probe', 'the answer to the probe');
		socket.raw.reset();
		assert.equal((await post(url, '4polling')).text, 'ok');
		await until(async () => {
			const { status, text } = await get(url);
			assert.equal(status, 200);
			return text === '4polling';
		}, 'the message over polling');
	});

	it('while a poll is held on the same session', async () => {
		const { sid } = await handshake(server.url + PATH);
		const poll = await Raw.connect(server.port);
		await poll.write(request('GET', `${PATH}?EIO=4&transport=polling&sid=${sid}`));
		await guard.served();
		const socket = await upgradeOf(sid);
		socket.send(TEXT, '2probe');
		await socket.message(TEXT, '3probe', 'the answer to the probe');
		assert.equal((await poll.answer('the answer to the held poll')).text, '6');
		poll.destroy();
		socket.send(TEXT, '5');
		await works(socket);
		socket.destroy();
	});

	// engine.io-client has stopped polling then: it hears of the end over the WebSocket, or by its heartbeat.
	describe('that the server closes between the probe and the "5"', () => {
		const path = '/socket.io/';
		let sio;
		before(async () => {
			sio = await Server.start({ set: { 'engine.upgrade_timeout_ms': UPGRADE_TIMEOUT } });
		});
		after(() => sio?.stop());

		async function closedWhileProbing() {
			const { sid, url } = await handshake(sio.url + path);
			assert.equal((await post(url, '40')).text, 'ok');
			while (!/"sid"/.test((await get(url)).text));
			const socket = await RawSocket.open(sio, `${path}?EIO=4&transport=websocket&sid=${sid}`);
			socket.send(TEXT, '2probe');
			await socket.message(TEXT, '3probe', 'the answer to the probe');
			const asked = '42["message","last words"]\x1e42["kick",true]';
			assert.equal((await post(url, asked)).text, 'ok');
			return { sid, url, socket };
		}

		it('ends over the WebSocket, behind what was said before', async () => {
			const { socket } = await closedWhileProbing();
			socket.send(TEXT, '5');
			await socket.message(TEXT, '42["message-back","last words"]');
			await socket.closes([1000, 1001]);
		});

		it('ends over polls when the WebSocket dies', async () => {
			const { url, socket } = await closedWhileProbing();
			socket.raw.reset();
			const answers = [];
			await until(async () => {
				const { status, text } = await get(url);
				assert.equal(status, 200);
				answers.push(text);
				return text === '1';
			}, 'the close packet');
			assert.deepEqual(
				answers.filter((text) => text !== '6'),
				['42["message-back","last words"]', '1'],
			);
		});

		it('ends when the "5" does not come', async () => {
			const { url, socket } = await closedWhileProbing();
			await socket.finishes('the upgrade timeout', UPGRADE_TIMEOUT * 4);
			assert.equal((await get(url)).text, '42["message-back","last words"]');
			assert.equal((await get(url)).text, '1');
			assert.equal((await get(url)).status, 400);
		});
	});

	it('closed by the session: "1" and a packet of no known type', async () => {
		for (const text of ['1', 'abc', '']) {
			const { socket } = await upgraded();
			socket.send(TEXT, text);
			await socket.closes([undefined, 1000, 1002, 1003, 1007, 1008]);
		}
	});
});
