// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Several servers behind a load balancer without sticky sessions: whoever gets a request for a
// session of another server passes it on.

import assert from 'node:assert/strict';
import { createHmac, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { io } from 'socket.io-client';
import { Balancer } from './lib/balancer.mjs';
import { makeCertificate } from './lib/cert.mjs';
import { begin, get, handshake, post } from './lib/http.mjs';
import { Raw, postRequest, request, upgradeRequest } from './lib/raw.mjs';
import { Server, freePort } from './lib/server.mjs';
import { Socket } from './lib/socket.mjs';
import { event, until, within } from './lib/util.mjs';
import { RawSocket, TEXT } from './lib/ws.mjs';

const PATH = '/engine.io/';
const SECRET = randomBytes(16).toString('hex');
const LARGE = 900000;
const LARGE_BINARY_POST = 700000; // in base64 under 1,000,000 bytes
const UNKNOWN = { code: 1, message: 'Session ID unknown' };

const TRANSPORTS = {
	'websocket only': ['websocket'],
	'polling only': ['polling'],
	'polling, then upgrade': ['polling', 'websocket'],
};

let folder;
let sockets = 0;

before(() => {
	folder = mkdtempSync(join(tmpdir(), 'forward-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function start(t, options) {
	const server = await Server.start(options);
	t.after(() => server.stop());
	return server;
}

const instance = (number, ...more) => ['--number', number, '--secret', SECRET, ...more].map(String);

// Servers 1 and 2, each the other's peer, over TCP or Unix sockets. set and more: of both; args and
// sets: of each.
async function pair(t, { unix, set = {}, sets = [{}, {}], args = [[], []], ...more } = {}) {
	const ports = unix ? [0, 0] : [await freePort(), await freePort()];
	const addresses = ports.map((port) =>
		unix ? `unix:${join(folder, `${++sockets}.sock`)}` : `127.0.0.1:${port}`,
	);
	return Promise.all(
		[0, 1].map((i) =>
			start(t, {
				port: null,
				set: {
					// The first, whose port the server tells.
					'listener.address': `127.0.0.1:${ports[i]}`,
					...(unix && { 'listener.link.address': addresses[i] }),
					...set,
					...sets[i],
				},
				args: instance(i + 1, '--peer', `${2 - i}=${addresses[1 - i]}`, ...args[i]),
				...more,
			}),
		),
	);
}

// A session opened on `home`, whose requests go to `away`: { sid, url, target }.
async function astray(home, away, options) {
	const opened = await handshake(home.url + PATH, options);
	const target = `${PATH}?EIO=4&transport=polling&sid=${opened.sid}`;
	return { sid: opened.sid, url: away.url + target, target };
}

const upgradeTarget = (sid) => `${PATH}?EIO=4&transport=websocket&sid=${sid}`;

// The probe and the switch to WebSocket over a connection that `open` makes.
async function upgrade(socket) {
	await socket.send(TEXT, '2probe');
	await socket.message(TEXT, '3probe', 'the answer to the probe');
	await socket.send(TEXT, '5');
	return socket;
}

function assertUnknown({ status, text }) {
	assert.equal(status, 400);
	assert.deepEqual(JSON.parse(text), UNKNOWN);
}

// Nothing is left of what was passed on.
async function assertQuiet(...servers) {
	for (const server of servers)
		await until(async () => {
			const { forwarding, connections } = await server.counts();
			return forwarding === 0 && connections === 0;
		}, 'no connection is left');
}

// The header as an instance with the secret makes it.
function signed(method, target, options = {}) {
	const { secret = SECRET, from = 2, at = Date.now(), ip = '192.0.2.7', proto } = options;
	const value = `1;from=${from};at=${at};for=${ip};proto=${proto ?? 'https'}`;
	const mac = createHmac('sha256', secret)
		.update(`Parlance-Forwarded: ${value}\n${method} ${target}`)
		.digest('base64url');
	return `${value};mac=${mac}`;
}

function client(t, url, options) {
	const socket = io(url, { forceNew: true, reconnection: false, timeout: 10000, ...options });
	t.after(() => socket.disconnect());
	return socket;
}

const transportOf = (socket) => socket.io.engine.transport.name;

// n numbered messages, of which some are large or binary, come back once each and in order.
async function echoesInOrder(socket, n) {
	const back = [];
	const all = new Promise((resolve) => {
		socket.on('message-back', (i, data) => {
			back.push([i, data.length]);
			if (back.length >= n) resolve();
		});
	});
	const sent = [];
	const acks = [];
	for (let i = 0; i < n; i++) {
		const data = i % 10 === 9 ? Buffer.alloc(5000 * i, i) : 'x'.repeat(i * 7);
		sent.push([i, data.length]);
		socket.emit('message', i, data);
		acks.push(socket.timeout(20000).emitWithAck('message-with-ack', i));
		if (i % 5 === 0) await acks.at(-1); // so that there are many requests
	}
	assert.deepEqual(
		await Promise.all(acks),
		sent.map(([i]) => i),
	);
	await within(all, 20000, 'all messages to come back');
	assert.deepEqual(await socket.timeout(20000).emitWithAck('echo', 'last'), 'last');
	assert.deepEqual(back, sent);
}

for (const [name, transports] of Object.entries(TRANSPORTS)) {
	for (const unix of [false, true]) {
		const link = unix ? 'Unix sockets' : 'TCP';
		it(`${name}, instances linked by ${link}: nothing is lost or repeated`, async (t) => {
			const servers = await pair(t, { unix, pingInterval: 300, pingTimeout: 5000 });
			const balancer = await Balancer.start(
				t,
				servers.map(({ port }) => port),
			);
			const clients = [];
			for (let i = 0; i < 5; i++) clients.push(client(t, balancer.url, { transports }));
			await Promise.all(clients.map((socket) => event(socket, 'connect')));
			const ended = clients.map((socket) => event(socket, 'disconnect', 60000));
			await Promise.all(clients.map((socket) => echoesInOrder(socket, 40)));
			if (transports.includes('websocket'))
				for (const socket of clients)
					await until(() => transportOf(socket) === 'websocket', 'an upgrade');
			const counts = await Promise.all(servers.map((server) => server.counts()));
			assert.equal(counts[0].sessions + counts[1].sessions, clients.length);
			const forwarded = counts[0].forwarded + counts[1].forwarded;
			if (transports.includes('polling')) assert.ok(forwarded >= clients.length);
			else assert.equal(forwarded, 0);
			assert.equal(counts[0].failed + counts[1].failed, 0);
			for (const socket of clients) socket.disconnect();
			for (const [reason] of await Promise.all(ended))
				assert.equal(reason, 'io client disconnect');
			await until(async () => {
				const now = await Promise.all(servers.map((server) => server.counts()));
				return now.every(({ sessions, forwarding }) => !sessions && !forwarding);
			}, 'the end of all sessions');
		});
	}
}

it('many clients over few connections of a reverse proxy', async (t) => {
	const servers = await pair(t);
	const ports = servers.map(({ port }) => port);
	const balancer = await Balancer.start(t, ports);
	const clients = [];
	for (let i = 0; i < 24; i++)
		clients.push(client(t, balancer.url, { transports: ['polling'] }));
	await Promise.all(clients.map((socket) => event(socket, 'connect')));
	await Promise.all(clients.map((socket) => echoesInOrder(socket, 12)));
	assert.ok(balancer.requests > balancer.connections, 'connections are used again');
	for (const socket of clients) socket.disconnect();
});

describe('a session whose requests all go to the other instance', () => {
	const engine = { engine: true, pingInterval: 400, pingTimeout: 4000 };

	it('polls and posts, large too, and lives by its heartbeat', async (t) => {
		const [home, away] = await pair(t, engine);
		const { url } = await astray(home, away);
		// On a busy machine a ping may come before it, or with it.
		const next = async () => {
			for (;;) {
				const packets = (await get(url)).text.split('\x1e');
				const rest = packets.filter((packet) => packet !== '2');
				if (rest.length < packets.length) await post(url, '3');
				if (rest.length) return rest.join('\x1e');
			}
		};
		const texts = ['4small', `4${'y'.repeat(LARGE)}`];
		for (const text of texts) {
			const posted = await post(url, text);
			assert.deepEqual([posted.status, posted.text], [200, 'ok']);
			assert.equal(await next(), text);
		}
		const binary = Buffer.alloc(LARGE_BINARY_POST, 0xc3).toString('base64');
		assert.equal((await post(url, `b${binary}`)).text, 'ok');
		assert.equal(await next(), `b${binary}`);
		for (let i = 0; i < 3; i++) {
			assert.equal((await get(url)).text, '2');
			assert.equal((await post(url, '3')).text, 'ok');
		}
		assert.equal((await post(url, '1')).text, 'ok');
		assertUnknown(await get(url));
		await assertQuiet(home, away);
	});

	it('is ended when no pong comes', async (t) => {
		const [home, away] = await pair(t, { ...engine, pingTimeout: 300 });
		const { url } = await astray(home, away);
		assert.equal((await get(url)).text, '2');
		assert.equal((await get(url)).text, '1');
		assertUnknown(await get(url));
	});

	it('upgrades, and carries large messages both ways', async (t) => {
		const [home, away] = await pair(t, engine);
		const { sid } = await astray(home, away);
		const socket = await Socket.open(away.wsUrl + upgradeTarget(sid));
		socket.send('2probe');
		assert.equal(await socket.next('the answer to the probe'), '3probe');
		socket.send('5');
		for (const message of [
			'4small',
			`4${'x'.repeat(LARGE)}`,
			Buffer.alloc(LARGE, 0xc3),
			...Array.from({ length: 100 }, (_, i) => `4${'z'.repeat(i * 1000)}`),
		]) {
			socket.send(message);
			assert.deepEqual(await socket.nextData(), message);
		}
		await socket.close();
		await until(async () => (await home.counts()).sessions === 0, 'the end of the session');
		await assertQuiet(home, away);
	});

	it('takes frames that come with the request to upgrade', async (t) => {
		const [home, away] = await pair(t, engine);
		const { sid } = await astray(home, away);
		const glued = Buffer.from([0x81, 0x86, 0, 0, 0, 0, ...Buffer.from('2probe')]);
		const socket = await RawSocket.open(away, upgradeTarget(sid), { glued });
		await socket.message(TEXT, '3probe', 'the answer to the probe');
		socket.destroy();
	});

	it('is told of by the owner, byte for byte', async (t) => {
		const servers = await pair(t, {
			engine: true,
			set: { 'cors.origins': 'https://app.example' },
		});
		const { target } = await astray(...servers);
		const headers = { Origin: 'https://app.example' };
		const wrong = target.replace('EIO=4', 'EIO=3');
		for (const what of [postRequest(target, 'nonsense', headers), request('GET', wrong)]) {
			const answers = [];
			for (const server of servers) {
				const { target: own } = await astray(...servers);
				const raw = await Raw.connect(server.port);
				raw.write(what.replace(/sid=[^ ]*/, /sid=[^ ]*/.exec(own)[0]));
				answers.push(await raw.answer());
				raw.destroy();
			}
			for (const { headers: got } of answers) delete got.connection;
			assert.deepEqual(answers[0], answers[1]);
			assert.equal(answers[0].status, 400);
		}
	});

	it('keeps nobody else on the connection', async (t) => {
		const [home, away] = await pair(t, engine);
		const { target } = await astray(home, away);
		const raw = await Raw.connect(away.port);
		raw.write(postRequest(target, '4a') + request('GET', `${PATH}?EIO=4&transport=polling`));
		const answers = await raw.answers();
		assert.equal(answers.length, 1, 'what comes behind is not taken');
		assert.equal(answers[0].text, 'ok');
		assert.equal(answers[0].headers.connection, 'close');
		// Nor after an upgrade that was refused.
		const { sid } = await astray(home, away);
		const again = await Raw.connect(away.port);
		again.write(upgradeRequest(upgradeTarget(sid).replace('EIO=4', 'EIO=4&b64=%00')));
		assert.equal((await again.answer()).status, 400);
		const refused = await Raw.connect(away.port);
		await post(away.url + target, '1');
		refused.write(upgradeRequest(upgradeTarget(/sid=(.*)$/.exec(target)[1])));
		const [answer, ...more] = await refused.answers();
		assertUnknown(answer);
		assert.equal(answer.headers.connection, 'close');
		assert.equal(more.length, 0);
	});

	it('ends when the client leaves in the middle of a poll', async (t) => {
		const [home, away] = await pair(t, { engine: true });
		for (const leave of ['end', 'destroy', 'reset']) {
			const { url, target } = await astray(home, away);
			const raw = await Raw.connect(away.port);
			raw.write(request('GET', target));
			await until(
				async () => (await away.counts()).forwarding === 1,
				'the poll to be passed on',
			);
			// Held by the owner: a second poll would be refused and end the session.
			await until(async () => (await home.counts()).connections === 1, 'the held poll');
			raw[leave]();
			await until(async () => (await home.counts()).sessions === 0, 'the end');
			assertUnknown(await get(url));
			raw.destroy();
			await assertQuiet(home, away);
		}
	});

	it('of a client that does not read waits at its owner', async (t) => {
		const [home, away] = await pair(t, { engine: true });
		const { sid } = await astray(home, away);
		const socket = await upgrade(await RawSocket.open(away, upgradeTarget(sid)));
		await socket.send(TEXT, '4begun');
		await socket.message(TEXT, '4begun');
		const before = [home, away].map((server) => server.residentKib());
		socket.raw.pause();
		const message = (i) => `4${String(i).padStart(4, '0')}${'s'.repeat(400000)}`;
		let written = 0;
		const writes = [];
		for (let i = 0; i < 60; i++)
			writes.push(socket.send(TEXT, message(i)).then(() => written++));
		// Everything between us and the owner is full when no more is taken.
		let last = -1;
		await until(async () => {
			const load = await away.load(300);
			const stuck = written === last && load < 0.1;
			last = written;
			return stuck;
		}, 'the writes to stall');
		assert.ok(written < 60, 'somebody holds all that was sent');
		[home, away].forEach((server, i) =>
			assert.ok(server.residentKib() - before[i] < 16 * 1024, 'memory is bounded'),
		);
		socket.raw.resume();
		for (let i = 0; i < 60; i++) await socket.message(TEXT, message(i), `message ${i}`);
		await Promise.all(writes);
		socket.destroy();
	});
});

describe('an instance that is gone', () => {
	it('ends its sessions, and clients come back to another', async (t) => {
		const servers = await pair(t, { engine: false });
		const ports = servers.map(({ port }) => port);
		const balancer = await Balancer.start(t, ports, (url) =>
			// The handshake to the first, all else to the last that lives.
			/sid=/.test(url) ? ports.at(-1) : ports[0],
		);
		const clients = Object.values(TRANSPORTS)
			.filter((transports) => transports[0] === 'polling')
			.map((transports) =>
				client(t, balancer.url, {
					transports,
					reconnection: true,
					reconnectionDelay: 50,
					reconnectionDelayMax: 100,
				}),
			);
		await Promise.all(clients.map((socket) => event(socket, 'connect')));
		await until(() => transportOf(clients[1]) === 'websocket', 'the upgrade');
		// The poll of the one may be between two.
		const both = async () => (await servers[1].counts()).forwarding >= 2;
		await until(both, 'a request of each');
		const again = clients.map(async (socket) => {
			await event(socket, 'disconnect');
			await event(socket, 'connect', 20000);
		});
		await servers[0].kill();
		ports.shift();
		await Promise.all(again);
		for (const socket of clients)
			assert.equal(await socket.timeout(10000).emitWithAck('echo', 'here'), 'here');
		const { sessions, forwarding } = await servers[1].counts();
		assert.deepEqual({ sessions, forwarding }, { sessions: 2, forwarding: 0 });
	});

	it('is answered for as for a dead session', async (t) => {
		const set = { 'cors.origins': 'https://app.example' };
		const [home, away] = await pair(t, { engine: true, set });
		const { sid, url } = await astray(home, away);
		const headers = { Origin: 'https://app.example' };
		const held = begin(url, { headers });
		await until(async () => (await home.counts()).connections === 1, 'the held poll');
		await home.kill();
		for (const answer of [
			await held.done,
			await get(url, { headers }),
			await post(url, '4lost', { headers }),
		]) {
			assertUnknown(answer);
			assert.equal(answer.headers['access-control-allow-origin'], headers.Origin);
		}
		const raw = await Raw.connect(away.port);
		raw.write(upgradeRequest(upgradeTarget(sid)));
		assertUnknown(await raw.answer());
		assert.match(away.stderr, /forward: request for a session of another instance failed/);
		assert.equal((await away.counts()).failed, 4);
		raw.destroy();
		await assertQuiet(away);
	});

	it('that passes requests on ends their connections', async (t) => {
		const [home, away] = await pair(t, { engine: true });
		const polling = await astray(home, away);
		const raw = await Raw.connect(away.port);
		raw.write(request('GET', polling.target));
		const { sid } = await astray(home, away);
		const socket = await upgrade(await RawSocket.open(away, upgradeTarget(sid)));
		await socket.send(TEXT, '4x');
		await socket.message(TEXT, '4x');
		await until(async () => (await away.counts()).forwarding === 2, 'both to be passed on');
		const before = performance.now();
		await away.stop();
		assert.ok(performance.now() - before < 2500, 'it does not wait for them');
		await raw.ended();
		await socket.raw.ended();
		await until(async () => (await home.counts()).sessions === 0, 'the end of both sessions');
	});
});

// A listener in the place of instance 2.
async function impostor(t, serve) {
	const peer = net.createServer({ allowHalfOpen: true }, serve);
	peer.listen(0, '127.0.0.1');
	await event(peer, 'listening');
	t.after(() => peer.close());
	return peer.address().port;
}

const sidOf = (number) => `${randomBytes(16).toString('base64url')}.${number}`;
const pollOf = (number) => `${PATH}?EIO=4&transport=polling&sid=${sidOf(number)}`;

describe('what an instance passes on', () => {
	const collect = async (t, more = {}) => {
		const heads = [];
		const port = await impostor(t, (socket) => {
			let text = '';
			socket.on('error', () => {});
			socket.on('data', (data) => {
				text += data.toString('latin1');
				if (!text.includes('\r\n\r\n')) return;
				heads.push(text);
				socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi');
			});
		});
		const args = instance(1, '--peer', `2=127.0.0.1:${port}`);
		return [await start(t, { engine: true, args, ...more }), heads];
	};

	function fields(head) {
		const [line, ...lines] = head.slice(0, head.indexOf('\r\n\r\n')).split('\r\n');
		return [
			line,
			Object.fromEntries(lines.map((l) => l.toLowerCase().split(': ', 2))),
			lines.find((l) => l.startsWith('Parlance-Forwarded: '))?.slice(20),
		];
	}

	it('is one request, for its connection, without what admits the client', async (t) => {
		const [server, heads] = await collect(t);
		const target = pollOf(2);
		for (const [what, connection] of [
			[request, 'close'],
			[(_, to, headers) => upgradeRequest(to.replace('polling', 'websocket'), headers)],
		]) {
			const raw = await Raw.connect(server.port);
			raw.write(
				what('GET', target, {
					Cookie: 'secret=1',
					Authorization: 'Bearer secret',
					'X-Forwarded-For': '198.51.100.1',
					'User-Agent': 'test',
				}),
			);
			assert.equal((await raw.answer()).text, 'hi');
			await raw.ended();
			const [line, got, value] = fields(heads.at(-1));
			const to = connection ? target : target.replace('polling', 'websocket');
			assert.equal(line, `GET ${to} HTTP/1.1`);
			assert.equal(got.connection, connection ?? 'upgrade, close');
			assert.equal(got.host, 'test');
			assert.equal(got['user-agent'], 'test');
			for (const name of ['cookie', 'authorization', 'x-forwarded-for'])
				assert.equal(got[name], undefined, name);
			const [, from, at, ip, proto] =
				/^1;from=(\d+);at=(\d+);for=([^;]*);proto=(\w+);mac=[\w-]{43}$/.exec(value);
			assert.ok(Math.abs(Date.now() - Number(at)) < 10000);
			assert.deepEqual([from, ip, proto], ['1', '127.0.0.1', 'http']);
			assert.equal(value, signed('GET', to, { from, at, ip, proto }));
		}
	});

	it('names the client and the scheme behind trusted proxies', async (t) => {
		const [server, heads] = await collect(t, {
			set: { 'limits.trusted_proxies': '127.0.0.1' },
		});
		const headers = { 'X-Forwarded-For': '2001:db8::7', 'X-Forwarded-Proto': 'https' };
		assert.equal((await get(server.url + pollOf(2), { headers })).text, 'hi');
		assert.match(fields(heads[0])[2], /;for=2001:db8::7;proto=https;/);
	});

	it('has no more than a request of that size may have', async (t) => {
		const [server, heads] = await collect(t, { set: { 'limits.max_header_bytes': 1024 } });
		const long = `${pollOf(2)}&x=${'x'.repeat(850)}`;
		assert.equal((await get(server.url + long)).status, 431);
		assert.equal(heads.length, 0);
	});

	it('is refused here when the owner would refuse it', async (t) => {
		const set = { 'engine.max_payload_bytes': 1024, 'cors.origins': 'https://app.example' };
		const [server, heads] = await collect(t, { set });
		const url = server.url + pollOf(2);
		assert.equal((await post(url, 'x'.repeat(1025))).status, 413);
		assert.equal((await get(url, { headers: { Origin: 'https://x.test' } })).status, 403);
		assert.equal((await get(url.replace('EIO=4', 'EIO=3'))).status, 400);
		assert.equal((await begin(url, { method: 'DELETE' }).done).status, 400);
		assert.equal(heads.length, 0);
	});

	it('cut by the owner is no whole answer', async (t) => {
		const port = await impostor(t, (socket) => {
			socket.on('error', () => {});
			socket.once('data', () =>
				socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut'),
			);
		});
		const args = instance(1, '--peer', `2=127.0.0.1:${port}`);
		const server = await start(t, { engine: true, args });
		await assert.rejects(get(server.url + pollOf(2)), { code: 'ECONNRESET' });
	});

	it('and is not answered ends in time', async (t) => {
		const port = await impostor(t, (socket) => socket.on('error', () => {}).resume());
		const server = await start(t, {
			engine: true,
			pingInterval: 200,
			pingTimeout: 200,
			set: { 'limits.header_timeout_ms': 200, 'limits.body_timeout_ms': 200 },
			args: instance(1, '--peer', `2=127.0.0.1:${port}`),
		});
		assertUnknown(await get(server.url + pollOf(2)));
		assertUnknown(await post(server.url + pollOf(2), '4x'));
		const raw = await Raw.connect(server.port);
		raw.write(upgradeRequest(upgradeTarget(sidOf(2))));
		assertUnknown(await raw.answer());
		const slow = await Raw.connect(server.port);
		slow.write(postRequest(pollOf(2), '4x', { 'Content-Length': 100 }));
		assertUnknown(await slow.answer());
		for (const each of [raw, slow]) each.destroy();
		await assertQuiet(server);
	});

	it('is bounded by the limit of connections', async (t) => {
		const port = await impostor(t, (socket) => socket.on('error', () => {}).resume());
		const server = await start(t, {
			engine: true,
			set: { 'limits.max_connections': 4 },
			args: instance(1, '--peer', `2=127.0.0.1:${port}`),
		});
		const held = [];
		for (let i = 1; i <= 2; i++) {
			held.push(await Raw.connect(server.port));
			held.at(-1).write(request('GET', pollOf(2)));
			await until(
				async () => (await server.counts()).forwarding === i,
				'the poll to be passed on',
			);
		}
		// Two clients and their two connections onwards: the fifth is in the margin of one.
		const { status } = await get(server.url + pollOf(2));
		assert.equal(status, 503);
		for (const raw of held) raw.destroy();
		await assertQuiet(server);
	});
});

describe('the header of instances', () => {
	const page = { Origin: 'https://test', Host: 'test' };

	// Only who is known to have come by TLS is of the same origin as this page.
	async function believed(server, value, { method = 'GET', headers = {} } = {}) {
		const { sid } = await handshake(server.url + PATH);
		const target = `${PATH}?EIO=4&transport=polling&sid=${sid}`;
		const raw = await Raw.connect(server.port);
		const lines = { ...page, 'Parlance-Forwarded': value(target), ...headers };
		await post(server.url + target, '4x');
		raw.write(
			method === 'GET'
				? request('GET', target, lines)
				: postRequest(target, '4y', lines),
		);
		const { status } = await raw.answer();
		raw.destroy();
		assert.ok(status === 200 || status === 403, `status ${status}`);
		return status === 200;
	}

	it('is believed when it is right', async (t) => {
		const [server] = await pair(t, { engine: true });
		assert.ok(await believed(server, (target) => signed('GET', target)));
		assert.ok(
			await believed(server, (target) => signed('POST', target), { method: 'POST' }),
		);
		for (const ip of ['192.0.2.1', '2001:db8::1', 'unix'])
			assert.ok(await believed(server, (target) => signed('GET', target, { ip })), ip);
		for (const off of [-50000, 50000])
			assert.ok(
				await believed(server, (target) =>
					signed('GET', target, { at: Date.now() + off }),
				),
			);
		assert.equal(
			await believed(server, (target) => signed('GET', target, { proto: 'http' })),
			false,
			'the client did not speak TLS',
		);
	});

	it('forged, or sent again for something else or later, is ignored', async (t) => {
		const [server] = await pair(t, { engine: true });
		const forged = {
			'another secret': (to) => signed('GET', to, { secret: 'guessed' }),
			'an empty secret': (to) => signed('GET', to, { secret: '' }),
			'another session': () => signed('GET', pollOf(1)),
			'another method': (to) => signed('POST', to),
			'a minute ago': (to) => signed('GET', to, { at: Date.now() - 61000 }),
			'in a minute': (to) => signed('GET', to, { at: Date.now() + 65000 }),
			'another client': (to) => signed('GET', to).replace('192.0.2.7', '192.0.2.8'),
			'another scheme': (to) =>
				signed('GET', to, { proto: 'http' }).replace('http', 'https'),
			'no mac': (to) => signed('GET', to).replace(/;mac=.*/, ''),
			'a cut mac': (to) => signed('GET', to).slice(0, -1),
			'a longer mac': (to) => `${signed('GET', to)}A`,
			nothing: () => '',
			'another version': (to) => signed('GET', to).replace('1;', '2;'),
			'from nobody': (to) => signed('GET', to, { from: 0 }),
		};
		for (const [what, value] of Object.entries(forged))
			assert.equal(await believed(server, value), false, what);
		// Without that page the request is one like any other.
		const { url } = await handshake(server.url + PATH);
		const headers = { 'Parlance-Forwarded': 'anything' };
		assert.equal((await post(url, '4x', { headers })).text, 'ok');
		assert.equal((await get(url, { headers })).text, '4x');
	});

	it('is nothing to an instance without a secret', async (t) => {
		const server = await start(t, { engine: true });
		assert.equal(await believed(server, (to) => signed('GET', to)), false);
		assert.equal(await believed(server, (to) => signed('GET', to, { secret: '' })), false);
	});

	it('ends the way: nothing that has one is passed on', async (t) => {
		const [home, away] = await pair(t, { engine: true });
		const { url, target } = await astray(home, away);
		for (const value of [signed('GET', target, { from: 1 }), 'forged', ''])
			assertUnknown(await get(url, { headers: { 'Parlance-Forwarded': value } }));
		assert.equal((await away.counts()).forwarded, 0);
		assert.equal((await post(url, '4x')).text, 'ok');
	});

	it('tells whom the connections of an instance count for', async (t) => {
		const set = { 'limits.max_connections_per_address': 2 };
		const [home, away] = await pair(t, { engine: true, set });
		const held = [];
		for (let i = 0; i < 8; i++) {
			const from = { localAddress: `127.0.1.${i + 1}` };
			const { target } = await astray(home, away, from);
			held.push(await Raw.connect(away.port, from));
			held.at(-1).write(request('GET', target));
		}
		await until(
			async () => (await home.counts()).connections === 8,
			'the owner to hold all polls',
		);
		// From the address of the instance, but not in its name: two and one in the margin.
		const own = [];
		for (let i = 0; i < 4; i++) {
			const raw = await Raw.connect(home.port);
			raw.write(request('GET', '/nowhere'));
			own.push((await raw.answer())?.status);
			held.push(raw);
		}
		assert.deepEqual(own, [404, 404, 404, 503]);
		for (const raw of held) raw.destroy();
		await assertQuiet(home, away);
	});

	it('tells the scheme of a listener with TLS', async (t) => {
		const { cert, key, ca } = makeCertificate(folder);
		const port = await freePort();
		const [home, away] = await pair(t, {
			engine: true,
			sets: [
				{},
				{
					'listener.tls.address': `127.0.0.1:${port}`,
					'listener.tls.tls_cert': cert,
					'listener.tls.tls_key': key,
				},
			],
		});
		const { sid } = await handshake(home.url + PATH);
		// The owner has no TLS; still the page is of the same origin.
		const socket = await Socket.open(
			`wss://127.0.0.1:${port}${upgradeTarget(sid)}`,
			{ ca, origin: `https://127.0.0.1:${port}` },
		);
		socket.send('2probe');
		assert.equal(await socket.next('the answer to the probe'), '3probe');
		await socket.close();
		assert.equal((await away.counts()).forwarded, 1);
	});
});

describe('sids', () => {
	it('of an instance carry its number, others none', async (t) => {
		const [plain, numbered] = await Promise.all([
			start(t, { engine: true }),
			start(t, { engine: true, args: instance(46655) }),
		]);
		assert.match((await handshake(plain.url + PATH)).sid, /^[\w-]{22}$/);
		assert.match((await handshake(numbered.url + PATH)).sid, /^[\w-]{22}\.zzz$/);
	});

	it('that are wrong are unknown, and cost little', async (t) => {
		const [home, away] = await pair(t, { engine: true });
		const token = randomBytes(16).toString('base64url');
		for (const sid of [
			token,
			`${token}.`,
			`${token}.0`,
			`${token}.01`,
			`${token}.1 `,
			`${token}.A`,
			`${token}.3`,
			`${token}.2`,
			`${token}.${'z'.repeat(30)}`,
			`${token}x.1`,
			'.1',
			'1',
		])
			assertUnknown(
				await get(
					`${away.url}${PATH}?EIO=4&transport=polling&sid=${encodeURIComponent(sid)}`,
				),
			);
		assert.equal((await away.counts()).forwarded, 0);
		for (let i = 0; i < 300; i++) assertUnknown(await get(away.url + pollOf(1)));
		const { forwarded, failed } = await away.counts();
		assert.deepEqual({ forwarded, failed }, { forwarded: 300, failed: 0 });
		await assertQuiet(home, away);
		await Promise.all([home.becomesIdle(), away.becomesIdle()]);
	});

	it('stay valid when the instance gets another number', async (t) => {
		const [home, away] = await pair(t, {
			engine: true,
			args: [
				// The old number may still be listed, as of one that is dead.
				['--next-number', '35', '--peer', '1=127.0.0.1:1'],
				['--peer', '35=127.0.0.1:1'],
			],
		});
		const { url, sid } = await handshake(home.url + PATH);
		assert.match(sid, /\.1$/);
		await home.change();
		const later = await handshake(home.url + PATH);
		assert.match(later.sid, /\.z$/);
		for (const each of [url, later.url, url.replace(home.url, away.url)]) {
			assert.equal((await post(each, '4x')).text, 'ok');
			assert.equal((await get(each)).text, '4x');
		}
		assert.equal((await home.counts()).forwarded, 0);
	});
});

it('a peer without a numeric address is left out', async (t) => {
	const peers = ['2=localhost:1', '3=:1', '4=127.0.0.1', '5=unix:', '6=127.0.0.1:65536'];
	const args = instance(1, ...peers.flatMap((peer) => ['--peer', peer]));
	const server = await start(t, { engine: true, args });
	for (let i = 2; i <= 6; i++) assertUnknown(await get(server.url + pollOf(i)));
	assert.equal((await server.counts()).forwarded, 0);
	assert.equal(server.stderr.match(/forward: instance left out/g).length, 5);
});
