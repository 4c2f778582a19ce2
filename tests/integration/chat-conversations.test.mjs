// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Lists of conversations and messages, versions, ids that are created again, and what others may do
// with what is shared with them.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { cast, turnOf } from './lib/answers.mjs';
import { chatFor } from './lib/chat.mjs';

const chat = chatFor({ before, after });

const ids = (list) => list.map((item) => item.id);

async function pages(tab, argument, between = async () => {}) {
	const found = [];
	let cursor = null;
	do {
		const page = await tab.ok('conversation:list', { ...argument, cursor });
		assert.ok(page.conversations.length <= argument.limit);
		assert.ok(page.conversations.length > 0, 'no page is empty');
		found.push(page.conversations);
		assert.ok(found.length <= 20, 'it ends');
		cursor = page.nextCursor;
		await between(found.length);
	} while (cursor !== null);
	return found;
}

describe('conversation:list', { concurrency: 4 }, () => {
	async function filled(n) {
		const tab = await chat.open(chat.user('lists'));
		const made = [];
		for (let i = 0; i < n; i++) made.unshift(await tab.create({ title: `Nr. ${i}` }));
		return { tab, made };
	}

	it('has each once over several pages, the latest first', async () => {
		const { tab, made } = await filled(11);
		for (const limit of [1, 3, 4, 11]) {
			const found = await pages(tab, { limit });
			assert.equal(found.length, Math.ceil(11 / limit));
			assert.deepEqual(ids(found.flat()), made, `by ${limit}`);
		}
		const all = await tab.ok('conversation:list', {});
		assert.deepEqual(ids(all.conversations), made);
		assert.equal(all.nextCursor, null);
		for (const argument of [[], [null]]) {
			const bare = await tab.ok('conversation:list', ...argument);
			assert.deepEqual(ids(bare.conversations), made);
		}
		const [first] = all.conversations;
		assert.equal(first.title, 'Nr. 10');
		assert.equal(first.ownerId, tab.user);
	});

	it('has each once while one gets active, which is then the first', async () => {
		const { tab, made } = await filled(10);
		const active = made[7];
		const found = await pages(tab, { limit: 3 }, async (n) => {
			if (n === 1) await tab.turn(active, 'Hello [[mock-2-1]]');
		});
		// It has moved to a page that was read before.
		assert.deepEqual(
			ids(found.flat()),
			made.filter((id) => id !== active),
		);
		const again = await tab.ok('conversation:list', { limit: 1 });
		assert.deepEqual(ids(again.conversations), [active]);
		assert.equal(again.conversations[0].messageCount, 2);
	});

	it('has each once while others come and go', async () => {
		const { tab, made } = await filled(9);
		const found = await pages(tab, { limit: 3 }, async (n) => {
			if (n === 1) {
				await tab.create();
				await tab.ok('conversation:delete', made[4]);
			}
		});
		assert.deepEqual(
			ids(found.flat()),
			made.filter((id) => id !== made[4]),
		);
	});

	it('has those that were put away only when asked for them', async () => {
		const { tab, made } = await filled(5);
		for (const id of [made[1], made[3]])
			await tab.ok('conversation:update', { conversationId: id, update: { archived: true } });
		const put = await tab.ok('conversation:list', { archived: true });
		assert.deepEqual(ids(put.conversations), [made[1], made[3]]);
		assert.ok(put.conversations.every((c) => c.archived));
		for (const archived of [false, null, undefined]) {
			const rest = await tab.ok('conversation:list', { archived });
			assert.deepEqual(ids(rest.conversations), [made[0], made[2], made[4]]);
		}
		const paged = await pages(tab, { archived: true, limit: 1 });
		assert.deepEqual(ids(paged.flat()), [made[1], made[3]]);
		await tab.ok('conversation:update', {
			conversationId: made[3],
			update: { archived: false },
		});
		const back = await tab.ok('conversation:list', {});
		assert.deepEqual(ids(back.conversations), [made[0], made[2], made[3], made[4]]);
	});

	it('takes limits from 1 to 200', async () => {
		const { tab, made } = await filled(2);
		const all = await tab.ok('conversation:list', { limit: 200 });
		assert.deepEqual(ids(all.conversations), made);
		for (const limit of [0, 201, -1, 1.5, '10', true, [], {}, 1e18, 1e30])
			await tab.refused('BAD_REQUEST', 'conversation:list', { limit });
	});

	it('refuses a malformed cursor, and shows nobody others with one of theirs', async () => {
		const { tab } = await filled(3);
		const page = await tab.ok('conversation:list', { limit: 1 });
		const cursor = page.nextCursor;
		for (const bad of [
			'',
			'x',
			cursor.slice(1, -1),
			`${cursor}0`,
			` ${cursor}`,
			`-${cursor}`,
			`${'9'.repeat(18)}${cursor.slice(cursor.indexOf('_'))}`,
			'x'.repeat(257),
			`${cursor}\0`,
			7,
			{},
			[],
			true,
		])
			await tab.refused('BAD_REQUEST', 'conversation:list', { cursor: bad });
		const other = await chat.open(chat.user('other'));
		const shown = await other.ok('conversation:list', { cursor });
		assert.deepEqual(shown, { ok: true, conversations: [], nextCursor: null });
	});

	it('has what is shared, and not what is so no longer', async () => {
		const { id, guest, sender, away, stranger } = await cast(chat);
		const own = await away.create();
		const both = await away.ok('conversation:list', {});
		assert.deepEqual(ids(both.conversations), [own, id]);
		await sender.ok('conversation:unshare', { conversationId: id, userId: guest });
		const rest = await away.ok('conversation:list', {});
		assert.deepEqual(ids(rest.conversations), [own]);
		const none = await stranger.ok('conversation:list', {});
		assert.deepEqual(none.conversations, []);
	});
});

describe('message:list', () => {
	let tab;
	let id;
	let seqs;
	before(async () => {
		tab = await chat.open(chat.user('reads'));
		id = await tab.create();
		for (let i = 0; i < 6; i++) await tab.turn(id, `Nr. ${i} [[mock-1-1]]`);
		const { messages } = await tab.ok('message:list', { conversationId: id });
		seqs = messages.map((m) => m.seq);
	});

	const list = async (argument) => {
		const { messages, hasMore } = await tab.ok('message:list', {
			conversationId: id,
			...argument,
		});
		return [messages.map((m) => m.seq), hasMore];
	};

	it('has all of a short conversation, the oldest first', async () => {
		assert.deepEqual(await list({}), [seqs, false]);
		assert.equal(seqs.length, 12);
		assert.deepEqual(
			seqs,
			[...seqs].sort((a, b) => a - b),
		);
		const { messages } = await tab.ok('message:list', { conversationId: id });
		for (const [i, m] of messages.entries()) {
			assert.equal(m.role, i % 2 ? 'assistant' : 'user');
			assert.equal(m.parentId, i ? messages[i - 1].id : null);
			assert.equal(m.conversationId, id);
		}
		assert.equal(messages[4].content, 'Nr. 2 [[mock-1-1]]');
	});

	it('has the last ones, or those before or after a seq', async () => {
		assert.deepEqual(await list({ limit: 5 }), [seqs.slice(-5), true]);
		assert.deepEqual(await list({ limit: 12 }), [seqs, false]);
		assert.deepEqual(await list({ before: seqs[5] }), [seqs.slice(0, 5), false]);
		assert.deepEqual(await list({ before: seqs[5], limit: 2 }), [seqs.slice(3, 5), true]);
		assert.deepEqual(await list({ before: seqs[5], limit: 5 }), [seqs.slice(0, 5), false]);
		assert.deepEqual(await list({ before: seqs[0] }), [[], false]);
		assert.deepEqual(await list({ before: 0 }), [[], false]);
		assert.deepEqual(await list({ after: seqs[5] }), [seqs.slice(6), false]);
		assert.deepEqual(await list({ after: seqs[5], limit: 2 }), [seqs.slice(6, 8), true]);
		assert.deepEqual(await list({ after: seqs[5], limit: 6 }), [seqs.slice(6), false]);
		assert.deepEqual(await list({ after: seqs[11] }), [[], false]);
		assert.deepEqual(await list({ after: 0 }), [seqs, false]);
		assert.deepEqual(await list({ before: null, after: null, limit: null }), [seqs, false]);
	});

	it('can be read from end to end both ways', async () => {
		for (const way of ['before', 'after']) {
			const found = [];
			let more = true;
			let at = way === 'after' ? 0 : undefined;
			for (let n = 0; more; n++) {
				assert.ok(n < 4, 'it ends');
				const [page, hasMore] = await list({ [way]: at, limit: 5 });
				if (way === 'after') found.push(...page);
				else found.unshift(...page);
				at = way === 'after' ? page.at(-1) : page[0];
				more = hasMore;
			}
			assert.deepEqual(found, seqs);
		}
	});

	it('refuses what is no number in its range', async () => {
		for (const field of ['before', 'after', 'limit'])
			for (const bad of [-1, 1.5, '1', true, [], {}, 1e18 * 10, 1e21, 1e300])
				await tab.refused('BAD_REQUEST', 'message:list', {
					conversationId: id,
					[field]: bad,
				});
		for (const limit of [0, 201])
			await tab.refused('BAD_REQUEST', 'message:list', { conversationId: id, limit });
	});
});

describe('conversation:update', { concurrency: 4 }, () => {
	const update = (id, change, version) => ({ conversationId: id, update: change, version });

	it('with an old version is refused, and shows what there is', async () => {
		const { id, sender, delta, outside, friend } = await cast(chat, 'editor');
		const first = await sender.ok('conversation:update', update(id, { title: 'One' }, 1));
		assert.equal(first.conversation.version, 2);
		for (const [tab, version] of [[outside, 1], [friend, 0], [sender, 3]]) {
			const ack = await tab.ask('conversation:update', update(id, { title: 'Two' }, version));
			assert.equal(ack.error.code, 'CONFLICT');
			assert.equal(ack.error.conversationId, id);
			assert.deepEqual(ack.conversation, first.conversation);
		}
		const second = await friend.ok('conversation:update', update(id, { title: 'Two' }, 2));
		assert.equal(second.conversation.version, 3);
		await delta.next('conversation:updated', (d) => d.version === 3);
		await delta.settled();
		assert.deepEqual(
			delta.all('conversation:update', (d) => d.update.title).map((d) => d.update.title),
			['One', 'Two'],
			'nobody hears of what was refused',
		);
	});

	it('by two at once with one version is done once', async () => {
		const { id, sender, friend } = await cast(chat, 'editor');
		const acks = await Promise.all(
			[sender, friend].map((tab) =>
				tab.ask('conversation:update', update(id, { title: tab.user }, 1)),
			),
		);
		const [won] = acks.filter((ack) => ack.ok);
		const [lost] = acks.filter((ack) => !ack.ok);
		assert.equal(lost.error.code, 'CONFLICT');
		assert.deepEqual(lost.conversation, won.conversation);
	});

	it('changes what it names and nothing else', async () => {
		const tab = await chat.open(chat.user('changes'));
		const first = {
			title: 'A',
			model: 'm',
			systemPrompt: 'Be brief.',
			metadata: { a: [1, { b: null }] },
		};
		const id = await tab.create(first);
		const at = async (change) => {
			const { conversation } = await tab.ok('conversation:update', update(id, change));
			const { title, model, systemPrompt, metadata, archived } = conversation;
			return { title, model, systemPrompt, metadata, archived };
		};
		const now = { ...first, archived: false };
		for (const change of [
			{},
			{ title: 'B' },
			{ archived: true },
			{ metadata: { deep: { er: 'x' } } },
			{ model: null },
			{ systemPrompt: '' },
			{ title: 'C', model: 'n', archived: false },
		])
			assert.deepEqual(await at(change), Object.assign(now, change));
		Object.assign(now, { title: 'New conversation', metadata: {} });
		assert.deepEqual(await at({ title: null, metadata: null }), now);
	});
});

describe('conversation:create', { concurrency: 4 }, () => {
	it('with an id is done once', async () => {
		const user = chat.user('creates');
		const [a, b] = [await chat.open(user), await chat.open(user)];
		const id = randomUUID();
		const acks = await Promise.all(
			[a, b, a].map((tab) => tab.ok('conversation:create', { id, title: 'Once' })),
		);
		assert.equal(acks.filter((ack) => ack.duplicate).length, 2);
		for (const { conversation } of acks)
			assert.deepEqual(conversation, acks[0].conversation);
		const later = await b.ok('conversation:create', { id: id.toUpperCase(), title: 'Other' });
		assert.equal(later.duplicate, true);
		assert.deepEqual(later.conversation, acks[0].conversation, 'it keeps its title');
		const { conversations } = await a.ok('conversation:list', {});
		assert.deepEqual(ids(conversations), [id]);
		const rows = await chat.database.sql(
			`SELECT user_id FROM parlance.participant WHERE conversation = '${id}'`,
		);
		assert.deepEqual(rows, [[user]]);
	});

	it("with an id that is somebody else's, shared or not, is NOT_FOUND", async () => {
		const { id, away, stranger, sender } = await cast(chat, 'editor');
		for (const tab of [away, stranger])
			await tab.refused('NOT_FOUND', 'conversation:create', { id });
		await sender.ok('conversation:delete', id);
		await sender.refused('NOT_FOUND', 'conversation:create', { id });
	});

	it('without anything makes one with defaults', async () => {
		const tab = await chat.open(chat.user('plain'));
		for (const argument of [[], [{}], [null]]) {
			const { conversation, ...rest } = await tab.ok('conversation:create', ...argument);
			assert.deepEqual(rest, { ok: true });
			const { title, model, systemPrompt, metadata, version, archived } = conversation;
			assert.deepEqual(
				{ title, model, systemPrompt, metadata, version, archived },
				{
					title: 'New conversation',
					model: null,
					systemPrompt: null,
					metadata: {},
					version: 1,
					archived: false,
				},
			);
			assert.deepEqual(conversation.participants, [{ userId: tab.user, role: 'owner' }]);
		}
	});
});
