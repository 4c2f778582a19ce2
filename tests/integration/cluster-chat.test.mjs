// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Two instances that behave as one: who hears what, wherever it was caused, and each socket once; what
// SQL publishes; who is online; and what two instances do to one conversation at the same time.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { assertForsaken, assertQuiet, assertTurn, listed } from './lib/answers.mjs';
import { Tab } from './lib/chat.mjs';
import { clusterFor } from './lib/cluster.mjs';
import { event, until } from './lib/util.mjs';

let cluster;
clusterFor({ before, after }, { n: 2, ai: true }, (started) => {
	cluster = started;
});

const tabs = [];
async function openAt(i, user, auth = {}) {
	const options = { transports: ['websocket'] };
	const tab = await Tab.open(cluster.nodes[i], user, { auth, options });
	tabs.push(tab);
	return tab;
}
const closeAll = () => Promise.all(tabs.splice(0).map((tab) => tab.close()));
beforeEach(() => cluster.mend());

const unique = (name) => `${name}-${randomUUID().slice(0, 8)}`;
const question = (mode) => `${unique('question')} [[mock-${mode}]]`;
const quote = (text) => `'${text.replaceAll("'", "''")}'`;

// Owner and guest of a conversation and a stranger, each with a tab on each instance that is in the
// room and one that is not: by name and instance, e.g. ownerIn[0].
async function cast() {
	const [owner, guest, stranger] = ['owner', 'guest', 'stranger'].map(unique);
	const both = (user) => Promise.all([0, 1].map((i) => openAt(i, user)));
	const c = { owner, guest, stranger };
	[c.ownerIn, c.ownerOut, c.guestIn, c.guestOut, c.strangers] = await Promise.all(
		[owner, owner, guest, guest, stranger].map(both),
	);
	c.id = await c.ownerIn[0].create();
	const { id } = c;
	await c.ownerIn[0].ok('conversation:share', { conversationId: id, userId: guest, role: 'editor' });
	c.inside = [...c.ownerIn, ...c.guestIn];
	c.all = [...c.inside, ...c.ownerOut, ...c.guestOut, ...c.strangers];
	await Promise.all(c.inside.map((tab) => tab.join(id)));
	await marked(c);
	return c;
}

// All events that were caused before have come to all tabs, which begin anew with the next ones; returns
// what they had heard: a map from tabs to sorted names.
let marks = 0;
async function marked(c, inside = c.inside) {
	const mark = ++marks;
	const data = `'app:mark', '{"mark":${mark}}'`;
	const users = [c.owner, c.guest, c.stranger].map(
		(user) => `parlance.publish_to_user(${quote(user)}, ${data})`,
	);
	await cluster.sql(`SELECT ${users.join(', ')}`);
	if (inside.length)
		await cluster.sql(`SELECT parlance.publish_to_conversation('${c.id}', ${data})`);
	const heard = new Map();
	for (const tab of c.all) {
		const want = inside.includes(tab) ? 2 : 1;
		const all = () => tab.all('app:mark', (d) => d.mark === mark);
		await until(() => all().length >= want, `${want} marks for ${tab.user}`);
		assert.equal(all().length, want, 'each mark once');
		const names = tab.names().filter((n) => n !== 'app:mark' && n !== 'message:chunk');
		heard.set(tab, names.sort());
		tab.forget();
	}
	return heard;
}

const BOTH = (what) => [`conversation:${what}`, `conversation:${what}d`];
const TURN = ['ai:typing:start', 'ai:typing:stop', 'message:complete'];

// What is done, and what is heard of it: by the socket that does it (its acknowledgement is awaited), by
// the others of its user and by the guest's, those in the room and those outside.
const CAUSES = {
	'conversation:update': {
		act: (c, tab) =>
			tab.ok('conversation:update', { conversationId: c.id, update: { title: unique('t') } }),
		origin: ['conversation:updated'],
		ownIn: BOTH('update'),
		ownOut: BOTH('update'),
		guestIn: BOTH('update'),
		guestOut: BOTH('update'),
	},
	'conversation:share with somebody else': {
		act: (c, tab) =>
			tab.ok('conversation:share', {
				conversationId: c.id,
				userId: unique('third'),
				role: 'viewer',
			}),
		origin: ['conversation:updated'],
		ownIn: BOTH('update'),
		ownOut: BOTH('update'),
		guestIn: BOTH('update'),
		guestOut: BOTH('update'),
	},
	'conversation:create': {
		act: (c, tab) => tab.ok('conversation:create', {}),
		origin: ['conversation:created'],
		ownIn: BOTH('create'),
		ownOut: BOTH('create'),
		guestIn: [],
		guestOut: [],
	},
	'conversation:view': {
		act: (c, tab) => tab.ok('conversation:view', { conversationId: c.id }),
		origin: [],
		ownIn: ['conversation:unread_status'],
		ownOut: ['conversation:unread_status'],
		guestIn: [],
		guestOut: [],
	},
	'message:send': {
		act: async (c, tab) => {
			const content = question('8-5');
			const ack = await tab.ok('message:send', { conversationId: c.id, content });
			await tab.closing(ack);
		},
		origin: ['conversation:activity', ...TURN],
		ownIn: ['conversation:activity', 'message:new', ...TURN],
		ownOut: ['conversation:activity', 'message:new'],
		guestIn: ['conversation:activity', 'message:new', ...TURN],
		guestOut: ['conversation:activity', 'message:new'],
	},
	'conversation:leave_view and join:conversation, again': {
		act: async (c, tab) => {
			await tab.ok('conversation:leave_view', { conversationId: c.id });
			await tab.join(c.id);
		},
		origin: ['conversation:joined'],
		ownIn: ['conversation:unread_status'],
		ownOut: ['conversation:unread_status'],
		guestIn: [],
		guestOut: [],
	},
};

describe('an event is heard by each socket once, whichever instance it is on', () => {
	let c;
	before(async () => {
		c = await cast();
	});
	after(closeAll);

	for (const [name, { act, ...want }] of Object.entries(CAUSES))
		it(name, async () => {
			for (const i of [0, 1]) {
				const origin = c.ownerIn[i];
				await act(c, origin);
				const heard = await marked(c);
				const expect = new Map();
				const fill = (group, names) =>
					group.forEach((tab) => expect.set(tab, [...names].sort()));
				fill(c.ownerIn, want.ownIn);
				fill(c.ownerOut, want.ownOut);
				fill(c.guestIn, want.guestIn);
				fill(c.guestOut, want.guestOut);
				fill(c.strangers, []);
				fill([origin], want.origin);
				for (const tab of c.all)
					assert.deepEqual(
						heard.get(tab),
						expect.get(tab),
						`${tab.user}, ${c.all.indexOf(tab)}, caused on ${i}`,
					);
			}
		});

	it('typing goes to the room but to the one who types', async () => {
		for (const i of [0, 1])
			for (const what of ['start', 'stop']) {
				const others = c.inside.filter((tab) => tab !== c.ownerIn[i]);
				await c.ownerIn[i].ok(`typing:${what}`, c.id);
				const mine = (d) => d.userId === c.owner && d.conversationId === c.id;
				for (const tab of others) {
					await tab.next(`typing:${what}`, mine);
					await tab.next(`user:typing:${what}`, mine);
				}
				const heard = await marked(c);
				for (const tab of c.all)
					assert.deepEqual(
						heard.get(tab),
						others.includes(tab) ? [`typing:${what}`, `user:typing:${what}`] : [],
						`${tab.user}, ${c.all.indexOf(tab)}, typed on ${i}`,
					);
			}
		const leaver = await openAt(1, c.owner);
		await leaver.join(c.id);
		await leaver.ok('typing:start', c.id);
		for (const tab of c.guestIn) await tab.next('typing:start');
		await leaver.close();
		for (const tab of c.guestIn) await tab.next('typing:stop');
		await marked(c);
	});

	it('leaving the room on one instance leaves the sockets on the other in it', async () => {
		await c.ownerIn[0].ok('leave:conversation', c.id);
		await marked(c, [c.ownerIn[1], ...c.guestIn]);
		await cluster.sql(
			`SELECT parlance.publish_to_conversation('${c.id}', 'app:only', '{"x":1}')`,
		);
		const heard = await marked(c, [c.ownerIn[1], ...c.guestIn]);
		for (const tab of c.all) {
			const member = tab === c.ownerIn[1] || c.guestIn.includes(tab);
			assert.deepEqual(heard.get(tab), member ? ['app:only'] : []);
		}
	});
});

describe('participants come and go', () => {
	afterEach(closeAll);

	it('who is let in hears of it everywhere, and can join there', async () => {
		const c = await cast();
		const stranger = { conversationId: c.id, userId: c.stranger, role: 'viewer' };
		await c.ownerIn[0].ok('conversation:share', stranger);
		const heard = await marked(c);
		for (const tab of c.strangers)
			assert.deepEqual(heard.get(tab), [...BOTH('create'), ...BOTH('update')]);
		await c.strangers[1].join(c.id);
		await marked(c, [...c.inside, c.strangers[1]]);
	});

	for (const [how, remove] of [
		['by the owner on the other instance', (c) =>
			c.ownerIn[0].ok('conversation:unshare', { conversationId: c.id, userId: c.guest })],
		['by another program', (c) =>
			cluster.sql(`DELETE FROM parlance.participant
				WHERE conversation = '${c.id}' AND user_id = ${quote(c.guest)}`)],
	])
		it(`who is taken out ${how} hears no more, not even of a running answer`, async () => {
			const c = await cast();
			const content = question('120-20');
			const ack = await c.ownerIn[0].ok('message:send', { conversationId: c.id, content });
			for (const tab of c.guestIn)
				await tab.next('message:chunk', (d) => d.streamId === ack.streamId);
			await remove(c);
			for (const tab of [...c.guestIn, ...c.guestOut]) await tab.next('conversation:deleted');
			await c.ownerIn[1].closing(ack);
			const gone = [...c.guestIn, ...c.guestOut];
			const last = new Map(gone.map((tab) => [tab, tab.names().indexOf('conversation:deleted')]));
			const after = new Map(
				gone.map((tab) => [tab, tab.names().slice(last.get(tab) + 1)]),
			);
			for (const tab of gone) {
				assert.equal(tab.all('conversation:delete').length, 1);
				assert.deepEqual(
					after.get(tab).filter((n) => !['pong', 'app:mark'].includes(n)),
					[],
				);
			}
			await marked(c, c.ownerIn);
			await c.guestIn[1].refused('NOT_FOUND', 'join:conversation', c.id);
			await c.guestIn[1].refused('NOT_FOUND', 'typing:start', c.id);
		});

	it('a conversation is deleted on one instance while it is answered on the other', async () => {
		const c = await cast();
		const content = question('2000-10');
		const ack = await c.ownerIn[0].ok('message:send', { conversationId: c.id, content });
		for (const tab of c.inside)
			await tab.next('message:chunk', (d) => d.streamId === ack.streamId);
		await c.ownerIn[1].ok('conversation:delete', c.id);
		for (const tab of [...c.inside, ...c.ownerOut, ...c.guestOut])
			await tab.next('conversation:deleted');
		for (const tab of c.inside) {
			const [name, data] = await tab.closing(ack);
			assert.equal(name, 'message:complete');
			assert.equal(data.assistantMessage.status, 'stopped');
			assert.equal(tab.all('ai:typing:stop').length, 1);
		}
		const heard = await marked(c, []);
		for (const tab of c.strangers) assert.deepEqual(heard.get(tab), []);
		await assertForsaken(cluster.recorder, content);
		await assertQuiet(cluster.database, c.id);
		for (const tab of c.inside) {
			await tab.refused('NOT_FOUND', 'join:conversation', c.id);
			await tab.refused('NOT_FOUND', 'typing:start', c.id);
		}
	});
});

describe('SQL', () => {
	let c;
	before(async () => {
		c = await cast();
	});
	after(closeAll);

	const tick = (user, n) =>
		`parlance.publish_to_user(${quote(user)}, 'app:tick', '{"n":${n},"text":"é😀"}')`;

	it('publishes to a user and to a room', async () => {
		await cluster.sql(`SELECT ${tick(c.guest, 1)}`);
		await cluster.sql(`SELECT parlance.publish_to_conversation('${c.id}', 'app:room',
			json_build_object('text', repeat('é', 6000)))`);
		const text = [];
		for (const tab of c.inside) text.push((await tab.next('app:room')).text);
		for (const tab of [...c.guestIn, ...c.guestOut])
			assert.deepEqual(await tab.next('app:tick'), { n: 1, text: 'é😀' });
		const heard = await marked(c);
		assert.deepEqual(new Set(text), new Set(['é'.repeat(6000)]));
		for (const tab of c.ownerIn) assert.deepEqual(heard.get(tab), ['app:room']);
		for (const tab of c.guestIn) assert.deepEqual(heard.get(tab), ['app:room', 'app:tick']);
		for (const tab of c.guestOut) assert.deepEqual(heard.get(tab), ['app:tick']);
		for (const tab of [...c.ownerOut, ...c.strangers]) assert.deepEqual(heard.get(tab), []);
	});

	it('publishes when the transaction commits, in its order, and nothing when it does not', async () => {
		const all = (from) => [0, 1, 2].map((n) => `SELECT ${tick(c.guest, from + n)}`).join(';');
		const rollback = await cluster.database.hold(
			`${all(10)}; SELECT parlance.publish_to_conversation('${c.id}', 'app:room', '{}')`,
		);
		await rollback('ROLLBACK');
		const commit = await cluster.database.hold(all(20));
		await c.guestIn[0].settled();
		assert.equal(c.guestIn[0].all('app:tick').length, 0);
		await commit();
		for (const tab of c.guestOut) {
			await tab.next('app:tick', (d) => d.n === 22);
			assert.deepEqual(
				tab.all('app:tick').map((d) => d.n),
				[20, 21, 22],
			);
		}
		const heard = await marked(c);
		for (const tab of c.ownerIn) assert.deepEqual(heard.get(tab), []);
	});

	it('changes rows, of which all hear', async () => {
		await cluster.sql(`UPDATE parlance.conversation SET title = 'By SQL' WHERE id = '${c.id}'`);
		let heard = await marked(c);
		for (const tab of [...c.inside, ...c.ownerOut, ...c.guestOut])
			assert.deepEqual(heard.get(tab), BOTH('update'));
		const message = randomUUID();
		await cluster.sql(`INSERT INTO parlance.message (id, conversation, ord, role, content)
			VALUES ('${message}', '${c.id}', 1, 'user', 'imported')`);
		heard = await marked(c);
		for (const tab of [...c.inside, ...c.ownerOut, ...c.guestOut])
			assert.deepEqual(heard.get(tab), ['message:new']);
		await cluster.sql(`UPDATE parlance.message SET content = 'x' WHERE id = '${message}'`);
		await cluster.sql(`DELETE FROM parlance.message WHERE id = '${message}'`);
		heard = await marked(c);
		for (const tab of c.all)
			assert.deepEqual(
				heard.get(tab),
				c.inside.includes(tab) ? ['message:deleted', 'message:updated'] : [],
			);
	});

	it('disconnects a user everywhere for good', async () => {
		const out = [...c.guestIn, ...c.guestOut];
		const reasons = out.map((tab) => event(tab.socket, 'disconnect'));
		const rollback = await cluster.database.hold(
			`SELECT parlance.disconnect_user(${quote(c.guest)})`,
		);
		await rollback('ROLLBACK');
		await marked(c);
		for (const tab of out) assert.ok(tab.socket.connected, 'a rollback disconnects nobody');
		await cluster.sql(`SELECT parlance.disconnect_user(${quote(c.guest)})`);
		for (const reason of reasons) assert.equal((await reason)[0], 'io server disconnect');
		const audited = ({ daemon }) => /audit: a user was disconnected sockets=[1-9]/.test(daemon.stderr);
		assert.ok(cluster.nodes.some(audited), 'the audit log has it');
		for (const tab of [...c.ownerIn, ...c.ownerOut, ...c.strangers]) {
			await tab.settled();
			assert.ok(tab.socket.connected);
		}
		const again = await openAt(1, c.guest);
		await again.join(c.id);
	});
});

// Presence is true so soon, and a moment for the one who asks.
const SOON = 1000 + 1000;

describe('presence', () => {
	afterEach(closeAll);

	const online = async (user) =>
		(await cluster.sql(`SELECT parlance.user_online(${quote(user)})`))[0][0] === 't';
	const sockets = async (user) =>
		(await cluster.sql(`SELECT parlance.user_sockets(${quote(user)})`)).map(([s]) => s).sort();
	const usersIn = async (id) =>
		(await cluster.sql(`SELECT parlance.conversation_users('${id}')`)).map(([u]) => u).sort();
	const becomes = (probe, want, what) =>
		until(
			async () => JSON.stringify(await probe()) === JSON.stringify(want),
			`${what} is ${JSON.stringify(want)}`,
			SOON,
		);

	it('is known to SQL', async () => {
		const c = await cast();
		const ids = (list) => list.map((tab) => tab.socket.id).sort();
		await becomes(() => online(c.owner), true, 'online');
		assert.equal(await online(unique('nobody')), false);
		await becomes(() => sockets(c.guest), ids([...c.guestIn, ...c.guestOut]), 'sockets');
		await becomes(() => usersIn(c.id), [c.guest, c.owner].sort(), 'users in the room');
		await c.guestIn[0].close();
		await becomes(() => sockets(c.guest), ids([c.guestIn[1], ...c.guestOut]), 'sockets');
		await becomes(() => usersIn(c.id), [c.guest, c.owner].sort(), 'users in the room');
		await c.guestIn[1].ok('leave:conversation', c.id);
		await becomes(() => usersIn(c.id), [c.owner], 'users in the room');
		for (const tab of [c.guestIn[1], ...c.guestOut]) await tab.close();
		await becomes(() => online(c.guest), false, 'online');
	});

	it('is told to those who share a conversation', async () => {
		const c = await cast();
		const absent = unique('absent');
		await c.ownerIn[0].ok('conversation:share', {
			conversationId: c.id,
			userId: absent,
			role: 'viewer',
		});
		const others = async (argument) => {
			const ack = await c.ownerOut[0].ok('presence:get', argument);
			return ack.online.filter((user) => user !== c.owner);
		};
		const userIds = [c.guest, c.stranger, absent, unique('nobody')];
		await becomes(() => others({ userIds }), [c.guest], 'presence:get');
		await becomes(() => others({ conversationId: c.id }), [c.guest], 'presence:get');
		await c.strangers[0].refused('NOT_FOUND', 'presence:get', { conversationId: c.id });
		const none = await c.strangers[1].ok('presence:get', { userIds: [c.owner, c.guest] });
		assert.deepEqual(none.online, []);
	});

	it('is told to those who subscribed, each change once', async () => {
		const c = await cast();
		const watcher = c.ownerOut[0];
		const byRoom = c.ownerOut[1];
		const userIds = [c.guest, c.stranger];
		const known = async () => (await watcher.ok('presence:get', { userIds })).online;
		await becomes(known, [c.guest], 'presence:get');
		const ack = await watcher.ok('presence:subscribe', { userIds });
		assert.deepEqual(ack.online, [c.guest]);
		await byRoom.ok('presence:subscribe', { conversationId: c.id });
		const about = (d) => d.userId === c.guest;
		const changes = (tab) => tab.all('presence:update', about).map((d) => d.online);
		const now = (want) =>
			Promise.all(
				[watcher, byRoom].map((tab) =>
					until(() => changes(tab).at(-1) === want, `online: ${want}`, SOON),
				),
			);
		for (const tab of [...c.guestIn, c.guestOut[0], ...c.strangers]) await tab.close();
		const another = await openAt(0, c.guest);
		await another.settled();
		assert.deepEqual(changes(watcher), [], 'one that stays is enough');
		await c.guestOut[1].close();
		await another.close();
		await now(false);
		const back = await openAt(1, c.guest);
		await now(true);
		await back.close();
		await now(false);
		for (const tab of [watcher, byRoom]) assert.deepEqual(changes(tab), [false, true, false]);
		assert.deepEqual(
			watcher.all('presence:update', (d) => d.userId === c.stranger),
			[],
			'strangers are none of his business',
		);
	});
});

describe('two instances in one conversation', () => {
	afterEach(closeAll);

	const pair = async () => {
		const user = unique('user');
		const [a, b] = await Promise.all([openAt(0, user), openAt(1, user, { stream: 'delta' })]);
		const id = await a.create();
		await Promise.all([a.join(id), b.join(id)]);
		const send = (tab, mode, more = {}) => {
			const content = question(mode);
			return tab
				.ok('message:send', { conversationId: id, content, ...more })
				.then((ack) => ({ ...ack, content }));
		};
		return { user, a, b, id, send };
	};
	const stopped = async (tab, ack) => {
		const [name, data] = await tab.closing(ack);
		assert.equal(name, 'message:complete');
		assert.equal(data.finishReason, 'stopped');
		return [name, data];
	};

	it('message:stop from the other one ends the answer at once, and keeps the text', async () => {
		const { a, b, id, send } = await pair();
		const ack = await send(a, '2000-10');
		await b.next('message:chunk', (d) => d.streamId === ack.streamId);
		const about = { conversationId: id, streamId: ack.streamId };
		const stop = await b.ok('message:stop', about);
		assert.equal(stop.stopped, true);
		const end = await stopped(a, ack);
		await stopped(b, ack);
		await assertTurn(a, ack, end);
		await assertTurn(b, ack, end, { place: 'room', mode: 'delta' });
		assert.notEqual(end[1].assistantMessage.content, '');
		await assertForsaken(cluster.recorder, ack.content);
		assert.deepEqual(
			await listed(b, id, ack.assistantMessageId),
			end[1].assistantMessage,
		);
		assert.equal((await b.ok('message:stop', about)).alreadyDone, true);
		await assertQuiet(cluster.database, id);
	});

	it('message:stop from the other one ends it within 50 ms', async (t) => {
		const { a, b, id, send } = await pair();
		const took = [];
		// The best of five: the machine may be busy.
		for (let i = 0; i < 5; i++) {
			const ack = await send(a, '2000-10');
			await b.next('message:chunk', (d) => d.streamId === ack.streamId);
			// Before the row is written, so it counts for more.
			const asked = performance.now();
			await b.ok('message:stop', { conversationId: id, streamId: ack.streamId });
			await stopped(a, ack);
			const end = a.heard.find((e) => e.name === 'message:complete' && e.data.streamId === ack.streamId);
			took.push(Math.round(end.at - asked));
		}
		t.diagnostic(`from the question to the end in the other tab: ${took} ms`);
		assert.ok(Math.min(...took) < 50, `${took} ms`);
	});

	it('message:stop ends what waits on both, too', async () => {
		const { a, b, id, send } = await pair();
		const first = await send(a, '2000-10');
		const second = await send(b, '2000-10');
		const third = await send(a, '2000-10');
		assert.ok(second.queued && third.queued);
		await b.ok('message:stop', { conversationId: id });
		for (const ack of [first, second, third])
			for (const tab of [a, b]) await stopped(tab, ack);
		await assertForsaken(cluster.recorder, first.content);
		assert.equal((await cluster.recorder.of(second.content)).requests, 0);
		await assertQuiet(cluster.database, id);
	});

	it('message:stop right after the acknowledgement, and from both at once', async () => {
		const { a, b, id, send } = await pair();
		for (let i = 0; i < 5; i++) {
			const ack = await send(a, '2000-10');
			const about = { conversationId: id, streamId: ack.streamId };
			await Promise.all([a.ok('message:stop', about), b.ok('message:stop', about)]);
			await stopped(a, ack);
			await stopped(b, ack);
		}
		await assertQuiet(cluster.database, id);
		for (const tab of [a, b]) {
			await tab.settled();
			assert.equal(tab.all('message:complete').length, 5);
		}
	});

	it('messages of both are answered one after the other', async () => {
		const { a, b, id, send } = await pair();
		const acks = [];
		for (const tab of [a, b, b, a]) acks.push(await send(tab, '30-10'));
		assert.deepEqual(acks.map((ack) => ack.position ?? 0), [0, 1, 2, 3]);
		const content = question('5-5');
		await b.refused('BUSY', 'message:send', { conversationId: id, content });
		const reject = { conversationId: id, content, onBusy: 'reject' };
		await b.refused('BUSY', 'message:send', reject);
		for (const [i, ack] of acks.entries()) {
			const end = await a.closing(ack);
			assert.equal(end[0], 'message:complete');
			const sender = i === 1 || i === 2 ? b : a;
			const place = (tab) => (tab === sender ? 'sender' : 'room');
			await assertTurn(a, ack, end, { place: place(a) });
			await assertTurn(b, ack, end, { place: place(b), mode: 'delta' });
			const { text } = await cluster.recorder.of(ack.content);
			assert.equal(end[1].assistantMessage.content, text);
		}
		for (const tab of [a, b]) {
			const order = tab.heard
				.filter((e) => /^(ai:typing:start|message:complete)$/.test(e.name))
				.map((e) => e.data.streamId);
			assert.deepEqual(
				order,
				acks.flatMap((ack) => [ack.streamId, ack.streamId]),
				'none begins before the one before it has ended',
			);
		}
		await assertQuiet(cluster.database, id);
	});

	it('one interrupts the answer of the other', async () => {
		const { a, b, id, send } = await pair();
		const first = await send(a, '2000-10');
		await b.next('message:chunk', (d) => d.streamId === first.streamId);
		const second = await send(b, '20-5', { onBusy: 'interrupt' });
		await stopped(b, first);
		await assertForsaken(cluster.recorder, first.content);
		for (const tab of [a, b]) {
			const [name, data] = await tab.closing(second);
			assert.equal(name, 'message:complete');
			assert.equal(data.finishReason, 'stop');
		}
		await assertQuiet(cluster.database, id);
	});

	it('the same messageId on both at once is one message', async () => {
		const { a, b, id, send } = await pair();
		for (let i = 0; i < 6; i++) {
			const content = question('10-5');
			const message = { conversationId: id, content, messageId: unique('mine') };
			const acks = await Promise.all([a, b].map((tab) => tab.ok('message:send', message)));
			assert.deepEqual(acks.map((ack) => Boolean(ack.duplicate)).sort(), [false, true]);
			assert.equal(acks[0].userMessage.id, acks[1].userMessage.id);
			assert.equal(acks[0].streamId, acks[1].streamId);
			for (const tab of [a, b])
				assert.equal((await tab.closing(acks[0]))[0], 'message:complete');
			assert.equal((await cluster.recorder.of(content)).requests, 1);
		}
		const later = await send(b, '5-5');
		for (const tab of [a, b]) await tab.closing(later);
		for (const tab of [a, b]) assert.equal(tab.all('message:complete').length, 7);
	});

	it('the same new conversation on both at once is one conversation', async () => {
		const { a, b } = await pair();
		const id = randomUUID();
		const acks = await Promise.all([a, b].map((tab) => tab.ok('conversation:create', { id })));
		assert.deepEqual(acks.map((ack) => Boolean(ack.duplicate)).sort(), [false, true]);
		const [[n]] = await cluster.sql(
			`SELECT count(*) FROM parlance.participant WHERE conversation = '${id}'`,
		);
		assert.equal(n, '1');
	});
});

describe('an instance that is killed', () => {
	after(closeAll);

	it('takes its users offline within ten seconds', async () => {
		const c = await cast();
		const lone = unique('lone');
		await c.ownerIn[0].ok('conversation:share', {
			conversationId: c.id,
			userId: lone,
			role: 'viewer',
		});
		const ghost = await openAt(1, lone);
		await ghost.join(c.id);
		await c.ownerIn[0].ok('presence:subscribe', { userIds: [lone, c.guest] });
		const there = async () =>
			(await c.ownerIn[0].ok('presence:get', { userIds: [lone] })).online.length;
		await until(there, 'it is online', SOON);
		c.ownerIn[0].forget();
		await cluster.nodes[1].daemon.kill();
		const gone = (d) => d.userId === lone && !d.online;
		await c.ownerIn[0].next('presence:update', gone, 10000 + 1000);
		const [[still]] = await cluster.sql(`SELECT parlance.user_online(${quote(lone)})`);
		assert.equal(still, 'f');
		const users = await cluster.sql(`SELECT parlance.conversation_users('${c.id}')`);
		assert.deepEqual(users.flat().sort(), [c.guest, c.owner].sort());
		assert.deepEqual(
			c.ownerIn[0].all('presence:update', (d) => d.userId === c.guest),
			[],
			'who has a tab elsewhere stays',
		);
		await cluster.nodes[1].start();
		const back = await openAt(1, lone);
		await c.ownerIn[0].next('presence:update', (d) => d.userId === lone && d.online);
		await back.close();
	});
});
