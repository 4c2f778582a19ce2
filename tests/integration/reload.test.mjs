// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// SIGHUP: the configuration and the certificates are read anew while clients are connected; what is
// wrong changes nothing. Certificates also by themselves, by a timer.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { makeCertificate } from './lib/cert.mjs';
import { Daemon, Database, SECRET, Tab, token } from './lib/chat.mjs';
import { get, handshake } from './lib/http.mjs';
import { until, within } from './lib/util.mjs';

const run = promisify(execFile);
const PATH = '/socket.io/';

let database;
let folders = 0;
let folder;

before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'reload-'));
	database = await Database.start();
});
after(async () => {
	await database?.stop();
	rmSync(folder, { recursive: true, force: true });
});

// The text of a configuration: { section: { option: value } }.
function textOf(sections) {
	const lines = [];
	for (const [name, options] of Object.entries(sections)) {
		lines.push(`[${name}]`);
		for (const [option, value] of Object.entries(options)) lines.push(`${option} = ${value}`);
	}
	return `${lines.join('\n')}\n`;
}

// A daemon with a configuration file that can be changed.
class Reloaded {
	static async start(t, sections, { set = {}, env = {}, lines } = {}) {
		const own = new Reloaded();
		own.config = join(folder, `${++folders}.conf`);
		own.sections = sections;
		writeFileSync(own.config, textOf(sections));
		own.daemon = await Daemon.start({
			database,
			config: own.config,
			set: { 'chat.drain_spread_ms': 0, ...set },
			env,
			lines,
		});
		t.after(() => own.daemon.stop());
		return own;
	}

	// Changes the file; null takes a section out.
	write(changes) {
		for (const [name, options] of Object.entries(changes)) {
			if (options === null) delete this.sections[name];
			else this.sections[name] = { ...this.sections[name], ...options };
		}
		writeFileSync(this.config, textOf(this.sections));
	}

	// SIGHUP, with what changed in the file; returns what it said until a line matched, which is kept.
	reload(changes = {}, outcome = /main: configuration reloaded(.*)$/) {
		this.write(changes);
		return this.hangUp(outcome);
	}

	async hangUp(outcome = /main: configuration reloaded$/) {
		const from = this.daemon.stderr.length;
		const line = this.daemon.line(outcome);
		this.daemon.signal('SIGHUP');
		this.match = await line;
		return this.daemon.stderr.slice(from);
	}

	refused(changes) {
		return this.reload(changes, /main: the configuration stays as it was \((.*)\)$/).then((said) => {
			assert.match(said, /audit: a reload was asked for config=\S+ outcome=refused/);
			return said;
		});
	}
}

// The certificate that a new handshake shows, as { serial, type }.
async function shown(port, options = {}) {
	const socket = tls.connect({
		port,
		host: '127.0.0.1',
		rejectUnauthorized: false,
		...options,
	});
	const done = new Promise((resolve, reject) => {
		socket.once('secureConnect', () => resolve(socket.getPeerX509Certificate()));
		socket.once('error', reject);
		socket.once('close', () => reject(new Error('closed in the TLS handshake')));
	});
	try {
		const cert = await within(done, 5000, 'the TLS handshake');
		return { serial: cert.serialNumber, type: cert.publicKey.asymmetricKeyType };
	} finally {
		socket.on('error', () => {});
		socket.destroy();
	}
}

const secureUrl = (daemon) => `https://127.0.0.1:${daemon.ports.tls}`;

async function secureTab(t, daemon, user, transports) {
	const url = secureUrl(daemon);
	const tab = await Tab.open({ url }, user, { options: { transports, rejectUnauthorized: false } });
	t.after(() => tab.close());
	return tab;
}

async function startTls(t, { reload = 0, type = 'ec' } = {}) {
	const home = mkdtempSync(join(folder, 'cert-'));
	const cert = makeCertificate(home, { type });
	const own = await Reloaded.start(t, {
		'listener tls': {
			address: '127.0.0.1:0',
			tls_cert: cert.cert,
			tls_key: cert.key,
			tls_reload_s: reload,
		},
		provider_demo: { token_interval_ms: 10 },
	});
	return { own, daemon: own.daemon, home, cert };
}

describe('a certificate', () => {
	it('is replaced on SIGHUP, and connections go on', async (t) => {
		const { own, daemon, home, cert } = await startTls(t);
		const port = daemon.ports.tls;
		assert.equal((await shown(port)).serial, cert.serial);
		const tabs = [];
		for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']])
			tabs.push(await secureTab(t, daemon, 'alice', transports));
		const sockets = tabs.map(({ socket }) => socket.id);
		const [first, ...others] = tabs;
		const id = await first.create();
		for (const tab of others) await tab.join(id);
		// An answer runs over the reload, and further ones come after it.
		const ack = await first.ok('message:send', { conversationId: id, content: 'tell me a story' });
		for (const tab of tabs) await tab.next('message:chunk');
		const fresh = makeCertificate(home);
		const said = await own.hangUp();
		assert.match(said, new RegExp(`listener: new certificate listener=tls serial=${fresh.serial} `));
		assert.equal((await shown(port)).serial, fresh.serial);
		const [closing] = await first.closing(ack, 60000);
		assert.equal(closing, 'message:complete');
		for (const tab of others) await tab.next('message:complete', () => true, 60000);
		await first.turn(id, 'hello');
		for (const tab of tabs) {
			await tab.settled();
			assert.equal(tab.all('message:complete').length, 2);
		}
		assert.deepEqual(tabs.map(({ socket }) => socket.id), sockets);
	});

	it('may have a key of another type', async (t) => {
		const { own, daemon, home } = await startTls(t, { type: 'rsa' });
		const only = {
			rsa: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' },
			ec: { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
		};
		assert.equal((await shown(daemon.ports.tls)).type, 'rsa');
		for (const [type, other] of [
			['ec', 'rsa'],
			['rsa', 'ec'],
		]) {
			const fresh = makeCertificate(home, { type });
			assert.match(await own.hangUp(), /listener: new certificate/);
			for (const options of [{}, { maxVersion: 'TLSv1.2' }, only[type]])
				assert.deepEqual(await shown(daemon.ports.tls, options), { serial: fresh.serial, type });
			// Nothing of the one before is left for those who ask for it.
			await assert.rejects(shown(daemon.ports.tls, only[other]), /handshake/i);
		}
	});

	it('that cannot be used leaves the one before in force', async (t) => {
		const { own, daemon, home, cert } = await startTls(t);
		const tab = await secureTab(t, daemon, 'alice', ['websocket']);
		const other = makeCertificate(mkdtempSync(join(folder, 'cert-')));
		const breakages = [
			[() => writeFileSync(cert.cert, 'no certificate\n'), /tls_cert: \S+ is no certificate in PEM/],
			[() => writeFileSync(cert.cert, `${cert.ca}-----BEGIN CERTIFICATE-----\nMIIB`), /is no certificate in PEM/],
			[() => rmSync(cert.cert), /tls_cert: \S+ cannot be read: No such file or directory/],
			[() => copyFileSync(other.cert, cert.cert), /tls_key: \S+ does not belong to the certificate in \S+;/],
			[() => writeFileSync(cert.key, 'no key\n'), /tls_key: \S+ is no private key in PEM/],
			[() => chmodSync(cert.key, 0o644), /tls_key: \S+ may be read or written by everybody; run chmod o-rwx/],
		];
		for (const [harm, sentence] of breakages) {
			const fresh = makeCertificate(home);
			assert.match(await own.hangUp(), /listener: new certificate/);
			harm();
			const said = await own.hangUp();
			assert.match(said, / err listener: the certificate stays as it was \(tls_/);
			assert.match(said, sentence);
			assert.doesNotMatch(said, /PRIVATE KEY/);
			assert.equal((await shown(daemon.ports.tls)).serial, fresh.serial);
			await tab.settled();
		}
	});

	it('is looked for by a timer', async (t) => {
		const { daemon, home, cert } = await startTls(t, { reload: 1 });
		const tab = await secureTab(t, daemon, 'alice', ['websocket']);
		let line = daemon.line(/listener: new certificate.* serial=(\S+)/);
		const fresh = makeCertificate(home, { type: 'rsa' });
		assert.equal((await line)[1], fresh.serial);
		assert.equal((await shown(daemon.ports.tls)).serial, fresh.serial);
		line = daemon.line(/the certificate stays as it was/);
		writeFileSync(cert.cert, 'half a cert');
		await line;
		assert.equal((await shown(daemon.ports.tls)).serial, fresh.serial);
		line = daemon.line(/listener: new certificate.* serial=(\S+)/);
		const last = makeCertificate(home);
		assert.equal((await line)[1], last.serial);
		// It was said once that the file is broken, however often it was looked at.
		assert.equal(daemon.stderr.match(/the certificate stays/g).length, 1);
		assert.equal((await shown(daemon.ports.tls)).serial, last.serial);
		await tab.settled();
	});

	it('and another of another listener are kept apart, whatever name is asked for', async (t) => {
		const certs = ['a', 'b'].map((name) => makeCertificate(folder, { name }));
		const sections = {};
		for (const [i, { cert, key }] of certs.entries())
			sections[`listener tls${i}`] = { address: '127.0.0.1:0', tls_cert: cert, tls_key: key };
		const { daemon } = await Reloaded.start(t, sections);
		for (const servername of [undefined, 'localhost', 'other.example', 'TLS listener'])
			for (const [i, { serial }] of certs.entries())
				assert.equal((await shown(daemon.ports[`tls${i}`], { servername })).serial, serial);
	});

	it('is looked at by --check, too', async () => {
		const { cert, key } = makeCertificate(mkdtempSync(join(folder, 'cert-')));
		const check = async (...options) => {
			const args = ['plugins.load=', 'listener.tls.address=127.0.0.1:0', ...options];
			const { PARLANCED } = process.env;
			const flags = args.flatMap((option) => ['-o', option]);
			return run(PARLANCED, ['-c', '/dev/null', '--check', ...flags]).then(
				({ stderr }) => stderr,
				(error) => `${error.code}: ${error.stderr}`,
			);
		};
		const pair = [`listener.tls.tls_cert=${cert}`, `listener.tls.tls_key=${key}`];
		assert.equal(await check(...pair), '');
		assert.match(
			await check(...pair, 'listener.tls.tls_ciphers=NOTHING'),
			/^1: listener tls: tls_ciphers: OpenSSL has no "NOTHING" here .*\n$/,
		);
		chmodSync(key, 0o644);
		assert.match(await check(...pair), /^1: listener tls: tls_key: \S+ may be read or written by everybody; .*\n$/);
	});

	it('is taken from another path', async (t) => {
		const { own, daemon } = await startTls(t);
		const fresh = makeCertificate(mkdtempSync(join(folder, 'cert-')));
		await own.reload({ 'listener tls': { tls_cert: fresh.cert, tls_key: fresh.key } });
		assert.equal((await shown(daemon.ports.tls)).serial, fresh.serial);
	});
});

describe('the configuration', () => {
	const OLD = 'https://old.example';
	const NEW = 'https://new.example';

	async function allows(daemon, origin) {
		const { status } = await get(`${daemon.url}${PATH}?EIO=4&transport=polling`, {
			headers: { Origin: origin },
		});
		assert.ok(status === 200 || status === 403, `status ${status}`);
		return status === 200;
	}

	it('is taken over where it may change', async (t) => {
		const own = await Reloaded.start(
			t,
			{ cors: { origins: OLD }, log: { level: 'info', format: 'kv' } },
			{ set: { 'log.level': null, 'log.format': null } },
		);
		const { daemon } = own;
		assert.ok(await allows(daemon, OLD));
		assert.ok(!(await allows(daemon, NEW)));
		assert.match(await own.reload(), /notice audit: a reload was asked for config=\S+ outcome=done/);
		await own.reload(
			{ cors: { origins: NEW }, log: { format: 'json' } },
			/"msg":"configuration reloaded"/,
		);
		assert.ok(await allows(daemon, NEW));
		const before = daemon.stderr.length;
		own.write({ log: { level: 'warning', format: 'kv' }, cors: { origins: OLD } });
		daemon.signal('SIGHUP');
		await until(async () => !(await allows(daemon, NEW)), 'the end of that origin');
		await until(() => daemon.stderr.length > before, 'a warning');
		const said = daemon.stderr.slice(before);
		assert.match(said, /^\S+ warning cors: origin refused .*\n$/, 'and no notice of the reload');
	});

	it('sets limits for addresses', async (t) => {
		const own = await Reloaded.start(t, { limits: {} });
		const { url } = own.daemon;
		for (let i = 0; i < 4; i++) await handshake(url + PATH);
		await own.reload({ limits: { handshakes_per_second_per_address: 1, handshake_burst_per_address: 2 } });
		const statuses = [];
		for (let i = 0; i < 5; i++)
			statuses.push((await get(`${url}${PATH}?EIO=4&transport=polling`)).status);
		assert.equal(statuses[0], 200);
		assert.equal(statuses.at(-1), 429);
		await own.reload({ limits: { handshakes_per_second_per_address: 0 } });
		for (let i = 0; i < 4; i++) await handshake(url + PATH);
		// Whom a proxy names is another matter than who connects.
		await own.reload({ limits: { max_connections_per_address: 1 } });
		assert.equal((await get(`${url}${PATH}?EIO=4&transport=polling`)).status, 503);
		await own.reload({ limits: { trusted_proxies: '127.0.0.1' } });
		const headers = { 'X-Forwarded-For': '192.0.2.7' };
		assert.equal((await get(`${url}${PATH}?EIO=4&transport=polling`, { headers })).status, 200);
	});

	it('with an error changes nothing, and all errors are named', async (t) => {
		const own = await Reloaded.start(t, { cors: { origins: OLD } });
		const { daemon } = own;
		let said = await own.refused({ cors: { origins: NEW }, engine: { ping_intervall_ms: 5 } });
		assert.match(said, /\.conf:4: .*ping_intervall_ms.*ping_interval_ms/);
		assert.ok(await allows(daemon, OLD));
		said = await own.refused({
			engine: null,
			limits: { trusted_proxies: 'nowhere', queue_low_bytes: 600000 },
		});
		assert.match(said, /stays as it was \(\[limits\] queue_low_bytes must not be above/);
		await until(() => /trusted_proxies: "nowhere" is no address/.test(daemon.stderr), 'the second');
		assert.ok(await allows(daemon, OLD));
		rmSync(own.config);
		await own.hangUp(/stays as it was \(\S+: cannot be read: No such file or directory\)/);
		await own.reload({ limits: null });
		assert.ok(await allows(daemon, NEW));
	});

	it('names what needs a restart, in one line', async (t) => {
		const cert = makeCertificate(folder, { name: 'late' });
		const own = await Reloaded.start(t, { 'listener extra': { address: '127.0.0.1:0' } });
		const { daemon } = own;
		await own.reload({
			engine: { path: '/other/' },
			'listener extra': { address: '127.0.0.1:1', tls_cert: cert.cert, tls_key: cert.key },
			'listener more': { address: '127.0.0.1:2' },
			chat: { queue_depth: 7 },
			cors: { origins: NEW },
		});
		assert.match(
			own.match[1],
			/, but these need a restart: listener\.more, engine\.path, chat\.queue_depth, listener\.extra\.address, listener\.extra\.tls_cert, listener\.extra\.tls_key$/,
		);
		assert.match(own.match.input, / warning main: /);
		assert.ok(await allows(daemon, NEW), 'the rest is in force');
		for (const port of [daemon.ports.main, daemon.ports.extra])
			await handshake(`http://127.0.0.1:${port}${PATH}`);
		// It does so each time, as long as it is so.
		await own.reload({ 'listener extra': null });
		assert.match(own.match[1], /: listener\.more, engine\.path, chat\.queue_depth, listener\.extra$/);
		await handshake(`http://127.0.0.1:${daemon.ports.extra}${PATH}`);
		// What would be right after a restart may be wrong before.
		await own.reload(
			{
				'listener extra': {
					address: '127.0.0.1:0',
					tls_cert: cert.cert,
					tls_key: cert.key,
					hsts_max_age_s: 60,
				},
			},
			/stays as it was \(some of it needs a restart first: .*listener\.extra\.tls_cert/,
		);
	});

	it('with other plugins leaves those that run as they are', async (t) => {
		const own = await Reloaded.start(
			t,
			{
				plugins: { load: 'auth_jwt, storage_pgsql, provider_demo' },
				auth_jwt: { issuer: 'me' },
			},
			{ set: { 'plugins.load': null } },
		);
		await own.reload({
			plugins: { load: 'auth_other, storage_pgsql, provider_demo, provider_demo:two' },
			auth_jwt: null,
			auth_other: { colour: 'red' },
			'provider_demo two': { token_interval_ms: 1 },
		});
		assert.match(own.match[1], /, but these need a restart: plugins\.load$/);
		const tab = await Tab.open(own.daemon, 'alice', {
			auth: { token: token('alice', { claims: { iss: 'me' } }) },
		});
		await tab.close();
		await assert.rejects(Tab.open(own.daemon, 'alice'), 'a token without the issuer');
	});

	it('reaches the plugins, secrets in files too', async (t) => {
		const secrets = join(folder, 'secret');
		const secret = 'another secret that is long enough for it';
		writeFileSync(secrets, SECRET, { mode: 0o600 });
		const own = await Reloaded.start(
			t,
			{ auth_jwt: { key_file: secrets, algorithms: 'HS256' }, cors: { origins: OLD } },
			{ env: { JWT_ACCESS_SECRET: '' } },
		);
		const { daemon } = own;
		const open = (how) =>
			Tab.open(daemon, 'alice', { auth: { token: token('alice', how) } });
		const old = await open();
		t.after(() => old.close());
		writeFileSync(secrets, secret);
		await own.reload();
		await assert.rejects(open());
		await (await open({ secret })).close();
		await old.settled();
		// It refuses: nothing changes, in the rest of the configuration neither.
		await own.refused({ auth_jwt: { user_claims: '' }, cors: { origins: NEW } });
		assert.match(own.match[1], /^auth_jwt: user_claims is empty;/);
		await (await open({ secret })).close();
		assert.ok(await allows(daemon, OLD));
		assert.ok(!(await allows(daemon, NEW)));
	});

	it('is not read any more while the daemon drains', async (t) => {
		const own = await Reloaded.start(t, {}, { set: { 'chat.drain_spread_ms': 1500 } });
		const tab = await Tab.open(own.daemon, 'alice');
		t.after(() => tab.close());
		own.daemon.signal('SIGTERM');
		await tab.next('server:draining');
		own.daemon.signal('SIGHUP');
		const { code } = await within(own.daemon.gone, 20000, 'the exit');
		assert.equal(code, 0);
		assert.doesNotMatch(own.daemon.stderr, /reloaded/);
	});
});

// Node has no datagrams on Unix sockets; perl is part of every Debian.
async function listenForNotifications(t, path) {
	const script =
		'use Socket; $| = 1; socket(S, AF_UNIX, SOCK_DGRAM, 0) or die; ' +
		'bind(S, pack_sockaddr_un($ARGV[0])) or die; print "bound\\n"; ' +
		'while (defined(recv(S, $m, 4096, 0))) { $m =~ s/\\n/ /g; print "$m\\n" }';
	const child = spawn('perl', ['-e', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
	t.after(() => child.kill());
	const lines = [];
	createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
	await until(() => lines.includes('bound'), 'the socket of the service manager');
	return lines;
}

it('the service manager is told of a reload and of its end', async (t) => {
	const path = join(folder, 'notify');
	const lines = await listenForNotifications(t, path);
	const own = await Reloaded.start(t, {}, { env: { NOTIFY_SOCKET: path } });
	const usec = () => process.hrtime.bigint() / 1000n; // CLOCK_MONOTONIC
	for (const reload of [() => own.reload(), () => own.refused({ nothing: {} })]) {
		lines.length = 0;
		const begin = usec();
		await reload();
		await until(() => lines.some((line) => line.startsWith('READY=1')), 'READY=1');
		const at = lines.findIndex((line) => line.startsWith('RELOADING=1 '));
		assert.ok(at >= 0, lines.join('; '));
		const [, when] = /^RELOADING=1 MONOTONIC_USEC=(\d+) $/.exec(lines[at]);
		assert.ok(begin <= BigInt(when) && BigInt(when) <= usec(), 'its time');
		assert.ok(lines.slice(at + 1).some((line) => line.startsWith('READY=1')));
	}
});
