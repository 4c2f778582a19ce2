// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Where the server listens: TCP, Unix sockets, sockets from systemd, several at once, and what it
// says when it cannot.

import assert from 'node:assert/strict';
import {
	existsSync,
	lstatSync,
	mkdtempSync,
	readFileSync,
	renameSync,
	rmSync,
	writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { io } from 'socket.io-client';
import { makeCertificate } from './lib/cert.mjs';
import { get, handshake, post } from './lib/http.mjs';
import { Link } from './lib/proxy.mjs';
import { Raw, upgradeRequest } from './lib/raw.mjs';
import { Server, freePort } from './lib/server.mjs';
import { Socket } from './lib/socket.mjs';
import { event, until } from './lib/util.mjs';

const PATH = '/engine.io/';
const UPGRADE = `${PATH}?EIO=4&transport=websocket`;
const LARGE = 900000;
const HAVE_IPV6 = Object.values(networkInterfaces())
	.flat()
	.some(({ address }) => address === '::1');

let folder;
let files = 0;

before(() => {
	folder = mkdtempSync(join(tmpdir(), 'listen-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const newPath = () => join(folder, `${++files}.sock`);

function launch({ set = {}, port = set['listener.address'] === undefined ? 0 : null, ...rest }) {
	return Server.start({ engine: true, port, set, ...rest });
}

async function start(t, options = {}) {
	const server = await launch(options);
	t.after(() => server.stop());
	return server;
}

const startUnix = (t, path, set) =>
	start(t, { set: { 'listener.address': `unix:${path}`, ...set } });

// What it says on stderr; that it exits with 1 and without a signal is part of the sentence.
function refused(options, sentence) {
	const started = launch(options);
	return assert.rejects(
		started.then((server) => server.stop()),
		({ message }) => {
			assert.match(message, /^the server did not start: exit code 1, signal null;/);
			const line = /^echo-server: (.*)$/m.exec(message);
			assert.ok(line, `no sentence in: ${message}`);
			if (sentence instanceof RegExp) assert.match(line[1], sentence);
			else assert.equal(line[1], sentence);
			return true;
		},
	);
}

// Opens a WebSocket session and reads its first packet.
async function openSocket(url, options) {
	const socket = await Socket.open(url, options);
	assert.equal((await socket.next('the open packet'))[0], '0');
	return socket;
}

const overUnix = (path) => openSocket(`ws+unix:${path}:${UPGRADE}`);

async function echoes(socket, ...messages) {
	for (const message of messages) {
		socket.send(message);
		assert.deepEqual(await socket.nextData(), message);
	}
}

async function serves(socket) {
	await echoes(socket, '4small', `4${'x'.repeat(LARGE)}`, Buffer.alloc(LARGE, 0xc3));
	await socket.close();
}

async function polls(base, options) {
	const { url } = await handshake(base, options);
	const message = `4${'y'.repeat(LARGE)}`;
	for (const text of ['4small', message]) {
		assert.equal((await post(url, text, options)).text, 'ok');
		assert.equal((await get(url, options)).text, text);
	}
	assert.equal((await post(url, '1', options)).status, 200);
}

describe('a Unix socket', () => {
	const base = `http://unix.test${PATH}`;

	it('carries WebSocket and polling', async (t) => {
		const path = newPath();
		const server = await startUnix(t, path);
		assert.equal(server.port, 0);
		await serves(await overUnix(path));
		await polls(base, { socketPath: path });
		await server.becomesIdle();
	});

	for (const [set, mode] of [
		[{}, 0o660],
		[{ 'listener.unix_mode': '0600' }, 0o600],
		[{ 'listener.unix_mode': '777' }, 0o777],
	]) {
		it(`has permissions ${mode.toString(8)}`, async (t) => {
			const path = newPath();
			await startUnix(t, path, set);
			const stat = lstatSync(path);
			assert.ok(stat.isSocket());
			assert.equal((stat.mode & 0o7777).toString(8), mode.toString(8));
		});
	}

	it('is gone after SIGTERM', async (t) => {
		const path = newPath();
		const server = await startUnix(t, path);
		const socket = await overUnix(path);
		assert.ok(existsSync(path));
		await server.stop();
		assert.ok(!existsSync(path), 'the file is left');
		await socket.whenClosed();
	});

	it('of a killed server is replaced', async (t) => {
		const path = newPath();
		const killed = await startUnix(t, path);
		await killed.kill();
		assert.ok(existsSync(path), 'the killed server left its file');
		await startUnix(t, path);
		await serves(await overUnix(path));
	});

	it('that another server listens on is left to it', async (t) => {
		const path = newPath();
		await startUnix(t, path);
		const socket = await overUnix(path);
		await refused(
			{ set: { 'listener.address': `unix:${path}` } },
			`listener main: cannot listen on unix:${path} (Address already in use)`,
		);
		await echoes(socket, '4the first goes on');
		await serves(await overUnix(path));
	});

	it('is not made in place of a file', async () => {
		const path = newPath();
		writeFileSync(path, 'precious');
		await refused(
			{ set: { 'listener.address': `unix:${path}` } },
			`listener main: cannot listen on unix:${path} (Address already in use)`,
		);
		assert.ok(lstatSync(path).isFile(), 'the file is gone');
	});

	it('is removed when a later listener is refused', async () => {
		const path = newPath();
		await refused(
			{
				set: {
					'listener.address': `unix:${path}`,
					'listener.other.address': 'systemd:none',
				},
			},
			/^listener other: /,
		);
		assert.ok(!existsSync(path), 'the file is left');
	});

	it('needs a folder and a path that fits', async () => {
		const nowhere = join(folder, 'missing', 'a.sock');
		await refused(
			{ set: { 'listener.address': `unix:${nowhere}` } },
			`listener main: cannot listen on unix:${nowhere} (No such file or directory)`,
		);
		for (const path of ['', `/${'x'.repeat(107)}`])
			await refused(
				{ set: { 'listener.address': `unix:${path}` } },
				'listener main: the path of a Unix socket has 1 to 107 bytes',
			);
	});
});

describe('X-Forwarded-For on a Unix socket', () => {
	const LIMIT = { 'limits.max_connections_per_address': 2 };

	// A WebSocket of that client: its connection, or null when it was refused.
	async function occupy(path, address) {
		const raw = await Raw.connect(0, { path });
		raw.write(upgradeRequest(UPGRADE, { 'X-Forwarded-For': address }));
		const answer = await raw.answer('the answer to the upgrade');
		if (answer?.status === 101) return raw;
		assert.equal(answer?.status, 503);
		raw.destroy();
		return null;
	}

	it('counts when the peers of Unix sockets are trusted', async (t) => {
		const path = newPath();
		await startUnix(t, path, { ...LIMIT, 'limits.trusted_proxies': 'unix' });
		const held = [];
		for (let i = 1; i <= 6; i++) held.push(await occupy(path, `203.0.113.${i}`));
		held.push(await occupy(path, '203.0.113.1'));
		assert.ok(held.every(Boolean), 'two of one client and one of each other');
		assert.equal(await occupy(path, '203.0.113.1'), null, 'the third of one client');
		held.pop().destroy();
		const again = await until(
			() => occupy(path, '203.0.113.1'),
			'a place that became free',
		);
		for (const raw of [...held, again]) raw.destroy();
	});

	it('is not believed otherwise, and the peers are not counted', async (t) => {
		const path = newPath();
		await startUnix(t, path, { ...LIMIT, 'limits.trusted_proxies': '127.0.0.1, ::1' });
		const held = [];
		for (let i = 0; i < 10; i++) held.push(await occupy(path, '203.0.113.1'));
		assert.ok(held.every(Boolean), 'all get in');
		for (const raw of held) raw.destroy();
	});
});

describe('a socket from systemd', () => {
	// Bound and listening, not ours any more once the server has it.
	async function bound(t, where = { host: '127.0.0.1', port: 0 }) {
		const socket = net.createServer();
		socket.listen(where);
		await event(socket, 'listening');
		const close = () => socket.close();
		t.after(close);
		const { fd } = socket._handle; // there is no public name for it
		return { fd, where: socket.address(), close };
	}

	async function inherit(t, sockets, names, set) {
		const fds = sockets.map(({ fd }) => fd);
		const server = await start(t, { inherit: { fds, names }, set });
		for (const socket of sockets) socket.close();
		return server;
	}

	it('over TCP', async (t) => {
		const socket = await bound(t);
		const server = await inherit(t, [socket], 'web', {
			'listener.address': 'systemd:web',
		});
		assert.equal(server.port, socket.where.port);
		await serves(await openSocket(server.wsUrl + UPGRADE));
		await polls(server.url + PATH);
		await server.becomesIdle();
		await server.stop();
		await assert.rejects(get(server.url + PATH), { code: 'ECONNREFUSED' });
	});

	it('is found by its name among several', async (t) => {
		const sockets = [];
		for (let i = 0; i < 3; i++) sockets.push(await bound(t));
		const server = await inherit(t, sockets, 'web:other:web2', {
			'listener.address': 'systemd:web2',
			'listener.second.address': 'systemd:web',
		});
		assert.equal(server.port, sockets[2].where.port);
		for (const { where } of [sockets[0], sockets[2]])
			await serves(await openSocket(`ws://127.0.0.1:${where.port}${UPGRADE}`));
	});

	it('as our own units pass it', async (t) => {
		const unit = readFileSync(
			new URL('../../contrib/systemd/parlanced.socket', import.meta.url),
			'utf8',
		);
		const [, names] = /^FileDescriptorName=(.+)$/m.exec(unit);
		const [, address] = /^#\s+address = (.+)$/m.exec(unit);
		const server = await inherit(t, [await bound(t)], names, { 'listener.address': address });
		await serves(await openSocket(server.wsUrl + UPGRADE));
	});

	it('that is a Unix socket stays when the server ends', async (t) => {
		const bindPath = newPath();
		const path = newPath();
		const socket = await bound(t, { path: bindPath });
		renameSync(bindPath, path); // Node unlinks the name that it knows
		const server = await inherit(t, [socket], 'local', {
			'listener.address': 'systemd:local',
		});
		await serves(await overUnix(path));
		await polls(`http://unix.test${PATH}`, { socketPath: path });
		await server.stop();
		assert.ok(existsSync(path), "the file is systemd's");
	});

	it('of another name, or for another process, is none', async (t) => {
		const socket = await bound(t);
		const sentence = (name) =>
			`listener main: systemd passed no socket with the name "${name}" ` +
			'(FileDescriptorName= in the socket unit)';
		const fds = [socket.fd];
		const set = (name) => ({ 'listener.address': `systemd:${name}` });
		for (const name of ['we', 'web2', 'WEB', ''])
			await refused(
				{ set: set(name), inherit: { fds, names: 'web' } },
				sentence(name),
			);
		await refused(
			{ set: set('web'), inherit: { fds, names: 'web', pid: process.pid } },
			sentence('web'),
		);
		await refused(
			{ set: set('web'), inherit: { fds, names: 'other:web' } },
			sentence('web'),
		);
		await refused({ set: set('web') }, sentence('web'));
	});

	it('that is no listening socket is refused with a sentence', async (t) => {
		const path = newPath();
		writeFileSync(path, '');
		const listening = await bound(t);
		const client = net.connect(listening.where.port, '127.0.0.1');
		await event(client, 'connect');
		t.after(() => client.destroy());
		await refused(
			{
				set: { 'listener.address': 'systemd:web' },
				inherit: { fds: [client._handle.fd], names: 'web' },
			},
			/^listener main: .*systemd:web/,
		);
	});
});

describe('addresses', () => {
	it('[::1]', { skip: !HAVE_IPV6 && 'no IPv6 here' }, async (t) => {
		const server = await start(t, { set: { 'listener.address': '[::1]:0' } });
		assert.ok(server.port > 0);
		await serves(await openSocket(`ws://[::1]:${server.port}${UPGRADE}`));
		await polls(`http://[::1]:${server.port}${PATH}`);
		await assert.rejects(get(server.url + PATH), { code: 'ECONNREFUSED' });
	});

	it('a name that the system knows', async (t) => {
		const server = await start(t, { set: { 'listener.address': 'localhost:0' } });
		await serves(await openSocket(`ws://localhost:${server.port}${UPGRADE}`));
	});

	const HELP = '(write 127.0.0.1:3000, [::1]:3000, unix:/path or systemd:name)';
	for (const address of ['127.0.0.1', '3000', '127.0.0.1:', '[::1]:', 'x'.repeat(255)]) {
		it(`"${address.slice(0, 20)}" is none`, () =>
			refused(
				{ set: { 'listener.address': address } },
				`listener main: "${address}" is no address ${HELP}`,
			));
	}

	for (const address of [
		'127.0.0.1:http',
		'127.0.0.1:65536',
		'127.0.0.1:99999',
		'127.0.0.1:-1',
		'127.0.0.1:+80',
		'127.0.0.1: 80',
		'127.0.0.1:0x50',
		'[::1',
		'[::1]',
		'[::1]0',
		'[::1:0',
		'::1:0',
		'127.0.0.256:0',
		'127.0.0.1:0:0',
	]) {
		it(`"${address}" is refused, by its name`, async () => {
			await refused({ set: { 'listener.address': address } }, /^listener main: /);
		});
	}

	it('an address that is not ours is refused', () =>
		refused(
			{ set: { 'listener.address': '192.0.2.1:0' } },
			'listener main: cannot listen on 192.0.2.1:0 (bind: Cannot assign requested address)',
		));
});

describe('a port in use', () => {
	for (const host of ['127.0.0.1', '[::1]']) {
		it(`is refused on ${host}`, {
			skip: host === '[::1]' && !HAVE_IPV6 && 'no IPv6 here',
		}, async (t) => {
			const first = await start(t, { set: { 'listener.address': `${host}:0` } });
			const address = `${host}:${first.port}`;
			await refused(
				{ set: { 'listener.address': address } },
				`listener main: cannot listen on ${address} (bind: Address already in use)`,
			);
			await serves(await openSocket(`ws://${address}${UPGRADE}`));
		});
	}

	it('is refused to the second of two listeners', async () => {
		const port = await freePort();
		await refused(
			{
				set: {
					'listener.address': `127.0.0.1:${port}`,
					'listener.twin.address': `127.0.0.1:${port}`,
				},
			},
			`listener twin: cannot listen on 127.0.0.1:${port} (bind: Address already in use)`,
		);
	});

	it('is taken again at once after a server that had clients', async (t) => {
		const first = await start(t);
		const socket = await openSocket(first.wsUrl + UPGRADE);
		await first.stop();
		await socket.whenClosed();
		const second = await start(t, { port: first.port });
		assert.equal(second.port, first.port);
		await serves(await openSocket(second.wsUrl + UPGRADE));
	});
});

describe('several listeners', () => {
	it('plain, TLS and Unix, one server', async (t) => {
		const { cert, key, ca } = makeCertificate(folder);
		const path = newPath();
		const tlsPort = await freePort();
		const server = await start(t, {
			set: {
				'listener.address': '127.0.0.1:0',
				'listener.secure.address': `127.0.0.1:${tlsPort}`,
				'listener.secure.tls_cert': cert,
				'listener.secure.tls_key': key,
				'listener.local.address': `unix:${path}`,
			},
		});
		const sockets = [
			await openSocket(server.wsUrl + UPGRADE),
			await openSocket(`wss://127.0.0.1:${tlsPort}${UPGRADE}`, { ca }),
			await overUnix(path),
		];
		for (const [i, socket] of sockets.entries()) await echoes(socket, `4number ${i}`);
		for (const socket of sockets) await serves(socket);
		await polls(server.url + PATH);

		// The TLS listener speaks nothing else, the plain one no TLS.
		await assert.rejects(get(`http://127.0.0.1:${tlsPort}${PATH}`));
		const hello = tls.connect({ port: server.port, host: '127.0.0.1', ca });
		await event(hello, 'error');
		await server.becomesIdle();
		await server.stop();
		assert.ok(!existsSync(path), 'the file is left');
	});

	it('serve socket.io-client at once: plain, with TLS, and a Unix socket behind a proxy', async (t) => {
		const { cert, key, ca } = makeCertificate(folder);
		const path = newPath();
		const tlsPort = await freePort();
		const server = await start(t, {
			engine: false,
			set: {
				'listener.address': '127.0.0.1:0',
				'listener.secure.address': `127.0.0.1:${tlsPort}`,
				'listener.secure.tls_cert': cert,
				'listener.secure.tls_key': key,
				'listener.local.address': `unix:${path}`,
			},
		});
		const proxy = await Link.open(() => ({ path }));
		t.after(() => proxy.close());
		const sockets = [];
		for (const url of [server.url, `https://127.0.0.1:${tlsPort}`, `http://127.0.0.1:${proxy.port}`])
			for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
				const socket = io(url, { forceNew: true, reconnection: false, transports, ca });
				t.after(() => socket.disconnect());
				sockets.push(socket);
			}
		await Promise.all(sockets.map((socket) => event(socket, 'connect')));
		const values = sockets.map((_, i) => [i, 'x'.repeat(LARGE / 10)]);
		const answers = sockets.map((socket, i) =>
			socket.timeout(10000).emitWithAck('echo', values[i]),
		);
		assert.deepEqual(await Promise.all(answers), values);
	});

	it('share their sessions', async (t) => {
		const path = newPath();
		const server = await start(t, {
			set: {
				'listener.address': '127.0.0.1:0',
				'listener.local.address': `unix:${path}`,
			},
		});
		const { url } = await handshake(server.url + PATH);
		assert.equal((await post(url, '4across', { socketPath: path })).text, 'ok');
		assert.equal((await get(url)).text, '4across');
	});
});

describe('reuse_port', () => {
	const REUSE = { 'listener.reuse_port': 'yes' };
	const COUNT = 64;

	it('lets two processes share a port, and either end alone', async (t) => {
		const first = await start(t, { set: REUSE });
		const second = await start(t, { port: first.port, set: REUSE });
		const sockets = [];
		for (let i = 0; i < COUNT; i++)
			sockets.push(await openSocket(first.wsUrl + UPGRADE));
		await first.stop();
		// Those of the second are told apart by going on.
		const alive = [];
		for (const socket of sockets) {
			socket.send('4who is there');
			if ((await socket.nextData()) !== null) alive.push(socket);
			else await socket.whenClosed();
		}
		assert.ok(alive.length > 0 && alive.length < COUNT, `${alive.length} are left`);
		await serves(await openSocket(second.wsUrl + UPGRADE));
		for (const socket of alive) await echoes(socket, '4still here');
		await second.becomesIdle();
	});

	it('must be wished by both', async (t) => {
		const first = await start(t);
		const busy = `listener main: cannot listen on 127.0.0.1:${first.port} (bind: Address already in use)`;
		await refused({ port: first.port, set: REUSE }, busy);
		const second = await start(t, { set: REUSE });
		await refused(
			{ port: second.port },
			busy.replace(`:${first.port} `, `:${second.port} `),
		);
	});
});
