// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A TCP connection whose bytes are exactly what the test says, and a reader of HTTP/1.1 answers.

import net from 'node:net';
import { PATIENCE, until, within } from './util.mjs';

export function request(method, target, headers = {}, body = '') {
	const lines = Object.entries({ Host: 'test', ...headers }).map(
		([k, v]) => `${k}: ${v}\r\n`,
	);
	return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

export function postRequest(target, body, headers = {}) {
	return request(
		'POST',
		target,
		{ 'Content-Length': Buffer.byteLength(body), ...headers },
		body,
	);
}

// A header given as undefined is left out.
export function upgradeRequest(target, headers = {}) {
	const all = {
		Connection: 'Upgrade',
		Upgrade: 'websocket',
		'Sec-WebSocket-Version': '13',
		'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', // the nonce of RFC 6455 section 1.3
		...headers,
	};
	for (const [name, value] of Object.entries(all)) {
		if (value === undefined) delete all[name];
	}
	return request('GET', target, all);
}

export class Raw {
	#socket;
	#chunks = [];
	#have = 0;
	#wake = () => {};
	#over = null; // 'end' (FIN) or the code of the error, such as ECONNRESET

	constructor(socket) {
		this.#socket = socket;
		socket.setNoDelay(true);
		socket.on('data', (chunk) => {
			this.#chunks.push(chunk);
			this.#have += chunk.length;
			this.#wake();
		});
		const finish = (how) => {
			this.#over ??= how;
			this.#wake();
		};
		socket.on('end', () => finish('end'));
		socket.on('error', (error) => finish(error.code));
		socket.on('close', () => finish('close'));
	}

	static async connect(port, options = {}) {
		const socket = net.connect({
			port,
			host: '127.0.0.1',
			allowHalfOpen: true,
			...options,
		});
		const raw = new Raw(socket);
		await within(
			new Promise((resolve, reject) => {
				socket.once('connect', resolve);
				socket.once('error', reject);
			}),
			PATIENCE,
			`a connection to port ${port}`,
		);
		socket.unref(); // a connection that a failed case left must not keep the process alive
		return raw;
	}

	get over() {
		return this.#over;
	}

	// Settles when the bytes are with the kernel, or can no longer get there.
	write(data) {
		return new Promise((resolve) => {
			if (this.#socket.destroyed || !this.#socket.writable) resolve();
			else this.#socket.write(data, () => resolve());
		});
	}

	// Our FIN; reading goes on.
	end() {
		this.#socket.end();
	}

	// A client that does not read: what the kernel holds is full, and the server is left with the rest.
	pause() {
		this.#socket.pause();
	}

	resume() {
		this.#socket.resume();
	}

	reset() {
		this.#socket.resetAndDestroy();
	}

	destroy() {
		this.#socket.destroy();
	}

	#buffered() {
		if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
		return this.#chunks[0] ?? Buffer.alloc(0);
	}

	#take(length) {
		const all = this.#buffered();
		this.#chunks = [all.subarray(length)];
		this.#have = all.length - length;
		return all.subarray(0, length);
	}

	// Waits until `enough` says so or nothing more can come; whether it is enough.
	async #fill(enough, what, ms) {
		const end = Date.now() + ms;
		while (!enough()) {
			if (this.#over) return false;
			const news = new Promise((resolve) => {
				this.#wake = resolve;
			});
			await within(news, Math.max(1, end - Date.now()), what);
		}
		return true;
	}

	// Exactly so many bytes, or null when the connection ended before.
	async read(length, what = `${length} bytes`, ms = PATIENCE) {
		return (await this.#fill(() => this.#have >= length, what, ms))
			? this.#take(length)
			: null;
	}

	// The next HTTP answer, or null when the connection ended without one more byte of it.
	async answer(what = 'an HTTP answer', ms = PATIENCE, { head = false } = {}) {
		let at = -1;
		const complete = () => {
			at = this.#buffered().indexOf('\r\n\r\n');
			return at >= 0;
		};
		if (!(await this.#fill(complete, what, ms))) {
			if (this.#have > 0)
				throw new Error(
					`cut answer: ${JSON.stringify(this.#buffered().toString('latin1'))}`,
				);
			return null;
		}
		const lines = this.#take(at + 4)
			.toString('latin1')
			.trimEnd()
			.split('\r\n');
		const status = /^HTTP\/1\.[01] (\d{3})(?: .*)?$/.exec(lines.shift());
		if (!status) throw new Error('no status line in the answer');
		const headers = {};
		for (const line of lines) {
			const colon = line.indexOf(':');
			const name = line.slice(0, colon).toLowerCase();
			const value = line.slice(colon + 1).trim();
			headers[name] = name in headers ? `${headers[name]}, ${value}` : value;
		}
		const code = Number(status[1]);
		let body = Buffer.alloc(0);
		if (code >= 200 && code !== 204 && code !== 304 && !head)
			body = await this.#body(headers, ms);
		return { status: code, headers, body, text: body.toString() };
	}

	async #body(headers, ms) {
		if (/chunked/i.test(headers['transfer-encoding'] ?? ''))
			return this.#chunkedBody(ms);
		if (headers['content-length'] === undefined) {
			await this.#fill(() => false, 'the end of an answer without a length', ms);
			return this.#take(this.#have);
		}
		const body = await this.read(
			Number(headers['content-length']),
			'the body of the answer',
			ms,
		);
		if (body === null) throw new Error('the answer has fewer bytes than it says');
		return body;
	}

	async #chunkedBody(ms) {
		const parts = [];
		for (;;) {
			let at = -1;
			const line = () => (at = this.#buffered().indexOf('\r\n')) >= 0;
			if (!(await this.#fill(line, 'the next chunk', ms)))
				throw new Error('a chunked answer without its end');
			const size = parseInt(this.#take(at + 2).toString(), 16);
			const part = await this.read(size + 2, 'a chunk', ms);
			if (part === null) throw new Error('a cut chunk');
			if (size === 0) return Buffer.concat(parts);
			parts.push(part.subarray(0, size));
		}
	}

	// All answers until the connection ends.
	async answers(ms = PATIENCE) {
		const list = [];
		for (;;) {
			const answer = await this.answer('the next answer or the end', ms);
			if (answer === null) return list;
			list.push(answer);
		}
	}

	// All that still comes until the connection ends.
	async rest(what = 'the end of the connection', ms = PATIENCE) {
		await this.#fill(() => false, what, ms);
		return this.#take(this.#have);
	}

	// The server ends the connection; what it still said is dropped.
	async ended(what = 'the end of the connection', ms = PATIENCE) {
		await this.#fill(() => false, what, ms);
		this.destroy();
		return this.#over;
	}

	// The same, without touching the connection: for a server that is writing to us no more.
	whenOver(what, ms = PATIENCE) {
		return until(() => this.#over, what, ms);
	}
}
