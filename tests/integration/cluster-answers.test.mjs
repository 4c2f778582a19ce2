// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Answers as they are seen from other instances than the one that makes them: byte for byte what the
// service said, each piece once, and one end, whatever breaks in the middle.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { assertQuiet, listed } from './lib/answers.mjs';
import { Tab } from './lib/chat.mjs';
import { clusterFor } from './lib/cluster.mjs';
import { until } from './lib/util.mjs';

// What a dead instance leaves behind is ended so soon, and a moment to hear of it.
const REAPED = 10000 + 2000;

let cluster;
let checker;
const tabs = [];
clusterFor({ before, after }, { n: 3, ai: true }, (started) => {
	cluster = started;
});
beforeEach(() => cluster.mend());
afterEach(async () => {
	for (const tab of tabs.splice(0)) await tab.close();
	await checker?.close();
});

// A conversation with a tab on node `home`, and watchers of it: on each node one of each mode.
async function scene(home = 0, { watched = true } = {}) {
	const user = `user-${randomUUID().slice(0, 8)}`;
	const sender = await Tab.open(cluster.nodes[home], user, {
		auth: { stream: 'delta' },
		options: { transports: ['websocket'] },
	});
	tabs.push(sender);
	const s = { user, sender, id: await sender.create(), watchers: [] };
	checker = cluster.checker();
	if (watched)
		await Promise.all(
			cluster.nodes.flatMap((node) =>
				['full', 'delta'].map((mode) => watch(s, node, mode)),
			),
		);
	return s;
}

async function watch(s, node, mode) {
	const watcher = await checker.watch(node, s.user, { mode, join: [s.id] });
	watcher.node = node;
	watcher.place = `${mode} on node ${cluster.nodes.indexOf(node)}, number ${s.watchers.length}`;
	s.watchers.push(watcher);
	return watcher;
}

// said: what the service is known to say; else the recorder knows.
async function ask(s, mode, { tab = s.sender, said } = {}) {
	const content = `question ${randomUUID()} [[mock-${mode}]]`;
	const ack = await tab.ok('message:send', { conversationId: s.id, content });
	return { ...ack, content, said };
}

// All watchers have heard some of the answer.
const flowing = (s, { streamId }, chunks = 1) =>
	Promise.all(
		s.watchers.map((w) =>
			w.until(
				() => w.answer(streamId).chunks >= chunks,
				() => `${chunks} chunks (${w.answer(streamId).chunks} came)`,
			),
		),
	);

// Whatever was to come has come.
let marks = 0;
async function settled(s) {
	const track = `mark ${++marks}`;
	await cluster.sql(`SELECT parlance.publish_to_conversation('${s.id}', 'app:mark',
		'{"track":"${track}","n":1}')`);
	for (const w of s.watchers) await w.reached(track, 1);
}

// The answer has ended in the same way for all watchers, once; returns its closing event.
async function ended(s, { streamId, content, said }, watchers = s.watchers, ms = 30000) {
	await Promise.all(watchers.map((w) => w.closed(streamId, ms)));
	await settled({ ...s, watchers });
	const record = await until(async () => {
		const r = await cluster.recorder.of(content);
		return r.open === 0 && r;
	}, 'the service has ended');
	assert.equal(record.requests, 1, 'the service was asked once');
	const [closing] = watchers[0].answer(streamId).closed;
	for (const w of watchers) {
		const answer = w.answer(streamId);
		assert.deepEqual(answer.verdict(said ?? record.text), [], w.place);
		assert.notEqual(answer.text, null, `nothing of the text came to ${w.place}`);
		assert.deepEqual(answer.closed[0], closing);
	}
	return closing;
}

async function completed(s, ack, watchers, ms) {
	const [name, data] = await ended(s, ack, watchers, ms);
	assert.equal(name, 'message:complete');
	assert.equal(data.assistantMessage.status, 'complete');
	const stored = await listed(s.sender, s.id, ack.assistantMessageId);
	assert.deepEqual(stored, data.assistantMessage);
	await assertQuiet(cluster.database, s.id);
}

describe('an answer is seen from all instances', () => {
	for (const [what, mode, said] of [
		['plain', '60-20'],
		['in characters of all sizes', 'utf8-80-12'],
		// The recorder hears each byte alone.
		['in pieces that cut characters', 'bytes-120-8', '😀'.repeat(30)],
		['in large steps', '400-0'],
	])
		it(`as it is made (${what})`, async () => {
			const s = await scene();
			const ack = await ask(s, mode, { said });
			await completed(s, ack);
			for (const w of s.watchers) {
				const answer = w.answer(ack.streamId);
				assert.equal(answer.begun, 1);
				assert.equal(answer.snapshots, 0, 'who was there needs no snapshot');
				if (mode !== '400-0') assert.ok(answer.chunks > 4, `${answer.chunks} chunks`);
			}
		});

	it('by those who join in the middle: one snapshot, and chunks from there', async () => {
		const s = await scene(0, { watched: false });
		const ack = await ask(s, 'utf8-160-15');
		const heard = () => s.sender.all('message:chunk').length;
		for (const at of [1, 5, 10, 20])
			for (const node of cluster.nodes) {
				await until(() => heard() >= at, `${at} chunks`);
				await watch(s, node, at % 2 ? 'full' : 'delta');
			}
		await completed(s, ack);
		for (const w of s.watchers) {
			const answer = w.answer(ack.streamId);
			assert.equal(answer.snapshots, 1, `snapshots for ${w.mode}`);
			assert.equal(answer.begun, 0);
		}
	});

	it('by one who leaves and comes back while it runs', async () => {
		const s = await scene(1, { watched: false });
		const [watcher] = await Promise.all([
			watch(s, cluster.nodes[0], 'delta'),
			watch(s, cluster.nodes[1], 'delta'),
		]);
		const ack = await ask(s, '150-12');
		const answer = watcher.answer(ack.streamId);
		for (let i = 1; i <= 4; i++) {
			await watcher.until(() => answer.chunks >= 2 * i, () => `${2 * i} chunks`);
			await watcher.ok('leave:conversation', s.id);
			await watcher.ok('join:conversation', s.id);
			await watcher.until(() => answer.snapshots >= i, () => `${i} snapshots`);
		}
		await completed(s, ack);
	});

	it('by those who join before the first word', async () => {
		const s = await scene(2, { watched: false });
		const ack = await ask(s, 'slow');
		await s.sender.next('ai:typing:start');
		for (const node of cluster.nodes) await watch(s, node, 'delta');
		const seen = (w) => w.answer(ack.streamId);
		for (const w of s.watchers) await w.until(() => seen(w).snapshots, () => 'a snapshot');
		for (const w of s.watchers) assert.equal(seen(w).chunks, 0);
		await s.sender.ok('message:stop', { conversationId: s.id });
		const [name, data] = await ended(s, ack);
		assert.equal(name, 'message:complete');
		assert.equal(data.finishReason, 'stopped');
		for (const w of s.watchers) assert.equal(seen(w).snapshots, 1, w.place);
	});

	it('many at once, made by all instances', async () => {
		const scenes = [];
		for (let i = 0; i < 12; i++) {
			const s = await scene(i % 3, { watched: false });
			await watch(s, cluster.nodes[(i + 1) % 3], 'delta');
			await watch(s, cluster.nodes[(i + 2) % 3], 'full');
			scenes.push(s);
		}
		const acks = await Promise.all(scenes.map((s) => ask(s, 'utf8-80-10')));
		await Promise.all(scenes.map((s, i) => completed(s, acks[i])));
	});
});

describe('an answer is whole on all instances', () => {
	it('when the listening connections are ended in the middle, again and again', async () => {
		const s = await scene();
		const ack = await ask(s, '200-12');
		for (const chunks of [2, 8, 14, 20]) {
			await flowing(s, ack, chunks);
			assert.ok((await cluster.killListeners()) >= 3);
		}
		await completed(s, ack);
	});

	it('when an instance that watches cannot reach PostgreSQL for a while', async () => {
		const s = await scene();
		const ack = await ask(s, '200-12');
		await flowing(s, ack, 2);
		cluster.nodes[1].link.down();
		await delay(1000);
		cluster.nodes[1].link.up();
		await completed(s, ack);
	});

	it('when the instance that makes it cannot reach PostgreSQL for a while', async () => {
		const s = await scene();
		const ack = await ask(s, '200-12');
		await flowing(s, ack, 2);
		cluster.nodes[0].link.down();
		await delay(1000);
		cluster.nodes[0].link.up();
		await completed(s, ack);
	});

	it('when the network to an instance that watches is silent for a while', async () => {
		const s = await scene();
		const ack = await ask(s, '200-12');
		await flowing(s, ack, 2);
		cluster.nodes[2].link.pause();
		await delay(2000);
		cluster.nodes[2].link.resume();
		await completed(s, ack);
	});

	it('when PostgreSQL crashes in the middle', async () => {
		const s = await scene();
		const ack = await ask(s, '250-12');
		await flowing(s, ack, 2);
		await cluster.database.kill();
		await cluster.database.up();
		await completed(s, ack, s.watchers, 60000);
	});
});

describe('an instance that is gone', () => {
	const interrupted = async (s, ack, watchers, ms = REAPED) => {
		const [name, data] = await ended(s, ack, watchers, ms);
		assert.equal(name, 'message:error');
		assert.equal(data.code, 'INTERRUPTED');
		assert.equal(data.assistantMessage.status, 'interrupted');
		return data.assistantMessage;
	};
	// Some of the text is in the database.
	const flushed = (ack) =>
		until(async () => {
			const [[n]] = await cluster.sql(`SELECT count(*) FROM parlance.message_part
				WHERE message = '${ack.assistantMessageId}'`);
			return Number(n) > 0;
		}, 'a part is stored');

	it('when it is killed: its answers end, those that wait elsewhere begin', async () => {
		const [home, other] = [cluster.nodes[1], cluster.nodes[2]];
		const s = await scene(1);
		const ack = await ask(s, '4000-10');
		const waiting = await Tab.open(other, s.user);
		tabs.push(waiting);
		const own = await ask(s, '10-5');
		const next = await ask(s, '20-5', { tab: waiting });
		assert.ok(own.queued && next.queued);
		await flowing(s, ack, 3);
		await flushed(ack);
		await home.daemon.kill();
		const rest = s.watchers.filter((w) => w.node !== home);
		const message = await interrupted(s, ack, rest);
		assert.notEqual(message.content, '', 'the text that was stored is kept');
		// What waited on the instance that is gone is ended with it, once.
		await Promise.all(rest.map((w) => w.closed(own.streamId)));
		await Promise.all(rest.map((w) => w.closed(next.streamId)));
		await settled({ ...s, watchers: rest });
		for (const w of rest) {
			assert.equal(w.answer(own.streamId).closed.length, 1);
			assert.equal(w.answer(own.streamId).closed[0][0], 'message:error');
			assert.deepEqual(w.answer(next.streamId).verdict(null), []);
			assert.equal(w.answer(next.streamId).closed[0][0], 'message:complete');
		}
		assert.deepEqual(await listed(waiting, s.id, ack.assistantMessageId), message);
		await assertQuiet(cluster.database, s.id);
		await home.start();
		await Promise.all(
			s.watchers
				.filter((w) => w.node === home)
				.map((w) => w.until(() => w.socket.connected, () => 'it is back')),
		);
	});

	it('when it is stopped and wakes up: it is fenced, and goes on with new messages', async () => {
		const home = cluster.nodes[0];
		const s = await scene(0);
		const ack = await ask(s, '6000-10');
		await flowing(s, ack, 3);
		await flushed(ack);
		home.daemon.signal('SIGSTOP');
		const rest = s.watchers.filter((w) => w.node !== home);
		await Promise.all(rest.map((w) => w.closed(ack.streamId, REAPED)));
		const [, { assistantMessage }] = rest[0].answer(ack.streamId).closed[0];
		const fenced = home.daemon.line(/the lease ran out/);
		home.daemon.signal('SIGCONT');
		await fenced;
		const message = await interrupted(s, ack, s.watchers);
		assert.deepEqual(message, assistantMessage);
		// A new one, made by the instance that woke up.
		await home.becomesReady();
		const again = await ask(s, '30-10');
		await completed(s, again);
		const stored = await listed(s.sender, s.id, ack.assistantMessageId);
		assert.deepEqual(stored, assistantMessage, 'nothing was written after the end');
		for (const w of s.watchers) assert.equal(w.answer(ack.streamId).closed.length, 1);
		assert.equal(s.sender.all('message:error').length, 1);
	});

	it('when the network to it is silent: its answers end elsewhere, and once', async () => {
		const home = cluster.nodes[2];
		const s = await scene(2);
		const ack = await ask(s, '6000-10');
		await flowing(s, ack, 3);
		await flushed(ack);
		home.link.pause();
		const rest = s.watchers.filter((w) => w.node !== home);
		await Promise.all(rest.map((w) => w.closed(ack.streamId, REAPED)));
		home.link.cut();
		home.link.resume();
		await interrupted(s, ack, s.watchers, 30000);
		await home.becomesReady();
		const again = await ask(s, '30-10');
		await completed(s, again);
		for (const w of s.watchers) assert.equal(w.answer(ack.streamId).closed.length, 1);
	});
});
