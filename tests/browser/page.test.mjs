// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The chat page (contrib/web) as people use it, in a real browser on the real daemon.

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { after, afterEach, before, describe, it } from 'node:test';
import { chatFor, token } from '../integration/lib/chat.mjs';
import { until } from '../integration/lib/util.mjs';
import { browserFor, makeWebRoot } from './lib/browser.mjs';

const web = makeWebRoot();
const chat = chatFor({ before, after }, { set: { 'web.root': web } });
const browser = browserFor({ before, after, afterEach }, chat);
after(() => rmSync(web, { recursive: true }));

// What the database has of the conversation with this title: [[role, content]].
const stored = (title) =>
	chat.database.sql(`SELECT m.role, m.content FROM parlance.message m
		JOIN parlance.conversation c ON c.id = m.conversation
		WHERE c.title = '${title}' ORDER BY m.ord`);

// What Chromium says of requests that are under way, as that for the upgrade, when the page leaves.
const LEAVING = /WebSocket is closed before|status of 400/;

const isLone = (text) => /\p{Surrogate}/u.test(text);

// Each text that could be seen is the beginning of the next one.
function assertGrows(steps) {
	steps.forEach(({ text, busy }, i) => {
		const next = steps[i + 1];
		if (!next) return;
		assert.ok(busy, 'what is over does not change any more');
		assert.ok(next.text.startsWith(text), `"${text}" is taken back: "${next.text}"`);
	});
	assert.equal(steps.at(-1).busy, false);
}

// Both have shown the text while it grew, and not one after the other.
function assertTogether(one, other) {
	for (const [a, b] of [
		[one, other],
		[other, one],
	]) {
		const half = a.filter((s) => s.text)[Math.floor(a.length / 2)];
		assert.ok(half.at < b.at(-1).at, 'half of it is seen here before all is seen there');
	}
}

// A conversation with this title, open in the page.
async function begin(page, title) {
	await page.create();
	await page.dialog('rename', title);
	await page.shows('title', title);
}

describe('signing in', () => {
	it('by the address, which then does not show the token any more', async () => {
		const page = await browser.enter(chat.user('anna'));
		assert.equal(page.tab.url(), `${chat.daemon.url}/`);
		const policy = page.response.headers()['content-security-policy'];
		assert.match(policy, /(^|; )default-src 'self'(;|$)/);
		assert.match(policy, /(^|; )script-src 'self'(;|$)/);
		assert.equal(page.response.headers()['x-content-type-options'], 'nosniff');
		browser.check();
	});

	it('by typing the token, and out again', async () => {
		const user = chat.user('anna');
		const page = await browser.visit(user, { fragment: '' });
		assert.equal(await page.$('token').getAttribute('type'), 'password');
		await page.$('token').fill(token(user));
		await page.$('token').press('Enter');
		await page.connected();
		await page.$('logout').click();
		await page.$('login').waitFor();
		await page.tab.reload();
		await page.$('login').waitFor();
		assert.equal(await page.$('chat').isVisible(), false);
		browser.check(LEAVING);
	});

	const expired = { claims: { exp: Math.floor(Date.now() / 1000) - 3600 } };
	for (const [what, wrong, words] of [
		['of another secret', token('anna', { secret: 'x'.repeat(64) }), /token/],
		['that has expired', token('anna', expired), /expired/],
		['that is none', 'hello', /token/],
	])
		it(`with a token ${what} says why it fails`, async () => {
			const page = await browser.visit('anna', { fragment: `#token=${wrong}` });
			await page.$('login').waitFor();
			await until(() => page.$('login-error').textContent(), 'an error');
			const said = await page.$('login-error').textContent();
			assert.match(said, words);
			assert.ok(await page.$('login-error').isVisible());
			// And the right one helps.
			await page.$('token').fill(token('anna'));
			await page.$('login').getByRole('button').click();
			await page.connected();
			browser.check(LEAVING);
		});
});

describe('conversations', () => {
	it('are made, listed, opened, renamed and deleted in step in two tabs', async () => {
		const user = chat.user('anna');
		const [one, two] = [await browser.enter(user), await browser.enter(user)];
		await begin(one, 'First');
		await begin(one, 'Second');
		await two.item('First').waitFor();
		await two.choose('First');
		assert.deepEqual(await two.titles(), ['Second', 'First']);
		assert.deepEqual(await one.titles(), ['Second', 'First']);

		await one.dialog('rename', 'Another name');
		await two.item('Another name').waitFor();
		await two.dialog('rename', 'First of all');
		await two.shows('title', 'First of all');
		await one.item('First of all').waitFor();
		assert.equal(await two.tab.title(), 'First of all – Parlance');

		// News elsewhere, until one looks at them.
		await one.say('[[mock-2-1]]');
		const unread = two.$('conversations').locator('button.unread');
		assert.equal(await unread.getAttribute('title'), 'Another name');
		await two.choose('Another name');
		await unread.waitFor({ state: 'detached' });
		await two.choose('First of all');

		await one.choose('First of all');
		await one.$('delete').click();
		await one.$('cancel').click();
		await one.dialog('delete');
		for (const page of [one, two]) {
			await page.$('nothing').waitFor();
			await until(async () => (await page.titles()).length === 1, 'one is left');
			assert.deepEqual(await page.titles(), ['Another name']);
		}
		await two.shows('notice', '“First of all” is no longer there.');
		await until(() => one.$('notice').isHidden(), 'whoever deleted it is not told');
		browser.check();
	});

	it('are shared with another user, who sees the same', async () => {
		const [anna, bert] = [chat.user('anna'), chat.user('bert')];
		const [one, two] = [await browser.enter(anna), await browser.enter(bert)];
		await begin(one, 'For two');
		await one.say('Nobody else reads this [[mock-3-1]]');
		await one.over(1);
		assert.equal(await one.head(0), 'You');
		await one.dialog('share', bert);
		await one.shows('people', `with ${bert}`);
		await two.choose('For two');
		await two.shows('people', `with ${anna}`);
		await two.over(1);
		assert.deepEqual(await two.texts(), await one.texts());
		assert.equal(await two.$('delete').isVisible(), false);
		assert.equal(await two.$('rename').isVisible(), true);

		await two.$('text').pressSequentially('I do');
		await one.shows('activity', `Typing: ${bert}`);
		await two.say('I do [[mock-40-20]]');
		await one.growing(3, 10);
		for (const page of [one, two]) await page.over(3);
		assertTogether(await one.steps(3), await two.steps(3));
		assert.deepEqual(await one.texts(), await two.texts());
		// Messages do not say whose they are.
		assert.equal(await one.head(0), 'User');
		assert.equal(await one.head(2), 'User');
		browser.check();
	});

	it('that one may only read cannot be written to', async () => {
		const [anna, bert] = [chat.user('anna'), chat.user('bert')];
		const owner = await chat.open(anna);
		const conversationId = await owner.create({ title: 'Read this' });
		const share = { conversationId, userId: bert, role: 'viewer' };
		await owner.ok('conversation:share', share);
		const page = await browser.enter(bert);
		await page.choose('Read this');
		for (const id of ['compose', 'rename', 'share', 'delete'])
			assert.equal(await page.$(id).isVisible(), false, id);
		await owner.turn(conversationId, '[[mock-5-1]]');
		await page.over(1);
		await owner.ok('conversation:share', { ...share, role: 'editor' });
		await page.$('compose').waitFor();
		await owner.ok('conversation:unshare', { conversationId, userId: bert });
		await page.$('nothing').waitFor();
		assert.deepEqual(await page.titles(), []);
		browser.check();
	});
});

describe('an answer', () => {
	it('grows word by word, in a second and a third tab too', async () => {
		const user = chat.user('anna');
		const [one, two] = [await browser.enter(user), await browser.enter(user)];
		await begin(one, 'Three tabs');
		await two.choose('Three tabs');
		await one.say('[[mock-150-25]]');
		await one.growing(1, 10);
		await two.growing(1, 10);

		const three = await browser.enter(user);
		await three.choose('Three tabs');
		await three.growing(1, 3);
		const pages = [one, two, three];
		const seen = [];
		for (const page of pages) {
			await page.over(1);
			seen.push(await page.steps(1));
		}
		const [[, [, text]]] = [await stored('Three tabs')];
		assert.equal(text.length, 150 * 6);
		for (const steps of seen) {
			assertGrows(steps);
			assert.equal(steps.at(-1).text, text);
		}
		assert.ok(seen[0].length >= 20, `it grows in ${seen[0].length} steps`);
		assert.ok(seen[1].length >= 20, `it grows in ${seen[1].length} steps`);
		assertTogether(seen[0], seen[1]);
		// The third began with what was said before it came.
		const [first] = seen[2].filter((s) => s.text);
		assert.ok(first.busy && first.text.length >= 10 * 6, `it began with "${first.text}"`);
		assertTogether(seen[0], seen[2]);
		for (const page of pages) {
			assert.deepEqual(await page.texts(), ['[[mock-150-25]]', text]);
			assert.equal(await page.$('stop').isVisible(), false);
		}
		browser.check();
	});

	it('goes on when the page is loaded again', async () => {
		const page = await browser.enter(chat.user('anna'));
		await begin(page, 'Again');
		await page.say('[[mock-150-25]]');
		await page.growing(1, 10);
		await page.tab.reload();
		await page.shows('title', 'Again');
		await page.growing(1, 10);
		await page.over(1);
		const steps = await page.steps(1);
		assertGrows(steps);
		assert.ok(steps.find((s) => s.text).text.length >= 10 * 6);
		assert.deepEqual(await page.texts(), (await stored('Again')).map(([, text]) => text));
		browser.check();
	});

	it('is stopped, and keeps what was said', async () => {
		const user = chat.user('anna');
		const [one, two] = [await browser.enter(user), await browser.enter(user)];
		await begin(one, 'Enough');
		await two.choose('Enough');
		await one.say('[[mock-2000-20]]');
		await two.growing(1, 5);
		await two.$('stop').click();
		for (const page of [one, two]) {
			await page.over(1);
			assert.equal(await page.head(1), 'Assistant · stopped');
			await page.$('stop').waitFor({ state: 'hidden' });
		}
		const [, [, text]] = await stored('Enough');
		assert.ok(text.length >= 4 * 6 && text.length < 2000 * 6);
		for (const page of [one, two]) assert.equal(await page.text(1), text);
		browser.check();
	});

	it('that fails says why', async () => {
		const page = await browser.enter(chat.user('anna'));
		await begin(page, 'Bad luck');
		await page.say('[[mock-cut]]');
		await page.over(1);
		assert.equal(await page.head(1), 'Assistant · interrupted');
		assert.match(await page.article(1).locator('.error').textContent(), /AI service/);
		await page.say('And now? [[mock-5-1]]');
		await page.over(3);
		assert.equal(await page.head(3), 'Assistant');
		browser.check();
	});

	it('waits for the one before it', async () => {
		const page = await browser.enter(chat.user('anna'));
		await begin(page, 'In turn');
		await page.say('one [[mock-40-20]]');
		await page.growing(1, 1);
		await page.say('two [[mock-5-1]]');
		const texts = async () => (await stored('In turn')).map(([, text]) => text);
		await page.busy(3);
		await page.over(3);
		assert.equal((await texts()).length, 4);
		assert.deepEqual(await page.texts(), await texts());
		browser.check();
	});
});

describe('text', () => {
	const hostile = [
		'<img src=x onerror="window.ran=1">',
		'<script>window.ran=1</script>',
		'"><svg onload=window.ran=1>&lt;b&gt;&amp;',
	];

	it('that looks like HTML is shown as it is', async () => {
		const [image, script, both] = hostile;
		const [user, guest] = [chat.user('anna'), chat.user(image)];
		const [one, two] = [await browser.enter(user), await browser.enter(user)];
		await one.create();
		await one.say(`${both}${image} [[mock-2-1]]`);
		await one.over(1);
		await one.shows('title', `${both}${image} [[mock-2-1]]`.slice(0, 60));
		for (const title of hostile) {
			await one.dialog('rename', title);
			await two.item(title).waitFor();
			await one.shows('title', title);
			await one.say(`${title} [[mock-2-1]]`);
		}
		await two.choose(both);
		for (const page of [one, two]) {
			await page.over(7);
			const texts = await page.texts();
			assert.equal(texts[0], `${both}${image} [[mock-2-1]]`);
			hostile.forEach((text, i) => assert.equal(texts[2 * i + 2], `${text} [[mock-2-1]]`));
		}
		// A user's name, and the question before the deletion.
		await one.dialog('share', guest);
		await one.shows('people', `with ${guest}`);
		const other = await chat.open(guest);
		const [{ conversationId }] = [await listOf(other)];
		await other.join(conversationId);
		other.emit('typing:start', { conversationId });
		await one.shows('activity', `Typing: ${guest}`);
		await one.$('delete').click();
		await one.shows('question', `Delete “${both}” and all its messages?`);
		for (const page of [one, two]) {
			assert.equal(await page.tab.locator('body :is(img, svg, script, b)').count(), 0);
			assert.equal(await page.tab.evaluate(() => window.ran), undefined);
		}
		browser.check();
	});

	const listOf = async (tab) => {
		const { conversations } = await tab.ok('conversation:list', {});
		return { conversationId: conversations[0].id };
	};

	it('of many scripts arrives whole, and no half of a character is seen', async () => {
		const user = chat.user('anna');
		const [one, two] = [await browser.enter(user), await browser.enter(user)];
		const title = 'Grüße 👩‍👩‍👧‍👦 𝔘𝔫𝔦 مرحبا 你好';
		await begin(one, title);
		await two.choose(title);
		for (const [i, mode] of ['mock-bytes-200-2', 'mock-utf8-60-5'].entries()) {
			await one.say(`👍🏽 e\u0301 ${title}\n\t zwei  Wörter [[${mode}]]`);
			for (const page of [one, two]) {
				await page.over(2 * i + 1);
				const steps = await page.steps(2 * i + 1);
				assertGrows(steps);
				assert.ok(!steps.some((s) => isLone(s.text) || s.text.includes('\ufffd')));
			}
		}
		const texts = (await stored(title)).map(([, text]) => text);
		assert.equal(texts[1], '😀'.repeat(50));
		assert.equal(texts[0], `👍🏽 e\u0301 ${title}\n\t zwei  Wörter [[mock-bytes-200-2]]`);
		assert.deepEqual(await one.texts(), texts);
		assert.deepEqual(await two.texts(), texts);
		browser.check();
	});

	it('that is long arrives whole, and what is too long stays in the box', async () => {
		const user = chat.user('anna');
		const [one, two] = [await browser.enter(user), await browser.enter(user)];
		await begin(one, 'Long');
		await two.choose('Long');
		const long = `${'x'.repeat(5000)} ${'Wörter und mehr. '.repeat(5000)}`;
		await one.say(`[[mock-3-1]] ${long}`);
		for (const page of [one, two]) {
			await page.over(1);
			assert.ok((await page.text(0)) === `[[mock-3-1]] ${long}`);
			const wide = await page.tab.evaluate(() => {
				const { scrollWidth, clientWidth } = document.getElementById('scroll');
				return scrollWidth - clientWidth;
			});
			assert.equal(wide, 0, 'a long word is broken');
		}
		await one.say(`${'é'.repeat(600000)}`);
		await one.$('notice').waitFor();
		assert.match(await one.$('notice').textContent(), /too long/);
		assert.equal((await one.$('text').inputValue()).length, 600000);
		await one.say('Short again [[mock-3-1]]');
		await one.over(3);
		assert.equal(await one.$('notice').isVisible(), false);
		browser.check();
	});
});

it('the page fits on a phone', async () => {
	const user = chat.user('anna');
	const phone = { viewport: { width: 390, height: 844 }, hasTouch: true };
	const page = await browser.enter(user, phone);
	await page.$('toggle').click();
	await begin(page, `A title of ${'many words '.repeat(6)}`.trim());
	await page.say(`${'long'.repeat(100)} [[mock-30-1]]`);
	await page.over(1);
	const wide = () =>
		page.tab.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
	assert.ok((await wide()) <= 0);
	for (const id of ['title', 'rename', 'share', 'delete', 'text', 'messages', 'toggle'])
		assert.ok(await inView(page, id), `${id} is in view`);
	await page.$('toggle').click();
	await page.$('create').waitFor();
	assert.ok((await wide()) <= 0);
	assert.equal(await page.$('text').isVisible(), false);
	await page.$('conversations').locator('button').click();
	await page.$('text').waitFor();
	browser.check();
});

// From side to side, and at least in part from top to bottom.
async function inView(page, id) {
	const box = await page.$(id).boundingBox();
	const { width, height } = page.tab.viewportSize();
	return box && box.x >= 0 && box.x + box.width <= width && box.y < height && box.y + box.height > 0;
}
