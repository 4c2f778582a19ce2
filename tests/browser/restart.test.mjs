// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The chat page lives through the end of the daemon, and goes on with the next one by itself.

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, afterEach, before, describe, it } from 'node:test';
import { Daemon, chatFor } from '../integration/lib/chat.mjs';
import { until } from '../integration/lib/util.mjs';
import { browserFor, makeWebRoot } from './lib/browser.mjs';

const LONG = 30000; // should the lease of the dead one not be over
const OFFLINE = /ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET|WebSocket/;

describe('while a page is open', () => {
	const web = makeWebRoot();
	// The end of the daemon does not wait for a long answer.
	const options = { 'web.root': web, 'chat.drain_timeout_ms': 1000 };
	const chat = chatFor({ before, after }, { set: options });
	const browser = browserFor({ before, after, afterEach }, chat);
	after(() => rmSync(web, { recursive: true }));

	// Ends the daemon so, waits until the pages know, and starts another one at the same port.
	const restart = async (end, pages, meanwhile = () => {}) => {
		const { port } = chat.daemon;
		await end(chat.daemon);
		for (const page of pages) await page.$('connection').and(page.tab.locator('.down')).waitFor();
		await meanwhile();
		const set = { ...options, 'listener.main.address': `127.0.0.1:${port}` };
		chat.daemon = await Daemon.start({ ...chat, set });
		for (const page of pages) await page.connected();
	};

	it('the daemon is killed and started again', async () => {
		const user = chat.user('anna');
		const [one, two] = [await browser.enter(user), await browser.enter(user)];
		await one.create();
		await one.say('Before [[mock-3-1]]');
		await one.over(1);
		await two.choose('Before [[mock-3-1]]');
		await two.over(1);
		await one.say('Meanwhile [[mock-2000-20]]');
		await two.growing(3, 5);
		const parts = 'SELECT count(*) FROM parlance.message_part';
		await until(async () => Number(await chat.database.sql(parts)) > 0, 'a part is stored');

		await restart(
			(daemon) => daemon.kill(),
			[one, two],
			async () => {
				// Nothing vanishes, and what is said now goes out later.
				for (const page of [one, two]) assert.equal((await page.texts()).length, 4);
				await one.say('Nobody hears me [[mock-4-1]]');
				assert.equal(await one.head(4), 'You · sending…');
				// Time goes by in the database: leases end, events are forgotten. So nobody tells
				// the pages what another program has changed.
				await chat.database.sql(`
					UPDATE parlance.instance SET expires_at = clock_timestamp();
					UPDATE parlance.message SET content = 'Changed' WHERE ord = 1;
					UPDATE parlance.conversation SET title = 'Renamed';
					TRUNCATE parlance.event`);
			},
		);
		for (const page of [one, two]) {
			await until(async () => (await page.texts()).length === 6, 'all is shown', LONG);
			const heads = async () => `${await page.head(3)}, ${await page.head(5)}`;
			const last = 'Assistant · interrupted, Assistant';
			await until(async () => (await heads()) === last, 'both answers end', LONG);
			assert.equal(await page.$('stop').isVisible(), false);
		}
		const rows = await chat.database.sql(
			'SELECT content FROM parlance.message ORDER BY conversation, ord',
		);
		const stored = rows.map(([text]) => text);
		assert.ok(stored[3].length > 0);
		assert.equal(stored[4], 'Nobody hears me [[mock-4-1]]');
		assert.equal(stored[5].length, 4 * 6);
		for (const page of [one, two]) assert.deepEqual(await page.texts(), stored);
		await one.shows('title', 'Renamed');
		assert.equal(stored[0], 'Changed');
		const fresh = await browser.enter(user);
		await fresh.choose('Renamed');
		await fresh.over(5);
		assert.deepEqual(await fresh.texts(), stored);
		browser.check(OFFLINE);
	});

	it('the daemon is stopped and started again', async () => {
		const user = chat.user('anna');
		const [one, two] = [await browser.enter(user), await browser.enter(user)];
		await one.create();
		await one.say('Hello [[mock-2000-20]]');
		await two.choose('Hello [[mock-2000-20]]');
		await two.growing(1, 5);
		await restart((daemon) => daemon.stop(), [one, two]);
		for (const page of [one, two]) {
			await page.over(1);
			assert.equal(await page.head(1), 'Assistant · interrupted');
		}
		assert.deepEqual(await one.texts(), await two.texts());
		await one.say('Still there? [[mock-3-1]]');
		for (const page of [one, two]) {
			await page.over(3);
			assert.equal(await page.head(3), 'Assistant');
		}
		browser.check(OFFLINE);
	});
});
