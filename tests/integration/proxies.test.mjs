// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// Two instances behind the real HAProxy and the real nginx, each with the example of contrib/ in which
// only addresses, ports and the certificate are others.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeCertificate } from './lib/cert.mjs';
import { Daemon, Database, Tab } from './lib/chat.mjs';
import { get } from './lib/http.mjs';
import { Program } from './lib/program.mjs';
import { freePort } from './lib/server.mjs';
import { PATIENCE, each, until, within } from './lib/util.mjs';

const contrib = fileURLToPath(new URL('../../contrib/', import.meta.url));
const HANDSHAKE = '/socket.io/?EIO=4&transport=polling';
const BURST = 3;

let folder;
let certificate;

before(() => {
	folder = mkdtempSync(join(tmpdir(), 'proxies-'));
	certificate = makeCertificate(folder);
});
after(() => rmSync(folder, { recursive: true, force: true }));

// The example with each of these replaced, wherever it stands; none may be missing.
function example(path, replacements) {
	let text = readFileSync(join(contrib, path), 'utf8');
	for (const [from, to] of replacements) {
		assert.ok(text.includes(from), `${path} has no "${from}"`);
		text = text.replaceAll(from, to);
	}
	return text;
}

class Proxy extends Program {
	// Runs it until it accepts connections.
	static async start(command, args, ports) {
		const proxy = new Proxy();
		Object.assign(proxy, ports);
		await proxy.run('sh', ['-c', 'echo begins; exec "$@"', 'sh', command, ...args], {
			stdio: ['ignore', 'pipe', 'pipe'],
		}, [/^begins$/]);
		await until(
			() => {
				assert.ok(proxy.running, proxy.stderr);
				return new Promise((resolve) => {
					const probe = net.connect(proxy.https, '127.0.0.1');
					probe.once('error', () => resolve(false));
					probe.once('connect', () => resolve(true));
					probe.once('close', () => probe.destroy());
					probe.unref();
				});
			},
			() => `${command} listens: ${proxy.stderr}`,
		);
		proxy.url = `https://127.0.0.1:${proxy.https}`;
		return proxy;
	}

	// HAProxy dies of the signal, as it should.
	async end() {
		this.signal('SIGTERM');
		await within(this.gone, PATIENCE, 'the end of the proxy');
	}
}

// One instance: its ports stay when it is started again.
class Instance {
	static async reserve(database, set) {
		const own = new Instance();
		own.database = database;
		own.set = set;
		own.port = await freePort();
		own.peers = await freePort();
		own.probes = await freePort();
		return own;
	}

	async start() {
		const at = (port) => `127.0.0.1:${port}`;
		this.daemon = await Daemon.start({
			database: this.database,
			set: {
				'listener.main.address': at(this.port),
				'listener.peers.address': at(this.peers),
				'listener.probes.address': at(this.probes),
				'listener.probes.admin': 'yes',
				'cluster.advertise': at(this.peers),
				'limits.trusted_proxies': '127.0.0.1',
				'limits.handshakes_per_second_per_address': 1,
				'limits.handshake_burst_per_address': BURST,
				'chat.drain_spread_ms': 300,
				'chat.drain_timeout_ms': 3000,
				...this.set,
			},
		});
	}
}

async function startHaproxy([one, two]) {
	const ports = { http: await freePort(), https: await freePort() };
	const pem = join(folder, 'haproxy.pem');
	writeFileSync(pem, readFileSync(certificate.cert, 'utf8') + readFileSync(certificate.key, 'utf8'), {
		mode: 0o600,
	});
	const config = join(folder, 'haproxy.cfg');
	writeFileSync(
		config,
		example('haproxy/haproxy.cfg', [
			['maxconn 20000', 'maxconn 1000'], // each needs open files
			['bind :80', `bind 127.0.0.1:${ports.http}`],
			['bind :443', `bind 127.0.0.1:${ports.https}`],
			['/etc/haproxy/chat.example.pem', pem],
			['check port 3002', 'check'],
			['server one 10.0.0.1:3000', `server one 127.0.0.1:${one.port} port ${one.probes}`],
			['server two 10.0.0.2:3000', `server two 127.0.0.1:${two.port} port ${two.probes}`],
		]),
	);
	return Proxy.start('/usr/sbin/haproxy', ['-db', '-f', config], ports);
}

async function startNginx([one, two]) {
	const ports = { http: await freePort(), https: await freePort() };
	writeFileSync(
		join(folder, 'parlance.conf'),
		example('nginx/parlance.conf', [
			['listen 80', `listen 127.0.0.1:${ports.http}`],
			['listen 443', `listen 127.0.0.1:${ports.https}`],
			['/etc/nginx/chat.example.pem', certificate.cert],
			['/etc/nginx/chat.example.key', certificate.key],
			['server 10.0.0.1:3000', `server 127.0.0.1:${one.port}`],
			['server 10.0.0.2:3000', `server 127.0.0.1:${two.port}`],
		]),
	);
	const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
		(kind) => `${kind}_temp_path ${join(folder, kind)};`,
	);
	const config = join(folder, 'nginx.conf');
	writeFileSync(
		config,
		`daemon off; pid ${join(folder, 'nginx.pid')}; error_log stderr;
		${process.getuid() === 0 ? 'user root;' : ''}
		events { }
		http { access_log off; ${temporary.join(' ')} include ${join(folder, 'parlance.conf')}; }\n`,
	);
	return Proxy.start('/usr/sbin/nginx', ['-p', folder, '-c', config], ports);
}

// The answer to a GET by a client with this address of its own.
const ask = (url, { from = '127.0.0.1', headers = {} } = {}) =>
	get(url, { localAddress: from, headers, tls: { rejectUnauthorized: false } });

const kinds = [
	{ name: 'HAProxy', program: '/usr/sbin/haproxy', start: startHaproxy, set: { 'listener.main.proxy_protocol': 'yes' } },
	{ name: 'nginx', program: '/usr/sbin/nginx', start: startNginx, set: {} },
];

for (const { name, program, start, set } of kinds) {
	const skip = existsSync(program) ? false : `${program} is not installed`;

	describe(`behind ${name}`, { skip }, () => {
		const instances = [];
		let database;
		let proxy;

		before(async () => {
			database = await Database.start();
			for (let i = 0; i < 2; i++) instances.push(await Instance.reserve(database, set));
			await Promise.all(instances.map((instance) => instance.start()));
			proxy = await start(instances);
		});
		after(() =>
			each(
				() => proxy?.end(),
				...instances.map(({ daemon }) => () => daemon?.stop()),
				() => database?.stop(),
			),
		);

		async function open(t, user, options) {
			const tab = await Tab.open(proxy, user, { options: { rejectUnauthorized: false, ...options } });
			t.after(() => tab.close());
			return tab;
		}

		for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) {
			it(`${transports.join(', then ')}: a conversation`, async (t) => {
				const tabs = [];
				// More than there are instances, so that both have some.
				for (let i = 0; i < 3; i++)
					tabs.push(await open(t, `user-${transports.join('-')}`, { transports }));
				const [first] = tabs;
				const id = await first.create();
				for (const tab of tabs) await tab.join(id);
				await first.turn(id, 'hello');
				for (const tab of tabs) {
					await tab.next('message:complete');
					await until(
						() => tab.socket.io.engine.transport.name === transports.at(-1),
						`the transport is ${transports.at(-1)}`,
					);
					await tab.settled();
				}
			});
		}

		it('a poll that is held longer than a ping lasts', async (t) => {
			const tab = await open(t, 'patient', { transports: ['polling'] });
			const pinged = new Promise((resolve) => tab.socket.io.engine.once('ping', resolve));
			await pinged; // 25 s
			await tab.settled();
		});

		it('the client is counted by its own address, whatever it says', async () => {
			const statuses = [];
			for (let i = 0; i < 6 * BURST; i++) {
				const headers = { 'X-Forwarded-For': `192.0.2.${i}` };
				const answer = await ask(proxy.url + HANDSHAKE, { from: '127.0.0.5', headers });
				statuses.push(answer.status);
			}
			assert.equal(statuses[0], 200);
			assert.ok(statuses.includes(429), `never too many: ${statuses}`);
			assert.equal((await ask(proxy.url + HANDSHAKE, { from: '127.0.0.6' })).status, 200);
		});

		it('plain HTTP is sent to HTTPS, and HTTPS is to be kept to', async () => {
			for (const Host of ['chat.example', 'evil.example']) {
				const plain = `http://127.0.0.1:${proxy.http}/a?b=c`;
				const { status, headers } = await ask(plain, { headers: { Host } });
				assert.equal(status, 308);
				assert.equal(headers.location, 'https://chat.example/a?b=c');
			}
			const secure = await ask(proxy.url + HANDSHAKE);
			assert.equal(secure.headers['strict-transport-security'], 'max-age=31536000');
		});

		it('an instance after the other is started anew', async (t) => {
			const options = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 200 };
			const tabs = [];
			for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']])
				tabs.push(await open(t, 'survivor', { ...options, transports }));
			const [first] = tabs;
			const id = await first.create();
			for (const tab of tabs) await tab.join(id);
			for (const instance of instances) {
				await instance.daemon.stop();
				for (const tab of tabs) await until(() => tab.socket.connected, 'it is connected again', 30000);
				// To the one that is left (which the proxy has to find out, when it was away
				// itself), and nobody is sent to the other.
				await until(
					async () => (await ask(proxy.url + HANDSHAKE)).status === 200,
					'somebody serves',
				);
				for (let i = 0; i < 4; i++)
					assert.equal((await ask(proxy.url + HANDSHAKE)).status, 200);
				await first.turn(id, 'hello');
				await instance.start();
				await until(
					async () =>
						(await ask(`http://127.0.0.1:${instance.probes}/readyz`)).status === 200,
					'it is ready',
				);
			}
			for (const tab of tabs) {
				await until(() => tab.socket.connected, 'it is connected', 30000);
				await until(() => tab.all('message:complete').length === 2, 'both answers', 30000);
			}
		});
	});
}
