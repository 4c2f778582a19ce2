// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Connection state recovery with an unmodified socket.io-client: a tab whose connection was lost comes
// back, to whichever instance, with its id and its rooms, and hears what it missed once and in order.
// What cannot be recovered begins anew, and nobody else's events are told.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Burst } from './lib/burst.mjs';
import { joined, turnOf } from './lib/answers.mjs';
import { Tab, token } from './lib/chat.mjs';
import { clusterFor } from './lib/cluster.mjs';
import { Socket } from './lib/socket.mjs';
import { event, until } from './lib/util.mjs';

let cluster;
let burst;
clusterFor(
	{ before, after },
	{ n: 3, ai: true, set: { 'auth_jwt.leeway_s': 0 } },
	async (started) => {
		cluster = started;
		burst = await Burst.prepare(cluster.database);
	},
);

const tabs = [];
beforeEach(() => cluster.mend());
afterEach(() => Promise.all(tabs.splice(0).map((tab) => tab.close())));

const unique = (name) => `${name}-${randomUUID().slice(0, 8)}`;
const question = (mode) => `${unique('question')} [[mock-${mode}]]`;
const quote = (text) => `'${text.replaceAll("'", "''")}'`;

const KEEN = {
	reconnection: true,
	reconnectionDelay: 30,
	reconnectionDelayMax: 150,
	transports: ['websocket'],
};

// A tab that comes back by itself, through a door of its own.
async function open(user = unique('user'), { at = 0, auth = {}, options = {} } = {}) {
	const door = await cluster.door(at);
	const tab = await Tab.open(door, user, { auth, options: { ...KEEN, ...options } });
	tabs.push(tab);
	tab.door = door;
	return tab;
}

const LOSSES = {
	'the client closes it': (tab) => tab.socket.io.engine.close(),
	'it is reset': (tab) => tab.door.cut(),
	'it is lost, and the server does not know': (tab) => tab.door.sever(),
};

// The connection is lost, `meanwhile` happens, and the tab is back; what it hears from then on is all
// that is in tab.heard. Returns session:ready.
async function lose(tab, { how = 'it is reset', at = tab.door.at, meanwhile = () => {} } = {}) {
	const gone = event(tab.socket, 'disconnect');
	tab.door.refuse();
	LOSSES[how](tab);
	await gone;
	tab.forget();
	await meanwhile();
	tab.door.at = at;
	tab.door.up();
	return tab.next('session:ready');
}

function assertRecovered(tab, ready, id) {
	assert.equal(tab.socket.recovered, true, 'it says that it recovered');
	assert.equal(ready.recovered, true);
	assert.equal(tab.socket.id, id, 'the id is the same');
	assert.equal(ready.socketId, id);
	assert.equal(tab.names()[0], 'session:ready', 'it is the first event');
	assert.equal(tab.all('session:ready').length, 1);
}

// Events with the numbers from a to b, to a user or a conversation.
const publish = (to, a, b = a) => {
	const [fn, target] = to.user ? ['user', quote(to.user)] : ['conversation', quote(to.id)];
	return cluster.sql(`SELECT parlance.publish_to_${fn}(${target}, 'app:tick',
		json_build_object('n', n)) FROM generate_series(${a}, ${b}) n`);
};
const ticks = (tab) => tab.all('app:tick').map((d) => d.n);
const range = (a, b) => Array.from({ length: b - a + 1 }, (_, i) => a + i);

// A tab in a room of its own that has heard two events.
async function settledTab(options) {
	const tab = await open(undefined, options);
	tab.id = await tab.create();
	await tab.join(tab.id);
	await publish({ id: tab.id }, 1, 2);
	await tab.next('app:tick', (d) => d.n === 2);
	return tab;
}

// The tab goes on as if nothing had happened: its rooms are there, and it may act in them.
async function assertWhole(tab, n) {
	await publish({ id: tab.id }, n);
	await tab.next('app:tick', (d) => d.n === n);
	await tab.ok('typing:start', tab.id);
	await tab.ok('conversation:update', { conversationId: tab.id, update: { title: `t${n}` } });
	await tab.next('conversation:updated', (d) => d.update.title === `t${n}`);
	assert.equal(tab.all('conversation:update').length, 0, 'it is the same socket to the server');
}

describe('a lost connection is recovered', () => {
	for (const how of Object.keys(LOSSES))
		for (const [where, at] of [
			['the same instance', 0],
			['another instance', 1],
		])
			it(`when ${how}, on ${where}`, async () => {
				const tab = await settledTab();
				const { id } = tab.socket;
				const ready = await lose(tab, {
					how,
					at,
					meanwhile: async () => {
						await publish({ id: tab.id }, 3, 5);
						await publish({ user: tab.user }, 103, 105);
						await publish({ id: tab.id }, 6, 7);
					},
				});
				assertRecovered(tab, ready, id);
				await assertWhole(tab, 8);
				assert.deepEqual(ticks(tab).filter((n) => n < 100), range(3, 8));
				assert.deepEqual(ticks(tab).filter((n) => n > 100), range(103, 105));
			});

	for (const signal of ['SIGTERM', 'SIGKILL'])
		it(`after ${signal} of its instance, which starts again`, async () => {
			const node = cluster.nodes[2];
			const tab = await settledTab({ at: 2 });
			const { id } = tab.socket;
			const gone = event(tab.socket, 'disconnect');
			tab.door.refuse();
			node.daemon.signal(signal);
			await gone;
			await node.daemon.gone;
			tab.forget();
			await publish({ id: tab.id }, 3, 5);
			await node.daemon.kill();
			await node.start();
			tab.door.up();
			assertRecovered(tab, await tab.next('session:ready'), id);
			await assertWhole(tab, 6);
			assert.deepEqual(ticks(tab), range(3, 6));
		});

	it('when nothing was missed', async () => {
		const tab = await settledTab();
		const { id } = tab.socket;
		for (const at of [0, 1, 0]) assertRecovered(tab, await lose(tab, { at }), id);
		await assertWhole(tab, 3);
		assert.deepEqual(ticks(tab), [3]);
	});

	it('with a transport that begins with polling', async () => {
		const tab = await settledTab({ options: { transports: ['polling', 'websocket'] } });
		const { id } = tab.socket;
		const ready = await lose(tab, { at: 1, meanwhile: () => publish({ id: tab.id }, 3, 9) });
		assertRecovered(tab, ready, id);
		await assertWhole(tab, 10);
		assert.deepEqual(ticks(tab), range(3, 10));
	});

	it('before its first event', async () => {
		for (const at of [0, 1]) {
			const door = await cluster.door(0);
			const tab = await Tab.open(door, unique('user'), { options: KEEN, ready: false });
			tabs.push(tab);
			const gone = event(tab.socket, 'disconnect');
			let id;
			// CONNECT's answer has been read, and nothing behind it is.
			tab.socket.once('connect', () => {
				id = tab.socket.id;
				assert.equal(tab.socket._lastOffset, undefined);
				tab.socket.io.engine.close();
			});
			await gone;
			door.at = at;
			// The old connection's may still come, of what was read before.
			await tab.next('session:ready', (d) => d.recovered);
			assert.equal(tab.socket.recovered, true);
			assert.equal(tab.socket.id, id);
			await publish({ user: tab.user }, 1);
			await tab.next('app:tick');
		}
	});

	it('between transient events, which do not come again', async () => {
		const tab = await settledTab();
		const friend = unique('friend');
		await tab.ok('conversation:share', { conversationId: tab.id, userId: friend, role: 'editor' });
		const other = await open(friend);
		await other.join(tab.id);
		const { id } = tab.socket;
		await publish({ id: tab.id }, 3);
		await tab.next('app:tick', (d) => d.n === 3);
		await other.ok('typing:start', tab.id);
		await tab.next('typing:start');
		await tab.settled();
		const meanwhile = async () => {
			await other.ok('typing:stop', tab.id);
			await publish({ id: tab.id }, 4);
		};
		assertRecovered(tab, await lose(tab, { at: 1, meanwhile }), id);
		await publish({ id: tab.id }, 5);
		await tab.next('app:tick', (d) => d.n === 5);
		assert.deepEqual(ticks(tab), [4, 5]);
		assert.equal(tab.all('typing:start').length, 0);
		await other.ok('typing:start', tab.id);
		await tab.next('typing:start');
	});

	it('with all its rooms, those that it left excepted', async () => {
		const tab = await settledTab();
		const ids = [];
		for (let i = 0; i < 20; i++) ids.push(await tab.create());
		for (const id of ids) await tab.join(id);
		const left = ids.splice(5, 5);
		for (const id of left) await tab.ok('leave:conversation', id);
		const { id } = tab.socket;
		const meanwhile = () =>
			Promise.all(
				[...ids, ...left].map((room, i) => publish({ id: room }, 1000 * i, 1000 * i + 9)),
			);
		assertRecovered(tab, await lose(tab, { at: 1, meanwhile }), id);
		await assertWhole(tab, 99999);
		const heard = ticks(tab);
		for (const [i] of ids.entries())
			assert.deepEqual(
				heard.filter((n) => Math.floor(n / 1000) === i),
				range(1000 * i, 1000 * i + 9),
			);
		assert.equal(heard.length, ids.length * 10 + 1);
	});

	it('with some hundred missed events of all kinds', async () => {
		const tab = await settledTab();
		const { id } = tab.socket;
		const meanwhile = () => burst.run({ conversation: tab.id, to: 450, big: 100 });
		assertRecovered(tab, await lose(tab, { at: 1, meanwhile }), id);
		const numbers = () =>
			tab.heard
				.map(({ name, data }) => {
					if (name === 'app:tick') return data.n;
					if (name === 'message:new') return Number(/^#(\d+)/.exec(data.message.content)[1]);
					if (name !== 'conversation:updated') return 0;
					return Number(/^#(\d+)/.exec(data.update.title)[1]);
				})
				.filter(Boolean);
		await until(() => numbers().length >= 450, 'all of them');
		await tab.settled();
		assert.deepEqual(numbers(), range(1, 450));
	});

	it('twenty times in a burst, from one instance to the other', async () => {
		const owner = await open();
		const conversation = await owner.create();
		const checker = cluster.checker();
		const doors = await Promise.all([0, 1].map((at) => cluster.door(at)));
		const watchers = await Promise.all(
			doors.map((door) =>
				checker.watch(door, owner.user, {
					join: [conversation],
					hears: { [conversation]: null },
					options: KEEN,
				}),
			),
		);
		const ids = watchers.map((w) => w.socket.id);
		let writing = true;
		const written = (async () => {
			for (let to = 50; ; to += 50) {
				await burst.run({ conversation, to, pauseMs: 4 });
				if (!writing) return to;
			}
		})();
		const again = async (w, k, i) => {
			const { ready } = w;
			doors[k].at = (i + k) % 2;
			if (i % 3 === 0) w.socket.io.engine.close();
			else if (i % 3 === 1) doors[k].cut();
			else doors[k].sever();
			await w.until(() => w.ready > ready, () => 'session:ready');
			assert.equal(w.socket.recovered, true, `time ${i + 1}`);
		};
		try {
			for (let i = 0; i < 20; i++)
				await Promise.all(watchers.map((w, k) => again(w, k, i)));
		} finally {
			writing = false;
		}
		const to = await written;
		await checker.exact(conversation, to);
		for (const [k, w] of watchers.entries()) {
			assert.equal(w.recoveries, 20);
			assert.equal(w.socket.id, ids[k]);
		}
		await checker.close();
	});
});

describe('during a running answer', () => {
	// Names in order, repeated ones once.
	const runs = (turn) => turn.map((e) => e.name).filter((name, i, all) => name !== all[i - 1]);

	for (const mode of ['full', 'delta'])
		for (const at of [0, 1])
			it(`a tab (${mode}) is recovered on instance ${at}: one snapshot, then chunks`, async () => {
				const user = unique('user');
				const sender = await open(user, { auth: { stream: mode } });
				const other = await open(user, { auth: { stream: mode } });
				const still = await open(user, { at: 1 });
				const id = await sender.create();
				for (const tab of [sender, other, still]) await tab.join(id);
				const ack = await sender.ok('message:send', {
					conversationId: id,
					content: question('utf8-120-12'),
				});
				const heard = () => still.all('message:chunk').length;
				await Promise.all(
					[sender, other].map(async (tab) => {
						await tab.next('message:chunk', (d) => d.seq >= 3);
						const socket = tab.socket.id;
						const before = heard();
						const meanwhile = () => until(() => heard() > before + 3, 'it goes on');
						assertRecovered(tab, await lose(tab, { at, meanwhile }), socket);
					}),
				);
				for (const tab of [sender, other]) {
					const { assistantMessage } = await tab.next('message:complete', undefined, 20000);
					await tab.settled();
					const turn = turnOf(tab, ack);
					assert.deepEqual(
						runs(turn),
						['message:snapshot', 'message:chunk', 'ai:typing:stop', 'message:complete'],
						tab === sender ? 'the sender' : 'the other tab',
					);
					const chunks = turn.filter((e) => e.name === 'message:chunk');
					assert.equal(turn.length, chunks.length + 3, 'each once');
					const [{ data }] = turn;
					const text = joined(chunks, mode, data.content, data.seq);
					assert.equal(text, assistantMessage.content);
				}
			});

	it('one whose answer ended meanwhile hears the end of it', async () => {
		const tab = await settledTab();
		const watcher = await open(tab.user, { at: 1 });
		await watcher.join(tab.id);
		const content = question('30-10');
		const ack = await tab.ok('message:send', { conversationId: tab.id, content });
		await tab.next('message:chunk');
		const socket = tab.socket.id;
		const meanwhile = () => watcher.next('message:complete');
		assertRecovered(tab, await lose(tab, { at: 1, meanwhile }), socket);
		const end = await tab.next('message:complete');
		assert.equal(end.assistantMessage.id, ack.assistantMessageId);
		await tab.settled();
		const names = turnOf(tab, ack).map((e) => e.name);
		assert.deepEqual(
			names.filter((n) => n !== 'message:chunk' && n !== 'message:snapshot'),
			['ai:typing:stop', 'message:complete'],
		);
	});
});

describe('what cannot be recovered begins anew', () => {
	// The state is rebuilt by session:ready and joins.
	const assertAnew = async (tab, ready, id) => {
		assert.equal(tab.socket.recovered, false);
		assert.equal(ready.recovered, false);
		assert.notEqual(tab.socket.id, id);
		await tab.settled();
		assert.deepEqual(tab.names(), ['session:ready', 'pong']);
		if (!tab.id) return;
		const { messages } = await tab.ok('join:conversation', {
			conversationId: tab.id,
			sinceSeq: 0,
		});
		assert.ok(Array.isArray(messages));
		await publish({ id: tab.id }, 77777);
		await tab.next('app:tick', (d) => d.n === 77777);
	};

	describe('on an instance with a short memory', () => {
		before(async () => {
			await cluster.nodes[2].daemon.stop();
			await cluster.nodes[2].start({
				'chat.recovery_window_s': 1,
				'chat.recovery_max_events': 20,
			});
		});

		it('after its window', async () => {
			const tab = await settledTab({ at: 2 });
			const { id } = tab.socket;
			const meanwhile = async () => {
				await publish({ id: tab.id }, 3, 4);
				await delay(2500);
			};
			await assertAnew(tab, await lose(tab, { meanwhile }), id);
		});

		it('after more events than it replays', async () => {
			const tab = await settledTab({ at: 2 });
			const { id } = tab.socket;
			const few = () => publish({ id: tab.id }, 3, 12);
			assertRecovered(tab, await lose(tab, { meanwhile: few }), id);
			await tab.next('app:tick', (d) => d.n === 12);
			const many = () => publish({ id: tab.id }, 13, 53);
			await assertAnew(tab, await lose(tab, { meanwhile: many }), id);
		});
	});

	describe('on an instance that recovers nothing', () => {
		before(async () => {
			await cluster.nodes[2].daemon.stop();
			await cluster.nodes[2].start({ 'chat.recovery_window_s': 0 });
		});
		after(async () => {
			await cluster.nodes[2].daemon.stop();
			await cluster.nodes[2].start();
		});

		it('there is no pid, and events have one argument', async () => {
			const tab = await settledTab({ at: 2 });
			assert.equal(tab.socket._pid, undefined);
			const { id } = tab.socket;
			const ready = await lose(tab, { meanwhile: () => publish({ id: tab.id }, 3) });
			assert.ok(!tab.socket.recovered);
			assert.equal(ready.recovered, false);
			assert.notEqual(tab.socket.id, id);
			await tab.settled();
			assert.equal(ticks(tab).length, 0);
			await tab.join(tab.id);
		});
	});

	it('with a token that has expired it is refused', async () => {
		let valid = true;
		const user = unique('user');
		const door = await cluster.door(0);
		const expired = { claims: { exp: Math.floor(Date.now() / 1000) - 60 } };
		const tab = await Tab.open(door, user, {
			options: {
				...KEEN,
				auth: (give) => give({ token: token(user, valid ? {} : expired) }),
			},
		});
		tabs.push(tab);
		const { id } = tab.socket;
		valid = false;
		const refused = event(tab.socket, 'connect_error');
		door.cut();
		const [error] = await refused;
		assert.equal(error.data.code, 'TOKEN_EXPIRED');
		assert.ok(!tab.socket.connected);
		// With a new one the same session is there.
		valid = true;
		tab.forget();
		tab.socket.connect();
		assertRecovered(tab, await tab.next('session:ready'), id);
	});

	it("with another user's pid and offset, whose session stays his", async () => {
		const tab = await settledTab();
		const { id, _pid, _lastOffset } = tab.socket;
		const thief = await open(undefined, { at: 1 });
		// What the offset says of the other user's room would do for his own.
		await publish({ user: thief.user }, 1, 20);
		await thief.next('app:tick', (d) => d.n === 20);
		const meanwhile = async () => {
			await publish({ id: tab.id }, 3, 5);
			await publish({ user: tab.user }, 103);
			const own = thief.socket.id;
			Object.assign(thief.socket, { _pid, _lastOffset });
			await assertAnew(thief, await lose(thief), own);
			assert.notEqual(thief.socket.id, id);
			assert.notEqual(thief.socket._pid, _pid);
		};
		assertRecovered(tab, await lose(tab, { meanwhile }), id);
		await assertWhole(tab, 6);
		assert.deepEqual(ticks(tab).filter((n) => n < 100), range(3, 6));
	});

	const FORGED = {
		junk: () => 'no such offset',
		'a large number': () => '9'.repeat(40),
		'a negative number': () => '-1',
		'all but its end': (offset) => offset.slice(0, -1),
		'the same twice': (offset) => offset + offset,
		'every digit a nine': (offset) => offset.replace(/[0-9a-zA-Z]/g, '9'),
		'binary junk': () => '\u0000\u0001\u007f\u0080\uffff\ud83d',
		'quotes and backslashes': () => `'"\\'); DROP TABLE parlance.session; --`,
		'nearly a megabyte': (offset) => offset.repeat(Math.floor(900000 / offset.length)),
	};
	for (const [what, forge] of Object.entries(FORGED))
		it(`with a forged offset: ${what}`, async () => {
			const tab = await settledTab();
			const { id } = tab.socket;
			tab.socket._lastOffset = forge(tab.socket._lastOffset);
			const ready = await lose(tab, { meanwhile: () => publish({ id: tab.id }, 3) });
			await assertAnew(tab, ready, id);
		});

	it('with a pid of any other kind', async () => {
		const url = `${cluster.nodes[0].url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`;
		for (const pid of [7, null, true, {}, [], '', 'x', randomUUID(), '\u0000', 'p'.repeat(900000)])
			for (const offset of [undefined, 7, 'x']) {
				const raw = await Socket.open(url);
				assert.match(await raw.next(), /^0\{/);
				const auth = { token: token(unique('user')), pid, offset };
				raw.send(`40${JSON.stringify(auth)}`);
				const answer = await raw.nextData();
				assert.match(answer, /^40\{/, JSON.stringify(pid).slice(0, 40));
				assert.notEqual(JSON.parse(answer.slice(2)).pid, pid);
				assert.match(await raw.nextData(), /^42\["session:ready",.*"recovered":false/);
				raw.terminate();
			}
	});
});

describe('while a tab is away', () => {
	it('it is taken out of a conversation: it hears that, and no more of it', async () => {
		const owner = await settledTab();
		const guest = unique('guest');
		const about = { conversationId: owner.id, userId: guest };
		await owner.ok('conversation:share', { ...about, role: 'editor' });
		const tab = await open(guest);
		await tab.join(owner.id);
		await publish({ id: owner.id }, 3);
		await tab.next('app:tick');
		const { id } = tab.socket;
		const ready = await lose(tab, {
			at: 1,
			meanwhile: async () => {
				await owner.ok('conversation:unshare', about);
				await publish({ id: owner.id }, 4, 5);
			},
		});
		await publish({ id: owner.id }, 6);
		await publish({ user: guest }, 106);
		await tab.next('app:tick', (d) => d.n === 106);
		await tab.settled();
		assert.deepEqual(ticks(tab), [106], 'nothing of a conversation that is not his');
		if (ready.recovered) {
			assertRecovered(tab, ready, id);
			assert.equal(tab.all('conversation:deleted').length, 1);
		}
		await tab.refused('NOT_FOUND', 'typing:start', owner.id);
	});

	it('a conversation is deleted: it hears of that', async () => {
		const tab = await settledTab();
		const other = await open(tab.user, { at: 1 });
		const { id } = tab.socket;
		const meanwhile = () => other.ok('conversation:delete', tab.id);
		assertRecovered(tab, await lose(tab, { meanwhile }), id);
		await tab.next('conversation:deleted');
		await tab.settled();
		assert.equal(tab.all('conversation:deleted').length, 1);
		await tab.refused('NOT_FOUND', 'join:conversation', tab.id);
	});

	it('it comes back before the server knows that it went: the old connection is closed', async () => {
		const tab = await settledTab();
		const { id, _pid: pid, _lastOffset: offset } = tab.socket;
		const gone = event(tab.socket, 'disconnect');
		tab.socket.io.reconnection(false);
		const ws = cluster.nodes[0].url.replace('http', 'ws');
		const raw = await Socket.open(`${ws}/socket.io/?EIO=4&transport=websocket`);
		assert.match(await raw.next(), /^0\{/);
		raw.send(`40${JSON.stringify({ token: token(tab.user), pid, offset })}`);
		const answer = JSON.parse((await raw.nextData()).slice(2));
		assert.deepEqual(answer, { sid: id, pid });
		await gone;
		await publish({ id: tab.id }, 3);
		assert.match(await raw.nextData(), /^42\["session:ready",.*"recovered":true/);
		assert.match(await raw.nextData(), /^42\["app:tick",\{"n" ?: ?3\}/);
		raw.terminate();
	});
});
