// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Signing in: issuers with key sets of their own that change while the daemon runs, what listeners
// demand, and a service that is asked about each token.

import assert from 'node:assert/strict';
import { createSign, generateKeyPairSync, sign } from 'node:crypto';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';
import { Daemon, Database, Tab, token } from './lib/chat.mjs';
import { Cluster } from './lib/cluster.mjs';
import { get, handshake, post } from './lib/http.mjs';
import { each, event, turn, until } from './lib/util.mjs';

const A = 'https://a.example';
const B = 'https://b.example';
const POLLING = '/socket.io/';
const CROWD = 30;

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

// A key of an issuer: its JWK and the tokens that it signs.
class Key {
	constructor(kid, alg) {
		this.kid = kid;
		this.alg = alg;
		const pair =
			alg === 'EdDSA'
				? generateKeyPairSync('ed25519')
				: generateKeyPairSync('ec', { namedCurve: 'P-256' });
		this.private = pair.privateKey;
		this.jwk = { ...pair.publicKey.export({ format: 'jwk' }), kid, use: 'sig', alg };
	}

	token(user, iss, claims = {}) {
		const exp = Math.floor(Date.now() / 1000) + 3600;
		const body = { sub: user, iss, exp, ...claims };
		const text = `${base64url({ alg: this.alg, kid: this.kid })}.${base64url(body)}`;
		const signature =
			this.alg === 'EdDSA'
				? sign(null, Buffer.from(text), this.private)
				: createSign('sha256')
						.update(text)
						.sign({ key: this.private, dsaEncoding: 'ieee-p1363' });
		return `${text}.${signature.toString('base64url')}`;
	}
}

// A service of the issuers: `answer(request, body)` says { status, headers, body }.
class Web {
	requests = [];

	static async start(answer) {
		const web = new Web();
		web.answer = answer;
		web.server = http.createServer(async (request, response) => {
			const chunks = [];
			for await (const chunk of request) chunks.push(chunk);
			const body = Buffer.concat(chunks).toString();
			web.requests.push({ url: request.url, headers: request.headers, body });
			const { status = 200, headers = {}, body: text = '' } = await web.answer(request, body);
			response.writeHead(status, headers).end(text);
		});
		web.server.listen(0, '127.0.0.1');
		await event(web.server, 'listening');
		web.url = `http://127.0.0.1:${web.server.address().port}`;
		return web;
	}

	async stop() {
		const closed = event(this.server, 'close');
		this.server.close();
		this.server.closeAllConnections();
		await closed;
	}
}

// 'in', the code of the refusal, or 'away': the connection was closed, which says come again.
async function enter(place, text) {
	const tab = await Tab.open(place, 'u', { auth: { token: text }, ready: false });
	// A refused client closes the connection itself, just before it says that it was refused.
	const away = new Promise((resolve) =>
		tab.socket.io.on('close', () => turn().then(() => resolve('away'))),
	);
	const refused = new Promise((resolve) =>
		tab.socket.on('connect_error', (error) => resolve(error.data?.code ?? error.message)),
	);
	const ready = tab.next('session:ready').then(() => 'in');
	ready.catch(() => {});
	const outcome = await Promise.race([ready, refused, away]);
	await tab.close();
	return outcome;
}

describe('issuers', () => {
	let database;
	let web;
	let daemon;
	let partner;
	const a1 = new Key('k', 'ES256');
	const a2 = new Key('next', 'ES256');
	const b = new Key('k', 'EdDSA'); // the same id as that of the other issuer
	const sets = { '/a': [a1.jwk], '/b': [b.jwk] };
	const fetched = (path) => web.requests.filter(({ url }) => url === path).length;

	before(async () => {
		database = await Database.start();
		web = await Web.start(({ url }) =>
			sets[url] ? { body: JSON.stringify({ keys: sets[url] }) } : { status: 500 },
		);
		daemon = await Daemon.start({
			database,
			env: { JWT_ACCESS_SECRET: '' },
			set: {
				'auth_jwt.algorithms': 'ES256, EdDSA',
				'auth_jwt.jwks': `${A} ${web.url}/a, ${B} ${web.url}/b`,
				'auth_jwt.jwks_retry_s': 1,
				'listener.partner.address': '127.0.0.1:0',
				'listener.partner.issuer': B,
				'listener.partner.audience': 'partner',
			},
		});
		partner = { url: `http://127.0.0.1:${daemon.ports.partner}` };
	});
	after(() => each(() => daemon?.stop(), () => web?.stop(), () => database?.stop()));

	it('each lets its own users in, with its own keys', async () => {
		assert.equal(await enter(daemon, a1.token('u', A)), 'in');
		assert.equal(await enter(daemon, b.token('u', B)), 'in');
		assert.equal(await enter(daemon, a1.token('u', B)), 'UNAUTHENTICATED');
		assert.equal(await enter(daemon, b.token('u', A)), 'UNAUTHENTICATED');
		assert.equal(await enter(daemon, a1.token('u', 'https://c.example')), 'UNAUTHENTICATED');
		assert.equal(await enter(daemon, token('u')), 'UNAUTHENTICATED');
		assert.equal(await enter(daemon, b.token('u', B, { exp: 1 })), 'TOKEN_EXPIRED');
	});

	it('a listener demands more', async () => {
		assert.equal(await enter(partner, b.token('u', B, { aud: 'partner' })), 'in');
		assert.equal(await enter(partner, b.token('u', B, { aud: ['x', 'partner'] })), 'in');
		assert.equal(await enter(partner, b.token('u', B)), 'UNAUTHENTICATED');
		assert.equal(await enter(partner, b.token('u', B, { aud: 'other' })), 'UNAUTHENTICATED');
		assert.equal(await enter(partner, a1.token('u', A, { aud: 'partner' })), 'UNAUTHENTICATED');
	});

	it('and goes on demanding when the socket connects again', async () => {
		const polling = await handshake(`${partner.url}${POLLING}`);
		const say = (text) => post(polling.url, text);
		// Packets of one payload are separated by the record separator.
		const hear = async () => {
			const { status, text } = await get(polling.url);
			return status === 200 ? text.split('\x1e') : [String(status)];
		};
		const connect = (text) => say(`40${JSON.stringify({ token: text })}`);
		const heard = async (prefix) => {
			for (;;) {
				const packet = (await hear()).find((p) => p.startsWith(prefix) || /^\d{3}$/.test(p));
				if (packet) return packet;
			}
		};
		await connect(b.token('u', B, { aud: 'partner' }));
		assert.match(await heard('40'), /^40/);
		await say('41');
		await connect(b.token('u', B));
		assert.match(await heard('44'), /UNAUTHENTICATED/);
	});

	it('a session cannot be used by another door', async () => {
		for (const [from, to] of [
			[daemon, partner],
			[partner, daemon],
		]) {
			const { sid } = await handshake(`${from.url}${POLLING}`);
			const query = `${POLLING}?EIO=4&transport=polling&sid=${sid}`;
			const refused = await post(`${to.url}${query}`, '40');
			assert.equal(refused.status, 400);
			assert.deepEqual(JSON.parse(refused.text).code, 1);
			assert.equal((await post(`${from.url}${query}`, '41')).status, 200);
		}
	});

	it('a key is replaced while it runs, and a crowd makes one fetch', async () => {
		sets['/a'] = [a2.jwk];
		await until(async () => (await enter(daemon, a2.token('u', A))) === 'in', 'the new key');
		assert.equal(await enter(daemon, a1.token('u', A)), 'UNAUTHENTICATED');
		const unknown = new Key('unknown', 'ES256');
		const before = fetched('/b');
		const start = performance.now();
		const outcomes = await Promise.all(
			Array.from({ length: CROWD }, () => enter(daemon, unknown.token('u', B))),
		);
		const allowed = 1 + Math.floor((performance.now() - start) / 1000);
		assert.deepEqual(new Set(outcomes), new Set(['UNAUTHENTICATED']));
		assert.ok(fetched('/b') - before <= allowed, `${fetched('/b') - before} fetches`);
	});

	it('users get in while the issuer is away, but not with keys that nobody knows', async () => {
		const kept = sets['/b'];
		delete sets['/b'];
		const unknown = new Key('unknown', 'EdDSA');
		// Not refused: the daemon cannot tell, and has the client come again.
		await until(
			async () => (await enter(daemon, unknown.token('u', B))) === 'away',
			'the failure',
		);
		assert.equal(await enter(daemon, b.token('u', B)), 'in');
		sets['/b'] = [...kept, unknown.jwk];
		await until(
			async () => (await enter(daemon, unknown.token('u', B))) === 'in',
			'the end of the failure',
		);
	});

	it('no token is in the log', () => {
		assert.doesNotMatch(daemon.stderr, /eyJ/);
	});
});

describe('auth_http', () => {
	let database;
	let web;
	let daemon;
	let answer;

	before(async () => {
		database = await Database.start();
		web = await Web.start((...args) => answer(...args));
		daemon = await Daemon.start({
			database,
			set: {
				'plugins.load': 'auth_http, storage_pgsql, provider_demo',
				'auth_http.url': `${web.url}/whoami`,
				'auth_http.denied_cache_s': 0,
			},
		});
	});
	after(() => each(() => daemon?.stop(), () => web?.stop(), () => database?.stop()));

	const whoami = ({ headers }) => {
		const bearer = headers.authorization?.replace('Bearer ', '');
		if (bearer?.startsWith('session-'))
			return { body: JSON.stringify({ userId: bearer.slice(8), sessionId: bearer }) };
		return bearer === 'old'
			? { status: 401, body: '{"expired":true}' }
			: { status: 401 };
	};

	it('asks who the bearer is, once', async () => {
		answer = whoami;
		const tab = await Tab.open(daemon, 'alice', { auth: { token: 'session-alice' } });
		const ready = await tab.next('session:ready');
		assert.equal(ready.userId, 'alice');
		await tab.close();
		assert.equal(await enter(daemon, 'session-alice'), 'in');
		assert.equal(web.requests.length, 1);
		assert.deepEqual(JSON.parse(web.requests[0].body).address, '127.0.0.1');
	});

	it('refuses what the service refuses', async () => {
		assert.equal(await enter(daemon, 'nonsense'), 'UNAUTHENTICATED');
		assert.equal(await enter(daemon, 'old'), 'TOKEN_EXPIRED');
		assert.equal(await enter(daemon, 'two words'), 'UNAUTHENTICATED');
	});

	it('has clients come again while the service is away', async () => {
		answer = () => ({ status: 503 });
		const tab = await Tab.open(daemon, 'bob', {
			auth: { token: 'session-bob' },
			// Not while it upgrades: a client whose probe is closed then waits for its heartbeat.
			options: {
				transports: ['websocket'],
				reconnection: true,
				reconnectionDelay: 50,
				reconnectionDelayMax: 100,
			},
			ready: false,
		});
		const errors = [];
		tab.socket.on('connect_error', (error) => errors.push(error));
		const asked = () => web.requests.filter((r) => r.headers.authorization?.endsWith('bob'));
		await until(() => asked().length >= 2, 'the client comes again');
		answer = whoami;
		assert.equal((await tab.next('session:ready')).userId, 'bob');
		assert.deepEqual(errors.filter((error) => error.data), []);
		await tab.close();
	});

	it('no token is in the log', () => {
		assert.doesNotMatch(daemon.stderr, /session-|nonsense|two words/);
	});
});

describe('several instances', () => {
	let cluster;

	before(async () => {
		cluster = await Cluster.start({
			n: 2,
			set: {
				'listener.partner.address': '127.0.0.1:0',
				'listener.partner.audience': 'partner',
			},
		});
	});
	after(() => cluster?.stop());

	it('a session is found by another instance through a door of the same kind alone', async () => {
		const [first, second] = cluster.nodes.map(({ daemon }) => daemon);
		const query = ({ sid }) => `${POLLING}?EIO=4&transport=polling&sid=${sid}`;
		const at = (daemon, name) => `http://127.0.0.1:${daemon.ports[name]}`;
		const status = async (url) => (await post(url, '41')).status;

		const strict = await handshake(`${at(first, 'partner')}${POLLING}`);
		const lax = await handshake(`${at(first, 'main')}${POLLING}`);
		// Until it knows where the first one is, the second says that there is no such session.
		await until(
			async () => (await status(`${at(second, 'main')}${query(lax)}`)) === 200,
			'the instances know each other',
		);
		assert.equal(await status(`${at(second, 'main')}${query(strict)}`), 400);
		assert.equal(await status(`${at(second, 'partner')}${query(strict)}`), 200);
		assert.equal(await status(`${at(second, 'partner')}${query(lax)}`), 400);
		assert.equal(await status(`${at(first, 'main')}${query(strict)}`), 400);
		assert.equal(await status(`${at(first, 'peer')}${query(strict)}`), 400);
	});
});
