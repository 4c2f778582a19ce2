// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Bursts of changes that other programs make in the database, heard on three instances while their
// connections break, PostgreSQL crashes, or they cannot keep up: each tab hears each event once and in
// order. Half of the tabs have joined the conversations, half hear as participants.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Burst, outside } from './lib/burst.mjs';
import { Tab } from './lib/chat.mjs';
import { clusterFor } from './lib/cluster.mjs';

let cluster;
let burst;
let checker;
clusterFor({ before, after }, { n: 3 }, async (started) => {
	cluster = started;
	burst = await Burst.prepare(cluster.database);
});
beforeEach(() => cluster.mend());
afterEach(() => checker?.close());

// Two users who share conversations, and tabs of theirs on the first instances.
let stages = 0;
async function stage({ instances = 3, conversations = 4 } = {}) {
	const [reader, guest] = [`reader-${++stages}`, `guest-${stages}`];
	const tab = await Tab.open(cluster.nodes[0], reader);
	const ids = [];
	for (let i = 0; i < conversations; i++) {
		const id = await tab.create();
		await tab.ok('conversation:share', { conversationId: id, userId: guest, role: 'editor' });
		ids.push(id);
	}
	await tab.close();
	checker = cluster.checker();
	const hearing = (pick) => Object.fromEntries(ids.map((id) => [id, pick]));
	for (const node of cluster.nodes.slice(0, instances)) {
		await checker.watch(node, reader, { join: ids, hears: hearing(null) });
		await checker.watch(node, guest, { hears: { ...hearing(outside), [guest]: null } });
	}
	return { ids, guest };
}

// A burst of so many events on each track, and, when it is under way, the fault.
async function disturbed(fault, { each = 300, pauseMs = 20, big = 60, ...size } = {}) {
	const { ids, guest } = await stage(size);
	const writing = [
		...ids.map((conversation) => burst.run({ conversation, to: each, big, pauseMs })),
		burst.run({ user: guest, to: each, big, pauseMs }),
	];
	const written = Promise.all(writing);
	const disturb = checker.begun(ids[0], each / 10).then(() => fault({ ids, guest }));
	await Promise.all([written, disturb]);
	let heard = 0;
	for (const track of [...ids, guest]) heard += await checker.exact(track, each);
	return heard;
}

describe('events of other programs come to all instances once and in order', () => {
	it('ten thousand in many conversations', async () => {
		const { ids, guest } = await stage({ conversations: 8 });
		await Promise.all([
			...ids.map((conversation) => burst.run({ conversation, to: 1000, big: 100 })),
			burst.run({ user: guest, to: 2000, writers: 2 }),
		]);
		let heard = 0;
		for (const id of ids) heard += await checker.exact(id, 1000);
		heard += await checker.exact(guest, 2000);
		// Three tabs hear all, three hear two thirds of the conversations' and the user's.
		assert.ok(heard >= 3 * 8000 + 3 * (5300 + 2000), `${heard}`);
	});

	it('thousands in one conversation, by four writers', async () => {
		const { ids } = await stage({ conversations: 1, instances: 2 });
		await burst.run({ conversation: ids[0], to: 3000, writers: 4 });
		await checker.exact(ids[0], 3000);
	});

	it('while each is over 8 kB', async () => {
		const { ids, guest } = await stage({ conversations: 2 });
		await Promise.all([
			...ids.map((conversation) => burst.run({ conversation, to: 150, big: 1 })),
			burst.run({ user: guest, to: 150, big: 1 }),
		]);
		for (const track of [...ids, guest]) await checker.exact(track, 150);
	});

	it('while the listening connections are ended again and again', () =>
		disturbed(async ({ ids }) => {
			for (const n of [30, 100, 150, 200, 250]) {
				await checker.begun(ids[0], n);
				await cluster.killListeners();
			}
		}));

	it('while the listening connections break without a word', () =>
		disturbed(async () => {
			for (let i = 0; i < 3; i++) {
				for (const node of cluster.nodes) node.link.cut();
				await delay(100);
			}
		}));

	it('while PostgreSQL crashes, twice', () =>
		disturbed(async ({ ids }) => {
			for (const n of [30, 150]) {
				await checker.begun(ids[0], n, 60000);
				await cluster.database.kill();
				await cluster.database.up();
			}
		}));

	it('while one instance cannot reach PostgreSQL', () =>
		disturbed(async () => {
			const { link } = cluster.nodes[1];
			link.down();
			await delay(2000);
			link.up();
		}));

	it('while the network to one instance is silent', () =>
		disturbed(async () => {
			const { link } = cluster.nodes[2];
			link.pause();
			await delay(4000);
			link.resume();
		}));

	it('while one instance is slow, and another is stopped for a while', () =>
		disturbed(async () => {
			const [slow, , stopped] = cluster.nodes;
			slow.link.slow(150);
			stopped.daemon.signal('SIGSTOP');
			await delay(3000);
			stopped.daemon.signal('SIGCONT');
			await delay(500);
			slow.link.slow(0);
		}));

	it('while a transaction stays open, whose own events come when it commits', async () => {
		const { ids } = await stage({ conversations: 3 });
		const [held, ...others] = ids;
		const commit = await cluster.database.hold(
			`SELECT one('title', '${held}', n, n = 3) FROM generate_series(1, 5) n`,
		);
		const over = await cluster.database.hold('SELECT count(*) FROM parlance.event');
		await Promise.all(
			others.map((conversation) => burst.run({ conversation, to: 300, big: 50 })),
		);
		for (const track of others) await checker.exact(track, 300);
		assert.equal(checker.count(held, 5).heard, 0);
		await commit();
		await checker.exact(held, 5);
		await over();
	});
});
