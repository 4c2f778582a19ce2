// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The check of what servers send (lib/contract.mjs), by examples. No server is needed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientEvents, serverEvents, validate, validateAck } from './lib/contract.mjs';

const ID = '018f0000-0000-7000-8000-000000000000';
const TIME = '2026-01-02T03:04:05.678Z';

const conversation = {
	id: ID,
	title: 'T',
	model: null,
	systemPrompt: null,
	metadata: { any: ['thing'] },
	version: 1,
	messageCount: 2,
	totalTokens: 0,
	lastActivity: TIME,
	ownerId: 'alice',
	participants: [{ userId: 'alice', role: 'owner' }],
	archived: false,
	createdAt: TIME,
	updatedAt: TIME,
};

const message = {
	id: ID,
	conversationId: ID,
	parentId: null,
	seq: 1,
	role: 'user',
	content: '',
	status: 'complete',
	model: null,
	tokensUsed: 0,
	createdAt: TIME,
	updatedAt: TIME,
};

const error = {
	code: 'BUSY',
	message: 'An answer is being generated',
	type: 'BUSY',
	event: 'message:send',
	retryable: true,
};

const complete = {
	conversationId: ID,
	userMessage: message,
	assistantMessage: { ...message, role: 'assistant', usage: { totalTokens: 3 }, tokensUsed: 3 },
	conversation,
	usage: { totalTokens: 3 },
	finishReason: 'stop',
	streamId: ID,
};

test('what is right passes and is returned', () => {
	assert.equal(validate('conversation:created', conversation), conversation);
	assert.equal(validate('message:complete', complete), complete);
	validate('message:complete', { ...complete, userMessage: null, usage: null, messageId: 'mine' });
	validate('message:new', { conversationId: ID, message: { ...message, error: { code: 'INTERNAL', message: '' } } });
	validate('conversation:updated', { conversationId: ID, update: {}, version: 2 });
	validate('error', { ...error, retryAfterMs: 1000, messageId: 'mine' });
	validate('message:error', { ...error, conversationId: ID, streamId: ID, assistantMessage: message });
	const list = { ok: true, conversations: [conversation, conversation], nextCursor: null };
	assert.equal(validateAck('conversation:list', list), list);
	validateAck('typing:start', { ok: true });
	validateAck('message:send', { ok: false, error });
});

test('events that are not in the contract', () => {
	assert.throws(() => validate('message:sent', {}), /^Error: message:sent: is no event of a server$/);
	assert.throws(() => validate('message:send', {}), /is no event of a server/);
	assert.throws(() => validate('toString', {}), /is no event of a server/);
});

test('payloads that are no object', () => {
	for (const payload of [undefined, null, 'x', 1, true, [conversation]])
		assert.throws(() => validate('conversation:created', payload), /conversation:created: is .*, not an object/);
});

test('fields that are missing, too many or of another type', () => {
	const cases = [
		[{ title: undefined }, 'title: is missing'],
		[{ title: null }, 'title: is null, not string'],
		[{ title: 7 }, 'title: is 7, not string'],
		[{ colour: 'red' }, 'colour: is not in the contract'],
		[{ toString: 1 }, 'toString: is not in the contract'],
		[{ id: 'abc' }, 'id: is "abc", not uuid'],
		[{ id: ID.replace('f', 'F') }, 'id: is .*, not uuid'],
		[{ model: 7 }, 'model: is 7, not string'],
		[{ version: '1' }, 'version: is "1", not integer'],
		[{ version: 1.5 }, 'version: is 1.5, not integer'],
		[{ version: -1 }, 'version: is -1, not integer'],
		[{ lastActivity: '2026-01-02T03:04:05Z' }, 'lastActivity: is .*, not time'],
		[{ lastActivity: '2026-13-02T03:04:05.678Z' }, 'lastActivity: is .*, not time'],
		[{ archived: 0 }, 'archived: is 0, not boolean'],
		[{ metadata: [] }, 'metadata: is \\[\\], not object'],
		[{ participants: {} }, 'participants: is {}, not Participant\\[\\]'],
		[{ participants: [{ userId: 'a', role: 'king' }] }, 'participants\\[0\\].role: is "king", not Role'],
		[{ participants: [null] }, 'participants\\[0\\]: is null, not an object'],
		[{ participants: [{ userId: 'a' }] }, 'participants\\[0\\].role: is missing'],
	];

	for (const [change, what] of cases)
		assert.throws(
			() => validate('conversation:created', { ...conversation, ...change }),
			new RegExp(`^Error: conversation:created.${what}$`),
		);
	assert.throws(
		() => validate('message:complete', { ...complete, assistantMessage: { ...message, status: 'done' } }),
		/message:complete.assistantMessage.status: is "done", not MessageStatus/,
	);
	assert.throws(() => validate('message:complete', { ...complete, finishReason: undefined }), /finishReason: is missing/);
});

test('long texts are not repeated', () => {
	const long = 'x'.repeat(1000);
	assert.throws(
		() => validate('conversation:joined', { conversationId: long }),
		(thrown) => thrown.message.length < 150,
	);
});

test('errors that contradict themselves', () => {
	assert.throws(() => validate('error', { ...error, type: 'INTERNAL' }), /error.type: is INTERNAL, and the code is BUSY/);
	assert.throws(() => validate('error', { ...error, retryable: false }), /error.retryable: is false/);
	assert.throws(() => validate('error', { ...error, code: 'TEAPOT', type: 'TEAPOT' }), /is "TEAPOT", not ErrorCode/);
	const broken = { ...error, retryable: false, conversationId: ID, streamId: ID, assistantMessage: message };
	assert.throws(() => validate('message:error', broken), /message:error.retryable/);
	assert.throws(() => validate('message:error', { ...error, conversationId: ID, streamId: ID }), /assistantMessage: is missing/);
});

test('acknowledgements', () => {
	const notFound = { ...error, code: 'NOT_FOUND', type: 'NOT_FOUND', retryable: false, event: 'conversation:update' };
	const conflict = { ...notFound, code: 'CONFLICT', type: 'CONFLICT' };

	validateAck('conversation:update', { ok: false, error: conflict, conversation });
	validateAck('conversation:update', { ok: false, error: notFound });
	const wrong = [
		['ping', undefined, /ack of ping: is undefined, not an object/],
		['ping', { time: TIME }, /ack of ping.ok: is missing/],
		['ping', { ok: 'yes', time: TIME }, /ack of ping.ok: is "yes"/],
		['ping', { ok: true }, /ack of ping.time: is missing/],
		['ping', { ok: true, time: TIME, more: 1 }, /ack of ping.more: is not in the contract/],
		['ping', { ok: false }, /ack of ping.error: is missing/],
		['ping', { ok: false, error }, /ack of ping.error.code: is BUSY, not RATE_LIMITED, UNAVAILABLE/],
		['message:send', { ok: false, error: { ...error, event: 'ping' } }, /error.event: is "ping"/],
		['message:send', { ok: false, error, conversation }, /conversation: is not in the contract/],
		['conversation:update', { ok: false, error: conflict, conversation: {} }, /conversation.id: is missing/],
		['foo', { ok: true }, /ack of foo: is ok, but there is no such event/],
		['foo', { ok: false, error: { ...error, event: 'foo' } }, /is BUSY, not UNKNOWN_EVENT/],
	];
	for (const [name, ack, what] of wrong) assert.throws(() => validateAck(name, ack), what);
	validateAck('foo', {
		ok: false,
		error: { ...error, code: 'UNKNOWN_EVENT', type: 'UNKNOWN_EVENT', retryable: false, event: 'foo' },
	});
});

test('the lists of events', () => {
	assert.ok(clientEvents.includes('message:send') && serverEvents.includes('message:chunk'));
	for (const name of serverEvents) assert.throws(() => validate(name, { unknown: 1 }), Error);
	for (const name of clientEvents) assert.throws(() => validateAck(name, { ok: true, unknown: 1 }), Error);
});
