// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// What was wrong once, each with a server of its own.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { constants, inflateRawSync } from 'node:zlib';
import { makeCertificate } from './lib/cert.mjs';
import { get, handshake, post } from './lib/http.mjs';
import { Raw, request, upgradeRequest } from './lib/raw.mjs';
import { Server } from './lib/server.mjs';
import { Socket } from './lib/socket.mjs';
import { event, until, within } from './lib/util.mjs';
import { BINARY, CLOSE, PING, PONG, RawSocket, TEXT, closePayload, frame } from './lib/ws.mjs';

const PATH = '/socket.io/';
const OPEN = `${PATH}?EIO=4&transport=polling`;
const UPGRADE = `${PATH}?EIO=4&transport=websocket`;
const KB = 1000;
const HAVE_IPV6 = Object.values(networkInterfaces())
	.flat()
	.some(({ address }) => address === '::1');

let folder;
let certificate;

before(() => {
	folder = mkdtempSync(join(tmpdir(), 'regression-'));
	certificate = makeCertificate(folder);
});
after(() => rmSync(folder, { recursive: true, force: true }));

async function start(t, options) {
	const server = await Server.start(options);
	t.after(() => server.stop());
	return server;
}

// TCP for everybody, and a Unix socket, where the kernel takes little ahead of a slow reader.
const listeners = (path) => ({
	'listener.address': '127.0.0.1:0',
	'listener.local.address': `unix:${path}`,
});

const secureListener = () => ({
	'listener.tls_cert': certificate.cert,
	'listener.tls_key': certificate.key,
});

// A well-behaved client in the namespace "/", and in the room when one is given.
async function member(server, room) {
	const socket = await Socket.open(server.wsUrl + UPGRADE);
	assert.equal((await socket.next('the open packet'))[0], '0');
	socket.send('40');
	assert.match(await socket.nextData(), /^40\{/);
	assert.equal(await socket.nextData(), '42["auth",{}]');
	if (room) {
		socket.send(`420["join","${room}"]`);
		assert.equal(await socket.nextData(), '430[{"ok":true}]');
	}
	return socket;
}

async function echoes(socket) {
	socket.send('421["echo","fine"]');
	assert.equal(await socket.nextData('the answer to an echo'), '431["fine"]');
}

// The server runs, and a new client is served.
async function serves(server) {
	assert.ok(server.running, `the server is gone:\n${server.stderr.slice(-8000)}`);
	const socket = await member(server);
	await echoes(socket);
	await socket.close();
}

// Whether the session of a WebSocket is over. A poll on it is refused either way.
async function gone(server, sid) {
	const answer = await get(`${server.url}${OPEN}&sid=${sid}`);
	assert.equal(answer.status, 400);
	const { code } = JSON.parse(answer.text);
	assert.ok(code === 1 || code === 3, answer.text); // unknown sid, or a bad request
	return code === 1;
}

// The answer to one more request on a connection that is kept.
function ask(raw, target, headers) {
	raw.write(request('GET', target, headers));
	return raw.answer(`the answer to GET ${target}`);
}

const from = (...addresses) => ({ headers: { 'X-Forwarded-For': addresses } });

describe('a WebSocket that floods and never reads', () => {
	it('is given up, and may read then, when its session was over', async (t) => {
		const path = join(folder, 'flood.sock');
		const server = await start(t, {
			port: null,
			set: { ...listeners(path), 'engine.connect_timeout_ms': 300 },
		});
		const socket = await RawSocket.open(server, UPGRADE, { connect: { path } });
		const { sid } = await socket.opened();
		const packet = frame(TEXT, '40/a,'); // no such namespace: each is answered
		socket.raw.pause();
		const begun = performance.now();
		socket.raw.write(Buffer.alloc(packet.length * 200000, packet));
		await until(() => gone(server, sid), 'the end of the session');
		const lasted = performance.now() - begun;
		assert.ok(lasted > 3000, `after ${lasted} ms: nothing was left to be flushed`);
		socket.raw.resume();
		assert.match(String(await socket.raw.rest()), /44\/a,/);
		socket.destroy();
		await serves(server);
	});
});

describe('polling sessions of one connection', () => {
	async function fill(server, limit) {
		const raw = await Raw.connect(server.port);
		let sid;
		for (let i = 0; i < limit; i++) {
			const answer = await ask(raw, OPEN);
			assert.equal(answer.status, 200, `session ${i + 1}`);
			({ sid } = JSON.parse(answer.text.slice(1)));
		}
		const refused = await ask(raw, OPEN);
		assert.equal(refused.status, 503);
		assert.equal(refused.headers.connection, 'close');
		await raw.ended();
		assert.equal((await get(server.url + OPEN)).status, 503, 'from a new connection');
		const other = await Raw.connect(server.port);
		other.write(upgradeRequest(UPGRADE));
		assert.equal((await other.answer()).status, 503, 'a WebSocket');
		other.destroy();
		return `${server.url}${OPEN}&sid=${sid}`;
	}

	async function leaves(server, url) {
		assert.equal((await post(url, '1')).status, 200);
		assert.equal(
			(await get(server.url + OPEN)).status,
			200,
			'a place that became free',
		);
	}

	it('count against limits.max_connections', async (t) => {
		const server = await start(t, { set: { 'limits.max_connections': 5 } });
		await leaves(server, await fill(server, 5));
	});

	it('count against limits.max_connections_per_address', async (t) => {
		const server = await start(t, { set: { 'limits.max_connections_per_address': 3 } });
		const url = await fill(server, 3);
		const { status } = await get(server.url + OPEN, { localAddress: '127.0.0.2' });
		assert.equal(status, 200, 'another address');
		await leaves(server, url);
	});
});

describe('X-Forwarded-For on two lines', () => {
	it('names the client on the last', async (t) => {
		const server = await start(t, {
			set: {
				'limits.trusted_proxies': '127.0.0.1',
				'limits.handshakes_per_second_per_address': 1,
				'limits.handshake_burst_per_address': 3,
			},
		});
		const open = async (...addresses) =>
			(await get(server.url + OPEN, from(...addresses))).status;
		for (let i = 0; i < 20; i++)
			assert.equal(await open('203.0.113.1', `198.51.100.${i}`), 200);
		const statuses = [];
		for (let i = 0; i < 20; i++)
			statuses.push(await open(`198.51.100.${i + 100}`, '203.0.113.2'));
		assert.deepEqual(statuses.slice(0, 3), [200, 200, 200]);
		assert.ok(statuses.includes(429), `never refused: ${statuses}`);
		// The last line may be a proxy's of ours: then the line before counts.
		const proxied = [];
		for (let i = 0; i < 20; i++)
			proxied.push(
				await open(`198.51.100.${i + 200}`, '203.0.113.3', '127.0.0.1'),
			);
		assert.ok(proxied.includes(429), `never refused: ${proxied}`);
	});
});

describe('a WebSocket that reads slowly but steadily', () => {
	const SIP_MS = 25; // between two reads of at most 64 KiB
	const SIZE = 20 * KB;
	const COUNT = 150;
	const said = (n) => `42["said",${n},"${'x'.repeat(SIZE)}"]`;
	let settings = 0;

	// A member of the room.
	async function sipper(path, room) {
		const connection = net.connect({ path, allowHalfOpen: true });
		await event(connection, 'connect');
		const socket = new RawSocket(new Raw(connection));
		socket.pings = 0;
		socket.raw.write(upgradeRequest(UPGRADE));
		await socket.accepted();
		await socket.opened();
		socket.send(TEXT, '40');
		assert.match(await take(socket), /^40\{/);
		assert.equal(await take(socket), '42["auth",{}]');
		socket.send(TEXT, `420["join","${room}"]`);
		assert.equal(await take(socket), '430[{"ok":true}]');
		connection.on('data', () => {
			connection.pause();
			setTimeout(() => connection.resume(), SIP_MS);
		});
		return socket;
	}

	// Its next message; pings are answered when they have come.
	async function take(socket) {
		for (;;) {
			const got = await socket.frame('the next message');
			assert.ok(got, 'the connection ended');
			assert.equal(
				got.opcode,
				TEXT,
				`opcode, payload ${got.payload.toString('hex', 0, 40)}`,
			);
			const text = String(got.payload);
			if (text !== '2') return text;
			socket.pings++;
			socket.send(TEXT, '3');
		}
	}

	async function setting(t, options) {
		const path = join(folder, `slow-${++settings}.sock`);
		const set = { ...listeners(path), ...options.set };
		const server = await Server.start({ ...options, port: null, set });
		let slow;
		t.after(() => {
			slow?.destroy(); // what it has not read need not be flushed
			return server.stop();
		});
		slow = await sipper(path, 'r');
		const talker = await member(server);
		const say = (n) => talker.send(`42["say","r",${n},"${'x'.repeat(SIZE)}"]`);
		return { server, slow, say };
	}

	it('is not closed because pings lie behind much else', async (t) => {
		const { server, slow, say } = await setting(t, {
			pingInterval: 400,
			pingTimeout: 300,
		});
		for (let n = 0; n < COUNT; n++) say(n);
		const begun = performance.now();
		for (let n = 0; n < COUNT; n++) assert.equal(await take(slow), said(n));
		const lasted = performance.now() - begun;
		assert.ok(lasted > 400 + 300, `${lasted} ms: it did not read slowly`);
		slow.send(TEXT, '421["echo","awake"]');
		assert.equal(await take(slow), '431["awake"]');
		assert.ok(slow.pings > 0, 'no ping came');
		await serves(server);
	});

	it('is heard while there is always more to read', async (t) => {
		const { slow, say } = await setting(t, {
			set: { 'limits.queue_high_bytes': 1024 * 1024 },
		});
		let asked = 0;
		let answered = 0;
		let n = 0;
		let to = 0;
		while (answered < 2) {
			// 800 KB are under way: more than the kernel takes, below the high mark.
			while (to < n + 40) say(to++);
			const text = await take(slow);
			if (text === `43${asked}["question"]`) {
				answered++;
				continue;
			}
			assert.equal(text, said(n++));
			if (n > 10 && asked === answered)
				slow.send(TEXT, `42${++asked}["echo","question"]`);
			assert.ok(n < 200, `after ${n} messages ${answered} answers`);
		}
	});
});

describe('HEAD', () => {
	it('is answered without a body, and the next answer is the next', async (t) => {
		const server = await start(t);
		const { sid } = await handshake(server.url + PATH);
		const raw = await Raw.connect(server.port);
		for (const [target, status] of [
			['/x', 404],
			[OPEN, 400],
			[`${OPEN}&sid=${sid}`, 400],
			[`${PATH}?EIO=3&transport=polling`, 400],
		]) {
			raw.write(request('HEAD', target) + request('GET', OPEN));
			const none = await raw.answer(`the answer to HEAD ${target}`, undefined, {
				head: true,
			});
			assert.equal(none.status, status, target);
			const some = await raw.answer(`the answer behind HEAD ${target}`);
			assert.equal(some.status, 200, target);
			assert.match(some.text, /^0\{.*\}$/);
		}
		raw.destroy();
	});
});

describe('a session that the server closes while there is a probe', () => {
	for (const [name, packet] of [
		['silent', null],
		['answered', '2probe'],
	]) {
		it(`says its last words to the poller (the probe is ${name})`, async (t) => {
			const server = await start(t);
			const { sid, url } = await handshake(server.url + PATH);
			await post(url, '40');
			assert.match((await get(url)).text, /42\["auth",\{\}\]$/);
			const probe = await RawSocket.open(server, `${UPGRADE}&sid=${sid}`);
			if (packet) {
				probe.send(TEXT, packet);
				await probe.message(TEXT, '3probe');
			}
			const words = '42["message","last words"]\x1e42["kick",true]';
			assert.equal((await post(url, words)).text, 'ok');
			const last = await get(url);
			assert.equal(last.status, 200);
			assert.equal(last.text, '42["message-back","last words"]');
			assert.equal((await get(url)).text, '1');
			await probe.finishes('the end of the probe');
			assert.equal(
				JSON.parse((await get(url)).text).code,
				1,
				'the session is over',
			);
			await serves(server);
		});
	}
});

describe('compression', () => {
	it('of what does not compress leaves the frames whole', async (t) => {
		const server = await start(t, {
			engine: true,
			set: { 'engine.websocket_compression': 'yes' },
		});
		const socket = await RawSocket.open(
			server,
			'/engine.io/?EIO=4&transport=websocket',
			{
				headers: { 'Sec-WebSocket-Extensions': 'permessage-deflate' },
			},
		);
		socket.rsvAllowed = 4;
		await socket.opened();
		// Around the 64 KiB that the server writes at a time.
		for (const size of [65500, 65516, 65520, 65521, 65522, 65526, 65535, 65536]) {
			const data = randomBytes(size);
			socket.raw.write(Buffer.concat([frame(BINARY, data), frame(PING, 'PING')]));
			let echoed;
			let pong;
			while (!echoed || !pong) {
				const got = await socket.frame(
					`the echo of ${size} bytes and a pong`,
				);
				assert.ok(got?.fin, `${size}: a whole frame`);
				if (got.opcode === PONG) pong = got;
				else echoed = got;
			}
			assert.equal(String(pong.payload), 'PING');
			assert.equal(echoed.opcode, BINARY);
			const tail = Buffer.from('0000ffff', 'hex'); // RFC 7692 section 7.2.2
			const back = echoed.rsv
				? inflateRawSync(Buffer.concat([echoed.payload, tail]), {
						finishFlush: constants.Z_SYNC_FLUSH,
					})
				: echoed.payload;
			assert.ok(back.equals(data), `${size}: not what was sent`);
		}
		socket.destroy();
	});
});

describe('a refused CONNECT', () => {
	it('does not stop the connect timeout, one that is accepted later does', async (t) => {
		const server = await start(t, { set: { 'engine.connect_timeout_ms': 700 } });
		const refused = await RawSocket.open(server, UPGRADE);
		await refused.opened();
		const patient = await RawSocket.open(server, UPGRADE);
		await patient.opened();
		for (const socket of [refused, patient]) {
			socket.send(TEXT, '40{"refuse":"no"}');
			await socket.message(TEXT, '44{"message":"no","data":{"code":"REFUSED"}}');
		}
		patient.send(TEXT, '40');
		assert.match(String((await patient.frame()).payload), /^40\{/);
		await patient.message(TEXT, '42["auth",{}]');
		await refused.finishes('the end of the session that joined nothing');
		patient.send(TEXT, '421["echo","still here"]');
		await patient.message(TEXT, '431["still here"]');
		patient.destroy();
	});
});

describe('a connection that a trusted proxy uses for several clients', () => {
	it('is not marked by the one that is over its limit', async (t) => {
		const server = await start(t, {
			set: {
				'limits.trusted_proxies': '127.0.0.1',
				'limits.max_connections_per_address': 2,
			},
		});
		const attacker = from('203.0.113.1').headers;
		const innocent = (n) => from(`203.0.113.${n}`).headers;
		const held = [];
		for (let i = 0; i < 2; i++) {
			held.push(await Raw.connect(server.port));
			assert.equal((await ask(held[i], OPEN, attacker)).status, 200);
		}
		// The third and fourth of its connections are of a use, the others of none.
		for (let n = 10; n < 16; n++) {
			const pooled = await Raw.connect(server.port);
			held.push(pooled);
			assert.equal((await ask(pooled, `${OPEN}&sid=none`, attacker)).status, 400);
			assert.equal(
				(await ask(pooled, OPEN, innocent(n))).status,
				200,
				`client ${n}`,
			);
			assert.equal((await ask(pooled, `${OPEN}&sid=none`, attacker)).status, 400);
		}
		assert.equal((await ask(held[2], OPEN, attacker)).status, 503);
		for (const raw of held) raw.destroy();
	});
});

describe('PROXY protocol', () => {
	const NEEDS = '[listener main] proxy_protocol needs [limits] trusted_proxies';
	const v1 = (address) => `PROXY TCP4 ${address} 127.0.0.1 40000 80\r\n`;

	function v2(address) {
		const header = Buffer.alloc(16 + 36);
		// The signature, then PROXY and TCP over IPv6.
		header.write('0d0a0d0a000d0a515549540a2121', 'hex');
		header.writeUInt16BE(36, 14);
		Buffer.from(address, 'hex').copy(header, 16);
		header.writeUInt16BE(40000, 48);
		header.writeUInt16BE(80, 50);
		return header;
	}

	async function connect(server, header, options) {
		const raw = await Raw.connect(server.port, options);
		raw.write(
			Buffer.concat([Buffer.from(header), Buffer.from(upgradeRequest(UPGRADE))]),
		);
		return raw;
	}

	it('is not spoken with a peer that is not trusted', async (t) => {
		const server = await start(t, {
			set: {
				'listener.proxy_protocol': 'yes',
				'limits.trusted_proxies': '127.0.0.2',
			},
		});
		for (const address of ['203.0.113.1', '127.0.0.2']) {
			const stranger = await connect(server, v1(address));
			assert.equal(String(await stranger.rest()), '', `claiming ${address}`);
			stranger.destroy();
		}
		const proxy = await connect(server, v1('203.0.113.1'), {
			localAddress: '127.0.0.2',
		});
		assert.equal((await proxy.answer()).status, 101);
		proxy.destroy();
	});

	it('needs limits.trusted_proxies', () =>
		assert.rejects(
			Server.start({ set: { 'listener.proxy_protocol': 'yes' } }).then((server) =>
				server.stop(),
			),
			({ message }) => {
				assert.match(message, /did not start: exit code 1, signal null;/);
				assert.ok(message.includes(`\necho-server: ${NEEDS}\n`), message);
				return true;
			},
		));

	it('counts the IPv6 addresses of one /64 as one client', async (t) => {
		const server = await start(t, {
			set: {
				'listener.proxy_protocol': 'yes',
				'limits.trusted_proxies': '127.0.0.1',
				'limits.max_connections_per_address': 3,
			},
		});
		const connections = [];
		const status = async (network, host) => {
			const raw = await connect(
				server,
				v2(network + host.toString(16).padStart(16, '0')),
			);
			connections.push(raw);
			return (await raw.answer())?.status ?? 503; // or closed at once
		};
		const ours = '20010db800000001';
		for (let host = 1; host <= 3; host++) assert.equal(await status(ours, host), 101);
		for (let host = 4; host <= 8; host++) assert.equal(await status(ours, host), 503);
		assert.equal(await status('20010db800000002', 1), 101, 'another network');
		for (const raw of connections) raw.destroy();
	});
});

describe('an origin is the same', () => {
	// The status of a handshake on that Host by a page of that scheme.
	async function status(raw, scheme, headers) {
		const Origin = `${scheme}://chat.test`;
		const answer = await ask(raw, OPEN, { Host: 'chat.test', Origin, ...headers });
		const allowed = answer.headers['access-control-allow-origin'];
		assert.equal(allowed, answer.status === 200 ? Origin : undefined);
		return answer.status;
	}

	const https = { 'X-Forwarded-Proto': 'https' };

	it('with the scheme of the listener', async (t) => {
		const server = await start(t);
		const raw = await Raw.connect(server.port);
		assert.equal(await status(raw, 'http'), 200);
		for (const other of ['https', 'ftp', 'ws', 'httpx', 'xhttp'])
			assert.equal(await status(raw, other), 403, other);
		assert.equal(await status(raw, 'https', https), 403, 'from nobody we trust');
		assert.equal(await status(raw, 'http', https), 200, 'from nobody we trust');
		raw.destroy();
	});

	it('with https where the listener speaks TLS', async (t) => {
		const server = await start(t, { set: secureListener() });
		const { ca } = certificate;
		const secure = tls.connect({ host: '127.0.0.1', port: server.port, ca });
		await event(secure, 'secureConnect');
		const raw = new Raw(secure);
		assert.equal(await status(raw, 'https'), 200);
		assert.equal(await status(raw, 'http'), 403);
		raw.destroy();
	});

	it('with the scheme that a trusted proxy names', async (t) => {
		const server = await start(t, { set: { 'limits.trusted_proxies': '127.0.0.1' } });
		const raw = await Raw.connect(server.port);
		assert.equal(await status(raw, 'https', https), 200);
		assert.equal(await status(raw, 'http', https), 403);
		assert.equal(await status(raw, 'http'), 200);
		assert.equal(await status(raw, 'https'), 403);
		assert.equal(await status(raw, 'http', { 'X-Forwarded-Proto': 'http' }), 200);
		raw.destroy();
	});
});

describe('the origin of one request', () => {
	const allowed = (answer) => answer.headers['access-control-allow-origin'];

	it('is not allowed in the answer to the next', async (t) => {
		const server = await start(t);
		const ours = { Origin: 'http://test' };
		const theirs = { Origin: 'https://evil.example' };
		for (const [text, status] of [
			[request('GET', '/other', theirs), 404],
			[request('GET', '/other'), 404],
			[request('GET', `${OPEN}&sid=none`), 400],
			[request('GET', OPEN, theirs), 403],
			['GET / nonsense\r\n\r\n', 400],
			[request('GET', OPEN, { 'X-Large': 'x'.repeat(10000) }), 431],
		]) {
			const raw = await Raw.connect(server.port);
			assert.equal(allowed(await ask(raw, OPEN, ours)), ours.Origin);
			raw.write(text);
			const answer = await raw.answer();
			assert.equal(answer.status, status, text);
			assert.equal(allowed(answer), undefined, text);
			if (answer.headers.connection !== 'close')
				assert.equal(
					allowed(await ask(raw, OPEN, ours)),
					ours.Origin,
					text,
				);
			raw.destroy();
		}
	});
});

describe('60,000 events that ask the client back', () => {
	const COUNT = 60000;
	const MAX_PENDING = 1000; // the default of socket.max_pending_acks

	// Reads until all that was asked is answered: how many questions were open at most.
	async function mostPending(socket) {
		let pending = 0;
		let most = 0;
		for (let done = false; !done || pending;) {
			const got = await socket.frame('the next question or answer');
			assert.ok(got, 'the connection ended');
			const text = String(got.payload);
			if (/^42\d+\["question",1\]$/.test(text)) most = Math.max(most, ++pending);
			else if (/^42\["answer",(1|"timeout")\]$/.test(text)) pending--;
			else if (text === '431["done"]') done = true;
			else assert.fail(`unexpected: ${text.slice(0, 80)}`);
		}
		return most;
	}

	it('ask as many questions at a time as may be open, and stop nobody', async (t) => {
		const server = await start(t);
		const bystander = await member(server);
		const socket = await RawSocket.open(server, UPGRADE);
		await socket.opened();
		socket.send(TEXT, '40');
		assert.match(String((await socket.frame()).payload), /^40\{/);
		await socket.message(TEXT, '42["auth",{}]');
		const question = frame(TEXT, '42["ask",1]');
		const pieces = [Buffer.alloc(COUNT * question.length, question)];
		// The newest first: the search for a question must not cost more for that.
		for (let id = COUNT - 1; id >= 0; id--) pieces.push(frame(TEXT, `43${id}[1]`));
		pieces.push(frame(TEXT, '421["echo","done"]'));
		let most;
		const reading = mostPending(socket).then((n) => (most = n));
		socket.raw.write(Buffer.concat(pieces));
		let worst = 0;
		while (most === undefined) {
			const begun = performance.now();
			await Promise.race([
				echoes(bystander),
				reading.then(() => echoes(bystander)),
			]);
			worst = Math.max(worst, performance.now() - begun);
		}
		await reading;
		assert.equal(most, MAX_PENDING);
		assert.ok(worst < 2000, `a bystander waited ${worst} ms`);
		socket.destroy();
		await bystander.close();
	});
});

describe('SIGTERM', () => {
	it('does not wait for idle connections of polling clients', async (t) => {
		const server = await start(t);
		const idle = await Raw.connect(server.port);
		assert.equal((await ask(idle, OPEN)).status, 200);
		const held = await Raw.connect(server.port);
		const { sid } = JSON.parse((await ask(held, OPEN)).text.slice(1));
		held.write(request('GET', `${OPEN}&sid=${sid}`));
		await serves(server); // by then the request is there
		const begun = performance.now();
		const stopped = server.stop();
		const last = await held.answer('the answer to the poll that was held');
		assert.equal(last.status, 200);
		assert.equal(last.text.split('\x1e').at(-1), '1');
		assert.equal(last.headers.connection, 'close');
		await Promise.all([held.ended(), idle.ended(), stopped]);
		const lasted = performance.now() - begun;
		assert.ok(lasted < 2000, `it took ${lasted} ms`);
	});
});

describe('the end of a TLS connection', () => {
	// What openssl sees of the records when it sends these bytes and reads to the end.
	async function observed(server, version, bytes) {
		const to = ['-connect', `127.0.0.1:${server.port}`, '-CAfile', certificate.cert];
		const client = spawn('openssl', ['s_client', '-quiet', '-msg', version, ...to]);
		let text = '';
		for (const stream of [client.stdout, client.stderr])
			stream.setEncoding('latin1').on('data', (more) => (text += more));
		client.stdin.on('error', () => {});
		const ended = new Promise((resolve) => client.once('close', resolve));
		client.stdin.write(bytes);
		await within(ended, 10000, 'the end of openssl').finally(() => client.kill());
		return text;
	}

	for (const version of ['-tls1_2', '-tls1_3']) {
		it(`is announced by close_notify (${version})`, async (t) => {
			const server = await start(t, { set: secureListener() });
			const close = Buffer.concat([
				Buffer.from(upgradeRequest(UPGRADE)),
				frame(CLOSE, closePayload(1000)),
			]);
			for (const [bytes, answer] of [
				[request('GET', '/x', { Connection: 'close' }), /^HTTP\/1\.1 404/m],
				[close, /^HTTP\/1\.1 101/m],
			]) {
				const text = await observed(server, version, bytes);
				assert.match(text, answer);
				assert.match(text, /^<<< TLS 1\.[23],? Alert .*close_notify/m);
			}
		});
	}
});

describe('an address without a host', () => {
	it('is all of IPv4 and IPv6', { skip: !HAVE_IPV6 && 'no IPv6 here' }, async (t) => {
		const server = await start(t, { port: null, set: { 'listener.address': ':0' } });
		for (const host of ['127.0.0.1', '[::1]'])
			assert.equal(
				(await get(`http://${host}:${server.port}${OPEN}`)).status,
				200,
				host,
			);
	});
});

describe('a CONNECT whose answer would come after the end of time', () => {
	it('is refused when authorisation has taken too long', async (t) => {
		const server = await start(t, { set: { 'socket.authorize_timeout_ms': 200 } });
		const socket = await RawSocket.open(server, UPGRADE);
		await socket.opened();
		socket.send(TEXT, '40{"delay":9999999999999999999}');
		const got = await socket.frame('the refusal');
		assert.match(String(got?.payload), /^44\{/);
		socket.destroy();
		await serves(server);
	});
});
