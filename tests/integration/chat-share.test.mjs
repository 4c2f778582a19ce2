// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Sharing: what each role may do, and what changes for tabs that are there when it changes.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { cast, turnOf } from './lib/answers.mjs';
import { chatFor } from './lib/chat.mjs';

const chat = chatFor({ before, after });

const hello = (id) => ({ conversationId: id, content: 'Hello [[mock-2-1]]' });
const rename = (id) => ({ conversationId: id, update: { title: 'Renamed' } });

describe('a role', { concurrency: 4 }, () => {
	it('of a viewer reads, and writes nothing', async () => {
		const { id, guest, owner, friend, away, sender } = await cast(chat, 'viewer');
		for (const tab of [friend, away]) {
			const about = { conversationId: id };
			await tab.ok('message:list', about);
			await tab.ok('conversation:view', about);
			await tab.ok('conversation:leave_view', about);
			await tab.refused('FORBIDDEN', 'message:send', hello(id));
			await tab.refused('FORBIDDEN', 'message:stop', about);
			await tab.refused('FORBIDDEN', 'conversation:update', rename(id));
			await tab.refused('FORBIDDEN', 'conversation:delete', id);
			for (const userId of [guest, owner, 'third'])
				await tab.refused('FORBIDDEN', 'conversation:share', {
					...about,
					userId,
					role: 'editor',
				});
			await tab.refused('FORBIDDEN', 'conversation:unshare', { ...about, userId: owner });
			await tab.join(id);
		}
		const { messages } = await sender.ok('message:list', { conversationId: id });
		assert.deepEqual(messages, []);
		await sender.settled();
		assert.deepEqual(
			sender.all('conversation:updated', (d) => !d.update.participants),
			[],
		);
	});

	it('of an editor writes and changes, and does not share or delete', async () => {
		const { id, guest, owner, friend, away, sender } = await cast(chat, 'editor');
		for (const tab of [friend, away]) {
			const { closing } = await tab.turn(id, 'Hello [[mock-2-1]]');
			assert.equal(closing, 'message:complete');
			await tab.ok('conversation:update', rename(id));
			await tab.refused('FORBIDDEN', 'conversation:delete', id);
			for (const userId of [guest, owner, 'third'])
				await tab.refused('FORBIDDEN', 'conversation:share', {
					conversationId: id,
					userId,
					role: 'viewer',
				});
			await tab.refused('FORBIDDEN', 'conversation:unshare', {
				conversationId: id,
				userId: owner,
			});
		}
		const { messages } = await sender.ok('message:list', { conversationId: id });
		assert.equal(messages.length, 4);
	});

	it('of the owner cannot be changed or taken', async () => {
		const { id, owner, sender } = await cast(chat);
		const about = { conversationId: id, userId: owner };
		for (const role of ['editor', 'viewer'])
			await sender.refused('CONFLICT', 'conversation:share', { ...about, role });
		await sender.refused('CONFLICT', 'conversation:unshare', about);
		await sender.refused('BAD_REQUEST', 'conversation:share', {
			conversationId: id,
			userId: 'x',
			role: 'owner',
		});
	});

	it('that changes holds at once, in tabs that are in the room', async () => {
		const { id, guest, owner, friend, away, sender } = await cast(chat, 'viewer');
		for (const tab of [friend, away, sender]) tab.forget();
		for (const role of ['editor', 'viewer', 'editor']) {
			const { participants } = await sender.ok('conversation:share', {
				conversationId: id,
				userId: guest,
				role,
			});
			const both = [
				{ userId: owner, role: 'owner' },
				{ userId: guest, role },
			];
			assert.deepEqual(participants, both);
			for (const tab of [friend, away, sender]) {
				const { update } = await tab.next('conversation:updated');
				assert.deepEqual(update, { participants: both });
				tab.forget();
			}
			if (role === 'viewer') {
				for (const tab of [friend, away])
					await tab.refused('FORBIDDEN', 'message:send', hello(id));
			} else {
				await friend.turn(id, 'Hello [[mock-2-1]]');
			}
			for (const tab of [friend, away, sender]) {
				await tab.settled();
				assert.deepEqual(tab.all('conversation:created'), [], 'it was theirs already');
				tab.forget();
			}
		}
	});
});

describe('a role that changes in the middle of an answer', () => {
	it('says who may stop it', async () => {
		const { id, guest, friend, sender } = await cast(chat, 'editor');
		const ack = await sender.ok('message:send', {
			conversationId: id,
			content: 'Hello [[mock-hang]]',
		});
		const change = async (role) => {
			await sender.ok('conversation:share', { conversationId: id, userId: guest, role });
			await friend.next('conversation:updated', ({ update }) =>
				update.participants.some((p) => p.userId === guest && p.role === role),
			);
			friend.forget();
		};
		await friend.next('ai:typing:start');
		await change('viewer');
		await friend.refused('FORBIDDEN', 'message:stop', id);
		await friend.settled();
		assert.deepEqual(friend.names(), ['pong']);
		await change('editor');
		await friend.ok('message:stop', id);
		const [, { finishReason }] = await friend.closing(ack);
		assert.equal(finishReason, 'stopped');
	});
});

describe('what is shared', { concurrency: 4 }, () => {
	it('is told to the tabs of who gets it and of who loses it', async () => {
		const { id, guest, owner, friend, away, sender, outside, stranger } = await cast(chat);
		for (const tab of [friend, away]) {
			const created = tab.all('conversation:create');
			assert.equal(created.length, 1);
			assert.equal(created[0].id, id);
			assert.deepEqual(tab.all('conversation:created'), created);
		}
		for (const tab of [friend, away, sender, outside]) tab.forget();
		const { participants } = await sender.ok('conversation:unshare', {
			conversationId: id,
			userId: guest,
		});
		assert.deepEqual(participants, [{ userId: owner, role: 'owner' }]);
		for (const tab of [friend, away]) {
			assert.deepEqual(await tab.next('conversation:deleted'), { conversationId: id });
			await tab.settled();
			assert.equal(tab.all('conversation:delete').length, 1);
			assert.equal(tab.all('conversation:deleted').length, 1);
		}
		for (const tab of [sender, outside]) {
			const { update } = await tab.next('conversation:updated');
			assert.deepEqual(update, { participants });
			await tab.settled();
			assert.deepEqual(tab.all('conversation:deleted'), []);
		}
		await stranger.settled();
		assert.deepEqual(stranger.names(), ['session:ready', 'pong']);
	});

	it('and is so no longer is out of reach, in the middle of an answer too', async () => {
		const { id, guest, friend, away, sender } = await cast(chat, 'editor');
		const ack = await sender.ok('message:send', {
			conversationId: id,
			content: 'Hello [[mock-80-10]]',
		});
		await friend.next('message:chunk');
		await sender.ok('conversation:unshare', { conversationId: id, userId: guest });
		await friend.next('conversation:deleted');
		await friend.settled();
		friend.forget();
		away.forget();
		for (const tab of [friend, away]) {
			const about = { conversationId: id };
			await tab.refused('NOT_FOUND', 'join:conversation', id);
			await tab.refused('NOT_FOUND', 'message:list', about);
			await tab.refused('NOT_FOUND', 'message:send', hello(id));
			await tab.refused('NOT_FOUND', 'message:stop', about);
			await tab.refused('NOT_FOUND', 'conversation:update', rename(id));
			await tab.refused('NOT_FOUND', 'conversation:view', about);
			await tab.refused('NOT_FOUND', 'typing:start', id);
		}
		const [, { finishReason }] = await sender.closing(ack);
		assert.equal(finishReason, 'stop');
		await sender.turn(id, 'Hello again [[mock-2-1]]');
		for (const tab of [friend, away]) {
			await tab.settled();
			assert.deepEqual(tab.names(), ['pong'], 'nothing more is heard');
		}
	});

	it('can be left by who does not want it', async () => {
		const { id, guest, owner, friend, away, sender } = await cast(chat, 'viewer');
		const { participants } = await friend.ok('conversation:unshare', {
			conversationId: id,
			userId: guest,
		});
		assert.deepEqual(participants, [{ userId: owner, role: 'owner' }]);
		await away.next('conversation:delete');
		await sender.next('conversation:updated', (d) => d.update.participants.length === 1);
		await friend.next('conversation:deleted');
		await friend.settled();
		assert.equal(friend.all('conversation:delete').length, 0, 'it was its own wish');
		await sender.ok('conversation:unshare', { conversationId: id, userId: guest });
	});
});

describe('conversation:view', { concurrency: 4 }, () => {
	for (const name of ['conversation:view', 'conversation:leave_view'])
		it(`${name} is told to the user's other tabs`, async () => {
			const { id, sender, delta, outside, friend, away, stranger } = await cast(chat);
			for (const tab of [sender, delta, outside, friend, away, stranger]) tab.forget();
			await sender.ok(name, { conversationId: id });
			const status = { conversationId: id, hasUnread: false, socketId: sender.socket.id };
			for (const tab of [delta, outside])
				assert.deepEqual(await tab.next('conversation:unread_status'), status);
			await outside.ok(name, id);
			status.socketId = outside.socket.id;
			for (const tab of [sender, delta])
				assert.deepEqual(
					await tab.next(
						'conversation:unread_status',
						(d) => d.socketId === status.socketId,
					),
					status,
				);
			for (const [tab, n] of [[sender, 1], [delta, 2], [outside, 1]]) {
				await tab.settled();
				assert.equal(tab.all('conversation:unread_status').length, n);
			}
			for (const tab of [friend, away, stranger]) {
				await tab.settled();
				assert.deepEqual(tab.names(), ['pong']);
			}
		});
});

describe('conversation:activity', () => {
	it('comes after each turn, however it ends, to all tabs of all who take part', async () => {
		const tabs = await cast(chat, 'editor');
		const { id, sender, delta, outside, friend, away, stranger } = tabs;
		const all = [sender, delta, outside, friend, away];
		let count = 0;
		let tokens = 0;
		for (const mode of ['mock-3-1', 'mock-500', 'mock-cut', 'mock-5-1', 'stop']) {
			const content = `Hello [[${mode === 'stop' ? 'mock-hang' : mode}]]`;
			const ack = await sender.ok('message:send', { conversationId: id, content });
			if (mode === 'stop') await outside.ok('message:stop', id);
			const [, data] = await sender.closing(ack);
			count += 2;
			tokens += data.assistantMessage.tokensUsed;
			for (const tab of all) {
				const activity = await tab.next(
					'conversation:activity',
					(d) => d.messageCount === count,
				);
				assert.equal(activity.conversationId, id);
				assert.equal(activity.totalTokens, tokens);
				if (data.conversation)
					assert.equal(activity.lastActivity, data.conversation.lastActivity);
			}
			assert.ok(turnOf(sender, ack).length > 0);
		}
		assert.ok(tokens > 0);
		for (const tab of all) {
			await tab.settled();
			assert.equal(tab.all('conversation:activity').length, 5);
		}
		await stranger.settled();
		assert.deepEqual(stranger.names(), ['session:ready', 'pong']);
	});
});
