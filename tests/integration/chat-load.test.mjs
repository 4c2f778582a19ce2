// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Many answers at once: 200 of 500 tokens, each in three tabs, of which one joins when text comes. All
// are complete, equal to what the service said, byte for byte, and leave no memory behind.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { assertTurn, joined, turnOf } from './lib/answers.mjs';
import { Daemon, Database, Service, Tab } from './lib/chat.mjs';
import { Recorder } from './lib/recorder.mjs';
import { each } from './lib/util.mjs';

const ANSWERS = 200;
const TOKENS = 500;
const INTERVAL = 20; // ms from token to token
// What is freed is to be free: the sanitizer would keep it.
const FREE = [
	'quarantine_size_mb=0',
	'thread_local_quarantine_size_kb=0',
	'allocator_release_to_os_interval_ms=0',
];
const GROWTH_KIB = 4096; // 7 KiB for each tab; what is kept for recovery is part of it

describe('200 answers at once', () => {
	let database;
	let service;
	let recorder;
	let daemon;
	let round = 0;

	before(async () => {
		database = await Database.start();
		service = await Service.start();
		recorder = await Recorder.start(service);
		daemon = await Daemon.start({
			database,
			service: recorder,
			env: { ASAN_OPTIONS: [process.env.ASAN_OPTIONS ?? '', ...FREE].join(':') },
		});
	});
	after(async () => {
		await each(
			() => daemon?.stop(),
			() => recorder?.kill(),
			() => service?.kill(),
			() => database?.stop(),
		);
	});

	const open = (user, stream) => Tab.open(daemon, user, { auth: { stream } });

	async function prepare(user) {
		const tabs = {};
		[tabs.full, tabs.delta, tabs.late] = await Promise.all([
			open(user, 'full'),
			open(user, 'delta'),
			open(user, 'delta'),
		]);
		const id = await tabs.full.create();
		await Promise.all([tabs.full.join(id), tabs.delta.join(id)]);
		return { ...tabs, id };
	}

	async function answer({ full, delta, late, id }, content) {
		const ack = await full.ok('message:send', { conversationId: id, content });
		await delta.next('message:chunk', (c) => c.streamId === ack.streamId, 30000);
		const { activeStream } = await late.join(id);
		return { ack, end: await full.closing(ack, 60000), runs: Boolean(activeStream) };
	}

	async function assertWhole({ full, delta, late, id }, { ack, end, runs }, { text, requests }) {
		const [name, data] = end;
		assert.equal(name, 'message:complete');
		assert.equal(data.finishReason, 'stop');
		assert.equal(requests, 1);
		const { content } = data.assistantMessage;
		assert.ok(content === text, 'the answer is what the service said');
		assert.equal(data.usage.completionTokens, TOKENS);
		await assertTurn(full, ack, end);
		await assertTurn(delta, ack, end, { place: 'room', mode: 'delta' });
		await assertLate(late, ack, runs, text);
		const { messages } = await late.ok('message:list', { conversationId: id });
		assert.equal(messages.length, 2);
		assert.deepEqual(messages[1], data.assistantMessage);
	}

	// On a busy machine the first frame may be the last: then it has only the list.
	async function assertLate(late, ack, runs, text) {
		if (runs) await late.closing(ack);
		await late.settled();
		const [news, snapshot, ...rest] = turnOf(late, ack);
		assert.equal(news.name, 'message:new');
		assert.equal(snapshot?.name, runs ? 'message:snapshot' : undefined);
		if (!runs) return;
		const chunks = rest.filter((e) => e.name === 'message:chunk');
		assert.deepEqual(
			rest.map((e) => e.name),
			[...chunks.map((e) => e.name), 'ai:typing:stop', 'message:complete'],
		);
		assert.ok(joined(chunks, 'delta', snapshot.data.content, snapshot.data.seq) === text);
	}

	async function run() {
		const sets = await Promise.all(
			Array.from({ length: ANSWERS }, (_, i) => prepare(`user-${i}`)),
		);
		const questions = sets.map((_, i) => `${round}.${i} [[mock-${TOKENS}-${INTERVAL}]]`);
		round++;
		const turns = await Promise.all(sets.map((tabs, i) => answer(tabs, questions[i])));
		const said = await recorder.recorded(questions);
		await Promise.all(sets.map((tabs, i) => assertWhole(tabs, turns[i], said[i])));
		assert.ok(turns.some(({ runs }) => runs), 'some tabs came in the middle');
		for (const { full, delta, late } of sets)
			await Promise.all([full, delta, late].map((tab) => tab.close()));
		await daemon.becomesIdle();
		return daemon.residentKib();
	}

	let used;
	it('are whole in every tab and in the database', async () => {
		used = await run();
		const rows = await database.sql(`SELECT
			(SELECT count(*) FROM parlance.message WHERE role = 'assistant' AND status = 'complete'),
			(SELECT count(*) FROM parlance.message), (SELECT count(*) FROM parlance.generation),
			(SELECT count(*) FROM parlance.message_part)`);
		assert.deepEqual(rows, [[`${ANSWERS}`, `${2 * ANSWERS}`, '0', '0']]);
	});

	it('leave no memory behind', async () => {
		const now = await run();
		assert.ok(now - used < GROWTH_KIB, `${used} KiB before, ${now} KiB after`);
	});
});
