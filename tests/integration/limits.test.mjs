// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The limits on the whole daemon, each with what it refuses, and its number at /metrics.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { Daemon, Database, Service, Tab, token } from './lib/chat.mjs';
import { get } from './lib/http.mjs';
import { event, until } from './lib/util.mjs';
import { RawSocket, TEXT } from './lib/ws.mjs';

const LIMITS = {
	events_per_second: 20,
	user_events_per_second: 40,
	user_bytes_per_second: 2000,
	max_sockets_per_user: 3,
	max_answers_per_user: 2,
	max_answers: 3,
};
const SIZES = {
	max_content_bytes: 1000,
	max_title_bytes: 50,
	max_metadata_bytes: 5000,
	max_json_depth: 5,
};
const BURST_S = 5;
const FOLDER = mkdtempSync(join(tmpdir(), 'limits-'));
const LOCAL = join(FOLDER, 'socket');

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
			'socket.max_rooms': 4,
			'socket.max_attachments': 1,
			'engine.max_payload_bytes': 20000,
			'limits.max_header_bytes': 2000,
			'limits.queue_low_bytes': 10000,
			'limits.queue_high_bytes': 50000,
			'limits.queue_soft_bytes': 200000,
			'limits.queue_hard_bytes': 500000,
			'listener.local.address': `unix:${LOCAL}`,
			...Object.fromEntries(Object.entries({ ...LIMITS, ...SIZES }).map(([k, v]) => [`chat.${k}`, v])),
		},
	});
});
after(async () => {
	await daemon?.stop();
	await service?.kill();
	await database?.stop();
	rmSync(FOLDER, { recursive: true, force: true });
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

describe('how large it may be', () => {
	const nested = (depth) => JSON.parse(`${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`);
	const long = (limit) => 'x'.repeat(SIZES[limit] + 1);
	const update = (what) => ['conversation:update', { update: what }];
	for (const [limit, code, name, data] of [
		['max_content_bytes', 'TOO_LARGE', 'message:send', { content: long('max_content_bytes') }],
		['max_title_bytes', 'TOO_LARGE', ...update({ title: long('max_title_bytes') })],
		['max_title_bytes', 'TOO_LARGE', 'message:send', { content: 'x', model: long('max_title_bytes') }],
		['max_metadata_bytes', 'TOO_LARGE', ...update({ systemPrompt: long('max_metadata_bytes') })],
		['max_metadata_bytes', 'TOO_LARGE', ...update({ metadata: { a: long('max_metadata_bytes') } })],
		['max_metadata_bytes', 'TOO_LARGE', 'message:send', { content: 'x', options: { a: long('max_metadata_bytes') } }],
		['max_json_depth', 'BAD_REQUEST', ...update({ metadata: nested(SIZES.max_json_depth + 1) })],
		['max_json_depth', 'BAD_REQUEST', 'message:send', { content: 'x', options: nested(SIZES.max_json_depth + 1) }],
	])
		it(`${limit} of ${name} (${Object.keys(data.update ?? data)})`, async () => {
			const tab = await open(`large-${limit}-${name}-${Object.keys(data.update ?? data)}`);
			const conversationId = await tab.create();
			const before = await limited(limit);
			await tab.refused(code, name, { conversationId, ...data });
			assert.equal(await limited(limit), before + 1);
			if (limit === 'max_json_depth')
				await tab.ok('conversation:update', {
					conversationId,
					update: { metadata: nested(SIZES.max_json_depth) },
				});
		});

	it('conversations that are open', async () => {
		const tab = await open('ivan');
		const ids = [];
		for (let i = 0; i < 4; i++) ids.push(await tab.create());
		const acks = [];
		for (const id of ids) acks.push(await tab.ask('join:conversation', id));
		const refused = acks.filter(({ ok }) => !ok);
		assert.ok(refused.length > 0 && refused.length < 4, 'some are joined');
		for (const { error } of refused) assert.equal(error.code, 'RATE_LIMITED');
		assert.equal(await limited('max_rooms'), refused.length);
		await tab.ok('leave:conversation', ids[0]);
		await tab.join(ids[3]);
	});

	const closed = async (reason) => (await metrics())[`sessions_closed_total{reason="${reason}"}`];
	for (const [what, send] of [
		['a payload', (tab) => tab.emit('ping', 'x'.repeat(20000))],
		['attachments', (tab) => tab.emit('ping', Buffer.from('a'), Buffer.from('b'))],
	])
		it(`${what}: the session ends`, async () => {
			const tab = await open('judy');
			const before = await closed('message over the size limit');
			const gone = event(tab.socket, 'disconnect');
			send(tab);
			await gone;
			const counted = async () =>
				(await closed('message over the size limit')) === before + 1;
			await until(counted, 'it is counted');
		});

	it('a queue: the session of who does not read ends', async () => {
		const user = 'oscar';
		const socket = await RawSocket.open(daemon, '/socket.io/?EIO=4&transport=websocket', {
			connect: { path: LOCAL },
		});
		await socket.opened();
		socket.send(TEXT, `40{"token":"${token(user)}"}`);
		for (let text = ''; !text.startsWith('42["session:ready"'); )
			text = String((await socket.frame('session:ready')).payload);
		socket.raw.pause();
		const reason = 'output queue over its limit';
		assert.equal(await closed(reason), 0);
		for (let sent = 0; (await closed(reason)) === 0; sent++) {
			assert.ok(sent < 200, 'it has no end');
			await database.sql(`SELECT parlance.publish_to_user('${user}', 'app:large',
				json_build_object('text', repeat('x', 100000)))`);
		}
		assert.equal(await closed(reason), 1);
		await until(async () => (await metrics()).queued_bytes === 0, 'its queue is gone');
		socket.destroy();
	});

	it('a head', async () => {
		const { status } = await get(`${daemon.url}/?${'x'.repeat(3000)}`);
		assert.equal(status, 431);
		assert.equal((await metrics())['refused_total{limit="max_header_bytes"}'], 1);
	});
});

describe('how many there may be', () => {
	const user = 'mallory';
	// Each of these alone in a daemon, which is enough for three tabs.
	for (const [limit, set, status] of [
		['max_connections', { 'limits.max_connections': 3 }, 503],
		['max_connections_per_address', { 'limits.max_connections_per_address': 3 }, 503],
		[
			'handshakes_per_second_per_address',
			{
				'limits.handshakes_per_second_per_address': 1,
				'limits.handshake_burst_per_address': 3,
			},
			429,
		],
	])
		it(limit, async (t) => {
			const crowded = await Daemon.start({
				database,
				set: {
					...set,
					'listener.admin.address': '127.0.0.1:0',
					'listener.admin.admin': 'yes',
				},
			});
			t.after(() => crowded.stop());
			const three = [];
			for (let i = 0; i < 3; i++)
				three.push(
					await Tab.open(crowded, user, { options: { transports: ['websocket'] } }),
				);
			const url = `${crowded.url}/socket.io/?EIO=4&transport=polling`;
			assert.equal((await get(url)).status, status);
			const { text } = await get(`http://127.0.0.1:${crowded.ports.admin}/metrics`);
			for (const name of [
				'max_connections',
				'max_connections_per_address',
				'handshakes_per_second_per_address',
			])
				assert.match(
					text,
					new RegExp(
						`^parlance_refused_total\\{limit="${name}"\\} ${name === limit ? 1 : 0}$`,
						'm',
					),
				);
			for (const tab of three) {
				await tab.settled();
				await tab.close();
			}
		});
});

it('what is there is counted', async () => {
	const tab = await open('heidi');
	const m = await metrics();
	assert.equal(m.log_lost_total, 0);
	assert.equal(m.users, 1);
	assert.equal(m.sockets, 1);
	assert.equal(m.sessions_websocket, 1);
	assert.ok(m.connections >= 2 && m.connections_accepted_total >= m.connections);
	assert.ok(m['plugin_total{plugin="storage_pgsql",what="transactions"}'] > 0);
	assert.equal(Object.keys(m).filter((k) => k.startsWith('info{version=')).length, 1);
	await tab.ok('ping');
});
