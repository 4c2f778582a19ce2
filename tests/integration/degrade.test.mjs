// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What remains when PostgreSQL, or the way to it, is gone: tabs stay, running answers go on and are
// stored later, what is new is refused for now, and the daemon says so to those who ask, and rests.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { assertQuiet } from './lib/answers.mjs';
import { Tab } from './lib/chat.mjs';
import { clusterFor } from './lib/cluster.mjs';
import { Pooler } from './lib/pgbouncer.mjs';
import { Link } from './lib/proxy.mjs';
import { until } from './lib/util.mjs';

let cluster;
const tabs = [];
clusterFor({ before, after }, { n: 2, ai: true }, (started) => {
	cluster = started;
});
beforeEach(() => cluster.mend());
afterEach(async () => {
	for (const tab of tabs.splice(0)) await tab.close();
});

const unique = (name) => `${name}-${randomUUID().slice(0, 8)}`;
const question = (mode) => `${unique('question')} [[mock-${mode}]]`;

async function openAt(i, user = unique('user')) {
	const tab = await Tab.open(cluster.nodes[i], user);
	tab.reasons = [];
	tab.socket.on('disconnect', (reason) => tab.reasons.push(reason));
	tabs.push(tab);
	return tab;
}

async function roomAt(i) {
	const tab = await openAt(i);
	tab.id = await tab.create();
	await tab.join(tab.id);
	return tab;
}

const publish = (id, n) =>
	cluster.sql(`SELECT parlance.publish_to_conversation('${id}', 'app:tick', '{"n":${n}}')`);
const ticks = (tab) => tab.all('app:tick').map((d) => d.n);

const send = (tab, mode) => {
	const content = question(mode);
	return tab
		.ok('message:send', { conversationId: tab.id, content })
		.then((ack) => ({ ...ack, content }));
};

async function assertUnavailable(tab) {
	const about = { conversationId: tab.id };
	for (const [name, argument] of [
		['message:send', { ...about, content: 'x' }],
		['message:list', about],
		['join:conversation', tab.id],
		['conversation:create', {}],
	]) {
		const error = await tab.refused('UNAVAILABLE', name, argument);
		assert.ok(error.retryAfterMs > 0, `${name}: ${error.retryAfterMs}`);
		assert.equal(error.retryable, true);
	}
}

describe('while PostgreSQL is away', () => {
	it('tabs stay, answers go on, new ones are refused, and all is well when it is back', async () => {
		const pair = await Promise.all([roomAt(0), roomAt(1)]);
		const acks = await Promise.all(pair.map((tab) => send(tab, 'utf8-250-10')));
		for (const tab of pair) await tab.next('message:chunk');
		await cluster.database.kill();
		await Promise.all(
			pair.map(async (tab, i) => {
				const heard = () => tab.all('message:chunk').length;
				const before = heard();
				await until(() => heard() > before + 5, 'the answer goes on');
				await assertUnavailable(tab);
				await tab.settled();
				await cluster.nodes[i].becomesReady(false);
				assert.equal(await cluster.nodes[i].status('/healthz'), 200);
			}),
		);
		// The service has said all, and nothing of it can be stored.
		for (const { content } of acks)
			await until(
				async () => (await cluster.recorder.of(content)).open === 0,
				'the service has ended',
			);
		for (const tab of pair) assert.equal(tab.all('message:complete').length, 0);
		// They rest, and try again now and then, not all at the same time.
		const since = performance.now();
		const logged = cluster.nodes.map((node) => node.daemon.stderr.length);
		const loads = await Promise.all(cluster.nodes.map((node) => node.daemon.load(4000)));
		for (const [i, node] of cluster.nodes.entries()) {
			assert.ok(loads[i] < 0.12, `${Math.round(loads[i] * 100)} % of a core`);
			const lines = node.daemon.stderr.slice(logged[i]).split('\n').length;
			assert.ok(lines < 60, `${lines} lines in 4 s`);
			const times = node.link.attempts.filter((t) => t > since);
			assert.ok(times.length > 1 && times.length < 100, `${times.length} attempts`);
			const gaps = times.slice(1).map((t, k) => Math.round((t - times[k]) / 10));
			assert.ok(new Set(gaps).size > 2, `at intervals of ${gaps.join(', ')} times 10 ms`);
		}
		await cluster.database.up();
		for (const [i, tab] of pair.entries()) {
			const mine = (d) => d.streamId === acks[i].streamId;
			const end = await tab.next('message:complete', mine, 30000);
			const { text } = await cluster.recorder.of(acks[i].content);
			assert.equal(end.assistantMessage.content, text);
			const chunks = tab.all('message:chunk', mine).map((d) => d.chunk);
			assert.equal(chunks.join(''), text);
			const [[status, content]] = await cluster.sql(`SELECT status, content
				FROM parlance.message WHERE id = '${acks[i].assistantMessageId}'`);
			assert.equal(status, 'complete');
			assert.equal(content, text);
			await cluster.nodes[i].becomesReady();
			const { data } = await tab.turn(tab.id, question('5-5'));
			assert.equal(data.finishReason, 'stop');
			assert.deepEqual(tab.reasons, [], 'the tab was connected all the time');
			assert.equal(tab.all('message:error').length, 0);
			await assertQuiet(cluster.database, tab.id);
		}
	});

	it('SIGTERM ends the daemon all the same', async () => {
		const [node] = cluster.nodes;
		await node.drain();
		await node.start({ 'chat.drain_timeout_ms': 1500 });
		const tab = await roomAt(0);
		await send(tab, '300-10');
		await tab.next('message:chunk');
		await cluster.database.kill();
		const took = await node.drain();
		assert.ok(took < 1500 + 12000, `it took ${took} ms`);
		await cluster.database.up();
		await node.start();
		const closed = async () => {
			const [[n]] = await cluster.sql(`SELECT count(*) FROM parlance.message
				WHERE conversation = '${tab.id}' AND status = 'streaming'`);
			return n === '0';
		};
		await until(closed, 'nothing is left streaming', 15000);
	});
});

describe('while one instance cannot reach it', () => {
	for (const [how, cut, mend] of [
		['is refused', (link) => link.down(), (link) => link.up()],
		['hears nothing', (link) => link.pause(), (link) => link.resume()],
	])
		it(`and ${how}: that one says so, the other serves, and nothing is lost`, async () => {
			const [lonely, other] = cluster.nodes;
			const near = await roomAt(0);
			const far = await Tab.open(other, near.user);
			tabs.push(far);
			far.id = near.id;
			await far.join(near.id);
			cut(lonely.link);
			await lonely.becomesReady(false);
			assert.equal(await lonely.status('/healthz'), 200);
			assert.equal(await other.status('/readyz'), 200);
			await publish(near.id, 1);
			const { data } = await far.turn(near.id, question('20-5'));
			await publish(near.id, 2);
			assert.equal(near.all('app:tick').length, 0);
			await near.settled();
			mend(lonely.link);
			await lonely.becomesReady();
			await near.next('app:tick', (d) => d.n === 2, 15000);
			assert.deepEqual(ticks(near), [1, 2]);
			const end = await near.next('message:complete');
			assert.deepEqual(end, data);
			await near.settled();
			assert.equal(near.all('message:complete').length, 1);
			assert.equal(near.all('message:new').length, 1);
			assert.deepEqual(near.reasons, []);
			const own = await near.turn(near.id, question('5-5'));
			assert.equal(own.closing, 'message:complete');
		});

	it('with what listens only: it is not ready until it hears again', async () => {
		const [node] = cluster.nodes;
		const ear = await Link.open(() => cluster.database.place);
		try {
			await node.drain();
			await node.start({ 'storage_pgsql.listen_dsn': cluster.database.urlAt(ear.port) });
			await node.becomesReady();
			const tab = await roomAt(0);
			await publish(tab.id, 1);
			await tab.next('app:tick');
			for (const [cut, mend] of [
				[() => ear.pause(), () => ear.resume()],
				[() => ear.down(), () => ear.up()],
			]) {
				const n = ticks(tab).length;
				cut();
				await publish(tab.id, n + 1);
				await node.becomesReady(false, 15000);
				assert.equal(await node.status('/healthz'), 200);
				mend();
				await node.becomesReady();
				await tab.next('app:tick', (d) => d.n === n + 1, 15000);
			}
			assert.deepEqual(ticks(tab), [1, 2, 3]);
			await node.drain();
		} finally {
			await ear.close();
		}
	});
});

describe('a pooler in transaction mode', () => {
	let pooler;
	before(async () => {
		pooler = await Pooler.start(cluster.database);
	});
	after(() => pooler?.close());
	const node = () => cluster.nodes[0];
	afterEach(() => node().daemon.kill());

	it('before the connection that listens: a sentence in the log, and not ready', async () => {
		await node().drain();
		await node().start({ 'storage_pgsql.dsn': pooler.url }, []);
		const { daemon } = node();
		const said = () => /storage_pgsql: .*pooler.*listen_dsn/.test(daemon.stderr);
		const end = Date.now() + 20000;
		while (!said() && Date.now() < end) assert.equal(await node().status('/readyz'), 503);
		assert.ok(said(), daemon.stderr.slice(-2000));
		assert.equal(await node().status('/readyz'), 503);
		assert.equal(await node().status('/healthz'), 200);
	});

	it('before the others, with listen_dsn past it: all works', async () => {
		await node().drain();
		await node().start({
			'storage_pgsql.dsn': pooler.url,
			'storage_pgsql.listen_dsn': cluster.database.url,
		});
		await node().becomesReady();
		const tab = await roomAt(0);
		const far = await Tab.open(cluster.nodes[1], tab.user);
		tabs.push(far);
		await far.join(tab.id);
		const turns = await Promise.all(
			Array.from({ length: 3 }, () => send(tab, 'utf8-40-10')),
		);
		for (const { streamId, content } of turns)
			for (const t of [tab, far]) {
				const mine = (d) => d.streamId === streamId;
				const { assistantMessage } = await t.next('message:complete', mine);
				const { text } = await cluster.recorder.of(content);
				assert.equal(assistantMessage.content, text);
				const chunks = t.all('message:chunk', mine).map((d) => d.chunk);
				assert.equal(chunks.join(''), text);
			}
		const many = await Promise.all(
			Array.from({ length: 100 }, (_, i) =>
				tab.ok('conversation:update', {
					conversationId: tab.id,
					update: { title: `title ${i}` },
				}),
			),
		);
		const versions = new Set(many.map((ack) => ack.conversation.version));
		assert.equal(versions.size, 100);
		await assertQuiet(cluster.database, tab.id);
	});
});
