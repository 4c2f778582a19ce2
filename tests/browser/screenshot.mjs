// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Makes contrib/screenshot.png, or another file: node screenshot.mjs [FILE [WIDTH HEIGHT]]
// The environment names the programs, as for the tests.

import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Daemon, Database, Tab, token } from '../integration/lib/chat.mjs';
import { Page, launch, makeWebRoot } from './lib/browser.mjs';

const picture = fileURLToPath(new URL('../../contrib/screenshot.png', import.meta.url));
const [file = picture, width = 1280, height = 800] = process.argv.slice(2);
const QUESTIONS = ['Hello!', 'What is the plan for a week at sea?'];

const web = makeWebRoot();
const set = { 'web.root': web, 'provider_demo.token_interval_ms': 20 };
const database = await Database.start();
const daemon = await Daemon.start({ database, set });
const browser = await launch();
try {
	const tab = await Tab.open(daemon, 'alice');
	for (const title of ['Names for a boat', 'Soup without onions', 'A week at sea'])
		await tab.create({ title });
	const [open, other] = (await tab.ok('conversation:list', {})).conversations;
	await tab.ok('conversation:share', { conversationId: open.id, userId: 'bob', role: 'editor' });

	const viewport = { width: Number(width), height: Number(height) };
	const context = await browser.newContext({ viewport, colorScheme: 'light' });
	const page = await Page.open(context, `${daemon.url}/#token=${token('alice')}`);
	await page.connected();
	if (viewport.width < 700) await page.$('toggle').click();
	await page.choose(open.title);
	for (const [i, question] of QUESTIONS.entries()) {
		await page.say(question);
		await page.over(2 * i + 1);
	}
	await page.say('And a story for the evening, please.');
	await page.growing(2 * QUESTIONS.length + 1, 40);
	await tab.turn(other.id, 'Thanks'); // is unread here
	await page.tab.mouse.move(viewport.width / 2, viewport.height / 2);
	await page.tab.screenshot({ path: file });
	await tab.close();
} finally {
	await browser.close();
	await daemon.kill();
	await database.stop();
	rmSync(web, { recursive: true });
}
