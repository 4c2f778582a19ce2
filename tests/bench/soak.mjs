// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// A mixed load on several instances behind a balancer, and a fault every so often. What each tab hears is
// compared with what was done: the table at the end counts what was lost, repeated, out of order, not as
// the service said it, or left unfinished, and all of that must be 0.
//
// Usage: node tests/bench/soak.mjs [--seconds 1800] [--fault-every 60] [--users 12] [--tabs 2] [--nodes 3] [--seed 1]
// with the environment of the tests in tests/integration, where npm ci must have been run. The exit
// status is 1 when something is not 0.

import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Burst } from '../integration/lib/burst.mjs';
import { Tab } from '../integration/lib/chat.mjs';
import { Cluster } from '../integration/lib/cluster.mjs';
import { until } from '../integration/lib/util.mjs';

const TRANSPORTS = [['websocket'], ['polling', 'websocket'], ['websocket'], ['polling']];
const MODES = ['utf8-60-15', '40-25', 'split-50-10', '200-5', '5-100', '1-1'];
const QUIET_MS = 60000; // for all to come to rest at the end

// Numbers that look random, the same for the same seed (mulberry32).
function dice(seed) {
	let state = seed >>> 0;
	return (n) => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = Math.imul(state ^ (state >>> 15), state | 1);
		t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
		return ((t ^ (t >>> 14)) >>> 0) % n;
	};
}

// Each undoes itself.
const FAULTS = {
	'SIGKILL and restart': async (cluster, node) => {
		await node.daemon.kill();
		await delay(1000);
		await node.start();
	},
	'listeners killed': (cluster) => cluster.killListeners(),
	'PostgreSQL restarted': async (cluster) => {
		await cluster.database.kill();
		await cluster.database.up();
	},
	'SIGSTOP for 8 s': async (cluster, node) => {
		node.daemon.signal('SIGSTOP');
		await delay(8000);
		node.daemon.signal('SIGCONT');
	},
	'network cut for 3 s': async (cluster, node) => {
		node.link.down();
		await delay(3000);
		node.link.up();
	},
	'network silent for 4 s': async (cluster, node) => {
		node.link.pause();
		await delay(4000);
		node.link.resume();
	},
	'rolling restart': async (cluster) => {
		for (const node of cluster.nodes) {
			await node.drain();
			await node.start();
			await node.becomesReady();
		}
	},
};

class Soak {
	#roll;
	#on = true;
	sent = []; // { streamId, content, conversationId, messageId, … }
	problems = [];
	stops = 0;
	joins = 0;
	typed = 0;

	constructor(cluster, options) {
		this.cluster = cluster;
		this.options = options;
		this.#roll = dice(options.seed);
	}

	#pick(list) {
		return list[this.#roll(list.length)];
	}

	// Each user has a conversation that the next one takes part in; one belongs to all.
	async populate() {
		const { users: n, tabs } = this.options;
		this.burst = await Burst.prepare(this.cluster.database);
		this.users = [];
		for (let i = 0; i < n; i++) {
			const name = `user-${i}`;
			const tab = await Tab.open(this.cluster.nodes[i % this.cluster.nodes.length], name);
			this.users.push({ name, own: await tab.create(), spare: await tab.create(), tab });
		}
		const [first] = this.users;
		this.common = await first.tab.create();
		for (const [i, { own, tab, name }] of this.users.entries()) {
			const userId = this.users[(i + 1) % n].name;
			await tab.ok('conversation:share', { conversationId: own, userId, role: 'editor' });
			if (tab !== first.tab)
				await first.tab.ok('conversation:share', {
					conversationId: this.common,
					userId: name,
					role: 'viewer',
				});
		}
		for (const { tab } of this.users) await tab.close();
		this.checker = this.cluster.checker();
		for (const [i, user] of this.users.entries()) {
			user.tabs = [];
			const join = [this.common, user.own, this.users[(i + n - 1) % n].own];
			for (let k = 0; k < tabs; k++)
				user.tabs.push(
					await this.checker.watch(this.cluster, user.name, {
						mode: (i + k) % 2 ? 'full' : 'delta',
						join,
						hears: { [this.common]: null, [user.name]: null },
						options: { transports: TRANSPORTS[(i * tabs + k) % TRANSPORTS.length] },
					}),
				);
		}
	}

	// Numbered events that other programs make. In the longest fault fewer than a recovery brings back
	// (chat.recovery_max_events).
	async #write(target, pauseMs) {
		for (let to = 50; ; to += 50) {
			await this.burst.run({ ...target, to, pauseMs, big: 70 });
			if (!this.#on) return to;
		}
	}

	// What a user does.
	async #live(user) {
		while (this.#on) {
			const tab = this.#pick(user.tabs);
			const content = `${randomUUID()} [[mock-${this.#pick(MODES)}]]`;
			const messageId = randomUUID();
			const conversationId = user.own;
			tab.socket.emit('typing:start', conversationId);
			this.typed++;
			const ack = await tab.insist('message:send', { conversationId, content, messageId });
			if (!ack.ok) throw new Error(`message:send: ${JSON.stringify(ack.error)}`);
			const { streamId } = ack;
			this.sent.push({ ...ack, content, conversationId, messageId });
			const other = this.#pick(user.tabs);
			if (this.#roll(8) === 0) {
				await other.insist('message:stop', { conversationId, streamId });
				this.stops++;
			}
			if (this.#roll(3) > 0) {
				const { lapses } = other;
				const answer = other.answer(streamId);
				await other.until(
					() => answer.closed.length > 0 || other.lapses > lapses,
					() => `the end of ${streamId}`,
					QUIET_MS,
				);
				continue;
			}
			// While the answer runs.
			await other.insist('join:conversation', user.spare);
			await other.insist('conversation:update', {
				conversationId: user.spare,
				update: { title: messageId },
			});
			await other.insist('leave:conversation', user.spare);
			this.joins++;
			await delay(this.#roll(1000));
		}
	}

	async run() {
		const { seconds, faultEvery, log } = this.options;
		const end = performance.now() + seconds * 1000;
		const writing = [
			this.#write({ conversation: this.common }, 150),
			...this.users.map(({ name }) => this.#write({ user: name }, 400)),
		];
		// Who is in trouble does no more.
		const living = this.users.map((user) =>
			this.#live(user).catch((error) => this.problems.push(error.message)),
		);
		const all = Promise.all([...writing, ...living]);
		all.catch(() => {});
		const over = (async () => {
			this.faults = [];
			const names = Object.keys(FAULTS);
			for (let i = 0; ; i++) {
				const at = performance.now() + faultEvery * 1000;
				if (at > end) break;
				await delay(at - performance.now());
				const name = names[i % names.length];
				const node = this.#pick(this.cluster.nodes);
				log(`${Math.round((end - performance.now()) / 1000)} s to go: ${name}`);
				await FAULTS[name](this.cluster, node);
				this.faults.push(name);
			}
			await delay(Math.max(0, end - performance.now()));
		})();
		await Promise.race([Promise.all([over, all]), over]);
		this.#on = false;
		await this.cluster.mend();
		const written = await all;
		this.numbers = new Map([
			[this.common, written[0]],
			...this.users.map(({ name }, i) => [name, written[i + 1]]),
		]);
	}

	// The figures of the table. Those in `bad` must be 0.
	async judge() {
		const { cluster, checker, sent } = this;
		const bad = { lost: 0, strange: 0, repeated: 0, inverted: 0 };
		let heard = 0;
		const { problems } = this;
		const note = (error) => problems.push(error.message);
		for (const [track, n] of this.numbers) {
			await checker.reached(track, n, QUIET_MS).catch(note);
			const { heard: some, ...rest } = checker.count(track, n);
			heard += some;
			for (const [key, value] of Object.entries(rest)) bad[key] += value;
		}
		const inRoom = (id) => checker.watchers.filter((w) => w.joins.has(id));
		const silent = [];
		// Who began anew may have missed a whole answer.
		for (const { streamId, conversationId } of sent)
			for (const w of inRoom(conversationId).filter((v) => v.lapses > 0)) {
				const answer = w.answer(streamId);
				answer.lapsed ||= !answer.begun && answer.text === null && !answer.closed.length;
			}
		const ended = sent.flatMap(({ streamId, conversationId }) =>
			inRoom(conversationId)
				.filter((w) => !w.answer(streamId).lapsed)
				.map((w) => w.closed(streamId, QUIET_MS).catch((error) => silent.push({ streamId, error }))),
		);
		await Promise.all(ended);
		for (const { streamId, error } of silent) {
			const rows = await cluster.sql(`SELECT status, updated_at, length(content)
				FROM parlance.message WHERE stream = '${streamId}'`);
			problems.push(`${error.message}; it is ${rows.join()}`);
		}
		const records = await cluster.recorder.recorded(sent.map((s) => s.content));
		const said = new Map(sent.map(({ streamId }, i) => [streamId, records[i].text]));
		const faults = checker.faults((stream) => said.get(stream) ?? null);
		problems.push(...faults);
		bad['answers not exact or not closed once'] = faults.length;
		bad['asked more than once'] = records.filter((r) => r.requests > 1).length;
		bad['acknowledged, but not stored'] = await this.#missing();
		// What a fenced instance still wrote belongs to nobody, and is cleared now and then.
		await cluster.sql('SELECT parlance.maintain()');
		const [[open, generations, parts]] = await cluster.sql(`SELECT
			(SELECT count(*) FROM parlance.message WHERE status IN ('pending', 'streaming')),
			(SELECT count(*) FROM parlance.generation),
			(SELECT count(*) FROM parlance.message_part)`);
		bad['messages left streaming'] = Number(open);
		bad['generations left'] = Number(generations);
		bad['parts left'] = Number(parts);
		bad['connections not recovered'] = checker.watchers.reduce((n, w) => n + w.lapses, 0);
		for (const { failure } of checker.watchers) if (failure) note(failure);
		bad['other problems'] = problems.length - faults.length;
		const states = Object.fromEntries(
			await cluster.sql(`SELECT status, count(*) FROM parlance.message
				WHERE role = 'assistant' GROUP BY 1 ORDER BY 1`),
		);
		const sum = (fn) => checker.watchers.reduce((n, w) => n + fn(w), 0);
		const good = {
			tabs: checker.watchers.length,
			faults: this.faults.length,
			'events heard': sum((w) => w.events),
			'numbered events heard': heard,
			'messages sent': sent.length,
			stops: this.stops,
			'joins and updates': this.joins,
			'typing': this.typed,
			...Object.fromEntries(Object.entries(states).map(([k, v]) => [`answers ${k}`, v])),
			'connections recovered': sum((w) => w.recoveries),
		};
		return { good, bad, problems };
	}

	// In pieces: the statement is an argument of a program.
	async #missing() {
		let missing = 0;
		for (let i = 0; i < this.sent.length; i += 500) {
			const values = this.sent
				.slice(i, i + 500)
				.map((s) => `('${s.userMessage.id}'::uuid, '${s.content}')`);
			const [[n]] = await this.cluster.sql(`SELECT count(*) FROM (VALUES ${values}) v (id, content)
				LEFT JOIN parlance.message m ON m.id = v.id AND m.content = v.content
				WHERE m.id IS NULL`);
			missing += Number(n);
		}
		return missing;
	}
}

export async function soak({
	seconds = 1800,
	faultEvery = 60,
	users = 12,
	tabs = 2,
	nodes = 3,
	seed = 1,
	log = () => {},
} = {}) {
	const cluster = await Cluster.start({ n: nodes, ai: true });
	let failure;
	try {
		const soaking = new Soak(cluster, { seconds, faultEvery, users, tabs, seed, log });
		await soaking.populate();
		await soaking.run();
		return await soaking.judge();
	} catch (error) {
		failure = error;
		throw error;
	} finally {
		await cluster.stop().catch((error) => {
			if (!failure) throw error;
		});
	}
}

export function table({ good, bad, problems }) {
	const line = ([key, value]) => `${key.padEnd(40)} ${String(value).padStart(10)}`;
	return [
		...Object.entries(good).map(line),
		'',
		'must be 0:',
		...Object.entries(bad).map(line),
		...problems.slice(0, 40).map((p) => `! ${p}`),
	].join('\n');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const text = (name) => ({ [name]: { type: 'string' } });
	const { values } = parseArgs({
		options: Object.assign(
			{},
			...['seconds', 'fault-every', 'users', 'tabs', 'nodes', 'seed'].map(text),
		),
	});
	const options = Object.fromEntries(
		Object.entries(values).map(([key, value]) => [
			key === 'fault-every' ? 'faultEvery' : key,
			Number(value),
		]),
	);
	const result = await soak({ ...options, log: (line) => console.log(line) });
	console.log(table(result));
	process.exitCode = Object.values(result.bad).some(Boolean) ? 1 : 0;
}
