// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What no client should send: for each event each kind of bad argument gets the code that says so,
// or does no harm; the connection lives, nothing is stored, and another tab hears nothing of it.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { cast } from './lib/answers.mjs';
import { chatFor } from './lib/chat.mjs';
import { clientEvents } from './lib/contract.mjs';
import { until } from './lib/util.mjs';

const LIMITS = { content: 2000, title: 50, metadata: 500 };
const chat = chatFor(
	{ before, after },
	{
		set: {
			'chat.max_content_bytes': LIMITS.content,
			'chat.max_title_bytes': LIMITS.title,
			'chat.max_metadata_bytes': LIMITS.metadata,
			// It sends faster than anybody should.
			'chat.events_per_second': 0,
			'chat.user_events_per_second': 0,
		},
	},
);

const long = (n) => 'x'.repeat(n);
const nested = (depth) => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);
const NUL = 'a\0b';

// Not a string, and not null (which is as good as nothing).
const NO_TEXT = [7, -1.5, true, false, [], ['x'], {}, { a: 1 }, nested(20), NUL];
const NO_OBJECT = [7, true, false, [], [{}], 'x', ''];
const NO_BOOLEAN = [0, 1, 'true', '', [], {}];
const NO_NUMBER = [-1, 0.5, '1', '', true, [], {}, 1e19, 1e300, nested(20)];
const NO_ID = [7, true, [], {}, ['x'], nested(20)];
// Text that is nobody's id.
const NOBODYS = [
	'',
	'x',
	long(5000),
	NUL.replace('\0', ''),
	'00000000-0000-0000-0000-00000000000',
	'00000000-0000-0000-0000-000000000000',
	'{00000000-0000-0000-0000-000000000000}',
	"' OR 1=1 --",
	'\ud800',
	'ﬀ0000000-0000-0000-0000-000000000000',
];

const all = (code, list) => list.map((value) => [code, value]);
const BAD = 'BAD_REQUEST';

// Fields by event: [code, value]; the conversation is filled in.
const UUID_FIELD = all(BAD, [...NO_ID, NUL, '', 'x', long(5000), '\ud800']);
const CONVERSATION = [
	...all(BAD, [undefined, null, ...NO_ID]),
	...all('NOT_FOUND', [...NOBODYS, NUL]),
];
const TITLE = [...all(BAD, NO_TEXT), ...all('TOO_LARGE', [long(LIMITS.title + 1), '😀'.repeat(13)])];
const WISHES = {
	title: TITLE,
	model: TITLE,
	systemPrompt: [...all(BAD, NO_TEXT), ...all('TOO_LARGE', [long(LIMITS.metadata + 1)])],
	metadata: [...all(BAD, NO_OBJECT), ...all('TOO_LARGE', [{ a: long(LIMITS.metadata) }])],
};
const PRESENCE = {
	argument: [undefined, null, {}, ...NO_OBJECT],
	fields: {
		userIds: all(BAD, [
			...[undefined, null, 7, true, 'x', {}, [7], [null], [['x']], [{}], [NUL], [long(256)]],
			Array.from({ length: 1001 }, () => 'x'),
		]),
		conversationId: [...all(BAD, [null, ...NO_ID, '', 'x', NUL]), ['NOT_FOUND', randomUUID()]],
	},
};
const EVENTS = {
	'auth:refresh': {
		argument: [undefined, null, {}, ...NO_OBJECT],
		fields: {
			token: [
				...all(BAD, [undefined, null, '', ...NO_TEXT, long(20000)]),
				...all('UNAUTHENTICATED', ['x', long(5000), '..', 'a.b.c']),
			],
		},
	},
	'conversation:create': { argument: NO_OBJECT, fields: { id: UUID_FIELD, ...WISHES } },
	'conversation:update': {
		conversation: true,
		good: { update: { title: 'Good' } },
		fields: {
			update: all(BAD, [undefined, null, ...NO_OBJECT]),
			version: all(BAD, NO_NUMBER),
		},
		within: { update: { ...WISHES, archived: all(BAD, NO_BOOLEAN) } },
	},
	'conversation:delete': { conversation: true, bare: true },
	'conversation:view': { conversation: true, bare: true },
	'conversation:leave_view': { conversation: true, bare: true },
	'conversation:list': {
		argument: NO_OBJECT,
		fields: {
			cursor: all(BAD, [...NO_TEXT, '', 'x', long(300)]),
			limit: all(BAD, [0, 201, ...NO_NUMBER]),
			archived: all(BAD, NO_BOOLEAN),
		},
	},
	'conversation:share': {
		conversation: true,
		good: { userId: 'somebody', role: 'viewer' },
		fields: {
			userId: all(BAD, [undefined, null, '', ...NO_TEXT, long(256), 'é'.repeat(128)]),
			role: all(BAD, [undefined, null, '', 'owner', 'Viewer', long(300), ...NO_TEXT]),
		},
	},
	'conversation:unshare': {
		conversation: true,
		good: { userId: 'somebody' },
		fields: {
			userId: all(BAD, [undefined, null, '', ...NO_TEXT, long(256)]),
		},
	},
	'join:conversation': {
		conversation: true,
		bare: true,
		fields: { sinceSeq: all(BAD, NO_NUMBER) },
	},
	'leave:conversation': { conversation: true, bare: true, unchecked: true },
	'message:list': {
		conversation: true,
		bare: true,
		fields: {
			before: all(BAD, NO_NUMBER),
			after: all(BAD, NO_NUMBER),
			limit: all(BAD, [0, 201, ...NO_NUMBER]),
		},
	},
	'message:send': {
		conversation: true,
		good: { content: 'Good' },
		fields: {
			content: [
				...all(BAD, [undefined, null, '', ' ', ' \n\t\r ', ...NO_TEXT]),
				...all('TOO_LARGE', [long(LIMITS.content + 1), '😀'.repeat(501)]),
			],
			messageId: [...all(BAD, NO_TEXT), ...all('TOO_LARGE', [long(129), 'é'.repeat(65)])],
			parentId: [...UUID_FIELD, ['NOT_FOUND', randomUUID()]],
			model: TITLE,
			options: [
				...all(BAD, NO_OBJECT),
				...all('TOO_LARGE', [{ a: long(LIMITS.metadata) }]),
			],
			onBusy: all(BAD, ['', 'Queue', 'x', long(5000), ...NO_TEXT]),
		},
	},
	'message:stop': { conversation: true, bare: true, fields: { streamId: UUID_FIELD } },
	'typing:start': { conversation: true, bare: true },
	'typing:stop': { conversation: true, bare: true },
	'presence:get': PRESENCE,
	'presence:subscribe': PRESENCE,
	ping: {},
};

function* bad(id, { argument, conversation, bare, good = {}, fields = {}, within = {}, unchecked }) {
	for (const value of argument ?? []) yield [BAD, value];
	if (conversation) {
		for (const value of [undefined, null, ...NO_OBJECT.filter((v) => typeof v !== 'string')])
			yield [BAD, value];
		for (const [code, value] of CONVERSATION) {
			if (unchecked && value === '00000000-0000-0000-0000-000000000000') continue;
			yield [code, { ...good, conversationId: value }];
			if (bare && typeof value !== 'object') yield [code, value];
		}
	}
	const rest = conversation ? { ...good, conversationId: id } : good;
	for (const [field, values] of Object.entries(fields))
		for (const [code, value] of values) yield [code, { ...rest, [field]: value }];
	for (const [outer, inner] of Object.entries(within))
		for (const [field, values] of Object.entries(inner))
			for (const [code, value] of values)
				yield [code, { ...rest, [outer]: { ...rest[outer], [field]: value } }];
}

const counts = () =>
	chat.database.sql(`SELECT (SELECT count(*) FROM parlance.conversation),
		(SELECT count(*) FROM parlance.message), (SELECT count(*) FROM parlance.participant),
		(SELECT count(*) FROM parlance.event), (SELECT sum(version) FROM parlance.conversation)`);

describe('malformed', () => {
	let tabs;
	let bystanders;
	let stored;

	before(async () => {
		tabs = await cast(chat, 'editor');
		bystanders = [tabs.delta, tabs.outside, tabs.friend, tabs.away];
		await tabs.sender.join(tabs.id);
		stored = await counts();
		for (const tab of bystanders) tab.forget();
	});

	async function assertHarmless() {
		assert.equal(tabs.sender.socket.connected, true, 'the connection lives');
		for (const tab of bystanders) {
			await tab.settled();
			assert.deepEqual(
				tab.names().filter((name) => name !== 'pong'),
				[],
			);
			tab.forget();
		}
		assert.deepEqual(await counts(), stored, 'nothing is stored');
	}

	const shown = (value) => {
		const text = JSON.stringify(value) ?? String(value);
		return text.length > 100 ? `${text.slice(0, 100)}...` : text;
	};

	it('means something for every event there is', () => {
		assert.deepEqual(Object.keys(EVENTS).sort(), [...clientEvents].sort());
	});

	for (const [name, spec] of Object.entries(EVENTS)) {
		it(`arguments of ${name}`, async () => {
			const { sender } = tabs;
			const cases = [...bad(tabs.id, spec)];
			const acks = await Promise.all(
				cases.map(([, value]) => sender.ask(name, ...(value === undefined ? [] : [value]))),
			);
			const wrong = cases.flatMap(([code, value], i) =>
				acks[i].error?.code === code
					? []
					: [`${shown(value)}: ${shown(acks[i])}, not ${code}`],
			);
			assert.deepEqual(wrong, []);
			assert.ok(cases.length > 20 || name === 'ping');
			await assertHarmless();
		});

		it(`arguments of ${name} without an acknowledgement`, async () => {
			const { sender } = tabs;
			sender.forget();
			const cases = [...bad(tabs.id, spec)];
			for (const [, value] of cases) sender.emit(name, ...(value === undefined ? [] : [value]));
			await sender.settled();
			// Those that the database refuses are answered later than the others.
			const want = cases.map(([code]) => code).sort();
			const answered = () => sender.all('error').length >= want.length;
			await until(answered, `${want.length} errors`);
			assert.deepEqual(
				sender
					.all('error')
					.map((error) => error.code)
					.sort(),
				want,
			);
			for (const error of sender.all('error')) assert.equal(error.event, name);
			await assertHarmless();
		});

		if (name !== 'ping') it(`binary data in ${name}`, async () => {
			const { sender, id } = tabs;
			const bytes = Buffer.from('bytes');
			const { good = {}, fields = {} } = spec;
			const rest = spec.conversation ? { ...good, conversationId: id } : good;
			const cases = [bytes, { ...rest, unknown: bytes }, { ...rest, conversationId: bytes }];
			for (const field of Object.keys(fields)) cases.push({ ...rest, [field]: bytes });
			cases.push({ ...rest, metadata: { a: bytes }, options: { a: [bytes, bytes] } });
			for (const value of cases) {
				await sender.refused(BAD, name, value);
				await sender.refused(BAD, name, rest, bytes);
			}
			await assertHarmless();
		});
	}

	it('names of events', async () => {
		const { sender } = tabs;
		for (const name of ['x', '', 'message:Send', 'message:send ', 'constructor', NUL, '\ud800']) {
			const ack = await sender.socket.emitWithAck(name, { conversationId: tabs.id });
			assert.equal(ack.error.code, 'UNKNOWN_EVENT', name);
			const { event } = await new Promise((done) => {
				sender.socket.once('error', done);
				sender.socket.emit(name);
			});
			assert.equal(event, ack.error.event);
		}
		const { error } = await sender.socket.emitWithAck(long(5000));
		assert.equal(error.code, 'UNKNOWN_EVENT');
		assert.equal(error.event, '', 'it is not repeated');
		await assertHarmless();
	});
});
