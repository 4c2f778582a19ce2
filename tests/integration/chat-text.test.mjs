// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Text and JSON of every kind, as long as it may be: what is right goes through as it was.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { cast } from './lib/answers.mjs';
import { chatFor } from './lib/chat.mjs';
import { event } from './lib/util.mjs';

const LIMITS = { content: 2000, title: 50, metadata: 500 };
const chat = chatFor(
	{ before, after },
	{
		record: true,
		set: {
			'chat.max_content_bytes': LIMITS.content,
			'chat.max_title_bytes': LIMITS.title,
			'chat.max_metadata_bytes': LIMITS.metadata,
		},
	},
);

const DEPTH = 32; // of metadata and options
const long = (n) => 'x'.repeat(n);
const nested = (depth) => JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`);
const fixed = (text) => text.replace(/\p{Surrogate}/gu, '\ufffd');

describe('what is odd but right', { concurrency: 4 }, () => {
	it('more arguments than one: the first counts', async () => {
		const { id, sender } = await cast(chat);
		await sender.ok('join:conversation', id, 'x', { conversationId: 7 });
		const { conversation } = await sender.ok('conversation:create', { title: 'One' }, [], null);
		assert.equal(conversation.title, 'One');
	});

	it('fields that nobody knows, and ids in capitals', async () => {
		const { id, sender } = await cast(chat);
		await sender.ok('join:conversation', {
			conversationId: id.toUpperCase(),
			x: nested(20),
			['__proto__']: 1,
			constructor: null,
		});
		const own = JSON.parse(`{"conversationId":"${id}","__proto__":{"x":1},"content":"x [[mock-1-1]]"}`);
		const { closing } = await sender.turn(id, 'x [[mock-1-1]]', own);
		assert.equal(closing, 'message:complete');
	});

	it('text of every kind goes through as it was', async () => {
		const { id, sender, delta } = await cast(chat);
		for (const text of [
			'" \\ \b \f \n \r \t / \u0001 \u001f \u007f \u2028 \u2029',
			'é 你好 😀 👩‍👩‍👧 \u{10ffff} \ufffe \uffff \ufeff',
			'{"a":"b"} \\u0000 \\ud800 $1 %s \'; DROP TABLE x; --',
			'<script>alert(1)</script> &amp;',
			'‮ right to left ‬ e\u0301',
		]) {
			const content = `${text} [[mock-1-1]]`;
			const { ack, data } = await sender.turn(id, content, { messageId: text });
			assert.equal(ack.userMessage.content, content);
			assert.equal(data.userMessage.content, content);
			assert.equal(data.messageId, text);
			const heard = await delta.next('message:new', (d) => d.message.id === ack.userMessage.id);
			assert.equal(heard.message.content, content);
			assert.equal(heard.messageId, text);
			assert.equal((await chat.recorder.of(content)).requests, 1, 'the service got it');
			const title = [...text].slice(0, 12).join('');
			const { conversation } = await sender.ok('conversation:update', {
				conversationId: id,
				update: { title, metadata: { [title]: [text] }, systemPrompt: text },
			});
			assert.equal(conversation.title, title);
			assert.deepEqual(conversation.metadata, { [title]: [text] });
			assert.equal(conversation.systemPrompt, text);
		}
	});

	it('half of a surrogate pair becomes a replacement character', async () => {
		const { id, sender } = await cast(chat);
		for (const half of ['\ud800', '\udfff', 'a\ud83d', '\ude00b', '\ude00\ud83d']) {
			const content = `${half} [[mock-1-1]]`;
			const { ack, closing } = await sender.turn(id, content, { messageId: half });
			assert.equal(closing, 'message:complete');
			assert.equal(ack.userMessage.content, fixed(content));
			const { conversation } = await sender.ok('conversation:create', { title: half });
			assert.equal(conversation.title, fixed(half));
		}
	});

	it('metadata and options may have anything that JSON has', async () => {
		const { id, sender } = await cast(chat);
		for (const value of ['a\0b', '\ud800', nested(DEPTH - 1), 1e300, -0.1, { '': { '\0': null } }]) {
			const { conversation } = await sender.ok('conversation:create', {
				metadata: { value },
			});
			assert.equal(JSON.stringify(conversation.metadata), JSON.stringify({ value }));
			const { closing } = await sender.turn(id, 'x [[mock-1-1]]', { options: { value } });
			assert.equal(closing, 'message:complete', JSON.stringify(value));
		}
	});

	it('metadata and options that are nested deeper than they may be are refused', async () => {
		const { id, sender } = await cast(chat);
		const deep = { value: nested(DEPTH) };
		await sender.refused('BAD_REQUEST', 'conversation:create', { metadata: deep });
		await sender.refused('BAD_REQUEST', 'conversation:update', {
			conversationId: id,
			update: { metadata: deep },
		});
		await sender.refused('BAD_REQUEST', 'message:send', {
			conversationId: id,
			content: 'x',
			options: deep,
		});
	});

	it('an event that is nested too deep ends the connection, and nothing else', async () => {
		const { owner, sender, outside } = await cast(chat);
		const gone = event(sender.socket, 'disconnect');
		sender.emit('conversation:create', { metadata: { value: nested(100) } });
		assert.equal((await gone)[0], 'transport close');
		await outside.settled();
		const back = await chat.open(owner);
		await back.settled();
	});

	it('fields that are as long as they may be', async () => {
		const { id, sender } = await cast(chat);
		const mode = ' [[mock-1-1]]';
		const content = `${long(LIMITS.content - mode.length)}${mode}`;
		const { ack } = await sender.turn(id, content, { messageId: 'é'.repeat(64) });
		assert.equal(ack.userMessage.content, content);
		const fields = {
			title: long(LIMITS.title),
			model: long(LIMITS.title),
			systemPrompt: long(LIMITS.metadata),
			metadata: { a: long(LIMITS.metadata - '{"a":""}'.length) },
		};
		const { conversation } = await sender.ok('conversation:create', fields);
		for (const [field, value] of Object.entries(fields))
			assert.deepEqual(conversation[field], value);
		await sender.ok('conversation:share', {
			conversationId: id,
			userId: long(255),
			role: 'viewer',
		});
	});
});
