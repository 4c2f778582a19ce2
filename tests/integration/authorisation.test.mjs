// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Who may do what: a table of all events of clients, for the owner of a conversation, an editor, a viewer,
// a stranger, and for those who are nobody. What is refused changes nothing, is heard by nobody, and
// says nothing of what is there; what is allowed is heard by those who are to hear it.

import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { Tab, token } from './lib/chat.mjs';
import { clusterFor } from './lib/cluster.mjs';
import { clientEvents } from './lib/contract.mjs';
import { Psql } from './lib/psql.mjs';
import { Socket } from './lib/socket.mjs';
import { until } from './lib/util.mjs';

const unique = (name) => `${name}-${randomUUID().slice(0, 8)}`;
const quote = (text) => `'${text.replaceAll("'", "''")}'`;

const BOTH = (what) => [`conversation:${what}`, `conversation:${what}d`];
const END = ['ai:typing:stop', 'message:complete'];
const TURN = ['ai:typing:start', ...END];
const TYPING = (what) => [`typing:${what}`, `user:typing:${what}`];

const about = ({ id }) => ({ conversationId: id });
const third = (c) => ({ ...about(c), userId: c.third.user });

/*
 * By event, and perhaps behind a comma what is special. call: its argument. answers: to owner, editor,
 * viewer, stranger. Who hears what when it is allowed: the socket itself (self), the others of the same
 * user (own), those of the others who take part (others), those of both that are in the room (room), and
 * the user with whom the conversation is shared (third). given: what must be there before; spent: the
 * conversation is of no use afterwards.
 */
const TABLE = {
	'auth:refresh': {
		call: (c, { user }) => ({ token: token(user) }),
		answers: 'ok ok ok ok',
	},
	'conversation:create': {
		call: () => ({ title: 'New' }),
		answers: 'ok ok ok ok',
		self: ['conversation:created'],
		own: BOTH('create'),
	},
	'conversation:create, with an id that exists': {
		call: ({ id }) => ({ id, title: 'Another' }),
		answers: 'ok NOT_FOUND NOT_FOUND NOT_FOUND',
	},
	'conversation:delete': {
		call: about,
		answers: 'ok FORBIDDEN FORBIDDEN NOT_FOUND',
		self: ['conversation:deleted'],
		own: BOTH('delete'),
		others: BOTH('delete'),
		spent: true,
	},
	'conversation:leave_view': {
		call: about,
		answers: 'ok ok ok NOT_FOUND',
		own: ['conversation:unread_status'],
	},
	'conversation:list': {
		call: () => ({}),
		answers: 'ok ok ok ok',
	},
	'conversation:share': {
		call: (c) => ({ ...third(c), role: 'editor' }),
		answers: 'ok FORBIDDEN FORBIDDEN NOT_FOUND',
		self: ['conversation:updated'],
		own: BOTH('update'),
		others: BOTH('update'),
		third: [...BOTH('create'), ...BOTH('update')],
		spent: true,
	},
	'conversation:unshare': {
		given: async (c) => {
			if (c.shared) return;
			c.shared = true;
			await c.owner.in.ok('conversation:share', { ...third(c), role: 'viewer' });
		},
		call: third,
		answers: 'ok FORBIDDEN FORBIDDEN NOT_FOUND',
		self: ['conversation:updated'],
		own: BOTH('update'),
		others: BOTH('update'),
		third: BOTH('delete'),
		spent: true,
	},
	'conversation:unshare, oneself': {
		call: (c, { user }) => ({ ...about(c), userId: user }),
		answers: 'CONFLICT ok ok NOT_FOUND',
		self: ['conversation:deleted'],
		own: BOTH('delete'),
		others: BOTH('update'),
		spent: true,
	},
	'conversation:update': {
		call: (c) => ({ ...about(c), update: { title: unique('Title') } }),
		answers: 'ok ok FORBIDDEN NOT_FOUND',
		self: ['conversation:updated'],
		own: BOTH('update'),
		others: BOTH('update'),
	},
	'conversation:view': {
		call: about,
		answers: 'ok ok ok NOT_FOUND',
		own: ['conversation:unread_status'],
	},
	'join:conversation': {
		call: (c) => ({ ...about(c), sinceSeq: 0 }),
		answers: 'ok ok ok NOT_FOUND',
		self: ['conversation:joined'],
	},
	'leave:conversation': {
		call: about,
		answers: 'ok ok ok ok',
		self: ['conversation:left'],
		spent: true,
	},
	'message:list': {
		call: about,
		answers: 'ok ok ok NOT_FOUND',
	},
	'message:send': {
		call: (c) => ({ ...about(c), content: 'Hello [[mock-2-1]]' }),
		answers: 'ok ok FORBIDDEN NOT_FOUND',
		self: ['conversation:activity', ...TURN],
		own: ['conversation:activity', 'message:new'],
		others: ['conversation:activity', 'message:new'],
		room: TURN,
	},
	'message:stop': {
		given: async (c) => {
			if (c.running) return;
			c.running = true;
			await c.owner.in.ok('message:send', { ...about(c), content: 'Hello [[mock-hang]]' });
			for (const tab of c.inside) await tab.next('ai:typing:start');
		},
		call: about,
		answers: 'ok ok FORBIDDEN NOT_FOUND',
		self: ['conversation:activity', ...END],
		own: ['conversation:activity'],
		others: ['conversation:activity'],
		room: END,
		spent: true,
	},
	ping: {
		call: () => ({}),
		answers: 'ok ok ok ok',
		self: ['pong'],
	},
	'presence:get': {
		call: about,
		answers: 'ok ok ok NOT_FOUND',
	},
	'presence:subscribe': {
		call: about,
		answers: 'ok ok ok NOT_FOUND',
	},
	'typing:start': {
		call: about,
		answers: 'ok ok ok NOT_FOUND',
		room: TYPING('start'),
		spent: true,
	},
	'typing:stop': {
		given: async (c, tab) => {
			if (!c.inside.includes(tab)) return;
			await tab.ok('typing:start', about(c));
			for (const other of c.inside)
				if (other !== tab)
					await other.nextOf(['user:typing:start'], (d) => d.userId === tab.user);
		},
		call: about,
		answers: 'ok ok ok NOT_FOUND',
		room: TYPING('stop'),
	},
};

const ROLES = ['owner', 'editor', 'viewer', 'stranger'];
const rows = Object.entries(TABLE).map(([key, row]) => ({
	...{ self: [], own: [], others: [], room: [], third: [] },
	...row,
	key,
	name: key.split(',')[0],
	answers: Object.fromEntries(row.answers.split(' ').map((answer, i) => [ROLES[i], answer])),
	ofConversation: JSON.stringify(row.call({ id: 'ID', third: {} }, {})).includes('"ID"'),
}));

const open = (user, i) =>
	Tab.open(cluster.nodes[i], user, { options: { transports: ['websocket'] } });

// Each has a tab that is to be in the room (in) and one that is not (out), on different instances.
const people = {};
const tabs = [];
let cluster;
let psql;
after(async () => {
	await Promise.all(tabs.map((tab) => tab.close()));
	await psql?.end();
});
clusterFor({ before, after }, { n: 2, ai: true }, async (started) => {
	cluster = started;
	psql = new Psql(cluster.database.url);
	const place = async (user, i) => tabs[tabs.push(await open(user, i)) - 1];
	for (const [i, role] of ROLES.entries()) {
		const user = unique(role);
		people[role] = { user, in: await place(user, i % 2), out: await place(user, (i + 1) % 2) };
	}
	const user = unique('third');
	people.third = { user, in: null, out: await place(user, 0) };
});

// A conversation of theirs, and what there is about it: the tabs that are in its room.
async function conversation() {
	const { owner, editor, viewer } = people;
	const c = { ...people, id: await owner.in.create() };
	for (const role of ['editor', 'viewer'])
		await owner.in.ok('conversation:share', { ...about(c), userId: c[role].user, role });
	c.inside = [owner.in, editor.in, viewer.in];
	await Promise.all(c.inside.map((tab) => tab.join(c.id)));
	await marked(c);
	return c;
}

// It is of no use any more, and nobody is to hear of it.
async function retire(c) {
	await Promise.all(c.inside.map((tab) => tab.ok('leave:conversation', c.id)));
	c.inside = [];
	await marked(c);
}

// All that was caused before has come to all tabs, which begin anew; returns what they had heard: a map
// from tabs to sorted names.
let marks = 0;
async function marked({ id, inside }) {
	const mark = ++marks;
	const data = `'app:mark', '{"mark":${mark}}'`;
	const calls = Object.values(people).map(
		({ user }) => `parlance.publish_to_user(${quote(user)}, ${data})`,
	);
	if (inside.length) calls.push(`parlance.publish_to_conversation('${id}', ${data})`);
	await psql.sql(`SELECT ${calls.join(', ')}`);
	const heard = new Map();
	for (const tab of tabs) {
		const all = () => tab.all('app:mark', (d) => d.mark === mark);
		const want = inside.includes(tab) ? 2 : 1;
		await until(() => all().length >= want, `${want} marks for ${tab.user}`);
		const names = tab.names().filter((n) => n !== 'app:mark' && n !== 'message:chunk');
		heard.set(tab, names.sort());
		tab.forget();
	}
	return heard;
}

// All that is stored, but for the marks.
async function digest() {
	const tables = ['conversation', 'participant', 'message', 'message_part', 'generation', 'event', 'revocation'];
	const each = tables.map((table) => {
		const rest = table === 'event' ? "WHERE type <> 'app:mark'" : '';
		return `(SELECT md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), ''))
			FROM parlance.${table} t ${rest})`;
	});
	return (await psql.sql(`SELECT ${each.join(', ')}`)).join();
}

// What each tab must hear when the one with this role does it in his tab.
function audience(c, row, role) {
	const expect = new Map();
	const stranger = role === 'stranger';
	for (const [who, { in: inside, out }] of Object.entries(people))
		for (const tab of [inside, out]) {
			if (!tab) continue;
			const names =
				who === 'third' ? row.third
				: tab === people[role].in ? row.self
				: who === role ? row.own
				: who === 'stranger' || stranger ? []
				: row.others;
			const room = c.inside.includes(tab) && tab !== people[role].in ? row.room : [];
			expect.set(tab, [...names, ...room].sort());
		}
	return expect;
}

async function assertHeard(c, expect) {
	for (const [tab, names] of expect) for (const name of names) await tab.next(name);
	if (expect.get(c.owner.in).includes('conversation:deleted')) c.inside = [];
	const heard = await marked(c);
	for (const [tab, names] of expect) assert.deepEqual(heard.get(tab), names, tab.user);
}

it('the table has a row for each event', () => {
	const source = readFileSync(new URL('../../src/core/event.c', import.meta.url), 'utf8');
	const [, handlers] = /\} handlers\[\] = \{\n(.*?)\n\};/s.exec(source);
	const handled = [...handlers.matchAll(/^\t\{ "([^"]+)", \w+ \},$/gm)].map(([, name]) => name);
	assert.equal(handled.length, handlers.split('\n').length);
	const named = [...new Set(rows.map(({ name }) => name))].sort();
	assert.deepEqual(named, [...clientEvents].sort());
	assert.deepEqual(named, handled.sort());
});

describe('who is somebody', () => {
	for (const row of rows)
		it(`${row.key}: ${ROLES.map((role) => row.answers[role]).join(', ')}`, async () => {
			let c = await conversation();
			// Those who are refused come first.
			for (const role of ROLES.toReversed()) {
				const { in: tab } = people[role];
				await row.given?.(c, tab);
				await marked(c);
				const expect = audience(c, row, role);
				const stored = await digest();
				const ack = await tab.ask(row.name, row.call(c, tab));
				assert.equal(ack.ok ? 'ok' : ack.error.code, row.answers[role], role);
				if (ack.ok) {
					const left = row.name === 'leave:conversation' || row.key.endsWith('oneself');
					if (left) c.inside = c.inside.filter((t) => t !== tab);
					await assertHeard(c, expect);
				} else {
					assert.equal(await digest(), stored, `${role} changed something`);
					await assertHeard(c, new Map(tabs.map((t) => [t, []])));
				}
				if (ack.ok && row.spent) {
					await retire(c);
					c = await conversation();
				}
			}
			await retire(c);
		});
});

// A WebSocket without a client library, which sees each byte.
class Wire {
	#acks = 0;

	// No token: undefined. It is in, or it was refused with `code`.
	static async open(i, given) {
		const wire = new Wire();
		wire.socket = await Socket.open(
			`ws://127.0.0.1:${cluster.nodes[i].port}/socket.io/?EIO=4&transport=websocket`,
		);
		assert.equal((await wire.socket.nextData())[0], '0');
		wire.socket.send(`40${given === undefined ? '' : JSON.stringify({ token: given })}`);
		const answer = await wire.socket.nextData('the answer to CONNECT');
		if (answer.startsWith('44')) wire.code = JSON.parse(answer.slice(2)).data.code;
		else assert.match(await wire.socket.nextData(), /^42\["session:ready",/);
		return wire;
	}

	// All that comes of an event until it is answered, by an acknowledgement or by an error, and until
	// what comes at the same time has come. Each without what is of the moment: its number, its offset.
	async exchange(name, argument, ack) {
		const event = JSON.stringify([name, argument]);
		const answer = name === 'leave:conversation' ? 'conversation:left' : 'error';
		const mine = ack ? `43${++this.#acks}[` : `42["${answer}",`;
		const frames = [];
		const take = async (last) => {
			for (;;) {
				const frame = await this.socket.nextData(`${last} of ${name}`);
				assert.notEqual(frame, null, 'the connection lives');
				frames.push(frame);
				if (frame.startsWith(last)) return;
			}
		};
		this.socket.send(`42${ack ? this.#acks : ''}${event}`);
		await take(mine);
		this.socket.send(`42${++this.#acks}["ping"]`);
		await take(`43${this.#acks}[`);
		return frames
			.slice(0, -1)
			.filter((frame) => !/^42\["(pong|app:mark)",/.test(frame))
			.map((frame) => frame.replace(/^43\d+/, '43').replace(/^(42.*\}),"[^"]*"\]$/, '$1]'));
	}

	close() {
		this.socket.terminate();
	}
}

describe('a stranger', () => {
	let c;
	let user;
	let wires;
	let victim; // a running answer in a conversation of others
	const ids = {}; // what he may name, and what there is about it

	before(async () => {
		c = await conversation();
		const { owner, stranger } = people;
		user = stranger.user;
		const gone = async (tab, ...then) => {
			const id = await tab.create({ title: 'Secret' });
			for (const [name, more] of then) await owner.in.ok(name, { conversationId: id, ...more });
			return id;
		};
		const shared = ['conversation:share', { userId: user, role: 'editor' }];
		const unshared = ['conversation:unshare', { userId: user }];
		ids["somebody's"] = c.id;
		victim = await owner.in.ok('message:send', { ...about(c), content: 'Hello [[mock-hang]]' });
		ids["somebody's that nobody has open"] = await gone(owner.in);
		ids["somebody's that is deleted"] = await gone(owner.in, ['conversation:delete']);
		ids['one that was his'] = await gone(stranger.in);
		await stranger.in.ok('conversation:delete', ids['one that was his']);
		ids['one that was shared with him'] = await gone(owner.in, shared, unshared);
		ids['one that was shared with him and is deleted'] = await gone(
			owner.in,
			...[shared, ['conversation:delete']],
		);
		wires = await Promise.all([0, 1].map((i) => Wire.open(i, token(user))));
		await marked(c);
	});
	after(async () => {
		for (const wire of wires ?? []) wire.close();
		await c.owner.in.ok('message:stop', c.id);
		await retire(c);
	});

	// What was caused before has come.
	async function calm() {
		await marked(c);
		for (const wire of wires) await wire.exchange('ping', {}, true);
	}

	// The same on each instance, with and without an acknowledgement, as for what does not exist.
	async function assertAlike(name, argument, others, unknown = randomUUID()) {
		const stored = await digest();
		const answers = {};
		for (const wire of wires)
			for (const ack of [true, false]) {
				const ask = async (id) =>
					(await wire.exchange(name, argument(id), ack)).map((frame) =>
						frame.replaceAll(id, 'ID'),
					);
				const want = await ask(unknown);
				assert.ok(want.length > 0);
				answers[ack] ??= want;
				assert.deepEqual(want, answers[ack], 'on the other instance');
				for (const [what, id] of Object.entries(others))
					assert.deepEqual(await ask(id), want, what);
			}
		assert.equal(await digest(), stored, 'it changed something');
		const expect = new Map(tabs.map((t) => [t, []]));
		await assertHeard(c, expect);
		return answers;
	}

	for (const row of rows.filter((r) => r.ofConversation && r.answers.stranger === 'NOT_FOUND'))
		if (!row.key.includes('exists'))
			it(`gets the same answer to ${row.key}, whatever there is`, async () => {
				const argument = (id) => row.call({ ...c, id }, people.stranger);
				const { true: frames } = await assertAlike(row.name, argument, ids);
				assert.equal(frames.length, 1);
				assert.match(frames[0], /^43\[\{"ok":false,"error":\{"code":"NOT_FOUND",/);
			});

	it('leaves what he is not in, whatever it is', async () => {
		const argument = (id) => ({ conversationId: id });
		const answers = await assertAlike('leave:conversation', argument, ids);
		const left = '42["conversation:left",{"conversationId":"ID"}]';
		assert.deepEqual(answers, { true: [left, '43[{"ok":true}]'], false: [left] });
	});

	it("cannot name what is in others' conversations", async () => {
		const id = await people.stranger.in.create();
		for (const wire of wires) await wire.exchange('join:conversation', id, true);
		await calm();
		const mine = { conversationId: id };
		await assertAlike('message:send', (parentId) => ({ ...mine, content: 'x', parentId }), {
			message: victim.userMessage.id,
			answer: victim.assistantMessageId,
		});
		for (const streamId of [victim.streamId, randomUUID()]) {
			const ack = await people.stranger.in.ok('message:stop', { ...mine, streamId });
			assert.deepEqual(ack, { ok: true, stopped: false, alreadyDone: true });
		}
		const [[running]] = await cluster.sql(
			`SELECT running AND NOT stop FROM parlance.generation WHERE conversation = '${c.id}'`,
		);
		assert.equal(running, 't');
	});

	it('cannot take an id that was used, and it stays with whose it is', async () => {
		const { stranger } = people;
		const refused = new Set();
		await calm();
		const stored = await digest();
		for (const [what, id] of Object.entries(ids))
			for (const wire of wires) {
				const frames = await wire.exchange('conversation:create', { id, title: 'Mine' }, true);
				assert.equal(frames.length, 1, what);
				refused.add(frames[0].replaceAll(id, 'ID'));
			}
		assert.equal(refused.size, 1);
		assert.match([...refused][0], /"code":"NOT_FOUND"/);
		assert.equal(await digest(), stored);
		await assertHeard(c, new Map(tabs.map((t) => [t, []])));
		const { conversations } = await stranger.in.ok('conversation:list');
		assert.ok(conversations.every(({ ownerId }) => ownerId === user));
	});

	it('does not see who is online', async () => {
		const { stranger, owner } = people;
		const userIds = [owner.user, people.third.user, unique('nobody')];
		for (const name of ['presence:get', 'presence:subscribe'])
			assert.deepEqual((await stranger.in.ok(name, { userIds })).online, []);
		// Another user comes and goes, and one with a tab already.
		for (const name of ['nobody', 'third']) {
			const tab = await open(people[name]?.user ?? userIds[2], 0);
			await tab.close();
		}
		await assertHeard(c, new Map(tabs.map((t) => [t, []])));
	});
});

describe('who is nobody', () => {
	const REVOKED = unique('revoked');
	const NOBODIES = {
		'without a token': { given: () => undefined, code: 'UNAUTHENTICATED' },
		'with a token that has expired': {
			given: (user) => token(user, { claims: { exp: Math.floor(Date.now() / 1000) - 60 } }),
			code: 'TOKEN_EXPIRED',
		},
		"with a token of somebody else's secret": {
			given: (user) => token(user, { secret: randomBytes(32).toString('hex') }),
			code: 'UNAUTHENTICATED',
		},
		'with a token that was revoked': {
			first: () => psql.sql(`SELECT parlance.revoke('token', ${quote(REVOKED)})`),
			given: (user) => token(user, { claims: { jti: REVOKED } }),
			code: 'UNAUTHENTICATED',
		},
	};

	for (const [what, { first, given, code }] of Object.entries(NOBODIES))
		it(`${what} is refused, and what he sends nevertheless does nothing`, async () => {
			const c = await conversation();
			await first?.();
			const stored = await digest();
			for (const [i, row] of rows.entries()) {
				const wire = await Wire.open(i % 2, given(c.owner.user));
				assert.equal(wire.code, code);
				const argument = row.call(c, people.owner);
				wire.socket.send(`421${JSON.stringify([row.name, argument])}`);
				wire.socket.send(`42${JSON.stringify([row.name, argument])}`);
				// The connection ends, or it is refused again; there is nothing else.
				wire.socket.send('40');
				const frame = await wire.socket.nextData(`the end of ${row.key}`);
				if (frame !== null) assert.match(frame, /^44\{/, row.key);
				wire.close();
			}
			assert.equal(await digest(), stored);
			await assertHeard(c, new Map(tabs.map((t) => [t, []])));
			await retire(c);
		});
});
