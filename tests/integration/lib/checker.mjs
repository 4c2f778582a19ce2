// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Clients that count: of numbered events, those that are missing, came twice, or came out of order;
// of answers, whether the text is what the service said and whether each was closed once. A Watcher is
// an unmodified socket.io-client; a Checker has many, and adds up.
//
// A numbered event belongs to a line of them ("track") with numbers from 1. It carries both in one of
// three ways, so that all kinds of events of a room can share a track:
//   conversation:updated   its title is "#N …"; the track is the conversation
//   message:new            its content is "#N …"; the track is the conversation
//   app:…                 { track, n }

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { io } from 'socket.io-client';
import { token } from './chat.mjs';
import { secretsOf } from './secrets.mjs';
import { PATIENCE, event, until, within } from './util.mjs';

const NUMBER = /^#(\d+)/;

function numberOf(name, data) {
	const text =
		name === 'message:new' ? data.message.content
		: name === 'conversation:updated' ? data.update.title
		: undefined;
	const match = text === undefined ? null : NUMBER.exec(text);
	if (match) return { track: data.conversationId, n: Number(match[1]) };
	return name.startsWith('app:') ? data : null;
}

class Track {
	seen = new Set();
	last = 0;
	repeated = 0;
	inverted = 0;
	gaps = []; // [first, last] of what was not heard, and need not be
	#anew = false;

	add(n) {
		if (this.#anew) {
			this.gaps.push([this.last + 1, n - 1]);
			this.#anew = false;
		}
		if (this.seen.has(n)) {
			this.repeated++;
			return;
		}
		if (n < this.last) this.inverted++;
		else this.last = n;
		this.seen.add(n);
	}

	// A new session: what came between is not told.
	anew() {
		this.#anew = true;
	}

	excused(n) {
		return this.gaps.some(([first, last]) => n >= first && n <= last);
	}
}

// An answer as one socket hears it.
class Answer {
	text = null; // null: it has heard nothing of the text
	seq = 0;
	begun = 0;
	snapshots = 0;
	chunks = 0;
	hushed = 0; // ai:typing:stop
	closed = []; // the closing events: [name, data]
	cut = false; // the connection was lost: pieces are missing until a snapshot comes
	lapsed = false; // the socket began anew before the end
	faults = [];

	hear(name, data, mode) {
		switch (name) {
		case 'ai:typing:start':
			this.begun++;
			break;
		case 'message:snapshot':
			this.snapshots++;
			this.cut = false;
			this.text = data.content;
			this.seq = data.seq;
			break;
		case 'message:chunk':
			this.#chunk(data, mode);
			break;
		case 'ai:typing:stop':
			this.hushed++;
			break;
		default:
			this.closed.push([name, data]);
		}
		if (this.closed.length && name !== 'message:complete' && name !== 'message:error')
			this.faults.push(`${name} after the end`);
	}

	#chunk({ seq, offset, chunk, content }, mode) {
		const have = this.text ?? '';
		if (seq !== this.seq + 1) this.faults.push(`chunk ${seq} follows ${this.seq}`);
		if (offset !== have.length) this.faults.push(`offset ${offset} follows ${have.length}`);
		this.chunks++;
		this.seq = seq;
		this.text = have + chunk;
		if (mode === 'full' && content !== this.text)
			this.faults.push(`content of chunk ${seq} is not the text so far`);
	}

	// What is wrong with an answer that has ended. said: what the service said; null: not known.
	verdict(said) {
		if (this.lapsed) return [];
		const faults = [...this.faults];
		if (this.closed.length !== 1) faults.push(`${this.closed.length} closing events`);
		if (this.hushed !== 1) faults.push(`${this.hushed} times ai:typing:stop`);
		if (this.begun > 1) faults.push(`${this.begun} times ai:typing:start`);
		const final = this.closed[0]?.[1].assistantMessage;
		if (!final) return faults;
		const text = this.text ?? final.content;
		// What others ended, with what was stored, may be behind what tabs have heard; and a text
		// that the service sent is not yet one that was heard.
		const whole = final.status === 'complete';
		const exact = whole && !this.cut;
		if (exact ? text !== final.content : !alike(text, final.content))
			faults.push(`heard ${show(text)}, stored ${show(final.content)}`);
		if (said !== null && (whole ? final.content !== said : !said.startsWith(final.content)))
			faults.push(`stored ${show(final.content)}, the service said ${show(said)}`);
		return faults;
	}
}

const alike = (a, b) => a.startsWith(b) || b.startsWith(a);
const show = (text) => `${text.length}: …${JSON.stringify(text.slice(-30))}`;

const OF_ANSWERS = new Set([
	'ai:typing:start',
	'message:snapshot',
	'message:chunk',
	'ai:typing:stop',
	'message:complete',
	'message:error',
]);

export class Watcher {
	tracks = new Map();
	answers = new Map(); // by stream
	ready = 0; // session:ready
	recoveries = 0; // those of them that said recovered
	lapses = 0; // those that did not, but the first
	disconnects = [];
	events = 0;
	#waiters = new Set();

	// place: has a url. join: conversations, which it enters again in a session that is new.
	static async open(place, user, { mode = 'delta', options = {}, join = [] } = {}) {
		const watcher = new Watcher();
		watcher.user = user;
		watcher.mode = mode;
		watcher.joins = new Set(join);
		const socket = io(place.url, {
			auth: (give) => give({ token: token(user), stream: mode }),
			forceNew: true,
			transports: ['websocket'],
			reconnectionDelay: 50,
			reconnectionDelayMax: 1000,
			...options,
		});
		watcher.socket = socket;
		socket.onAny((name, data) => watcher.#hear(name, data));
		socket.on('disconnect', (reason) => {
			watcher.disconnects.push(reason);
			for (const answer of watcher.answers.values()) answer.cut ||= !answer.closed.length;
		});
		try {
			await watcher.until(() => watcher.ready > 0, () => 'session:ready');
			for (const id of join) await watcher.ok('join:conversation', id);
		} catch (error) {
			socket.disconnect();
			throw error;
		}
		return watcher;
	}

	#hear(name, data) {
		this.events++;
		if (OF_ANSWERS.has(name)) this.answer(data.streamId).hear(name, data, this.mode);
		else if (name === 'session:ready') this.#connected(data);
		else {
			const numbered = numberOf(name, data);
			if (numbered) this.track(numbered.track).add(numbered.n);
		}
		for (const waiter of this.#waiters) waiter();
	}

	#connected({ recovered }) {
		this.ready++;
		if (recovered) this.recoveries++;
		else if (this.ready > 1) this.#anew();
	}

	// Its connection was not recovered: it enters its rooms again, and does not know what it missed.
	#anew() {
		this.lapses++;
		for (const track of this.tracks.values()) track.anew();
		for (const answer of this.answers.values()) answer.lapsed ||= answer.closed.length === 0;
		for (const id of this.joins)
			this.insist('join:conversation', id).catch((error) => {
				this.failure ??= error;
			});
	}

	track(name) {
		if (!this.tracks.has(name)) this.tracks.set(name, new Track());
		return this.tracks.get(name);
	}

	answer(stream) {
		if (!this.answers.has(stream)) this.answers.set(stream, new Answer());
		return this.answers.get(stream);
	}

	// Resolves when the condition holds after something that was heard.
	async until(condition, what, ms = PATIENCE) {
		if (condition()) return;
		let waiter;
		const met = new Promise((done) => {
			waiter = () => condition() && done();
			this.#waiters.add(waiter);
		});
		try {
			await within(met, ms, () => `${what()} for ${this.user}`);
		} finally {
			this.#waiters.delete(waiter);
		}
	}

	// Resolves when the track has come to n.
	reached(track, n, ms) {
		const line = this.track(track);
		const what = () => `number ${n} of ${track} (it is at ${line.last})`;
		return this.until(() => line.last >= n, what, ms);
	}

	closed(stream, ms = 30000) {
		const answer = this.answer(stream);
		return this.until(() => answer.closed.length > 0, () => `the end of ${stream}`, ms);
	}

	async ok(name, ...args) {
		secretsOf(args);
		const ack = await within(
			this.socket.emitWithAck(name, ...args),
			PATIENCE,
			`the acknowledgement of ${name}`,
		);
		assert.equal(ack.ok, true, `${name}: ${JSON.stringify(ack.error)}`);
		return ack;
	}

	// The same until it is done, whatever the state of the connection and of the server; with a name
	// of its own (messageId, id) it is done once. Returns the acknowledgement.
	async insist(name, argument, ms = 60000) {
		secretsOf(argument);
		const attempt = async () => {
			let ack;
			try {
				ack = await this.socket.timeout(5000).emitWithAck(name, argument);
			} catch {
				return null; // no answer, or the connection was lost
			}
			if (ack.ok || !ack.error.retryable) return ack;
			await delay(Math.min(ack.error.retryAfterMs ?? 100, 1000));
			return null;
		};
		return until(attempt, `${name} of ${this.user}`, ms);
	}

	async close() {
		if (!this.socket.connected) {
			this.socket.disconnect();
			return;
		}
		const gone = event(this.socket, 'disconnect');
		this.socket.disconnect();
		await gone;
	}
}

export class Checker {
	watchers = [];

	// hears: the tracks that it must hear, as { track: null } for all numbers of it, or with a
	// function that picks those.
	async watch(place, user, { hears = {}, ...options } = {}) {
		const watcher = await Watcher.open(place, user, options);
		watcher.hears = new Map(Object.entries(hears));
		this.watchers.push(watcher);
		return watcher;
	}

	#hearing(track) {
		return this.watchers.filter((w) => w.hears.has(track));
	}

	// The first of them has come to n: the burst is under way.
	async begun(track, n, ms = 30000) {
		await Promise.any(this.#hearing(track).map((w) => w.reached(track, n, ms)));
	}

	// All that must hear number n of the track have come to it, or to what they must hear before it.
	async reached(track, n, ms = 60000) {
		await Promise.all(
			this.#hearing(track).map((w) => {
				const pick = w.hears.get(track);
				let last = n;
				while (pick && last > 0 && !pick(last)) last--;
				return w.reached(track, last, ms);
			}),
		);
	}

	// What all of them together heard of numbers 1 to n of the track.
	count(track, n) {
		const sum = { heard: 0, lost: 0, strange: 0, repeated: 0, inverted: 0 };
		for (const w of this.#hearing(track)) {
			const { seen, repeated, inverted } = w.track(track);
			const pick = w.hears.get(track) ?? (() => true);
			let due = 0; // of what was heard
			let lost = 0;
			for (let i = 1; i <= n; i++) {
				if (!pick(i)) continue;
				if (seen.has(i)) due++;
				else if (!w.track(track).excused(i)) lost++;
			}
			sum.heard += seen.size;
			sum.lost += lost;
			sum.strange += seen.size - due;
			sum.repeated += repeated;
			sum.inverted += inverted;
		}
		return sum;
	}

	// All have come to n, each number once and in order.
	async exact(track, n, ms) {
		await this.reached(track, n, ms).catch((error) => {
			const sum = JSON.stringify(this.count(track, n));
			throw new Error(`${error.message}; all together: ${sum}`);
		});
		const { heard, ...rest } = this.count(track, n);
		assert.deepEqual(rest, { lost: 0, strange: 0, repeated: 0, inverted: 0 }, track);
		return heard;
	}

	// The faults of all answers that were heard. said: a function from a stream to what the service
	// said, or to null.
	faults(said = () => null) {
		const faults = [];
		for (const w of this.watchers)
			for (const [stream, answer] of w.answers)
				for (const fault of answer.verdict(said(stream)))
					faults.push(`${w.user}, ${stream}: ${fault}`);
		return faults;
	}

	async close() {
		await Promise.all(this.watchers.map((w) => w.close()));
		this.watchers.length = 0;
	}
}
