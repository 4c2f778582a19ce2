// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// WebSocket frames on a raw connection (RFC 6455 section 5), as exact as the test wants them.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { Raw, upgradeRequest } from './raw.mjs';
import { PATIENCE } from './util.mjs';

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

// length: what the header says when it is not the payload's. form: 7, 16 or 64 bits of length.
export function frame(
	opcode,
	payload = '',
	{ fin = true, rsv = 0, mask = true, length, form } = {},
) {
	const data = Buffer.from(payload);
	const size = BigInt(length ?? data.length);
	const bits = form ?? (size < 126n ? 7 : size < 65536n ? 16 : 64);
	const flag = mask ? 0x80 : 0;
	const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
	let head;
	if (bits === 7) {
		head = Buffer.from([first, flag | Number(size)]);
	} else if (bits === 16) {
		head = Buffer.from([first, flag | 126, 0, 0]);
		head.writeUInt16BE(Number(size), 2);
	} else {
		head = Buffer.from([first, flag | 127, 0, 0, 0, 0, 0, 0, 0, 0]);
		head.writeBigUInt64BE(size, 2);
	}
	if (!mask) return Buffer.concat([head, data]);
	return Buffer.concat([head, MASK, data.map((byte, i) => byte ^ MASK[i & 3])]);
}

export function closePayload(code, reason = '') {
	return Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);
}

export class RawSocket {
	rsvAllowed = 0; // reserved bits to which an extension gave a meaning

	constructor(raw) {
		this.raw = raw;
	}

	// Upgrades; `glued` is sent in one piece with the request.
	static async open(server, target, { headers, glued = '', connect } = {}) {
		const raw = await Raw.connect(server.port, connect);
		const socket = new RawSocket(raw);
		raw.write(
			Buffer.concat([
				Buffer.from(upgradeRequest(target, headers)),
				Buffer.from(glued),
			]),
		);
		await socket.accepted();
		return socket;
	}

	async accepted(key = 'dGhlIHNhbXBsZSBub25jZQ==') {
		const answer = await this.raw.answer('the answer to the upgrade');
		assert.equal(answer?.status, 101);
		assert.equal(answer.headers.upgrade.toLowerCase(), 'websocket');
		assert.match(answer.headers.connection, /\bupgrade\b/i);
		assert.equal(
			answer.headers['sec-websocket-accept'],
			createHash('sha1')
				.update(key + GUID)
				.digest('base64'),
		);
		this.answer = answer;
	}

	send(...args) {
		return this.raw.write(frame(...args));
	}

	// The server's next frame, null at the end. It must be unmasked, with the shortest length.
	async frame(what = 'a frame', ms = PATIENCE) {
		const head = await this.raw.read(2, what, ms);
		if (head === null) return null;
		assert.equal(head[1] & 0x80, 0, 'a server must not mask');
		const rsv = (head[0] >> 4) & 7;
		assert.equal(rsv & ~this.rsvAllowed, 0, 'no extension was agreed to');
		let length = head[1] & 0x7f;
		if (length === 126) {
			length = (await this.raw.read(2, what, ms)).readUInt16BE();
			assert.ok(length > 125, 'not the shortest length');
		} else if (length === 127) {
			length = Number((await this.raw.read(8, what, ms)).readBigUInt64BE());
			assert.ok(length > 65535, 'not the shortest length');
		}
		const payload = await this.raw.read(length, what, ms);
		assert.ok(payload, 'a cut frame');
		return { fin: (head[0] & 0x80) !== 0, rsv, opcode: head[0] & 15, payload };
	}

	async message(opcode, payload, what = 'the echo') {
		const got = await this.frame(what);
		assert.ok(got, `${what}: the connection ended`);
		assert.equal(
			got.opcode,
			opcode,
			`${what}: opcode, payload ${got.payload.subarray(0, 40)}`,
		);
		assert.ok(got.fin, `${what}: in fragments`);
		assert.ok(
			got.payload.equals(Buffer.from(payload)),
			`${what}: got ${got.payload.subarray(0, 80)} (${got.payload.length} bytes)`,
		);
	}

	// The text that begins every session.
	async opened() {
		const got = await this.frame('the open packet');
		assert.equal(got?.opcode, TEXT);
		assert.equal(String(got.payload)[0], '0');
		return JSON.parse(String(got.payload).slice(1));
	}

	// The server's Close frame with one of these codes (undefined: no code), then the end.
	async closes(codes, ms = PATIENCE) {
		const got = await this.frame('a Close frame', ms);
		assert.ok(got, 'the connection ended without a Close frame');
		assert.equal(got.opcode, CLOSE, `opcode, payload ${got.payload.subarray(0, 40)}`);
		const code = got.payload.length >= 2 ? got.payload.readUInt16BE() : undefined;
		assert.ok([codes].flat().includes(code), `close code ${code}, want ${codes}`);
		this.raw.write(frame(CLOSE, got.payload));
		await this.raw.ended('the end after the Close frames', ms);
		return got.payload.subarray(2).toString();
	}

	// The server ends the connection, with a Close frame, which is answered, or without.
	async finishes(what, ms = PATIENCE) {
		for (;;) {
			const got = await this.frame(what, ms);
			if (got === null || got.opcode === CLOSE) {
				if (got) this.raw.write(frame(CLOSE, got.payload));
				await this.raw.ended(what, ms);
				return;
			}
		}
	}

	destroy() {
		this.raw.destroy();
	}
}
