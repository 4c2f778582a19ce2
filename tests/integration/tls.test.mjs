// SPDX-License-Identifier: MIT
// Copyright the Parlance authors
//
// The server over TLS, with a certificate that openssl makes for the run.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import tls from 'node:tls';
import { io } from 'socket.io-client';
import { makeCertificate, makeChain } from './lib/cert.mjs';
import { get, handshake, post } from './lib/http.mjs';
import { Raw, request, upgradeRequest } from './lib/raw.mjs';
import { Server, freePort } from './lib/server.mjs';
import { event, within } from './lib/util.mjs';

const LARGE = 900000;
const LARGE_BINARY_POST = 700000; // in base64 under 1,000,000 bytes

let folder;
let server;
let certificate;
let ca;

before(async () => {
	folder = mkdtempSync(join(tmpdir(), 'tls-test-'));
	certificate = makeCertificate(folder);
	ca = certificate.ca;
	server = await Server.start({
		set: { 'listener.tls_cert': certificate.cert, 'listener.tls_key': certificate.key },
	});
});

after(async () => {
	try {
		await server?.stop();
	} finally {
		rmSync(folder, { recursive: true });
	}
});

async function connected(t, transports) {
	const socket = io(`https://127.0.0.1:${server.port}`, {
		forceNew: true,
		reconnection: false,
		transports,
		ca,
	});
	t.after(() => socket.disconnect());
	const refused = new Promise((_, reject) => {
		socket.once('connect_error', reject);
	});
	await Promise.race([event(socket, 'connect'), refused]);
	return socket;
}

// A finished TLS handshake, or its error.
function shake(options, { port } = server) {
	const socket = tls.connect({ port, host: '127.0.0.1', ca, ...options });
	const done = new Promise((resolve, reject) => {
		socket.once('secureConnect', () => resolve(socket));
		socket.once('error', reject);
		socket.once('close', () => reject(new Error('closed in the TLS handshake')));
	});
	return within(done, 5000, 'the TLS handshake').finally(() => socket.on('error', () => {}));
}

for (const [name, transports] of [
	['websocket', ['websocket']],
	['polling', ['polling']],
	['polling, then upgrade', ['polling', 'websocket']],
]) {
	it(`${name}: echoes, small and 900 kB`, async (t) => {
		const socket = await connected(t, transports);
		if (transports.length === 2 && socket.io.engine.transport.name !== 'websocket')
			await event(socket.io.engine, 'upgrade');
		const last = transports.at(-1);
		assert.equal(socket.io.engine.transport.name, last);
		const sizes = last === 'polling' ? LARGE_BINARY_POST : LARGE;
		for (const value of ['small', 'x'.repeat(LARGE), Buffer.alloc(sizes, 0xc3)])
			assert.deepEqual(
				await socket.timeout(10000).emitWithAck('echo', value),
				value,
			);
	});
}

it('many messages at once keep their order', async (t) => {
	const socket = await connected(t, ['websocket']);
	const answers = Array.from({ length: 300 }, (_, n) =>
		socket.timeout(10000).emitWithAck('echo', [n, 'y'.repeat(n * 10)]),
	);
	const numbers = (await Promise.all(answers)).map(([n]) => n);
	assert.deepEqual(
		numbers,
		numbers.map((_, i) => i),
	);
});

for (const version of ['TLSv1.2', 'TLSv1.3']) {
	it(`${version} is spoken`, async () => {
		const socket = await shake({ minVersion: version, maxVersion: version });
		assert.equal(socket.getProtocol(), version);
		socket.destroy();
	});
}

for (const version of ['TLSv1', 'TLSv1.1']) {
	it(`${version} is refused by the server`, async () => {
		const old = {
			minVersion: version,
			maxVersion: version,
			ciphers: 'DEFAULT@SECLEVEL=0',
		};
		await assert.rejects(shake(old), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
	});
}

it('HTTP/2 is not offered', async () => {
	const socket = await shake({ ALPNProtocols: ['h2', 'http/1.1'] });
	assert.equal(socket.alpnProtocol, 'http/1.1');
	socket.destroy();
});

it('plain HTTP and garbage on the TLS port are turned away', async () => {
	for (const bytes of [
		request('GET', '/socket.io/?EIO=4&transport=polling'),
		Buffer.alloc(100, 0xff),
	]) {
		const raw = await Raw.connect(server.port);
		raw.write(bytes);
		await raw.ended('the end of a connection without TLS');
	}
	await server.becomesIdle();
});

it('a client that leaves in the TLS handshake hurts nobody', async (t) => {
	const hello = Buffer.from('160301020001', 'hex');
	for (const leave of ['end', 'destroy', 'reset']) {
		const raw = await Raw.connect(server.port);
		await raw.write(hello);
		raw[leave]();
		if (leave === 'end') await raw.ended('the end after our FIN');
	}
	const socket = await connected(t, ['websocket']);
	assert.equal(await socket.timeout(10000).emitWithAck('echo', 'fine'), 'fine');
	await server.becomesIdle();
});

async function startWith(t, set, { cert, key } = certificate) {
	const own = await Server.start({
		set: { 'listener.tls_cert': cert, 'listener.tls_key': key, ...set },
	});
	t.after(() => own.stop());
	return own;
}

// The one sentence with which it does not start.
function refused(set, sentence, files) {
	return assert.rejects(
		startWith({ after() {} }, set, files).then((own) => own.stop()),
		({ message }) => {
			assert.match(message, /^the server did not start: exit code 1, signal null;/);
			const lines = message.match(/^echo-server: .*$/gm);
			assert.equal(lines?.length, 1, message);
			assert.match(lines[0], sentence);
			return true;
		},
	);
}

it('the certificates behind the first are sent', async (t) => {
	const chain = makeChain(folder);
	const own = await startWith(t, {}, chain);
	const socket = await shake({ ca: chain.ca, host: '127.0.0.1' }, own);
	assert.ok(socket.authorized);
	socket.destroy();
	assert.doesNotMatch(own.stderr, /not in order/);
	// Without the one between, nobody finds the way to the authority.
	const bare = await startWith(t, {}, { ...chain, cert: chain.leaf });
	await assert.rejects(shake({ ca: chain.ca }, bare), { code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
});

describe('a certificate or a key', () => {
	let files;

	before(() => {
		files = (name) => makeCertificate(folder, { name });
	});

	it('that everybody may read is refused, as secrets are', async () => {
		const own = files('open-');
		for (const mode of [0o644, 0o604, 0o602]) {
			chmodSync(own.key, mode);
			await refused({}, /: listener main: tls_key: \S+open-key\.pem may be read or written by everybody; run chmod o-rwx \S+open-key\.pem$/, own);
		}
	});

	it('that its group may read is taken', async (t) => {
		const own = files('group-');
		chmodSync(own.key, 0o640);
		await startWith(t, {}, own);
	});

	it('of another pair is refused', async () => {
		const own = files('one-');
		copyFileSync(certificate.key, own.key);
		await refused({}, /: listener main: tls_key: \S+one-key\.pem does not belong to the certificate in \S+one-cert\.pem; /, own);
	});

	it('with a passphrase is refused, and nobody is asked for it', async () => {
		const own = files('locked-');
		const locked = join(folder, 'locked.pem');
		execFileSync('openssl', ['pkey', '-in', own.key, '-aes256', '-passout', 'pass:x', '-out', locked]);
		await refused({}, /tls_key: \S+locked\.pem has a passphrase; write it without one$/, { ...own, key: locked });
	});

	it('that is none is refused', async () => {
		const own = files('none-');
		const missing = join(folder, 'missing.pem');
		await refused({}, /tls_cert: \S+missing\.pem cannot be read: No such file or directory$/, { ...own, cert: missing });
		await refused({}, /tls_key: \S+missing\.pem cannot be read: No such file or directory$/, { ...own, key: missing });
		await refused({}, /tls_key: \S+ is not a file; /, { ...own, key: folder });
		writeFileSync(own.cert, 'nothing\n');
		await refused({}, /tls_cert: \S+none-cert\.pem is no certificate in PEM /, own);
	});
});

describe('ciphers', () => {
	const TLS12 = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' };
	const TLS13 = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' };

	it('are those of the configuration', async (t) => {
		const own = await startWith(t, {
			'listener.tls_ciphers': 'ECDHE-ECDSA-AES256-GCM-SHA384:!MD5',
			'listener.tls_ciphersuites': 'TLS_CHACHA20_POLY1305_SHA256',
		});
		for (const [options, name] of [
			[TLS12, 'ECDHE-ECDSA-AES256-GCM-SHA384'],
			[TLS13, 'TLS_CHACHA20_POLY1305_SHA256'],
		]) {
			const socket = await shake(options, own);
			assert.equal(socket.getCipher().name, name);
			socket.destroy();
		}
		for (const options of [
			{ ...TLS12, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
			{ ...TLS13, ciphers: 'TLS_AES_128_GCM_SHA256' },
		])
			await assert.rejects(shake(options, own), /handshake failure/);
	});

	it('that there are not are refused by name', async () => {
		await refused({ 'listener.tls_ciphers': 'HIGH:ECDHE-ECDSA-AES256-GCM-SHA38' }, /: listener main: tls_ciphers: OpenSSL has no "ECDHE-ECDSA-AES256-GCM-SHA38" here /);
		await refused({ 'listener.tls_ciphersuites': 'TLS_AES_128_GCM_SHA256:TLS_AES_129' }, /tls_ciphersuites: OpenSSL has no "TLS_AES_129" here /);
		await refused({ 'listener.tls_ciphers': 'HIGH:!ALL' }, /tls_ciphers: OpenSSL does not take it \(no cipher match\)$/);
	});

	it('of TLS 1.3 alone', async (t) => {
		const own = await startWith(t, { 'listener.tls_min_version': '1.3' });
		await assert.rejects(shake(TLS12, own), { code: 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION' });
		(await shake(TLS13, own)).destroy();
	});
});

describe('Strict-Transport-Security', () => {
	it('is said with every answer, over TLS alone', async (t) => {
		const port = await freePort();
		const root = join(folder, 'web');
		execFileSync('mkdir', [root]);
		writeFileSync(join(root, 'index.html'), 'a page');
		const own = await startWith(t, {
			'listener.hsts_max_age_s': 3600,
			'listener.plain.address': `127.0.0.1:${port}`,
			'web.root': root,
		});
		for (const [base, value] of [
			[`https://127.0.0.1:${own.port}`, 'max-age=3600'],
			[`http://127.0.0.1:${port}`, undefined],
		]) {
			const options = { tls: { ca } };
			const { url } = await handshake(`${base}/socket.io/`, options);
			const answers = [
				await post(url, '40', options),
				await get(url, options),
				await get(`${base}/`, options),
				await get(`${base}/nothing`, options),
				await get(`${base}/socket.io/?EIO=3&transport=polling`, options),
			];
			assert.deepEqual(answers.map(({ status }) => status), [200, 200, 200, 404, 400]);
			for (const { headers } of answers)
				assert.equal(headers['strict-transport-security'], value);
		}
	});

	it('and a redirect are for the listeners that they make sense for', async () => {
		await refused({ 'listener.plain.hsts_max_age_s': 1 }, /\[listener plain\] hsts_max_age_s needs tls_cert and tls_key;/);
		await refused({ 'listener.redirect': 'https://chat.example' }, /\[listener main\] redirect is for a listener without TLS/);
	});
});

describe('a redirect', () => {
	const TO = 'https://chat.example:8443';

	async function start(t, set = {}) {
		const own = await Server.start({ set: { 'listener.redirect': TO, ...set } });
		t.after(() => own.stop());
		return own;
	}

	// The answer to a request, and its Location.
	async function sent(own, bytes) {
		const raw = await Raw.connect(own.port);
		raw.write(bytes);
		const head = bytes.startsWith('HEAD');
		const { status, headers } = await raw.answer('the answer', undefined, { head });
		raw.destroy();
		return [status, headers.location];
	}

	it('goes to the same path at the place of the configuration, whatever is asked', async (t) => {
		const own = await start(t);
		const of = (target, method = 'GET', host = 'evil.example') =>
			`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
		for (const [bytes, path] of [
			[of('/'), '/'],
			[of('/a/b?c=d&e=%0d%0aX:y'), '/a/b?c=d&e=%0d%0aX:y'],
			[of('//evil.example/'), '//evil.example/'],
			[of('http://evil.example'), '/'],
			[of('http://evil.example?.evil.example'), '/?.evil.example'],
			[of('http://evil.example/x?y'), '/x?y'],
			[of('*', 'OPTIONS'), '/'],
			[of('/x', 'DELETE'), '/x'],
			[of('/readyz', 'HEAD'), '/readyz'],
			[of('/x').replace('\r\n\r\n', '\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n\r\n'), '/x'],
			['GET /x HTTP/1.0\r\n\r\n', '/x'],
		])
			assert.deepEqual(await sent(own, bytes), [308, TO + path], JSON.stringify(bytes));
		for (const target of ['.evil.example/', '@evil.example/', 'evil.example'])
			assert.deepEqual(await sent(own, of(target)), [400, undefined]);
	});

	it('does nothing else: no session, no WebSocket, no file', async (t) => {
		const own = await start(t);
		for (const bytes of [
			request('GET', '/socket.io/?EIO=4&transport=polling'),
			upgradeRequest('/socket.io/?EIO=4&transport=websocket'),
		])
			assert.equal((await sent(own, bytes))[0], 308);
		assert.equal((await own.counts()).sessions, 0);
		const socket = io(own.url, { forceNew: true, reconnection: false });
		t.after(() => socket.disconnect());
		await event(socket, 'connect_error');
	});

	it('leads a client that follows it to TLS', async (t) => {
		const own = await start(t, { 'listener.redirect': `https://127.0.0.1:${server.port}` });
		const { headers } = await get(`${own.url}/socket.io/?EIO=4&transport=polling`);
		assert.equal((await get(headers.location, { tls: { ca } })).status, 200);
	});

	it('is a place, and by HTTPS', async () => {
		for (const to of ['http://chat.example', 'https://*.example', 'https://chat.example/path', 'chat.example', '*', 'https://'])
			await assert.rejects(
				Server.start({ set: { 'listener.redirect': to } }).then((own) => own.stop()),
				/\[listener main\] redirect: "\S*" is no place to send clients/,
			);
	});
});
