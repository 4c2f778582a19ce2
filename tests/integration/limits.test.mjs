// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The limits of [chat] on the whole daemon, each with what it refuses, and its number at /metrics.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { Daemon, Database, Service, Tab } from './lib/chat.mjs';
import { get } from './lib/http.mjs';
import { event, until } from './lib/util.mjs';

const LIMITS = {
	events_per_second: 20,
	user_events_per_second: 40,
	user_bytes_per_second: 2000,
	max_sockets_per_user: 3,
	max_answers_per_user: 2,
	max_answers: 3,
};
const BURST_S = 5;

let database, service, daemon;
before(async () => {
	database = await Database.start();
	service = await Service.start();
	daemon = await Daemon.start({
		database,
		service,
		set: {
			'listener.admin.address': '127.0.0.1:0',
			'listener.admin.admin': 'yes',
			...Object.fromEntries(Object.entries(LIMITS).map(([k, v]) => [`chat.${k}`, v])),
		},
	});
});
after(async () => {
	await daemon?.stop();
	await service?.kill();
	await database?.stop();
});

const tabs = [];
async function open(user, options = {}) {
	const tab = await Tab.open(daemon, user, { options: { transports: ['websocket'], ...options } });
	tabs.push(tab);
	return tab;
}
afterEach(() => Promise.all(tabs.splice(0).map((tab) => tab.close())));

async function metrics() {
	const { status, text, headers } = await get(`http://127.0.0.1:${daemon.ports.admin}/metrics`);
	assert.equal(status, 200);
	assert.equal(headers['content-type'], 'text/plain; version=0.0.4');
	const values = {};
	for (const line of text.trimEnd().split('\n')) {
		if (/^# (HELP parlance_[a-z_]+ \S|TYPE parlance_[a-z_]+ (gauge|counter)$)/.test(line)) continue;
		const match = /^parlance_([a-z_]+)(?:\{(.*)\})? (\d+)$/.exec(line);
		assert.ok(match, line);
		values[match[2] ? `${match[1]}{${match[2]}}` : match[1]] = Number(match[3]);
	}
	return values;
}
const limited = async (limit) => (await metrics())[`limited_total{limit="${limit}"}`];

// The codes of n pings at once that were refused.
async function flood(tab, n) {
	const acks = await Promise.all(Array.from({ length: n }, () => tab.socket.emitWithAck('ping')));
	return acks.filter(({ ok }) => !ok).map(({ error }) => error.code);
}

describe('what one may ask for', () => {
	it('events of a socket', async () => {
		const tab = await open('alice');
		const other = await open('alice');
		const refused = await flood(tab, LIMITS.events_per_second * BURST_S + 30);
		assert.ok(refused.length > 0 && refused.length <= 30, `${refused.length}`);
		assert.deepEqual([...new Set(refused)], ['RATE_LIMITED']);
		assert.equal(await limited('events_per_second'), refused.length);
		await other.ok('ping');
		await until(async () => (await tab.ask('ping')).ok, 'it is listened to again');
	});

	it('and it ends when it goes on', async () => {
		const tab = await open('bob');
		const gone = event(tab.socket, 'disconnect');
		for (let i = 0; i < 3000; i++) tab.emit('ping');
		assert.equal((await gone)[0], 'transport close');
	});

	it('events of a user', async () => {
		const three = await Promise.all([1, 2, 3].map(() => open('carol')));
		const refused = await Promise.all(three.map((tab) => flood(tab, 90)));
		assert.ok(refused.flat().length > 0);
		assert.ok((await limited('user_events_per_second')) > 0);
	});

	it('bytes of a user', async () => {
		const tab = await open('dave');
		const id = await tab.create();
		const update = { metadata: { text: 'x'.repeat(4000) } };
		const acks = [];
		for (let i = 0; i < 5; i++)
			acks.push(await tab.ask('conversation:update', { conversationId: id, update }));
		assert.deepEqual(acks.slice(0, 2).map(({ ok }) => ok), [true, true]);
		assert.equal(acks.at(-1).error.code, 'RATE_LIMITED');
		assert.ok((await limited('user_bytes_per_second')) > 0);
	});

	it('sockets of a user', async () => {
		const three = await Promise.all([1, 2, 3].map(() => open('erin')));
		const before = await limited('max_sockets_per_user');
		const more = await Tab.open(daemon, 'erin', {
			ready: false,
			options: { transports: ['websocket'], reconnection: true, reconnectionDelay: 50 },
		});
		tabs.push(more);
		await until(async () => (await limited('max_sockets_per_user')) > before, 'it is put off');
		await three[0].close();
		await more.next('session:ready'); // it came again by itself
	});

	it('answers of a user, and of all', async () => {
		const tab = await open('frank');
		const ids = await Promise.all([1, 2, 3].map(() => tab.create()));
		const ask = (t, conversationId) =>
			t.ask('message:send', { conversationId, content: '[[mock-hang]]' });
		assert.equal((await ask(tab, ids[0])).ok, true);
		assert.equal((await ask(tab, ids[1])).ok, true);
		assert.equal((await ask(tab, ids[2])).error.code, 'RATE_LIMITED');
		assert.equal(await limited('max_answers_per_user'), 1);
		const other = await open('grace');
		const theirs = await Promise.all([1, 2].map(() => other.create()));
		assert.equal((await ask(other, theirs[0])).ok, true);
		assert.equal((await ask(other, theirs[1])).error.code, 'UNAVAILABLE');
		assert.equal(await limited('max_answers'), 1);
		assert.equal((await metrics()).answers, 3);
		for (const [t, id] of [[tab, ids[0]], [tab, ids[1]], [other, theirs[0]]])
			await t.ok('message:stop', { conversationId: id });
		await until(async () => (await metrics()).answers === 0, 'all have ended');
		assert.equal((await ask(other, theirs[1])).ok, true);
		await other.ok('message:stop', { conversationId: theirs[1] });
	});
});

it('what is there is counted', async () => {
	const tab = await open('heidi');
	const m = await metrics();
	assert.equal(m.users, 1);
	assert.equal(m.sockets, 1);
	assert.equal(m.sessions_websocket, 1);
	assert.ok(m.connections >= 2 && m.connections_accepted_total >= m.connections);
	assert.ok(m['plugin_total{plugin="storage_pgsql",what="transactions"}'] > 0);
	assert.equal(Object.keys(m).filter((k) => k.startsWith('info{version=')).length, 1);
	await tab.ok('ping');
});
