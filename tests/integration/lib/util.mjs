// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Waiting: everything a test waits for has a deadline and a name, so that a failure says what did
// not happen. Times are milliseconds. The default is far above what a healthy server needs, since
// the machine may be busy and the server may run under sanitizers.

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

export const PATIENCE = 10000;

// what: a text, or a function that makes one when the time is over.
export async function within(promise, ms, what) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => {
			const text = typeof what === 'function' ? what() : what;
			reject(new Error(`not within ${ms} ms: ${text}`));
		}, ms);
	});
	try {
		return await Promise.race([promise, late]);
	} finally {
		clearTimeout(timer);
	}
}

// Asks again until the answer is truthy, for states that announce themselves by no event.
export async function until(probe, what, ms = PATIENCE) {
	const end = Date.now() + ms;
	for (;;) {
		const value = await probe();
		if (value) return value;
		if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
		await delay(20);
	}
}

// Does each of these though one before it failed, so that a hook leaves nothing behind that would keep
// the file from its end.
export async function each(...steps) {
	const outcomes = [];
	for (const step of steps) outcomes.push(...(await Promise.allSettled([step()])));
	for (const { reason } of outcomes) if (reason) throw reason;
}

// The arguments of the next `event` of an emitter.
export function event(emitter, name, ms = PATIENCE) {
	let listener;
	const seen = new Promise((resolve) => {
		listener = (...args) => resolve(args);
		emitter.once(name, listener);
	});
	return within(seen, ms, `event "${name}"`).finally(() => emitter.off(name, listener));
}

// Lets what was written leave before the next piece is written: one turn of the event loop.
export function turn() {
	return new Promise((resolve) => setImmediate(resolve));
}

// A queue of what arrived, so that nothing is lost between two waits. `null` is the end.
export class Inbox {
	#items = [];
	#waiter = null;
	#ended = false;

	push(item) {
		assert.ok(!this.#ended, 'an item after the end');
		this.#items.push(item);
		this.#waiter?.();
	}

	end() {
		this.#ended = true;
		this.#waiter?.();
	}

	get ended() {
		return this.#ended;
	}

	async next(what = 'a message', ms = PATIENCE) {
		if (this.#items.length === 0 && !this.#ended) {
			const arrival = new Promise((resolve) => {
				this.#waiter = resolve;
			});
			await within(arrival, ms, what).finally(() => {
				this.#waiter = null;
			});
		}
		return this.#items.length > 0 ? this.#items.shift() : null;
	}
}
