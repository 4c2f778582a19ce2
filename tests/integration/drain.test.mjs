// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// SIGTERM: tabs are told and let go one after the other, answers run to their end, and what the tabs
// had is there on the next instance, so that a rolling restart goes unnoticed.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { Burst } from './lib/burst.mjs';
import { assertQuiet, listed } from './lib/answers.mjs';
import { Tab } from './lib/chat.mjs';
import { clusterFor } from './lib/cluster.mjs';
import { get } from './lib/http.mjs';
import { Socket } from './lib/socket.mjs';
import { event, until } from './lib/util.mjs';

let cluster;
let burst;
clusterFor({ before, after }, { n: 2, ai: true }, async (started) => {
	cluster = started;
	burst = await Burst.prepare(cluster.database);
});

const tabs = [];
beforeEach(() => cluster.mend());
afterEach(() => Promise.all(tabs.splice(0).map((tab) => tab.close())));
const unique = (name) => `${name}-${randomUUID().slice(0, 8)}`;
const question = (mode) => `${unique('question')} [[mock-${mode}]]`;

async function openAt(i, user, options = {}) {
	const tab = await Tab.open(cluster.nodes[i], user, { options });
	tabs.push(tab);
	return tab;
}

// Starts a node again with other options.
async function restart(node, set) {
	if (node.daemon.running) await node.drain();
	await node.start(set);
}

describe('SIGTERM', () => {
	it('lets idle tabs go one after the other, each told once', async () => {
		const SPREAD = 1500;
		const [node] = cluster.nodes;
		await restart(node, { 'chat.drain_spread_ms': SPREAD });
		const all = [];
		for (let i = 0; i < 12; i++)
			all.push(
				await openAt(0, unique('idle'), {
					transports: i % 3 ? ['websocket'] : ['polling'],
				}),
			);
		const start = performance.now();
		const left = all.map(async (tab) => {
			const [reason] = await event(tab.socket, 'disconnect', SPREAD + 5000);
			return { reason, at: performance.now() - start };
		});
		const took = await node.drain(SPREAD + 6000);
		const ends = await Promise.all(left);
		for (const { reason } of ends) assert.equal(reason, 'transport close');
		for (const tab of all) {
			const told = tab.all('server:draining');
			assert.equal(told.length, 1, 'it is told once');
			assert.equal(tab.names().at(-1), 'server:draining', 'and hears nothing after it');
			assert.ok(told[0].reconnectInMs >= 0 && told[0].reconnectInMs <= 60000);
			assert.notEqual(told[0].reason, '');
		}
		const times = ends.map((e) => e.at);
		const spread = Math.max(...times) - Math.min(...times);
		assert.ok(spread > SPREAD / 4, `they went within ${spread} ms`);
		assert.ok(took < SPREAD + 4000, `it took ${took} ms`);
		const waits = new Set(all.map((tab) => tab.all('server:draining')[0].reconnectInMs));
		assert.ok(waits.size > 2, 'they come back at different times');
		await node.start();
	});

	it('lets nobody in, and an answer run to its end, which tabs elsewhere hear', async () => {
		const [node, other] = cluster.nodes;
		const user = unique('user');
		const sender = await openAt(0, user);
		const id = await sender.create();
		const checker = cluster.checker();
		const door = await cluster.door(0);
		const near = await checker.watch(door, user, { join: [id] });
		const far = await checker.watch(other, user, { join: [id] });
		const content = question('300-12');
		const ack = await sender.ok('message:send', { conversationId: id, content });
		const { streamId } = ack;
		await far.until(() => far.answer(streamId).chunks > 2, () => 'chunks');
		// It cannot come back here, and goes on there.
		door.at = 1;
		const ended = node.drain();
		await near.until(() => near.ready === 2, () => 'the other instance');
		assert.equal(near.socket.recovered, true);
		assert.deepEqual(near.disconnects, ['transport close']);
		assert.equal(far.answer(streamId).closed.length, 0, 'it is still being made');
		const polling = await get(`${node.url}/socket.io/?EIO=4&transport=polling`);
		assert.equal(polling.status, 503);
		assert.ok(Number(polling.headers['retry-after']) > 0);
		const ws = node.url.replace('http', 'ws');
		const upgrade = Socket.open(`${ws}/socket.io/?EIO=4&transport=websocket`);
		await assert.rejects(upgrade, /503/);
		assert.equal(await node.status('/readyz'), 503);
		assert.equal(await node.status('/healthz'), 200);
		await ended;
		for (const w of [near, far]) await w.closed(streamId);
		const { text } = await cluster.recorder.of(content);
		assert.deepEqual(checker.faults(() => text), []);
		assert.equal(near.answer(streamId).snapshots, 1);
		assert.equal(far.answer(streamId).snapshots, 0);
		for (const w of [near, far])
			assert.equal(w.answer(streamId).closed[0][0], 'message:complete');
		await assertQuiet(cluster.database, id);
		await checker.close();
		await node.start();
	});

	it('waits for an answer so long and no longer', async () => {
		const [node] = cluster.nodes;
		await restart(node, { 'chat.drain_timeout_ms': 1000 });
		const user = unique('user');
		const sender = await openAt(0, user);
		const other = await openAt(1, user);
		const id = await sender.create();
		await other.join(id);
		const content = question('9000-10');
		const ack = await sender.ok('message:send', { conversationId: id, content });
		const queued = await sender.ok('message:send', {
			conversationId: id,
			content: question('5-5'),
		});
		await other.next('message:chunk');
		const took = await node.drain();
		assert.ok(took >= 900 && took < 1000 + 5000, `it took ${took} ms`);
		const end = await other.next('message:error', (d) => d.streamId === ack.streamId);
		assert.equal(end.code, 'INTERRUPTED');
		assert.notEqual(end.assistantMessage.content, '');
		assert.deepEqual(
			await listed(other, id, ack.assistantMessageId),
			end.assistantMessage,
		);
		// What waited is answered by somebody, or ended; nothing is left.
		const over = (name) => other.all(name, (d) => d.streamId === queued.streamId).length;
		await until(() => over('message:complete') + over('message:error') === 1, 'the next ends');
		await assertQuiet(cluster.database, id);
		await node.start();
	});
});

describe('a rolling restart under load', () => {
	const KINDS = {
		WebSocket: { transports: ['websocket'] },
		'the default transports': { transports: ['polling', 'websocket'] },
		polling: { transports: ['polling'] },
	};

	it('loses and repeats nothing, with a balancer that knows nothing of sessions', async () => {
		const user = unique('user');
		const setup = await openAt(0, user);
		const conversation = await setup.create();
		const talk = await setup.create();
		await setup.close();
		const checker = cluster.checker();
		const watchers = [];
		for (const transports of Object.values(KINDS))
			for (let i = 0; i < 3; i++)
				watchers.push(
					await checker.watch(cluster, user, {
						join: [conversation, talk],
						hears: { [conversation]: null, [user]: null },
						options: transports,
					}),
				);
		let on = true;
		const writing = (async () => {
			for (let to = 100; ; to += 100) {
				await burst.run({ conversation, to, pauseMs: 40, big: 50 });
				await burst.run({ user, to, pauseMs: 10 });
				if (!on) return to;
			}
		})();
		const sent = [];
		const talking = (async () => {
			for (let i = 0; on; i++) {
				const content = question('utf8-60-15');
				const message = { conversationId: talk, content, messageId: unique('mine') };
				const ack = await watchers[i % watchers.length].insist('message:send', message);
				assert.equal(ack.ok, true, JSON.stringify(ack.error));
				sent.push({ ...ack, content });
			}
		})();
		const busy = Promise.all([writing, talking]);
		const rolled = (async () => {
			for (const node of cluster.nodes) {
				const { last } = watchers[0].track(conversation);
				const said = sent.length;
				await node.drain();
				await node.start();
				await node.becomesReady();
				await Promise.all(
					watchers.map((w) => w.reached(conversation, last + 20, 30000)),
				);
				await until(() => sent.length > said, 'something is said meanwhile', 30000);
			}
		})();
		await Promise.race([rolled, busy]).finally(() => {
			on = false;
		});
		const [to] = await busy;
		await checker.exact(conversation, to);
		await checker.exact(user, to);
		await Promise.all(sent.flatMap((ack) => watchers.map((w) => w.closed(ack.streamId))));
		const texts = new Map();
		for (const { streamId, content } of sent) {
			const record = await cluster.recorder.of(content);
			assert.equal(record.requests, 1);
			texts.set(streamId, record.text);
		}
		assert.deepEqual(checker.faults((stream) => texts.get(stream)), []);
		for (const w of watchers) {
			assert.ok(w.ready > 1, 'each had to move');
			assert.equal(w.recoveries, w.ready - 1, 'each time it was recovered');
			for (const { streamId } of sent)
				assert.equal(w.answer(streamId).closed[0][0], 'message:complete');
		}
		await assertQuiet(cluster.database, talk);
		await checker.close();
	});
});
