// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Who hears what: five tabs of one user and four of another, in the room or not, with each choice of
// names and streams, and for each event exactly what each of them hears, how often and in which order.
// The cases follow each other: what is heard too much in one is found in the next.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { chatFor } from './lib/chat.mjs';
import { until } from './lib/util.mjs';

const chat = chatFor({ before, after });

// name: [user, aliases, stream]
const TABS = {
	o1: ['owner', undefined, 'full'],
	o2: ['owner', 'seed', 'delta'],
	o3: ['owner', 'past', 'full'],
	o4: ['owner', 'both', 'delta'],
	o5: ['owner', 'seed', 'full'],
	g1: ['guest', 'past', 'full'],
	g2: ['guest', 'seed', 'full'],
	g3: ['guest', 'both', 'delta'],
	g4: ['guest', 'past', 'delta'],
	x1: ['stranger', 'both', 'full'],
};
const of = (user) => Object.keys(TABS).filter((name) => TABS[name][0] === user);
const owners = of('owner');
const guests = of('guest');
const hears = (name, family) => [undefined, 'both', family].includes(TABS[name][1]);

const TURN = ['ai:typing:start', 'message:chunk', 'ai:typing:stop', 'message:complete'];
const FAILED = ['ai:typing:start', 'ai:typing:stop', 'message:error'];

describe('each event of a conversation is heard', () => {
	const tabs = {};
	const room = new Set(); // who is in it
	let users;
	let id;

	before(async () => {
		users = Object.fromEntries(
			['owner', 'guest', 'stranger'].map((name) => [name, chat.user(name)]),
		);
		for (const [name, [user, aliases, stream]] of Object.entries(TABS))
			tabs[name] = await chat.open(users[user], { auth: { aliases, stream } });
		for (const tab of Object.values(tabs)) tab.forget();
	});

	// What all tabs have heard by now is this: { name of a tab: [events] }, and nothing for others.
	async function assertHeard(want) {
		for (const [name, tab] of Object.entries(tabs)) {
			const n = want[name]?.length ?? 0;
			await until(() => tab.heard.length >= n, `${n} events in ${name}: ${tab.names()}`);
		}
		for (const tab of Object.values(tabs)) await tab.settled();
		const got = Object.fromEntries(
			Object.entries(tabs).map(([name, tab]) => [
				name,
				tab.names().filter((event) => event !== 'pong'),
			]),
		);
		const all = Object.fromEntries(Object.keys(tabs).map((name) => [name, want[name] ?? []]));
		assert.deepEqual(got, all);
		assertAlike();
		for (const tab of Object.values(tabs)) tab.forget();
	}

	// One event says the same to everybody, under both names.
	function assertAlike() {
		const said = new Map();
		for (const tab of Object.values(tabs))
			for (const { name, data } of tab.heard) {
				if (name === 'pong' || name === 'message:chunk') continue;
				const fact = name.replace(/^user:/, '').replace(/(e)d$/, '$1');
				if (!said.has(fact)) said.set(fact, []);
				said.get(fact).push(data);
			}
		for (const [fact, [first, ...others]] of said)
			for (const data of others) assert.deepEqual(data, first, fact);
	}

	// The seed's name to all but `by`, the past-tense name to all.
	const both = (names, by, seed, past) =>
		Object.fromEntries(
			[...names].map((name) => [
				name,
				[
					...(name !== by && hears(name, 'seed') ? [seed] : []),
					...(hears(name, 'past') ? [past] : []),
				],
			]),
		);
	const created = (names, by) => both(names, by, 'conversation:create', 'conversation:created');
	const updated = (names, by) => both(names, by, 'conversation:update', 'conversation:updated');
	const deleted = (names, by) => both(names, by, 'conversation:delete', 'conversation:deleted');
	const merge = (...wants) => {
		const sum = {};
		for (const want of wants)
			for (const [name, events] of Object.entries(want))
				sum[name] = [...(sum[name] ?? []), ...events];
		return sum;
	};
	const each = (names, events) => Object.fromEntries([...names].map((name) => [name, events]));
	const but = (names, by) => [...names].filter((name) => name !== by);
	const everybody = [...owners, ...guests];
	// The events of a turn that `by` begins, who is in the room by then.
	const turn = (by, events) =>
		merge(
			each(but(everybody, by), ['message:new']),
			each(room, events),
			events === FAILED ? { [by]: ['error'] } : {},
			each(everybody, ['conversation:activity']),
		);
	const send = (name, mode) =>
		tabs[name].ok('message:send', { conversationId: id, content: `Hello [[${mode}]]` });
	const join = async (...names) => {
		for (const name of names) {
			await tabs[name].join(id);
			room.add(name);
		}
	};

	it('conversation:create', async () => {
		id = await tabs.o3.create({ title: 'One' });
		await assertHeard(created(owners, 'o3'));
	});

	it('conversation:create again with its id', async () => {
		await tabs.o1.ok('conversation:create', { id });
		await assertHeard({});
	});

	it('conversation:update, while nobody has joined', async () => {
		for (const by of owners) {
			const update = { title: `by ${by}` };
			await tabs[by].ok('conversation:update', { conversationId: id, update });
			await assertHeard(updated(owners, by));
		}
	});

	it('conversation:update that changes nothing', async () => {
		const update = { title: 'by o5' };
		await tabs.o1.ok('conversation:update', { conversationId: id, update });
		await assertHeard({});
	});

	it('conversation:share', async () => {
		await tabs.o1.ok('conversation:share', {
			conversationId: id,
			userId: users.guest,
			role: 'editor',
		});
		await assertHeard(merge(created(guests), updated(everybody, 'o1')));
	});

	it('join:conversation', async () => {
		await join('o1', 'o2', 'g1', 'g2');
		await assertHeard(each(room, ['conversation:joined']));
	});

	it('conversation:update, from tabs in the room and outside it', async () => {
		for (const by of everybody) {
			const update = { title: `again by ${by}`, metadata: { by } };
			await tabs[by].ok('conversation:update', { conversationId: id, update });
			await assertHeard(updated(everybody, by));
		}
	});

	it('a change by another program', async () => {
		await chat.database.sql(
			`UPDATE parlance.conversation SET title = 'By psql' WHERE id = '${id}'`,
		);
		await assertHeard(updated(everybody));
	});

	it('typing, in the room only', async () => {
		for (const by of room)
			for (const what of ['start', 'stop']) {
				await tabs[by].ok(`typing:${what}`, id);
				await assertHeard(
					both(but(room, by), null, `typing:${what}`, `user:typing:${what}`),
				);
			}
		for (const by of ['o3', 'g3', 'x1']) await tabs[by].refused('NOT_FOUND', 'typing:start', id);
		await assertHeard({});
	});

	it('a turn that a tab in the room begins', async () => {
		for (const by of [...room]) {
			await send(by, 'mock-1-1');
			await assertHeard(turn(by, TURN));
		}
	});

	it('a turn that fails', async () => {
		for (const by of ['o1', 'g2']) {
			await send(by, 'mock-500');
			await assertHeard(turn(by, FAILED));
		}
	});

	it('a turn that a tab outside the room begins, which is in it then', async () => {
		for (const by of ['o4', 'g4']) {
			room.add(by);
			await send(by, 'mock-1-1');
			await assertHeard(merge({ [by]: ['conversation:joined'] }, turn(by, TURN)));
		}
	});

	it('an answer that is stopped, by one tab or another', async () => {
		for (const [by, stopper] of [['o1', 'o5'], ['g1', 'o2'], ['o2', 'g3']]) {
			await send(by, 'mock-hang');
			await tabs[by].next('ai:typing:start');
			await tabs[stopper].ok('message:stop', id);
			await assertHeard(turn(by, TURN.filter((event) => event !== 'message:chunk')));
		}
	});

	it('conversation:view and leave_view, by the tabs of the same user', async () => {
		for (const [by, names] of [['o5', owners], ['o1', owners], ['g3', guests]])
			for (const event of ['conversation:view', 'conversation:leave_view']) {
				await tabs[by].ok(event, { conversationId: id });
				await assertHeard(each(but(names, by), ['conversation:unread_status']));
			}
	});

	it('messages that another program writes, changes and deletes', async () => {
		const { messages } = await tabs.o5.ok('message:list', { conversationId: id });
		const [{ id: first }] = messages;
		await chat.database.sql(`
			INSERT INTO parlance.message (id, conversation, ord, role, status, content)
			SELECT gen_random_uuid(), '${id}', last_ord + 1, 'user', 'complete', 'By psql'
			FROM parlance.conversation WHERE id = '${id}'`);
		await assertHeard(each(everybody, ['message:new']));
		await chat.database.sql(
			`UPDATE parlance.message SET content = 'Changed' WHERE id = '${first}'`,
		);
		await assertHeard(each(room, ['message:updated']));
		await chat.database.sql(`DELETE FROM parlance.message WHERE content = 'By psql'`);
		await assertHeard(each(room, ['message:deleted']));
	});

	it('leave:conversation, and what comes after it', async () => {
		for (const by of ['o4', 'g4', 'o2']) {
			await tabs[by].ok('leave:conversation', id);
			room.delete(by);
			await assertHeard({ [by]: ['conversation:left'] });
		}
		await send('g1', 'mock-1-1');
		await assertHeard(turn('g1', TURN));
		const update = { title: 'After they left' };
		await tabs.o2.ok('conversation:update', { conversationId: id, update });
		await assertHeard(updated(everybody, 'o2'));
	});

	it('a tab that types and goes away', async () => {
		await tabs.g2.ok('typing:start', id);
		await assertHeard(both(but(room, 'g2'), null, 'typing:start', 'user:typing:start'));
		await tabs.g2.close();
		delete tabs.g2;
		room.delete('g2');
		guests.splice(guests.indexOf('g2'), 1);
		everybody.splice(everybody.indexOf('g2'), 1);
		await assertHeard(both(room, null, 'typing:stop', 'user:typing:stop'));
	});

	it('a role that changes, and conversation:unshare', async () => {
		const about = { conversationId: id, userId: users.guest };
		await tabs.o5.ok('conversation:share', { ...about, role: 'viewer' });
		await assertHeard(updated(everybody, 'o5'));
		await tabs.o5.ok('conversation:share', { ...about, role: 'viewer' });
		await assertHeard({});
		await send('o1', 'mock-1-1');
		await assertHeard(turn('o1', TURN));
		await tabs.o3.ok('conversation:unshare', about);
		await assertHeard(merge(deleted(guests), updated(owners, 'o3')));
		room.delete('g1');
		await send('o1', 'mock-1-1');
		await assertHeard(
			merge(
				each(but(owners, 'o1'), ['message:new']),
				each(room, TURN),
				each(owners, ['conversation:activity']),
			),
		);
	});

	it('conversation:delete', async () => {
		await tabs.o1.ok('conversation:share', {
			conversationId: id,
			userId: users.guest,
			role: 'viewer',
		});
		await assertHeard(merge(created(guests), updated(everybody, 'o1')));
		await join('o2', 'g3');
		await assertHeard(each(['o2', 'g3'], ['conversation:joined']));
		await tabs.o5.ok('conversation:delete', id);
		await assertHeard(deleted(everybody, 'o5'));
		await tabs.o1.create();
		await assertHeard(created(owners, 'o1'));
	});
});
