// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A WebSocket client with a queue: frames are texts or Buffers in order, null is the end.

import WebSocket from 'ws';
import { Inbox, PATIENCE, within } from './util.mjs';

export class Socket {
	#inbox = new Inbox();
	#ws;

	constructor(url, options) {
		this.#ws = new WebSocket(url, { perMessageDeflate: false, ...options });
		this.opened = new Promise((resolve, reject) => {
			this.#ws.once('open', resolve);
			this.#ws.once('error', reject);
		});
		this.opened.catch(() => {});
		this.closed = new Promise((resolve) => this.#ws.once('close', resolve));
		this.#ws.on('error', () => {}); // a refusal ends in "close" too
		this.#ws.on('message', (data, binary) =>
			this.#inbox.push(binary ? data : data.toString()),
		);
		this.#ws.on('close', () => this.#inbox.end());
	}

	static async open(url, options) {
		const socket = new Socket(url, options);
		await within(socket.opened, PATIENCE, `the WebSocket ${url}`);
		return socket;
	}

	send(data) {
		this.#ws.send(data);
	}

	next(what, ms) {
		return this.#inbox.next(what, ms);
	}

	// The next frame that is not the server's ping; pings are answered.
	async nextData(what, ms) {
		for (;;) {
			const frame = await this.next(what, ms);
			if (frame !== '2') return frame;
			this.send('3');
		}
	}

	whenClosed(ms = PATIENCE) {
		return within(this.closed, ms, 'the close of the WebSocket');
	}

	async close() {
		this.#ws.close();
		await this.whenClosed();
	}

	terminate() {
		this.#ws.terminate();
	}
}
