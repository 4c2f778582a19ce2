// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The life of a token, on two instances: it runs out while its client is connected, another one takes its
// place, and it is revoked, by SQL and by parlancectl.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { after, afterEach, before, describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Tab, token } from './lib/chat.mjs';
import { clusterFor } from './lib/cluster.mjs';
import { programOf } from './lib/program.mjs';
import { event, until } from './lib/util.mjs';

const run = promisify(execFile);
const NOTICE_S = 1;
const GRACE_S = 1;
const LEEWAY_S = 5; // auth_jwt's

let cluster;
clusterFor(
	{ before, after },
	{ n: 2, set: { 'chat.token_notice_s': NOTICE_S, 'chat.token_grace_s': GRACE_S } },
	(started) => {
		cluster = started;
	},
);

const unique = (name) => `${name}-${randomUUID().slice(0, 8)}`;
const seconds = () => Math.floor(Date.now() / 1000);
// A token that runs out for the daemon in so many seconds.
const lasting = (user, s, claims = {}) =>
	token(user, { claims: { exp: seconds() + s - LEEWAY_S, ...claims } });

const tabs = [];
async function openAt(i, user, given, options = {}) {
	const auth = { token: given };
	const tab = await Tab.open(cluster.nodes[i], user, {
		auth,
		options: { transports: ['websocket'], ...options },
	});
	tabs.push(tab);
	return tab;
}
afterEach(async () => {
	await Promise.all(tabs.splice(0).map((tab) => tab.close()));
	await cluster.mend();
});

async function refused(i, user, given) {
	const error = await Tab.open(cluster.nodes[i], user, { auth: { token: given } }).then(
		(tab) => tab.close().then(() => assert.fail('it was let in')),
		(e) => e,
	);
	return error.data?.code ?? error;
}

describe('a token that runs out', () => {
	it('is told of, and then its transport closes; with another one the client goes on where it was', async () => {
		const user = unique('user');
		const given = [lasting(user, 3), token(user)];
		const tab = await openAt(0, user, undefined, {
			reconnection: true,
			reconnectionDelay: 20,
			auth: (give) => give({ token: given[0] }),
		});
		const other = await openAt(1, user, token(user));
		const id = await other.create();
		await tab.next('conversation:created', (c) => c.id === id);
		const { expiresAt } = await tab.next('session:ready');
		assert.deepEqual(await tab.next('auth:expiring'), { expiresAt });
		assert.ok(new Date(expiresAt) - Date.now() <= NOTICE_S * 1000 + 50);
		const gone = event(tab.socket, 'disconnect');
		assert.deepEqual(await tab.next('auth:expired'), { expiresAt });
		assert.ok(Date.now() - new Date(expiresAt) >= GRACE_S * 1000 - 50);
		given.shift();
		assert.match((await gone)[0], /^transport close$/);
		await other.ok('conversation:update', { conversationId: id, update: { title: 'meanwhile' } });
		await tab.next('conversation:updated', (c) => c.update.title === 'meanwhile');
		await until(() => tab.all('session:ready').length === 2, 'it is back');
		assert.equal(tab.all('session:ready')[1].recovered, true);
		assert.equal(tab.all('auth:expiring').length, 1);
	});

	it('recovers nothing', async () => {
		const user = unique('user');
		const given = lasting(user, 2);
		const tab = await openAt(0, user, given, { reconnection: true, reconnectionDelay: 20 });
		const [error] = await event(tab.socket, 'connect_error');
		assert.equal(error.data.code, 'TOKEN_EXPIRED');
		assert.equal(tab.socket.active, false);
		assert.equal(tab.all('auth:expired').length, 1);
		assert.equal(await refused(1, user, given), 'TOKEN_EXPIRED');
	});

	it('is of no matter when another one was shown in time', async () => {
		const user = unique('user');
		const tab = await openAt(0, user, lasting(user, 2));
		const marker = await openAt(0, user, lasting(user, 3));
		await tab.next('auth:expiring');
		const ack = await tab.ok('auth:refresh', { token: token(user) });
		assert.ok(new Date(ack.expiresAt) - Date.now() > 3000000);
		await marker.next('auth:expired'); // later than that of the other would be
		await tab.ok('ping');
		assert.deepEqual(tab.all('auth:expired'), []);
		assert.equal(tab.socket.connected, true);
	});

	it('is not replaced by one that is no good', async () => {
		const user = unique('user');
		const tab = await openAt(0, user, token(user));
		const code = async (given) =>
			(await tab.socket.emitWithAck('auth:refresh', { token: given })).error.code;
		assert.equal(await code(token(unique('other'))), 'FORBIDDEN');
		assert.equal(await code(lasting(user, -1)), 'TOKEN_EXPIRED');
		assert.equal(await code(token(user, { secret: 'another secret, which is long enough' })), 'UNAUTHENTICATED');
		assert.equal(await code('x'.repeat(20000)), 'BAD_REQUEST');
		assert.equal(await code(undefined), 'BAD_REQUEST');
		const jti = unique('token');
		await cluster.sql(`SELECT parlance.revoke('token', '${jti}')`);
		assert.equal(await code(token(user, { claims: { jti } })), 'UNAUTHENTICATED');
		await tab.ok('ping');
	});
});

describe('what is revoked', () => {
	// One that is to end and one that is not, on each instance.
	async function cast(user, revoked, other, kept) {
		const c = { user, revoked };
		c.hit = await Promise.all([0, 1].map((i) => openAt(i, user, revoked)));
		c.spared = await Promise.all([0, 1].map((i) => openAt(i, other, kept)));
		c.ends = Promise.all(
			c.hit.map(async (tab) => {
				const [reason] = await event(tab.socket, 'disconnect');
				return { reason, at: performance.now() };
			}),
		);
		return c;
	}
	// Returns when the last one ended.
	async function assertEnds(c) {
		const ends = await c.ends;
		for (const { reason } of ends) assert.equal(reason, 'io server disconnect');
		for (const tab of c.hit) assert.equal(tab.socket.active, false);
		for (const tab of c.spared) await tab.ok('ping');
		for (const i of [0, 1])
			assert.equal(await refused(i, c.user, c.revoked), 'UNAUTHENTICATED');
		return Math.max(...ends.map(({ at }) => at));
	}

	it('a user: all that was issued before, on all instances, within 100 ms', async () => {
		let best = Infinity;
		// The quickest of some: a busy machine is no matter.
		for (let i = 0; i < 5; i++) {
			const [user, other] = [unique('user'), unique('other')];
			const old = token(user, { claims: { iat: seconds() - 10 } });
			const c = await cast(user, old, other, token(other));
			const commit = await cluster.database.hold(`SELECT parlance.revoke('user', '${user}')`);
			const began = performance.now();
			await commit();
			best = Math.min(best, (await assertEnds(c)) - began);
			await openAt(0, user, token(user, { claims: { iat: seconds() + 1 } }));
		}
		assert.ok(best < 100, `${best} ms`);
	});

	for (const [kind, claim] of [
		['session', 'sid'],
		['token', 'jti'],
	])
		it(`a ${kind}, by parlancectl`, async () => {
			const user = unique('user');
			const [id, other] = [unique('id'), unique('id')];
			const revoked = token(user, { claims: { [claim]: id } });
			const c = await cast(user, revoked, user, token(user, { claims: { [claim]: other } }));
			const { stdout } = await run(programOf('PARLANCECTL'), [
				...['revoke', '-d', cluster.database.url, `--${kind}`, id],
			]);
			assert.equal(stdout, `revoked: ${kind} ${id}\n`);
			await assertEnds(c);
		});

	it('nothing, when the transaction is rolled back', async () => {
		const user = unique('user');
		const tab = await openAt(0, user, token(user));
		const end = await cluster.database.hold(`SELECT parlance.revoke('user', '${user}')`);
		await end('ROLLBACK');
		const witness = unique('user');
		const c = await openAt(0, witness, token(witness));
		const gone = event(c.socket, 'disconnect');
		await cluster.sql(`SELECT parlance.revoke('user', '${witness}')`);
		await gone;
		await tab.ok('ping');
		await openAt(1, user, token(user));
	});

	it('while an instance is cut off from the database: as soon as it is back', async () => {
		const user = unique('user');
		const tab = await openAt(0, user, token(user));
		const gone = event(tab.socket, 'disconnect');
		cluster.nodes[0].link.down();
		await cluster.sql(`SELECT parlance.revoke('user', '${user}')`);
		cluster.nodes[0].link.up();
		// Its lease may have ended meanwhile; it does not come back either way.
		assert.match((await gone)[0], /^io server disconnect$/);
	});

	it('the answer that runs goes on to its end, and others hear it', async () => {
		const [owner, guest] = [unique('owner'), unique('guest')];
		const a = await openAt(0, owner, token(owner));
		const b = await openAt(1, guest, token(guest));
		const id = await a.create();
		await a.ok('conversation:share', { conversationId: id, userId: guest, role: 'viewer' });
		await b.ok('join:conversation', id);
		await a.ok('message:send', { conversationId: id, content: 'hello' });
		await b.next('message:chunk');
		const gone = event(a.socket, 'disconnect');
		await cluster.sql(`SELECT parlance.revoke('user', '${owner}')`);
		await gone;
		const { assistantMessage } = await b.next('message:complete');
		assert.equal(assistantMessage.status, 'complete');
	});

	it('is logged: how many, and how many sockets ended; and who is refused', async () => {
		const user = unique('user');
		const given = token(user, { claims: { jti: unique('token') } });
		await openAt(0, user, given);
		await cluster.sql(`SELECT parlance.revoke('user', '${user}')`);
		const log = () => cluster.nodes[0].daemon.stderr;
		await until(() => /notice audit: tokens were revoked revoked=\d+ sockets=1/.test(log()), 'the line');
		assert.equal(await refused(0, user, given), 'UNAUTHENTICATED');
		await until(
			() => /notice audit: a client was refused address=127\.0\.0\.1 .*revoked/.test(log()),
			'the other line',
		);
		assert.ok(!log().includes(given.split('.')[2]));
	});
});
