// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The chat page in Debian's Chromium, as a person uses it: the folder that the daemon serves, the
// browser, and tabs with what can be done and seen in them.

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { token } from '../../integration/lib/chat.mjs';
import { PATIENCE } from '../../integration/lib/util.mjs';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const library = 'tests/integration/node_modules/socket.io-client/dist/socket.io.min.js';

const FLAGS = [
	'--no-sandbox', // for root, as whom CI runs
	'--disable-gpu',
	'--disable-quic',
	'--no-first-run',
	'--disable-background-networking',
	'--disable-component-update',
	'--disable-sync',
];

// A folder for web.root, made as contrib/quickstart does.
export function makeWebRoot() {
	const folder = mkdtempSync(join(tmpdir(), 'parlance-web-'));
	const page = join(root, 'contrib/web');
	for (const name of readdirSync(page)) copyFileSync(join(page, name), join(folder, name));
	copyFileSync(join(root, library), join(folder, 'socket.io.min.js'));
	return folder;
}

// In the page: the text of each answer as it grows, and when. Each change of the document is seen.
function watchAnswers() {
	window.steps = {};
	const look = () => {
		const now = Date.now();
		for (const node of document.querySelectorAll('#messages article.assistant')) {
			const all = (window.steps[[...node.parentNode.children].indexOf(node)] ??= []);
			const text = node.querySelector('.body').textContent;
			const busy = node.getAttribute('aria-busy') === 'true';
			const last = all.at(-1);
			if (!last || last.text !== text || last.busy !== busy)
				all.push({ at: now, text, busy });
		}
	};
	const options = { subtree: true, childList: true, characterData: true, attributes: true };
	new MutationObserver(look).observe(document, options);
}

// One tab. Whatever it logs as an error, and each request, is remembered; check() looks at that.
export class Page {
	#errors = [];
	#hosts = new Set();

	static async open(context, url) {
		const page = new Page();
		page.tab = await context.newPage();
		page.tab.setDefaultTimeout(PATIENCE);
		page.tab.on('console', (m) => {
			if (m.type() === 'error' || m.type() === 'warning') page.#errors.push(m.text());
		});
		page.tab.on('pageerror', (error) => page.#errors.push(String(error)));
		page.tab.on('request', (r) => page.#hosts.add(new URL(r.url()).host));
		page.tab.on('websocket', (w) => page.#hosts.add(new URL(w.url()).host));
		await page.tab.addInitScript(watchAnswers);
		page.response = await page.tab.goto(url);
		return page;
	}

	// Neither an error, but for those that match, nor a request to another host (data: has none).
	check(daemon, allowed = /^$/) {
		assert.deepEqual(
			this.#errors.filter((text) => !allowed.test(text)),
			[],
			'errors in the console',
		);
		const others = [...this.#hosts].filter((host) => host && host !== `127.0.0.1:${daemon.port}`);
		assert.deepEqual(others, [], 'requests to other hosts');
	}

	$(id) {
		return this.tab.locator(`#${id}`);
	}

	// Waits for an element with exactly this text, and that one can see.
	async shows(id, text) {
		const where = this.$(id);
		await where.and(this.tab.getByText(text, { exact: true })).waitFor();
	}

	async connected() {
		await this.shows('connection', 'Connected');
	}

	item(title) {
		return this.$('conversations').getByTitle(title, { exact: true });
	}

	titles() {
		return this.$('conversations').locator('button').evaluateAll((all) =>
			all.map((button) => button.title),
		);
	}

	async choose(title) {
		await this.item(title).click();
		await this.shows('title', title);
	}

	async create() {
		await this.$('create').click();
		await this.$('conversation').waitFor();
	}

	async say(text) {
		await this.$('text').fill(text);
		await this.$('text').press('Enter');
	}

	// Presses a button that opens the dialog, types the text (if any), and says yes.
	async dialog(button, text) {
		await this.$(button).click();
		if (text !== undefined) await this.$('answer').fill(text);
		await this.$('dialog').getByRole('button', { name: 'OK' }).click();
	}

	article(n) {
		return this.$('messages').locator('article').nth(n);
	}

	// The n-th message has no end yet, or one; the text is there all the same.
	async busy(n, busy = true) {
		await this.$('messages').locator(`article:nth-of-type(${n + 1})[aria-busy=${busy}]`).waitFor();
	}

	async over(n) {
		await this.busy(n, false);
		return this.text(n);
	}

	async text(n) {
		return this.article(n).locator('.body').textContent();
	}

	async head(n) {
		return this.article(n).locator('h2').textContent();
	}

	texts() {
		return this.$('messages').locator('.body').evaluateAll((all) => all.map((e) => e.textContent));
	}

	// The texts that the n-th message had one after the other: [{ at, text, busy }].
	steps(n) {
		return this.tab.evaluate((i) => window.steps[i] ?? [], n);
	}

	// Waits until the n-th message has had as many texts.
	async growing(n, count) {
		await this.tab.waitForFunction(
			([i, least]) => (window.steps[i] ?? []).filter((s) => s.text).length >= least,
			[n, count],
		);
	}
}

export function launch() {
	return chromium.launch({ executablePath: '/usr/bin/chromium', headless: true, args: FLAGS });
}

// A browser for a whole file or group, on the daemon of a chat (see chatFor). Each page has a window
// of its own, since a tab that is behind another one is not painted.
export function browserFor({ before, after, afterEach }, chat) {
	const holder = { pages: [] };
	let browser;

	before(async () => {
		browser = await launch();
	});
	after(() => browser?.close());
	afterEach(async () => {
		for (const page of holder.pages) await page.tab.context().close();
		holder.pages.length = 0;
	});
	// fragment: what stands behind the address; by default the user's token.
	holder.visit = async (user, { fragment = `#token=${token(user)}`, ...options } = {}) => {
		const context = await browser.newContext(options);
		const page = await Page.open(context, `${chat.daemon.url}/${fragment}`);
		holder.pages.push(page);
		return page;
	};
	holder.enter = async (user, options) => {
		const page = await holder.visit(user, options);
		await page.connected();
		return page;
	};
	// At the end of a case.
	holder.check = (allowed) => {
		for (const page of holder.pages) page.check(chat.daemon, allowed);
	};
	return holder;
}
