// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// TCP between two programs with a hand on it: a Link forwards to one place, and can be cut, held still
// or slowed; a RoundRobin forwards each connection to the next of several places that takes it, as a
// load balancer below HTTP does (lib/balancer.mjs is one that sees requests).

import net from 'node:net';
import { event } from './util.mjs';

const reset = (socket) => {
	if (socket.destroyed) return;
	// A Unix socket knows no reset; and one that ends already would keep Node from exiting after it
	// (the handle cannot be reset any more, and is never closed).
	if (socket.remoteAddress && !socket.writableEnded) socket.resetAndDestroy();
	else socket.destroy();
};

class Listener {
	#server;

	async listen(serve) {
		this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, serve);
		this.#server.listen(0, '127.0.0.1', 4096);
		await event(this.#server, 'listening');
		this.port = this.#server.address().port;
		this.url = `http://127.0.0.1:${this.port}`;
	}

	async unlisten() {
		const closed = event(this.#server, 'close');
		this.#server.close();
		await closed;
	}
}

// What one socket says to another; gate: { paused, delayMs, severed }.
function splice(from, to, gate) {
	const later = (fn) => {
		if (gate.severed) return;
		if (gate.delayMs) setTimeout(fn, gate.delayMs);
		else fn();
	};
	if (gate.paused) from.pause();
	from.on('data', (bytes) =>
		later(() => {
			if (to.destroyed || to.write(bytes)) return;
			from.pause();
			to.once('drain', () => gate.paused || from.resume());
		}),
	);
	from.on('end', () => later(() => to.end()));
	from.on('error', () => {});
	from.on('close', () => later(() => to.destroyed || (from.errored ? reset(to) : to.end())));
}

export class Link extends Listener {
	#pairs = new Set();
	#paused = false;
	#delayMs = 0;
	#down = false;
	attempts = []; // when somebody connected

	// target: returns what net.connect takes.
	static async open(target) {
		const link = new Link();
		await link.listen((near) => link.#serve(near, target()));
		return link;
	}

	#serve(near, target) {
		near.on('error', () => {});
		this.attempts.push(performance.now());
		if (this.#down) {
			reset(near);
			return;
		}
		const far = net.connect({ ...target, allowHalfOpen: true, noDelay: true });
		const gate = { paused: this.#paused, delayMs: this.#delayMs, severed: false };
		const pair = { near, far, gate };
		this.#pairs.add(pair);
		let open = 2;
		for (const socket of [near, far])
			socket.on('close', () => --open || this.#pairs.delete(pair));
		far.on('error', () => reset(near));
		splice(near, far, gate);
		splice(far, near, gate);
	}

	#set(what) {
		for (const { near, far, gate } of this.#pairs) {
			Object.assign(gate, what);
			if (what.paused === undefined || gate.severed) continue;
			for (const socket of [near, far])
				if (what.paused) socket.pause();
				else socket.resume();
		}
	}

	get connections() {
		return this.#pairs.size;
	}

	// The network is silent: connections stay, and nothing gets through in either direction.
	pause() {
		this.#paused = true;
		this.#set({ paused: true });
	}

	resume() {
		this.#paused = false;
		this.#set({ paused: false });
	}

	// Each piece takes so long. 0: as fast as it can be.
	slow(ms) {
		this.#delayMs = ms;
		this.#set({ delayMs: ms });
	}

	// Resets all connections.
	cut() {
		for (const { near, far } of [...this.#pairs]) {
			reset(near);
			reset(far);
		}
	}

	// Resets all connections at the near end alone: the far end hears nothing of it.
	sever() {
		this.#set({ severed: true });
		for (const { near } of [...this.#pairs]) reset(near);
	}

	// New connections are reset until up().
	refuse() {
		this.#down = true;
	}

	down() {
		this.refuse();
		this.cut();
	}

	up() {
		this.#down = false;
	}

	async close() {
		this.down();
		await this.unlisten();
	}
}

export class RoundRobin extends Listener {
	#next = 0;
	#sockets = new Set();

	// targets: returns the list of the places, each as net.connect takes it.
	static async open(targets) {
		const balancer = new RoundRobin();
		await balancer.listen((near) => {
			near.on('error', () => {});
			balancer.#sockets.add(near);
			near.on('close', () => balancer.#sockets.delete(near));
			balancer.#connect(near, targets(), 0);
		});
		return balancer;
	}

	// What refuses is passed over.
	#connect(near, targets, tried) {
		if (near.destroyed) return;
		if (tried === targets.length) {
			reset(near);
			return;
		}
		const far = net.connect(targets[this.#next++ % targets.length]);
		const refused = () => this.#connect(near, targets, tried + 1);
		far.once('error', refused);
		far.once('connect', () => {
			far.off('error', refused);
			this.#sockets.add(far);
			far.on('close', () => this.#sockets.delete(far));
			splice(near, far, {});
			splice(far, near, {});
			if (near.destroyed) far.destroy();
		});
	}

	async close() {
		for (const socket of this.#sockets) socket.destroy();
		await this.unlisten();
	}
}
